// Package openbao holds the keeper of root keys against a real OpenBao server, which it runs in its own
// process. It is a module of its own, so that the program doesn't depend on the server: run
// `go test ./...` here.
package openbao

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/openbao/openbao/api/v2"
	"github.com/openbao/openbao/builtin/logical/transit"
	vaulthttp "github.com/openbao/openbao/http"
	"github.com/openbao/openbao/sdk/v2/logical"
	"github.com/openbao/openbao/vault"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	client "github.com/stewardhq/steward/internal/keyring/transit"
)

// server is an unsealed OpenBao with a transit engine, over TLS on this machine.
type server struct {
	*httptest.Server
	core  *vault.Core
	root  *api.Logical // may do everything
	token string       // root's
	dir   string       // for files with tokens
}

func start(t testing.TB) *server {
	t.Helper()
	core, _, token := vault.TestCoreUnsealedWithConfig(t.(*testing.T), &vault.CoreConfig{
		Logger:          hclog.NewNullLogger(),
		LogicalBackends: map[string]logical.Factory{"transit": transit.Factory},
	})
	s := &server{core: core, token: token, dir: t.TempDir()}
	s.Server = httptest.NewTLSServer(vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core}))
	t.Cleanup(s.Close)
	settings := api.NewConfig()
	settings.Address, settings.HttpClient = s.URL, s.Client()
	root, err := api.NewClient(settings)
	must(t, err)
	root.SetToken(token)
	s.root = root.Logical()
	s.write(t, "sys/mounts/transit", map[string]any{"type": "transit"})
	return s
}

func (s *server) write(t testing.TB, path string, data map[string]any) *api.Secret {
	t.Helper()
	answer, err := s.root.Write(path, data)
	must(t, err)
	return answer
}

// sign puts a token into a new file: one that may do what the policies say, made with more settings.
func (s *server) sign(t testing.TB, settings map[string]any, policies ...string) (file string) {
	t.Helper()
	data := map[string]any{"policies": policies, "ttl": "1h"}
	for name, value := range settings {
		data[name] = value
	}
	token, err := s.write(t, "auth/token/create", data).TokenID()
	must(t, err)
	return s.file(t, token)
}

func (s *server) file(t testing.TB, token string) string {
	t.Helper()
	f, err := os.CreateTemp(s.dir, "token")
	must(t, err)
	_, err = f.WriteString(token + "\n")
	must(t, err)
	must(t, f.Close())
	return f.Name()
}

// engine is ours, with one change of its settings.
func (s *server) engine(t testing.TB, change func(*client.Config)) *client.Engine {
	t.Helper()
	c := client.Config{Address: s.URL, TokenFile: filepath.Join(s.dir, "root"), Client: s.Client()}
	must(t, os.WriteFile(c.TokenFile, []byte(s.token), 0o600))
	if change != nil {
		change(&c)
	}
	e, err := client.New(c)
	must(t, err)
	return e
}

// keys lists what the server has.
func (s *server) keys(t testing.TB) []string {
	t.Helper()
	list, err := s.root.List("transit/keys")
	must(t, err)
	if list == nil {
		return nil
	}
	var names []string
	for _, name := range list.Data["keys"].([]any) {
		names = append(names, name.(string))
	}
	return names
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t testing.TB, what string, err error, says ...string) {
	t.Helper()
	if steward.KindOf(err) != steward.Unavailable || err == nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	for _, words := range says {
		if !strings.Contains(steward.Message(err), words) {
			t.Errorf("%s: %q doesn't say %q", what, steward.Message(err), words)
		}
	}
}

func root(generation uint64) keyring.Root {
	r := keyring.Root{Generation: generation}
	if _, err := rand.Read(r.Key[:]); err != nil {
		panic(err)
	}
	return r
}

// keeper is a new folder with one root in it.
func keeper(t testing.TB, wrap keyring.Wrapping) (keyring.FileKeeper, keyring.Root) {
	t.Helper()
	k := keyring.FileKeeper{Dir: filepath.Join(t.TempDir(), "keys"), Wrap: wrap}
	must(t, k.Create(rand.Reader))
	roots := roots(t, k)
	return k, roots[0]
}

func roots(t testing.TB, k keyring.Keeper) []keyring.Root {
	t.Helper()
	roots, err := k.Roots(context.Background())
	must(t, err)
	slices.SortFunc(roots, func(a, b keyring.Root) int { return int(a.Generation) - int(b.Generation) })
	return roots
}

func same(t testing.TB, what string, got []keyring.Root, want ...keyring.Root) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// copied is an attacker's copy of a folder.
func copied(t testing.TB, k keyring.FileKeeper) keyring.FileKeeper {
	t.Helper()
	to := keyring.FileKeeper{Dir: filepath.Join(t.TempDir(), "keys"), Wrap: k.Wrap}
	must(t, os.CopyFS(to.Dir, os.DirFS(k.Dir)))
	must(t, os.Chmod(to.Dir, 0o700))
	for _, path := range files(t, to) {
		must(t, os.Chmod(path, 0o600))
	}
	return to
}

