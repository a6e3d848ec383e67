package engine

import (
	"errors"
	"net/http"
	"slices"

	"github.com/stewardhq/steward/internal/sandbox/engine/value"
	"github.com/stewardhq/steward/internal/sandbox/org"
	"github.com/stewardhq/steward/internal/soql"
)

// maxJoins is how many semi- and anti-joins a query may have.
const maxJoins = 2

// operand is something with one value in a row (or group of rows) of type T.
type operand[T any] struct {
	text  string // in the schema's own names: two operands are the same if their texts are
	name  string // what a column of it is called
	leaf  leaf   // the field it is of
	kind  org.FieldType
	get   func(T) any
	order func(a, b any) int // of values that are not null
}

// apply resolves a call of a function that makes one value of another.
func apply[T any](p *plan, c *soql.Call, find func(soql.Expr) (operand[T], *Error)) (operand[T], *Error) {
	argument, local := c.Args[0], false
	if zoned, ok := argument.(*soql.Call); ok && zoned.Name == value.ConvertTimezone && value.Dated(c.Name) {
		argument, local = zoned.Args[0], true
	}
	of, refused := find(argument)
	if refused != nil {
		return of, refused
	}
	function, kind, err := p.calendar.Function(c, of.kind, local)
	if err != nil {
		return of, p.src.fault(err)
	}
	text := c.Name + "(" + of.text + ")"
	if local {
		text = c.Name + "(" + value.ConvertTimezone + "(" + of.text + "))"
	}
	out := operand[T]{text, of.name, of.leaf, kind, func(t T) any { return function(of.get(t)) }, value.Compare}
	if kind == org.Picklist {
		out.order = of.order
	}
	return out, nil
}

// fault points at what is wrong with a value.
func (s source) fault(err error) *Error {
	var f *value.Fault
	if errors.As(err, &f) {
		return s.at(f.Pos, f.Code, "%s", f.Message)
	}
	return refuse(http.StatusInternalServerError, "UNKNOWN_EXCEPTION", "An unexpected error occurred.")
}

