package salesforce

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
)

// object is an SObject describe result, as far as we use it: what the member sees of an object.
type object struct {
	Name   string  `json:"name"`
	Fields []field `json:"fields"`
}

// field is one field of a describe result.
type field struct {
	Name              string   `json:"name"`
	Label             string   `json:"label"`
	Type              string   `json:"type"`
	Length            int      `json:"length"` // in characters; 0 where it means nothing
	Nillable          bool     `json:"nillable"`
	DefaultedOnCreate bool     `json:"defaultedOnCreate"`
	Createable        bool     `json:"createable"`
	Updateable        bool     `json:"updateable"`
	Filterable        *bool    `json:"filterable"` // absent: taken for true, and Salesforce decides
	Sortable          *bool    `json:"sortable"`
	Restricted        bool     `json:"restrictedPicklist"`
	ReferenceTo       []string `json:"referenceTo"`
	RelationshipName  string   `json:"relationshipName"`
	Picklist          []struct {
		Value  string `json:"value"`
		Active bool   `json:"active"`
	} `json:"picklistValues"`
}

// shape is how a field's values are written.
type shape uint8

const (
	text shape = iota
	number
	boolean
	date
	datetime
	compound // an address, a place, a file: made of parts, or not for reading here
)

func (f *field) shape() shape {
	switch f.Type {
	case "int", "long", "double", "percent", "currency":
		return number
	case "boolean":
		return boolean
	case "date":
		return date
	case "datetime":
		return datetime
	case "address", "location", "base64", "complexvalue":
		return compound
	}
	return text
}

// isText says whether somebody types the values, and so could write anything.
func (f *field) isText() bool {
	return f.shape() == text && !slices.Contains([]string{"id", "reference", "picklist", "multipicklist", "time"}, f.Type)
}

func (f *field) isCompound() bool { return f.shape() == compound }

// values are the picklist's active values.
func (f *field) values() []string {
	var list []string
	for _, p := range f.Picklist {
		if p.Active {
			list = append(list, p.Value)
		}
	}
	return list
}

// field finds a field by name, letters' case aside; nil where the member sees none.
func (o *object) field(name string) *field {
	for i := range o.Fields {
		if strings.EqualFold(o.Fields[i].Name, name) {
			return &o.Fields[i]
		}
	}
	return nil
}

// object describes an object as the member sees it.
func (v *visit) object(ctx context.Context, name string) (*object, error) {
	key := strings.ToLower(name)
	if o := v.objects[key]; o != nil {
		return o, nil
	}
	if !isWord(name) {
		return nil, noObject(nil)
	}
	o := &object{}
	if err := v.get(ctx, dataPath+"/sobjects/"+name+"/describe", o); err != nil {
		if steward.KindOf(err) == steward.NotFound {
			return nil, noObject(err)
		}
		return nil, err
	}
	if !strings.EqualFold(o.Name, name) || len(o.Fields) == 0 || slices.ContainsFunc(o.Fields, func(f field) bool { return !isWord(f.Name) }) {
		return nil, v.garbage()
	}
	v.objects[key] = o
	return o, nil
}

func noObject(because error) error {
	return steward.Errorf(steward.NotFound,
		"Salesforce has no object of that name, or you may not see it; use API names such as Account, Contact, Opportunity, Task").Because(because)
}

// path is a field reached from an object, perhaps through parents.
type path struct {
	asked  string   // as the caller wrote it
	names  []string // as the org writes it: {"Account", "Owner", "Name"}
	field  *field   // the last one
	object string   // the object it belongs to
	link   string   // the field that points at the last parent: "OwnerId"; "" without parents
	many   bool     // that parent may be one of several objects
}

// pathToID leads to the id of the record that the field lives in.
func (p path) pathToID() []string {
	if p.link == "" {
		return []string{"Id"}
	}
	return append(slices.Clone(p.names[:len(p.names)-2]), p.link)
}

// maxParents is how many parents up a query may reach.
const maxParents = 5

