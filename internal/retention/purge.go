package retention

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
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

// Purger lets go what is due.
type Purger struct {
	Schedule
	Purges   Purges
	Holds    Holds
	Ledger   *ledger.Ledger
	Shredder interface {
		Shred(ctx context.Context, ws steward.WorkspaceID, scopes ...steward.Scope) error
	}
	Droppers   []Dropper
	Workspaces func(ctx context.Context) ([]steward.WorkspaceID, error)
	// Uptime is how long the process runs, by a clock that nobody sets.
	Uptime func() time.Duration
	Log    *slog.Logger

	began time.Time // when the process began, by Now, as it was then
}

const (
	purgeEvery = 10 * time.Minute
	clockJump  = time.Hour
	atOnce     = 32 // scopes in an entry, which names them all
)

// Run purges every workspace now and then until ctx ends.
func (p *Purger) Run(ctx context.Context) {
	for wait := time.Duration(0); ; wait = purgeEvery {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if err := p.PurgeAll(ctx); err != nil && ctx.Err() == nil {
			p.Log.Error("what is due wasn't purged", slog.Any("error", err))
		}
	}
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
// trusted, since what is purged early can't be had back, and nothing under a hold; one that is placed meanwhile
// holds what isn't named yet.
func (p *Purger) Purge(ctx context.Context, ws steward.WorkspaceID) (purged []steward.Scope, err error) {
	if err := p.clock(ctx, ws); err != nil {
		return nil, err
	}
	going, err := p.Purges.Begun(ctx, ws) // by a process that is gone
	if err != nil {
		return nil, err
	}
	due, err := p.due(ctx, ws)
	if err != nil {
		return nil, err
	}
	for _, scope := range due {
		if !slices.Contains(going, scope) {
			going = append(going, scope)
		}
	}
	for some := range slices.Chunk(going, atOnce) {
		holds, err := p.Holds.Holds(ctx, ws)
		if err != nil || len(holds) > 0 {
			return purged, err
		}
		if err := p.Purges.Begin(ctx, ws, some); err != nil {
			return purged, err
		}
		if err := p.finish(ctx, ws, some); err != nil {
			return purged, err
		}
		purged = append(purged, some...)
	}
	return purged, nil
}

// finish records that scopes go, has their keys destroyed and their bytes removed, and records that.
func (p *Purger) finish(ctx context.Context, ws steward.WorkspaceID, scopes []steward.Scope) error {
	e := ledger.Entry{Kind: ledger.PurgeBegun, Caller: "steward", System: "steward", Tool: "retention", Effect: steward.Delete, Outcome: ledger.Waiting, Purpose: "schedule"}
	for _, scope := range scopes {
		e.Targets = append(e.Targets, string(scope))
	}
	if _, err := p.Ledger.Append(ctx, ws, e); err != nil {
		return err
	}
	if err := p.Shredder.Shred(ctx, ws, scopes...); err != nil {
		return err
	}
	for _, d := range p.Droppers {
		removed, err := d.DropScopes(ctx, ws, scopes)
		if err != nil {
			return err
		}
		e.Records += removed
	}
	e.Kind, e.Outcome = ledger.PurgeDone, ledger.OK
	if _, err := p.Ledger.Append(ctx, ws, e); err != nil {
		return err
	}
	return p.Purges.End(ctx, ws, scopes)
}

// clock refuses a clock that was set since the process began, or that is behind the record.
func (p *Purger) clock(ctx context.Context, ws steward.WorkspaceID) error {
	now, up := p.Now(), p.Uptime()
	if p.began.IsZero() {
		p.began = now.Add(-up)
	}
	if off := now.Sub(p.began.Add(up)); off.Abs() > clockJump {
		return steward.Errorf(steward.Unavailable, "the clock was set by %s while Steward ran, so nothing is purged; check it, and start Steward again", off.Round(time.Second))
	}
	var last time.Time
	if err := p.Ledger.Read(ctx, ws, ledger.Query{Backward: true, Limit: 1}, func(h ledger.Header) error { last = h.Time; return nil }); err != nil {
		return err
	}
	if now.Add(clockJump).Before(last) {
		return steward.Errorf(steward.Unavailable, "the clock is behind the last entry on record, so nothing is purged; set it right, and start Steward again")
	}
	return nil
}
