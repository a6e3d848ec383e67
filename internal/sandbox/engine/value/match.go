package value

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stewardhq/steward/internal/sandbox/org"
	"github.com/stewardhq/steward/internal/soql"
)

// Fault is what is wrong with a comparison or function, and where in the query.
type Fault struct {
	Pos     int // byte offset
	Code    string
	Message string
}

// Error gives code and message.
func (f *Fault) Error() string { return f.Code + ": " + f.Message }

func fault(pos int, format string, args ...any) *Fault {
	return &Fault{pos, "INVALID_FIELD", fmt.Sprintf(format, args...)}
}

// Match turns a comparison with literals into a test of a field's values. Comparisons are two-valued: nil differs
// from every value, and is neither less nor more than any.
func (c Calendar) Match(is *soql.Comparison, name string, kind org.FieldType) (func(any) bool, error) {
	if !kind.Filterable() {
		return nil, fault(is.Left.At(), "field '%s' can not be filtered in a query call", name)
	}
	switch is.Op {
	case soql.Includes, soql.Excludes:
		return matchChoices(is, kind)
	case soql.In, soql.NotIn:
		return c.matchList(is, name, kind)
	case soql.Like:
		pattern, ok := is.Values[0].Value.(soql.Pattern)
		if !ok || !kind.IsText() {
			return nil, fault(is.Pos, "invalid operator LIKE on %s field '%s'", kind, name)
		}
		like := readPattern(pattern)
		return func(v any) bool { s, ok := v.(string); return ok && like.matches(s) }, nil
	}
	lit := is.Values[0]
	if isNull(lit, kind) {
		switch is.Op {
		case soql.Equal:
			return func(v any) bool { return v == nil }, nil
		case soql.NotEqual:
			return func(v any) bool { return v != nil }, nil
		}
		return nil, fault(is.Pos, "operator %s can not be used with null on field '%s'", is.Op, name)
	}
	against, err := c.against(lit, name, kind)
	if err != nil {
		return nil, err
	}
	if (kind == org.Boolean || kind == org.MultiPicklist) && is.Op != soql.Equal && is.Op != soql.NotEqual {
		return nil, fault(is.Pos, "operator %s can not be used with %s field '%s'", is.Op, kind, name)
	}
	switch is.Op {
	case soql.NotEqual:
		return func(v any) bool { return v == nil || against(v) != 0 }, nil
	case soql.Less:
		return func(v any) bool { return v != nil && against(v) < 0 }, nil
	case soql.LessOrEqual:
		return func(v any) bool { return v != nil && against(v) <= 0 }, nil
	case soql.Greater:
		return func(v any) bool { return v != nil && against(v) > 0 }, nil
	case soql.GreaterOrEqual:
		return func(v any) bool { return v != nil && against(v) >= 0 }, nil
	}
	return func(v any) bool { return v != nil && against(v) == 0 }, nil
}

// matchList tests for membership. Points go into a set; date literals, which are ranges, are tried in turn.
func (c Calendar) matchList(is *soql.Comparison, name string, kind org.FieldType) (func(any) bool, error) {
	points, ranges, null := map[any]bool{}, []func(any) int{}, false
	for _, lit := range is.Values {
		if isNull(lit, kind) {
			null = true
			continue
		}
		against, err := c.against(lit, name, kind)
		if err != nil {
			return nil, err
		}
		switch value := lit.Value.(type) {
		case string:
			if kind.IsID() {
				value, _ = org.CanonicalID(value)
			}
			points[Fold(value)] = true
		case float64, bool:
			points[value] = true
		default:
			ranges = append(ranges, against)
		}
	}
	in := func(v any) bool {
		if v == nil {
			return null
		}
		return points[Fold(v)] || slices.ContainsFunc(ranges, func(against func(any) int) bool { return against(v) == 0 })
	}
	if is.Op == soql.NotIn {
		return func(v any) bool { return !in(v) }, nil
	}
	return in, nil
}

