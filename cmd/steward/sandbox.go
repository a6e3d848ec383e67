package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/serve"
	"github.com/stewardhq/steward/internal/config"
	"github.com/stewardhq/steward/internal/sandbox"
	"github.com/stewardhq/steward/internal/sandbox/answers"
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
	data, seed := dataFlag(f), seedFlag(f)
	if err := in.ParseNone(f); err != nil {
		return err
	}
	if err := config.CheckListen(settings.Listen); err != nil {
		return err
	}
	found, err := companyOf(in, *data)
	if err != nil {
		return err
	}
	box, err := openSandbox(settings.Listen, found, *seed, settings.Today.Clock(time.Now), in.Logger())
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

// runAnswers tells what is true of the company that `sandbox serve` would serve, without serving it.
func runAnswers(_ context.Context, in *command.Invocation) error {
	var settings config.Server
	f := in.Flags(in.JSONFlag, settings.TodayFlag)
	data, seed := dataFlag(f), seedFlag(f)
	as := f.String("as", "", "the `username` of who asks (default the administrator)")
	if err := in.ParseNone(f); err != nil {
		return err
	}
	found, err := companyOf(in, *data)
	if err != nil {
		return err
	}
	company := found(*seed, settings.Today.Clock(time.Now)().UTC())
	users := company.Rows["User"] // the administrator is the first
	at := slices.IndexFunc(users, func(u org.Row) bool { return *as == "" || u.Text("Username") == *as })
	if at < 0 {
		return steward.Errorf(steward.NotFound, "nobody there is called %s; `steward sandbox serve` lists the usernames", *as)
	}
	all := answers.To(company, users[at].Text("Id"))
	if in.AsJSON {
		return in.JSON(struct {
			Username string           `json:"username"`
			Today    string           `json:"today"`
			Answers  []answers.Answer `json:"answers"`
		}{users[at].Text("Username"), company.Today.Format(time.DateOnly), all})
	}
	fmt.Fprintf(in.Out, "What is true for %s on %s:\n\n", in.Bold(users[at].Text("Name")), company.Today.Format(time.DateOnly))
	var rows [][]string
	for _, a := range all {
		rows = append(rows, []string{a.Question, a.String()})
	}
	in.Table(in.Out, []string{"Question", "Answer"}, rows)
	return nil
}

// dataFlag chooses the kind of company.
func dataFlag(f *flag.FlagSet) *string {
	return f.String("data", "acme", "which `company`: acme, with three years of deals, or empty")
}

// companyOf gives what makes the kind of company that dataFlag chose.
func companyOf(in *command.Invocation, data string) (func(seed uint64, today time.Time) *org.Org, error) {
	switch data {
	case "acme":
		return org.Acme, nil
	case "empty":
		return org.Empty, nil
	}
	return nil, in.Misused("--data is acme or empty")
}

// sandboxServing is an invented company behind an address.
type sandboxServing struct {
	*serve.Server
	users []sandboxUser // administrators first, then managers, then representatives
}

// openSandbox makes a company and serves it.
func openSandbox(address string, company func(uint64, time.Time) *org.Org, seed uint64, now func() time.Time, log *slog.Logger) (*sandboxServing, error) {
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
