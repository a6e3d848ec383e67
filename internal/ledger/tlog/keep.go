package tlog

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync"

	"github.com/stewardhq/steward"
)

// kept is a line of the file of checkpoints.
type kept struct {
	Workspace  steward.WorkspaceID `json:"workspace"`
	Checkpoint string              `json:"checkpoint"` // the signed note
}

// Keep makes a function for ledger.Config.Checkpoints that adds each checkpoint to a file, one line of JSON
// each, durably. The file is only ever appended to, so it can lie where nothing else is allowed.
func Keep(path string) func(ctx context.Context, ws steward.WorkspaceID, note string) error {
	var one sync.Mutex
	return func(_ context.Context, ws steward.WorkspaceID, note string) error {
		one.Lock()
		defer one.Unlock()
		line, err := json.Marshal(kept{ws, note})
		if err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
		if err != nil {
			return unwritable(err)
		}
		// The empty line ends what a crash may have left half-written.
		_, err = f.Write(append(append([]byte{'\n'}, line...), '\n'))
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			return unwritable(err)
		}
		return nil
	}
}

// Kept reads the checkpoints from a file that Keep wrote, for verify.Source.Known. Lines that a crash cut
// off are left out.
func Kept(path string) (notes []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, steward.Errorf(steward.NotFound, "the file of checkpoints can't be read; check its name and owner").Because(err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var k kept
		if json.Unmarshal(lines.Bytes(), &k) == nil && k.Checkpoint != "" {
			notes = append(notes, k.Checkpoint)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, steward.Errorf(steward.Invalid, "this is no file of checkpoints").Because(err)
	}
	return notes, nil
}
