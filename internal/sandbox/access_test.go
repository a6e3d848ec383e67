package sandbox_test

import (
	"slices"
	"testing"

	"github.com/stewardhq/steward/internal/sandbox/org"
)

// altered serves an Acme that was changed before.
func altered(t *testing.T, change func(o *org.Org, representative *org.Profile)) *world {
	t.Helper()
	o := org.Acme(7, today())
	for i := range o.Profiles {
		if o.Profiles[i].Name == "Sales Representative" {
			change(o, &o.Profiles[i])
		}
	}
	return serve(t, o)
}

func TestWhoSeesAllDoesNotEditAll(t *testing.T) {
	w := altered(t, func(_ *org.Org, p *org.Profile) {
		p.ViewAll = true
		p.Objects["User"] = org.Access{Read: true, Edit: true}
		p.Objects["Contact"] = org.Access{Read: true, Edit: true}
		delete(p.Objects, "Event")
	})
	c := w.as(t, "representative")
	for _, object := range []string{"Account", "Contact", "Opportunity"} {
		var own, others string
		for _, r := range w.org.Rows[object] {
			if r["OwnerId"] == c.user.ID {
				own = r.Text("Id")
			} else {
				others = r.Text("Id")
			}
		}
		if rows := c.query("SELECT Id FROM " + object); len(rows) != len(w.org.Rows[object]) {
			t.Errorf("%d rows of %s, of %d", len(rows), object, len(w.org.Rows[object]))
		}
		c.change(object, own, `{"Description":"mine"}`)
		c.do("PATCH", data+"/sobjects/"+object+"/"+others, `{"Description":"mine"}`).refused(t, 403, "INSUFFICIENT_ACCESS_OR_READONLY")
	}
	c.do("PATCH", data+"/sobjects/User/"+c.user.ID, `{}`).refused(t, 403, "INSUFFICIENT_ACCESS_OR_READONLY")
	c.do("POST", data+"/sobjects/Contact", `{"LastName":"Okonkwo"}`).refused(t, 403, "INSUFFICIENT_ACCESS_OR_READONLY")
	// What the profile doesn't know does not exist.
	c.ask("SELECT Id FROM Event").refused(t, 400, "INVALID_TYPE")
	c.ask("SELECT Id, (SELECT Id FROM Events) FROM Account").refused(t, 400, "INVALID_TYPE")
	c.do("GET", data+"/sobjects/Event/"+w.org.Rows["Event"][0].Text("Id"), "").refused(t, 404, "NOT_FOUND")
	c.do("POST", data+"/sobjects/Event", `{}`).refused(t, 404, "NOT_FOUND")
	var all struct{ Sobjects []struct{ Name string } }
	c.do("GET", data+"/sobjects", "").into(t, 200, &all)
	if slices.ContainsFunc(all.Sobjects, func(o struct{ Name string }) bool { return o.Name == "Event" }) {
		t.Error("the list of objects names one that the profile hides")
	}
}

func TestActivityIsSeenWithWhatItIsAbout(t *testing.T) {
	w := acme(t)
	c, admin := w.as(t, "representative"), w.as(t, "admin")
	var other string
	for _, u := range w.server.Users() {
		if u.Role == "representative" && u.ID != c.user.ID {
			other = u.ID
		}
	}
	task := c.query("SELECT Id FROM Task WHERE WhatId != null LIMIT 1")[0]["Id"].(string)
	admin.change("Task", task, `{"OwnerId":"`+other+`"}`)
	holds(t, c.read("Task", task), map[string]any{"OwnerId": other})
	c.do("PATCH", data+"/sobjects/Task/"+task, `{"Priority":"High"}`).refused(t, 403, "INSUFFICIENT_ACCESS_OR_READONLY")
	admin.change("Task", task, `{"WhatId":null,"WhoId":null}`)
	c.do("GET", data+"/sobjects/Task/"+task, "").refused(t, 404, "NOT_FOUND")
}

