package ledger_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/tree"
	"github.com/stewardhq/steward/internal/ledger/verify"
	"github.com/stewardhq/steward/internal/store"
)

// written makes a folder of fill's ledgers.
func written(t testing.TB) string {
	t.Helper()
	at := place{dir: t.TempDir()}
	at.fill(t)
	return at.dir
}

// fill writes two workspaces of 20 entries each and closes them. Of each: 0 has two parts, 1 is an intent that
// 2 ends, 3 an intent that waits, the rest have a part each. Checkpoints are at 8, 9, 14 and 20.
func (at place) fill(t testing.TB) {
	t.Helper()
	ctx := context.Background()
	data, err := at.tryData(false)
	must(t, err)
	l, err := ledger.Open(ctx, ledger.Config{Store: store.Ledger{DB: data}, Sealer: at.openKeys(t), Now: clock(), Rand: rand.Reader, Origin: "steward.test"})
	must(t, err)
	part := ledger.Part{Scopes: month, Body: []byte("structure with tokens")}
	for _, w := range []steward.WorkspaceID{"ws_1", "ws_2"} {
		_, err := l.Append(ctx, w, ledger.Entry{Kind: ledger.RunStarted}, part, part)
		must(t, err)
		i, err := l.Begin(ctx, w, ledger.Entry{Tool: "t"}, part)
		must(t, err)
		_, err = l.End(ctx, i, ledger.Entry{Outcome: ledger.OK}, part)
		must(t, err)
		_, err = l.Begin(ctx, w, ledger.Entry{Tool: "t"}, part)
		must(t, err)
		for n := 4; n < 20; n++ {
			_, err := l.Append(ctx, w, ledger.Entry{Kind: ledger.RunRead, Records: 100 + n}, part)
			must(t, err)
			if n == 7 || n == 8 || n == 13 || n == 19 {
				_, err := l.Checkpoint(ctx, w)
				must(t, err)
			}
		}
	}
	must(t, l.Close(ctx))
	must(t, data.Close())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// verifyReadOnly opens a folder the way `steward verify` does: for reading only.
func verifyReadOnly(t testing.TB, dir string, w steward.WorkspaceID) (verify.Report, error) {
	t.Helper()
	return place{dir: dir}.verify(t, w)
}

// verify opens a place for reading only, and holds a ledger against itself and the checkpoints known.
func (at place) verify(t testing.TB, w steward.WorkspaceID, known ...string) (verify.Report, error) {
	t.Helper()
	data, err := at.tryData(true)
	if err != nil {
		return verify.Report{}, err
	}
	defer func() { _ = data.Close() }()
	k, done := at.readKeys(t)
	defer done()
	return verify.Ledger(context.Background(), verify.Source{Store: store.Ledger{DB: data}, Sealer: k, Known: known}, w, nil)
}

func TestVerifyFindsWhatWasTamperedWith(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes long, and nothing in it runs beside anything else")
	}
	onBoth(t, func(t *testing.T, at place) {
		at.fill(t)
		r, err := at.verify(t, ws)
		must(t, err)
		sound(t, r, 20)
		if r.Unsigned != 0 || r.Checkpoint.Size != 20 {
			t.Fatalf("before tampering: %+v", r)
		}
		back := at.keep(t)

		const rest = ` WHERE workspace = 'ws_1' AND seq `
		addEntry := func(of int, more ...deed) []deed { // a copy of an entry behind all others, with the head moved
			return append([]deed{
				do(fmt.Sprintf(`INSERT INTO ledger_tail SELECT workspace, 20, header, parts FROM ledger_tail`+rest+`= %d`, of)),
				header(20, fmt.Sprintf(`"seq":%d,`, of), `"seq":20,`),
				header(20, `"time":"2026-11-23T10:00:0`, `"time":"2026-11-23T11:00:0`),
				do(`UPDATE ledger_heads SET next = 21 WHERE workspace = 'ws_1'`),
			}, more...)
		}
		for _, c := range []struct {
			name string
			done []deed
			want string
			seq  int // -1: none in particular
		}{
			{"a count in a header", []deed{header(6, `"records":106`, `"records":107`)}, "entry 6 isn't what was signed", 6},
			{"a count in a header, and its hash in the tile", []deed{header(6, `"records":106`, `"records":107`), rewrite("ledger_tiles", "hashes", "workspace = 'ws_1'", zeros)}, "among entries 0 to 7 at least one isn't what was signed", 0},
			{"a tile", []deed{rewrite("ledger_tiles", "hashes", "workspace = 'ws_1'", zeros)}, "the tiles at the tree's right edge aren't what was signed", -1},
			{"a tile cut short", []deed{do(`UPDATE ledger_tiles SET hashes = substr(hashes, 1, 19*32) WHERE workspace = 'ws_1'`)}, "a tile at the tree's right edge can't be read", -1},
			{"a tile deleted", []deed{do(`DELETE FROM ledger_tiles WHERE workspace = 'ws_1'`)}, "a tile at the tree's right edge can't be read", -1},
			{"a count in the only entry of its checkpoint", []deed{header(8, `"records":108`, `"records":107`)}, "entry 8 isn't what was signed", 8},
			{"a space in a header", []deed{header(15, `"records":`, `"records": `)}, "entry 15 isn't what was signed", 15},
			{"a header that is no JSON", []deed{header(5, `{"seq"`, `["seq"`)}, "the header of entry 5 can't be read", 5},
			{"an empty header", []deed{rewrite("ledger_tail", "header", "workspace = 'ws_1' AND seq = 5", func([]byte) []byte { return []byte{} })}, "the header of entry 5 can't be read", 5},
			{"a kind", []deed{header(5, `run.read`, `run.raed`)}, "entry 5 is of no known kind", 5},
			{"a time", []deed{header(5, `2026-11-23`, `2025-11-23`)}, "entry 5 is earlier than the one before", 5},
			{"a part dropped", []deed{do(`UPDATE ledger_tail SET parts = NULL` + rest + `= 5`)}, "entry 5 should have 1 parts", 5},
			{"two parts swapped between entries", []deed{
				do(`UPDATE ledger_tail SET parts = (SELECT parts FROM ledger_tail WHERE workspace = 'ws_1' AND seq = 7)` + rest + `= 6`),
			}, "part 0 of entry 6 was changed", 6},
			{"a row deleted", []deed{do(`DELETE FROM ledger_tail` + rest + `= 5`)}, "entry 5 is missing", 5},
			{"rows deleted across a checkpoint", []deed{do(`DELETE FROM ledger_tail` + rest + `BETWEEN 6 AND 10`)}, "entries 6 to 10 are missing", 6},
			{"the first row deleted", []deed{do(`DELETE FROM ledger_tail` + rest + `= 0`)}, "entry 0 is missing", 0},
			{"all rows deleted", []deed{do(`DELETE FROM ledger_tail WHERE workspace = 'ws_1'`)}, "entries 0 to 19 are missing", 0},
			{"a row inserted in the middle", []deed{
				do(`UPDATE ledger_tail SET seq = -seq - 1` + rest + `>= 10`), do(`UPDATE ledger_tail SET seq = -seq` + rest + `< 0`),
				do(`INSERT INTO ledger_tail SELECT workspace, 10, header, parts FROM ledger_tail` + rest + `= 9`), do(`UPDATE ledger_heads SET next = 21 WHERE workspace = 'ws_1'`),
			}, "in the place of entry 10 stands entry 9", 10},
			{"a row added behind the end", []deed{do(`INSERT INTO ledger_tail SELECT workspace, 20, header, parts FROM ledger_tail` + rest + `= 19`)}, "entry 20 stands behind the end", 20},
			{"two rows swapped", []deed{do(`UPDATE ledger_tail SET seq = -1` + rest + `= 4`), do(`UPDATE ledger_tail SET seq = 4` + rest + `= 5`), do(`UPDATE ledger_tail SET seq = 5` + rest + `= -1`)}, "in the place of entry 4 stands entry 5", 4},
			{"two rows swapped, numbers too", []deed{
				do(`UPDATE ledger_tail SET seq = -1` + rest + `= 10`), do(`UPDATE ledger_tail SET seq = 10` + rest + `= 11`), do(`UPDATE ledger_tail SET seq = 11` + rest + `= -1`),
				header(10, `"seq":11,`, `"seq":10,`), header(11, `"seq":10,`, `"seq":11,`),
			}, "entry 10 isn't what was signed", 10},
			{"the tail cut off", []deed{do(`DELETE FROM ledger_tail` + rest + `>= 17`)}, "entries 17 to 19 are missing", 17},
			{"the tail cut off, head too", []deed{do(`DELETE FROM ledger_tail` + rest + `>= 17`), do(`UPDATE ledger_heads SET next = 17 WHERE workspace = 'ws_1'`)}, "a checkpoint over 20 entries was signed and the ledger has 17", 17},
			{"the tail cut off, head and its checkpoint too", []deed{do(`DELETE FROM ledger_tail` + rest + `>= 17`), do(`UPDATE ledger_heads SET next = 17, signed = 14 WHERE workspace = 'ws_1'`)}, "a checkpoint over 20 entries is there and the ledger has 17", 17},
			{"the head row deleted", []deed{do(`DELETE FROM ledger_heads WHERE workspace = 'ws_1'`)}, "entry 0 stands behind the end", 0},
			{"the head's time", []deed{do(`UPDATE ledger_heads SET last_us = last_us + 1 WHERE workspace = 'ws_1'`)}, "differ in time", -1},
			{"rows swapped between workspaces", []deed{do(`UPDATE ledger_tail SET workspace = 'x' WHERE workspace = 'ws_1' AND seq = 8`), do(`UPDATE ledger_tail SET workspace = 'ws_1' WHERE workspace = 'ws_2' AND seq = 8`)}, "entry 8 isn't what was signed", 8},
			{"workspaces swapped wholly", swapAll(), "the checkpoint over 8 entries isn't what this ledger's key signed", -1},
			{"a checkpoint signed with another key", []deed{resign}, "the checkpoint over 20 entries isn't what this ledger's key signed", -1},
			{"a record forged wholly, with another key", []deed{header(15, `"records":115`, `"records":116`), forge}, "the checkpoint over 20 entries isn't what this ledger's key signed", -1},
			{"a checkpoint's root", []deed{do(`UPDATE ledger_checkpoints SET note = (SELECT c.note FROM ledger_checkpoints c WHERE c.workspace = 'ws_1' AND c.size = 9) WHERE workspace = 'ws_1' AND size = 14`)}, "the checkpoint over 14 entries isn't", -1},
			{"a checkpoint's range", []deed{rewrite("ledger_checkpoints", "hashes", "workspace = 'ws_1' AND size = 14", zeros)}, "the checkpoint over 14 entries isn't", -1},
			{"a checkpoint over more than there is", []deed{do(`UPDATE ledger_checkpoints SET size = 25 WHERE workspace = 'ws_1' AND size = 20`)}, "the checkpoint over 20 entries is missing", -1},
			{"the last checkpoint deleted", []deed{do(`DELETE FROM ledger_checkpoints WHERE workspace = 'ws_1' AND size = 20`)}, "the checkpoint over 20 entries is missing", -1},
			{"an open intent forgotten", []deed{do(`DELETE FROM open_intents WHERE workspace = 'ws_1'`)}, "entry 3 is an intent without outcome, and isn't listed", 3},
			{"a closed intent opened", []deed{do(`INSERT INTO open_intents VALUES ('ws_1', 1, 'n')`)}, "entry 1 is listed as an intent without outcome, and isn't one", 1},
			{"a second outcome", addEntry(2), "entry 20 is a second outcome for the intent 1", 20},
			{"an outcome without intent", addEntry(2, header(20, `"intent":1`, `"intent":7`)), "entry 20 is an outcome for 7, which is no intent", 20},
			{"an outcome of the future", addEntry(2, header(20, `"intent":1`, `"intent":77`)), "entry 20 is an outcome for 77, which is no intent", 20},
			{"an outcome of nothing", addEntry(2, header(20, `,"intent":1`, ``)), "entry 20 is an outcome that names no intent", 20},
		} {
			t.Run(c.name, func(t *testing.T) {
				at.tamper(t, c.done...)
				defer back()
				r, err := at.verify(t, ws)
				must(t, err)
				at.agree(t)
				for _, f := range r.Findings {
					if strings.Contains(f.What, c.want) && (f.Seq == nil) == (c.seq < 0) && (f.Seq == nil || *f.Seq == uint64(c.seq)) {
						return
					}
				}
				t.Errorf("nothing like %q at %d among %s", c.want, c.seq, show(r.Findings))
			})
		}
	})
}

