package api_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/sandbox"
)

// login is a Salesforce login server before the sandbox's org, which answers as the OAuth endpoints are documented. Whoever
// comes to sign in is let in as the user that a test chose.
type login struct {
	org   *sandbox.Server
	orgID string

	mu      sync.Mutex
	as      sandbox.User
	n       int
	codes   map[string]url.Values // what they were asked for with
	access  map[string]string     // the org's own token behind each that is good
	refresh map[string]string
	asked   []url.Values // at the token endpoint
	revoked []string
	alter   func(reply map[string]any)
	stray   http.HandlerFunc // instead of the token endpoint
}

func (l *login) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	switch r.URL.Path {
	case "/services/oauth2/authorize":
		defer l.mu.Unlock()
		q := r.URL.Query()
		code := l.token("code", &l.codes, q)
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {q.Get("state")}}.Encode(), http.StatusFound)
		return
	case "/services/oauth2/token":
		defer l.mu.Unlock()
		_ = r.ParseForm()
		l.asked = append(l.asked, r.PostForm)
		if l.stray != nil {
			l.stray(w, r)
			return
		}
		l.grant(w, r)
		return
	case "/services/oauth2/revoke":
		defer l.mu.Unlock()
		_ = r.ParseForm()
		token := r.PostForm.Get("token")
		l.revoked = append(l.revoked, token)
		delete(l.access, token)
		if org, ok := l.refresh[token]; ok {
			delete(l.refresh, token)
			for access, same := range l.access {
				if same == org {
					delete(l.access, access)
				}
			}
		}
		return
	}
	bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	org, known := l.access[bearer]
	l.mu.Unlock()
	if known {
		r.Header.Set("Authorization", "Bearer "+org)
	} else if strings.HasPrefix(bearer, "00Dours!") {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`)
		return
	}
	l.org.ServeHTTP(w, r)
}

func (l *login) token(kind string, in *map[string]url.Values, q url.Values) string {
	l.n++
	if *in == nil {
		*in = map[string]url.Values{}
	}
	name := fmt.Sprintf("%s_%d", kind, l.n)
	(*in)[name] = q
	return name
}

func (l *login) grant(w http.ResponseWriter, r *http.Request) {
	refuse := func(code string) {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": "<script>alert(1)</script>"})
	}
	org := l.as.AccessToken
	switch f := r.PostForm; f.Get("grant_type") {
	case "authorization_code":
		asked, ok := l.codes[f.Get("code")]
		delete(l.codes, f.Get("code"))
		sum := sha256.Sum256([]byte(f.Get("code_verifier")))
		if !ok || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) || asked.Get("code_challenge_method") != "S256" ||
			asked.Get("redirect_uri") != f.Get("redirect_uri") || asked.Get("client_id") != f.Get("client_id") {
			refuse("invalid_grant")
			return
		}
	case "refresh_token":
		if org = l.refresh[f.Get("refresh_token")]; org == "" {
			refuse("invalid_grant")
			return
		}
		delete(l.refresh, f.Get("refresh_token")) // it rotates
	case "urn:ietf:params:oauth:grant-type:jwt-bearer":
	default:
		refuse("unsupported_grant_type")
		return
	}
	l.n++
	if l.access == nil {
		l.access, l.refresh = map[string]string{}, map[string]string{}
	}
	reply := map[string]any{
		"access_token": fmt.Sprint("00Dours!", l.n), "instance_url": "http://" + r.Host, "token_type": "Bearer", "issued_at": "1795435200123",
		"id": "http://" + r.Host + "/id/" + l.orgID + "/" + l.as.ID, "scope": "api refresh_token openid",
	}
	if r.PostForm.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		reply["refresh_token"] = fmt.Sprint("5Aep_", l.n)
		l.refresh[reply["refresh_token"].(string)] = org
	}
	l.access[reply["access_token"].(string)] = org
	if l.alter != nil {
		l.alter(reply)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(reply)
}

// expire ends all access tokens.
func (l *login) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.access = map[string]string{}
}

// browser is one with cookies, that stops before each redirect.
type browser struct {
	t *testing.T
	*http.Client
}

func (h *house) browser() browser {
	h.t.Helper()
	jar, err := cookiejar.New(nil)
	h.must(err)
	return browser{h.t, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (b browser) do(r *http.Request) (*http.Response, string) {
	b.t.Helper()
	resp, err := b.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") && !strings.HasPrefix(r.URL.Path, "/services/") {
		csp := resp.Header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || resp.Header.Get("Cache-Control") != "no-store" ||
			resp.Header.Get("Referrer-Policy") == "" || strings.Contains(string(body), "<script") || strings.Contains(string(body), "alert(1)") {
			b.t.Errorf("a page is not safe: %v\n%s", resp.Header, body)
		}
	}
	return resp, string(body)
}

func (b browser) get(address string) (*http.Response, string) {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(r)
}

// post sends the form of the link's page; headers are pairs.
func (b browser) post(link string, headers ...string) (*http.Response, string) {
	b.t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, u.Scheme+"://"+u.Host+u.Path, strings.NewReader(url.Values{"link": {u.Query().Get("link")}}.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return b.do(r)
}

// begin starts a sign-in.
func (h *house) begin(p person, instanceURL string) (begun wire.SignIn) {
	h.t.Helper()
	h.do(p, "POST", "/api/v1/signins", map[string]string{"system": "salesforce", "instance_url": instanceURL}, http.StatusCreated, &begun)
	return begun
}

func (h *house) status(p person, id string) (now wire.SignIn) {
	h.t.Helper()
	h.do(p, "GET", "/api/v1/signins/"+id, nil, http.StatusOK, &now)
	return now
}

// leave takes a browser from the link to Salesforce, and gives where that sends it back to.
func (h *house) leave(b browser, begun wire.SignIn) (callback string) {
	h.t.Helper()
	resp, body := b.get(begun.URL)
	if resp.StatusCode != http.StatusOK {
		h.t.Fatalf("%s: %d %s", begun.URL, resp.StatusCode, body)
	}
	resp, body = b.post(begun.URL)
	to := onward(body)
	if resp.StatusCode != http.StatusOK || to == "" {
		h.t.Fatalf("%d %s", resp.StatusCode, body)
	}
	resp, body = b.get(to)
	if resp.StatusCode != http.StatusFound {
		h.t.Fatalf("the login server: %d %s", resp.StatusCode, body)
	}
	return resp.Header.Get("Location")
}

// onward is where a page leads to by itself, and by its link.
func onward(page string) string {
	found := regexp.MustCompile(`(?s)content="0; url=([^"]+)">.*<a href="([^"]+)">`).FindStringSubmatch(page)
	if found == nil || html.UnescapeString(found[1]) != html.UnescapeString(found[2]) {
		return ""
	}
	return html.UnescapeString(found[1])
}

// signIn is all of it.
func (h *house) signIn(p person, as sandbox.User, instanceURL string) wire.SignIn {
	h.t.Helper()
	h.login.as = as
	begun, b := h.begin(p, instanceURL), h.browser()
	if resp, body := b.get(h.leave(b, begun)); resp.StatusCode != http.StatusOK || !strings.Contains(body, html.EscapeString(p.email)) || !strings.Contains(body, html.EscapeString(as.Username)) {
		h.t.Fatalf("%d %s", resp.StatusCode, body)
	}
	return h.status(p, begun.ID)
}

// signedUp is a house whose administrator connected, with a member who hasn't.
func signedUp(t *testing.T) (h *house, admin, rep person, user sandbox.User) {
	t.Helper()
	h = open(t)
	admin = h.found("acme")
	rep = h.join(admin, "rep@acme.example", "member")
	user, _, _ = h.rep()
	if done := h.signIn(admin, h.users[0], h.orgURL); done.Status != "connected" {
		t.Fatalf("%+v", done)
	}
	return h, admin, rep, user
}

func TestSignIn(t *testing.T) {
	h, admin, rep, user := signedUp(t)
	if done := h.signIn(rep, user, ""); done.Status != "connected" || done.Error != nil || done.URL != "" {
		t.Fatalf("%+v", done)
	}
	var answer wire.Answer
	ask := func() {
		t.Helper()
		h.do(rep, "POST", "/api/v1/ask", map[string]string{"question": "how many open deals do I have?"}, http.StatusOK, &answer)
		if answer.Status != wire.Done {
			t.Fatalf("%+v", answer)
		}
	}
	ask()
	for range 2 { // what rotates goes on rotating
		h.login.expire()
		ask()
	}
	var asked []string
	for _, f := range h.login.asked {
		asked = append(asked, f.Get("grant_type"))
	}
	if got := strings.Join(asked, " "); got != "authorization_code authorization_code refresh_token refresh_token" {
		t.Errorf("the token endpoint was asked for %s", got)
	}

	// All of it is on record, and none of it is a secret.
	var record strings.Builder
	kinds := map[ledger.Kind]int{}
	for _, e := range h.entries(admin) {
		kinds[e.Kind]++
		fmt.Fprintf(&record, "%+v\n", e)
	}
	if kinds[ledger.ConnectionAdded] != 2 || strings.Count(record.String(), "manage_connections") < 12 || strings.Count(record.String(), "renew_credential") != 4 {
		t.Errorf("on record are %v\n%s", kinds, record.String())
	}
	for _, secret := range []string{"00Dours!", "5Aep_", "code_", user.Username, "sgn_"} {
		if strings.Contains(record.String(), secret) || secret != "sgn_" && strings.Contains(h.log.String(), secret) {
			t.Errorf("%q is on record or in the log", secret)
		}
	}

	// Disconnecting ends it there: the refresh token, and with it the access token.
	var refresh string
	for token := range h.login.refresh {
		if h.login.refresh[token] == user.AccessToken {
			refresh = token
		}
	}
	var gone wire.Disconnected
	h.do(rep, "DELETE", "/api/v1/connections/salesforce", nil, http.StatusOK, &gone)
	if !gone.Revoked || len(h.login.revoked) != 1 || h.login.revoked[0] != refresh {
		t.Errorf("%+v; revoked were %v, not %s", gone, h.login.revoked, refresh)
	}

	// A refresh token that an administrator of Salesforce revoked: people are told what to do.
	h.signIn(rep, user, "")
	h.login.mu.Lock()
	h.login.access, h.login.refresh = nil, map[string]string{}
	h.login.mu.Unlock()
	for range 2 {
		_, body := h.send(rep, "POST", "/api/v1/ask", map[string]string{"question": "how many open deals do I have?"})
		if !strings.Contains(string(body), "steward connect salesforce") {
			t.Errorf("it says %s", body)
		}
	}
}

// TestSignInIsTiedTogether goes at the ties between link, browser, member, state and code.
func TestSignInIsTiedTogether(t *testing.T) {
	h, admin, rep, user := signedUp(t)
	stranger := h.found("globex")
	h.login.as = user
	refused := func(what string, resp *http.Response, body string) {
		t.Helper()
		if resp.StatusCode < 400 || resp.StatusCode >= 500 || onward(body) != "" || !strings.Contains(body, "Not connected") {
			t.Errorf("%s: %d %s", what, resp.StatusCode, body)
		}
	}
	unconnected := func(what string) {
		t.Helper()
		if _, body := h.send(rep, "POST", "/api/v1/ask", map[string]string{"question": "how many open deals do I have?"}); !strings.Contains(string(body), "steward connect salesforce") {
			t.Errorf("%s: the member is connected: %s", what, body)
		}
	}
	ours, theirs := h.browser(), h.browser()

	// Looking at a link, as previews do, uses nothing up; going on does.
	begun := h.begin(rep, "")
	for range 3 {
		if resp, _ := theirs.get(begun.URL); resp.StatusCode != http.StatusOK || len(resp.Cookies()) > 0 {
			t.Error("a look isn't only a look")
		}
	}
	// Another site can't go on for somebody.
	for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "", "Origin", "https://evil.example"}} {
		resp, body := ours.post(begun.URL, headers...)
		refused(fmt.Sprint(headers), resp, body)
	}
	callback := h.leave(ours, begun)
	resp, body := ours.post(begun.URL)
	refused("a link that was used", resp, body)
	resp, body = ours.get(begun.URL)
	refused("a look at a link that was used", resp, body)

	// Login CSRF: the attacker's state and code in the victim's browser, or the other way round.
	resp, body = theirs.get(callback)
	refused("a callback in another browser", resp, body)
	unconnected("a callback in another browser")
	if now := h.status(rep, begun.ID); now.Status != "failed" || now.Error == nil || now.Error.Kind != "denied" {
		t.Errorf("it is %+v", now)
	}
	resp, body = ours.get(callback)
	refused("a callback that was tried", resp, body)
	unconnected("a callback that was tried")

	// The cookie of another sign-in doesn't do, under its own name or this one's.
	first, second := h.begin(rep, ""), h.begin(rep, "")
	one, two := h.browser(), h.browser()
	back1, back2 := h.leave(one, first), h.leave(two, second)
	at, _ := url.Parse(h.url)
	cookies := two.Jar.Cookies(at)
	if len(cookies) != 1 {
		t.Fatalf("the cookies are %v", cookies)
	}
	mixed := h.browser()
	mixed.Jar.SetCookies(at, []*http.Cookie{{Name: "steward_" + first.ID, Value: cookies[0].Value, Path: "/"}, cookies[0]})
	resp, body = mixed.get(back1)
	refused("another sign-in's cookie", resp, body)
	// Another sign-in's code with this state: PKCE ties them.
	swapped, _ := url.Parse(back2)
	q := swapped.Query()
	from, _ := url.Parse(back1)
	q.Set("code", from.Query().Get("code"))
	swapped.RawQuery = q.Encode()
	resp, body = two.get(swapped.String())
	refused("another sign-in's code", resp, body)
	unconnected("another sign-in's code")

	// A code and state that did their work do none again; a state that is guessed does none, nor any harm.
	third := h.begin(rep, "")
	b := h.browser()
	back := h.leave(b, third)
	resp, body = b.get(back[:len(back)-3] + "abc")
	refused("a guessed state", resp, body)
	closed := h.server.Gateway.Closed
	h.server.Gateway.Closed = func(context.Context, steward.WorkspaceID) error {
		return steward.Errorf(steward.Denied, "it is closed")
	}
	resp, body = b.get(back)
	refused("a closed workspace", resp, body)
	h.server.Gateway.Closed = closed
	resp, body = b.get(begun.URL[:len(begun.URL)-3] + "abc")
	refused("a guessed link", resp, body)
	if resp, body := b.get(back); resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	before := len(h.login.asked)
	resp, body = b.get(back)
	refused("a callback again", resp, body)
	if len(h.login.asked) != before {
		t.Error("a code was sent twice")
	}
	h.do(rep, "DELETE", "/api/v1/connections/salesforce", nil, http.StatusOK, nil)

	// Someone else's sign-in: another member's, another workspace's.
	h.do(admin, "GET", "/api/v1/signins/"+third.ID, nil, http.StatusNotFound, nil)
	h.do(stranger, "GET", "/api/v1/signins/"+third.ID, nil, http.StatusNotFound, nil)
	fourth := h.begin(rep, "")
	b = h.browser()
	back = h.leave(b, fourth)
	var other struct{ Workspace string }
	h.do(stranger, "GET", "/api/v1/workspace", nil, http.StatusOK, &other)
	moved := regexp.MustCompile(`state=[^.]+`).ReplaceAllString(back, "state="+other.Workspace)
	resp, body = b.get(moved)
	refused("another tenant's state", resp, body)

	// What isn't a state, or has no code, or carries an error of anybody's making.
	for what, query := range map[string]string{
		"no state": "code=1", "no id": "code=1&state=a.b.c", "a long one": "code=1&state=" + strings.Repeat("a", 9000), "HTML": "code=1&state=<script>alert(1)</script>",
		"an error alone": "error=access_denied&error_description=<script>alert(1)</script>",
	} {
		resp, body := b.get(h.url + "/connect/salesforce/callback?" + strings.ReplaceAll(strings.ReplaceAll(query, "<", "%3C"), ">", "%3E"))
		refused(what, resp, body)
	}
	state, _ := url.Parse(back)
	for what, query := range map[string]url.Values{
		"an error": {"error": {"<script>alert(1)</script>"}, "error_description": {"<script>alert(1)</script>"}}, "no code": {}, "another issuer": {"iss": {"https://evil.example"}},
		"a refusal": {"error": {"access_denied"}}, "a code of nobody's": {"code": {"<script>alert(1)</script>"}},
	} {
		again := h.begin(rep, "")
		b := h.browser()
		real, _ := url.Parse(h.leave(b, again))
		query.Set("state", real.Query().Get("state"))
		if query.Has("iss") {
			query.Set("code", real.Query().Get("code")) // which would do
		}
		query.Set("redirect", "https://evil.example")
		real.RawQuery = query.Encode()
		resp, body := b.get(real.String())
		refused(what, resp, body)
	}
	if state.Host != at.Host {
		t.Errorf("Salesforce sends people to %s", state.Host)
	}
	unconnected("all of these")

	// Too late.
	h.later.Add(-1)
	fifth := h.begin(rep, "")
	b = h.browser()
	back = h.leave(b, fifth)
	h.later.Add(11 * 60)
	resp, body = b.get(back)
	refused("a callback after eleven minutes", resp, body)
	h.later.Add(60)
	if now := h.status(rep, fifth.ID); now.Status != "failed" {
		t.Errorf("it is %+v", now)
	}
	// Who is no member any more, or whose workspace is closed, signs in to nothing.
	sixth := h.begin(rep, "")
	b = h.browser()
	back = h.leave(b, sixth)
	h.do(admin, "DELETE", "/api/v1/members/"+string(rep.id), nil, http.StatusOK, nil)
	resp, body = b.get(back)
	refused("a member who was removed", resp, body)
}

// TestTokenRepliesThatMustNotBeTrusted: what comes from the login server leads nowhere that nobody chose.
func TestTokenRepliesThatMustNotBeTrusted(t *testing.T) {
	h, admin, rep, user := signedUp(t)
	h.login.as = user
	var touched []string
	evil := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { touched = append(touched, r.URL.Path) }))
	defer evil.Close()
	for what, c := range map[string]struct {
		alter   func(map[string]any)
		revoked bool
	}{
		"another address":    {func(r map[string]any) { r["instance_url"] = evil.URL }, true},
		"another real one":   {func(r map[string]any) { r["instance_url"] = "https://evil.my.salesforce.com" }, true},
		"a metadata address": {func(r map[string]any) { r["instance_url"] = "https://169.254.169.254" }, true},
		"a file":             {func(r map[string]any) { r["instance_url"] = "file:///etc/passwd" }, true},
		"another org":        {func(r map[string]any) { r["id"] = "https://l/id/00D000000000999AAA/" + user.ID }, true},
		"no token":           {func(r map[string]any) { delete(r, "access_token") }, false},
	} {
		h.login.mu.Lock()
		h.login.alter, h.login.revoked = c.alter, nil
		h.login.mu.Unlock()
		for _, p := range []person{rep, admin} {
			begun, b := h.begin(p, ""), h.browser()
			resp, body := b.get(h.leave(b, begun))
			if resp.StatusCode == http.StatusOK || strings.Contains(body, "evil") || h.status(p, begun.ID).Status != "failed" {
				t.Errorf("%s: %d %s", what, resp.StatusCode, body)
			}
		}
		if got := len(h.login.revoked) == 2; got != c.revoked {
			t.Errorf("%s: revoked were %v", what, h.login.revoked)
		}
	}
	if len(touched) > 0 {
		t.Errorf("it went to %v", touched)
	}
	h.login.alter = nil
	// A reply that is huge, or no reply.
	for what, stray := range map[string]http.HandlerFunc{
		"huge": func(w http.ResponseWriter, _ *http.Request) {
			chunk := strings.Repeat(" ", 1<<16)
			for range 1000 {
				if _, err := io.WriteString(w, chunk); err != nil {
					return
				}
			}
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, evil.URL+"/token", http.StatusTemporaryRedirect)
		},
		"a page": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<script>alert(1)</script>") },
	} {
		h.login.mu.Lock()
		h.login.stray = stray
		h.login.mu.Unlock()
		begun, b := h.begin(rep, ""), h.browser()
		if resp, body := b.get(h.leave(b, begun)); resp.StatusCode != http.StatusBadGateway {
			t.Errorf("%s: %d %s", what, resp.StatusCode, body)
		}
	}
	h.login.stray = nil
	// Who isn't an administrator can't lead it elsewhere, and nobody to what is no address.
	h.do(rep, "POST", "/api/v1/signins", map[string]string{"system": "salesforce", "instance_url": "https://evil.my.salesforce.com"}, http.StatusForbidden, nil)
	for _, address := range []string{"http://acme.my.salesforce.com", "https://acme.my.salesforce.com/x", "javascript:alert(1)"} {
		h.do(admin, "POST", "/api/v1/signins", map[string]string{"system": "salesforce", "instance_url": address}, http.StatusBadRequest, nil)
	}
	h.do(admin, "POST", "/api/v1/signins", map[string]string{"system": "erp"}, http.StatusBadRequest, nil)
	// Nor can they begin what an administrator has to.
	other := h.found("globex")
	first := h.join(other, "first@globex.example", "member")
	h.do(first, "POST", "/api/v1/signins", map[string]string{"system": "salesforce", "instance_url": h.orgURL}, http.StatusForbidden, nil)
	// Without an address named, only Salesforce's own may come out of it.
	begun, b := h.begin(other, ""), h.browser()
	if resp, body := b.get(h.leave(b, begun)); resp.StatusCode != http.StatusConflict || !strings.Contains(body, "--instance-url") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestSignInAddresses(t *testing.T) {
	h := open(t)
	admin := h.found("acme")
	h.login.as = h.users[0]
	ask := func(host string) (*http.Response, []byte) {
		r, err := http.NewRequest("POST", h.url+"/api/v1/signins", strings.NewReader(`{"system":"salesforce","instance_url":"`+h.orgURL+`"}`))
		h.must(err)
		r.Host = host
		r.Header.Set("Authorization", "Bearer "+admin.token)
		resp, err := http.DefaultClient.Do(r)
		h.must(err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		h.must(err)
		return resp, body
	}
	for host, ok := range map[string]bool{"127.0.0.1:1": true, "localhost": true, "[::1]:5": true, "evil.example": false, "127.0.0.1.evil.example": false, "10.0.0.1": false} {
		if resp, body := ask(host); (resp.StatusCode == http.StatusCreated) != ok {
			t.Errorf("%s: %d %s", host, resp.StatusCode, body)
		}
	}
	// Behind a proxy with TLS, only its address counts, and the cookie never travels without.
	h.server.PublicURL = "https://steward.acme.example"
	_, body := ask("evil.example")
	var begun wire.SignIn
	h.must(json.Unmarshal(body, &begun))
	local := strings.Replace(begun.URL, h.server.PublicURL, h.url, 1)
	if local == begun.URL {
		t.Fatalf("the link is %s", begun.URL)
	}
	resp, page := h.browser().post(local)
	to, err := url.Parse(onward(page))
	h.must(err)
	if got := to.Query().Get("redirect_uri"); got != "https://steward.acme.example/connect/salesforce/callback" || !strings.HasPrefix(to.String(), h.orgURL+"/services/oauth2/authorize?") {
		t.Errorf("people are sent to %s", to)
	}
	c := resp.Cookies()
	if len(c) != 1 || c[0].Name != "__Host-steward_"+begun.ID || !c[0].Secure || !c[0].HttpOnly || c[0].SameSite != http.SameSiteLaxMode || c[0].Path != "/" || c[0].Domain != "" || c[0].MaxAge > 600 || len(c[0].Value) < 40 {
		t.Errorf("the cookies are %v", c)
	}
	// A server that isn't set up says so.
	h.server.SignIns.App.ClientID = ""
	h.do(admin, "POST", "/api/v1/signins", map[string]string{"system": "salesforce"}, http.StatusBadRequest, nil)
}

// TestManyCallsOneRenewal: fifty questions at once after the token ran out.
func TestManyCallsOneRenewal(t *testing.T) {
	h, _, rep, user := signedUp(t)
	h.signIn(rep, user, "")
	h.login.expire()
	before := len(h.login.asked)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			resp, body := h.send(rep, "POST", "/api/v1/ask", map[string]string{"question": "how many open deals do I have?"})
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
	all.Wait()
	if n := len(h.login.asked) - before; n != 1 {
		t.Errorf("the token endpoint was asked %d times", n)
	}
}

func TestServiceUsers(t *testing.T) {
	h, admin, rep, user := signedUp(t)
	connect := map[string]string{"system": "salesforce", "service_user": user.Username, "member": rep.email}
	h.do(admin, "POST", "/api/v1/connections", connect, http.StatusBadRequest, nil) // no key
	var err error
	h.server.SignIns.App.Key, err = rsa.GenerateKey(rand.Reader, 2048)
	h.must(err)
	h.login.as = user
	h.do(rep, "POST", "/api/v1/connections", map[string]string{"system": "salesforce", "service_user": user.Username}, http.StatusForbidden, nil)
	var connected wire.Connection
	h.do(admin, "POST", "/api/v1/connections", connect, http.StatusCreated, &connected)
	if connected.Username != user.Username || connected.InstanceURL != h.orgURL || connected.Member != rep.id {
		t.Errorf("%+v", connected)
	}
	h.login.expire()
	var answer wire.Answer
	h.do(rep, "POST", "/api/v1/ask", map[string]string{"question": "how many open deals do I have?"}, http.StatusOK, &answer)
	if last := h.login.asked[len(h.login.asked)-1]; answer.Status != wire.Done || !strings.Contains(last.Get("grant_type"), "jwt-bearer") {
		t.Errorf("%+v after %v", answer, last)
	}
}
