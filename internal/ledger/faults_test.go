package ledger_test

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/store"
)

// TestDiskThatFails has the disk refuse for a while what SQLite asks of it. Whoever is told no is not on
// record, and whoever is told yes is, even if then the power goes, and with it whatever the kernel dropped
// when it couldn't sync.
func TestDiskThatFails(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes long, and nothing in it runs beside anything else")
	}
	const dataLog, keysLog = store.DataFile + "-wal", store.KeyringFile + "-wal"
	for _, c := range []struct {
		name, act, file string
		code            int32
		refused         func(newKey bool) bool
	}{
		{"the log can't be synced", "sync", dataLog, sqlite3.SQLITE_IOERR_FSYNC, always},
		{"the log can't be written", "write", dataLog, sqlite3.SQLITE_IOERR_WRITE, always},
		{"the log has no room", "write", dataLog, sqlite3.SQLITE_FULL, always},
		{"the database can't be synced", "sync", store.DataFile, sqlite3.SQLITE_IOERR_FSYNC, never},
		{"the database has no room", "write", store.DataFile, sqlite3.SQLITE_FULL, never},
		{"the keys can't be synced", "sync", keysLog, sqlite3.SQLITE_IOERR_FSYNC, forNewKeys},
		{"the keys have no room", "write", keysLog, sqlite3.SQLITE_FULL, forNewKeys},
	} {
		t.Run(c.name, func(t *testing.T) {
			if busy() && c.act == "write" {
				t.Skip("its twin that syncs is enough where time is short")
			}
			dir := t.TempDir()
			t.Run("before", func(t *testing.T) { open(t, dir, nil) })
			var d *disk
			refused := map[steward.RunID]bool{}
			t.Run("calls", func(t *testing.T) {
				d = listen(t, dir)
				h := open(t, dir, nil)
				failures := 0
				phase := func(name string, fails func(newKey bool) bool) {
					var mu sync.Mutex
					var writers sync.WaitGroup
					for n := range 16 { // of which some come into one commit; enough of them to fold the log
						writers.Go(func() {
							run, w, newKey := steward.RunID(fmt.Sprint(name, "_", n)), three[n%3], n%4 == 0
							part := ledger.Part{Scopes: month, Body: make([]byte, 600_000)}
							_, _ = mathrand.NewChaCha8([32]byte{byte(n)}).Read(part.Body)
							if newKey {
								part.Scopes = append([]steward.Scope{steward.Scope("item/" + run)}, month...)
							}
							seq, err := h.Append(context.Background(), w, ledger.Entry{Kind: ledger.RunStarted, Run: run}, part)
							mu.Lock()
							defer mu.Unlock()
							switch {
							case fails(newKey) != (err != nil):
								t.Errorf("%s, new key %v: %v", run, newKey, err)
							case err == nil:
								d.promise(promisedEntry{w, seq, run, part.Body})
							default:
								refused[run] = true
								if steward.KindOf(err) != steward.Unavailable || len(steward.Message(err)) < 30 {
									t.Errorf("%s is refused with %v", run, err)
								}
							}
						})
					}
					writers.Wait()
				}
				phase("before", never)
				d.failing(func(o operation) int32 {
					if o.act != c.act || o.file != c.file {
						return 0
					}
					failures++
					return c.code
				})
				phase("during", c.refused)
				if err := h.Ready(t.Context()); (err != nil) != c.refused(false) {
					t.Errorf("meanwhile Ready says %v", err)
				}
				d.failing(nil)
				if failures == 0 {
					t.Error("nothing has failed")
				}
				phase("after", never)
				if err := h.Ready(t.Context()); err != nil {
					t.Errorf("afterwards Ready says %v", err)
				}
				for _, w := range three {
					all := h.headers(t, w, ledger.Query{})
					sound(t, h.verify(t, w), len(all))
					if i := slices.IndexFunc(all, func(e ledger.Header) bool { return refused[e.Run] }); i >= 0 {
						t.Errorf("%s was refused and is on record", all[i].Run)
					}
				}
			})
			p := d.platter()
			var promises []any
			for len(p.log) > 0 {
				if o := p.spin(""); o.act == "promise" {
					promises = append(promises, o.promise)
				}
			}
			if list := broken(t, p.folder(t, nil), promises); len(list) > 0 || len(promises) < 32 {
				t.Errorf("after a loss of power %d of %d promises don't hold: %.300s", len(list), len(promises), list)
			}
		})
	}
}

