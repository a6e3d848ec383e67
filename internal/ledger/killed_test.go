package ledger_test

import (
	"bufio"
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
)

// TestKilledTwoHundredTimes kills one process after the other while eight writers of each write as fast as
// they can. Each begins where the last was cut off. Whatever was acknowledged stays what it was, no number is
// given twice, none is left out, and the ledgers verify on the way and in the end.
func TestKilledTwoHundredTimes(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	keys(t, dir)
	rounds, every := 200, 40
	const fewest = 50 // on however slow a machine
	if busy() {
		rounds, every = 15, 5
	}
	acknowledged := map[steward.WorkspaceID]map[uint64]steward.RunID{}
	for _, w := range three {
		acknowledged[w] = map[uint64]steward.RunID{}
	}
	total, began := 0, time.Now()
	for round := 1; round <= rounds; round++ {
		if time.Since(began) > 45*time.Second {
			t.Logf("this machine is slow today: it ends after %d of %d processes", round, rounds)
			rounds = round
		}
		child := exec.Command(os.Args[0], "-test.run=^TestCrashChild$", "-crash-dir="+dir)
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		count := 0
		for lines := bufio.NewReader(out); ; count++ {
			line, err := lines.ReadString('\n')
			if err != nil {
				break // what was cut off was not acknowledged
			}
			if count == 0 {
				time.AfterFunc(time.Duration(2000+mathrand.IntN(98_000))*time.Microsecond, func() { _ = child.Process.Kill() })
			}
			var w steward.WorkspaceID
			var seq uint64
			var run steward.RunID
			if _, err := fmt.Sscan(line, &w, &seq, &run); err != nil {
				continue // an error, which the exit status tells of
			}
			if other, taken := acknowledged[w][seq]; taken {
				t.Errorf("entry %d of %s was acknowledged twice, for %s and %s", seq, w, other, run)
			}
			acknowledged[w][seq] = run
		}
		_ = child.Process.Kill()
		if _ = child.Wait(); child.ProcessState.Exited() || count == 0 {
			t.Fatalf("round %d: the process ended by itself: %s after %d lines", round, child.ProcessState, count)
		}
		total += count
		if round%every != 0 && round != rounds {
			continue
		}
		t.Run(fmt.Sprint("after round ", round), func(t *testing.T) {
			h := open(t, dir, nil)
			for _, w := range three {
				all := h.headers(t, w, ledger.Query{})
				sound(t, h.verify(t, w), len(all))
				for seq, run := range acknowledged[w] {
					if seq >= uint64(len(all)) || all[seq].Seq != seq || all[seq].Run != run {
						t.Fatalf("entry %d of %s, for %s, was acknowledged and is gone", seq, w, run)
					}
				}
			}
			if round < rounds {
				return
			}
			if _, err := h.CloseAbandoned(ctx); err != nil {
				t.Error(err)
			}
			for _, w := range three {
				if open, err := h.store.Intents(ctx, w); err != nil || len(open) > 0 {
					t.Errorf("intents are still open: %v, %v", open, err)
				}
				sound(t, h.verify(t, w), len(h.headers(t, w, ledger.Query{})))
			}
		})
	}
	if rounds < fewest && !busy() {
		t.Errorf("only %d processes were killed; that says too little", rounds)
	}
	t.Logf("%d processes killed in %.0f s, %d entries acknowledged", rounds, time.Since(began).Seconds(), total)
}
