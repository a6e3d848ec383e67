package store

import (
	"context"
	"database/sql"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/signin"
)

// SignIns keeps sign-ins that are under way.
type SignIns struct{ *DB }

// AddSignIn implements signin.Store.
func (s SignIns) AddSignIn(ctx context.Context, ws steward.WorkspaceID, r signin.Row) error {
	return s.db.Update(ctx, within(ws), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM signins WHERE workspace = $1 AND expires < $2`, ws, micros(r.Expires.Add(-signin.Remembered))); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO signins (workspace, id, member, connection, instance_url, login_url, client_id, status, secret, browser, kind, message, expires)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, '', '', $11)`,
			ws, r.ID, r.Member, r.Connection, r.InstanceURL, r.LoginURL, r.ClientID, r.Status, r.Secret[:], r.Browser[:], micros(r.Expires))
		return err
	})
}

// SignIn implements signin.Store.
func (s SignIns) SignIn(ctx context.Context, ws steward.WorkspaceID, id string) (signin.Row, error) {
	r := signin.Row{ID: id}
	var secret, browser []byte
	var expires int64
	found, err := s.db.One(ctx, within(ws), []any{&r.Member, &r.Connection, &r.InstanceURL, &r.LoginURL, &r.ClientID, &r.Status, &secret, &browser, &r.Kind, &r.Message, &expires},
		`SELECT member, connection, instance_url, login_url, client_id, status, secret, browser, kind, message, expires FROM signins WHERE workspace = $1 AND id = $2`, ws, id)
	if err == nil && !found {
		err = steward.Errorf(steward.NotFound, "there is no such sign-in in this workspace")
	}
	copy(r.Secret[:], secret)
	copy(r.Browser[:], browser)
	r.Expires = instant(expires)
	return r, err
}

// MoveSignIn implements signin.Store.
func (s SignIns) MoveSignIn(ctx context.Context, ws steward.WorkspaceID, was signin.Status, r signin.Row) error {
	n, err := s.db.Exec(ctx, within(ws), `UPDATE signins SET status = $3, secret = $4, browser = $5, kind = $6, message = $7 WHERE workspace = $1 AND id = $2 AND status = $8`,
		ws, r.ID, r.Status, r.Secret[:], r.Browser[:], r.Kind, r.Message, was)
	if err == nil && n == 0 {
		err = steward.Errorf(steward.Conflict, "this sign-in went on elsewhere already")
	}
	return err
}
