package rekey_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/rekey"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/verify"
	"github.com/stewardhq/steward/internal/store"
)

var errDied = errors.New("the process died")

// house is a process with ledgers and a keyring, which dies at a step: of beginnings, ends, and what the keyring does.
type house struct {
	*ledger.Ledger
	store   store.Ledger
	keyring *keyring.Keyring
	done    int
	at      int  // the step that it dies at, from 1; 0 for none
	after   bool // it is done, and then the process dies
	rotated int  // how often the keyring was wholly given new keys
}

func (h *house) step(do func() error) error {
	switch h.done++; {
	case h.at == 0 || h.done < h.at:
		return do()
	case h.done == h.at && h.after:
		if err := do(); err != nil {
			return err
		}
	}
	return errDied
}

func (h *house) Begin(ctx context.Context, ws steward.WorkspaceID, e ledger.Entry, parts ...ledger.Part) (i ledger.Intent, err error) {
	err = h.step(func() (err error) { i, err = h.Ledger.Begin(ctx, ws, e, parts...); return err })
	return i, err
}

func (h *house) End(ctx context.Context, i ledger.Intent, e ledger.Entry, parts ...ledger.Part) (seq uint64, err error) {
	err = h.step(func() (err error) { seq, err = h.Ledger.End(ctx, i, e, parts...); return err })
	return seq, err
}

func (h *house) Rotate(ctx context.Context) error {
	return h.step(func() error { h.rotated++; return h.keyring.Rotate(ctx) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *house {
	t.Helper()
	ctx := context.Background()
	keeper := keyring.FileKeeper{Dir: filepath.Join(dir, "root")}
	if err := keeper.Create(rand.Reader); err != nil && steward.KindOf(err) != steward.Conflict {
		t.Fatal(err)
	}
	keys, err := store.OpenKeyring(ctx, dir)
	must(t, err)
	data, err := store.OpenData(ctx, dir)
	must(t, err)
	h := &house{store: store.Ledger{DB: data}}
	h.keyring, err = keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: keys}, Keeper: keeper, Rand: rand.Reader})
	must(t, err)
	h.Ledger, err = ledger.Open(ctx, ledger.Config{Store: h.store, Sealer: h.keyring, Now: time.Now, Rand: rand.Reader, Origin: "steward.test"})
	must(t, err)
	t.Cleanup(func() { must(t, errors.Join(h.Close(ctx), data.Close(), keys.Close())) })
	return h
}

// entries lists a ledger's, with the outcome behind the kind.
func (h *house) entries(t *testing.T, ws steward.WorkspaceID) (list []string) {
	t.Helper()
	must(t, h.Read(t.Context(), ws, ledger.Query{}, func(e ledger.Header) error {
		if e.Tool == "keyring_rotate" {
			list = append(list, string(e.Kind)+" "+e.Outcome)
		}
		return nil
	}))
	return list
}

const once, twice = "[call.intent  call.outcome ok]", "[call.intent  call.outcome ok call.intent  call.outcome ok]"

// TestDiedAtEveryStep lets the process die before and after each step: three beginnings, the rotation, three ends. Run
// again it ends right: each ledger says once that keys were to be replaced, and once that they were; what was sealed
// opens; and the keyring is rotated again only where nothing tells whether it was, or where it was all done.
func TestDiedAtEveryStep(t *testing.T) {
	workspaces := []steward.WorkspaceID{"ws_3", "ws_1", "ws_2"}
	place := steward.Place{Workspace: "ws_1", Table: "t", Row: "r"}
	const rotation, steps = 4, 7
	for at := 1; at <= steps; at++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprint(at, after), func(t *testing.T) {
				ctx, dir := t.Context(), t.TempDir()
				h := open(t, dir)
				sealed, err := h.keyring.Seal(ctx, place, []steward.Scope{"person/p"}, []byte("plain"))
				must(t, err)
				other, err := h.Ledger.Begin(ctx, "ws_2", ledger.Entry{System: "salesforce", Tool: "salesforce_query"}) // of somebody who was cut off too
				must(t, err)
				r := rekey.Rotation{Ledger: h, Record: h.store, Keyring: h, Workspaces: workspaces}
				h.at, h.after = at, after
				if _, err := r.Run(ctx); !errors.Is(err, errDied) {
					t.Fatal(err)
				}
				h.at = 0
				resumed, err := r.Run(ctx)
				must(t, err)

				finished, want, rotations := at == steps && after, once, 1
				if finished {
					want = twice
				}
				if finished || at == rotation && after || at == rotation+1 && !after {
					rotations = 2
				}
				if begun := at > 1 || after; resumed != (begun && !finished) {
					t.Errorf("it tells that it carried on: %v", resumed)
				}
				if h.rotated != rotations {
					t.Errorf("it was rotated %d times, want %d", h.rotated, rotations)
				}
				for _, ws := range workspaces {
					if got := fmt.Sprint(h.entries(t, ws)); got != want {
						t.Errorf("the record of %s says %s", ws, got)
					}
					left, err := h.store.Intents(ctx, ws)
					if err != nil || len(left) > 0 && (ws != "ws_2" || len(left) > 1 || left[0].Seq != other.Seq) {
						t.Errorf("open in %s: %v, %v", ws, left, err)
					}
				}
				again := open(t, dir)
				if plain, err := again.keyring.Open(ctx, place, sealed); err != nil || string(plain) != "plain" {
					t.Errorf("what was sealed is %q, %v", plain, err)
				}
				for _, ws := range workspaces {
					report, err := verify.Ledger(ctx, verify.Source{Store: h.store, Sealer: again.keyring}, ws, nil)
					if err != nil || len(report.Findings) > 0 {
						t.Errorf("verify %s: %+v, %v", ws, report, err)
					}
				}
			})
		}
	}
}

