package segment_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
)

// BenchmarkSeal is entries sealed a second: read from the tail, written into objects, read back, held against
// the checkpoint, and trimmed.
func BenchmarkSeal(b *testing.B) {
	ctx := context.Background()
	const entries = 1 << 16
	var took time.Duration
	done := 0
	for b.Loop() {
		b.StopTimer()
		h := open(b, b.TempDir(), func(h *house) { h.archive.Entries = entries })
		h.fillBench(b, entries)
		b.StartTimer()
		from := time.Now()
		must(b, h.archive.Pass(ctx))
		took += time.Since(from)
		done += entries
		b.StopTimer()
		if len(h.manifest(b, ws)) != 1 || len(h.tailRows(b, ws)) != 0 {
			b.Fatal("nothing was sealed")
		}
		var own, disk int64
		rows, err := h.store.Rows(ctx, ws, 0, 1000, true)
		must(b, err)
		for _, row := range rows {
			own += int64(len(row.Header) + len(row.Parts))
		}
		own = own * entries / int64(len(rows))
		must(b, filepath.Walk(filepath.Join(h.dir, "objects"), func(_ string, info os.FileInfo, err error) error { disk += info.Size(); return err }))
		b.ReportMetric(float64(disk)/float64(own), "bytes/own")
		b.StartTimer()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(done)/took.Seconds(), "entries/s")
}

// fillBench appends entries as they are in life: runs of some entries, each with a sealed part.
func (h *house) fillBench(b *testing.B, entries int) {
	ctx := context.Background()
	body := make([]byte, 400)
	for i := 0; i < entries; i += 1024 {
		var events []ledger.Event
		for n := i; n < i+1024; n++ {
			run := steward.RunID(fmt.Sprintf("run_%016x", uint64(n/6+1)*0x9E3779B97F4A7C15))
			events = append(events, ledger.Event{Entry: ledger.Entry{
				Kind: ledger.RunRead, Run: run, Caller: fmt.Sprintf("mem_%016x", uint64(n/6%50+1)*0xBF58476D1CE4E5B9), System: "salesforce", Tool: "salesforce_query",
				Effect: steward.Read, Decision: "allow", PolicySet: "9f86d081884c7d659a2feaa0c55ad015", Outcome: ledger.OK, Records: n % 200, DurationMicros: int64(n * 7919 % 100000),
			}, Parts: []ledger.Part{{Scopes: []steward.Scope{steward.TimeScope(steward.ClassLedger, h.now)}, Body: body}}})
		}
		_, err := h.AppendAll(ctx, ws, events...)
		must(b, err)
		h.now = h.now.Add(time.Second)
	}
	_, err := h.Checkpoint(ctx, ws)
	must(b, err)
}
