package salesforce

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/soql"
)

func TestToolsAreWholeAndHoldNoDelete(t *testing.T) {
	c := &Connector{}
	for _, tool := range c.Tools() {
		var schema struct {
			Type       string
			Properties map[string]json.RawMessage
			Required   []string
		}
		if err := json.Unmarshal(tool.Schema, &schema); err != nil || schema.Type != "object" || len(schema.Required) == 0 {
			t.Errorf("%s: schema %v %+v", tool.Name, err, schema)
		}
		for _, name := range schema.Required {
			if schema.Properties[name] == nil {
				t.Errorf("%s requires %s, which it doesn't describe", tool.Name, name)
			}
		}
		for name := range schema.Properties {
			if !strings.Contains(accepted[tool.Name], name) {
				t.Errorf("%s: the refusal of arguments doesn't mention %s", tool.Name, name)
			}
		}
		if tool.Effect != steward.Read && tool.Effect != steward.Write || tool.Description == "" || accepted[tool.Name] == "" {
			t.Errorf("%s: %+v", tool.Name, tool)
		}
	}
	if len(c.Tools()) != len(accepted) {
		t.Errorf("%d tools, %d known", len(c.Tools()), len(accepted))
	}
}

// soqlOf is the query that a call sent to the org.
func soqlOf(t *testing.T, asked string) string {
	t.Helper()
	u, err := url.Parse(strings.TrimPrefix(asked, "GET "))
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("q")
}

func TestQueryAsSOQL(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{`{"object":"Opportunity","fields":["Name"]}`,
			`SELECT Id, Name FROM Opportunity LIMIT 200`},
		{`{"object":"opportunity","fields":["name","owner.name","Owner.Manager.Email","Id"],"limit":5}`,
			`SELECT Id, Name, Owner.Name, OwnerId, Owner.Manager.Email, Owner.ManagerId FROM Opportunity LIMIT 5`},
		{`{"object":"Opportunity","fields":["Name"],"where":[{"field":"Name","op":"=","value":"O'Brien \\ \"x\"\n"}]}`,
			`SELECT Id, Name FROM Opportunity WHERE Name = 'O\'Brien \\ "x"\n' LIMIT 200`},
		{`{"object":"Opportunity","fields":["Name"],"where":[{"field":"Name","op":"LIKE","value":"%x_'%"},{"field":"Amount","op":">=","value":5e4}]}`,
			`SELECT Id, Name FROM Opportunity WHERE Name LIKE '%x_\'%' AND Amount >= 50000 LIMIT 200`},
		{`{"object":"Opportunity","fields":["Name"],"where":[{"field":"IsClosed","op":"=","value":false},{"field":"NextStep","op":"!=","value":null}]}`,
			`SELECT Id, Name FROM Opportunity WHERE IsClosed = FALSE AND NextStep != NULL LIMIT 200`},
		{`{"object":"Opportunity","fields":["Name"],"where":[{"any":[{"field":"StageName","op":"in","value":["A","B"]},{"field":"Owner.Name","op":"not in","value":["C"]}]},{"field":"CloseDate","op":"<","value":"2026-11-23"}]}`,
			`SELECT Id, Name FROM Opportunity WHERE (StageName IN ('A', 'B') OR Owner.Name NOT IN ('C')) AND CloseDate < 2026-11-23 LIMIT 200`},
		{`{"object":"Opportunity","fields":["Name"],"where":[{"field":"CloseDate","op":"=","literal":"THIS_QUARTER"},{"field":"LastModifiedDate","op":">","literal":"last_n_days:30"}]}`,
			`SELECT Id, Name FROM Opportunity WHERE CloseDate = THIS_QUARTER AND LastModifiedDate > LAST_N_DAYS:30 LIMIT 200`},
		{`{"object":"Opportunity","fields":["Name"],"where":[{"field":"LastModifiedDate","op":">","value":"2026-11-23T10:00:00+02:00"},{"field":"LastModifiedDate","op":"<","value":"2026-11-24"}]}`,
			`SELECT Id, Name FROM Opportunity WHERE LastModifiedDate > 2026-11-23T08:00:00Z AND LastModifiedDate < 2026-11-24T00:00:00Z LIMIT 200`},
		{`{"object":"Opportunity","fields":["Name"],"order_by":[{"field":"Amount","desc":true},{"field":"Owner.Name"}],"limit":10}`,
			`SELECT Id, Name FROM Opportunity ORDER BY Amount DESC NULLS LAST, Owner.Name NULLS LAST LIMIT 10`},
		{`{"object":"Opportunity","fields":["Name","Site__c"],"skip_hidden":true,"limit":3}`, ``}, // seen, and not for reading
		{`{"object":"Opportunity","fields":["Name","Nope","Owner.Nope","Nope.Name"],"skip_hidden":true,"limit":3}`,
			`SELECT Id, Name FROM Opportunity LIMIT 3`},
		{`{"object":"Opportunity","limit":3}`,
			`SELECT Id, Name, StageName, Amount, CloseDate, IsClosed, Owner.Name, OwnerId FROM Opportunity LIMIT 3`},
		{`{"object":"Task","fields":["Who.Name","What.Name"],"limit":3}`,
			`SELECT Id, Who.Name, WhoId, What.Name, WhatId FROM Task LIMIT 3`},
	} {
		s := org(t, rows())
		_, err := s.call(queryTool, c.args)
		if c.want == "" {
			if steward.KindOf(err) != steward.Invalid || s.requests() != nil {
				t.Errorf("%s: %v", c.args, err)
			}
			continue
		}
		if err != nil || len(s.requests()) != 1 {
			t.Errorf("%s: %v %v", c.args, err, s.requests())
			continue
		}
		got := soqlOf(t, s.requests()[0])
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.args, got, c.want)
		}
		if _, err := soql.Parse(got); err != nil {
			t.Errorf("%s: %v", got, err)
		}
	}
}

