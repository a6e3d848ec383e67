package gateway_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/privacy"
)

// What was approved is what is written: each case changes one thing between the proposal and the write.
func TestOnlyWhatWasApprovedIsWritten(t *testing.T) {
	type scene struct {
		*house
		q gateway.Question
		p gateway.Proposal
		a arguments // what is written in the end
		// by whom, as what
		caller   identity.Caller
		approval steward.ProposalID
	}
	for name, c := range map[string]struct {
		change func(*scene)
		kind   steward.Kind
	}{
		"nobody decided yet": {func(s *scene) {}, steward.Denied},
		"refused": {func(s *scene) {
			_, err := s.Settle(context.Background(), s.ana(), s.p.ID, false)
			s.must(err)
		}, steward.Denied},
		"other arguments": {func(s *scene) { s.approve(s.ana(), s.p); s.a.Values["NextStep"] = "pay them" }, steward.Conflict},
		"another record":  {func(s *scene) { s.approve(s.ana(), s.p); s.a.IDs = []string{"D2"} }, steward.Conflict},
		"one field more":  {func(s *scene) { s.approve(s.ana(), s.p); s.a.Values["Amount"] = 1.0 }, steward.Conflict},
		"the record changed since": {func(s *scene) {
			s.approve(s.ana(), s.p)
			s.system.set(deal(1), "NextStep", "somebody was here")
		}, steward.Conflict},
		"the contact is called otherwise": {func(s *scene) {
			s.approve(s.ana(), s.p)
			s.system.set(person(1), "Name", "Mallory Price")
			s.later()
		}, steward.Conflict},
		"the contact can't be read any more": {func(s *scene) {
			s.approve(s.ana(), s.p)
			s.system.hidden["ana@acme.example"] = person(1)
			s.later()
		}, steward.Gone},
		"another run": {func(s *scene) { s.approve(s.ana(), s.p); s.q.Run = "run_another" }, steward.Denied},
		"another member": {func(s *scene) {
			s.approve(s.manager(), s.p)
			s.caller = s.ben()
		}, steward.Denied},
		"the approver": {func(s *scene) { s.approve(s.manager(), s.p); s.caller = s.manager() }, steward.Denied},
		"expired since": {func(s *scene) {
			s.approve(s.ana(), s.p)
			s.clock.Add(int64(7 * 24 * time.Hour / time.Second))
		}, steward.Conflict},
		"an approval that never was": {func(s *scene) { s.approval = "apr_none" }, steward.NotFound},
		"one of another proposal": {func(s *scene) {
			other := s.propose(s.ana(), s.q, step(2, "call them"))
			s.approve(s.ana(), other)
			s.approval = other.ID
		}, steward.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			q := h.ask(h.ana(), "Set the next step of Deal 1 to call Maria Gonzalez")
			s := &scene{house: h, q: q, a: step(1, "call "+privacy.Tokens(q.Text())[0]), caller: h.ana()}
			s.p = h.propose(h.ana(), q, s.a)
			s.approval = s.p.ID
			c.change(s)
			// Carried on as after days: nothing is remembered of what was read.
			later, err := h.Resume(context.Background(), s.caller, q.Conversation, s.q.Run)
			h.must(err)
			_, err = h.try(s.caller, later, "crm_update", s.a, s.approval)
			h.kind(err, c.kind)
			h.untouched()
			// Either the write itself was refused, or the look at what is there before it.
			if e := h.last(); e.Kind != ledger.CallDenied || e.Error != c.kind.String() {
				t.Errorf("the record ends with %+v", e)
			}
		})
	}
}

// later is for changes that a run would not notice if it still remembered what it read.
func (h *house) later() { h.clock.Add(3600) }

func TestAnApprovalIsGoodForOneWrite(t *testing.T) {
	h := open(t)
	q := h.ask(h.ana(), "hello")
	// A change that doesn't show: only the spent approval tells the second from the first.
	a := step(1, "")
	p := h.propose(h.ana(), q, a)
	h.approve(h.ana(), p)

	// Reads don't spend it, even when they say that they belong to it.
	_, err := h.try(h.ana(), q, "crm_read", readDeal, p.ID)
	h.must(err)
	_, err = h.try(h.ana(), q, "crm_update", a, p.ID)
	h.must(err)
	_, err = h.try(h.ana(), q, "crm_update", a, p.ID)
	h.kind(err, steward.Conflict)
	if w := h.system.written(); len(w) != 1 {
		t.Errorf("written %v", w)
	}
	_, err = h.Settle(context.Background(), h.ana(), p.ID, true)
	h.kind(err, steward.Conflict)
}

