package store_test

import (
	"context"
	"testing"

	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest"
)

func TestRetention(t *testing.T) {
	db, err := store.OpenData(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	storetest.Retention(t, store.Retention{DB: db}, store.Identity{DB: db})
}