// condition turns a WHERE or HAVING into a test. It is two-valued: NOT of a failed comparison holds.
func condition[T any](q *plan, c soql.Condition, find func(soql.Expr) (operand[T], *Error)) (func(T) bool, *Error) {
	switch c := c.(type) {
	case *soql.And:
		tests, err := conditions(q, c.Terms, find)
		return func(t T) bool {
			for _, test := range tests {
				if !test(t) {
					return false
				}
			}
			return true
		}, err
	case *soql.Or:
		tests, err := conditions(q, c.Terms, find)
		return func(t T) bool {
			for _, test := range tests {
				if test(t) {
					return true
				}
			}
			return false
		}, err
	case *soql.Not:
		test, err := condition(q, c.Term, find)
		return func(t T) bool { return !test(t) }, err
	case *soql.Comparison:
		left, refused := find(c.Left)
		if refused != nil {
			return nil, refused
		}
		var match func(any) bool
		if c.Query != nil {
			match, refused = q.semijoin(c, left.leaf, left.kind)
		} else {
			var err error
			if match, err = q.calendar.Match(c, left.name, left.kind); err != nil {
				refused = q.src.fault(err)
			}
		}
		return func(t T) bool { return match(left.get(t)) }, refused
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

// joins lists the semi- and anti-joins of a condition, those first that stand where Salesforce takes none: below
// OR or NOT.
func joins(c soql.Condition, below bool) (misplaced, placed []*soql.Comparison) {
	var terms []soql.Condition
	switch c := c.(type) {
	case *soql.And:
		terms = c.Terms
	case *soql.Or:
		terms, below = c.Terms, true
	case *soql.Not:
		terms, below = []soql.Condition{c.Term}, true
	case *soql.Comparison:
		switch {
		case c.Query != nil && below:
			misplaced = append(misplaced, c)
		case c.Query != nil:
			placed = append(placed, c)
		}
	}
	for _, term := range terms {
		m, p := joins(term, below)
		misplaced, placed = append(misplaced, m...), append(placed, p...)
	}
	return misplaced, placed
}

func (p *plan) checkJoins() *Error {
	misplaced, placed := joins(p.query.Where, false)
	switch {
	case len(misplaced) > 0:
		return p.src.at(misplaced[0].Pos, "MALFORMED_QUERY", "Semi join sub-selects are only allowed at the top level WHERE expressions and not nested in WHERE expressions")
	case len(placed) > maxJoins:
		return p.src.at(placed[maxJoins].Pos, "MALFORMED_QUERY", "a query can have at most %d semi join sub-selects", maxJoins)
	case p.join && len(placed) > 0:
		return p.src.at(placed[0].Query.Pos, "MALFORMED_QUERY", "Nesting of semi join sub-selects is not supported")
	}
	return nil
}

// semijoin tests whether an id is among those that a subselect finds.
func (p *plan) semijoin(c *soql.Comparison, left leaf, kind org.FieldType) (func(any) bool, *Error) {
	if !kind.IsID() || c.Op != soql.In && c.Op != soql.NotIn {
		return nil, p.src.at(c.Pos, "MALFORMED_QUERY", "semi join field must be an Id or a reference, with IN or NOT IN")
	}
	switch q := c.Query; {
	case len(q.OrderBy) > 0:
		return nil, p.src.at(q.OrderBy[0].Expr.At(), "MALFORMED_QUERY", "semi join sub-selects can not be ordered")
	case q.Limit != nil:
		return nil, p.src.at(q.Limit.Pos, "MALFORMED_QUERY", "semi join sub-selects can not have a LIMIT")
	}
	ob, err := p.objectFrom(p.src, c.Query)
	if err != nil {
		return nil, err
	}
	if ob == p.object {
		return nil, p.src.at(c.Query.From.Pos, "MALFORMED_QUERY", "The inner and outer selects should not be on the same object type")
	}
	sub := &plan{view: p.view, src: p.src, query: c.Query, object: ob, join: true}
	if err := sub.compile(); err != nil {
		return nil, err
	}
	if sub.grouped() || len(sub.columns) != 1 || !sub.columns[0].leaf.kind.IsID() {
		return nil, p.src.at(c.Query.Pos, "MALFORMED_QUERY", "a semi join sub-select selects exactly one Id or reference field")
	}
	inner := sub.columns[0].leaf
	theirs, shared := inner.targets(), func(to string) bool { return slices.Contains(inner.targets(), to) }
	if ours := left.targets(); ours != nil && theirs != nil && !slices.ContainsFunc(ours, shared) {
		return nil, p.src.at(c.Query.Pos, "MALFORMED_QUERY", "The selected field in the subquery and the left operand field in the where expression in the outer query for semijoin should point to the same object type")
	}
	found := map[any]bool{}
	for _, row := range sub.rows(sub.candidates()) {
		found[row[inner.name]] = true
	}
	return func(v any) bool { return (v != nil && found[v]) == (c.Op == soql.In) }, nil
}

// targets are the objects that an id may belong to: those of a reference, or its own record's.
func (l leaf) targets() []string {
	switch {
	case l.kind == org.Reference:
		return l.field.ReferenceTo
	case l.of != nil:
		return []string{l.of.Name}
	}
	return nil
}

// lookups finds, among conditions that must all hold, one that an index answers: ids or references equal
// to given ones. Without one, ok is false.
func (p *plan) lookups(c soql.Condition) (field *org.Field, ids []string, ok bool) {
	switch c := c.(type) {
	case *soql.And:
		for _, term := range c.Terms {
			if field, ids, ok = p.lookups(term); ok {
				return field, ids, true
			}
		}
	case *soql.Comparison:
		f, isField := c.Left.(*soql.Field)
		if !isField || c.Query != nil || c.Op != soql.Equal && c.Op != soql.In {
			return nil, nil, false
		}
		at, err := p.path(f)
		if err != nil || len(at.steps) > 0 || !at.leaf.kind.IsID() {
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
		return at.leaf.field, ids, true
	}
	return nil, nil, false
}
