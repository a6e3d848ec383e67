package gateway_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/llm"
)

var readDeal = arguments{Object: "Deal", IDs: []string{"D1"}, Fields: []string{"Name", "Amount"}}

func TestWithoutAnIntentNothingHappens(t *testing.T) {
	h := open(t)
	q := h.ask(h.ana(), "hello")
	p := h.propose(h.ana(), q, step(1, "call them"))
	h.approve(h.ana(), p)
	called := false
	h.system.during = func(string) error { called = true; return nil }
	before := len(h.entries())

	h.tail.losing(`"kind":"call.intent"`)
	_, err := h.try(h.ana(), q, "crm_read", readDeal)
	h.kind(err, steward.Unavailable)
	h.tail.losing(`"kind":"call.intent"`, `"effect":"write"`) // the read of what is there before is on record
	_, err = h.try(h.ana(), q, "crm_update", step(1, "call them"), p.ID)
	h.kind(err, steward.Unavailable)
	if called {
		t.Error("the system was called without a record of it")
	}
	h.untouched()
	if after := h.entries(); len(after) != before+2 {
		t.Errorf("%d entries, then %d", before, len(after))
	}

	// The approval isn't spent: nothing was tried.
	h.tail.lose.Store(nil)
	_, err = h.try(h.ana(), q, "crm_update", step(1, "call them"), p.ID)
	h.must(err)
	if h.system.get(deal(1), "NextStep") != "call them" {
		t.Error("the approved write didn't happen in the end")
	}
}

func TestWithoutAnOutcomeNothingIsReturned(t *testing.T) {
	h := open(t)
	q := h.ask(h.ana(), "hello")
	h.tail.losing(`"kind":"call.outcome"`)
	result, err := h.try(h.ana(), q, "crm_read", readDeal)
	h.kind(err, steward.Unavailable)
	if result.Records != nil || result.Total != 0 {
		t.Errorf("returned without an outcome on record: %+v", result)
	}
	intent := h.last()
	h.tail.lose.Store(nil)

	// The next process closes it.
	next, err := ledger.Open(context.Background(), ledger.Config{Store: h.tail.Store, Sealer: h.Sealer, Now: h.Now, Rand: rand.Reader, Origin: "test.example"})
	h.must(err)
	defer next.Close(context.Background())
	closed, err := next.CloseAbandoned(context.Background())
	if err != nil || len(closed) != 1 || closed[0].Seq != intent.Seq {
		t.Fatalf("closed %+v: %v", closed, err)
	}
	if e := h.last(); e.Kind != ledger.CallOutcome || e.Outcome != ledger.Unknown || *e.Intent != intent.Seq {
		t.Errorf("the record ends with %+v", e)
	}
}

func TestRefusalsAreOnRecord(t *testing.T) {
	h := open(t)
	q := h.ask(h.ana(), "hello")
	hostile := "crm_read\nMaria Gonzalez <maria@harbor.example>"
	rules := func(provider, model string) gateway.Call {
		return gateway.Call{Run: q.Run, In: q.In, Tool: provider, Model: &llm.Request{Model: model}}
	}
	call := func(tool, raw string) gateway.Call {
		return gateway.Call{Run: q.Run, In: q.In, Tool: tool, Args: json.RawMessage(raw)}
	}
	for _, c := range []struct {
		name   string
		caller identity.Caller
		call   gateway.Call
		kind   steward.Kind
	}{
		{"an auditor who has no credential", h.auditor(), call("crm_read", "{}"), steward.Unauthenticated},
		{"an auditor and a model", h.auditor(), rules("rules", "rules-1"), steward.Denied},
		{"deleting", h.admin(), call("crm_remove", `{"object":"Deal","ids":["D1"]}`), steward.Denied},
		{"a tool without an effect", h.admin(), call("crm_odd", `{"object":"Deal","ids":["D1"]}`), steward.Denied},
		{"an unknown tool", h.ana(), call("crm_launch", "{}"), steward.Invalid},
		{"an unknown system", h.ana(), call("rockets_launch", "{}"), steward.Invalid},
		{"a hostile name", h.ana(), call(hostile, "{}"), steward.Invalid},
		{"arguments that are no JSON", h.ana(), call("crm_read", "{"), steward.Invalid},
		{"arguments that are no UTF-8", h.ana(), call("crm_read", "\"\xff\""), steward.Invalid},
		{"an unregistered model", h.ana(), rules("rules", "rules-latest"), steward.Denied},
		{"a hostile provider", h.ana(), rules(hostile, "x"), steward.Denied},
		{"nothing to write to", h.ana(), call("crm_update", `{"object":"Deal","ids":["none"]}`), steward.NotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(h.entries())
			_, err := h.Do(context.Background(), c.caller, c.call)
			h.t = t
			h.kind(err, c.kind)
			if strings.Contains(steward.Message(err), "Maria") && c.call.Model == nil {
				t.Errorf("the refusal repeats what was made up: %s", steward.Message(err))
			}
			e := h.last()
			failed := e.Kind == ledger.CallOutcome && e.Outcome == ledger.Failed // begun, and refused by the arguments
			refused := e.Kind == ledger.CallDenied && e.Outcome == ledger.Denied && e.Decision == "deny"
			if len(h.entries()) == before || !failed && !refused || e.Error != c.kind.String() || e.OnBehalfOf != c.caller.Member() || e.Run != q.Run {
				t.Errorf("the record ends with %+v", e)
			}
		})
	}
	h.untouched()
	for _, e := range h.entries() {
		if raw, _ := json.Marshal(e); strings.Contains(string(raw), "Maria") || strings.Contains(string(raw), "launch") {
			t.Errorf("made-up text got into a header: %s", raw)
		}
	}

	before := len(h.entries())
	_, err := h.Do(context.Background(), identity.Caller{}, call("crm_read", "{}"))
	h.kind(err, steward.Unauthenticated)
	_, err = h.Do(context.Background(), identity.Caller{}.Through(steward.BuiltinAgent), rules("rules", "rules-1"))
	h.kind(err, steward.Unauthenticated)
	if len(h.entries()) != before {
		t.Error("nobody's call is in somebody's ledger")
	}
}

