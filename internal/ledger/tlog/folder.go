package tlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// Folder is one exported log, for verifying it where there is nothing else of Steward's: a ledger.Verifiable
// with headers only. It believes nothing that it reads: what is missing, of another size or no file at all is
// an error of kind Internal, which is damage, and what is altered shows when it is verified.
type Folder struct {
	// Key is the verifier key in the folder. Whoever could have replaced the log could have replaced it
	// too, so a key that is known from elsewhere is better.
	Key string

	root *os.Root
	ws   steward.WorkspaceID
	note []byte
	cp   log.Checkpoint // what the note says

	first uint64 // the minimum index
}

// The largest files that a log has.
const (
	maxNote   = 1 << 16
	maxHeader = 1<<16 - 1 // of an entry in a bundle, behind its length
	maxBundle = tree.Width * (2 + maxHeader)
)

// OpenFolder opens what Export wrote. What was exported into it since isn't seen.
func OpenFolder(dir string) (*Folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, steward.Errorf(steward.NotFound, "the folder can't be read; check its name and owner").Because(err)
	}
	f := &Folder{root: root}
	if err := f.open(); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return f, nil
}

func (f *Folder) open() error {
	no := func(err error) error {
		return steward.Errorf(steward.Invalid, "this is no folder that a log was exported to: its files checkpoint and vkey can't be read").Because(err)
	}
	vkey, err := f.read("vkey", maxNote)
	if err != nil {
		return no(err)
	}
	f.Key = strings.TrimSpace(string(vkey))
	if _, err := note.NewVerifier(f.Key); err != nil {
		return no(err)
	}
	if f.note, err = f.read("checkpoint", maxNote); err != nil {
		return no(err)
	}
	// The signature is for whoever verifies, by the key that they trust.
	if _, err := f.cp.Unmarshal(f.note); err != nil {
		return no(err)
	}
	if f.cp.Size == 0 || f.cp.Size > 1<<53 {
		return no(fmt.Errorf("tlog: a checkpoint over %d entries", f.cp.Size))
	}
	index, err := f.read(minimumIndex, maxNote)
	if err == nil {
		f.first, err = strconv.ParseUint(strings.TrimSpace(string(index)), 10, 63)
		if err == nil && (f.first%tree.Width != 0 || f.first > f.cp.Size) {
			err = errors.New("tlog: a log of this size can't begin there")
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return steward.Errorf(steward.Invalid, "this is no folder that a log was exported to: its file %s can't be read", minimumIndex).Because(err)
	}
	f.ws = steward.WorkspaceID(f.cp.Origin[strings.LastIndexByte(f.cp.Origin, '/')+1:])
	return nil
}

// Close closes the folder.
func (f *Folder) Close() error { return f.root.Close() }

// Workspace is whose log it is.
func (f *Folder) Workspace() steward.WorkspaceID { return f.ws }

// read reads a file of at most a size. Links, pipes and devices are none: reading those might lead elsewhere
// or never end.
func (f *Folder) read(name string, most int) ([]byte, error) {
	name = filepath.FromSlash(name)
	info, err := f.root.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	if err != nil {
		return nil, missing(name, err)
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, missing(name, err)
	}
	content, err := io.ReadAll(io.LimitReader(file, int64(most)+1))
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, missing(name, err)
	}
	if len(content) > most {
		return nil, missing(name, fmt.Errorf("it has more than %d bytes", most))
	}
	return content, nil
}

func missing(name string, err error) error {
	return steward.Errorf(steward.Internal, "the file %s of the log is missing or damaged", filepath.ToSlash(name)).Because(err)
}

// own refuses workspaces whose log it isn't.
func (f *Folder) own(ws steward.WorkspaceID) error {
	if ws != f.ws {
		return steward.Errorf(steward.NotFound, "this folder holds the log of %s and no other", f.cp.Origin)
	}
	return nil
}

// width is how many of a level's hashes, or of the entries, a tile or bundle holds; 0 for one behind the end.
func (f *Folder) width(level int, n uint64) int {
	hashes := f.cp.Size >> (tree.Bits * max(level, 0))
	if n > hashes/tree.Width {
		return 0
	}
	return int(min(hashes-n*tree.Width, tree.Width))
}

