package gateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/credential"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
)

// expiring is a system that accepts a token only while its login server says so: it is both.
type expiring struct {
	*system
	t  *testing.T
	mu sync.Mutex
	// of the login server
	good     connector.Secret
	refresh  string
	n        int
	renewals int
	fail     error
	revoked  []string
	meantime func() // between a renewal's answer and its arrival
	// of the system
	org     string
	unknown bool // what a refusal says of whether it took effect
	refused int
	user    string
}

func (e *expiring) Renew(_ context.Context, client *http.Client, g credential.Grant) (credential.Grant, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.renewals++
	time.Sleep(20 * time.Millisecond)
	switch {
	case e.fail != nil:
		return g, e.fail
	case client == nil || g.RefreshToken != e.refresh:
		return g, steward.Errorf(steward.Unauthenticated, "connect again with `steward connect crm`").Because(&connector.Error{System: "crm", HTTP: 400, Code: "INVALID_GRANT"})
	}
	g = e.next(g)
	if e.meantime != nil {
		e.meantime()
	}
	return g, nil
}

// next gives out another pair of tokens; those of before are good no more.
func (e *expiring) next(g credential.Grant) credential.Grant {
	e.n++
	e.good, e.refresh = connector.Secret(strings.Repeat("a", e.n)), strings.Repeat("r", e.n)
	g.AccessToken, g.RefreshToken = string(e.good), e.refresh
	return g
}

func (e *expiring) Revoke(_ context.Context, _ *http.Client, g credential.Grant) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.revoked = append(e.revoked, g.RefreshToken)
	return nil
}

func (e *expiring) expire() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.good = "none"
}

func (e *expiring) check(s connector.Session) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s.AccessToken == e.good {
		return nil
	}
	e.refused++
	return steward.Errorf(steward.Unauthenticated, "expired; connect again").Because(&connector.Error{System: "crm", HTTP: 401, Code: "INVALID_SESSION_ID", Unknown: e.unknown})
}

func (e *expiring) Identify(_ context.Context, s connector.Session) (connector.Identity, error) {
	return connector.Identity{OrgID: e.org, UserID: e.user, Username: "ana@crm"}, e.check(s)
}

func (e *expiring) Preview(ctx context.Context, s connector.Session, tool string, raw json.RawMessage) (connector.Preview, error) {
	if err := e.check(s); err != nil {
		return connector.Preview{}, err
	}
	return e.system.Preview(ctx, s, tool, raw)
}

func (e *expiring) Call(ctx context.Context, s connector.Session, tool string, raw json.RawMessage) (connector.Reply, error) {
	if err := e.check(s); err != nil {
		return connector.Reply{}, err
	}
	return e.system.Call(ctx, s, tool, raw)
}

// signedIn is a house in which a member connected by OAuth.
func signedIn(t *testing.T) (*house, *expiring, identity.Caller) {
	t.Helper()
	h := open(t)
	e := &expiring{system: h.system, t: t, org: "org", user: "usr"}
	h.Connectors["crm"], h.Renewers = e, map[string]credential.Renewer{"crm": e}
	h.connectBy(h.ana(), e)
	return h, e, h.ana()
}

func (h *house) connectBy(caller identity.Caller, e *expiring) {
	h.t.Helper()
	_, err := h.ConnectBy(context.Background(), caller, caller.Member(), "crm", func(context.Context) (credential.Grant, error) { return e.granted(), nil })
	h.must(err)
}

func (e *expiring) granted() credential.Grant {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.next(credential.Grant{InstanceURL: "https://crm.example", OrgID: "org", LoginURL: "https://login.example", ClientID: "app"})
}

// renewals are the outcomes on record of renewals.
func (h *house) renewals() (all []ledger.Header) {
	for _, e := range h.entries() {
		if e.Tool == "renew_credential" && e.Kind == ledger.CallOutcome {
			all = append(all, e)
		}
	}
	return all
}

