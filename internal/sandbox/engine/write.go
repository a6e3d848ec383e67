package engine

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stewardhq/steward/internal/sandbox/engine/value"
	"github.com/stewardhq/steward/internal/sandbox/org"
)

// Create makes a record of what JSON values say, and gives its id.
func (e *Engine) Create(user, object string, values map[string]any) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := e.as(user)
	ob, err := v.object(object)
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(ob.Fields, func(f org.Field) bool { return f.Createable }) {
		return "", refuse(http.StatusBadRequest, "INVALID_TYPE_FOR_OPERATION", "entity type %s does not support create", ob.Name)
	}
	if !v.access(ob).Create {
		return "", refuse(http.StatusForbidden, "INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")
	}
	row := ob.Blank()
	if _, owned := row["OwnerId"]; owned {
		row["OwnerId"] = user
	}
	if _, err := v.assign(ob, row, values, func(f *org.Field) bool { return f.Createable }); err != nil {
		return "", err
	}
	v.sign(row, true)
	id := v.org.NewID(ob.Name)
	row["Id"] = id
	if ob.Name == "Opportunity" {
		row["LastStageChangeDate"] = row["CreatedDate"]
	}
	v.org.Derive(ob.Name, row)
	v.add(ob, row)
	v.follow(ob, row, nil)
	return id, nil
}

// Update changes the fields of a record that JSON values name.
func (e *Engine) Update(user, object, id string, values map[string]any) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := e.as(user)
	ob, row, err := v.change(object, id, func(a org.Access) bool { return a.Edit })
	if err != nil {
		return err
	}
	next := maps.Clone(row)
	given, err := v.assign(ob, next, values, func(f *org.Field) bool { return f.Updateable })
	if err != nil {
		return err
	}
	if ob.Name == "Opportunity" && next["StageName"] != row["StageName"] {
		// What follows from the stage follows the new one, unless this very update says otherwise.
		for _, name := range []string{"Probability", "ForecastCategoryName"} {
			if _, own := given[name]; !own {
				next[name] = nil
			}
		}
	}
	v.sign(next, false)
	if next["StageName"] != row["StageName"] {
		next["LastStageChangeDate"] = next["LastModifiedDate"]
	}
	v.org.Derive(ob.Name, next)
	v.changing(row)
	before := maps.Clone(row)
	for i := range ob.Fields {
		if f := &ob.Fields[i]; next[f.Name] != row[f.Name] {
			if key := pointer(ob, f, row); key != "" {
				v.refs[key] = without(v.refs[key], row.Text("Id"))
			}
			row[f.Name] = next[f.Name]
			if key := pointer(ob, f, row); key != "" {
				v.refs[key] = append(v.refs[key], row)
			}
		}
	}
	v.follow(ob, row, before)
	return nil
}

// Delete takes a record away. Records that point at it lose the reference, an opportunity's history goes
// with it, and an account with contacts or opportunities stays.
func (e *Engine) Delete(user, object, id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := e.as(user)
	ob, row, err := v.change(object, id, func(a org.Access) bool { return a.Delete })
	if err != nil {
		return err
	}
	full := row.Text("Id")
	if ob.Name == "Account" && len(e.refs[refKey("Contact", "AccountId", full)])+len(e.refs[refKey("Opportunity", "AccountId", full)]) > 0 {
		return refuse(http.StatusBadRequest, "DELETE_FAILED", "Your attempt to delete %s could not be completed because contacts or opportunities are associated with it.", row.Text("Name"))
	}
	for _, history := range slices.Clone(e.refs[refKey("OpportunityHistory", "OpportunityId", full)]) {
		e.remove(e.byID[history.Text("Id")])
	}
	e.remove(place{ob, row})
	v.follow(ob, nil, row)
	return nil
}

// change finds a record that the user sees and may change.
func (v *view) change(object, id string, allowed func(org.Access) bool) (*org.Object, org.Row, error) {
	ob, err := v.object(object)
	if err != nil {
		return nil, nil, err
	}
	row, err := v.find(ob, id)
	if err != nil {
		return nil, nil, err
	}
	if !allowed(v.access(ob)) || !v.edits(ob, row) {
		return nil, nil, refuse(http.StatusForbidden, "INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")
	}
	return ob, row, nil
}

// assign sets a row's fields from JSON values, and gives the values by the fields' own names; or it says what is
// wrong with them. The row is half-set then.
func (v *view) assign(ob *org.Object, row org.Row, values map[string]any, open func(*org.Field) bool) (map[string]any, error) {
	given := map[string]any{}
	var closed []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if name == "attributes" {
			continue
		}
		f := v.field(ob, name)
		switch {
		case f == nil:
			return nil, noSuchField(ob, name)
		case !open(f) || !v.writable(ob, f):
			closed = append(closed, f.Name)
		}
		if _, twice := given[f.Name]; twice {
			return nil, refuse(http.StatusBadRequest, "JSON_PARSER_ERROR", "Duplicate field: %s", f.Name)
		}
		given[f.Name] = values[name]
	}
	if len(closed) > 0 {
		err := refuse(http.StatusBadRequest, "INVALID_FIELD_FOR_INSERT_UPDATE", "Unable to create/update fields: %s. Please check the security settings of this field and verify that it is read/write for your profile or permission set.", strings.Join(closed, ", "))
		err.Fields = closed
		return nil, err
	}
	for i := range ob.Fields { // in the schema's order, so that of several faults the same is told each time
		f := &ob.Fields[i]
		value, ok := given[f.Name]
		if !ok {
			continue
		}
		set, err := v.accept(f, value)
		if err != nil {
			return nil, err
		}
		row[f.Name] = set
	}
	var missing []string
	for _, f := range ob.Fields {
		_, touched := given[f.Name]
		if row[f.Name] == nil && (f.Required || touched && !f.Nillable) {
			missing = append(missing, f.Name)
		}
	}
	if len(missing) > 0 {
		err := refuse(http.StatusBadRequest, "REQUIRED_FIELD_MISSING", "Required fields are missing: [%s]", strings.Join(missing, ", "))
		err.Fields = missing
		return nil, err
	}
	return given, nil
}

