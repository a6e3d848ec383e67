// Package wire answers: what goes over the wire? It holds the JSON that the API sends, for whoever speaks
// to it; it knows nothing of what it is made from.
package wire

import (
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/llm"
)

// Status is where a run stands.
type Status string

// The statuses.
const (
	Running       Status = "running"
	Waiting       Status = "waiting" // for an approval
	Done          Status = "done"
	Failed        Status = "failed"
	NotUnderstood Status = "not_understood"
)

// Answer is a run as its reader may see it: what ask, approve and run show print.
type Answer struct {
	Run          steward.RunID          `json:"run"`
	Conversation steward.ConversationID `json:"conversation"`
	Status       Status                 `json:"status"`
	Question     string                 `json:"question"`
	Answer       string                 `json:"answer"`
	Results      []Result               `json:"results"`
	Records      []Record               `json:"records"`
	RecordsTotal int                    `json:"records_total"` // all that the answer rests on, listed or not
	Approval     *Approval              `json:"approval"`
	Error        *Problem               `json:"error"`
	Created      time.Time              `json:"created"`
}

// Approval is what waits for somebody's yes.
type Approval struct {
	ID      steward.ProposalID `json:"id"`
	Run     steward.RunID      `json:"run"`
	Needs   string             `json:"needs"` // "self" or "other"
	Status  string             `json:"status"`
	Changes []steward.Change   `json:"changes"`
	Expires time.Time          `json:"expires"`
}

// Dialogue is exactly what the model was told and said, in tokens.
type Dialogue struct {
	Messages []llm.Message `json:"messages"`
}

// Problem is an error on the wire.
type Problem struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

// Example is a question that the built-in model answers.
type Example struct {
	Question string `json:"question"`
	What     string `json:"what"`
}

// Member is a member on the wire. Token is set once, when the member is added.
type Member struct {
	Member  steward.MemberID `json:"member"`
	Email   string           `json:"email"`
	Role    steward.Role     `json:"role"`
	Token   string           `json:"token,omitempty"`
	Expires *time.Time       `json:"expires,omitempty"` // of the token
}

// Token is an API token on the wire. Secret is set once, when it is issued.
type Token struct {
	ID      steward.APITokenID `json:"id"`
	Member  steward.MemberID   `json:"member"`
	Secret  string             `json:"token,omitempty"`
	Created time.Time          `json:"created"`
	Expires time.Time          `json:"expires"`
	Revoked *time.Time         `json:"revoked,omitempty"`
}

// Connection is a link to a system on the wire.
type Connection struct {
	Connection  steward.ConnectionID `json:"connection"`
	InstanceURL string               `json:"instance_url"`
	OrgID       string               `json:"org_id"`
	Member      steward.MemberID     `json:"member,omitempty"`
	Username    string               `json:"username,omitempty"`
}

// Entry is a ledger entry on the wire.
type Entry struct {
	Seq            uint64           `json:"seq"`
	Time           time.Time        `json:"time"`
	Kind           ledger.Kind      `json:"kind"`
	Run            steward.RunID    `json:"run"`
	Caller         string           `json:"caller"`
	OnBehalfOf     steward.MemberID `json:"on_behalf_of"`
	Authentication string           `json:"authentication"`
	System         string           `json:"system"`
	Tool           string           `json:"tool"`
	Effect         steward.Effect   `json:"effect"`
	Decision       string           `json:"decision"`
	Policies       []string         `json:"policies"`
	PolicySet      string           `json:"policy_set"`
	Outcome        string           `json:"outcome"`
	Error          string           `json:"error"`
	Purpose        string           `json:"purpose"`
	Records        int              `json:"records"`
	DurationMicros int64            `json:"duration_us"`
	Targets        []string         `json:"targets"`
	Intent         *uint64          `json:"intent"`
}

// Result is one figure of an answer and what it was computed from.
type Result struct {
	Metric   string             `json:"metric"`
	Variant  string             `json:"variant"` // which of the metric's definitions
	Value    *float64           `json:"value"`   // null where there is nothing to divide by
	Unit     string             `json:"unit"`    // ratio, usd, days or count
	Inputs   map[string]float64 `json:"inputs"`
	Group    map[string]string  `json:"group"`               // {"owner": name}; empty for a total
	GroupIDs map[string]string  `json:"group_ids,omitempty"` // {"owner": record id}
	Formula  string             `json:"formula"`
	Period   string             `json:"period,omitempty"` // "2026-10-01 to 2026-12-31"
}

// Record is a record that an answer rests on, with the link to open it by.
type Record struct {
	System steward.ConnectionID `json:"system"`
	Object string               `json:"object"`
	ID     string               `json:"id"`
	URL    string               `json:"url"`
	Name   string               `json:"name,omitempty"`
}
