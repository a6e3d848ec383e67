package prune_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sumdb "golang.org/x/mod/sumdb/tlog"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/blob"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/export"
	"github.com/stewardhq/steward/internal/ledger/prune"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/ledger/tlog"
	"github.com/stewardhq/steward/internal/ledger/tlog/verifier"
	"github.com/stewardhq/steward/internal/ledger/verify"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

const ws steward.WorkspaceID = "ws_1"

// kept is how long the class ledger is kept here, in days.
const kept = 366

// house is a ledger with a clock that tests move, whose old part lies in a folder.
type house struct {
	t       *testing.T
	now     time.Time
	blobs   segment.Blobs
	catalog store.Segments
	keys    *keyring.Keyring
	store   *segment.Store
	archive *segment.Archivist
	held    bool
	data    *store.DB
	*ledger.Ledger
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func onSQLite(t *testing.T) *store.DB {
	data, err := store.OpenData(context.Background(), t.TempDir())
	must(t, err)
	return data
}

func onPostgres(t *testing.T) *store.DB {
	data, err := store.Postgres{URL: postgres.Start(t).Database(t)}.OpenData(context.Background())
	must(t, err)
	return data
}

func open(t *testing.T, data *store.DB, entries int) *house {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	h := &house{t: t, now: time.Date(2019, 10, 20, 9, 0, 0, 0, time.UTC), data: data}
	keeper := keyring.FileKeeper{Dir: filepath.Join(dir, "root")}
	must(t, keeper.Create(rand.Reader))
	ring, err := store.OpenKeyring(ctx, dir)
	must(t, err)
	h.keys, err = keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: ring}, Keeper: keeper, Rand: rand.Reader, Alone: true})
	must(t, err)
	folder := blob.Folder{Dir: filepath.Join(dir, "objects"), Now: func() time.Time { return h.now }}
	must(t, folder.Check(ctx))
	h.blobs, h.catalog = folder, store.Segments{DB: data}
	h.store = &segment.Store{Store: store.Ledger{DB: data}, Manifest: h.catalog, Blobs: folder}
	h.archive = &segment.Archivist{
		Store: h.store, Catalog: h.catalog, Sealer: h.keys, Spool: t.TempDir(), Now: func() time.Time { return h.now }, Rand: rand.Reader, Entries: entries,
		Days: func(context.Context, steward.WorkspaceID) (map[steward.Class]int, error) {
			return map[steward.Class]int{steward.ClassLedger: kept}, nil
		},
	}
	h.Ledger = h.book(h.store)
	t.Cleanup(func() {
		h.store.Close()
		must(t, errors.Join(data.Close(), ring.Close()))
	})
	return h
}

