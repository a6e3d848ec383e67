// Package ledger answers: what was done? It writes entries down so that nobody can change them
// unnoticed, and proves it; it doesn't know what a call means, nor who may read about it.
package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger/layout"
)

// Config is what a Ledger is made of.
type Config struct {
	Store  Store
	Sealer steward.Sealer
	Now    func() time.Time
	Rand   io.Reader    // cryptographic randomness, safe for concurrent use
	Origin string       // names the logs, with the workspace's id behind it: "steward.example.com"
	Log    *slog.Logger // nil for none
	Node   string       // this process, unlike any other's at any time; made at random where empty

	// Renamed are the logs whose checkpoints have another name from here on, as Restart says. All others keep the one
	// that their last checkpoint has.
	Renamed map[steward.WorkspaceID]string

	// Checkpoints is told each new checkpoint, in order, once it is stored: to keep it where nobody who
	// can write to the store can. It may be nil. Its error is logged, and the note is not offered again.
	Checkpoints func(ctx context.Context, ws steward.WorkspaceID, note string) error
}

// Ledger writes and reads the ledgers of all workspaces. It is safe for concurrent use.
type Ledger struct {
	store  Store
	sealer steward.Sealer
	now    func() time.Time
	rand   io.Reader
	origin string
	names  map[steward.WorkspaceID]string
	log    *slog.Logger
	node   string
	tell   func(ctx context.Context, ws steward.WorkspaceID, note string) error

	compressor *layout.Compressor

	queue   chan *request
	close   sync.Once
	closing chan struct{} // closed: nothing more is taken
	stopped chan struct{} // closed: nothing more is written
	rested  chan struct{} // closed: nothing more is signed

	appender Appender // the committer's own, as is what follows
	heads    map[steward.WorkspaceID]Head
	scratch  []byte
	failed   atomic.Int64 // when a commit last failed, in microseconds; 0 once one succeeded

	signing sync.Mutex // one checkpoint at a time
	changed chan struct{}
	mu      sync.Mutex
	due     map[steward.WorkspaceID]*unsigned // nil: not known what was written
}

