package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/mail"
	"path/filepath"
	"time"

	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/serve"
	"github.com/stewardhq/steward/cmd/steward/show"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/config"
)

func runInit(ctx context.Context, in *command.Invocation) error {
	server := config.ForServer(in.Env)
	f := in.Flags(in.JSONFlag, server.StoreFlags, server.TodayFlag)
	workspace := f.String("workspace", "", "the workspace's `name`: lower-case letters, digits and dashes")
	admin := f.String("admin", "", "the e-mail `address` of its first administrator")
	if err := in.ParseNone(f); err != nil {
		return err
	}
	if *workspace == "" || *admin == "" {
		return in.Misused("--workspace and --admin are needed")
	}
	if a, err := mail.ParseAddress(*admin); err != nil || a.Address != *admin { // before anything is made
		return in.Misused("--admin is an e-mail address, such as ana@example.com")
	}
	h, err := openHouse(ctx, optionsOf(server, true, in.Logger()))
	if err != nil {
		return err
	}
	ws, token, err := h.Init(ctx, *workspace, *admin)
	if err = errors.Join(err, h.Close()); err != nil {
		return err
	}
	if in.AsJSON {
		return in.JSON(map[string]any{"workspace": ws.ID, "name": ws.Name, "token": token})
	}
	fmt.Fprintf(in.Out, "The workspace %s is in %s, with %s as its administrator.\n", ws.Name, server.Data, terminal.Line(*admin))
	show.Token(in.Terminal, token, nil)
	elsewhere := ""
	if server.Store != "" || server.KeyringStore != "" || server.Objects != "" || server.KeyServer != "" || len(server.KeyringCopies) > 0 {
		elsewhere = " (with the same settings for store, objects and keys as here)"
	}
	fmt.Fprintf(in.Out, "    %s%s\n\nNothing here can be read again without %s. Forgetting somebody replaces it.\n",
		in.Bold("steward serve --data "+server.Data), elsewhere, filepath.Join(server.Data, keeperDir))
	return nil
}

// optionsOf is what a house is opened with as the settings say.
func optionsOf(c config.Server, create bool, log *slog.Logger) storeOptions {
	return storeOptions{Server: c, Create: create, Now: c.Today.Clock(time.Now), Rand: rand.Reader, Log: log}
}

func runServe(ctx context.Context, in *command.Invocation) error {
	server := config.ForServer(in.Env)
	if err := in.ParseNone(in.Flags(in.JSONFlag, server.StoreFlags, server.ListenFlag, server.TodayFlag, server.CheckpointsFlag, server.WitnessFlags, server.WebhookFlag, server.EraseFlag, server.SalesforceFlags, server.ModelFlags)); err != nil {
		return err
	}
	if err := config.CheckListen(server.Listen); err != nil {
		return err
	}
	if err := server.CheckErase(); err != nil {
		return err
	}
	if server.PublicURL != "" {
		var err error
		if server.PublicURL, err = config.CheckPublicURL(server.PublicURL); err != nil {
			return err
		}
	}
	log := in.Logger()
	h, err := openHouse(ctx, optionsOf(server, false, log))
	if err != nil {
		return err
	}
	running, err := serve.On(server.Listen, h.Handler(), log)
	if err != nil {
		return errors.Join(err, h.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resumed := make(chan struct{})
	go func() {
		defer close(resumed)
		if err := h.Resume(ctx); err != nil && ctx.Err() == nil {
			log.Error("an interrupted run could not be carried on", slog.Any("error", err))
		}
	}()
	if in.AsJSON {
		err = in.JSON(map[string]string{"url": running.URL})
	} else {
		fmt.Fprintf(in.Out, "Steward serves %s at %s\n", server.Data, in.Bold(running.URL))
	}
	if err == nil {
		err = running.Wait(ctx, h.lost)
	}
	cancel()  // where the database was lost, nothing may go on either
	<-resumed // which ends with ctx, and uses the house
	log.Info("stopping")
	return errors.Join(err, h.Close())
}

// seedFlag chooses among invented companies.
func seedFlag(f *flag.FlagSet) *uint64 {
	return f.Uint64("seed", 1, "the `number` that the invented company is made from; the same number and day make the same one")
}