func TestWhoMayDecide(t *testing.T) {
	many := arguments{Object: "Deal", Values: map[string]any{"NextStep": "call them"}}
	for i := 1; i <= 11; i++ {
		many.IDs = append(many.IDs, deal(i).ID)
	}
	dear := arguments{Object: "Deal", IDs: []string{"D1"}, Values: map[string]any{"Amount": 110_000.01}}
	justNot := arguments{Object: "Deal", IDs: []string{"D1"}, Values: map[string]any{"Amount": 110_000.0}}
	named := step(1, "call Maria Gonzalez")
	for _, c := range []struct {
		name  string
		a     arguments
		needs string
		by    func(*house) identity.Caller
		grant bool
		kind  steward.Kind // Internal: none, it is allowed
	}{
		{"oneself, a little", step(1, "x"), "self", (*house).ana, true, 0},
		{"a manager, a little", step(1, "x"), "self", (*house).manager, true, 0},
		{"a colleague, a little", step(1, "x"), "self", (*house).ben, true, steward.Denied},
		{"an auditor, a little", step(1, "x"), "self", (*house).auditor, true, steward.Denied},
		{"an auditor says no", step(1, "x"), "self", (*house).auditor, false, steward.Denied},
		{"a colleague says no", step(1, "x"), "self", (*house).ben, false, steward.Denied},
		{"oneself, through an agent", step(1, "x"), "self", func(h *house) identity.Caller { return h.ana().Through(steward.BuiltinAgent) }, true, steward.Denied},
		{"oneself, many", many, "other", (*house).ana, true, steward.Denied},
		{"a manager, many", many, "other", (*house).manager, true, 0},
		{"an administrator, many", many, "other", (*house).admin, true, 0},
		{"a colleague, many", many, "other", (*house).ben, true, steward.Denied},
		{"oneself takes it back", many, "other", (*house).ana, false, 0},
		{"oneself, just not dear", justNot, "self", (*house).ana, true, 0},
		{"oneself, dear", dear, "other", (*house).ana, true, steward.Denied},
		{"a manager, dear", dear, "other", (*house).manager, true, 0},
		{"a manager who can't see the contact", named, "self", (*house).manager, true, steward.Denied},
		{"a manager who can't see the contact says no", named, "self", (*house).manager, false, 0},
		{"nobody", step(1, "x"), "self", func(*house) identity.Caller { return identity.Caller{} }, true, steward.NotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			h.system.hidden["max@acme.example"] = person(1)
			q := h.ask(h.ana(), "Call Maria Gonzalez")
			if strings.Contains(c.name, "contact") {
				c.a = step(1, "call "+privacy.Tokens(q.Text())[0])
			}
			p := h.propose(h.ana(), q, c.a)
			if p.Needs != c.needs {
				t.Fatalf("needs %s", p.Needs)
			}
			settled, err := h.Settle(context.Background(), c.by(h), p.ID, c.grant)
			now, failed := h.Proposal(context.Background(), h.ana(), p.ID)
			h.must(failed)
			if c.kind != 0 {
				h.kind(err, c.kind)
				if settled.Status == gateway.Approved || now.Status != gateway.Waiting || now.DecidedBy != "" {
					t.Errorf("refused, and it is %s by %q, and said to be %s", now.Status, now.DecidedBy, settled.Status)
				}
				_, err = h.try(h.ana(), q, "crm_update", c.a, p.ID)
				h.kind(err, steward.Denied)
				h.untouched()
				return
			}
			h.must(err)
			if !c.grant {
				if now.Status != gateway.Refused {
					t.Errorf("it is %s", now.Status)
				}
				return
			}
			if now.Status != gateway.Approved || settled.Status != gateway.Approved || now.DecidedBy != c.by(h).Member() {
				t.Errorf("it is %s by %s", now.Status, now.DecidedBy)
			}
			_, err = h.try(h.ana(), q, "crm_update", c.a, p.ID)
			h.must(err)
			if w := h.system.written(); len(w) != len(c.a.IDs) {
				t.Errorf("written %v", w)
			}
		})
	}
}

func TestAnExpiredProposalIsSettledAsExpired(t *testing.T) {
	h := open(t)
	q := h.ask(h.ana(), "hello")
	p := h.propose(h.ana(), q, step(1, "x"))
	h.clock.Store(int64(p.Expires.Sub(noon)/time.Second) - 1)
	other := h.propose(h.ana(), q, step(2, "x"))
	h.clock.Add(1)

	settled, err := h.Settle(context.Background(), h.ben(), p.ID, true)
	h.kind(err, steward.Denied)
	if settled.Status != gateway.Waiting {
		t.Errorf("who may not decide let it expire: %s", settled.Status)
	}
	settled, err = h.Settle(context.Background(), h.ana(), p.ID, true)
	h.must(err)
	if settled.Status != gateway.Expired {
		t.Errorf("approved at the moment of its expiry, it is %s", settled.Status)
	}
	_, err = h.try(h.ana(), q, "crm_update", step(1, "x"), p.ID)
	h.kind(err, steward.Denied)
	h.untouched()
	h.approve(h.ana(), other)
}