func TestWhatWasSettledIsGone(t *testing.T) {
	ctx := context.Background()
	s := start(t)
	k, first := keeper(t, s.engine(t, func(c *client.Config) { c.Backups = 48 * time.Hour }))
	if k.Horizon() != 48*time.Hour {
		t.Error("backups of the server are forgotten about")
	}
	second, rival, third := root(2), root(2), root(3)
	for _, r := range []keyring.Root{second, rival, third} {
		must(t, k.Add(ctx, r))
	}
	before := copied(t, k)
	same(t, "the copy, before", roots(t, before)[3:], third)
	for _, path := range files(t, k) {
		text, err := os.ReadFile(path)
		must(t, err)
		for _, r := range []keyring.Root{first, second, rival, third} {
			if strings.Contains(string(text), fmt.Sprintf("%x", r.Key[:4])) {
				t.Errorf("%s shows a root key", path)
			}
		}
	}

	must(t, k.Settle(ctx, second))
	same(t, "settled", roots(t, k), second, third)
	same(t, "the copy, after", roots(t, readable(t, before)), second, third)
	must(t, k.Settle(ctx, second))
	must(t, k.Settle(ctx, third))
	must(t, k.Settle(ctx, second)) // by a process that is late
	same(t, "settled again", roots(t, k), third)
	if n := len(s.keys(t)); n != 1 || len(files(t, k)) != 1 {
		t.Errorf("%d keys and %d files for one root", n, len(files(t, k)))
	}

	// The old folder, and somebody who may do everything on the server.
	for _, path := range files(t, before) {
		text, err := os.ReadFile(path)
		must(t, err)
		name, wrapped, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
		answer, err := s.root.Write("transit/decrypt/steward-"+name, map[string]any{"ciphertext": wrapped})
		if open := err == nil && answer.Data["plaintext"] != ""; open != strings.HasPrefix(name, "3-") {
			t.Errorf("%s of the old copy opens: %v, %v", name, open, err)
		}
		// A key of the same name is another key.
		if !strings.HasPrefix(name, "3-") {
			s.write(t, "transit/keys/steward-"+name, nil)
			if _, err := s.root.Write("transit/decrypt/steward-"+name, map[string]any{"ciphertext": wrapped}); err == nil {
				t.Errorf("%s came back with its name", name)
			}
		}
	}
}

// readable is what is left of an old copy: without the file under the usual name, whose root is gone.
func readable(t testing.TB, k keyring.FileKeeper) keyring.FileKeeper {
	t.Helper()
	_, err := k.Roots(context.Background())
	wantError(t, "an old copy", err, "put the newest in its place")
	to := copied(t, k)
	must(t, os.Remove(filepath.Join(to.Dir, keyring.KeyFile)))
	return to
}

func files(t testing.TB, k keyring.FileKeeper) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(k.Dir, "*"))
	must(t, err)
	return paths
}

// dying is a transport of a process that dies at a chosen request: before it is sent, or when it was
// answered.
type dying struct {
	http.RoundTripper
	at       int32
	answered bool
	stop     context.CancelFunc // so that nobody tries again
	requests atomic.Int32
}

var errDied = errors.New("the process died")

func (d *dying) RoundTrip(r *http.Request) (*http.Response, error) {
	n := d.requests.Add(1)
	if n < d.at {
		return d.RoundTripper.RoundTrip(r)
	}
	if n == d.at && d.answered {
		if answer, err := d.RoundTripper.RoundTrip(r); err == nil {
			_ = answer.Body.Close()
		}
	}
	d.stop()
	return nil, errDied
}

