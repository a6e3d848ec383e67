package messages

import (
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"github.com/stewardhq/steward"
)

// Last is the name of the event that ends an answer.
const Last = "message_stop"

// Result is what an answer says of itself, as far as it has come.
type Result struct {
	Model        string // that answered, by its own word
	StopReason   string
	InputTokens  int64
	OutputTokens int64
}

// Stream is a streamed answer with its tokens filled: in texts piece by piece, in a tool's arguments
// once they are whole. Thinking and signatures pass as they are. It is for one goroutine.
type Stream struct {
	events   *Reader
	fill     Fill
	result   Result
	ready    []Event
	started  bool
	ended    bool
	blocks   int    // content blocks begun
	kind     string // of the open one, "" where none is
	text     *Restorer
	input    []byte // arguments of the open tool call
	restored int
	failed   error
}

// NewStream reads an answer from r, which stays the caller's to close.
func NewStream(r io.Reader, fill Fill) *Stream { return &Stream{events: NewReader(r), fill: fill} }

// Result tells what is known by now; it is whole after the event Last.
func (s *Stream) Result() Result { return s.result }

// Next gives the next event for the client, and io.EOF after Last, without reading on. Errors stay:
// Upstream for an answer that breaks the rules or off, Limited or Unavailable where the provider says
// so, and what Fill gave.
func (s *Stream) Next() (Event, error) {
	for s.failed == nil && len(s.ready) == 0 {
		if s.ended {
			return Event{}, io.EOF
		}
		var e Event
		if e, s.failed = s.events.Next(); s.failed == nil {
			s.failed = s.take(e)
			continue
		}
		if known := (*steward.Error)(nil); !errors.As(s.failed, &known) {
			s.failed = steward.Errorf(steward.Upstream, "the model's answer broke off; try again").Because(s.failed)
		}
	}
	if s.failed != nil {
		return Event{}, s.failed
	}
	e := s.ready[0]
	s.ready = s.ready[1:]
	return e, nil
}

// body is what is read of any event's data.
type body struct {
	Type    string `json:"type"`
	Index   int    `json:"index"`
	Message struct {
		Model   string            `json:"model"`
		Usage   usage             `json:"usage"`
		Content []json.RawMessage `json:"content"`
	} `json:"message"`
	Block struct {
		Type  string          `json:"type"`
		Text  string          `json:"text"`
		Input json.RawMessage `json:"input"`
	} `json:"content_block"`
	Delta struct {
		Type       string `json:"type"`
		Text       string `json:"text"`
		Partial    string `json:"partial_json"`
		StopReason string `json:"stop_reason"`
	} `json:"delta"`
	Usage usage `json:"usage"`
	Error struct {
		Type string `json:"type"`
	} `json:"error"`
}

type usage struct {
	Input  int64 `json:"input_tokens"`
	Output int64 `json:"output_tokens"`
}

// take reads one event and makes ready what the client gets for it.
func (s *Stream) take(e Event) error {
	var b body
	if err := json.Unmarshal(e.Data, &b); err != nil {
		return hostile("event's data: %w", err)
	}
	if b.Type != e.Name {
		return hostile("event is named otherwise than its data")
	}
	switch e.Name {
	case "ping":
		e.Data = []byte(`{"type":"ping"}`)
		s.pass(e)
		return nil
	case "error":
		return refusal(b.Error.Type)
	case "message_start":
		if s.started || len(b.Message.Content) > 0 {
			return hostile("message starts twice, or with content")
		}
		s.started = true
		s.result.Model = b.Message.Model
		s.count(b.Message.Usage)
		s.pass(e)
		return nil
	}
	if !s.started {
		return hostile("event before the message's start")
	}
	switch e.Name {
	case "content_block_start":
		return s.open(e, b)
	case "content_block_delta":
		return s.add(e, b)
	case "content_block_stop":
		return s.shut(e, b)
	case "message_delta", Last:
		if s.kind != "" {
			return hostile("message ends within a content block")
		}
		if e.Name == Last {
			s.ended = true
		} else {
			s.result.StopReason = b.Delta.StopReason
			s.count(b.Usage)
		}
		s.pass(e)
	}
	return nil // other events are none of the API's that we know, and clients must do without them
}

