package keyring_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/store"
)

// attacker is whoever gathers nodes and root keys, of whatever age, and tries every key on every node.
// It is written from the format, and shares no code with the package.
type attacker struct {
	nodes []keyring.Node
	roots []keyring.Root
}

func (a *attacker) take(t testing.TB, s keyring.Store) {
	t.Helper()
	must(t, s.Export(context.Background(), func(c keyring.Change) error {
		a.nodes = append(a.nodes, c.Nodes...)
		return nil
	}))
}

// reach gives every scope key that can be come by, under the name in its entry.
func (a *attacker) reach() map[[16]byte][32]byte {
	found := map[[16]byte][32]byte{}
	var keys [][32]byte
	for _, r := range a.roots {
		keys = append(keys, r.Key)
	}
	shut := slices.Clone(a.nodes)
	for len(keys) > 0 {
		key := keys[0]
		keys = keys[1:]
		block, _ := aes.NewCipher(key[:])
		aead, _ := cipher.NewGCM(block)
		shut = slices.DeleteFunc(shut, func(n keyring.Node) bool {
			bound := []byte("steward node v1")
			for _, field := range [][]byte{[]byte(n.Path), binary.BigEndian.AppendUint64(nil, n.Generation)} {
				bound = append(binary.BigEndian.AppendUint32(bound, uint32(len(field))), field...)
			}
			entries, err := aead.Open(nil, n.Sealed[:12], n.Sealed[12:], bound)
			if err != nil {
				return false
			}
			for len(entries) > 0 {
				if len(n.Path) == 6 {
					found[[16]byte(entries[33:49])] = [32]byte(entries[1:33])
					entries = entries[49:]
				} else {
					keys = append(keys, [32]byte(entries[1:33]))
					entries = entries[33:]
				}
			}
			return true
		})
	}
	return found
}

func name(ws steward.WorkspaceID, scope steward.Scope) [16]byte {
	text := []byte("steward scope v2")
	for _, field := range []string{string(ws), string(scope)} {
		text = append(binary.BigEndian.AppendUint32(text, uint32(len(field))), field...)
	}
	sum := sha256.Sum256(text)
	return [16]byte(sum[:16])
}

// copied is a store over a copy of the database's files as they lie there, the write-ahead log included.
func copied(t testing.TB, dir string) store.Keyring {
	t.Helper()
	to := t.TempDir()
	files, err := filepath.Glob(filepath.Join(dir, "*.db*"))
	must(t, err)
	for _, file := range files {
		b, err := os.ReadFile(file)
		must(t, err)
		if filepath.Ext(file) != ".db-shm" {
			must(t, os.WriteFile(filepath.Join(to, filepath.Base(file)), b, 0o600))
		}
	}
	return openStore(t, to)
}

func roots(t testing.TB, k keyring.Keeper) []keyring.Root {
	t.Helper()
	all, err := k.Roots(context.Background())
	must(t, err)
	return all
}

