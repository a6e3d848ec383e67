package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/stewardhq/steward/internal/sandbox/org"
)

type outcome struct {
	ID      string
	Success bool
	Created *bool
	Errors  []struct {
		StatusCode, Message string
		Fields              []string
	}
}

// codes writes outcomes as "ok" or the code of the refusal.
func codes(all []outcome) string {
	var out []string
	for _, one := range all {
		switch {
		case one.Success && len(one.Errors) == 0 && one.ID != "":
			out = append(out, "ok")
		case !one.Success && len(one.Errors) == 1 && one.Errors[0].Message != "" && one.Errors[0].Fields != nil:
			out = append(out, one.Errors[0].StatusCode)
		default:
			out = append(out, fmt.Sprintf("%+v", one))
		}
	}
	return strings.Join(out, " ")
}

func (c *client) many(method, path, body string) []outcome {
	c.t.Helper()
	var all []outcome
	c.do(method, data+"/composite/sobjects"+path, body).into(c.t, 200, &all)
	return all
}

func (c *client) count(soql string) int {
	c.t.Helper()
	var p page
	c.ask("SELECT COUNT() FROM "+soql).into(c.t, 200, &p)
	return p.TotalSize
}

func TestManyRecords(t *testing.T) {
	w := acme(t)
	c := w.as(t, "admin")
	const mixed = `,"records":[{"attributes":{"type":"Account"},"Name":"Many"},{"attributes":{"type":"Contact"}},{"attributes":{"type":"Nothing"}},{"Name":"typeless"}]}`
	const halted = "ALL_OR_NONE_OPERATION_ROLLED_BACK"
	if got := codes(c.many("POST", "", `{"allOrNone":true`+mixed)); got != halted+" REQUIRED_FIELD_MISSING NOT_FOUND NOT_FOUND" || c.count("Account WHERE Name = 'Many'") != 0 {
		t.Error(got)
	}
	made := c.many("POST", "", `{"allOrNone":false`+mixed)
	if got := codes(made); got != "ok REQUIRED_FIELD_MISSING NOT_FOUND NOT_FOUND" || c.count("Account WHERE Name = 'Many'") != 1 {
		t.Error(got)
	}
	id := made[0].ID
	deal := w.org.Rows["Opportunity"][0]
	updates := `,"records":[{"attributes":{"type":"Account"},"id":"` + id + `","Phone":"1"},{"attributes":{"type":"Opportunity"},"Id":"` + deal.Text("Id") + `","StageName":"Dreaming"},{"attributes":{"type":"Account"},"Phone":"1"}]}`
	before := c.read("Account", id)
	if got := codes(c.many("PATCH", "", `{"allOrNone":true`+updates)); got != halted+" INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST MISSING_ARGUMENT" || !reflect.DeepEqual(before, c.read("Account", id)) {
		t.Error(got)
	}
	if got := codes(c.many("PATCH", "", `{`+updates[1:])); got != "ok INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST MISSING_ARGUMENT" || c.read("Account", id)["Phone"] != "1" {
		t.Error(got)
	}

	var rows []map[string]any
	ids := `["` + id + `","001000000000000","x","` + deal.Text("Id") + `"]`
	c.do("POST", data+"/composite/sobjects/Account", `{"ids":`+ids+`,"fields":["Name"]}`).into(t, 200, &rows)
	if len(rows) != 4 || rows[0]["Name"] != "Many" || rows[1] != nil || rows[2] != nil || rows[3] != nil {
		t.Errorf("read: %v", rows)
	}
	rows = nil
	c.do("GET", data+"/composite/sobjects/Account?fields=Phone&ids="+id+",001000000000000", "").into(t, 200, &rows)
	if len(rows) != 2 || rows[0]["Phone"] != "1" || rows[0]["Name"] != nil || rows[1] != nil {
		t.Errorf("read: %v", rows)
	}
	c.do("POST", data+"/composite/sobjects/Account", `{"ids":["`+id+`"],"fields":["Colour"]}`).refused(t, 400, "INVALID_FIELD")
	if a := c.do("POST", data+"/composite/sobjects/Account", `{"ids":[]}`); string(a.body) != "[]" {
		t.Errorf("none: %s", a.body)
	}

	if got := codes(c.many("DELETE", "?allOrNone=true&ids="+id+",001000000000000", "")); got != halted+" NOT_FOUND" || c.count("Account WHERE Id = '"+id+"'") != 1 {
		t.Error(got)
	}
	if got := codes(c.many("DELETE", "?ids="+id+",001000000000000,x", "")); got != "ok NOT_FOUND MALFORMED_ID" || c.count("Account WHERE Id = '"+id+"'") != 0 {
		t.Error(got)
	}
	c.do("POST", data+"/composite/sobjects", `{"records":[`+strings.TrimSuffix(strings.Repeat(`{},`, 201), ",")+`]}`).refused(t, 400, "EXCEEDED_ID_LIMIT")
	w.as(t, "representative").do("DELETE", data+"/composite/sobjects?ids="+deal.Text("Id"), "").into(t, 200, &made)
	if got := codes(made); got == "ok" {
		t.Error("a representative deletes somebody's deal")
	}
}

