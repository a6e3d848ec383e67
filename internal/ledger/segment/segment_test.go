package segment_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"pgregory.net/rapid"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/blob"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/ledger/segment/columns"
	"github.com/stewardhq/steward/internal/ledger/verify"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

const ws steward.WorkspaceID = "ws_1"

// house is a ledger on real SQLite, with a real keyring and its old part in a real folder.
type house struct {
	dir      string
	now      time.Time
	tail     store.Ledger
	segments store.Segments
	blobs    segment.Blobs
	keys     *keyring.Keyring
	store    *segment.Store
	archive  *segment.Archivist
	*ledger.Ledger
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open opens a house in a folder, whose clock stands still. What was opened is closed with the test.
func open(t testing.TB, dir string, change func(*house)) *house {
	t.Helper()
	data, err := store.OpenData(context.Background(), dir)
	must(t, err)
	return openOn(t, dir, data, change)
}

// openOn is open with another database for the tail.
func openOn(t testing.TB, dir string, data *store.DB, change func(*house)) *house {
	t.Helper()
	ctx := context.Background()
	h := &house{dir: dir, now: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)}
	now := func() time.Time { return h.now }
	keeper := keyring.FileKeeper{Dir: filepath.Join(dir, "root")}
	if err := keeper.Create(rand.Reader); err != nil && steward.KindOf(err) != steward.Conflict {
		t.Fatal(err)
	}
	ring, err := store.OpenKeyring(ctx, dir)
	must(t, err)
	h.keys, err = keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: ring}, Keeper: keeper, Rand: rand.Reader, Alone: true})
	must(t, err)
	h.tail, h.segments = store.Ledger{DB: data}, store.Segments{DB: data}
	folder := blob.Folder{Dir: filepath.Join(dir, "objects"), Now: time.Now}
	must(t, folder.Check(ctx))
	h.blobs = folder
	h.store = &segment.Store{Store: h.tail, Manifest: h.segments, Blobs: h.blobs}
	h.archive = &segment.Archivist{Store: h.store, Catalog: h.segments, Sealer: h.keys, Spool: t.TempDir(), Now: now, Rand: rand.Reader, Entries: 1024}
	if change != nil {
		change(h)
	}
	h.Ledger, err = ledger.Open(ctx, ledger.Config{Store: h.store, Sealer: h.keys, Now: now, Rand: rand.Reader, Origin: "steward.test", Node: "node_test"})
	must(t, err)
	t.Cleanup(func() {
		must(t, h.Close(ctx))
		h.store.Close()
		must(t, errors.Join(data.Close(), ring.Close()))
	})
	return h
}

// useMemory keeps the objects in memory.
func (h *house) useMemory() *memory {
	m := newMemory()
	h.blobs, h.store.Blobs = m, m
	return m
}

// event makes entries of many sorts: every third has parts, in two classes and of a person.
func event(i int, now time.Time) ledger.Event {
	e := ledger.Event{Entry: ledger.Entry{
		Kind: []ledger.Kind{ledger.RunRead, ledger.CallDenied, ledger.LedgerRead}[i%3], Run: steward.RunID(fmt.Sprint("run_", i/4)),
		Caller: fmt.Sprint("mem_", i%5), OnBehalfOf: steward.MemberID(fmt.Sprint("mem_", i%4)), System: []string{"salesforce", "steward"}[i%2],
		Tool: fmt.Sprint("tool_", i%6), Effect: []steward.Effect{steward.Read, steward.Write, ""}[i%3], Decision: []string{"allow", "deny"}[i%2],
		Outcome: []string{ledger.OK, ledger.Failed, ledger.Denied}[i%3], Records: i % 4, DurationMicros: int64(i * 10),
	}}
	if i%2 == 0 {
		e.Entry.Targets = []string{fmt.Sprint("salesforce:Opportunity:", i%11), fmt.Sprint("salesforce:Contact:", i)}
	}
	if i%97 == 0 {
		e.Entry.Targets = nil
		for n := range 32 {
			e.Entry.Targets = append(e.Entry.Targets, fmt.Sprint("salesforce:Lead:", n))
		}
	}
	if i%3 == 0 {
		person := steward.PersonScope(steward.PersonID(fmt.Sprint("p", i%7)))
		e.Parts = []ledger.Part{
			{Scopes: []steward.Scope{steward.TimeScope(steward.ClassLedger, now)}, Body: fmt.Append(nil, "part 0 of ", i)},
			{Scopes: []steward.Scope{steward.TimeScope(steward.ClassPrompt, now), person}, Body: fmt.Append(nil, "part 1 of ", i)},
		}
	}
	return e
}

// fill appends entries, some of them at each moment, and has them signed.
func (h *house) fill(t testing.TB, w steward.WorkspaceID, entries int, every time.Duration) {
	t.Helper()
	ctx := context.Background()
	head, err := h.store.Head(ctx, w)
	must(t, err)
	from := int(head.Next)
	for i := from; i < from+entries; {
		var events []ledger.Event
		for ; i < from+entries && len(events) < 200; i++ {
			events = append(events, event(i, h.now))
		}
		_, err := h.AppendAll(ctx, w, events...)
		must(t, err)
		h.now = h.now.Add(every)
	}
	_, err = h.Checkpoint(ctx, w)
	must(t, err)
}

