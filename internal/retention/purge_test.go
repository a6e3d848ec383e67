package retention_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/verify"
	"github.com/stewardhq/steward/internal/privacy"
	"github.com/stewardhq/steward/internal/retention"
	"github.com/stewardhq/steward/internal/retention/custody"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/forgetting"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

// yard is a purger over real databases, and a clock that tests turn.
type yard struct {
	*retention.Purger
	t      *testing.T
	now    time.Time
	ring   *keyring.Keyring
	data   *store.DB
	book   *ledger.Ledger
	kept   map[string]kept
	mu     sync.Mutex
	pruned time.Time // before when the record's beginning was last asked to go
	fail   error     // of the next drop
}

// kept is something sealed, and what opens it.
type kept struct {
	at     steward.Place
	sealed steward.Sealed
}

func newYard(t *testing.T, on *postgres.Server) *yard {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	y := &yard{t: t, now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), kept: map[string]kept{}}
	clock := func() time.Time { return y.now }
	var keys *store.DB
	y.data, keys = openDatabases(t, on, dir)
	var err error
	for _, id := range []steward.WorkspaceID{ws, "ws_2"} {
		y.must(store.Identity{DB: y.data}.AddWorkspace(ctx, identity.Workspace{ID: id, Name: "of " + string(id), Created: y.now}))
	}
	keeper := keyring.FileKeeper{Dir: filepath.Join(dir, "root")}
	y.must(keeper.Create(rand.Reader))
	y.ring, err = keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: keys}, Keeper: keeper, Rand: rand.Reader})
	y.must(err)
	y.book, err = ledger.Open(ctx, ledger.Config{Store: store.Ledger{DB: y.data}, Sealer: y.ring, Now: clock, Rand: rand.Reader, Origin: "test.example"})
	y.must(err)
	t.Cleanup(func() { y.must(errors.Join(y.book.Close(ctx), y.data.Close(), keys.Close())) })
	y.Purger = &retention.Purger{
		Schedule: retention.Schedule{Periods: store.Keyring{DB: keys}, Settings: store.Retention{DB: y.data}, Now: clock},
		Purges:   store.Retention{DB: y.data}, Custody: &custody.Custody{Holds: forgetting.Rows{DB: y.data.Rows()}, Keyring: y.ring}, Ledger: y.book, Shredder: y.ring, Droppers: []retention.Dropper{y, store.Retention{DB: y.data}},
		Pruner:     y,
		Log:        slog.New(slog.DiscardHandler),
		Workspaces: func(context.Context) ([]steward.WorkspaceID, error) { return []steward.WorkspaceID{ws, "ws_2"}, nil },
	}
	return y
}

func (y *yard) must(err error) {
	y.t.Helper()
	if err != nil {
		y.t.Fatal(err)
	}
}

// Prune notes up to when the record's beginning may go.
func (y *yard) Prune(_ context.Context, _ steward.WorkspaceID, before time.Time) (ledger.Pruned, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.pruned = before
	return ledger.Pruned{}, nil
}

// DropScopes fails when the test says so, as a disk might.
func (y *yard) DropScopes(context.Context, steward.WorkspaceID, []steward.Scope) (int, error) {
	err := y.fail
	y.fail = nil
	return 0, err
}

// pass lets days go by, and says that they did.
func (y *yard) pass(days int) {
	y.t.Helper()
	y.now = y.now.AddDate(0, 0, days)
	for _, w := range []steward.WorkspaceID{ws, "ws_2"} {
		y.must(y.Confirm(context.Background(), w))
	}
}

// keep seals something of a class under its name.
func (y *yard) keep(name string, w steward.WorkspaceID, class steward.Class) {
	y.t.Helper()
	at := steward.Place{Workspace: w, Table: "test", Row: name}
	sealed, err := y.ring.Seal(context.Background(), at, []steward.Scope{steward.TimeScope(class, y.now)}, []byte(name))
	y.must(err)
	y.kept[name] = kept{at, sealed}
}

// readable lists what still opens.
func (y *yard) readable() (names []string) {
	y.t.Helper()
	for name, k := range y.kept {
		if _, err := y.ring.Open(context.Background(), k.at, k.sealed); err == nil {
			names = append(names, name)
		} else if steward.KindOf(err) != steward.Gone {
			y.t.Fatal(err)
		}
	}
	slices.Sort(names)
	return names
}

func (y *yard) purge() []steward.Scope {
	y.t.Helper()
	purged, err := y.Purge(context.Background(), ws)
	y.must(err)
	return purged
}

func (y *yard) entries(kind ledger.Kind) (list []ledger.Header) {
	y.t.Helper()
	y.must(y.book.Read(context.Background(), ws, ledger.Query{Kind: kind}, func(h ledger.Header) error { list = append(list, h); return nil }))
	return list
}

