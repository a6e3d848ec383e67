package store

import (
	"context"
	"slices"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/store/database"
)

// appender is Ledger's way to commit.
type appender struct {
	*database.Committer
	heads, tail, opens database.Inserts
}

// lockHeads waits for the processes that write to some workspaces.
const lockHeads = `SELECT count(*) FROM (SELECT next FROM ledger_heads WHERE workspace = ANY ($1) ORDER BY workspace FOR UPDATE) AS locked`

// Appender is ledger.Writer's.
func (l Ledger) Appender(context.Context) (ledger.Appender, error) {
	return appender{
		Committer: l.db.Committer(ledger.ErrMoved, lockHeads),
		heads: l.db.Inserts("ledger_heads (workspace, next, last_us, signed, was)", []string{"text", "bigint", "bigint", "bigint", "bigint"}, `ON CONFLICT (workspace) DO UPDATE
			SET next = excluded.next, last_us = excluded.last_us, was = excluded.was WHERE ledger_heads.next = excluded.was`),
		tail:  l.db.Inserts("ledger_tail (workspace, seq, header, parts)", []string{"text", "bigint", "bytea", "bytea"}, ""),
		opens: l.db.Inserts("open_intents (workspace, seq, node)", []string{"text", "bigint", "text"}, ""),
	}, nil
}

// Commit is ledger.Appender's. Heads are moved in the order of workspaces, so that processes that write to
// the same ones wait for each other and don't deadlock.
func (a appender) Commit(ctx context.Context, advances []ledger.Advance) error {
	slices.SortFunc(advances, func(a, b ledger.Advance) int {
		return strings.Compare(string(a.Workspace), string(b.Workspace))
	})
	workspaces := make([]steward.WorkspaceID, len(advances))
	for i, to := range advances {
		workspaces[i] = to.Workspace
	}
	return a.Committer.Commit(ctx, within(workspaces...), a.steps(advances))
}

const endIntent = `DELETE FROM open_intents WHERE workspace = $1 AND seq = $2`

// steps are what a commit does.
func (a appender) steps(advances []ledger.Advance) []database.Step {
	heads := make([]any, 0, len(advances)*5)
	rows := 0
	for _, to := range advances {
		heads = append(heads, string(to.Workspace), int64(to.Now.Next), to.Now.Last, int64(0), int64(to.Was.Next))
		rows += len(to.Rows)
	}
	tail := make([]any, 0, rows*4)
	var opens []any
	for _, to := range advances {
		var ws any = string(to.Workspace)
		for _, row := range to.Rows {
			var seq any = int64(row.Seq)
			tail = append(tail, ws, seq, row.Header, row.Parts)
			if row.Opens {
				opens = append(opens, ws, seq, to.Node)
			}
		}
	}
	all := a.heads.Add(nil, heads, ledger.ErrMoved)
	all = a.tail.Add(all, tail, nil)
	all = a.opens.Add(all, opens, nil)
	for _, to := range advances {
		for _, row := range to.Rows {
			if row.Closes != nil {
				all = append(all, database.Step{Query: endIntent, Args: []any{string(to.Workspace), int64(*row.Closes)}, Rows: 1, Otherwise: ledger.ErrEnded})
			}
		}
	}
	return all
}
