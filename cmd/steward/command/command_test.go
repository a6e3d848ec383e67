package command_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/terminal"
)

// typed runs a command as main does, with no environment and nobody at the terminal.
func typed(ctx context.Context, table command.Table, args ...string) (status int, out, err string) {
	var stdout, stderr bytes.Buffer
	status = table.Run(ctx, args, func(string) string { return "" }, terminal.Terminal{Out: &stdout, Err: &stderr})
	return status, stdout.String(), stderr.String()
}

// failing is a command that ends with err.
func failing(err error, operator bool) command.Table {
	return command.Table{{Name: "fail", Operator: operator, Run: func(context.Context, *command.Invocation) error { return err }}}
}

func TestEveryKindHasAnExitStatus(t *testing.T) {
	contract := map[steward.Kind]int{steward.Invalid: 2, steward.NeedsApproval: 3, steward.Denied: 4, steward.Unauthenticated: 5}
	for _, k := range steward.Kinds() {
		want := contract[k]
		if want == 0 {
			want = 1
		}
		if status, _, stderr := typed(t.Context(), failing(steward.Errorf(k, "it went wrong"), false), "fail"); status != want || stderr != "steward: it went wrong\n" {
			t.Errorf("%v exits with %d, want %d, and says %q", k, status, want, stderr)
		}
		if status, out, stderr := typed(t.Context(), failing(command.Quiet(k), false), "fail"); status != want || out+stderr != "" {
			t.Errorf("quiet %v exits with %d, want %d, and says %q", k, status, want, out+stderr)
		}
	}
}

// The cause of a failure is for the operator's eyes, and only where no server's log has it.
func TestCausesAreLoggedForOperators(t *testing.T) {
	for _, c := range []struct {
		kind             steward.Kind
		operator, logged bool
	}{
		{steward.Internal, true, true}, {steward.Unavailable, true, true}, {steward.Conflict, true, false}, {steward.Internal, false, false},
	} {
		var failed error = steward.Errorf(c.kind, "it went wrong").Because(errors.New("disk on fire"))
		if c.logged { // also where closing what was open failed with it, or didn't
			failed = errors.Join(failed, nil)
		}
		if status, _, stderr := typed(t.Context(), failing(failed, c.operator), "fail"); status != 1 || strings.Contains(stderr, "disk on fire") != c.logged {
			t.Errorf("%v, operator %v: status %d, %q", c.kind, c.operator, status, stderr)
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	table := command.Table{{Name: "wait", Run: func(ctx context.Context, _ *command.Invocation) error { return ctx.Err() }}}
	if status, _, stderr := typed(ctx, table, "wait"); status != 1 || stderr != "steward: interrupted\n" {
		t.Errorf("status %d, %q", status, stderr)
	}
}

func TestFindsTheCommand(t *testing.T) {
	var ran string
	runs := func(name string) command.Command {
		return command.Command{Name: name, Summary: "do " + name, Usage: "THING", Run: func(_ context.Context, in *command.Invocation) error {
			_, err := in.Parse(in.Flags(in.JSONFlag))
			if err == nil {
				ran = name
			}
			return err
		}}
	}
	table := command.Table{runs("ask"), runs("member add"), runs("member list"), {Name: "help", Run: command.Help}}
	for _, c := range []struct {
		typed  string
		ran    string
		status int
		says   string // on either output
	}{
		{"ask", "ask", 0, ""},
		{"member add x", "member add", 0, ""},
		{"member", "", 2, "after `steward member` comes one of: add, list"},
		{"member drop", "", 2, "after `steward member` comes one of: add, list"},
		{"asks", "", 2, "there is no command \"asks\""},
		{"", "", 2, "steward member add"},
		{"--help", "", 0, "steward member list"},
		{"help member add", "", 0, "steward member add THING"},
		{"member add -h", "", 0, "--json"},
		{"ask --data x", "", 2, "there is no flag --data here; see `steward help ask`"},
		{"ask --json=maybe", "", 2, "these arguments can't be read; see `steward help ask`"},
	} {
		ran = ""
		status, out, stderr := typed(t.Context(), table, strings.Fields(c.typed)...)
		if status != c.status || ran != c.ran || !strings.Contains(out+stderr, c.says) {
			t.Errorf("%q: ran %q, status %d, %q %q", c.typed, ran, status, out, stderr)
		}
	}
}

func TestFlagsAnywhere(t *testing.T) {
	for _, c := range []struct {
		args   []string
		json   bool
		others []string
	}{
		{[]string{"a", "b"}, false, []string{"a", "b"}},
		{[]string{"--json", "a", "b"}, true, []string{"a", "b"}},
		{[]string{"a", "--json", "b"}, true, []string{"a", "b"}},
		{[]string{"a", "b", "-json"}, true, []string{"a", "b"}},
		{[]string{"a", "--", "--json"}, false, []string{"a", "--json"}},
		{[]string{"--", "--json", "--"}, false, []string{"--json", "--"}},
		{[]string{"--json=false", "a"}, false, []string{"a"}},
		{nil, false, nil},
	} {
		var json bool
		var others []string
		table := command.Table{{Name: "take", Run: func(_ context.Context, in *command.Invocation) (err error) {
			others, err = in.Parse(in.Flags(in.JSONFlag))
			json = in.AsJSON
			return err
		}}}
		if status, _, stderr := typed(t.Context(), table, append([]string{"take"}, c.args...)...); status != 0 || json != c.json || !slices.Equal(others, c.others) {
			t.Errorf("%q: %q, json %v, status %d %s", c.args, others, json, status, stderr)
		}
	}
}
