package retention_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/retention"
	"github.com/stewardhq/steward/internal/retention/custody"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/forgetting"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

const ws steward.WorkspaceID = "ws_1"

// drawer keeps one sealed note for each person, as something that retention can make forget.
type drawer struct {
	t     *testing.T
	ring  *keyring.Keyring
	notes map[string]steward.Sealed // by record
	drops int
	fail  error // of the next Drop
	keeps bool  // it knows another way to open what it keeps
}

var _ retention.Forgetter = (*drawer)(nil)

func place(record string) steward.Place {
	return steward.Place{Workspace: ws, Table: "notes", Row: record}
}

func (d *drawer) keep(record steward.Ref, note string) {
	d.t.Helper()
	d.keepAs(steward.PersonID(record.ID), record, note)
}

// keepAs keeps a note of somebody who was met again after they were forgotten, and so is somebody new.
func (d *drawer) keepAs(person steward.PersonID, record steward.Ref, note string) {
	d.t.Helper()
	sealed, err := d.ring.Seal(context.Background(), place(record.ID), []steward.Scope{steward.PersonScope(person)}, []byte(note))
	if err != nil {
		d.t.Fatal(err)
	}
	d.notes[record.ID] = sealed
}

// reads tells whether a note is still there to be read.
func (d *drawer) reads(record steward.Ref) bool {
	sealed, ok := d.notes[record.ID]
	if !ok {
		return false
	}
	_, err := d.ring.Open(context.Background(), place(record.ID), sealed)
	if err != nil && steward.KindOf(err) != steward.Gone {
		d.t.Fatal(err)
	}
	return err == nil
}

func (d *drawer) Find(_ context.Context, _ steward.WorkspaceID, s retention.Subject) (f retention.Found, err error) {
	f.Store = "drawer"
	for _, ref := range s.Records {
		if note, ok := d.notes[ref.ID]; ok {
			f.Values++
			f.Scopes = append(f.Scopes, note.Scopes...)
			f.Rows = append(f.Rows, ref.ID)
		}
	}
	return f, nil
}

func (d *drawer) Try(_ context.Context, _ steward.WorkspaceID, f retention.Found) (there, opened int, err error) {
	for _, row := range f.Rows {
		if _, ok := d.notes[row]; ok {
			there++
		}
		if d.keeps || d.reads(steward.Ref{ID: row}) {
			opened++
		}
	}
	return there, opened, nil
}

func (d *drawer) Drop(_ context.Context, _ steward.WorkspaceID, _ retention.Subject, f retention.Found) error {
	if err := d.fail; err != nil {
		d.fail = nil
		return err
	}
	d.drops++
	for _, row := range f.Rows {
		delete(d.notes, row)
	}
	return nil
}

type house struct {
	*retention.Eraser
	t       *testing.T
	now     time.Time
	horizon time.Duration // of the keeper
	keeper  *steps
	stopped error // what the clock is distrusted for
	log     bytes.Buffer
	drawers [2]*drawer
}

// slow is a keeper of which backups are kept for as long as the house says, and that may die.
type slow struct {
	keyring.FileKeeper
	h *house
}

func (k slow) Horizon() time.Duration { return k.h.horizon }

func (k slow) Add(ctx context.Context, r keyring.Root) error {
	return k.h.keeper.step(func() error { return k.FileKeeper.Add(ctx, r) })
}

func (k slow) Settle(ctx context.Context, r keyring.Root) error {
	return k.h.keeper.step(func() error { return k.FileKeeper.Settle(ctx, r) })
}

// onBoth runs a test on SQLite, and on Postgres with a server for it.
func onBoth(t *testing.T, test func(t *testing.T, on *postgres.Server)) {
	t.Run("sqlite", func(t *testing.T) { test(t, nil) })
	t.Run("postgres", func(t *testing.T) { test(t, postgres.Start(t)) })
}

