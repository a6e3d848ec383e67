// Package search answers: in which records do these words stand? It reads Salesforce's search language,
// SOSL; it doesn't know how records are kept, or who may see which.
package search

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stewardhq/steward/internal/sandbox/org"
	"github.com/stewardhq/steward/internal/soql"
)

// maxFound is how many records a search gives at most, and how many of an object it looks at again for
// their order.
const maxFound = 2000

// Row is a record that a query found.
type Row interface {
	// Value gives a field that the query selected by its path: its name, and nil, a string, bool or float64.
	Value(path []string) (name string, value any)
}

// Company is what is searched, as one user. Its errors are shown as they are.
type Company[R Row] interface {
	// Objects are those that the user may read, with the fields that they may read.
	Objects() []*org.Object
	// Run answers a query whose positions are those in text.
	Run(text string, q *soql.Query) ([]R, error)
}

// Search is a SOSL search that has been read.
type Search struct {
	text    string
	term    term
	clauses *soql.Search
}

// Parse reads a search. Its error is a *soql.SyntaxError.
func Parse(text string) (*Search, error) {
	fail := func(pos int, format string, args ...any) error {
		row, col := soql.Position(text, pos)
		return &soql.SyntaxError{Pos: pos, Row: row, Column: col, Msg: fmt.Sprintf(format, args...)}
	}
	start := strings.IndexByte(text, '{') + 1
	if !strings.EqualFold(strings.TrimSpace(text[:max(start-1, 0)]), "FIND") {
		return nil, fail(0, "a search starts with FIND {what to find}")
	}
	end := start
	for ; end < len(text) && text[end] != '}'; end++ {
		if text[end] == '\\' {
			end++
		}
	}
	if end >= len(text) {
		return nil, fail(start-1, "the brace isn't closed")
	}
	p := &termParser{text: text[start:end]}
	wanted := p.or()
	if p.peek() != "" {
		p.fail("unexpected token: '" + p.peek() + "'")
	}
	if p.letters < 2 && p.fault == "" {
		p.pos = 0
		p.fail("search term must be longer than one character: " + p.text)
	}
	if p.fault != "" {
		return nil, fail(start+p.pos, "%s", p.fault)
	}
	clauses, err := soql.ParseSearch(text, end+1)
	if err != nil {
		return nil, err
	}
	return &Search{text, wanted, clauses}, nil
}

// Find gives the records that a search finds, object by object in the order in which it names them, or of all
// objects if it names none.
func Find[R Row](s *Search, company Company[R]) ([]R, error) {
	most := maxFound
	if s.clauses.Limit != nil {
		most = min(most, s.clauses.Limit.N)
	}
	asked := s.clauses.Returning
	objects := company.Objects()
	if asked == nil {
		for _, ob := range objects {
			if searchable(ob) {
				asked = append(asked, &soql.Query{From: soql.Source{Path: []string{ob.Name}}})
			}
		}
	}
	found := []R{}
	for _, q := range asked {
		i := slices.IndexFunc(objects, func(ob *org.Object) bool { return strings.EqualFold(ob.Name, q.From.Path[0]) })
		var fields []*org.Field
		if i >= 0 && searchable(objects[i]) { // others are refused by the query, or found nothing in
			fields = s.fields(objects[i])
		}
		ids, err := find(s, company, q, fields)
		if err != nil {
			return nil, err
		}
		shown := *q
		if shown.Select == nil {
			shown.Select = []soql.Selection{id()}
		}
		shown.Where = and(q.Where, &soql.Comparison{Left: id().Expr, Op: soql.In, Values: ids})
		rows, err := company.Run(s.text, &shown)
		if err != nil {
			return nil, err
		}
		found = append(found, rows[:min(len(rows), most-len(found))]...)
	}
	return found, nil
}

// find gives the ids of an object's records that meet the query's condition and have the term in these fields.
func find[R Row](s *Search, company Company[R], q *soql.Query, fields []*org.Field) ([]*soql.Literal, error) {
	all := &soql.Query{From: q.From, Where: q.Where, Select: []soql.Selection{id()}}
	for _, f := range fields {
		all.Select = append(all.Select, &soql.Column{Expr: &soql.Field{Path: []string{f.Name}}})
	}
	rows, err := company.Run(s.text, all)
	if err != nil {
		return nil, err
	}
	var ids []*soql.Literal
	for _, row := range rows {
		texts := make([][]string, 0, len(fields))
		for _, f := range fields {
			_, value := row.Value([]string{f.Name})
			text, _ := value.(string)
			texts = append(texts, words(text))
			if f.Type == org.Phone { // numbers are found however they are spaced
				texts = append(texts, words(strings.Join(words(text), "")))
			}
		}
		if s.term.holds(texts) && len(ids) < maxFound {
			_, value := row.Value([]string{"Id"})
			ids = append(ids, &soql.Literal{Value: value})
		}
	}
	return ids, nil
}

func id() *soql.Column { return &soql.Column{Expr: &soql.Field{Path: []string{"Id"}}} }

func and(given soql.Condition, more *soql.Comparison) soql.Condition {
	if given == nil {
		return more
	}
	return &soql.And{Terms: []soql.Condition{given, more}}
}

// searchable says whether an object's records are searched: people, and what people own.
func searchable(ob *org.Object) bool { return ob.Name == "User" || ob.Field("OwnerId") != nil }

// fields are those that a search looks at: texts that people write, or of them the names, addresses or numbers.
func (s *Search) fields(ob *org.Object) []*org.Field {
	var fields []*org.Field
	for i := range ob.Fields {
		f := &ob.Fields[i]
		name := f.NameField || f.Name == "FirstName" || f.Name == "LastName"
		var fits bool
		switch cmp.Or(s.clauses.In, "ALL") {
		case "ALL":
			fits = f.Type.IsText() && f.Type != org.Picklist && f.Type != org.MultiPicklist
		case "NAME":
			fits = name
		case "EMAIL":
			fits = f.Type == org.Email
		case "PHONE":
			fits = f.Type == org.Phone
		case "SIDEBAR":
			fits = name || f.Type == org.Email || f.Type == org.Phone
		}
		if fits {
			fields = append(fields, f)
		}
	}
	return fields
}
