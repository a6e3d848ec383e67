package ledger

import (
	"fmt"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger/layout"
)

// Kind is what an entry records.
type Kind string

// The kinds of event.
const (
	WorkspaceCreated  Kind = "workspace.created"
	WorkspaceClosed   Kind = "workspace.closed"
	WorkspaceReopened Kind = "workspace.reopened"
	WorkspaceEnding   Kind = "workspace.ending"
	MemberAdded       Kind = "member.added"
	MemberRemoved     Kind = "member.removed"
	TokenIssued       Kind = "token.issued"
	TokenRevoked      Kind = "token.revoked"
	AuthRefused       Kind = "auth.refused"
	ConnectionAdded   Kind = "connection.added"
	ConnectionRemoved Kind = "connection.removed"
	RunStarted        Kind = "run.started"
	RunFinished       Kind = "run.finished"
	CallIntent        Kind = "call.intent"
	CallOutcome       Kind = "call.outcome"
	CallDenied        Kind = "call.denied"
	CallNeedsApproval Kind = "call.needs_approval"
	ApprovalRequested Kind = "approval.requested"
	ApprovalGranted   Kind = "approval.granted"
	ApprovalRefused   Kind = "approval.refused"
	ApprovalExpired   Kind = "approval.expired"
	LedgerRead        Kind = "ledger.read"
	RunRead           Kind = "run.read"
	StoredRead        Kind = "stored.read"
	StoredDenied      Kind = "stored.denied"
	ErasureRequested  Kind = "erasure.requested"
	ErasureDone       Kind = "erasure.done"
	ErasureDeferred   Kind = "erasure.deferred"
	ErasureOverdue    Kind = "erasure.overdue"
	CertificateIssued Kind = "certificate.issued"
	RetentionSet      Kind = "retention.set"
	HoldPlaced        Kind = "hold.placed"
	HoldReleased      Kind = "hold.released"
	PurgeBegun        Kind = "purge.begun"
	PurgeDone         Kind = "purge.done"
	ServerStarted     Kind = "server.started"
	KeyRotated        Kind = "ledger.key_rotated"
	LogRestarted      Kind = "ledger.restarted"
	BackupBegun       Kind = "backup.begun"
	BackupRestored    Kind = "backup.restored"
)

// kinds is the one table of them: whatever shows, maps or tests kinds ranges over it.
var kinds = [...]struct {
	kind  Kind
	label string
}{
	{WorkspaceCreated, "workspace created"},
	{WorkspaceClosed, "workspace closed"},
	{WorkspaceReopened, "workspace opened again"},
	{WorkspaceEnding, "workspace about to be deleted"},
	{MemberAdded, "member added"},
	{MemberRemoved, "member removed"},
	{TokenIssued, "API token issued"},
	{TokenRevoked, "API token revoked"},
	{AuthRefused, "sign-in refused"},
	{ConnectionAdded, "connection added"},
	{ConnectionRemoved, "connection removed"},
	{RunStarted, "run started"},
	{RunFinished, "run finished"},
	{CallIntent, "about to call"},
	{CallOutcome, "call ended"},
	{CallDenied, "call denied"},
	{CallNeedsApproval, "call needs approval"},
	{ApprovalRequested, "approval requested"},
	{ApprovalGranted, "approval granted"},
	{ApprovalRefused, "approval refused"},
	{ApprovalExpired, "approval expired"},
	{LedgerRead, "ledger read"},
	{RunRead, "run read"},
	{StoredRead, "stored data read"},
	{StoredDenied, "reading stored data denied"},
	{ErasureRequested, "erasure requested"},
	{ErasureDone, "erasure done"},
	{ErasureDeferred, "erasure put off"},
	{ErasureOverdue, "erasure overdue"},
	{CertificateIssued, "certificate issued"},
	{RetentionSet, "retention changed"},
	{HoldPlaced, "hold placed"},
	{HoldReleased, "hold released"},
	{PurgeBegun, "purge begun"},
	{PurgeDone, "purge done"},
	{ServerStarted, "server started"},
	{KeyRotated, "signing key replaced"},
	{LogRestarted, "new log begun, entries lost"},
	{BackupBegun, "backup begun"},
	{BackupRestored, "backup restored"},
}

// Kinds lists every kind.
func Kinds() []Kind {
	all := make([]Kind, len(kinds))
	for i, k := range kinds {
		all[i] = k.kind
	}
	return all
}

// Label is the kind in words for people; "" for what is no kind.
func (k Kind) Label() string {
	for _, known := range kinds {
		if known.kind == k {
			return known.label
		}
	}
	return ""
}

