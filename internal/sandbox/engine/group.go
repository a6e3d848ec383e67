package engine

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/stewardhq/steward/internal/sandbox/org"
	"github.com/stewardhq/steward/internal/soql"
)

// grouping is what a query with GROUP BY or aggregates computes.
type grouping struct {
	keys    []path
	sums    []aggregate
	columns []member
	having  func(*group) bool
	order   []ordering[*group]
}

// aggregate is one function over the rows of a group.
type aggregate struct {
	name string
	of   path
	rows bool // COUNT of rows instead of values
}

// member is one value of a group's row.
type member struct {
	name string
	get  func(*group) any
}

// group is the rows with equal keys, as far as they have been read.
type group struct {
	keys   []any
	totals []total
}

// total is what an aggregate has seen of its group.
type total struct {
	n        float64 // values, or rows
	sum      float64
	min, max any
	distinct map[any]bool
}

func isAggregate(c *soql.Call) bool {
	return slices.Contains([]string{"COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX"}, c.Name)
}

func aggregates(s soql.Selection) bool {
	call := selected(s)
	return call != nil && isAggregate(call)
}

// group compiles keys, aggregates, HAVING and ORDER BY.
func (p *plan) group() *Error {
	g := &grouping{having: func(*group) bool { return true }}
	p.groups = g
	for _, x := range p.query.GroupBy {
		key, err := p.value(x)
		if err != nil {
			return err
		}
		if !Groupable(key.leaf.kind) {
			return p.src.at(x.At(), "MALFORMED_QUERY", "field '%s' can not be grouped in a query call", key.leaf.name)
		}
		g.keys = append(g.keys, key)
	}
	names, unnamed := map[string]bool{}, 0
	for _, s := range p.query.Select {
		col, ok := s.(*soql.Column)
		if !ok {
			return p.src.at(p.query.Pos, "MALFORMED_QUERY", "a query that aggregates selects fields and functions only")
		}
		value, err := p.groupOperand(col.Expr)
		if err != nil {
			return err
		}
		name := col.Alias
		if _, isCall := col.Expr.(*soql.Call); name == "" && isCall {
			name = "expr" + strconv.Itoa(unnamed)
			unnamed++
		} else if name == "" {
			name = value.name
		}
		if names[strings.ToLower(name)] {
			return p.src.at(col.Expr.At(), "MALFORMED_QUERY", "duplicate alias: %s", name)
		}
		names[strings.ToLower(name)] = true
		g.columns = append(g.columns, member{name, value.get})
	}
	if p.query.Having != nil {
		var err *Error
		if g.having, err = condition(p, p.query.Having, p.groupOperand); err != nil {
			return err
		}
	}
	for _, o := range p.query.OrderBy {
		by, err := p.groupOperand(o.Expr)
		if err != nil {
			return err
		}
		g.order = append(g.order, ordering[*group]{by.get, o.Desc, o.NullsLast})
	}
	return nil
}

// groupOperand resolves what has one value in a group: a key, or an aggregate.
func (p *plan) groupOperand(x soql.Expr) (operand[*group], *Error) {
	call, ok := x.(*soql.Call)
	if !ok || !isAggregate(call) {
		at, err := p.value(x)
		if err != nil {
			return operand[*group]{}, err
		}
		for i, key := range p.groups.keys {
			if key.String() == at.String() {
				return operand[*group]{at.leaf.name, at.leaf.kind, func(g *group) any { return g.keys[i] }}, nil
			}
		}
		return operand[*group]{}, p.src.at(x.At(), "MALFORMED_QUERY", "Field must be grouped or aggregated: %s", x)
	}
	a := aggregate{name: call.Name, rows: len(call.Args) == 0}
	if a.rows && len(p.query.GroupBy) == 0 {
		return operand[*group]{}, p.src.at(call.Pos, "MALFORMED_QUERY", "COUNT() must be the only thing selected")
	}
	if !a.rows {
		var err *Error
		if a.of, err = p.value(call.Args[0]); err != nil {
			return operand[*group]{}, err
		}
		kind := a.of.leaf.kind
		sums := a.name == "SUM" || a.name == "AVG"
		if len(call.Args) > 1 || sums && !isNumber(kind) || !Aggregatable(kind) && !(kind == org.Boolean && strings.HasPrefix(a.name, "COUNT")) {
			return operand[*group]{}, p.src.at(call.Pos, "MALFORMED_QUERY", "field %s does not support aggregate operator %s", a.of.leaf.name, a.name)
		}
	}
	i := len(p.groups.sums)
	p.groups.sums = append(p.groups.sums, a)
	kind := org.Double
	if a.name == "MIN" || a.name == "MAX" {
		kind = a.of.leaf.kind
	}
	return operand[*group]{call.String(), kind, func(g *group) any { return g.totals[i].value(a.name) }}, nil
}

