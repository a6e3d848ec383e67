package segment_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/blob"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/layout"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/ledger/verify"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

// What was purged is gone from the objects too, and nothing else; the record says so, and stays whole.
func TestPurgedPartsAreDropped(t *testing.T) {
	ctx := context.Background()
	h := open(t, t.TempDir(), nil)
	var events []ledger.Event
	for i := range 1024 {
		events = append(events, event(i, h.now))
	}
	for _, w := range []steward.WorkspaceID{ws, "ws_2"} {
		_, err := h.AppendAll(ctx, w, events...)
		must(t, err)
		_, err = h.Checkpoint(ctx, w)
		must(t, err)
	}
	must(t, h.archive.Pass(ctx))
	objects := func() (names []string) {
		must(t, h.blobs.List(ctx, "", func(name string, _ time.Time) error { names = append(names, name); return nil }))
		return names
	}
	findings := func() string {
		t.Helper()
		r, err := verify.Ledger(ctx, verify.Source{Store: h.store, Sealer: h.keys}, ws, nil)
		must(t, err)
		var all []string
		for _, f := range r.Findings {
			all = append(all, f.What)
		}
		return strings.Join(all, "; ")
	}
	before := len(objects())
	dropper := segment.Dropper{Store: h.store, Catalog: h.segments}
	prompts := []steward.Scope{steward.TimeScope(steward.ClassPrompt, h.now)}
	must(t, h.keys.Shred(ctx, ws, prompts...))
	removed, err := dropper.DropScopes(ctx, ws, prompts)
	must(t, err)
	if after := len(objects()); removed != 1 || after != before-1 {
		t.Errorf("%d objects of %d were removed, and %d are left", removed, before, after)
	}
	if again, err := dropper.DropScopes(ctx, ws, prompts); err != nil || again != 0 {
		t.Errorf("a second time %d objects are removed, %v", again, err)
	}
	if got := findings(); !strings.Contains(got, "from entry 0 on, parts are missing, and no purge on record explains it") {
		t.Errorf("without a purge on record: %q", got)
	}
	_, err = h.Append(ctx, ws, ledger.Entry{Kind: ledger.PurgeBegun, Targets: []string{string(prompts[0])}})
	must(t, err)
	if got := findings(); got != "" {
		t.Errorf("with a purge on record: %q", got)
	}
	if body, err := h.Part(ctx, ws, 3, 0); err != nil || string(body) != "part 0 of 3" {
		t.Errorf("the part that stays is %q, %v", body, err)
	}
	if _, err := h.Part(ctx, ws, 3, 1); steward.KindOf(err) != steward.Gone {
		t.Errorf("the part that went: %v", err)
	}
	if body, err := h.Part(ctx, "ws_2", 3, 1); err != nil || string(body) != "part 1 of 3" {
		t.Errorf("another workspace's is %q, %v", body, err)
	}

	// Months later all that is left of it is merged.
	h.now = h.now.AddDate(0, 3, 0)
	h.fill(t, ws, 1024, time.Second)
	must(t, h.archive.Pass(ctx))
	if list := h.manifest(t, ws); list[0].State != segment.Locked {
		t.Errorf("the first segment is in state %d", list[0].State)
	}
	if got := findings(); got != "" {
		t.Errorf("after merging: %q", got)
	}
	if _, err := h.Part(ctx, ws, 3, 1); steward.KindOf(err) != steward.Gone {
		t.Errorf("the part that went, after merging: %v", err)
	}
}

// promptsOf counts what is left of the prompts' parts in the tail and in objects, as it reads.
func promptsOf(t *testing.T, from ledger.Store) (left int) {
	t.Helper()
	for next := uint64(0); ; {
		rows, err := from.Rows(context.Background(), ws, next, 1000, true)
		must(t, err)
		if len(rows) == 0 {
			return left
		}
		for _, row := range rows {
			boxes, err := layout.SplitParts(row.Parts)
			must(t, err)
			if len(boxes) == 2 && len(boxes[0]) == 0 {
				t.Fatalf("entry %d has lost the part that stays", row.Seq)
			}
			if len(boxes) == 2 && len(boxes[1]) > 0 {
				left++
			}
			next = row.Seq + 1
		}
	}
}

// Parts that are purged before they are sealed go from the tail, and come into no object.
func TestPurgedPartsAreEmptiedInTheTail(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { purgedInTheTail(t, open(t, t.TempDir(), nil)) })
	t.Run("postgres", func(t *testing.T) {
		data, err := store.Postgres{URL: postgres.Start(t).Database(t)}.OpenData(context.Background())
		must(t, err)
		purgedInTheTail(t, openOn(t, t.TempDir(), data, nil))
	})
}

func purgedInTheTail(t *testing.T, h *house) {
	ctx := context.Background()
	h.fill(t, ws, 900, 0)
	prompts := []steward.Scope{steward.TimeScope(steward.ClassPrompt, h.now)}
	if left := promptsOf(t, h.tail); left != 300 {
		t.Fatalf("%d prompts at first", left)
	}
	_, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.PurgeBegun, Targets: []string{string(prompts[0])}})
	must(t, err)
	must(t, h.keys.Shred(ctx, ws, prompts...))
	dropper := segment.Dropper{Store: h.store, Catalog: h.segments}
	for _, want := range []int{300, 0} {
		if removed, err := dropper.DropScopes(ctx, ws, prompts); err != nil || removed != want {
			t.Errorf("%d are removed, not %d, %v", removed, want, err)
		}
	}
	if left := promptsOf(t, h.tail); left != 0 {
		t.Errorf("%d are left in the tail", left)
	}
	_, err = h.Checkpoint(ctx, ws)
	must(t, err)
	h.sound(t, ws, 901)
	h.now = h.now.AddDate(0, 0, 2)
	must(t, h.archive.Pass(ctx))
	if s := h.manifest(t, ws); len(s) != 1 || len(s[0].Objects) != 3 {
		t.Errorf("the manifest is %+v", s)
	}
	h.sound(t, ws, 901)
}