// openDatabases opens the data and the keyring on a server, or where there is none on SQLite in a folder.
func openDatabases(t *testing.T, on *postgres.Server, dir string) (data, keys *store.DB) {
	t.Helper()
	ctx := context.Background()
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
	if err != nil {
		t.Fatal(err)
	}
	keys, err = openKeys(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	return data, keys
}

// openOn opens a house on a server, or where there is none on SQLite.
func openOn(t *testing.T, on *postgres.Server) *house {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	h := &house{t: t, keeper: &steps{}}
	h.now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	now := func() time.Time { return h.now }
	data, keys := openDatabases(t, on, dir)
	h.must(store.Identity{DB: data}.AddWorkspace(ctx, identity.Workspace{ID: ws, Name: "acme", Created: now()}))
	keeper := keyring.FileKeeper{Dir: filepath.Join(dir, "root")}
	h.must(keeper.Create(rand.Reader))
	ring, err := keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: keys}, Keeper: slow{keeper, h}, Rand: rand.Reader})
	h.must(err)
	book, err := ledger.Open(ctx, ledger.Config{Store: store.Ledger{DB: data}, Sealer: ring, Now: now, Rand: rand.Reader, Origin: "test.example"})
	h.must(err)
	t.Cleanup(func() { _, _, _ = book.Close(ctx), data.Close(), keys.Close() })
	for i := range h.drawers {
		h.drawers[i] = &drawer{t: t, ring: ring, notes: map[string]steward.Sealed{}}
		h.drawers[i].keep(maria, "Maria likes golf")
		h.drawers[i].keep(tomas, "Tomas doesn't")
	}
	rows := forgetting.Rows{DB: data.Rows()}
	h.Eraser = &retention.Eraser{
		Requests: forgetting.Requests{Rows: rows}, Duties: forgetting.Duties{Rows: rows}, Custody: &custody.Custody{Holds: rows, Keyring: ring}, Ledger: book, Keyring: ring,
		Issuer:     &retention.Issuer{Certificates: rows, Ledger: book, Version: "v1.2.3", Now: now, Rand: rand.Reader},
		Forgetters: []retention.Forgetter{h.drawers[0], h.drawers[1]}, Stopped: func(context.Context, steward.WorkspaceID) error { return h.stopped },
		Workspaces: func(context.Context) ([]steward.WorkspaceID, error) { return []steward.WorkspaceID{ws}, nil }, Within: 21 * 24 * time.Hour,
		Log: slog.New(slog.NewTextHandler(&h.log, nil)), Now: now, Rand: rand.Reader,
	}
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

var (
	maria = steward.Ref{Connection: "salesforce", Object: "Contact", ID: "003MARIA"}
	tomas = steward.Ref{Connection: "salesforce", Object: "Contact", ID: "003TOMAS"}
	names = []string{"Maria Gonzalez", "maria@harbor.example"}
)

func request(records ...steward.Ref) retention.Request {
	return retention.Request{Workspace: ws, By: "mem_ada", Alone: true, Subject: retention.Subject{Records: records, Values: names}}
}

// recorded gives the kinds of entries on record, and fails where one of them holds anything personal.
func (h *house) recorded() (kinds []ledger.Kind) {
	h.t.Helper()
	ctx := context.Background()
	h.must(h.Ledger.Read(ctx, ws, ledger.Query{}, func(e ledger.Header) error {
		kinds = append(kinds, e.Kind)
		raw, err := json.Marshal(e)
		h.must(err)
		for i := range e.Parts {
			part, err := h.Ledger.Part(ctx, ws, e.Seq, i)
			h.must(err)
			if !bytes.Contains(part, []byte(`"confirmed_alone":true`)) && e.Kind != ledger.CertificateIssued {
				h.t.Errorf("entry %d doesn't say that one person confirmed: %s", e.Seq, part)
			}
			raw = append(raw, part...)
		}
		for _, value := range append([]string{"Maria", "golf"}, names...) {
			if strings.Contains(string(raw), value) {
				h.t.Errorf("entry %d holds %q: %s", e.Seq, value, raw)
			}
		}
		return nil
	}))
	return kinds
}

