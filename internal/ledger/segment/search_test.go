package segment_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
)

// Whatever is asked, what is found in merged segments, fresh ones and the tail is what looking at every entry
// finds, in both directions and page by page.
func TestSearchFindsWhatLookingAtAllFinds(t *testing.T) {
	ctx := context.Background()
	h := open(t, t.TempDir(), func(h *house) { h.archive.Entries, h.archive.Month = 256, 1024 })
	h.now = time.Date(2026, 10, 29, 9, 0, 0, 0, time.UTC)
	h.fill(t, ws, 1400, 20*time.Second)
	must(t, h.archive.Pass(ctx))
	h.now = time.Date(2026, 11, 4, 9, 0, 0, 0, time.UTC)
	must(t, h.archive.Pass(ctx))
	h.fill(t, ws, 700, 20*time.Second)
	must(t, h.archive.Pass(ctx))
	h.fill(t, ws, 120, 20*time.Second)
	if list := h.manifest(t, ws); len(list) != 5 || list[0].Entries != 1024 || list[0].State != segment.Locked || list[4].End() != 2048 {
		t.Fatalf("%d segments: %+v", len(list), list)
	}

	var all []ledger.Header
	for _, row := range everything(t, h.store, ws) {
		header, _, _ := bytesCut(row)
		e, err := ledger.Decode(&ledger.Row{Header: header})
		must(t, err)
		all = append(all, e)
	}
	first, last := all[0].Time, all[len(all)-1].Time
	word := func(prefix string, n int) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			return rapid.SampledFrom([]string{"", "", "", "", prefix + fmt.Sprint(rapid.IntRange(0, n).Draw(t, prefix))}).Draw(t, prefix)
		})
	}
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.IntRange(0, 2).Draw(t, "open") > 0 {
			return time.Time{}
		}
		return first.Add(time.Duration(rapid.Int64Range(-int64(time.Minute), int64(last.Sub(first)+time.Minute)).Draw(t, "moment")))
	})
	pruned := 0
	rapid.Check(t, func(rt *rapid.T) {
		q := ledger.Query{
			From: uint64(rapid.IntRange(0, 2300).Draw(rt, "from") * rapid.IntRange(0, 1).Draw(rt, "from it")), End: uint64(rapid.IntRange(0, 2300).Draw(rt, "end") * rapid.IntRange(0, 1).Draw(rt, "to it")),
			Backward: rapid.Bool().Draw(rt, "backward"), Since: moment.Draw(rt, "since"), Until: moment.Draw(rt, "until"),
			Run: steward.RunID(word("run_", 560).Draw(rt, "run")), Member: steward.MemberID(word("mem_", 5).Draw(rt, "member")), Caller: word("mem_", 5).Draw(rt, "caller"),
			OnBehalfOf: steward.MemberID(word("mem_", 5).Draw(rt, "on behalf of")), Tool: word("tool_", 6).Draw(rt, "tool"),
			Target: rapid.SampledFrom([]string{"", "", "", "salesforce:Opportunity:4", "salesforce:Contact:1200", "salesforce:Lead:3", "salesforce:Lead:77"}).Draw(rt, "target"),
			Kind:   ledger.Kind(rapid.SampledFrom([]string{"", "", string(ledger.CallDenied), "no.kind"}).Draw(rt, "kind")), System: rapid.SampledFrom([]string{"", "", "steward"}).Draw(rt, "system"),
			Outcome: rapid.SampledFrom([]string{"", "", ledger.Failed}).Draw(rt, "outcome"), Decision: rapid.SampledFrom([]string{"", "", "deny"}).Draw(rt, "decision"),
			Effect: steward.Effect(rapid.SampledFrom([]string{"", "", "write"}).Draw(rt, "effect")),
		}
		end := uint64(len(all))
		if q.End > 0 {
			end = min(end, q.End)
		}
		var want []uint64
		for _, e := range all {
			if e.Seq >= q.From && e.Seq < end && q.Fits(&e) {
				want = append(want, e.Seq)
			}
		}
		if q.Backward {
			slices.Reverse(want)
		}
		var got []uint64
		previous := uint64(0)
		limit := rapid.SampledFrom([]int{1 << 30, 7}).Draw(rt, "limit")
		given := 0
		must(t, h.store.Search(ctx, ws, &q, q.From, end, func(row ledger.Row) bool {
			if given++; given > 1 && q.Backward != (row.Seq < previous) {
				rt.Fatalf("entry %d comes behind %d", row.Seq, previous)
			}
			previous = row.Seq
			e, err := ledger.Decode(&row)
			if err != nil || e.Seq != row.Seq || row.Parts != nil {
				rt.Fatalf("row %+v: %v", row, err)
			}
			if q.Fits(&e) {
				got = append(got, row.Seq)
			}
			return len(got) < limit
		}))
		if given < len(all)/4 {
			pruned++
		}
		if want = want[:min(len(want), limit)]; !slices.Equal(got, want) {
			rt.Fatalf("found %v, want %v", got, want)
		}
	})
	if pruned == 0 {
		t.Error("no search left anything out")
	}
}

func bytesCut(row string) (header []byte, parts string, ok bool) {
	for i := range row {
		if row[i] == '\n' {
			return []byte(row[:i]), row[i+1:], true
		}
	}
	return []byte(row), "", false
}

// TestSearchBySteward's own interface: pages go on where the last ended, with text and parts opened.
func TestLedgerSearchesSegments(t *testing.T) {
	ctx := context.Background()
	h := open(t, t.TempDir(), func(h *house) { h.archive.Entries = 512 })
	h.fill(t, ws, 1200, time.Second)
	find := func(q ledger.Query) (seqs []uint64) {
		t.Helper()
		must(t, h.Read(ctx, ws, q, func(e ledger.Header) error { seqs = append(seqs, e.Seq); return nil }))
		return seqs
	}
	queries := []ledger.Query{
		{Text: "PART 0 OF 300"}, {Member: "mem_2", Backward: true, Limit: 5}, {Member: "mem_2", End: 600, Backward: true, Limit: 5},
		{Target: "salesforce:Contact:42"}, {Target: "salesforce:Lead:40"}, {Run: "run_250"}, {Since: h.now.Add(-4 * time.Second)},
	}
	var before [][]uint64
	for _, q := range queries {
		before = append(before, find(q))
	}
	must(t, h.archive.Pass(ctx))
	if len(h.manifest(t, ws)) != 2 {
		t.Fatal("nothing was sealed")
	}
	for i, q := range queries {
		if got := find(q); !slices.Equal(got, before[i]) {
			t.Errorf("%+v: %v, before sealing %v", q, got, before[i])
		}
	}
	if !slices.Equal(before[0], []uint64{300}) || len(before[1]) != 5 || len(before[4]) != 0 {
		t.Errorf("before sealing: %v", before)
	}
}
