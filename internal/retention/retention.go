// Package retention answers: when must it go? It conducts forgetting: the ledger records it, the
// keyring destroys the keys, and whoever keeps something about people drops it. It doesn't know what
// they keep, nor how a person is found.
package retention

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
)

// Subject is somebody to be forgotten: their records, and the values by which free text may mention
// them. It holds personal values and is never stored.
type Subject struct {
	Records []steward.Ref
	Values  []string
}

// Found is what one Forgetter would destroy.
type Found struct {
	References int             `json:"references"` // tokens that stand for fields of their records
	Values     int             `json:"values"`     // kept values that are theirs
	Texts      int             `json:"texts"`      // kept free texts that mention them
	Scopes     []steward.Scope `json:"-"`          // whose keys go
	Rows       []string        `json:"-"`          // what is dropped afterwards
}

// Forgetter keeps something about people: the vault is one.
type Forgetter interface {
	// Find tells what would be destroyed, and destroys nothing.
	Find(ctx context.Context, ws steward.WorkspaceID, s Subject) (Found, error)
	// Drop removes what Find found once its keys are gone. It may be run again.
	Drop(ctx context.Context, ws steward.WorkspaceID, s Subject, f Found) error
}

// Asked is a request that waits for a second administrator. Whom it is about is a keyed digest.
type Asked struct {
	ID    steward.ErasureID
	By    steward.MemberID
	About []byte
	At    time.Time
}

// Store keeps requests that wait.
type Store interface {
	// Ask keeps a request, unless one about the same waits already, and gives the one that waits.
	Ask(ctx context.Context, ws steward.WorkspaceID, a Asked) (Asked, error)
	// Settle drops a request; there need be none.
	Settle(ctx context.Context, ws steward.WorkspaceID, id steward.ErasureID) error
}

// waits is how long a request waits for its confirmation.
const waits = 30 * 24 * time.Hour

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
	Status string            `json:"status"` // "dry_run", "waiting" for a second administrator, or "forgotten": unreadable from now on
	Found  Found             `json:"found"`
	Keys   int               `json:"keys"` // of how many scopes the keys were destroyed
	// Complete is from when on nobody can bring those keys back, as from backups of a key server; nil before
	// they are destroyed.
	Complete *time.Time `json:"complete,omitempty"`
}

// Eraser forgets people.
type Eraser struct {
	Store      Store
	Holds      Holds
	Ledger     *ledger.Ledger
	Keyring    *keyring.Keyring
	Forgetters []Forgetter
	Now        func() time.Time
	Rand       io.Reader
}

// record is the sealed part of an erasure's entries: opaque scope names, no values.
type record struct {
	Erasure  steward.ErasureID `json:"erasure"`
	Alone    bool              `json:"confirmed_alone"`
	Asked    steward.MemberID  `json:"asked_by,omitempty"` // who asked first, where two had to
	Searched bool              `json:"texts_searched"`     // false when no value was known to search for
	Found    Found             `json:"found"`
	Scopes   []steward.Scope   `json:"scopes"`
}

// Erase forgets somebody: it finds what is kept of them, records what will go, destroys the keys, and
// drops what they sealed. Unreadable is what counts, and that holds once the keys are gone; a crash
// before the end leaves rows that nothing opens, and running it again finishes it. Where there are several
// administrators, the first to ask only asks, and another who asks for the same carries it out.
func (e *Eraser) Erase(ctx context.Context, r Request) (Erasure, error) {
	erasure := Erasure{ID: steward.ErasureID(steward.NewID(e.Rand, "era")), Status: "dry_run"}
	each := make([]Found, len(e.Forgetters))
	var scopes []steward.Scope
	for i, f := range e.Forgetters {
		found, err := f.Find(ctx, r.Workspace, r.Subject)
		if err != nil {
			return erasure, err
		}
		each[i] = found
		scopes = append(scopes, found.Scopes...)
		erasure.Found.References += found.References
		erasure.Found.Values += found.Values
		erasure.Found.Texts += found.Texts
	}
	slices.Sort(scopes)
	scopes = slices.Compact(scopes)
	if r.DryRun {
		return erasure, nil
	}
	if err := held(ctx, e.Holds, r.Workspace); err != nil {
		return erasure, err
	}
	what := record{Erasure: erasure.ID, Alone: r.Alone, Searched: len(r.Subject.Values) > 0, Found: erasure.Found, Scopes: scopes}
	if !r.Alone {
		asked, err := e.agree(ctx, r, erasure.ID)
		if err != nil {
			return erasure, err
		}
		erasure.ID, what.Erasure, what.Asked = asked.ID, asked.ID, asked.By
		if asked.By == r.By {
			erasure.Status = "waiting"
			return erasure, e.note(ctx, r, ledger.ErasureRequested, ledger.Waiting, what)
		}
	}
	if err := e.note(ctx, r, ledger.ErasureRequested, ledger.OK, what); err != nil {
		return erasure, err
	}
	if len(scopes) > 0 {
		if err := e.Keyring.Shred(ctx, r.Workspace, scopes...); err != nil {
			return erasure, err
		}
	}
	for i, f := range e.Forgetters {
		if err := f.Drop(ctx, r.Workspace, r.Subject, each[i]); err != nil {
			return erasure, err
		}
	}
	complete := e.Now().Add(e.Keyring.Horizon())
	erasure.Status, erasure.Keys, erasure.Complete = "forgotten", len(scopes), &complete
	if err := e.note(ctx, r, ledger.ErasureDone, ledger.OK, what); err != nil {
		return erasure, err
	}
	return erasure, e.Store.Settle(ctx, r.Workspace, erasure.ID)
}

// agree gives the request about the same person that waits, this one if there was none. One that waited
// too long counts no more.
func (e *Eraser) agree(ctx context.Context, r Request, id steward.ErasureID) (Asked, error) {
	key, err := e.Keyring.Derive(ctx, r.Workspace, steward.WorkspaceScope, "erasure-requests")
	if err != nil {
		return Asked{}, err
	}
	about := hmac.New(sha256.New, key[:])
	names := make([]string, len(r.Subject.Records))
	for i, ref := range r.Subject.Records {
		names[i] = ref.String()
	}
	slices.Sort(names)
	_, _ = about.Write([]byte(strings.Join(names, "\n")))
	mine := Asked{ID: id, By: r.By, About: about.Sum(nil), At: e.Now()}
	asked, err := e.Store.Ask(ctx, r.Workspace, mine)
	if err != nil || e.Now().Sub(asked.At) < waits {
		return asked, err
	}
	if err := e.Store.Settle(ctx, r.Workspace, asked.ID); err != nil {
		return Asked{}, err
	}
	return e.Store.Ask(ctx, r.Workspace, mine)
}

func (e *Eraser) note(ctx context.Context, r Request, kind ledger.Kind, outcome string, what record) error {
	raw, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("retention: %w", err)
	}
	_, err = e.Ledger.Append(ctx, r.Workspace, ledger.Entry{
		Kind: kind, Caller: string(r.By), OnBehalfOf: r.By, System: "steward", Tool: "erase", Outcome: outcome, Targets: []string{string(what.Erasure)},
	}, ledger.Part{Scopes: []steward.Scope{steward.TimeScope(steward.ClassLedger, e.Now())}, Body: raw})
	return err
}
