package soql

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stewardhq/steward"
)

// DateLiteral is a range of days relative to now. N is the number behind the colon, for the names that
// take one.
type DateLiteral struct {
	Name string // in upper case, without the colon: "THIS_QUARTER", "LAST_N_DAYS"
	N    int
}

// String writes "THIS_QUARTER" or "LAST_N_DAYS:30".
func (l DateLiteral) String() string {
	if _, takesN, _ := spanOf(l.Name); takesN {
		return fmt.Sprintf("%s:%d", l.Name, l.N)
	}
	return l.Name
}

// Range is Calendar.Range where weeks start on Sunday and the fiscal year is the calendar year.
func (l DateLiteral) Range(now time.Time) (from, to time.Time, err error) {
	return Calendar{}.Range(l, now)
}

// Calendar is what a literal's weeks and fiscal years depend on. In the zero Calendar weeks start on
// Sunday and the fiscal year is the calendar year.
type Calendar struct {
	FirstDay    time.Weekday // of the week
	FiscalStart time.Month   // first month of the fiscal year; 0 for January
}

// FiscalMonths is how many months of the calendar year come before the fiscal year starts: 0 to 11.
func (c Calendar) FiscalMonths() int { return max(int(c.FiscalStart)-1, 0) }

// Range gives the first moment of the literal's range and the first moment after it, both midnights in
// now's location. Quarters are those of the calendar, and fiscal ones a quarter of the fiscal year.
//
// Of the ranges with a number, those of days that look back include today: LAST_N_DAYS:2 is the day
// before yesterday, yesterday and today, and LAST_90_DAYS is 91 days. All others leave out the period
// that now is in: LAST_N_MONTHS:2 and NEXT_N_DAYS:2 start with the month before and with tomorrow.
// N_WEEKS_AGO:2 is one week.
//
// It fails for a name that isn't a date literal, and for a range that leaves the years 1700 to 4000,
// which are all that Salesforce knows.
//
// Source: "Date Formats and Date Literals in WHERE" of the SOQL and SOSL Reference.
func (c Calendar) Range(l DateLiteral, now time.Time) (from, to time.Time, err error) {
	s, takesN, ok := spanOf(l.Name)
	if !ok {
		return from, to, fmt.Errorf("soql: %q is no date literal", l.Name)
	}
	first, end := s.first, s.end
	if takesN {
		first += s.firstN * l.N
		end += s.endN * l.N
	}
	// Beyond this, no unit stays within the years below, and the sums might overflow.
	const most = 1_000_000
	if l.N < 0 || l.N > most {
		return from, to, errOutOfYears
	}
	unit := func(offset int) time.Time { return s.unit(now, offset) }
	switch {
	case s.fiscal: // a shift by months turns fiscal periods into the calendar's, and back
		y, m, _ := now.Date()
		in := Date{y, m - time.Month(c.FiscalMonths()), 1}.In(now.Location())
		unit = func(offset int) time.Time { return startOfMonth(s.unit(in, offset), c.FiscalMonths()) }
	case s.week:
		since := (int(now.Weekday()) - int(c.FirstDay) + 7) % 7
		unit = func(offset int) time.Time { return startOfDay(now, 7*offset-since) }
	}
	from, to = unit(first), unit(end)
	if from.Year() < minYear || to.Year() > maxYear {
		return time.Time{}, time.Time{}, errOutOfYears
	}
	return from, to, nil
}

var errOutOfYears = errors.New("soql: the date literal leaves the years 1700 to 4000")

// The years that Salesforce accepts in dates.
const minYear, maxYear = 1700, 4000

// span is a range in units counted from the one that now is in: from the start of unit first + firstN·n
// up to the start of unit end + endN·n.
type span struct {
	unit         func(now time.Time, offset int) time.Time
	first, end   int
	firstN, endN int
	fiscal, week bool // the unit is of the fiscal year, or a week
}

// spanOf takes a name apart: LAST_N_FISCAL_QUARTERS is quarters, from -n up to 0.
func spanOf(name string) (s span, takesN, ok bool) {
	switch name {
	case "TODAY":
		return span{unit: startOfDay, end: 1}, false, true
	case "YESTERDAY":
		return span{unit: startOfDay, first: -1}, false, true
	case "TOMORROW":
		return span{unit: startOfDay, first: 1, end: 2}, false, true
	case "LAST_90_DAYS":
		return span{unit: startOfDay, first: -90, end: 1}, false, true
	case "NEXT_90_DAYS":
		return span{unit: startOfDay, first: 1, end: 91}, false, true
	case "LAST_N_DAYS":
		return span{unit: startOfDay, firstN: -1, end: 1}, true, true
	}
	forms := []struct {
		prefix, suffix string
		takesN         bool
		span           span
	}{
		// LAST_N_ and NEXT_N_ first: LAST_ and NEXT_ are prefixes of them.
		{"LAST_N_", "S", true, span{firstN: -1}},
		{"NEXT_N_", "S", true, span{first: 1, end: 1, endN: 1}},
		{"N_", "S_AGO", true, span{firstN: -1, end: 1, endN: -1}},
		{"LAST_", "", false, span{first: -1}},
		{"THIS_", "", false, span{end: 1}},
		{"NEXT_", "", false, span{first: 1, end: 2}},
	}
	for _, f := range forms {
		rest, hasPrefix := strings.CutPrefix(name, f.prefix)
		unit, hasSuffix := strings.CutSuffix(rest, f.suffix)
		if !hasPrefix || !hasSuffix {
			continue
		}
		s := f.span
		s.fiscal = strings.HasPrefix(unit, "FISCAL_")
		switch strings.TrimPrefix(unit, "FISCAL_") {
		case "DAY": // YESTERDAY, TODAY and TOMORROW are what would be LAST_DAY and so on
			s.unit = startOfDay
			ok = f.takesN && unit == "DAY"
		case "WEEK":
			s.unit, s.week = startOfDay, true
			ok = unit == "WEEK"
		case "MONTH":
			s.unit = startOfMonth
			ok = unit == "MONTH"
		case "QUARTER":
			s.unit = startOfQuarter
			ok = true
		case "YEAR":
			s.unit = startOfYear
			ok = true
		}
		return s, f.takesN, ok
	}
	return span{}, false, false
}

func startOfDay(now time.Time, offset int) time.Time {
	y, m, d := now.Date()
	return Date{y, m, d + offset}.In(now.Location())
}

func startOfMonth(now time.Time, offset int) time.Time {
	y, m, _ := now.Date()
	return Date{y, m + time.Month(offset), 1}.In(now.Location())
}

func startOfQuarter(now time.Time, offset int) time.Time {
	from, _ := steward.Quarter(now)
	return startOfMonth(from, 3*offset)
}

func startOfYear(now time.Time, offset int) time.Time {
	return Date{now.Year() + offset, time.January, 1}.In(now.Location())
}
