package steward

import (
	"encoding/base32"
	"fmt"
	"io"
	"strings"
	"time"
)

// Ids are distinct types, so that none can be taken for another. All are opaque and random; none is
// derived from a value.
type (
	WorkspaceID    string // one customer's tenant
	MemberID       string // a person in a workspace
	AgentID        string // a non-human principal that acts on behalf of a member
	APITokenID     string // names an API token without being it
	ConnectionID   string // a workspace's link to an outside system, such as "salesforce"
	ConversationID string // questions that share a dictionary of tokens
	RunID          string // all that one request caused
	ProposalID     string // a set of calls that waits for approval
	PersonID       string // a data subject
	ErasureID      string // one request to forget
)

// BuiltinAgent is the agent that runs members' questions inside the server.
const BuiltinAgent AgentID = "agent/steward"

// idAlphabet is Crockford's base32 in lower case: no i, l, o, u, so ids survive being read aloud.
var idAlphabet = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID makes an id of 80 random bits behind a prefix that names its kind: "run_9f3k…" (16 characters).
// It panics if randomness can't be read, since nothing safe can be done without.
func NewID(random io.Reader, prefix string) string {
	var b [10]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		panic(fmt.Sprintf("steward: no randomness: %v", err))
	}
	return prefix + "_" + idAlphabet.EncodeToString(b[:])
}

// Role is what a member may be in a workspace. The zero Role may do nothing.
type Role string

// The roles.
const (
	Admin   Role = "admin"
	Manager Role = "manager"
	Plain   Role = "member"
	Auditor Role = "auditor"
)

// Roles lists them in the order in which people are shown them.
func Roles() []Role { return []Role{Admin, Manager, Plain, Auditor} }

// ParseRole refuses what is no role.
func ParseRole(s string) (Role, error) {
	for _, r := range Roles() {
		if string(r) == s {
			return r, nil
		}
	}
	return "", Errorf(Invalid, "there is no role %q; choose admin, manager, member or auditor", s)
}

// Effect is what a tool does to the world. The zero Effect is no effect at all and is refused.
type Effect string

// The effects, from harmless to irrevocable.
const (
	Read   Effect = "read"
	Write  Effect = "write"
	Send   Effect = "send"
	Delete Effect = "delete"
)

// Ref names one record of an outside system, or one field of it where Field is set.
type Ref struct {
	Connection ConnectionID `json:"connection"`
	Object     string       `json:"object"`
	ID         string       `json:"id"`
	Field      string       `json:"field,omitempty"`
}

// String writes "salesforce:Contact:003…", the form in which people name records, with ".Field" behind it for a field.
func (r Ref) String() string {
	s := string(r.Connection) + ":" + r.Object + ":" + r.ID
	if r.Field != "" {
		s += "." + r.Field
	}
	return s
}

// Record is the reference without its field.
func (r Ref) Record() Ref { r.Field = ""; return r }

// ParseRef reads what String writes for a record.
func ParseRef(s string) (Ref, bool) {
	p := strings.Split(s, ":")
	if len(p) != 3 || p[0] == "" || p[1] == "" || p[2] == "" {
		return Ref{}, false
	}
	return Ref{Connection: ConnectionID(p[0]), Object: p[1], ID: p[2]}, true
}

// Sensitivity says how a field's value may travel. The zero value is the strictest that still can be
// shown: what nobody classified is treated as free text.
type Sensitivity uint8

// The sensitivities.
const (
	FreeText Sensitivity = iota // may hold anything about anybody: one token for the whole of it
	Open                        // numbers, dates, ids, stages, names of companies and deals
	Personal                    // identifies a person: a token linked to them
	Secret                      // a credential: removed, never restored
)

// TokenType is the word in a token that tells the model what it stands for.
type TokenType string

// The types of token.
const (
	TokenPerson  TokenType = "PERSON"
	TokenEmail   TokenType = "EMAIL"
	TokenPhone   TokenType = "PHONE"
	TokenAddress TokenType = "ADDRESS"
	TokenDate    TokenType = "DATE"
	TokenText    TokenType = "TEXT"
	TokenSecret  TokenType = "SECRET"
)

// TokenTypes lists them all.
func TokenTypes() []TokenType {
	return []TokenType{TokenPerson, TokenEmail, TokenPhone, TokenAddress, TokenDate, TokenText, TokenSecret}
}

// Record is a row as a system gave it, or, inside the house, the same row with tokens for values.
type Record struct {
	Object string
	ID     string // empty for what is not one record, such as a describe result
	URL    string // where a person can open it; built by the connector, never by a model
	Fields []Field
}

// Get finds a field's value by its full name, such as "Owner.Name"; nil where it is absent or null.
func (r Record) Get(name string) any {
	for _, f := range r.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return nil
}

// Text is Get for strings; "" where the value is absent or something else.
func (r Record) Text(name string) string {
	s, _ := r.Get(name).(string)
	return s
}

// Field is one value of a record and what must be known to treat it rightly.
type Field struct {
	Name        string // as asked for: "Name", "Owner.Name", "Account.Region__c"
	Value       any    // nil, string, bool, float64
	Sensitivity Sensitivity
	Type        TokenType // for Personal
	Of          Ref       // the field this value lives in, which for "Owner.Name" is the User's Name
	Subject     Ref       // the record of the person it is about, zero where there is none
	Untrusted   bool      // people outside the company can write it
}

// Change is one field of a write, before and after. Values are strings as people would read them, nil
// for nothing; inside the house they are tokens where they are personal or free text.
type Change struct {
	Connection ConnectionID `json:"system"`
	Object     string       `json:"object"`
	ID         string       `json:"id"` // empty for a record that does not exist yet
	Field      string       `json:"field"`
	Before     any          `json:"before"`
	After      any          `json:"after"`
}

// Quarter is the calendar quarter that holds t: its first day and the first day of the next.
func Quarter(t time.Time) (from, to time.Time) {
	y, m, _ := t.Date()
	from = time.Date(y, (m-1)/3*3+1, 1, 0, 0, 0, 0, t.Location())
	return from, from.AddDate(0, 3, 0)
}
