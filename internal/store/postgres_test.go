package store_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

// TestRowsOfAnotherWorkspaceDoNotShow goes at the tables with SQL of its own, over Steward's own role.
func TestRowsOfAnotherWorkspaceDoNotShow(t *testing.T) {
	ctx := context.Background()
	server := postgres.Start(t)
	dataURL, keysURL := server.Database(t), server.Database(t)
	data := openPostgres(t, dataURL)
	defer closeDB(t, data)
	keys, err := store.Postgres{URL: keysURL}.OpenKeyring(ctx)
	must(t, err)
	defer closeDB(t, keys)

	// A row of two workspaces in what has rows without much ado.
	for _, ws := range []steward.WorkspaceID{"ws_1", "ws_2"} {
		members := store.Identity{DB: data}
		must(t, members.AddWorkspace(ctx, identity.Workspace{ID: ws, Name: string(ws), Created: at}))
		must(t, members.AddMember(ctx, ws, identity.MemberRow{ID: "mem", Role: steward.Admin, Email: []byte("digest"), Sealed: steward.Sealed{Box: []byte("box")}, Created: at}))
		must(t, members.AddToken(ctx, identity.TokenRow{Workspace: ws, Hash: sha256.Sum256([]byte(ws)), APIToken: identity.APIToken{ID: "tok", Member: "mem"}}))
		appender, err := store.Ledger{DB: data}.Appender(ctx)
		must(t, err)
		must(t, appender.Commit(ctx, []ledger.Advance{{Workspace: ws, Node: "n", Now: ledger.Head{Next: 1}, Rows: []ledger.Row{{Header: []byte("h"), Opens: true}}}}))
		must(t, appender.Close())
		k := store.Keyring{DB: keys}
		was, err := k.State(ctx)
		must(t, err)
		now := was
		now.Version++
		must(t, k.Apply(ctx, keyring.Change{Was: was, Now: now, Workspaces: []keyring.Workspace{{ID: ws, Standing: keyring.Made, Number: uint32(now.Version)}}, Scopes: []keyring.Scope{{Workspace: ws, Name: "s", Standing: keyring.Made}}}))
	}

	for url, filled := range map[string][]string{
		dataURL: {"api_tokens", "ledger_heads", "ledger_tail", "members", "open_intents", "workspaces"},
		keysURL: {"keyring_scopes", "keyring_workspaces"},
	} {
		db, err := sql.Open("pgx", url)
		must(t, err)
		defer func() { _ = db.Close() }()
		db.SetMaxOpenConns(1)
		columns := tenantColumns(t, db)
		for _, table := range filled {
			if columns[table] == "" {
				t.Errorf("%s has rows of workspaces and no policy", table)
			}
		}
		for table, column := range columns {
			count := func(setting, value, where string) (n int, err error) {
				tx, err := db.Begin()
				must(t, err)
				defer func() { _ = tx.Rollback() }()
				if setting != "" {
					_, err = tx.Exec(`SELECT set_config($1, $2, true)`, setting, value)
					must(t, err)
				}
				return n, tx.QueryRow("SELECT count(*) FROM " + table + " " + where).Scan(&n)
			}
			want := 0
			if slices.Contains(filled, table) {
				want = 1
			}
			for _, c := range []struct {
				setting, value, where string
				want                  int
			}{
				{"", "", "", 0},
				{"steward.workspaces", "", "", 0},
				{"steward.workspaces", "{}", "", 0},
				{"steward.workspaces", "{ws_3}", "", 0},
				{"steward.workspaces", "{ws_3}", "WHERE " + column + " = 'ws_1'", 0},
				{"steward.workspaces", "{ws_1}", "", want},
				{"steward.workspaces", "{ws_1}", "WHERE " + column + " = 'ws_2'", 0},
				{"steward.workspaces", "{ws_1,ws_2}", "", 2 * want},
				{"steward.workspaces", `{"ws_1,ws_2"}`, "", 0},
				{"steward.across", "{members}", "", 0},
				{"steward.across", "{ledger_tail,tokens,runs}", "", 0},
			} {
				if n, err := count(c.setting, c.value, c.where); err != nil || n != c.want {
					t.Errorf("%s %s: with %s = %s one sees %d rows, %v; want %d", table, c.where, c.setting, c.value, n, err, c.want)
				}
			}
			// What may be read across may not be written across, and nothing goes to another workspace.
			for _, statement := range []string{"DELETE FROM " + table, "UPDATE " + table + " SET " + column + " = " + column} {
				for setting, value := range map[string]string{"steward.across": "{" + table + "}", "steward.workspaces": "{ws_3}"} {
					changed, err := inTransaction(db, setting, value, statement)
					if err != nil || changed != 0 {
						t.Errorf("%s with %s = %s changes %d rows, %v", statement, setting, value, changed, err)
					}
				}
			}
			if want > 0 {
				if _, err := inTransaction(db, "steward.workspaces", "{ws_1}", "UPDATE "+table+" SET "+column+" = 'ws_2'"); err == nil || !strings.Contains(err.Error(), "row-level security") {
					t.Errorf("a row of %s goes to another workspace: %v", table, err)
				}
			}
		}
	}

	// The store itself still sees all that it has to.
	all, err := store.Identity{DB: data}.AllWorkspaces(ctx)
	if err != nil || len(all) != 2 {
		t.Errorf("%v, %v", all, err)
	}
	left, err := store.Ledger{DB: data}.Abandoned(ctx, "other")
	if err != nil || len(left) != 2 {
		t.Errorf("%v, %v", left, err)
	}
}

