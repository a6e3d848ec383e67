package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/store/database"
)

// Segments keeps the manifest of the ledgers' segments, in the data database beside the tails.
type Segments struct{ *DB }

var (
	_ segment.Manifest = Segments{}
	_ segment.Catalog  = Segments{}
)

// How much of a tail one transaction trims: what holds up whoever appends for a few milliseconds.
const (
	trimRows  = 1000
	trimTiles = 64
)

// Segments is segment.Manifest's. It is one statement, so that no segment comes with another's objects.
func (s Segments) Segments(ctx context.Context, ws steward.WorkspaceID, span segment.Span) (list []segment.Segment, err error) {
	order := ""
	if span.Backward {
		order = " DESC"
	}
	err = s.db.Query(ctx, within(ws), func(scan func(...any) error) error {
		var g segment.Segment
		var o segment.Object
		var until int64
		err := scan(&g.First, &g.Entries, &g.Earliest, &g.Latest, &g.Month, &g.State, &o.Name, &o.Kind, &o.Scopes, &o.Low, &o.High, &o.Size, &o.SHA256, &until)
		if until != 0 {
			o.Until = instant(until)
		}
		if len(list) == 0 || list[len(list)-1].First != g.First {
			list = append(list, g)
		}
		last := &list[len(list)-1]
		last.Objects = append(last.Objects, o)
		return err
	}, `SELECT g.first, g.entries, g.earliest_us, g.latest_us, g.month, g.state, o.name, o.kind, o.scopes, o.low, o.high, o.size, o.sha256, o.until_us
		FROM (SELECT * FROM ledger_segments WHERE workspace = $1 AND first < $2 AND first + entries > $3 AND latest_us >= $4 AND earliest_us < $5
			AND first >= coalesce((SELECT max(first) FROM ledger_segments WHERE workspace = $1 AND first <= $3), 0)
			ORDER BY first`+order+` LIMIT $6) AS g
		JOIN ledger_objects o ON o.workspace = g.workspace AND o.first = g.first ORDER BY g.first`+order+`, o.name`,
		ws, int64(span.End), int64(span.From), span.Since, span.Until, span.Limit)
	return list, err
}

// Objects is segment.Manifest's.
func (s Segments) Objects(ctx context.Context, after string, limit int) (list []segment.Placed, err error) {
	err = s.db.Query(ctx, database.Across("ledger_objects", "ledger_segments"), func(scan func(...any) error) error {
		var o segment.Placed
		var until int64
		err := scan(&o.Name, &o.Kind, &o.Scopes, &o.Low, &o.High, &o.Size, &o.SHA256, &until, &o.Workspace, &o.First, &o.End)
		if until != 0 {
			o.Until = instant(until)
		}
		list = append(list, o)
		return err
	}, `SELECT o.name, o.kind, o.scopes, o.low, o.high, o.size, o.sha256, o.until_us, o.workspace, o.first, g.first + g.entries
		FROM (SELECT * FROM ledger_objects WHERE name > $1 ORDER BY name LIMIT $2) AS o
		JOIN ledger_segments g ON g.workspace = o.workspace AND g.first = o.first ORDER BY o.name`, after, limit)
	return list, err
}

// Workspaces is segment.Manifest's: whoever has entries may have segments.
func (s Segments) Workspaces(ctx context.Context, after steward.WorkspaceID, limit int) (list []steward.WorkspaceID, err error) {
	err = s.db.Query(ctx, database.Across("ledger_heads"), func(scan func(...any) error) error {
		var ws steward.WorkspaceID
		err := scan(&ws)
		list = append(list, ws)
		return err
	}, `SELECT workspace FROM ledger_heads WHERE workspace > $1 ORDER BY workspace LIMIT $2`, after, limit)
	return list, err
}

