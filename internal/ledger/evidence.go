package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/transparency-dev/formats/log"
)

// readEntry is an entry as it was read and hashed for verifying.
type readEntry struct {
	seq        uint64 // where it stands
	leaf       [hashSize]byte
	unreadable bool // its header; nothing below is known then

	says     uint64 // the number in its header
	micros   int64
	kind     Kind // "" for an unknown one
	intent   uint64
	intends  bool
	parts    int
	partless bool // the parts can't be told apart, or aren't as many
	changed  []int
}

// page is the entries of one range of numbers.
type page struct {
	from    uint64
	entries []readEntry
	err     error
}

// readPages reads the entries numbered from to end-1 on several connections at once, and gives them page by
// page in their order. Without parts only their leaf hashes are made.
func readPages(ctx context.Context, store Reader, ws steward.WorkspaceID, from, end uint64, parts bool) iter.Seq[page] {
	return func(yield func(page) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		order := make(chan chan page, readers)
		go func() {
			defer close(order)
			for ; from < end; from += pageRows - from%pageRows {
				done := make(chan page, 1)
				select {
				case order <- done: // as many at once as fit
				case <-ctx.Done():
					return
				}
				at, to := from, min(from+pageRows-from%pageRows, end)
				go func() { done <- readPage(ctx, store, ws, at, to, parts) }()
			}
		}()
		for done := range order {
			if !yield(<-done) {
				return
			}
		}
	}
}

// readers is how many pages are read ahead: a store has few connections for reading.
const readers = 2

func readPage(ctx context.Context, store Reader, ws steward.WorkspaceID, from, end uint64, parts bool) page {
	p := page{from: from, entries: make([]readEntry, 0, end-from)}
	var b brief
	var scratch []byte
	for next := from; next < end; {
		rows, err := store.Rows(ctx, ws, next, int(end-next), parts)
		if err != nil {
			p.err = err
			return p
		}
		if len(rows) == 0 {
			return p
		}
		for i := range rows {
			if rows[i].Seq >= end {
				return p
			}
			if parts {
				p.entries = append(p.entries, readRow(&rows[i], &b, &scratch))
			} else {
				p.entries = append(p.entries, readEntry{seq: rows[i].Seq, leaf: hashLeaf(rows[i].Header, &scratch)})
			}
		}
		next = rows[len(rows)-1].Seq + 1
	}
	return p
}

func readRow(row *Row, b *brief, scratch *[]byte) readEntry {
	e := readEntry{seq: row.Seq, leaf: hashLeaf(row.Header, scratch)}
	if readBrief(row.Header, b) != nil {
		e.unreadable = true
		return e
	}
	e.says, e.micros, e.kind, e.intent, e.intends, e.parts = b.seq, b.micros, b.kind, b.intent, b.intends, len(b.parts)
	boxes, err := splitParts(row.Parts)
	if err != nil || len(boxes) != len(b.parts) {
		e.partless = true
		return e
	}
	for i, box := range boxes {
		if sum := sha256.Sum256(box); b.parts[i].size != len(box) || !bytes.Equal(sum[:], b.parts[i].sha256[:hashSize]) {
			e.changed = append(e.changed, i)
		}
	}
	return e
}

