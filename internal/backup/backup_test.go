package backup_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/backup"
	"github.com/stewardhq/steward/internal/blob"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func refused(t testing.TB, err error, kind steward.Kind, words string) {
	t.Helper()
	if err == nil || steward.KindOf(err) != kind || !strings.Contains(steward.Message(err), words) {
		t.Errorf("error %v, want one of kind %s that says %q", err, kind, words)
	}
}

var now = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

// database is one file, and a list of objects that it names.
type database struct {
	rows    string
	objects []backup.Object
	copied  func() // called after each copy
}

func (d *database) Copy(_ context.Context, dir string) error {
	defer func() {
		if d.copied != nil {
			d.copied()
		}
	}()
	return os.WriteFile(filepath.Join(dir, "rows.db"), []byte(d.rows), 0o600)
}

func (d *database) Contents(_ context.Context, _ string, f func(backup.Object) error) ([]backup.Ledger, error) {
	for _, o := range d.objects {
		if err := f(o); err != nil {
			return nil, err
		}
	}
	return []backup.Ledger{{Workspace: "ws_1", Entries: 7, Signed: 6, Checkpoint: "log/ws_1\n6\nAAAA=\n\n— sig\n"}}, nil
}

// put puts an object into a folder of them.
func put(t testing.TB, dir, name, content string, until time.Time) backup.Object {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	must(t, blob.Folder{Dir: dir, Now: clock}.Put(context.Background(), name, strings.NewReader(content), int64(len(content)), until))
	sum := sha256.Sum256([]byte(content))
	return backup.Object{Name: name, Size: int64(len(content)), SHA256: sum[:], Until: until}
}

// live is a source with three objects, one of them locked.
func live(t testing.TB, dir string) (backup.Source, *database) {
	t.Helper()
	objects := filepath.Join(dir, "objects")
	d := &database{rows: "the rows of today"}
	d.objects = append(d.objects, put(t, objects, "ledger/ws_1/0-a/headers", "headers", now.AddDate(7, 0, 0)),
		put(t, objects, "ledger/ws_1/0-a/parts", strings.Repeat("sealed parts", 1000), time.Time{}),
		put(t, objects, "ledger/ws_1/1-b/parts", "", time.Time{}))
	return backup.Source{Database: d, Blobs: blob.Folder{Dir: objects, Now: clock}, Program: "v1", Now: clock}, d
}

func target(dir string) backup.Target {
	return backup.Target{Dir: dir, Objects: true, Blobs: func(in string) backup.Blobs { return blob.Folder{Dir: in, Now: clock} }}
}

// tree is every file below a folder with its content.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	must(t, fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, name))
		found[name] = string(content)
		return err
	}))
	return found
}

func TestBackAsItWas(t *testing.T) {
	ctx := context.Background()
	s, d := live(t, t.TempDir())
	to := filepath.Join(t.TempDir(), "new", "backup")
	made, err := s.Make(ctx, to)
	must(t, err)
	b, err := backup.Open(to)
	must(t, err)
	if !reflect.DeepEqual(made, b) || b.Objects.Copied != 3 || b.Ledgers[0].Root != "AAAA=" || !b.Made.Equal(now) || b.Program != "v1" {
		t.Errorf("made %+v, read %+v", made.Manifest, b.Manifest)
	}
	if _, err := s.Make(ctx, to); err == nil {
		t.Error("a backup was written over")
	}
	data := t.TempDir()
	aside, err := b.Restore(ctx, target(data))
	must(t, err)
	files := tree(t, data)
	if aside != "" || files["rows.db"] != d.rows || files["objects/ledger/ws_1/0-a/headers"] != "headers" || files["objects/ledger/ws_1/0-a/headers~until"] == "" || len(files) != 5 {
		t.Errorf("put aside %q, there are %d files", aside, len(files))
	}
	err = blob.Folder{Dir: filepath.Join(data, "objects"), Now: clock}.Delete(ctx, "ledger/ws_1/0-a/headers")
	refused(t, err, steward.Conflict, "")

	_, err = b.Restore(ctx, target(data))
	refused(t, err, steward.Conflict, "--replace")
	again := target(data)
	again.Replace = true
	for n := 1; n <= 2; n++ {
		must(t, os.WriteFile(filepath.Join(data, "rows.db-wal"), []byte("log"), 0o600))
		aside, err = b.Restore(ctx, again)
		must(t, err)
		old := tree(t, aside)
		if filepath.Base(aside) != fmt.Sprint("replaced-", n) || old["rows.db"] != d.rows || old["rows.db-wal"] != "log" || len(old) != 6 {
			t.Errorf("%s has %d files", aside, len(old))
		}
	}
	if _, err := os.Stat(filepath.Join(data, "rows.db-wal")); err == nil {
		t.Error("the log of the old database lies beside the new one")
	}
}

