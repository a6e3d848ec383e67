// Package org answers: what is in the sandbox company? It knows the schema, the profiles and every row
// of a Salesforce-like org, made from a seed and a day; it doesn't know HTTP, queries, or who is asking.
package org

import (
	"strings"
	"time"
)

// The layouts in which rows hold dates and datetimes. Datetimes are UTC.
const (
	DateLayout     = "2006-01-02"
	DateTimeLayout = "2006-01-02T15:04:05.000+0000"
)

// Row is one record. A value is nil, string, bool or float64 (also for int fields); dates and datetimes
// are strings in DateLayout and DateTimeLayout. Every field of the object is present as a key. There are no
// empty strings: nil stands for nothing.
type Row map[string]any

// Text is a field's value where it is a string, else "".
func (r Row) Text(field string) string {
	s, _ := r[field].(string)
	return s
}

// Number is a field's value where it is a number, else 0.
func (r Row) Number(field string) float64 {
	n, _ := r[field].(float64)
	return n
}

// True says whether a boolean field is set.
func (r Row) True(field string) bool {
	b, _ := r[field].(bool)
	return b
}

// Sharing is who may see an object's records beyond their owner: its organisation-wide default.
type Sharing uint8

// The sharing models. Private is the zero value.
const (
	Private            Sharing = iota // the owner and those in roles above the owner's
	ControlledByParent                // whoever may see the parent: Contact by AccountId, OpportunityHistory by OpportunityId
	PublicRead                        // everybody reads; only Modify All writes
)

// FieldType is a field's type in Salesforce's own words.
type FieldType string

// The field types.
const (
	ID        FieldType = "id"
	String    FieldType = "string"
	TextArea  FieldType = "textarea"
	Email     FieldType = "email"
	Phone     FieldType = "phone"
	URL       FieldType = "url"
	Picklist  FieldType = "picklist"
	Currency  FieldType = "currency"
	Double    FieldType = "double"
	Percent   FieldType = "percent"
	Int       FieldType = "int"
	Boolean   FieldType = "boolean"
	Date      FieldType = "date"
	DateTime  FieldType = "datetime"
	Reference FieldType = "reference"

	MultiPicklist FieldType = "multipicklist" // a row holds the values chosen with semicolons between
)

// CurrencyCode is the ISO 4217 code of the only currency that an org has.
const CurrencyCode = "USD"

// IsNumber says whether rows hold a float64 for the type.
func (t FieldType) IsNumber() bool { return t == Currency || t == Double || t == Percent || t == Int }

// IsID says whether values are ids of records.
func (t FieldType) IsID() bool { return t == ID || t == Reference }

// IsText says whether values are texts that people write.
func (t FieldType) IsText() bool {
	switch t {
	case String, TextArea, Email, Phone, URL, Picklist, MultiPicklist:
		return true
	}
	return false
}

// Filterable says whether WHERE takes fields of this type.
func (t FieldType) Filterable() bool { return t != TextArea }

// Sortable says whether ORDER BY takes fields of this type.
func (t FieldType) Sortable() bool { return t != TextArea && t != MultiPicklist }

// Groupable says whether GROUP BY takes fields of this type.
func (t FieldType) Groupable() bool {
	switch t {
	case TextArea, MultiPicklist, Currency, Double, Percent, DateTime:
		return false
	}
	return true
}

// Aggregatable says whether MIN and MAX take fields of this type.
func (t FieldType) Aggregatable() bool { return t.Sortable() && t != Boolean }

// Field is one column of an object.
type Field struct {
	Name, Label string
	Type        FieldType
	Length      int  // characters at most, for text; 0 for the other types
	Required    bool // must be given on create and can't be emptied
	Nillable    bool // may be null in a row
	Createable  bool // a create may set it
	Updateable  bool // an update may set it
	Custom      bool
	NameField   bool // what a record is called by
	Restricted  bool // a picklist that refuses values it doesn't list

	Picklist     []string
	DefaultValue any // what a create that doesn't name the field gets; nil for nothing

	ReferenceTo           []string // objects a reference may point at; more than one for WhatId
	RelationshipName      string   // the parent as seen from here: "Account" for AccountId; "" for none
	ChildRelationshipName string   // these records as seen from the parent: "Opportunities"; "" for none
}

// Keys says whether a value of the field names a record.
func (f *Field) Keys() bool { return f.Type == ID || f.Type == Email || f.Name == "Username" }

// Object is one table.
type Object struct {
	Name, Label, LabelPlural string
	KeyPrefix                string // the first three characters of its ids
	Sharing                  Sharing
	Custom                   bool
	Fields                   []Field
}

// Field finds a field by name, whatever its case; nil where there is none.
func (ob *Object) Field(name string) *Field {
	for i := range ob.Fields {
		if strings.EqualFold(ob.Fields[i].Name, name) {
			return &ob.Fields[i]
		}
	}
	return nil
}

// Access is what a profile may do with an object. The zero Access is nothing at all.
type Access struct{ Create, Read, Edit, Delete bool }

// FieldAccess is what a profile may do with a field.
type FieldAccess struct{ Read, Edit bool }

// Profile is what a kind of user may do.
type Profile struct {
	ID, Name           string
	ViewAll, ModifyAll bool              // beyond sharing: all records may be seen, or changed
	Objects            map[string]Access // by object name; absent: no access
	Fields             map[string]FieldAccess
	// Fields is by "Object.Field"; absent: whatever the field itself allows.
}

// Org is a whole company. It does no locking: whoever serves it does.
type Org struct {
	ID       string // "00D…", 18 characters
	Name     string
	Today    time.Time // midnight UTC of the day the org believes in
	Objects  []Object
	Profiles []Profile
	Rows     map[string][]Row // by object name, in order of their ids

	seed     uint64
	counters map[string]uint64
}

// Object finds an object by name, whatever its case; nil where there is none.
func (o *Org) Object(name string) *Object {
	for i := range o.Objects {
		if strings.EqualFold(o.Objects[i].Name, name) {
			return &o.Objects[i]
		}
	}
	return nil
}

// ObjectOf finds the object an id belongs to by its prefix; nil where there is none.
func (o *Org) ObjectOf(id string) *Object {
	for i := range o.Objects {
		if len(id) >= 3 && id[:3] == o.Objects[i].KeyPrefix {
			return &o.Objects[i]
		}
	}
	return nil
}

// Profile finds a profile by id; nil where there is none.
func (o *Org) Profile(id string) *Profile {
	for i := range o.Profiles {
		if o.Profiles[i].ID == id {
			return &o.Profiles[i]
		}
	}
	return nil
}

// Find looks a record up by its 18-character id, reading one row after the other; nil where there is none.
func (o *Org) Find(object, id string) Row {
	for _, row := range o.Rows[object] {
		if row["Id"] == id {
			return row
		}
	}
	return nil
}
