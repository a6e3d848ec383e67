package soql

import "strings"

// Search is what follows the term of a SOSL search.
type Search struct {
	In        string   // NAME, EMAIL, PHONE, SIDEBAR or ALL, in upper case; "" where it isn't said
	Returning []*Query // each with From, Select (nil for no fields), Where, OrderBy, Limit and Offset at most
	Limit     *Count
}

// ParseSearch reads the clauses of a SOSL search from a byte offset on, behind the term. Its error is a
// *SyntaxError, and all positions are those in src.
//
// Of the clauses WITH it takes SPELL_CORRECTION; the fields of RETURNING may stand in functions that
// format them.
func ParseSearch(src string, from int) (*Search, error) {
	tokens, err := lex(strings.Repeat(" ", from) + src[from:])
	if err != nil {
		return nil, syntaxError(src, err.Pos, err.Near, "%s", err.Msg)
	}
	p := &parser{src: src, tokens: tokens}
	s := &Search{}
	if p.word("IN") {
		s.In = p.oneOf("ALL", "NAME", "EMAIL", "PHONE", "SIDEBAR").Text
		p.wantWord("FIELDS")
	}
	if p.word("RETURNING") {
		s.Returning = list(p, p.returning)
	}
	for p.word("WITH") {
		if what := p.next(); !p.word("SPELL_CORRECTION") {
			p.fail(what.pos, what.shown(), "WITH %s is not supported", what.shown())
		}
		p.wantSymbol("=")
		p.oneOf("TRUE", "FALSE")
	}
	if p.word("LIMIT") {
		s.Limit = p.count()
	}
	if p.err == nil && p.next().kind != endToken {
		p.unexpected()
	}
	if p.err != nil {
		return nil, p.err
	}
	return s, nil
}

// returning reads an object, and in parentheses what of its records is wanted.
func (p *parser) returning() *Query {
	object := p.plain()
	q := &Query{Pos: object.Pos, From: Source{Pos: object.Pos, Path: []string{object.Text}}}
	if !p.symbol("(") {
		return q
	}
	q.Select = list(p, p.shown)
	if p.word("WHERE") {
		q.Where = p.condition()
	}
	p.window(q)
	p.wantSymbol(")")
	return q
}

// shown reads a field or a function that formats one.
func (p *parser) shown() Selection {
	t, c := p.next(), &Column{Expr: p.expr()}
	if call, ok := c.Expr.(*Call); ok && call.Name != "TOLABEL" && call.Name != "FORMAT" && call.Name != "CONVERTCURRENCY" {
		p.fail(t.pos, t.shown(), "function %s is not allowed in RETURNING", call.Name)
	}
	if t := p.next(); t.kind == nameToken && !t.reserved() && !t.is("ORDER") && !t.is("OFFSET") {
		c.Alias = p.plain().Text
	}
	return c
}