// TestDamageIsNamed changes, cuts, adds to and removes every file in turn.
func TestDamageIsNamed(t *testing.T) {
	ctx := context.Background()
	s, _ := live(t, t.TempDir())
	to := t.TempDir()
	b, err := s.Make(ctx, to)
	must(t, err)
	for name, content := range tree(t, to) {
		for what, damaged := range map[string][]byte{
			"a bit":   append([]byte{}, append([]byte(content[:len(content)/2]), flipped(content[len(content)/2:])...)...),
			"shorter": []byte(content[:max(0, len(content)-1)]), "longer": []byte(content + "x"), "gone": nil,
		} {
			if string(damaged) == content {
				continue
			}
			at := filepath.Join(to, name)
			if damaged == nil && what == "gone" {
				must(t, os.Remove(at))
			} else {
				must(t, os.WriteFile(at, damaged, 0o600))
			}
			data := t.TempDir()
			opened, err := backup.Open(to)
			if err == nil {
				_, err = opened.Restore(ctx, target(data))
			}
			if name == "manifest.json" && what == "gone" {
				refused(t, err, steward.Conflict, "isn't whole")
			} else {
				refused(t, err, steward.Conflict, name)
			}
			if err != nil && len(tree(t, data)) != 0 {
				t.Errorf("%s of %s: something was restored", what, name)
			}
			must(t, os.WriteFile(at, []byte(content), 0o600))
		}
	}
	must(t, b.Check(ctx, nil))
	// A link isn't followed out of the backup.
	must(t, os.Remove(filepath.Join(to, "data/rows.db")))
	outside := filepath.Join(t.TempDir(), "rows.db")
	must(t, os.WriteFile(outside, []byte("the rows of today"), 0o600))
	must(t, os.Symlink(outside, filepath.Join(to, "data/rows.db")))
	refused(t, b.Check(ctx, nil), steward.Conflict, "data/rows.db can't be read")
}

func flipped(s string) []byte {
	b := []byte(s)
	if len(b) > 0 {
		b[0] ^= 1
	}
	return b
}

// TestMergedMeanwhile: objects that were merged between the copy and their turn are read from a newer copy; and
// when they are never there, no backup is made.
func TestMergedMeanwhile(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s, d := live(t, dir)
	there := append([]backup.Object{}, d.objects...)
	d.objects = append(d.objects, backup.Object{Name: "ledger/ws_1/2-c/parts", Size: 1, SHA256: []byte{1}})
	copies := 0
	d.copied = func() {
		if copies++; copies == 1 {
			d.rows = "the rows of a moment later"
		} else {
			d.objects = there[:2]
		}
	}
	to := t.TempDir()
	b, err := s.Make(ctx, to)
	must(t, err)
	if files := tree(t, to); files["data/rows.db"] != "the rows of a moment later" || b.Objects.Copied != 2 || len(files) != 5 {
		t.Errorf("%d objects, files %d", b.Objects.Copied, len(files))
	}
	d.copied = nil
	d.objects = append(there, backup.Object{Name: "ledger/ws_1/3-d/parts", Size: 1, SHA256: []byte{1}})
	if _, err := s.Make(ctx, t.TempDir()); err == nil {
		t.Error("a backup without one of its objects")
	}
	// An object that isn't what was sealed is no backup's.
	d.objects = append(there, put(t, filepath.Join(dir, "objects"), "ledger/ws_1/4-e/parts", "right", time.Time{}))
	must(t, os.WriteFile(filepath.Join(dir, "objects/ledger/ws_1/4-e/parts"), []byte("wrong"), 0o600))
	_, err = s.Make(ctx, t.TempDir())
	refused(t, err, steward.Internal, "4-e/parts isn't what was written")
}

