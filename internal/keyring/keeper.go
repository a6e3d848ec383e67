package keyring

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stewardhq/steward"
)

// KeyFile is the name of the root key's file: 64 hexadecimal digits and a newline.
const KeyFile = "root.key"

// FileKeeper keeps the root key in a file. Dir is a folder of its own, so that it can lie on another
// disk than the data and be left out of its backups.
type FileKeeper struct {
	Dir string
}

func (k FileKeeper) path() string { return filepath.Join(k.Dir, KeyFile) }

// Root reads the key. It refuses a folder or file that others may read.
func (k FileKeeper) Root(context.Context) (root [32]byte, err error) {
	if err := k.private(k.Dir, "700"); err != nil {
		return root, err
	}
	if err := k.private(k.path(), "600"); err != nil {
		return root, err
	}
	text, err := os.ReadFile(k.path())
	if err != nil {
		return root, k.unreadable(err)
	}
	text = bytes.TrimSpace(text)
	if len(text) == hex.EncodedLen(len(root)) {
		if _, err := hex.Decode(root[:], text); err == nil {
			return root, nil
		}
	}
	return [32]byte{}, steward.Errorf(steward.Unavailable, "%s should hold 64 hexadecimal digits and doesn't; put it back from where you keep its copy (or, if `steward init` was interrupted, remove it and run that again)", k.path())
}

// private refuses a path that others than its owner may use.
func (k FileKeeper) private(path, chmod string) error {
	info, err := os.Stat(path)
	if err != nil {
		return k.unreadable(err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return steward.Errorf(steward.Unavailable, "others may read the root key; run: chmod %s %s", chmod, path)
	}
	return nil
}

func (k FileKeeper) unreadable(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return steward.Errorf(steward.NotFound, "there is no root key at %s; put it back from where you keep its copy, or run `steward init` for new data", k.path()).Because(err)
	}
	return steward.Errorf(steward.Unavailable, "the root key at %s can't be read; check its owner", k.path()).Because(err)
}

// Create makes the folder, the key and its file, once: where there is a key it answers Conflict and
// changes nothing, because everything sealed under the old one would be lost. When it returns nil, the
// file survives a power loss.
func (k FileKeeper) Create(random io.Reader) error {
	var root [32]byte
	if _, err := io.ReadFull(random, root[:]); err != nil {
		return fmt.Errorf("keyring: randomness: %w", err)
	}
	if err := os.MkdirAll(k.Dir, 0o700); err != nil {
		return k.unwritten(err)
	}
	if err := k.private(k.Dir, "700"); err != nil {
		return err
	}
	f, err := os.OpenFile(k.path(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return steward.Errorf(steward.Conflict, "there is a root key at %s already, and it stays", k.path()).Because(err)
	}
	if err != nil {
		return k.unwritten(err)
	}
	_, err = f.WriteString(hex.EncodeToString(root[:]) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return k.unwritten(errors.Join(err, os.Remove(k.path())))
	}
	// A crash before here leaves a short file, which Root explains.
	if err := errors.Join(syncDir(k.Dir), syncDir(filepath.Dir(filepath.Clean(k.Dir)))); err != nil {
		return k.unwritten(err)
	}
	return nil
}

func (k FileKeeper) unwritten(err error) error {
	return steward.Errorf(steward.Unavailable, "the root key can't be written to %s; check the folder's owner and the disk", k.path()).Because(err)
}

// syncDir makes a folder's new names survive a power loss.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
