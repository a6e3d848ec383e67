package value

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/stewardhq/steward/internal/sandbox/org"
	"github.com/stewardhq/steward/internal/soql"
)

// Calendar is the present of one user: their zone is that of Now.
type Calendar struct {
	soql.Calendar
	Now time.Time
}

// FirstDay is the day on which weeks start in the country of a locale such as en_US.
// Source: weekData of the Unicode Common Locale Data Repository, for countries where people buy Salesforce.
func FirstDay(locale string) time.Weekday {
	_, country, _ := strings.Cut(locale, "_")
	country, _, _ = strings.Cut(country, "_")
	switch country {
	case "US", "CA", "MX", "BR", "CO", "PE", "PR", "VE", "JP", "KR", "TW", "HK", "IN", "ID", "IL", "PH", "SG", "TH", "ZA", "":
		return time.Sunday
	case "AE", "BH", "DZ", "EG", "IQ", "JO", "KW", "OM", "QA":
		return time.Saturday
	}
	return time.Monday
}

// ConvertTimezone is the function that has a date function read a datetime in the user's zone.
const ConvertTimezone = "CONVERTTIMEZONE"

// Dated says whether a function takes a date or datetime apart.
func Dated(function string) bool {
	return dateParts(function, soql.Calendar{}) != nil || function == "DAY_ONLY"
}

// Shown says whether a function changes only how a value is shown.
func Shown(function string) bool {
	return function == "TOLABEL" || function == "FORMAT" || function == "CONVERTCURRENCY"
}

// Function gives what a function makes of a field's values, nil becoming nil, and the type of it. Date functions
// read datetimes in UTC, or in the user's zone where local is set.
//
// Source: "Date Functions", "toLabel()", "FORMAT()" and "convertCurrency()" of the SOQL and SOSL Reference.
func (c Calendar) Function(call *soql.Call, kind org.FieldType, local bool) (apply func(any) any, result org.FieldType, err error) {
	unfit := fault(call.Pos, "function %s is not supported on %s fields", call.Name, kind)
	switch call.Name {
	case "TOLABEL": // labels are the values themselves here
		if kind != org.Picklist && kind != org.MultiPicklist && kind != org.String {
			return nil, kind, unfit
		}
		return func(v any) any { return v }, kind, nil
	case "CONVERTCURRENCY": // to the only one
		if kind != org.Currency {
			return nil, kind, unfit
		}
		return func(v any) any { return v }, kind, nil
	case "FORMAT":
		return func(v any) any { return c.format(v, kind) }, org.String, nil
	case "DAY_ONLY":
		if kind != org.DateTime {
			return nil, kind, unfit
		}
		return func(v any) any {
			t, ok := c.moment(v, kind, local)
			if !ok {
				return nil
			}
			return t.Format(org.DateLayout)
		}, org.Date, nil
	}
	part := dateParts(call.Name, c.Calendar)
	if part == nil || kind != org.DateTime && (kind != org.Date || call.Name == "HOUR_IN_DAY" || local) {
		return nil, kind, unfit
	}
	return func(v any) any {
		t, ok := c.moment(v, kind, local)
		if !ok {
			return nil
		}
		return float64(part(t))
	}, org.Int, nil
}

// moment reads what a row holds for a date or datetime.
func (c Calendar) moment(v any, kind org.FieldType, local bool) (t time.Time, ok bool) {
	layout := org.DateLayout
	if kind == org.DateTime {
		layout = org.DateTimeLayout
	}
	s, _ := v.(string)
	t, err := time.Parse(layout, s)
	if local {
		t = t.In(c.Now.Location())
	} else {
		t = t.UTC()
	}
	return t, err == nil
}

// dateParts is what a date function computes, nil where it is none. A fiscal year has the number of the calendar
// year in which it ends.
func dateParts(function string, c soql.Calendar) func(time.Time) int {
	fiscal := func(t time.Time) time.Time { // the same place in a fiscal year that is the calendar's
		ahead := 0
		if c.FiscalMonths() > 0 {
			ahead = 12 - c.FiscalMonths()
		}
		return time.Date(t.Year(), t.Month()+time.Month(ahead), 1, 0, 0, 0, 0, time.UTC)
	}
	quarter := func(t time.Time) int { return (int(t.Month())-1)/3 + 1 }
	switch function {
	case "CALENDAR_YEAR":
		return time.Time.Year
	case "CALENDAR_QUARTER":
		return quarter
	case "CALENDAR_MONTH":
		return func(t time.Time) int { return int(t.Month()) }
	case "FISCAL_YEAR":
		return func(t time.Time) int { return fiscal(t).Year() }
	case "FISCAL_QUARTER":
		return func(t time.Time) int { return quarter(fiscal(t)) }
	case "FISCAL_MONTH":
		return func(t time.Time) int { return int(fiscal(t).Month()) }
	case "DAY_IN_MONTH":
		return time.Time.Day
	case "DAY_IN_WEEK": // Sunday is 1
		return func(t time.Time) int { return int(t.Weekday()) + 1 }
	case "DAY_IN_YEAR":
		return time.Time.YearDay
	case "WEEK_IN_MONTH": // the first is the first seven days
		return func(t time.Time) int { return (t.Day()-1)/7 + 1 }
	case "WEEK_IN_YEAR":
		return func(t time.Time) int { return (t.YearDay()-1)/7 + 1 }
	case "HOUR_IN_DAY":
		return time.Time.Hour
	}
	return nil
}

// format writes a value for people, as the locale en_US does.
func (c Calendar) format(v any, kind org.FieldType) any {
	switch v := v.(type) {
	case float64:
		switch kind {
		case org.Currency:
			text := "$" + grouped(strconv.FormatFloat(math.Abs(v), 'f', 2, 64))
			if v < 0 {
				return "-" + text
			}
			return text
		case org.Percent:
			return number(v) + "%"
		}
		return number(v)
	case bool:
		return strconv.FormatBool(v)
	case string:
		switch t, ok := c.moment(v, kind, kind == org.DateTime); {
		case ok && kind == org.Date:
			return t.Format("1/2/2006")
		case ok && kind == org.DateTime:
			return t.Format("1/2/2006, 3:04 PM")
		}
	}
	return v
}

func number(v float64) string {
	text := grouped(strconv.FormatFloat(math.Abs(v), 'f', -1, 64))
	if v < 0 {
		return "-" + text
	}
	return text
}

// grouped puts commas between the thousands.
func grouped(digits string) string {
	whole, fraction, _ := strings.Cut(digits, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction != "" {
		return fmt.Sprintf("%s.%s", whole, fraction)
	}
	return whole
}
