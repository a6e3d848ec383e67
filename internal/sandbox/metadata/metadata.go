// Package metadata answers: how does Salesforce describe objects, fields, and the columns of a query? It doesn't know
// who may see which of them, or how they are asked for.
package metadata

import (
	"github.com/stewardhq/steward/internal/sandbox/org"
)

// Summary is an object as the list of all objects shows it.
type Summary struct {
	Name        string            `json:"name"`
	Label       string            `json:"label"`
	LabelPlural string            `json:"labelPlural"`
	KeyPrefix   string            `json:"keyPrefix"`
	Custom      bool              `json:"custom"`
	Queryable   bool              `json:"queryable"`
	Retrieve    bool              `json:"retrieveable"` // spelt as Salesforce does
	Createable  bool              `json:"createable"`
	Updateable  bool              `json:"updateable"`
	Deletable   bool              `json:"deletable"`
	URLs        map[string]string `json:"urls"`
}

// Description is an object with its fields.
type Description struct {
	Summary
	Fields      []field `json:"fields"`
	Children    []Child `json:"childRelationships"`
	RecordTypes []any   `json:"recordTypeInfos"`
}

type field struct {
	Name               string          `json:"name"`
	Label              string          `json:"label"`
	Type               string          `json:"type"`
	Length             int             `json:"length"`
	Nillable           bool            `json:"nillable"`
	DefaultedOnCreate  bool            `json:"defaultedOnCreate"`
	Createable         bool            `json:"createable"`
	Updateable         bool            `json:"updateable"`
	Filterable         bool            `json:"filterable"`
	Sortable           bool            `json:"sortable"`
	Groupable          bool            `json:"groupable"`
	Aggregatable       bool            `json:"aggregatable"`
	Calculated         bool            `json:"calculated"`
	Custom             bool            `json:"custom"`
	NameField          bool            `json:"nameField"`
	IDLookup           bool            `json:"idLookup"`
	ExternalID         bool            `json:"externalId"`
	Unique             bool            `json:"unique"`
	RestrictedPicklist bool            `json:"restrictedPicklist"`
	Polymorphic        bool            `json:"polymorphicForeignKey"`
	PicklistValues     []picklistValue `json:"picklistValues"`
	ReferenceTo        []string        `json:"referenceTo"`
	RelationshipName   *string         `json:"relationshipName"`
	CompoundFieldName  *string         `json:"compoundFieldName"`
	DefaultValue       any             `json:"defaultValue"`
}

type picklistValue struct {
	Value        string `json:"value"`
	Label        string `json:"label"`
	Active       bool   `json:"active"`
	DefaultValue bool   `json:"defaultValue"`
}

// Child is a relationship from another object to the described one.
type Child struct {
	Object       string `json:"childSObject"`
	Field        string `json:"field"`
	Relationship string `json:"relationshipName"`
}

// Summarise describes an object that has only the fields, and those as writable, that the reader may see and write.
// base is the path of the API's version.
func Summarise(base string, ob *org.Object, access org.Access) Summary {
	var created, updated bool
	for _, f := range ob.Fields {
		created = created || f.Createable
		updated = updated || f.Updateable
	}
	base += "/sobjects/" + ob.Name
	return Summary{
		Name: ob.Name, Label: ob.Label, LabelPlural: ob.LabelPlural, KeyPrefix: ob.KeyPrefix, Custom: ob.Custom,
		Queryable: true, Retrieve: true, Createable: created, Updateable: updated, Deletable: access.Delete && created,
		URLs: map[string]string{"sobject": base, "describe": base + "/describe", "rowTemplate": base + "/{ID}"},
	}
}

// Describe is Summarise with the fields and the children.
func Describe(base string, ob *org.Object, access org.Access, children []Child) Description {
	out := Description{Summary: Summarise(base, ob, access), Fields: []field{}, Children: append([]Child{}, children...), RecordTypes: []any{}}
	for i := range ob.Fields {
		out.Fields = append(out.Fields, describeField(ob.Name, &ob.Fields[i]))
	}
	return out
}

func describeField(object string, f *org.Field) field {
	out := field{
		Name: f.Name, Label: f.Label, Type: string(f.Type), Length: f.Length, Nillable: f.Nillable,
		// What must not be null and need not be given, the system or a default provides.
		DefaultedOnCreate: f.DefaultValue != nil || f.Createable && !f.Nillable && !f.Required,
		Createable:        f.Createable, Updateable: f.Updateable,
		Filterable: f.Type.Filterable(), Sortable: f.Type.Sortable(),
		Groupable: f.Type.Groupable(), Aggregatable: f.Type.Aggregatable(),
		Custom: f.Custom, NameField: f.NameField, IDLookup: f.Keys(), Unique: f.Type == org.ID,
		RestrictedPicklist: f.Restricted, Polymorphic: len(f.ReferenceTo) > 1,
		PicklistValues: []picklistValue{}, ReferenceTo: append([]string{}, f.ReferenceTo...), DefaultValue: f.DefaultValue,
	}
	for _, value := range f.Picklist {
		out.PicklistValues = append(out.PicklistValues, picklistValue{value, value, true, value == f.DefaultValue})
	}
	if f.RelationshipName != "" {
		out.RelationshipName = &f.RelationshipName
	}
	if person := object == "Contact" || object == "User"; person && (f.Name == "FirstName" || f.Name == "LastName") {
		name := "Name"
		out.CompoundFieldName = &name
	}
	return out
}
