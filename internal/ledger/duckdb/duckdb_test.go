// Package duckdb reads sealed headers with an engine that isn't ours. It is a module of its own, so that the
// program doesn't depend on it: run `go test ./...` here (needs a C++ compiler's library).
package duckdb

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/marcboeker/go-duckdb/v2"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/blob"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/store"
)

const ws steward.WorkspaceID = "ws_1"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestDuckDBCountsWhatWeCount seals a ledger of two months, one of them merged, and has DuckDB count over the
// files in the folder.
func TestDuckDBCountsWhatWeCount(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	keeper := keyring.FileKeeper{Dir: filepath.Join(dir, "root")}
	must(t, keeper.Create(rand.Reader))
	ring, err := store.OpenKeyring(ctx, dir)
	must(t, err)
	keys, err := keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: ring}, Keeper: keeper, Rand: rand.Reader})
	must(t, err)
	data, err := store.OpenData(ctx, dir)
	must(t, err)
	now := time.Date(2026, 10, 25, 9, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	objects := blob.Folder{Dir: filepath.Join(dir, "objects"), Now: clock}
	must(t, objects.Check(ctx))
	segments := &segment.Store{Store: store.Ledger{DB: data}, Manifest: store.Segments{DB: data}, Blobs: objects}
	book, err := ledger.Open(ctx, ledger.Config{Store: segments, Sealer: keys, Now: clock, Rand: rand.Reader, Origin: "steward.test"})
	must(t, err)
	t.Cleanup(func() { must(t, errors.Join(book.Close(ctx), data.Close(), ring.Close())); segments.Close() })
	archive := segment.Archivist{Store: segments, Catalog: store.Segments{DB: data}, Sealer: keys, Spool: t.TempDir(), Now: clock, Rand: rand.Reader, Entries: 1024}

	const entries = 1 << 13
	for i := 0; i < entries; i += 512 {
		var events []ledger.Event
		for n := i; n < i+512; n++ {
			e := ledger.Entry{
				Kind: ledger.Kinds()[n%3+6], Run: steward.RunID(fmt.Sprint("run_", n/5)), Caller: fmt.Sprint("mem_", n%7), System: []string{"salesforce", ""}[n%2],
				Outcome: []string{ledger.OK, ledger.Failed, ""}[n%3], Records: n % 50, DurationMicros: int64(n),
			}
			if n%4 == 0 {
				e.Targets = []string{fmt.Sprint("salesforce:Opportunity:", n%9), "salesforce:Account:1"}
			}
			if e.Kind == ledger.CallIntent || e.Kind == ledger.CallOutcome {
				e.Kind = ledger.RunRead
			}
			events = append(events, ledger.Event{Entry: e, Parts: []ledger.Part{{Scopes: []steward.Scope{steward.TimeScope(steward.ClassLedger, now)}, Body: []byte("body")}}})
		}
		_, err := book.AppendAll(ctx, ws, events...)
		must(t, err)
		now = now.Add(17 * time.Hour)
	}
	_, err = book.Checkpoint(ctx, ws)
	must(t, err)
	must(t, archive.Pass(ctx))

	// What we count.
	want := map[string]map[string]int{"kind": {}, "caller": {}, "day": {}, "target": {}, "run": {}, "records": {}, "header": {}}
	must(t, book.Read(ctx, ws, ledger.Query{}, func(h ledger.Header) error {
		want["kind"][string(h.Kind)]++
		want["caller"][h.Caller]++
		want["day"][h.Time.Format(time.DateOnly)]++
		want["run"][string(h.Run)]++
		want["records"][fmt.Sprint(h.Outcome)] += h.Records
		for _, target := range h.Targets {
			want["target"][target]++
		}
		return nil
	}))
	for next := uint64(0); next < entries; {
		rows, err := segments.Rows(ctx, ws, next, 1024, false)
		must(t, err)
		for _, row := range rows {
			want["header"][string(row.Header)]++
			next = row.Seq + 1
		}
	}

	// What DuckDB counts.
	files, err := filepath.Glob(filepath.Join(objects.Dir, "ledger", "*", "*", "headers.parquet"))
	must(t, err)
	if len(files) < 3 {
		t.Fatalf("files of headers: %v", files)
	}
	quoted := make([]string, len(files))
	for i, file := range files {
		quoted[i] = "'" + file + "'"
	}
	db, err := sql.Open("duckdb", "")
	must(t, err)
	defer db.Close()
	from := " FROM read_parquet([" + strings.Join(quoted, ",") + "])"
	for name, query := range map[string]string{
		"kind":    "SELECT kind, count(*)" + from + " GROUP BY 1",
		"caller":  "SELECT caller, count(*)" + from + " GROUP BY 1",
		"day":     "SELECT strftime(time, '%Y-%m-%d'), count(*)" + from + " GROUP BY 1",
		"target":  "SELECT target, count(*) FROM (SELECT unnest(targets) AS target" + from + ") GROUP BY 1",
		"run":     "SELECT run, count(*)" + from + " GROUP BY 1",
		"records": "SELECT outcome, sum(records)::bigint" + from + " GROUP BY 1",
		"header":  "SELECT header::blob, count(*)" + from + " GROUP BY 1",
	} {
		got := map[string]int{}
		rows, err := db.QueryContext(ctx, query)
		must(t, err)
		for rows.Next() {
			var key []byte
			var n int
			must(t, rows.Scan(&key, &n))
			got[string(key)] = n
		}
		must(t, errors.Join(rows.Err(), rows.Close()))
		if !maps.Equal(got, want[name]) || len(got) == 0 {
			t.Errorf("%s: DuckDB counts %v, we count %v", name, head(got), head(want[name]))
		}
	}
	// Its statistics and blooms find the same rows as its scan does.
	for _, where := range []string{"run = 'run_700'", "caller = 'mem_3' AND seq BETWEEN 1000 AND 1100", "time >= TIMESTAMPTZ '2026-10-28 00:00:00+00' AND time < TIMESTAMPTZ '2026-10-29 00:00:00+00'", "run = 'run_none'"} {
		var pruned, scanned int
		must(t, db.QueryRowContext(ctx, "SELECT count(*)"+from+" WHERE "+where).Scan(&pruned))
		must(t, db.QueryRowContext(ctx, "WITH everything AS MATERIALIZED (SELECT *"+from+") SELECT count(*) FROM everything WHERE "+where).Scan(&scanned))
		if pruned != scanned || pruned == 0 && !strings.Contains(where, "none") {
			t.Errorf("%s: %d rows, by a scan %d", where, pruned, scanned)
		}
	}
	if _, err := os.Stat(files[0]); err != nil {
		t.Error(err)
	}
}

func head(counts map[string]int) string {
	text := ""
	for _, key := range slices.Sorted(maps.Keys(counts))[:min(5, len(counts))] {
		text += fmt.Sprintf("%.80q: %d, ", key, counts[key])
	}
	return fmt.Sprintf("%s… (%d)", text, len(counts))
}
