// Package store answers: where do the rows lie? It implements the small Store interfaces of the other
// packages on SQLite and decides nothing: what may be read, and whether it opens, is known above.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/stewardhq/steward"
)

//go:embed schema
var schemas embed.FS

// The names of the two databases. Keys live apart from data, so that a backup of the data never holds
// the key to what was forgotten since.
const (
	DataFile    = "steward.db"
	KeyringFile = "keyring.db"
)

// Where their schemas lie.
const (
	dataSchema    = "schema/data"
	keyringSchema = "schema/keyring"
)

// DB is one SQLite database: a single writing connection, since SQLite has a single writer anyway and
// queueing here beats being told that the database is locked, and several that read.
type DB struct {
	write, read *sql.DB
}

// OpenData opens (and on first use makes) the data database in a folder.
func OpenData(ctx context.Context, dir string) (*DB, error) {
	return open(ctx, filepath.Join(dir, DataFile), dataSchema)
}

// OpenKeyring opens (and on first use makes) the keyring database in a folder.
func OpenKeyring(ctx context.Context, dir string) (*DB, error) {
	return open(ctx, filepath.Join(dir, KeyringFile), keyringSchema)
}

// OpenReadOnly opens one of the databases beside a running server; nothing can be written.
func OpenReadOnly(ctx context.Context, dir, file string) (*DB, error) {
	if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
		return nil, steward.Errorf(steward.NotFound, "there is no %s in %s; name the folder that `steward init` made", file, dir).Because(err)
	}
	schema := dataSchema
	if file == KeyringFile {
		schema = keyringSchema
	}
	read, err := connect(filepath.Join(dir, file), "ro", 4)
	if err != nil {
		return nil, err
	}
	if err := current(ctx, read, schema); err != nil {
		_ = read.Close()
		return nil, failure(fmt.Errorf("store: %s: %w", file, err))
	}
	return &DB{read: read}, nil
}

// current refuses a database whose schema is not this program's: what is open for reading can't be migrated.
func current(ctx context.Context, read *sql.DB, schema string) error {
	var tables int
	if err := read.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&tables); err != nil {
		return err
	}
	if tables == 0 {
		return steward.Errorf(steward.Internal, "the database is damaged: it is empty; restore a backup (or, if `steward init` was interrupted, run that again)")
	}
	files, done, err := progress(ctx, read, schema)
	if err == nil && done < len(files) {
		return steward.Errorf(steward.Conflict, "this data was written by an older Steward; start this version's server on it once, or use that version")
	}
	return err
}

func open(ctx context.Context, path, schema string) (*DB, error) {
	// SQLite would make the file for all to read; its log takes the file's mode.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, steward.Errorf(steward.Unavailable, "Steward's data folder can't be written; check that it exists, its owner, and the disk").Because(err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	write, err := connect(path, "rwc", 1)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, write, schema); err != nil {
		_ = write.Close()
		return nil, failure(fmt.Errorf("store: %s: %w", filepath.Base(path), err))
	}
	read, err := connect(path, "ro", 4)
	if err != nil {
		_ = write.Close()
		return nil, err
	}
	return &DB{write: write, read: read}, nil
}

// connect names the pragmas once. secure_delete overwrites what is deleted; FULL makes every commit
// durable before it is acknowledged.
func connect(path, mode string, connections int) (*sql.DB, error) {
	q := url.Values{"mode": {mode}, "_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "foreign_keys(ON)", "secure_delete(ON)", "synchronous(FULL)", "temp_store(MEMORY)",
	}}
	if mode != "ro" {
		q["_pragma"] = append(q["_pragma"], "journal_mode(WAL)")
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// migrate runs the schema files of a folder in the order of their names, each once, remembered by
// SQLite's own user_version.
func migrate(ctx context.Context, db *sql.DB, folder string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	files, done, err := progress(ctx, tx, folder)
	if err != nil {
		return err
	}
	for _, file := range files[done:] {
		text, err := schemas.ReadFile(file)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, string(text)); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	if _, err := tx.ExecContext(ctx, "PRAGMA user_version = "+strconv.Itoa(len(files))); err != nil {
		return err
	}
	return tx.Commit()
}

// progress lists a folder's schema files and tells how many of them the database has run.
func progress(ctx context.Context, db interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}, folder string) (files []string, done int, err error) {
	files, err = fs.Glob(schemas, folder+"/*.sql")
	if err != nil {
		return nil, 0, err
	}
	sort.Strings(files)
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&done); err != nil {
		return nil, 0, err
	}
	if done > len(files) {
		return nil, 0, steward.Errorf(steward.Conflict, "this data was written by a newer Steward; run that version or newer")
	}
	return files, done, nil
}

// Close ends both handles. What was committed stays.
func (db *DB) Close() error {
	err := db.read.Close()
	if db.write != nil {
		err = errors.Join(err, db.write.Close())
	}
	return err
}

// update runs f in one durable transaction, or not at all.
func (db *DB) update(ctx context.Context, f func(*sql.Tx) error) error {
	if db.write == nil {
		return steward.Errorf(steward.Unavailable, "this store is open for reading only")
	}
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return failure(err)
	}
	defer func() { _ = tx.Rollback() }() // after Commit this does nothing
	if err := f(tx); err != nil {
		return failure(err)
	}
	return failure(tx.Commit())
}

// exec is update for a single statement; it tells how many rows changed.
func (db *DB) exec(ctx context.Context, query string, args ...any) (int64, error) {
	var n int64
	err := db.update(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, query, args...)
		if err == nil {
			n, err = res.RowsAffected()
		}
		return err
	})
	return n, err
}

// rows runs a query and scans each row with f, which gets the row's Scan.
func (db *DB) rows(ctx context.Context, f func(scan func(...any) error) error, query string, args ...any) error {
	rows, err := db.read.QueryContext(ctx, query, args...)
	if err != nil {
		return failure(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return failure(err)
		}
	}
	return failure(rows.Err())
}

// one runs a query for a single row; found is false when there is none.
func (db *DB) one(ctx context.Context, dest []any, query string, args ...any) (found bool, err error) {
	err = db.read.QueryRowContext(ctx, query, args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, failure(err)
}

// failure gives the database's own errors a kind and a sentence; others pass unchanged.
func failure(err error) error {
	var known *steward.Error
	var e *sqlite.Error
	if err == nil || errors.As(err, &known) || !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return steward.Errorf(steward.Unavailable, "the disk that holds Steward's data is full; free some space and try again, nothing was half-written").Because(err)
	case sqlite3.SQLITE_CONSTRAINT:
		switch e.Code() {
		case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
			return steward.Errorf(steward.Conflict, "this exists already").Because(err)
		case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
			return steward.Errorf(steward.NotFound, "what this belongs to is not here; check the workspace and its connections").Because(err)
		}
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return steward.Errorf(steward.Internal, "the database is damaged; run `steward verify`, then restore a backup").Because(err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR:
		return steward.Errorf(steward.Unavailable, "Steward's data folder can't be written; check that it exists, its owner, and the disk").Because(err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return steward.Errorf(steward.Unavailable, "the database is busy with another process; try again").Because(err)
	}
	return err
}

// micros is how times are stored: microseconds since 1970 in UTC.
func micros(t time.Time) int64 { return t.UnixMicro() }

// instant reads what micros wrote.
func instant(us int64) time.Time { return time.UnixMicro(us).UTC() }
