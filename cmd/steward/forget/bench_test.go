package forget_test

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/forget"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/privacy"
	"github.com/stewardhq/steward/internal/retention"
	"github.com/stewardhq/steward/internal/retention/custody"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/forgetting"
)

var (
	texts      = flag.Int("texts", 10_000, "how many kept texts BenchmarkSearchOfTexts searches: 100,000 take a minute to make")
	people     = flag.Int("people", 20_000, "among how many people BenchmarkForgetPerson forgets one after the other: a million take minutes to make")
	workspaces = flag.Int("workspaces", 1_000, "of how many workspaces BenchmarkRetention shows what is kept")
)

const ws steward.WorkspaceID = "ws_1"

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// house is the databases, and the keys of what lies in them.
type house struct {
	data, keys *store.DB
	ring       *keyring.Keyring
}

func open(b *testing.B) house {
	b.Helper()
	ctx, dir := context.Background(), b.TempDir()
	data, err := store.OpenData(ctx, dir)
	must(b, err)
	keys, err := store.OpenKeyring(ctx, dir)
	must(b, err)
	b.Cleanup(func() { must(b, errors.Join(data.Close(), keys.Close())) })
	keeper := keyring.FileKeeper{Dir: filepath.Join(dir, "root")}
	must(b, keeper.Create(rand.Reader))
	ring, err := keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: keys}, Keeper: keeper, Rand: rand.Reader})
	must(b, err)
	return house{data, keys, ring}
}

func (h house) add(b *testing.B, id steward.WorkspaceID) {
	b.Helper()
	must(b, store.Identity{DB: h.data}.AddWorkspace(context.Background(), identity.Workspace{ID: id, Name: "of " + string(id), Created: time.Now()}))
}

