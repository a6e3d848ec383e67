package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/store"
)

var at = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// refusal holds err to a kind and to words of what may be shown.
func refusal(t testing.TB, err error, kind steward.Kind, words string) {
	t.Helper()
	if err == nil || steward.KindOf(err) != kind || !strings.Contains(steward.Message(err), words) {
		t.Errorf("got %v (%v: %q), want kind %v and %q", err, steward.KindOf(err), steward.Message(err), kind, words)
	}
}

func open(t *testing.T, dir string) *store.DB {
	t.Helper()
	db, err := store.OpenData(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func closeDB(t testing.TB, db *store.DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// edit changes a closed database behind the store's back.
func edit(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err == nil {
		_, err = db.Exec(statement)
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func addWorkspace(db *store.DB, name string) error {
	return store.Identity{DB: db}.AddWorkspace(context.Background(), identity.Workspace{ID: steward.WorkspaceID("id_of_" + name), Name: name, Created: at})
}

func names(t *testing.T, db *store.DB) string {
	t.Helper()
	all, err := store.Identity{DB: db}.AllWorkspaces(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, w := range all {
		list = append(list, w.Name)
	}
	return strings.Join(list, " ")
}

func TestOpenedAgainHoldsWhatItHeld(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"a", "b", "c"} {
		db := open(t, dir)
		if err := addWorkspace(db, name); err != nil {
			t.Fatal(err)
		}
		if got := strings.Fields(names(t, db)); len(got) != i+1 {
			t.Errorf("opened %d times, it holds %v", i+1, got)
		}
		closeDB(t, db)
	}
	// Both at once on one folder, as a server beside a command: neither loses the other's.
	one, two := open(t, dir), open(t, dir)
	if err := errors.Join(addWorkspace(one, "d"), addWorkspace(two, "e")); err != nil {
		t.Error(err)
	}
	if got := names(t, one); got != "a b c d e" {
		t.Errorf("it holds %s", got)
	}
	closeDB(t, one)
	closeDB(t, two)
}

func TestUnfinishedSchemaIsFinished(t *testing.T) {
	// A database whose first file was run by an earlier version gets the others, and keeps its rows.
	dir := t.TempDir()
	first, err := os.ReadFile("schema/data/010_identity.sql")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, store.DataFile)
	edit(t, path, string(first)+"; INSERT INTO workspaces VALUES ('ws', 'early', '', 1); PRAGMA user_version = 1")
	_, err = store.OpenReadOnly(context.Background(), dir, store.DataFile)
	refusal(t, err, steward.Conflict, "an older Steward")
	db := open(t, dir)
	if got := names(t, db); got != "early" {
		t.Errorf("it holds %q", got)
	}
	if _, err := (store.Agent{DB: db}).UnfinishedRuns(context.Background(), "ws"); err != nil {
		t.Errorf("the last file was not run: %v", err)
	}
	closeDB(t, db)
}

func TestFailedMigrationLeavesNothing(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	path := filepath.Join(dir, store.DataFile)
	edit(t, path, `CREATE TABLE runs (x text)`) // in the way of the last file
	if _, err := store.OpenData(ctx, dir); err == nil || steward.KindOf(err) != steward.Internal {
		t.Fatalf("opened over a foreign table: %v", err)
	}
	edit(t, path, `DROP TABLE runs`)
	db := open(t, dir)
	if got := names(t, db); got != "" {
		t.Errorf("it holds %q", got)
	}
	closeDB(t, db)
}

func TestNewerSchemaIsRefused(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	closeDB(t, open(t, dir))
	path := filepath.Join(dir, store.DataFile)
	edit(t, path, `PRAGMA user_version = 9999`)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.OpenData(ctx, dir)
	refusal(t, err, steward.Conflict, "newer Steward")
	_, err = store.OpenReadOnly(ctx, dir, store.DataFile)
	refusal(t, err, steward.Conflict, "newer Steward")
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("what was refused was changed: %v", err)
	}
}

func TestOpenReadOnly(t *testing.T) {
	ctx := context.Background()
	t.Run("what is not there", func(t *testing.T) {
		dir := t.TempDir()
		for _, at := range []string{dir, filepath.Join(dir, "no", "such", "folder")} {
			_, err := store.OpenReadOnly(ctx, at, store.DataFile)
			refusal(t, err, steward.NotFound, "steward init")
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("looking made %v, %v", left, err)
		}
	})
	t.Run("what is damaged", func(t *testing.T) {
		for name, content := range map[string][]byte{
			"garbage": bytes.Repeat([]byte("not a database. "), 1024),
			"short":   []byte("x"),
			"empty":   {},
		} {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, store.DataFile), content, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := store.OpenReadOnly(ctx, dir, store.DataFile)
			refusal(t, err, steward.Internal, "damaged")
			if err != nil && strings.Contains(steward.Message(err), dir) {
				t.Errorf("%s: the message gives the path away: %s", name, steward.Message(err))
			}
		}
	})
	t.Run("what is damaged isn't opened for writing either", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, store.DataFile), bytes.Repeat([]byte{7}, 8192), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := store.OpenData(ctx, dir)
		refusal(t, err, steward.Internal, "damaged")
	})
	t.Run("what is there is read, beside a writer, and can't be written", func(t *testing.T) {
		dir := t.TempDir()
		db := open(t, dir)
		defer closeDB(t, db)
		if err := addWorkspace(db, "first"); err != nil {
			t.Fatal(err)
		}
		ro, err := store.OpenReadOnly(ctx, dir, store.DataFile)
		if err != nil {
			t.Fatal(err)
		}
		defer closeDB(t, ro)
		refusal(t, addWorkspace(ro, "refused"), steward.Unavailable, "reading only")
		if err := addWorkspace(db, "second"); err != nil {
			t.Fatal(err)
		}
		if got := names(t, ro); got != "first second" {
			t.Errorf("it reads %q", got)
		}
	})
}

func TestFolderThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// Below a regular file nothing can be made, whoever asks.
	_, err := store.OpenData(context.Background(), file)
	refusal(t, err, steward.Unavailable, "data folder can't be written")
	_, err = store.OpenKeyring(context.Background(), filepath.Join(file, "keyring"))
	refusal(t, err, steward.Unavailable, "data folder can't be written")
	_, err = store.OpenReadOnly(context.Background(), file, store.DataFile)
	refusal(t, err, steward.NotFound, "steward init")
}

func TestPathsWithSpecialCharacters(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"with space", "what?", "a#b", "100%", "%20", "a?mode=memory&x=", "a&b;c=d+e", `quo"te'`, "zoë", "a:b", "file:x", ":memory:", "tilde~",
	} {
		for _, dir := range []string{name, filepath.Join(here, "absolute", name)} {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			db := open(t, dir)
			if err := addWorkspace(db, "inside"); err != nil {
				t.Errorf("%s: %v", dir, err)
			}
			closeDB(t, db)
			ro, err := store.OpenReadOnly(context.Background(), dir, store.DataFile)
			if err != nil {
				t.Errorf("%s: %v", dir, err)
				continue
			}
			if got := names(t, ro); got != "inside" {
				t.Errorf("%s holds %q", dir, got)
			}
			closeDB(t, ro)
			if info, err := os.Stat(filepath.Join(dir, store.DataFile)); err != nil || info.Size() == 0 {
				t.Errorf("%s: the database is not in it: %v", dir, err)
			}
		}
	}
	// Nothing was made beside the folders.
	entries, err := os.ReadDir(here)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			t.Errorf("there is a stray %s", entry.Name())
		}
	}
}
