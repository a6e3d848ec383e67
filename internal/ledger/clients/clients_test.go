// Package clients holds Steward's logs against other people's tools. It is a module of its own, so that the
// program depends on none of them: run `go test ./...` here.
package clients

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/blob"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/ledger/tlog"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

const (
	ws     steward.WorkspaceID = "ws_1"
	origin                     = "steward.test/ws_1"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func leaves(bundle []byte) ([][]byte, error) {
	var b api.EntryBundle
	if err := b.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	var hashes [][]byte
	for _, entry := range b.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(entry))
	}
	return hashes, nil
}

// opener opens a new database for data, or one for keys.
type opener func(t *testing.T, keys bool) (*store.DB, error)

func onSQLite(t *testing.T, keys bool) (*store.DB, error) {
	if keys {
		return store.OpenKeyring(context.Background(), t.TempDir())
	}
	return store.OpenData(context.Background(), t.TempDir())
}

func onPostgres(t *testing.T, keys bool) (*store.DB, error) {
	at := store.Postgres{URL: postgres.Start(t).Database(t)}
	if keys {
		return at.OpenKeyring(context.Background())
	}
	return at.OpenData(context.Background())
}

// TestTesseraAcceptsOurLogs grows a log on both databases, as it is and with what is signed sealed into
// segments on the way, and lets Tessera's fsck and client check it at each size.
func TestTesseraAcceptsOurLogs(t *testing.T) {
	for name, open := range map[string]opener{"sqlite": onSQLite, "postgres": onPostgres} {
		t.Run(name, func(t *testing.T) { accepts(t, open, false) })
		t.Run(name+", sealed", func(t *testing.T) { accepts(t, open, true) })
	}
}

// house is a ledger whose log is shown over HTTP.
type house struct {
	keys      *keyring.Keyring
	catalog   store.Segments
	record    *segment.Store
	archivist *segment.Archivist
	book      *ledger.Ledger
	shown     tlog.Log
	over      *client.HTTPFetcher
}

func newHouse(t *testing.T, open opener, now func() time.Time) *house {
	t.Helper()
	ctx := context.Background()
	keeper := keyring.FileKeeper{Dir: filepath.Join(t.TempDir(), "root")}
	must(t, keeper.Create(rand.Reader))
	ring, err := open(t, true)
	must(t, err)
	h := &house{}
	h.keys, err = keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: ring}, Keeper: keeper, Rand: rand.Reader})
	must(t, err)
	data, err := open(t, false)
	must(t, err)
	h.catalog = store.Segments{DB: data}
	h.record = &segment.Store{Store: store.Ledger{DB: data}, Manifest: h.catalog, Blobs: blob.Folder{Dir: t.TempDir(), Now: now}}
	h.archivist = &segment.Archivist{Store: h.record, Catalog: h.catalog, Sealer: h.keys, Spool: t.TempDir(), Now: now, Rand: rand.Reader, Entries: 256}
	h.book, err = ledger.Open(ctx, ledger.Config{Store: h.record, Sealer: h.keys, Now: now, Rand: rand.Reader, Origin: "steward.test"})
	must(t, err)
	t.Cleanup(func() {
		must(t, h.book.Close(ctx))
		h.record.Close()
		must(t, errors.Join(data.Close(), ring.Close()))
	})
	h.shown = tlog.Log{Store: h.record, Sealer: h.keys}
	server := httptest.NewServer(h.shown.Handler(func(w http.ResponseWriter, _ *http.Request, err error) {
		status := http.StatusInternalServerError
		switch steward.KindOf(err) {
		case steward.NotFound:
			status = http.StatusNotFound
		case steward.Gone:
			status = http.StatusGone
		}
		http.Error(w, steward.Message(err), status)
	}))
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL + "/tlog/ws_1/")
	must(t, err)
	h.over, err = client.NewHTTPFetcher(at, server.Client())
	must(t, err)
	return h
}

// append adds entries up to a size, and has them signed.
func (h *house) append(t *testing.T, from, to uint64) {
	t.Helper()
	ctx := context.Background()
	events := make([]ledger.Event, 0, 1000)
	for ; from < to; from++ {
		if events = append(events, ledger.Event{Entry: ledger.Entry{Kind: ledger.RunRead, Records: int(from)}}); len(events) == 1000 || from == to-1 {
			_, err := h.book.AppendAll(ctx, ws, events...)
			must(t, err)
			events = events[:0]
		}
	}
	_, err := h.book.Checkpoint(ctx, ws)
	must(t, err)
}