func TestUpsert(t *testing.T) {
	w := acme(t)
	c := w.as(t, "admin")
	const path = "/sobjects/Contact/Email/"
	var one outcome
	c.do("PATCH", data+path+"ada@larkspur.example", `{"LastName":"Lovelace"}`).into(t, 201, &one)
	if !one.Success || one.Created == nil || !*one.Created || c.read("Contact", one.ID)["Email"] != "ada@larkspur.example" {
		t.Errorf("made: %+v", one)
	}
	id := one.ID
	c.do("PATCH", data+path+"ada@larkspur.example", `{"LastName":"King"}`).into(t, 200, &one)
	if one.ID != id || *one.Created || c.read("Contact", id)["LastName"] != "King" {
		t.Errorf("changed: %+v", one)
	}
	c.do("PATCH", data+"/sobjects/Contact/Id/"+id, `{"LastName":"Byron"}`).into(t, 200, &one)
	c.do("PATCH", data+path+"ada@larkspur.example", `{"Id":"`+id+`"}`).refused(t, 400, "INVALID_FIELD")
	c.do("PATCH", data+"/sobjects/Contact/Phone/1", `{"LastName":"x"}`).refused(t, 404, "NOT_FOUND")
	c.do("PATCH", data+path+"new@larkspur.example", `{}`).refused(t, 400, "REQUIRED_FIELD_MISSING")
	var row map[string]any
	c.do("GET", data+path+"ada@larkspur.example", "").into(t, 200, &row)
	if row["LastName"] != "Byron" {
		t.Errorf("read by key: %v", row)
	}
	c.made("Contact", `{"LastName":"Twin","Email":"ada@larkspur.example"}`)
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		var urls []string
		c.do(method, data+path+"ada@larkspur.example", `{"LastName":"Who"}`).into(t, 300, &urls)
		if len(urls) != 2 || !strings.HasPrefix(urls[0], data+"/sobjects/Contact/003") {
			t.Errorf("%s: %v", method, urls)
		}
	}
	all := c.many("PATCH", "/Contact/Email", `{"records":[{"attributes":{"type":"Contact"},"Email":"grace@larkspur.example","LastName":"Hopper"},{"Email":"ada@larkspur.example","LastName":"x"},{"LastName":"keyless"}]}`)
	if got := codes(all); got != "ok DUPLICATE_EXTERNAL_ID MISSING_ARGUMENT" || !*all[0].Created {
		t.Error(got)
	}
	if a := c.do("DELETE", data+path+"grace@larkspur.example", ""); a.status != 204 {
		t.Errorf("%d %s", a.status, a.body)
	}
	c.do("GET", data+path+"grace@larkspur.example", "").refused(t, 404, "NOT_FOUND")
	rep := w.as(t, "representative")
	hidden := w.pick("Contact", func(r org.Row) bool { return r["OwnerId"] != rep.user.ID && r["Email"] != nil })[0]
	rep.do("GET", data+"/sobjects/Contact/Id/"+hidden, "").refused(t, 404, "NOT_FOUND")
}

