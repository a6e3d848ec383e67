package tlog_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sumdb "golang.org/x/mod/sumdb/tlog"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/tlog"
	"github.com/stewardhq/steward/internal/ledger/tlog/verifier"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

const ws steward.WorkspaceID = "ws_1"

type house struct {
	dir  string
	log  tlog.Log
	book *ledger.Ledger
	data *store.DB
}

// onBoth runs a test on SQLite, and on Postgres with a server for it.
func onBoth(t *testing.T, test func(t *testing.T, on *postgres.Server)) {
	t.Run("sqlite", func(t *testing.T) { test(t, nil) })
	t.Run("postgres", func(t *testing.T) { test(t, postgres.Start(t)) })
}

func open(t *testing.T, checkpoints func(context.Context, steward.WorkspaceID, string) error) *house {
	t.Helper()
	return openOn(t, nil, checkpoints)
}

// openOn opens a house on a server, or where there is none on SQLite.
func openOn(t *testing.T, on *postgres.Server, checkpoints func(context.Context, steward.WorkspaceID, string) error) *house {
	t.Helper()
	ctx := context.Background()
	h := &house{dir: t.TempDir()}
	keeper := keyring.FileKeeper{Dir: filepath.Join(h.dir, "root")}
	must(t, keeper.Create(rand.Reader))
	openKeys, openData := store.OpenKeyring, store.OpenData
	if on != nil {
		openKeys = func(ctx context.Context, _ string) (*store.DB, error) {
			return store.Postgres{URL: on.Database(t)}.OpenKeyring(ctx)
		}
		openData = func(ctx context.Context, _ string) (*store.DB, error) {
			return store.Postgres{URL: on.Database(t)}.OpenData(ctx)
		}
	}
	ring, err := openKeys(ctx, h.dir)
	must(t, err)
	keys, err := keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: ring}, Keeper: keeper, Rand: rand.Reader})
	must(t, err)
	h.data, err = openData(ctx, h.dir)
	must(t, err)
	h.log = tlog.Log{Store: store.Ledger{DB: h.data}, Sealer: keys}
	h.book, err = ledger.Open(ctx, ledger.Config{Store: store.Ledger{DB: h.data}, Sealer: keys, Now: time.Now, Rand: rand.Reader, Origin: "steward.test", Checkpoints: checkpoints})
	must(t, err)
	t.Cleanup(func() { must(t, errors.Join(h.book.Close(ctx), h.data.Close(), ring.Close())) })
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// grow adds entries to a workspace's log and gives its checkpoint.
func (h *house) grow(t *testing.T, w steward.WorkspaceID, entries int) ledger.Checkpoint {
	t.Helper()
	ctx := context.Background()
	for entries > 0 {
		events := make([]ledger.Event, min(entries, 1000))
		for i := range events {
			events[i].Entry = ledger.Entry{Kind: ledger.RunRead, Records: entries + i}
		}
		_, err := h.book.AppendAll(ctx, w, events...)
		must(t, err)
		entries -= len(events)
	}
	cp, err := h.book.Checkpoint(ctx, w)
	must(t, err)
	return cp
}

func (h *house) header(t *testing.T, seq uint64) []byte {
	t.Helper()
	rows, err := h.log.Store.Rows(context.Background(), ws, seq, 1, false)
	must(t, err)
	return rows[0].Header
}

var sizes = []int{1, 2, 255, 256, 257, 600, 1024, 2100}

