package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
)

// Ledger keeps the tail of every workspace's ledger, in the data database.
type Ledger struct{ *DB }

var _ ledger.Store = Ledger{}

// pageBytes is about how much Rows reads at once.
const pageBytes = 4 << 20

// Head is ledger.Reader's.
func (l Ledger) Head(ctx context.Context, ws steward.WorkspaceID) (head ledger.Head, err error) {
	_, err = l.one(ctx, []any{&head.Next, &head.Last, &head.Signed}, `SELECT next, last_us, signed FROM ledger_heads WHERE workspace = $1`, ws)
	return head, err
}

// Rows is ledger.Reader's.
func (l Ledger) Rows(ctx context.Context, ws steward.WorkspaceID, from uint64, limit int, parts bool) ([]ledger.Row, error) {
	query := `SELECT seq, header, NULL FROM ledger_tail WHERE workspace = $1 AND seq >= $2 ORDER BY seq LIMIT $3`
	if parts {
		query = `SELECT seq, header, parts FROM ledger_tail WHERE workspace = $1 AND seq >= $2 ORDER BY seq LIMIT $3`
	}
	var page []ledger.Row
	size := 0
	err := l.rows(ctx, func(scan func(...any) error) error {
		if size > pageBytes {
			return errPageFull
		}
		var row ledger.Row
		err := scan(&row.Seq, &row.Header, &row.Parts)
		size += len(row.Header) + len(row.Parts)
		page = append(page, row)
		return err
	}, query, ws, int64(from), limit)
	if err != nil && !errors.Is(err, errPageFull) {
		return nil, err
	}
	return page, nil
}

var errPageFull = errors.New("store: enough was read")

// Intents is ledger.Reader's.
func (l Ledger) Intents(ctx context.Context, ws steward.WorkspaceID) ([]ledger.OpenIntent, error) {
	return l.openIntents(ctx, `SELECT workspace, seq FROM open_intents WHERE workspace = $1 ORDER BY seq`, ws)
}

// Abandoned is ledger.Writer's.
func (l Ledger) Abandoned(ctx context.Context, node string) ([]ledger.OpenIntent, error) {
	return l.openIntents(ctx, `SELECT workspace, seq FROM open_intents WHERE node <> $1 ORDER BY workspace, seq`, node)
}

func (l Ledger) openIntents(ctx context.Context, query string, args ...any) (open []ledger.OpenIntent, err error) {
	err = l.rows(ctx, func(scan func(...any) error) error {
		var o ledger.OpenIntent
		err := scan(&o.Workspace, &o.Seq)
		open = append(open, o)
		return err
	}, query, args...)
	return open, err
}

// Checkpoints is ledger.Reader's.
func (l Ledger) Checkpoints(ctx context.Context, ws steward.WorkspaceID, from uint64, limit int) (list []ledger.StoredCheckpoint, err error) {
	err = l.rows(ctx, func(scan func(...any) error) error {
		var cp ledger.StoredCheckpoint
		err := scan(&cp.Size, &cp.Note, &cp.Range)
		list = append(list, cp)
		return err
	}, `SELECT size, note, hashes FROM ledger_checkpoints WHERE workspace = $1 AND size >= $2 ORDER BY size LIMIT $3`, ws, int64(from), limit)
	return list, err
}

// Check is ledger.Reader's: SQLite walks all of its pages.
func (l Ledger) Check(ctx context.Context) error {
	var wrong []string
	err := l.rows(ctx, func(scan func(...any) error) error {
		var line string
		err := scan(&line)
		if line != "ok" {
			wrong = append(wrong, line)
		}
		return err
	}, `PRAGMA integrity_check(20)`)
	if err == nil && len(wrong) > 0 {
		return steward.Errorf(steward.Internal, "the database is damaged; restore a backup").Because(errors.New("store: " + strings.Join(wrong, "; ")))
	}
	return err
}

// Behind is ledger.Writer's.
func (l Ledger) Behind(ctx context.Context) (behind []steward.WorkspaceID, err error) {
	err = l.rows(ctx, func(scan func(...any) error) error {
		var ws steward.WorkspaceID
		err := scan(&ws)
		behind = append(behind, ws)
		return err
	}, `SELECT workspace FROM ledger_heads WHERE next > signed ORDER BY workspace`)
	return behind, err
}

// Commit is ledger.Writer's. Heads are moved in the order of workspaces, so that two processes that write
// to the same ones wait for each other and don't deadlock.
func (l Ledger) Commit(ctx context.Context, advances []ledger.Advance) error {
	advances = slices.SortedFunc(slices.Values(advances), func(a, b ledger.Advance) int {
		return strings.Compare(string(a.Workspace), string(b.Workspace))
	})
	return l.update(ctx, func(tx *sql.Tx) error {
		for _, a := range advances {
			moved, err := changes(tx.ExecContext(ctx, `INSERT INTO ledger_heads (workspace, next, last_us, signed) VALUES ($1, $2, $3, 0)
				ON CONFLICT (workspace) DO UPDATE SET next = excluded.next, last_us = excluded.last_us WHERE ledger_heads.next = $4`,
				a.Workspace, int64(a.Now.Next), a.Now.Last, int64(a.Was.Next)))
			if err != nil {
				return err
			}
			if moved != 1 {
				return ledger.ErrMoved
			}
		}
		insert, err := tx.PrepareContext(ctx, `INSERT INTO ledger_tail (workspace, seq, header, parts) VALUES ($1, $2, $3, $4)`)
		if err != nil {
			return err
		}
		defer func() { _ = insert.Close() }()
		for _, a := range advances {
			for _, row := range a.Rows {
				if _, err := insert.ExecContext(ctx, a.Workspace, int64(row.Seq), row.Header, row.Parts); err != nil {
					return err
				}
				if err := pair(ctx, tx, a, row); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// pair opens or closes an intent.
func pair(ctx context.Context, tx *sql.Tx, a ledger.Advance, row ledger.Row) error {
	if row.Opens {
		if _, err := tx.ExecContext(ctx, `INSERT INTO open_intents (workspace, seq, node) VALUES ($1, $2, $3)`, a.Workspace, int64(row.Seq), a.Node); err != nil {
			return err
		}
	}
	if row.Closes != nil {
		ended, err := changes(tx.ExecContext(ctx, `DELETE FROM open_intents WHERE workspace = $1 AND seq = $2`, a.Workspace, int64(*row.Closes)))
		if err != nil {
			return err
		}
		if ended != 1 {
			return ledger.ErrEnded
		}
	}
	return nil
}

func changes(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// SaveCheckpoint is ledger.Writer's.
func (l Ledger) SaveCheckpoint(ctx context.Context, ws steward.WorkspaceID, cp ledger.StoredCheckpoint) error {
	return l.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO ledger_checkpoints (workspace, size, note, hashes) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			ws, int64(cp.Size), cp.Note, cp.Range); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE ledger_heads SET signed = $2 WHERE workspace = $1 AND signed < $2`, ws, int64(cp.Size))
		return err
	})
}
