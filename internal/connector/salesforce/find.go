package salesforce

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
)

// Finder says how people and fields are looked up.
func (c *Connector) Finder() connector.Finder { return finder{} }

type finder struct{}

// Sizes that keep a lookup's query within a request's path.
const (
	spansAtOnce = 60
	idsAtOnce   = 200
)

// PersonObjects are the objects whose records are people.
func (finder) PersonObjects() []string { return slices.Clone(people) }

// FindPeople looks among contacts and users. Names, addresses and phones are asked for apart: somebody
// who may not see e-mail addresses still finds names.
func (finder) FindPeople(spans []string) []connector.Lookup {
	by := map[string][]string{}
	for _, s := range spans {
		field := "Name"
		if isID(s) && (strings.HasPrefix(s, "003") || strings.HasPrefix(s, "005")) {
			field = "Id" + s[:3] // tells the object
		} else if strings.Contains(s, "@") {
			field = "Email"
		} else if digits := strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsDigit(r) }); len(strings.Join(digits, "")) >= 7 {
			field = "Phone"
		}
		by[field] = append(by[field], s)
	}
	var lookups []connector.Lookup
	for _, in := range [][2]string{{"Contact", "Name"}, {"Contact", "Email"}, {"Contact", "Phone"}, {"User", "Name"}, {"User", "Email"}, {"Contact", "Id003"}, {"User", "Id005"}} {
		for some := range slices.Chunk(by[in[1]], spansAtOnce) {
			lookups = append(lookups, lookup(in[0], []string{"Name", "FirstName", "LastName", "Email", "Phone", "MobilePhone"}, strings.TrimRight(in[1], "0123456789"), some, 2000))
		}
	}
	return lookups
}

// ReadFields reads references again, all fields of an object at once.
func (finder) ReadFields(refs []steward.Ref) []connector.Lookup {
	type wanted struct{ ids, fields []string }
	byObject := map[string]*wanted{}
	var objects []string
	for _, ref := range refs {
		if ref.ID == "" || ref.Field == "" {
			continue
		}
		w := byObject[ref.Object]
		if w == nil {
			w = &wanted{}
			byObject[ref.Object] = w
			objects = append(objects, ref.Object)
		}
		if !slices.Contains(w.ids, ref.ID) {
			w.ids = append(w.ids, ref.ID)
		}
		if !slices.Contains(w.fields, ref.Field) {
			w.fields = append(w.fields, ref.Field)
		}
	}
	var lookups []connector.Lookup
	for _, object := range objects {
		w := byObject[object]
		for ids := range slices.Chunk(w.ids, idsAtOnce) {
			for fields := range slices.Chunk(w.fields, maxFields) {
				lookups = append(lookups, lookup(object, fields, "Id", ids, len(ids)))
			}
		}
	}
	return lookups
}

// lookup is a query for records with one of some values in a field.
func lookup(object string, fields []string, field string, among []string, limit int) connector.Lookup {
	args, err := json.Marshal(map[string]any{
		"object": object, "fields": fields, "skip_hidden": true, "limit": max(limit, 1),
		"where": []any{map[string]any{"field": field, "op": "in", "value": among}},
	})
	if err != nil {
		panic(fmt.Sprintf("salesforce: strings and numbers are always JSON: %v", err))
	}
	return connector.Lookup{Tool: queryTool, Args: args}
}
