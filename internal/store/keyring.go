package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/store/database"
)

// Keyring keeps the directory and the sealed nodes of the key tree, in the keyring database.
type Keyring struct{ *DB }

var (
	_ keyring.Store = Keyring{}
	_ keyring.Copy  = Keyring{}
)

const selectState = `SELECT version, mark, generation, workspaces FROM keyring_state WHERE one = 1`

// State is keyring.Store's.
func (k Keyring) State(ctx context.Context) (st keyring.State, err error) {
	err = k.db.Query(ctx, database.Reach{}, func(scan func(...any) error) error { return scanState(scan, &st) }, selectState)
	return st, err
}

func scanState(scan func(...any) error, st *keyring.State) error {
	var mark []byte
	err := scan(&st.Version, &mark, &st.Generation, &st.Workspaces)
	copy(st.Mark[:], mark)
	return err
}

// stateIn is State in a transaction.
func stateIn(ctx context.Context, tx *sql.Tx) (st keyring.State, err error) {
	err = scanState(tx.QueryRowContext(ctx, selectState).Scan, &st)
	if errors.Is(err, sql.ErrNoRows) {
		return keyring.State{}, nil
	}
	return st, err
}

// Find is keyring.Store's.
func (k Keyring) Find(ctx context.Context, ws steward.WorkspaceID, scopes []steward.Scope) (w keyring.Workspace, found []keyring.Scope, err error) {
	err = k.db.Snapshot(ctx, within(ws), func(tx *sql.Tx) error {
		var number *uint32
		w.ID = ws
		err := tx.QueryRowContext(ctx, `SELECT number, next FROM keyring_workspaces WHERE workspace = $1`, ws).Scan(&number, &w.Next)
		if w.Standing, w.Number, err = standing(number, err); err != nil || len(scopes) == 0 {
			return err
		}
		query, err := tx.PrepareContext(ctx, `SELECT number FROM keyring_scopes WHERE workspace = $1 AND scope = $2`)
		if err != nil {
			return err
		}
		defer func() { _ = query.Close() }()
		for _, scope := range scopes {
			var number *uint32
			err := query.QueryRowContext(ctx, ws, scope).Scan(&number)
			s := keyring.Scope{Workspace: ws, Name: scope}
			if s.Standing, s.Number, err = standing(number, err); err != nil {
				return err
			}
			found = append(found, s)
		}
		return nil
	})
	return w, found, err
}

// standing is what a row of the directory, or its absence, says.
func standing(number *uint32, err error) (keyring.Standing, uint32, error) {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return keyring.Unmade, 0, nil
	case err != nil:
		return keyring.Unmade, 0, err
	case number == nil:
		return keyring.Destroyed, 0, nil
	}
	return keyring.Made, *number, nil
}

// Nodes is keyring.Store's.
func (k Keyring) Nodes(ctx context.Context, paths []keyring.Path) (nodes []keyring.Node, err error) {
	err = k.db.Snapshot(ctx, database.Reach{}, func(tx *sql.Tx) error {
		query, err := tx.PrepareContext(ctx, `SELECT generation, sealed FROM keyring_nodes WHERE path = $1`)
		if err != nil {
			return err
		}
		defer func() { _ = query.Close() }()
		for _, path := range paths {
			n := keyring.Node{Path: path}
			err := query.QueryRowContext(ctx, []byte(path)).Scan(&n.Generation, &n.Sealed)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			nodes = append(nodes, n)
		}
		return nil
	})
	return nodes, err
}

// Apply is keyring.Store's. Postgres can't erase: old rows stay in its files and logs for a while, sealed
// under keys that no longer exist, which is what they are kept in a tree for.
func (k Keyring) Apply(ctx context.Context, c keyring.Change) error {
	if err := k.writable(); err != nil {
		return err
	}
	err := k.change(ctx, func(tx *sql.Tx) error {
		st, err := stateIn(ctx, tx)
		if err != nil {
			return err
		}
		if st != c.Was {
			return keyring.ErrMoved
		}
		if c.Now == c.Was {
			return nil
		}
		return k.put(ctx, tx, c)
	})
	if err == nil && c.Erase {
		err = k.db.Erase(ctx)
	}
	return err
}

// change is update when it is this writer's turn: two that read one state must not both go on from it.
func (k Keyring) change(ctx context.Context, f func(*sql.Tx) error) error {
	return k.db.Update(ctx, database.Reach{}, func(tx *sql.Tx) error {
		if err := k.db.TakeTurn(ctx, tx); err != nil {
			return err
		}
		return f(tx)
	})
}

func (k Keyring) writable() error {
	if !k.db.Writable() {
		return steward.Errorf(steward.Unavailable, "this keyring is open for reading only").Because(keyring.ErrReadOnly)
	}
	return nil
}