func show(findings []verify.Finding) string {
	var b strings.Builder
	for _, f := range findings {
		seq := "-"
		if f.Seq != nil {
			seq = fmt.Sprint(*f.Seq)
		}
		fmt.Fprintf(&b, "\n  %s: %s", seq, f.What)
	}
	return b.String()
}

// swapAll swaps two workspaces, in every table.
func swapAll() (all []deed) {
	for _, table := range []string{"ledger_heads", "ledger_tail", "open_intents", "ledger_checkpoints"} {
		for _, move := range [][2]string{{"ws_1", "x"}, {"ws_2", "ws_1"}, {"x", "ws_2"}} {
			all = append(all, do(fmt.Sprintf(`UPDATE %s SET workspace = '%s' WHERE workspace = '%s'`, table, move[1], move[0])))
		}
	}
	return all
}

// resign signs the last checkpoint's text again, with a key of one's own.
func resign(db behind) {
	db.t.Helper()
	rewrite("ledger_checkpoints", "note", "workspace = 'ws_1' AND size = 20", func(signed []byte) []byte {
		text, _, _ := bytes.Cut(signed, []byte("\n\n"))
		skey, _, err := note.GenerateKey(rand.Reader, "steward.test/ws_1")
		must(db.t, err)
		signer, err := note.NewSigner(skey)
		must(db.t, err)
		forged, err := note.Sign(&note.Note{Text: string(text) + "\n"}, signer)
		must(db.t, err)
		return forged
	})(db)
}

