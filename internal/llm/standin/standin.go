// Package standin answers: what would a provider of Claude say to this request? It is a local stand-in for the Messages
// API, for tests and measurements only: it checks requests as strictly as it can, answers in the API's shape, and turns
// hostile when told to; it understands nothing of what it is asked.
package standin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Hostility is how a provider can go wrong.
type Hostility string

// The ways.
const (
	Honest       Hostility = ""
	OtherModel   Hostility = "other model"   // says that another model answered
	Endless      Hostility = "endless"       // never stops to answer, a little at a time
	Huge         Hostility = "huge"          // 100 MB
	InvalidSSE   Hostility = "invalid sse"   // what should be events aren't, nor is JSON
	BrokenOff    Hostility = "broken off"    // the connection ends in the middle
	Silent       Hostility = "silent"        // takes the request and says nothing
	WrongType    Hostility = "wrong type"    // HTML
	Redirecting  Hostility = "redirecting"   // sends elsewhere
	ErrorInside  Hostility = "error inside"  // an error event in a stream that began well
	UnknownBlock Hostility = "unknown block" // content of a kind that nobody knows
)

// Seen is one request as it arrived.
type Seen struct {
	Path   string
	Header http.Header
	Body   []byte
}

// Provider is the stand-in, an http.Handler. Its zero value answers honestly and accepts any key.
type Provider struct {
	Key       string // the only x-api-key that is accepted; "" for any
	Say       string // the answer's text; by default the last text that it was sent
	Hostility Hostility
	Refuse    []int         // statuses to answer with first, one a request, before it behaves: 429, 529
	After     string        // the Retry-After header that goes with them
	Pause     time.Duration // between two events of a stream
	Forget    bool          // keep nothing of requests, for measurements

	mu   sync.Mutex
	seen []Seen
	n    int
}

// Seen gives all requests so far.
func (p *Provider) Seen() []Seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

// request is what of a request decides the answer.
type request struct {
	Model     string `json:"model"`
	MaxTokens int    `json:"max_tokens"`
	Stream    bool   `json:"stream"`
	Messages  []struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	} `json:"messages"`
}

// ServeHTTP implements http.Handler.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	p.mu.Lock()
	p.n++
	id, status := fmt.Sprintf("req_%d", p.n), 0
	if len(p.Refuse) > 0 {
		status, p.Refuse = p.Refuse[0], p.Refuse[1:]
	}
	if !p.Forget {
		p.seen = append(p.seen, Seen{r.URL.Path, r.Header.Clone(), body})
	}
	p.mu.Unlock()
	w.Header().Set("Request-Id", id)
	if status != 0 {
		if p.After != "" {
			w.Header().Set("Retry-After", p.After)
		}
		fail(w, status, "refused as told to")
		return
	}
	var asked request
	switch err := json.Unmarshal(body, &asked); {
	case r.Method != http.MethodPost || r.URL.Path != "/v1/messages" && r.URL.Path != "/v1/messages/count_tokens":
		fail(w, http.StatusNotFound, "there is no such operation")
	case r.Header.Get("X-Api-Key") == "" || p.Key != "" && r.Header.Get("X-Api-Key") != p.Key:
		fail(w, http.StatusUnauthorized, "invalid x-api-key")
	case r.Header.Get("Anthropic-Version") != "2023-06-01":
		fail(w, http.StatusBadRequest, "anthropic-version: header is required")
	case r.Header.Get("Content-Type") != "application/json":
		fail(w, http.StatusBadRequest, "content-type: application/json is required")
	case err != nil:
		fail(w, http.StatusBadRequest, "the body is no JSON")
	case asked.Model == "" || len(asked.Messages) == 0:
		fail(w, http.StatusBadRequest, "model and messages: fields required")
	case r.URL.Path == "/v1/messages/count_tokens":
		reply(w, map[string]int{"input_tokens": tokens(len(body))})
	case asked.MaxTokens < 1:
		fail(w, http.StatusBadRequest, "max_tokens: field required")
	default:
		p.answer(w, r, asked, len(body), strings.Replace(id, "req", "msg", 1))
	}
}

