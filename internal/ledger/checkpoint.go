package ledger

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
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
	checkpoints, errs := l.signAll(ctx, []steward.WorkspaceID{ws})
	return checkpoints[0], errs[0]
}

// signAll makes a checkpoint of each workspace, and saves them in one commit. What fails stays due.
func (l *Ledger) signAll(ctx context.Context, workspaces []steward.WorkspaceID) ([]Checkpoint, []error) {
	checkpoints, errs := make([]Checkpoint, len(workspaces)), make([]error, len(workspaces))
	taken, due := make([]*unsigned, len(workspaces)), make([]bool, len(workspaces))
	var signed []Signed
	var of []int // the workspaces that signed speaks of
	for i, ws := range workspaces {
		l.mu.Lock()
		taken[i], due[i] = l.due[ws]
		delete(l.due, ws)
		l.mu.Unlock()
		var s *Signed
		if checkpoints[i], s, errs[i] = l.sign(ctx, ws, taken[i]); s != nil {
			signed, of = append(signed, *s), append(of, i)
		}
	}
	if len(signed) > 0 {
		if err := l.save(ctx, signed); err != nil {
			for _, i := range of {
				errs[i] = err
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, ws := range workspaces {
		if errs[i] == nil || !due[i] {
			continue
		}
		switch since := l.due[ws]; {
		case since == nil:
			l.due[ws] = taken[i]
		case taken[i] != nil && taken[i].end() == since.from:
			since.from, since.leaves = taken[i].from, append(taken[i].leaves, since.leaves...)
		}
	}
	return checkpoints, errs
}

// save stores checkpoints, and hands them on.
func (l *Ledger) save(ctx context.Context, signed []Signed) error {
	if err := l.store.SaveCheckpoints(ctx, signed); err != nil || l.tell == nil {
		return err
	}
	for _, s := range signed {
		if err := l.tell(ctx, s.Workspace, string(s.Checkpoint.Note)); err != nil {
			l.log.Error("a checkpoint is stored and couldn't be copied elsewhere", "workspace", string(s.Workspace), "size", s.Checkpoint.Size, "error", err)
		}
	}
	return nil
}

// signStep is how many entries one checkpoint adds at most: what is behind by more gets several, so that
// no more than one's tiles are in memory.
const signStep = 1 << 16

// sign makes the workspace's next checkpoint, and what is to be saved of it: nil where nothing was added.
func (l *Ledger) sign(ctx context.Context, ws steward.WorkspaceID, written *unsigned) (Checkpoint, *Signed, error) {
	seed, err := l.sealer.Derive(ctx, ws, steward.WorkspaceScope, signingPurpose)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	head, err := l.store.Head(ctx, ws)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	var last Checkpoint
	tree := &edge{}
	if head.Signed > 0 {
		stored, err := l.store.Checkpoints(ctx, ws, head.Signed, 1)
		if err != nil {
			return Checkpoint{}, nil, err
		}
		if len(stored) == 0 || stored[0].Size != head.Signed {
			return Checkpoint{}, nil, unsignable(ws, fmt.Errorf("ledger: checkpoint %d is missing", head.Signed))
		}
		if last, _, err = openCheckpoint(stored[0], ws, seed); err != nil {
			return Checkpoint{}, nil, unsignable(ws, err)
		}
		if head.Next == last.Size {
			return last, nil, nil
		}
		if tree, err = readEdge(ctx, l.store, ws, last.Size); err != nil {
			return Checkpoint{}, nil, err
		}
		if !bytes.Equal(bytes.Join(tree.hashes(), nil), stored[0].Range) {
			return Checkpoint{}, nil, unsignable(ws, errors.New("ledger: the tiles are of another tree"))
		}
	}

	size := head.Next
	if written != nil && written.from >= head.Signed {
		size = written.end()
	} else {
		written = &unsigned{from: size} // nothing to compare with: begun by a process that is gone
	}
	for {
		step := min(size, tree.size+signStep)
		if err := l.readBack(ctx, ws, tree, step, written); err != nil {
			return Checkpoint{}, nil, err
		}
		cp, err := signTree(tree, l.origin+"/"+string(ws), seed)
		if err != nil || step == 0 {
			return cp, nil, err
		}
		s := Signed{
			Workspace:  ws,
			Checkpoint: StoredCheckpoint{Size: step, Note: []byte(cp.Note), Range: bytes.Join(tree.hashes(), nil)},
			Tiles:      tree.changed(),
		}
		if step == size {
			return cp, &s, nil
		}
		if err := l.save(ctx, []Signed{s}); err != nil {
			return Checkpoint{}, nil, err
		}
	}
}

// readBack reads the entries from the tree's end up to a size, holds them against what was written, and
// adds them to the tree.
func (l *Ledger) readBack(ctx context.Context, ws steward.WorkspaceID, tree *edge, size uint64, written *unsigned) error {
	for page := range readPages(ctx, l.store, ws, tree.size, size, false) {
		if page.err != nil {
			return page.err
		}
		for i := range page.entries {
			e := &page.entries[i]
			if e.seq != tree.size {
				break
			}
			if e.seq >= written.from && e.seq < written.end() {
				at := (e.seq - written.from) * hashSize
				if !bytes.Equal(e.leaf[:], written.leaves[at:at+hashSize]) {
					return unsignable(ws, fmt.Errorf("ledger: entry %d: %w", e.seq, errAltered))
				}
			}
			tree.append(e.leaf[:])
		}
	}
	if tree.size < size {
		return unsignable(ws, fmt.Errorf("ledger: entry %d is missing", tree.size))
	}
	return nil
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

// signBatch is how many workspaces' checkpoints share a commit.
const signBatch = 64

func (l *Ledger) signDue() {
	l.mu.Lock()
	var due []steward.WorkspaceID
	for ws := range l.due {
		due = append(due, ws)
	}
	l.mu.Unlock()
	for batch := range slices.Chunk(due, signBatch) {
		l.signing.Lock()
		_, errs := l.signAll(context.Background(), batch)
		l.signing.Unlock()
		for i, err := range errs {
			if err != nil {
				l.log.Error("no checkpoint was signed", "workspace", string(batch[i]), "error", err)
			}
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

func signTree(tree *edge, origin string, seed [32]byte) (Checkpoint, error) {
	root, err := tree.root()
	if err != nil {
		return Checkpoint{}, err
	}
	signer, _, vkey, err := keys(origin, seed)
	if err != nil {
		return Checkpoint{}, err
	}
	text := log.Checkpoint{Origin: origin, Size: tree.size, Hash: root}.Marshal()
	signed, err := note.Sign(&note.Note{Text: string(text)}, signer)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("ledger: signature: %w", err)
	}
	return Checkpoint{Origin: origin, Size: tree.size, Root: root, Note: string(signed), Key: vkey}, nil
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
