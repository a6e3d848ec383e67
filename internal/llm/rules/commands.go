package rules

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// command is one write, and what must be found before it can be made.
type command struct {
	deal, account, person string // names as typed; "" where the write needs none
	stage                 string // to be checked against the org's own stages; "" where none is set
	logs                  bool   // takes the deal of the command it is joined with
	refused               string // why it can't be made as asked, in a sentence
	tool                  string
	args                  func(f found) any
	tell                  func(f found, r reply) string
}

// found are the records that a command named.
type found struct {
	deal, account, person record
	stage                 string
}

// commandRule turns an order that fits a pattern into a command.
type commandRule struct {
	pattern *regexp.Regexp
	make    func(m match) (command, bool)
}

const (
	attribute = `(?P<attr>next[ -]?steps?|(?:sales |deal )?stage|clos(?:e|ing)[ -]?date|amount|value|(?:deal )?size|owner|account|probability)`
	setting   = `(?:set|change|update|make|put|move|push|pull|edit|adjust|correct)`
	creating  = `(?:(?:create|add|enter|register|make)(?: me)? @the(?:new )?|(?:open|start) an? (?:new )?|new )`
	logging   = `(?:log|record|note|track|register|write down) @the(?:(?:quick|short|new) )?(?P<type>call|phone call|meeting|e-?mail|mail)(?: (?:i|we) (?:had|sent|wrote|made))?`
	concerns  = `(?:about|on|for|regarding|concerning|re:?)`
)

var commandRules = []commandRule{
	{form(setting + ` (?:the |its )?(?P<attr>next[ -]?steps?) (?:of|for|on) {deal} (?:to|as|:|=) (?P<value>".+"|“.+”|‘.+’|'.+')`), setField},
	{form(setting + ` (?:the |its )?(?P<attr>next[ -]?steps?) (?:of|for|on) {deal} (?:to|as|:|=) (?P<value>.+)`), setField},
	{form(setting + ` (?:the |its )?` + attribute + ` (?:of|for|on) (?P<deal>.+) (?:to|as|=) (?P<value>.+?)`), setField},
	{form(setting + ` {deal}['’]s ` + attribute + ` (?:to|as|=) (?P<value>.+)`), setField},
	{form(`(?:mark|close|set|flag) {deal} (?:as )?(?:closed[ -])?(?P<value>won|lost)`), setField},
	{form(`(?:move|advance|progress|bring|push|put) (?P<deal>.+) (?:to|into)(?: the)?(?: stage)? (?P<value>.+?)(?: stage)?`), setField},
	{form(logging + ` (?:with|to|from) {person} ` + concerns + ` {deal}(?: on (?P<date>\d{4}-\d\d-\d\d))?`), logActivity},
	{form(logging + ` ` + concerns + ` (?P<deal>.+) (?:with|to|from) {person}(?: on (?P<date>\d{4}-\d\d-\d\d))?`), logActivity},
	{form(logging + ` (?:with|to|from) {person}(?: on (?P<date>\d{4}-\d\d-\d\d))?`), logActivity},
	{form(logging + ` ` + concerns + ` {deal}(?: on (?P<date>\d{4}-\d\d-\d\d))?`), logActivity},
	{form(creating + `@deal(?: named| called|:)? (?P<rest>.+)`), creation(opportunity, dealDetails, field("Name"))},
	{form(creating + `contact(?: named| called|:| for)? (?P<rest>.+)`), creation(contact, contactDetails, nameFields)},
	{form(creating + `(?:task|to-?do|follow-?up)(?: named| called|:| to)? (?P<rest>.+)`), creation("Task", taskDetails, field("Subject"))},
}

// attributes are the fields of a deal that can be asked for by name; the pattern is of what people
// call them.
var attributes = []struct {
	pattern      *regexp.Regexp
	field, title string
}{
	{regexp.MustCompile(`(?i)^next`), "NextStep", "next step"},
	{regexp.MustCompile(`(?i)stage$`), "StageName", "stage"},
	{regexp.MustCompile(`(?i)^clos`), "CloseDate", "close date"},
	{regexp.MustCompile(`(?i)^owner`), "Owner.Name", "owner"},
	{regexp.MustCompile(`(?i)^account`), "Account.Name", "account"},
	{regexp.MustCompile(`(?i)^probability`), "Probability", "probability"},
	{regexp.MustCompile(`(?i)amount|value|size`), "Amount", "amount"},
}

func fieldOf(attribute string) string {
	for _, a := range attributes {
		if a.pattern.MatchString(attribute) {
			return a.field
		}
	}
	return ""
}

func titleOf(field string) string {
	for _, a := range attributes {
		if a.field == field {
			return a.title
		}
	}
	return field
}

