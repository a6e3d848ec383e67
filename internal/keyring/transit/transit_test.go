package transit_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/keyring/transit"
)

// answer is what a server says to a request whose method and path begin like this.
type answer struct {
	request string
	status  int
	body    string
}

// answering is a server that follows a script, and refuses what isn't in it. A real one is tried in the
// folder openbao; this one does what real ones shouldn't.
func answering(t *testing.T, script ...answer) (*httptest.Server, *[]*http.Request) {
	t.Helper()
	var asked []*http.Request
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r)
		for _, a := range script {
			if strings.HasPrefix(r.Method+" "+r.URL.Path, a.request) {
				if a.status >= 300 && a.status < 400 {
					w.Header().Set("Location", a.body)
				}
				w.WriteHeader(a.status)
				_, _ = w.Write([]byte(a.body))
				return
			}
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(s.Close)
	return s, &asked
}

func tokenFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("s.secret-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func engine(t *testing.T, s *httptest.Server) *transit.Engine {
	t.Helper()
	c := *s.Client()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	e, err := transit.New(transit.Config{Address: s.URL, TokenFile: tokenFile(t), Client: &c})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func says(t *testing.T, err error, words string) {
	t.Helper()
	if steward.KindOf(err) != steward.Unavailable || err == nil || !strings.Contains(steward.Message(err), words) {
		t.Errorf("%v doesn't say %q", err, words)
	}
	if err != nil && strings.Contains(err.Error(), "secret") {
		t.Errorf("%q shows a secret", err)
	}
}

const (
	name = "2-0123456789abcdef"
	key  = "/v1/transit/keys/steward-" + name
)

func TestRequests(t *testing.T) {
	ctx := context.Background()
	s, asked := answering(t,
		answer{"PUT " + key, 200, `{}`},
		answer{"PUT /v1/transit/encrypt/steward-" + name, 200, `{"data":{"ciphertext":"vault:v1:abc"}}`},
		answer{"PUT /v1/transit/decrypt/steward-" + name, 200, fmt.Sprintf(`{"data":{"plaintext":%q}}`, base64.StdEncoding.EncodeToString([]byte("the secret text")))},
		answer{"DELETE " + key, 204, ""},
		answer{"GET " + key, 404, `{"errors":[]}`},
	)
	e := engine(t, s)
	wrapped, err := e.Wrap(ctx, name, "the secret text")
	if err != nil || wrapped != "vault:v1:abc" {
		t.Errorf("%q, %v", wrapped, err)
	}
	if text, err := e.Unwrap(ctx, name, wrapped); err != nil || text != "the secret text" {
		t.Errorf("%q, %v", text, err)
	}
	if err := e.Destroy(ctx, name); err != nil {
		t.Error(err)
	}
	for _, r := range *asked {
		if r.Header.Get("X-Vault-Token") != "s.secret-token" {
			t.Errorf("%s %s came without the token", r.Method, r.URL)
		}
	}
}

// TestNothingIsDestroyedByAHalfAnswer shows a destruction that isn't believed: a receipt would rest on it.
func TestNothingIsDestroyedByAHalfAnswer(t *testing.T) {
	for what, script := range map[string][]answer{
		"it is still there":            {{"PUT " + key, 204, ""}, {"DELETE " + key, 204, ""}, {"GET " + key, 200, `{"data":{"name":"steward"}}`}},
		"something else answers":       {{"", 200, "<html>Welcome</html>"}},
		"something answers nothing":    {{"", 200, ""}},
		"it is redirected":             {{"", 307, "https://192.0.2.1/v1/"}},
		"the last look is redirected":  {{"PUT " + key, 204, ""}, {"DELETE " + key, 204, ""}, {"GET " + key, 307, "https://192.0.2.1/v1/"}},
		"nobody may look":              {{"PUT " + key, 204, ""}, {"DELETE " + key, 204, ""}},
		"there is no engine":           {{"", 404, `{"errors":["no handler for route"]}`}},
		"it may not be deleted":        {{"PUT " + key, 204, ""}, {"DELETE " + key, 400, `{"errors":["deletion is not allowed for this key"]}`}, {"GET " + key, 200, `{"data":{"name":"steward"}}`}},
		"the server fails in between":  {{"PUT " + key, 204, ""}, {"DELETE " + key, 500, `{"errors":["storage"]}`}, {"GET " + key, 404, `{"errors":[]}`}},
		"the server is sealed by then": {{"PUT " + key, 204, ""}, {"DELETE " + key, 503, `{"errors":["Vault is sealed"]}`}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s, _ := answering(t, script...)
			err := engine(t, s).Destroy(context.Background(), name)
			says(t, err, "key server at "+s.URL)
		})
	}
}

