// Package identity answers: who is asking? It keeps workspaces, members and API tokens, and turns a
// token into a Caller; it doesn't know what a caller may do.
package identity

import (
	"log/slog"

	"github.com/stewardhq/steward"
)

// Method is how a caller was authenticated.
type Method string

// The methods.
const (
	ByAPIToken Method = "api_token" // a bearer token, just now
	ByResume   Method = "resumed"   // a stored run carried on; the member was authenticated when it began
)

// Caller is proof of who is asking: a member, directly or through an agent. Its fields are closed, so
// that only this package can make one; the zero Caller is nobody and is refused everywhere.
type Caller struct {
	workspace steward.WorkspaceID
	member    steward.MemberID
	role      steward.Role
	agent     steward.AgentID
	method    Method
	token     steward.APITokenID
}

// Workspace is the tenant the caller belongs to, and the only one they can reach.
func (c Caller) Workspace() steward.WorkspaceID { return c.workspace }

// Member is the person asking, or on whose behalf the agent asks.
func (c Caller) Member() steward.MemberID { return c.member }

// Role is the member's role.
func (c Caller) Role() steward.Role { return c.role }

// Agent is who acts for the member; empty when the member acts directly.
func (c Caller) Agent() steward.AgentID { return c.agent }

// Method is how the member was authenticated.
func (c Caller) Method() Method { return c.method }

// Token names the API token used; empty for a resumed run.
func (c Caller) Token() steward.APITokenID { return c.token }

// Name is the caller as the ledger writes it: the agent where one acts, else the member.
func (c Caller) Name() string {
	if c.agent != "" {
		return string(c.agent)
	}
	return string(c.member)
}

// Valid is false for the zero Caller.
func (c Caller) Valid() bool { return c.workspace != "" && c.member != "" }

// Through is the same member with an agent acting on their behalf. It gives away nothing: the agent
// can do what the member may, or less. There is no way back: no agent is no change.
func (c Caller) Through(agent steward.AgentID) Caller {
	if agent != "" {
		c.agent = agent
	}
	return c
}

// LogValue shows opaque ids only.
func (c Caller) LogValue() slog.Value {
	return slog.GroupValue(slog.String("workspace", string(c.workspace)), slog.String("caller", c.Name()))
}
