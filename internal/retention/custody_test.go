package retention_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/verify"
	"github.com/stewardhq/steward/internal/retention"
	"github.com/stewardhq/steward/internal/retention/custody"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

// shelf lists what a yard keeps, to holds.
type shelf struct {
	*yard
	before func() // what happens while it is listed, once
	seen   int
}

func (s *shelf) Under(_ context.Context, w steward.WorkspaceID, scopes []steward.Scope, f func(custody.Thing) error) error {
	if do := s.before; do != nil {
		s.before = nil
		do()
	}
	for name, k := range s.kept {
		if k.at.Workspace != w || len(scopes) > 0 && !slices.Contains(scopes, k.sealed.Scopes[0]) {
			continue
		}
		s.seen++
		if err := f(custody.Thing{Name: name, At: k.at, Sealed: k.sealed}); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelf) Says(at steward.Place, plain []byte) ([]byte, bool, error) {
	return plain, at.Table == "test", nil
}

// stock gives a yard's holds what to hold: what says the name of the person, or the run.
func stock(y *yard) *shelf {
	s := &shelf{yard: y}
	y.Custody.Holders = []custody.Holder{s}
	y.Custody.Marks = func(_ context.Context, _ steward.WorkspaceID, m custody.Matter, _ []steward.Place) (marks []string, err error) {
		for _, ref := range m.Records {
			marks = append(marks, strings.ToLower(strings.TrimPrefix(ref.ID, "003")))
		}
		return append(marks, strings.TrimPrefix(string(m.Run), "run_")), nil
	}
	y.Custody.Mentions = strings.Contains
	return s
}

var (
	onMaria = custody.Matter{Records: []steward.Ref{maria}}
	onRun   = custody.Matter{Run: "run_seven"}
)

func (y *yard) place(id string, on custody.On, m custody.Matter) {
	y.t.Helper()
	y.must(y.Custody.Place(context.Background(), ws, custody.Hold{ID: id, On: on, Ground: "case-17", By: "mem_ada", Since: y.now}, m))
}

// under lists what a hold shows, those that lie aside in brackets.
func (y *yard) under(id string) (names []string) {
	y.t.Helper()
	y.must(y.Custody.Show(context.Background(), ws, id, func(custody.Hold, custody.Matter) error { return nil }, func(k custody.Kept) error {
		if k.Text != k.Name {
			y.t.Errorf("%s says %s", k.Name, k.Text)
		}
		if k.Aside {
			k.Name = "(" + k.Name + ")"
		}
		names = append(names, k.Name)
		return nil
	}))
	slices.Sort(names)
	return names
}

func (y *yard) verify() {
	y.t.Helper()
	r, err := verify.Ledger(context.Background(), verify.Source{Store: store.Ledger{DB: y.data}, Sealer: y.ring}, ws, nil)
	y.must(err)
	if len(r.Findings) > 0 {
		y.t.Errorf("findings: %+v", r.Findings)
	}
}

func (y *yard) laidAside(id string) (all []custody.Aside) {
	y.t.Helper()
	y.must(y.Custody.Holds.Aside(context.Background(), ws, id, func(a custody.Aside) error { all = append(all, a); return nil }))
	return all
}

func TestWhatIsHeldIsCopiedAsideAndTheRestGoes(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		y, ctx := newYard(t, on), context.Background()
		stock(y)
		y.keep("maria said", ws, steward.ClassConversation)
		y.keep("tomas said", ws, steward.ClassConversation)
		y.keep("mariana said", ws, steward.ClassConversation) // somebody else
		y.keep("in run seven", ws, steward.ClassConversation)
		y.keep("maria in run seven", ws, steward.ClassConversation)
		y.keep("maria elsewhere", "ws_2", steward.ClassConversation)
		was := y.kept["maria said"]
		y.place("hold_1", custody.OnPerson, onMaria)
		y.place("hold_2", custody.OnRun, onRun)
		if got := y.under("hold_1"); !slices.Equal(got, []string{"maria in run seven", "maria said"}) {
			t.Errorf("before the purge: %v", got)
		}
		y.verify()
		y.pass(40)
		if purged := y.purge(); len(purged) != 1 {
			t.Errorf("%v goes", purged)
		}
		if got := y.readable(); !slices.Equal(got, []string{"maria elsewhere"}) {
			t.Errorf("%v opens where it was", got)
		}
		if got := y.under("hold_1"); !slices.Equal(got, []string{"(maria in run seven)", "(maria said)"}) {
			t.Errorf("on Maria: %v", got)
		}
		if got := y.under("hold_2"); !slices.Equal(got, []string{"(in run seven)", "(maria in run seven)"}) {
			t.Errorf("on the run: %v", got)
		}
		y.verify()
		copies := y.laidAside("hold_1")
		if i := slices.IndexFunc(copies, func(a custody.Aside) bool { return a.Name == "maria said" }); i < 0 || copies[i].At != was.at || string(copies[i].Sealed.Box) != string(was.sealed.Box) || !slices.Equal(copies[i].Sealed.Scopes, was.sealed.Scopes) {
			t.Errorf("it isn't as it was: %+v", copies)
		}
		// Done again, nothing changes.
		y.purge()
		if got := y.laidAside("hold_1"); len(got) != 2 {
			t.Errorf("%d lie aside", len(got))
		}
		if err := y.Custody.Show(ctx, "ws_2", "hold_1", nil, nil); steward.KindOf(err) != steward.NotFound {
			t.Errorf("another workspace's hold: %v", err)
		}

		// Once released the copies are gone, and whoever kept one can't open it.
		y.must(y.Custody.Release(ctx, ws, "hold_1"))
		if got := y.laidAside("hold_1"); len(got) != 0 {
			t.Errorf("%d are left", len(got))
		}
		for _, a := range copies {
			at := steward.Place{Workspace: ws, Table: "aside", Row: strings.Join([]string{"hold_1", a.At.Table, a.At.Row, "0"}, "/")}
			if _, err := y.ring.Open(ctx, at, a.Key); steward.KindOf(err) != steward.Gone {
				t.Errorf("an old copy opens: %v", err)
			}
		}
		if err := y.Custody.Release(ctx, ws, "hold_1"); steward.KindOf(err) != steward.NotFound {
			t.Errorf("released again: %v", err)
		}
		if got := y.under("hold_2"); len(got) != 2 {
			t.Errorf("under the other hold: %v", got)
		}
		y.verify()
	})
}