// book opens a ledger, and closes it with the test.
func (h *house) book(on ledger.Store) *ledger.Ledger {
	h.t.Helper()
	l, err := ledger.Open(context.Background(), ledger.Config{Store: on, Sealer: h.keys, Now: func() time.Time { return h.now }, Rand: rand.Reader, Origin: "steward.test"})
	must(h.t, err)
	h.t.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

func (h *house) pruner() *prune.Pruner {
	return &prune.Pruner{Store: h.store, Catalog: h.catalog, Ledger: h.Ledger, Sealer: h.keys, Held: func(context.Context, steward.WorkspaceID) (bool, error) { return h.held, nil }}
}

// prune lets go what is due.
func (h *house) prune(w steward.WorkspaceID) ledger.Pruned {
	h.t.Helper()
	p, err := h.pruner().Prune(context.Background(), w, h.now.AddDate(0, 0, -kept))
	must(h.t, err)
	return p
}

// month writes entries, each third with parts, has them sealed, and goes on to the fourth of the next month, when
// what they are in is merged and locked.
func (h *house) month(w steward.WorkspaceID, entries int, parts bool) {
	h.t.Helper()
	ctx := context.Background()
	for done := 0; done < entries; {
		var events []ledger.Event
		for ; done < entries && len(events) < 500; done++ {
			e := ledger.Event{Entry: ledger.Entry{Kind: ledger.RunRead, Caller: fmt.Sprint("mem_", done%5), Records: done}}
			if parts && done%3 == 0 {
				e.Parts = []ledger.Part{
					{Scopes: []steward.Scope{steward.TimeScope(steward.ClassLedger, h.now), steward.PersonScope("p1")}, Body: []byte("what was done")},
					{Scopes: []steward.Scope{steward.TimeScope(steward.ClassPrompt, h.now)}, Body: []byte("what was asked")},
				}
			}
			events = append(events, e)
		}
		_, err := h.AppendAll(ctx, w, events...)
		must(h.t, err)
		h.now = h.now.Add(time.Second)
	}
	_, err := h.Checkpoint(ctx, w)
	must(h.t, err)
	h.now = h.now.Add(25 * time.Hour)
	must(h.t, h.archive.Pass(ctx))
	h.now = time.Date(h.now.Year(), h.now.Month()+1, 4, 9, 0, 0, 0, time.UTC)
	must(h.t, h.archive.Pass(ctx))
}

// begin and done say what retention says of scopes, before and after; destroy and drop is what it does between.
func (h *house) said(w steward.WorkspaceID, kind ledger.Kind, scopes []steward.Scope) {
	h.t.Helper()
	e := ledger.Entry{Kind: kind, Caller: "steward"}
	for _, s := range scopes {
		e.Targets = append(e.Targets, string(s))
	}
	_, err := h.Append(context.Background(), w, e)
	must(h.t, err)
}

func (h *house) drop(w steward.WorkspaceID, scopes []steward.Scope) {
	h.t.Helper()
	_, err := segment.Dropper{Store: h.store, Catalog: h.catalog}.DropScopes(context.Background(), w, scopes)
	must(h.t, err)
}

// purge does all of it to a month and a day's prompts.
func (h *house) purge(w steward.WorkspaceID, scopes ...steward.Scope) {
	h.t.Helper()
	h.said(w, ledger.PurgeBegun, scopes)
	must(h.t, h.keys.Shred(context.Background(), w, scopes...))
	h.drop(w, scopes)
	h.said(w, ledger.PurgeDone, scopes)
}

// rows are the headers from an entry on.
func (h *house) rows(w steward.WorkspaceID, from uint64) (headers [][]byte) {
	h.t.Helper()
	rows, err := ledger.ReadRange(context.Background(), h.store, w, from, 1<<40, false)
	must(h.t, err)
	for i, row := range rows {
		if row.Seq != from+uint64(i) {
			h.t.Fatalf("entry %d stands where %d should", row.Seq, from+uint64(i))
		}
		headers = append(headers, row.Header)
	}
	return headers
}

func (h *house) verify(w steward.WorkspaceID) verify.Report {
	h.t.Helper()
	r, err := verify.Ledger(context.Background(), verify.Source{Store: h.store, Sealer: h.keys}, w, nil)
	must(h.t, err)
	return r
}

func says(r verify.Report) string {
	var all []string
	for _, f := range r.Findings {
		all = append(all, f.What)
	}
	return strings.Join(all, "; ")
}

// sound holds what is left of a ledger against all who verify it.
func (h *house) sound(w steward.WorkspaceID, first uint64) {
	h.t.Helper()
	ctx := context.Background()
	cp, err := h.Checkpoint(ctx, w)
	must(h.t, err)
	r := h.verify(w)
	if len(r.Findings) > 0 || r.Entries != cp.Size-first || (r.Pruned == nil) != (first == 0) {
		h.t.Fatalf("verify: %d entries of %d, pruned %+v, %s", r.Entries, cp.Size-first, r.Pruned, says(r))
	}
	if first > 0 && (r.Pruned.Entries != first || r.Pruned.By < first || !strings.HasPrefix(string(r.Pruned.Last), "ledger/20")) {
		h.t.Errorf("verify says of the beginning %+v", r.Pruned)
	}
	log := tlog.Log{Store: h.store, Sealer: h.keys}
	dir := h.t.TempDir()
	_, err = log.Export(ctx, w, dir, nil)
	must(h.t, err)
	l, err := verifier.Check(dir)
	if err != nil || l.First != int(first) || uint64(len(l.Headers)) != cp.Size-first {
		h.t.Errorf("the independent verifier says %v, over %d entries from %d on", err, len(l.Headers), l.First)
	}
	f, err := tlog.OpenFolder(dir)
	must(h.t, err)
	defer func() { must(h.t, f.Close()) }()
	if r, err = verify.Ledger(ctx, verify.Source{Store: f, Key: cp.Key, HeadersOnly: true}, w, nil); err != nil || len(r.Findings) > 0 || r.Entries != cp.Size-first {
		h.t.Errorf("the exported folder: %+v, %v", r, err)
	}
}

func TestWhatIsOverGoes(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { overGoes(t, open(t, onSQLite(t), 256)) })
	t.Run("postgres", func(t *testing.T) { overGoes(t, open(t, onPostgres(t), 256)) })
}