type write struct {
	Object string         `json:"object"`
	ID     string         `json:"id,omitempty"`
	Values map[string]any `json:"values"`
}

// valueOf reads what a field is to be set to, or says how it would have to be written.
func valueOf(field, text string) (v any, refused string) {
	switch field {
	case "Amount":
		sum, ok := amount(text)
		if !ok {
			return nil, fmt.Sprintf("I can't read “%s” as an amount; write it like 75000 or $75,000.", text)
		}
		return sum, ""
	case "CloseDate", "ActivityDate":
		day, ok := date(text)
		if !ok {
			return nil, fmt.Sprintf("I can't read “%s” as a date; write it like 2026-12-15.", text)
		}
		return day, ""
	}
	return text, ""
}

// setField sets one field of a deal: its stage, where the order names none.
func setField(m match) (command, bool) {
	text, field := unquote(strings.TrimSpace(m.raw("value"))), fieldOf(cmp.Or(m.raw("attr"), "stage"))
	c := command{deal: m.name("deal"), tool: "salesforce_update"}
	var value any
	switch field {
	case "StageName":
		c.stage = text
	case "NextStep", "CloseDate", "Amount":
		value, c.refused = valueOf(field, text)
	default:
		c.refused = fmt.Sprintf("I can't change the %s of a deal; I can set its next step, stage, close date and amount.", titleOf(field))
	}
	c.args = func(f found) any {
		if f.stage != "" {
			return write{opportunity, f.deal.text("id"), map[string]any{field: f.stage}}
		}
		return write{opportunity, f.deal.text("id"), map[string]any{field: value}}
	}
	c.tell = func(f found, r reply) string { return tellUpdated(f.deal, field, r) }
	return c, c.deal != "" && text != ""
}

func logActivity(m match) (command, bool) {
	kind := strings.TrimPrefix(strings.ToLower(m.raw("type")), "phone ")
	if strings.HasSuffix(kind, "mail") {
		kind = "email"
	}
	c := command{deal: m.name("deal"), person: m.name("person"), logs: true, tool: "salesforce_log_activity"}
	date := m.raw("date")
	c.args = func(f found) any {
		return struct {
			Type    string `json:"type"`
			Subject string `json:"subject"`
			Who     string `json:"who_id,omitempty"`
			What    string `json:"what_id,omitempty"`
			Date    string `json:"date,omitempty"`
		}{kind, subject(kind, f), f.person.text("id"), f.deal.text("id"), date}
	}
	c.tell = func(f found, _ reply) string { return tellLogged(kind, f) }
	return c, c.deal+c.person != ""
}

// subject is what an activity is called in Salesforce: "Call with …".
func subject(kind string, f found) string {
	title := strings.ToUpper(kind[:1]) + kind[1:]
	if f.person == nil {
		return title + " about " + f.deal.text("Name")
	}
	if kind == "email" {
		return title + " to " + f.person.text("Name")
	}
	return title + " with " + f.person.text("Name")
}

// a keyword of a detail follows a space or a comma, and may be led in by "with a", "and". Its group is
// named after the field it sets, or after what it names.
const leadIn = `(?i)[\s,]+(?:(?:and|with|which is|is) )*(?:(?:an?|the|its) )?`

var (
	dealDetails    = regexp.MustCompile(leadIn + `(?:(?P<account>(?:for|at|on|with)(?: the)? (?:account|company|customer)|account|for|at)|(?P<Amount>amount(?: of)?|worth|value(?: of)?|valued at)|(?P<CloseDate>closing(?: date)?(?: on)?|closes(?: on)?|close date(?: of| on)?|due(?: on)?)|(?P<stage>(?:in |at )?(?:the )?stage))[ :=]+`)
	contactDetails = regexp.MustCompile(leadIn + `(?:(?P<account>(?:for|at|from|of)(?: the)? (?:account|company|customer)|account|at|from|for)|(?P<Email>e-?mail(?: address)?)|(?P<Phone>phone(?: number)?)|(?P<Title>(?:job )?title|role))[ :=]+`)
	taskDetails    = regexp.MustCompile(leadIn + `(?:(?P<about>for|with|on|about|regarding)(?: the)?(?: deal| opportunity| contact)?|(?P<ActivityDate>due(?: date)?(?: on| by)?|by))[ :=]+`)
)

