package api

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
)

// log streams entries, one JSON object a line. Auditors and administrators read all of them, others
// those made on their behalf; the reading is an entry itself, written before anything is shown.
func (s *Server) log(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	why, err := purpose(r)
	if err != nil {
		return err
	}
	q := ledger.Query{Run: steward.RunID(r.URL.Query().Get("run"))}
	if q.From, err = number(r, "from"); err != nil {
		return err
	}
	limit, err := number(r, "limit")
	if err != nil {
		return err
	}
	q.Limit = int(min(limit, 1<<31-1))
	owner := steward.MemberID("")
	if !s.Gateway.MayView(caller, "ledger", "", why) {
		owner, q.OnBehalfOf = caller.Member(), caller.Member()
	}
	// The reading's entry names the run for ever, so what doesn't look like a run's id doesn't go there.
	named := q.Run
	if !runID.MatchString(string(named)) {
		named = ""
	}
	if err := s.view(r.Context(), caller, "ledger", ledger.LedgerRead, owner, named, why); err != nil {
		return err
	}
	head(w, "application/x-ndjson")
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	begun := false
	err = s.Ledger.Read(r.Context(), caller.Workspace(), q, func(h ledger.Header) error {
		e := wire.Entry{
			Seq: h.Seq, Time: h.Time, Kind: h.Kind, Run: h.Run, Caller: h.Caller, OnBehalfOf: h.OnBehalfOf, Authentication: h.Authentication,
			System: h.System, Tool: h.Tool, Effect: h.Effect, Decision: h.Decision, Policies: h.Policies, PolicySet: h.PolicySet,
			Outcome: h.Outcome, Error: h.Error, Purpose: h.Purpose, Records: h.Records, DurationMicros: h.DurationMicros,
			Targets: h.Targets, Intent: h.Intent,
		}
		if e.Policies == nil {
			e.Policies = []string{}
		}
		if e.Targets == nil {
			e.Targets = []string{}
		}
		begun = true
		return lines.Encode(e)
	})
	if err != nil && begun {
		// What was sent looks like a whole log: only a broken connection tells the reader that it isn't.
		s.Log.ErrorContext(r.Context(), "log broke off", slog.Any("error", err))
		panic(http.ErrAbortHandler)
	}
	return err
}

// runID is what a run's id looks like.
var runID = regexp.MustCompile(`^run_[0-9a-z]{1,32}$`)

func number(r *http.Request, name string) (uint64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, steward.Errorf(steward.Invalid, "%s is a whole number", name).Because(err)
	}
	return n, nil
}

// checkpoint signs what the ledger holds now: a statement about ids and hashes, open to every member.
func (s *Server) checkpoint(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	c, err := s.Ledger.Checkpoint(r.Context(), caller.Workspace())
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, c)
	return nil
}
