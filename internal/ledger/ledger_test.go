package ledger_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/verify"
	"github.com/stewardhq/steward/internal/store"
)

// house is a ledger on a real store with a real keyring.
type house struct {
	place
	store store.Ledger
	keys  *keyring.Keyring
	*ledger.Ledger
}

const ws steward.WorkspaceID = "ws_1"

var month = []steward.Scope{"ledger/2026-11"}

// open opens a ledger on SQLite, in a folder.
func open(t testing.TB, dir string, change func(*ledger.Config)) *house {
	t.Helper()
	return place{dir: dir}.open(t, change)
}

// keys opens the keyring of a folder.
func keys(t testing.TB, dir string) *keyring.Keyring {
	t.Helper()
	return place{dir: dir}.openKeys(t)
}

func (h *house) headers(t testing.TB, w steward.WorkspaceID, q ledger.Query) []ledger.Header {
	t.Helper()
	var all []ledger.Header
	if err := h.Read(context.Background(), w, q, func(e ledger.Header) error { all = append(all, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func (h *house) verify(t testing.TB, w steward.WorkspaceID) verify.Report {
	t.Helper()
	r, err := verify.Ledger(context.Background(), verify.Source{Store: h.store, Sealer: h.keys}, w, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func sound(t testing.TB, r verify.Report, entries int) {
	t.Helper()
	if len(r.Findings) > 0 || r.Entries != uint64(entries) {
		t.Fatalf("verify: %d entries of %d, findings %+v", r.Entries, entries, r.Findings)
	}
}

func wantKind(t testing.TB, err error, kind steward.Kind) {
	t.Helper()
	if err == nil || steward.KindOf(err) != kind {
		t.Fatalf("error %v is of kind %v, want %v", err, steward.KindOf(err), kind)
	}
}

func TestEntryComesBackAsWritten(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		now := time.Date(2026, 11, 23, 10, 0, 0, 123456789, time.UTC)
		h := at.open(t, func(c *ledger.Config) { c.Now = func() time.Time { return now }; c.Node = "node_a" })
		body := []byte(`{"fields":["Name"],"after":"<PERSON_k7q2mh>"}`)
		i, err := h.Begin(ctx, ws, ledger.Entry{
			Run: "run_1", Caller: "agent/steward", OnBehalfOf: "mem_1", Authentication: "token", System: "salesforce", Tool: "salesforce_update",
			Effect: steward.Write, Decision: "allow", Policies: []string{"members-write"}, PolicySet: "ab12", Targets: []string{"salesforce:Opportunity:006"},
		}, ledger.Part{Scopes: month, Body: body}, ledger.Part{Scopes: append(month, "person/p1"), Body: []byte("second")})
		if err != nil {
			t.Fatal(err)
		}
		now = now.Add(-time.Hour) // the clock steps back; the record doesn't
		if _, err := h.End(ctx, i, ledger.Entry{Outcome: ledger.Failed, Error: "INSUFFICIENT_ACCESS", DurationMicros: 42}); err != nil {
			t.Fatal(err)
		}

		all := h.headers(t, ws, ledger.Query{})
		if len(all) != 2 || all[0].Seq != 0 || all[1].Seq != 1 {
			t.Fatalf("read %+v", all)
		}
		intent, outcome := all[0], all[1]
		if want := time.Date(2026, 11, 23, 10, 0, 0, 123456000, time.UTC); !intent.Time.Equal(want) || !outcome.Time.Equal(want) {
			t.Errorf("times %v and %v, want both %v", intent.Time, outcome.Time, want)
		}
		if intent.Kind != ledger.CallIntent || intent.Node != "node_a" || len(intent.Parts) != 2 || intent.Policies[0] != "members-write" || intent.Targets[0] != "salesforce:Opportunity:006" {
			t.Errorf("intent %+v", intent)
		}
		if outcome.Kind != ledger.CallOutcome || outcome.Intent == nil || *outcome.Intent != 0 || outcome.Run != "run_1" || outcome.OnBehalfOf != "mem_1" ||
			outcome.Tool != "salesforce_update" || outcome.Outcome != "error" || outcome.Error != "INSUFFICIENT_ACCESS" || outcome.DurationMicros != 42 {
			t.Errorf("outcome %+v", outcome)
		}

		for index, want := range []string{string(body), "second"} {
			if got, err := h.Part(ctx, ws, 0, index); err != nil || string(got) != want {
				t.Errorf("part %d: %q, %v", index, got, err)
			}
		}
		_, err = h.Part(ctx, ws, 0, 2)
		wantKind(t, err, steward.NotFound)
		_, err = h.Part(ctx, ws, 9, 0)
		wantKind(t, err, steward.NotFound)

		if err := h.keys.Shred(ctx, ws, "person/p1"); err != nil {
			t.Fatal(err)
		}
		_, err = h.Part(ctx, ws, 0, 1)
		wantKind(t, err, steward.Gone)
		if got, err := h.Part(ctx, ws, 0, 0); err != nil || !bytes.Equal(got, body) {
			t.Errorf("the other part after the shred: %q, %v", got, err)
		}
		sound(t, h.verify(t, ws), 2)
	})
}

func TestPartsAreOnDiskSealedOnly(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		h := at.open(t, nil)
		if _, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunStarted, Run: "run_planted"}, ledger.Part{Scopes: month, Body: []byte("Rosalind Franklin, rosalind@kings.example")}); err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for _, file := range at.files(t) {
			b, err := os.ReadFile(file)
			must(t, err)
			for _, text := range []string{"run_planted", "Rosalind", "kings.example"} {
				found[text] = found[text] || bytes.Contains(b, []byte(text))
			}
		}
		if !found["run_planted"] {
			t.Fatal("the search doesn't find what stands in a header, so it proves nothing")
		}
		if found["Rosalind"] || found["kings.example"] {
			t.Error("a part's text is on disk in clear")
		}
	})
}

