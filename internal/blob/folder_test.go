package blob_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/blob"
	"github.com/stewardhq/steward/internal/blob/blobtest"
)

// tester is what testing and rapid have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func must(t tester, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t tester, err error, kind steward.Kind) {
	t.Helper()
	if err == nil || steward.KindOf(err) != kind {
		t.Fatalf("got %v (%v), want one of kind %v", err, steward.KindOf(err), kind)
	}
}

// clock shows real time, and what was let pass of it besides.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time       { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) pass(d time.Duration) { c.ahead.Add(int64(d)) }

func TestFolder(t *testing.T) {
	t.Parallel()
	var c clock
	f := blob.Folder{Dir: filepath.Join(t.TempDir(), "deep", "objects"), Now: c.now}
	must(t, f.Check(t.Context()))
	blobtest.Hold(t, blobtest.Place{Store: f, Now: c.now, Pass: c.pass})

	// What is left over is the objects, in files and folders that nobody else can read.
	must(t, filepath.WalkDir(f.Dir, func(path string, d fs.DirEntry, err error) error {
		must(t, err)
		info, err := d.Info()
		must(t, err)
		if mode := info.Mode(); mode&0o077 != 0 {
			t.Errorf("%s has mode %v", path, mode)
		}
		if !d.IsDir() && filepath.Base(filepath.Dir(path)) == "~new" {
			t.Errorf("%s is left over", path)
		}
		return nil
	}))
}

func TestFolderThatIsNotThere(t *testing.T) {
	dir := t.TempDir()
	f := blob.Folder{Dir: filepath.Join(dir, "unmounted"), Now: time.Now}
	_, err := f.Open(t.Context(), "a")
	wantKind(t, err, steward.Unavailable) // not NotFound: nobody knows
	wantKind(t, f.Put(t.Context(), "a", strings.NewReader("x"), 1, time.Time{}), steward.Unavailable)
	wantKind(t, f.Delete(t.Context(), "a"), steward.Unavailable)
	wantKind(t, f.Lock(t.Context(), "a", time.Now().Add(time.Hour)), steward.Unavailable)
	wantKind(t, f.List(t.Context(), "", func(string, time.Time) error { return nil }), steward.Unavailable)
	must(t, f.Check(t.Context()))
	must(t, f.Check(t.Context()))
	_, err = f.Open(t.Context(), "a")
	wantKind(t, err, steward.NotFound)

	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	wantKind(t, blob.Folder{Dir: filepath.Join(dir, "file"), Now: time.Now}.Check(t.Context()), steward.Unavailable)
}

// TestFolderIsNotLeft: what somebody put into the folder leads nobody out of it.
func TestFolderIsNotLeft(t *testing.T) {
	outside, f := t.TempDir(), blob.Folder{Dir: t.TempDir(), Now: time.Now}
	secret := filepath.Join(outside, "secret")
	must(t, os.WriteFile(secret, []byte("secret"), 0o600))
	must(t, os.Symlink(outside, filepath.Join(f.Dir, "way")))
	must(t, os.Symlink(secret, filepath.Join(f.Dir, "file")))
	for _, name := range []string{"way/secret", "file"} {
		if _, err := f.Open(t.Context(), name); err == nil {
			t.Errorf("%s opens", name)
		}
		if err := f.Put(t.Context(), name, strings.NewReader("x"), 1, time.Time{}); err == nil {
			t.Errorf("%s is put", name)
		}
		_ = f.Delete(t.Context(), name)
		if err := f.Lock(t.Context(), name, time.Now().Add(time.Hour)); err == nil {
			t.Errorf("%s is locked", name)
		}
	}
	if err := f.Put(t.Context(), "way/new", strings.NewReader("x"), 1, time.Time{}); err == nil {
		t.Error("something is put outside")
	}
	must(t, f.List(t.Context(), "", func(name string, _ time.Time) error { t.Errorf("%s is listed", name); return nil }))
	entries, err := os.ReadDir(outside)
	must(t, err)
	text, err := os.ReadFile(secret)
	if err != nil || string(text) != "secret" || len(entries) != 1 {
		t.Errorf("outside: %v %q %v", entries, text, err)
	}
}

func TestNamesInEachOther(t *testing.T) {
	f := blob.Folder{Dir: t.TempDir(), Now: time.Now}
	put := func(name string) error {
		return f.Put(t.Context(), name, strings.NewReader(name), int64(len(name)), time.Time{})
	}
	must(t, put("a/b"))
	wantKind(t, put("a"), steward.Conflict)
	wantKind(t, put("a/b/c"), steward.Conflict)
	must(t, f.Delete(t.Context(), "a"))
	must(t, f.Delete(t.Context(), "a/b/c"))
	if _, err := f.Open(t.Context(), "a/b"); err != nil {
		t.Error(err)
	}
}

