package org_test

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stewardhq/steward/internal/sandbox/org"
	"pgregory.net/rapid"
)

func day(s string) time.Time {
	t, err := time.Parse(org.DateLayout, s)
	if err != nil {
		panic(err)
	}
	return t
}

var today = day("2026-11-23")

func byID(o *org.Org) map[string]org.Row {
	all := map[string]org.Row{}
	for _, rows := range o.Rows {
		for _, row := range rows {
			all[row.Text("Id")] = row
		}
	}
	return all
}

// representatives are the users with the profile of that name.
func representatives(o *org.Org) []org.Row {
	var reps []org.Row
	for _, u := range o.Rows["User"] {
		if o.Profile(u.Text("ProfileId")).Name == "Sales Representative" {
			reps = append(reps, u)
		}
	}
	return reps
}

func TestSameSeedAndDayGiveTheSameOrg(t *testing.T) {
	digest := func(o *org.Org) [32]byte {
		h := sha256.New()
		fmt.Fprintln(h, o.ID, o.Name, o.Today, o.Profiles)
		for _, ob := range o.Objects {
			for _, row := range o.Rows[ob.Name] {
				for _, f := range ob.Fields {
					fmt.Fprintln(h, f.Name, row[f.Name])
				}
			}
		}
		return [32]byte(h.Sum(nil))
	}
	first := digest(org.Acme(7, today))
	evening := time.Date(2026, 11, 23, 21, 30, 0, 0, time.FixedZone("", 5*3600))
	if digest(org.Acme(7, evening)) != first {
		t.Error("the same seed and day gave another org")
	}
	if digest(org.Acme(8, today)) == first {
		t.Error("another seed gave the same org")
	}
	if digest(org.Acme(7, today.AddDate(0, 0, 1))) == first {
		t.Error("another day gave the same org")
	}
}

func TestSizes(t *testing.T) {
	o := org.Acme(1, today)
	for object, want := range map[string]int{
		"Organization": 1, "Profile": 3, "UserRole": 7, "User": 16, "Account": 400, "Contact": 1500, "Opportunity": 5000, "OpportunityStage": 7,
	} {
		if got := len(o.Rows[object]); got != want {
			t.Errorf("%d rows of %s, want %d", got, object, want)
		}
	}
	for object, least := range map[string]int{"OpportunityHistory": 15_000, "Task": 7_000, "Event": 500} {
		if got := len(o.Rows[object]); got < least {
			t.Errorf("%d rows of %s, want at least %d", got, object, least)
		}
	}
}

func TestRowsKeepTheSchema(t *testing.T) {
	for name, o := range map[string]*org.Org{"acme": org.Acme(2, today), "empty": org.Empty(2, today)} {
		t.Run(name, func(t *testing.T) {
			all := byID(o)
			seen, now := 0, today.Format(org.DateTimeLayout)
			for i := range o.Objects {
				ob := &o.Objects[i]
				last := ""
				for _, row := range o.Rows[ob.Name] {
					seen++
					id := row.Text("Id")
					if full, ok := org.CanonicalID(id); !ok || full != id || o.ObjectOf(id) != ob {
						t.Fatalf("%s has the id %q", ob.Name, id)
					}
					if id[6:15] <= last {
						t.Fatalf("%s: id %s comes after %s", ob.Name, id, last)
					}
					last = id[6:15]
					if len(row) != len(ob.Fields) {
						t.Fatalf("%s %s has %d values for %d fields", ob.Name, id, len(row), len(ob.Fields))
					}
					for _, f := range ob.Fields {
						if problem := check(f, row, all, now); problem != "" {
							t.Fatalf("%s.%s of %s = %#v: %s", ob.Name, f.Name, id, row[f.Name], problem)
						}
					}
				}
			}
			if len(all) != seen {
				t.Errorf("%d rows share ids", seen-len(all))
			}
		})
	}
}

