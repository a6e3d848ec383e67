package store

import (
	"context"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/agent"
)

// Agent keeps runs and conversations.
type Agent struct{ *DB }

// SaveRun implements agent.Store.
func (s Agent) SaveRun(ctx context.Context, ws steward.WorkspaceID, r agent.Row) (err error) {
	var n int64
	if r.Version == 1 {
		n, err = s.db.Exec(ctx, within(ws), `INSERT INTO runs (workspace, id, conversation, member, status, created, updated, version, scopes, box)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $9) ON CONFLICT (workspace, id) DO NOTHING`,
			ws, r.ID, r.Conversation, r.Member, r.Status, micros(r.Created), micros(r.Updated), r.Sealed.ScopeList(), r.Sealed.Box)
	} else {
		n, err = s.db.Exec(ctx, within(ws), `UPDATE runs SET status = $3, updated = $4, version = $5, scopes = $6, box = $7
			WHERE workspace = $1 AND id = $2 AND version = $5 - 1`,
			ws, r.ID, r.Status, micros(r.Updated), r.Version, r.Sealed.ScopeList(), r.Sealed.Box)
	}
	if err == nil && n == 0 {
		err = steward.Errorf(steward.Conflict, "this run was carried on elsewhere at the same time")
	}
	return err
}

const runColumns = `SELECT id, conversation, member, status, created, updated, version, scopes, box FROM runs WHERE workspace = $1`

// Run implements agent.Store.
func (s Agent) Run(ctx context.Context, ws steward.WorkspaceID, id steward.RunID) (agent.Row, error) {
	found, err := s.runs(ctx, ws, runColumns+` AND id = $2`, id)
	if err != nil {
		return agent.Row{}, err
	}
	if len(found) == 0 {
		return agent.Row{}, steward.Errorf(steward.NotFound, "there is no run %s in this workspace", id)
	}
	return found[0], nil
}

// UnfinishedRuns implements agent.Store.
func (s Agent) UnfinishedRuns(ctx context.Context, ws steward.WorkspaceID) ([]agent.Row, error) {
	return s.runs(ctx, ws, runColumns+` AND status IN ('running', 'waiting') ORDER BY created, id`)
}

func (s Agent) runs(ctx context.Context, ws steward.WorkspaceID, query string, more ...any) ([]agent.Row, error) {
	var all []agent.Row
	err := s.db.Query(ctx, within(ws), func(scan func(...any) error) error {
		var r agent.Row
		var scopes string
		var created, updated int64
		err := scan(&r.ID, &r.Conversation, &r.Member, &r.Status, &created, &updated, &r.Version, &scopes, &r.Sealed.Box)
		r.Created, r.Updated, r.Sealed.Scopes = instant(created), instant(updated), steward.ParseScopes(scopes)
		all = append(all, r)
		return err
	}, query, append([]any{ws}, more...)...)
	return all, err
}

// AddConversation implements agent.Store.
func (s Agent) AddConversation(ctx context.Context, ws steward.WorkspaceID, id steward.ConversationID, m steward.MemberID, at time.Time) error {
	_, err := s.db.Exec(ctx, within(ws), `INSERT INTO conversations (workspace, id, member, created) VALUES ($1, $2, $3, $4)`, ws, id, m, micros(at))
	return err
}

// Conversation implements agent.Store.
func (s Agent) Conversation(ctx context.Context, ws steward.WorkspaceID, id steward.ConversationID) (steward.MemberID, error) {
	var member steward.MemberID
	found, err := s.db.One(ctx, within(ws), []any{&member}, `SELECT member FROM conversations WHERE workspace = $1 AND id = $2`, ws, id)
	if err == nil && !found {
		err = steward.Errorf(steward.NotFound, "you have no conversation %s; leave it out to start a new one", id)
	}
	return member, err
}
