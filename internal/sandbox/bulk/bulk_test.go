package bulk_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stewardhq/steward/internal/sandbox"
	"github.com/stewardhq/steward/internal/sandbox/bulk"
	"github.com/stewardhq/steward/internal/sandbox/org"
)

const jobs = "/services/data/v62.0/jobs"

// client is a user of a served company.
type client struct {
	t     testing.TB
	base  string
	token string
	id    string
	via   http.RoundTripper
}

// serve gives clients of an administrator and of two representatives, in an org of the test's own.
func serve(t testing.TB) (admin, rep, other *client) {
	t.Helper()
	s := sandbox.New(org.Acme(7, time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)))
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	var reps []*client
	for _, u := range s.Users() {
		c := &client{t, h.URL, u.AccessToken, u.ID, http.DefaultTransport}
		switch u.Role {
		case "admin":
			admin = c
		case "representative":
			reps = append(reps, c)
		}
	}
	return admin, reps[0], reps[1]
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (c *client) do(method, path, media, body string) answer {
	c.t.Helper()
	req, err := http.NewRequest(method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	resp, err := c.via.RoundTrip(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

type job struct {
	ID, State, Object, JobType, ErrorMessage, ContentURL string
	ExternalIDFieldName                                  string
	NumberRecordsProcessed, NumberRecordsFailed          int
	APIVersion                                           json.Number
}

func (c *client) json(method, path, body string, status int) job {
	c.t.Helper()
	a := c.do(method, path, "application/json", body)
	if a.status != status {
		c.t.Fatalf("%s %s: status %d, want %d: %s", method, path, a.status, status, a.body)
	}
	var one job
	if status != http.StatusNoContent {
		if err := json.Unmarshal([]byte(a.body), &one); err != nil {
			c.t.Fatalf("%v in %s", err, a.body)
		}
	}
	return one
}

// refused checks status and code of an error, and gives its message.
func (a answer) refused(t testing.TB, status int, code string) string {
	t.Helper()
	var list []struct{ Message, ErrorCode string }
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || a.status != status || len(list) != 1 || list[0].ErrorCode != code {
		t.Fatalf("status %d %s, want %d %s", a.status, a.body, status, code)
	}
	return list[0].Message
}

func table(t testing.TB, text string) [][]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return rows
}

// load runs an ingest job, and gives it finished with its successful and failed records.
func (c *client) load(settings, upload string) (job, [][]string, [][]string) {
	c.t.Helper()
	one := c.json("POST", jobs+"/ingest", settings, 200)
	if one.State != "Open" || one.ContentURL != "services/data/v62.0/jobs/ingest/"+one.ID+"/batches" {
		c.t.Fatalf("a new job is %+v", one)
	}
	if a := c.do("PUT", "/"+one.ContentURL, "text/csv", upload); a.status != 201 || a.body != "" {
		c.t.Fatalf("upload: %d %s", a.status, a.body)
	}
	path := jobs + "/ingest/" + one.ID
	if closed := c.json("PATCH", path, `{"state":"UploadComplete"}`, 200); closed.State != "UploadComplete" {
		c.t.Fatalf("a closed job is %+v", closed)
	}
	one = c.done(path)
	good, bad := c.do("GET", path+"/successfulResults", "", ""), c.do("GET", path+"/failedResults", "", "")
	if one.State == "JobComplete" {
		plain := func(text string) string { return text }
		if strings.Contains(settings, "SEMICOLON") {
			plain = strings.NewReplacer(`";"`, `","`).Replace
		}
		return one, table(c.t, plain(good.body)), table(c.t, plain(bad.body))
	}
	return one, nil, nil
}

// done waits until a job is worked off.
func (c *client) done(path string) job {
	c.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if one := c.json("GET", path, "", 200); one.State != "InProgress" {
			return one
		}
	}
	c.t.Fatal("the job is never done")
	return job{}
}

func (c *client) find(soql string) [][]string {
	c.t.Helper()
	one := c.json("POST", jobs+"/query", fmt.Sprintf(`{"operation":"query","query":%q}`, soql), 200)
	return table(c.t, c.do("GET", jobs+"/query/"+one.ID+"/results", "", "").body)
}

func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%q", got), fmt.Sprintf("%q", want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

func TestQueryIsPaged(t *testing.T) {
	c, _, _ := serve(t)
	one := c.json("POST", jobs+"/query", `{"operation":"query","query":"select id, name, account.name, isclosed, amount, createddate, closedate from Opportunity order by Id limit 5"}`, 200)
	if one.State != "UploadComplete" || one.Object != "Opportunity" || one.JobType != "V2Query" || one.APIVersion != "62.0" {
		t.Fatalf("%+v", one)
	}
	path := jobs + "/query/" + one.ID
	if one = c.json("GET", path, "", 200); one.State != "JobComplete" || one.NumberRecordsProcessed != 5 {
		t.Fatalf("%+v", one)
	}
	if a := c.do("GET", path[:len(path)-3], "", ""); a.status != 200 { // by 15 characters
		t.Errorf("%d %s", a.status, a.body)
	}
	var got [][]string
	locator, pages := "", 0
	for ; locator != "null"; pages++ {
		a := c.do("GET", path+"/results?maxRecords=2&locator="+locator, "", "")
		rows := table(t, a.body)
		if n := a.header.Get("Sforce-NumberOfRecords"); a.header.Get("Content-Type") != "text/csv" || n != fmt.Sprint(len(rows)-1) {
			t.Errorf("%v with %d rows", a.header, len(rows)-1)
		}
		if pages > 0 {
			same(t, "header", rows[0], got[0])
			rows = rows[1:]
		}
		got = append(got, rows...)
		locator = a.header.Get("Sforce-Locator")
	}
	whole := c.do("GET", path+"/results", "", "")
	if pages != 3 || whole.header.Get("Sforce-Locator") != "null" {
		t.Errorf("%d pages, then %v", pages, whole.header)
	}
	same(t, "pages together", got, table(t, whole.body))
	same(t, "columns", got[0], []string{"Id", "Name", "Account.Name", "IsClosed", "Amount", "CreatedDate", "CloseDate"})
	if row := got[1]; len(row[0]) != 18 || row[2] == "" || row[3] != "true" && row[3] != "false" ||
		!strings.HasSuffix(row[5], "Z") || strings.ContainsAny(row[4], "eE,") || len(row[6]) != 10 {
		t.Errorf("a row is %q", row)
	}
	for _, bad := range []string{"?locator=-1", "?locator=x", "?maxRecords=0", "?maxRecords=x", "?maxRecords=99999999999999999999"} {
		if a := c.do("GET", path+"/results"+bad, "", ""); a.status != 400 {
			t.Errorf("%s: %d %s", bad, a.status, a.body)
		}
	}
	if a := c.do("GET", path+"/results?locator=7&maxRecords=9223372036854775807", "", ""); a.status != 200 || len(table(t, a.body)) != 1 {
		t.Errorf("beyond the end: %d %s", a.status, a.body)
	}
}

func TestQueryDialectsAndFields(t *testing.T) {
	c, _, _ := serve(t)
	one := c.json("POST", jobs+"/query", `{"operation":"query","query":"SELECT Id, Name FROM Account LIMIT 1","columnDelimiter":"PIPE","lineEnding":"CRLF"}`, 200)
	a := c.do("GET", jobs+"/query/"+one.ID+"/results", "", "")
	if !strings.HasPrefix(a.body, "\"Id\"|\"Name\"\r\n\"001") || !strings.HasSuffix(a.body, "\"\r\n") {
		t.Errorf("%q", a.body)
	}
	all := c.find("SELECT FIELDS(STANDARD) FROM Account LIMIT 2")
	if !slices.Contains(all[0], "Industry") || slices.Contains(all[0], "Region__c") || len(all) != 3 {
		t.Errorf("%q", all)
	}
	same(t, "alias of the object", c.find("SELECT a.Id, toLabel(a.Industry) FROM Account a LIMIT 1")[0], []string{"Id", "Industry"})
	same(t, "nothing found", c.find("SELECT id, account.name FROM Contact WHERE Name = 'nobody'"), [][]string{{"id", "account.name"}})
	if deleted := c.json("POST", jobs+"/query", `{"operation":"queryAll","query":"SELECT Id FROM Account WHERE IsDeleted = true"}`, 200); deleted.ID == "" {
		t.Error("no job")
	}
}

func TestQueriesRefused(t *testing.T) {
	c, rep, _ := serve(t)
	for body, want := range map[string]string{
		`{"operation":"query","query":"SELECT COUNT() FROM Account"}`:                       "API_ERROR",
		`{"operation":"query","query":"SELECT COUNT(Id) FROM Account"}`:                     "API_ERROR",
		`{"operation":"query","query":"SELECT Industry FROM Account GROUP BY Industry"}`:    "API_ERROR",
		`{"operation":"query","query":"SELECT Id, (SELECT Id FROM Contacts) FROM Account"}`: "API_ERROR",
		`{"operation":"query","query":"SELECT Id FROM Account OFFSET 2"}`:                   "API_ERROR",
		`{"operation":"query","query":"SELECT Id FROM"}`:                                    "MALFORMED_QUERY",
		`{"operation":"query","query":"SELECT Nope FROM Account"}`:                          "INVALID_FIELD",
		`{"operation":"query","query":"SELECT Id FROM Nope"}`:                               "INVALID_TYPE",
		`{"operation":"insert","query":"SELECT Id FROM Account"}`:                           "INVALIDJOB",
		`{"operation":"query","query":"SELECT Id FROM Account","columnDelimiter":"SPACE"}`:  "INVALIDJOB",
		`{"operation":"query","query":"SELECT Id FROM Account","lineEnding":"CR"}`:          "INVALIDJOB",
		`{"operation":"query","query":"SELECT Id FROM Account","contentType":"XML"}`:        "INVALIDJOB",
		`{"operation":"query"}`: "MALFORMED_QUERY",
		`{`:                     "JSON_PARSER_ERROR",
	} {
		c.do("POST", jobs+"/query", "application/json", body).refused(t, 400, want)
	}
	rep.do("POST", jobs+"/query", "application/json", `{"operation":"query","query":"SELECT AnnualRevenue FROM Account"}`).refused(t, 400, "INVALID_FIELD")
}

func TestJobsAreTheirOwners(t *testing.T) {
	_, rep, other := serve(t)
	q := rep.json("POST", jobs+"/query", `{"operation":"query","query":"SELECT Id FROM Account"}`, 200)
	in := rep.json("POST", jobs+"/ingest", `{"operation":"insert","object":"Task"}`, 200)
	for _, path := range []string{"/query/" + q.ID, "/query/" + q.ID + "/results", "/ingest/" + in.ID, "/ingest/" + in.ID + "/failedResults",
		"/ingest/" + in.ID + "/successfulResults", "/ingest/" + in.ID + "/unprocessedrecords", "/ingest/" + q.ID, "/query/" + in.ID} {
		other.do("GET", jobs+path, "", "").refused(t, 404, "NOT_FOUND")
	}
	for _, path := range []string{"/query/" + q.ID, "/ingest/" + in.ID} {
		other.do("PATCH", jobs+path, "application/json", `{"state":"Aborted"}`).refused(t, 404, "NOT_FOUND")
		other.do("DELETE", jobs+path, "", "").refused(t, 404, "NOT_FOUND")
	}
	other.do("PUT", "/"+in.ContentURL, "text/csv", "Subject\nx\n").refused(t, 404, "NOT_FOUND")
	for c, want := range map[*client]int{rep: 1, other: 0} {
		for _, kind := range []string{"/query", "/ingest"} {
			var page struct {
				Done    bool
				Records []job
			}
			if err := json.Unmarshal([]byte(c.do("GET", jobs+kind, "", "").body), &page); err != nil || !page.Done || len(page.Records) != want {
				t.Errorf("%s: %+v %v, want %d", kind, page, err, want)
			}
		}
	}
	// What a representative can't see, no job shows.
	mine, theirs := rep.find("SELECT Id FROM Opportunity"), other.find("SELECT Id FROM Opportunity")
	for _, row := range mine[1:] {
		if slices.ContainsFunc(theirs[1:], func(r []string) bool { return r[0] == row[0] }) {
			t.Fatalf("%s is shown to both", row[0])
		}
	}
}

func TestInsertUpdateDelete(t *testing.T) {
	c, _, _ := serve(t)
	one, good, bad := c.load(`{"operation":"insert","object":"account","lineEnding":"LF"}`,
		"\ufeffName,NumberOfEmployees,AnnualRevenue,Industry\n\"Bulk \"\"One\"\", Ltd\n2\",12,1.5e3,\nBulk Two,twelve,,\n,1,,\nBulk Three,,,#N/A\n")
	if one.State != "JobComplete" || one.Object != "Account" || one.NumberRecordsProcessed != 4 || one.NumberRecordsFailed != 2 {
		t.Fatalf("%+v", one)
	}
	same(t, "columns", good[0], []string{"sf__Id", "sf__Created", "Name", "NumberOfEmployees", "AnnualRevenue", "Industry"})
	same(t, "a record", good[1][1:], []string{"true", "Bulk \"One\", Ltd\n2", "12", "1.5e3", ""})
	same(t, "why not", []string{bad[1][1], bad[2][1]}, []string{
		"INVALID_TYPE_ON_FIELD_IN_RECORD:Employees: value not of required type: twelve:NumberOfEmployees --",
		"REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --",
	})
	same(t, "nothing left", c.do("GET", jobs+"/ingest/"+one.ID+"/unprocessedrecords", "", "").body, "\"Name\",\"NumberOfEmployees\",\"AnnualRevenue\",\"Industry\"\n")
	same(t, "in the org", c.find("SELECT Name, NumberOfEmployees, AnnualRevenue FROM Account WHERE Id = '" + good[1][0] + "'")[1], []string{"Bulk \"One\", Ltd\n2", "12", "1500"})

	first, third := good[1][0], good[2][0]
	_, good, bad = c.load(`{"operation":"update","object":"Account","lineEnding":"CRLF","columnDelimiter":"SEMICOLON"}`,
		"Id;NumberOfEmployees;AnnualRevenue\r\n"+first+";#N/A;\r\n001000000000000AAA;5;\r\n;5;\r\n"+third+";7;\r\n")
	same(t, "updates", [][]string{good[1][:2], good[2][:2], bad[1][:2], bad[2][:2]}, [][]string{{first, "false"}, {third, "false"},
		{"001000000000000AAA", "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--"}, {"", "MISSING_ARGUMENT:Id not specified:--"}})
	same(t, "null and nothing", c.find("SELECT NumberOfEmployees, AnnualRevenue FROM Account WHERE Id = '" + first + "'")[1], []string{"", "1500"})
	same(t, "updated", c.find("SELECT NumberOfEmployees FROM Account WHERE Id = '" + third + "'")[1], []string{"7"})

	_, good, bad = c.load(`{"operation":"delete","object":"Account"}`, "Id\n"+first+"\n"+first+"\nxyz\n")
	same(t, "deleted", good[1:], [][]string{{first, "false", first}})
	if len(bad) != 3 || !strings.HasPrefix(bad[2][1], "MALFORMED_ID:") {
		t.Errorf("%q", bad)
	}
	same(t, "gone", len(c.find("SELECT Id FROM Account WHERE Id = '"+first+"'")), 1)
}

func TestUpsertAndRelationships(t *testing.T) {
	c, _, _ := serve(t)
	one, good, bad := c.load(`{"operation":"upsert","object":"Contact","externalIdFieldName":"email"}`,
		"Email,LastName,Owner.Username\nnew@bulk.example,Fresh,\nnew@bulk.example,Again,nobody@nowhere\nnew@bulk.example,Changed,\n,Lost,\n")
	if one.ExternalIDFieldName != "Email" || len(good) != 3 || good[1][1] != "true" || good[2][1] != "false" || good[1][0] != good[2][0] {
		t.Fatalf("%+v %q", one, good)
	}
	same(t, "why not", []string{bad[1][1], bad[2][1]}, []string{
		"INVALID_FIELD:Foreign key external ID: nobody@nowhere not found for field Username in entity User:OwnerId --",
		"MISSING_ARGUMENT:Email not specified:--",
	})
	same(t, "in the org", c.find("SELECT LastName FROM Contact WHERE Email = 'new@bulk.example'")[1:], [][]string{{"Changed"}})

	account := c.find("SELECT Id FROM Account LIMIT 1")[1][0]
	user := c.find("SELECT Id, Username FROM User WHERE IsActive = true ORDER BY Username DESC LIMIT 1")[1]
	_, good, bad = c.load(`{"operation":"upsert","object":"Task","externalIdFieldName":"Id"}`,
		"Id,Subject,Owner.Username,Account:What.Id\n,Call,"+user[1]+","+account+"\n")
	if len(good) != 2 {
		t.Fatalf("%q", bad)
	}
	same(t, "references", c.find("SELECT OwnerId, WhatId FROM Task WHERE Id = '" + good[1][0] + "'")[1], []string{user[0], account})
	_, good, _ = c.load(`{"operation":"upsert","object":"Task","externalIdFieldName":"Id"}`, "Id,Subject\n"+good[1][0]+",Mail\n")
	same(t, "changed by id", good[1][1], "false")
}

// TestNobodyGainsByBulk: what REST refuses to a user, jobs refuse as well.
func TestNobodyGainsByBulk(t *testing.T) {
	admin, rep, other := serve(t)
	rep.do("POST", jobs+"/ingest", "application/json", `{"operation":"insert","object":"Nope"}`).refused(t, 400, "INVALIDENTITY")
	own := other.find("SELECT Id FROM Opportunity WHERE OwnerId = '" + other.id + "' LIMIT 1")[1][0]
	_, _, bad := rep.load(`{"operation":"update","object":"Opportunity"}`, "Id,NextStep\n"+own+",mine\n")
	same(t, "another's deal", bad[1][1], "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--")
	mine := rep.find("SELECT Id FROM Account WHERE OwnerId = '" + rep.id + "' LIMIT 1")[1][0]
	_, _, bad = rep.load(`{"operation":"update","object":"Account"}`, "Id,Region__c\n"+mine+",EMEA\n")
	if !strings.HasPrefix(bad[1][1], "INVALID_FIELD_FOR_INSERT_UPDATE:") {
		t.Errorf("%q", bad)
	}
	_, _, bad = rep.load(`{"operation":"delete","object":"Account"}`, "Id\n"+mine+"\n")
	if !strings.HasPrefix(bad[1][1], "INSUFFICIENT_ACCESS_OR_READONLY:") {
		t.Errorf("%q", bad)
	}
	one, _, _ := rep.load(`{"operation":"update","object":"Account"}`, "Id,AnnualRevenue\n"+mine+",1\n")
	if one.State != "Failed" || one.ErrorMessage != "InvalidBatch : Field name not found : AnnualRevenue" {
		t.Errorf("%+v", one)
	}
	// A key that an invisible record has is free for this user, as far as they may know.
	mail := admin.find("SELECT Email FROM Contact WHERE Email != null AND Account.OwnerId = '" + other.id + "' LIMIT 1")[1][0]
	_, good, _ := rep.load(`{"operation":"upsert","object":"Contact","externalIdFieldName":"Email"}`, "Email,LastName,AccountId\n"+mail+",Twin,"+mine+"\n")
	if len(good) != 2 || good[1][1] != "true" {
		t.Errorf("%q", good)
	}
}

func TestUploadsThatMakeNoSense(t *testing.T) {
	c, _, _ := serve(t)
	before := len(c.find("SELECT Id FROM Account"))
	for _, upload := range []string{
		"Name,Nope\nA,1\n", "Name,name\nA,B\n", "Name,Industry\nA\n", "Name\r\nA\r\n", "Name\n\"A\n", "Name\n\xff\n", "Name,Owner.Nope\nA,x\n",
		"Name,Nobody.Username\nA,x\n", ",Name\nA,B\n",
	} {
		one, _, _ := c.load(`{"operation":"insert","object":"Account"}`, upload)
		if one.State != "Failed" || !strings.Contains(one.ErrorMessage, " : ") || one.NumberRecordsProcessed != 0 {
			t.Errorf("%q: %+v", upload, one)
		}
		same(t, "unprocessed", c.do("GET", jobs+"/ingest/"+one.ID+"/unprocessedrecords", "", "").body, upload)
	}
	if one, _, _ := c.load(`{"operation":"delete","object":"Account"}`, "Id,Name\nx,y\n"); one.State != "Failed" {
		t.Errorf("%+v", one)
	}
	same(t, "nothing was written", len(c.find("SELECT Id FROM Account")), before)
	for _, body := range []string{
		`{"operation":"hardDelete","object":"Account"}`, `{"operation":"query","object":"Account"}`, `{"operation":"upsert","object":"Account"}`,
		`{"operation":"upsert","object":"Account","externalIdFieldName":"Name"}`, `{"operation":"insert"}`, `[]`, ``,
	} {
		if a := c.do("POST", jobs+"/ingest", "application/json", body); a.status != 400 {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
}

func TestStates(t *testing.T) {
	c, _, _ := serve(t)
	ingest := func() string {
		return jobs + "/ingest/" + c.json("POST", jobs+"/ingest", `{"operation":"insert","object":"Account"}`, 200).ID
	}
	path := ingest()
	c.do("GET", path+"/successfulResults", "", "").refused(t, 400, "INVALIDJOBSTATE")
	c.do("DELETE", path, "", "").refused(t, 400, "INVALIDJOBSTATE")
	c.do("PATCH", path, "application/json", `{"state":"JobComplete"}`).refused(t, 400, "INVALIDJOBSTATE")
	c.do("PUT", path+"/batches", "application/json", "Name\nA\n").refused(t, 415, "UNSUPPORTED_MEDIA_TYPE")
	c.do("PUT", path+"/batches", "text/csv", "Name\nA\n")
	c.do("PUT", path+"/batches", "text/csv", "Name\nB\n").refused(t, 400, "CLIENT_INPUT_ERROR")
	same(t, "aborted", c.json("PATCH", path, `{"state":"Aborted"}`, 200).State, "Aborted")
	c.do("PATCH", path, "application/json", `{"state":"UploadComplete"}`).refused(t, 400, "INVALIDJOBSTATE")
	c.do("PUT", path+"/batches", "text/csv", "Name\nB\n").refused(t, 400, "INVALIDJOBSTATE")
	same(t, "unprocessed", c.do("GET", path+"/unprocessedrecords", "", "").body, "Name\nA\n")
	c.json("DELETE", path, "", 204)
	c.do("GET", path, "", "").refused(t, 404, "NOT_FOUND")

	path = ingest() // closed without data
	c.json("PATCH", path, `{"state":"UploadComplete"}`, 200)
	same(t, "empty", c.done(path).State, "JobComplete")

	path = jobs + "/query/" + c.json("POST", jobs+"/query", `{"operation":"query","query":"SELECT Id FROM Account"}`, 200).ID
	c.do("PATCH", path, "application/json", `{"state":"UploadComplete"}`).refused(t, 400, "INVALIDJOBSTATE")
	same(t, "aborted", c.json("PATCH", path, `{"state":"Aborted"}`, 200).State, "Aborted")
	c.do("GET", path+"/results", "", "").refused(t, 400, "INVALIDJOBSTATE")
	path = jobs + "/query/" + c.json("POST", jobs+"/query", `{"operation":"query","query":"SELECT Id FROM Account"}`, 200).ID
	c.json("GET", path, "", 200)
	c.do("PATCH", path, "application/json", `{"state":"Aborted"}`).refused(t, 400, "INVALIDJOBSTATE")
	c.json("DELETE", path, "", 204)
}

// TestClosedOnce: of many who close a job at once, one has it worked off.
func TestClosedOnce(t *testing.T) {
	c, _, _ := serve(t)
	one := c.json("POST", jobs+"/ingest", `{"operation":"insert","object":"Account"}`, 200)
	c.do("PUT", "/"+one.ContentURL, "text/csv", "Name\n"+strings.Repeat("Racing Ltd\n", 50))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { c.do("PATCH", jobs+"/ingest/"+one.ID, "application/json", `{"state":"UploadComplete"}`) })
		all.Go(func() { c.do("GET", jobs+"/ingest/"+one.ID, "", "") })
		all.Go(func() { c.do("GET", jobs+"/ingest/"+one.ID+"/successfulResults", "", "") })
	}
	all.Wait()
	c.done(jobs + "/ingest/" + one.ID)
	same(t, "written", len(c.find("SELECT Id FROM Account WHERE Name = 'Racing Ltd'")), 51)
}

// TestAnsweredFirst: a job's reply doesn't wait for its work, during which the job can be neither ended nor removed.
func TestAnsweredFirst(t *testing.T) {
	c, _, _ := serve(t)
	one := c.json("POST", jobs+"/ingest", `{"operation":"insert","object":"Account"}`, 200)
	path := jobs + "/ingest/" + one.ID
	c.do("PUT", path+"/batches", "text/csv", "Name\n"+strings.Repeat("Slow Ltd\n", 50_000))
	c.json("PATCH", path, `{"state":"UploadComplete"}`, 200)
	c.via = &http.Transport{DisableKeepAlives: true} // the first connection is busy with the work
	same(t, "meanwhile", c.json("GET", path, "", 200).State, "InProgress")
	c.do("GET", path+"/successfulResults", "", "").refused(t, 400, "INVALIDJOBSTATE")
	c.do("PATCH", path, "application/json", `{"state":"Aborted"}`).refused(t, 400, "INVALIDJOBSTATE")
	c.do("DELETE", path, "", "").refused(t, 400, "INVALIDJOBSTATE")
	if one = c.done(path); one.State != "JobComplete" || one.NumberRecordsProcessed != 50_000 {
		t.Errorf("%+v", one)
	}
}

func TestMultipart(t *testing.T) {
	c, _, _ := serve(t)
	form := func(names ...string) (string, string) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for _, name := range names {
			part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="` + name + `"`}})
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(part, map[string]string{"job": `{"operation":"insert","object":"Account","contentType":"CSV"}`, "content": "Name\nAll At Once\n"}[name])
		}
		_ = w.Close()
		return w.FormDataContentType(), b.String()
	}
	media, body := form("job", "content")
	a := c.do("POST", jobs+"/ingest", media, body)
	var one job
	if err := json.Unmarshal([]byte(a.body), &one); err != nil || one.State != "UploadComplete" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if one = c.done(jobs + "/ingest/" + one.ID); one.State != "JobComplete" || one.NumberRecordsProcessed != 1 || one.NumberRecordsFailed != 0 {
		t.Errorf("%+v", one)
	}
	for _, names := range [][]string{{"content", "job"}, {"job"}, {}} {
		media, body := form(names...)
		c.do("POST", jobs+"/ingest", media, body).refused(t, 400, "INVALID_MULTIPART_REQUEST")
	}
}

func TestLimits(t *testing.T) {
	c, _, _ := serve(t)
	first := c.json("POST", jobs+"/query", `{"operation":"query","query":"SELECT Id FROM Profile"}`, 200)
	c.json("GET", jobs+"/query/"+first.ID, "", 200)
	one := c.json("POST", jobs+"/ingest", `{"operation":"insert","object":"Account"}`, 200)
	a := c.do("PUT", "/"+one.ContentURL, "text/csv", "Name\n"+strings.Repeat("x", bulk.MaxUpload))
	a.refused(t, 413, "REQUEST_ENTITY_TOO_LARGE")
	for range 49 {
		c.json("POST", jobs+"/ingest", `{"operation":"insert","object":"Account"}`, 200)
	}
	c.do("GET", jobs+"/query/"+first.ID, "", "").refused(t, 404, "NOT_FOUND") // the oldest finished one made room
	c.do("POST", jobs+"/ingest", "application/json", `{"operation":"insert","object":"Account"}`).refused(t, 400, "LIMIT_EXCEEDED")
}