// verifierIn reads the key of an exported log.
func verifierIn(t *testing.T, folder string) note.Verifier {
	t.Helper()
	vkey, err := os.ReadFile(filepath.Join(folder, "vkey"))
	must(t, err)
	verifier, err := note.NewVerifier(string(bytes.TrimSpace(vkey)))
	must(t, err)
	return verifier
}

// accepts looks at a log in an exported folder and over HTTP.
func accepts(t *testing.T, open opener, seal bool) {
	ctx := context.Background()
	h := newHouse(t, open, time.Now)
	record, shown, over := h.record, h.shown, h.over
	folder := t.TempDir()
	in := client.FileFetcher{Root: folder}

	var tracker *client.LogStateTracker
	size := uint64(0)
	for _, to := range []uint64{1, 255, 256, 257, 1000, 2600} {
		h.append(t, size, to)
		size = to
		if seal {
			must(t, h.archivist.Pass(ctx))
			rows, err := record.Store.Rows(ctx, ws, 0, 1, false)
			must(t, err)
			if len(rows) == 1 && rows[0].Seq != to/256*256 {
				t.Fatalf("at %d the tail begins with entry %d: not all that could be is sealed", to, rows[0].Seq)
			}
		}
		cp, err := shown.Export(ctx, ws, folder, nil)
		must(t, err)
		verifier := verifierIn(t, folder)
		for name, fetcher := range map[string]fsck.Fetcher{"folder": in, "HTTP": over} {
			if err := fsck.New(origin, verifier, fetcher, leaves, fsck.Opts{N: 2}).Check(ctx); err != nil {
				t.Errorf("at %d, %s: fsck says %v", to, name, err)
			}
			signed, _, _, err := client.FetchCheckpoint(ctx, fetcher.ReadCheckpoint, verifier, origin)
			must(t, err)
			if signed.Size != to || !bytes.Equal(signed.Hash, cp.Root) {
				t.Errorf("at %d, %s: the client reads %+v", to, name, signed)
			}
			inclusion(t, fetcher, shown, signed, 0, signed.Size/2, signed.Size-1)
		}
		if tracker == nil {
			tracker, err = client.NewLogStateTracker(ctx, over.ReadTile, nil, verifier, origin, client.UnilateralConsensus(over.ReadCheckpoint))
			must(t, err)
		} else if _, _, _, err := tracker.Update(ctx); err != nil {
			t.Errorf("at %d: the log doesn't go on from what the client saw before: %v", to, err)
		}
		if tracker.Latest().Size != to {
			t.Errorf("at %d: the client follows to %d", to, tracker.Latest().Size)
		}
	}

	// That they accept says something only if they refuse what was changed.
	path := filepath.Join(folder, "tile", "entries", "003")
	bundle, err := os.ReadFile(path)
	must(t, err)
	bundle[100] ^= 1
	must(t, os.WriteFile(path, bundle, 0o644))
	if err := fsck.New(origin, verifierIn(t, folder), in, leaves, fsck.Opts{N: 2}).Check(ctx); err == nil {
		t.Error("fsck accepts a changed entry")
	}
}

// inclusion lets the client prove entries from tiles, and compares with the proofs that Steward makes.
func inclusion(t *testing.T, fetcher fsck.Fetcher, shown tlog.Log, cp *log.Checkpoint, entries ...uint64) {
	t.Helper()
	ctx := context.Background()
	builder, err := client.NewProofBuilder(ctx, cp.Size, fetcher.ReadTile)
	must(t, err)
	for _, seq := range entries {
		theirs, err := builder.InclusionProof(ctx, seq)
		must(t, err)
		ours, err := shown.Inclusion(ctx, ws, seq, cp.Size)
		must(t, err)
		var list [][]byte
		for _, h := range ours {
			list = append(list, h[:])
		}
		if !bytes.Equal(bytes.Join(theirs, nil), bytes.Join(list, nil)) {
			t.Errorf("entry %d in %d: the client proves it otherwise", seq, cp.Size)
		}
		rows, err := shown.Store.Rows(ctx, ws, seq, 1, false)
		must(t, err)
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, seq, cp.Size, rfc6962.DefaultHasher.HashLeaf(rows[0].Header), list, cp.Hash); err != nil {
			t.Errorf("entry %d in %d: %v", seq, cp.Size, err)
		}
	}
}
