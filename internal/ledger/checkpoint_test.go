package ledger_test

import (
	"bytes"
	"context"
	"encoding/base64"
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

// edit changes the data of a folder behind everybody's back.
func edit(t testing.TB, dir string, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		place{dir: dir}.tamper(t, do(statement))
	}
}