func TestTree(t *testing.T) {
	c := acme(t).as(t, "admin")
	leaf := func(kind, reference, more string) string {
		return `{"attributes":{"type":"` + kind + `","referenceId":"` + reference + `"}` + more + `}`
	}
	grow := func(records ...string) answer {
		return c.do("POST", data+"/composite/tree/Account", `{"records":[`+strings.Join(records, ",")+`]}`)
	}
	var reply struct {
		HasErrors bool
		Results   []struct {
			ReferenceID, ID string
			Errors          []struct {
				StatusCode string
				Fields     []string
			}
		}
	}
	deal := leaf("Opportunity", "d", `,"Name":"Branch","StageName":"Prospecting","CloseDate":"2026-12-31","Tasks":{"records":[`+leaf("Task", "t", `,"Subject":"Water it"`)+`]}`)
	grow(leaf("Account", "a", `,"Name":"Oak","Contacts":{"records":[`+leaf("Contact", "c", `,"LastName":"Acorn"`)+`]},"Opportunities":{"records":[`+deal+`]}`), leaf("Account", "b", `,"Name":"Elm"`)).into(t, 201, &reply)
	var order []string
	for _, r := range reply.Results {
		order = append(order, r.ReferenceID)
	}
	if got := strings.Join(order, ""); got != "abcdt" || reply.HasErrors {
		t.Fatalf("%s %+v", got, reply)
	}
	if row := c.read("Task", reply.Results[4].ID); row["WhatId"] != reply.Results[3].ID {
		t.Errorf("the task is about %v", row["WhatId"])
	}
	reply.Results = nil
	before := c.count("Account")
	grow(leaf("Account", "a", `,"Name":"Ash"`), leaf("Account", "b", `,"Contacts":{"records":[`+leaf("Contact", "c", ``)+`]}`)).into(t, 400, &reply)
	if !reply.HasErrors || len(reply.Results) != 1 || reply.Results[0].ReferenceID != "b" || reply.Results[0].Errors[0].StatusCode != "REQUIRED_FIELD_MISSING" || c.count("Account") != before {
		t.Errorf("%+v", reply)
	}
	grow(leaf("Account", "a", `,"Name":"x"`), leaf("Account", "a", `,"Name":"y"`)).refused(t, 400, "INVALID_INPUT")
	grow(`{"Name":"x"}`).refused(t, 400, "INVALID_INPUT")
	grow(leaf("Account", "a", `,"Name":"x","Leaves":{"records":[]}`)).refused(t, 400, "INVALID_FIELD")
	grow(leaf("Account", "a", `,"Name":"x","Contacts":{"records":[1]}`)).refused(t, 400, "JSON_PARSER_ERROR")
	grow(strings.TrimSuffix(strings.Repeat(`{},`, 201), ",")).refused(t, 400, "INVALID_INPUT")
	if c.count("Account") != before {
		t.Error("a tree that was refused is there")
	}
}

type part struct {
	Body        json.RawMessage
	HTTPHeaders map[string]string
	Status      int `json:"httpStatusCode"`
	ReferenceID string
}

func (c *client) compose(allOrNone bool, requests ...string) []part {
	c.t.Helper()
	var reply struct{ CompositeResponse []part }
	c.do("POST", data+"/composite/", fmt.Sprintf(`{"allOrNone":%t,"compositeRequest":[%s]}`, allOrNone, strings.Join(requests, ","))).into(c.t, 200, &reply)
	return reply.CompositeResponse
}

