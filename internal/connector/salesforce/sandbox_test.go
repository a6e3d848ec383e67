package salesforce

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/egress"
	"github.com/stewardhq/steward/internal/sandbox"
	sandboxorg "github.com/stewardhq/steward/internal/sandbox/org"
)

var today = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// acme is the sandbox company over real HTTP, through the one way out.
type acme struct {
	t      *testing.T
	org    *sandboxorg.Org
	server *sandbox.Server
	url    string
	egress *egress.Egress
}

func newAcme(t *testing.T) *acme {
	t.Helper()
	a := &acme{t: t, org: sandboxorg.Acme(7, today), egress: &egress.Egress{}}
	a.server = sandbox.New(a.org)
	s := httptest.NewServer(a.server)
	t.Cleanup(s.Close)
	t.Cleanup(a.egress.CloseIdle)
	a.url = s.URL
	return a
}

// as is a session of the first user in a role.
func (a *acme) as(role string) connector.Session {
	a.t.Helper()
	for _, u := range a.server.Users() {
		if u.Role == role {
			return a.with(u)
		}
	}
	a.t.Fatalf("nobody is %s", role)
	return connector.Session{}
}

func (a *acme) with(u sandbox.User) connector.Session {
	return connector.Session{
		Connection: "salesforce", InstanceURL: a.url, AccessToken: connector.Secret(u.AccessToken),
		HTTP: a.egress.Client("ws", egress.Destination{URL: a.url, Private: true}),
	}
}

func (a *acme) call(s connector.Session, tool, args string) connector.Reply {
	a.t.Helper()
	reply, err := a.connector().Call(context.Background(), s, tool, json.RawMessage(args))
	if err != nil {
		a.t.Fatalf("%s %s: %v", tool, args, err)
	}
	return reply
}

func (a *acme) connector() *Connector {
	return &Connector{Now: func() time.Time { return today.Add(9 * time.Hour) }}
}

func (a *acme) owned(user string) (deals int) {
	for _, row := range a.org.Rows["Opportunity"] {
		if row.Text("OwnerId") == user {
			deals++
		}
	}
	return deals
}

func TestSandboxIdentities(t *testing.T) {
	a := newAcme(t)
	for _, u := range a.server.Users()[:5] {
		id, err := a.connector().Identify(context.Background(), a.with(u))
		if err != nil || id.UserID != u.ID || id.Username != u.Username || id.OrgID != a.org.ID {
			t.Errorf("%+v: %+v %v", u, id, err)
		}
	}
	s := a.as("admin")
	s.AccessToken += "x"
	if _, err := a.connector().Identify(context.Background(), s); steward.KindOf(err) != steward.Unauthenticated {
		t.Errorf("a wrong token: %v", err)
	}
}

func TestSandboxPagesOfEveryDeal(t *testing.T) {
	a := newAcme(t)
	all := len(a.org.Rows["Opportunity"])
	reply := a.call(a.as("admin"), queryTool, `{"object":"Opportunity","fields":["Name","Amount","CloseDate","Owner.Name"],"limit":10000}`)
	if all <= 4000 || len(reply.Records) != all || reply.Total != all || reply.Requests != 2+(all+1999)/2000 {
		t.Errorf("%d of %d deals, total %d, in %d requests", len(reply.Records), all, reply.Total, reply.Requests)
	}
	ids := map[string]bool{}
	for _, r := range reply.Records {
		ids[r.ID] = true
	}
	if len(ids) != all {
		t.Errorf("%d different ids", len(ids))
	}
	some := a.call(a.as("admin"), queryTool, `{"object":"Opportunity","fields":["Name"],"limit":10}`)
	if len(some.Records) != 10 || some.Total != all {
		t.Errorf("10 of %d: %d of %d", all, len(some.Records), some.Total)
	}
}

func TestSandboxShowsEachTheirOwn(t *testing.T) {
	a := newAcme(t)
	users := a.server.Users()
	rep := users[slices.IndexFunc(users, func(u sandbox.User) bool { return u.Role == "representative" })]
	reply := a.call(a.with(rep), queryTool, `{"object":"Opportunity","fields":["Owner.Name"],"limit":10000}`)
	if len(reply.Records) != a.owned(rep.ID) || len(reply.Records) == 0 {
		t.Errorf("a representative sees %d deals and owns %d", len(reply.Records), a.owned(rep.ID))
	}
	for _, r := range reply.Records {
		f := r.Fields[0]
		if f.Value != rep.Name || f.Sensitivity != steward.Personal || f.Of.String() != "salesforce:User:"+rep.ID+".Name" || f.Subject.ID != rep.ID {
			t.Fatalf("%+v", f)
		}
	}
	manager := a.call(a.as("manager"), queryTool, `{"object":"Opportunity","fields":["Owner.Name"],"limit":10000}`)
	if len(manager.Records) <= len(reply.Records) || len(manager.Records) >= len(a.org.Rows["Opportunity"]) {
		t.Errorf("a manager sees %d", len(manager.Records))
	}
}

