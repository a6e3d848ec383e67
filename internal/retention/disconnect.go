package retention

import (
	"context"
	"time"

	"github.com/stewardhq/steward"
)

// Disconnection is a credential that was forgotten.
type Disconnection struct {
	Workspace steward.WorkspaceID
	By        steward.MemberID
	System    steward.ConnectionID
	Scopes    []steward.Scope // whose keys were destroyed
	At        time.Time       // when
	Revoked   bool            // the system itself accepts it no more
}

// Certify certifies that a credential was forgotten: nil while whoever keeps old copies of the keeper's could still
// bring its key back.
func (c *Closer) Certify(ctx context.Context, d Disconnection) (*Signed, error) {
	if c.Keyring.Horizon() > 0 || len(d.Scopes) == 0 {
		return nil, nil
	}
	certificate := Certificate{
		Workspace: d.Workspace, Of: string(d.Scopes[0]), Kind: "credential", Requester: d.By, Asked: d.At, Due: d.At, Unreadable: d.At, Complete: d.At,
		Found: []Count{{What: "credentials", Number: 1}}, Scopes: d.Scopes, Verified: Verified{Scopes: len(d.Scopes)},
	}
	for _, scope := range d.Scopes {
		alive, err := c.Keyring.Alive(ctx, d.Workspace, scope)
		if err != nil {
			return nil, err
		}
		if alive {
			certificate.Verified.Opened++
		}
	}
	if !d.Revoked {
		certificate.Elsewhere = []steward.ConnectionID{d.System}
	}
	signed, err := c.Issuer.Issue(ctx, certificate)
	return &signed, err
}