// forge makes tree and last checkpoint anew over the entries as they are, signed with a key of one's own.
func forge(db behind) {
	db.t.Helper()
	rows, err := db.Query(`SELECT header FROM ledger_tail WHERE workspace = 'ws_1' ORDER BY seq`)
	must(db.t, err)
	edge := &tree.Edge{}
	var scratch []byte
	for rows.Next() {
		var b []byte
		must(db.t, rows.Scan(&b))
		leaf := tree.HashLeaf(b, &scratch)
		edge.Append(leaf[:])
	}
	must(db.t, rows.Err())
	cp, err := tree.Sign(edge, "steward.test/ws_1", tree.SeedKey([32]byte{1}))
	must(db.t, err)
	do(`UPDATE ledger_checkpoints SET note = $1, hashes = $2 WHERE workspace = 'ws_1' AND size = 20`, []byte(cp.Note), bytes.Join(edge.Hashes(), nil))(db)
	for _, tile := range edge.Changed() {
		do(`UPDATE ledger_tiles SET hashes = $1 WHERE workspace = 'ws_1' AND level = $2 AND n = $3`, tile.Hashes, tile.Level, int64(tile.N))(db)
	}
}

// TestVerifyFindsEveryFlippedBit flips one bit of every 7th byte of an entry, header and parts.
func TestVerifyFindsEveryFlippedBit(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes long, and nothing in it runs beside anything else")
	}
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		at.fill(t)
		data := at.openData(t, true)
		k, done := at.readKeys(t)
		defer done()
		look := func() verify.Report {
			r, err := verify.Ledger(ctx, verify.Source{Store: store.Ledger{DB: data}, Sealer: k}, ws, nil)
			must(t, err)
			return r
		}
		rows, err := store.Ledger{DB: data}.Rows(ctx, ws, 0, 1, true)
		must(t, err)
		db := at.behind(t)
		defer func() { must(t, db.Close()) }()
		for column, was := range map[string][]byte{"header": rows[0].Header, "parts": rows[0].Parts} {
			set := func(b []byte) {
				do(`UPDATE ledger_tail SET `+column+` = $1 WHERE workspace = 'ws_1' AND seq = 0`, b)(db)
			}
			for i := 0; i < len(was); i += 7 {
				now := bytes.Clone(was)
				now[i] ^= 1 << (i % 8)
				set(now)
				if r := look(); !slices.ContainsFunc(r.Findings, func(f verify.Finding) bool { return f.Seq != nil && *f.Seq == 0 }) {
					t.Errorf("byte %d of %s flipped: %s", i, column, show(r.Findings))
				}
			}
			set(was)
		}
		sound(t, look(), 20)
	})
}

