// Package backup answers: what is kept elsewhere in case all is lost, and how does it come back? It knows
// files, their hashes and the order of steps that a crash may come between; what the rows mean, and the keys to
// them, it doesn't know.
package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/blob"
)

// What lies in a backup's folder: the manifest, which comes last and without which there is no backup, the
// database, the objects under their own names, and the newest checkpoints as `steward verify --known` reads them.
const (
	manifestFile    = "manifest.json"
	dataDir         = "data"
	objectsDir      = "objects"
	checkpointsFile = "checkpoints"
	newEnd          = "~new" // behind the name of what is being written
)

// Object is a sealed object that the database names.
type Object struct {
	Name   string    `json:"name"`
	Size   int64     `json:"size"`
	SHA256 []byte    `json:"sha256"`
	Until  time.Time `json:"until,omitzero"` // locked until then, zero where it isn't locked (yet)
}

// Ledger is how far one workspace's ledger goes in a backup.
type Ledger struct {
	Workspace  steward.WorkspaceID `json:"workspace"`
	Entries    uint64              `json:"entries"`              // the last has the number Entries-1
	Signed     uint64              `json:"signed"`               // the size of the newest checkpoint
	Root       string              `json:"root"`                 // that it signs, as in its note: base64
	Checkpoint string              `json:"checkpoint,omitempty"` // its note
	Cosigned   string              `json:"cosigned,omitempty"`   // the newest that witnesses signed
	Sealed     uint64              `json:"sealed,omitempty"`     // so many of the entries lie in sealed objects
}

// Database is what is copied.
type Database interface {
	// Copy writes one state of the database into a folder, while others go on writing. What was deleted or
	// overwritten is not in it.
	Copy(ctx context.Context, dir string) error
	// Contents reads from such a copy how far the ledgers go, and calls f with each object that it names.
	Contents(ctx context.Context, dir string, f func(Object) error) ([]Ledger, error)
}

// Blobs is where the objects are, as segment.Blobs keeps them.
type Blobs interface {
	// Put keeps size bytes under a name, durably, and locked until a time; kind Conflict where the name is taken.
	Put(ctx context.Context, name string, content io.ReadSeeker, size int64, until time.Time) error
	// Open gives random access; kind NotFound where there is none.
	Open(ctx context.Context, name string) (blob.Object, error)
}

// Source is what a backup is made of.
type Source struct {
	Database Database
	Blobs    Blobs  // nil where the database names none
	Bucket   string // where they lie if that is a bucket: then those that are locked there stay there
	Program  string // the version of the program
	ID       string // of this backup
	Now      func() time.Time
	Progress func(what string, done, total uint64) // in bytes; nil for none

	before func(step string) error // nil, or asked before each step that changes the disk
}

// attempts is how often a copy is begun anew since an object was merged or purged before it was read.
const attempts = 3