// path finds the field that a dotted name means. at says where the name stood, for the error.
func (v *visit) path(ctx context.Context, from *object, asked, at string) (path, error) {
	p := path{asked: asked}
	names := strings.Split(asked, ".")
	if len(names) > maxParents+1 {
		return p, steward.Errorf(steward.Invalid, "%s goes through more than %d parents", at, maxParents)
	}
	o := from
	for _, parent := range names[:len(names)-1] {
		i := slices.IndexFunc(o.Fields, func(f field) bool {
			return f.RelationshipName != "" && strings.EqualFold(f.RelationshipName, parent)
		})
		if i < 0 {
			return p, steward.Errorf(steward.Invalid, "%s: %s has no such parent; it has %s", at, o.Name, strings.Join(o.parents(), ", ")).Because(errHidden)
		}
		link := &o.Fields[i]
		next, err := v.parent(ctx, link, names[len(names)-1])
		if err != nil {
			return p, err
		}
		p.names, p.link, p.many, o = append(p.names, link.RelationshipName), link.Name, len(link.ReferenceTo) > 1, next
	}
	p.object = o.Name
	if p.field = o.field(names[len(names)-1]); p.field == nil {
		return p, steward.Errorf(steward.Invalid, "%s is no field of %s that you may see; salesforce_describe lists them", at, o.Name).Because(errHidden)
	}
	if p.field.isCompound() {
		return p, steward.Errorf(steward.Invalid, "%s is made of several fields; name those, which salesforce_describe lists", at)
	}
	p.names = append(p.names, p.field.Name)
	return p, nil
}

// parents are the names of the relationships that lead up from an object.
func (o *object) parents() []string {
	var list []string
	for _, f := range o.Fields {
		if f.RelationshipName != "" {
			list = append(list, f.RelationshipName)
		}
	}
	return list
}

// parent describes what a reference points at. Where that may be one of several objects, it is the
// first that the member sees and that has the field which is wanted.
func (v *visit) parent(ctx context.Context, link *field, wanted string) (*object, error) {
	var first *object
	for _, name := range link.ReferenceTo {
		o, err := v.object(ctx, name)
		switch {
		case err != nil && steward.KindOf(err) == steward.NotFound:
		case err != nil:
			return nil, err
		case o.field(wanted) != nil:
			return o, nil
		case first == nil:
			first = o
		}
	}
	if first == nil {
		return nil, noObject(nil)
	}
	return first, nil
}

// errHidden marks the absence of a field or parent, which some reads may pass over.
var errHidden = errors.New("field absent or hidden")

// describeFields lists an object's fields as records.
func (v *visit) describeFields(ctx context.Context, name string) (connector.Reply, error) {
	o, err := v.object(ctx, name)
	if err != nil {
		return connector.Reply{}, err
	}
	reply := connector.Reply{Total: len(o.Fields)}
	for i := range o.Fields {
		f := &o.Fields[i]
		record := steward.Record{Object: "Field"}
		for _, entry := range []struct {
			name  string
			value any
		}{
			{"name", f.Name}, {"label", f.Label}, {"type", f.Type},
			{"updateable", f.Updateable}, {"createable", f.Createable},
			{"required", f.Createable && !f.Nillable && !f.DefaultedOnCreate && f.Type != "boolean"},
			{"picklist", joined(f.values())}, {"parent", joined([]string{f.RelationshipName})}, {"references", joined(f.ReferenceTo)},
		} {
			record.Fields = append(record.Fields, steward.Field{Name: entry.name, Value: entry.value, Sensitivity: steward.Open})
		}
		reply.Records = append(reply.Records, record)
	}
	return reply, nil
}

// joined writes a list as one value, nil for none. Picklist values can't hold the semicolon, by which
// Salesforce itself separates them.
func joined(list []string) any {
	if text := strings.Join(list, "; "); text != "" {
		return text
	}
	return nil
}

// Salesforce's form of a datetime; it also takes RFC 3339.
const datetimeLayout = "2006-01-02T15:04:05.000-0700"

// parseDatetime reads a datetime as people, models and Salesforce write it; a day alone is its first
// moment in UTC.
func parseDatetime(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, datetimeLayout, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// isWord accepts API names and error codes.
func isWord(s string) bool {
	for _, c := range []byte(s) {
		if c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 80
}

// isID accepts record ids: 15 characters, or 18 with the check letters.
func isID(s string) bool {
	return (len(s) == 15 || len(s) == 18) && isWord(s) && !strings.Contains(s, "_")
}