// check says what is wrong with a row's value for a field, "" if nothing is. Nothing but plans and
// deadlines lies after now.
func check(f org.Field, row org.Row, all map[string]org.Row, now string) string {
	v, has := row[f.Name]
	if !has {
		return "is absent"
	}
	if v == nil {
		if !f.Nillable {
			return "may not be null"
		}
		return ""
	}
	s, text := v.(string)
	switch f.Type {
	case org.Boolean:
		if _, ok := v.(bool); !ok {
			return "is no boolean"
		}
		return ""
	case org.Currency, org.Double, org.Percent, org.Int:
		if n, ok := v.(float64); !ok || n != float64(int64(n)) {
			return "is no whole number"
		}
		return ""
	}
	switch {
	case !text:
		return "is no string"
	case s == "":
		return "is empty rather than nil"
	case f.Length > 0 && utf8.RuneCountInString(s) > f.Length:
		return "is too long"
	}
	switch f.Type {
	case org.Date:
		if _, err := time.Parse(org.DateLayout, s); err != nil {
			return "is no date"
		}
	case org.DateTime:
		if at, err := time.Parse(org.DateTimeLayout, s); err != nil || at.Format(org.DateTimeLayout) != s {
			return "is no datetime"
		}
		if s > now && !strings.HasSuffix(f.Name, "DateTime") {
			return "lies in the future"
		}
		if f.Name == "LastModifiedDate" && row["CreatedDate"] != nil && s < row.Text("CreatedDate") {
			return "lies before the record's creation"
		}
	case org.Picklist:
		if !slices.Contains(f.Picklist, s) {
			return "is not in the picklist"
		}
	case org.Reference:
		target, found := all[s]
		if !found {
			return "refers to nothing"
		}
		ok := false
		for _, object := range f.ReferenceTo {
			ok = ok || strings.HasPrefix(target.Text("Id"), prefixes[object])
		}
		if !ok {
			return "refers to a record of another object"
		}
	}
	return ""
}

var prefixes = map[string]string{
	"Organization": "00D", "Profile": "00e", "UserRole": "00E", "User": "005", "Account": "001", "Contact": "003", "Opportunity": "006",
	"OpportunityStage": "01J", "OpportunityHistory": "008", "Task": "00T", "Event": "00U",
}

func TestSchemaIsWhole(t *testing.T) {
	o := org.Empty(1, today)
	children := map[string]bool{}
	for _, ob := range o.Objects {
		if prefixes[ob.Name] != ob.KeyPrefix {
			t.Errorf("%s has the prefix %q", ob.Name, ob.KeyPrefix)
		}
		names, called := map[string]bool{}, 0
		for _, f := range ob.Fields {
			if names[f.Name] {
				t.Errorf("%s.%s stands twice", ob.Name, f.Name)
			}
			names[f.Name] = true
			if f.NameField {
				called++
			}
			if f.Label == "" || (f.Type == org.Reference) != (len(f.ReferenceTo) > 0) || (f.Type == org.Picklist) != (len(f.Picklist) > 0) {
				t.Errorf("%s.%s is incomplete: %+v", ob.Name, f.Name, f)
			}
			if f.Required && (f.Nillable || !f.Createable) || f.Updateable && !f.Createable {
				t.Errorf("%s.%s contradicts itself: %+v", ob.Name, f.Name, f)
			}
			for _, parent := range f.ReferenceTo {
				if o.Object(parent) == nil {
					t.Errorf("%s.%s refers to %s, which isn't there", ob.Name, f.Name, parent)
				}
				if c := parent + "." + f.ChildRelationshipName; f.ChildRelationshipName != "" {
					if children[c] {
						t.Errorf("two relationships are called %s", c)
					}
					children[c] = true
				}
			}
		}
		if want := 1; called != want && ob.Name != "OpportunityHistory" {
			t.Errorf("%s has %d name fields", ob.Name, called)
		}
	}
	for _, name := range []string{"Opportunity.IsClosed", "Opportunity.IsWon", "Opportunity.ExpectedRevenue", "Opportunity.LastActivityDate",
		"Contact.Name", "User.Name", "Task.IsClosed", "Account.CreatedDate", "Account.Id", "Contact.IsDeleted"} {
		object, field, _ := strings.Cut(name, ".")
		if f := o.Object(object).Field(field); f.Createable || f.Updateable {
			t.Errorf("%s can be written", name)
		}
	}
	for _, p := range o.Profiles {
		for object := range p.Objects {
			if o.Object(object) == nil {
				t.Errorf("profile %s speaks of %s", p.Name, object)
			}
		}
		for name := range p.Fields {
			object, field, _ := strings.Cut(name, ".")
			if o.Object(object).Field(field) == nil {
				t.Errorf("profile %s speaks of %s", p.Name, name)
			}
		}
		if all := p.Name == "System Administrator"; p.ViewAll != all || p.ModifyAll != all || p.Objects["Account"].Delete != all {
			t.Errorf("profile %s may do %+v", p.Name, p)
		}
	}
	if o.Object("opportunity") != o.Object("Opportunity") || o.Object("Opportunity").Field("stagename") == nil {
		t.Error("names should be found whatever their case")
	}
	if o.Object("Lead") != nil || o.Object("Account").Field("Nothing") != nil || o.ObjectOf("00") != nil || o.Profile("") != nil {
		t.Error("found what isn't there")
	}
}

