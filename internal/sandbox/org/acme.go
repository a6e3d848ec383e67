package org

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// How big Acme is.
const (
	accountCount  = 400
	contactCount  = 1500
	dealCount     = 5000
	dealDays      = 3 * 365 // deals were created over so many days before today
	quarterDeals  = 10      // of every representative, closed this quarter, beyond those that chance puts there
	orgAgeInYears = 5
)

// Empty is a company that has just signed up: the schema, its profiles and stages, and one administrator.
// Only the day of today counts, as its own location writes it.
func Empty(seed uint64, today time.Time) *Org {
	return found(seed, today).o
}

// Acme is a company with a past: an administrator, three regional managers above four representatives each,
// accounts, contacts, three years of deals with their stage history and activities, and open ones that close
// in the coming quarters. The same seed and day give the same org, to the last character.
//
// Contacts, deals, tasks and events belong to the owner of their account.
func Acme(seed uint64, today time.Time) *Org {
	m := found(seed, today)
	m.staff()
	accounts := m.accounts()
	m.contacts(accounts)
	var deals []deal
	for _, r := range m.reps {
		deals = append(deals, m.promised(r)...)
	}
	for len(deals) < dealCount {
		deals = append(deals, m.chance(pick(m, accounts)))
	}
	slices.SortStableFunc(deals, func(a, b deal) int { return a.created.Compare(b.created) })
	for i, d := range deals {
		m.deal(d, i+1)
	}
	return m.o
}

// maker builds one org, drawing everything from one stream of random numbers.
type maker struct {
	o     *Org
	rng   *rand.Rand
	today time.Time
	admin string
	reps  []*rep
	phone map[string]func() string // the next free number, by region
}

// rep is a representative. Rate is the share of closed deals they win.
type rep struct {
	id       string
	region   region
	rate     float64
	accounts []*account
}

type account struct {
	Row
	rep      *rep
	domain   string
	contacts []Row
}

// found makes the org that every company starts with.
func found(seed uint64, today time.Time) *maker {
	y, month, d := today.Date()
	m := &maker{today: time.Date(y, month, d, 0, 0, 0, 0, time.UTC), rng: rand.New(rand.NewPCG(seed, 0x5a11d)), phone: map[string]func() string{}}
	m.o = &Org{Name: "Acme", Today: m.today, Objects: schema(), Profiles: profiles(), Rows: map[string][]Row{}, seed: seed, counters: map[string]uint64{}}
	m.admin = m.o.id(m.o.Object("User").KeyPrefix, 1) // who signs for the rows that come before the first user

	start := m.today.AddDate(-orgAgeInYears, 0, 0)
	m.o.ID = m.add("Organization", m.admin, start, start, Row{
		"Name": m.o.Name, "OrganizationType": "Developer Edition", "InstanceName": "SBX1", "IsSandbox": true, "Country": "United States",
		"TimeZoneSidKey": "UTC", "DefaultLocaleSidKey": "en_US", "LanguageLocaleKey": "en_US", "FiscalYearStartMonth": 1.0,
	}).Text("Id")
	for i := range m.o.Profiles {
		p := &m.o.Profiles[i]
		p.ID = m.add("Profile", m.admin, start, start, Row{"Name": p.Name}).Text("Id")
	}
	for i, s := range stages() {
		m.add("OpportunityStage", m.admin, start, start, Row{
			"MasterLabel": s.name, "ApiName": s.name, "IsActive": true, "SortOrder": float64(i + 1), "IsClosed": s.closed, "IsWon": s.won,
			"ForecastCategoryName": s.forecast, "DefaultProbability": s.probability,
		})
	}
	m.user(userNames[0], "System Administrator", Row{"Title": "CRM Administrator", "Division": "Operations"})
	return m
}

