// Package segment answers: where is the old part of the record? It moves what is signed from the database
// into immutable Parquet objects, and reads both as one ledger; it doesn't know what an entry means to
// whom, nor what kind of store the objects lie in.
package segment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/blob"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// Segment is a range of a workspace's entries that lies in objects, as its manifest row says.
type Segment struct {
	First, Entries   uint64 // entries First to First+Entries-1; both are multiples of 256
	Earliest, Latest int64  // the times of the first and the last, microseconds
	Month            string // Latest's, in UTC: "2026-11"
	State            State
	Objects          []Object
}

// End is the number behind the last entry's.
func (s *Segment) End() uint64 { return s.First + s.Entries }

// State is how far a segment has come. It only goes forward.
type State int

// The states.
const (
	Fresh  State = iota // as it was sealed
	Merged              // with the others of its month; its objects may not be locked yet
	Locked              // and its objects are kept from deletion
)

// Kind is what an object holds.
type Kind string

// The kinds. A segment has one object of headers, one of tiles, and one of parts for each list of scopes.
const (
	Headers Kind = "headers"
	Parts   Kind = "parts"
	Tiles   Kind = "tiles"
)

// Object is one object of a segment.
type Object struct {
	Name      string // in the store of objects; no two segments share one
	Kind      Kind
	Scopes    string // of parts: those of their scopes that are periods, as steward.Sealed.ScopeList writes them
	Low, High uint64 // of parts: the first and the last entry that has one here
	Size      int64
	SHA256    []byte
	Until     time.Time // it was locked until then, zero where it wasn't
}

// Placed is an object, and of whose entries First to End-1 it is.
type Placed struct {
	Object
	Workspace  steward.WorkspaceID
	First, End uint64
}

// Blobs keeps immutable objects by name.
type Blobs interface {
	// Put keeps size bytes under a name, durable when it returns, and locked against deletion until a
	// time (zero: not locked). An object of that name is never replaced: kind Conflict.
	Put(ctx context.Context, name string, content io.ReadSeeker, size int64, until time.Time) error
	// Open gives random access; kind NotFound where there is none.
	Open(ctx context.Context, name string) (blob.Object, error)
	// Delete removes it and is nil where there is none; kind Conflict while it is locked.
	Delete(ctx context.Context, name string) error
	// Lock keeps an object from deletion until a time; it never shortens.
	Lock(ctx context.Context, name string, until time.Time) error
	// List calls fn with each name below a prefix, in order, with its modification time.
	List(ctx context.Context, prefix string, fn func(name string, modified time.Time) error) error
}

// Span says which segments to list: those that hold entries numbered From to End-1, recorded at or after
// Since and before Until (microseconds).
type Span struct {
	From, End    uint64
	Since, Until int64
	Backward     bool // the last first
	Limit        int
}

// Manifest names the objects of all segments.
type Manifest interface {
	// Segments lists a workspace's segments in order, with their objects in the order of their names.
	Segments(ctx context.Context, ws steward.WorkspaceID, span Span) ([]Segment, error)
	// Objects lists the objects of all workspaces in the order of their names, behind a name, at most limit.
	Objects(ctx context.Context, after string, limit int) ([]Placed, error)
	// Workspaces lists those that may have segments, in order, behind one of them, at most limit.
	Workspaces(ctx context.Context, after steward.WorkspaceID, limit int) ([]steward.WorkspaceID, error)
}

// prefix is what the names of all segments' objects begin with.
const prefix = "ledger/"

// folder is where a segment's objects lie. The id makes it unlike any other, so what is in the workspace's
// own id that no name may have needs no faithful writing.
func folder(ws steward.WorkspaceID, first uint64, id string) string {
	return fmt.Sprintf("%s%020d-%s/", home(ws), first, id)
}

// home is where all objects of a workspace lie. Ids of workspaces are random, so no other database has it for its
// own, unless it is a copy.
func home(ws steward.WorkspaceID) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, string(ws))
	return prefix + plain[:min(len(plain), 128)] + "/"
}

// keptUntil is when the last of these periods ends and its class has passed, by a workspace's own days or the
// default; zero where none of them is a period, or its class has no days.
func keptUntil(scopes string, own map[steward.Class]int) (until time.Time) {
	for _, scope := range steward.ParseScopes(scopes) {
		class, end, ok := scope.Period()
		for _, rule := range steward.Classes() {
			days, set := own[class]
			if !set {
				days = rule.Days
			}
			if goes := end.AddDate(0, 0, days); ok && rule.Class == class && goes.After(until) {
				until = goes
			}
		}
	}
	return until
}

const monthLayout = "2006-01"

// keptUntil is how long one of its objects is kept: headers and hashes as long as the ledger.
func (s *Segment) keptUntil(o *Object, own map[steward.Class]int) time.Time {
	if o.Kind == Parts {
		return keptUntil(o.Scopes, own)
	}
	return keptUntil(string(steward.TimeScope(steward.ClassLedger, time.UnixMicro(s.Latest))), own)
}

// tileSize is a full tile's.
const tileSize = tree.Width * tree.HashSize

// tileRange is which tiles of a level are in the segments that hold entries first to end-1: those whose last
// leaf is.
func tileRange(level int, first, end uint64) (from, to uint64) {
	shift := tree.Bits * (level + 1)
	return first >> shift, end >> shift
}

// maxLevel is that of the only tile there would be over all the numbers there are.
const maxLevel = 7

// damaged is what is said of entries whose objects aren't what was written. Errors that have a kind, such as
// that the store of objects can't be reached, pass as they are.
func damaged(ws steward.WorkspaceID, from, end uint64, err error) error {
	var known *steward.Error
	if errors.As(err, &known) && known.Kind != steward.NotFound || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return steward.Errorf(steward.Internal, "entries %d to %d of the ledger of workspace %s can't be read, since an object that holds them is missing or damaged; run `steward verify`", from, end-1, ws).Because(err)
}
