package ledger

import (
	"context"
	"errors"

	"github.com/stewardhq/steward"
)

// Head is where a workspace's ledger ends. The zero Head is an empty ledger's.
type Head struct {
	Next   uint64 // the sequence number of the next entry
	Last   int64  // the time of the last entry, microseconds
	Signed uint64 // the size of the last checkpoint, 0 before there is one
}

// Row is one entry as it is stored.
type Row struct {
	Seq    uint64
	Header []byte
	Parts  []byte // sealed, see joinParts; nil for none
	Opens  bool   // written only: the entry is an intent that waits for its outcome
	Closes *uint64
}

// Advance is what one commit does to one workspace: rows numbered Was.Next to Now.Next-1.
type Advance struct {
	Workspace steward.WorkspaceID
	Node      string // the process that its intents belong to
	Was, Now  Head   // Signed plays no part
	Rows      []Row
}

// StoredCheckpoint is a signed note and what is needed to go on from it.
type StoredCheckpoint struct {
	Size  uint64
	Note  []byte
	Range []byte // hashes of the compact range [0, Size), 32 bytes each, from left to right
}

// OpenIntent is an intent without outcome.
type OpenIntent struct {
	Workspace steward.WorkspaceID
	Seq       uint64
}

// What Commit answers, besides the store's own failures.
var (
	ErrMoved = errors.New("ledger: the head is not where it was")
	ErrEnded = errors.New("ledger: the intent has its outcome already, or never was")
)

// Reader is what is needed to read and verify a ledger: it can be a store that is open for reading only.
type Reader interface {
	// Head reads where the workspace's ledger ends.
	Head(ctx context.Context, ws steward.WorkspaceID) (Head, error)
	// Rows reads entries in order, from a sequence number on: at most limit, fewer where they are
	// large, and none only where there is none. Without parts, Row.Parts is nil.
	Rows(ctx context.Context, ws steward.WorkspaceID, from uint64, limit int, parts bool) ([]Row, error)
	// Intents lists the workspace's intents without outcome, in order.
	Intents(ctx context.Context, ws steward.WorkspaceID) ([]OpenIntent, error)
	// Checkpoints reads checkpoints by size, from a size on, at most limit.
	Checkpoints(ctx context.Context, ws steward.WorkspaceID, from uint64, limit int) ([]StoredCheckpoint, error)
	// Check looks for damage in the database itself. Damage is an error of kind Internal.
	Check(ctx context.Context) error
}

// Store keeps ledgers.
type Store interface {
	Reader
	Writer
}

// Writer is the half of Store that writes, and finds what is left to write.
type Writer interface {
	// Commit writes all advances in one transaction that is durable when it returns, or nothing. It
	// answers ErrMoved where a head is not at Was.Next, and ErrEnded where a row closes an intent that
	// is not open.
	Commit(ctx context.Context, advances []Advance) error
	// SaveCheckpoint adds a checkpoint, unless there is one of that size, and moves Head.Signed up to it.
	SaveCheckpoint(ctx context.Context, ws steward.WorkspaceID, cp StoredCheckpoint) error
	// Abandoned lists the open intents of all nodes but one, in every workspace.
	Abandoned(ctx context.Context, node string) ([]OpenIntent, error)
	// Behind lists the workspaces with entries that no checkpoint covers.
	Behind(ctx context.Context) ([]steward.WorkspaceID, error)
}
