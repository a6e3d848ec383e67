package database

import (
	"context"
	"database/sql"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/stewardhq/steward"
)

// Claim is that one process has the database to itself, among those that claim it.
type Claim struct {
	// Lost is closed once the claim's connection broke: another process may have the database then.
	Lost <-chan struct{}

	conn *sql.Conn
	end  chan struct{}
	done chan struct{}
}

// claimLock is the advisory lock of whoever has the database, and claimPing how often it is looked after.
const (
	claimLock = 0x7374657761726401
	claimPing = 2 * time.Second
)

// Claim claims the database until Release. It is of kind Conflict while another process has it. A SQLite file
// is for whoever holds its folder, so nothing needs to be claimed there.
func (db *DB) Claim(ctx context.Context) (*Claim, error) {
	if !db.dialect.shared {
		return &Claim{}, nil
	}
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return nil, failure(err)
	}
	var taken bool
	if err = conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1)`, int64(claimLock)).Scan(&taken); err == nil && !taken {
		err = steward.Errorf(steward.Conflict, "another Steward uses this database; stop it first, or name another with --store")
	}
	if err != nil {
		_ = conn.Close()
		return nil, failure(err)
	}
	lost := make(chan struct{})
	c := &Claim{Lost: lost, conn: conn, end: make(chan struct{}), done: make(chan struct{})}
	go c.hold(lost)
	return c, nil
}

// hold notices when the connection breaks.
func (c *Claim) hold(lost chan<- struct{}) {
	defer close(c.done)
	tick := time.NewTicker(claimPing)
	defer tick.Stop()
	for {
		select {
		case <-c.end:
			return
		case <-tick.C:
			ctx, cancel := context.WithTimeout(context.Background(), claimPing)
			_, err := c.conn.ExecContext(ctx, `SELECT 1`)
			cancel()
			if err != nil {
				close(lost)
				return
			}
		}
	}
}

// Release lets others have the database.
func (c *Claim) Release() error {
	if c.conn == nil {
		return nil
	}
	close(c.end)
	<-c.done
	ctx, cancel := context.WithTimeout(context.Background(), claimPing)
	defer cancel()
	// A server may take a while to notice that a session ended; where it is lost already, so is the lock.
	_, _ = c.conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, int64(claimLock))
	// The lock goes with its session, which therefore mustn't go back to the pool.
	_ = c.conn.Raw(func(conn any) error { return conn.(*stdlib.Conn).Conn().Close(context.Background()) })
	_ = c.conn.Close()
	return nil
}
