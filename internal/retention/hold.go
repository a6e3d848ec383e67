package retention

import (
	"context"
	"time"

	"github.com/stewardhq/steward"
)

// Hold keeps all of a workspace from being purged and anybody in it from being forgotten, for as long as it
// lasts: a lawsuit or an inquiry may need what would go.
type Hold struct {
	ID     string           `json:"hold"`
	Ground string           `json:"ground"` // a code that others can look up, such as a case's number
	By     steward.MemberID `json:"by"`
	Since  time.Time        `json:"since"`
}

// Holds keeps them.
type Holds interface {
	// Holds lists a workspace's, the oldest first.
	Holds(ctx context.Context, ws steward.WorkspaceID) ([]Hold, error)
	// Place adds one.
	Place(ctx context.Context, ws steward.WorkspaceID, h Hold) error
	// Release removes one; kind NotFound where there is none.
	Release(ctx context.Context, ws steward.WorkspaceID, id string) error
}

// Custody keeps what holds are about: for as long as one lasts, nothing of it goes.
type Custody struct {
	Holds Holds
}

// Keeps tells which holds keep an erasure of somebody from being carried out, the oldest first: those on the
// workspace, on them, and on whoever or whatever else would lose something with the scopes that it destroys.
// Asked again once they are released, it lists none.
func (c *Custody) Keeps(ctx context.Context, ws steward.WorkspaceID, s Subject, scopes []steward.Scope) ([]Hold, error) {
	return c.Holds.Holds(ctx, ws)
}

// held is of kind Conflict while there is a hold, and says why.
func held(ctx context.Context, holds Holds, ws steward.WorkspaceID) error {
	all, err := holds.Holds(ctx, ws)
	if err != nil || len(all) == 0 {
		return err
	}
	return steward.Errorf(steward.Conflict, "this waits until the hold %s is released, which is in force since %s because of %s", all[0].ID, all[0].Since.UTC().Format(time.DateOnly), all[0].Ground)
}
