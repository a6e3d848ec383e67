package columns_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/stewardhq/steward/internal/ledger/segment/columns"
)

var label = columns.Label{Workspace: "ws_1", First: 512, Entries: 3000, Scopes: ""}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// headers is a file of some.
func headers(t testing.TB, rows int) []byte {
	t.Helper()
	w, err := columns.NewHeaders(t.TempDir())
	must(t, err)
	defer w.Remove()
	for i := range rows {
		line := columns.Header{Seq: int64(512 + i), Time: int64(i/10) * 1e6, Kind: fmt.Sprint("kind_", i%3), Run: fmt.Sprint("run_", i/4), Caller: fmt.Sprint("mem_", i%5), Parts: int32(i % 3), Header: fmt.Appendf(nil, "%0400d", i)}
		if i%2 == 0 {
			line.Targets = []string{"a", fmt.Sprint("t", i%9)}
			line.MoreTargets = i == 1000
		}
		must(t, w.Add(line, len(line.Header)))
	}
	must(t, w.Close(label))
	return content(t, w.Spool)
}

// parts is a file of some, in several row groups.
func parts(t testing.TB, rows int) []byte {
	t.Helper()
	w, err := columns.NewParts(t.TempDir())
	must(t, err)
	defer w.Remove()
	for i := range rows {
		must(t, w.Add(columns.Part{Seq: int64(512 + i/2*3), Part: int32(i % 2), Box: bytes.Repeat([]byte{byte(i)}, 3000)}, 3000))
	}
	must(t, w.Close(label))
	return content(t, w.Spool)
}

func content(t testing.TB, s *columns.Spool) []byte {
	t.Helper()
	r, size, _, err := s.Content()
	must(t, err)
	_, err = r.Seek(0, io.SeekStart)
	must(t, err)
	b, err := io.ReadAll(r)
	must(t, err)
	if int64(len(b)) != size {
		t.Fatalf("%d bytes of %d", len(b), size)
	}
	return b
}

func TestRowsAreFoundWhereTheyAre(t *testing.T) {
	b := headers(t, 3000)
	f, err := columns.Open(bytes.NewReader(b), int64(len(b)), label)
	must(t, err)
	if f.Rows() != 3000 || len(f.Groups()) != 1 {
		t.Fatalf("%d rows in %d groups", f.Rows(), len(f.Groups()))
	}
	g := f.Groups()[0]
	for _, span := range [][2]int64{{0, 3000}, {0, 1}, {2999, 3000}, {700, 1724}, {5, 5}} {
		next := span[0]
		must(t, g.Headers(span[0], span[1], func(row int64, header []byte) bool {
			if row != next || string(header) != fmt.Sprintf("%0400d", row) {
				t.Fatalf("row %d is %d: %s", next, row, header)
			}
			next++
			return true
		}))
		counts, err := g.Parts(span[0], span[1])
		must(t, err)
		if next != span[1] || int64(len(counts)) != span[1]-span[0] || len(counts) > 0 && counts[0] != span[0]%3 {
			t.Errorf("%v: headers up to %d, %d counts", span, next, len(counts))
		}
	}
	for row := int64(0); row < 3000; row += 77 {
		from, to, err := g.Page(row)
		if err != nil || row < from || row >= to || to-from > 1000 {
			t.Errorf("row %d lies in rows %d to %d, %v", row, from, to, err)
		}
	}
	for _, c := range []struct {
		f    columns.Filter
		want func(i int64) bool
	}{
		{columns.Filter{Until: 1 << 60}, func(int64) bool { return true }},
		{columns.Filter{Since: 17e6, Until: 30e6}, func(i int64) bool { return i >= 170 && i < 300 }},
		{columns.Filter{Since: 900e6, Until: 999e6}, func(int64) bool { return false }},
		{columns.Filter{Until: 1 << 60, Words: []columns.Word{{Value: "kind_1", Columns: []string{"kind"}}}}, func(i int64) bool { return i%3 == 1 }},
		{columns.Filter{Until: 1 << 60, Words: []columns.Word{{Value: "mem_1", Columns: []string{"caller", "run"}}, {Value: "kind_1", Columns: []string{"kind"}}}}, func(i int64) bool { return i%3 == 1 && i%5 == 1 }},
		{columns.Filter{Until: 1 << 60, Words: []columns.Word{{Value: "run_100", Columns: []string{"run"}}}}, func(i int64) bool { return i/4 == 100 }},
		{columns.Filter{Until: 1 << 60, Words: []columns.Word{{Value: "run_none", Columns: []string{"run"}}}}, func(int64) bool { return false }},
		{columns.Filter{Until: 1 << 60, Target: "t4"}, func(i int64) bool { return i%2 == 0 && i%9 == 4 || i == 1000 }},
		{columns.Filter{Until: 1 << 60, Target: "none"}, func(i int64) bool { return i == 1000 }},
	} {
		var want []int64
		for i := int64(10); i < 2990; i++ {
			if c.want(i) {
				want = append(want, i)
			}
		}
		if got, err := g.Fitting(10, 2990, &c.f); err != nil || !slices.Equal(got, want) {
			t.Errorf("%+v: %d rows, %v; want %d", c.f, len(got), err, len(want))
		}
	}

	b = parts(t, 4000)
	f, err = columns.Open(bytes.NewReader(b), int64(len(b)), label)
	must(t, err)
	if len(f.Groups()) < 2 {
		t.Errorf("parts of 12 MB lie in %d row groups", len(f.Groups()))
	}
	for _, span := range [][2]uint64{{0, 1 << 40}, {512, 513}, {513, 515}, {2000, 4000}, {6500, 1 << 50}, {0, 512}} {
		var want, got []string
		for i := range 4000 {
			if seq := uint64(512 + i/2*3); seq >= span[0] && seq < span[1] {
				want = append(want, fmt.Sprint(seq, i%2, byte(i)))
			}
		}
		must(t, f.Boxes(span[0], span[1], func(seq uint64, part int64, box []byte) error {
			got = append(got, fmt.Sprint(seq, part, box[0]))
			return nil
		}))
		if !slices.Equal(got, want) {
			t.Errorf("%v: %d boxes, want %d", span, len(got), len(want))
		}
	}
}

