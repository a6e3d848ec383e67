package forget_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/forget"
	"github.com/stewardhq/steward/internal/agent"
	"github.com/stewardhq/steward/internal/blob"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/prune"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/ledger/verify"
	"github.com/stewardhq/steward/internal/privacy"
	"github.com/stewardhq/steward/internal/retention"
	"github.com/stewardhq/steward/internal/retention/custody"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/forgetting"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

// holding is what keeps things about people, over one database, and a clock that tests turn.
type holding struct {
	t      *testing.T
	now    time.Time
	data   *store.DB
	ring   *keyring.Keyring
	record *segment.Store
	book   *ledger.Ledger
	vault  *privacy.Vault
	purger *retention.Purger
	*custody.Custody
	archive *segment.Archivist
}

func onBoth(t *testing.T, test func(h *holding)) {
	t.Run("sqlite", func(t *testing.T) {
		data, err := store.OpenData(context.Background(), t.TempDir())
		test(openHolding(t, data, err))
	})
	t.Run("postgres", func(t *testing.T) {
		data, err := store.Postgres{URL: postgres.Start(t).Database(t)}.OpenData(context.Background())
		test(openHolding(t, data, err))
	})
}

func openHolding(t *testing.T, data *store.DB, err error) *holding {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	h := &holding{t: t, now: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC), data: data}
	now := func() time.Time { return h.now }
	h.must(err)
	keys, err := store.OpenKeyring(ctx, t.TempDir())
	h.must(err)
	h.must(store.Identity{DB: data}.AddWorkspace(ctx, identity.Workspace{ID: ws, Name: "acme", Created: h.now}))
	keeper := keyring.FileKeeper{Dir: filepath.Join(dir, "root")}
	h.must(keeper.Create(rand.Reader))
	h.ring, err = keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: keys}, Keeper: keeper, Rand: rand.Reader})
	h.must(err)
	segments := store.Segments{DB: data}
	h.record = &segment.Store{Store: store.Ledger{DB: data}, Manifest: segments, Blobs: &blob.Folder{Dir: t.TempDir(), Now: now}}
	h.book, err = ledger.Open(ctx, ledger.Config{Store: h.record, Sealer: h.ring, Now: now, Rand: rand.Reader, Origin: "test.example"})
	h.must(err)
	h.archive = &segment.Archivist{Store: h.record, Catalog: segments, Sealer: h.ring, Spool: t.TempDir(), Now: now, Rand: rand.Reader, Entries: 256}
	h.vault = &privacy.Vault{Store: store.Privacy{DB: data}, Persons: store.Privacy{DB: data}, Sealer: h.ring, Shredder: h.ring, Now: now, Rand: rand.Reader}
	h.Custody, err = forget.Custody(forgetting.Rows{DB: data.Rows()}, h.ring, h.vault, forget.Sealed{Rows: data}, h.record)
	h.must(err)
	h.purger = &retention.Purger{
		Schedule: retention.Schedule{Periods: store.Keyring{DB: keys}, Settings: store.Retention{DB: data}, Now: now},
		Purges:   store.Retention{DB: data}, Custody: h.Custody, Ledger: h.book, Shredder: h.ring, Log: slog.New(slog.DiscardHandler),
		Droppers: []retention.Dropper{store.Retention{DB: data}, segment.Dropper{Store: h.record, Catalog: segments}},
		Pruner:   &prune.Pruner{Store: h.record, Catalog: segments, Ledger: h.book, Sealer: h.ring, Held: forget.Held(h.Custody.Holds)},
	}
	t.Cleanup(func() { h.must(errors.Join(h.book.Close(ctx), data.Close(), keys.Close())); h.record.Close() })
	return h
}

func (h *holding) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *holding) place(id string, on custody.On, m custody.Matter) {
	h.t.Helper()
	h.must(h.Place(context.Background(), ws, custody.Hold{ID: id, On: on, Ground: "case-17", By: "mem_ada", Since: h.now}, m))
}

// act records what a run did, with a part that says it.
func (h *holding) act(run steward.RunID, says string) {
	h.t.Helper()
	_, err := h.book.Append(context.Background(), ws, ledger.Entry{Kind: ledger.RunFinished, Run: run}, ledger.Part{
		Scopes: []steward.Scope{steward.TimeScope(steward.ClassLedger, h.now)}, Body: []byte(says),
	})
	h.must(err)
}

