package segment

import (
	"context"
	"math"
	"slices"
	"sort"

	"github.com/parquet-go/parquet-go"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
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
	wanted := wantedOf(q)
	from, end := max(span.From, segment.First), min(span.End, segment.End())
	return s.use(ctx, ws, segment, Headers, func(o *opened) error {
		var groups []rowGroup
		if err := guarded(func() error {
			return o.ranges(segment, from, end, func(group parquet.RowGroup, first uint64, low, high int64) (bool, error) {
				groups = append(groups, rowGroup{o, group, first, low, high})
				return true, nil
			})
		}); err != nil {
			return err
		}
		if q.Backward {
			slices.Reverse(groups)
		}
		for _, group := range groups {
			if err := ctx.Err(); err != nil {
				return err
			}
			var hits []int64
			if err := guarded(func() (err error) {
				if err = group.within(span.Since, span.Until); err == nil {
					hits, err = group.hits(wanted)
				}
				return err
			}); err != nil {
				return err
			}
			if more, err := group.give(ctx, hits, q.Backward, fn); err != nil || !more {
				return err
			}
		}
		return nil
	})
}

// wanted is what a column must have for a row to fit: the value, in this column or, where there are two, in
// either.
type wanted struct {
	value   string
	columns []string
}

// wantedOf is what a query asks of the columns that have one word a row.
func wantedOf(q *ledger.Query) rowFilter {
	f := rowFilter{target: q.Target}
	for _, w := range []wanted{
		{string(q.Run), []string{"run"}}, {q.Caller, []string{"caller"}}, {string(q.OnBehalfOf), []string{"on_behalf_of"}},
		{string(q.Member), []string{"caller", "on_behalf_of"}}, {string(q.Kind), []string{"kind"}}, {q.System, []string{"system"}},
		{q.Tool, []string{"tool"}}, {string(q.Effect), []string{"effect"}}, {q.Decision, []string{"decision"}}, {q.Outcome, []string{"outcome"}},
	} {
		if w.value != "" {
			f.words = append(f.words, w)
		}
	}
	return f
}

// rowFilter is what leaves out rows by their columns.
type rowFilter struct {
	words  []wanted
	target string
}

// rowGroup is the rows low to high-1 of one, whose first entry has a number.
type rowGroup struct {
	o         *opened
	group     parquet.RowGroup
	first     uint64
	low, high int64
}

// within narrows the rows to those recorded in a span of time: times never go back.
func (g *rowGroup) within(since, until int64) error {
	column, err := g.o.column(g.group, columnTime)
	if err != nil {
		return err
	}
	earliest, latest, err := column.bounds()
	if err != nil {
		return err
	}
	if since <= earliest && until > latest {
		return nil
	}
	if latest < since || earliest >= until {
		g.high = g.low
		return nil
	}
	times, err := column.integers(g.low, g.high)
	if err != nil {
		return err
	}
	after := sort.Search(len(times), func(i int) bool { return times[i] >= until })
	before := sort.Search(len(times), func(i int) bool { return times[i] >= since })
	g.low, g.high = g.low+int64(before), g.low+int64(after)
	return nil
}

// hits gives the rows that may fit, in order.
func (g *rowGroup) hits(f rowFilter) ([]int64, error) {
	if g.low >= g.high {
		return nil, nil
	}
	fits := make([]bool, g.high-g.low)
	for i := range fits {
		fits[i] = true
	}
	for _, w := range f.words {
		some := make([]bool, len(fits))
		found := false
		for _, path := range w.columns {
			may, err := g.may(path, w.value)
			if err != nil {
				return nil, err
			}
			if !may {
				continue
			}
			here, err := g.equal(path, w.value, some)
			if err != nil {
				return nil, err
			}
			found = found || here
		}
		if !found {
			return nil, nil
		}
		for i := range fits {
			fits[i] = fits[i] && some[i]
		}
	}
	if f.target != "" {
		if err := g.targets(f.target, fits); err != nil {
			return nil, err
		}
	}
	var rows []int64
	for i, fit := range fits {
		if fit {
			rows = append(rows, g.low+int64(i))
		}
	}
	return rows, nil
}

// may asks the column's bloom filter, where it has one.
func (g *rowGroup) may(path, value string) (bool, error) {
	column, err := g.o.column(g.group, path)
	if err != nil {
		return false, err
	}
	if bloom := column.chunk.BloomFilter(); bloom != nil {
		return bloom.Check(parquet.ByteArrayValue([]byte(value)))
	}
	return true, nil
}

// equal marks the rows with a value in a column that has a dictionary, and tells whether there may be any.
func (g *rowGroup) equal(path, value string, marks []bool) (bool, error) {
	column, err := g.o.column(g.group, path)
	if err != nil {
		return false, err
	}
	number := int32(-1)
	known := false
	err = column.pages(g.low, g.high, func(page parquet.Page, first int64) (bool, error) {
		words := page.Dictionary()
		if words == nil {
			return false, errFormat
		}
		if !known {
			known = true
			for i := range int32(words.Len()) {
				if string(words.Index(i).ByteArray()) == value {
					number = i
				}
			}
		}
		if number < 0 {
			return false, nil
		}
		values := page.Data()
		for i, is := range values.Int32() {
			if at := first - g.low + int64(i); is == number && at < int64(len(marks)) {
				marks[at] = true
			}
		}
		return true, nil
	})
	return number >= 0, err
}

// targets keeps the rows that name a target, or whose list may go on in a part.
func (g *rowGroup) targets(target string, fits []bool) error {
	some := make([]bool, len(fits))
	mark := func(path string, is func(parquet.Value) bool) error {
		column, err := g.o.column(g.group, path)
		if err != nil {
			return err
		}
		return column.each(g.low, g.high, func(row int64, value parquet.Value) error {
			at := row - g.low
			if at < 0 || at >= int64(len(some)) {
				return errFormat
			}
			some[at] = some[at] || is(value)
			return nil
		})
	}
	if err := mark(columnMoreTargets, func(v parquet.Value) bool { return v.Boolean() }); err != nil {
		return err
	}
	may, err := g.may(columnTargets, target)
	if err == nil && may {
		err = mark(columnTargets, func(v parquet.Value) bool { return !v.IsNull() && string(v.ByteArray()) == target })
	}
	for i := range fits {
		fits[i] = fits[i] && some[i]
	}
	return err
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
		var p page
		if err := guarded(func() error {
			column, err := g.o.column(g.group, columnHeader)
			if err != nil {
				return err
			}
			from, to, err := column.pageOf(next)
			if err != nil {
				return err
			}
			low := sort.Search(len(hits), func(i int) bool { return hits[i] >= from })
			high := sort.Search(len(hits), func(i int) bool { return hits[i] >= to })
			here := hits[low:high]
			if backward {
				hits = hits[:low]
			} else {
				hits = hits[high:]
			}
			return column.bytes(here[0], here[len(here)-1]+1, func(row int64, header []byte) (bool, error) {
				if row == here[0] {
					p.rows = append(p.rows, ledger.Row{Seq: g.first + uint64(row), Header: p.keep(header)})
					here = here[1:]
				}
				return len(here) > 0, nil
			})
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
