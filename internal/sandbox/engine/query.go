package engine

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/stewardhq/steward/internal/sandbox/org"
	"github.com/stewardhq/steward/internal/soql"
)

const (
	maxOffset    = 2000
	maxFieldsAll = 200  // rows of a query with FIELDS(ALL) or FIELDS(CUSTOM)
	maxGroups    = 2000 // rows of a grouped query, whose result can't be paged
)

// Result is what a query found.
type Result struct {
	Total   int // rows, also where Records is empty because only they were counted
	Records []*Record
}

// Record is one row of a reply.
type Record struct {
	Type   string // its object, or AggregateResult
	ID     string // empty for an AggregateResult
	Values []Value
}

// Value is one member of a record: nil, string, bool, float64, *Record for a parent, *Result for children.
type Value struct {
	Name  string
	Value any
}

// Aggregate is the Type of rows that are groups of records.
const Aggregate = "AggregateResult"

// Query finds what a user may see.
func (e *Engine) Query(user, text string) (*Result, error) {
	src := source(text)
	q, err := soql.Parse(text)
	if err != nil {
		var bad *soql.SyntaxError
		if errors.As(err, &bad) {
			return nil, src.point(bad.Row, bad.Column, "MALFORMED_QUERY", bad.Msg)
		}
		return nil, fmt.Errorf("query: %w", err)
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	v := e.as(user)
	ob, refused := v.objectFrom(src, q)
	if refused != nil {
		return nil, refused
	}
	plan, refused := v.compile(src, q, ob, false)
	if refused != nil {
		return nil, refused
	}
	result, refused := plan.run()
	if refused != nil {
		return nil, refused
	}
	return result, nil
}

// plan is a query whose names have been resolved in one user's eyes.
type plan struct {
	*view
	src      source
	query    *soql.Query
	object   *org.Object
	alias    string
	inner    bool // a subquery, or the subselect of a semi-join
	mine     bool // USING SCOPE mine
	keep     func(org.Row) bool
	columns  []column
	countAll bool // SELECT COUNT()
	groups   *grouping
	order    []ordering[org.Row]
}

// column is one member of a record.
type column struct {
	name     string
	path     path     // for a value; also for children, whose key it is
	parent   *step    // for a parent, with its columns
	columns  []column // of the parent
	children *plan
	ref      *org.Field // by which children point here
}

// ordering is one member of ORDER BY.
type ordering[T any] struct {
	get             func(T) any
	desc, nullsLast bool
}

func (p *plan) grouped() bool { return p.groups != nil }

// compile resolves a query against an object.
func (v *view) compile(src source, q *soql.Query, ob *org.Object, inner bool) (*plan, *Error) {
	p := &plan{view: v, src: src, query: q, object: ob, alias: q.From.Alias, inner: inner, keep: func(org.Row) bool { return true }}
	if err := p.refuseUnsupported(); err != nil {
		return nil, err
	}
	if q.Where != nil {
		var err *Error
		if p.keep, err = condition(p, q.Where, p.operand); err != nil {
			return nil, err
		}
	}
	if call := selected(q.Select[0]); call != nil && call.Name == "COUNT" && len(call.Args) == 0 && len(q.Select) == 1 && len(q.GroupBy) == 0 {
		if len(q.OrderBy) > 0 || q.Having != nil {
			return nil, src.at(call.Pos, "MALFORMED_QUERY", "COUNT() takes neither ORDER BY nor HAVING")
		}
		p.countAll = true
		return p, nil
	}
	if len(q.GroupBy) > 0 || slices.ContainsFunc(q.Select, aggregates) {
		return p, p.group()
	}
	if err := p.selectColumns(); err != nil {
		return nil, err
	}
	return p, p.orderBy()
}

// refuseUnsupported names the first clause that this sandbox doesn't evaluate, and checks the bounds of the rest.
func (p *plan) refuseUnsupported() *Error {
	q := p.query
	switch {
	case len(q.Aliases) > 0:
		return p.src.unsupported(q.Aliases[0].Pos, "an alias for a parent")
	case len(q.Categories) > 0:
		return p.src.unsupported(q.Categories[0].Pos, "WITH DATA CATEGORY")
	case q.AllRows != nil:
		return p.src.unsupported(q.AllRows.Pos, "ALL ROWS")
	case len(q.Update) > 0:
		return p.src.unsupported(q.Update[0].Pos, "UPDATE "+q.Update[0].Text)
	case q.Grouping != "":
		return p.src.unsupported(q.GroupBy[0].At(), "GROUP BY "+q.Grouping)
	case q.Offset != nil && q.Offset.N > maxOffset:
		return p.src.at(q.Offset.Pos, "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is %d", maxOffset)
	}
	for _, word := range q.For {
		if strings.EqualFold(word.Text, "UPDATE") {
			return p.src.unsupported(word.Pos, "FOR UPDATE")
		}
	}
	if q.Scope != nil {
		switch strings.ToLower(q.Scope.Text) {
		case "everything":
		case "mine":
			p.mine = true
		default:
			return p.src.unsupported(q.Scope.Pos, "the scope "+q.Scope.Text)
		}
	}
	return nil
}

// selected gives the function that a member of the SELECT list calls, nil where it is none.
func selected(s soql.Selection) *soql.Call {
	if col, ok := s.(*soql.Column); ok {
		call, _ := col.Expr.(*soql.Call)
		return call
	}
	return nil
}

// operand resolves what stands on the left of a comparison in WHERE.
func (p *plan) operand(x soql.Expr) (operand[org.Row], *Error) {
	at, err := p.value(x)
	return operand[org.Row]{at.leaf.name, at.leaf.kind, func(r org.Row) any { return p.get(at, r) }}, err
}

// value resolves an expression that must be a field.
func (p *plan) value(x soql.Expr) (path, *Error) {
	f, ok := x.(*soql.Field)
	if !ok {
		if call, is := x.(*soql.Call); is && isAggregate(call) {
			return path{}, p.src.at(x.At(), "MALFORMED_QUERY", "aggregate function %s is not allowed here", call.Name)
		}
		return path{}, p.src.unsupported(x.At(), x.String())
	}
	return p.resolve(p.src, p.object, p.alias, f)
}

func (p *plan) selectColumns() *Error {
	for _, member := range p.query.Select {
		switch member := member.(type) {
		case *soql.Column:
			at, err := p.value(member.Expr)
			if err != nil {
				return err
			}
			if member.Alias != "" {
				return p.src.at(member.Expr.At(), "MALFORMED_QUERY", "only aggregate expressions use field aliasing")
			}
			if !addColumn(&p.columns, at.steps, at) {
				return p.src.at(member.Expr.At(), "INVALID_FIELD", "duplicate field selected: %s", member.Expr)
			}
		case *soql.Fields:
			if err := p.allFields(member); err != nil {
				return err
			}
		case *soql.Subquery:
			if err := p.children(member); err != nil {
				return err
			}
		case *soql.TypeOf:
			return p.src.unsupported(member.Pos, "TYPEOF")
		}
	}
	return nil
}

// addColumn puts a field into the tree of a record and its parents. It fails where the field already is.
func addColumn(into *[]column, steps []step, at path) bool {
	if len(steps) == 0 {
		if slices.ContainsFunc(*into, func(c column) bool { return c.parent == nil && c.children == nil && c.name == at.leaf.name }) {
			return false
		}
		*into = append(*into, column{name: at.leaf.name, path: at})
		return true
	}
	i := slices.IndexFunc(*into, func(c column) bool { return c.parent != nil && c.name == steps[0].name })
	if i < 0 {
		i = len(*into)
		*into = append(*into, column{name: steps[0].name, parent: &steps[0]})
	}
	return addColumn(&(*into)[i].columns, steps[1:], at)
}

func (p *plan) allFields(set *soql.Fields) *Error {
	if set.Set != "STANDARD" && (p.query.Limit == nil || p.query.Limit.N > maxFieldsAll) {
		return p.src.at(set.Pos, "MALFORMED_QUERY", "The SOQL FIELDS function must have a LIMIT of at most %d", maxFieldsAll)
	}
	for i := range p.object.Fields {
		f := &p.object.Fields[i]
		if p.field(p.object, f.Name) != nil && (set.Set == "ALL" || f.Custom == (set.Set == "CUSTOM")) {
			addColumn(&p.columns, nil, path{leaf: leaf{f.Name, f.Type, f}})
		}
	}
	return nil
}

// children compiles a subquery over the records that point at each row.
func (p *plan) children(sub *soql.Subquery) *Error {
	if p.inner {
		return p.src.unsupported(sub.Pos, "a subquery within a subquery")
	}
	name := strings.Join(sub.Query.From.Path, ".")
	for _, child := range p.describe(p.object).Child {
		if !strings.EqualFold(child.Relationship, name) {
			continue
		}
		ob := p.org.Object(child.Object)
		inner, err := p.view.compile(p.src, sub.Query, ob, true)
		if err != nil {
			return err
		}
		if inner.grouped() || inner.countAll {
			return p.src.at(sub.Pos, "MALFORMED_QUERY", "a subquery can't aggregate")
		}
		p.columns = append(p.columns, column{name: child.Relationship, children: inner, ref: ob.Field(child.Field)})
		return nil
	}
	return p.src.at(sub.Query.From.Pos, "INVALID_TYPE", "Didn't understand relationship '%s' in FROM part of query call. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names.", name)
}

func (p *plan) orderBy() *Error {
	for _, o := range p.query.OrderBy {
		by, err := p.operand(o.Expr)
		if err != nil {
			return err
		}
		if !Filterable(by.kind) {
			return p.src.at(o.Expr.At(), "INVALID_FIELD", "field '%s' can not be sorted in a query call", by.name)
		}
		p.order = append(p.order, ordering[org.Row]{by.get, o.Desc, o.NullsLast})
	}
	return nil
}

// candidates are the rows that may match: those an index knows, or all.
func (p *plan) candidates() []org.Row {
	field, ids, ok := p.lookups(p.query.Where)
	if !ok {
		return p.org.Rows[p.object.Name]
	}
	var rows []org.Row
	for _, id := range ids {
		if field.Type == org.Reference {
			rows = append(rows, p.refs[refKey(p.object.Name, field.Name, id)]...)
		} else if at, found := p.byID[id]; found && at.object == p.object {
			rows = append(rows, at.row)
		}
	}
	return rows
}

// rows are the candidates that the user may see and the query wants, in its order and bounds.
func (p *plan) rows(candidates []org.Row) []org.Row {
	rows := p.matching(candidates)
	return bounded(sorted(rows, p.order), p.query)
}

func (p *plan) matching(candidates []org.Row) []org.Row {
	var rows []org.Row
	for _, row := range candidates {
		if (!p.mine || row["OwnerId"] == p.user) && p.reads(p.object, row) && p.keep(row) {
			rows = append(rows, row)
		}
	}
	return rows
}

func (p *plan) run() (*Result, *Error) {
	if p.grouped() {
		return p.aggregate()
	}
	rows := p.rows(p.candidates())
	if p.countAll {
		return &Result{Total: len(rows)}, nil
	}
	return p.result(rows), nil
}

func (p *plan) result(rows []org.Row) *Result {
	r := &Result{Total: len(rows), Records: make([]*Record, len(rows))}
	for i, row := range rows {
		r.Records[i] = p.record(place{p.object, row}, p.columns)
	}
	return r
}

// record shows a row.
func (v *view) record(at place, columns []column) *Record {
	rec := &Record{Type: at.object.Name, ID: at.row.Text("Id"), Values: make([]Value, len(columns))}
	for i, c := range columns {
		var value any
		switch {
		case c.children != nil:
			key := refKey(c.children.object.Name, c.ref.Name, rec.ID)
			if rows := c.children.rows(v.refs[key]); len(rows) > 0 {
				value = c.children.result(rows)
			}
		case c.parent != nil:
			if up, ok := v.climb(*c.parent, at.row); ok {
				value = v.record(up, c.columns)
			}
		default:
			value = c.path.leaf.of(at)
		}
		rec.Values[i] = Value{c.name, value}
	}
	return rec
}

// sorted orders rows by precomputed keys; equal ones keep their order.
func sorted[T any](rows []T, order []ordering[T]) []T {
	if len(order) == 0 {
		return rows
	}
	type keyed struct {
		row  T
		keys []any
	}
	all := make([]keyed, len(rows))
	for i, row := range rows {
		all[i] = keyed{row, make([]any, len(order))}
		for j, o := range order {
			all[i].keys[j] = o.get(row)
		}
	}
	slices.SortStableFunc(all, func(a, b keyed) int {
		for j, o := range order {
			if d := o.compare(a.keys[j], b.keys[j]); d != 0 {
				return d
			}
		}
		return 0
	})
	out := make([]T, len(all))
	for i, k := range all {
		out[i] = k.row
	}
	return out
}

func (o ordering[T]) compare(a, b any) int {
	first := -1 // where a null a stands
	if o.nullsLast {
		first = 1
	}
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return first
	case b == nil:
		return -first
	case o.desc:
		return compare(b, a)
	}
	return compare(a, b)
}