// TestLockedInTheBucket: what is locked stays there, and has to be there when the rest comes back.
func TestLockedInTheBucket(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s, _ := live(t, dir)
	s.Bucket = "s3://records"
	b, err := s.Make(ctx, t.TempDir())
	must(t, err)
	if b.Objects.Copied != 2 || len(b.Objects.Referenced) != 1 || b.Bucket != "s3://records" {
		t.Errorf("%+v", b.Objects)
	}
	bucket := blob.Folder{Dir: filepath.Join(dir, "objects"), Now: clock}
	restore := func() error {
		_, err := b.Restore(ctx, backup.Target{Dir: t.TempDir(), Blobs: func(string) backup.Blobs { return bucket }})
		return err
	}
	must(t, restore()) // the two that are there already are the same
	locked := filepath.Join(bucket.Dir, "ledger/ws_1/0-a/headers")
	must(t, os.WriteFile(locked, []byte("headerz"), 0o600))
	refused(t, restore(), steward.Conflict, "isn't the one that the backup was made with")
	must(t, os.Remove(locked))
	refused(t, restore(), steward.Conflict, "is gone")
	parts := filepath.Join(bucket.Dir, "ledger/ws_1/0-a/parts")
	must(t, os.WriteFile(locked, []byte("headers"), 0o600))
	must(t, os.WriteFile(parts, []byte("another"), 0o600))
	refused(t, restore(), steward.Conflict, "another object")
}

func TestFoldersThatHoldSomethingElse(t *testing.T) {
	ctx := context.Background()
	s, _ := live(t, t.TempDir())
	to := t.TempDir()
	must(t, os.WriteFile(filepath.Join(to, "novel.txt"), nil, 0o600))
	_, err := s.Make(ctx, to)
	refused(t, err, steward.Conflict, "novel.txt")
	_, err = backup.Open(to)
	refused(t, err, steward.NotFound, "no backup")
	_, err = backup.Keys(to, now, time.Hour, func(string) error { return nil })
	refused(t, err, steward.Conflict, "novel.txt")
	s.Before(func(step string) error {
		if step == "object" {
			_, err := s.Make(ctx, to+"2")
			refused(t, err, steward.Conflict, "another backup is being written")
		}
		return nil
	})
	_, err = s.Make(ctx, to+"2")
	must(t, err)
}

func TestCopyOfKeysWholeOrNot(t *testing.T) {
	to := filepath.Join(t.TempDir(), "keys")
	fill := func(dir string) error { return os.WriteFile(filepath.Join(dir, "keyring.db"), []byte("keys"), 0o600) }
	_, err := backup.Keys(to, now, time.Hour, func(dir string) error { return errors.Join(fill(dir), errors.New("stop")) })
	if _, there := os.Stat(to); err == nil || there == nil {
		t.Error("half a copy is there")
	}
	must(t, os.MkdirAll(to, 0o700))
	must(t, os.MkdirAll(to+"~new/left", 0o700))
	about, err := backup.Keys(to, now, time.Hour, fill)
	must(t, err)
	files := tree(t, to)
	if !about.Until.Equal(now.Add(time.Hour)) || files["keyring.db"] != "keys" || !strings.Contains(files["about.json"], "root key of its time") || len(files) != 2 {
		t.Errorf("%+v %v", about, files)
	}
}

var (
	crashDir  = flag.String("crash-dir", "", "for the process that is killed")
	crashVerb = flag.String("crash-verb", "", "what it does")
	crashStep = flag.Int("crash-step", 0, "before which step")
)