func TestOneOfTwoDecisionsWins(t *testing.T) {
	h := open(t)
	q := h.ask(h.ana(), "hello")
	p := h.propose(h.ana(), q, step(1, "x"))
	var wg sync.WaitGroup
	errs := make([]error, 6)
	for i, caller := range []identity.Caller{h.ana(), h.manager(), h.admin(), h.ana(), h.manager(), h.admin()} {
		wg.Go(func() { _, errs[i] = h.Settle(context.Background(), caller, p.ID, i%2 == 0) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			h.kind(err, steward.Conflict)
		}
	}
	events := 0
	for _, e := range h.entries() {
		if e.Kind == ledger.ApprovalGranted || e.Kind == ledger.ApprovalRefused {
			events++
		}
	}
	if won != 1 || events != 1 {
		t.Errorf("%d decisions won and %d are on record", won, events)
	}

	// Two carry the approved write out at once: it is written once.
	p = h.propose(h.ana(), q, step(2, ""))
	h.approve(h.ana(), p)
	for i := range errs[:4] {
		wg.Go(func() { _, errs[i] = h.try(h.ana(), q, "crm_update", step(2, ""), p.ID) })
	}
	wg.Wait()
	if w := h.system.written(); len(w) != 1 {
		t.Errorf("written %v: %v", w, errs)
	}
}

func TestCallsAreJudgedTogether(t *testing.T) {
	four := func(from int) arguments {
		return arguments{Object: "Deal", IDs: []string{deal(from).ID, deal(from + 1).ID, deal(from + 2).ID, deal(from + 3).ID}, Values: map[string]any{"NextStep": "x"}}
	}
	t.Run("three of four in a turn", func(t *testing.T) {
		h := open(t)
		q := h.ask(h.ana(), "hello")
		if p := h.propose(h.ana(), q, four(1), four(5)); p.Needs != "self" {
			t.Errorf("8 records need %s", p.Needs)
		}
		if p := h.propose(h.ana(), q, four(1), four(5), four(9)); p.Needs != "other" {
			t.Errorf("12 records need %s", p.Needs)
		}
		raise := func(i int) arguments {
			return arguments{Object: "Deal", IDs: []string{deal(i).ID}, Values: map[string]any{"Amount": 70_000.0}}
		}
		if p := h.propose(h.ana(), q, raise(1), raise(2)); p.Needs != "other" {
			t.Errorf("twice $60,000 need %s", p.Needs)
		}
	})
	t.Run("over the day, across runs", func(t *testing.T) {
		h := open(t)
		var all []gateway.Proposal
		var questions []gateway.Question
		for i := range 3 { // proposed before any is carried out
			q := h.ask(h.ana(), "hello")
			questions, all = append(questions, q), append(all, h.propose(h.ana(), q, four(1+4*i)))
			h.approve(h.ana(), all[i])
		}
		for i := range 2 {
			_, err := h.try(h.ana(), questions[i], "crm_update", four(1+4*i), all[i].ID)
			h.must(err)
		}
		_, err := h.try(h.ana(), questions[2], "crm_update", four(9), all[2].ID)
		h.kind(err, steward.Denied) // her own word was enough for 4, not for 12
		if w := h.system.written(); len(w) != 8 {
			t.Errorf("written %v", w)
		}
		if p := h.propose(h.ana(), h.ask(h.ana(), "hello"), four(9)); p.Needs != "other" {
			t.Errorf("the day's records 9 to 12 need %s", p.Needs)
		}
		if p := h.propose(h.ben(), h.ask(h.ben(), "hello"), four(9)); p.Needs != "self" {
			t.Errorf("a colleague's first 4 need %s", p.Needs)
		}
		h.clock.Add(12 * 3600)
		if p := h.propose(h.ana(), h.ask(h.ana(), "hello"), four(9)); p.Needs != "self" {
			t.Errorf("the next day's first 4 need %s", p.Needs)
		}
	})
	t.Run("after untrusted text", func(t *testing.T) {
		h := open(t)
		q := h.ask(h.ana(), "hello")
		before := h.propose(h.ana(), q, step(1, "x"))
		h.approve(h.ana(), before)
		result, err := h.try(h.ana(), q, "crm_read", arguments{Object: "Deal", IDs: []string{"D1"}, Fields: []string{"Description"}})
		h.must(err)
		if raw, _ := json.Marshal(result.Records); strings.Contains(string(raw), "ignore") {
			t.Errorf("untrusted text came in: %s", raw)
		}
		if p := h.propose(h.ana(), q, step(2, "x")); p.Needs != "other" {
			t.Errorf("a write after it needs %s", p.Needs)
		}
		_, err = h.try(h.ana(), q, "crm_update", step(1, "x"), before.ID)
		h.kind(err, steward.Denied)
		h.untouched()
		if p := h.propose(h.ana(), h.ask(h.ana(), "hello"), step(2, "x")); p.Needs != "self" {
			t.Errorf("another run's write needs %s", p.Needs)
		}
	})
}

func TestAProposalIsOnRecordBeforeAnybodyIsAsked(t *testing.T) {
	h := open(t)
	q := h.ask(h.ana(), "hello")
	pending := h.pending(h.ana(), q, step(1, "x"))
	h.tail.losing(`"kind":"approval.requested"`)
	_, err := h.Propose(context.Background(), h.ana(), q, []*gateway.Pending{pending})
	h.kind(err, steward.Unavailable)
	rows, err := h.Proposals.WaitingProposals(context.Background(), h.ws)
	if err != nil || len(rows) != 0 {
		t.Errorf("%d proposals wait: %v", len(rows), err)
	}
}
