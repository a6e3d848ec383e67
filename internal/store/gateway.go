package store

import (
	"context"
	"database/sql"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/credential"
	"github.com/stewardhq/steward/internal/gateway"
)

// Gateway keeps connections, credentials, proposals and usage.
type Gateway struct{ *DB }

const connectionColumns = `SELECT id, instance_url, org, created FROM connections WHERE workspace = $1`

// Connections implements credential.ConnectionStore.
func (s Gateway) Connections(ctx context.Context, ws steward.WorkspaceID) ([]credential.Connection, error) {
	return s.connections(ctx, ws, connectionColumns+` ORDER BY id`)
}

// Connection implements credential.ConnectionStore.
func (s Gateway) Connection(ctx context.Context, ws steward.WorkspaceID, id steward.ConnectionID) (credential.Connection, error) {
	found, err := s.connections(ctx, ws, connectionColumns+` AND id = $2`, id)
	if err != nil {
		return credential.Connection{}, err
	}
	if len(found) == 0 {
		return credential.Connection{}, steward.Errorf(steward.NotFound, "this workspace has no connection %q", id)
	}
	return found[0], nil
}

func (s Gateway) connections(ctx context.Context, ws steward.WorkspaceID, query string, more ...any) ([]credential.Connection, error) {
	var all []credential.Connection
	err := s.db.Query(ctx, within(ws), func(scan func(...any) error) error {
		var c credential.Connection
		var created int64
		if err := scan(&c.ID, &c.InstanceURL, &c.OrgID, &created); err != nil {
			return err
		}
		c.Created = instant(created)
		all = append(all, c)
		return nil
	}, query, append([]any{ws}, more...)...)
	return all, err
}

// PutConnection implements credential.ConnectionStore.
func (s Gateway) PutConnection(ctx context.Context, ws steward.WorkspaceID, c credential.Connection) error {
	_, err := s.db.Exec(ctx, within(ws), `INSERT INTO connections (workspace, id, instance_url, org, created) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (workspace, id) DO UPDATE SET instance_url = excluded.instance_url, org = excluded.org`,
		ws, c.ID, c.InstanceURL, c.OrgID, micros(c.Created))
	return err
}

// Credential implements credential.Store.
func (s Gateway) Credential(ctx context.Context, ws steward.WorkspaceID, id steward.ConnectionID, m steward.MemberID) (steward.Sealed, error) {
	var scopes string
	var sealed steward.Sealed
	found, err := s.db.One(ctx, within(ws), []any{&scopes, &sealed.Box},
		`SELECT scopes, box FROM credentials WHERE workspace = $1 AND connection = $2 AND member = $3`, ws, id, m)
	if err == nil && !found {
		err = steward.Errorf(steward.NotFound, "this member has no credential on %q", id)
	}
	sealed.Scopes = steward.ParseScopes(scopes)
	return sealed, err
}

// AddCredential implements credential.Store.
func (s Gateway) AddCredential(ctx context.Context, ws steward.WorkspaceID, id steward.ConnectionID, m steward.MemberID, sealed steward.Sealed) (bool, error) {
	n, err := s.db.Exec(ctx, within(ws), `INSERT INTO credentials (workspace, connection, member, scopes, box) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		ws, id, m, sealed.ScopeList(), sealed.Box)
	return n == 1, err
}

// SwapCredential implements credential.Store. No two seals are the same, so a box names its version.
func (s Gateway) SwapCredential(ctx context.Context, ws steward.WorkspaceID, id steward.ConnectionID, m steward.MemberID, was, now steward.Sealed) (bool, error) {
	n, err := s.db.Exec(ctx, within(ws), `UPDATE credentials SET scopes = $4, box = $5 WHERE workspace = $1 AND connection = $2 AND member = $3 AND box = $6`,
		ws, id, m, now.ScopeList(), now.Box, was.Box)
	return n == 1, err
}

// DropCredential implements credential.Store.
func (s Gateway) DropCredential(ctx context.Context, ws steward.WorkspaceID, id steward.ConnectionID, m steward.MemberID) error {
	_, err := s.db.Exec(ctx, within(ws), `DELETE FROM credentials WHERE workspace = $1 AND connection = $2 AND member = $3`, ws, id, m)
	return err
}

// AddProposal implements gateway.ProposalStore.
func (s Gateway) AddProposal(ctx context.Context, ws steward.WorkspaceID, p gateway.ProposalRow) error {
	_, err := s.db.Exec(ctx, within(ws), `INSERT INTO proposals (workspace, id, run, member, needs, status, decided_by, created, expires, scopes, box)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		ws, p.ID, p.Run, p.Member, p.Needs, p.Status, p.DecidedBy, micros(p.Created), micros(p.Expires), p.Sealed.ScopeList(), p.Sealed.Box)
	return err
}

const proposalColumns = `SELECT id, run, member, needs, status, decided_by, created, expires, scopes, box FROM proposals WHERE workspace = $1`

