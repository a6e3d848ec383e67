// Package retention answers: when must it go? It conducts forgetting: the ledger records it, the
// keyring destroys the keys, and whoever keeps something about people drops it. It doesn't know what
// they keep, nor how a person is found.
package retention

import (
	"context"

	"github.com/stewardhq/steward"
)

// Subject is somebody to be forgotten: their records, and the values by which free text may mention
// them. It holds personal values and is stored sealed only, under a key that goes with theirs.
type Subject struct {
	Records []steward.Ref
	Values  []string
}

// Found is what one Forgetter would destroy.
type Found struct {
	Store      string          `json:"store,omitempty"` // where; empty for all together
	References int             `json:"references"`      // tokens that stand for fields of their records
	Values     int             `json:"values"`          // kept values that are theirs
	Texts      int             `json:"texts"`           // kept free texts that mention them
	Scopes     []steward.Scope `json:"-"`               // whose keys go
	Rows       []string        `json:"-"`               // what is dropped afterwards
}

// Forgetter keeps something about people: the vault is one.
type Forgetter interface {
	// Find tells what would be destroyed, and destroys nothing.
	Find(ctx context.Context, ws steward.WorkspaceID, s Subject) (Found, error)
	// Try tries to open what Find found with the keys in use: how many sealed values are still there, and how
	// many of them open.
	Try(ctx context.Context, ws steward.WorkspaceID, f Found) (there, opened int, err error)
	// Drop removes what Find found once its keys are gone. It may be run again.
	Drop(ctx context.Context, ws steward.WorkspaceID, s Subject, f Found) error
}
