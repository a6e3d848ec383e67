package ledger_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/blob"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/ledger/verify"
	"github.com/stewardhq/steward/internal/store"
)

// Each figure stands beside its floor, what the machine gives anyway, measured in the same run and in turns
// with it: the machine may be busy with other things, and the ratio then says more than either.

const (
	benchWriters = 32
	benchBody    = 400 // bytes
	benchTurn    = 250 * time.Millisecond
)

// BenchmarkAppend is entries a second that are durable: 32 writers, one or 100 entries a call.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ workspaces, entries int }{{1, 1}, {32, 1}, {1, 100}, {32, 100}} {
		b.Run(fmt.Sprintf("writers=%d/workspaces=%d/entries=%d", benchWriters, c.workspaces, c.entries), func(b *testing.B) {
			h := open(b, b.TempDir(), nil)
			f := newFloor(b)
			events := slices.Repeat([]ledger.Event{{Entry: benchEntry, Parts: []ledger.Part{{Scopes: month, Body: random(benchBody)}}}}, c.entries)
			var ours, floor turns
			for b.Loop() {
				floor.take(b, func(int) (int, error) { return c.entries, f.append(c.entries) })
				ours.take(b, func(writer int) (int, error) {
					_, err := h.AppendAll(context.Background(), steward.WorkspaceID(fmt.Sprint("ws_", writer%c.workspaces)), events...)
					return c.entries, err
				})
			}
			report(b, "entries/s", ours.rate(), floor.rate())
		})
	}
}

// random is a body that doesn't get smaller.
func random(size int) []byte {
	body := make([]byte, size)
	_, _ = rand.Read(body) // never fails
	return body
}

var benchEntry = ledger.Entry{Kind: ledger.RunRead, Run: "run_0123456789abcdef", Caller: "mem_0123456789abcdef", System: "salesforce", Tool: "salesforce_query", Effect: steward.Read, Decision: "allow"}

// BenchmarkAppendAlone is how long a single writer waits, the middle of all; the floor is a write and its
// fsync.
func BenchmarkAppendAlone(b *testing.B) {
	h := open(b, b.TempDir(), nil)
	f := newFloor(b)
	var ours, floor []time.Duration
	for b.Loop() {
		from := time.Now()
		if _, err := f.file.Write(make([]byte, benchBody)); err != nil {
			b.Fatal(err)
		}
		if err := f.file.Sync(); err != nil {
			b.Fatal(err)
		}
		floor = append(floor, time.Since(from))
		from = time.Now()
		if _, err := h.Append(context.Background(), ws, benchEntry, ledger.Part{Scopes: month, Body: random(benchBody)}); err != nil {
			b.Fatal(err)
		}
		ours = append(ours, time.Since(from))
	}
	middle := func(d []time.Duration) float64 { slices.Sort(d); return d[len(d)/2].Seconds() * 1000 }
	report(b, "p50-ms", middle(ours), middle(floor))
}

// BenchmarkVerify is entries verified a second, from the tail and from sealed segments, without the check of the
// database's own pages and of whole objects, which is done once for all workspaces; the floor is hashing the
// same bytes on one core.
func BenchmarkVerify(b *testing.B) {
	const entries = 1 << 16
	h := open(b, b.TempDir(), nil)
	fill(b, h, entries)
	b.Run("tail", func(b *testing.B) { benchVerify(b, h.store, h.keys, entries) })

	ctx := context.Background()
	folder := blob.Folder{Dir: filepath.Join(b.TempDir(), "objects"), Now: time.Now}
	must(b, folder.Check(ctx))
	segments := store.Segments{DB: h.store.DB}
	whole := &segment.Store{Store: h.store, Manifest: segments, Blobs: folder}
	defer whole.Close()
	archivist := segment.Archivist{Store: whole, Catalog: segments, Sealer: h.keys, Spool: b.TempDir(), Now: time.Now, Rand: rand.Reader, Entries: entries}
	must(b, archivist.Pass(ctx))
	if rows, err := h.store.Rows(ctx, ws, 0, 1, false); err != nil || len(rows) > 0 {
		b.Fatal("not all is sealed", err)
	}
	b.Run("sealed", func(b *testing.B) { benchVerify(b, whole, h.keys, entries) })
}

func benchVerify(b *testing.B, from ledger.Verifiable, sealer steward.Sealer, entries int) {
	var ours, floor turns
	for b.Loop() {
		begun := time.Now()
		r, err := verify.Ledger(context.Background(), verify.Source{Store: from, Sealer: sealer, Checked: true}, ws, nil)
		if err != nil || len(r.Findings) > 0 || r.Entries != uint64(entries) {
			b.Fatal(r, err)
		}
		ours.add(entries, begun)
		begun = time.Now()
		hashes(entries, 400, benchBody+65)
		floor.add(entries, begun)
	}
	report(b, "entries/s", ours.rate(), floor.rate())
}