// A crash between any two steps is made good by the next purge.
func TestCopyingAsideAfterACrash(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		y, ctx := newYard(t, on), context.Background()
		stock(y)
		y.keep("maria said", ws, steward.ClassConversation)
		y.keep("tomas said", ws, steward.ClassConversation)
		y.place("hold_1", custody.OnPerson, onMaria)
		y.pass(40)
		disk := errors.New("the disk is full")
		holds := y.Custody.Holds
		for _, broken := range []brokenHolds{{rows: holds, before: disk}, {rows: holds, after: disk}} {
			y.Custody.Holds = broken
			if _, err := y.Purge(ctx, ws); !errors.Is(err, disk) {
				t.Fatalf("it doesn't fail: %v", err)
			}
			if got := y.readable(); len(got) != 2 {
				t.Errorf("what couldn't be copied is gone: %v", got)
			}
		}
		y.Custody.Holds = holds
		shredder := y.Shredder
		y.Shredder = refusing{disk}
		if _, err := y.Purge(ctx, ws); !errors.Is(err, disk) {
			t.Fatalf("it doesn't fail: %v", err)
		}
		y.Shredder, y.fail = shredder, disk
		if _, err := y.Purge(ctx, ws); !errors.Is(err, disk) {
			t.Fatalf("it doesn't fail: %v", err)
		}
		if got := y.under("hold_1"); !slices.Equal(got, []string{"(maria said)"}) {
			t.Errorf("%v", got)
		}
		if purged := y.purge(); len(purged) != 1 {
			t.Errorf("%v goes", purged)
		}
		if got := y.under("hold_1"); !slices.Equal(got, []string{"(maria said)"}) || len(y.readable()) != 0 || len(y.entries(ledger.PurgeDone)) != 1 {
			t.Errorf("%v, and %v opens", got, y.readable())
		}
		// A release that came no further than the key holds nothing, and is done again.
		y.must(y.ring.Shred(ctx, ws, steward.HoldScope("hold_1")))
		if kept, err := y.Custody.Keeps(ctx, ws, onMaria, []steward.Scope{"conversation/2026-02-10"}); err != nil || len(kept) > 0 {
			t.Errorf("%v keeps, %v", kept, err)
		}
		y.keep("maria said more", ws, steward.ClassConversation)
		y.pass(40)
		y.purge()
		y.must(y.Custody.Release(ctx, ws, "hold_1"))
		if got := y.laidAside("hold_1"); len(got) > 0 || len(y.readable()) > 0 {
			t.Errorf("%d are left", len(got))
		}
		y.verify()
	})
}

