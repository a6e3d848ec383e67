package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/stewardhq/steward"
)

// CopyTo writes one state of the database into a new SQLite file, which isn't synced: rows only, and no page that
// was freed. Others go on writing meanwhile. Of the workspaces that whose lists, all rows are in it.
func (db *DB) CopyTo(ctx context.Context, schema Schema, path string, whose func(tx *sql.Tx) ([]steward.WorkspaceID, error), across ...string) error {
	// SQLite would make the file for all to read.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if !db.dialect.shared {
		// It reads in one transaction, which stops nobody from writing.
		return db.Query(ctx, Reach{}, func(func(...any) error) error { return nil }, `VACUUM INTO $1`, path)
	}
	to, err := newFile(ctx, path, schema)
	if err != nil {
		return err
	}
	err = db.Snapshot(ctx, Across(across...), func(tx *sql.Tx) error {
		workspaces, err := whose(tx)
		if err != nil {
			return err
		}
		if err := db.Set(ctx, tx, Within(workspaces...)); err != nil {
			return err
		}
		return to.Update(ctx, Reach{}, func(out *sql.Tx) error {
			tables, err := tablesOf(ctx, out)
			for _, t := range tables {
				if err == nil {
					err = t.copyRows(ctx, tx, out)
				}
			}
			return err
		})
	})
	return errors.Join(err, to.Close())
}

// newFile makes an empty database in a file that is nothing yet, and is thrown away if it doesn't get whole: so
// it needs neither a log nor syncs. It is one that read-only users can open without writing beside it.
func newFile(ctx context.Context, path string, schema Schema) (*DB, error) {
	q := url.Values{"mode": {"rw"}, "_pragma": {"journal_mode(OFF)", "synchronous(OFF)", "cache_size(-16000)", "temp_store(MEMORY)"}}
	to, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	to.SetMaxOpenConns(1)
	db := &DB{write: to, dialect: onSQLite()}
	if err := db.migrate(ctx, schema); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// table is one with its columns, as SQLite has them.
type table struct {
	name    string
	columns []string
}

// quoted is a table's name and its columns in a statement: a backup may come from anybody.
func (t table) quoted() (name, columns string) {
	list := make([]string, len(t.columns))
	for i, column := range t.columns {
		list[i] = pgx.Identifier{column}.Sanitize()
	}
	return pgx.Identifier{t.name}.Sanitize(), strings.Join(list, ", ")
}

// tablesOf lists a SQLite database's tables in the order of their making, so that none comes before one that it
// refers to.
func tablesOf(ctx context.Context, tx *sql.Tx) (tables []table, err error) {
	err = Each(ctx, tx, func(scan func(...any) error) error {
		var name, column string
		err := scan(&name, &column)
		if len(tables) == 0 || tables[len(tables)-1].name != name {
			tables = append(tables, table{name: name})
		}
		last := &tables[len(tables)-1]
		last.columns = append(last.columns, column)
		return err
	}, `SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite@_%' ESCAPE '@' ORDER BY m.rowid, c.cid`)
	return tables, err
}

// rowsAtOnce is how many rows a statement writes into a file.
const rowsAtOnce = 32

// copyRows copies all rows that one transaction sees into another, of a file.
func (t table) copyRows(ctx context.Context, from, to *sql.Tx) error {
	one := "(?" + strings.Repeat(", ?", len(t.columns)-1) + ")"
	name, columns := t.quoted()
	into := fmt.Sprintf("INSERT INTO %s (%s) VALUES %s", name, columns, one)
	many, err := to.PrepareContext(ctx, into+strings.Repeat(", "+one, rowsAtOnce-1))
	if err != nil {
		return err
	}
	defer func() { _ = many.Close() }()
	values := make([]any, 0, rowsAtOnce*len(t.columns))
	dest := make([]any, len(t.columns))
	err = Each(ctx, from, func(scan func(...any) error) error {
		at := len(values)
		values = values[:at+len(t.columns)]
		for i := range dest {
			values[at+i] = nil
			dest[i] = &values[at+i]
		}
		if err := scan(dest...); err != nil || len(values) < cap(values) {
			return err
		}
		_, err := many.ExecContext(ctx, values...)
		values = values[:0]
		return err
	}, fmt.Sprintf("SELECT %s FROM %s", columns, name))
	for len(values) > 0 && err == nil {
		_, err = to.ExecContext(ctx, into, values[:len(t.columns)]...)
		values = values[len(t.columns):]
	}
	return err
}

// Fill takes all rows of a copy into a database on a server, in one transaction: it must be empty. A mark is left
// with them. Again says that the same Fill may have been done: then nothing is done where the mark is.
func (db *DB) Fill(ctx context.Context, from *DB, mark string, again bool) error {
	if !db.dialect.shared {
		return errors.New("store: a file isn't filled but put in its place")
	}
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return failure(err)
	}
	defer func() { _ = conn.Close() }()
	return from.Snapshot(ctx, Reach{}, func(in *sql.Tx) error {
		tables, err := tablesOf(ctx, in)
		if err != nil {
			return err
		}
		return conn.Raw(func(c any) error {
			return pgx.BeginFunc(ctx, c.(*stdlib.Conn).Conn(), func(tx pgx.Tx) error {
				var left string
				if err := tx.QueryRow(ctx, `SELECT coalesce(obj_description(to_regclass('steward_schema'), 'pg_class'), '')`).Scan(&left); err != nil {
					return err
				}
				if again && left == mark {
					return nil
				}
				return load(ctx, tx, in, tables, mark)
			})
		})
	})
}

