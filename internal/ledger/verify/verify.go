// Package verify answers: was the record changed? It reads a ledger and holds it against itself and what was
// signed; it writes nothing, opens nothing that is sealed, and doesn't know what an entry is about.
package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/transparency-dev/merkle/compact"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// Source is what a ledger is verified from. Nothing is written.
type Source struct {
	Store ledger.Verifiable
	// Sealer gives the signing keys. Where it is nil, Key is the verifier key of the last checkpoint.
	Sealer steward.Sealer
	Key    string

	// HeadersOnly says that Store holds neither parts nor the list of open intents: it is an export.
	HeadersOnly bool
	// Known are checkpoints that somebody remembers: signed notes, of any workspaces. A ledger that
	// doesn't hold what they say was put back to an older state, or written anew; and where they all end
	// before its minimum index, none of them can be held against it, which is a finding too.
	Known []string
	// Cosigned is the newest checkpoint that witnesses signed, as the store has it; "" for none.
	Cosigned string
	// Checked says that Store.Check was done: it reads the whole database, so once is enough for
	// several workspaces.
	Checked bool
}

// Report is what Ledger found.
type Report struct {
	Entries    uint64             `json:"entries"`
	Findings   []Finding          `json:"findings"`
	Checkpoint *ledger.Checkpoint `json:"checkpoint,omitempty"` // the last one with a valid signature
	Unsigned   uint64             `json:"unsigned"`             // entries behind it, which nothing vouches for yet
	Pruned     *Pruned            `json:"pruned,omitempty"`     // where the ledger doesn't begin with entry 0
	Losses     []Loss             `json:"losses,omitempty"`     // that the ledger says itself
}

// Pruned is what of a ledger went when its time was up, and what on record says so.
type Pruned struct {
	Entries uint64        `json:"entries"` // those numbered 0 to Entries-1; Entries is the log's minimum index
	By      uint64        `json:"by"`      // the entry that named them before they went
	At      time.Time     `json:"at"`      // when it was written
	Last    steward.Scope `json:"last"`    // the ground: the last of their periods, whose end had come
}

// Finding is one thing that isn't as it was written.
type Finding struct {
	Seq  *uint64 `json:"seq"` // the entry, or the first of several; nil where it is none in particular
	What string  `json:"what"`
}

// Ledger reads a workspace's whole ledger and holds it against itself and its checkpoints: numbers and
// times, each part against its header, the tree against each checkpoint, their signatures and who was to
// sign them, intents against outcomes, and the remembered checkpoints. It can run beside a process that
// writes; what is added meanwhile is left out. Damage is a finding; an error means that it couldn't be
// verified. Of a ledger whose beginning was pruned it reads what is left, from the tree's hashes there, which the
// checkpoints behind vouch for; an entry on record has to say that the beginning went. progress (which may be nil)
// is told how many entries are done, now and then.
//
// What it can't see from here: a whole store put back to an older state of its own, unless a checkpoint of
// the newer one is among those remembered.
func Ledger(ctx context.Context, src Source, ws steward.WorkspaceID, progress func(done, total uint64)) (Report, error) {
	v := &verification{src: src, ws: ws, report: Report{Findings: []Finding{}}, tree: tree.Ranges.NewEmptyRange(0), open: map[uint64]bool{}, absent: map[string]uint64{}, purged: map[steward.Scope]bool{}, pruned: map[uint64]Pruned{}, names: map[string]uint64{}, key: 1}
	for _, kind := range ledger.Kinds() {
		v.kinds = append(v.kinds, string(kind))
	}
	if v.ring = ledger.Ring(ctx, src.Sealer, ws); src.Sealer == nil {
		key, err := tree.VerifierKey(src.Key)
		if err != nil {
			return v.report, steward.Errorf(steward.Invalid, "this is no verifier key; it is the line in the log's file vkey").Because(err)
		}
		v.ring = func(int) (tree.Key, error) { return key, nil }
	}
	if progress == nil {
		progress = func(uint64, uint64) {}
	}
	err := v.run(ctx, progress)
	if err == nil && len(v.report.Findings) > 0 {
		// What was pruned meanwhile isn't missing.
		if now, err := src.Store.Head(ctx, ws); err == nil && now.First > v.first {
			return Ledger(ctx, src, ws, progress)
		}
	}
	return v.report, err
}

