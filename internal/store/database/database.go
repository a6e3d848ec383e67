// Package database answers: how does a transaction become durable, and whose rows may it touch? It is
// SQLite and Postgres behind one type, for one text of SQL; it doesn't know what the tables mean.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strings"

	"github.com/stewardhq/steward"
)

// Schema is what a database consists of.
type Schema struct {
	Files  fs.FS    // *.sql, run in the order of their names, each once
	Across []string // the tables that may be read in all workspaces at once
	Apart  string   // a table that must not be in the same database, since it belongs to another Schema
}

// DB is one database, on SQLite or on Postgres.
type DB struct {
	write, read *sql.DB // write is nil where nothing may be written
	dialect     *dialect
}

// dialect is all that differs between SQLite and Postgres. Queries don't: they are one text for both.
type dialect struct {
	// shared says that processes of other machines can use the database too.
	shared bool
	// columns gives a schema file the database's own types.
	columns func(text string) string
	// version tells how many files of a schema were run, and setVersion remembers it.
	version    func(ctx context.Context, db querier, schema Schema) (int, error)
	setVersion func(ctx context.Context, tx *sql.Tx, files int) error
	// guard ties every row to its workspace, once there are tables; nil where the database can't.
	guard func(ctx context.Context, tx *sql.Tx, schema Schema) error
	// unguard lifts that for the owner, in a transaction that ends with guard; nil as guard is.
	unguard func(ctx context.Context, tx *sql.Tx) error
	// bind sets what a transaction reaches: a setting's name and its values; "" without a guard.
	bind string
	// turn waits for every other transaction that takes its turn; "" where one writes at a time anyway.
	turn string
	// snapshot is a transaction that reads one state of the database.
	snapshot *sql.TxOptions
	// empty takes all rows of a table, named by %s, and of all workspaces.
	empty string
	// check gives a line for each damage that the database finds in itself.
	check string
	// erase removes from disk what was overwritten or deleted; nil where nothing can.
	erase func(ctx context.Context, db *DB) error
	begin func(ctx context.Context, db *sql.DB, options *sql.TxOptions) (*sql.Tx, error)
	// query reads, and gives f each row's Scan until it fails.
	query func(ctx context.Context, db *sql.DB, of Reach, f func(scan func(...any) error) error, query string, args []any) error
	// commit does all steps, or none.
	commit func(ctx context.Context, c *Committer, of Reach, steps []Step) error
}

// querier is a database or a transaction in it.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Reach is whose rows a transaction is about. Postgres shows it no others; SQLite has no such guard. The zero
// Reach is for tables that hold no workspace's rows.
type Reach struct {
	setting string
	values  []string
}

// Within reaches the rows of some workspaces.
func Within(workspaces ...steward.WorkspaceID) Reach {
	of := Reach{setting: "steward.workspaces"}
	for _, ws := range workspaces {
		of.values = append(of.values, string(ws))
	}
	return of
}

// Across reads the rows of all workspaces, in some of the tables that the schema lets be read so.
func Across(tables ...string) Reach { return Reach{"steward.across", tables} }

// Set makes the rest of the transaction reach these rows.
func (db *DB) Set(ctx context.Context, tx *sql.Tx, of Reach) error {
	if db.dialect.bind == "" || of.setting == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, db.dialect.bind, of.setting, of.values)
	return err
}

// TakeTurn waits for every other transaction that takes its turn.
func (db *DB) TakeTurn(ctx context.Context, tx *sql.Tx) error {
	if db.dialect.turn == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, db.dialect.turn)
	return err
}

// migrate runs the files of a schema that were not run yet.
func (db *DB) migrate(ctx context.Context, schema Schema) error {
	return db.Update(ctx, Reach{}, func(tx *sql.Tx) error {
		if err := db.TakeTurn(ctx, tx); err != nil {
			return err
		}
		files, done, err := db.progress(ctx, tx, schema)
		if err != nil {
			return err
		}
		if 0 < done && done < len(files) && db.dialect.unguard != nil { // files may change rows of all workspaces
			if err := db.dialect.unguard(ctx, tx); err != nil {
				return err
			}
		}
		for _, file := range files[done:] {
			text, err := fs.ReadFile(schema.Files, file)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, db.dialect.columns(string(text))); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
		if done < len(files) {
			err = db.dialect.setVersion(ctx, tx, len(files))
		}
		if err == nil && db.dialect.guard != nil {
			err = db.dialect.guard(ctx, tx, schema)
		}
		return err
	})
}

// current refuses a database whose schema is not this program's: what is open for reading can't be migrated.
func (db *DB) current(ctx context.Context, schema Schema) error {
	files, done, err := db.progress(ctx, db.read, schema)
	if err == nil && done == 0 {
		return steward.Errorf(steward.NotFound, "there is nothing of Steward's in this database; name the one that the server uses")
	}
	if err == nil && done < len(files) {
		return steward.Errorf(steward.Conflict, "this data was written by an older Steward; start this version's server on it once, or use that version")
	}
	return err
}