func TestHeadersTakeOnlyIdsAndWords(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		h := at.open(t, nil)
		for name, e := range map[string]ledger.Entry{
			"a name":             {Kind: ledger.RunStarted, Caller: "Ada Lovelace"},
			"an address":         {Kind: ledger.RunStarted, OnBehalfOf: "ada@example.com"},
			"not ASCII":          {Kind: ledger.RunStarted, Error: "Zoë"},
			"a quote":            {Kind: ledger.RunStarted, Tool: `x"y`},
			"something long":     {Kind: ledger.RunStarted, Decision: strings.Repeat("x", 257)},
			"a target's value":   {Kind: ledger.RunStarted, Targets: []string{"ok", "not ok"}},
			"an unknown kind":    {Kind: "run.imagined"},
			"an unknown outcome": {Kind: ledger.RunFinished, Outcome: "fine"},
			"a bare intent":      {Kind: ledger.CallIntent},
			"a bare outcome":     {Kind: ledger.CallOutcome},
		} {
			if _, err := h.Append(ctx, ws, e); err == nil {
				t.Errorf("%s was written into a header", name)
			}
		}
		_, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunStarted, Targets: make([]string, 33)})
		wantKind(t, err, steward.TooLarge)
		_, err = h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunStarted, Policies: strings.Fields(strings.Repeat(strings.Repeat("p", 200)+" ", 400))})
		wantKind(t, err, steward.TooLarge)
		_, err = h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunStarted}, ledger.Part{Scopes: month, Body: make([]byte, 9<<20)})
		wantKind(t, err, steward.TooLarge)
		if _, err = h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunStarted}, ledger.Part{Body: []byte("x")}); err == nil {
			t.Error("a part without scope was written")
		}
		sound(t, h.verify(t, ws), 0)
		for _, kind := range ledger.Kinds() {
			if kind.Label() == "" {
				t.Errorf("kind %s has no label", kind)
			}
		}
	})
}

func TestQueries(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		h := at.open(t, nil)
		for i := range 30 {
			if _, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead, Run: steward.RunID(fmt.Sprint("run_", i%3)), OnBehalfOf: steward.MemberID(fmt.Sprint("mem_", i%2)), Caller: fmt.Sprint("mem_", i%5)}); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			q    ledger.Query
			want int
		}{
			{ledger.Query{}, 30}, {ledger.Query{Run: "run_1"}, 10}, {ledger.Query{OnBehalfOf: "mem_1"}, 15}, {ledger.Query{Caller: "mem_4"}, 6},
			{ledger.Query{Run: "run_1", OnBehalfOf: "mem_1"}, 5}, {ledger.Query{From: 25}, 5}, {ledger.Query{Limit: 7}, 7}, {ledger.Query{From: 90}, 0},
			{ledger.Query{Run: "run"}, 0}, {ledger.Query{From: 10, Run: "run_0", Limit: 2}, 2},
		} {
			if got := h.headers(t, ws, c.q); len(got) != c.want {
				t.Errorf("%+v: %d entries, want %d", c.q, len(got), c.want)
			}
		}
		if got := h.headers(t, "ws_other", ledger.Query{}); len(got) != 0 {
			t.Errorf("another workspace sees %d entries", len(got))
		}
		stop := errors.New("enough")
		if err := h.Read(ctx, ws, ledger.Query{}, func(ledger.Header) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("fn's error came back as %v", err)
		}
	})
}