// manyUnread is after how many unreadable pages verifying ends: a head that lies could name more than there
// can be.
const manyUnread = 1024

type verification struct {
	src    Source
	ws     steward.WorkspaceID
	ring   tree.Ring
	kinds  []string
	report Report

	tree   *compact.Range // over what was read so far; nil where that isn't known, after a gap
	held   uint64         // up to here the entries agree with a checkpoint
	base   [][]byte       // the hashes of the tree over those
	leaves []byte         // of the entries since; at most keptLeaves of them
	last   int64          // the time of the last entry
	open   map[uint64]bool
	absent map[string]uint64      // the first entry that misses a part sealed in these periods
	purged map[steward.Scope]bool // on record
	pruned map[uint64]Pruned      // on record too, by what they made the first entry
	first  uint64                 // the first entry that is kept
	known  []ledger.Checkpoint    // that are remembered, by size, and weren't reached yet

	disputed  []ledger.Checkpoint // that are remembered, and aren't over what is here
	names     map[string]uint64   // of checkpoints, and the size of the last with each
	formers   []string            // the names of remembered checkpoints whose key isn't there
	renamings []renaming
	restarts  []restart

	checkpoints []ledger.StoredCheckpoint // read ahead
	from        uint64                    // the next to read
	signed      uint64                    // the size of the largest seen

	unreadPages int
	unread      string       // why entries couldn't be read, the last time; "" where all could
	key         int          // the number of the key that signs
	rotations   []ledger.Row // the entries since the last checkpoint that replace it
}

// keptLeaves is how many leaf hashes are kept between two checkpoints, to tell which entry was changed: 8 MB.
const keptLeaves = 1 << 18

func (v *verification) find(format string, args ...any) {
	v.report.Findings = append(v.report.Findings, Finding{What: fmt.Sprintf(format, args...)})
}

func (v *verification) findAt(seq uint64, format string, args ...any) {
	v.report.Findings = append(v.report.Findings, Finding{Seq: &seq, What: fmt.Sprintf(format, args...)})
}

// damage turns a fault of the stored data into a finding, and passes on what only kept it from being read.
func (v *verification) damage(ctx context.Context, err error, what string) error {
	if ctx.Err() != nil || steward.KindOf(err) != steward.Internal {
		return err
	}
	v.find("%s can't be read: it is damaged", what)
	return nil
}

func (v *verification) run(ctx context.Context, progress func(done, total uint64)) error {
	// It takes about as long as all the rest, on a connection of its own.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	checked := make(chan error, 1)
	go func() {
		if v.src.Checked {
			checked <- nil
		} else {
			checked <- v.src.Store.Check(ctx)
		}
	}()
	if err := v.ledger(ctx, progress); err != nil {
		cancel()
		return errors.Join(err, <-checked) // the second says no more than that it was cancelled
	}
	err := <-checked
	if err == nil || ctx.Err() != nil || steward.KindOf(err) != steward.Internal {
		return err
	}
	v.find("part of the database can't be read: %s", steward.Message(err))
	return nil
}

func (v *verification) ledger(ctx context.Context, progress func(done, total uint64)) error {
	// The head is read first: what it speaks of was committed before, so all of it must be there.
	head, err := v.src.Store.Head(ctx, v.ws)
	if err != nil {
		return v.damage(ctx, err, "the end of the ledger")
	}
	if _, err := v.ring(1); err != nil {
		return err
	}
	v.first = head.First
	v.remember(head)
	if err := v.entries(ctx, head, progress); err != nil {
		return err
	}
	if err := v.ending(ctx, head); err != nil {
		return err
	}
	v.absences()
	v.losses(head)
	v.beginning()
	if err := v.tiles(ctx); err != nil {
		return err
	}
	if v.src.HeadersOnly || v.unread != "" {
		return nil
	}
	return v.intents(ctx, head)
}