// between calls something before a segment is named.
type between struct {
	segment.Catalog
	f func()
}

func (b between) Replace(ctx context.Context, ws steward.WorkspaceID, old []segment.Segment, with segment.Segment) error {
	b.f()
	return b.Catalog.Replace(ctx, ws, old, with)
}

// A purge at any time beside sealing leaves no part behind.
func TestPurgedWhileSealed(t *testing.T) {
	ctx := context.Background()
	for name, purgeWhen := range map[string]func(h *house, keys, all func()){
		"keys before": func(h *house, keys, all func()) { keys() },
		"keys before it is named, bytes not": func(h *house, keys, all func()) {
			h.archive.Catalog = between{h.segments, keys}
		},
		"all before it is named": func(h *house, keys, all func()) { h.archive.Catalog = between{h.segments, all} },
	} {
		t.Run(name, func(t *testing.T) {
			var m *memory
			h := open(t, t.TempDir(), func(h *house) { m = h.useMemory() })
			b := &broken{Blobs: m}
			h.store.Blobs = b
			h.fill(t, ws, 1024, 0)
			prompts := []steward.Scope{steward.TimeScope(steward.ClassPrompt, h.now)}
			_, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.PurgeBegun, Targets: []string{string(prompts[0])}})
			must(t, err)
			_, err = h.Checkpoint(ctx, ws)
			must(t, err)
			keys := func() { must(t, h.keys.Shred(ctx, ws, prompts...)) }
			purgeWhen(h, keys, func() {
				keys()
				_, err := segment.Dropper{Store: h.store, Catalog: h.segments}.DropScopes(ctx, ws, prompts)
				must(t, err)
			})
			must(t, h.archive.Pass(ctx))
			if s := h.manifest(t, ws); len(s) != 1 || len(s[0].Objects) != 3 || len(m.objects) != 3 {
				t.Errorf("%d objects, and the manifest is %+v", len(m.objects), s)
			}
			if left := promptsOf(t, h.store); left != 0 {
				t.Errorf("%d parts are left", left)
			}
			if name == "keys before" && b.puts != 3 {
				t.Errorf("%d objects were written", b.puts)
			}
			h.sound(t, ws, 1025)
		})
	}
}

// What a key never was made for isn't purged: that is what an older copy of the keyring says.
func TestUnknownKeysPurgeNothing(t *testing.T) {
	ctx := context.Background()
	h, other := open(t, t.TempDir(), nil), open(t, t.TempDir(), nil)
	h.fill(t, ws, 1024, 0)
	h.archive.Sealer = keysOf{h.keys, other.keys}
	must(t, h.archive.Pass(ctx))
	if left := promptsOf(t, h.store); left != 342 {
		t.Errorf("%d parts are left of 342", left)
	}
}

// keysOf derives from one keyring, and opens with another.
type keysOf struct {
	steward.Sealer
	opens steward.Sealer
}

func (k keysOf) Open(ctx context.Context, at steward.Place, sealed steward.Sealed) ([]byte, error) {
	return k.opens.Open(ctx, at, sealed)
}

// held is a store of objects of which some can't be deleted, as under a legal hold.
type held struct{ segment.Blobs }

func (held) Delete(context.Context, string) error {
	return steward.Errorf(steward.Conflict, "it is held")
}

// What is only given up isn't counted, and nothing keeps it open.
func TestDroppedObjectsAreClosed(t *testing.T) {
	ctx := context.Background()
	h := open(t, t.TempDir(), nil)
	h.fill(t, ws, 1024, 0)
	must(t, h.archive.Pass(ctx))
	var closed []string
	h.store.Blobs = watched{held{h.blobs}, &closed}
	promptsOf(t, h.store)
	prompts := []steward.Scope{steward.TimeScope(steward.ClassPrompt, h.now)}
	must(t, h.keys.Shred(ctx, ws, prompts...))
	removed, err := segment.Dropper{Store: h.store, Catalog: h.segments}.DropScopes(ctx, ws, prompts)
	if err != nil || removed != 0 {
		t.Errorf("%d objects that are held were removed, %v", removed, err)
	}
	if len(closed) != 1 || !strings.Contains(closed[0], "/parts-") {
		t.Errorf("closed: %v", closed)
	}
}

// watched tells what is closed.
type watched struct {
	segment.Blobs
	closed *[]string
}

func (w watched) Open(ctx context.Context, name string) (blob.Object, error) {
	o, err := w.Blobs.Open(ctx, name)
	return watchedObject{o, func() { *w.closed = append(*w.closed, name) }}, err
}

type watchedObject struct {
	blob.Object
	closing func()
}

func (w watchedObject) Close() error {
	w.closing()
	return w.Object.Close()
}
