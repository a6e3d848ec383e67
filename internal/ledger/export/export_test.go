package export_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	sumdb "golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/export"
	"github.com/stewardhq/steward/internal/ledger/ocsf"
	"github.com/stewardhq/steward/internal/ledger/segment/columns"
	"github.com/stewardhq/steward/internal/ledger/tlog"
	"github.com/stewardhq/steward/internal/ledger/tree"
	"github.com/stewardhq/steward/internal/store"
)

const ws steward.WorkspaceID = "ws_1"

var start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// house is a ledger on real SQLite, each of whose entries is a second younger than the one before.
type house struct {
	log  tlog.Log
	book *ledger.Ledger
	now  time.Time
}

func open(t *testing.T) *house {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	h := &house{now: start}
	keeper := keyring.FileKeeper{Dir: filepath.Join(dir, "root")}
	must(t, keeper.Create(rand.Reader))
	ring, err := store.OpenKeyring(ctx, dir)
	must(t, err)
	keys, err := keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: ring}, Keeper: keeper, Rand: rand.Reader})
	must(t, err)
	data, err := store.OpenData(ctx, dir)
	must(t, err)
	h.log = tlog.Log{Store: store.Ledger{DB: data}, Sealer: keys}
	h.book, err = ledger.Open(ctx, ledger.Config{
		Store: store.Ledger{DB: data}, Sealer: keys, Rand: rand.Reader, Origin: "steward.test",
		Now: func() time.Time { h.now = h.now.Add(time.Second); return h.now },
	})
	must(t, err)
	t.Cleanup(func() { must(t, errors.Join(h.book.Close(ctx), data.Close(), ring.Close())) })
	return h
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// grow adds entries of many sorts and gives the checkpoint over them.
func (h *house) grow(t *testing.T, w steward.WorkspaceID, entries int) ledger.Checkpoint {
	t.Helper()
	ctx := context.Background()
	var intent ledger.Intent
	for i := range entries {
		e := ledger.Entry{
			Kind: []ledger.Kind{ledger.RunRead, ledger.CallDenied, ledger.LedgerRead}[i%3], Run: steward.RunID(fmt.Sprint("run_", i/4)),
			Caller: fmt.Sprint("mem_", i%5), OnBehalfOf: steward.MemberID(fmt.Sprint("mem_", i%4)), System: "salesforce", Tool: fmt.Sprint("tool_", i%6),
			Effect: steward.Write, Decision: []string{"allow", "deny"}[i%2], Policies: []string{"a.b"}, PolicySet: "5f0c",
			Outcome: []string{ledger.OK, ledger.Failed, ledger.Denied}[i%3], Error: []string{"", "upstream"}[i%2], Purpose: "audit", Records: i % 4, DurationMicros: int64(i),
		}
		for n := range i % 33 {
			e.Targets = append(e.Targets, fmt.Sprint("salesforce:Opportunity:", n))
		}
		var parts []ledger.Part
		if i%5 == 0 {
			parts = []ledger.Part{{Scopes: []steward.Scope{"ledger/2026-11", "person/p1"}, Body: []byte("what only a key opens")}}
		}
		var err error
		switch {
		case i%7 == 0 && i+1 < entries:
			intent, err = h.book.Begin(ctx, w, e, parts...)
		case i%7 == 1:
			_, err = h.book.End(ctx, intent, e)
		default:
			_, err = h.book.Append(ctx, w, e, parts...)
		}
		must(t, err)
	}
	cp, err := h.book.Checkpoint(ctx, w)
	must(t, err)
	return cp
}

// headers are the exact bytes of all entries, from the store.
func (h *house) headers(t testing.TB, w steward.WorkspaceID) (all [][]byte) {
	t.Helper()
	for {
		rows, err := h.log.Store.Rows(context.Background(), w, uint64(len(all)), 1000, false)
		must(t, err)
		if len(rows) == 0 {
			return all
		}
		for _, row := range rows {
			all = append(all, row.Header)
		}
	}
}

// write exports what fits a query.
func write(log tlog.Log, as string, q ledger.Query) (content []byte, entries uint64, cp ledger.Checkpoint, err error) {
	var out bytes.Buffer
	e, err := export.New(context.Background(), log, ws, q)
	if err != nil {
		return nil, 0, cp, err
	}
	entries, err = e.Write(context.Background(), &out, as, "", nil)
	return out.Bytes(), entries, e.Checkpoint, err
}

func lines(content []byte) []string {
	if len(content) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
}