// BenchmarkSearchOfTexts is how long it takes to find, in all free texts that are kept, those that mention somebody.
// Each is sealed under a key of its own; every thousandth mentions them. The floor opens one box as often.
func BenchmarkSearchOfTexts(b *testing.B) {
	ctx := context.Background()
	h := open(b)
	h.add(b, ws)
	vault := &privacy.Vault{Store: store.Privacy{DB: h.data}, Persons: store.Privacy{DB: h.data}, Sealer: h.ring, Shredder: h.ring, Now: time.Now, Rand: rand.Reader}
	const writers = 16
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			c, err := vault.Open(ctx, ws, steward.ConversationID(fmt.Sprint("con_", w)))
			if err != nil {
				b.Error(err)
				return
			}
			for n := w; n < *texts; n += writers {
				text := fmt.Sprintf("Notes of call %d: they want the offer in writing by Friday, and the price of %d seats as last year. They asked again whether the data stays in Frankfurt.", n, n%90)
				if n%1000 == 0 {
					text += " Ask Quentin Applewhite for the contract."
				}
				if _, err := c.Keep(ctx, steward.ClassPrompt, text); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	at := steward.Place{Workspace: ws, Table: "bench", Row: "1"}
	sealed, err := h.ring.Seal(ctx, at, []steward.Scope{steward.TimeScope(steward.ClassPrompt, time.Now()), steward.ItemScope("floor")}, make([]byte, 160))
	must(b, err)
	subject := retention.Subject{Records: []steward.Ref{{Connection: "salesforce", Object: "Contact", ID: "003000000000001AAA"}}, Values: []string{"Quentin Applewhite", "quentin@applewhite.example"}}
	var floor time.Duration
	b.ResetTimer()
	for b.Loop() {
		found, err := forget.Vault{Vault: vault}.Find(ctx, ws, subject)
		must(b, err)
		if found.Texts != (*texts+999)/1000 {
			b.Fatalf("%d texts of %d were found", found.Texts, *texts)
		}
		b.StopTimer()
		from := time.Now()
		for range *texts {
			_, err := h.ring.Open(ctx, at, sealed)
			must(b, err)
		}
		floor += time.Since(from)
		b.StartTimer()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s")
	b.ReportMetric(floor.Seconds()/float64(b.N), "floor-s")
}

// BenchmarkForgetPerson is how long it takes from the word that somebody is to be forgotten until their keys are gone,
// which is on record by then, tried and kept. Everybody has a key and a token that stands for their name. The floor is
// the keyring's own share: a shred of one scope.
func BenchmarkForgetPerson(b *testing.B) {
	const forgotten = 200
	ctx := context.Background()
	h := open(b)
	h.add(b, ws)
	vault := &privacy.Vault{Store: store.Privacy{DB: h.data}, Persons: store.Privacy{DB: h.data}, Sealer: h.ring, Shredder: h.ring, Now: time.Now, Rand: rand.Reader}
	ref := func(n int) steward.Ref {
		return steward.Ref{Connection: "salesforce", Object: "Contact", ID: fmt.Sprintf("003%012dAAA", n)}
	}
	period := steward.TimeScope(steward.ClassConversation, time.Now())
	const atOnce = 10_000
	for from := 0; from < *people; from += atOnce {
		scopes, rows, digests := []steward.Scope{}, []privacy.Row{}, map[string]steward.PersonID{}
		for n := from; n < min(from+atOnce, *people); n++ {
			person := steward.PersonID(fmt.Sprintf("per_%08d", n))
			scopes = append(scopes, steward.PersonScope(person))
			digests[fmt.Sprintf("%064d", n)] = person
			rows = append(rows, privacy.Row{
				ID: fmt.Sprintf("t%09d", n), Conversation: "con_1", Type: steward.TokenPerson, Kind: privacy.Reference, Issued: time.Now(),
				Sealed: steward.Sealed{Scopes: []steward.Scope{period, steward.PersonScope(person)}, Box: make([]byte, 120)},
			})
		}
		must(b, h.ring.Make(ctx, ws, scopes...))
		_, err := vault.Persons.AddPeople(ctx, ws, digests)
		must(b, err)
		_, err = vault.Store.IssueTokens(ctx, ws, rows)
		must(b, err)
	}
	for n := range forgotten { // some of whom there is more than that
		_, err := vault.Blind(ctx, ws, ref(n))
		must(b, err)
		person, _, err := vault.Person(ctx, ws, ref(n))
		must(b, err)
		at := steward.Place{Workspace: ws, Table: "tokens", Row: fmt.Sprintf("x%09d", n)}
		sealed, err := h.ring.Seal(ctx, at, []steward.Scope{period, steward.PersonScope(person)}, []byte("Contact.Name"))
		must(b, err)
		_, err = vault.Store.IssueTokens(ctx, ws, []privacy.Row{{ID: at.Row, Conversation: "con_1", Type: steward.TokenPerson, Kind: privacy.Reference, Issued: time.Now(), Sealed: sealed}})
		must(b, err)
	}
	book, err := ledger.Open(ctx, ledger.Config{Store: store.Ledger{DB: h.data}, Sealer: h.ring, Now: time.Now, Rand: rand.Reader, Origin: "bench.example"})
	must(b, err)
	b.Cleanup(func() { must(b, book.Close(ctx)) })
	rows := forgetting.Rows{DB: h.data.Rows()}
	timed := &timedDuties{duties: forgetting.Duties{Rows: rows}}
	eraser := &retention.Eraser{
		Requests: forgetting.Requests{Rows: rows}, Duties: timed, Custody: &custody.Custody{Holds: rows, Keyring: h.ring, Marks: forget.Vault{Vault: vault}.Marks}, Ledger: book, Keyring: h.ring,
		Issuer:     &retention.Issuer{Certificates: rows, Ledger: book, Now: time.Now, Rand: rand.Reader},
		Forgetters: []retention.Forgetter{forget.Vault{Vault: vault}}, Within: 720 * time.Hour, Log: slog.New(slog.DiscardHandler), Now: time.Now, Rand: rand.Reader,
	}
	var floor []time.Duration
	next := 0
	for b.Loop() {
		if next == forgotten {
			b.Fatalf("only %d can be forgotten: use -benchtime %dx", forgotten, forgotten)
		}
		timed.begun = time.Now()
		erasure, err := eraser.Erase(ctx, retention.Request{Workspace: ws, By: "mem_ada", Alone: true, Subject: retention.Subject{Records: []steward.Ref{ref(next)}}})
		must(b, err)
		if erasure.Status != "forgotten" || erasure.Found.References != 1 {
			b.Fatalf("%+v", erasure)
		}
		b.StopTimer()
		from := time.Now()
		must(b, h.ring.Shred(ctx, ws, steward.PersonScope(steward.PersonID(fmt.Sprintf("per_%08d", next)))))
		floor = append(floor, time.Since(from))
		b.StartTimer()
		next++
	}
	b.ReportMetric(0, "ns/op")
	for prefix, took := range map[string][]time.Duration{"": timed.took, "floor-": floor} {
		slices.Sort(took)
		b.ReportMetric(took[len(took)/2].Seconds()*1000, prefix+"p50-ms")
		b.ReportMetric(took[len(took)*99/100].Seconds()*1000, prefix+"p99-ms")
	}
}

// timedDuties tells how long each took until its keys were gone.
type duties = retention.Duties

type timedDuties struct {
	duties
	begun time.Time
	took  []time.Duration
}

func (d *timedDuties) Save(ctx context.Context, ws steward.WorkspaceID, duty retention.Duty) error {
	err := d.duties.Save(ctx, ws, duty)
	if duty.State == retention.Unreadable {
		d.took = append(d.took, time.Since(d.begun))
	}
	return err
}

// BenchmarkRetention is how long it takes to tell, of each of many workspaces, what is kept and what goes next. Each
// has keys of three classes. The floor asks each for its days only.
func BenchmarkRetention(b *testing.B) {
	ctx := context.Background()
	h := open(b)
	var all []steward.WorkspaceID
	for n := range *workspaces {
		id := steward.WorkspaceID(fmt.Sprintf("ws_%06d", n))
		all = append(all, id)
		h.add(b, id)
		must(b, h.ring.Make(ctx, id, steward.TimeScope(steward.ClassRun, time.Now()), steward.TimeScope(steward.ClassPrompt, time.Now()), steward.TimeScope(steward.ClassLedger, time.Now())))
	}
	schedule := retention.Schedule{Periods: store.Keyring{DB: h.keys}, Settings: store.Retention{DB: h.data}, Now: time.Now}
	var floor time.Duration
	b.ResetTimer()
	for b.Loop() {
		for _, id := range all {
			kept, err := schedule.Show(ctx, id)
			must(b, err)
			if len(kept) == 0 {
				b.Fatal("nothing is kept")
			}
		}
		b.StopTimer()
		from := time.Now()
		for _, id := range all {
			_, err := schedule.Settings.Days(ctx, id)
			must(b, err)
		}
		floor += time.Since(from)
		b.StartTimer()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s")
	b.ReportMetric(floor.Seconds()/float64(b.N), "floor-s")
}