// TestOldCopiesOpenNothingThatWasShredded is the promise. Somebody copies the keyring's files before a
// shred, and later has all of today's keys too.
func TestOldCopiesOpenNothingThatWasShredded(t *testing.T) {
	ctx := context.Background()
	r := open(t)
	var all []steward.Scope
	for i := range 600 { // in three nodes
		all = append(all, scopeNumber(i))
	}
	must(t, r.Make(ctx, "ws_1", all...))
	must(t, r.Make(ctx, "ws_2", all[:3]...))
	must(t, r.Make(ctx, "ws_3", all[:3]...))
	gone, kept := seal(t, r, at, "gone", all[7]), seal(t, r, at, "kept", all[8])

	old := copied(t, r.dir)
	before := roots(t, r.keeper)
	oldKeys := filepath.Join(t.TempDir(), "keys")
	must(t, os.CopyFS(oldKeys, os.DirFS(r.keeper.Dir)))
	must(t, errors.Join(os.Chmod(oldKeys, 0o700), os.Chmod(filepath.Join(oldKeys, keyring.KeyFile), 0o600)))

	must(t, r.Shred(ctx, "ws_1", all[7], all[300]))
	must(t, r.ShredWorkspace(ctx, "ws_3"))
	_, err := r.Open(ctx, at, gone)
	wantKind(t, "shredded", err, steward.Gone)

	shredded := map[[16]byte]bool{name("ws_1", all[7]): true, name("ws_1", all[300]): true, name("ws_3", all[0]): true, name("ws_3", all[1]): true, name("ws_3", all[2]): true}
	a := attacker{roots: before}
	a.take(t, old)
	if got := a.reach(); len(got) != 606 {
		t.Fatalf("with the old root key the attacker comes by %d keys, so what it doesn't come by proves nothing", len(got))
	}
	a.roots = roots(t, r.keeper)
	if got := a.reach(); len(got) != 0 {
		t.Errorf("today's root key opens %d keys of the old copy", len(got))
	}
	a.take(t, r.store)
	a.take(t, copied(t, r.dir))
	got := a.reach()
	if len(got) != 601 {
		t.Errorf("with today's keys and both databases the attacker comes by %d keys, want 601", len(got))
	}
	for scope := range shredded {
		if _, ok := got[scope]; ok {
			t.Error("a shredded key can be come by")
		}
	}

	// The same through the keyring itself, which refuses to begin.
	_, err = keyring.Open(ctx, keyring.Config{Store: old, Keeper: r.keeper, Rand: rand.Reader})
	wantKind(t, "an old keyring with today's root key", err, steward.Unavailable)
	if !strings.Contains(steward.Message(err), "this keyring is an older one") {
		t.Error(steward.Message(err))
	}
	_, err = keyring.Open(ctx, keyring.Config{Store: r.store, Keeper: keyring.FileKeeper{Dir: oldKeys}, Rand: rand.Reader})
	wantKind(t, "today's keyring with an old root key", err, steward.Unavailable)
	if !strings.Contains(steward.Message(err), "the root key is an older one") {
		t.Error(steward.Message(err))
	}
	wasOld := over(t, old, keyring.FileKeeper{Dir: oldKeys}) // nothing was lost by the refusals
	if _, err := wasOld.Open(ctx, at, gone); err != nil {
		t.Error(err)
	}
	for name, k := range map[string]*keyring.Keyring{"the same process": r.Keyring, "another": over(t, r.store, r.keeper)} {
		if got, err := k.Open(ctx, at, kept); err != nil || string(got) != "kept" {
			t.Errorf("%s: what was not shredded: %q, %v", name, got, err)
		}
	}
	onlyKeyFile(t, r.keeper.Dir)
}

func TestRootsThatDoNotFitAreRefused(t *testing.T) {
	ctx := context.Background()
	r := open(t)
	box := seal(t, r, at, "plain", "person/a")
	refused := func(what string, s keyring.Store, k keyring.Keeper, kind steward.Kind, says string) {
		t.Helper()
		_, err := keyring.Open(ctx, keyring.Config{Store: s, Keeper: k, Rand: rand.Reader})
		wantKind(t, what, err, kind)
		if err != nil && !strings.Contains(steward.Message(err), says) {
			t.Errorf("%s: %q doesn't say %q", what, steward.Message(err), says)
		}
	}
	elsewhere := keyring.FileKeeper{Dir: filepath.Join(t.TempDir(), "root")}
	must(t, elsewhere.Create(rand.Reader))
	refused("another root", r.store, elsewhere, steward.Internal, "root key doesn't fit")
	must(t, r.Rotate(ctx))
	refused("an empty keyring", openStore(t, t.TempDir()), r.keeper, steward.Unavailable, "the keyring is empty")
	if got, err := over(t, r.store, r.keeper).Open(ctx, at, box); err != nil || string(got) != "plain" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestDamageIsFoundBeforeItSpreads(t *testing.T) {
	ctx := context.Background()
	for name, damage := range map[string]func(*testing.T, *keyring.Change, store.Keyring){
		"a scope is sent to another's place": func(t *testing.T, c *keyring.Change, _ store.Keyring) {
			c.Scopes = []keyring.Scope{{Workspace: "ws_1", Name: "person/x", Standing: keyring.Made, Number: 0}}
		},
		"a scope is sent to no place": func(t *testing.T, c *keyring.Change, _ store.Keyring) {
			c.Scopes = []keyring.Scope{{Workspace: "ws_1", Name: "person/x", Standing: keyring.Made, Number: 70_000}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t)
			box := seal(t, r, at, "plain", "person/a")
			st, err := r.store.State(ctx)
			must(t, err)
			c := keyring.Change{Was: st, Now: st}
			c.Now.Version++
			damage(t, &c, r.store)
			must(t, r.store.Apply(ctx, c))
			k := over(t, r.store, r.keeper)
			_, err = k.Seal(ctx, at, []steward.Scope{"person/x"}, nil)
			wantKind(t, "sealing", err, steward.Internal)
			wantKind(t, "shredding", k.Shred(ctx, "ws_1", "person/x"), steward.Internal)
			if got, err := k.Open(ctx, at, box); err != nil || string(got) != "plain" {
				t.Errorf("the other: %q, %v", got, err)
			}
		})
	}
	t.Run("nodes that were exchanged, changed or lost", func(t *testing.T) {
		r := open(t)
		for i := range 300 {
			seal(t, r, at, "x", scopeNumber(i))
			if i == 0 {
				must(t, r.Make(ctx, "ws_1", func() (all []steward.Scope) {
					for j := 1; j < 300; j++ {
						all = append(all, scopeNumber(j))
					}
					return all
				}()...))
			}
		}
		first, second := keyring.Path("\x00\x00\x00\x00\x00\x00"), keyring.Path("\x00\x00\x00\x00\x00\x01")
		nodes, err := r.store.Nodes(ctx, []keyring.Path{first, second})
		if err != nil || len(nodes) != 2 {
			t.Fatal(len(nodes), err)
		}
		nodes[0].Path, nodes[1].Path = nodes[1].Path, nodes[0].Path
		flipped := nodes[0]
		flipped.Sealed = slices.Clone(flipped.Sealed)
		flipped.Path, flipped.Sealed[100] = first, flipped.Sealed[100]^1
		for what, c := range map[string]keyring.Change{"exchanged": {Nodes: nodes}, "changed": {Nodes: []keyring.Node{flipped}}, "lost": {Drop: []keyring.Path{first}}} {
			other := copied(t, r.dir)
			st, err := other.State(ctx)
			must(t, err)
			c.Was, c.Now = st, st
			c.Now.Version++
			must(t, other.Apply(ctx, c))
			k := over(t, other, r.keeper)
			_, err = k.Seal(ctx, at, []steward.Scope{scopeNumber(3)}, nil)
			wantKind(t, what+": sealing", err, steward.Internal)
			wantKind(t, what+": shredding", k.Shred(ctx, "ws_1", scopeNumber(3)), steward.Internal)
		}
	})
}

