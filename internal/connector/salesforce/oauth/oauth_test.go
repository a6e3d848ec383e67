package oauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/connector/salesforce/oauth"
	"github.com/stewardhq/steward/internal/credential"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const (
	org  = "00D000000000001AAA"
	user = "005000000000001AAA"
)

// login is a login server that answers as it is told and keeps what it was sent.
type login struct {
	*httptest.Server
	app    *oauth.App
	mu     sync.Mutex // a request that was given up on may still be answered
	answer http.HandlerFunc
	forms  []url.Values
	paths  []string
	auth   []string
}

func start(t *testing.T) *login {
	t.Helper()
	l := &login{}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		l.mu.Lock()
		l.forms, l.paths, l.auth = append(l.forms, r.PostForm), append(l.paths, r.Method+" "+r.URL.String()), append(l.auth, r.Header.Get("Authorization"))
		answer := l.answer
		l.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(l.Close)
	l.app = &oauth.App{ClientID: "3MVG9app", Logins: []string{l.URL}, Now: func() time.Time { return noon }}
	return l
}

// answers has it answer so from now on.
func (l *login) answers(f http.HandlerFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer = f
}

// tokens answers as the token endpoint does, with some members otherwise.
func (l *login) tokens(but map[string]any) {
	reply := map[string]any{
		"access_token": "00D000000000001!new.token_1", "instance_url": "https://acme.my.salesforce.com", "id": "https://login.salesforce.com/id/" + org + "/" + user,
		"token_type": "Bearer", "issued_at": "1795435200123", "signature": "c2ln", "scope": "api refresh_token openid",
	}
	for k, v := range but {
		reply[k] = v
		if v == nil {
			delete(reply, k)
		}
	}
	l.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(reply)
	})
}

func (l *login) ask() oauth.Ask {
	return oauth.Ask{Login: l.URL, ClientID: l.app.ClientID, Callback: "https://steward.acme.example/cb", State: "st.ate", Verifier: "verifier"}
}

func (l *login) grant() credential.Grant {
	return credential.Grant{
		AccessToken: "00D!old", RefreshToken: "5Aep_old", InstanceURL: "https://acme.my.salesforce.com", OrgID: org, UserID: user, LoginURL: l.URL, ClientID: l.app.ClientID,
	}
}

