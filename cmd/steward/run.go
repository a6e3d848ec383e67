package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/client"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/config"
)

// command is one thing that people can have done.
type command struct {
	name    string // "member add"
	summary string
	usage   string // what follows the name
	run     func(ctx context.Context, in *invocation) error
	// operator is set where a command works on the data itself: then the cause of a failure is logged,
	// since no server's log has it.
	operator bool
}

// commands is the one table of them, in the order in which people are shown them.
func commands() []command {
	return []command{
		{"demo", "show all of Steward in half a minute, with nothing to set up", "[--once]", runDemo, true},
		{"ask", "ask a question about the CRM, or have something changed there", "QUESTION", runAsk, false},
		{"approve", "confirm or refuse a change; without ID, list what waits", "[ID] [--deny]", runApprove, false},
		{"run show", "show a question and its answer again", "ID", runShow, false},
		{"log", "read the record of what was done", "[--run ID]", runLog, false},
		{"verify", "check that nobody changed the record", "", runVerify, true},
		{"export", "write the record out for other people's verifiers", "--tlog DIR", runExport, true},
		{"erase", "forget a person", "--person salesforce:Contact:ID|EMAIL --yes", runErase, false},
		{"init", "make a data folder with a workspace and its first administrator", "--workspace NAME --admin EMAIL", runInit, true},
		{"serve", "serve the API", "", runServe, true},
		{"workspace show", "show the workspace that your token belongs to", "", runWorkspaceShow, false},
		{"member add", "add a person to the workspace", "--email EMAIL --role admin|manager|member|auditor", runMemberAdd, false},
		{"member list", "list the workspace's members", "", runMemberList, false},
		{"member remove", "remove a member and revoke their tokens", "EMAIL|ID", runMemberRemove, false},
		{"token issue", "make an API token, for yourself or, as an administrator, for a member", "[--member EMAIL]", runTokenIssue, false},
		{"token list", "list API tokens", "[--member EMAIL]", runTokenList, false},
		{"token revoke", "end an API token now", "ID", runTokenRevoke, false},
		{"connect salesforce", "connect your own Salesforce account, or as an administrator a member's", "--instance-url URL --access-token TOKEN", runConnect, false},
		{"sandbox serve", "serve a Salesforce-compatible org of invented people to try things on", "[--data acme|empty]", runSandbox, true},
		{"help", "explain a command", "[COMMAND]", runHelp, false},
		{"version", "print the version", "", runVersion, false},
	}
}

// exits is the one table from error kind to exit status.
var exits = map[steward.Kind]int{
	steward.Internal:        1,
	steward.Invalid:         2,
	steward.Unauthenticated: 5,
	steward.Denied:          4,
	steward.NotFound:        1,
	steward.Conflict:        1,
	steward.TooLarge:        1,
	steward.Limited:         1,
	steward.Upstream:        1,
	steward.Unavailable:     1,
	steward.NeedsApproval:   3,
	steward.Gone:            1,
	steward.NotUnderstood:   1,
}

// quiet is a failure that the output told of already: it decides the exit status and says no more.
type quiet struct{ kind steward.Kind }

func (q quiet) Error() string { return q.kind.String() }

// errHelped ends a command whose help was asked for instead.
var errHelped = errors.New("help was shown")

// run does what the arguments say and returns the exit status. Tests run it as main does.
func run(ctx context.Context, args []string, env func(string) string, std terminal.Terminal) int {
	std.Color = std.OutTerminal && env("NO_COLOR") == "" && env("TERM") != "dumb"
	err := dispatch(ctx, args, env, std)
	var told quiet
	switch {
	case err == nil, errors.Is(err, errHelped):
		return 0
	case errors.As(err, &told):
		return exits[told.kind]
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		std.Complain("interrupted")
		return 1
	}
	std.Complain(steward.Message(err))
	return exits[steward.KindOf(err)]
}

// dispatch finds the command that the arguments begin with.
func dispatch(ctx context.Context, args []string, env func(string) string, std terminal.Terminal) error {
	switch {
	case len(args) == 0:
		printCommands(std, std.Err)
		return quiet{steward.Invalid}
	case args[0] == "-h", args[0] == "-help", args[0] == "--help":
		args = []string{"help"}
	case args[0] == "-version", args[0] == "--version":
		args = []string{"version"}
	}
	var group []string
	for _, c := range commands() {
		words := strings.Fields(c.name)
		if len(args) >= len(words) && slices.Equal(args[:len(words)], words) {
			in := &invocation{Terminal: std, env: env, command: c, args: args[len(words):], signIn: config.ForClient(env)}
			err := c.run(ctx, in)
			if kind := steward.KindOf(err); c.operator && errors.Unwrap(err) != nil && (kind == steward.Internal || kind == steward.Unavailable) {
				in.logger().LogAttrs(ctx, slog.LevelError, "command failed", slog.String("command", c.name), slog.Any("cause", errors.Unwrap(err)))
			}
			return err
		}
		if words[0] == args[0] {
			group = append(group, strings.Join(words[1:], " "))
		}
	}
	if len(group) > 0 {
		return steward.Errorf(steward.Invalid, "after `steward %s` comes one of: %s", args[0], strings.Join(group, ", "))
	}
	return steward.Errorf(steward.Invalid, "there is no command %q; `steward help` lists them", args[0])
}

