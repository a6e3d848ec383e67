package keyring_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/store"
)

func TestKeyFile(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "keys [1]")
	k := keyring.FileKeeper{Dir: dir}
	path := filepath.Join(dir, keyring.KeyFile)
	_, err := k.Roots(ctx)
	wantKind(t, "no key", err, steward.NotFound)

	must(t, k.Create(rand.Reader))
	roots, err := k.Roots(ctx)
	if err != nil || len(roots) != 1 || roots[0].Generation != 1 || roots[0].Key == [32]byte{} {
		t.Fatalf("roots %d, %v", len(roots), err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, path: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v", path, info.Mode(), err)
		}
	}
	onlyKeyFile(t, dir)
	wantKind(t, "a second creation", k.Create(rand.Reader), steward.Conflict)
	if again, err := k.Roots(ctx); err != nil || !slices.Equal(again, roots) {
		t.Errorf("the root changed, or %v", err)
	}

	for _, c := range []struct {
		path, hint  string
		loose, good os.FileMode
	}{{path, "chmod 600 " + path, 0o644, 0o600}, {path, "chmod 600 " + path, 0o604, 0o600}, {dir, "chmod 700 " + dir, 0o750, 0o700}, {dir, "chmod 700 " + dir, 0o701, 0o700}} {
		must(t, os.Chmod(c.path, c.loose))
		_, err := k.Roots(ctx)
		wantKind(t, c.path, err, steward.Unavailable)
		if !strings.Contains(steward.Message(err), c.hint) {
			t.Errorf("%q doesn't say %q", steward.Message(err), c.hint)
		}
		must(t, os.Chmod(c.path, c.good))
	}

	text, err := os.ReadFile(path)
	must(t, err)
	for _, broken := range []string{"", "abc", string(text[:63]), string(text[:62]) + "zz 1\n", string(text[:64]), string(text[:65]) + "0\n", string(text[:65]) + "-1", "00" + string(text)} {
		must(t, os.WriteFile(path, []byte(broken), 0o600))
		_, err := k.Roots(ctx)
		wantKind(t, fmt.Sprintf("%q", broken), err, steward.Unavailable)
		if err != nil && strings.Contains(err.Error(), string(text[:20])) {
			t.Error("the error shows the key")
		}
	}
}

func onlyKeyFile(t testing.TB, dir string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	must(t, err)
	if len(files) != 1 || files[0].Name() != keyring.KeyFile {
		t.Errorf("beside the key lies something: %v", files)
	}
}

// keyServer is a Wrapping in memory: what was wrapped under the keys that still exist, by their names.
type keyServer map[string]string

func (s keyServer) Wrap(_ context.Context, name, text string) (string, error) {
	if s[name] != "" {
		return "", fmt.Errorf("%s is wrapped under twice", name)
	}
	s[name] = text
	return fmt.Sprintf("wrapped:%x", sha256.Sum256([]byte(name))), nil
}

func (s keyServer) Unwrap(_ context.Context, name, _ string) (string, error) {
	if s[name] == "" {
		return "", keyring.ErrUnwrappable
	}
	return s[name], nil
}

func (s keyServer) Destroy(_ context.Context, name string) error { delete(s, name); return nil }

func (s keyServer) Horizon() time.Duration { return time.Hour }

func TestFileKeeperReplacesRoots(t *testing.T) {
	t.Run("in clear", func(t *testing.T) { replacesRoots(t, nil) })
	t.Run("wrapped", func(t *testing.T) {
		s := keyServer{}
		replacesRoots(t, s)
		if len(s) != 1 {
			t.Errorf("the key server has %d keys left for one root", len(s))
		}
	})
}

