package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/stewardhq/steward/internal/sandbox/engine"
)

const (
	maxRecords  = 200  // written by one request
	maxRead     = 2000 // read by one request
	maxBranches = 5    // levels of a tree
)

// outcome is what became of one record of many.
type outcome struct {
	ID      string   `json:"id,omitempty"`
	Success bool     `json:"success"`
	Errors  []reason `json:"errors"`
	Created *bool    `json:"created,omitempty"` // by an upsert
}

// reason is a refusal as it is told of one record among many.
type reason struct {
	Code    string   `json:"statusCode"`
	Message string   `json:"message"`
	Fields  []string `json:"fields"`
}

func reasons(e *engine.Error) []reason {
	return []reason{{e.Code, e.Message, append([]string{}, e.Fields...)}}
}

// records is the body of a request about many records.
type records struct {
	AllOrNone bool             `json:"allOrNone"`
	Records   []map[string]any `json:"records"`
}

// typeOf is the object that a record says it is of.
func typeOf(record map[string]any) string {
	attributes, _ := record["attributes"].(map[string]any)
	name, _ := attributes["type"].(string)
	return name
}

// takeID takes the id out of a record.
func takeID(record map[string]any) string {
	for name, value := range record {
		if id, ok := value.(string); ok && strings.EqualFold(name, "Id") {
			delete(record, name)
			return id
		}
	}
	return ""
}

// take takes a field out of a record, letters' case aside, and gives its text; "" for what is none.
func take(record map[string]any, field string) (text string) {
	for name, value := range record {
		if strings.EqualFold(name, field) {
			text, _ = value.(string)
			delete(record, name)
		}
	}
	return text
}

// each writes n records, and tells what became of each. With allOrNone a single refusal undoes all.
// Source: "sObject Collections" of the REST API Developer Guide.
func each(w http.ResponseWriter, c *call, n int, allOrNone bool, write func(c *call, i int) (outcome, error)) error {
	if n > maxRecords {
		return refusal(http.StatusBadRequest, "EXCEEDED_ID_LIMIT", fmt.Sprintf("record limit reached. cannot submit more than %d records into this call", maxRecords))
	}
	all := make([]outcome, n)
	err := c.atomically(allOrNone, func(c *call) error {
		var undo error
		for i := range all {
			one, err := write(c, i)
			var e *engine.Error
			switch {
			case errors.As(err, &e):
				all[i], undo = outcome{Errors: reasons(e)}, errRolledBack
			case err != nil:
				return err
			default:
				one.Success, one.Errors = true, []reason{}
				all[i] = one
			}
		}
		if !allOrNone {
			return nil
		}
		return undo
	})
	switch {
	case errors.Is(err, errRolledBack):
		for i := range all {
			if all[i].Success {
				all[i] = outcome{Errors: []reason{{"ALL_OR_NONE_OPERATION_ROLLED_BACK", "Record rolled back because not all records were valid and the request was using AllOrNone header", []string{}}}}
			}
		}
	case err != nil:
		return err
	}
	send(w, http.StatusOK, all)
	return nil
}

func (s *Server) createMany(w http.ResponseWriter, c *call) error {
	var in records
	if err := read(c, &in, false); err != nil {
		return err
	}
	return each(w, c, len(in.Records), in.AllOrNone, func(c *call, i int) (outcome, error) {
		id, err := c.engine.Create(c.user, typeOf(in.Records[i]), in.Records[i])
		return outcome{ID: id}, err
	})
}

func (s *Server) updateMany(w http.ResponseWriter, c *call) error {
	var in records
	if err := read(c, &in, false); err != nil {
		return err
	}
	return each(w, c, len(in.Records), in.AllOrNone, func(c *call, i int) (outcome, error) {
		id := takeID(in.Records[i])
		if id == "" {
			return outcome{}, refusal(http.StatusBadRequest, "MISSING_ARGUMENT", "Id not specified in an update call")
		}
		return outcome{ID: id}, c.engine.Update(c.user, typeOf(in.Records[i]), id, in.Records[i])
	})
}

func (s *Server) upsertMany(w http.ResponseWriter, c *call) error {
	var in records
	if err := read(c, &in, false); err != nil {
		return err
	}
	return each(w, c, len(in.Records), in.AllOrNone, func(c *call, i int) (outcome, error) {
		key := c.PathValue("field")
		match := take(in.Records[i], key)
		if match == "" && !strings.EqualFold(key, "Id") {
			return outcome{}, refusal(http.StatusBadRequest, "MISSING_ARGUMENT", key+" not specified")
		}
		id, created, err := c.upsert(c.PathValue("object"), key, match, in.Records[i])
		return outcome{ID: id, Created: &created}, err
	})
}

func (s *Server) removeMany(w http.ResponseWriter, c *call) error {
	ask := c.URL.Query()
	ids := slices.DeleteFunc(strings.Split(ask.Get("ids"), ","), func(id string) bool { return id == "" })
	return each(w, c, len(ids), ask.Get("allOrNone") == "true", func(c *call, i int) (outcome, error) {
		id := strings.TrimSpace(ids[i])
		object := c.engine.ObjectOf(id)
		if object == "" {
			return outcome{}, refusal(http.StatusBadRequest, "MALFORMED_ID", "malformed id "+id)
		}
		return outcome{ID: id}, c.engine.Delete(c.user, object, id)
	})
}

