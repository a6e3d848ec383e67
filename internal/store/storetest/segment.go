package storetest

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
)

// SegmentStore is what the manifest of segments is asked for.
type SegmentStore interface {
	segment.Manifest
	segment.Catalog
	Empty(ctx context.Context, ws steward.WorkspaceID, rows []ledger.Row) error // segment.Dropper's
	Prune(ctx context.Context, ws steward.WorkspaceID, first uint64) error      // prune.Catalog's
}

// Segments holds a store against segment.Manifest and segment.Catalog, beside the tail that they lie with. It
// is empty at first.
func Segments(t *testing.T, s SegmentStore, tail ledger.Store) {
	ctx := context.Background()
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	until := time.Date(2033, 12, 1, 0, 0, 0, 0, time.UTC)
	// of is a segment of entries a second apart, whose objects' names say what try it is.
	of := func(ws steward.WorkspaceID, first, entries uint64, try string) segment.Segment {
		in := fmt.Sprintf("ledger/%s/%08d-%s/", ws, first, try)
		return segment.Segment{First: first, Entries: entries, Earliest: int64(first) * 1e6, Latest: int64(first+entries-1) * 1e6, Month: "2026-11", Objects: []segment.Object{
			{Name: in + "headers", Kind: segment.Headers, Size: 11, SHA256: []byte{1, 2}, Until: until},
			{Name: in + "parts", Kind: segment.Parts, Scopes: "ledger/2026-11 hold/1", Low: first, High: first + 7, Size: 12, SHA256: []byte{3}},
			{Name: in + "tiles", Kind: segment.Tiles, Size: 13, SHA256: []byte{4}, Until: until},
		}}
	}
	list := func(t *testing.T, ws steward.WorkspaceID, span segment.Span) []segment.Segment {
		t.Helper()
		got, err := s.Segments(ctx, ws, span)
		must(t, err)
		return got
	}
	all := segment.Span{End: math.MaxInt64, Since: math.MinInt64, Until: math.MaxInt64, Limit: 100}
	conflict := func(t *testing.T, err error) {
		t.Helper()
		if steward.KindOf(err) != steward.Conflict {
			t.Errorf("error %v, want one of kind conflict", err)
		}
	}
	// fill makes a tail of so many entries, all signed at a few sizes.
	fill := func(t *testing.T, ws steward.WorkspaceID, entries uint64, sizes ...uint64) {
		t.Helper()
		appender, err := tail.Appender(ctx)
		must(t, err)
		defer appender.Close()
		a := ledger.Advance{Workspace: ws, Node: "node", Now: ledger.Head{Next: entries, Last: 1}}
		for seq := range entries {
			a.Rows = append(a.Rows, ledger.Row{Seq: seq, Header: fmt.Append(nil, seq)})
		}
		must(t, appender.Commit(ctx, []ledger.Advance{a}))
		for _, size := range sizes {
			signed := ledger.Signed{Workspace: ws, Checkpoint: ledger.StoredCheckpoint{Size: size, Note: []byte("a note of the usual length"), Range: []byte("r")}}
			for n := range size/256 + 1 {
				signed.Tiles = append(signed.Tiles, ledger.Tile{N: n, Hashes: make([]byte, 32*min(256, size-256*n+1))})
			}
			signed.Tiles = append(signed.Tiles, ledger.Tile{Level: 1, Hashes: make([]byte, 32)})
			must(t, tail.SaveCheckpoints(ctx, []ledger.Signed{signed}))
		}
	}

	t.Run("segments come back as they were added, one behind the other", func(t *testing.T) {
		const ws = "ws_added"
		if got := list(t, ws, all); len(got) != 0 {
			t.Errorf("at first: %+v", got)
		}
		conflict(t, s.Replace(ctx, ws, nil, of(ws, 256, 256, "early")))
		want := []segment.Segment{of(ws, 0, 256, "a"), of(ws, 256, 512, "a"), of(ws, 768, 256, "a")}
		for _, g := range want {
			must(t, s.Replace(ctx, ws, nil, g))
		}
		conflict(t, s.Replace(ctx, ws, nil, of(ws, 0, 256, "b")))
		conflict(t, s.Replace(ctx, ws, nil, of(ws, 768, 512, "b")))
		conflict(t, s.Replace(ctx, ws, nil, of(ws, 2048, 256, "b")))
		if got := list(t, ws, all); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		backward := all
		backward.Backward, backward.Limit = true, 1
		if got := list(t, ws, backward); len(got) != 1 || !reflect.DeepEqual(got[0], want[2]) {
			t.Errorf("the last: %+v", got)
		}
		if got := list(t, "ws_other", all); len(got) != 0 {
			t.Errorf("another workspace's: %+v", got)
		}
		for _, c := range []struct {
			span segment.Span
			want []uint64
		}{
			{segment.Span{From: 0, End: 1, Until: math.MaxInt64, Limit: 9}, []uint64{0}},
			{segment.Span{From: 255, End: 257, Until: math.MaxInt64, Limit: 9}, []uint64{0, 256}},
			{segment.Span{From: 256, End: 9999, Until: math.MaxInt64, Limit: 9}, []uint64{256, 768}},
			{segment.Span{From: 300, End: 9999, Until: math.MaxInt64, Limit: 1}, []uint64{256}},
			{segment.Span{From: 300, End: 9999, Until: math.MaxInt64, Limit: 1, Backward: true}, []uint64{768}},
			{segment.Span{From: 1024, End: 9999, Until: math.MaxInt64, Limit: 9}, nil},
			{segment.Span{End: 9999, Since: 256e6, Until: math.MaxInt64, Limit: 9}, []uint64{256, 768}},
			{segment.Span{End: 9999, Since: 255e6, Until: 256e6, Limit: 9}, []uint64{0}},
			{segment.Span{End: 9999, Since: 300e6, Until: 301e6, Limit: 9, Backward: true}, []uint64{256}},
		} {
			var got []uint64
			for _, g := range list(t, ws, c.span) {
				got = append(got, g.First)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v: segments %v, want %v", c.span, got, c.want)
			}
		}
	})
	t.Run("others take the place of segments, all or none", func(t *testing.T) {
		const ws = "ws_replaced"
		a, b, c := of(ws, 0, 256, "a"), of(ws, 256, 256, "a"), of(ws, 512, 256, "a")
		for _, g := range []segment.Segment{a, b, c} {
			must(t, s.Replace(ctx, ws, nil, g))
		}
		merged := of(ws, 0, 512, "m")
		merged.State = segment.Merged
		conflict(t, s.Replace(ctx, ws, []segment.Segment{a, of(ws, 256, 256, "b")}, merged)) // other objects
		conflict(t, s.Replace(ctx, ws, []segment.Segment{b, a}, merged))
		conflict(t, s.Replace(ctx, ws, []segment.Segment{a, c}, merged))
		conflict(t, s.Replace(ctx, ws, []segment.Segment{a}, merged))
		conflict(t, s.Replace(ctx, ws, []segment.Segment{a, b, c}, merged))
		conflict(t, s.Replace(ctx, "ws_other", []segment.Segment{a, b}, merged))
		if got := list(t, ws, all); !reflect.DeepEqual(got, []segment.Segment{a, b, c}) {
			t.Fatalf("after what was refused: %+v", got)
		}
		must(t, s.Replace(ctx, ws, []segment.Segment{a, b}, merged))
		conflict(t, s.Replace(ctx, ws, []segment.Segment{a, b}, merged))
		locked := merged
		locked.State = segment.Locked
		must(t, s.Replace(ctx, ws, []segment.Segment{merged}, locked))
		if got := list(t, ws, all); !reflect.DeepEqual(got, []segment.Segment{locked, c}) {
			t.Errorf("got %+v", got)
		}
		months, err := s.Unmerged(ctx, "2026-12", 100)
		must(t, err)
		if !reflect.DeepEqual(months, []segment.Unmerged{{Workspace: "ws_added", Month: "2026-11"}, {Workspace: ws, Month: "2026-11"}}) {
			t.Errorf("unmerged: %+v", months)
		}
		if months, err = s.Unmerged(ctx, "2026-11", 100); err != nil || len(months) != 0 {
			t.Errorf("unmerged before: %+v, %v", months, err)
		}
	})
	t.Run("all objects are listed by name", func(t *testing.T) {
		var names []string
		for after := ""; ; {
			some, err := s.Objects(ctx, after, 4)
			must(t, err)
			if len(some) == 0 {
				break
			}
			for _, o := range some {
				if len(names) > 0 && o.Name <= names[len(names)-1] || o.Size < 11 || len(o.SHA256) == 0 {
					t.Errorf("%+v behind %s", o, names[len(names)-1])
				}
				if own := list(t, o.Workspace, segment.Span{From: o.First, End: o.End, Until: math.MaxInt64, Limit: 9}); len(own) != 1 || !slices.ContainsFunc(own[0].Objects, func(is segment.Object) bool { return reflect.DeepEqual(is, o.Object) }) {
					t.Errorf("%+v is none of %+v", o, own)
				}
				names = append(names, o.Name)
			}
			after = some[len(some)-1].Name
		}
		if len(names) != 15 {
			t.Errorf("%d objects, want 15: %v", len(names), names)
		}
	})
	t.Run("parts of the tail are written anew, and of no other workspace", func(t *testing.T) {
		for _, ws := range []steward.WorkspaceID{"ws_emptied", "ws_emptied2"} {
			fill(t, ws, 3)
		}
		must(t, s.Empty(ctx, "ws_emptied", []ledger.Row{{Seq: 1, Parts: []byte("new")}, {Seq: 9, Parts: []byte("nowhere")}}))
		for ws, want := range map[steward.WorkspaceID]string{"ws_emptied": "0: 1:new 2: ", "ws_emptied2": "0: 1: 2: "} {
			rows, err := tail.Rows(ctx, ws, 0, 9, true)
			must(t, err)
			got := ""
			for _, row := range rows {
				got += fmt.Sprintf("%s:%s ", row.Header, row.Parts)
			}
			if got != want {
				t.Errorf("%s: %q, want %q", ws, got, want)
			}
		}
	})
	t.Run("workspaces are listed in order, behind one", func(t *testing.T) {
		var all []steward.WorkspaceID
		for after := steward.WorkspaceID(""); ; {
			some, err := s.Workspaces(ctx, after, 1)
			must(t, err)
			if len(some) == 0 {
				break
			}
			all = append(all, some...)
			after = some[0]
		}
		if !slices.Equal(all, []steward.WorkspaceID{"ws_emptied", "ws_emptied2"}) {
			t.Errorf("workspaces: %v", all)
		}
	})
	t.Run("what is sealed is trimmed, and nothing else", func(t *testing.T) {
		const ws = "ws_trimmed"
		due := func(t *testing.T) *segment.Tail {
			t.Helper()
			tails, err := s.Due(ctx, "ws_t", 100)
			must(t, err)
			for _, tail := range tails {
				if tail.Workspace == ws {
					return &tail
				}
			}
			return nil
		}
		if due(t) != nil {
			t.Error("due before there is anything")
		}
		fill(t, ws, 3000, 100, 2200, 2600, 3000)
		fill(t, "ws_trimmed2", 300, 300)
		if got := due(t); got == nil || *got != (segment.Tail{Workspace: ws, Signed: 3000}) {
			t.Errorf("due: %+v", got)
		}
		must(t, s.Replace(ctx, ws, nil, of(ws, 0, 2560, "a")))
		if got := due(t); got == nil || *got != (segment.Tail{Workspace: ws, Signed: 3000, Sealed: 2560, Left: true}) {
			t.Errorf("due: %+v", got)
		}
		rounds := 0
		for more := true; more; rounds++ {
			left, err := tail.Rows(ctx, ws, 0, 9999, false)
			must(t, err)
			for i, row := range left {
				if row.Seq != left[0].Seq+uint64(i) {
					t.Fatalf("round %d leaves a gap before %d", rounds, row.Seq)
				}
			}
			more, err = s.Trim(ctx, ws, 2559e6)
			must(t, err)
		}
		if rounds < 3 {
			t.Errorf("%d rows went in %d rounds", 2560, rounds)
		}
		sizes := func() (sizes []uint64) {
			list, err := tail.Checkpoints(ctx, ws, 0, 10)
			must(t, err)
			for _, cp := range list {
				sizes = append(sizes, cp.Size)
			}
			return sizes
		}
		if got := sizes(); len(got) != 4 {
			t.Errorf("checkpoints of a segment that doesn't end before: %v", got)
		}
		_, err := s.Trim(ctx, ws, 2560e6)
		must(t, err)
		if got := sizes(); !reflect.DeepEqual(got, []uint64{2200, 2600, 3000}) {
			t.Errorf("checkpoints: %v", got)
		}
		left, err := tail.Rows(ctx, ws, 0, 9999, false)
		must(t, err)
		tiles, err := tail.Tiles(ctx, ws, 0, 0, 99)
		must(t, err)
		above, err := tail.Tiles(ctx, ws, 1, 0, 99)
		must(t, err)
		if len(left) != 440 || left[0].Seq != 2560 || len(tiles) != 2 || tiles[0].N != 10 || len(above) != 1 {
			t.Errorf("left are %d rows from %d, %d tiles from %d and %d above", len(left), left[0].Seq, len(tiles), tiles[0].N, len(above))
		}
		if got := due(t); got == nil || *got != (segment.Tail{Workspace: ws, Signed: 3000, Sealed: 2560}) {
			t.Errorf("due: %+v", got)
		}
		if others, err := tail.Rows(ctx, "ws_trimmed2", 0, 9999, false); err != nil || len(others) != 300 {
			t.Errorf("another workspace has %d rows, %v", len(others), err)
		}
		if tails, err := s.Due(ctx, "ws_t", 1); err != nil || len(tails) != 1 || tails[0].Workspace != ws {
			t.Errorf("one: %+v, %v", tails, err)
		}
		if tails, err := s.Due(ctx, ws, 100); err != nil || len(tails) != 1 || tails[0].Workspace != "ws_trimmed2" {
			t.Errorf("behind it: %+v, %v", tails, err)
		}
	})
	t.Run("of those who seal the same entries one wins", func(t *testing.T) {
		const ws = "ws_race"
		for round := range 5 {
			var wg sync.WaitGroup
			var mu sync.Mutex
			won := 0
			for i := range 4 {
				wg.Go(func() {
					err := s.Replace(ctx, ws, nil, of(ws, uint64(round)*512, uint64(256+256*(i%2)), fmt.Sprint("try", i)))
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						won++
					} else if steward.KindOf(err) != steward.Conflict {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			got := list(t, ws, all)
			if won != 1 {
				t.Fatalf("round %d: %d won, %+v", round, won, got)
			}
			if last := got[len(got)-1]; last.Entries == 256 {
				must(t, s.Replace(ctx, ws, nil, of(ws, last.End(), 256, "rest")))
			}
		}
	})
	t.Run("segments are pruned from the first on, trimmed ones, and never the last", func(t *testing.T) {
		const ws, other = "ws_pruned", "ws_pruned2"
		first := func(ws steward.WorkspaceID) uint64 {
			t.Helper()
			head, err := tail.Head(ctx, ws)
			must(t, err)
			return head.First
		}
		for _, w := range []steward.WorkspaceID{ws, other} {
			fill(t, w, 1024, 1024)
			for at := range uint64(3) {
				must(t, s.Replace(ctx, w, nil, of(w, at*256, 256, "a")))
			}
		}
		conflict(t, s.Prune(ctx, ws, 256)) // the tail has rows of it
		for more, err := true, error(nil); more; {
			more, err = s.Trim(ctx, ws, 0)
			must(t, err)
		}
		conflict(t, s.Prune(ctx, ws, 300)) // no segment begins there
		conflict(t, s.Prune(ctx, ws, 768)) // there would be none
		conflict(t, s.Prune(ctx, "ws_none", 256))
		if got := first(ws); got != 0 || len(list(t, ws, all)) != 3 {
			t.Fatalf("after what was refused it begins with %d", got)
		}
		for range 2 {
			must(t, s.Prune(ctx, ws, 512))
			if got := list(t, ws, all); first(ws) != 512 || !reflect.DeepEqual(got, []segment.Segment{of(ws, 512, 256, "a")}) {
				t.Errorf("it begins with %d and has %+v", first(ws), got)
			}
		}
		conflict(t, s.Prune(ctx, ws, 256))
		if got := first(other); got != 0 || len(list(t, other, all)) != 3 {
			t.Errorf("another workspace's begins with %d", got)
		}
		conflict(t, s.Replace(ctx, ws, nil, of(ws, 0, 256, "b")))
		must(t, s.Replace(ctx, ws, nil, of(ws, 768, 256, "a")))
		left, err := s.Objects(ctx, "ledger/ws_pruned/", 99)
		must(t, err)
		left = slices.DeleteFunc(left, func(o segment.Placed) bool { return o.Workspace != ws || o.First >= 512 })
		if len(left) != 0 {
			t.Errorf("still named are %+v", left)
		}
	})
}
