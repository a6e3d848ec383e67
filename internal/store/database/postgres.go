package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/stewardhq/steward"
)

// Postgres names a database on a server.
type Postgres struct {
	URL      string // "postgres://role:password@host/database?sslmode=verify-full"
	ReadOnly bool   // nothing can be written, and the tables have to be there
}

const (
	oldestPostgres = 15
	pgConnections  = 10 // at most, of one process to one database
	pgIdle         = 5 * time.Minute
	pgWait         = "10s"            // for a lock
	pgAbandoned    = "5s"             // after which the server ends a transaction that hears nothing of its client
	pgTurn         = 0x73746577617264 // the advisory lock at which transactions take their turn
)

// Open opens (and on first use fills) the database. It refuses a server, a role or a connection that what
// is promised can't rest on, and says what to change.
func (p Postgres) Open(ctx context.Context, schema Schema) (*DB, error) {
	pool, err := p.connect()
	if err != nil {
		return nil, err
	}
	db := &DB{write: pool, read: pool, dialect: onPostgres()}
	if err = sound(ctx, pool); err == nil {
		if p.ReadOnly {
			db.write = nil
			err = db.current(ctx, schema)
		} else {
			err = db.migrate(ctx, schema)
		}
	}
	if err != nil {
		_ = pool.Close()
		return nil, failure(fmt.Errorf("store: postgres: %w", err))
	}
	return db, nil
}

// connect makes the pool; nothing is dialled yet.
func (p Postgres) connect() (*sql.DB, error) {
	c, err := pgx.ParseConfig(p.URL)
	if err != nil { // it hides the password
		return nil, steward.Errorf(steward.Invalid, "this is no address of a Postgres database; write it like postgres://steward:password@db.example.com/steward?sslmode=verify-full").Because(err)
	}
	if err := private(&c.Config); err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"application_name":                    "steward",
		"client_encoding":                     "UTF8",
		"lock_timeout":                        pgWait,
		"idle_in_transaction_session_timeout": pgAbandoned,
	} {
		c.RuntimeParams[name] = value
	}
	if p.ReadOnly {
		c.RuntimeParams["default_transaction_read_only"] = "on"
	} else if c.ValidateConnect == nil {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite // after a failover, the new primary
	}
	pool := stdlib.OpenDB(*c)
	pool.SetMaxOpenConns(pgConnections)
	pool.SetMaxIdleConns(pgConnections)
	pool.SetConnMaxIdleTime(pgIdle)
	return pool, nil
}

