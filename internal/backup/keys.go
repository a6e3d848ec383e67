package backup

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stewardhq/steward"
)

// AboutKeys is what is said of a copy of the keyring, beside it.
type AboutKeys struct {
	Made  time.Time `json:"made"`
	Until time.Time `json:"until"` // when it is to be deleted
	Note  string    `json:"note"`
}

const aboutFile = "about.json"

// Keys makes a folder with a copy of the keyring, which fill writes, and with what it must not be used for.
func Keys(dir string, now time.Time, horizon time.Duration, fill func(dir string) error) (AboutKeys, error) {
	now = now.UTC().Truncate(time.Second)
	about := AboutKeys{Made: now, Until: now.Add(horizon), Note: "A copy of the keyring. It opens nothing without the root key of its time, " +
		"and nothing at all once something was forgotten after it. Delete it in time, and keep it apart from backups of the data."}
	return about, folder(dir, aboutFile, about, fill)
}

// folder makes a small folder, whole or not at all: with what fill writes into the one it is given, and, under a
// name, what is said about it, as JSON. There may be no folder yet, or an empty one; what a crash left goes.
func folder(dir, name string, about any, fill func(dir string) error) error {
	dir = filepath.Clean(dir)
	if there, err := os.ReadDir(dir); err == nil && len(there) > 0 {
		return steward.Errorf(steward.Conflict, "the folder %s holds something already, such as %s; choose an empty one", dir, there[0].Name())
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unwritten(dir, err)
	}
	raw, err := json.MarshalIndent(about, "", " ")
	if err != nil {
		return err
	}
	made := dir + newEnd
	if err := errors.Join(os.RemoveAll(made), os.MkdirAll(made, 0o700)); err != nil {
		return unwritten(dir, err)
	}
	defer func() { _ = os.RemoveAll(made) }() // nothing is there once it was renamed
	if err := fill(made); err != nil {
		return err
	}
	files, err := os.ReadDir(made)
	for _, f := range files {
		if err == nil {
			_, err = settle(context.Background(), made, f.Name())
		}
	}
	if err == nil {
		_, err = copyFile(context.Background(), filepath.Join(made, name), strings.NewReader(string(raw)+"\n"))
	}
	if err == nil {
		err = syncFolders(made)
	}
	// A crash up to here leaves a folder of another name.
	if err == nil {
		if err = os.Remove(dir); err == nil || errors.Is(err, fs.ErrNotExist) {
			err = os.Rename(made, dir)
		}
	}
	if err == nil {
		err = syncFolders(filepath.Dir(dir))
	}
	if err != nil {
		return unwritten(dir, err)
	}
	return nil
}