// creation makes the command that creates a record of its name and the details behind it.
func creation(object string, keywords *regexp.Regexp, named func(name string) map[string]any) func(m match) (command, bool) {
	return func(m match) (command, bool) {
		head, parts := details(m.raw("rest"), keywords)
		name := unquote(head)
		values := named(name)
		c := command{tool: "salesforce_create"}
		for _, part := range parts {
			text := nameOf(part.text)
			switch part.keyword {
			case "account":
				c.account = text
			case "stage":
				c.stage = text
			case "about":
				if token.MatchString(text) {
					c.person = text
				} else {
					c.deal = text
				}
			default:
				var refused string
				values[part.keyword], refused = valueOf(part.keyword, text)
				c.refused = cmp.Or(c.refused, refused)
			}
		}
		if object == opportunity && (c.stage == "" || values["CloseDate"] == nil) {
			c.refused = cmp.Or(c.refused, "To create a deal I need its stage and its close date too, like: …, closing 2026-12-31, stage Prospecting.")
		}
		c.args = func(f found) any {
			all := maps.Clone(values)
			for field, v := range map[string]string{
				"StageName": f.stage, "AccountId": f.account.text("id"), "WhoId": f.person.text("id"), "WhatId": f.deal.text("id"),
			} {
				if v != "" {
					all[field] = v
				}
			}
			return write{Object: object, Values: all}
		}
		c.tell = func(_ found, r reply) string { return tellCreated(object, name, r) }
		return c, name != ""
	}
}

func field(name string) func(text string) map[string]any {
	return func(text string) map[string]any { return map[string]any{name: text} }
}

// nameFields are the fields that Salesforce keeps a person's name in. A token's parts have tokens of
// their own.
func nameFields(name string) map[string]any {
	if strings.HasPrefix(name, "<PERSON_") && token.MatchString(name) {
		stem := strings.TrimSuffix(name, ">")
		return map[string]any{"FirstName": stem + "_FIRST>", "LastName": stem + "_LAST>"}
	}
	if at := strings.LastIndexByte(name, ' '); at > 0 {
		return map[string]any{"FirstName": name[:at], "LastName": name[at+1:]}
	}
	return map[string]any{"LastName": name}
}

// carryOut finds everything that the commands name, and only if all of it is found once, makes all
// the writes in one turn: half of what was asked is not what was asked.
func carryOut(commands []command) plan {
	for i, c := range commands {
		if !c.logs || c.deal != "" {
			continue
		}
		for _, other := range commands {
			if other.deal != "" {
				commands[i].deal = other.deal
			}
		}
	}
	return func(d *dialogue) string {
		for _, c := range commands {
			if c.refused != "" {
				return c.refused
			}
			d.needs(c.tool)
		}
		if d.missing != "" {
			return ""
		}
		var problems []string
		all, ready := make([]found, len(commands)), true
		for i, c := range commands {
			one := func(object, name string) record {
				if name == "" {
					return nil
				}
				rows, ok := d.find(sought{object, name, false})
				ready = ready && ok
				if len(rows) == 1 {
					return rows[0]
				}
				if problem := tellNotOne(object, name, rows); ok && !slices.Contains(problems, problem) {
					problems = append(problems, problem)
				}
				return nil
			}
			all[i] = found{deal: one(opportunity, c.deal), account: one(account, c.account), person: one(contact, c.person)}
			if c.stage != "" {
				r, ok := d.call("describe", "salesforce_describe", map[string]string{"object": opportunity})
				ready = ready && ok
				var problem string
				if all[i].stage, problem = stageNamed(c.stage, stageNames(r)); ok && problem != "" {
					problems = append(problems, problem)
				}
			}
		}
		if !ready {
			return ""
		}
		if len(problems) > 0 {
			return strings.Join(problems, "\n\n") + "\n\nNothing was changed."
		}
		var said []string
		for i, c := range commands {
			r, ok := d.try(fmt.Sprintf("write%d", i+1), c.tool, c.args(all[i]))
			switch {
			case !ok:
			case r.fault != nil:
				said = append(said, tellNotDone(c.tool, r.fault))
			case r.Status != "" && r.Status != "done":
				said = append(said, tellNotDone(c.tool, &fault{Kind: "needs_approval"}))
			default:
				said = append(said, c.tell(all[i], r))
			}
		}
		return strings.Join(said, "\n")
	}
}

// stageNamed is the org's stage that people mean: the same but for case, or the only one that has
// the words in it. Where the org doesn't list its stages, what was typed has to do.
func stageNamed(typed string, stages []string) (stage, problem string) {
	var near []string
	for _, s := range stages {
		if strings.EqualFold(s, typed) {
			return s, ""
		}
		if strings.Contains(strings.ToLower(s), strings.ToLower(typed)) {
			near = append(near, s)
		}
	}
	switch {
	case len(stages) == 0:
		return typed, ""
	case len(near) == 1:
		return near[0], ""
	}
	return "", fmt.Sprintf("“%s” names no single stage; choose one of: %s.", typed, strings.Join(stages, ", "))
}