func TestWaitingIsOnRecordAndCarriesWhatWaits(t *testing.T) {
	h := open(t)
	q := h.ask(h.ana(), "hello")
	p := h.pending(h.ana(), q, step(1, "call them"))
	if p.Needs != "self" || len(p.Changes) != 1 || p.Changes[0].Field != "NextStep" || p.Call.Tool != "crm_update" {
		t.Errorf("pending: %+v", p)
	}
	if e := h.last(); e.Kind != ledger.CallNeedsApproval || e.Outcome != ledger.Waiting || e.Decision != "needs_self" || len(e.Policies) == 0 {
		t.Errorf("the record ends with %+v", e)
	}
	h.untouched()

	h.tail.losing(`"kind":"call.needs_approval"`)
	_, err := h.try(h.ana(), q, "crm_update", step(1, "call them"))
	h.kind(err, steward.Unavailable)
}

func TestTheOutcomeIsWrittenWhenNobodyWaits(t *testing.T) {
	h := open(t)
	q := h.ask(h.ana(), "hello")
	p := h.propose(h.ana(), q, step(1, "call them"), step(2, "call them"))
	h.approve(h.ana(), p)
	for i, c := range []struct {
		fails   error
		outcome string
	}{
		{nil, ledger.OK},
		{steward.Errorf(steward.Upstream, "no answer").Because(&connector.Error{System: "crm", Unknown: true}), ledger.Unknown},
	} {
		ctx, leave := context.WithCancel(context.Background())
		h.system.during = func(string) error { leave(); return c.fails }
		_, err := h.Do(ctx, h.ana().Through(steward.BuiltinAgent), gateway.Call{
			Run: q.Run, In: q.In, Tool: "crm_update", Args: args(step(i+1, "call them")), Approval: p.ID,
		})
		if (err == nil) != (c.fails == nil) {
			t.Errorf("%s: %v", c.outcome, err)
		}
		if e := h.last(); e.Kind != ledger.CallOutcome || e.Outcome != c.outcome || e.Effect != steward.Write {
			t.Errorf("%s: the record ends with %+v", c.outcome, e)
		}
		// It counts, too: who leaves early gains nothing, nor does a write of which nobody knows.
		used, err := h.Usage.Usage(context.Background(), h.ws, q.Run, h.ana().Member(), "2026-11-23")
		if err != nil || used.Records != i+1 {
			t.Errorf("%s: %d records are counted: %v", c.outcome, used.Records, err)
		}
		leave()
	}
}

func TestAPanicIsAnUnknownOutcome(t *testing.T) {
	h := open(t)
	q := h.ask(h.ana(), "hello")
	p := h.propose(h.ana(), q, step(1, "call them"))
	h.approve(h.ana(), p)
	h.system.during = func(string) error { panic("Maria Gonzalez") }
	_, err := h.try(h.ana(), q, "crm_update", step(1, "call them"), p.ID)
	h.kind(err, steward.Internal)
	if strings.Contains(err.Error(), "Maria") {
		t.Errorf("the panic's words got out: %v", err)
	}
	if e := h.last(); e.Kind != ledger.CallOutcome || e.Outcome != ledger.Unknown || e.Error != "internal" {
		t.Errorf("the record ends with %+v", e)
	}
	h.system.during = nil
	_, err = h.try(h.ana(), q, "crm_update", step(1, "call them"), p.ID)
	h.kind(err, steward.Conflict) // it may have happened: never twice
	if w := h.system.written(); len(w) != 1 {
		t.Errorf("written: %v", w)
	}

	h.model.answer = func(llm.Request) (llm.Response, error) { panic("Maria Gonzalez") }
	_, err = h.generate(q)
	h.kind(err, steward.Internal)
}

func TestACredentialGoesToItsOwnAddressOnly(t *testing.T) {
	ctx := context.Background()
	h := open(t)
	q := h.ask(h.ana(), "hello")
	_, err := h.Connect(ctx, h.admin(), h.admin().Member(), "crm", "https://elsewhere.example", "ada@acme.example")
	h.must(err)
	_, err = h.try(h.ana(), q, "crm_read", readDeal)
	h.kind(err, steward.Unauthenticated)
	for _, gave := range h.system.gave {
		if strings.HasPrefix(gave, "https://elsewhere.example") && !strings.HasSuffix(gave, "ada@acme.example") {
			t.Errorf("another member's credential went to the new address: %s", gave)
		}
	}
	_, err = h.Connect(ctx, h.ana(), h.ana().Member(), "crm", "https://elsewhere.example", "ana@acme.example")
	h.must(err)
	_, err = h.try(h.ana(), q, "crm_read", readDeal)
	h.must(err)

	before := len(h.entries())
	_, err = h.Connect(ctx, h.ana(), h.ana().Member(), "Maria Gonzalez", "https://elsewhere.example", "x")
	h.kind(err, steward.Invalid)
	if len(h.entries()) != before {
		t.Error("a system that doesn't exist is on record")
	}
	_, err = h.Connect(ctx, h.ana(), h.ana().Member(), "crm", "https://third.example", "x")
	h.kind(err, steward.Denied)
	_, err = h.Connect(ctx, h.ana(), h.ben().Member(), "crm", "https://elsewhere.example", "x")
	h.kind(err, steward.Denied)
}
