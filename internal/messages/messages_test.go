package messages_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/messages"
)

const (
	whole = "<PERSON_k7q2mh>"
	part  = "<PERSON_k7q2mh_FIRST>"
)

// fill knows one person, whose name is hard on JSON.
func fill(text string) (string, error) {
	return strings.NewReplacer(whole, `Ada "<b>" Løve`, part, "Ada").Replace(text), nil
}

func event(name, data string) string { return "event: " + name + "\ndata: " + data + "\n\n" }

func start() string {
	return event("message_start", `{"type":"message_start","message":{"model":"m-1","content":[],"usage":{"input_tokens":7,"output_tokens":1}}}`)
}

func end() string {
	return event("message_delta", `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}`) +
		event("message_stop", `{"type":"message_stop"}`)
}

func block(index int, kind, delta, field string, pieces ...string) string {
	i := strconv.Itoa(index)
	s := event("content_block_start", `{"type":"content_block_start","index":`+i+`,"content_block":{"type":"`+kind+`"}}`)
	for _, p := range pieces {
		quoted, _ := json.Marshal(p)
		s += event("content_block_delta", `{"type":"content_block_delta","index":`+i+`,"delta":{"type":"`+delta+`","`+field+`":`+string(quoted)+`}}`)
	}
	return s + event("content_block_stop", `{"type":"content_block_stop","index":`+i+`}`)
}

// said reads a stream to its end: what each block's deltas say joined, and the events' names.
func said(t *testing.T, r io.Reader) (blocks map[int]string, names []string, result messages.Result, err error) {
	t.Helper()
	blocks = map[int]string{}
	s := messages.NewStream(r, fill)
	for {
		e, err := s.Next()
		if err != nil {
			if _, again := s.Next(); !errors.Is(again, err) {
				t.Errorf("error %v became %v", err, again)
			}
			return blocks, names, s.Result(), err
		}
		names = append(names, e.Name)
		var d struct {
			Index int
			Delta struct{ Text, Thinking, Signature, Partial_json string }
		}
		if err := json.Unmarshal(e.Data, &d); err != nil {
			t.Fatalf("event %s has invalid JSON: %v", e.Name, err)
		}
		blocks[d.Index] += d.Delta.Text + d.Delta.Thinking + d.Delta.Signature + d.Delta.Partial_json
	}
}

func TestStreamIsTheSameAtEverySplit(t *testing.T) {
	text := "a < b, <PERSON_<PERSON_k7q2mh> and <PERSON_k7q2mh_FIRST>, <PERSON_nobody> <PERS <b> æ <"
	want, _ := fill(text)
	args := `{"to": "<PERSON_k7q2mh>", "n": 1.0, "raw": "{\"who\":\"<PERSON_k7q2mh>\"}", "<PERSON_k7q2mh>": []}`
	for cut := range len(text) + 1 {
		if cut < len(text) && text[cut]&0xC0 == 0x80 {
			continue // a provider cuts between characters
		}
		argCut := cut * len(args) / len(text)
		stream := start() + block(0, "thinking", "thinking_delta", "thinking", whole) +
			block(1, "text", "text_delta", "text", text[:cut], text[cut:]) +
			block(2, "tool_use", "input_json_delta", "partial_json", args[:argCut], args[argCut:]) + end()
		got, names, result, err := said(t, strings.NewReader(stream))
		if !errors.Is(err, io.EOF) || names[len(names)-1] != messages.Last {
			t.Fatalf("cut at %d: ended with %v after %v", cut, err, names)
		}
		if got[0] != whole {
			t.Errorf("cut at %d: thinking became %q", cut, got[0])
		}
		if got[1] != want {
			t.Errorf("cut at %d: text is %q, want %q", cut, got[1], want)
		}
		var in struct {
			To, Raw string
			N       json.Number
			Key     []any `json:"<PERSON_k7q2mh>"`
		}
		var raw struct{ Who string }
		if err := errors.Join(json.Unmarshal([]byte(got[2]), &in), json.Unmarshal([]byte(in.Raw), &raw)); err != nil {
			t.Fatalf("arguments %s: %v", got[2], err)
		}
		if name, _ := fill(whole); in.To != name || raw.Who != name || in.N != "1.0" || in.Key == nil {
			t.Errorf("arguments are %s", got[2])
		}
		if result != (messages.Result{Model: "m-1", StopReason: "end_turn", InputTokens: 7, OutputTokens: 9}) {
			t.Errorf("result is %+v", result)
		}
	}
}

