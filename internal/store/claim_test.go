package store

import (
	"context"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

func TestOneProcessHasADatabase(t *testing.T) {
	ctx := context.Background()
	server := postgres.Start(t)
	url := server.Database(t)
	open := func() *DB {
		t.Helper()
		db, err := Postgres{URL: url}.OpenData(ctx)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	first, second := open(), open()
	claim, err := first.Claim(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Claim(ctx); steward.KindOf(err) != steward.Conflict {
		t.Errorf("a second claim: %v", err)
	}
	if err := claim.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := second.Claim(ctx)
	if err != nil {
		t.Fatalf("after the first let go: %v", err)
	}
	// Whoever loses the connection is told, since another may be first to claim the database again.
	server.Exec(t, "postgres", `SELECT pg_terminate_backend(l.pid) FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted`)
	select {
	case <-again.Lost:
	case <-time.After(20 * time.Second):
		t.Error("a claim whose connection was ended isn't known to be lost")
	}
	if err := again.Release(); err != nil {
		t.Error(err)
	}

	// A SQLite file is for whoever holds its folder.
	file, err := OpenData(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	claim, err = file.Claim(ctx)
	if err != nil || claim.Release() != nil {
		t.Errorf("on SQLite: %v", err)
	}
}