func load(ctx context.Context, tx pgx.Tx, in *sql.Tx, tables []table, mark string) error {
	// The role owns the tables. Nobody else sees them as they are meanwhile: all of it is in this transaction.
	for _, t := range tables {
		name, _ := t.quoted()
		if _, err := tx.Exec(ctx, fmt.Sprintf(`ALTER TABLE %s NO FORCE ROW LEVEL SECURITY`, name)); err != nil {
			return err
		}
		var filled bool
		if err := tx.QueryRow(ctx, fmt.Sprintf(`SELECT EXISTS (SELECT FROM %s)`, name)).Scan(&filled); err != nil {
			return err
		}
		if filled {
			return steward.Errorf(steward.Conflict, "there is data in this database already; name an empty one with --store, and keep the old one until the new is in use")
		}
	}
	for _, t := range tables {
		if err := t.loadRows(ctx, tx, in); err != nil {
			return fmt.Errorf("store: table %s: %w", t.name, err)
		}
		name, _ := t.quoted()
		if _, err := tx.Exec(ctx, fmt.Sprintf(`ALTER TABLE %s FORCE ROW LEVEL SECURITY`, name)); err != nil {
			return err
		}
	}
	quoted := "'" + strings.ReplaceAll(mark, "'", "''") + "'"
	_, err := tx.Exec(ctx, `COMMENT ON TABLE steward_schema IS `+quoted)
	return err
}

// loadRows copies all rows of a file's table into a server's.
func (t table) loadRows(ctx context.Context, tx pgx.Tx, in *sql.Tx) error {
	name, columns := t.quoted()
	rows, err := in.QueryContext(ctx, fmt.Sprintf("SELECT %s FROM %s", columns, name))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	values := make([]any, len(t.columns))
	dest := make([]any, len(t.columns))
	for i := range values {
		dest[i] = &values[i]
	}
	_, err = tx.CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromFunc(func() ([]any, error) {
		if !rows.Next() {
			return nil, rows.Err()
		}
		err := rows.Scan(dest...)
		for i, v := range values {
			if b, isBytes := v.([]byte); isBytes && b == nil {
				values[i] = []byte{} // no bytes, which is how SQLite's driver gives them, are not NULL
			}
		}
		return values, err
	}))
	return err
}
