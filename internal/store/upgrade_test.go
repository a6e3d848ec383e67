package store_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/privacy"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/database"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

// first is the schema of the first databases that were kept. What a database has run is known by its number of
// files, so none of these may change, and new ones come behind them.
const first = "testdata/first"

func TestSchemaOnlyGrows(t *testing.T) {
	then, err := filepath.Glob(filepath.Join(first, "*.sql"))
	if err != nil || len(then) != 5 {
		t.Fatalf("%v, %v", then, err)
	}
	now, err := filepath.Glob("schema/data/*.sql")
	if err != nil || len(now) <= len(then) {
		t.Fatalf("%v, %v", now, err)
	}
	slices.Sort(now)
	for i, name := range then {
		was, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		is, err := os.ReadFile(now[i])
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(now[i]) != filepath.Base(name) || string(is) != string(was) {
			t.Errorf("file %d was %s, and is %s, or has another text", i, filepath.Base(name), filepath.Base(now[i]))
		}
	}
}

// TestFirstDatabasesOpen: they get what they lack, and keep what they have.
func TestFirstDatabasesOpen(t *testing.T) {
	ctx := context.Background()
	then := database.Schema{Files: os.DirFS(first), Across: []string{"workspaces", "ledger_heads"}, Apart: "keyring_state"}
	dir, url := t.TempDir(), postgres.Start(t).Database(t)
	for name, c := range map[string]struct {
		old func() (*database.DB, error)
		now func() (*store.DB, error)
	}{
		"sqlite": {
			func() (*database.DB, error) {
				return database.SQLite{Path: filepath.Join(dir, store.DataFile)}.Open(ctx, then)
			},
			func() (*store.DB, error) { return store.OpenData(ctx, dir) },
		},
		"postgres": {
			func() (*database.DB, error) { return database.Postgres{URL: url}.Open(ctx, then) },
			func() (*store.DB, error) { return store.Postgres{URL: url}.OpenData(ctx) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			old, err := c.old()
			must(err)
			const ws steward.WorkspaceID = "ws_1"
			_, err = old.Exec(ctx, database.Within(ws), `INSERT INTO ledger_heads (workspace, next, last_us, signed) VALUES ($1, 300, 7, 300)`, ws)
			must(err)
			_, err = old.Exec(ctx, database.Within(ws), `INSERT INTO tokens (workspace, id, conversation, type, kind, issued_us, scopes, box) VALUES
				($1, 'aaaaa1', 'con_1', 'PERSON', 'reference', 7, 'conversation/2026-11-23 person/psn_7f~3-x', 'box'),
				($1, 'bbbbb1', 'con_1', 'PERSON', 'reference', 7, 'conversation/2026-11-23 person/psn_8', 'box'),
				($1, 'ccccc1', 'con_1', 'TEXT', 'text', 7, 'prompt/2026-11-23 item/ccccc1', 'box')`, ws)
			must(err)
			must(old.Close())

			db, err := c.now()
			must(err)
			t.Cleanup(func() { closeDB(t, db) })
			head, err := store.Ledger{DB: db}.Head(ctx, ws)
			if err != nil || head != (ledger.Head{Next: 300, Last: 7, Signed: 300}) {
				t.Errorf("the head is %+v, %v", head, err)
			}
			var theirs []string
			must(store.Privacy{DB: db}.WalkTokens(ctx, ws, privacy.Wanted{Person: "psn_7f~3-x"}, func(r privacy.Row) error { theirs = append(theirs, r.ID); return nil }))
			if !slices.Equal(theirs, []string{"aaaaa1", "ccccc1"}) {
				t.Errorf("a person's tokens and everybody's texts are %v", theirs)
			}
			n, err := db.Rows().Exec(ctx, database.Within("ws_2"), `UPDATE tokens SET type = '' WHERE workspace = $1`, ws)
			if err != nil || n != 0 && name == "postgres" {
				t.Errorf("another workspace changes %d rows: %v", n, err)
			}
			due, err := store.Segments{DB: db}.Due(ctx, "", 9)
			if err != nil || len(due) != 1 || due[0] != (segment.Tail{Workspace: ws, Signed: 300}) {
				t.Errorf("due: %+v, %v", due, err)
			}
			if days, err := (store.Retention{DB: db}).Days(ctx, ws); err != nil || len(days) != 0 {
				t.Errorf("days: %v, %v", days, err)
			}
			if _, note, err := (store.Witness{DB: db}).Cosigned(ctx, ws); err != nil || len(note) != 0 {
				t.Errorf("cosigned: %q, %v", note, err)
			}
		})
	}
}
