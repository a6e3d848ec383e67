package store_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

// TestOldDataFolderOpensNothingThatWasShredded is the promise on Postgres, which erases nothing: somebody
// copies the server's data folder, the write-ahead log included, before a shred, and later has today's root
// key and today's database too.
func TestOldDataFolderOpensNothingThatWasShredded(t *testing.T) {
	ctx := context.Background()
	server := postgres.Start(t)
	at := server.Database(t)
	u, err := url.Parse(at)
	must(t, err)
	name := strings.TrimPrefix(u.Path, "/")
	keeper := keyring.FileKeeper{Dir: filepath.Join(t.TempDir(), "root")}
	must(t, keeper.Create(rand.Reader))
	over := func(t *testing.T, url string, keeper keyring.FileKeeper) (*keyring.Keyring, error) {
		t.Helper()
		db, err := store.Postgres{URL: url}.OpenKeyring(ctx)
		must(t, err)
		t.Cleanup(func() { closeDB(t, db) })
		return keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: db}, Keeper: keeper, Rand: rand.Reader})
	}
	today, err := over(t, at, keeper)
	must(t, err)
	place := steward.Place{Workspace: "ws_1", Table: "t"}
	gone, err := today.Seal(ctx, place, []steward.Scope{"person/gone"}, []byte("gone"))
	must(t, err)
	kept, err := today.Seal(ctx, place, []steward.Scope{"person/kept"}, []byte("kept"))
	must(t, err)
	oldRoot := keyring.FileKeeper{Dir: filepath.Join(t.TempDir(), "old")}
	must(t, os.CopyFS(oldRoot.Dir, os.DirFS(keeper.Dir)))
	must(t, os.Chmod(oldRoot.Dir, 0o700))
	must(t, os.Chmod(filepath.Join(oldRoot.Dir, keyring.KeyFile), 0o600))

	copied := server.Copy(t)
	oldURL := copied.URL(postgres.Owner, name)

	must(t, today.Shred(ctx, "ws_1", "person/gone"))
	opens := func(t *testing.T, k *keyring.Keyring, sealed steward.Sealed, plain string) bool {
		t.Helper()
		got, err := k.Open(ctx, place, sealed)
		return err == nil && string(got) == plain
	}
	if opens(t, today, gone, "gone") || !opens(t, today, kept, "kept") {
		t.Fatal("the shred took too little, or too much")
	}
	t.Run("with the old root key it would open", func(t *testing.T) {
		k, err := over(t, oldURL, oldRoot)
		must(t, err)
		if !opens(t, k, gone, "gone") {
			t.Error("the copy doesn't hold what was shredded, so what follows proves nothing")
		}
	})
	t.Run("with today's root key it is refused", func(t *testing.T) {
		_, err := over(t, oldURL, keeper)
		refusal(t, err, steward.Unavailable, "this keyring is an older one")
	})
	// The attacker goes at the tables: what says how old they are, then the nodes of the tree too.
	live, err := sql.Open("pgx", server.URL(postgres.Superuser, name))
	must(t, err)
	defer func() { _ = live.Close() }()
	old, err := sql.Open("pgx", copied.URL(postgres.Superuser, name))
	must(t, err)
	defer func() { _ = old.Close() }()
	bring := func(t *testing.T, from, into string, columns int) {
		t.Helper()
		rows, err := live.Query(from)
		must(t, err)
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			values, dest := make([]any, columns), make([]any, columns)
			for i := range values {
				dest[i] = &values[i]
			}
			must(t, rows.Scan(dest...))
			_, err := old.Exec(into, values...)
			must(t, err)
		}
		must(t, rows.Err())
	}
	t.Run("as if it were of today", func(t *testing.T) {
		bring(t, `SELECT version, mark, generation, workspaces FROM keyring_state`, `UPDATE keyring_state SET version = $1, mark = $2, generation = $3, workspaces = $4`, 4)
		_, err := over(t, oldURL, keeper)
		refusal(t, err, steward.Internal, "root key doesn't fit")
	})
	t.Run("under today's root", func(t *testing.T) {
		bring(t, `SELECT path, generation, sealed FROM keyring_nodes WHERE path = ''`, `UPDATE keyring_nodes SET generation = $2, sealed = $3 WHERE path = $1`, 3)
		k, err := over(t, oldURL, keeper)
		must(t, err)
		if opens(t, k, gone, "gone") {
			t.Error("what was shredded opens")
		}
	})
	t.Run("as the directory of today's tree", func(t *testing.T) {
		bring(t, `SELECT path, generation, sealed FROM keyring_nodes`, `INSERT INTO keyring_nodes (path, generation, sealed) VALUES ($1, $2, $3)
			ON CONFLICT (path) DO UPDATE SET generation = excluded.generation, sealed = excluded.sealed`, 3)
		k, err := over(t, oldURL, keeper)
		must(t, err)
		if opens(t, k, gone, "gone") {
			t.Error("what was shredded opens")
		}
		if !opens(t, k, kept, "kept") {
			t.Error("what was not shredded doesn't open")
		}
	})
}
