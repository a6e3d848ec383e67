// Package ocsf answers: what do entries say in the words of security tools? It maps an entry's header to an
// event of the Open Cybersecurity Schema Framework 1.9.0 (https://schema.ocsf.io/1.9.0); it opens no parts,
// and doesn't know where events go.
package ocsf

import (
	"encoding/hex"
	"strconv"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// Version is the schema's.
const Version = "1.9.0"

// class is a class of events.
type class struct {
	uid      int
	name     string
	category int
	in       string // the category's name
}

var (
	apiActivity    = class{6003, "API Activity", 6, "Application Activity"}
	authentication = class{3002, "Authentication", 3, "Identity & Access Management"}
	userManagement = class{3007, "User Management", 3, "Identity & Access Management"}
)

// labelled is one of the schema's identifiers and its caption there.
type labelled struct {
	id   int
	name string
}

const other = 99 // the identifier whose meaning is only what stands beside it

// The activities of each class.
var (
	creates = labelled{1, "Create"}
	reads   = labelled{2, "Read"}
	updates = labelled{3, "Update"}
	deletes = labelled{4, "Delete"}

	logon = labelled{1, "Logon"}

	createsUser = labelled{1, "Create"}
	deletesUser = labelled{3, "Delete"}
)

// whose tells which of an entry's fields names the user that an event of some classes must have.
type whose int

const (
	nobody whose = iota
	theCaller
	theTarget
)

// kinds is the mapping: every kind of entry as an API Activity, and those that a class of Identity & Access
// Management fits better as that, if the entry names whom it is about.
var kinds = [...]struct {
	kind ledger.Kind
	as   labelled // as an API Activity; zero leaves it to the entry's effect, and where there is none to its kind

	about whose
	class class
	iam   labelled
}{
	{kind: ledger.WorkspaceCreated, as: creates},
	{kind: ledger.WorkspaceClosed, as: updates},
	{kind: ledger.WorkspaceReopened, as: updates},
	{kind: ledger.WorkspaceEnding, as: deletes},
	{kind: ledger.MemberAdded, as: creates, about: theTarget, class: userManagement, iam: createsUser},
	{kind: ledger.MemberRemoved, as: deletes, about: theTarget, class: userManagement, iam: deletesUser},
	{kind: ledger.TokenIssued, as: creates},
	{kind: ledger.TokenRevoked, as: deletes},
	{kind: ledger.AuthRefused, about: theCaller, class: authentication, iam: logon},
	{kind: ledger.ConnectionAdded, as: creates},
	{kind: ledger.ConnectionRemoved, as: deletes},
	{kind: ledger.RunStarted, as: creates},
	{kind: ledger.RunFinished},
	{kind: ledger.CallIntent},
	{kind: ledger.CallOutcome},
	{kind: ledger.CallDenied},
	{kind: ledger.CallNeedsApproval},
	{kind: ledger.ApprovalRequested, as: creates},
	{kind: ledger.ApprovalGranted, as: updates},
	{kind: ledger.ApprovalRefused, as: updates},
	{kind: ledger.ApprovalExpired, as: updates},
	{kind: ledger.LedgerRead, as: reads},
	{kind: ledger.RunRead, as: reads},
	{kind: ledger.StoredRead, as: reads},
	{kind: ledger.StoredDenied, as: reads},
	{kind: ledger.ErasureRequested, as: creates},
	{kind: ledger.ErasureDone, as: deletes},
	{kind: ledger.ErasureDeferred, as: updates},
	{kind: ledger.ErasureOverdue, as: updates},
	{kind: ledger.CertificateIssued, as: creates},
	{kind: ledger.RetentionSet, as: updates},
	{kind: ledger.HoldPlaced, as: creates},
	{kind: ledger.HoldReleased, as: deletes},
	{kind: ledger.PurgeBegun, as: deletes},
	{kind: ledger.PurgeDone, as: deletes},
	{kind: ledger.ServerStarted},
	{kind: ledger.KeyRotated, as: updates},
	{kind: ledger.LogRestarted, as: updates},
	{kind: ledger.BackupBegun, as: reads},
	{kind: ledger.BackupRestored, as: updates},
}

// effects are the activities of calls, by what they do to the world. Sending is none of the API's four.
var effects = map[steward.Effect]labelled{
	steward.Read: reads, steward.Write: updates, steward.Send: {other, "Send"}, steward.Delete: deletes,
}

// outcomes are status and severity. What is denied or fails is worth a look; what may have happened or not
// has to be looked after.
var outcomes = map[string]struct {
	status, severity labelled
}{
	"":             {labelled{}, informational},
	ledger.OK:      {labelled{1, "Success"}, informational},
	ledger.Failed:  {labelled{2, "Failure"}, low},
	ledger.Denied:  {labelled{2, "Failure"}, low},
	ledger.Unknown: {labelled{0, "Unknown"}, medium},
	ledger.Waiting: {labelled{other, "waiting for approval"}, informational},
}

var (
	informational = labelled{1, "Informational"}
	low           = labelled{2, "Low"}
	medium        = labelled{3, "Medium"}
)

// decisions are action and disposition. Any other is a need for approval: neither allowed nor denied yet.
var decisions = map[string]struct{ action, disposition labelled }{
	"allow": {labelled{1, "Allowed"}, labelled{1, "Allowed"}},
	"deny":  {labelled{2, "Denied"}, labelled{26, "Unauthorized"}},
}

// FromEntry makes an entry's event. log is the log's name as its checkpoints have it, and header the exact
// bytes that were decoded into h: the event carries them, and leaf, which is their hash as the log's tree has it.
func FromEntry(log string, ws steward.WorkspaceID, h *ledger.Header, header []byte, leaf [tree.HashSize]byte) Event {
	e := Event{
		Time: h.Time.UnixMilli(), Message: h.Kind.Label(), StatusCode: h.Error,
		Actor: actor{InvokedBy: "steward"},
		Metadata: metadata{
			Version: Version, Product: product{"Steward", "Steward"}, Profiles: []string{"record_integrity"},
			UID: h.ID, Sequence: h.Seq, LogName: log, LoggedTime: h.Time.UnixMilli(), EventCode: string(h.Kind),
			TenantUID: string(ws), CorrelationUID: string(h.Run),
		},
		AttestationList: []attestation{{ChainUID: log, Fingerprint: fingerprint{
			AlgorithmID: 3, Algorithm: "SHA-256", EncodingID: 1, Encoding: "Hex",
			SerializationID: other, Serialization: "RFC 6962 leaf of raw_data: one zero byte and its bytes",
			Value: hex.EncodeToString(leaf[:]),
		}}},
		RawData: string(header),
		Unmapped: unmapped{
			Authentication: h.Authentication, Effect: string(h.Effect), Purpose: h.Purpose, Records: h.Records,
			DurationMicros: h.DurationMicros, Node: h.Node,
		},
	}
	for _, p := range h.Parts {
		e.Unmapped.Parts = append(e.Unmapped.Parts, part{p.Scopes, p.Len, hex.EncodeToString(p.SHA256)})
	}
	ended := outcomes[h.Outcome]
	e.SeverityID, e.Severity = ended.severity.id, ended.severity.name
	if h.Outcome != "" {
		e.StatusID, e.Status = &ended.status.id, ended.status.name
	}
	e.who(h)
	e.decided(h)
	e.what(h)
	return e
}

// who names the member who acts, or on whose behalf an agent does.
func (e *Event) who(h *ledger.Header) {
	name := h.Caller
	if h.OnBehalfOf != "" {
		name = string(h.OnBehalfOf)
	}
	if name != "" {
		e.Actor = actor{User: &user{UID: name}}
	}
	if h.Caller != "" && h.Caller != name {
		e.Metadata.Profiles = append(e.Metadata.Profiles, "ai_operation")
		e.AIAgent = &aiAgent{UID: h.Caller, InstanceUID: string(h.Run)}
	}
}

// decided names what the policies said.
func (e *Event) decided(h *ledger.Header) {
	if h.Decision == "" {
		return
	}
	said, known := decisions[h.Decision]
	if !known {
		said.action, said.disposition = labelled{other, h.Decision}, labelled{other, h.Decision}
	}
	e.Metadata.Profiles = append(e.Metadata.Profiles, "security_control")
	e.ActionID, e.Action = said.action.id, said.action.name
	e.DispositionID, e.Disposition = said.disposition.id, said.disposition.name
	if h.PolicySet != "" {
		e.Policy = &policy{Name: "policy set", UID: h.PolicySet}
	}
	for _, id := range h.Policies {
		if id != "" {
			e.Authorizations = append(e.Authorizations, authorization{h.Decision, policy{UID: id}})
		}
	}
}

// what names the class, the activity and what it was done to.
func (e *Event) what(h *ledger.Header) {
	for _, k := range kinds {
		if k.kind != h.Kind {
			continue
		}
		subject, rest := "", h.Targets
		switch {
		case k.about == theCaller:
			subject = h.Caller
		case k.about == theTarget && len(h.Targets) > 0:
			subject, rest = h.Targets[0], h.Targets[1:]
		}
		if subject == "" {
			e.api(h, k.as)
			return
		}
		e.classify(k.class, k.iam)
		e.User = &user{UID: subject}
		e.Unmapped.Tool, e.Unmapped.Targets = h.Tool, rest
		if k.class == authentication {
			e.Service = &service{Name: "steward"}
			e.Unmapped.Targets = nil
			for _, token := range rest {
				if token != "" {
					e.User.Credentials = append(e.User.Credentials, credential{"API token", token})
				}
			}
		}
		e.Unmapped.System = h.System
		return
	}
	e.api(h, labelled{})
}

// api makes the event an API Activity.
func (e *Event) api(h *ledger.Header, as labelled) {
	if as.id == 0 {
		as = effects[h.Effect]
	}
	if as.id == 0 {
		as = labelled{other, h.Kind.Label()}
	}
	e.classify(apiActivity, as)
	e.SrcEndpoint = &endpoint{SvcName: "steward", InstanceUID: h.Node}
	e.API = &api{Operation: h.Tool}
	if h.Tool == "" {
		e.API.Operation = string(h.Kind)
	}
	if h.System != "" {
		e.API.Service = &service{Name: h.System}
	}
	// Intent and outcome of a call are one request.
	switch {
	case h.Intent != nil:
		e.API.Request = &request{strconv.FormatUint(*h.Intent, 10)}
	case h.Kind == ledger.CallIntent:
		e.API.Request = &request{strconv.FormatUint(h.Seq, 10)}
	}
	for _, target := range h.Targets {
		if target == "" {
			continue
		}
		r := resource{UID: target}
		if ref, ok := steward.ParseRef(target); ok {
			r.Type, r.Namespace = ref.Object, string(ref.Connection)
		}
		e.Resources = append(e.Resources, r)
	}
}

func (e *Event) classify(c class, a labelled) {
	e.CategoryUID, e.CategoryName = c.category, c.in
	e.ClassUID, e.ClassName = c.uid, c.name
	e.ActivityID, e.ActivityName = a.id, a.name
	e.TypeUID, e.TypeName = c.uid*100+a.id, c.name+": "+a.name
	if a.id == other {
		e.TypeName = c.name + ": Other"
	}
}
