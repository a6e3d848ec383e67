package soql

import (
	"strconv"
	"strings"
)

// maxDepth bounds how deep parentheses, functions and subqueries may nest, so that neither parsing a
// query nor walking its tree can exhaust the stack.
const maxDepth = 100

// Parse reads one query. Its error is a *SyntaxError.
//
// The grammar is that of the SOQL and SOSL Reference without what only Apex has (bind variables).
// Functions are known by name and number of arguments; what else depends on the schema, or on how
// clauses fit together (aggregates and GROUP BY, say), is for whoever evaluates the query.
func Parse(src string) (*Query, error) {
	tokens, err := lex(src)
	if err != nil {
		return nil, err
	}
	p := &parser{src: src, tokens: tokens}
	q := p.query()
	if p.err == nil && p.next().kind != endToken {
		p.unexpected()
	}
	if p.err != nil {
		return nil, p.err
	}
	return q, nil
}

// parser is at tokens[0]. After its first error it is at the end of the text, where nothing matches
// any more, so that parsing ends soon without every step asking; the tree is then thrown away.
type parser struct {
	src    string
	tokens []token
	depth  int
	err    *SyntaxError
}

func (p *parser) next() token { return p.tokens[0] }

// second is the token after the next one.
func (p *parser) second() token { return p.tokens[min(1, len(p.tokens)-1)] }

func (p *parser) take() token {
	t := p.tokens[0]
	if t.kind != endToken {
		p.tokens = p.tokens[1:]
	}
	return t
}

func (p *parser) fail(pos int, near, format string, args ...any) {
	if p.err == nil {
		p.err = syntaxError(p.src, pos, near, format, args...)
		p.tokens = p.tokens[len(p.tokens)-1:]
	}
}

// unexpected fails at the next token.
func (p *parser) unexpected() {
	t := p.next()
	p.fail(t.pos, t.shown(), "unexpected token: '%s'", t.shown())
}

// deeper counts a level of nesting until the function it returns is called.
func (p *parser) deeper() (leave func()) {
	p.depth++
	if p.depth > maxDepth {
		t := p.next()
		p.fail(t.pos, t.shown(), "the query nests more than %d levels deep", maxDepth)
	}
	return func() { p.depth-- }
}

func (t token) is(word string) bool { return t.kind == nameToken && strings.EqualFold(t.text, word) }

func (t token) isSymbol(s string) bool { return t.kind == symbolToken && t.text == s }

// word takes the next token if it is this keyword.
func (p *parser) word(word string) bool {
	if !p.next().is(word) {
		return false
	}
	p.take()
	return true
}

// words takes two keywords, or none.
func (p *parser) words(first, second string) bool {
	if !p.next().is(first) || !p.second().is(second) {
		return false
	}
	p.take()
	p.take()
	return true
}

func (p *parser) symbol(s string) bool {
	if !p.next().isSymbol(s) {
		return false
	}
	p.take()
	return true
}

func (p *parser) wantWord(word string) {
	if !p.word(word) {
		p.unexpected()
	}
}

func (p *parser) wantSymbol(s string) {
	if !p.symbol(s) {
		p.unexpected()
	}
}

// oneOf takes one of these keywords and gives it in upper case.
func (p *parser) oneOf(words ...string) Word {
	for _, w := range words {
		if pos := p.next().pos; p.word(w) {
			return Word{Pos: pos, Text: w}
		}
	}
	p.unexpected()
	return Word{}
}

// list reads one or more items with commas between them.
func list[T any](p *parser, item func() T) []T {
	items := []T{item()}
	for p.symbol(",") {
		items = append(items, item())
	}
	return items
}

// reserved tells the keywords that can be neither the name of a field nor an alias.
// Source: "Alias Notation" of the SOQL and SOSL Reference.
func (t token) reserved() bool {
	switch strings.ToUpper(t.text) {
	case "AND", "ASC", "DESC", "EXCLUDES", "FIRST", "FROM", "GROUP", "HAVING", "IN", "INCLUDES", "LAST",
		"LIKE", "LIMIT", "NOT", "NULL", "NULLS", "OR", "SELECT", "USING", "WHERE", "WITH":
		return true
	}
	return false
}

