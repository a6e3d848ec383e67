package agent

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/llm"
)

// body is what is sealed of a run: structure and tokens, no words.
type body struct {
	Run
	Transcript string `json:"transcript"` // a token for the dialogue
}

// save stores the run's next version. The transcript is kept anew and the one before destroyed: after a
// crash between the two, an old transcript is left behind until its period ends.
func (a *Agent) save(ctx context.Context, caller identity.Caller, q gateway.Question, run *Run) error {
	raw, err := json.Marshal(run.transcript)
	if err != nil {
		return fmt.Errorf("agent: transcript: %w", err)
	}
	previous := run.transcriptToken
	if run.transcriptToken, err = q.In.KeepInside(ctx, steward.ClassRun, string(raw)); err != nil {
		return err
	}
	plain, err := json.Marshal(body{Run: *run, Transcript: run.transcriptToken})
	if err != nil {
		return fmt.Errorf("agent: run: %w", err)
	}
	run.version++
	run.Updated = a.Now()
	sealed, err := a.Sealer.Seal(ctx, place(caller.Workspace(), run.ID), []steward.Scope{steward.TimeScope(steward.ClassRun, run.Created)}, plain)
	if err != nil {
		return err
	}
	err = a.Store.SaveRun(ctx, caller.Workspace(), Row{
		ID: run.ID, Conversation: run.Conversation, Member: run.Member, Status: run.Status,
		Created: run.Created, Updated: run.Updated, Version: run.version, Sealed: sealed,
	})
	if err != nil || previous == "" {
		return err
	}
	return q.In.Discard(ctx, previous)
}

// load opens a stored run with its transcript, to carry it on.
func (a *Agent) load(ctx context.Context, caller identity.Caller, id steward.RunID) (Run, gateway.Question, error) {
	run, err := a.Run(ctx, caller, id)
	if err != nil {
		return run, gateway.Question{}, err
	}
	q, err := a.Door.Resume(ctx, caller, run.Conversation, run.ID)
	if err != nil {
		return run, q, err
	}
	kept, err := q.In.Kept(ctx, run.transcriptToken)
	if err != nil {
		return run, q, err
	}
	if err := json.Unmarshal([]byte(kept), &run.transcript); err != nil {
		return run, q, fmt.Errorf("agent: transcript of %s: %w", id, err)
	}
	return run, q, nil
}

// Run opens a stored run of the caller's workspace, in tokens. Whether it is theirs to see is decided
// by whoever asks.
func (a *Agent) Run(ctx context.Context, caller identity.Caller, id steward.RunID) (Run, error) {
	row, err := a.Store.Run(ctx, caller.Workspace(), id)
	if err != nil {
		return Run{}, err
	}
	plain, err := a.Sealer.Open(ctx, place(caller.Workspace(), id), row.Sealed)
	if err != nil {
		return Run{}, err
	}
	var b body
	if err := json.Unmarshal(plain, &b); err != nil {
		return Run{}, fmt.Errorf("agent: run %s: %w", id, err)
	}
	run := b.Run
	run.ID, run.Conversation, run.Member, run.Status = row.ID, row.Conversation, row.Member, row.Status
	run.Created, run.Updated, run.version, run.transcriptToken = row.Created, row.Updated, row.Version, b.Transcript
	return run, nil
}

// Dialogue is what the model was told and said in a run, in tokens: exactly what left for it. Gone once
// the run's words were forgotten.
func (a *Agent) Dialogue(ctx context.Context, caller identity.Caller, id steward.RunID) ([]llm.Message, error) {
	run, _, err := a.load(ctx, caller, id)
	return run.transcript.Messages, err
}

// Resumer makes a caller for a member who isn't present.
type Resumer func(ctx context.Context, ws steward.WorkspaceID, m steward.MemberID, agent steward.AgentID) (identity.Caller, error)

// ContinueUnfinished carries on the runs that a stop or crash interrupted, and those whose approval was
// decided just before it. It returns how many.
func (a *Agent) ContinueUnfinished(ctx context.Context, ws steward.WorkspaceID, resume Resumer) (int, error) {
	rows, err := a.Store.UnfinishedRuns(ctx, ws)
	if err != nil {
		return 0, err
	}
	continued := 0
	for _, row := range rows {
		caller, err := resume(ctx, ws, row.Member, steward.BuiltinAgent)
		if err != nil {
			return continued, err
		}
		run, err := a.Run(ctx, caller, row.ID)
		if err != nil {
			return continued, err
		}
		granted := false
		if run.Status == Waiting {
			p, err := a.Door.Proposal(ctx, caller, run.Approval)
			if err != nil {
				return continued, err
			}
			if p.Status == gateway.Waiting {
				continue // nobody decided yet
			}
			granted = p.Status == gateway.Approved
		}
		if _, err := a.Continue(ctx, caller, row.ID, run.Approval, granted); err != nil {
			return continued, err
		}
		continued++
	}
	return continued, nil
}

func place(ws steward.WorkspaceID, id steward.RunID) steward.Place {
	return steward.Place{Workspace: ws, Table: "runs", Row: string(id)}
}