// put writes a change's rows.
func (k Keyring) put(ctx context.Context, tx *sql.Tx, c keyring.Change) error {
	var touched []steward.WorkspaceID
	for _, w := range c.Workspaces {
		touched = append(touched, w.ID)
	}
	for _, s := range c.Scopes {
		if len(touched) == 0 || touched[len(touched)-1] != s.Workspace {
			touched = append(touched, s.Workspace)
		}
	}
	if err := k.db.Set(ctx, tx, database.Within(touched...)); err != nil {
		return err
	}
	for _, path := range c.Drop {
		// No path is longer than seven bytes, so what begins with this one lies up to it with 0xff to that length.
		last := append([]byte(path), bytes.Repeat([]byte{0xff}, 7-len(path))...)
		if _, err := tx.ExecContext(ctx, `DELETE FROM keyring_nodes WHERE path >= $1 AND path <= $2`, []byte(path), last); err != nil {
			return err
		}
	}
	err := each(ctx, tx, `INSERT INTO keyring_nodes (path, generation, sealed) VALUES ($1, $2, $3)
		ON CONFLICT (path) DO UPDATE SET generation = excluded.generation, sealed = excluded.sealed`,
		c.Nodes, func(n keyring.Node) []any { return []any{[]byte(n.Path), int64(n.Generation), n.Sealed} })
	if err != nil {
		return err
	}
	err = each(ctx, tx, `INSERT INTO keyring_workspaces (workspace, number, next) VALUES ($1, $2, $3)
		ON CONFLICT (workspace) DO UPDATE SET number = excluded.number, next = excluded.next WHERE keyring_workspaces.number IS NOT NULL`,
		c.Workspaces, func(w keyring.Workspace) []any { return []any{w.ID, number(w.Standing, w.Number), int64(w.Next)} })
	if err != nil {
		return err
	}
	for _, w := range c.Workspaces {
		if w.Standing == keyring.Destroyed {
			if _, err := tx.ExecContext(ctx, `DELETE FROM keyring_scopes WHERE workspace = $1`, w.ID); err != nil {
				return err
			}
		}
	}
	err = each(ctx, tx, `INSERT INTO keyring_scopes (workspace, scope, number) VALUES ($1, $2, $3)
		ON CONFLICT (workspace, scope) DO UPDATE SET number = NULL WHERE excluded.number IS NULL`,
		c.Scopes, func(s keyring.Scope) []any { return []any{s.Workspace, s.Name, number(s.Standing, s.Number)} })
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO keyring_state (one, version, mark, generation, workspaces) VALUES (1, $1, $2, $3, $4)
		ON CONFLICT (one) DO UPDATE SET version = excluded.version, mark = excluded.mark, generation = excluded.generation, workspaces = excluded.workspaces`,
		int64(c.Now.Version), c.Now.Mark[:], int64(c.Now.Generation), c.Now.Workspaces)
	return err
}

// number is NULL for what was destroyed.
func number(s keyring.Standing, n uint32) any {
	if s == keyring.Destroyed {
		return nil
	}
	return n
}

// each runs a statement for every row. One that changes nothing would revive what was destroyed, or give
// a scope another key.
func each[T any](ctx context.Context, tx *sql.Tx, query string, rows []T, args func(T) []any) error {
	if len(rows) == 0 {
		return nil
	}
	insert, err := tx.PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = insert.Close() }()
	for _, row := range rows {
		n, err := database.Changes(insert.ExecContext(ctx, args(row)...))
		if err != nil {
			return err
		}
		if n != 1 {
			return fmt.Errorf("store: the keyring's directory has a row for this already")
		}
	}
	return nil
}

// exported is how many rows Export hands over at once; a node has up to 13 kB.
const exported = 256

// Export is keyring.Store's.
func (k Keyring) Export(ctx context.Context, piece func(keyring.Change) error) error {
	return k.db.Snapshot(ctx, database.Across("keyring_workspaces", "keyring_scopes"), func(tx *sql.Tx) error {
		st, err := stateIn(ctx, tx)
		if err != nil {
			return err
		}
		c := keyring.Change{Now: st}
		rows := 0
		next := func() error {
			if rows++; rows%exported != 0 {
				return nil
			}
			err := piece(c)
			c = keyring.Change{Now: st}
			return err
		}
		err = database.Each(ctx, tx, func(scan func(...any) error) error {
			w, n := keyring.Workspace{}, (*uint32)(nil)
			err := scan(&w.ID, &n, &w.Next)
			if w.Standing, w.Number, err = standing(n, err); err != nil {
				return err
			}
			c.Workspaces = append(c.Workspaces, w)
			return next()
		}, `SELECT workspace, number, next FROM keyring_workspaces`)
		if err != nil {
			return err
		}
		err = database.Each(ctx, tx, func(scan func(...any) error) error {
			s, n := keyring.Scope{}, (*uint32)(nil)
			err := scan(&s.Workspace, &s.Name, &n)
			if s.Standing, s.Number, err = standing(n, err); err != nil {
				return err
			}
			c.Scopes = append(c.Scopes, s)
			return next()
		}, `SELECT workspace, scope, number FROM keyring_scopes`)
		if err != nil {
			return err
		}
		err = database.Each(ctx, tx, func(scan func(...any) error) error {
			n, path := keyring.Node{}, []byte(nil)
			if err := scan(&path, &n.Generation, &n.Sealed); err != nil {
				return err
			}
			n.Path = keyring.Path(path)
			c.Nodes = append(c.Nodes, n)
			return next()
		}, `SELECT path, generation, sealed FROM keyring_nodes`)
		if err != nil {
			return err
		}
		return piece(c)
	})
}

// Import is keyring.Copy's.
func (k Keyring) Import(ctx context.Context, from func(ctx context.Context, piece func(keyring.Change) error) error) error {
	if err := k.writable(); err != nil {
		return err
	}
	err := k.change(ctx, func(tx *sql.Tx) error {
		for _, table := range []string{"keyring_state", "keyring_workspaces", "keyring_scopes", "keyring_nodes"} {
			if err := k.db.Empty(ctx, tx, table); err != nil {
				return err
			}
		}
		return from(ctx, func(c keyring.Change) error { return k.put(ctx, tx, c) })
	})
	if err == nil {
		err = k.db.Erase(ctx)
	}
	return err
}