func TestStreamIsTheSameHoweverBytesArrive(t *testing.T) {
	stream := start() + block(0, "text", "text_delta", "text", "to <PERS", "ON_k7q2mh_FI", "RST>, now") + end()
	for _, r := range []io.Reader{strings.NewReader(stream), iotest.OneByteReader(strings.NewReader(stream)),
		strings.NewReader(strings.ReplaceAll(stream, "\n", "\r\n")), strings.NewReader(": hello\n\n" + stream)} {
		if got, _, _, err := said(t, r); !errors.Is(err, io.EOF) || got[0] != "to Ada, now" {
			t.Errorf("got %q, %v", got[0], err)
		}
	}
	for cut := range len(stream) - 1 {
		if _, names, _, err := said(t, strings.NewReader(stream[:cut])); steward.KindOf(err) != steward.Upstream ||
			len(names) > 0 && names[len(names)-1] == messages.Last {
			t.Fatalf("broken off at %d: %v after %v", cut, err, names)
		}
	}
}

func TestHostileProvidersAreRefused(t *testing.T) {
	open := event("content_block_start", `{"type":"content_block_start","index":0,"content_block":{"type":"text"}}`)
	for name, c := range map[string]struct {
		stream io.Reader
		kind   steward.Kind
	}{
		"never ends a line":     {io.MultiReader(strings.NewReader(start()), endless("x")), steward.Upstream},
		"never ends an event":   {io.MultiReader(strings.NewReader(start()), endless("data: x\n")), steward.Upstream},
		"never says anything":   {endless("\n: ping\n"), steward.Upstream},
		"pings for ever":        {endless(event("ping", `{"type":"ping"}`)), steward.Upstream},
		"no JSON":               {strings.NewReader(event("message_start", `{"type":`)), steward.Upstream},
		"other name":            {strings.NewReader(event("ping", `{"type":"message_stop"}`)), steward.Upstream},
		"lone \\r":              {strings.NewReader("event: ping\rdata: {}\n\n"), steward.Upstream},
		"starts twice":          {strings.NewReader(start() + start()), steward.Upstream},
		"stop first":            {strings.NewReader(end()), steward.Upstream},
		"block left open":       {strings.NewReader(start() + open + end()), steward.Upstream},
		"blocks overlap":        {strings.NewReader(start() + open + open), steward.Upstream},
		"block out of order":    {strings.NewReader(start() + block(1, "text", "text_delta", "text", "x")), steward.Upstream},
		"other block":           {strings.NewReader(start() + block(0, "server_tool_use", "text_delta", "text", "x")), steward.Upstream},
		"other delta":           {strings.NewReader(start() + block(0, "text", "input_json_delta", "partial_json", "{}")), steward.Upstream},
		"arguments are no JSON": {strings.NewReader(start() + block(0, "tool_use", "input_json_delta", "partial_json", `{"a":`)), steward.Upstream},
		"long arguments": {io.MultiReader(strings.NewReader(start()+strings.Replace(open, `"text"`, `"tool_use"`, 1)),
			endless(event("content_block_delta", `{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"`+strings.Repeat("1", 60_000)+`"}}`))), steward.Upstream},
		"overloaded": {strings.NewReader(start() + event("error", `{"type":"error","error":{"type":"overloaded_error","message":"secret"}}`)), steward.Unavailable},
		"limited":    {strings.NewReader(event("error", `{"type":"error","error":{"type":"rate_limit_error","message":"secret"}}`)), steward.Limited},
		"broken":     {strings.NewReader(event("error", `{"type":"error","error":{"type":"api_error","message":"secret"}}`)), steward.Upstream},
	} {
		t.Run(name, func(t *testing.T) {
			s := messages.NewStream(c.stream, fill)
			var err error
			for e := (messages.Event{}); err == nil; e, err = s.Next() {
				if e.Name == messages.Last {
					t.Fatal("it passed for whole")
				}
			}
			if steward.KindOf(err) != c.kind || strings.Contains(err.Error(), "secret") {
				t.Errorf("it ended with %v: %v", steward.KindOf(err), err)
			}
		})
	}
}

