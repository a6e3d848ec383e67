package store_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

var killRounds = flag.Int("kill-rounds", 10, "how many processes TestKilledOverPostgres kills")

// TestKilledOverPostgres kills one process after the other while its writers write as fast as they can; crashes the
// server under one, which goes on by itself; and crashes both at once, as when a machine loses power. Each begins
// where the last was cut off. Whatever was acknowledged stays what it was, no number is given twice, none is left
// out, nothing forks, and the ledgers verify on the way and in the end.
func TestKilledOverPostgres(t *testing.T) {
	server := postgres.Start(t)
	data, keys, root := house(t, server)
	acknowledged := record{entries: map[spot]steward.RunID{}}
	crash := []func(child *exec.Cmd, more func()){
		func(child *exec.Cmd, _ func()) { _ = child.Process.Kill() },
		func(child *exec.Cmd, more func()) {
			server.Restart(t)
			more()
			_ = child.Process.Kill()
		},
		func(child *exec.Cmd, _ func()) {
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				time.Sleep(time.Duration(mathrand.IntN(40)) * time.Millisecond)
				_ = child.Process.Kill()
			}()
			server.Restart(t)
			<-gone
		},
	}
	rounds := *killRounds
	if testing.Short() {
		rounds = min(rounds, len(crash))
	}
	for round := 1; round <= rounds; round++ {
		child := exec.Command(os.Args[0], "-test.run=^TestNode$", "-node-data="+data, "-node-keys="+keys, "-node-root="+root,
			fmt.Sprint("-node-calls=", math.MaxInt32), "-node-patient")
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		lines := make(chan string, 1<<16)
		go func() {
			defer close(lines)
			for all := bufio.NewReader(out); ; {
				line, err := all.ReadString('\n')
				if err != nil {
					return // what was cut off was not acknowledged
				}
				lines <- line
			}
		}()
		count, said := 0, ""
		take := func(line string) {
			var at spot
			var run steward.RunID
			if _, err := fmt.Sscanf(line, "acknowledged %s %d %s", &at.ws, &at.seq, &run); err != nil {
				said += line
				return
			}
			acknowledged.add(t, at, run)
			count++
		}
		// More waits for another entry that is acknowledged from now on.
		more := func() {
			for len(lines) > 0 {
				take(<-lines)
			}
			for before := count; count == before; {
				select {
				case line, ok := <-lines:
					if take(line); !ok {
						t.Fatalf("round %d: the process ended by itself: %s", round, said)
					}
				case <-time.After(30 * time.Second):
					t.Fatalf("round %d: nothing is acknowledged any more: %s", round, said)
				}
			}
		}
		more()
		time.Sleep(time.Duration(2+mathrand.IntN(98)) * time.Millisecond)
		crash[round%len(crash)](child, more)
		for line := range lines {
			take(line)
		}
		if _ = child.Wait(); child.ProcessState.Exited() {
			t.Fatalf("round %d: the process ended by itself: %s\n%s", round, child.ProcessState, said)
		}
		if round%5 != 0 && round != rounds {
			continue
		}
		t.Run(fmt.Sprint("after round ", round), func(t *testing.T) {
			n := openNode(t, data, keys, root)
			if _, err := n.CloseAbandoned(context.Background()); err != nil {
				t.Error(err)
			}
			for w := range nodeWorkspaces {
				ws := steward.WorkspaceID(fmt.Sprint("ws_", w))
				if open, err := (store.Ledger{DB: n.data}).Intents(context.Background(), ws); err != nil || len(open) > 0 {
					t.Errorf("intents of %s are still open: %v, %v", ws, open, err)
				}
			}
			acknowledged.check(t, n)
		})
	}
}
