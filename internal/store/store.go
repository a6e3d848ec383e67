// Package store answers: where do the rows lie? It implements the small Store interfaces of the other
// packages on SQLite and on Postgres and decides nothing: what may be read, and whether it opens, is
// known above.
package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/store/database"
)

//go:embed schema
var schemas embed.FS

// The names of the two databases in their folders. Keys live apart from data, so that a backup of the data
// never holds the key to what was forgotten since.
const (
	DataFile    = "steward.db"
	KeyringFile = "keyring.db"
)

// DB is one database, on SQLite or on Postgres.
type DB struct{ db *database.DB }

// Close ends all connections. What was committed stays.
func (db *DB) Close() error { return db.db.Close() }

// Rows is what lies below, for packages that keep tables of their own in it.
func (db *DB) Rows() *database.DB { return db.db }

// Claim has the database for this process alone, among those that claim it; on SQLite the folder's lock says
// whose it is. Kind Conflict while another has it.
func (db *DB) Claim(ctx context.Context) (*database.Claim, error) { return db.db.Claim(ctx) }

// dataSchema lets be read in all workspaces at once what is needed to list them, to find whose a token is,
// and to go on where another process ended.
func dataSchema() (database.Schema, error) {
	files, err := fs.Sub(schemas, "schema/data")
	return database.Schema{Files: files, Across: []string{"workspaces", "api_tokens", "ledger_heads", "open_intents", "ledger_segments", "ledger_objects", "closings"}, Apart: "keyring_state"}, err
}

// keyringSchema lets be read in all workspaces at once what is copied as a whole.
func keyringSchema() (database.Schema, error) {
	files, err := fs.Sub(schemas, "schema/keyring")
	return database.Schema{Files: files, Across: []string{"keyring_workspaces", "keyring_scopes"}, Apart: "ledger_heads"}, err
}

// OpenData opens (and on first use makes) the data database in a folder.
func OpenData(ctx context.Context, dir string) (*DB, error) {
	return opened(ctx, database.SQLite{Path: filepath.Join(dir, DataFile)}, dataSchema)
}

// OpenKeyring opens (and on first use makes) the keyring database in a folder.
func OpenKeyring(ctx context.Context, dir string) (*DB, error) {
	return opened(ctx, database.SQLite{Path: filepath.Join(dir, KeyringFile)}, keyringSchema)
}

// OpenReadOnly opens one of the databases beside a running server; nothing can be written.
func OpenReadOnly(ctx context.Context, dir, file string) (*DB, error) {
	schema := dataSchema
	if file == KeyringFile {
		schema = keyringSchema
	}
	return opened(ctx, database.SQLite{Path: filepath.Join(dir, file), ReadOnly: true}, schema)
}

// Postgres names a database on a server. The data and the keyring have one each.
type Postgres struct {
	URL      string // "postgres://role:password@host/database?sslmode=verify-full"; it may hold a secret
	ReadOnly bool   // nothing can be written, and a server's tables have to be there
}

// OpenData opens (and on first use fills) the data database. It refuses a server, a role or a connection
// that what Steward promises can't rest on, and says what to change.
func (p Postgres) OpenData(ctx context.Context) (*DB, error) {
	return opened(ctx, database.Postgres(p), dataSchema)
}

// OpenKeyring does the same with the keyring database.
func (p Postgres) OpenKeyring(ctx context.Context) (*DB, error) {
	return opened(ctx, database.Postgres(p), keyringSchema)
}

func opened(ctx context.Context, at interface {
	Open(ctx context.Context, schema database.Schema) (*database.DB, error)
}, schema func() (database.Schema, error)) (*DB, error) {
	s, err := schema()
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	db, err := at.Open(ctx, s)
	if err != nil {
		return nil, err
	}
	return &DB{db}, nil
}

// within is the reach of nearly all.
func within(workspaces ...steward.WorkspaceID) database.Reach { return database.Within(workspaces...) }

// micros is how times are stored: microseconds since 1970 in UTC.
func micros(t time.Time) int64 { return t.UnixMicro() }

// instant reads what micros wrote.
func instant(us int64) time.Time { return time.UnixMicro(us).UTC() }
