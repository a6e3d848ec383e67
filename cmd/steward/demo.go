package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/client"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/demo"
	"github.com/stewardhq/steward/cmd/steward/serve"
	"github.com/stewardhq/steward/internal/config"
	"github.com/stewardhq/steward/internal/ledger/verify"
	"github.com/stewardhq/steward/internal/sandbox/org"
	"github.com/stewardhq/steward/internal/store"
)

func runDemo(ctx context.Context, in *command.Invocation) (err error) {
	var settings config.Server
	f := in.Flags(settings.TodayFlag, func(f *flag.FlagSet) {
		f.StringVar(&settings.Data, "data", "", "the `folder` to keep everything in (default a temporary one, removed at the end)")
	})
	once := f.Bool("once", false, "end after the story, with status 0 only if every step held")
	seed := seedFlag(f)
	if err := in.ParseNone(f); err != nil {
		return err
	}
	if settings.Data == "" {
		temporary, failed := os.MkdirTemp("", "steward-demo-")
		if failed != nil {
			return steward.Errorf(steward.Unavailable, "a temporary folder can't be made; name one with --data").Because(failed)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()
		settings.Data = filepath.Join(temporary, "data")
	} else if _, err := os.Stat(filepath.Join(settings.Data, store.DataFile)); err == nil {
		return steward.Errorf(steward.Conflict, "%s holds data already; the demo needs a fresh folder", settings.Data)
	}

	began := time.Now()
	fmt.Fprintln(in.Out, in.Bold("Steward: an agent for your CRM that asks first, tells the model no more than it must, and writes down every step."))
	fmt.Fprintln(in.Out, in.Dim("Everything here runs in this one process: a sandbox company with invented people, a server with SQLite, a model made of rules."))
	log := slog.New(slog.NewTextHandler(in.Err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	p := in.Begin("making a company")
	box, err := openSandbox("127.0.0.1:0", org.Acme, *seed, settings.Today.Clock(time.Now), log)
	p.Stop()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Stop(ctx)) }()
	h, err := openHouse(ctx, optionsOf(settings, true, log))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	_, token, err := h.Init(ctx, "acme", "operator@acme.example")
	if err != nil {
		return err
	}
	server, err := serve.On("127.0.0.1:0", h.Handler(), log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop(ctx)) }()

	story := demo.Story{
		Terminal: in.Terminal, Data: settings.Data, Sandbox: box.URL, SandboxVersion: sandboxVersion,
		SignIn: func(token string) (*client.Client, error) {
			return client.Dial(config.Client{URL: server.URL, Token: token})
		},
		Verify: func(ctx context.Context, data string) (uint64, []verify.Finding, error) {
			return verifyDemo(ctx, in, data)
		},
		Header: headerOnDisk,
	}
	for _, u := range box.users {
		story.Users = append(story.Users, demo.User(u))
	}
	rep, err := story.Tell(ctx, token)
	if err != nil {
		return err
	}
	fmt.Fprintf(in.Out, "%s in %.1f s.\n", in.Green("✓ All five steps held"), time.Since(began).Seconds())
	if *once {
		return nil
	}
	fmt.Fprintf(in.Out, "\nThe server goes on at %s until you press Ctrl-C. In another terminal, as the sales representative:\n\n"+
		"    export STEWARD_URL=%s STEWARD_TOKEN=%s\n    steward ask \"Show the pipeline by stage\"\n\nor as the administrator:\n\n    export STEWARD_URL=%s STEWARD_TOKEN=%s\n    steward log\n",
		in.Bold(server.URL), server.URL, rep, server.URL, token)
	return server.Wait(ctx, nil)
}

// verifyDemo is `steward verify` for the story.
func verifyDemo(ctx context.Context, in *command.Invocation, data string) (entries uint64, findings []verify.Finding, err error) {
	p := in.Begin("verifying")
	defer p.Stop()
	report, err := verifyData(ctx, verifyOptions{Server: config.Server{Data: data}}, p)
	for _, f := range report.Findings {
		findings = append(findings, verify.Finding{Seq: f.Seq, What: f.What})
	}
	return report.Entries, findings, err
}

// headerOnDisk opens a store that nobody else uses, which empties its write-ahead log into its one file,
// and reads the header of an entry of its only workspace.
func headerOnDisk(ctx context.Context, dir string, seq uint64) (header []byte, file string, err error) {
	data, err := store.OpenData(ctx, dir)
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	all, err := store.Identity{DB: data}.AllWorkspaces(ctx)
	if err != nil || len(all) != 1 {
		return nil, "", errors.Join(err, fmt.Errorf("demo: %d workspaces", len(all)))
	}
	rows, err := store.Ledger{DB: data}.Rows(ctx, all[0].ID, seq, 1, false)
	if err != nil || len(rows) != 1 || rows[0].Seq != seq {
		return nil, "", errors.Join(err, fmt.Errorf("demo: entry %d isn't there", seq))
	}
	return rows[0].Header, store.DataFile, nil
}
