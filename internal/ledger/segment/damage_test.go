package segment_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/ledger/segment/columns"
	"github.com/stewardhq/steward/internal/ledger/verify"
	"github.com/stewardhq/steward/internal/store"
)

// sealed is a house with 1,200 entries of which 1,024 lie in two segments, in memory.
func sealed(t *testing.T) (*house, *memory) {
	t.Helper()
	var m *memory
	h := open(t, t.TempDir(), func(h *house) { m = h.useMemory(); h.archive.Entries = 512 })
	h.fill(t, ws, 1200, time.Second)
	must(t, h.archive.Pass(context.Background()))
	if len(h.manifest(t, ws)) != 2 {
		t.Fatal("nothing was sealed")
	}
	return h, m
}

// look verifies with a store that has nothing open yet.
func (h *house) look(t *testing.T, checked bool) verify.Report {
	t.Helper()
	s := &segment.Store{Store: h.tail, Manifest: h.segments, Blobs: h.blobs}
	defer s.Close()
	r, err := verify.Ledger(context.Background(), verify.Source{Store: s, Sealer: h.keys, Checked: checked}, ws, nil)
	must(t, err)
	return r
}

// Whatever changes in an object is found, and nothing crashes or is passed off as an entry.
func TestDamageIsFound(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes long, and nothing in it runs beside anything else")
	}
	ctx := context.Background()
	h, m := sealed(t)
	want := everything(t, h.store, ws)
	objects := h.manifest(t, ws)[1].Objects
	if r := h.look(t, false); len(r.Findings) > 0 {
		t.Fatalf("before: %+v", r.Findings)
	}
	type damage struct {
		name string
		do   func(b []byte) []byte
	}
	for _, o := range objects {
		whole := m.objects[o.Name]
		damages := []damage{
			{"missing", func([]byte) []byte { return nil }},
			{"empty", func([]byte) []byte { return []byte{} }},
			{"cut in half", func(b []byte) []byte { return b[:len(b)/2] }},
			{"cut by one", func(b []byte) []byte { return b[:len(b)-1] }},
			{"longer by one", func(b []byte) []byte { return append(bytes.Clone(b), 0) }},
			{"zeros", func(b []byte) []byte { return make([]byte, len(b)) }},
		}
		for i := range 15 {
			at := len(whole) * i / 10
			if i >= 10 {
				at = len(whole) - 1 - (i-10)*(i-10)*19 // the footer
			}
			damages = append(damages, damage{fmt.Sprint("bit flipped at ", at, " of ", len(whole)), func(b []byte) []byte {
				b = bytes.Clone(b)
				b[at] ^= 1 << (i % 8)
				return b
			}})
		}
		for _, d := range damages {
			t.Run(string(o.Kind)+" "+o.Scopes+" "+d.name, func(t *testing.T) {
				if m.objects[o.Name] = d.do(whole); d.name == "missing" {
					delete(m.objects, o.Name)
				}
				defer func() { m.objects[o.Name] = whole }()
				if r := h.look(t, false); len(r.Findings) == 0 {
					t.Error("nothing was found")
				}
				// What still reads is what was written; what doesn't says so.
				s := &segment.Store{Store: h.tail, Manifest: h.segments, Blobs: h.blobs}
				defer s.Close()
				rows, err := s.Rows(ctx, ws, 512, 2000, true)
				if err != nil && (steward.KindOf(err) != steward.Internal || !strings.Contains(steward.Message(err), "entries 5")) {
					t.Errorf("reading: %v", err)
				}
				changed := 0
				for _, row := range rows {
					if string(row.Header)+"\n"+string(row.Parts) != want[row.Seq] {
						changed++
					}
				}
				if r := h.look(t, true); changed > 0 && len(r.Findings) == 0 {
					t.Errorf("%d entries read otherwise, and none was found", changed)
				} else if err != nil && len(r.Findings) == 0 {
					t.Errorf("reading fails with %v, and nothing was found", err)
				}
				err = s.Search(ctx, ws, &ledger.Query{Kind: ledger.RunRead, Member: "mem_1", Target: "salesforce:Opportunity:3"}, 0, 1200, func(ledger.Row) bool { return true })
				if err != nil && steward.KindOf(err) != steward.Internal {
					t.Errorf("searching: %v", err)
				}
			})
		}
	}
	if r := h.look(t, false); len(r.Findings) > 0 {
		t.Fatalf("after: %+v", r.Findings)
	}
}

