package sandbox_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stewardhq/steward/internal/sandbox"
	"github.com/stewardhq/steward/internal/sandbox/org"
)

// made creates a record and gives its id.
func (c *client) made(object, values string) string {
	c.t.Helper()
	var reply struct {
		ID      string
		Success bool
		Errors  []any
	}
	c.do("POST", data+"/sobjects/"+object, values).into(c.t, 201, &reply)
	if !reply.Success || reply.Errors == nil || len(reply.ID) != 18 {
		c.t.Fatalf("created: %+v", reply)
	}
	return reply.ID
}

func (c *client) read(object, id string) map[string]any {
	c.t.Helper()
	var row map[string]any
	c.do("GET", data+"/sobjects/"+object+"/"+id, "").into(c.t, 200, &row)
	return row
}

func (c *client) change(object, id, values string) {
	c.t.Helper()
	if a := c.do("PATCH", data+"/sobjects/"+object+"/"+id, values); a.status != 204 || len(a.body) != 0 {
		c.t.Fatalf("%d %s", a.status, a.body)
	}
}

// holds checks some of a record's fields.
func holds(t *testing.T, row map[string]any, want map[string]any) {
	t.Helper()
	for name, value := range want {
		if !reflect.DeepEqual(row[name], value) {
			t.Errorf("%s is %v, want %v", name, row[name], value)
		}
	}
}

func TestDealFromCreationToClose(t *testing.T) {
	w := acme(t)
	c := w.as(t, "representative")
	account := c.query("SELECT Id FROM Account LIMIT 1")[0]["Id"].(string)
	id := c.made("Opportunity", `{"attributes":{"type":"Opportunity"},"name":" Harborline - Pilot ","AccountId":"`+account[:15]+
		`","StageName":"Prospecting","CloseDate":"2026-12-31","Amount":"1000.005","NextStep":""}`)
	row := c.read("Opportunity", id)
	const created = "2026-11-23T15:04:05.000+0000"
	holds(t, row, map[string]any{
		"Name": "Harborline - Pilot", "AccountId": account, "OwnerId": c.user.ID, "Amount": 1000.01, "Probability": 10.0, "IsClosed": false, "IsWon": false,
		"ForecastCategoryName": "Pipeline", "NextStep": nil, "CreatedById": c.user.ID, "CreatedDate": created, "LastModifiedDate": created,
		"SystemModstamp": created, "LastStageChangeDate": created, "LastActivityDate": nil, "IsDeleted": false,
	})
	history := func() []map[string]any {
		return c.query("SELECT StageName, Amount, CloseDate, Probability, CreatedById FROM OpportunityHistory WHERE OpportunityId = '" + id + "' ORDER BY CreatedDate")
	}
	if h := history(); len(h) != 1 || h[0]["StageName"] != "Prospecting" {
		t.Errorf("history of a new deal: %v", h)
	}
	c.change("Opportunity", id, `{"NextStep":"Call about renewal"}`)
	if h := history(); len(h) != 1 {
		t.Errorf("a next step made history: %v", h)
	}
	boss := w.as(t, "admin")
	boss.change("Opportunity", id, `{"StageName":"Closed Won","Amount":2000,"CloseDate":"2026-11-23"}`)
	row = c.read("Opportunity", id)
	holds(t, row, map[string]any{
		"Amount": 2000.0, "Probability": 100.0, "IsClosed": true, "IsWon": true, "ForecastCategoryName": "Closed", "ExpectedRevenue": 2000.0,
		"NextStep": "Call about renewal", "LastModifiedById": boss.user.ID, "CreatedById": c.user.ID, "CreatedDate": created,
	})
	if row["LastModifiedDate"].(string) <= created || row["LastStageChangeDate"] != row["LastModifiedDate"] {
		t.Errorf("stamps: %v and %v", row["LastModifiedDate"], row["LastStageChangeDate"])
	}
	h := history()
	if len(h) != 2 {
		t.Fatalf("history: %v", h)
	}
	holds(t, h[1], map[string]any{"StageName": "Closed Won", "Amount": 2000.0, "CloseDate": "2026-11-23", "Probability": 100.0, "CreatedById": boss.user.ID})
	if rows := c.query("SELECT Id FROM Opportunity WHERE AccountId = '" + account + "' AND IsWon = true AND Id = '" + id + "'"); len(rows) != 1 {
		t.Error("the index doesn't know the new deal")
	}
	boss.change("Opportunity", id, `{"StageName":"Negotiation/Review","Probability":35}`)
	holds(t, c.read("Opportunity", id), map[string]any{"Probability": 35.0, "IsClosed": false, "ForecastCategoryName": "Commit", "ExpectedRevenue": 700.0})

	before := c.read("Opportunity", id)
	c.do("PATCH", data+"/sobjects/Opportunity/"+id, `{"NextStep":"lost","Amount":"much"}`).refused(t, 400, "JSON_PARSER_ERROR")
	if after := c.read("Opportunity", id); !reflect.DeepEqual(after, before) {
		t.Errorf("a refused update left %v", after)
	}
}

