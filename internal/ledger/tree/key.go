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

// SigningPurpose is what the seed of a log's signing key is derived for, from the workspace's own scope. Keys
// are counted from 1; each that replaces another has the next number.
func SigningPurpose(number int) string {
	if number == 1 {
		return "checkpoint-signing"
	}
	return fmt.Sprintf("checkpoint-signing/%d", number)
}

// Ring gives the keys of one log by their numbers, from 1.
type Ring func(number int) (Key, error)

// MaxKeys is how many keys a log can have, one after another: a checkpoint's is looked for among them all.
const MaxKeys = 256

// Key verifies checkpoints, and one made of a seed signs them too (Ed25519, RFC 8032).
type Key struct {
	seed [32]byte
	vkey string // where there is no seed
}

// SeedKey makes a key that signs.
func SeedKey(seed [32]byte) Key { return Key{seed: seed} }

// VerifierKey makes a key that only verifies, of a note verifier key.
func VerifierKey(vkey string) (Key, error) {
	if _, err := note.NewVerifier(vkey); err != nil {
		return Key{}, fmt.Errorf("tree: verifier key: %w", err)
	}
	return Key{vkey: vkey}, nil
}

// Verifier is the key as a note verifier key: a line of text that holds the log's name too.
func (k Key) Verifier(origin string) (string, error) {
	_, _, vkey, err := k.keys(origin)
	return vkey, err
}

// Checkpoint commits to everything that a log held at its size.
type Checkpoint struct {
	Origin string `json:"origin"` // ends with the workspace's id, behind a slash
	Size   uint64 `json:"size"`
	Root   []byte `json:"root"` // RFC 6962, SHA-256
	Note   string `json:"note"` // C2SP tlog-checkpoint, signed with Ed25519
	Key    string `json:"key"`  // the note's verifier key
}

// Sign makes the checkpoint of a tree, signed with each of the keys: the one in force last.
func Sign(e *Edge, origin string, keys ...Key) (Checkpoint, error) {
	root, err := e.Root()
	if err != nil {
		return Checkpoint{}, err
	}
	cp := Checkpoint{Origin: origin, Size: e.Size, Root: root}
	var signers []note.Signer
	for _, k := range keys {
		var signer note.Signer
		if signer, _, cp.Key, err = k.keys(origin); err != nil {
			return Checkpoint{}, err
		}
		signers = append(signers, signer)
	}
	text := log.Checkpoint{Origin: origin, Size: e.Size, Hash: root}.Marshal()
	signed, err := note.Sign(&note.Note{Text: string(text)}, signers...)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("tree: signature: %w", err)
	}
	cp.Note = string(signed)
	return cp, nil
}

// SignText signs with a log's key what is no checkpoint: as a C2SP signed note, whose verifier key is given too. The
// text ends with a newline and doesn't begin with the log's name, as checkpoints do.
func (k Key) SignText(origin, text string) (signed, vkey string, err error) {
	if strings.HasPrefix(text, origin+"\n") {
		return "", "", errors.New("tree: a text that could be taken for a checkpoint isn't signed")
	}
	signer, _, vkey, err := k.keys(origin)
	if err != nil {
		return "", "", err
	}
	raw, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return "", "", fmt.Errorf("tree: signature: %w", err)
	}
	return string(raw), vkey, nil
}

// OfWorkspace tells whether a note says of itself that it is the checkpoint of a workspace, by its id.
func OfWorkspace(note []byte, ws string) bool {
	origin, _, _ := bytes.Cut(note, []byte("\n"))
	return strings.HasSuffix(string(origin), "/"+ws)
}

// Parse reads a signed note: it is the workspace's, and signed with one of its keys, of which the newest counts
// and its number is given.
func Parse(text []byte, ws string, ring Ring) (Checkpoint, int, error) {
	if !OfWorkspace(text, ws) {
		return Checkpoint{}, 0, errors.New("tree: the checkpoint is another log's")
	}
	origin, _, _ := strings.Cut(string(text), "\n")
	cp, newest := Checkpoint{}, 0
	var refused error
	for number := 1; number <= MaxKeys; number++ {
		k, err := ring(number)
		if err != nil {
			return Checkpoint{}, 0, err
		}
		_, verifier, vkey, err := k.keys(origin)
		if err != nil {
			return Checkpoint{}, 0, err
		}
		signed, _, _, err := log.ParseCheckpoint(text, origin, verifier)
		if err == nil {
			cp, newest = Checkpoint{Origin: origin, Size: signed.Size, Root: signed.Hash, Note: string(text), Key: vkey}, number
		} else if newest > 0 {
			break // keys sign next to each other
		} else if refused == nil {
			refused = err
		}
		if k.vkey != "" {
			break // there is no other
		}
	}
	if newest == 0 {
		return Checkpoint{}, 0, fmt.Errorf("tree: checkpoint: %w", refused)
	}
	return cp, newest, nil
}

// Open is Parse for a note that is stored with its size and the hashes of the compact range [0, size): it
// speaks of that size, and the range has the root that it signs.
func Open(text []byte, size uint64, hashes []byte, ws string, ring Ring) (Checkpoint, int, *compact.Range, error) {
	cp, number, err := Parse(text, ws, ring)
	if err != nil {
		return Checkpoint{}, 0, nil, err
	}
	if cp.Size != size || size == 0 {
		return Checkpoint{}, 0, nil, errors.New("tree: the checkpoint is of another size")
	}
	if len(hashes) != compact.RangeSize(0, size)*HashSize {
		return Checkpoint{}, 0, nil, errors.New("tree: the checkpoint's range has the wrong length")
	}
	var list [][]byte
	for ; len(hashes) > 0; hashes = hashes[HashSize:] {
		list = append(list, hashes[:HashSize])
	}
	whole, err := Ranges.NewRange(0, size, list)
	if err != nil {
		return Checkpoint{}, 0, nil, fmt.Errorf("tree: checkpoint: %w", err)
	}
	root, err := Root(whole)
	if err != nil {
		return Checkpoint{}, 0, nil, err
	}
	if !bytes.Equal(root, cp.Root) {
		return Checkpoint{}, 0, nil, errors.New("tree: the checkpoint's range has another root")
	}
	return cp, number, whole, nil
}

// keys makes signer (where there is a seed) and verifier of a log by its name.
func (k Key) keys(name string) (signer note.Signer, verifier note.Verifier, vkey string, err error) {
	if vkey = k.vkey; vkey == "" {
		if vkey, err = note.NewEd25519VerifierKey(name, ed25519.NewKeyFromSeed(k.seed[:]).Public().(ed25519.PublicKey)); err != nil {
			return nil, nil, "", fmt.Errorf("tree: verifier key: %w", err)
		}
	}
	if verifier, err = note.NewVerifier(vkey); err != nil {
		return nil, nil, "", fmt.Errorf("tree: verifier key: %w", err)
	}
	if k.vkey != "" {
		return nil, verifier, vkey, nil
	}
	// The signer's form, from the note package: algorithm 1 and the seed behind name and key hash.
	skey := fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", name, verifier.KeyHash(), base64.StdEncoding.EncodeToString(append([]byte{1}, k.seed[:]...)))
	if signer, err = note.NewSigner(skey); err != nil {
		return nil, nil, "", fmt.Errorf("tree: signing key: %w", err)
	}
	return signer, verifier, vkey, nil
}
