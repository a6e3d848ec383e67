package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/client"
	"github.com/stewardhq/steward/cmd/steward/demo"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/config"
	"github.com/stewardhq/steward/internal/ledger/verify"
)

// typed runs a command in this process, as on a terminal where in is typed.
func typed(env map[string]string, in string, args ...string) (status int, out, err string) {
	var stdout, stderr bytes.Buffer
	status = commands().Run(context.Background(), args, func(name string) string { return env[name] }, terminal.Terminal{
		In: strings.NewReader(in), Out: &stdout, Err: &stderr, InTerminal: true, OutTerminal: true, ErrTerminal: true,
	})
	return status, stdout.String(), stderr.String()
}

func TestEveryCommandExplainsItself(t *testing.T) {
	for _, c := range commands() {
		args := append(strings.Fields(c.Name), "--help")
		status, out, stderr := typed(nil, "", args...)
		if c.Name == "help" {
			continue // which lists them all
		}
		if status != 0 || stderr != "" || !strings.Contains(out, c.Summary) || !strings.Contains(out, "steward "+c.Name) {
			t.Errorf("%s --help: status %d\n%s%s", c.Name, status, out, stderr)
		}
		if status, _, stderr := typed(nil, "", append(strings.Fields(c.Name), "--no-such-flag")...); status != 2 || !strings.Contains(stderr, "--no-such-flag") {
			t.Errorf("%s --no-such-flag: status %d %s", c.Name, status, stderr)
		}
	}
}

// On a terminal a change can be confirmed right where it is shown.
func TestConfirmOnTheTerminal(t *testing.T) {
	w := newWorld(t, nil)
	deal, contact := w.dealWithContact()
	env := map[string]string{"STEWARD_URL": w.url, "STEWARD_TOKEN": w.rep.token}
	question := func(step string) string {
		return fmt.Sprintf("Set the next step of %s to '%s'", deal.Text("Name"), step)
	}
	step := func() string {
		var answer struct{ NextStep string }
		r, err := http.NewRequest("GET", w.boxURL+"/services/data/v62.0/sobjects/Opportunity/"+deal.Text("Id")+"?fields=NextStep", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+w.rep.user.AccessToken)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
		return answer.NextStep
	}
	before := step()

	for _, no := range []string{"\n", "n\n", "", "yesterday\n"} {
		status, out, stderr := typed(env, no, "ask", question("Do nothing"))
		if status != 3 || step() != before || !strings.Contains(stderr, "Change this now? [y/N]") || !strings.Contains(out, "\x1b[32m+ Do nothing\x1b[0m") {
			t.Errorf("%q: status %d, next step %q\n%s%s", no, status, step(), out, stderr)
		}
	}
	status, out, stderr := typed(env, "y\n", "ask", question("Send the contract"))
	if status != 0 || step() != "Send the contract" || !strings.Contains(out, "Done") {
		t.Errorf("yes: status %d, next step %q\n%s%s", status, step(), out, stderr)
	}

	// Scripts are never asked, and colour is left out where it isn't wanted.
	if status, _, stderr := typed(env, "y\n", "ask", "--json", question("Wait")); status != 3 || strings.Contains(stderr, "y/N") {
		t.Errorf("with --json: status %d %s", status, stderr)
	}
	env["NO_COLOR"] = "1"
	if status, out, _ := typed(env, "n\n", "ask", question("Wait")); status != 3 || strings.Contains(out, "\x1b") {
		t.Errorf("with NO_COLOR: status %d %q", status, out)
	}

	// Forgetting is asked for in the same way.
	env["STEWARD_TOKEN"] = w.admin.token
	person := "salesforce:Contact:" + contact.Text("Id")
	status, out, stderr = typed(env, "n\n", "erase", "--person", person)
	if status != 0 || !strings.Contains(out, "Nothing is destroyed yet") || !strings.Contains(stderr, "Nothing was forgotten") {
		t.Errorf("erase, then no: status %d\n%s%s", status, out, stderr)
	}
	status, out, stderr = typed(env, "y\n", "erase", "--person", person)
	if status != 0 || !strings.Contains(out, "Forgotten: ") {
		t.Errorf("erase, then yes: status %d\n%s%s", status, out, stderr)
	}
}