// TestVerifySurvivesDamagedPages overwrites each page of the database file in turn. Where the page is part
// of the schema the database doesn't open, which says it too; every other is a finding.
func TestVerifySurvivesDamagedPages(t *testing.T) {
	base := written(t)
	path := filepath.Join(base, store.DataFile)
	whole, err := os.ReadFile(path)
	must(t, err)
	const page = 4096
	unopened := 0
	for at := 0; at < len(whole); at += page {
		damaged := bytes.Clone(whole)
		for i := range page {
			damaged[at+i] ^= 0xff
		}
		must(t, os.WriteFile(path, damaged, 0o600))
		if data, err := store.OpenReadOnly(context.Background(), base, store.DataFile); err != nil {
			unopened++
			continue
		} else {
			must(t, data.Close())
		}
		r, err := verifyReadOnly(t, base, ws)
		if err != nil {
			t.Errorf("page %d: an error instead of a finding: %v", at/page, err)
		} else if len(r.Findings) == 0 {
			t.Errorf("page %d: nothing found", at/page)
		}
	}
	if pages := len(whole) / page; unopened == 0 || unopened > pages/4 {
		t.Errorf("with %d of %d pages damaged the database didn't open", unopened, pages)
	}
}

func TestVerifyBesideAWriter(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		h := at.open(t, nil)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					i, err := h.Begin(ctx, ws, ledger.Entry{Tool: "t"}, ledger.Part{Scopes: month, Body: []byte("x")})
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
		entries := uint64(0)
		for range 25 {
			var last uint64
			data, err := at.tryData(true)
			must(t, err)
			r, err := verify.Ledger(ctx, verify.Source{Store: store.Ledger{DB: data}, Sealer: h.keys}, ws, func(done, total uint64) {
				if done < last || done > total {
					t.Errorf("progress went from %d to %d of %d", last, done, total)
				}
				last = done
			})
			must(t, err)
			must(t, data.Close())
			if len(r.Findings) > 0 || r.Entries < entries || last != r.Entries {
				t.Fatalf("beside a writer: %d entries, progress %d, %s", r.Entries, last, show(r.Findings))
			}
			entries = r.Entries
			if _, err := h.Checkpoint(ctx, ws); err != nil {
				t.Fatal(err)
			}
		}
		close(stop)
		wg.Wait()
		if entries == 0 {
			t.Error("nothing was written meanwhile")
		}
	})
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		h := at.open(t, nil)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if r, err := verify.Ledger(ctx, verify.Source{Store: h.store, Sealer: h.keys}, ws, nil); err == nil {
			t.Errorf("a cancelled verification reported %+v", r)
		}
	})
}