func TestExpiredCredentialsAreRenewedOnce(t *testing.T) {
	h, e, ana := signedIn(t)
	q := h.ask(ana, "how is the deal?")
	for range 3 { // refresh tokens rotate, and the chain holds
		e.expire()
		if _, err := h.try(ana, q, "crm_read", readDeal); err != nil {
			t.Fatal(err)
		}
	}
	if found := h.renewals(); e.renewals != 3 || len(found) != 3 || found[0].Outcome != ledger.OK || found[0].System != "crm" || found[0].OnBehalfOf != ana.Member() || found[0].Run != q.Run {
		t.Errorf("%d renewals, on record %+v", e.renewals, found)
	}

	// A storm.
	e.expire()
	before := e.renewals
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := h.try(ana, q, "crm_read", readDeal); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if e.renewals != before+1 {
		t.Errorf("%d renewals for 50 calls", e.renewals-before)
	}

	// A write: its look is what finds that the token ran out, and it is done once.
	e.expire()
	p := h.propose(ana, q, step(1, "Call Tomas"))
	e.expire()
	h.approve(ana, p)
	e.refused = 0
	if _, err := h.try(ana, q, "crm_update", step(1, "Call Tomas"), p.ID); err != nil {
		t.Fatal(err)
	}
	if w := h.system.written(); len(w) != 1 || e.refused != 1 {
		t.Errorf("written were %v, after %d refusals", w, e.refused)
	}
}

// TestWritesAreReplayedOnlyIfNothingHappened: the token runs out between the look and the write.
func TestWritesAreReplayedOnlyIfNothingHappened(t *testing.T) {
	for _, unknown := range []bool{false, true} {
		h, e, ana := signedIn(t)
		q := h.ask(ana, "set the next step")
		p := h.propose(ana, q, step(1, "Call Tomas"))
		h.approve(ana, p)
		late := &lateExpiry{expiring: e}
		h.Connectors["crm"] = late
		e.unknown = unknown
		_, err := h.try(ana, q, "crm_update", step(1, "Call Tomas"), p.ID)
		written := len(h.system.written())
		if unknown && (err == nil || written != 0 || h.last().Outcome != ledger.Unknown) || !unknown && (err != nil || written != 1) {
			t.Errorf("unknown %v: %v, %d written, %+v", unknown, err, written, h.last())
		}
	}
}

// lateExpiry lets the token run out just before each write.
type lateExpiry struct {
	*expiring
	once sync.Once
}

func (l *lateExpiry) Call(ctx context.Context, s connector.Session, tool string, raw json.RawMessage) (connector.Reply, error) {
	if tool == "crm_update" {
		l.once.Do(l.expire)
	}
	return l.expiring.Call(ctx, s, tool, raw)
}

// TestTokensStayAtTheirAddress: who connects elsewhere while a call waits doesn't have that call carry the new token to the
// old address.
func TestTokensStayAtTheirAddress(t *testing.T) {
	ctx := context.Background()
	h, e, ana := signedIn(t)
	q := h.ask(ana, "how is the deal?")
	owner := credential.Owner{Workspace: h.ws, Connection: "crm", Member: ana.Member()}
	sealed, err := h.Credentials.Credential(ctx, h.ws, "crm", ana.Member())
	h.must(err)
	moved, err := credential.Keep{Sealer: h.Sealer}.Seal(ctx, owner, sealed.Scopes, credential.Grant{AccessToken: "new", InstanceURL: "https://other.example", LoginURL: "https://login.example"})
	h.must(err)
	e.expire()
	e.fail = steward.Errorf(steward.Internal, "nothing is to be renewed")
	h.Connectors["crm"] = &moving{e, func() {
		swapped, err := h.Credentials.SwapCredential(ctx, h.ws, "crm", ana.Member(), sealed, moved)
		h.must(err)
		if !swapped {
			t.Error("it changed meanwhile")
		}
	}}
	_, err = h.try(ana, q, "crm_read", readDeal)
	h.kind(err, steward.Conflict)
	if slices.Contains(h.system.gave, "https://crm.example new") {
		t.Error("the old address was given the new token")
	}
}

