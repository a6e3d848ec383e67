package soql

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestRange holds every literal against dates read off a calendar. Now is a Monday, a quarter past
// midnight in New York, where it is a day later in UTC's morning and the clocks changed on 1 November.
func TestRange(t *testing.T) {
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 23, 23, 15, 0, 0, newYork)
	for literal, want := range map[string][2]string{ // first day, last day
		"TODAY":                    {"2026-11-23", "2026-11-23"},
		"YESTERDAY":                {"2026-11-22", "2026-11-22"},
		"TOMORROW":                 {"2026-11-24", "2026-11-24"},
		"LAST_WEEK":                {"2026-11-15", "2026-11-21"},
		"THIS_WEEK":                {"2026-11-22", "2026-11-28"},
		"NEXT_WEEK":                {"2026-11-29", "2026-12-05"},
		"LAST_MONTH":               {"2026-10-01", "2026-10-31"},
		"THIS_MONTH":               {"2026-11-01", "2026-11-30"},
		"NEXT_MONTH":               {"2026-12-01", "2026-12-31"},
		"LAST_QUARTER":             {"2026-07-01", "2026-09-30"},
		"THIS_QUARTER":             {"2026-10-01", "2026-12-31"},
		"NEXT_QUARTER":             {"2027-01-01", "2027-03-31"},
		"LAST_YEAR":                {"2025-01-01", "2025-12-31"},
		"THIS_YEAR":                {"2026-01-01", "2026-12-31"},
		"NEXT_YEAR":                {"2027-01-01", "2027-12-31"},
		"LAST_FISCAL_QUARTER":      {"2026-07-01", "2026-09-30"},
		"THIS_FISCAL_QUARTER":      {"2026-10-01", "2026-12-31"},
		"NEXT_FISCAL_QUARTER":      {"2027-01-01", "2027-03-31"},
		"LAST_FISCAL_YEAR":         {"2025-01-01", "2025-12-31"},
		"THIS_FISCAL_YEAR":         {"2026-01-01", "2026-12-31"},
		"NEXT_FISCAL_YEAR":         {"2027-01-01", "2027-12-31"},
		"LAST_90_DAYS":             {"2026-08-25", "2026-11-23"},
		"NEXT_90_DAYS":             {"2026-11-24", "2027-02-21"},
		"LAST_N_DAYS:0":            {"2026-11-23", "2026-11-23"},
		"LAST_N_DAYS:30":           {"2026-10-24", "2026-11-23"},
		"NEXT_N_DAYS:2":            {"2026-11-24", "2026-11-25"},
		"N_DAYS_AGO:2":             {"2026-11-21", "2026-11-21"},
		"LAST_N_WEEKS:2":           {"2026-11-08", "2026-11-21"},
		"NEXT_N_WEEKS:2":           {"2026-11-29", "2026-12-12"},
		"N_WEEKS_AGO:2":            {"2026-11-08", "2026-11-14"},
		"LAST_N_MONTHS:2":          {"2026-09-01", "2026-10-31"},
		"NEXT_N_MONTHS:2":          {"2026-12-01", "2027-01-31"},
		"N_MONTHS_AGO:9":           {"2026-02-01", "2026-02-28"},
		"LAST_N_QUARTERS:2":        {"2026-04-01", "2026-09-30"},
		"NEXT_N_QUARTERS:2":        {"2027-01-01", "2027-06-30"},
		"N_QUARTERS_AGO:4":         {"2025-10-01", "2025-12-31"},
		"LAST_N_YEARS:2":           {"2024-01-01", "2025-12-31"},
		"NEXT_N_YEARS:2":           {"2027-01-01", "2028-12-31"},
		"N_YEARS_AGO:2":            {"2024-01-01", "2024-12-31"},
		"LAST_N_FISCAL_QUARTERS:6": {"2025-04-01", "2026-09-30"},
		"NEXT_N_FISCAL_QUARTERS:6": {"2027-01-01", "2028-06-30"},
		"N_FISCAL_QUARTERS_AGO:1":  {"2026-07-01", "2026-09-30"},
		"LAST_N_FISCAL_YEARS:3":    {"2023-01-01", "2025-12-31"},
		"NEXT_N_FISCAL_YEARS:3":    {"2027-01-01", "2029-12-31"},
		"N_FISCAL_YEARS_AGO:3":     {"2023-01-01", "2023-12-31"},
	} {
		l := mustParse(t, "SELECT Id FROM A WHERE B = "+literal).Where.(*Comparison).Values[0].Value.(DateLiteral)
		from, to, err := l.Range(now)
		if err != nil {
			t.Errorf("%s: %v", literal, err)
			continue
		}
		last := to.AddDate(0, 0, -1)
		if from.Format(time.DateOnly) != want[0] || last.Format(time.DateOnly) != want[1] {
			t.Errorf("%s is %s to %s, want %v", literal, from, last, want)
		}
		for _, edge := range []time.Time{from, to} {
			if h, m, s := edge.Clock(); h+m+s+edge.Nanosecond() != 0 || edge.Location() != newYork {
				t.Errorf("%s has the edge %s", literal, edge)
			}
		}
	}
}