// everything is what reading the ledger gives, as text.
func everything(t testing.TB, from ledger.Store, w steward.WorkspaceID) []string {
	t.Helper()
	var all []string
	for next := uint64(0); ; {
		rows, err := from.Rows(context.Background(), w, next, 300, true)
		must(t, err)
		if len(rows) == 0 {
			return all
		}
		for _, row := range rows {
			if row.Seq != next {
				t.Fatalf("entry %d comes where %d should", row.Seq, next)
			}
			all = append(all, string(row.Header)+"\n"+string(row.Parts))
			next++
		}
	}
}

func same(t testing.TB, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("entry %d is %q, want %q", i, got[i], want[i])
		}
	}
}

func (h *house) verify(t testing.TB, w steward.WorkspaceID) verify.Report {
	t.Helper()
	r, err := verify.Ledger(context.Background(), verify.Source{Store: h.store, Sealer: h.keys}, w, nil)
	must(t, err)
	return r
}

// verifyChecked verifies one ledger only.
func verifyChecked(h *house, w steward.WorkspaceID) (verify.Report, error) {
	return verify.Ledger(context.Background(), verify.Source{Store: h.store, Sealer: h.keys, Checked: true}, w, nil)
}

func (h *house) sound(t testing.TB, w steward.WorkspaceID, entries int) {
	t.Helper()
	if r := h.verify(t, w); len(r.Findings) > 0 || r.Entries != uint64(entries) {
		t.Fatalf("verify: %d entries of %d, findings %+v", r.Entries, entries, r.Findings)
	}
}

func (h *house) manifest(t testing.TB, w steward.WorkspaceID) []segment.Segment {
	t.Helper()
	list, err := h.segments.Segments(context.Background(), w, segment.Span{End: 1 << 60, Since: -1 << 60, Until: 1 << 60, Limit: 1000})
	must(t, err)
	return list
}

// tailRows are those in the database.
func (h *house) tailRows(t testing.TB, w steward.WorkspaceID) (rows []uint64) {
	t.Helper()
	for next := uint64(0); ; {
		list, err := h.tail.Rows(context.Background(), w, next, 1000, false)
		must(t, err)
		if len(list) == 0 {
			return rows
		}
		for _, row := range list {
			rows = append(rows, row.Seq)
			next = row.Seq + 1
		}
	}
}

func (h *house) objects(t testing.TB) (names []string) {
	t.Helper()
	must(t, h.blobs.List(context.Background(), "", func(name string, _ time.Time) error { names = append(names, name); return nil }))
	return names
}

func TestSealedEntriesReadAsBefore(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { sealedReadsAsBefore(t, open(t, t.TempDir(), nil)) })
	t.Run("postgres", func(t *testing.T) {
		data, err := store.Postgres{URL: postgres.Start(t).Database(t)}.OpenData(context.Background())
		must(t, err)
		sealedReadsAsBefore(t, openOn(t, t.TempDir(), data, nil))
	})
}

func sealedReadsAsBefore(t *testing.T, h *house) {
	ctx := context.Background()
	h.fill(t, ws, 3500, time.Second)
	want := everything(t, h.tail, ws)
	must(t, h.archive.Pass(ctx))
	if left := h.tailRows(t, ws); len(left) != 3500-3072 || left[0] != 3072 {
		t.Fatalf("the tail has %d rows from %d on", len(left), left[0])
	}
	if list := h.manifest(t, ws); len(list) != 3 || list[1].First != 1024 || len(list[1].Objects) != 4 {
		t.Fatalf("manifest: %+v", list)
	}
	same(t, everything(t, h.store, ws), want)
	h.sound(t, ws, 3500)
	if body, err := h.Part(ctx, ws, 300, 1); err != nil || string(body) != "part 1 of 300" {
		t.Errorf("part 1 of entry 300: %q, %v", body, err)
	}

	// It goes on: more is written, signed over what is sealed, and sealed in its turn when it is a day old.
	h.fill(t, ws, 200, time.Second)
	must(t, h.archive.Pass(ctx))
	if len(h.manifest(t, ws)) != 3 {
		t.Error("a tail that is neither long nor old was sealed")
	}
	h.now = h.now.Add(25 * time.Hour)
	must(t, h.archive.Pass(ctx))
	if list := h.manifest(t, ws); len(list) != 4 || list[3].End() != 3584 {
		t.Errorf("manifest: %+v", list)
	}
	h.fill(t, ws, 10, time.Second)
	h.sound(t, ws, 3710)

	// When the month is over its segments become one.
	want = everything(t, h.store, ws)
	h.now = h.now.AddDate(0, 1, 0)
	must(t, h.archive.Pass(ctx))
	if list := h.manifest(t, ws); len(list) != 1 || list[0].End() != 3584 || list[0].State != segment.Locked {
		t.Errorf("manifest: %+v", list)
	}
	same(t, everything(t, h.store, ws), want)
	h.sound(t, ws, 3710)
	for _, name := range h.objects(t) {
		if !strings.HasPrefix(name, "ledger/ws_1/") {
			t.Errorf("an object %q", name)
		}
	}
}

