package api_test

import (
	"crypto/rand"
	"crypto/rsa"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/sandbox"
	desk "github.com/stewardhq/steward/internal/sandbox/login"
	"github.com/stewardhq/steward/internal/sandbox/org"
)

// hidden are the fields that a form carries along.
var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// allow goes all the way: to the sandbox's own page, which it fills in as somebody would, and back.
func (h *house) allow(p person, username, instanceURL string) wire.SignIn {
	h.t.Helper()
	begun, b := h.begin(p, instanceURL), h.browser()
	b.get(begun.URL)
	_, body := b.post(begun.URL)
	page := onward(body)
	resp, body := b.get(page)
	if resp.StatusCode != http.StatusOK || !strings.Contains(body, "This is a sandbox") {
		h.t.Fatalf("the page to sign in at: %d %s", resp.StatusCode, body)
	}
	form := url.Values{"username": {username}, "password": {"sandbox"}, "decision": {"allow"}}
	for _, field := range hidden.FindAllStringSubmatch(body, -1) {
		form.Set(field[1], html.UnescapeString(field[2]))
	}
	to, err := url.Parse(page)
	h.must(err)
	r, err := http.NewRequest(http.MethodPost, to.Scheme+"://"+to.Host+to.Path, strings.NewReader(form.Encode()))
	h.must(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if resp, body = b.do(r); resp.StatusCode != http.StatusFound {
		h.t.Fatalf("after signing in: %d %s", resp.StatusCode, body)
	}
	if resp, body = b.get(resp.Header.Get("Location")); resp.StatusCode != http.StatusOK || !strings.Contains(body, html.EscapeString(username)) {
		h.t.Fatalf("back again: %d %s", resp.StatusCode, body)
	}
	return h.status(p, begun.ID)
}

// TestSignInAtTheSandbox: the sandbox's login desk and our side of OAuth were written against the same documents and
// share no code. Members sign in by its page, are renewed when their sessions run out, and are gone there once they
// disconnect; a service user signs in by assertion.
func TestSignInAtTheSandbox(t *testing.T) {
	h := open(t)
	admin := h.found("acme")
	rep, bot := h.join(admin, "rep@acme.example", "member"), h.join(admin, "bot@acme.example", "member")

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	h.must(err)
	var later atomic.Int64 // hours
	box := sandbox.New(org.Acme(1, today))
	box.Now = func() time.Time { return today.Truncate(24 * time.Hour).Add(time.Duration(8+later.Load()) * time.Hour) }
	box.Rand, box.Apps = rand.Reader, []desk.Client{{ID: "3MVG9box", Key: &key.PublicKey, Rotate: true}}
	server := httptest.NewServer(box)
	t.Cleanup(server.Close)
	app := h.server.SignIns.App
	app.ClientID, app.Logins, app.Key = "3MVG9box", []string{server.URL}, key
	app.Now = box.Now // assertions end soon

	users := box.Users()
	if done := h.allow(admin, users[0].Username, server.URL); done.Status != "connected" {
		t.Fatalf("%+v", done)
	}
	user := users[len(users)-1]
	if done := h.allow(rep, user.Username, ""); done.Status != "connected" {
		t.Fatalf("%+v", done)
	}
	h.do(admin, "POST", "/api/v1/connections", map[string]string{"system": "salesforce", "service_user": user.Username, "member": bot.email}, http.StatusCreated, nil)

	ask := func(p person) {
		t.Helper()
		var answer wire.Answer
		h.do(p, "POST", "/api/v1/ask", map[string]string{"question": "how many open deals do I have?"}, http.StatusOK, &answer)
		if answer.Status != wire.Done {
			t.Fatalf("%+v", answer)
		}
	}
	for range 3 { // a session lasts two hours there, and what rotates goes on rotating
		ask(rep)
		ask(bot)
		later.Add(3)
	}
	renewals := 0
	for _, e := range h.entries(admin) {
		if e.Tool == "renew_credential" && e.Kind == ledger.CallOutcome && e.Outcome == ledger.OK {
			renewals++
		}
	}
	if renewals != 4 {
		t.Errorf("%d renewals went well, of two members who each asked twice after a session had ended", renewals)
	}

	for _, p := range []person{rep, bot} {
		var gone wire.Disconnected
		h.do(p, "DELETE", "/api/v1/connections/salesforce", nil, http.StatusOK, &gone)
		if !gone.Revoked {
			t.Errorf("%+v", gone)
		}
	}
}