// TestCrashChild is the process that is killed.
func TestCrashChild(t *testing.T) {
	if *crashDir == "" {
		t.Skip("it is started by another test")
	}
	steps := 0
	before := func(string) error {
		if steps++; steps == *crashStep {
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return nil
	}
	must(t, act(*crashDir, *crashVerb, before))
}

// act makes a backup of the data in a folder, or restores it over other data there.
func act(dir, verb string, before func(string) error) error {
	objects := blob.Folder{Dir: filepath.Join(dir, "live/objects"), Now: clock}
	if verb == "make" {
		d := &database{rows: "the rows of today"}
		err := objects.List(context.Background(), "", func(name string, _ time.Time) error {
			content, err := os.ReadFile(filepath.Join(objects.Dir, name))
			sum := sha256.Sum256(content)
			d.objects = append(d.objects, backup.Object{Name: name, Size: int64(len(content)), SHA256: sum[:]})
			return err
		})
		if err != nil {
			return err
		}
		s := backup.Source{Database: d, Blobs: objects, Now: clock}
		s.Before(before)
		_, err = s.Make(context.Background(), filepath.Join(dir, "backup"))
		return err
	}
	b, err := backup.Open(filepath.Join(dir, "backup"))
	if err != nil {
		return err
	}
	to := target(filepath.Join(dir, "data"))
	to.Replace = true
	to.Before(before)
	_, err = b.Restore(context.Background(), to)
	return err
}

// TestKilledAtEveryStep kills a process before each step of a backup and of a restore, one after the other. Run
// again, each ends right: the backup whole, the data the backup's, and what was there before put aside, whole,
// once.
func TestKilledAtEveryStep(t *testing.T) {
	for _, verb := range []string{"make", "restore"} {
		t.Run(verb, func(t *testing.T) {
			killed := 0
			for step := 1; ; step++ {
				dir := t.TempDir()
				live(t, filepath.Join(dir, "live"))
				if verb == "restore" {
					must(t, act(dir, "make", nil))
					must(t, os.MkdirAll(filepath.Join(dir, "data/keyring"), 0o700))
					for _, name := range []string{"rows.db", "rows.db-wal", "keyring/keyring.db"} {
						must(t, os.WriteFile(filepath.Join(dir, "data", name), []byte("old "+name), 0o600))
					}
					put(t, filepath.Join(dir, "data/objects"), "ledger/ws_1/0-z/parts", "old parts", time.Time{})
				}
				child := exec.Command(os.Args[0], "-test.run=^TestCrashChild$", "-crash-dir="+dir, "-crash-verb="+verb, fmt.Sprint("-crash-step=", step))
				out, err := child.CombinedOutput()
				status, _ := child.ProcessState.Sys().(syscall.WaitStatus)
				if err != nil && !status.Signaled() {
					t.Fatalf("step %d: %v\n%s", step, err, out)
				}
				if verb == "make" && err != nil {
					if _, err := backup.Open(filepath.Join(dir, "backup")); err == nil {
						t.Errorf("killed before step %d, and there is a backup", step)
					}
				}
				if err != nil {
					killed++
					if again := act(dir, verb, nil); again != nil {
						t.Fatalf("killed before step %d, then: %v", step, again)
					}
				}
				b, opened := backup.Open(filepath.Join(dir, "backup"))
				must(t, opened)
				must(t, b.Check(context.Background(), nil))
				if verb == "restore" {
					files := tree(t, filepath.Join(dir, "data"))
					want := map[string]string{
						"rows.db": "the rows of today", "keyring/keyring.db": "old keyring/keyring.db",
						"replaced-1/rows.db": "old rows.db", "replaced-1/rows.db-wal": "old rows.db-wal", "replaced-1/objects/ledger/ws_1/0-z/parts": "old parts",
						"objects/ledger/ws_1/0-a/headers": "headers", "objects/ledger/ws_1/0-a/parts": strings.Repeat("sealed parts", 1000), "objects/ledger/ws_1/1-b/parts": "",
					}
					if !reflect.DeepEqual(files, want) {
						t.Errorf("killed before step %d: %v", step, keysOf(files))
					}
				}
				if err == nil {
					break
				}
			}
			t.Logf("%s: killed before each of %d steps", verb, killed)
			if killed < 8 {
				t.Errorf("only %d steps", killed)
			}
		})
	}
}

func keysOf(files map[string]string) (names []string) {
	for name, content := range files {
		names = append(names, fmt.Sprintf("%s=%.20q", name, content))
	}
	return names
}

// TestRestoredOnAServer: a load is called again with the same mark after a crash between it and the end.
func TestRestoredOnAServer(t *testing.T) {
	s, _ := live(t, t.TempDir())
	b, err := s.Make(context.Background(), t.TempDir())
	must(t, err)
	var marks []string
	to := target(t.TempDir())
	to.Load = func(_ context.Context, dir, mark string, again bool) error {
		if again != (len(marks) == 1) {
			t.Error("it isn't told whether it may have been called before")
		}
		marks = append(marks, mark)
		if _, err := os.Stat(filepath.Join(dir, "rows.db")); err != nil {
			return err
		}
		return nil
	}
	to.Objects, to.Blobs = false, func(string) backup.Blobs { return blob.Folder{Dir: to.Dir, Now: clock} }
	to.Before(func(step string) error {
		if step == "clean up" && len(marks) == 1 {
			return errors.New("killed")
		}
		return nil
	})
	if _, err := b.Restore(context.Background(), to); err == nil {
		t.Fatal("it wasn't killed")
	}
	_, err = b.Restore(context.Background(), to)
	must(t, err)
	if len(marks) != 2 || marks[0] != marks[1] || len(marks[0]) != 2*sha256.Size {
		t.Errorf("marks %q", marks)
	}
}

// What was staged before a crash is of then. Where somebody wrote to the old data since, or began new, it isn't put in
// the place of that: it is staged anew, with all that there is now.
func TestWhatIsStagedGrowsOld(t *testing.T) {
	ctx := context.Background()
	s, _ := live(t, t.TempDir())
	b, err := s.Make(ctx, filepath.Join(t.TempDir(), "backup"))
	must(t, err)
	died := errors.New("the process died")
	for _, c := range []struct{ name, old, at string }{{"over old data", "old rows", "put aside"}, {"into an empty folder", "", "put in place"}} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			rows := filepath.Join(dir, "rows.db")
			if c.old != "" {
				must(t, os.WriteFile(rows, []byte(c.old), 0o600))
			}
			var met []string
			to := target(dir)
			to.Replace = c.old != ""
			to.Staged = func(context.Context, string) error {
				content, _ := os.ReadFile(rows)
				met = append(met, string(content))
				return nil
			}
			to.Before(func(step string) error {
				if step == c.at {
					return died
				}
				return nil
			})
			if _, err := b.Restore(ctx, to); !errors.Is(err, died) {
				t.Fatal(err)
			}
			must(t, os.WriteFile(rows, []byte("rows of after the crash"), 0o600))
			to.Before(nil)
			if c.old == "" {
				_, err := b.Restore(ctx, to)
				refused(t, err, steward.Conflict, "--replace")
				to.Replace = true
			}
			aside, err := b.Restore(ctx, to)
			must(t, err)
			if len(met) != 2 || met[1] != "rows of after the crash" || tree(t, aside)["rows.db"] != met[1] || tree(t, dir)["rows.db"] != "the rows of today" {
				t.Errorf("staged beside %q; put aside %v", met, keysOf(tree(t, aside)))
			}
		})
	}
}