func TestNothingAndItsNeighbours(t *testing.T) {
	w := altered(t, func(o *org.Org, _ *org.Profile) {
		// The last millisecond of the day, and the first of the next.
		o.Rows["Opportunity"][0]["CreatedDate"] = "2026-11-23T23:59:59.999+0000"
		o.Rows["Opportunity"][1]["CreatedDate"] = "2026-11-24T00:00:00.000+0000"
		o.Rows["Opportunity"][2]["AccountId"] = nil
		o.Rows["Contact"][2]["AccountId"] = nil
		o.Rows["Account"][0]["BillingCity"], o.Rows["Account"][1]["BillingCity"] = "Uppsala", "UPPSALA"
	})
	c := w.as(t, "admin")
	for where, want := range map[string]func(org.Row) bool{
		"LastActivityDate != 2026-11-20":                                          func(r org.Row) bool { return r["LastActivityDate"] != "2026-11-20" },
		"NextStep != 'x'":                                                         func(org.Row) bool { return true },
		"LastActivityDate IN (null, 2026-11-20)":                                  func(r org.Row) bool { return r["LastActivityDate"] == nil || r["LastActivityDate"] == "2026-11-20" },
		"LastActivityDate NOT IN (null, 2026-11-20)":                              func(r org.Row) bool { return r["LastActivityDate"] != nil && r["LastActivityDate"] != "2026-11-20" },
		"LastActivityDate NOT IN (2026-11-20)":                                    func(r org.Row) bool { return r["LastActivityDate"] != "2026-11-20" },
		"CreatedDate = TODAY":                                                     func(r org.Row) bool { return r.Text("CreatedDate")[:10] == "2026-11-23" },
		"CreatedDate > TODAY":                                                     func(r org.Row) bool { return r.Text("CreatedDate") >= "2026-11-24" },
		"AccountId IN (SELECT AccountId FROM Contact WHERE AccountId = null)":     func(org.Row) bool { return false },
		"AccountId NOT IN (SELECT AccountId FROM Contact WHERE AccountId = null)": func(org.Row) bool { return true },
		"Account.Name = null":                                                     func(r org.Row) bool { return r["AccountId"] == nil },
	} {
		if got, want := ids(c.query("SELECT Id FROM Opportunity WHERE "+where)), w.pick("Opportunity", want); !slices.Equal(got, want) {
			t.Errorf("%s: %d rows, want %d", where, len(got), len(want))
		}
	}
	cities := c.query("SELECT BillingCity, COUNT(Id) n FROM Account WHERE BillingCity = 'uppsala' GROUP BY BillingCity")
	if len(cities) != 1 || cities[0]["n"] != 2.0 || cities[0]["BillingCity"] != "Uppsala" {
		t.Errorf("cities: %v", cities)
	}
	if rows := c.query("SELECT AccountId, COUNT(Id) n FROM Opportunity GROUP BY AccountId HAVING AccountId = null"); len(rows) != 1 || rows[0]["n"] != 1.0 {
		t.Errorf("the group of nothing: %v", rows)
	}
}

func TestChildrenFollowTheirReference(t *testing.T) {
	w := acme(t)
	c := w.as(t, "admin")
	contact := w.org.Rows["Contact"][5]
	id, account := contact.Text("Id"), contact.Text("AccountId")
	children := func() []string {
		list, _ := c.query("SELECT (SELECT Id FROM Contacts) FROM Account WHERE Id = '" + account + "'")[0]["Contacts"].(map[string]any)
		records, _ := list["records"].([]any)
		var out []string
		for _, r := range records {
			out = append(out, r.(map[string]any)["Id"].(string))
		}
		slices.Sort(out)
		return out
	}
	before := children()
	c.change("Contact", id, `{"AccountId":null}`)
	if got := children(); slices.Contains(got, id) || len(got) != len(before)-1 {
		t.Errorf("moved away: %v", got)
	}
	c.change("Contact", id, `{"AccountId":"`+account+`"}`)
	if got := children(); !slices.Equal(got, before) {
		t.Errorf("moved back: %v, want %v", got, before)
	}
	deal := w.org.Rows["Opportunity"][9].Text("Id")
	if a := c.do("DELETE", data+"/sobjects/Opportunity/"+deal, ""); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if rows := c.query("SELECT Id FROM OpportunityHistory WHERE OpportunityId = null"); len(rows) != 0 {
		t.Errorf("a deleted deal leaves %d rows of history", len(rows))
	}
}
