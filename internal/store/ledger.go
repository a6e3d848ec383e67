package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/store/database"
)

// Ledger keeps the tail of every workspace's ledger, in the data database.
type Ledger struct{ *DB }

var _ ledger.Store = Ledger{}

// How much Rows reads at once, more or less.
const (
	pageBytes = 4 << 20
	pageRows  = 4096
	pagePiece = 64 << 10 // allocated at a time
)

// Head is ledger.Reader's.
func (l Ledger) Head(ctx context.Context, ws steward.WorkspaceID) (head ledger.Head, err error) {
	_, err = l.db.One(ctx, within(ws), []any{&head.Next, &head.Last, &head.Signed, &head.First}, `SELECT next, last_us, signed, pruned FROM ledger_heads WHERE workspace = $1`, ws)
	return head, err
}

// Rows is ledger.Reader's. The bytes of a page lie in one piece, which lives as long as any of its rows.
func (l Ledger) Rows(ctx context.Context, ws steward.WorkspaceID, from uint64, limit int, parts bool) ([]ledger.Row, error) {
	query := `SELECT seq, header, NULL FROM ledger_tail WHERE workspace = $1 AND seq >= $2 ORDER BY seq LIMIT $3`
	if parts {
		query = `SELECT seq, header, parts FROM ledger_tail WHERE workspace = $1 AND seq >= $2 ORDER BY seq LIMIT $3`
	}
	page := make([]ledger.Row, 0, min(limit, 1024))
	var bytes []byte
	size := 0
	keep := func(b sql.RawBytes) []byte {
		if b == nil {
			return nil
		}
		if cap(bytes)-len(bytes) < len(b) {
			bytes = make([]byte, 0, max(len(b), pagePiece))
		}
		at := len(bytes)
		bytes = append(bytes, b...)
		size += len(b)
		return bytes[at:len(bytes):len(bytes)]
	}
	var header, sealed sql.RawBytes
	var seq int64
	dest := []any{&seq, &header, &sealed}
	err := l.db.Query(ctx, within(ws), func(scan func(...any) error) error {
		if size > pageBytes {
			return errPageFull
		}
		err := scan(dest...)
		page = append(page, ledger.Row{Seq: uint64(seq), Header: keep(header), Parts: keep(sealed)})
		return err
	}, query, ws, int64(from), min(limit, pageRows))
	if err != nil && !errors.Is(err, errPageFull) {
		return nil, err
	}
	return page, nil
}

var errPageFull = errors.New("store: enough was read")

// Intents is ledger.Verifiable's.
func (l Ledger) Intents(ctx context.Context, ws steward.WorkspaceID) ([]ledger.OpenIntent, error) {
	return l.openIntents(ctx, within(ws), `SELECT workspace, seq FROM open_intents WHERE workspace = $1 ORDER BY seq`, ws)
}

// Abandoned is ledger.Writer's.
func (l Ledger) Abandoned(ctx context.Context, node string) ([]ledger.OpenIntent, error) {
	return l.openIntents(ctx, database.Across("open_intents"), `SELECT workspace, seq FROM open_intents WHERE node <> $1 ORDER BY workspace, seq`, node)
}

func (l Ledger) openIntents(ctx context.Context, of database.Reach, query string, arg any) (open []ledger.OpenIntent, err error) {
	err = l.db.Query(ctx, of, func(scan func(...any) error) error {
		var o ledger.OpenIntent
		err := scan(&o.Workspace, &o.Seq)
		open = append(open, o)
		return err
	}, query, arg)
	return open, err
}

// Checkpoints is ledger.Reader's.
func (l Ledger) Checkpoints(ctx context.Context, ws steward.WorkspaceID, from uint64, limit int) (list []ledger.StoredCheckpoint, err error) {
	err = l.db.Query(ctx, within(ws), func(scan func(...any) error) error {
		var cp ledger.StoredCheckpoint
		err := scan(&cp.Size, &cp.Note, &cp.Range)
		list = append(list, cp)
		return err
	}, `SELECT size, note, hashes FROM ledger_checkpoints WHERE workspace = $1 AND size >= $2 ORDER BY size LIMIT $3`, ws, int64(from), limit)
	return list, err
}

// Check is ledger.Verifiable's: SQLite walks all of its pages, and Postgres says which it found damaged
// since it counts, where the server was made with checksums.
func (l Ledger) Check(ctx context.Context) error { return l.db.Check(ctx) }

// Behind is ledger.Writer's.
func (l Ledger) Behind(ctx context.Context) (behind []steward.WorkspaceID, err error) {
	err = l.db.Query(ctx, database.Across("ledger_heads"), func(scan func(...any) error) error {
		var ws steward.WorkspaceID
		err := scan(&ws)
		behind = append(behind, ws)
		return err
	}, `SELECT workspace FROM ledger_heads WHERE next > signed ORDER BY workspace`)
	return behind, err
}

// Tiles is ledger.Reader's.
func (l Ledger) Tiles(ctx context.Context, ws steward.WorkspaceID, level int, from uint64, limit int) (list []ledger.Tile, err error) {
	err = l.db.Query(ctx, within(ws), func(scan func(...any) error) error {
		tile := ledger.Tile{Level: level}
		err := scan(&tile.N, &tile.Hashes)
		list = append(list, tile)
		return err
	}, `SELECT n, hashes FROM ledger_tiles WHERE workspace = $1 AND level = $2 AND n >= $3 ORDER BY n LIMIT $4`, ws, level, int64(from), limit)
	return list, err
}

// SaveCheckpoints is ledger.Writer's.
func (l Ledger) SaveCheckpoints(ctx context.Context, signed []ledger.Signed) error {
	signed = slices.SortedFunc(slices.Values(signed), func(a, b ledger.Signed) int {
		return strings.Compare(string(a.Workspace), string(b.Workspace)) // the order in which everybody locks heads
	})
	workspaces := make([]steward.WorkspaceID, len(signed))
	for i, s := range signed {
		workspaces[i] = s.Workspace
	}
	return l.db.Update(ctx, within(workspaces...), func(tx *sql.Tx) error {
		tiles, err := tx.PrepareContext(ctx, `INSERT INTO ledger_tiles (workspace, level, n, hashes) VALUES ($1, $2, $3, $4)
			ON CONFLICT (workspace, level, n) DO UPDATE SET hashes = excluded.hashes WHERE length(ledger_tiles.hashes) < length(excluded.hashes)`)
		if err != nil {
			return err
		}
		defer func() { _ = tiles.Close() }()
		for _, s := range signed {
			for _, tile := range s.Tiles {
				if _, err := tiles.ExecContext(ctx, s.Workspace, tile.Level, int64(tile.N), tile.Hashes); err != nil {
					return err
				}
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO ledger_checkpoints (workspace, size, note, hashes) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
				s.Workspace, int64(s.Checkpoint.Size), s.Checkpoint.Note, s.Checkpoint.Range); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `UPDATE ledger_heads SET signed = $2 WHERE workspace = $1 AND signed < $2`, s.Workspace, int64(s.Checkpoint.Size)); err != nil {
				return err
			}
		}
		return nil
	})
}