func TestSandboxConditionsFindWhatTheRowsSay(t *testing.T) {
	a := newAcme(t)
	cutoff := today.AddDate(0, 0, -30).Format("2006-01-02")
	want := 0
	for _, row := range a.org.Rows["Opportunity"] {
		last := row.Text("LastActivityDate")
		if !row.True("IsClosed") && row.Number("Amount") > 50000 && (last == "" || last <= cutoff) {
			want++
		}
	}
	reply := a.call(a.as("admin"), queryTool, `{"object":"Opportunity","fields":["Name","Amount","Account.Region__c"],"where":[
		{"field":"IsClosed","op":"=","value":false},{"field":"Amount","op":">","value":50000},
		{"any":[{"field":"LastActivityDate","op":"<=","value":"`+cutoff+`"},{"field":"LastActivityDate","op":"=","value":null}]}],
		"order_by":[{"field":"Amount","desc":true}],"limit":10000}`)
	if len(reply.Records) != want || want == 0 {
		t.Errorf("%d stalled deals, the rows have %d", len(reply.Records), want)
	}
	if !slices.IsSortedFunc(reply.Records, func(x, y steward.Record) int { return int(y.Get("Amount").(float64) - x.Get("Amount").(float64)) }) {
		t.Error("not the largest first")
	}
}

func TestSandboxDescribesAsTheMemberSees(t *testing.T) {
	a := newAcme(t)
	has := func(role, field string) bool {
		reply := a.call(a.as(role), describeTool, `{"object":"Account"}`)
		return slices.ContainsFunc(reply.Records, func(r steward.Record) bool { return r.Text("name") == field })
	}
	if !has("admin", "AnnualRevenue") || has("representative", "AnnualRevenue") {
		t.Error("what an account earns is for the administrator, not for representatives")
	}
	_, err := a.connector().Call(context.Background(), a.as("representative"), queryTool, json.RawMessage(`{"object":"Account","fields":["AnnualRevenue"]}`))
	if steward.KindOf(err) != steward.Invalid {
		t.Errorf("a hidden field: %v", err)
	}
	reply := a.call(a.as("representative"), queryTool, `{"object":"Account","limit":1}`)
	if len(reply.Records) != 1 || reply.Records[0].Text("Name") == "" {
		t.Errorf("%+v", reply.Records)
	}
}

func TestSandboxDefaultsAreSafe(t *testing.T) {
	a := newAcme(t)
	for object := range a.org.Rows {
		reply := a.call(a.as("admin"), queryTool, `{"object":"`+object+`","limit":5}`)
		for _, r := range reply.Records {
			for _, f := range r.Fields {
				if f.Sensitivity == steward.FreeText || f.Untrusted {
					t.Errorf("%s gives %+v unasked", object, f)
				}
			}
		}
	}
}

// theirDeal is an open deal of a session's user, and a contact of its account.
func (a *acme) theirDeal(s connector.Session) (deal, contact steward.Record) {
	a.t.Helper()
	reply := a.call(s, queryTool, `{"object":"Opportunity","fields":["Name","NextStep","Amount","AccountId"],"where":[{"field":"IsClosed","op":"=","value":false},{"field":"Amount","op":">","value":1000}],"limit":50}`)
	for _, deal := range reply.Records {
		people := a.call(s, queryTool, `{"object":"Contact","where":[{"field":"AccountId","op":"=","value":"`+deal.Text("AccountId")+`"}],"limit":1}`)
		if len(people.Records) == 1 {
			return deal, people.Records[0]
		}
	}
	a.t.Fatal("no deal with a contact")
	return
}

