package gateway

import (
	"context"
	"errors"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/credential"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
)

// renewed acts again, once, where the system answers that it doesn't accept the session any more and another can be had. An error of
// kind Unauthenticated proves that nothing was done, unless the connector says that it doesn't know.
func renewed[T any](ctx context.Context, t *toolTarget, act func(connector.Session) (T, error)) (T, error) {
	result, err := act(t.session)
	var theirs *connector.Error
	if steward.KindOf(err) != steward.Unauthenticated || errors.As(err, &theirs) && theirs.Unknown {
		return result, err
	}
	session, failed := t.g.renew(ctx, t.caller, t.call.Run, t.session)
	if failed != nil {
		return result, failed
	}
	t.session = session
	return act(session)
}

// renew gives a session with another credential than the one that was refused, which one call gets and all others wait for.
func (g *Gateway) renew(ctx context.Context, caller identity.Caller, run steward.RunID, refused connector.Session) (session connector.Session, err error) {
	owner := credential.Owner{Workspace: caller.Workspace(), Connection: refused.Connection, Member: caller.Member()}
	granted, turn, err := g.Keep().Turn(ctx, owner, string(refused.AccessToken))
	if err != nil {
		return session, err
	}
	if turn != nil {
		if granted, err = g.takeTurn(context.WithoutCancel(ctx), caller, run, owner, turn); err != nil {
			return session, err
		}
	}
	if granted.InstanceURL != refused.InstanceURL {
		return session, steward.Errorf(steward.Conflict, "%s is at another address by now; ask again", refused.Connection)
	}
	refused.AccessToken = connector.Secret(granted.AccessToken)
	return refused, nil
}

// takeTurn has a credential renewed, on record. A crash between the login server's answer and the end of the turn loses
// a refresh token that was rotated: then the member has to connect again.
func (g *Gateway) takeTurn(ctx context.Context, caller identity.Caller, run steward.RunID, owner credential.Owner, turn *credential.Turn) (granted credential.Grant, failed error) {
	ctx, cancel := context.WithTimeout(ctx, credential.Patience)
	defer cancel()
	e := g.entry(caller, run)
	e.Kind, e.System, e.Tool = ledger.CallIntent, string(owner.Connection), "renew_credential"
	intent, err := g.Ledger.Begin(ctx, owner.Workspace, e)
	if err != nil {
		return granted, err
	}
	if renewer := g.Renewers[string(owner.Connection)]; renewer == nil {
		failed = steward.Errorf(steward.Unavailable, "this server isn't set up to renew sign-ins at %s; its operator can do that", owner.Connection)
	} else if client, err := g.Client(owner.Workspace, turn.Grant.LoginURL); err != nil {
		failed = err
	} else {
		granted, failed = renewer.Renew(ctx, client, turn.Grant)
	}
	stands, err := turn.End(ctx, granted, failed)
	if failed == nil && (err != nil || !stands) {
		failed = steward.Errorf(steward.Conflict, "your sign-in at %s changed meanwhile; ask again", owner.Connection).Because(err)
	}
	if failed != nil && granted.AccessToken != turn.Grant.AccessToken {
		failed = g.GiveBack(ctx, &system{g: g}, owner, granted, failed)
	}
	outcome, parts := g.done(outcomeBody{}, 0, failed).entry(e, failed)
	ending, done := context.WithTimeout(context.WithoutCancel(ctx), outcomeDeadline)
	defer done()
	if _, err := g.Ledger.End(ending, intent, outcome, parts...); err != nil {
		return granted, err
	}
	return granted, failed
}