func bounded[T any](rows []T, q *soql.Query) []T {
	if q.Offset != nil {
		rows = rows[min(q.Offset.N, len(rows)):]
	}
	if q.Limit != nil {
		rows = rows[:min(q.Limit.N, len(rows))]
	}
	return rows
}

// Get gives a record: the fields named, or all that the user may read.
func (e *Engine) Get(user, object, id string, fields []string) (*Record, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	v := e.as(user)
	ob, err := v.object(object)
	if err != nil {
		return nil, err
	}
	row, err := v.find(ob, id)
	if err != nil {
		return nil, err
	}
	var columns []column
	for _, f := range ob.Fields {
		if len(fields) == 0 && v.field(ob, f.Name) != nil {
			addColumn(&columns, nil, path{leaf: leaf{f.Name, f.Type, &f}})
		}
	}
	for _, name := range fields {
		f := v.field(ob, name)
		if f == nil {
			return nil, noSuchField(ob, name)
		}
		addColumn(&columns, nil, path{leaf: leaf{f.Name, f.Type, f}})
	}
	return v.record(place{ob, row}, columns), nil
}

func noSuchField(ob *org.Object, name string) *Error {
	return refuse(http.StatusBadRequest, "INVALID_FIELD", "No such column '%s' on sobject of type %s", name, ob.Name)
}
