package segment_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/blob"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
)

// TestHousesShareAStore: a sweep takes its own leftovers, and nothing of a house that it doesn't know.
func TestHousesShareAStore(t *testing.T) {
	ctx := context.Background()
	var m *memory
	ours := open(t, t.TempDir(), func(h *house) { m = h.useMemory() })
	theirs := open(t, t.TempDir(), func(h *house) { h.blobs, h.store.Blobs = m, m })
	ours.fill(t, ws, 1024, time.Second)
	theirs.fill(t, "ws_10", 1024, time.Second)
	for _, h := range []*house{ours, theirs} {
		must(t, h.archive.Pass(ctx))
	}
	before := len(m.objects)
	for _, name := range []string{"ledger/ws_1/left", "ledger/ws_10/left"} {
		must(t, m.Put(ctx, name, strings.NewReader("left"), 4, time.Time{}))
	}
	ours.now = time.Now().Add(2 * time.Hour)
	must(t, ours.archive.Sweep(ctx))
	if m.objects["ledger/ws_1/left"] != nil || m.objects["ledger/ws_10/left"] == nil || len(m.objects) != before+1 {
		t.Errorf("of %d objects and two leftovers %d are left", before, len(m.objects))
	}
	ours.sound(t, ws, 1024)
	theirs.sound(t, "ws_10", 1024)
}

// broken is a store of objects that fails.
type broken struct {
	segment.Blobs
	put  func(name string) error
	open func(name string) error
	puts int
}

func (b *broken) Put(ctx context.Context, name string, content io.ReadSeeker, size int64, until time.Time) error {
	b.puts++
	if b.put != nil {
		if err := b.put(name); err != nil {
			return err
		}
	}
	return b.Blobs.Put(ctx, name, content, size, until)
}

func (b *broken) Open(ctx context.Context, name string) (blob.Object, error) {
	if b.open != nil {
		if err := b.open(name); err != nil {
			return nil, err
		}
	}
	return b.Blobs.Open(ctx, name)
}

// TestFailuresLeaveNothingAndWait: what can't be sealed is cleaned up, and tried again after ever longer times;
// other workspaces are sealed meanwhile.
func TestFailuresLeaveNothingAndWait(t *testing.T) {
	ctx := context.Background()
	b := &broken{}
	var m *memory
	h := open(t, t.TempDir(), func(h *house) { m = h.useMemory(); b.Blobs = m; h.blobs, h.store.Blobs = b, b })
	h.fill(t, ws, 1024, time.Second)
	for name, fail := range map[string]func(){
		"the last put": func() {
			b.put = func(name string) error {
				if strings.HasSuffix(name, "tiles") {
					return steward.Errorf(steward.Upstream, "no answer")
				}
				return nil
			}
		},
		"a put whose name is taken": func() {
			b.put = func(name string) error {
				if strings.HasSuffix(name, "tiles") {
					return steward.Errorf(steward.Conflict, "there is one")
				}
				return nil
			}
		},
		"reading back": func() { b.open = func(string) error { return steward.Errorf(steward.Internal, "overwritten") } },
	} {
		h.now = h.now.Add(2 * time.Hour)
		b.put, b.open = nil, nil
		fail()
		if err := h.archive.Pass(ctx); err == nil {
			t.Errorf("%s fails, and nothing says so", name)
		}
		if len(m.objects) > 0 {
			t.Errorf("%s: %d objects are left", name, len(m.objects))
		}
	}

	b.put, b.open = func(name string) error {
		if strings.HasPrefix(name, "ledger/ws_1/") {
			return steward.Errorf(steward.Upstream, "no answer")
		}
		return nil
	}, nil
	b.puts = 0
	h.now = h.now.Add(2 * time.Hour)
	for range 240 {
		_ = h.archive.Pass(ctx)
		h.now = h.now.Add(15 * time.Second)
	}
	if b.puts < 3 || b.puts > 12 {
		t.Errorf("in an hour it was tried %d times", b.puts)
	}
	h.fill(t, "ws_2", 1024, time.Second)
	must(t, h.archive.Pass(ctx))
	if len(h.manifest(t, "ws_2")) != 1 {
		t.Error("another workspace has to wait too")
	}
	b.put = nil
	h.now = h.now.Add(time.Hour)
	must(t, h.archive.Pass(ctx))
	if len(h.manifest(t, ws)) != 1 {
		t.Error("it isn't tried again")
	}
}

// unsure is a manifest whose answer to a change is lost.
type unsure struct {
	segment.Catalog
	err error
}

func (u unsure) Replace(ctx context.Context, ws steward.WorkspaceID, old []segment.Segment, with segment.Segment) error {
	return errors.Join(u.Catalog.Replace(ctx, ws, old, with), u.err)
}

// TestUnknownOutcomeKeepsObjects: they may be named.
func TestUnknownOutcomeKeepsObjects(t *testing.T) {
	ctx := context.Background()
	h := open(t, t.TempDir(), func(h *house) { h.useMemory() })
	h.fill(t, ws, 1024, time.Second)
	lost := errors.New("the connection broke")
	h.archive.Catalog = unsure{h.segments, lost}
	if err := h.archive.Pass(ctx); !errors.Is(err, lost) {
		t.Errorf("a lost answer: %v", err)
	}
	h.sound(t, ws, 1024)
	h.archive.Catalog = h.segments
	must(t, h.archive.Pass(ctx))
	h.sound(t, ws, 1024)
}

