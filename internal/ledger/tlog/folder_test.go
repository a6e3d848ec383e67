package tlog_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/tlog"
	"github.com/stewardhq/steward/internal/ledger/verify"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

// verified verifies an exported folder with a key, and with nothing else.
func verified(t *testing.T, dir, key string) (verify.Report, error) {
	t.Helper()
	f, err := tlog.OpenFolder(dir)
	if err != nil {
		return verify.Report{}, err
	}
	defer func() { must(t, f.Close()) }()
	return verify.Ledger(context.Background(), verify.Source{Store: f, Key: key, HeadersOnly: true}, f.Workspace(), nil)
}

// says joins what was found.
func says(r verify.Report) string {
	var all []string
	for _, f := range r.Findings {
		all = append(all, f.What)
	}
	return strings.Join(all, "\n")
}

// TestExportsVerifyWithoutKeyring exports logs over the edges of tiles, each into the folder of the one before too.
func TestExportsVerifyWithoutKeyring(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		h := openOn(t, on, nil)
		going := t.TempDir()
		size := 0
		for _, to := range sizes {
			cp := h.grow(t, ws, to-size)
			size = to
			fresh := t.TempDir()
			for _, dir := range []string{going, fresh} {
				_, err := h.log.Export(context.Background(), ws, dir, nil)
				must(t, err)
				r, err := verified(t, dir, cp.Key)
				if err != nil || len(r.Findings) > 0 || r.Entries != uint64(size) || r.Unsigned != 0 || r.Checkpoint == nil || r.Checkpoint.Note != cp.Note {
					t.Errorf("at %d: %+v, %v", size, r, err)
				}
			}
		}
		rotated, err := h.book.Rotate(context.Background(), ws, ledger.Entry{Caller: "mem_1", System: "steward", Outcome: ledger.OK})
		must(t, err)
		_, err = h.log.Export(context.Background(), ws, going, nil)
		must(t, err)
		if r, err := verified(t, going, rotated.Key); err != nil || len(r.Findings) > 0 || r.Entries != uint64(size)+1 {
			t.Errorf("after another key: %+v, %v", r, err)
		}
		f, err := tlog.OpenFolder(going)
		must(t, err)
		if f.Workspace() != ws || f.Key != h.grow(t, ws, 0).Key {
			t.Errorf("it is of %s, with key %s", f.Workspace(), f.Key)
		}
		if _, err := f.Head(context.Background(), "ws_2"); steward.KindOf(err) != steward.NotFound {
			t.Errorf("another workspace's: %v", err)
		}
		must(t, f.Close())
	})
}

// TestAnExportThatWasCutOffIsNoticed leaves what a crash may between the two files that change once the key was
// replaced: the folder doesn't verify until it is exported again.
func TestAnExportThatWasCutOffIsNoticed(t *testing.T) {
	ctx := context.Background()
	h := open(t, nil)
	h.grow(t, ws, 300)
	dir, old := exported(t, h, ws)
	_, err := h.book.Rotate(ctx, ws, ledger.Entry{})
	must(t, err)
	h.grow(t, ws, 1)
	for file, half := range map[string]string{"checkpoint": old.Note, "vkey": old.Key + "\n"} {
		cp, err := h.log.Export(ctx, ws, dir, nil)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, file), []byte(half), 0o644))
		f, err := tlog.OpenFolder(dir)
		must(t, err)
		key := f.Key
		must(t, f.Close())
		if r, err := verified(t, dir, key); err != nil || !strings.Contains(says(r), "isn't what this ledger's key signed") {
			t.Errorf("with the older %s: %+v, %v", file, r, err)
		}
		_, err = h.log.Export(ctx, ws, dir, nil)
		must(t, err)
		if r, err := verified(t, dir, cp.Key); err != nil || len(r.Findings) > 0 {
			t.Errorf("exported again: %+v, %v", r, err)
		}
	}
}

// exported is one log of 700 entries in a folder, and its files' names.
func exported(t *testing.T, h *house, w steward.WorkspaceID) (dir string, cp ledger.Checkpoint) {
	t.Helper()
	dir = t.TempDir()
	cp, err := h.log.Export(context.Background(), w, dir, nil)
	must(t, err)
	return dir, cp
}

// bundle writes headers as an entry bundle.
func bundle(headers ...[]byte) (b []byte) {
	for _, h := range headers {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(h))), h...)
	}
	return b
}

// split reads a bundle.
func split(b []byte) (headers [][]byte) {
	for len(b) > 0 {
		end := 2 + int(binary.BigEndian.Uint16(b))
		headers, b = append(headers, b[2:end]), b[end:]
	}
	return headers
}

func edit(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, change(bytes.Clone(b)), 0o644))
}