// path takes a name with dots.
func (p *parser) path() []string {
	if t := p.next(); t.kind != nameToken || t.reserved() {
		p.unexpected()
		return nil
	}
	return strings.Split(p.take().text, ".")
}

// plain takes a name without dots.
func (p *parser) plain() Word {
	if t := p.next(); t.kind != nameToken || t.reserved() || strings.Contains(t.text, ".") {
		p.unexpected()
		return Word{}
	}
	t := p.take()
	return Word{Pos: t.pos, Text: t.text}
}

// window reads the order of what is found, and which of it is wanted.
func (p *parser) window(q *Query) {
	if p.words("ORDER", "BY") {
		q.OrderBy = list(p, p.order)
	}
	if p.word("LIMIT") {
		q.Limit = p.count()
	}
	if p.word("OFFSET") {
		q.Offset = p.count()
	}
}

func (p *parser) query() *Query {
	defer p.deeper()()
	q := &Query{Pos: p.next().pos}
	p.wantWord("SELECT")
	q.Select = p.selectList()
	p.wantWord("FROM")
	sources := list(p, p.source)
	q.From = sources[0]
	if len(sources) > 1 {
		q.Aliases = sources[1:]
	}
	if p.words("USING", "SCOPE") {
		scope := p.plain()
		q.Scope = &scope
	}
	if p.word("WHERE") {
		q.Where = p.condition()
	}
	p.with(q)
	if p.words("GROUP", "BY") {
		p.groupBy(q)
		if p.word("HAVING") {
			q.Having = p.condition()
		}
	}
	p.window(q)
	for {
		t := p.next()
		switch {
		case q.AllRows == nil && p.words("ALL", "ROWS"):
			q.AllRows = &Word{Pos: t.pos, Text: "ALL ROWS"}
		case p.word("FOR"):
			q.For = append(q.For, list(p, func() Word { return p.oneOf("VIEW", "REFERENCE", "UPDATE") })...)
		case q.Update == nil && p.word("UPDATE"):
			q.Update = list(p, func() Word { return p.oneOf("TRACKING", "VIEWSTAT") })
		default:
			return q
		}
	}
}

func (p *parser) selectList() []Selection {
	if first := p.next(); first.is("COUNT") && p.second().isSymbol("(") &&
		len(p.tokens) > 2 && p.tokens[2].isSymbol(")") {
		p.tokens = p.tokens[3:]
		return []Selection{&Column{Expr: &Call{Pos: first.pos, Name: "COUNT"}}}
	}
	return list(p, p.selection)
}

func (p *parser) selection() Selection {
	t := p.next()
	switch {
	case p.symbol("("):
		s := &Subquery{Pos: t.pos, Query: p.query()}
		p.wantSymbol(")")
		return s
	case t.is("FIELDS") && p.second().isSymbol("("):
		p.take()
		p.take()
		s := &Fields{Pos: t.pos, Set: p.oneOf("ALL", "STANDARD", "CUSTOM").Text}
		p.wantSymbol(")")
		return s
	case p.word("TYPEOF"):
		return p.typeOf(t.pos)
	}
	c := &Column{Expr: p.expr()}
	if p.next().kind == nameToken && !p.next().reserved() {
		c.Alias = p.plain().Text
	}
	return c
}

func (p *parser) typeOf(pos int) *TypeOf {
	s := &TypeOf{Pos: pos, Of: p.field()}
	for when := p.next(); len(s.Whens) == 0 || when.is("WHEN"); when = p.next() {
		p.wantWord("WHEN")
		object := p.plain().Text
		p.wantWord("THEN")
		s.Whens = append(s.Whens, When{Pos: when.pos, Object: object, Fields: list(p, p.field)})
	}
	if p.word("ELSE") {
		s.Else = list(p, p.field)
	}
	p.wantWord("END")
	return s
}

