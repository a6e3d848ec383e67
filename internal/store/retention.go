package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stewardhq/steward"
)

// Retention keeps how long what is kept, and what is going.
type Retention struct{ *DB }

// Days implements retention.Settings.
func (s Retention) Days(ctx context.Context, ws steward.WorkspaceID) (map[steward.Class]int, error) {
	days := map[steward.Class]int{}
	err := s.db.Query(ctx, within(ws), func(scan func(...any) error) error {
		var class steward.Class
		var n int
		err := scan(&class, &n)
		days[class] = n
		return err
	}, `SELECT class, days FROM retention_days WHERE workspace = $1`, ws)
	return days, err
}

// SetDays implements retention.Settings.
func (s Retention) SetDays(ctx context.Context, ws steward.WorkspaceID, class steward.Class, days int) error {
	_, err := s.db.Exec(ctx, within(ws), `INSERT INTO retention_days (workspace, class, days) VALUES ($1, $2, $3)
		ON CONFLICT (workspace, class) DO UPDATE SET days = excluded.days`, ws, class, days)
	return err
}

// Seen implements retention.Settings.
func (s Retention) Seen(ctx context.Context, ws steward.WorkspaceID) (at time.Time, known bool, err error) {
	var seen int64
	known, err = s.db.One(ctx, within(ws), []any{&seen}, `SELECT seen FROM purge_clocks WHERE workspace = $1`, ws)
	return instant(seen), known, err
}

// See implements retention.Settings.
func (s Retention) See(ctx context.Context, ws steward.WorkspaceID, at time.Time) error {
	_, err := s.db.Exec(ctx, within(ws), `INSERT INTO purge_clocks (workspace, seen) VALUES ($1, $2)
		ON CONFLICT (workspace) DO UPDATE SET seen = excluded.seen`, ws, micros(at))
	return err
}

// Begin implements retention.Purges.
func (s Retention) Begin(ctx context.Context, ws steward.WorkspaceID, scopes []steward.Scope) error {
	return forEach(ctx, s, ws, scopes, `INSERT INTO purges (workspace, scope) VALUES ($1, $2) ON CONFLICT DO NOTHING`)
}

// Begun implements retention.Purges.
func (s Retention) Begun(ctx context.Context, ws steward.WorkspaceID) (scopes []steward.Scope, err error) {
	err = s.db.Query(ctx, within(ws), func(scan func(...any) error) error {
		var scope steward.Scope
		err := scan(&scope)
		scopes = append(scopes, scope)
		return err
	}, `SELECT scope FROM purges WHERE workspace = $1 ORDER BY scope`, ws)
	return scopes, err
}

// End implements retention.Purges.
func (s Retention) End(ctx context.Context, ws steward.WorkspaceID, scopes []steward.Scope) error {
	return forEach(ctx, s, ws, scopes, `DELETE FROM purges WHERE workspace = $1 AND scope = $2`)
}

func forEach[T ~string](ctx context.Context, s Retention, ws steward.WorkspaceID, names []T, statement string) error {
	return s.db.Update(ctx, within(ws), func(tx *sql.Tx) error {
		for _, name := range names {
			if _, err := tx.ExecContext(ctx, statement, ws, string(name)); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropAtOnce is how many rows one transaction removes: what holds up whoever else writes for a few milliseconds.
const dropAtOnce = 500

// DropScopes implements retention.Dropper for what rows hold, besides the ledger's: runs and proposals go,
// tokens stay without what they stood for, so that their ids are never issued again.
func (s Retention) DropScopes(ctx context.Context, ws steward.WorkspaceID, scopes []steward.Scope) (removed int, err error) {
	for _, t := range []struct {
		table string
		drop  func(ids []string) error
	}{
		{"tokens", func(ids []string) error { return Privacy(s).EmptyTokens(ctx, ws, ids) }},
		{"proposals", func(ids []string) error {
			return forEach(ctx, s, ws, ids, `DELETE FROM proposals WHERE workspace = $1 AND id = $2`)
		}},
		{"runs", func(ids []string) error {
			return forEach(ctx, s, ws, ids, `DELETE FROM runs WHERE workspace = $1 AND id = $2`)
		}},
	} {
		ids, err := s.sealedUnder(ctx, ws, t.table, scopes)
		if err != nil {
			return removed, err
		}
		for some := range slices.Chunk(ids, dropAtOnce) {
			if err := t.drop(some); err != nil {
				return removed, err
			}
			removed += len(some)
		}
	}
	return removed, nil
}

// sealedUnder lists the rows of a table that are sealed under any of some scopes.
func (s Retention) sealedUnder(ctx context.Context, ws steward.WorkspaceID, table string, scopes []steward.Scope) (ids []string, err error) {
	err = s.db.Query(ctx, within(ws), func(scan func(...any) error) error {
		var id, list string
		err := scan(&id, &list)
		if slices.ContainsFunc(steward.ParseScopes(list), func(scope steward.Scope) bool { return slices.Contains(scopes, scope) }) {
			ids = append(ids, id)
		}
		return err
	}, `SELECT id, scopes FROM `+table+` WHERE workspace = $1 AND scopes <> ''`, ws)
	return ids, err
}

// Live implements retention.Periods, in the keyring's directory.
func (k Keyring) Live(ctx context.Context, ws steward.WorkspaceID, classes []steward.Class) (scopes []steward.Scope, err error) {
	var each []string // a range of the primary key for each
	args := []any{ws}
	for _, class := range classes {
		each = append(each, fmt.Sprintf(`SELECT scope FROM keyring_scopes WHERE workspace = $1 AND scope > $%d AND scope < $%d AND number IS NOT NULL`, len(args)+1, len(args)+2))
		args = append(args, string(class)+"/", string(class)+"0") // what follows a slash
	}
	err = k.db.Query(ctx, within(ws), func(scan func(...any) error) error {
		var scope steward.Scope
		err := scan(&scope)
		scopes = append(scopes, scope)
		return err
	}, strings.Join(each, " UNION ALL ")+" ORDER BY 1", args...)
	return scopes, err
}
