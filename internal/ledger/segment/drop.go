package segment

import (
	"context"
	"math"
	"slices"

	"github.com/stewardhq/steward"
)

// Dropper removes the objects of parts that nothing opens any more. Headers and tiles stay, so a ledger
// verifies as before.
type Dropper struct {
	Manifest Manifest
	Catalog  interface {
		// Drop deletes objects of a segment from the manifest; those that aren't there (any more) are none.
		Drop(ctx context.Context, ws steward.WorkspaceID, first uint64, names []string) error
	}
	Blobs Blobs
}

// DropScopes is retention.Dropper's: it removes what is sealed under any of these scopes and tells of how many
// objects. One that is locked is only given up; Archivist.Sweep deletes it when the lock ends.
func (d Dropper) DropScopes(ctx context.Context, ws steward.WorkspaceID, scopes []steward.Scope) (removed int, err error) {
	span := Span{End: math.MaxInt64, Since: math.MinInt64, Until: math.MaxInt64, Limit: segmentsAtOnce}
	for {
		list, err := d.Manifest.Segments(ctx, ws, span)
		if err != nil || len(list) == 0 {
			return removed, err
		}
		for i := range list {
			names := under(&list[i], scopes)
			if len(names) == 0 {
				continue
			}
			// Given up first: a crash between leaves what Sweep finds, and the other way round damage.
			if err := d.Catalog.Drop(ctx, ws, list[i].First, names); err != nil {
				return removed, err
			}
			for _, name := range names {
				if err := d.Blobs.Delete(ctx, name); err != nil && steward.KindOf(err) != steward.Conflict {
					return removed, err
				}
				removed++
			}
		}
		span.From = list[len(list)-1].End()
	}
}

// under names a segment's parts that are sealed under any of some scopes.
func under(s *Segment, scopes []steward.Scope) (names []string) {
	for _, o := range s.Objects {
		if o.Kind == Parts && slices.ContainsFunc(steward.ParseScopes(o.Scopes), func(scope steward.Scope) bool { return slices.Contains(scopes, scope) }) {
			names = append(names, o.Name)
		}
	}
	return names
}