func TestArgumentsRefused(t *testing.T) {
	s := org(t, func(w http.ResponseWriter, r *http.Request) { t.Errorf("asked %s", r.URL) })
	deal := func(where string) string { return `{"object":"Opportunity","where":[` + where + `]}` }
	for _, c := range []struct{ tool, args, says string }{
		{queryTool, ``, "takes one JSON object"},
		{queryTool, `null`, "takes one JSON object"},
		{queryTool, `[]`, "takes one JSON object"},
		{queryTool, `{"object":"Opportunity"} {}`, "takes one JSON object"},
		{queryTool, `{"object":"Opportunity"`, "takes one JSON object"},
		{queryTool, `{"object":"Opportunity","wher":[]}`, "where [{field, op"},
		{queryTool, `{"object":"Opportunity","limit":1,"Limit":2}`, "takes one JSON object"},
		{queryTool, `{"object":"Opportunity","where":[{"field":"Name","op":"=","value":"Maria","value":"x"}]}`, "takes one JSON object"},
		{queryTool, `{"object":7}`, "takes one JSON object"},
		{queryTool, `{"fields":["Name"]}`, "object is missing"},
		{queryTool, `{"object":"Opportunity","fields":[]}`, "from 1 to 100"},
		{queryTool, `{"object":"Opportunity","limit":0}`, "from 1 to 10000"},
		{queryTool, `{"object":"Opportunity","limit":10001}`, "from 1 to 10000"},
		{queryTool, `{"object":"Opportunity","limit":1.5}`, "takes one JSON object"},
		{queryTool, `{"object":"Opportunity/../User"}`, "no object of that name"},
		{queryTool, `{"object":"Maria"}`, "no object of that name"},
		{queryTool, `{"object":"Opportunity","fields":["Maria"]}`, "fields[0] is no field of Opportunity"},
		{queryTool, `{"object":"Opportunity","fields":["Name FROM User--"]}`, "fields[0] is no field"},
		{queryTool, `{"object":"Opportunity","fields":["Maria.Name"]}`, "it has Contact, Owner"},
		{queryTool, `{"object":"Opportunity","fields":["Site__c"]}`, "made of several fields"},
		{queryTool, `{"object":"Opportunity","fields":["Owner.Manager.Manager.Manager.Manager.Manager.Name"]}`, "more than 5 parents"},
		{queryTool, deal(`{"field":"Name","op":"="}`), "where[0] needs field, op and one of value and literal"},
		{queryTool, deal(`{"field":"CloseDate","op":"=","value":"2026-11-23","literal":"TODAY"}`), "where[0] needs"},
		{queryTool, deal(`{"any":[]}`), "where[0] needs"},
		{queryTool, deal(`{"any":[{"any":[{"field":"Name","op":"=","value":"Maria"}]}]}`), "where[0].any[0] needs"},
		{queryTool, deal(`{"any":[{"field":"Name","op":"=","value":"Maria"}],"op":"="}`), "where[0] needs"},
		{queryTool, deal(`{"field":"Name","op":"is","value":"Maria"}`), "where[0].op must be one of"},
		{queryTool, deal(`{"field":"Name","op":"=","value":["Maria"]}`), "must be an array with at least one value"},
		{queryTool, deal(`{"field":"Name","op":"in","value":"Maria"}`), "must be an array with at least one value"},
		{queryTool, deal(`{"field":"Name","op":"in","value":[]}`), "must be an array with at least one value"},
		{queryTool, deal(`{"field":"Name","op":"in","value":["x",null]}`), "only = and != compare with null"},
		{queryTool, deal(`{"field":"Name","op":"=","value":{"Maria":1}}`), "must be a text"},
		{queryTool, deal(`{"field":"Name","op":"=","value":7}`), "must be a text"},
		{queryTool, deal(`{"field":"Amount","op":">","value":"50000 OR Name != ''"}`), "must be a number"},
		{queryTool, deal(`{"field":"Amount","op":"like","value":"5%"}`), "like is for texts"},
		{queryTool, deal(`{"field":"IsClosed","op":"=","value":"true"}`), "must be true or false"},
		{queryTool, deal(`{"field":"IsClosed","op":">","value":true}`), "no order"},
		{queryTool, deal(`{"field":"CloseDate","op":"=","value":"TODAY OR Name != ''"}`), "YYYY-MM-DD"},
		{queryTool, deal(`{"field":"CloseDate","op":"=","value":"2026-02-30"}`), "YYYY-MM-DD"},
		{queryTool, deal(`{"field":"LastModifiedDate","op":"=","value":"yesterday"}`), "2026-11-23T09:30:00Z"},
		{queryTool, deal(`{"field":"CloseDate","op":"=","literal":"SOMEDAY"}`), "relative date"},
		{queryTool, deal(`{"field":"CloseDate","op":"=","literal":""}`), "relative date"},
		{queryTool, deal(`{"field":"CloseDate","op":"=","literal":"TODAY:5"}`), "relative date"},
		{queryTool, deal(`{"field":"CloseDate","op":"=","literal":"LAST_N_DAYS"}`), "relative date"},
		{queryTool, deal(`{"field":"CloseDate","op":"=","literal":"TODAY OR Name != 'x'"}`), "relative date"},
		{queryTool, deal(`{"field":"Name","op":"=","literal":"TODAY"}`), "relative date"},
		{queryTool, deal(`{"field":"CloseDate","op":"in","literal":"TODAY"}`), "relative date"},
		{queryTool, deal(`{"field":"Description","op":"=","value":"Maria"}`), "can't be used in conditions"},
		{queryTool, deal(strings.TrimSuffix(strings.Repeat(`{"field":"Name","op":"=","value":"x"},`, 101), ",")), "more than 100 conditions"},
		{queryTool, deal(`{"field":"Name","op":"in","value":["` + strings.Repeat(`x","`, 1000) + `x"]}`), "more than 1000 values"},
		{queryTool, deal(`{"field":"Name","op":"=","value":"` + strings.Repeat("x", 20_000) + `"}`), "too long"},
		{queryTool, `{"object":"Opportunity","order_by":[{"field":"Description"}]}`, "can't be sorted by"},
		{queryTool, `{"object":"Opportunity","order_by":[{"desc":true}]}`, "order_by[0] is no field"},
		{getTool, `{"object":"Opportunity","id":"Maria"}`, "id must be"},
		{getTool, `{"object":"Opportunity","id":"006000000000001AA' OR"}`, "id must be"},
		{describeTool, `{}`, "object is missing"},
		{"salesforce_delete", `{}`, "choose among salesforce_create"},
		{createTool, `{"object":"Opportunity","values":{}}`, "from 1 to 100"},
		{createTool, `{"object":"Opportunity","id":"` + dealID + `","values":{"Name":"Maria"}}`, "takes one JSON object"},
		{updateTool, `{"object":"Opportunity","values":{"Name":"Maria"}}`, "id must be"},
		{updateTool, `{"object":"Opportunity","id":"` + dealID + `","values":{"Maria":"x"}}`, "is no field of Opportunity"},
		{updateTool, `{"object":"Opportunity","id":"` + dealID + `","values":{"IsClosed":true}}`, "IsClosed of Opportunity can't be written"},
		{updateTool, `{"object":"Opportunity","id":"` + dealID + `","values":{"Amount":"Maria"}}`, "Amount of Opportunity must be a number"},
		{updateTool, `{"object":"Opportunity","id":"` + dealID + `","values":{"Name":"x","name":"y"}}`, "takes one JSON object"},
		{updateTool, `{"object":"Opportunity","id":"` + dealID + `","values":{"StageName":"Maria"}}`, "must be one of: Prospecting; Closed Won"},
		{updateTool, `{"object":"Opportunity","id":"` + dealID + `","values":{"NextStep":"` + strings.Repeat("x", 256) + `"}}`, "at most 255 characters"},
		{updateTool, `{"object":"Opportunity","id":"` + dealID + `","values":{"Owner.Name":"x"}}`, "is no field of Opportunity"},
		{updateTool, `{"object":"Opportunity","id":"` + dealID + `","values":{"Name":["x"]}}`, "must be a text"},
		{logTool, `{"type":"chat","subject":"x","who_id":"` + contactID + `"}`, "call, email or meeting"},
		{logTool, `{"type":"call","subject":" ","who_id":"` + contactID + `"}`, "subject is missing"},
		{logTool, `{"type":"call","subject":"x"}`, "what the activity belongs to"},
		{logTool, `{"type":"call","subject":"x","who_id":"` + dealID + `"}`, "contact or lead"},
		{logTool, `{"type":"call","subject":"x","what_id":"` + contactID + `"}`, "deal, account"},
		{logTool, `{"type":"call","subject":"x","what_id":"` + dealID + `","date":"tomorrow"}`, "YYYY-MM-DD"},
	} {
		_, err := s.call(c.tool, c.args)
		kind := steward.KindOf(err)
		if kind != steward.Invalid && !(kind == steward.NotFound && strings.Contains(c.says, "no object")) || !strings.Contains(steward.Message(err), c.says) {
			t.Errorf("%s %.200s: %v, want it to say %q", c.tool, c.args, err, c.says)
		}
		// What was put in for a token must not come back in an error.
		if strings.Contains(steward.Message(err), "Maria") {
			t.Errorf("%s %s: the message repeats an argument: %v", c.tool, c.args, err)
		}
	}
}