// staff hires managers and representatives below the chief executive's role, which nobody holds.
func (m *maker) staff() {
	start := m.today.AddDate(-orgAgeInYears, 0, 0)
	role := func(name string, parent any) string {
		return m.add("UserRole", m.admin, start, start, Row{
			"Name": name, "DeveloperName": strings.ReplaceAll(name, " ", "_"), "ParentRoleId": parent,
		}).Text("Id")
	}
	top := role("CEO", nil)
	rates := m.rng.Perm(12)
	for i, area := range sellingRegions() {
		managers := role(area.name+" Sales Manager", top)
		sellers := role(area.name+" Sales Representative", managers)
		m.phone[area.name] = m.phones(area)
		boss := m.user(userNames[1+i], "Sales Manager", Row{
			"Title": "Regional Sales Manager", "Division": area.name, "UserRoleId": managers,
		})
		for j := range 4 {
			id := m.user(userNames[4+4*i+j], "Sales Representative", Row{
				"Title": "Account Executive", "Division": area.name, "UserRoleId": sellers, "ManagerId": boss,
			})
			m.reps = append(m.reps, &rep{id: id, region: area, rate: 0.20 + 0.035*float64(rates[len(m.reps)])})
		}
	}
}

func (m *maker) user(name [2]string, profile string, more Row) string {
	start := m.today.AddDate(-orgAgeInYears, 0, 0)
	address := mailbox(name[0], name[1], "acme.example")
	row := Row{
		"FirstName": name[0], "LastName": name[1], "Username": address, "Email": address, "IsActive": true,
		"TimeZoneSidKey": "UTC", "LocaleSidKey": "en_US",
	}
	for _, p := range m.o.Profiles {
		if p.Name == profile {
			row["ProfileId"] = p.ID
		}
	}
	for k, v := range more {
		row[k] = v
	}
	row = m.add("User", m.admin, start, start, row)
	m.o.Derive("User", row)
	return row.Text("Id")
}

func (m *maker) accounts() []*account {
	var all []*account
	trades := len(tradeNouns) * len(tradeNouns[0])
	for i, n := range m.rng.Perm(len(accountWords) * trades)[:accountCount] {
		r := pick(m, m.reps)
		if i < accountCount/2 { // everybody has a fair share first
			r = m.reps[i%len(m.reps)]
		}
		industry, noun := n%len(tradeNouns), n/len(tradeNouns)%2
		name := accountWords[n/trades] + " " + tradeNouns[industry][noun]
		domain := strings.ToLower(strings.ReplaceAll(name, " ", "-")) + ".example"
		where := pick(m, r.region.places)
		born := m.between(m.today.AddDate(-orgAgeInYears, 0, 1), m.today.AddDate(0, 0, -dealDays-60))
		staff := math.Round(math.Exp(5+1.3*m.rng.NormFloat64())) + 5
		row := m.add("Account", r.id, m.at(born), m.at(m.between(born.AddDate(0, 0, 1), m.today)), Row{
			"Name": name, "Type": pick(m, []string{"Prospect", "Customer", "Customer", "Partner"}), "Industry": industries()[industry],
			"Phone": m.phone[r.region.name](), "Website": "https://" + domain, "BillingCity": where.city, "BillingCountry": where.country,
			"NumberOfEmployees": staff, "AnnualRevenue": staff * 1000 * float64(80+m.rng.IntN(200)), "Region__c": r.region.name,
			"OwnerId": r.id,
		})
		a := &account{Row: row, rep: r, domain: domain}
		r.accounts = append(r.accounts, a)
		all = append(all, a)
	}
	return all
}

// phones deals out a region's numbers in random order, none twice.
func (m *maker) phones(r region) func() string {
	var all []string
	for _, form := range r.phones {
		digits := strings.Count(form, "#")
		for n := range int(math.Pow10(digits)) {
			all = append(all, fmt.Sprintf("%s%0*d", form[:len(form)-digits], digits, n))
		}
	}
	m.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return func() string {
		next := all[0]
		all = all[1:]
		return next
	}
}

