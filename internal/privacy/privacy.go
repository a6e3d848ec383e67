// Package privacy answers: what may be seen? It exchanges personal values for tokens and tokens for
// values, and keeps what cannot be read again; it knows no gateway, no system and no model.
package privacy

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/stewardhq/steward"
)

// Kind is what stands behind a token. A row says it in clear, since it decides when the row is opened,
// and once more inside what is sealed, so that changing it in the database changes nothing.
type Kind string

// The kinds of row.
const (
	Reference Kind = "reference" // a record's field: sealed is which, never the value
	Linked    Kind = "linked"    // the same, for a token that began as a typed value
	Value     Kind = "value"     // a value that can't be read again
	Text      Kind = "text"      // a free text, itself holding tokens
)

// Row is a token as it is stored. A row with an empty box was forgotten: it stays so that its id is
// never issued again and the token is known for what it was.
type Row struct {
	ID           string // Crockford base32, unique in the workspace
	Conversation steward.ConversationID
	Type         steward.TokenType
	Kind         Kind
	Issued       time.Time
	Sealed       steward.Sealed
}

// Class is the retention class of what the row holds: that of its time scope.
func (r Row) Class() steward.Class {
	if len(r.Sealed.Scopes) == 0 {
		return ""
	}
	class, _, _ := strings.Cut(string(r.Sealed.Scopes[0]), "/")
	return steward.Class(class)
}

// Person is whose scope seals the row, "" where it is nobody's.
func (r Row) Person() steward.PersonID {
	for _, scope := range r.Sealed.Scopes {
		if id, ok := strings.CutPrefix(string(scope), "person/"); ok {
			return steward.PersonID(id)
		}
	}
	return ""
}

// Wanted says which rows: those with some ids, or where there are none a person's, if one is named, and everybody's
// values and texts.
type Wanted struct {
	IDs    []string
	Person steward.PersonID
}

// Store keeps tokens. Every method sees one workspace only.
type Store interface {
	// Tokens gives a conversation's rows in the order of their issue, ties by id.
	Tokens(ctx context.Context, ws steward.WorkspaceID, conv steward.ConversationID) ([]Row, error)
	// IssueTokens keeps new rows and names the ids that were taken already, whose rows it left alone.
	IssueTokens(ctx context.Context, ws steward.WorkspaceID, rows []Row) (taken []string, err error)
	// ResealToken replaces kind and sealed value of one row; NotFound where there is none.
	ResealToken(ctx context.Context, ws steward.WorkspaceID, row Row) error
	// WalkTokens gives f the rows that are wanted and were not emptied, and ends at its first error.
	WalkTokens(ctx context.Context, ws steward.WorkspaceID, w Wanted, f func(Row) error) error
	// EmptyTokens removes scopes and box of the rows and keeps the rows. Unknown ids are passed over.
	EmptyTokens(ctx context.Context, ws steward.WorkspaceID, ids []string) error
}

// PersonStore keeps which person a record is about, under keyed digests of the record only.
type PersonStore interface {
	// People gives the persons known by the digests; what is unknown is absent.
	People(ctx context.Context, ws steward.WorkspaceID, digests []string) (map[string]steward.PersonID, error)
	// AddPeople keeps the persons of digests that are unknown and gives those that hold afterwards:
	// the first to come stays.
	AddPeople(ctx context.Context, ws steward.WorkspaceID, people map[string]steward.PersonID) (map[string]steward.PersonID, error)
	// DropPerson removes every digest of a person.
	DropPerson(ctx context.Context, ws steward.WorkspaceID, person steward.PersonID) error
}

// Shredder destroys keys; the keyring does. Scopes without a key are passed over.
type Shredder interface {
	Shred(ctx context.Context, ws steward.WorkspaceID, scopes ...steward.Scope) error
}

// Vault holds what tokens stand for. All fields are needed.
type Vault struct {
	Store    Store
	Persons  PersonStore
	Sealer   steward.Sealer
	Shredder Shredder
	Now      func() time.Time
	Rand     io.Reader
}

// Conversation is the tokens of one conversation and the values behind them. What was read from a
// system lives in its memory only. One run of one member uses it at a time.
type Conversation struct {
	vault *Vault
	ws    steward.WorkspaceID
	id    steward.ConversationID

	mu    sync.Mutex
	byID  map[string]*entry
	refs  map[steward.Ref][]*entry // the first is what the field's value is exchanged for
	exact map[string]*entry        // kept values that are in no dictionary, as they are spelled
	known dictionary
}

// LogValue names the conversation and shows nothing that it holds.
func (c *Conversation) LogValue() slog.Value { return slog.StringValue(string(c.id)) }

// Viewer reads as whoever looks.
type Viewer interface {
	// Read gives the present values of records' fields. What may not be seen, or is no longer there, is absent.
	Read(ctx context.Context, refs []steward.Ref) (map[steward.Ref]string, error)
	// Vault says whether they may see kept values of a class. It doesn't use the conversation.
	Vault(class steward.Class) bool
}

// Mention is what forgetting a person would destroy.
type Mention struct {
	Person     steward.PersonID
	References int // tokens for fields of their records
	Values     int // kept values that are theirs
	Texts      int // kept free texts in which they were found
	Scopes     []steward.Scope
	Tokens     []string // ids of all of these
}
