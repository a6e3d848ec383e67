package metadata

import (
	"fmt"
	"strings"

	"github.com/stewardhq/steward/internal/sandbox/org"
	"github.com/stewardhq/steward/internal/soql"
)

// Schema finds an object with the fields and children that the reader may see; nil for none.
type Schema func(object string) (*org.Object, []Child)

// Columns tells what a query selects, as query?columns=true does.
type Columns struct {
	Columns    []column `json:"columnMetadata"`
	Entity     string   `json:"entityName"`
	GroupBy    bool     `json:"groupBy"`
	IDSelected bool     `json:"idSelected"`
	KeyPrefix  string   `json:"keyPrefix"`
}

// column is a field; a parent or children, with theirs as JoinColumns; or, as Aggregate without them, a function.
type column struct {
	Aggregate   bool     `json:"aggregate"`
	ApexType    *string  `json:"apexType"` // always null
	Boolean     bool     `json:"booleanType"`
	Name        string   `json:"columnName"`
	Custom      bool     `json:"custom"`
	DisplayName string   `json:"displayName"`
	ForeignKey  *string  `json:"foreignKeyName"`
	Insertable  bool     `json:"insertable"`
	Join        []column `json:"joinColumns"`
	Number      bool     `json:"numberType"`
	Text        bool     `json:"textType"`
	Updatable   bool     `json:"updatable"`
}

// Columns describes a query that has been answered: its names are taken to be right.
func (s Schema) Columns(q *soql.Query) Columns {
	ob, children := s(strings.Join(q.From.Path, "."))
	if ob == nil {
		return Columns{Columns: []column{}}
	}
	all := s.of(q, ob, children)
	out := Columns{Columns: all, Entity: ob.Name, KeyPrefix: ob.KeyPrefix, GroupBy: len(q.GroupBy) > 0}
	for _, c := range all {
		out.IDSelected = out.IDSelected || c.Name == "Id" && !c.Aggregate
	}
	return out
}

func (s Schema) of(q *soql.Query, ob *org.Object, children []Child) []column {
	all, unnamed := []column{}, 0
	for _, member := range q.Select {
		switch member := member.(type) {
		case *soql.Fields:
			for i := range ob.Fields {
				if f := &ob.Fields[i]; member.Set == "ALL" || f.Custom == (member.Set == "CUSTOM") {
					all = append(all, leaf(f))
				}
			}
		case *soql.Subquery:
			name := q.From.Path[len(q.From.Path)-1]
			relationship := member.Query.From.Path[len(member.Query.From.Path)-1]
			for _, ch := range children {
				if strings.EqualFold(ch.Relationship, relationship) {
					name, relationship = ch.Object, ch.Relationship
				}
			}
			if child, below := s(name); child != nil {
				all = append(all, column{Aggregate: true, Name: relationship, DisplayName: relationship, Join: s.of(member.Query, child, below)})
			}
		case *soql.TypeOf:
			parent := column{Name: member.Of.String(), DisplayName: member.Of.String(), Join: []column{}}
			fields := member.Else
			for _, when := range member.Whens {
				fields = append(fields, when.Fields...)
			}
			for _, f := range fields {
				parent.Join = append(parent.Join, s.path(nil, f.Path))
			}
			all = append(all, parent)
		case *soql.Column:
			all = append(all, s.value(q, ob, member, &unnamed))
		}
	}
	return all
}

// value is the column of a field, or of what a function makes of one. unnamed counts the functions that have no alias.
func (s Schema) value(q *soql.Query, ob *org.Object, member *soql.Column, unnamed *int) column {
	inner, counts := member.Expr, len(q.GroupBy) > 0
	for call, ok := inner.(*soql.Call); ok; call, ok = inner.(*soql.Call) {
		switch call.Name {
		case "COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX", "GROUPING":
			counts = true
		}
		if len(call.Args) == 0 {
			break
		}
		inner = call.Args[0]
	}
	_, isCall := member.Expr.(*soql.Call)
	f, isField := inner.(*soql.Field)
	switch {
	case member.Alias != "":
		return column{Aggregate: true, Name: member.Alias, DisplayName: shown(member.Expr), Join: []column{}}
	case isCall && (counts || !isField):
		*unnamed++
		return column{Aggregate: true, Name: fmt.Sprintf("expr%d", *unnamed-1), DisplayName: shown(member.Expr), Join: []column{}}
	case counts: // of the rows of groups, parents' fields are members like any other
		return s.path(ob, f.Path[len(f.Path)-1:])
	}
	names := f.Path
	if len(names) > 1 && (strings.EqualFold(names[0], q.From.Alias) || strings.EqualFold(names[0], ob.Name)) {
		names = names[1:]
	}
	return s.path(ob, names)
}

// shown writes a function as Salesforce does, with its name in small letters.
func shown(x soql.Expr) string {
	name, rest, called := strings.Cut(x.String(), "(")
	if called {
		return strings.ToLower(name) + "(" + rest
	}
	return name
}

// path is the column of a field, through its parents. ob is nil where what is there may be of several objects.
func (s Schema) path(ob *org.Object, names []string) column {
	if ob == nil {
		ob = new(org.Object)
	}
	if len(names) == 1 {
		if f := ob.Field(names[0]); f != nil {
			return leaf(f)
		}
		return column{Name: names[0], DisplayName: names[0], Text: true, Join: []column{}}
	}
	up := column{Name: names[0], DisplayName: names[0]}
	var parent *org.Object
	for i := range ob.Fields {
		if f := &ob.Fields[i]; strings.EqualFold(f.RelationshipName, names[0]) {
			up.Name, up.DisplayName, up.ForeignKey = f.RelationshipName, f.RelationshipName, &f.Name
			if len(f.ReferenceTo) == 1 {
				parent, _ = s(f.ReferenceTo[0])
			}
		}
	}
	up.Join = []column{s.path(parent, names[1:])}
	return up
}

func leaf(f *org.Field) column {
	return column{
		Name: f.Name, DisplayName: f.Name, Custom: f.Custom, Join: []column{}, Insertable: f.Createable, Updatable: f.Updateable,
		Boolean: f.Type == org.Boolean, Number: f.Type.IsNumber(), Text: f.Type.IsText() || f.Type.IsID(),
	}
}
