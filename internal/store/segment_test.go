package store_test

import (
	"testing"

	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest"
)

func TestSegments(t *testing.T) {
	for database, open := range map[string]opener{"sqlite": onSQLite, "postgres": onPostgres} {
		t.Run(database, func(t *testing.T) {
			db, _ := open(t)
			t.Cleanup(func() { closeDB(t, db) })
			storetest.Segments(t, store.Segments{DB: db}, store.Ledger{DB: db})
		})
	}
}
