package soql

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestQuote(t *testing.T) {
	for s, want := range map[string]string{
		"":               `''`,
		"O'Brien":        `'O\'Brien'`,
		`a\b`:            `'a\\b'`,
		"\n\r\t\b\f":     `'\n\r\t\b\f'`,
		"x' OR Id != '":  `'x\' OR Id != \''`,
		`\' OR Id != ''`: `'\\\' OR Id != \'\''`,
		"100%_é😀":        `'100%_é😀'`,
	} {
		if got := Quote(s); got != want {
			t.Errorf("Quote(%q) is %s, want %s", s, got, want)
		}
	}
}

func TestQuoteLike(t *testing.T) {
	for pattern, want := range map[string]string{
		"A%":                              `'A%'`,
		"%" + LikeEscape("10%_a\\") + "%": `'%10\%\_a\\%'`,
		`back\slash`:                      `'back\\slash'`,
		`ends in \`:                       `'ends in \\'`,
		"O'B%":                            `'O\'B%'`,
		`\' OR Id != '`:                   `'\\\' OR Id != \''`,
	} {
		if got := QuoteLike(pattern); got != want {
			t.Errorf("QuoteLike(%q) is %s, want %s", pattern, got, want)
		}
	}
}

// TestQuotesHold puts any text into a query and finds it there as one value, and nothing else changed.
func TestQuotesHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyText().Draw(t, "s")
		and := mustParseIn(t, "SELECT Id FROM A WHERE B = "+Quote(s)+" AND C LIKE "+QuoteLike(LikeEscape(s))+
			" AND D LIKE "+QuoteLike(s)).Where.(*And)
		value := func(i int) any { return and.Terms[i].(*Comparison).Values[0].Value }
		if len(and.Terms) != 3 || value(0) != s || value(1) != Pattern(LikeEscape(s)) {
			t.Fatalf("%q became %#v and %#v", s, value(0), value(1))
		}
		if _, ok := value(2).(Pattern); !ok {
			t.Fatalf("%q became %#v", s, value(2))
		}
	})
}

func mustParseIn(t *rapid.T, src string) *Query {
	q, err := Parse(src)
	if err != nil {
		t.Fatalf("%s\n%v", src, err)
	}
	return q
}

// TestRoundTrip prints queries made of everything the grammar has and reads them back.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { roundTrip(t, anyQuery(t, 3)) })
}

// anyText is heavy on what quoting must get right.
func anyText() *rapid.Generator[string] {
	return rapid.StringOf(rapid.OneOf(rapid.SampledFrom([]rune(`'"\\\%_nu0 `+"\n\x00é😀")), rapid.Rune()))
}

func anyName(t *rapid.T) string {
	return rapid.StringMatching(`[A-Za-z][a-z0-9_]{0,5}__[cr]`).Draw(t, "name")
}

func anyPath(t *rapid.T) []string {
	return rapid.SliceOfN(rapid.Custom(anyName), 1, 3).Draw(t, "path")
}

func anyField(t *rapid.T) *Field { return &Field{Path: anyPath(t)} }

func anyExpr(t *rapid.T) Expr {
	function := rapid.SampledFrom([]string{"", "SUM", "COUNT", "FORMAT", "CALENDAR_YEAR", "DISTANCE"}).Draw(t, "function")
	switch function {
	case "":
		return anyField(t)
	case "DISTANCE":
		location := &Call{Name: "GEOLOCATION", Args: []Expr{anyNumber(t), anyNumber(t)}}
		return &Call{Name: function, Args: []Expr{anyField(t), location, &Literal{Value: "km"}}}
	}
	return &Call{Name: function, Args: []Expr{anyExpr(t)}}
}

func anyNumber(t *rapid.T) *Literal {
	return &Literal{Value: rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64).Draw(t, "number")}
}

func anyLiteral(t *rapid.T) *Literal {
	at := rapid.Int64Range(-8e9, 6e10).Draw(t, "at")
	switch rapid.IntRange(0, 7).Draw(t, "type") {
	case 0:
		return &Literal{Value: rapid.Bool().Draw(t, "bool")}
	case 1:
		return anyNumber(t)
	case 2:
		return &Literal{Value: anyText().Draw(t, "text")}
	case 3:
		y, m, d := time.Unix(at, 0).UTC().Date()
		return &Literal{Value: Date{y, m, d}}
	case 4:
		return &Literal{Value: time.Unix(at, rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()}
	case 5:
		name := rapid.SampledFrom([]string{"LAST_N_DAYS", "NEXT_N_WEEKS", "N_FISCAL_YEARS_AGO"}).Draw(t, "literal")
		return &Literal{Value: DateLiteral{Name: name, N: rapid.IntRange(0, math.MaxInt32).Draw(t, "n")}}
	case 6:
		return &Literal{Value: Money{Currency: "EUR", Amount: anyNumber(t).Value.(float64)}}
	}
	return &Literal{}
}

func anyCondition(t *rapid.T, depth int) Condition {
	shape := rapid.IntRange(0, 6).Draw(t, "condition")
	if depth == 0 {
		shape %= 4
	}
	terms := func() []Condition {
		return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Condition { return anyCondition(t, depth-1) }), 2, 3).Draw(t, "terms")
	}
	c := &Comparison{Left: anyExpr(t)}
	switch shape {
	case 0:
		c.Op = rapid.SampledFrom([]Operator{Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual}).Draw(t, "op")
		c.Values = []*Literal{anyLiteral(t)}
	case 1:
		c.Op, c.Values = Like, []*Literal{{Value: Pattern("%" + LikeEscape(anyText().Draw(t, "text")) + "_")}}
	case 2:
		c.Op = rapid.SampledFrom([]Operator{In, NotIn, Includes, Excludes}).Draw(t, "op")
		c.Values = rapid.SliceOfN(rapid.Custom(anyLiteral), 1, 3).Draw(t, "values")
	case 3:
		if depth == 0 {
			return &Comparison{Left: anyField(t), Op: Equal, Values: []*Literal{{}}}
		}
		c.Op, c.Query = NotIn, anyQuery(t, depth-1)
	case 4:
		return &And{Terms: terms()}
	case 5:
		return &Or{Terms: terms()}
	case 6:
		return &Not{Term: anyCondition(t, depth-1)}
	}
	return c
}

