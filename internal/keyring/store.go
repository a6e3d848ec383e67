package keyring

import (
	"context"
	"errors"

	"github.com/stewardhq/steward"
)

// Path names a node of the key tree: the bytes by which one comes to it from the root, which is "".
// A workspace's number is its first three bytes and a scope's number in it the last four, so the scope
// keys stand in the nodes whose paths have six, under the seventh.
type Path string

// The tree's measures. Every level is 256 wide.
const (
	workspaceDepth = 3
	depth          = 7
	maxWorkspaces  = 1 << (8 * workspaceDepth)           // ever made
	maxScopes      = 1 << (8 * (depth - workspaceDepth)) // ever made in one workspace
)

// Node is a row: a page of keys, sealed under the node's own key, which its parent's page holds.
type Node struct {
	Path       Path
	Generation uint64 // of the root key when the node's key was made
	Sealed     []byte
}

// Standing says what is known of a workspace or scope.
type Standing uint8

// The standings. Nothing that was destroyed is ever made again.
const (
	Unmade Standing = iota
	Made
	Destroyed
)

// Workspace is a row of the directory: where a workspace's keys stand. The number means something
// where it is Made.
type Workspace struct {
	ID       steward.WorkspaceID
	Standing Standing
	Number   uint32
	Next     uint64 // the number of the next scope made in it
}

// Scope is a row of the directory: where a scope's key stands in its workspace.
type Scope struct {
	Workspace steward.WorkspaceID
	Name      steward.Scope
	Standing  Standing
	Number    uint32
}

// State says which of its states a store is in. The zero State is an empty store's.
type State struct {
	Version    uint64  // counts changes
	Mark       [8]byte // random, which tells apart stores that went different ways from one version
	Generation uint64  // of the root key
	Workspaces uint32  // how many were ever numbered
}

// Change is a step from one state to another, done as a whole or not at all.
type Change struct {
	Was, Now   State
	Workspaces []Workspace // rows to write; one that is Destroyed takes the rows of its scopes with it
	Scopes     []Scope     // rows to write; one that is there can only become Destroyed
	Nodes      []Node      // rows to write
	Drop       []Path      // nodes that go, with all below them
	Erase      bool        // no file of the store may hold afterwards what this change overwrote or dropped
}

// What a Store or a Copy refuses a change with.
var (
	ErrMoved    = errors.New("keyring: the store is not in the state that was expected")
	ErrReadOnly = errors.New("keyring: the store is open for reading only")
)

// Store keeps the directory and the sealed nodes, in a database of their own.
type Store interface {
	// State is asked before keys in memory are used, so it reads one row by its key.
	State(ctx context.Context) (State, error)
	// Find reads the directory: the workspace, and each scope in the order given.
	Find(ctx context.Context, ws steward.WorkspaceID, scopes []steward.Scope) (Workspace, []Scope, error)
	// Nodes reads those of the nodes that there are, in any order.
	Nodes(ctx context.Context, paths []Path) ([]Node, error)
	// Apply makes a change, durably, or none of it. Its error is ErrMoved where the store is not in
	// the state Was, and ErrReadOnly (in its chain) where nothing can be written. Where Was is Now
	// there is nothing to write, but it is refused and it erases as any other. After another error
	// the change may have happened: State tells.
	Apply(ctx context.Context, c Change) error
	// Export hands over one state of the whole store, as changes that have it for Now and make it
	// of an empty store one after the other, each of bounded size. There is at least one.
	Export(ctx context.Context, piece func(Change) error) error
}

// Copy is a store that is kept the same as another one.
type Copy interface {
	State(ctx context.Context) (State, error)  // as Store's
	Apply(ctx context.Context, c Change) error // as Store's
	// Import replaces everything by what from hands over, durably, or nothing. No file of the copy
	// holds afterwards what was there before and is no more.
	Import(ctx context.Context, from func(ctx context.Context, piece func(Change) error) error) error
}

// DeclaredCopy is a copy, and the name by which the operator knows it: its folder.
type DeclaredCopy struct {
	Name string
	Copy Copy
}
