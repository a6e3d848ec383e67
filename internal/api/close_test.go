package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/retention"
	"github.com/stewardhq/steward/internal/retention/custody"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

// shown is what the API says of a workspace.
type shown struct {
	Workspace string
	Closing   retention.Closing
}

func TestAClosedWorkspaceRefusesAllButWhatIsLeftToAdministrators(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		h := openOn(t, on)
		admin := h.found("acme")
		second := h.join(admin, "bo@acme.example", "admin")
		member := h.join(admin, "ana@acme.example", "member")
		auditor := h.join(admin, "aud@acme.example", "auditor")
		elsewhere := h.found("other")
		ask := map[string]any{"grace_days": 10}

		h.do(member, "POST", "/api/v1/workspace/close", ask, http.StatusForbidden, nil)
		h.do(auditor, "POST", "/api/v1/workspace/close", ask, http.StatusForbidden, nil)
		for _, wrong := range []any{map[string]any{"grace_days": -1}, map[string]any{"grace_days": 91}, map[string]any{"grace_days": 3, "delete": true}, `{"grace_days":"x"}`, ""} {
			h.do(admin, "POST", "/api/v1/workspace/close", wrong, http.StatusBadRequest, nil)
		}
		h.do(admin, "POST", "/api/v1/workspace/reopen", nil, http.StatusConflict, nil)
		var closing retention.Closing
		h.do(admin, "POST", "/api/v1/workspace/close", ask, http.StatusAccepted, &closing)
		h.do(admin, "POST", "/api/v1/workspace/close", ask, http.StatusAccepted, &closing)
		h.do(member, "GET", "/api/v1/workspace", nil, http.StatusOK, nil) // nothing is closed yet
		h.do(second, "POST", "/api/v1/workspace/close", ask, http.StatusOK, &closing)
		if closing.State != retention.Closed || closing.AskedBy != admin.id || closing.ClosedBy != second.id || !closing.Ends.Equal(today.AddDate(0, 0, 10)) {
			t.Fatalf("%+v", closing)
		}
		h.do(second, "POST", "/api/v1/workspace/close", ask, http.StatusConflict, nil)

		refused := func(p person, method, path string, body any) {
			t.Helper()
			answer := h.do(p, method, path, body, http.StatusForbidden, nil)
			if !strings.Contains(string(answer), "workspace is closed") || !strings.Contains(string(answer), "2026-12-03") {
				t.Errorf("%s %s: %s", method, path, answer)
			}
		}
		for _, p := range []person{admin, member, auditor} {
			refused(p, "POST", "/api/v1/ask", map[string]string{"question": "What is our win rate?"})
			refused(p, "GET", "/api/v1/members", nil)
			refused(p, "POST", "/api/v1/tokens", map[string]any{})
			refused(p, "POST", "/api/v1/erasures", map[string]any{"person": "ana@acme.example"})
		}
		refused(member, "GET", "/api/v1/workspace", nil)
		refused(member, "POST", "/api/v1/workspace/reopen", nil)
		refused(auditor, "GET", "/api/v1/log?purpose=audit", nil)
		var s shown
		h.do(admin, "GET", "/api/v1/workspace", nil, http.StatusOK, &s)
		if s.Closing.State != retention.Closed {
			t.Errorf("it stands as %+v", s)
		}
		h.do(admin, "GET", "/api/v1/retention", nil, http.StatusOK, nil)
		h.do(admin, "POST", "/api/v1/checkpoint", nil, http.StatusOK, nil)
		h.do(admin, "GET", "/tlog/"+s.Workspace+"/checkpoint", nil, http.StatusOK, nil)
		kinds := map[ledger.Kind]int{}
		for _, e := range h.entries(admin) {
			kinds[e.Kind]++
		}
		if kinds[ledger.AuthRefused] != 15 || kinds[ledger.WorkspaceClosed] != 2 || kinds[ledger.StoredDenied] != 2 {
			t.Errorf("on record is %v", kinds)
		}
		h.do(elsewhere, "GET", "/api/v1/members", nil, http.StatusOK, nil)

		h.do(second, "POST", "/api/v1/workspace/reopen", nil, http.StatusOK, &s)
		if s.Closing.State != retention.Open {
			t.Errorf("it stands as %+v", s)
		}
		h.do(member, "GET", "/api/v1/workspace", nil, http.StatusOK, nil)
		h.do(admin, "GET", "/api/v1/members", nil, http.StatusOK, nil)
	})
}

