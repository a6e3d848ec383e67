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
type appender struct {
	*database.Committer
	heads, tail, opens inserts
}

// lockHeads waits for the processes that write to some workspaces.
const lockHeads = `SELECT count(*) FROM (SELECT next FROM ledger_heads WHERE workspace = ANY ($1) ORDER BY workspace FOR UPDATE) AS locked`

// Appender is ledger.Writer's.
func (l Ledger) Appender(context.Context) (ledger.Appender, error) {
	return appender{
		Committer: l.db.Committer(ledger.ErrMoved, lockHeads),
		heads: newInserts("ledger_heads (workspace, next, last_us, signed, was)", 5, `ON CONFLICT (workspace) DO UPDATE
			SET next = excluded.next, last_us = excluded.last_us, was = excluded.was WHERE ledger_heads.next = excluded.was`),
		tail:  newInserts("ledger_tail (workspace, seq, header, parts)", 4, ""),
		opens: newInserts("open_intents (workspace, seq, node)", 3, ""),
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
	heads := make([]any, 0, len(advances)*a.heads.columns)
	rows := 0
	for _, to := range advances {
		heads = append(heads, string(to.Workspace), int64(to.Now.Next), to.Now.Last, 0, int64(to.Was.Next))
		rows += len(to.Rows)
	}
	tail := make([]any, 0, rows*a.tail.columns)
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
	all := a.heads.add(nil, heads, ledger.ErrMoved)
	all = a.tail.add(all, tail, nil)
	all = a.opens.add(all, opens, nil)
	for _, to := range advances {
		for _, row := range to.Rows {
			if row.Closes != nil {
				all = append(all, database.Step{Query: endIntent, Args: []any{string(to.Workspace), int64(*row.Closes)}, Rows: 1, Otherwise: ledger.ErrEnded})
			}
		}
	}
	return all
}

// widest is how many rows a statement inserts at most.
const widest = 16

// inserts are the statements that insert 1, 2, 4 rows and so on, so that few have to be parsed.
type inserts struct {
	columns int
	texts   []string
}

func newInserts(into string, columns int, conflict string) inserts {
	all := inserts{columns: columns}
	text := "INSERT INTO " + into + " VALUES "
	for row := range widest {
		for column := range columns {
			text += fmt.Sprintf("%s$%d", []string{"(", ", "}[min(column, 1)], row*columns+column+1)
		}
		text += ")"
		if n := row + 1; n&(n-1) == 0 {
			all.texts = append(all.texts, text+" "+conflict)
		}
		text += ", "
	}
	return all
}

// add adds the steps that insert rows, given as all their values.
func (i inserts) add(to []database.Step, values []any, otherwise error) []database.Step {
	for power := len(i.texts) - 1; power >= 0; power-- {
		for rows := 1 << power; len(values) >= rows*i.columns; values = values[rows*i.columns:] {
			to = append(to, database.Step{Query: i.texts[power], Args: values[:rows*i.columns], Rows: int64(rows), Otherwise: otherwise})
		}
	}
	return to
}
