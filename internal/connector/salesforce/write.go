package salesforce

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
)

// stampField says when a record last changed.
const stampField = "LastModifiedDate"

// column is one field that a write sets, and what to.
type column struct {
	field *field
	value any
}

// columns finds the fields of a write and holds its values against them.
func (v *visit) columns(ctx context.Context, w writeArgs) (*object, []column, error) {
	o, err := v.object(ctx, w.object)
	if err != nil {
		return nil, nil, err
	}
	var columns []column
	for _, a := range w.values {
		f := o.field(a.field)
		may := f != nil && (w.id == "" && f.Createable || w.id != "" && f.Updateable)
		if a.spare && (!may || !f.allows(a.value)) {
			continue
		}
		switch {
		case f == nil:
			return nil, nil, steward.Errorf(steward.Invalid, "%s is no field of %s that you may see; salesforce_describe lists them", a.at, o.Name)
		case !may:
			return nil, nil, steward.Errorf(steward.Invalid, "%s of %s can't be written, or not by you", f.Name, o.Name)
		case slices.ContainsFunc(columns, func(c column) bool { return c.field == f }):
			return nil, nil, steward.Errorf(steward.Invalid, "%s of %s is given twice", f.Name, o.Name)
		}
		at := f.Name + " of " + o.Name
		to, err := typed(f, a.value, at)
		if err != nil {
			return nil, nil, err
		}
		if s, ok := to.(string); ok && f.Length > 0 && f.shape() == text && len(utf16.Encode([]rune(s))) > f.Length {
			return nil, nil, steward.Errorf(steward.Invalid, "%s holds at most %d characters", at, f.Length)
		}
		if !f.allows(to) {
			return nil, nil, steward.Errorf(steward.Invalid, "%s must be one of: %s", at, strings.Join(f.values(), "; "))
		}
		columns = append(columns, column{f, to})
	}
	return o, columns, nil
}

// allows says whether a restricted picklist lists a value; other fields allow any.
func (f *field) allows(v any) bool {
	s, ok := v.(string)
	return !f.Restricted || f.Type != "picklist" || !ok || s == "" || slices.Contains(f.values(), s)
}

// preview reads what a write would change.
func (v *visit) preview(ctx context.Context, w writeArgs) (connector.Preview, error) {
	o, columns, err := v.columns(ctx, w)
	if err != nil {
		return connector.Preview{}, err
	}
	target := steward.Ref{Connection: v.session.Connection, Object: o.Name, ID: w.id}
	p := connector.Preview{Targets: []steward.Ref{target}}
	before := steward.Record{}
	if w.id != "" {
		if before, err = v.one(ctx, o, w.id, beforePaths(o, columns)); err != nil {
			return connector.Preview{}, err
		}
		target.ID = before.ID // in the form with 18 characters
		p.Targets[0] = target
	}
	involve := func(id any) {
		if s, ok := id.(string); ok && personOf(s) != "" {
			person := steward.Ref{Connection: v.session.Connection, Object: personOf(s), ID: s}
			if !slices.Contains(p.People, person) {
				p.People = append(p.People, person)
			}
		}
	}
	if slices.Contains(people, o.Name) && target.ID != "" {
		p.People = append(p.People, target)
	}
	involve(before.Get("WhoId"))
	for _, c := range columns {
		was := before.Get(c.field.Name)
		if c.field.Type == "reference" {
			involve(was)
			involve(c.value)
		}
		if w.id != "" && same(c.field, was, c.value) {
			continue
		}
		p.Changes = append(p.Changes, connector.Change{
			Field: value(c.field.Name, was, c.field, target), After: c.value, Stamp: before.Text(stampField),
		})
		if c.field.Type == "currency" {
			from, _ := was.(float64)
			to, _ := c.value.(float64)
			p.Amount = max(p.Amount, math.Abs(to-from))
		}
	}
	if len(p.Changes) == 0 {
		return connector.Preview{}, steward.Errorf(steward.Invalid, "nothing would change: the %s already has these values", o.Name)
	}
	return p, nil
}

// beforePaths are the fields to read before an update: those it sets, when the record last changed, and
// whom it concerns.
func beforePaths(o *object, columns []column) []path {
	var paths []path
	for _, c := range columns {
		paths = append(paths, o.own(c.field))
	}
	for _, name := range []string{stampField, "WhoId"} {
		if f := o.field(name); f != nil && !slices.ContainsFunc(columns, func(c column) bool { return c.field == f }) {
			paths = append(paths, o.own(f))
		}
	}
	return paths
}

// own is the path to a field of the object itself.
func (o *object) own(f *field) path {
	return path{asked: f.Name, names: []string{f.Name}, field: f, object: o.Name}
}

// same says whether a write would leave a field as it is. Salesforce keeps an empty text as null.
func same(f *field, was, to any) bool {
	if was == "" {
		was = nil
	}
	if to == "" {
		to = nil
	}
	a, isText := was.(string)
	b, both := to.(string)
	if isText && both && f.shape() == datetime {
		x, okX := parseDatetime(a)
		y, okY := parseDatetime(b)
		return okX && okY && x.Equal(y)
	}
	if isText && both && (f.Type == "reference" || f.Type == "id") {
		return a[:min(15, len(a))] == b[:min(15, len(b))] // the rest are check letters
	}
	return was == to
}

// write writes, and reads back what then stands there.
func (v *visit) write(ctx context.Context, w writeArgs) (connector.Reply, error) {
	o, columns, err := v.columns(ctx, w)
	if err != nil {
		return connector.Reply{}, err
	}
	body := map[string]any{}
	for _, c := range columns {
		body[c.field.Name] = c.value
	}
	id := w.id
	if id == "" {
		id, err = v.create(ctx, o, body)
	} else {
		_, err = v.send(ctx, http.MethodPatch, dataPath+"/sobjects/"+o.Name+"/"+id, body)
	}
	if err != nil {
		return connector.Reply{}, err
	}
	// From here on it is written. A failure to read it back must not look like a failure to write it, so
	// the reply then names the record and says no more of it.
	record, err := v.one(ctx, o, id, readBackPaths(o, columns))
	if err != nil {
		record = steward.Record{Object: o.Name, ID: id, URL: v.url(o.Name, id)}
	}
	return connector.Reply{Records: []steward.Record{record}, Total: 1}, nil
}

func readBackPaths(o *object, columns []column) []path {
	var paths []path
	for _, p := range beforePaths(o, columns) {
		if p.asked != "WhoId" || slices.ContainsFunc(columns, func(c column) bool { return c.field == p.field }) {
			paths = append(paths, p)
		}
	}
	return paths
}

// create makes a record and gives its id.
func (v *visit) create(ctx context.Context, o *object, body map[string]any) (string, error) {
	raw, err := v.send(ctx, http.MethodPost, dataPath+"/sobjects/"+o.Name, body)
	if err != nil {
		return "", err
	}
	var made struct {
		ID      string `json:"id"`
		Success bool   `json:"success"`
	}
	if json.Unmarshal(raw, &made) != nil || !made.Success || !isID(made.ID) {
		return "", v.fail(steward.Upstream, unknownOutcome, connector.Error{Unknown: true})
	}
	return made.ID, nil
}
