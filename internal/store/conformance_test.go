package store_test

import (
	"context"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/forgetting"
	"github.com/stewardhq/steward/internal/store/storetest"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

// opener opens a new data database, and again for reading only.
type opener func(t *testing.T) (db *store.DB, reading func() (*store.DB, error))

func onSQLite(t *testing.T) (*store.DB, func() (*store.DB, error)) {
	dir := t.TempDir()
	return open(t, dir), func() (*store.DB, error) {
		return store.OpenReadOnly(context.Background(), dir, store.DataFile)
	}
}

func onPostgres(t *testing.T) (*store.DB, func() (*store.DB, error)) {
	url := postgres.Start(t).Database(t)
	return openPostgres(t, url), func() (*store.DB, error) {
		return store.Postgres{URL: url, ReadOnly: true}.OpenData(context.Background())
	}
}

func openPostgres(t testing.TB, url string) *store.DB {
	t.Helper()
	db, err := store.Postgres{URL: url}.OpenData(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// TestConformance holds both databases to the same suites.
func TestConformance(t *testing.T) {
	suites := map[string]func(*testing.T, *store.DB){
		"agent":    func(t *testing.T, db *store.DB) { storetest.Agent(t, store.Agent{DB: db}, store.Identity{DB: db}) },
		"gateway":  func(t *testing.T, db *store.DB) { storetest.Gateway(t, store.Gateway{DB: db}, store.Identity{DB: db}) },
		"identity": func(t *testing.T, db *store.DB) { storetest.Identity(t, store.Identity{DB: db}) },
		"privacy":  func(t *testing.T, db *store.DB) { storetest.Privacy(t, store.Privacy{DB: db}) },
		"retention": func(t *testing.T, db *store.DB) {
			rows := forgetting.Rows{DB: db.Rows()}
			storetest.Retention(t, forgetting.Requests{Rows: rows}, forgetting.Duties{Rows: rows}, rows, store.Identity{DB: db})
		},
		"ledger":  func(t *testing.T, db *store.DB) { storetest.Ledger(t, store.Ledger{DB: db}) },
		"signins": func(t *testing.T, db *store.DB) { storetest.SignIns(t, store.SignIns{DB: db}, store.Identity{DB: db}) },
		"witness": func(t *testing.T, db *store.DB) { storetest.Witness(t, store.Witness{DB: db}) },
	}
	for database, open := range map[string]opener{"sqlite": onSQLite, "postgres": onPostgres} {
		for name, suite := range suites {
			t.Run(database+"/"+name, func(t *testing.T) {
				db, reading := open(t)
				t.Cleanup(func() { closeDB(t, db) })
				suite(t, db)
				if name == "ledger" {
					readingOnly(t, reading)
				}
			})
		}
	}
}

// readingOnly looks at what the ledger's suite left, through a store that is open for reading beside it.
func readingOnly(t *testing.T, open func() (*store.DB, error)) {
	ctx := context.Background()
	db, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer closeDB(t, db)
	reading := store.Ledger{DB: db}
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
	refusal(t, addWorkspace(db, "refused"), steward.Unavailable, "reading only")
}
