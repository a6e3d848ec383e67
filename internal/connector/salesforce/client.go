package salesforce

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
)

// apiVersion is the REST API's version that everything here is written against (Spring '25).
const apiVersion = "v62.0"

const (
	dataPath    = "/services/data/" + apiVersion
	revokePath  = "/services/oauth2/revoke"
	maxAnswer   = 32 << 20         // bytes of one answer
	maxURI      = 15_000           // bytes of a request's path and query; Salesforce refuses about 16 KB
	tries       = 3                // of one read
	firstPause  = time.Second / 2  // doubled before each further try
	longestWait = 10 * time.Second // that a Retry-After may ask for
)

// visit is what one call does at one org, as one member: its requests share what was described.
type visit struct {
	connector *Connector
	session   connector.Session
	objects   map[string]*object // described so far, by name in lower case
	requests  int
	requestID string // of the last answer
	status    int    // of the last answer
}

func (c *Connector) visit(s connector.Session) *visit {
	return &visit{connector: c, session: s, objects: map[string]*object{}}
}

// get reads a path into a value, trying again where that may help.
func (v *visit) get(ctx context.Context, path string, into any) error {
	if len(path) > maxURI {
		return steward.Errorf(steward.Invalid, "the query is too long for Salesforce; ask with fewer fields, conditions or values")
	}
	for try := 1; ; try++ {
		body, after, err := v.exchange(ctx, http.MethodGet, path, nil)
		if err == nil {
			if json.Unmarshal(body, into) != nil {
				return v.garbage()
			}
			return nil
		}
		pause := max(v.connector.pause(try), after)
		if try == tries || pause > longestWait || !transient(err) || v.connector.wait(ctx, pause) != nil {
			return err
		}
	}
}

// send makes one attempt at a write. A second might do it twice.
func (v *visit) send(ctx context.Context, method, path string, body any) ([]byte, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("salesforce body: %w", err)
	}
	answer, _, err := v.exchange(ctx, method, path, raw)
	return answer, err
}

// Revoke has the session's token accepted no more (RFC 7009); one that isn't known, or no more, is none.
func (c *Connector) Revoke(ctx context.Context, s connector.Session) error {
	v := c.visit(s)
	if _, _, err := v.exchange(ctx, http.MethodPost, revokePath, []byte(url.Values{"token": {string(s.AccessToken)}}.Encode())); v.status != http.StatusBadRequest {
		return err
	}
	return nil
}

// exchange sends one request and gives the body of an answer that says yes. after is what the org asks
// to wait before another try, zero where it doesn't say.
func (v *visit) exchange(ctx context.Context, method, path string, body []byte) (answer []byte, after time.Duration, err error) {
	sent := false // once there is a connection, the request may have arrived
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent = true }})
	r, err := http.NewRequestWithContext(traced, method, v.session.InstanceURL+path, bytes.NewReader(body))
	if err != nil { // its text repeats the query, which may hold names
		return nil, 0, steward.Errorf(steward.Invalid, "the address of this Salesforce connection is no URL; connect again with `steward connect salesforce`")
	}
	r.Header.Set("Authorization", "Bearer "+string(v.session.AccessToken))
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "steward")
	if method == http.MethodGet {
		r.Header.Set("Sforce-Query-Options", "batchSize=2000")
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	if path == revokePath {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	v.requests++
	v.requestID, v.status = "", 0
	reply, err := v.session.HTTP.Do(r)
	if err != nil {
		return nil, 0, v.noAnswer(err, sent && method != http.MethodGet)
	}
	defer reply.Body.Close()
	v.status = reply.StatusCode
	v.requestID = reply.Header.Get("X-SFDC-Request-Id")
	v.connector.noteUsage(v.session.InstanceURL, reply.Header.Get("Sforce-Limit-Info"))
	answer, err = io.ReadAll(io.LimitReader(reply.Body, maxAnswer+1))
	if err != nil {
		return nil, 0, v.noAnswer(err, method != http.MethodGet && reply.StatusCode/100 == 2)
	}
	if len(answer) > maxAnswer {
		return nil, 0, v.fail(steward.Upstream, "Salesforce answered with more than 32 MiB; ask for fewer records or fields", connector.Error{})
	}
	if reply.StatusCode/100 == 2 {
		return answer, 0, nil
	}
	if seconds, err := strconv.Atoi(reply.Header.Get("Retry-After")); err == nil && seconds > 0 {
		after = time.Duration(seconds) * time.Second
	}
	return nil, after, v.refused(answer, method != http.MethodGet)
}

// noteUsage reads "api-usage=18/15000" out of Sforce-Limit-Info.
func (c *Connector) noteUsage(instanceURL, info string) {
	for part := range strings.SplitSeq(info, ";") {
		var u Usage
		if n, _ := fmt.Sscanf(strings.TrimSpace(part), "api-usage=%d/%d", &u.Used, &u.Max); n == 2 {
			c.mu.Lock()
			if c.usage == nil {
				c.usage = map[string]Usage{}
			}
			c.usage[instanceURL] = u
			c.mu.Unlock()
		}
	}
}

// transient says whether a read may succeed if it is simply tried again.
func transient(err error) bool {
	var e *connector.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.HTTP {
	case 0:
		return steward.KindOf(err) == steward.Upstream
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// pause is how long to wait before the next try: half a second, then a second, each less up to a half.
func (c *Connector) pause(try int) time.Duration {
	d := firstPause << (try - 1)
	if c.Jitter != nil {
		d -= time.Duration(c.Jitter() * float64(d) / 2)
	}
	return d
}

func (c *Connector) wait(ctx context.Context, d time.Duration) error {
	if c.Wait != nil {
		return c.Wait(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// withoutURL drops what net/http wraps around a failure: the URL, and in it the query with its names.
func withoutURL(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}