// entries reads all entries up to the head. Pages are read and hashed beside each other, and looked at in
// their order.
func (v *verification) entries(ctx context.Context, head ledger.Head, progress func(done, total uint64)) error {
	if err := v.begin(ctx); err != nil {
		return err
	}
	next := v.first
	for page := range ledger.Pages(ctx, next, head.Next, ledger.ReadersAhead, v.read) {
		progress(page.from, head.Next)
		if page.err != nil {
			if err := v.unreadable(ctx, page); err != nil {
				return err
			}
			if v.unreadPages++; v.unreadPages > manyUnread {
				v.findAt(page.end, "so much can't be read that the rest, from entry %d on, wasn't looked at", page.end)
				return v.checkpointsUpTo(ctx, head.Next)
			}
			next = page.end
			if err := v.checkpointsUpTo(ctx, next); err != nil {
				return err
			}
			continue
		}
		for i := range page.entries {
			e := &page.entries[i]
			if e.seq > next {
				v.missing(next, e.seq)
				if err := v.checkpointsUpTo(ctx, e.seq); err != nil {
					return err
				}
			}
			if err := v.entry(ctx, e); err != nil {
				return err
			}
			next = e.seq + 1
			if err := v.checkpointsUpTo(ctx, next); err != nil {
				return err
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("ledger: verifying: %w", err)
	}
	if next < head.Next {
		v.missing(next, head.Next)
	}
	v.from = v.signed + 1 // there may be one by now that wasn't when it was looked for
	if err := v.checkpointsUpTo(ctx, head.Next); err != nil {
		return err
	}
	progress(head.Next, head.Next)
	return nil
}

// unreadable reports a page that can't be read, by what its store says of it: several may be the fault of one
// object.
func (v *verification) unreadable(ctx context.Context, p page) error {
	if ctx.Err() != nil || steward.KindOf(p.err) != steward.Internal {
		return p.err
	}
	v.tree = nil
	why, _, _ := strings.Cut(steward.Message(p.err), ";")
	if v.unread != why {
		v.findAt(p.from, "entries %d to %d can't be read: %s", p.from, p.end-1, why)
	}
	v.unread = why
	return nil
}

func (v *verification) missing(from, to uint64) {
	v.tree = nil
	if to-from == 1 {
		v.findAt(from, "entry %d is missing", from)
	} else {
		v.findAt(from, "entries %d to %d are missing", from, to-1)
	}
}

// entry checks one entry by itself and puts it into the tree.
func (v *verification) entry(ctx context.Context, e *readEntry) error {
	v.report.Entries++
	if v.tree != nil {
		if err := v.tree.Append(e.leaf[:], nil); err != nil {
			return fmt.Errorf("ledger: tree: %w", err)
		}
		if len(v.leaves) < keptLeaves*tree.HashSize {
			v.leaves = append(v.leaves, e.leaf[:]...)
		}
	}
	if e.unreadable {
		v.findAt(e.seq, "the header of entry %d can't be read", e.seq)
		return nil
	}
	if e.says != e.seq {
		v.findAt(e.seq, "in the place of entry %d stands entry %d", e.seq, e.says)
	}
	if e.kind == "" {
		v.findAt(e.seq, "entry %d is of no known kind", e.seq)
	}
	if e.micros < v.last {
		v.findAt(e.seq, "entry %d is earlier than the one before it", e.seq)
	}
	v.last = e.micros
	if e.whole != nil && e.kind == ledger.KeyRotated {
		v.rotations = append(v.rotations, *e.whole)
	}
	if e.whole != nil {
		v.explain(e)
	}
	if e.partless {
		v.findAt(e.seq, "entry %d should have %d parts, and they aren't there", e.seq, e.parts)
	}
	for _, part := range e.changed {
		v.findAt(e.seq, "part %d of entry %d was changed", part, e.seq)
	}
	return v.pair(ctx, e)
}

// pair keeps the list of intents that wait for an outcome.
func (v *verification) pair(ctx context.Context, e *readEntry) error {
	switch {
	case e.kind == ledger.CallIntent:
		v.open[e.seq] = true
	case e.kind != ledger.CallOutcome:
	case !e.intends:
		v.findAt(e.seq, "entry %d is an outcome that names no intent", e.seq)
	case v.open[e.intent]:
		delete(v.open, e.intent)
	case e.intent < v.first: // pruned
	case v.unread != "": // its intent may be among what can't be read
	default:
		rows, err := v.src.Store.Rows(ctx, v.ws, e.intent, 1, false)
		if err != nil {
			return v.damage(ctx, err, fmt.Sprintf("entry %d", e.intent))
		}
		if len(rows) == 1 && rows[0].Seq == e.intent && e.intent < e.seq {
			if h, err := ledger.Decode(&rows[0]); err == nil && h.Kind == ledger.CallIntent {
				v.findAt(e.seq, "entry %d is a second outcome for the intent %d", e.seq, e.intent)
				return nil
			}
		}
		v.findAt(e.seq, "entry %d is an outcome for %d, which is no intent before it", e.seq, e.intent)
	}
	return nil
}

// checkpointsUpTo holds the checkpoints of at most this size, which is how many entries were passed,
// against what was read. After one that doesn't hold, and after a gap, it goes on from the hashes that the
// checkpoint itself signed, so that each finding says between which two checkpoints the change lies.
func (v *verification) checkpointsUpTo(ctx context.Context, size uint64) error {
	if err := v.remembered(size); err != nil {
		return err
	}
	for {
		stored, ok, err := v.nextCheckpoint(ctx, size)
		if err != nil || !ok {
			return err
		}
		cp, number, whole, err := tree.Open(stored.Note, stored.Size, stored.Range, string(v.ws), v.ring)
		if err != nil {
			v.find("the checkpoint over %d entries isn't what this ledger's key signed", stored.Size)
			continue
		}
		if err := v.signedBy(cp, number); err != nil {
			return err
		}
		v.named(v.report.Checkpoint, cp)
		v.report.Checkpoint = &cp
		if v.tree != nil && v.tree.End() == cp.Size {
			root, err := tree.Root(v.tree)
			if err != nil {
				return err
			}
			if bytes.Equal(root, cp.Root) {
				v.held, v.base, v.leaves = cp.Size, whole.Hashes(), v.leaves[:0]
				continue
			}
			changed, err := v.changedBetween(ctx, cp)
			if err != nil {
				return err
			}
			for _, seq := range changed {
				v.findAt(seq, "entry %d isn't what was signed", seq)
			}
			if len(changed) == 0 {
				v.findAt(v.held, "among entries %d to %d at least one isn't what was signed", v.held, cp.Size-1)
			}
		}
		if cp.Size == size {
			v.tree, v.held, v.base, v.leaves = whole, cp.Size, whole.Hashes(), v.leaves[:0]
		}
	}
}

// signedBy checks that a checkpoint was signed with the key that was in force: one that was replaced before
// signs nothing any more.
func (v *verification) signedBy(cp ledger.Checkpoint, number int) error {
	if v.src.Sealer == nil {
		return nil // no other key is known
	}
	keys, err := ledger.NextKeys(v.ring, cp.Origin, v.key, v.rotations)
	if err != nil {
		return err
	}
	v.key, v.rotations = v.key+len(keys)-1, nil
	switch {
	case number == v.key:
	case number > v.key && v.tree == nil: // the entry that brought it in is missing, which was found
	case number > v.key && v.first > 0 && v.held == v.first: // or pruned
	default:
		v.find("the checkpoint over %d entries is signed with the log's key %d, and key %d was in force", cp.Size, number, v.key)
	}
	v.key = max(v.key, number) // those after it are signed with a later one too, which is no other finding
	return nil
}

// nextCheckpoint takes the next checkpoint if its size is at most this.
func (v *verification) nextCheckpoint(ctx context.Context, size uint64) (ledger.StoredCheckpoint, bool, error) {
	if len(v.checkpoints) == 0 && v.from <= size {
		var err error
		if v.checkpoints, err = v.src.Store.Checkpoints(ctx, v.ws, v.from, ledger.PageRows); err != nil {
			v.from = ^uint64(0)
			return ledger.StoredCheckpoint{}, false, v.damage(ctx, err, "a checkpoint")
		}
		if len(v.checkpoints) == 0 {
			v.from = ^uint64(0)
		}
	}
	if len(v.checkpoints) == 0 || v.checkpoints[0].Size > size {
		return ledger.StoredCheckpoint{}, false, nil
	}
	next := v.checkpoints[0]
	v.checkpoints = v.checkpoints[1:]
	v.from, v.signed = next.Size+1, next.Size
	return next, true, nil
}

// ending checks that the ledger ends where its head, its last checkpoint and its last entry say.
func (v *verification) ending(ctx context.Context, head ledger.Head) error {
	held := uint64(0)
	if v.report.Checkpoint != nil {
		held = v.report.Checkpoint.Size
	}
	v.report.Unsigned = head.Next - min(held, head.Next)
	if head.Signed > head.Next {
		v.findAt(head.Next, "a checkpoint over %d entries was signed and the ledger has %d: its end was cut off", head.Signed, head.Next)
	} else if head.Signed > v.signed {
		v.find("the checkpoint over %d entries is missing", head.Signed)
	}
	if head.Last != v.last && v.report.Entries == head.Next-v.first {
		v.find("the head of the ledger and its last entry differ in time")
	}

	// What is behind the head may have been added since it was read; a second look at it tells.
	behind, err := v.src.Store.Rows(ctx, v.ws, head.Next, 1, false)
	if err != nil {
		return v.damage(ctx, err, "what is behind the ledger's end")
	}
	signed, err := v.src.Store.Checkpoints(ctx, v.ws, head.Next+1, 1)
	if err != nil {
		return v.damage(ctx, err, "a checkpoint")
	}
	now, err := v.src.Store.Head(ctx, v.ws)
	if err != nil {
		return v.damage(ctx, err, "the end of the ledger")
	}
	if len(behind) > 0 && behind[0].Seq >= now.Next {
		v.findAt(behind[0].Seq, "entry %d stands behind the end of the ledger", behind[0].Seq)
	}
	if len(signed) > 0 && signed[0].Size > now.Next && head.Signed <= head.Next {
		v.findAt(head.Next, "a checkpoint over %d entries is there and the ledger has %d: its end was cut off", signed[0].Size, now.Next)
	}
	return nil
}

// intents compares the intents that wait by what was read with those listed as waiting.
func (v *verification) intents(ctx context.Context, head ledger.Head) error {
	listed, err := v.src.Store.Intents(ctx, v.ws)
	if err != nil {
		return v.damage(ctx, err, "the list of open intents")
	}
	waiting := map[uint64]bool{}
	for _, o := range listed {
		if waiting[o.Seq] = true; o.Seq < head.Next && !v.open[o.Seq] {
			v.findAt(o.Seq, "entry %d is listed as an intent without outcome, and isn't one", o.Seq)
		}
	}
	var unlisted []uint64
	for seq := range v.open {
		if !waiting[seq] {
			unlisted = append(unlisted, seq)
		}
	}
	if len(unlisted) == 0 {
		return nil
	}
	// Their outcomes may have been written since the head was read.
	now, err := v.src.Store.Head(ctx, v.ws)
	if err != nil {
		return v.damage(ctx, err, "the end of the ledger")
	}
	for next := head.Next; next < now.Next; {
		rows, err := v.src.Store.Rows(ctx, v.ws, next, ledger.PageRows, false)
		if err != nil {
			return v.damage(ctx, err, fmt.Sprintf("the ledger from about entry %d on", next))
		}
		if len(rows) == 0 {
			break
		}
		for _, row := range rows {
			if h, err := ledger.Decode(&row); err == nil && h.Kind == ledger.CallOutcome && h.Intent != nil {
				delete(v.open, *h.Intent)
			}
			next = row.Seq + 1
		}
	}
	for _, seq := range unlisted {
		if v.open[seq] {
			v.findAt(seq, "entry %d is an intent without outcome, and isn't listed as one", seq)
		}
	}
	return nil
}
