package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/stewardhq/steward/internal/ledger/tlog/verifier"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"steward": main, onSmallDisk: mainOnSmallDisk})
}

// TestScripts runs the scripts in testdata: what people and other programs type, and what they get.
//
// Besides testscript's own commands there are
//
//	start serve|sandbox [flags]   starts one and sets STEWARD_URL, or ORG_URL with ORG_ADMIN, ORG_MANAGER and ORG_REP
//	end serve|sandbox             ends it as a service manager would; it has to end well
//	status N command…             runs a command that must exit with N
//	get NAME PATH                 sets a variable from the JSON in the last command's stdout
//	org NAME PATH SOQL            sets a variable from what ORG_REP sees in the sandbox
//	corrupt FILE TEXT             flips one bit of TEXT in a file
//	until TEXT COMMAND…           runs a command again until its output holds TEXT
//	independent DIR               has the independent verifier look at a log that was exported, and keeps a copy of it
//	                              where STEWARD_KEEP_LOGS says
//
// What is in testdata/both runs on SQLite here, and on a server in TestScriptsOnPostgres.
func TestScripts(t *testing.T) {
	for _, dir := range []string{"testdata", "testdata/both"} {
		testscript.Run(t, scripts(dir))
	}
}

// scripts is how those in a folder are run.
func scripts(dir string) testscript.Params {
	return testscript.Params{
		Dir:       dir,
		Condition: only(false),
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, "STEWARD_URL=http://127.0.0.1:9", "STEWARD_TOKEN=", "GORACE="+os.Getenv("GORACE"))
			e.Values["servers"] = &servers{running: map[string]*exec.Cmd{}}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"start": start, "end": end, "status": status, "get": get, "org": fromOrg, "corrupt": corrupt, "until": until, "independent": independent,
		},
	}
}

// only answers the one condition that scripts have besides testscript's own: [postgres].
func only(postgres bool) func(string) (bool, error) {
	return func(name string) (bool, error) {
		if name != "postgres" {
			return false, fmt.Errorf("there is no condition %s", name)
		}
		return postgres, nil
	}
}

// servers are the processes that a script started.
type servers struct {
	mu      sync.Mutex
	running map[string]*exec.Cmd
}

func start(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) > 0, "start serve|sandbox [flags]")
	words := map[string][]string{"serve": {"serve"}, "sandbox": {"sandbox", "serve"}}[args[0]]
	need(ts, words != nil, "start serve|sandbox [flags]")
	words = append(append(words, "--json", "--listen", "127.0.0.1:0"), args[1:]...)
	path, err := exec.LookPath("steward")
	ts.Check(err)
	cmd := exec.Command(path, words...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), []string{"HOME=" + ts.Getenv("HOME"), "PATH=" + ts.Getenv("PATH"), "GORACE=" + ts.Getenv("GORACE")}
	for _, name := range []string{"STEWARD_STORE", "STEWARD_KEYRING_STORE"} {
		if url := ts.Getenv(name); url != "" {
			cmd.Env = append(cmd.Env, name+"="+url)
		}
	}
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	s := ts.Value("servers").(*servers)
	s.mu.Lock()
	s.running[args[0]] = cmd
	s.mu.Unlock()
	ts.Defer(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.running[args[0]] == cmd {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			ts.Logf("[%s]\n%s", args[0], log.String())
		}
	})
	lines := bufio.NewReader(out)
	first, err := lines.ReadBytes('\n')
	if err != nil {
		_ = cmd.Wait()
		ts.Fatalf("steward %s did not start: %v\n%s", strings.Join(words, " "), err, log.String())
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	if args[0] == "serve" {
		ts.Setenv("STEWARD_URL", pick(ts, first, "url"))
		return
	}
	ts.Setenv("ORG_URL", pick(ts, first, "instance_url"))
	var box struct {
		Users []struct {
			Role  string `json:"role"`
			Token string `json:"access_token"`
		} `json:"users"`
	}
	ts.Check(json.Unmarshal(first, &box))
	for i := len(box.Users) - 1; i >= 0; i-- {
		name := map[string]string{"admin": "ORG_ADMIN", "manager": "ORG_MANAGER", "representative": "ORG_REP"}[box.Users[i].Role]
		ts.Setenv(name, box.Users[i].Token)
	}
}

func end(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "end serve|sandbox")
	s := ts.Value("servers").(*servers)
	s.mu.Lock()
	cmd := s.running[args[0]]
	delete(s.running, args[0])
	s.mu.Unlock()
	need(ts, cmd != nil, "end what was started")
	ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			ts.Fatalf("steward %s ended with %v\n%s", args[0], err, cmd.Stderr)
		}
	case <-time.After(15 * time.Second):
		_ = cmd.Process.Kill()
		ts.Fatalf("steward %s did not end\n%s", args[0], cmd.Stderr)
	}
}

func status(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) > 1, "status N command…")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		failed, ok := err.(*exec.ExitError)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = failed.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// until runs a command again until its output holds a text, as long as a test may wait.
func until(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) > 1, "until TEXT command…")
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if err := ts.Exec(args[1], args[2:]...); err == nil && strings.Contains(ts.ReadFile("stdout"), args[0]) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("it never says %s", args[0])
		}
	}
}

func get(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "get NAME PATH")
	ts.Setenv(args[0], pick(ts, []byte(ts.ReadFile("stdout")), args[1]))
}

func fromOrg(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 3, "org NAME PATH SOQL")
	r, err := http.NewRequest("GET", ts.Getenv("ORG_URL")+"/services/data/v62.0/query?q="+url.QueryEscape(args[2]), nil)
	ts.Check(err)
	r.Header.Set("Authorization", "Bearer "+ts.Getenv("ORG_REP"))
	resp, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	ts.Check(err)
	ts.Setenv(args[0], pick(ts, raw, args[1]))
}

// pick finds a value in JSON by names and indexes with dots between them.
func pick(ts *testscript.TestScript, raw []byte, path string) string {
	var at any
	if err := json.Unmarshal(raw, &at); err != nil {
		ts.Fatalf("%v in %s", err, raw)
	}
	for _, name := range strings.Split(path, ".") {
		switch v := at.(type) {
		case map[string]any:
			at = v[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(v) {
				ts.Fatalf("there is no %s in %s", path, raw)
			}
			at = v[i]
		}
	}
	if at == nil {
		ts.Fatalf("there is no %s in %s", path, raw)
	}
	return fmt.Sprint(at)
}

func corrupt(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "corrupt FILE TEXT")
	name := ts.MkAbs(args[0])
	content, err := os.ReadFile(name)
	ts.Check(err)
	at := bytes.Index(content, []byte(args[1]))
	need(ts, at >= 0, args[0]+" doesn't hold "+args[1])
	content[at] ^= 1
	ts.Check(os.WriteFile(name, content, 0o600))
}

func independent(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "independent DIR")
	log, err := verifier.Check(ts.MkAbs(args[0]))
	ts.Check(err)
	need(ts, len(log.Headers) > 10, "a log with entries")
	if keep := os.Getenv("STEWARD_KEEP_LOGS"); keep != "" { // for tools that aren't ours, which are no part of this module
		dir, err := os.MkdirTemp(keep, filepath.Base(args[0])+"-")
		ts.Check(err)
		ts.Check(os.CopyFS(dir, os.DirFS(ts.MkAbs(args[0]))))
	}
}

func need(ts *testscript.TestScript, ok bool, what string) {
	if !ok {
		ts.Fatalf("needed: %s", what)
	}
}
