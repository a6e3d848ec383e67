package ledger_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
)

var crashDir = flag.String("crash-dir", "", "makes the test binary the process that TestKilledTwoHundredTimes kills")

// TestCrashChild appends until it is killed, and says "workspace seq run" for each entry acknowledged.
func TestCrashChild(t *testing.T) {
	if *crashDir == "" {
		t.Skip("this is the process that TestKilledTwoHundredTimes starts")
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
