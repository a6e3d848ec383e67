package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/policy"
)

// credential is what is sealed of a member's sign-in at a system.
type credential struct {
	AccessToken string `json:"access_token"`
	UserID      string `json:"user_id"`      // who the system says the member is
	InstanceURL string `json:"instance_url"` // whom it was handed over for; nobody else is ever given it
}

// session gathers what a call acts with: the member's own credential on the workspace's connection.
func (g *Gateway) session(ctx context.Context, caller identity.Caller, id steward.ConnectionID) (connector.Session, error) {
	connection, secret, err := g.credential(ctx, caller, id)
	if err != nil {
		return connector.Session{}, err
	}
	return g.sessionWith(caller.Workspace(), connection, secret)
}

// credential opens the member's own credential. An error of kind Unauthenticated says what to connect.
func (g *Gateway) credential(ctx context.Context, caller identity.Caller, id steward.ConnectionID) (Connection, credential, error) {
	connection, err := g.Connections.Connection(ctx, caller.Workspace(), id)
	if err != nil {
		if steward.KindOf(err) == steward.NotFound {
			err = steward.Errorf(steward.Unauthenticated, "%s isn't connected to this workspace yet; an administrator connects it with `steward connect %s`", id, id).Because(err)
		}
		return Connection{}, credential{}, err
	}
	sealed, err := g.Connections.Credential(ctx, caller.Workspace(), id, caller.Member())
	if kind := steward.KindOf(err); err != nil && (kind == steward.NotFound || kind == steward.Gone) {
		return Connection{}, credential{}, steward.Errorf(steward.Unauthenticated, "you have not connected your own %s account; do so with `steward connect %s`", id, id).Because(err)
	} else if err != nil {
		return Connection{}, credential{}, err
	}
	plain, err := g.Sealer.Open(ctx, credentialPlace(caller.Workspace(), id, caller.Member()), sealed)
	if err != nil {
		return Connection{}, credential{}, err
	}
	var secret credential
	if err := json.Unmarshal(plain, &secret); err != nil {
		return Connection{}, credential{}, fmt.Errorf("gateway: credential: %w", err)
	}
	if secret.InstanceURL != connection.InstanceURL {
		return Connection{}, credential{}, steward.Errorf(steward.Unauthenticated, "%s is at another address since you connected your account; connect it again with `steward connect %s`", id, id)
	}
	return connection, secret, nil
}

// accounts names the caller's own users at the systems they connected, for the model: "salesforce user 005…".
func (g *Gateway) accounts(ctx context.Context, caller identity.Caller) ([]string, error) {
	var own []string
	for _, system := range slices.Sorted(maps.Keys(g.Connectors)) {
		_, secret, err := g.credential(ctx, caller, steward.ConnectionID(system))
		if steward.KindOf(err) == steward.Unauthenticated {
			continue
		}
		if err != nil {
			return nil, err
		}
		own = append(own, system+" user "+secret.UserID)
	}
	return own, nil
}

func (g *Gateway) sessionWith(ws steward.WorkspaceID, c Connection, secret credential) (connector.Session, error) {
	client, err := g.Client(ws, c.InstanceURL)
	return connector.Session{
		Connection: c.ID, InstanceURL: c.InstanceURL, AccessToken: connector.Secret(secret.AccessToken), HTTP: client,
	}, err
}

// Connect links a member to a system with their own credential, after asking the system whose it is.
func (g *Gateway) Connect(ctx context.Context, caller identity.Caller, member steward.MemberID, id steward.ConnectionID, instanceURL, accessToken string) (connector.Identity, error) {
	var who connector.Identity
	// The name of a system that doesn't exist is free text: not for the ledger.
	if _, ok := g.Connectors[string(id)]; !ok {
		return who, steward.Errorf(steward.Invalid, "Steward can't connect to %q; it knows %s", id, strings.Join(slices.Sorted(maps.Keys(g.Connectors)), ", "))
	}
	err := g.Govern(ctx, caller, Act{
		Kind: ledger.ConnectionAdded, Action: policy.Manage, Stored: "connections", Owner: member, System: string(id),
	}, func(ctx context.Context) (err error) {
		who, err = g.connect(ctx, caller, member, id, instanceURL, accessToken)
		return err
	})
	return who, err
}

