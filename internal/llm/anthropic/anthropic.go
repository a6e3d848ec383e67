// Package anthropic answers: how does a request of the Messages API get to Claude, and its answer back? It sends the
// bytes that it is handed, tries again where nothing was answered yet, and gives up on a provider that keeps failing;
// it doesn't know what the bytes say, nor whether they may be sent.
package anthropic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/llm"
)

// DefaultModel is the model that is used where a workspace names none.
const DefaultModel = sdk.ModelClaudeSonnet5_5

const (
	attempts   = 3                      // of one request
	firstWait  = 500 * time.Millisecond // before the second, twice that before the third, less up to half of it
	longest    = 20 * time.Second       // that a provider may ask to wait for; who wants more is told to the caller
	toBegin    = time.Minute            // until an answer that streams begins
	between    = time.Minute            // two pieces of an answer that streams; the provider sends pings
	altogether = 10 * time.Minute       // of one request, as the provider's own limit
	maxError   = 64 << 10               // bytes of a refusal that are read
	maxAnswer  = 4 << 20                // bytes of an answer that Generate reads
)

// Settings are how one provider is reached.
type Settings struct {
	Name     string // as people know it: "anthropic"
	Endpoint string // "https://api.anthropic.com"
	Key      string
	Client   *http.Client // reaches the endpoint and nothing else
	Now      func() time.Time
	Jitter   func() float64 // in [0,1), another one at each call
}

// Provider is Claude at one address. It may be used by many at once, and has to be kept between requests: it remembers
// how the last ones went.
type Provider struct {
	Settings
	client  sdk.Client
	circuit circuit
}

// New makes a provider. The SDK's own retries, tracing and look at the environment are off.
func New(s Settings) (*Provider, error) {
	if s.Key == "" || strings.ContainsAny(s.Key, " \t\r\n") {
		return nil, steward.Errorf(steward.Invalid, "the key of %s is empty or has spaces in it; the file holds the key and nothing else", s.Name)
	}
	if !strings.HasPrefix(s.Endpoint, "https://") && !strings.HasPrefix(s.Endpoint, "http://") {
		return nil, steward.Errorf(steward.Invalid, "the endpoint of %s is no address such as https://api.anthropic.com", s.Name)
	}
	return &Provider{Settings: s, client: sdk.NewClient(
		option.WithoutEnvironmentDefaults(), option.WithoutOpenTelemetry(), option.WithOpenTelemetryPropagation(false), option.WithMaxRetries(0),
		option.WithBaseURL(strings.TrimSuffix(s.Endpoint, "/")+"/"), option.WithAPIKey(s.Key), option.WithHTTPClient(s.Client), option.WithMiddleware(answered),
	)}, nil
}

// refusal is an answer that isn't a success. Of its words only the kind is kept, since they may repeat the request's.
type refusal struct {
	status    int
	kind      string // "overloaded_error"; "" where it can't be read
	requestID string
	after     string // the Retry-After header
}

// Error implements error.
func (r *refusal) Error() string {
	return fmt.Sprintf("status %d %s, request %q", r.status, r.kind, r.requestID)
}

// answered lets only successes through. It sends nothing about this machine.
func answered(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Stainless-") {
			r.Header.Del(name)
		}
	}
	r.Header.Set("User-Agent", "steward")
	response, err := next(r)
	if err != nil || response.StatusCode == http.StatusOK {
		return response, err
	}
	defer func() { _ = response.Body.Close() }()
	var problem struct {
		Error struct {
			Type string `json:"type"`
		} `json:"error"`
	}
	_ = json.NewDecoder(io.LimitReader(response.Body, maxError)).Decode(&problem) // whatever it says, the status counts
	refused := &refusal{status: response.StatusCode, requestID: plain(response.Header.Get("Request-Id")), after: response.Header.Get("Retry-After")}
	if strings.HasSuffix(problem.Error.Type, "_error") {
		refused.kind = plain(problem.Error.Type)
	}
	return nil, refused
}