// Make writes a backup into a folder, which may hold nothing else but what a Make left that was interrupted.
func (s Source) Make(ctx context.Context, dir string) (*Backup, error) {
	unlock, err := s.begin(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	b := &Backup{Dir: dir, Manifest: Manifest{Format: format, Program: s.Program, ID: s.ID, Made: s.Now().UTC().Truncate(time.Second), Bucket: s.Bucket}}
	for try := 1; ; try++ {
		err := s.copy(ctx, b)
		if err == nil {
			break
		}
		if steward.KindOf(err) != steward.NotFound || try == attempts {
			return nil, fmt.Errorf("backup: %w", err)
		}
	}
	if err := s.tidy(b); err != nil {
		return nil, unwritten(dir, err)
	}
	// A crash up to here leaves a folder without a manifest, which is no backup; the next Make goes on in it.
	if err := step(s.before, "manifest"); err != nil {
		return nil, err
	}
	raw, err := b.Manifest.encode()
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	if err := s.write(filepath.Join(dir, manifestFile), raw); err != nil {
		return nil, unwritten(dir, err)
	}
	if err := syncFolders(filepath.Dir(filepath.Clean(dir))); err != nil {
		return nil, unwritten(dir, err)
	}
	return Open(dir)
}

// begin takes the folder for this process alone, and refuses one that holds something else.
func (s Source) begin(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unwritten(dir, err)
	}
	held, err := os.Open(dir)
	if err != nil {
		return nil, unwritten(dir, err)
	}
	unlock = func() { _ = held.Close() }
	if err = syscall.Flock(int(held.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		unlock()
		return nil, steward.Errorf(steward.Conflict, "another backup is being written into %s; wait for it, or choose another folder", dir).Because(err)
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		switch e.Name() {
		case dataDir, objectsDir, checkpointsFile, checkpointsFile + newEnd, manifestFile + newEnd:
		case manifestFile:
			err = steward.Errorf(steward.Conflict, "there is a backup in %s already; choose another folder", dir)
		default:
			err = steward.Errorf(steward.Conflict, "the folder %s holds something else, such as %s; choose an empty one", dir, e.Name())
		}
	}
	if err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// copy writes everything but the manifest. It is of kind NotFound where an object went while it was under way.
func (s Source) copy(ctx context.Context, b *Backup) error {
	into := filepath.Join(b.Dir, dataDir)
	if err := step(s.before, "database"); err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(into), os.Mkdir(into, 0o700)); err != nil {
		return unwritten(b.Dir, err)
	}
	tell(s.Progress, "copying the database", 0, 0)
	if err := s.Database.Copy(ctx, into); err != nil {
		return err
	}
	b.Files, b.Objects = nil, Kept{}
	var list []Object
	var total, done uint64
	var err error
	b.Ledgers, err = s.Database.Contents(ctx, into, func(o Object) error {
		if !o.Until.IsZero() && s.Bucket != "" {
			b.Objects.Referenced = append(b.Objects.Referenced, o)
			return nil
		}
		list, total = append(list, o), total+uint64(o.Size)
		return nil
	})
	if err != nil {
		return err
	}
	for i, l := range b.Ledgers {
		if lines := strings.SplitN(l.Checkpoint, "\n", 4); len(lines) == 4 {
			b.Ledgers[i].Root = lines[2] // C2SP tlog-checkpoint: origin, size, root
		}
	}
	entries, err := os.ReadDir(into)
	if err != nil {
		return unwritten(b.Dir, err)
	}
	for _, e := range entries {
		if err := step(s.before, "sync database"); err != nil {
			return err
		}
		f, err := settle(ctx, b.Dir, path.Join(dataDir, e.Name()))
		if err != nil {
			return unwritten(b.Dir, err)
		}
		b.Files = append(b.Files, f)
	}
	for _, o := range list {
		if err := s.object(ctx, b.Dir, o); err != nil {
			return err
		}
		b.Objects.Copied++
		b.Files = append(b.Files, File{Name: path.Join(objectsDir, o.Name), Size: o.Size, SHA256: hex.EncodeToString(o.SHA256), Until: o.Until})
		done += uint64(o.Size)
		tell(s.Progress, "copying sealed objects, bytes", done, total)
	}
	return s.checkpoints(b)
}

// object copies one object, unless an interrupted Make did.
func (s Source) object(ctx context.Context, dir string, o Object) error {
	name := path.Join(objectsDir, o.Name)
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return fmt.Errorf("object %q has no name for a file", o.Name)
	}
	to := filepath.Join(dir, filepath.FromSlash(name))
	if f, err := hashFile(ctx, dir, name); err == nil && f.is(o) {
		return nil
	}
	from, err := s.Blobs.Open(ctx, o.Name)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	if err := step(s.before, "object"); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return unwritten(dir, err)
	}
	f, err := copyFile(ctx, to, io.NewSectionReader(from, 0, from.Size()))
	if err != nil {
		return unwritten(dir, err)
	}
	if f.Name = name; !f.is(o) {
		return steward.Errorf(steward.Internal, "the sealed object %s isn't what was written; run `steward verify`, and keep the backups from before", o.Name)
	}
	return nil
}

// checkpoints writes the newest notes as tlog.Keep does, so that any later state can be held against them.
func (s Source) checkpoints(b *Backup) error {
	var lines []byte
	for _, l := range b.Ledgers {
		for _, note := range []string{l.Checkpoint, l.Cosigned} {
			if note == "" {
				continue
			}
			line, err := checkpointLine(l.Workspace, note)
			if err != nil {
				return err
			}
			lines = append(append(lines, line...), '\n')
		}
	}
	if err := step(s.before, "checkpoints"); err != nil {
		return err
	}
	if err := s.write(filepath.Join(b.Dir, checkpointsFile), lines); err != nil {
		return unwritten(b.Dir, err)
	}
	sum := sha256.Sum256(lines)
	b.Files = append(b.Files, File{Name: checkpointsFile, Size: int64(len(lines)), SHA256: hex.EncodeToString(sum[:])})
	return nil
}

// tidy removes what the manifest doesn't name, and makes all names durable.
func (s Source) tidy(b *Backup) error {
	named := map[string]bool{}
	for _, f := range b.Files {
		named[f.Name] = true
	}
	if err := step(s.before, "tidy"); err != nil {
		return err
	}
	var folders []string
	err := filepath.WalkDir(b.Dir, func(at string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			folders = append(folders, at)
			return nil
		}
		name, err := filepath.Rel(b.Dir, at)
		if err == nil && !named[filepath.ToSlash(name)] {
			err = os.Remove(at)
		}
		return err
	})
	slices.Reverse(folders)
	return errors.Join(err, syncFolders(folders...))
}

// write makes a small file, whole or not at all.
func (s Source) write(name string, content []byte) error {
	if _, err := copyFile(context.Background(), name, strings.NewReader(string(content))); err != nil {
		return err
	}
	return syncFolders(filepath.Dir(name))
}

// step asks what tests have in its place before something lasting is done.
func step(before func(name string) error, name string) error {
	if before == nil {
		return nil
	}
	return before(name)
}

func tell(progress func(what string, done, total uint64), what string, done, total uint64) {
	if progress != nil {
		progress(what, done, total)
	}
}

func unwritten(dir string, err error) error {
	if known := (*steward.Error)(nil); errors.As(err, &known) || errors.Is(err, context.Canceled) {
		return err
	}
	return steward.Errorf(steward.Unavailable, "the folder %s can't be written; check its owner, and the disk's space", dir).Because(err)
}