func TestAsk(t *testing.T) {
	to, err := url.Parse(start(t).ask().URL())
	if err != nil || to.Path != "/services/oauth2/authorize" {
		t.Fatalf("%v, %v", to, err)
	}
	sum := sha256.Sum256([]byte("verifier"))
	for name, want := range map[string]string{
		"response_type": "code", "client_id": "3MVG9app", "redirect_uri": "https://steward.acme.example/cb", "scope": "api refresh_token openid", "state": "st.ate",
		"code_challenge_method": "S256", "code_challenge": base64.RawURLEncoding.EncodeToString(sum[:]),
	} {
		if got := to.Query().Get(name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	if strings.Contains(to.String(), "verifier") {
		t.Error("the browser is given the verifier")
	}
}

func TestExchangeAndRenew(t *testing.T) {
	ctx, l := context.Background(), start(t)
	l.app.Secret = "s3cret"
	l.tokens(map[string]any{"refresh_token": "5Aep_1"})
	g, err := l.app.Exchange(ctx, l.Client(), l.ask(), "aPrx")
	want := credential.Grant{
		AccessToken: "00D000000000001!new.token_1", RefreshToken: "5Aep_1", InstanceURL: "https://acme.my.salesforce.com", OrgID: org, UserID: user, LoginURL: l.URL, ClientID: "3MVG9app",
		Issued: time.UnixMilli(1795435200123).UTC(),
	}
	if err != nil || g != want {
		t.Errorf("%#v, %v", g, err)
	}
	if got := l.forms[0].Encode(); got != (url.Values{
		"grant_type": {"authorization_code"}, "code": {"aPrx"}, "redirect_uri": {"https://steward.acme.example/cb"}, "code_verifier": {"verifier"},
		"client_id": {"3MVG9app"}, "client_secret": {"s3cret"},
	}).Encode() || l.paths[0] != "POST /services/oauth2/token" || l.auth[0] != "" {
		t.Errorf("sent %s %s", l.paths[0], got)
	}

	l.tokens(nil) // no rotation: the refresh token stays
	g.AccessToken = "00D!old"
	if again, err := l.app.Renew(ctx, l.Client(), g); err != nil || again != want {
		t.Errorf("%#v, %v", again, err)
	}
	if got := l.forms[1].Encode(); got != (url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {"5Aep_1"}, "client_id": {"3MVG9app"}, "client_secret": {"s3cret"},
	}).Encode() {
		t.Errorf("sent %s", got)
	}
	l.tokens(map[string]any{"refresh_token": "5Aep_2"})
	if again, err := l.app.Renew(ctx, l.Client(), g); err != nil || again.RefreshToken != "5Aep_2" {
		t.Errorf("%#v, %v", again, err)
	}

	// Ids come in two forms, and are kept in the longer one.
	l.tokens(map[string]any{"id": "https://login.salesforce.com/id/00D50000000IZ3Z/00550000001fg5O"})
	if g, err := l.app.Exchange(ctx, l.Client(), l.ask(), "c"); err != nil || g.OrgID != "00D50000000IZ3ZEAW" || g.UserID != "00550000001fg5OAAQ" {
		t.Errorf("%+v, %v", g, err)
	}

	// Another app's sign-in is not given this app's secret.
	other := l.ask()
	other.ClientID = "3MVG9other"
	if g, err := l.app.Exchange(ctx, l.Client(), other, "aPrx"); err != nil || g.ClientID != "3MVG9other" {
		t.Errorf("%#v, %v", g, err)
	}
	if got := l.forms[4]; got.Get("client_id") != "3MVG9other" || got.Has("client_secret") {
		t.Errorf("sent %v", got)
	}
}

// TestStrangeReplies holds what a login server, or whoever answers for it, may say against what is taken.
func TestStrangeReplies(t *testing.T) {
	ctx, l := context.Background(), start(t)
	for name, but := range map[string]map[string]any{
		"no token":                  {"access_token": nil},
		"a token with a line break": {"access_token": "00D!a\r\nX-Evil: 1"},
		"a token with a space":      {"access_token": "00D!a b"},
		"an endless token":          {"access_token": strings.Repeat("a", 9<<10)},
		"a token that is a number":  {"access_token": 7},
		"another kind of token":     {"token_type": "mac"},
		"a strange refresh token":   {"refresh_token": "5Aep\n"},
		"no address":                {"instance_url": nil},
		"an address without TLS":    {"instance_url": "http://acme.my.salesforce.com"},
		"a metadata address":        {"instance_url": "http://169.254.169.254"},
		"an address with a path":    {"instance_url": "https://evil.example/acme.my.salesforce.com"},
		"an address with a user":    {"instance_url": "https://acme.my.salesforce.com@evil.example"},
		"a file":                    {"instance_url": "file:///etc/passwd"},
		"nobody's":                  {"id": nil},
		"somebody else's form":      {"id": "https://login.salesforce.com/id/" + org},
		"no user":                   {"id": "https://login.salesforce.com/id/" + org + "/00Q000000000001AAA"},
		"an id with more in it":     {"id": "https://login.salesforce.com/id/" + org + "/005000000000'--AAA"},
	} {
		l.tokens(but)
		if g, err := l.app.Exchange(ctx, l.Client(), l.ask(), "c"); steward.KindOf(err) != steward.Upstream {
			t.Errorf("%s: %v, %v", name, g, err)
		}
	}
	for name, answer := range map[string]http.HandlerFunc{
		"a page":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<script>alert(1)</script>") },
		"nothing":    func(http.ResponseWriter, *http.Request) {},
		"a redirect": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusFound) },
		"a huge reply": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"access_token":"`, strings.Repeat("a", 80<<10), `"}`)
		},
		"half a reply": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "900")
			fmt.Fprint(w, `{"acc`)
		},
	} {
		l.answers(answer)
		if g, err := l.app.Exchange(ctx, l.Client(), l.ask(), "c"); steward.KindOf(err) != steward.Upstream || strings.Contains(steward.Message(err), "<") {
			t.Errorf("%s: %v, %v", name, g, err)
		}
	}
	l.tokens(nil)
	whole := l.answer
	l.answers(func(w http.ResponseWriter, r *http.Request) { whole(w, r); fmt.Fprint(w, strings.Repeat(" ", 80<<10)) })
	if g, err := l.app.Exchange(ctx, l.Client(), l.ask(), "c"); steward.KindOf(err) != steward.Upstream {
		t.Errorf("a reply with much behind it: %v, %v", g, err)
	}
	// A reply that drips is given up on with the caller's patience.
	l.answers(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err := l.app.Renew(short, l.Client(), l.grant())
	if steward.KindOf(err) != steward.Upstream || strings.Contains(err.Error(), "5Aep") {
		t.Errorf("%v", err)
	}
	// A renewal must be of the same sign-in.
	for name, but := range map[string]map[string]any{
		"another org":     {"id": "https://login.salesforce.com/id/00D000000000002AAA/" + user},
		"another user":    {"id": "https://login.salesforce.com/id/" + org + "/005000000000002AAA"},
		"another address": {"instance_url": "https://evil.my.salesforce.com"},
	} {
		l.tokens(but)
		if g, err := l.app.Renew(ctx, l.Client(), l.grant()); steward.KindOf(err) != steward.Conflict || g.AccessToken != "00D000000000001!new.token_1" {
			t.Errorf("%s: %v, %v; the token is needed to revoke it", name, g, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	ctx, l := context.Background(), start(t)
	for _, c := range []struct {
		status int
		body   string
		kind   steward.Kind
		code   string
	}{
		{400, `{"error":"invalid_grant","error_description":"expired access/refresh token of <b>Maria</b>"}`, steward.Unauthenticated, "INVALID_GRANT"},
		{400, `{"error":"inactive_user"}`, steward.Unauthenticated, "INACTIVE_USER"},
		{400, `{"error":"invalid_client_id","error_description":"client identifier invalid"}`, steward.Denied, "INVALID_CLIENT_ID"},
		{401, `{"error":"invalid_client"}`, steward.Denied, "INVALID_CLIENT"},
		{400, `{"error":"<script>"}`, steward.Upstream, "HTTP_400"},
		{400, `{"error":"` + strings.Repeat("a", 50) + `"}`, steward.Upstream, "HTTP_400"},
		{404, `<html>`, steward.Upstream, "HTTP_404"},
		{500, `{"error":"invalid_grant"}`, steward.Upstream, "HTTP_500"},
		{429, `{"error":"invalid_grant"}`, steward.Upstream, "HTTP_429"},
		{503, ``, steward.Upstream, "HTTP_503"},
	} {
		l.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.status); fmt.Fprint(w, c.body) })
		_, err := l.app.Renew(ctx, l.Client(), l.grant())
		var theirs *connector.Error
		if steward.KindOf(err) != c.kind || !errors.As(err, &theirs) || theirs.Code != c.code || theirs.HTTP != c.status {
			t.Errorf("%d %s: %v of kind %v", c.status, c.body, err, steward.KindOf(err))
		}
		if text := err.Error() + steward.Message(err); strings.Contains(text, "Maria") || strings.Contains(text, "script") {
			t.Errorf("%d %s: it says %q", c.status, c.body, text)
		}
	}
	for said, code := range map[string]string{"access_denied": "ACCESS_DENIED", "<img src=x>": "UNRECOGNISED", "": "UNRECOGNISED", "invalid_scope": "INVALID_SCOPE"} {
		err := oauth.Refusal(said)
		var theirs *connector.Error
		if steward.KindOf(err) != steward.Denied || !errors.As(err, &theirs) || theirs.Code != code || strings.Contains(steward.Message(err), "<") {
			t.Errorf("%q: %v", said, err)
		}
	}
}

