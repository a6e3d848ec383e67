package engine

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/stewardhq/steward/internal/sandbox/engine/value"
	"github.com/stewardhq/steward/internal/sandbox/org"
	"github.com/stewardhq/steward/internal/soql"
)

const (
	maxGroups = 2000 // rows of a grouped query, whose result can't be paged
	maxRolled = 3    // fields of ROLLUP and CUBE
)

// grouping is what a query with GROUP BY or aggregates computes.
type grouping struct {
	keys    []operand[org.Row]
	sets    []uint // each way of grouping: a bit for each key that is rolled up, all details first
	sums    []aggregate
	columns []member
	having  func(*group) bool
	order   []value.Order[*group]
}

// aggregate is one function over the rows of a group.
type aggregate struct {
	of    func(org.Row) any
	empty value.Total
}

// member is one value of a group's row.
type member struct {
	name string
	get  func(*group) any
}

// group is the rows with equal keys, as far as they have been read.
type group struct {
	set    int // of grouping.sets
	keys   []any
	totals []value.Total
}

func isAggregate(c *soql.Call) bool {
	return slices.Contains([]string{"COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX"}, c.Name)
}

// aggregates says whether an expression is an aggregate, or shows one.
func aggregates(x soql.Expr) bool {
	call, ok := x.(*soql.Call)
	return ok && (isAggregate(call) || value.Shown(call.Name) && aggregates(call.Args[0]))
}

// group compiles keys, aggregates, HAVING and ORDER BY.
func (p *plan) group() *Error {
	g := &grouping{having: func(*group) bool { return true }}
	p.groups = g
	for _, x := range p.query.GroupBy {
		key, err := p.operand(x)
		if err != nil {
			return err
		}
		if !key.kind.Groupable() {
			return p.src.at(x.At(), "MALFORMED_QUERY", "field '%s' can not be grouped in a query call", key.name)
		}
		g.keys = append(g.keys, key)
	}
	if p.query.Grouping != "" && len(g.keys) > maxRolled {
		return p.src.at(p.query.GroupBy[maxRolled].At(), "MALFORMED_QUERY", "GROUP BY %s takes at most %d fields", p.query.Grouping, maxRolled)
	}
	g.sets = groupingSets(p.query.Grouping, len(g.keys))
	names, unnamed := map[string]bool{}, 0
	for _, s := range p.query.Select {
		col, ok := s.(*soql.Column)
		if !ok {
			return p.src.at(p.query.Pos, "MALFORMED_QUERY", "a query that aggregates selects fields and functions only")
		}
		of, err := p.groupOperand(col.Expr)
		if err != nil {
			return err
		}
		name := col.Alias
		if _, isCall := col.Expr.(*soql.Call); name == "" && isCall {
			name = "expr" + strconv.Itoa(unnamed)
			unnamed++
		} else if name == "" {
			name = of.name
		}
		if names[strings.ToLower(name)] {
			return p.src.at(col.Expr.At(), "MALFORMED_QUERY", "duplicate alias: %s", name)
		}
		names[strings.ToLower(name)] = true
		g.columns = append(g.columns, member{name, of.get})
	}
	var err *Error
	if p.query.Having != nil {
		if g.having, err = condition(p, p.query.Having, p.groupOperand); err != nil {
			return err
		}
	}
	g.order, err = orderings(p, p.groupOperand)
	return err
}

// groupingSets are the ways in which rows are grouped: by all keys, and with ROLLUP by ever fewer of them from the
// left, with CUBE by any of them.
func groupingSets(grouping string, keys int) []uint {
	sets := []uint{0}
	switch grouping {
	case "ROLLUP":
		for i := range keys {
			sets = append(sets, sets[i]|1<<(keys-1-i))
		}
	case "CUBE":
		for set := uint(1); set < 1<<keys; set++ {
			sets = append(sets, set)
		}
	}
	return sets
}

