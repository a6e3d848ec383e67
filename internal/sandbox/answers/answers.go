// Package answers answers: what is true of the sandbox company, as one of its users may know it? It reads the
// rows themselves, so that those who query them can be checked against it; it knows no query language.
package answers

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stewardhq/steward/internal/sandbox/org"
)

// Kind is what sort of thing an answer is.
type Kind string

// The kinds.
const (
	Number     Kind = "number"     // of records, or of days
	Money      Kind = "money"      // in the org's currency
	Percentage Kind = "percentage" // a ratio: 0.25 is 25%
	Names      Kind = "names"      // of records
)

// Answer is a question as a seller would ask it, and what is true.
type Answer struct {
	Question string   `json:"question"`
	Kind     Kind     `json:"kind"`
	Value    *float64 `json:"value"`            // nil where there is nothing to divide by; of names how many are asked for
	Names    []string `json:"names,omitempty"`  // sorted; of the largest also those as large as the last, so more than Value
	Groups   []Group  `json:"groups,omitempty"` // what Value is made of, sorted by name
}

// Group is the value of one owner, stage, region or whatever the question splits by.
type Group struct {
	Name  string   `json:"name"` // "" for those that have none
	Value *float64 `json:"value"`
}

// String is the answer in a line; of many names or groups the first few.
func (a Answer) String() string {
	text, parts := a.Kind.text(a.Value), a.Names
	for _, g := range a.Groups {
		parts = append(parts, strings.TrimSpace(g.Name+" "+a.Kind.text(g.Value)))
	}
	const few = 4
	if more := len(parts) - few; more > 0 {
		parts = append(parts[:few:few], fmt.Sprintf("%d more", more))
	}
	return strings.Join(append([]string{text}, parts...), " · ")
}

func (k Kind) text(v *float64) string {
	if v == nil {
		return "not defined"
	}
	if k == Percentage {
		return strconv.FormatFloat(*v*100, 'f', 1, 64) + "%"
	}
	text := strings.TrimSuffix(strconv.FormatFloat(*v, 'f', 2, 64), ".00")
	whole, _, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	if k == Money {
		return "$" + text
	}
	return text
}

// To gives the true answers for a user, by id, on the org's day. All of the org's people have UTC as their zone,
// and its fiscal year is the calendar's.
func To(o *org.Org, user string) []Answer {
	c := see(o, user)
	return slices.Concat(c.pipeline(), c.winRates(), c.closed(), c.biggest(), c.hygiene(), c.stages(), c.accounts(), c.work(), c.lookUps())
}

// rows are records of one object.
type rows []org.Row

// company is what one user may see of an org, and what the questions need to know of it.
type company struct {
	me                                  string
	day                                 time.Time
	account, deal, contact, task, event rows
	history, process                    rows               // of deals' stages; all stages that there are
	user, last                          map[string]string  // names by id; the day of each deal's newest activity
	byID                                map[string]org.Row // accounts
}

// see gathers the rows that a user may see: what they own and what people in roles below theirs own; contacts and
// history go with their account and deal, activities also with what they are about.
func see(o *org.Org, me string) *company {
	c := &company{me: me, user: map[string]string{}, byID: map[string]org.Row{}, last: map[string]string{}, day: o.Today, process: o.Rows["OpportunityStage"]}
	above := map[string]string{} // a role's parent
	for _, role := range o.Rows["UserRole"] {
		above[role.Text("Id")] = role.Text("ParentRoleId")
	}
	myself := org.Row{}
	for _, u := range o.Rows["User"] {
		c.user[u.Text("Id")] = u.Text("Name")
		if u.Text("Id") == me {
			myself = u
		}
	}
	all := slices.ContainsFunc(o.Profiles, func(p org.Profile) bool { return p.ID == myself["ProfileId"] && p.ViewAll })
	owners := map[string]bool{me: true}
	for _, u := range o.Rows["User"] {
		for role := above[u.Text("UserRoleId")]; role != ""; role = above[role] {
			owners[u.Text("Id")] = owners[u.Text("Id")] || role == myself.Text("UserRoleId")
		}
	}
	seen := map[string]bool{} // accounts, deals and contacts
	visible := func(object string, links ...string) (found rows) {
		for _, r := range o.Rows[object] {
			may := all || owners[r.Text("OwnerId")]
			for _, link := range links {
				may = may || seen[r.Text(link)]
			}
			if may {
				found, seen[r.Text("Id")] = append(found, r), true
			}
		}
		return found
	}
	c.account, c.deal = visible("Account"), visible("Opportunity")
	c.contact, c.history = visible("Contact", "AccountId"), visible("OpportunityHistory", "OpportunityId")
	c.task, c.event = visible("Task", "WhatId", "WhoId"), visible("Event", "WhatId", "WhoId")
	for _, r := range c.account {
		c.byID[r.Text("Id")] = r
	}
	for _, r := range slices.Concat(o.Rows["Task"], o.Rows["Event"]) { // a task counts once done, an event once past
		if date := r.Text("ActivityDate"); r["IsClosed"] != false && date <= c.days(0) {
			c.last[r.Text("WhatId")] = max(c.last[r.Text("WhatId")], date)
		}
	}
	return c
}

