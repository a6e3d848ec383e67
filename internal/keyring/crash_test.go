package keyring_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/store"
)

// faults makes a chosen step fail, and all after it, as in a process that died there: before the step
// was done, or after.
type faults struct {
	mu    sync.Mutex
	steps int
	at    int  // the step that fails, from 1; 0 for none
	after bool // it is done, and then the process dies
	err   error
}

var errCrash = errors.New("the process died")

func (f *faults) fail(err error) { f.mu.Lock(); f.err = err; f.mu.Unlock() }

func (f *faults) step(do func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	if f.steps++; f.steps != f.at {
		return do()
	}
	f.err = errCrash
	if f.after {
		_ = do()
	}
	return f.err
}

type faultyStore struct {
	keyring.Store
	f *faults
}

func (s faultyStore) Apply(ctx context.Context, c keyring.Change) error {
	return s.f.step(func() error { return s.Store.Apply(ctx, c) })
}

type faultyCopy struct {
	keyring.Copy
	f *faults
}

func (s faultyCopy) Apply(ctx context.Context, c keyring.Change) error {
	return s.f.step(func() error { return s.Copy.Apply(ctx, c) })
}

func (s faultyCopy) Import(ctx context.Context, from func(context.Context, func(keyring.Change) error) error) error {
	return s.f.step(func() error { return s.Copy.Import(ctx, from) })
}

type faultyKeeper struct {
	keyring.Keeper
	f *faults
}

func (s faultyKeeper) Add(ctx context.Context, r keyring.Root) error {
	return s.f.step(func() error { return s.Keeper.Add(ctx, r) })
}

func (s faultyKeeper) Settle(ctx context.Context, r keyring.Root) error {
	return s.f.step(func() error { return s.Keeper.Settle(ctx, r) })
}

// TestCrashAtEveryStep lets the process die before and after every write of a sequence of changes, and
// begins again with what is on disk: whatever was acknowledged holds, whatever was under way happened or
// didn't, and nothing else is lost; not even if the main database is what was lost.
func TestCrashAtEveryStep(t *testing.T) {
	ctx := context.Background()
	done := false
	for step := 1; !done; step++ {
		for _, after := range []bool{false, true} {
			r := open(t)
			one, two := t.TempDir(), t.TempDir()
			f := &faults{at: step, after: after}
			declared := copies(t, one, two)
			for i := range declared {
				declared[i].Copy = faultyCopy{declared[i].Copy, f}
			}
			boxes := map[steward.Scope]steward.Sealed{}
			for _, scope := range []steward.Scope{"kept", "kept/2", "shred", "shred/2"} {
				boxes[scope] = seal(t, r, at, "plain", scope)
			}
			elsewhere := seal(t, r, steward.Place{Workspace: "ws_2"}, "plain", "kept")
			a := &attacker{}
			a.take(t, r.store)

			acknowledged := 0
			k, err := keyring.Open(ctx, keyring.Config{Store: faultyStore{r.store, f}, Keeper: faultyKeeper{r.keeper, f}, Rand: rand.Reader, Copies: declared})
			if err == nil {
				for _, do := range []func() error{
					func() error { return k.Shred(ctx, "ws_1", "shred", "never") },
					func() error { return k.Make(ctx, "ws_1", "new") },
					func() error { return k.Rotate(ctx) },
					func() error { return k.ShredWorkspace(ctx, "ws_2") },
					func() error { return k.Shred(ctx, "ws_1", "shred/2") },
				} {
					if err = do(); err != nil {
						break
					}
					acknowledged++
				}
			}
			if err != nil && !strings.Contains(err.Error(), errCrash.Error()) {
				t.Fatalf("step %d: %v", step, err)
			}
			done = err == nil

			look := func(what string, k *keyring.Keyring) {
				t.Helper()
				what = fmt.Sprintf("step %d, done %v, %d acknowledged, %s", step, after, acknowledged, what)
				is := func(box steward.Sealed, place steward.Place, mustBe steward.Kind, mayBe bool) {
					t.Helper()
					_, err := k.Open(ctx, place, box)
					if err == nil && mustBe == steward.Gone || err != nil && (steward.KindOf(err) != steward.Gone || mustBe != steward.Gone && !mayBe) {
						t.Errorf("%s: %s: %v", what, box.ScopeList(), err)
					}
				}
				fate := func(n int) steward.Kind {
					if acknowledged >= n {
						return steward.Gone
					}
					return steward.Internal
				}
				is(boxes["kept"], at, steward.Internal, false)
				is(boxes["kept/2"], at, steward.Internal, false)
				is(boxes["shred"], at, fate(1), acknowledged == 0)
				is(elsewhere, steward.Place{Workspace: "ws_2"}, fate(4), acknowledged == 3)
				is(boxes["shred/2"], at, fate(5), acknowledged == 4)
				if alive, err := k.Alive(ctx, "ws_1", "new"); err != nil || acknowledged >= 2 && !alive {
					t.Errorf("%s: the key that was made: %v, %v", what, alive, err)
				}
			}
			if acknowledged > 0 || k != nil { // the copies were filled
				for _, dir := range []string{one, two} {
					look("from a copy", over(t, copied(t, dir), copyOfKeys(t, r.keeper)))
				}
			}
			again := over(t, r.store, r.keeper, copies(t, one, two)...)
			look("again", again)
			st, err := r.store.State(ctx)
			must(t, err)
			for _, dir := range []string{one, two} {
				if theirs, err := openStore(t, dir).State(ctx); err != nil || theirs != st {
					t.Errorf("step %d: the copy is not as the store: %v", step, err)
				}
			}
			// What is gone now was destroyed wholly: neither the old database nor the new one leads to it.
			a.roots = roots(t, r.keeper)
			a.take(t, r.store)
			reached := a.reach()
			for scope, box := range boxes {
				_, err := again.Open(ctx, at, box)
				if _, ok := reached[name("ws_1", scope)]; ok != (err == nil) {
					t.Errorf("step %d, %s: opens: %v; the attacker reaches it: %v", step, scope, err, ok)
				}
			}
			must(t, again.Shred(ctx, "ws_1", "kept/2"))
			onlyKeyFile(t, r.keeper.Dir)
		}
		if step > 200 {
			t.Fatal("the steps don't end")
		}
	}
}

