package rejoin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/backup"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// Join is the copy of the data that a backup holds, before anybody uses it, and what it is joined with: the keys of
// today, checkpoints that somebody remembers, and the objects that were sealed since. It changes the copy only, so
// that a crash leaves nothing but a copy to throw away.
type Join struct {
	Backup   *backup.Backup
	Tail     ledger.Store // of the copy, as is what follows
	Segments segment.Manifest
	Dropper  segment.Dropper // over the same; its store is set here
	Rows     Rows
	Staged   segment.Blobs // where the backup's objects are by now, and later ones may be
	Aside    segment.Blobs // where later ones may be instead, to be copied; nil where there is one place
	Sealer   steward.Sealer
	Known    []string // signed notes, of any workspaces
	Origin   string   // of logs that have no checkpoint yet
	Declare  bool     // what can't be had back may be lost
	Now      func() time.Time
	Rand     io.Reader
}

// Rows is what changes in the copy besides.
type Rows interface {
	// WalkSealed gives every sealed value of a workspace that lies in a row, with its place.
	WalkSealed(ctx context.Context, ws steward.WorkspaceID, f func(steward.Place, steward.Sealed) error) error
	// People lists the persons that a workspace knows records of.
	People(ctx context.Context, ws steward.WorkspaceID) ([]steward.PersonID, error)
	// Remove removes a row, by the place that WalkSealed gives; in the table persons, all that a person is known by.
	Remove(ctx context.Context, at steward.Place, now time.Time) error
	// Adopt takes in segments that follow each other, in the place of those from the first one's number on and of the
	// whole tail. Last is the last entry's time, in microseconds.
	Adopt(ctx context.Context, ws steward.WorkspaceID, list []segment.Segment, last int64) error
	// Opened takes in which rows open and close intents.
	Opened(ctx context.Context, ws steward.WorkspaceID, rows []ledger.Row) error
}

// Run does it. Where entries that were signed can't be had back, or no checkpoint vouches for those that sealed
// objects hold, it is of kind Conflict and names them, unless that is declared: then a new log begins.
func (j *Join) Run(ctx context.Context) (joined backup.Joined, err error) {
	known, err := j.known(ctx)
	if err != nil {
		return joined, err
	}
	record := &segment.Store{Store: j.Tail, Manifest: j.Segments, Blobs: j.Staged}
	defer record.Close()
	joined = backup.Joined{Replayed: []backup.Range{}, Lost: []backup.Range{}}
	var why []string
	events, names := map[steward.WorkspaceID][]ledger.Event{}, map[steward.WorkspaceID]string{}
	for _, l := range j.Backup.Ledgers {
		if _, err := ledger.Ring(ctx, j.Sealer, l.Workspace)(1); steward.KindOf(err) == steward.Gone && err != nil {
			continue // closed since: nothing is to be gone on with, and nothing signs
		}
		w := &workspace{Join: j, ws: l.Workspace, record: record, known: known[l.Workspace]}
		delete(known, l.Workspace)
		if err := w.replay(ctx); err != nil {
			return joined, err
		}
		if w.end > w.had {
			joined.Replayed = append(joined.Replayed, backup.Range{Workspace: w.ws, First: w.had, End: w.end})
		}
		names[w.ws] = w.name
		if lost := w.lost(); len(lost) > 0 {
			names[w.ws] = lost[0].To
			for _, r := range lost {
				events[w.ws] = append(events[w.ws], r.Event(operator("restore", ledger.OK)))
				if r.End > r.Entry {
					joined.Lost = append(joined.Lost, backup.Range{Workspace: w.ws, First: r.Entry, End: r.End})
					why = append(why, fmt.Sprintf("it lacks entries %d to %d of workspace %s, which were signed", r.Entry, r.End-1, w.ws))
				}
			}
			if w.end > max(w.had, w.vouched) {
				why = append(why, fmt.Sprintf("no checkpoint that is given vouches for entries %d to %d of workspace %s, which sealed objects hold", max(w.had, w.vouched), w.end-1, w.ws))
			}
		}
	}
	for _, ws := range slices.Sorted(maps.Keys(known)) { // younger than the backup, which has no ledger to say so
		end := newest(known[ws]).Size
		joined.Lost = append(joined.Lost, backup.Range{Workspace: ws, End: end})
		why = append(why, fmt.Sprintf("it lacks entries 0 to %d of workspace %s, which were signed", end-1, ws))
	}
	if len(why) > 0 && !j.Declare {
		return joined, steward.Errorf(steward.Conflict, "this backup ends too early and nothing was restored: %s. Restore a newer backup, name the newest checkpoints with --known and the objects with --objects, or go on in a new log that declares this with --declare-loss", strings.Join(why, "; "))
	}
	return joined, written(ctx, ledger.Config{Store: record, Sealer: j.Sealer, Now: j.Now, Rand: j.Rand, Origin: j.Origin, Renamed: names}, func(book *ledger.Ledger) error {
		return j.write(ctx, book, record, names, events, &joined)
	})
}

