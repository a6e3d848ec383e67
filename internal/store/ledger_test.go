package store_test

import (
	"context"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest"
)

func TestLedger(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	db, err := store.OpenData(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	storetest.Ledger(t, store.Ledger{DB: db})

	ro, err := store.OpenReadOnly(ctx, dir, store.DataFile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ro.Close() })
	reading := store.Ledger{DB: ro}
	if rows, err := reading.Rows(ctx, "ws_order", 0, 10, true); err != nil || len(rows) != 4 {
		t.Errorf("reading beside the writer: %d rows, %v", len(rows), err)
	}
	appender, err := reading.Appender(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := appender.Commit(ctx, []ledger.Advance{{Workspace: "ws", Now: ledger.Head{Next: 1}}}); steward.KindOf(err) != steward.Unavailable {
		t.Errorf("committing to a store open for reading: %v", err)
	}
}
