package segment

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/layout"
	"github.com/stewardhq/steward/internal/ledger/segment/columns"
)

// Dropper removes the objects of parts that nothing opens any more. Headers and tiles stay, so a ledger
// verifies as before.
type Dropper struct {
	Store   *Store
	Catalog interface {
		Drops
		// Empty writes other parts into rows of the tail; those that aren't there (any more) are none.
		Empty(ctx context.Context, ws steward.WorkspaceID, rows []ledger.Row) error
	}
}

// Drops changes the manifest.
type Drops interface {
	// Drop deletes objects of a segment from the manifest; those that aren't there (any more) are none.
	Drop(ctx context.Context, ws steward.WorkspaceID, first uint64, names []string) error
}

// DropScopes is retention.Dropper's: it removes what is sealed under any of these scopes, whose keys are
// destroyed, and tells how many objects and parts in the tail. An object that is locked is only given up;
// Archivist.Sweep deletes it when the lock ends.
func (d Dropper) DropScopes(ctx context.Context, ws steward.WorkspaceID, scopes []steward.Scope) (removed int, err error) {
	sealed, err := d.sealed(ctx, ws, scopes)
	if err != nil {
		return sealed, err
	}
	tail, err := d.tail(ctx, ws, scopes)
	return sealed + tail, err
}

const (
	// emptyAtOnce is how many rows of the tail are read, and changed in one transaction, which holds up whoever appends.
	emptyAtOnce = 256
	// emptyPause lies between two such lots, since nothing of it opens any more and appending shouldn't notice.
	emptyPause = 12 * time.Millisecond
)

// tail empties parts in the tail. Entries that can't be read are left as they are, and are its error.
func (d Dropper) tail(ctx context.Context, ws steward.WorkspaceID, scopes []steward.Scope) (removed int, err error) {
	var unread []error
	var lines columns.Liner
	for from := uint64(0); ; {
		rows, err := d.Store.Store.Rows(ctx, ws, from, emptyAtOnce, true)
		if err != nil {
			return removed, err
		}
		if len(rows) == 0 {
			return removed, errors.Join(unread...)
		}
		from = rows[len(rows)-1].Seq + 1
		some := 0
		var changed []ledger.Row
		for _, row := range rows {
			boxes, err := layout.SplitParts(row.Parts)
			if err != nil || len(boxes) == 0 {
				unread = appendError(unread, ws, row.Seq, err)
				continue
			}
			_, periods, err := lines.Line(&row)
			if err != nil || len(boxes) != len(periods) {
				unread = appendError(unread, ws, row.Seq, errors.Join(err, errObject))
				continue
			}
			before := some
			for i, list := range periods {
				if len(boxes[i]) > 0 && anyOf(list, scopes) {
					boxes[i] = nil
					some++
				}
			}
			if some > before {
				row.Parts = layout.JoinParts(boxes)
				changed = append(changed, row)
			}
		}
		if len(changed) > 0 {
			if err := d.Catalog.Empty(ctx, ws, changed); err != nil {
				return removed, err
			}
		}
		removed += some
		if len(rows) < emptyAtOnce {
			continue
		}
		select {
		case <-ctx.Done():
			return removed, ctx.Err()
		case <-time.After(emptyPause):
		}
	}
}

func appendError(list []error, ws steward.WorkspaceID, seq uint64, err error) []error {
	if err == nil || len(list) >= manyDamaged {
		return list
	}
	return append(list, damaged(ws, seq, seq+1, err))
}

// sealed drops objects.
func (d Dropper) sealed(ctx context.Context, ws steward.WorkspaceID, scopes []steward.Scope) (removed int, err error) {
	span := Span{End: math.MaxInt64, Since: math.MinInt64, Until: math.MaxInt64, Limit: segmentsAtOnce}
	for {
		list, err := d.Store.Manifest.Segments(ctx, ws, span)
		if err != nil || len(list) == 0 {
			return removed, err
		}
		for i := range list {
			names := under(&list[i], scopes)
			if len(names) == 0 {
				continue
			}
			some, err := d.Store.drop(ctx, d.Catalog, ws, list[i].First, names)
			removed += some
			if err != nil {
				return removed, err
			}
		}
		span.From = list[len(list)-1].End()
	}
}

// drop gives up objects of a segment, and tells how many of them were deleted: not those that are locked.
func (s *Store) drop(ctx context.Context, catalog Drops, ws steward.WorkspaceID, first uint64, names []string) (deleted int, err error) {
	// Given up first: a crash between leaves what Sweep finds, and the other way round damage.
	if err := catalog.Drop(ctx, ws, first, names); err != nil {
		return 0, err
	}
	return s.Delete(ctx, names...)
}

// Delete deletes objects that the manifest doesn't name any more, and tells how many: those that are locked stay,
// and Archivist.Sweep deletes them when the lock ends.
func (s *Store) Delete(ctx context.Context, names ...string) (deleted int, err error) {
	for _, name := range names {
		s.cache.forget(name)
		switch err := s.Blobs.Delete(ctx, name); {
		case err == nil:
			deleted++
		case steward.KindOf(err) != steward.Conflict:
			return deleted, err
		}
	}
	return deleted, nil
}

// under names a segment's parts that are sealed under any of some scopes.
func under(s *Segment, scopes []steward.Scope) (names []string) {
	for _, o := range s.Objects {
		if o.Kind == Parts && anyOf(o.Scopes, scopes) {
			names = append(names, o.Name)
		}
	}
	return names
}

// anyOf tells whether a list of periods, as text, has one of some scopes.
func anyOf(periods string, scopes []steward.Scope) bool {
	return slices.ContainsFunc(steward.ParseScopes(periods), func(scope steward.Scope) bool { return slices.Contains(scopes, scope) })
}
