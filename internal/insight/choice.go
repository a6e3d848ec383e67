package insight

import (
	"strings"
	"time"

	"github.com/stewardhq/steward"
)

// Dimension is what figures are grouped by. The zero Dimension groups by nothing.
type Dimension string

// The dimensions.
const (
	Whole    Dimension = ""
	ByOwner  Dimension = "owner"
	ByRegion Dimension = "region"
	ByStage  Dimension = "stage"
)

// ParseDimension reads "owner", "region", "stage", and "none" or nothing for no groups. Its error is of
// kind Invalid.
func ParseDimension(s string) (Dimension, error) {
	switch d := Dimension(s); d {
	case Whole, ByOwner, ByRegion, ByStage:
		return d, nil
	case "none":
		return Whole, nil
	}
	return Whole, steward.Errorf(steward.Invalid, "nothing can be grouped by %q; choose owner, region, stage or none", s)
}

func (d Dimension) key(deal Deal) string {
	switch d {
	case ByOwner:
		return deal.Owner
	case ByRegion:
		return deal.Region
	case ByStage:
		return deal.Stage
	}
	return ""
}

// Weight says whether each deal counts once or by its amount. The zero Weight counts.
type Weight string

// The weights.
const (
	ByCount  Weight = "count"
	ByAmount Weight = "amount"
)

// ParseWeight reads "count" and "amount"; nothing is count. Its error is of kind Invalid.
func ParseWeight(s string) (Weight, error) {
	switch w := Weight(s); w {
	case ByCount, ByAmount:
		return w, nil
	case "":
		return ByCount, nil
	}
	return ByCount, steward.Errorf(steward.Invalid, "a win rate can't be weighted by %q; choose count or amount", s)
}

// Period is a span of days. The zero Period is all time.
type Period struct {
	Name string
	From time.Time // the first day, UTC midnight; zero when it never began
	To   time.Time // the day after the last; zero when it never ends
}

// Periods lists the names that ParsePeriod reads.
func Periods() []string {
	return []string{
		"this_month", "last_month", "this_quarter", "last_quarter", "next_quarter", "this_year", "last_year", "all",
	}
}

// ParsePeriod finds the calendar month, quarter or year that a name means on a day. Only today's own date
// counts, whatever its zone. Its error is of kind Invalid.
func ParsePeriod(name string, today time.Time) (Period, error) {
	y, m, d := today.Date()
	month := time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
	year := time.Date(y, time.January, 1, 0, 0, 0, 0, time.UTC)
	quarter, next := steward.Quarter(time.Date(y, m, d, 0, 0, 0, 0, time.UTC))
	switch name {
	case "this_month":
		return Period{name, month, month.AddDate(0, 1, 0)}, nil
	case "last_month":
		return Period{name, month.AddDate(0, -1, 0), month}, nil
	case "this_quarter":
		return Period{name, quarter, next}, nil
	case "last_quarter":
		return Period{name, quarter.AddDate(0, -3, 0), quarter}, nil
	case "next_quarter":
		return Period{name, next, next.AddDate(0, 3, 0)}, nil
	case "this_year":
		return Period{name, year, year.AddDate(1, 0, 0)}, nil
	case "last_year":
		return Period{name, year.AddDate(-1, 0, 0), year}, nil
	case "all":
		return Period{Name: name}, nil
	}
	return Period{}, steward.Errorf(steward.Invalid, "there is no period %q; choose one of %s", name, strings.Join(Periods(), ", "))
}

// Contains tells whether a day, given as its UTC midnight, is in the period.
func (p Period) Contains(t time.Time) bool {
	return !t.Before(p.From) && (p.To.IsZero() || t.Before(p.To))
}

// Days gives the first and the last day as "2026-10-01" and "2026-12-31", "" where there is none.
func (p Period) Days() (first, last string) {
	if !p.From.IsZero() {
		first = p.From.Format(time.DateOnly)
	}
	if !p.To.IsZero() {
		last = p.To.AddDate(0, 0, -1).Format(time.DateOnly)
	}
	return first, last
}
