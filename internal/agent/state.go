package agent

import (
	"context"
	"encoding/json"
	"errors"
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

// save stores the run's next version, also when nobody waits for the answer any more: the step was taken.
// The transcript is kept anew and the one before destroyed: after a crash between the two, an old
// transcript is left behind until its period ends.
func (a *Agent) save(ctx context.Context, caller identity.Caller, q gateway.Question, run *Run) error {
	ctx = context.WithoutCancel(ctx)
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

// recall opens a stored run's transcript. Gone once its words were forgotten.
func (r *Run) recall(ctx context.Context, q gateway.Question) error {
	kept, err := q.In.Kept(ctx, r.transcriptToken)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(kept), &r.transcript); err != nil {
		return fmt.Errorf("agent: transcript of %s: %w", r.ID, err)
	}
	return nil
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
	run, err := a.Run(ctx, caller, id)
	if err != nil {
		return nil, err
	}
	q, err := a.Door.Resume(ctx, caller, run.Conversation, id)
	if err != nil {
		return nil, err
	}
	err = run.recall(ctx, q)
	return run.transcript.Messages, err
}

// Resumer makes a caller for a member who isn't present.
type Resumer func(ctx context.Context, ws steward.WorkspaceID, m steward.MemberID, agent steward.AgentID) (identity.Caller, error)

// ContinueUnfinished carries on the runs that a stop or crash interrupted, and those whose approval was
// decided just before it. It returns how many. One that can't be carried on doesn't stop the others: the
// error joins what went wrong with each.
func (a *Agent) ContinueUnfinished(ctx context.Context, ws steward.WorkspaceID, resume Resumer) (int, error) {
	rows, err := a.Store.UnfinishedRuns(ctx, ws)
	if err != nil {
		return 0, err
	}
	continued := 0
	var failed []error
	for _, row := range rows {
		if ctx.Err() != nil {
			break
		}
		switch went, err := a.continueRow(ctx, ws, row, resume); {
		case err != nil:
			failed = append(failed, fmt.Errorf("agent: run %s: %w", row.ID, err))
		case went:
			continued++
		}
	}
	return continued, errors.Join(failed...)
}

// continueRow carries one run on, unless nobody has decided on it yet or it is being carried on already.
func (a *Agent) continueRow(ctx context.Context, ws steward.WorkspaceID, row Row, resume Resumer) (bool, error) {
	if _, busy := a.busy.Load(row.ID); busy {
		return false, nil
	}
	caller, err := resume(ctx, ws, row.Member, steward.BuiltinAgent)
	if err != nil {
		return false, err
	}
	run, err := a.Run(ctx, caller, row.ID)
	if err != nil {
		return false, err
	}
	granted := false
	if run.Status == Waiting {
		p, err := a.Door.Proposal(ctx, caller, run.Approval)
		if err != nil || p.Status == gateway.Waiting {
			return false, err
		}
		granted = p.Status == gateway.Approved
	}
	_, err = a.Continue(ctx, caller, row.ID, run.Approval, granted)
	return err == nil, err
}

func place(ws steward.WorkspaceID, id steward.RunID) steward.Place {
	return steward.Place{Workspace: ws, Table: "runs", Row: string(id)}
}
