// Package prune answers: which beginning of a record has ended, and how does it go? It doesn't know how long anything
// is kept, nor what it said.
package prune

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
)

// Pruner lets whole segments go from a ledger's beginning, headers and tiles too. It is safe for concurrent use, and
// not to be copied.
type Pruner struct {
	Store   *segment.Store
	Catalog Catalog
	Ledger  *ledger.Ledger // on the same store
	Sealer  steward.Sealer // for whether a period's key is destroyed; nothing is opened
	// Held tells whether something forbids that anything goes. It is asked last, before what goes is put on record.
	Held func(ctx context.Context, ws steward.WorkspaceID) (bool, error)

	ended sync.Map // of workspaces: up to where what went is known to be on record
}

// Catalog is what names segments, and says where a ledger begins.
type Catalog interface {
	// Prune makes an entry the first that is kept and takes the segments before it from the manifest, in one
	// transaction; it may be run again. Kind Conflict where no segment begins there (any more).
	Prune(ctx context.Context, ws steward.WorkspaceID, first uint64) error
}

// segmentsAtOnce is how many lines of the manifest are read at a time.
const segmentsAtOnce = 16

// Prune lets go the segments from the first on whose months all ended before a time and are over: nothing of them
// opens any more, and that it was purged is on record. The segment that is the last by now stays, since it says
// where the tail begins. Steps, and what a crash behind each leaves for the next time:
//
//  1. an entry names the range, under a checkpoint: it is named again, unless there is more by then;
//  2. the manifest gives the segments up, and the ledger begins behind them: objects that nothing names, for
//     segment.Archivist.Sweep, and an end that isn't on record;
//  3. the objects are deleted;
//  4. an entry says that they went.
func (p *Pruner) Prune(ctx context.Context, ws steward.WorkspaceID, before time.Time) (ledger.Pruned, error) {
	first, err := p.Ledger.First(ctx, ws)
	if err != nil {
		return ledger.Pruned{}, err
	}
	pruned := ledger.Pruned{First: first}
	going, err := p.over(ctx, ws, before)
	if err != nil {
		return pruned, err
	}
	if len(going) == 0 {
		return pruned, p.end(ctx, ws, first)
	}
	if held, err := p.Held(ctx, ws); err != nil || held {
		return pruned, err
	}
	last := going[len(going)-1]
	end, period := last.End(), steward.TimeScope(steward.ClassLedger, time.UnixMicro(last.Latest))
	if named, _, err := p.newest(ctx, ws, ledger.PurgeBegun); err != nil {
		return pruned, err
	} else if named != end {
		if _, err := p.Ledger.Append(ctx, ws, ledger.Pruning(ledger.PurgeBegun, ledger.Waiting, end, period)); err != nil {
			return pruned, err
		}
	}
	// Signed first, so that whoever sees a log that begins later sees the entry too.
	if _, err := p.Ledger.Checkpoint(ctx, ws); err != nil {
		return pruned, err
	}
	if err := p.Catalog.Prune(ctx, ws, end); err != nil {
		return pruned, err
	}
	pruned = ledger.Pruned{First: end, Entries: end - first}
	for _, s := range going {
		for _, o := range s.Objects {
			deleted, err := p.Store.Delete(ctx, o.Name)
			pruned.Objects += deleted
			if err != nil {
				return pruned, err
			}
		}
	}
	return pruned, p.end(ctx, ws, end)
}

// end puts on record that the entries before a number went, unless it is.
func (p *Pruner) end(ctx context.Context, ws steward.WorkspaceID, first uint64) error {
	if known, ok := p.ended.Load(ws); first == 0 || ok && known == first {
		return nil
	}
	said, _, err := p.newest(ctx, ws, ledger.PurgeDone)
	if err == nil && said < first {
		var period steward.Scope
		if _, period, err = p.newest(ctx, ws, ledger.PurgeBegun); err == nil { // nothing goes that it doesn't name
			_, err = p.Ledger.Append(ctx, ws, ledger.Pruning(ledger.PurgeDone, ledger.OK, first, period))
		}
	}
	if err == nil {
		p.ended.Store(ws, first)
	}
	return err
}

// errFound ends a search.
var errFound = errors.New("prune: found")