// TestExportAndServeAgreeWithAnIndependentVerifier grows a log over the edges of tiles; each size is
// exported, into one folder that goes on and a fresh one, and fetched over HTTP.
func TestExportAndServeAgreeWithAnIndependentVerifier(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		ctx := context.Background()
		h := openOn(t, on, nil)
		h.grow(t, "ws_2", 300)
		server := httptest.NewServer(h.log.Handler(func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, steward.Message(err), map[steward.Kind]int{steward.NotFound: 404}[steward.KindOf(err)])
		}))
		defer server.Close()
		going := filepath.Join(t.TempDir(), "a", "b")
		size := 0
		for _, to := range sizes {
			cp := h.grow(t, ws, to-size)
			size = to
			fresh := t.TempDir()
			for _, dir := range []string{going, fresh} {
				var last uint64
				exported, err := h.log.Export(ctx, ws, dir, func(done, total uint64) {
					if done < last || total != uint64(size) {
						t.Errorf("progress went from %d to %d of %d", last, done, total)
					}
					last = done
				})
				must(t, err)
				if exported.Note != cp.Note || last != uint64(size) {
					t.Errorf("exported %+v, progress to %d, want %+v", exported, last, cp)
				}
				l, err := verifier.Check(dir)
				if err != nil || len(l.Headers) != size || !bytes.Equal(l.Root[:], cp.Root) || l.Origin != "steward.test/ws_1" {
					t.Errorf("at %d the independent verifier says %v, over %d entries", size, err, len(l.Headers))
				}
			}
			fetched := t.TempDir() // the same files, over HTTP
			must(t, fs.WalkDir(os.DirFS(fresh), ".", func(name string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				body, response := get(t, server, "/tlog/ws_1/"+name)
				if response.StatusCode != 200 {
					return fmt.Errorf("%s: %s", name, response.Status)
				}
				want := "private, max-age=31536000, immutable"
				if !strings.HasPrefix(name, "tile/") {
					want = "no-store"
				}
				if got := response.Header.Get("Cache-Control"); got != want {
					t.Errorf("%s may be cached %q, want %q", name, got, want)
				}
				must(t, os.MkdirAll(filepath.Dir(filepath.Join(fetched, name)), 0o755))
				return os.WriteFile(filepath.Join(fetched, name), body, 0o644)
			}))
			if _, err := verifier.Check(fetched); err != nil {
				t.Errorf("at %d the independent verifier says of what was fetched: %v", size, err)
			}
		}
		for _, path := range []string{
			"", "tile", "tile/0", "tile/0/", "tile/0/0", "tile/0/008.p/53", "tile/0/009", "tile/1/000", "tile/9/000", "tile/-1/000", "tile/data/000",
			"tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/256.p/2", "tile/00/000", "tile/0/x000/000", "tile/entries/008", "tile/entries/008.p/53",
			"tile/entries/x999/x999/x999/x999/x999/999", "tile/8/0/000", "checkpoint/", "vkey/x", "../ws_2/checkpoint", "tile/0/001/../000", "tile/3/000.p/1",
		} {
			if body, response := get(t, server, "/tlog/ws_1/"+path); response.StatusCode == 200 && !strings.Contains(path, "..") {
				t.Errorf("%s gives %d bytes", path, len(body))
			}
		}
		if _, response := get(t, server, "/tlog/ws_none/checkpoint"); response.StatusCode != 404 {
			t.Errorf("a log that isn't there: %s", response.Status)
		}
		response, err := server.Client().Post(server.URL+"/tlog/ws_1/checkpoint", "text/plain", nil)
		must(t, err)
		if response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("a POST: %s", response.Status)
		}
	})
}

func get(t *testing.T, s *httptest.Server, path string) ([]byte, *http.Response) {
	t.Helper()
	response, err := s.Client().Get(s.URL + path)
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	return body, response
}

// TestVerifierFindsEveryChangedFile: the independent verifier is worth something only if it finds these.
func TestVerifierFindsEveryChangedFile(t *testing.T) {
	h := open(t, nil)
	h.grow(t, ws, 600)
	dir := t.TempDir()
	_, err := h.log.Export(context.Background(), ws, dir, nil)
	must(t, err)
	files := 0
	must(t, fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		path := filepath.Join(dir, name)
		was, err := os.ReadFile(path)
		must(t, err)
		now := bytes.Clone(was)
		now[len(now)/2] ^= 1
		must(t, os.WriteFile(path, now, 0o644))
		if _, err := verifier.Check(dir); err == nil {
			t.Errorf("a flipped bit in %s is not found", name)
		}
		if name != "checkpoint" && name != "vkey" {
			if _, err := h.log.Export(context.Background(), ws, dir, nil); steward.KindOf(err) != steward.Conflict {
				t.Errorf("an export over a changed %s: %v", name, err)
			}
		}
		return os.WriteFile(path, was, 0o644)
	}))
	if files != 9 { // checkpoint, vkey, three bundles, three tiles of level 0 and one of level 1
		t.Errorf("%d files", files)
	}
	if _, err := verifier.Check(dir); err != nil {
		t.Error(err)
	}
}

