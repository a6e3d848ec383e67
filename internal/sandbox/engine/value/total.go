package value

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Total is one aggregate over the values it was given.
type Total struct {
	Function string             // COUNT, COUNT_DISTINCT, SUM, AVG, MIN or MAX
	Compare  func(a, b any) int // for MIN and MAX

	n        float64
	sum      float64
	extreme  any
	distinct map[any]bool
}

// Add takes a value in. Aggregates leave nil out.
func (t *Total) Add(v any) {
	if v == nil {
		return
	}
	t.n++
	switch t.Function {
	case "SUM", "AVG":
		t.sum += v.(float64)
	case "COUNT_DISTINCT":
		if t.distinct == nil {
			t.distinct = map[any]bool{}
		}
		t.distinct[Fold(v)] = true
	case "MIN":
		if t.extreme == nil || t.Compare(v, t.extreme) < 0 {
			t.extreme = v
		}
	case "MAX":
		if t.extreme == nil || t.Compare(v, t.extreme) > 0 {
			t.extreme = v
		}
	}
}

// Value is the result. Sums, averages and extremes of nothing are nil.
func (t *Total) Value() any {
	switch t.Function {
	case "COUNT":
		return t.n
	case "COUNT_DISTINCT":
		return float64(len(t.distinct))
	case "MIN", "MAX":
		return t.extreme
	}
	switch {
	case t.n == 0:
		return nil
	case t.Function == "AVG":
		return t.sum / t.n
	}
	return t.sum
}

// AppendKey writes a value so that two lists of values write the same only if Fold makes them the same: what a value
// is stands behind it, so that a list can only be read one way from its end.
func AppendKey(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		start := len(b)
		for i := range len(v) {
			c := v[i]
			if c >= utf8.RuneSelf {
				b = append(b[:start], strings.ToLower(v)...)
				break
			}
			if 'A' <= c && c <= 'Z' {
				c |= 0x20
			}
			b = append(b, c)
		}
		return append(binary.BigEndian.AppendUint32(b, uint32(len(b)-start)), 's')
	case float64:
		if v == 0 {
			v = 0 // there is a negative one too
		}
		return append(binary.BigEndian.AppendUint64(b, math.Float64bits(v)), 'n')
	case bool:
		return strconv.AppendBool(b, v)
	}
	return append(b, '-')
}
