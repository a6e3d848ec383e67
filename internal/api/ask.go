package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/agent"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
)

func (s *Server) ask(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	ctx := r.Context()
	body, err := read[struct {
		Question     string                 `json:"question"`
		Conversation steward.ConversationID `json:"conversation"`
	}](r)
	if err != nil {
		return err
	}
	conversation, err := s.Agent.Converse(ctx, caller, body.Conversation)
	if err != nil {
		return err
	}
	q, err := s.Gateway.Enter(ctx, caller.Through(steward.BuiltinAgent), conversation, body.Question)
	if err != nil {
		return err
	}
	run, err := s.Agent.Ask(ctx, caller, q)
	if err != nil {
		return err
	}
	return s.show(ctx, w, caller, run)
}

func (s *Server) run(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	run, err := s.open(r, caller)
	if err != nil {
		return err
	}
	return s.show(r.Context(), w, caller, run)
}

// open finds the run that a request names, if the caller may see it, and records the look.
func (s *Server) open(r *http.Request, caller identity.Caller) (agent.Run, error) {
	why, err := purpose(r)
	if err != nil {
		return agent.Run{}, err
	}
	run, err := s.Agent.Run(r.Context(), caller, steward.RunID(r.PathValue("id")))
	if err != nil {
		return run, err
	}
	return run, s.view(r.Context(), caller, "run", ledger.RunRead, run.Member, run.ID, why)
}

func (s *Server) dialogue(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	run, err := s.open(r, caller)
	if err != nil {
		return err
	}
	messages, err := s.Agent.Dialogue(r.Context(), caller, run.ID)
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, wire.Dialogue{Messages: messages})
	return nil
}

func (s *Server) approvals(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	ctx := r.Context()
	rows, err := s.Gateway.Proposals.WaitingProposals(ctx, caller.Workspace())
	if err != nil {
		return err
	}
	approvals := []*wire.Approval{}
	for _, row := range rows {
		if !s.Gateway.MayView(caller, "approval", row.Member, "") {
			continue
		}
		approval, err := s.approval(ctx, caller, row.ID)
		if steward.KindOf(err) == steward.Gone {
			continue // nobody can decide on what was forgotten
		}
		if err != nil {
			return err
		}
		approvals = append(approvals, approval)
	}
	reply(w, http.StatusOK, map[string][]*wire.Approval{"approvals": approvals})
	return nil
}

// settle decides on a proposal and carries its run on, on behalf of the member who asked.
func (s *Server) settle(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	ctx := r.Context()
	body, err := read[struct {
		Decision string `json:"decision"`
	}](r)
	if err != nil {
		return err
	}
	if body.Decision != "approve" && body.Decision != "deny" {
		return steward.Errorf(steward.Invalid, "the decision is approve or deny")
	}
	p, err := s.Gateway.Settle(ctx, caller, steward.ProposalID(r.PathValue("id")), body.Decision == "approve")
	if err != nil {
		return err
	}
	asker := caller
	if p.Member != caller.Member() {
		if asker, err = s.Directory.Resume(ctx, caller.Workspace(), p.Member, steward.BuiltinAgent); err != nil {
			return err
		}
	}
	run, err := s.Agent.Continue(ctx, asker, p.Run, p.ID, p.Status == gateway.Approved)
	if err != nil {
		return err
	}
	if p.Status == gateway.Expired {
		return steward.Errorf(steward.Conflict, "this proposal expired on %s; ask again", p.Expires.UTC().Format(time.DateTime))
	}
	return s.show(ctx, w, caller, run)
}

// show writes a run with values for tokens, read as the one who looks. The status follows the run.
func (s *Server) show(ctx context.Context, w http.ResponseWriter, caller identity.Caller, run agent.Run) error {
	a := wire.Answer{
		Run: run.ID, Conversation: run.Conversation, Status: wire.Status(run.Status), Question: run.Question, Answer: run.Answer, Results: []wire.Result{},
		Records: []wire.Record{}, RecordsTotal: run.RecordsTotal, Created: run.Created,
	}
	if run.Failure != nil {
		a.Error = &wire.Problem{Kind: run.Failure.Kind, Message: run.Failure.Message}
	}
	for _, r := range run.Results {
		a.Results = append(a.Results, wire.Result(r))
	}
	for _, r := range run.Records {
		a.Records = append(a.Records, wire.Record(r))
	}
	if run.Status == agent.Waiting {
		p, err := s.Gateway.Proposal(ctx, caller, run.Approval)
		if err != nil {
			return err
		}
		a.Approval = inTokens(p)
	}
	if err := s.reveal(ctx, caller, run.Conversation, run.ID, &a); err != nil {
		return err
	}
	reply(w, status(run), a)
	return nil
}

// status is the HTTP status of a run.
func status(run agent.Run) int {
	if run.Status == agent.Waiting {
		return http.StatusAccepted
	}
	if run.Failure != nil {
		for _, kind := range steward.Kinds() {
			if kind.String() == run.Failure.Kind {
				return statuses[kind]
			}
		}
	}
	return http.StatusOK
}

// reveal replaces the tokens of everything that a person will read. The JSON goes through as one
// document, so that each record is read once.
func (s *Server) reveal(ctx context.Context, caller identity.Caller, conversation steward.ConversationID, run steward.RunID, a any) error {
	in, err := s.Gateway.Conversation(ctx, caller, conversation)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(a)
	if err != nil {
		return err
	}
	filled, err := s.Gateway.Reveal(ctx, caller, run, in, raw)
	if err != nil {
		return err
	}
	return json.Unmarshal(filled, a)
}

func inTokens(p gateway.Proposal) *wire.Approval {
	a := &wire.Approval{ID: p.ID, Run: p.Run, Needs: p.Needs, Status: string(p.Status), Expires: p.Expires, Changes: []steward.Change{}}
	for _, c := range p.Calls {
		a.Changes = append(a.Changes, c.Changes...)
	}
	return a
}

// approval is one as the caller may read it.
func (s *Server) approval(ctx context.Context, caller identity.Caller, id steward.ProposalID) (*wire.Approval, error) {
	p, err := s.Gateway.Proposal(ctx, caller, id)
	if err != nil {
		return nil, err
	}
	a := inTokens(p)
	return a, s.reveal(ctx, caller, p.Conversation, p.Run, a)
}