// run keeps a run's row.
func (h *holding) run(id steward.RunID, conv steward.ConversationID, says string) {
	h.t.Helper()
	ctx := context.Background()
	sealed, err := h.ring.Seal(ctx, steward.Place{Workspace: ws, Table: "runs", Row: string(id)}, []steward.Scope{steward.TimeScope(steward.ClassRun, h.now)}, []byte(says))
	h.must(err)
	h.must(store.Agent{DB: h.data}.SaveRun(ctx, ws, agent.Row{ID: id, Conversation: conv, Member: "mem_ada", Status: agent.Done, Created: h.now, Updated: h.now, Version: 1, Sealed: sealed}))
}

// pass lets days go by, purges, and verifies the record.
func (h *holding) pass(days int) {
	h.t.Helper()
	ctx := context.Background()
	h.now = h.now.AddDate(0, 0, days)
	h.must(h.purger.Confirm(ctx, ws))
	_, err := h.purger.Purge(ctx, ws)
	h.must(err)
	r, err := verify.Ledger(ctx, verify.Source{Store: h.record, Sealer: h.ring}, ws, nil)
	h.must(err)
	if len(r.Findings) > 0 {
		h.t.Errorf("findings: %+v", r.Findings)
	}
}

// under lists what a hold shows, those that lie aside in brackets.
func (h *holding) under(id string) (names []string) {
	h.t.Helper()
	h.must(h.Show(context.Background(), ws, id, func(custody.Hold, custody.Matter) error { return nil }, func(k custody.Kept) error {
		line := k.Name + " " + k.Text
		if k.Aside {
			line = "(" + line + ")"
		}
		names = append(names, line)
		return nil
	}))
	slices.Sort(names)
	return names
}

// has fails unless the lines are these, in their order, each known by what stands in it.
func has(t *testing.T, got []string, want ...string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !strings.Contains(got[i], want[i]) {
			t.Errorf("there is %s\nwant %s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			return
		}
	}
}

// What a run caused is held in the record, in the tail and in sealed segments, and in rows.
func TestAHoldOnARunReachesRowsTailAndSegments(t *testing.T) {
	onBoth(t, func(h *holding) {
		ctx, t := context.Background(), h.t
		h.must(h.purger.Set(ctx, ws, steward.ClassLedger, 366))
		h.run("run_held", "con_held", "the held run")
		h.run("run_other", "con_other", "another run")
		conv, err := h.vault.Open(ctx, ws, "con_held")
		h.must(err)
		_, err = conv.Keep(ctx, steward.ClassLedger, "what was asked")
		h.must(err)
		other, err := h.vault.Open(ctx, ws, "con_other")
		h.must(err)
		_, err = other.Keep(ctx, steward.ClassLedger, "what another asked")
		h.must(err)
		for i := range 300 {
			h.act(steward.RunID(fmt.Sprintf("run_%d", i)), "something else")
		}
		h.act("run_held", "sealed into a segment")
		for range 300 {
			h.act("run_other", "something else")
		}
		_, err = h.book.Checkpoint(ctx, ws)
		h.must(err)
		h.must(h.archive.Pass(ctx))
		if tail, err := (store.Ledger{DB: h.data}).Rows(ctx, ws, 0, 1, false); err != nil || len(tail) != 1 || tail[0].Seq <= 300 {
			t.Fatalf("the tail begins with %+v, %v", tail, err)
		}
		h.act("run_held", "in the tail")
		h.place("hold_1", custody.OnRun, custody.Matter{Run: "run_held", Conversation: "con_held"})
		before := h.under("hold_1")
		has(t, before, "ledger/300/0 sealed into a segment", "/0 in the tail", "runs/run_held the held run", "what was asked")

		h.pass(100) // the run's row is due
		has(t, h.under("hold_1"), "(runs/run_held the held run)", "ledger/300/0 sealed into a segment", "/0 in the tail", "what was asked")
		h.now = h.now.AddDate(0, 2, 0)
		h.act("run_held", "months later")
		h.pass(300) // the record's January is due
		after := h.under("hold_1")
		has(t, after, "(ledger/300/0 sealed into a segment)", "/0 in the tail)", "(runs/run_held the held run)", "what was asked", "/0 months later")
		for _, line := range after {
			if strings.HasPrefix(line, "(tokens/") != strings.Contains(line, "what was asked") {
				t.Error(line)
			}
		}
		if n := strings.Count(strings.Join(after, "\n"), "something else"); n > 0 {
			t.Errorf("%d others are held", n)
		}
		if body, err := h.book.Part(ctx, ws, 300, 0); steward.KindOf(err) != steward.Gone {
			t.Errorf("where it was it opens: %s, %v", body, err)
		}
		// The bytes that lie aside are those that the record's hash is of.
		h.must(h.Holds.Aside(ctx, ws, "hold_1", func(a custody.Aside) error {
			if a.Name != "ledger/300/0" {
				return nil
			}
			return h.book.Read(ctx, ws, ledger.Query{From: 300, Limit: 1}, func(e ledger.Header) error {
				if p := e.Parts[0]; a.At.Row != e.ID || p.Len != len(a.Sealed.Box) || sha256.Sum256(a.Sealed.Box) != [32]byte(p.SHA256) {
					t.Errorf("%+v isn't the part of %+v", a.At, e)
				}
				return nil
			})
		}))
		h.must(h.Release(ctx, ws, "hold_1"))
		h.pass(0)
	})
}

