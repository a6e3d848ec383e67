// Package client answers: how does one ask a Steward server? It speaks the API over HTTP as one member;
// it doesn't know what is shown to whom, nor what becomes of an answer.
package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/config"
	"github.com/stewardhq/steward/internal/egress"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/retention"
)

// maxReply is the largest answer that is read, in bytes.
const maxReply = 64 << 20

// Client talks to a server's API as one member. The demo and the commands use the same one.
type Client struct {
	url   string // without a slash at its end
	token string
	http  *http.Client
}

// Dial makes a client of what flags and environment say. Nothing is sent yet.
func Dial(c config.Client) (*Client, error) {
	if c.Token == "" {
		return nil, steward.Errorf(steward.Unauthenticated,
			"you are not signed in; set STEWARD_TOKEN to the token that `steward init`, `member add` or `token issue` printed")
	}
	base := strings.TrimRight(c.URL, "/")
	destination, err := egress.ParseDestination(base)
	if err != nil {
		return nil, steward.Errorf(steward.Invalid, "STEWARD_URL can't be used: %s", steward.Message(err)).Because(err)
	}
	destination.Private = true // whoever runs a command names the server on purpose
	return &Client{url: base, token: c.Token, http: new(egress.Egress).Client("", destination)}, nil
}

// send makes one request. Whoever gets the response closes it.
func (c *Client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(raw)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, content)
	if err != nil {
		return nil, steward.Errorf(steward.Invalid, "STEWARD_URL can't be used; write it like http://127.0.0.1:7878").Because(err)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	switch {
	case err == nil:
		return response, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case steward.KindOf(err) == steward.Denied || steward.KindOf(err) == steward.Invalid:
		return nil, steward.Errorf(steward.Invalid, "STEWARD_URL can't be used: %s", steward.Message(err)).Because(err)
	}
	return nil, steward.Errorf(steward.Unavailable,
		"no Steward answers at %s; start one with `steward serve`, or set STEWARD_URL to where yours is", c.url).Because(err)
}

// strange is for answers that no Steward gives.
func (c *Client) strange(err error) error {
	return steward.Errorf(steward.Upstream, "what answers at %s is no Steward server; check STEWARD_URL", c.url).Because(err)
}

// Call makes a request and decodes its answer into T; raw is the answer as it came. A run's answer is one
// whatever the status says. Errors of the API come back with their kind and message.
func Call[T any](ctx context.Context, c *Client, method, path string, body any) (answer T, raw []byte, err error) {
	response, err := c.send(ctx, method, path, body)
	if err != nil {
		return answer, nil, err
	}
	defer response.Body.Close()
	if raw, err = io.ReadAll(io.LimitReader(response.Body, maxReply)); err != nil {
		if ctx.Err() != nil {
			return answer, nil, ctx.Err()
		}
		return answer, nil, steward.Errorf(steward.Upstream, "the server's answer broke off; try again").Because(err)
	}
	var run struct {
		Run steward.RunID `json:"run"`
	}
	if response.StatusCode >= http.StatusBadRequest && (json.Unmarshal(raw, &run) != nil || run.Run == "") {
		return answer, nil, c.problem(raw)
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return answer, nil, c.strange(err)
	}
	return answer, raw, nil
}

// problem reads an error as the API writes it.
func (c *Client) problem(raw []byte) error {
	var body struct {
		Error *wire.Problem `json:"error"`
	}
	if err := json.Unmarshal(raw, &body); err != nil || body.Error == nil || body.Error.Message == "" {
		return c.strange(err)
	}
	return steward.Errorf(kindNamed(body.Error.Kind), "%s", body.Error.Message)
}

// Failed is how a run's failure reads as an error; nil where it did not fail, or has not yet.
func Failed(a wire.Answer) error {
	if a.Error == nil {
		return nil
	}
	return steward.Errorf(kindNamed(a.Error.Kind), "%s", a.Error.Message)
}

// kindNamed reads a kind's name on the wire; Internal for names that a newer server may have.
func kindNamed(name string) steward.Kind {
	for _, k := range steward.Kinds() {
		if k.String() == name {
			return k
		}
	}
	return steward.Internal
}

// Ask asks a question in a conversation; an empty one starts a new one.
func (c *Client) Ask(ctx context.Context, question string, conversation steward.ConversationID) (wire.Answer, []byte, error) {
	return Call[wire.Answer](ctx, c, http.MethodPost, "/api/v1/ask", map[string]string{"question": question, "conversation": string(conversation)})
}

