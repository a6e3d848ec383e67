package forgetting

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/retention/custody"
	"github.com/stewardhq/steward/internal/store/database"
)

var _ custody.Holds = Rows{}

// Holds implements custody.Holds.
func (r Rows) Holds(ctx context.Context, ws steward.WorkspaceID) (holds []custody.Hold, err error) {
	err = r.DB.Query(ctx, database.Within(ws), func(scan func(...any) error) error {
		var h custody.Hold
		var since int64
		var scopes string
		err := scan(&h.ID, &h.Ground, &h.By, &since, &h.On, &scopes, &h.Matter.Box)
		h.Since, h.Matter.Scopes = time.UnixMicro(since).UTC(), steward.ParseScopes(scopes)
		holds = append(holds, h)
		return err
	}, `SELECT h.id, h.ground, h.member, h.since, coalesce(o.kind, 'workspace'), coalesce(o.scopes, ''), o.box
		FROM holds h LEFT JOIN holds_on o ON o.workspace = h.workspace AND o.hold = h.id
		WHERE h.workspace = $1 ORDER BY h.since, h.id`, ws)
	return holds, err
}

// Place implements custody.Holds.
func (r Rows) Place(ctx context.Context, ws steward.WorkspaceID, h custody.Hold) error {
	return r.DB.Update(ctx, database.Within(ws), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO holds (workspace, id, ground, member, since) VALUES ($1, $2, $3, $4, $5)`, ws, h.ID, h.Ground, h.By, h.Since.UnixMicro())
		if err == nil && len(h.Matter.Box) > 0 {
			_, err = tx.ExecContext(ctx, `INSERT INTO holds_on (workspace, hold, kind, scopes, box) VALUES ($1, $2, $3, $4, $5)`,
				ws, h.ID, h.On, h.Matter.ScopeList(), h.Matter.Box)
		}
		return err
	})
}

// Release implements custody.Holds.
func (r Rows) Release(ctx context.Context, ws steward.WorkspaceID, id string) error {
	n, err := r.DB.Exec(ctx, database.Within(ws), `DELETE FROM holds WHERE workspace = $1 AND id = $2`, ws, id)
	if err == nil && n == 0 {
		err = steward.Errorf(steward.NotFound, "there is no such hold; `steward retention` shows them")
	}
	return err
}

// Put implements custody.Holds.
func (r Rows) Put(ctx context.Context, ws steward.WorkspaceID, copies []custody.Aside) error {
	if len(copies) == 0 {
		return nil
	}
	// In one order, lest two who put the same lock each other out.
	copies = slices.SortedFunc(slices.Values(copies), func(a, b custody.Aside) int {
		return cmp.Or(cmp.Compare(a.Hold, b.Hold), cmp.Compare(a.At.Table, b.At.Table), cmp.Compare(a.At.Row, b.At.Row), cmp.Compare(a.At.Part, b.At.Part))
	})
	return r.DB.Update(ctx, database.Within(ws), func(tx *sql.Tx) error {
		for _, a := range copies {
			if _, err := tx.ExecContext(ctx, `INSERT INTO aside (workspace, hold, home, id, part, name, sealed_by, content, scopes, box)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
				ON CONFLICT (workspace, hold, home, id, part) DO UPDATE SET name = excluded.name, sealed_by = excluded.sealed_by,
					content = excluded.content, scopes = excluded.scopes, box = excluded.box`,
				ws, a.Hold, a.At.Table, a.At.Row, a.At.Part, a.Name, a.Sealed.ScopeList(), a.Sealed.Box, a.Key.ScopeList(), a.Key.Box); err != nil {
				return err
			}
		}
		return nil
	})
}

// Aside implements custody.Holds.
func (r Rows) Aside(ctx context.Context, ws steward.WorkspaceID, hold string, f func(custody.Aside) error) error {
	return r.DB.Query(ctx, database.Within(ws), func(scan func(...any) error) error {
		a := custody.Aside{Hold: hold, At: steward.Place{Workspace: ws}}
		var sealedBy, scopes string
		if err := scan(&a.At.Table, &a.At.Row, &a.At.Part, &a.Name, &sealedBy, &a.Sealed.Box, &scopes, &a.Key.Box); err != nil {
			return err
		}
		a.Sealed.Scopes, a.Key.Scopes = steward.ParseScopes(sealedBy), steward.ParseScopes(scopes)
		return f(a)
	}, `SELECT home, id, part, name, sealed_by, content, scopes, box FROM aside WHERE workspace = $1 AND hold = $2 ORDER BY home, id, part`, ws, hold)
}