func anySelection(t *rapid.T, depth int) Selection {
	fields := func() []*Field { return rapid.SliceOfN(rapid.Custom(anyField), 1, 2).Draw(t, "fields") }
	shape := rapid.IntRange(0, 4).Draw(t, "selection")
	switch {
	case shape == 0:
		return &Fields{Set: rapid.SampledFrom([]string{"ALL", "STANDARD", "CUSTOM"}).Draw(t, "set")}
	case shape == 1:
		s := &TypeOf{Of: anyField(t), Whens: []When{{Object: anyName(t), Fields: fields()}}}
		if rapid.Bool().Draw(t, "else") {
			s.Else = fields()
		}
		return s
	case shape == 2 && depth > 0:
		return &Subquery{Query: anyQuery(t, depth-1)}
	case shape == 3:
		return &Column{Expr: anyExpr(t), Alias: anyName(t)}
	}
	return &Column{Expr: anyExpr(t)}
}

func anyQuery(t *rapid.T, depth int) *Query {
	some := func(what string) bool { return rapid.Bool().Draw(t, what) }
	word := func(of ...string) *Word { return &Word{Text: rapid.SampledFrom(of).Draw(t, "word")} }
	q := &Query{
		Select: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Selection { return anySelection(t, depth) }), 1, 3).Draw(t, "select"),
		From:   Source{Path: anyPath(t), Alias: rapid.SampledFrom([]string{"", "a"}).Draw(t, "alias")},
	}
	if some("count") {
		q.Select = []Selection{&Column{Expr: &Call{Name: "COUNT"}}}
	}
	if some("aliases") {
		q.Aliases = []Source{{Path: anyPath(t), Alias: "b"}}
	}
	if some("scope") {
		q.Scope = word("mine", "Team")
	}
	if some("where") {
		q.Where = anyCondition(t, depth)
	}
	if some("mode") {
		q.Mode = word("SECURITY_ENFORCED", "USER_MODE", "SYSTEM_MODE")
	}
	if some("categories") {
		q.Categories = []CategoryFilter{
			{Group: anyName(t), Selector: "ABOVE", Names: []string{anyName(t)}},
			{Group: anyName(t), Selector: "AT", Names: []string{anyName(t), anyName(t)}},
		}
	}
	if some("group") {
		q.GroupBy = rapid.SliceOfN(rapid.Custom(anyExpr), 1, 2).Draw(t, "group by")
		q.Grouping = rapid.SampledFrom([]string{"", "ROLLUP", "CUBE"}).Draw(t, "grouping")
		if some("having") {
			q.Having = anyCondition(t, depth)
		}
	}
	if some("order") {
		q.OrderBy = []Order{{Expr: anyExpr(t), Desc: some("desc"), NullsLast: some("nulls last")}, {Expr: anyExpr(t)}}
	}
	if some("limit") {
		q.Limit = &Count{N: rapid.IntRange(0, math.MaxInt32).Draw(t, "limit")}
	}
	if some("offset") {
		q.Offset = &Count{N: rapid.IntRange(0, 2000).Draw(t, "offset")}
	}
	if some("all rows") {
		q.AllRows = &Word{Text: "ALL ROWS"}
	}
	if some("for") {
		q.For = []Word{*word("VIEW", "REFERENCE", "UPDATE"), {Text: "VIEW"}}
	}
	if some("update") {
		q.Update = []Word{*word("TRACKING", "VIEWSTAT")}
	}
	return q
}

// FuzzParse holds that Parse neither fails otherwise than by a SyntaxError within the text, nor reads
// anything that doesn't read the same once printed.
func FuzzParse(f *testing.F) {
	valid, invalid := samples(f)
	for _, src := range append(valid, invalid...) {
		f.Add(src)
	}
	f.Add(`SELECT a.b c, SUM(d) FROM e WHERE f LIKE '\%\'\u00e9' AND (NOT g = n_weeks_ago:3) AND h > -.5 FOR VIEW`)
	f.Fuzz(func(t *testing.T, src string) {
		q, err := Parse(src)
		if err == nil {
			if len(q.String()) <= maxSource {
				roundTrip(t, q)
			}
			return
		}
		e, ok := err.(*SyntaxError)
		if !ok || e.Pos < 0 || e.Pos > len(src) || e.Row < 1 || e.Column < 1 || e.Msg == "" ||
			e.Row > strings.Count(src, "\n")+1 {
			t.Fatalf("%q fails with %#v", src, err)
		}
	})
}
