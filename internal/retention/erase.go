package retention

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/retention/custody"
)

// Asked is a request that waits for a second administrator. Whom it is about is a keyed digest.
type Asked struct {
	ID    steward.ErasureID
	By    steward.MemberID
	About []byte
	At    time.Time
}

// Requests keeps requests that wait.
type Requests interface {
	// Ask keeps a request, unless one about the same waits already, and gives the one that waits.
	Ask(ctx context.Context, ws steward.WorkspaceID, a Asked) (Asked, error)
	// Settle drops a request; there need be none.
	Settle(ctx context.Context, ws steward.WorkspaceID, id steward.ErasureID) error
	// Waiting lists a workspace's, the oldest first.
	Waiting(ctx context.Context, ws steward.WorkspaceID) ([]Asked, error)
}

const waits = 30 * 24 * time.Hour // for its confirmation

// Request asks to forget somebody.
type Request struct {
	Workspace steward.WorkspaceID
	By        steward.MemberID
	Alone     bool // the workspace has a single administrator, who confirms alone; else a second has to ask for the same
	Subject   Subject
	DryRun    bool
}

// Erasure is what came of a request.
type Erasure struct {
	ID     steward.ErasureID `json:"erasure"`
	Status string            `json:"status"` // "dry_run", "waiting" for a second administrator, "deferred" by a hold, or "forgotten": unreadable from now on
	State  State             `json:"state,omitempty"`
	Due    *time.Time        `json:"due,omitempty"` // when it is to be complete
	Found  Found             `json:"found"`
	Stores []Found           `json:"stores"` // the same, apart
	Keys   int               `json:"keys"`   // of how many scopes the keys were destroyed
	// Complete is from when on nobody can bring those keys back, as from backups of a key server; nil before
	// they are destroyed.
	Complete    *time.Time `json:"complete,omitempty"`
	Deferred    *Deferral  `json:"deferred,omitempty"`
	Certificate string     `json:"certificate,omitempty"` // its id, once it is complete
}

// Eraser forgets people. All fields are needed.
type Eraser struct {
	Requests   Requests
	Duties     Duties
	Issuer     *Issuer
	Custody    *custody.Custody
	Ledger     *ledger.Ledger
	Keyring    *keyring.Keyring
	Forgetters []Forgetter
	// Stopped says why the clock can't be trusted: then nothing is taken for complete that time completes.
	Stopped    func(ctx context.Context, ws steward.WorkspaceID) error
	Workspaces func(ctx context.Context) ([]steward.WorkspaceID, error)
	// Within is how long after it was asked for an erasure is to be complete.
	Within time.Duration
	Log    *slog.Logger
	Now    func() time.Time
	Rand   io.Reader

	turns turns // one erasure of a workspace is carried out at a time
}

// Erase forgets somebody. Where there are several administrators, the first to ask only asks, and another
// who asks for the same has it carried out. What is agreed becomes a duty first, so that neither a crash nor a hold
// loses it; asked for again, it is carried on. Nothing is destroyed by a dry run.
func (e *Eraser) Erase(ctx context.Context, r Request) (Erasure, error) {
	erasure := Erasure{ID: steward.ErasureID(steward.NewID(e.Rand, "era")), Status: "dry_run"}
	p, err := e.find(ctx, r.Workspace, r.Subject)
	if err != nil {
		return erasure, err
	}
	erasure.tell(p)
	if r.DryRun {
		return erasure, nil
	}
	about, err := e.about(ctx, r.Workspace, r.Subject)
	if err != nil {
		return erasure, err
	}
	done, err := e.turns.take(ctx, r.Workspace)
	if err != nil {
		return erasure, err
	}
	defer done()
	d, err := e.duty(ctx, r, about, erasure.ID)
	if err != nil {
		return erasure, err
	}
	if d.State == Waiting {
		erasure.ID, erasure.Status, erasure.State, erasure.Due = d.ID, "waiting", Waiting, &d.Due
		return erasure, e.note(ctx, r.Workspace, &d, ledger.ErasureRequested, ledger.Waiting, record{})
	}
	fresh := d.Sealed.Box == nil
	if fresh {
		if err := e.seal(ctx, r.Workspace, &d, p); err != nil {
			return erasure, err
		}
		if d, err = e.Duties.Ask(ctx, r.Workspace, d); err != nil {
			return erasure, err
		}
	}
	p, err = e.carryOut(ctx, r.Workspace, &d, fresh)
	if err != nil && d.State == Removed { // they are forgotten; the certificate is tried for again
		e.Log.Error("an erasure couldn't be certified", slog.String("workspace", string(r.Workspace)), slog.String("erasure", string(d.ID)), slog.Any("error", err))
		err = nil
	}
	erasure.ID, erasure.State, erasure.Due, erasure.Certificate = d.ID, d.State, &d.Due, d.Certificate
	switch {
	case d.State == Deferred:
		erasure.Status, erasure.Deferred = "deferred", &d.Deferral
	case err == nil && !d.Unreadable.IsZero():
		erasure.tell(p)
		complete := d.Unreadable.Add(e.Keyring.Horizon())
		erasure.Status, erasure.Keys, erasure.Complete = "forgotten", len(p.Scopes), &complete
	}
	return erasure, err
}

