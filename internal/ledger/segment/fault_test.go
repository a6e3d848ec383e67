package segment_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
)

// mortal ends a process: after some steps that change something outside, nothing does any more.
type mortal struct {
	left int
	dead bool
}

var errDead = errors.New("the process is dead")

func (m *mortal) step(f func() error) error {
	if m.dead {
		return errDead
	}
	if m.left--; m.left >= 0 {
		return f()
	}
	m.dead = true
	return errDead
}

type mortalBlobs struct {
	segment.Blobs
	m *mortal
}

func (b mortalBlobs) Put(ctx context.Context, name string, content io.ReadSeeker, size int64, until time.Time) error {
	return b.m.step(func() error { return b.Blobs.Put(ctx, name, content, size, until) })
}

func (b mortalBlobs) Delete(ctx context.Context, name string) error {
	return b.m.step(func() error { return b.Blobs.Delete(ctx, name) })
}

func (b mortalBlobs) Lock(ctx context.Context, name string, until time.Time) error {
	return b.m.step(func() error { return b.Blobs.Lock(ctx, name, until) })
}

type mortalCatalog struct {
	segment.Catalog
	m *mortal
}

func (c mortalCatalog) Replace(ctx context.Context, ws steward.WorkspaceID, old []segment.Segment, with segment.Segment) error {
	return c.m.step(func() error { return c.Catalog.Replace(ctx, ws, old, with) })
}

func (c mortalCatalog) Trim(ctx context.Context, ws steward.WorkspaceID, before int64) (more bool, err error) {
	err = c.m.step(func() error { more, err = c.Catalog.Trim(ctx, ws, before); return err })
	return more, err
}

// Wherever sealing, merging and locking end, all entries are there and verify; what comes next finishes the
// work, and nothing is left over.
func TestEndedBetweenAnyTwoSteps(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes long, and nothing in it runs beside anything else")
	}
	ctx := context.Background()
	h := open(t, t.TempDir(), func(h *house) { h.useMemory() })
	const entries = 600
	steps := 0
	for at := 0; ; at++ {
		w := steward.WorkspaceID(fmt.Sprint("ws_", at))
		h.now = time.Date(2026, 10, 20, 9, 0, 0, 0, time.UTC)
		h.fill(t, w, entries, time.Second)
		want := everything(t, h.tail, w)
		h.now = time.Date(2026, 11, 5, 9, 0, 0, 0, time.UTC)

		m := &mortal{left: at}
		dying := &segment.Store{Store: h.tail, Manifest: h.segments, Blobs: mortalBlobs{h.blobs, m}}
		archivist := func(s *segment.Store, c segment.Catalog) *segment.Archivist {
			return &segment.Archivist{Store: s, Catalog: c, Sealer: h.keys, Spool: h.archive.Spool, Now: h.archive.Now, Rand: rand.Reader, Entries: 256}
		}
		err := archivist(dying, mortalCatalog{h.segments, m}).Pass(ctx)
		dying.Close()
		if m.dead && !errors.Is(err, errDead) {
			t.Fatalf("step %d: died and says %v", at, err)
		}
		same(t, everything(t, h.store, w), want)
		if r, err := verifyChecked(h, w); err != nil || len(r.Findings) > 0 {
			t.Fatalf("step %d: %+v, %v", at, r.Findings, err)
		}

		must(t, archivist(h.store, h.segments).Pass(ctx))
		if list := h.manifest(t, w); len(list) != 1 || list[0].Entries != 512 || list[0].State != segment.Locked {
			t.Fatalf("step %d: in the end %d segments, %+v", at, len(list), list)
		}
		if left := h.tailRows(t, w); len(left) != entries-512 {
			t.Fatalf("step %d: %d rows are left", at, len(left))
		}
		same(t, everything(t, h.store, w), want)
		if !m.dead {
			must(t, err)
			steps = at
			break
		}
	}
	if steps < 20 {
		t.Errorf("only %d steps were tried", steps)
	}

	// What was being written isn't swept up; what is old is, and nothing that is named.
	before := len(h.objects(t))
	h.now = time.Now()
	must(t, h.archive.Sweep(ctx))
	if now := len(h.objects(t)); now != before {
		t.Errorf("%d objects of %d are left of those that are new", now, before)
	}
	for _, name := range []string{"ledger/ws_0/0", "ledger/ws_0/1"} {
		must(t, h.blobs.Put(ctx, name, strings.NewReader("left"), 4, time.Time{}))
	}
	must(t, h.blobs.Lock(ctx, "ledger/ws_0/0", h.now)) // it stays, and holds up none of the others
	h.now = time.Now().Add(2 * time.Hour)
	must(t, h.archive.Sweep(ctx))
	if left := h.objects(t); left[0] != "ledger/ws_0/0" || left[1] == "ledger/ws_0/1" {
		t.Errorf("left: %v", left[:2])
	}
	named := 1
	for from := ""; ; {
		list, err := h.segments.Objects(ctx, from, 1000)
		must(t, err)
		if len(list) == 0 {
			break
		}
		named += len(list)
		from = list[len(list)-1].Name
	}
	if now := len(h.objects(t)); now != named || now >= before {
		t.Errorf("%d objects are left of %d, and %d are named", now, before, named)
	}
	must(t, h.store.Check(ctx))
	if left, err := filepath.Glob(filepath.Join(h.archive.Spool, "*")); err != nil || len(left) > 0 {
		t.Errorf("prepared and left: %v, %v", left, err)
	}
}