// TestCrashAtEveryRequest lets the process die at every request of two replacements: whatever root was
// in force or may be is there, and the next replacement leaves one file and one key.
func TestCrashAtEveryRequest(t *testing.T) {
	ctx := context.Background()
	s := start(t)
	ended := false
	steps := 0
	for step := int32(1); !ended; step++ {
		for _, answered := range []bool{false, true} {
			if step > 100 {
				t.Fatal("the requests don't end")
			}
			prefix := fmt.Sprintf("crash-%d-%v", step, answered)
			named := func(c *client.Config) { c.Prefix = prefix }
			k, inForce := keeper(t, s.engine(t, named))
			kept := k.Wrap
			life, stop := context.WithCancel(ctx)
			k.Wrap = s.engine(t, func(c *client.Config) {
				named(c)
				c.Client = &http.Client{Transport: &dying{RoundTripper: s.Client().Transport, at: step, answered: answered, stop: stop}}
			})
			died := false
			var may []keyring.Root
			for generation := uint64(2); generation <= 3 && !died; generation++ {
				next := root(generation)
				if died = k.Add(life, next) != nil; !died {
					inForce = next // the store made the change
					may = append(may, next)
					died = k.Settle(life, next) != nil
				}
			}
			ended = !died
			stop()

			k.Wrap = kept
			found := roots(t, k)
			if !slices.Contains(found, inForce) {
				t.Fatalf("step %d, answered %v: the root in force is gone", step, answered)
			}
			must(t, k.Settle(ctx, inForce))
			same(t, "ended", roots(t, k), inForce)
			next := root(inForce.Generation + 1)
			must(t, k.Add(ctx, next))
			must(t, k.Settle(ctx, next))
			same(t, "gone on", roots(t, k), next)
			if len(files(t, k)) != 1 {
				t.Errorf("step %d, answered %v: %v lie there", step, answered, files(t, k))
			}
			// A key that was made for a root which was never kept is all that may be left over.
			ours := slices.DeleteFunc(s.keys(t), func(name string) bool { return !strings.HasPrefix(name, prefix+"-") })
			if len(ours) > 2 {
				t.Errorf("step %d, answered %v: the server has %v", step, answered, ours)
			}
			for _, r := range may {
				name := fmt.Sprintf("%s-%d-", prefix, r.Generation)
				if slices.ContainsFunc(ours, func(key string) bool { return strings.HasPrefix(key, name) }) {
					t.Errorf("step %d, answered %v: %s… was in force and is there still", step, answered, name)
				}
			}
			steps++
		}
	}
	if steps < 20 {
		t.Errorf("only %d crashes", steps)
	}
}

func TestOperatorsAreToldWhatToDo(t *testing.T) {
	ctx := context.Background()
	s := start(t)
	k, first := keeper(t, s.engine(t, nil))
	next := root(2)

	// The policy that a refusal names is enough, and no line of it is too much.
	with := func(file string) keyring.FileKeeper {
		return keyring.FileKeeper{Dir: k.Dir, Wrap: s.engine(t, func(c *client.Config) { c.TokenFile = file })}
	}
	weak := with(s.sign(t, nil, "default"))
	_, err := weak.Roots(ctx)
	wantError(t, "no policy", err, "doesn't let Steward decrypt", `path "transit/decrypt/steward-*"`)
	err = weak.Add(ctx, next)
	wantError(t, "no policy", err, "doesn't let Steward make a key", `path "transit/keys/steward-*"`, `path "transit/encrypt/steward-*"`)
	_, rules, _ := strings.Cut(steward.Message(err), "needs:\n")
	lines := strings.Split(rules, "\n")
	for i := range lines {
		policy := fmt.Sprintf("without-%d", i)
		s.write(t, "sys/policies/acl/"+policy, map[string]any{"policy": strings.Join(slices.Delete(slices.Clone(lines), i, i+1), "\n")})
		w := with(s.sign(t, nil, "default", policy))
		_, err := w.Roots(ctx)
		if err == nil {
			err = w.Add(ctx, next)
		}
		wantError(t, "with a line too few", err, lines[i])
	}
	same(t, "after refusals", roots(t, k), first)
	s.write(t, "sys/policies/acl/steward", map[string]any{"policy": rules})
	file := s.sign(t, nil, "default", "steward")
	strong := with(file)
	must(t, strong.Add(ctx, next))
	must(t, strong.Settle(ctx, next))
	same(t, "with the policy", roots(t, strong), next)
	if _, err := strong.Wrap.(*client.Engine).Renew(ctx); err != nil {
		t.Error(err)
	}

	// Tokens.
	token, err := os.ReadFile(file)
	must(t, err)
	s.write(t, "auth/token/revoke", map[string]any{"token": strings.TrimSpace(string(token))})
	_, err = strong.Roots(ctx)
	wantError(t, "a revoked token", err, "doesn't know the token in "+file)
	_, err = strong.Wrap.(*client.Engine).Renew(ctx)
	wantError(t, "a revoked token", err, "doesn't know the token in "+file)
	must(t, os.WriteFile(file, []byte(s.token), 0o600))
	same(t, "with a new token in the file", roots(t, strong), next)

	// Places.
	at := func(change func(*client.Config)) error {
		_, err := keyring.FileKeeper{Dir: k.Dir, Wrap: s.engine(t, change)}.Roots(ctx)
		return err
	}
	wantError(t, "no engine", at(func(c *client.Config) { c.Mount = "elsewhere" }), "no transit engine at elsewhere")
	wantError(t, "no namespace", at(func(c *client.Config) { c.Namespace = "nowhere" }))
	wantError(t, "other keys", at(func(c *client.Config) { c.Prefix = "theirs" }), "has no key for")
	elsewhere := s.engine(t, func(c *client.Config) { c.Mount = "elsewhere" })
	wantError(t, "destroying without an engine", elsewhere.Destroy(ctx, "1-0123456789abcdef"), "no transit engine")
	must(t, s.engine(t, nil).Destroy(ctx, "1-0123456789abcdef")) // which never was

	// A key that an operator holds back is not destroyed, and nobody says it were.
	third := root(3)
	s.write(t, "sys/policies/acl/held", map[string]any{"policy": rules + "\npath \"transit/keys/+\" { capabilities = [\"create\", \"read\", \"update\"] }\n" +
		"path \"transit/keys/steward-2-*\" { capabilities = [\"read\"] }"})
	held := with(s.sign(t, nil, "default", "held"))
	must(t, held.Add(ctx, third))
	wantError(t, "no right to destroy", held.Settle(ctx, third), "doesn't let Steward destroy a key", `"delete"`)
	same(t, "not destroyed", roots(t, k), next, third)
	must(t, k.Settle(ctx, third))

	must(t, s.core.Seal(s.token))
	_, err = k.Roots(ctx)
	wantError(t, "sealed", err, "is sealed", "unseal it")
	wantError(t, "sealed", k.Add(ctx, root(4)), "is sealed")
	s.Close()
	_, err = k.Roots(ctx)
	wantError(t, "not there", err, "can't be reached")
}

