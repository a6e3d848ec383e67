package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/store"
)

// TestNothingActsUnrecorded takes from the server nothing but the ability to append to the ledger: the rest
// of the database, the keys and the org are well. Whatever anybody asks for then is refused clearly, reaches
// no system and changes nothing; and it works again when the ledger does.
func TestNothingActsUnrecorded(t *testing.T) {
	w := newWorld(t, nil)
	deal, contact := w.dealWithContact()
	change := func(step string) string {
		return fmt.Sprintf("Set the next step of %s to '%s' and log a call with %s", deal.Text("Name"), step, contact.Text("Name"))
	}
	waiting := w.ask(w.rep, change("Call on Monday"))
	if waiting.Status != wire.Waiting {
		t.Fatalf("%s %+v", waiting.Status, waiting.Error)
	}
	approval := "/api/v1/approvals/" + string(waiting.Approval.ID)
	var tokens struct{ Tokens []wire.Token }
	w.must(w.rep, "GET", "/api/v1/tokens", nil, &tokens)

	db, err := sql.Open("sqlite", filepath.Join(w.data, store.DataFile))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	run := func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
	// Who there is, what they may do, and what was asked to be forgotten.
	state := func() (all string) {
		t.Helper()
		for _, table := range []string{"workspaces", "members", "api_tokens", "connections", "credentials", "proposals", "proposals_taken", "persons", "erasures_asked", "ledger_tail"} {
			rows, err := db.QueryContext(context.Background(), "SELECT * FROM "+table)
			if err != nil {
				t.Fatal(err)
			}
			names, err := rows.Columns()
			if err != nil {
				t.Fatal(err)
			}
			values := make([]any, len(names))
			for i := range values {
				values[i] = new(any)
			}
			for rows.Next() {
				if err := rows.Scan(values...); err != nil {
					t.Fatal(err)
				}
				for _, v := range values {
					all += fmt.Sprint(*v.(*any), " ")
				}
				all += table + "\n"
			}
			if err := errors.Join(rows.Err(), rows.Close()); err != nil {
				t.Fatal(err)
			}
		}
		return all
	}
	root := func() string {
		t.Helper()
		content, err := os.ReadFile(filepath.Join(w.data, keeperDir, keyring.KeyFile))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	ready := func(want int) {
		t.Helper()
		for path, want := range map[string]int{"/readyz": want, "/healthz": 200} {
			if status, body := w.get(person{}, path); status != want {
				t.Errorf("%s: %d %s", path, status, body)
			}
		}
	}
	ready(200)

	run(`CREATE TRIGGER broken BEFORE INSERT ON ledger_tail BEGIN SELECT RAISE(ABORT, 'the ledger is broken'); END`)
	before, key, reached, wrote := state(), root(), w.calls.Load(), w.writes.Load()
	for _, c := range []struct {
		who          person
		method, path string
		body         any
	}{
		{w.rep, "POST", "/api/v1/ask", map[string]string{"question": "pipeline by stage"}},
		{w.rep, "POST", "/api/v1/ask", map[string]string{"question": change("Call on Tuesday")}},
		{w.rep, "POST", approval, map[string]string{"decision": "approve"}},
		{w.rep, "POST", approval, map[string]string{"decision": "deny"}},
		{w.rep, "GET", "/api/v1/runs/" + string(waiting.Run), nil},
		{w.admin, "GET", "/api/v1/log?purpose=audit", nil},
		{w.admin, "GET", "/api/v1/members", nil},
		{w.admin, "POST", "/api/v1/members", map[string]string{"email": "new@acme.example", "role": "admin"}},
		{w.admin, "DELETE", "/api/v1/members/" + w.boss.email, nil},
		{w.admin, "POST", "/api/v1/tokens", map[string]string{"member": w.rep.email}},
		{w.rep, "DELETE", "/api/v1/tokens/" + string(tokens.Tokens[0].ID), nil},
		{w.rep, "POST", "/api/v1/connections", map[string]string{"system": "salesforce", "instance_url": w.boxURL, "access_token": w.rep.user.AccessToken}},
		{w.admin, "POST", "/api/v1/erasures", map[string]string{"person": contact.Text("Email")}},
		{w.admin, "POST", "/api/v1/erasures", map[string]string{"person": "salesforce:Contact:" + contact.Text("Id")}},
		{w.rep, "POST", "/api/v1/erasures", map[string]string{"person": contact.Text("Email")}}, // who may not
	} {
		problem := w.refused(c.who, c.method, c.path, c.body, http.StatusServiceUnavailable)
		if problem.Kind != "unavailable" || strings.Contains(problem.Message, "broken") {
			t.Errorf("%s %s: %+v", c.method, c.path, problem)
		}
		if n := w.calls.Load() - reached; n != 0 {
			t.Errorf("%s %s: %d calls reached the org", c.method, c.path, n)
			reached = w.calls.Load()
		}
	}
	ready(503)
	if after := state(); after != before {
		t.Errorf("something was changed without record:\n%s\nwas\n%s", after, before)
	}
	if w.writes.Load() != wrote || root() != key { // which each forgetting replaces
		t.Error("the org was changed, or something forgotten, without record")
	}

	run(`DROP TRIGGER broken`)
	var a wire.Answer
	w.must(w.rep, "POST", approval, map[string]string{"decision": "approve"}, &a)
	if a.Status != wire.Done || w.writes.Load() == wrote {
		t.Errorf("afterwards the approved change is %s: %+v", a.Status, a.Error)
	}
	ready(200)
	if status, out, stderr := typed(map[string]string{"HOME": w.data}, "", "verify", "--data", w.data, "--json"); status != 0 {
		t.Errorf("verify: %d %s %s", status, out, stderr)
	}
}

// onSmallDisk is steward as a process whose files may have at most as many bytes as the environment says.
const onSmallDisk = "steward-on-a-small-disk"

func mainOnSmallDisk() {
	signal.Ignore(syscall.SIGXFSZ) // so that a write fails as it does on a full disk
	size, err := strconv.ParseUint(os.Getenv("FILE_SIZE"), 10, 64)
	if err == nil {
		err = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: size})
	}
	if err != nil {
		panic(err)
	}
	main()
}

