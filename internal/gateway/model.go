package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/policy"
)

// modelTarget is a language model of a registered provider.
type modelTarget struct {
	g      *Gateway
	caller identity.Caller
	call   Call
	model  llm.Model
	bytes  []byte // exactly what is sent
}

func (g *Gateway) modelTarget(caller identity.Caller, call Call) (*modelTarget, error) {
	model, ok := g.Models[call.Tool]
	if !ok {
		return nil, steward.Errorf(steward.Denied, "no model provider %q is set up here", call.Tool)
	}
	raw, err := json.Marshal(call.Model)
	return &modelTarget{g: g, caller: caller, call: call, model: model, bytes: raw}, err
}

// asks refuses a provider without a registered arrangement before policy is asked and a byte is sent.
func (m *modelTarget) asks() (policy.Request, error) {
	if err := m.g.Providers.Allow(m.call.Tool, m.call.Model.Model, "", m.g.Now()); err != nil {
		return policy.Request{}, err
	}
	return policy.Request{
		Action:   policy.Model,
		Resource: policy.Resource{System: m.call.Tool, Tool: m.call.Model.Model, Owner: m.caller.Member()},
	}, nil
}

// modelReceipt is the sealed part of a model call's entries: what was sent and what came back, without
// its words.
type modelReceipt struct {
	Model      string   `json:"model"`
	Bytes      int      `json:"bytes"`
	SHA256     string   `json:"sha256"` // of the exact bytes
	StopReason string   `json:"stop_reason,omitempty"`
	Tools      []string `json:"tools,omitempty"` // that it asked for
	Input      int      `json:"input_tokens,omitempty"`
	Output     int      `json:"output_tokens,omitempty"`
}

func (m *modelTarget) intent(context.Context) (ledger.Entry, []ledger.Part, error) {
	e := m.g.entry(m.caller, m.call.Run)
	e.Kind, e.System, e.Tool = ledger.CallIntent, "model", m.call.Tool+"/"+m.call.Model.Model
	part, err := m.g.part(receipt(m.call.Model.Model, m.bytes))
	return e, []ledger.Part{part}, err
}

func receipt(model string, raw []byte) modelReceipt {
	sum := sha256.Sum256(raw)
	return modelReceipt{Model: model, Bytes: len(raw), SHA256: hex.EncodeToString(sum[:])}
}

func (m *modelTarget) act(ctx context.Context) (Result, done, error) {
	answer, err := m.model.Generate(ctx, *m.call.Model)
	if err != nil {
		return Result{}, m.g.done(outcomeBody{}, 0, err), err
	}
	if answer.Model != m.call.Model.Model {
		err := steward.Errorf(steward.Upstream, "another model answered than the one that was asked; nothing of it is used")
		return Result{}, m.g.done(outcomeBody{}, 0, err), err
	}
	raw, err := json.Marshal(answer)
	if err != nil {
		return Result{}, done{}, err
	}
	r := receipt(answer.Model, raw)
	r.StopReason, r.Input, r.Output = answer.StopReason, answer.Usage.InputTokens, answer.Usage.OutputTokens
	for i, block := range answer.Content {
		// A model can only repeat what it was told, in tokens; should it guess a value that this
		// conversation knows, the value goes no further than here.
		switch block.Type {
		case llm.Text:
			answer.Content[i].Text, err = m.call.In.MaskInside(ctx, block.Text)
		case llm.ToolUse:
			answer.Content[i].Input, err = m.call.In.MaskInsideJSON(ctx, block.Input)
			if _, _, unknown := m.g.tool(block.Name); unknown == nil {
				r.Tools = append(r.Tools, block.Name)
			}
		default:
			err = steward.Errorf(steward.Upstream, "the model answered with content of a kind that Steward doesn't pass on")
		}
		if err != nil {
			return Result{}, m.g.done(outcomeBody{}, 0, err), err
		}
	}
	part, err := m.g.part(r)
	return Result{Answer: answer}, done{parts: []ledger.Part{part}}, err
}
