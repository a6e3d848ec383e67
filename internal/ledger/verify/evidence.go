package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/transparency-dev/formats/log"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/layout"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// readEntry is an entry as it was read and hashed for verifying.
type readEntry struct {
	seq        uint64 // where it stands
	leaf       [tree.HashSize]byte
	unreadable bool // its header; nothing below is known then

	says     uint64 // the number in its header
	micros   int64
	kind     ledger.Kind // "" for an unknown one
	intent   uint64
	intends  bool
	parts    int
	partless bool // the parts can't be told apart, or aren't as many
	changed  []int
	absent   []int       // parts that were dropped
	whole    *ledger.Row // the entry itself, where more of its header is needed
}

// page is the entries of one range of numbers.
type page struct {
	from    uint64
	end     uint64 // behind the last
	entries []readEntry
	err     error
}

// read reads and hashes a page.
func (v *verification) read(ctx context.Context, from, end uint64) page {
	p := page{from: from, end: end, entries: make([]readEntry, 0, end-from)}
	var rows []ledger.Row
	rows, p.err = ledger.ReadRange(ctx, v.src.Store, v.ws, from, end, !v.src.HeadersOnly)
	var b layout.Brief
	var scratch []byte
	for i := range rows {
		p.entries = append(p.entries, v.readRow(&rows[i], &b, &scratch))
	}
	return p
}

func (v *verification) readRow(row *ledger.Row, b *layout.Brief, scratch *[]byte) readEntry {
	e := readEntry{seq: row.Seq, leaf: tree.HashLeaf(row.Header, scratch)}
	if !b.Read(row.Header) && !decodeBrief(row, b) {
		e.unreadable = true
		return e
	}
	for _, kind := range v.kinds {
		if string(b.Kind) == kind {
			e.kind = ledger.Kind(kind)
		}
	}
	e.says, e.micros, e.intent, e.intends, e.parts = b.Seq, b.Micros, b.Intent, b.Intends, len(b.Parts)
	if !v.src.HeadersOnly {
		e.holdParts(row, b)
	}
	if e.kind == ledger.KeyRotated || e.kind == ledger.LogRestarted || e.kind == ledger.PurgeBegun || len(e.absent) > 0 {
		e.whole = &ledger.Row{Seq: row.Seq, Header: bytes.Clone(row.Header)}
	}
	return e
}

// holdParts holds the parts of an entry against its header.
func (e *readEntry) holdParts(row *ledger.Row, b *layout.Brief) {
	boxes, err := layout.SplitParts(row.Parts)
	if err != nil || len(boxes) != len(b.Parts) {
		e.partless = true
		return
	}
	for i, box := range boxes {
		if len(box) == 0 {
			e.absent = append(e.absent, i)
		} else if sum := sha256.Sum256(box); b.Parts[i].Size != len(box) || !bytes.Equal(sum[:], b.Parts[i].SHA256[:tree.HashSize]) {
			e.changed = append(e.changed, i)
		}
	}
}

// explain remembers which parts an entry hasn't any more, and what a purge on record let go.
func (v *verification) explain(e *readEntry) {
	h, err := ledger.Decode(e.whole)
	if err != nil {
		return // it was found unreadable
	}
	if first, last, ok := h.Prunes(); ok && e.kind == ledger.PurgeBegun {
		v.pruned[first] = Pruned{Entries: first, By: e.seq, At: h.Time, Last: last}
	} else if e.kind == ledger.PurgeBegun {
		for _, scope := range h.Targets {
			v.purged[steward.Scope(scope)] = true
		}
	}
	if e.kind == ledger.LogRestarted {
		v.restarted(&h)
	}
	for _, i := range e.absent {
		var periods []steward.Scope
		for _, scope := range h.Parts[i].Scopes {
			if _, _, ok := scope.Period(); ok {
				periods = append(periods, scope)
			}
		}
		list := steward.Sealed{Scopes: periods}.ScopeList()
		if _, seen := v.absent[list]; !seen {
			v.absent[list] = e.seq
		}
	}
}

// absences finds parts that aren't there though nothing on record let them go.
func (v *verification) absences() {
	for _, list := range slices.Sorted(maps.Keys(v.absent)) {
		if !slices.ContainsFunc(steward.ParseScopes(list), func(scope steward.Scope) bool { return v.purged[scope] }) {
			v.findAt(v.absent[list], "from entry %d on, parts are missing, and no purge on record explains it", v.absent[list])
		}
	}
}

