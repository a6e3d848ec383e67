// Package rejoin answers: does an old backup still fit the keys and the signatures of today? It reads both and
// opens what opens; how a backup is made and put back, it doesn't know.
package rejoin

import (
	"context"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/backup"
	"github.com/stewardhq/steward/internal/blob"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
)

// Objects are those of a folder, and behind it those that stayed elsewhere.
type Objects struct {
	segment.Blobs // the folder's
	Elsewhere     segment.Blobs
}

// Open implements segment.Blobs.
func (o Objects) Open(ctx context.Context, name string) (blob.Object, error) {
	object, err := o.Blobs.Open(ctx, name)
	if err != nil && steward.KindOf(err) == steward.NotFound {
		return o.Elsewhere.Open(ctx, name)
	}
	return object, err
}

// FolderOr gives a folder of objects, or where none is named another place of them.
func FolderOr(elsewhere segment.Blobs, now func() time.Time) func(dir string) backup.Blobs {
	return func(dir string) backup.Blobs {
		if dir == "" {
			return elsewhere
		}
		return blob.Folder{Dir: dir, Now: now}
	}
}

// sampled is of how many entries of each ledger the parts are opened.
const sampled = 2000

// Sealed is what there is to open.
type Sealed struct {
	// Rows gives every sealed value of a workspace that lies in a row, with its place.
	Rows interface {
		WalkSealed(ctx context.Context, ws steward.WorkspaceID, f func(steward.Place, steward.Sealed) error) error
	}
	Sealer steward.Sealer
	Record ledger.Reader
	Ledger *ledger.Ledger // over the same record: it opens parts
}

// Open opens whatever is sealed in the rows of a workspace, and the parts of entries all over its ledger: of all
// where there are few. It adds to the counts; its error is that something couldn't be read.
func (s Sealed) Open(ctx context.Context, o *backup.Opened, ws steward.WorkspaceID, progress func(what string, done, total uint64)) error {
	tried := func(err error) error {
		switch {
		case err == nil:
			o.Opened++
		case steward.KindOf(err) == steward.Gone:
			o.Gone++
		case steward.KindOf(err) == steward.Internal && ctx.Err() == nil:
			o.Broken++
		default:
			return err
		}
		return nil
	}
	if err := s.Rows.WalkSealed(ctx, ws, func(at steward.Place, sealed steward.Sealed) error {
		_, err := s.Sealer.Open(ctx, at, sealed)
		return tried(err)
	}); err != nil {
		return err
	}
	head, err := s.Record.Head(ctx, ws)
	if err != nil {
		return err
	}
	stride := max(1, (head.Next-head.First+sampled-1)/sampled) // rounded up, so that it is never more of them
	for seq := head.First; seq < head.Next; seq += stride {
		progress("opening entries", seq, head.Next)
		o.Skipped += min(stride, head.Next-seq) - 1
		rows, err := s.Record.Rows(ctx, ws, seq, 1, false)
		if err != nil {
			return err
		}
		if len(rows) == 0 || rows[0].Seq != seq {
			continue // which verifying finds
		}
		h, err := ledger.Decode(&rows[0])
		if err != nil {
			o.Broken++
			continue
		}
		for i := range h.Parts {
			_, err := s.Ledger.Part(ctx, ws, seq, i)
			if err := tried(err); err != nil {
				return err
			}
		}
	}
	return nil
}
