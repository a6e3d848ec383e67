package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Step is one statement of a commit, and the error where it changes another number of rows than it has to,
// if that has a meaning.
type Step struct {
	Query     string
	Args      []any
	Rows      int64
	Otherwise error
}

func (s *Step) wrong(rows int64) error {
	if s.Otherwise != nil {
		return s.Otherwise
	}
	return fmt.Errorf("store: a statement changed %d rows instead of %d", rows, s.Rows)
}

// Committer commits steps, again and again. It has one user at a time, who closes it.
type Committer struct {
	db       *DB
	moved    error
	lock     string
	prepared map[string]*sql.Stmt // on SQLite: parsing takes longer than a small commit's rows

	// On Postgres: a transaction in which the lock is held for a reach, after a step failed with moved.
	held    *sql.Conn
	heldFor Reach
}

// Committer makes one. A step that fails with moved says that another process was first; lock is a query
// that waits for others and locks what it moved, given an array of the reach's workspaces.
func (db *DB) Committer(moved error, lock string) *Committer {
	return &Committer{db: db, moved: moved, lock: lock, prepared: map[string]*sql.Stmt{}}
}

// Close gives back what it holds.
func (c *Committer) Close() (err error) {
	for _, s := range c.prepared {
		err = errors.Join(err, s.Close())
	}
	c.release()
	return err
}

// Commit does all steps in one transaction that is durable when it returns, or none. After an error it can
// be used again.
func (c *Committer) Commit(ctx context.Context, of Reach, steps []Step) error {
	if c.db.write == nil {
		return errReading()
	}
	return failure(c.db.dialect.commit(ctx, c, of, steps))
}

// commitPrepared is for SQLite, where a statement costs little once it is prepared.
func commitPrepared(ctx context.Context, c *Committer, of Reach, steps []Step) error {
	for _, s := range steps {
		if c.prepared[s.Query] == nil {
			stmt, err := c.db.write.PrepareContext(ctx, s.Query)
			if err != nil {
				return err
			}
			c.prepared[s.Query] = stmt
		}
	}
	return c.db.Update(ctx, of, func(tx *sql.Tx) error {
		for _, s := range steps {
			n, err := Changes(tx.StmtContext(ctx, c.prepared[s.Query]).ExecContext(ctx, s.Args...))
			if err != nil {
				return err
			}
			if n != s.Rows {
				return s.wrong(n)
			}
		}
		return nil
	})
}

// commitPipelined is for Postgres, where a round trip costs more than a statement: all steps go in one.
//
// What another process moved is locked before the error is returned, so that it can't move again before
// the caller has read it and tried once more; otherwise, where many write to one workspace, some would
// never have their turn. Who doesn't come back loses the lock when the server ends the transaction.
func commitPipelined(ctx context.Context, c *Committer, of Reach, steps []Step) error {
	return untilAlive(func() (again bool, err error) {
		batch := &pgx.Batch{}
		conn := c.held
		if conn == nil || !slices.Equal(of.values, c.heldFor.values) {
			c.release()
			if conn, err = c.db.write.Conn(ctx); err != nil {
				return false, err
			}
			batch.Queue("BEGIN")
		}
		c.held = nil
		batch.Queue(pgBind, of.setting, of.values)
		sent := false
		err = conn.Raw(func(on any) error {
			pg := on.(*stdlib.Conn).Conn()
			if err := send(ctx, pg, batch, steps); err != nil {
				if errors.Is(err, c.moved) && c.lockIn(ctx, pg, of) == nil {
					c.held, c.heldFor = conn, of
				}
				return err
			}
			sent = true // from here on it may be durable, whatever the answer
			_, err := pg.Exec(ctx, "COMMIT")
			return err
		})
		switch {
		case err == nil:
			_ = conn.Close() // back to the pool
		case c.held == nil:
			undo(conn)
		}
		return !sent, err
	})
}

// send does the steps behind what the batch has already.
func send(ctx context.Context, pg *pgx.Conn, batch *pgx.Batch, steps []Step) (err error) {
	before := batch.Len()
	for _, s := range steps {
		batch.Queue(s.Query, s.Args...)
	}
	results := pg.SendBatch(ctx, batch)
	defer func() {
		if failed := results.Close(); err == nil {
			err = failed
		}
	}()
	for range before {
		if _, err := results.Exec(); err != nil {
			return err
		}
	}
	for _, s := range steps {
		done, err := results.Exec()
		if err != nil {
			return err
		}
		if done.RowsAffected() != s.Rows {
			return s.wrong(done.RowsAffected())
		}
	}
	return nil
}

// lockIn begins a transaction anew, in which the lock is held.
func (c *Committer) lockIn(ctx context.Context, pg *pgx.Conn, of Reach) error {
	// Alone, since nothing can be prepared in a transaction that failed.
	if _, err := pg.Exec(ctx, "ROLLBACK"); err != nil {
		return err
	}
	batch := &pgx.Batch{}
	batch.Queue("BEGIN")
	batch.Queue(pgBind, of.setting, of.values)
	batch.Queue(c.lock, of.values)
	return pg.SendBatch(ctx, batch).Close()
}

// release lets go of what is locked.
func (c *Committer) release() {
	if c.held != nil {
		undo(c.held)
		c.held = nil
	}
}

// undo ends a connection's transaction and gives the connection back. Where it is broken the server ends
// the transaction, and the pool makes another connection.
func undo(conn *sql.Conn) {
	_ = conn.Raw(func(c any) error {
		_, err := c.(*stdlib.Conn).Conn().Exec(context.Background(), "ROLLBACK")
		return err
	})
	_ = conn.Close()
}
