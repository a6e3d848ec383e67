package steward

import (
	"context"
	"strings"
	"time"
)

// Class is a retention class: how long a kind of data is kept.
type Class string

// The classes.
const (
	ClassCredential   Class = "credential"
	ClassVault        Class = "vault"
	ClassConversation Class = "conversation"
	ClassRun          Class = "run"
	ClassPrompt       Class = "prompt"
	ClassLedger       Class = "ledger"
	ClassSnapshot     Class = "snapshot"
	ClassBackup       Class = "backup"
)

// ClassRule is what is declared of a class, once, here.
type ClassRule struct {
	Class Class
	Days  int  // kept by default; 0 means until disconnected
	Month bool // sealed month by month instead of day by day
}

// Classes is the table of retention classes. Classes kept 90 days or less are sealed day by day.
func Classes() []ClassRule {
	return []ClassRule{
		{ClassCredential, 0, false},
		{ClassVault, 30, false},
		{ClassConversation, 30, false},
		{ClassRun, 90, false},
		{ClassPrompt, 90, false},
		{ClassLedger, 2557, true},
		{ClassSnapshot, 400, true},
		{ClassBackup, 30, false},
	}
}

// Scope is what one key seals, and so what can be forgotten at once.
type Scope string

// TimeScope is the scope of a class for the period that holds t: "ledger/2026-11", "run/2026-11-23".
func TimeScope(class Class, t time.Time) Scope {
	layout := time.DateOnly
	for _, rule := range Classes() {
		if rule.Class == class && rule.Month {
			layout = "2006-01"
		}
	}
	return Scope(string(class) + "/" + t.UTC().Format(layout))
}

// Period reads what TimeScope wrote: the class, and when the period ends, which is when the next begins. ok is
// false for other scopes.
func (s Scope) Period() (class Class, end time.Time, ok bool) {
	name, period, _ := strings.Cut(string(s), "/")
	for _, rule := range Classes() {
		if string(rule.Class) != name || rule.Days == 0 {
			continue
		}
		if month, err := time.Parse("2006-01", period); rule.Month {
			return rule.Class, month.AddDate(0, 1, 0), err == nil
		}
		day, err := time.Parse(time.DateOnly, period)
		return rule.Class, day.AddDate(0, 0, 1), err == nil
	}
	return "", time.Time{}, false
}

// PersonScope seals what belongs to one person.
func PersonScope(p PersonID) Scope { return Scope("person/" + string(p)) }

// ItemScope seals one thing that must be able to go alone: a free text, a run's state.
func ItemScope(id string) Scope { return Scope("item/" + id) }

// CredentialScope seals one member's credential on one connection.
func CredentialScope(c ConnectionID, m MemberID) Scope {
	return Scope(string(ClassCredential) + "/" + string(c) + "/" + string(m))
}

// HoldScope seals what one hold keeps of what would be gone without it.
func HoldScope(id string) Scope { return Scope("hold/" + id) }

// DutyScope seals whom one erasure is about, until it is complete.
func DutyScope(id ErasureID) Scope { return Scope("duty/" + string(id)) }

// WorkspaceScope seals what lives as long as the workspace: index secrets, its signing key.
const WorkspaceScope Scope = "workspace"

// Place is where a sealed value stands. It is bound into the key, so a value moved to another place
// does not open.
type Place struct {
	Workspace WorkspaceID
	Table     string
	Row       string
	Part      int
}

// Sealed is an encrypted value and the scopes whose keys open it: all of them are needed.
type Sealed struct {
	Scopes []Scope
	Box    []byte
}

// ScopeList writes the scopes as one text column.
func (s Sealed) ScopeList() string {
	names := make([]string, len(s.Scopes))
	for i, scope := range s.Scopes {
		names[i] = string(scope)
	}
	return strings.Join(names, " ")
}

// ParseScopes reads what ScopeList writes.
func ParseScopes(list string) []Scope {
	var scopes []Scope
	for _, name := range strings.Fields(list) {
		scopes = append(scopes, Scope(name))
	}
	return scopes
}

// Sealer seals and opens. The keyring is the only one; it stands here because whoever keeps anything
// seals it, and none of them may know another.
type Sealer interface {
	// Seal encrypts plain for a place under the keys of every scope named, made where they don't
	// exist yet. Two seals of the same plain differ.
	Seal(ctx context.Context, at Place, scopes []Scope, plain []byte) (Sealed, error)
	// Open decrypts. Its error is of kind Gone when a scope's key was destroyed, and Internal when
	// the value is not what was sealed at this place.
	Open(ctx context.Context, at Place, sealed Sealed) ([]byte, error)
	// Derive gives a secret that lives exactly as long as the scope: for keyed digests and
	// signing. The scope's key is made where it doesn't exist yet, unless it was destroyed (Gone).
	Derive(ctx context.Context, ws WorkspaceID, scope Scope, purpose string) ([32]byte, error)
}
