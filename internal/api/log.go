package api

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/export"
)

// log streams entries, one JSON object a line. Auditors and administrators read all of them, others
// those made on their behalf; the reading is an entry itself, written before anything is shown.
func (s *Server) log(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	why, err := purpose(r)
	if err != nil {
		return err
	}
	q, err := query(r)
	if err != nil {
		return err
	}
	if r.URL.Query().Has("format") {
		return s.export(w, r, caller, why, q)
	}
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
	found, err := s.named(r, caller, &q)
	if err != nil {
		return err
	}
	head(w, lines)
	if !found {
		return nil
	}
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
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
		return out.Encode(e)
	})
	if err != nil && begun {
		// What was sent looks like a whole log: only a broken connection tells the reader that it isn't.
		s.Log.ErrorContext(r.Context(), "log broke off", slog.Any("error", err))
		panic(http.ErrAbortHandler)
	}
	return err
}

// query reads what is asked for: since and until (RFC 3339, or a day in UTC), run, member, agent, system, tool,
// kind, effect, decision, outcome, text; and for a page of it from, before, limit and order=newest.
func query(r *http.Request) (q ledger.Query, err error) {
	ask := r.URL.Query()
	q = ledger.Query{
		Run: steward.RunID(ask.Get("run")), Member: steward.MemberID(ask.Get("member")), Caller: ask.Get("agent"),
		System: ask.Get("system"), Tool: ask.Get("tool"), Kind: ledger.Kind(ask.Get("kind")), Effect: steward.Effect(ask.Get("effect")),
		Decision: ask.Get("decision"), Outcome: ask.Get("outcome"), Text: ask.Get("text"),
	}
	if q.Kind != "" && q.Kind.Label() == "" {
		return q, steward.Errorf(steward.Invalid, "kind is one of %s", ledger.Kinds())
	}
	switch ask.Get("order") {
	case "", "oldest":
	case "newest":
		q.Backward = true
	default:
		return q, steward.Errorf(steward.Invalid, "order is oldest or newest, whichever comes first")
	}
	limit := uint64(0)
	for name, to := range map[string]*uint64{"from": &q.From, "before": &q.End, "limit": &limit} {
		if *to, err = number(r, name); err != nil {
			return q, err
		}
	}
	if ask.Has("before") && q.End == 0 {
		return q, steward.Errorf(steward.Invalid, "before is the number of an entry that others stand before, 1 at least")
	}
	q.Limit = int(min(limit, 1<<31-1))
	for name, to := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		if *to, err = export.Moment(name, ask.Get(name)); err != nil {
			return q, err
		}
	}
	return q, nil
}

// named looks up how the ledger speaks of the record (target) or person that is asked for; found is false where
// it can't speak of them. What a person's record is called stands in parts too, where they were only read.
func (s *Server) named(r *http.Request, caller identity.Caller, q *ledger.Query) (found bool, err error) {
	target, person := r.URL.Query().Get("target"), r.URL.Query().Get("person")
	if q.OnBehalfOf != "" && (person != "" || q.Text != "") {
		return false, steward.Errorf(steward.Denied, "only those who may read the whole record search it for a text or a person; an administrator or auditor can")
	}
	if person != "" && q.Text != "" {
		return false, steward.Errorf(steward.Invalid, "search for a person or for a text, one at a time")
	}
	if person != "" {
		subject, err := s.Gateway.Subject(r.Context(), caller, person)
		if err != nil {
			return false, err
		}
		person = subject.Records[0].String()
	}
	for _, asked := range []struct {
		spec string
		to   *string
	}{{target, &q.Target}, {person, &q.Text}} {
		if asked.spec == "" {
			continue
		}
		var known bool
		if *asked.to, known, err = s.Gateway.Recorded(r.Context(), caller.Workspace(), asked.spec); err != nil || !known {
			return false, err
		}
	}
	return true, nil
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