// progress lists a schema's files and tells how many of them the database has run.
func (db *DB) progress(ctx context.Context, on querier, schema Schema) (files []string, done int, err error) {
	files, err = fs.Glob(schema.Files, "*.sql")
	if err != nil {
		return nil, 0, err
	}
	sort.Strings(files)
	if done, err = db.dialect.version(ctx, on, schema); err != nil {
		return nil, 0, err
	}
	if done > len(files) {
		return nil, 0, steward.Errorf(steward.Conflict, "this data was written by a newer Steward; run that version or newer")
	}
	return files, done, nil
}

// Close ends all connections. What was committed stays.
func (db *DB) Close() (err error) {
	if db.read != nil {
		err = db.read.Close()
	}
	if db.write != nil && db.write != db.read {
		err = errors.Join(err, db.write.Close())
	}
	return err
}

// Update runs f in one durable transaction, or not at all.
func (db *DB) Update(ctx context.Context, of Reach, f func(*sql.Tx) error) error {
	if db.write == nil {
		return errReading()
	}
	tx, err := db.dialect.begin(ctx, db.write, nil)
	if err != nil {
		return failure(err)
	}
	defer func() { _ = tx.Rollback() }() // after Commit this does nothing
	if err := db.Set(ctx, tx, of); err != nil {
		return failure(err)
	}
	if err := f(tx); err != nil {
		return failure(err)
	}
	return failure(tx.Commit())
}

// Exec is Update for a single statement; it tells how many rows changed.
func (db *DB) Exec(ctx context.Context, of Reach, query string, args ...any) (int64, error) {
	var n int64
	err := db.Update(ctx, of, func(tx *sql.Tx) (err error) {
		n, err = Changes(tx.ExecContext(ctx, query, args...))
		return err
	})
	return n, err
}

// Query runs a query and scans each row with f, which gets the row's Scan.
func (db *DB) Query(ctx context.Context, of Reach, f func(scan func(...any) error) error, query string, args ...any) error {
	return failure(db.dialect.query(ctx, db.read, of, f, query, args))
}

// One runs a query for a single row; found is false when there is none.
func (db *DB) One(ctx context.Context, of Reach, dest []any, query string, args ...any) (found bool, err error) {
	err = db.Query(ctx, of, func(scan func(...any) error) error {
		found = true
		return scan(dest...)
	}, query, args...)
	return found && err == nil, err
}

// Snapshot runs f in a transaction that reads one state of the database.
func (db *DB) Snapshot(ctx context.Context, of Reach, f func(*sql.Tx) error) error {
	tx, err := db.dialect.begin(ctx, db.read, db.dialect.snapshot)
	if err != nil {
		return failure(err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := db.Set(ctx, tx, of); err != nil {
		return failure(err)
	}
	return failure(f(tx))
}

// Empty takes all rows of a table, those of all workspaces.
func (db *DB) Empty(ctx context.Context, tx *sql.Tx, table string) error {
	_, err := tx.ExecContext(ctx, fmt.Sprintf(db.dialect.empty, table))
	return err
}

// Writable is false for a database that is open for reading only.
func (db *DB) Writable() bool { return db.write != nil }

// Erase takes from disk what was overwritten or deleted, where the database can: Postgres keeps old rows
// in its files and logs for a while, and nothing can tell it not to.
func (db *DB) Erase(ctx context.Context) error {
	if db.dialect.erase == nil {
		return nil
	}
	return db.dialect.erase(ctx, db)
}

// Check is an error of kind Internal where the database finds damage in itself.
func (db *DB) Check(ctx context.Context) error {
	var wrong []string
	err := db.Query(ctx, Reach{}, func(scan func(...any) error) error {
		var line string
		err := scan(&line)
		wrong = append(wrong, line)
		return err
	}, db.dialect.check)
	if err == nil && len(wrong) > 0 {
		return steward.Errorf(steward.Internal, "the database is damaged; restore a backup").Because(errors.New("store: " + strings.Join(wrong, "; ")))
	}
	return err
}

// Each runs a query in a transaction and scans each row with f, which gets the row's Scan.
func Each(ctx context.Context, tx querier, f func(scan func(...any) error) error, query string, args ...any) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	scan := rows.Scan
	for rows.Next() {
		if err := f(scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Changes is how many rows a statement changed.
func Changes(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// failure gives the database's own errors a kind and a sentence; others pass unchanged.
func failure(err error) error {
	var known *steward.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	if known = sqliteFailure(err); known == nil {
		known = postgresFailure(err)
	}
	if known == nil {
		return err
	}
	return known.Because(err)
}

func errReading() error {
	return steward.Errorf(steward.Unavailable, "this store is open for reading only")
}

// What both databases can fail with.
func errFull() *steward.Error {
	return steward.Errorf(steward.Unavailable, "the disk that holds Steward's data is full; free some space and try again, nothing was half-written")
}

func errExists() *steward.Error { return steward.Errorf(steward.Conflict, "this exists already") }

func errOrphan() *steward.Error {
	return steward.Errorf(steward.NotFound, "what this belongs to is not here; check the workspace and its connections")
}

func errDamaged() *steward.Error {
	return steward.Errorf(steward.Internal, "the database is damaged; run `steward verify`, then restore a backup")
}

func errBusy() *steward.Error {
	return steward.Errorf(steward.Unavailable, "the database is busy with another process; try again")
}