func TestRecordsSayWhatTheirFieldsAre(t *testing.T) {
	s := org(t, rows(`{"attributes":{"type":"Opportunity"},"Id":"`+dealID+`","Name":"Big Deal","Amount":50000.5,"NextStep":null,"Description":"hi","IsClosed":false,
		"OwnerId":"`+userID+`","Owner":{"attributes":{"type":"User"},"Name":"Dana Whitfield","Title":"Rep"}}`))
	reply, err := s.call(queryTool, `{"object":"Opportunity","fields":["Name","Amount","NextStep","Description","IsClosed","owner.name","Owner.Title"]}`)
	if err != nil {
		t.Fatal(err)
	}
	deal := func(field string) steward.Ref {
		return steward.Ref{Connection: "salesforce", Object: "Opportunity", ID: dealID, Field: field}
	}
	owner := steward.Ref{Connection: "salesforce", Object: "User", ID: userID}
	ownerField := func(field string) steward.Ref { r := owner; r.Field = field; return r }
	null := deal("NextStep")
	null.ID = ""
	want := []steward.Record{{Object: "Opportunity", ID: dealID, URL: s.URL + "/lightning/r/Opportunity/" + dealID + "/view", Fields: []steward.Field{
		{Name: "Name", Value: "Big Deal", Sensitivity: steward.Open, Of: deal("Name")},
		{Name: "Amount", Value: 50000.5, Sensitivity: steward.Open, Of: deal("Amount")},
		{Name: "NextStep", Value: nil, Sensitivity: steward.FreeText, Of: null},
		{Name: "Description", Value: "hi", Sensitivity: steward.FreeText, Of: deal("Description"), Untrusted: true},
		{Name: "IsClosed", Value: false, Sensitivity: steward.Open, Of: deal("IsClosed")},
		{Name: "owner.name", Value: "Dana Whitfield", Sensitivity: steward.Personal, Type: steward.TokenPerson, Of: ownerField("Name"), Subject: owner},
		{Name: "Owner.Title", Value: "Rep", Sensitivity: steward.Open, Of: ownerField("Title"), Subject: owner},
	}}}
	if !reflect.DeepEqual(reply.Records, want) {
		t.Errorf("got  %+v\nwant %+v", reply.Records, want)
	}
	if reply.Total != 1 || reply.RequestID != "TID:1" || reply.Requests != 3 {
		t.Errorf("%+v", reply)
	}
}

