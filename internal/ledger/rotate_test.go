package ledger_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

func TestTheSigningKeyIsReplaced(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		h := at.open(t, nil)
		add := func() ledger.Checkpoint {
			t.Helper()
			_, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead})
			must(t, err)
			cp, err := h.Checkpoint(ctx, ws)
			must(t, err)
			return cp
		}
		first := add()
		rotated, err := h.Rotate(ctx, ws, ledger.Entry{Caller: "mem_1", System: "steward"})
		must(t, err)
		next := add()
		if first.Key == rotated.Key || next.Key != rotated.Key {
			t.Errorf("the keys are %s, %s and %s", first.Key, rotated.Key, next.Key)
		}
		// Whoever trusts the old key is led to the new one; the old one signs nothing after that.
		signedBy := func(cp ledger.Checkpoint, vkey string) bool {
			v, err := note.NewVerifier(vkey)
			must(t, err)
			_, err = note.Open([]byte(cp.Note), note.VerifierList(v))
			return err == nil
		}
		if !signedBy(rotated, first.Key) || !signedBy(rotated, rotated.Key) || signedBy(next, first.Key) || signedBy(first, rotated.Key) {
			t.Error("the checkpoint that brings the new key in must be signed with both, and no other")
		}
		entry := h.headers(t, ws, ledger.Query{Kind: ledger.KeyRotated})
		if len(entry) != 1 || strings.Join(entry[0].Targets, " ") != rotated.Key+" "+first.Key || entry[0].Caller != "mem_1" {
			t.Errorf("the entry of it: %+v", entry)
		}
		sound(t, h.verify(t, ws), 3)

		// An entry that names some other key changes nothing.
		_, err = h.Append(ctx, ws, ledger.Entry{Kind: ledger.KeyRotated, Targets: []string{first.Key}})
		must(t, err)
		_, err = h.Append(ctx, ws, ledger.Entry{Kind: ledger.KeyRotated})
		must(t, err)
		if cp := add(); cp.Key != rotated.Key {
			t.Errorf("the key is %s", cp.Key)
		}
		sound(t, h.verify(t, ws), 6)

		// Many at once: each counts or is refused, and the log holds.
		failed := make(chan error, 4)
		for range cap(failed) {
			go func() {
				_, err := h.Rotate(ctx, ws, ledger.Entry{})
				failed <- err
			}()
		}
		for range cap(failed) {
			if err := <-failed; err != nil && steward.KindOf(err) != steward.Conflict {
				t.Error(err)
			}
		}
		sound(t, h.verify(t, ws), 10)
		if _, err := h.Rotate(ctx, "ws_empty", ledger.Entry{}); err != nil {
			t.Errorf("in a log without entries: %v", err)
		}
		sound(t, h.verify(t, "ws_empty"), 1)
	})
}

// A key that was replaced must not sign any more, even for somebody who still has it.
func TestAReplacedKeySignsNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		h := at.open(t, nil)
		for range 3 {
			_, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead})
			must(t, err)
		}
		old, err := h.Checkpoint(ctx, ws)
		must(t, err)
		_, err = h.Rotate(ctx, ws, ledger.Entry{})
		must(t, err)
		_, err = h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead})
		must(t, err)
		last, err := h.Checkpoint(ctx, ws)
		must(t, err)
		must(t, h.Close(ctx))
		sound(t, h.verify(t, ws), 5)

		// The same text, signed with the old key.
		seed, err := h.keys.Derive(ctx, ws, steward.WorkspaceScope, "checkpoint-signing")
		must(t, err)
		edge, err := ledger.ReadEdge(ctx, h.store, ws, last.Size)
		must(t, err)
		forged, err := tree.Sign(edge, last.Origin, tree.SeedKey(seed))
		must(t, err)
		if forged.Key != old.Key {
			t.Fatal("this isn't the old key")
		}
		at.tamper(t, do(`UPDATE ledger_checkpoints SET note = $1 WHERE size = $2`, []byte(forged.Note), last.Size))
		r := h.verify(t, ws)
		if len(r.Findings) != 1 || !strings.Contains(r.Findings[0].What, "is signed with the log's key 1, and key 2 was in force") {
			t.Errorf("findings %s", show(r.Findings))
		}
	})
}

