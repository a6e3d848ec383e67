package segment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment/columns"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// Archivist moves what is old from the tail into segments, and months that are over into larger ones. One
// goroutine does it for all workspaces, and no two may use an Archivist. Several processes may do it on one database: who comes second finds
// the segment taken, and what it wrote is a leftover.
type Archivist struct {
	Store   *Store
	Catalog Catalog
	Sealer  steward.Sealer // for the key that checkpoints are checked with, and whether a period is purged; nothing is opened
	Spool   string         // a folder of this process's own, where objects are prepared
	Now     func() time.Time
	Rand    io.Reader    // for names, cryptographic
	Log     *slog.Logger // nil for none

	Entries int           // a tail with so many signed entries is sealed: 65,536 where 0
	Age     time.Duration // and one whose first entry is so old: a day where 0
	Month   int           // how many entries a merged segment has at most: 1,048,576 where 0
	Every   time.Duration // how often to look: 15 seconds where 0

	// Days is how long a workspace keeps what, where that is not the default; nil where it is everywhere.
	Days func(ctx context.Context, ws steward.WorkspaceID) (map[steward.Class]int, error)

	first  map[steward.WorkspaceID]entry // of tails, as far as they were looked at
	failed map[Unmerged]retry            // and tails, which are of no month
}

// retry is when what failed is tried again.
type retry struct {
	wait time.Duration
	at   time.Time
}

// Catalog is what changes of the manifest, and of the tail beside it.
type Catalog interface {
	// Due lists tails in the order of their workspaces, behind one of them, at most limit: those with 256
	// signed entries or more that aren't sealed, and those that Trim isn't done with.
	Due(ctx context.Context, after steward.WorkspaceID, limit int) ([]Tail, error)
	// Unmerged lists what has segments of earlier months that aren't locked, in order, at most limit.
	Unmerged(ctx context.Context, before string, limit int) ([]Unmerged, error)
	// Replace puts a segment in the place of others, in one transaction. Without others it adds it behind
	// the last. It is of kind Conflict where they aren't there (any more) as named, or other entries end there.
	Replace(ctx context.Context, ws steward.WorkspaceID, old []Segment, with Segment) error
	// Trim deletes some of a workspace's rows and tiles that are sealed, and all checkpoints of segments
	// that end before a time (microseconds) but the last of each. It tells whether there is more.
	Trim(ctx context.Context, ws steward.WorkspaceID, before int64) (more bool, err error)
	Drops
}

// Tail is what a workspace has that may be sealed.
type Tail struct {
	Workspace steward.WorkspaceID
	Sealed    uint64 // entries in segments
	Signed    uint64 // the size of the last checkpoint
	Left      bool   // there may be rows of entries in segments
}

// Unmerged is a month of a workspace.
type Unmerged struct {
	Workspace steward.WorkspaceID
	Month     string
}

// What the settings are where they are 0, and what isn't one.
const (
	defaultEntries = 1 << 16
	defaultAge     = 24 * time.Hour
	defaultMonth   = 1 << 20
	defaultEvery   = 15 * time.Second

	tailsAtOnce = 512
	sealing     = 30 * time.Minute      // may pass between writing a segment's first object and naming it
	leftover    = time.Hour             // how old an object must be that nothing names, to be deleted
	sweepEvery  = time.Hour             // how often they are looked for
	trimPause   = 10 * time.Millisecond // between deleting rows, for whoever appends
	retained    = 24 * time.Hour        // checkpoints, since somebody who verifies may have begun by one
	monthPause  = 2 * defaultAge        // after a month's end, for its last entries to be sealed
	longestWait = time.Hour             // before what failed is tried again, after ever longer ones
	tidying     = 10 * time.Second      // may pass with deleting what came to nothing
)

func or[T comparable](set, otherwise T) T {
	var zero T
	if set == zero {
		return otherwise
	}
	return set
}

// prepare makes, or clears, the folder where objects are prepared.
func (a *Archivist) prepare() error {
	if err := os.MkdirAll(a.Spool, 0o700); err != nil {
		return steward.Errorf(steward.Unavailable, "the folder %s can't be made; check the data folder's owner and the disk", a.Spool).Because(err)
	}
	return columns.ClearSpools(a.Spool)
}

