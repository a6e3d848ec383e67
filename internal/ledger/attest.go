package ledger

import (
	"context"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// Attest signs a text that is no checkpoint with the key that signs the workspace's checkpoints at present: a C2SP
// signed note, and its verifier key. The text ends with a newline.
func (l *Ledger) Attest(ctx context.Context, ws steward.WorkspaceID, text string) (note, vkey string, err error) {
	ring := Ring(ctx, l.sealer, ws)
	cp, err := l.Checkpoint(ctx, ws)
	if err != nil {
		return "", "", err
	}
	number := 1
	if cp.Size > 0 {
		if _, number, err = tree.Parse([]byte(cp.Note), string(ws), ring); err != nil {
			return "", "", unsignable(ws, err)
		}
	}
	key, err := ring(number)
	if err != nil {
		return "", "", err
	}
	return key.SignText(cp.Origin, text) // the log's present name, which its verifier key has
}
