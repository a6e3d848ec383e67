package main

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestKilledWhileRotating kills the rotation of a keyring at random moments. Whatever the moment, it is run again and
// ends right: what was sealed opens, each rotation that was begun has its end on record once, and the record verifies.
func TestKilledWhileRotating(t *testing.T) {
	w, server := newServed(t)
	w.ask(w.rep, "Show the open deals") // which makes keys of persons
	_ = server.Process.Kill()
	_ = server.Wait()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"HOME": w.data}
	rotation := func() *exec.Cmd {
		cmd := exec.Command(self)
		cmd.Args, cmd.Env = []string{"steward", "keyring", "rotate", "--data", w.data}, []string{"HOME=" + w.data, "GORACE=" + os.Getenv("GORACE")}
		return cmd
	}
	began := time.Now()
	if out, err := rotation().CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	takes, killed, resumed := time.Since(began), 0, 0
	for round := range 20 {
		cmd := rotation()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(takes/2+time.Duration(rand.Int64N(int64(takes/2))), func() { _ = cmd.Process.Kill() })
		if cmd.Wait() != nil {
			killed++
		}
		if round%2 == 0 {
			continue // it may be killed again before it comes to its end
		}
		status, out, stderr := typed(env, "", "keyring", "rotate", "--data", w.data, "--json")
		var done struct{ Resumed bool }
		if err := json.Unmarshal([]byte(out), &done); status != 0 || err != nil {
			t.Fatal(status, out, stderr)
		}
		if done.Resumed {
			resumed++
		}
	}
	if status, out, stderr := typed(env, "", "keyring", "rotate", "--data", w.data); status != 0 {
		t.Fatal(status, out, stderr)
	}
	t.Logf("of 20 rotations of %s %d were killed; %d times one was carried to its end", takes.Round(time.Millisecond), killed, resumed)
	server = w.serveProcess() // which would end, as unknown, what was left open
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	env["STEWARD_URL"], env["STEWARD_TOKEN"] = w.url, w.admin.token
	if status, out, stderr := typed(env, "", "member", "list"); status != 0 || !strings.Contains(out, w.rep.email) {
		t.Errorf("what was sealed doesn't open: %d %s %s", status, out, stderr)
	}
	status, out, stderr := typed(env, "", "log", "--tool", "keyring_rotate", "--purpose", "audit", "--json")
	intents, ends := strings.Count(out, `"kind":"call.intent"`), strings.Count(out, `"kind":"call.outcome"`)
	if status != 0 || intents == 0 || intents != ends || strings.Count(out, `"outcome":"ok"`) != ends {
		t.Errorf("%d rotations were begun and %d ended: %d %s%s", intents, ends, status, out, stderr)
	}
	_ = server.Process.Kill()
	_ = server.Wait()
	if status, out, stderr := typed(map[string]string{"HOME": w.data}, "", "verify", "--data", w.data); status != 0 {
		t.Errorf("verify: %d %s %s", status, out, stderr)
	}
}