// Run looks for what is to be done until ctx ends, whose error it returns. What fails is logged and tried
// again.
func (a *Archivist) Run(ctx context.Context) error {
	var swept time.Time
	prepared := false
	for {
		var err error
		if !prepared {
			err = a.prepare()
			prepared = err == nil
		}
		if prepared {
			err = a.Pass(ctx)
		}
		if now := a.Now(); now.Sub(swept) >= sweepEvery || now.Before(swept) {
			swept = now
			err = errors.Join(err, a.Sweep(ctx))
		}
		if err != nil && ctx.Err() == nil && a.Log != nil {
			a.Log.Error("not all of the ledger could be archived", slog.Any("error", err))
		}
		timer := time.NewTimer(or(a.Every, defaultEvery))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// Pass seals and merges what is due now, in all workspaces. What can't be done for one of them keeps none of
// the others.
func (a *Archivist) Pass(ctx context.Context) error {
	var failed []error
	// try calls f, unless it failed lately, and tells whether to end.
	try := func(what Unmerged, f func() error) bool {
		before := a.failed[what]
		if left := before.at.Sub(a.Now()); left > 0 && left <= longestWait {
			return false
		}
		err := f()
		switch {
		case ctx.Err() != nil: // which says nothing of the workspace
		case err == nil || errors.Is(err, errSecond):
			delete(a.failed, what)
			return false
		default:
			if a.failed == nil {
				a.failed = map[Unmerged]retry{}
			}
			wait := min(2*before.wait+or(a.Every, defaultEvery), longestWait)
			a.failed[what] = retry{wait, a.Now().Add(wait)}
		}
		failed = append(failed, err)
		return ctx.Err() != nil
	}
	for after := steward.WorkspaceID(""); ; {
		tails, err := a.Catalog.Due(ctx, after, tailsAtOnce)
		if err != nil {
			return errors.Join(append(failed, err)...)
		}
		for _, tail := range tails {
			if try(Unmerged{Workspace: tail.Workspace}, func() error { return a.tail(ctx, tail) }) {
				return errors.Join(failed...)
			}
		}
		if len(tails) < tailsAtOnce {
			break
		}
		after = tails[len(tails)-1].Workspace
	}
	before := a.Now().Add(-monthPause).UTC().Format(monthLayout)
	for seen := map[Unmerged]bool{}; ; {
		months, err := a.Catalog.Unmerged(ctx, before, tailsAtOnce)
		if err != nil {
			return errors.Join(append(failed, err)...)
		}
		news := false
		for _, m := range months {
			if seen[m] {
				continue // it failed
			}
			seen[m], news = true, true
			if try(m, func() error { return a.month(ctx, m) }) {
				return errors.Join(failed...)
			}
		}
		if !news {
			return errors.Join(failed...)
		}
	}
}

// tail seals what a tail has too much of, and trims it.
func (a *Archivist) tail(ctx context.Context, t Tail) error {
	entries := uint64(or(a.Entries, defaultEntries)) &^ (tree.Width - 1)
	entries = max(entries, tree.Width)
	for left := t.Left; ; left = true {
		if left {
			// A crash before this is done leaves rows that nothing reads, and Due lists.
			if err := a.trim(ctx, t.Workspace); err != nil {
				return err
			}
		}
		count := min(t.Signed-min(t.Sealed, t.Signed), entries) &^ (tree.Width - 1)
		if count == 0 {
			return nil
		}
		if count < entries {
			if ripe, err := a.ripe(ctx, t); err != nil || !ripe {
				return err
			}
		}
		segment, err := a.seal(ctx, t.Workspace, t.Sealed, count, nil)
		if err != nil {
			return err
		}
		t.Sealed = segment.End()
	}
}

// ripe tells whether the first entry that isn't sealed is old enough. Its time is read once.
func (a *Archivist) ripe(ctx context.Context, t Tail) (bool, error) {
	known := a.first[t.Workspace]
	if known.time.IsZero() || known.seq != t.Sealed {
		rows, err := a.Store.Rows(ctx, t.Workspace, t.Sealed, 1, false)
		if err != nil || len(rows) == 0 {
			return false, err
		}
		h, err := ledger.Decode(&rows[0])
		if err != nil {
			return false, err
		}
		if known = (entry{t.Sealed, h.Time}); a.first == nil || len(a.first) >= keptFirst {
			a.first = map[steward.WorkspaceID]entry{}
		}
		a.first[t.Workspace] = known
	}
	return a.Now().Sub(known.time) >= or(a.Age, defaultAge), nil
}

// entry is the first of a tail.
type entry struct {
	seq  uint64
	time time.Time
}

// keptFirst is of how many workspaces the first entry is remembered.
const keptFirst = 1 << 16

// errSecond is that another process was first to change the manifest.
var errSecond = errors.New("segment: these entries were sealed by another process meanwhile")

// replace is Catalog.Replace, with errSecond for its Conflict: of the store of objects such an error says that an
// object isn't ours.
func (a *Archivist) replace(ctx context.Context, ws steward.WorkspaceID, old []Segment, with Segment) error {
	err := a.Catalog.Replace(ctx, ws, old, with)
	if steward.KindOf(err) == steward.Conflict {
		return fmt.Errorf("%w: %w", errSecond, err)
	}
	return err
}

// discard deletes objects that nothing came to name, so that trying again doesn't fill the store. What it can't
// delete is for Sweep, and so is all of it where ctx ended, since somebody waits for that.
func (a *Archivist) discard(ctx context.Context, objects []Object) {
	if ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tidying)
	defer cancel()
	for _, o := range objects {
		_ = a.Store.Blobs.Delete(ctx, o.Name)
	}
}

// seal writes a segment and names it in the manifest, in the place of others or behind them.
func (a *Archivist) seal(ctx context.Context, ws steward.WorkspaceID, first, entries uint64, old []Segment) (Segment, error) {
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, sealing)
	defer cancel()
	limit := maxSealed
	if old != nil {
		limit = math.MaxInt // they were chosen by their size
	}
	// A crash up to here leaves objects that nothing names, for Sweep.
	s, err := a.write(ctx, ws, first, entries, limit)
	if err == nil && old != nil {
		s.State = Merged
	}
	if err == nil {
		err = a.readBack(ctx, ws, &s)
	}
	if err != nil {
		a.discard(whole, s.Objects)
		return s, err
	}
	// From here on what is read comes from the new objects. A crash leaves the old ones as leftovers, of
	// which the tail's are for Due and objects for Sweep. Whether they are named isn't known after an error.
	if err := a.replace(ctx, ws, old, s); err != nil {
		return s, err
	}
	return a.dropPurged(ctx, ws, s)
}