func (p *parser) source() Source {
	s := Source{Pos: p.next().pos}
	if t := p.next(); t.is("GROUP") || t.is("ORDER") { // they are objects as well
		s.Path = []string{p.take().text}
	} else {
		s.Path = p.path()
	}
	switch t := p.next(); strings.ToUpper(t.text) {
	case "ORDER", "BY", "OFFSET", "ALL", "FOR", "UPDATE": // not reserved, but here they begin a clause
	default:
		if t.kind == nameToken && !t.reserved() {
			s.Alias = p.plain().Text
		}
	}
	return s
}

func (p *parser) with(q *Query) {
	for {
		switch {
		case q.Categories == nil && p.next().is("WITH") && p.second().is("DATA"):
			p.take()
			p.take()
			p.wantWord("CATEGORY")
			q.Categories = append(q.Categories, p.category())
			for p.word("AND") {
				q.Categories = append(q.Categories, p.category())
			}
		case q.Mode == nil && p.word("WITH"):
			mode := p.oneOf("SECURITY_ENFORCED", "USER_MODE", "SYSTEM_MODE")
			q.Mode = &mode
		default:
			return
		}
	}
}

func (p *parser) category() CategoryFilter {
	group := p.plain()
	f := CategoryFilter{Pos: group.Pos, Group: group.Text}
	f.Selector = p.oneOf("AT", "ABOVE", "BELOW", "ABOVE_OR_BELOW").Text
	item := func() string { return p.plain().Text }
	if p.symbol("(") {
		f.Names = list(p, item)
		p.wantSymbol(")")
	} else {
		f.Names = []string{item()}
	}
	return f
}

func (p *parser) groupBy(q *Query) {
	if t := p.next(); (t.is("ROLLUP") || t.is("CUBE")) && p.second().isSymbol("(") {
		q.Grouping = p.oneOf("ROLLUP", "CUBE").Text
		p.wantSymbol("(")
		q.GroupBy = list(p, p.expr)
		p.wantSymbol(")")
		return
	}
	q.GroupBy = list(p, p.expr)
}

func (p *parser) order() Order {
	o := Order{Expr: p.expr()}
	if !p.word("ASC") {
		o.Desc = p.word("DESC")
	}
	if p.word("NULLS") {
		o.NullsLast = p.oneOf("FIRST", "LAST").Text == "LAST"
	}
	return o
}

func (p *parser) count() *Count {
	t := p.next()
	n, err := strconv.ParseUint(t.text, 10, 31)
	if t.kind != numberToken || err != nil {
		p.unexpected()
		return nil
	}
	p.take()
	return &Count{Pos: t.pos, N: int(n)}
}

func (p *parser) expr() Expr {
	if t := p.next(); t.kind == nameToken && !t.reserved() && p.second().isSymbol("(") {
		return p.call()
	}
	return p.field()
}

func (p *parser) field() *Field {
	return &Field{Pos: p.next().pos, Path: p.path()}
}

// call reads a function. All take one argument, save DISTANCE and the GEOLOCATION in it.
func (p *parser) call() Expr {
	defer p.deeper()()
	t := p.take()
	c := &Call{Pos: t.pos, Name: strings.ToUpper(t.text)}
	switch c.Name {
	case "COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX", "GROUPING",
		"TOLABEL", "FORMAT", "CONVERTCURRENCY", "CONVERTTIMEZONE",
		"CALENDAR_MONTH", "CALENDAR_QUARTER", "CALENDAR_YEAR",
		"FISCAL_MONTH", "FISCAL_QUARTER", "FISCAL_YEAR",
		"DAY_IN_MONTH", "DAY_IN_WEEK", "DAY_IN_YEAR", "DAY_ONLY",
		"WEEK_IN_MONTH", "WEEK_IN_YEAR", "HOUR_IN_DAY":
		p.wantSymbol("(")
		c.Args = []Expr{p.expr()}
	case "DISTANCE":
		p.wantSymbol("(")
		from := p.location()
		p.wantSymbol(",")
		to := p.location()
		p.wantSymbol(",")
		c.Args = []Expr{from, to, p.literalOf(stringToken)}
	default:
		p.unexpected() // the parenthesis
	}
	p.wantSymbol(")")
	return c
}

