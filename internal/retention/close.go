package retention

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/retention/custody"
)

// Standing is where a workspace stands.
type Standing string

// The standings, in their order. From Closed one comes back to Open within the grace; from Ending on there is no way back.
const (
	Open      Standing = "open"
	Requested Standing = "requested" // an administrator asked to close it, and another has to ask for the same
	Closed    Standing = "closed"    // nothing is done in it; administrators can take its record along, or open it again
	Ending    Standing = "ending"    // its keys are being destroyed
	Deleted   Standing = "deleted"   // nothing of it is left but this, and objects that are locked
)

// Closing is a workspace that is closed, or is to be. It holds nothing personal, and outlasts its workspace.
type Closing struct {
	Workspace steward.WorkspaceID `json:"workspace"`
	Name      string              `json:"name"`
	State     Standing            `json:"state"`
	Delete    bool                `json:"delete"`     // all is to be deleted, without a grace
	Days      int                 `json:"grace_days"` // how long it can be opened again
	AskedBy   steward.MemberID    `json:"asked_by"`
	Asked     time.Time           `json:"asked"`
	ClosedBy  steward.MemberID    `json:"closed_by,omitempty"` // the second administrator, or the only one
	Closed    time.Time           `json:"closed,omitzero"`
	Ends      time.Time           `json:"ends,omitzero"` // the grace; then it is deleted
	Due       time.Time           `json:"due,omitzero"`  // by when that has to be done
	Hold      string              `json:"hold,omitempty"`
	Ground    string              `json:"ground,omitempty"` // of the hold that puts the end off
	Late      bool                `json:"overdue"`          // which is on record
	Deleted   time.Time           `json:"deleted,omitzero"`
	Look      time.Time           `json:"look,omitzero"` // when to look for objects that are left; zero once there are none

	Checkpoint  string `json:"checkpoint,omitempty"` // the last of its log
	Certificate Signed `json:"certificate,omitzero"`
}

// Closings keeps them.
type Closings interface {
	// Closing gives a workspace's; known is false where it is open and nobody asked for anything else.
	Closing(ctx context.Context, ws steward.WorkspaceID) (c Closing, known bool, err error)
	// Closings lists those of all workspaces.
	Closings(ctx context.Context) ([]Closing, error)
	// PutClosing replaces one by another if it stands as it was: Open where there is none. Else kind Conflict.
	PutClosing(ctx context.Context, was Standing, c Closing) error
	// DropClosing takes one away if it stands as it was. Else kind Conflict.
	DropClosing(ctx context.Context, ws steward.WorkspaceID, was Standing) error
}

// Estate is all that is kept of a workspace besides its keys, its objects and what Closings keeps.
type Estate interface {
	// Count tells how much of what there is.
	Count(ctx context.Context, ws steward.WorkspaceID) ([]Count, error)
	// Systems lists what it is connected to.
	Systems(ctx context.Context, ws steward.WorkspaceID) ([]steward.ConnectionID, error)
	// Remove removes it, from the disk too where that is possible. It may be run again.
	Remove(ctx context.Context, ws steward.WorkspaceID) error
}

// Limits of a closing.
const (
	DefaultGrace = 30 // days
	mostGrace    = 90
	agreeWithin  = 30 * 24 * time.Hour // for a second administrator to ask for the same
	dueWithin    = 30 * 24 * time.Hour // from the end of the grace
	settle       = time.Minute         // for what is under way to come to its end, where there is no grace
	closeEvery   = time.Minute
	lookEvery    = time.Hour
	lookFor      = 24 * time.Hour // at least, once all is gone
)