// fromLine takes a line of JSONL apart, into the header's bytes and the leaf.
func fromLine(t testing.TB, line string) (header []byte, leaf string) {
	t.Helper()
	rest, ok := strings.CutPrefix(line, `{"leaf":"`)
	leaf, rest, cut := strings.Cut(rest, `",`)
	if !ok || !cut {
		t.Fatalf("%s begins with no leaf", line)
	}
	return []byte("{" + rest), leaf
}

// TestAllFormatsHoldWhatWasSigned makes the tree out of the lines alone, with another library.
func TestAllFormatsHoldWhatWasSigned(t *testing.T) {
	h := open(t)
	h.grow(t, "ws_2", 30)
	size := 0
	for _, to := range []int{1, 2, 255, 256, 257, 600} {
		cp := h.grow(t, ws, to-size)
		size = to
		_, err := h.book.Append(context.Background(), "ws_2", ledger.Entry{Kind: ledger.RunRead})
		must(t, err)
		headers := h.headers(t, ws)

		content, entries, got, err := write(h.log, export.JSONL, ledger.Query{})
		must(t, err)
		if got.Note != cp.Note || entries != uint64(size) || len(lines(content)) != size {
			t.Fatalf("%d entries in %d lines up to %+v, want %d", entries, len(lines(content)), got, size)
		}
		var stored []sumdb.Hash
		reader := sumdb.HashReaderFunc(func(indexes []int64) (list []sumdb.Hash, err error) {
			for _, i := range indexes {
				list = append(list, stored[i])
			}
			return list, nil
		})
		for i, line := range lines(content) {
			header, leaf := fromLine(t, line)
			if !bytes.Equal(header, headers[i]) {
				t.Fatalf("line %d is of %s, not %s", i, header, headers[i])
			}
			if hash := sumdb.RecordHash(header); leaf != hex.EncodeToString(hash[:]) {
				t.Errorf("the leaf of entry %d is %s", i, leaf)
			}
			var any map[string]any
			if err := json.Unmarshal([]byte(line), &any); err != nil || any["seq"] != float64(i) || any["leaf"] != leaf {
				t.Errorf("line %d: %v in %s", i, err, line)
			}
			hashes, err := sumdb.StoredHashes(int64(i), header, reader)
			must(t, err)
			stored = append(stored, hashes...)
		}
		root, err := sumdb.TreeHash(int64(size), reader)
		if err != nil || !bytes.Equal(root[:], cp.Root) {
			t.Errorf("the lines' root is %x, %v, not %x", root, err, cp.Root)
		}

		content, entries, _, err = write(h.log, export.OCSF, ledger.Query{})
		must(t, err)
		if entries != uint64(size) || len(lines(content)) != size {
			t.Fatalf("%d events in %d lines", entries, len(lines(content)))
		}
		for i, line := range lines(content) {
			row := ledger.Row{Seq: uint64(i), Header: headers[i]}
			header, err := ledger.Decode(&row)
			must(t, err)
			var want bytes.Buffer
			e := json.NewEncoder(&want)
			e.SetEscapeHTML(false)
			must(t, e.Encode(ocsf.FromEntry("steward.test/ws_1", ws, &header, headers[i], tlog.Leaf(headers[i]))))
			if line+"\n" != want.String() {
				t.Fatalf("event %d is\n%s\nnot\n%s", i, line, want.String())
			}
		}

		content, entries, _, err = write(h.log, export.Parquet, ledger.Query{})
		must(t, err)
		rows, err := parquet.Read[columns.Header](bytes.NewReader(content), int64(len(content)))
		must(t, err)
		if entries != uint64(size) || len(rows) != size {
			t.Fatalf("%d rows for %d entries", len(rows), entries)
		}
		for i, row := range rows {
			// Each column says what the header says, read as anybody would read it.
			var said map[string]any
			must(t, json.Unmarshal(headers[i], &said))
			parts, _ := said["parts"].([]any)
			text := func(name string) string { s, _ := said[name].(string); return s }
			if !bytes.Equal(row.Header, headers[i]) || row.Seq != int64(i) || float64(row.Seq) != said["seq"] ||
				time.UnixMicro(row.Time).UTC().Format(time.RFC3339Nano) != text("time") || int(row.Parts) != len(parts) || row.MoreTargets != (len(row.Targets) == 32) {
				t.Fatalf("row %d is %+v of %s", i, row, headers[i])
			}
			for name, is := range map[string]string{
				"kind": row.Kind, "run": row.Run, "caller": row.Caller, "on_behalf_of": row.OnBehalfOf, "authentication": row.Authentication, "system": row.System,
				"tool": row.Tool, "effect": row.Effect, "decision": row.Decision, "policy_set": row.PolicySet, "outcome": row.Outcome, "error": row.Error,
				"purpose": row.Purpose, "node": row.Node,
			} {
				if is != text(name) {
					t.Errorf("row %d says %s=%q of %s", i, name, is, headers[i])
				}
			}
			var targets []string
			list, _ := said["targets"].([]any)
			for _, target := range list {
				targets = append(targets, target.(string))
			}
			intent, has := said["intent"].(float64)
			records, _ := said["records"].(float64)
			took, _ := said["duration_us"].(float64)
			if strings.Join(row.Targets, " ") != strings.Join(targets, " ") || has != (row.Intent != nil) || has && float64(*row.Intent) != intent ||
				float64(row.Records) != records || float64(row.DurationUS) != took {
				t.Errorf("row %d is %+v of %s", i, row, headers[i])
			}
		}
		if _, err := columns.Open(bytes.NewReader(content), int64(len(content)), columns.Label{Workspace: ws, First: 0, Entries: uint64(size)}); err != nil {
			t.Error(err)
		}
	}
}

