package credential

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/stewardhq/steward"
)

// Accounts is what members were granted at systems, how it is renewed, and how all of that ends.
type Accounts struct {
	Connections ConnectionStore
	Credentials Store
	Sealer      steward.Sealer
	Renewers    map[string]Renewer // by the name of their system; none for those whose credentials only people can renew
	Shredder    interface {
		Shred(ctx context.Context, ws steward.WorkspaceID, scopes ...steward.Scope) error
	}
	// Client makes the HTTP client for one workspace's connection: it reaches that address only.
	Client func(ws steward.WorkspaceID, instanceURL string) (*http.Client, error)
	Now    func() time.Time
	Rand   io.Reader
}

// System is the system itself, for what only it can say or do.
type System interface {
	// Identify tells whose a grant is.
	Identify(ctx context.Context, of Owner, granted Grant) (orgID, userID string, err error)
	// Revoke has the system accept a grant no more; nil too where it doesn't already.
	Revoke(ctx context.Context, of Owner, granted Grant) error
}

// Connection is a workspace's link to an outside system.
type Connection struct {
	ID          steward.ConnectionID
	InstanceURL string
	OrgID       string // who answered first; another org behind the same link is refused
	Created     time.Time
}

// ConnectionStore keeps connections.
type ConnectionStore interface {
	// Connection is NotFound where the workspace has none of this id.
	Connection(ctx context.Context, ws steward.WorkspaceID, id steward.ConnectionID) (Connection, error)
	Connections(ctx context.Context, ws steward.WorkspaceID) ([]Connection, error)
	// PutConnection adds or replaces.
	PutConnection(ctx context.Context, ws steward.WorkspaceID, c Connection) error
}

// Renewer renews what a system's login server granted, and ends it. client reaches that server only.
type Renewer interface {
	// Renew gives the grant with another access token. Kind Unauthenticated: the login server refuses for good.
	Renew(ctx context.Context, client *http.Client, granted Grant) (Grant, error)
	// Revoke is nil too where the login server accepts the grant no more already.
	Revoke(ctx context.Context, client *http.Client, granted Grant) error
}

// Disconnected is what came of Disconnect.
type Disconnected struct {
	Member  steward.MemberID
	System  steward.ConnectionID
	Scopes  []steward.Scope // whose keys were destroyed
	Revoked bool            // the system itself accepts the credential no more
	Why     string          // not, in words for people
	At      time.Time
}

// revokeTimeout is how long a system may take to answer before the key goes all the same.
const revokeTimeout = 15 * time.Second

// Keep seals and opens credentials.
func (a Accounts) Keep() Keep {
	return Keep{Store: a.Credentials, Sealer: a.Sealer, Now: a.Now}
}

// Mine opens the member's own grant. An error of kind Unauthenticated says what to connect.
func (a Accounts) Mine(ctx context.Context, of Owner) (granted Grant, err error) {
	id := of.Connection
	connection, err := a.Connections.Connection(ctx, of.Workspace, id)
	if steward.KindOf(err) == steward.NotFound {
		return granted, steward.Errorf(steward.Unauthenticated, "%s isn't connected to this workspace yet; an administrator connects it with `steward connect %s`", id, id).Because(err)
	} else if err != nil {
		return granted, err
	}
	granted, err = a.Keep().Get(ctx, of)
	if kind := steward.KindOf(err); err != nil && (kind == steward.NotFound || kind == steward.Gone) {
		return granted, steward.Errorf(steward.Unauthenticated, "you have not connected your own %s account; do so with `steward connect %s`", id, id).Because(err)
	} else if err == nil && granted.InstanceURL != connection.InstanceURL {
		err = steward.Errorf(steward.Unauthenticated, "%s is at another address since you connected your account; connect it again with `steward connect %s`", id, id)
	}
	return granted, err
}