// A backup that somebody else wrote puts nothing in the place of what a data folder holds besides.
func TestNamesThatABackupMayNotHave(t *testing.T) {
	ctx := context.Background()
	for _, name := range []string{"whole", "objects", "restoring", "keyring", "../data/rows.db", "x/../rows.db"} {
		s, _ := live(t, t.TempDir())
		b, err := s.Make(ctx, filepath.Join(t.TempDir(), "backup"))
		must(t, err)
		m := b.Manifest
		for i, f := range m.Files {
			if f.Name == "data/rows.db" {
				m.Files[i].Name = "data/" + name
				if filepath.Base(name) == name {
					must(t, os.Rename(filepath.Join(b.Dir, "data/rows.db"), filepath.Join(b.Dir, "data", name)))
				}
			}
		}
		text, err := backup.EncodeManifest(m)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(b.Dir, "manifest.json"), text, 0o600))
		dir := t.TempDir()
		must(t, os.Mkdir(filepath.Join(dir, "keyring"), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, "keyring/keyring.db"), []byte("keys"), 0o600))
		forged, err := backup.Open(b.Dir)
		if err == nil {
			to := target(dir)
			to.Replace = true
			_, err = forged.Restore(ctx, to)
		}
		refused(t, err, steward.Conflict, "this backup is damaged and nothing was restored")
		if files := tree(t, dir); len(files) != 1 || files["keyring/keyring.db"] != "keys" {
			t.Errorf("data/%s leaves %v", name, keysOf(files))
		}
	}
}