func TestADeletedWorkspaceIsNobodys(t *testing.T) {
	h := open(t)
	admin, elsewhere := h.found("acme"), h.found("other")
	var closing retention.Closing
	h.do(admin, "POST", "/api/v1/workspace/close", map[string]any{"delete": true}, http.StatusOK, &closing)
	if !closing.Delete || !closing.Due.Equal(closing.Ends.AddDate(0, 0, 30)) {
		t.Errorf("%+v", closing)
	}
	h.later.Store(120)
	h.do(admin, "POST", "/api/v1/workspace/reopen", nil, http.StatusConflict, nil)
	h.must(h.server.Closer.CarryOut(context.Background()))
	h.do(admin, "POST", "/api/v1/workspace/reopen", nil, http.StatusUnauthorized, nil)
	h.do(admin, "GET", "/api/v1/workspace", nil, http.StatusUnauthorized, nil)
	h.do(elsewhere, "GET", "/api/v1/members", nil, http.StatusOK, nil)
	again := h.found("acme") // the name is free
	h.do(again, "GET", "/api/v1/members", nil, http.StatusOK, nil)
}

// late is holds before one of which is placed something happens.
type (
	late struct {
		kept
		before func()
	}
	kept interface{ custody.Holds }
)

func (l late) Place(ctx context.Context, ws steward.WorkspaceID, h custody.Hold) error {
	l.before()
	return l.kept.Place(ctx, ws, h)
}

// Whoever is told that a hold is placed can rely on it.
func TestAHoldThatComesTooLateIsNotPlaced(t *testing.T) {
	h := open(t)
	admin := h.found("acme")
	var closing retention.Closing
	h.do(admin, "POST", "/api/v1/workspace/close", map[string]any{"grace_days": 1}, http.StatusOK, &closing)
	h.do(admin, "POST", "/api/v1/holds", map[string]string{"ground": "case-1"}, http.StatusOK, nil)
	h.server.Custody.Holds = late{h.server.Custody.Holds, func() {
		closing.State = retention.Ending
		h.must(h.server.Closer.Closings.PutClosing(context.Background(), retention.Closed, closing))
	}}
	h.do(admin, "POST", "/api/v1/holds", map[string]string{"ground": "case-2"}, http.StatusGone, nil)
}

func TestDisconnecting(t *testing.T) {
	h := open(t)
	admin := h.found("acme")
	user, _, _ := h.rep()
	ana, ben := h.join(admin, "ana@acme.example", "member"), h.join(admin, "ben@acme.example", "member")
	h.connect(admin, ana, user)
	h.do(ben, "DELETE", "/api/v1/connections/salesforce?member=ana@acme.example", nil, http.StatusForbidden, nil)
	h.do(ben, "DELETE", "/api/v1/connections/salesforce", nil, http.StatusNotFound, nil)
	h.do(ana, "DELETE", "/api/v1/connections/sap", nil, http.StatusBadRequest, nil)
	var done wire.Disconnected
	h.do(admin, "DELETE", "/api/v1/connections/salesforce?member=ana@acme.example", nil, http.StatusOK, &done)
	if done.Member != ana.id || done.Connection != "salesforce" || !done.Revoked || done.Why != "" || !strings.HasPrefix(done.Certificate, "crt_") {
		t.Errorf("%+v", done)
	}
	_, answer := h.send(ana, "POST", "/api/v1/ask", map[string]string{"question": "What is our win rate this quarter?"})
	if !strings.Contains(string(answer), "steward connect salesforce") {
		t.Errorf("asking says %s", answer)
	}
	h.do(ana, "DELETE", "/api/v1/connections/salesforce", nil, http.StatusNotFound, nil)
	h.connect(admin, ana, user)
	h.do(ana, "DELETE", "/api/v1/connections/salesforce", nil, http.StatusOK, nil)
}
