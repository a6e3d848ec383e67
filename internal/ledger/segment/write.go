package segment

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/layout"
	"github.com/stewardhq/steward/internal/ledger/segment/columns"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// draft is a segment being written.
type draft struct {
	a       *Archivist
	ws      steward.WorkspaceID
	segment Segment
	headers *columns.Writer[columns.Header]
	parts   map[string]*partsDraft // by their periods
	purged  map[string]bool        // by their periods too
	edge    *tree.Edge
	bytes   int
	lines   columns.Liner
	scratch []byte
}

type partsDraft struct {
	*columns.Writer[columns.Part]
	low, high uint64
}

// maxBytes is how large a segment may become before it is ended early, and the objects of those that are
// merged into one: a store of objects takes no more than 5 GB at once.
const (
	maxSealed = 256 << 20
	maxMerged = 4 << 30
)

// write writes the entries from first on into objects, at most as many as given (a multiple of 256), and
// fewer where they are large. They are read from where they lie now, the tail or other segments; parts whose
// period is purged are left out. Nothing names the objects yet: whatever happens before something does, they are
// leftovers. With an error comes what of them may be there.
func (a *Archivist) write(ctx context.Context, ws steward.WorkspaceID, first, entries uint64, maxBytes int) (_ Segment, err error) {
	edge, err := ledger.ReadEdge(ctx, a.Store, ws, first)
	if err != nil {
		return Segment{}, err
	}
	d := &draft{a: a, ws: ws, segment: Segment{First: first}, parts: map[string]*partsDraft{}, purged: map[string]bool{}, edge: edge}
	defer d.remove()
	if d.headers, err = columns.NewHeaders(a.Spool); err != nil {
		return Segment{}, err
	}
	for end := first + entries; d.edge.Size < end && (d.bytes < maxBytes || d.edge.Size%tree.Width != 0); {
		limit := min(end-d.edge.Size, tree.Width-d.edge.Size%tree.Width+3*tree.Width)
		if d.edge.Size%tree.Width != 0 {
			limit = tree.Width - d.edge.Size%tree.Width
		}
		rows, err := a.Store.Rows(ctx, ws, d.edge.Size, int(limit), true)
		if err != nil {
			return Segment{}, err
		}
		if len(rows) == 0 {
			return Segment{}, damaged(ws, d.edge.Size, end, fmt.Errorf("segment: entry %d is missing", d.edge.Size))
		}
		for i := range rows {
			if err := d.entry(ctx, &rows[i]); err != nil {
				return Segment{}, err
			}
		}
	}
	err = d.put(ctx)
	return d.segment, err
}

// entry adds one.
func (d *draft) entry(ctx context.Context, row *ledger.Row) error {
	if row.Seq != d.edge.Size {
		return damaged(d.ws, d.edge.Size, row.Seq, fmt.Errorf("segment: entry %d is missing", d.edge.Size))
	}
	line, periods, err := d.lines.Line(row)
	if err != nil {
		return err
	}
	boxes, err := layout.SplitParts(row.Parts)
	if err != nil || len(boxes) != len(periods) || line.Seq != int64(row.Seq) {
		return damaged(d.ws, row.Seq, row.Seq+1, errors.Join(err, errors.New("segment: header, parts and number don't belong together")))
	}
	if d.segment.Entries == 0 {
		d.segment.Earliest = line.Time
	}
	d.segment.Latest = line.Time
	d.segment.Entries++
	leaf := tree.HashLeaf(row.Header, &d.scratch)
	d.edge.Append(leaf[:])
	d.bytes += len(row.Header) + len(row.Parts)
	if err := d.headers.Add(line, len(row.Header)); err != nil {
		return err
	}
	for i, box := range boxes {
		if len(box) == 0 {
			continue // dropped with its scope's object
		}
		key := periods[i]
		gone, known := d.purged[key]
		if !known {
			if gone, err = Purged(ctx, d.a.Sealer, d.ws, key); err != nil {
				return err
			}
			d.purged[key] = gone
		}
		if gone {
			continue
		}
		to := d.parts[key]
		if to == nil {
			w, err := columns.NewParts(d.a.Spool)
			if err != nil {
				return err
			}
			to = &partsDraft{Writer: w, low: row.Seq}
			d.parts[key] = to
		}
		to.high = row.Seq
		if err := to.Add(columns.Part{Seq: int64(row.Seq), Part: int32(i), Box: box}, len(box)); err != nil {
			return err
		}
	}
	return nil
}