// tell says what was found.
func (erasure *Erasure) tell(p plan) {
	erasure.Found, erasure.Stores = Found{}, p.Found
	for _, f := range p.Found {
		erasure.Found.References += f.References
		erasure.Found.Values += f.Values
		erasure.Found.Texts += f.Texts
	}
}

// duty gives the one that there is about somebody; or else the request that waits for another administrator, or what
// is agreed by this one.
func (e *Eraser) duty(ctx context.Context, r Request, about []byte, id steward.ErasureID) (Duty, error) {
	all, err := e.Duties.Duties(ctx, r.Workspace)
	if err != nil {
		return Duty{}, err
	}
	if i := slices.IndexFunc(all, func(d Duty) bool { return bytes.Equal(d.About, about) }); i >= 0 {
		return all[i], nil
	}
	mine := Asked{ID: id, By: r.By, About: about, At: e.Now().UTC().Truncate(time.Microsecond)}
	d := Duty{ID: id, State: agreed, Requester: r.By, Asked: mine.At, Due: mine.At.Add(e.Within), About: about}
	if r.Alone {
		waiting, err := e.Requests.Waiting(ctx, r.Workspace)
		if i := slices.IndexFunc(waiting, func(a Asked) bool { return bytes.Equal(a.About, about) }); i >= 0 {
			d.ID = waiting[i].ID // it waits no more, and is no consent to what is asked for later
		}
		return d, err
	}
	asked, err := e.Requests.Ask(ctx, r.Workspace, mine)
	if err == nil && e.Now().Sub(asked.At) >= waits { // it waited too long to count any more
		if err := e.Requests.Settle(ctx, r.Workspace, asked.ID); err != nil {
			return d, err
		}
		asked, err = e.Requests.Ask(ctx, r.Workspace, mine)
	}
	d.ID, d.Requester, d.Approver, d.Asked, d.Due = asked.ID, asked.By, r.By, asked.At, asked.At.Add(e.Within)
	if asked.By == r.By {
		d.State, d.Approver = Waiting, ""
	}
	return d, err
}

// about is whom a request is about, as nobody can tell without the workspace's key.
func (e *Eraser) about(ctx context.Context, ws steward.WorkspaceID, s Subject) ([]byte, error) {
	key, err := e.Keyring.Derive(ctx, ws, steward.WorkspaceScope, "erasure-requests")
	if err != nil {
		return nil, err
	}
	about := hmac.New(sha256.New, key[:])
	names := make([]string, len(s.Records))
	for i, ref := range s.Records {
		names[i] = ref.String()
	}
	slices.Sort(names)
	_, _ = about.Write([]byte(strings.Join(names, "\n")))
	return about.Sum(nil), nil
}

// lapse drops requests that waited too long to count.
func (e *Eraser) lapse(ctx context.Context, ws steward.WorkspaceID) error {
	asked, err := e.Requests.Waiting(ctx, ws)
	for _, a := range asked {
		if e.Now().Sub(a.At) >= waits {
			err = errors.Join(err, e.Requests.Settle(ctx, ws, a.ID))
		}
	}
	return err
}

// turns has one at a time do what is done for a workspace.
type turns struct {
	mu    sync.Mutex
	taken map[steward.WorkspaceID]chan struct{} // closed when it is free again
}

// take waits until it is free, or ctx ends.
func (t *turns) take(ctx context.Context, ws steward.WorkspaceID) (done func(), err error) {
	for {
		t.mu.Lock()
		before := t.taken[ws]
		if before == nil {
			mine := make(chan struct{})
			if t.taken == nil {
				t.taken = map[steward.WorkspaceID]chan struct{}{}
			}
			t.taken[ws] = mine
			t.mu.Unlock()
			return func() {
				t.mu.Lock()
				delete(t.taken, ws)
				t.mu.Unlock()
				close(mine)
			}, nil
		}
		t.mu.Unlock()
		select {
		case <-before:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// List tells what is asked for and what came of it: requests that wait, and then duties, the oldest first.
func (e *Eraser) List(ctx context.Context, ws steward.WorkspaceID) ([]Duty, error) {
	asked, err := e.Requests.Waiting(ctx, ws)
	if err != nil {
		return nil, err
	}
	list := []Duty{}
	for _, a := range asked {
		if e.Now().Sub(a.At) < waits {
			list = append(list, Duty{ID: a.ID, State: Waiting, Requester: a.By, Asked: a.At, Due: a.At.Add(e.Within)})
		}
	}
	duties, err := e.Duties.Duties(ctx, ws)
	for _, d := range duties {
		d.Overdue = d.Overdue || d.late(e.Now())
		list = append(list, d)
	}
	return list, err
}
