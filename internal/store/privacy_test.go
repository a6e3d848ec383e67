package store_test

import (
	"context"
	"testing"

	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest"
)

func TestPrivacy(t *testing.T) {
	db, err := store.OpenData(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	storetest.Privacy(t, store.Privacy{DB: db})
}
