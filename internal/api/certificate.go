package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/policy"
	"github.com/stewardhq/steward/internal/retention"
)

// erase forgets a person. In a workspace with several administrators nobody forgets alone: a second one
// has to ask for the same.
func (s *Server) erase(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	ctx := r.Context()
	body, err := read[struct {
		Person string `json:"person"`
		DryRun bool   `json:"dry_run"`
	}](r)
	if err != nil {
		return err
	}
	var erasure retention.Erasure
	err = s.Gateway.Govern(ctx, caller, gateway.Act{Action: policy.Erase, Stored: "erasure"}, func(ctx context.Context) error {
		administrators, err := s.Directory.Administrators(ctx, caller.Workspace())
		if err != nil {
			return err
		}
		if err := s.noMember(ctx, caller.Workspace(), body.Person); err != nil {
			return err
		}
		subject, err := s.Gateway.Subject(ctx, caller, body.Person)
		if err != nil {
			return err
		}
		if err := s.noMember(ctx, caller.Workspace(), subject.Values...); err != nil {
			return err
		}
		erasure, err = s.Eraser.Erase(ctx, retention.Request{
			Workspace: caller.Workspace(), By: caller.Member(), Alone: administrators == 1, DryRun: body.DryRun,
			Subject: retention.Subject{Records: subject.Records, Values: subject.Values},
		})
		return err
	})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if erasure.Status == "waiting" || erasure.Status == "deferred" {
		status = http.StatusAccepted
	}
	reply(w, status, erasure)
	return nil
}

// noMember refuses values of which one is a member's address: who works here is forgotten with their membership.
func (s *Server) noMember(ctx context.Context, ws steward.WorkspaceID, values ...string) error {
	for _, value := range values {
		if !strings.Contains(value, "@") {
			continue
		}
		switch _, err := s.Directory.MemberByEmail(ctx, ws, value); {
		case err == nil:
			return steward.Errorf(steward.Conflict, "this person is a member of the workspace, whose name stands for what they did here; remove them first with `steward member remove`")
		case steward.KindOf(err) != steward.NotFound && steward.KindOf(err) != steward.Invalid && steward.KindOf(err) != steward.Gone:
			return err
		}
	}
	return nil
}

// erasures lists what is to be forgotten, and how far that is.
func (s *Server) erasures(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	if err := s.view(r.Context(), caller, "erasure", ledger.StoredRead, "", "", ""); err != nil {
		return err
	}
	list, err := s.Eraser.List(r.Context(), caller.Workspace())
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, map[string][]retention.Duty{"erasures": list})
	return nil
}

// certificates lists the certificates of what was forgotten, or gives one.
func (s *Server) certificates(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	if err := s.view(r.Context(), caller, "erasure", ledger.StoredRead, "", "", ""); err != nil {
		return err
	}
	all, err := s.Eraser.Issuer.Certificates.Certificates(r.Context(), caller.Workspace())
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	if id == "" {
		reply(w, http.StatusOK, map[string][]retention.Signed{"certificates": append([]retention.Signed{}, all...)})
		return nil
	}
	for _, signed := range all {
		if signed.Certificate.ID == id || signed.Certificate.Of == id {
			reply(w, http.StatusOK, signed)
			return nil
		}
	}
	return steward.Errorf(steward.NotFound, "there is no such certificate; `steward certificates` lists them, and `steward erase --list` what isn't complete yet")
}