func TestOneOutcomeForAnIntent(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		h := at.open(t, nil)
		i, err := h.Begin(ctx, ws, ledger.Entry{Run: "run_1", Tool: "t"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.End(ctx, i, ledger.Entry{}); err == nil {
			t.Error("an outcome without an outcome was written")
		}
		// Many at once, with innocent neighbours in the same commits: one wins, and no neighbour suffers.
		var wg sync.WaitGroup
		var mu sync.Mutex
		won, lost := 0, 0
		for range 16 {
			wg.Go(func() {
				_, err := h.End(ctx, i, ledger.Entry{Outcome: ledger.OK})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					won++
				case steward.KindOf(err) == steward.Conflict:
					lost++
				default:
					t.Error(err)
				}
			})
			wg.Go(func() {
				if _, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won != 1 || lost != 15 {
			t.Errorf("%d outcomes were accepted and %d refused, want 1 and 15", won, lost)
		}
		_, err = h.End(ctx, ledger.Intent{Workspace: ws, Seq: 900}, ledger.Entry{Outcome: ledger.OK})
		wantKind(t, err, steward.Conflict)
		sound(t, h.verify(t, ws), 18)
	})
}

func TestAbandonedIntentsEndAsUnknown(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		first := at.open(t, func(c *ledger.Config) { c.Node = "node_1" })
		var left []ledger.Intent
		for _, w := range []steward.WorkspaceID{"ws_a", "ws_b"} {
			i, err := first.Begin(ctx, w, ledger.Entry{Run: "run_1", System: "salesforce", Tool: "salesforce_update", Targets: []string{"salesforce:Opportunity:006"}})
			if err != nil {
				t.Fatal(err)
			}
			left = append(left, i)
		}
		ended, err := first.Begin(ctx, "ws_a", ledger.Entry{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := first.End(ctx, ended, ledger.Entry{Outcome: ledger.OK}); err != nil {
			t.Fatal(err)
		}
		if closed, err := first.CloseAbandoned(ctx); err != nil || len(closed) != 0 {
			t.Fatalf("a process closed its own intents: %v, %v", closed, err)
		}

		second := at.open(t, func(c *ledger.Config) { c.Node = "node_2" })
		mine, err := second.Begin(ctx, "ws_b", ledger.Entry{})
		if err != nil {
			t.Fatal(err)
		}
		closed, err := second.CloseAbandoned(ctx)
		if err != nil || len(closed) != 2 || closed[0].Workspace != "ws_a" || closed[1].Entry.Targets[0] != "salesforce:Opportunity:006" {
			t.Fatalf("closed %+v, %v", closed, err)
		}
		if again, err := second.CloseAbandoned(ctx); err != nil || len(again) != 0 {
			t.Fatalf("closed again %+v, %v", again, err)
		}
		_, err = first.End(ctx, left[0], ledger.Entry{Outcome: ledger.OK}) // the dead process wakes up
		wantKind(t, err, steward.Conflict)
		if _, err := second.End(ctx, mine, ledger.Entry{Outcome: ledger.OK}); err != nil {
			t.Fatal(err)
		}
		outcomes := second.headers(t, "ws_a", ledger.Query{Run: "run_1"})
		if last := outcomes[len(outcomes)-1]; last.Outcome != ledger.Unknown || last.Tool != "salesforce_update" {
			t.Errorf("the abandoned call ended as %+v", last)
		}
		sound(t, second.verify(t, "ws_a"), 4)
		sound(t, second.verify(t, "ws_b"), 4)
	})
}

func TestManyWritersLeaveNoGaps(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		h := at.open(t, nil)
		const writers, each, workspaces = 32, 25, 5
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				at := steward.WorkspaceID(fmt.Sprint("ws_", w%workspaces))
				last := int64(-1)
				for range each {
					i, err := h.Begin(ctx, at, ledger.Entry{Run: steward.RunID(fmt.Sprint("run_", w))}, ledger.Part{Scopes: month, Body: []byte("body")})
					if err != nil {
						t.Error(err)
						return
					}
					seq, err := h.End(ctx, i, ledger.Entry{Outcome: ledger.OK})
					if err != nil || seq <= i.Seq || int64(i.Seq) <= last {
						t.Errorf("intent %d after %d, outcome %d, %v", i.Seq, last, seq, err)
					}
					last = int64(seq)
				}
			})
		}
		wg.Wait()
		total := 0
		for w := range workspaces {
			r := h.verify(t, steward.WorkspaceID(fmt.Sprint("ws_", w)))
			sound(t, r, int(r.Entries))
			total += int(r.Entries)
		}
		if total != writers*each*2 {
			t.Errorf("%d entries, want %d", total, writers*each*2)
		}
	})
}

