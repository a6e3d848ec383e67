package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// signEvery is how long the signer waits after a change, so that busy workspaces get two checkpoints a
// second and not one a commit.
const signEvery = 500 * time.Millisecond

var errAltered = errors.New("ledger: what is read back is not what was written")

// Checkpoint commits to everything that a workspace's ledger held at its size.
type Checkpoint = tree.Checkpoint

// Checkpoint signs the tree over everything that is committed, or returns the last checkpoint where
// nothing was added since. Before it signs, it reads back what the checkpoint adds and hashes it again: it
// refuses to sign what isn't there, isn't what this process wrote, or doesn't go on from the last
// checkpoint.
func (l *Ledger) Checkpoint(ctx context.Context, ws steward.WorkspaceID) (Checkpoint, error) {
	l.signing.Lock()
	defer l.signing.Unlock()
	head, err := l.store.Head(ctx, ws)
	if err != nil {
		return Checkpoint{}, err
	}
	for {
		checkpoints, errs := l.signAll(ctx, []steward.WorkspaceID{ws})
		if errs[0] != nil {
			l.wake() // it may have looked while this was under way, and then it is still due
			return checkpoints[0], errs[0]
		}
		// One goes as far as this process wrote; what others wrote behind that takes another.
		if checkpoints[0].Size >= head.Next {
			return checkpoints[0], nil
		}
	}
}