// private refuses what would send rows over a network in the clear, or to whoever answers.
func private(c *pgconn.Config) error {
	ways := append([]*pgconn.FallbackConfig{{Host: c.Host, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
	for _, way := range ways {
		ip, err := netip.ParseAddr(way.Host)
		if strings.HasPrefix(way.Host, "/") || way.Host == "localhost" || err == nil && ip.Unmap().IsLoopback() {
			continue
		}
		if t := way.TLSConfig; t == nil || t.InsecureSkipVerify && t.VerifyPeerCertificate == nil && t.VerifyConnection == nil {
			return steward.Errorf(steward.Invalid, "the connection to %s has to be encrypted, and to check whom it speaks to: add sslmode=verify-full to the database's address (and sslrootcert=FILE where the certificate is signed by a company's own authority)", way.Host)
		}
	}
	return nil
}

// sound refuses a server that can't keep what it acknowledges, and a role that no policy on rows holds.
func sound(ctx context.Context, db *sql.DB) error {
	var version int
	var encoding, fsync, commit, role, database string
	var super, bypass bool
	err := db.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), current_setting('fsync'),
		current_setting('synchronous_commit'), rolname, rolsuper, rolbypassrls, current_database() FROM pg_roles WHERE rolname = current_user`).
		Scan(&version, &encoding, &fsync, &commit, &role, &super, &bypass, &database)
	switch {
	case err != nil:
		return err
	case version < oldestPostgres*10000:
		return steward.Errorf(steward.Invalid, "the Postgres server has version %d; Steward needs %d or newer: upgrade it, or use another", version/10000, oldestPostgres)
	case encoding != "UTF8":
		return steward.Errorf(steward.Invalid, "the database %s is encoded in %s and can't hold every name; make another: CREATE DATABASE steward OWNER %s ENCODING 'UTF8' TEMPLATE template0", database, encoding, role)
	case fsync != "on":
		return steward.Errorf(steward.Invalid, "the Postgres server has fsync off and would lose what it acknowledged when the power fails; set fsync = on in postgresql.conf and restart it")
	case commit == "off":
		return steward.Errorf(steward.Invalid, "synchronous_commit is off, so Postgres would lose what it acknowledged last when it crashes; run: ALTER ROLE %s IN DATABASE %s SET synchronous_commit = on", pgx.Identifier{role}.Sanitize(), pgx.Identifier{database}.Sanitize())
	case super || bypass:
		return steward.Errorf(steward.Invalid, "the role %s is not held to row-level security, which keeps workspaces apart; use one that is: CREATE ROLE steward LOGIN PASSWORD '…' NOSUPERUSER NOBYPASSRLS; and let it own the database: ALTER DATABASE %s OWNER TO steward", role, pgx.Identifier{database}.Sanitize())
	}
	return nil
}

// onPostgres is the dialect of a server, which several processes may use at once.
func onPostgres() *dialect {
	return &dialect{
		shared:     true,
		columns:    pgColumns,
		version:    pgVersion,
		setVersion: pgSetVersion,
		guard:      pgGuard,
		unguard:    pgUnguard,
		bind:       pgBind,
		turn:       fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", int64(pgTurn)),
		snapshot:   &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead},
		empty:      "TRUNCATE %s", // which no policy on rows limits
		check:      `SELECT checksum_failures || ' pages are not as they were written' FROM pg_stat_database WHERE datname = current_database() AND checksum_failures > 0`,
		begin:      pgBegin,
		query:      pgQuery,
		commit:     commitPipelined,
	}
}

// pgBind lasts until the transaction's end. An array, since an id may hold any character.
const pgBind = `SELECT set_config($1, CAST($2 AS text[])::text, true)`

var pgTypes = regexp.MustCompile(`(?i)\b(blob|text)\b`)

// pgColumns has texts ordered by their bytes, as SQLite does, whatever the database's language.
func pgColumns(text string) string {
	return pgTypes.ReplaceAllStringFunc(text, func(name string) string {
		if strings.EqualFold(name, "blob") {
			return "bytea"
		}
		return `text COLLATE "C"`
	})
}

// pgVersion also refuses a database that holds what has to be apart, under whatever search_path.
func pgVersion(ctx context.Context, db querier, schema Schema) (files int, err error) {
	var together, there bool
	err = db.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_class WHERE relkind = 'r' AND relname = $1), to_regclass('steward_schema') IS NOT NULL`, schema.Apart).
		Scan(&together, &there)
	if err == nil && together {
		err = steward.Errorf(steward.Invalid, "the data and the keyring are in one database, so a backup of the data would hold the keys to what is forgotten later; make the keyring a database of its own, best on another server")
	}
	if err == nil && there {
		err = db.QueryRowContext(ctx, `SELECT files FROM steward_schema`).Scan(&files)
	}
	return files, err
}

func pgSetVersion(ctx context.Context, tx *sql.Tx, files int) error {
	_, err := tx.ExecContext(ctx, fmt.Sprintf(`CREATE TABLE IF NOT EXISTS steward_schema (one integer PRIMARY KEY CHECK (one = 1), files integer NOT NULL);
		INSERT INTO steward_schema (one, files) VALUES (1, %d) ON CONFLICT (one) DO UPDATE SET files = excluded.files`, files))
	return err
}

// pgGuard puts row-level security on every table that has rows of workspaces, where it isn't yet. Even the
// tables' owner, which the role is, is held to it.
func pgGuard(ctx context.Context, tx *sql.Tx, schema Schema) error {
	type table struct {
		name, column           string
		forced, within, across bool
	}
	var tables []table
	err := Each(ctx, tx, func(scan func(...any) error) error {
		var t table
		err := scan(&t.name, &t.column, &t.forced, &t.within, &t.across)
		tables = append(tables, t)
		return err
	}, `SELECT c.relname, a.attname, c.relrowsecurity AND c.relforcerowsecurity,
			EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'within'),
			EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'across')
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace AND NOT a.attisdropped
			AND (a.attname = 'workspace' OR c.relname = 'workspaces' AND a.attname = 'id')`)
	if err != nil {
		return err
	}
	for _, t := range tables {
		name := pgx.Identifier{t.name}.Sanitize()
		var missing []string
		if !t.forced {
			missing = append(missing, fmt.Sprintf(`ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY`, name))
		}
		if !t.within {
			missing = append(missing, fmt.Sprintf(`CREATE POLICY within ON %s USING (%s = ANY (%s))`, name, t.column, pgSetting("steward.workspaces")))
		}
		if !t.across && slices.Contains(schema.Across, t.name) {
			missing = append(missing, fmt.Sprintf(`CREATE POLICY across ON %s FOR SELECT USING ('%s' = ANY (%s))`, name, t.name, pgSetting("steward.across")))
		}
		for _, statement := range missing {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
	}
	return nil
}

// pgUnguard has the tables' owner see all rows. Nobody else does meanwhile.
func pgUnguard(ctx context.Context, tx *sql.Tx) error {
	var tables []string
	err := Each(ctx, tx, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		tables = append(tables, name)
		return err
	}, `SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relforcerowsecurity`)
	for i := 0; i < len(tables) && err == nil; i++ {
		_, err = tx.ExecContext(ctx, fmt.Sprintf(`ALTER TABLE %s NO FORCE ROW LEVEL SECURITY`, pgx.Identifier{tables[i]}.Sanitize()))
	}
	return err
}

// pgSetting reads what pgBind set, once a statement and not once a row. Where nothing is set it is NULL,
// which no row is equal to.
func pgSetting(name string) string {
	return fmt.Sprintf(`(SELECT CAST(nullif(current_setting('%s', true), '') AS text[]))::text[]`, name)
}

// pgQuery sends all at once, so that it takes one round trip, and the server makes one transaction of it.
func pgQuery(ctx context.Context, db *sql.DB, of Reach, f func(scan func(...any) error) error, query string, args []any) error {
	read := false
	return untilAlive(func() (again bool, err error) {
		conn, err := db.Conn(ctx)
		if err != nil {
			return false, err
		}
		defer func() { _ = conn.Close() }()
		err = conn.Raw(func(c any) error {
			batch := &pgx.Batch{}
			if of.setting != "" {
				batch.Queue(pgBind, of.setting, of.values)
			}
			batch.Queue(query, args...)
			pg := c.(*stdlib.Conn).Conn()
			results := pg.SendBatch(ctx, batch)
			defer func() { _ = results.Close() }()
			if of.setting != "" {
				if _, err := results.Exec(); err != nil {
					return err
				}
			}
			rows, err := results.Query()
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				read = true
				if err := f(rows.Scan); err != nil {
					_ = pg.Close(ctx) // another connection costs less than to receive the rest
					return err
				}
			}
			return rows.Err()
		})
		return !read, err
	})
}

