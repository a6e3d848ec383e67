// Package gateway answers: how does anything leave the process? Through Do. It alone holds connectors
// and models, exchanges tokens for values on the way out and values for tokens on the way in; it
// doesn't know what a question means or what a run is for.
package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/credential"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/policy"
	"github.com/stewardhq/steward/internal/privacy"
)

// outcomeDeadline is how long writing an outcome may take once the caller no longer counts.
const outcomeDeadline = 10 * time.Second

// Gateway is the one door. Its fields are the steps that a call passes, in their order.
type Gateway struct {
	Policy     *policy.Engine
	Ledger     *ledger.Ledger
	Privacy    *privacy.Vault
	Connectors connector.Set
	Models     Models

	// What members were granted, whose clock and randomness are the gateway's too.
	credential.Accounts

	Proposals ProposalStore
	Usage     UsageStore

	// Closed is an error while a workspace is closed, so that a run under way goes no further; nil where none ever is.
	Closed func(ctx context.Context, ws steward.WorkspaceID) error
}

// Models finds language models.
type Models interface {
	// Model gives a provider's model if a workspace may use it now, by what its administrators registered. Kind
	// Denied where it may not; then nothing was sent.
	Model(ctx context.Context, ws steward.WorkspaceID, provider, model string) (llm.Model, llm.Terms, error)
}

// Call is one use of a tool or of a model, in tokens.
type Call struct {
	Run      steward.RunID
	In       *privacy.Conversation // whose tokens it speaks
	Tool     string
	Args     json.RawMessage
	Model    *llm.Request       // set for a model call, with Tool naming the provider
	Approval steward.ProposalID // the approved proposal this call is part of

	// Set inside the gateway only.
	previewing bool            // read what a write would change, and stop there
	real       json.RawMessage // arguments that hold values already: never recorded
}

// Result is what a call brought back, in tokens.
type Result struct {
	Records []steward.Record
	Total   int
	Answer  llm.Response // of a model call

	preview *connector.Preview // of a preview: real values, which stay in this package
}

// Do takes one call through the gateway: may they; write down the intent; put the real values in, act,
// take them out again; write down the outcome. If the intent can't be written, nothing happens. If the
// outcome can't be written, nothing is returned, and at the next start the open intent is closed as
// unknown. A refusal is recorded as a grant is; one that waits for approval carries *Pending.
func (g *Gateway) Do(ctx context.Context, caller identity.Caller, call Call) (Result, error) {
	if g.Closed != nil {
		if err := g.Closed(ctx, caller.Workspace()); steward.KindOf(err) == steward.Gone {
			return Result{}, err // and so is its record
		} else if err != nil {
			return Result{}, g.refuse(ctx, caller, call, policy.Decision{}, err)
		}
	}
	target, err := g.target(ctx, caller, call)
	if err != nil {
		return Result{}, g.refuse(ctx, caller, call, policy.Decision{}, err)
	}
	decision, err := g.mayThey(caller, call, target)
	if err != nil {
		return Result{}, g.refuse(ctx, caller, call, decision, err)
	}
	entry, parts, err := target.intent(ctx)
	if err != nil {
		return Result{}, g.refuse(ctx, caller, call, policy.Decision{}, err)
	}
	intent, err := g.Ledger.Begin(ctx, caller.Workspace(), decided(entry, decision), parts...)
	if err != nil {
		return Result{}, err // no record, no action
	}
	began := g.Now()
	// A crash from here on leaves the intent open: what the system did is unknown until the outcome stands.
	result, done, failed := safely(ctx, target)

	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), outcomeDeadline)
	defer cancel()
	outcome, parts := done.entry(entry, failed)
	outcome.DurationMicros = g.Now().Sub(began).Microseconds()
	if _, err := g.Ledger.End(ending, intent, decided(outcome, decision), parts...); err != nil {
		return Result{}, err // no outcome on record, nothing returned
	}
	return result, failed
}

// target is the far side of a call, ready to act: a system's tool or a model.
type target interface {
	// asks is what policy must be asked; an error refuses the call before policy is.
	asks() (policy.Request, error)
	// intent is what to write down before acting. It holds ids and tokens only.
	intent(ctx context.Context) (ledger.Entry, []ledger.Part, error)
	// act puts the real values in, acts, and takes them out again.
	act(ctx context.Context) (Result, done, error)
}