// tenantColumns gives each table that has rows of workspaces, under forced row-level security, with the
// column that says whose.
func tenantColumns(t *testing.T, db *sql.DB) map[string]string {
	t.Helper()
	rows, err := db.Query(`SELECT c.relname, a.attname, c.relrowsecurity AND c.relforcerowsecurity FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND (a.attname = 'workspace' OR c.relname = 'workspaces' AND a.attname = 'id')`)
	must(t, err)
	defer func() { _ = rows.Close() }()
	found := map[string]string{}
	for rows.Next() {
		var table, column string
		var forced bool
		must(t, rows.Scan(&table, &column, &forced))
		if !forced {
			t.Errorf("row-level security is not forced on %s", table)
		}
		found[table] = column
	}
	must(t, rows.Err())
	return found
}

func inTransaction(db *sql.DB, setting, value, statement string) (int64, error) {
	tx, err := db.Begin()
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.Exec(`SELECT set_config($1, $2, true)`, setting, value); err != nil {
		return 0, err
	}
	done, err := tx.Exec(statement)
	if err != nil {
		return 0, err
	}
	return done.RowsAffected()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestUnsoundServersAndRolesAreRefused(t *testing.T) {
	ctx := context.Background()
	server := postgres.Start(t)
	address := server.Database(t)
	u, err := url.Parse(address)
	must(t, err)
	name := strings.TrimPrefix(u.Path, "/")
	refused := func(t *testing.T, at, words string) {
		t.Helper()
		for _, reading := range []bool{false, true} {
			db, err := store.Postgres{URL: at, ReadOnly: reading}.OpenData(ctx)
			if err == nil {
				closeDB(t, db)
			}
			refusal(t, err, steward.Invalid, words)
		}
	}
	t.Run("a superuser", func(t *testing.T) {
		refused(t, server.URL(postgres.Superuser, name), "CREATE ROLE steward LOGIN PASSWORD '…' NOSUPERUSER NOBYPASSRLS")
	})
	t.Run("a role that bypasses", func(t *testing.T) {
		server.Exec(t, "postgres", `CREATE ROLE passes LOGIN BYPASSRLS`)
		refused(t, server.URL("passes", name), "NOBYPASSRLS")
	})
	t.Run("commits that don't wait for the disk", func(t *testing.T) {
		alter := "ALTER ROLE " + postgres.Owner + " IN DATABASE " + name
		server.Exec(t, "postgres", alter+" SET synchronous_commit = off")
		refused(t, address, `ALTER ROLE "steward" IN DATABASE "`+name+`" SET synchronous_commit = on`)
		server.Exec(t, "postgres", alter+" RESET synchronous_commit")
	})
	t.Run("a server that doesn't flush", func(t *testing.T) {
		server.Exec(t, "postgres", "ALTER SYSTEM SET fsync = off")
		server.Restart(t)
		refused(t, address, "set fsync = on in postgresql.conf")
		server.Exec(t, "postgres", "ALTER SYSTEM RESET fsync")
		server.Restart(t)
	})
	t.Run("another encoding", func(t *testing.T) {
		server.Exec(t, "postgres", "CREATE DATABASE latin OWNER "+postgres.Owner+" TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
		refused(t, server.URL(postgres.Owner, "latin"), "ENCODING 'UTF8'")
		server.Exec(t, "postgres", "DROP DATABASE latin WITH (FORCE)")
	})
	t.Run("no address", func(t *testing.T) {
		const secret = "hunter2"
		for _, at := range []string{"postgres://u:" + secret + "@[::1", "postgres://u:" + secret + "@host/db?sslmode=maybe"} {
			refused(t, at, "no address of a Postgres database")
			if _, err := (store.Postgres{URL: at}).OpenData(ctx); strings.Contains(fmt.Sprint(err), secret) {
				t.Errorf("the error gives the password away: %v", err)
			}
		}
	})
	t.Run("a network that others read", func(t *testing.T) {
		for _, mode := range []string{"", "disable", "allow", "prefer", "require"} {
			refused(t, "postgres://u@192.0.2.1/db?connect_timeout=1&sslmode="+mode, "sslmode=verify-full")
			refused(t, "postgres://u@127.0.0.1,db.example.com/db?connect_timeout=1&sslmode="+mode, "db.example.com")
		}
	})
	t.Run("keys beside data", func(t *testing.T) {
		closeDB(t, openPostgres(t, address))
		_, err := store.Postgres{URL: address}.OpenKeyring(ctx)
		refusal(t, err, steward.Invalid, "a database of its own")
		// Not under another search_path either.
		server.Exec(t, name, "CREATE SCHEMA keys AUTHORIZATION "+postgres.Owner)
		_, err = store.Postgres{URL: address + "&search_path=keys"}.OpenKeyring(ctx)
		refusal(t, err, steward.Invalid, "a database of its own")
		apart := server.Database(t)
		db, err := store.Postgres{URL: apart}.OpenKeyring(ctx)
		must(t, err)
		closeDB(t, db)
		refused(t, apart, "a database of its own")
	})
}

func TestUnreachableServer(t *testing.T) {
	postgres.Start(t)
	for _, at := range []string{"postgres://u@127.0.0.1:1/db?connect_timeout=2", "postgres:///db?host=" + t.TempDir()} {
		_, err := store.Postgres{URL: at}.OpenData(context.Background())
		refusal(t, err, steward.Unavailable, "can't be reached")
	}
}

func TestPostgresOpenedAgain(t *testing.T) {
	ctx := context.Background()
	server := postgres.Start(t)
	at := server.Database(t)
	_, err := store.Postgres{URL: at, ReadOnly: true}.OpenData(ctx)
	refusal(t, err, steward.NotFound, "nothing of Steward's in this database")

	// Many at once make one set of tables.
	const processes = 4
	dbs, errs := make([]*store.DB, processes), make(chan error, processes)
	for i := range dbs {
		go func() {
			var err error
			dbs[i], err = store.Postgres{URL: at}.OpenData(ctx)
			errs <- err
		}()
	}
	for range dbs {
		must(t, <-errs)
	}
	for i, db := range dbs {
		must(t, addWorkspace(db, fmt.Sprint("w", i)))
	}
	for _, db := range dbs {
		if got := names(t, db); got != "w0 w1 w2 w3" {
			t.Errorf("it holds %s", got)
		}
		closeDB(t, db)
	}

	u, err := url.Parse(at)
	must(t, err)
	name := strings.TrimPrefix(u.Path, "/")
	for files, words := range map[string]string{"9999": "newer Steward", "1": "older Steward"} {
		server.Exec(t, name, "UPDATE steward_schema SET files = "+files)
		_, err := store.Postgres{URL: at, ReadOnly: true}.OpenData(ctx)
		refusal(t, err, steward.Conflict, words)
	}
	server.Exec(t, name, "UPDATE steward_schema SET files = 9999")
	_, err = store.Postgres{URL: at}.OpenData(ctx)
	refusal(t, err, steward.Conflict, "newer Steward")

	// Texts that Postgres can't hold are refused by name, and an order is by bytes whatever the language.
	db := openPostgres(t, server.Database(t))
	defer closeDB(t, db)
	refusal(t, addWorkspace(db, "nul\x00"), steward.Invalid, "no text")
	for _, name := range []string{"b", "a", "B", "ä", "_"} {
		must(t, addWorkspace(db, name))
	}
	if got := names(t, db); got != "B _ a b ä" {
		t.Errorf("ordered %s", got)
	}
}