// plain leaves of what a provider calls something a word of at most 100 letters, digits, dashes and underscores; "" where
// it is something else.
func plain(s string) string {
	const word = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	if len(s) > 100 || strings.Trim(s, word) != "" {
		return ""
	}
	return s
}

// Relay implements llm.Relay.
func (p *Provider) Relay(ctx context.Context, passage llm.Passage) (llm.Arrival, error) {
	if passage.Operation != llm.Create && passage.Operation != llm.CountTokens {
		return llm.Arrival{}, steward.Errorf(steward.Invalid, "the operation %q isn't one that may be sent to a provider", passage.Operation)
	}
	for retries := 0; ; retries++ {
		if !p.circuit.mayTry(p.Now()) {
			return llm.Arrival{}, steward.Errorf(steward.Unavailable, "%s failed again and again and is left alone for a moment; ask again in half a minute", p.Name)
		}
		arrival, err := p.attempt(ctx, passage)
		p.circuit.tell(p.Now(), sick(ctx, err), ctx.Err() != nil)
		if err == nil {
			arrival.Retries = retries
			return arrival, nil
		}
		wait, again := p.pause(err, retries)
		if ctx.Err() != nil || !again {
			return llm.Arrival{}, p.told(ctx, err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return llm.Arrival{}, p.told(ctx, err)
		case <-timer.C:
		}
	}
}

// attempt sends a passage once.
func (p *Provider) attempt(ctx context.Context, passage llm.Passage) (llm.Arrival, error) {
	ctx, cancel := context.WithTimeout(ctx, altogether)
	w := &watched{cancel: cancel}
	opts := []option.RequestOption{option.WithHeader("Accept", "application/json")}
	if passage.Stream {
		opts = []option.RequestOption{option.WithHeader("Accept", "text/event-stream")}
		w.timer = time.AfterFunc(toBegin, cancel)
	}
	if len(passage.Beta) > 0 {
		opts = append(opts, option.WithHeader("anthropic-beta", strings.Join(passage.Beta, ",")))
	}
	var response *http.Response
	if err := p.client.Post(ctx, "v1/"+passage.Operation, passage.Body, &response, opts...); err != nil {
		w.stop()
		return llm.Arrival{}, err
	}
	w.body = response.Body
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if want := map[bool]string{false: "application/json", true: "text/event-stream"}[passage.Stream]; kind != want {
		_ = w.Close()
		return llm.Arrival{}, &refusal{status: http.StatusBadGateway, kind: "wrong_content_type"}
	}
	return llm.Arrival{Body: w, Stream: passage.Stream, RequestID: plain(response.Header.Get("Request-Id"))}, nil
}

// watched is an answer's body that ends the request when nothing comes any more.
type watched struct {
	body   io.ReadCloser
	cancel context.CancelFunc
	timer  *time.Timer // nil where only the whole is bounded
}

// Read implements io.Reader.
func (w *watched) Read(b []byte) (int, error) {
	if w.timer != nil {
		w.timer.Reset(between)
	}
	n, err := w.body.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = steward.Errorf(steward.Upstream, "the model's answer broke off; ask again").Because(err)
	}
	return n, err
}

// Close implements io.Closer.
func (w *watched) Close() error {
	w.stop()
	return w.body.Close()
}

func (w *watched) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
	w.cancel()
}

// sick tells a failure that speaks against the provider from one that speaks against the request.
func sick(ctx context.Context, err error) bool {
	var refused *refusal
	if errors.As(err, &refused) {
		return refused.status >= 500
	}
	return err != nil && ctx.Err() == nil && steward.KindOf(err) != steward.Denied
}