// A log has so many keys and no more. One over that would make checkpoints that nobody can read any more, so the
// last one stays.
func TestTheLastKeyStays(t *testing.T) {
	ctx := context.Background()
	h := open(t, t.TempDir(), nil)
	_, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead})
	must(t, err)
	const origin = "steward.test/ws_1"
	key := func(number int) string {
		t.Helper()
		k, err := ledger.Ring(ctx, h.keys, ws)(number)
		must(t, err)
		vkey, err := k.Verifier(origin)
		must(t, err)
		return vkey
	}
	var events []ledger.Event // of most of them, as Rotate writes them
	for number := 2; number < tree.MaxKeys; number++ {
		events = append(events, ledger.Event{Entry: ledger.Entry{Kind: ledger.KeyRotated, Targets: []string{key(number), key(number - 1)}}})
	}
	for some := range slices.Chunk(events, 60) {
		_, err = h.AppendAll(ctx, ws, some...)
		must(t, err)
		_, err = h.Checkpoint(ctx, ws)
		must(t, err)
	}
	last, err := h.Rotate(ctx, ws, ledger.Entry{})
	must(t, err)
	if last.Key != key(tree.MaxKeys) {
		t.Errorf("the key is %s", last.Key)
	}
	for range 2 {
		_, err = h.Rotate(ctx, ws, ledger.Entry{})
		wantKind(t, err, steward.Limited)
	}
	_, err = h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead})
	must(t, err)
	after, err := h.Checkpoint(ctx, ws)
	must(t, err)
	if after.Key != last.Key || after.Size != last.Size+1 {
		t.Errorf("it goes on with %+v", after)
	}
	sound(t, h.verify(t, ws), tree.MaxKeys+1)
}

// An entry of a replacement that was changed is one finding, and not one more for each checkpoint after it.
func TestAChangedReplacementIsFoundOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		h := at.open(t, nil)
		_, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead})
		must(t, err)
		_, err = h.Rotate(ctx, ws, ledger.Entry{})
		must(t, err)
		for range 4 {
			_, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead})
			must(t, err)
			_, err = h.Checkpoint(ctx, ws)
			must(t, err)
		}
		must(t, h.Close(ctx))
		at.tamper(t, header(1, string(ledger.KeyRotated), string(ledger.RunRead)))
		found := show(h.verify(t, ws).Findings)
		if n := strings.Count(found, "is signed with the log's key 2, and key 1 was in force"); n != 1 || !strings.Contains(found, "entry 1 isn't what was signed") {
			t.Errorf("found %d times: %s", n, found)
		}
	})
}

// A process that died between the entry and its checkpoint has replaced the key all the same.
func TestReplacingTheKeySurvivesACrash(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		var slow *slowSigner
		h := at.open(t, func(c *ledger.Config) { slow = &slowSigner{Store: c.Store}; c.Store = slow })
		_, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead})
		must(t, err)
		before, err := h.Checkpoint(ctx, ws)
		must(t, err)
		slow.refuse.Store(true)
		// The first thing that Rotate does is to sign, which finds nothing new; then it writes, then it can't sign.
		if _, err := h.Rotate(ctx, ws, ledger.Entry{}); err == nil {
			t.Fatal("the key was replaced without a checkpoint")
		}
		_ = h.Close(ctx)
		again := at.open(t, nil)
		after, err := again.Checkpoint(ctx, ws)
		must(t, err)
		if after.Key == before.Key || after.Size != 2 {
			t.Errorf("after the crash: %d entries signed with %s, before with %s", after.Size, after.Key, before.Key)
		}
		sound(t, again.verify(t, ws), 2)
	})
}