// choice separates the values of a multi-select picklist.
const choice = ";"

// matchChoices tests a multi-select picklist: INCLUDES holds where all that one literal names, with semicolons
// between, is chosen. EXCLUDES holds where INCLUDES doesn't, also for nil.
func matchChoices(is *soql.Comparison, kind org.FieldType) (func(any) bool, error) {
	if kind != org.MultiPicklist {
		return nil, fault(is.Pos, "includes or excludes operator only valid on multipicklist field")
	}
	var wanted [][]string
	for _, lit := range is.Values {
		text, ok := lit.Value.(string)
		if !ok {
			return nil, fault(lit.Pos, "value of filter criterion must be of type multipicklist and should be enclosed in quotes")
		}
		wanted = append(wanted, strings.Split(strings.ToLower(text), choice))
	}
	return func(v any) bool {
		text, _ := v.(string)
		chosen := strings.Split(strings.ToLower(text), choice)
		found := slices.ContainsFunc(wanted, func(all []string) bool {
			return !slices.ContainsFunc(all, func(one string) bool { return !slices.Contains(chosen, one) })
		})
		return found == (is.Op == soql.Includes)
	}, nil
}

// isNull says whether a literal stands for nothing. The empty text does.
func isNull(lit *soql.Literal, kind org.FieldType) bool {
	return lit.Value == nil || lit.Value == "" && (kind.IsText() || kind.IsID())
}

// against compares values with a literal: below, inside or above it, since a date literal is a range.
func (c Calendar) against(lit *soql.Literal, name string, kind org.FieldType) (func(any) int, error) {
	const mismatch = "value of filter criterion for field '%s' must be of type %s and should %sbe enclosed in quotes"
	switch value := lit.Value.(type) {
	case string:
		switch {
		case kind.IsID():
			id, ok := org.CanonicalID(value)
			if !ok {
				return nil, &Fault{lit.Pos, "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: " + value}
			}
			return func(v any) int { return Compare(v, id) }, nil
		case kind.IsText():
			return func(v any) int { return Compare(v, value) }, nil
		}
	case float64:
		if kind.IsNumber() {
			return func(v any) int { return Compare(v, value) }, nil
		}
	case bool:
		if kind == org.Boolean {
			return func(v any) int { return Compare(v, value) }, nil
		}
	case soql.Date:
		if kind == org.Date {
			return within(value.String(), value.String()), nil
		}
	case time.Time:
		if kind == org.DateTime {
			at := value.UTC().Format(org.DateTimeLayout)
			return within(at, at), nil
		}
	case soql.DateLiteral:
		if kind != org.Date && kind != org.DateTime {
			break
		}
		from, to, err := c.Range(value, c.Now)
		if err != nil {
			return nil, fault(lit.Pos, "%s leaves the range of dates that can be compared", value)
		}
		if kind == org.Date {
			return within(from.Format(org.DateLayout), to.AddDate(0, 0, -1).Format(org.DateLayout)), nil
		}
		last := to.Add(-time.Millisecond) // rows are kept to the millisecond
		return within(from.UTC().Format(org.DateTimeLayout), last.UTC().Format(org.DateTimeLayout)), nil
	case soql.Money:
		if value.Currency != org.CurrencyCode {
			return nil, fault(lit.Pos, "%s is not an active currency of this organization, whose only one is %s", value.Currency, org.CurrencyCode)
		}
		if kind == org.Currency {
			return func(v any) int { return Compare(v, value.Amount) }, nil
		}
	}
	if kind.IsText() || kind.IsID() {
		return nil, fault(lit.Pos, mismatch, name, kind, "")
	}
	return nil, fault(lit.Pos, mismatch, name, kind, "not ")
}

// within compares texts with a range of texts in a layout that sorts as time does.
func within(first, last string) func(any) int {
	return func(v any) int {
		switch s := v.(string); {
		case s < first:
			return -1
		case s > last:
			return 1
		}
		return 0
	}
}