// TestWhatIsBehindTheCheckpointStays: only what is signed leaves.
func TestWhatIsBehindTheCheckpointStays(t *testing.T) {
	h := open(t)
	if _, _, _, err := write(h.log, export.JSONL, ledger.Query{}); steward.KindOf(err) != steward.NotFound {
		t.Errorf("an empty ledger: %v", err)
	}
	h.grow(t, ws, 40)
	log := h.log
	log.Store = unsigned{h.log.Store, 40}
	h.grow(t, ws, 20)
	if content, entries, cp, err := write(log, export.JSONL, ledger.Query{}); err != nil || entries != 40 || len(lines(content)) != 40 || cp.Size != 40 {
		t.Errorf("%d entries up to %d, %v", entries, cp.Size, err)
	}
}

// unsigned is a store whose last checkpoint is an older one.
type unsigned struct {
	ledger.Reader
	signed uint64
}

func (u unsigned) Head(ctx context.Context, w steward.WorkspaceID) (ledger.Head, error) {
	h, err := u.Reader.Head(ctx, w)
	h.Signed = u.signed
	return h, err
}

// query draws one that leaves out some of 600 entries.
func query(t *rapid.T) (q ledger.Query) {
	second := rapid.IntRange(-10, 700)
	q.From = uint64(rapid.SampledFrom([]int{0, 0, 1, 255, 256, 300, 599, 600, 5000}).Draw(t, "from"))
	if rapid.Bool().Draw(t, "since") {
		q.Since = start.Add(time.Duration(second.Draw(t, "since")) * time.Second)
	}
	if rapid.Bool().Draw(t, "until") {
		q.Until = start.Add(time.Duration(second.Draw(t, "until")) * time.Second)
	}
	q.Kind = rapid.SampledFrom([]ledger.Kind{"", ledger.RunRead, ledger.RunStarted}).Draw(t, "kind")
	q.Member = rapid.SampledFrom([]steward.MemberID{"", "mem_1"}).Draw(t, "member")
	return q
}

// wanted is what fits a query, read one by one.
func wanted(t testing.TB, headers [][]byte, q ledger.Query) (seqs []uint64) {
	for i, raw := range headers {
		var h ledger.Header
		must(t, json.Unmarshal(raw, &h))
		if uint64(i) >= q.From && (q.Since.IsZero() || !h.Time.Before(q.Since)) && (q.Until.IsZero() || h.Time.Before(q.Until)) &&
			(q.Kind == "" || h.Kind == q.Kind) && (q.Member == "" || h.Caller == string(q.Member) || h.OnBehalfOf == q.Member) {
			seqs = append(seqs, uint64(i))
		}
	}
	return seqs
}

func seqs(t testing.TB, content []byte) (list []uint64) {
	for _, line := range lines(content) {
		var h ledger.Header
		header, _ := fromLine(t, line)
		must(t, json.Unmarshal(header, &h))
		list = append(list, h.Seq)
	}
	return list
}

// TestQueries holds a query against reading one by one.
func TestQueries(t *testing.T) {
	h := open(t)
	h.grow(t, ws, 600)
	headers := h.headers(t, ws)
	rapid.Check(t, func(rt *rapid.T) {
		q := query(rt)
		content, entries, _, err := write(h.log, export.JSONL, q)
		must(t, err)
		if want, got := wanted(t, headers, q), seqs(t, content); !reflect.DeepEqual(got, want) || entries != uint64(len(want)) {
			rt.Fatalf("%+v gives %v (%d), want %v", q, got, entries, want)
		}
	})
}