func copyOfKeys(t testing.TB, k keyring.FileKeeper) keyring.FileKeeper {
	t.Helper()
	to := keyring.FileKeeper{Dir: filepath.Join(t.TempDir(), "keys")}
	must(t, os.Mkdir(to.Dir, 0o700))
	files, err := os.ReadDir(k.Dir)
	must(t, err)
	for _, file := range files {
		b, err := os.ReadFile(filepath.Join(k.Dir, file.Name()))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(to.Dir, file.Name()), b, 0o600))
	}
	return to
}

func TestAReaderEndsNothing(t *testing.T) {
	ctx := context.Background()
	r := open(t)
	seal(t, r, at, "plain", "a", "b")
	f := &faults{at: 1}
	k := over(t, r.store, faultyKeeper{r.keeper, &faults{at: 2}}) // dies before it settles
	if err := k.Shred(ctx, "ws_1", "a"); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	db, err := store.OpenReadOnly(ctx, r.dir, store.KeyringFile)
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	over(t, store.Keyring{DB: db}, faultyKeeper{r.keeper, f})
	if len(roots(t, r.keeper)) != 2 || f.steps > 0 {
		t.Error("somebody who may only read destroyed a root key")
	}
	over(t, r.store, r.keeper)
	onlyKeyFile(t, r.keeper.Dir)
}

var crashDir = flag.String("keyring-crash-dir", "", "makes the test binary the process that TestKilledWhileShredding kills")

func TestKeyringCrashChild(t *testing.T) {
	if *crashDir == "" {
		t.Skip("this is the process that TestKilledWhileShredding starts")
	}
	ctx := context.Background()
	k := over(t, openStore(t, *crashDir), keyring.FileKeeper{Dir: filepath.Join(*crashDir, "root")}, copies(t, filepath.Join(*crashDir, "copy"))...)
	for i := 0; ; i++ {
		scope := steward.Scope(fmt.Sprintf("item/%d-%d", os.Getpid(), i))
		box := seal(t, k, at, "plain", scope)
		fmt.Printf("made %s %x\n", scope, box.Box)
		if i%2 == 0 {
			must(t, k.Shred(ctx, "ws_1", scope))
			fmt.Printf("gone %s -\n", scope)
		}
	}
}

func TestKilledWhileShredding(t *testing.T) {
	ctx := context.Background()
	r := open(t)
	must(t, os.Mkdir(filepath.Join(r.dir, "copy"), 0o700))
	made, gone := map[steward.Scope]steward.Sealed{}, map[steward.Scope]bool{}
	for round := range 6 {
		child := exec.Command(os.Args[0], "-test.run=^TestKeyringCrashChild$", "-keyring-crash-dir="+r.dir)
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		lines := bufio.NewReader(out)
		last, count := steward.Scope(""), 0
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				break // what was cut off was not acknowledged
			}
			var what string
			var box []byte
			var scope steward.Scope
			if _, err := fmt.Sscanf(line, "made %s %x", &scope, &box); err == nil {
				made[scope], last = steward.Sealed{Scopes: []steward.Scope{scope}, Box: box}, scope
			} else if _, err := fmt.Sscanf(line, "gone %s %s", &scope, &what); err == nil {
				gone[scope] = true
			} else {
				t.Fatalf("the child says %q", line)
			}
			if count++; count == 1 {
				pause, err := rand.Int(rand.Reader, big.NewInt(60_000))
				must(t, err)
				time.AfterFunc(time.Duration(pause.Int64())*time.Microsecond, func() { _ = child.Process.Kill() })
			}
		}
		_ = child.Wait()
		if count == 0 {
			t.Fatal("nothing was done before the kill")
		}
		k := over(t, openStore(t, r.dir), r.keeper, copies(t, filepath.Join(r.dir, "copy"))...)
		for scope, box := range made {
			_, err := k.Open(ctx, at, box)
			switch {
			case gone[scope]:
				wantKind(t, string(scope), err, steward.Gone)
			case scope == last && steward.KindOf(err) == steward.Gone:
				gone[scope] = true // its shred was under way
			case err != nil:
				t.Errorf("round %d: %s: %v", round, scope, err)
			}
		}
	}
	k := over(t, r.store, r.keeper)
	must(t, k.Make(ctx, "ws_1", "item/end"))
	must(t, k.Shred(ctx, "ws_1", "item/end"))
	onlyKeyFile(t, r.keeper.Dir)
	t.Logf("%d made, %d destroyed", len(made), len(gone))
}
