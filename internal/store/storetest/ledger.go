package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
)

// Ledger holds a store against ledger.Store. The store is empty at first.
func Ledger(t *testing.T, s ledger.Store) {
	ctx := context.Background()
	row := func(seq uint64) ledger.Row {
		return ledger.Row{Seq: seq, Header: fmt.Append(nil, "header ", seq), Parts: fmt.Append(nil, "parts ", seq)}
	}
	// advance adds count rows where the head should be.
	advance := func(ws steward.WorkspaceID, from uint64, count int) ledger.Advance {
		a := ledger.Advance{Workspace: ws, Node: "node_1", Was: ledger.Head{Next: from}, Now: ledger.Head{Next: from + uint64(count), Last: int64(1000 + from)}}
		for i := range count {
			a.Rows = append(a.Rows, row(from+uint64(i)))
		}
		return a
	}
	send := func(t *testing.T, a ...ledger.Advance) error {
		t.Helper()
		appender, err := s.Appender(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := appender.Close(); err != nil {
				t.Error(err)
			}
		}()
		return appender.Commit(ctx, a)
	}
	commit := func(t *testing.T, a ...ledger.Advance) {
		t.Helper()
		if err := send(t, a...); err != nil {
			t.Fatal(err)
		}
	}
	head := func(t *testing.T, ws steward.WorkspaceID, want ledger.Head) {
		t.Helper()
		if got, err := s.Head(ctx, ws); err != nil || got != want {
			t.Errorf("head of %s: %+v, %v; want %+v", ws, got, err, want)
		}
	}
	count := func(t *testing.T, ws steward.WorkspaceID, want int) []ledger.Row {
		t.Helper()
		rows, err := s.Rows(ctx, ws, 0, 1000, true)
		if err != nil || len(rows) != want {
			t.Errorf("%s has %d rows, %v; want %d", ws, len(rows), err, want)
		}
		return rows
	}

	t.Run("rows come back in order and as they were", func(t *testing.T) {
		head(t, "ws_order", ledger.Head{})
		count(t, "ws_order", 0)
		bare := advance("ws_order", 3, 1)
		bare.Rows[0].Parts = nil
		commit(t, advance("ws_order", 0, 3), advance("ws_order2", 0, 1))
		commit(t, bare)
		head(t, "ws_order", ledger.Head{Next: 4, Last: 1003})
		for i, got := range count(t, "ws_order", 4) {
			want := row(uint64(i))
			if i == 3 {
				want.Parts = nil
			}
			if got.Seq != want.Seq || string(got.Header) != string(want.Header) || string(got.Parts) != string(want.Parts) || (got.Parts == nil) != (want.Parts == nil) {
				t.Errorf("row %d: %+v", i, got)
			}
		}
		some, err := s.Rows(ctx, "ws_order", 1, 2, false)
		if err != nil || len(some) != 2 || some[0].Seq != 1 || some[1].Seq != 2 || some[0].Parts != nil || string(some[0].Header) != "header 1" {
			t.Errorf("rows 1 and 2 without parts: %+v, %v", some, err)
		}
	})
	t.Run("large rows come in several pages", func(t *testing.T) {
		a := advance("ws_large", 0, 5)
		for i := range a.Rows {
			a.Rows[i].Parts = make([]byte, 3<<20)
		}
		commit(t, a)
		next, pages := uint64(0), 0
		for {
			rows, err := s.Rows(ctx, "ws_large", next, 1000, true)
			if err != nil {
				t.Fatal(err)
			}
			if len(rows) == 0 {
				break
			}
			for _, r := range rows {
				if r.Seq != next || len(r.Parts) != 3<<20 {
					t.Fatalf("row %d comes as %d with %d bytes", next, r.Seq, len(r.Parts))
				}
				next++
			}
			pages++
		}
		if next != 5 || pages < 2 {
			t.Errorf("%d rows in %d pages", next, pages)
		}
	})
	t.Run("a head that moved refuses all of the commit", func(t *testing.T) {
		commit(t, advance("ws_moved", 0, 2))
		for _, from := range []uint64{0, 1, 3} {
			if err := send(t, advance("ws_innocent", 0, 1), advance("ws_moved", from, 1)); !errors.Is(err, ledger.ErrMoved) {
				t.Errorf("from %d: %v", from, err)
			}
		}
		head(t, "ws_moved", ledger.Head{Next: 2, Last: 1000})
		head(t, "ws_innocent", ledger.Head{})
		count(t, "ws_innocent", 0)
		count(t, "ws_moved", 2)
	})
	t.Run("an intent is ended once", func(t *testing.T) {
		a := advance("ws_intents", 0, 3)
		a.Rows[0].Opens, a.Rows[2].Opens = true, true
		commit(t, a)
		open := func(want ...uint64) {
			t.Helper()
			got, err := s.Intents(ctx, "ws_intents")
			var seqs []uint64
			for _, o := range got {
				seqs = append(seqs, o.Seq)
				if o.Workspace != "ws_intents" {
					t.Errorf("an intent of %s", o.Workspace)
				}
			}
			if err != nil || !slices.Equal(seqs, want) {
				t.Errorf("open: %v, %v; want %v", seqs, err, want)
			}
		}
		open(0, 2)
		if others, err := s.Intents(ctx, "ws_order"); err != nil || len(others) != 0 {
			t.Errorf("another workspace's intents: %v, %v", others, err)
		}
		if left, err := s.Abandoned(ctx, "node_1"); err != nil || len(left) != 0 {
			t.Errorf("abandoned by others than node_1: %v, %v", left, err)
		}
		if left, err := s.Abandoned(ctx, "node_2"); err != nil || len(left) != 2 || left[1] != (ledger.OpenIntent{Workspace: "ws_intents", Seq: 2}) {
			t.Errorf("abandoned by others than node_2: %v, %v", left, err)
		}
		closing := func(seq uint64, of ...uint64) error {
			a := advance("ws_intents", seq, len(of))
			for i := range of {
				a.Rows[i].Closes = &of[i]
			}
			return send(t, a)
		}
		if err := closing(3, 0); err != nil {
			t.Fatal(err)
		}
		open(2)
		for name, of := range map[string][]uint64{"again": {0}, "never was": {77}, "twice in one commit": {2, 2}, "no intent": {1}} {
			if err := closing(4, of...); !errors.Is(err, ledger.ErrEnded) {
				t.Errorf("%s: %v", name, err)
			}
		}
		open(2)
		head(t, "ws_intents", ledger.Head{Next: 4, Last: 1003})
		// An intent and its outcome may share a commit.
		both := advance("ws_intents", 4, 2)
		seq := uint64(4)
		both.Rows[0].Opens, both.Rows[1].Closes = true, &seq
		commit(t, both)
		open(2)
	})
	t.Run("checkpoints", func(t *testing.T) {
		behind := func(want bool) {
			t.Helper()
			list, err := s.Behind(ctx)
			if err != nil || slices.Contains(list, "ws_signed") != want {
				t.Errorf("behind: %v, %v; want ws_signed in it: %v", list, err, want)
			}
		}
		behind(false)
		commit(t, advance("ws_signed", 0, 9))
		behind(true)
		for _, size := range []uint64{4, 9, 6} { // the last comes late
			if err := s.SaveCheckpoints(ctx, []ledger.Signed{{
				Workspace:  "ws_signed",
				Checkpoint: ledger.StoredCheckpoint{Size: size, Note: fmt.Append(nil, "note ", size), Range: []byte{byte(size)}},
				Tiles:      []ledger.Tile{{N: 0, Hashes: make([]byte, 32*size)}, {Level: 1, N: size, Hashes: make([]byte, 32)}},
			}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.SaveCheckpoints(ctx, []ledger.Signed{
			{Workspace: "ws_signed", Checkpoint: ledger.StoredCheckpoint{Size: 4, Note: []byte("other"), Range: []byte("other")}},
			{Workspace: "ws_signed2", Checkpoint: ledger.StoredCheckpoint{Size: 1, Note: []byte("n"), Range: []byte("r")}, Tiles: []ledger.Tile{{Hashes: make([]byte, 32)}}},
		}); err != nil {
			t.Fatal(err)
		}
		if tiles, err := s.Tiles(ctx, "ws_signed", 0, 0, 9); err != nil || len(tiles) != 1 || len(tiles[0].Hashes) != 9*32 {
			t.Errorf("of a tile that was saved with 4, 9 and 6 hashes: %+v, %v; want the longest", tiles, err)
		}
		if tiles, err := s.Tiles(ctx, "ws_signed", 1, 5, 1); err != nil || len(tiles) != 1 || tiles[0].N != 6 || tiles[0].Level != 1 {
			t.Errorf("one tile of level 1 from 5 on: %+v, %v", tiles, err)
		}
		if tiles, err := s.Tiles(ctx, "ws_signed2", 1, 0, 9); err != nil || len(tiles) != 0 {
			t.Errorf("another workspace's: %+v, %v", tiles, err)
		}
		behind(false)
		head(t, "ws_signed", ledger.Head{Next: 9, Last: 1000, Signed: 9})
		got, err := s.Checkpoints(ctx, "ws_signed", 4, 2)
		if err != nil || len(got) != 2 || got[0].Size != 4 || string(got[0].Note) != "note 4" || got[0].Range[0] != 4 || got[1].Size != 6 {
			t.Errorf("checkpoints from 4, two at most: %+v, %v", got, err)
		}
		if got, err := s.Checkpoints(ctx, "ws_signed", 7, 10); err != nil || len(got) != 1 || got[0].Size != 9 {
			t.Errorf("checkpoints from 7: %+v, %v", got, err)
		}
		if got, err := s.Checkpoints(ctx, "ws_order", 0, 10); err != nil || len(got) != 0 {
			t.Errorf("another workspace's: %+v, %v", got, err)
		}
		commit(t, advance("ws_signed", 9, 1))
		head(t, "ws_signed", ledger.Head{Next: 10, Last: 1009, Signed: 9})
		behind(true)
	})
	t.Run("writers race for one workspace", func(t *testing.T) {
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				appender, err := s.Appender(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				defer appender.Close()
				for done := 0; done < 10; { // after ErrMoved it is used again
					h, err := s.Head(ctx, "ws_race")
					if err == nil {
						err = appender.Commit(ctx, []ledger.Advance{advance("ws_race", h.Next, 1)})
					}
					switch {
					case err == nil:
						done++
					case !errors.Is(err, ledger.ErrMoved):
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		for i, r := range count(t, "ws_race", 60) {
			if r.Seq != uint64(i) {
				t.Fatalf("row %d has number %d", i, r.Seq)
			}
		}
	})
	t.Run("a sound database passes the check", func(t *testing.T) {
		if err := s.Check(ctx); err != nil {
			t.Error(err)
		}
	})
}
