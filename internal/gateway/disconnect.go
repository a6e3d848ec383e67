package gateway

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/credential"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/policy"
)

// revoker is a connector of a system that can be told to accept a credential no more.
type revoker interface {
	// Revoke is nil too where the system accepts it no more already.
	Revoke(ctx context.Context, s connector.Session) error
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

// Disconnect ends what Connect began for a member: the system is told to accept the credential no more, its key is
// destroyed whatever the system says, that is certified, and its row goes: until then another try goes on from there.
// Kind NotFound where the member isn't connected.
func (g *Gateway) Disconnect(ctx context.Context, caller identity.Caller, member steward.MemberID, id steward.ConnectionID, certify func(context.Context, Disconnected) error) (done Disconnected, err error) {
	if _, ok := g.Connectors[string(id)]; !ok { // free text: not for the ledger
		return done, steward.Errorf(steward.Invalid, "Steward can't be connected to %q; it knows %s", id, strings.Join(slices.Sorted(maps.Keys(g.Connectors)), ", "))
	}
	err = g.Govern(ctx, caller, Act{Action: policy.Manage, Stored: "connections", Owner: member, System: string(id), Targets: []string{string(member)}}, func(ctx context.Context) error {
		done, err = g.disconnect(ctx, caller.Workspace(), member, id, certify)
		if err != nil {
			return err
		}
		e := g.entry(caller, "")
		e.Kind, e.System, e.Targets, e.Outcome = ledger.ConnectionRemoved, string(id), []string{string(member)}, ledger.OK
		if !done.Revoked {
			e.Error = "not_revoked"
		}
		_, err := g.Ledger.Append(context.WithoutCancel(ctx), caller.Workspace(), e)
		return err
	})
	return done, err
}

func (g *Gateway) disconnect(ctx context.Context, ws steward.WorkspaceID, member steward.MemberID, id steward.ConnectionID, certify func(context.Context, Disconnected) error) (Disconnected, error) {
	sealed, err := g.Credentials.Credential(ctx, ws, id, member)
	if steward.KindOf(err) == steward.NotFound {
		return Disconnected{}, steward.Errorf(steward.NotFound, "there is no %s account to disconnect; none is connected for this member", id).Because(err)
	}
	if err != nil {
		return Disconnected{}, err
	}
	done := Disconnected{Member: member, System: id, Scopes: sealed.Scopes}
	owner := credential.Owner{Workspace: ws, Connection: id, Member: member}
	granted, failed := g.keep().Open(ctx, owner, sealed)
	if failed == nil {
		failed = g.end(ctx, owner, granted)
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
	if err := g.Shredder.Shred(ctx, ws, sealed.Scopes...); err != nil {
		return done, err
	}
	done.At = g.Now()
	ctx = context.WithoutCancel(ctx)
	if err := certify(ctx, done); err != nil {
		return done, err
	}
	return done, g.Credentials.DropCredential(ctx, ws, id, member)
}

// end tells whoever gave a grant to accept it no more: the login server, or where there was none the system itself.
func (g *Gateway) end(ctx context.Context, of credential.Owner, granted credential.Grant) error {
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	if renewer := g.Renewers[string(of.Connection)]; renewer != nil && granted.LoginURL != "" {
		client, err := g.Client(of.Workspace, granted.LoginURL)
		if err != nil {
			return err
		}
		return renewer.Revoke(ctx, client, granted)
	}
	system, can := g.Connectors[string(of.Connection)].(revoker)
	if !can {
		return steward.Errorf(steward.Upstream, "Steward can't tell %s so; end the session there", of.Connection)
	}
	// Whom it was handed over for, though the connection may lead elsewhere by now.
	session, err := g.sessionWith(of.Workspace, of.Connection, granted)
	if err != nil {
		return err
	}
	return system.Revoke(ctx, session)
}

// giveBack ends a grant that came to nothing, and says so in the error where it can't be ended.
func (g *Gateway) giveBack(ctx context.Context, of credential.Owner, granted credential.Grant, why error) error {
	if granted.LoginURL == "" || granted.AccessToken == "" {
		return why // nothing came, or it was somebody's before
	}
	if err := g.end(context.WithoutCancel(ctx), of, granted); err != nil {
		return steward.Errorf(steward.KindOf(why), "%s. What %s granted could not be revoked; end the session there", steward.Message(why), of.Connection).Because(errors.Join(why, err))
	}
	return why
}
