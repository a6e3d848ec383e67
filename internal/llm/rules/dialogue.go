package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/stewardhq/steward/internal/llm"
)

// plan answers one question. It is run from its start at every turn: calls that were answered give
// their results, the others become pending, and its text counts once nothing is pending.
type plan func(d *dialogue) string

// dialogue is a question and what came of it so far.
type dialogue struct {
	question string
	user     string           // Salesforce user id of the one who asks, "" when nobody said
	offered  map[string]bool  // tools, by name
	replies  map[string]reply // by the key of the call
	turns    int              // of ours, since the question
	at       int              // the question's message; makes call ids differ between questions

	pending []llm.Block
	sought  []sought // what was looked for by name, in order
	missing string   // a tool that the plan needs and nobody offered
	failed  string   // what could not be read, in a sentence
}

var userID = regexp.MustCompile(`\b005[0-9A-Za-z]{12}(?:[0-9A-Za-z]{3})?\b`)

// read finds the last question in a request and the results that belong to it.
func read(r llm.Request) (*dialogue, bool) {
	d := &dialogue{user: userID.FindString(r.System), offered: map[string]bool{}, replies: map[string]reply{}, at: -1}
	for _, t := range r.Tools {
		d.offered[t.Name] = true
	}
	for i, m := range r.Messages {
		for _, b := range m.Content {
			if m.Role == llm.User && b.Type == llm.Text && strings.TrimSpace(b.Text) != "" {
				d.question, d.at = b.Text, i
			}
		}
	}
	if d.at < 0 {
		return nil, false
	}
	for _, m := range r.Messages[d.at+1:] {
		if m.Role == llm.Assistant {
			d.turns++
		}
		for _, b := range m.Content {
			if m.Role == llm.User && b.Type == llm.ToolResult {
				// The number in the id may have moved, if the caller left older messages out.
				if _, key, ok := strings.Cut(strings.TrimPrefix(b.ToolUseID, "toolu_"), "_"); ok {
					d.replies[key] = parse(b)
				}
			}
		}
	}
	return d, true
}

// reply is a tool's result, of whichever shape.
type reply struct {
	Total   int
	Records []record
	Status  string
	figures
	fault *fault
}

// record is one row; "object" and "id" are among its fields.
type record map[string]any

func (r record) text(field string) string { s, _ := r[field].(string); return s }

type figures struct {
	Variant string                    `json:"variant"`
	Formula string                    `json:"formula"`
	Unit    string                    `json:"unit"`
	Period  struct{ From, To string } `json:"period"`
	Rows    []figure                  `json:"rows"`
	Sum     figure                    `json:"-"` // "total" of a metric
}

// figure is a row of a metric: a group with its value, or a stalled deal.
type figure struct {
	Group  map[string]string  `json:"group"`
	Value  *float64           `json:"value"` // nil where it is undefined
	Inputs map[string]float64 `json:"inputs"`
	Name   string             `json:"name"`
	Owner  string             `json:"owner"`
	Stage  string             `json:"stage"`
	Amount *float64           `json:"amount"`
	Days   float64            `json:"days_without_activity"`
}

type fault struct{ Kind, Message, Code string }

// parse reads a tool_result. What is no JSON is a fault with the text as its message.
func parse(b llm.Block) reply {
	var wire struct {
		Total   json.RawMessage
		Records []record
		Status  string
		Error   *fault
		figures
	}
	if err := json.Unmarshal([]byte(b.Content), &wire); err != nil {
		if !b.IsError {
			return reply{fault: &fault{Message: "its answer was not readable"}}
		}
		return reply{fault: &fault{Message: b.Content}}
	}
	if b.IsError || wire.Error != nil {
		if wire.Error == nil {
			wire.Error = &fault{}
		}
		return reply{fault: wire.Error}
	}
	r := reply{Records: wire.Records, Status: wire.Status, figures: wire.figures}
	if json.Unmarshal(wire.Total, &r.Total) != nil {
		_ = json.Unmarshal(wire.Total, &r.Sum) // neither count nor figure: there is no total to tell
	}
	return r
}

// String says what went wrong, as the end of a sentence.
func (f *fault) String() string {
	why := strings.TrimRight(strings.Join(strings.Fields(f.Message), " "), ".")
	if why == "" {
		why = "no reason was given"
	}
	if f.Code != "" && !strings.Contains(why, f.Code) {
		why += " (" + f.Code + ")"
	}
	return why
}

