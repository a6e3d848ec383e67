package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/serve"
	"github.com/stewardhq/steward/internal/config"
	"github.com/stewardhq/steward/internal/sandbox"
	"github.com/stewardhq/steward/internal/sandbox/login"
	"github.com/stewardhq/steward/internal/sandbox/org"
)

// sandboxVersion is the version of Salesforce's REST API that clients are told to use.
const sandboxVersion = "62.0"

// sandboxUser is somebody who can sign in at the sandbox.
type sandboxUser struct {
	Username    string `json:"username"`
	Name        string `json:"name"`
	Role        string `json:"role"` // admin, manager or representative
	AccessToken string `json:"access_token"`
}

func runSandbox(ctx context.Context, in *command.Invocation) error {
	settings := config.Server{Listen: "127.0.0.1:7879"}
	f := in.Flags(in.JSONFlag, settings.ListenFlag, settings.TodayFlag)
	data := f.String("data", "acme", "which `company`: acme, with three years of deals, or empty")
	seed := seedFlag(f)
	if err := in.ParseNone(f); err != nil {
		return err
	}
	if *data != "acme" && *data != "empty" {
		return in.Misused("--data is acme or empty")
	}
	if err := config.CheckListen(settings.Listen); err != nil {
		return err
	}
	box, err := openSandbox(settings.Listen, *data, *seed, settings.Today.Clock(time.Now), in.Logger())
	if err != nil {
		return err
	}
	if in.AsJSON {
		err = in.JSON(struct {
			InstanceURL string        `json:"instance_url"`
			APIVersion  string        `json:"api_version"`
			ClientID    string        `json:"client_id"`
			Password    string        `json:"password"`
			Users       []sandboxUser `json:"users"`
		}{box.URL, sandboxVersion, login.App, login.Password, box.users})
	} else {
		printSandbox(in, box)
	}
	if err != nil {
		return err
	}
	return box.Wait(ctx, nil)
}

// sandboxServing is an invented company behind an address.
type sandboxServing struct {
	*serve.Server
	users []sandboxUser // administrators first, then managers, then representatives
}

// openSandbox makes a company and serves it.
func openSandbox(address, data string, seed uint64, now func() time.Time, log *slog.Logger) (*sandboxServing, error) {
	company := org.Acme
	if data == "empty" {
		company = org.Empty
	}
	server := sandbox.New(company(seed, now().UTC()))
	server.Now, server.Rand = now, rand.Reader
	running, err := serve.On(address, server, log)
	if err != nil {
		return nil, err
	}
	box := &sandboxServing{Server: running}
	for _, u := range server.Users() {
		box.users = append(box.users, sandboxUser{Username: u.Username, Name: u.Name, Role: u.Role, AccessToken: u.AccessToken})
	}
	return box, nil
}

func printSandbox(in *command.Invocation, box *sandboxServing) {
	fmt.Fprintf(in.Out, "This is a sandbox: a Salesforce-compatible org of invented people and deals. Nothing in it is kept.\nIt is at %s\n\n", in.Bold(box.URL))
	var rows [][]string
	for _, u := range box.users {
		rows = append(rows, []string{u.Role, u.Name, u.Username, u.AccessToken})
	}
	in.Table(in.Out, []string{"Role", "Name", "Username", "Access token"}, rows)
	fmt.Fprintf(in.Out, "\nEverybody's password is %s, and apps sign people in as %s.\n", in.Bold(login.Password), in.Bold(login.App))
}