// Due is segment.Catalog's.
func (s Segments) Due(ctx context.Context, after steward.WorkspaceID, limit int) (list []segment.Tail, err error) {
	err = s.db.Query(ctx, database.Across("ledger_heads", "ledger_segments"), func(scan func(...any) error) error {
		var t segment.Tail
		err := scan(&t.Workspace, &t.Signed, &t.Sealed, &t.Left)
		list = append(list, t)
		return err
	}, `SELECT workspace, signed, sealed, untrimmed > 0 FROM (
			SELECT h.workspace AS workspace, h.signed AS signed,
				coalesce((SELECT g.first + g.entries FROM ledger_segments g WHERE g.workspace = h.workspace ORDER BY g.first DESC LIMIT 1), 0) AS sealed,
				(SELECT count(*) FROM ledger_segments g WHERE g.workspace = h.workspace AND g.trimmed = 0) AS untrimmed
			FROM ledger_heads h WHERE h.workspace > $1) AS tails
		WHERE signed - sealed >= 256 OR untrimmed > 0 ORDER BY workspace LIMIT $2`, after, limit)
	return list, err
}

// Unmerged is segment.Catalog's.
func (s Segments) Unmerged(ctx context.Context, before string, limit int) (list []segment.Unmerged, err error) {
	err = s.db.Query(ctx, database.Across("ledger_heads", "ledger_segments"), func(scan func(...any) error) error {
		var u segment.Unmerged
		err := scan(&u.Month, &u.Workspace)
		list = append(list, u)
		return err
	}, `SELECT DISTINCT month, workspace FROM ledger_segments WHERE state < 2 AND month < $1 ORDER BY month, workspace LIMIT $2`, before, limit)
	return list, err
}

// Replace is segment.Catalog's.
func (s Segments) Replace(ctx context.Context, ws steward.WorkspaceID, old []segment.Segment, with segment.Segment) error {
	return s.db.Update(ctx, within(ws), func(tx *sql.Tx) error {
		moved := steward.Errorf(steward.Conflict, "these entries were sealed by another process meanwhile")
		trimmed := 1
		if len(old) == 0 {
			var end uint64
			if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(first + entries), 0) FROM ledger_segments WHERE workspace = $1`, ws).Scan(&end); err != nil {
				return err
			}
			if trimmed = 0; end != with.First {
				return moved
			}
		}
		next := with.First
		for _, g := range old {
			was, err := take(ctx, tx, ws, g)
			if err != nil {
				return err
			}
			if was < 0 || g.First != next {
				return moved
			}
			trimmed, next = min(trimmed, was), g.End()
		}
		if len(old) > 0 && next != with.End() {
			return moved
		}
		return insertSegment(ctx, tx, ws, with, trimmed)
	})
}

func insertSegment(ctx context.Context, tx *sql.Tx, ws steward.WorkspaceID, s segment.Segment, trimmed int) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO ledger_segments (workspace, first, entries, earliest_us, latest_us, month, state, trimmed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		ws, int64(s.First), int64(s.Entries), s.Earliest, s.Latest, s.Month, int64(s.State), trimmed); err != nil {
		return err
	}
	for _, o := range s.Objects {
		if _, err := tx.ExecContext(ctx, `INSERT INTO ledger_objects (name, workspace, first, kind, scopes, low, high, size, sha256, until_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			o.Name, ws, int64(s.First), string(o.Kind), o.Scopes, int64(o.Low), int64(o.High), o.Size, o.SHA256, keepUntil(o.Until)); err != nil {
			return err
		}
	}
	return nil
}

// take deletes a segment and its objects, and tells whether it was trimmed; -1 where it isn't there as named.
func take(ctx context.Context, tx *sql.Tx, ws steward.WorkspaceID, g segment.Segment) (trimmed int, err error) {
	var names []string
	if err := database.Each(ctx, tx, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		names = append(names, name)
		return err
	}, `SELECT name FROM ledger_objects WHERE workspace = $1 AND first = $2 ORDER BY name`, ws, int64(g.First)); err != nil {
		return 0, err
	}
	if !slices.EqualFunc(names, g.Objects, func(name string, o segment.Object) bool { return name == o.Name }) {
		return -1, nil
	}
	err = tx.QueryRowContext(ctx, `DELETE FROM ledger_segments WHERE workspace = $1 AND first = $2 AND entries = $3 RETURNING trimmed`, ws, int64(g.First), int64(g.Entries)).Scan(&trimmed)
	if errors.Is(err, sql.ErrNoRows) {
		return -1, nil
	}
	return trimmed, err
}

func keepUntil(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return micros(t)
}