// pgBegin begins a transaction.
func pgBegin(ctx context.Context, db *sql.DB, options *sql.TxOptions) (tx *sql.Tx, err error) {
	err = untilAlive(func() (bool, error) {
		tx, err = db.BeginTx(ctx, options)
		return true, err
	})
	return tx, err
}

// untilAlive tries again what failed since the server ended an idle connection, as it does with all of them
// when it restarts: the next may be dead too. f tells whether it can be tried again.
func untilAlive(f func() (again bool, err error)) error {
	for tries := 0; ; tries++ {
		again, err := f()
		if err == nil || !again || !isBroken(err) || tries == pgConnections {
			return err
		}
	}
}

// isBroken tells a connection that ended from a server that can't be reached or says no.
func isBroken(err error) bool {
	var dial *pgconn.ConnectError
	var said *pgconn.PgError
	var network *net.OpError
	switch {
	case errors.As(err, &dial):
		return false
	case errors.As(err, &said):
		return strings.HasPrefix(said.Code, "57P") || said.Code == "25P03" // admin_shutdown and its like, idle_in_transaction_session_timeout
	}
	return errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, driver.ErrBadConn)
}

func errUnreachable() *steward.Error {
	return steward.Errorf(steward.Unavailable, "the Postgres server can't be reached, or the connection broke; check that it runs, and that its address, the database's name, the role and its password are right, then try again")
}

// postgresFailure is nil for what is no error of Postgres, or none that has a kind.
func postgresFailure(err error) *steward.Error {
	var e *pgconn.PgError
	var dial *pgconn.ConnectError
	if isBroken(err) || errors.As(err, &dial) {
		return errUnreachable()
	}
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Code { // appendix A of the manual
	case "23505": // unique_violation
		return errExists()
	case "23503": // foreign_key_violation
		return errOrphan()
	case "22021": // character_not_in_repertoire, which is a NUL too
		return steward.Errorf(steward.Invalid, "a text holds bytes that are no text; leave them out")
	case "25006": // read_only_sql_transaction
		return steward.Errorf(steward.Unavailable, "the Postgres server takes no writes: it is a standby, or set to read only; give the primary's address")
	case "42501": // insufficient_privilege
		return steward.Errorf(steward.Internal, "the database refuses this to Steward's role; let the role own the database and its tables")
	case "53100": // disk_full
		return errFull()
	case "53300": // too_many_connections
		return steward.Errorf(steward.Unavailable, "the Postgres server has no connection left; raise its max_connections, or run fewer processes")
	case "40001", "40P01", "55P03": // serialization_failure, deadlock_detected, lock_not_available
		return errBusy()
	}
	switch e.Code[:2] {
	case "08", "57": // connection_exception, operator_intervention
		return errUnreachable()
	case "58", "XX": // system_error, data_corrupted
		return errDamaged()
	}
	return nil
}
