package columns

import (
	"sort"

	"github.com/parquet-go/parquet-go"
)

// Filter is what leaves out rows by their columns.
type Filter struct {
	Since, Until int64 // microseconds
	Words        []Word
	Target       string // "" for any
}

// Word is what a row must have in one of some columns.
type Word struct {
	Value   string
	Columns []string
}

// Fitting gives the rows among from to to-1 that may fit, in order: by the columns all fit, but for those whose
// list of targets may go on elsewhere.
func (g Group) Fitting(from, to int64, f *Filter) (rows []int64, err error) {
	err = guarded(func() error {
		s := &search{Group: g, low: from, high: to}
		if err := s.within(f.Since, f.Until); err != nil {
			return err
		}
		rows, err = s.hits(f)
		return err
	})
	return rows, err
}

// search is one in the rows low to high-1.
type search struct {
	Group
	low, high int64
}

// within narrows the rows to those recorded in a span of time: times never go back.
func (g *search) within(since, until int64) error {
	column, err := g.column(columnTime)
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
func (g *search) hits(f *Filter) ([]int64, error) {
	if g.low >= g.high {
		return nil, nil
	}
	fits := make([]bool, g.high-g.low)
	for i := range fits {
		fits[i] = true
	}
	for _, w := range f.Words {
		some := make([]bool, len(fits))
		found := false
		for _, path := range w.Columns {
			may, err := g.may(path, w.Value)
			if err != nil {
				return nil, err
			}
			if !may {
				continue
			}
			here, err := g.equal(path, w.Value, some)
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
	if f.Target != "" {
		if err := g.targets(f.Target, fits); err != nil {
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
func (g *search) may(path, value string) (bool, error) {
	column, err := g.column(path)
	if err != nil {
		return false, err
	}
	if bloom := column.chunk.BloomFilter(); bloom != nil {
		return bloom.Check(parquet.ByteArrayValue([]byte(value)))
	}
	return true, nil
}

// equal marks the rows with a value in a column that has a dictionary, and tells whether there may be any.
func (g *search) equal(path, value string, marks []bool) (bool, error) {
	column, err := g.column(path)
	if err != nil {
		return false, err
	}
	number := int32(-1)
	known := false
	err = column.pages(g.low, g.high, func(page parquet.Page, first int64) (bool, error) {
		words := page.Dictionary()
		if words == nil {
			return false, ErrFormat
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
func (g *search) targets(target string, fits []bool) error {
	some := make([]bool, len(fits))
	mark := func(path string, is func(parquet.Value) bool) error {
		column, err := g.column(path)
		if err != nil {
			return err
		}
		return column.each(g.low, g.high, func(row int64, value parquet.Value) error {
			at := row - g.low
			if at < 0 || at >= int64(len(some)) {
				return ErrFormat
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