func TestOtherFilesAreRefused(t *testing.T) {
	b := headers(t, 10)
	for _, other := range []columns.Label{
		{Workspace: "ws_2", First: 512, Entries: 3000}, {Workspace: "ws_1", First: 256, Entries: 3000}, {Workspace: "ws_1", First: 512, Entries: 3001},
		{Workspace: "ws_1", First: 512, Entries: 3000, Scopes: "ledger/2026-11"},
	} {
		if _, err := columns.Open(bytes.NewReader(b), int64(len(b)), other); err == nil {
			t.Errorf("it passes for %+v", other)
		}
	}
}

// A file says how many rows it has beside saying which groups of them there are.
func TestRowsThatNoGroupHasAreRefused(t *testing.T) {
	good := headers(t, 3000)
	end := len(good) - 8 // the footer's length, and PAR1
	begin := end - int(binary.LittleEndian.Uint32(good[end:]))
	for name, change := range map[string]func(*format.FileMetaData){
		"as it was":     func(*format.FileMetaData) {},
		"no group":      func(m *format.FileMetaData) { m.RowGroups = nil },
		"more rows":     func(m *format.FileMetaData) { m.NumRows += 256 },
		"a huge group":  func(m *format.FileMetaData) { m.RowGroups[0].NumRows = 1 << 62 },
		"an empty one":  func(m *format.FileMetaData) { m.RowGroups[0].NumRows, m.NumRows = 0, 0 },
		"less than one": func(m *format.FileMetaData) { m.RowGroups[0].NumRows, m.NumRows = -256, -256 },
	} {
		var meta format.FileMetaData
		must(t, thrift.Unmarshal(new(thrift.CompactProtocol), good[begin:end], &meta))
		change(&meta)
		footer, err := thrift.Marshal(new(thrift.CompactProtocol), &meta)
		must(t, err)
		b := append(binary.LittleEndian.AppendUint32(append(bytes.Clone(good[:begin]), footer...), uint32(len(footer))), "PAR1"...)
		if _, _, err := columns.Labelled(bytes.NewReader(b), int64(len(b))); (err == nil) != (name == "as it was") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSpoolsOfTheDeadAreCleared(t *testing.T) {
	dir := t.TempDir()
	_, err := columns.NewSpool(dir)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "other"), nil, 0o600))
	must(t, columns.ClearSpools(dir))
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != "other" {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := columns.NewSpool(filepath.Join(dir, "none")); err == nil {
		t.Error("a spool in no folder")
	}
}

// FuzzOpen reads all there is of any file, which may fail and not crash.
func FuzzOpen(f *testing.F) {
	good := headers(f, 40)
	f.Add(good)
	f.Add(parts(f, 9))
	f.Add([]byte("PAR1PAR1"))
	for i := range 60 {
		bad := bytes.Clone(good)
		bad[len(bad)*i/60] ^= byte(i + 1)
		f.Add(bad)
		bad = bytes.Clone(good)
		bad[len(bad)-1-i*7] ^= byte(i + 1)
		f.Add(bad)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := columns.Open(bytes.NewReader(b), int64(len(b)), label)
		if err != nil {
			return
		}
		_ = file.Boxes(0, 1<<40, func(uint64, int64, []byte) error { return nil })
		for _, g := range file.Groups() {
			_ = g.Headers(0, g.Rows, func(int64, []byte) bool { return true })
			_, _ = g.Parts(0, min(g.Rows, 1000))
			_, _, _ = g.Page(1)
			_, _ = g.Fitting(0, min(g.Rows, 1000), &columns.Filter{Since: 1, Until: 1 << 60, Target: "a", Words: []columns.Word{{Value: "mem_1", Columns: []string{"caller", "run", "kind"}}}})
		}
	})
}