// operator is an entry about what the operator did.
func operator(tool, outcome string) ledger.Entry {
	return ledger.Entry{Caller: "operator", System: "steward", Tool: tool, Outcome: outcome, Purpose: "restore"}
}

// known reads the checkpoints that are remembered.
func (j *Join) known(ctx context.Context) (map[steward.WorkspaceID][]ledger.Checkpoint, error) {
	known := map[steward.WorkspaceID][]ledger.Checkpoint{}
	for _, note := range j.Known {
		origin, _, _ := strings.Cut(note, "\n")
		ws := steward.WorkspaceID(origin[strings.LastIndexByte(origin, '/')+1:])
		cp, _, err := tree.Parse([]byte(note), string(ws), ledger.Ring(ctx, j.Sealer, ws))
		if steward.KindOf(err) == steward.Gone && err != nil {
			continue // closed since: the file of checkpoints keeps it, and nothing is to be gone on with
		}
		if err != nil {
			return nil, steward.Errorf(steward.Conflict, "a known checkpoint of the ledger of workspace %s isn't signed with its key: the file of checkpoints is another Steward's or was changed, or this isn't its keyring", ws).Because(err)
		}
		if cp.Size > 0 {
			known[ws] = append(known[ws], cp)
		}
	}
	return known, nil
}

func newest(list []ledger.Checkpoint) (cp ledger.Checkpoint) {
	for _, c := range list {
		if c.Size > cp.Size {
			cp = c
		}
	}
	return cp
}

// workspace is one ledger on its way.
type workspace struct {
	*Join
	ws     steward.WorkspaceID
	record *segment.Store
	known  []ledger.Checkpoint

	had, end uint64            // where the ledger ended, and ends
	seen     uint64            // as far as sealed objects speak of
	vouched  uint64            // up to here the entries are those of a checkpoint
	last     ledger.Checkpoint // the backup's own
	name     string            // the log's, at its end
	strange  []ledger.Checkpoint
	restarts []ledger.Restart
}

// replay takes in what sealed objects have, and holds it against what is known.
func (w *workspace) replay(ctx context.Context) error {
	head, err := w.Tail.Head(ctx, w.ws)
	if err != nil {
		return err
	}
	w.had, w.end = head.Next, head.Next
	have, err := w.sealed(ctx, w.ws)
	if err != nil {
		return err
	}
	list, seen, err := w.later(ctx, w.ws, have, head.Next)
	if err != nil {
		return err
	}
	w.seen = seen
	if len(list) > 0 {
		if w.end = list[len(list)-1].End(); w.end <= head.Next {
			return fmt.Errorf("rejoin: entry %d isn't behind %d", w.end, head.Next)
		}
		if err := w.Rows.Adopt(ctx, w.ws, list, list[len(list)-1].Latest); err != nil {
			return err
		}
	}
	var at *tree.Edge
	if w.last, _, at, err = ledger.Standing(ctx, w.record, w.ws, head.Signed, ledger.Ring(ctx, w.Sealer, w.ws)); err != nil {
		if steward.KindOf(err) == steward.Internal && ctx.Err() == nil {
			return w.altered(head.Signed, err)
		}
		return err
	}
	if w.name = w.last.Origin; w.name == "" {
		w.name = ledger.Name(w.Origin, w.ws)
	}
	if err := w.read(ctx, at); err != nil {
		return err
	}
	return w.earlier(ctx, head)
}

