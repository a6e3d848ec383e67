package api_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/agent"
	"github.com/stewardhq/steward/internal/api"
	"github.com/stewardhq/steward/internal/api/providers"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/connector/salesforce"
	"github.com/stewardhq/steward/internal/connector/salesforce/oauth"
	"github.com/stewardhq/steward/internal/credential"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/tlog"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/llm/register"
	"github.com/stewardhq/steward/internal/llm/rules"
	"github.com/stewardhq/steward/internal/policy"
	"github.com/stewardhq/steward/internal/privacy"
	"github.com/stewardhq/steward/internal/retention"
	"github.com/stewardhq/steward/internal/retention/custody"
	"github.com/stewardhq/steward/internal/sandbox"
	"github.com/stewardhq/steward/internal/sandbox/org"
	"github.com/stewardhq/steward/internal/signin"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/forgetting"
	registered "github.com/stewardhq/steward/internal/store/register"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

var today = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// house is the whole server over HTTP, and the sandbox company behind it.
type house struct {
	t       *testing.T
	url     string
	log     *bytes.Buffer
	org     *org.Org
	orgURL  string
	users   []sandbox.User
	login   *login
	later   atomic.Int64 // seconds after today
	garbled atomic.Bool  // the ledger's last entry can't be read
	full    atomic.Bool  // the ledger can't be written
	server  *api.Server
}

// person is a member with a token.
type person struct {
	email string
	token string
	id    steward.MemberID
}

// reader is the ledger's store, whose last entry can be damaged.
type reader struct {
	ledger.Store
	house *house
}

func (r reader) Rows(ctx context.Context, ws steward.WorkspaceID, from uint64, limit int, parts bool) ([]ledger.Row, error) {
	rows, err := r.Store.Rows(ctx, ws, from, limit, parts)
	if r.house.garbled.Load() && len(rows) > 0 {
		rows[len(rows)-1].Header = []byte(`{"seq":`)
	}
	return rows, err
}

func (r reader) Appender(ctx context.Context) (ledger.Appender, error) {
	a, err := r.Store.Appender(ctx)
	return appender{a, r.house}, err
}

type appender struct {
	ledger.Appender
	house *house
}

func (a appender) Commit(ctx context.Context, advances []ledger.Advance) error {
	if a.house.full.Load() {
		return errors.New("no space is left")
	}
	return a.Appender.Commit(ctx, advances)
}

// onBoth runs a test on SQLite, and on Postgres with a server for it.
func onBoth(t *testing.T, test func(t *testing.T, on *postgres.Server)) {
	t.Run("sqlite", func(t *testing.T) { test(t, nil) })
	t.Run("postgres", func(t *testing.T) { test(t, postgres.Start(t)) })
}

func open(t *testing.T) *house {
	t.Helper()
	return openOn(t, nil)
}

