package salesforce

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
)

const stamp = "2026-11-20T10:00:00.000+0000"

// store is an org with one deal, one contact and whatever is created.
func store(bodies *[]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodPatch:
			body, _ := io.ReadAll(r.Body)
			*bodies = append(*bodies, string(body))
			w.WriteHeader(http.StatusNoContent)
		case http.MethodPost:
			body, _ := io.ReadAll(r.Body)
			*bodies = append(*bodies, string(body))
			w.WriteHeader(http.StatusCreated)
			io.WriteString(w, `{"id":"00T000000000009AAA","success":true,"errors":[]}`)
		default:
			switch q := r.URL.Query().Get("q"); {
			case strings.Contains(q, "FROM Opportunity") && strings.Contains(q, dealID[:15]):
				rows(fmt.Sprintf(`{"Id":%q,"Name":"Big Deal","Amount":50000,"NextStep":null,"CloseDate":"2026-12-01","StageName":"Prospecting","Kickoff__c":"2026-11-23T08:00:00.000+0000","ContactId":%q,"LastModifiedDate":%q}`,
					dealID, contactID, stamp))(w, r)
			case strings.Contains(q, "FROM Contact") && strings.Contains(q, contactID):
				rows(fmt.Sprintf(`{"Id":%q,"Email":"ana@old.example","LastModifiedDate":%q}`, contactID, stamp))(w, r)
			case strings.Contains(q, "FROM Task"):
				rows(fmt.Sprintf(`{"Id":"00T000000000009AAA","Subject":"Call with Ana Silva","Status":"Completed","WhoId":%q,"LastModifiedDate":%q}`, contactID, stamp))(w, r)
			default:
				rows()(w, r)
			}
		}
	}
}

func update(values string) string {
	return `{"object":"Opportunity","id":"` + dealID + `","values":` + values + `}`
}

func TestPreviewOfUpdate(t *testing.T) {
	var bodies []string
	s := org(t, store(&bodies))
	p, err := s.preview(updateTool, update(`{"NextStep":"Call Ana","Amount":20000,"CloseDate":"2026-12-01","Kickoff__c":"2026-11-23T09:00:00+01:00"}`))
	if err != nil {
		t.Fatal(err)
	}
	deal := steward.Ref{Connection: "salesforce", Object: "Opportunity", ID: dealID}
	at := func(field string) steward.Ref { r := deal; r.Field = field; return r }
	want := connector.Preview{
		Changes: []connector.Change{
			{Field: steward.Field{Name: "Amount", Value: 50000.0, Sensitivity: steward.Open, Of: at("Amount")}, After: 20000.0, Stamp: stamp},
			{Field: steward.Field{Name: "NextStep", Sensitivity: steward.FreeText, Of: at("NextStep")}, After: "Call Ana", Stamp: stamp},
		},
		Targets: []steward.Ref{deal},
		Amount:  30000,
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got  %+v\nwant %+v", p, want)
	}
	if bodies != nil {
		t.Errorf("a preview wrote %v", bodies)
	}
}

func TestPreviewNamesThePeopleItConcerns(t *testing.T) {
	contact := steward.Ref{Connection: "salesforce", Object: "Contact", ID: contactID}
	for _, c := range []struct {
		tool, args string
		people     []steward.Ref
		target     string
	}{
		{updateTool, `{"object":"Contact","id":"` + contactID + `","values":{"Email":"ana@new.example"}}`, []steward.Ref{contact}, contactID},
		{updateTool, update(`{"ContactId":null}`), []steward.Ref{contact}, dealID},
		{updateTool, `{"object":"Task","id":"00T000000000009AAA","values":{"Status":"Open"}}`, []steward.Ref{contact}, "00T000000000009AAA"},
		{createTool, `{"object":"Task","values":{"Subject":"x","WhoId":"` + contactID + `"}}`, []steward.Ref{contact}, ""},
		{logTool, `{"type":"call","subject":"x","who_id":"` + contactID + `","what_id":"` + dealID + `"}`, []steward.Ref{contact}, ""},
		{logTool, `{"type":"call","subject":"x","what_id":"` + dealID + `"}`, nil, ""},
		{updateTool, update(`{"NextStep":"x"}`), nil, dealID},
	} {
		var bodies []string
		s := org(t, store(&bodies))
		p, err := s.preview(c.tool, c.args)
		if err != nil || !reflect.DeepEqual(p.People, c.people) || len(p.Targets) != 1 || p.Targets[0].ID != c.target {
			t.Errorf("%s: %+v %v", c.args, p, err)
		}
	}
}

func TestPreviewOfCreation(t *testing.T) {
	s := org(t, store(new([]string)))
	p, err := s.preview(createTool, `{"object":"Opportunity","values":{"Name":"New Deal","Amount":70000,"StageName":"Prospecting","CloseDate":"2026-12-31"}}`)
	if err != nil || p.Amount != 70000 || len(p.Changes) != 4 || len(s.requests()) != 0 {
		t.Fatalf("%+v %v, asked %v", p, err, s.requests())
	}
	for _, c := range p.Changes {
		if c.Value != nil || c.Of.ID != "" || c.Of.Field != c.Name || c.Of.Object != "Opportunity" || c.Stamp != "" {
			t.Errorf("%+v", c)
		}
	}
}