func TestParentsOfSeveralKindsAreToldApart(t *testing.T) {
	s := org(t, rows(
		`{"Id":"00T000000000001AAA","WhoId":"`+contactID+`","Who":{"attributes":{"type":"Name","url":"/services/data/v62.0/sobjects/Contact/`+contactID+`"},"Name":"Ana Silva"},"WhatId":"`+dealID+`","What":{"attributes":{"type":"Opportunity"},"Name":"Big Deal"}}`,
		`{"Id":"00T000000000002AAA","WhoId":null,"Who":null,"WhatId":"a00000000000001AAA","What":{"attributes":{"type":"Visit__c"},"Name":"Visit to Ana"}}`))
	reply, err := s.call(queryTool, `{"object":"Task","fields":["Who.Name","What.Name"]}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		row, field  int
		of          string
		sensitivity steward.Sensitivity
		subject     string
	}{
		{0, 0, "salesforce:Contact:" + contactID + ".Name", steward.Personal, contactID},
		{0, 1, "salesforce:Opportunity:" + dealID + ".Name", steward.Open, ""},
		{1, 1, "salesforce:Visit__c:a00000000000001AAA.Name", steward.FreeText, ""},
	} {
		f := reply.Records[c.row].Fields[c.field]
		if f.Of.String() != c.of || f.Sensitivity != c.sensitivity || f.Subject.ID != c.subject {
			t.Errorf("row %d: %+v", c.row, f)
		}
	}
	if f := reply.Records[1].Fields[0]; f.Value != nil || f.Subject != (steward.Ref{}) {
		t.Errorf("nobody: %+v", f)
	}
}

func TestPagesAreFollowedToTheLimit(t *testing.T) {
	row := func(n int) string { return fmt.Sprintf(`{"Id":"006%012dAAA","Name":"d"}`, n) }
	answer := func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Query().Get("q"), "COUNT()"):
			io.WriteString(w, `{"totalSize":57,"done":true,"records":[]}`)
		case r.URL.Path == "/services/data/v62.0/query":
			fmt.Fprintf(w, `{"totalSize":3,"done":false,"nextRecordsUrl":"/services/data/v62.0/query/01g-2","records":[%s,%s]}`, row(1), row(2))
		default:
			fmt.Fprintf(w, `{"totalSize":3,"done":true,"records":[%s]}`, row(3))
		}
	}
	for _, c := range []struct{ limit, rows, total, requests int }{{200, 3, 3, 3}, {3, 3, 57, 4}, {2, 2, 57, 3}, {1, 1, 57, 3}} {
		s := org(t, answer)
		reply, err := s.call(queryTool, fmt.Sprintf(`{"object":"Opportunity","fields":["Name"],"limit":%d}`, c.limit))
		if err != nil || len(reply.Records) != c.rows || reply.Total != c.total || reply.Requests != c.requests {
			t.Errorf("limit %d: %d rows of %d in %d requests, %v", c.limit, len(reply.Records), reply.Total, reply.Requests, err)
		}
	}
}

func TestPagesStayInTheOrg(t *testing.T) {
	for _, next := range []string{"https://evil.example/x", "@evil.example/services/data/", "//evil.example/", ""} {
		s := org(t, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"totalSize":9,"done":false,"nextRecordsUrl":%q,"records":[{"Id":%q}]}`, next, dealID)
		})
		if _, err := s.call(queryTool, `{"object":"Opportunity"}`); steward.KindOf(err) != steward.Upstream || len(s.requests()) != 1 {
			t.Errorf("%q: %v after %v", next, err, s.requests())
		}
	}
}