// TestLockedObjectsStay: those of a merged month can't be deleted before their class has passed.
func TestLockedObjectsStay(t *testing.T) {
	ctx := context.Background()
	h := open(t, t.TempDir(), nil)
	h.fill(t, ws, 1024, time.Second)
	must(t, h.archive.Pass(ctx))
	fresh := h.manifest(t, ws)[0]
	h.now = h.now.AddDate(0, 1, 0)
	must(t, h.archive.Pass(ctx))
	for _, o := range h.manifest(t, ws)[0].Objects {
		if err := h.blobs.Delete(ctx, o.Name); steward.KindOf(err) != steward.Conflict {
			t.Errorf("deleting %s, kept until %v: %v", o.Name, o.Until, err)
		}
		switch want := map[string]string{"": "2033-12-01", "ledger/2026-11": "2033-12-01", "prompt/2026-11-23": "2027-02-22"}[o.Scopes]; {
		case o.Until.Format(time.DateOnly) != want:
			t.Errorf("%s %q is kept until %v, not %s", o.Kind, o.Scopes, o.Until, want)
		}
	}
	if now := h.manifest(t, ws)[0]; now.State != segment.Locked || now.Objects[0].Name != fresh.Objects[0].Name {
		t.Errorf("one segment alone was written anew: %+v", now)
	}
}

// TestNothingIsTrimmedWhoseObjectsAreGone: as a sweep with a wrong clock could have it.
func TestNothingIsTrimmedWhoseObjectsAreGone(t *testing.T) {
	ctx := context.Background()
	h := open(t, t.TempDir(), func(h *house) { h.useMemory() })
	h.fill(t, ws, 1100, time.Second)
	m := &mortal{left: 5} // four objects and the manifest
	dying := &segment.Store{Store: h.tail, Manifest: h.segments, Blobs: mortalBlobs{h.blobs, m}}
	a := *h.archive
	a.Store, a.Catalog = dying, mortalCatalog{h.segments, m}
	if err := a.Pass(ctx); !errors.Is(err, errDead) || len(h.manifest(t, ws)) != 1 {
		t.Fatalf("%v, manifest %+v", err, h.manifest(t, ws))
	}
	must(t, h.blobs.Delete(ctx, h.manifest(t, ws)[0].Objects[1].Name))
	if err := h.archive.Pass(ctx); err == nil || steward.KindOf(err) != steward.Internal {
		t.Errorf("trimming: %v", err)
	}
	if left := h.tailRows(t, ws); len(left) != 1100 {
		t.Errorf("%d rows are left of those that are nowhere else", len(left))
	}
}