func TestPreviewRefuses(t *testing.T) {
	s := org(t, store(new([]string)))
	for _, c := range []struct {
		tool, args string
		kind       steward.Kind
		says       string
	}{
		{updateTool, update(`{"Amount":50000,"CloseDate":"2026-12-01","NextStep":""}`), steward.Invalid, "nothing would change"},
		{updateTool, update(`{"ContactId":"` + contactID[:15] + `"}`), steward.Invalid, "nothing would change"},
		{updateTool, strings.Replace(update(`{"NextStep":"x"}`), dealID, "006000000000777AAA", 1), steward.NotFound, "no Opportunity with this id"},
		{queryTool, `{"object":"Opportunity"}`, steward.Invalid, "nothing to preview"},
		{"salesforce_nothing", `{}`, steward.Invalid, "no such Salesforce tool"},
	} {
		_, err := s.preview(c.tool, c.args)
		if steward.KindOf(err) != c.kind || !strings.Contains(steward.Message(err), c.says) {
			t.Errorf("%s %s: %v", c.tool, c.args, err)
		}
	}
}

func TestUpdateWritesAndReadsBack(t *testing.T) {
	var bodies []string
	s := org(t, store(&bodies))
	reply, err := s.call(updateTool, update(`{"nextstep":null,"Amount":50000,"Kickoff__c":"2026-11-23T09:00:00+01:00"}`))
	if err != nil || len(reply.Records) != 1 {
		t.Fatalf("%+v %v", reply, err)
	}
	r := reply.Records[0]
	if r.ID != dealID || r.Get("Amount") != 50000.0 || r.Text("LastModifiedDate") != stamp || r.URL == "" {
		t.Errorf("%+v", r)
	}
	var sent map[string]any
	json.Unmarshal([]byte(bodies[0]), &sent)
	if want := map[string]any{"NextStep": nil, "Amount": 50000.0, "Kickoff__c": "2026-11-23T08:00:00.000+0000"}; !reflect.DeepEqual(sent, want) || len(bodies) != 1 {
		t.Errorf("sent %v", bodies)
	}
	// What was previewed reads the same when it is read back, datetimes included.
	if r.Text("Kickoff__c") != sent["Kickoff__c"] {
		t.Errorf("%v is not %v", r.Get("Kickoff__c"), sent["Kickoff__c"])
	}
}

func TestLogActivityMakesACompletedTask(t *testing.T) {
	for kind, want := range map[string]map[string]any{
		// The scripted org has no TaskSubtype, and its types know calls only.
		"call":    {"Subject": "Call with Ana Silva", "Status": "Completed", "Type": "Call", "ActivityDate": "2026-11-23", "WhoId": contactID},
		"meeting": {"Subject": "Call with Ana Silva", "Status": "Completed", "ActivityDate": "2026-11-23", "WhoId": contactID},
	} {
		var bodies []string
		s := org(t, store(&bodies))
		reply, err := s.call(logTool, `{"type":"`+kind+`","subject":"Call with Ana Silva","who_id":"`+contactID+`"}`)
		var sent map[string]any
		if err == nil {
			err = json.Unmarshal([]byte(bodies[0]), &sent)
		}
		if err != nil || !reflect.DeepEqual(sent, want) || reply.Records[0].ID != "00T000000000009AAA" || reply.Records[0].Text("WhoId") != contactID {
			t.Errorf("%s: %v %+v %v", kind, bodies, reply, err)
		}
	}
}

func TestFailureToReadBackIsNoFailureToWrite(t *testing.T) {
	writes := 0
	s := org(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch {
			writes++
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
	})
	reply, err := s.call(updateTool, update(`{"NextStep":"x"}`))
	if err != nil || writes != 1 || len(reply.Records) != 1 || reply.Records[0].ID != dealID || reply.Records[0].Fields != nil {
		t.Fatalf("%+v %v after %d writes", reply, err, writes)
	}
}

func TestWritesAreNeverRetried(t *testing.T) {
	for _, c := range []struct {
		name    string
		answer  func(http.ResponseWriter)
		kind    steward.Kind
		unknown bool
	}{
		{"refused", func(w http.ResponseWriter) { refuse(w, 403, "INSUFFICIENT_ACCESS_OR_READONLY", "no") }, steward.Denied, false},
		{"expired", func(w http.ResponseWriter) { refuse(w, 401, "INVALID_SESSION_ID", "no") }, steward.Unauthenticated, false},
		{"invalid", func(w http.ResponseWriter) {
			refuse(w, 400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "no")
		}, steward.Invalid, false},
		{"failed and said so", func(w http.ResponseWriter) { refuse(w, 500, "UNKNOWN_EXCEPTION", "no") }, steward.Upstream, false},
		{"slow down", func(w http.ResponseWriter) { w.WriteHeader(429) }, steward.Limited, false},
		{"a gateway's time-out", func(w http.ResponseWriter) { w.WriteHeader(504) }, steward.Upstream, true},
		{"connection closed", func(w http.ResponseWriter) { panic(http.ErrAbortHandler) }, steward.Upstream, true},
		{"created, but which?", func(w http.ResponseWriter) { w.WriteHeader(201); io.WriteString(w, `{"id":`) }, steward.Upstream, true},
		{"created, answer cut short", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "99")
			w.WriteHeader(201)
			io.WriteString(w, `{"id":`)
		}, steward.Upstream, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := org(t, func(w http.ResponseWriter, r *http.Request) { c.answer(w) })
			_, err := s.call(createTool, `{"object":"Opportunity","values":{"Name":"x"}}`)
			var theirs *connector.Error
			if steward.KindOf(err) != c.kind || !errors.As(err, &theirs) || theirs.Unknown != c.unknown {
				t.Errorf("%v %+v", err, theirs)
			}
			if c.unknown && !strings.Contains(steward.Message(err), "look at the record") {
				t.Errorf("message %q", steward.Message(err))
			}
			if len(s.requests()) != 1 {
				t.Errorf("asked %v", s.requests())
			}
		})
	}
}
