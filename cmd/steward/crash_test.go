package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/sandbox/org"
)

// serveProcess starts `steward serve` as a process of its own over a data folder. The process is changed
// before it starts.
func (w *world) serveProcess(changes ...func(*exec.Cmd)) *exec.Cmd {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(self)
	cmd.Args = []string{"steward", "serve", "--data", w.data, "--listen", "127.0.0.1:0", "--json", "--today", "2026-11-23"}
	cmd.Env, cmd.Stderr = []string{"HOME=" + w.data, "GORACE=" + os.Getenv("GORACE")}, &log
	for _, change := range changes {
		change(cmd)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	first, err := lines.ReadBytes('\n')
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		w.t.Fatalf("serve did not start: %v\n%s", err, log.String())
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	var ready struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal(first, &ready); err != nil {
		w.t.Fatal(err)
	}
	w.url = ready.URL
	return cmd
}

// newServed is newWorld with the server in a process of its own, an administrator and a representative.
func newServed(t *testing.T) (*world, *exec.Cmd) {
	t.Helper()
	w := &world{t: t, data: t.TempDir(), org: org.Acme(1, today)}
	w.serveOrg()
	status, out, stderr := typed(map[string]string{"HOME": w.data}, "", "init", "--data", w.data, "--workspace", "acme", "--admin", "ops@acme.example", "--json")
	var made struct{ Token string }
	if err := json.Unmarshal([]byte(out), &made); status != 0 || err != nil {
		t.Fatal(status, stderr, err)
	}
	server := w.serveProcess()
	users := w.box.Users()
	w.admin = person{user: users[0], email: "ops@acme.example", token: made.Token}
	w.rep = w.join(users[len(users)-1], "member")
	w.connect(w.admin, w.rep)
	return w, server
}

// TestKilledWhileWriting kills the server at random moments between an approval and its end. Whatever the
// moment: every write that reached the org has its intent on record, none is made twice, the run ends
// after the restart, and the ledger verifies.
func TestKilledWhileWriting(t *testing.T) {
	w, server := newServed(t)
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	deal, contact := w.dealWithContact()

	done, doubtful := 0, 0
	for round := range 10 {
		subject := fmt.Sprintf("Call %d with %s about renewal", round, contact.Text("Name"))
		a := w.ask(w.rep, fmt.Sprintf("Set the next step of %s to '%s' and log a call with %s", deal.Text("Name"), subject, contact.Text("Name")))
		if a.Status != wire.Waiting {
			t.Fatalf("round %d: %s %+v", round, a.Status, a.Error)
		}
		// Two records a round: over ten a day somebody else has to approve.
		approver := w.rep
		if a.Approval.Needs == "other" {
			approver = w.admin
		}
		before := w.writes.Load()
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			body := strings.NewReader(`{"decision":"approve"}`)
			r, err := http.NewRequestWithContext(context.Background(), "POST", w.url+"/api/v1/approvals/"+string(a.Approval.ID), body)
			if err != nil {
				return
			}
			r.Header.Set("Authorization", "Bearer "+approver.token)
			if resp, err := http.DefaultClient.Do(r); err == nil {
				resp.Body.Close()
			}
		}()
		time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond)
		_ = server.Process.Kill()
		_ = server.Wait()
		<-answered
		server = w.serveProcess()

		// A run whose approval never reached the record still waits: it is approved again.
		b := w.settled(a)
		if b.Status == wire.Waiting {
			w.must(approver, "POST", "/api/v1/approvals/"+string(a.Approval.ID), map[string]string{"decision": "approve"}, &b)
		}
		reached := w.writes.Load() - before
		if reached > 2 {
			t.Errorf("round %d: %d writes reached the org for two approved ones", round, reached)
		}
		var intents int64
		for _, e := range w.entries(a.Run) {
			if e.Kind == "call.intent" && e.Effect == "write" {
				intents++
			}
			if e.Outcome == "unknown" {
				doubtful++
			}
		}
		if intents < reached {
			t.Errorf("round %d: %d writes reached the org, %d intents are on record", round, reached, intents)
		}
		if b.Status == wire.Done {
			done++
		}
	}
	t.Logf("of 10 runs killed while writing, %d were carried to their end; %d calls were in doubt and said so", done, doubtful)
	_ = server.Process.Kill()
	_ = server.Wait()
	server = w.serveProcess() // which closes what was open
	if status, out, stderr := typed(map[string]string{"HOME": w.data}, "", "verify", "--data", w.data, "--json"); status != 0 {
		t.Errorf("verify: %d %s %s", status, out, stderr)
	}
}

// settled waits for a run that the restarted server carries on, until it no longer moves.
func (w *world) settled(a wire.Answer) wire.Answer {
	w.t.Helper()
	for range 100 {
		var b wire.Answer
		w.call(w.rep, "GET", "/api/v1/runs/"+string(a.Run), nil, &b)
		if b.Status == wire.Done || b.Status == wire.Failed {
			return b
		}
		if b.Status == wire.Waiting {
			// Either nobody's decision is on record, or the server is about to carry it on.
			time.Sleep(200 * time.Millisecond)
			w.call(w.rep, "GET", "/api/v1/runs/"+string(a.Run), nil, &b)
			if b.Status == wire.Waiting {
				return b
			}
			continue
		}
		time.Sleep(50 * time.Millisecond)
	}
	w.t.Fatalf("run %s doesn't end", a.Run)
	return a
}
