// Package providers answers: how is a provider of models registered, on record? Whatever it does goes through the
// gateway's door; it doesn't know what a request looks like.
package providers

import (
	"context"
	"strconv"

	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/llm/register"
	"github.com/stewardhq/steward/internal/policy"
)

// Entry is one version of a provider, as it is shown.
type Entry = register.Entry

// Desk is where administrators register providers.
type Desk struct {
	Book *register.Book
	Door *gateway.Gateway
}

// List shows all versions.
func (d Desk) List(ctx context.Context, caller identity.Caller) ([]Entry, error) {
	act := gateway.Act{Kind: ledger.StoredRead, Action: policy.View, Stored: "settings", Targets: []string{"providers"}}
	if err := d.Door.Permit(ctx, caller, act); err != nil {
		return nil, err
	}
	all, err := d.Book.Store.Entries(ctx, caller.Workspace())
	return append([]Entry{}, all...), err
}

// Register proposes a provider. In a workspace with a single administrator there is nobody else to agree, so it is approved
// as well; that is a step of its own on record, which says so.
func (d Desk) Register(ctx context.Context, caller identity.Caller, p llm.Provider) (e Entry, err error) {
	if err := d.Book.Validate(p); err != nil { // what makes no sense doesn't go on record
		return e, err
	}
	e, err = d.govern(ctx, caller, []string{"register", p.Name}, p, func(ctx context.Context) (Entry, error) {
		return d.Book.Register(ctx, caller.Workspace(), caller.Member(), p)
	})
	if err != nil {
		return e, err
	}
	if admins, err := d.Book.Admins(ctx, caller.Workspace()); err != nil || admins != 1 {
		return e, err
	}
	return d.Approve(ctx, caller, p.Name, e.Version)
}

// Approve lets a version be used. Where its own registrar approves it, as the only administrator, the record says so.
func (d Desk) Approve(ctx context.Context, caller identity.Caller, name string, version int) (Entry, error) {
	known, err := d.Book.Find(ctx, caller.Workspace(), name, version)
	if err != nil {
		return known, err
	}
	targets := []string{"approve", name, strconv.Itoa(version)}
	if known.By == caller.Member() {
		targets = append(targets, "alone")
	}
	return d.govern(ctx, caller, targets, known.Provider, func(ctx context.Context) (Entry, error) {
		return d.Book.Approve(ctx, caller.Workspace(), caller.Member(), name, version)
	})
}

// Retire ends the use of a version.
func (d Desk) Retire(ctx context.Context, caller identity.Caller, name string, version int) (Entry, error) {
	known, err := d.Book.Find(ctx, caller.Workspace(), name, version)
	if err != nil {
		return known, err
	}
	return d.govern(ctx, caller, []string{"retire", name, strconv.Itoa(version)}, known.Provider, func(ctx context.Context) (Entry, error) {
		return d.Book.Retire(ctx, caller.Workspace(), name, version)
	})
}

func (d Desk) govern(ctx context.Context, caller identity.Caller, targets []string, p llm.Provider, do func(context.Context) (Entry, error)) (e Entry, err error) {
	err = d.Door.Govern(ctx, caller, gateway.Act{Action: policy.Manage, Stored: "settings", Targets: targets, Part: p}, func(ctx context.Context) error {
		e, err = do(ctx)
		return err
	})
	return e, err
}
