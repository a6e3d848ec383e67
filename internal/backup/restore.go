package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/stewardhq/steward"
)

// Backup is a backup in a folder.
type Backup struct {
	Dir string
	Manifest
	sum string // the manifest's
}

// Open reads a backup's manifest. What it names is not looked at yet: Check does.
func Open(dir string) (*Backup, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, dataDir)); err == nil {
			return nil, steward.Errorf(steward.Conflict, "the backup in %s was interrupted and isn't whole; make it again, or name another", dir)
		}
		return nil, steward.Errorf(steward.NotFound, "there is no backup in %s; name the folder that `steward backup --to` wrote", dir).Because(err)
	}
	if err != nil {
		return nil, steward.Errorf(steward.Unavailable, "the backup in %s can't be read; check its owner", dir).Because(err)
	}
	b := &Backup{Dir: dir}
	if b.Manifest, b.sum, err = decodeManifest(text); err != nil {
		if known := (*steward.Error)(nil); errors.As(err, &known) {
			return nil, err
		}
		return nil, damaged(manifestFile, "isn't what was written").Because(err)
	}
	return b, nil
}

// Sum is the SHA-256 of the manifest, in hexadecimal.
func (b *Backup) Sum() string { return b.sum }

// Size is how many bytes its files have.
func (b *Backup) Size() (n uint64) {
	for _, f := range b.Files {
		n += uint64(f.Size)
	}
	return n
}

// Check reads every file and holds it against the manifest. Its error is of kind Conflict and says which are
// damaged or missing.
func (b *Backup) Check(ctx context.Context, progress func(done, total uint64)) error {
	var wrong []string
	var done uint64
	total := b.Size()
	for _, f := range b.Files {
		got, err := hashFile(ctx, b.Dir, f.Name)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrNotExist):
			wrong = append(wrong, f.Name+" is missing")
		case err != nil:
			wrong = append(wrong, f.Name+" can't be read")
		case got.Size != f.Size:
			wrong = append(wrong, fmt.Sprintf("%s has %d bytes and had %d", f.Name, got.Size, f.Size))
		case got.SHA256 != f.SHA256:
			wrong = append(wrong, f.Name+" was changed")
		}
		done += uint64(f.Size)
		if progress != nil {
			progress(done, total)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	const shown = 10
	more := ""
	if len(wrong) > shown {
		more = fmt.Sprintf(", and %d more", len(wrong)-shown)
		wrong = wrong[:shown]
	}
	return damaged(strings.Join(wrong, ", "), more)
}

func damaged(what, more string) *steward.Error {
	if more != "" && more[0] != ',' {
		more = " " + more
	}
	return steward.Errorf(steward.Conflict, "this backup is damaged and nothing was restored: %s%s; take another backup", what, more)
}

// Target is where a backup is put back.
type Target struct {
	Dir     string // the data folder; nobody else may be using it
	Replace bool   // put what is there aside
	// Objects says that objects lie in Dir too, in a folder of that name; else they lie in Blobs.
	Objects bool
	// Blobs gives the store of objects: the one that lies in a folder, or, for "", the other.
	Blobs func(dir string) Blobs
	// Load fills a server's database, which must be empty, from the copy in a folder, in one transaction, and leaves
	// the mark with it. Again says that a crash came before the end: where the mark is there, it was done. Nil: the
	// copy is put into Dir.
	Load func(ctx context.Context, dir, mark string, again bool) error
	// Staged, where there is one, may change the copy of the database in a folder before it is put anywhere. After
	// a crash it may be called again, on another copy.
	Staged   func(ctx context.Context, dir string) error
	Progress func(what string, done, total uint64) // in bytes; nil for none

	before func(step string) error // nil, or asked before each step that changes the disk
}

// The folders in a data folder that Restore uses: one for what isn't whole yet, and one for each time that data
// was put aside, which stays.
const (
	stagingDir = "restoring"
	wholeFile  = "whole" // in the first: everything is in it, and it only has to be put in its place
	asideDir   = "replaced-"
)

