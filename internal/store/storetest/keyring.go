package storetest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
)

// Keyring holds a store against keyring.Store. raw gives everything that the store has on disk.
func Keyring(t *testing.T, s keyring.Store, raw func() []byte) {
	ctx := context.Background()
	want := func(t *testing.T, ws steward.WorkspaceID, scope steward.Scope, wrapped []byte, found bool) {
		t.Helper()
		got, ok, err := s.Key(ctx, ws, scope)
		if err != nil || ok != found || !bytes.Equal(got, wrapped) || (got == nil) != (wrapped == nil) {
			t.Errorf("%s %s: %x, %v, %v; want %x, %v", ws, scope, got, ok, err, wrapped, found)
		}
	}
	add := func(t *testing.T, ws steward.WorkspaceID, scope steward.Scope, wrapped string) {
		t.Helper()
		if err := s.AddKey(ctx, ws, scope, []byte(wrapped)); err != nil {
			t.Fatal(err)
		}
	}
	destroy := func(t *testing.T, ws steward.WorkspaceID, scopes ...steward.Scope) {
		t.Helper()
		if err := s.Destroy(ctx, ws, scopes); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("a key is kept as it was added first", func(t *testing.T) {
		want(t, "ws_first", "run/2026-11-23", nil, false)
		add(t, "ws_first", "run/2026-11-23", "one")
		add(t, "ws_first", "run/2026-11-23", "two")
		want(t, "ws_first", "run/2026-11-23", []byte("one"), true)
		want(t, "ws_other", "run/2026-11-23", nil, false)
		want(t, "ws_first", "run/2026-11-24", nil, false)
	})
	t.Run("what is destroyed stays so", func(t *testing.T) {
		add(t, "ws_gone", "person/a", "one")
		add(t, "ws_gone", "person/b", "two")
		add(t, "ws_kept", "person/a", "three")
		destroy(t, "ws_gone", "person/a", "person/never")
		destroy(t, "ws_gone", "person/a")
		add(t, "ws_gone", "person/a", "again")
		add(t, "ws_gone", "person/never", "again")
		want(t, "ws_gone", "person/a", nil, true)
		want(t, "ws_gone", "person/never", nil, true)
		want(t, "ws_gone", "person/b", []byte("two"), true)
		want(t, "ws_kept", "person/a", []byte("three"), true)
	})
	t.Run("adding at once leaves one", func(t *testing.T) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		seen := map[string]bool{}
		for i := range 8 {
			wg.Go(func() {
				if err := s.AddKey(ctx, "ws_race", "vault/2026-11-23", []byte(fmt.Sprint("key ", i))); err != nil {
					t.Error(err)
				}
				got, _, err := s.Key(ctx, "ws_race", "vault/2026-11-23")
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				seen[string(got)] = true
				mu.Unlock()
			})
		}
		wg.Wait()
		if len(seen) != 1 {
			t.Errorf("callers saw %d different keys", len(seen))
		}
	})
	t.Run("destroyed bytes are nowhere on disk", func(t *testing.T) {
		// Enough rows, in an order that makes pages split, that copies of rows could stay behind.
		const keys = 600
		name := func(i int) steward.Scope {
			return steward.Scope(fmt.Sprintf("person/%016x", uint64(i)*0x9e3779b97f4a7c15))
		}
		bytesOf := func(i int) string { return fmt.Sprintf("wrapped-%08d-%040d", i, i) }
		for i := range keys {
			add(t, "ws_disk", name(i), bytesOf(i))
		}
		var going []steward.Scope
		for i := 0; i < keys; i += 2 {
			going = append(going, name(i))
		}
		onDisk := func(i int) bool { return bytes.Contains(raw(), []byte(bytesOf(i))) }
		if !onDisk(0) || !onDisk(1) {
			t.Fatal("the search doesn't find what is there, so it proves nothing")
		}
		destroy(t, "ws_disk", going...)
		disk := raw()
		for i := range keys {
			if found := bytes.Contains(disk, []byte(bytesOf(i))); found != (i%2 == 1) {
				t.Errorf("key %d: on disk %v", i, found)
			}
		}
	})
}
