// Package register answers: where do the versions of providers lie? It keeps the rows of the provider register; it
// doesn't know what they allow.
package register

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/llm/register"
	"github.com/stewardhq/steward/internal/store/database"
)

// Rows is where they lie: the data's database.
type Rows struct{ DB *database.DB }

// Entries implements register.Store.
func (r Rows) Entries(ctx context.Context, ws steward.WorkspaceID) (all []register.Entry, err error) {
	err = r.DB.Query(ctx, database.Within(ws), func(scan func(...any) error) error {
		var body []byte
		var e register.Entry
		var status register.Status
		if err := scan(&status, &body); err != nil {
			return err
		}
		if err := json.Unmarshal(body, &e); err != nil {
			return fmt.Errorf("register: entry: %w", err)
		}
		e.Status = status
		all = append(all, e)
		return nil
	}, `SELECT status, body FROM providers WHERE workspace = $1 ORDER BY name, version`, ws)
	return all, err
}

// Add implements register.Store.
func (r Rows) Add(ctx context.Context, ws steward.WorkspaceID, e register.Entry) error {
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("register: entry: %w", err)
	}
	_, err = r.DB.Exec(ctx, database.Within(ws), `INSERT INTO providers (workspace, name, version, status, body) VALUES ($1, $2, $3, $4, $5)`,
		ws, e.Provider.Name, e.Version, e.Status, body)
	return err
}

// Put implements register.Store.
func (r Rows) Put(ctx context.Context, ws steward.WorkspaceID, was register.Status, e register.Entry, retire register.Status) error {
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("register: entry: %w", err)
	}
	return r.DB.Update(ctx, database.Within(ws), func(tx *sql.Tx) error {
		n, err := database.Changes(tx.ExecContext(ctx, `UPDATE providers SET status = $4, body = $5 WHERE workspace = $1 AND name = $2 AND version = $3 AND status = $6`,
			ws, e.Provider.Name, e.Version, e.Status, body, was))
		if err == nil && n == 0 {
			err = steward.Errorf(steward.Conflict, "somebody else approved or retired this version meanwhile; look again with `steward provider list`")
		}
		if err == nil && retire != "" {
			_, err = tx.ExecContext(ctx, `UPDATE providers SET status = $4 WHERE workspace = $1 AND name = $2 AND version <> $3 AND status = $5`,
				ws, e.Provider.Name, e.Version, register.Retired, retire)
		}
		return err
	})
}
