package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/sandbox"
)

// refused makes a request that must fail, and returns what it says.
func (w *world) refused(p person, method, path string, body any, status int) wire.Problem {
	w.t.Helper()
	var answer struct {
		Error wire.Problem `json:"error"`
	}
	if got := w.call(p, method, path, body, &answer); got != status {
		w.t.Errorf("%s %s: status %d, want %d (%+v)", method, path, got, status, answer.Error)
	}
	if len(answer.Error.Message) < 15 || strings.Contains(answer.Error.Message, "sql:") {
		w.t.Errorf("%s %s: the message helps nobody: %+v", method, path, answer.Error)
	}
	return answer.Error
}

// entries reads the ledger as the administrator.
func (w *world) entries(run steward.RunID) []wire.Entry {
	w.t.Helper()
	r, err := http.NewRequest("GET", w.url+"/api/v1/log?purpose=audit&run="+string(run), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.admin.token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var all []wire.Entry
	for d := json.NewDecoder(resp.Body); d.More(); {
		var e wire.Entry
		if err := d.Decode(&e); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func TestBadRequestsAreRefusedClearly(t *testing.T) {
	w := newWorld(t, nil)
	nobody, stranger := person{}, person{token: "stw_" + strings.Repeat("A", 43)}
	auditor := w.joinAs("audit@acme.example", "auditor")

	w.refused(nobody, "GET", "/api/v1/members", nil, 401)
	w.refused(stranger, "POST", "/api/v1/ask", map[string]string{"question": "pipeline by stage"}, 401)
	w.refused(w.rep, "POST", "/api/v1/ask", `{"question":`, 400)
	w.refused(w.rep, "POST", "/api/v1/ask", `{"question":"x"} {}`, 400)
	w.refused(w.rep, "POST", "/api/v1/ask", `{"sql":"x"}`, 400)
	w.refused(w.rep, "POST", "/api/v1/ask", `{"question":7}`, 400)
	w.refused(w.rep, "POST", "/api/v1/ask", map[string]string{"question": "  "}, 400)
	w.refused(w.rep, "POST", "/api/v1/ask", map[string]string{"question": strings.Repeat("pipeline ", 3000)}, 413)
	w.refused(w.rep, "POST", "/api/v1/ask", map[string]string{"question": strings.Repeat("x", 200_000)}, 413)
	w.refused(w.rep, "POST", "/api/v1/ask", map[string]string{"question": "pipeline by stage", "conversation": "con_none"}, 404)
	w.refused(w.rep, "GET", "/api/v1/workspaces/globex", nil, 404)
	w.refused(w.rep, "GET", "/api/v1/runs/run_none", nil, 404)
	w.refused(w.rep, "POST", "/api/v1/approvals/apr_none", map[string]string{"decision": "approve"}, 404)
	w.refused(w.rep, "POST", "/api/v1/approvals/apr_none", map[string]string{"decision": "perhaps"}, 400)
	w.refused(w.rep, "GET", "/api/v1/log?purpose=curiosity", nil, 400)
	w.refused(w.rep, "GET", "/api/v1/log?purpose=audit&from=-1", nil, 400)
	w.refused(w.rep, "GET", "/api/v1/log", nil, 403)
	w.refused(w.rep, "GET", "/api/v1/members", nil, 403)
	w.refused(w.rep, "POST", "/api/v1/members", map[string]string{"email": "x@y.example", "role": "admin"}, 403)
	w.refused(w.boss, "POST", "/api/v1/erasures", map[string]string{"person": "salesforce:Contact:003000000000000AAA"}, 403)
	w.refused(w.admin, "POST", "/api/v1/members", map[string]string{"email": "x@y.example", "role": "king"}, 400)
	w.refused(w.admin, "POST", "/api/v1/members", map[string]string{"email": "not an address", "role": "member"}, 400)
	w.refused(w.admin, "POST", "/api/v1/members", map[string]string{"email": w.rep.email, "role": "member"}, 409)
	w.refused(w.admin, "POST", "/api/v1/connections", map[string]string{"system": "hubspot", "instance_url": w.boxURL, "access_token": "x"}, 400)
	w.refused(w.admin, "POST", "/api/v1/connections", map[string]string{"system": "salesforce", "instance_url": "ftp://x", "access_token": "x"}, 400)
	w.refused(w.admin, "POST", "/api/v1/connections", map[string]string{"system": "salesforce", "instance_url": "http://169.254.169.254", "access_token": "x"}, 400)
	w.refused(w.rep, "POST", "/api/v1/connections", map[string]string{"system": "salesforce", "instance_url": "http://127.0.0.1:1", "access_token": "x"}, 403)
	w.refused(w.rep, "POST", "/api/v1/connections", map[string]string{"system": "salesforce", "instance_url": w.boxURL, "access_token": "x", "member": w.boss.email}, 403)
	w.refused(w.admin, "POST", "/api/v1/erasures", map[string]string{"person": "salesforce:Opportunity:006000000000000AAA"}, 400)
	w.refused(w.admin, "POST", "/api/v1/erasures", map[string]string{"person": "Maria"}, 400)
	w.refused(w.admin, "POST", "/api/v1/erasures", map[string]string{"person": "nobody@nowhere.example"}, 404)
	w.refused(w.admin, "GET", "/nothing", nil, 404)

	// An auditor reads and doesn't act.
	a := w.ask(auditor, "pipeline by stage")
	if a.Error == nil || a.Error.Kind != "denied" || a.Status != "failed" {
		t.Errorf("an auditor's question: %+v", a)
	}
	if last := w.entries(a.Run); !slices.ContainsFunc(last, func(e wire.Entry) bool { return e.Kind == "call.denied" && e.Decision == "deny" }) {
		t.Error("the auditor's denied call is not on record")
	}
	// Somebody else's run is theirs.
	theirs := w.ask(w.rep, "pipeline by stage")
	w.refused(w.boss, "GET", "/api/v1/runs/"+string(theirs.Run), nil, 403)

	// What nobody understands is answered with examples.
	b := w.ask(w.rep, "Compose a sonnet on the moon")
	if b.Status != "not_understood" || b.Error == nil || b.Error.Kind != "not_understood" || !strings.Contains(b.Answer, "?") {
		t.Errorf("nonsense: %+v", b)
	}
	// A token that is revoked no longer works, and trying it is on record.
	var tokens struct{ Tokens []wire.Token }
	w.must(auditor, "GET", "/api/v1/tokens", nil, &tokens)
	w.must(w.admin, "DELETE", "/api/v1/tokens/"+string(tokens.Tokens[0].ID), nil, nil)
	w.refused(auditor, "GET", "/api/v1/tokens", nil, 401)
	if all := w.entries(""); !slices.ContainsFunc(all, func(e wire.Entry) bool { return e.Kind == "auth.refused" }) {
		t.Error("the revoked token's use is not on record")
	}
}

// joinAs adds a member who has no account in the org.
func (w *world) joinAs(email, role string) person {
	w.t.Helper()
	var m wire.Member
	w.must(w.admin, "POST", "/api/v1/members", map[string]any{"email": email, "role": role}, &m)
	return person{email: email, token: m.Token}
}

// heal ends the org's faults.
func (w *world) heal() {
	w.t.Helper()
	r, err := http.NewRequest("DELETE", w.boxURL+"/sandbox/faults", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.admin.user.AccessToken)
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode >= 300 {
		w.t.Fatal(resp, err)
	}
	resp.Body.Close()
}

func TestFailingOrg(t *testing.T) {
	w := newWorld(t, nil)
	data := func(f sandbox.Fault) sandbox.Fault { f.Path = "/services/data"; return f }
	for _, c := range []struct {
		name  string
		fault sandbox.Fault
		kind  string
	}{
		{"401", data(sandbox.Fault{Status: 401}), "unauthenticated"},
		{"403", data(sandbox.Fault{Status: 403}), "denied"},
		{"404", data(sandbox.Fault{Status: 404}), "not_found"},
		{"429", data(sandbox.Fault{Status: 429}), "limited"},
		{"500", data(sandbox.Fault{Status: 500, Body: `[{"message":"oops","errorCode":"UNKNOWN_EXCEPTION"}]`}), "upstream"},
		{"garbage", data(sandbox.Fault{Status: 200, Body: "<html>maintenance</html>"}), "upstream"},
		{"nothing", data(sandbox.Fault{HangUp: "before"}), "upstream"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := w.box.Fail(c.fault); err != nil {
				t.Fatal(err)
			}
			a := w.ask(w.rep, "pipeline by stage")
			w.heal()
			if a.Error == nil || a.Error.Kind != c.kind || a.Status != "failed" || len(a.Error.Message) < 20 {
				t.Fatalf("status %s, error %+v, want kind %s", a.Status, a.Error, c.kind)
			}
			if strings.Contains(a.Error.Message, "maintenance") || strings.Contains(a.Error.Message, "oops") {
				t.Errorf("the system's own words got out: %s", a.Error.Message)
			}
			entries := w.entries(a.Run)
			if !slices.ContainsFunc(entries, func(e wire.Entry) bool { return e.Kind == "call.outcome" && e.Outcome == "error" && e.Error != "" }) {
				t.Errorf("the failure is not on record: %s", fmt.Sprint(entries))
			}
			if b := w.ask(w.rep, "pipeline by stage"); b.Status != "done" {
				t.Errorf("and afterwards: %+v", b.Error)
			}
		})
	}
}

// get fetches a path as somebody and returns the status and the body.
func (w *world) get(p person, path string) (int, string) {
	w.t.Helper()
	r, err := http.NewRequest("GET", w.url+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+p.token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestVerifiersReadTheLog(t *testing.T) {
	w := newWorld(t, nil)
	w.must(w.admin, "POST", "/api/v1/checkpoint", nil, nil)
	log := "/tlog/" + string(w.workspace())
	if status, body := w.get(w.admin, log+"/checkpoint"); status != 200 || !strings.Contains(body, string(w.workspace())+"\n") {
		t.Errorf("checkpoint: %d %s", status, body)
	}
	for _, path := range []string{"/vkey", "/checkpoint"} {
		if status, body := w.get(w.admin, log+path); status != 200 || body == "" {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, _ := w.get(w.admin, log+"/tile/0/999"); status != 404 {
		t.Errorf("a tile that isn't: %d", status)
	}
	if status, _ := w.get(w.rep, log+"/checkpoint"); status != 403 {
		t.Errorf("a representative reads the whole log: %d", status)
	}
	if status, _ := w.get(w.admin, "/tlog/ws_other/checkpoint"); status != 404 {
		t.Errorf("another workspace's log: %d", status)
	}
	sessions, denials := 0, 0
	for _, e := range w.entries("") {
		if e.Kind == "ledger.read" && e.Purpose == "audit" {
			sessions++
		}
		if e.Kind == "stored.denied" {
			denials++
		}
	}
	if sessions != 2 || denials != 1 { // the verifier's, and our own look just now
		t.Errorf("%d readings and %d denials are on record", sessions, denials)
	}
}
