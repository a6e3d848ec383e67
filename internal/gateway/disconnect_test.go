package gateway_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/credential"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
)

// revocable is a system that can be told to accept a credential no more.
type revocable struct {
	*system
	told []connector.Secret
	fail error
}

func (r *revocable) Revoke(_ context.Context, s connector.Session) error {
	r.told = append(r.told, s.AccessToken)
	return r.fail
}

func (h *house) removals() (all []ledger.Header) {
	h.t.Helper()
	h.must(h.Ledger.Read(context.Background(), h.ws, ledger.Query{Kind: ledger.ConnectionRemoved}, func(e ledger.Header) error {
		all = append(all, e)
		return nil
	}))
	return all
}

// certified is enough of a certificate here.
func certified(context.Context, credential.Disconnected) error { return nil }

func TestDisconnect(t *testing.T) {
	ctx := context.Background()
	h := open(t)
	crm := &revocable{system: h.system}
	h.Connectors["crm"] = crm
	ana, ben, admin := h.ana(), h.ben(), h.admin()
	sealed, err := h.Credentials.Credential(ctx, h.ws, "crm", ana.Member())
	h.must(err)

	for _, c := range []struct {
		who  identity.Caller
		of   identity.Caller
		from steward.ConnectionID
		kind steward.Kind
	}{
		{ben, ana, "crm", steward.Denied},
		{h.auditor(), h.auditor(), "crm", steward.Denied},
		{ana, ana, "erp", steward.Invalid},
		{admin, h.auditor(), "crm", steward.NotFound},
	} {
		if _, err := h.Disconnect(ctx, c.who, c.of.Member(), c.from, certified); steward.KindOf(err) != c.kind {
			t.Errorf("%s disconnects %s from %s: %v", c.who.Role(), c.of.Role(), c.from, err)
		}
	}
	if len(crm.told) != 0 || len(h.removals()) != 0 {
		t.Fatalf("%v were revoked, %v are on record", crm.told, h.removals())
	}

	done, err := h.Disconnect(ctx, ana, ana.Member(), "crm", certified)
	if err != nil || !done.Revoked || !slices.Equal(done.Scopes, sealed.Scopes) {
		t.Fatalf("%+v, %v", done, err)
	}
	if !slices.Equal(crm.told, []connector.Secret{"ana@acme.example"}) {
		t.Errorf("revoked were %v", crm.told)
	}
	at := steward.Place{Workspace: h.ws, Table: "credentials", Row: "crm/" + string(ana.Member())}
	if _, err := h.Sealer.Open(ctx, at, sealed); steward.KindOf(err) != steward.Gone {
		t.Errorf("the credential opens: %v", err)
	}
	if _, err := h.Credentials.Credential(ctx, h.ws, "crm", ana.Member()); steward.KindOf(err) != steward.NotFound {
		t.Errorf("the row is there: %v", err)
	}
	_, err = h.try(ana, h.ask(ana, "how is the deal?"), "crm_read", readDeal)
	if steward.KindOf(err) != steward.Unauthenticated || !strings.Contains(steward.Message(err), "steward connect crm") {
		t.Errorf("asking says %v", err)
	}
	if _, err := h.Disconnect(ctx, ana, ana.Member(), "crm", certified); steward.KindOf(err) != steward.NotFound {
		t.Errorf("twice: %v", err)
	}

	// Whatever the system says, the key goes.
	crm.fail = steward.Errorf(steward.Upstream, "the system is down; try again").Because(errors.New("refused"))
	sealed, err = h.Credentials.Credential(ctx, h.ws, "crm", ben.Member())
	h.must(err)
	// Until it is certified another try goes on from there.
	full := errors.New("the disk is full")
	done, err = h.Disconnect(ctx, admin, ben.Member(), "crm", func(context.Context, credential.Disconnected) error { return full })
	if !errors.Is(err, full) || done.Why != "the system is down; try again" {
		t.Errorf("not certified: %+v, %v", done, err)
	}
	var stated credential.Disconnected
	done, err = h.Disconnect(ctx, admin, ben.Member(), "crm", func(_ context.Context, d credential.Disconnected) error { stated = d; return nil })
	if !slices.Equal(stated.Scopes, sealed.Scopes) {
		t.Errorf("certified is %v, and went %v", stated.Scopes, sealed.Scopes)
	}
	if err != nil || done.Revoked || !strings.Contains(done.Why, "an earlier try") {
		t.Errorf("%+v, %v", done, err)
	}
	at.Row = "crm/" + string(ben.Member())
	if _, err := h.Sealer.Open(ctx, at, sealed); steward.KindOf(err) != steward.Gone {
		t.Errorf("the credential opens: %v", err)
	}
	found := h.removals()
	if len(found) != 2 || found[0].Error != "" || found[1].Error != "not_revoked" || found[1].OnBehalfOf != admin.Member() || found[1].Targets[0] != string(ben.Member()) {
		t.Errorf("on record is %+v", found)
	}

	// One can connect again, and doing so destroys the key of before.
	var scopes []steward.Scope
	for range 2 {
		_, err = h.Connect(ctx, ana, ana.Member(), "crm", "https://crm.example", "ana@acme.example")
		h.must(err)
		if len(scopes) > 0 {
			if _, err := h.Sealer.Derive(ctx, h.ws, scopes[0], "try"); steward.KindOf(err) != steward.Gone {
				t.Errorf("the key of before is there: %v", err)
			}
		}
		again, err := h.Credentials.Credential(ctx, h.ws, "crm", ana.Member())
		h.must(err)
		scopes = again.Scopes
	}
	if _, err := h.try(ana, h.ask(ana, "how is the deal?"), "crm_read", readDeal); err != nil {
		t.Error(err)
	}
}

// A run that is under way when its workspace is closed goes no further.
func TestNothingIsDoneInAClosedWorkspace(t *testing.T) {
	ctx := context.Background()
	h := open(t)
	denied := func() (n int) {
		h.must(h.Ledger.Read(ctx, h.ws, ledger.Query{Kind: ledger.CallDenied}, func(ledger.Header) error { n++; return nil }))
		return n
	}
	q := h.ask(h.ana(), "how is the deal?")
	for i, kind := range []steward.Kind{steward.Denied, steward.Gone} {
		h.Closed = func(context.Context, steward.WorkspaceID) error { return steward.Errorf(kind, "it is closed") }
		if _, err := h.try(h.ana(), q, "crm_read", readDeal); steward.KindOf(err) != kind {
			t.Errorf("%v", err)
		}
		if n := denied(); n != 1 {
			t.Errorf("%d refusals after %d are on record, want that of the workspace that still has one", n, i+1)
		}
	}
}
