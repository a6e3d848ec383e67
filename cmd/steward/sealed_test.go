package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/config"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/export"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/ledger/segment/columns"
	"github.com/stewardhq/steward/internal/ledger/verify"
	"github.com/stewardhq/steward/internal/store"
)

// TestSealingChangesNothingThatIsRead: people ask, the record of it is sealed into objects, and whatever reads the
// record gives the same as before, from the objects alone.
func TestSealingChangesNothingThatIsRead(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, nil)
	h := w.house
	all, err := h.server.Directory.Workspaces.AllWorkspaces(ctx)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d workspaces, %v", len(all), err)
	}
	ws := all[0].ID
	head := func() ledger.Head {
		t.Helper()
		head, err := h.record.Head(ctx, ws)
		if err != nil {
			t.Fatal(err)
		}
		return head
	}
	run := w.ask(w.rep, "What is our win rate this quarter by owner?").Run
	for head().Next < 150 {
		w.ask(w.rep, "Which open deals over $50k have had no activity for 30 days?")
	}
	for head().Next < 600 {
		w.must(w.boss, "GET", "/api/v1/connections", nil, nil)
	}
	w.must(w.admin, "POST", "/api/v1/checkpoint", nil, nil)
	size := head().Signed

	read := func(path string) string {
		t.Helper()
		r, err := http.NewRequest("GET", w.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+w.admin.token)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v: %s", path, answer.Status, err, text)
		}
		return string(text)
	}
	readings := []string{
		fmt.Sprintf("/api/v1/log?purpose=audit&before=%d", size),
		fmt.Sprintf("/api/v1/log?purpose=audit&order=newest&limit=50&before=%d", size),
		fmt.Sprintf("/api/v1/log?purpose=audit&before=%d&kind=call.outcome&system=salesforce&limit=40", size),
		fmt.Sprintf("/api/v1/log?purpose=audit&before=%d&run=%s", size, run),
		fmt.Sprintf("/api/v1/log?purpose=audit&before=%d&text=opportunity", size),
		fmt.Sprintf("/api/v1/log/3/inclusion?purpose=audit&size=%d", size),
		fmt.Sprintf("/api/v1/log/consistency?purpose=audit&from=300&to=%d", size),
	}
	tiles := []string{fmt.Sprintf("/tlog/%s/tile/0/000", ws), fmt.Sprintf("/tlog/%s/tile/entries/001", ws)}
	type reading struct {
		answers map[string]string
		formats map[string][]byte
		report  verify.Report
	}
	look := func() (r reading) {
		t.Helper()
		r.answers, r.formats = map[string]string{}, map[string][]byte{}
		for _, path := range append(readings, tiles...) {
			r.answers[path] = read(path)
		}
		for _, as := range []string{export.OCSF, export.JSONL} {
			e, err := export.New(ctx, h.log(), ws, ledger.Query{Until: today.Add(24 * time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if _, err := e.Write(ctx, &out, as, "", nil); err != nil {
				t.Fatal(err)
			}
			lines := bytes.SplitAfter(out.Bytes(), []byte("\n"))
			r.formats[as] = bytes.Join(lines[:size], nil)
		}
		r.report, err = verify.Ledger(ctx, verify.Source{Store: h.record, Sealer: h.sealer}, ws, func(uint64, uint64) {})
		if err != nil || len(r.report.Findings) > 0 {
			t.Fatalf("verify: %+v, %v", r.report, err)
		}
		return r
	}
	before := look()
	for path, answer := range before.answers {
		if len(answer) < 100 {
			t.Errorf("%s gives next to nothing: %s", path, answer)
		}
	}

	archivist := &segment.Archivist{
		Store: h.record, Catalog: store.Segments{DB: h.data}, Sealer: h.sealer, Spool: t.TempDir(), Now: func() time.Time { return today.Add(10 * time.Hour) }, Rand: rand.Reader, Entries: 256,
	}
	if err := archivist.Pass(ctx); err != nil {
		t.Fatal(err)
	}
	sealed, err := h.record.Manifest.Segments(ctx, ws, segment.Span{End: 1 << 62, Since: -1 << 62, Until: 1 << 62, Limit: 100})
	if err != nil || len(sealed) < 2 {
		t.Fatalf("%d segments, %v", len(sealed), err)
	}
	if left, err := (store.Ledger{DB: h.data}).Rows(ctx, ws, 0, 1, false); err != nil || len(left) > 0 && left[0].Seq < sealed[len(sealed)-1].End() {
		t.Fatalf("the tail still holds %d sealed entries, %v", len(left), err)
	}
	after := look()
	for path, was := range before.answers {
		if after.answers[path] != was {
			t.Errorf("%s was\n%s\nand is\n%s", path, was, after.answers[path])
		}
	}
	for as, was := range before.formats {
		if !bytes.Equal(after.formats[as], was) {
			t.Errorf("the export as %s is another", as)
		}
	}
	if after.report.Entries < before.report.Entries {
		t.Errorf("verified were %d entries, are %d", before.report.Entries, after.report.Entries)
	}

	// A table has the very rows that the objects have.
	e, err := export.New(ctx, h.log(), ws, ledger.Query{})
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if _, err := e.Write(ctx, &table, export.Parquet, "", nil); err != nil {
		t.Fatal(err)
	}
	rows := rowsOf(t, bytes.NewReader(table.Bytes()), int64(table.Len()))
	seen := 0
	for _, s := range sealed {
		for _, o := range s.Objects {
			if o.Kind != segment.Headers {
				continue
			}
			object, err := h.record.Blobs.Open(ctx, o.Name)
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range rowsOf(t, object, object.Size()) {
				seen++
				if !reflect.DeepEqual(rows[row.Seq], row) {
					t.Fatalf("the table's row is %+v, the object's %+v", rows[row.Seq], row)
				}
			}
			_ = object.Close()
		}
	}
	if seen != int(sealed[len(sealed)-1].End()) {
		t.Errorf("%d rows in the objects of %d entries", seen, sealed[len(sealed)-1].End())
	}
	if strings.Contains(table.String(), w.rep.email) {
		t.Error("the table holds an address")
	}
	var answer map[string]any
	if status := w.call(w.rep, "GET", "/api/v1/runs/"+string(run), nil, &answer); status != http.StatusOK || answer["run"] != string(run) {
		t.Errorf("the run can't be shown again: %d %v", status, answer)
	}
}

func rowsOf(t *testing.T, content io.ReaderAt, size int64) []columns.Header {
	t.Helper()
	rows, err := parquet.Read[columns.Header](content, size)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// What is a day old is sealed by the server itself, once it runs.
func TestAServerSealsWhatIsOld(t *testing.T) {
	ctx := context.Background()
	data, now := t.TempDir(), today
	open := func() *house {
		t.Helper()
		h, err := openHouse(ctx, storeOptions{
			Server: config.Server{Data: data}, Create: true, Now: func() time.Time { return now }, Rand: rand.Reader, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	h := open()
	ws, _, err := h.Init(ctx, "acme", "ops@acme.example")
	if err != nil {
		t.Fatal(err)
	}
	events := slices.Repeat([]ledger.Event{{Entry: ledger.Entry{Kind: ledger.RunRead}, Parts: []ledger.Part{{Scopes: []steward.Scope{steward.TimeScope(steward.ClassLedger, now)}, Body: []byte("{}")}}}}, 600)
	if _, err := h.server.Ledger.AppendAll(ctx, ws.ID, events...); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	now = now.AddDate(0, 0, 2)
	h = open()
	defer func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}()
	tail := store.Ledger{DB: h.data}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		rows, err := tail.Rows(ctx, ws.ID, 0, 1, false)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 1 && rows[0].Seq >= 512 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the tail still begins with %+v", rows)
		}
	}
	r, err := verify.Ledger(ctx, verify.Source{Store: h.record, Sealer: h.sealer}, ws.ID, nil)
	if err != nil || len(r.Findings) > 0 || r.Entries < 600 {
		t.Errorf("%d entries, %+v, %v", r.Entries, r.Findings, err)
	}
}
