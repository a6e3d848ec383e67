package retention

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/retention/custody"
)

// State is how far an erasure has come. What is done in a state may be done again, so a crash costs nothing but that.
type State string

// The states.
const (
	Waiting    State = "waiting"    // for a second administrator
	agreed     State = "agreed"     // to be carried out
	Deferred   State = "deferred"   // until a hold is released
	going      State = "going"      // what goes is named: its keys are being destroyed
	Unreadable State = "unreadable" // the keys are gone, and what they sealed is being removed
	Removed    State = "removed"    // and it will be complete once nobody can bring the keys back
	Complete   State = "complete"   // and certified
)

// Deferral is what an erasure waits for.
type Deferral struct {
	Hold   string    `json:"hold,omitempty"`
	Ground string    `json:"ground,omitempty"`
	Since  time.Time `json:"since,omitzero"`
}

// Duty is an erasure that was asked for, until it is certified and from then on. Nothing in it is personal but
// what is sealed.
type Duty struct {
	ID          steward.ErasureID `json:"erasure"`
	State       State             `json:"state"`
	Requester   steward.MemberID  `json:"requester"`
	Approver    steward.MemberID  `json:"approver,omitempty"` // where a second administrator had to agree
	Asked       time.Time         `json:"asked"`
	Due         time.Time         `json:"due"`
	Overdue     bool              `json:"overdue,omitempty"` // which is on record
	Deferral                      // the last one
	Unreadable  time.Time         `json:"unreadable,omitzero"`
	Tried       int               `json:"tried,omitempty"` // sealed values that didn't open any more
	Certificate string            `json:"certificate,omitempty"`

	About  []byte         `json:"-"` // a keyed digest of whom it is about; nil once it is removed
	Sealed steward.Sealed `json:"-"` // who is to be forgotten, and what goes, under the duty's scope; empty once it is complete
}

func (d *Duty) late(now time.Time) bool { return d.State != Complete && now.After(d.Due) }

// Duties keeps them.
type Duties interface {
	// Ask keeps a duty, unless there is one about the same, and gives the one that is kept.
	Ask(ctx context.Context, ws steward.WorkspaceID, d Duty) (Duty, error)
	// Save replaces one.
	Save(ctx context.Context, ws steward.WorkspaceID, d Duty) error
	// Duties lists a workspace's, the oldest first.
	Duties(ctx context.Context, ws steward.WorkspaceID) ([]Duty, error)
}

// plan is what a duty seals.
type plan struct {
	Subject Subject
	Found   []Found         // by each Forgetter, in their order
	Rows    [][]string      // of each Found
	Scopes  []steward.Scope // of all
}

// record is the sealed part of an erasure's entries: opaque scope names, no values.
type record struct {
	Erasure  steward.ErasureID `json:"erasure"`
	Alone    bool              `json:"confirmed_alone"`
	Asked    steward.MemberID  `json:"asked_by,omitempty"` // who asked first, where two had to
	Searched bool              `json:"texts_searched"`     // false when no value was known to search for
	Found    []Found           `json:"found"`
	Scopes   []steward.Scope   `json:"scopes"`
}

// Run carries out what is to be done, in every workspace, now and then until ctx ends.
func (e *Eraser) Run(ctx context.Context) {
	every(ctx, purgeEvery, e.Log, "carrying out erasures", func(ctx context.Context) error {
		all, err := e.Workspaces(ctx)
		for _, ws := range all {
			err = errors.Join(err, e.CarryOut(ctx, ws))
		}
		return err
	})
}

// CarryOut goes on with every duty of a workspace: what was deferred and is released by now, what a crash
// interrupted, what became complete. One that is past its due date is an error in the log each time, and an entry.
func (e *Eraser) CarryOut(ctx context.Context, ws steward.WorkspaceID) error {
	done, err := e.turns.take(ctx, ws)
	if err != nil {
		return err
	}
	defer done()
	all, err := e.Duties.Duties(ctx, ws)
	failed := errors.Join(err, e.lapse(ctx, ws))
	for _, d := range all {
		if d.State == Complete {
			continue
		}
		_, err := e.carryOut(ctx, ws, &d, false)
		if err != nil {
			e.Log.Error("an erasure couldn't be carried out", slog.String("workspace", string(ws)), slog.String("erasure", string(d.ID)), slog.String("state", string(d.State)), slog.Any("error", err))
		}
		failed = errors.Join(failed, err)
		if d.late(e.Now()) {
			failed = errors.Join(failed, e.shout(ctx, ws, &d))
		}
	}
	return failed
}

// shout says that a duty is past its due date.
func (e *Eraser) shout(ctx context.Context, ws steward.WorkspaceID, d *Duty) error {
	e.Log.Error("an erasure is OVERDUE", slog.String("workspace", string(ws)), slog.String("erasure", string(d.ID)), slog.Time("due", d.Due), slog.String("state", string(d.State)), slog.String("hold", d.Hold))
	if d.Overdue {
		return nil
	}
	if err := e.note(ctx, ws, d, ledger.ErasureOverdue, ledger.Failed, record{}, d.Hold); err != nil {
		return err
	}
	d.Overdue = true
	return e.Duties.Save(ctx, ws, *d)
}