// put makes objects of what was written.
func (d *draft) put(ctx context.Context) error {
	s := &d.segment
	s.Month = time.UnixMicro(s.Latest).UTC().Format(monthLayout)
	var random bytes.Buffer
	if _, err := io.CopyN(&random, d.a.Rand, 16); err != nil {
		return fmt.Errorf("segment: randomness: %w", err)
	}
	in := folder(d.ws, s.First, steward.NewID(&random, "s"))
	if err := d.headers.Close(columns.Label{Workspace: d.ws, First: s.First, Entries: s.Entries}); err != nil {
		return err
	}
	if err := d.object(ctx, Object{Name: in + "headers.parquet", Kind: Headers}, d.headers.Spool); err != nil {
		return err
	}
	for i, key := range slices.Sorted(maps.Keys(d.parts)) {
		p := d.parts[key]
		if err := p.Close(columns.Label{Workspace: d.ws, First: s.First, Entries: s.Entries, Scopes: key}); err != nil {
			return err
		}
		o := Object{Name: fmt.Sprintf("%sparts-%d.parquet", in, i), Kind: Parts, Scopes: key, Low: p.low, High: p.high}
		if err := d.object(ctx, o, p.Spool); err != nil {
			return err
		}
	}
	tiles, err := columns.NewSpool(d.a.Spool)
	if err != nil {
		return err
	}
	defer tiles.Remove()
	if err := writeTiles(tiles, d.edge.Changed()); err != nil {
		return err
	}
	return d.object(ctx, Object{Name: in + "tiles", Kind: Tiles}, tiles)
}

// writeTiles writes the full tiles, level by level.
func writeTiles(w io.Writer, changed []tree.Tile) error {
	slices.SortStableFunc(changed, func(a, b tree.Tile) int { return a.Level - b.Level })
	for _, tile := range changed {
		if len(tile.Hashes) == tileSize {
			if _, err := w.Write(tile.Hashes); err != nil {
				return fmt.Errorf("segment: tiles: %w", err)
			}
		}
	}
	return nil
}

// object puts one. Nothing is locked before it is merged.
func (d *draft) object(ctx context.Context, o Object, from *columns.Spool) (err error) {
	content, size, sum, err := from.Content()
	if err != nil {
		return err
	}
	o.Size, o.SHA256 = size, sum
	err = d.a.Store.Blobs.Put(ctx, o.Name, content, size, time.Time{})
	if steward.KindOf(err) != steward.Conflict || err == nil { // else it is another's
		d.segment.Objects = append(d.segment.Objects, o) // it may be there though it fails
	}
	return err
}

// remove removes what was spooled.
func (d *draft) remove() {
	if d.headers != nil {
		d.headers.Remove()
	}
	for _, p := range d.parts {
		p.Remove()
	}
}

// Purged tells whether the key of one of these periods was destroyed. Only of such a one Open says that it is
// gone; that a key was never made, as an older copy of the keyring has it, proves nothing.
func Purged(ctx context.Context, sealer steward.Sealer, ws steward.WorkspaceID, periods string) (bool, error) {
	for _, scope := range steward.ParseScopes(periods) {
		if _, _, ok := scope.Period(); !ok {
			continue
		}
		_, err := sealer.Open(ctx, steward.Place{Workspace: ws}, steward.Sealed{Scopes: []steward.Scope{scope}}) // of nothing
		if kind := steward.KindOf(err); kind == steward.Gone {
			return true, nil
		} else if kind != steward.Internal || ctx.Err() != nil {
			return false, err
		}
	}
	return false, nil
}

func (a *Archivist) unsealable(ws steward.WorkspaceID, err error) error {
	return steward.Errorf(steward.Internal, "the ledger of workspace %s was changed or damaged, and isn't sealed any further; run `steward verify`", ws).Because(err)
}