func TestEmptyHasOneAdministrator(t *testing.T) {
	o := org.Empty(3, today)
	users := o.Rows["User"]
	if len(users) != 1 || o.Profile(users[0].Text("ProfileId")).Name != "System Administrator" || users[0]["IsActive"] != true {
		t.Fatalf("users: %v", users)
	}
	if len(o.Rows["OpportunityStage"]) != 7 || len(o.Rows["Organization"]) != 1 || len(o.Rows["Account"])+len(o.Rows["Opportunity"]) != 0 {
		t.Error("an empty org has stages and an organization, but no business")
	}
	if o.ID != o.Rows["Organization"][0]["Id"] || o.Find("User", users[0].Text("Id")) == nil || o.Find("User", o.ID) != nil {
		t.Error("the org and its administrator should be found by their ids")
	}
}

func TestStaffStandsInAHierarchy(t *testing.T) {
	o := org.Acme(4, today)
	roles, users := map[any]org.Row{}, byID(o)
	for _, r := range o.Rows["UserRole"] {
		roles[r["Id"]] = r
	}
	perRegion, managers := map[string]int{}, map[string]int{}
	parts := map[string]bool{}
	for i, u := range o.Rows["User"] {
		for _, part := range []string{u.Text("FirstName"), u.Text("LastName")} {
			if parts[part] || len(part) < 5 {
				t.Errorf("the user's name %q is short or taken", part)
			}
			parts[part] = true
		}
		want := strings.ToLower(u.Text("FirstName")+"."+u.Text("LastName")) + "@acme.example"
		if u["Username"] != want || u["Email"] != want || u["Name"] != u.Text("FirstName")+" "+u.Text("LastName") {
			t.Errorf("user %v", u)
		}
		profile := o.Profile(u.Text("ProfileId")).Name
		if i == 0 {
			if profile != "System Administrator" || u["UserRoleId"] != nil {
				t.Errorf("the first user is %v", u)
			}
			continue
		}
		role := roles[u["UserRoleId"]]
		parent := roles[role["ParentRoleId"]]
		switch profile {
		case "Sales Manager":
			managers[u.Text("Division")]++
			if parent["Name"] != "CEO" || parent["ParentRoleId"] != nil {
				t.Errorf("%s reports to %v", u["Name"], parent["Name"])
			}
		case "Sales Representative":
			perRegion[u.Text("Division")]++
			boss := users[u.Text("ManagerId")]
			if boss["UserRoleId"] != parent["Id"] || boss["Division"] != u["Division"] {
				t.Errorf("%s reports to %v", u["Name"], boss["Name"])
			}
		default:
			t.Errorf("%s has the profile %s", u["Name"], profile)
		}
	}
	for _, region := range []string{"Americas", "EMEA", "APAC"} {
		if perRegion[region] != 4 || managers[region] != 1 {
			t.Errorf("%s has %d representatives and %d managers", region, perRegion[region], managers[region])
		}
	}
}

