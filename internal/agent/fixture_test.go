package agent_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/agent"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/connector/salesforce"
	"github.com/stewardhq/steward/internal/credential"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/policy"
	"github.com/stewardhq/steward/internal/privacy"
	"github.com/stewardhq/steward/internal/sandbox"
	"github.com/stewardhq/steward/internal/sandbox/org"
	"github.com/stewardhq/steward/internal/store"
)

var today = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// house is everything that a run meets, over the sandbox company by HTTP; only the model is a test's.
type house struct {
	t         *testing.T
	ws        steward.WorkspaceID
	org       *org.Org
	data      *store.DB
	ring      *keyring.Keyring
	directory *identity.Directory
	door      *gateway.Gateway
	tail      *tail
	store     *stumbling
	ana       identity.Caller // a representative
	max       identity.Caller // a manager
	deals     []org.Row       // open ones of ana's

	mu     sync.Mutex
	writes []string // that reached the org
}

// tail is the ledger's store, which can be told to lose a commit.
type tail struct {
	ledger.Store
	commits atomic.Int64
	lose    atomic.Int64 // which commit, counted from 1; 0 for none
}

func (s *tail) Appender(ctx context.Context) (ledger.Appender, error) {
	a, err := s.Store.Appender(ctx)
	return appender{a, s}, err
}

type appender struct {
	ledger.Appender
	tail *tail
}

func (s appender) Commit(ctx context.Context, advances []ledger.Advance) error {
	if n := s.tail.commits.Add(1); n == s.tail.lose.Load() {
		return steward.Errorf(steward.Unavailable, "the disk is full")
	}
	return s.Appender.Commit(ctx, advances)
}

// stumbling is the agent's store, in which a process can die before or after it saves a run.
type stumbling struct {
	agent.Store
	saves int
	die   int  // at which save, counted from 1; 0 for none
	after bool // once the run is saved
}

// died is what a process ends with.
type died struct{}

func (s *stumbling) SaveRun(ctx context.Context, ws steward.WorkspaceID, r agent.Row) error {
	s.saves++
	if s.saves == s.die && !s.after {
		panic(died{})
	}
	err := s.Store.SaveRun(ctx, ws, r)
	if s.saves == s.die {
		panic(died{})
	}
	return err
}

func open(t *testing.T, model llm.Model) *house {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	h := &house{t: t, org: org.Acme(1, today)}
	box := sandbox.New(h.org)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && strings.Contains(r.URL.Path, "/sobjects/") {
			h.mu.Lock()
			h.writes = append(h.writes, r.Method+" "+r.URL.Path[strings.Index(r.URL.Path, "/sobjects/"):])
			h.mu.Unlock()
		}
		box.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)

	now := func() time.Time { return today.Add(10 * time.Hour) }
	var err error
	h.data, err = store.OpenData(ctx, dir)
	h.must(err)
	keys, err := store.OpenKeyring(ctx, dir)
	h.must(err)
	keeper := keyring.FileKeeper{Dir: filepath.Join(dir, "root")}
	h.must(keeper.Create(rand.Reader))
	h.ring, err = keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: keys}, Keeper: keeper, Rand: rand.Reader})
	h.must(err)
	h.tail = &tail{Store: store.Ledger{DB: h.data}}
	h.store = &stumbling{Store: store.Agent{DB: h.data}}
	policies, err := policy.Default()
	h.must(err)
	h.door = &gateway.Gateway{
		Policy: policies, Ledger: h.ledger(),
		Privacy: &privacy.Vault{
			Store: store.Privacy{DB: h.data}, Persons: store.Privacy{DB: h.data}, Sealer: h.ring, Shredder: h.ring, Now: now, Rand: rand.Reader,
		},
		Connectors: connector.Set{salesforce.System: &salesforce.Connector{Now: now}},
		Models:     llm.Shelf{llm.RulesProvider: model},
		Proposals:  store.Gateway{DB: h.data}, Usage: store.Gateway{DB: h.data},
		Accounts: credential.Accounts{
			Connections: store.Gateway{DB: h.data}, Sealer: h.ring, Credentials: store.Gateway{DB: h.data}, Shredder: h.ring,
			Client: func(steward.WorkspaceID, string) (*http.Client, error) { return server.Client(), nil },
			Now:    now, Rand: rand.Reader,
		},
	}
	t.Cleanup(func() { _, _, _ = h.door.Ledger.Close(ctx), h.data.Close(), keys.Close() })
	h.directory = &identity.Directory{
		Workspaces: store.Identity{DB: h.data}, Members: store.Identity{DB: h.data}, Tokens: store.Identity{DB: h.data},
		Sealer: h.ring, Now: now, Rand: rand.Reader,
	}
	ws, err := h.directory.CreateWorkspace(ctx, "acme")
	h.must(err)
	h.ws = ws.ID
	users := box.Users()
	rep := users[len(users)-1]
	admin := h.join("ada@acme.example", steward.Admin)
	h.ana, h.max = h.join("ana@acme.example", steward.Plain), h.join("max@acme.example", steward.Manager)
	for caller, user := range map[identity.Caller]sandbox.User{h.ana: rep, h.max: users[0]} {
		_, err := h.door.Connect(ctx, admin, caller.Member(), salesforce.System, server.URL, user.AccessToken)
		h.must(err)
	}
	for _, row := range h.org.Rows["Opportunity"] {
		if row.Text("OwnerId") == rep.ID && !row.True("IsClosed") {
			h.deals = append(h.deals, row)
		}
	}
	return h
}