// TestLockThatCannotBeRead counts as a lock.
func TestLockThatCannotBeRead(t *testing.T) {
	for _, text := range []string{"", "soon", "2026-11-23", "2026-11-23T10:00:00Z\n2026", "0"} {
		f := blob.Folder{Dir: t.TempDir(), Now: time.Now}
		must(t, f.Put(t.Context(), "a", strings.NewReader("x"), 1, time.Now().Add(time.Hour)))
		must(t, os.WriteFile(filepath.Join(f.Dir, "a~until"), []byte(text), 0o600))
		wantKind(t, f.Delete(t.Context(), "a"), steward.Internal)
		wantKind(t, f.Lock(t.Context(), "a", time.Now().Add(2*time.Hour)), steward.Internal)
		if _, err := f.Open(t.Context(), "a"); err != nil {
			t.Error(err)
		}
	}
}

// TestLockOfNothing: what a Put that failed meant to lock isn't locked for whoever puts that name next.
func TestLockOfNothing(t *testing.T) {
	f := blob.Folder{Dir: t.TempDir(), Now: time.Now}
	for _, until := range []time.Time{{}, time.Now().Add(time.Second)} {
		failed := errors.New("input/output error")
		err := f.Failing(func(step string) error {
			if step == "link" {
				return failed
			}
			return nil
		}).Put(t.Context(), "a", strings.NewReader("x"), 1, time.Now().Add(time.Hour))
		if !errors.Is(err, failed) {
			t.Fatal(err)
		}
		must(t, f.Delete(t.Context(), "a")) // there is nothing, whatever its lock says
		must(t, f.Put(t.Context(), "a", strings.NewReader("x"), 1, until))
		f.Now = func() time.Time { return time.Now().Add(2 * time.Second) }
		must(t, f.Delete(t.Context(), "a"))
	}
}

// TestLockOutlivesItsProcess: another Folder over the same files knows it.
func TestLockOutlivesItsProcess(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 11, 23, 12, 0, 0, 999, time.UTC)
	at := func(d time.Duration) blob.Folder {
		return blob.Folder{Dir: dir, Now: func() time.Time { return now.Add(d) }}
	}
	must(t, at(0).Put(t.Context(), "a", strings.NewReader("x"), 1, now.Add(time.Hour)))
	wantKind(t, at(time.Hour-1).Delete(t.Context(), "a"), steward.Conflict)
	must(t, at(time.Hour).Delete(t.Context(), "a"))
	entries, err := filepath.Glob(filepath.Join(dir, "a*"))
	if err != nil || entries != nil {
		t.Errorf("left over: %v %v", entries, err)
	}
}

// TestLockAndDeletionAtOnce: one of them comes first, and the other knows.
func TestLockAndDeletionAtOnce(t *testing.T) {
	t.Parallel()
	f := blob.Folder{Dir: t.TempDir(), Now: time.Now}
	for range 100 {
		must(t, f.Put(t.Context(), "a", strings.NewReader("x"), 1, time.Time{}))
		var locking, deleting error
		var both sync.WaitGroup
		both.Go(func() { locking = f.Lock(t.Context(), "a", time.Now().Add(time.Hour)) })
		both.Go(func() { deleting = f.Delete(t.Context(), "a") })
		both.Wait()
		if locking == nil {
			wantKind(t, deleting, steward.Conflict)
			must(t, os.Remove(filepath.Join(f.Dir, "a~until")))
			must(t, f.Delete(t.Context(), "a"))
			continue
		}
		wantKind(t, locking, steward.NotFound)
		must(t, deleting)
	}
}

// TestFolderFull says what to do, and goes on once there is room.
func TestFolderFull(t *testing.T) {
	f := blob.Folder{Dir: t.TempDir(), Now: time.Now}
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO} {
		for _, at := range []string{"make folder", "create", "write", "sync", "write lock", "rename lock", "link", "sync folder"} {
			err := f.Failing(func(step string) error {
				if step == at {
					return &fs.PathError{Op: "write", Path: "x", Err: full}
				}
				return nil
			}).Put(t.Context(), "a/"+strings.ReplaceAll(at, " ", "-"), strings.NewReader("x"), 1, time.Now().Add(time.Hour))
			wantKind(t, err, steward.Unavailable)
			if !errors.Is(err, full) || strings.Contains(steward.Message(err), "full") != !errors.Is(full, syscall.EIO) {
				t.Errorf("%s: %v", at, err)
			}
		}
	}
	must(t, f.Put(t.Context(), "a/b", bytes.NewReader(make([]byte, 1<<20)), 1<<20, time.Time{}))
	left, err := os.ReadDir(filepath.Join(f.Dir, "~new"))
	if err != nil || len(left) > 0 {
		t.Errorf("left over: %v %v", left, err)
	}
}