// moving is a system during whose calls something happens.
type moving struct {
	*expiring
	meanwhile func()
}

func (m *moving) Call(ctx context.Context, s connector.Session, tool string, raw json.RawMessage) (connector.Reply, error) {
	m.meanwhile()
	m.system.mu.Lock()
	m.system.gave = append(m.system.gave, s.InstanceURL+" "+string(s.AccessToken))
	m.system.mu.Unlock()
	return m.expiring.Call(ctx, s, tool, raw)
}

func TestRefusedRenewals(t *testing.T) {
	h, e, ana := signedIn(t)
	q := h.ask(ana, "how is the deal?")

	// A login server that is down changes nothing.
	e.expire()
	e.fail = steward.Errorf(steward.Upstream, "the login server is down; try again later")
	_, err := h.try(ana, q, "crm_read", readDeal)
	h.kind(err, steward.Upstream)
	e.fail = nil
	if _, err := h.try(ana, q, "crm_read", readDeal); err != nil {
		t.Fatal(err)
	}

	// One that refuses is asked once: after that, people are told to connect again.
	e.expire()
	e.refresh = "revoked by somebody"
	asked := e.renewals
	for range 3 {
		_, err := h.try(ana, q, "crm_read", readDeal)
		h.kind(err, steward.Unauthenticated)
		if !strings.Contains(steward.Message(err), "steward connect crm") {
			t.Errorf("it says %q", steward.Message(err))
		}
	}
	found := h.renewals()
	if last := found[len(found)-1]; e.renewals != asked+1 || last.Outcome != ledger.Failed || last.Error != "INVALID_GRANT" {
		t.Errorf("asked %d times, on record %+v", e.renewals-asked, last)
	}

	// Connecting again helps, and ends at the login server what was before.
	h.connectBy(ana, e)
	if _, err := h.try(ana, q, "crm_read", readDeal); err != nil {
		t.Error(err)
	}
	e.revoked = nil
	was := e.refresh
	h.connectBy(ana, e)
	if !slices.Equal(e.revoked, []string{was}) {
		t.Errorf("revoked were %v", e.revoked)
	}

	// Disconnecting revokes the refresh token.
	e.revoked = nil
	done, err := h.Disconnect(context.Background(), ana, ana.Member(), "crm", certified)
	if err != nil || !done.Revoked || !slices.Equal(e.revoked, []string{e.refresh}) {
		t.Errorf("%+v, %v, %v", done, err, e.revoked)
	}

	// No record, no renewal.
	h.connectBy(ana, e)
	e.expire()
	asked = e.renewals
	h.tail.losing("renew_credential")
	_, err = h.try(ana, q, "crm_read", readDeal)
	h.kind(err, steward.Unavailable)
	if e.renewals != asked {
		t.Error("a renewal was not on record")
	}
}

// TestDisconnectedDuringARenewal: what comes back is nobody's to keep, so it is given back.
func TestDisconnectedDuringARenewal(t *testing.T) {
	h, e, ana := signedIn(t)
	q := h.ask(ana, "how is the deal?")
	e.expire()
	e.meantime = func() {
		e.mu.Unlock()
		defer e.mu.Lock()
		if _, err := h.Disconnect(context.Background(), ana, ana.Member(), "crm", certified); err != nil {
			t.Error(err)
		}
	}
	_, err := h.try(ana, q, "crm_read", readDeal)
	if err == nil || !slices.Contains(e.revoked, e.refresh) {
		t.Errorf("%v; revoked were %v, not %s", err, e.revoked, e.refresh)
	}
	if _, err := h.Credentials.Credential(context.Background(), h.ws, "crm", ana.Member()); steward.KindOf(err) != steward.NotFound {
		t.Errorf("it came back: %v", err)
	}
}

