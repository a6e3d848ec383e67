package ledger_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/verify"
	"github.com/stewardhq/steward/internal/store"
)

// What a ledger promises: an entry that was acknowledged, and a checkpoint that was handed out.
type (
	promisedEntry struct {
		w    steward.WorkspaceID
		seq  uint64
		run  steward.RunID
		body []byte // of its part
	}
	promisedNote struct {
		w    steward.WorkspaceID
		note string
	}
)

var three = []steward.WorkspaceID{"ws_0", "ws_1", "ws_2"}

// busy tells whether there is less time than usual: under -short, and where the race detector slows
// everything down.
func busy() bool {
	info, _ := debug.ReadBuildInfo()
	return testing.Short() || info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// load has eight writers write to three ledgers, new keys among it, and notes each promise on the disk. Where
// folds is set they now and then have SQLite fold its logs into the databases, as it does by itself only when
// they have grown large.
func load(t *testing.T, d *disk, dir string, calls int, folds bool) {
	ctx := context.Background()
	h := open(t, dir, func(c *ledger.Config) {
		c.Checkpoints = func(_ context.Context, w steward.WorkspaceID, note string) error {
			d.promise(promisedNote{w, note})
			return nil
		}
	})
	var logs []*sql.DB
	for _, file := range []string{store.DataFile, store.KeyringFile} {
		db, err := sql.Open("sqlite", filepath.Join(dir, file)+"?_pragma=busy_timeout(10000)")
		must(t, err)
		defer db.Close()
		db.SetMaxOpenConns(1)
		logs = append(logs, db)
	}
	var writers sync.WaitGroup
	for writer := range 8 {
		random := mathrand.New(mathrand.NewPCG(1, uint64(writer)))
		writers.Go(func() {
			w := three[writer%3]
			for n := range calls {
				run := steward.RunID(fmt.Sprintf("run_%d_%d", writer, n))
				part := ledger.Part{Scopes: month, Body: make([]byte, 1+random.IntN(3000))}
				for i := range part.Body {
					part.Body[i] = byte(random.Uint32()) // nothing to compress
				}
				if n%10 == 0 {
					part.Scopes = append([]steward.Scope{steward.Scope("item/" + run)}, month...)
				}
				i, err := h.Begin(ctx, w, ledger.Entry{Run: run}, part)
				if err != nil {
					t.Error(err)
					return
				}
				d.promise(promisedEntry{w, i.Seq, run, part.Body})
				seq, err := h.End(ctx, i, ledger.Entry{Outcome: ledger.OK}, part)
				if err != nil {
					t.Error(err)
					return
				}
				d.promise(promisedEntry{w, seq, run, part.Body})
				if folds && n%15 == writer {
					for _, db := range logs {
						if _, err := db.ExecContext(ctx, "PRAGMA wal_checkpoint"); err != nil {
							t.Error(err)
						}
					}
				}
				if n%20 == 19 {
					if _, err := h.Checkpoint(ctx, w); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	writers.Wait()
}

// broken opens a folder, as after a start, and says which promises it doesn't keep: an acknowledged entry
// isn't there, is another one, or doesn't open; a checkpoint that was handed out isn't known. It fails the
// test where a ledger has a gap or doesn't verify, or can't be written.
func broken(t *testing.T, dir string, promises []any) (list []string) {
	t.Helper()
	ctx := context.Background()
	h := open(t, dir, nil)
	runs, notes := map[steward.WorkspaceID][]steward.RunID{}, map[steward.WorkspaceID]map[string]bool{}
	for _, w := range three {
		for i, e := range h.headers(t, w, ledger.Query{}) {
			if e.Seq != uint64(i) {
				t.Fatalf("entry %d of %s is in the place of %d", e.Seq, w, i)
			}
			runs[w] = append(runs[w], e.Run)
		}
		sound(t, h.verify(t, w), len(runs[w]))
		kept, err := h.store.Checkpoints(ctx, w, 0, 1<<20)
		must(t, err)
		notes[w] = map[string]bool{}
		for _, cp := range kept {
			notes[w][string(cp.Note)] = true
		}
	}
	for _, p := range promises {
		switch p := p.(type) {
		case promisedNote:
			if !notes[p.w][p.note] {
				list = append(list, fmt.Sprintf("a checkpoint of %s is gone", p.w))
			}
		case promisedEntry:
			if p.seq >= uint64(len(runs[p.w])) {
				list = append(list, fmt.Sprintf("%s %d is gone", p.w, p.seq))
			} else if runs[p.w][p.seq] != p.run {
				list = append(list, fmt.Sprintf("%s %d is another", p.w, p.seq))
			} else if body, err := h.Part(ctx, p.w, p.seq, 0); err != nil || !bytes.Equal(body, p.body) {
				list = append(list, fmt.Sprintf("the part of %s %d: %v", p.w, p.seq, err))
			}
		}
	}
	if _, err := h.CloseAbandoned(ctx); err != nil {
		t.Error(err)
	}
	for _, w := range three {
		if _, err := h.Append(ctx, w, ledger.Entry{Kind: ledger.RunStarted}, ledger.Part{Scopes: month, Body: []byte("after")}); err != nil {
			t.Error(err)
		}
	}
	return list
}

// TestPowerLoss notes all that SQLite writes and syncs under load, in the databases of the ledger and of the
// keys, and takes the power away at many points: between any two operations, with nothing left but what was
// synced by then, or with some of the rest too, out of order and torn. Whatever was promised before holds.
//
// What it doesn't show: that the operating system and the disk keep what a sync says they keep, and how the
// names of new files fare. (SQLite syncs the folder when it makes its log.)
func TestPowerLoss(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes long, and nothing in it runs beside anything else")
	}
	dir := t.TempDir()
	t.Run("before", func(t *testing.T) { open(t, dir, nil) })
	var d *disk
	t.Run("load", func(t *testing.T) {
		d = listen(t, dir)
		load(t, d, dir, 60, true)
	})
	if t.Failed() {
		return
	}
	// Where logs are folded into databases is looked at most closely, all the rest by chance.
	random := mathrand.New(mathrand.NewPCG(1, 2))
	log := d.platter().log
	var points []int
	count := map[string]int{}
	for i, o := range log {
		count[o.act+" "+o.file]++
		folding := o.act != "promise" && !strings.HasSuffix(o.file, "-wal")
		if folding && (o.act != "write" || random.IntN(20) == 0) {
			points = append(points, i, i+1)
		}
	}
	if count["sync "+store.DataFile] < 5 || count["sync "+store.KeyringFile] < 5 || count["sync "+store.KeyringFile+"-wal"] == 0 {
		t.Fatalf("not all was listened to: %v", count)
	}
	random.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
	each := 30
	if busy() {
		each = 6
	}
	points = points[:each]
	for range each {
		points = append(points, random.IntN(len(log)))
	}
	points = append(points, len(log))
	slices.Sort(points)
	points = slices.Compact(points)

	p := d.platter()
	var promises []any
	at := 0
	for turn, point := range points {
		for ; at < point; at++ {
			if o := p.spin(""); o.act == "promise" {
				promises = append(promises, o.promise)
			}
		}
		name, luck := "what was synced", (*mathrand.Rand)(nil)
		if turn%2 == 0 {
			name, luck = "and some more", mathrand.New(mathrand.NewPCG(3, uint64(point)))
		}
		t.Run(fmt.Sprintf("%d of %d, %s", point, len(log), name), func(t *testing.T) {
			if list := broken(t, p.folder(t, luck), promises); len(list) > 0 {
				t.Errorf("%d of %d promises don't hold: %.300s", len(list), len(promises), list)
			}
		})
	}
	t.Logf("%d operations (%v), %d promises, power lost at %d points", len(log), count, len(promises), len(points))

	// On a disk that says it has synced when it hasn't, promises are broken. The model can tell.
	t.Run("a disk that lies", func(t *testing.T) {
		p := d.platter()
		for range points[len(points)/2] {
			p.spin(store.DataFile + "-wal")
		}
		if list := broken(t, p.folder(t, nil), promises); len(list) == 0 {
			t.Error("no promise is broken, so nothing above was shown")
		}
	})
}

// TestDamagedLog cuts the write-ahead log that lies beside the database after a crash, between frames and
// inside them, or changes a byte of it. What is left is a ledger that verifies, an older one: who remembers a
// checkpoint of what is gone can tell, and nobody else.
func TestDamagedLog(t *testing.T) {
	dir := t.TempDir()
	t.Run("before", func(t *testing.T) { open(t, dir, nil) })
	var d *disk
	t.Run("load", func(t *testing.T) {
		d = listen(t, dir)
		load(t, d, dir, 2, false)
	})
	p := d.platter()
	var promises []any
	for len(p.log) > 0 && p.log[0].file != store.DataFile { // until the log is folded into it, which is at the end
		if o := p.spin(""); o.act == "promise" {
			promises = append(promises, o.promise)
		}
	}
	whole := p.durable[store.DataFile+"-wal"]
	// https://www.sqlite.org/fileformat2.html#walformat: a header of 32 bytes, and before each page one of 24.
	frame := 24 + int(binary.BigEndian.Uint32(whole[8:]))
	if len(whole) < 32+10*frame {
		t.Fatalf("the log has %d bytes only", len(whole))
	}
	rounds := 30
	if busy() {
		rounds = 6
	}
	random, older := mathrand.New(mathrand.NewPCG(5, 6)), 0
	for round := range rounds + 1 {
		at := max(0, len(whole)*round/rounds-1-random.IntN(frame))
		damaged, name := bytes.Clone(whole), "whole"
		switch {
		case round == rounds:
		case round%3 == 0 && at > 32:
			at -= (at - 32) % frame
			fallthrough
		case round%3 == 1:
			damaged, name = damaged[:at], fmt.Sprintf("cut to %d of %d bytes", at, len(whole))
		default:
			damaged[at] ^= byte(1 + random.IntN(255))
			name = fmt.Sprintf("byte %d of %d changed", at, len(whole))
		}
		t.Run(name, func(t *testing.T) {
			left := p.folder(t, nil)
			must(t, os.WriteFile(filepath.Join(left, store.DataFile+"-wal"), damaged, 0o600))
			told := false
			t.Run("remembered", func(t *testing.T) {
				h := open(t, left, nil)
				for _, promise := range promises {
					note, ok := promise.(promisedNote)
					if !ok {
						continue
					}
					r, err := verify.Ledger(t.Context(), verify.Source{Store: h.store, Sealer: h.keys, Known: []string{note.note}}, note.w, nil)
					must(t, err)
					told = told || len(r.Findings) > 0
				}
			})
			gone := len(broken(t, left, promises))
			if gone > 0 {
				older++
			}
			if gone > 0 && name == "whole" || told != (gone > 0) {
				t.Errorf("%d of %d promises don't hold, and whoever remembers can tell: %v", gone, len(promises), told)
			}
		})
	}
	if older < rounds*3/4 {
		t.Errorf("%d of %d damages made the ledgers older", older, rounds)
	}
}
