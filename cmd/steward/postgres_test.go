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
	data, keys := server.Database(t), server.Database(t)
	address, err := url.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", server.URL(postgres.Superuser, strings.TrimPrefix(address.Path, "/")))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var disk string
	if err := db.QueryRow(`SHOW data_directory`).Scan(&disk); err != nil {
		t.Fatal(err)
	}
	t.Run("scripts", func(t *testing.T) { // which end before the databases go
		p := scripts(dir)
		p.Cmds["sql"] = func(ts *testscript.TestScript, neg bool, args []string) {
			need(ts, !neg && len(args) == 1, "sql STATEMENT")
			done, err := db.ExecContext(context.Background(), args[0])
			ts.Check(err)
			changed, err := done.RowsAffected()
			ts.Check(err)
			need(ts, changed > 0, args[0]+" to change something")
		}
		p.Condition = only(true)
		setup := p.Setup
		p.Setup = func(e *testscript.Env) error {
			e.Vars = append(e.Vars, "STEWARD_STORE="+data, "STEWARD_KEYRING_STORE="+keys, "SPARE="+server.Database(t), "STORE="+data, "KEYS="+keys, "DISK="+disk)
			return setup(e)
		}
		testscript.Run(t, p)
	})
}