func overGoes(t *testing.T, h *house) {
	ctx := context.Background()
	prompts := []steward.Scope{"prompt/2019-10-20", "prompt/2019-11-04", "prompt/2019-12-04"}
	h.month(ws, 700, true)  // October: two whole tiles, and 188 entries that are sealed with the next
	h.month(ws, 1000, true) // November
	h.month("ws_2", 600, true)
	h.now = time.Date(2019, 12, 4, 9, 0, 0, 0, time.UTC)
	h.month(ws, 700, true) // December, the last that is sealed
	list, err := h.catalog.Segments(ctx, ws, segment.Span{End: 1 << 60, Since: -1 << 60, Until: 1 << 60, Limit: 99})
	must(t, err)
	if len(list) != 3 || list[0].End() != 512 || list[1].End() != 1536 || list[2].End() != 2304 {
		t.Fatalf("the manifest is %+v", list)
	}
	h.sound(ws, 0)
	all := h.rows(ws, 0)
	before, err := h.Checkpoint(ctx, ws)
	must(t, err)

	// Not before all that it rests on is so.
	stays := func(when string) {
		t.Helper()
		if p := h.prune(ws); p != (ledger.Pruned{}) {
			t.Errorf("%s: %+v went", when, p)
		}
	}
	stays("too early")
	h.now = time.Date(2020, 11, 1, 9, 0, 0, 0, time.UTC) // 366 days and nine hours after October
	october := []steward.Scope{"ledger/2019-10", prompts[0]}
	stays("with parts that open")
	h.said(ws, ledger.PurgeBegun, october)
	must(t, h.keys.Shred(ctx, ws, october...))
	stays("with parts that are there")
	h.drop(ws, october)
	stays("without a purge on record")
	h.said(ws, ledger.PurgeDone, october)
	h.held = true
	stays("under a hold")
	h.held = false

	if p := h.prune(ws); p.First != 512 || p.Entries != 512 || p.Objects != 2 {
		t.Fatalf("%+v went", p)
	}
	if p := h.prune(ws); p != (ledger.Pruned{First: 512}) {
		t.Errorf("a second time %+v went", p)
	}
	for i, header := range h.rows(ws, 512)[:len(all)-512] {
		if !bytes.Equal(header, all[512+i]) {
			t.Fatalf("entry %d is another", 512+i)
		}
	}
	h.sound(ws, 512)
	h.recorded(ws, "ledger/2019-10", 512)
	if first, err := h.First(ctx, "ws_2"); err != nil || first != 0 {
		t.Errorf("another workspace's begins with %d, %v", first, err)
	}
	if _, err := h.Part(ctx, ws, 3, 0); steward.KindOf(err) != steward.Gone {
		t.Errorf("a part that went: %v", err)
	}
	if r, err := verify.Ledger(ctx, verify.Source{Store: h.store, Sealer: h.keys, Known: []string{before.Note}}, ws, nil); err != nil || len(r.Findings) > 0 {
		t.Errorf("against a checkpoint from before: %s, %v", says(r), err)
	}

	// It goes on: more is written and sealed, and more goes. A later range explains the earlier one.
	h.month(ws, 600, true)
	h.sound(ws, 512)
	h.now = time.Date(2021, 1, 2, 9, 0, 0, 0, time.UTC)
	h.purge(ws, "ledger/2019-11", prompts[1])
	h.purge(ws, "ledger/2019-12", prompts[2])
	if p := h.prune(ws); p.First != 2304 || p.Entries != 2304-512 || p.Objects != 4 {
		t.Fatalf("%+v went", p)
	}
	h.sound(ws, 2304)
	h.recorded(ws, "ledger/2019-12", 512, 2304)

	// Who asks finds what is left, and nothing of it twice or not at all.
	var found []uint64
	must(t, h.Read(ctx, ws, ledger.Query{Member: "mem_1", Kind: ledger.RunRead}, func(e ledger.Header) error { found = append(found, e.Seq); return nil }))
	var backward []uint64
	must(t, h.Read(ctx, ws, ledger.Query{Member: "mem_1", Kind: ledger.RunRead, Backward: true, Until: h.now}, func(e ledger.Header) error { backward = append(backward, e.Seq); return nil }))
	slices.Reverse(backward)
	if len(found) == 0 || found[0] < 2304 || !slices.Equal(found, backward) {
		t.Errorf("found %v, and backward %v", found, backward)
	}
	for _, q := range []ledger.Query{{}, {Since: time.Date(2019, 11, 1, 0, 0, 0, 0, time.UTC)}, {From: 9}} {
		e, err := export.New(ctx, tlog.Log{Store: h.store, Sealer: h.keys}, ws, q)
		must(t, err)
		var out bytes.Buffer
		n, err := e.Write(ctx, &out, "jsonl", t.TempDir(), nil)
		if err != nil || e.Pruned != 2304 || n != e.Checkpoint.Size-2304 || uint64(bytes.Count(out.Bytes(), []byte("\n"))) < n {
			t.Errorf("%+v: %d entries were exported behind %d, %v", q, n, e.Pruned, err)
		}
	}
}

