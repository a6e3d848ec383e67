package gateway

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/credential"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/policy"
)

// Connect links a member to a system with a token that somebody has at hand.
func (g *Gateway) Connect(ctx context.Context, caller identity.Caller, member steward.MemberID, id steward.ConnectionID, instanceURL, accessToken string) (connector.Identity, error) {
	return g.ConnectBy(ctx, caller, member, id, func(context.Context) (credential.Grant, error) {
		if accessToken == "" {
			return credential.Grant{}, steward.Errorf(steward.Invalid, "an access token is needed to connect")
		}
		return credential.Grant{InstanceURL: strings.TrimRight(instanceURL, "/"), AccessToken: accessToken}, nil
	})
}

// ConnectBy links a member to a system with what the system grants them, after asking it whose that is. A grant that
// can't be used is revoked, also where grant gives it with an error.
func (g *Gateway) ConnectBy(ctx context.Context, caller identity.Caller, member steward.MemberID, id steward.ConnectionID, grant func(context.Context) (credential.Grant, error)) (who connector.Identity, err error) {
	// The name of a system that doesn't exist is free text: not for the ledger.
	if _, ok := g.Connectors[string(id)]; !ok {
		return who, steward.Errorf(steward.Invalid, "Steward can't connect to %q; it knows %s", id, strings.Join(slices.Sorted(maps.Keys(g.Connectors)), ", "))
	}
	owner := credential.Owner{Workspace: caller.Workspace(), Connection: id, Member: member}
	at := system{g: g}
	err = g.Govern(ctx, caller, Act{
		Kind: ledger.ConnectionAdded, Action: policy.Manage, Stored: "connections", Owner: member, System: string(id),
	}, func(ctx context.Context) error {
		granted, err := grant(ctx)
		if err == nil {
			err = g.Link(ctx, &at, owner, caller.Role() == steward.Admin, granted)
		}
		if err != nil {
			return g.GiveBack(ctx, &at, owner, granted, err)
		}
		return nil
	})
	return at.who, err
}

// Disconnect ends what Connect began for a member: the system is told to accept the credential no more, its key is
// destroyed whatever the system says, that is certified, and its row goes: until then another try goes on from there.
// Kind NotFound where the member isn't connected.
func (g *Gateway) Disconnect(ctx context.Context, caller identity.Caller, member steward.MemberID, id steward.ConnectionID, certify func(context.Context, credential.Disconnected) error) (done credential.Disconnected, err error) {
	if _, ok := g.Connectors[string(id)]; !ok { // free text: not for the ledger
		return done, steward.Errorf(steward.Invalid, "Steward can't be connected to %q; it knows %s", id, strings.Join(slices.Sorted(maps.Keys(g.Connectors)), ", "))
	}
	err = g.Govern(ctx, caller, Act{Action: policy.Manage, Stored: "connections", Owner: member, System: string(id), Targets: []string{string(member)}}, func(ctx context.Context) error {
		done, err = g.Unlink(ctx, &system{g: g}, credential.Owner{Workspace: caller.Workspace(), Connection: id, Member: member}, certify)
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

// session gathers what a call acts with: the member's own credential on the workspace's connection.
func (g *Gateway) session(ctx context.Context, caller identity.Caller, id steward.ConnectionID) (connector.Session, error) {
	granted, err := g.Mine(ctx, owner(caller, id))
	if err != nil {
		return connector.Session{}, err
	}
	return g.sessionWith(caller.Workspace(), id, granted)
}

// accounts names the caller's own users at the systems they connected, for the model: "salesforce user 005…".
func (g *Gateway) accounts(ctx context.Context, caller identity.Caller) ([]string, error) {
	var own []string
	for _, system := range slices.Sorted(maps.Keys(g.Connectors)) {
		granted, err := g.Mine(ctx, owner(caller, steward.ConnectionID(system)))
		if steward.KindOf(err) == steward.Unauthenticated {
			continue
		}
		if err != nil {
			return nil, err
		}
		own = append(own, system+" user "+granted.UserID)
	}
	return own, nil
}

func (g *Gateway) sessionWith(ws steward.WorkspaceID, id steward.ConnectionID, granted credential.Grant) (connector.Session, error) {
	client, err := g.Client(ws, granted.InstanceURL)
	return connector.Session{Connection: id, InstanceURL: granted.InstanceURL, AccessToken: connector.Secret(granted.AccessToken), HTTP: client}, err
}

// owner is whose credential a call acts with: the caller's own.
func owner(caller identity.Caller, id steward.ConnectionID) credential.Owner {
	return credential.Owner{Workspace: caller.Workspace(), Connection: id, Member: caller.Member()}
}

// revoker is a connector of a system that can be told to accept a credential no more.
type revoker interface {
	// Revoke is nil too where the system accepts it no more already.
	Revoke(ctx context.Context, s connector.Session) error
}

// system asks a system about a grant that isn't anybody's yet, or no more. It implements credential.System.
type system struct {
	g   *Gateway
	who connector.Identity // once it has said so
}

// Identify implements credential.System.
func (s *system) Identify(ctx context.Context, of credential.Owner, granted credential.Grant) (orgID, userID string, err error) {
	session, err := s.g.sessionWith(of.Workspace, of.Connection, granted)
	if err == nil {
		s.who, err = s.g.Connectors[string(of.Connection)].Identify(ctx, session)
	}
	return s.who.OrgID, s.who.UserID, err
}

// Revoke implements credential.System. It asks whom the grant was handed over for, though the connection may lead elsewhere by now.
func (s *system) Revoke(ctx context.Context, of credential.Owner, granted credential.Grant) error {
	there, can := s.g.Connectors[string(of.Connection)].(revoker)
	if !can {
		return steward.Errorf(steward.Upstream, "Steward can't tell %s so; end the session there", of.Connection)
	}
	session, err := s.g.sessionWith(of.Workspace, of.Connection, granted)
	if err != nil {
		return err
	}
	return there.Revoke(ctx, session)
}
