package ledger

import (
	"context"
	"errors"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// Head is where a workspace's ledger ends. The zero Head is an empty ledger's.
type Head struct {
	Next   uint64 // the sequence number of the next entry
	Last   int64  // the time of the last entry, microseconds
	Signed uint64 // the size of the last checkpoint, 0 before there is one
	First  uint64 // the number of the first entry that is kept: those before it were pruned
}

// Row is one entry as it is stored.
type Row struct {
	Seq    uint64
	Header []byte
	Parts  []byte // sealed, see layout.JoinParts; nil for none
	Opens  bool   // written only: the entry is an intent that waits for its outcome
	Closes *uint64
}

// Advance is what one commit does to one workspace: rows numbered Was.Next to Now.Next-1.
type Advance struct {
	Workspace steward.WorkspaceID
	Node      string // the process that its intents belong to
	Was, Now  Head   // Signed and First play no part
	Rows      []Row
}

// StoredCheckpoint is a signed note and what is needed to go on from it.
type StoredCheckpoint struct {
	Size  uint64
	Note  []byte
	Range []byte // hashes of the compact range [0, Size), 32 bytes each, from left to right
}

// Tile is a piece of the tree.
type Tile = tree.Tile

// Signed is a checkpoint on its way to the store, with the tiles that it adds or makes longer.
type Signed struct {
	Workspace  steward.WorkspaceID
	Checkpoint StoredCheckpoint
	Tiles      []Tile
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

// Reader is what is needed to read a ledger and to prove what is in it: it can be a store that is open
// for reading only.
type Reader interface {
	// Head reads where the workspace's ledger ends.
	Head(ctx context.Context, ws steward.WorkspaceID) (Head, error)
	// Rows reads entries in order, from a sequence number on: at most limit, fewer where they are
	// large, and none only where there is none. Without parts, Row.Parts is nil.
	Rows(ctx context.Context, ws steward.WorkspaceID, from uint64, limit int, parts bool) ([]Row, error)
	// Checkpoints reads checkpoints by size, from a size on, at most limit.
	Checkpoints(ctx context.Context, ws steward.WorkspaceID, from uint64, limit int) ([]StoredCheckpoint, error)
	// Tiles reads tiles of a level in order, from a number on, at most limit.
	Tiles(ctx context.Context, ws steward.WorkspaceID, level int, from uint64, limit int) ([]Tile, error)
}

// Verifiable is what a ledger can be verified from.
type Verifiable interface {
	Reader
	// Intents lists the workspace's intents without outcome, in order.
	Intents(ctx context.Context, ws steward.WorkspaceID) ([]OpenIntent, error)
	// Check looks for damage in the database itself. Damage is an error of kind Internal.
	Check(ctx context.Context) error
}

// Store keeps ledgers.
type Store interface {
	Verifiable
	Writer
}

// Writer is the half of Store that writes, and finds what is left to write.
type Writer interface {
	// Appender readies what is needed to commit, again and again. It has one user at a time, who closes it.
	Appender(ctx context.Context) (Appender, error)
	// SaveCheckpoints adds checkpoints, durably and all or none: each unless there is one of that size,
	// and moves Head.Signed up to it; its tiles unless longer ones are there.
	SaveCheckpoints(ctx context.Context, signed []Signed) error
	// Abandoned lists the open intents of all nodes but one, in every workspace.
	Abandoned(ctx context.Context, node string) ([]OpenIntent, error)
	// Behind lists the workspaces with entries that no checkpoint covers.
	Behind(ctx context.Context) ([]steward.WorkspaceID, error)
}

// Appender writes entries.
type Appender interface {
	// Commit writes all advances in one transaction that is durable when it returns, or nothing. It
	// answers ErrMoved where a head is not at Was.Next, and ErrEnded where a row closes an intent that
	// is not open. After an error it can be used again.
	Commit(ctx context.Context, advances []Advance) error
	Close() error
}