// Open starts a ledger: a committer and a signer for all workspaces. It reads nothing that grows with
// the logs.
func Open(ctx context.Context, c Config) (*Ledger, error) {
	if c.Origin == "" || !layout.Word(c.Origin) || strings.ContainsAny(c.Origin, "+") {
		return nil, steward.Errorf(steward.Invalid, "%q can't name a log; use a host name, such as steward.example.com", c.Origin)
	}
	l := &Ledger{
		store: c.Store, sealer: c.Sealer, now: c.Now, rand: c.Rand, origin: c.Origin, names: c.Renamed, log: c.Log, node: c.Node, tell: c.Checkpoints,
		queue:   make(chan *request, queued),
		closing: make(chan struct{}), stopped: make(chan struct{}), rested: make(chan struct{}),
		changed: make(chan struct{}, 1),
		heads:   map[steward.WorkspaceID]Head{},
		due:     map[steward.WorkspaceID]*unsigned{},
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if l.node == "" {
		l.node = steward.NewID(c.Rand, "node")
	}
	if !layout.Word(l.node) {
		return nil, fmt.Errorf("ledger: %q can't name a process", l.node)
	}
	var err error
	if l.compressor, err = layout.NewCompressor(); err != nil {
		return nil, err
	}
	// What a crash left without a checkpoint gets one now.
	behind, err := l.store.Behind(ctx)
	if err != nil {
		return nil, err
	}
	for _, ws := range behind {
		l.due[ws] = nil
	}
	if l.appender, err = l.store.Appender(ctx); err != nil {
		return nil, err
	}
	go l.committer()
	go l.signer()
	return l, nil
}

// Close refuses new entries, writes those that wait, signs a last checkpoint of what changed, and gives
// up on that when ctx ends.
func (l *Ledger) Close(ctx context.Context) error {
	l.close.Do(func() { close(l.closing) })
	select {
	case <-l.rested:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("ledger: closing: %w", ctx.Err())
	}
}

// Intent is a call that is on record and may now be made. It waits for its outcome.
type Intent struct {
	Workspace steward.WorkspaceID
	Seq       uint64
	Entry     Entry
}

// Append writes an entry and returns its sequence number when it is durable. After an error of kind
// Unavailable the entry is most likely not on record, and the caller must act as if it weren't; a
// cancelled ctx ends the waiting only while nothing has been written.
func (l *Ledger) Append(ctx context.Context, ws steward.WorkspaceID, e Entry, parts ...Part) (uint64, error) {
	if e.Kind == CallIntent || e.Kind == CallOutcome {
		return 0, fmt.Errorf("ledger: an entry of kind %s is written by Begin or End", e.Kind)
	}
	return l.write(ctx, ws, e, parts, false)
}

// Event is an entry and what belongs to it.
type Event struct {
	Entry Entry
	Parts []Part
}

// AppendAll writes entries with consecutive numbers, all of them or none, and returns the first one's
// number when they are durable. At most 1,024 fit.
func (l *Ledger) AppendAll(ctx context.Context, ws steward.WorkspaceID, events ...Event) (uint64, error) {
	if len(events) == 0 || len(events) > batchRows {
		return 0, steward.Errorf(steward.TooLarge, "the ledger takes 1 to %d entries at once", batchRows)
	}
	r := &request{workspace: ws, items: make([]item, len(events)), done: make(chan struct{})}
	for i, event := range events {
		if event.Entry.Kind == CallIntent || event.Entry.Kind == CallOutcome {
			return 0, fmt.Errorf("ledger: an entry of kind %s is written by Begin or End", event.Entry.Kind)
		}
		var err error
		if r.items[i], err = l.prepare(ctx, ws, &event.Entry, event.Parts); err != nil {
			return 0, err
		}
	}
	if size := r.size(); size > batchBytes {
		return 0, steward.Errorf(steward.TooLarge, "this is too much for the ledger at once: %d bytes, and %d fit", size, batchBytes)
	}
	return l.submit(ctx, r)
}

// Begin writes the intent to make a call. Only when it returns without error may the call be made; then
// End must follow.
func (l *Ledger) Begin(ctx context.Context, ws steward.WorkspaceID, e Entry, parts ...Part) (Intent, error) {
	e.Kind, e.Intent = CallIntent, nil
	seq, err := l.write(ctx, ws, e, parts, true)
	if err != nil {
		return Intent{}, err
	}
	return Intent{Workspace: ws, Seq: seq, Entry: e}, nil
}

// End writes the outcome of a call and returns its sequence number. An intent has exactly one outcome:
// a second is refused with kind Conflict. What e leaves empty of who acted, on what and by which
// decision is taken from the intent. After an error of kind Unavailable it can be tried again: Conflict
// then means that the first attempt did reach the record.
func (l *Ledger) End(ctx context.Context, i Intent, e Entry, parts ...Part) (uint64, error) {
	if e.Outcome == "" {
		return 0, fmt.Errorf("ledger: an outcome is missing")
	}
	e.Kind, e.Intent = CallOutcome, &i.Seq
	inherit(&e.Run, i.Entry.Run)
	inherit(&e.Caller, i.Entry.Caller)
	inherit(&e.OnBehalfOf, i.Entry.OnBehalfOf)
	inherit(&e.Authentication, i.Entry.Authentication)
	inherit(&e.System, i.Entry.System)
	inherit(&e.Tool, i.Entry.Tool)
	inherit(&e.Effect, i.Entry.Effect)
	inherit(&e.Decision, i.Entry.Decision)
	inherit(&e.PolicySet, i.Entry.PolicySet)
	inherit(&e.Purpose, i.Entry.Purpose)
	if e.Policies == nil {
		e.Policies = i.Entry.Policies
	}
	if e.Targets == nil {
		e.Targets = i.Entry.Targets
	}
	return l.write(ctx, i.Workspace, e, parts, false)
}

func inherit[T ~string](to *T, from T) {
	if *to == "" {
		*to = from
	}
}

// CloseAbandoned ends the intents that other processes left without outcome, as unknown, and returns
// them so that they can be reconciled with the systems. It is called once at start, when this process
// alone uses the store.
func (l *Ledger) CloseAbandoned(ctx context.Context) ([]Intent, error) {
	open, err := l.store.Abandoned(ctx, l.node)
	if err != nil {
		return nil, err
	}
	var closed []Intent
	for _, o := range open {
		h, _, err := l.entry(ctx, o.Workspace, o.Seq, false)
		if err != nil {
			return closed, err
		}
		i := Intent{Workspace: o.Workspace, Seq: o.Seq, Entry: h.Entry}
		if _, err := l.End(ctx, i, Entry{Outcome: Unknown}); err != nil {
			if steward.KindOf(err) == steward.Conflict {
				continue // somebody else was first
			}
			return closed, err
		}
		closed = append(closed, i)
	}
	return closed, nil
}

func (l *Ledger) write(ctx context.Context, ws steward.WorkspaceID, e Entry, parts []Part, opens bool) (uint64, error) {
	i, err := l.prepare(ctx, ws, &e, parts)
	if err != nil {
		return 0, err
	}
	i.opens, i.closes = opens, e.Intent
	return l.submit(ctx, &request{workspace: ws, items: []item{i}, done: make(chan struct{})})
}

// prepare seals and encodes in the caller's goroutine, and leaves to the committer only what must be done
// one after another.
func (l *Ledger) prepare(ctx context.Context, ws steward.WorkspaceID, e *Entry, parts []Part) (item, error) {
	if ws == "" || !layout.Word(string(ws)) {
		return item{}, fmt.Errorf("ledger: an entry needs a workspace")
	}
	if err := e.check(); err != nil {
		return item{}, err
	}
	var random [16]byte
	if _, err := io.ReadFull(l.rand, random[:]); err != nil {
		return item{}, fmt.Errorf("ledger: randomness: %w", err)
	}
	id := hex.EncodeToString(random[:])
	headers := make([]PartHeader, len(parts))
	boxes := make([][]byte, len(parts))
	var size int
	for i, part := range parts {
		if len(part.Body) > layout.MaxPlain {
			return item{}, tooMuch()
		}
		sealed, err := l.sealer.Seal(ctx, place(ws, id, i), part.Scopes, l.compressor.Compress(part.Body))
		if err != nil {
			return item{}, err
		}
		sum := sha256.Sum256(sealed.Box)
		headers[i] = PartHeader{Scopes: sealed.Scopes, Len: len(sealed.Box), SHA256: sum[:]}
		boxes[i] = sealed.Box
		size += len(sealed.Box)
	}
	if size > maxParts {
		return item{}, tooMuch()
	}
	d, err := encode(id, e, l.node, headers)
	if err != nil {
		return item{}, err
	}
	return item{draft: d, parts: layout.JoinParts(boxes)}, nil
}

func tooMuch() error {
	return steward.Errorf(steward.TooLarge, "this is too much for one entry of the ledger: its parts may have %d bytes", maxParts)
}

// place is where an entry's part is sealed: by its id, since its number isn't known yet.
func place(ws steward.WorkspaceID, id string, part int) steward.Place {
	return steward.Place{Workspace: ws, Table: "ledger", Row: id, Part: part}
}
