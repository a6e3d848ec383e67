package gateway

import (
	"context"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/policy"
)

// Act is something done with what Steward itself keeps: reading the ledger, adding a member.
type Act struct {
	Kind    ledger.Kind // what is recorded once it is done; empty for no more than intent and outcome
	Action  policy.Action
	Stored  string           // what it is done to, one of policy.StoredThings
	Owner   steward.MemberID // whose it is; empty where it is nobody's in particular
	Needs   string           // for policy.Approve: what the proposal needs
	Run     steward.RunID
	Purpose string
	System  string
	Targets []string
	Part    any // what else belongs on record: ids and tokens; nil for nothing
}

// Govern is the door to what Steward keeps: may they; write down the intent; do it; write down the
// outcome. The same rules hold as for Do.
func (g *Gateway) Govern(ctx context.Context, caller identity.Caller, act Act, do func(context.Context) error) error {
	decision, entry, err := g.permit(ctx, caller, act)
	if err != nil {
		return err
	}
	var parts []ledger.Part
	if act.Part != nil {
		part, err := g.part(act.Part)
		if err != nil {
			return err
		}
		parts = append(parts, part)
	}
	intent, err := g.Ledger.Begin(ctx, caller.Workspace(), decided(entry, decision), parts...)
	if err != nil {
		return err
	}
	failed := do(ctx)
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), outcomeDeadline)
	defer cancel()
	if failed == nil && act.Kind != "" {
		event := decided(entry, decision)
		event.Kind, event.Outcome = act.Kind, ledger.OK
		if _, err := g.Ledger.Append(ending, caller.Workspace(), event); err != nil {
			return err
		}
	}
	outcome, _ := g.done(outcomeBody{}, 0, failed).entry(entry, failed)
	if _, err := g.Ledger.End(ending, intent, decided(outcome, decision)); err != nil {
		return err
	}
	return failed
}

// Permit is Govern for looking: one entry, written before anything is shown.
func (g *Gateway) Permit(ctx context.Context, caller identity.Caller, act Act) error {
	decision, entry, err := g.permit(ctx, caller, act)
	if err != nil {
		return err
	}
	entry.Kind, entry.Outcome = act.Kind, ledger.OK
	_, err = g.Ledger.Append(ctx, caller.Workspace(), decided(entry, decision))
	return err
}

// MayView tells whether a look would be permitted, without recording anything: for lists that leave out
// what the caller may not see, and for choosing what to ask permission for.
func (g *Gateway) MayView(caller identity.Caller, stored string, owner steward.MemberID, purpose string) bool {
	return g.ask(caller, Act{Action: policy.View, Stored: stored, Owner: owner, Purpose: purpose}).Verdict == policy.Allow
}

func (g *Gateway) ask(caller identity.Caller, act Act) policy.Decision {
	return g.Policy.Decide(policy.Request{
		Principal: principal(caller), Action: act.Action,
		Resource: policy.Resource{Stored: act.Stored, Owner: act.Owner},
		Context: policy.Context{
			Purpose: act.Purpose, Approval: act.Needs, Authentication: string(caller.Method()), Now: g.Now(),
		},
	})
}

// permit decides, and records a denial.
func (g *Gateway) permit(ctx context.Context, caller identity.Caller, act Act) (policy.Decision, ledger.Entry, error) {
	if !caller.Valid() {
		return policy.Decision{}, ledger.Entry{}, steward.Errorf(steward.Unauthenticated, "nobody is signed in")
	}
	entry := g.entry(caller, act.Run)
	entry.Kind, entry.System, entry.Tool = ledger.CallIntent, "steward", act.tool()
	if act.System != "" {
		entry.System = act.System
	}
	entry.Purpose, entry.Targets = act.Purpose, act.Targets
	decision := g.ask(caller, act)
	if decision.Verdict == policy.Allow {
		return decision, entry, nil
	}
	entry.Kind, entry.Outcome, entry.Error = ledger.StoredDenied, ledger.Denied, steward.Denied.String()
	if _, err := g.Ledger.Append(context.WithoutCancel(ctx), caller.Workspace(), decided(entry, decision)); err != nil {
		return decision, entry, err
	}
	return decision, entry, steward.Errorf(steward.Denied, "your role in this workspace doesn't allow you to %s %s", act.Action, act.says())
}

// tool names the act in the record: "manage_members", and "approve" or "erase" where that says it all.
func (a Act) tool() string {
	if a.Action == policy.Approve || a.Action == policy.Erase {
		return string(a.Action)
	}
	return string(a.Action) + "_" + a.Stored
}

// says names the thing in words for an error.
func (a Act) says() string {
	switch a.Stored {
	case "ledger":
		return "the ledger for this purpose"
	case "run", "conversation":
		return "somebody else's " + a.Stored
	case "approval":
		return "this; somebody else has to decide on it"
	case "workspace":
		return "this workspace"
	case "erasure":
		return "people"
	}
	return "these " + a.Stored
}

// Note records something that happened and was not asked of policy, such as a run's start.
func (g *Gateway) Note(ctx context.Context, caller identity.Caller, run steward.RunID, kind ledger.Kind, outcome string, body any) error {
	entry := g.entry(caller, run)
	entry.Kind, entry.System, entry.Outcome = kind, "steward", outcome
	part, err := g.part(body)
	if err != nil {
		return err
	}
	_, err = g.Ledger.Append(context.WithoutCancel(ctx), caller.Workspace(), entry, part)
	return err
}
