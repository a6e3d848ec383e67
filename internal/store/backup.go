package store

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/backup"
	"github.com/stewardhq/steward/internal/store/database"
)

// Backup copies the data database into a file, from which it can be filled again on either database.
type Backup struct{ *DB }

var _ backup.Database = Backup{}

// Copy implements backup.Database.
func (b Backup) Copy(ctx context.Context, dir string) error {
	schema, err := dataSchema()
	if err != nil {
		return err
	}
	return b.db.CopyTo(ctx, schema, filepath.Join(dir, DataFile), func(tx *sql.Tx) (all []steward.WorkspaceID, err error) {
		err = database.Each(ctx, tx, func(scan func(...any) error) error {
			var ws steward.WorkspaceID
			err := scan(&ws)
			all = append(all, ws)
			return err
		}, `SELECT id FROM workspaces UNION SELECT workspace FROM ledger_heads`)
		return all, err
	}, "workspaces", "ledger_heads")
}

// Contents implements backup.Database.
func (b Backup) Contents(ctx context.Context, dir string, f func(backup.Object) error) (ledgers []backup.Ledger, err error) {
	copied, err := OpenReadOnly(ctx, dir, DataFile)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, copied.Close()) }()
	err = copied.db.Query(ctx, database.Reach{}, func(scan func(...any) error) error {
		var l backup.Ledger
		var cosigned []byte
		var note []byte
		err := scan(&l.Workspace, &l.Entries, &l.Signed, &note, &cosigned, &l.Sealed)
		l.Checkpoint, l.Cosigned = string(note), string(cosigned)
		ledgers = append(ledgers, l)
		return err
	}, `SELECT h.workspace, h.next, coalesce(c.size, 0), c.note, w.note,
			(SELECT coalesce(max(g.first + g.entries), 0) FROM ledger_segments g WHERE g.workspace = h.workspace) FROM ledger_heads h
		LEFT JOIN ledger_checkpoints c ON c.workspace = h.workspace AND c.size = (SELECT max(size) FROM ledger_checkpoints n WHERE n.workspace = h.workspace)
		LEFT JOIN ledger_cosigned w ON w.workspace = h.workspace ORDER BY h.workspace`)
	if err != nil {
		return nil, err
	}
	err = copied.db.Query(ctx, database.Reach{}, func(scan func(...any) error) error {
		var o backup.Object
		var until int64
		if err := scan(&o.Name, &o.Size, &o.SHA256, &until); err != nil {
			return err
		}
		if until != 0 {
			o.Until = instant(until)
		}
		return f(o)
	}, `SELECT o.name, o.size, o.sha256, CASE WHEN g.state = 2 THEN o.until_us ELSE 0 END
		FROM ledger_objects o JOIN ledger_segments g ON g.workspace = o.workspace AND g.first = o.first ORDER BY o.name`)
	return ledgers, err
}

// Fill takes the rows of a copy in a folder into this database, on a server, which must be empty: in one
// transaction, with a mark. Called again, it does nothing where that mark is. A copy that an older Steward made is
// brought up to date first, in its folder.
func (b Backup) Fill(ctx context.Context, dir, mark string, again bool) (err error) {
	copied, err := OpenData(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, copied.Close()) }()
	return b.db.Fill(ctx, copied.db, mark, again)
}
