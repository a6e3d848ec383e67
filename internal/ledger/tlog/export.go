package tlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// Export writes a workspace's log into a folder as C2SP tlog-tiles, with the verifier key in vkey. The
// entries are read and hashed anew, and the checkpoint is written last and only if they are what it signs:
// a folder with a checkpoint is whole. Of a log that was pruned it has what is left, and in minimum-index where
// that begins. A folder that holds an older export goes on from it, and keeps what that has more. progress (which
// may be nil) is told how many entries are done.
func (l Log) Export(ctx context.Context, ws steward.WorkspaceID, dir string, progress func(done, total uint64)) (ledger.Checkpoint, error) {
	cp, err := l.Checkpoint(ctx, ws)
	if err == nil {
		cp, err = l.published(ctx, ws, cp.Size)
	}
	if err != nil {
		return cp, err
	}
	e := &export{dir: filepath.Clean(dir), changed: map[string]bool{}}
	first, err := l.First(ctx, ws)
	if err != nil {
		return cp, err
	}
	at, err := ledger.ReadEdge(ctx, l.Store, ws, first)
	if err != nil {
		return cp, err
	}
	var bundle, scratch []byte
	for at.Size < cp.Size {
		if progress != nil {
			progress(at.Size, cp.Size)
		}
		rows, err := l.Store.Rows(ctx, ws, at.Size, int(min(4*tree.Width, cp.Size-at.Size)), false)
		if err != nil {
			return cp, err
		}
		if len(rows) == 0 {
			return cp, Damaged(fmt.Errorf("tlog: entry %d is missing", at.Size))
		}
		for _, row := range rows {
			if bundle, err = bundled(bundle, row, at.Size); err != nil {
				return cp, err
			}
			leaf := tree.HashLeaf(row.Header, &scratch)
			at.Append(leaf[:])
			if width := int((at.Size-1)%tree.Width) + 1; width == tree.Width || at.Size == cp.Size {
				if err := e.write(tilePath(-1, (at.Size-1)/tree.Width, width), bundle); err != nil {
					return cp, err
				}
				bundle = bundle[:0]
			}
			if at.Size%tree.Width == 0 || at.Size == cp.Size {
				if err := e.tiles(at.Changed(), at.Size == cp.Size); err != nil {
					return cp, err
				}
			}
		}
	}
	root, err := at.Root()
	if err != nil {
		return cp, err
	}
	if !bytes.Equal(root, cp.Root) {
		return cp, Damaged(errors.New("tlog: the entries aren't what the checkpoint signs"))
	}
	if err := e.sync(); err != nil {
		return cp, err
	}
	// A crash before this line leaves the older checkpoint, or none, over files that are all right. One between
	// these, where the key was replaced or the log pruned since, leaves one log's older checkpoint beside its newer
	// key or index or the other way round, as the disk has it: verifying the folder finds that, and exporting again
	// mends it.
	if first > 0 {
		if err := e.replace(minimumIndex, fmt.Appendln(nil, first)); err != nil {
			return cp, err
		}
	} else if err := e.remove(minimumIndex); err != nil {
		return cp, err
	}
	if err := e.replace("vkey", []byte(cp.Key+"\n")); err != nil {
		return cp, err
	}
	if err := e.replace("checkpoint", []byte(cp.Note)); err != nil {
		return cp, err
	}
	if progress != nil {
		progress(cp.Size, cp.Size)
	}
	return cp, e.sync()
}

// export writes files that last.
type export struct {
	dir     string          // clean, since it is compared with folders that are
	changed map[string]bool // folders with new names in them
}

// tiles writes full tiles, and partial ones at the end only.
func (e *export) tiles(list []ledger.Tile, end bool) error {
	for _, tile := range list {
		width := len(tile.Hashes) / tree.HashSize
		if width < tree.Width && !end {
			continue
		}
		if err := e.write(tilePath(tile.Level, tile.N, width), tile.Hashes); err != nil {
			return err
		}
	}
	return nil
}

// write makes a file that never changes. One that is there already has to be the same.
func (e *export) write(name string, content []byte) error {
	was, err := os.ReadFile(filepath.Join(e.dir, filepath.FromSlash(name)))
	switch {
	case err == nil && bytes.Equal(was, content):
		return nil
	case err == nil:
		return steward.Errorf(steward.Conflict, "the folder holds another log, or one that was changed since: %s differs; export into an empty folder and compare the two", name)
	case !errors.Is(err, fs.ErrNotExist):
		return unwritable(err)
	}
	return e.replace(name, content)
}

// replace puts a file in its place in one step.
func (e *export) replace(name string, content []byte) error {
	path := filepath.Join(e.dir, filepath.FromSlash(name))
	folder := filepath.Dir(path)
	if !e.changed[folder] {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return unwritable(err)
		}
		for f := folder; len(f) >= len(e.dir); f = filepath.Dir(f) {
			e.changed[f] = true
			if f == filepath.Dir(f) {
				break
			}
		}
	}
	file, err := os.CreateTemp(folder, ".new-*")
	if err != nil {
		return unwritable(err)
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Chmod(0o644)
	}
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
		return unwritable(err)
	}
	return nil
}

// remove removes a file that there may be: what was pruned when the folder was exported is back, from a backup.
func (e *export) remove(name string) error {
	err := os.Remove(filepath.Join(e.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return unwritable(err)
	}
	e.changed[e.dir] = true
	return nil
}

// sync makes the names of the files last too.
func (e *export) sync() error {
	for folder := range e.changed {
		f, err := os.Open(folder)
		if err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
		if err != nil {
			return unwritable(err)
		}
	}
	clear(e.changed)
	return nil
}

func unwritable(err error) error {
	return steward.Errorf(steward.Unavailable, "the folder can't be written; check its owner and the disk's space").Because(err)
}
