package engine

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stewardhq/steward/internal/sandbox/org"
	"github.com/stewardhq/steward/internal/soql"
)

// operand is something a condition can compare in rows (or groups of rows) of type T.
type operand[T any] struct {
	name string
	kind org.FieldType
	get  func(T) any
}

// condition turns a WHERE or HAVING into a test. Comparisons are two-valued: null differs from every
// value, is neither less nor more than any, and NOT of a failed comparison holds.
func condition[T any](q *plan, c soql.Condition, find func(soql.Expr) (operand[T], *Error)) (func(T) bool, *Error) {
	switch c := c.(type) {
	case *soql.And:
		tests, err := conditions(q, c.Terms, find)
		return func(t T) bool {
			return !slices.ContainsFunc(tests, func(test func(T) bool) bool { return !test(t) })
		}, err
	case *soql.Or:
		tests, err := conditions(q, c.Terms, find)
		return func(t T) bool {
			return slices.ContainsFunc(tests, func(test func(T) bool) bool { return test(t) })
		}, err
	case *soql.Not:
		test, err := condition(q, c.Term, find)
		return func(t T) bool { return !test(t) }, err
	case *soql.Comparison:
		left, err := find(c.Left)
		if err != nil {
			return nil, err
		}
		match, err := q.match(c, left.name, left.kind)
		return func(t T) bool { return match(left.get(t)) }, err
	}
	return func(T) bool { return true }, nil
}

func conditions[T any](q *plan, terms []soql.Condition, find func(soql.Expr) (operand[T], *Error)) ([]func(T) bool, *Error) {
	tests := make([]func(T) bool, len(terms))
	for i, term := range terms {
		var err *Error
		if tests[i], err = condition(q, term, find); err != nil {
			return nil, err
		}
	}
	return tests, nil
}

