// Package tlog answers: how can others check it? It shows a workspace's log as C2SP tlog-tiles, as a folder
// or over HTTP, and proves what is in it; it doesn't know who may see it, nor what an entry means.
package tlog

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/transparency-dev/formats/proof"
	sumdb "golang.org/x/mod/sumdb/tlog"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// Log reads the logs of all workspaces. What is behind a log's last checkpoint isn't shown.
type Log struct {
	Store  ledger.Reader
	Sealer steward.Sealer // for the signing key's public half

	// Cosigned gives the newest checkpoint that enough witnesses have cosigned, and its size, 0 where there
	// is none. It is nil where nobody is asked. Now is needed with it.
	Cosigned func(ctx context.Context, ws steward.WorkspaceID) (size uint64, note []byte, err error)
	Now      func() time.Time
}

// patience is how long an entry may wait for witnesses until it is shown without their word.
const patience = time.Hour

// Checkpoint is a workspace's last one.
func (l Log) Checkpoint(ctx context.Context, ws steward.WorkspaceID) (ledger.Checkpoint, error) {
	head, err := l.Store.Head(ctx, ws)
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	if head.Signed == 0 {
		return ledger.Checkpoint{}, steward.Errorf(steward.NotFound, "this ledger has no checkpoint yet; one follows within a second of its first entry")
	}
	stored, err := l.Store.Checkpoints(ctx, ws, head.Signed, 1)
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	if len(stored) == 0 || stored[0].Size != head.Signed {
		return ledger.Checkpoint{}, Damaged(fmt.Errorf("tlog: checkpoint %d is missing", head.Signed))
	}
	cp, _, _, err := tree.Open(stored[0].Note, stored[0].Size, stored[0].Range, string(ws), ledger.Ring(ctx, l.Sealer, ws))
	if err != nil {
		return ledger.Checkpoint{}, Damaged(err)
	}
	return cp, nil
}

// published is the checkpoint to show: the newest cosigned one if it is over that many entries at least and
// witnesses haven't left out an entry for longer than patience, else the last.
func (l Log) published(ctx context.Context, ws steward.WorkspaceID, least uint64) (ledger.Checkpoint, error) {
	last, err := l.Checkpoint(ctx, ws)
	if err != nil || l.Cosigned == nil {
		return last, err
	}
	size, note, err := l.Cosigned(ctx, ws)
	if err != nil || size == 0 || size < least || size > last.Size {
		return last, err
	}
	if first, err := l.First(ctx, ws); err != nil || size < first {
		return last, err // what it leaves out is years old
	}
	cp, _, err := tree.Parse(note, string(ws), ledger.Ring(ctx, l.Sealer, ws))
	if err != nil {
		return cp, Damaged(err)
	}
	if cp.Origin != last.Origin {
		return last, nil // it is of the log that this one goes on from
	}
	if size == last.Size {
		return cp, nil
	}
	rows, err := l.Store.Rows(ctx, ws, size, 1, false)
	if err != nil {
		return cp, err
	}
	if len(rows) == 0 || rows[0].Seq != size {
		return cp, Damaged(fmt.Errorf("tlog: entry %d is missing", size))
	}
	left, err := ledger.Decode(&rows[0])
	if err != nil || l.Now().Sub(left.Time) > patience {
		return last, err
	}
	return cp, nil
}

// First is the log's minimum index: entries before it were pruned, and no proof of them can be made any more.
func (l Log) First(ctx context.Context, ws steward.WorkspaceID) (uint64, error) {
	head, err := l.Store.Head(ctx, ws)
	return head.First, err
}

// pruned is of kind Gone where a tile, or with level 0 a bundle, ends at or before the minimum index.
func (l Log) pruned(ctx context.Context, ws steward.WorkspaceID, level int, n uint64) error {
	if first, err := l.First(ctx, ws); err != nil || n < first>>(tree.Bits*(level+1)) {
		return errors.Join(err, ledger.PrunedBefore(first))
	}
	return nil
}

// Damaged says that the ledger isn't what was signed.
func Damaged(err error) error {
	return steward.Errorf(steward.Internal, "the ledger was changed or damaged; run `steward verify`").Because(err)
}

// Tile gives a tile's first width hashes, 1 to 256.
func (l Log) Tile(ctx context.Context, ws steward.WorkspaceID, level int, n uint64, width int) ([]byte, error) {
	tiles, err := l.Store.Tiles(ctx, ws, level, n, 1)
	if err != nil {
		return nil, err
	}
	if len(tiles) == 0 || tiles[0].N != n || len(tiles[0].Hashes) < width*tree.HashSize {
		if err := l.pruned(ctx, ws, level, n); err != nil {
			return nil, err
		}
		return nil, steward.Errorf(steward.NotFound, "the log has no such tile; its checkpoint tells how large it is")
	}
	return tiles[0].Hashes[:width*tree.HashSize], nil
}

