// Package storetest answers: does a database keep what the Store interfaces promise? It holds a suite
// for each of them and knows no database.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/privacy"
)

// Privacy holds s, which must be empty, to the contracts of privacy.Store and privacy.PersonStore.
func Privacy(t *testing.T, s interface {
	privacy.Store
	privacy.PersonStore
}) {
	ctx := context.Background()
	issued := time.Date(2026, 11, 23, 12, 0, 0, 123456000, time.UTC)
	row := func(id string, conv steward.ConversationID, at time.Time) privacy.Row {
		return privacy.Row{ID: id, Conversation: conv, Type: steward.TokenPerson, Kind: privacy.Reference, Issued: at, Sealed: steward.Sealed{
			Scopes: []steward.Scope{"conversation/2026-11-23", "person/p1"}, Box: []byte("box of " + id + "\x00\xff"),
		}}
	}
	issue := func(t *testing.T, ws steward.WorkspaceID, rows ...privacy.Row) []string {
		t.Helper()
		taken, err := s.IssueTokens(ctx, ws, rows)
		if err != nil {
			t.Fatal(err)
		}
		return taken
	}
	read := func(t *testing.T, ws steward.WorkspaceID, conv steward.ConversationID) []privacy.Row {
		t.Helper()
		rows, err := s.Tokens(ctx, ws, conv)
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	same := func(a, b privacy.Row) bool { return fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b) }

	t.Run("rows come back as they were, in the order of issue", func(t *testing.T) {
		a, b, c := row("zzzzz1", "c1", issued), row("aaaaa1", "c1", issued.Add(time.Microsecond)), row("bbbbb1", "c1", issued)
		if taken := issue(t, "w1", a, b, c); len(taken) != 0 {
			t.Fatalf("taken: %v", taken)
		}
		got := read(t, "w1", "c1")
		if len(got) != 3 || !same(got[0], c) || !same(got[1], a) || !same(got[2], b) {
			t.Errorf("got %+v", got)
		}
		if rows := read(t, "w1", "other"); len(rows) != 0 {
			t.Errorf("another conversation has %v", rows)
		}
	})
	t.Run("a taken id is named and left alone, the others are kept", func(t *testing.T) {
		other := row("zzzzz1", "c2", issued)
		if taken := issue(t, "w1", row("ccccc1", "c2", issued), other); !slices.Equal(taken, []string{"zzzzz1"}) {
			t.Errorf("taken: %v", taken)
		}
		if rows := read(t, "w1", "c2"); len(rows) != 1 || rows[0].ID != "ccccc1" {
			t.Errorf("got %v", rows)
		}
		if rows := read(t, "w1", "c1"); len(rows) != 3 {
			t.Errorf("the row that had the id: %v", rows)
		}
	})
	t.Run("workspaces don't meet", func(t *testing.T) {
		if taken := issue(t, "w2", row("zzzzz1", "c1", issued)); len(taken) != 0 {
			t.Errorf("taken: %v", taken)
		}
		changed := row("zzzzz1", "c1", issued)
		changed.Kind, changed.Sealed.Box = privacy.Linked, []byte("w2's")
		if err := s.ResealToken(ctx, "w2", changed); err != nil {
			t.Fatal(err)
		}
		if err := s.EmptyTokens(ctx, "w2", []string{"aaaaa1"}); err != nil {
			t.Fatal(err)
		}
		for _, r := range read(t, "w1", "c1") {
			if r.Kind != privacy.Reference || len(r.Sealed.Box) == 0 {
				t.Errorf("w2 changed w1's %+v", r)
			}
		}
		if rows := read(t, "w2", "c1"); len(rows) != 1 || !same(rows[0], changed) {
			t.Errorf("resealed: %+v", rows)
		}
		if err := s.ResealToken(ctx, "w2", row("aaaaa1", "c1", issued)); steward.KindOf(err) != steward.NotFound {
			t.Errorf("a row of another workspace: %v", err)
		}
	})
	t.Run("emptied rows stay, hold nothing, and keep their ids", func(t *testing.T) {
		if err := s.EmptyTokens(ctx, "w1", []string{"zzzzz1", "nobody"}); err != nil {
			t.Fatal(err)
		}
		if err := s.EmptyTokens(ctx, "w1", []string{"zzzzz1"}); err != nil {
			t.Errorf("again: %v", err)
		}
		rows := read(t, "w1", "c1")
		if len(rows) != 3 || rows[1].ID != "zzzzz1" || len(rows[1].Sealed.Box) != 0 || len(rows[1].Sealed.Scopes) != 0 {
			t.Errorf("got %+v", rows)
		}
		if taken := issue(t, "w1", row("zzzzz1", "c9", issued)); !slices.Equal(taken, []string{"zzzzz1"}) {
			t.Errorf("the id was issued again: %v", taken)
		}
	})
	t.Run("a walk sees what is wanted of one workspace and holds something, and ends at an error", func(t *testing.T) {
		note, other := row("ddddd1", "c1", issued), row("eeeee1", "c1", issued)
		note.Kind, note.Sealed.Scopes = privacy.Text, []steward.Scope{"conversation/2026-11-23"}
		other.Sealed.Scopes = []steward.Scope{"conversation/2026-11-23", "person/p2"}
		issue(t, "w1", note, other)
		walk := func(w privacy.Wanted) (ids []string) {
			t.Helper()
			if err := s.WalkTokens(ctx, "w1", w, func(r privacy.Row) error { ids = append(ids, r.ID); return nil }); err != nil {
				t.Fatal(err)
			}
			return ids
		}
		for _, c := range []struct {
			wanted privacy.Wanted
			want   []string
		}{
			{privacy.Wanted{}, []string{"ddddd1"}},
			{privacy.Wanted{Person: "p1"}, []string{"aaaaa1", "bbbbb1", "ccccc1", "ddddd1"}},
			{privacy.Wanted{Person: "p2"}, []string{"eeeee1", "ddddd1"}},
			{privacy.Wanted{IDs: []string{"bbbbb1", "zzzzz1", "nobody"}, Person: "p2"}, []string{"bbbbb1"}},
		} {
			if got := walk(c.wanted); !slices.Equal(got, c.want) {
				t.Errorf("of %+v it walks %v, want %v", c.wanted, got, c.want)
			}
		}
		note.Sealed.Scopes = append(note.Sealed.Scopes, "person/p2")
		if err := s.ResealToken(ctx, "w1", note); err != nil {
			t.Fatal(err)
		}
		if got := walk(privacy.Wanted{Person: "p2"}); !slices.Equal(got, []string{"ddddd1", "eeeee1"}) {
			t.Errorf("resealed as theirs, it walks %v", got)
		}
		if err := s.EmptyTokens(ctx, "w1", []string{"ddddd1", "eeeee1"}); err != nil {
			t.Fatal(err)
		}
		if got := walk(privacy.Wanted{Person: "p2"}); len(got) > 0 {
			t.Errorf("emptied, it walks %v", got)
		}
		stop, calls := errors.New("stop"), 0
		if err := s.WalkTokens(ctx, "w1", privacy.Wanted{Person: "p1"}, func(privacy.Row) error { calls++; return stop }); !errors.Is(err, stop) || calls != 1 {
			t.Errorf("%d calls, %v", calls, err)
		}
	})
	t.Run("the first person of a digest stays", func(t *testing.T) {
		held, err := s.AddPeople(ctx, "w1", map[string]steward.PersonID{"d1": "p1", "d2": "p2"})
		if err != nil || held["d1"] != "p1" || held["d2"] != "p2" {
			t.Fatalf("%v %v", held, err)
		}
		held, err = s.AddPeople(ctx, "w1", map[string]steward.PersonID{"d1": "p9", "d3": "p1"})
		if err != nil || len(held) != 2 || held["d1"] != "p1" || held["d3"] != "p1" {
			t.Errorf("%v %v", held, err)
		}
		known, err := s.People(ctx, "w1", []string{"d1", "d2", "d4"})
		if err != nil || len(known) != 2 || known["d1"] != "p1" || known["d2"] != "p2" {
			t.Errorf("%v %v", known, err)
		}
		if known, err := s.People(ctx, "w2", []string{"d1"}); err != nil || len(known) != 0 {
			t.Errorf("another workspace knows %v %v", known, err)
		}
	})
	t.Run("a dropped person has no digest left", func(t *testing.T) {
		if err := s.DropPerson(ctx, "w2", "p1"); err != nil {
			t.Fatal(err)
		}
		if err := s.DropPerson(ctx, "w1", "p1"); err != nil {
			t.Fatal(err)
		}
		known, err := s.People(ctx, "w1", []string{"d1", "d2", "d3"})
		if err != nil || len(known) != 1 || known["d2"] != "p2" {
			t.Errorf("%v %v", known, err)
		}
		if held, err := s.AddPeople(ctx, "w1", map[string]steward.PersonID{"d1": "p5"}); err != nil || held["d1"] != "p5" {
			t.Errorf("met again: %v %v", held, err)
		}
	})
	t.Run("of many at once for one digest and one id, one wins", func(t *testing.T) {
		var wg sync.WaitGroup
		won := make([]steward.PersonID, 8)
		kept := make([]bool, 8)
		for i := range won {
			wg.Go(func() {
				held, err := s.AddPeople(ctx, "w3", map[string]steward.PersonID{"d": steward.PersonID(fmt.Sprint("p", i))})
				if err != nil {
					t.Error(err)
				}
				won[i] = held["d"]
				taken, err := s.IssueTokens(ctx, "w3", []privacy.Row{row("raced1", "c", issued)})
				if err != nil {
					t.Error(err)
				}
				kept[i] = len(taken) == 0
			})
		}
		wg.Wait()
		if first := won[0]; first == "" || slices.ContainsFunc(won, func(p steward.PersonID) bool { return p != first }) {
			t.Errorf("persons %v", won)
		}
		n := 0
		for _, k := range kept {
			if k {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d kept the id", n)
		}
	})
}