// days is the date so many days after today.
func (c *company) days(n int) string { return c.day.AddDate(0, 0, n).Format(org.DateLayout) }

// span is a stretch of days, both ends in it.
type span struct{ from, to string }

// months is so many months from the first of one, which is said from this year's January on.
func (c *company) months(first, n int) span {
	from := time.Date(c.day.Year(), time.January+time.Month(first), 1, 0, 0, 0, 0, time.UTC)
	return span{from.Format(org.DateLayout), from.AddDate(0, n, -1).Format(org.DateLayout)}
}

func (c *company) month(ahead int) span   { return c.months(int(c.day.Month())-1+ahead, 1) }
func (c *company) quarter(ahead int) span { return c.months((int(c.day.Month())-1)/3*3+3*ahead, 3) }
func (c *company) year(ahead int) span    { return c.months(12*ahead, 12) }

// where keeps the rows for which something holds.
func (all rows) where(holds func(org.Row) bool) (kept rows) {
	for _, r := range all {
		if holds(r) {
			kept = append(kept, r)
		}
	}
	return kept
}

func (all rows) is(field string, value any) rows {
	return all.where(func(r org.Row) bool { return r[field] == value })
}

// in keeps the rows whose date or time in a field lies in a span.
func (all rows) in(field string, s span) rows {
	return all.where(func(r org.Row) bool { return day(r, field) >= s.from && day(r, field) <= s.to && r[field] != nil })
}

// day is the date in a field that holds a date or a time.
func day(r org.Row, field string) string {
	return r.Text(field)[:min(len(r.Text(field)), len(org.DateLayout))]
}

func (all rows) count() *float64 { return figure(float64(len(all))) }

// amount is the sum of what amounts there are.
func (all rows) amount() *float64 {
	total := 0.0
	for _, r := range all {
		total += r.Number("Amount")
	}
	return &total
}

// average is of what amounts there are.
func (all rows) average() *float64 {
	having := all.where(func(r org.Row) bool { return r["Amount"] != nil })
	return ratio(*having.amount(), *having.count())
}

// weighted is Σ Amount × Probability.
func (all rows) weighted() *float64 {
	total := 0.0
	for _, r := range all {
		total += r.Number("Amount") * r.Number("Probability") / 100
	}
	return &total
}

// winRate is won / (won + lost) of closed deals, and winRateByAmount the same in money.
func (all rows) winRate() *float64 {
	return ratio(*all.is("IsWon", true).count(), *all.is("IsClosed", true).count())
}
func (all rows) winRateByAmount() *float64 {
	return ratio(*all.is("IsWon", true).amount(), *all.is("IsClosed", true).amount())
}

func figure(v float64) *float64 { return &v }

// ratio is nil where there is nothing to divide by.
func ratio(part, whole float64) *float64 {
	if whole == 0 {
		return nil
	}
	return figure(part / whole)
}

// by splits a question's rows by what they have in common.
func by(question string, kind Kind, all rows, of func(rows) *float64, key func(org.Row) string) Answer {
	a := Answer{Question: question, Kind: kind, Value: of(all)}
	parts := map[string]rows{}
	for _, r := range all {
		parts[key(r)] = append(parts[key(r)], r)
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		a.Groups = append(a.Groups, Group{name, of(parts[name])})
	}
	return a
}

// best answers with the highest value of a question's groups and the names of those that have it.
func best(a Answer) Answer {
	top := Answer{Question: a.Question, Kind: a.Kind}
	for _, g := range a.Groups {
		if top.Value == nil || g.Value != nil && *g.Value > *top.Value {
			top.Value, top.Names = g.Value, nil
		}
		if g.Value != nil && *g.Value == *top.Value {
			top.Names = append(top.Names, g.Name)
		}
	}
	return top
}

func (c *company) owner(r org.Row) string { return c.user[r.Text("OwnerId")] }

// has reads a field as what to split by.
func has(field string) func(org.Row) string {
	return func(r org.Row) string { return r.Text(field) }
}

// ofAccount reads a field of a deal's account.
func (c *company) ofAccount(field string) func(org.Row) string {
	return func(r org.Row) string { return c.byID[r.Text("AccountId")].Text(field) }
}

// list answers with names.
func list(question string, all rows) Answer {
	a := Answer{Question: question, Kind: Names, Value: all.count()}
	for _, r := range all {
		a.Names = append(a.Names, r.Text("Name")+r.Text("MasterLabel")) // no object has both
	}
	slices.Sort(a.Names)
	return a
}

// largest answers with the names of the n largest by amount, and of those as large as the last of them.
func largest(question string, all rows, n int) Answer {
	sorted := slices.SortedFunc(slices.Values(all.where(func(r org.Row) bool { return r["Amount"] != nil })), larger)
	n = min(n, len(sorted))
	a := list(question, rows(sorted).where(func(r org.Row) bool { return r.Number("Amount") >= sorted[n-1].Number("Amount") }))
	a.Value = figure(float64(n))
	return a
}

func larger(a, b org.Row) int {
	return cmp.Or(cmp.Compare(b.Number("Amount"), a.Number("Amount")), strings.Compare(a.Text("Name"), b.Text("Name")))
}
