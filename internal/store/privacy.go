package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/privacy"
)

// Privacy keeps tokens and persons: it is a privacy.Store and a privacy.PersonStore.
type Privacy struct{ *DB }

const vaultColumns = "id, conversation, type, kind, issued_us, scopes, box"

func scanVaultRow(scan func(...any) error) (privacy.Row, error) {
	var row privacy.Row
	var issued int64
	var scopes string
	err := scan(&row.ID, &row.Conversation, &row.Type, &row.Kind, &issued, &scopes, &row.Sealed.Box)
	row.Issued, row.Sealed.Scopes = instant(issued), steward.ParseScopes(scopes)
	return row, err
}

// Tokens gives a conversation's rows in the order of their issue, ties by id.
func (p Privacy) Tokens(ctx context.Context, ws steward.WorkspaceID, conv steward.ConversationID) ([]privacy.Row, error) {
	var all []privacy.Row
	err := p.db.Query(ctx, within(ws), func(scan func(...any) error) error {
		row, err := scanVaultRow(scan)
		all = append(all, row)
		return err
	}, "SELECT "+vaultColumns+" FROM tokens WHERE workspace = $1 AND conversation = $2 ORDER BY issued_us, id", ws, conv)
	return all, err
}

// IssueTokens keeps new rows and names the ids that were taken already, whose rows it left alone.
func (p Privacy) IssueTokens(ctx context.Context, ws steward.WorkspaceID, rows []privacy.Row) ([]string, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	var taken []string
	err := p.db.Update(ctx, within(ws), func(tx *sql.Tx) error {
		insert, err := tx.PrepareContext(ctx, "INSERT INTO tokens (workspace, "+vaultColumns+", person) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (workspace, id) DO NOTHING")
		if err != nil {
			return err
		}
		defer func() { _ = insert.Close() }()
		for _, row := range rows {
			res, err := insert.ExecContext(ctx, ws, row.ID, row.Conversation, row.Type, row.Kind, micros(row.Issued), row.Sealed.ScopeList(), row.Sealed.Box, row.Person())
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			if n == 0 {
				taken = append(taken, row.ID)
			}
		}
		return nil
	})
	return taken, err
}

// ResealToken replaces kind and sealed value of one row.
func (p Privacy) ResealToken(ctx context.Context, ws steward.WorkspaceID, row privacy.Row) error {
	n, err := p.db.Exec(ctx, within(ws), "UPDATE tokens SET kind = $1, scopes = $2, box = $3, person = $4 WHERE workspace = $5 AND id = $6",
		row.Kind, row.Sealed.ScopeList(), row.Sealed.Box, row.Person(), ws, row.ID)
	if err == nil && n == 0 {
		return steward.Errorf(steward.NotFound, "there is no such token")
	}
	return err
}

// WalkTokens gives f the rows that are wanted and were not emptied: a person's, then what is kept of everybody, in the
// order of ids.
func (p Privacy) WalkTokens(ctx context.Context, ws steward.WorkspaceID, w privacy.Wanted, f func(privacy.Row) error) error {
	walk := func(where string, args ...any) error {
		return p.db.Query(ctx, within(ws), func(scan func(...any) error) error {
			row, err := scanVaultRow(scan)
			if err != nil {
				return err
			}
			return f(row)
		}, "SELECT "+vaultColumns+" FROM tokens WHERE workspace = $1 AND scopes <> '' AND "+where, append([]any{ws}, args...)...)
	}
	for _, id := range w.IDs {
		if err := walk("id = $2", id); err != nil {
			return err
		}
	}
	if len(w.IDs) > 0 {
		return nil
	}
	if w.Person != "" {
		if err := walk("person <> '' AND person = $2 ORDER BY id", w.Person); err != nil {
			return err
		}
	}
	return walk("kind IN ('value', 'text') AND (person = '' OR person <> $2) ORDER BY id", w.Person)
}

// EmptyTokens removes scopes and box of the rows and keeps the rows.
func (p Privacy) EmptyTokens(ctx context.Context, ws steward.WorkspaceID, ids []string) error {
	return p.db.Update(ctx, within(ws), func(tx *sql.Tx) error {
		for _, id := range ids {
			if _, err := tx.ExecContext(ctx, "UPDATE tokens SET scopes = '', person = '', box = $1 WHERE workspace = $2 AND id = $3", []byte{}, ws, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// People gives the persons known by the digests.
func (p Privacy) People(ctx context.Context, ws steward.WorkspaceID, digests []string) (map[string]steward.PersonID, error) {
	known := map[string]steward.PersonID{}
	for _, digest := range digests {
		var person steward.PersonID
		found, err := p.db.One(ctx, within(ws), []any{&person}, "SELECT person FROM persons WHERE workspace = $1 AND digest = $2", ws, digest)
		if err != nil {
			return nil, err
		}
		if found {
			known[digest] = person
		}
	}
	return known, nil
}

// AddPeople keeps the persons of digests that are unknown and gives those that hold afterwards.
func (p Privacy) AddPeople(ctx context.Context, ws steward.WorkspaceID, people map[string]steward.PersonID) (map[string]steward.PersonID, error) {
	held := map[string]steward.PersonID{}
	err := p.db.Update(ctx, within(ws), func(tx *sql.Tx) error {
		for _, digest := range slices.Sorted(maps.Keys(people)) { // one order for all, so that none waits for each other
			person := people[digest]
			if _, err := tx.ExecContext(ctx, "INSERT INTO persons (workspace, digest, person) VALUES ($1, $2, $3) ON CONFLICT (workspace, digest) DO NOTHING", ws, digest, person); err != nil {
				return err
			}
			if err := tx.QueryRowContext(ctx, "SELECT person FROM persons WHERE workspace = $1 AND digest = $2", ws, digest).Scan(&person); err != nil {
				return err
			}
			held[digest] = person
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return held, nil
}

// DropPerson removes every digest of a person.
func (p Privacy) DropPerson(ctx context.Context, ws steward.WorkspaceID, person steward.PersonID) error {
	_, err := p.db.Exec(ctx, within(ws), "DELETE FROM persons WHERE workspace = $1 AND person = $2", ws, person)
	return err
}