// pause says whether to try again, and when. What egress refused is refused again.
func (p *Provider) pause(err error, retries int) (wait time.Duration, again bool) {
	wait = firstWait << retries
	wait -= time.Duration(p.Jitter() * float64(wait/2))
	var refused *refusal
	switch {
	case retries+1 >= attempts:
		return 0, false
	case !errors.As(err, &refused):
		return wait, steward.KindOf(err) != steward.Denied
	case refused.status != http.StatusTooManyRequests && refused.status < 500, refused.kind == "wrong_content_type":
		return 0, false
	}
	if asked, ok := after(refused.after, p.Now()); ok {
		return max(wait, asked), asked <= longest
	}
	return wait, true
}

// after reads a Retry-After header: seconds, or a date (RFC 9110, 10.2.3).
func after(header string, now time.Time) (time.Duration, bool) {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, at.Sub(now)), true
	}
	return 0, false
}

// told puts a failure into words that may be shown.
func (p *Provider) told(ctx context.Context, err error) error {
	var refused *refusal
	switch {
	case ctx.Err() != nil:
		return steward.Errorf(steward.Upstream, "%s was asked, and nobody waited for its answer", p.Name).Because(ctx.Err())
	case steward.KindOf(err) == steward.Denied:
		return steward.Errorf(steward.Unavailable, "%s is not where Steward may send to; its endpoint has to be registered", p.Name).Because(err)
	case !errors.As(err, &refused):
		return steward.Errorf(steward.Upstream, "%s doesn't answer; ask again in a minute", p.Name).Because(err)
	}
	switch s := refused.status; {
	case s == http.StatusTooManyRequests:
		if wait, ok := after(refused.after, p.Now()); ok {
			return steward.Errorf(steward.Limited, "%s takes no more requests now; ask again in %d s", p.Name, int(wait.Seconds())).Because(err)
		}
		return steward.Errorf(steward.Limited, "%s takes no more requests now; ask again in a minute", p.Name).Because(err)
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		return steward.Errorf(steward.Unavailable, "%s refuses Steward's key; the operator has to give it another", p.Name).Because(err)
	case s == http.StatusNotFound:
		return steward.Errorf(steward.Unavailable, "%s doesn't have this model or operation; register one that it has", p.Name).Because(err)
	case s == http.StatusRequestEntityTooLarge:
		return steward.Errorf(steward.Invalid, "the request is too large for %s; send less at once", p.Name).Because(err)
	case s >= 400 && s < 500:
		return steward.Errorf(steward.Invalid, "%s can't make sense of the request; the operator's log says of what kind its refusal is", p.Name).Because(err)
	}
	return steward.Errorf(steward.Upstream, "%s fails at this now; ask again in a minute", p.Name).Because(err)
}

// Generate implements llm.Model.
func (p *Provider) Generate(ctx context.Context, r llm.Request) (answer llm.Response, err error) {
	body, err := json.Marshal(r)
	if err != nil {
		return answer, steward.Errorf(steward.Invalid, "the request is no JSON").Because(err)
	}
	arrival, err := p.Relay(ctx, llm.Passage{Operation: llm.Create, Model: r.Model, Body: body})
	if err != nil {
		return answer, err
	}
	defer func() { _ = arrival.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(arrival.Body, maxAnswer+1))
	if err != nil {
		return answer, err
	}
	if len(raw) > maxAnswer {
		return answer, steward.Errorf(steward.Upstream, "the answer of %s has more than %d bytes; ask for less at once", p.Name, maxAnswer)
	}
	if json.Unmarshal(raw, &answer) != nil {
		// The error would repeat what was answered.
		return llm.Response{}, steward.Errorf(steward.Upstream, "the answer of %s can't be read; ask again", p.Name)
	}
	if answer.Model != r.Model {
		return llm.Response{}, steward.Errorf(steward.Upstream, "another model of %s answered than the one that was asked; nothing of it is used", p.Name)
	}
	answer.RequestID, answer.Retries = arrival.RequestID, arrival.Retries
	return answer, nil
}