// Bundle gives the headers of an entry bundle, its first width, each behind its length (2 bytes,
// big-endian).
func (l Log) Bundle(ctx context.Context, ws steward.WorkspaceID, n uint64, width int) ([]byte, error) {
	head, err := l.Store.Head(ctx, ws)
	if err != nil {
		return nil, err
	}
	end := n*tree.Width + uint64(width)
	if end > head.Signed {
		return nil, steward.Errorf(steward.NotFound, "the log has no such entries; its checkpoint tells how large it is")
	}
	if err := l.pruned(ctx, ws, 0, n); err != nil {
		return nil, err
	}
	var bundle []byte
	for next := n * tree.Width; next < end; {
		rows, err := l.Store.Rows(ctx, ws, next, int(end-next), false)
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			return nil, Damaged(fmt.Errorf("tlog: entry %d is missing", next))
		}
		for _, row := range rows {
			if bundle, err = bundled(bundle, row, next); err != nil {
				return nil, err
			}
			next++
		}
	}
	return bundle, nil
}

// bundled appends the entry that is to have a number to its bundle.
func bundled(bundle []byte, row ledger.Row, seq uint64) ([]byte, error) {
	if row.Seq != seq || len(row.Header) > maxHeader {
		return nil, Damaged(fmt.Errorf("tlog: entry %d is missing or too long", seq))
	}
	return append(binary.BigEndian.AppendUint16(bundle, uint16(len(row.Header))), row.Header...), nil
}

// Inclusion proves that the entry numbered seq is in the tree of a size (RFC 6962, 2.1.1): hashes from the
// leaf's sibling up.
func (l Log) Inclusion(ctx context.Context, ws steward.WorkspaceID, seq, size uint64) ([][sha256.Size]byte, error) {
	cp, err := l.Checkpoint(ctx, ws)
	if err != nil {
		return nil, err
	}
	return l.inclusion(ctx, ws, cp, seq, size)
}

func (l Log) inclusion(ctx context.Context, ws steward.WorkspaceID, cp ledger.Checkpoint, seq, size uint64) ([][sha256.Size]byte, error) {
	if seq >= size || size > cp.Size {
		return nil, steward.Errorf(steward.NotFound, "the log's checkpoint is over %d entries: entry %d isn't among the first %d of them", cp.Size, seq, size)
	}
	hashes, err := sumdb.ProveRecord(int64(size), int64(seq), l.hashes(ctx, ws, cp))
	return plain(hashes), refused(err)
}

// Consistency proves that the tree of a size begins with that of a smaller one (RFC 6962, 2.1.2).
func (l Log) Consistency(ctx context.Context, ws steward.WorkspaceID, from, to uint64) ([][sha256.Size]byte, error) {
	cp, err := l.Checkpoint(ctx, ws)
	if err != nil {
		return nil, err
	}
	if from == 0 || from > to || to > cp.Size {
		return nil, steward.Errorf(steward.NotFound, "the log's checkpoint is over %d entries; two sizes from 1 up to that can be compared, the smaller one first", cp.Size)
	}
	hashes, err := sumdb.ProveTree(int64(to), int64(from), l.hashes(ctx, ws, cp))
	return plain(hashes), refused(err)
}

func plain[T ~[sha256.Size]byte](hashes []T) [][sha256.Size]byte {
	list := make([][sha256.Size]byte, len(hashes))
	for i, h := range hashes {
		list[i] = [sha256.Size]byte(h)
	}
	return list
}

// refused gives what the tiles' reader refuses a kind: they aren't those that the checkpoint signed.
func refused(err error) error {
	var known *steward.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return Damaged(err)
}

// hashes reads the tree's hashes out of tiles, and refuses those that aren't the checkpoint's.
func (l Log) hashes(ctx context.Context, ws steward.WorkspaceID, cp ledger.Checkpoint) sumdb.HashReader {
	return sumdb.TileHashReader(sumdb.Tree{N: int64(cp.Size), Hash: sumdb.Hash(cp.Root)}, tiles{ctx, l, ws})
}

// tiles is a sumdb.TileReader for one call.
type tiles struct {
	ctx context.Context
	log Log
	ws  steward.WorkspaceID
}

func (t tiles) Height() int { return tree.Bits }

func (t tiles) ReadTiles(list []sumdb.Tile) (data [][]byte, err error) {
	for _, tile := range list {
		hashes, err := t.log.Tile(t.ctx, t.ws, tile.L, uint64(tile.N), tile.W)
		if steward.KindOf(err) == steward.NotFound {
			err = Damaged(err) // a tile that the checkpoint needs
		}
		if err != nil {
			return nil, err
		}
		data = append(data, hashes)
	}
	return data, nil
}

func (t tiles) SaveTiles([]sumdb.Tile, [][]byte) {}

// Receipt proves that an entry is on record, to whoever has its header and the log's verifier key: a C2SP
// tlog-proof with the entry's number, its inclusion proof and the checkpoint given too, whose key verifies it.
// What the file should end with is ".tlog-proof".
func (l Log) Receipt(ctx context.Context, ws steward.WorkspaceID, seq uint64) ([]byte, ledger.Checkpoint, error) {
	cp, err := l.published(ctx, ws, seq+1)
	if err != nil {
		return nil, cp, err
	}
	hashes, err := l.inclusion(ctx, ws, cp, seq, cp.Size)
	if err != nil {
		return nil, cp, err
	}
	return proof.TLogProof{Index: seq, Hashes: hashes, Checkpoint: []byte(cp.Note)}.Marshal(), cp, nil
}

// Leaf is the hash of a header as a leaf of the tree (RFC 6962, 2.1).
func Leaf(header []byte) [sha256.Size]byte { return sumdb.RecordHash(header) }
