package ledger_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
)

const (
	benchWriters = 32
	benchBody    = 400 // bytes
)

// BenchmarkAppend is entries that are durable, one a call. Its floor is BenchmarkFileFloor.
func BenchmarkAppend(b *testing.B) {
	for _, workspaces := range []int{1, 32} {
		b.Run(fmt.Sprintf("writers=%d/workspaces=%d", benchWriters, workspaces), func(b *testing.B) {
			h := open(b, b.TempDir(), nil)
			body := make([]byte, benchBody)
			parallel(b, func(writer int) error {
				_, err := h.Append(context.Background(), steward.WorkspaceID(fmt.Sprint("ws_", writer%workspaces)),
					ledger.Entry{Kind: ledger.RunRead, Run: "run_0123456789abcdef", Caller: "mem_0123456789abcdef", System: "salesforce", Tool: "salesforce_query", Effect: steward.Read, Decision: "allow"},
					ledger.Part{Scopes: month, Body: body})
				return err
			})
		})
	}
	b.Run("writers=1", func(b *testing.B) {
		h := open(b, b.TempDir(), nil)
		for b.Loop() {
			if _, err := h.Append(context.Background(), ws, ledger.Entry{Kind: ledger.RunRead}, ledger.Part{Scopes: month, Body: make([]byte, benchBody)}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkFileFloor is what the machine gives: the same bodies sealed with AES-256-GCM and hashed, then
// appended to a plain file that is flushed for whoever waits.
func BenchmarkFileFloor(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "floor"))
	must(b, err)
	defer func() { _ = f.Close() }()
	type record struct {
		bytes []byte
		done  chan error
	}
	queue := make(chan record, 4096)
	var flusher sync.WaitGroup
	flusher.Go(func() {
		for r := range queue {
			batch, bytes := []record{r}, append([]byte(nil), r.bytes...)
			for more := true; more && len(batch) < 1024; {
				select {
				case r, ok := <-queue:
					if more = ok; ok {
						batch, bytes = append(batch, r), append(bytes, r.bytes...)
					}
				default:
					more = false
				}
			}
			_, err := f.Write(bytes)
			if err == nil {
				err = f.Sync()
			}
			for _, r := range batch {
				r.done <- err
			}
		}
	})
	block, err := aes.NewCipher(make([]byte, 32))
	must(b, err)
	aead, err := cipher.NewGCM(block)
	must(b, err)
	parallel(b, func(int) error {
		box := aead.Seal(nil, make([]byte, 12), make([]byte, benchBody), nil)
		sum := sha256.Sum256(box)
		r := record{append(box, sum[:]...), make(chan error, 1)}
		queue <- r
		return <-r.done
	})
	close(queue)
	flusher.Wait()
}

func parallel(b *testing.B, f func(writer int) error) {
	var mu sync.Mutex
	writers := 0
	b.SetParallelism((benchWriters + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		mu.Lock()
		writer := writers
		writers++
		mu.Unlock()
		for p.Next() {
			if err := f(writer); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkVerify is entries verified.
func BenchmarkVerify(b *testing.B) {
	h := open(b, b.TempDir(), nil)
	const entries = 5000
	var wg sync.WaitGroup
	for range benchWriters {
		wg.Go(func() {
			for range entries / benchWriters {
				if _, err := h.Append(context.Background(), ws, ledger.Entry{Kind: ledger.RunRead}, ledger.Part{Scopes: month, Body: make([]byte, benchBody)}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for b.Loop() {
		if r := h.verify(b, ws); len(r.Findings) > 0 {
			b.Fatal(r.Findings)
		}
	}
	b.ReportMetric(float64(entries*b.N)/b.Elapsed().Seconds(), "entries/s")
}
