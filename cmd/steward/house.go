package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/agent"
	"github.com/stewardhq/steward/internal/api"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/connector/salesforce"
	"github.com/stewardhq/steward/internal/egress"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/tlog"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/llm/rules"
	"github.com/stewardhq/steward/internal/policy"
	"github.com/stewardhq/steward/internal/privacy"
	"github.com/stewardhq/steward/internal/retention"
	"github.com/stewardhq/steward/internal/store"
)

// logOrigin names the logs in checkpoints, with the workspace's id behind it.
const logOrigin = "steward.local"

// houseOptions is what a house is built from.
type houseOptions struct {
	Data   string // the folder that holds everything
	Create bool   // make what isn't there yet
	// Checkpoints is a file to add each signed checkpoint to, "" for none.
	Checkpoints string
	// KeyringCopies are folders to keep the same as the keyring.
	KeyringCopies []string
	Now           func() time.Time
	Rand          io.Reader
	Log           *slog.Logger
}

// house is everything wired together over one data folder.
type house struct {
	server *api.Server
	agent  *agent.Agent
	egress *egress.Egress
	closes []func() error // in the order to call them
}

// openHouse is the wiring: the whole house in the order in which a question passes through it.
func openHouse(ctx context.Context, o houseOptions) (_ *house, err error) {
	h := &house{}
	defer func() {
		if err != nil {
			_ = h.Close(ctx)
		}
	}()
	if err := h.claim(o); err != nil {
		return nil, err
	}
	// The keyring first: data without it is data that was lost.
	keys, err := store.OpenKeyring(ctx, filepath.Join(o.Data, keyringDir))
	if err != nil {
		return nil, err
	}
	h.first(keys.Close)
	data, err := store.OpenData(ctx, o.Data)
	if err != nil {
		return nil, err
	}
	h.first(data.Close)
	settings := keyring.Config{Store: store.Keyring{DB: keys}, Keeper: keeper(o.Data), Rand: o.Rand, Alone: true} // by the lock
	for _, dir := range o.KeyringCopies {
		copied, err := h.openCopy(ctx, dir)
		if err != nil {
			return nil, err
		}
		settings.Copies = append(settings.Copies, copied)
	}
	sealer, err := keyring.Open(ctx, settings)
	if err != nil {
		return nil, err
	}
	record := ledger.Config{Store: store.Ledger{DB: data}, Sealer: sealer, Now: o.Now, Rand: o.Rand, Origin: logOrigin, Log: o.Log}
	if o.Checkpoints != "" {
		record.Checkpoints = tlog.Keep(o.Checkpoints)
	}
	book, err := ledger.Open(ctx, record)
	if err != nil {
		return nil, err
	}
	h.first(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return book.Close(ctx)
	})
	// This process holds the folder alone, so intents without outcome are a dead process's: whether those
	// calls took effect is unknown, and the ledger says so before anything new happens.
	if abandoned, err := book.CloseAbandoned(ctx); err != nil {
		return nil, err
	} else if len(abandoned) > 0 {
		o.Log.Warn("calls were interrupted; whether they took effect is unknown, see `steward log`", slog.Int("calls", len(abandoned)))
	}
	policies, err := policy.Default()
	if err != nil {
		return nil, err
	}

	directory := &identity.Directory{
		Workspaces: store.Identity{DB: data}, Members: store.Identity{DB: data}, Tokens: store.Identity{DB: data},
		Sealer: sealer, Now: o.Now, Rand: o.Rand,
	}
	vault := &privacy.Vault{
		Store: store.Privacy{DB: data}, Persons: store.Privacy{DB: data}, Sealer: sealer, Shredder: sealer, Now: o.Now, Rand: o.Rand,
	}
	h.egress = &egress.Egress{}
	h.first(func() error { h.egress.CloseIdle(); return nil })
	door := &gateway.Gateway{
		Policy: policies, Ledger: book, Privacy: vault,
		Connectors: connector.Set{salesforce.System: &salesforce.Connector{Now: o.Now, Jitter: jitter(o.Rand)}},
		Models:     map[string]llm.Model{llm.RulesProvider: rules.Model{}},
		Providers:  llm.Local(),

		Connections: store.Gateway{DB: data}, Proposals: store.Gateway{DB: data}, Usage: store.Gateway{DB: data}, Sealer: sealer,
		Client: h.client, Now: o.Now, Rand: o.Rand,
	}
	h.agent = &agent.Agent{
		Door: door, Store: store.Agent{DB: data}, Sealer: sealer, Tools: door.Offer(), Provider: llm.RulesProvider, Model: llm.RulesModel,
		Now: o.Now, Rand: o.Rand,
	}
	eraser := &retention.Eraser{Store: store.Retention{DB: data}, Ledger: book, Keyring: sealer, Forgetters: []retention.Forgetter{vaultForgetter{vault}}, Now: o.Now, Rand: o.Rand}
	h.server = &api.Server{
		Directory: directory, Gateway: door, Agent: h.agent, Ledger: book, Eraser: eraser, Examples: examples(), Now: o.Now, Log: o.Log,
		Tlog: tlog.Log{Store: store.Ledger{DB: data}, Sealer: sealer},
	}
	return h, nil
}

