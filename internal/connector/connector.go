// Package connector answers: how does one act on an outside system? It knows tools, what they do to
// the world and how a call ends; it doesn't know who asks, whether they may, or what a token is.
package connector

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/stewardhq/steward"
)

// Tool is one operation on a connection, as a model is offered it. Its arguments are data: a connector writes
// them into its system's language itself, so nobody else has to escape them.
type Tool struct {
	Name        string // [a-zA-Z0-9_-]{1,64}
	Description string
	Schema      json.RawMessage // JSON Schema of the arguments, an object
	Effect      steward.Effect
}

// Secret is a credential. It prints and logs as "[secret]".
type Secret string

// String hides the value.
func (Secret) String() string { return "[secret]" }

// LogValue hides the value from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue("[secret]") }

// Session is what one call acts with: one member's credential on one connection.
type Session struct {
	Connection  steward.ConnectionID
	InstanceURL string // "https://acme.my.salesforce.com", no trailing slash
	AccessToken Secret
	HTTP        *http.Client // made by egress for this connection; follows no redirects elsewhere
}

// Identity is who the system says the credential belongs to.
type Identity struct {
	OrgID    string
	UserID   string
	Username string
	TimeZone string // IANA name; "" when the system doesn't say
}

// Reply is what a call brought back, with real values: only the gateway may hold one.
type Reply struct {
	Records   []steward.Record
	Total     int    // rows that matched, which may be more than were returned
	RequestID string // the system's own id for the (last) request, "" where it gives none
	Requests  int    // how many HTTP requests it took
}

// Preview is exactly what a write would change, from a fresh read. Values are real.
type Preview struct {
	Changes []Change
	Targets []steward.Ref // records that would be written or created (with an empty ID)
	People  []steward.Ref // records of people the write concerns, such as a task's contact
	Amount  float64       // the largest change of money it makes, absolute, in the org's currency
}

// Change is one field before and after. Ref has the field set; its ID is empty for a new record.
type Change struct {
	steward.Field        // Value is the value before
	After         any    // the value the write would leave
	Stamp         string // the record's last modification when it was read
}

// Connector acts on one kind of system. It keeps no state between calls that belongs to a member.
type Connector interface {
	// Tools lists what it offers; the same list every time.
	Tools() []Tool
	// Identify asks the system whose credential this is. Wrong or expired: kind Unauthenticated.
	Identify(ctx context.Context, s Session) (Identity, error)
	// Preview reads what a write would change and changes nothing. Tools that only read have no
	// preview: kind Invalid.
	Preview(ctx context.Context, s Session, tool string, args json.RawMessage) (Preview, error)
	// Call performs the tool. After a write the reply holds the written records as read back.
	// Failures carry *Error; where a write may or may not have happened, its Unknown is set.
	Call(ctx context.Context, s Session, tool string, args json.RawMessage) (Reply, error)
	// Finder says how people and fields are looked up here.
	Finder() Finder
}

// Finder turns names into the reads that find people, and references into the reads that fetch their
// values again. It is pure: the gateway makes the calls, since every call goes through it.
type Finder interface {
	// PersonObjects are the objects whose records are people: "Contact", "User".
	PersonObjects() []string
	// FindPeople gives reads that find the people whose full name, e-mail address, phone number or record id is
	// one of the spans, letters' case aside. Their fields are those that a person is recognised by (name, first and last
	// name, e-mail, phones). No spans, no reads.
	FindPeople(spans []string) []Lookup
	// ReadFields gives reads that fetch the fields named by the references; each record comes back with its
	// ID, so that values can be matched with references.
	ReadFields(refs []steward.Ref) []Lookup
}

// Lookup is a read that a Finder asks for: a tool and its arguments, which hold real values.
type Lookup struct {
	Tool string
	Args json.RawMessage
}

// Set holds a connector for each kind of system: {"salesforce": …}.
type Set map[string]Connector

// Error is a system's refusal or failure in its own terms. It travels inside a steward.Error.
type Error struct {
	System    string
	HTTP      int      // 0 when no answer came
	Code      string   // the system's own code, such as "INSUFFICIENT_ACCESS"
	Message   string   // the system's own words: may hold personal values, so not for logs
	Fields    []string // fields it complains about
	RequestID string
	Unknown   bool // the request was sent and no answer says whether it took effect
}

// Error gives the code without the system's words, which may be personal.
func (e *Error) Error() string {
	return fmt.Sprintf("%s answered %d %s (request %q)", e.System, e.HTTP, e.Code, e.RequestID)
}
