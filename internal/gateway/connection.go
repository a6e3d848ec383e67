package gateway

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/credential"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/policy"
)

// keep seals and opens credentials.
func (g *Gateway) keep() credential.Keep {
	return credential.Keep{Store: g.Credentials, Sealer: g.Sealer, Now: g.Now}
}

// session gathers what a call acts with: the member's own credential on the workspace's connection.
func (g *Gateway) session(ctx context.Context, caller identity.Caller, id steward.ConnectionID) (connector.Session, error) {
	granted, err := g.credential(ctx, caller, id)
	if err != nil {
		return connector.Session{}, err
	}
	return g.sessionWith(caller.Workspace(), id, granted)
}

// credential opens the member's own credential. An error of kind Unauthenticated says what to connect.
func (g *Gateway) credential(ctx context.Context, caller identity.Caller, id steward.ConnectionID) (granted credential.Grant, err error) {
	connection, err := g.Connections.Connection(ctx, caller.Workspace(), id)
	if steward.KindOf(err) == steward.NotFound {
		return granted, steward.Errorf(steward.Unauthenticated, "%s isn't connected to this workspace yet; an administrator connects it with `steward connect %s`", id, id).Because(err)
	} else if err != nil {
		return granted, err
	}
	granted, err = g.keep().Get(ctx, credential.Owner{Workspace: caller.Workspace(), Connection: id, Member: caller.Member()})
	if kind := steward.KindOf(err); err != nil && (kind == steward.NotFound || kind == steward.Gone) {
		return granted, steward.Errorf(steward.Unauthenticated, "you have not connected your own %s account; do so with `steward connect %s`", id, id).Because(err)
	} else if err == nil && granted.InstanceURL != connection.InstanceURL {
		err = steward.Errorf(steward.Unauthenticated, "%s is at another address since you connected your account; connect it again with `steward connect %s`", id, id)
	}
	return granted, err
}

// accounts names the caller's own users at the systems they connected, for the model: "salesforce user 005…".
func (g *Gateway) accounts(ctx context.Context, caller identity.Caller) ([]string, error) {
	var own []string
	for _, system := range slices.Sorted(maps.Keys(g.Connectors)) {
		granted, err := g.credential(ctx, caller, steward.ConnectionID(system))
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
	err = g.Govern(ctx, caller, Act{
		Kind: ledger.ConnectionAdded, Action: policy.Manage, Stored: "connections", Owner: member, System: string(id),
	}, func(ctx context.Context) error {
		granted, err := grant(ctx)
		if err == nil {
			who, err = g.connect(ctx, caller, owner, granted)
		}
		if err != nil {
			return g.giveBack(ctx, owner, granted, err)
		}
		return nil
	})
	return who, err
}

func (g *Gateway) connect(ctx context.Context, caller identity.Caller, owner credential.Owner, granted credential.Grant) (who connector.Identity, err error) {
	id := owner.Connection
	address, err := url.Parse(granted.InstanceURL)
	if err != nil || address.Host == "" || address.Path != "" || address.RawQuery != "" || address.User != nil ||
		(address.Scheme != "https" && address.Scheme != "http") {
		return who, steward.Errorf(steward.Invalid, "the instance URL looks like https://acme.my.salesforce.com, without a path")
	}
	granted.InstanceURL = address.String()
	link := Connection{ID: id, InstanceURL: granted.InstanceURL, Created: g.Now()}
	known, err := g.Connections.Connection(ctx, caller.Workspace(), id)
	switch {
	case err == nil:
		// Only the address that an administrator chose is ever given a credential.
		if known.InstanceURL != link.InstanceURL && caller.Role() != steward.Admin {
			return who, steward.Errorf(steward.Denied, "this workspace is connected to another address; only an administrator can change it")
		}
		link.OrgID, link.Created = known.OrgID, known.Created
	case steward.KindOf(err) != steward.NotFound:
		return who, err
	case caller.Role() != steward.Admin:
		return who, steward.Errorf(steward.Denied, "%s isn't connected to this workspace yet; an administrator has to connect it first", id)
	}
	session, err := g.sessionWith(caller.Workspace(), id, granted)
	if err != nil {
		return who, err
	}
	who, err = g.Connectors[string(id)].Identify(ctx, session)
	if err != nil {
		return who, err
	}
	for _, org := range []string{link.OrgID, granted.OrgID} {
		if org != "" && org != who.OrgID {
			return who, steward.Errorf(steward.Conflict, "this credential belongs to another organisation than the one connected; use one of the same organisation")
		}
	}
	link.OrgID, granted.OrgID, granted.UserID = who.OrgID, who.OrgID, who.UserID
	// A key of its own each time: the one of before can go, and once it is gone one can connect again.
	scope := steward.CredentialScope(id, owner.Member) + steward.Scope("/"+steward.NewID(g.Rand, "cred"))
	sealed, err := g.keep().Seal(ctx, owner, []steward.Scope{scope}, granted)
	if err != nil {
		return who, err
	}
	if err := g.Connections.PutConnection(ctx, caller.Workspace(), link); err != nil {
		return who, err
	}
	before, err := g.Credentials.Credential(ctx, caller.Workspace(), id, owner.Member)
	if steward.KindOf(err) == steward.NotFound {
		return who, g.Credentials.PutCredential(ctx, caller.Workspace(), id, owner.Member, sealed)
	} else if err != nil {
		return who, err
	}
	// What stays valid there and can't be opened here any more would be nobody's to end.
	if old, err := g.keep().Open(ctx, owner, before); err == nil && old.LoginURL != "" {
		if err := g.end(ctx, owner, old); err != nil {
			return who, err
		}
	}
	if swapped, err := g.Credentials.SwapCredential(ctx, caller.Workspace(), id, owner.Member, before, sealed); err != nil || !swapped {
		return who, steward.Errorf(steward.Conflict, "your sign-in at %s changed meanwhile; connect again", id).Because(err)
	}
	return who, g.Shredder.Shred(ctx, caller.Workspace(), before.Scopes...)
}