func replacesRoots(t *testing.T, wrap keyring.Wrapping) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "keys")
	k := keyring.FileKeeper{Dir: dir, Wrap: wrap}
	must(t, k.Create(rand.Reader))
	roots, err := k.Roots(ctx)
	must(t, err)
	first := roots[0]
	second, rival, third := keyring.Root{Generation: 2, Key: [32]byte{2}}, keyring.Root{Generation: 2, Key: [32]byte{22}}, keyring.Root{Generation: 3, Key: [32]byte{3}}
	want := func(when string, want ...keyring.Root) {
		t.Helper()
		got, err := k.Roots(ctx)
		slices.SortFunc(got, func(a, b keyring.Root) int { return int(a.Key[0]) - int(b.Key[0]) })
		slices.SortFunc(want, func(a, b keyring.Root) int { return int(a.Key[0]) - int(b.Key[0]) })
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s there are %d roots, want %d, or others; %v", when, len(got), len(want), err)
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "root.key.bak"), []byte("the operator's own"), 0o600))
	for _, r := range []keyring.Root{second, rival, third} {
		must(t, k.Add(ctx, r))
	}
	want("after adding", first, second, rival, third)
	must(t, k.Settle(ctx, first))
	want("after settling for the first", first, second, rival, third)
	wantKind(t, "settling for a root that isn't there", k.Settle(ctx, keyring.Root{Generation: 2, Key: [32]byte{9}}), steward.Unavailable)
	want("after that", first, second, rival, third)

	old, err := os.Open(filepath.Join(dir, keyring.KeyFile))
	must(t, err)
	defer func() { _ = old.Close() }()
	must(t, k.Settle(ctx, second))
	want("after settling for the second", second, third)
	bytes := make([]byte, 100)
	n, _ := old.ReadAt(bytes, 0)
	if n < 64 || strings.Trim(string(bytes[:n]), "\x00") != "" {
		t.Errorf("the old key's file was removed but not overwritten: %q", bytes[:n])
	}
	must(t, k.Settle(ctx, second))
	want("after settling again", second, third)
	must(t, k.Settle(ctx, third))
	must(t, k.Settle(ctx, second)) // by a process that is late
	want("after settling for the third", third)

	// What a crash can leave: an unfinished file, one that was overwritten but not removed, and no file
	// under the usual name.
	must(t, k.Add(ctx, keyring.Root{Generation: 4, Key: [32]byte{4}}))
	aside, err := filepath.Glob(filepath.Join(dir, "root.key.4-*"))
	if err != nil || len(aside) != 1 {
		t.Fatal(aside, err)
	}
	must(t, os.WriteFile(filepath.Join(dir, "root.key.3-0123456789abcdef.tmp"), []byte("ab"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "root.key.3-0123456789abcdef"), make([]byte, 67), 0o600))
	want("with leftovers", third, keyring.Root{Generation: 4, Key: [32]byte{4}})
	digest := sha256.Sum256(third.Key[:])
	must(t, os.Rename(filepath.Join(dir, keyring.KeyFile), filepath.Join(dir, fmt.Sprintf("root.key.3-%x", digest[:8]))))
	want("between the renames", third, keyring.Root{Generation: 4, Key: [32]byte{4}})
	wantKind(t, "creating between the renames", k.Create(rand.Reader), steward.Conflict)
	must(t, k.Settle(ctx, keyring.Root{Generation: 4, Key: [32]byte{4}}))
	want("after all", keyring.Root{Generation: 4, Key: [32]byte{4}})
	must(t, os.Remove(filepath.Join(dir, "root.key.bak")))
	onlyKeyFile(t, dir)
}

// fails is a Wrapping whose server can't be reached.
type fails struct{ keyServer }

var errServer = steward.Errorf(steward.Unavailable, "the server is sealed")

func (fails) Wrap(context.Context, string, string) (string, error)   { return "", errServer }
func (fails) Unwrap(context.Context, string, string) (string, error) { return "", errServer }
func (fails) Destroy(context.Context, string) error                  { return errServer }

func TestWrappedRoots(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "keys")
	clear := keyring.FileKeeper{Dir: dir}
	must(t, clear.Create(rand.Reader))
	first := roots(t, clear)[0]
	if clear.Horizon() != 0 {
		t.Error("others could bring back what lies in a file only")
	}

	// Roots in clear are taken over, and the key server's come with the next one.
	s := keyServer{}
	k := keyring.FileKeeper{Dir: dir, Wrap: s}
	if got := roots(t, k); !slices.Equal(got, []keyring.Root{first}) {
		t.Fatalf("%d roots, or another", len(got))
	}
	second := keyring.Root{Generation: 2, Key: [32]byte{2}}
	must(t, k.Add(ctx, second))
	must(t, k.Settle(ctx, second))
	onlyKeyFile(t, dir)
	text, err := os.ReadFile(filepath.Join(dir, keyring.KeyFile))
	must(t, err)
	if strings.Contains(string(text), fmt.Sprintf("%x", second.Key[:8])) || len(s) != 1 || k.Horizon() != time.Hour {
		t.Errorf("%q, %d keys, %v", text, len(s), k.Horizon())
	}
	_, err = clear.Roots(ctx)
	wantKind(t, "without the key server", err, steward.Unavailable)

	// While the server says no, nothing changes.
	down := keyring.FileKeeper{Dir: dir, Wrap: fails{s}}
	third := keyring.Root{Generation: 3, Key: [32]byte{3}}
	elsewhere := keyring.FileKeeper{Dir: filepath.Join(t.TempDir(), "keys"), Wrap: fails{s}}
	for what, do := range map[string]func() error{
		"Roots":  func() error { _, err := down.Roots(ctx); return err },
		"Add":    func() error { return down.Add(ctx, third) },
		"Settle": func() error { return down.Settle(ctx, second) },
		"Create": func() error { return elsewhere.Create(rand.Reader) },
	} {
		if err := do(); !errors.Is(err, errServer) {
			t.Errorf("%s: %v", what, err)
		}
	}
	onlyKeyFile(t, dir)

	// An old copy of the folder, or a file under another root's name, is no root.
	old := copyOfKeys(t, k)
	must(t, k.Add(ctx, third))
	aside, err := filepath.Glob(filepath.Join(dir, "root.key.3-*"))
	must(t, err)
	must(t, k.Settle(ctx, third))
	must(t, os.WriteFile(aside[0]+".tmp", nil, 0o600)) // of a root that is in force, which is then to stay
	must(t, k.Settle(ctx, third))
	if got := roots(t, k); !slices.Equal(got, []keyring.Root{third}) {
		t.Fatalf("%d roots, or another", len(got))
	}
	onlyKeyFile(t, dir)
	old.Wrap = s
	_, err = old.Roots(ctx)
	wantKind(t, "an old copy", err, steward.Unavailable)
	if !strings.Contains(steward.Message(err), "put the newest in its place") {
		t.Error(err)
	}
	// A crash between the destruction of a key and of the file.
	must(t, k.Add(ctx, keyring.Root{Generation: 4, Key: [32]byte{4}}))
	last, err := filepath.Glob(filepath.Join(dir, "root.key.4-*"))
	must(t, err)
	delete(s, filepath.Base(last[0])[len("root.key."):])
	if got := roots(t, k); !slices.Equal(got, []keyring.Root{third}) {
		t.Fatalf("%d roots, or another", len(got))
	}

	text, err = os.ReadFile(filepath.Join(dir, keyring.KeyFile))
	must(t, err)
	digest := sha256.Sum256(make([]byte, 32))
	forged := strings.Replace(string(text), filepath.Base(aside[0])[len("root.key."):], fmt.Sprintf("3-%x", digest[:8]), 1)
	s[fmt.Sprintf("3-%x", digest[:8])] = s[filepath.Base(aside[0])[len("root.key."):]]
	must(t, os.WriteFile(filepath.Join(dir, keyring.KeyFile), []byte(forged), 0o600))
	_, err = k.Roots(ctx)
	wantKind(t, "a root under another's name", err, steward.Unavailable)
	if strings.Contains(err.Error(), fmt.Sprintf("%x", third.Key[:8])) {
		t.Error("the error shows the key")
	}
}

