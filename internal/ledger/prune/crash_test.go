package prune_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/prune"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/store/database"
)

var within = database.Within(ws)

// mortal ends a process: after some steps that change something outside, nothing does any more.
type mortal struct {
	left int
	dead bool
}

var errDead = errors.New("the process is dead")

func (m *mortal) step(f func() error) error {
	if m.left--; m.left < 0 {
		m.dead = true
		return errDead
	}
	return f()
}

type mortalCatalog struct {
	prune.Catalog
	m *mortal
}

func (c mortalCatalog) Prune(ctx context.Context, w steward.WorkspaceID, first uint64) error {
	return c.m.step(func() error { return c.Catalog.Prune(ctx, w, first) })
}

type mortalBlobs struct {
	segment.Blobs
	m *mortal
}

func (b mortalBlobs) Delete(ctx context.Context, name string) error {
	return b.m.step(func() error { return b.Blobs.Delete(ctx, name) })
}

type mortalTail struct {
	ledger.Store
	m *mortal
}

func (s mortalTail) Appender(ctx context.Context) (ledger.Appender, error) {
	a, err := s.Store.Appender(ctx)
	return mortalAppender{a, s.m}, err
}

type mortalAppender struct {
	ledger.Appender
	m *mortal
}

func (a mortalAppender) Commit(ctx context.Context, advances []ledger.Advance) error {
	return a.m.step(func() error { return a.Appender.Commit(ctx, advances) })
}

// Wherever pruning ends, what is left verifies; what comes next finishes it, and nothing is said twice or left over.
func TestEndedBetweenAnyTwoSteps(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { endedBetween(t, open(t, onSQLite(t), 256), false) })
	t.Run("postgres", func(t *testing.T) { endedBetween(t, open(t, onPostgres(t), 256), true) })
}

func endedBetween(t *testing.T, h *house, few bool) {
	ctx := context.Background()
	for at := 0; ; at++ {
		if few && at == 3 {
			at = 7 // between deleting objects a database does nothing
		}
		w := steward.WorkspaceID(fmt.Sprint("ws_", at))
		h.now = time.Date(2019, 10, 20, 9, 0, 0, 0, time.UTC)
		for range 3 {
			h.month(w, 300, true)
		}
		h.now = time.Date(2020, 12, 3, 9, 0, 0, 0, time.UTC)
		h.purge(w, "ledger/2019-10", "ledger/2019-11", "prompt/2019-10-20", "prompt/2019-11-04")
		first := uint64(512) // two segments
		m := &mortal{left: at}
		dying := &segment.Store{Store: mortalTail{h.store.Store, m}, Manifest: h.catalog, Blobs: mortalBlobs{h.blobs, m}}
		p := h.pruner()
		p.Store, p.Catalog, p.Ledger = dying, mortalCatalog{h.catalog, m}, h.book(dying)
		_, err := p.Prune(ctx, w, h.now.AddDate(0, 0, -kept))
		must(t, p.Ledger.Close(ctx))
		dying.Close()
		if m.dead == (err == nil) {
			t.Fatalf("step %d: died %v, and says %v", at, m.dead, err)
		}
		_, err = h.Checkpoint(ctx, w)
		must(t, err)
		if r := h.verify(w); len(r.Findings) > 0 || r.Pruned != nil && r.Pruned.Entries != first {
			t.Fatalf("step %d: %s, pruned %+v", at, says(r), r.Pruned)
		}

		if p := h.prune(w); p.First != first {
			t.Fatalf("step %d: in the end it begins with %d", at, p.First)
		}
		if p := h.prune(w); p != (ledger.Pruned{First: first}) {
			t.Fatalf("step %d: once more %+v went", at, p)
		}
		h.recorded(w, "ledger/2019-11", first)
		if !m.dead {
			h.sound(w, first)
			if at != 7 { // two entries, the manifest, and headers and tiles of two segments
				t.Errorf("pruning took %d steps", at)
			}
			break
		}
	}
	h.now = time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC) // an hour later than the objects were made, by any disk's clock
	must(t, h.archive.Sweep(ctx))
	h.leftOver(0)
}

// leftOver wants so many objects that nothing names, those with locks not counted.
func (h *house) leftOver(want int) {
	h.t.Helper()
	ctx := context.Background()
	named, err := h.catalog.Objects(ctx, "", 1000)
	must(h.t, err)
	var left []string
	must(h.t, h.blobs.List(ctx, "", func(name string, _ time.Time) error {
		if !strings.HasSuffix(name, "~until") && !slices.ContainsFunc(named, func(o segment.Placed) bool { return o.Name == name }) {
			left = append(left, name)
		}
		return nil
	}))
	if len(left) != want {
		h.t.Errorf("left over are %q", left)
	}
}