func (m *maker) contacts(accounts []*account) {
	met := map[string]bool{}
	for i := range contactCount {
		a := pick(m, accounts)
		if i < 2*accountCount { // two for everybody first
			a = accounts[i%accountCount]
		}
		first, last := pick(m, contactFirstNames), pick(m, contactLastNames)
		for met[first+last] {
			first, last = pick(m, contactFirstNames), pick(m, contactLastNames)
		}
		met[first+last] = true
		job, phone := pick(m, jobs), m.phone[a.rep.region.name]
		row := Row{
			"AccountId": a.Row["Id"], "FirstName": first, "LastName": last, "Title": job[0], "Department": job[1],
			"Phone": phone(), "OwnerId": a.rep.id,
		}
		if m.chanceOf(0.93) {
			row["Email"] = mailbox(first, last, a.domain)
		}
		if m.chanceOf(0.6) {
			row["MobilePhone"] = phone()
		}
		born := m.today.AddDate(0, 0, -dealDays-1-m.rng.IntN(59))
		row = m.add("Contact", a.rep.id, m.at(born), m.at(m.between(born.AddDate(0, 0, 1), m.today)), row)
		m.o.Derive("Contact", row)
		if m.chanceOf(0.15) {
			row["Description"] = mention(pick(m, contactNotes), row)
		}
		a.contacts = append(a.contacts, row)
	}
}

// deal is what is decided of an opportunity before it is written out.
type deal struct {
	account        *account
	created, close time.Time
	closed, won    bool
	amount         float64 // 0: nobody knows yet
	quiet          int     // days since the last activity of an open deal; -1: there was none
}

// promised are the deals that every representative has, whatever chance brings: won and lost ones in this
// quarter, its first day and today included, and open ones on both sides of the usual limits
// of 30 days without activity and 50,000.
func (m *maker) promised(r *rep) []deal {
	var all []deal
	y, month, _ := m.today.Date()
	quarter := time.Date(y, (month-1)/3*3+1, 1, 0, 0, 0, 0, time.UTC)
	won := min(max(int(math.Round(r.rate*quarterDeals)), 2), quarterDeals-2)
	for i := range quarterDeals {
		d := deal{account: pick(m, r.accounts), closed: true, won: i < won, amount: m.amount(), close: m.between(quarter, m.today)}
		switch i {
		case 0, won:
			d.close = quarter
		case 1, won + 1:
			d.close = m.today
		}
		d.created = d.close.AddDate(0, 0, -20-m.rng.IntN(120))
		all = append(all, d)
	}
	for _, quiet := range []int{-1, 45 + m.rng.IntN(60), 30, 29, m.rng.IntN(10), m.rng.IntN(10)} {
		all = append(all, m.open(r, 50_500+500*float64(m.rng.IntN(300)), quiet))
	}
	return append(all, m.open(r, 50_000, 40))
}

func (m *maker) open(r *rep, amount float64, quiet int) deal {
	return deal{
		account: pick(m, r.accounts), amount: amount, quiet: quiet,
		created: m.today.AddDate(0, 0, -120-m.rng.IntN(80)), close: m.today.AddDate(0, 0, 10+m.rng.IntN(250)),
	}
}

// chance is a deal as it may come: closed when its time is over, but for a few that are overdue.
func (m *maker) chance(a *account) deal {
	age := m.rng.IntN(dealDays)
	d := deal{account: a, created: m.today.AddDate(0, 0, -age), amount: m.amount()}
	d.close = d.created.AddDate(0, 0, min(15+int(m.rng.ExpFloat64()*70), 330))
	if !d.close.After(m.today) && !m.chanceOf(0.01) {
		d.closed, d.won = true, m.chanceOf(a.rep.rate)
		return d
	}
	switch p := m.rng.Float64(); {
	case p < 0.08:
		d.quiet = -1
	case p < 0.45:
		d.quiet = 30 + m.rng.IntN(90)
	default:
		d.quiet = m.rng.IntN(30)
	}
	if d.quiet > age {
		d.quiet = m.rng.IntN(age + 1)
	}
	if m.chanceOf(0.03) {
		d.amount = 0
	}
	return d
}

// amount is a deal's size: half of them are under 33,000, few are over 200,000.
func (m *maker) amount() float64 {
	return 500 * math.Round(min(max(math.Exp(10.4+0.8*m.rng.NormFloat64()), 3_000), 400_000)/500)
}