func TestEverythingBelongsToTheOwnerOfItsAccount(t *testing.T) {
	o := org.Acme(5, today)
	all := byID(o)
	owners := map[any]int{}
	for _, a := range o.Rows["Account"] {
		owners[a["OwnerId"]]++
		if a["Region__c"] != all[a.Text("OwnerId")]["Division"] {
			t.Errorf("account %s lies in %v", a["Name"], a["Region__c"])
		}
	}
	for _, r := range representatives(o) {
		if owners[r["Id"]] < 15 {
			t.Errorf("%s owns %d accounts", r["Name"], owners[r["Id"]])
		}
	}
	if len(owners) != 12 {
		t.Errorf("%d users own accounts", len(owners))
	}
	for _, object := range []string{"Contact", "Opportunity"} {
		for _, row := range o.Rows[object] {
			if row["OwnerId"] != all[row.Text("AccountId")]["OwnerId"] {
				t.Fatalf("%s %s has another owner than its account", object, row["Id"])
			}
		}
	}
	for _, object := range []string{"Task", "Event"} {
		for _, row := range o.Rows[object] {
			deal, who := all[row.Text("WhatId")], all[row.Text("WhoId")]
			if row["OwnerId"] != deal["OwnerId"] || who["AccountId"] != deal["AccountId"] {
				t.Fatalf("%s %s is on a deal of somebody else", object, row["Id"])
			}
		}
	}
}

// Whatever the day, every representative's quarter has won and lost deals from its first day through today.
func TestEveryQuarterHasWonAndLostDeals(t *testing.T) {
	for _, when := range []string{"2026-10-01", "2026-10-02", "2026-12-31", "2027-01-01", "2028-02-29", "2026-11-23"} {
		o := org.Acme(6, day(when))
		y, m, _ := day(when).Date()
		start := time.Date(y, (m-1)/3*3+1, 1, 0, 0, 0, 0, time.UTC).Format(org.DateLayout)
		type tally struct{ n, first, last int }
		won, lost := map[any]*tally{}, map[any]*tally{}
		rates := map[float64]bool{}
		for _, r := range representatives(o) {
			won[r["Id"]], lost[r["Id"]] = &tally{}, &tally{}
		}
		for _, d := range o.Rows["Opportunity"] {
			if closed := d.Text("CloseDate"); d.True("IsClosed") && closed >= start && closed <= when {
				c := lost[d["OwnerId"]]
				if d.True("IsWon") {
					c = won[d["OwnerId"]]
				}
				c.n++
				if closed == start {
					c.first++
				}
				if closed == when {
					c.last++
				}
			}
		}
		for _, r := range representatives(o) {
			for _, c := range []*tally{won[r["Id"]], lost[r["Id"]]} {
				if c.n < 2 || c.first == 0 || c.last == 0 {
					t.Errorf("%s: %s closed %+v", when, r["Name"], *c)
				}
			}
			rates[float64(won[r["Id"]].n)/float64(won[r["Id"]].n+lost[r["Id"]].n)] = true
		}
		if len(rates) < 4 {
			t.Errorf("%s: only %d different win rates", when, len(rates))
		}
	}
}

func TestWinRatesDiffer(t *testing.T) {
	o := org.Acme(7, today)
	won, closed := map[any]float64{}, map[any]float64{}
	for _, d := range o.Rows["Opportunity"] {
		if d.True("IsClosed") {
			closed[d["OwnerId"]]++
			if d.True("IsWon") {
				won[d["OwnerId"]]++
			}
		}
	}
	least, most := 1.0, 0.0
	for owner, n := range closed {
		least, most = min(least, won[owner]/n), max(most, won[owner]/n)
	}
	if least > 0.3 || most < 0.45 {
		t.Errorf("win rates lie between %.2f and %.2f", least, most)
	}
}

