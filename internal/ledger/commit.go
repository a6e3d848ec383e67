package ledger

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger/layout"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// How much may wait, and how much goes into one commit.
const (
	queued     = 4096    // entries; then callers wait for room
	batchRows  = 1024    // entries, and as many again in the last request
	batchBytes = 8 << 20 // more or less
	keptHeads  = 1 << 16 // workspaces
	attempts   = 5       // at a head that others move too
)

// request is entries on their way to the committer. Its fields below done belong to the committer until
// done is closed.
type request struct {
	workspace steward.WorkspaceID
	items     []item

	taken atomic.Bool // by the committer, which then answers, or by a caller that gave up
	done  chan struct{}
	seq   uint64 // of the first
	err   error
}

// item is one entry before it has its place.
type item struct {
	draft  layout.Draft
	parts  []byte
	opens  bool
	closes *uint64
}

func (r *request) size() (size int) {
	for i := range r.items {
		size += len(r.items[i].draft) + len(r.items[i].parts)
	}
	return size
}

// submit queues an entry and waits until it is durable or refused. Once the committer has taken it, the
// answer is waited for even when ctx ends: it is a commit away, and a caller that doesn't know whether
// its intent is on record would leave it open.
func (l *Ledger) submit(ctx context.Context, r *request) (uint64, error) {
	select {
	case <-l.closing: // first, since select below chooses at random
		return 0, closedError()
	default:
	}
	select {
	case l.queue <- r:
	case <-l.closing:
		return 0, closedError()
	case <-ctx.Done():
		return 0, cancelled(ctx)
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		if r.taken.CompareAndSwap(false, true) {
			return 0, cancelled(ctx)
		}
	case <-l.stopped:
		if r.taken.CompareAndSwap(false, true) {
			return 0, closedError() // it came into the queue behind the committer's back
		}
	}
	<-r.done
	return r.seq, r.err
}

func closedError() error {
	return steward.Errorf(steward.Unavailable, "Steward is shutting down; try again when it is back")
}

func cancelled(ctx context.Context) error {
	return steward.Errorf(steward.Unavailable, "the request ended before it was on record, so nothing was done").Because(ctx.Err())
}

// doubt is how long a failed commit makes the ledger unready: after it somebody has to try again, or a
// balancer that waits for readiness would wait for ever.
const doubt = 10 * time.Second

// Ready is an error of kind Unavailable while the ledger can't be written, as far as is known: nothing
// may be done then.
func (l *Ledger) Ready(context.Context) error {
	select {
	case <-l.closing:
		return closedError()
	default:
	}
	// A clock that was set back says nothing of how long it is ago.
	failed := l.failed.Load()
	if since := l.now().UnixMicro() - failed; failed != 0 && since >= 0 && since < doubt.Microseconds() {
		return steward.Errorf(steward.Unavailable, "the ledger can't be written; the operator's log says why")
	}
	return nil
}

// committer is the one goroutine that writes entries, for all workspaces: what waits while it commits
// goes into the next commit, so that one fsync serves many callers.
func (l *Ledger) committer() {
	defer close(l.stopped)
	defer func() { _ = l.appender.Close() }() // statements only; what was committed stays
	for {
		select {
		case r := <-l.queue:
			l.commit(l.gather(r))
		case <-l.closing:
			select {
			case r := <-l.queue:
				l.commit(l.gather(r))
			default:
				return
			}
		}
	}
}

// gather takes what waits. Where nothing does it gives way before it goes, a few times while that brings
// something: those whom the last commit has just answered are about to ask again, and a commit for one costs
// as much as for all of them.
func (l *Ledger) gather(r *request) []*request {
	var batch []*request
	rows, size := 0, 0
	yields := 3
	for {
		if r.taken.CompareAndSwap(false, true) {
			batch = append(batch, r)
			rows += len(r.items)
			size += r.size()
		}
		if rows >= batchRows || size >= batchBytes {
			return batch
		}
		select {
		case r = <-l.queue:
			continue
		default:
		}
		if yields == 0 {
			return batch
		}
		yields--
		runtime.Gosched()
		select {
		case r = <-l.queue:
		default:
			return batch
		}
	}
}