func (g *Gateway) connect(ctx context.Context, caller identity.Caller, member steward.MemberID, id steward.ConnectionID, instanceURL, accessToken string) (connector.Identity, error) {
	address, err := url.Parse(strings.TrimRight(instanceURL, "/"))
	if err != nil || address.Host == "" || address.Path != "" || address.RawQuery != "" || address.User != nil ||
		(address.Scheme != "https" && address.Scheme != "http") {
		return connector.Identity{}, steward.Errorf(steward.Invalid, "the instance URL looks like https://acme.my.salesforce.com, without a path")
	}
	if accessToken == "" {
		return connector.Identity{}, steward.Errorf(steward.Invalid, "an access token is needed to connect")
	}
	secret := credential{AccessToken: accessToken, InstanceURL: address.String()}
	link := Connection{ID: id, InstanceURL: address.String(), Created: g.Now()}
	known, err := g.Connections.Connection(ctx, caller.Workspace(), id)
	switch {
	case err == nil:
		// Only the address that an administrator chose is ever given a credential.
		if known.InstanceURL != link.InstanceURL && caller.Role() != steward.Admin {
			return connector.Identity{}, steward.Errorf(steward.Denied, "this workspace is connected to another address; only an administrator can change it")
		}
		link.OrgID, link.Created = known.OrgID, known.Created
	case steward.KindOf(err) != steward.NotFound:
		return connector.Identity{}, err
	case caller.Role() != steward.Admin:
		return connector.Identity{}, steward.Errorf(steward.Denied, "%s isn't connected to this workspace yet; an administrator has to connect it first", id)
	}
	session, err := g.sessionWith(caller.Workspace(), link, secret)
	if err != nil {
		return connector.Identity{}, err
	}
	who, err := g.Connectors[string(id)].Identify(ctx, session)
	if err != nil {
		return connector.Identity{}, err
	}
	if link.OrgID != "" && link.OrgID != who.OrgID {
		return connector.Identity{}, steward.Errorf(steward.Conflict, "this credential belongs to another organisation than the one connected; use one of the same organisation")
	}
	link.OrgID, secret.UserID = who.OrgID, who.UserID
	plain, err := json.Marshal(secret)
	if err != nil {
		return connector.Identity{}, fmt.Errorf("gateway: credential: %w", err)
	}
	// A key of its own each time: the one of before can go, and once it is gone one can connect again.
	scope := steward.CredentialScope(id, member) + steward.Scope("/"+steward.NewID(g.Rand, "cred"))
	sealed, err := g.Sealer.Seal(ctx, credentialPlace(caller.Workspace(), id, member), []steward.Scope{scope}, plain)
	if err != nil {
		return connector.Identity{}, err
	}
	if err := g.Connections.PutConnection(ctx, caller.Workspace(), link); err != nil {
		return connector.Identity{}, err
	}
	before, err := g.Connections.Credential(ctx, caller.Workspace(), id, member)
	if err != nil && steward.KindOf(err) != steward.NotFound {
		return connector.Identity{}, err
	}
	if err := g.Connections.PutCredential(ctx, caller.Workspace(), id, member, sealed); err != nil || len(before.Scopes) == 0 {
		return who, err
	}
	return who, g.Shredder.Shred(ctx, caller.Workspace(), before.Scopes...)
}

func credentialPlace(ws steward.WorkspaceID, id steward.ConnectionID, m steward.MemberID) steward.Place {
	return steward.Place{Workspace: ws, Table: "credentials", Row: string(id) + "/" + string(m)}
}