func TestDeals(t *testing.T) {
	o := org.Acme(8, today)
	names, now := map[string]bool{}, today.Format(org.DateLayout)
	oldest := today.AddDate(-3, 0, -31).Format(org.DateLayout)
	open, next, later, overdue, unknown, steps := 0, 0, 0, 0, 0, 0
	for _, d := range o.Rows["Opportunity"] {
		name, close := d.Text("Name"), d.Text("CloseDate")
		if names[name] || strings.ContainsAny(name, `'"`) || strings.Contains(name, " to ") {
			t.Errorf("a deal is called %q", name)
		}
		names[name] = true
		if d.Text("CreatedDate")[:10] < oldest || d.Text("CreatedDate")[:10] > close {
			t.Errorf("%s was created on %s and closes on %s", name, d["CreatedDate"], close)
		}
		if d["Amount"] == nil {
			unknown++
		}
		if d.Number("ExpectedRevenue") != d.Number("Amount")*d.Number("Probability")/100 {
			t.Errorf("%s expects %v of %v", name, d["ExpectedRevenue"], d["Amount"])
		}
		if d.True("IsClosed") {
			if close > now || d["Amount"] == nil || d.True("IsWon") != (d["StageName"] == "Closed Won") {
				t.Errorf("closed: %v", d)
			}
			if d.Text("LastStageChangeDate")[:10] != close {
				t.Errorf("%s closed on %s by its date, on %s by its stage", name, close, d["LastStageChangeDate"])
			}
			continue
		}
		open++
		if d["NextStep"] != nil {
			steps++
		}
		switch {
		case close < now:
			overdue++
		case close <= "2026-12-31":
		case close <= "2027-03-31":
			next++
		default:
			later++
		}
	}
	if open < 300 || next < 50 || later < 30 || overdue < 5 || overdue > open/4 || unknown == 0 || unknown > open/10 || steps < open/2 {
		t.Errorf("%d open deals, %d for next quarter, %d later, %d overdue, %d without amount, %d with a next step", open, next, later, overdue, unknown, steps)
	}
}

func TestHistoriesEndInTheCurrentStage(t *testing.T) {
	o := org.Acme(9, today)
	histories := map[any][]org.Row{}
	for _, h := range o.Rows["OpportunityHistory"] {
		histories[h["OpportunityId"]] = append(histories[h["OpportunityId"]], h)
	}
	order := map[any]int{}
	for i, s := range o.Rows["OpportunityStage"] {
		order[s["MasterLabel"]] = i
	}
	changed := 0
	for _, d := range o.Rows["Opportunity"] {
		h := histories[d["Id"]]
		if len(h) == 0 || h[0]["StageName"] != "Prospecting" || h[0]["CreatedDate"] != d["CreatedDate"] {
			t.Fatalf("%s begins with %v", d["Name"], h)
		}
		for i := range h[1:] {
			if order[h[i+1]["StageName"]] <= order[h[i]["StageName"]] || h[i+1].Text("CreatedDate") <= h[i].Text("CreatedDate") {
				t.Fatalf("%s goes from %v to %v", d["Name"], h[i], h[i+1])
			}
		}
		last := h[len(h)-1]
		for _, field := range []string{"StageName", "Amount", "Probability", "CloseDate"} {
			if last[field] != d[field] {
				t.Fatalf("%s: %s is %v, its history says %v", d["Name"], field, d[field], last[field])
			}
		}
		if last["CreatedDate"] != d["LastStageChangeDate"] || last["CreatedDate"] != d["LastModifiedDate"] {
			t.Fatalf("%s reached its stage on %v, its history says %v", d["Name"], d["LastStageChangeDate"], last["CreatedDate"])
		}
		if h[0]["Amount"] != d["Amount"] || h[0]["CloseDate"] != d["CloseDate"] {
			changed++
		}
	}
	if changed < 500 {
		t.Errorf("only %d deals changed their amount or date on the way", changed)
	}
}

func TestActivities(t *testing.T) {
	o := org.Acme(10, today)
	now, newest, touched, toDo := today.Format(org.DateLayout), map[any]string{}, map[any]bool{}, 0
	note := func(row org.Row, counts bool) {
		touched[row["WhatId"]] = true
		if counts {
			newest[row["WhatId"]] = max(newest[row["WhatId"]], row.Text("ActivityDate"))
		} else {
			toDo++
		}
	}
	for _, task := range o.Rows["Task"] {
		if task.True("IsClosed") != (task["Status"] == "Completed") || task.True("IsClosed") && task.Text("ActivityDate") > now {
			t.Errorf("task %v", task)
		}
		note(task, task.True("IsClosed"))
	}
	for _, event := range o.Rows["Event"] {
		if event["ActivityDate"] != event.Text("StartDateTime")[:10] || event.Text("EndDateTime") <= event.Text("StartDateTime") {
			t.Errorf("event %v", event)
		}
		note(event, event.Text("ActivityDate") <= now)
	}
	if toDo < 50 {
		t.Errorf("only %d activities are still to come", toDo)
	}

	type side struct{ stalled, fresh, untouched, onLimit, dayBefore int }
	sides := map[any]*side{}
	for _, r := range representatives(o) {
		sides[r["Id"]] = &side{}
	}
	open, stalled := 0, 0
	for _, d := range o.Rows["Opportunity"] {
		if d.Text("LastActivityDate") != newest[d["Id"]] {
			t.Errorf("%s was last active on %v, by its activities on %q", d["Name"], d["LastActivityDate"], newest[d["Id"]])
		}
		if d.True("IsClosed") {
			continue
		}
		open++
		last := d.Text("LastActivityDate")
		if last == "" {
			last = d.Text("CreatedDate")[:10]
		}
		days := int(today.Sub(day(last)).Hours() / 24)
		if days >= 30 {
			stalled++
		}
		if d.Number("Amount") <= 50_000 {
			continue
		}
		s := sides[d["OwnerId"]]
		switch {
		case !touched[d["Id"]]:
			s.untouched++
		case days >= 30:
			s.stalled++
		default:
			s.fresh++
		}
		switch days {
		case 30:
			s.onLimit++
		case 29:
			s.dayBefore++
		}
	}
	for owner, s := range sides {
		if s.stalled == 0 || s.fresh == 0 || s.untouched == 0 || s.onLimit == 0 || s.dayBefore == 0 {
			t.Errorf("%v has open deals over 50,000: %+v", owner, *s)
		}
	}
	if stalled < open/4 || stalled > open*3/4 {
		t.Errorf("%d of %d open deals are stalled", stalled, open)
	}
}

