package backup_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/backup"
	"github.com/stewardhq/steward/internal/blob"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

// What is backed up: a tail of entries of the usual size, and twice as much in objects of 8 MB.
const (
	benchRows    = 160_000
	benchRow     = 600
	benchObjects = 24
	benchObject  = 8 << 20
)

// BenchmarkBackupAndRestore is megabytes a second of a backup, and of its restore with all hashes checked first,
// each durable. The floor copies the same bytes from file to file, with their hash and an fsync each, in turn.
func BenchmarkBackupAndRestore(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) {
		benchmark(b, func(dir string) (*store.DB, error) { return store.OpenData(context.Background(), dir) }, nil)
	})
	b.Run("postgres", func(b *testing.B) {
		server := postgres.Start(b)
		open := func(string) (*store.DB, error) {
			return store.Postgres{URL: server.Database(b)}.OpenData(context.Background())
		}
		benchmark(b, open, open)
	})
}

// benchmark measures one database. empty gives a new one to load into; nil where the copy is put in its place.
func benchmark(b *testing.B, open, empty func(dir string) (*store.DB, error)) {
	ctx := context.Background()
	dir := b.TempDir()
	db, err := open(dir)
	must(b, err)
	defer func() { _ = db.Close() }()
	objects := blob.Folder{Dir: filepath.Join(dir, "objects"), Now: time.Now}
	fill(b, db, objects)
	source := backup.Source{Database: store.Backup{DB: db}, Blobs: objects, Now: time.Now}
	var out, back, floor time.Duration
	var bytes uint64
	for b.Loop() {
		b.StopTimer()
		to, data, plain := filepath.Join(b.TempDir(), "backup"), b.TempDir(), b.TempDir()
		b.StartTimer()
		began := time.Now()
		made, err := source.Make(ctx, to)
		must(b, err)
		out += time.Since(began)
		bytes += made.Size()

		b.StopTimer()
		to2 := backup.Target{Dir: data, Objects: true, Blobs: func(in string) backup.Blobs { return blob.Folder{Dir: in, Now: time.Now} }}
		var loaded *store.DB
		if empty != nil {
			loaded, err = empty(data)
			must(b, err)
			to2.Load = store.Backup{DB: loaded}.Fill
		}
		b.StartTimer()
		began = time.Now()
		_, err = made.Restore(ctx, to2)
		must(b, err)
		back += time.Since(began)

		began = time.Now()
		for i, f := range made.Files {
			must(b, plainCopy(filepath.Join(to, f.Name), filepath.Join(plain, fmt.Sprint(i))))
		}
		floor += time.Since(began)
		b.StopTimer()
		if loaded != nil {
			must(b, loaded.Close())
		}
		for _, gone := range []string{to, data, plain} {
			must(b, os.RemoveAll(gone))
		}
		b.StartTimer()
	}
	mb := float64(bytes) / 1e6
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(mb/out.Seconds(), "backup-MB/s")
	b.ReportMetric(mb/back.Seconds(), "restore-MB/s")
	b.ReportMetric(mb/floor.Seconds(), "floor-MB/s")
}

func plainCopy(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.CopyBuffer(io.MultiWriter(out, sum), in, make([]byte, 1<<20)); err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return err
	}
	return out.Close()
}

// fill writes rows into the tail and names objects in the manifest.
func fill(b *testing.B, db *store.DB, objects blob.Folder) {
	ctx := context.Background()
	const ws steward.WorkspaceID = "ws_1"
	must(b, store.Identity{DB: db}.AddWorkspace(ctx, identity.Workspace{ID: ws, Name: "acme", Created: now}))
	appender, err := store.Ledger{DB: db}.Appender(ctx)
	must(b, err)
	defer func() { _ = appender.Close() }()
	random := make([]byte, benchObject)
	_, _ = rand.Read(random)
	for was := uint64(0); was < benchRows; was += 2000 {
		a := ledger.Advance{Workspace: ws, Node: "n", Was: ledger.Head{Next: was}, Now: ledger.Head{Next: was + 2000, Last: 1}}
		for seq := was; seq < was+2000; seq++ {
			at := int(seq % 10_000)
			a.Rows = append(a.Rows, ledger.Row{Seq: seq, Header: random[at : at+benchRow/2], Parts: random[at+benchRow/2 : at+benchRow]})
		}
		must(b, appender.Commit(ctx, []ledger.Advance{a}))
	}
	g := segment.Segment{Entries: 256, Month: "2026-11", Latest: math.MaxInt32}
	for i := range benchObjects {
		random[0] = byte(i)
		sum := sha256.Sum256(random)
		name := fmt.Sprintf("ledger/ws_1/0-a/%d", i)
		must(b, os.MkdirAll(objects.Dir, 0o700))
		must(b, objects.Put(ctx, name, strings.NewReader(string(random)), benchObject, time.Time{}))
		g.Objects = append(g.Objects, segment.Object{Name: name, Kind: segment.Parts, Size: benchObject, SHA256: sum[:]})
	}
	must(b, store.Segments{DB: db}.Replace(ctx, ws, nil, g))
}
