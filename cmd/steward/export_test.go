package main

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/config"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

// TestExportFromPostgres: with the data on a server too, an export is on record unless somebody else has the data,
// and gives the same again.
func TestExportFromPostgres(t *testing.T) {
	server := postgres.Start(t)
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	env := map[string]string{"STEWARD_STORE": server.Database(t), "STEWARD_KEYRING_STORE": server.Database(t)}
	run := func(want int, args ...string) (out, err string) {
		t.Helper()
		status, out, err := typed(env, "", append(args, "--data", data)...)
		if status != want {
			t.Fatalf("%v: status %d, want %d\n%s%s", args, status, want, out, err)
		}
		return out, err
	}
	run(0, "init", "--workspace", "acme", "--admin", "ops@acme.example")
	if out, err := run(0, "export", "--format", "jsonl"); strings.Count(out, "\n") != 4 || !strings.Contains(out, `"tool":"export"`) || strings.Contains(err, "note:") {
		t.Errorf("exported is\n%s%s", out, err)
	}
	h, err := openHouse(context.Background(), storeOptions{
		Server: config.Server{Data: data, Store: env["STEWARD_STORE"], KeyringStore: env["STEWARD_KEYRING_STORE"]}, Now: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	beside, note := run(0, "export", "--format", "jsonl")
	if strings.Count(beside, "\n") != 4 || !strings.Contains(note, "note: this export isn't on record") {
		t.Errorf("beside a server, exported is\n%s%s", beside, note)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if again, _ := run(0, "export", "--format", "jsonl", "--read-only"); again != beside {
		t.Errorf("exported was\n%s\nand is\n%s", beside, again)
	}
	run(0, "verify")
}

// TestAnExportThatIsBrokenOffLeavesNothing: neither half a file nor a temporary one; and a terminal is spared what
// it can't show.
func TestAnExportThatIsBrokenOffLeavesNothing(t *testing.T) {
	data, out := t.TempDir(), t.TempDir()
	if status, _, err := typed(nil, "", "init", "--data", data, "--workspace", "acme", "--admin", "ops@acme.example"); status != 0 {
		t.Fatal(err)
	}
	for _, as := range []string{"ocsf", "jsonl", "parquet"} {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		status := commands().Run(ctx, []string{"export", "--data", data, "--read-only", "--format", as, "--out", filepath.Join(out, as)}, func(string) string { return "" },
			terminal.Terminal{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard})
		if left, err := os.ReadDir(out); status != 1 || err != nil || len(left) > 0 {
			t.Errorf("%s: status %d, left are %v, %v", as, status, left, err)
		}
		unwritable, err := os.Open(os.DevNull) // for reading
		if err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		if status := commands().Run(context.Background(), []string{"export", "--data", data, "--read-only", "--format", as}, func(string) string { return "" },
			terminal.Terminal{In: strings.NewReader(""), Out: unwritable, Err: &said}); status != 1 || !strings.Contains(said.String(), "steward: "+os.DevNull+" can't be written") {
			t.Errorf("%s, an output that takes nothing: status %d %s", as, status, said.String())
		}
		_ = unwritable.Close()
	}
	if status, _, err := typed(nil, "", "export", "--data", data, "--format", "parquet"); status != 2 || !strings.Contains(err, "a terminal can't show") {
		t.Errorf("status %d %s", status, err)
	}
}
