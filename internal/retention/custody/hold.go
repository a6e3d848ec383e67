// Package custody answers: what do holds keep, and from whom? It copies aside what is about to go; it doesn't know why
// it goes, nor who decides.
package custody

import (
	"context"
	"log/slog"
	"time"

	"github.com/stewardhq/steward"
)

// On is what a hold is on.
type On string

// What holds can be on. A hold on anything else is taken for one on the workspace.
const (
	OnWorkspace On = "workspace"
	OnPerson    On = "person"
	OnRun       On = "run"
)

// Hold keeps what it is on from being purged or forgotten, for as long as it lasts: a lawsuit or an inquiry may need
// what would go.
type Hold struct {
	ID     string           `json:"hold"`
	On     On               `json:"on"`
	Ground string           `json:"ground"` // a code that others can look up, such as a case's number
	By     steward.MemberID `json:"by"`
	Since  time.Time        `json:"since"`
	Matter steward.Sealed   `json:"-"` // a Matter, under the hold's own scope; nothing for a workspace
}

// Narrow tells whether it is on less than all of the workspace.
func (h Hold) Narrow() bool { return h.On == OnPerson || h.On == OnRun }

// Matter is whom or what a hold is on. It holds personal values, and is only stored sealed.
type Matter struct {
	Records      []steward.Ref          `json:"records,omitempty"` // a person's
	Values       []string               `json:"values,omitempty"`  // by which free text may mention them
	Run          steward.RunID          `json:"run,omitempty"`
	Conversation steward.ConversationID `json:"conversation,omitempty"` // that the run is part of
}

// LogValue keeps persons out of the log.
func (m Matter) LogValue() slog.Value { return slog.StringValue("[matter]") }

// Aside is a sealed value that was copied before its scopes' keys went: its bytes and place as they were, and the one
// key that opens it, sealed under the hold's scope.
type Aside struct {
	Hold   string
	Name   string
	At     steward.Place
	Sealed steward.Sealed
	Key    steward.Sealed
}

// Holds keeps them.
type Holds interface {
	// Holds lists a workspace's, the oldest first.
	Holds(ctx context.Context, ws steward.WorkspaceID) ([]Hold, error)
	// Place adds one.
	Place(ctx context.Context, ws steward.WorkspaceID, h Hold) error
	// Release removes one with all that lies aside for it; kind NotFound where there is none.
	Release(ctx context.Context, ws steward.WorkspaceID, id string) error
	// Put lays copies aside, all or none: in the stead of those of the same hold and place.
	Put(ctx context.Context, ws steward.WorkspaceID, copies []Aside) error
	// Aside gives f what lies aside for a hold, in the order of places, and ends at its first error.
	Aside(ctx context.Context, ws steward.WorkspaceID, hold string, f func(Aside) error) error
}