// signAll makes a checkpoint of each workspace, and saves them in one commit. What fails stays due.
func (l *Ledger) signAll(ctx context.Context, workspaces []steward.WorkspaceID) ([]Checkpoint, []error) {
	checkpoints, errs := make([]Checkpoint, len(workspaces)), make([]error, len(workspaces))
	taken, due := make([]*unsigned, len(workspaces)), make([]bool, len(workspaces))
	var signed []Signed
	var of []int // the workspaces that signed speaks of
	for i, ws := range workspaces {
		l.mu.Lock()
		taken[i], due[i] = l.due[ws]
		delete(l.due, ws)
		l.mu.Unlock()
		var s *Signed
		if checkpoints[i], s, errs[i] = l.sign(ctx, ws, taken[i]); s != nil {
			signed, of = append(signed, *s), append(of, i)
		}
	}
	if len(signed) > 0 {
		if err := l.save(ctx, signed); err != nil {
			for _, i := range of {
				errs[i] = err
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, ws := range workspaces {
		if errs[i] == nil || !due[i] {
			continue
		}
		switch since := l.due[ws]; {
		case since == nil:
			l.due[ws] = taken[i]
		case taken[i] != nil && taken[i].end() == since.from:
			since.from, since.leaves = taken[i].from, append(taken[i].leaves, since.leaves...)
		}
	}
	return checkpoints, errs
}

// save stores checkpoints, and hands them on.
func (l *Ledger) save(ctx context.Context, signed []Signed) error {
	if err := l.store.SaveCheckpoints(ctx, signed); err != nil || l.tell == nil {
		return err
	}
	for _, s := range signed {
		if err := l.tell(ctx, s.Workspace, string(s.Checkpoint.Note)); err != nil {
			l.log.Error("a checkpoint is stored and couldn't be copied elsewhere", slog.String("workspace", string(s.Workspace)), slog.Uint64("size", s.Checkpoint.Size), slog.Any("error", err))
		}
	}
	return nil
}

// signStep is how many entries one checkpoint adds at most: what is behind by more gets several, so that
// no more than one's tiles are in memory.
const signStep = 1 << 16

// sign makes the workspace's next checkpoint, and what is to be saved of it: nil where nothing was added.
func (l *Ledger) sign(ctx context.Context, ws steward.WorkspaceID, written *unsigned) (Checkpoint, *Signed, error) {
	ring := Ring(ctx, l.sealer, ws)
	head, err := l.store.Head(ctx, ws)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	last, key, at, err := Standing(ctx, l.store, ws, head.Signed, ring)
	if err != nil || head.Signed > 0 && head.Next == last.Size {
		return last, nil, err
	}

	size := head.Next
	if written != nil && written.from >= head.Signed {
		size = written.end()
	} else {
		written = &unsigned{from: size} // nothing to compare with: begun by a process that is gone
	}
	origin := last.Origin
	if origin == "" {
		origin = Name(l.origin, ws)
	}
	if l.names[ws] != "" {
		origin = l.names[ws]
	}
	for {
		step := min(size, at.Size+signStep)
		rotations, err := l.readBack(ctx, ws, at, step, written)
		if err != nil {
			return Checkpoint{}, nil, err
		}
		keys, err := NextKeys(ring, origin, key, rotations)
		if err != nil {
			return Checkpoint{}, nil, err
		}
		key += len(keys) - 1
		cp, err := tree.Sign(at, origin, keys...)
		if err != nil || step == 0 {
			return cp, nil, err
		}
		s := Signed{
			Workspace:  ws,
			Checkpoint: StoredCheckpoint{Size: step, Note: []byte(cp.Note), Range: bytes.Join(at.Hashes(), nil)},
			Tiles:      at.Changed(),
		}
		if step == size {
			return cp, &s, nil
		}
		if err := l.save(ctx, []Signed{s}); err != nil {
			return Checkpoint{}, nil, err
		}
	}
}

// Standing is a workspace's checkpoint of a size, which is the last one's, with the number of its key and the tree's
// right edge there, all held against each other. Of size 0 it is the empty tree's, and the first key.
func Standing(ctx context.Context, store Reader, ws steward.WorkspaceID, size uint64, ring tree.Ring) (last Checkpoint, key int, at *tree.Edge, err error) {
	if size == 0 {
		return Checkpoint{}, 1, &tree.Edge{}, nil
	}
	stored, err := store.Checkpoints(ctx, ws, size, 1)
	if err != nil {
		return Checkpoint{}, 0, nil, err
	}
	if len(stored) == 0 || stored[0].Size != size {
		return Checkpoint{}, 0, nil, unsignable(ws, fmt.Errorf("ledger: checkpoint %d is missing", size))
	}
	if last, key, _, err = tree.Open(stored[0].Note, stored[0].Size, stored[0].Range, string(ws), ring); err != nil {
		return Checkpoint{}, 0, nil, unsignable(ws, err)
	}
	if at, err = ReadEdge(ctx, store, ws, size); err != nil {
		return Checkpoint{}, 0, nil, err
	}
	if !bytes.Equal(bytes.Join(at.Hashes(), nil), stored[0].Range) {
		return Checkpoint{}, 0, nil, unsignable(ws, errors.New("ledger: the tiles are of another tree"))
	}
	return last, key, at, nil
}

// leaves is a page of entries as a checkpoint needs them.
type leaves struct {
	entries   []leaf
	rotations []Row
	err       error
}

type leaf struct {
	seq  uint64
	hash [tree.HashSize]byte
}

// readBack reads the entries from the tree's end up to a size, holds them against what was written, and
// adds them to the tree. It gives those that bring in another key.
func (l *Ledger) readBack(ctx context.Context, ws steward.WorkspaceID, at *tree.Edge, size uint64, written *unsigned) (rotations []Row, err error) {
	ahead := 0 // beside writers, who wait
	if written.from >= size {
		ahead = ReadersAhead // at the start, after a crash
	}
	for page := range Pages(ctx, at.Size, size, ahead, func(ctx context.Context, from, end uint64) (page leaves) {
		rows, err := ReadRange(ctx, l.store, ws, from, end, false)
		page.entries, page.err = make([]leaf, len(rows)), err
		var scratch []byte
		for i, row := range rows {
			page.entries[i] = leaf{row.Seq, tree.HashLeaf(row.Header, &scratch)}
			if IsRotation(row.Header) {
				page.rotations = append(page.rotations, row)
			}
		}
		return page
	}) {
		if page.err != nil {
			return nil, page.err
		}
		for _, e := range page.entries {
			if e.seq != at.Size {
				break
			}
			if e.seq >= written.from && e.seq < written.end() {
				if !bytes.Equal(e.hash[:], written.leaves[(e.seq-written.from)*tree.HashSize:][:tree.HashSize]) {
					return nil, unsignable(ws, fmt.Errorf("ledger: entry %d: %w", e.seq, errAltered))
				}
			}
			at.Append(e.hash[:])
		}
		rotations = append(rotations, page.rotations...)
	}
	if at.Size < size {
		return nil, unsignable(ws, fmt.Errorf("ledger: entry %d is missing", at.Size))
	}
	return rotations, nil
}

func unsignable(ws steward.WorkspaceID, err error) error {
	var known *steward.Error
	if errors.As(err, &known) {
		return err // what keeps it from being read is no damage
	}
	return steward.Errorf(steward.Internal, "the ledger of workspace %s was changed or damaged, and isn't signed any further; run `steward verify`", ws).Because(err)
}

// slowest is how long the signer waits at most before it tries again what failed and nothing was added to.
const slowest = time.Minute

// signer signs checkpoints of the workspaces that changed, and once more when everything is written.
func (l *Ledger) signer() {
	defer close(l.rested)
	retry := signEvery
	for done := false; !done; {
		timer := time.NewTimer(signEvery)
		select {
		case <-timer.C:
		case <-l.stopped:
			done = true
		}
		timer.Stop()
		if l.signDue() {
			retry = signEvery
		} else {
			retry = min(2*retry, slowest)
		}
		if !done {
			l.idle(retry)
		}
	}
}

// idle waits for a change; where something is due all the same, for so long at most.
func (l *Ledger) idle(retry time.Duration) {
	l.mu.Lock()
	due := len(l.due) > 0
	l.mu.Unlock()
	var again <-chan time.Time // never
	if due {
		timer := time.NewTimer(retry)
		defer timer.Stop()
		again = timer.C
	}
	select {
	case <-l.changed:
	case <-again:
	case <-l.stopped:
	}
}

// signBatch is how many workspaces' checkpoints share a commit.
const signBatch = 64

// signDue signs what is due, and tells whether all of it was.
func (l *Ledger) signDue() (all bool) {
	all = true
	l.mu.Lock()
	var due []steward.WorkspaceID
	for ws := range l.due {
		due = append(due, ws)
	}
	l.mu.Unlock()
	for batch := range slices.Chunk(due, signBatch) {
		l.signing.Lock()
		_, errs := l.signAll(context.Background(), batch)
		l.signing.Unlock()
		for i, err := range errs {
			if err != nil {
				all = false
				l.log.Error("no checkpoint was signed", slog.String("workspace", string(batch[i])), slog.Any("error", err))
			}
		}
	}
	return all
}