// TestProofs holds proofs between all sizes against the Go checksum database's own checks.
func TestProofs(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		ctx := context.Background()
		h := openOn(t, on, nil)
		var checkpoints []ledger.Checkpoint
		size := 0
		for _, to := range sizes {
			checkpoints = append(checkpoints, h.grow(t, ws, to-size))
			size = to
		}
		record := func(hashes [][32]byte) (p sumdb.RecordProof) {
			for _, h := range hashes {
				p = append(p, h)
			}
			return p
		}
		for i, cp := range checkpoints {
			for _, seq := range []uint64{0, cp.Size / 3, cp.Size - 1} {
				proof, err := h.log.Inclusion(ctx, ws, seq, cp.Size)
				must(t, err)
				leaf := sumdb.RecordHash(h.header(t, seq))
				if err := sumdb.CheckRecord(record(proof), int64(cp.Size), sumdb.Hash(cp.Root), int64(seq), leaf); err != nil {
					t.Errorf("entry %d in %d: %v", seq, cp.Size, err)
				}
				if cp.Size > 1 && sumdb.CheckRecord(record(proof), int64(cp.Size), sumdb.Hash(cp.Root), int64(seq+1)%int64(cp.Size), leaf) == nil {
					t.Errorf("the proof of entry %d in %d holds for another place too", seq, cp.Size)
				}
			}
			for _, before := range checkpoints[:i+1] {
				proof, err := h.log.Consistency(ctx, ws, before.Size, cp.Size)
				must(t, err)
				if err := sumdb.CheckTree(sumdb.TreeProof(record(proof)), int64(cp.Size), sumdb.Hash(cp.Root), int64(before.Size), sumdb.Hash(before.Root)); err != nil {
					t.Errorf("%d goes on from %d: %v", cp.Size, before.Size, err)
				}
				root, err := h.log.Root(ctx, ws, before.Size)
				must(t, err)
				if !bytes.Equal(root[:], before.Root) {
					t.Errorf("the root of %d is %x", before.Size, root)
				}
				if err := tlog.CheckConsistency(before.Size, root, cp.Size, [32]byte(cp.Root), proof); err != nil {
					t.Errorf("%d goes on from %d: %v", cp.Size, before.Size, err)
				}
				root[3] ^= 1
				if tlog.CheckConsistency(before.Size, root, cp.Size, [32]byte(cp.Root), proof) == nil {
					t.Errorf("%d goes on from what %d wasn't", cp.Size, before.Size)
				}
			}
		}
		last := checkpoints[len(checkpoints)-1].Size
		for _, c := range [][2]uint64{{last, last}, {0, last + 1}, {5, 5}} {
			if _, err := h.log.Inclusion(ctx, ws, c[0], c[1]); steward.KindOf(err) != steward.NotFound {
				t.Errorf("entry %d in %d: %v", c[0], c[1], err)
			}
		}
		for _, c := range [][2]uint64{{0, 5}, {5, 4}, {5, last + 1}} {
			if _, err := h.log.Consistency(ctx, ws, c[0], c[1]); steward.KindOf(err) != steward.NotFound {
				t.Errorf("%d to %d: %v", c[0], c[1], err)
			}
		}
	})
}

func TestReceipts(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		ctx := context.Background()
		h := openOn(t, on, nil)
		cp := h.grow(t, ws, 700)
		header := h.header(t, 321)
		receipt, _, err := h.log.Receipt(ctx, ws, 321)
		must(t, err)
		if !bytes.HasPrefix(receipt, []byte("c2sp.org/tlog-proof@v1\nindex 321\n")) || !bytes.HasSuffix(receipt, []byte("\n\n"+cp.Note)) {
			t.Errorf("the receipt is\n%s", receipt)
		}
		seq, signed, err := tlog.CheckReceipt(receipt, header, cp.Key)
		if err != nil || seq != 321 || signed.Size != 700 || !bytes.Equal(signed.Root, cp.Root) {
			t.Errorf("%d, %+v, %v", seq, signed, err)
		}
		other := h.grow(t, "ws_2", 3)
		for name, c := range map[string]struct {
			receipt, header []byte
			vkey            string
		}{
			"another entry":  {receipt, h.header(t, 320), cp.Key},
			"another log":    {receipt, header, other.Key},
			"another number": {bytes.Replace(receipt, []byte("index 321"), []byte("index 320"), 1), header, cp.Key},
			"another size":   {bytes.Replace(receipt, []byte("\n700\n"), []byte("\n701\n"), 1), header, cp.Key},
			"no proof":       {receipt[:40], header, cp.Key},
			"no key":         {receipt, header, "x"},
		} {
			if _, _, err := tlog.CheckReceipt(c.receipt, c.header, c.vkey); steward.KindOf(err) != steward.Invalid {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, _, err := h.log.Receipt(ctx, ws, 700); steward.KindOf(err) != steward.NotFound {
			t.Errorf("a receipt for what isn't there: %v", err)
		}
	})
}

