package agent_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/agent"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/llm/rules"
	"github.com/stewardhq/steward/internal/privacy"
)

// dies runs f as a process that may die in it, and tells whether it did.
func dies(f func()) (dead bool) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case died:
			dead = true
		default:
			panic(p)
		}
	}()
	f()
	return false
}

// restart is what a new process does at its start; it gives what went wrong with runs.
func (h *house) restart() error {
	h.t.Helper()
	h.store.die, h.store.saves = 0, 0
	h.tail.lose.Store(0)
	h.must(h.door.Ledger.Close(context.Background()))
	h.door.Ledger = h.ledger()
	_, err := h.agent().ContinueUnfinished(context.Background(), h.ws, h.directory.Resume)
	return err
}

// change asks for two changes of a deal, approves them, and carries them out.
func (h *house) change(deal int, approved *bool) {
	a := h.agent()
	name := h.deals[deal].Text("Name")
	q := h.enter(a, h.ana, fmt.Sprintf("Set the next step of %s to 'Send paper %d' and log a call with %s", name, deal, h.contact(h.deals[deal]).Text("Name")))
	run, err := a.Ask(context.Background(), h.ana, q)
	if err == nil && run.Status == agent.Waiting {
		h.decide(run.ID, approved)
	}
}

// decide says yes to what a run waits for, and carries it on.
func (h *house) decide(id steward.RunID, approved *bool) {
	ctx, a := context.Background(), h.agent()
	run, err := a.Run(ctx, h.ana, id)
	h.must(err)
	_, err = h.door.Settle(ctx, h.max, run.Approval, true) // by then ana has changed too much today to confirm alone
	*approved = err == nil
	_, _ = a.Continue(ctx, h.ana, id, run.Approval, err == nil)
}

// lastRun is the run that was saved last.
func (h *house) lastRun() (last agent.Run) {
	h.t.Helper()
	var found steward.RunID
	h.must(h.door.Ledger.Read(context.Background(), h.ws, ledger.Query{}, func(e ledger.Header) error {
		if e.Kind == ledger.RunStarted {
			found = e.Run
		}
		return nil
	}))
	last, err := h.agent().Run(context.Background(), h.ana, found)
	if steward.KindOf(err) == steward.NotFound {
		return agent.Run{} // it died before its first step was stored
	}
	h.must(err)
	return last
}

// A process that dies before or after any save: the next one carries the run to its end, and what was
// approved is written once.
func TestDyingAtEachStep(t *testing.T) {
	t.Parallel()
	h := open(t, rules.Model{})
	for step := 1; ; step++ {
		if step > 40 {
			t.Fatal("a run has no end of steps")
		}
		finished := false
		for _, after := range []bool{false, true} {
			before := len(h.written())
			deal := 2*step + map[bool]int{true: 1}[after]
			h.store.saves, h.store.die, h.store.after = 0, step, after
			var approved bool
			dead := dies(func() { h.change(deal%len(h.deals), &approved) })
			h.must(h.restart())
			run := h.lastRun()
			if run.ID == "" {
				if !dead || step > 1 {
					t.Fatalf("step %d: the run is lost", step)
				}
				continue
			}
			if run.Status == agent.Waiting && !approved {
				h.decide(run.ID, &approved)
				run = h.lastRun()
			}
			writes := h.written()[before:]
			if run.Status != agent.Done || len(writes) != 2 {
				t.Errorf("step %d, after %v: it is %s, %+v; written %q", step, after, run.Status, run.Failure, writes)
			}
			h.whole(run.ID)
			finished = !dead
		}
		if finished {
			if step < 6 {
				t.Errorf("a run with an approval was saved %d times only", step)
			}
			break
		}
	}
}