// doing says what a tool does, or for one that writes, what it makes.
var doing = map[string]string{
	"salesforce_query":    "search Salesforce",
	"salesforce_describe": "read what fields Salesforce has",
	"salesforce_get":      "read the record",
	"win_rate":            "compute the win rate",
	"pipeline":            "compute the pipeline",
	"stalled_deals":       "find the stalled deals",

	"salesforce_update":       "The change",
	"salesforce_create":       "The new record",
	"salesforce_log_activity": "The activity",
}

// needs notes a tool that is not offered.
func (d *dialogue) needs(tool string) bool {
	if d.offered[tool] {
		return true
	}
	if d.missing == "" {
		d.missing = tool
	}
	return false
}

// try gives the result of a call, even a fault, or makes the call pending. The key names the call
// within the plan.
func (d *dialogue) try(key, tool string, args any) (reply, bool) {
	if r, ok := d.replies[key]; ok {
		return r, true
	}
	if !d.needs(tool) {
		return reply{}, false
	}
	var input bytes.Buffer
	encoder := json.NewEncoder(&input)
	encoder.SetEscapeHTML(false) // tokens stand in the bytes as they are
	if err := encoder.Encode(args); err != nil {
		panic("rules: " + err.Error()) // only strings and finite numbers are ever put in
	}
	call := llm.Block{Type: llm.ToolUse, ID: fmt.Sprintf("toolu_%d_%s", d.at, key), Name: tool, Input: bytes.TrimSpace(input.Bytes())}
	for _, p := range d.pending {
		if p.ID == call.ID {
			return reply{}, false
		}
	}
	d.pending = append(d.pending, call)
	return reply{}, false
}

// call is try for what the answer can't do without: a fault ends the plan with a sentence.
func (d *dialogue) call(key, tool string, args any) (reply, bool) {
	r, ok := d.try(key, tool, args)
	if ok && r.fault != nil {
		if d.failed == "" {
			d.failed = fmt.Sprintf("I could not %s: %s.", doing[tool], r.fault)
		}
		return reply{}, false
	}
	return r, ok
}

// query is the argument of salesforce_query.
type query struct {
	Object string      `json:"object"`
	Fields []string    `json:"fields"`
	Where  []condition `json:"where,omitempty"`
	Order  []order     `json:"order_by,omitempty"`
	Limit  int         `json:"limit"`
}

type condition struct {
	Field   string      `json:"field,omitempty"`
	Op      string      `json:"op,omitempty"`
	Value   any         `json:"value,omitempty"`
	Literal string      `json:"literal,omitempty"`
	Any     []condition `json:"any,omitempty"`
}

type order struct {
	Field string `json:"field"`
	Desc  bool   `json:"desc,omitempty"`
}

// sought is a record that a person named.
type sought struct {
	kind string // object: "Opportunity"
	name string // as typed, without its quotes
	full bool   // for showing it; else only what tells it apart, since what isn't needed isn't read
}

// candidates is how many records of one name are told apart; more are only counted.
const candidates = 10

// find looks records up by exact name, case aside, as Salesforce compares; where there is none, by
// part of it. Contacts may be named by an e-mail address or a phone number too.
func (d *dialogue) find(s sought) ([]record, bool) {
	rows, ok := d.findBy(s, s.exactly())
	if ok && len(rows) == 0 {
		return d.findBy(s, s.partly())
	}
	return rows, ok
}

func (d *dialogue) findBy(s sought, c condition) ([]record, bool) {
	if c.Op == "" && c.Any == nil {
		return nil, true
	}
	at := slices.Index(d.sought, s)
	if at < 0 {
		at = len(d.sought)
		d.sought = append(d.sought, s)
	}
	r, ok := d.call(fmt.Sprintf("find%d%s", at+1, strings.Trim(c.Op, "=")), "salesforce_query",
		query{Object: s.kind, Fields: kinds[s.kind].fields(s.full), Where: []condition{c}, Limit: candidates})
	return r.Records, ok
}

// partly is zero where a part would mean nothing.
func (s sought) partly() condition {
	if s.exactly().Field != "Name" {
		return condition{}
	}
	return condition{Field: "Name", Op: "like", Value: "%" + s.name + "%"}
}

func (s sought) exactly() condition {
	is := func(field string) condition { return condition{Field: field, Op: "=", Value: s.name} }
	if s.kind != contact {
		return is("Name")
	}
	switch {
	case strings.HasPrefix(s.name, "<EMAIL_") || strings.Contains(s.name, "@"):
		return is("Email")
	case strings.HasPrefix(s.name, "<PHONE_"):
		return condition{Any: []condition{is("Phone"), is("MobilePhone")}}
	case strings.HasSuffix(s.name, "_FIRST>"):
		return is("FirstName")
	case strings.HasSuffix(s.name, "_LAST>"):
		return is("LastName")
	}
	return is("Name")
}