// changedBetween names the entries since the last checkpoint that held which aren't what the next one signed,
// by the leaf hashes in the tiles. It is none where those are not what was signed either.
func (v *verification) changedBetween(ctx context.Context, cp Checkpoint) (changed []uint64, err error) {
	if v.held+uint64(len(v.leaves)/hashSize) != cp.Size {
		return nil, nil
	}
	tree, err := ranges.NewRange(0, v.held, v.base)
	if err != nil {
		return nil, fmt.Errorf("ledger: tree: %w", err)
	}
	for seq := v.held; seq < cp.Size; {
		tiles, err := v.src.Store.Tiles(ctx, v.ws, 0, seq/tileWidth, tilesAtOnce)
		if err != nil {
			return nil, v.damage(ctx, err, "a tile of the tree")
		}
		before := seq
		for _, tile := range tiles {
			for tile.N == seq/tileWidth && seq < cp.Size && int(seq%tileWidth+1)*hashSize <= len(tile.Hashes) {
				signed := tile.Hashes[seq%tileWidth*hashSize:][:hashSize]
				if !bytes.Equal(signed, v.leaves[(seq-v.held)*hashSize:][:hashSize]) {
					changed = append(changed, seq)
				}
				if err := tree.Append(bytes.Clone(signed), nil); err != nil {
					return nil, fmt.Errorf("ledger: tree: %w", err)
				}
				seq++
			}
		}
		if seq == before {
			return nil, nil
		}
	}
	if root, err := rootOf(tree); err != nil || !bytes.Equal(root, cp.Root) {
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
	top, err := readEdge(ctx, v.src.Store, v.ws, size)
	if err == nil {
		var root []byte
		if root, err = top.root(); err == nil && !bytes.Equal(root, v.report.Checkpoint.Root) {
			v.find("the tiles at the tree's right edge aren't what was signed")
		}
	}
	if err != nil {
		return v.damage(ctx, err, "a tile at the tree's right edge")
	}
	for level := 0; size>>(tileBits*(level+1)) > 0; level++ {
		full := size >> (tileBits * (level + 1))
		for next := uint64(0); next < full; {
			tiles, err := v.src.Store.Tiles(ctx, v.ws, level, next, int(min(tilesAtOnce, full-next)))
			if err != nil {
				return v.damage(ctx, err, fmt.Sprintf("tile %d of level %d", next, level))
			}
			above, err := v.src.Store.Tiles(ctx, v.ws, level+1, next/tileWidth, 2)
			if err != nil {
				return v.damage(ctx, err, fmt.Sprintf("tile %d of level %d", next/tileWidth, level+1))
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
				if !standsIn(above, tile) {
					v.find("tile %d of level %d isn't what was signed", tile.N, level)
				}
				next++
			}
		}
	}
	return nil
}

// standsIn tells whether a full tile's root is where it belongs in the level above.
func standsIn(above []Tile, tile Tile) bool {
	at := int(tile.N%tileWidth) * hashSize
	for _, a := range above {
		if a.N == tile.N/tileWidth {
			return len(tile.Hashes) == tileWidth*hashSize && len(a.Hashes) >= at+hashSize && bytes.Equal(subtree(tile.Hashes), a.Hashes[at:at+hashSize])
		}
	}
	return false
}

// remember takes the checkpoints that are this ledger's from those remembered, and reports those that speak
// of more than there is.
func (v *verification) remember(head Head) {
	seen := map[string]bool{}
	for _, note := range v.src.Known {
		origin, _, _ := strings.Cut(note, "\n")
		if !strings.HasSuffix(origin, "/"+string(v.ws)) || seen[note] {
			continue
		}
		seen[note] = true
		_, verifier, _, err := keys(origin, v.seed)
		var signed *log.Checkpoint
		if err == nil {
			signed, _, _, err = log.ParseCheckpoint([]byte(note), origin, verifier)
		}
		switch {
		case err != nil:
			v.find("a remembered checkpoint isn't signed with this ledger's key: one of them was replaced")
		case signed.Size > head.Next:
			v.findAt(head.Next, "a checkpoint over %d entries is remembered and the ledger has %d: it was put back to an older state", signed.Size, head.Next)
		case signed.Size > 0:
			v.known = append(v.known, Checkpoint{Size: signed.Size, Root: signed.Hash})
		}
	}
	slices.SortFunc(v.known, func(a, b Checkpoint) int { return int(int64(a.Size) - int64(b.Size)) })
}

// remembered holds the tree against the remembered checkpoints of its size, and passes over those of less.
func (v *verification) remembered(size uint64) error {
	for len(v.known) > 0 && v.known[0].Size <= size {
		cp := v.known[0]
		v.known = v.known[1:]
		if v.tree == nil || v.tree.End() != cp.Size {
			continue // a gap, which was found
		}
		root, err := rootOf(v.tree)
		if err != nil {
			return err
		}
		if !bytes.Equal(root, cp.Root) {
			v.find("the first %d entries aren't those of a remembered checkpoint: the ledger was written anew", cp.Size)
		}
	}
	return nil
}