// Closer closes workspaces, and deletes what is closed once its grace is over.
type Closer struct {
	Closings Closings
	Estate   Estate
	Holds    custody.Holds
	Schedule *Schedule
	Ledger   *ledger.Ledger
	Keyring  *keyring.Keyring
	Issuer   *Issuer
	// Walk gives f each sealed value of a workspace with its place, but the record's.
	Walk func(ctx context.Context, ws steward.WorkspaceID, f func(steward.Place, steward.Sealed) error) error
	// Objects deletes a workspace's sealed objects, and tells how many are left since they are locked.
	Objects    func(ctx context.Context, ws steward.WorkspaceID) (left int, err error)
	Workspaces func(ctx context.Context) ([]steward.WorkspaceID, error)
	Log        *slog.Logger
	Now        func() time.Time
}

// CloseRequest asks to close a workspace.
type CloseRequest struct {
	Workspace steward.WorkspaceID
	Name      string
	By        steward.MemberID
	Alone     bool // there is no other administrator, who would have to ask for the same
	Days      int  // of grace
	Delete    bool
}

// Close closes a workspace: at once where there is one administrator, else when a second asks for the same. Whoever asks
// for something else than the first begins anew.
func (c *Closer) Close(ctx context.Context, r CloseRequest) (Closing, error) {
	if r.Days < 0 || r.Days > mostGrace {
		return Closing{}, steward.Errorf(steward.Invalid, "a closed workspace can be opened again for 0 to %d days", mostGrace)
	}
	if r.Delete && r.Days != 0 {
		return Closing{}, steward.Errorf(steward.Invalid, "a request to delete everything has no grace; leave out one of the two")
	}
	now := c.Now()
	next := Closing{Workspace: r.Workspace, Name: r.Name, State: Requested, Delete: r.Delete, Days: r.Days, AskedBy: r.By, Asked: now}
	before, known, err := c.Closings.Closing(ctx, r.Workspace)
	if err != nil {
		return Closing{}, err
	}
	was := Open
	if known {
		was = before.State
	}
	agrees := was == Requested && now.Sub(before.Asked) < agreeWithin && before.Delete == r.Delete && before.Days == r.Days
	switch {
	case was != Open && was != Requested:
		return before, steward.Errorf(steward.Conflict, "this workspace is closed already: %s", before.says())
	case agrees && before.AskedBy == r.By && !r.Alone:
		return before, nil
	case agrees:
		next.AskedBy, next.Asked = before.AskedBy, before.Asked
	}
	outcome := ledger.Waiting
	if agrees || r.Alone {
		next.State, next.ClosedBy, next.Closed, outcome = Closed, r.By, now, ledger.OK
		next.Ends = now.Add(max(time.Duration(r.Days)*24*time.Hour, settle))
		next.Due = next.Ends.Add(dueWithin)
	}
	if err := c.Closings.PutClosing(ctx, was, next); err != nil {
		return before, err
	}
	return next, c.note(ctx, next, ledger.Entry{Kind: ledger.WorkspaceClosed, Outcome: outcome, OnBehalfOf: r.By, Caller: string(r.By)})
}

// Reopen opens a closed workspace again within its grace, and takes back what was only asked for.
func (c *Closer) Reopen(ctx context.Context, ws steward.WorkspaceID, by steward.MemberID) error {
	before, known, err := c.Closings.Closing(ctx, ws)
	switch {
	case err != nil:
		return err
	case !known:
		return steward.Errorf(steward.Conflict, "this workspace is open")
	case before.State == Closed && !c.Now().Before(before.Ends), before.State != Closed && before.State != Requested:
		return steward.Errorf(steward.Conflict, "this workspace could be opened again until %s; that time is over", stamp(before.Ends))
	}
	if err := c.Closings.DropClosing(ctx, ws, before.State); err != nil {
		return err
	}
	return c.note(ctx, before, ledger.Entry{Kind: ledger.WorkspaceReopened, Outcome: ledger.OK, OnBehalfOf: by, Caller: string(by)})
}

// Show tells where a workspace stands, and which hold puts its end off; but not what is certified.
func (c *Closer) Show(ctx context.Context, ws steward.WorkspaceID) (Closing, error) {
	closing, known, err := c.Closings.Closing(ctx, ws)
	if err != nil || !known {
		return Closing{Workspace: ws, State: Open}, err
	}
	holds, err := c.Holds.Holds(ctx, ws)
	closing.Hold, closing.Ground = "", ""
	if len(holds) > 0 {
		closing.Hold, closing.Ground = holds[0].ID, holds[0].Ground
	}
	closing.Certificate, closing.Checkpoint, closing.Look = Signed{}, "", time.Time{}
	return closing, err
}