// newest reads the newest entry of a kind about pruning: the first entry that it has kept, and the last period that
// it has gone; 0 where there is none.
func (p *Pruner) newest(ctx context.Context, ws steward.WorkspaceID, kind ledger.Kind) (first uint64, period steward.Scope, err error) {
	err = p.Ledger.Read(ctx, ws, ledger.Query{Kind: kind, Backward: true}, func(h ledger.Header) error {
		if number, last, ok := h.Prunes(); ok {
			first, period = number, last
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return first, period, err
}

// over lists the segments from the first on that may go.
func (p *Pruner) over(ctx context.Context, ws steward.WorkspaceID, before time.Time) (going []segment.Segment, err error) {
	open := uint64(math.MaxInt64)
	if intents, err := p.Store.Intents(ctx, ws); err != nil {
		return nil, err
	} else if len(intents) > 0 {
		open = intents[0].Seq // its outcome is still to come
	}
	span := segment.Span{End: math.MaxInt64, Since: math.MinInt64, Until: math.MaxInt64, Backward: true, Limit: 1}
	last, err := p.Store.Manifest.Segments(ctx, ws, span)
	if err != nil || len(last) == 0 {
		return nil, err
	}
	span.End, span.Backward, span.Limit = last[0].First, false, segmentsAtOnce // the last stays
	for ended := map[steward.Scope]bool{}; ; {
		list, err := p.Store.Manifest.Segments(ctx, ws, span)
		if err != nil {
			return nil, err
		}
		for i := range list {
			if ok, err := p.segmentOver(ctx, ws, &list[i], before, ended); err != nil || !ok || list[i].End() > open {
				return going, err
			}
			going = append(going, list[i])
		}
		if len(list) < segmentsAtOnce {
			return going, nil
		}
		span.From = list[len(list)-1].End()
	}
}

// segmentOver tells whether a segment may go. ended is months that were looked for on record.
func (p *Pruner) segmentOver(ctx context.Context, ws steward.WorkspaceID, s *segment.Segment, before time.Time, ended map[steward.Scope]bool) (bool, error) {
	_, end, _ := steward.TimeScope(steward.ClassLedger, time.UnixMicro(s.Latest)).Period()
	if end.After(before) || s.State != segment.Locked {
		return false, nil
	}
	if slices.ContainsFunc(s.Objects, func(o segment.Object) bool { return o.Kind == segment.Parts && o.Scopes != "" }) {
		return false, nil // a period of it goes on, or is about to be dropped
	}
	for month := time.UnixMicro(s.Earliest).UTC(); month.Before(end); month = month.AddDate(0, 1, 1-month.Day()) {
		scope := steward.TimeScope(steward.ClassLedger, month)
		if ended[scope] {
			continue
		}
		err := p.Ledger.Read(ctx, ws, ledger.Query{Kind: ledger.PurgeDone, Target: string(scope)}, func(h ledger.Header) error {
			if _, _, pruning := h.Prunes(); pruning {
				return nil // it says nothing of the key
			}
			return errFound
		})
		switch {
		case errors.Is(err, errFound):
			gone, err := segment.Purged(ctx, p.Sealer, ws, string(scope))
			if err != nil || !gone {
				return false, err // an older keyring was put back
			}
			ended[scope] = true
		case err != nil:
			return false, err
		default:
			if named, err := p.names(ctx, ws, s, scope); err != nil || named {
				return false, err
			}
		}
	}
	return true, nil
}

// names tells whether an entry of a segment has a part that was sealed under a scope: where none has, there may
// never have been a key, and so no purge of it.
func (p *Pruner) names(ctx context.Context, ws steward.WorkspaceID, s *segment.Segment, scope steward.Scope) (bool, error) {
	quoted := []byte(`"` + string(scope) + `"`)
	for from := s.First; from < s.End(); {
		rows, err := ledger.ReadRange(ctx, p.Store, ws, from, min(from+ledger.PageRows, s.End()), false)
		if err != nil || len(rows) == 0 {
			return true, err
		}
		for _, row := range rows {
			if bytes.Contains(row.Header, quoted) {
				return true, nil
			}
		}
		from = rows[len(rows)-1].Seq + 1
	}
	return false, nil
}
