package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/config"
	"github.com/stewardhq/steward/internal/egress"
	"github.com/stewardhq/steward/internal/store"
)

// demo is a server and an org in this process, and the people who use them over HTTP as anybody would.
type demo struct {
	stdio
	data    string
	server  *serving
	box     *sandboxServing
	admin   *client
	manager colleague
	rep     colleague
	checks  int
	broken  int
}

// colleague is somebody of the sandbox company who is a member of the workspace.
type colleague struct {
	*client
	user sandboxUser
}

func runDemo(ctx context.Context, in *invocation) (err error) {
	var settings config.Server
	f := in.flags(settings.TodayFlag, func(f *flag.FlagSet) {
		f.StringVar(&settings.Data, "data", "", "the `folder` to keep everything in (default a temporary one, removed at the end)")
	})
	once := f.Bool("once", false, "end after the story, with status 0 only if every step held")
	seed := seedFlag(f)
	if err := in.parseNone(f); err != nil {
		return err
	}
	if settings.Data == "" {
		temporary, err := os.MkdirTemp("", "steward-demo-")
		if err != nil {
			return steward.Errorf(steward.Unavailable, "a temporary folder can't be made; name one with --data").Because(err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()
		settings.Data = filepath.Join(temporary, "data")
	} else if _, err := os.Stat(filepath.Join(settings.Data, store.DataFile)); err == nil {
		return steward.Errorf(steward.Conflict, "%s holds data already; the demo needs a fresh folder", settings.Data)
	}

	began := time.Now()
	now := settings.Today.Clock(time.Now)
	log := slog.New(slog.NewTextHandler(in.Err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	d := &demo{stdio: in.stdio, data: settings.Data}
	fmt.Fprintln(in.Out, in.bold("Steward: an agent for your CRM that asks first, tells the model no more than it must, and writes down every step."))
	fmt.Fprintln(in.Out, in.dim("Everything here runs in this one process: a sandbox company with invented people, a server with SQLite, a model made of rules."))

	p := in.begin("making a company")
	d.box, err = openSandbox("127.0.0.1:0", "acme", *seed, now, log)
	p.stop()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.box.stop(ctx)) }()
	h, err := openHouse(ctx, in.house(settings, true, log))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close(context.WithoutCancel(ctx))) }()
	_, token, err := h.Init(ctx, "acme", "operator@acme.example")
	if err != nil {
		return err
	}
	if d.server, err = listen("127.0.0.1:0", h.Handler(), log); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.server.stop(ctx)) }()
	if err := d.join(ctx, token); err != nil {
		return err
	}
	if err := d.tell(ctx); err != nil {
		return err
	}
	fmt.Fprintln(d.Out)
	if d.broken > 0 {
		return steward.Errorf(steward.Internal, "%d of %d checks of the demo did not hold", d.broken, d.checks)
	}
	fmt.Fprintf(d.Out, "%s in %.1f s.\n", d.green(fmt.Sprintf("✓ All five steps and their %d checks held", d.checks)), time.Since(began).Seconds())
	if *once {
		return nil
	}
	fmt.Fprintf(d.Out, "\nThe server goes on at %s until you press Ctrl-C. In another terminal, as %s (sales representative):\n\n"+
		"    export STEWARD_URL=%s STEWARD_TOKEN=%s\n    steward ask \"Show the pipeline by stage\"\n\nor as the administrator:\n\n    export STEWARD_URL=%s STEWARD_TOKEN=%s\n    steward log\n",
		d.bold(d.server.url), d.rep.user.Name, d.server.url, d.rep.token, d.server.url, d.admin.token)
	select {
	case err := <-d.server.failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		return nil
	}
}

// join makes three of the company's people members, each with their own account at the CRM.
func (d *demo) join(ctx context.Context, adminToken string) (err error) {
	as := func(token string) (*client, error) { return dial(config.Client{URL: d.server.url, Token: token}) }
	if d.admin, err = as(adminToken); err != nil {
		return err
	}
	for _, user := range d.box.users {
		var place *colleague
		switch {
		case user.Role == "manager" && d.manager.client == nil:
			place = &d.manager
		case user.Role == "representative" && d.rep.client == nil:
			place = &d.rep
		case user.Role == "admin":
			if _, _, err := d.admin.connect(ctx, connection{System: "salesforce", InstanceURL: d.box.url, AccessToken: user.AccessToken}); err != nil {
				return err
			}
			continue
		default:
			continue
		}
		role := steward.Plain
		if user.Role == "manager" {
			role = steward.Manager
		}
		member, _, err := d.admin.addMember(ctx, user.Username, role)
		if err != nil {
			return err
		}
		place.user = user
		if place.client, err = as(member.Token); err != nil {
			return err
		}
		to := connection{System: "salesforce", InstanceURL: d.box.url, AccessToken: user.AccessToken, Member: user.Username}
		if _, _, err := d.admin.connect(ctx, to); err != nil {
			return err
		}
	}
	return nil
}

// soql asks the CRM itself, as one of its users and past Steward, to compare with. Each row is a map of
// fields, those of parents in maps of their own.
func (d *demo) soql(ctx context.Context, as sandboxUser, query string) ([]map[string]any, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.box.url+"/services/data/v"+sandboxVersion+"/query?q="+url.QueryEscape(query), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+as.AccessToken)
	http := new(egress.Egress).Client("", egress.Destination{URL: d.box.url, Private: true})
	response, err := http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxReply))
	if err != nil {
		return nil, err
	}
	var result struct {
		Records []map[string]any `json:"records"`
	}
	if err := json.Unmarshal(raw, &result); err != nil {
		return nil, steward.Errorf(steward.Upstream, "the sandbox answered a query with status %d", response.StatusCode).Because(err)
	}
	return result.Records, nil
}

// step begins a part of the story.
func (d *demo) step(n int, title string) {
	fmt.Fprintf(d.Out, "\n%s\n", d.bold(fmt.Sprintf("%d. %s", n, title)))
}

// say tells a line of it.
func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.Out, format+"\n", args...) }

// check tells whether something that was promised is so, and counts it.
func (d *demo) check(held bool, format string, args ...any) {
	d.checks++
	text := fmt.Sprintf(format, args...)
	if held {
		d.say("%s", d.green("✓ "+text))
		return
	}
	d.broken++
	d.say("%s", d.red("✗ not so: "+text))
}
