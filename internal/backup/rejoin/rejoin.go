// Package rejoin answers: does an old backup still fit the keys and the signatures of today? It reads both and
// opens what opens; how a backup is made and put back, it doesn't know.
package rejoin

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/backup"
	"github.com/stewardhq/steward/internal/blob"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// NotBehind refuses a backup whose ledgers end before a checkpoint that somebody remembers: going on from there
// would be a second story beside the one that was signed.
func NotBehind(ctx context.Context, ledgers []backup.Ledger, known []string, sealer steward.Sealer) error {
	ends, newest := map[steward.WorkspaceID]uint64{}, map[steward.WorkspaceID]uint64{}
	for _, l := range ledgers {
		ends[l.Workspace] = l.Entries
	}
	var order []steward.WorkspaceID
	for _, note := range known {
		origin, _, _ := strings.Cut(note, "\n")
		ws := steward.WorkspaceID(origin[strings.LastIndexByte(origin, '/')+1:])
		cp, _, err := tree.Parse([]byte(note), string(ws), ledger.Ring(ctx, sealer, ws))
		if err != nil {
			return steward.Errorf(steward.Conflict, "a known checkpoint of the ledger of workspace %s isn't signed with its key: the file of checkpoints is another Steward's or was changed, or this isn't its keyring", ws).Because(err)
		}
		if newest[ws] == 0 {
			order = append(order, ws)
		}
		newest[ws] = max(newest[ws], cp.Size)
	}
	var lost []string
	for _, ws := range order {
		if newest[ws] > ends[ws] {
			lost = append(lost, fmt.Sprintf("entries %d to %d of workspace %s", ends[ws], newest[ws]-1, ws))
		}
	}
	return refused(lost, "a checkpoint signed them, so going on without them would be found to be a forgery")
}

// NoneNewer refuses a backup where the store of objects holds later entries than it, or entries that were sealed
// since, though they begin before its end: the restored database wouldn't name those objects, so they would be taken
// for leftovers and be deleted.
func NoneNewer(ctx context.Context, b backup.Manifest, blobs segment.Blobs) error {
	named := map[string]bool{}
	for _, o := range b.Objects.Referenced {
		named[o.Name] = true
	}
	for _, f := range b.Files {
		if name, ok := f.Object(); ok {
			named[name] = true
		}
	}
	var lost []string
	for _, l := range b.Ledgers {
		prefix := "ledger/" + string(l.Workspace) + "/" // and the first entry's number, in 20 digits
		err := blobs.List(ctx, prefix, func(name string, _ time.Time) error {
			number, _, _ := strings.Cut(strings.TrimPrefix(name, prefix), "-")
			if first, err := strconv.ParseUint(number, 10, 64); err == nil && (first >= l.Entries || first >= l.Sealed && !named[name]) {
				lost = append(lost, fmt.Sprintf("entries from %d on of workspace %s", first, l.Workspace))
				return errFound
			}
			return nil
		})
		if err != nil && !errors.Is(err, errFound) {
			return err
		}
	}
	return refused(lost, "sealed objects hold them, which the restored data wouldn't know of")
}

var errFound = errors.New("one was found")

func refused(lost []string, why string) error {
	if len(lost) == 0 {
		return nil
	}
	return steward.Errorf(steward.Conflict, "this backup ends too early and nothing was restored: it lacks %s; %s. Restore a newer backup", strings.Join(lost, ", "), why)
}

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

// Opened counts what was tried to open.
type Opened struct {
	Opened  int    `json:"opened"`    // sealed values that today's keys open
	Gone    int    `json:"forgotten"` // and that they don't, since they were forgotten
	Broken  int    `json:"broken"`    // what isn't what was sealed: verifying names it
	Skipped uint64 `json:"skipped"`   // entries of which no part was tried
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
func (o *Opened) Open(ctx context.Context, s Sealed, ws steward.WorkspaceID, progress func(what string, done, total uint64)) error {
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
	stride := max(1, (head.Next+sampled-1)/sampled) // rounded up, so that it is never more of them
	for seq := uint64(0); seq < head.Next; seq += stride {
		progress("opening entries", seq, head.Next)
		o.Skipped += min(stride, head.Next-seq) - 1
		rows, err := s.Record.Rows(ctx, ws, seq, 1, false)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
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