// match tests a value of a kind against a comparison's right side.
func (q *plan) match(c *soql.Comparison, name string, kind org.FieldType) (func(any) bool, *Error) {
	switch {
	case !Filterable(kind):
		return nil, q.src.at(c.Left.At(), "INVALID_FIELD", "field '%s' can not be filtered in a query call", name)
	case c.Query != nil:
		return q.semijoin(c, kind)
	}
	switch c.Op {
	case soql.Includes, soql.Excludes:
		return nil, q.src.at(c.Pos, "INVALID_FIELD", "includes or excludes operator only valid on multipicklist field")
	case soql.In, soql.NotIn:
		return q.matchList(c, name, kind)
	case soql.Like:
		pattern, ok := c.Values[0].Value.(soql.Pattern)
		if !ok || !isText(kind) {
			return nil, q.src.at(c.Pos, "INVALID_FIELD", "invalid operator LIKE on %s field '%s'", kind, name)
		}
		like := likeRegexp(string(pattern))
		return func(v any) bool { s, ok := v.(string); return ok && like.MatchString(s) }, nil
	}
	lit := c.Values[0]
	if isNull(lit, kind) {
		switch c.Op {
		case soql.Equal:
			return func(v any) bool { return v == nil }, nil
		case soql.NotEqual:
			return func(v any) bool { return v != nil }, nil
		}
		return nil, q.src.at(c.Pos, "INVALID_FIELD", "operator %s can not be used with null on field '%s'", c.Op, name)
	}
	against, err := q.against(lit, name, kind)
	if err != nil {
		return nil, err
	}
	if kind == org.Boolean && c.Op != soql.Equal && c.Op != soql.NotEqual {
		return nil, q.src.at(c.Pos, "INVALID_FIELD", "operator %s can not be used with boolean field '%s'", c.Op, name)
	}
	switch c.Op {
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
func (q *plan) matchList(c *soql.Comparison, name string, kind org.FieldType) (func(any) bool, *Error) {
	points, ranges, null := map[any]bool{}, []func(any) int{}, false
	for _, lit := range c.Values {
		if isNull(lit, kind) {
			null = true
			continue
		}
		against, err := q.against(lit, name, kind)
		if err != nil {
			return nil, err
		}
		switch value := lit.Value.(type) {
		case string:
			if isID(kind) {
				value, _ = org.CanonicalID(value)
			}
			points[fold(value)] = true
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
		return points[fold(v)] || slices.ContainsFunc(ranges, func(against func(any) int) bool { return against(v) == 0 })
	}
	if c.Op == soql.NotIn {
		return func(v any) bool { return !in(v) }, nil
	}
	return in, nil
}

// fold makes texts that are the same to Salesforce the same. Ids of 18 characters stay distinct by their checksum.
func fold(v any) any {
	if s, ok := v.(string); ok {
		return strings.ToLower(s)
	}
	return v
}

// isNull says whether a literal stands for nothing. The empty text does.
func isNull(lit *soql.Literal, kind org.FieldType) bool {
	return lit.Value == nil || lit.Value == "" && (isText(kind) || isID(kind))
}

// against compares values with a literal: below, inside or above it, since a date literal is a range.
func (q *plan) against(lit *soql.Literal, name string, kind org.FieldType) (func(any) int, *Error) {
	mismatch := func(quotes string) *Error {
		return q.src.at(lit.Pos, "INVALID_FIELD", "value of filter criterion for field '%s' must be of type %s and should %sbe enclosed in quotes", name, kind, quotes)
	}
	switch value := lit.Value.(type) {
	case string:
		switch {
		case isID(kind):
			id, ok := org.CanonicalID(value)
			if !ok {
				return nil, q.src.at(lit.Pos, "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: %s", value)
			}
			return func(v any) int { return compare(v, id) }, nil
		case isText(kind):
			return func(v any) int { return compare(v, value) }, nil
		}
	case float64:
		if isNumber(kind) {
			return func(v any) int { return compare(v, value) }, nil
		}
	case bool:
		if kind == org.Boolean {
			return func(v any) int { return compare(v, value) }, nil
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
		from, to, err := value.Range(q.moment)
		if err != nil {
			return nil, q.src.at(lit.Pos, "INVALID_FIELD", "%s leaves the range of dates that can be compared", value)
		}
		if kind == org.Date {
			return within(from.Format(org.DateLayout), to.AddDate(0, 0, -1).Format(org.DateLayout)), nil
		}
		last := to.Add(-time.Millisecond) // rows are kept to the millisecond
		return within(from.UTC().Format(org.DateTimeLayout), last.UTC().Format(org.DateTimeLayout)), nil
	case soql.Money:
		return nil, q.src.unsupported(lit.Pos, "an amount with a currency, since the org has only one currency: it")
	}
	if isText(kind) || isID(kind) {
		return nil, mismatch("")
	}
	return nil, mismatch("not ")
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

// compare orders two values of one kind, texts without regard to case.
func compare(a, b any) int {
	switch a := a.(type) {
	case string:
		b := b.(string)
		if strings.EqualFold(a, b) {
			return 0
		}
		return cmp.Compare(strings.ToLower(a), strings.ToLower(b))
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

// likeRegexp reads a pattern: % is any text, _ any character, and a backslash takes the next for itself.
func likeRegexp(pattern string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?is)\A`)
	escaped := false
	for _, r := range pattern {
		switch {
		case escaped:
			b.WriteString(regexp.QuoteMeta(string(r)))
			escaped = false
		case r == '\\':
			escaped = true
		case r == '%':
			b.WriteString(`.*`)
		case r == '_':
			b.WriteString(`.`)
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	return regexp.MustCompile(b.String() + `\z`)
}

// semijoin tests whether an id is among those that a subselect finds.
func (q *plan) semijoin(c *soql.Comparison, kind org.FieldType) (func(any) bool, *Error) {
	if !isID(kind) || c.Op != soql.In && c.Op != soql.NotIn {
		return nil, q.src.at(c.Pos, "MALFORMED_QUERY", "semi join field must be an Id or a reference, with IN or NOT IN")
	}
	if q.inner {
		return nil, q.src.at(c.Query.Pos, "MALFORMED_QUERY", "Nesting of semi join sub-selects is not supported")
	}
	ob, err := q.objectFrom(q.src, c.Query)
	if err != nil {
		return nil, err
	}
	sub, err := q.view.compile(q.src, c.Query, ob, true)
	if err != nil {
		return nil, err
	}
	if sub.grouped() || len(sub.columns) != 1 || !isID(sub.columns[0].path.leaf.kind) {
		return nil, q.src.at(c.Query.Pos, "MALFORMED_QUERY", "a semi join sub-select selects exactly one Id or reference field")
	}
	found := map[any]bool{}
	for _, row := range sub.rows(sub.candidates()) {
		found[q.get(sub.columns[0].path, row)] = true
	}
	return func(v any) bool { return (v != nil && found[v]) == (c.Op == soql.In) }, nil
}

// lookups finds, among conditions that must all hold, one that an index answers: ids or references equal
// to given ones. Without one, ok is false.
func (q *plan) lookups(c soql.Condition) (field *org.Field, ids []string, ok bool) {
	switch c := c.(type) {
	case *soql.And:
		for _, term := range c.Terms {
			if field, ids, ok = q.lookups(term); ok {
				return field, ids, true
			}
		}
	case *soql.Comparison:
		f, isField := c.Left.(*soql.Field)
		if !isField || c.Query != nil || c.Op != soql.Equal && c.Op != soql.In {
			return nil, nil, false
		}
		p, err := q.resolve(q.src, q.object, q.alias, f)
		if err != nil || len(p.steps) > 0 || !isID(p.leaf.kind) {
			return nil, nil, false
		}
		for _, lit := range c.Values {
			text, _ := lit.Value.(string)
			id, valid := org.CanonicalID(text)
			if !valid {
				return nil, nil, false
			}
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		return p.leaf.field, ids, true
	}
	return nil, nil, false
}

// objectFrom finds the object that a query selects from.
func (v *view) objectFrom(src source, q *soql.Query) (*org.Object, *Error) {
	if len(q.From.Path) == 1 {
		if ob, err := v.object(q.From.Path[0]); err == nil {
			return ob, nil
		}
	}
	return nil, src.at(q.From.Pos, "INVALID_TYPE", "sObject type '%s' is not supported. If you are attempting to use a custom object, be sure to append the '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names.", strings.Join(q.From.Path, "."))
}
