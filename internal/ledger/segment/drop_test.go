package segment_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/ledger/verify"
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
