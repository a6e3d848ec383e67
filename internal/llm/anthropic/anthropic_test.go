package anthropic_test

import (
	"bytes"
	"context"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/egress"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/llm/anthropic"
	"github.com/stewardhq/steward/internal/llm/standin"
)

const key = "sk-planted-key"

// reach serves a stand-in and gives Claude as it is there, over the one way out.
func reach(t *testing.T, p *standin.Provider) (*anthropic.Provider, *time.Time) {
	t.Helper()
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	to, err := egress.ParseDestination(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	out := new(egress.Egress)
	t.Cleanup(out.CloseIdle)
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	c, err := anthropic.New(anthropic.Settings{
		Name: "anthropic", Endpoint: server.URL, Key: key, Client: out.Client("ws_1", to),
		Now: func() time.Time { return now }, Jitter: func() float64 { return 0.99 },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, &now
}

func passage(stream bool) llm.Passage {
	body := `{"max_tokens":16,  "model":"` + anthropic.DefaultModel + `","messages":[{"role":"user","content":"How is <PERSON_k7q2mh>\u0020?"}]`
	if stream {
		body += `,"stream":true`
	}
	return llm.Passage{Operation: llm.Create, Model: anthropic.DefaultModel, Body: []byte(body + " }"), Stream: stream}
}

func read(t *testing.T, a llm.Arrival) string {
	t.Helper()
	defer func() { _ = a.Body.Close() }()
	raw, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestBytesArriveAsTheyAre(t *testing.T) {
	for name, value := range map[string]string{
		"ANTHROPIC_API_KEY": "sk-elsewhere", "ANTHROPIC_AUTH_TOKEN": "elsewhere", "ANTHROPIC_BASE_URL": "http://198.51.100.7",
		"ANTHROPIC_CUSTOM_HEADERS": "X-Planted: yes", "ANTHROPIC_PROFILE": "planted", "HTTPS_PROXY": "http://198.51.100.7:1", "HTTP_PROXY": "http://198.51.100.7:1",
	} {
		t.Setenv(name, value)
	}
	for _, stream := range []bool{false, true} {
		p := &standin.Provider{Key: key}
		c, _ := reach(t, p)
		sent := passage(stream)
		sent.Beta = []string{"one-2026-01-01", "two-2026-01-01"}
		a, err := c.Relay(context.Background(), sent)
		if err != nil {
			t.Fatal(err)
		}
		if text := read(t, a); !strings.Contains(text, "<PERSON_k") || a.Stream != stream || a.RequestID != "req_1" || a.Retries != 0 || strings.Contains(text, "event: message_stop") != stream {
			t.Errorf("stream %v: got %+v with %s", stream, a, text)
		}
		seen := p.Seen()
		if len(seen) != 1 || !bytes.Equal(seen[0].Body, sent.Body) || seen[0].Path != "/v1/messages" {
			t.Fatalf("%d requests arrived: %q", len(seen), seen)
		}
		h := seen[0].Header
		if h.Get("Anthropic-Beta") != "one-2026-01-01,two-2026-01-01" || h.Get("Authorization") != "" || h.Get("X-Planted") != "" || h.Get("User-Agent") != "steward" {
			t.Errorf("headers: %v", h)
		}
		for name := range h {
			if strings.HasPrefix(name, "X-Stainless") || name == "Traceparent" {
				t.Errorf("the header %s tells of this machine", name)
			}
		}
	}
}

func TestCountTokens(t *testing.T) {
	p := &standin.Provider{}
	c, _ := reach(t, p)
	sent := passage(false)
	sent.Operation = llm.CountTokens
	a, err := c.Relay(context.Background(), sent)
	if err != nil {
		t.Fatal(err)
	}
	if text := read(t, a); !strings.Contains(text, "input_tokens") {
		t.Error(text)
	}
	for _, operation := range []string{"", "files", "messages/batches", "../v1/files"} {
		sent.Operation = operation
		if _, err := c.Relay(context.Background(), sent); steward.KindOf(err) != steward.Invalid {
			t.Errorf("%q: %v", operation, err)
		}
	}
	if n := len(p.Seen()); n != 1 {
		t.Errorf("%d requests arrived", n)
	}
}

func TestTriesAgainBeforeAnAnswer(t *testing.T) {
	for _, c := range []struct {
		name    string
		refuse  []int
		after   string
		arrived int
		kind    steward.Kind
		fine    bool
		atLeast time.Duration
	}{
		{"overloaded twice", []int{529, 529}, "", 3, 0, true, 600 * time.Millisecond},
		{"limited once, and told when", []int{429}, "1", 2, 0, true, time.Second},
		{"a fault", []int{500}, "", 2, 0, true, 200 * time.Millisecond},
		{"again and again", []int{529, 503, 500, 500}, "", 3, steward.Upstream, false, 0},
		{"limited for long", []int{429, 429}, "3600", 1, steward.Limited, false, 0},
		{"limited for ever", []int{429, 429, 429}, "", 3, steward.Limited, false, 0},
		{"a wait that is none", []int{429}, "-1", 2, 0, true, 0},
		{"invalid", []int{400}, "", 1, steward.Invalid, false, 0},
		{"too large", []int{413}, "", 1, steward.Invalid, false, 0},
		{"no key", []int{401}, "", 1, steward.Unavailable, false, 0},
		{"no such model", []int{404}, "", 1, steward.Unavailable, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := &standin.Provider{Refuse: c.refuse, After: c.after}
			to, _ := reach(t, p)
			began := time.Now()
			a, err := to.Relay(context.Background(), passage(false))
			if (err == nil) != c.fine || err != nil && steward.KindOf(err) != c.kind {
				t.Fatalf("got %v", err)
			}
			if err == nil {
				_ = read(t, a)
				if a.Retries != c.arrived-1 {
					t.Errorf("%d retries are told of", a.Retries)
				}
			} else if strings.Contains(err.Error(), "as told to") {
				t.Errorf("the refusal's words are kept: %v", err)
			}
			if n := len(p.Seen()); n != c.arrived {
				t.Errorf("%d requests arrived, want %d", n, c.arrived)
			}
			if took := time.Since(began); took < c.atLeast {
				t.Errorf("it was tried again after %s", took)
			}
		})
	}
}

func TestLeavesAloneWhatKeepsFailing(t *testing.T) {
	p := &standin.Provider{Refuse: []int{500, 500, 500, 500, 500}}
	c, now := reach(t, p)
	ask := func() steward.Kind {
		a, err := c.Relay(context.Background(), passage(false))
		if err != nil {
			return steward.KindOf(err)
		}
		_ = read(t, a)
		return 0
	}
	if first, second := ask(), ask(); first != steward.Upstream || second != steward.Unavailable {
		t.Fatalf("got %s, then %s", first, second)
	}
	if kind, n := ask(), len(p.Seen()); kind != steward.Unavailable || n != 5 {
		t.Fatalf("%s, and %d requests arrived", kind, n)
	}
	*now = now.Add(31 * time.Second)
	if kind, n := ask(), len(p.Seen()); kind != 0 || n != 6 {
		t.Fatalf("after a rest: %s, and %d requests arrived", kind, n)
	}
}

func TestHostile(t *testing.T) {
	for _, c := range []struct {
		how  standin.Hostility
		kind steward.Kind
	}{
		{standin.OtherModel, steward.Upstream},
		{standin.Huge, steward.Upstream},
		{standin.InvalidSSE, steward.Upstream},
		{standin.BrokenOff, steward.Upstream},
		{standin.WrongType, steward.Upstream},
		{standin.Redirecting, steward.Upstream},
	} {
		t.Run(string(c.how), func(t *testing.T) {
			p := &standin.Provider{Hostility: c.how}
			to, _ := reach(t, p)
			answer, err := to.Generate(context.Background(), llm.Request{
				Model: anthropic.DefaultModel, MaxTokens: 9, Messages: []llm.Message{{Role: llm.User, Content: []llm.Block{{Type: llm.Text, Text: "hi"}}}},
			})
			if steward.KindOf(err) != c.kind || len(answer.Content) != 0 || len(p.Seen()) != 1 {
				t.Fatalf("%d requests, %v, %d blocks", len(p.Seen()), err, len(answer.Content))
			}
		})
	}
	t.Run("nobody waits", func(t *testing.T) {
		for _, how := range []standin.Hostility{standin.Silent, standin.Endless} {
			to, _ := reach(t, &standin.Provider{Hostility: how})
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			a, err := to.Relay(ctx, passage(true))
			if err == nil {
				_, err = io.Copy(io.Discard, a.Body)
				_ = a.Body.Close()
			}
			if steward.KindOf(err) != steward.Upstream {
				t.Errorf("%s: %v", how, err)
			}
			cancel()
		}
	})
}

func TestGenerate(t *testing.T) {
	p := &standin.Provider{Say: "Two deals."}
	c, _ := reach(t, p)
	got, err := c.Generate(context.Background(), llm.Request{
		Model: anthropic.DefaultModel, MaxTokens: 9, System: "be brief", Messages: []llm.Message{{Role: llm.User, Content: []llm.Block{{Type: llm.Text, Text: "how many?"}}}},
	})
	if err != nil || len(got.Content) != 1 || got.Content[0].Text != "Two deals." || got.StopReason != llm.EndTurn || got.Usage.InputTokens < 10 || got.Model != anthropic.DefaultModel {
		t.Fatalf("got %+v, %v", got, err)
	}
}

// TestOnlyTheEndpoint has a client that reaches nothing: what egress refuses isn't tried again.
func TestOnlyTheEndpoint(t *testing.T) {
	c, err := anthropic.New(anthropic.Settings{
		Name: "anthropic", Endpoint: "https://api.anthropic.com", Key: key, Client: new(egress.Egress).Client("ws_1"),
		Now: time.Now, Jitter: func() float64 { return 0 },
	})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := c.Relay(context.Background(), passage(false)); steward.KindOf(err) != steward.Unavailable || time.Since(began) > 300*time.Millisecond {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	for _, s := range []anthropic.Settings{{Endpoint: "https://a.example"}, {Endpoint: "https://a.example", Key: "a b"}, {Endpoint: "a.example", Key: "a"}} {
		if _, err := anthropic.New(s); steward.KindOf(err) != steward.Invalid {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// TestModels reads the SDK's constants from its source: whoever upgrades it is told of models that are new.
func TestModels(t *testing.T) {
	list := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/anthropics/anthropic-sdk-go")
	dir, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "message.go"))
	if err != nil {
		t.Fatal(err)
	}
	var ids, gone []string
	deprecated := false
	constant := regexp.MustCompile(`^\s*ModelClaude\w+\s+Model = "([^"]+)"`)
	for line := range strings.Lines(string(source)) {
		m := constant.FindStringSubmatch(line)
		switch {
		case m != nil && deprecated:
			gone = append(gone, m[1])
		case m != nil:
			ids = append(ids, m[1])
		}
		deprecated = m == nil && strings.HasPrefix(strings.TrimSpace(line), "//") && (deprecated || strings.Contains(line, "Deprecated:"))
	}
	if len(ids) < 10 || len(gone) == 0 {
		t.Fatalf("only %v are found, and %v", ids, gone)
	}
	for _, id := range ids {
		alias := slices.ContainsFunc(ids, func(other string) bool { return regexp.MustCompile("^" + id + `-\d{8}$`).MatchString(other) })
		if err := anthropic.CheckModel(id); (err != nil) != alias {
			t.Errorf("%s: alias %v, and %v", id, alias, err)
		}
	}
	for _, id := range append(gone, "", "claude-opus-4-5", "claude-opus-4-5-latest", "claude-opus-4-5-20990101", "gpt", strings.ToUpper(anthropic.DefaultModel)) {
		if err := anthropic.CheckModel(id); steward.KindOf(err) != steward.Invalid {
			t.Errorf("%q: %v", id, err)
		}
	}
	if err := anthropic.CheckModel(anthropic.DefaultModel); err != nil {
		t.Error(err)
	}
}

func TestStandinIsRead(t *testing.T) {
	server := httptest.NewServer(&standin.Provider{Say: "Grüße, and more than one piece of it"})
	defer server.Close()
	c := sdk.NewClient(option.WithoutEnvironmentDefaults(), option.WithoutOpenTelemetry(), option.WithBaseURL(server.URL), option.WithAPIKey(key), option.WithHTTPClient(server.Client()))
	params := sdk.MessageNewParams{Model: anthropic.DefaultModel, MaxTokens: 9, Messages: []sdk.MessageParam{sdk.NewUserMessage(sdk.NewTextBlock("hi"))}}
	whole, err := c.Messages.New(context.Background(), params)
	if err != nil || whole.Content[0].Text != "Grüße, and more than one piece of it" {
		t.Fatalf("%+v, %v", whole, err)
	}
	stream, pieces := c.Messages.NewStreaming(context.Background(), params), sdk.Message{}
	for stream.Next() {
		if err := pieces.Accumulate(stream.Current()); err != nil {
			t.Fatal(err)
		}
	}
	if stream.Err() != nil || pieces.Content[0].Text != whole.Content[0].Text || pieces.StopReason != "end_turn" {
		t.Fatalf("%+v, %v", pieces, stream.Err())
	}
	if _, err := c.Messages.New(context.Background(), sdk.MessageNewParams{Model: "m"}); err == nil {
		t.Error("a request without messages is answered")
	}
}