// Readers, a verifier and writers go on beside sealing and merging, and see every entry in its place.
func TestReadingBesideSealing(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	h := open(t, t.TempDir(), func(h *house) {
		h.useMemory().made = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC) // by this clock all would soon be old
		h.archive.Entries, h.archive.Month, h.archive.Every = 256, 2048, time.Millisecond
	})
	var hours atomic.Int64 // pass with each commit
	clock := func() time.Time {
		return time.Date(2026, 1, 25, 0, 0, 0, 0, time.UTC).Add(time.Duration(hours.Load()) * time.Hour)
	}
	h.archive.Now = clock
	l, err := ledger.Open(ctx, ledger.Config{Store: h.store, Sealer: h.keys, Now: clock, Rand: rand.Reader, Origin: "steward.test", Node: "node_busy"})
	must(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i += 50 {
			var events []ledger.Event
			for n := range 50 {
				events = append(events, event(i+n, clock()))
			}
			if _, err := l.AppendAll(ctx, ws, events...); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			if _, err := l.Checkpoint(ctx, ws); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			hours.Add(24)
		}
	})
	wg.Go(func() {
		if err := h.archive.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	wg.Go(func() {
		for ctx.Err() == nil {
			r, err := verifyChecked(h, ws)
			if err != nil || len(r.Findings) > 0 {
				t.Errorf("verify: %+v, %v", r.Findings, err)
			}
			// It is enough when a month was merged beside all that.
			merged := 0
			for _, s := range h.manifest(t, ws) {
				if s.State == segment.Locked && s.Entries > 256 {
					merged++
				}
			}
			if merged >= 1 || t.Failed() {
				cancel()
			}
		}
	})
	for backward := range 2 {
		wg.Go(func() {
			for ctx.Err() == nil {
				head, err := h.store.Head(ctx, ws)
				if err != nil {
					return
				}
				found := 0
				err = h.store.Search(ctx, ws, &ledger.Query{Kind: ledger.LedgerRead, Backward: backward == 1}, 0, head.Next, func(row ledger.Row) bool {
					if strings.Contains(string(row.Header), `"kind":"ledger.read"`) {
						found++
					}
					return true
				})
				if want := int(head.Next) / 3; ctx.Err() == nil && (err != nil || found < want || found > want+1) {
					t.Errorf("found %d of %d among %d, %v", found, want, head.Next, err)
				}
			}
		})
	}
	wg.Wait()
	must(t, l.Close(context.Background()))
	head, err := h.store.Head(context.Background(), ws)
	must(t, err)
	h.sound(t, ws, int(head.Next))
	if context.Cause(ctx) != context.Canceled {
		t.Errorf("of %d entries no month was merged: %d segments", head.Next, len(h.manifest(t, ws)))
	}
}

var crashDir = flag.String("crash-dir", "", "makes the test binary the process that TestKilledAtAnyMoment kills")

// TestCrashChild appends and archives until it is killed, and says how many entries are acknowledged.
func TestCrashChild(t *testing.T) {
	if *crashDir == "" {
		t.Skip("this is the process that TestKilledAtAnyMoment starts")
	}
	ctx := context.Background()
	start := time.Now()
	h := open(t, *crashDir, func(h *house) {
		h.archive.Spool = *crashDir
		h.archive.Entries, h.archive.Month, h.archive.Every = 256, 1024, time.Millisecond
		h.archive.Now = func() time.Time { return h.now.Add(time.Since(start) * 3600 * 1000 * 10) }
	})
	go func() { _ = h.archive.Run(ctx) }()
	for {
		var events []ledger.Event
		for n := range 64 {
			events = append(events, event(n, h.now))
		}
		first, err := h.AppendAll(ctx, ws, events...)
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println("acknowledged", first+64)
		_, _ = h.Checkpoint(ctx, ws)
	}
}

func TestKilledAtAnyMoment(t *testing.T) {
	dir := t.TempDir()
	acknowledged := 0
	sealed := 0
	for round := range 6 {
		child := exec.Command(os.Args[0], "-test.run=^TestCrashChild$", "-crash-dir="+dir)
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		lines := bufio.NewReader(out)
		for left := mathrand.IntN(40); ; left-- {
			line, err := lines.ReadString('\n')
			if err != nil {
				break // what was cut off was not acknowledged
			}
			if _, err := fmt.Sscanf(line, "acknowledged %d", &acknowledged); err != nil {
				t.Errorf("round %d: the child says %q", round, line)
				break
			}
			if left == 0 {
				go func() {
					time.Sleep(time.Duration(mathrand.IntN(20_000)) * time.Microsecond)
					_ = child.Process.Kill()
				}()
			}
		}
		_ = child.Process.Kill()
		_ = child.Wait()
		t.Run(fmt.Sprint("round ", round), func(t *testing.T) {
			h := open(t, dir, nil)
			all := everything(t, h.store, ws)
			if len(all) < acknowledged {
				t.Errorf("%d entries of %d that were acknowledged", len(all), acknowledged)
			}
			h.sound(t, ws, len(all))
			if s := h.manifest(t, ws); len(s) > 0 {
				sealed = int(s[len(s)-1].End())
			}
		})
	}
	if sealed < 512 {
		t.Errorf("%d entries were sealed over all rounds", sealed)
	}
	t.Logf("%d entries acknowledged, %d sealed", acknowledged, sealed)
}