// dropPurged gives up the parts of a segment whose period is purged, and gives what is left of it. Who purges
// destroys the keys before looking at the manifest, so between the two nothing is missed that was written before
// and named after.
func (a *Archivist) dropPurged(ctx context.Context, ws steward.WorkspaceID, s Segment) (Segment, error) {
	var kept []Object
	var names []string
	for _, o := range s.Objects {
		gone, err := o.Kind == Parts, error(nil)
		if gone {
			gone, err = Purged(ctx, a.Sealer, ws, o.Scopes)
		}
		if err != nil {
			return s, err
		}
		if gone {
			names = append(names, o.Name)
		} else {
			kept = append(kept, o)
		}
	}
	if len(names) > 0 {
		if _, err := a.Store.drop(ctx, a.Catalog, ws, s.First, names); err != nil {
			return s, err
		}
	}
	s.Objects = kept
	return s, nil
}

// trim deletes the tail's rows that are sealed, a few at a time. Only the last segment can have any; that its
// objects are there is looked at once more, since a sweep whose clock is wrong may have met them on their way.
func (a *Archivist) trim(ctx context.Context, ws steward.WorkspaceID) error {
	last, err := a.Store.Manifest.Segments(ctx, ws, Span{End: math.MaxInt64, Since: math.MinInt64, Until: math.MaxInt64, Backward: true, Limit: 1})
	if err != nil || len(last) == 0 {
		return err
	}
	for _, o := range last[0].Objects {
		object, err := a.Store.Blobs.Open(ctx, o.Name)
		if err != nil {
			return damaged(ws, last[0].First, last[0].End(), err)
		}
		_ = object.Close()
	}
	for {
		more, err := a.Catalog.Trim(ctx, ws, a.Now().Add(-retained).UnixMicro())
		if err != nil || !more {
			return err
		}
		timer := time.NewTimer(trimPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// month merges what a month has of segments that weren't, and locks what was.
func (a *Archivist) month(ctx context.Context, m Unmerged) error {
	var group []Segment
	var entries uint64
	var size int64
	finish := func() error {
		if len(group) == 0 {
			return nil
		}
		err := a.merge(ctx, m.Workspace, group)
		group, entries, size = nil, 0, 0
		return err
	}
	for from := uint64(0); ; {
		list, err := a.Store.Manifest.Segments(ctx, m.Workspace, Span{From: from, End: 1 << 62, Since: -1 << 62, Until: 1 << 62, Limit: segmentsAtOnce})
		if err != nil {
			return err
		}
		for _, s := range list {
			from = s.End()
			if s.Month != m.Month || s.State != Fresh {
				if err := finish(); err != nil {
					return err
				}
				if s.Month == m.Month && s.State == Merged {
					if err := a.lock(ctx, m.Workspace, s); err != nil {
						return err
					}
				}
				continue
			}
			if bytes := s.size(); entries+s.Entries > uint64(or(a.Month, defaultMonth)) || size+bytes > maxMerged {
				if err := finish(); err != nil {
					return err
				}
			}
			group, entries, size = append(group, s), entries+s.Entries, size+s.size()
		}
		if len(list) < segmentsAtOnce {
			break
		}
	}
	if err := finish(); err != nil {
		return err
	}
	return a.trim(ctx, m.Workspace) // of checkpoints, fewer are needed now
}

func (s *Segment) size() (bytes int64) {
	for _, o := range s.Objects {
		bytes += o.Size
	}
	return bytes
}

// merge makes one segment of some that follow each other, and locks it. One alone stays as it is.
func (a *Archivist) merge(ctx context.Context, ws steward.WorkspaceID, group []Segment) error {
	first, last := group[0], group[len(group)-1]
	if len(group) == 1 {
		first.State = Merged
		return a.lock(ctx, ws, first)
	}
	merged, err := a.seal(ctx, ws, first.First, last.End()-first.First, group)
	if err != nil {
		return err
	}
	// A crash from here on leaves the old objects for Sweep; and a segment that isn't locked, which Unmerged
	// lists.
	if err := a.lock(ctx, ws, merged); err != nil {
		return err
	}
	for _, s := range group {
		for _, o := range s.Objects {
			a.Store.cache.forget(o.Name)
			if err := a.Store.Blobs.Delete(ctx, o.Name); err != nil && steward.KindOf(err) != steward.Conflict { // held: for Sweep
				return err
			}
		}
	}
	return nil
}

// lock keeps a segment's objects from deletion for as long as they must be kept, and says so in the manifest.
func (a *Archivist) lock(ctx context.Context, ws steward.WorkspaceID, s Segment) (err error) {
	if s, err = a.dropPurged(ctx, ws, s); err != nil { // a crash may have come before
		return err
	}
	var own map[steward.Class]int
	if a.Days != nil {
		if own, err = a.Days(ctx, ws); err != nil {
			return err
		}
	}
	for i := range s.Objects {
		o := &s.Objects[i]
		if o.Until = s.keptUntil(o, own); !o.Until.IsZero() {
			if err := a.Store.Blobs.Lock(ctx, o.Name, o.Until); err != nil {
				return err
			}
		}
	}
	s.State = Locked
	return a.replace(ctx, ws, []Segment{s}, s)
}

// homes are where the objects of this database's workspaces lie.
func (a *Archivist) homes(ctx context.Context) (map[string]bool, error) {
	homes := map[string]bool{}
	for after := steward.WorkspaceID(""); ; {
		list, err := a.Store.Manifest.Workspaces(ctx, after, tailsAtOnce)
		if err != nil || len(list) == 0 {
			return homes, err
		}
		for _, ws := range list {
			homes[home(ws)] = true
		}
		after = list[len(list)-1]
	}
}

// Sweep deletes the objects that nothing names and that are old enough not to be on their way: what a crash
// left. It runs through both lists side by side. Where a workspace isn't this database's, neither are its objects:
// another database may have its own in the same store.
func (a *Archivist) Sweep(ctx context.Context) error {
	homes, err := a.homes(ctx)
	if err != nil {
		return err
	}
	var old []string
	after := "" // what was looked at
	sweep := func() error {
		if len(old) == 0 {
			return nil
		}
		named := map[string]bool{}
		for last := old[len(old)-1]; ; {
			// What is named is read behind what is there, so that none seems to be a leftover that was named
			// meanwhile.
			list, err := a.Store.Manifest.Objects(ctx, after, objectsAtOnce)
			if err != nil {
				return err
			}
			for _, o := range list {
				named[o.Name] = true
			}
			if len(list) < objectsAtOnce || list[len(list)-1].Name >= last {
				after = last
				break
			}
			after = list[len(list)-1].Name
		}
		for _, name := range old {
			if named[name] {
				continue
			}
			if err := a.Store.Blobs.Delete(ctx, name); err != nil && steward.KindOf(err) != steward.Conflict { // locked: its time comes
				return err
			}
		}
		old = old[:0]
		return nil
	}
	err = a.Store.Blobs.List(ctx, prefix, func(name string, modified time.Time) error {
		end := len(prefix) + strings.IndexByte(name[len(prefix):], '/') + 1
		if a.Now().Sub(modified) < leftover || !homes[name[:end]] {
			return nil
		}
		if old = append(old, name); len(old) < objectsAtOnce {
			return nil
		}
		return sweep()
	})
	if err == nil {
		err = sweep()
	}
	if err != nil {
		return fmt.Errorf("segment: looking for leftovers: %w", err)
	}
	return nil
}
