package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/privacy"
	"github.com/stewardhq/steward/internal/retention/custody"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

// Two tenants in one house: whatever one of them knows of the other's ids, there is no such thing for it.
func TestAnotherTenantsIdsNameNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		t.Parallel()
		h := openOn(t, on)
		user, deal, contact := h.rep()
		acme, rival := h.found("acme"), h.found("rival")
		rep, spy := h.join(acme, "rep@acme.example", "member"), h.join(rival, "spy@rival.example", "member")
		h.connect(acme, rep, user)
		h.connect(rival, spy, user)
		h.connect(rival, rival, h.users[0])

		var run wire.Answer
		h.do(rep, "POST", "/api/v1/ask", map[string]string{
			"question": fmt.Sprintf("Set the next step of %s to 'Call %s'", deal.Text("Name"), contact.Text("Name")),
		}, http.StatusAccepted, &run)
		var tokens struct{ Tokens []wire.Token }
		h.do(rep, "GET", "/api/v1/tokens", nil, http.StatusOK, &tokens)
		h.do(acme, "POST", "/api/v1/providers", llm.Provider{
			Name: "claude-of-acme", Kind: "anthropic", Models: []string{"claude-x"}, Endpoint: "https://api.anthropic.com", Regions: []string{"eu"},
			Arrangement: &llm.Arrangement{ID: "ZDR-1", Scope: "keeps nothing", From: today, To: today.AddDate(1, 0, 0), EvidenceSHA256: strings.Repeat("0a", 32), Regions: []string{"eu"}},
		}, http.StatusCreated, nil)
		before := len(h.entries(acme))

		for _, who := range []person{rival, spy} {
			var answers []byte
			for _, r := range []struct {
				method, path string
				body         any
				status       int
			}{
				{"GET", "/api/v1/runs/" + string(run.Run), nil, 404},
				{"GET", "/api/v1/runs/" + string(run.Run) + "?purpose=audit", nil, 404},
				{"GET", "/api/v1/runs/" + string(run.Run) + "/dialogue?purpose=audit", nil, 404},
				{"POST", "/api/v1/approvals/" + string(run.Approval.ID), map[string]string{"decision": "approve"}, 404},
				{"POST", "/api/v1/approvals/" + string(run.Approval.ID), map[string]string{"decision": "deny"}, 404},
				{"POST", "/api/v1/ask", map[string]string{"question": "Show the pipeline", "conversation": string(run.Conversation)}, 404},
				{"DELETE", "/api/v1/members/" + string(rep.id), nil, 404},
				{"DELETE", "/api/v1/members/" + rep.email, nil, 404},
				{"GET", "/api/v1/tokens?member=" + string(rep.id), nil, 404},
				{"POST", "/api/v1/tokens", map[string]string{"member": string(rep.id)}, 404},
				{"DELETE", "/api/v1/tokens/" + string(tokens.Tokens[0].ID), nil, 404},
				{"POST", "/api/v1/connections", map[string]string{"system": "salesforce", "instance_url": h.orgURL, "access_token": "x", "member": string(rep.id)}, 404},
				{"GET", "/api/v1/workspaces/acme", nil, 404},
				{"GET", "/api/v1/log?purpose=audit&run=" + string(run.Run), nil, 200},
				{"GET", "/api/v1/approvals", nil, 200},
				{"GET", "/api/v1/workspace", nil, 200},
				{"GET", "/api/v1/connections", nil, 200},
				{"POST", "/api/v1/providers/claude-of-acme/1/approve", nil, 404},
				{"DELETE", "/api/v1/providers/claude-of-acme/1", nil, 404},
			} {
				answers = append(answers, h.do(who, r.method, r.path, r.body, r.status, nil)...)
			}
			for _, theirs := range []string{"acme", rep.email, string(rep.id), contact.Text("Name"), deal.Text("Name"), string(run.Approval.ID) + `","run`} {
				// What was asked for may be said back; nothing else of it.
				if text := strings.NewReplacer(`workspace \"acme\"`, "", rep.email, "").Replace(string(answers)); strings.Contains(text, theirs) {
					t.Errorf("an answer holds %q", theirs)
				}
			}
			// A token of theirs in a question is a text like any other.
			token := privacy.Tokens(string(h.do(rep, "GET", "/api/v1/runs/"+string(run.Run)+"/dialogue", nil, http.StatusOK, nil)))
			if len(token) == 0 {
				t.Fatal("the dialogue has no token")
			}
			if answer := h.do(who, "POST", "/api/v1/ask", map[string]string{"question": "Find contact " + token[0]}, http.StatusGone, nil); strings.Contains(string(answer), contact.Text("Name")) {
				t.Errorf("another tenant's token was read: %s", answer)
			}
		}
		// Nor do searches, proofs, schedules and holds reach over.
		var held struct {
			Holds []custody.Hold `json:"holds"`
		}
		h.do(rival, "POST", "/api/v1/checkpoint", nil, http.StatusOK, nil)
		h.do(acme, "POST", "/api/v1/holds", map[string]string{"ground": "case-17"}, http.StatusOK, &held)
		for _, r := range []struct {
			method, path string
			status       int
		}{
			{"GET", "/api/v1/log?purpose=audit&text=" + string(run.Run), 200},
			{"GET", "/api/v1/log?purpose=audit&member=" + string(rep.id), 200},
			{"GET", "/api/v1/log?purpose=audit&target=salesforce:Opportunity:" + deal.Text("Id"), 200},
			{"GET", "/api/v1/log?purpose=audit&person=salesforce:Contact:" + contact.Text("Id"), 200},
			{"GET", "/api/v1/log?purpose=audit&format=jsonl", 200},
			{"GET", "/api/v1/log/4000/receipt?purpose=audit", 404},
			{"GET", "/api/v1/retention", 200},
			{"GET", "/api/v1/providers", 200},
			{"DELETE", "/api/v1/holds/" + held.Holds[0].ID, 404},
		} {
			answer := string(h.do(rival, r.method, r.path, nil, r.status, nil))
			for _, theirs := range []string{`"on_behalf_of":"` + string(rep.id), deal.Text("Id"), "case-17", "claude-of-acme"} {
				if strings.Contains(answer, theirs) {
					t.Errorf("%s %s says %q: %s", r.method, r.path, theirs, answer)
				}
			}
		}
		h.do(acme, "DELETE", "/api/v1/holds/"+held.Holds[0].ID, nil, http.StatusOK, nil)
		for _, e := range h.entries(acme)[before:] {
			if e.OnBehalfOf != acme.id && e.OnBehalfOf != rep.id {
				t.Errorf("the other tenant is in this one's record: %+v", e)
			}
		}
		h.do(rep, "POST", "/api/v1/approvals/"+string(run.Approval.ID), map[string]string{"decision": "approve"}, http.StatusOK, &run)
	})
}