// invocation is one command as it was called.
type invocation struct {
	terminal.Terminal
	env     func(string) string
	command command
	args    []string      // behind the command's name
	signIn  config.Client // where, and as whom
	json    bool
}

// flags starts the command's flags with those that it has in common with others.
func (in *invocation) flags(with ...func(*flag.FlagSet)) *flag.FlagSet {
	f := flag.NewFlagSet(in.command.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	for _, add := range with {
		add(f)
	}
	return f
}

// asJSON is the flag of every command that prints data.
func (in *invocation) asJSON(f *flag.FlagSet) {
	f.BoolVar(&in.json, "json", false, "print JSON")
}

// parse reads flags, which may stand before and behind other arguments, and returns the others. Behind
// "--" there are no flags.
func (in *invocation) parse(f *flag.FlagSet) ([]string, error) {
	var others []string
	for args := in.args; len(args) > 0; {
		if err := f.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				in.explain(f)
				return nil, errHelped
			}
			return nil, in.misused("%s", flagTrouble(err))
		}
		left := f.Args()
		if read := len(args) - len(left); read > 0 && args[read-1] == "--" {
			return append(others, left...), nil
		}
		if len(left) == 0 {
			break
		}
		others, args = append(others, left[0]), left[1:]
	}
	return others, nil
}

// parseNone is parse for commands that take flags only.
func (in *invocation) parseNone(f *flag.FlagSet) error {
	others, err := in.parse(f)
	if err == nil && len(others) > 0 {
		err = in.misused("%q has no meaning here", others[0])
	}
	return err
}

// parseOne is parse for commands that take one argument besides flags.
func (in *invocation) parseOne(f *flag.FlagSet, what string) (string, error) {
	others, err := in.parse(f)
	switch {
	case err != nil:
		return "", err
	case len(others) == 0:
		return "", in.misused("%s is missing", what)
	case len(others) > 1:
		return "", in.misused("%q has no meaning here", others[1])
	}
	return others[0], nil
}

// misused says in one sentence what is wrong with how the command was called.
func (in *invocation) misused(format string, args ...any) error {
	return steward.Errorf(steward.Invalid, "%s; see `steward help %s`", fmt.Sprintf(format, args...), in.command.name)
}

// flagTrouble puts the flag package's errors, which are about what was typed, into our words.
func flagTrouble(err error) string {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		return "there is no flag --" + name + " here"
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return "the flag --" + name + " needs a value"
	}
	if _, rest, ok := strings.Cut(text, " for flag -"); ok {
		name, why, _ := strings.Cut(rest, ": ")
		if why == "parse error" || why == "" {
			why = "its value can't be read"
		}
		return "--" + name + ": " + why
	}
	return "these arguments can't be read"
}

// explain prints the help of one command.
func (in *invocation) explain(f *flag.FlagSet) {
	fmt.Fprintf(in.Out, "%s: %s\n\n    steward %s\n", in.Bold("steward "+in.command.name), in.command.summary, strings.TrimSpace(in.command.name+" "+in.command.usage))
	var rows [][]string
	f.VisitAll(func(fl *flag.Flag) {
		value, usage := flag.UnquoteUsage(fl)
		if fl.DefValue != "" && fl.DefValue != "false" {
			usage += " (default " + fl.DefValue + ")"
		}
		rows = append(rows, []string{"  --" + strings.TrimSpace(fl.Name+" "+strings.ToUpper(value)), usage})
	})
	if len(rows) > 0 {
		fmt.Fprintln(in.Out)
		in.Columns(in.Out, rows)
	}
}

func runHelp(ctx context.Context, in *invocation) error {
	words, err := in.parse(in.flags())
	if err != nil {
		return err
	}
	if len(words) == 0 || slices.Equal(words, []string{"help"}) {
		printCommands(in.Terminal, in.Out)
		return nil
	}
	return dispatch(ctx, append(words, "--help"), in.env, in.Terminal)
}

// printCommands lists them all, and what scripts need to know.
func printCommands(std terminal.Terminal, out io.Writer) {
	fmt.Fprintf(out, "Steward answers questions about your CRM and acts in it, with your own permissions, on the record.\n\nCommands:\n")
	var rows [][]string
	for _, c := range commands() {
		rows = append(rows, []string{"  steward " + c.name, c.summary})
	}
	std.Columns(out, rows)
	fmt.Fprint(out, "\n`steward help COMMAND` explains one. Clients read STEWARD_URL and STEWARD_TOKEN.\n"+
		"Exit status: 0 answered, 1 failed, 2 wrong use, 3 waits for approval, 4 denied, 5 not signed in.\n")
}

func runVersion(_ context.Context, in *invocation) error {
	if err := in.parseNone(in.flags(in.asJSON)); err != nil {
		return err
	}
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	if in.json {
		return in.JSON(map[string]string{"version": version})
	}
	fmt.Fprintln(in.Out, "steward", version)
	return nil
}

// logger is the operator's log.
func (in *invocation) logger() *slog.Logger { return slog.New(slog.NewTextHandler(in.Err, nil)) }

// dial makes a client of what flags and environment say.
func (in *invocation) dial() (*client.Client, error) { return client.Dial(in.signIn) }