// TestVerifyReadsManyPagesAndTiles damages a ledger of several tiles, levels and pages at places all over it.
func TestVerifyReadsManyPagesAndTiles(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		h := at.open(t, nil)
		const entries = 3000
		events := make([]ledger.Event, entries/3)
		for i := range events {
			events[i] = ledger.Event{Entry: ledger.Entry{Kind: ledger.RunRead, Records: i + 1}, Parts: []ledger.Part{{Scopes: month, Body: []byte("part")}}}
		}
		for n := range 3 {
			first, err := h.AppendAll(ctx, ws, events...)
			if err != nil || first != uint64(n*len(events)) {
				t.Fatalf("entries begin at %d, %v", first, err)
			}
			_, err = h.Checkpoint(ctx, ws)
			must(t, err)
		}
		_, err := h.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead})
		must(t, err)
		must(t, h.Close(ctx))
		r := h.verify(t, ws)
		sound(t, r, entries+1)

		for _, c := range []struct {
			done, undone deed
			want         string
		}{
			{rewrite("ledger_tail", "header", "seq IN (300, 1500, 2999)", replaced(`"records":`, `"records": `)), rewrite("ledger_tail", "header", "seq IN (300, 1500, 2999)", replaced(`"records": `, `"records":`)), "300 1500 2999"},
			{do(`UPDATE ledger_tail SET seq = -seq WHERE seq IN (1024, 2047)`), do(`UPDATE ledger_tail SET seq = -seq WHERE seq < 0`), "1024 2047"},
			{do(`UPDATE ledger_tiles SET n = 90 WHERE level = 0 AND n = 7`), do(`UPDATE ledger_tiles SET n = 7 WHERE n = 90`), "tile 7 of level 0 is missing"},
			{do(`UPDATE ledger_tiles SET hashes = (SELECT t.hashes FROM ledger_tiles t WHERE t.level = 0 AND t.n = 4) WHERE level = 0 AND n = 5`), nil, "tile 5 of level 0 isn't what was signed"},
		} {
			at.tamper(t, c.done)
			r := h.verify(t, ws)
			var found []string
			for _, f := range r.Findings {
				if f.Seq != nil {
					found = append(found, fmt.Sprint(*f.Seq))
				} else {
					found = append(found, f.What)
				}
			}
			if got := strings.Join(found, " "); got != c.want {
				t.Errorf("instead of %s: %s", c.want, show(r.Findings))
			}
			if c.undone != nil {
				at.tamper(t, c.undone)
			}
		}
	})
}