// TestGrantsOfOtherOrgs: what belongs to another org than the one connected is refused, and revoked.
func TestGrantsOfOtherOrgs(t *testing.T) {
	h, e, ana := signedIn(t)
	sealed, err := h.Credentials.Credential(context.Background(), h.ws, "crm", ana.Member())
	h.must(err)
	for name, c := range map[string]struct {
		alter func(*credential.Grant)
		kind  steward.Kind
	}{
		"the system says another org":       {func(*credential.Grant) { e.org = "other" }, steward.Conflict},
		"the login server says another org": {func(g *credential.Grant) { g.OrgID = "other" }, steward.Conflict},
		"another address":                   {func(g *credential.Grant) { g.InstanceURL = "https://evil.example" }, steward.Denied},
		"a path":                            {func(g *credential.Grant) { g.InstanceURL += "/x" }, steward.Invalid},
		"a token that isn't good":           {func(g *credential.Grant) { e.good = "none" }, steward.Unauthenticated},
	} {
		e.org, e.revoked = "org", nil
		g := e.granted()
		c.alter(&g)
		_, err := h.ConnectBy(context.Background(), ana, ana.Member(), "crm", func(context.Context) (credential.Grant, error) { return g, nil })
		if steward.KindOf(err) != c.kind || !slices.Equal(e.revoked, []string{g.RefreshToken}) {
			t.Errorf("%s: %v; revoked were %v", name, err, e.revoked)
		}
		if again, err := h.Credentials.Credential(context.Background(), h.ws, "crm", ana.Member()); err != nil || !slices.Equal(again.Box, sealed.Box) {
			t.Errorf("%s: the credential changed, %v", name, err)
		}
	}
	// Another member's connection isn't theirs to make.
	_, err = h.ConnectBy(context.Background(), h.ben(), ana.Member(), "crm", func(context.Context) (credential.Grant, error) {
		t.Error("a grant was asked for")
		return credential.Grant{}, nil
	})
	h.kind(err, steward.Denied)
}

// quicker has something happen right after a credential was looked for in vain.
type quicker struct {
	credential.Store
	then func() // once
}

func (q *quicker) Credential(ctx context.Context, ws steward.WorkspaceID, id steward.ConnectionID, m steward.MemberID) (steward.Sealed, error) {
	sealed, err := q.Store.Credential(ctx, ws, id, m)
	if then := q.then; steward.KindOf(err) == steward.NotFound && then != nil {
		q.then = nil
		then()
	}
	return sealed, err
}

// TestTwoFirstConnections: of two at once one stands, and what the other was granted is revoked.
func TestTwoFirstConnections(t *testing.T) {
	h := open(t)
	e := &expiring{system: h.system, t: t, org: "org", user: "usr"}
	h.Connectors["crm"], h.Renewers = e, map[string]credential.Renewer{"crm": e}
	ctx, ben := context.Background(), h.ben()
	h.must(h.Credentials.DropCredential(ctx, h.ws, "crm", ben.Member()))
	h.Credentials = &quicker{Store: h.Credentials, then: func() { h.connectBy(ben, e) }}
	late := e.granted()
	_, err := h.ConnectBy(ctx, ben, ben.Member(), "crm", func(context.Context) (credential.Grant, error) { return late, nil })
	h.kind(err, steward.Conflict)
	if !slices.Equal(e.revoked, []string{late.RefreshToken}) {
		t.Errorf("revoked were %v, not %s alone", e.revoked, late.RefreshToken)
	}
	if granted, err := h.Mine(ctx, credential.Owner{Workspace: h.ws, Connection: "crm", Member: ben.Member()}); err != nil || granted.RefreshToken != e.refresh {
		t.Errorf("kept is %q, %v", granted.RefreshToken, err)
	}
}