// swapped is a manifest that names others' objects, as whoever can write to the database could have it.
type swapped struct {
	segment.Manifest
	change func(ws steward.WorkspaceID, list []segment.Segment)
}

func (s swapped) Segments(ctx context.Context, ws steward.WorkspaceID, span segment.Span) ([]segment.Segment, error) {
	list, err := s.Manifest.Segments(ctx, ws, span)
	s.change(ws, list)
	return list, err
}

func (s swapped) Objects(context.Context, string, int) ([]segment.Placed, error) { return nil, nil }

// Objects in the place of others are found, whoever else's they are and even where the manifest agrees.
func TestForgeriesAreFound(t *testing.T) {
	ctx := context.Background()
	h, m := sealed(t)
	h.fill(t, "ws_2", 1200, time.Second)
	must(t, h.archive.Pass(ctx))
	ours, theirs := h.manifest(t, ws), h.manifest(t, "ws_2")

	// forged writes a file of our second segment's headers anew, changed.
	forged := func(t *testing.T, label columns.Label, change func(*columns.Header)) segment.Object {
		t.Helper()
		w, err := columns.NewHeaders(t.TempDir())
		must(t, err)
		defer w.Remove()
		rows, err := h.store.Rows(ctx, ws, 512, 512, false)
		must(t, err)
		for _, row := range rows {
			h, err := ledger.Decode(&row)
			must(t, err)
			line := columns.Header{Seq: int64(row.Seq), Parts: int32(len(h.Parts)), Header: row.Header}
			change(&line)
			must(t, w.Add(line, 1))
		}
		must(t, w.Close(label))
		content, size, sum, err := w.Content()
		must(t, err)
		name := fmt.Sprint("ledger/forged/", len(m.objects))
		must(t, m.Put(ctx, name, content, size, time.Time{}))
		return segment.Object{Name: name, Kind: segment.Headers, Size: size, SHA256: sum}
	}
	label := columns.Label{Workspace: ws, First: 512, Entries: 512}
	honest := forged(t, label, func(*columns.Header) {})
	other := label
	other.Workspace = "ws_2"

	of := func(list []segment.Segment, kind segment.Kind, n int) segment.Object {
		for _, o := range list[n].Objects {
			if o.Kind == kind {
				return o
			}
		}
		panic("none")
	}
	put := func(list []segment.Segment, with segment.Object) {
		for i := range list {
			for j := range list[i].Objects {
				if list[i].First == 512 && list[i].Objects[j].Kind == with.Kind {
					list[i].Objects[j] = with
					return
				}
			}
		}
	}
	tiles := bytes.Clone(m.objects[of(ours, segment.Tiles, 1).Name])
	tiles[77]++
	sum := sha256.Sum256(tiles)
	m.objects["ledger/forged/tiles"] = tiles
	for name, c := range map[string]struct {
		with  segment.Object
		fails string // what is found says; "" where it has to pass
	}{
		"the same headers":            {honest, ""},
		"another workspace's headers": {of(theirs, segment.Headers, 1), "can't be read"},
		"another segment's headers":   {of(ours, segment.Headers, 0), "can't be read"},
		"labelled as another's":       {forged(t, other, func(*columns.Header) {}), "can't be read"},
		"another workspace's parts":   {of(theirs, segment.Parts, 1), "can't be read"},
		"another segment's parts":     {of(ours, segment.Parts, 0), "from entry 513 on, parts are missing"},
		"another workspace's tiles":   {of(theirs, segment.Tiles, 1), "tile"},
		"a tile that was changed":     {segment.Object{Name: "ledger/forged/tiles", Kind: segment.Tiles, Size: int64(len(tiles)), SHA256: sum[:]}, "tile 2"},
		"a header that was changed": {forged(t, label, func(l *columns.Header) {
			l.Header = bytes.Replace(l.Header, []byte(`"records":3`), []byte(`"records":2`), 1)
		}), "isn't what was signed"},
		"headers in another order": {forged(t, label, func(l *columns.Header) { l.Header = bytes.Replace(l.Header, []byte(`"seq":7`), []byte(`"seq":8`), 1) }), "in the place of entry 700"},
		"a header that is none":    {forged(t, label, func(l *columns.Header) { l.Header = []byte("{}") }), "no known kind"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &segment.Store{Store: h.tail, Blobs: h.blobs, Manifest: swapped{h.segments, func(w steward.WorkspaceID, list []segment.Segment) {
				if w == ws {
					put(list, c.with)
				}
			}}}
			defer s.Close()
			r, err := verify.Ledger(ctx, verify.Source{Store: s, Sealer: h.keys}, ws, nil)
			must(t, err)
			text := ""
			for _, f := range r.Findings {
				text += f.What + "\n"
			}
			if (c.fails == "") != (len(r.Findings) == 0) || !strings.Contains(text, c.fails) {
				t.Errorf("found %.300s, want %q", text, c.fails)
			}
		})
	}
}