// Closed is nil for a workspace that is open, of kind Denied while it can still be opened again or its record taken along, and
// of kind Gone from when its keys go.
func (c *Closer) Closed(ctx context.Context, ws steward.WorkspaceID) error {
	closing, known, err := c.Closings.Closing(ctx, ws)
	switch {
	case err != nil || !known || closing.State == Requested:
		return err
	case closing.State == Closed:
		return steward.Errorf(steward.Denied, "this workspace is closed: %s", closing.says())
	}
	return steward.Errorf(steward.Gone, "this workspace was closed on %s and is deleted", stamp(closing.Closed))
}

// says tells people what becomes of a closed workspace.
func (c Closing) says() string {
	if c.Hold != "" {
		return fmt.Sprintf("all of it will be deleted once the hold %s (%s) is released", c.Hold, c.Ground)
	}
	return fmt.Sprintf("an administrator can open it again until %s with `steward workspace reopen`; then all of it is deleted", stamp(c.Ends))
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Run deletes what is due, at the start and every minute, until ctx ends.
func (c *Closer) Run(ctx context.Context) {
	if err := c.CameBack(ctx); err != nil && ctx.Err() == nil {
		c.Log.Error("what a backup put back of deleted workspaces wasn't removed", slog.Any("error", err))
	}
	every(ctx, closeEvery, c.Log, "deleting closed workspaces", c.CarryOut)
}

// CameBack removes again what of deleted workspaces a backup put back. Their keys are gone for ever, so nothing of it
// opens. What can't be removed in one keeps none of the others.
func (c *Closer) CameBack(ctx context.Context) error {
	all, err := c.Workspaces(ctx)
	if err != nil {
		return err
	}
	for _, ws := range all {
		if failed := c.cameBack(ctx, ws); failed != nil {
			err = errors.Join(err, fmt.Errorf("workspace %s: %w", ws, failed))
		}
	}
	return err
}

func (c *Closer) cameBack(ctx context.Context, ws steward.WorkspaceID) error {
	if _, err := c.Keyring.Derive(ctx, ws, steward.WorkspaceScope, "closing"); steward.KindOf(err) != steward.Gone {
		return err
	}
	closing, known, err := c.Closings.Closing(ctx, ws)
	if err != nil || known && closing.State == Ending { // which isn't deleted yet, and is carried out
		return err
	}
	c.Log.Warn("a deleted workspace came back with a backup and is removed", slog.String("workspace", string(ws)))
	if err := c.Estate.Remove(ctx, ws); err != nil {
		return err
	}
	if _, err := c.Objects(ctx, ws); err != nil || !known || closing.State == Deleted {
		return err
	}
	return c.Closings.DropClosing(ctx, ws, closing.State)
}

// CarryOut does what is due in all workspaces that are closed. What can't be done in one keeps none of the others.
func (c *Closer) CarryOut(ctx context.Context) error {
	all, err := c.Closings.Closings(ctx)
	for _, closing := range all {
		if failed := c.carryOut(ctx, closing); failed != nil {
			err = errors.Join(err, fmt.Errorf("workspace %s: %w", closing.Workspace, failed))
		}
	}
	return err
}

func (c *Closer) carryOut(ctx context.Context, closing Closing) error {
	now := c.Now()
	free, failed := true, error(nil)
	switch closing.State {
	case Requested:
		if now.Sub(closing.Asked) >= agreeWithin {
			return c.Closings.DropClosing(ctx, closing.Workspace, Requested)
		}
		return nil
	case Deleted:
		return c.sweep(ctx, closing)
	case Closed:
		if now.Before(closing.Ends) {
			return nil
		}
		free, failed = c.free(ctx, &closing)
	}
	if free && failed == nil {
		failed = c.end(ctx, closing)
	}
	if failed != nil && now.After(closing.Due) {
		c.Log.Error("a closed workspace should be deleted by now", slog.String("workspace", string(closing.Workspace)), slog.Time("due", closing.Due))
		failed = errors.Join(failed, c.late(ctx, closing))
	}
	return failed
}

// late puts on record, once, that a closing is overdue, where there is a record.
func (c *Closer) late(ctx context.Context, closing Closing) error {
	if closing.State != Closed || closing.Late {
		return nil
	}
	closing.Late = true
	if err := c.Closings.PutClosing(ctx, Closed, closing); err != nil {
		return err
	}
	return c.note(ctx, closing, ledger.Entry{Kind: ledger.ErasureOverdue, Caller: "steward", OnBehalfOf: closing.ClosedBy, Outcome: ledger.Failed})
}

// free tells whether nothing puts the end off: a hold, which is on record then, or a clock that can't be trusted.
func (c *Closer) free(ctx context.Context, closing *Closing) (bool, error) {
	holds, err := c.Holds.Holds(ctx, closing.Workspace)
	if err != nil {
		return false, err
	}
	was := closing.Hold
	closing.Hold, closing.Ground = "", ""
	if len(holds) > 0 {
		closing.Hold, closing.Ground = holds[0].ID, holds[0].Ground
	}
	if closing.Hold != was {
		if err := c.Closings.PutClosing(ctx, Closed, *closing); err != nil {
			return false, err
		}
	}
	if closing.Hold == "" {
		return true, c.Schedule.Stopped(ctx, closing.Workspace)
	}
	if closing.Hold == was {
		return false, nil
	}
	return false, c.note(ctx, *closing, ledger.Entry{Kind: ledger.ErasureDeferred, Caller: "steward", OnBehalfOf: closing.ClosedBy, Outcome: ledger.Waiting, Targets: []string{closing.Hold, closing.Ground}})
}

// end deletes a workspace, step by step. After a crash at any of them it is run again and goes on: what was signed is
// kept as it is once the keys are gone, and anew until then.
func (c *Closer) end(ctx context.Context, closing Closing) error {
	ws := closing.Workspace
	alive, err := c.Keyring.Alive(ctx, ws, steward.WorkspaceScope)
	if err != nil {
		return err
	}
	if closing.State == Closed || alive {
		if closing, err = c.prepare(ctx, closing); err != nil {
			return err
		}
		if holds, err := c.Holds.Holds(ctx, ws); err != nil || len(holds) > 0 { // placed meanwhile; from Ending on none is
			closing.State, closing.Checkpoint, closing.Certificate = Closed, "", Signed{}
			return errors.Join(err, c.Closings.PutClosing(ctx, Ending, closing))
		}
	}
	if err := c.Keyring.ShredWorkspace(ctx, ws); err != nil {
		return err
	}
	if err := c.unreadable(ctx, ws); err != nil {
		return err
	}
	if err := c.Estate.Remove(ctx, ws); err != nil {
		return err
	}
	if _, err := c.Objects(ctx, ws); err != nil {
		return err
	}
	now := c.Now()
	if now.Before(closing.Certificate.Certificate.Complete) {
		return nil // whoever keeps old copies of the keeper's could still bring the keys back
	}
	closing.State, closing.Deleted, closing.Look = Deleted, now, now
	if err := c.Closings.PutClosing(ctx, Ending, closing); err != nil {
		return err
	}
	c.Log.Info("a closed workspace was deleted", slog.String("workspace", string(ws)))
	return nil
}

// prepare writes the record's last entry and checkpoint and signs the certificate, while there is a key to sign with.
// Nobody is shown it before it is true.
func (c *Closer) prepare(ctx context.Context, closing Closing) (Closing, error) {
	ws, was := closing.Workspace, closing.State
	known := false
	err := c.Ledger.Read(ctx, ws, ledger.Query{Kind: ledger.WorkspaceEnding, Since: closing.Closed, Limit: 1}, func(ledger.Header) error { known = true; return nil })
	if err == nil && !known {
		err = c.note(ctx, closing, ledger.Entry{Kind: ledger.WorkspaceEnding, Caller: "steward", OnBehalfOf: closing.ClosedBy, Effect: steward.Delete, Outcome: ledger.OK})
	}
	if err != nil {
		return closing, err
	}
	counts, err := c.Estate.Count(ctx, ws)
	if err != nil {
		return closing, err
	}
	systems, err := c.Estate.Systems(ctx, ws)
	if err != nil {
		return closing, err
	}
	boxes := 0
	if err := c.Walk(ctx, ws, func(steward.Place, steward.Sealed) error { boxes++; return nil }); err != nil {
		return closing, err
	}
	last, err := c.Ledger.Checkpoint(ctx, ws)
	if err != nil {
		return closing, err
	}
	now := c.Now()
	certificate := Certificate{
		Workspace: ws, Of: string(ws), Kind: "workspace", Requester: closing.AskedBy, Hold: closing.Ground,
		Asked: closing.Asked, Due: closing.Due, Unreadable: now, Complete: now.Add(c.Keyring.Horizon()),
		Found: append(counts, Count{What: "entries", Number: int(last.Size)}), Scopes: []steward.Scope{steward.WorkspaceScope},
		Verified: Verified{Boxes: boxes, Scopes: 1}, Elsewhere: systems,
	}
	if closing.ClosedBy != closing.AskedBy {
		certificate.Approver = closing.ClosedBy
	}
	closing.State, closing.Checkpoint = Ending, last.Note
	if closing.Certificate, err = c.Issuer.Sign(ctx, certificate); err != nil {
		return closing, err
	}
	return closing, c.Closings.PutClosing(ctx, was, closing)
}

// unreadable tries all that is left of a workspace with the keys of now, and is an error where any of it opens.
func (c *Closer) unreadable(ctx context.Context, ws steward.WorkspaceID) error {
	opened := 0
	if _, err := c.Keyring.Derive(ctx, ws, steward.WorkspaceScope, "closing"); steward.KindOf(err) != steward.Gone {
		opened++
	}
	err := c.Walk(ctx, ws, func(at steward.Place, sealed steward.Sealed) error {
		if _, err := c.Keyring.Open(ctx, at, sealed); steward.KindOf(err) != steward.Gone {
			opened++
		}
		return ctx.Err()
	})
	if err == nil && opened > 0 {
		err = fmt.Errorf("closing: %d sealed values still open or can't be tried", opened)
	}
	return err
}

// sweep removes what was locked when the workspace was deleted, and what was on its way then.
func (c *Closer) sweep(ctx context.Context, closing Closing) error {
	now := c.Now()
	if closing.Look.IsZero() || now.Before(closing.Look) {
		return nil
	}
	if err := c.Estate.Remove(ctx, closing.Workspace); err != nil {
		return err
	}
	left, err := c.Objects(ctx, closing.Workspace)
	if err != nil {
		return err
	}
	closing.Look = now.Add(lookEvery)
	if left == 0 && now.Sub(closing.Deleted) >= lookFor {
		closing.Look = time.Time{}
	}
	return c.Closings.PutClosing(ctx, Deleted, closing)
}

func (c *Closer) note(ctx context.Context, closing Closing, e ledger.Entry) error {
	raw, err := json.Marshal(closing)
	if err != nil {
		return fmt.Errorf("closing: %w", err)
	}
	e.System, e.Tool, e.Purpose = "steward", "close", "closing"
	if closing.Delete {
		e.Purpose = "deletion"
	}
	e.Targets = append([]string{string(closing.Workspace)}, e.Targets...)
	_, err = c.Ledger.Append(context.WithoutCancel(ctx), closing.Workspace, e, ledger.Part{Scopes: []steward.Scope{steward.TimeScope(steward.ClassLedger, c.Now())}, Body: raw})
	return err
}
