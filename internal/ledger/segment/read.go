package segment

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/layout"
	"github.com/stewardhq/steward/internal/ledger/segment/columns"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// Store is a ledger whose old part lies in objects and whose tail lies in a database. It writes to the tail.
// It is safe for concurrent use, and not to be copied.
type Store struct {
	ledger.Store // the tail
	Manifest     Manifest
	Blobs        Blobs

	cache cache
}

var _ ledger.Searcher = (*Store)(nil)

// Close closes what is kept open of the objects. The tail and the blobs stay open.
func (s *Store) Close() { s.cache.close() }

// attempts is how often the manifest is looked at: between a look and a read the segment may have been
// merged, or the tail's rows sealed.
const attempts = 5

// at gives the first segment that holds entries from a number on; nil for none.
func (s *Store) at(ctx context.Context, ws steward.WorkspaceID, from uint64) (*Segment, error) {
	list, err := s.Manifest.Segments(ctx, ws, Span{From: min(from, math.MaxInt64), End: math.MaxInt64, Until: math.MaxInt64, Limit: 1})
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

// sealed is how many entries of a workspace lie in objects.
func (s *Store) sealed(ctx context.Context, ws steward.WorkspaceID) (uint64, error) {
	list, err := s.Manifest.Segments(ctx, ws, Span{End: math.MaxInt64, Until: math.MaxInt64, Backward: true, Limit: 1})
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return list[0].End(), nil
}

// read calls fn with the segment that holds the entry numbered from, or the first behind it, and again with
// another where that one's objects were replaced meanwhile. Where there is none it calls tail, and looks
// again afterwards, since the tail's rows may have been sealed and trimmed just then: it is nil again only
// if not.
func (s *Store) read(ctx context.Context, ws steward.WorkspaceID, from uint64, fn func(*Segment) error, tail func() error) error {
	was := ""
	for attempt := 1; ; attempt++ {
		segment, err := s.at(ctx, ws, from)
		if err != nil {
			return err
		}
		if segment == nil {
			if err := tail(); err != nil {
				return err
			}
			if segment, err = s.at(ctx, ws, from); err != nil || segment == nil {
				return err
			}
		}
		err = fn(segment)
		if steward.KindOf(err) != steward.NotFound || err == nil {
			return err
		}
		name := ""
		if len(segment.Objects) > 0 {
			name = segment.Objects[0].Name
		}
		if name == was || attempt == attempts {
			return damaged(ws, segment.First, segment.End(), err)
		}
		was = name
	}
}

// Rows is ledger.Reader's. A part whose object was dropped is an empty one.
func (s *Store) Rows(ctx context.Context, ws steward.WorkspaceID, from uint64, limit int, parts bool) (rows []ledger.Row, err error) {
	if limit <= 0 {
		return nil, nil
	}
	err = s.read(ctx, ws, from, func(segment *Segment) error {
		at := max(from, segment.First)
		to := min(at+uint64(limit), segment.End())
		rows, err = s.rows(ctx, ws, segment, at, to, parts)
		return err
	}, func() error {
		rows, err = s.Store.Rows(ctx, ws, from, limit, parts)
		return err
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// How much is read at once, more or less, and allocated at a time.
const (
	rowsBytes = 4 << 20
	rowsPiece = 64 << 10
)

// mostParts is more than a header of 64 KB can name: each one's digest alone takes 44 characters.
const mostParts = 1024

// page collects rows. Their bytes lie in few pieces.
type page struct {
	rows  []ledger.Row
	piece []byte
	size  int
}

func (p *page) keep(b []byte) []byte {
	if cap(p.piece)-len(p.piece) < len(b) {
		p.piece = make([]byte, 0, max(len(b), rowsPiece))
	}
	at := len(p.piece)
	p.piece = append(p.piece, b...)
	p.size += len(b)
	return p.piece[at:len(p.piece):len(p.piece)]
}

// rows reads a segment's entries numbered from to to-1, or the first of them where they are large.
func (s *Store) rows(ctx context.Context, ws steward.WorkspaceID, segment *Segment, from, to uint64, parts bool) ([]ledger.Row, error) {
	p := &page{rows: make([]ledger.Row, 0, min(to-from, 1024))}
	var counts []int64 // how many parts each has
	var brief layout.Brief
	err := s.use(ctx, ws, segment, Headers, func(o *opened) error {
		for _, g := range o.groups(segment, from, to) {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := g.Headers(g.low, g.high, func(row int64, header []byte) bool {
				p.rows = append(p.rows, ledger.Row{Seq: g.first + uint64(row), Header: p.keep(header)})
				if parts && brief.Read(header) { // as a guess: whoever lies here only waits longer
					for i := range brief.Parts {
						p.size += max(0, min(brief.Parts[i].Size, rowsBytes))
					}
				}
				return p.size < rowsBytes
			}); err != nil {
				return err
			}
			if parts {
				some, err := g.Parts(g.low, g.low+int64(len(p.rows)-len(counts)))
				if err != nil {
					return err
				}
				counts = append(counts, some...)
			}
			if p.size >= rowsBytes {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return nil, ended(ws, from, to, err)
	}
	if len(p.rows) == 0 {
		return nil, damaged(ws, from, to, errObject)
	}
	if !parts {
		return p.rows, nil
	}
	if err := s.parts(ctx, ws, segment, p.rows, counts); err != nil {
		return nil, ended(ws, from, to, err)
	}
	return p.rows, nil
}

// ended lets pass that an object isn't there, for the manifest to be looked at again.
func ended(ws steward.WorkspaceID, from, to uint64, err error) error {
	if steward.KindOf(err) == steward.NotFound {
		return err
	}
	return damaged(ws, from, to, err)
}

// use calls fn with the segment's one object of a kind.
func (s *Store) use(ctx context.Context, ws steward.WorkspaceID, segment *Segment, kind Kind, fn func(*opened) error) error {
	for i := range segment.Objects {
		if segment.Objects[i].Kind == kind {
			return s.open(ctx, ws, segment, &segment.Objects[i], fn)
		}
	}
	return fmt.Errorf("segment: the manifest names no %s: %w", kind, errObject)
}

// open calls fn with an object. Its context isn't ctx, since the object stays open for others.
func (s *Store) open(ctx context.Context, ws steward.WorkspaceID, segment *Segment, object *Object, fn func(*opened) error) error {
	o, err := s.cache.open(context.WithoutCancel(ctx), s.Blobs, ws, segment, object)
	if err != nil {
		return err
	}
	defer s.cache.release(o)
	return fn(o)
}

// rowGroup is a group of which the rows low to high-1 are wanted.
type rowGroup struct {
	columns.Group
	first     uint64 // the number of the entry in row 0
	low, high int64
}

// groups are those that hold entries from to to-1.
func (o *opened) groups(segment *Segment, from, to uint64) (list []rowGroup) {
	for _, g := range o.file.Groups() {
		first := segment.First + uint64(g.First)
		if end := first + uint64(g.Rows); first < to && end > from {
			list = append(list, rowGroup{g, first, int64(max(from, first) - first), int64(min(to, end) - first)})
		}
	}
	return list
}

// parts fills in the parts of entries that follow each other; counts says how many each has.
func (s *Store) parts(ctx context.Context, ws steward.WorkspaceID, segment *Segment, rows []ledger.Row, counts []int64) error {
	from, to := rows[0].Seq, rows[len(rows)-1].Seq+1
	boxes := make([][][]byte, len(rows))
	var p page
	for i, n := range counts {
		if n < 0 || n > mostParts {
			return errObject
		}
		boxes[i] = make([][]byte, n)
	}
	for i := range segment.Objects {
		object := &segment.Objects[i]
		if object.Kind != Parts || object.High < from || object.Low >= to {
			continue
		}
		if err := s.open(ctx, ws, segment, object, func(o *opened) error {
			return o.file.Boxes(from, to, func(seq uint64, part int64, box []byte) error {
				of := boxes[seq-from]
				if part < 0 || part >= int64(len(of)) || of[part] != nil {
					return fmt.Errorf("segment: entry %d has no part %d, or has it twice", seq, part)
				}
				of[part] = p.keep(box)
				return nil
			})
		}); err != nil {
			return err
		}
	}
	for i := range rows {
		rows[i].Parts = layout.JoinParts(boxes[i])
	}
	return nil
}

// Tiles is ledger.Reader's.
func (s *Store) Tiles(ctx context.Context, ws steward.WorkspaceID, level int, from uint64, limit int) ([]ledger.Tile, error) {
	var list []ledger.Tile
	if level < 0 || level > maxLevel {
		return nil, nil
	}
	for len(list) < limit {
		n := from
		if len(list) > 0 {
			n = list[len(list)-1].N + 1
		}
		last := uint64(math.MaxInt64) // the tile's last leaf, in the segment that has the tile
		if shift := tree.Bits * (level + 1); shift < 63 && n < math.MaxInt64>>shift {
			last = (n+1)<<shift - 1
		}
		before := len(list)
		err := s.read(ctx, ws, last, func(segment *Segment) error {
			if segment.First > last {
				return nil // it was pruned
			}
			some, err := s.tiles(ctx, ws, segment, level, n, limit-before)
			list = append(list[:before], some...)
			return err
		}, func() error {
			some, err := s.Store.Tiles(ctx, ws, level, n, limit-before)
			list = append(list[:before], some...)
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(list) == before || len(list) > 0 && len(list[len(list)-1].Hashes) < tileSize {
			break
		}
	}
	return list, nil
}

// tiles reads what a segment has of a level's tiles from a number on.
func (s *Store) tiles(ctx context.Context, ws steward.WorkspaceID, segment *Segment, level int, n uint64, limit int) (list []ledger.Tile, err error) {
	err = s.use(ctx, ws, segment, Tiles, func(o *opened) error {
		at := int64(0)
		for below := range level {
			from, to := tileRange(below, segment.First, segment.End())
			at += int64(to-from) * tileSize
		}
		from, to := tileRange(level, segment.First, segment.End())
		n = max(n, from)
		to = min(to, n+uint64(limit))
		if n >= to {
			return errObject
		}
		hashes := make([]byte, (to-n)*tileSize)
		if read, err := o.object.ReadAt(hashes, at+int64(n-from)*tileSize); read < len(hashes) {
			return fmt.Errorf("segment: object %s: %w", o.name, err)
		}
		for ; n < to; n++ {
			list = append(list, ledger.Tile{Level: level, N: n, Hashes: hashes[:tileSize:tileSize]})
			hashes = hashes[tileSize:]
		}
		return nil
	})
	if err != nil {
		return nil, ended(ws, segment.First, segment.End(), err)
	}
	return list, nil
}

// objectsAtOnce is how many lines of the manifest are read at a time.
const objectsAtOnce = 256

// Check is ledger.Verifiable's: besides the database it reads every object of every workspace and holds its
// bytes against the manifest.
func (s *Store) Check(ctx context.Context) error {
	if err := s.Store.Check(ctx); err != nil {
		return err
	}
	var damage []string
	var causes []error
	for after := ""; ; {
		list, err := s.Manifest.Objects(ctx, after, objectsAtOnce)
		if err != nil {
			return err
		}
		for i := range list {
			err := s.whole(ctx, &list[i])
			if err == nil {
				continue
			}
			if steward.KindOf(err) != steward.Internal || ctx.Err() != nil {
				return err
			}
			damage = append(damage, fmt.Sprintf("%s (of entries %d to %d of workspace %s)", list[i].Name, list[i].First, list[i].End-1, list[i].Workspace))
			if causes = append(causes, err); len(causes) == manyDamaged {
				return lost(damage, causes)
			}
		}
		if len(list) == 0 {
			return lost(damage, causes)
		}
		after = list[len(list)-1].Name
	}
}

// lost is nil where nothing is.
func lost(damage []string, causes []error) error {
	if len(damage) == 0 {
		return nil
	}
	return steward.Errorf(steward.Internal, "sealed objects aren't what was sealed; restore them from a copy: %s", strings.Join(damage, ", ")).Because(errors.Join(causes...))
}

// manyDamaged is after how many objects Check ends: the store of objects is another one by then.
const manyDamaged = 100

// whole tells whether an object's bytes are those that the manifest names. One that the manifest has given up
// meanwhile needn't be.
func (s *Store) whole(ctx context.Context, o *Placed) error {
	sum, size := sha256.New(), int64(0)
	object, err := s.Blobs.Open(ctx, o.Name)
	if err == nil {
		size, err = io.Copy(sum, io.NewSectionReader(object, 0, object.Size()))
		_ = object.Close()
	}
	if err == nil && (size != o.Size || !bytes.Equal(sum.Sum(nil), o.SHA256)) {
		err = errObject
	}
	switch {
	case err == nil, ctx.Err() != nil:
		return err
	case steward.KindOf(err) == steward.NotFound:
		// Its name without the last letter comes before it, and before nothing else.
		if now, err := s.Manifest.Objects(ctx, o.Name[:len(o.Name)-1], 1); err != nil || len(now) == 0 || now[0].Name != o.Name {
			return err
		}
	case steward.KindOf(err) != steward.Internal:
		return err
	}
	return steward.Errorf(steward.Internal, "the object %s isn't what was sealed", o.Name).Because(err)
}
