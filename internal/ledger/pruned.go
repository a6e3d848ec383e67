package ledger

import (
	"context"
	"strconv"
	"strings"

	"github.com/stewardhq/steward"
)

// A ledger's beginning goes once its class has ended for all of it: its minimum index (C2SP tlog-tiles) rises to
// the number of the first entry that is kept, and the tree stays as it was. Two entries say so: one of kind
// PurgeBegun before anything goes, one of kind PurgeDone afterwards. Their first target is the range, always from 0
// on, so the newest explains all that is gone; the second is the last period whose end is the ground for it.

const prunedFrom0 = "entries/0-"

// Pruning is an entry that says that the entries before a number go, or went.
func Pruning(kind Kind, outcome string, first uint64, last steward.Scope) Entry {
	return Entry{
		Kind: kind, Outcome: outcome, Caller: "steward", System: "steward", Tool: "retention", Effect: steward.Delete, Purpose: "schedule",
		Targets: []string{prunedFrom0 + strconv.FormatUint(first-1, 10), string(last)},
	}
}

// Prunes reads what Pruning wrote: the number before which the entries go, and the last period of theirs.
func (h *Header) Prunes() (first uint64, last steward.Scope, ok bool) {
	if h.Kind != PurgeBegun && h.Kind != PurgeDone || len(h.Targets) != 2 {
		return 0, "", false
	}
	number, ok := strings.CutPrefix(h.Targets[0], prunedFrom0)
	end, err := strconv.ParseUint(number, 10, 63)
	return end + 1, steward.Scope(h.Targets[1]), ok && err == nil
}

// Pruned is what went of a ledger's beginning at one time.
type Pruned struct {
	First   uint64 // the number of the first entry that is kept
	Entries uint64 // that went
	Objects int    // that were deleted; those that are locked go with their lock's end
}

// First is the number of the first entry that is kept.
func (l *Ledger) First(ctx context.Context, ws steward.WorkspaceID) (uint64, error) {
	head, err := l.store.Head(ctx, ws)
	return head.First, err
}

// PrunedBefore says that something is of entries before the first that is kept.
func PrunedBefore(first uint64) error {
	return steward.Errorf(steward.Gone, "the ledger begins with entry %d: those before it were pruned when their time was up, as an entry on record says", first)
}
