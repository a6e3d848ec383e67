package main

import (
	"context"
	"database/sql"
	"net/url"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/stewardhq/steward/internal/ledger/tlog/verifier"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

// TestScriptsOnPostgres runs the scripts in testdata/postgres. Besides what TestScripts has there are
//
//	sql STATEMENT     changes the data as the server's superuser; something has to change
//	independent DIR   has the independent verifier look at a log that was exported
func TestScriptsOnPostgres(t *testing.T) {
	server := postgres.Start(t)
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
		p := scripts("testdata/postgres")
		p.Cmds["sql"] = func(ts *testscript.TestScript, neg bool, args []string) {
			need(ts, !neg && len(args) == 1, "sql STATEMENT")
			done, err := db.ExecContext(context.Background(), args[0])
			ts.Check(err)
			changed, err := done.RowsAffected()
			ts.Check(err)
			need(ts, changed > 0, args[0]+" to change something")
		}
		p.Cmds["independent"] = func(ts *testscript.TestScript, neg bool, args []string) {
			need(ts, !neg && len(args) == 1, "independent DIR")
			log, err := verifier.Check(ts.MkAbs(args[0]))
			ts.Check(err)
			need(ts, len(log.Headers) > 10, "a log with entries")
		}
		setup := p.Setup
		p.Setup = func(e *testscript.Env) error {
			e.Vars = append(e.Vars, "STEWARD_STORE="+data, "STEWARD_KEYRING_STORE="+keys, "STORE="+data, "KEYS="+keys, "DISK="+disk)
			return setup(e)
		}
		testscript.Run(t, p)
	})
}