// endless says the same for ever.
func endless(s string) io.Reader { return &repeated{text: s} }

type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

func TestFillsErrorsEndTheStream(t *testing.T) {
	s := messages.NewStream(strings.NewReader(start()+block(0, "text", "text_delta", "text", whole)+end()),
		func(string) (string, error) { return "", steward.Errorf(steward.Gone, "it was forgotten") })
	var err error
	for err == nil {
		_, err = s.Next()
	}
	if steward.KindOf(err) != steward.Gone {
		t.Errorf("it ended with %v", err)
	}
}

func FuzzRestorer(f *testing.F) {
	f.Add("to "+whole+" and "+part+"<", uint8(5), uint8(12))
	f.Add("<<PERSON_<PERSON_k7q2mh><PERSON_k7q2mh_LAST", uint8(1), uint8(20))
	f.Fuzz(func(t *testing.T, text string, a, b uint8) {
		i := min(int(a), len(text))
		j := min(i+int(b), len(text))
		r := messages.NewRestorer(fill)
		got, given := "", 0
		for _, piece := range []string{text[:i], text[i:j], text[j:]} {
			out, err := r.Write(piece)
			if err != nil {
				t.Fatal(err)
			}
			got += out
		}
		if want, _ := fill(text); len(want) == len(text) {
			given = len(text) - len(got)
		}
		if given >= 32 {
			t.Errorf("%d bytes are held back", given)
		}
		rest, _ := r.Flush()
		if want, _ := fill(text); got+rest != want {
			t.Errorf("cut at %d and %d, %q became %q, want %q", i, j, text, got+rest, want)
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(start() + end()))
	f.Add([]byte("data: a\ndata:b\r\nid: 3\n\nevent: x\n\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := messages.NewReader(bytes.NewReader(stream))
		for {
			e, err := r.Next()
			if err != nil {
				return
			}
			again, err := messages.NewReader(bytes.NewReader(e.Append(nil))).Next()
			if err != nil || again.Name != e.Name || !bytes.Equal(again.Data, e.Data) {
				t.Fatalf("%q came back as %q, %v", e, again, err)
			}
		}
	})
}

func FuzzStrings(f *testing.F) {
	f.Add([]byte(`{"a": ["<PERSON_k7q2mh>", 1e2, "[\"<PERSON_k7q2mh>\"]"], "\u003c" : "\ud800"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		same, err := messages.Strings(raw, func(s string) (string, error) { return s, nil })
		if (err == nil) != json.Valid(raw) || err == nil && !bytes.Equal(same, raw) {
			t.Fatalf("left alone, %q became %q, %v", raw, same, err)
		}
		if out, err := messages.Strings(raw, fill); err == nil && !json.Valid(out) {
			t.Fatalf("%q became %q", raw, out)
		}
	})
}

func BenchmarkRestorer(b *testing.B) {
	text := strings.Repeat("words that a model says, and then ", 30) + whole
	b.SetBytes(int64(len(text)))
	r := messages.NewRestorer(func(s string) (string, error) { return s, nil })
	for b.Loop() {
		for i := 0; i < len(text); i += 64 {
			if _, err := r.Write(text[i:min(i+64, len(text))]); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkStream(b *testing.B) {
	stream := start() + block(0, "text", "text_delta", "text", strings.Split(strings.Repeat("words that a model says.|", 400), "|")...) + end()
	b.SetBytes(int64(len(stream)))
	for b.Loop() {
		s := messages.NewStream(strings.NewReader(stream), fill)
		for {
			if _, err := s.Next(); err != nil {
				break
			}
		}
	}
}
