package search

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// Parameters are a search without the language: what a parameterized search is asked with.
// Source: "Parameterized Search" of the REST API Developer Guide.
type Parameters struct {
	Term    string   `json:"q"`
	Fields  []string `json:"fields"` // of every object that names none
	Objects []Object `json:"sobjects"`
	In      string   `json:"in"` // ALL, NAME, …
	Limit   int      `json:"overallLimit"`
	Default int      `json:"defaultLimit"` // of every object that has none
}

// Object is one object to search and what of it is wanted.
type Object struct {
	Name    string   `json:"name"`
	Fields  []string `json:"fields"`
	Where   string   `json:"where"`
	OrderBy string   `json:"orderBy"`
	Limit   int      `json:"limit"`
	Offset  int      `json:"offset"`
}

// FromURL reads the parameters of a GET: q, in, fields, overallLimit, defaultLimit, sobject for each object, and
// for each of those Account.fields, Account.where, Account.limit.
func FromURL(query url.Values) (Parameters, error) {
	p := Parameters{Term: query.Get("q"), In: query.Get("in"), Fields: names(query.Get("fields"))}
	number := func(name string, into *int) error {
		text := query.Get(name)
		if text == "" {
			return nil
		}
		if err := json.Unmarshal([]byte(text), into); err != nil {
			return fmt.Errorf("%s must be a number", name)
		}
		return nil
	}
	if err := number("overallLimit", &p.Limit); err != nil {
		return p, err
	}
	if err := number("defaultLimit", &p.Default); err != nil {
		return p, err
	}
	for _, name := range query["sobject"] {
		ob := Object{Name: name, Fields: names(query.Get(name + ".fields")), Where: query.Get(name + ".where")}
		if err := number(name+".limit", &ob.Limit); err != nil {
			return p, err
		}
		p.Objects = append(p.Objects, ob)
	}
	return p, nil
}

func names(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// String writes the search as SOSL.
func (p Parameters) String() string {
	var b strings.Builder
	// A brace would end the term; one that a backslash stands before already doesn't.
	b.WriteString("FIND {")
	for i := 0; i < len(p.Term); i++ {
		switch c := p.Term[i]; {
		case c == '\\' && i+1 < len(p.Term):
			b.WriteString(p.Term[i : i+2])
			i++
		case c == '}' || c == '\\':
			b.WriteString(`\` + string(c))
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('}')
	if p.In != "" {
		b.WriteString(" IN " + p.In + " FIELDS")
	}
	for i, ob := range p.Objects {
		b.WriteString([]string{" RETURNING ", ", "}[min(i, 1)] + ob.Name + "(")
		fields := ob.Fields
		if len(fields) == 0 {
			fields = p.Fields
		}
		if len(fields) == 0 {
			fields = []string{"Id"}
		}
		b.WriteString(strings.Join(fields, ", "))
		if ob.Where != "" {
			b.WriteString(" WHERE " + ob.Where)
		}
		if ob.OrderBy != "" {
			b.WriteString(" ORDER BY " + ob.OrderBy)
		}
		limit := ob.Limit
		if limit == 0 {
			limit = p.Default
		}
		if limit != 0 {
			fmt.Fprintf(&b, " LIMIT %d", limit)
		}
		if ob.Offset != 0 {
			fmt.Fprintf(&b, " OFFSET %d", ob.Offset)
		}
		b.WriteByte(')')
	}
	if p.Limit != 0 {
		fmt.Fprintf(&b, " LIMIT %d", p.Limit)
	}
	return b.String()
}