func TestSandboxUpdateAndLog(t *testing.T) {
	a := newAcme(t)
	for _, role := range []string{"representative", "manager"} {
		s := a.as(role)
		deal, contact := a.theirDeal(s)
		next := "Call " + contact.Text("Name") + " about renewal – " + role
		args := fmt.Sprintf(`{"object":"Opportunity","id":%q,"values":{"NextStep":%q,"Amount":1234.5}}`, deal.ID, next)
		p, err := a.connector().Preview(context.Background(), s, updateTool, json.RawMessage(args))
		if err != nil || len(p.Changes) != 2 || p.Changes[1].Value != deal.Get("NextStep") || p.Changes[1].After != next || p.Changes[1].Stamp == "" {
			t.Fatalf("%+v %v", p, err)
		}
		if before := deal.Get("Amount").(float64); p.Amount != max(before-1234.5, 1234.5-before) {
			t.Errorf("amount %v of %v", p.Amount, before)
		}
		done := a.call(s, updateTool, args)
		if r := done.Records[0]; r.Text("NextStep") != next || r.Get("Amount") != 1234.5 {
			t.Errorf("read back %+v", r)
		}
		if _, err := a.connector().Preview(context.Background(), s, updateTool, json.RawMessage(args)); steward.KindOf(err) != steward.Invalid {
			t.Errorf("a second time: %v", err)
		}

		for kind, types := range map[string][2]string{"call": {"Call", "Call"}, "email": {"Email", "Email"}, "meeting": {"Meeting", "Task"}} {
			args := fmt.Sprintf(`{"type":%q,"subject":"Spoke with %s","who_id":%q,"what_id":%q}`, kind, contact.Text("LastName"), contact.ID, deal.ID)
			p, err := a.connector().Preview(context.Background(), s, logTool, json.RawMessage(args))
			if err != nil || len(p.People) != 1 || p.People[0].ID != contact.ID {
				t.Fatalf("%+v %v", p, err)
			}
			made := a.call(s, logTool, args).Records[0]
			task := a.call(s, getTool, `{"object":"Task","id":"`+made.ID+`","fields":["Type","TaskSubtype","Status","IsClosed","ActivityDate","WhoId","WhatId","Owner.Name","Who.Name","What.Name"]}`).Records[0]
			if task.Text("Type") != types[0] || task.Text("TaskSubtype") != types[1] || task.Text("Status") != "Completed" || task.Get("IsClosed") != true ||
				task.Text("ActivityDate") != "2026-11-23" || task.Text("Who.Name") != contact.Text("Name") || task.Text("What.Name") != deal.Text("Name") {
				t.Errorf("%s: %+v", kind, task)
			}
			for _, f := range task.Fields {
				if f.Name == "Who.Name" && (f.Sensitivity != steward.Personal || f.Of.Object != "Contact") || f.Name == "What.Name" && f.Sensitivity != steward.Open {
					t.Errorf("%+v", f)
				}
			}
		}
		// Every change that was previewed reads back as it was meant.
		after := a.call(s, getTool, `{"object":"Opportunity","id":"`+deal.ID+`","fields":["LastActivityDate"]}`).Records[0]
		if after.Text("LastActivityDate") != "2026-11-23" {
			t.Errorf("%+v", after)
		}
	}
}

func TestSandboxRefusesOthersDeals(t *testing.T) {
	a := newAcme(t)
	users := a.server.Users()
	reps := slices.DeleteFunc(users, func(u sandbox.User) bool { return u.Role != "representative" })
	theirs, _ := a.theirDeal(a.with(reps[0]))
	other := a.with(reps[len(reps)-1])
	for tool, args := range map[string]string{
		getTool:    `{"object":"Opportunity","id":"` + theirs.ID + `"}`,
		updateTool: `{"object":"Opportunity","id":"` + theirs.ID + `","values":{"NextStep":"mine now"}}`,
		logTool:    `{"type":"call","subject":"x","what_id":"` + theirs.ID + `"}`,
	} {
		_, err := a.connector().Call(context.Background(), other, tool, json.RawMessage(args))
		if kind := steward.KindOf(err); err == nil || kind != steward.NotFound && kind != steward.Denied && kind != steward.Invalid {
			t.Errorf("%s: %v", tool, err)
		}
	}
}