// forged is a store of which some rows were changed.
type forged struct {
	ledger.Reader
	change func(*ledger.Row)
}

func (f forged) Rows(ctx context.Context, w steward.WorkspaceID, from uint64, limit int, parts bool) ([]ledger.Row, error) {
	rows, err := f.Reader.Rows(ctx, w, from, limit, parts)
	for i := range rows {
		rows[i].Header = bytes.Clone(rows[i].Header)
		f.change(&rows[i])
	}
	return rows, err
}

// TestForgeriesAreNoExport: whatever rows say that wasn't signed, an export fails or is what it would have been.
// Times are what an attacker would change, so that entries are left out.
func TestForgeriesAreNoExport(t *testing.T) {
	h := open(t)
	h.grow(t, ws, 600)
	headers := h.headers(t, ws)
	caught := 0
	rapid.Check(t, func(rt *rapid.T) {
		q := query(rt)
		from := rapid.Uint64Range(0, 599).Draw(rt, "first forged")
		to := rapid.Uint64Range(from, 599).Draw(rt, "last forged")
		hour := rapid.SampledFrom([]string{"T01:", "T08:", "T23:"}).Draw(rt, "hour")
		log := h.log
		log.Store = forged{h.log.Store, func(row *ledger.Row) {
			if row.Seq >= from && row.Seq <= to {
				row.Header = bytes.Replace(row.Header, []byte("T09:"), []byte(hour), 1)
			}
		}}
		content, _, _, err := write(log, export.JSONL, q)
		if err != nil {
			if steward.KindOf(err) != steward.Internal {
				rt.Fatalf("%v", err)
			}
			caught++
			return
		}
		if want, got := wanted(t, headers, q), seqs(t, content); !reflect.DeepEqual(got, want) {
			rt.Fatalf("%+v with entries %d to %d forged gives %v, want %v", q, from, to, got, want)
		}
	})
	if caught < 10 {
		t.Errorf("only %d forgeries were in the way", caught)
	}
	for name, change := range map[string]func(*ledger.Row){
		"another number":  func(row *ledger.Row) { row.Seq++ },
		"another content": func(row *ledger.Row) { row.Header = bytes.Replace(row.Header, []byte("mem_"), []byte("mem-"), 1) },
		"no JSON":         func(row *ledger.Row) { row.Header = []byte("x") },
		"no object":       func(row *ledger.Row) { row.Header = []byte("null") },
		"two lines":       func(row *ledger.Row) { row.Header = append(row.Header, '\n', '{', '}') },
	} {
		for _, as := range []string{export.OCSF, export.JSONL, export.Parquet} {
			log := h.log
			log.Store = forged{h.log.Store, func(row *ledger.Row) {
				if row.Seq == 400 {
					change(row)
				}
			}}
			if _, _, _, err := write(log, as, ledger.Query{}); steward.KindOf(err) != steward.Internal {
				t.Errorf("%s in %s: %v", name, as, err)
			}
		}
	}
	log := h.log
	log.Store = short{h.log.Store}
	if _, _, _, err := write(log, export.JSONL, ledger.Query{}); steward.KindOf(err) != steward.Internal {
		t.Errorf("the end cut off: %v", err)
	}
}

// short is a store that lost its end.
type short struct{ ledger.Reader }

func (s short) Rows(ctx context.Context, w steward.WorkspaceID, from uint64, limit int, parts bool) ([]ledger.Row, error) {
	if from >= 500 {
		return nil, nil
	}
	return s.Reader.Rows(ctx, w, from, int(min(uint64(limit), 500-from)), parts)
}