func FuzzCheckReceipt(f *testing.F) {
	f.Add([]byte("c2sp.org/tlog-proof@v1\nindex 0\n\nlog\n1\nroot\n\n— log AAAA\n"), []byte("h"))
	f.Fuzz(func(t *testing.T, receipt, header []byte) {
		if _, _, err := tlog.CheckReceipt(receipt, header, "steward.test/ws_1+00000000+AQ=="); err == nil {
			t.Fatal("accepted without a key")
		}
	})
}

// TestChangedTilesProveNothing: a proof made from a changed tile is refused, not given out.
func TestChangedTilesProveNothing(t *testing.T) {
	ctx := context.Background()
	h := open(t, nil)
	h.grow(t, ws, 700)
	h.log.Store = changed{h.log.Store}
	for seq := range uint64(700) {
		if _, err := h.log.Inclusion(ctx, ws, seq, 700); seq < 256 && steward.KindOf(err) != steward.Internal || err != nil && !strings.Contains(steward.Message(err), "steward verify") {
			t.Fatalf("entry %d: %v", seq, err)
		}
	}
}

type changed struct{ ledger.Reader }

func (c changed) Tiles(ctx context.Context, w steward.WorkspaceID, level int, from uint64, limit int) ([]ledger.Tile, error) {
	tiles, err := c.Reader.Tiles(ctx, w, level, from, limit)
	if level == 0 && from == 0 && len(tiles) > 0 {
		tiles[0].Hashes[100] ^= 1
	}
	return tiles, err
}

// TestKeptCheckpointsAreThoseSigned writes each new checkpoint to a file, with a crash's torn line in it.
func TestKeptCheckpointsAreThoseSigned(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoints")
	if _, err := tlog.Kept(path); steward.KindOf(err) != steward.NotFound {
		t.Errorf("no file: %v", err)
	}
	h := open(t, tlog.Keep(path))
	one := h.grow(t, ws, 3)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	torn, err := json.Marshal(map[string]string{"workspace": "ws_1", "checkpoint": "steward.test/ws_1\n4\n"})
	must(t, err)
	_, err = f.Write(torn[:len(torn)-4])
	must(t, errors.Join(err, f.Close()))
	two := h.grow(t, "ws_2", 2)
	notes, err := tlog.Kept(path)
	if err != nil || len(notes) != 2 || notes[0] != one.Note || notes[1] != two.Note {
		t.Errorf("kept %q, %v", notes, err)
	}
}

// TestKeptIsThinnedOut reads a file that was written for long: of each log some, and always what goes furthest,
// whatever stands in the lines beside it or is longer than any checkpoint.
func TestKeptIsThinnedOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoints")
	var file bytes.Buffer
	line := func(w, log string, size int) (note string) {
		note = fmt.Sprintf("steward.test/%s\n%d\nroot\n", log, size)
		must(t, json.NewEncoder(&file).Encode(map[string]string{"workspace": w, "checkpoint": note}))
		return note
	}
	var last, only string
	for size := range 100_000 {
		last = line("ws_1", "ws_1", size+1)
		if size == 50_000 {
			file.WriteString(`{"workspace":"ws_1","checkpoint":"` + strings.Repeat("x", 200_000) + "\"}\n")
			only = line("ws_1", "ws_2", 7)
		}
	}
	line("ws_1", "ws_1", 500) // an older one, put behind
	must(t, os.WriteFile(path, file.Bytes(), 0o600))
	notes, err := tlog.Kept(path)
	must(t, err)
	of, largest, gap, before := map[string]int{}, map[string]string{}, 0, 0
	for _, note := range notes {
		var size int
		log, rest, _ := strings.Cut(note, "\n")
		_, err := fmt.Sscan(rest, &size)
		must(t, err)
		of[log]++
		largest[log] = note
		if log == "steward.test/ws_1" {
			gap, before = max(gap, size-before), size
		}
	}
	if n := of["steward.test/ws_1"]; n < 500 || n > 1024 || gap > 300 || largest["steward.test/ws_1"] != last {
		t.Errorf("of 100,000 are kept %d, up to %d apart, the last of them %q", n, gap, largest["steward.test/ws_1"])
	}
	if of["steward.test/ws_2"] != 1 || largest["steward.test/ws_2"] != only || len(of) != 2 {
		t.Errorf("of the others: %v", of)
	}
	must(t, os.WriteFile(path, bytes.Repeat([]byte("x"), 200_000), 0o600))
	if _, err := tlog.Kept(path); steward.KindOf(err) != steward.Invalid {
		t.Errorf("a file of something else: %v", err)
	}
}
