package gateway_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/credential"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/policy"
	"github.com/stewardhq/steward/internal/privacy"
	"github.com/stewardhq/steward/internal/store"
)

// house is a gateway over the real policies, privacy, ledger, keyring and store, with a CRM in memory.
type house struct {
	*gateway.Gateway
	t       *testing.T
	ws      steward.WorkspaceID
	system  *system
	model   *model
	tail    *tail
	clock   atomic.Int64 // seconds after the start
	members map[steward.Role][]identity.Caller
}

// model answers with what a test puts into it.
type model struct {
	answer func(llm.Request) (llm.Response, error)
}

func (m *model) Generate(_ context.Context, r llm.Request) (llm.Response, error) { return m.answer(r) }

// tail is the ledger's store, which can be told to lose commits.
type tail struct {
	ledger.Store
	lose atomic.Pointer[func(header []byte) bool]
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
	if lose := s.tail.lose.Load(); lose != nil {
		for _, a := range advances {
			for _, row := range a.Rows {
				if (*lose)(row.Header) {
					return steward.Errorf(steward.Unavailable, "the disk is full")
				}
			}
		}
	}
	return s.Appender.Commit(ctx, advances)
}

func (s *tail) losing(what ...string) {
	f := func(header []byte) bool {
		for _, w := range what {
			if !bytes.Contains(header, []byte(w)) {
				return false
			}
		}
		return true
	}
	s.lose.Store(&f)
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func open(t *testing.T) *house {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	h := &house{t: t, system: newSystem(), model: &model{}, members: map[steward.Role][]identity.Caller{}}
	now := func() time.Time { return noon.Add(time.Duration(h.clock.Load()) * time.Second) }
	data, err := store.OpenData(ctx, dir)
	h.must(err)
	keys, err := store.OpenKeyring(ctx, dir)
	h.must(err)
	keeper := keyring.FileKeeper{Dir: filepath.Join(dir, "root")}
	h.must(keeper.Create(rand.Reader))
	ring, err := keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: keys}, Keeper: keeper, Rand: rand.Reader})
	h.must(err)
	h.tail = &tail{Store: store.Ledger{DB: data}}
	book, err := ledger.Open(ctx, ledger.Config{Store: h.tail, Sealer: ring, Now: now, Rand: rand.Reader, Origin: "test.example"})
	h.must(err)
	t.Cleanup(func() { h.tail.lose.Store(nil); _, _, _ = book.Close(ctx), data.Close(), keys.Close() })
	policies, err := policy.Default()
	h.must(err)
	h.Gateway = &gateway.Gateway{
		Policy: policies, Ledger: book,
		Privacy: &privacy.Vault{
			Store: store.Privacy{DB: data}, Persons: store.Privacy{DB: data}, Sealer: ring, Shredder: ring, Now: now, Rand: rand.Reader,
		},
		Connectors: connector.Set{"crm": h.system},
		Models:     llm.Shelf{llm.RulesProvider: h.model},
		Proposals:  store.Gateway{DB: data}, Usage: store.Gateway{DB: data},
		Accounts: credential.Accounts{
			Connections: store.Gateway{DB: data}, Sealer: ring, Credentials: store.Gateway{DB: data}, Shredder: ring,
			Client: func(steward.WorkspaceID, string) (*http.Client, error) { return &http.Client{}, nil },
			Now:    now, Rand: rand.Reader,
		},
	}
	directory := &identity.Directory{
		Workspaces: store.Identity{DB: data}, Members: store.Identity{DB: data}, Tokens: store.Identity{DB: data}, Sealer: ring, Now: now, Rand: rand.Reader,
	}
	ws, err := directory.CreateWorkspace(ctx, "acme")
	h.must(err)
	h.ws = ws.ID
	for _, m := range []struct {
		email string
		role  steward.Role
	}{
		{"ada@acme.example", steward.Admin}, {"max@acme.example", steward.Manager}, {"ana@acme.example", steward.Plain},
		{"ben@acme.example", steward.Plain}, {"aud@acme.example", steward.Auditor},
	} {
		member, err := directory.AddMember(ctx, h.ws, m.email, m.role)
		h.must(err)
		secret, _, err := directory.IssueToken(ctx, h.ws, member.ID, time.Hour*24*30)
		h.must(err)
		caller, err := directory.Authenticate(ctx, secret)
		h.must(err)
		h.members[m.role] = append(h.members[m.role], caller)
		if m.role != steward.Auditor {
			_, err = h.Connect(ctx, h.admin(), caller.Member(), "crm", "https://crm.example", m.email)
			h.must(err)
		}
	}
	return h
}