// What is locked is given up, and goes with the lock's end.
func TestLockedObjectsGoWithTheirLock(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	h := open(t, onSQLite(t), 256)
	h.archive.Days = nil // seven years
	h.month(ws, 300, false)
	h.month(ws, 300, false)
	h.now = time.Date(2020, 11, 2, 9, 0, 0, 0, time.UTC)
	if p := h.prune(ws); p.First != 256 || p.Objects != 0 {
		t.Fatalf("%+v went", p)
	}
	h.sound(ws, 256)
	h.leftOver(2)
	h.now = time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
	must(t, h.archive.Sweep(ctx))
	h.leftOver(0)
	h.sound(ws, 256)
}

// What keeps a month from going, though its time is up.
func TestWhatStays(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	due := time.Date(2020, 11, 2, 9, 0, 0, 0, time.UTC)
	t.Run("an intent without outcome", func(t *testing.T) {
		h := open(t, onSQLite(t), 256)
		intent, err := h.Begin(ctx, ws, ledger.Entry{Caller: "mem_1"})
		must(t, err)
		h.month(ws, 300, false)
		h.month(ws, 300, false)
		h.now = due
		if p := h.prune(ws); p.First != 0 {
			t.Fatalf("%+v went", p)
		}
		_, err = h.End(ctx, intent, ledger.Entry{Outcome: ledger.OK})
		must(t, err)
		if p := h.prune(ws); p.First != 256 {
			t.Errorf("%+v went", p)
		}
		h.sound(ws, 256) // an outcome whose intent went
	})
	t.Run("the last segment", func(t *testing.T) {
		h := open(t, onSQLite(t), 256)
		h.month(ws, 300, false)
		h.now = due
		if p := h.prune(ws); p.First != 0 {
			t.Fatalf("%+v went", p)
		}
		h.month(ws, 300, false)
		if p := h.prune(ws); p.First != 256 {
			t.Errorf("%+v went", p)
		}
		h.sound(ws, 256)
	})
	t.Run("an older keyring", func(t *testing.T) {
		h, other := open(t, onSQLite(t), 256), open(t, onSQLite(t), 256)
		h.month(ws, 300, true)
		h.month(ws, 300, true)
		h.now = due
		h.purge(ws, "ledger/2019-10", "prompt/2019-10-20")
		p := h.pruner()
		p.Sealer = other.keys
		if pruned, err := p.Prune(ctx, ws, due.AddDate(0, 0, -kept)); err != nil || pruned.First != 0 {
			t.Errorf("%+v went, %v", pruned, err)
		}
	})
	t.Run("a month that a later segment begins in", func(t *testing.T) {
		h := open(t, onSQLite(t), 256)
		h.month(ws, 500, true) // 244 of October are sealed with November
		h.month(ws, 300, true)
		h.month(ws, 300, true)
		h.now = due
		h.purge(ws, "ledger/2019-10", "prompt/2019-10-20")
		if p := h.prune(ws); p.First != 256 {
			t.Errorf("%+v went", p)
		}
		h.sound(ws, 256)
	})
	t.Run("another name since", func(t *testing.T) {
		h := open(t, onSQLite(t), 256)
		h.month(ws, 256, false)
		must(t, h.Close(ctx))
		to := ledger.Restart{From: "steward.test/ws_1", To: "again.test/ws_1", Entry: 256, End: 256}
		var err error
		h.Ledger, err = ledger.Open(ctx, ledger.Config{
			Store: h.store, Sealer: h.keys, Now: func() time.Time { return h.now }, Rand: rand.Reader, Origin: "steward.test",
			Renamed: map[steward.WorkspaceID]string{ws: to.To},
		})
		must(t, err)
		defer func() { must(t, h.Close(ctx)) }()
		_, err = h.AppendAll(ctx, ws, to.Event(ledger.Entry{Caller: "steward"}))
		must(t, err)
		h.month(ws, 300, false)
		h.month(ws, 300, false)
		h.sound(ws, 0)
		h.now = due.AddDate(0, 1, 0)
		if p := h.prune(ws); p.First != 512 {
			t.Errorf("%+v went", p)
		}
		h.sound(ws, 512) // the entry that says why went
	})
	t.Run("another key since", func(t *testing.T) {
		h := open(t, onSQLite(t), 256)
		_, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead})
		must(t, err)
		_, err = h.Rotate(ctx, ws, ledger.Entry{Caller: "mem_1"})
		must(t, err)
		h.month(ws, 300, false)
		h.month(ws, 300, false)
		h.now = due
		if p := h.prune(ws); p.First != 256 {
			t.Errorf("%+v went", p)
		}
		h.sound(ws, 256) // the entry that brought it in went
	})
}
