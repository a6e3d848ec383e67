package gateway

import (
	"context"
	"time"

	"github.com/stewardhq/steward"
)

// Status is where a proposal stands.
type Status string

// The statuses. Only Waiting can become another.
const (
	Waiting  Status = "waiting"
	Approved Status = "approved"
	Refused  Status = "refused"
	Expired  Status = "expired"
)

// ProposalRow is a proposal as stored: what it holds is sealed.
type ProposalRow struct {
	ID        steward.ProposalID
	Run       steward.RunID
	Member    steward.MemberID // who asked
	Needs     string           // "self" or "other"
	Status    Status
	DecidedBy steward.MemberID
	Created   time.Time
	Expires   time.Time
	Sealed    steward.Sealed
}

// ProposalStore keeps what waits for approval.
type ProposalStore interface {
	AddProposal(ctx context.Context, ws steward.WorkspaceID, p ProposalRow) error
	// Proposal is NotFound where the workspace has none of this id.
	Proposal(ctx context.Context, ws steward.WorkspaceID, id steward.ProposalID) (ProposalRow, error)
	// Settle moves a waiting proposal to another status, once: Conflict if it isn't waiting any more.
	Settle(ctx context.Context, ws steward.WorkspaceID, id steward.ProposalID, to Status, by steward.MemberID) error
	// Take spends the approval of one of the proposal's calls, once: Conflict if it is spent.
	Take(ctx context.Context, ws steward.WorkspaceID, id steward.ProposalID, call int) error
	// WaitingProposals lists them, oldest first.
	WaitingProposals(ctx context.Context, ws steward.WorkspaceID) ([]ProposalRow, error)
}

// Usage is what a run, and its member this day, have done so far: the larger of the two for Records and
// Amount, so that neither many small calls nor many runs pass below a limit.
type Usage struct {
	Records      int
	Amount       float64
	Untrusted    bool // of the run: text that outsiders can write has entered it
	RecordsToday int
	CallsToday   int
	Calls        int // when adding: how many calls
}

// UsageStore adds up what is used. A day is a date in UTC.
type UsageStore interface {
	Usage(ctx context.Context, ws steward.WorkspaceID, run steward.RunID, m steward.MemberID, day string) (Usage, error)
	AddUsage(ctx context.Context, ws steward.WorkspaceID, run steward.RunID, m steward.MemberID, day string, spent Usage) error
}