func TestTwoProcessesOverOneKeyring(t *testing.T) {
	ctx := context.Background()
	r := open(t)
	a, b := r.Keyring, over(t, openStore(t, r.dir), r.keeper)
	gone, kept := seal(t, a, at, "gone", "person/gone", "run/2026-11-23"), seal(t, b, at, "kept", "person/kept", "run/2026-11-23")
	for _, k := range []*keyring.Keyring{a, b} {
		for _, box := range []steward.Sealed{gone, kept} {
			if _, err := k.Open(ctx, at, box); err != nil { // so that everything is in memory
				t.Fatal(err)
			}
		}
	}
	must(t, a.Shred(ctx, "ws_1", "person/gone"))
	_, err := b.Open(ctx, at, gone)
	wantKind(t, "opening by the other", err, steward.Gone)
	_, err = b.Seal(ctx, at, []steward.Scope{"person/gone"}, nil)
	wantKind(t, "making again by the other", err, steward.Gone)
	wantKind(t, "making at once by the other", b.Make(ctx, "ws_1", "person/gone", "person/new"), steward.Gone)
	if alive, err := b.Alive(ctx, "ws_1", "person/new"); err != nil || !alive {
		t.Errorf("the others of a request are made: %v, %v", alive, err)
	}
	if got, err := b.Open(ctx, at, kept); err != nil || string(got) != "kept" {
		t.Errorf("%q, %v", got, err)
	}
	must(t, b.Shred(ctx, "ws_1", "person/kept"))
	_, err = a.Open(ctx, at, kept)
	wantKind(t, "opening by the first", err, steward.Gone)
	must(t, b.ShredWorkspace(ctx, "ws_1"))
	_, err = a.Seal(ctx, at, []steward.Scope{"run/2026-11-24"}, nil)
	wantKind(t, "sealing in a workspace that the other destroyed", err, steward.Gone)

	// Both make and shred at once; what each has made, both open, and what each has shredded, neither.
	var wg sync.WaitGroup
	place := steward.Place{Workspace: "ws_2"}
	for _, pair := range [][2]*keyring.Keyring{{a, b}, {b, a}} {
		mine, other := pair[0], pair[1]
		wg.Go(func() {
			for i := range 15 {
				scope := steward.Scope(fmt.Sprintf("person/%p-%d", mine, i))
				box, err := mine.Seal(ctx, place, []steward.Scope{"run/2026-11-23", scope}, []byte("plain"))
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := other.Open(ctx, place, box); err != nil {
					t.Error(err)
				}
				if err := mine.Shred(ctx, "ws_2", scope); err != nil {
					t.Error(err)
				}
				_, err = other.Open(ctx, place, box)
				wantKind(t, "after the shred", err, steward.Gone)
			}
		})
	}
	wg.Wait()
	onlyKeyFile(t, r.keeper.Dir)
}

