package engine

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/stewardhq/steward/internal/sandbox/org"
	"github.com/stewardhq/steward/internal/soql"
)

// maxLevels is how many parents a field path may climb.
const maxLevels = 5

// source is the text of a query, to point into when refusing it.
type source string

// at refuses a query at a byte offset, with the line and a caret under the place, as Salesforce does.
func (s source) at(pos int, code, format string, args ...any) *Error {
	row, col := soql.Position(string(s), pos)
	return s.point(row, col, code, fmt.Sprintf(format, args...))
}

func (s source) point(row, col int, code, message string) *Error {
	const around = 60 // characters shown on either side of the place
	var line []rune
	if lines := strings.Split(string(s), "\n"); row >= 1 && row <= len(lines) {
		line = []rune(strings.ReplaceAll(lines[row-1], "\t", " "))
	}
	caret := min(max(col-1, 0), len(line))
	from := max(caret-around, 0)
	shown := string(line[from:min(caret+around, len(line))])
	return refuse(http.StatusBadRequest, code, "\n%s\n%s^\nERROR at Row:%d:Column:%d\n%s",
		shown, strings.Repeat(" ", caret-from), row, col, message)
}

// unsupported refuses what Salesforce would take and this sandbox doesn't.
func (s source) unsupported(pos int, what string) *Error {
	return s.at(pos, "MALFORMED_QUERY", "%s is not supported by this sandbox yet", what)
}

// path is a field as seen from a row, through any number of parents.
type path struct {
	steps []step
	leaf  leaf
}

// step climbs from a record to a parent.
type step struct {
	ref  *org.Field
	to   *org.Object // nil where the reference may point at several
	name string      // of the relationship
}

// leaf is a field of the record at a path's end.
type leaf struct {
	name  string
	kind  org.FieldType
	field *org.Field  // nil for a field of a record that may be of several objects
	of    *org.Object // likewise
}

// nameFields are what every record that a reference to several objects points at can be asked for, in its own
// object's terms; what an object doesn't have is nil. Source: "Name" of the Object Reference.
var nameFields = []string{"Id", "Name", "Type", "Email", "FirstName", "LastName", "Phone", "Title", "Username"}

// resolve finds the field that a name stands for in rows of an object, in the user's eyes.
func (v *view) resolve(src source, ob *org.Object, alias string, f *soql.Field) (path, *Error) {
	names := f.Path
	if len(names) > 1 && (strings.EqualFold(names[0], alias) ||
		strings.EqualFold(names[0], ob.Name) && v.relationship(ob, names[0]) == nil) {
		names = names[1:]
	}
	if len(names) > maxLevels+1 {
		return path{}, src.at(f.Pos, "INVALID_FIELD", "%s climbs more than %d relationships", f, maxLevels)
	}
	var p path
	for ; len(names) > 1; names = names[1:] {
		if ob == nil {
			return path{}, src.at(f.Pos, "INVALID_FIELD", "Didn't understand relationship '%s' in field path: its parent may be of several objects", names[0])
		}
		ref := v.relationship(ob, names[0])
		if ref == nil {
			return path{}, noRelationship(src, f.Pos, names[0], "field path")
		}
		s := step{ref: ref, name: ref.RelationshipName}
		ob = nil
		if len(ref.ReferenceTo) == 1 {
			ob = v.org.Object(ref.ReferenceTo[0])
			s.to = ob
		}
		p.steps = append(p.steps, s)
	}
	if ob == nil {
		for _, name := range nameFields {
			if strings.EqualFold(name, names[0]) {
				p.leaf = leaf{name: name, kind: org.String}
				if name == "Id" {
					p.leaf.kind = org.ID
				}
				return p, nil
			}
		}
		return path{}, noColumn(src, f.Pos, names[0], "Name")
	}
	field := v.field(ob, names[0])
	if field == nil {
		return path{}, noColumn(src, f.Pos, names[0], ob.Name)
	}
	p.leaf = leaf{field.Name, field.Type, field, ob}
	return p, nil
}

func noColumn(src source, pos int, name, entity string) *Error {
	return src.at(pos, "INVALID_FIELD", "No such column '%s' on entity '%s'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names.", name, entity)
}

func noRelationship(src source, pos int, name, where string) *Error {
	return src.at(pos, "INVALID_FIELD", "Didn't understand relationship '%s' in %s. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names.", name, where)
}

// relationship finds the reference behind a parent's name, if the user may read the reference and the parent's object.
func (v *view) relationship(ob *org.Object, name string) *org.Field {
	for i := range ob.Fields {
		f := &ob.Fields[i]
		if f.RelationshipName == "" || !strings.EqualFold(f.RelationshipName, name) || v.field(ob, f.Name) == nil {
			continue
		}
		for _, to := range f.ReferenceTo {
			if target := v.org.Object(to); target != nil && v.access(target).Read {
				return f
			}
		}
	}
	return nil
}

// climb follows a step; it fails where there is no parent, or none that the user may see.
func (v *view) climb(s step, row org.Row) (place, bool) {
	p, ok := v.byID[row.Text(s.ref.Name)]
	if !ok || s.to == nil && !v.access(p.object).Read || !v.reads(p.object, p.row) {
		return place{}, false
	}
	return p, true
}

// get gives a path's value, nil where a parent on the way is missing.
func (v *view) get(p path, row org.Row) any {
	if len(p.steps) == 0 && p.leaf.field != nil {
		return row[p.leaf.name]
	}
	at := place{row: row}
	for _, s := range p.steps {
		var ok bool
		if at, ok = v.climb(s, at.row); !ok {
			return nil
		}
	}
	return v.leaf(p.leaf, at)
}

// leaf gives a field's value. Of a record that may be of several objects it is the field that goes by the name there.
func (v *view) leaf(l leaf, at place) any {
	name := l.name
	switch {
	case l.field != nil || name == "Id":
		return at.row[name]
	case name == "Type":
		return at.object.Name
	case name == "Name":
		name = nameField(at.object)
	}
	if v.field(at.object, name) == nil {
		return nil
	}
	return at.row[name]
}

func nameField(ob *org.Object) string {
	for _, f := range ob.Fields {
		if f.NameField {
			return f.Name
		}
	}
	return "Id"
}

// String writes the path with the schema's own names.
func (p path) String() string {
	var b strings.Builder
	for _, s := range p.steps {
		b.WriteString(s.name + ".")
	}
	return b.String() + p.leaf.name
}

// objectFrom finds the object that a query selects from.
func (v *view) objectFrom(src source, q *soql.Query) (*org.Object, *Error) {
	if len(q.From.Path) == 1 {
		if ob, err := v.object(q.From.Path[0]); err == nil {
			return ob, nil
		}
	}
	return nil, src.at(q.From.Pos, "INVALID_TYPE", "sObject type '%s' is not supported. If you are attempting to use a custom object, be sure to append the '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names.", strings.Join(q.From.Path, "."))
}
