package ledger_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
)

// mixed appends entries of many sorts over several pages, a second apart, two of each second.
func mixed(t *testing.T, h *house, now *time.Time, entries int) {
	t.Helper()
	var events []ledger.Event
	for i := range entries {
		if i%2 == 0 {
			*now = now.Add(time.Second)
		}
		e := ledger.Entry{
			Kind: []ledger.Kind{ledger.RunRead, ledger.CallDenied, ledger.LedgerRead}[i%3], Run: steward.RunID(fmt.Sprint("run_", i%7)),
			Caller: fmt.Sprint("mem_", i%5), OnBehalfOf: steward.MemberID(fmt.Sprint("mem_", i%4)), System: []string{"salesforce", "steward"}[i%2],
			Tool: fmt.Sprint("tool_", i%6), Effect: []steward.Effect{steward.Read, steward.Write, ""}[i%3], Decision: []string{"allow", "deny"}[i%2],
			Outcome: []string{ledger.OK, ledger.Failed, ledger.Denied}[i%3], Targets: []string{fmt.Sprint("salesforce:Opportunity:", i%11)},
		}
		events = append(events, ledger.Event{Entry: e})
		if len(events) == 500 || i == entries-1 {
			if _, err := h.AppendAll(context.Background(), ws, events...); err != nil {
				t.Fatal(err)
			}
			events = nil
		}
	}
}

// Whatever is asked, the answer is what looking at every entry gives, in both directions and page by page.
func TestSearchFindsWhatLookingAtAllFinds(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
		h := at.open(t, func(c *ledger.Config) { c.Now = func() time.Time { return now } })
		mixed(t, h, &now, 2500)
		all := h.headers(t, ws, ledger.Query{})
		first, last := all[0].Time, all[len(all)-1].Time
		word := func(prefix string, n int) *rapid.Generator[string] {
			return rapid.Custom(func(t *rapid.T) string {
				return rapid.SampledFrom([]string{"", "", "", prefix + fmt.Sprint(rapid.IntRange(0, n).Draw(t, prefix))}).Draw(t, prefix)
			})
		}
		moment := rapid.Custom(func(t *rapid.T) time.Time {
			if rapid.IntRange(0, 2).Draw(t, "open") > 0 {
				return time.Time{}
			}
			return first.Add(time.Duration(rapid.Int64Range(-int64(time.Minute), int64(last.Sub(first)+time.Minute)).Draw(t, "moment")))
		})
		rapid.Check(t, func(rt *rapid.T) {
			q := ledger.Query{
				From: uint64(rapid.IntRange(0, 2600).Draw(rt, "from") * rapid.IntRange(0, 1).Draw(rt, "from it")), End: uint64(rapid.IntRange(0, 2600).Draw(rt, "end") * rapid.IntRange(0, 1).Draw(rt, "to it")),
				Backward: rapid.Bool().Draw(rt, "backward"), Since: moment.Draw(rt, "since"), Until: moment.Draw(rt, "until"),
				Run: steward.RunID(word("run_", 8).Draw(rt, "run")), Member: steward.MemberID(word("mem_", 5).Draw(rt, "member")), Caller: word("mem_", 5).Draw(rt, "caller"),
				OnBehalfOf: steward.MemberID(word("mem_", 5).Draw(rt, "on behalf of")), Tool: word("tool_", 6).Draw(rt, "tool"), Target: word("salesforce:Opportunity:", 11).Draw(rt, "target"),
				Kind:    ledger.Kind(rapid.SampledFrom([]string{"", "", string(ledger.CallDenied)}).Draw(rt, "kind")),
				Outcome: rapid.SampledFrom([]string{"", "", ledger.Failed}).Draw(rt, "outcome"), Decision: rapid.SampledFrom([]string{"", "", "deny"}).Draw(rt, "decision"),
				Text: rapid.SampledFrom([]string{"", "", "TOOL_3"}).Draw(rt, "text"),
			}
			var want []uint64
			for _, e := range all {
				inRange := e.Seq >= q.From && (q.End == 0 || e.Seq < q.End) && (q.Since.IsZero() || !e.Time.Before(q.Since)) && (q.Until.IsZero() || e.Time.Before(q.Until))
				byWhom := (q.Member == "" || string(q.Member) == e.Caller || q.Member == e.OnBehalfOf) && (q.Caller == "" || q.Caller == e.Caller) && (q.OnBehalfOf == "" || q.OnBehalfOf == e.OnBehalfOf)
				what := (q.Run == "" || q.Run == e.Run) && (q.Tool == "" || q.Tool == e.Tool) && (q.Kind == "" || q.Kind == e.Kind) && (q.Text == "" || e.Tool == "tool_3") &&
					(q.Outcome == "" || q.Outcome == e.Outcome) && (q.Decision == "" || q.Decision == e.Decision) && (q.Target == "" || q.Target == e.Targets[0])
				if inRange && byWhom && what {
					want = append(want, e.Seq)
				}
			}
			if q.Backward {
				slices.Reverse(want)
			}
			var got []uint64
			for q.Limit = rapid.SampledFrom([]int{0, 1000, 40}).Draw(rt, "limit"); ; {
				page := h.headers(t, ws, q)
				for _, e := range page {
					got = append(got, e.Seq)
				}
				if q.Limit == 0 || len(page) < q.Limit {
					break
				}
				if q.Backward {
					if q.End = got[len(got)-1]; q.End == 0 {
						break
					}
				} else {
					q.From = got[len(got)-1] + 1
				}
			}
			if !slices.Equal(got, want) {
				rt.Fatalf("%+v: %d entries %v…, want %d %v…", q, len(got), got[:min(5, len(got))], len(want), want[:min(5, len(want))])
			}
		})
	})
}