// groupOperand resolves what has one value in a group: a key, or an aggregate.
func (p *plan) groupOperand(x soql.Expr) (operand[*group], *Error) {
	call, _ := x.(*soql.Call)
	switch {
	case call != nil && isAggregate(call):
		return p.aggregateOperand(call)
	case call != nil && value.Shown(call.Name):
		return apply(p, call, p.groupOperand)
	case call != nil && call.Name == "GROUPING":
		i, err := p.key(call.Args[0])
		if err == nil && p.query.Grouping == "" {
			err = p.src.at(call.Pos, "MALFORMED_QUERY", "GROUPING() needs GROUP BY ROLLUP or CUBE")
		}
		return operand[*group]{text: call.String(), name: call.String(), kind: org.Int, order: value.Compare, get: func(g *group) any {
			return float64(p.groups.sets[g.set] >> i & 1)
		}}, err
	}
	i, err := p.key(x)
	if err != nil {
		return operand[*group]{}, err
	}
	key := p.groups.keys[i]
	return operand[*group]{key.text, key.name, key.leaf, key.kind, func(g *group) any { return g.keys[i] }, key.order}, nil
}

// key finds which of the keys an expression is.
func (p *plan) key(x soql.Expr) (int, *Error) {
	of, err := p.operand(x)
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(p.groups.keys, func(key operand[org.Row]) bool { return key.text == of.text })
	if i < 0 {
		return 0, p.src.at(x.At(), "MALFORMED_QUERY", "Field must be grouped or aggregated: %s", x)
	}
	return i, nil
}

func (p *plan) aggregateOperand(call *soql.Call) (operand[*group], *Error) {
	out := operand[*group]{text: call.String(), name: call.String(), kind: org.Double, order: value.Compare}
	if len(call.Args) == 0 {
		return out, p.src.at(call.Pos, "MALFORMED_QUERY", "COUNT() must be the only thing selected, and takes no GROUP BY")
	}
	field, ok := call.Args[0].(*soql.Field)
	if !ok {
		return out, p.src.at(call.Pos, "MALFORMED_QUERY", "aggregate function %s takes a field", call.Name)
	}
	of, err := p.operand(field)
	if err != nil {
		return out, err
	}
	sums, counts := call.Name == "SUM" || call.Name == "AVG", strings.HasPrefix(call.Name, "COUNT")
	if sums && !of.kind.IsNumber() || !of.kind.Aggregatable() && !(of.kind == org.Boolean && counts) {
		return out, p.src.at(call.Pos, "MALFORMED_QUERY", "field %s does not support aggregate operator %s", of.name, call.Name)
	}
	if !counts {
		out.kind, out.leaf, out.order = of.kind, of.leaf, of.order
	}
	i := len(p.groups.sums)
	p.groups.sums = append(p.groups.sums, aggregate{of.get, value.Total{Function: call.Name, Compare: of.order}})
	out.get = func(g *group) any { return g.totals[i].Value() }
	return out, nil
}

// aggregate reads the matching rows into groups, in the order in which they are met, and subtotals behind them.
func (p *plan) aggregate() (*Result, *Error) {
	g := p.groups
	byKey, groups := map[string]*group{}, []*group{}
	start := func(set int, key string, keys []any) *group {
		one := &group{set: set, keys: slices.Clone(keys), totals: make([]value.Total, len(g.sums))}
		for i, a := range g.sums {
			one.totals[i] = a.empty
		}
		byKey[key] = one
		groups = append(groups, one)
		return one
	}
	if len(g.keys) == 0 { // everything is one group, also when nothing matches
		start(0, "\x00", nil)
	}
	var key []byte
	all, keys, values := make([]any, len(g.keys)), make([]any, len(g.keys)), make([]any, len(g.sums))
	for _, row := range p.matching(p.candidates()) {
		for i, k := range g.keys {
			all[i] = k.get(row)
		}
		for i, a := range g.sums {
			values[i] = a.of(row)
		}
		for set, rolled := range g.sets {
			key = key[:0]
			for i := range all {
				keys[i] = nil
				if rolled>>i&1 == 0 {
					keys[i] = all[i]
				}
				key = value.AppendKey(key, keys[i])
			}
			key = append(key, byte(set))
			one, ok := byKey[string(key)]
			if !ok {
				one = start(set, string(key), keys)
			}
			for i := range one.totals {
				one.totals[i].Add(values[i])
			}
		}
	}
	slices.SortStableFunc(groups, func(a, b *group) int { return a.set - b.set })
	kept := slices.DeleteFunc(groups, func(one *group) bool { return !g.having(one) })
	kept = value.Bounded(value.Sort(kept, g.order), p.query)
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
