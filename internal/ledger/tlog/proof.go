package tlog

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/note"
	sumdb "golang.org/x/mod/sumdb/tlog"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
)

// Root is that of the tree over the first size entries (RFC 6962, 2.1), 1 up to what the last checkpoint is over.
func (l Log) Root(ctx context.Context, ws steward.WorkspaceID, size uint64) (root [sha256.Size]byte, err error) {
	cp, err := l.Checkpoint(ctx, ws)
	if err != nil {
		return root, err
	}
	if size == 0 || size > cp.Size {
		return root, steward.Errorf(steward.NotFound, "the log's checkpoint is over %d entries", cp.Size)
	}
	hash, err := sumdb.TreeHash(int64(size), l.hashes(ctx, ws, cp))
	return hash, refused(err)
}

// CheckInclusion tells whether hashes prove that a header is the entry numbered seq of the tree with a root
// (RFC 6962, 2.1.1). Sizes and numbers are below 2^62.
func CheckInclusion(header []byte, seq, size uint64, root [sha256.Size]byte, hashes [][sha256.Size]byte) error {
	if seq >= size || size > 1<<62 {
		return fmt.Errorf("tlog: entry %d is outside a tree of %d", seq, size)
	}
	return sumdb.CheckRecord(theirs(hashes), int64(size), root, int64(seq), Leaf(header))
}

// CheckConsistency tells whether hashes prove that the tree with one root begins with the tree with another
// (RFC 6962, 2.1.2). Sizes are from 1 and below 2^62.
func CheckConsistency(from uint64, fromRoot [sha256.Size]byte, to uint64, toRoot [sha256.Size]byte, hashes [][sha256.Size]byte) error {
	if from == 0 || from > to || to > 1<<62 {
		return fmt.Errorf("tlog: a tree of %d can't begin with one of %d", to, from)
	}
	return sumdb.CheckTree(sumdb.TreeProof(theirs(hashes)), int64(to), toRoot, int64(from), fromRoot)
}

func theirs(hashes [][sha256.Size]byte) (list sumdb.RecordProof) {
	for _, h := range hashes {
		list = append(list, h)
	}
	return list
}

// CheckSigned reads a checkpoint that is signed with a verifier key, of the log that the key names.
func CheckSigned(text, vkey string) (ledger.Checkpoint, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return ledger.Checkpoint{}, steward.Errorf(steward.Invalid, "this is no verifier key; it is the line in the log's file vkey").Because(err)
	}
	signed, _, _, err := log.ParseCheckpoint([]byte(text), verifier.Name(), verifier)
	if err == nil && (signed.Size > 1<<62 || len(signed.Hash) != sha256.Size) {
		err = errors.New("tlog: the checkpoint is of no tree")
	}
	if err != nil {
		return ledger.Checkpoint{}, steward.Errorf(steward.Conflict, "the checkpoint isn't signed with the key %s", vkey).Because(err)
	}
	return ledger.Checkpoint{Origin: verifier.Name(), Size: signed.Size, Root: signed.Hash, Note: text, Key: vkey}, nil
}

// CheckReceipt tells which entry of which checkpoint a receipt proves a header to be. It needs nothing but
// the log's verifier key, which comes from elsewhere than the receipt.
func CheckReceipt(receipt, header []byte, vkey string) (seq uint64, cp ledger.Checkpoint, err error) {
	var p proof.TLogProof
	if err = p.Unmarshal(receipt); err == nil {
		if cp, err = CheckSigned(string(p.Checkpoint), vkey); steward.KindOf(err) == steward.Invalid {
			return 0, cp, err
		}
	}
	if err == nil {
		err = CheckInclusion(header, p.Index, cp.Size, [sha256.Size]byte(cp.Root), p.Hashes)
	}
	if err != nil {
		return 0, ledger.Checkpoint{}, steward.Errorf(steward.Invalid, "this receipt doesn't prove that the entry is in this log").Because(err)
	}
	return p.Index, cp, nil
}

// Remembered gives the roots by sizes that a file which Keep wrote has of a log, by its origin. Whoever kept the
// file vouches for it: signatures aren't looked at, since keys that signed once may have been replaced.
func Remembered(path, origin string) (map[uint64][sha256.Size]byte, error) {
	notes, err := Kept(path)
	if err != nil {
		return nil, err
	}
	roots := map[uint64][sha256.Size]byte{}
	for _, text := range notes {
		var cp log.Checkpoint
		if _, err := cp.Unmarshal([]byte(text)); err == nil && cp.Origin == origin && cp.Size > 0 && len(cp.Hash) == sha256.Size {
			roots[cp.Size] = [sha256.Size]byte(cp.Hash)
		}
	}
	if len(roots) == 0 {
		return nil, steward.Errorf(steward.Invalid, "%s has no checkpoint of the log %s", path, origin)
	}
	return roots, nil
}