func (p *Provider) answer(w http.ResponseWriter, r *http.Request, asked request, sent int, id string) {
	text := p.Say
	if text == "" {
		text = last(asked)
	}
	if p.Hostility == OtherModel {
		asked.Model += "-other"
	}
	switch p.Hostility {
	case Silent:
		<-r.Context().Done()
		return
	case WrongType:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html>hello</html>")
		return
	case Redirecting:
		http.Redirect(w, r, "http://198.51.100.7/v1/messages", http.StatusTemporaryRedirect)
		return
	}
	if asked.Stream {
		p.stream(w, asked, text, sent, id)
		return
	}
	kind := "text"
	switch p.Hostility {
	case Huge:
		text = strings.Repeat("a", 100<<20)
	case UnknownBlock:
		kind = "surprise"
	case InvalidSSE:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"type":"message",`)
		return
	case Endless, BrokenOff:
		w.Header().Set("Content-Type", "application/json")
		write(w, `{"type":"message","content":[{"type":"text","text":"`)
		for p.Hostility == Endless && write(w, "a") {
			time.Sleep(max(p.Pause, time.Millisecond))
		}
		panic(http.ErrAbortHandler)
	}
	reply(w, map[string]any{
		"id": id, "type": "message", "role": "assistant", "model": asked.Model, "stop_reason": "end_turn", "stop_sequence": nil,
		"content": []any{map[string]string{"type": kind, "text": text}},
		"usage":   usage(sent, len(text)),
	})
}

// stream answers in the events of the API's streams.
func (p *Provider) stream(w http.ResponseWriter, asked request, text string, sent int, id string) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	event := func(name string, fields map[string]any) bool {
		fields["type"] = name
		time.Sleep(p.Pause)
		return write(w, "event: "+name+"\ndata: "+encode(fields)+"\n") // encode ends the line
	}
	piece := func(text string) bool {
		return event("content_block_delta", map[string]any{"index": 0, "delta": map[string]string{"type": "text_delta", "text": text}})
	}
	event("message_start", map[string]any{"message": map[string]any{
		"id": id, "type": "message", "role": "assistant", "model": asked.Model, "content": []any{}, "stop_reason": nil, "stop_sequence": nil,
		"usage": usage(sent, 4),
	}})
	kind := "text"
	if p.Hostility == UnknownBlock {
		kind = "surprise"
	}
	event("content_block_start", map[string]any{"index": 0, "content_block": map[string]string{"type": kind, "text": ""}})
	event("ping", map[string]any{})
	switch p.Hostility {
	case InvalidSSE:
		write(w, "data data\x00\nevent\n: \xff\n\ndata: {\"type\":\n\n")
		return
	case ErrorInside:
		event("error", map[string]any{"error": map[string]string{"type": "overloaded_error", "message": "Overloaded"}})
		return
	case BrokenOff:
		piece("half")
		panic(http.ErrAbortHandler)
	case Endless:
		for piece("a") {
			time.Sleep(time.Millisecond)
		}
		return
	case Huge:
		chunk := strings.Repeat("a", 1<<20)
		for n := 0; n < 100 && piece(chunk); n++ {
		}
	}
	for rest := text; rest != ""; {
		n := min(len(rest), 16)
		for n < len(rest) && rest[n]&0xC0 == 0x80 {
			n++ // never within a character
		}
		piece(rest[:n])
		rest = rest[n:]
	}
	event("content_block_stop", map[string]any{"index": 0})
	event("message_delta", map[string]any{"delta": map[string]any{"stop_reason": "end_turn", "stop_sequence": nil}, "usage": map[string]int{"output_tokens": tokens(len(text))}})
	event("message_stop", map[string]any{})
}

// last is the last text that was sent.
func last(asked request) string {
	raw := asked.Messages[len(asked.Messages)-1].Content
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var blocks []struct {
		Text string `json:"text"`
	}
	_ = json.Unmarshal(raw, &blocks) // whatever has no text says nothing
	for _, b := range slices.Backward(blocks) {
		if b.Text != "" {
			return b.Text
		}
	}
	return "Hello."
}

// tokens is about as many as so many bytes have.
func tokens(size int) int { return size/4 + 1 }

func usage(sent, answered int) map[string]int {
	return map[string]int{
		"input_tokens": tokens(sent), "output_tokens": tokens(answered), "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
	}
}

func write(w http.ResponseWriter, text string) bool {
	_, err := io.WriteString(w, text)
	return err == nil && http.NewResponseController(w).Flush() == nil
}

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, encode(body)) // whoever asked may have gone
}

// encode writes JSON as the API does, with < and > as they are, and a line's end.
func encode(body any) string {
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		panic(err) // all that is written here can be
	}
	return text.String()
}

// errorTypes are the API's names for what statuses mean.
var errorTypes = map[int]string{
	400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
	413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 529: "overloaded_error",
}

func fail(w http.ResponseWriter, status int, message string) {
	kind := errorTypes[status]
	if kind == "" {
		kind = "api_error"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, encode(map[string]any{ // whoever asked may have gone
		"type": "error", "error": map[string]string{"type": kind, "message": message}, "request_id": w.Header().Get("Request-Id"),
	}))
}