// readMany gives records by their ids, null for those that are not there for the user.
func (s *Server) readMany(w http.ResponseWriter, c *call) error {
	var ask struct {
		IDs    []string `json:"ids"`
		Fields []string `json:"fields"`
	}
	if c.Method == http.MethodPost {
		if err := read(c, &ask, false); err != nil {
			return err
		}
	} else {
		ask.IDs, ask.Fields = strings.Split(c.URL.Query().Get("ids"), ","), strings.Split(c.URL.Query().Get("fields"), ",")
	}
	if len(ask.IDs) > maxRead {
		return refusal(http.StatusBadRequest, "EXCEEDED_ID_LIMIT", fmt.Sprintf("at most %d ids can be given", maxRead))
	}
	var b bytes.Buffer
	for i, id := range ask.IDs {
		b.WriteByte("[,"[min(i, 1)])
		record, err := c.engine.Get(c.user, c.PathValue("object"), strings.TrimSpace(id), ask.Fields)
		var e *engine.Error
		switch {
		case err == nil:
			err = writeRecord(&b, c.base, record)
		case errors.As(err, &e) && (e.Status == http.StatusNotFound || e.Code == "MALFORMED_ID"):
			_, err = b.WriteString("null")
		}
		if err != nil {
			return err
		}
	}
	if len(ask.IDs) == 0 {
		b.WriteByte('[')
	}
	b.WriteByte(']')
	sendJSON(w, http.StatusOK, b.Bytes())
	return nil
}

// leafOf is one record of a tree.
type leafOf struct {
	object, reference string
	values            map[string]any
	under             int    // the parent's place among all records, -1 for none
	by                string // the field that points there
}

// grown is what became of one record of a tree.
type grown struct {
	Reference string   `json:"referenceId"`
	ID        string   `json:"id,omitempty"`
	Errors    []reason `json:"errors,omitempty"`
}

// tree makes records with their children, all or none. Source: "sObject Tree" of the REST API Developer Guide.
func (s *Server) tree(w http.ResponseWriter, c *call) error {
	var in records
	if err := read(c, &in, false); err != nil {
		return err
	}
	var all []leafOf
	for _, record := range in.Records {
		all = append(all, leafOf{object: c.PathValue("object"), values: record, under: -1})
	}
	for i, level := 0, 1; i < len(all); level++ { // level by level: parents come before their children
		for end := len(all); i < end; i++ {
			children, err := c.branch(&all[i], i)
			if err != nil {
				return err
			}
			all = append(all, children...)
		}
		if len(all) > maxRecords || i < len(all) && level == maxBranches {
			return refusal(http.StatusBadRequest, "INVALID_INPUT", fmt.Sprintf("A tree has at most %d records on %d levels", maxRecords, maxBranches))
		}
	}
	seen := map[string]bool{}
	for _, leaf := range all {
		if leaf.reference == "" || seen[leaf.reference] {
			return refusal(http.StatusBadRequest, "INVALID_INPUT", "Every record of a tree needs an attributes.referenceId of its own: "+leaf.reference)
		}
		seen[leaf.reference] = true
	}
	made, refused := make([]grown, len(all)), []grown{}
	err := c.atomically(true, func(c *call) error {
		for i, leaf := range all {
			if leaf.under >= 0 {
				if leaf.values[leaf.by] = made[leaf.under].ID; made[leaf.under].ID == "" {
					continue // the parent's refusal is told
				}
			}
			id, err := c.engine.Create(c.user, leaf.object, leaf.values)
			made[i] = grown{Reference: leaf.reference, ID: id}
			var e *engine.Error
			if errors.As(err, &e) {
				refused = append(refused, grown{Reference: leaf.reference, Errors: reasons(e)})
			} else if err != nil {
				return err
			}
		}
		if len(refused) > 0 {
			return errRolledBack
		}
		return nil
	})
	switch {
	case errors.Is(err, errRolledBack):
		send(w, http.StatusBadRequest, map[string]any{"hasErrors": true, "results": refused})
	case err != nil:
		return err
	default:
		send(w, http.StatusCreated, map[string]any{"hasErrors": false, "results": made})
	}
	return nil
}

// branch takes a record's children out of its values.
func (c *call) branch(of *leafOf, place int) ([]leafOf, error) {
	if attributes, ok := of.values["attributes"].(map[string]any); ok {
		of.reference, _ = attributes["referenceId"].(string)
	}
	var children []leafOf
	for _, name := range slices.Sorted(maps.Keys(of.values)) {
		nested, ok := of.values[name].(map[string]any)
		if !ok || name == "attributes" {
			continue
		}
		d, err := c.engine.Describe(c.user, of.object)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(d.Child, func(ch engine.Child) bool { return strings.EqualFold(ch.Relationship, name) })
		list, isList := nested["records"].([]any)
		if i < 0 || !isList {
			return nil, refusal(http.StatusBadRequest, "INVALID_FIELD", fmt.Sprintf("No such relationship '%s' on sobject of type %s", name, of.object))
		}
		delete(of.values, name)
		for _, one := range list {
			values, ok := one.(map[string]any)
			if !ok {
				return nil, refusal(http.StatusBadRequest, "JSON_PARSER_ERROR", name+".records must hold objects")
			}
			children = append(children, leafOf{object: d.Child[i].Object, values: values, under: place, by: d.Child[i].Field})
		}
	}
	return children, nil
}
