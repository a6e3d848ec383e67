package rules

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// rule turns the questions that fit a pattern into a plan; nil, and what could not be placed, where
// the words fit but have no meaning. The first rule with a plan wins.
type rule struct {
	pattern *regexp.Regexp
	make    func(m match) (do plan, unplaced string)
}

// what matches questions that have a topic anywhere in them; the rest of them is read as wishes.
func what(topic string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(?:` + spell(topic) + `)`)
}

const verbs = `tell me(?: more| everything)? about|what do we know about|details (?:of|on|about|for)|search(?: for)?|look up|look for|locate|@show`

const kindWord = `(?P<kind>deal|opportunity|opp|account|company|customer|contact|person)`

var rules = []rule{
	// The schema.
	{form(`(?:(?:what|which|list|show(?: me)?|get|give me) )?(?:(?:are|all) )?(?:the )?fields (?:(?:does|do|of|on|for|in|has|exist on|are there on|are on) )?@the(?P<object>\w+?)(?: object| record)?(?: have| has)?`), fields},
	{form(`describe @the(?P<object>\w+) object`), fields},
	{what(`(?:sales |deal |opportunity )?stages`), stages},
	// Figures and lists of deals: before names, since they leave no word unplaced.
	{winRates, winRate},
	{what(`\bmy (?:open )?pipeline`), ownPipeline},
	{stalls, stalled},
	{pipelines, pipeline},
	{what(`@deals`), deals},
	// One thing about a record.
	{form(`(?:who owns|who(?: is|['’]s) (?:the owner of|responsible for)|(?:show(?: me)? )?(?:the )?owner of) (?:the )?(?:` + kindWord + ` )?{name}`), owner},
	{form(`(?:what(?: is|['’]s|s)?|show(?: me)?|tell me|give me|get)(?: the)? (?:current )?` + attribute + ` (?:of|for|on) {name}`), aspect("")},
	{form(`when (?:does|will|is) {name} (?:close|closing|due|expected to close)`), aspect("close date")},
	{form(`how much is {name} worth`), aspect("amount")},
	{form(`(?:what|which) stage is {name} (?:in|at)`), aspect("stage")},
	{form(`(?:(?:what|which) (?:are|were|was|is)|list|show(?: me)?|give me|get|find)?(?: ?the)? ?(?:last|latest|recent|most recent|past)(?: (?P<n>\d+|two|three|five|ten))? (?:activit(?:y|ies)|touch ?points?|interactions?|calls?,? (?:and )?e-?mails?) (?:on|for|of|with|about|at) {name}`), activities},
	{form(`(?:list|show(?: me)?|what are|get|give me)?(?: ?the)? ?(?:all )?(?:activities|activity history|activity) (?:on|for|of|with|about) {name}`), activities},
	{form(`what (?:has )?happened (?:last |recently |lately )?(?:on|with|at) {name}`), activities},
	{form(`when did we last (?:talk|speak|meet|touch|work) ?(?:to|with|about|on)? {name}`), activities},
	{form(`(?:(?:who are|list|show(?: me)?|find|get|give me|which|what|do we have)(?: all)? )?@the(?:contacts|people)(?: do we (?:have|know)| are there| are| work| working)? (?:at|of|for|in|from) {name}`), inAccount(contact, "at", "Name")},
	{form(`who (?:do we know|works|are our contacts|is our contact) (?:at|for) {name}`), inAccount(contact, "at", "Name")},
	// Records by what they are.
	{form(`(?P<verb>` + verbs + `) @the` + kindWord + `(?: named| called| with(?: the)? (?:name|e-?mail|phone)(?: address| number)?| (?:details|info|information|record)(?: (?:of|for|on))?)? {name}`), named},
	{form(`(?P<verb>` + verbs + `) (?:the )?{trailing} ` + kindWord), named},
	{form(`(?P<verb>do we (?:have|know)|is there|have we got) @the` + kindWord + `(?: named| called| with(?: the)? (?:name|e-?mail|phone)(?: address| number)?)? {name}`), named},
	// Records by name alone: last, since almost anything could be a name.
	{form(`(?:(?:which|what|list|show(?: me)?|find|get|give me) )?@the(?P<status>open |won |lost |closed )?@deals (?:do we have |are there )?(?:at|(?P<loose>of|for|with|from)) (?P<kind>account |company |customer )?{name}`), inAccount(opportunity, "of", "CloseDate")},
	{form(`(?:which|what) (?P<status>open |won |lost |closed )?@deals (?:does|do|has|is) (?P<kind>account |company |customer )?{name}(?: have| got)?`), inAccount(opportunity, "of", "CloseDate")},
	{form(`(?P<verb>who(?: is|['’]s)) {name}`), named},
	{form(`(?P<verb>whose) (?:number|phone(?: number)?|e-?mail(?: address)?) is {name}`), named},
	{form(`(?P<verb>` + verbs + `) {name}`), named},
}

var (
	winRates  = what(`(?:win|close|closing|winning)[- ]?rates?\b|win(?:ning)? (?:percentage|ratio|%)|how often do we win`)
	pipelines = what(`(?:open )?(?:sales )?(?:pipeline|funnel)s?\b|(?:total )?(?:value|amount|sum) of (?:all |our |the )*open @deals\b|open @deals\b`)
	stalls    = what(`stalled|stalling|stale|stuck|inactive|dormant|idle|neglected|gone (?:quiet|cold|dark)|(?:(?:that |which )?(?:have|has|had|having|with|without|haven['’]t|hasn['’]t|not)(?: not)?(?: had| seen)? )?(?:any |no )?(?:recent |logged )?activit(?:y|ies)|(?:(?:that |which )?(?:have not|haven['’]t|has not) been )?(?:touched|untouched)`)
	denial    = regexp.MustCompile(`(?i)\b(?:no|not|without|haven['’]t|hasn['’]t|untouched|stal\w+|stuck|inactive|dormant|idle|neglected|gone)\b`)
)

const (
	opportunity = "Opportunity"
	account     = "Account"
	contact     = "Contact"
)

// kindOf is the object that a word stands for.
func kindOf(word string) string {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "deal", "deals", "opportunity", "opportunities", "opp", "opps":
		return opportunity
	case "account", "accounts", "company", "customer":
		return account
	case "contact", "contacts", "person":
		return contact
	}
	return ""
}

// fields tells what fields an object has.
func fields(m match) (plan, string) {
	object := m.raw("object")
	if k := kindOf(object); k != "" {
		object = k
	}
	return func(d *dialogue) string {
		r, _ := d.call("describe", "salesforce_describe", map[string]string{"object": object})
		return tellFields(object, r)
	}, ""
}

// stages tells the stages that a deal can be in.
func stages(m match) (plan, string) {
	if _, left := wishes(m.text, m.pattern, "", "deal deals available possible valid names exist can be use"); left != "" {
		return nil, left
	}
	return func(d *dialogue) string {
		r, _ := d.call("describe", "salesforce_describe", map[string]string{"object": opportunity})
		return tellStages(stageNames(r))
	}, ""
}

// owner tells who owns a deal or an account, whichever has that name.
func owner(m match) (plan, string) {
	objects := []string{opportunity, account}
	if k := kindOf(m.raw("kind")); k != "" {
		objects = []string{k}
	}
	name := m.name("name")
	if name == "" {
		return nil, ""
	}
	return func(d *dialogue) string { return lookUp(d, objects, name, false, tellOwner) }, ""
}

// aspect tells one field of a deal.
func aspect(fixed string) func(m match) (plan, string) {
	return func(m match) (plan, string) {
		name, field := m.name("name"), fieldOf(cmp.Or(fixed, m.raw("attr")))
		if name == "" {
			return nil, ""
		}
		return func(d *dialogue) string {
			return withOne(d, opportunity, name, func(deal record) string {
				r, _ := d.call("field", "salesforce_query", query{
					Object: opportunity, Fields: []string{"Name", field}, Limit: 1,
					Where: []condition{{Field: "Id", Op: "=", Value: deal.text("id")}},
				})
				return tellAspect(deal, field, r.Records)
			})
		}, ""
	}
}

// withOne goes on with the one record that has a name, or says that there is none, or several.
func withOne(d *dialogue, object, name string, then func(found record) string) string {
	found, ok := d.find(sought{object, name, false})
	if !ok || len(found) != 1 {
		return tellNotOne(object, name, found)
	}
	return then(found[0])
}

// lookUp finds records of some kinds by name and tells of what it found. Only where none of the kinds
// has the exact name are parts of names looked at, since deals often bear their account's name.
func lookUp(d *dialogue, objects []string, name string, full bool, tell func(d *dialogue, object string, found record) string) string {
	for _, by := range []func(sought) condition{sought.exactly, sought.partly} {
		var said []string
		ready := true
		for _, object := range objects {
			s := sought{object, name, full}
			found, ok := d.findBy(s, by(s))
			ready = ready && ok
			if len(found) == 1 {
				said = append(said, tell(d, object, found[0]))
			} else if len(found) > 1 {
				said = append(said, tellNotOne(object, name, found))
			}
		}
		if !ready || len(said) > 0 {
			return strings.Join(said, "\n\n")
		}
	}
	return tellNone(objects, name)
}

// named finds records by name, of a kind if it is said; a finder's verb shows them in a row, others in
// full.
func named(m match) (plan, string) {
	name, said := cmp.Or(m.name("name"), m.name("trailing")), m.raw("kind")
	sure := said != "" && m.raw("trailing") == "" // else "the weather" would be a name, and "the smallest" a deal's
	if name == "" || !sure && !proper(name) && !proper(m.raw("name")) {
		return nil, ""
	}
	objects := []string{opportunity, account, contact}
	if said != "" {
		objects = []string{kindOf(said)}
	} else if token.MatchString(name) || who.MatchString(m.raw("verb")) {
		objects = []string{contact}
	}
	if finding.MatchString(m.raw("verb")) {
		return func(d *dialogue) string { return lookUp(d, objects, name, true, tellRow) }, ""
	}
	return func(d *dialogue) string {
		return lookUp(d, objects, name, false, func(d *dialogue, object string, found record) string {
			r, ok := d.call("get"+object, "salesforce_get", map[string]string{"object": object, "id": found.text("id")})
			if ok && len(r.Records) == 1 {
				return tellRecord(object, r.Records[0])
			}
			return tellRow(d, object, found) // what was found of it is all there is to tell
		})
	}, ""
}

var (
	who     = regexp.MustCompile(`(?i)^who`)
	finding = regexp.MustCompile(`(?i)^(?:find|search|look|locate|do we|is there|have we|who)`)
)

// token matches a name that is one token of a person and nothing else.
var token = regexp.MustCompile(`^<(?:PERSON|EMAIL|PHONE)_\w+>$`)

// listed is how many records a list asks for: the connector's default.
const listed = 200

// inAccount lists what of an object belongs to an account.
func inAccount(object, preposition, orderBy string) func(m match) (plan, string) {
	return func(m match) (plan, string) {
		name := m.name("name")
		if loose := m.raw("kind") == "" && m.raw("loose") != ""; name == "" || loose && !proper(m.raw("name")) {
			return nil, m.raw("name") // "deals with no next step" names no account
		}
		w := wish{status: strings.ToLower(strings.TrimSpace(m.raw("status")))}
		return func(d *dialogue) string {
			return withOne(d, account, name, func(found record) string {
				r, _ := d.call("list", "salesforce_query", query{
					Object: object, Fields: kinds[object].fields(true), Limit: listed, Order: []order{{Field: orderBy}},
					Where: append([]condition{{Field: "AccountId", Op: "=", Value: found.text("id")}}, w.ofStatus()...),
				})
				return tellList(object, w.status, preposition+" "+found.text("Name"), r)
			})
		}, ""
	}
}

// activities lists the last calls, e-mails and meetings on a deal or with a contact. Salesforce keeps
// them in two objects, so both are read and merged.
func activities(m match) (plan, string) {
	name := m.name("name")
	n := cmp.Or(count(m.raw("n")), 10)
	if name == "" {
		return nil, ""
	}
	object, link := opportunity, "WhatId"
	if token.MatchString(name) {
		object, link = contact, "WhoId"
	}
	return func(d *dialogue) string {
		return withOne(d, object, name, func(found record) string {
			of := condition{Field: link, Op: "=", Value: found.text("id")}
			newest := []order{{Field: "ActivityDate", Desc: true}}
			done, _ := d.call("tasks", "salesforce_query", query{
				Object: "Task", Fields: []string{"ActivityDate", "Type", "Subject", "Who.Name", "Owner.Name"}, Limit: n, Order: newest,
				Where: []condition{of, {Field: "IsClosed", Op: "=", Value: true}},
			})
			held, _ := d.call("events", "salesforce_query", query{
				Object: "Event", Fields: []string{"ActivityDate", "Subject", "Who.Name", "Owner.Name"}, Limit: n, Order: newest,
				Where: []condition{of, {Field: "ActivityDate", Op: "<=", Literal: "TODAY"}},
			})
			all := slices.Concat(done.Records, held.Records)
			slices.SortStableFunc(all, func(a, b record) int { return cmp.Compare(b.text("ActivityDate"), a.text("ActivityDate")) })
			return tellActivities(found.text("Name"), all[:min(n, len(all))])
		})
	}, ""
}

// metric is the argument of win_rate and pipeline.
type metric struct {
	Period   string `json:"period"`
	GroupBy  string `json:"group_by"`
	Weight   string `json:"weight,omitempty"`
	Weighted bool   `json:"weighted,omitempty"`
}

// winRate is over all time where no period is said.
func winRate(m match) (plan, string) {
	w, left := wishes(m.text, m.pattern, "weight group period", "overall total team company team's company's calculate compute")
	if left != "" || strings.HasSuffix(w.period, "week") {
		return nil, cmp.Or(left, "week")
	}
	args := metric{Period: cmp.Or(w.period, "all"), GroupBy: cmp.Or(w.group, "none"), Weight: cmp.Or(w.weight, "count")}
	return func(d *dialogue) string {
		r, _ := d.call("figures", "win_rate", args)
		return tellFigures("Win rate", args, r)
	}, ""
}

// pipeline is of all open deals where no period of the close date is said.
func pipeline(m match) (plan, string) {
	w, left := wishes(m.text, m.pattern, "group closing status period", "overall total value amount size worth whole entire sum team team's deal deals opportunities open today weighted")
	if left != "" || strings.HasSuffix(w.period, "week") {
		return nil, cmp.Or(left, "week")
	}
	isDeals := !strings.Contains(strings.ToLower(m.groups[0]), "pipeline") && !strings.Contains(strings.ToLower(m.groups[0]), "funnel")
	if w.status != "" && w.status != "open" || isDeals && w.group == "" && !strings.Contains(strings.ToLower(m.groups[0]), " of ") {
		return nil, w.status // "open deals" without a group is a list, and a lost pipeline is none
	}
	args := metric{Period: cmp.Or(w.period, "all"), GroupBy: cmp.Or(w.group, "none"), Weighted: strings.Contains(strings.ToLower(m.text), "weighted")}
	return func(d *dialogue) string {
		r, _ := d.call("figures", "pipeline", args)
		return tellFigures("Pipeline", args, r)
	}, ""
}

// stalled counts from 30 days where no number is said.
func stalled(m match) (plan, string) {
	w, left := wishes(m.text, m.pattern, "days over status", "deal deals opportunity opportunities opps opp")
	if left != "" || w.status != "" && w.status != "open" || !denial.MatchString(m.groups[0]) {
		return nil, left
	}
	args := struct {
		Days int     `json:"days"`
		Min  float64 `json:"min_amount,omitempty"`
	}{Days: cmp.Or(w.days, 30)}
	for _, b := range w.bounds {
		args.Min = b.sum
	}
	return func(d *dialogue) string {
		r, _ := d.call("figures", "stalled_deals", args)
		return tellStalled(args.Days, args.Min, r)
	}, ""
}

func ownPipeline(m match) (plan, string) {
	w, left := wishes(m.text, m.pattern, "closing period", "")
	if left != "" {
		return nil, left
	}
	w.mine, w.status = true, "open"
	return w.list, ""
}

// deals lists deals by whatever is said of them.
func deals(m match) (plan, string) {
	w, left := wishes(m.text, m.pattern, "top over least under period mine status closing stage owner", "by value amount size")
	if left != "" {
		return nil, left
	}
	if w.closing && w.status == "" {
		w.status = "open" // what is closing has not closed
	}
	if w.top == unsaid {
		w.top = 10
		if !strings.HasSuffix(strings.ToLower(m.groups[0]), "s") { // the largest deal
			w.top = 1
		}
	}
	return w.list, ""
}

func (w wish) ofStatus() []condition {
	is := func(field string, v bool) condition { return condition{Field: field, Op: "=", Value: v} }
	switch w.status {
	case "open":
		return []condition{is("IsClosed", false)}
	case "closed":
		return []condition{is("IsClosed", true)}
	case "won":
		return []condition{is("IsWon", true)}
	case "lost":
		return []condition{is("IsClosed", true), is("IsWon", false)}
	}
	return nil
}

// list is the plan for a list of deals.
func (w wish) list(d *dialogue) string {
	q := query{Object: opportunity, Fields: kinds[opportunity].fields(true), Where: w.ofStatus(), Limit: cmp.Or(w.top, listed)}
	for _, b := range w.bounds {
		q.Where = append(q.Where, condition{Field: "Amount", Op: b.op, Value: b.sum})
	}
	if w.period != "" && w.period != "all" {
		q.Where = append(q.Where, condition{Field: "CloseDate", Op: "=", Literal: strings.ToUpper(w.period)})
	}
	if w.stage != "" {
		q.Where = append(q.Where, condition{Field: "StageName", Op: "like", Value: w.stage + "%"})
	}
	if w.owner != "" {
		q.Where = append(q.Where, condition{Field: "Owner.Name", Op: "=", Value: w.owner})
	}
	if w.mine && d.user != "" {
		q.Where = append(q.Where, condition{Field: "OwnerId", Op: "=", Value: d.user})
	}
	q.Order = []order{{Field: "Amount", Desc: true}}
	if w.top == 0 && w.period != "" {
		q.Order = []order{{Field: "CloseDate"}}
	}
	r, _ := d.call("deals", "salesforce_query", q)
	return tellDeals(w, d.user != "", r)
}