// recorded wants pruning on record up to these numbers, each once and named before.
func (h *house) recorded(w steward.WorkspaceID, last steward.Scope, ends ...uint64) {
	h.t.Helper()
	var got []string
	must(h.t, h.Read(context.Background(), w, ledger.Query{Since: h.now.AddDate(-1, 0, 0)}, func(e ledger.Header) error {
		if first, period, ok := e.Prunes(); ok {
			got = append(got, fmt.Sprint(e.Kind, " ", first))
			if first == ends[len(ends)-1] && period != last {
				h.t.Errorf("the ground is %s", period)
			}
		}
		return nil
	}))
	var want []string
	for _, end := range ends {
		want = append(want, fmt.Sprint(ledger.PurgeBegun, " ", end), fmt.Sprint(ledger.PurgeDone, " ", end))
	}
	if !slices.Equal(got, want) {
		h.t.Errorf("on record is %v, want %v", got, want)
	}
}

// TestProofsOfWhatIsLeft prunes tiles of two levels, and makes all sorts of proofs by the rest.
func TestProofsOfWhatIsLeft(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	h := open(t, onSQLite(t), 1<<16)
	h.month(ws, 66_300, false)
	h.month(ws, 700, false)
	h.now = time.Date(2020, 11, 2, 9, 0, 0, 0, time.UTC)
	headers := h.rows(ws, 0)
	const first = 66_048 // 258 tiles
	if p := h.prune(ws); p.First != first {
		t.Fatalf("%+v went", p) // no entry has a part: there is nothing that must have been purged
	}
	h.sound(ws, first)
	log := tlog.Log{Store: h.store, Sealer: h.keys}
	cp, err := h.Checkpoint(ctx, ws)
	must(t, err)
	var hashes []sumdb.Hash // by RFC 6962, of all that ever was
	reader := sumdb.HashReaderFunc(func(indexes []int64) (list []sumdb.Hash, err error) {
		for _, i := range indexes {
			list = append(list, hashes[i])
		}
		return list, nil
	})
	add := func(header []byte, seq int) {
		more, err := sumdb.StoredHashes(int64(seq), header, reader)
		must(t, err)
		hashes = append(hashes, more...)
	}
	for i, header := range headers {
		add(header, i)
	}
	for i, header := range h.rows(ws, uint64(len(headers))) {
		add(header, len(headers)+i)
	}
	root := func(size uint64) sumdb.Hash {
		r, err := sumdb.TreeHash(int64(size), reader)
		must(t, err)
		return r
	}
	sizes := []uint64{first, first + 1, first + 2, first + 255, first + 256, first + 257, cp.Size - 1, cp.Size}
	for _, size := range sizes {
		if got, err := log.Root(ctx, ws, size); err != nil || got != root(size) {
			t.Errorf("the root at %d: %v", size, err)
		}
		for _, seq := range []uint64{first, first + 1, (first + size) / 2, size - 1} {
			if seq < first || seq >= size {
				continue
			}
			proof, err := log.Inclusion(ctx, ws, seq, size)
			if err != nil {
				t.Errorf("%d in %d: %v", seq, size, err)
			} else if err := tlog.CheckInclusion(h.rows(ws, seq)[0], seq, size, root(size), proof); err != nil {
				t.Errorf("%d in %d: %v", seq, size, err)
			}
		}
		for _, to := range sizes {
			if to < size {
				continue
			}
			proof, err := log.Consistency(ctx, ws, size, to)
			if err != nil {
				t.Errorf("from %d to %d: %v", size, to, err)
			} else if err := tlog.CheckConsistency(size, root(size), to, root(to), proof); err != nil {
				t.Errorf("from %d to %d: %v", size, to, err)
			}
		}
	}
	// What went can't be proved, and that is said, not taken for damage.
	for name, f := range map[string]func() error{
		"an entry":     func() error { _, err := log.Inclusion(ctx, ws, 7, cp.Size); return err },
		"a size":       func() error { _, err := log.Consistency(ctx, ws, 1000, cp.Size); return err },
		"a root":       func() error { _, err := log.Root(ctx, ws, 255); return err },
		"a tile":       func() error { _, err := log.Tile(ctx, ws, 0, 257, 256); return err },
		"a tile above": func() error { _, err := log.Tile(ctx, ws, 1, 0, 256); return err },
		"a bundle":     func() error { _, err := log.Bundle(ctx, ws, 0, 256); return err },
		"a receipt":    func() error { _, _, err := log.Receipt(ctx, ws, first-1); return err },
	} {
		if err := f(); steward.KindOf(err) != steward.Gone || !strings.Contains(steward.Message(err), "66048") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := log.Tile(ctx, ws, 0, 9999, 1); steward.KindOf(err) != steward.NotFound {
		t.Errorf("a tile behind the end: %v", err)
	}

	server := httptest.NewServer(log.Handler(func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, steward.Message(err), http.StatusGone)
	}))
	defer server.Close()
	for path, want := range map[string]string{"minimum-index": "66048\n", "tile/0/000": "begins with entry 66048", "tile/entries/257": "begins with entry 66048"} {
		resp, err := server.Client().Get(server.URL + "/tlog/ws_1/" + path)
		must(t, err)
		body, err := io.ReadAll(resp.Body)
		must(t, errors.Join(err, resp.Body.Close()))
		if (path == "minimum-index") != (resp.StatusCode == 200) || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, %q", path, resp.Status, body)
		}
	}
	if sum := sha256.Sum256(nil); root(0) != sumdb.Hash(sum) {
		t.Error("the roots are compared with no tree's") // the reader above is RFC 6962's
	}
}