// deal writes an opportunity, how it came to its stage, and what was done for it.
func (m *maker) deal(d deal, number int) {
	contact := pick(m, d.account.contacts)
	kind := pick(m, []string{"New Business", "New Business", "Expansion", "Expansion", "Renewal"})
	row := Row{
		"Id": m.o.NewID("Opportunity"), "AccountId": d.account.Row["Id"], "ContactId": contact["Id"], "OwnerId": d.account.rep.id,
		"Name":      fmt.Sprintf("%s - %s %04d", d.account.Text("Name"), pick(m, dealKinds[kind]), number),
		"CloseDate": date(d.close), "Type": kind, "LeadSource": pick(m, leadSources()),
	}
	if d.amount > 0 {
		row["Amount"] = d.amount
	}
	if m.chanceOf(0.35) {
		row["Description"] = mention(pick(m, dealNotes), contact)
	}
	if !d.closed && m.chanceOf(0.75) {
		row["NextStep"] = mention(pick(m, nextSteps), contact)
	}

	born := m.at(d.created)
	stage, reached := m.history(d, row, born)
	row["StageName"], row["LastStageChangeDate"] = stage, dateTime(reached)
	row = m.add("Opportunity", d.account.rep.id, born, reached, row)
	m.o.deriveStage(row)

	if last, ok := m.lastDay(d); ok {
		row["LastActivityDate"] = date(last)
		m.activities(d, row, contact, last)
	}
}

// history writes the stages that a deal went through and gives the last one and when it was reached.
func (m *maker) history(d deal, row Row, born time.Time) (stage string, reached time.Time) {
	all := stages()
	end, reach := m.at(d.close), m.rng.IntN(5) // the furthest open stage
	if !d.closed {
		end = born.Add(time.Duration(m.rng.Float64() * float64(m.today.Sub(born))))
		if end.Sub(born) < 72*time.Hour {
			reach = 0
		}
	}
	if d.won {
		reach = 4
	}
	path := []int{0}
	for s := 1; s <= reach; s++ {
		if s == reach || m.chanceOf(0.8) {
			path = append(path, s)
		}
	}
	if d.won {
		path = append(path, 5)
	} else if d.closed {
		path = append(path, 6)
	}

	when := []float64{0}
	for range len(path) - 2 {
		when = append(when, 0.02+0.96*m.rng.Float64())
	}
	when = append(when, 1)
	slices.Sort(when)
	changes := m.chanceOf(0.3) // the first guess of size and day was another
	for i, s := range path {
		at := born.Add(time.Duration(when[i] * float64(end.Sub(born)))).Truncate(time.Second)
		if i > 0 && !at.After(reached) {
			at = reached.Add(time.Second)
		}
		amount, close := row["Amount"], row["CloseDate"]
		if changes && i < len(path)-1 {
			if amount != nil {
				amount = 500 * math.Ceil(d.amount*0.8/500)
			}
			close = date(later(d.created, d.close.AddDate(0, 0, m.rng.IntN(60)-40)))
		}
		m.add("OpportunityHistory", d.account.rep.id, at, at, Row{
			"OpportunityId": row["Id"], "StageName": all[s].name, "Amount": amount, "Probability": all[s].probability, "CloseDate": close,
		})
		stage, reached = all[s].name, at
	}
	return stage, reached
}

// lastDay is the day of a deal's newest activity, if there was one.
func (m *maker) lastDay(d deal) (time.Time, bool) {
	if !d.closed {
		return m.today.AddDate(0, 0, -d.quiet), d.quiet >= 0
	}
	return later(d.created, d.close.AddDate(0, 0, -m.rng.IntN(4))), m.chanceOf(0.97)
}

