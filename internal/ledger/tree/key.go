package tree

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/compact"
	"golang.org/x/mod/sumdb/note"
)

// SigningPurpose is what the signing key's seed is derived for, from the workspace's own scope.
const SigningPurpose = "checkpoint-signing"

// Checkpoint commits to everything that a log held at its size.
type Checkpoint struct {
	Origin string `json:"origin"` // ends with the workspace's id, behind a slash
	Size   uint64 `json:"size"`
	Root   []byte `json:"root"` // RFC 6962, SHA-256
	Note   string `json:"note"` // C2SP tlog-checkpoint, signed with Ed25519
	Key    string `json:"key"`  // the note's verifier key
}

// Sign makes the checkpoint of a tree. The key is Ed25519 (RFC 8032) with the seed given.
func Sign(e *Edge, origin string, seed [32]byte) (Checkpoint, error) {
	root, err := e.Root()
	if err != nil {
		return Checkpoint{}, err
	}
	signer, _, vkey, err := keys(origin, seed)
	if err != nil {
		return Checkpoint{}, err
	}
	text := log.Checkpoint{Origin: origin, Size: e.Size, Hash: root}.Marshal()
	signed, err := note.Sign(&note.Note{Text: string(text)}, signer)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("tree: signature: %w", err)
	}
	return Checkpoint{Origin: origin, Size: e.Size, Root: root, Note: string(signed), Key: vkey}, nil
}

// OfWorkspace tells whether a note says of itself that it is the checkpoint of a workspace, by its id.
func OfWorkspace(note []byte, ws string) bool {
	origin, _, _ := bytes.Cut(note, []byte("\n"))
	return strings.HasSuffix(string(origin), "/"+ws)
}

// Parse reads a signed note: it is the workspace's, and signed with its key.
func Parse(text []byte, ws string, seed [32]byte) (Checkpoint, error) {
	if !OfWorkspace(text, ws) {
		return Checkpoint{}, errors.New("tree: the checkpoint is another log's")
	}
	origin, _, _ := strings.Cut(string(text), "\n")
	_, verifier, vkey, err := keys(origin, seed)
	if err != nil {
		return Checkpoint{}, err
	}
	signed, _, _, err := log.ParseCheckpoint(text, origin, verifier)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("tree: checkpoint: %w", err)
	}
	return Checkpoint{Origin: origin, Size: signed.Size, Root: signed.Hash, Note: string(text), Key: vkey}, nil
}

// Open is Parse for a note that is stored with its size and the hashes of the compact range [0, size): it
// speaks of that size, and the range has the root that it signs.
func Open(text []byte, size uint64, hashes []byte, ws string, seed [32]byte) (Checkpoint, *compact.Range, error) {
	cp, err := Parse(text, ws, seed)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	if cp.Size != size || size == 0 {
		return Checkpoint{}, nil, errors.New("tree: the checkpoint is of another size")
	}
	if len(hashes) != compact.RangeSize(0, size)*HashSize {
		return Checkpoint{}, nil, errors.New("tree: the checkpoint's range has the wrong length")
	}
	var list [][]byte
	for ; len(hashes) > 0; hashes = hashes[HashSize:] {
		list = append(list, hashes[:HashSize])
	}
	whole, err := Ranges.NewRange(0, size, list)
	if err != nil {
		return Checkpoint{}, nil, fmt.Errorf("tree: checkpoint: %w", err)
	}
	root, err := Root(whole)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	if !bytes.Equal(root, cp.Root) {
		return Checkpoint{}, nil, errors.New("tree: the checkpoint's range has another root")
	}
	return cp, whole, nil
}

// keys makes signer and verifier of a log by its name.
func keys(name string, seed [32]byte) (note.Signer, note.Verifier, string, error) {
	public := ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
	vkey, err := note.NewEd25519VerifierKey(name, public)
	if err != nil {
		return nil, nil, "", fmt.Errorf("tree: verifier key: %w", err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, nil, "", fmt.Errorf("tree: verifier key: %w", err)
	}
	// The signer's form, from the note package: algorithm 1 and the seed behind name and key hash.
	skey := fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", name, verifier.KeyHash(), base64.StdEncoding.EncodeToString(append([]byte{1}, seed[:]...)))
	signer, err := note.NewSigner(skey)
	if err != nil {
		return nil, nil, "", fmt.Errorf("tree: signing key: %w", err)
	}
	return signer, verifier, vkey, nil
}
