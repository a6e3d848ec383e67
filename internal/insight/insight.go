// Package insight answers: what do the numbers say? It knows the field's formulas and computes them from
// rows it is handed; it doesn't know where the rows come from, nor whether they are all there are.
package insight

import (
	"cmp"
	"slices"
	"time"
)

// Deal is one opportunity, as far as the formulas need it. Dates are UTC midnights.
type Deal struct {
	ID           string
	Name         string
	Owner        string // the key to group by, such as a user's id or token
	Region       string
	Stage        string
	Amount       float64 // in the org's currency; without meaning unless HasAmount
	HasAmount    bool
	Created      time.Time
	Close        time.Time // expected while open, actual once closed
	LastActivity time.Time // zero when there was none
	Closed       bool
	Won          bool    // only of closed deals
	Probability  float64 // in percent, 0 to 100, as CRMs keep it
}

// Units of a figure.
const (
	Ratio = "ratio" // 0 to 1
	USD   = "usd"
	Count = "count"
)

// Figure is one number with everything needed to check it.
type Figure struct {
	Metric  string             // "win_rate"
	Variant string             // which of the metric's definitions: "count_by_close_date"
	Formula string             // the definition in words
	Source  string             // where the definition is from
	Unit    string             // of Value
	Value   float64            // 0 when not Defined
	Defined bool               // false when there is nothing to divide by
	Inputs  map[string]float64 // what went in
	Group   map[string]string  // {"owner": key}; nil for a total
}

// Result is a metric over groups and over everything. Rows are sorted by value, highest first, undefined
// ones last, and equal ones by group.
type Result struct {
	Rows  []Figure // none when grouped by nothing
	Total Figure
}

// byGroup computes a figure for each group of deals and for all of them. Deals are put in order of what is
// summed first, so that floating-point sums don't depend on the order they came in.
func byGroup(deals []Deal, d Dimension, figure func([]Deal) Figure) Result {
	deals = slices.SortedFunc(slices.Values(deals), func(a, b Deal) int {
		return cmp.Or(cmp.Compare(a.Amount, b.Amount), cmp.Compare(a.Probability, b.Probability))
	})
	result := Result{Total: figure(deals)}
	if d == Whole {
		return result
	}
	groups := make(map[string][]Deal)
	for _, deal := range deals {
		groups[d.key(deal)] = append(groups[d.key(deal)], deal)
	}
	for key, members := range groups {
		f := figure(members)
		f.Group = map[string]string{string(d): key}
		result.Rows = append(result.Rows, f)
	}
	slices.SortFunc(result.Rows, func(a, b Figure) int {
		if a.Defined != b.Defined {
			if a.Defined {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(a.Group[string(d)], b.Group[string(d)]))
	})
	return result
}

// keep gives the deals that a condition holds for.
func keep(deals []Deal, condition func(Deal) bool) []Deal {
	var kept []Deal
	for _, d := range deals {
		if condition(d) {
			kept = append(kept, d)
		}
	}
	return kept
}