func TestFailures(t *testing.T) {
	coded := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			refuse(w, status, code, "Maria Lopez said no", "Name", "Maria")
		}
	}
	plain := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status); io.WriteString(w, body) }
	}
	const html = "<html><body>Maria Lopez, down for maintenance</body></html>"
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		kind   steward.Kind
		http   int
		code   string
		says   string
		tries  int
	}{
		{"expired session", coded(401, "INVALID_SESSION_ID"), steward.Unauthenticated, 401, "INVALID_SESSION_ID", "connect again", 1},
		{"401 in HTML", plain(401, html), steward.Unauthenticated, 401, "", "connect again", 1},
		{"no permission", coded(403, "INSUFFICIENT_ACCESS_OR_READONLY"), steward.Denied, 403, "INSUFFICIENT_ACCESS_OR_READONLY", "permissions", 1},
		{"403 of no kind", coded(403, "SOMETHING_NEW"), steward.Denied, 403, "SOMETHING_NEW", "permissions", 1},
		{"limit used up", coded(403, "REQUEST_LIMIT_EXCEEDED"), steward.Limited, 403, "REQUEST_LIMIT_EXCEEDED", "used up", 1},
		{"not found", coded(404, "NOT_FOUND"), steward.NotFound, 404, "NOT_FOUND", "no such record", 1},
		{"bad query", coded(400, "MALFORMED_QUERY"), steward.Invalid, 400, "MALFORMED_QUERY", "can't read the query", 1},
		{"field complained of", coded(400, "REQUIRED_FIELD_MISSING"), steward.Invalid, 400, "REQUIRED_FIELD_MISSING", "no value: Name (", 1},
		{"unknown code", coded(400, "SOMETHING_NEW"), steward.Invalid, 400, "SOMETHING_NEW", "refuses", 1},
		{"code that is none", coded(400, "Maria Lopez!"), steward.Upstream, 400, "", "isn't how Salesforce answers", 1},
		{"row locked", coded(400, "UNABLE_TO_LOCK_ROW"), steward.Conflict, 400, "UNABLE_TO_LOCK_ROW", "try again", 1},
		{"slow down", plain(429, ""), steward.Limited, 429, "", "pause", 3},
		{"server error", coded(500, "UNKNOWN_EXCEPTION"), steward.Upstream, 500, "UNKNOWN_EXCEPTION", "failed", 3},
		{"maintenance", plain(503, html), steward.Upstream, 503, "", "try again later", 3},
		{"a page instead of data", plain(200, html), steward.Upstream, 200, "", "instance URL", 1},
		{"truncated JSON", plain(200, `{"totalSize":1,"done":true,"records":[{"Id":"0060`), steward.Upstream, 200, "", "instance URL", 1},
		{"rows without ids", rows(`{"Name":"Maria"}`), steward.Upstream, 200, "", "instance URL", 1},
		{"redirect", plain(302, html), steward.Upstream, 302, "", "instance URL", 1},
		{"connection lost mid-body", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, `{"totalSize":1`)
		}, steward.Upstream, 0, "", "no answer", 3},
		{"connection closed", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, steward.Upstream, 0, "", "no answer", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := org(t, c.answer)
			s.Client().Transport.(*http.Transport).DisableKeepAlives = true // else net/http has a try of its own
			_, err := s.call(queryTool, `{"object":"Opportunity","fields":["Name"],"where":[{"field":"Name","op":"=","value":"Maria Lopez"}]}`)
			var theirs *connector.Error
			if !errors.As(err, &theirs) {
				t.Fatalf("no *connector.Error in %v", err)
			}
			if steward.KindOf(err) != c.kind || theirs.HTTP != c.http || theirs.Code != c.code || theirs.System != "salesforce" || theirs.Unknown {
				t.Errorf("%v %+v", steward.KindOf(err), theirs)
			}
			if !strings.Contains(steward.Message(err), c.says) || c.code != "" && !strings.Contains(steward.Message(err), c.code) {
				t.Errorf("message %q", steward.Message(err))
			}
			if len(s.requests()) != c.tries {
				t.Errorf("tried %d times", len(s.requests()))
			}
			// Neither what is shown nor what is logged repeats the query or the org's words.
			if strings.Contains(err.Error(), "Maria") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestRetriesEndInSuccess(t *testing.T) {
	n := 0
	s := org(t, func(w http.ResponseWriter, r *http.Request) {
		switch n++; n {
		case 1:
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(429)
		case 2:
			w.WriteHeader(502)
		default:
			rows(`{"Id":"`+dealID+`","Name":"d"}`)(w, r)
		}
	})
	reply, err := s.call(queryTool, `{"object":"Opportunity","fields":["Name"]}`)
	if err != nil || len(reply.Records) != 1 || reply.Requests != 4 {
		t.Fatalf("%+v %v", reply, err)
	}
	if !slices.Equal(s.waits, []time.Duration{7 * time.Second, time.Second}) {
		t.Errorf("waited %v", s.waits)
	}
}

func TestLongRetryAfterIsNotWaitedFor(t *testing.T) {
	s := org(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(429)
	})
	if _, err := s.call(queryTool, `{"object":"Opportunity"}`); steward.KindOf(err) != steward.Limited || len(s.requests()) != 1 || s.waits != nil {
		t.Fatalf("%v after %d tries and %v", err, len(s.requests()), s.waits)
	}
}