func request(method, path, reference, body string) string {
	if body != "" {
		body = `,"body":` + body
	}
	return `{"method":"` + method + `","url":"` + data + path + `","referenceId":"` + reference + `"` + body + `}`
}

func statuses(parts []part) string {
	var out []string
	for _, p := range parts {
		text := fmt.Sprint(p.Status)
		var list []struct{ ErrorCode string }
		if json.Unmarshal(p.Body, &list) == nil && len(list) > 0 && list[0].ErrorCode != "" {
			text += " " + list[0].ErrorCode
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func TestComposite(t *testing.T) {
	c := acme(t).as(t, "admin")
	parts := c.compose(true,
		request("POST", "/sobjects/Account", "made", `{"Name":"A & B 100%","NumberOfEmployees":7}`),
		request("GET", "/sobjects/Account/@{made.id}?fields=Name,NumberOfEmployees", "read", ""),
		request("POST", "/composite/sobjects", "many", `{"allOrNone":true,"records":[{"attributes":{"type":"Contact"},"LastName":"of @{read.Name}","AccountId":"@{made.id}"}]}`),
		request("PATCH", "/sobjects/Contact/@{many[0].id}", "changed", `{"Title":"@{read.NumberOfEmployees} people"}`),
		request("POST", "/sobjects/Account", "copy", `{"Name":"copy","NumberOfEmployees":"@{read.NumberOfEmployees}"}`),
		request("GET", "/query/?q=SELECT Title, LastName, Account.Name FROM Contact WHERE Account.Name = '@{read.Name}'", "found", ""),
		request("DELETE", "/sobjects/Account/@{copy.id}", "gone", ""),
	)
	if got := statuses(parts); got != "201, 200, 200, 204, 201, 200, 204" {
		t.Fatalf("%s: %s", got, parts[len(parts)-1].Body)
	}
	if parts[0].HTTPHeaders["Location"] == "" || parts[0].ReferenceID != "made" || string(parts[3].Body) != "null" {
		t.Errorf("%+v", parts)
	}
	var p page
	if err := json.Unmarshal(parts[5].Body, &p); err != nil || p.TotalSize != 1 || p.Records[0]["Title"] != "7 people" || p.Records[0]["LastName"] != "of A & B 100%" {
		t.Errorf("%v %s", err, parts[5].Body)
	}

	wrong := []string{
		request("POST", "/sobjects/Account", "a", `{"Name":"Half Made"}`),
		request("POST", "/composite/sobjects", "inner", `{"allOrNone":true,"records":[{"attributes":{"type":"Account"},"Name":"Half Made Too"}]}`),
		request("POST", "/sobjects/Contact", "b", `{"AccountId":"@{a.id}"}`),
		request("GET", "/sobjects/Contact/@{b.id}", "c", ""),
		request("GET", "/sobjects/Account/@{a.id}", "d", ""),
	}
	if got := statuses(c.compose(true, wrong...)); got != "400 PROCESSING_HALTED, 400 PROCESSING_HALTED, 400 REQUIRED_FIELD_MISSING, 400 PROCESSING_HALTED, 400 PROCESSING_HALTED" {
		t.Error(got)
	}
	if n := c.count("Account WHERE Name LIKE 'Half Made%'"); n != 0 {
		t.Errorf("%d are left", n)
	}
	if got := statuses(c.compose(false, wrong...)); got != "201, 200, 400 REQUIRED_FIELD_MISSING, 400 PROCESSING_HALTED, 200" {
		t.Error(got)
	}
	if n := c.count("Account WHERE Name LIKE 'Half Made%'"); n != 2 {
		t.Errorf("%d are there", n)
	}
}

func TestRefusedComposites(t *testing.T) {
	w := serve(t, lasting())
	c := w.as(t, "representative")
	for _, path := range []string{
		"/composite", "/composite/tree/Account", "/jobs/query", "/limits", "/sobjects/../limits", "/../v62.0/limits", "/../../../sandbox/faults", "/../../oauth2/userinfo", "/../v61.0/sobjects/Account",
	} {
		if got := statuses(c.compose(false, request("GET", path, "a", ""))); got != "400 PROCESSING_HALTED" {
			t.Errorf("%s: %s", path, got)
		}
	}
	hidden := w.pick("Account", func(r org.Row) bool { return r["OwnerId"] != c.user.ID })[0]
	for path, want := range map[string]string{
		"/sobjects/Account/" + hidden: "404 NOT_FOUND", "/sobjects/Nothing/describe": "404 NOT_FOUND", "/query?q=SELECT": "400 MALFORMED_QUERY", "/query": "400 MALFORMED_QUERY",
		"/sobjects/Account/@{b.id}": "400 PROCESSING_HALTED", "/sobjects/Account/describe": "200", "/sobjects/a/b/c/d": "404 NOT_FOUND",
	} {
		if got := statuses(c.compose(true, request("GET", path, "a", ""))); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if got := statuses(c.compose(false, request("BREW", "/sobjects", "a", ""), request("B\\tREW", "/sobjects", "b", ""))); got != "405 METHOD_NOT_ALLOWED, 400 PROCESSING_HALTED" {
		t.Error(got)
	}
	good := request("GET", "/sobjects", "a", "")
	for _, body := range []string{
		`{}`, `{"compositeRequest":[]}`, `{"compositeRequest":[` + good + `,` + good + `]}`, `{"compositeRequest":[` + request("GET", "/sobjects", "", "") + `]}`,
		`{"compositeRequest":[` + request("GET", "/sobjects", "a.b", "") + `]}`, `{"compositeRequest":[` + strings.Repeat(good+",", 25) + good + `]}`,
	} {
		c.do("POST", data+"/composite", body).refused(t, 400, "INVALID_INPUT")
	}
	bulky := request("GET", "/sobjects", "all", "")
	for _, body := range []string{`{"Name":"` + strings.Repeat("@{all.sobjects}", 1000) + `"}`, `{"Name":[` + strings.Repeat(`"@{all.encoding}",`, 50_000) + `"@{all.sobjects}"]}`} {
		if got := statuses(c.compose(false, bulky, request("POST", "/sobjects/Account", "b", body))); !strings.HasPrefix(got, "200, 400") {
			t.Error(got)
		}
	}
	if got := statuses(c.compose(false, bulky, request("POST", "/sobjects/Account", "b", `{"Name":"`+strings.Repeat("@{all.sobjects}", 1000)+`"}`))); got != "200, 400 PROCESSING_HALTED" {
		t.Error(got)
	}
	if _, err := c.limit(); err != nil {
		t.Error(err)
	}
}

// limit tells how many calls are left, which a composite request takes one of.
func (c *client) limit() (int, error) {
	left := func() int {
		var limits map[string]struct{ Max, Remaining int }
		c.do("GET", data+"/limits", "").into(c.t, 200, &limits)
		return limits["DailyApiRequests"].Remaining
	}
	before := left()
	c.compose(false, request("GET", "/sobjects", "a", ""), request("GET", "/sobjects", "b", ""))
	if spent := before - left(); spent != 2 {
		return 0, fmt.Errorf("a composite request and a look took %d calls", spent)
	}
	return before, nil
}

func TestColumns(t *testing.T) {
	c := serve(t, lasting()).as(t, "representative")
	for soql, want := range map[string]string{
		"SELECT Id, o.Name, Account.Owner.Name FROM Opportunity o LIMIT 1":                                               "Id Name Account[Owner[Name]]",
		"SELECT Name, (SELECT LastName, Owner.Name FROM Contacts) FROM Account":                                          "Name Contacts*[LastName Owner[Name]]",
		"SELECT StageName, COUNT(Id), SUM(Amount) total FROM Opportunity GROUP BY StageName":                             "StageName expr0*count(Id) total*sum(Amount)",
		"SELECT Account.Name, CALENDAR_YEAR(CloseDate) FROM Opportunity GROUP BY Account.Name, CALENDAR_YEAR(CloseDate)": "Name expr0*calendar_year(CloseDate)",
		"SELECT COUNT() FROM Contact":                                                              "expr0*count()",
		"SELECT toLabel(StageName), FORMAT(Amount) shown FROM Opportunity":                         "StageName shown*format(Amount)",
		"SELECT What.Name, TYPEOF Who WHEN Contact THEN Email, Account.Name ELSE Id END FROM Task": "What[Name] Who[Id Email Account[Name]]",
		"SELECT FIELDS(ALL) FROM UserRole LIMIT 1":                                                 "",
	} {
		type column struct {
			ColumnName, DisplayName string
			Aggregate               bool
			JoinColumns             []column
		}
		var reply struct {
			ColumnMetadata []column
			EntityName     string
			GroupBy        bool
		}
		c.do("GET", data+"/query?columns=true&q="+url.QueryEscape(soql), "").into(t, 200, &reply)
		var write func(all []column) string
		write = func(all []column) string {
			var out []string
			for _, one := range all {
				text := one.ColumnName
				if one.Aggregate {
					text += "*"
				}
				if one.JoinColumns == nil {
					t.Errorf("%s has no joinColumns", text)
				}
				if len(one.JoinColumns) > 0 {
					text += "[" + write(one.JoinColumns) + "]"
				} else if one.Aggregate {
					text += one.DisplayName
				}
				out = append(out, text)
			}
			return strings.Join(out, " ")
		}
		if want == "" {
			if len(reply.ColumnMetadata) < 5 {
				t.Errorf("%s: %+v", soql, reply)
			}
		} else if got := write(reply.ColumnMetadata); got != want || reply.GroupBy != strings.Contains(soql, "GROUP BY") {
			t.Errorf("%s: %s", soql, got)
		}
	}
	c.do("GET", data+"/query?columns=true&q="+url.QueryEscape("SELECT AnnualRevenue FROM Account"), "").refused(t, 400, "INVALID_FIELD")
}

func TestRecentUpdatedDeleted(t *testing.T) {
	c := acme(t).as(t, "admin")
	account, contact := c.made("Account", `{"Name":"Fresh"}`), c.made("Contact", `{"LastName":"Fresh"}`)
	var items []map[string]any
	c.do("GET", data+"/recent?limit=2", "").into(t, 200, &items)
	if len(items) != 2 || items[0]["Id"] != contact || items[1]["Name"] != "Fresh" || items[1]["Id"] != account {
		t.Errorf("recent: %v", items)
	}
	const between = "start=2026-11-23T00:00:00%2B00:00&end=2026-11-24T00:00:00Z"
	var updated struct{ IDs []string }
	c.do("GET", data+"/sobjects/Account/updated/?"+between, "").into(t, 200, &updated)
	if len(updated.IDs) == 0 || updated.IDs[len(updated.IDs)-1] != account {
		t.Errorf("updated: %v", updated)
	}
	c.do("DELETE", data+"/sobjects/Contact/"+contact, "")
	var deleted struct {
		DeletedRecords []struct{ ID, DeletedDate string }
	}
	c.do("GET", data+"/sobjects/Contact/deleted?"+between, "").into(t, 200, &deleted)
	if len(deleted.DeletedRecords) != 1 || deleted.DeletedRecords[0].ID != contact || deleted.DeletedRecords[0].DeletedDate == "" {
		t.Errorf("deleted: %v", deleted)
	}
	c.do("GET", data+"/sobjects/Contact/deleted?start=then&end=now", "").refused(t, 400, "INVALID_FIELD")
	var counts struct {
		SObjects []struct {
			Count int
			Name  string
		}
	}
	c.do("GET", data+"/limits/recordCount?sObjects=Account,Nothing", "").into(t, 200, &counts)
	if len(counts.SObjects) != 1 || counts.SObjects[0].Count != c.count("Account") {
		t.Errorf("counts: %v", counts)
	}
}