// jitter spreads retries: a number in [0,1) at each call.
func jitter(random io.Reader) func() float64 {
	return func() float64 {
		var b [4]byte
		_, _ = io.ReadFull(random, b[:]) // without randomness the pauses are the same for all, which still works
		return float64(binary.BigEndian.Uint32(b[:])) / (1 << 32)
	}
}

// The folders inside the data folder: the root key in one of its own, apart from every database, and
// the keyring apart from the data.
const (
	keeperDir  = "keeper"
	keyringDir = "keyring"
)

func keeper(data string) keyring.FileKeeper {
	return keyring.FileKeeper{Dir: filepath.Join(data, keeperDir)}
}

// openCopy opens a folder as a copy of the keyring, and makes it one where it isn't.
func (h *house) openCopy(ctx context.Context, dir string) (keyring.DeclaredCopy, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return keyring.DeclaredCopy{}, steward.Errorf(steward.Unavailable, "the folder %s for a copy of the keyring can't be made; choose another with --keyring-copy", dir).Because(err)
	}
	db, err := store.OpenKeyring(ctx, dir)
	if err != nil {
		return keyring.DeclaredCopy{}, err
	}
	h.first(db.Close)
	return keyring.DeclaredCopy{Name: dir, Copy: store.Keyring{DB: db}}, nil
}

// claim makes sure of the data folder, and that no other process has it.
func (h *house) claim(o houseOptions) error {
	if o.Create {
		for _, dir := range []string{o.Data, filepath.Join(o.Data, keyringDir)} {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return steward.Errorf(steward.Unavailable, "the data folder %s can't be made; choose another with --data", o.Data).Because(err)
			}
		}
	} else if !dataExists(o.Data) {
		return steward.Errorf(steward.NotFound, "there is no Steward data in %s; make it with `steward init`", o.Data)
	}
	if _, err := os.Stat(filepath.Join(o.Data, keyringDir, store.KeyringFile)); err != nil && dataExists(o.Data) {
		// An empty keyring in its place would open nothing, and seal what comes under keys of its own.
		return steward.Errorf(steward.NotFound, "the keyring of %s is gone; put a copy of %s back into its folder %s", o.Data, store.KeyringFile, keyringDir).Because(err)
	}
	lock, err := os.OpenFile(filepath.Join(o.Data, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return steward.Errorf(steward.Unavailable, "the data folder %s can't be written; check its owner and the disk", o.Data).Because(err)
	}
	h.first(lock.Close) // which lets go of the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return steward.Errorf(steward.Conflict, "another Steward uses the data folder %s; stop it first, or choose another folder with --data", o.Data).Because(err)
	}
	if !o.Create {
		return nil
	}
	if err := keeper(o.Data).Create(o.Rand); err != nil && steward.KindOf(err) != steward.Conflict {
		return err
	}
	return nil
}

func dataExists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, store.DataFile))
	return err == nil
}

