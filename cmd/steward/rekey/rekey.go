// Package rekey answers: how does the whole keyring get new keys, on record and once? It knows that the keyring
// rotates and that the ledgers of all its workspaces say so; neither keys nor where anything is kept.
package rekey

import (
	"context"
	"errors"
	"slices"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
)

// tool is what the entries say was called.
const tool = "keyring_rotate"

// Ledger writes down what is about to be done, and what came of it.
type Ledger interface {
	Begin(ctx context.Context, ws steward.WorkspaceID, e ledger.Entry, parts ...ledger.Part) (ledger.Intent, error)
	End(ctx context.Context, i ledger.Intent, e ledger.Entry, parts ...ledger.Part) (uint64, error)
	// Read calls f with the entries that a query asks for, until that fails.
	Read(ctx context.Context, ws steward.WorkspaceID, q ledger.Query, f func(ledger.Header) error) error
}

// Record is what is written down already.
type Record interface {
	// Intents lists a workspace's intents without outcome, in order.
	Intents(ctx context.Context, ws steward.WorkspaceID) ([]ledger.OpenIntent, error)
	// Rows gives up to limit entries from a number on, without their parts.
	Rows(ctx context.Context, ws steward.WorkspaceID, from uint64, limit int, parts bool) ([]ledger.Row, error)
}

// Keyring is what gets new keys. Rotate may be repeated, after an error too.
type Keyring interface {
	Rotate(ctx context.Context) error
}

// Rotation is one rotation of a keyring and the record of it in every workspace whose keys it holds. This process
// alone has ledgers and keyring.
type Rotation struct {
	Ledger     Ledger
	Record     Record
	Keyring    Keyring
	Workspaces []steward.WorkspaceID // all of them
}

// Run says in every ledger that the keyring is about to get new keys, gives it new ones, and says in every ledger that
// it has them. Where an earlier Run was cut off, it carries that one on to its end, and tells so. Entries are neither
// left out nor made twice by that.
func (r Rotation) Run(ctx context.Context) (resumed bool, err error) {
	slices.Sort(r.Workspaces) // the order in which a Run that was cut off went through them
	intents := make([]*ledger.Intent, len(r.Workspaces))
	for i, ws := range r.Workspaces {
		if intents[i], err = r.open(ctx, ws); err != nil {
			return resumed, err
		}
		resumed = resumed || intents[i] != nil
	}
	// A Run begins in the first workspace and ends there first. So where that one's record ends with its success and
	// another's has no outcome, the keyring has its new keys, and only saying so is left. A crash between the two leaves
	// all intents open, and one while a failure was written down, or a server called them unknown, leaves some: whether
	// it has new keys isn't known then, and it gets new ones again.
	done := resumed && intents[0] == nil
	if done {
		if done, err = r.succeeded(ctx, r.Workspaces[0]); err != nil {
			return resumed, err
		}
	}
	if !done {
		for i, ws := range r.Workspaces {
			if intents[i] != nil {
				continue
			}
			begun, err := r.Ledger.Begin(ctx, ws, ledger.Entry{Caller: "operator", System: "steward", Tool: tool, Effect: steward.Write})
			if err != nil {
				return resumed, err
			}
			intents[i] = &begun
		}
		if err := r.Keyring.Rotate(ctx); err != nil {
			return resumed, errors.Join(err, r.end(ctx, intents, ledger.Entry{Outcome: ledger.Failed, Error: steward.KindOf(err).String()}))
		}
	}
	return resumed, r.end(ctx, intents, ledger.Entry{Outcome: ledger.OK})
}

// end writes the outcome of all intents that are open.
func (r Rotation) end(ctx context.Context, intents []*ledger.Intent, outcome ledger.Entry) error {
	for _, i := range intents {
		if i == nil {
			continue
		}
		if _, err := r.Ledger.End(ctx, *i, outcome); err != nil {
			return err
		}
	}
	return nil
}

// succeeded tells whether the last outcome of a Run that a workspace's record has is that it was done.
func (r Rotation) succeeded(ctx context.Context, ws steward.WorkspaceID) (ok bool, err error) {
	last := ledger.Query{Kind: ledger.CallOutcome, System: "steward", Tool: tool, Backward: true, Limit: 1}
	err = r.Ledger.Read(ctx, ws, last, func(h ledger.Header) error { ok = h.Outcome == ledger.OK; return nil })
	return ok, err
}

// open is the intent of an earlier Run in a workspace; nil where there is none without an outcome.
func (r Rotation) open(ctx context.Context, ws steward.WorkspaceID) (*ledger.Intent, error) {
	open, err := r.Record.Intents(ctx, ws)
	if err != nil {
		return nil, err
	}
	for _, o := range open {
		rows, err := r.Record.Rows(ctx, ws, o.Seq, 1, false)
		if err != nil || len(rows) == 0 {
			return nil, err
		}
		h, err := ledger.Decode(&rows[0])
		if err != nil {
			return nil, err
		}
		if h.Seq == o.Seq && h.System == "steward" && h.Tool == tool {
			return &ledger.Intent{Workspace: ws, Seq: o.Seq, Entry: h.Entry}, nil
		}
	}
	return nil, nil
}