// TestOnlyMissingKeysAreMissing: a root whose key is taken for missing is passed over.
func TestOnlyMissingKeysAreMissing(t *testing.T) {
	const decrypt = "PUT /v1/transit/decrypt/"
	for what, c := range map[string]struct {
		missing bool
		script  []answer
	}{
		"it is":                       {true, []answer{{decrypt, 400, `{"errors":["encryption key not found"]}`}, {"GET " + key, 404, `{"errors":[]}`}}},
		"the text is not the key's":   {false, []answer{{decrypt, 400, `{"errors":["cipher: message authentication failed"]}`}, {"GET " + key, 200, `{"data":{"name":"steward"}}`}}},
		"there is no engine":          {false, []answer{{"", 404, `{"errors":["no handler for route"]}`}}},
		"nobody may look":             {false, []answer{{decrypt, 400, `{"errors":["encryption key not found"]}`}}},
		"nobody may decrypt":          {false, []answer{{"GET " + key, 404, `{"errors":[]}`}}},
		"the server is sealed":        {false, []answer{{"", 503, `{"errors":["Vault is sealed"]}`}}},
		"something else answers":      {false, []answer{{"", 200, "<html>Welcome</html>"}}},
		"something answers nothing":   {false, []answer{{"", 200, ""}}},
		"the answer has no text":      {false, []answer{{decrypt, 200, `{"data":{}}`}}},
		"the answer is not a text":    {false, []answer{{decrypt, 200, `{"data":{"plaintext":7}}`}}},
		"the answer is not in base64": {false, []answer{{decrypt, 200, `{"data":{"plaintext":"secret!"}}`}}},
		"it is redirected":            {false, []answer{{"", 302, "https://192.0.2.1/v1/"}}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s, _ := answering(t, c.script...)
			_, err := engine(t, s).Unwrap(context.Background(), name, "vault:v1:abc")
			if err == nil || errors.Is(err, keyring.ErrUnwrappable) != c.missing || strings.Contains(err.Error(), "secret!") {
				t.Error(err)
			}
		})
	}
}

func TestWrappedTextFitsInALine(t *testing.T) {
	for _, body := range []string{`{"data":{"ciphertext":""}}`, `{"data":{"ciphertext":"vault:v1:a b"}}`, `{"data":{"ciphertext":"vault:v1:a\nb"}}`, `{"data":null}`, `[]`} {
		s, _ := answering(t, answer{"PUT " + key, 200, `{}`}, answer{"PUT /v1/transit/encrypt/", 200, body})
		if wrapped, err := engine(t, s).Wrap(context.Background(), name, "text"); err == nil {
			t.Errorf("%s gave %q", body, wrapped)
		}
	}
}

func TestConnections(t *testing.T) {
	ctx := context.Background()
	s, _ := answering(t)
	strange, err := transit.New(transit.Config{Address: s.URL, TokenFile: tokenFile(t), Client: &http.Client{}}) // doesn't know who signed s's certificate
	if err != nil {
		t.Fatal(err)
	}
	_, err = strange.Unwrap(ctx, name, "vault:v1:abc")
	says(t, err, "certificate of the key server at "+s.URL)

	elsewhere, asked := answering(t)
	redirecting, _ := answering(t, answer{"", 307, elsewhere.URL})
	_, err = engine(t, redirecting).Unwrap(ctx, name, "vault:v1:abc")
	says(t, err, "sends requests elsewhere")
	if len(*asked) > 0 {
		t.Error("the token went elsewhere")
	}

	gone := httptest.NewTLSServer(http.NotFoundHandler())
	e := engine(t, gone)
	gone.Close()
	says(t, e.Destroy(ctx, name), "can't be reached")
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := e.Wrap(canceled, name, "secret"); err == nil {
		t.Error("a server that is gone wraps")
	}
}

func TestSettings(t *testing.T) {
	for _, address := range []string{"", "bao", "bao.example.com:8200", "unix:///run/bao.sock", "ftp://bao.example.com", "https://", "https://user:secret@bao.example.com", "https://bao.example.com/v1", "http://bao.example.com:8200", "http://localhost:8200", "http://[::2]:8200", "https://bao.example.com:port"} {
		if _, err := transit.New(transit.Config{Address: address, Client: &http.Client{}}); steward.KindOf(err) != steward.Invalid || err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, address := range []string{"https://bao.example.com:8200", "https://bao.example.com/", "http://127.0.0.1:8200", "http://[::1]:8200"} {
		e, err := transit.New(transit.Config{Address: address, Client: &http.Client{}, Backups: time.Hour})
		if err != nil || e.Horizon() != time.Hour {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestBackupsAreNotKeptForLessThanNothing(t *testing.T) {
	if _, err := transit.New(transit.Config{Address: "https://bao.example.com", Client: &http.Client{}, Backups: -1}); steward.KindOf(err) != steward.Invalid || err == nil {
		t.Error(err)
	}
}

func TestTokenFile(t *testing.T) {
	ctx := context.Background()
	s, asked := answering(t)
	path := tokenFile(t)
	e, err := transit.New(transit.Config{Address: s.URL, TokenFile: path, Client: s.Client()})
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		says(t, e.Destroy(ctx, name), "chmod 600 "+path)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	says(t, e.Destroy(ctx, name), "can't be read from "+path)
	if _, err := e.Renew(ctx); err == nil {
		t.Error("a token that isn't there was renewed")
	}
	if len(*asked) > 0 {
		t.Error("the server was asked with a token that others know, or with none")
	}
}