// done is what an erasure leaves on record.
var done = []ledger.Kind{ledger.ErasureRequested, ledger.ErasureDone, ledger.CertificateIssued}

func TestErase(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		h := openOn(t, on)
		erasure, err := h.Erase(context.Background(), request(maria))
		h.must(err)
		if erasure.Status != "forgotten" || erasure.Found.Values != 2 || erasure.Keys != 1 || erasure.ID == "" {
			t.Errorf("%+v", erasure)
		}
		if erasure.Complete == nil || !erasure.Complete.Equal(h.Now()) { // what lies in a file only is gone at once
			t.Errorf("it is complete at %v", erasure.Complete)
		}
		for i, d := range h.drawers {
			if d.reads(maria) || !d.reads(tomas) || len(d.notes) != 1 {
				t.Errorf("drawer %d: Maria %v, Tomas %v", i, d.reads(maria), d.reads(tomas))
			}
		}
		if got := h.recorded(); !slices.Equal(got, done) {
			t.Errorf("on record: %v", got)
		}
	})
}

func TestTwoHaveToAgree(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		h := openOn(t, on)
		ada, bo := request(maria), request(maria)
		ada.Alone, bo.Alone, bo.By = false, false, "mem_bo"
		first, err := h.Erase(context.Background(), ada)
		h.must(err)
		again, err := h.Erase(context.Background(), ada)
		h.must(err)
		another := request(tomas)
		another.Alone, another.By = false, "mem_bo"
		elsewhere, err := h.Erase(context.Background(), another)
		h.must(err)
		if first.Status != "waiting" || again.ID != first.ID || again.Status != "waiting" || elsewhere.Status != "waiting" || elsewhere.ID == first.ID {
			t.Fatalf("%+v, again %+v, about another %+v", first, again, elsewhere)
		}
		if !h.drawers[0].reads(maria) || !h.drawers[0].reads(tomas) {
			t.Fatal("a request destroyed something")
		}
		// A request that waited too long counts no more.
		h.now = h.now.AddDate(0, 0, 31)
		late, err := h.Erase(context.Background(), bo)
		h.must(err)
		if late.Status != "waiting" || late.ID == first.ID {
			t.Fatalf("agreed with a request of a month ago: %+v", late)
		}
		h.must(h.CarryOut(context.Background(), ws))
		if waiting, err := h.Requests.Waiting(context.Background(), ws); err != nil || len(waiting) != 1 || waiting[0].ID != late.ID {
			t.Errorf("what lapsed is kept: %+v, %v", waiting, err)
		}
		done, err := h.Erase(context.Background(), ada)
		h.must(err)
		if done.Status != "forgotten" || done.ID != late.ID || h.drawers[0].reads(maria) || !h.drawers[0].reads(tomas) {
			t.Errorf("%+v", done)
		}
		// What was agreed on is not agreed on for the next time.
		next, err := h.Erase(context.Background(), bo)
		h.must(err)
		if next.Status != "waiting" {
			t.Errorf("%+v", next)
		}
	})
}

// Who is the only administrator by now carries out what waits: it doesn't stay as a consent for another time.
func TestARequestThatWaitedIsUsedUp(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		ctx := context.Background()
		h := openOn(t, on)
		ada, bo := request(maria), request(maria)
		ada.Alone, bo.Alone, bo.By = false, false, "mem_bo"
		first, err := h.Erase(ctx, ada)
		h.must(err)
		done, err := h.Erase(ctx, request(maria))
		h.must(err)
		if done.Status != "forgotten" || done.ID != first.ID || h.drawers[0].reads(maria) {
			t.Errorf("%+v", done)
		}
		if duties := h.duties(); len(duties) != 1 || duties[0].State != retention.Complete {
			t.Errorf("%+v", duties)
		}
		h.drawers[0].keepAs("met_again", maria, "Maria is back")
		next, err := h.Erase(ctx, bo)
		h.must(err)
		if next.Status != "waiting" || !h.drawers[0].reads(maria) {
			t.Errorf("what was carried out counts as another's consent: %+v", next)
		}
	})
}

