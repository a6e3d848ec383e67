package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/report"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/backup"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/retention"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

// holdsNoKey looks through every byte of a backup for the root key and for what only a keyring has.
func holdsNoKey(t *testing.T, dir, keeper string) {
	t.Helper()
	roots, err := keyring.FileKeeper{Dir: keeper}.Roots(context.Background())
	if err != nil || len(roots) == 0 {
		t.Fatal(err)
	}
	never := [][]byte{[]byte("keyring_scopes"), []byte("keyring_nodes"), []byte("keyring_state")}
	for _, r := range roots {
		never = append(never, r.Key[:])
	}
	files, err := os.ReadDir(keeper)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if text, err := os.ReadFile(filepath.Join(keeper, f.Name())); err == nil && f.Type().IsRegular() && len(text) > 0 {
			for _, word := range bytes.Fields(text) {
				if len(word) >= 32 {
					never = append(never, word)
				}
			}
		}
	}
	if len(never) < 5 {
		t.Fatal("there is no root key to look for")
	}
	read := 0
	err = fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, name))
		for _, secret := range never {
			if bytes.Contains(content, secret) {
				t.Errorf("%s holds what belongs to the keyring: %.20q", name, secret)
			}
		}
		read++
		return err
	})
	if err != nil || read < 3 {
		t.Errorf("%d files, %v", read, err)
	}
}

