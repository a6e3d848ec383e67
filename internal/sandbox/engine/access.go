package engine

import (
	"net/http"
	"slices"
	"time"

	"github.com/stewardhq/steward/internal/sandbox/engine/value"
	"github.com/stewardhq/steward/internal/sandbox/org"
)

// view is the company as one user may see it at one moment. It is valid while the engine is locked.
type view struct {
	*Engine
	user     string
	profile  *org.Profile
	owners   map[string]bool // users whose records are this user's to read and change: self and those in roles below
	calendar value.Calendar
	binned   bool // deleted records are seen too
}

// as makes the view of a user. A user without a profile may do nothing.
func (e *Engine) as(user string) *view {
	row := e.byID[user].row
	v := &view{Engine: e, user: user, profile: &org.Profile{}, owners: map[string]bool{user: true}}
	if p := e.org.Profile(row.Text("ProfileId")); p != nil {
		v.profile = p
	}
	v.calendar.Now, v.calendar.FirstDay = e.now(), value.FirstDay(row.Text("LocaleSidKey"))
	if zone, err := time.LoadLocation(row.Text("TimeZoneSidKey")); err == nil {
		v.calendar.Now = v.calendar.Now.In(zone)
	}
	for _, company := range e.org.Rows["Organization"] {
		v.calendar.FiscalStart = time.Month(company.Number("FiscalYearStartMonth"))
	}
	if role := row.Text("UserRoleId"); role != "" {
		v.own(role, map[string]bool{})
	}
	return v
}

// own adds the users of all roles below a role. Users who share a role don't see each other's records.
func (v *view) own(role string, seen map[string]bool) {
	if seen[role] { // a hierarchy edited into a ring ends here
		return
	}
	seen[role] = true
	for _, below := range v.refs[refKey("UserRole", "ParentRoleId", role)] {
		for _, u := range v.refs[refKey("User", "UserRoleId", below.Text("Id"))] {
			v.owners[u.Text("Id")] = true
		}
		v.own(below.Text("Id"), seen)
	}
}

// parentField is the reference by which a record is ControlledByParent.
func parentField(object string) string {
	if object == "Contact" {
		return "AccountId"
	}
	return "OpportunityId"
}

// reads says whether sharing lets the user see a record. Permission on its object is another question.
func (v *view) reads(ob *org.Object, row org.Row) bool {
	if v.profile.ViewAll || v.profile.ModifyAll || ob.Sharing == org.PublicRead {
		return true
	}
	if ob.Sharing == org.ControlledByParent {
		if parent, ok := v.byID[row.Text(parentField(ob.Name))]; ok {
			return v.reads(parent.object, parent.row)
		}
	}
	if v.owners[row.Text("OwnerId")] {
		return true
	}
	for _, about := range activityLinks(ob.Name) { // an activity shows itself to who sees what it is about
		if p, ok := v.byID[row.Text(about)]; ok && v.reads(p.object, p.row) {
			return true
		}
	}
	return false
}

// edits says whether sharing lets the user change a record.
func (v *view) edits(ob *org.Object, row org.Row) bool {
	switch {
	case v.profile.ModifyAll:
		return true
	case ob.Sharing == org.PublicRead:
		return false
	case ob.Sharing == org.ControlledByParent:
		if parent, ok := v.byID[row.Text(parentField(ob.Name))]; ok {
			return v.edits(parent.object, parent.row)
		}
	}
	return v.owners[row.Text("OwnerId")]
}

// activityLinks are the references of an activity to what it is about.
func activityLinks(object string) []string {
	if object == "Task" || object == "Event" {
		return []string{"WhatId", "WhoId"}
	}
	return nil
}

func (v *view) access(ob *org.Object) org.Access { return v.profile.Objects[ob.Name] }

// object finds an object that the user may read. Others don't exist for them.
func (v *view) object(name string) (*org.Object, *Error) {
	if ob := v.org.Object(name); ob != nil && v.access(ob).Read {
		return ob, nil
	}
	return nil, notFound()
}

// field finds a field that the user may read; nil where there is none.
func (v *view) field(ob *org.Object, name string) *org.Field {
	f := ob.Field(name)
	if f == nil {
		return nil
	}
	if level, ok := v.profile.Fields[ob.Name+"."+f.Name]; ok && !level.Read {
		return nil
	}
	return f
}

// writable says whether the profile leaves a field open to writing.
func (v *view) writable(ob *org.Object, f *org.Field) bool {
	level, ok := v.profile.Fields[ob.Name+"."+f.Name]
	return !ok || level.Read && level.Edit
}

// find finds a record that the user may read by its id of 15 or 18 characters.
func (v *view) find(ob *org.Object, id string) (org.Row, *Error) {
	full, ok := org.CanonicalID(id)
	if !ok {
		return nil, refuse(http.StatusBadRequest, "MALFORMED_ID", "malformed id %s", id)
	}
	if v.deleted[full] {
		return nil, refuse(http.StatusNotFound, "ENTITY_IS_DELETED", "entity is deleted")
	}
	p, ok := v.byID[full]
	if !ok || p.object != ob || !v.reads(ob, p.row) {
		return nil, notFound()
	}
	return p.row, nil
}

// Description is an object as one user may use it.
type Description struct {
	Object *org.Object
	Access org.Access
	Fields []org.Field // readable ones; Createable and Updateable as this user may
	Child  []Child
}

// Child is a relationship from another object to the described one.
type Child struct{ Object, Field, Relationship string }

// Describe gives an object as the user may use it.
func (e *Engine) Describe(user, object string) (*Description, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	v := e.as(user)
	ob, err := v.object(object)
	if err != nil {
		return nil, err
	}
	return v.describe(ob), nil
}

// DescribeAll gives every object that the user may read.
func (e *Engine) DescribeAll(user string) []*Description {
	e.mu.RLock()
	defer e.mu.RUnlock()
	v := e.as(user)
	var all []*Description
	for i := range e.org.Objects {
		if ob := &e.org.Objects[i]; v.access(ob).Read {
			all = append(all, v.describe(ob))
		}
	}
	return all
}

func (v *view) describe(ob *org.Object) *Description {
	d := &Description{Object: ob, Access: v.access(ob)}
	for _, f := range ob.Fields {
		if v.field(ob, f.Name) == nil {
			continue
		}
		may := v.writable(ob, &f)
		f.Createable = f.Createable && may && d.Access.Create
		f.Updateable = f.Updateable && may && d.Access.Edit
		d.Fields = append(d.Fields, f)
	}
	for i := range v.org.Objects {
		child := &v.org.Objects[i]
		if !v.access(child).Read {
			continue
		}
		for _, f := range child.Fields {
			if f.ChildRelationshipName != "" && slices.Contains(f.ReferenceTo, ob.Name) && v.field(child, f.Name) != nil {
				d.Child = append(d.Child, Child{child.Name, f.Name, f.ChildRelationshipName})
			}
		}
	}
	return d
}
