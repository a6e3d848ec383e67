package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/store/database"
)

// appender is Ledger's way to commit.
type appender struct{ *database.Committer }

// lockHeads waits for the processes that write to some workspaces.
const lockHeads = `SELECT count(*) FROM (SELECT next FROM ledger_heads WHERE workspace = ANY ($1) ORDER BY workspace FOR UPDATE) AS locked`

// Appender is ledger.Writer's.
func (l Ledger) Appender(context.Context) (ledger.Appender, error) {
	return appender{l.db.Committer(ledger.ErrMoved, lockHeads)}, nil
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
	return a.Committer.Commit(ctx, within(workspaces...), steps(advances))
}

const moveHead = `INSERT INTO ledger_heads (workspace, next, last_us, signed) VALUES ($1, $2, $3, 0)
	ON CONFLICT (workspace) DO UPDATE SET next = excluded.next, last_us = excluded.last_us WHERE ledger_heads.next = $4`

const endIntent = `DELETE FROM open_intents WHERE workspace = $1 AND seq = $2`

// widest is how many rows a statement inserts at most. There is one for each power of two up to it, so that
// few are parsed.
const widest = 64

// steps are what a commit does.
func steps(advances []ledger.Advance) []database.Step {
	var all []database.Step
	for _, to := range advances {
		all = append(all, database.Step{Query: moveHead, Args: []any{string(to.Workspace), int64(to.Now.Next), to.Now.Last, int64(to.Was.Next)}, Rows: 1, Otherwise: ledger.ErrMoved})
	}
	var rows, opens [][]any
	for _, to := range advances {
		for _, row := range to.Rows {
			rows = append(rows, []any{string(to.Workspace), int64(row.Seq), row.Header, row.Parts})
			if row.Opens {
				opens = append(opens, []any{string(to.Workspace), int64(row.Seq), to.Node})
			}
		}
	}
	all = insert(all, "ledger_tail (workspace, seq, header, parts)", rows)
	all = insert(all, "open_intents (workspace, seq, node)", opens)
	for _, to := range advances {
		for _, row := range to.Rows {
			if row.Closes != nil {
				all = append(all, database.Step{Query: endIntent, Args: []any{string(to.Workspace), int64(*row.Closes)}, Rows: 1, Otherwise: ledger.ErrEnded})
			}
		}
	}
	return all
}

// insert adds the steps that insert rows into a table, named with its columns.
func insert(to []database.Step, table string, rows [][]any) []database.Step {
	for size := widest; size > 0; size /= 2 {
		for len(rows) >= size {
			s := database.Step{Rows: int64(size), Otherwise: fmt.Errorf("store: %s lost rows", table)}
			var query strings.Builder
			query.WriteString("INSERT INTO " + table + " VALUES ")
			for i, row := range rows[:size] {
				if i > 0 {
					query.WriteString(", ")
				}
				for j := range row {
					query.WriteString([]string{"(", ", "}[min(j, 1)])
					fmt.Fprintf(&query, "$%d", len(s.Args)+j+1)
				}
				query.WriteString(")")
				s.Args = append(s.Args, row...)
			}
			s.Query = query.String()
			to = append(to, s)
			rows = rows[size:]
		}
	}
	return to
}
