package keyring_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/store"
)

var at = steward.Place{Workspace: "ws_1", Table: "ledger", Row: "r1"}

// ring is a keyring on real SQLite with a key file.
type ring struct {
	*keyring.Keyring
	dir    string
	store  store.Keyring
	keeper keyring.FileKeeper
}

func open(t testing.TB) ring { return openWith(t, rand.Reader) }

func openWith(t testing.TB, random io.Reader) ring {
	t.Helper()
	r := ring{dir: t.TempDir()}
	r.keeper = keyring.FileKeeper{Dir: filepath.Join(r.dir, "root")}
	must(t, r.keeper.Create(random))
	r.store = openStore(t, r.dir)
	k, err := keyring.Open(context.Background(), keyring.Config{Store: r.store, Keeper: r.keeper, Rand: random})
	must(t, err)
	r.Keyring = k
	return r
}

func openStore(t testing.TB, dir string) store.Keyring {
	t.Helper()
	db, err := store.OpenKeyring(context.Background(), dir)
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return store.Keyring{DB: db}
}

// over is another process's keyring: nothing of it is in memory yet.
func over(t testing.TB, s keyring.Store, keeper keyring.Keeper, copies ...keyring.DeclaredCopy) *keyring.Keyring {
	t.Helper()
	k, err := keyring.Open(context.Background(), keyring.Config{Store: s, Keeper: keeper, Rand: rand.Reader, Copies: copies})
	must(t, err)
	return k
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func seal(t testing.TB, k steward.Sealer, at steward.Place, plain string, scopes ...steward.Scope) steward.Sealed {
	t.Helper()
	s, err := k.Seal(context.Background(), at, scopes, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func wantKind(t testing.TB, what string, err error, kind steward.Kind) {
	t.Helper()
	if err == nil || steward.KindOf(err) != kind {
		t.Errorf("%s: error %v is of kind %v, want %v", what, err, steward.KindOf(err), kind)
	}
}

func TestWhatIsSealedOpens(t *testing.T) {
	ctx := context.Background()
	r := open(t)
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		scopes := rapid.SliceOfN(rapid.SampledFrom([]steward.Scope{"ledger/2026-11", "person/a", "person/b", "item/x"}), 1, 3).Draw(t, "scopes")
		place := steward.Place{Workspace: "ws_1", Table: rapid.String().Draw(t, "table"), Row: rapid.String().Draw(t, "row"), Part: rapid.Int().Draw(t, "part")}
		box, err := r.Seal(ctx, place, scopes, plain)
		if err != nil {
			t.Fatal(err)
		}
		if len(plain) > 8 && bytes.Contains(box.Box, plain) {
			t.Fatal("the box holds its plaintext")
		}
		got, err := r.Open(ctx, place, steward.Sealed{Scopes: steward.ParseScopes(box.ScopeList()), Box: box.Box})
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%q comes back as %q, %v", plain, got, err)
		}
	})
	one, two := seal(t, r, at, "same", "run/2026-11-23"), seal(t, r, at, "same", "run/2026-11-23")
	if bytes.Equal(one.Box, two.Box) {
		t.Error("two seals of the same are the same")
	}
	again := over(t, r.store, r.keeper)
	if got, err := again.Open(ctx, at, one); err != nil || string(got) != "same" {
		t.Errorf("after a restart: %q, %v", got, err)
	}
}

