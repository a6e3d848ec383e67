package blob_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/blob"
	"github.com/stewardhq/steward/internal/blob/blobtest"
)

// works is what processes die of. Each begins in a folder with the objects "a/free", "a/locked" (until end)
// and "a/ended" (a lock that has).
var works = map[string]func(f blob.Folder) error{
	"put":         func(f blob.Folder) error { return put(f, "a/new/one", time.Time{}) },
	"put locked":  func(f blob.Folder) error { return put(f, "a/new/one", end) },
	"put again":   func(f blob.Folder) error { return put(f, "a/free", end) },
	"lock":        func(f blob.Folder) error { return f.Lock(context.Background(), "a/free", end) },
	"lock longer": func(f blob.Folder) error { return f.Lock(context.Background(), "a/locked", end.Add(time.Hour)) },
	"delete":      func(f blob.Folder) error { return f.Delete(context.Background(), "a/ended") },
}

var (
	begin = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	today = begin.Add(24 * time.Hour) // the lock of a/ended has ended
	end   = begin.Add(1000 * time.Hour)
)

func put(f blob.Folder, name string, until time.Time) error {
	text := blobtest.Text(name, 100_000)
	return f.Put(context.Background(), name, bytes.NewReader(text), int64(len(text)), until)
}

// content is an object's; nil where there is none. It fails for anything but the whole of it.
func content(t *testing.T, f blob.Folder, name string) []byte {
	t.Helper()
	o, err := f.Open(t.Context(), name)
	if steward.KindOf(err) == steward.NotFound {
		return nil
	}
	must(t, err)
	defer o.Close()
	got, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
	if err != nil || !bytes.Equal(got, blobtest.Text(name, len(got))) || len(got) == 0 {
		t.Fatalf("%s has %d bytes, not those put: %v", name, len(got), err)
	}
	return got
}

func furnished(t *testing.T) blob.Folder {
	t.Helper()
	f := blob.Folder{Dir: t.TempDir(), Now: func() time.Time { return begin }}
	must(t, put(f, "a/free", time.Time{}))
	must(t, put(f, "a/locked", end))
	must(t, put(f, "a/ended", begin.Add(time.Hour)))
	f.Now = func() time.Time { return today }
	return f
}

// looked is what must be so whenever a process died of a work, and then when the work is done again.
func looked(t *testing.T, f blob.Folder, work string) {
	t.Helper()
	isLocked := func(name string) bool {
		t.Helper()
		err := f.Delete(t.Context(), name)
		if err != nil && steward.KindOf(err) != steward.Conflict {
			t.Fatal(err)
		}
		return err != nil
	}
	intact := func(names ...string) {
		t.Helper()
		for _, name := range names {
			if len(content(t, f, name)) != 100_000 {
				t.Fatalf("%s is gone or cut", name)
			}
		}
	}
	intact("a/free", "a/locked")
	if !isLocked("a/locked") {
		t.Fatal("a lock is lost")
	}
	if got := content(t, f, "a/new/one"); got != nil {
		intact("a/new/one")
		if work == "put locked" && !isLocked("a/new/one") {
			t.Fatal("an object is there without its lock")
		}
	}
	if work != "delete" {
		intact("a/ended")
	}
	var listed []string
	must(t, f.List(t.Context(), "", func(name string, _ time.Time) error { listed = append(listed, name); return nil }))
	for _, name := range listed {
		intact(name)
	}

	// Done again, each comes to its end.
	err := works[work](f)
	if err != nil && (steward.KindOf(err) != steward.Conflict || !strings.HasPrefix(work, "put")) {
		t.Fatalf("again: %v", err)
	}
	switch work {
	case "put", "put locked":
		intact("a/new/one")
		if isLocked("a/new/one") != (work == "put locked") {
			t.Fatal("its lock is wrong")
		}
	case "put again":
		intact("a/free")
		if isLocked("a/free") {
			t.Fatal("it has the lock of what wasn't put")
		}
	case "lock":
		if !isLocked("a/free") {
			t.Fatal("it isn't locked")
		}
	case "lock longer":
		f.Now = func() time.Time { return end.Add(time.Minute) }
		if !isLocked("a/locked") {
			t.Fatal("its lock isn't longer")
		}
	case "delete":
		if content(t, f, "a/ended") != nil {
			t.Fatal("it is still there")
		}
	}
	must(t, put(f, "a/another", time.Time{}))
	left, err := os.ReadDir(filepath.Join(f.Dir, "~new"))
	if err != nil || len(left) > 0 {
		t.Errorf("left over: %v %v", left, err)
	}
	must(t, f.Delete(t.Context(), "a/another"))
}