func TestExpiryBetweenPages(t *testing.T) {
	s := org(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/services/data/v62.0/query" {
			fmt.Fprintf(w, `{"totalSize":2,"done":false,"nextRecordsUrl":"/services/data/v62.0/query/2","records":[{"Id":%q}]}`, dealID)
			return
		}
		refuse(w, 401, "INVALID_SESSION_ID", "Session expired or invalid")
	})
	reply, err := s.call(queryTool, `{"object":"Opportunity"}`)
	if steward.KindOf(err) != steward.Unauthenticated || reply.Records != nil {
		t.Fatalf("%+v %v", reply, err)
	}
}

func TestContextIsObeyed(t *testing.T) {
	stop := make(chan struct{})
	s := org(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	})
	defer close(stop)
	for _, c := range []struct {
		tool, args string
		unknown    bool
	}{
		{queryTool, `{"object":"Opportunity"}`, false},
		{createTool, `{"object":"Opportunity","values":{"Name":"x"}}`, true},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		_, err := s.connector().Call(ctx, s.session(), c.tool, json.RawMessage(c.args))
		cancel()
		var theirs *connector.Error
		if steward.KindOf(err) != steward.Upstream || !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &theirs) || theirs.Unknown != c.unknown {
			t.Errorf("%s: %v %+v", c.tool, err, theirs)
		}
	}
}