// carryOut takes a duty as far as it goes, each state durable before the next begins, and gives what it seals. What it
// seals is fresh where it was found just now.
func (e *Eraser) carryOut(ctx context.Context, ws steward.WorkspaceID, d *Duty, fresh bool) (plan, error) {
	var p plan
	plain, err := e.Keyring.Open(ctx, d.place(ws), d.Sealed)
	if steward.KindOf(err) == steward.Gone {
		// A crash came behind the duty's last step, or this is an old copy of the data: it was carried out.
		return p, e.complete(ctx, ws, d)
	}
	if err == nil {
		err = json.Unmarshal(plain, &p)
	}
	begin := d.State == agreed || d.State == Deferred
	if err == nil && d.State == going {
		begin, err = e.untouched(ctx, ws, p.Scopes)
	}
	if err == nil && begin {
		err = e.begin(ctx, ws, d, &p, fresh)
	}
	what := record{Searched: len(p.Subject.Values) > 0, Found: p.Found, Scopes: p.Scopes}
	if err == nil && d.State == going {
		err = e.destroy(ctx, ws, d, p, what)
	}
	if err == nil && d.State == Unreadable {
		err = e.remove(ctx, ws, d, p, what)
	}
	if err == nil && d.State == Removed {
		err = e.certify(ctx, ws, d, p)
	}
	return p, err
}

// untouched tells whether the keys to be destroyed are all there, since they go at once or not at all: what comes
// between, such as a hold, is heeded then.
func (e *Eraser) untouched(ctx context.Context, ws steward.WorkspaceID, scopes []steward.Scope) (bool, error) {
	for _, scope := range scopes {
		if alive, err := e.Keyring.Alive(ctx, ws, scope); alive || err != nil {
			return alive, err
		}
	}
	return false, nil
}

// begin names what goes, as it is by now, unless a hold keeps it.
func (e *Eraser) begin(ctx context.Context, ws steward.WorkspaceID, d *Duty, p *plan, fresh bool) error {
	if err := e.Requests.Settle(ctx, ws, d.ID); err != nil {
		return err
	}
	holds, err := e.Custody.Keeps(ctx, ws, custody.Matter{Records: p.Subject.Records, Values: p.Subject.Values}, p.Scopes)
	if err == nil && len(holds) == 0 && !fresh { // more may be kept of them by now
		if *p, err = e.find(ctx, ws, p.Subject); err == nil {
			holds, err = e.Custody.Keeps(ctx, ws, custody.Matter{Records: p.Subject.Records, Values: p.Subject.Values}, p.Scopes)
		}
	}
	if err != nil {
		return err
	}
	if len(holds) > 0 {
		if d.State == Deferred && d.Hold == holds[0].ID {
			return nil
		}
		d.State, d.Deferral = Deferred, Deferral{Hold: holds[0].ID, Ground: holds[0].Ground, Since: e.Now().UTC()}
		if err := e.note(ctx, ws, d, ledger.ErasureDeferred, ledger.Waiting, record{}, d.Hold, d.Ground); err != nil {
			return err
		}
		return e.Duties.Save(ctx, ws, *d)
	}
	d.State = going
	if err := e.seal(ctx, ws, d, *p); err != nil {
		return err
	}
	return e.Duties.Save(ctx, ws, *d)
}

// destroy destroys the keys, once it is on record that they go, and sees that nothing opens any more.
func (e *Eraser) destroy(ctx context.Context, ws steward.WorkspaceID, d *Duty, p plan, what record) error {
	if err := e.note(ctx, ws, d, ledger.ErasureRequested, ledger.OK, what); err != nil {
		return err
	}
	if len(p.Scopes) > 0 {
		if err := e.Keyring.Shred(ctx, ws, p.Scopes...); err != nil {
			return err
		}
	}
	d.Tried = 0
	for i, f := range e.Forgetters {
		there, opened, err := f.Try(ctx, ws, p.found(i))
		if err != nil {
			return err
		}
		if opened > 0 {
			return steward.Errorf(steward.Internal, "%d of the values to be forgotten still open though their keys were destroyed; look after the keyring and its keeper: nothing is certified", opened)
		}
		d.Tried += there
	}
	d.State, d.Unreadable = Unreadable, e.Now().UTC()
	return e.Duties.Save(ctx, ws, *d)
}

// remove removes what nothing opens any more.
func (e *Eraser) remove(ctx context.Context, ws steward.WorkspaceID, d *Duty, p plan, what record) error {
	for i, f := range e.Forgetters {
		if err := f.Drop(ctx, ws, p.Subject, p.found(i)); err != nil {
			return err
		}
	}
	if err := e.note(ctx, ws, d, ledger.ErasureDone, ledger.OK, what); err != nil {
		return err
	}
	d.State, d.About = Removed, nil // whom they meet from here on is another erasure's
	return e.Duties.Save(ctx, ws, *d)
}