func TestOwnersChange(t *testing.T) {
	w := acme(t)
	c, admin := w.as(t, "representative"), w.as(t, "admin")
	account := c.query("SELECT Id FROM Account LIMIT 1")[0]["Id"].(string)
	contact := c.made("Contact", `{"LastName":"Okonkwo-Harding","FirstName":"Adaeze","AccountId":"`+account+`","Email":"adaeze@harborline.example"}`)
	holds(t, c.read("Contact", contact), map[string]any{"Name": "Adaeze Okonkwo-Harding"})
	var other string
	for _, u := range w.server.Users()[4:] {
		if u.ID != c.user.ID {
			other = u.ID
		}
	}
	c.change("Account", account, `{"OwnerId":"`+other+`"}`)
	c.do("GET", data+"/sobjects/Account/"+account, "").refused(t, 404, "NOT_FOUND")
	c.do("GET", data+"/sobjects/Contact/"+contact, "").refused(t, 404, "NOT_FOUND")
	admin.change("Contact", contact, `{"AccountId":null}`)
	holds(t, c.read("Contact", contact), map[string]any{"AccountId": nil}) // without a parent, the owner sees it
	for where, want := range map[string]int{"OwnerId = '" + other + "'": 1, "OwnerId = '" + c.user.ID + "'": 0} {
		if rows := admin.query("SELECT Id FROM Account WHERE " + where + " AND Id = '" + account + "'"); len(rows) != want {
			t.Errorf("%s: %d rows", where, len(rows))
		}
		var p page
		admin.ask("SELECT COUNT() FROM Account WHERE "+where).into(t, 200, &p)
		if n := len(w.pick("Account", func(r org.Row) bool { return strings.Contains(where, r.Text("OwnerId")) })); n != p.TotalSize {
			t.Errorf("%s: the index counts %d, the rows %d", where, p.TotalSize, n)
		}
	}
}

func TestActivityMovesTheDeal(t *testing.T) {
	w := acme(t)
	c := w.as(t, "representative")
	deal := c.query("SELECT Id FROM Opportunity WHERE IsClosed = false AND LastActivityDate < LAST_N_DAYS:60 LIMIT 1")[0]["Id"].(string)
	last := c.read("Opportunity", deal)["LastActivityDate"]
	open := c.made("Task", `{"Subject":"Call","WhatId":"`+deal+`","ActivityDate":"2026-11-20"}`)
	holds(t, c.read("Task", open), map[string]any{"Status": "Not Started", "Priority": "Normal", "TaskSubtype": "Task", "IsClosed": false, "OwnerId": c.user.ID})
	holds(t, c.read("Opportunity", deal), map[string]any{"LastActivityDate": last})
	done := c.made("Task", `{"Subject":"Call with the buyer","Type":"Call","TaskSubtype":"Call","Status":"Completed","WhatId":"`+deal+`","ActivityDate":"2026-11-23"}`)
	holds(t, c.read("Task", done), map[string]any{"IsClosed": true})
	holds(t, c.read("Opportunity", deal), map[string]any{"LastActivityDate": "2026-11-23"})
	c.change("Task", open, `{"Status":"Completed"}`)
	if a := c.do("DELETE", data+"/sobjects/Task/"+done, ""); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	holds(t, c.read("Opportunity", deal), map[string]any{"LastActivityDate": "2026-11-20"})
	c.do("GET", data+"/sobjects/Task/"+done, "").refused(t, 404, "ENTITY_IS_DELETED")
	if rows := c.query("SELECT Id FROM Task WHERE WhatId = '" + deal + "' AND Id = '" + done + "'"); len(rows) != 0 {
		t.Error("a deleted task is still found")
	}
	c.change("Task", open, `{"WhatId":null}`)
	holds(t, c.read("Opportunity", deal), map[string]any{"LastActivityDate": last})
}