func TestTokenIsRenewed(t *testing.T) {
	ctx := context.Background()
	s := start(t)
	renew := func(file string) (time.Duration, error) {
		return s.engine(t, func(c *client.Config) { c.TokenFile = file }).Renew(ctx)
	}
	if next, err := renew(s.file(t, s.token)); err != nil || next != 0 {
		t.Errorf("a token without an end: %v, %v", next, err)
	}
	file := s.sign(t, map[string]any{"period": "2h"}, "default")
	if next, err := renew(file); err != nil || next != time.Hour {
		t.Errorf("a token for two hours: %v, %v", next, err)
	}
	short := s.sign(t, map[string]any{"period": "2s"}, "default")
	for range 3 {
		time.Sleep(time.Second)
		if _, err := renew(short); err != nil {
			t.Fatalf("a token that is renewed in time: %v", err)
		}
	}
	once := s.sign(t, map[string]any{"renewable": false}, "default")
	if next, err := renew(once); err != nil || next > 30*time.Minute || next < 29*time.Minute {
		t.Errorf("a token that can't be renewed: %v, %v", next, err)
	}
}

// TestOnlyTheClientHandedIn sets what this kind of client looks for in its environment, to what would fail.
func TestOnlyTheClientHandedIn(t *testing.T) {
	s := start(t)
	for _, of := range []string{"BAO_", "VAULT_"} {
		for name, value := range map[string]string{
			"ADDR": "https://192.0.2.1:1", "AGENT_ADDR": "https://192.0.2.1:1", "CACERT": "/nowhere", "CLIENT_TIMEOUT": "never", "HTTP_PROXY": "http://192.0.2.1:1",
			"NAMESPACE": "nowhere", "TOKEN": "wrong", "WRAP_TTL": "60s", "MAX_RETRIES": "many", "RATE_LIMIT": "0:0", "SKIP_VERIFY": "maybe", "DISABLE_REDIRECTS": "?",
		} {
			t.Setenv(of+name, value)
		}
	}
	t.Setenv("HTTPS_PROXY", "http://192.0.2.1:1")
	counted := &dying{RoundTripper: s.Client().Transport, at: 1 << 30}
	k, first := keeper(t, s.engine(t, func(c *client.Config) { c.Client = &http.Client{Transport: counted} }))
	same(t, "in a strange environment", roots(t, k), first)
	if counted.requests.Load() != 4 {
		t.Errorf("%d requests went through the client, want 4: a key, a root wrapped, two unwrapped", counted.requests.Load())
	}
}

// TestReplacingTakesSevenRequests holds what a shred costs more than with a key file, and says how long it takes.
func TestReplacingTakesSevenRequests(t *testing.T) {
	ctx := context.Background()
	s := start(t)
	counted := &dying{RoundTripper: s.Client().Transport, at: 1 << 30}
	k, _ := keeper(t, s.engine(t, func(c *client.Config) { c.Client = &http.Client{Transport: counted} }))
	before := counted.requests.Load()
	var took []time.Duration
	for generation := uint64(2); generation < 102; generation++ {
		next := root(generation)
		began := time.Now()
		must(t, k.Add(ctx, next))
		must(t, k.Settle(ctx, next))
		took = append(took, time.Since(began))
	}
	if n := counted.requests.Load() - before; n != 700 {
		t.Errorf("100 replacements took %d requests, want 2 to add and 5 to settle each", n)
	}
	slices.Sort(took)
	t.Logf("replacing a root key: p50 %v, p99 %v", took[50], took[98])
}
