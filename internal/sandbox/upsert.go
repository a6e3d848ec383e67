package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/stewardhq/steward/internal/sandbox/engine"
	"github.com/stewardhq/steward/internal/sandbox/org"
	"github.com/stewardhq/steward/internal/soql"
)

// severalError is the refusal of a key that several records have.
type severalError struct {
	refused *engine.Error
	urls    []string // of the records
}

func (e *severalError) Error() string { return e.refused.Error() }
func (e *severalError) Unwrap() error { return e.refused }

// atomically does something, as one transaction where that is asked for.
func (c *call) atomically(asked bool, do func(*call) error) error {
	if !asked {
		return do(c)
	}
	return c.engine.Atomically(func(e *engine.Engine) error {
		inner := *c
		inner.engine = e
		return do(&inner)
	})
}

// keyed finds the record that a field's value names; "" for none. Only fields that tell records apart can.
func (c *call) keyed(object, field, value string) (id string, key *org.Field, err error) {
	d, err := c.engine.Describe(c.user, object)
	if err != nil {
		return "", nil, err
	}
	for i := range d.Fields {
		if f := &d.Fields[i]; strings.EqualFold(f.Name, field) && f.Keys() {
			key = f
		}
	}
	if key == nil {
		return "", nil, refusal(http.StatusNotFound, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: "+field)
	}
	if key.Type == org.ID {
		return value, key, nil
	}
	found, err := c.engine.Query(c.user, "SELECT Id FROM "+d.Object.Name+" WHERE "+key.Name+" = "+soql.Quote(value))
	switch {
	case err != nil || found.Total == 0:
		return "", key, err
	case found.Total == 1:
		return found.Records[0].ID, key, nil
	}
	several := &severalError{refused: refusal(http.StatusMultipleChoices, "DUPLICATE_EXTERNAL_ID", fmt.Sprintf("%s: more than one record found for external id field: %s", key.Name, value))}
	for _, r := range found.Records {
		several.urls = append(several.urls, c.base+"/sobjects/"+d.Object.Name+"/"+r.ID)
	}
	return "", key, several
}

// upsert changes the record that a field's value names, or makes one with it.
func (c *call) upsert(object, field, value string, values map[string]any) (id string, created bool, err error) {
	id, key, err := c.keyed(object, field, value)
	switch {
	case err != nil:
		return "", false, err
	case id != "":
		return id, false, c.engine.Update(c.user, object, id, values)
	}
	if key.Type != org.ID {
		take(values, key.Name)
		values[key.Name] = value
	}
	id, err = c.engine.Create(c.user, object, values)
	return id, err == nil, err
}

// byKey answers for the record that a field's value names as for one named by its id.
func (s *Server) byKey(h handler) handler {
	return func(w http.ResponseWriter, c *call) error {
		id, _, err := c.keyed(c.PathValue("object"), c.PathValue("field"), c.PathValue("value"))
		if err == nil && id == "" {
			err = refusal(http.StatusNotFound, "NOT_FOUND", "The requested resource does not exist")
		}
		if err != nil {
			return several(w, err)
		}
		c.SetPathValue("id", id)
		return h(w, c)
	}
}

func (s *Server) upsertOne(w http.ResponseWriter, c *call) error {
	values := map[string]any{}
	if err := read(c, &values, false); err != nil {
		return err
	}
	if takeID(values) != "" {
		return refusal(http.StatusBadRequest, "INVALID_FIELD", "The Id field should not be specified in the sobject data.")
	}
	var id string
	var created bool
	err := c.atomically(true, func(c *call) (err error) { // nobody makes the record between the look and the making
		id, created, err = c.upsert(c.PathValue("object"), c.PathValue("field"), c.PathValue("value"), values)
		return err
	})
	if err != nil {
		return several(w, err)
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	send(w, status, map[string]any{"id": id, "success": true, "errors": []any{}, "created": created})
	return nil
}

// several sends where the records are that have the same key.
func several(w http.ResponseWriter, err error) error {
	var e *severalError
	if !errors.As(err, &e) {
		return err
	}
	send(w, e.refused.Status, e.urls)
	return nil
}