// What was changed before it is sealed isn't sealed; and what can't be signed stays where it is.
func TestOnlyWhatWasSignedIsSealed(t *testing.T) {
	ctx := context.Background()
	for name, change := range map[string]string{
		"a header":              `UPDATE ledger_tail SET header = replace(header, '"records":3', '"records":2') WHERE seq = 3`,
		"a part":                `UPDATE ledger_tail SET parts = zeroblob(length(parts)) WHERE seq = 3`,
		"a part's bytes":        `UPDATE ledger_tail SET parts = (SELECT parts FROM ledger_tail WHERE seq = 6) WHERE seq = 3`,
		"an entry that is gone": `DELETE FROM ledger_tail WHERE seq = 200`,
		"a tile":                `UPDATE ledger_tiles SET hashes = zeroblob(length(hashes)) WHERE level = 0 AND n = 1`,
		"a note":                `UPDATE ledger_checkpoints SET note = replace(note, 'steward', 'stewerd')`,
		"no checkpoint":         `DELETE FROM ledger_checkpoints`,
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, t.TempDir(), func(h *house) { h.useMemory(); h.archive.Entries = 256 })
			h.fill(t, ws, 300, time.Second)
			edit(t, h.dir, change)
			if err := h.archive.Pass(ctx); steward.KindOf(err) != steward.Internal || err == nil {
				t.Errorf("sealing it: %v", err)
			}
			if list := h.manifest(t, ws); len(list) != 0 {
				t.Errorf("sealed: %+v", list)
			}
			if left, err := os.ReadDir(h.archive.Spool); err != nil || len(left) > 0 {
				t.Errorf("prepared and left: %v, %v", left, err)
			}
		})
	}
}

// Parts whose object was dropped are empty, and the headers read on.
func TestDroppedParts(t *testing.T) {
	h, m := sealed(t)
	before := everything(t, h.store, ws)
	s := &segment.Store{Store: h.tail, Blobs: h.blobs, Manifest: swapped{h.segments, func(_ steward.WorkspaceID, list []segment.Segment) {
		for i := range list {
			list[i].Objects = slices.DeleteFunc(list[i].Objects, func(o segment.Object) bool { return o.Kind == segment.Parts && strings.HasPrefix(o.Scopes, "prompt/") })
		}
	}}}
	defer s.Close()
	after := everything(t, s, ws)
	if len(after) != len(before) {
		t.Fatalf("%d entries of %d", len(after), len(before))
	}
	for i := range after {
		header, parts, _ := strings.Cut(after[i], "\n")
		was, all, _ := strings.Cut(before[i], "\n")
		if header != was || i >= 1024 && parts != all || i < 1024 && i%3 == 0 && (len(parts) >= len(all) || !strings.HasPrefix(all, parts[:len(parts)-1])) {
			t.Fatalf("entry %d: %q, before %q", i, after[i], before[i])
		}
	}
	if len(slices.Collect(maps.Keys(m.objects))) != 8 {
		t.Error("objects were touched")
	}
}

// edit changes the database behind Steward's back.
func edit(t testing.TB, dir, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, store.DataFile)+"?_pragma=busy_timeout(10000)")
	must(t, err)
	defer func() { _ = db.Close() }()
	r, err := db.Exec(statement)
	must(t, err)
	if n, _ := r.RowsAffected(); n == 0 {
		t.Fatalf("%s changed nothing", statement)
	}
}