// TestPrunedInvisibly has a ledger's beginning go in ways that no entry explains, or more than it says.
func TestPrunedInvisibly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   func(h *house)
		want string
	}{
		"nothing is on record": {func(h *house) {
			must(h.t, h.catalog.Prune(context.Background(), ws, 1024))
		}, "begins with entry 1024, and no purge on record explains"},
		"something else is on record": {func(h *house) {
			_, err := h.Append(context.Background(), ws, ledger.Pruning(ledger.PurgeBegun, ledger.Waiting, 512, "ledger/2019-10"))
			must(h.t, err)
			must(h.t, h.catalog.Prune(context.Background(), ws, 1024))
		}, "begins with entry 1024, and no purge on record explains"},
		"it isn't signed": {func(h *house) {
			must(h.t, h.Close(context.Background()))
			book := h.book(unsigned{h.store})
			_, err := book.Append(context.Background(), ws, ledger.Pruning(ledger.PurgeBegun, ledger.Waiting, 512, "ledger/2019-10"))
			must(h.t, err)
			must(h.t, h.catalog.Prune(context.Background(), ws, 512))
		}, "begins with entry 512, and no purge on record explains"},
		"a month that isn't over": {func(h *house) {
			_, err := h.Append(context.Background(), ws, ledger.Pruning(ledger.PurgeBegun, ledger.Waiting, 512, "ledger/2020-01"))
			must(h.t, err)
			_, err = h.Checkpoint(context.Background(), ws)
			must(h.t, err)
			must(h.t, h.catalog.Prune(context.Background(), ws, 512))
		}, "begins with entry 512, and no purge on record explains"},
		"only that it went": {func(h *house) {
			_, err := h.Append(context.Background(), ws, ledger.Pruning(ledger.PurgeDone, ledger.OK, 512, "ledger/2019-10"))
			must(h.t, err)
			must(h.t, h.catalog.Prune(context.Background(), ws, 512))
		}, "begins with entry 512, and no purge on record explains"},
		"more went than was said": {func(h *house) {
			h.now = time.Date(2020, 11, 2, 9, 0, 0, 0, time.UTC)
			h.prune(ws)
			list, err := h.catalog.Segments(context.Background(), ws, segment.Span{End: 1 << 60, Since: -1 << 60, Until: 1 << 60, Limit: 1})
			must(h.t, err)
			if list[0].First != 512 {
				h.t.Fatalf("it begins with %d", list[0].First)
			}
			h.now = h.now.AddDate(2, 0, 0) // it is locked
			_, err = h.store.Delete(context.Background(), list[0].Objects[0].Name)
			must(h.t, err)
		}, "entries 512 to 1023 can't be read"},
		"tiles that stand for it are others": {func(h *house) {
			h.now = time.Date(2020, 11, 2, 9, 0, 0, 0, time.UTC)
			h.prune(ws)
			_, err := h.data.Rows().Exec(context.Background(), within, `UPDATE ledger_tiles SET hashes = $2 WHERE workspace = $1 AND level = 1`, ws, bytes.Repeat([]byte{7}, 32*7))
			must(h.t, err)
			_, err = h.data.Rows().Exec(context.Background(), within, `DELETE FROM ledger_checkpoints WHERE workspace = $1 AND size <= 512`, ws)
			must(h.t, err)
		}, "among entries 512 to"},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, onSQLite(t), 256)
			for range 3 {
				h.month(ws, 600, false)
			}
			h.sound(ws, 0)
			c.do(h)
			if r := h.verify(ws); !strings.Contains(says(r), c.want) {
				t.Errorf("verify finds %q, pruned %+v", says(r), r.Pruned)
			}
		})
	}
}

