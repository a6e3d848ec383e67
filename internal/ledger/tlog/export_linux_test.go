package tlog_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"
)

// TestTheFolderItselfIsSynced: a name lasts only once its folder was synced, for which it is opened. That is so
// for the outermost too, however it is written.
func TestTheFolderItselfIsSynced(t *testing.T) {
	h := open(t, nil)
	h.grow(t, ws, 3)
	t.Chdir(t.TempDir())
	for _, dir := range []string{"plain", "slashed/", "./dotted", "up/../again", "two//deep"} {
		must(t, os.MkdirAll(dir, 0o755))
		must(t, os.MkdirAll("up", 0o755))
		watch, err := syscall.InotifyInit1(syscall.IN_NONBLOCK | syscall.IN_CLOEXEC)
		must(t, err)
		_, err = syscall.InotifyAddWatch(watch, filepath.Clean(dir), syscall.IN_OPEN|syscall.IN_ONLYDIR)
		must(t, err)
		_, err = h.log.Export(t.Context(), ws, dir, nil)
		must(t, err)
		seen := make([]byte, 1<<16)
		n, err := syscall.Read(watch, seen)
		must(t, err)
		must(t, syscall.Close(watch))
		opened := 0
		for seen = seen[:n]; len(seen) > 0; {
			event := (*syscall.InotifyEvent)(unsafe.Pointer(&seen[0]))
			if event.Len == 0 && event.Mask&syscall.IN_ISDIR != 0 { // itself, and nothing in it
				opened++
			}
			seen = seen[syscall.SizeofInotifyEvent+event.Len:]
		}
		if opened < 2 { // before the checkpoint and behind it
			t.Errorf("%s was opened %d times", dir, opened)
		}
	}
}