// Link keeps what a system granted a member, after asking the system whose that is; what was granted before is ended. Only
// an administrator may link a workspace to an address for the first time, or to another.
func (a Accounts) Link(ctx context.Context, at System, owner Owner, isAdmin bool, granted Grant) error {
	id := owner.Connection
	address, err := url.Parse(granted.InstanceURL)
	if err != nil || address.Host == "" || address.Path != "" || address.RawQuery != "" || address.User != nil ||
		(address.Scheme != "https" && address.Scheme != "http") {
		return steward.Errorf(steward.Invalid, "the instance URL looks like https://acme.my.salesforce.com, without a path")
	}
	granted.InstanceURL = address.String()
	link := Connection{ID: id, InstanceURL: granted.InstanceURL, Created: a.Now()}
	known, err := a.Connections.Connection(ctx, owner.Workspace, id)
	switch {
	case err == nil:
		// Only the address that an administrator chose is ever given a credential.
		if known.InstanceURL != link.InstanceURL && !isAdmin {
			return steward.Errorf(steward.Denied, "this workspace is connected to another address; only an administrator can change it")
		}
		link.OrgID, link.Created = known.OrgID, known.Created
	case steward.KindOf(err) != steward.NotFound:
		return err
	case !isAdmin:
		return steward.Errorf(steward.Denied, "%s isn't connected to this workspace yet; an administrator has to connect it first", id)
	}
	orgID, userID, err := at.Identify(ctx, owner, granted)
	if err != nil {
		return err
	}
	for _, org := range []string{link.OrgID, granted.OrgID} {
		if org != "" && org != orgID {
			return steward.Errorf(steward.Conflict, "this credential belongs to another organisation than the one connected; use one of the same organisation")
		}
	}
	link.OrgID, granted.OrgID, granted.UserID = orgID, orgID, userID
	// A key of its own each time: the one of before can go, and once it is gone one can connect again.
	scope := steward.CredentialScope(id, owner.Member) + steward.Scope("/"+steward.NewID(a.Rand, "cred"))
	sealed, err := a.Keep().Seal(ctx, owner, []steward.Scope{scope}, granted)
	if err != nil {
		return err
	}
	if err := a.Connections.PutConnection(ctx, owner.Workspace, link); err != nil {
		return err
	}
	before, err := a.Credentials.Credential(ctx, owner.Workspace, id, owner.Member)
	if steward.KindOf(err) == steward.NotFound {
		if added, err := a.Credentials.AddCredential(ctx, owner.Workspace, id, owner.Member, sealed); err != nil || !added {
			return meanwhile(id, err)
		}
		return nil
	} else if err != nil {
		return err
	}
	// What stays valid there and can't be opened here any more would be nobody's to end.
	if old, err := a.Keep().Open(ctx, owner, before); err == nil && old.LoginURL != "" {
		if err := a.end(ctx, at, owner, old); err != nil {
			return err
		}
	}
	if swapped, err := a.Credentials.SwapCredential(ctx, owner.Workspace, id, owner.Member, before, sealed); err != nil || !swapped {
		return meanwhile(id, err)
	}
	return a.Shredder.Shred(ctx, owner.Workspace, before.Scopes...)
}

// meanwhile says that another connection was quicker, or why it can't be known.
func meanwhile(id steward.ConnectionID, err error) error {
	return steward.Errorf(steward.Conflict, "your sign-in at %s changed meanwhile; connect again", id).Because(err)
}

// Unlink has the system accept a member's grant no more, destroys its key whatever the system says, has that certified,
// and drops the row: until then another try goes on from there. Kind NotFound where there is none.
func (a Accounts) Unlink(ctx context.Context, at System, owner Owner, certify func(context.Context, Disconnected) error) (Disconnected, error) {
	id := owner.Connection
	sealed, err := a.Credentials.Credential(ctx, owner.Workspace, id, owner.Member)
	if steward.KindOf(err) == steward.NotFound {
		return Disconnected{}, steward.Errorf(steward.NotFound, "there is no %s account to disconnect; none is connected for this member", id).Because(err)
	}
	if err != nil {
		return Disconnected{}, err
	}
	done := Disconnected{Member: owner.Member, System: id, Scopes: sealed.Scopes}
	granted, failed := a.Keep().Open(ctx, owner, sealed)
	if failed == nil {
		failed = a.end(ctx, at, owner, granted)
	}
	if steward.KindOf(failed) == steward.Gone {
		failed = steward.Errorf(steward.Gone, "an earlier try destroyed its key and came no further; if %s wasn't told then, end the session there", id)
	}
	if failed != nil {
		done.Why = steward.Message(failed)
	} else {
		done.Revoked = true
	}
	// A crash up to here leaves what another try finds revoked; from here on, a row that nothing opens.
	if err := a.Shredder.Shred(ctx, owner.Workspace, sealed.Scopes...); err != nil {
		return done, err
	}
	done.At = a.Now()
	ctx = context.WithoutCancel(ctx)
	if err := certify(ctx, done); err != nil {
		return done, err
	}
	return done, a.Credentials.DropCredential(ctx, owner.Workspace, id, owner.Member)
}

// end tells whoever gave a grant to accept it no more: the login server, or where there was none the system itself.
func (a Accounts) end(ctx context.Context, at System, of Owner, granted Grant) error {
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	if renewer := a.Renewers[string(of.Connection)]; renewer != nil && granted.LoginURL != "" {
		client, err := a.Client(of.Workspace, granted.LoginURL)
		if err != nil {
			return err
		}
		return renewer.Revoke(ctx, client, granted)
	}
	return at.Revoke(ctx, of, granted)
}

// GiveBack ends a grant that came to nothing, and says so in the error where it can't be ended.
func (a Accounts) GiveBack(ctx context.Context, at System, of Owner, granted Grant, why error) error {
	if granted.LoginURL == "" || granted.AccessToken == "" {
		return why // nothing came, or it was somebody's before
	}
	if err := a.end(context.WithoutCancel(ctx), at, of, granted); err != nil {
		return steward.Errorf(steward.KindOf(why), "%s. What %s granted could not be revoked; end the session there", steward.Message(why), of.Connection).Because(errors.Join(why, err))
	}
	return why
}
