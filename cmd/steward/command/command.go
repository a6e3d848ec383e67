// Package command answers: what was typed, and how does a program say how it went? It finds the command in a
// table, reads its flags, explains it, and turns its error into a message and an exit status; what any command
// does, it doesn't know.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/config"
)

// Command is one thing that people can have done.
type Command struct {
	Name    string // "member add"
	Summary string
	Usage   string // what follows the name
	Run     func(ctx context.Context, in *Invocation) error
	// Operator is set where a command works on the data itself: then the cause of a failure is logged,
	// since no server's log has it.
	Operator bool
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

// Quiet is a failure that the output told of already: it decides the exit status and says no more.
type Quiet steward.Kind

// Error implements error.
func (q Quiet) Error() string { return steward.Kind(q).String() }

// errHelped ends a command whose help was asked for instead.
var errHelped = errors.New("help was shown")

// Table is every command of a program, in the order in which people are shown them.
type Table []Command

// Run does what the arguments say and returns the exit status. Tests run it as main does.
func (t Table) Run(ctx context.Context, args []string, env func(string) string, std terminal.Terminal) int {
	std.Color = std.OutTerminal && env("NO_COLOR") == "" && env("TERM") != "dumb"
	err := t.dispatch(ctx, args, env, std)
	var told Quiet
	switch {
	case err == nil, errors.Is(err, errHelped):
		return 0
	case errors.As(err, &told):
		return exits[steward.Kind(told)]
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		std.Complain("interrupted")
		return 1
	}
	std.Complain(steward.Message(err))
	return exits[steward.KindOf(err)]
}

// failed tells an error from what ends a command otherwise.
func failed(err error) bool {
	var told Quiet
	return err != nil && !errors.As(err, &told) && !errors.Is(err, errHelped) && !errors.Is(err, context.Canceled)
}

// dispatch finds the command that the arguments begin with.
func (t Table) dispatch(ctx context.Context, args []string, env func(string) string, std terminal.Terminal) error {
	switch {
	case len(args) == 0:
		t.print(std, std.Err)
		return Quiet(steward.Invalid)
	case args[0] == "-h", args[0] == "-help", args[0] == "--help":
		args = []string{"help"}
	case args[0] == "-version", args[0] == "--version":
		args = []string{"version"}
	}
	var group []string
	for _, c := range t {
		words := strings.Fields(c.Name)
		if len(args) >= len(words) && slices.Equal(args[:len(words)], words) {
			in := &Invocation{Terminal: std, Env: env, SignIn: config.ForClient(env), table: t, command: c, args: args[len(words):]}
			err := c.Run(ctx, in)
			if kind := steward.KindOf(err); c.Operator && failed(err) && err.Error() != steward.Message(err) && (kind == steward.Internal || kind == steward.Unavailable) {
				in.Logger().LogAttrs(ctx, slog.LevelError, "command failed", slog.String("command", c.Name), slog.Any("cause", err))
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

// Invocation is one command as it was called.
type Invocation struct {
	terminal.Terminal
	Env     func(string) string
	SignIn  config.Client // where, and as whom, for commands that talk to a server
	AsJSON  bool          // print JSON; known once flags are read
	table   Table
	command Command
	args    []string // behind the command's name
}

// Flags starts the command's flags with those that it has in common with others.
func (in *Invocation) Flags(with ...func(*flag.FlagSet)) *flag.FlagSet {
	f := flag.NewFlagSet(in.command.Name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	for _, add := range with {
		add(f)
	}
	return f
}

// JSONFlag is the flag of every command that prints data.
func (in *Invocation) JSONFlag(f *flag.FlagSet) {
	f.BoolVar(&in.AsJSON, "json", false, "print JSON")
}

// Parse reads flags, which may stand before and behind other arguments, and returns the others. Behind
// "--" there are no flags.
func (in *Invocation) Parse(f *flag.FlagSet) ([]string, error) {
	var others []string
	for args := in.args; len(args) > 0; {
		if err := f.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				in.explain(f)
				return nil, errHelped
			}
			return nil, in.Misused("%s", flagTrouble(err))
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

// ParseNone is Parse for commands that take flags only.
func (in *Invocation) ParseNone(f *flag.FlagSet) error {
	others, err := in.Parse(f)
	if err == nil && len(others) > 0 {
		err = in.Misused("%q has no meaning here", others[0])
	}
	return err
}

// ParseOne is Parse for commands that take one argument besides flags.
func (in *Invocation) ParseOne(f *flag.FlagSet, what string) (string, error) {
	others, err := in.Parse(f)
	switch {
	case err != nil:
		return "", err
	case len(others) == 0:
		return "", in.Misused("%s is missing", what)
	case len(others) > 1:
		return "", in.Misused("%q has no meaning here", others[1])
	}
	return others[0], nil
}

// Misused says in one sentence what is wrong with how the command was called.
func (in *Invocation) Misused(format string, args ...any) error {
	return steward.Errorf(steward.Invalid, "%s; see `steward help %s`", fmt.Sprintf(format, args...), in.command.Name)
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
func (in *Invocation) explain(f *flag.FlagSet) {
	fmt.Fprintf(in.Out, "%s: %s\n\n    steward %s\n", in.Bold("steward "+in.command.Name), in.command.Summary, strings.TrimSpace(in.command.Name+" "+in.command.Usage))
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

// Help explains the command that is named, and lists all where none is.
func Help(ctx context.Context, in *Invocation) error {
	words, err := in.Parse(in.Flags())
	if err != nil {
		return err
	}
	if len(words) == 0 || slices.Equal(words, []string{"help"}) {
		in.table.print(in.Terminal, in.Out)
		return nil
	}
	return in.table.dispatch(ctx, append(words, "--help"), in.Env, in.Terminal)
}

// print lists them all, and what scripts need to know.
func (t Table) print(std terminal.Terminal, out io.Writer) {
	fmt.Fprintf(out, "Steward answers questions about your CRM and acts in it, with your own permissions, on the record.\n\nCommands:\n")
	var rows [][]string
	for _, c := range t {
		rows = append(rows, []string{"  steward " + c.Name, c.Summary})
	}
	std.Columns(out, rows)
	fmt.Fprint(out, "\n`steward help COMMAND` explains one. Clients read STEWARD_URL and STEWARD_TOKEN.\n"+
		"Exit status: 0 answered, 1 failed, 2 wrong use, 3 waits for approval, 4 denied, 5 not signed in.\n")
}

// Logger is the operator's log.
func (in *Invocation) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(in.Err, nil)) }