func (h *house) admin() identity.Caller   { return h.members[steward.Admin][0] }
func (h *house) manager() identity.Caller { return h.members[steward.Manager][0] }
func (h *house) ana() identity.Caller     { return h.members[steward.Plain][0] }
func (h *house) ben() identity.Caller     { return h.members[steward.Plain][1] }
func (h *house) auditor() identity.Caller { return h.members[steward.Auditor][0] }

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

// ask brings a question in, in a conversation of its own.
func (h *house) ask(caller identity.Caller, text string) gateway.Question {
	h.t.Helper()
	q, err := h.Enter(context.Background(), caller, steward.ConversationID(steward.NewID(rand.Reader, "con")), text)
	h.must(err)
	return q
}

// try makes a call of a run.
func (h *house) try(caller identity.Caller, q gateway.Question, tool string, a arguments, approval ...steward.ProposalID) (gateway.Result, error) {
	return h.tryRaw(caller, q, tool, args(a), approval...)
}

func (h *house) tryRaw(caller identity.Caller, q gateway.Question, tool string, raw json.RawMessage, approval ...steward.ProposalID) (gateway.Result, error) {
	call := gateway.Call{Run: q.Run, In: q.In, Tool: tool, Args: raw}
	if len(approval) > 0 {
		call.Approval = approval[0]
	}
	return h.Do(context.Background(), caller.Through(steward.BuiltinAgent), call)
}

// pending makes a write that has to wait for approval.
func (h *house) pending(caller identity.Caller, q gateway.Question, a arguments) *gateway.Pending {
	h.t.Helper()
	_, err := h.try(caller, q, "crm_update", a)
	h.kind(err, steward.NeedsApproval)
	var p *gateway.Pending
	if !errors.As(err, &p) {
		h.t.Fatalf("%v carries nothing to propose", err)
	}
	return p
}

// propose makes one proposal of some writes.
func (h *house) propose(caller identity.Caller, q gateway.Question, all ...arguments) gateway.Proposal {
	h.t.Helper()
	var calls []*gateway.Pending
	for _, a := range all {
		calls = append(calls, h.pending(caller, q, a))
	}
	p, err := h.Propose(context.Background(), caller.Through(steward.BuiltinAgent), q, calls)
	h.must(err)
	return p
}

func (h *house) approve(caller identity.Caller, p gateway.Proposal) {
	h.t.Helper()
	_, err := h.Settle(context.Background(), caller, p.ID, true)
	h.must(err)
}

// entries are the headers on record.
func (h *house) entries() (all []ledger.Header) {
	h.t.Helper()
	h.must(h.Ledger.Read(context.Background(), h.ws, ledger.Query{}, func(e ledger.Header) error {
		all = append(all, e)
		return nil
	}))
	return all
}

func (h *house) last() ledger.Header {
	h.t.Helper()
	all := h.entries()
	return all[len(all)-1]
}

// untouched fails unless no write reached the system.
func (h *house) untouched() {
	h.t.Helper()
	if w := h.system.written(); len(w) > 0 {
		h.t.Fatalf("the system was written to: %v", w)
	}
}

// step is an update of one deal's next step.
func step(i int, to string) arguments {
	return arguments{Object: "Deal", IDs: []string{deal(i).ID}, Values: map[string]any{"NextStep": to}}
}
