package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/policy"
)

// maxAnswer is the longest answer of a model, in bytes: some times what it is asked for.
const maxAnswer = 256 << 10

// modelTarget is a language model of a registered provider.
type modelTarget struct {
	g      *Gateway
	caller identity.Caller
	call   Call
	model  llm.Model
	terms  llm.Terms
	bytes  []byte // exactly what is sent
}

func (g *Gateway) modelTarget(ctx context.Context, caller identity.Caller, call Call) (*modelTarget, error) {
	model, terms, err := g.Models.Model(ctx, caller.Workspace(), call.Tool, call.Model.Model)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(call.Model)
	if err != nil {
		return nil, fmt.Errorf("gateway: model request: %w", err)
	}
	return &modelTarget{g: g, caller: caller, call: call, model: model, terms: terms, bytes: raw}, nil
}

func (m *modelTarget) asks() (policy.Request, error) {
	return policy.Request{
		Action:   policy.Model,
		Resource: policy.Resource{System: m.call.Tool, Tool: m.call.Model.Model, Owner: m.caller.Member()},
	}, nil
}

// modelReceipt is the sealed part of a model call's entries: what was sent and what came back, without
// its words.
type modelReceipt struct {
	Model       string   `json:"model"`
	Endpoint    string   `json:"endpoint,omitempty"` // where it went; nowhere for a model of this process
	Region      string   `json:"region,omitempty"`
	Arrangement string   `json:"arrangement,omitempty"`
	RequestID   string   `json:"request_id,omitempty"` // the provider's
	Retries     int      `json:"retries,omitempty"`
	Bytes       int      `json:"bytes"`
	SHA256      string   `json:"sha256"` // of the exact bytes
	StopReason  string   `json:"stop_reason,omitempty"`
	Tools       []string `json:"tools,omitempty"` // that it asked for
	Input       int      `json:"input_tokens,omitempty"`
	Output      int      `json:"output_tokens,omitempty"`
}

func (m *modelTarget) intent(context.Context) (ledger.Entry, []ledger.Part, error) {
	e := m.g.entry(m.caller, m.call.Run)
	e.Kind, e.System, e.Tool = ledger.CallIntent, "model", m.call.Tool+"/"+m.call.Model.Model
	part, err := m.g.part(m.receipt(m.call.Model.Model, m.bytes))
	return e, []ledger.Part{part}, err
}

func (m *modelTarget) receipt(model string, raw []byte) modelReceipt {
	sum := sha256.Sum256(raw)
	return modelReceipt{
		Model: model, Endpoint: m.terms.Endpoint, Region: m.terms.Region, Arrangement: m.terms.Arrangement, Bytes: len(raw), SHA256: hex.EncodeToString(sum[:]),
	}
}

func (m *modelTarget) act(ctx context.Context) (Result, done, error) {
	answer, err := m.model.Generate(ctx, *m.call.Model)
	ctx = context.WithoutCancel(ctx) // it was asked, whether or not anybody still waits
	if err == nil && answer.Model != m.call.Model.Model {
		err = steward.Errorf(steward.Upstream, "another model answered than the one that was asked; nothing of it is used")
	}
	var raw []byte
	if err == nil {
		raw, err = marshalAnswer(answer)
	}
	if err == nil {
		answer.Content, err = m.inside(ctx, answer.Content)
	}
	if err != nil {
		return Result{}, m.g.done(outcomeBody{}, 0, err), err
	}
	r := m.receipt(answer.Model, raw)
	r.RequestID, r.Retries = answer.RequestID, answer.Retries
	r.StopReason, r.Input, r.Output = answer.StopReason, answer.Usage.InputTokens, answer.Usage.OutputTokens
	for _, block := range answer.Content {
		if _, _, unknown := m.g.tool(block.Name); unknown == nil {
			r.Tools = append(r.Tools, block.Name)
		}
	}
	part, err := m.g.part(r)
	return Result{Answer: answer}, done{parts: []ledger.Part{part}}, err
}

// marshalAnswer gives an answer's bytes, unless they are no answer.
func marshalAnswer(answer llm.Response) ([]byte, error) {
	raw, err := json.Marshal(answer)
	if err != nil {
		return nil, unreadable.Because(err) // a tool's arguments that are no JSON
	}
	if len(raw) > maxAnswer {
		return nil, steward.Errorf(steward.Upstream, "the model's answer has %d bytes and may have %d; ask for less at once", len(raw), maxAnswer)
	}
	return raw, nil
}

var unreadable = steward.Errorf(steward.Upstream, "the model's answer can't be read, so nothing of it is used; ask again")

// toolName is the form that a tool's name has.
var toolName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// inside takes an answer's content in: blocks of the kinds that Steward knows, and of each what its kind
// has. A model can only repeat what it was told, in tokens; should it guess a value that this conversation
// knows, the value goes no further than here.
func (m *modelTarget) inside(ctx context.Context, blocks []llm.Block) ([]llm.Block, error) {
	content := make([]llm.Block, 0, len(blocks))
	seen := map[string]bool{}
	for _, b := range blocks {
		var err error
		switch {
		case b.Type == llm.Text:
			b = llm.Block{Type: b.Type, Text: b.Text}
			b.Text, err = m.call.In.MaskInside(ctx, b.Text)
		case b.Type == llm.ToolUse && b.ID != "" && !seen[b.ID] && toolName.MatchString(b.Name):
			seen[b.ID] = true // a result is found by it
			b = llm.Block{Type: b.Type, ID: b.ID, Name: b.Name, Input: b.Input}
			if len(b.Input) == 0 {
				b.Input = json.RawMessage(`{}`)
			}
			b.Input, err = m.call.In.MaskInsideJSON(ctx, b.Input)
		default:
			err = steward.Errorf(steward.Upstream, "the model answered with content of a kind that Steward doesn't pass on")
		}
		if steward.KindOf(err) == steward.Invalid {
			err = unreadable.Because(err)
		}
		if err != nil {
			return nil, err
		}
		content = append(content, b)
	}
	return content, nil
}
