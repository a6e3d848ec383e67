package gateway_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/privacy"
)

// generate asks the house's model.
func (h *house) generate(q gateway.Question) (gateway.Result, error) {
	return h.Do(context.Background(), h.ana().Through(steward.BuiltinAgent), gateway.Call{
		Run: q.Run, In: q.In, Tool: llm.RulesProvider, Model: &llm.Request{
			Model: llm.RulesModel, Messages: []llm.Message{{Role: llm.User, Content: []llm.Block{{Type: llm.Text, Text: q.Text()}}}},
		},
	})
}

func TestWhatAModelMayNotAnswer(t *testing.T) {
	h := open(t)
	q := h.ask(h.ana(), "Write to Maria Gonzalez")
	use := func(id, name, input string) llm.Block {
		return llm.Block{Type: llm.ToolUse, ID: id, Name: name, Input: json.RawMessage(input)}
	}
	for name, answer := range map[string]llm.Response{
		"another model":           {Model: "rules-2", Content: []llm.Block{{Type: llm.Text, Text: "hi"}}},
		"no model":                {Content: []llm.Block{{Type: llm.Text, Text: "hi"}}},
		"an unknown kind":         {Content: []llm.Block{{Type: "thinking", Text: "hi"}}},
		"a result of its own":     {Content: []llm.Block{{Type: llm.ToolResult, ToolUseID: "1", Content: "{}"}}},
		"arguments of no JSON":    {Content: []llm.Block{use("1", "crm_read", `{"a":`)}},
		"two arguments":           {Content: []llm.Block{use("1", "crm_read", `{} {}`)}},
		"arguments of no UTF-8":   {Content: []llm.Block{use("1", "crm_read", "{\"a\":\"\xff\"}")}},
		"a name with a newline":   {Content: []llm.Block{use("1", "crm_read\ncrm_update", `{}`)}},
		"a name in words":         {Content: []llm.Block{use("1", "Maria Gonzalez", `{}`)}},
		"a use without an id":     {Content: []llm.Block{use("", "crm_read", `{}`)}},
		"two uses of one id":      {Content: []llm.Block{use("1", "crm_read", `{}`), use("1", "crm_update", `{}`)}},
		"a megabyte of text":      {Content: []llm.Block{{Type: llm.Text, Text: strings.Repeat("Maria Gonzalez ", 70_000)}}},
		"a megabyte of arguments": {Content: []llm.Block{use("1", "crm_read", `{"a":"`+strings.Repeat("x", 1<<20)+`"}`)}},
	} {
		t.Run(name, func(t *testing.T) {
			h.t = t
			if answer.Model == "" && name != "no model" {
				answer.Model = llm.RulesModel
			}
			h.model.answer = func(llm.Request) (llm.Response, error) { return answer, nil }
			result, err := h.generate(q)
			h.kind(err, steward.Upstream)
			if result.Answer.Content != nil {
				t.Errorf("something of it is passed on: %+v", result.Answer)
			}
			if e := h.last(); e.Kind != ledger.CallOutcome || e.Outcome != ledger.Failed || e.Error != "upstream" {
				t.Errorf("the record ends with %+v", e)
			}
		})
	}
}

func TestWhatAModelGuessesGoesNoFurther(t *testing.T) {
	h := open(t)
	q := h.ask(h.ana(), "Write to Maria Gonzalez")
	token := privacy.Tokens(q.Text())[0]
	other := h.ask(h.ana(), "Write to Tomas Albrecht")
	theirs := privacy.Tokens(other.Text())[0]
	h.model.answer = func(llm.Request) (llm.Response, error) {
		return llm.Response{Model: llm.RulesModel, Content: []llm.Block{
			{Type: llm.Text, Text: "I asked maria gonzalez, " + token + " and " + theirs, Content: "Maria Gonzalez", Name: "Maria Gonzalez", Input: json.RawMessage(`"Maria Gonzalez"`)},
			{Type: llm.ToolUse, ID: "1", Name: "crm_read", Input: json.RawMessage(`{"a":["Maria Gonzalez","` + theirs + `"]}`), Text: "Maria Gonzalez"},
			{Type: llm.ToolUse, ID: "2", Name: "crm_read"},
		}}, nil
	}
	result, err := h.generate(q)
	h.must(err)
	raw, err := json.Marshal(result.Answer)
	h.must(err)
	if s := strings.ToLower(string(raw)); strings.Contains(s, "maria") || strings.Contains(s, "gonzalez") {
		t.Errorf("a guessed name is passed on: %s", raw)
	}
	for _, s := range privacy.Tokens(result.Answer.Content[0].Text + string(result.Answer.Content[1].Input)) {
		if s == theirs {
			t.Errorf("another conversation's token is passed on: %s", raw)
		}
	}
	if !strings.Contains(result.Answer.Content[0].Text, token) || string(result.Answer.Content[2].Input) != "{}" {
		t.Errorf("what was its own is lost: %+v", result.Answer.Content)
	}

	// Neither another conversation's tokens nor made-up ones reach the system, whoever puts them there.
	for _, foreign := range []string{theirs, "<PERSON_000000>", "<TEXT_zzzzzzzz>", strings.Replace(token, ">", "_LAST>", 1) + theirs} {
		for _, in := range []arguments{step(1, "call "+foreign), {Object: "Deal", Where: map[string][]string{"Name": {foreign}}, Fields: []string{"Name"}}} {
			tool := "crm_update"
			if in.Values == nil {
				tool = "crm_read"
			}
			_, err := h.try(h.ana(), q, tool, in)
			h.kind(err, steward.Gone)
			raw, err := q.In.MaskInsideJSON(context.Background(), args(in)) // as a model's arguments come in
			h.must(err)
			_, err = h.tryRaw(h.ana(), q, tool, raw)
			h.kind(err, steward.Gone)
		}
	}
	h.untouched()
}