// A workspace has one ledger.
func TestALedgerIsNamedOnce(t *testing.T) {
	for n, want := range map[int]bool{1: true, 2: false} {
		var m backup.Manifest
		m.Format = 1
		for range n {
			m.Ledgers = append(m.Ledgers, backup.Ledger{Workspace: "ws_1", Entries: 1})
		}
		text, err := backup.EncodeManifest(m)
		must(t, err)
		if _, err := backup.DecodeManifest(text); (err == nil) != want {
			t.Errorf("named %d times: %v", n, err)
		}
	}
}

// A pipe in a file's place is damage, and not something to wait for.
func TestPipesAreNoFiles(t *testing.T) {
	s, _ := live(t, t.TempDir())
	b, err := s.Make(context.Background(), filepath.Join(t.TempDir(), "backup"))
	must(t, err)
	rows := filepath.Join(b.Dir, "data/rows.db")
	must(t, errors.Join(os.Remove(rows), syscall.Mkfifo(rows, 0o600)))
	checked := make(chan error, 1)
	go func() { checked <- b.Check(context.Background(), nil) }()
	select {
	case err := <-checked:
		refused(t, err, steward.Conflict, "data/rows.db can't be read")
	case <-time.After(5 * time.Second):
		t.Error("it waits")
	}
}

// FuzzManifest: nothing that anybody could write names a file outside the backup; what is read is written the same.
func FuzzManifest(f *testing.F) {
	for _, m := range []backup.Manifest{
		{Format: 1}, {Format: 2, Program: "v9"}, {Format: 1, Files: []backup.File{{Name: "data/a", Size: 1, SHA256: "00"}}},
		{Format: 1, Files: []backup.File{{Name: "../a"}}}, {Format: 1, Files: []backup.File{{Name: "/etc/passwd"}}}, {Format: 1, Files: []backup.File{{Name: "a", Size: -1}}},
	} {
		text, err := backup.EncodeManifest(m)
		must(f, err)
		f.Add(text)
	}
	f.Add([]byte(`{"backup":null,"sha256":""}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		// Whoever can write a manifest can give it its hash.
		if at := bytes.LastIndex(text, []byte(`"sha256": "`)); at > 12 {
			if body, found := bytes.CutPrefix(text[:at], []byte(`{"backup": `)); found {
				body = bytes.TrimSuffix(body, []byte(",\n"))
				sum := sha256.Sum256(body)
				text = fmt.Appendf(nil, "{\"backup\": %s,\n\"sha256\": %q}\n", body, hex.EncodeToString(sum[:]))
			}
		}
		m, err := backup.DecodeManifest(text)
		if err != nil {
			return
		}
		for _, file := range m.Files {
			if !filepath.IsLocal(file.Name) || file.Size < 0 {
				t.Errorf("it names %q with %d bytes", file.Name, file.Size)
			}
		}
		again, err := backup.EncodeManifest(m)
		must(t, err)
		if read, err := backup.DecodeManifest(again); err != nil || !reflect.DeepEqual(m, read) {
			t.Errorf("%+v is written as another: %v", m, err)
		}
	})
}
