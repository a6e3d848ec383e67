package sandbox_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stewardhq/steward/internal/sandbox"
	"github.com/stewardhq/steward/internal/sandbox/org"
)

const data = "/services/data/v62.0"

// today is the day of the sandbox, in the middle of a quarter.
func today() time.Time { return time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC) }

// clock is a wall clock at 15:04 UTC, on another day than the sandbox's.
func clock() time.Time { return time.Date(2031, 1, 2, 15, 4, 5, 0, time.UTC) }

// world is a served Acme and the rows behind it.
type world struct {
	org    *org.Org
	server *sandbox.Server
	url    string
}

// acme serves a company of the test's own.
func acme(t testing.TB) *world { return serve(t, org.Acme(7, today())) }

// lasting is the company of tests that only read, since making one takes time.
var lasting = sync.OnceValue(func() *org.Org { return org.Acme(7, today()) })

func serve(t testing.TB, o *org.Org) *world {
	t.Helper()
	s := sandbox.New(o)
	s.Now = clock
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return &world{o, s, h.URL}
}

// client is one user's.
type client struct {
	t    testing.TB
	base string
	user sandbox.User
	role string
}

// as gives a client of the first user with a role.
func (w *world) as(t testing.TB, role string) *client {
	t.Helper()
	for _, u := range w.server.Users() {
		if u.Role == role {
			return &client{t, w.url, u, role}
		}
	}
	t.Fatalf("no %s among the users", role)
	return nil
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (c *client) do(method, path, body string, headers ...string) answer {
	c.t.Helper()
	req, err := http.NewRequest(method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.user.AccessToken != "" {
		req.Header.Set("Authorization", "Bearer "+c.user.AccessToken)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // follows no redirect: there must be none
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, b}
}

func (a answer) into(t testing.TB, status int, v any) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
}

// refused checks status and code of an error, and gives its message.
func (a answer) refused(t testing.TB, status int, code string) string {
	t.Helper()
	var list []struct {
		Message, ErrorCode string
		Fields             []string
	}
	a.into(t, status, &list)
	if len(list) != 1 || list[0].ErrorCode != code {
		t.Fatalf("refused with %s, want %s", a.body, code)
	}
	return list[0].Message
}

type page struct {
	TotalSize      int
	Done           bool
	NextRecordsURL string `json:"nextRecordsUrl"`
	Records        []map[string]any
}

func queryPath(soql string) string { return data + "/query?q=" + url.QueryEscape(soql) }

func (c *client) ask(soql string) answer { c.t.Helper(); return c.do("GET", queryPath(soql), "") }

// query gives all rows, page by page.
func (c *client) query(soql string) []map[string]any {
	c.t.Helper()
	var p page
	c.ask(soql).into(c.t, 200, &p)
	rows := p.Records
	for !p.Done {
		next := p.NextRecordsURL
		p = page{}
		c.do("GET", next, "").into(c.t, 200, &p)
		rows = append(rows, p.Records...)
	}
	if len(rows) != p.TotalSize {
		c.t.Fatalf("%d rows of %d", len(rows), p.TotalSize)
	}
	return rows
}

func ids(rows []map[string]any) []string {
	var out []string
	for _, r := range rows {
		out = append(out, r["Id"].(string))
	}
	slices.Sort(out)
	return out
}

// mayRead computes from the rows alone who sees what: a record's owner, and whoever holds a role that is
// an ancestor of the owner's.
func (w *world) mayRead(user, owner string) bool {
	if user == owner {
		return true
	}
	mine := w.org.Find("User", user).Text("UserRoleId")
	for role := w.org.Find("User", owner).Text("UserRoleId"); role != "" && mine != ""; {
		if role = w.org.Find("UserRole", role).Text("ParentRoleId"); role == mine {
			return true
		}
	}
	return false
}

func TestSharing(t *testing.T) {
	w := serve(t, lasting())
	owner := map[string]string{} // of each record, by its own field or by its account's or deal's
	about := map[string][]string{}
	for object, rows := range w.org.Rows {
		for _, r := range rows {
			owner[r.Text("Id")] = r.Text("OwnerId")
			if object == "Task" || object == "Event" {
				about[r.Text("Id")] = []string{r.Text("WhatId"), r.Text("WhoId")}
			}
		}
	}
	for _, r := range w.org.Rows["Contact"] {
		if r.Text("AccountId") != "" {
			owner[r.Text("Id")] = owner[r.Text("AccountId")]
		}
	}
	for _, r := range w.org.Rows["OpportunityHistory"] {
		owner[r.Text("Id")] = owner[r.Text("OpportunityId")]
	}
	sizes := map[string]int{}
	for _, role := range []string{"representative", "manager", "admin"} {
		c := w.as(t, role)
		for _, object := range []string{"Account", "Contact", "Opportunity", "OpportunityHistory", "Task", "Event"} {
			var want, hidden []string
			for _, r := range w.org.Rows[object] {
				id := r.Text("Id")
				sees := role == "admin" || w.mayRead(c.user.ID, owner[id])
				for _, other := range about[id] {
					sees = sees || other != "" && w.mayRead(c.user.ID, owner[other])
				}
				if sees {
					want = append(want, id)
				} else {
					hidden = append(hidden, id)
				}
			}
			slices.Sort(want)
			got := ids(c.query("SELECT Id FROM " + object))
			if len(want) == 0 || !slices.Equal(got, want) {
				t.Fatalf("%s sees %d rows of %s, want %d", role, len(got), object, len(want))
			}
			if role != "admin" && len(hidden) == 0 {
				t.Fatalf("nothing of %s is hidden from the %s", object, role)
			}
			sizes[role+object] = len(got)
			if len(hidden) > 0 { // by id, by index, by count and as a parent: never
				c.do("GET", data+"/sobjects/"+object+"/"+hidden[0], "").refused(t, 404, "NOT_FOUND")
				c.do("PATCH", data+"/sobjects/"+object+"/"+hidden[0], "{}").refused(t, 404, "NOT_FOUND")
				if rows := c.query("SELECT Id FROM " + object + " WHERE Id = '" + hidden[0] + "'"); len(rows) != 0 {
					t.Fatalf("%s finds a hidden %s by its id", role, object)
				}
			}
			var p page
			c.ask("SELECT COUNT() FROM "+object).into(t, 200, &p)
			if p.TotalSize != len(want) || len(p.Records) != 0 {
				t.Fatalf("%s counts %d rows of %s, want %d", role, p.TotalSize, object, len(want))
			}
		}
		if users := c.query("SELECT Id, Name FROM User"); len(users) != len(w.org.Rows["User"]) {
			t.Errorf("%s sees %d users", role, len(users))
		}
	}
	for _, object := range []string{"Account", "Contact", "Opportunity"} {
		if r, m, a := sizes["representative"+object], sizes["manager"+object], sizes["admin"+object]; r >= m || m >= a {
			t.Errorf("%s: representative %d, manager %d, admin %d", object, r, m, a)
		}
	}
}

func TestParentThatIsHiddenIsNull(t *testing.T) {
	w := acme(t)
	admin, rep := w.as(t, "admin"), w.as(t, "representative")
	var other string // an account of somebody else
	for _, r := range w.org.Rows["Account"] {
		if r.Text("OwnerId") != rep.user.ID {
			other = r.Text("Id")
		}
	}
	deal := rep.query("SELECT Id FROM Opportunity LIMIT 1")[0]["Id"].(string)
	if a := admin.do("PATCH", data+"/sobjects/Opportunity/"+deal, `{"AccountId":"`+other+`"}`); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	row := rep.query("SELECT AccountId, Account.Name, Owner.Name FROM Opportunity WHERE Id = '" + deal + "'")[0]
	if row["AccountId"] != other || row["Account"] != nil || row["Owner"].(map[string]any)["Name"] != rep.user.Name {
		t.Errorf("got %v", row)
	}
	if rows := rep.query("SELECT Id FROM Opportunity WHERE Account.Name != null AND Id = '" + deal + "'"); len(rows) != 0 {
		t.Error("a hidden parent's name can be filtered by")
	}
	rep.do("PATCH", data+"/sobjects/Opportunity/"+deal, `{"AccountId":"`+other+`"}`).
		refused(t, 403, "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY")
}

func TestFieldsAProfileHides(t *testing.T) {
	w := acme(t)
	admin, manager, rep := w.as(t, "admin"), w.as(t, "manager"), w.as(t, "representative")
	if rows := manager.query("SELECT AnnualRevenue FROM Account WHERE AnnualRevenue > 0"); len(rows) == 0 {
		t.Error("the manager sees no revenue")
	}
	for _, soql := range []string{
		"SELECT AnnualRevenue FROM Account", "SELECT Id FROM Account WHERE AnnualRevenue > 1", "SELECT Id FROM Account ORDER BY AnnualRevenue",
		"SELECT SUM(AnnualRevenue) FROM Account", "SELECT Account.AnnualRevenue FROM Opportunity", "SELECT COUNT() FROM Account WHERE AnnualRevenue > 1",
		"SELECT Id FROM Opportunity WHERE AccountId IN (SELECT Id FROM Account WHERE AnnualRevenue > 1)",
		"SELECT StageName, SUM(Amount) FROM Opportunity GROUP BY StageName HAVING MAX(Account.AnnualRevenue) > 1",
		"SELECT Id, (SELECT Account.AnnualRevenue FROM Contacts) FROM Account",
	} {
		if m := rep.ask(soql).refused(t, 400, "INVALID_FIELD"); !strings.Contains(m, "No such column 'AnnualRevenue' on entity 'Account'") {
			t.Errorf("%s: %s", soql, m)
		}
	}
	mine := rep.query("SELECT FIELDS(STANDARD) FROM Account LIMIT 1")[0]
	id := mine["Id"].(string)
	if _, has := mine["AnnualRevenue"]; has {
		t.Error("FIELDS(STANDARD) gives what the profile hides")
	}
	var whole map[string]any
	rep.do("GET", data+"/sobjects/Account/"+id, "").into(t, 200, &whole)
	if _, has := whole["AnnualRevenue"]; has || whole["Name"] == nil {
		t.Errorf("the whole record is %v", whole)
	}
	if a := rep.do("GET", data+"/sobjects/Account/describe", ""); strings.Contains(string(a.body), "AnnualRevenue") {
		t.Error("describe names what the profile hides")
	}
	rep.do("GET", data+"/sobjects/Account/"+id+"?fields=AnnualRevenue", "").refused(t, 400, "INVALID_FIELD")
	rep.do("PATCH", data+"/sobjects/Account/"+id, `{"AnnualRevenue":1}`).refused(t, 400, "INVALID_FIELD")
	rep.do("PATCH", data+"/sobjects/Account/"+id, `{"Region__c":"APAC"}`).refused(t, 400, "INVALID_FIELD_FOR_INSERT_UPDATE")
	if a := admin.do("PATCH", data+"/sobjects/Account/"+id, `{"Region__c":"APAC"}`); a.status != 204 {
		t.Errorf("the administrator gets %s", a.body)
	}
	rep.do("DELETE", data+"/sobjects/Account/"+id, "").refused(t, 403, "INSUFFICIENT_ACCESS_OR_READONLY")
	user := rep.user.ID
	rep.do("PATCH", data+"/sobjects/User/"+user, `{"Title":"Boss"}`).refused(t, 403, "INSUFFICIENT_ACCESS_OR_READONLY")
}

func TestManagerEditsWhatIsBelow(t *testing.T) {
	w := acme(t)
	manager := w.as(t, "manager")
	for _, r := range w.org.Rows["Opportunity"] {
		if owner := r.Text("OwnerId"); owner != manager.user.ID && w.mayRead(manager.user.ID, owner) {
			if a := manager.do("PATCH", data+"/sobjects/Opportunity/"+r.Text("Id"), `{"NextStep":"Review together"}`); a.status != 204 {
				t.Fatalf("%d %s", a.status, a.body)
			}
			return
		}
	}
	t.Fatal("nobody below the manager owns a deal")
}

func TestPaging(t *testing.T) {
	w := serve(t, lasting())
	admin, rep := w.as(t, "admin"), w.as(t, "representative")
	total := len(w.org.Rows["Opportunity"])
	for _, batch := range []struct {
		option string
		size   int
	}{{"", 2000}, {"batchSize=300", 300}, {"batchSize=1", 200}, {"batchSize=99999", 2000}, {"batchSize=many", 2000}} {
		seen := map[string]bool{}
		var p page
		a := admin.do("GET", queryPath("SELECT Id FROM Opportunity"), "", "Sforce-Query-Options", batch.option)
		for {
			p = page{}
			a.into(t, 200, &p)
			if p.TotalSize != total || !p.Done && len(p.Records) != batch.size {
				t.Fatalf("%q: a page of %d, total %d", batch.option, len(p.Records), p.TotalSize)
			}
			for _, r := range p.Records {
				seen[r["Id"].(string)] = true
			}
			if p.Done {
				break
			}
			if !strings.HasPrefix(p.NextRecordsURL, data+"/query/") {
				t.Fatalf("next page at %q", p.NextRecordsURL)
			}
			rep.do("GET", p.NextRecordsURL, "").refused(t, 400, "INVALID_QUERY_LOCATOR")
			a = admin.do("GET", p.NextRecordsURL, "", "Sforce-Query-Options", batch.option)
		}
		if len(seen) != total {
			t.Fatalf("%q: %d of %d rows", batch.option, len(seen), total)
		}
	}
	for _, locator := range []string{"0r8000000000999-2000", "0r8000000000001", "0r8000000000001--1", "0r8000000000001-999999", "x"} {
		admin.do("GET", data+"/query/"+locator, "").refused(t, 400, "INVALID_QUERY_LOCATOR")
	}
	// The eleventh open result of a user closes the first; another user's stay.
	var first, others page
	manager := w.as(t, "manager")
	manager.do("GET", queryPath("SELECT Id FROM Opportunity"), "", "Sforce-Query-Options", "batchSize=200").into(t, 200, &others)
	for i := range 11 {
		var p page
		admin.ask("SELECT Id FROM Opportunity").into(t, 200, &p)
		if i == 0 {
			first = p
		}
	}
	admin.do("GET", first.NextRecordsURL, "").refused(t, 400, "INVALID_QUERY_LOCATOR")
	if a := manager.do("GET", others.NextRecordsURL, ""); a.status != 200 {
		t.Errorf("another user's result is gone: %s", a.body)
	}
}

func TestPathsAndVersions(t *testing.T) {
	w := serve(t, lasting())
	c := w.as(t, "representative")
	anybody := &client{t: t, base: w.url}
	if a := anybody.do("GET", "/", ""); a.status != 200 || !strings.Contains(string(a.body), "sandbox") {
		t.Errorf("/ says %s", a.body)
	}
	var versions []map[string]string
	anybody.do("GET", "//services/data/", "").into(t, 200, &versions)
	if n := len(versions); n != 18 || versions[0]["version"] != "50.0" || versions[17]["version"] != "67.0" || versions[17]["label"] != "Summer '26" {
		t.Errorf("versions: %v", versions)
	}
	for _, p := range []string{
		"/services/data/v50.0/query/?q=SELECT+Id+FROM+Account+LIMIT+1", "//services//data/v67.0/query?q=SELECT%20Id%20FROM%20Account%20LIMIT%201",
		"/services/data/v62.0/limits/", "//services/data/v51.0/sobjects/User/" + c.user.ID, "/services/data/v55.0/", "/services/data/v62.0/sobjects/account/describe/",
	} {
		a := c.do("GET", p, "")
		if a.status != 200 {
			t.Errorf("%s: %d %s", p, a.status, a.body)
		}
		if !strings.HasPrefix(a.header.Get("Sforce-Limit-Info"), "api-usage=") || a.header.Get("X-SFDC-Request-Id") == "" {
			t.Errorf("%s: headers %v", p, a.header)
		}
	}
	for _, p := range []string{"/services/data/v49.0/limits", "/services/data/v68.0/limits", "/services/data/v62/limits", "/services/data/v062.0/limits", "/services/data/v62.0/nothing", "/nothing"} {
		c.do("GET", p, "").refused(t, 404, "NOT_FOUND")
	}
	c.do("PUT", data+"/query", "").refused(t, 405, "METHOD_NOT_ALLOWED")
	if a := c.do("GET", "/services/data/v50.0/query?q=SELECT+Id,+Account.Name+FROM+Contact+LIMIT+1", ""); !strings.Contains(string(a.body), `"url":"/services/data/v50.0/sobjects/Contact/003`) ||
		!strings.Contains(string(a.body), `"url":"/services/data/v50.0/sobjects/Account/001`) {
		t.Errorf("the version of the request is not echoed: %s", a.body)
	}
}

func TestSignIn(t *testing.T) {
	w := acme(t)
	users := w.server.Users()
	if len(users) != 16 || users[0].Role != "admin" || users[1].Role != "manager" || users[3].Role != "manager" || users[4].Role != "representative" {
		t.Fatalf("users: %v", users)
	}
	for _, u := range users[:5] {
		c := &client{t: t, base: w.url, user: u}
		var me map[string]any
		c.do("GET", "/services/oauth2/userinfo", "").into(t, 200, &me)
		if me["user_id"] != u.ID || me["preferred_username"] != u.Username || me["organization_id"] != w.org.ID || me["zoneinfo"] != "UTC" {
			t.Errorf("userinfo: %v", me)
		}
		anybody := &client{t: t, base: w.url}
		anybody.do("GET", "/id/"+w.org.ID+"/"+u.ID+"?format=json&oauth_token="+url.QueryEscape(u.AccessToken), "").into(t, 200, &me)
		if me["username"] != u.Username {
			t.Errorf("identity: %v", me)
		}
	}
	c := &client{t: t, base: w.url, user: users[4]}
	c.do("GET", "/id/"+w.org.ID+"/"+users[0].ID, "").refused(t, 404, "NOT_FOUND")
	for _, token := range []string{"", "x", users[0].AccessToken + "x", w.org.ID + "!", users[0].ID} {
		c := &client{t: t, base: w.url, user: sandbox.User{AccessToken: token}}
		c.do("GET", data+"/limits", "").refused(t, 401, "INVALID_SESSION_ID")
	}
	c.do("GET", data+"/limits", "", "Authorization", "Basic "+users[0].AccessToken).refused(t, 401, "INVALID_SESSION_ID")
	// A user who leaves is signed out.
	w.org.Find("User", users[4].ID)["IsActive"] = false
	c.do("GET", data+"/limits", "").refused(t, 401, "INVALID_SESSION_ID")
}

func TestLimit(t *testing.T) {
	s := sandbox.New(org.Empty(1, today()))
	s.Limit = 3
	h := httptest.NewServer(s)
	defer h.Close()
	c := &client{t: t, base: h.URL, user: s.Users()[0]}
	for i := range 3 {
		if a := c.do("GET", data+"/limits", ""); a.header.Get("Sforce-Limit-Info") != fmt.Sprintf("api-usage=%d/3", i+1) {
			t.Errorf("call %d: %v", i, a.header)
		}
	}
	a := c.do("GET", data+"/limits", "")
	a.refused(t, 403, "REQUEST_LIMIT_EXCEEDED")
	if a.header.Get("Sforce-Limit-Info") != "api-usage=3/3" {
		t.Errorf("after the limit: %v", a.header)
	}
}

func TestDescribe(t *testing.T) {
	w := serve(t, lasting())
	rep := w.as(t, "representative")
	a := rep.do("GET", data+"/sobjects/Opportunity/describe", "")
	var d struct {
		Name, KeyPrefix string
		Deletable       bool
		Fields          []struct {
			Name, Type, Label                  string
			Length                             int
			Createable, Updateable, Filterable bool
			RelationshipName                   *string
			ReferenceTo                        []string
			PicklistValues                     []struct{ Value string }
		}
		ChildRelationships []struct{ ChildSObject, Field, RelationshipName string }
	}
	a.into(t, 200, &d)
	fields := map[string]int{}
	for i, f := range d.Fields {
		fields[f.Name] = i
	}
	stage, owner, closed := d.Fields[fields["StageName"]], d.Fields[fields["OwnerId"]], d.Fields[fields["IsClosed"]]
	if d.Name != "Opportunity" || d.KeyPrefix != "006" || d.Deletable || len(stage.PicklistValues) != 7 || stage.Type != "picklist" ||
		*owner.RelationshipName != "Owner" || owner.ReferenceTo[0] != "User" || closed.Createable || closed.Updateable || d.Fields[fields["Description"]].Filterable {
		t.Errorf("describe: %+v", d)
	}
	if !slices.ContainsFunc(d.ChildRelationships, func(c struct{ ChildSObject, Field, RelationshipName string }) bool {
		return c.ChildSObject == "Task" && c.Field == "WhatId" && c.RelationshipName == "Tasks"
	}) {
		t.Errorf("children: %v", d.ChildRelationships)
	}
	if b := rep.do("GET", data+"/sobjects/Opportunity/describe", "", "If-None-Match", a.header.Get("ETag")); b.status != 304 || len(b.body) != 0 {
		t.Errorf("with its ETag: %d", b.status)
	}
	if b := rep.do("GET", data+"/sobjects/Opportunity/describe", "", "If-Modified-Since", a.header.Get("Last-Modified")); b.status != 304 {
		t.Errorf("with its date: %d", b.status)
	}
	if b := w.as(t, "admin").do("GET", data+"/sobjects/Opportunity/describe", "", "If-None-Match", a.header.Get("ETag")); b.status != 200 {
		t.Errorf("another user's ETag gives %d", b.status)
	}
	rep.do("GET", data+"/sobjects/Nothing/describe", "").refused(t, 404, "NOT_FOUND")
	var all struct{ Sobjects []struct{ Name string } }
	rep.do("GET", data+"/sobjects", "").into(t, 200, &all)
	if len(all.Sobjects) != len(w.org.Objects) {
		t.Errorf("%d objects", len(all.Sobjects))
	}
	var basics struct {
		ObjectDescribe struct{ Name string }
		RecentItems    []any
	}
	rep.do("GET", data+"/sobjects/contact", "").into(t, 200, &basics)
	if basics.ObjectDescribe.Name != "Contact" {
		t.Errorf("basics: %v", basics)
	}
}

func TestEmptyOrg(t *testing.T) {
	s := sandbox.New(org.Empty(1, today()))
	h := httptest.NewServer(s)
	defer h.Close()
	if users := s.Users(); len(users) != 1 || users[0].Role != "admin" {
		t.Fatalf("users: %v", users)
	}
	c := &client{t: t, base: h.URL, user: s.Users()[0]}
	a := c.ask("SELECT Id FROM Account")
	if string(a.body) != `{"totalSize":0,"done":true,"records":[]}` {
		t.Errorf("no rows are %s", a.body)
	}
	var made struct{ ID string }
	c.do("POST", data+"/sobjects/Account", `{"Name":"Harborline"}`).into(t, 201, &made)
	if rows := c.query("SELECT Name, CreatedDate FROM Account"); len(rows) != 1 || rows[0]["CreatedDate"] != "2026-11-23T12:00:00.000+0000" {
		t.Errorf("rows: %v", rows)
	}
}
