package main

import (
	"context"
	"database/sql"
	"net/url"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

// TestScriptsOnPostgres runs the scripts in testdata/postgres and testdata/both, each on databases of its own. Besides
// what TestScripts has there is
//
//	sql STATEMENT     changes the data as the server's superuser; something has to change
func TestScriptsOnPostgres(t *testing.T) {
	server := postgres.Start(t)
	for _, dir := range []string{"testdata/postgres", "testdata/both"} {
		t.Run(dir, func(t *testing.T) { scriptsOn(t, server, dir) })
	}
}

func scriptsOn(t *testing.T, server *postgres.Server, dir string) {
	t.Run("scripts", func(inner *testing.T) { // which end before the databases go
		p := scripts(dir)
		p.Cmds["sql"] = func(ts *testscript.TestScript, neg bool, args []string) {
			need(ts, !neg && len(args) == 1, "sql STATEMENT")
			done, err := ts.Value("db").(*sql.DB).ExecContext(context.Background(), args[0])
			ts.Check(err)
			changed, err := done.RowsAffected()
			ts.Check(err)
			need(ts, changed > 0, args[0]+" to change something")
		}
		p.Condition = only(true)
		setup := p.Setup
		p.Setup = func(e *testscript.Env) error {
			data, keys := server.Database(t), server.Database(t)
			address, err := url.Parse(data)
			if err != nil {
				return err
			}
			db, err := sql.Open("pgx", server.URL(postgres.Superuser, strings.TrimPrefix(address.Path, "/")))
			if err != nil {
				return err
			}
			e.Defer(func() { _ = db.Close() })
			e.Values["db"] = db
			var disk string
			if err := db.QueryRow(`SHOW data_directory`).Scan(&disk); err != nil {
				return err
			}
			e.Vars = append(e.Vars, "STEWARD_STORE="+data, "STEWARD_KEYRING_STORE="+keys, "SPARE="+server.Database(t), "STORE="+data, "KEYS="+keys, "DISK="+disk)
			return setup(e)
		}
		testscript.Run(inner, p)
	})
}