func TestWhatIsDueGoesAndNothingElse(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		y := newYard(t, on)
		ctx := context.Background()
		y.keep("said in January", ws, steward.ClassConversation)
		y.keep("run in January", ws, steward.ClassRun)
		y.keep("asked in January", ws, steward.ClassPrompt)
		y.keep("somebody else's", "ws_2", steward.ClassConversation)
		y.keep("recorded in January", ws, steward.ClassLedger)
		if purged := y.purge(); len(purged) > 0 {
			t.Fatalf("at once %v goes", purged)
		}
		y.pass(29)
		y.keep("said later", ws, steward.ClassConversation)
		y.pass(1) // the 31st: kept for 30 days after the 1st ended
		if purged := y.purge(); len(purged) > 0 {
			t.Fatalf("a day early %v goes", purged)
		}
		held, err := y.Show(ctx, ws)
		y.must(err)
		if i := slices.IndexFunc(held, func(h retention.Held) bool { return h.Class == steward.ClassConversation }); held[i].Periods != 2 || held[i].Oldest != "2026-01-01" ||
			!held[i].Next.Equal(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)) || held[i].Due != 0 || held[i].Days != 30 {
			t.Errorf("conversations: %+v", held[i])
		}
		y.pass(1)
		if purged := y.purge(); !slices.Equal(purged, []steward.Scope{"conversation/2026-01-01"}) {
			t.Errorf("after a month %v goes", purged)
		}
		if got := y.readable(); !slices.Equal(got, []string{"asked in January", "recorded in January", "run in January", "said later", "somebody else's"}) {
			t.Errorf("%v are left", got)
		}
		y.pass(60)
		if purged := y.purge(); !slices.Equal(purged, []steward.Scope{"conversation/2026-01-30", "run/2026-01-01", "prompt/2026-01-01"}) {
			t.Errorf("after three months %v goes", purged)
		}
		if got := y.readable(); !slices.Equal(got, []string{"recorded in January", "somebody else's"}) {
			t.Errorf("%v are left", got)
		}
		y.must(y.PurgeAll(ctx))
		if got := y.readable(); !slices.Equal(got, []string{"recorded in January"}) {
			t.Errorf("of all workspaces %v is left", got)
		}
		y.pass(2557 - 91 + 31)
		if purged := y.purge(); !slices.Equal(purged, []steward.Scope{"ledger/2026-01"}) {
			t.Errorf("after seven years %v goes", purged)
		}

		// Each is on record, named before it goes and after.
		for _, kind := range []ledger.Kind{ledger.PurgeBegun, ledger.PurgeDone} {
			var named []string
			for _, e := range y.entries(kind) {
				named = append(named, e.Targets...)
			}
			if strings.Join(named, " ") != "conversation/2026-01-01 conversation/2026-01-30 run/2026-01-01 prompt/2026-01-01 ledger/2026-01" {
				t.Errorf("%s: %v", kind, named)
			}
		}
		r, err := verify.Ledger(ctx, verify.Source{Store: store.Ledger{DB: y.data}, Sealer: y.ring}, ws, nil)
		if err != nil || len(r.Findings) > 0 {
			t.Errorf("verify: %v %+v", err, r.Findings)
		}
	})
}

func TestAPurgeGoesOnAfterACrash(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		y := newYard(t, on)
		y.keep("said", ws, steward.ClassConversation)
		y.pass(40)
		y.fail = errors.New("the disk is full")
		if _, err := y.Purge(context.Background(), ws); err == nil {
			t.Fatal("what couldn't be removed was taken for gone")
		}
		if got := y.readable(); len(got) > 0 {
			t.Errorf("%v opens though its key was to go first", got)
		}
		if n := len(y.entries(ledger.PurgeDone)); n != 0 {
			t.Errorf("%d purges are said to be done", n)
		}
		if purged := y.purge(); !slices.Equal(purged, []steward.Scope{"conversation/2026-01-01"}) {
			t.Errorf("the second time %v goes", purged)
		}
		if begun, done := len(y.entries(ledger.PurgeBegun)), len(y.entries(ledger.PurgeDone)); begun != 1 || done != 1 {
			t.Errorf("%d begun and %d done are on record", begun, done)
		}
		if purged := y.purge(); len(purged) > 0 {
			t.Errorf("the third time %v goes", purged)
		}
	})
}