// The columns say what the headers say, however a header is written.
func TestColumnsSayWhatHeadersSay(t *testing.T) {
	ctx := context.Background()
	h := open(t, t.TempDir(), func(h *house) { h.archive.Entries = 256 })
	word := rapid.StringMatching(`|[a-z]{1,9}|[!#-%'-;=?A-\[\]-~]{1,30}`)
	number := uint64(0)
	var intent *ledger.Intent
	for number < 256 {
		r := rapid.Custom(func(t *rapid.T) ledger.Event {
			e := ledger.Event{Entry: ledger.Entry{
				Kind: rapid.SampledFrom([]ledger.Kind{ledger.RunRead, ledger.StoredDenied}).Draw(t, "kind"), Run: steward.RunID(word.Draw(t, "run")), Caller: word.Draw(t, "caller"),
				OnBehalfOf: steward.MemberID(word.Draw(t, "on behalf of")), Authentication: word.Draw(t, "authentication"), System: word.Draw(t, "system"), Tool: word.Draw(t, "tool"),
				Effect: steward.Effect(word.Draw(t, "effect")), Decision: word.Draw(t, "decision"), Policies: rapid.SliceOfN(word, 0, 3).Draw(t, "policies"), PolicySet: word.Draw(t, "set"),
				Outcome: rapid.SampledFrom([]string{"", ledger.OK, ledger.Waiting}).Draw(t, "outcome"), Error: word.Draw(t, "error"), Purpose: word.Draw(t, "purpose"),
				Records: rapid.IntRange(-2, 2000).Draw(t, "records"), DurationMicros: rapid.Int64Range(-1, 1<<40).Draw(t, "duration"),
				Targets: rapid.SliceOfN(word, 0, 32).Draw(t, "targets"),
			}}
			scope := rapid.SampledFrom([]steward.Scope{"ledger/2026-11", "run/2026-11-23", "person/p1", `item/"x\y`, "hold/é", "workspace"})
			for range rapid.IntRange(0, 3).Draw(t, "parts") {
				e.Parts = append(e.Parts, ledger.Part{Scopes: rapid.SliceOfNDistinct(scope, 1, 3, func(s steward.Scope) steward.Scope { return s }).Draw(t, "scopes"), Body: []byte("b")})
			}
			return e
		}).Example(int(number))
		var err error
		switch {
		case intent != nil:
			number, err = h.End(ctx, *intent, ledger.Entry{Outcome: ledger.OK}, r.Parts...)
			intent = nil
		case number%16 == 3:
			var i ledger.Intent
			i, err = h.Begin(ctx, ws, r.Entry, r.Parts...)
			intent, number = &i, i.Seq
		default:
			number, err = h.Append(ctx, ws, r.Entry, r.Parts...)
		}
		must(t, err)
		h.now = h.now.Add(time.Second / 3)
	}
	_, err := h.Checkpoint(ctx, ws)
	must(t, err)
	want := everything(t, h.tail, ws)
	must(t, h.archive.Pass(ctx))
	same(t, everything(t, h.store, ws), want)
	h.sound(t, ws, len(want))

	for _, o := range h.manifest(t, ws)[0].Objects {
		if strings.Contains(o.Scopes, "person") || strings.Contains(o.Scopes, "item") {
			t.Errorf("an object for %q", o.Scopes)
		}
	}
	rows, err := parquet.ReadFile[columns.Header](filepath.Join(h.dir, "objects", filepath.FromSlash(h.manifest(t, ws)[0].Objects[0].Name)))
	must(t, err)
	plain, escaped := 0, 0
	for i, got := range rows {
		e, err := ledger.Decode(&ledger.Row{Header: got.Header})
		must(t, err)
		want := columns.Header{
			Seq: int64(i), Time: e.Time.UnixMicro(), Kind: string(e.Kind), Run: string(e.Run), Caller: e.Caller, OnBehalfOf: string(e.OnBehalfOf), Authentication: e.Authentication,
			System: e.System, Tool: e.Tool, Effect: string(e.Effect), Decision: e.Decision, PolicySet: e.PolicySet, Outcome: e.Outcome, Error: e.Error, Purpose: e.Purpose,
			Records: int64(e.Records), DurationUS: e.DurationMicros, Targets: e.Targets, MoreTargets: len(e.Targets) == 32, Node: e.Node, Parts: int32(len(e.Parts)), Header: got.Header,
		}
		if want.Targets == nil {
			want.Targets = []string{}
		}
		if e.Intent != nil {
			want.Intent = new(int64(*e.Intent))
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("entry %d: columns %+v, header %s", i, got, got.Header)
		}
		if strings.Contains(string(got.Header), `\`) {
			escaped++
		} else {
			plain++
		}
	}
	if plain < 50 || escaped < 10 {
		t.Errorf("%d headers are plain, and %d escaped", plain, escaped)
	}
}
