package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/policy"
	"github.com/stewardhq/steward/internal/privacy"
)

// approvalLife is how long a proposal waits before it expires.
const approvalLife = 7 * 24 * time.Hour

// Pending is a call that policy lets happen once somebody has confirmed it. It travels as the cause of
// an error of kind NeedsApproval; Propose makes a proposal of it.
type Pending struct {
	Call    Call
	Changes []steward.Change // in tokens
	Needs   string           // "self" or "other"

	request policy.Request
	preview connector.Preview
}

func (p *Pending) Error() string { return "needs approval by " + p.Needs }

func (t *toolTarget) pending(r policy.Request, d policy.Decision) *Pending {
	return &Pending{Call: t.call, Changes: t.changes, Needs: needs(d.Verdict), request: r, preview: t.preview}
}

func needs(v policy.Verdict) string {
	if v == policy.NeedsSelf {
		return policy.BySelf
	}
	return policy.ByOther
}

// Proposal is a set of calls that waits for approval: exactly what would be done.
type Proposal struct {
	ProposalRow
	Conversation steward.ConversationID
	Calls        []ProposedCall
}

// ProposedCall is one call of a proposal.
type ProposedCall struct {
	Tool    string           `json:"tool"`
	Args    string           `json:"args"` // a token for the arguments' JSON
	Changes []steward.Change `json:"changes"`
	Digest  []byte           `json:"digest"` // keyed, over every real value the call would put in
}

type proposalBody struct {
	Conversation steward.ConversationID `json:"conversation"`
	Calls        []ProposedCall         `json:"calls"`
}

// Propose makes one proposal of the calls of one turn that wait for approval. Policy is asked again
// with what they amount to together, so that many small calls are judged as one large one.
func (g *Gateway) Propose(ctx context.Context, caller identity.Caller, q Question, calls []*Pending) (Proposal, error) {
	ws, now := caller.Workspace(), g.Now()
	p := Proposal{Conversation: q.Conversation, ProposalRow: ProposalRow{
		ID: steward.ProposalID(steward.NewID(g.Rand, "apr")), Run: q.Run, Member: caller.Member(), Needs: policy.BySelf, Status: Waiting,
		Created: now, Expires: now.Add(approvalLife),
	}}
	together := 0
	var amount float64
	for _, c := range calls {
		together, amount = together+len(c.preview.Targets), amount+c.preview.Amount
	}
	var decision policy.Decision
	for i, c := range calls {
		r := c.request
		r.Context.Records += together - len(c.preview.Targets)
		r.Context.Amount += amount - c.preview.Amount
		d := g.Policy.Decide(r)
		if d.Verdict == policy.Deny {
			return p, steward.Errorf(steward.Denied, "the workspace's policy doesn't allow these changes together")
		}
		if i == 0 || needs(d.Verdict) == policy.ByOther {
			decision = d
		}
		if needs(d.Verdict) == policy.ByOther {
			p.Needs = policy.ByOther
		}
		args, err := q.In.KeepInside(ctx, steward.ClassRun, string(c.Call.Args))
		if err != nil {
			return p, err
		}
		digest, err := g.digest(ctx, ws, p.ID, c.Call, c.preview)
		if err != nil {
			return p, err
		}
		p.Calls = append(p.Calls, ProposedCall{Tool: c.Call.Tool, Args: args, Changes: c.Changes, Digest: digest})
	}
	body, err := json.Marshal(proposalBody{Conversation: p.Conversation, Calls: p.Calls})
	if err != nil {
		return p, fmt.Errorf("gateway: proposal: %w", err)
	}
	if p.Sealed, err = g.Sealer.Seal(ctx, proposalPlace(ws, p.ID), []steward.Scope{steward.TimeScope(steward.ClassRun, now)}, body); err != nil {
		return p, err
	}
	entry := decided(g.entry(caller, q.Run), decision)
	entry.Kind, entry.System, entry.Outcome, entry.Targets = ledger.ApprovalRequested, "steward", ledger.Waiting, []string{string(p.ID)}
	part, err := g.part(map[string]any{"proposal": p.ID, "needs": p.Needs, "calls": len(p.Calls), "expires": p.Expires.UTC()})
	if err != nil {
		return p, err
	}
	if _, err := g.Ledger.Append(ctx, ws, entry, part); err != nil {
		return p, err // nobody is asked to approve what is not on record
	}
	return p, g.Proposals.AddProposal(ctx, ws, p.ProposalRow)
}

// Proposal finds one by id.
func (g *Gateway) Proposal(ctx context.Context, caller identity.Caller, id steward.ProposalID) (Proposal, error) {
	row, err := g.Proposals.Proposal(ctx, caller.Workspace(), id)
	if err != nil {
		return Proposal{}, err
	}
	plain, err := g.Sealer.Open(ctx, proposalPlace(caller.Workspace(), id), row.Sealed)
	if err != nil {
		return Proposal{}, err
	}
	var body proposalBody
	if err := json.Unmarshal(plain, &body); err != nil {
		return Proposal{}, fmt.Errorf("gateway: proposal %s: %w", id, err)
	}
	return Proposal{ProposalRow: row, Conversation: body.Conversation, Calls: body.Calls}, nil
}

