package api

import (
	"context"
	"net/http"
	"regexp"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/policy"
	"github.com/stewardhq/steward/internal/retention"
)

// retention tells every member what is kept of each class, how long, and what goes next.
func (s *Server) retention(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	kept, err := s.Schedule.Show(r.Context(), caller.Workspace())
	if err != nil {
		return err
	}
	holds, err := s.Eraser.Holds.Holds(r.Context(), caller.Workspace())
	if err != nil {
		return err
	}
	stopped := ""
	if err := s.Schedule.Stopped(r.Context(), caller.Workspace()); steward.KindOf(err) == steward.Unavailable && err != nil {
		stopped = steward.Message(err)
	} else if err != nil {
		return err
	}
	reply(w, http.StatusOK, map[string]any{"retention": kept, "holds": append([]retention.Hold{}, holds...), "stopped": stopped})
	return nil
}

// hold keeps everything from being purged or forgotten.
func (s *Server) hold(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	body, err := read[struct {
		Ground string `json:"ground"`
	}](r)
	if err != nil {
		return err
	}
	if !ground.MatchString(body.Ground) {
		return steward.Errorf(steward.Invalid, "a hold has a ground that others can look up: a code of at most 64 letters, digits, dashes and dots, such as case-2026-17")
	}
	h := retention.Hold{ID: steward.NewID(s.Rand, "hold"), Ground: body.Ground, By: caller.Member(), Since: s.Now()}
	err = s.Gateway.Govern(r.Context(), caller, gateway.Act{
		Kind: ledger.HoldPlaced, Action: policy.Manage, Stored: "settings", Targets: []string{h.ID, h.Ground},
	}, func(ctx context.Context) error {
		return s.Eraser.Holds.Place(ctx, caller.Workspace(), h)
	})
	if err != nil {
		return err
	}
	return s.retention(w, r, caller)
}

// ground is what a hold's ground looks like: it stands on record for ever, so it is no sentence.
var ground = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

// release ends a hold: what was due meanwhile goes with the next purge.
func (s *Server) release(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	id := r.PathValue("id")
	if !holdID.MatchString(id) {
		return steward.Errorf(steward.NotFound, "there is no such hold; `steward retention` shows them")
	}
	err := s.Gateway.Govern(r.Context(), caller, gateway.Act{
		Kind: ledger.HoldReleased, Action: policy.Manage, Stored: "settings", Targets: []string{id},
	}, func(ctx context.Context) error {
		return s.Eraser.Holds.Release(ctx, caller.Workspace(), id)
	})
	if err != nil {
		return err
	}
	return s.retention(w, r, caller)
}

var holdID = regexp.MustCompile(`^hold_[0-9a-z]{1,32}$`)

// retain changes for how long a class is kept, or confirms that what is due may go though the clock made a leap or
// the data was put back.
func (s *Server) retain(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	body, err := read[struct {
		Class   steward.Class `json:"class"`
		Days    int           `json:"days"`
		Confirm bool          `json:"confirm"`
	}](r)
	if err != nil {
		return err
	}
	if body.Confirm {
		err := s.Gateway.Govern(r.Context(), caller, gateway.Act{
			Kind: ledger.RetentionSet, Action: policy.Manage, Stored: "settings", Targets: []string{"confirmed"},
		}, func(ctx context.Context) error { return s.Schedule.Confirm(ctx, caller.Workspace()) })
		if err != nil {
			return err
		}
		return s.retention(w, r, caller)
	}
	if err := retention.CheckDays(body.Class, body.Days); err != nil { // before it is named on record
		return err
	}
	err = s.Gateway.Govern(r.Context(), caller, gateway.Act{
		Kind: ledger.RetentionSet, Action: policy.Manage, Stored: "settings", Targets: []string{string(body.Class)}, Part: map[string]int{"days": body.Days},
	}, func(ctx context.Context) error {
		return s.Schedule.Set(ctx, caller.Workspace(), body.Class, body.Days)
	})
	if err != nil {
		return err
	}
	return s.retention(w, r, caller)
}
