// Package policy answers: may they? It knows who asks, what for and under which circumstances, and decides
// by Cedar policies alone; it doesn't know what a call says, whether the outside system would allow it, or
// what was decided before.
package policy

import (
	"time"

	"github.com/stewardhq/steward"
)

// Action is what somebody wants to do. The zero Action is refused.
type Action string

// The actions on outside systems, which are the effects of tools, and on models.
const (
	Read   Action = Action(steward.Read)
	Write  Action = Action(steward.Write)
	Send   Action = Action(steward.Send)
	Delete Action = Action(steward.Delete)
	Model  Action = "model" // a call to a language model
)

// The actions on what Steward keeps.
const (
	View    Action = "view"
	Manage  Action = "manage"  // add, change, remove: members, settings, tokens, connections
	Approve Action = "approve" // confirm or refuse a proposal
	Erase   Action = "erase"   // forget a person
)

// Actions lists them all.
func Actions() []Action {
	return []Action{Read, Write, Send, Delete, Model, View, Manage, Approve, Erase}
}

// StoredThings lists what Resource.Stored may be.
func StoredThings() []string {
	return []string{
		"ledger", "run", "conversation", "members", "settings", "tokens", "connections", "approval",
		"erasure", "workspace",
	}
}

// Approvals that a call can have, for Permits and Context.Approval.
const (
	NoApproval = "none"
	BySelf     = "self"
	ByOther    = "other"
)

// Principal is who asks.
type Principal struct {
	Workspace steward.WorkspaceID
	Member    steward.MemberID
	Role      steward.Role
	Agent     steward.AgentID // acts on the member's behalf; "" when the member acts directly
}

// Resource is what is acted on: a tool or model when Stored is empty, else something Steward keeps in
// the principal's workspace.
type Resource struct {
	System     string               // "salesforce"; for Model the provider. Needed for calls
	Connection steward.ConnectionID // needed for calls to tools
	Object     string               // "Opportunity"; "" where a tool has no object
	Tool       string               // the tool; for Model the model's id. Needed for calls
	Stored     string               // one of StoredThings
	Owner      steward.MemberID     // whose stored thing it is; "" where it is nobody's in particular
}

// Context is the circumstances. Records and Amount add up over the run and the day, this call included,
// so that many small calls weigh as much as one big one.
type Context struct {
	Records   int
	Amount    float64 // money changed, absolute, in the org's currency
	Fields    []string
	Untrusted bool // text that outsiders can write has entered the run
	// Approval is filled in by Decide for calls. For Approve the caller sets it to what the proposal
	// needs: "self" or "other".
	Approval       string
	Purpose        string // audit, compliance, security or troubleshooting; anything else counts as none
	Authentication string // "api_token", "resumed"
	Now            time.Time
	RecordsToday   int
	CallsToday     int
}

// Request is one question: may this principal do this to that, now?
type Request struct {
	Principal
	Action
	Resource
	Context
}

// Verdict is the answer. The zero Verdict denies.
type Verdict uint8

// The verdicts.
const (
	Deny       Verdict = iota
	Allow              // go ahead
	NeedsSelf          // allowed once the asker has confirmed
	NeedsOther         // allowed once somebody else has approved
)

// String is the verdict's name in the ledger.
func (v Verdict) String() string {
	switch v {
	case Allow:
		return "allow"
	case NeedsSelf:
		return "needs_self"
	case NeedsOther:
		return "needs_other"
	default:
		return "deny"
	}
}

// Decision is a verdict and what it rests on.
type Decision struct {
	Verdict
	// Policies are the ids of those that decided, sorted: for Allow those that permit; for NeedsSelf and
	// NeedsOther those that permit once approved and those that stand in the way until then; for Deny
	// those that no approval lifts, or that failed. None at all means that nothing permits it.
	Policies []string
	// PolicySet is the hash of the policies in force: 16 hex digits.
	PolicySet string
}