// accept turns a JSON value into what a row holds for the field.
func (v *view) accept(f *org.Field, given any) (any, *Error) {
	bad := func(code, format string, args ...any) *Error {
		err := refuse(http.StatusBadRequest, code, format, args...)
		err.Fields = []string{f.Name}
		return err
	}
	read, code, message := value.Read(f, given)
	if code != "" {
		return nil, bad(code, "%s", message)
	}
	if text, _ := read.(string); f.Type == org.Reference && text != "" {
		return v.acceptReference(f, text, bad)
	}
	return read, nil
}

func (v *view) acceptReference(f *org.Field, text string, bad func(code, format string, args ...any) *Error) (any, *Error) {
	id, ok := org.CanonicalID(text)
	if !ok {
		return nil, bad("MALFORMED_ID", "%s: id value of incorrect type: %s", f.Label, text)
	}
	to := v.org.ObjectOf(id)
	if to == nil || !slices.Contains(f.ReferenceTo, to.Name) {
		return nil, bad("FIELD_INTEGRITY_EXCEPTION", "%s: id value of incorrect type: %s", f.Label, text)
	}
	p, ok := v.byID[id]
	switch {
	case v.deleted[id]:
		return nil, bad("ENTITY_IS_DELETED", "entity is deleted")
	case !ok:
		return nil, bad("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
	case !v.access(p.object).Read || !v.reads(p.object, p.row):
		err := bad("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "insufficient access rights on cross-reference id: %s", id)
		err.Status = http.StatusForbidden
		return nil, err
	case f.Name == "OwnerId" && !p.row.True("IsActive"):
		return nil, bad("INACTIVE_OWNER_OR_USER", "owner: operation performed with inactive user [%s]", id)
	}
	return id, nil
}

// sign stamps who wrote a record and when. No two writes share a stamp, so a stamp tells whether a record changed.
func (v *view) sign(row org.Row, created bool) {
	at := v.now().Truncate(time.Millisecond)
	if !at.After(v.stamp) {
		at = v.stamp.Add(time.Millisecond)
	}
	v.stamp = at
	stamp := at.Format(org.DateTimeLayout)
	values := org.Row{"LastModifiedDate": stamp, "LastModifiedById": v.user, "SystemModstamp": stamp}
	if created {
		values["CreatedDate"], values["CreatedById"] = stamp, v.user
	}
	for name, value := range values {
		if _, has := row[name]; has {
			row[name] = value
		}
	}
}

func (e *Engine) add(ob *org.Object, row org.Row) {
	e.org.Rows[ob.Name] = append(e.org.Rows[ob.Name], row)
	e.index(ob, row)
}

// remove takes a record out and empties the references to it.
func (e *Engine) remove(at place) {
	id := at.row.Text("Id")
	e.org.Rows[at.object.Name] = without(e.org.Rows[at.object.Name], id)
	delete(e.byID, id)
	e.deleted[id] = true
	e.changing(at.row)
	if _, ok := at.row["IsDeleted"]; ok { // other objects have no deleted records to ask for
		at.row["IsDeleted"] = true
		e.bin[at.object.Name] = append(e.bin[at.object.Name], at.row)
	}
	for i := range at.object.Fields {
		if key := pointer(at.object, &at.object.Fields[i], at.row); key != "" {
			e.refs[key] = without(e.refs[key], id)
		}
	}
	for _, other := range e.org.Objects {
		for _, f := range other.Fields {
			key := refKey(other.Name, f.Name, id)
			for _, pointing := range e.refs[key] {
				e.changing(pointing)
				pointing[f.Name] = nil
			}
			delete(e.refs, key)
		}
	}
}

// follow does what a written, new (before is nil) or deleted (after is nil) record entails elsewhere.
func (v *view) follow(ob *org.Object, after, before org.Row) {
	switch ob.Name {
	case "Opportunity":
		if after == nil || before != nil && before["StageName"] == after["StageName"] &&
			before["Amount"] == after["Amount"] && before["CloseDate"] == after["CloseDate"] {
			return
		}
		history := v.org.Object("OpportunityHistory")
		row := history.Blank()
		for _, name := range []string{"StageName", "Amount", "Probability", "CloseDate"} {
			row[name] = after[name]
		}
		row["Id"], row["OpportunityId"] = v.org.NewID(history.Name), after["Id"]
		row["CreatedDate"], row["CreatedById"], row["SystemModstamp"] = after["SystemModstamp"], v.user, after["SystemModstamp"]
		v.add(history, row)
	case "Task", "Event":
		for _, row := range []org.Row{before, after} {
			if deal, ok := v.byID[row.Text("WhatId")]; ok && deal.object.Name == "Opportunity" {
				v.changing(deal.row)
				v.org.Derive("Opportunity", deal.row)
			}
		}
	}
}