// Settle decides on a proposal: the asker confirms or withdraws what needs their own confirmation,
// somebody else approves or refuses what needs another. Who may not read a value that it uses can't
// approve it. One that has expired is settled as expired, whatever was decided: its Status says so.
func (g *Gateway) Settle(ctx context.Context, caller identity.Caller, id steward.ProposalID, grant bool) (Proposal, error) {
	p, err := g.Proposal(ctx, caller, id)
	if err != nil {
		return p, err
	}
	kind, to := ledger.ApprovalRefused, Refused
	if grant {
		kind, to = ledger.ApprovalGranted, Approved
	}
	if !g.Now().Before(p.Expires) {
		kind, to = ledger.ApprovalExpired, Expired
	}
	act := Act{
		Kind: kind, Action: policy.Approve, Stored: "approval", Owner: p.Member, Needs: p.Needs, Run: p.Run,
		Targets: []string{string(p.ID)}, Part: map[string]any{"proposal": p.ID, "needs": p.Needs},
	}
	if p.Member == caller.Member() && !grant {
		act.Needs = policy.BySelf // anybody may withdraw what they asked for
	}
	err = g.Govern(ctx, caller, act, func(ctx context.Context) error {
		if p.Status != Waiting {
			return steward.Errorf(steward.Conflict, "this was %s already", p.Status)
		}
		if to == Approved && caller.Member() != p.Member {
			if err := g.canRead(ctx, caller, p); err != nil {
				return err
			}
		}
		return g.Proposals.Settle(ctx, caller.Workspace(), id, to, caller.Member())
	})
	if err != nil {
		return p, err
	}
	p.Status, p.DecidedBy = to, caller.Member()
	return p, nil
}

// canRead refuses an approver who can't see everything that they would approve.
func (g *Gateway) canRead(ctx context.Context, caller identity.Caller, p Proposal) error {
	in, err := g.Conversation(ctx, caller, p.Conversation)
	if err != nil {
		return err
	}
	document, err := json.Marshal(p.Calls)
	if err != nil {
		return fmt.Errorf("gateway: proposal: %w", err)
	}
	seen, err := g.Reveal(ctx, caller, p.Run, in, document)
	if err != nil {
		return err
	}
	if len(privacy.Tokens(string(seen))) > 0 {
		return steward.Errorf(steward.Denied, "you can't approve this, since you may not read everything it would use")
	}
	return nil
}

// matchApproval holds a write about to happen against what was approved: the same call, and, read
// again a moment ago, the same values.
func (g *Gateway) matchApproval(ctx context.Context, t *toolTarget) error {
	p, err := g.Proposal(ctx, t.caller, t.call.Approval)
	if err != nil {
		return err
	}
	if p.Status != Approved || p.Run != t.call.Run || p.Member != t.caller.Member() {
		return steward.Errorf(steward.Denied, "nobody approved this")
	}
	if !g.Now().Before(p.Expires) {
		return steward.Errorf(steward.Conflict, "the approval expired; ask again")
	}
	digest, err := g.digest(ctx, t.caller.Workspace(), p.ID, t.call, t.preview)
	if err != nil {
		return err
	}
	for i, c := range p.Calls {
		if hmac.Equal(c.Digest, digest) {
			t.index, t.approved = i, policy.ByOther
			if p.DecidedBy == p.Member {
				t.approved = policy.BySelf
			}
			return nil
		}
	}
	return steward.Errorf(steward.Conflict, "the record changed since this was approved, or this is not what was approved; look at it and ask again")
}

// digest binds an approval to the call and to every real value it would put in or replace. It is keyed,
// since values can be guessed, with a secret of its own.
func (g *Gateway) digest(ctx context.Context, ws steward.WorkspaceID, id steward.ProposalID, call Call, p connector.Preview) ([]byte, error) {
	key, err := g.Sealer.Derive(ctx, ws, steward.ItemScope(string(id)), "proposal")
	if err != nil {
		return nil, err
	}
	type bound struct {
		Ref           steward.Ref
		Field         string
		Before, After any
	}
	all := []any{call.Tool, call.Args, p.Targets, p.People}
	for _, c := range p.Changes {
		all = append(all, bound{Ref: c.Of, Field: c.Name, Before: c.Value, After: c.After})
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("gateway: digest: %w", err)
	}
	mac := hmac.New(sha256.New, key[:])
	mac.Write(raw)
	return mac.Sum(nil), nil
}

func proposalPlace(ws steward.WorkspaceID, id steward.ProposalID) steward.Place {
	return steward.Place{Workspace: ws, Table: "proposals", Row: string(id)}
}
