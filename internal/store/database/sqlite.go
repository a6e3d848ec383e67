package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/stewardhq/steward"
)

// SQLite names a database in a file.
type SQLite struct {
	Path     string
	ReadOnly bool // the file has to be there
}

// Open opens (and on first use makes) the database.
func (f SQLite) Open(ctx context.Context, schema Schema) (*DB, error) {
	db := &DB{dialect: onSQLite()}
	var err error
	if f.ReadOnly {
		err = f.openReading(ctx, db, schema)
	} else {
		err = f.openWriting(ctx, db, schema)
	}
	if err != nil {
		_ = db.Close()
		return nil, failure(fmt.Errorf("store: %s: %w", filepath.Base(f.Path), err))
	}
	return db, nil
}

func (f SQLite) openReading(ctx context.Context, db *DB, schema Schema) (err error) {
	if _, err := os.Stat(f.Path); err != nil {
		return steward.Errorf(steward.NotFound, "there is no %s in %s; name the folder that `steward init` made", filepath.Base(f.Path), filepath.Dir(f.Path)).Because(err)
	}
	if db.read, err = connect(f.Path, "ro", 4); err != nil {
		return err
	}
	var tables int
	if err := db.read.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&tables); err != nil {
		return err
	}
	if tables == 0 {
		return steward.Errorf(steward.Internal, "the database is damaged: it is empty; restore a backup (or, if `steward init` was interrupted, run that again)")
	}
	return db.current(ctx, schema)
}

func (f SQLite) openWriting(ctx context.Context, db *DB, schema Schema) error {
	// SQLite would make the file for all to read; its log takes the file's mode.
	file, err := os.OpenFile(f.Path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return errFolder().Because(err)
	}
	if err := file.Close(); err != nil {
		return err
	}
	// As the SQLite of Linux distributions does: a commit needs the file's data and size on the disk, and not the
	// time of its change. It is for the whole process, and where there is no fdatasync it stays fsync.
	_, _ = sqlite.Fdatasync(true)
	if db.write, err = connect(f.Path, "rwc", 1); err != nil {
		return err
	}
	if err := db.migrate(ctx, schema); err != nil {
		return err
	}
	db.read, err = connect(f.Path, "ro", 4)
	return err
}

// onSQLite is the dialect of files: there is a single writing connection, since SQLite has a single writer
// anyway and queueing here beats being told that the database is locked, and several that read.
func onSQLite() *dialect {
	return &dialect{
		columns: func(text string) string { return text },
		version: func(ctx context.Context, db querier, _ Schema) (files int, err error) {
			err = db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&files)
			return files, err
		},
		setVersion: func(ctx context.Context, tx *sql.Tx, files int) error {
			_, err := tx.ExecContext(ctx, "PRAGMA user_version = "+strconv.Itoa(files))
			return err
		},
		snapshot: &sql.TxOptions{ReadOnly: true},
		empty:    "DELETE FROM %s",
		check:    "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
		erase:    emptyLog,
		begin: func(ctx context.Context, db *sql.DB, options *sql.TxOptions) (*sql.Tx, error) {
			return db.BeginTx(ctx, options)
		},
		query: func(ctx context.Context, db *sql.DB, _ Reach, f func(scan func(...any) error) error, query string, args []any) error {
			return Each(ctx, db, f, query, args...)
		},
		commit: commitPrepared,
	}
}

// connect names the pragmas once. secure_delete overwrites what is deleted; FULL makes every commit
// durable before it is acknowledged.
func connect(path, mode string, connections int) (*sql.DB, error) {
	q := url.Values{"mode": {mode}, "_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "foreign_keys(ON)", "secure_delete(ON)", "synchronous(FULL)", "temp_store(MEMORY)",
	}}
	if mode != "ro" {
		// Room for a large commit, so that none of it is written twice, and for several in the log before they
		// are moved from it into the database: 8 MB and 16 MB.
		q["_pragma"] = append(q["_pragma"], "journal_mode(WAL)", "cache_size(-8000)", "wal_autocheckpoint(4000)")
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// emptyLog empties the write-ahead log, which still has pages as they were, into the database and cuts it
// to nothing. secure_delete has SQLite write zeros in the database over what a row no longer holds.
func emptyLog(ctx context.Context, db *DB) error {
	busy, pages, moved := 1, -1, 0
	// While another process is at the same, SQLite doesn't wait but says so by -1 pages.
	for tries := 0; busy != 0 && pages == -1 && tries < 100; tries++ {
		if tries > 0 {
			time.Sleep(10 * time.Millisecond)
		}
		if err := db.write.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &moved); err != nil {
			return failure(err)
		}
	}
	if busy != 0 {
		return steward.Errorf(steward.Unavailable, "the key is destroyed, but another process is reading the keyring and keeps its last bytes on disk; stop that and try again")
	}
	return nil
}

func errFolder() *steward.Error {
	return steward.Errorf(steward.Unavailable, "Steward's data folder can't be written; check that it exists, its owner, and the disk")
}

// sqliteFailure is nil for what is no error of SQLite's, or none that has a kind.
func sqliteFailure(err error) *steward.Error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return errFull()
	case sqlite3.SQLITE_CONSTRAINT:
		switch e.Code() {
		case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
			return errExists()
		case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
			return errOrphan()
		}
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return errDamaged()
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR:
		return errFolder()
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return errBusy()
	}
	return nil
}
