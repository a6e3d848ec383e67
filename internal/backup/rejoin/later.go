package rejoin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/blob"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/ledger/segment/columns"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// later finds the sealed objects of a workspace that go further than the backup: segments that follow each other from
// where the sealed part of the backup ends, or from where one of its own segments begins, since months are merged.
// have is the backup's own, and next where its ledger ends. There is none where all of it lies in the backup too, and
// what was sealed since is a leftover then. seen is how far any object speaks of.
func (j *Join) later(ctx context.Context, ws steward.WorkspaceID, have []segment.Segment, next uint64) (list []segment.Segment, seen uint64, err error) {
	named := map[string]bool{}
	begins := map[uint64]bool{}
	end := uint64(0)
	for _, s := range have {
		begins[s.First], end = true, s.End()
		for _, o := range s.Objects {
			named[path.Dir(o.Name)] = true
		}
	}
	folders := map[string][]string{}
	home := "ledger/" + string(ws) + "/" // and the first entry's number, in 20 digits, and an id
	if err := j.place().List(ctx, home, func(name string, _ time.Time) error {
		if in := path.Dir(name); !named[in] {
			folders[in] = append(folders[in], name)
		}
		return nil
	}); err != nil {
		return nil, 0, err
	}
	var found []segment.Segment
	for _, in := range slices.Sorted(maps.Keys(folders)) {
		number, _, _ := strings.Cut(strings.TrimPrefix(in, home), "-")
		first, err := strconv.ParseUint(number, 10, 63)
		if err != nil {
			continue
		}
		s, err := j.segment(ctx, ws, first, folders[in])
		if err != nil {
			return nil, 0, err
		}
		if s == nil { // a crash left it, beside rows that were signed
			seen = max(seen, first+tree.Width)
			continue
		}
		seen = max(seen, s.End())
		found = append(found, *s)
	}
	for {
		best := -1
		for i := range found {
			if s := &found[i]; (begins[s.First] || s.First == end) && s.First <= end && s.End() > end && (best < 0 || s.End() > found[best].End()) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		list = append(slices.DeleteFunc(list, func(s segment.Segment) bool { return s.First >= found[best].First }), found[best])
		begins[end], begins[found[best].First], end = true, true, found[best].End()
	}
	if end <= next {
		return nil, seen, nil
	}
	for i := range list {
		for k := range list[i].Objects {
			if err := j.object(ctx, &list[i], &list[i].Objects[k]); err != nil {
				return nil, 0, err
			}
		}
	}
	return list, seen, nil
}

// The names that a segment's objects have in their folder, besides those of parts.
const (
	headersName = "headers.parquet"
	tilesName   = "tiles" // written last
)

// segment reads from the headers in a folder what segment they make; nil where it isn't whole.
func (j *Join) segment(ctx context.Context, ws steward.WorkspaceID, first uint64, names []string) (*segment.Segment, error) {
	in := path.Dir(names[0])
	if !slices.Contains(names, path.Join(in, headersName)) || !slices.Contains(names, path.Join(in, tilesName)) {
		return nil, nil
	}
	s := &segment.Segment{First: first}
	err := j.opened(ctx, path.Join(in, headersName), func(o blob.Object) error {
		file, label, err := columns.Labelled(o, o.Size())
		if err != nil {
			return err
		}
		if label.Workspace != ws || label.First != first || label.Entries == 0 || label.Entries%tree.Width != 0 || file.Rows() != int64(label.Entries) {
			return errors.New("the headers are of other entries")
		}
		s.Entries = label.Entries
		groups := file.Groups()
		last := groups[len(groups)-1]
		return errors.Join(timeOf(groups[0], 0, &s.Earliest), timeOf(last, last.Rows-1, &s.Latest))
	})
	if err != nil {
		if steward.KindOf(err) != steward.Internal || ctx.Err() != nil {
			return nil, err
		}
		return nil, steward.Errorf(steward.Conflict, "nothing was restored: the sealed object %s can't be read, and it may hold entries that the backup lacks; put it back from a copy, or move it away", path.Join(in, headersName)).Because(err)
	}
	s.Month = time.UnixMicro(s.Latest).UTC().Format("2006-01")
	for _, name := range names {
		o := segment.Object{Name: name, Kind: segment.Parts, Low: s.First, High: s.End() - 1}
		switch path.Base(name) {
		case headersName:
			o.Kind, o.Low, o.High = segment.Headers, 0, 0
		case tilesName:
			o.Kind, o.Low, o.High = segment.Tiles, 0, 0
		}
		s.Objects = append(s.Objects, o)
	}
	return s, nil
}

// timeOf reads the time of a header.
func timeOf(g columns.Group, row int64, micros *int64) (err error) {
	failed := g.Headers(row, row+1, func(_ int64, header []byte) bool {
		var h ledger.Header
		h, err = ledger.Decode(&ledger.Row{Header: header})
		*micros = h.Time.UnixMicro()
		return true
	})
	return errors.Join(failed, err)
}

// place is where later objects may be.
func (j *Join) place() segment.Blobs {
	if j.Aside != nil {
		return j.Aside
	}
	return j.Staged
}

func (j *Join) opened(ctx context.Context, name string, f func(blob.Object) error) error {
	o, err := j.place().Open(ctx, name)
	if err != nil {
		return err
	}
	defer func() { _ = o.Close() }()
	return f(o)
}

// object reads what the manifest says of an object, and copies it to the backup's where those lie elsewhere.
func (j *Join) object(ctx context.Context, s *segment.Segment, o *segment.Object) error {
	return j.opened(ctx, o.Name, func(from blob.Object) error {
		sum := sha256.New()
		n, err := io.Copy(sum, io.NewSectionReader(from, 0, from.Size()))
		if err != nil {
			return fmt.Errorf("rejoin: %s: %w", o.Name, err)
		}
		o.Size, o.SHA256 = n, sum.Sum(nil)
		if o.Kind == segment.Parts {
			_, label, err := columns.Labelled(from, n)
			if err == nil && (label.First != s.First || label.Entries != s.Entries) {
				err = errors.New("the parts are of other entries")
			}
			if err != nil {
				return steward.Errorf(steward.Conflict, "nothing was restored: the sealed object %s can't be read, and it holds what the backup lacks; put it back from a copy", o.Name).Because(err)
			}
			o.Scopes = label.Scopes
		}
		if j.Aside == nil {
			return nil
		}
		return j.Staged.Put(ctx, o.Name, io.NewSectionReader(from, 0, n), n, time.Time{})
	})
}

// sealed lists all segments of a workspace.
func (j *Join) sealed(ctx context.Context, ws steward.WorkspaceID) (all []segment.Segment, err error) {
	span := segment.Span{End: math.MaxInt64, Since: math.MinInt64, Until: math.MaxInt64, Limit: 64}
	for {
		list, err := j.Segments.Segments(ctx, ws, span)
		if err != nil || len(list) == 0 {
			return all, err
		}
		all, span.From = append(all, list...), list[len(list)-1].End()
	}
}