// Restore puts a backup back. After a crash the same Restore goes on where it was needed; where a database is in its
// place still, or by now, it begins anew, since somebody may have written to that after the copy was staged. It gives
// the folder that what was there was put into, "" where nothing was.
func (b *Backup) Restore(ctx context.Context, t Target) (aside string, err error) {
	staging := filepath.Join(t.Dir, stagingDir)
	databases := b.databases()
	for _, name := range databases {
		if there, err := os.Lstat(filepath.Join(t.Dir, name)); err == nil && there.IsDir() {
			return "", damaged(path.Join(dataDir, name), "would take a folder's place")
		}
	}
	if t.Load != nil {
		databases = nil // they go into the server's
	}
	whole, err := os.ReadFile(filepath.Join(staging, wholeFile))
	again := err == nil && string(whole) == b.sum
	for _, name := range databases {
		again = again && !(exists(staging, name) && exists(t.Dir, name))
	}
	if !again {
		if there := t.present(databases); len(there) > 0 && !t.Replace {
			return "", steward.Errorf(steward.Conflict, "there is data in %s already (%s); name another folder with --data, or put what is there aside with --replace", t.Dir, strings.Join(there, ", "))
		}
		if err := b.stage(ctx, t, staging); err != nil {
			return "", errors.Join(err, os.RemoveAll(staging))
		}
	}
	// A crash up to here changed nothing that is in use.
	if t.Load != nil {
		if err := step(t.before, "load"); err != nil {
			return "", err
		}
		if err := t.Load(ctx, staging, b.sum, again); steward.KindOf(err) == steward.Conflict && err != nil {
			return "", errors.Join(err, os.RemoveAll(staging))
		} else if err != nil {
			return "", err // it may have been done: the mark stays
		}
	}
	// A crash here, on a server, leaves rows whose objects aren't there yet.
	if aside, err = b.place(t, staging, databases); err != nil {
		return aside, unwritten(t.Dir, err)
	}
	if err := step(t.before, "clean up"); err != nil {
		return aside, err
	}
	// The mark goes last, so that a crash leaves either a folder that is finished with, or none.
	for _, name := range append(b.databases(), objectsDir, wholeFile, "") {
		if err := os.RemoveAll(filepath.Join(staging, name)); err != nil {
			return aside, unwritten(t.Dir, err)
		}
	}
	return aside, syncFolders(t.Dir)
}

// databases are the names of the database's files.
func (b *Backup) databases() (names []string) {
	for _, f := range b.Files {
		if path.Dir(f.Name) == dataDir {
			names = append(names, path.Base(f.Name))
		}
	}
	return names
}

// present lists what is in the data folder that a restored backup would take the place of.
func (t Target) present(databases []string) (there []string) {
	var names []string
	for _, name := range databases {
		names = append(names, name, name+"-wal", name+"-shm", name+"-journal")
	}
	if t.Objects {
		names = append(names, objectsDir)
	}
	for _, name := range names {
		// Folders alone, which the store of objects makes when it starts, are nothing.
		err := filepath.WalkDir(filepath.Join(t.Dir, name), func(_ string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				return fs.ErrExist
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			there = append(there, name)
		}
	}
	return there
}

// stage checks the whole backup and copies it beside the data.
func (b *Backup) stage(ctx context.Context, t Target, staging string) error {
	if err := b.Check(ctx, func(done, total uint64) { tell(t.Progress, "checking the backup, bytes", done, total) }); err != nil {
		return err
	}
	if err := step(t.before, "stage"); err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(staging), os.Mkdir(staging, 0o700)); err != nil {
		return unwritten(t.Dir, err)
	}
	objects := ""
	if t.Objects {
		objects = filepath.Join(staging, objectsDir)
		if err := os.Mkdir(objects, 0o700); err != nil {
			return unwritten(t.Dir, err)
		}
	}
	blobs := t.Blobs(objects)
	total, done := b.Size(), uint64(0)
	for _, f := range b.Files {
		if err := step(t.before, "copy"); err != nil {
			return err
		}
		var err error
		if name, isObject := f.Object(); isObject {
			err = b.putObject(ctx, blobs, name, f)
		} else if path.Dir(f.Name) == dataDir {
			err = b.copyDatabase(ctx, t, staging, f)
		}
		if err != nil {
			return err
		}
		done += uint64(f.Size)
		tell(t.Progress, "restoring, bytes", done, total)
	}
	for _, o := range b.Objects.Referenced {
		if err := referenced(ctx, t.Blobs(""), o); err != nil {
			return err
		}
	}
	if t.Staged != nil {
		if err := t.Staged(ctx, staging); err != nil {
			return err
		}
	}
	if err := step(t.before, "mark as whole"); err != nil {
		return err
	}
	err := syncFolders(staging)
	if err == nil {
		_, err = copyFile(ctx, filepath.Join(staging, wholeFile), strings.NewReader(b.sum))
	}
	if err = errors.Join(err, syncFolders(staging, t.Dir)); err != nil {
		return unwritten(t.Dir, err)
	}
	return nil
}

