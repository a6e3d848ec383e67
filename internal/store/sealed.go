package store

import (
	"context"

	"github.com/stewardhq/steward"
)

// sealedTables lists the tables that hold sealed values in the columns scopes and box, with what names a
// row in its place. The ledger's parts are not among them: the ledger looks after its own.
var sealedTables = [...]struct{ table, row string }{
	{"members", "id"},
	{"credentials", "connection || '/' || member"},
	{"tokens", "id"},
	{"proposals", "id"},
	{"runs", "id"},
	{"duties", "id"},
	{"holds_on", "hold"},
	{"aside", "hold || '/' || home || '/' || id || '/' || part"},
}

// WalkSealed gives f every sealed value of a workspace with its place, and ends at its first error. It
// opens nothing: for checking that all opens, and for looking at all that today's keys open.
func (db *DB) WalkSealed(ctx context.Context, ws steward.WorkspaceID, f func(steward.Place, steward.Sealed) error) error {
	for _, t := range sealedTables {
		err := db.db.Query(ctx, within(ws), func(scan func(...any) error) error {
			at := steward.Place{Workspace: ws, Table: t.table}
			var scopes string
			var sealed steward.Sealed
			if err := scan(&at.Row, &scopes, &sealed.Box); err != nil {
				return err
			}
			if len(sealed.Box) == 0 {
				return nil // forgotten: the row stays, so that its id is never issued again
			}
			sealed.Scopes = steward.ParseScopes(scopes)
			return f(at, sealed)
		}, "SELECT "+t.row+", scopes, box FROM "+t.table+" WHERE workspace = $1", ws)
		if err != nil {
			return err
		}
	}
	return nil
}