func TestSandboxCreate(t *testing.T) {
	a := newAcme(t)
	s := a.as("representative")
	account := a.call(s, queryTool, `{"object":"Account","limit":1}`).Records[0]
	made := a.call(s, createTool, `{"object":"Opportunity","values":{"Name":"Brand New","AccountId":"`+account.ID+`","StageName":"Prospecting","CloseDate":"2026-12-31","Amount":50000}}`).Records[0]
	if made.ID == "" || made.Text("Name") != "Brand New" || made.Get("Amount") != 50000.0 || made.Text("CloseDate") != "2026-12-31" || made.URL != a.url+"/lightning/r/Opportunity/"+made.ID+"/view" {
		t.Errorf("%+v", made)
	}
	_, err := a.connector().Call(context.Background(), s, createTool, json.RawMessage(`{"object":"Opportunity","values":{"Name":"Without a stage"}}`))
	if steward.KindOf(err) != steward.Invalid || !strings.Contains(steward.Message(err), "REQUIRED_FIELD_MISSING") || !strings.Contains(steward.Message(err), "StageName") {
		t.Errorf("%v", err)
	}
}

func TestSandboxFindsPeople(t *testing.T) {
	a := newAcme(t)
	s := a.as("representative")
	_, contact := a.theirDeal(s)
	find := func(spans ...string) []string {
		var found []string
		for _, l := range a.connector().Finder().FindPeople(spans) {
			for _, r := range a.call(s, l.Tool, string(l.Args)).Records {
				found = append(found, r.ID)
			}
		}
		return found
	}
	for _, span := range []string{contact.Text("Name"), strings.ToUpper(contact.Text("Name")), contact.Text("Email"), contact.Text("Phone")} {
		if got := find(span, "Nobody Of This Name"); !slices.Contains(got, contact.ID) {
			t.Errorf("%q finds %v", span, got)
		}
	}
	if got := find("Nobody Of This Name", "nobody@nowhere.example", "+1 555 010 99999"); got != nil {
		t.Errorf("found %v", got)
	}
	name := steward.Ref{Connection: "salesforce", Object: "Contact", ID: contact.ID, Field: "Name"}
	lookups := a.connector().Finder().ReadFields([]steward.Ref{name, {Connection: "salesforce", Object: "Contact", ID: contact.ID, Field: "Hidden__c"}})
	again := a.call(s, lookups[0].Tool, string(lookups[0].Args)).Records
	if len(again) != 1 || again[0].Text("Name") != contact.Text("Name") || again[0].Fields[0].Of != name {
		t.Errorf("%+v", again)
	}
}

func TestSandboxFaults(t *testing.T) {
	a := newAcme(t)
	s := a.as("representative")
	for _, c := range []struct {
		fault sandbox.Fault
		kind  steward.Kind // Internal: none
	}{
		{sandbox.Fault{Path: "/services/data/v62.0/query", Times: 1, HangUp: "before"}, steward.Internal},
		{sandbox.Fault{Path: "/services/data/v62.0/query", Times: 2, Status: 503}, steward.Internal},
		{sandbox.Fault{Path: "/services/data/v62.0/query", Times: 1, Status: 401}, steward.Unauthenticated},
		{sandbox.Fault{Path: "/services/data/v62.0/query", Times: 1, Status: 200, Body: "<html>"}, steward.Upstream},
	} {
		if err := a.server.Fail(c.fault); err != nil {
			t.Fatal(err)
		}
		con := a.connector()
		con.Wait = func(context.Context, time.Duration) error { return nil }
		_, err := con.Call(context.Background(), s, queryTool, json.RawMessage(`{"object":"Account","limit":1}`))
		if (err == nil) != (c.kind == steward.Internal) || err != nil && steward.KindOf(err) != c.kind {
			t.Errorf("%+v: %v", c.fault, err)
		}
	}
	// A write whose answer is lost has happened, and the error doesn't pretend otherwise.
	deal, _ := a.theirDeal(s)
	if err := a.server.Fail(sandbox.Fault{Method: "PATCH", Path: "/services/data/v62.0/sobjects", Times: 1, HangUp: "after"}); err != nil {
		t.Fatal(err)
	}
	_, err := a.connector().Call(context.Background(), s, updateTool, json.RawMessage(`{"object":"Opportunity","id":"`+deal.ID+`","values":{"NextStep":"written, answer lost"}}`))
	if steward.KindOf(err) != steward.Upstream || !strings.Contains(steward.Message(err), "look at the record") {
		t.Errorf("%v", err)
	}
	if now := a.call(s, getTool, `{"object":"Opportunity","id":"`+deal.ID+`","fields":["NextStep"]}`).Records[0]; now.Text("NextStep") != "written, answer lost" {
		t.Errorf("%+v", now)
	}
}