func TestColleagues(t *testing.T) {
	t.Parallel()
	h := open(t)
	user, deal, contact := h.rep()
	name := contact.Text("Name")
	admin := h.found("acme")
	rep, ben := h.join(admin, "rep@acme.example", "member"), h.join(admin, "ben@acme.example", "member")
	max, aud := h.join(admin, "max@acme.example", "manager"), h.join(admin, "aud@acme.example", "auditor")
	h.connect(admin, rep, user)
	h.connect(admin, admin, h.users[0])
	var run wire.Answer
	answer := h.do(rep, "POST", "/api/v1/ask", map[string]string{
		"question": fmt.Sprintf("Set the next step of %s to 'Call %s'", deal.Text("Name"), name),
	}, http.StatusAccepted, &run)
	if !strings.Contains(string(answer), name) {
		t.Fatalf("the member isn't shown the name they typed: %s", answer)
	}
	show, approval := "/api/v1/runs/"+string(run.Run), "/api/v1/approvals/"+string(run.Approval.ID)
	yes, no := map[string]string{"decision": "approve"}, map[string]string{"decision": "deny"}

	for _, who := range []person{ben, max} {
		h.do(who, "GET", show, nil, 403, nil)
		h.do(who, "GET", show+"?purpose=audit", nil, 403, nil)
		h.do(who, "GET", show+"/dialogue?purpose=audit", nil, 403, nil)
		h.do(who, "POST", "/api/v1/ask", map[string]string{"question": "Show the pipeline", "conversation": string(run.Conversation)}, 404, nil)
	}
	h.do(admin, "GET", show, nil, 403, nil)
	h.do(admin, "GET", show+"?purpose=curiosity", nil, 400, nil)
	if seen := h.do(admin, "GET", show+"?purpose=audit", nil, 202, nil); !strings.Contains(string(seen), name) {
		t.Errorf("an administrator who may read the contact isn't shown it: %s", seen)
	}
	// An auditor has no credential, so references stay what they are.
	var tokens wire.Answer
	h.do(aud, "GET", show, nil, 403, nil)
	if seen := h.do(aud, "GET", show+"?purpose=audit", nil, 202, &tokens); strings.Contains(string(seen), name) || len(privacy.Tokens(tokens.Question)) == 0 {
		t.Errorf("an auditor without a credential is shown %s", seen)
	}
	h.do(aud, "GET", show+"/dialogue?purpose=compliance", nil, 200, nil)
	if seen := h.do(max, "GET", "/api/v1/approvals", nil, 200, nil); strings.Contains(string(seen), name) || !strings.Contains(string(seen), string(run.Approval.ID)) {
		t.Errorf("a manager without a credential is shown %s", seen)
	}
	if seen := h.do(ben, "GET", "/api/v1/approvals", nil, 200, nil); strings.Contains(string(seen), "apr_") {
		t.Errorf("a colleague is shown %s", seen)
	}

	for _, who := range []person{ben, aud} {
		h.do(who, "POST", approval, yes, 403, nil)
		h.do(who, "POST", approval, no, 403, nil)
	}
	h.do(max, "POST", approval, yes, 403, nil) // can't read the name

	// Late: who may not decide doesn't end it either.
	h.later.Store(int64(7 * 24 * time.Hour / time.Second))
	h.do(ben, "POST", approval, yes, 403, nil)
	h.do(ben, "POST", approval, no, 403, nil)
	h.do(rep, "GET", show, nil, 202, &run)
	if run.Status != wire.Waiting {
		t.Fatalf("after refusals it is %s", run.Status)
	}
	h.do(rep, "POST", approval, yes, 409, nil)
	h.do(rep, "POST", approval, yes, 409, nil)
	h.do(rep, "GET", show, nil, 200, &run)
	if run.Status != wire.Done || deal.Text("NextStep") == "Call "+name {
		t.Errorf("expired, it is %s and the next step %q", run.Status, deal.Text("NextStep"))
	}
	var kinds []ledger.Kind
	for _, e := range h.entries(admin) {
		kinds = append(kinds, e.Kind)
	}
	if !slices.Contains(kinds, ledger.ApprovalExpired) || slices.Contains(kinds, ledger.ApprovalGranted) || !slices.Contains(kinds, ledger.RunRead) || !slices.Contains(kinds, ledger.StoredDenied) {
		t.Errorf("on record: %v", kinds)
	}
}