// TestFirstFolderIsTriedAgain: a disk that can't be written at the start ends nothing for good.
func TestFirstFolderIsTriedAgain(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	h := open(t, t.TempDir(), func(h *house) { h.useMemory() })
	h.fill(t, ws, 1024, time.Second)
	at := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(at, nil, 0o600))
	said := make(chan string, 100)
	h.archive.Spool, h.archive.Every = filepath.Join(at, "spool"), time.Millisecond
	h.archive.Log = slog.New(slog.NewTextHandler(lines(said), nil))
	done := make(chan error, 1)
	go func() { done <- h.archive.Run(ctx) }()
	if line := <-said; !strings.Contains(line, "can't be made") {
		t.Errorf("said: %s", line)
	}
	must(t, os.Remove(at))
	for len(h.manifest(t, ws)) == 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

type lines chan string

func (l lines) Write(b []byte) (int, error) {
	select {
	case l <- string(b):
	default:
	}
	return len(b), nil
}

// TestCheckNamesAllThatIsDamaged, and goes on behind it.
func TestCheckNamesAllThatIsDamaged(t *testing.T) {
	ctx := context.Background()
	h, m := sealed(t)
	var names []string
	for _, s := range h.manifest(t, ws) {
		o := s.Objects[0]
		m.objects[o.Name] = bytes.Repeat([]byte{0}, int(o.Size))
		names = append(names, o.Name)
	}
	err := h.store.Check(ctx)
	for i, want := range []string{" (of entries 0 to 511 of workspace ws_1)", " (of entries 512 to 1023 of workspace ws_1)"} {
		if steward.KindOf(err) != steward.Internal || err == nil || !strings.Contains(steward.Message(err), names[i]+want) {
			t.Errorf("the message lacks %s: %v", names[i]+want, err)
		}
		found := fmt.Sprint(h.look(t, false).Findings)
		if !strings.Contains(found, names[i]+want) {
			t.Errorf("verify lacks %s: %s", names[i]+want, found)
		}
	}
}

// TestLargePartsComeInPages: how much is read at once counts parts too.
func TestLargePartsComeInPages(t *testing.T) {
	ctx := context.Background()
	h := open(t, t.TempDir(), func(h *house) { h.archive.Entries = 256 })
	body := make([]byte, 1<<20)
	_, err := rand.Read(body) // which can't be compressed
	must(t, err)
	var events []ledger.Event
	for i := range 256 {
		e := ledger.Event{Entry: ledger.Entry{Kind: ledger.RunRead}}
		if i < 12 {
			e.Parts = []ledger.Part{{Scopes: []steward.Scope{"ledger/2026-11"}, Body: append([]byte{byte(i)}, body...)}}
		}
		events = append(events, e)
	}
	for some := range 64 {
		_, err := h.AppendAll(ctx, ws, events[some*4:some*4+4]...)
		must(t, err)
	}
	_, err = h.Checkpoint(ctx, ws)
	must(t, err)
	want := everything(t, h.tail, ws)
	h.now = h.now.AddDate(0, 0, 2)
	must(t, h.archive.Pass(ctx))
	same(t, everything(t, h.store, ws), want)
	rows, err := h.store.Rows(ctx, ws, 0, 256, true)
	must(t, err)
	size := 0
	for _, row := range rows {
		size += len(row.Parts)
	}
	if size > 2*rowsRead || len(rows) == 256 {
		t.Errorf("%d rows of %d bytes come at once", len(rows), size)
	}
	if rows, err := h.store.Rows(ctx, ws, 0, 256, false); err != nil || len(rows) != 256 {
		t.Errorf("without parts %d rows come at once, %v", len(rows), err)
	}
}

// rowsRead is about how many bytes are read at once.
const rowsRead = 4 << 20

// TestLocksGoByTheWorkspacesOwnDays where it has set them.
func TestLocksGoByTheWorkspacesOwnDays(t *testing.T) {
	ctx := context.Background()
	h := open(t, t.TempDir(), func(h *house) { h.useMemory() })
	h.archive.Days = func(_ context.Context, w steward.WorkspaceID) (map[steward.Class]int, error) {
		if w != ws {
			return nil, nil
		}
		return map[steward.Class]int{steward.ClassLedger: 365, steward.ClassPrompt: 10}, nil
	}
	h.fill(t, ws, 1024, time.Second)
	h.now = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	h.fill(t, "ws_2", 1024, time.Second)
	h.now = h.now.AddDate(0, 1, 0)
	must(t, h.archive.Pass(ctx))
	for w, want := range map[steward.WorkspaceID]map[string]string{
		ws:     {"": "2027-12-01", "ledger/2026-11": "2027-12-01", "prompt/2026-11-23": "2026-12-04"},
		"ws_2": {"": "2033-12-01", "ledger/2026-11": "2033-12-01", "prompt/2026-11-23": "2027-02-22"},
	} {
		for _, o := range h.manifest(t, w)[0].Objects {
			if got := o.Until.Format(time.DateOnly); got != want[o.Scopes] {
				t.Errorf("%s: %s %q is locked until %s, not %s", w, o.Kind, o.Scopes, got, want[o.Scopes])
			}
		}
	}
}