// What people said is in the vault's own rows: those are emptied, and their tokens mean nothing any more.
func TestRowsOfWhatWentAreEmpty(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		y := newYard(t, on)
		ctx := context.Background()
		vault := &privacy.Vault{Store: store.Privacy{DB: y.data}, Persons: store.Privacy{DB: y.data}, Sealer: y.ring, Shredder: y.ring, Now: func() time.Time { return y.now }, Rand: rand.Reader}
		c, err := vault.Open(ctx, ws, "con_1")
		y.must(err)
		masked, err := c.Mask(ctx, "write to ann@foo.example")
		y.must(err)
		sealed := func() (n int) {
			y.must(y.data.WalkSealed(ctx, ws, func(steward.Place, steward.Sealed) error { n++; return nil }))
			return n
		}
		before := sealed()
		y.pass(40)
		y.purge()
		if after := sealed(); before == 0 || after != 0 {
			t.Errorf("%d boxes before and %d after", before, after)
		}
		if e := y.entries(ledger.PurgeDone); len(e) != 1 || e[0].Records != before {
			t.Errorf("on record: %+v", e)
		}
		if strings.Contains(masked, "ann") {
			t.Errorf("masked: %s", masked)
		}
	})
}

// The record's beginning goes as the class of the record does, and only by a clock that is trusted.
func TestTheRecordsBeginningGoesWithItsClass(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		y := newYard(t, on)
		y.purge()
		if want := y.now.AddDate(0, 0, -2557); !y.pruned.Equal(want) {
			t.Errorf("by default it goes before %s, want %s", y.pruned, want)
		}
		y.must(y.Set(context.Background(), ws, steward.ClassLedger, 400))
		y.purge()
		before := y.pruned
		if want := y.now.AddDate(0, 0, -400); !before.Equal(want) {
			t.Errorf("after 400 days it goes before %s, want %s", before, want)
		}
		y.now = y.now.AddDate(1, 0, 0)
		if _, err := y.Purge(context.Background(), ws); steward.KindOf(err) != steward.Unavailable || !y.pruned.Equal(before) {
			t.Errorf("by a clock a year ahead it goes before %s: %v", y.pruned, err)
		}
	})
}

func TestNothingIsPurgedByAClockThatJumps(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		y := newYard(t, on)
		y.keep("said", ws, steward.ClassConversation)
		y.purge() // which begins to watch the clock
		y.now = y.now.AddDate(1, 0, 0)
		if _, err := y.Purge(context.Background(), ws); steward.KindOf(err) != steward.Unavailable {
			t.Errorf("a year ahead: %v", err)
		}
		y.now = y.now.AddDate(-1, 0, 0).Add(-2 * time.Hour)
		if _, err := y.Purge(context.Background(), ws); steward.KindOf(err) != steward.Unavailable {
			t.Errorf("two hours back: %v", err)
		}
		if got := y.readable(); len(got) != 1 {
			t.Errorf("%v is left", got)
		}
		// A process that starts with the clock behind its own record doesn't trust it either.
		y.now = y.now.Add(2 * time.Hour)
		_, err := y.book.Append(context.Background(), ws, ledger.Entry{Kind: ledger.RunRead})
		y.must(err)
		y.now = y.now.AddDate(0, 0, -1)
		fresh := *y.Purger
		again := retention.Purger{Schedule: fresh.Schedule, Purges: fresh.Purges, Custody: fresh.Custody, Ledger: fresh.Ledger, Shredder: fresh.Shredder, Droppers: fresh.Droppers, Pruner: y, Workspaces: fresh.Workspaces, Log: fresh.Log}
		if _, err := again.Purge(context.Background(), ws); steward.KindOf(err) != steward.Unavailable {
			t.Errorf("behind the record: %v", err)
		}
	})
}

func TestAWorkspaceSetsItsDaysWithinLimits(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		y := newYard(t, on)
		ctx := context.Background()
		y.keep("said", ws, steward.ClassConversation)
		for _, c := range []struct {
			class steward.Class
			days  int
		}{{"conversation", 0}, {"conversation", 366}, {"ledger", 365}, {"credential", 5}, {"anything", 5}} {
			if err := y.Set(ctx, ws, c.class, c.days); steward.KindOf(err) != steward.Invalid {
				t.Errorf("%s for %d days: %v", c.class, c.days, err)
			}
		}
		y.must(y.Set(ctx, ws, steward.ClassConversation, 2))
		y.pass(2)
		if purged := y.purge(); len(purged) > 0 {
			t.Errorf("before the second day ended %v goes", purged)
		}
		y.pass(1)
		if purged := y.purge(); len(purged) != 1 {
			t.Errorf("%v goes", purged)
		}
		y.must(y.Set(ctx, ws, steward.ClassConversation, 3))
		held, err := y.Show(ctx, ws)
		y.must(err)
		if len(held) != 5 || !slices.ContainsFunc(held, func(h retention.Held) bool { return h.Class == "conversation" && h.Days == 3 && h.Periods == 0 }) {
			t.Errorf("%+v", held)
		}
		if other, err := y.Show(ctx, "ws_2"); err != nil || other[1].Days != 30 {
			t.Errorf("another workspace: %+v, %v", other, err)
		}
	})
}

