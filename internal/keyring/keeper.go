package keyring

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/stewardhq/steward"
)

// Root is a root key. Generations count the root keys that one keyring had, from 1.
type Root struct {
	Generation uint64
	Key        [32]byte
}

// LogValue keeps the key out of the log.
func (r Root) LogValue() slog.Value { return slog.StringValue(fmt.Sprintf("[root %d]", r.Generation)) }

// Keeper holds the root key, outside every database: one, and while it is being replaced the next ones too.
type Keeper interface {
	// Roots gives every root key that is kept, in any order; there is at least one. Its error says
	// what the operator has to do.
	Roots(ctx context.Context) ([]Root, error)
	// Add keeps one more, which survives a power loss once Add has returned nil.
	Add(ctx context.Context, next Root) error
	// Settle destroys what the root now in force has replaced: all others of its generation or an
	// older one. Newer ones stay, since another process may be about to use them. It can be repeated.
	Settle(ctx context.Context, inForce Root) error
	// Horizon is how long after Settle others might still bring back what it destroyed, such as from
	// backups of a key server: 0 if nobody can.
	Horizon() time.Duration
}

// KeyFile is the name of the root key's file: 64 hexadecimal digits, a space, the generation as a
// decimal number, a newline. Roots on their way in or out lie beside it, with a dot and more behind the name.
const KeyFile = "root.key"

// FileKeeper keeps the root key in a file. Dir is a folder of its own, so that it can lie on another
// disk than the data and be left out of its backups.
type FileKeeper struct {
	Dir string

	// Wrap, where it is set, encrypts what the files hold: the root's name, a space, what Wrap made of
	// the text that would stand there without it, a newline. Roots that were kept before it was set are
	// read as they are, and are gone with the next one.
	Wrap Wrapping
}

// Wrapping encrypts each root key under a key of its own, which is kept elsewhere and has the root's
// name: up to 36 digits, letters and dashes. So, destroying that key ends every copy of the root's file.
type Wrapping interface {
	// Wrap makes the key of a root and encrypts text under it, into printable characters other than
	// space. It is durable once Wrap has returned nil. No name is wrapped under twice.
	Wrap(ctx context.Context, name, text string) (string, error)
	// Unwrap decrypts. Its error is ErrUnwrappable if there is no key of that name, and else says what
	// the operator has to do.
	Unwrap(ctx context.Context, name, wrapped string) (string, error)
	// Destroy destroys a key for ever. It can be repeated: what isn't there is destroyed.
	Destroy(ctx context.Context, name string) error
	// Horizon is Keeper's.
	Horizon() time.Duration
}

// ErrUnwrappable says that a root's key was destroyed, so that nothing decrypts its file any more.
var ErrUnwrappable = errors.New("keyring: there is no key that decrypts the root key")

// Horizon is Keeper's.
func (k FileKeeper) Horizon() time.Duration {
	if k.Wrap == nil {
		return 0
	}
	return k.Wrap.Horizon()
}

func (k FileKeeper) path() string { return filepath.Join(k.Dir, KeyFile) }

// name names a root. The digest tells apart those that two processes add at once.
func (r Root) name() string {
	sum := sha256.Sum256(r.Key[:])
	return fmt.Sprintf("%d-%x", r.Generation, sum[:8])
}

// aside is where a root lies that isn't the one under KeyFile.
func (k FileKeeper) aside(r Root) string { return k.path() + "." + r.name() }

// unfinished ends the name of a file until all of a root is in it.
const unfinished = ".tmp"

// besideName gives the root's name in the name of a file that aside made, finished or not, and its
// generation. Other files are somebody else's and are let be.
func besideName(file string) (name string, generation uint64, ok bool) {
	name, ok = strings.CutPrefix(strings.TrimSuffix(file, unfinished), KeyFile+".")
	number, digest, _ := strings.Cut(name, "-")
	generation, err := strconv.ParseUint(number, 10, 63)
	return name, generation, ok && err == nil && len(digest) == 16
}

// Roots is Keeper's. It refuses a folder or file that others may read.
func (k FileKeeper) Roots(ctx context.Context) ([]Root, error) {
	if err := k.private(k.Dir, "700"); err != nil {
		return nil, err
	}
	unlock, err := k.lock(syscall.LOCK_SH)
	if err != nil {
		return nil, err
	}
	defer unlock()
	files, err := k.read(ctx)
	if err != nil {
		return nil, err
	}
	var roots []Root
	for _, r := range files {
		roots = append(roots, r)
	}
	return roots, nil
}