// openOn opens a house on a server, or where there is none on SQLite.
func openOn(t *testing.T, on *postgres.Server) *house {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	h := &house{t: t, log: &bytes.Buffer{}, org: org.Acme(1, today)}
	box := sandbox.New(h.org)
	h.users = box.Users()
	h.login = &login{org: box, orgID: h.org.ID}
	orgServer := httptest.NewServer(h.login)
	t.Cleanup(orgServer.Close)
	h.orgURL = orgServer.URL

	now := func() time.Time { return today.Add(time.Duration(h.later.Load()) * time.Second) }
	log := slog.New(slog.NewTextHandler(h.log, nil))
	openData, openKeys := store.OpenData, store.OpenKeyring
	if on != nil {
		openData = func(ctx context.Context, _ string) (*store.DB, error) {
			return store.Postgres{URL: on.Database(t)}.OpenData(ctx)
		}
		openKeys = func(ctx context.Context, _ string) (*store.DB, error) {
			return store.Postgres{URL: on.Database(t)}.OpenKeyring(ctx)
		}
	}
	data, err := openData(ctx, dir)
	h.must(err)
	keys, err := openKeys(ctx, dir)
	h.must(err)
	keeper := keyring.FileKeeper{Dir: filepath.Join(dir, "root")}
	h.must(keeper.Create(rand.Reader))
	ring, err := keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: keys}, Keeper: keeper, Rand: rand.Reader})
	h.must(err)
	book, err := ledger.Open(ctx, ledger.Config{Store: reader{store.Ledger{DB: data}, h}, Sealer: ring, Now: now, Rand: rand.Reader, Origin: "test.example"})
	h.must(err)
	t.Cleanup(func() { _, _, _ = book.Close(ctx), data.Close(), keys.Close() })
	policies, err := policy.Default()
	h.must(err)
	door := &gateway.Gateway{
		Policy: policies, Ledger: book,
		Privacy: &privacy.Vault{
			Store: store.Privacy{DB: data}, Persons: store.Privacy{DB: data}, Sealer: ring, Shredder: ring, Now: now, Rand: rand.Reader,
		},
		Connectors: connector.Set{salesforce.System: &salesforce.Connector{Now: now}},
		Models:     llm.Shelf{llm.RulesProvider: rules.Model{}},
		Proposals:  store.Gateway{DB: data}, Usage: store.Gateway{DB: data},
		Accounts: credential.Accounts{
			Connections: store.Gateway{DB: data}, Sealer: ring, Credentials: store.Gateway{DB: data}, Shredder: ring,
			Client: func(steward.WorkspaceID, string) (*http.Client, error) { return orgServer.Client(), nil },
			Now:    now, Rand: rand.Reader,
		},
	}
	app := &oauth.App{ClientID: "3MVG9app", Logins: []string{h.orgURL}, Now: now}
	door.Renewers = map[string]credential.Renewer{salesforce.System: app}
	rows := forgetting.Rows{DB: data.Rows()}
	h.server = &api.Server{
		Directory: &identity.Directory{
			Workspaces: store.Identity{DB: data}, Members: store.Identity{DB: data}, Tokens: store.Identity{DB: data}, Sealer: ring, Now: now, Rand: rand.Reader,
		},
		Gateway: door, Ledger: book, Tlog: tlog.Log{Store: store.Ledger{DB: data}, Sealer: ring},
		Agent: &agent.Agent{
			Door: door, Store: store.Agent{DB: data}, Sealer: ring, Tools: door.Offer(), Provider: llm.RulesProvider, Model: llm.RulesModel, Now: now, Rand: rand.Reader,
		},
		Custody:  &custody.Custody{Holds: rows, Keyring: ring},
		Schedule: &retention.Schedule{Periods: store.Keyring{DB: keys}, Settings: store.Retention{DB: data}, Now: now},
		Now:      now, Rand: rand.Reader, Log: log,
	}
	h.server.Eraser = &retention.Eraser{
		Requests: forgetting.Requests{Rows: rows}, Duties: forgetting.Duties{Rows: rows}, Custody: h.server.Custody, Ledger: book, Keyring: ring,
		Issuer:  &retention.Issuer{Certificates: rows, Ledger: book, Version: "test", Now: now, Rand: rand.Reader},
		Stopped: h.server.Schedule.Stopped, Within: 30 * 24 * time.Hour, Log: log, Now: now, Rand: rand.Reader,
	}
	h.server.Closer = &retention.Closer{
		Closings: rows, Estate: rows, Holds: rows, Schedule: h.server.Schedule, Ledger: book, Keyring: ring,
		Issuer: h.server.Eraser.Issuer,
		Walk:   data.WalkSealed, Objects: func(context.Context, steward.WorkspaceID) (int, error) { return 0, nil }, Log: log, Now: now,
	}
	door.Closed = h.server.Closer.Closed
	h.server.Providers = providers.Desk{Door: door, Book: &register.Book{
		Store: registered.Rows{DB: data.Rows()}, Check: func(string, string) error { return nil }, Admins: h.server.Directory.Administrators, Now: now,
	}}
	h.server.SignIns = &signin.Flow{Store: store.SignIns{DB: data}, Door: door, Directory: h.server.Directory, App: app, Now: now, Rand: rand.Reader}
	server := httptest.NewUnstartedServer(h.server.Handler())
	server.Config.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	server.Start()
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

