package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"regexp"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/policy"
	"github.com/stewardhq/steward/internal/retention/custody"
)

// hold keeps what a person or a run is in, or where none is named everything, from being purged or forgotten.
func (s *Server) hold(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	body, err := read[struct {
		Ground string        `json:"ground"`
		Person string        `json:"person"`
		Run    steward.RunID `json:"run"`
	}](r)
	if err != nil {
		return err
	}
	h := custody.Hold{ID: steward.NewID(s.Rand, "hold"), On: custody.OnWorkspace, Ground: body.Ground, By: caller.Member(), Since: s.Now()}
	targets := []string{h.ID, h.Ground}
	switch {
	case !ground.MatchString(body.Ground):
		return steward.Errorf(steward.Invalid, "a hold has a ground that others can look up: a code of at most 64 letters, digits, dashes and dots, such as case-2026-17")
	case body.Person != "" && body.Run != "":
		return steward.Errorf(steward.Invalid, "a hold is on a person or on a run; place two for both")
	case body.Run != "" && !runID.MatchString(string(body.Run)):
		return steward.Errorf(steward.Invalid, "a run is named by its id, run_…, which `steward ask` prints last")
	case body.Run != "":
		h.On, targets = custody.OnRun, append(targets, string(body.Run))
	case body.Person != "":
		h.On = custody.OnPerson
	}
	err = s.Gateway.Govern(r.Context(), caller, gateway.Act{
		Kind: ledger.HoldPlaced, Action: policy.Manage, Stored: "settings", Targets: targets,
	}, func(ctx context.Context) error {
		m, err := s.matter(ctx, caller, body.Person, body.Run)
		if err != nil {
			return err
		}
		if err := s.Custody.Place(ctx, caller.Workspace(), h, m); err != nil {
			return err
		}
		// What began to end before this was placed doesn't heed it: then nobody is told that it holds.
		if err := s.Closer.Closed(ctx, caller.Workspace()); steward.KindOf(err) == steward.Gone {
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.retention(w, r, caller)
}

// ground is what a hold's ground looks like: it stands on record for ever, so it is no sentence.
var ground = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

// matter finds out whom or what a hold is to be on.
func (s *Server) matter(ctx context.Context, caller identity.Caller, person string, run steward.RunID) (m custody.Matter, err error) {
	switch {
	case person != "":
		subject, err := s.Gateway.Subject(ctx, caller, person)
		if err != nil {
			return m, err
		}
		m.Records, m.Values = subject.Records, subject.Values
		if len(m.Values) > 0 {
			return m, nil
		}
		// No system shows them, to this caller at least: what is kept of them may know them.
		if _, known, err := s.Gateway.Recorded(ctx, caller.Workspace(), m.Records[0].String()); err != nil || known {
			return m, err
		}
		return m, steward.Errorf(steward.NotFound, "nothing is kept of this person, and you can't see them in the system; check the id, and that you are connected")
	case run != "":
		m.Run = run
		row, err := s.Agent.Store.Run(ctx, caller.Workspace(), run)
		if steward.KindOf(err) != steward.NotFound {
			m.Conversation = row.Conversation
			return m, err
		}
		// Its own row may be gone, and what it did is on record for longer.
		recorded := false
		q := ledger.Query{Run: run, Limit: 1, Kind: ledger.RunStarted}
		if failed := s.Ledger.Read(ctx, caller.Workspace(), q, func(ledger.Header) error { recorded = true; return nil }); failed != nil || recorded {
			return m, failed
		}
		return m, err
	}
	return m, nil
}

// held shows what is under a hold to whoever may read the whole record: one JSON object a line, first the hold. The
// look is an entry itself, written before anything is shown.
func (s *Server) held(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	id, err := holdID(r)
	if err != nil {
		return err
	}
	why, err := purpose(r)
	if err != nil {
		return err
	}
	err = s.Gateway.Permit(r.Context(), caller, gateway.Act{
		Kind: ledger.StoredRead, Action: policy.View, Stored: "ledger", Purpose: why, Targets: []string{id},
	})
	if err != nil {
		return err
	}
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	begun := false
	err = s.Custody.Show(r.Context(), caller.Workspace(), id, func(h custody.Hold, m custody.Matter) error {
		head(w, lines)
		begun = true
		return out.Encode(struct {
			custody.Hold
			custody.Matter
		}{h, m})
	}, func(k custody.Kept) error { return out.Encode(k) })
	if err != nil && begun {
		// What was sent looks like all of it: only a broken connection tells the reader that it isn't.
		s.Log.ErrorContext(r.Context(), "a hold's things broke off", slog.Any("error", err))
		panic(http.ErrAbortHandler)
	}
	return err
}

// release ends a hold: what was due meanwhile goes with the next purge, and what was copied aside at once.
func (s *Server) release(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	id, err := holdID(r)
	if err != nil {
		return err
	}
	err = s.Gateway.Govern(r.Context(), caller, gateway.Act{
		Kind: ledger.HoldReleased, Action: policy.Manage, Stored: "settings", Targets: []string{id},
	}, func(ctx context.Context) error {
		return s.Custody.Release(ctx, caller.Workspace(), id)
	})
	if err != nil {
		return err
	}
	return s.retention(w, r, caller)
}

// holdID is the hold that a request names. What can't be one doesn't go on record.
func holdID(r *http.Request) (string, error) {
	id := r.PathValue("id")
	if !isHold.MatchString(id) {
		return "", steward.Errorf(steward.NotFound, "there is no such hold; `steward retention` shows them")
	}
	return id, nil
}

var isHold = regexp.MustCompile(`^hold_[0-9a-z]{1,32}$`)
