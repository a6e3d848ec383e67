package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/config"
	"github.com/stewardhq/steward/internal/sandbox"
	"github.com/stewardhq/steward/internal/sandbox/org"
)

var today = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// world is a house and an org, both over real HTTP, with a member for each of three users.
type world struct {
	t      *testing.T
	data   string
	org    *org.Org
	box    *sandbox.Server
	boxURL string
	house  *house
	url    string
	admin  person
	boss   person
	rep    person

	calls, writes atomic.Int64 // that reached the org
}

type person struct {
	user  sandbox.User
	email string
	token string
}

func newWorld(t *testing.T, change func(*house)) *world {
	t.Helper()
	w := &world{t: t, data: t.TempDir(), org: org.Acme(1, today)}
	w.serveOrg()
	var log bytes.Buffer
	h, err := openHouse(context.Background(), storeOptions{
		Server: config.Server{Data: w.data}, Create: true, Now: func() time.Time { return today.Add(10 * time.Hour) }, Rand: rand.Reader, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", log.String())
		}
	})
	if change != nil {
		change(h)
	}
	w.house = h
	server := httptest.NewServer(h.Handler())
	t.Cleanup(server.Close)
	w.url = server.URL

	_, token, err := h.Init(context.Background(), "acme", "ops@acme.example")
	if err != nil {
		t.Fatal(err)
	}
	users := w.box.Users()
	w.admin = person{user: users[0], email: "ops@acme.example", token: token}
	w.boss = w.join(users[1], "manager")
	w.rep = w.join(users[len(users)-1], "member")
	w.connect(w.admin, w.boss, w.rep)
	return w
}

// serveOrg serves the org over HTTP and counts what reaches it.
func (w *world) serveOrg() {
	w.box = sandbox.New(w.org)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.calls.Add(1)
		if r.Method == http.MethodPost || r.Method == http.MethodPatch {
			w.writes.Add(1)
		}
		w.box.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(server.Close)
	w.boxURL = server.URL
}

// connect links the accounts of members with the org.
func (w *world) connect(all ...person) {
	w.t.Helper()
	for _, p := range all {
		w.must(w.admin, "POST", "/api/v1/connections", map[string]any{
			"system": "salesforce", "instance_url": w.boxURL, "access_token": p.user.AccessToken, "member": p.email,
		}, nil)
	}
}

func (w *world) join(u sandbox.User, role string) person {
	w.t.Helper()
	p := person{user: u, email: strings.ToLower(strings.ReplaceAll(u.Username, "@", ".")) + "@members.example"}
	var m wire.Member
	w.must(w.admin, "POST", "/api/v1/members", map[string]any{"email": p.email, "role": role}, &m)
	p.token = m.Token
	return p
}

// call makes one request and decodes its answer.
func (w *world) call(p person, method, path string, body, into any) int {
	w.t.Helper()
	var raw []byte
	if text, ok := body.(string); ok {
		raw = []byte(text)
	} else if body != nil {
		raw, _ = json.Marshal(body)
	}
	r, err := http.NewRequest(method, w.url+path, bytes.NewReader(raw))
	if err != nil {
		w.t.Fatal(err)
	}
	if p.token != "" {
		r.Header.Set("Authorization", "Bearer "+p.token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			w.t.Fatalf("%s %s: %v in %s", method, path, err, answer)
		}
	}
	if resp.StatusCode >= 400 && into == nil {
		w.t.Logf("%s %s: %d %s", method, path, resp.StatusCode, answer)
	}
	return resp.StatusCode
}

func (w *world) must(p person, method, path string, body, into any) {
	w.t.Helper()
	if status := w.call(p, method, path, body, into); status >= 400 {
		w.t.Fatalf("%s %s: status %d %v", method, path, status, into)
	}
}

func (w *world) ask(p person, question string) wire.Answer {
	w.t.Helper()
	var a wire.Answer
	w.call(p, "POST", "/api/v1/ask", map[string]string{"question": question}, &a)
	return a
}