// TestHostileFolders changes an export in every way that somebody might, and looks for what is found.
func TestHostileFolders(t *testing.T) {
	h := open(t, nil)
	h.grow(t, ws, 700)
	h.grow(t, "ws_2", 700)
	other, otherCP := exported(t, h, "ws_2")
	outside := filepath.Join(t.TempDir(), "file")
	const first, last = "tile/entries/000", "tile/entries/002.p/188"
	for _, c := range []struct {
		name   string
		change func(dir string)
		want   string // in a finding, or in the error
	}{
		{"nothing", func(string) {}, ""},
		{"a bit of an entry", func(dir string) {
			edit(t, filepath.Join(dir, first), func(b []byte) []byte { return bytes.Replace(b, []byte(`"records":800`), []byte(`"records":801`), 1) })
		}, "entry 100 isn't what was signed"},
		{"two entries swapped", func(dir string) {
			edit(t, filepath.Join(dir, first), func(b []byte) []byte {
				l := split(b)
				l[3], l[4] = l[4], l[3]
				return bundle(l...)
			})
		}, "in the place of entry 3 stands entry 4"},
		{"an entry left out", func(dir string) {
			edit(t, filepath.Join(dir, first), func(b []byte) []byte { return bundle(split(b)[1:]...) })
		}, "can't be read"},
		{"an entry more", func(dir string) {
			edit(t, filepath.Join(dir, last), func(b []byte) []byte { return append(b, bundle([]byte("{}"))...) })
		}, "can't be read"},
		{"a length beyond the end", func(dir string) {
			edit(t, filepath.Join(dir, first), func(b []byte) []byte { b[0] = 0xff; return b })
		}, "can't be read"},
		{"half a length", func(dir string) {
			edit(t, filepath.Join(dir, last), func(b []byte) []byte { return append(b, 0) })
		}, "can't be read"},
		{"an empty bundle", func(dir string) { edit(t, filepath.Join(dir, first), func([]byte) []byte { return nil }) }, "can't be read"},
		{"no bundle", func(dir string) { must(t, os.Remove(filepath.Join(dir, "tile/entries/001"))) }, "can't be read: the file tile/entries/"},
		{"the end cut off", func(dir string) { must(t, os.RemoveAll(filepath.Join(dir, "tile/entries/002.p"))) }, "the end of the ledger can't be read"},
		{"a tile's hash", func(dir string) {
			edit(t, filepath.Join(dir, "tile/0/001"), func(b []byte) []byte { b[40] ^= 1; return b })
		}, "tile 1 of level 0 isn't what was signed"},
		{"the right edge's hash", func(dir string) {
			edit(t, filepath.Join(dir, "tile/0/002.p/188"), func(b []byte) []byte { b[40] ^= 1; return b })
		}, "the tiles at the tree's right edge aren't what was signed"},
		{"a short tile", func(dir string) { must(t, os.Truncate(filepath.Join(dir, "tile/0/001"), 8191)) }, "tile 1 of level 0 can't be read"},
		{"a long tile", func(dir string) { must(t, os.Truncate(filepath.Join(dir, "tile/0/000"), 8193)) }, "tile 0 of level 0 can't be read"},
		{"no tiles", func(dir string) { must(t, os.RemoveAll(filepath.Join(dir, "tile/0"))) }, "tile"},
		{"an entry and its hash", func(dir string) {
			edit(t, filepath.Join(dir, first), func(b []byte) []byte { return bytes.Replace(b, []byte(`"records":800`), []byte(`"records":801`), 1) })
			b, err := os.ReadFile(filepath.Join(dir, first))
			must(t, err)
			leaf := tlog.Leaf(split(b)[100])
			edit(t, filepath.Join(dir, "tile/0/000"), func(b []byte) []byte { copy(b[100*32:], leaf[:]); return b })
		}, "among entries 0 to 699 at least one isn't what was signed"},
		{"another log", func(dir string) { must(t, os.RemoveAll(dir)); must(t, os.CopyFS(dir, os.DirFS(other))) }, "isn't what this ledger's key signed"},
		{"another log's entries", func(dir string) {
			must(t, os.RemoveAll(filepath.Join(dir, "tile")))
			must(t, os.CopyFS(filepath.Join(dir, "tile"), os.DirFS(filepath.Join(other, "tile"))))
		}, "isn't what this ledger's key signed"},
		{"another log's checkpoint", func(dir string) { must(t, os.WriteFile(filepath.Join(dir, "checkpoint"), []byte(otherCP.Note), 0o644)) }, "isn't what this ledger's key signed"},
		{"a forged size", func(dir string) {
			edit(t, filepath.Join(dir, "checkpoint"), func(b []byte) []byte { return bytes.Replace(b, []byte("\n700\n"), []byte("\n699\n"), 1) })
		}, "the end of the ledger can't be read"},
		{"a monstrous size", func(dir string) { // with an end, so that there is something to begin with
			edit(t, filepath.Join(dir, "checkpoint"), func(b []byte) []byte {
				return bytes.Replace(b, []byte("\n700\n"), []byte(fmt.Sprintf("\n%d\n", uint64(1)<<52+1)), 1)
			})
			end := filepath.Join(dir, "tile/entries/x017/x592/x186/x044/416.p/1")
			must(t, os.MkdirAll(filepath.Dir(end), 0o755))
			must(t, os.WriteFile(end, bundle(h.header(t, 699)), 0o644))
		}, "can't be read: the file tile/entries/"},
		{"more than there can be", func(dir string) {
			edit(t, filepath.Join(dir, "checkpoint"), func(b []byte) []byte {
				return bytes.Replace(b, []byte("\n700\n"), []byte("\n18446744073709551615\n"), 1)
			})
		}, "no folder that a log was exported to"},
		{"no entries", func(dir string) {
			edit(t, filepath.Join(dir, "checkpoint"), func(b []byte) []byte { return bytes.Replace(b, []byte("\n700\n"), []byte("\n0\n"), 1) })
		}, "no folder that a log was exported to"},
		{"no checkpoint", func(dir string) { must(t, os.Remove(filepath.Join(dir, "checkpoint"))) }, "no folder that a log was exported to"},
		{"no key", func(dir string) { must(t, os.WriteFile(filepath.Join(dir, "vkey"), []byte("\n"), 0o644)) }, "no folder that a log was exported to"},
		{"a huge checkpoint", func(dir string) { must(t, os.Truncate(filepath.Join(dir, "checkpoint"), 1<<40)) }, "no folder that a log was exported to"},
		{"a huge bundle", func(dir string) { must(t, os.Truncate(filepath.Join(dir, first), 1<<40)) }, "can't be read"},
		{"a bundle elsewhere", func(dir string) {
			must(t, os.Rename(filepath.Join(dir, first), outside))
			must(t, os.Symlink(outside, filepath.Join(dir, first)))
		}, "can't be read"},
		{"entries elsewhere", func(dir string) {
			away := filepath.Join(t.TempDir(), "entries")
			must(t, os.Rename(filepath.Join(dir, "tile/entries"), away))
			must(t, os.Symlink(away, filepath.Join(dir, "tile/entries")))
		}, "the end of the ledger can't be read"},
		{"a pipe", func(dir string) {
			must(t, os.Remove(filepath.Join(dir, first)))
			must(t, syscall.Mkfifo(filepath.Join(dir, first), 0o644))
		}, "can't be read"},
		{"a folder for a file", func(dir string) {
			must(t, os.Remove(filepath.Join(dir, first)))
			must(t, os.Mkdir(filepath.Join(dir, first), 0o755))
		}, "can't be read"},
		{"entries that are no JSON", func(dir string) {
			edit(t, filepath.Join(dir, last), func(b []byte) []byte {
				l := split(b)
				l[len(l)-2] = []byte("{")
				return bundle(l...)
			})
		}, "the header of entry 698 can't be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, cp := exported(t, h, ws)
			c.change(dir)
			done := make(chan string)
			go func() {
				r, err := verified(t, dir, cp.Key)
				switch {
				case err != nil:
					done <- steward.Message(err)
				default:
					done <- says(r)
				}
			}()
			select {
			case found := <-done:
				if c.want == "" && found != "" || !strings.Contains(found, c.want) {
					t.Errorf("found %q, want %q", found, c.want)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it never ends")
			}
		})
	}
}

