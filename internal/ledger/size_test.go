package ledger_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/verify"
)

// TestManyWorkspaces has entries, sealed parts and checkpoints in 10,000 workspaces. What runs and is open is
// as for one workspace, and memory is far from what would be 30 KB for each; while it writes to all of them,
// and after a start.
func TestManyWorkspaces(t *testing.T) {
	workspaces, writers := 10_000, 256
	if busy() {
		workspaces = 1_000
	}
	dir := t.TempDir()
	var one usage
	t.Run("written", func(t *testing.T) {
		h := open(t, dir, nil)
		h.writeOnce(t, 1, 1)
		one = measured(t)
		h.writeOnce(t, workspaces, writers)
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(250 * time.Millisecond) {
			behind, err := h.store.Behind(context.Background())
			if must(t, err); len(behind) == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d workspaces have no checkpoint", len(behind))
			}
		}
		measured(t).near(t, one)
	})
	t.Run("opened", func(t *testing.T) {
		h := open(t, dir, nil)
		for _, i := range []int{0, 1, workspaces / 2, workspaces - 1} {
			if r := h.report(t, numbered(i)); r.Entries == 0 || r.Unsigned > 0 || len(r.Findings) > 0 {
				t.Errorf("workspace %d: %+v", i, r)
			}
		}
		measured(t).near(t, one)
	})
}

func numbered(i int) steward.WorkspaceID { return steward.WorkspaceID(fmt.Sprint("ws_", i)) }

// writeOnce adds an entry to each of some workspaces.
func (h *house) writeOnce(t testing.TB, workspaces, writers int) {
	t.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < workspaces; i = int(next.Add(1)) - 1 {
				// Its keys are made with those of others: a workspace that comes alone waits for nobody else's.
				if err := h.keys.Make(context.Background(), numbered(i), month[0], steward.WorkspaceScope); err != nil {
					t.Error(err)
					return
				}
				if _, err := h.Append(context.Background(), numbered(i), benchEntry, ledger.Part{Scopes: month, Body: []byte("{}")}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// report verifies a workspace without the check of the database's own pages.
func (h *house) report(t testing.TB, w steward.WorkspaceID) verify.Report {
	t.Helper()
	r, err := verify.Ledger(context.Background(), verify.Source{Store: h.store, Sealer: h.keys, Checked: true}, w, nil)
	must(t, err)
	return r
}

// usage is what this process has. Handles and resident bytes are 0 where /proc doesn't tell.
type usage struct {
	goroutines, handles int
	heap, resident      uint64 // bytes
}

func measured(t testing.TB) (u usage) {
	t.Helper()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u.goroutines, u.heap = runtime.NumGoroutine(), m.HeapAlloc
	if files, err := os.ReadDir("/proc/self/fd"); err == nil {
		u.handles = len(files)
	}
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		if _, behind, found := bytes.Cut(status, []byte("VmRSS:")); found {
			_, err := fmt.Sscan(string(behind), &u.resident)
			must(t, err)
			u.resident <<= 10
		}
	}
	t.Logf("%d goroutines, %d handles, %d MB in the heap, %d MB resident", u.goroutines, u.handles, u.heap>>20, u.resident>>20)
	return u
}

// near holds it against what one workspace took. The readers' connections are opened when they are needed.
func (u usage) near(t testing.TB, one usage) {
	t.Helper()
	if u.goroutines > one.goroutines+20 || u.handles > one.handles+30 || u.heap > one.heap+100<<20 || u.resident > one.resident+300<<20 {
		t.Errorf("there is %+v, and with one workspace %+v", u, one)
	}
}

// TestMemoryDoesNotGrow writes, signs, verifies and reads a ledger, and one ten times as long: what is in use
// meanwhile is about the same, while a single hash kept of each entry would be three megabytes more.
func TestMemoryDoesNotGrow(t *testing.T) {
	if busy() {
		t.Skip("it collects garbage all the time")
	}
	const batch, short = 1024, 10 * 1024
	var used [2]uint64
	for i, entries := range []int{short, 10 * short} {
		h := open(t, t.TempDir(), nil)
		used[i] = inUse(func() {
			events := slices.Repeat([]ledger.Event{{Entry: benchEntry}}, batch)
			for range entries / batch {
				_, err := h.AppendAll(context.Background(), ws, events...)
				must(t, err)
				_, err = h.Checkpoint(context.Background(), ws)
				must(t, err)
			}
			if r := h.report(t, ws); r.Entries != uint64(entries) || r.Unsigned > 0 || len(r.Findings) > 0 {
				t.Errorf("%+v", r)
			}
			found := 0
			must(t, h.Read(context.Background(), ws, ledger.Query{Run: benchEntry.Run}, func(ledger.Header) error { found++; return nil }))
			if found != entries {
				t.Errorf("%d of %d entries were read", found, entries)
			}
		})
	}
	t.Logf("%d KB, and %d KB for ten times as many", used[0]>>10, used[1]>>10)
	if used[1] > used[0]+2<<20 {
		t.Errorf("%d bytes for %d entries, and %d for ten times as many", used[0], short, used[1])
	}
}

// inUse is how many bytes live in the heap while f runs, by what garbage collections find: nine times out of
// ten no more, since a page more or less may just be on its way.
func inUse(f func()) uint64 {
	var found []uint64
	done := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		for {
			runtime.GC()
			metrics.Read(live)
			found = append(found, live[0].Value.Uint64())
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	})
	f()
	close(done)
	looking.Wait()
	slices.Sort(found)
	return found[len(found)*9/10]
}