// Approve confirms, or refuses, what waits, and gives the run as it went on.
func (c *Client) Approve(ctx context.Context, id steward.ProposalID, yes bool) (wire.Answer, []byte, error) {
	decision := "deny"
	if yes {
		decision = "approve"
	}
	return Call[wire.Answer](ctx, c, http.MethodPost, "/api/v1/approvals/"+url.PathEscape(string(id)), map[string]string{"decision": decision})
}

// Approvals is what waits and may be seen by this member.
type Waiting struct {
	Approvals []wire.Approval `json:"approvals"`
}

// Approvals lists what waits and may be seen by this member.
func (c *Client) Approvals(ctx context.Context) (Waiting, []byte, error) {
	return Call[Waiting](ctx, c, http.MethodGet, "/api/v1/approvals", nil)
}

// Run shows a run again. Only some may look at other people's, and need a purpose.
func (c *Client) Run(ctx context.Context, id steward.RunID, purpose string) (wire.Answer, []byte, error) {
	return Call[wire.Answer](ctx, c, http.MethodGet, "/api/v1/runs/"+url.PathEscape(string(id))+Query("purpose", purpose), nil)
}

// Dialogue shows exactly what the model was told in a run.
func (c *Client) Dialogue(ctx context.Context, id steward.RunID, purpose string) (wire.Dialogue, []byte, error) {
	return Call[wire.Dialogue](ctx, c, http.MethodGet, "/api/v1/runs/"+url.PathEscape(string(id))+"/dialogue"+Query("purpose", purpose), nil)
}

// AddMember adds a person to the workspace; the answer holds their token.
func (c *Client) AddMember(ctx context.Context, email string, role steward.Role) (wire.Member, []byte, error) {
	return Call[wire.Member](ctx, c, http.MethodPost, "/api/v1/members", map[string]string{"email": email, "role": string(role)})
}

// Connection asks to link a member's account; an empty member is oneself.
type Connection struct {
	System      string `json:"system"`
	InstanceURL string `json:"instance_url"`
	AccessToken string `json:"access_token,omitempty"`
	ServiceUser string `json:"service_user,omitempty"` // instead of a token
	Member      string `json:"member,omitempty"`
}

// Connect links a member's account.
func (c *Client) Connect(ctx context.Context, to Connection) (wire.Connection, []byte, error) {
	return Call[wire.Connection](ctx, c, http.MethodPost, "/api/v1/connections", to)
}

// Erase forgets a person; a dry run tells what that would destroy.
func (c *Client) Erase(ctx context.Context, person string, dryRun bool) (retention.Erasure, []byte, error) {
	return Call[retention.Erasure](ctx, c, http.MethodPost, "/api/v1/erasures", map[string]any{"person": person, "dry_run": dryRun})
}

// Checkpoint has the ledger signed as it stands.
func (c *Client) Checkpoint(ctx context.Context) (ledger.Checkpoint, []byte, error) {
	return Call[ledger.Checkpoint](ctx, c, http.MethodPost, "/api/v1/checkpoint", nil)
}

// Log reads the entries that a query (see Query) asks for, and calls each with every one and the line it came in.
func (c *Client) Log(ctx context.Context, query string, each func(wire.Entry, []byte) error) error {
	return c.Lines(ctx, "/api/v1/log"+query, func(line []byte) error {
		var entry wire.Entry
		if err := json.Unmarshal(line, &entry); err != nil {
			return c.strange(err)
		}
		return each(entry, line)
	})
}

// Lines reads an answer of JSON lines, and calls each with every one.
func (c *Client) Lines(ctx context.Context, path string, each func(line []byte) error) error {
	response, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		// Where reading failed on the way, the last line is an error.
		var failed struct {
			Error wire.Problem `json:"error"`
		}
		if response.StatusCode != http.StatusOK || json.Unmarshal(lines.Bytes(), &failed) == nil && failed.Error.Message != "" {
			return c.problem(lines.Bytes())
		}
		if err := each(lines.Bytes()); err != nil {
			return err
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case lines.Err() != nil:
		return steward.Errorf(steward.Upstream, "the server's answer broke off; try again").Because(lines.Err())
	case response.StatusCode != http.StatusOK:
		return c.strange(nil)
	}
	return nil
}

// maxLine is the longest line of an answer, in bytes: a part of an entry may have 8 MiB, and six for one in JSON.
const maxLine = 64 << 20

// Query writes names and values, those that are empty left out.
func Query(pairs ...string) string {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}
