package forgetting

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/retention"
	"github.com/stewardhq/steward/internal/store/database"
)

// Closing implements retention.Closings.
func (r Rows) Closing(ctx context.Context, ws steward.WorkspaceID) (c retention.Closing, known bool, err error) {
	var body []byte
	known, err = r.DB.One(ctx, database.Within(ws), []any{&body}, `SELECT body FROM closings WHERE workspace = $1`, ws)
	if err == nil && known {
		c, err = readClosing(body)
	}
	return c, known, err
}

// Closings implements retention.Closings.
func (r Rows) Closings(ctx context.Context) (all []retention.Closing, err error) {
	err = r.DB.Query(ctx, database.Across("closings"), func(scan func(...any) error) error {
		var body []byte
		if err := scan(&body); err != nil {
			return err
		}
		c, err := readClosing(body)
		all = append(all, c)
		return err
	}, `SELECT body FROM closings ORDER BY workspace`)
	return all, err
}

func readClosing(body []byte) (c retention.Closing, err error) {
	if err := json.Unmarshal(body, &c); err != nil {
		return c, fmt.Errorf("forgetting: closing: %w", err)
	}
	return c, nil
}

// PutClosing implements retention.Closings.
func (r Rows) PutClosing(ctx context.Context, was retention.Standing, c retention.Closing) error {
	body, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("forgetting: closing: %w", err)
	}
	statement := `UPDATE closings SET state = $2, body = $3 WHERE workspace = $1 AND state = $4`
	args := []any{c.Workspace, c.State, body, was}
	if was == retention.Open {
		statement, args = `INSERT INTO closings (workspace, state, body) VALUES ($1, $2, $3) ON CONFLICT (workspace) DO NOTHING`, args[:3]
	}
	return moved(r.DB.Exec(ctx, database.Within(c.Workspace), statement, args...))
}

// DropClosing implements retention.Closings.
func (r Rows) DropClosing(ctx context.Context, ws steward.WorkspaceID, was retention.Standing) error {
	return moved(r.DB.Exec(ctx, database.Within(ws), `DELETE FROM closings WHERE workspace = $1 AND state = $2`, ws, was))
}

func moved(rows int64, err error) error {
	if err == nil && rows == 0 {
		err = steward.Errorf(steward.Conflict, "somebody else closed or opened the workspace meanwhile; look again with `steward workspace show`")
	}
	return err
}

// estate is every table that has rows of workspaces, but closings itself, in an order in which their rows can go: what
// names another comes before it. Rows go by a column, so many at once. What counts says what a certificate calls them.
var estate = [...]struct{ table, workspace, column, counts string }{
	{"open_intents", "workspace", "seq", ""}, // before their entries, without which a server wouldn't start
	{"credentials", "workspace", "member", "credentials"},
	{"connections", "workspace", "id", ""},
	{"signins", "workspace", "id", ""},
	{"providers", "workspace", "name", ""},
	{"runs", "workspace", "id", "runs"},
	{"conversations", "workspace", "id", "conversations"},
	{"proposals", "workspace", "id", "proposals"},
	{"proposals_taken", "workspace", "proposal", ""},
	{"usage_by_run", "workspace", "run", ""},
	{"usage_by_day", "workspace", "member", ""},
	{"tokens", "workspace", "id", "tokens"},
	{"persons", "workspace", "digest", "persons"},
	{"ledger_objects", "workspace", "name", "objects"},
	{"ledger_segments", "workspace", "first", ""},
	{"ledger_cosigned", "workspace", "workspace", ""},
	{"ledger_checkpoints", "workspace", "size", ""},
	{"ledger_tiles", "workspace", "n", ""},
	{"ledger_tail", "workspace", "seq", ""},
	{"ledger_heads", "workspace", "workspace", ""},
	{"erasures_asked", "workspace", "id", ""},
	{"duties", "workspace", "id", "erasures"},
	{"certificates", "workspace", "subject", "certificates"},
	{"retention_days", "workspace", "class", ""},
	{"purges", "workspace", "scope", ""},
	{"purge_clocks", "workspace", "workspace", ""},
	{"aside", "workspace", "id", "copies_aside"},
	{"holds_on", "workspace", "hold", ""},
	{"holds", "workspace", "id", ""},
	{"api_tokens", "workspace", "id", ""},
	{"members", "workspace", "id", "members"},
	{"workspaces", "id", "id", ""},
}

// removeAtOnce is how many values of a column one transaction removes: what holds up whoever else writes for a few
// milliseconds.
const removeAtOnce = 500

// Count implements retention.Estate.
func (r Rows) Count(ctx context.Context, ws steward.WorkspaceID) (counts []retention.Count, err error) {
	err = r.DB.Snapshot(ctx, database.Within(ws), func(tx *sql.Tx) error {
		for _, t := range estate {
			if t.counts == "" {
				continue
			}
			c := retention.Count{What: t.counts}
			if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM `+t.table+` WHERE `+t.workspace+` = $1`, ws).Scan(&c.Number); err != nil {
				return err
			}
			counts = append(counts, c)
		}
		return nil
	})
	return counts, err
}

// Systems implements retention.Estate.
func (r Rows) Systems(ctx context.Context, ws steward.WorkspaceID) (systems []steward.ConnectionID, err error) {
	err = r.DB.Query(ctx, database.Within(ws), func(scan func(...any) error) error {
		var id steward.ConnectionID
		err := scan(&id)
		systems = append(systems, id)
		return err
	}, `SELECT id FROM connections WHERE workspace = $1 ORDER BY id`, ws)
	return systems, err
}

// Remove implements retention.Estate.
func (r Rows) Remove(ctx context.Context, ws steward.WorkspaceID) error {
	for _, t := range estate {
		for {
			n, err := r.DB.Exec(ctx, database.Within(ws), fmt.Sprintf(`DELETE FROM %[1]s WHERE %[2]s = $1 AND %[3]s IN
				(SELECT %[3]s FROM %[1]s WHERE %[2]s = $1 ORDER BY %[3]s LIMIT $2)`, t.table, t.workspace, t.column), ws, removeAtOnce)
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
		}
	}
	return r.DB.Erase(ctx)
}
