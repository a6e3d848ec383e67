package ledger_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
)

// TestTreeAgreesWithSumdb computes every root again with the Go checksum database's own code, and proves
// inclusion and consistency between the checkpoints that were signed.
func TestTreeAgreesWithSumdb(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		h := at.open(t, nil)
		var checkpoints []ledger.Checkpoint
		for n := range 40 {
			if _, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead, Records: n}); err != nil {
				t.Fatal(err)
			}
			if n%7 == 0 || n > 35 {
				cp, err := h.Checkpoint(ctx, ws)
				if err != nil {
					t.Fatal(err)
				}
				checkpoints = append(checkpoints, cp)
			}
		}

		var hashes []tlog.Hash
		reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
			var out []tlog.Hash
			for _, i := range indexes {
				out = append(out, hashes[i])
			}
			return out, nil
		})
		rows, err := h.store.Rows(ctx, ws, 0, 100, false)
		if err != nil {
			t.Fatal(err)
		}
		for n, row := range rows {
			more, err := tlog.StoredHashes(int64(n), row.Header, reader)
			if err != nil {
				t.Fatal(err)
			}
			hashes = append(hashes, more...)
		}

		for i, cp := range checkpoints {
			root, err := tlog.TreeHash(int64(cp.Size), reader)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(root[:], cp.Root) {
				t.Errorf("root at %d: ours %x, sumdb's %x", cp.Size, cp.Root, root[:])
			}
			verifier, err := note.NewVerifier(cp.Key)
			if err != nil {
				t.Fatal(err)
			}
			opened, err := note.Open([]byte(cp.Note), note.VerifierList(verifier))
			if err != nil {
				t.Fatal(err)
			}
			if want := "steward.test/ws_1\n" + strconv.Itoa(int(cp.Size)) + "\n" + base64.StdEncoding.EncodeToString(root[:]) + "\n"; opened.Text != want {
				t.Errorf("the note says\n%s\nwant\n%s", opened.Text, want)
			}
			proof, err := tlog.ProveRecord(int64(cp.Size), 0, reader)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckRecord(proof, int64(cp.Size), tlog.Hash(cp.Root), 0, tlog.RecordHash(rows[0].Header)); err != nil {
				t.Errorf("inclusion of entry 0 in %d: %v", cp.Size, err)
			}
			if i > 0 {
				before := checkpoints[i-1]
				proof, err := tlog.ProveTree(int64(cp.Size), int64(before.Size), reader)
				if err != nil {
					t.Fatal(err)
				}
				if err := tlog.CheckTree(proof, int64(cp.Size), tlog.Hash(cp.Root), int64(before.Size), tlog.Hash(before.Root)); err != nil {
					t.Errorf("%d doesn't go on from %d: %v", cp.Size, before.Size, err)
				}
			}
		}
		again, err := h.Checkpoint(ctx, ws)
		if err != nil || again.Note != checkpoints[len(checkpoints)-1].Note {
			t.Errorf("a checkpoint without change: %+v, %v", again, err)
		}
		empty, err := h.Checkpoint(ctx, "ws_empty")
		if err != nil || empty.Size != 0 || !strings.HasPrefix(empty.Note, "steward.test/ws_empty\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n") {
			t.Errorf("the empty ledger's checkpoint: %+v, %v", empty, err)
		}
		sound(t, h.verify(t, ws), 40)
	})
}

func TestCheckpointFollowsByItself(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		h := at.open(t, nil)
		for _, w := range []steward.WorkspaceID{"ws_a", "ws_b"} {
			if _, err := h.Append(ctx, w, ledger.Entry{Kind: ledger.RunRead}); err != nil {
				t.Fatal(err)
			}
		}
		behind := []steward.WorkspaceID{"ws_a"}
		for deadline := time.Now().Add(5 * time.Second); len(behind) > 0 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			var err error
			if behind, err = h.store.Behind(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if len(behind) > 0 {
			t.Errorf("%v have no checkpoint after 5 s", behind)
		}
	})
}

// TestUnsignedEntriesGetACheckpointAfterACrash leaves entries as a crash would: written, not signed.
func TestUnsignedEntriesGetACheckpointAfterACrash(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		func() {
			h := at.open(t, nil)
			for range 3 {
				if _, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead}); err != nil {
					t.Fatal(err)
				}
			}
			if err := h.Close(ctx); err != nil {
				t.Fatal(err)
			}
		}()
		at.tamper(t, do(`DELETE FROM ledger_checkpoints`), do(`UPDATE ledger_heads SET signed = 0`))
		h := at.open(t, nil)
		if err := h.Close(ctx); err != nil {
			t.Fatal(err)
		}
		r := h.verify(t, ws)
		sound(t, r, 3)
		if r.Unsigned != 0 {
			t.Errorf("%d entries are still unsigned", r.Unsigned)
		}
	})
}