// TestAlone: who wrongly believes to be alone still undoes nothing of what another changes.
func TestAlone(t *testing.T) {
	ctx := context.Background()
	r := open(t)
	k, err := keyring.Open(ctx, keyring.Config{Store: r.store, Keeper: r.keeper, Rand: rand.Reader, Alone: true})
	must(t, err)
	mine := seal(t, k, at, "mine", "person/a", "person/b")
	must(t, k.Shred(ctx, "ws_1", "person/a"))
	_, err = k.Open(ctx, at, mine)
	wantKind(t, "after a shred of its own", err, steward.Gone)

	theirs := seal(t, r, at, "theirs", "person/c")
	must(t, r.Shred(ctx, "ws_1", "person/b"))
	if got, err := k.Open(ctx, at, theirs); err != nil || string(got) != "theirs" {
		t.Errorf("what is not in memory is read under the new root key: %q, %v", got, err)
	}
	_, err = k.Seal(ctx, at, []steward.Scope{"person/b"}, nil)
	wantKind(t, "after the other's shred was noticed", err, steward.Gone)
	must(t, r.Rotate(ctx))
	must(t, k.Make(ctx, "ws_1", "person/d"))
	must(t, r.Rotate(ctx))
	must(t, k.Shred(ctx, "ws_1", "person/d"))
	if got, err := r.Open(ctx, at, theirs); err != nil || string(got) != "theirs" {
		t.Errorf("%q, %v", got, err)
	}
	onlyKeyFile(t, r.keeper.Dir)
}