// faulty stands before a store and can be told to fail or to wait.
type faulty struct {
	ledger.Store
	mu     sync.Mutex
	before error // instead of committing
	after  error // having committed
	gate   chan struct{}
	begun  chan struct{}
}

func (f *faulty) Appender(ctx context.Context) (ledger.Appender, error) {
	a, err := f.Store.Appender(ctx)
	return faultyAppender{a, f}, err
}

type faultyAppender struct {
	ledger.Appender
	*faulty
}

func (f faultyAppender) Close() error { return f.Appender.Close() }

func (f faultyAppender) Commit(ctx context.Context, a []ledger.Advance) error {
	f.mu.Lock()
	before, after, gate := f.before, f.after, f.gate
	f.mu.Unlock()
	if gate != nil {
		f.begun <- struct{}{}
		<-gate
	}
	if before != nil {
		return before
	}
	return errors.Join(f.Appender.Commit(ctx, a), after)
}

func TestFailedCommitFailsItsCallersAndNothingElse(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		f := &faulty{}
		h := at.open(t, func(c *ledger.Config) { f.Store = c.Store; c.Store = f })
		add := func() error { _, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead}); return err }
		if err := add(); err != nil {
			t.Fatal(err)
		}
		f.mu.Lock()
		f.before = errors.New("fsync: input/output error")
		f.mu.Unlock()
		err := add()
		wantKind(t, err, steward.Unavailable)
		if strings.Contains(steward.Message(err), "fsync") {
			t.Errorf("an unknown error is shown: %s", steward.Message(err))
		}
		_, err = h.Begin(ctx, ws, ledger.Entry{})
		wantKind(t, err, steward.Unavailable)

		f.mu.Lock()
		f.before, f.after = nil, errors.New("the connection went after the commit")
		f.mu.Unlock()
		wantKind(t, add(), steward.Unavailable) // and yet it is written

		f.mu.Lock()
		f.after = nil
		f.mu.Unlock()
		if err := add(); err != nil {
			t.Fatal(err)
		}
		sound(t, h.verify(t, ws), 3)
	})
}

func TestCancelledWhileWaiting(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		f := &faulty{gate: make(chan struct{}), begun: make(chan struct{}, 100)}
		h := at.open(t, func(c *ledger.Config) { f.Store = c.Store; c.Store = f })
		first, second := make(chan error), make(chan error)
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			_, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead, Run: "run_taken"})
			first <- err
		}()
		<-f.begun
		go func() { _, err := h.Begin(ctx, ws, ledger.Entry{Run: "run_queued"}); second <- err }()
		time.Sleep(20 * time.Millisecond) // let it come into the queue; if it doesn't, the test still holds
		cancel()
		err := <-second
		wantKind(t, err, steward.Unavailable)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the cause is lost: %v", err)
		}
		close(f.gate)
		if err := <-first; err != nil {
			t.Errorf("an entry that was being written came back as %v", err)
		}
		if _, err := h.Append(context.Background(), ws, ledger.Entry{Kind: ledger.RunRead}); err != nil {
			t.Fatal(err)
		}
		if got := h.headers(t, ws, ledger.Query{}); len(got) != 2 || got[0].Run != "run_taken" {
			t.Errorf("on record: %+v", got)
		}
		if open, err := h.store.Intents(context.Background(), ws); err != nil || len(open) != 0 {
			t.Errorf("the refused intent is open: %v, %v", open, err)
		}
	})
}

func TestCloseWritesWhatWaitsAndRefusesMore(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		h := at.open(t, nil)
		var wg sync.WaitGroup
		var mu sync.Mutex
		written := 0
		for range 50 {
			wg.Go(func() {
				for {
					_, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead})
					if err != nil {
						wantUnavailable(t, err)
						return
					}
					mu.Lock()
					written++
					mu.Unlock()
				}
			})
		}
		time.Sleep(30 * time.Millisecond)
		if err := h.Close(ctx); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		r := h.verify(t, ws)
		sound(t, r, written)
		if r.Unsigned != 0 || r.Checkpoint == nil || r.Checkpoint.Size != uint64(written) {
			t.Errorf("after closing %d entries are unsigned, checkpoint %+v", r.Unsigned, r.Checkpoint)
		}
	})
}