// TestChangedEntriesAreNotSigned changes rows between their commit and their checkpoint.
func TestChangedEntriesAreNotSigned(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		for name, change := range map[string]deed{
			"a header since the last checkpoint": header(4, `"records":5`, `"records":6`),
			"a row gone":                         do(`DELETE FROM ledger_tail WHERE seq = 4`),
			"the stored range":                   rewrite("ledger_checkpoints", "hashes", "workspace = 'ws_1'", zeros),
			"the stored note":                    rewrite("ledger_checkpoints", "note", "workspace = 'ws_1'", replaced("\n3\n", "\n2\n")),
			"no checkpoint":                      do(`DELETE FROM ledger_checkpoints`),
		} {
			t.Run(name, func(t *testing.T) {
				at := at.anew(t)
				slow := &slowSigner{}
				h := at.open(t, func(c *ledger.Config) { slow.Store = c.Store; c.Store = slow })
				for n := range 6 {
					if _, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead, Records: n + 1}); err != nil {
						t.Fatal(err)
					}
					if n == 2 {
						if _, err := h.Checkpoint(ctx, ws); err != nil {
							t.Fatal(err)
						}
						slow.refuse.Store(true) // the background's, so that the change comes first
					}
				}
				at.tamper(t, change)
				_, err := h.Checkpoint(ctx, ws)
				wantKind(t, err, steward.Internal)
				if !strings.Contains(steward.Message(err), "steward verify") {
					t.Errorf("message %q", steward.Message(err))
				}
				if r := h.verify(t, ws); len(r.Findings) == 0 && name != "a header since the last checkpoint" {
					t.Error("verify finds nothing")
				}
			})
		}
	})
}

// slowSigner saves no checkpoint while it refuses.
type slowSigner struct {
	ledger.Store
	refuse atomic.Bool
}

func (s *slowSigner) SaveCheckpoints(ctx context.Context, signed []ledger.Signed) error {
	if s.refuse.Load() {
		return fmt.Errorf("not now")
	}
	return s.Store.SaveCheckpoints(ctx, signed)
}

// A checkpoint that couldn't be saved is made again, though nothing is added: whether it was the signer's, or
// one that somebody asked for while the signer looked.
func TestACheckpointThatFailedIsMadeAgain(t *testing.T) {
	for name, asked := range map[string]bool{"the signer's": false, "somebody else's": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			h := open(t, t.TempDir(), func(c *ledger.Config) { c.Store = &stumbling{Store: c.Store} })
			time.Sleep(700 * time.Millisecond) // so that the signer waits for a change
			_, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead})
			must(t, err)
			if asked {
				if _, err := h.Checkpoint(ctx, ws); err == nil {
					t.Fatal("it doesn't stumble")
				}
			}
			behind := []steward.WorkspaceID{ws}
			for deadline := time.Now().Add(10 * time.Second); len(behind) > 0 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
				behind, err = h.store.Behind(ctx)
				must(t, err)
			}
			if len(behind) > 0 {
				t.Error("there is no checkpoint after 10 s")
			}
		})
	}
}

// stumbling saves checkpoints from the second try on. The first takes longer than the signer waits.
type stumbling struct {
	ledger.Store
	once atomic.Bool
}

func (s *stumbling) SaveCheckpoints(ctx context.Context, signed []ledger.Signed) error {
	if s.once.CompareAndSwap(false, true) {
		time.Sleep(700 * time.Millisecond)
		return fmt.Errorf("not now")
	}
	return s.Store.SaveCheckpoints(ctx, signed)
}

// TestReadingThatIsCutShortIsNoDamage cancels what reads entries back: the log is as it was, and is said to be.
func TestReadingThatIsCutShortIsNoDamage(t *testing.T) {
	at := place{dir: t.TempDir()}
	func() {
		h := at.open(t, nil)
		for range 5 {
			events := make([]ledger.Event, ledger.PageRows)
			for i := range events {
				events[i].Entry = ledger.Entry{Kind: ledger.RunRead}
			}
			_, err := h.AppendAll(context.Background(), ws, events...)
			must(t, err)
		}
		must(t, h.Close(context.Background()))
	}()
	at.tamper(t, do(`DELETE FROM ledger_checkpoints`), do(`DELETE FROM ledger_tiles`), do(`UPDATE ledger_heads SET signed = 0`))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h := at.open(t, func(c *ledger.Config) { c.Store = cutting{c.Store, cancel} })
	if _, err := h.Checkpoint(ctx, ws); !errors.Is(err, context.Canceled) || strings.Contains(steward.Message(err), "damaged") {
		t.Errorf("%v", err)
	}

	// Also where all that is under way was read before.
	ctx, cancel = context.WithCancel(context.Background())
	defer cancel()
	pages, failed := 0, false
	for err := range ledger.Pages(ctx, 0, 100*ledger.PageRows, ledger.ReadersAhead, func(ctx context.Context, _, _ uint64) error { return ctx.Err() }) {
		if failed = err != nil; pages == 3 {
			time.Sleep(50 * time.Millisecond)
			cancel()
			time.Sleep(50 * time.Millisecond)
		}
		pages++
	}
	if !failed || pages == 100 {
		t.Errorf("after %d pages it ends as if that were all", pages)
	}
}

// cutting cancels when a second page is read.
type cutting struct {
	ledger.Store
	cancel func()
}

func (c cutting) Rows(ctx context.Context, w steward.WorkspaceID, from uint64, limit int, parts bool) ([]ledger.Row, error) {
	if from == ledger.PageRows {
		c.cancel()
	}
	return c.Store.Rows(ctx, w, from, limit, parts)
}

// edit changes the data of a folder behind everybody's back.
func edit(t testing.TB, dir string, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		place{dir: dir}.tamper(t, do(statement))
	}
}
