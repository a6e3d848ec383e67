package keyring_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
)

// benchScopes is among how many scopes is shredded: STEWARD_BENCH_SCOPES, or 100,000.
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

func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

func BenchmarkShred(b *testing.B) {
	ctx, n := context.Background(), benchScopes(b)
	r := filled(b, n)
	next := 0
	b.Run(fmt.Sprintf("one of %d", n), func(b *testing.B) {
		var took []time.Duration
		for b.Loop() {
			begun := time.Now()
			must(b, r.Shred(ctx, "ws_1", scopeNumber(spread(next, n))))
			took = append(took, time.Since(begun))
			next++
		}
		report(b, took)
	})
	b.Run(fmt.Sprintf("1000 of %d", n), func(b *testing.B) {
		var took []time.Duration
		for b.Loop() {
			var scopes []steward.Scope
			for range 1000 {
				scopes = append(scopes, scopeNumber(spread(next, n)))
				next++
			}
			begun := time.Now()
			must(b, r.Shred(ctx, "ws_1", scopes...))
			took = append(took, time.Since(begun))
		}
		report(b, took)
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
