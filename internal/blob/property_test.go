package blob_test

import (
	"bytes"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/blob"
)

// TestFolderAsAMap holds a folder against a map of contents and locks, over any sequence of operations.
func TestFolderAsAMap(t *testing.T) {
	t.Parallel()
	names := rapid.SampledFrom([]string{"a", "b/a", "b/a-a", "b/aa", "b/c/a", "b.c"})
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "map")
		must(t, err)
		defer os.RemoveAll(dir)
		now := time.Unix(1_800_000_000, 0).UTC()
		f := blob.Folder{Dir: dir, Now: func() time.Time { return now }}
		type object struct {
			content string
			until   time.Time
		}
		model := map[string]object{}
		until := func() time.Time { return now.Add(time.Duration(rapid.IntRange(-2, 4).Draw(t, "hours")) * time.Hour) }
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				name, content, until := names.Draw(t, "name"), rapid.StringN(0, 9, -1).Draw(t, "content"), until()
				err := f.Put(t.Context(), name, strings.NewReader(content), int64(len(content)), until)
				if _, there := model[name]; there {
					wantKind(t, err, steward.Conflict)
					return
				}
				must(t, err)
				model[name] = object{content, until}
			},
			"delete": func(t *rapid.T) {
				name := names.Draw(t, "name")
				err := f.Delete(t.Context(), name)
				if model[name].until.After(now) {
					wantKind(t, err, steward.Conflict)
					return
				}
				must(t, err)
				delete(model, name)
			},
			"lock": func(t *rapid.T) {
				name, until := names.Draw(t, "name"), until()
				err := f.Lock(t.Context(), name, until)
				o, there := model[name]
				if !there {
					wantKind(t, err, steward.NotFound)
					return
				}
				must(t, err)
				if until.After(o.until) {
					model[name] = object{o.content, until}
				}
			},
			"time": func(t *rapid.T) { now = now.Add(time.Hour) },
			"": func(t *rapid.T) {
				var listed []string
				prefix := rapid.SampledFrom([]string{"", "a", "b", "b/", "b/a", "b/c/"}).Draw(t, "prefix")
				must(t, f.List(t.Context(), prefix, func(name string, _ time.Time) error { listed = append(listed, name); return nil }))
				want := slices.DeleteFunc(slices.Sorted(maps.Keys(model)), func(name string) bool { return !strings.HasPrefix(name, prefix) })
				if !slices.Equal(listed, want) {
					t.Fatalf("%q lists %q, want %q", prefix, listed, want)
				}
				for name, o := range model {
					opened, err := f.Open(t.Context(), name)
					must(t, err)
					got, err := io.ReadAll(io.NewSectionReader(opened, 0, opened.Size()))
					must(t, err)
					must(t, opened.Close())
					if string(got) != o.content {
						t.Fatalf("%s is %q, want %q", name, got, o.content)
					}
				}
			},
		})
	})
}

// FuzzName: whatever is no name is refused, and whatever is one is a file of that name, in the folder.
func FuzzName(f *testing.F) {
	for _, name := range []string{"a", "a/b.parquet", "../a", "a/../../b", "/etc/passwd", "~new/0", "a~until", "a\x00", "..", "...", "a//b", "\xff", "a\\..\\b"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		dir := t.TempDir()
		folder := blob.Folder{Dir: filepath.Join(dir, "objects"), Now: time.Now}
		must(t, os.Mkdir(folder.Dir, 0o700))
		err := folder.Put(t.Context(), name, strings.NewReader("x"), 1, time.Time{})
		var listed []string
		must(t, folder.List(t.Context(), "", func(name string, _ time.Time) error { listed = append(listed, name); return nil }))
		entries, readErr := os.ReadDir(dir)
		must(t, readErr)
		if len(entries) != 1 {
			t.Fatalf("outside of the folder: %v", entries)
		}
		if err != nil {
			wantKind(t, err, steward.Invalid)
			if listed != nil {
				t.Fatalf("refused, and there: %q", listed)
			}
			return
		}
		if text, err := os.ReadFile(filepath.Join(folder.Dir, name)); err != nil || string(text) != "x" || !slices.Equal(listed, []string{name}) {
			t.Fatalf("%q %v %q", text, err, listed)
		}
	})
}

// FuzzLock: an object goes only if its lock says a time that has passed, in full.
func FuzzLock(f *testing.F) {
	for _, text := range []string{"2026-11-23T12:00:00Z\n", "2036-11-23T12:00:00Z\n", "2026-11-23T12:00:00.5+02:00", "2026-11-23", "", "\n", "0001-01-01T00:00:00Z"} {
		f.Add(text)
	}
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		folder := blob.Folder{Dir: t.TempDir(), Now: func() time.Time { return now }}
		must(t, folder.Put(t.Context(), "a", bytes.NewReader(nil), 0, now.Add(time.Hour)))
		must(t, os.WriteFile(filepath.Join(folder.Dir, "a~until"), []byte(text), 0o600))
		if folder.Delete(t.Context(), "a") != nil {
			return
		}
		if until, err := time.Parse(time.RFC3339, strings.TrimSuffix(text, "\n")); err != nil || until.After(now) {
			t.Fatalf("deleted under the lock %q", text)
		}
	})
}

// FuzzRange: what is taken for a Content-Range is one.
func FuzzRange(f *testing.F) {
	for _, text := range []string{"bytes 0-0/1", "bytes 256-511/1024", "bytes */1024", "bytes 5-4/9", "bytes 0-9/9", "bytes -1-2/9", "bytes 0-9/*", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		from, total, err := blob.ParseRange(text)
		if err != nil {
			return
		}
		if from < 0 || total <= from {
			t.Fatalf("%q is read as %d of %d", text, from, total)
		}
	})
}
