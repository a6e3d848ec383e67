// Package credential answers: what did a system grant a member, and whose turn is it to renew that? It seals what it
// keeps; it doesn't know how a system is asked, nor what a credential is used for.
package credential

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/stewardhq/steward"
)

// Grant is what a system gave a member, and what is needed to have it renewed or ended. A token that somebody pasted
// has no LoginURL: only people can renew it. It prints and logs without its tokens.
type Grant struct {
	AccessToken  string    `json:"access_token"`
	RefreshToken string    `json:"refresh_token,omitempty"` // "" where the system gives none
	InstanceURL  string    `json:"instance_url"`            // whom the access token may be handed to; no trailing slash
	OrgID        string    `json:"org_id,omitempty"`        // whose it is
	UserID       string    `json:"user_id"`
	LoginURL     string    `json:"login_url,omitempty"`    // where it was granted: whom the refresh token may be handed to
	ClientID     string    `json:"client_id,omitempty"`    // to which app
	ServiceUser  string    `json:"service_user,omitempty"` // a user for whom Steward signs itself, instead of a refresh token
	Issued       time.Time `json:"issued,omitzero"`
}

// Renewable says whether another access token can be had without its user.
func (g Grant) Renewable() bool {
	return g.LoginURL != "" && (g.RefreshToken != "" || g.ServiceUser != "")
}

// Format writes a grant without its tokens, whatever the verb.
func (g Grant) Format(w fmt.State, _ rune) {
	_, _ = fmt.Fprintf(w, "grant of %s for user %s", g.InstanceURL, g.UserID) // as any Formatter, it has nobody to tell
}

// LogValue hides the tokens from slog.
func (g Grant) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(g)) }

// Owner is one member on one connection.
type Owner struct {
	Workspace  steward.WorkspaceID
	Connection steward.ConnectionID
	Member     steward.MemberID
}

// Place is where the owner's credential is sealed.
func (o Owner) Place() steward.Place {
	return steward.Place{Workspace: o.Workspace, Table: "credentials", Row: string(o.Connection) + "/" + string(o.Member)}
}

// Store keeps credentials, sealed.
type Store interface {
	// Credential is NotFound where the member has not connected.
	Credential(ctx context.Context, ws steward.WorkspaceID, id steward.ConnectionID, m steward.MemberID) (steward.Sealed, error)
	// AddCredential keeps a member's first; false where there is one.
	AddCredential(ctx context.Context, ws steward.WorkspaceID, id steward.ConnectionID, m steward.MemberID, s steward.Sealed) (bool, error)
	// SwapCredential replaces exactly the box that was read; false where another, or none, is there by now.
	SwapCredential(ctx context.Context, ws steward.WorkspaceID, id steward.ConnectionID, m steward.MemberID, was, now steward.Sealed) (bool, error)
	// DropCredential removes a member's; there need be none.
	DropCredential(ctx context.Context, ws steward.WorkspaceID, id steward.ConnectionID, m steward.MemberID) error
}

// Keep seals and opens credentials, and renews them in turn.
type Keep struct {
	Store  Store
	Sealer steward.Sealer
	Now    func() time.Time
}

const (
	// Patience is how long a renewal may take. Whoever began one and died is waited for no longer.
	Patience = 40 * time.Second
	poll     = 50 * time.Millisecond // how often those who wait for another's renewal look
)

// kept is what is sealed.
type kept struct {
	Grant
	Renewing time.Time `json:"renewing,omitzero"` // until when it is one call's turn, of all processes, to renew it
}

// Open opens a grant. Its error is of kind Gone where its key was destroyed.
func (k Keep) Open(ctx context.Context, of Owner, sealed steward.Sealed) (Grant, error) {
	c, err := k.open(ctx, of, sealed)
	return c.Grant, err
}

func (k Keep) open(ctx context.Context, of Owner, sealed steward.Sealed) (c kept, err error) {
	plain, err := k.Sealer.Open(ctx, of.Place(), sealed)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(plain, &c); err != nil {
		return c, fmt.Errorf("credential: %w", err)
	}
	return c, nil
}

