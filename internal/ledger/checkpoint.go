package ledger

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"github.com/stewardhq/steward"
)

// signEvery is how long the signer waits after a change, so that busy workspaces get two checkpoints a
// second and not one a commit.
const signEvery = 500 * time.Millisecond

var errAltered = errors.New("ledger: what is read back is not what was written")

// Checkpoint commits to everything that a workspace's ledger held at its size.
type Checkpoint struct {
	Origin string `json:"origin"`
	Size   uint64 `json:"size"`
	Root   []byte `json:"root"` // RFC 6962, SHA-256
	Note   string `json:"note"` // C2SP tlog-checkpoint, signed with Ed25519
	Key    string `json:"key"`  // the note's verifier key
}

// Checkpoint signs the tree over everything that is committed, or returns the last checkpoint where
// nothing was added since. Before it signs, it reads back what the checkpoint adds and hashes it again: it
// refuses to sign what isn't there, isn't what this process wrote, or doesn't go on from the last
// checkpoint.
func (l *Ledger) Checkpoint(ctx context.Context, ws steward.WorkspaceID) (Checkpoint, error) {
	l.signing.Lock()
	defer l.signing.Unlock()
	l.mu.Lock()
	written, due := l.due[ws]
	delete(l.due, ws)
	l.mu.Unlock()

	cp, err := l.sign(ctx, ws, written)
	if err != nil && due {
		l.mu.Lock()
		defer l.mu.Unlock()
		switch since := l.due[ws]; {
		case since == nil:
			l.due[ws] = written
		case written != nil && written.End() == since.Begin():
			_ = written.AppendRange(since, nil)
			l.due[ws] = written
		}
	}
	return cp, err
}

func (l *Ledger) sign(ctx context.Context, ws steward.WorkspaceID, written *compact.Range) (Checkpoint, error) {
	seed, err := l.sealer.Derive(ctx, ws, steward.WorkspaceScope, signingPurpose)
	if err != nil {
		return Checkpoint{}, err
	}
	head, err := l.store.Head(ctx, ws)
	if err != nil {
		return Checkpoint{}, err
	}
	tree := ranges.NewEmptyRange(0)
	if head.Signed > 0 {
		stored, err := l.store.Checkpoints(ctx, ws, head.Signed, 1)
		if err != nil {
			return Checkpoint{}, err
		}
		if len(stored) == 0 || stored[0].Size != head.Signed {
			return Checkpoint{}, unsignable(ws, fmt.Errorf("ledger: checkpoint %d is missing", head.Signed))
		}
		last, at, err := openCheckpoint(stored[0], ws, seed)
		if err != nil {
			return Checkpoint{}, unsignable(ws, err)
		}
		if head.Next == last.Size {
			return last, nil
		}
		tree = at
	}

	size := head.Next
	if written != nil && written.Begin() >= head.Signed {
		size = written.End()
	} else {
		written = ranges.NewEmptyRange(size) // nothing to compare with: begun by a process that is gone
	}
	again := ranges.NewEmptyRange(written.Begin())
	for next := head.Signed; next < size; {
		rows, err := l.store.Rows(ctx, ws, next, int(min(pageRows, size-next)), false)
		if err != nil {
			return Checkpoint{}, err
		}
		if len(rows) == 0 {
			return Checkpoint{}, unsignable(ws, fmt.Errorf("ledger: entry %d is missing", next))
		}
		for _, row := range rows {
			if row.Seq != next {
				return Checkpoint{}, unsignable(ws, fmt.Errorf("ledger: entry %d is missing", next))
			}
			to := tree
			if next >= written.Begin() {
				to = again
			}
			if err := to.Append(rfc6962.DefaultHasher.HashLeaf(row.Header), nil); err != nil {
				return Checkpoint{}, fmt.Errorf("ledger: tree: %w", err)
			}
			next++
		}
	}
	if !again.Equal(written) {
		return Checkpoint{}, unsignable(ws, errAltered)
	}
	if err := tree.AppendRange(again, nil); err != nil {
		return Checkpoint{}, fmt.Errorf("ledger: tree: %w", err)
	}

	cp, err := signTree(tree, l.origin+"/"+string(ws), seed)
	if err != nil || size == 0 {
		return cp, err
	}
	return cp, l.store.SaveCheckpoint(ctx, ws, StoredCheckpoint{Size: size, Note: []byte(cp.Note), Range: bytes.Join(tree.Hashes(), nil)})
}

func unsignable(ws steward.WorkspaceID, err error) error {
	return steward.Errorf(steward.Internal, "the ledger of workspace %s was changed or damaged, and isn't signed any further; run `steward verify`", ws).Because(err)
}

