// Package value answers: how does SOQL compare, count and convert the values of fields? It knows types,
// calendars and literals; it doesn't know rows, users or what a query selects.
//
// Values are those of an org.Row: nil, string, bool or float64, dates and datetimes as texts that sort as time does.
package value

import (
	"cmp"
	"strings"
	"unicode/utf8"

	"github.com/stewardhq/steward/internal/sandbox/org"
)

// Fold makes texts that are the same to Salesforce the same. Ids of 18 characters stay distinct by their checksum.
func Fold(v any) any {
	if s, ok := v.(string); ok {
		return strings.ToLower(s)
	}
	return v
}

// Compare orders two values of one type, neither nil, texts without regard to case.
func Compare(a, b any) int {
	switch a := a.(type) {
	case string:
		return compareText(a, b.(string))
	case float64:
		return cmp.Compare(a, b.(float64))
	case bool:
		switch {
		case a == b:
			return 0
		case a:
			return 1
		}
		return -1
	}
	return 0
}

// compareText compares as Fold does, and for ASCII without making new texts.
func compareText(a, b string) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		x, y := a[i], b[i]
		if x >= utf8.RuneSelf || y >= utf8.RuneSelf {
			return strings.Compare(strings.ToLower(a), strings.ToLower(b))
		}
		if 'A' <= x && x <= 'Z' {
			x |= 0x20
		}
		if 'A' <= y && y <= 'Z' {
			y |= 0x20
		}
		if x != y {
			return cmp.Compare(x, y)
		}
	}
	if len(a) != len(b) {
		return strings.Compare(strings.ToLower(a), strings.ToLower(b))
	}
	return 0
}

// Comparer orders the values of a field, neither nil: those of a picklist in the order in which it lists them, and
// behind them those that it doesn't list. The field may be nil.
//
// Source: "ORDER BY" and "MIN()" of the SOQL and SOSL Reference.
func Comparer(f *org.Field) func(a, b any) int {
	if f == nil || len(f.Picklist) == 0 {
		return Compare
	}
	rank := map[any]int{}
	for i, v := range f.Picklist {
		rank[v] = i - len(f.Picklist)
	}
	return func(a, b any) int {
		if d := cmp.Compare(rank[a], rank[b]); d != 0 {
			return d
		}
		return Compare(a, b)
	}
}