// refusing is a keyring whose keeper can't be reached.
type refusing struct{}

func (refusing) Rotate(context.Context) error {
	return steward.Errorf(steward.Unavailable, "the key server doesn't answer")
}

// TestAFailureIsOnRecord: what the keyring refused is told, and has ended, so that the next rotation is another.
func TestAFailureIsOnRecord(t *testing.T) {
	h := open(t, t.TempDir())
	r := rekey.Rotation{Ledger: h, Record: h.store, Keyring: refusing{}, Workspaces: []steward.WorkspaceID{"ws_1"}}
	if _, err := r.Run(t.Context()); steward.KindOf(err) != steward.Unavailable {
		t.Error(err)
	}
	r.Keyring = h
	if resumed, err := r.Run(t.Context()); err != nil || resumed {
		t.Error(resumed, err)
	}
	if got := fmt.Sprint(h.entries(t, "ws_1")); got != "[call.intent  call.outcome error call.intent  call.outcome ok]" {
		t.Error(got)
	}
}

// TestCutOffWhileTheyEnded: where the first record has an outcome and another has none, that says that the keyring has
// new keys only if the outcome says so. Else it gets them, and each record says it.
func TestCutOffWhileTheyEnded(t *testing.T) {
	workspaces := []steward.WorkspaceID{"ws_1", "ws_2"}
	for name, c := range map[string]struct {
		end   func(h *house, r rekey.Rotation)
		first string
	}{
		"it failed": {func(h *house, r rekey.Rotation) {
			h.at, r.Keyring = 4, refusing{} // after two beginnings and one end
			if _, err := r.Run(t.Context()); !errors.Is(err, errDied) {
				t.Fatal(err)
			}
		}, "error"},
		"a server that was cut off too called it unknown": {func(h *house, r rekey.Rotation) {
			h.at = 3
			if _, err := r.Run(t.Context()); !errors.Is(err, errDied) {
				t.Fatal(err)
			}
			open, err := h.store.Intents(t.Context(), "ws_1")
			must(t, err)
			_, err = h.Ledger.End(t.Context(), ledger.Intent{Workspace: "ws_1", Seq: open[0].Seq, Entry: ledger.Entry{System: "steward", Tool: "keyring_rotate"}}, ledger.Entry{Outcome: ledger.Unknown})
			must(t, err)
		}, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, t.TempDir())
			r := rekey.Rotation{Ledger: h, Record: h.store, Keyring: h, Workspaces: workspaces}
			must(t, func() error { _, err := r.Run(t.Context()); return err }()) // an older one, which was done
			h.done, h.rotated = 0, 0
			c.end(h, r)
			h.at = 0
			resumed, err := r.Run(t.Context())
			if err != nil || !resumed || h.rotated != 1 {
				t.Errorf("carried on %v, rotated %d times, %v", resumed, h.rotated, err)
			}
			done := "call.intent  call.outcome ok"
			for ws, want := range map[steward.WorkspaceID]string{
				"ws_1": "[" + done + " call.intent  call.outcome " + c.first + " " + done + "]", "ws_2": "[" + done + " " + done + "]",
			} {
				if got := fmt.Sprint(h.entries(t, ws)); got != want {
					t.Errorf("the record of %s says %s", ws, got)
				}
			}
		})
	}
}
