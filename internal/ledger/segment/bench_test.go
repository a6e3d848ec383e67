package segment_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/ledger/segment/columns"
)

var benchEntries = flag.Int("search-entries", 1<<20, "how many entries BenchmarkSearch searches: 10 million take a minute to make")

// BenchmarkSeal is entries sealed a second: read from the tail, written into objects, read back, held against
// the checkpoint, and trimmed; and all the bytes of their objects to a byte of their headers and sealed parts.
func BenchmarkSeal(b *testing.B) {
	ctx := context.Background()
	const entries = 1 << 16
	var took time.Duration
	done := 0
	ratio := 0.0
	for b.Loop() {
		b.StopTimer()
		h := open(b, b.TempDir(), func(h *house) { h.archive.Entries = entries })
		own := h.fillBench(b, entries)
		b.StartTimer()
		from := time.Now()
		must(b, h.archive.Pass(ctx))
		took += time.Since(from)
		done += entries
		b.StopTimer()
		if len(h.manifest(b, ws)) != 1 || len(h.tailRows(b, ws)) != 0 {
			b.Fatal("not all was sealed")
		}
		disk := int64(0)
		must(b, filepath.Walk(filepath.Join(h.dir, "objects"), func(_ string, info os.FileInfo, err error) error {
			disk += info.Size()
			return err
		}))
		ratio = float64(disk) / float64(own)
		b.StartTimer()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ratio, "bytes/own")
	b.ReportMetric(float64(done)/took.Seconds(), "entries/s")
}

// BenchmarkAppendBesideSealing is what is left of the rate of appending while segments are sealed: 32 writers,
// one entry a call, each durable. The floor is the same without sealing.
func BenchmarkAppendBesideSealing(b *testing.B) {
	rate := func(archive bool) float64 {
		h := open(b, b.TempDir(), func(h *house) { h.archive.Entries, h.archive.Every = 1<<14, 100*time.Millisecond })
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		if archive {
			wg.Go(func() { _ = h.archive.Run(ctx) })
		}
		counts := make([]int, 32)
		from := time.Now()
		for writer := range counts {
			wg.Go(func() {
				e := benchEvent(writer, h.now)
				for ctx.Err() == nil {
					if _, err := h.Append(ctx, ws, e.Entry, e.Parts...); err == nil {
						counts[writer]++
					}
				}
			})
		}
		wg.Wait()
		if archive && len(h.manifest(b, ws)) == 0 {
			b.Error("nothing was sealed")
		}
		total := 0
		for _, n := range counts {
			total += n
		}
		return float64(total) / time.Since(from).Seconds()
	}
	var with, without []float64
	for b.Loop() {
		without = append(without, rate(false))
		with = append(with, rate(true))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(slices.Max(with), "entries/s")
	b.ReportMetric(slices.Max(without), "floor-entries/s")
	b.ReportMetric(slices.Max(with)/slices.Max(without), "ratio")
}

// benchEvent is an entry as it is in life: runs of some entries, each with a sealed part.
func benchEvent(n int, now time.Time) ledger.Event {
	body := make([]byte, 400)
	_, _ = rand.Read(body)
	return ledger.Event{Entry: ledger.Entry{
		Kind: ledger.RunRead, Run: steward.RunID(fmt.Sprintf("run_%016x", uint64(n/6+1)*0x9E3779B97F4A7C15)),
		Caller: fmt.Sprintf("mem_%016x", uint64(n/6%50+1)*0xBF58476D1CE4E5B9), System: "salesforce", Tool: "salesforce_query",
		Effect: steward.Read, Decision: "allow", PolicySet: "9f86d081884c7d659a2feaa0c55ad015", Outcome: ledger.OK, Records: n % 200, DurationMicros: int64(n * 7919 % 100000),
	}, Parts: []ledger.Part{{Scopes: []steward.Scope{steward.TimeScope(steward.ClassLedger, now)}, Body: body}}}
}

// fillBench appends entries and tells how many bytes their headers and sealed parts have.
func (h *house) fillBench(b *testing.B, entries int) (own int64) {
	ctx := context.Background()
	for i := 0; i < entries; i += 1024 {
		var events []ledger.Event
		for n := i; n < i+1024; n++ {
			events = append(events, benchEvent(n, h.now))
		}
		_, err := h.AppendAll(ctx, ws, events...)
		must(b, err)
		h.now = h.now.Add(time.Second)
	}
	_, err := h.Checkpoint(ctx, ws)
	must(b, err)
	for next := uint64(0); ; {
		rows, err := h.tail.Rows(ctx, ws, next, 1024, true)
		must(b, err)
		if len(rows) == 0 {
			return own
		}
		for _, row := range rows {
			own += int64(len(row.Header) + len(row.Parts))
		}
		next = rows[len(rows)-1].Seq + 1
	}
}

// BenchmarkSearch is how long the first page of 50 takes, the middle of all, over many entries in months of a
// million: of a member who is rare, within some hours, newest first.
func BenchmarkSearch(b *testing.B) {
	ctx := context.Background()
	h := open(b, b.TempDir(), nil)
	start := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	const each = 1 << 20
	for first := 0; first < *benchEntries; first += each {
		must(b, h.plant(b.TempDir(), uint64(first), min(each, *benchEntries-first), start))
	}
	member := func(n int) steward.MemberID { return steward.MemberID(fmt.Sprintf("mem_%d", n)) }
	for name, ask := range map[string]func(i int) *ledger.Query{
		"member,hours": func(i int) *ledger.Query {
			since := start.Add(time.Duration(i*7919%*benchEntries) * time.Second)
			return &ledger.Query{Member: member(i * 31 % 1000), Since: since, Until: since.Add(24 * time.Hour)}
		},
		"member,newest": func(i int) *ledger.Query { return &ledger.Query{Member: member(i * 31 % 1000), Backward: true} },
		"run": func(i int) *ledger.Query {
			return &ledger.Query{Run: steward.RunID(fmt.Sprintf("run_%d", i*7919%*benchEntries/6))}
		},
		"nobody": func(int) *ledger.Query { return &ledger.Query{Member: "mem_none"} },
	} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			i := 0
			for b.Loop() {
				q := ask(i)
				i++
				from := time.Now()
				found := 0
				err := h.store.Search(ctx, ws, q, 0, uint64(*benchEntries), func(row ledger.Row) bool {
					if e, err := ledger.Decode(&row); err == nil && q.Fits(&e) {
						found++
					}
					return found < 50
				})
				must(b, err)
				took = append(took, time.Since(from))
				if found == 0 && name != "nobody" {
					b.Fatalf("nothing was found for %+v", q)
				}
			}
			slices.Sort(took)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(took[len(took)/2].Seconds()*1000, "p50-ms")
			b.ReportMetric(took[len(took)*99/100].Seconds()*1000, "p99-ms")
		})
	}
}