// String writes the path with the schema's own names.
func (p path) String() string {
	var b strings.Builder
	for _, s := range p.steps {
		b.WriteString(s.name + ".")
	}
	return b.String() + p.leaf.name
}

// aggregate reads the matching rows into groups, in the order in which they are met.
func (p *plan) aggregate() (*Result, *Error) {
	g := p.groups
	byKey, groups := map[string]*group{}, []*group{}
	start := func(key string, keys []any) *group {
		one := &group{keys: keys, totals: make([]total, len(g.sums))}
		byKey[key] = one
		groups = append(groups, one)
		return one
	}
	if len(g.keys) == 0 { // everything is one group, also when nothing matches
		start("", nil)
	}
	var key []byte
	for _, row := range p.matching(p.candidates()) {
		keys := make([]any, len(g.keys))
		key = key[:0]
		for i, k := range g.keys {
			keys[i] = p.get(k, row)
			key = appendKey(key, keys[i])
		}
		one, ok := byKey[string(key)]
		if !ok {
			one = start(string(key), keys)
		}
		for i, a := range g.sums {
			if a.rows {
				one.totals[i].n++
			} else if value := p.get(a.of, row); value != nil {
				one.totals[i].add(a.name, value)
			}
		}
	}
	var kept []*group
	for _, one := range groups {
		if g.having(one) {
			kept = append(kept, one)
		}
	}
	kept = bounded(sorted(kept, g.order), p.query)
	if len(kept) > maxGroups {
		return nil, refuse(http.StatusBadRequest, "EXCEEDED_ID_LIMIT", "Aggregate query does not support queryMore(), use LIMIT to restrict the results to a single batch")
	}
	result := &Result{Total: len(kept), Records: make([]*Record, len(kept))}
	for i, one := range kept {
		rec := &Record{Type: Aggregate, Values: make([]Value, len(g.columns))}
		for j, c := range g.columns {
			rec.Values[j] = Value{c.name, c.get(one)}
		}
		result.Records[i] = rec
	}
	return result, nil
}

// appendKey writes a value so that no two lists of values write the same.
func appendKey(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		b = append(b, 's')
		return strconv.AppendQuote(b, strings.ToLower(v))
	case float64:
		b = append(b, 'n')
		return append(strconv.AppendFloat(b, v, 'g', -1, 64), ';')
	case bool:
		return strconv.AppendBool(b, v)
	}
	return append(b, '-')
}

func (t *total) add(name string, value any) {
	t.n++
	switch name {
	case "SUM", "AVG":
		t.sum += value.(float64)
	case "COUNT_DISTINCT":
		if t.distinct == nil {
			t.distinct = map[any]bool{}
		}
		t.distinct[fold(value)] = true
	case "MIN":
		if t.min == nil || compare(value, t.min) < 0 {
			t.min = value
		}
	case "MAX":
		if t.max == nil || compare(value, t.max) > 0 {
			t.max = value
		}
	}
}

// value is the aggregate's result. Sums, averages and extremes of nothing are null.
func (t *total) value(name string) any {
	switch name {
	case "COUNT":
		return t.n
	case "COUNT_DISTINCT":
		return float64(len(t.distinct))
	case "MIN":
		return t.min
	case "MAX":
		return t.max
	}
	if t.n == 0 {
		return nil
	}
	if name == "AVG" {
		return t.sum / t.n
	}
	return t.sum
}
