package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
)

// Restoring changes a copy of the data before it is put in its place. Nobody else uses it.
type Restoring struct{ *DB }

// Adopt takes segments into the manifest that follow each other, in the place of those there from the first one's
// number on and of the whole tail, which ends before they do. Last is the last entry's time, in microseconds.
func (r Restoring) Adopt(ctx context.Context, ws steward.WorkspaceID, list []segment.Segment, last int64) error {
	return r.db.Update(ctx, within(ws), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM ledger_segments WHERE workspace = $1 AND first >= $2`, ws, int64(list[0].First)); err != nil {
			return err
		}
		for _, s := range list {
			if err := insertSegment(ctx, tx, ws, s, 0); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM ledger_tail WHERE workspace = $1`, ws); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE ledger_heads SET next = $2, last_us = $3 WHERE workspace = $1`, ws, int64(list[len(list)-1].End()), last)
		return err
	})
}

// Opened takes in the intents and outcomes among rows that were taken in. They belong to no process that lives.
func (r Restoring) Opened(ctx context.Context, ws steward.WorkspaceID, rows []ledger.Row) error {
	return r.db.Update(ctx, within(ws), func(tx *sql.Tx) error {
		for _, row := range rows {
			var err error
			if row.Closes != nil {
				_, err = tx.ExecContext(ctx, endIntent, ws, int64(*row.Closes))
			}
			if err == nil && row.Opens {
				_, err = tx.ExecContext(ctx, `INSERT INTO open_intents (workspace, seq, node) VALUES ($1, $2, 'restored')`, ws, int64(row.Seq))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// People lists the persons that a workspace knows records of.
func (r Restoring) People(ctx context.Context, ws steward.WorkspaceID) (people []steward.PersonID, err error) {
	err = r.db.Query(ctx, within(ws), func(scan func(...any) error) error {
		var p steward.PersonID
		err := scan(&p)
		people = append(people, p)
		return err
	}, `SELECT DISTINCT person FROM persons WHERE workspace = $1 ORDER BY person`, ws)
	return people, err
}

// Remove removes a row by its place, as WalkSealed gives it: of a token its box alone, so that the id is never issued
// again, and with a member their API tokens. In the table persons, a row is all that a person is known by.
func (r Restoring) Remove(ctx context.Context, at steward.Place, now time.Time) error {
	switch at.Table {
	case "persons":
		return Privacy(r).DropPerson(ctx, at.Workspace, steward.PersonID(at.Row))
	case "tokens":
		return Privacy(r).EmptyTokens(ctx, at.Workspace, []string{at.Row})
	case "members":
		return Identity(r).RemoveMember(ctx, at.Workspace, steward.MemberID(at.Row), now)
	}
	for _, t := range sealedTables {
		if t.table == at.Table {
			_, err := r.db.Exec(ctx, within(at.Workspace), "DELETE FROM "+t.table+" WHERE workspace = $1 AND "+t.row+" = $2", at.Workspace, at.Row)
			return err
		}
	}
	return fmt.Errorf("store: %q holds nothing sealed", at.Table)
}
