package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/forget"
	"github.com/stewardhq/steward/cmd/steward/models"
	"github.com/stewardhq/steward/internal/agent"
	"github.com/stewardhq/steward/internal/api"
	"github.com/stewardhq/steward/internal/api/providers"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/config"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/connector/salesforce"
	"github.com/stewardhq/steward/internal/connector/salesforce/oauth"
	"github.com/stewardhq/steward/internal/credential"
	"github.com/stewardhq/steward/internal/egress"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/prune"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/ledger/tlog"
	"github.com/stewardhq/steward/internal/ledger/witness"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/llm/register"
	"github.com/stewardhq/steward/internal/llm/rules"
	"github.com/stewardhq/steward/internal/policy"
	"github.com/stewardhq/steward/internal/privacy"
	"github.com/stewardhq/steward/internal/retention"
	"github.com/stewardhq/steward/internal/signin"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/forgetting"
	registered "github.com/stewardhq/steward/internal/store/register"
)

// logOrigin names the logs in checkpoints, with the workspace's id behind it.
const logOrigin = "steward.local"

// house is everything wired together over its stores.
type house struct {
	*stores
	server *api.Server
	agent  *agent.Agent
}

// openHouse is the wiring: the whole house in the order in which a question passes through it.
func openHouse(ctx context.Context, o storeOptions) (_ *house, err error) {
	o.Write = true
	s, err := openStores(ctx, o)
	if err != nil {
		return nil, err
	}
	h := &house{stores: s}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	data, sealer := s.data, s.sealer
	record := ledger.Config{Store: s.record, Sealer: sealer, Now: o.Now, Rand: o.Rand, Origin: logOrigin, Log: o.Log}
	log := s.log()
	log.Now = o.Now
	if len(o.Witnesses) == 0 {
		log.Cosigned = nil // nobody renews what witnesses said once
	}
	publisher, err := s.publisher(o, log)
	if err != nil {
		return nil, err
	}
	record.Checkpoints = told(o.Checkpoints, publisher)
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
	segments := store.Segments{DB: data}
	archivist := &segment.Archivist{
		Store: s.record, Catalog: segments, Sealer: sealer, Spool: filepath.Join(o.Data, spoolDir), Now: o.Now, Rand: o.Rand, Log: o.Log,
		Days: store.Retention{DB: data}.Days,
	}
	h.background(func(ctx context.Context) {
		if err := archivist.Run(ctx); ctx.Err() == nil {
			o.Log.Error("nothing of the record is archived", slog.Any("error", err))
		}
	})
	if publisher != nil {
		h.background(publisher.Run)
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
	// Salesforce's clock is the real one, whatever day it is here.
	app, err := oauth.New(oauth.Settings{
		ClientID: o.Salesforce.ClientID, SecretFile: o.Salesforce.SecretFile, Logins: o.Salesforce.LoginServers(), KeyFile: o.Salesforce.KeyFile,
	}, time.Now)
	if err != nil {
		return nil, err
	}
	agreed := &register.Book{Store: registered.Rows{DB: data.Rows()}, Check: models.Check, Admins: directory.Administrators, Now: o.Now}
	operator := &models.Operator{Endpoint: o.AnthropicEndpoint, Client: h.connect, Now: o.Now, Jitter: jitter(o.Rand)}
	if operator.Key, err = models.Key(o.AnthropicKeyFile); err != nil {
		return nil, err
	}
	provider, model, err := operator.Choose(cmp.Or(o.Model, llm.RulesProvider), o.Region)
	if err != nil {
		return nil, err
	}
	door := &gateway.Gateway{
		Policy: policies, Ledger: book, Privacy: vault,
		Connectors: connector.Set{salesforce.System: &salesforce.Connector{Now: o.Now, Jitter: jitter(o.Rand)}},
		Models:     &register.Shelf{Book: agreed, Built: llm.Shelf{llm.RulesProvider: rules.Model{}}, Region: o.Region, Open: operator.Open},
		Proposals:  store.Gateway{DB: data}, Usage: store.Gateway{DB: data},
		Accounts: credential.Accounts{
			Connections: store.Gateway{DB: data}, Sealer: sealer, Credentials: store.Gateway{DB: data}, Shredder: sealer,
			Renewers: map[string]credential.Renewer{salesforce.System: app}, Client: h.connect, Now: o.Now, Rand: o.Rand,
		},
	}
	h.agent = &agent.Agent{
		Door: door, Store: store.Agent{DB: data}, Sealer: sealer, Tools: door.Offer(), Provider: provider, Model: model, Now: o.Now, Rand: o.Rand,
	}
	rows := forgetting.Rows{DB: data.Rows()}
	custody, err := forget.Custody(rows, sealer, vault, forget.Sealed{Rows: data}, s.record)
	if err != nil {
		return nil, err
	}
	schedule := retention.Schedule{Periods: store.Keyring{DB: s.keys}, Settings: store.Retention{DB: data}, Now: o.Now}
	eraser := &retention.Eraser{
		Requests: forgetting.Requests{Rows: rows}, Duties: forgetting.Duties{Rows: rows}, Custody: custody, Ledger: book, Keyring: sealer, Forgetters: []retention.Forgetter{forget.Vault{Vault: vault}},
		Issuer:  &retention.Issuer{Certificates: rows, Ledger: book, Version: command.Built(), Now: o.Now, Rand: o.Rand},
		Stopped: schedule.Stopped, Workspaces: s.workspaces, Within: time.Duration(o.EraseWithin) * 24 * time.Hour, Log: o.Log, Now: o.Now, Rand: o.Rand,
	}
	purger := &retention.Purger{
		Schedule: schedule, Purges: store.Retention{DB: data}, Custody: custody, Ledger: book, Shredder: sealer,
		Droppers:   []retention.Dropper{store.Retention{DB: data}, segment.Dropper{Store: s.record, Catalog: segments}},
		Pruner:     &prune.Pruner{Store: s.record, Catalog: segments, Ledger: book, Sealer: sealer, Held: forget.Held(rows)},
		Workspaces: s.workspaces, Log: o.Log,
	}
	h.background(purger.Run)
	closer := &retention.Closer{
		Closings: rows, Estate: rows, Holds: custody.Holds, Schedule: &schedule, Ledger: book, Keyring: sealer, Issuer: eraser.Issuer,
		Walk: data.WalkSealed, Objects: segment.Dropper{Store: s.record}.Remove, Workspaces: s.workspaces, Log: o.Log, Now: o.Now,
	}
	door.Closed = closer.Closed
	h.background(closer.Run)
	h.background(eraser.Run)
	h.server = &api.Server{
		Providers: providers.Desk{Book: agreed, Door: door},
		SignIns:   &signin.Flow{Store: store.SignIns{DB: data}, Door: door, Directory: directory, App: app, Now: o.Now, Rand: o.Rand}, PublicURL: o.PublicURL,
		Schedule: &schedule, Custody: custody, Closer: closer, Directory: directory, Gateway: door, Agent: h.agent, Ledger: book, Eraser: eraser, Examples: examples(), Now: o.Now, Rand: o.Rand, Log: o.Log, Tlog: log,
	}
	return h, nil
}

// workspaces lists all of them.
func (s *stores) workspaces(ctx context.Context) (ids []steward.WorkspaceID, err error) {
	all, err := store.Identity{DB: s.data}.AllWorkspaces(ctx)
	for _, ws := range all {
		ids = append(ids, ws.ID)
	}
	return ids, err
}

// closings lists the workspaces that are closed, or were. A server may be running on the data.
func closings(ctx context.Context, c config.Server) (_ []retention.Closing, err error) {
	all, err := openLedgers(ctx, c, "", false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, all.Close()) }()
	return forgetting.Rows{DB: all.data.Rows()}.Closings(ctx)
}

