package sandbox_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward/internal/sandbox"
	"github.com/stewardhq/steward/internal/sandbox/login"
	"github.com/stewardhq/steward/internal/sandbox/org"
)

// front is an org with a way in, and a browser that follows nothing.
type front struct {
	*httptest.Server
	t     *testing.T
	now   time.Time
	users []sandbox.User
	key   *rsa.PrivateKey
}

func openFront(t *testing.T) *front {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	f := &front{t: t, now: day.Add(9 * time.Hour), key: key}
	s := sandbox.New(org.Acme(7, day))
	s.Now, s.Rand, f.users = func() time.Time { return f.now }, rand.Reader, s.Users()
	s.Apps = []login.Client{
		{ID: "secret-app", Secret: "s3cret", Redirects: []string{"https://steward.example/callback"}, RunAs: f.users[0].Username, Rotate: true},
		{ID: "service", Key: &key.PublicKey},
	}
	f.Server = httptest.NewServer(s)
	f.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(f.Close)
	return f
}

// post sends a form, and gives the answer's status, its JSON if it is that, and where it leads.
func (f *front) post(path string, form url.Values) (int, map[string]any, string) {
	f.t.Helper()
	r, err := f.Client().PostForm(f.URL+path, form)
	if err != nil {
		f.t.Fatal(err)
	}
	defer r.Body.Close()
	var reply map[string]any
	_ = json.NewDecoder(r.Body).Decode(&reply)
	return r.StatusCode, reply, r.Header.Get("Location")
}

func (f *front) token(form url.Values) (int, map[string]any) {
	status, reply, _ := f.post("/services/oauth2/token", form)
	return status, reply
}

// whose tells whose the org takes a token for, "" for nobody's.
func (f *front) whose(token any) string {
	f.t.Helper()
	r, err := http.NewRequest(http.MethodGet, f.URL+"/services/oauth2/userinfo", nil)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+fmt.Sprint(token))
	answer, err := f.Client().Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer answer.Body.Close()
	var who struct {
		Username string `json:"preferred_username"`
	}
	if answer.StatusCode == http.StatusOK {
		_ = json.NewDecoder(answer.Body).Decode(&who)
	}
	return who.Username
}

const (
	verifier = "a-verifier-of-more-than-forty-three-characters-as-it-must-be"
	callback = "http://127.0.0.1:1717/callback"
)