// TestOnlyNamedLogins: nothing is sent to a login server that no operator named, but what ends a grant of its own.
func TestOnlyNamedLogins(t *testing.T) {
	ctx, l := context.Background(), start(t)
	l.answers(func(http.ResponseWriter, *http.Request) {})
	l.app.Logins = []string{"https://login.salesforce.com"}
	l.app.Key = key(t, 2048)
	if _, err := l.app.Exchange(ctx, l.Client(), l.ask(), "c"); steward.KindOf(err) != steward.Denied {
		t.Error(err)
	}
	if _, err := l.app.Renew(ctx, l.Client(), l.grant()); steward.KindOf(err) != steward.Denied {
		t.Error(err)
	}
	if _, err := l.app.Assert(ctx, l.Client(), l.URL, "ana@acme.example"); steward.KindOf(err) != steward.Denied {
		t.Error(err)
	}
	if len(l.forms) != 0 {
		t.Errorf("it was sent %v", l.forms)
	}
	if err := l.app.Revoke(ctx, l.Client(), l.grant()); err != nil || len(l.forms) != 1 {
		t.Errorf("%v, %v", l.forms, err)
	}
	l.app.Logins = []string{"https://login.salesforce.com", "https://acme.my.salesforce.com"}
	for instance, want := range map[string]string{
		"": "https://login.salesforce.com", "https://acme.my.salesforce.com": "https://acme.my.salesforce.com", "https://evil.example": "https://login.salesforce.com",
	} {
		if got := l.app.At(instance); got != want {
			t.Errorf("people of %q are sent to %q", instance, got)
		}
	}
	if got := new(oauth.App).At("https://evil.example"); got != "" {
		t.Errorf("without a login server people are sent to %q", got)
	}
}