// Trim is segment.Catalog's. Rows go from the first on, so that what is left has no gaps.
func (s Segments) Trim(ctx context.Context, ws steward.WorkspaceID, before int64) (more bool, err error) {
	err = s.db.Update(ctx, within(ws), func(tx *sql.Tx) error {
		var end int64
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(first + entries), 0) FROM ledger_segments WHERE workspace = $1`, ws).Scan(&end); err != nil {
			return err
		}
		var rows, tiles int64
		if rows, err = database.Changes(tx.ExecContext(ctx, `DELETE FROM ledger_tail WHERE workspace = $1 AND seq < $2 AND seq <
			(SELECT min(seq) FROM ledger_tail WHERE workspace = $1) + $3`, ws, end, trimRows)); err != nil {
			return err
		}
		for level := int64(0); level < 8 && rows == 0 && tiles < trimTiles; level++ {
			some, err := database.Changes(tx.ExecContext(ctx, `DELETE FROM ledger_tiles WHERE workspace = $1 AND level = $2 AND n < $3 AND n <
				(SELECT min(n) FROM ledger_tiles WHERE workspace = $1 AND level = $2) + $4`, ws, level, end>>(8*(level+1)), trimTiles))
			if err != nil {
				return err
			}
			tiles += some
		}
		if more = rows > 0 || tiles > 0; more {
			return nil
		}
		// One that is longer than others has more signatures: it led from one key to the next, and stays.
		if _, err := tx.ExecContext(ctx, `DELETE FROM ledger_checkpoints WHERE workspace = $1
			AND length(note) < (SELECT min(length(c.note)) FROM ledger_checkpoints c WHERE c.workspace = $1) + 60 AND EXISTS (
			SELECT 1 FROM ledger_segments g WHERE g.workspace = $1 AND g.latest_us < $2 AND g.first < size AND size <
				(SELECT max(c.size) FROM ledger_checkpoints c WHERE c.workspace = $1 AND c.size > g.first AND c.size <= g.first + g.entries))`, ws, before); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE ledger_segments SET trimmed = 1 WHERE workspace = $1 AND trimmed = 0 AND first + entries <= $2`, ws, end)
		return err
	})
	return more, err
}

// Empty is segment.Dropper's.
func (s Segments) Empty(ctx context.Context, ws steward.WorkspaceID, rows []ledger.Row) error {
	return s.db.Update(ctx, within(ws), func(tx *sql.Tx) error {
		for _, row := range rows {
			if _, err := tx.ExecContext(ctx, `UPDATE ledger_tail SET parts = $3 WHERE workspace = $1 AND seq = $2`, ws, int64(row.Seq), row.Parts); err != nil {
				return err
			}
		}
		return nil
	})
}

// Prune is prune.Catalog's. Where a segment begins there are none that begin before and end behind it, and the one
// that stays says where the tail begins.
func (s Segments) Prune(ctx context.Context, ws steward.WorkspaceID, first uint64) error {
	return s.db.Update(ctx, within(ws), func(tx *sql.Tx) error {
		var begin, untrimmed int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE first = $2), count(*) FILTER (WHERE first < $2 AND trimmed = 0) FROM ledger_segments WHERE workspace = $1`,
			ws, int64(first)).Scan(&begin, &untrimmed); err != nil {
			return err
		}
		if begin == 0 || untrimmed > 0 {
			return steward.Errorf(steward.Conflict, "the ledger can't begin with entry %d now: no segment does, or what is before it isn't all moved out of the database yet", first)
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM ledger_segments WHERE workspace = $1 AND first < $2`, ws, int64(first)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE ledger_heads SET pruned = $2 WHERE workspace = $1 AND pruned < $2`, ws, int64(first))
		return err
	})
}

// Drop is segment.Drops'.
func (s Segments) Drop(ctx context.Context, ws steward.WorkspaceID, first uint64, names []string) error {
	return s.db.Update(ctx, within(ws), func(tx *sql.Tx) error {
		for _, name := range names {
			if _, err := tx.ExecContext(ctx, `DELETE FROM ledger_objects WHERE workspace = $1 AND first = $2 AND name = $3 AND kind = 'parts'`, ws, int64(first), name); err != nil {
				return err
			}
		}
		return nil
	})
}
