// Package forget answers: who keeps something about people, and how does retention reach it? It fits what keeps
// things to what retention conducts, and decides nothing.
package forget

import (
	"context"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/privacy"
	"github.com/stewardhq/steward/internal/retention"
)

// Vault is the vault as retention conducts it.
type Vault struct{ Vault *privacy.Vault }

// Find implements retention.Forgetter.
func (f Vault) Find(ctx context.Context, ws steward.WorkspaceID, s retention.Subject) (retention.Found, error) {
	found := retention.Found{Store: "vault"}
	for i, ref := range s.Records {
		person, known, err := f.Vault.Person(ctx, ws, ref)
		if err != nil {
			return found, err
		}
		var values []string
		if i == 0 {
			values = s.Values // one search of the texts finds them all
		}
		if !known && values == nil {
			continue
		}
		m, err := f.Vault.Mentions(ctx, ws, person, values)
		if err != nil {
			return found, err
		}
		found.References += m.References
		found.Values += m.Values
		found.Texts += m.Texts
		found.Scopes = append(found.Scopes, m.Scopes...)
		found.Rows = append(found.Rows, m.Tokens...)
	}
	return found, nil
}

// Try implements retention.Forgetter.
func (f Vault) Try(ctx context.Context, ws steward.WorkspaceID, found retention.Found) (there, opened int, err error) {
	if len(found.Rows) == 0 {
		return 0, 0, nil
	}
	return f.Vault.Opens(ctx, ws, found.Rows)
}

// Drop implements retention.Forgetter.
func (f Vault) Drop(ctx context.Context, ws steward.WorkspaceID, s retention.Subject, found retention.Found) error {
	for _, ref := range s.Records {
		person, _, err := f.Vault.Person(ctx, ws, ref)
		if err != nil {
			return err
		}
		if err := f.Vault.Forget(ctx, ws, person, privacy.Mention{Person: person, Tokens: found.Rows}); err != nil {
			return err
		}
	}
	return nil
}
