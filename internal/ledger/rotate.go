package ledger

import (
	"bytes"
	"context"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// A log's signing key is replaced by an entry in the log that names the next key. The checkpoint that first
// covers it is signed with both, so whoever trusts the old key can go on to the new one, and those after it
// with the new one alone. What the log says is all the state there is: a crash leaves nothing half done. An
// entry that names any other key than the next is without effect.

// IsRotation tells whether a header is of kind KeyRotated, without decoding it: texts in it hold no quotes.
func IsRotation(header []byte) bool {
	return bytes.Contains(header, []byte(`kind":"`+string(KeyRotated)+`"`)) // the quote before it would be met all the time
}

// NextKeys gives the key in force, by its number, and behind it those that entries of kind KeyRotated bring in.
func NextKeys(ring tree.Ring, origin string, number int, rotations []Row) ([]tree.Key, error) {
	current, err := ring(number)
	keys := []tree.Key{current}
	for i := 0; i < len(rotations) && err == nil; i++ {
		var h Header
		if h, err = Decode(&rotations[i]); err != nil || len(h.Targets) == 0 {
			continue
		}
		var next tree.Key
		var name string
		if next, err = ring(number + len(keys)); err != nil {
			continue
		}
		if name, err = next.Verifier(origin); err == nil && name == h.Targets[0] {
			keys = append(keys, next)
		}
	}
	return keys, err
}

// Rotate replaces the key that signs a workspace's checkpoints and returns the first one signed with the new
// key. The entry says who did it; kind and targets are set here. A log's last key can't be replaced: kind Limited.
func (l *Ledger) Rotate(ctx context.Context, ws steward.WorkspaceID, e Entry) (Checkpoint, error) {
	before, err := l.Checkpoint(ctx, ws)
	if err != nil {
		return Checkpoint{}, err
	}
	ring := Ring(ctx, l.sealer, ws)
	_, number, err := tree.Parse([]byte(before.Note), string(ws), ring)
	if err != nil {
		return Checkpoint{}, unsignable(ws, err)
	}
	if number >= tree.MaxKeys {
		return Checkpoint{}, steward.Errorf(steward.Limited, "a log has at most %d signing keys, one after another, and this one signs with the last; it goes on signing with it", tree.MaxKeys)
	}
	next, err := ring(number + 1)
	if err != nil {
		return Checkpoint{}, err
	}
	vkey, err := next.Verifier(before.Origin)
	if err != nil {
		return Checkpoint{}, err
	}
	e.Kind, e.Targets = KeyRotated, []string{vkey, before.Key}
	if _, err := l.Append(ctx, ws, e); err != nil {
		return Checkpoint{}, err
	}
	after, err := l.Checkpoint(ctx, ws)
	if err == nil && after.Key != vkey {
		err = steward.Errorf(steward.Conflict, "the signing key was replaced by somebody else at the same time; look at the log before doing it again")
	}
	return after, err
}