// Head gives the checkpoint's size, the time of the last entry, and the minimum index.
func (f *Folder) Head(ctx context.Context, ws steward.WorkspaceID) (ledger.Head, error) {
	rows, err := f.Rows(ctx, ws, f.cp.Size-1, 1, false)
	if err != nil {
		return ledger.Head{}, err
	}
	last, err := ledger.Decode(&rows[0])
	if err != nil {
		return ledger.Head{}, err
	}
	return ledger.Head{Next: f.cp.Size, Last: last.Time.UnixMicro(), Signed: f.cp.Size, First: f.first}, nil
}

// Rows reads out of one bundle at a time, without parts: an export has none.
func (f *Folder) Rows(ctx context.Context, ws steward.WorkspaceID, from uint64, limit int, _ bool) ([]ledger.Row, error) {
	if err := errors.Join(f.own(ws), ctx.Err()); err != nil || from >= f.cp.Size || limit <= 0 {
		return nil, err
	}
	n := from / tree.Width
	name := tilePath(-1, n, f.width(-1, n))
	bundle, err := f.read(name, maxBundle)
	if err != nil {
		return nil, err
	}
	rows := make([]ledger.Row, 0, tree.Width)
	for seq := n * tree.Width; len(bundle) > 0; seq++ {
		if len(bundle) < 2 || len(bundle)-2 < int(binary.BigEndian.Uint16(bundle)) {
			return nil, missing(name, fmt.Errorf("entry %d is cut off", seq))
		}
		end := 2 + int(binary.BigEndian.Uint16(bundle))
		rows = append(rows, ledger.Row{Seq: seq, Header: bundle[2:end:end]})
		bundle = bundle[end:]
	}
	if len(rows) != f.width(-1, n) {
		return nil, missing(name, fmt.Errorf("it holds %d entries", len(rows)))
	}
	rows = rows[from%tree.Width:]
	return rows[:min(limit, len(rows))], nil
}

// Tiles reads tiles up to the first that isn't there.
func (f *Folder) Tiles(ctx context.Context, ws steward.WorkspaceID, level int, from uint64, limit int) (list []ledger.Tile, err error) {
	if err := f.own(ws); err != nil {
		return nil, err
	}
	for n := from; len(list) < limit && f.width(level, n) > 0; n++ {
		name, width := tilePath(level, n, f.width(level, n)), f.width(level, n)
		hashes, err := f.read(name, width*tree.HashSize)
		if err == nil && len(hashes) < width*tree.HashSize {
			err = missing(name, fmt.Errorf("it has %d bytes", len(hashes)))
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			if len(list) > 0 {
				break
			}
			return nil, err
		}
		list = append(list, ledger.Tile{Level: level, N: n, Hashes: hashes})
	}
	return list, nil
}

// Checkpoints gives the one that there is, with the hashes behind its root: those of the tiles, or where they
// are of another root those of the entries.
func (f *Folder) Checkpoints(ctx context.Context, ws steward.WorkspaceID, from uint64, limit int) ([]ledger.StoredCheckpoint, error) {
	if err := f.own(ws); err != nil || from > f.cp.Size || limit <= 0 {
		return nil, err
	}
	edge, err := ledger.ReadEdge(ctx, f, ws, f.cp.Size)
	if err == nil {
		var root []byte
		if root, err = edge.Root(); string(root) != string(f.cp.Hash) {
			err = errors.Join(err, Damaged(errors.New("tlog: the tiles at the right edge have another root")))
		}
	}
	if steward.KindOf(err) == steward.Internal && err != nil {
		edge, err = f.hash(ctx)
	}
	if err != nil {
		return nil, err
	}
	stored := ledger.StoredCheckpoint{Size: f.cp.Size, Note: f.note}
	for _, h := range edge.Hashes() {
		stored.Range = append(stored.Range, h...)
	}
	return []ledger.StoredCheckpoint{stored}, nil
}

// hash makes the tree's right edge of all entries that are left.
func (f *Folder) hash(ctx context.Context) (*tree.Edge, error) {
	edge, err := ledger.ReadEdge(ctx, f, f.ws, f.first)
	if err != nil {
		return nil, err
	}
	var scratch []byte
	for edge.Size < f.cp.Size {
		rows, err := f.Rows(ctx, f.ws, edge.Size, tree.Width, false)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			leaf := tree.HashLeaf(row.Header, &scratch)
			edge.Append(leaf[:])
		}
		edge.Changed() // they aren't needed
	}
	return edge, nil
}

// Intents lists none: an export doesn't say which wait.
func (f *Folder) Intents(context.Context, steward.WorkspaceID) ([]ledger.OpenIntent, error) {
	return nil, nil
}

// Check finds nothing: there is no database around the files.
func (f *Folder) Check(context.Context) error { return nil }
