package api

import (
	"context"
	"net/http"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/credential"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/policy"
	"github.com/stewardhq/steward/internal/retention"
)

// admit refuses whoever comes to a closed workspace, but for administrators who come for what still can be had there.
func (s *Server) admit(ctx context.Context, caller identity.Caller, evenClosed bool) error {
	err := s.Closer.Closed(ctx, caller.Workspace())
	switch {
	case err == nil, evenClosed && caller.Role() == steward.Admin && steward.KindOf(err) == steward.Denied:
		return nil
	case steward.KindOf(err) != steward.Denied:
		return err // there is no record any more
	}
	_, recorded := s.Ledger.Append(context.WithoutCancel(ctx), caller.Workspace(), ledger.Entry{
		Kind: ledger.AuthRefused, Caller: caller.Name(), OnBehalfOf: caller.Member(), System: "steward", Outcome: ledger.Denied,
		Error: steward.Denied.String(), Targets: []string{string(caller.Token())},
	})
	if recorded != nil {
		return recorded
	}
	return err
}

// closeWorkspace closes the caller's workspace, or asks another administrator to ask for the same.
func (s *Server) closeWorkspace(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	body, err := read[struct {
		GraceDays *int `json:"grace_days"`
		Delete    bool `json:"delete"`
	}](r)
	if err != nil {
		return err
	}
	days := retention.DefaultGrace
	if body.Delete {
		days = 0
	}
	if body.GraceDays != nil {
		days = *body.GraceDays
	}
	var closing retention.Closing
	err = s.Gateway.Govern(r.Context(), caller, gateway.Act{Action: policy.Manage, Stored: "settings"}, func(ctx context.Context) error {
		administrators, err := s.Directory.Administrators(ctx, caller.Workspace())
		if err != nil {
			return err
		}
		known, err := s.Directory.FindWorkspace(ctx, string(caller.Workspace()))
		if err != nil {
			return err
		}
		closing, err = s.Closer.Close(ctx, retention.CloseRequest{
			Workspace: caller.Workspace(), Name: known.Name, By: caller.Member(), Alone: administrators == 1, Days: days, Delete: body.Delete,
		})
		return err
	})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if closing.State == retention.Requested {
		status = http.StatusAccepted
	}
	reply(w, status, closing)
	return nil
}

// reopenWorkspace opens it again.
func (s *Server) reopenWorkspace(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	err := s.Gateway.Govern(r.Context(), caller, gateway.Act{Action: policy.Manage, Stored: "settings"}, func(ctx context.Context) error {
		return s.Closer.Reopen(ctx, caller.Workspace(), caller.Member())
	})
	if err != nil {
		return err
	}
	return s.workspace(w, r, caller)
}

// disconnect ends a member's connection.
func (s *Server) disconnect(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	ctx := r.Context()
	m, err := s.member(ctx, caller, r.URL.Query().Get("member"))
	if err != nil {
		return err
	}
	var certificate *retention.Signed
	done, err := s.Gateway.Disconnect(ctx, caller, m, steward.ConnectionID(r.PathValue("id")), func(ctx context.Context, d credential.Disconnected) (err error) {
		certificate, err = s.certify(ctx, caller, d)
		return err
	})
	if err != nil {
		return err
	}
	answer := wire.Disconnected{Connection: done.System, Member: done.Member, Revoked: done.Revoked, Why: done.Why}
	if certificate != nil {
		answer.Certificate = certificate.Certificate.ID
	}
	reply(w, http.StatusOK, answer)
	return nil
}

// certify has it certified that a credential was forgotten: nil while whoever keeps old copies of the keeper's could
// still bring its key back.
func (s *Server) certify(ctx context.Context, caller identity.Caller, d credential.Disconnected) (*retention.Signed, error) {
	keys := s.Closer.Keyring
	if keys.Horizon() > 0 || len(d.Scopes) == 0 {
		return nil, nil
	}
	certificate := retention.Certificate{
		Workspace: caller.Workspace(), Of: string(d.Scopes[0]), Kind: "credential", Requester: caller.Member(), Asked: d.At, Due: d.At, Unreadable: d.At, Complete: d.At,
		Found: []retention.Count{{What: "credentials", Number: 1}}, Scopes: d.Scopes, Verified: retention.Verified{Scopes: len(d.Scopes)},
	}
	for _, scope := range d.Scopes {
		alive, err := keys.Alive(ctx, caller.Workspace(), scope)
		if err != nil {
			return nil, err
		}
		if alive {
			certificate.Verified.Opened++
		}
	}
	if !d.Revoked {
		certificate.Elsewhere = []steward.ConnectionID{d.System}
	}
	signed, err := s.Closer.Issuer.Issue(ctx, certificate)
	return &signed, err
}