func TestDeriveAgreesWithTheGenerator(t *testing.T) {
	o := org.Acme(11, today)
	same := func(object string, step int) {
		for i := 0; i < len(o.Rows[object]); i += step {
			row := o.Rows[object][i]
			fresh := org.Row{}
			for k, v := range row {
				fresh[k] = v
			}
			o.Derive(object, fresh)
			for k := range row {
				if fresh[k] != row[k] {
					t.Fatalf("%s %s: %s is %v, derived %v", object, row["Id"], k, row[k], fresh[k])
				}
			}
		}
	}
	same("Opportunity", 50)
	for _, object := range []string{"Account", "Contact", "User", "Task", "Event"} {
		same(object, 1)
	}
}

func TestDeriveFollowsAChange(t *testing.T) {
	o := org.Acme(12, today)
	i := slices.IndexFunc(o.Rows["Opportunity"], func(d org.Row) bool { return d["LastActivityDate"] == nil && !d.True("IsClosed") })
	deal := o.Rows["Opportunity"][i]
	deal["StageName"], deal["Amount"], deal["Probability"], deal["ForecastCategoryName"] = "Negotiation/Review", 1000.0, nil, nil
	o.Derive("Opportunity", deal)
	if deal["Probability"] != 80.0 || deal["ExpectedRevenue"] != 800.0 || deal["ForecastCategoryName"] != "Commit" || deal.True("IsClosed") {
		t.Errorf("moved to negotiation: %v", deal)
	}
	deal["Probability"] = 55.0
	o.Derive("Opportunity", deal)
	if deal["Probability"] != 55.0 || deal["ExpectedRevenue"] != 550.0 {
		t.Errorf("own probability: %v", deal)
	}
	deal["StageName"], deal["Amount"], deal["Probability"], deal["ForecastCategoryName"] = "Closed Won", nil, nil, nil
	o.Derive("Opportunity", deal)
	if !deal.True("IsClosed") || !deal.True("IsWon") || deal["ExpectedRevenue"] != nil || deal["ForecastCategoryName"] != "Closed" {
		t.Errorf("won: %v", deal)
	}

	write := func(object, field string, values org.Row) org.Row {
		row := o.Object(object).Blank()
		for k, v := range values {
			row[k] = v
		}
		row["Id"], row["WhatId"] = o.NewID(object), deal["Id"]
		o.Derive(object, row)
		o.Rows[object] = append(o.Rows[object], row)
		o.Derive("Opportunity", deal)
		return row
	}
	task := write("Task", "Status", org.Row{"ActivityDate": "2026-11-20"})
	if task["Status"] != "Not Started" || task["Priority"] != "Normal" || task.True("IsClosed") || deal["LastActivityDate"] != nil {
		t.Errorf("an open task: %v, deal active %v", task, deal["LastActivityDate"])
	}
	task["Status"] = "Completed"
	o.Derive("Task", task)
	o.Derive("Opportunity", deal)
	if !task.True("IsClosed") || deal["LastActivityDate"] != "2026-11-20" {
		t.Errorf("a closed task: %v, deal active %v", task, deal["LastActivityDate"])
	}
	write("Event", "StartDateTime", org.Row{"StartDateTime": "2026-12-01T09:00:00.000+0000"})
	if deal["LastActivityDate"] != "2026-11-20" {
		t.Errorf("an event to come counted: %v", deal["LastActivityDate"])
	}
	event := write("Event", "StartDateTime", org.Row{"StartDateTime": "2026-11-23T09:00:00.000+0000"})
	if deal["LastActivityDate"] != "2026-11-23" || event["ActivityDate"] != "2026-11-23" {
		t.Errorf("an event of today: %v", deal["LastActivityDate"])
	}
	event["IsDeleted"] = true
	o.Derive("Opportunity", deal)
	if deal["LastActivityDate"] != "2026-11-20" {
		t.Errorf("a deleted event counted: %v", deal["LastActivityDate"])
	}

	who := org.Row{"FirstName": nil, "LastName": "Okonkwo"}
	o.Derive("Contact", who)
	if who["Name"] != "Okonkwo" {
		t.Errorf("a contact without a first name is called %q", who["Name"])
	}
}

