package ledger_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/blob"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/ledger/verify"
	"github.com/stewardhq/steward/internal/store"
)

// objects is where sealed segments lie at a place.
func (at place) objects() string { return filepath.Join(at.dir, "objects") }

// segments is a database's ledgers with what of them is sealed.
func (at place) segments(db *store.DB) *segment.Store {
	return &segment.Store{Store: store.Ledger{DB: db}, Manifest: store.Segments{DB: db}, Blobs: blob.Folder{Dir: at.objects(), Now: time.Now}}
}

// seal writes two workspaces of 600 entries with a part each, of which the first 512 come into two segments,
// and closes them. It gives the checkpoints that were signed.
func (at place) seal(t testing.TB) (notes []string) {
	t.Helper()
	ctx := context.Background()
	data, err := at.tryData(false)
	must(t, err)
	must(t, os.Mkdir(at.objects(), 0o700))
	record, k := at.segments(data), at.openKeys(t)
	l, err := ledger.Open(ctx, ledger.Config{
		Store: record, Sealer: k, Now: clock(), Rand: rand.Reader, Origin: "steward.test",
		Checkpoints: func(_ context.Context, _ steward.WorkspaceID, note string) error {
			notes = append(notes, note)
			return nil
		},
	})
	must(t, err)
	for _, w := range []steward.WorkspaceID{"ws_1", "ws_2"} {
		for range 3 {
			events := make([]ledger.Event, 200)
			for i := range events {
				events[i] = ledger.Event{Entry: ledger.Entry{Kind: ledger.RunRead, Records: i + 1}, Parts: []ledger.Part{{Scopes: month, Body: fmt.Append(nil, w, i)}}}
			}
			_, err := l.AppendAll(ctx, w, events...)
			must(t, err)
			_, err = l.Checkpoint(ctx, w)
			must(t, err)
		}
	}
	archivist := &segment.Archivist{Store: record, Catalog: store.Segments{DB: data}, Sealer: k, Spool: t.TempDir(), Now: clock(), Rand: rand.Reader, Entries: 256}
	must(t, archivist.Pass(ctx))
	must(t, l.Close(ctx))
	record.Close()
	must(t, data.Close())
	return notes
}

// names are a segment's objects of a kind: where "" is given, all.
func names(db behind, w steward.WorkspaceID, first int, kind segment.Kind) (all []string) {
	db.t.Helper()
	rows, err := db.Query(`SELECT name FROM ledger_objects WHERE workspace = $1 AND first = $2 AND ($3 = '' OR kind = $3) ORDER BY name`, string(w), first, string(kind))
	must(db.t, err)
	for rows.Next() {
		var name string
		must(db.t, rows.Scan(&name))
		all = append(all, name)
	}
	must(db.t, rows.Err())
	if len(all) == 0 {
		db.t.Fatalf("the segment of %s from %d on has no %s", w, first, kind)
	}
	return all
}