func TestLogin(t *testing.T) {
	for raw, want := range map[string]string{
		"https://login.salesforce.com": "https://login.salesforce.com", "https://ACME.my.salesforce.com/": "https://acme.my.salesforce.com",
		"http://127.0.0.1:8080": "http://127.0.0.1:8080", "http://localhost:1": "http://localhost:1", "http://[::1]:2": "http://[::1]:2", "https://10.1.2.3:8443": "https://10.1.2.3:8443",
		"http://login.salesforce.com": "", "http://10.0.0.1": "", "http://169.254.169.254": "", "http://127.0.0.1.evil.example": "", "http://localhost.evil.example": "", "ftp://127.0.0.1": "",
		"https://a/b": "", "https://a?b": "", "https://a#b": "", "https://u:p@a": "", "https://": "", "login.salesforce.com": "", "": "", "javascript:alert(1)": "", "https://%zz": "",
	} {
		got, err := oauth.Login(raw)
		if got != want || (err == nil) != (want != "") || (err != nil && steward.KindOf(err) != steward.Invalid) {
			t.Errorf("%q: %q, %v", raw, got, err)
		}
	}
}

func TestRevoke(t *testing.T) {
	ctx, l := context.Background(), start(t)
	for _, c := range []struct {
		status int
		body   string
		ok     bool
	}{
		{200, "", true}, {400, `{"error":"invalid_token"}`, true}, {400, `{"error":"unsupported_token_type"}`, true},
		{400, `{"error":"invalid_client"}`, false}, {500, "", false}, {302, "", false},
	} {
		l.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.status); fmt.Fprint(w, c.body) })
		if err := l.app.Revoke(ctx, l.Client(), l.grant()); (err == nil) != c.ok {
			t.Errorf("%d %s: %v", c.status, c.body, err)
		}
	}
	if l.paths[0] != "POST /services/oauth2/revoke" || l.forms[0].Encode() != "token=5Aep_old" {
		t.Errorf("sent %v %v", l.paths[0], l.forms[0])
	}
	g := l.grant()
	g.RefreshToken = ""
	_ = l.app.Revoke(ctx, l.Client(), g)
	if got := l.forms[len(l.forms)-1].Get("token"); got != "00D!old" {
		t.Errorf("of a service user %q was revoked", got)
	}
}