func (b *Backup) copyDatabase(ctx context.Context, t Target, staging string, f File) error {
	from, err := b.open(f)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	made, err := copyFile(ctx, filepath.Join(staging, path.Base(f.Name)), from)
	if err != nil {
		return unwritten(t.Dir, err)
	}
	if made.Size != f.Size || made.SHA256 != f.SHA256 {
		return damaged(f.Name, "was changed while it was read")
	}
	return nil
}

// open opens a file of the backup, and nothing outside.
func (b *Backup) open(f File) (*os.File, error) {
	file, err := openFile(b.Dir, f.Name)
	if err != nil {
		return nil, damaged(f.Name, "can't be read").Because(err)
	}
	return file, nil
}

// putObject puts one object. The same one that is there already, since a Restore was interrupted, is right.
func (b *Backup) putObject(ctx context.Context, blobs Blobs, name string, f File) error {
	from, err := b.open(f)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	err = blobs.Put(ctx, name, from, f.Size, f.Until)
	if steward.KindOf(err) != steward.Conflict || err == nil {
		return err
	}
	there, err := blobs.Open(ctx, name)
	if err != nil {
		return err
	}
	defer func() { _ = there.Close() }()
	sum := sha256.New()
	if _, err := copyTo(ctx, sum, io.NewSectionReader(there, 0, there.Size())); err != nil {
		return err
	}
	if hexOf(sum) != f.SHA256 {
		return steward.Errorf(steward.Conflict, "the store of objects has another object of the name %s than the backup; restore with another --objects", name)
	}
	return nil
}

// referenced looks whether an object that wasn't copied is still the one there was.
func referenced(ctx context.Context, blobs Blobs, o Object) error {
	there, err := blobs.Open(ctx, o.Name)
	if steward.KindOf(err) == steward.NotFound && err != nil {
		return steward.Errorf(steward.Conflict, "the backup counts on the sealed object %s, which was locked in the bucket and is gone; name the bucket that it was made from with --objects", o.Name).Because(err)
	}
	if err != nil {
		return err
	}
	defer func() { _ = there.Close() }()
	sum := sha256.New()
	if _, err := copyTo(ctx, sum, io.NewSectionReader(there, 0, there.Size())); err != nil {
		return err
	}
	if !bytes.Equal(sum.Sum(nil), o.SHA256) {
		return steward.Errorf(steward.Conflict, "the sealed object %s in the bucket isn't the one that the backup was made with", o.Name)
	}
	return nil
}

func exists(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}

// place puts aside what is there, then puts in its place what is staged: the database last, so that until it is
// there the folder has no data to be used. What isn't staged any more was put in its place before a crash.
func (b *Backup) place(t Target, staging string, databases []string) (aside string, err error) {
	var old []string
	for _, name := range t.present(databases) {
		if database, _, _ := strings.Cut(name, "-"); exists(staging, database) {
			old = append(old, name)
		}
	}
	if len(old) > 0 {
		if aside, err = t.asideFor(old); err != nil {
			return aside, err
		}
	}
	move := func(what, name, from, to string) error {
		if err := step(t.before, what); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			return err
		}
		return syncFolders(to, from)
	}
	for _, name := range old {
		if err := move("put aside", name, t.Dir, aside); err != nil {
			return aside, err
		}
	}
	for _, name := range append([]string{objectsDir}, databases...) {
		if !exists(staging, name) {
			continue
		}
		if name == objectsDir { // folders with nothing in them, if there are any
			if err := os.RemoveAll(filepath.Join(t.Dir, name)); err != nil {
				return aside, err
			}
		}
		if err := move("put in place", name, staging, t.Dir); err != nil {
			return aside, err
		}
	}
	return aside, nil
}

// asideFor finds the folder to put things into: the one that a crash left half-filled, or a new one.
func (t Target) asideFor(names []string) (string, error) {
	for n := 1; ; n++ {
		dir := filepath.Join(t.Dir, fmt.Sprintf("%s%d", asideDir, n))
		err := os.Mkdir(dir, 0o700)
		if err == nil {
			return dir, syncFolders(t.Dir)
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		if _, err := os.Lstat(filepath.Join(t.Dir, fmt.Sprintf("%s%d", asideDir, n+1))); err == nil {
			continue // only the last can be half-filled
		}
		free := true
		for _, name := range names {
			_, err := os.Lstat(filepath.Join(dir, name))
			free = free && errors.Is(err, fs.ErrNotExist)
		}
		if free {
			return dir, nil
		}
	}
}