func TestHugeAnswersAreCut(t *testing.T) {
	s := org(t, func(w http.ResponseWriter, r *http.Request) {
		chunk := []byte(strings.Repeat(" ", 1<<20))
		for range 40 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	_, err := s.call(queryTool, `{"object":"Opportunity"}`)
	if steward.KindOf(err) != steward.Upstream || !strings.Contains(steward.Message(err), "32 MiB") || len(s.requests()) != 1 {
		t.Fatal(err)
	}
}

func TestUnreachableOrg(t *testing.T) {
	s := org(t, rows())
	session := s.session()
	s.Close()
	session.HTTP = &http.Client{}
	for _, tool := range []string{queryTool, createTool} {
		_, err := s.connector().Call(context.Background(), session, tool, json.RawMessage(`{"object":"Opportunity"`+map[string]string{queryTool: "}", createTool: `,"values":{"Name":"x"}}`}[tool]))
		var theirs *connector.Error
		if steward.KindOf(err) != steward.Upstream || !errors.As(err, &theirs) || theirs.Unknown || strings.Contains(err.Error(), session.InstanceURL+"/services") {
			t.Errorf("%s: %v", tool, err)
		}
	}
}

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		kind   steward.Kind
		ok     bool
	}{
		{200, `{"user_id":"` + userID + `","organization_id":"` + orgID + `","preferred_username":"dana@acme.example","zoneinfo":"Europe/Berlin"}`, 0, true},
		{403, "Bad_OAuth_Token", steward.Unauthenticated, false},
		{401, `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`, steward.Unauthenticated, false},
		{403, `[{"message":"x","errorCode":"API_DISABLED_FOR_ORG"}]`, steward.Denied, false},
		{404, "<html>", steward.Upstream, false},
		{200, `{"hello":"world"}`, steward.Upstream, false},
	} {
		s := org(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(c.status); io.WriteString(w, c.body) })
		id, err := s.connector().Identify(context.Background(), s.session())
		if c.ok {
			if want := (connector.Identity{OrgID: orgID, UserID: userID, Username: "dana@acme.example", TimeZone: "Europe/Berlin"}); err != nil || id != want {
				t.Errorf("%+v %v", id, err)
			}
		} else if err == nil || steward.KindOf(err) != c.kind {
			t.Errorf("%d %s: %v", c.status, c.body, err)
		}
	}
}