// TestNothingRememberedReachesIt: who signs a log can sign another, and prune that beyond all that is remembered. So that
// nothing remembered can be held against a log is told; what its own store remembers doesn't count.
func TestNothingRememberedReachesIt(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	h := open(t, onSQLite(t), 256)
	_, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead, Caller: "mem_1"})
	must(t, err)
	old, err := h.Checkpoint(ctx, ws)
	must(t, err)
	h.month(ws, 600, false)
	h.month(ws, 600, false)
	newer, err := h.Checkpoint(ctx, ws)
	must(t, err)
	const want = "nothing that is remembered tells whether it is the same"
	finds := func(cosigned string, known ...string) string {
		t.Helper()
		r, err := verify.Ledger(ctx, verify.Source{Store: h.store, Sealer: h.keys, Known: known, Cosigned: cosigned}, ws, nil)
		must(t, err)
		return says(r)
	}
	if got := finds("", old.Note); got != "" {
		t.Errorf("before anything was pruned: %s", got)
	}
	h.now = time.Date(2020, 11, 2, 9, 0, 0, 0, time.UTC)
	h.prune(ws)
	if head, err := h.store.Head(ctx, ws); err != nil || head.First < old.Size {
		t.Fatalf("it begins with %d, %v; the older checkpoint is over %d", head.First, err, old.Size)
	}
	for name, got := range map[string]string{"nothing": finds(""), "the older one, in the store": finds(old.Note), "both": finds("", old.Note, newer.Note)} {
		if got != "" {
			t.Errorf("%s is remembered: %s", name, got)
		}
	}
	for name, got := range map[string]string{"the older one": finds("", old.Note), "the older one, and the newer in the store": finds(newer.Note, old.Note)} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is remembered: %q", name, got)
		}
	}
}