// FuzzKeyFile puts anything where the root key should be: what comes out is the root that it holds, or
// says why there is none, without showing what is there.
func FuzzKeyFile(f *testing.F) {
	first := keyring.Root{Generation: 1, Key: [32]byte{1}}
	s := keyServer{}
	k := keyring.FileKeeper{Dir: filepath.Join(f.TempDir(), "keys"), Wrap: s}
	must(f, k.Create(bytes.NewReader(first.Key[:])))
	path := filepath.Join(k.Dir, keyring.KeyFile)
	text, err := os.ReadFile(path)
	must(f, err)
	for _, seed := range []string{string(text), fmt.Sprintf("%x 1\n", first.Key), "1-0123456789abcdef x", "0-0123456789abcdef ", " ", "", "1-01 x", string(text[:20])} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		must(t, os.WriteFile(path, text, 0o600))
		roots, err := k.Roots(context.Background())
		if err == nil {
			if len(roots) != 1 || roots[0].Generation == 0 {
				t.Fatalf("%q gives %v", text, roots)
			}
			if roots[0] != first && !strings.Contains(strings.ToLower(string(text)), fmt.Sprintf("%x %d", roots[0].Key, roots[0].Generation)[:64]) {
				t.Fatalf("%q gives a root that it doesn't hold", text)
			}
			return
		}
		if kind := steward.KindOf(err); kind != steward.Unavailable {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

// A root key that couldn't be made isn't there: making it again is the first time.
func TestAKeeperThatFailedToCreateIsNotThere(t *testing.T) {
	k := keyring.FileKeeper{Dir: filepath.Join(t.TempDir(), "keys"), Wrap: fails{keyServer{}}}
	if err := k.Create(rand.Reader); err == nil || k.Created() {
		t.Errorf("without its key server it was made: %v", err)
	}
	k.Wrap = keyServer{}
	must(t, k.Create(rand.Reader))
	if !k.Created() {
		t.Error("it isn't there once it was made")
	}
}

// counting counts how often the root keys are asked for.
type counting struct {
	keyring.Keeper
	asked int
}

func (c *counting) Roots(context.Context) ([]keyring.Root, error) {
	c.asked++
	return nil, steward.Errorf(steward.Unavailable, "the key server can't be reached")
}

// Somebody waits for the answer that the key server can't be reached, and each attempt may take long.
func TestAKeeperThatSaysNoIsNotAskedAgain(t *testing.T) {
	keys, err := store.OpenKeyring(context.Background(), t.TempDir())
	must(t, err)
	defer func() { must(t, keys.Close()) }()
	c := &counting{}
	_, err = keyring.Open(context.Background(), keyring.Config{Store: store.Keyring{DB: keys}, Keeper: c, Rand: rand.Reader})
	wantKind(t, "a keeper that says no", err, steward.Unavailable)
	if c.asked > 1 {
		t.Errorf("it was asked %d times", c.asked)
	}
}