// safely acts, and makes of a panic a failure of which nobody knows what it did. A panic's own words may
// quote values, so only its type goes into the log.
func safely(ctx context.Context, t target) (result Result, d done, failed error) {
	defer func() {
		if p := recover(); p != nil {
			result, d = Result{}, done{unknown: true}
			failed = steward.Errorf(steward.Internal, "this broke off inside Steward; whether it took effect is not known, so look before you try again").
				Because(fmt.Errorf("gateway: panic of type %T", p))
		}
	}()
	return t.act(ctx)
}

func (g *Gateway) target(ctx context.Context, caller identity.Caller, call Call) (target, error) {
	if !caller.Valid() {
		return nil, steward.Errorf(steward.Unauthenticated, "nobody is signed in")
	}
	if err := ctx.Err(); err != nil {
		return nil, steward.Errorf(steward.Unavailable, "the request ended before this was begun, so it was not").Because(err)
	}
	if call.Model != nil {
		return g.modelTarget(ctx, caller, call)
	}
	return g.toolTarget(ctx, caller, call)
}

// mayThey asks policy, and returns an error unless the answer is yes.
func (g *Gateway) mayThey(caller identity.Caller, call Call, t target) (policy.Decision, error) {
	request, err := t.asks()
	if err != nil {
		return policy.Decision{}, err
	}
	request.Principal = principal(caller)
	request.Context.Authentication = string(caller.Method())
	request.Context.Now = g.Now()
	if tool, ok := t.(*toolTarget); ok && tool.approved != "" {
		decision := g.Policy.Permits(request, tool.approved)
		if decision.Verdict != policy.Allow {
			return decision, steward.Errorf(steward.Denied, "what was approved is no longer allowed")
		}
		return decision, nil
	}
	decision := g.Policy.Decide(request)
	switch decision.Verdict {
	case policy.Allow:
		return decision, nil
	case policy.NeedsSelf, policy.NeedsOther:
		if tool, ok := t.(*toolTarget); ok {
			pending := tool.pending(request, decision)
			return decision, steward.Errorf(steward.NeedsApproval, "this has to be confirmed first").Because(pending)
		}
	}
	return decision, steward.Errorf(steward.Denied, "the workspace's policy doesn't allow this")
}

// refuse records a call that does not happen, and why, and returns why.
func (g *Gateway) refuse(ctx context.Context, caller identity.Caller, call Call, decision policy.Decision, why error) error {
	if !caller.Valid() {
		return why // there is no ledger to write to
	}
	system, tool := call.names(g)
	entry := decided(g.entry(caller, call.Run), decision)
	entry.Kind, entry.System, entry.Tool = ledger.CallDenied, system, tool
	entry.Outcome, entry.Error = ledger.Denied, steward.KindOf(why).String()
	if steward.KindOf(why) == steward.NeedsApproval {
		entry.Kind, entry.Outcome, entry.Error = ledger.CallNeedsApproval, ledger.Waiting, ""
	}
	if _, err := g.Ledger.Append(context.WithoutCancel(ctx), caller.Workspace(), entry); err != nil {
		return err
	}
	return why
}

// entry starts a ledger entry with who asks.
func (g *Gateway) entry(caller identity.Caller, run steward.RunID) ledger.Entry {
	return ledger.Entry{
		Run: run, Caller: caller.Name(), OnBehalfOf: caller.Member(), Authentication: string(caller.Method()),
	}
}

func decided(e ledger.Entry, d policy.Decision) ledger.Entry {
	e.Decision, e.Policies, e.PolicySet = d.Verdict.String(), d.Policies, d.PolicySet
	return e
}

func principal(caller identity.Caller) policy.Principal {
	return policy.Principal{Workspace: caller.Workspace(), Member: caller.Member(), Role: caller.Role(), Agent: caller.Agent()}
}

// sealedInLedger is the scope of a ledger part written now.
func (g *Gateway) sealedInLedger() []steward.Scope {
	return []steward.Scope{steward.TimeScope(steward.ClassLedger, g.Now())}
}

func (g *Gateway) part(body any) (ledger.Part, error) {
	raw, err := json.Marshal(body)
	return ledger.Part{Scopes: g.sealedInLedger(), Body: raw}, err
}