// A ledger that loses any one commit: nothing is written twice, nothing without a record, and after the
// restart no run and no call is left open.
func TestLosingEachEntry(t *testing.T) {
	t.Parallel()
	h := open(t, rules.Model{})
	for commit := int64(1); ; commit++ {
		if commit > 120 {
			t.Fatal("a run has no end of entries")
		}
		before, deal := len(h.written()), int(commit)%len(h.deals)
		h.tail.commits.Store(0)
		h.tail.lose.Store(commit)
		var approved bool
		h.try(deal, &approved)
		lost := h.tail.commits.Load() >= commit
		if err := h.restart(); err != nil {
			t.Errorf("entry %d: %v", commit, err)
		}
		run := h.lastRun()
		if run.Status == agent.Running {
			t.Errorf("entry %d: the run is still running", commit)
		}
		writes := h.written()[before:]
		if len(writes) > 1 || len(writes) > 0 && !approved {
			t.Errorf("entry %d: written %q, approved %v", commit, writes, approved)
		}
		begun := 0
		for _, e := range h.entries(run.ID) {
			if e.Kind == ledger.CallIntent && e.Effect == steward.Write {
				begun++
			}
		}
		if begun < len(writes) {
			t.Errorf("entry %d: %d writes and %d intents", commit, len(writes), begun)
		}
		left, err := h.tail.Store.Abandoned(context.Background(), "nobody")
		if err != nil || len(left) > 0 {
			t.Errorf("entry %d: %d calls are left open: %v", commit, len(left), err)
		}
		if !lost {
			if commit < 20 || len(writes) != 1 {
				t.Errorf("an undisturbed run has %d commits and wrote %q", commit, writes)
			}
			break
		}
	}
}

// try is change in a process whose ledger may fail, which it survives.
func (h *house) try(deal int, approved *bool) {
	a := h.agent()
	ctx := context.Background()
	conversation, err := a.Converse(ctx, h.ana, "")
	h.must(err)
	q, err := h.door.Enter(ctx, h.ana.Through(steward.BuiltinAgent), conversation,
		fmt.Sprintf("Set the next step of %s to 'Send paper %d'", h.deals[deal].Text("Name"), h.tail.lose.Load()))
	if err != nil {
		return
	}
	run, err := a.Ask(ctx, h.ana, q)
	if err == nil && run.Status == agent.Waiting {
		h.decide(run.ID, approved)
	}
}

func TestDecidedJustBeforeTheProcessDied(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	h := open(t, rules.Model{})
	var yes, no agent.Run
	for i, run := range []*agent.Run{&yes, &no} {
		*run, _ = h.ask(h.ana, fmt.Sprintf("Set the next step of %s to 'Send paper'", h.deals[i].Text("Name")))
		_, err := h.door.Settle(ctx, h.ana, run.Approval, i == 0)
		h.must(err)
	}
	undecided, _ := h.ask(h.ana, fmt.Sprintf("Set the next step of %s to 'Send paper'", h.deals[2].Text("Name")))
	h.must(h.restart())
	for _, c := range []struct {
		run  agent.Run
		want agent.Status
	}{{yes, agent.Done}, {no, agent.Done}, {undecided, agent.Waiting}} {
		now, err := h.agent().Run(ctx, h.ana, c.run.ID)
		if err != nil || now.Status != c.want {
			t.Errorf("it is %s, want %s: %v", now.Status, c.want, err)
		}
	}
	if w := h.written(); len(w) != 1 || !strings.HasSuffix(w[0], h.deals[0].Text("Id")) {
		t.Errorf("written %q", w)
	}
	h.whole(yes.ID)
	h.whole(no.ID)
}

func TestOneBrokenRunDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	h := open(t, rules.Model{})
	var runs []agent.Run
	for i := range 3 {
		run, _ := h.ask(h.ana, fmt.Sprintf("Set the next step of %s to 'Send paper'", h.deals[i].Text("Name")))
		_, err := h.door.Settle(ctx, h.ana, run.Approval, true)
		h.must(err)
		runs = append(runs, run)
	}
	broken, left := 0, steward.RunID("")
	resume := func(ctx context.Context, ws steward.WorkspaceID, m steward.MemberID, a steward.AgentID) (identity.Caller, error) {
		if broken++; broken == 1 {
			return identity.Caller{}, steward.Errorf(steward.NotFound, "the member left")
		}
		return h.directory.Resume(ctx, ws, m, a)
	}
	n, err := h.agent().ContinueUnfinished(ctx, h.ws, resume)
	for _, run := range runs {
		if now, err := h.agent().Run(ctx, h.ana, run.ID); err != nil || now.Status != agent.Done {
			left = run.ID
		}
	}
	if n != 2 || err == nil || left == "" || !strings.Contains(err.Error(), string(left)) {
		t.Errorf("%d were carried on, and not %s: %v", n, left, err)
	}
	if n, err = h.agent().ContinueUnfinished(ctx, h.ws, h.directory.Resume); n != 1 || err != nil {
		t.Errorf("then %d: %v", n, err)
	}
	if w := h.written(); len(w) != 3 {
		t.Errorf("written %q", w)
	}
}