func TestDelete(t *testing.T) {
	w := acme(t)
	c := w.as(t, "admin")
	row := w.org.Rows["Opportunity"][9]
	deal, account := row.Text("Id"), row.Text("AccountId")
	tasks := w.pick("Task", func(r org.Row) bool { return r["WhatId"] == deal })
	if len(tasks) == 0 {
		t.Fatal("the deal has no tasks; choose another")
	}
	c.do("DELETE", data+"/sobjects/Account/"+account, "").refused(t, 400, "DELETE_FAILED")
	c.do("DELETE", data+"/sobjects/OpportunityHistory/"+w.org.Rows["OpportunityHistory"][0].Text("Id"), "").
		refused(t, 403, "INSUFFICIENT_ACCESS_OR_READONLY")
	if a := c.do("DELETE", data+"/sobjects/Opportunity/"+deal, ""); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	c.do("PATCH", data+"/sobjects/Opportunity/"+deal, `{"Amount":1}`).refused(t, 404, "ENTITY_IS_DELETED")
	c.do("POST", data+"/sobjects/Task", `{"WhatId":"`+deal+`"}`).refused(t, 400, "ENTITY_IS_DELETED")
	if rows := c.query("SELECT Id FROM OpportunityHistory WHERE OpportunityId = '" + deal + "'"); len(rows) != 0 {
		t.Errorf("%d rows of history are left", len(rows))
	}
	holds(t, c.read("Task", tasks[0]), map[string]any{"WhatId": nil})
	if got := ids(c.query("SELECT Id FROM Opportunity WHERE AccountId = '" + account + "'")); slices.Contains(got, deal) {
		t.Error("the deleted deal is still found by its account")
	}
	for soql, want := range map[string]string{
		"SELECT Id, IsDeleted FROM Opportunity WHERE Id = '" + deal + "'":                                        `"Id":"` + deal + `","IsDeleted":true}`,
		"SELECT Id FROM Opportunity WHERE IsDeleted = true AND AccountId = '" + account + "'":                    `{"totalSize":1,`,
		"SELECT (SELECT Id FROM Opportunities WHERE IsDeleted = true) FROM Account WHERE Id = '" + account + "'": `"Id":"` + deal + `"`,
		"SELECT COUNT() FROM Contact WHERE IsDeleted = true":                                                     `{"totalSize":0,`,
	} {
		path := strings.Replace(queryPath(soql), "/query?", "/queryAll?", 1)
		if a := c.do("GET", path, ""); !strings.Contains(string(a.body), want) {
			t.Errorf("%s\n%s\nis without %s", soql, a.body, want)
		}
		if a := c.ask(soql); strings.Contains(string(a.body), deal) {
			t.Errorf("found without queryAll: %s", a.body)
		}
	}
}