func key(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestAssertion(t *testing.T) {
	ctx, l := context.Background(), start(t)
	if _, err := l.app.Assert(ctx, l.Client(), l.URL, "ana@acme.example"); steward.KindOf(err) != steward.Invalid {
		t.Errorf("without a key: %v", err)
	}
	l.app.Key, l.app.Secret = key(t, 2048), "s3cret"
	l.tokens(nil)
	g, err := l.app.Assert(ctx, l.Client(), l.URL, "ana@acme.example")
	if err != nil || g.ServiceUser != "ana@acme.example" || g.RefreshToken != "" || !g.Renewable() {
		t.Fatalf("%#v, %v", g, err)
	}
	form := l.forms[0]
	if form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || len(form) != 2 {
		t.Errorf("sent %v", form)
	}
	parts := strings.Split(form.Get("assertion"), ".")
	if len(parts) != 3 {
		t.Fatalf("the assertion is %q", form.Get("assertion"))
	}
	var head struct{ Alg string }
	var claims struct {
		Iss, Sub, Aud string
		Exp           int64
	}
	signature := decode(t, parts[2], nil)
	decode(t, parts[0], &head)
	decode(t, parts[1], &claims)
	if head.Alg != "RS256" || claims.Iss != "3MVG9app" || claims.Sub != "ana@acme.example" || claims.Aud != l.URL ||
		claims.Exp <= noon.Unix() || claims.Exp > noon.Add(3*time.Minute).Unix() {
		t.Errorf("%+v %+v", head, claims)
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(&l.app.Key.PublicKey, crypto.SHA256, sum[:], signature); err != nil {
		t.Error(err)
	}
	for address, audience := range map[string]string{
		"https://acme.my.salesforce.com": "https://login.salesforce.com", "https://acme--uat.sandbox.my.salesforce.com": "https://test.salesforce.com", "https://test.salesforce.com": "https://test.salesforce.com",
	} {
		app := &oauth.App{ClientID: "c", Key: l.app.Key, Logins: []string{address}, Now: l.app.Now}
		client := &http.Client{Transport: answering(func(r *http.Request) *http.Response {
			if err := r.ParseForm(); err != nil {
				t.Error(err)
			}
			decode(t, strings.Split(r.PostForm.Get("assertion"), ".")[1], &claims)
			w := httptest.NewRecorder()
			w.WriteHeader(http.StatusBadRequest)
			return w.Result()
		})}
		if _, err := app.Assert(ctx, client, address, "u"); err == nil || claims.Aud != audience {
			t.Errorf("at %s the assertion is for %s", address, claims.Aud)
		}
	}
	// It is renewed by signing again, as the same user of the same org.
	if again, err := l.app.Renew(ctx, l.Client(), g); err != nil || again != g {
		t.Errorf("%#v, %v", again, err)
	}
	l.tokens(map[string]any{"id": "https://login.salesforce.com/id/" + org + "/005000000000002AAA"})
	if _, err := l.app.Renew(ctx, l.Client(), g); steward.KindOf(err) != steward.Conflict {
		t.Error(err)
	}
}

func decode(t *testing.T, part string, into any) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err == nil && into != nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestParseKey(t *testing.T) {
	good := key(t, 2048)
	eight := func(k any) []byte {
		raw, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
	}
	elliptic, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	one := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(good)})
	for name, file := range map[string][]byte{"PKCS #8": eight(good), "PKCS #1": one} {
		if k, err := oauth.ParseKey(file); err != nil || !k.Equal(good) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, file := range map[string][]byte{
		"nothing": nil, "no PEM": []byte("secret"), "half": one[:len(one)/2], "another kind": eight(elliptic), "a short one": eight(key(t, 1024)),
		"a certificate": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}),
	} {
		if _, err := oauth.ParseKey(file); steward.KindOf(err) != steward.Invalid || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSettings(t *testing.T) {
	dir, n := t.TempDir(), 0
	file := func(text []byte, mode os.FileMode) string {
		n++
		name := filepath.Join(dir, fmt.Sprint(n))
		if err := os.WriteFile(name, text, mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	k := key(t, 2048)
	pemmed := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)})
	a, err := oauth.New(oauth.Settings{
		ClientID: "3MVG9", SecretFile: file([]byte("s3cret\n"), 0o600), KeyFile: file(pemmed, 0o400), Logins: []string{"https://LOGIN.salesforce.com/"},
	}, time.Now)
	if err != nil || a.ClientID != "3MVG9" || a.Secret != "s3cret" || !a.Key.Equal(k) || len(a.Logins) != 1 || a.Logins[0] != "https://login.salesforce.com" {
		t.Errorf("%v", err)
	}
	if a, err := oauth.New(oauth.Settings{}, time.Now); err != nil || a.ClientID != "" {
		t.Errorf("%v", err)
	}
	for name, s := range map[string]oauth.Settings{
		"a secret that others can read": {ClientID: "c", SecretFile: file([]byte("s3cret"), 0o640)},
		"a key that others can read":    {ClientID: "c", KeyFile: file(pemmed, 0o604)},
		"no such file":                  {ClientID: "c", SecretFile: filepath.Join(dir, "none")},
		"no secret in it":               {ClientID: "c", SecretFile: file([]byte(" \n"), 0o600)},
		"two lines":                     {ClientID: "c", SecretFile: file([]byte("s3cret\ns3cret\n"), 0o600)},
		"no key in it":                  {ClientID: "c", KeyFile: file([]byte("s3cret"), 0o600)},
		"a login without TLS":           {ClientID: "c", Logins: []string{"http://login.salesforce.com"}},
		"a key without an app":          {KeyFile: file(pemmed, 0o600)},
	} {
		if _, err := oauth.New(s, time.Now); steward.KindOf(err) != steward.Invalid || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReply(f *testing.F) {
	f.Add(200, `{"access_token":"00D!a","instance_url":"https://a.my.salesforce.com","id":"https://l/id/00D000000000001AAA/005000000000001AAA"}`)
	f.Add(400, `{"error":"invalid_grant"}`)
	f.Add(200, `[]`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			return
		}
		app := &oauth.App{ClientID: "c", Logins: []string{"https://l"}, Now: func() time.Time { return noon }}
		client := &http.Client{Transport: answering(func(*http.Request) *http.Response {
			w := httptest.NewRecorder()
			w.WriteHeader(status)
			_, _ = w.WriteString(body)
			return w.Result()
		})}
		g, err := app.Renew(context.Background(), client, credential.Grant{AccessToken: "old", RefreshToken: "r", LoginURL: "https://l"})
		if err != nil {
			if strings.ContainsAny(steward.Message(err), "<>{}") {
				t.Errorf("it says %q", steward.Message(err))
			}
			return
		}
		if again, err := oauth.Login(g.InstanceURL); err != nil || again != g.InstanceURL || g.AccessToken == "" || strings.ContainsAny(g.AccessToken, " \r\n\x00") {
			t.Errorf("%#v", g.AccessToken)
		}
	})
}

type answering func(*http.Request) *http.Response

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) { return a(r), nil }