// read reads the entries behind the backup's last checkpoint.
func (w *workspace) read(ctx context.Context, at *tree.Edge) error {
	known := slices.SortedFunc(slices.Values(w.known), func(a, b ledger.Checkpoint) int { return int(int64(a.Size) - int64(b.Size)) })
	var scratch []byte
	for at.Size < w.end {
		rows, err := ledger.ReadRange(ctx, w.record, w.ws, at.Size, min(at.Size+ledger.PageRows, w.end), false)
		if err != nil {
			return err
		}
		var changed []ledger.Row
		for i := range rows {
			if rows[i].Seq != at.Size {
				break
			}
			if rows[i].Seq >= w.had {
				h, err := ledger.Decode(&rows[i])
				if err != nil || h.Seq != at.Size {
					return w.altered(at.Size+1, err)
				}
				if h.Kind == ledger.CallIntent || h.Kind == ledger.CallOutcome && h.Intent != nil {
					changed = append(changed, ledger.Row{Seq: h.Seq, Opens: h.Kind == ledger.CallIntent, Closes: h.Intent})
				}
				if r, ok := h.Restarts(); ok {
					w.restarts, w.name = append(w.restarts, r), r.To
				}
			}
			leaf := tree.HashLeaf(rows[i].Header, &scratch)
			at.Append(leaf[:])
			for len(known) > 0 && known[0].Size <= at.Size {
				cp := known[0]
				known = known[1:]
				if cp.Size < at.Size {
					continue // before the backup's last checkpoint: verifying looks at it
				}
				root, err := at.Root()
				if err != nil {
					return err
				}
				if bytes.Equal(root, cp.Root) {
					w.vouched = at.Size
				} else {
					w.strange = append(w.strange, cp)
				}
			}
		}
		at.Changed() // isn't wanted
		if len(rows) == 0 || at.Size <= rows[0].Seq {
			return w.altered(at.Size+1, nil)
		}
		if err := w.Rows.Opened(ctx, w.ws, changed); err != nil {
			return err
		}
	}
	for _, cp := range known {
		if cp.Size > w.end {
			w.strange = append(w.strange, cp)
		}
	}
	return nil
}

// altered says that what there is isn't what was signed.
func (w *workspace) altered(size uint64, err error) error {
	return steward.Errorf(steward.Conflict, "nothing was restored: the first %d entries of workspace %s, as backup and sealed objects have them, aren't those that were signed; restore another backup", size, w.ws).Because(err)
}

// earlier leaves out of what doesn't fit that which was declared lost before.
func (w *workspace) earlier(ctx context.Context, head ledger.Head) error {
	if !slices.ContainsFunc(w.strange, func(cp ledger.Checkpoint) bool { return cp.Origin != w.name }) {
		return w.forked()
	}
	for from := head.First; from < w.had; from += ledger.PageRows {
		rows, err := ledger.ReadRange(ctx, w.record, w.ws, from, min(from+ledger.PageRows, w.had), false)
		if err != nil {
			return err
		}
		for i := range rows {
			if !bytes.Contains(rows[i].Header, []byte(ledger.LogRestarted)) {
				continue
			}
			if h, err := ledger.Decode(&rows[i]); err == nil {
				if r, ok := h.Restarts(); ok {
					w.restarts = append(w.restarts, r)
				}
			}
		}
	}
	return w.forked()
}

// forked refuses entries that another entry of the same log stood in the place of: that is no loss.
func (w *workspace) forked() error {
	w.strange = slices.DeleteFunc(w.strange, func(cp ledger.Checkpoint) bool {
		return slices.ContainsFunc(w.restarts, func(r ledger.Restart) bool { return r.Explains(cp) })
	})
	for _, cp := range w.strange {
		if cp.Origin == w.name && cp.Size <= w.end {
			return w.altered(cp.Size, nil)
		}
	}
	return nil
}

// lost is what has to be declared, the log's own first; nil where nothing has.
func (w *workspace) lost() (list []ledger.Restart) {
	if len(w.strange) == 0 && w.seen <= w.end && w.end <= max(w.had, w.vouched) {
		return nil
	}
	logs := map[string][]ledger.Checkpoint{}
	for _, cp := range w.strange {
		logs[cp.Origin] = append(logs[cp.Origin], cp)
	}
	to := ledger.NextName(w.name, w.ws, steward.NewID(w.Rand, "log"))
	own := w.last
	for _, cp := range w.known {
		if cp.Origin == w.name && cp.Size > own.Size {
			own = cp
		}
	}
	list = append(list, ledger.Restart{From: w.name, To: to, Entry: w.end, End: max(w.end, w.seen, own.Size), Checkpoint: own.Note})
	delete(logs, w.name)
	for _, name := range slices.Sorted(maps.Keys(logs)) { // that began behind this backup
		cp := newest(logs[name])
		first := w.end
		for _, c := range logs[name] {
			first = min(first, c.Size-1)
		}
		list = append(list, ledger.Restart{From: name, To: to, Entry: first, End: cp.Size, Checkpoint: cp.Note})
	}
	return list
}