// unhurried is somebody who keeps things, and whom trying them takes until it is let go.
type unhurried struct {
	retention.Forgetter
	begun, end chan struct{}
}

func (s unhurried) Try(ctx context.Context, ws steward.WorkspaceID, f retention.Found) (there, opened int, err error) {
	close(s.begun)
	<-s.end
	return s.Forgetter.Try(ctx, ws, f)
}

func TestASlowErasureHoldsUpItsWorkspaceOnly(t *testing.T) {
	h := openOn(t, nil)
	s := unhurried{h.Forgetters[0], make(chan struct{}), make(chan struct{})}
	h.Forgetters = []retention.Forgetter{s}
	first := make(chan error)
	go func() {
		_, err := h.Erase(context.Background(), request(maria))
		first <- err
	}()
	<-s.begun
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := h.CarryOut(ctx, ws); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it waits for longer than who asks: %v", err)
	}
	h.must(h.CarryOut(context.Background(), "ws_2"))
	close(s.end)
	h.must(<-first)
	h.must(h.CarryOut(context.Background(), ws))
}

func TestADryRunDestroysNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		h := openOn(t, on)
		r := request(maria)
		r.DryRun = true
		erasure, err := h.Erase(context.Background(), r)
		h.must(err)
		if erasure.Status != "dry_run" || erasure.Found.Values != 2 || erasure.Keys != 0 {
			t.Errorf("%+v", erasure)
		}
		for _, d := range h.drawers {
			if !d.reads(maria) || d.drops != 0 {
				t.Error("a dry run destroyed something")
			}
		}
		if got := h.recorded(); len(got) != 0 {
			t.Errorf("on record: %v", got)
		}
	})
}

func TestForgettingNobodyIsDone(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		h := openOn(t, on)
		erasure, err := h.Erase(context.Background(), request(steward.Ref{Connection: "salesforce", Object: "Contact", ID: "003NONE"}))
		h.must(err)
		if erasure.Status != "forgotten" || erasure.Keys != 0 || !h.drawers[0].reads(maria) || !h.drawers[1].reads(tomas) {
			t.Errorf("%+v", erasure)
		}
		if got := h.recorded(); !slices.Equal(got, done) {
			t.Errorf("on record: %v", got)
		}
	})
}

func TestRunningItAgainFinishesIt(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		ctx := context.Background()
		h := openOn(t, on)
		h.drawers[1].fail = errors.New("the disk is full")
		erasure, err := h.Erase(ctx, request(maria, tomas))
		if err == nil || erasure.Status == "forgotten" {
			t.Fatalf("it failed midway and says %+v", erasure)
		}
		for i, d := range h.drawers {
			if d.reads(maria) || d.reads(tomas) {
				t.Errorf("drawer %d: the keys outlived the failure", i)
			}
		}
		if got := h.recorded(); !slices.Equal(got, []ledger.Kind{ledger.ErasureRequested}) {
			t.Errorf("on record: %v", got)
		}
		erasure, err = h.Erase(ctx, request(maria, tomas))
		h.must(err)
		if erasure.Status != "forgotten" || erasure.Keys != 2 || len(h.drawers[0].notes)+len(h.drawers[1].notes) != 0 {
			t.Errorf("run again: %+v", erasure)
		}
	})
}

func TestWithoutARecordNothingIsDestroyed(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		ctx := context.Background()
		h := openOn(t, on)
		h.must(h.Ledger.Close(ctx))
		_, err := h.Erase(ctx, request(maria))
		if steward.KindOf(err) != steward.Unavailable || !h.drawers[0].reads(maria) {
			t.Errorf("destroyed without a record: %v", err)
		}
	})
}