// TestVerifyFindsWhatWasTamperedWithInSegments goes at what is sealed: the objects, and the rows that name them.
func TestVerifyFindsWhatWasTamperedWithInSegments(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes long, and nothing in it runs beside anything else")
	}
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		notes := at.seal(t)
		look := func(t *testing.T) verify.Report {
			t.Helper()
			data, err := at.tryData(true)
			must(t, err)
			defer func() { must(t, data.Close()) }()
			k, done := at.readKeys(t)
			defer done()
			record := at.segments(data)
			defer record.Close()
			agree(t, at.workspaces(t), record, k)
			r, err := verify.Ledger(ctx, verify.Source{Store: record, Sealer: k, Known: notes}, ws, nil)
			must(t, err)
			return r
		}
		sound(t, look(t), 600)
		var left int
		must(t, at.behind(t).QueryRow(`SELECT count(*) FROM ledger_tail WHERE workspace = 'ws_1' AND seq < 512`).Scan(&left))
		if left > 0 {
			t.Fatal("what is sealed is in the tail too, so that nothing here is about segments")
		}
		back := at.keep(t)

		// content changes the bytes of our second segment's object of a kind.
		content := func(kind segment.Kind, change func([]byte) []byte) deed {
			return func(db behind) {
				path := filepath.Join(at.objects(), names(db, ws, 256, kind)[0])
				b, err := os.ReadFile(path)
				must(db.t, err)
				must(db.t, os.Remove(path))
				must(db.t, os.WriteFile(path, change(b), 0o600))
			}
		}
		flip := func(b []byte) []byte { b[len(b)/3] ^= 1; return b }
		half := func(b []byte) []byte { return b[:len(b)/2] }
		gone := func(kind segment.Kind) deed {
			return func(db behind) { must(db.t, os.Remove(filepath.Join(at.objects(), names(db, ws, 256, kind)[0]))) }
		}
		// files has our second segment's objects and those of another trade their names.
		files := func(kind segment.Kind, w steward.WorkspaceID, first int) deed {
			return func(db behind) {
				a, b := filepath.Join(at.objects(), names(db, ws, 256, kind)[0]), filepath.Join(at.objects(), names(db, w, first, kind)[0])
				must(db.t, os.Rename(a, a+".x"))
				must(db.t, os.Rename(b, a))
				must(db.t, os.Rename(a+".x", b))
			}
		}
		// rows has the two segments trade their rows: the manifest agrees with what lies there.
		rows := func(w steward.WorkspaceID, first int) deed {
			return func(db behind) {
				ours, theirs := names(db, ws, 256, ""), names(db, w, first, "")
				for _, name := range ours {
					do(`UPDATE ledger_objects SET workspace = $1, first = $2 WHERE name = $3`, string(w), first, name)(db)
				}
				for _, name := range theirs {
					do(`UPDATE ledger_objects SET workspace = $1, first = $2 WHERE name = $3`, string(ws), 256, name)(db)
				}
			}
		}
		const unreadable = "can't be read: entries "
		for _, c := range []struct {
			name string
			done []deed
			want string
		}{
			{"a bit of the headers", []deed{content(segment.Headers, flip)}, unreadable},
			{"the headers cut off", []deed{content(segment.Headers, half)}, unreadable},
			{"the headers deleted", []deed{gone(segment.Headers)}, unreadable},
			{"a bit of the parts", []deed{content(segment.Parts, flip)}, unreadable},
			{"the parts deleted", []deed{gone(segment.Parts)}, unreadable},
			{"the tiles zeroed", []deed{content(segment.Tiles, zeros)}, "tile 1 of level 0"},
			{"the tiles deleted", []deed{gone(segment.Tiles)}, "tile"},
			{"headers swapped with another segment's", []deed{files(segment.Headers, ws, 0)}, "can't be read"},
			{"headers swapped with another workspace's", []deed{files(segment.Headers, "ws_2", 256)}, unreadable},
			{"parts swapped with another workspace's", []deed{files(segment.Parts, "ws_2", 256)}, unreadable},
			{"rows swapped with another segment's", []deed{rows(ws, 0)}, "can't be read"},
			{"rows swapped with another workspace's", []deed{rows("ws_2", 256)}, unreadable},
			{"a segment left out", []deed{do(`DELETE FROM ledger_segments WHERE workspace = 'ws_1' AND first = 256`)}, "entries 256 to 511 are missing"},
			{"the first segment left out", []deed{do(`DELETE FROM ledger_segments WHERE workspace = 'ws_1' AND first = 0`)}, "entries 0 to 255 are missing"},
			{"a segment said to be shorter", []deed{do(`UPDATE ledger_segments SET entries = 128 WHERE workspace = 'ws_1' AND first = 256`)}, unreadable},
			{"a segment's object left out", []deed{do(`DELETE FROM ledger_objects WHERE workspace = 'ws_1' AND first = 256 AND kind = 'headers'`)}, unreadable},
			{"another digest for an object", []deed{rewrite("ledger_objects", "sha256", "workspace = 'ws_1' AND first = 256 AND kind = 'headers'", zeros)}, "part of the database can't be read"},
			{"the end cut off, back into a segment", []deed{
				do(`DELETE FROM ledger_segments WHERE workspace = 'ws_1' AND first = 256`), do(`DELETE FROM ledger_tail WHERE workspace = 'ws_1'`),
				do(`DELETE FROM ledger_checkpoints WHERE workspace = 'ws_1' AND size > 256`), do(`UPDATE ledger_heads SET next = 256, signed = 200 WHERE workspace = 'ws_1'`),
			}, "put back to an older state"},
			{"the tail behind the segments changed", []deed{header(550, `"records":151`, `"records":152`)}, "entry 550 isn't what was signed"},
		} {
			t.Run(c.name, func(t *testing.T) {
				at.tamper(t, c.done...)
				defer back()
				found := show(look(t).Findings)
				if !strings.Contains(found, c.want) {
					t.Errorf("nothing like %q among %s", c.want, found)
				}
			})
		}
		sound(t, look(t), 600)
	})
}

// A reader gets what was sealed or is told that it can't be read, never what somebody put into its place.
func TestReadersAreNotDeceivedByTheTail(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		ctx := context.Background()
		at.seal(t)
		db := at.openData(t, true)
		record := at.segments(db)
		defer record.Close()
		before, err := record.Rows(ctx, ws, 100, 1, true)
		must(t, err)
		at.tamper(t, do(`INSERT INTO ledger_tail (workspace, seq, header, parts) VALUES ('ws_1', 100, $1, $2)`, bytes.ReplaceAll(before[0].Header, []byte(`"records":101`), []byte(`"records":999`)), before[0].Parts))
		after, err := record.Rows(ctx, ws, 100, 1, true)
		must(t, err)
		if !bytes.Equal(after[0].Header, before[0].Header) || !bytes.Equal(after[0].Parts, before[0].Parts) {
			t.Errorf("entry 100 reads as %s, and was %s", after[0].Header, before[0].Header)
		}
	})
}