// readBack reads the objects of a segment as they lie in the store, and holds all of it against what was
// signed: the headers and tiles against the first checkpoint over them, which has to have this ledger's
// signature, and each part against its header. Only what passes may replace what it was made from.
func (a *Archivist) readBack(ctx context.Context, ws steward.WorkspaceID, s *Segment) error {
	for i := range s.Objects {
		object, err := a.Store.Blobs.Open(ctx, s.Objects[i].Name)
		if err != nil {
			return err
		}
		sum := sha256.New()
		_, err = io.Copy(sum, io.NewSectionReader(object, 0, object.Size()))
		_ = object.Close()
		if err == nil && !bytes.Equal(sum.Sum(nil), s.Objects[i].SHA256) {
			err = errObject
		}
		if err != nil {
			return damaged(ws, s.First, s.End(), err)
		}
	}
	at, err := ledger.ReadEdge(ctx, a.Store, ws, s.First)
	if err != nil {
		return err
	}
	// Read by a reader of its own: what the one for everybody keeps open is kept by name.
	fresh := &Store{Store: a.Store.Store, Manifest: a.Store.Manifest, Blobs: a.Store.Blobs}
	defer fresh.Close()
	var brief layout.Brief
	var scratch []byte
	for at.Size < s.End() {
		rows, err := fresh.rows(ctx, ws, s, at.Size, min(at.Size+1024, s.End()), true)
		if err != nil {
			return err
		}
		for i := range rows {
			if rows[i].Seq != at.Size {
				return damaged(ws, at.Size, at.Size+1, errObject)
			}
			if err := partsHold(&rows[i], &brief); err != nil {
				return a.unsealable(ws, err)
			}
			leaf := tree.HashLeaf(rows[i].Header, &scratch)
			at.Append(leaf[:])
		}
	}
	tiles := sha256.New()
	if err := writeTiles(tiles, at.Changed()); err != nil {
		return err
	}
	if !slices.ContainsFunc(s.Objects, func(o Object) bool { return o.Kind == Tiles && bytes.Equal(o.SHA256, tiles.Sum(nil)) }) {
		return damaged(ws, s.First, s.End(), errors.New("segment: the tiles aren't those of the headers"))
	}
	return a.signed(ctx, ws, at)
}

// partsHold tells whether an entry's parts are those that its header names. One that was dropped is empty.
func partsHold(row *ledger.Row, b *layout.Brief) error {
	boxes, err := layout.SplitParts(row.Parts)
	if err != nil {
		return err
	}
	if !b.Read(row.Header) { // it isn't written as Steward writes them
		h, err := ledger.Decode(row)
		if err != nil {
			return err
		}
		*b = layout.Brief{}
		for _, p := range h.Parts {
			part := layout.BriefPart{Size: p.Len}
			if copy(part.SHA256[:], p.SHA256) != sha256.Size {
				part.Size = -1
			}
			b.Parts = append(b.Parts, part)
		}
	}
	if len(boxes) != len(b.Parts) {
		return fmt.Errorf("segment: entry %d has %d parts, not %d", row.Seq, len(boxes), len(b.Parts))
	}
	for i, box := range boxes {
		if len(box) == 0 {
			continue
		}
		if sum := sha256.Sum256(box); b.Parts[i].Size != len(box) || !bytes.Equal(sum[:], b.Parts[i].SHA256[:sha256.Size]) {
			return fmt.Errorf("segment: part %d of entry %d isn't what was written", i, row.Seq)
		}
	}
	return nil
}

// signed holds a tree's edge against the first checkpoint that covers it: with the leaves that come behind
// it, it has the root that was signed.
func (a *Archivist) signed(ctx context.Context, ws steward.WorkspaceID, at *tree.Edge) error {
	stored, err := a.Store.Checkpoints(ctx, ws, at.Size, 1)
	if err != nil {
		return err
	}
	if len(stored) == 0 {
		return a.unsealable(ws, fmt.Errorf("segment: no checkpoint covers entry %d", at.Size-1))
	}
	cp, _, _, err := tree.Open(stored[0].Note, stored[0].Size, stored[0].Range, string(ws), ledger.Ring(ctx, a.Sealer, ws))
	if err != nil {
		return a.unsealable(ws, err)
	}
	for at.Size < cp.Size {
		tiles, err := a.Store.Tiles(ctx, ws, 0, at.Size/tree.Width, tree.Width)
		if err != nil {
			return err
		}
		before := at.Size
		for _, tile := range tiles {
			for tile.N == at.Size/tree.Width && at.Size < cp.Size && int(at.Size%tree.Width+1)*tree.HashSize <= len(tile.Hashes) {
				at.Append(tile.Hashes[at.Size%tree.Width*tree.HashSize:][:tree.HashSize])
			}
		}
		if at.Size == before {
			return a.unsealable(ws, fmt.Errorf("segment: the leaf of entry %d is missing", at.Size))
		}
		at.Changed() // isn't wanted
	}
	root, err := at.Root()
	if err != nil {
		return err
	}
	if !bytes.Equal(root, cp.Root) {
		return a.unsealable(ws, fmt.Errorf("segment: the entries up to %d aren't what the checkpoint over %d signs", at.Size, cp.Size))
	}
	return nil
}