// TestNoLeftovers: what can't be written is said, and the table's spool is gone, however it ends.
func TestNoLeftovers(t *testing.T) {
	h := open(t)
	h.grow(t, ws, 300)
	dir := t.TempDir()
	for name, w := range map[string]io.Writer{"well": io.Discard, "full": full{}} {
		for _, as := range []string{export.OCSF, export.JSONL, export.Parquet} {
			e, err := export.New(context.Background(), h.log, ws, ledger.Query{})
			must(t, err)
			if _, err := e.Write(context.Background(), w, as, dir, nil); (err == nil) != (name == "well") || err != nil && !errors.Is(err, errFull) {
				t.Errorf("%s, %s: %v", as, name, err)
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	e, err := export.New(ctx, h.log, ws, ledger.Query{})
	must(t, err)
	cancel()
	if _, err := e.Write(ctx, io.Discard, export.Parquet, dir, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
	if _, err := e.Write(context.Background(), io.Discard, export.Parquet, filepath.Join(dir, "none"), nil); steward.KindOf(err) != steward.Unavailable {
		t.Errorf("no folder to spool in: %v", err)
	}
	if _, err := e.Write(context.Background(), io.Discard, "csv", dir, nil); steward.KindOf(err) != steward.Invalid {
		t.Errorf("no format: %v", err)
	}
}

var errFull = errors.New("no space")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

// made is a ledger of any size that is made up as it is read.
type made struct {
	size uint64
	note ledger.StoredCheckpoint
}

func header(seq uint64) []byte {
	return fmt.Appendf(nil, `{"seq":%d,"time":"2026-11-23T09:00:00Z","id":"000102030405060708090a0b0c0d0e0f","kind":"run.read","caller":"mem_%d","on_behalf_of":"mem_1","authentication":"api_token","system":"steward","tool":"view_run","decision":"allow","policies":["read.own"],"policy_set":"5f0c","outcome":"ok","node":"node_1"}`, seq, seq%9)
}

func (m *made) Head(context.Context, steward.WorkspaceID) (ledger.Head, error) {
	return ledger.Head{Next: m.size, Signed: m.size}, nil
}

func (m *made) Rows(_ context.Context, _ steward.WorkspaceID, from uint64, limit int, _ bool) (rows []ledger.Row, err error) {
	for seq := from; seq < min(from+uint64(limit), m.size); seq++ {
		rows = append(rows, ledger.Row{Seq: seq, Header: header(seq)})
	}
	return rows, nil
}

func (m *made) Checkpoints(context.Context, steward.WorkspaceID, uint64, int) ([]ledger.StoredCheckpoint, error) {
	return []ledger.StoredCheckpoint{m.note}, nil
}

func (m *made) Tiles(context.Context, steward.WorkspaceID, int, uint64, int) ([]ledger.Tile, error) {
	return nil, nil
}

type oneKey struct{ steward.Sealer }

func (oneKey) Derive(_ context.Context, _ steward.WorkspaceID, _ steward.Scope, purpose string) (seed [32]byte, err error) {
	copy(seed[:], purpose)
	return seed, nil
}

// TestMemoryDoesNotGrow exports several times what lines may hold in memory (a table holds a group of rows), and is
// told how far it is.
func TestMemoryDoesNotGrow(t *testing.T) {
	ctx := context.Background()
	m := &made{size: 40_000}
	var edge tree.Edge
	var scratch []byte
	for seq := range m.size {
		leaf := tree.HashLeaf(header(seq), &scratch)
		edge.Append(leaf[:])
		edge.Changed()
	}
	key, err := ledger.Ring(ctx, oneKey{}, ws)(1)
	must(t, err)
	cp, err := tree.Sign(&edge, "steward.test/ws_1", key)
	must(t, err)
	m.note = ledger.StoredCheckpoint{Size: m.size, Note: []byte(cp.Note), Range: bytes.Join(edge.Hashes(), nil)}
	for as, most := range map[string]uint64{export.JSONL: 4 << 20, export.OCSF: 4 << 20, export.Parquet: 48 << 20} {
		e, err := export.New(ctx, tlog.Log{Store: m, Sealer: oneKey{}}, ws, ledger.Query{})
		must(t, err)
		var before, now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		last, peak := uint64(0), uint64(0)
		entries, err := e.Write(ctx, io.Discard, as, t.TempDir(), func(done, total uint64) {
			if done < last || total != m.size {
				t.Errorf("progress went from %d to %d of %d", last, done, total)
			}
			if done/10_000 > last/10_000 {
				runtime.GC()
				runtime.ReadMemStats(&now)
				peak = max(peak, now.HeapAlloc-min(before.HeapAlloc, now.HeapAlloc))
			}
			last = done
		})
		if err != nil || entries != m.size || last != m.size {
			t.Fatalf("%s: %d entries, progress to %d, %v", as, entries, last, err)
		}
		if t.Logf("%s holds %d KB", as, peak>>10); peak > most {
			t.Errorf("%s holds %d bytes of an export of %d entries", as, peak, entries)
		}
	}
}

func FuzzMoment(f *testing.F) {
	for _, text := range []string{"", "2026-11-23", "2026-11-23T09:30:00Z", "2026-11-23T09:30:00+02:00", "yesterday", "2026-13-01"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := export.Moment("since", text)
		switch {
		case err != nil && (steward.KindOf(err) != steward.Invalid || !at.IsZero()):
			t.Errorf("%q is %v, %v", text, at, err)
		case err == nil && text != "" && !strings.HasPrefix(text, at.Format(time.DateOnly)):
			t.Errorf("%q is %v", text, at)
		}
	})
}
