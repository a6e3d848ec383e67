package segment

import (
	"context"
	"math"
	"slices"
	"sort"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment/columns"
)

// Search is ledger.Searcher's. In what is sealed, the manifest's times leave out segments, then blooms and
// dictionaries leave out row groups, then columns leave out rows; the tail is scanned.
func (s *Store) Search(ctx context.Context, ws steward.WorkspaceID, q *ledger.Query, from, end uint64, fn func(ledger.Row) bool) error {
	sealed, err := s.sealed(ctx, ws)
	if err != nil {
		return err
	}
	more := true
	counted := func(row ledger.Row) bool {
		more = fn(row)
		return more
	}
	// What is sealed and trimmed by now is read all the same: Scan reads through s.
	tail := func() error { return ledger.Scan(ctx, s, ws, q, max(from, sealed), end, counted) }
	if q.Backward && end > sealed {
		if err := tail(); err != nil || !more {
			return err
		}
	}
	if err := s.search(ctx, ws, q, from, min(end, sealed), counted); err != nil || !more {
		return err
	}
	if !q.Backward && end > sealed {
		return tail()
	}
	return nil
}

// segmentsAtOnce is how many lines of the manifest a search reads at a time.
const segmentsAtOnce = 16

// search is Search in what is sealed.
func (s *Store) search(ctx context.Context, ws steward.WorkspaceID, q *ledger.Query, from, end uint64, fn func(ledger.Row) bool) error {
	span := Span{From: from, End: end, Since: math.MinInt64, Until: math.MaxInt64, Backward: q.Backward, Limit: segmentsAtOnce}
	if !q.Since.IsZero() {
		span.Since = q.Since.UnixMicro()
	}
	if !q.Until.IsZero() {
		span.Until = q.Until.UnixMicro()
		if q.Until.Nanosecond()%1000 != 0 {
			span.Until++ // entries have whole microseconds
		}
	}
	for lost := 0; span.From < span.End; {
		list, err := s.Manifest.Segments(ctx, ws, span)
		if err != nil || len(list) == 0 {
			return err
		}
		for i := range list {
			// What fn was given is behind span, so that a segment which was merged meanwhile isn't begun anew.
			more := true
			err := s.searchSegment(ctx, ws, &list[i], q, &span, func(row ledger.Row) bool {
				if q.Backward {
					span.End = row.Seq
				} else {
					span.From = row.Seq + 1
				}
				more = fn(row)
				return more
			})
			if steward.KindOf(err) == steward.NotFound && err != nil && lost < attempts {
				lost++
				break
			}
			if err != nil {
				return damaged(ws, list[i].First, list[i].End(), err)
			}
			if !more {
				return nil
			}
			lost = 0
			if q.Backward {
				span.End = list[i].First
			} else {
				span.From = list[i].End()
			}
		}
	}
	return nil
}

// searchSegment calls fn with the rows of a segment that may fit, until it is false.
func (s *Store) searchSegment(ctx context.Context, ws steward.WorkspaceID, segment *Segment, q *ledger.Query, span *Span, fn func(ledger.Row) bool) error {
	filter := filterOf(q, span)
	from, end := max(span.From, segment.First), min(span.End, segment.End())
	return s.use(ctx, ws, segment, Headers, func(o *opened) error {
		groups := o.groups(segment, from, end)
		if q.Backward {
			slices.Reverse(groups)
		}
		for _, g := range groups {
			if err := ctx.Err(); err != nil {
				return err
			}
			hits, err := g.Fitting(g.low, g.high, filter)
			if err != nil {
				return err
			}
			if more, err := g.give(ctx, hits, q.Backward, fn); err != nil || !more {
				return err
			}
		}
		return nil
	})
}

// filterOf is what a query asks of the columns.
func filterOf(q *ledger.Query, span *Span) *columns.Filter {
	f := &columns.Filter{Since: span.Since, Until: span.Until, Target: q.Target}
	for _, w := range []columns.Word{
		{Value: string(q.Run), Columns: []string{"run"}}, {Value: q.Caller, Columns: []string{"caller"}},
		{Value: string(q.OnBehalfOf), Columns: []string{"on_behalf_of"}}, {Value: string(q.Member), Columns: []string{"caller", "on_behalf_of"}},
		{Value: string(q.Kind), Columns: []string{"kind"}}, {Value: q.System, Columns: []string{"system"}}, {Value: q.Tool, Columns: []string{"tool"}},
		{Value: string(q.Effect), Columns: []string{"effect"}}, {Value: q.Decision, Columns: []string{"decision"}}, {Value: q.Outcome, Columns: []string{"outcome"}},
	} {
		if w.Value != "" {
			f.Words = append(f.Words, w)
		}
	}
	return f
}

// give calls fn with the headers in these rows, page by page, until it is false, which it then returns.
func (g *rowGroup) give(ctx context.Context, hits []int64, backward bool, fn func(ledger.Row) bool) (bool, error) {
	for len(hits) > 0 {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		next := hits[0]
		if backward {
			next = hits[len(hits)-1]
		}
		from, to, err := g.Page(next)
		if err != nil {
			return false, err
		}
		low := sort.Search(len(hits), func(i int) bool { return hits[i] >= from })
		high := sort.Search(len(hits), func(i int) bool { return hits[i] >= to })
		here := hits[low:high]
		if backward {
			hits = hits[:low]
		} else {
			hits = hits[high:]
		}
		var p page
		if err := g.Headers(here[0], here[len(here)-1]+1, func(row int64, header []byte) bool {
			if row == here[0] {
				p.rows = append(p.rows, ledger.Row{Seq: g.first + uint64(row), Header: p.keep(header)})
				here = here[1:]
			}
			return len(here) > 0
		}); err != nil {
			return false, err
		}
		if backward {
			slices.Reverse(p.rows)
		}
		for _, row := range p.rows {
			if !fn(row) {
				return false, nil
			}
		}
	}
	return true, nil
}