// begin goes to where the ledger begins: by the tree's hashes there where something was pruned. That they are right
// shows at the first checkpoint behind.
func (v *verification) begin(ctx context.Context) error {
	if v.first == 0 {
		return v.checkpointsUpTo(ctx, 0)
	}
	v.tree = nil
	if err := v.checkpointsUpTo(ctx, v.first); err != nil || v.tree != nil {
		return err
	}
	edge, err := ledger.ReadEdge(ctx, v.src.Store, v.ws, v.first)
	if err != nil {
		return v.damage(ctx, err, fmt.Sprintf("a tile over what was before entry %d", v.first))
	}
	v.held, v.base = v.first, edge.Hashes()
	v.tree, err = tree.Ranges.NewRange(0, v.first, v.base)
	return err
}

// beginning finds that the ledger begins elsewhere than what is on record says. What isn't signed isn't on record:
// nothing goes before it is.
func (v *verification) beginning() {
	by, ok := v.pruned[v.first]
	if _, end, period := by.Last.Period(); ok && period && !by.At.Before(end) && v.report.Checkpoint != nil && by.By < v.report.Checkpoint.Size {
		v.report.Pruned = &by
	} else if v.first > 0 {
		v.findAt(v.first, "the ledger begins with entry %d, and no purge on record explains that those before it are gone", v.first)
	}
}

// decodeBrief reads a header that isn't written as Steward writes them.
func decodeBrief(row *ledger.Row, b *layout.Brief) bool {
	h, err := ledger.Decode(row)
	if err != nil {
		return false
	}
	*b = layout.Brief{Seq: h.Seq, Micros: h.Time.UnixMicro(), Kind: []byte(h.Kind), Intends: h.Intent != nil}
	if b.Intends {
		b.Intent = *h.Intent
	}
	for _, p := range h.Parts {
		part := layout.BriefPart{Size: p.Len}
		if len(p.SHA256) != tree.HashSize {
			part.Size = -1 // fits no part
		}
		copy(part.SHA256[:], p.SHA256)
		b.Parts = append(b.Parts, part)
	}
	return true
}

// changedBetween names the entries since the last checkpoint that held which aren't what the next one signed,
// by the leaf hashes in the tiles. It is none where those are not what was signed either.
func (v *verification) changedBetween(ctx context.Context, cp ledger.Checkpoint) (changed []uint64, err error) {
	if v.held+uint64(len(v.leaves)/tree.HashSize) != cp.Size {
		return nil, nil
	}
	whole, err := tree.Ranges.NewRange(0, v.held, v.base)
	if err != nil {
		return nil, fmt.Errorf("ledger: tree: %w", err)
	}
	for seq := v.held; seq < cp.Size; {
		tiles, err := v.src.Store.Tiles(ctx, v.ws, 0, seq/tree.Width, tilesAtOnce)
		if err != nil {
			return nil, v.damage(ctx, err, "a tile of the tree")
		}
		before := seq
		for _, tile := range tiles {
			for tile.N == seq/tree.Width && seq < cp.Size && int(seq%tree.Width+1)*tree.HashSize <= len(tile.Hashes) {
				signed := tile.Hashes[seq%tree.Width*tree.HashSize:][:tree.HashSize]
				if !bytes.Equal(signed, v.leaves[(seq-v.held)*tree.HashSize:][:tree.HashSize]) {
					changed = append(changed, seq)
				}
				if err := whole.Append(bytes.Clone(signed), nil); err != nil {
					return nil, fmt.Errorf("ledger: tree: %w", err)
				}
				seq++
			}
		}
		if seq == before {
			return nil, nil
		}
	}
	if root, err := tree.Root(whole); err != nil || !bytes.Equal(root, cp.Root) {
		return nil, err
	}
	return changed, nil
}

// tilesAtOnce is how many tiles are read at a time: half a megabyte.
const tilesAtOnce = 64