func asks(with ...string) url.Values {
	challenge := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {login.App}, "redirect_uri": {callback}, "state": {"st&te"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(with); i += 2 {
		q.Set(with[i], with[i+1])
	}
	return q
}

// code has somebody sign in, and gives the code that the app gets.
func (f *front) code(with ...string) string {
	f.t.Helper()
	form := asks(with...)
	form.Set("username", f.users[1].Username)
	form.Set("password", login.Password)
	form.Set("decision", "allow")
	status, _, to := f.post("/services/oauth2/authorize", form)
	u, err := url.Parse(to)
	if err != nil || status != http.StatusFound || !strings.HasPrefix(to, form.Get("redirect_uri")+"?") || u.Query().Get("state") != "st&te" {
		f.t.Fatalf("%d to %s", status, to)
	}
	return u.Query().Get("code")
}

func redeems(code string, with ...string) url.Values {
	form := url.Values{"grant_type": {"authorization_code"}, "client_id": {login.App}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	for i := 0; i < len(with); i += 2 {
		form.Set(with[i], with[i+1])
	}
	return form
}

func TestSigningInWithABrowser(t *testing.T) {
	f := openFront(t)
	r, err := f.Client().Get(f.URL + "/services/oauth2/authorize?" + asks("login_hint", `"><script>`).Encode())
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(r.Body)
	r.Body.Close()
	if r.StatusCode != http.StatusOK || !strings.Contains(string(body), "This is a sandbox") || strings.Contains(string(body), "<script>") || !strings.Contains(r.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%d %s", r.StatusCode, body)
	}
	status, got := f.token(redeems(f.code()))
	token, _ := got["access_token"].(string)
	if status != http.StatusOK || !regexp.MustCompile(`^00D\w{12}![.\w]+$`).MatchString(token) || got["instance_url"] != f.URL || f.whose(token) != f.users[1].Username {
		t.Fatalf("%d %v, of %q", status, got, f.whose(token))
	}
	// It ends, and the refresh token gives another.
	f.now = f.now.Add(2 * time.Hour)
	if who := f.whose(token); who != "" {
		t.Errorf("two hours later it is still %s's", who)
	}
	renews := url.Values{"grant_type": {"refresh_token"}, "client_id": {login.App}, "refresh_token": {fmt.Sprint(got["refresh_token"])}}
	status, renewed := f.token(renews)
	if status != http.StatusOK || f.whose(renewed["access_token"]) != f.users[1].Username {
		t.Errorf("renewed: %d %v", status, renewed)
	}
	// Revoked, neither is good for anything.
	if status, _, _ := f.post("/services/oauth2/revoke", url.Values{"token": {fmt.Sprint(got["refresh_token"])}}); status != http.StatusOK {
		t.Errorf("revoking: %d", status)
	}
	if status, _ := f.token(renews); status != http.StatusBadRequest || f.whose(renewed["access_token"]) != "" {
		t.Errorf("revoked, it renews (%d), or its session goes on", status)
	}
}

func TestTheTokensItBeginsWithStay(t *testing.T) {
	f := openFront(t)
	if status, got, _ := f.post("/services/oauth2/revoke", url.Values{"token": {f.users[0].AccessToken}}); status != http.StatusForbidden || f.whose(f.users[0].AccessToken) == "" {
		t.Errorf("revoking: %d %v", status, got)
	}
	if status, _, _ := f.post("/services/oauth2/revoke", url.Values{"token": {"nobody's"}}); status != http.StatusBadRequest {
		t.Errorf("revoking what there isn't: %d", status)
	}
}

func TestCodesAreGoodForWhomTheyAreMeantAndOnce(t *testing.T) {
	f := openFront(t)
	for name, with := range map[string][]string{
		"another's verifier": {"code_verifier", verifier + "x"}, "no verifier": {"code_verifier", ""}, "another address": {"redirect_uri", callback + "/x"},
		"another app": {"client_id", "secret-app", "client_secret", "s3cret"},
	} {
		code := f.code()
		if status, got := f.token(redeems(code, with...)); status != http.StatusBadRequest || got["access_token"] != nil {
			t.Errorf("%s: %d %v", name, status, got)
		}
		if status, _ := f.token(redeems(code)); status != http.StatusBadRequest {
			t.Errorf("%s: a second try is answered with %d", name, status)
		}
	}
	code := f.code()
	f.now = f.now.Add(11 * time.Minute)
	if status, _ := f.token(redeems(code)); status != http.StatusBadRequest {
		t.Errorf("a code of eleven minutes ago: %d", status)
	}
	// Nobody is sent where the app doesn't live.
	for _, to := range []string{"https://evil.example/", "http://127.0.0.1@evil.example/", "http://evil.example/127.0.0.1", "javascript:alert(1)", "//evil.example", ""} {
		r, err := f.Client().Get(f.URL + "/services/oauth2/authorize?" + asks("redirect_uri", to).Encode())
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != http.StatusBadRequest || r.Header.Get("Location") != "" {
			t.Errorf("%q: %d to %s", to, r.StatusCode, r.Header.Get("Location"))
		}
	}
	form := asks()
	form.Set("decision", "deny")
	if _, _, to := f.post("/services/oauth2/authorize", form); !strings.Contains(to, "error=access_denied") {
		t.Errorf("denied, it leads to %s", to)
	}
	form.Set("decision", "allow")
	form.Set("username", f.users[1].Username)
	form.Set("password", "guess")
	if status, _, to := f.post("/services/oauth2/authorize", form); status != http.StatusOK || to != "" {
		t.Errorf("a wrong password: %d to %s", status, to)
	}
}

func TestOtherWaysIn(t *testing.T) {
	f := openFront(t)
	admin := f.users[0].Username
	password := url.Values{"grant_type": {"password"}, "client_id": {login.App}, "username": {strings.ToUpper(admin)}, "password": {login.Password}}
	if status, got := f.token(password); status != http.StatusOK || f.whose(got["access_token"]) != admin {
		t.Errorf("password: %d %v", status, got)
	}
	password.Set("password", login.Password+"x")
	if status, got := f.token(password); status != http.StatusBadRequest || got["error"] != "invalid_grant" {
		t.Errorf("a wrong password: %d %v", status, got)
	}
	app := url.Values{"grant_type": {"client_credentials"}, "client_id": {"secret-app"}, "client_secret": {"s3cret"}}
	status, got := f.token(app)
	if status != http.StatusOK || f.whose(got["access_token"]) != admin {
		t.Errorf("client credentials: %d %v", status, got)
	}
	_, told, _ := f.post("/services/oauth2/introspect", url.Values{"token": {fmt.Sprint(got["access_token"])}, "client_id": {"secret-app"}, "client_secret": {"s3cret"}})
	if told["active"] != true || told["username"] != admin {
		t.Errorf("introspected: %v", told)
	}
	if _, told, _ := f.post("/services/oauth2/introspect", url.Values{"token": {fmt.Sprint(got["access_token"])}, "client_id": {login.App}}); told["active"] != false {
		t.Errorf("another app is told %v", told)
	}
	app.Set("client_secret", "guess")
	if status, _ := f.token(app); status != http.StatusBadRequest {
		t.Errorf("a wrong secret: %d", status)
	}
	app.Set("client_id", login.App)
	if status, _ := f.token(app); status != http.StatusBadRequest {
		t.Errorf("an app without a secret: %d", status)
	}
	for name, c := range map[string]struct {
		alg, iss string
		exp      any
		forged   bool
		good     bool
	}{
		"seconds": {"RS256", "service", f.now.Add(time.Minute).Unix(), false, true}, "milliseconds": {"RS256", "service", f.now.Add(time.Minute).UnixMilli(), false, true},
		"text": {"RS256", "service", fmt.Sprint(f.now.Add(time.Minute).Unix()), false, true}, "expired": {"RS256", "service", f.now.Unix(), false, false},
		"no algorithm": {"none", "service", f.now.Add(time.Minute).Unix(), false, false}, "another algorithm": {"HS256", "service", f.now.Add(time.Minute).Unix(), false, false},
		"an app without a key": {"RS256", login.App, f.now.Add(time.Minute).Unix(), false, false}, "forged": {"RS256", "service", f.now.Add(time.Minute).Unix(), true, false},
	} {
		claims, err := json.Marshal(map[string]any{"iss": c.iss, "sub": admin, "aud": f.URL + "/", "exp": c.exp})
		if err != nil {
			t.Fatal(err)
		}
		text := base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT","alg":"`+c.alg+`"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
		digest := sha256.Sum256([]byte(text))
		sig, err := rsa.SignPKCS1v15(nil, f.key, crypto.SHA256, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		if c.forged {
			sig[9] ^= 1
		}
		status, got := f.token(url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {text + "." + base64.RawURLEncoding.EncodeToString(sig)}})
		if (status == http.StatusOK && f.whose(got["access_token"]) == admin) != c.good {
			t.Errorf("an assertion, %s: %d %v", name, status, got)
		}
	}
	// Rotated refresh tokens are good for one use.
	form := asks("client_id", "secret-app", "redirect_uri", "https://steward.example/callback")
	_, got = f.token(redeems(f.code("client_id", "secret-app", "redirect_uri", form.Get("redirect_uri")), "client_id", "secret-app", "client_secret", "s3cret", "redirect_uri", form.Get("redirect_uri")))
	renews := url.Values{"grant_type": {"refresh_token"}, "client_id": {"secret-app"}, "client_secret": {"s3cret"}, "refresh_token": {fmt.Sprint(got["refresh_token"])}}
	if status, again := f.token(renews); status != http.StatusOK || again["refresh_token"] == got["refresh_token"] {
		t.Errorf("rotated: %d %v", status, again)
	}
	if status, _ := f.token(renews); status != http.StatusBadRequest {
		t.Errorf("used twice: %d", status)
	}
}

func TestSOAPLogin(t *testing.T) {
	f := openFront(t)
	call := func(body string) (int, string) {
		t.Helper()
		r, err := f.Client().Post(f.URL+"/services/Soap/u/50.0", "text/xml", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, _ := io.ReadAll(r.Body)
		return r.StatusCode, string(text)
	}
	envelope := func(username, password string) string {
		return `<se:Envelope xmlns:se="http://schemas.xmlsoap.org/soap/envelope/"><se:Header/><se:Body><login xmlns="urn:partner.soap.sforce.com"><username>` +
			username + `</username><password>` + password + `</password></login></se:Body></se:Envelope>`
	}
	status, text := call(envelope(f.users[0].Username, login.Password))
	session := regexp.MustCompile(`<sessionId>(.+)</sessionId>`).FindStringSubmatch(text)
	if status != http.StatusOK || session == nil || f.whose(session[1]) != f.users[0].Username || !strings.Contains(text, f.URL+"/services/Soap/u/50.0/00D") {
		t.Errorf("%d %s", status, text)
	}
	leave := func(session string) (int, string) {
		return call(`<se:Envelope xmlns:se="http://schemas.xmlsoap.org/soap/envelope/"><se:Header><SessionHeader xmlns="urn:partner.soap.sforce.com"><sessionId>` +
			session + `</sessionId></SessionHeader></se:Header><se:Body><logout xmlns="urn:partner.soap.sforce.com"/></se:Body></se:Envelope>`)
	}
	if status, text := leave(session[1]); status != http.StatusOK || f.whose(session[1]) != "" {
		t.Errorf("logged out: %d %s", status, text)
	}
	if status, text := leave(session[1]); status != http.StatusInternalServerError || !strings.Contains(text, "sf:INVALID_SESSION_ID") {
		t.Errorf("logged out twice: %d %s", status, text)
	}
	bomb := `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>` + envelope("&b;", login.Password)
	for name, body := range map[string]string{
		"a wrong password": envelope(f.users[0].Username, "guess"), "entities": bomb, "no XML": "{}", "nothing": "", "huge": envelope(strings.Repeat("a", 100_000), "x"),
	} {
		if status, text := call(body); status != http.StatusInternalServerError || !strings.Contains(text, "<faultcode>sf:") || strings.Contains(text, "sessionId") {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
}