// TestServerOnAFullDisk fills the disk of a server, as far as the kernel lets it see: it goes on to answer,
// refuses what it can't record, says that it isn't ready, and with room again goes on where it was.
func TestServerOnAFullDisk(t *testing.T) {
	w, server := newServed(t)
	stop := func() {
		t.Helper()
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	deal, contact := w.dealWithContact()
	waiting := w.ask(w.rep, fmt.Sprintf("Set the next step of %s to 'Call' and log a call with %s", deal.Text("Name"), contact.Text("Name")))
	if waiting.Status != wire.Waiting {
		t.Fatalf("%s %+v", waiting.Status, waiting.Error)
	}
	stop()
	data, err := os.Stat(filepath.Join(w.data, store.DataFile))
	if err != nil {
		t.Fatal(err)
	}
	server = w.serveProcess(func(c *exec.Cmd) {
		c.Args[0] = onSmallDisk
		c.Env = append(c.Env, fmt.Sprint("FILE_SIZE=", data.Size()+200_000))
	})
	looks := 0
	for status := 200; status == 200; looks++ { // each of which is an entry
		if status, _ = w.get(w.admin, "/api/v1/members"); status != 200 && status != 503 || looks > 2000 {
			t.Fatalf("after %d looks: status %d", looks, status)
		}
	}
	if looks < 5 {
		t.Fatalf("the disk is full from the beginning")
	}
	reached := w.calls.Load()
	approve := func(status int) (a wire.Answer) {
		t.Helper()
		if got := w.call(w.rep, "POST", "/api/v1/approvals/"+string(waiting.Approval.ID), map[string]string{"decision": "approve"}, &a); got != status {
			t.Errorf("approving: status %d, want %d: %+v", got, status, a.Error)
		}
		return a
	}
	for range 3 {
		w.refused(w.rep, "POST", "/api/v1/ask", map[string]string{"question": "pipeline by stage"}, 503)
		w.refused(w.admin, "POST", "/api/v1/members", map[string]string{"email": "new@acme.example", "role": "admin"}, 503)
		approve(503)
		if status, body := w.get(person{}, "/readyz"); status != 503 || !strings.Contains(body, "ledger") {
			t.Errorf("/readyz: %d %s", status, body)
		}
		if status, _ := w.get(person{}, "/healthz"); status != 200 {
			t.Errorf("/healthz: %d", status)
		}
	}
	if n := w.calls.Load() - reached; n != 0 {
		t.Errorf("%d calls reached the org unrecorded", n)
	}

	stop()
	server = w.serveProcess()
	if status, body := w.get(person{}, "/readyz"); status != 200 {
		t.Errorf("with room again: %d %s", status, body)
	}
	if a := approve(200); a.Status != wire.Done || w.writes.Load() < 2 {
		t.Errorf("with room again the change is %s: %+v", a.Status, a.Error)
	}
	recorded := 1 // the last look was refused
	for _, e := range w.entries("") {
		if e.Kind == "stored.read" {
			recorded++
		}
	}
	if recorded != looks {
		t.Errorf("%d looks were answered or refused, and %d are on record", looks, recorded)
	}
	stop()
	if status, out, stderr := typed(map[string]string{"HOME": w.data}, "", "verify", "--data", w.data, "--json"); status != 0 {
		t.Errorf("verify: %d %s %s", status, out, stderr)
	}
}

// TestReadOnlyFolder starts commands as somebody who may read a data folder and not write it.
func TestReadOnlyFolder(t *testing.T) {
	outer := t.TempDir()
	dir := filepath.Join(outer, "data")
	if status, _, stderr := typed(map[string]string{"HOME": outer}, "", "init", "--data", dir, "--workspace", "acme", "--admin", "ops@acme.example"); status != 0 {
		t.Fatal(stderr)
	}
	// Root may write everywhere, so root becomes nobody, who must be able to come here and to find the program.
	const nobody = 65534
	root := os.Getuid() == 0
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(outer, "steward")
	text, err := os.ReadFile(self)
	if err == nil {
		err = os.WriteFile(program, text, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	everything := func(change func(name string, folder bool) error) {
		t.Helper()
		if err := filepath.WalkDir(outer, func(name string, e fs.DirEntry, err error) error {
			if err == nil && root {
				err = os.Chown(name, nobody, nobody)
			}
			if err == nil {
				err = change(name, e.IsDir())
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	writable := func(allowed os.FileMode) {
		everything(func(name string, folder bool) error {
			switch {
			case name == outer || name == program:
				return os.Chmod(name, 0o700)
			case folder:
				return os.Chmod(name, 0o500|allowed)
			}
			return os.Chmod(name, 0o400|allowed)
		})
	}
	writable(0)
	defer writable(0o200) // or it couldn't be removed
	if root {
		if err := os.Chmod(filepath.Dir(outer), 0o711); err != nil {
			t.Fatal(err)
		}
	}
	steward := func(args ...string) (status int, stderr string) {
		t.Helper()
		c := exec.Command(program, args...)
		if root {
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		}
		var said bytes.Buffer
		c.Dir, c.Env, c.Stderr = outer, []string{"HOME=" + outer, "GORACE=" + os.Getenv("GORACE")}, &said
		if err := c.Run(); c.ProcessState == nil {
			t.Fatal(err)
		}
		return c.ProcessState.ExitCode(), said.String()
	}
	for _, args := range [][]string{
		{"serve", "--data", dir, "--listen", "127.0.0.1:0"},
		{"init", "--data", dir, "--workspace", "globex", "--admin", "ops@globex.example"},
		{"init", "--data", filepath.Join(dir, "inner"), "--workspace", "globex", "--admin", "ops@globex.example"},
	} {
		status, stderr := steward(args...)
		if status != 1 || !strings.HasPrefix(stderr, "steward: the data folder "+dir) && !strings.Contains(stderr, "\nsteward: the data folder "+dir) {
			t.Errorf("%s: status %d %s", args[0], status, stderr)
		}
	}
	// Reading beside a writer takes shared memory, which can't be made here. That is no finding.
	if status, stderr := steward("verify", "--data", dir); status != 1 || !strings.Contains(stderr, "\nsteward: Steward's data folder can't be written") { // behind the cause
		t.Errorf("verify: status %d %s", status, stderr)
	}
}