// hashes hashes so many times what an entry has of bytes.
func hashes(entries int, sizes ...int) {
	bytes := make([]byte, slices.Max(sizes))
	for range entries {
		for _, size := range sizes {
			bytes[0] += sha256.Sum256(bytes[:size])[0]
		}
	}
}

// BenchmarkCheckpoint is entries that get into the tree and under a signature a second, where nothing of
// them is known any more but what is stored; the floor is hashing leaves and nodes on one core.
func BenchmarkCheckpoint(b *testing.B) {
	h := open(b, b.TempDir(), nil)
	const entries = 1 << 17
	fill(b, h, entries)
	var ours, floor turns
	for b.Loop() {
		edit(b, h.dir, `DELETE FROM ledger_checkpoints`, `DELETE FROM ledger_tiles`, `UPDATE ledger_heads SET signed = 0`)
		from := time.Now()
		if cp, err := h.Checkpoint(context.Background(), ws); err != nil || cp.Size != entries {
			b.Fatal(cp, err)
		}
		ours.add(entries, from)
		from = time.Now()
		hashes(entries, 400, 65)
		floor.add(entries, from)
	}
	report(b, "entries/s", ours.rate(), floor.rate())
}

func fill(b *testing.B, h *house, entries int) {
	events := slices.Repeat([]ledger.Event{{Entry: benchEntry, Parts: []ledger.Part{{Scopes: month, Body: random(benchBody)}}}}, 1024)
	for range entries / len(events) {
		if _, err := h.AppendAll(context.Background(), ws, events...); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := h.Checkpoint(context.Background(), ws); err != nil {
		b.Fatal(err)
	}
}

// report says a figure with its floor; tools/benchlines makes a line of JSON of it.
func report(b *testing.B, unit string, value, floor float64) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(value, unit)
	if floor > 0 {
		b.ReportMetric(floor, "floor-"+unit)
		b.ReportMetric(value/floor, "ratio")
	}
}

// turns sums up what was done and how long it took.
type turns struct {
	done int
	took time.Duration
}

func (t *turns) add(done int, from time.Time) {
	t.done += done
	t.took += time.Since(from)
}

func (t *turns) rate() float64 { return float64(t.done) / t.took.Seconds() }

// take lets all writers work for a while.
func (t *turns) take(b *testing.B, f func(writer int) (int, error)) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	total, from := 0, time.Now()
	for writer := range benchWriters {
		wg.Go(func() {
			sum := 0
			for time.Since(from) < benchTurn {
				n, err := f(writer)
				if err != nil {
					b.Error(err)
					return
				}
				sum += n
			}
			mu.Lock()
			total += sum
			mu.Unlock()
		})
	}
	wg.Wait()
	t.add(total, from)
}

// floor appends to a plain file what the machine can't do without: bodies sealed with AES-256-GCM and
// hashed, flushed for all who wait.
type floor struct {
	file  *os.File
	aead  cipher.AEAD
	queue chan record
}

type record struct {
	bytes []byte
	done  chan error
}

func newFloor(b *testing.B) *floor {
	file, err := os.Create(filepath.Join(b.TempDir(), "floor"))
	must(b, err)
	block, err := aes.NewCipher(make([]byte, 32))
	must(b, err)
	aead, err := cipher.NewGCM(block)
	must(b, err)
	f := &floor{file: file, aead: aead, queue: make(chan record, 4096)}
	var flusher sync.WaitGroup
	flusher.Go(f.flush)
	b.Cleanup(func() {
		close(f.queue)
		flusher.Wait()
		_ = file.Close()
	})
	return f
}

func (f *floor) append(entries int) error {
	r := record{done: make(chan error, 1)}
	for range entries {
		box := f.aead.Seal(nil, make([]byte, 12), make([]byte, benchBody), nil)
		sum := sha256.Sum256(box)
		r.bytes = append(append(r.bytes, box...), sum[:]...)
	}
	f.queue <- r
	return <-r.done
}

func (f *floor) flush() {
	for r := range f.queue {
		batch, bytes := []record{r}, append([]byte(nil), r.bytes...)
		for more := true; more && len(batch) < 1024; {
			select {
			case r, ok := <-f.queue:
				if more = ok; ok {
					batch, bytes = append(batch, r), append(bytes, r.bytes...)
				}
			default:
				more = false
			}
		}
		_, err := f.file.Write(bytes)
		if err == nil {
			err = f.file.Sync()
		}
		for _, r := range batch {
			r.done <- err
		}
	}
}