// TestBoxOpensNowhereElse changes one thing at a time of what a box was sealed for.
func TestBoxOpensNowhereElse(t *testing.T) {
	ctx := context.Background()
	r := open(t)
	box := seal(t, r, at, "plain", "run/2026-11-23", "person/a")
	other := steward.Place{Workspace: "ws_2", Table: "ledger", Row: "r1"}
	seal(t, r, other, "x", "run/2026-11-23", "person/a", "person/b") // so that their keys exist
	seal(t, r, at, "x", "person/b")
	for name, c := range map[string]struct {
		at     steward.Place
		scopes []steward.Scope
	}{
		"workspace":          {other, box.Scopes},
		"table":              {steward.Place{Workspace: "ws_1", Table: "ledge", Row: "rr1"}, box.Scopes},
		"row":                {steward.Place{Workspace: "ws_1", Table: "ledger", Row: "r2"}, box.Scopes},
		"part":               {steward.Place{Workspace: "ws_1", Table: "ledger", Row: "r1", Part: 1}, box.Scopes},
		"scopes' order":      {at, []steward.Scope{"person/a", "run/2026-11-23"}},
		"a scope less":       {at, []steward.Scope{"run/2026-11-23"}},
		"a scope more":       {at, []steward.Scope{"run/2026-11-23", "person/a", "person/b"}},
		"another scope":      {at, []steward.Scope{"run/2026-11-23", "person/b"}},
		"a scope never made": {at, []steward.Scope{"run/2026-11-23", "person/c"}},
	} {
		_, err := r.Open(ctx, c.at, steward.Sealed{Scopes: c.scopes, Box: box.Box})
		wantKind(t, name, err, steward.Internal)
	}
	for i := range box.Box {
		changed := bytes.Clone(box.Box)
		changed[i] ^= 1
		_, err := r.Open(ctx, at, steward.Sealed{Scopes: box.Scopes, Box: changed})
		wantKind(t, fmt.Sprint("byte ", i), err, steward.Internal)
		_, err = r.Open(ctx, at, steward.Sealed{Scopes: box.Scopes, Box: box.Box[:i]})
		wantKind(t, fmt.Sprint("length ", i), err, steward.Internal)
	}
	if alive, err := r.Alive(ctx, "ws_1", "person/c"); err != nil || alive {
		t.Errorf("opening made a key: %v, %v", alive, err)
	}
}

func TestEitherLockForgets(t *testing.T) {
	ctx := context.Background()
	r := open(t)
	both := seal(t, r, at, "both", "run/2026-11-23", "person/a")
	timeOnly := seal(t, r, at, "time", "run/2026-11-23")
	neighbour := seal(t, r, steward.Place{Workspace: "ws_2"}, "neighbour", "person/a")
	secret, err := r.Derive(ctx, "ws_1", "person/a", "blind")
	if err != nil {
		t.Fatal(err)
	}
	other := over(t, r.store, r.keeper)

	if err := r.Shred(ctx, "ws_1", "person/a", "person/unused"); err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]*keyring.Keyring{"the one that shredded": r.Keyring, "another, later": other} {
		_, err := k.Open(ctx, at, both)
		wantKind(t, name, err, steward.Gone)
		if got, err := k.Open(ctx, at, timeOnly); err != nil || string(got) != "time" {
			t.Errorf("%s: what has no such lock: %q, %v", name, got, err)
		}
		if got, err := k.Open(ctx, steward.Place{Workspace: "ws_2"}, neighbour); err != nil || string(got) != "neighbour" {
			t.Errorf("%s: another workspace's: %q, %v", name, got, err)
		}
		for _, scope := range []steward.Scope{"person/a", "person/unused"} {
			_, err = k.Seal(ctx, at, []steward.Scope{scope}, []byte("x"))
			wantKind(t, name, err, steward.Gone)
			_, err = k.Derive(ctx, "ws_1", scope, "blind")
			wantKind(t, name, err, steward.Gone)
			if alive, err := k.Alive(ctx, "ws_1", scope); err != nil || alive {
				t.Errorf("%s: %s is alive: %v, %v", name, scope, alive, err)
			}
		}
		if alive, err := k.Alive(ctx, "ws_1", "run/2026-11-23"); err != nil || !alive {
			t.Errorf("%s: the time scope is alive: %v, %v", name, alive, err)
		}
	}
	if err := r.Shred(ctx, "ws_1", "person/a"); err != nil {
		t.Errorf("shredding again: %v", err)
	}
	if theirs, err := r.Derive(ctx, "ws_2", "person/a", "blind"); err != nil || theirs == secret {
		t.Errorf("another workspace's secret is the same, or %v", err)
	}
}