// tiles holds the stored tiles against the last checkpoint: each full one's root stands in the level above,
// and the right edge has the signed root.
func (v *verification) tiles(ctx context.Context) error {
	if v.report.Checkpoint == nil {
		return nil
	}
	size := v.report.Checkpoint.Size
	top, err := ledger.ReadEdge(ctx, v.src.Store, v.ws, size)
	if err == nil {
		var root []byte
		if root, err = top.Root(); err == nil && !bytes.Equal(root, v.report.Checkpoint.Root) {
			v.find("the tiles at the tree's right edge aren't what was signed")
		}
	}
	if err != nil {
		return v.damage(ctx, err, "a tile at the tree's right edge")
	}
	for level := 0; size>>(tree.Bits*(level+1)) > 0; level++ {
		full := size >> (tree.Bits * (level + 1))
		for next := v.first >> (tree.Bits * (level + 1)); next < full; { // those that end before it are pruned
			tiles, err := v.src.Store.Tiles(ctx, v.ws, level, next, int(min(tilesAtOnce, full-next)))
			if err != nil {
				return v.damage(ctx, err, fmt.Sprintf("tile %d of level %d", next, level))
			}
			above, err := v.src.Store.Tiles(ctx, v.ws, level+1, next/tree.Width, 2)
			if err != nil {
				return v.damage(ctx, err, fmt.Sprintf("tile %d of level %d", next/tree.Width, level+1))
			}
			if len(tiles) == 0 {
				v.find("tile %d of level %d is missing", next, level)
				return nil
			}
			for _, tile := range tiles {
				if tile.N != next {
					v.find("tile %d of level %d is missing", next, level)
					next = tile.N
				}
				if next >= full {
					break
				}
				if !tile.StandsIn(above) {
					v.find("tile %d of level %d isn't what was signed", tile.N, level)
				}
				next++
			}
		}
	}
	return nil
}

// remember takes the checkpoints that are this ledger's from those remembered, and keeps those apart that speak
// of more than there is.
func (v *verification) remember(head ledger.Head) {
	seen := map[string]bool{}
	newest := uint64(0) // of those that somebody else than the store remembers
	for i, note := range append(slices.Clip(v.src.Known), v.src.Cosigned) {
		if !tree.OfWorkspace([]byte(note), string(v.ws)) || seen[note] {
			continue
		}
		seen[note] = true
		cp, _, err := tree.Parse([]byte(note), string(v.ws), v.ring)
		if err != nil && v.src.Sealer == nil {
			cp, err = v.former(note, err)
		}
		switch {
		case err != nil:
			v.find("a remembered checkpoint isn't signed with this ledger's key: one of them was replaced")
		case cp.Size > head.Next:
			v.disputed = append(v.disputed, cp)
		case cp.Size > 0:
			v.known = append(v.known, cp)
		}
		if err == nil && i < len(v.src.Known) {
			newest = max(newest, cp.Size)
		}
	}
	if newest > 0 && newest <= v.first {
		v.findAt(v.first, "the newest remembered checkpoint is over %d entries and the ledger begins with entry %d: nothing that is remembered tells whether it is the same", newest, v.first)
	}
	slices.SortFunc(v.known, func(a, b ledger.Checkpoint) int { return int(int64(a.Size) - int64(b.Size)) })
}

// former reads a remembered checkpoint of a log that an exported one may go on from. Its key is that of another name,
// which isn't there, so whoever remembers it vouches for it; that the log went on from that one, losses looks at.
func (v *verification) former(note string, refused error) (ledger.Checkpoint, error) {
	var said log.Checkpoint
	name, _, _ := strings.Cut(v.src.Key, "+")
	if _, err := said.Unmarshal([]byte(note)); err != nil || said.Origin == name {
		return ledger.Checkpoint{}, refused
	}
	if !slices.Contains(v.formers, said.Origin) {
		v.formers = append(v.formers, said.Origin)
	}
	return ledger.Checkpoint{Origin: said.Origin, Size: said.Size, Root: said.Hash, Note: note}, nil
}

// remembered holds the tree against the remembered checkpoints of its size, and passes over those of less.
func (v *verification) remembered(size uint64) error {
	for len(v.known) > 0 && v.known[0].Size <= size {
		cp := v.known[0]
		v.known = v.known[1:]
		if v.tree == nil || v.tree.End() != cp.Size {
			continue // a gap, which was found
		}
		root, err := tree.Root(v.tree)
		if err != nil {
			return err
		}
		if !bytes.Equal(root, cp.Root) {
			v.disputed = append(v.disputed, cp)
		}
	}
	return nil
}