func TestRangeRefuses(t *testing.T) {
	now := time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	for _, l := range []DateLiteral{
		{Name: ""}, {Name: "LAST_DAY"}, {Name: "THIS_DAY"}, {Name: "LAST_FISCAL_MONTH"}, {Name: "LAST_N_FISCAL_DAYS", N: 1},
		{Name: "THIS_FISCAL_WEEK"}, {Name: "LAST_N_90_DAYS", N: 1}, {Name: "THIS_N_DAYS", N: 1}, {Name: "today"},
		{Name: "LAST_N_YEARS", N: 400}, {Name: "NEXT_N_DAYS", N: 1_000_000}, {Name: "N_YEARS_AGO", N: 1<<31 - 1},
		{Name: "LAST_N_DAYS", N: -1},
	} {
		if from, to, err := l.Range(now); err == nil {
			t.Errorf("%+v is %s to %s", l, from, to)
		}
	}
}

// TestRangesMeet checks that neighbouring ranges leave no gap and don't overlap, whatever the day.
func TestRangesMeet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "now"), 0).UTC()
		n := rapid.IntRange(1, 50).Draw(t, "n")
		unit := rapid.SampledFrom([]string{"WEEK", "MONTH", "QUARTER", "YEAR", "FISCAL_QUARTER", "FISCAL_YEAR"}).Draw(t, "unit")
		edges := func(name string, n int) (from, to time.Time) {
			from, to, err := DateLiteral{Name: name, N: n}.Range(now)
			if err != nil {
				t.Fatal(err)
			}
			return from, to
		}
		thisFrom, thisTo := edges("THIS_"+unit, 0)
		lastFrom, lastTo := edges("LAST_"+unit, 0)
		nextFrom, _ := edges("NEXT_"+unit, 0)
		agoFrom, _ := edges("N_"+unit+"S_AGO", n)
		lastNFrom, lastNTo := edges("LAST_N_"+unit+"S", n)
		nextNFrom, _ := edges("NEXT_N_"+unit+"S", n)
		oneFrom, _ := edges("LAST_N_"+unit+"S", 1)
		switch {
		case now.Before(thisFrom) || !now.Before(thisTo):
			t.Fatalf("now is not in this %s", unit)
		case !lastTo.Equal(thisFrom) || !lastNTo.Equal(thisFrom):
			t.Fatalf("the last %s doesn't end where this one starts", unit)
		case !nextFrom.Equal(thisTo) || !nextNFrom.Equal(thisTo):
			t.Fatalf("the next %s doesn't start where this one ends", unit)
		case !agoFrom.Equal(lastNFrom) || !oneFrom.Equal(lastFrom):
			t.Fatalf("ranges that look back %d %s start at different times", n, unit)
		}
	})
}
