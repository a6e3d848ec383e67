package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

func TestKeyring(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	open := func(dir string) store.Keyring {
		db, err := store.OpenKeyring(ctx, dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return store.Keyring{DB: db}
	}
	storetest.Keyring(t, open(dir), open(t.TempDir()), func() (all []byte) {
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%v, %v", files, err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b...)
		}
		return all
	})

	ro, err := store.OpenReadOnly(ctx, dir, store.KeyringFile)
	if err != nil {
		t.Fatal(err)
	}
	keyringReadingOnly(t, ro)
}

func TestKeyringOnPostgres(t *testing.T) {
	ctx := context.Background()
	server := postgres.Start(t)
	open := func(at store.Postgres) *store.DB {
		db, err := at.OpenKeyring(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	at := store.Postgres{URL: server.Database(t)}
	db, other := open(at), open(store.Postgres{URL: server.Database(t)})
	t.Cleanup(func() { closeDB(t, db); closeDB(t, other) })
	storetest.Keyring(t, store.Keyring{DB: db}, store.Keyring{DB: other}, nil)
	at.ReadOnly = true
	keyringReadingOnly(t, open(at))
}

// keyringReadingOnly holds a keyring that is open for reading to changing nothing, and closes it.
func keyringReadingOnly(t *testing.T, ro *store.DB) {
	ctx := context.Background()
	t.Cleanup(func() { closeDB(t, ro) })
	reading := store.Keyring{DB: ro}
	st, err := reading.State(ctx)
	if err != nil || st.Version == 0 {
		t.Errorf("reading: %+v, %v", st, err)
	}
	for name, err := range map[string]error{
		"a change":            reading.Apply(ctx, keyring.Change{Was: st, Now: keyring.State{Version: st.Version + 1}}),
		"nothing to write":    reading.Apply(ctx, keyring.Change{Was: st, Now: st}),
		"importing":           reading.Import(ctx, reading.Export),
		"a change from stale": reading.Apply(ctx, keyring.Change{}),
	} {
		if !errors.Is(err, keyring.ErrReadOnly) || steward.KindOf(err) != steward.Unavailable {
			t.Errorf("%s in a store open for reading: %v", name, err)
		}
	}
}
