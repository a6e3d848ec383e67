package api_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/retention"
)

func TestWhoIsToBeForgotten(t *testing.T) {
	t.Parallel()
	h := open(t)
	admin := h.found("acme")
	h.connect(admin, admin, h.users[0])
	_, _, contact := h.rep()
	colleague := h.org.Rows["User"][1]
	rep := h.join(admin, colleague.Text("Email"), "member")
	auditor := h.join(admin, "audit@acme.example", "auditor")
	twins := "Alex Twin"
	var ids []string
	for _, c := range h.org.Rows["Contact"] {
		if len(ids) < 2 && c.Text("Id") != contact.Text("Id") {
			c["Name"], ids = twins, append(ids, c.Text("Id"))
		}
	}
	for _, c := range []struct {
		who    person
		person string
		status int
		says   string
	}{
		{admin, contact.Text("Name"), 200, ""},
		{admin, strings.ToLower(contact.Text("Email")), 200, ""},
		{admin, contact.Text("Phone"), 200, ""},
		{admin, "salesforce:Contact:" + contact.Text("Id"), 200, ""},
		{admin, twins, 409, ids[0] + ", salesforce:Contact:" + ids[1]},
		{admin, "Nobody Whatsoever", 404, "name the record"},
		{admin, "+99 999 9999999", 404, "name the record"},
		{admin, "Ada", 400, "by full name"},
		{admin, "", 400, "by full name"},
		{admin, strings.Repeat("long name ", 100), 400, "by full name"},
		{admin, rep.email, 409, "steward member remove"},
		{admin, "salesforce:User:" + colleague.Text("Id"), 409, "steward member remove"},
		{admin, auditor.email, 409, "steward member remove"},
		{rep, contact.Text("Email"), 403, "your role"},
		{auditor, contact.Text("Email"), 403, "your role"},
	} {
		before := len(h.entries(admin))
		answer := h.do(c.who, "POST", "/api/v1/erasures", map[string]any{"person": c.person, "dry_run": true}, c.status, nil)
		if !bytes.Contains(answer, []byte(c.says)) {
			t.Errorf("%.40q: %s", c.person, answer)
		}
		recorded := h.entries(admin)[before:]
		if !slices.ContainsFunc(recorded, func(e wire.Entry) bool {
			return e.Tool == "erase" && e.Caller == string(c.who.id) && (c.status == 200 && e.Outcome == ledger.OK || c.status == 403 && e.Kind == ledger.StoredDenied || c.status != 200 && e.Outcome == ledger.Failed)
		}) {
			t.Errorf("%.40q isn't on record: %+v", c.person, recorded)
		}
	}
}

func TestCertificatesAreShown(t *testing.T) {
	t.Parallel()
	h := open(t)
	admin, other := h.found("acme"), h.found("other")
	rep := h.join(admin, "rep@acme.example", "member")
	auditor := h.join(admin, "audit@acme.example", "auditor")
	h.connect(admin, admin, h.users[0])
	_, _, contact := h.rep()
	var erasure retention.Erasure
	h.do(admin, "POST", "/api/v1/erasures", map[string]any{"person": "salesforce:Contact:" + contact.Text("Id")}, 200, &erasure)
	for _, p := range []person{admin, auditor} {
		var list struct{ Certificates []retention.Signed }
		h.do(p, "GET", "/api/v1/certificates", nil, 200, &list)
		if len(list.Certificates) != 1 || list.Certificates[0].Certificate.ID != erasure.Certificate {
			t.Errorf("%+v", list)
		}
		for _, id := range []string{erasure.Certificate, string(erasure.ID)} {
			var one retention.Signed
			h.do(p, "GET", "/api/v1/certificates/"+id, nil, 200, &one)
			if one.Note != list.Certificates[0].Note || one.Certificate.Requester != admin.id {
				t.Errorf("%+v", one)
			}
		}
		h.do(p, "GET", "/api/v1/certificates/crt_none", nil, 404, nil)
		var duties struct{ Erasures []retention.Duty }
		raw := h.do(p, "GET", "/api/v1/erasures", nil, 200, &duties)
		if len(duties.Erasures) != 1 || duties.Erasures[0].State != retention.Complete || bytes.Contains(raw, []byte(contact.Text("Id"))) {
			t.Errorf("%s", raw)
		}
	}
	for _, path := range []string{"/api/v1/certificates", "/api/v1/erasures", "/api/v1/certificates/" + erasure.Certificate} {
		h.do(rep, "GET", path, nil, 403, nil)
	}
	h.do(other, "GET", "/api/v1/certificates/"+erasure.Certificate, nil, 404, nil)
	if raw := h.do(other, "GET", "/api/v1/erasures", nil, 200, nil); string(raw) != "{\"erasures\":[]}\n" {
		t.Errorf("another workspace's: %s", raw)
	}
}