// log is the record as others verify it.
func (s *stores) log() tlog.Log {
	return tlog.Log{Store: s.record, Sealer: s.sealer, Cosigned: store.Witness{DB: s.data}.Cosigned, Now: time.Now}
}

// publisher has checkpoints cosigned and sent where they are to go; nil where that is nowhere.
func (s *stores) publisher(o storeOptions, log tlog.Log) (*witness.Publisher, error) {
	if len(o.Witnesses) == 0 && o.Webhook == "" {
		return nil, nil
	}
	c := witness.Config{
		Log: log, Store: store.Witness{DB: s.data}, Now: o.Now, Jitter: jitter(o.Rand), Report: o.Log,
		Workspaces: s.workspaces,
	}
	if len(o.Witnesses) > 0 {
		var err error
		if c.Policy, err = s.witnesses(o.Witnesses, o.Quorum); err != nil {
			return nil, err
		}
	}
	if o.Webhook != "" {
		client, err := s.client(o.Webhook)
		if err != nil {
			return nil, err
		}
		if c.Webhook, err = witness.NewWebhook(client, o.Webhook, o.WebhookSecret); err != nil {
			return nil, err
		}
	}
	return witness.NewPublisher(c), nil
}

// witnesses reads whose word counts, each as its verifier key and its URL.
func (s *stores) witnesses(list []string, quorum int) (witness.Policy, error) {
	var all []witness.Witness
	for _, one := range list {
		vkey, prefix, _ := strings.Cut(one, " ")
		client, err := s.client(prefix)
		if err != nil {
			return witness.Policy{}, err
		}
		w, err := witness.New(client, prefix, vkey)
		if err != nil {
			return witness.Policy{}, err
		}
		all = append(all, w)
	}
	if quorum == 0 {
		quorum = len(all)
	}
	return witness.NewPolicy(quorum, all...)
}

// told is who hears of each new checkpoint: a file, and whoever publishes them.
func told(file string, publisher *witness.Publisher) func(ctx context.Context, ws steward.WorkspaceID, note string) error {
	var hear []func(ctx context.Context, ws steward.WorkspaceID, note string) error
	if file != "" {
		hear = append(hear, tlog.Keep(file))
	}
	if publisher != nil {
		hear = append(hear, publisher.Signed)
	}
	return func(ctx context.Context, ws steward.WorkspaceID, note string) (failed error) {
		for _, f := range hear {
			failed = errors.Join(failed, f(ctx, ws, note))
		}
		return failed
	}
}

// jitter spreads retries: a number in [0,1) at each call.
func jitter(random io.Reader) func() float64 {
	return func() float64 {
		var b [4]byte
		_, _ = io.ReadFull(random, b[:]) // without randomness the pauses are the same for all, which still works
		return float64(binary.BigEndian.Uint32(b[:])) / (1 << 32)
	}
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

// connect makes the HTTP client of one workspace's connection: it reaches that address and no other.
func (h *house) connect(ws steward.WorkspaceID, instanceURL string) (*http.Client, error) {
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