// Every step of the story holds, again and again, and for two at once.
func TestDemo(t *testing.T) {
	before := temporaries(t)
	one := func(args ...string) {
		var out, err bytes.Buffer
		began := time.Now()
		status := commands().Run(context.Background(), append([]string{"demo", "--once", "--today", "2026-11-23"}, args...), func(string) string { return "" }, terminal.Terminal{
			In: strings.NewReader(""), Out: &out, Err: &err,
		})
		if status != 0 || !strings.Contains(out.String(), "All five steps held") || strings.Contains(out.String(), "not so:") {
			t.Errorf("demo %v: status %d\n%s%s", args, status, out.String(), err.String())
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("demo %v took %v", args, took)
		}
		if n := len(regexp.MustCompile(`(?m)^✓ `).FindAllString(out.String(), -1)); n < 15 {
			t.Errorf("demo %v checked %d things only", args, n)
		}
	}
	one()
	var both sync.WaitGroup
	for _, seed := range []string{"1", "2"} {
		both.Add(1)
		go func() { defer both.Done(); one("--seed", seed) }()
	}
	both.Wait()
	if left := slices.DeleteFunc(temporaries(t), func(name string) bool { return slices.Contains(before, name) }); len(left) > 0 {
		t.Errorf("the demo left %v behind", left)
	}

	dir := t.TempDir()
	one("--data", dir)
	if status, _, stderr := typed(nil, "", "verify", "--data", dir); status != 0 {
		t.Errorf("what --data kept: status %d %s", status, stderr)
	}
	if status, _, stderr := typed(nil, "", "demo", "--once", "--data", dir); status != 1 || !strings.Contains(stderr, "needs a fresh folder") {
		t.Errorf("on a used folder: status %d %s", status, stderr)
	}
}

func temporaries(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "steward-demo-") {
			names = append(names, e.Name())
		}
	}
	return names
}

// An interrupted demo, and one told to stop while it serves, leaves nothing behind either.
func TestDemoStops(t *testing.T) {
	before := temporaries(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	told := &notice{want: "The server goes on at", then: cancel}
	var stderr bytes.Buffer
	status := commands().Run(ctx, []string{"demo", "--today", "2026-11-23"}, func(string) string { return "" }, terminal.Terminal{In: strings.NewReader(""), Out: told, Err: &stderr})
	if status != 0 {
		t.Errorf("status %d %s", status, stderr.String())
	}
	half, cancelHalf := context.WithCancel(context.Background())
	defer cancelHalf()
	told = &notice{want: "2. Deals", then: cancelHalf}
	stderr.Reset()
	status = commands().Run(half, []string{"demo", "--today", "2026-11-23"}, func(string) string { return "" }, terminal.Terminal{In: strings.NewReader(""), Out: told, Err: &stderr})
	if status != 1 || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("interrupted: status %d %s", status, stderr.String())
	}
	if left := slices.DeleteFunc(temporaries(t), func(name string) bool { return slices.Contains(before, name) }); len(left) > 0 {
		t.Errorf("the demo left %v behind", left)
	}
}

// notice is a writer that does something once it has seen a text.
type notice struct {
	want string
	then func()
}

func (n *notice) Write(p []byte) (int, error) {
	if strings.Contains(string(p), n.want) {
		n.then()
	}
	return len(p), nil
}

// What does not hold is said, and fails the demo: here verify overlooks everything.
func TestDemoTellsWhatDoesNotHold(t *testing.T) {
	w := newWorld(t, nil)
	var out bytes.Buffer
	story := demo.Story{
		Terminal: terminal.Terminal{Out: &out, Err: &out}, Data: w.data, Sandbox: w.boxURL, SandboxVersion: sandboxVersion,
		SignIn: func(token string) (*client.Client, error) {
			return client.Dial(config.Client{URL: w.url, Token: token})
		},
		Verify: func(context.Context, string) (uint64, []verify.Finding, error) { return 1 << 20, nil, nil },
		Header: headerOnDisk,
	}
	for _, u := range w.box.Users() {
		story.Users = append(story.Users, demo.User{Username: u.Username, Name: u.Name, Role: u.Role, AccessToken: u.AccessToken})
	}
	token, err := story.Tell(context.Background(), w.admin.token)
	if err == nil || token != "" || !strings.HasPrefix(steward.Message(err), "1 of ") {
		t.Errorf("it ended with %q, %v", token, err)
	}
	if n := strings.Count(out.String(), "✗ not so: "); n != 1 || !strings.Contains(out.String(), "✗ not so: verify finds it") {
		t.Errorf("%d checks did not hold:\n%s", n, out.String())
	}
}
