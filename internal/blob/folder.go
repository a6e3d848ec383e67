package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/stewardhq/steward"
)

// Folder keeps objects as files below a folder, under their own names, so that any engine can read them there.
// Several processes may use it at once.
//
// What it does is durable when it returns, and a crash between any two steps leaves an object whole or not
// there at all. A lock is a file beside the object: it binds Steward, and nobody else who can write to the
// folder. Against those, use a bucket.
//
// Files with a "~" in their names are its own: locks, and what is being written. None is ever listed.
type Folder struct {
	Dir string           // made by Check; folders are 0700, files 0600
	Now func() time.Time // decides whether a lock has ended

	before func(step string) error // nil, or asked before each step that changes the disk
}

const (
	unfinished = "~new"          // a folder of objects that are being written, each held by its writer's flock
	newLock    = "~new/until"    // a lock that is being written
	lockEnd    = "~until"        // behind an object's name: its lock
	trial      = "steward-trial" // what Check puts and deletes
)

// Check makes the folder where there is none, and tries to keep an object in it.
func (f Folder) Check(ctx context.Context) error {
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return f.unwritten(err)
	}
	above, err := os.Open(filepath.Dir(filepath.Clean(f.Dir)))
	if err != nil {
		return f.unwritten(err)
	}
	if err := errors.Join(above.Sync(), above.Close()); err != nil {
		return f.unwritten(err)
	}
	return roundTrip(ctx, f, trial)
}

// Put keeps size bytes, read from the content's beginning, under a name: durable when it returns, and locked
// against deletion until a time. The zero time, and times that have passed, lock nothing. Where there is an
// object of that name, the error is of kind Conflict and that object, whole and durable, stays as it is.
func (f Folder) Put(ctx context.Context, name string, content io.ReadSeeker, size int64, until time.Time) error {
	root, err := f.open(name)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := f.free(root, name); err != nil {
		return err
	}
	temp, tempName, err := f.create(root)
	if err != nil {
		return f.unwritten(err)
	}
	// Removed while the flock on it is held: once that is gone, the name may be another writer's.
	defer func() { _, _ = root.Remove(tempName), temp.Close() }()
	if err := f.fill(ctx, temp, content, size); err != nil {
		return err
	}
	return f.alone(root, func() error {
		if err := f.free(root, name); err != nil {
			return err
		}
		if err := f.makeFolder(root, path.Dir(name)); err != nil {
			return f.unwritten(err)
		}
		// The lock comes first, so that the object is never there without it. A crash here leaves a lock
		// of nothing, which the next Put of that name replaces.
		if err := f.writeLock(root, name, until); err != nil {
			return f.unwritten(err)
		}
		if err := f.step("link"); err != nil {
			return f.unwritten(err)
		}
		if err := root.Link(tempName, name); errors.Is(err, fs.ErrExist) {
			return taken(name)
		} else if err != nil {
			return f.unwritten(err)
		}
		// A crash here leaves the whole object; whoever puts it again is told so once its name is durable.
		if err := f.syncFolders(root, name); err != nil {
			return f.unwritten(err)
		}
		return f.step("remove temporary file")
	})
}

// Open gives random access to an object; kind NotFound where there is none.
func (f Folder) Open(ctx context.Context, name string) (Object, error) {
	root, err := f.open(name)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := stat(root, name)
	if err != nil {
		return nil, err
	}
	if info == nil {
		return nil, missing(name)
	}
	file, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing(name) // deleted just now
	}
	if err != nil {
		return nil, f.unread(err)
	}
	return fileObject{ctx, file, info.Size()}, nil
}

// Delete removes an object, and is nil where there is none; kind Conflict while it is locked.
func (f Folder) Delete(ctx context.Context, name string) error {
	root, err := f.open(name)
	if err != nil {
		return err
	}
	defer root.Close()
	return f.alone(root, func() error {
		if info, err := stat(root, name); err != nil || info == nil {
			return err
		}
		until, err := readLock(root, name)
		if err != nil {
			return err
		}
		if until.After(f.Now()) {
			return locked(name, until)
		}
		if err := f.step("remove"); err != nil {
			return f.unwritten(err)
		}
		if err := root.Remove(name); err != nil {
			return f.unwritten(err)
		}
		if err := f.syncFolders(root, name); err != nil {
			return f.unwritten(err)
		}
		// A crash from here on leaves a lock that has ended, or empty folders: the next Put replaces the one
		// and fills the others.
		if err := f.step("remove lock"); err != nil {
			return f.unwritten(err)
		}
		if err := root.Remove(name + lockEnd); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return f.unwritten(err)
		}
		for dir := path.Dir(name); dir != "." && root.Remove(dir) == nil; dir = path.Dir(dir) {
			continue // up to the first that has other objects, and so can't be removed
		}
		return nil
	})
}