// What an entry's Outcome can be, besides "" where nothing ended.
const (
	OK      = "ok"
	Failed  = "error"
	Denied  = "denied"
	Unknown = "unknown" // the process died between intent and outcome: it may have happened or not
	Waiting = "waiting" // for an approval
)

// Entry is what a caller knows of an event. Its texts are ids, codes and words, never values: a header
// can't be forgotten, so a text with a space or an @ in it is refused. Values go into sealed parts.
type Entry struct {
	Kind           Kind             `json:"kind"`
	Run            steward.RunID    `json:"run,omitempty"`
	Caller         string           `json:"caller,omitempty"` // a member's or agent's id
	OnBehalfOf     steward.MemberID `json:"on_behalf_of,omitempty"`
	Authentication string           `json:"authentication,omitempty"`
	System         string           `json:"system,omitempty"`
	Tool           string           `json:"tool,omitempty"`
	Effect         steward.Effect   `json:"effect,omitempty"`
	Decision       string           `json:"decision,omitempty"`
	Policies       []string         `json:"policies,omitempty"`
	PolicySet      string           `json:"policy_set,omitempty"` // hash of the policy set that decided
	Outcome        string           `json:"outcome,omitempty"`
	Error          string           `json:"error,omitempty"` // an error kind, or the system's own code
	Purpose        string           `json:"purpose,omitempty"`
	Records        int              `json:"records,omitempty"` // read or written
	DurationMicros int64            `json:"duration_us,omitempty"`
	Targets        []string         `json:"targets,omitempty"` // records of writes and sends; people's blinded
	Intent         *uint64          `json:"intent,omitempty"`  // the sequence number of the intent that this ends
}

// Part is structure with tokens that belongs to an entry, in plain: the ledger seals it under all the
// scopes named.
type Part struct {
	Scopes []steward.Scope
	Body   []byte
}

// Header is an entry as it stands on record. Its exact bytes are a leaf of the tree.
type Header struct {
	Seq  uint64    `json:"seq"`  // from 0, without gaps
	Time time.Time `json:"time"` // UTC, to the microsecond, never earlier than the entry before
	ID   string    `json:"id"`   // 128 random bits, hexadecimal
	Entry
	Node  string       `json:"node,omitempty"` // the process that wrote it
	Parts []PartHeader `json:"parts,omitempty"`
}

// PartHeader is what a header says of a part.
type PartHeader struct {
	Scopes []steward.Scope `json:"scopes"`
	Len    int             `json:"len"`    // of the sealed bytes
	SHA256 []byte          `json:"sha256"` // of the sealed bytes
}

// Limits.
const (
	maxHeader = 65_535          // what a log's entry bundles can hold (C2SP tlog-tiles)
	maxParts  = layout.MaxPlain // bytes of one entry
)

// MaxTargets is how many targets a header has at most: a list that long may go on in a part.
const MaxTargets = 32

// check refuses an entry that is not of a known kind or has texts that are more than ids, codes and words.
func (e Entry) check() error {
	if e.Kind.Label() == "" {
		return fmt.Errorf("ledger: %q is no kind of entry", e.Kind)
	}
	switch e.Outcome {
	case "", OK, Failed, Denied, Unknown, Waiting:
	default:
		return fmt.Errorf("ledger: %q is no outcome", e.Outcome)
	}
	if len(e.Targets) > MaxTargets {
		return steward.Errorf(steward.TooLarge, "an entry of the ledger names at most %d targets; put the list into a part", MaxTargets)
	}
	for _, field := range [...]struct{ name, text string }{
		{"run", string(e.Run)}, {"caller", e.Caller}, {"on_behalf_of", string(e.OnBehalfOf)}, {"authentication", e.Authentication},
		{"system", e.System}, {"tool", e.Tool}, {"effect", string(e.Effect)}, {"decision", e.Decision}, {"policy_set", e.PolicySet},
		{"error", e.Error}, {"purpose", e.Purpose},
	} {
		if !layout.Word(field.text) {
			return noWord(field.name)
		}
	}
	for _, policy := range e.Policies {
		if !layout.Word(policy) {
			return noWord("policies")
		}
	}
	for _, target := range e.Targets {
		if !layout.Word(target) {
			return noWord("targets")
		}
	}
	return nil
}

func noWord(name string) error {
	return fmt.Errorf("ledger: an entry's %s must be an id, code or word, at most %d printable ASCII characters without spaces, quotes, brackets and @", name, layout.MaxWord)
}