func TestContactsCanBeToldFromEverythingElse(t *testing.T) {
	o := org.Acme(13, today)
	parts, names, phones, emails := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	accounts := byID(o)
	unique := func(kind string, seen map[string]bool, value string) {
		if seen[value] {
			t.Errorf("two people have the %s %q", kind, value)
		}
		seen[value] = true
	}
	diacritics, apostrophes, without := 0, 0, 0
	address := regexp.MustCompile(`^[a-z]+\.[a-z]+@[a-z-]+\.example$`)
	for _, c := range o.Rows["Contact"] {
		name := c.Text("Name")
		unique("name", names, name)
		parts[c.Text("FirstName")], parts[c.Text("LastName")] = true, true
		if name != plain(name) {
			diacritics++
		}
		if strings.Contains(name, "'") {
			apostrophes++
		}
		unique("phone", phones, c.Text("Phone"))
		if mobile := c.Text("MobilePhone"); mobile != "" {
			unique("phone", phones, mobile)
		}
		email := c.Text("Email")
		if email == "" {
			without++
			continue
		}
		unique("e-mail", emails, email)
		site := accounts[c.Text("AccountId")].Text("Website")
		if !address.MatchString(email) || !strings.HasSuffix(site, "://"+email[strings.Index(email, "@")+1:]) {
			t.Errorf("e-mail %q of somebody at %s", email, site)
		}
	}
	if diacritics < 20 || apostrophes < 20 || without < 20 || without > 300 {
		t.Errorf("%d names with diacritics, %d with apostrophes, %d contacts without e-mail", diacritics, apostrophes, without)
	}

	accountNames := map[string]bool{}
	var others []string
	for _, a := range o.Rows["Account"] {
		unique("account name", accountNames, a.Text("Name"))
		unique("phone", phones, a.Text("Phone"))
		others = append(others, a.Text("Name"), a.Text("BillingCity"), a.Text("BillingCountry"), a.Text("Industry"))
	}
	for _, u := range o.Rows["User"] {
		others = append(others, u.Text("Name"), u.Text("Title"), u.Text("Username"))
	}
	for _, d := range o.Rows["Opportunity"] {
		others = append(others, d.Text("Name"))
	}
	for _, c := range o.Rows["Contact"] {
		others = append(others, c.Text("Title"), c.Text("Department"))
	}
	slices.Sort(others)
	hay := strings.ToLower(strings.Join(slices.Compact(others), "\n"))
	for part := range parts {
		if utf8.RuneCountInString(part) < 5 {
			t.Errorf("the name %q is short", part)
		}
		for _, form := range []string{part, plain(part)} {
			if strings.Contains(hay, strings.ToLower(form)) {
				t.Errorf("the name %q also occurs elsewhere", part)
			}
		}
		for other := range parts {
			if part != other && strings.Contains(strings.ToLower(plain(other)), strings.ToLower(plain(part))) {
				t.Errorf("the name %q is in %q", part, other)
			}
		}
	}
	fiction := regexp.MustCompile(`^(\+1-\d{3}-555-01\d\d|\+44 7700 900\d{3}|\+49 (30 23125|40 66969) \d{3}|\+61 2 5550 \d{4})$`)
	for phone := range phones {
		if !fiction.MatchString(phone) {
			t.Errorf("phone %q may be somebody's", phone)
		}
	}
}