// found makes a workspace with its administrator.
func (h *house) found(name string) person {
	h.t.Helper()
	ctx, d := context.Background(), h.server.Directory
	ws, err := d.CreateWorkspace(ctx, name)
	h.must(err)
	p := person{email: "admin@" + name + ".example"}
	m, err := d.AddMember(ctx, ws.ID, p.email, steward.Admin)
	h.must(err)
	p.id = m.ID
	p.token, _, err = d.IssueToken(ctx, ws.ID, m.ID, 30*24*time.Hour)
	h.must(err)
	return p
}

func (h *house) join(admin person, email, role string) person {
	h.t.Helper()
	var m wire.Member
	h.do(admin, "POST", "/api/v1/members", map[string]string{"email": email, "role": role}, http.StatusCreated, &m)
	return person{email: email, token: m.Token, id: m.Member}
}

func (h *house) connect(admin, p person, user sandbox.User) {
	h.t.Helper()
	h.do(admin, "POST", "/api/v1/connections", map[string]string{
		"system": "salesforce", "instance_url": h.orgURL, "access_token": user.AccessToken, "member": p.email,
	}, http.StatusCreated, nil)
}

// rep is the org's last user, and an open deal of theirs with a contact of its credential.
func (h *house) rep() (user sandbox.User, deal, contact org.Row) {
	h.t.Helper()
	user = h.users[len(h.users)-1]
	for _, d := range h.org.Rows["Opportunity"] {
		for _, c := range h.org.Rows["Contact"] {
			if d.Text("OwnerId") == user.ID && !d.True("IsClosed") && c.Text("AccountId") == d.Text("AccountId") {
				return user, d, c
			}
		}
	}
	h.t.Fatal("the representative has no open deal")
	return user, nil, nil
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// send makes a request; a string is sent as it is, anything else as JSON.
func (h *house) send(p person, method, path string, body any) (*http.Response, []byte) {
	h.t.Helper()
	raw, ok := body.(string)
	if !ok && body != nil {
		b, err := json.Marshal(body)
		h.must(err)
		raw = string(b)
	}
	r, err := http.NewRequest(method, h.url+path, strings.NewReader(raw))
	h.must(err)
	if p.token != "" {
		r.Header.Set("Authorization", "Bearer "+p.token)
	}
	resp, err := http.DefaultClient.Do(r)
	h.must(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	h.must(err)
	return resp, answer
}

// do makes a request that must have a status, and holds the answer to what every answer says of itself.
func (h *house) do(p person, method, path string, body any, status int, into any) []byte {
	h.t.Helper()
	resp, answer := h.send(p, method, path, body)
	if resp.StatusCode != status {
		h.t.Fatalf("%s %s: status %d, want %d: %s", method, path, resp.StatusCode, status, answer)
	}
	if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		h.t.Errorf("%s %s may be kept or guessed at: %v", method, path, resp.Header)
	}
	if status >= 400 && !strings.Contains(path, "/ask") {
		var p struct{ Error wire.Problem }
		if json.Unmarshal(answer, &p) != nil || len(p.Error.Message) < 15 || p.Error.Kind == "internal" {
			h.t.Errorf("%s %s: it helps nobody: %s", method, path, answer)
		}
	}
	if into != nil {
		h.must(json.Unmarshal(answer, into))
	}
	return answer
}

// entries reads a workspace's ledger as its administrator.
func (h *house) entries(admin person) (all []wire.Entry) {
	h.t.Helper()
	d := json.NewDecoder(bytes.NewReader(h.do(admin, "GET", "/api/v1/log?purpose=audit", nil, http.StatusOK, nil)))
	for d.More() {
		var e wire.Entry
		h.must(d.Decode(&e))
		all = append(all, e)
	}
	return all
}