// location reads what DISTANCE measures between: a field or a GEOLOCATION(latitude, longitude).
func (p *parser) location() Expr {
	t := p.next()
	if !t.is("GEOLOCATION") || !p.second().isSymbol("(") {
		return p.field()
	}
	p.take()
	p.take()
	latitude := p.literalOf(numberToken)
	p.wantSymbol(",")
	longitude := p.literalOf(numberToken)
	p.wantSymbol(")")
	return &Call{Pos: t.pos, Name: "GEOLOCATION", Args: []Expr{latitude, longitude}}
}

// literalOf reads a literal of one kind.
func (p *parser) literalOf(k kind) *Literal {
	if p.next().kind != k {
		p.unexpected()
	}
	return p.literal(Equal)
}

// condition reads terms joined by AND, or by OR, or one NOT. Where these meet, the language wants
// parentheses, and so whatever follows is unexpected.
func (p *parser) condition() Condition {
	defer p.deeper()()
	if t := p.next(); p.word("NOT") {
		return &Not{Pos: t.pos, Term: p.term()}
	}
	terms := []Condition{p.term()}
	joinedBy := "OR"
	if p.next().is("AND") {
		joinedBy = "AND"
	}
	for p.word(joinedBy) {
		terms = append(terms, p.term())
	}
	switch {
	case len(terms) == 1:
		return terms[0]
	case joinedBy == "AND":
		return &And{Terms: terms}
	}
	return &Or{Terms: terms}
}

// term reads a condition in parentheses or a comparison.
func (p *parser) term() Condition {
	if p.symbol("(") {
		c := p.condition()
		p.wantSymbol(")")
		return c
	}
	c := &Comparison{Left: p.expr(), Pos: p.next().pos}
	c.Op = p.operator()
	value := func() *Literal { return p.literal(c.Op) }
	switch {
	case !c.Op.takesList():
		c.Values = []*Literal{value()}
		return c
	case (c.Op == In || c.Op == NotIn) && p.next().isSymbol("(") && p.second().is("SELECT"):
		p.take()
		c.Query = p.query()
	default:
		p.wantSymbol("(")
		c.Values = list(p, value)
	}
	p.wantSymbol(")")
	return c
}

func (p *parser) operator() Operator {
	for _, op := range []Operator{Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual} {
		if p.symbol(string(op)) {
			return op
		}
	}
	switch {
	case p.symbol("<>"):
		return NotEqual
	case p.words("NOT", "IN"):
		return NotIn
	}
	return Operator(p.oneOf(string(Like), string(In), string(Includes), string(Excludes)).Text)
}

func (p *parser) literal(op Operator) *Literal {
	t := p.next()
	l := &Literal{Pos: t.pos}
	ok := true
	switch t.kind {
	case stringToken:
		p.take()
		s, at, err := unquote(t.text, op == Like)
		if err != nil {
			p.fail(t.pos+at, t.shown(), "%s", err)
		}
		l.Value = s
		if op == Like {
			l.Value = Pattern(s)
		}
		return l
	case numberToken:
		f, err := strconv.ParseFloat(t.text, 64)
		l.Value, ok = f, err == nil
	case moneyToken:
		l.Value, ok = parseMoney(t.text)
	case dateToken:
		l.Value, ok = parseDate(t.text)
	case dateTimeToken:
		l.Value, ok = parseTime(t.text)
	case nameToken:
		return p.namedLiteral(l)
	default:
		ok = false
	}
	if !ok {
		p.unexpected()
	}
	p.take()
	return l
}

// namedLiteral reads the literals that look like names.
func (p *parser) namedLiteral(l *Literal) *Literal {
	t := p.next()
	upper := strings.ToUpper(t.text)
	m, isMoney := parseMoney(t.text)
	_, takesN, isDate := spanOf(upper)
	switch {
	case upper == "NULL":
		p.take()
	case upper == "TRUE" || upper == "FALSE":
		p.take()
		l.Value = upper == "TRUE"
	case isMoney:
		p.take()
		l.Value = m
	case isDate:
		p.take()
		d := DateLiteral{Name: upper}
		if takesN {
			p.wantSymbol(":")
			if n := p.count(); n != nil {
				d.N = n.N
			}
		}
		l.Value = d
	default:
		p.unexpected()
	}
	return l
}