func TestRequestsAreReadStrictly(t *testing.T) {
	t.Parallel()
	h := open(t)
	admin := h.found("acme")
	for path, good := range map[string]string{
		"/api/v1/ask": `{"question":"x"`, "/api/v1/approvals/apr_1": `{"decision":"deny"`, "/api/v1/members": `{"email":"a@b.example","role":"member"`,
		"/api/v1/tokens": `{"days":1`, "/api/v1/connections": `{"system":"salesforce"`, "/api/v1/erasures": `{"person":"a@b.example"`,
	} {
		for body, status := range map[string]int{
			"": 400, "null{": 400, good: 400, good + "} {}": 400, good + "}]": 400, "[]": 400, `"x"`: 400,
			good + `,"Maria Gonzalez":"+14155550123"}`: 400, strings.Repeat(" ", 64<<10) + good + "}": 413,
		} {
			h.do(admin, "POST", path, body, status, nil)
		}
		h.do(person{}, "POST", path, good+"}", 401, nil)
	}
	h.do(admin, "POST", "/api/v1/tokens", map[string]any{"days": 7 << 50}, 400, nil)
	h.do(admin, "POST", "/api/v1/tokens", map[string]any{"days": -1}, 400, nil)
	h.do(admin, "PUT", "/api/v1/ask", nil, 404, nil)
	h.do(admin, "GET", "/api/v1/../../etc/passwd", nil, 404, nil)
	h.do(person{token: "stw_Maria"}, "GET", "/api/v1/members", nil, 401, nil)
	for _, said := range []string{"Maria", "4155550123"} {
		if strings.Contains(h.log.String(), said) {
			t.Errorf("the log repeats what was sent: %s", h.log)
		}
	}

	// Nor does the record: neither a run nor a system is named by what only looks like one.
	h.do(admin, "GET", "/api/v1/log?purpose=audit&run=Maria%20Gonzalez", nil, 200, nil)
	h.do(admin, "GET", "/api/v1/log?purpose=audit&run=maria@gonzalez.example", nil, 200, nil)
	h.do(admin, "POST", "/api/v1/connections", map[string]string{"system": "MariaGonzalez", "instance_url": h.orgURL, "access_token": "x"}, 400, nil)
	for _, e := range h.entries(admin) {
		if raw, _ := json.Marshal(e); strings.Contains(strings.ToLower(string(raw)), "gonzalez") {
			t.Errorf("made-up text is on record: %s", raw)
		}
	}
}

