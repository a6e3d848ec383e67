package engine

import (
	"fmt"
	"net/http"
	"slices"
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
	field *org.Field // nil for Id, Name and Type of a record that may be of several objects
}

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
			return path{}, src.at(f.Pos, "INVALID_FIELD", "Didn't understand relationship '%s' in field path. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names.", names[0])
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
		for _, any := range []leaf{{name: "Id", kind: org.ID}, {name: "Name", kind: org.String}, {name: "Type", kind: org.String}} {
			if strings.EqualFold(any.name, names[0]) {
				p.leaf = any
				return p, nil
			}
		}
		return path{}, noColumn(src, f.Pos, names[0], "Name")
	}
	field := v.field(ob, names[0])
	if field == nil {
		return path{}, noColumn(src, f.Pos, names[0], ob.Name)
	}
	p.leaf = leaf{field.Name, field.Type, field}
	return p, nil
}

func noColumn(src source, pos int, name, entity string) *Error {
	return src.at(pos, "INVALID_FIELD", "No such column '%s' on entity '%s'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names.", name, entity)
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
	at := place{row: row}
	for _, s := range p.steps {
		var ok bool
		if at, ok = v.climb(s, at.row); !ok {
			return nil
		}
	}
	return p.leaf.of(at)
}

func (l leaf) of(at place) any {
	switch {
	case l.field != nil || l.name == "Id":
		return at.row[l.name]
	case l.name == "Type":
		return at.object.Name
	}
	return at.row[nameField(at.object)]
}

func nameField(ob *org.Object) string {
	for _, f := range ob.Fields {
		if f.NameField {
			return f.Name
		}
	}
	return "Id"
}

func isNumber(t org.FieldType) bool {
	return t == org.Currency || t == org.Double || t == org.Percent || t == org.Int
}

func isID(t org.FieldType) bool { return t == org.ID || t == org.Reference }

func isText(t org.FieldType) bool {
	return slices.Contains([]org.FieldType{org.String, org.TextArea, org.Email, org.Phone, org.URL, org.Picklist}, t)
}

// Filterable says whether WHERE and ORDER BY take fields of this type.
func Filterable(t org.FieldType) bool { return t != org.TextArea }

// Groupable says whether GROUP BY takes fields of this type.
func Groupable(t org.FieldType) bool {
	return !slices.Contains([]org.FieldType{org.TextArea, org.Currency, org.Double, org.Percent, org.DateTime}, t)
}

// Aggregatable says whether MIN and MAX take fields of this type.
func Aggregatable(t org.FieldType) bool { return t != org.TextArea && t != org.Boolean }
