package clients

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
)

// TestTesseraAcceptsTheLogsOfFourMonths has the story of purging, holding, forgetting and restoring told on both
// databases, and lets Tessera's fsck check the log as it was after each of its steps.
func TestTesseraAcceptsTheLogsOfFourMonths(t *testing.T) {
	ctx, kept := context.Background(), t.TempDir()
	told := exec.Command("go", "test", "-count=1", "./cmd/steward", "-run", "TestScripts$/^forgetting|TestScriptsOnPostgres/testdata/both")
	told.Dir = filepath.Join("..", "..", "..")
	told.Env = append(os.Environ(), "STEWARD_KEEP_LOGS="+kept)
	if out, err := told.CombinedOutput(); err != nil {
		t.Fatalf("the story fails: %v\n%s", err, out)
	}
	logs, err := filepath.Glob(filepath.Join(kept, "log*"))
	must(t, err)
	if len(logs) < 5 {
		t.Fatalf("%d logs were kept: %v", len(logs), logs)
	}
	for _, log := range logs {
		signed, err := os.ReadFile(filepath.Join(log, "checkpoint"))
		must(t, err)
		origin, _, _ := bytes.Cut(signed, []byte("\n"))
		if err := fsck.New(string(origin), verifierIn(t, log), client.FileFetcher{Root: log}, leaves, fsck.Opts{N: 2}).Check(ctx); err != nil {
			t.Errorf("%s: fsck says %v", filepath.Base(log), err)
		}
	}
	t.Logf("Tessera's fsck accepts %d logs", len(logs))
}
