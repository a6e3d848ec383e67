package salesforce

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/stewardhq/steward"
)

// accepted says, for each tool, what its arguments are.
var accepted = map[string]string{
	queryTool: `object, fields ["Name", "Owner.Name"], where [{field, op, value or literal} or {any: [{field, op, value or literal}]}], ` +
		`order_by [{field, desc}], limit and skip_hidden`,
	describeTool: "object",
	getTool:      `object, id and fields ["Name", "Owner.Name"]`,
	createTool:   `object and values {"Field": value}`,
	updateTool:   `object, id and values {"Field": value}`,
	logTool:      "type, subject, who_id, what_id and date, all strings",
}

// decode reads a tool's arguments. What isn't known is refused, as is what stands twice: a misspelt
// condition that was passed over would widen a query, and two readers may choose differently among two.
func decode(tool string, raw json.RawMessage, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) || !unambiguous(raw) || d.Decode(into) != nil {
		return steward.Errorf(steward.Invalid, "these aren't arguments of %s; it takes one JSON object with %s", tool, accepted[tool])
	}
	return nil
}

// unambiguous says whether a JSON text is a single value in which no key stands twice, letters' case
// aside, as which encoding/json takes keys for each other.
func unambiguous(raw json.RawMessage) bool {
	d := json.NewDecoder(bytes.NewReader(raw))
	var open []map[string]bool // keys seen in each object that is open; nil for arrays
	key := false               // whether a key comes next
	for {
		t, err := d.Token()
		if err != nil {
			return err == io.EOF && len(open) == 0
		}
		switch t := t.(type) {
		case json.Delim:
			switch t {
			case '{':
				open = append(open, map[string]bool{})
			case '[':
				open = append(open, nil)
			default:
				open = open[:len(open)-1]
			}
		case string:
			if key {
				folded := strings.ToLower(t)
				if open[len(open)-1][folded] {
					return false
				}
				open[len(open)-1][folded], key = true, false
				continue
			}
		}
		if len(open) == 0 && d.More() {
			return false // a second value
		}
		key = len(open) > 0 && open[len(open)-1] != nil && d.More()
	}
}

// queryArgs are the arguments of salesforce_query.
type queryArgs struct {
	Object     string      `json:"object"`
	Fields     []string    `json:"fields"`
	Where      []condition `json:"where"`
	OrderBy    []ordering  `json:"order_by"`
	Limit      *int        `json:"limit"`
	SkipHidden bool        `json:"skip_hidden"`
}

// condition is one comparison, or alternatives of which one must hold.
type condition struct {
	Field   string          `json:"field"`
	Op      string          `json:"op"`
	Value   json.RawMessage `json:"value"`
	Literal *string         `json:"literal"`
	Any     []condition     `json:"any"`
}

type ordering struct {
	Field string `json:"field"`
	Desc  bool   `json:"desc"`
}

func parseQuery(raw json.RawMessage) (queryArgs, error) {
	q := queryArgs{}
	if err := decode(queryTool, raw, &q); err != nil {
		return q, err
	}
	if q.Limit == nil {
		rows := defaultRows
		q.Limit = &rows
	}
	if *q.Limit < 1 || *q.Limit > maxRows {
		return q, steward.Errorf(steward.Invalid, "limit must be from 1 to %d", maxRows)
	}
	if len(q.OrderBy) > maxOrders {
		return q, steward.Errorf(steward.Invalid, "order_by takes at most %d fields", maxOrders)
	}
	if n, err := checkConditions(q.Where, "where", true); err != nil {
		return q, err
	} else if n > maxConditions {
		return q, steward.Errorf(steward.Invalid, "there are more than %d conditions", maxConditions)
	}
	return q, checkFields(q.Object, q.Fields)
}

// checkConditions holds conditions against their two forms and counts them.
func checkConditions(list []condition, at string, alternatives bool) (n int, err error) {
	for i, c := range list {
		at := fmt.Sprintf("%s[%d]", at, i)
		bare := c.Field == "" && c.Op == "" && c.Value == nil && c.Literal == nil
		switch {
		case c.Any == nil && c.Field != "" && c.Op != "" && (c.Value == nil) != (c.Literal == nil):
			n++
		case len(c.Any) > 0 && bare && alternatives:
			inner, err := checkConditions(c.Any, at+".any", false)
			if err != nil {
				return 0, err
			}
			n += inner
		default:
			return 0, steward.Errorf(steward.Invalid, "%s needs field, op and one of value and literal; or, in where itself, any alone with at least one condition", at)
		}
	}
	return n, nil
}

// checkFields refuses an absent object and too many or no fields.
func checkFields(object string, fields []string) error {
	if object == "" {
		return steward.Errorf(steward.Invalid, "object is missing: name one, such as Opportunity")
	}
	if fields != nil && len(fields) == 0 || len(fields) > maxFields {
		return steward.Errorf(steward.Invalid, "fields must name from 1 to %d fields; leave it out for the usual ones", maxFields)
	}
	return nil
}

// operands reads a condition's value: one, or for a list several.
func (c condition) operands(at string) (list []any, isList bool, err error) {
	var v any
	if json.Unmarshal(c.Value, &v) != nil {
		return nil, false, steward.Errorf(steward.Invalid, "%s is no value", at)
	}
	if list, isList = v.([]any); !isList {
		list = []any{v}
	}
	if len(list) > maxInList {
		return nil, isList, steward.Errorf(steward.Invalid, "%s holds more than %d values", at, maxInList)
	}
	return list, isList, nil
}

// getArgs are the arguments of salesforce_get.
type getArgs struct {
	Object string   `json:"object"`
	ID     string   `json:"id"`
	Fields []string `json:"fields"`
}