// TestSealedLedgersAreBackedUp: beside a server that goes on, with a part of the record in objects; what was
// forgotten afterwards is shut in the old backup; and it comes back on a machine that has today's keys only.
func TestSealedLedgersAreBackedUp(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, nil)
	h := w.house
	all, err := h.server.Directory.Workspaces.AllWorkspaces(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ws := all[0].ID
	w.ask(w.rep, "What is our win rate this quarter by owner?")
	for {
		head, err := h.record.Head(ctx, ws)
		if err != nil {
			t.Fatal(err)
		}
		if head.Next > 520 {
			break
		}
		w.must(w.boss, "GET", "/api/v1/connections", nil, nil)
	}
	w.must(w.admin, "POST", "/api/v1/checkpoint", nil, nil)
	archivist := &segment.Archivist{
		Store: h.record, Catalog: store.Segments{DB: h.data}, Sealer: h.sealer, Spool: t.TempDir(), Now: func() time.Time { return today.Add(10 * time.Hour) }, Rand: rand.Reader, Entries: 256,
	}
	if err := archivist.Pass(ctx); err != nil {
		t.Fatal(err)
	}
	run := func(want int, args ...string) string {
		t.Helper()
		status, out, err := typed(nil, "", args...)
		if status != want {
			t.Fatalf("%v: status %d, want %d\n%s%s", args, status, want, out, err)
		}
		if status == 0 {
			return out // beside it there may be progress, on a slow machine
		}
		return err
	}
	to := filepath.Join(t.TempDir(), "monday")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // the server goes on
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				w.must(w.boss, "GET", "/api/v1/connections", nil, nil)
			}
		}
	}()
	var made struct {
		Copied int `json:"objects_copied"`
	}
	out := run(0, "backup", "--data", w.data, "--to", to, "--json")
	close(stop)
	<-stopped
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.Copied < 3 {
		t.Fatalf("%v %s", err, out)
	}
	holdsNoKey(t, to, filepath.Join(w.data, keeperDir))
	check := func() (opened, forgotten int) {
		t.Helper()
		var r struct{ Opened, Forgotten, Broken int }
		if err := json.Unmarshal([]byte(run(0, "backup", "--data", w.data, "--check", to, "--json")), &r); err != nil || r.Broken != 0 {
			t.Fatalf("%+v %v", r, err)
		}
		return r.Opened, r.Forgotten
	}
	opened, forgotten := check()
	if opened < 20 || forgotten != 0 {
		t.Errorf("%d values open, %d are forgotten", opened, forgotten)
	}
	if err := h.sealer.Shred(ctx, ws, steward.TimeScope(steward.ClassLedger, today)); err != nil {
		t.Fatal(err)
	}
	if after, gone := check(); gone < 2 || after+gone != opened {
		t.Errorf("%d values open after the shred, %d don't, and %d did before", after, gone, opened)
	}

	// Another machine: the keyring and the key of today, nothing else.
	data := t.TempDir()
	run(0, "backup", "--data", w.data, "--keyring-to", filepath.Join(data, keyringDir))
	if err := os.CopyFS(filepath.Join(data, keeperDir), os.DirFS(filepath.Join(w.data, keeperDir))); err != nil {
		t.Fatal(err)
	}
	for _, private := range []struct {
		name string
		mode fs.FileMode
	}{{keeperDir, 0o700}, {filepath.Join(keeperDir, keyring.KeyFile), 0o600}} {
		if err := os.Chmod(filepath.Join(data, private.name), private.mode); err != nil {
			t.Fatal(err)
		}
	}
	if out := run(0, "restore", "--data", data, "--from", to); !strings.Contains(out, "nothing was changed") {
		t.Error(out)
	}
	if _, err := os.Stat(filepath.Join(data, objectsDir, "ledger")); err != nil {
		t.Error(err)
	}
	// Objects kept in a place of their own: one that is further is refused.
	if err := os.Remove(filepath.Join(data, store.DataFile)); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "objects")
	for _, first := range []string{"00000000000000000000", "00000000000000009999"} {
		newer := filepath.Join(elsewhere, "ledger", string(ws), first+"-x")
		if err := os.MkdirAll(newer, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(newer, "headers"), []byte("h"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out := run(1, "restore", "--data", data, "--from", to, "--replace", "--objects", elsewhere); !strings.Contains(out, "to 10254 of workspace "+string(ws)+", which were signed") {
		t.Error(out)
	}

	// And onto a server, whose objects stay in the folder.
	server := postgres.Start(t).Database(t)
	refused := run(1, "restore", "--data", data, "--from", to, "--store", server)
	if !strings.Contains(refused, "(objects)") {
		t.Error(refused)
	}
	if out := run(0, "restore", "--data", data, "--from", to, "--store", server, "--replace"); !strings.Contains(out, "nothing was changed") {
		t.Error(out)
	}
	if _, err := os.Stat(filepath.Join(data, "replaced-1", objectsDir, "ledger")); err != nil {
		t.Error(err)
	}
	back, err := store.Postgres{URL: server}.OpenData(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = back.Close() }()
	if seen, known, err := (store.Retention{DB: back}).Seen(ctx, ws); err != nil || !known || !seen.Equal(retention.Restored()) {
		t.Errorf("what was put back on a server may be purged at once: %v %v %v", seen, known, err)
	}
}

// TestBackupOnPostgres: a copy of the server's rows is a file, which is rehearsed without a server and comes back on
// one, or in a folder.
func TestBackupOnPostgres(t *testing.T) {
	server := postgres.Start(t)
	data, to := t.TempDir(), filepath.Join(t.TempDir(), "monday")
	env := map[string]string{"NO_COLOR": "1", "STEWARD_STORE": server.Database(t), "STEWARD_KEYRING_STORE": server.Database(t)}
	run := func(want int, words string, args ...string) string {
		t.Helper()
		status, out, err := typed(env, "", append(args, "--data", data)...)
		if status != want || !strings.Contains(out+err, words) {
			t.Fatalf("%v: status %d, want %d and %q\n%s%s", args, status, want, words, out, err)
		}
		return out
	}
	run(0, "", "init", "--workspace", "acme", "--admin", "ops@acme.example")
	run(0, "", "init", "--workspace", "globex", "--admin", "ops@globex.example")
	run(0, "2 ledgers", "backup", "--to", to)
	holdsNoKey(t, to, filepath.Join(data, keeperDir))
	run(0, "This backup can be restored", "backup", "--check", to)
	run(1, "there is data in this database already", "restore", "--from", to)
	run(1, "there is data in this database already", "restore", "--from", to, "--replace")
	if left, err := os.ReadDir(filepath.Join(data, "restoring")); err == nil {
		t.Errorf("a refused restore left %v", left)
	}

	live := env["STEWARD_STORE"]
	env["STEWARD_STORE"] = server.Database(t)
	run(0, "acme: 5 entries, nothing was changed", "restore", "--from", to) // with the backup's entry and its own
	run(1, "there is data in this database already", "restore", "--from", to)
	run(0, "globex: 5 entries, nothing was changed", "verify")
	again := to + "2"
	run(0, "", "backup", "--to", again) // of what was restored
	a, b := copiedRows(t, filepath.Join(to, "data")), copiedRows(t, filepath.Join(again, "data"))
	if a != b || !strings.Contains(a, "globex") {
		t.Errorf("what was restored has the rows\n%s\nand had\n%s", b, a)
	}

	env["STEWARD_STORE"] = ""
	run(0, "acme: 5 entries, nothing was changed", "restore", "--from", to) // a server's backup in a folder
	env["STEWARD_STORE"] = live
	run(0, "", "backup", "--to", to+"3")
	env["STEWARD_STORE"] = server.Database(t)
	known := filepath.Join(to+"3", "checkpoints")
	run(1, "it lacks entries 4 to 4 of workspace", "restore", "--from", to, "--known", known)
	run(0, "declared lost: entries 4 to 4 of the log steward.local/", "restore", "--from", to, "--known", known, "--declare-loss")
	run(0, "entry 4 says so", "verify", "--known", known)
	env["STEWARD_STORE"] = live
	run(0, "", "backup", "--keyring-to", to+"-keys")
	if _, err := os.Stat(filepath.Join(to+"-keys", store.KeyringFile)); err != nil {
		t.Error(err)
	}
}

// copiedRows is what a copy says of workspaces and ledgers, whose first entries are those of the first backup.
func copiedRows(t *testing.T, dir string) string {
	t.Helper()
	ctx := context.Background()
	db, err := store.OpenReadOnly(ctx, dir, store.DataFile)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	all, err := store.Identity{DB: db}.AllWorkspaces(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var rows []any
	for _, ws := range all {
		tail, err := store.Ledger{DB: db}.Rows(ctx, ws.ID, 0, 4, true)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, ws, tail)
		if err := db.WalkSealed(ctx, ws.ID, func(at steward.Place, sealed steward.Sealed) error {
			rows = append(rows, at, sealed)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What isn't what was sealed keeps a backup from being called restorable.
func TestARehearsalThatFindsSomethingBrokenFails(t *testing.T) {
	for broken, says := range map[int]string{0: "This backup can be restored.", 2: "2 sealed values aren't what was sealed"} {
		var out bytes.Buffer
		r := report.Rehearsed{Opened: backup.Opened{Broken: broken}}
		err := r.Print(&command.Invocation{Terminal: terminal.Terminal{Out: &out, Err: &out}})
		if (err != nil) != (broken > 0) || !strings.Contains(out.String(), says) || broken > 0 && strings.Contains(out.String(), "can be restored") {
			t.Errorf("%d broken: %v\n%s", broken, err, out.String())
		}
	}
}
