package sandbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/stewardhq/steward/internal/sandbox/engine"
	"github.com/stewardhq/steward/internal/sandbox/org"
)

// summary is an object as the list of all objects shows it.
type summary struct {
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

// description is an object with its fields.
type description struct {
	summary
	Fields      []field `json:"fields"`
	Children    []child `json:"childRelationships"`
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

type child struct {
	Object       string `json:"childSObject"`
	Field        string `json:"field"`
	Relationship string `json:"relationshipName"`
}

func summarise(c *call, d *engine.Description) summary {
	var created, updated bool
	for _, f := range d.Fields {
		created = created || f.Createable
		updated = updated || f.Updateable
	}
	ob, base := d.Object, c.base+"/sobjects/"+d.Object.Name
	return summary{
		Name: ob.Name, Label: ob.Label, LabelPlural: ob.LabelPlural, KeyPrefix: ob.KeyPrefix, Custom: ob.Custom,
		Queryable: true, Retrieve: true, Createable: created, Updateable: updated, Deletable: d.Access.Delete && created,
		URLs: map[string]string{"sobject": base, "describe": base + "/describe", "rowTemplate": base + "/{ID}"},
	}
}

func describeField(object string, f *org.Field) field {
	out := field{
		Name: f.Name, Label: f.Label, Type: string(f.Type), Length: f.Length, Nillable: f.Nillable,
		// What must not be null and need not be given, the system or a default provides.
		DefaultedOnCreate: f.DefaultValue != nil || f.Createable && !f.Nillable && !f.Required,
		Createable:        f.Createable, Updateable: f.Updateable,
		Filterable: f.Type.Filterable(), Sortable: f.Type.Sortable(),
		Groupable: f.Type.Groupable(), Aggregatable: f.Type.Aggregatable(),
		Custom: f.Custom, NameField: f.NameField, IDLookup: f.Type == org.ID, Unique: f.Type == org.ID,
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

func (s *Server) describeGlobal(w http.ResponseWriter, c *call) error {
	objects := []summary{}
	for _, d := range s.engine.DescribeAll(c.user) {
		objects = append(objects, summarise(c, d))
	}
	return s.sendSchema(w, c, map[string]any{"encoding": "UTF-8", "maxBatchSize": minBatch, "sobjects": objects})
}

func (s *Server) basics(w http.ResponseWriter, c *call) error {
	d, err := s.engine.Describe(c.user, c.PathValue("object"))
	if err != nil {
		return err
	}
	return s.sendSchema(w, c, map[string]any{"objectDescribe": summarise(c, d), "recentItems": []any{}})
}

func (s *Server) describe(w http.ResponseWriter, c *call) error {
	d, err := s.engine.Describe(c.user, c.PathValue("object"))
	if err != nil {
		return err
	}
	out := description{summary: summarise(c, d), Fields: []field{}, Children: []child{}, RecordTypes: []any{}}
	for i := range d.Fields {
		out.Fields = append(out.Fields, describeField(d.Object.Name, &d.Fields[i]))
	}
	for _, ch := range d.Child {
		out.Children = append(out.Children, child(ch))
	}
	return s.sendSchema(w, c, out)
}

// sendSchema sends what changes only with the schema or the user's permissions: 304 to who has it already.
func (s *Server) sendSchema(w http.ResponseWriter, c *call, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	sum := sha256.Sum256(b)
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sum[:12]))
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	http.ServeContent(w, c.Request, "", s.today, bytes.NewReader(b))
	return nil
}