func TestUsageIsRemembered(t *testing.T) {
	s := org(t, rows())
	c := s.connector()
	if _, known := c.Usage(s.URL); known {
		t.Error("known before anything was asked")
	}
	if _, err := c.Call(context.Background(), s.session(), describeTool, json.RawMessage(`{"object":"User"}`)); err != nil {
		t.Fatal(err)
	}
	if u, known := c.Usage(s.URL); !known || u != (Usage{18, 15000}) {
		t.Errorf("%+v %v", u, known)
	}
}

func TestDescribe(t *testing.T) {
	s := org(t, rows())
	reply, err := s.call(describeTool, `{"object":"opportunity"}`)
	if err != nil || reply.Total != 13 || len(reply.Records) != 13 {
		t.Fatalf("%+v %v", reply, err)
	}
	for _, r := range reply.Records {
		if r.Object != "Field" || r.ID != "" {
			t.Errorf("%+v", r)
		}
		for _, f := range r.Fields {
			if f.Sensitivity != steward.Open {
				t.Errorf("%+v", f)
			}
		}
	}
	stage, owner := reply.Records[2], reply.Records[12]
	if stage.Text("picklist") != "Prospecting; Closed Won" || stage.Get("required") != true || stage.Text("type") != "picklist" ||
		owner.Text("parent") != "Owner" || owner.Text("references") != "User" {
		t.Errorf("%+v\n%+v", stage, owner)
	}
}

func TestRevoke(t *testing.T) {
	for status, want := range map[int]string{200: "", 400: "", 404: "Salesforce", 503: "Salesforce"} {
		o := org(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.PostFormValue("token") != "00Dtoken!secret" || r.URL.RawQuery != "" {
				t.Errorf("asked was %s %v", r.URL, r.Header)
			}
			w.WriteHeader(status)
		})
		err := (&Connector{}).Revoke(context.Background(), o.session())
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(steward.Message(err), want) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%d: %v", status, err)
		}
		if asked := o.requests(); len(asked) != 1 || asked[0] != "POST /services/oauth2/revoke" {
			t.Errorf("%d: %v", status, asked)
		}
	}
}