// certify issues the certificate once nobody can bring the keys back, and lets go of what the duty knew.
func (e *Eraser) certify(ctx context.Context, ws steward.WorkspaceID, d *Duty, p plan) error {
	complete := d.Unreadable.Add(e.Keyring.Horizon())
	if e.Now().Before(complete) {
		return nil
	}
	if complete.After(d.Unreadable) {
		if err := e.Stopped(ctx, ws); err != nil {
			return err
		}
	}
	c := Certificate{
		Workspace: ws, Of: string(d.ID), Kind: "person", Requester: d.Requester, Approver: d.Approver, Hold: d.Ground,
		Asked: d.Asked, Due: d.Due, Unreadable: d.Unreadable, Complete: complete, Scopes: p.Scopes,
		Verified: Verified{Boxes: d.Tried, Scopes: len(p.Scopes)}, Elsewhere: []steward.ConnectionID{},
	}
	for _, f := range p.Found {
		c.Found = append(c.Found, Count{f.Store + " references", f.References}, Count{f.Store + " values", f.Values}, Count{f.Store + " texts", f.Texts})
	}
	for _, ref := range p.Subject.Records {
		if !slices.Contains(c.Elsewhere, ref.Connection) {
			c.Elsewhere = append(c.Elsewhere, ref.Connection)
		}
	}
	for _, scope := range p.Scopes {
		if _, err := e.Keyring.Derive(ctx, ws, scope, "certificate"); err == nil {
			c.Verified.Opened++
		} else if steward.KindOf(err) != steward.Gone {
			return err
		}
	}
	signed, err := e.Issuer.Issue(ctx, c)
	if err != nil {
		return err
	}
	d.Certificate = signed.Certificate.ID
	if err := e.Duties.Save(ctx, ws, *d); err != nil {
		return err
	}
	if err := e.Keyring.Shred(ctx, ws, steward.DutyScope(d.ID)); err != nil {
		return err
	}
	return e.complete(ctx, ws, d)
}

// complete ends a duty whose own key is gone.
func (e *Eraser) complete(ctx context.Context, ws steward.WorkspaceID, d *Duty) error {
	d.State, d.About, d.Sealed = Complete, nil, steward.Sealed{}
	return e.Duties.Save(ctx, ws, *d)
}

// find tells what forgetting somebody destroys.
func (e *Eraser) find(ctx context.Context, ws steward.WorkspaceID, s Subject) (plan, error) {
	p := plan{Subject: s}
	for _, f := range e.Forgetters {
		found, err := f.Find(ctx, ws, s)
		if err != nil {
			return p, err
		}
		p.Found, p.Rows, p.Scopes = append(p.Found, found), append(p.Rows, found.Rows), append(p.Scopes, found.Scopes...)
	}
	slices.Sort(p.Scopes)
	p.Scopes = slices.Compact(p.Scopes)
	return p, nil
}

// found is what one Forgetter found, with its rows, which Found's own JSON leaves out.
func (p *plan) found(i int) Found {
	f := p.Found[i]
	f.Rows = p.Rows[i]
	return f
}

func (d *Duty) place(ws steward.WorkspaceID) steward.Place {
	return steward.Place{Workspace: ws, Table: "duties", Row: string(d.ID)}
}

// seal keeps what a duty knows under its own scope.
func (e *Eraser) seal(ctx context.Context, ws steward.WorkspaceID, d *Duty, p plan) error {
	plain, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("retention: %w", err)
	}
	d.Sealed, err = e.Keyring.Seal(ctx, d.place(ws), []steward.Scope{steward.DutyScope(d.ID)}, plain)
	return err
}

// note records a step of a duty, unless that was done before a crash. What a request that waits says of itself may
// be said again.
func (e *Eraser) note(ctx context.Context, ws steward.WorkspaceID, d *Duty, kind ledger.Kind, outcome string, what record, targets ...string) error {
	known := false
	targets = append([]string{string(d.ID)}, slices.DeleteFunc(targets, func(t string) bool { return t == "" })...)
	err := e.Ledger.Read(ctx, ws, ledger.Query{Kind: kind, Outcome: outcome, Target: string(d.ID), Since: d.Asked}, func(h ledger.Header) error {
		known = known || slices.Equal(h.Targets, targets) && d.State != Waiting
		return nil
	})
	if err != nil || known {
		return err
	}
	by := d.Requester
	if d.Approver != "" {
		what.Asked, by = d.Requester, d.Approver
	}
	what.Erasure, what.Alone = d.ID, d.Approver == "" && d.State != Waiting
	raw, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("retention: %w", err)
	}
	_, err = e.Ledger.Append(ctx, ws, ledger.Entry{
		Kind: kind, Caller: string(by), OnBehalfOf: by, System: "steward", Tool: "erase", Outcome: outcome, Targets: targets,
	}, ledger.Part{Scopes: []steward.Scope{steward.TimeScope(steward.ClassLedger, e.Now())}, Body: raw})
	return err
}