func TestTheLogIsALineAnEntry(t *testing.T) {
	t.Parallel()
	h := open(t)
	admin := h.found("acme")
	member := h.join(admin, "ana@acme.example", "member")
	resp, body := h.send(admin, "GET", "/api/v1/log?purpose=audit", nil)
	if resp.Header.Get("Content-Type") != "application/x-ndjson" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", resp.Header)
	}
	lines := 0
	for s := bufio.NewScanner(strings.NewReader(string(body))); s.Scan(); lines++ {
		var e wire.Entry
		if err := json.Unmarshal(s.Bytes(), &e); err != nil || e.Seq != uint64(lines) || e.Targets == nil || e.Policies == nil {
			t.Errorf("line %d is %s: %v", lines, s.Bytes(), err)
		}
	}
	if lines < 4 {
		t.Errorf("%d lines", lines)
	}
	// A member reads what was done on their behalf, and that they read it.
	for _, line := range strings.Split(strings.TrimSpace(string(h.do(member, "GET", "/api/v1/log?purpose=audit", nil, 200, nil))), "\n") {
		var e wire.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.OnBehalfOf != member.id {
			t.Errorf("a member reads %s: %v", line, err)
		}
	}

	// An entry that can't be read breaks the answer off, so that nobody takes it for all.
	h.garbled.Store(true)
	r, err := http.NewRequest("GET", h.url+"/api/v1/log?purpose=audit", nil)
	h.must(err)
	r.Header.Set("Authorization", "Bearer "+admin.token)
	if resp, err := http.DefaultClient.Do(r); err == nil {
		s := bufio.NewScanner(resp.Body)
		for s.Scan() {
		}
		resp.Body.Close()
		if s.Err() == nil {
			t.Error("a log that broke off looks whole")
		}
	}
	if !strings.Contains(h.log.String(), "log broke off") {
		t.Errorf("the operator isn't told: %s", h.log)
	}
}

func TestForgettingTakesTwoWhereThereAreTwo(t *testing.T) {
	t.Parallel()
	h := open(t)
	admin := h.found("acme")
	_, _, contact := h.rep()
	h.connect(admin, admin, h.users[0])
	person := "salesforce:Contact:" + contact.Text("Id")
	other := h.join(admin, "second@acme.example", "admin")
	var erasure struct {
		Status string
		Keys   int
	}
	h.do(admin, "POST", "/api/v1/erasures", map[string]any{"person": person, "dry_run": true}, 200, &erasure)
	if erasure.Status != "dry_run" {
		t.Errorf("a dry run: %+v", erasure)
	}
	for _, e := range h.entries(admin) {
		if e.Kind == ledger.ErasureRequested || e.Kind == ledger.ErasureDone {
			t.Errorf("on record: %+v", e)
		}
	}
	for range 2 { // asking again is not agreeing
		h.do(admin, "POST", "/api/v1/erasures", map[string]any{"person": person}, 202, &erasure)
		if erasure.Status != "waiting" || erasure.Keys != 0 {
			t.Errorf("one of two administrators asks: %+v", erasure)
		}
	}
	h.do(other, "POST", "/api/v1/erasures", map[string]any{"person": person}, 200, &erasure)
	if erasure.Status != "forgotten" {
		t.Errorf("the other agrees: %+v", erasure)
	}
	h.do(admin, "DELETE", "/api/v1/members/"+string(other.id), nil, 200, nil)
	// Nothing is kept of them, and that is no failure.
	h.do(admin, "POST", "/api/v1/erasures", map[string]any{"person": person}, 200, &erasure)
	if erasure.Status != "forgotten" || erasure.Keys != 0 {
		t.Errorf("somebody of whom nothing is kept: %+v", erasure)
	}
}

func TestAnApprovalWhoseWordsAreGoneHidesNoOther(t *testing.T) {
	t.Parallel()
	h := open(t)
	user, deal, _ := h.rep()
	admin := h.found("acme")
	rep := h.join(admin, "rep@acme.example", "member")
	h.connect(admin, rep, user)
	ask := func(step string) (a wire.Answer) {
		h.do(rep, "POST", "/api/v1/ask", map[string]string{"question": fmt.Sprintf("Set the next step of %s to '%s'", deal.Text("Name"), step)}, 202, &a)
		return a
	}
	old := ask("Send the paper")
	h.later.Store(24 * 3600)
	fresh := ask("Send the contract")
	h.must(h.server.Eraser.Keyring.Shred(context.Background(), h.workspace(), steward.TimeScope(steward.ClassRun, today)))
	seen := string(h.do(rep, "GET", "/api/v1/approvals", nil, 200, nil))
	if !strings.Contains(seen, string(fresh.Approval.ID)) || strings.Contains(seen, string(old.Approval.ID)) {
		t.Errorf("shown are %s", seen)
	}
	h.do(rep, "POST", "/api/v1/approvals/"+string(old.Approval.ID), map[string]string{"decision": "approve"}, 410, nil)
	h.do(rep, "GET", "/api/v1/runs/"+string(old.Run), nil, 410, nil)
}

func (h *house) workspace() steward.WorkspaceID {
	h.t.Helper()
	all, err := h.server.Directory.Workspaces.AllWorkspaces(context.Background())
	if err != nil || len(all) != 1 {
		h.t.Fatalf("%d workspaces: %v", len(all), err)
	}
	return all[0].ID
}