// Lock keeps an object from deletion until a time, durably; never shortens. Kind NotFound where there is none.
func (f Folder) Lock(ctx context.Context, name string, until time.Time) error {
	root, err := f.open(name)
	if err != nil {
		return err
	}
	defer root.Close()
	return f.alone(root, func() error {
		info, err := stat(root, name)
		if err != nil {
			return err
		}
		if info == nil {
			return missing(name)
		}
		now, err := readLock(root, name)
		if err != nil || !until.After(now) {
			return err
		}
		if err := f.writeLock(root, name, until); err != nil {
			return f.unwritten(err)
		}
		return nil
	})
}

// List calls fn with each name that begins with a prefix, in the order of the names' bytes, with the time
// the object was put. What fn returns ends it. Fn may delete what it is given.
func (f Folder) List(ctx context.Context, prefix string, fn func(name string, modified time.Time) error) error {
	if err := checkPrefix(prefix); err != nil {
		return err
	}
	root, err := f.openAll()
	if err != nil {
		return err
	}
	defer root.Close()
	return f.list(ctx, root, ".", prefix, fn)
}

func (f Folder) list(ctx context.Context, root *os.Root, dir, prefix string, fn func(string, time.Time) error) error {
	entries, err := fs.ReadDir(root.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // its last object was deleted just now
	}
	if err != nil {
		return f.unread(err)
	}
	// A folder is ordered by what its objects' names go on with.
	key := func(e fs.DirEntry) string {
		if e.IsDir() {
			return path.Join(dir, e.Name()) + "/"
		}
		return path.Join(dir, e.Name())
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(key(a), key(b)) })
	for _, e := range entries {
		name := key(e)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !inAlphabet(name):
		case e.IsDir() && (strings.HasPrefix(name, prefix) || strings.HasPrefix(prefix, name)):
			if err := f.list(ctx, root, path.Clean(name), prefix, fn); err != nil {
				return err
			}
		case e.Type().IsRegular() && strings.HasPrefix(name, prefix):
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // deleted just now
			}
			if err != nil {
				return f.unread(err)
			}
			if err := fn(name, info.ModTime()); err != nil {
				return err
			}
		}
	}
	return nil
}

// open gives the folder, after a look at the name that is wanted.
func (f Folder) open(name string) (*os.Root, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	return f.openAll()
}

func (f Folder) openAll() (*os.Root, error) {
	root, err := os.OpenRoot(f.Dir)
	if err != nil {
		return nil, f.unread(err)
	}
	return root, nil
}

// alone runs do while nobody else, in this process or another, changes names or locks here.
func (f Folder) alone(root *os.Root, do func() error) error {
	dir, err := root.Open(".")
	if err != nil {
		return f.unread(err)
	}
	defer dir.Close() // and with it the flock
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		return f.unwritten(err)
	}
	return do()
}

// create makes an empty file to write an object to, under a flock, and removes those whose writers died.
func (f Folder) create(root *os.Root) (file *os.File, name string, err error) {
	err = f.alone(root, func() error {
		if err := f.makeFolder(root, unfinished); err != nil {
			return err
		}
		entries, err := fs.ReadDir(root.FS(), unfinished)
		if err != nil {
			return err
		}
		used := map[string]bool{}
		for _, e := range entries {
			name := path.Join(unfinished, e.Name())
			if used[name], err = sweep(root, name); err != nil {
				return err
			}
		}
		for n := 0; name == "" || used[name]; n++ {
			name = path.Join(unfinished, strconv.Itoa(n))
		}
		if err := f.step("create"); err != nil {
			return err
		}
		// A crash from here on leaves a file without a flock, which the next Put removes.
		if file, err = root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return err
		}
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			return errors.Join(err, file.Close(), root.Remove(name))
		}
		return nil
	})
	return file, name, err
}

// sweep removes an unfinished file unless its writer lives, which it says.
func sweep(root *os.Root, name string) (lives bool, err error) {
	file, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	switch err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return true, nil
	case err != nil:
		return false, err
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err // where it is gone, its writer has just finished
	}
	return false, nil
}