// unsigned is a store that keeps no checkpoint.
type unsigned struct{ ledger.Store }

func (unsigned) SaveCheckpoints(context.Context, []ledger.Signed) error { return errors.New("no") }

// TestFolderPrunedInvisibly does the same to an export.
func TestFolderPrunedInvisibly(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	h := open(t, onSQLite(t), 256)
	h.month(ws, 600, false)
	h.month(ws, 600, false)
	dir := t.TempDir()
	cp, err := tlog.Log{Store: h.store, Sealer: h.keys}.Export(ctx, ws, dir, nil)
	must(t, err)
	finds := func() string {
		t.Helper()
		f, err := tlog.OpenFolder(dir)
		if err != nil {
			return steward.Message(err)
		}
		r, err := verify.Ledger(ctx, verify.Source{Store: f, Key: cp.Key, HeadersOnly: true}, ws, nil)
		must(t, errors.Join(err, f.Close()))
		return says(r)
	}
	for index, want := range map[string]string{
		"512\n": "no purge on record explains", "0\n": "", "100": "can't be read", "-256": "can't be read", "1280": "can't be read", "x": "can't be read", "": "can't be read",
	} {
		must(t, os.WriteFile(filepath.Join(dir, "minimum-index"), []byte(index), 0o644))
		if got := finds(); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("with minimum index %q: %q", index, got)
		}
		if _, err := verifier.Check(dir); (err == nil) != (want == "") && index != "" {
			t.Errorf("with minimum index %q the independent verifier says %v", index, err)
		}
	}

	// A backup brought back what was pruned when it was exported last.
	must(t, os.WriteFile(filepath.Join(dir, "minimum-index"), []byte("512\n"), 0o644))
	_, err = tlog.Log{Store: h.store, Sealer: h.keys}.Export(ctx, ws, dir, nil)
	must(t, err)
	if got := finds(); got != "" {
		t.Errorf("exported again whole: %s", got)
	}

	// One that was exported before goes on, and begins later.
	h.now = time.Date(2020, 11, 2, 9, 0, 0, 0, time.UTC)
	h.prune(ws)
	_, err = tlog.Log{Store: h.store, Sealer: h.keys}.Export(ctx, ws, dir, nil)
	must(t, err)
	if got := finds(); got != "" {
		t.Errorf("exported into again: %s", got)
	}
	if l, err := verifier.Check(dir); err != nil || l.First != 512 {
		t.Errorf("exported into again, the independent verifier says %v, from %d on", err, l.First)
	}
}

// FuzzPrunes: whatever a target is, an entry says that entries from 0 on go, or nothing.
func FuzzPrunes(f *testing.F) {
	for _, seed := range []string{"entries/0-511", "entries/0-", "entries/0-9223372036854775807", "entries/0-9223372036854775808", "entries/0--1", "entries/1-511", "ledger/2019-10", ""} {
		f.Add(seed, "ledger/2019-10")
	}
	f.Fuzz(func(t *testing.T, target, period string) {
		h := ledger.Header{Entry: ledger.Entry{Kind: ledger.PurgeBegun, Targets: []string{target, period}}}
		first, last, ok := h.Prunes()
		if !ok {
			return
		}
		again := ledger.Header{Entry: ledger.Pruning(ledger.PurgeBegun, ledger.Waiting, first, last)}
		if number, scope, ok := again.Prunes(); !ok || first == 0 || number != first || string(scope) != period || !strings.HasPrefix(target, "entries/0-") {
			t.Errorf("%q is read as %d and written as %q", target, first, again.Targets)
		}
		h.Kind = ledger.RunRead
		if _, _, ok := h.Prunes(); ok {
			t.Error("an entry of another kind prunes")
		}
	})
}