// TestVerifyFindsAStorePutBack takes everything back to an older copy, keys included: only who remembers a
// checkpoint can tell.
func TestVerifyFindsAStorePutBack(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		var notes []string
		grow := func(at place, records int) {
			t.Helper()
			data, err := at.tryData(false)
			must(t, err)
			l, err := ledger.Open(ctx, ledger.Config{
				Store: store.Ledger{DB: data}, Sealer: at.openKeys(t), Now: clock(), Rand: rand.Reader, Origin: "steward.test",
				Checkpoints: func(_ context.Context, _ steward.WorkspaceID, note string) error {
					notes = append(notes, note)
					return nil
				},
			})
			must(t, err)
			for _, w := range []steward.WorkspaceID{"ws_1", "ws_2"} {
				for range 5 {
					_, err := l.Append(ctx, w, ledger.Entry{Kind: ledger.RunRead, Records: records})
					must(t, err)
				}
				_, err := l.Checkpoint(ctx, w)
				must(t, err)
			}
			must(t, l.Close(ctx))
			must(t, data.Close())
		}
		verified := func(at place, known ...string) verify.Report {
			t.Helper()
			r, err := at.verify(t, ws, known...)
			must(t, err)
			at.agree(t)
			return r
		}
		grow(at, 1)
		back := at.keep(t)
		grow(at, 2)
		if len(notes) < 4 {
			t.Fatalf("%d checkpoints were handed on, want one a workspace and time", len(notes))
		}
		sound(t, verified(at, notes...), 10)
		back()
		sound(t, verified(at), 5) // by itself the older state is flawless
		r := verified(at, notes...)
		if len(r.Findings) != 1 || r.Findings[0].Seq == nil || *r.Findings[0].Seq != 5 || !strings.Contains(r.Findings[0].What, "put back to an older state") {
			t.Errorf("put back: %s", show(r.Findings))
		}
		grow(at, 3) // and goes on from there, differently
		r = verified(at, notes[:4]...)
		if len(r.Findings) != 1 || !strings.Contains(r.Findings[0].What, "the first 10 entries aren't those of a remembered checkpoint") {
			t.Errorf("forked: %s", show(r.Findings))
		}
		at = at.anew(t) // all of it again, with a root key of its own
		grow(at, 1)
		r = verified(at, notes[0])
		if len(r.Findings) != 1 || !strings.Contains(r.Findings[0].What, "isn't signed with this ledger's key") {
			t.Errorf("written anew: %s", show(r.Findings))
		}
	})
}