// TestFailureAtEachStep lets each step of each work fail, and all steps after it.
func TestFailureAtEachStep(t *testing.T) {
	t.Parallel()
	failed := errors.New("input/output error")
	for work, do := range works {
		for at := 1; ; at++ {
			f, steps := furnished(t), 0
			err := do(f.Failing(func(string) error {
				if steps++; steps >= at {
					return failed
				}
				return nil
			}))
			if steps < at {
				if at < 3 {
					t.Errorf("%s has %d steps", work, steps)
				}
				break
			}
			if !errors.Is(err, failed) {
				t.Fatalf("%s, step %d: %v", work, at, err)
			}
			looked(t, f, work)
		}
	}
}

// TestDeathAtEachStep lets a process die, as by kill -9, before each step of each work.
func TestDeathAtEachStep(t *testing.T) {
	t.Parallel()
	for work := range works {
		t.Run(work, func(t *testing.T) {
			t.Parallel()
			for at := 1; ; at++ {
				f := furnished(t)
				err := child(t, f.Dir, work, strconv.Itoa(at)).Run()
				looked(t, f, work)
				if died := (*exec.ExitError)(nil); errors.As(err, &died) {
					if status, ok := died.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
						t.Fatalf("step %d: %v", at, err)
					}
					continue
				}
				must(t, err)
				if at < 3 {
					t.Errorf("%d steps", at-1)
				}
				break
			}
		})
	}
}

// TestDeathAtAnyMoment kills a process that puts objects as fast as it can. What it said was put is there.
func TestDeathAtAnyMoment(t *testing.T) {
	t.Parallel()
	f := blob.Folder{Dir: t.TempDir(), Now: time.Now}
	chance := rand.New(rand.NewPCG(1, 2))
	acknowledged := 0
	for round := range 25 {
		cmd := child(t, f.Dir, "many", strconv.Itoa(round))
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		timer := time.AfterFunc(time.Duration(10+chance.IntN(60))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if content(t, f, lines.Text()) == nil {
				t.Fatalf("%s is lost", lines.Text())
			}
			acknowledged++
		}
		timer.Stop()
		_ = cmd.Wait()
	}
	must(t, f.List(t.Context(), "", func(name string, _ time.Time) error { content(t, f, name); return nil }))
	must(t, put(f, "last", time.Time{}))
	left, err := os.ReadDir(filepath.Join(f.Dir, "~new"))
	if err != nil || len(left) > 0 {
		t.Errorf("left over: %v %v", left, err)
	}
	if acknowledged == 0 {
		t.Error("no object was ever put")
	}
}

// TestTheLivingAreSpared: whoever begins a Put doesn't take away what another is writing.
func TestTheLivingAreSpared(t *testing.T) {
	f := blob.Folder{Dir: t.TempDir(), Now: time.Now}
	must(t, put(f.Failing(func(step string) error {
		if step != "sync" {
			return nil
		}
		return put(f, "other", time.Time{})
	}), "mine", time.Time{}))
	if content(t, f, "mine") == nil || content(t, f, "other") == nil {
		t.Error("one is gone")
	}
}

func child(t *testing.T, dir, work, at string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestFolderChild$")
	cmd.Env = []string{"BLOB_DIR=" + dir, "BLOB_WORK=" + work, "BLOB_AT=" + at, "GORACE=atexit_sleep_ms=0"}
	return cmd
}

// TestFolderChild is the process that dies.
func TestFolderChild(t *testing.T) {
	dir, at := os.Getenv("BLOB_DIR"), os.Getenv("BLOB_AT")
	if dir == "" {
		t.Skip("the tests above start it")
	}
	if os.Getenv("BLOB_WORK") == "many" {
		f := blob.Folder{Dir: dir, Now: time.Now}
		for i := 0; ; i++ {
			name := fmt.Sprintf("round%s/%d/object", at, i)
			must(t, put(f, name, time.Now().Add(time.Duration(i%2)*time.Hour)))
			fmt.Println(name)
		}
	}
	last, err := strconv.Atoi(at)
	must(t, err)
	steps := 0
	f := blob.Folder{Dir: dir, Now: func() time.Time { return today }}.Failing(func(string) error {
		if steps++; steps == last {
			must(t, syscall.Kill(os.Getpid(), syscall.SIGKILL))
			select {} // until it arrives
		}
		return nil
	})
	if err := works[os.Getenv("BLOB_WORK")](f); err != nil && steward.KindOf(err) != steward.Conflict {
		t.Fatal(err)
	}
}