// TestAnyFlippedBitIsFound flips one bit in each file of an export, in turn.
func TestAnyFlippedBitIsFound(t *testing.T) {
	h := open(t, nil)
	h.grow(t, ws, 513)
	dir, cp := exported(t, h, ws)
	must(t, fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == "vkey" { // which isn't believed
			return err
		}
		path := filepath.Join(dir, name)
		was, err := os.ReadFile(path)
		must(t, err)
		for _, at := range []int{0, len(was) / 2, len(was) - 1} {
			edit(t, path, func(b []byte) []byte { b[at] ^= 4; return b })
			if r, err := verified(t, dir, cp.Key); err == nil && len(r.Findings) == 0 {
				t.Errorf("byte %d of %s isn't missed", at, name)
			}
			must(t, os.WriteFile(path, was, 0o644))
		}
		return nil
	}))
	if r, err := verified(t, dir, cp.Key); err != nil || len(r.Findings) > 0 {
		t.Errorf("as it was: %+v, %v", r, err)
	}
}

// FuzzFolder reads a folder of two files and anything for a bundle: whatever it is, it ends and is no log.
func FuzzFolder(f *testing.F) {
	f.Add([]byte("steward.test/ws_1\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— steward.test/ws_1 AAAA\n"), bundle([]byte(`{"seq":0}`)))
	f.Add([]byte("a\n257\nAA==\n"), []byte{0, 0, 0, 0})
	const key = "steward.test/ws_1+c0fbee9c+AffqQ1DNfzHhDB8jYCpb6h3uT1SJNKuSH2rNr1tDBCmO"
	f.Fuzz(func(t *testing.T, checkpoint, entries []byte) {
		dir := t.TempDir()
		must(t, os.MkdirAll(filepath.Join(dir, "tile/entries/000.p"), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, "vkey"), []byte(key), 0o644))
		must(t, os.WriteFile(filepath.Join(dir, "checkpoint"), checkpoint, 0o644))
		must(t, os.WriteFile(filepath.Join(dir, "tile/entries/000.p/1"), entries, 0o644))
		if r, err := verified(t, dir, key); err == nil && len(r.Findings) == 0 {
			t.Errorf("it is taken for a log: %+v", r)
		}
	})
}