// Proposal implements gateway.ProposalStore.
func (s Gateway) Proposal(ctx context.Context, ws steward.WorkspaceID, id steward.ProposalID) (gateway.ProposalRow, error) {
	found, err := s.proposals(ctx, ws, proposalColumns+` AND id = $2`, id)
	if err != nil {
		return gateway.ProposalRow{}, err
	}
	if len(found) == 0 {
		return gateway.ProposalRow{}, steward.Errorf(steward.NotFound, "there is no approval %s in this workspace", id)
	}
	return found[0], nil
}

// WaitingProposals implements gateway.ProposalStore.
func (s Gateway) WaitingProposals(ctx context.Context, ws steward.WorkspaceID) ([]gateway.ProposalRow, error) {
	return s.proposals(ctx, ws, proposalColumns+` AND status = 'waiting' ORDER BY created, id`)
}

func (s Gateway) proposals(ctx context.Context, ws steward.WorkspaceID, query string, more ...any) ([]gateway.ProposalRow, error) {
	var all []gateway.ProposalRow
	err := s.db.Query(ctx, within(ws), func(scan func(...any) error) error {
		var p gateway.ProposalRow
		var scopes string
		var created, expires int64
		err := scan(&p.ID, &p.Run, &p.Member, &p.Needs, &p.Status, &p.DecidedBy, &created, &expires, &scopes, &p.Sealed.Box)
		p.Created, p.Expires, p.Sealed.Scopes = instant(created), instant(expires), steward.ParseScopes(scopes)
		all = append(all, p)
		return err
	}, query, append([]any{ws}, more...)...)
	return all, err
}

// Settle implements gateway.ProposalStore.
func (s Gateway) Settle(ctx context.Context, ws steward.WorkspaceID, id steward.ProposalID, to gateway.Status, by steward.MemberID) error {
	n, err := s.db.Exec(ctx, within(ws), `UPDATE proposals SET status = $3, decided_by = $4 WHERE workspace = $1 AND id = $2 AND status = 'waiting'`, ws, id, to, by)
	if err == nil && n == 0 {
		err = steward.Errorf(steward.Conflict, "somebody decided on this already")
	}
	return err
}

// Take implements gateway.ProposalStore.
func (s Gateway) Take(ctx context.Context, ws steward.WorkspaceID, id steward.ProposalID, call int) error {
	_, err := s.db.Exec(ctx, within(ws), `INSERT INTO proposals_taken (workspace, proposal, call) VALUES ($1, $2, $3)`, ws, id, call)
	if steward.KindOf(err) == steward.Conflict {
		err = steward.Errorf(steward.Conflict, "this was carried out, or tried, already; look at the record before asking again").Because(err)
	}
	return err
}

// Usage implements gateway.UsageStore.
func (s Gateway) Usage(ctx context.Context, ws steward.WorkspaceID, run steward.RunID, m steward.MemberID, day string) (gateway.Usage, error) {
	var u gateway.Usage
	var untrusted int
	if _, err := s.db.One(ctx, within(ws), []any{&u.Records, &u.Amount, &untrusted},
		`SELECT records, amount, untrusted FROM usage_by_run WHERE workspace = $1 AND run = $2`, ws, run); err != nil {
		return u, err
	}
	var amount float64
	if _, err := s.db.One(ctx, within(ws), []any{&u.RecordsToday, &amount, &u.CallsToday},
		`SELECT records, amount, calls FROM usage_by_day WHERE workspace = $1 AND member = $2 AND day = $3`, ws, m, day); err != nil {
		return u, err
	}
	u.Records, u.Amount, u.Untrusted = max(u.Records, u.RecordsToday), max(u.Amount, amount), untrusted != 0
	return u, nil
}

// AddUsage implements gateway.UsageStore.
func (s Gateway) AddUsage(ctx context.Context, ws steward.WorkspaceID, run steward.RunID, m steward.MemberID, day string, spent gateway.Usage) error {
	untrusted := 0
	if spent.Untrusted {
		untrusted = 1
	}
	return s.db.Update(ctx, within(ws), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO usage_by_run (workspace, run, records, amount, untrusted) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (workspace, run) DO UPDATE SET records = usage_by_run.records + excluded.records,
			amount = usage_by_run.amount + excluded.amount,
			untrusted = CASE WHEN excluded.untrusted = 1 THEN 1 ELSE usage_by_run.untrusted END`,
			ws, run, spent.Records, spent.Amount, untrusted); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO usage_by_day (workspace, member, day, records, amount, calls) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (workspace, member, day) DO UPDATE SET records = usage_by_day.records + excluded.records,
			amount = usage_by_day.amount + excluded.amount, calls = usage_by_day.calls + excluded.calls`,
			ws, m, day, spent.Records, spent.Amount, spent.Calls)
		return err
	})
}
