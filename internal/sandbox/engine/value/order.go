package value

import (
	"slices"

	"github.com/stewardhq/steward/internal/soql"
)

// Order is one member of ORDER BY, over rows of type T.
type Order[T any] struct {
	Of              func(T) any
	Compare         func(a, b any) int // of values that are not nil
	Desc, NullsLast bool
}

// Sort orders rows; equal ones keep their order.
func Sort[T any](rows []T, order []Order[T]) []T {
	if len(order) == 0 {
		return rows
	}
	type keyed struct {
		row  T
		keys []any
	}
	all, keys := make([]keyed, len(rows)), make([]any, len(rows)*len(order))
	for i, row := range rows {
		all[i] = keyed{row, keys[i*len(order) : (i+1)*len(order)]}
		for j, o := range order {
			all[i].keys[j] = o.Of(row)
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

func (o Order[T]) compare(a, b any) int {
	first := -1 // where a nil a stands
	if o.NullsLast {
		first = 1
	}
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return first
	case b == nil:
		return -first
	case o.Desc:
		return o.Compare(b, a)
	}
	return o.Compare(a, b)
}

// Bounded are the rows that OFFSET and LIMIT leave.
func Bounded[T any](rows []T, q *soql.Query) []T {
	if q.Offset != nil {
		rows = rows[min(q.Offset.N, len(rows)):]
	}
	if q.Limit != nil {
		rows = rows[:min(q.Limit.N, len(rows))]
	}
	return rows
}
