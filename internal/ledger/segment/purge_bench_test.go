package segment_test

import (
	"context"
	"flag"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/database"
)

var purgeEntries = flag.Int("purge-entries", 1<<18, "of how many entries BenchmarkPurgeMonth purges a tenth: 10 million take some minutes to make")

// BenchmarkPurgeMonth is how long one month of ten takes to be unreadable, and its bytes to be gone, and what is left
// of the rate of appending meanwhile, of which the floor is the rate just before. Beside it the same rows are deleted
// from a table of rows only, which has overwritten but not yet given back what it frees: how long that takes, and the
// longest that a writer waits for it.
func BenchmarkPurgeMonth(b *testing.B) {
	ctx := context.Background()
	const months = 10
	each := *purgeEntries / months / 1024 * 1024
	var unreadable, gone, deleted, stalled time.Duration
	var before, beside float64
	for b.Loop() {
		b.StopTimer()
		h := open(b, b.TempDir(), func(h *house) { h.archive.Entries = 1 << 16 })
		rows, err := store.OpenData(ctx, b.TempDir())
		must(b, err)
		table, err := store.Ledger{DB: rows}.Appender(ctx)
		must(b, err)
		first := steward.TimeScope(steward.ClassLedger, h.now)
		for month := range months {
			h.now = time.Date(2026, time.November+time.Month(month), 23, 9, 0, 0, 0, time.UTC)
			for range each / 1024 {
				h.appendBench(b, 1024)
				copyTail(b, h, rows, table)
			}
			_, err := h.Checkpoint(ctx, ws)
			must(b, err)
			h.now = h.now.Add(24 * time.Hour) // the last of the month are sealed too
			must(b, h.archive.Pass(ctx))
		}
		b.StartTimer()

		dropper := segment.Dropper{Store: h.store, Catalog: h.segments}
		from := time.Now()
		must(b, h.keys.Shred(ctx, ws, first))
		unreadable += time.Since(from)
		before += h.appendDuring(func() { time.Sleep(2 * time.Second) })
		beside += h.appendDuring(func() {
			from := time.Now()
			_, err := dropper.DropScopes(ctx, ws, []steward.Scope{first})
			must(b, err)
			gone += time.Since(from)
		})

		b.StopTimer()
		d, s := deleteRows(b, rows, table, each)
		deleted, stalled = deleted+d, stalled+s
		must(b, table.Close())
		must(b, rows.Close())
		b.StartTimer()
	}
	n := float64(b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(unreadable.Seconds()*1000/n, "unreadable-ms")
	b.ReportMetric(gone.Seconds()/n, "gone-s")
	b.ReportMetric(deleted.Seconds()/n, "floor-gone-s")
	b.ReportMetric(stalled.Seconds()/n, "delete-stall-s")
	b.ReportMetric(beside/n, "entries/s")
	b.ReportMetric(before/n, "floor-entries/s")
}

// appendBench appends entries in one call.
func (h *house) appendBench(b *testing.B, entries int) {
	var events []ledger.Event
	for n := range entries {
		events = append(events, benchEvent(n, h.now))
	}
	_, err := h.AppendAll(context.Background(), ws, events...)
	must(b, err)
}

// copyTail puts the newest entries of the tail into a table as well.
func copyTail(b *testing.B, h *house, rows *store.DB, table ledger.Appender) {
	ctx := context.Background()
	head, err := store.Ledger{DB: rows}.Head(ctx, ws)
	must(b, err)
	list, err := h.tail.Rows(ctx, ws, head.Next, 1024, true)
	must(b, err)
	must(b, table.Commit(ctx, []ledger.Advance{{Workspace: ws, Node: "n", Was: head, Now: ledger.Head{Next: head.Next + uint64(len(list)), Last: 1}, Rows: list}}))
}

// appendDuring is entries a second that 8 writers append, one a call, while f runs.
func (h *house) appendDuring(f func()) float64 {
	ctx, cancel := context.WithCancel(context.Background())
	var done atomic.Int64
	var wg sync.WaitGroup
	from := time.Now()
	for writer := range 8 {
		wg.Go(func() {
			e := benchEvent(writer, h.now)
			for ctx.Err() == nil {
				if _, err := h.Append(context.Background(), ws, e.Entry, e.Parts...); err == nil {
					done.Add(1)
				}
			}
		})
	}
	f()
	rate := float64(done.Load()) / time.Since(from).Seconds()
	cancel()
	wg.Wait()
	return rate
}

// deleteRows deletes a table's first rows, and tells how long that takes, and the longest that a writer waits.
func deleteRows(b *testing.B, rows *store.DB, table ledger.Appender, first int) (took, stalled time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var waits []time.Duration
	last, err := store.Ledger{DB: rows}.Rows(ctx, ws, 0, 1, true)
	must(b, err)
	head, err := store.Ledger{DB: rows}.Head(ctx, ws)
	must(b, err)
	wg.Go(func() {
		for seq := head.Next; ctx.Err() == nil; seq++ {
			row := last[0]
			row.Seq = seq
			from := time.Now()
			must(b, table.Commit(context.Background(), []ledger.Advance{{Workspace: ws, Node: "n", Was: ledger.Head{Next: seq}, Now: ledger.Head{Next: seq + 1, Last: 1}, Rows: []ledger.Row{row}}}))
			waits = append(waits, time.Since(from))
		}
	})
	from := time.Now()
	_, err = rows.Rows().Exec(context.Background(), database.Within(ws), `DELETE FROM ledger_tail WHERE workspace = $1 AND seq < $2`, ws, first)
	took = time.Since(from)
	cancel()
	wg.Wait()
	must(b, err)
	return took, slices.Max(append(waits, 0))
}