func (h *house) join(email string, role steward.Role) identity.Caller {
	h.t.Helper()
	member, err := h.directory.AddMember(context.Background(), h.ws, email, role)
	h.must(err)
	secret, _, err := h.directory.IssueToken(context.Background(), h.ws, member.ID, time.Hour)
	h.must(err)
	caller, err := h.directory.Authenticate(context.Background(), secret)
	h.must(err)
	return caller
}

// ledger opens the ledger as a new process does.
func (h *house) ledger() *ledger.Ledger {
	h.t.Helper()
	book, err := ledger.Open(context.Background(), ledger.Config{
		Store: h.tail, Sealer: h.ring, Now: func() time.Time { return today.Add(10 * time.Hour) }, Rand: rand.Reader, Origin: "test.example",
	})
	h.must(err)
	_, err = book.CloseAbandoned(context.Background())
	h.must(err)
	return book
}

// agent is the agent as a new process has it.
func (h *house) agent() *agent.Agent {
	return &agent.Agent{
		Door: h.door, Store: h.store, Sealer: h.ring, Tools: h.door.Offer(), Provider: llm.RulesProvider, Model: llm.RulesModel,
		Now: h.door.Now, Rand: rand.Reader,
	}
}

// enter brings a question in, in a new conversation.
func (h *house) enter(a *agent.Agent, caller identity.Caller, question string) gateway.Question {
	h.t.Helper()
	conversation, err := a.Converse(context.Background(), caller, "")
	h.must(err)
	q, err := h.door.Enter(context.Background(), caller.Through(steward.BuiltinAgent), conversation, question)
	h.must(err)
	return q
}

func (h *house) ask(caller identity.Caller, question string) (agent.Run, gateway.Question) {
	h.t.Helper()
	a := h.agent()
	q := h.enter(a, caller, question)
	run, err := a.Ask(context.Background(), caller, q)
	h.must(err)
	return run, q
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) kind(err error, want steward.Kind) {
	h.t.Helper()
	if err == nil || steward.KindOf(err) != want {
		h.t.Fatalf("got %v, want kind %v", err, want)
	}
}

func (h *house) written() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.writes...)
}

// entries are the headers of a run on record.
func (h *house) entries(run steward.RunID) (all []ledger.Header) {
	h.t.Helper()
	h.must(h.door.Ledger.Read(context.Background(), h.ws, ledger.Query{Run: run}, func(e ledger.Header) error {
		all = append(all, e)
		return nil
	}))
	return all
}

// whole fails unless every tool call of a run's dialogue has its one result, and the run came to an end
// that is on record.
func (h *house) whole(run steward.RunID) {
	h.t.Helper()
	messages, err := h.agent().Dialogue(context.Background(), h.ana, run)
	h.must(err)
	for i, m := range messages {
		results := map[string]int{}
		if i+1 < len(messages) {
			for _, b := range messages[i+1].Content {
				results[b.ToolUseID]++
			}
		}
		for _, b := range m.Content {
			if b.Type == llm.ToolUse && results[b.ID] != 1 {
				h.t.Errorf("tool call %s has %d results", b.ID, results[b.ID])
			}
		}
	}
	finished := 0
	for _, e := range h.entries(run) {
		if e.Kind == ledger.RunFinished {
			finished++
		}
	}
	if finished == 0 || messages[len(messages)-1].Role != llm.Assistant {
		h.t.Errorf("the run's end is %d times on record, and its dialogue ends with the %s", finished, messages[len(messages)-1].Role)
	}
}

// use is a tool call as a model writes it.
func use(id, name string, input any) llm.Block {
	raw, err := json.Marshal(input)
	if err != nil {
		panic(err)
	}
	return llm.Block{Type: llm.ToolUse, ID: id, Name: name, Input: raw}
}

func say(text string) llm.Block { return llm.Block{Type: llm.Text, Text: text} }

type object = map[string]any