func (s *Stream) pass(e Event) { s.ready = append(s.ready, e) }

// count keeps the largest numbers seen: each event reports totals, or leaves them out.
func (s *Stream) count(u usage) {
	s.result.InputTokens = max(s.result.InputTokens, u.Input)
	s.result.OutputTokens = max(s.result.OutputTokens, u.Output)
}

func (s *Stream) open(e Event, b body) error {
	if s.kind != "" || b.Index != s.blocks {
		return hostile("content blocks overlap or are out of order")
	}
	switch b.Block.Type {
	case "text", "tool_use":
		if b.Block.Text != "" || len(b.Block.Input) > 0 && string(b.Block.Input) != "{}" {
			return hostile("content block starts with content")
		}
	case "thinking", "redacted_thinking":
	default:
		return hostile("content block of another type")
	}
	s.blocks++
	s.kind, s.text, s.input = b.Block.Type, NewRestorer(s.fill), nil
	s.pass(e)
	return nil
}

func (s *Stream) add(e Event, b body) error {
	if s.kind == "" || b.Index != s.blocks-1 {
		return hostile("delta for no open content block")
	}
	switch s.kind + " " + b.Delta.Type {
	case "text text_delta":
		text, err := s.text.Write(b.Delta.Text)
		if err != nil {
			return err
		}
		if text == b.Delta.Text {
			s.pass(e)
			return nil
		}
		return s.delta("text_delta", "text", text)
	case "tool_use input_json_delta":
		if len(s.input)+len(b.Delta.Partial) > maxArguments {
			return hostile("tool's arguments are longer than %d bytes", maxArguments)
		}
		s.input = append(s.input, b.Delta.Partial...)
		return nil
	case "thinking thinking_delta", "thinking signature_delta":
		s.pass(e)
		return nil
	}
	return hostile("delta doesn't fit its content block")
}

func (s *Stream) shut(e Event, b body) error {
	if s.kind == "" || b.Index != s.blocks-1 {
		return hostile("no open content block to stop")
	}
	rest, err := s.text.Flush()
	if err != nil {
		return err
	}
	if err := s.delta("text_delta", "text", rest); err != nil {
		return err
	}
	if len(s.input) > 0 {
		input, err := Strings(s.input, s.fill)
		if err != nil {
			return err
		}
		if err := s.delta("input_json_delta", "partial_json", string(input)); err != nil {
			return err
		}
	}
	s.kind, s.input = "", nil
	s.pass(e)
	return nil
}

// delta makes an event of restored text ready, unless there is none.
func (s *Stream) delta(kind, field, text string) error {
	if text == "" {
		return nil
	}
	if s.restored += len(text); s.restored > maxRestored {
		return steward.Errorf(steward.TooLarge, "with its values put in, this answer would be longer than %d MB", maxRestored>>20)
	}
	data := append([]byte(`{"type":"content_block_delta","index":`), strconv.Itoa(s.blocks-1)...)
	data = append(data, `,"delta":{"type":"`+kind+`","`+field+`":`...)
	data = append(append(data, quote(text)...), "}}"...)
	s.pass(Event{Name: "content_block_delta", Data: data})
	return nil
}

// refusal says what an error in the midst of an answer means. The provider's own words stay out: they
// may quote the request.
func refusal(kind string) error {
	switch kind {
	case "rate_limit_error":
		return steward.Errorf(steward.Limited, "the model's provider limits how much may be asked; try again later")
	case "overloaded_error":
		return steward.Errorf(steward.Unavailable, "the model's provider is overloaded; try again later")
	}
	return steward.Errorf(steward.Upstream, "the model's provider broke the answer off with an error; try again")
}
