package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/store/database"
)

// Identity keeps workspaces, members and tokens.
type Identity struct{ *DB }

// AddWorkspace implements identity.WorkspaceStore.
func (s Identity) AddWorkspace(ctx context.Context, w identity.Workspace) error {
	_, err := s.db.Exec(ctx, within(w.ID), `INSERT INTO workspaces (id, name, region, created) VALUES ($1, $2, $3, $4)`,
		w.ID, w.Name, w.Region, micros(w.Created))
	return err
}

// AllWorkspaces implements identity.WorkspaceStore.
func (s Identity) AllWorkspaces(ctx context.Context) ([]identity.Workspace, error) {
	var all []identity.Workspace
	err := s.db.Query(ctx, database.Across("workspaces"), func(scan func(...any) error) error {
		var w identity.Workspace
		var created int64
		if err := scan(&w.ID, &w.Name, &w.Region, &created); err != nil {
			return err
		}
		w.Created = instant(created)
		all = append(all, w)
		return nil
	}, `SELECT id, name, region, created FROM workspaces ORDER BY name`)
	return all, err
}

// AddMember implements identity.MemberStore.
func (s Identity) AddMember(ctx context.Context, ws steward.WorkspaceID, m identity.MemberRow) error {
	_, err := s.db.Exec(ctx, within(ws), `INSERT INTO members (workspace, id, person, role, email, scopes, box, created)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		ws, m.ID, m.Person, m.Role, m.Email, m.Sealed.ScopeList(), m.Sealed.Box, micros(m.Created))
	return err
}

const memberColumns = `SELECT id, person, role, email, scopes, box, created FROM members WHERE workspace = $1`

func scanMember(scan func(...any) error) (m identity.MemberRow, err error) {
	var scopes string
	var created int64
	err = scan(&m.ID, &m.Person, &m.Role, &m.Email, &scopes, &m.Sealed.Box, &created)
	m.Sealed.Scopes, m.Created = steward.ParseScopes(scopes), instant(created)
	return m, err
}

// MemberByID implements identity.MemberStore.
func (s Identity) MemberByID(ctx context.Context, ws steward.WorkspaceID, id steward.MemberID) (identity.MemberRow, error) {
	return s.member(ctx, ws, memberColumns+` AND id = $2`, id)
}

// MemberByEmail implements identity.MemberStore.
func (s Identity) MemberByEmail(ctx context.Context, ws steward.WorkspaceID, digest []byte) (identity.MemberRow, error) {
	return s.member(ctx, ws, memberColumns+` AND email = $2`, digest)
}

func (s Identity) member(ctx context.Context, ws steward.WorkspaceID, query string, more any) (m identity.MemberRow, err error) {
	found := false
	err = s.db.Query(ctx, within(ws), func(scan func(...any) error) (err error) {
		found = true
		m, err = scanMember(scan)
		return err
	}, query, ws, more)
	if err == nil && !found {
		err = steward.Errorf(steward.NotFound, "there is no such member in this workspace")
	}
	return m, err
}

// AllMembers implements identity.MemberStore.
func (s Identity) AllMembers(ctx context.Context, ws steward.WorkspaceID) ([]identity.MemberRow, error) {
	var all []identity.MemberRow
	err := s.db.Query(ctx, within(ws), func(scan func(...any) error) error {
		m, err := scanMember(scan)
		all = append(all, m)
		return err
	}, memberColumns+` ORDER BY created, id`, ws)
	return all, err
}

// RemoveMember implements identity.MemberStore.
func (s Identity) RemoveMember(ctx context.Context, ws steward.WorkspaceID, id steward.MemberID, at time.Time) error {
	return s.db.Update(ctx, within(ws), func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM members WHERE workspace = $1 AND id = $2`, ws, id)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return steward.Errorf(steward.NotFound, "there is no such member in this workspace")
		}
		_, err = tx.ExecContext(ctx, `UPDATE api_tokens SET revoked = $3 WHERE workspace = $1 AND member = $2 AND revoked = 0`, ws, id, micros(at))
		return err
	})
}

// AddToken implements identity.TokenStore.
func (s Identity) AddToken(ctx context.Context, t identity.TokenRow) error {
	_, err := s.db.Exec(ctx, within(t.Workspace), `INSERT INTO api_tokens (hash, workspace, id, member, created, expires, revoked)
		VALUES ($1, $2, $3, $4, $5, $6, 0)`,
		t.Hash[:], t.Workspace, t.ID, t.Member, micros(t.Created), micros(t.Expires))
	return err
}

func scanToken(scan func(...any) error, t *identity.APIToken, more ...any) error {
	var created, expires, revoked int64
	err := scan(append([]any{&t.ID, &t.Member, &created, &expires, &revoked}, more...)...)
	t.Created, t.Expires = instant(created), instant(expires)
	if revoked != 0 {
		t.Revoked = instant(revoked)
	}
	return err
}

// TokenByHash implements identity.TokenStore.
func (s Identity) TokenByHash(ctx context.Context, hash [sha256.Size]byte) (identity.TokenRow, error) {
	row := identity.TokenRow{Hash: hash}
	found := false
	err := s.db.Query(ctx, database.Across("api_tokens"), func(scan func(...any) error) error {
		found = true
		return scanToken(scan, &row.APIToken, &row.Workspace)
	}, `SELECT id, member, created, expires, revoked, workspace FROM api_tokens WHERE hash = $1`, hash[:])
	if err == nil && !found {
		err = steward.Errorf(steward.NotFound, "nobody issued this token")
	}
	return row, err
}

// Tokens implements identity.TokenStore.
func (s Identity) Tokens(ctx context.Context, ws steward.WorkspaceID, m steward.MemberID) ([]identity.APIToken, error) {
	var all []identity.APIToken
	err := s.db.Query(ctx, within(ws), func(scan func(...any) error) error {
		var t identity.APIToken
		err := scanToken(scan, &t)
		all = append(all, t)
		return err
	}, `SELECT id, member, created, expires, revoked FROM api_tokens WHERE workspace = $1 AND member = $2 ORDER BY created DESC, id`, ws, m)
	return all, err
}

// TokenOwner implements identity.TokenStore.
func (s Identity) TokenOwner(ctx context.Context, ws steward.WorkspaceID, id steward.APITokenID) (steward.MemberID, error) {
	var member steward.MemberID
	found, err := s.db.One(ctx, within(ws), []any{&member}, `SELECT member FROM api_tokens WHERE workspace = $1 AND id = $2`, ws, id)
	if err == nil && !found {
		err = steward.Errorf(steward.NotFound, "this workspace has no token %s", id)
	}
	return member, err
}

// RevokeToken implements identity.TokenStore.
func (s Identity) RevokeToken(ctx context.Context, ws steward.WorkspaceID, id steward.APITokenID, at time.Time) error {
	n, err := s.db.Exec(ctx, within(ws), `UPDATE api_tokens SET revoked = CASE WHEN revoked = 0 THEN $3 ELSE revoked END
		WHERE workspace = $1 AND id = $2`, ws, id, micros(at))
	if err == nil && n == 0 {
		err = steward.Errorf(steward.NotFound, "this workspace has no token %s", id)
	}
	return err
}
