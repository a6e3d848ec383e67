package api

import (
	"context"
	"net/http"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/policy"
	"github.com/stewardhq/steward/internal/retention"
	"github.com/stewardhq/steward/internal/retention/custody"
)

// retention tells every member what is kept of each class, how long, and what goes next.
func (s *Server) retention(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	kept, err := s.Schedule.Show(r.Context(), caller.Workspace())
	if err != nil {
		return err
	}
	holds, err := s.Custody.Holds.Holds(r.Context(), caller.Workspace())
	if err != nil {
		return err
	}
	stopped := ""
	if err := s.Schedule.Stopped(r.Context(), caller.Workspace()); steward.KindOf(err) == steward.Unavailable && err != nil {
		stopped = steward.Message(err)
	} else if err != nil {
		return err
	}
	reply(w, http.StatusOK, map[string]any{"retention": kept, "holds": append([]custody.Hold{}, holds...), "stopped": stopped})
	return nil
}

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