func TestPagesStayWhileEntriesAreAdded(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
		h := at.open(t, func(c *ledger.Config) { c.Now = func() time.Time { return now } })
		mixed(t, h, &now, 60)
		q := ledger.Query{Caller: "mem_1", Backward: true, Limit: 5}
		var seen []uint64
		for {
			page := h.headers(t, ws, q)
			for _, e := range page {
				seen = append(seen, e.Seq)
			}
			if len(page) < q.Limit {
				break
			}
			q.End = page[len(page)-1].Seq
			mixed(t, h, &now, 20)
		}
		if want := []uint64{56, 51, 46, 41, 36, 31, 26, 21, 16, 11, 6, 1}; !slices.Equal(seen, want) {
			t.Errorf("page by page: %v, want %v", seen, want)
		}
	})
}

// What stands in parts only is found while they open: a text, and the targets behind the first 32.
func TestSearchOpensParts(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		h := at.open(t, nil)
		var targets []string
		for i := range 32 {
			targets = append(targets, fmt.Sprint("salesforce:Contact:~", i))
		}
		add := func(e ledger.Entry, scope steward.Scope, body string) {
			t.Helper()
			e.Kind = ledger.CallDenied
			if _, err := h.Append(ctx, ws, e, ledger.Part{Scopes: []steward.Scope{scope}, Body: []byte(body)}); err != nil {
				t.Fatal(err)
			}
		}
		add(ledger.Entry{Targets: targets}, "ledger/2026-11", `{"more":["salesforce:Contact:~ab","salesforce:Contact:~cd"]}`)
		add(ledger.Entry{Targets: targets[:31]}, "ledger/2026-11", `{"records":["salesforce:Contact:~ab"]}`) // read, not written
		add(ledger.Entry{Targets: []string{"salesforce:Contact:~ab"}}, "ledger/2026-12", `{"question":"how is <PERSON_k7q2mh> doing?"}`)
		found := func(q ledger.Query) (seqs []uint64) {
			for _, e := range h.headers(t, ws, q) {
				seqs = append(seqs, e.Seq)
			}
			return seqs
		}
		check := func(q ledger.Query, want ...uint64) {
			t.Helper()
			if got := found(q); !slices.Equal(got, want) {
				t.Errorf("%+v finds %v, want %v", q, got, want)
			}
		}
		check(ledger.Query{Target: "salesforce:Contact:~ab"}, 0, 2)
		check(ledger.Query{Target: "salesforce:Contact:~a"})
		check(ledger.Query{Target: "salesforce:Contact:~31"}, 0)
		check(ledger.Query{Text: "salesforce:contact:~AB"}, 0, 1, 2)
		check(ledger.Query{Text: "how is <person_K7Q2mh>"}, 2)
		check(ledger.Query{Text: "how is", Target: "salesforce:Contact:~cd"})
		if err := h.keys.Shred(ctx, ws, "ledger/2026-11"); err != nil {
			t.Fatal(err)
		}
		check(ledger.Query{Target: "salesforce:Contact:~ab"}, 2)
		check(ledger.Query{Text: "salesforce:Contact:~ab"}, 2)
		if err := h.Read(ctx, "ws_2", ledger.Query{Text: "salesforce"}, func(e ledger.Header) error { return fmt.Errorf("%d", e.Seq) }); err != nil {
			t.Errorf("another workspace finds entry %v", err)
		}
	})
}

// An entry's parts are read once for a search, however many they are.
func TestSearchReadsPartsOnce(t *testing.T) {
	ctx := context.Background()
	counted := &counting{}
	h := open(t, t.TempDir(), func(c *ledger.Config) { counted.Store = c.Store; c.Store = counted })
	parts := make([]ledger.Part, 8)
	for i := range parts {
		parts[i] = ledger.Part{Scopes: month, Body: []byte(fmt.Sprint("part ", i))}
	}
	_, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead}, parts...)
	must(t, err)
	for text, want := range map[string]int{"part 7": 1, "part 9": 0} {
		before := counted.reads.Load()
		if got := len(h.headers(t, ws, ledger.Query{Text: text})); got != want {
			t.Errorf("%q is found in %d entries", text, got)
		}
		if n := counted.reads.Load() - before; n != 1 {
			t.Errorf("for %q the parts are read %d times", text, n)
		}
	}
}

// counting counts how often parts are read.
type counting struct {
	ledger.Store
	reads atomic.Int64
}

func (c *counting) Rows(ctx context.Context, w steward.WorkspaceID, from uint64, limit int, parts bool) ([]ledger.Row, error) {
	if parts {
		c.reads.Add(1)
	}
	return c.Store.Rows(ctx, w, from, limit, parts)
}
