package store_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest"
)

func TestKeyring(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	db, err := store.OpenKeyring(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	storetest.Keyring(t, store.Keyring{DB: db}, func() (all []byte) {
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
	t.Cleanup(func() { _ = ro.Close() })
	reading := store.Keyring{DB: ro}
	if err := reading.AddKey(ctx, "ws", "run/2026-11-23", []byte("x")); steward.KindOf(err) != steward.Unavailable {
		t.Errorf("adding to a store open for reading: %v", err)
	}
	if err := reading.Destroy(ctx, "ws", []steward.Scope{"run/2026-11-23"}); steward.KindOf(err) != steward.Unavailable {
		t.Errorf("destroying in a store open for reading: %v", err)
	}
}