// plant puts a segment in its place as if it had been sealed and merged, a second between two entries.
func (h *house) plant(dir string, first uint64, entries int, start time.Time) error {
	ctx := context.Background()
	w, err := columns.NewHeaders(dir)
	if err != nil {
		return err
	}
	defer w.Remove()
	for n := first; n < first+uint64(entries); n++ {
		at := start.Add(time.Duration(n) * time.Second)
		line := columns.Header{Seq: int64(n), Time: at.UnixMicro(), Kind: "run.read", Run: fmt.Sprintf("run_%d", n/6), Caller: fmt.Sprintf("mem_%d", n/6*7919%1000), System: "salesforce", Tool: "salesforce_query", Outcome: "ok"}
		id := sha256.Sum256([]byte(line.Run))
		line.Header = fmt.Appendf(nil, `{"seq":%d,"time":%q,"id":"%x","kind":"run.read","run":%q,"caller":%q,"system":"salesforce","tool":"salesforce_query","outcome":"ok"}`, n, at.Format(time.RFC3339Nano), id[:16], line.Run, line.Caller)
		if err := w.Add(line, len(line.Header)); err != nil {
			return err
		}
	}
	if err := w.Close(columns.Label{Workspace: ws, First: first, Entries: uint64(entries)}); err != nil {
		return err
	}
	content, size, sum, err := w.Content()
	if err != nil {
		return err
	}
	o := segment.Object{Name: fmt.Sprintf("ledger/planted/%d", first), Kind: segment.Headers, Size: size, SHA256: sum}
	if err := h.blobs.Put(ctx, o.Name, content, size, time.Time{}); err != nil {
		return err
	}
	last := start.Add(time.Duration(first+uint64(entries)-1) * time.Second)
	return h.segments.Replace(ctx, ws, nil, segment.Segment{
		First: first, Entries: uint64(entries), Earliest: start.Add(time.Duration(first) * time.Second).UnixMicro(), Latest: last.UnixMicro(), Month: last.Format("2006-01"),
		State: segment.Locked, Objects: []segment.Object{o},
	})
}