// signer signs checkpoints of the workspaces that changed, and once more when everything is written.
func (l *Ledger) signer() {
	defer close(l.rested)
	for done := false; !done; {
		timer := time.NewTimer(signEvery)
		select {
		case <-timer.C:
		case <-l.stopped:
			done = true
		}
		timer.Stop()
		l.signDue()
		if !done {
			select {
			case <-l.changed:
			case <-l.stopped:
			}
		}
	}
}

func (l *Ledger) signDue() {
	l.mu.Lock()
	var due []steward.WorkspaceID
	for ws := range l.due {
		due = append(due, ws)
	}
	l.mu.Unlock()
	for _, ws := range due {
		if _, err := l.Checkpoint(context.Background(), ws); err != nil {
			l.log.Error("no checkpoint was signed", "workspace", string(ws), "error", err)
		}
	}
}

// The signing key is Ed25519 (RFC 8032) with a seed derived from the workspace's own scope.
const signingPurpose = "checkpoint-signing"

// keys makes signer and verifier of a log by its name.
func keys(name string, seed [32]byte) (note.Signer, note.Verifier, string, error) {
	public := ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
	vkey, err := note.NewEd25519VerifierKey(name, public)
	if err != nil {
		return nil, nil, "", fmt.Errorf("ledger: verifier key: %w", err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, nil, "", fmt.Errorf("ledger: verifier key: %w", err)
	}
	// The signer's form, from the note package: algorithm 1 and the seed behind name and key hash.
	skey := fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", name, verifier.KeyHash(), base64.StdEncoding.EncodeToString(append([]byte{1}, seed[:]...)))
	signer, err := note.NewSigner(skey)
	if err != nil {
		return nil, nil, "", fmt.Errorf("ledger: signing key: %w", err)
	}
	return signer, verifier, vkey, nil
}

func rootOf(tree *compact.Range) ([]byte, error) {
	if tree.End() == 0 {
		return rfc6962.DefaultHasher.EmptyRoot(), nil
	}
	root, err := tree.GetRootHash(nil)
	if err != nil {
		return nil, fmt.Errorf("ledger: tree: %w", err)
	}
	return root, nil
}

func signTree(tree *compact.Range, origin string, seed [32]byte) (Checkpoint, error) {
	root, err := rootOf(tree)
	if err != nil {
		return Checkpoint{}, err
	}
	signer, _, vkey, err := keys(origin, seed)
	if err != nil {
		return Checkpoint{}, err
	}
	text := log.Checkpoint{Origin: origin, Size: tree.End(), Hash: root}.Marshal()
	signed, err := note.Sign(&note.Note{Text: string(text)}, signer)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("ledger: signature: %w", err)
	}
	return Checkpoint{Origin: origin, Size: tree.End(), Root: root, Note: string(signed), Key: vkey}, nil
}

// openCheckpoint reads a stored checkpoint: it is signed with the workspace's key, speaks of the size it
// is stored under, and its range has the root it signs.
func openCheckpoint(stored StoredCheckpoint, ws steward.WorkspaceID, seed [32]byte) (Checkpoint, *compact.Range, error) {
	origin, _, _ := strings.Cut(string(stored.Note), "\n")
	if !strings.HasSuffix(origin, "/"+string(ws)) {
		return Checkpoint{}, nil, errors.New("ledger: the checkpoint is another log's")
	}
	_, verifier, vkey, err := keys(origin, seed)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	signed, _, _, err := log.ParseCheckpoint(stored.Note, origin, verifier)
	if err != nil {
		return Checkpoint{}, nil, fmt.Errorf("ledger: checkpoint: %w", err)
	}
	if signed.Size != stored.Size || signed.Size == 0 {
		return Checkpoint{}, nil, errors.New("ledger: the checkpoint is of another size")
	}
	if len(stored.Range) != compact.RangeSize(0, signed.Size)*rfc6962.DefaultHasher.Size() {
		return Checkpoint{}, nil, errors.New("ledger: the checkpoint's range has the wrong length")
	}
	var hashes [][]byte
	for b := stored.Range; len(b) > 0; b = b[rfc6962.DefaultHasher.Size():] {
		hashes = append(hashes, b[:rfc6962.DefaultHasher.Size()])
	}
	tree, err := ranges.NewRange(0, signed.Size, hashes)
	if err != nil {
		return Checkpoint{}, nil, fmt.Errorf("ledger: checkpoint: %w", err)
	}
	root, err := rootOf(tree)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	if !bytes.Equal(root, signed.Hash) {
		return Checkpoint{}, nil, errors.New("ledger: the checkpoint's range has another root")
	}
	return Checkpoint{Origin: origin, Size: signed.Size, Root: root, Note: string(stored.Note), Key: vkey}, tree, nil
}