func TestRefusedWrites(t *testing.T) {
	w := acme(t)
	c := w.as(t, "representative")
	deal := c.query("SELECT Id FROM Opportunity LIMIT 1")[0]["Id"].(string)
	hidden := w.pick("Account", func(r org.Row) bool { return r["OwnerId"] != c.user.ID })[0]
	const good = `"Name":"x","StageName":"Prospecting","CloseDate":"2026-12-31"`
	count := len(w.org.Rows["Opportunity"])
	for _, test := range []struct {
		method, path, body string
		status             int
		code, says         string
	}{
		{"POST", "Opportunity", `{"Name":"x"}`, 400, "REQUIRED_FIELD_MISSING", "[StageName, CloseDate]"},
		{"POST", "Opportunity", `{}`, 400, "REQUIRED_FIELD_MISSING", "Name"},
		{"POST", "Opportunity", `null`, 400, "REQUIRED_FIELD_MISSING", "Name"},
		{"PATCH", "Opportunity/" + deal, `{"Name":"  "}`, 400, "REQUIRED_FIELD_MISSING", "[Name]"},
		{"PATCH", "Opportunity/" + deal, `{"OwnerId":null}`, 400, "REQUIRED_FIELD_MISSING", "[OwnerId]"},
		{"POST", "Opportunity", `{` + good + `,"Colour":"red"}`, 400, "INVALID_FIELD", "No such column 'Colour' on sobject of type Opportunity"},
		{"POST", "Opportunity", `{` + good + `,"IsWon":true}`, 400, "INVALID_FIELD_FOR_INSERT_UPDATE", "IsWon"},
		{"POST", "Opportunity", `{` + good + `,"CreatedDate":"2020-01-01T00:00:00Z","Id":"` + deal + `"}`, 400, "INVALID_FIELD_FOR_INSERT_UPDATE", "CreatedDate, Id"},
		{"POST", "Opportunity", `{` + good + `,"name":"y"}`, 400, "JSON_PARSER_ERROR", "Duplicate"},
		{"POST", "Opportunity", `{"Name":"x","StageName":"Dreaming","CloseDate":"2026-12-31"}`, 400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Dreaming"},
		{"PATCH", "Opportunity/" + deal, `{"NextStep":"` + strings.Repeat("é", 256) + `"}`, 400, "STRING_TOO_LONG", "(max length=255)"},
		{"PATCH", "Opportunity/" + deal, `{"CloseDate":"31.12.2026"}`, 400, "JSON_PARSER_ERROR", "date"},
		{"PATCH", "Opportunity/" + deal, `{"CloseDate":"2026-02-30"}`, 400, "JSON_PARSER_ERROR", "date"},
		{"PATCH", "Opportunity/" + deal, `{"Amount":"5x"}`, 400, "JSON_PARSER_ERROR", "currency"},
		{"PATCH", "Opportunity/" + deal, `{"Amount":"0x5"}`, 400, "JSON_PARSER_ERROR", "currency"},
		{"PATCH", "Opportunity/" + deal, `{"Amount":"NaN"}`, 400, "JSON_PARSER_ERROR", "currency"},
		{"PATCH", "Opportunity/" + deal, `{"Amount":"null"}`, 400, "JSON_PARSER_ERROR", "currency"},
		{"PATCH", "Opportunity/" + deal, `{"Amount":"1 2"}`, 400, "JSON_PARSER_ERROR", "currency"},
		{"PATCH", "Opportunity/" + deal, `{"Amount":true}`, 400, "JSON_PARSER_ERROR", "currency"},
		{"PATCH", "Opportunity/" + deal, `{"Amount":1e17}`, 400, "NUMBER_OUTSIDE_VALID_RANGE", "range"},
		{"PATCH", "Opportunity/" + deal, `{"Amount":1e999}`, 400, "JSON_PARSER_ERROR", "JSON"},
		{"PATCH", "Opportunity/" + deal, `{"NextStep":{"a":1}}`, 400, "JSON_PARSER_ERROR", "string"},
		{"PATCH", "Opportunity/" + deal, `{"ContactId":null}`, 400, "INVALID_FIELD_FOR_INSERT_UPDATE", "ContactId"},
		{"PATCH", "Opportunity/" + deal, `{"AccountId":"nonsense"}`, 400, "MALFORMED_ID", "nonsense"},
		{"PATCH", "Opportunity/" + deal, `{"AccountId":"` + c.user.ID + `"}`, 400, "FIELD_INTEGRITY_EXCEPTION", "incorrect type"},
		{"PATCH", "Opportunity/" + deal, `{"AccountId":"001000000000000"}`, 400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"},
		{"PATCH", "Opportunity/" + deal, `{"AccountId":"` + hidden + `"}`, 403, "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", hidden},
		{"PATCH", "Opportunity/x", `{}`, 400, "MALFORMED_ID", "x"},
		{"PATCH", "Opportunity/" + c.user.ID, `{}`, 404, "NOT_FOUND", ""},
		{"PATCH", "Opportunity/006000000000000", `{}`, 404, "NOT_FOUND", ""},
		{"POST", "Nothing", `{}`, 404, "NOT_FOUND", ""},
		{"POST", "OpportunityHistory", `{}`, 400, "INVALID_TYPE_FOR_OPERATION", "OpportunityHistory"},
		{"POST", "User", `{}`, 400, "INVALID_TYPE_FOR_OPERATION", "User"},
		{"POST", "Contact", `{"LastName":"x","Email":"nobody"}`, 400, "INVALID_EMAIL_ADDRESS", "nobody"},
		{"POST", "Account", `{"Name":"x","NumberOfEmployees":1.5}`, 400, "JSON_PARSER_ERROR", "int"},
		{"POST", "Event", `{"StartDateTime":"soon","EndDateTime":"later"}`, 400, "JSON_PARSER_ERROR", "datetime"},
		{"POST", "Opportunity", ``, 400, "JSON_PARSER_ERROR", "JSON"},
		{"POST", "Opportunity", `{` + good, 400, "JSON_PARSER_ERROR", "JSON"},
		{"POST", "Opportunity", `{` + good + `}}`, 400, "JSON_PARSER_ERROR", "JSON"},
		{"POST", "Opportunity", `[1]`, 400, "JSON_PARSER_ERROR", "JSON"},
		{"POST", "Opportunity", `{"Name":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "REQUEST_ENTITY_TOO_LARGE", "1048576"},
	} {
		a := c.do(test.method, data+"/sobjects/"+test.path, test.body)
		if m := a.refused(t, test.status, test.code); !strings.Contains(m, test.says) {
			t.Errorf("%s %s %.80s: %q does not say %q", test.method, test.path, test.body, m, test.says)
		}
	}
	c.do("POST", data+"/sobjects/Opportunity", "Name=x", "Content-Type", "application/x-www-form-urlencoded").refused(t, 415, "UNSUPPORTED_MEDIA_TYPE")
	if n := len(w.org.Rows["Opportunity"]); n != count {
		t.Errorf("refused creations made %d deals", n-count)
	}
	w.org.Find("User", w.server.Users()[7].ID)["IsActive"] = false
	for _, u := range w.org.Rows["User"] {
		if !u.True("IsActive") {
			c.do("PATCH", data+"/sobjects/Opportunity/"+deal, `{"OwnerId":"`+u.Text("Id")+`"}`).refused(t, 400, "INACTIVE_OWNER_OR_USER")
		}
	}
}

func TestGetFields(t *testing.T) {
	w := serve(t, lasting())
	c := w.as(t, "representative")
	id := c.query("SELECT Id FROM Contact LIMIT 1")[0]["Id"].(string)
	var row map[string]any
	c.do("GET", data+"/sobjects/contact/"+id[:15]+"?fields=Email,+name", "").into(t, 200, &row)
	stored := w.org.Find("Contact", id)
	want := map[string]any{
		"attributes": map[string]any{"type": "Contact", "url": data + "/sobjects/Contact/" + id}, "Email": stored["Email"], "Name": stored["Name"],
	}
	if !reflect.DeepEqual(row, want) {
		t.Errorf("got %v, want %v", row, want)
	}
	c.do("GET", data+"/sobjects/Contact/"+id+"?fields=Shoe", "").refused(t, 400, "INVALID_FIELD")
	c.do("GET", data+"/sobjects/Contact/xyz", "").refused(t, 400, "MALFORMED_ID")
	c.do("GET", data+"/sobjects/Account/"+id, "").refused(t, 404, "NOT_FOUND")
}

func TestConcurrentUse(t *testing.T) {
	w := acme(t)
	c := w.as(t, "representative")
	deal := c.query("SELECT Id FROM Opportunity WHERE IsClosed = false LIMIT 1")[0]["Id"].(string)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for j := range 10 {
				c.do("PATCH", data+"/sobjects/Opportunity/"+deal, fmt.Sprintf(`{"Amount":%d}`, 1000*i+j+1))
				c.do("POST", data+"/sobjects/Task", `{"Subject":"x","WhatId":"`+deal+`"}`)
				c.ask("SELECT Owner.Name, SUM(Amount) FROM Opportunity GROUP BY Owner.Name")
			}
		})
	}
	all.Wait()
	rows := c.query("SELECT SystemModstamp, Amount FROM OpportunityHistory WHERE OpportunityId = '" + deal + "' AND CreatedDate = TODAY ORDER BY SystemModstamp")
	stamps := map[any]bool{}
	for _, r := range rows {
		stamps[r["SystemModstamp"]] = true
	}
	if len(rows) != 40 || len(stamps) != 40 {
		t.Errorf("%d rows of history with %d stamps, want 40", len(rows), len(stamps))
	}
}

func TestFaults(t *testing.T) {
	s := sandbox.New(org.Acme(7, today()))
	h := httptest.NewServer(s)
	defer h.Close()
	admin := &client{t: t, base: h.URL, user: s.Users()[0]}
	rep := &client{t: t, base: h.URL, user: s.Users()[4]}
	set := func(fault string) {
		t.Helper()
		if a := admin.do("POST", "/sandbox/faults", fault); a.status != 201 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	limits := data + "/limits"
	for status, code := range map[int]string{401: "INVALID_SESSION_ID", 403: "INSUFFICIENT_ACCESS", 404: "NOT_FOUND", 429: "REQUEST_LIMIT_EXCEEDED", 500: "UNKNOWN_EXCEPTION", 503: "SERVER_UNAVAILABLE"} {
		set(fmt.Sprintf(`{"path":%q,"status":%d,"times":1}`, data, status))
		rep.do("GET", limits, "").refused(t, status, code)
		if a := rep.do("GET", limits, ""); a.status != 200 {
			t.Errorf("after one fault of %d: %d", status, a.status)
		}
	}
	set(`{"path":"/services/data","method":"get","status":429,"headers":{"Retry-After":"2"},"skip":1,"times":2}`)
	for i, want := range []int{200, 429, 429, 200} {
		if a := rep.do("GET", "//services/data/v62.0/limits", ""); a.status != want || want == 429 && a.header.Get("Retry-After") != "2" {
			t.Errorf("request %d: %d %v", i, a.status, a.header)
		}
	}
	set(`{"path":"` + limits + `","status":200,"body":"<html>Down for maintenance</html>","times":1}`)
	if a := rep.do("GET", limits, ""); a.status != 200 || string(a.body) != "<html>Down for maintenance</html>" {
		t.Errorf("garbage: %d %s", a.status, a.body)
	}
	task := data + "/sobjects/Task"
	count := func() int {
		var p page
		admin.ask("SELECT COUNT() FROM Task WHERE Subject = 'lost answer'").into(t, 200, &p)
		return p.TotalSize
	}
	for when, made := range map[string]int{"before": 0, "after": 1} {
		set(`{"path":"` + task + `","method":"POST","hang_up":"` + when + `","times":1}`)
		before := count()
		if answer := raw(t, h, "POST "+task, rep.user.AccessToken, `{"Subject":"lost answer"}`); answer != "" {
			t.Errorf("hung up %s, but answered %q", when, answer)
		}
		if n := count() - before; n != made {
			t.Errorf("hung up %s: %d tasks made, want %d", when, n, made)
		}
	}
	set(`{"path":"` + limits + `","delay_ms":30,"times":1}`)
	start := time.Now()
	if a := rep.do("GET", limits, ""); a.status != 200 || time.Since(start) < 30*time.Millisecond {
		t.Errorf("delayed: %d after %v", a.status, time.Since(start))
	}
	set(`{"path":"/","status":500}`)
	for range 3 {
		rep.do("GET", "/", "").refused(t, 500, "UNKNOWN_EXCEPTION")
	}
	var list []sandbox.Fault
	admin.do("GET", "/sandbox/faults", "").into(t, 200, &list)
	if len(list) != 1 || list[0].Status != 500 {
		t.Errorf("faults: %v", list)
	}
	for _, method := range []string{"GET", "POST", "DELETE"} {
		rep.do(method, "/sandbox/faults", `{"path":"/","status":500}`).refused(t, 403, "INSUFFICIENT_ACCESS")
	}
	if a := admin.do("DELETE", "/sandbox/faults", ""); a.status != 204 {
		t.Errorf("clearing: %d", a.status)
	}
	if a := rep.do("GET", limits, ""); a.status != 200 {
		t.Errorf("after clearing: %d", a.status)
	}
	for _, bad := range []string{
		`{}`, `{"path":"/"}`, `{"path":"x","status":500}`, `{"path":"/","status":99}`, `{"path":"/","hang_up":"later"}`, `{"path":"/","delay_ms":-1}`,
		`{"path":"/","delay_ms":600001}`, `{"path":"/","status":500,"times":-1}`,
	} {
		admin.do("POST", "/sandbox/faults", bad).refused(t, 400, "INVALID_FAULT")
	}
	admin.do("POST", "/sandbox/faults", `{"path":"/","status":500,"colour":"red"}`).refused(t, 400, "JSON_PARSER_ERROR")
}

// raw sends a request without a client's retries and gives the first line of the answer, "" for none.
func raw(t *testing.T, h *httptest.Server, line, token, body string) string {
	t.Helper()
	conn, err := net.Dial("tcp", h.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\nContent-Type: application/json\r\n\r\n%s", line, token, len(body), body)
	answer, _ := bufio.NewReader(conn).ReadString('\n')
	return answer
}

func TestADelayEndsWithItsClient(t *testing.T) {
	s := sandbox.New(org.Empty(1, today()))
	if err := s.Fail(sandbox.Fault{Path: "/", Delay: 60_000}); err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	impatient := http.Client{Timeout: 50 * time.Millisecond}
	if _, err := impatient.Post(h.URL+"/", "application/json", strings.NewReader(`{}`)); err == nil {
		t.Error("answered")
	}
	h.Close() // waits for requests in flight
}
