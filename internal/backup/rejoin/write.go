package rejoin

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/backup"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
)

// atOnce is how many scopes an entry names.
const atOnce = ledger.MaxTargets

// Begin has the ledgers of workspaces say that a backup of this id begins, so that it is in the backup too. Others
// may be writing to them.
func Begin(ctx context.Context, c ledger.Config, id string, workspaces []steward.WorkspaceID) error {
	return written(ctx, c, func(book *ledger.Ledger) error {
		for _, ws := range workspaces {
			e := operator("backup", ledger.OK)
			e.Kind, e.Purpose, e.Targets = ledger.BackupBegun, "backup", []string{id}
			if _, err := book.Append(ctx, ws, e); err != nil {
				return err
			}
			if _, err := book.Checkpoint(ctx, ws); err != nil && steward.KindOf(err) != steward.Gone { // of a closed one
				return err
			}
		}
		return nil
	})
}

// written opens ledgers to write to.
func written(ctx context.Context, c ledger.Config, f func(*ledger.Ledger) error) error {
	book, err := ledger.Open(ctx, c)
	if err != nil {
		return err
	}
	return errors.Join(f(book), book.Close(context.WithoutCancel(ctx)))
}

// write goes on from what there is: each ledger says what happened to it, and what was forgotten after the backup
// goes again.
func (j *Join) write(ctx context.Context, book *ledger.Ledger, record *segment.Store, names map[steward.WorkspaceID]string, events map[steward.WorkspaceID][]ledger.Event, joined *backup.Joined) error {
	dropper := j.Dropper
	dropper.Store = record
	for _, l := range j.Backup.Ledgers {
		ws := l.Workspace
		gone := forgotten{ctx: ctx, sealer: j.Sealer, ws: ws, known: map[steward.Scope]bool{}}
		removed, err := j.rows(ctx, &gone)
		if err != nil {
			return err
		}
		parts, err := j.parts(ctx, &gone)
		if err != nil {
			return err
		}
		if names[ws] == "" {
			if _, err := dropper.DropScopes(ctx, ws, parts); err != nil {
				return err
			}
			continue
		}
		restored := operator("restore", ledger.OK)
		restored.Kind, restored.Targets = ledger.BackupRestored, []string{"sha256:" + j.Backup.Sum()}
		if j.Backup.ID != "" { // an older Steward gave it none
			restored.Targets = append(restored.Targets, j.Backup.ID)
		}
		all := append(events[ws], ledger.Event{Entry: restored})
		for some := range slices.Chunk(parts, atOnce) {
			all = append(all, purge(ledger.PurgeBegun, ledger.Waiting, some, 0))
		}
		if _, err := book.AppendAll(ctx, ws, all...); err != nil {
			return err
		}
		for some := range slices.Chunk(parts, atOnce) {
			n, err := dropper.DropScopes(ctx, ws, some)
			if err != nil {
				return err
			}
			if _, err := book.AppendAll(ctx, ws, purge(ledger.PurgeDone, ledger.OK, some, n)); err != nil {
				return err
			}
			removed += n
		}
		if _, err := book.Checkpoint(ctx, ws); err != nil {
			return err
		}
		joined.Removed += removed
	}
	return nil
}

func purge(kind ledger.Kind, outcome string, scopes []steward.Scope, removed int) ledger.Event {
	e := operator("restore", outcome)
	e.Kind, e.Effect, e.Records = kind, steward.Delete, removed
	for _, scope := range scopes {
		e.Targets = append(e.Targets, string(scope))
	}
	return ledger.Event{Entry: e}
}

// forgotten tells which scopes of a workspace have no key any more.
type forgotten struct {
	ctx    context.Context
	sealer steward.Sealer
	ws     steward.WorkspaceID
	known  map[steward.Scope]bool
}

// any tells whether one of some scopes was destroyed. Only of such a one Open says that it is gone; that a key was never
// made, as an older copy of the keyring has it, proves nothing.
func (f *forgotten) any(scopes []steward.Scope) (gone bool, err error) {
	for _, scope := range scopes {
		is, known := f.known[scope]
		if !known {
			_, err := f.sealer.Open(f.ctx, steward.Place{Workspace: f.ws}, steward.Sealed{Scopes: []steward.Scope{scope}}) // of nothing
			if kind := steward.KindOf(err); kind != steward.Gone && kind != steward.Internal {
				return false, err
			}
			is = steward.KindOf(err) == steward.Gone
			f.known[scope] = is
		}
		gone = gone || is
	}
	return gone, f.ctx.Err()
}

// rows removes what nothing opens any more from the rows.
func (j *Join) rows(ctx context.Context, gone *forgotten) (removed int, err error) {
	var places []steward.Place
	if err := j.Rows.WalkSealed(ctx, gone.ws, func(at steward.Place, sealed steward.Sealed) error {
		is, err := gone.any(sealed.Scopes)
		if is {
			places = append(places, at)
		}
		return err
	}); err != nil {
		return 0, err
	}
	people, err := j.Rows.People(ctx, gone.ws)
	if err != nil {
		return 0, err
	}
	for _, p := range people {
		is, err := gone.any([]steward.Scope{steward.PersonScope(p)})
		if err != nil {
			return 0, err
		}
		if is {
			places = append(places, steward.Place{Workspace: gone.ws, Table: "persons", Row: string(p)})
		}
	}
	for _, at := range places {
		if err := j.Rows.Remove(ctx, at, j.Now()); err != nil {
			return 0, err
		}
	}
	return len(places), nil
}

// parts lists the periods that are over among those that parts of entries are sealed under.
func (j *Join) parts(ctx context.Context, gone *forgotten) ([]steward.Scope, error) {
	periods := map[steward.Scope]bool{}
	segments, err := j.sealed(ctx, gone.ws)
	if err != nil {
		return nil, err
	}
	for _, s := range segments {
		for _, o := range s.Objects {
			for _, scope := range steward.ParseScopes(o.Scopes) {
				periods[scope] = true
			}
		}
	}
	for from := uint64(0); ; {
		rows, err := j.Tail.Rows(ctx, gone.ws, from, math.MaxInt32, false)
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			break
		}
		from = rows[len(rows)-1].Seq + 1
		for i := range rows {
			h, err := ledger.Decode(&rows[i])
			if err != nil {
				continue // which verifying finds
			}
			for _, p := range h.Parts {
				for _, scope := range p.Scopes {
					if _, _, ok := scope.Period(); ok {
						periods[scope] = true
					}
				}
			}
		}
	}
	var list []steward.Scope
	for _, scope := range slices.Sorted(maps.Keys(periods)) {
		is, err := gone.any([]steward.Scope{scope})
		if err != nil {
			return nil, err
		}
		if is {
			list = append(list, scope)
		}
	}
	return list, nil
}
