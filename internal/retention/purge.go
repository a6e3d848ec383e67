package retention

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/retention/custody"
)

// Dropper removes what nothing opens any more.
type Dropper interface {
	// DropScopes removes what is sealed under any of some destroyed scopes, and tells how much. It may be
	// run again. What can't go yet, since it is locked, may stay: it is no error.
	DropScopes(ctx context.Context, ws steward.WorkspaceID, scopes []steward.Scope) (removed int, err error)
}

// Purges remembers what has begun to go, so that a crash between the keys and the bytes is made good.
type Purges interface {
	// Begin remembers scopes before their keys are destroyed.
	Begin(ctx context.Context, ws steward.WorkspaceID, scopes []steward.Scope) error
	// Begun lists them, in the order of their names.
	Begun(ctx context.Context, ws steward.WorkspaceID) ([]steward.Scope, error)
	// End forgets them, once all is done.
	End(ctx context.Context, ws steward.WorkspaceID, scopes []steward.Scope) error
}

// Pruner removes the beginning of a record, headers and hashes too.
type Pruner interface {
	// Prune removes whole objects of entries older than before whose keys are destroyed, and records that. It may be
	// run again. Under any hold it does nothing.
	Prune(ctx context.Context, ws steward.WorkspaceID, before time.Time) (ledger.Pruned, error)
}

// Purger lets go what is due.
type Purger struct {
	Schedule
	Purges   Purges
	Custody  *custody.Custody
	Ledger   *ledger.Ledger
	Shredder interface {
		Shred(ctx context.Context, ws steward.WorkspaceID, scopes ...steward.Scope) error
	}
	Droppers   []Dropper
	Pruner     Pruner
	Workspaces func(ctx context.Context) ([]steward.WorkspaceID, error)
	Log        *slog.Logger
}

const (
	purgeEvery = 10 * time.Minute
	atOnce     = 32 // scopes in an entry, which names them all
)

// Run purges every workspace now and then until ctx ends.
func (p *Purger) Run(ctx context.Context) {
	every(ctx, purgeEvery, p.Log, "purging", p.PurgeAll)
}

// PurgeAll purges every workspace. What can't be done in one keeps none of the others.
func (p *Purger) PurgeAll(ctx context.Context) (failed error) {
	all, err := p.Workspaces(ctx)
	if err != nil {
		return err
	}
	for _, ws := range all {
		purged, err := p.Purge(ctx, ws)
		if err != nil {
			p.Log.Error("a workspace wasn't purged", slog.String("workspace", string(ws)), slog.Any("error", err))
			failed = err
		} else if len(purged) > 0 {
			p.Log.Info("purged", slog.String("workspace", string(ws)), slog.Int("periods", len(purged)))
		}
	}
	return failed
}

// Purge destroys the keys of what is due in a workspace, then removes its bytes, and records both: what goes
// is named before it goes. After a crash it goes on where it was. It does nothing while the clock can't be
// trusted, since what is purged early can't be had back, and nothing under a hold on the workspace. What a hold on
// less keeps is copied aside first, so that the rest can go. One that is placed meanwhile holds what isn't named yet.
func (p *Purger) Purge(ctx context.Context, ws steward.WorkspaceID) (purged []steward.Scope, err error) {
	if err := p.clock(ctx, ws); err != nil {
		return nil, err
	}
	going, err := p.Purges.Begun(ctx, ws) // by a process that is gone
	if err != nil {
		return nil, err
	}
	due, kept, old, err := p.due(ctx, ws)
	if err != nil {
		return nil, err
	}
	// What a process named and didn't come to destroy may be kept for longer by now.
	spared := slices.DeleteFunc(slices.Clone(going), func(scope steward.Scope) bool { return !slices.Contains(kept, scope) })
	if len(spared) > 0 {
		if err := p.Purges.End(ctx, ws, spared); err != nil {
			return nil, err
		}
		going = slices.DeleteFunc(going, func(scope steward.Scope) bool { return slices.Contains(spared, scope) })
	}
	going = append(going, slices.DeleteFunc(slices.Clone(due), func(scope steward.Scope) bool { return slices.Contains(going, scope) })...)
	for some := range slices.Chunk(going, atOnce) {
		copied, held, err := p.Custody.Aside(ctx, ws, some, nil)
		if err != nil || held {
			return purged, err
		}
		if err := p.Purges.Begin(ctx, ws, some); err != nil {
			return purged, err
		}
		alive := slices.DeleteFunc(slices.Clone(some), func(scope steward.Scope) bool { return !slices.Contains(due, scope) })
		if done, err := p.finish(ctx, ws, some, alive, copied); err != nil || !done {
			return purged, err
		}
		purged = append(purged, some...)
	}
	_, err = p.Pruner.Prune(ctx, ws, old)
	return purged, err
}

// finish records that scopes go, has the keys destroyed of those that have them, and the bytes of all removed, and
// records that. What is under the holds named is copied. Another that was placed before scopes were recorded is heeded:
// if it is on the workspace, nothing is done.
func (p *Purger) finish(ctx context.Context, ws steward.WorkspaceID, scopes, alive []steward.Scope, copied []string) (done bool, err error) {
	e := ledger.Entry{Kind: ledger.PurgeBegun, Caller: "steward", System: "steward", Tool: "retention", Effect: steward.Delete, Outcome: ledger.Waiting, Purpose: "schedule"}
	if len(alive) > 0 {
		e.Targets = names(alive)
		if _, err := p.Ledger.Append(ctx, ws, e); err != nil {
			return false, err
		}
		if _, held, err := p.Custody.Aside(ctx, ws, alive, copied); err != nil || held {
			return false, err
		}
		if err := p.Shredder.Shred(ctx, ws, alive...); err != nil {
			return false, err
		}
	}
	for _, d := range p.Droppers {
		removed, err := d.DropScopes(ctx, ws, scopes)
		if err != nil {
			return false, err
		}
		e.Records += removed
	}
	e.Kind, e.Outcome, e.Targets = ledger.PurgeDone, ledger.OK, names(scopes)
	if _, err := p.Ledger.Append(ctx, ws, e); err != nil {
		return false, err
	}
	return true, p.Purges.End(ctx, ws, scopes)
}

func names(scopes []steward.Scope) (names []string) {
	for _, scope := range scopes {
		names = append(names, string(scope))
	}
	return names
}

// clock refuses a clock that is behind the record, or that doesn't fit what was seen of it last; where nothing was,
// the record's last entry takes that place.
func (p *Purger) clock(ctx context.Context, ws steward.WorkspaceID) error {
	now := p.Now()
	last := now
	if err := p.Ledger.Read(ctx, ws, ledger.Query{Backward: true, Limit: 1}, func(h ledger.Header) error { last = h.Time; return nil }); err != nil {
		return err
	}
	if last.Sub(now) > clockBack {
		return steward.Errorf(steward.Unavailable, "nothing is purged, since the clock is behind the last entry on record; set it right")
	}
	seen, known, err := p.Settings.Seen(ctx, ws)
	if err != nil {
		return err
	}
	if !known {
		seen = last
	}
	if err := fits(seen, now); err != nil {
		if known {
			return err
		}
		return errors.Join(err, p.Settings.See(ctx, ws, seen)) // the next entry is the clock's own word
	}
	return p.Settings.See(ctx, ws, now)
}