func TestAHoldKeepsEverythingUntilItIsReleased(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		y := newYard(t, on)
		ctx := context.Background()
		y.keep("said", ws, steward.ClassConversation)
		y.keep("somebody else's", "ws_2", steward.ClassConversation)
		for _, id := range []string{"hold_1", "hold_2"} {
			y.must(y.Custody.Holds.Place(ctx, ws, custody.Hold{ID: id, Ground: "case-17", By: "mem_ada", Since: y.now}))
		}
		y.pass(40)
		y.must(y.PurgeAll(ctx))
		if got := y.readable(); !slices.Equal(got, []string{"said"}) {
			t.Errorf("under a hold %v is left", got)
		}
		y.must(y.Custody.Holds.Release(ctx, ws, "hold_1"))
		if err := y.Custody.Holds.Release(ctx, ws, "hold_1"); steward.KindOf(err) != steward.NotFound {
			t.Errorf("releasing it again: %v", err)
		}
		if err := y.Custody.Holds.Release(ctx, "ws_2", "hold_2"); steward.KindOf(err) != steward.NotFound {
			t.Errorf("releasing another workspace's: %v", err)
		}
		if purged := y.purge(); len(purged) > 0 {
			t.Errorf("under the other hold %v goes", purged)
		}
		y.must(y.Custody.Holds.Release(ctx, ws, "hold_2"))
		if purged := y.purge(); len(purged) != 1 {
			t.Errorf("once released %v goes", purged)
		}
		// A hold that comes between the naming and the destroying of a process that died holds too.
		y.keep("said later", ws, steward.ClassConversation)
		y.pass(40)
		y.must(y.Purges.Begin(ctx, ws, []steward.Scope{"conversation/2026-02-10"}))
		y.must(y.Custody.Holds.Place(ctx, ws, custody.Hold{ID: "hold_3", Ground: "case-18", By: "mem_ada", Since: y.now}))
		if purged := y.purge(); len(purged) > 0 || !slices.Contains(y.readable(), "said later") {
			t.Errorf("%v goes", purged)
		}
	})
}

// A clock that is ahead when the server starts is found out, and stays so whatever is recorded meanwhile, until
// somebody confirms it.
func TestAClockThatIsAheadAtTheStart(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		y := newYard(t, on)
		ctx := context.Background()
		append1 := func() {
			t.Helper()
			_, err := y.book.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead})
			y.must(err)
		}
		y.keep("said", ws, steward.ClassConversation)
		append1()
		y.must(y.Stopped(ctx, ws))
		for range 2 {
			y.now = y.now.AddDate(0, 2, 0) // before anything was ever purged
			if _, err := y.Purge(ctx, ws); steward.KindOf(err) != steward.Unavailable || !strings.Contains(steward.Message(err), "--confirm") {
				t.Errorf("months ahead: %v", err)
			}
			if err := y.Stopped(ctx, ws); steward.KindOf(err) != steward.Unavailable {
				t.Errorf("nothing says that it is stopped: %v", err)
			}
			append1()
		}
		if got := y.readable(); len(got) != 1 {
			t.Errorf("%v is left", got)
		}
		y.must(y.Confirm(ctx, ws))
		y.must(y.Stopped(ctx, ws))
		if purged := y.purge(); len(purged) != 1 {
			t.Errorf("once confirmed %v goes", purged)
		}
		// A server that rested for some days goes on by itself.
		y.keep("said later", ws, steward.ClassVault)
		y.now = y.now.AddDate(0, 0, 6)
		y.purge()
		// Data that was put back waits, whatever the clock says.
		y.must(y.Settings.See(ctx, ws, retention.Restored()))
		if _, err := y.Purge(ctx, ws); steward.KindOf(err) != steward.Unavailable || !strings.Contains(steward.Message(err), "put back from a backup") {
			t.Errorf("restored: %v", err)
		}
	})
}

// What was named and not destroyed yet is spared where the schedule became longer meanwhile.
func TestWhatIsKeptForLongerIsSpared(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		y := newYard(t, on)
		ctx := context.Background()
		y.keep("said", ws, steward.ClassConversation)
		y.must(y.Purges.Begin(ctx, ws, []steward.Scope{steward.TimeScope(steward.ClassConversation, y.now)}))
		if purged := y.purge(); len(purged) > 0 || len(y.readable()) != 1 {
			t.Errorf("%v goes though it isn't due", purged)
		}
		if begun, err := y.Purges.Begun(ctx, ws); err != nil || len(begun) > 0 {
			t.Errorf("%v are still to go, %v", begun, err)
		}
	})
}
