package value_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stewardhq/steward/internal/sandbox/engine/value"
	"github.com/stewardhq/steward/internal/sandbox/org"
	"github.com/stewardhq/steward/internal/soql"
)

// TestLike holds patterns against regular expressions that say the same.
func TestLike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOfN(rapid.SampledFrom([]string{"%", "_", `\%`, `\_`, `\\`, "a", "B", "é", "ab", "\n", "%a"}), 0, 7).Draw(t, "pattern")
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "A", "b", "É", "%", "_", `\`, "\n", "x"}), 0, 8).Draw(t, "text"), "")
		like := strings.Join(pieces, "")
		expression := `(?is)\A`
		for _, p := range pieces {
			switch p {
			case "%", "%a":
				expression += ".*" + p[1:]
			case "_":
				expression += "."
			case `\%`, `\_`, `\\`:
				expression += regexp.QuoteMeta(p[1:])
			default:
				expression += regexp.QuoteMeta(p)
			}
		}
		is := &soql.Comparison{Left: &soql.Field{}, Op: soql.Like, Values: []*soql.Literal{{Value: soql.Pattern(like)}}}
		match, err := value.Calendar{}.Match(is, "Name", org.String)
		if err != nil {
			t.Fatal(err)
		}
		if want := regexp.MustCompile(expression + `\z`).MatchString(text); match(text) != want {
			t.Fatalf("%q LIKE %q is %v", text, like, !want)
		}
		if match(nil) {
			t.Fatal("null matches")
		}
	})
}

// TestSame draws texts and looks whether comparing, grouping and folding agree on which are the same.
func TestSame(t *testing.T) {
	word := rapid.StringOfN(rapid.SampledFrom([]rune("aAbßſsKk\u212aéÉ1")), 0, 3, -1)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := word.Draw(t, "a"), word.Draw(t, "b"), word.Draw(t, "c")
		same := value.Fold(a) == value.Fold(b)
		if (value.Compare(a, b) == 0) != same {
			t.Fatalf("%q and %q are folded to %q and %q and compare as %d", a, b, value.Fold(a), value.Fold(b), value.Compare(a, b))
		}
		if value.Compare(a, b) != -value.Compare(b, a) || value.Compare(a, b) < 0 && value.Compare(b, c) < 0 && value.Compare(a, c) >= 0 {
			t.Fatalf("no order: %q %q %q", a, b, c)
		}
		key := func(values ...any) string {
			var k []byte
			for _, v := range values {
				k = value.AppendKey(k, v)
			}
			return string(k)
		}
		if (key(a) == key(b)) != same || (key(a, nil, c) == key(b, nil, c)) != same {
			t.Fatalf("%q and %q have the keys %q and %q", a, b, key(a), key(b))
		}
		if key(a+"x", b) == key(a, "x"+b) {
			t.Fatalf("%q and %q: a value runs into the next", a, b)
		}
	})
}

func TestPicklistOrder(t *testing.T) {
	order := value.Comparer(&org.Field{Picklist: []string{"New", "Old", "Lost"}})
	values := []string{"zebra", "Lost", "apple", "New", "Old"}
	slices.SortFunc(values, func(a, b string) int { return order(a, b) })
	if want := []string{"New", "Old", "Lost", "apple", "zebra"}; !slices.Equal(values, want) {
		t.Errorf("got %q, want %q", values, want)
	}
}