// fill writes the content to a file and makes it durable.
func (f Folder) fill(ctx context.Context, file *os.File, content io.ReadSeeker, size int64) error {
	if err := f.step("write"); err != nil {
		return f.unwritten(err)
	}
	if err := copyAll(ctx, file, content, size); err != nil {
		if writing := (*fs.PathError)(nil); errors.As(err, &writing) && writing.Op == "write" {
			return f.unwritten(err)
		}
		return err
	}
	if err := f.step("sync"); err != nil {
		return f.unwritten(err)
	}
	if err := file.Sync(); err != nil {
		return f.unwritten(err)
	}
	return nil
}

// free is of kind Conflict where the name is taken, by an object that is durable then: its writer may have
// died between giving it the name and making the name durable.
func (f Folder) free(root *os.Root, name string) error {
	switch _, err := root.Lstat(name); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.ENOTDIR): // an object is called what should be a folder
		return taken(name)
	case err != nil:
		return f.unread(err)
	}
	if err := f.syncFolders(root, name); err != nil {
		return f.unwritten(err)
	}
	return taken(name)
}

// makeFolder makes a folder and those above it. syncFolders makes them durable.
func (f Folder) makeFolder(root *os.Root, dir string) error {
	if err := f.step("make folder"); err != nil {
		return err
	}
	return root.MkdirAll(dir, 0o700)
}

// syncFolders makes a name durable: in its folder, and that in the one above, up to Dir. All of them are
// synced each time, since a crash may have come between the making of one and its sync.
func (f Folder) syncFolders(root *os.Root, name string) error {
	for name != "." {
		name = path.Dir(name)
		if err := f.step("sync folder"); err != nil {
			return err
		}
		dir, err := root.Open(name)
		if err != nil {
			return err
		}
		if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
			return err
		}
	}
	return nil
}

// writeLock gives an object a durable lock in place of the one it has. A time that has passed is no lock.
func (f Folder) writeLock(root *os.Root, name string, until time.Time) error {
	if !until.After(f.Now()) {
		err := root.Remove(name + lockEnd)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if err := f.makeFolder(root, unfinished); err != nil {
		return err
	}
	if err := f.step("write lock"); err != nil {
		return err
	}
	// Nobody else writes this file, since names and locks change one at a time.
	file, err := root.OpenFile(newLock, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(until.UTC().Format(time.RFC3339Nano) + "\n")
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := f.step("rename lock"); err != nil {
		return err
	}
	if err := root.Rename(newLock, name+lockEnd); err != nil {
		return err
	}
	return f.syncFolders(root, name)
}

// readLock says until when an object is locked; the zero time where it isn't. A lock that can't be read is
// an error, so that nothing is deleted because of it.
func readLock(root *os.Root, name string) (time.Time, error) {
	text, err := root.ReadFile(name + lockEnd)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	var until time.Time
	if err == nil {
		until, err = time.Parse(time.RFC3339Nano, strings.TrimSuffix(string(text), "\n"))
	}
	if err != nil {
		return time.Time{}, steward.Errorf(steward.Internal,
			"the lock of the object %s can't be read, so it counts as locked; write the time into %s, as in 2033-01-31T00:00:00Z",
			name, path.Base(name)+lockEnd).Because(err)
	}
	return until, nil
}

// stat finds an object; nil where there is none.
func stat(root *os.Root, name string) (fs.FileInfo, error) {
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || err == nil && !info.Mode().IsRegular() {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("object %s: %w", name, err)
	}
	return info, nil
}

func (f Folder) step(name string) error {
	if f.before == nil {
		return nil
	}
	return f.before(name)
}

func (f Folder) unread(err error) error {
	return steward.Errorf(steward.Unavailable,
		"the objects in %s can't be read; check that the folder is there, its disk mounted, and its owner right", f.Dir).Because(err)
}

func (f Folder) unwritten(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return steward.Errorf(steward.Unavailable, "the disk under %s is full; make room on it", f.Dir).Because(err)
	}
	return steward.Errorf(steward.Unavailable, "objects can't be written to %s; check the folder's owner and the disk", f.Dir).Because(err)
}

// fileObject is an object that is a file.
type fileObject struct {
	ctx  context.Context
	file *os.File
	size int64
}

func (o fileObject) ReadAt(p []byte, off int64) (int, error) {
	if err := o.ctx.Err(); err != nil {
		return 0, err
	}
	return o.file.ReadAt(p, off)
}

func (o fileObject) Size() int64  { return o.size }
func (o fileObject) Close() error { return o.file.Close() }