// Init makes a workspace with its first administrator, and their token.
func (h *house) Init(ctx context.Context, workspace, adminEmail string) (identity.Workspace, string, error) {
	d := h.server.Directory
	if _, err := identity.ParseAddress(adminEmail); err != nil {
		return identity.Workspace{}, "", err // before there is a workspace without an administrator
	}
	ws, err := d.CreateWorkspace(ctx, workspace)
	if err != nil {
		return ws, "", err
	}
	admin, err := d.AddMember(ctx, ws.ID, adminEmail, steward.Admin)
	if err != nil {
		return ws, "", err
	}
	token, issued, err := d.IssueToken(ctx, ws.ID, admin.ID, identity.DefaultTTL)
	if err != nil {
		return ws, "", err
	}
	for _, e := range []ledger.Entry{
		{Kind: ledger.WorkspaceCreated, Targets: []string{string(ws.ID)}},
		{Kind: ledger.MemberAdded, Targets: []string{string(admin.ID)}},
		{Kind: ledger.TokenIssued, Targets: []string{string(issued.ID)}},
	} {
		// Whoever can write the data folder makes its first administrator: nobody was signed in.
		e.Caller, e.System, e.Tool, e.Outcome = "operator", "steward", "init", ledger.OK
		if _, err := h.server.Ledger.Append(ctx, ws.ID, e); err != nil {
			return ws, "", err
		}
	}
	return ws, token, nil
}

// Handler is the HTTP edge.
func (h *house) Handler() http.Handler { return h.server.Handler() }

// Resume carries on the runs that the last stop interrupted.
func (h *house) Resume(ctx context.Context) error {
	d := h.server.Directory
	all, err := d.Workspaces.AllWorkspaces(ctx)
	if err != nil {
		return err
	}
	var failed error // one workspace's trouble is not another's
	for _, ws := range all {
		_, err := h.agent.ContinueUnfinished(ctx, ws.ID, d.Resume)
		failed = errors.Join(failed, err)
	}
	return failed
}

// Close ends everything in the reverse order of its making.
func (h *house) Close(context.Context) error {
	var failed error
	for _, f := range h.closes {
		failed = errors.Join(failed, f())
	}
	h.closes = nil
	return failed
}

func (h *house) first(f func() error) { h.closes = append([]func() error{f}, h.closes...) }

// client makes the HTTP client of one workspace's connection: it reaches that address and no other.
func (h *house) client(ws steward.WorkspaceID, instanceURL string) (*http.Client, error) {
	destination, err := egress.ParseDestination(instanceURL)
	if err != nil {
		return nil, err
	}
	return h.egress.Client(ws, destination), nil
}

func examples() []wire.Example {
	var all []wire.Example
	for _, e := range rules.Examples() {
		all = append(all, wire.Example{Question: e.Question, What: e.What})
	}
	return all
}

// vaultForgetter is the vault as retention conducts it.
type vaultForgetter struct{ vault *privacy.Vault }

// Find implements retention.Forgetter.
func (f vaultForgetter) Find(ctx context.Context, ws steward.WorkspaceID, s retention.Subject) (retention.Found, error) {
	var found retention.Found
	for i, ref := range s.Records {
		person, known, err := f.vault.Person(ctx, ws, ref)
		if err != nil {
			return found, err
		}
		var values []string
		if i == 0 {
			values = s.Values // one search of the texts finds them all
		}
		if !known && values == nil {
			continue
		}
		m, err := f.vault.Mentions(ctx, ws, person, values)
		if err != nil {
			return found, err
		}
		found.References += m.References
		found.Values += m.Values
		found.Texts += m.Texts
		found.Scopes = append(found.Scopes, m.Scopes...)
		found.Rows = append(found.Rows, m.Tokens...)
	}
	return found, nil
}

// Drop implements retention.Forgetter.
func (f vaultForgetter) Drop(ctx context.Context, ws steward.WorkspaceID, s retention.Subject, found retention.Found) error {
	for _, ref := range s.Records {
		person, _, err := f.vault.Person(ctx, ws, ref)
		if err != nil {
			return err
		}
		if err := f.vault.Forget(ctx, ws, person, privacy.Mention{Person: person, Tokens: found.Rows}); err != nil {
			return err
		}
	}
	return nil
}
