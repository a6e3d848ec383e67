// Package demo answers: how is all of Steward shown in half a minute? It tells a story in a terminal, asks
// everything that it shows over the API, as anybody would, and checks it; it doesn't know what serves the
// API.
package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/client"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/egress"
	"github.com/stewardhq/steward/internal/ledger/verify"
)

// Story is what the story is told with: a fresh workspace, and a sandbox company that nobody uses yet.
type Story struct {
	terminal.Terminal
	Data           string // the server's data folder, to verify and to copy
	Sandbox        string // the company's address
	SandboxVersion string // of its REST API
	Users          []User // administrators first, then managers, then representatives

	// SignIn makes a client for a token.
	SignIn func(token string) (*client.Client, error)
	// Verify is `steward verify` on a data folder.
	Verify func(ctx context.Context, data string) (entries uint64, findings []verify.Finding, err error)
	// Header reads the bytes of an entry's header from a data folder that no server uses, which leaves all
	// of the store in its one file, and names that file.
	Header func(ctx context.Context, data string, seq uint64) (header []byte, file string, err error)
}

// User is somebody of the sandbox company.
type User struct {
	Username    string
	Name        string
	Role        string // admin, manager or representative
	AccessToken string
}

// Tell tells the story with the administrator's token, and returns the token of the representative in it.
// It fails unless every check held.
func (s Story) Tell(ctx context.Context, adminToken string) (repToken string, err error) {
	d := &teller{Story: s}
	if d.admin, err = s.SignIn(adminToken); err != nil {
		return "", err
	}
	if repToken, err = d.join(ctx); err != nil {
		return "", err
	}
	if err := d.numbers(ctx); err != nil {
		return "", err
	}
	if err := d.stalled(ctx); err != nil {
		return "", err
	}
	c, err := d.change(ctx)
	if err != nil {
		return "", err
	}
	if err := d.record(ctx, c); err != nil {
		return "", err
	}
	if err := d.forget(ctx, c); err != nil {
		return "", err
	}
	d.say("")
	if d.broken > 0 {
		return "", steward.Errorf(steward.Internal, "%d of %d checks of the demo did not hold", d.broken, d.checks)
	}
	return repToken, nil
}

// teller is a story while it is told.
type teller struct {
	Story
	admin        *client.Client
	manager, rep colleague
	checks       int
	broken       int // checks that did not hold
}

// colleague is somebody of the company who is a member of the workspace.
type colleague struct {
	*client.Client
	User
}

// join makes the first manager and the first representative members, and connects everybody's own account.
func (d *teller) join(ctx context.Context) (repToken string, err error) {
	for _, user := range d.Users {
		to := client.Connection{System: "salesforce", InstanceURL: d.Sandbox, AccessToken: user.AccessToken}
		switch {
		case user.Role == "admin":
		case user.Role == "manager" && d.manager.Client == nil:
			to.Member = user.Username
			d.manager, _, err = d.member(ctx, user, steward.Manager)
		case user.Role == "representative" && d.rep.Client == nil:
			to.Member = user.Username
			d.rep, repToken, err = d.member(ctx, user, steward.Plain)
		default:
			continue
		}
		if err == nil {
			_, _, err = d.admin.Connect(ctx, to)
		}
		if err != nil {
			return "", err
		}
	}
	return repToken, nil
}

func (d *teller) member(ctx context.Context, user User, role steward.Role) (c colleague, token string, err error) {
	member, _, err := d.admin.AddMember(ctx, user.Username, role)
	if err != nil {
		return c, "", err
	}
	own, err := d.SignIn(member.Token)
	return colleague{own, user}, member.Token, err
}

// soql asks the CRM itself, as one of its users and past Steward, to compare with. Each row is a map of
// fields.
func (d *teller) soql(ctx context.Context, as User, query string) ([]map[string]any, error) {
	address := d.Sandbox + "/services/data/v" + d.SandboxVersion + "/query?q=" + url.QueryEscape(query)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+as.AccessToken)
	response, err := new(egress.Egress).Client("", egress.Destination{URL: d.Sandbox, Private: true}).Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var result struct {
		Records []map[string]any `json:"records"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 16<<20)).Decode(&result); err != nil {
		return nil, steward.Errorf(steward.Upstream, "the sandbox answered a query with status %d", response.StatusCode).Because(err)
	}
	return result.Records, nil
}

// step begins a part of the story.
func (d *teller) step(n int, title string) { d.say("\n%s\n", d.Bold(fmt.Sprintf("%d. %s", n, title))) }

// say tells a line of it.
func (d *teller) say(format string, args ...any) { fmt.Fprintf(d.Out, format+"\n", args...) }

// check tells whether something that was promised is so, and counts it.
func (d *teller) check(held bool, format string, args ...any) {
	d.checks++
	text := fmt.Sprintf(format, args...)
	if held {
		d.say("%s", d.Green("✓ "+text))
		return
	}
	d.broken++
	d.say("%s", d.Red("✗ not so: "+text))
}
