package keyring_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
)

// benchScopes is among how many scopes is shredded: STEWARD_BENCH_SCOPES, or 100,000. A million take a quarter
// of a minute to make.
func benchScopes(b *testing.B) int {
	text := os.Getenv("STEWARD_BENCH_SCOPES")
	if text == "" {
		return 100_000
	}
	n, err := strconv.Atoi(text)
	must(b, err)
	return n
}

func scopeNumber(i int) steward.Scope { return steward.Scope(fmt.Sprintf("person/%016d", i)) }

// filled is a keyring with n scopes, made ten thousand at once.
func filled(b *testing.B, n int) ring {
	b.Helper()
	r := open(b)
	var all []steward.Scope
	for i := range n {
		all = append(all, scopeNumber(i))
	}
	for part := range slices.Chunk(all, 10_000) {
		must(b, r.Make(context.Background(), "ws_1", part...))
	}
	return r
}

// spread walks all numbers below n, far apart.
func spread(i, n int) int { return int(uint64(i) * 2654435761 % uint64(n)) }

// waits are how long something took, in turns with its floor: a write to a plain file and its fsync, of as many
// bytes as a node has for each scope.
type waits struct {
	file        *os.File
	ours, floor []time.Duration
}

func newWaits(b *testing.B) *waits {
	b.Helper()
	file, err := os.Create(filepath.Join(b.TempDir(), "floor"))
	must(b, err)
	b.Cleanup(func() { _ = file.Close() })
	return &waits{file: file}
}

func (w *waits) take(b *testing.B, scopes int, f func() error) {
	const node = 256 * 49
	begun := time.Now()
	_, err := w.file.WriteAt(make([]byte, scopes*node), 0)
	must(b, err)
	must(b, w.file.Sync())
	w.floor = append(w.floor, time.Since(begun))
	begun = time.Now()
	must(b, f())
	w.ours = append(w.ours, time.Since(begun))
}

func (w *waits) report(b *testing.B) {
	for prefix, took := range map[string][]time.Duration{"": w.ours, "floor-": w.floor} {
		slices.Sort(took)
		b.ReportMetric(took[len(took)/2].Seconds()*1000, prefix+"p50-ms")
		b.ReportMetric(took[len(took)*99/100].Seconds()*1000, prefix+"p99-ms")
	}
}

func BenchmarkShred(b *testing.B) {
	ctx, n := context.Background(), benchScopes(b)
	r := filled(b, n)
	next := 0
	b.Run(fmt.Sprintf("one of %d", n), func(b *testing.B) {
		w := newWaits(b)
		for b.Loop() {
			w.take(b, 1, func() error { return r.Shred(ctx, "ws_1", scopeNumber(spread(next, n))) })
			next++
		}
		w.report(b)
	})
	b.Run(fmt.Sprintf("1000 of %d", n), func(b *testing.B) {
		w := newWaits(b)
		for b.Loop() {
			var scopes []steward.Scope
			for range 1000 {
				scopes = append(scopes, scopeNumber(spread(next, n)))
				next++
			}
			w.take(b, min(1000, n/256), func() error { return r.Shred(ctx, "ws_1", scopes...) })
		}
		w.report(b)
	})
	b.Run(fmt.Sprintf("rotate %d", n), func(b *testing.B) {
		for b.Loop() {
			must(b, r.Rotate(ctx))
		}
	})
	begun := time.Now() // a workspace goes once only
	must(b, r.ShredWorkspace(ctx, "ws_1"))
	took := time.Since(begun)
	b.Run(fmt.Sprintf("a workspace of %d", n), func(b *testing.B) {
		for b.Loop() {
		}
		b.ReportMetric(float64(took.Microseconds())/1000, "ms")
	})
}

func BenchmarkMake(b *testing.B) {
	ctx := context.Background()
	b.Run("one", func(b *testing.B) {
		r := open(b)
		for i := 0; b.Loop(); i++ {
			must(b, r.Make(ctx, "ws_1", scopeNumber(i)))
		}
	})
	b.Run("one each of 32 callers", func(b *testing.B) {
		r := open(b)
		work := make(chan int)
		done := make(chan error)
		for range 32 {
			go func() {
				for i := range work {
					done <- r.Make(ctx, "ws_1", scopeNumber(i))
				}
			}()
		}
		out := 0
		for i := 0; b.Loop(); i++ {
			for sent := false; !sent; {
				select {
				case work <- i:
					out++
					sent = true
				case err := <-done:
					out--
					must(b, err)
				}
			}
		}
		for ; out > 0; out-- {
			must(b, <-done)
		}
		close(work)
	})
	b.Run("10000 in one batch", func(b *testing.B) {
		r := open(b)
		next := 0
		for b.Loop() {
			var scopes []steward.Scope
			for range 10_000 {
				scopes = append(scopes, scopeNumber(next))
				next++
			}
			must(b, r.Make(ctx, "ws_1", scopes...))
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	ctx := context.Background()
	r := filled(b, 100_000)
	box := seal(b, r, at, "plain", scopeNumber(7))
	b.Run("key in memory", func(b *testing.B) {
		for b.Loop() {
			_, err := r.Open(ctx, at, box)
			must(b, err)
		}
	})
	b.Run("key in memory, 8 a core", func(b *testing.B) {
		b.SetParallelism(8)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if _, err := r.Open(ctx, at, box); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("key in memory, alone", func(b *testing.B) {
		k, err := keyring.Open(ctx, keyring.Config{Store: r.store, Keeper: r.keeper, Rand: rand.Reader, Alone: true})
		must(b, err)
		for b.Loop() {
			_, err := k.Open(ctx, at, box)
			must(b, err)
		}
	})
	b.Run("key not in memory, nodes' keys are", func(b *testing.B) {
		k := over(b, r.store, r.keeper)
		for i := 0; b.Loop(); i++ {
			if _, err := k.Derive(ctx, "ws_1", scopeNumber(spread(i, 100_000)), "x"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("nothing in memory", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			k := over(b, r.store, r.keeper)
			b.StartTimer()
			if _, err := k.Derive(ctx, "ws_1", scopeNumber(spread(i, 100_000)), "x"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	r := open(b)
	plain := make([]byte, 400)
	for b.Loop() {
		if _, err := r.Seal(context.Background(), at, []steward.Scope{"ledger/2026-11", "person/a"}, plain); err != nil {
			b.Fatal(err)
		}
	}
}