func TestContinuingWhatShouldNotBe(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	h := open(t, rules.Model{})
	run, q := h.ask(h.ana, fmt.Sprintf("Set the next step of %s to 'Send paper'", h.deals[0].Text("Name")))
	a := h.agent()
	_, err := a.Continue(ctx, h.max, run.ID, run.Approval, true)
	h.kind(err, steward.NotFound) // another member's
	_, err = a.Continue(ctx, h.ana, run.ID, "apr_other", true)
	h.kind(err, steward.Conflict)
	_, err = a.Continue(ctx, h.ana, "run_none", "", true)
	h.kind(err, steward.NotFound)
	_, err = a.Converse(ctx, h.max, run.Conversation)
	h.kind(err, steward.NotFound)

	// Its words were forgotten: it ends, and says so.
	stored, err := h.agent().Dialogue(ctx, h.ana, run.ID)
	if err != nil || len(stored) == 0 {
		t.Fatalf("%d messages: %v", len(stored), err)
	}
	h.forgetTexts(q)
	_, err = h.agent().Dialogue(ctx, h.ana, run.ID)
	h.kind(err, steward.Gone)
	_, err = h.door.Settle(ctx, h.ana, run.Approval, true)
	h.must(err)
	ended, err := a.Continue(ctx, h.ana, run.ID, run.Approval, true)
	if err != nil || ended.Status != agent.Failed || ended.Failure.Kind != "gone" {
		t.Errorf("it is %s, %+v: %v", ended.Status, ended.Failure, err)
	}
	entries := len(h.entries(run.ID))

	// What has ended stays as it is.
	again, err := a.Continue(ctx, h.ana, run.ID, run.Approval, true)
	if err != nil || again.Status != agent.Failed || len(h.entries(run.ID)) != entries {
		t.Errorf("continued again it is %s: %v", again.Status, err)
	}
	if w := h.written(); len(w) > 0 {
		t.Errorf("written %q", w)
	}
}

// forgetTexts destroys the keys of all texts kept in a question's conversation.
func (h *house) forgetTexts(q gateway.Question) {
	h.t.Helper()
	ctx := context.Background()
	rows, err := h.door.Privacy.Store.Tokens(ctx, h.ws, q.Conversation)
	h.must(err)
	for _, row := range rows {
		if row.Kind == privacy.Text && len(row.Sealed.Box) > 0 {
			h.must(h.ring.Shred(ctx, h.ws, steward.ItemScope(row.ID)))
		}
	}
}

// busyModel asks for its own run to be carried on while it is.
type busyModel struct {
	during func()
	rules.Model
}

func (m *busyModel) Generate(ctx context.Context, r llm.Request) (llm.Response, error) {
	if m.during != nil {
		m.during()
	}
	return m.Model.Generate(ctx, r)
}

func TestARunIsCarriedOnOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	model := &busyModel{}
	h := open(t, model)
	a := h.agent()
	q := h.enter(a, h.ana, "Show the pipeline by stage")
	asked := 0
	model.during = func() {
		asked++
		if n, err := a.ContinueUnfinished(ctx, h.ws, h.directory.Resume); n != 0 || err != nil {
			t.Errorf("%d live runs were carried on: %v", n, err)
		}
		_, err := a.Continue(ctx, h.ana, q.Run, "", false)
		h.kind(err, steward.Conflict)
	}
	run, err := a.Ask(ctx, h.ana, q)
	if err != nil || run.Status != agent.Done || asked == 0 {
		t.Errorf("asked %d times it is %s: %v", asked, run.Status, err)
	}
}

// A run whose asker has gone is stored as what became of it, not left as running.
func TestTheAskerLeaves(t *testing.T) {
	t.Parallel()
	model := &busyModel{}
	h := open(t, model)
	a := h.agent()
	q := h.enter(a, h.ana, "Show the pipeline by stage")
	ctx, leave := context.WithCancel(context.Background())
	model.during = leave
	_, err := a.Ask(ctx, h.ana, q)
	h.must(err)
	stored, err := a.Run(context.Background(), h.ana, q.Run)
	if err != nil || stored.Status != agent.Failed || stored.Failure.Kind != "unavailable" {
		t.Errorf("it is %s, %+v: %v", stored.Status, stored.Failure, err)
	}
}
