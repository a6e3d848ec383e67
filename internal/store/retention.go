package store

import (
	"context"
	"database/sql"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/retention"
)

// Retention keeps requests to forget that wait.
type Retention struct{ *DB }

// Ask implements retention.Store.
func (s Retention) Ask(ctx context.Context, ws steward.WorkspaceID, a retention.Asked) (retention.Asked, error) {
	var at int64
	err := s.db.Update(ctx, within(ws), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO erasures_asked (workspace, id, member, about, asked) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (workspace, about) DO NOTHING`, ws, a.ID, a.By, a.About, micros(a.At)); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT id, member, asked FROM erasures_asked WHERE workspace = $1 AND about = $2`, ws, a.About).
			Scan(&a.ID, &a.By, &at)
	})
	a.At = instant(at)
	return a, err
}

// Settle implements retention.Store.
func (s Retention) Settle(ctx context.Context, ws steward.WorkspaceID, id steward.ErasureID) error {
	_, err := s.db.Exec(ctx, within(ws), `DELETE FROM erasures_asked WHERE workspace = $1 AND id = $2`, ws, id)
	return err
}