func always(bool) bool            { return true }
func never(bool) bool             { return false }
func forNewKeys(newKey bool) bool { return newKey }

var smallDisk = flag.String("small-disk-dir", "", "makes the test binary the process that TestFullDisk starts")

// TestSmallDiskChild appends until the kernel lets no file grow further, and then says what it is told.
func TestSmallDiskChild(t *testing.T) {
	if *smallDisk == "" {
		t.Skip("this is the process that TestFullDisk starts")
	}
	ctx := context.Background()
	h := open(t, *smallDisk, nil)
	part := ledger.Part{Scopes: month, Body: make([]byte, 2000)}
	appends := func() error {
		seq, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunStarted}, part)
		if err == nil {
			fmt.Println("acknowledged", seq)
		}
		return err
	}
	must(t, appends())
	signal.Ignore(syscall.SIGXFSZ) // which would end the process
	var limit syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit))
	roomy := limit
	limit.Cur = 1 << 20
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
	var err error
	for n := 0; err == nil; n++ {
		if err = appends(); n > 1000 {
			t.Fatal("the disk never becomes full")
		}
	}
	for range 3 {
		wantKind(t, appends(), steward.Unavailable)
		wantKind(t, h.Ready(ctx), steward.Unavailable)
	}
	fmt.Println("refused:", steward.Message(err))
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &roomy))
	must(t, appends())
	must(t, h.Ready(ctx))
	fmt.Println("again")
}

// TestFullDisk runs a process whose files the kernel lets grow no further.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestSmallDiskChild$", "-small-disk-dir="+dir)
	out, err := child.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	entries, said := 0, ""
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		switch text := lines.Text(); {
		case text == fmt.Sprint("acknowledged ", entries):
			entries++
		case strings.HasPrefix(text, "refused: ") && entries > 10:
			said = text
		}
	}
	if said == "" || !strings.Contains(string(out), fmt.Sprint("acknowledged ", entries-1, "\nagain\n")) {
		t.Fatalf("it went differently:\n%s", out)
	}
	t.Logf("%d entries, then %s", entries, said)
	sound(t, open(t, dir, nil).verify(t, ws), entries)
}