func parseGet(raw json.RawMessage) (getArgs, error) {
	var g getArgs
	if err := decode(getTool, raw, &g); err != nil {
		return g, err
	}
	if err := checkFields(g.Object, g.Fields); err != nil {
		return g, err
	}
	return g, checkID(g.ID, "id")
}

func checkID(id, at string) error {
	if !isID(id) {
		return steward.Errorf(steward.Invalid, "%s must be a record's id of 15 or 18 letters and digits; take it from a record that was read", at)
	}
	return nil
}

func parseDescribe(raw json.RawMessage) (string, error) {
	var d struct {
		Object string `json:"object"`
	}
	if err := decode(describeTool, raw, &d); err != nil {
		return "", err
	}
	return d.Object, checkFields(d.Object, nil)
}

// writeArgs are the arguments of a tool that writes: a new record where id is empty.
type writeArgs struct {
	object, id string
	values     []assignment
}

// assignment is one field to be written. Its value is nil, string, bool or float64.
type assignment struct {
	field string
	value any
	at    string // how its place in the arguments is called
	spare bool   // left out where the org has no such field, or the member may not write it
}

func (v *visit) parseWrite(tool string, raw json.RawMessage) (writeArgs, error) {
	switch tool {
	case createTool:
		var a struct {
			Object string         `json:"object"`
			Values map[string]any `json:"values"`
		}
		if err := decode(tool, raw, &a); err != nil {
			return writeArgs{}, err
		}
		return valuesOf(a.Object, "", a.Values)
	case updateTool:
		var a struct {
			Object string         `json:"object"`
			ID     string         `json:"id"`
			Values map[string]any `json:"values"`
		}
		if err := decode(tool, raw, &a); err != nil {
			return writeArgs{}, err
		}
		if err := checkID(a.ID, "id"); err != nil {
			return writeArgs{}, err
		}
		return valuesOf(a.Object, a.ID, a.Values)
	case logTool:
		return v.parseLog(raw)
	case queryTool, getTool, describeTool:
		return writeArgs{}, steward.Errorf(steward.Invalid, "%s changes nothing, so there is nothing to preview", tool)
	}
	return writeArgs{}, steward.Errorf(steward.Invalid, "there is no such Salesforce tool; choose among %s",
		strings.Join(slices.Sorted(maps.Keys(accepted)), ", "))
}

// valuesOf puts the values of a write in an order that is always the same.
func valuesOf(object, id string, values map[string]any) (writeArgs, error) {
	w := writeArgs{object: object, id: id}
	if err := checkFields(object, nil); err != nil {
		return w, err
	}
	if len(values) == 0 || len(values) > maxFields {
		return w, steward.Errorf(steward.Invalid, "values must name from 1 to %d fields to write", maxFields)
	}
	for i, name := range slices.Sorted(maps.Keys(values)) {
		w.values = append(w.values, assignment{field: name, value: values[name], at: fmt.Sprintf("values[%d], in alphabetical order,", i)})
	}
	return w, nil
}

// parseLog turns an activity that took place into a completed task.
func (v *visit) parseLog(raw json.RawMessage) (writeArgs, error) {
	var a struct {
		Type    string `json:"type"`
		Subject string `json:"subject"`
		Who     string `json:"who_id"`
		What    string `json:"what_id"`
		Date    string `json:"date"`
	}
	if err := decode(logTool, raw, &a); err != nil {
		return writeArgs{}, err
	}
	if a.Date == "" && v.connector.Now != nil {
		a.Date = v.connector.Now().UTC().Format("2006-01-02")
	}
	kinds, known := map[string][2]string{"call": {"Call", "Call"}, "email": {"Email", "Email"}, "meeting": {"Meeting", "Task"}}[a.Type]
	problem := ""
	switch {
	case !known:
		problem = "type must be call, email or meeting"
	case strings.TrimSpace(a.Subject) == "":
		problem = "subject is missing: say in a line what it was about"
	case a.Date == "":
		problem = "date is missing: write it YYYY-MM-DD"
	case a.Who == "" && a.What == "":
		problem = "say with who_id or what_id what the activity belongs to"
	case a.Who != "" && (!isID(a.Who) || personOf(a.Who) == ""):
		problem = "who_id must be the id of a contact or lead; what_id takes deals and accounts"
	case a.What != "" && (!isID(a.What) || personOf(a.What) != ""):
		problem = "what_id must be the id of a deal, account or other record; who_id takes contacts and leads"
	}
	if problem != "" {
		return writeArgs{}, steward.Errorf(steward.Invalid, "%s", problem)
	}
	w := writeArgs{object: "Task", values: []assignment{
		{field: "Subject", value: a.Subject, at: "subject"},
		{field: "Status", value: "Completed", at: "type"},
		{field: "Type", value: kinds[0], at: "type", spare: true},
		{field: "TaskSubtype", value: kinds[1], at: "type", spare: true},
		{field: "ActivityDate", value: a.Date, at: "date"},
	}}
	if a.Who != "" {
		w.values = append(w.values, assignment{field: "WhoId", value: a.Who, at: "who_id"})
	}
	if a.What != "" {
		w.values = append(w.values, assignment{field: "WhatId", value: a.What, at: "what_id"})
	}
	return w, nil
}

// personOf says which object of people outside the company an id belongs to, "" for any other. The
// first three characters of an id stand for its object, the same in every org.
func personOf(id string) string {
	switch {
	case strings.HasPrefix(id, "003"):
		return "Contact"
	case strings.HasPrefix(id, "00Q"):
		return "Lead"
	}
	return ""
}