// plain leaves out of a name what isn't an ASCII letter, which keeps at least its ASCII spelling comparable.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf {
			return r
		}
		return -1
	}, name)
}

func TestFreeTextMentionsContacts(t *testing.T) {
	o := org.Acme(14, today)
	all := byID(o)
	count := map[string]int{}
	look := func(where, text string, c org.Row) {
		for _, field := range []string{"Name", "Email", "Phone"} {
			if v := c.Text(field); v != "" && strings.Contains(text, v) {
				count[where+" "+field]++
			}
		}
		if strings.ContainsAny(text, "{}<>") {
			t.Errorf("%s: %q", where, text)
		}
	}
	for _, d := range o.Rows["Opportunity"] {
		look("NextStep", d.Text("NextStep"), all[d.Text("ContactId")])
		look("Opportunity.Description", d.Text("Description"), all[d.Text("ContactId")])
	}
	for _, task := range o.Rows["Task"] {
		look("Subject", task.Text("Subject"), all[task.Text("WhoId")])
		look("Task.Description", task.Text("Description"), all[task.Text("WhoId")])
	}
	for _, where := range []string{"NextStep", "Subject", "Opportunity.Description", "Task.Description"} {
		for _, field := range []string{"Name", "Email", "Phone"} {
			if count[where+" "+field] < 10 {
				t.Errorf("%s mentions a contact's %s %d times", where, field, count[where+" "+field])
			}
		}
	}
}

func TestIDs(t *testing.T) {
	// The vendor's own example of both forms of one id.
	if got, ok := org.CanonicalID("001A0000006Vm9r"); !ok || got != "001A0000006Vm9rIAC" {
		t.Errorf("the long form is %q, %v", got, ok)
	}
	for _, id := range []string{"", "001A0000006Vm9", "001A0000006Vm9rIAB", "001A0000006Vm9rIA", "001A0000006Vm9'", "001A0000006Vm9rIAC0", "00é00000006Vm9"} {
		if _, ok := org.CanonicalID(id); ok {
			t.Errorf("%q passed for an id", id)
		}
	}
	o := org.Empty(1, today)
	seen := map[string]bool{}
	for range 10_000 {
		id := o.NewID("Account")
		if full, ok := org.CanonicalID(id); seen[id] || !ok || full != id || id[:3] != "001" {
			t.Fatalf("the next account's id is %q", id)
		}
		seen[id] = true
	}
	rapid.Check(t, func(t *rapid.T) {
		short := rapid.StringMatching(`[0-9A-Za-z]{15}`).Draw(t, "id")
		full, ok := org.CanonicalID(short)
		if again, ok2 := org.CanonicalID(full); !ok || !ok2 || again != full || full[:15] != short {
			t.Fatalf("%q became %q, then %q", short, full, again)
		}
		// The suffix is what tells ids apart that differ in case only.
		other := strings.ToLower(short)
		if otherFull, _ := org.CanonicalID(other); other != short && strings.EqualFold(otherFull, full) {
			t.Fatalf("%q and %q can't be told apart without case", full, otherFull)
		}
	})
}

func TestAccessTokens(t *testing.T) {
	form := regexp.MustCompile(`^00D\w{12}![0-9A-Za-z]{22,}$`)
	seen := map[string]bool{}
	for _, o := range []*org.Org{org.Acme(0, today), org.Empty(1, today), org.Empty(2, today)} {
		for _, u := range o.Rows["User"] {
			token := o.AccessToken(u.Text("Id"))
			if !form.MatchString(token) || seen[token] || !strings.HasPrefix(token, o.ID[:15]) {
				t.Errorf("token %q", token)
			}
			seen[token] = true
			if token != o.AccessToken(u.Text("Id")) {
				t.Error("a user's token should stay the same")
			}
		}
	}
}

func BenchmarkAcme(b *testing.B) {
	for b.Loop() {
		org.Acme(1, today)
	}
}