// TestClockStepsBack lets the clock jump about while eight writers write: by an hour back and forth, over a
// month's end, between two of them; and then it lets another process go on with an older clock. Times never
// go back on record.
func TestClockStepsBack(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	random := mathrand.New(mathrand.NewPCG(7, 8))
	for turn, now := range []time.Time{time.Date(2026, 11, 30, 23, 30, 0, 0, time.UTC), time.Date(2026, 11, 30, 21, 0, 0, 0, time.UTC)} {
		t.Run(now.Format(time.TimeOnly), func(t *testing.T) {
			var mu sync.Mutex
			h := open(t, dir, func(c *ledger.Config) {
				c.Now = func() time.Time {
					mu.Lock()
					defer mu.Unlock()
					switch random.IntN(10) {
					case 0:
						now = now.Add(-time.Hour)
					case 1:
						now = now.Add(time.Hour)
					default:
						now = now.Add(time.Millisecond)
					}
					return now
				}
			})
			var writers sync.WaitGroup
			for writer := range 8 {
				writers.Go(func() {
					for range 40 {
						i, err := h.Begin(ctx, three[writer%3], ledger.Entry{}, ledger.Part{Scopes: month, Body: []byte("x")})
						if err == nil {
							_, err = h.End(ctx, i, ledger.Entry{Outcome: ledger.OK})
						}
						if err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			writers.Wait()
			for i, w := range three {
				all := h.headers(t, w, ledger.Query{})
				if want := []int{240, 240, 160}[i] * (turn + 1); len(all) != want {
					t.Errorf("%d entries of %d", len(all), want)
				}
				for i := 1; i < len(all); i++ {
					if all[i].Time.Before(all[i-1].Time) {
						t.Errorf("%s: entry %d is before entry %d", w, i, i-1)
					}
				}
				if _, err := h.Checkpoint(ctx, w); err != nil {
					t.Error(err)
				}
				sound(t, h.verify(t, w), len(all))
			}
		})
	}
}

// TestTornPages gives pages of the database back their older half, and TestFlippedBytes changes single bytes
// of it: wherever that is, either somebody notices or nothing was changed that can be read.
func TestTornPages(t *testing.T) {
	older := written(t)
	newer := copyOf(t, older)
	t.Run("more", func(t *testing.T) {
		h := open(t, newer, nil)
		for range 30 {
			_, err := h.Append(context.Background(), "ws_1", ledger.Entry{Kind: ledger.RunRead}, ledger.Part{Scopes: month, Body: []byte("more")})
			must(t, err)
		}
	})
	before, err := os.ReadFile(filepath.Join(older, store.DataFile))
	must(t, err)
	after, err := os.ReadFile(filepath.Join(newer, store.DataFile))
	must(t, err)
	before = append(before, make([]byte, max(0, len(after)-len(before)))...)
	const page, half = 4096, 2048
	var damages []damage
	for at := 0; at < len(after); at += half {
		if !bytes.Equal(before[at:at+half], after[at:at+half]) && !bytes.Equal(before[at^half:at^half+half], after[at^half:at^half+half]) {
			damages = append(damages, damage{at, before[at : at+half]})
		}
	}
	if len(damages) < 10 {
		t.Fatalf("%d pages can be torn", len(damages)/2)
	}
	noticed(t, newer, damages)
}

func TestFlippedBytes(t *testing.T) {
	dir := written(t)
	whole, err := os.ReadFile(filepath.Join(dir, store.DataFile))
	must(t, err)
	random := mathrand.New(mathrand.NewPCG(9, 10))
	count := 300
	if busy() {
		count = 15
	}
	var damages []damage
	for range count {
		at := random.IntN(len(whole))
		damages = append(damages, damage{at, []byte{whole[at] ^ byte(1+random.IntN(255))}})
	}
	noticed(t, dir, damages)
}

// damage is bytes that stand at some place of the database instead of those that were written.
type damage struct {
	at   int
	data []byte
}

// noticed does each damage, one at a time, and fails where a ledger verifies and doesn't read as before.
func noticed(t *testing.T, dir string, damages []damage) {
	t.Helper()
	path := filepath.Join(dir, store.DataFile)
	whole, err := os.ReadFile(path)
	must(t, err)
	rows := func(w steward.WorkspaceID) ([]ledger.Row, error) {
		data, err := store.OpenReadOnly(t.Context(), dir, store.DataFile)
		if err != nil {
			return nil, err
		}
		defer func() { _ = data.Close() }()
		return store.Ledger{DB: data}.Rows(t.Context(), w, 0, 1000, true)
	}
	workspaces := []steward.WorkspaceID{"ws_1", "ws_2"}
	want := map[steward.WorkspaceID]string{}
	for _, w := range workspaces {
		all, err := rows(w)
		must(t, err)
		want[w] = fmt.Sprint(all)
	}
	found, harmless := 0, 0
	for _, d := range damages {
		damaged := bytes.Clone(whole)
		copy(damaged[d.at:], d.data)
		must(t, os.WriteFile(path, damaged, 0o600))
		for _, w := range workspaces {
			if r, err := verifyReadOnly(t, dir, w); err != nil || len(r.Findings) > 0 {
				found++
			} else if all, err := rows(w); err != nil || fmt.Sprint(all) != want[w] {
				t.Errorf("%d bytes changed at %d: %s verifies and isn't what it was, %v", len(d.data), d.at, w, err)
			} else {
				harmless++
			}
		}
	}
	must(t, os.WriteFile(path, whole, 0o600))
	if found == 0 {
		t.Error("nothing was found")
	}
	t.Logf("of %d damages, each looked for in two ledgers, %d were found and %d changed nothing that is read", len(damages), found, harmless)
}