func wantUnavailable(t *testing.T, err error) {
	if steward.KindOf(err) != steward.Unavailable {
		t.Errorf("after closing: %v", err)
	}
}

// TestStoredBytes pins the stored bytes: a changed encoding would need a new format.
func TestStoredBytes(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		now := time.Date(2026, 11, 23, 10, 0, 0, 5000, time.UTC)
		h := at.open(t, func(c *ledger.Config) {
			c.Now = func() time.Time { return now }
			c.Rand = bytes.NewReader(make([]byte, 1<<10))
			c.Node = "n"
		})
		if _, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.LedgerRead, Caller: "mem_1", Purpose: "audit", Records: 3}, ledger.Part{Scopes: month, Body: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		rows, err := h.store.Rows(ctx, ws, 0, 1, true)
		if err != nil {
			t.Fatal(err)
		}
		header := string(rows[0].Header)
		head, tail, _ := strings.Cut(header, `"sha256":"`)
		if want := `{"seq":0,"time":"2026-11-23T10:00:00.000005Z","id":"00000000000000000000000000000000","kind":"ledger.read","caller":"mem_1","purpose":"audit","records":3,"node":"n","parts":[{"scopes":["ledger/2026-11"],"len":67,`; head != want || !strings.HasSuffix(tail, `="}]}`) {
			t.Errorf("header\n%s\nwant\n%s", header, want)
		}
		if rows[0].Parts[0] != 1 || rows[0].Parts[1] != 67 || len(rows[0].Parts) != 69 {
			t.Errorf("parts blob begins %v and has %d bytes", rows[0].Parts[:2], len(rows[0].Parts))
		}
		sum := sha256.Sum256(rows[0].Parts[2:])
		if got := h.headers(t, ws, ledger.Query{})[0].Parts[0].SHA256; !bytes.Equal(got, sum[:]) {
			t.Errorf("the header's digest is %x, the box's %x", got, sum)
		}
	})
}

// clock gives 50 ms more each time it is asked.
func clock() func() time.Time {
	var mu sync.Mutex
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(50 * time.Millisecond)
		return now
	}
}

// TestAppendAllIsOneOrNone writes batches from many callers at once: each has consecutive numbers, in its
// order, and one with something wrong in it leaves nothing.
func TestAppendAllIsOneOrNone(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		h := at.open(t, nil)
		batch := func(run string, n int) []ledger.Event {
			events := make([]ledger.Event, n)
			for i := range events {
				events[i] = ledger.Event{Entry: ledger.Entry{Kind: ledger.RunRead, Run: steward.RunID(run), Records: i + 1}, Parts: []ledger.Part{{Scopes: month, Body: fmt.Append(nil, run, i)}}}
			}
			return events
		}
		const writers, each, size = 8, 5, 30
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for n := range each {
					run := fmt.Sprintf("run_%d_%d", w, n)
					first, err := h.AppendAll(ctx, ws, batch(run, size)...)
					if err != nil {
						t.Error(err)
						return
					}
					for i, e := range h.headers(t, ws, ledger.Query{From: first, Limit: size}) {
						if e.Seq != first+uint64(i) || e.Run != steward.RunID(run) || e.Records != i+1 {
							t.Errorf("entry %d of %s is %+v", i, run, e)
						}
					}
					if body, err := h.Part(ctx, ws, first+7, 0); err != nil || string(body) != run+"7" {
						t.Errorf("a part of %s: %q, %v", run, body, err)
					}
				}
			})
		}
		wg.Wait()
		bad := batch("run_bad", 3)
		bad[2].Entry.Caller = "Ada Lovelace"
		if _, err := h.AppendAll(ctx, ws, bad...); err == nil {
			t.Error("a name was written into a header")
		}
		bad[2].Entry = ledger.Entry{Kind: ledger.CallIntent}
		if _, err := h.AppendAll(ctx, ws, bad...); err == nil {
			t.Error("a bare intent was written")
		}
		for _, n := range []int{0, 1025} {
			_, err := h.AppendAll(ctx, ws, make([]ledger.Event, n)...)
			wantKind(t, err, steward.TooLarge)
		}
		large := batch("run_large", 3)
		for i := range large {
			large[i].Parts[0].Body = random(3 << 20)
		}
		_, err := h.AppendAll(ctx, ws, large...)
		wantKind(t, err, steward.TooLarge)
		sound(t, h.verify(t, ws), writers*each*size)
	})
}