// lock keeps other processes from the folder while it is read or changed; without it, one could settle
// what another is just adding.
func (k FileKeeper) lock(how int) (unlock func(), err error) {
	dir, err := os.Open(k.Dir)
	if err != nil {
		return nil, k.unreadable(err)
	}
	if err := syscall.Flock(int(dir.Fd()), how); err != nil {
		_ = dir.Close()
		return nil, k.unreadable(err)
	}
	return func() { _ = dir.Close() }, nil // which lets go of the lock
}

// read gives the root keys by the files that hold them.
func (k FileKeeper) read(ctx context.Context) (map[string]Root, error) {
	paths, err := k.besides()
	if err != nil {
		return nil, err
	}
	roots := map[string]Root{}
	missing := fs.ErrNotExist
	for _, path := range append(paths, k.path()) {
		if strings.HasSuffix(path, unfinished) {
			continue
		}
		r, err := k.readRoot(ctx, path)
		switch {
		case err == nil:
			roots[path] = r
		case errors.Is(err, fs.ErrNotExist):
			missing = err // nothing was created, or a crash came between Settle's two renames
		case path == k.path() || !errors.Is(err, errNoKey):
			return nil, err
		} // else it or its key was destroyed, and a crash kept Settle from removing it
	}
	if len(roots) == 0 {
		return nil, k.unreadable(missing)
	}
	return roots, nil
}

// besides are the files that Add and Settle made beside KeyFile.
func (k FileKeeper) besides() (paths []string, err error) {
	entries, err := os.ReadDir(k.Dir)
	if err != nil {
		return nil, k.unreadable(err)
	}
	for _, e := range entries {
		if _, _, ours := besideName(e.Name()); ours {
			paths = append(paths, filepath.Join(k.Dir, e.Name()))
		}
	}
	return paths, nil
}

var errNoKey = errors.New("keyring: the file holds no root key")

func (k FileKeeper) readRoot(ctx context.Context, path string) (Root, error) {
	if err := k.private(path, "600"); err != nil {
		return Root{}, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Root{}, k.unreadable(err)
	}
	r, ok := parseRoot(text)
	if name, wrapped, _ := strings.Cut(strings.TrimSpace(string(text)), " "); !ok && wrapped != "" {
		if _, _, ours := besideName(KeyFile + "." + name); ours {
			return k.unwrap(ctx, path, name, wrapped)
		}
	}
	if !ok {
		return Root{}, steward.Errorf(steward.Unavailable, "%s should hold a root key (64 hexadecimal digits and a number) and doesn't; put it back from where you keep its copy (or, if `steward init` was interrupted, remove it and run that again)", path).Because(errNoKey)
	}
	return r, nil
}

func (k FileKeeper) unwrap(ctx context.Context, path, name, wrapped string) (Root, error) {
	if k.Wrap == nil {
		return Root{}, steward.Errorf(steward.Unavailable, "%s is encrypted under a key server's key; name that server in the settings", path)
	}
	text, err := k.Wrap.Unwrap(ctx, name, wrapped)
	if errors.Is(err, ErrUnwrappable) {
		return Root{}, steward.Errorf(steward.Unavailable, "the key server has no key for %s any more; if this file is an old copy, put the newest in its place", path).Because(errors.Join(errNoKey, err))
	}
	if err != nil {
		return Root{}, err
	}
	r, ok := parseRoot([]byte(text))
	if !ok || r.name() != name {
		return Root{}, steward.Errorf(steward.Unavailable, "%s should hold root key %s and holds something else; put it back from where you keep its copy", path, name)
	}
	return r, nil
}

// content is what stands in a root's file.
func (k FileKeeper) content(ctx context.Context, r Root) (string, error) {
	if k.Wrap == nil {
		return r.text(), nil
	}
	wrapped, err := k.Wrap.Wrap(ctx, r.name(), r.text())
	return r.name() + " " + wrapped + "\n", err
}

func (r Root) text() string { return fmt.Sprintf("%x %d\n", r.Key, r.Generation) }

