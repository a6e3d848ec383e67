package engine

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/stewardhq/steward/internal/sandbox/engine/value"
	"github.com/stewardhq/steward/internal/sandbox/org"
	"github.com/stewardhq/steward/internal/soql"
)

const (
	maxOffset    = 2000
	maxFieldsAll = 200 // rows of a query with FIELDS(ALL) or FIELDS(CUSTOM)
	maxDepth     = 4   // of subqueries below the query itself
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
func (e *Engine) Query(user, text string) (*Result, error) { return e.query(user, text, false) }

// QueryAll is Query over deleted records too.
func (e *Engine) QueryAll(user, text string) (*Result, error) { return e.query(user, text, true) }

func (e *Engine) query(user, text string, deleted bool) (*Result, error) {
	q, err := soql.Parse(text)
	if err != nil {
		return nil, Misread(text, err)
	}
	return e.Run(user, text, q, deleted)
}

// Misread refuses a text where soql's error says.
func Misread(text string, err error) error {
	var bad *soql.SyntaxError
	if errors.As(err, &bad) {
		return source(text).point(bad.Row, bad.Column, "MALFORMED_QUERY", bad.Msg)
	}
	return fmt.Errorf("query: %w", err)
}

// Run finds what a query asks for that has been read already. Its positions are those in text.
func (e *Engine) Run(user, text string, q *soql.Query, deleted bool) (*Result, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	v, src := e.as(user), source(text)
	v.binned = deleted
	ob, refused := v.objectFrom(src, q)
	if refused != nil {
		return nil, refused
	}
	p := &plan{view: v, src: src, query: q, object: ob}
	if refused := p.compile(); refused != nil {
		return nil, refused
	}
	result, refused := p.run()
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
	depth    int  // of child subqueries
	join     bool // the subselect of a semi-join
	scope    func(org.Row) bool
	keep     func(org.Row) bool
	columns  []column
	countAll bool // SELECT COUNT()
	groups   *grouping
	order    []value.Order[org.Row]
}

// column is one member of a record: a value, a parent or children.
type column struct {
	name     string
	get      func(place) any
	leaf     leaf // the field that get reads
	parent   *step
	branches []branch // of the parent
	children *plan
	ref      *org.Field // by which children point here
}

// branch is what is shown of a parent that is a record of an object, or of any where of is nil.
type branch struct {
	of      *org.Object
	columns []column
}

func (p *plan) grouped() bool { return p.groups != nil }

// compile resolves the query's names against its object.
func (p *plan) compile() *Error {
	q := p.query
	p.keep = func(org.Row) bool { return true }
	if err := p.refuseUnsupported(); err != nil {
		return err
	}
	if err := p.inScope(); err != nil {
		return err
	}
	if q.Where != nil {
		err := p.checkJoins()
		if err == nil {
			p.keep, err = condition(p, q.Where, p.operand)
		}
		if err != nil {
			return err
		}
	}
	isCount := func(s soql.Selection) bool {
		col, ok := s.(*soql.Column)
		return ok && aggregates(col.Expr)
	}
	if col, ok := q.Select[0].(*soql.Column); ok && col.Expr.String() == "COUNT()" && len(q.GroupBy) == 0 {
		if len(q.OrderBy) > 0 {
			return p.src.at(col.Expr.At(), "MALFORMED_QUERY", "COUNT() takes no ORDER BY")
		}
		p.countAll = true
		return nil
	}
	if len(q.GroupBy) > 0 || slices.ContainsFunc(q.Select, isCount) {
		return p.group()
	}
	if err := p.selectColumns(); err != nil {
		return err
	}
	var err *Error
	p.order, err = orderings(p, p.operand)
	return err
}

// refuseUnsupported names the first clause that this sandbox doesn't evaluate, and checks the bounds of the rest.
func (p *plan) refuseUnsupported() *Error {
	q := p.query
	switch {
	case len(q.Categories) > 0:
		return p.src.unsupported(q.Categories[0].Pos, "WITH DATA CATEGORY")
	case q.AllRows != nil: // it is Apex's; the API has a resource of its own for deleted rows
		return p.src.at(q.AllRows.Pos, "MALFORMED_QUERY", "ALL ROWS not allowed in this context")
	case len(q.Update) > 0:
		return p.src.unsupported(q.Update[0].Pos, "UPDATE "+q.Update[0].Text)
	case q.Offset != nil && q.Offset.N > maxOffset:
		return p.src.at(q.Offset.Pos, "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is %d", maxOffset)
	}
	for _, word := range q.For {
		if strings.EqualFold(word.Text, "UPDATE") {
			return p.src.unsupported(word.Pos, "FOR UPDATE")
		}
	}
	return nil
}

// inScope reads USING SCOPE. The org has neither queues, teams nor territories, and remembers nothing as recently used.
func (p *plan) inScope() *Error {
	name := "everything"
	if p.query.Scope != nil {
		name = strings.ToLower(p.query.Scope.Text)
	}
	switch name {
	case "everything":
		p.scope = func(org.Row) bool { return true }
	case "mine", "mine_and_my_groups":
		p.scope = func(row org.Row) bool { return row["OwnerId"] == p.user }
	case "delegated": // to somebody else
		p.scope = func(row org.Row) bool { return row["CreatedById"] == p.user && row["OwnerId"] != p.user }
	case "team", "my_territory", "my_team_territory", "mru":
		p.scope = func(org.Row) bool { return false }
	default:
		return p.src.unsupported(p.query.Scope.Pos, "the scope "+p.query.Scope.Text)
	}
	return nil
}

// path resolves a field, whatever alias its name starts with.
func (p *plan) path(f *soql.Field) (path, *Error) {
	names := f.Path
	for i := len(p.query.Aliases) - 1; i >= 0; i-- { // the path of an alias may start with an earlier one
		if a := p.query.Aliases[i]; len(names) > 1 && strings.EqualFold(names[0], a.Alias) {
			names = append(slices.Clone(a.Path), names[1:]...)
		}
	}
	return p.resolve(p.src, p.object, p.query.From.Alias, &soql.Field{Pos: f.Pos, Path: names})
}

// operand resolves what can be compared, ordered and grouped by.
func (p *plan) operand(x soql.Expr) (operand[org.Row], *Error) {
	switch x := x.(type) {
	case *soql.Field:
		at, err := p.path(x)
		return operand[org.Row]{at.String(), at.leaf.name, at.leaf, at.leaf.kind, func(r org.Row) any { return p.get(at, r) }, value.Comparer(at.leaf.field)}, err
	case *soql.Call:
		switch {
		case isAggregate(x) || x.Name == "GROUPING":
			return operand[org.Row]{}, p.src.at(x.Pos, "MALFORMED_QUERY", "aggregate function %s is not allowed here", x.Name)
		case value.Dated(x.Name) || x.Name == "TOLABEL":
			return apply(p, x, p.operand)
		case x.Name == value.ConvertTimezone:
			return operand[org.Row]{}, p.src.at(x.Pos, "MALFORMED_QUERY", "convertTimezone() stands within a date function only")
		case value.Shown(x.Name):
			return operand[org.Row]{}, p.src.at(x.Pos, "MALFORMED_QUERY", "function %s is allowed in the SELECT list only", x.Name)
		}
	}
	return operand[org.Row]{}, p.src.unsupported(x.At(), x.String())
}

func (p *plan) selectColumns() *Error {
	for _, member := range p.query.Select {
		var err *Error
		switch member := member.(type) {
		case *soql.Column:
			err = p.column(member)
		case *soql.Fields:
			err = p.allFields(member)
		case *soql.Subquery:
			err = p.children(member)
		case *soql.TypeOf:
			err = p.typeOf(member)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// column adds a field, or what a function makes of it: in the field's place, or under an alias on the record itself.
func (p *plan) column(member *soql.Column) *Error {
	var at path
	var shown func(x soql.Expr) (operand[place], *Error)
	shown = func(x soql.Expr) (operand[place], *Error) {
		switch x := x.(type) {
		case *soql.Field:
			var err *Error
			at, err = p.path(x)
			get := func(here place) any { return p.leaf(at.leaf, here) }
			if member.Alias != "" {
				get = func(here place) any { return p.get(at, here.row) }
			}
			return operand[place]{at.String(), at.leaf.name, at.leaf, at.leaf.kind, get, nil}, err
		case *soql.Call:
			if value.Shown(x.Name) {
				return apply(p, x, shown)
			}
		}
		_, err := p.operand(x)
		if err == nil {
			err = p.src.at(x.At(), "MALFORMED_QUERY", "Field must be grouped or aggregated: %s", x)
		}
		return operand[place]{}, err
	}
	of, err := shown(member.Expr)
	if err != nil {
		return err
	}
	col, steps := column{name: of.name, get: of.get}, at.steps
	_, plain := member.Expr.(*soql.Field)
	switch {
	case plain && member.Alias != "":
		return p.src.at(member.Expr.At(), "MALFORMED_QUERY", "only aggregate expressions use field aliasing")
	case plain && len(steps) == 0:
		col.leaf = of.leaf
	case member.Alias != "":
		col.name, steps = member.Alias, nil
	}
	if !addColumn(&p.columns, steps, col) {
		return p.src.at(member.Expr.At(), "INVALID_FIELD", "duplicate field selected: %s", member.Expr)
	}
	return nil
}

// addColumn puts a value into the tree of a record and its parents. It fails where its name is taken.
func addColumn(into *[]column, steps []step, col column) bool {
	name := col.name
	if len(steps) > 0 {
		name = steps[0].name
	}
	i := slices.IndexFunc(*into, func(c column) bool { return strings.EqualFold(c.name, name) })
	switch {
	case len(steps) == 0 && i >= 0, i >= 0 && ((*into)[i].parent == nil || (*into)[i].branches[0].of != nil):
		return false
	case len(steps) == 0:
		*into = append(*into, col)
		return true
	case i < 0:
		i = len(*into)
		*into = append(*into, column{name: name, parent: &steps[0], branches: []branch{{}}})
	}
	return addColumn(&(*into)[i].branches[0].columns, steps[1:], col)
}

// fieldColumn shows a field of the record itself.
func fieldColumn(ob *org.Object, f *org.Field) column {
	return column{name: f.Name, get: func(here place) any { return here.row[f.Name] }, leaf: leaf{f.Name, f.Type, f, ob}}
}

func (p *plan) allFields(set *soql.Fields) *Error {
	if set.Set != "STANDARD" && (p.query.Limit == nil || p.query.Limit.N > maxFieldsAll) {
		return p.src.at(set.Pos, "MALFORMED_QUERY", "The SOQL FIELDS function must have a LIMIT of at most %d", maxFieldsAll)
	}
	for i := range p.object.Fields {
		f := &p.object.Fields[i]
		if p.field(p.object, f.Name) != nil && (set.Set == "ALL" || f.Custom == (set.Set == "CUSTOM")) {
			addColumn(&p.columns, nil, fieldColumn(p.object, f))
		}
	}
	return nil
}

// typeOf shows a parent by what it is. A parent that no WHEN is for and without an ELSE is null.
func (p *plan) typeOf(member *soql.TypeOf) *Error {
	name := member.Of.Path[len(member.Of.Path)-1]
	ref := p.relationship(p.object, name)
	if ref == nil || len(member.Of.Path) > 1 {
		return noRelationship(p.src, member.Of.Pos, name, "field path")
	}
	at := step{ref: ref, name: ref.RelationshipName}
	col := column{name: at.name, parent: &at}
	add := func(ob *org.Object, fields []*soql.Field) *Error {
		one := branch{of: ob}
		for _, f := range fields {
			of, err := p.resolve(p.src, ob, "", f)
			if err != nil {
				return err
			}
			if !addColumn(&one.columns, of.steps, column{name: of.leaf.name, get: func(here place) any { return p.leaf(of.leaf, here) }}) {
				return p.src.at(f.Pos, "INVALID_FIELD", "duplicate field selected: %s", f)
			}
		}
		col.branches = append(col.branches, one)
		return nil
	}
	for _, when := range member.Whens {
		ob, err := p.view.object(when.Object)
		if err != nil || !slices.Contains(ref.ReferenceTo, ob.Name) {
			return p.src.at(when.Pos, "INVALID_TYPE", "%s is no object that %s refers to", when.Object, name)
		}
		if err := add(ob, when.Fields); err != nil {
			return err
		}
	}
	if member.Else != nil {
		if err := add(nil, member.Else); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(p.columns, func(c column) bool { return c.name == col.name }) {
		return p.src.at(member.Pos, "INVALID_FIELD", "duplicate field selected: %s", name)
	}
	p.columns = append(p.columns, col)
	return nil
}

// children compiles a subquery over the records that point at each row.
func (p *plan) children(sub *soql.Subquery) *Error {
	if p.join || p.depth == maxDepth {
		return p.src.at(sub.Pos, "MALFORMED_QUERY", "subqueries nest at most %d levels deep, and not in a semi join sub-select", maxDepth)
	}
	names := sub.Query.From.Path
	if len(names) > 1 && (strings.EqualFold(names[0], p.object.Name) || strings.EqualFold(names[0], p.query.From.Alias)) {
		names = names[1:]
	}
	name := strings.Join(names, ".")
	for _, child := range p.describe(p.object).Child {
		if !strings.EqualFold(child.Relationship, name) {
			continue
		}
		ob := p.org.Object(child.Object)
		inner := &plan{view: p.view, src: p.src, query: sub.Query, object: ob, depth: p.depth + 1}
		if err := inner.compile(); err != nil {
			return err
		}
		if inner.grouped() || inner.countAll {
			return p.src.at(sub.Pos, "MALFORMED_QUERY", "a subquery can't aggregate")
		}
		if !addColumn(&p.columns, nil, column{name: child.Relationship, children: inner, ref: ob.Field(child.Field)}) {
			return p.src.at(sub.Query.From.Pos, "INVALID_FIELD", "duplicate relationship selected: %s", name)
		}
		return nil
	}
	err := noRelationship(p.src, sub.Query.From.Pos, name, "FROM part of query call")
	err.Code = "INVALID_TYPE"
	return err
}

func orderings[T any](p *plan, find func(soql.Expr) (operand[T], *Error)) ([]value.Order[T], *Error) {
	var order []value.Order[T]
	for _, o := range p.query.OrderBy {
		by, err := find(o.Expr)
		if err != nil {
			return nil, err
		}
		if !by.kind.Sortable() {
			return nil, p.src.at(o.Expr.At(), "INVALID_FIELD", "field '%s' can not be sorted in a query call", by.name)
		}
		order = append(order, value.Order[T]{Of: by.get, Compare: by.order, Desc: o.Desc, NullsLast: o.NullsLast})
	}
	return order, nil
}

// candidates are the rows that may match: those an index knows, or all.
func (p *plan) candidates() []org.Row {
	field, ids, ok := p.lookups(p.query.Where)
	rows := p.org.Rows[p.object.Name]
	if ok {
		rows = nil
	}
	for _, id := range ids {
		if field.Type == org.Reference {
			rows = append(rows, p.refs[refKey(p.object.Name, field.Name, id)]...)
		} else if at, found := p.byID[id]; found && at.object == p.object {
			rows = append(rows, at.row)
		}
	}
	if p.binned {
		rows = slices.Concat(rows, p.bin[p.object.Name])
	}
	return rows
}

// childrenOf are the rows that point at a record.
func (p *plan) childrenOf(id string, by *org.Field) []org.Row {
	rows := p.refs[refKey(p.object.Name, by.Name, id)]
	if p.binned {
		gone := slices.DeleteFunc(slices.Clone(p.bin[p.object.Name]), func(r org.Row) bool { return r[by.Name] != id })
		rows = slices.Concat(rows, gone)
	}
	return p.rows(rows)
}

// rows are the candidates that the user may see and the query wants, in its order and bounds.
func (p *plan) rows(candidates []org.Row) []org.Row {
	rows := p.matching(candidates)
	return value.Bounded(value.Sort(rows, p.order), p.query)
}

func (p *plan) matching(candidates []org.Row) []org.Row {
	var rows []org.Row
	for _, row := range candidates {
		if p.scope(row) && p.reads(p.object, row) && p.keep(row) {
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
			if rows := c.children.childrenOf(rec.ID, c.ref); len(rows) > 0 {
				value = c.children.result(rows)
			}
		case c.parent != nil:
			if up, ok := v.climb(*c.parent, at.row); ok {
				fits := func(b branch) bool { return b.of == nil || b.of == up.object }
				if i := slices.IndexFunc(c.branches, fits); i >= 0 {
					value = v.record(up, c.branches[i].columns)
				}
			}
		default:
			value = c.get(at)
		}
		rec.Values[i] = Value{c.name, value}
	}
	return rec
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
			addColumn(&columns, nil, fieldColumn(ob, &f))
		}
	}
	for _, name := range fields {
		f := v.field(ob, name)
		if f == nil {
			return nil, noSuchField(ob, name)
		}
		addColumn(&columns, nil, fieldColumn(ob, f))
	}
	return v.record(place{ob, row}, columns), nil
}

func noSuchField(ob *org.Object, name string) *Error {
	return refuse(http.StatusBadRequest, "INVALID_FIELD", "No such column '%s' on sobject of type %s", name, ob.Name)
}