// activities writes what was done for a deal, the newest on its last day, and for open deals what is still to be done.
func (m *maker) activities(d deal, row, contact Row, last time.Time) {
	for i := range 1 + m.rng.IntN(3) {
		day := last
		if i > 0 {
			day = m.between(d.created, last)
		}
		if m.chanceOf(0.12) {
			m.event(d, row, contact, day, day)
		} else {
			m.task(d, row, contact, day, day, "Completed")
		}
	}
	if d.closed {
		return
	}
	if m.chanceOf(0.4) {
		m.task(d, row, contact, last, m.today.AddDate(0, 0, 1+m.rng.IntN(30)), "Not Started")
	}
	if m.chanceOf(0.1) { // overdue: it counts for nothing
		m.task(d, row, contact, last, m.between(last, m.today), pick(m, []string{"Not Started", "In Progress", "Waiting on someone else"}))
	}
	if m.chanceOf(0.1) {
		m.event(d, row, contact, last, m.today.AddDate(0, 0, 1+m.rng.IntN(30)))
	}
}

func (m *maker) task(d deal, row, contact Row, written, due time.Time, status string) {
	kind, subtype, subjects := "Call", "Call", callSubjects
	switch p := m.rng.Float64(); {
	case p < 0.35:
		kind, subtype, subjects = "Email", "Email", mailSubjects
	case p < 0.5:
		kind, subtype, subjects = "Meeting", "Task", meetSubjects
	}
	values := Row{
		"WhoId": contact["Id"], "WhatId": row["Id"], "OwnerId": d.account.rep.id, "ActivityDate": date(due), "Status": status,
		"Priority": pick(m, []string{"Normal", "Normal", "Normal", "High", "Low"}), "Type": kind, "TaskSubtype": subtype,
		"Subject": cmp.Or(mention(pick(m, subjects), contact), any(kind)), "IsClosed": status == "Completed",
	}
	if m.chanceOf(0.3) {
		values["Description"] = mention(pick(m, taskNotes), contact)
	}
	stamp := m.at(written)
	m.add("Task", d.account.rep.id, stamp, stamp, values)
}

func (m *maker) event(d deal, row, contact Row, written, day time.Time) {
	start := day.Add(time.Duration(9+m.rng.IntN(8)) * time.Hour)
	stamp := m.at(written)
	m.add("Event", d.account.rep.id, stamp, stamp, Row{
		"WhoId": contact["Id"], "WhatId": row["Id"], "OwnerId": d.account.rep.id, "Subject": mention(pick(m, meetSubjects), contact),
		"StartDateTime": dateTime(start), "EndDateTime": dateTime(start.Add(time.Hour)), "ActivityDate": date(day),
	})
}

// add writes a row as a user did at a time, with an id unless it has one, and fills in what system fields the
// object has.
func (m *maker) add(object, by string, created, modified time.Time, values Row) Row {
	row := m.o.Object(object).Blank()
	for k, v := range values {
		row[k] = v
	}
	if row["Id"] == nil {
		row["Id"] = m.o.NewID(object)
	}
	first, last := dateTime(created), dateTime(modified)
	for _, system := range [...]struct {
		field string
		value any
	}{
		{"CreatedDate", first}, {"CreatedById", by}, {"LastModifiedDate", last}, {"LastModifiedById", by}, {"SystemModstamp", last},
	} {
		if _, has := row[system.field]; has {
			row[system.field] = system.value
		}
	}
	m.o.Rows[object] = append(m.o.Rows[object], row)
	return row
}

// at is a time in a day's office hours; of today only its first moment is sure to be past.
func (m *maker) at(day time.Time) time.Time {
	t := day.Add(8*time.Hour + time.Duration(m.rng.IntN(10*3600))*time.Second)
	if t.After(m.today) {
		return m.today
	}
	return t
}

// between is a day from a through b.
func (m *maker) between(a, b time.Time) time.Time {
	return a.AddDate(0, 0, m.rng.IntN(int(b.Sub(a).Hours()/24)+1))
}

func (m *maker) chanceOf(p float64) bool { return m.rng.Float64() < p }

func pick[T any](m *maker, from []T) T { return from[m.rng.IntN(len(from))] }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func date(t time.Time) string     { return t.Format(DateLayout) }
func dateTime(t time.Time) string { return t.Format(DateTimeLayout) }
