package store

import (
	"context"
	"database/sql"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
)

// Keyring keeps wrapped scope keys, in the keyring database.
type Keyring struct{ *DB }

var _ keyring.Store = Keyring{}

// Key is keyring.Store's.
func (k Keyring) Key(ctx context.Context, ws steward.WorkspaceID, scope steward.Scope) (wrapped []byte, found bool, err error) {
	found, err = k.one(ctx, []any{&wrapped}, `SELECT wrapped FROM scope_keys WHERE workspace = $1 AND scope = $2`, ws, scope)
	return wrapped, found, err
}

// AddKey is keyring.Store's.
func (k Keyring) AddKey(ctx context.Context, ws steward.WorkspaceID, scope steward.Scope, wrapped []byte) error {
	_, err := k.exec(ctx, `INSERT INTO scope_keys (workspace, scope, wrapped) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, ws, scope, wrapped)
	return err
}

// Destroy is keyring.Store's. secure_delete has SQLite write zeros over what a row no longer holds; the
// write-ahead log, which still has the page as it was, is then emptied into the database and cut to
// nothing.
func (k Keyring) Destroy(ctx context.Context, ws steward.WorkspaceID, scopes []steward.Scope) error {
	err := k.update(ctx, func(tx *sql.Tx) error {
		for _, scope := range scopes {
			if _, err := tx.ExecContext(ctx, `INSERT INTO scope_keys (workspace, scope, wrapped) VALUES ($1, $2, NULL)
				ON CONFLICT (workspace, scope) DO UPDATE SET wrapped = NULL`, ws, scope); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var busy, pages, moved int
	if err := k.write.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &moved); err != nil {
		return failure(err)
	}
	if busy != 0 {
		return steward.Errorf(steward.Unavailable, "the key is destroyed, but another process is reading the keyring and keeps its last bytes on disk; stop that and try again")
	}
	return nil
}