// All that speaks of a person is held: values that are theirs, texts that name them, and whatever has their tokens or
// their blinded record in it, also once those themselves lie aside only.
func TestAHoldOnAPersonReachesWhatSpeaksOfThem(t *testing.T) {
	onBoth(t, func(h *holding) {
		ctx, t := context.Background(), h.t
		h.must(h.purger.Set(ctx, ws, steward.ClassLedger, 366))
		maria := steward.Ref{Connection: "salesforce", Object: "Contact", ID: "003MARIA"}
		tomas := steward.Ref{Connection: "salesforce", Object: "Contact", ID: "003TOMAS"}
		blinded := map[steward.Ref]string{}
		for _, ref := range []steward.Ref{maria, tomas} {
			var err error
			blinded[ref], err = h.vault.Blind(ctx, ws, ref)
			h.must(err)
		}
		conv, err := h.vault.Open(ctx, ws, "con_1")
		h.must(err)
		name, err := conv.Keep(ctx, steward.ClassConversation, "Maria Gonzalez likes golf")
		h.must(err)
		also, err := conv.Keep(ctx, steward.ClassConversation, "Tomas Novak doesn't")
		h.must(err)
		h.run("run_maria", "con_1", "about "+name)
		h.run("run_tomas", "con_1", "about "+also)
		h.act("run_a", "read "+blinded[maria])
		h.act("run_b", "read "+blinded[tomas])
		h.act("run_c", "wrote "+name)
		h.place("hold_1", custody.OnPerson, custody.Matter{Records: []steward.Ref{maria}, Values: []string{"Maria Gonzalez"}})
		has(t, h.under("hold_1"), "ledger/0/0 read", "ledger/2/0 wrote", "runs/run_maria", "likes golf")
		h.pass(40) // the conversation's tokens are due, and not the run
		has(t, h.under("hold_1"), "(tokens/", "ledger/0/0 read", "ledger/2/0 wrote", "runs/run_maria")
		h.pass(100)
		has(t, h.under("hold_1"), "(runs/run_maria", "(tokens/", "ledger/0/0 read", "ledger/2/0 wrote")
		h.pass(300)
		has(t, h.under("hold_1"), "(ledger/0/0 read", "(ledger/2/0 wrote", "(runs/run_maria", "(tokens/")

		// What is Tomas's can go. What would take something of Maria's along can't.
		about := func(ref steward.Ref, scopes ...steward.Scope) int {
			t.Helper()
			keeps, err := h.Keeps(ctx, ws, custody.Matter{Records: []steward.Ref{ref}}, scopes)
			h.must(err)
			return len(keeps)
		}
		person, _, err := h.vault.Person(ctx, ws, tomas)
		h.must(err)
		again, err := h.vault.Open(ctx, ws, "con_2")
		h.must(err)
		both, err := again.Keep(ctx, steward.ClassConversation, "Tomas Novak met Maria Gonzalez")
		h.must(err)
		text := steward.ItemScope(both[len("<TEXT_") : len(both)-1])
		if about(maria) != 1 || about(tomas) != 0 || about(tomas, steward.PersonScope(person)) != 0 || about(tomas, text) != 1 {
			t.Errorf("%d, %d, %d, %d holds keep it", about(maria), about(tomas), about(tomas, steward.PersonScope(person)), about(tomas, text))
		}
		h.must(h.Release(ctx, ws, "hold_1"))
		if about(maria) != 0 || about(tomas, text) != 0 {
			t.Error("a hold that was released keeps something")
		}
	})
}