// What lies aside for a hold opens though its scopes' keys are gone: nobody is certified forgotten of whom it speaks.
func TestWhatLiesAsideKeepsAnErasure(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		y, ctx := newYard(t, on), context.Background()
		stock(y)
		y.keep("in run seven maria called", ws, steward.ClassConversation)
		y.place("hold_1", custody.OnRun, onRun)
		scope := steward.TimeScope(steward.ClassConversation, y.now)
		y.pass(40)
		y.purge()
		keeps := func(somebody custody.Matter, scopes ...steward.Scope) int {
			t.Helper()
			holds, err := y.Custody.Keeps(ctx, ws, somebody, scopes)
			y.must(err)
			return len(holds)
		}
		aTomas := custody.Matter{Records: []steward.Ref{tomas}}
		for _, c := range []struct {
			name     string
			somebody custody.Matter
			scopes   []steward.Scope
			want     int
		}{
			{"it names their record", onMaria, nil, 1},
			{"it has a value of theirs", custody.Matter{Records: aTomas.Records, Values: []string{"Tomas", "called"}}, nil, 1},
			{"it was sealed under what goes", aTomas, []steward.Scope{scope}, 1},
			{"it is of somebody else", custody.Matter{Records: aTomas.Records, Values: []string{"Tomas"}}, []steward.Scope{"item/other"}, 0},
		} {
			if got := keeps(c.somebody, c.scopes...); got != c.want {
				t.Errorf("%s: %d holds keep it, want %d", c.name, got, c.want)
			}
		}
		y.must(y.Custody.Release(ctx, ws, "hold_1"))
		if got := keeps(onMaria, scope); got != 0 {
			t.Errorf("released, %d keep it", got)
		}
	})
}

// brokenHolds fails before or after it laid copies aside.
type brokenHolds struct {
	rows
	before, after error
}

func (b brokenHolds) Put(ctx context.Context, w steward.WorkspaceID, copies []custody.Aside) error {
	if b.before != nil {
		return b.before
	}
	return errors.Join(b.rows.Put(ctx, w, copies), b.after)
}

type rows = custody.Holds

type refusing struct{ err error }

func (r refusing) Shred(context.Context, steward.WorkspaceID, ...steward.Scope) error { return r.err }

func TestAHoldThatComesWhileAPurgeCopies(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		y := newYard(t, on)
		s := stock(y)
		for _, said := range []string{"maria said", "in run seven", "tomas said"} {
			y.keep(said, ws, steward.ClassConversation)
		}
		y.place("hold_1", custody.OnPerson, onMaria)
		y.pass(40)
		s.before = func() { y.place("hold_2", custody.OnWorkspace, custody.Matter{}) }
		if purged := y.purge(); len(purged) > 0 || len(y.readable()) != 3 {
			t.Errorf("%v goes", purged)
		}
		y.must(y.Custody.Release(context.Background(), ws, "hold_2"))
		s.before = func() { y.place("hold_3", custody.OnRun, onRun) }
		if purged := y.purge(); len(purged) != 1 || len(y.readable()) != 0 {
			t.Errorf("%v goes, %v stays", purged, y.readable())
		}
		if maria, run := y.under("hold_1"), y.under("hold_3"); !slices.Equal(maria, []string{"(maria said)"}) || !slices.Equal(run, []string{"(in run seven)"}) {
			t.Errorf("%v, %v", maria, run)
		}
		y.verify()
	})
}