func TestCallersShareOneChange(t *testing.T) {
	ctx := context.Background()
	r := open(t)
	must(t, r.Make(ctx, "ws_1", "run/2026-11-23"))
	before, err := r.store.State(ctx)
	must(t, err)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			ws := steward.WorkspaceID(fmt.Sprint("ws_", i%3))
			if _, err := r.Seal(ctx, steward.Place{Workspace: ws}, []steward.Scope{scopeNumber(i / 2)}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	after, err := r.store.State(ctx)
	if changes := after.Version - before.Version; err != nil || changes > 100 {
		t.Errorf("200 callers needed %d changes, %v", changes, err)
	}
}

// copies declares folders as copies.
func copies(t testing.TB, dirs ...string) (all []keyring.DeclaredCopy) {
	for _, dir := range dirs {
		all = append(all, keyring.DeclaredCopy{Name: dir, Copy: openStore(t, dir)})
	}
	return all
}

func TestGoingOnFromADeclaredCopy(t *testing.T) {
	ctx := context.Background()
	r := open(t)
	early := seal(t, r, at, "early", "person/early")
	one, two := t.TempDir(), t.TempDir()
	k := over(t, r.store, r.keeper, copies(t, one, two)...)
	gone, kept := seal(t, k, at, "gone", "person/gone"), seal(t, k, at, "kept", "person/kept")
	must(t, k.Shred(ctx, "ws_1", "person/gone"))

	// The keyring's own database is lost at this moment.
	for _, dir := range []string{one, two} {
		k := over(t, copied(t, dir), r.keeper)
		for _, box := range []steward.Sealed{early, kept} {
			if _, err := k.Open(ctx, at, box); err != nil {
				t.Error(err)
			}
		}
		_, err := k.Open(ctx, at, gone)
		wantKind(t, "shredded", err, steward.Gone)
		seal(t, k, at, "later", "person/later")
	}
	// An empty database in its place must not empty the copies.
	_, err := keyring.Open(ctx, keyring.Config{Store: openStore(t, t.TempDir()), Keeper: r.keeper, Rand: rand.Reader, Copies: copies(t, one)})
	wantKind(t, "an empty keyring with a copy", err, steward.Unavailable)

	fresh := open(t)
	_, err = keyring.Open(ctx, keyring.Config{Store: fresh.store, Keeper: fresh.keeper, Rand: rand.Reader, Copies: copies(t, one)})
	wantKind(t, "another keyring with a copy that is further", err, steward.Unavailable)
	if !strings.Contains(steward.Message(err), one) {
		t.Error(steward.Message(err))
	}
	if _, err := over(t, copied(t, one), r.keeper).Open(ctx, at, kept); err != nil {
		t.Errorf("after that: %v", err)
	}
}

func TestACopyThatCannotBeWrittenStopsChanges(t *testing.T) {
	ctx := context.Background()
	r := open(t)
	one, two := t.TempDir(), t.TempDir()
	f := &faults{}
	declared := copies(t, one, two)
	declared[1].Copy = faultyCopy{declared[1].Copy, f}
	k := over(t, r.store, r.keeper, declared...)
	kept := seal(t, k, at, "kept", "person/kept")
	full := steward.Errorf(steward.Unavailable, "the disk is full")
	f.fail(full)
	for what, err := range map[string]error{
		"shredding": k.Shred(ctx, "ws_1", "person/kept"), "rotating": k.Rotate(ctx), "making": k.Make(ctx, "ws_1", "person/new"),
	} {
		wantKind(t, what, err, steward.Unavailable)
		if !strings.Contains(steward.Message(err), two) {
			t.Errorf("%s: %q doesn't name the copy", what, steward.Message(err))
		}
	}
	if got, err := k.Open(ctx, at, kept); err != nil || string(got) != "kept" {
		t.Errorf("opening: %q, %v", got, err)
	}
	if _, err := k.Seal(ctx, at, []steward.Scope{"person/kept"}, nil); err != nil {
		t.Errorf("sealing under a key that there is: %v", err)
	}
	f.fail(nil)
	must(t, k.Shred(ctx, "ws_1", "person/kept"))
	for _, dir := range []string{one, two} {
		_, err := over(t, copied(t, dir), r.keeper).Open(ctx, at, kept)
		wantKind(t, dir, err, steward.Gone)
	}
	onlyKeyFile(t, r.keeper.Dir)
}

// TestAnyOrder holds two keyrings over one store against a map.
func TestAnyOrder(t *testing.T) {
	ctx := context.Background()
	r := open(t)
	dir := t.TempDir()
	declared := copies(t, dir)
	type where struct {
		ws    steward.WorkspaceID
		scope steward.Scope
	}
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		rings := []*keyring.Keyring{over(t, r.store, r.keeper, declared...), over(t, r.store, r.keeper, declared...)}
		boxes, gone, dead := map[where]steward.Sealed{}, map[where]bool{}, map[steward.WorkspaceID]bool{}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			i := rapid.IntRange(0, 1).Draw(rt, "which")
			k := rings[i]
			w := where{steward.WorkspaceID(fmt.Sprintf("ws_%d_%d", round, rapid.IntRange(0, 1).Draw(rt, "ws"))), steward.Scope(fmt.Sprint("item/", rapid.IntRange(0, 5).Draw(rt, "scope")))}
			place := steward.Place{Workspace: w.ws}
			switch rapid.SampledFrom([]string{"seal", "seal", "seal", "open", "open", "shred", "shred", "workspace", "rotate", "reopen"}).Draw(rt, "do") {
			case "seal":
				box, err := k.Seal(ctx, place, []steward.Scope{w.scope}, []byte(w.scope))
				if want := gone[w] || dead[w.ws]; (err != nil) != want || want && steward.KindOf(err) != steward.Gone {
					rt.Fatalf("sealing under %v: %v, destroyed %v", w, err, want)
				}
				if err == nil {
					boxes[w] = box
				}
			case "shred":
				if err := k.Shred(ctx, w.ws, w.scope); err != nil {
					rt.Fatal(err)
				}
				gone[w] = true
			case "workspace":
				if err := k.ShredWorkspace(ctx, w.ws); err != nil {
					rt.Fatal(err)
				}
				dead[w.ws] = true
			case "rotate":
				if err := k.Rotate(ctx); err != nil {
					rt.Fatal(err)
				}
			case "reopen":
				rings[i] = over(t, r.store, r.keeper, declared...)
			}
			for w, box := range boxes {
				got, err := rings[1-i].Open(ctx, steward.Place{Workspace: w.ws}, box)
				if want := gone[w] || dead[w.ws]; (err != nil) != want || want && steward.KindOf(err) != steward.Gone || !want && string(got) != string(w.scope) {
					rt.Fatalf("opening %v: %q, %v, destroyed %v", w, got, err, want)
				}
			}
		}
	})
	onlyKeyFile(t, r.keeper.Dir)
}
