package ledger_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
)

var crashDir = flag.String("crash-dir", "", "makes the test binary the process that TestKilledAtAnyMoment kills")

// TestCrashChild appends until it is killed, and says "workspace seq run" for each entry acknowledged.
func TestCrashChild(t *testing.T) {
	if *crashDir == "" {
		t.Skip("this is the process that TestKilledAtAnyMoment starts")
	}
	ctx := context.Background()
	h := open(t, *crashDir, nil)
	var mu sync.Mutex
	acknowledged := func(w steward.WorkspaceID, seq uint64, run steward.RunID, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(w, seq, run)
	}
	for writer := range 8 {
		go func() {
			w := steward.WorkspaceID(fmt.Sprint("ws_", writer%3))
			for n := 0; ; n++ {
				run := steward.RunID(fmt.Sprintf("run_%d_%d_%d", os.Getpid(), writer, n))
				part := ledger.Part{Scopes: month, Body: []byte(run)}
				i, err := h.Begin(ctx, w, ledger.Entry{Run: run}, part)
				acknowledged(w, i.Seq, run, err)
				seq, err := h.End(ctx, i, ledger.Entry{Outcome: ledger.OK}, part)
				acknowledged(w, seq, run, err)
			}
		}()
	}
	time.Sleep(time.Minute) // it is killed long before
}

func TestKilledAtAnyMoment(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	keys(t, dir)
	type spot struct {
		w   steward.WorkspaceID
		seq uint64
	}
	known := map[spot]steward.RunID{}
	for round := range 10 {
		child := exec.Command(os.Args[0], "-test.run=^TestCrashChild$", "-crash-dir="+dir)
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		lines := bufio.NewReader(out)
		count := 0
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				break // what was cut off was not acknowledged
			}
			var at spot
			var run steward.RunID
			if _, err := fmt.Sscan(line, &at.w, &at.seq, &run); err != nil || !strings.HasPrefix(string(at.w), "ws_") {
				t.Errorf("round %d: the child says %q", round, line)
				break
			}
			if other, taken := known[at]; taken {
				t.Errorf("entry %v was acknowledged twice, for %s and %s", at, other, run)
			}
			known[at] = run
			if count++; count == 1 {
				go func() {
					time.Sleep(time.Duration(mathrand.IntN(60_000)) * time.Microsecond)
					_ = child.Process.Kill()
				}()
			}
		}
		_ = child.Process.Kill()
		_ = child.Wait()
		if count == 0 {
			t.Fatalf("round %d: nothing was written before the kill", round)
		}

		t.Run(fmt.Sprint("round ", round), func(t *testing.T) {
			h := open(t, dir, nil)
			for _, w := range []steward.WorkspaceID{"ws_0", "ws_1", "ws_2"} {
				r := h.verify(t, w)
				sound(t, r, int(r.Entries)) // before anything is repaired
			}
			if _, err := h.CloseAbandoned(ctx); err != nil {
				t.Fatal(err)
			}
			for _, w := range []steward.WorkspaceID{"ws_0", "ws_1", "ws_2"} {
				all := h.headers(t, w, ledger.Query{})
				sound(t, h.verify(t, w), len(all))
				for _, e := range all {
					if run, ok := known[spot{w, e.Seq}]; ok && run != e.Run {
						t.Errorf("%s %d was acknowledged for %s and is %s", w, e.Seq, run, e.Run)
					}
				}
				for at := range known {
					if at.w == w && at.seq >= uint64(len(all)) {
						t.Errorf("%v was acknowledged and is gone", at)
					}
				}
				if open, err := h.store.Intents(ctx, w); err != nil || len(open) > 0 {
					t.Errorf("intents are still open: %v, %v", open, err)
				}
			}
		})
	}
	t.Logf("%d entries acknowledged over all rounds", len(known))
}
