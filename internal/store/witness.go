package store

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger/witness"
	"github.com/stewardhq/steward/internal/store/database"
)

// Witness keeps the newest cosigned checkpoint of every workspace, in the data database.
type Witness struct{ *DB }

// Cosigned implements witness.Store.
func (s Witness) Cosigned(ctx context.Context, ws steward.WorkspaceID) (size uint64, note []byte, err error) {
	_, err = s.db.One(ctx, within(ws), []any{&size, &note}, `SELECT size, note FROM ledger_cosigned WHERE workspace = $1`, ws)
	return size, note, err
}

// SaveCosigned implements witness.Store. Rows are written in the order of workspaces, so that two processes
// that write the same ones wait for each other and don't deadlock.
func (s Witness) SaveCosigned(ctx context.Context, list []witness.Cosigned) error {
	list = slices.SortedFunc(slices.Values(list), func(a, b witness.Cosigned) int {
		return strings.Compare(string(a.Workspace), string(b.Workspace))
	})
	workspaces := make([]steward.WorkspaceID, len(list))
	for i, c := range list {
		workspaces[i] = c.Workspace
	}
	return s.db.Update(ctx, database.Within(workspaces...), func(tx *sql.Tx) error {
		for _, c := range list {
			if _, err := tx.ExecContext(ctx, `INSERT INTO ledger_cosigned (workspace, size, note) VALUES ($1, $2, $3)
				ON CONFLICT (workspace) DO UPDATE SET size = excluded.size, note = excluded.note WHERE ledger_cosigned.size <= excluded.size`,
				c.Workspace, int64(c.Size), c.Note); err != nil {
				return err
			}
		}
		return nil
	})
}