func parseRoot(text []byte) (r Root, ok bool) {
	digits, number, _ := strings.Cut(string(bytes.TrimSpace(text)), " ")
	key, err := hex.DecodeString(digits)
	if err != nil || len(key) != len(r.Key) {
		return Root{}, false
	}
	generation, err := strconv.ParseUint(number, 10, 63)
	if err != nil || generation == 0 {
		return Root{}, false
	}
	return Root{generation, [32]byte(key)}, true
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

// Create makes the folder, the first key and its file, once: where there is a key it answers Conflict
// and changes nothing, because everything sealed under the old one would be lost. When it returns nil,
// the file survives a power loss.
func (k FileKeeper) Create(random io.Reader) error {
	first := Root{Generation: 1}
	if _, err := io.ReadFull(random, first.Key[:]); err != nil {
		return fmt.Errorf("keyring: randomness: %w", err)
	}
	if err := os.MkdirAll(k.Dir, 0o700); err != nil {
		return k.unwritten(err)
	}
	if err := k.private(k.Dir, "700"); err != nil {
		return err
	}
	if there, err := k.there(); err != nil {
		return err
	} else if there != "" {
		return steward.Errorf(steward.Conflict, "there is a root key at %s already, and it stays", there)
	}
	content, err := k.content(context.Background(), first) // which nobody is in a hurry for, once in a keyring's life
	if err != nil {
		return err
	}
	err = writeNew(k.path(), content)
	if errors.Is(err, fs.ErrExist) {
		return steward.Errorf(steward.Conflict, "there is a root key at %s already, and it stays", k.path()).Because(err)
	}
	// A crash before here leaves a short file, which Roots explains.
	if err == nil {
		err = errors.Join(syncDir(k.Dir), syncDir(filepath.Dir(filepath.Clean(k.Dir))))
	}
	if err != nil {
		return k.unwritten(err)
	}
	return nil
}

// Created tells whether there is a root key: whether it can be read, only Roots tells.
func (k FileKeeper) Created() bool {
	there, err := k.there()
	return err == nil && there != ""
}

// there is a file that holds a root key, or was to; "" for none.
func (k FileKeeper) there() (string, error) {
	if _, err := os.Lstat(k.path()); err == nil {
		return k.path(), nil
	}
	besides, err := k.besides()
	if err != nil || len(besides) == 0 {
		return "", err
	}
	return besides[0], nil
}

// Add is Keeper's.
func (k FileKeeper) Add(ctx context.Context, next Root) error {
	unlock, err := k.lock(syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	content, err := k.content(ctx, next)
	if err != nil {
		return err
	}
	// A crash before here leaves a key that wraps nothing, if there is a Wrapping.
	if err := writeNew(k.aside(next)+unfinished, content); err != nil {
		return k.unwritten(err)
	}
	// A crash before here leaves a file that nobody reads, and that Settle removes.
	err = os.Rename(k.aside(next)+unfinished, k.aside(next))
	if err == nil {
		err = syncDir(k.Dir)
	}
	if err != nil {
		return k.unwritten(err)
	}
	return nil
}

// Settle is Keeper's.
func (k FileKeeper) Settle(ctx context.Context, inForce Root) error {
	unlock, err := k.lock(syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	files, err := k.read(ctx)
	if err != nil {
		return err
	}
	usual, found := files[k.path()]
	if !found || usual.Generation <= inForce.Generation && usual != inForce {
		if files[k.aside(inForce)] != inForce {
			return steward.Errorf(steward.Unavailable, "the root key now in force is not in %s any more; put it back from where you keep its copy", k.Dir)
		}
		if found {
			err = os.Rename(k.path(), k.aside(usual))
		}
		// A crash here leaves no file under the usual name, but both beside it: Roots reads those.
		if err == nil {
			err = os.Rename(k.aside(inForce), k.path())
		}
		// The names must last before the old key goes, or a power loss could give its file the usual name back.
		if err == nil {
			err = syncDir(k.Dir)
		}
		if err != nil {
			return k.unwritten(err)
		}
	}
	paths, err := k.besides()
	if err != nil {
		return err
	}
	for _, path := range paths {
		name, generation, _ := besideName(filepath.Base(path))
		if generation > inForce.Generation || path == k.aside(inForce) {
			continue
		}
		if k.Wrap != nil && name != inForce.name() {
			if err := k.Wrap.Destroy(ctx, name); err != nil {
				return err
			}
		}
		// A crash here leaves the old key, until Settle is run again, or a file that holds none: of zeros,
		// or one that nothing decrypts.
		if err := destroy(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return k.unwritten(err)
		}
	}
	return nil
}

func (k FileKeeper) unwritten(err error) error {
	return steward.Errorf(steward.Unavailable, "the root key can't be written to %s; check the folder's owner and the disk", k.path()).Because(err)
}

// writeNew makes a file that wasn't there, durable but for its name.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// destroy writes zeros over a file before it removes it.
func destroy(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		_, err = f.Write(make([]byte, info.Size()))
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Remove(path)
}

// syncDir makes a folder's new names survive a power loss.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