// Get reads and opens the owner's grant. NotFound where there is none, Gone where its key was destroyed.
func (k Keep) Get(ctx context.Context, of Owner) (Grant, error) {
	c, _, err := k.get(ctx, of)
	return c.Grant, err
}

func (k Keep) get(ctx context.Context, of Owner) (c kept, sealed steward.Sealed, err error) {
	if sealed, err = k.Store.Credential(ctx, of.Workspace, of.Connection, of.Member); err == nil {
		c, err = k.open(ctx, of, sealed)
	}
	return c, sealed, err
}

// Seal seals a grant under the keys of scopes.
func (k Keep) Seal(ctx context.Context, of Owner, under []steward.Scope, g Grant) (steward.Sealed, error) {
	return k.seal(ctx, of, under, kept{Grant: g})
}

func (k Keep) seal(ctx context.Context, of Owner, under []steward.Scope, c kept) (steward.Sealed, error) {
	plain, err := json.Marshal(c)
	if err != nil {
		return steward.Sealed{}, fmt.Errorf("credential: %w", err)
	}
	return k.Sealer.Seal(ctx, of.Place(), under, plain)
}

// Turn is one call's right to renew a credential, alone among all calls of all processes until Patience is over.
type Turn struct {
	Grant  Grant // to be renewed
	keep   Keep
	of     Owner
	sealed steward.Sealed
}

// Turn waits until there is another grant than the one with the refused access token, or until it is the caller's turn
// to get one: then turn is set, and has to be ended. Kind Unauthenticated where it can't be renewed, NotFound or Gone
// where there is none any more.
func (k Keep) Turn(ctx context.Context, of Owner, refused string) (g Grant, turn *Turn, err error) {
	for range Patience/poll + 1 {
		now, sealed, err := k.get(ctx, of)
		if err != nil {
			return g, nil, err
		}
		if now.AccessToken != refused {
			return now.Grant, nil, nil
		}
		if !now.Renewable() {
			return g, nil, steward.Errorf(steward.Unauthenticated, "your sign-in at %s has ended; connect again with `steward connect %s`", of.Connection, of.Connection)
		}
		if !k.Now().Before(now.Renewing) {
			now.Renewing = k.Now().Add(Patience)
			mine, swapped, err := k.swap(ctx, of, sealed, now)
			if err != nil {
				return g, nil, err
			}
			if swapped {
				return g, &Turn{Grant: now.Grant, keep: k, of: of, sealed: mine}, nil
			}
			continue
		}
		select {
		case <-ctx.Done():
			return g, nil, ctx.Err()
		case <-time.After(poll):
		}
	}
	return g, nil, steward.Errorf(steward.Unavailable, "your sign-in at %s is still being renewed; try again in a minute", of.Connection)
}

// End keeps what the turn brought. A grant that can't be renewed for good (kind Unauthenticated) is not tried again; after
// other failures the next call has its turn. stands is false where
// somebody disconnected or connected anew meanwhile, so that nothing of it was kept.
func (t *Turn) End(ctx context.Context, g Grant, failed error) (stands bool, err error) {
	if failed != nil {
		g = t.Grant
	}
	if steward.KindOf(failed) == steward.Unauthenticated {
		g.RefreshToken, g.ServiceUser = "", ""
	}
	_, stands, err = t.keep.swap(ctx, t.of, t.sealed, kept{Grant: g})
	return stands, err
}

// swap seals under the key of what is replaced, which goes with it.
func (k Keep) swap(ctx context.Context, of Owner, was steward.Sealed, c kept) (now steward.Sealed, swapped bool, err error) {
	if now, err = k.seal(ctx, of, was.Scopes, c); err != nil {
		return now, false, err
	}
	swapped, err = k.Store.SwapCredential(ctx, of.Workspace, of.Connection, of.Member, was, now)
	return now, swapped, err
}