func TestDerivedSecretsAreUnrelatedAndStay(t *testing.T) {
	ctx := context.Background()
	r := open(t)
	seen := map[[32]byte]string{}
	for _, k := range []*keyring.Keyring{r.Keyring, over(t, r.store, r.keeper)} {
		for _, c := range [][3]string{{"ws_1", "workspace", "a"}, {"ws_1", "workspace", "b"}, {"ws_2", "workspace", "a"}, {"ws_1", "person/a", "a"}} {
			secret, err := k.Derive(ctx, steward.WorkspaceID(c[0]), steward.Scope(c[1]), c[2])
			if err != nil {
				t.Fatal(err)
			}
			if was, ok := seen[secret]; ok && was != fmt.Sprint(c) {
				t.Errorf("%v and %v give the same secret", was, c)
			}
			seen[secret] = fmt.Sprint(c)
		}
	}
	if len(seen) != 4 {
		t.Errorf("%d secrets, want 4: they don't stay", len(seen))
	}
}

func TestScopesThatCouldBeMistakenAreRefused(t *testing.T) {
	ctx := context.Background()
	r := open(t)
	for _, scopes := range [][]steward.Scope{nil, {""}, {"a b"}, {"a\n"}, {"ok", "a\u00a0b"}} {
		if _, err := r.Seal(ctx, at, scopes, nil); err == nil {
			t.Errorf("sealed under %q", scopes)
		}
	}
	if _, err := r.Seal(ctx, steward.Place{}, []steward.Scope{"a"}, nil); err == nil {
		t.Error("sealed without workspace")
	}
	if err := r.Shred(ctx, "", "a"); err == nil {
		t.Error("shredded without workspace")
	}
	if err := r.Shred(ctx, "ws_1"); err == nil {
		t.Error("shredded nothing")
	}
}

func TestOpenForReadingOnly(t *testing.T) {
	ctx := context.Background()
	r := open(t)
	box := seal(t, r, at, "plain", "run/2026-11-23")
	secret, err := r.Derive(ctx, "ws_1", steward.WorkspaceScope, "signing")
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.OpenReadOnly(ctx, r.dir, store.KeyringFile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	reading := over(t, store.Keyring{DB: db}, r.keeper)
	if got, err := reading.Open(ctx, at, box); err != nil || string(got) != "plain" {
		t.Errorf("opening: %q, %v", got, err)
	}
	if got, err := reading.Derive(ctx, "ws_1", steward.WorkspaceScope, "signing"); err != nil || got != secret {
		t.Errorf("deriving: %v", err)
	}
	_, err = reading.Seal(ctx, at, []steward.Scope{"run/2026-11-24"}, nil)
	wantKind(t, "sealing under a new scope", err, steward.Unavailable)
	wantKind(t, "shredding", reading.Shred(ctx, "ws_1", "run/2026-11-23"), steward.Unavailable)
}

// slowStore lets a reader pause between reading a key and putting it into memory.
type slowStore struct {
	keyring.Store
	read, proceed chan struct{}
	paused        *atomic.Bool
}

func (s slowStore) Nodes(ctx context.Context, paths []keyring.Path) ([]keyring.Node, error) {
	nodes, err := s.Store.Nodes(ctx, paths)
	if len(nodes) > 1 && s.paused.CompareAndSwap(false, true) {
		s.read <- struct{}{}
		<-s.proceed
	}
	return nodes, err
}

func TestAReaderDoesNotPutAShreddedKeyBack(t *testing.T) {
	ctx := context.Background()
	r := open(t)
	box := seal(t, r, at, "plain", "person/a")
	s := slowStore{r.store, make(chan struct{}), make(chan struct{}), &atomic.Bool{}}
	k := over(t, s, r.keeper)
	opened := make(chan error)
	go func() { _, err := k.Open(ctx, at, box); opened <- err }()
	<-s.read
	if err := k.Shred(ctx, "ws_1", "person/a"); err != nil {
		t.Fatal(err)
	}
	close(s.proceed)
	if err := <-opened; err != nil {
		t.Errorf("the reader that was first: %v", err)
	}
	_, err := k.Open(ctx, at, box)
	wantKind(t, "after the shred", err, steward.Gone)
}

func TestShredsAndReadersAtOnce(t *testing.T) {
	ctx := context.Background()
	r := open(t)
	const scopes = 30
	var boxes []steward.Sealed
	for i := range scopes {
		boxes = append(boxes, seal(t, r, at, "plain", "run/2026-11-23", steward.Scope(fmt.Sprint("person/", i))))
	}
	var shredded [scopes]chan struct{}
	for i := range shredded {
		shredded[i] = make(chan struct{})
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				for i, box := range boxes {
					gone := false
					select {
					case <-shredded[i]:
						gone = true
					default:
					}
					_, err := r.Open(ctx, at, box)
					if err == nil && gone {
						t.Errorf("scope %d opens after it was shredded", i)
					}
					if err != nil && steward.KindOf(err) != steward.Gone {
						t.Error(err)
					}
					if gone && i == scopes-1 {
						return
					}
				}
			}
		})
	}
	for i := range scopes {
		if err := r.Shred(ctx, "ws_1", steward.Scope(fmt.Sprint("person/", i))); err != nil {
			t.Error(err)
		}
		close(shredded[i])
	}
	wg.Wait()
}

