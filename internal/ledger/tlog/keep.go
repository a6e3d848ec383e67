package tlog

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
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

// fewKept is how many of a log's checkpoints Kept gives at least, where there are so many.
const fewKept = 512

// Kept reads the checkpoints from a file that Keep wrote, for verify.Source.Known. Lines that a crash cut off,
// and those too long for a checkpoint, are left out. A log has two checkpoints a second and they are never
// removed, so of each log it gives up to 1,024, evenly over the file, and always the one over the most entries:
// the newest holds all that the older ones do, which only say more closely since when something is changed.
// Whether what it gives is signed is for whoever verifies.
func Kept(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, steward.Errorf(steward.NotFound, "the file of checkpoints can't be read; check its name and owner").Because(err)
	}
	defer func() { _ = f.Close() }()
	no := steward.Errorf(steward.Invalid, "this is no file of checkpoints")
	logs := map[string]*thinned{}
	var order []*thinned
	overlong := false
	for lines := bufio.NewReaderSize(f, maxNote); err == nil; {
		var line []byte
		line, err = lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			overlong, line = true, nil
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = lines.ReadSlice('\n')
			}
		}
		var k kept
		if json.Unmarshal(line, &k) != nil || k.Checkpoint == "" {
			continue
		}
		// By what the note itself says: what stands beside it nobody signed.
		origin, rest, _ := strings.Cut(k.Checkpoint, "\n")
		if logs[origin] == nil {
			logs[origin] = &thinned{every: 1}
			order = append(order, logs[origin])
		}
		digits, _, _ := strings.Cut(rest, "\n")
		size, _ := strconv.ParseUint(digits, 10, 64) // 0 for what is no checkpoint
		logs[origin].add(k.Checkpoint, size)
	}
	if !errors.Is(err, io.EOF) {
		return nil, no.Because(err)
	}
	var notes []string
	for _, log := range order {
		notes = append(notes, log.some...)
		if !slices.Contains(log.some, log.newest) {
			notes = append(notes, log.newest)
		}
	}
	if overlong && len(notes) == 0 {
		return nil, no
	}
	return notes, nil
}

// thinned is some of a log's checkpoints.
type thinned struct {
	some   []string // one of every so many
	every  uint64
	seen   uint64
	newest string
	size   uint64 // of the newest
}

func (t *thinned) add(note string, size uint64) {
	if size >= t.size {
		t.newest, t.size = note, size
	}
	if t.seen%t.every == 0 {
		t.some = append(t.some, note)
	}
	t.seen++
	if len(t.some) == 2*fewKept {
		for i := range fewKept {
			t.some[i] = t.some[2*i]
		}
		clear(t.some[fewKept:]) // the rest isn't kept in memory
		t.some, t.every = t.some[:fewKept], 2*t.every
	}
}