func TestAHoldThatIsReleasedWhileAPurgeCopies(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		y := newYard(t, on)
		s := stock(y)
		y.keep("maria said", ws, steward.ClassConversation)
		y.place("hold_1", custody.OnPerson, onMaria)
		y.pass(40)
		s.before = func() { y.must(y.Custody.Release(context.Background(), ws, "hold_1")) }
		if purged := y.purge(); len(purged) != 1 || len(y.readable()) != 0 || len(y.laidAside("hold_1")) != 0 {
			t.Errorf("%v goes, %v stays, %d aside", purged, y.readable(), len(y.laidAside("hold_1")))
		}
	})
}

func TestTwoPurgersCopyOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		y := newYard(t, on)
		stock(y)
		for _, said := range []string{"maria said", "maria wrote", "tomas said"} {
			y.keep(said, ws, steward.ClassConversation)
		}
		y.place("hold_1", custody.OnPerson, onMaria)
		y.pass(40)
		var both sync.WaitGroup
		failed := make([]error, 2)
		for i := range failed {
			again := retention.Purger{
				Schedule: y.Schedule, Purges: y.Purges, Custody: &custody.Custody{Holds: y.Custody.Holds, Keyring: y.ring, Holders: []custody.Holder{&shelf{yard: y}}, Marks: y.Custody.Marks},
				Ledger: y.book, Shredder: y.ring, Log: y.Log, Workspaces: y.Workspaces, Pruner: y,
			}
			both.Go(func() { _, failed[i] = again.Purge(context.Background(), ws) })
		}
		both.Wait()
		y.must(errors.Join(failed...))
		if got := y.under("hold_1"); !slices.Equal(got, []string{"(maria said)", "(maria wrote)"}) || len(y.readable()) != 0 {
			t.Errorf("%v, and %v opens", got, y.readable())
		}
		y.verify()
	})
}

func TestWhichHoldsKeepAnErasure(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		y, ctx := newYard(t, on), context.Background()
		stock(y)
		y.keep("maria said", ws, steward.ClassConversation)
		y.keep("tomas in run seven", ws, steward.ClassPrompt)
		keeps := func(who steward.Ref, scopes ...steward.Scope) (ids []string) {
			t.Helper()
			holds, err := y.Custody.Keeps(ctx, ws, custody.Matter{Records: []steward.Ref{who}}, scopes)
			y.must(err)
			for _, h := range holds {
				ids = append(ids, h.ID)
			}
			return ids
		}
		said, asked := steward.TimeScope(steward.ClassConversation, y.now), steward.TimeScope(steward.ClassPrompt, y.now)
		y.place("hold_1", custody.OnPerson, onMaria)
		y.place("hold_2", custody.OnRun, onRun)
		for _, c := range []struct {
			who    steward.Ref
			scopes []steward.Scope
			want   []string
		}{
			{maria, nil, []string{"hold_1"}}, {tomas, nil, nil}, {tomas, []steward.Scope{"item/other"}, nil},
			{tomas, []steward.Scope{asked}, []string{"hold_2"}}, // what the run's hold keeps
			{tomas, []steward.Scope{said}, []string{"hold_1"}},  // what Maria's hold keeps
			{maria, []steward.Scope{said, asked}, []string{"hold_1", "hold_2"}},
		} {
			if got := keeps(c.who, c.scopes...); !slices.Equal(got, c.want) {
				t.Errorf("%s with %v: %v, want %v", c.who.ID, c.scopes, got, c.want)
			}
		}
		y.place("hold_3", custody.OnWorkspace, custody.Matter{})
		if got := keeps(tomas); !slices.Equal(got, []string{"hold_3"}) {
			t.Errorf("under a hold on the workspace: %v", got)
		}
		for _, id := range []string{"hold_1", "hold_2", "hold_3"} {
			y.must(y.Custody.Release(ctx, ws, id))
		}
		if got := keeps(maria, said, asked); len(got) > 0 {
			t.Errorf("released: %v", got)
		}
	})
}