func TestKeysAreNotLogged(t *testing.T) {
	r := open(t)
	seal(t, r, at, "plain", "person/a")
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "keyring", r.Keyring)
	if !strings.Contains(b.String(), "keyring=[keyring]") {
		t.Errorf("logged as %s", b.String())
	}
}

func FuzzOpen(f *testing.F) {
	ctx := context.Background()
	// Fuzzing runs in several processes, whose keys must be the same.
	k := openWith(f, bytes.NewReader(make([]byte, 1<<12)))
	box := seal(f, k, at, "plain", "person/a")
	f.Add(box.Box)
	f.Add([]byte{1})
	f.Add(bytes.Repeat([]byte{1}, 65))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := k.Open(ctx, at, steward.Sealed{Scopes: box.Scopes, Box: b})
		if (err == nil) != bytes.Equal(b, box.Box) || (err == nil && string(got) != "plain") {
			t.Fatalf("%x opens to %q, %v", b, got, err)
		}
	})
}

// The key of a box outlives its scopes for whoever kept it, and opens that box only.
func TestABoxKeyOpensItsBoxOnly(t *testing.T) {
	ctx := context.Background()
	r := open(t)
	box, sibling := seal(t, r, at, "plain", "run/2026-11-23", "person/a"), seal(t, r, at, "plain", "run/2026-11-23", "person/a")
	key, err := r.BoxKey(ctx, at, box)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Shred(ctx, at.Workspace, "run/2026-11-23"); err != nil {
		t.Fatal(err)
	}
	if got, err := r.OpenBox(key, box.Box); err != nil || string(got) != "plain" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := r.BoxKey(ctx, at, box); steward.KindOf(err) != steward.Gone {
		t.Errorf("a key of what was destroyed: %v", err)
	}
	if _, err := r.BoxKey(ctx, at, steward.Sealed{Scopes: []steward.Scope{"person/a"}, Box: box.Box[:10]}); err == nil {
		t.Error("half a box has a key")
	}
	for i := range box.Box {
		changed := bytes.Clone(box.Box)
		changed[i] ^= 1
		if i > 0 && i <= 16 {
			continue // the salt, by which the key was derived
		}
		if _, err := r.OpenBox(key, changed); err == nil {
			t.Fatalf("it opens with byte %d changed", i)
		}
	}
	for name, other := range map[string][]byte{"its twin": sibling.Box, "nothing": nil, "half": box.Box[:40]} {
		if _, err := r.OpenBox(key, other); steward.KindOf(err) != steward.Internal || err == nil {
			t.Errorf("the key opens %s: %v", name, err)
		}
	}
}
