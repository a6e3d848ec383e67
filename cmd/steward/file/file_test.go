package file_test

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/file"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// holds tells whether a folder holds these files and no other.
func holds(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	must(t, err)
	if len(list) != len(want) {
		t.Errorf("the folder holds %v, want %v", list, want)
	}
	for name, text := range want {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != text {
			t.Errorf("%s holds %q, %v, want %q", name, got, err, text)
		}
	}
}

func TestAFileIsWholeOrNotThere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	kept, err := file.Create(path)
	must(t, err)
	_, err = kept.Write([]byte("first "))
	must(t, err)
	if _, err := os.Lstat(path); err == nil {
		t.Error("it is there before it is whole")
	}
	must(t, kept.Keep([]byte("last")))
	kept.Discard() // as those do who defer it
	holds(t, dir, map[string]string{"a": "first last"})
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}

	dropped, err := file.Create(filepath.Join(dir, "b"))
	must(t, err)
	_, err = dropped.Write([]byte("half"))
	must(t, err)
	dropped.Discard()
	holds(t, dir, map[string]string{"a": "first last"})
}

// Of several who write under one name at once, one does.
func TestOneIsFirst(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "a")
		var kept atomic.Int32
		var all sync.WaitGroup
		files := make([]*file.New, 8)
		for i := range files {
			var err error
			files[i], err = file.Create(path)
			must(t, err)
		}
		for _, f := range files {
			all.Go(func() {
				defer f.Discard()
				if err := f.Keep([]byte("whole")); err == nil {
					kept.Add(1)
				} else if steward.KindOf(err) != steward.Conflict {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if kept.Load() != 1 {
			t.Errorf("%d of eight were first", kept.Load())
		}
		holds(t, filepath.Dir(path), map[string]string{"a": "whole"})
	}
}

func TestNothingIsOverwritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	late, err := file.Create(path)
	must(t, err)
	must(t, os.WriteFile(path, []byte("theirs"), 0o600))
	if err := late.Keep([]byte("ours")); steward.KindOf(err) != steward.Conflict {
		t.Errorf("somebody was first: %v", err)
	}
	late.Discard()
	if _, err := file.Create(path); steward.KindOf(err) != steward.Conflict {
		t.Errorf("a file is there: %v", err)
	}
	holds(t, dir, map[string]string{"a": "theirs"})
	// A link that leads nowhere is a name that is taken too.
	must(t, os.Symlink(filepath.Join(dir, "elsewhere"), filepath.Join(dir, "link")))
	if _, err := file.Create(filepath.Join(dir, "link")); steward.KindOf(err) != steward.Conflict {
		t.Errorf("a link is there: %v", err)
	}
	for _, path := range []string{filepath.Join(dir, "none", "a"), filepath.Join(path, "below")} {
		if _, err := file.Create(path); steward.KindOf(err) != steward.Unavailable {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := file.Create(dir); steward.KindOf(err) != steward.Conflict {
		t.Errorf("a folder is there: %v", err)
	}
}
