// Package file answers: how does a file come to be, whole or not at all? It doesn't know what is in it.
package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stewardhq/steward"
)

// New is a file that is being written, under another name until it is whole.
type New struct {
	file *os.File
	path string
}

// Create begins a file. One that is there already is left alone: the error is of kind Conflict.
func Create(path string) (*New, error) {
	if err := absent(path); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".steward-*")
	if err != nil {
		return nil, unwritable(path, err)
	}
	return &New{f, path}, nil
}

// Keep writes the last of it. From then on the file is there under its name, and stays there if the power goes.
func (n *New) Keep(last []byte) error {
	// A crash up to here leaves a file with another name, which nothing reads.
	_, err := n.file.Write(last)
	if err = errors.Join(err, n.file.Sync(), n.file.Close()); err != nil {
		return unwritable(n.path, err)
	}
	// A link is made only where there is nothing, so nobody's file is overwritten that came meanwhile.
	if err := os.Link(n.file.Name(), n.path); errors.Is(err, fs.ErrExist) {
		return absent(n.path)
	} else if err != nil {
		return unwritable(n.path, err)
	}
	if err := os.Remove(n.file.Name()); err != nil {
		return unwritable(n.path, err)
	}
	folder, err := os.Open(filepath.Dir(n.path))
	if err == nil {
		err = errors.Join(folder.Sync(), folder.Close())
	}
	if err != nil {
		return unwritable(n.path, err)
	}
	return nil
}

// Write is io.Writer's.
func (n *New) Write(p []byte) (int, error) {
	written, err := n.file.Write(p)
	if err != nil {
		err = unwritable(n.path, err)
	}
	return written, err
}

// Discard removes what was written, unless it was kept.
func (n *New) Discard() {
	_ = n.file.Close()
	_ = os.Remove(n.file.Name())
}

func absent(path string) error {
	switch _, err := os.Lstat(path); {
	case err == nil:
		return steward.Errorf(steward.Conflict, "there is a file %s already; choose another name, or move it away", path)
	case !errors.Is(err, fs.ErrNotExist):
		return unwritable(path, err)
	}
	return nil
}

func unwritable(path string, err error) error {
	return steward.Errorf(steward.Unavailable, "%s can't be written; check that the folder exists, its owner, and the disk's space", path).Because(err)
}