// commit writes a batch and answers its callers. One that closes an intent twice would fail all, so
// then halves are tried until it stands alone.
func (l *Ledger) commit(batch []*request) {
	if len(batch) == 0 {
		return
	}
	err := l.advance(batch)
	if err != nil && !errors.Is(err, ErrEnded) {
		l.failed.Store(l.now().UnixMicro())
	}
	if errors.Is(err, ErrEnded) && len(batch) > 1 {
		half := len(batch) / 2
		l.commit(batch[:half])
		l.commit(batch[half:])
		return
	}
	switch {
	case err == nil:
	case errors.Is(err, ErrEnded):
		err = steward.Errorf(steward.Conflict, "the outcome of this call is on record already").Because(err)
	case steward.KindOf(err) != steward.Unavailable:
		err = steward.Errorf(steward.Unavailable, "the ledger can't be written, and nothing is done that isn't on record; the operator's log says why").Because(err)
	}
	for _, r := range batch {
		r.err = err
		close(r.done)
	}
}

// advance numbers a batch and commits it. After any error it forgets the heads, so that the next batch
// begins with what the store says: the failed commit may have happened after all.
func (l *Ledger) advance(batch []*request) error {
	ctx := context.Background() // the batch is many callers', so none of them can cancel it
	for attempt := 1; ; attempt++ {
		advances, err := l.number(ctx, batch)
		if err == nil {
			err = l.appender.Commit(ctx, advances)
		}
		if err == nil {
			l.committed(advances)
			l.failed.Store(0)
			return nil
		}
		clear(l.heads)
		if !errors.Is(err, ErrMoved) || attempt == attempts {
			return err
		}
	}
}

// number gives each entry the next number of its workspace and a time that doesn't go back.
func (l *Ledger) number(ctx context.Context, batch []*request) ([]Advance, error) {
	now := l.now().UnixMicro()
	index := map[steward.WorkspaceID]int{}
	var advances []Advance
	for _, r := range batch {
		i, ok := index[r.workspace]
		if !ok {
			head, known := l.heads[r.workspace]
			if !known {
				var err error
				if head, err = l.store.Head(ctx, r.workspace); err != nil {
					return nil, err
				}
			}
			i = len(advances)
			index[r.workspace] = i
			advances = append(advances, Advance{Workspace: r.workspace, Node: l.node, Was: head, Now: head})
		}
		a := &advances[i]
		a.Now.Last = max(now, a.Now.Last)
		r.seq = a.Now.Next
		for i := range r.items {
			it := &r.items[i]
			a.Rows = append(a.Rows, Row{Seq: a.Now.Next, Header: it.draft.Number(a.Now.Next, a.Now.Last), Parts: it.parts, Opens: it.opens, Closes: it.closes})
			a.Now.Next++
		}
	}
	return advances, nil
}

// unsigned is the leaf hashes of what this process wrote since the last checkpoint, to hold what is read
// back against before it is signed.
type unsigned struct {
	from   uint64 // the first one's number
	leaves []byte // tree.HashSize bytes each
}

func (u *unsigned) end() uint64 { return u.from + uint64(len(u.leaves)/tree.HashSize) }

// keptLeaves is how many hashes are kept for a workspace whose checkpoints don't come: 8 MB. What is
// older is then signed as it is read back.
const keptLeaves = 1 << 18

// committed remembers the new heads, and what was written.
func (l *Ledger) committed(advances []Advance) {
	if len(l.heads) > keptHeads {
		clear(l.heads)
	}
	l.mu.Lock()
	for _, a := range advances {
		l.heads[a.Workspace] = a.Now
		written := l.due[a.Workspace]
		if written == nil || written.end() != a.Was.Next || len(written.leaves) > keptLeaves*tree.HashSize {
			written = &unsigned{from: a.Was.Next}
			l.due[a.Workspace] = written
		}
		for _, row := range a.Rows {
			leaf := tree.HashLeaf(row.Header, &l.scratch)
			written.leaves = append(written.leaves, leaf[:]...)
		}
	}
	l.mu.Unlock()
	l.wake()
}

// wake has the signer look for what is due.
func (l *Ledger) wake() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}
