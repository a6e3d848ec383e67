package rejoin_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/backup"
	"github.com/stewardhq/steward/internal/backup/rejoin"
	"github.com/stewardhq/steward/internal/blob"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/ledger/tlog"
	"github.com/stewardhq/steward/internal/ledger/tlog/verifier"
	"github.com/stewardhq/steward/internal/ledger/verify"
	"github.com/stewardhq/steward/internal/privacy"
	"github.com/stewardhq/steward/internal/store"
)

const ws steward.WorkspaceID = "ws_1"

var today = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func clock() time.Time { return today }

// world is a data folder with keys of its own, and what is remembered outside.
type world struct {
	*testing.T
	dir   string // with objects in it
	keys  *keyring.Keyring
	known []string
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, dir: t.TempDir(), keys: openKeys(t)}
	must(t, os.Mkdir(w.blobs().Dir, 0o700))
	return w
}

func (w *world) blobs() blob.Folder {
	return blob.Folder{Dir: filepath.Join(w.dir, "objects"), Now: clock}
}

// data is the data in the folder, open.
type data struct {
	db     *store.DB
	record *segment.Store
	*ledger.Ledger
}

// use opens the data, and closes it after f.
func (w *world) use(f func(d *data)) {
	w.Helper()
	ctx := context.Background()
	db, err := store.OpenData(ctx, w.dir)
	must(w, err)
	defer func() { must(w, db.Close()) }()
	record := &segment.Store{Store: store.Ledger{DB: db}, Manifest: store.Segments{DB: db}, Blobs: w.blobs()}
	defer record.Close()
	book, err := ledger.Open(ctx, ledger.Config{Store: record, Sealer: w.keys, Now: clock, Rand: rand.Reader, Origin: "steward.test", Checkpoints: func(_ context.Context, _ steward.WorkspaceID, note string) error {
		w.known = append(w.known, note)
		return nil
	}})
	must(w, err)
	f(&data{db, record, book})
	must(w, book.Close(ctx))
}

// append adds entries up to a number of them, each with a part, and signs.
func (w *world) append(d *data, upTo uint64) {
	w.Helper()
	ctx := context.Background()
	head, err := d.record.Head(ctx, ws)
	must(w, err)
	var events []ledger.Event
	for n := head.Next; n < upTo; n++ {
		events = append(events, ledger.Event{
			Entry: ledger.Entry{Kind: ledger.LedgerRead, Caller: "mem_1", Run: steward.RunID(fmt.Sprint("run_", n)), Outcome: ledger.OK},
			Parts: []ledger.Part{{Scopes: []steward.Scope{steward.TimeScope(steward.ClassRun, today)}, Body: []byte("<PERSON_k7q2mh>")}},
		})
	}
	if len(events) > 0 {
		_, err = d.AppendAll(ctx, ws, events...)
		must(w, err)
	}
	_, err = d.Checkpoint(ctx, ws)
	must(w, err)
}

// seal moves what can be moved into objects.
func (w *world) seal(d *data) {
	w.Helper()
	a := &segment.Archivist{Store: d.record, Catalog: store.Segments{DB: d.db}, Sealer: w.keys, Spool: w.TempDir(), Now: clock, Rand: rand.Reader, Entries: 256}
	must(w, a.Pass(context.Background()))
}

// backup makes one.
func (w *world) backup() *backup.Backup {
	w.Helper()
	ctx := context.Background()
	db, err := store.OpenReadOnly(ctx, w.dir, store.DataFile)
	must(w, err)
	defer func() { must(w, db.Close()) }()
	b, err := backup.Source{Database: store.Backup{DB: db}, Blobs: w.blobs(), ID: "backup_1", Program: "v1", Now: clock}.Make(ctx, filepath.Join(w.TempDir(), "b"))
	must(w, err)
	return b
}

// restore puts a backup in the place of what is there.
func (w *world) restore(b *backup.Backup, change func(*rejoin.Join)) (joined backup.Joined, err error) {
	t := backup.Target{Dir: w.dir, Replace: true, Objects: true, Blobs: rejoin.FolderOr(w.blobs(), clock)}
	t.Staged = func(ctx context.Context, dir string) (err error) {
		db, err := store.OpenData(ctx, dir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		j := rejoin.Join{
			Backup: b, Tail: store.Ledger{DB: db}, Segments: store.Segments{DB: db}, Rows: store.Restoring{DB: db}, Staged: blob.Folder{Dir: filepath.Join(dir, "objects"), Now: clock},
			Sealer: w.keys, Known: w.known, Origin: "steward.test", Now: clock, Rand: rand.Reader,
		}
		if _, err := os.Stat(w.blobs().Dir); err == nil {
			j.Aside = w.blobs()
		}
		j.Dropper.Catalog = store.Segments{DB: db}
		if change != nil {
			change(&j)
		}
		joined, err = j.Run(ctx)
		return err
	}
	_, err = b.Restore(context.Background(), t)
	return joined, err
}

func declared(j *rejoin.Join) { j.Declare = true }

// verify holds the ledger against itself and all that is remembered.
func (w *world) verify(d *data, entries uint64, losses ...string) {
	w.Helper()
	ctx := context.Background()
	r, err := verify.Ledger(ctx, verify.Source{Store: d.record, Sealer: w.keys, Known: w.known}, ws, nil)
	must(w, err)
	var named []string
	for _, l := range r.Losses {
		named = append(named, fmt.Sprintf("%d-%d@%d", l.Entry, l.End, l.Seq))
	}
	if len(r.Findings) > 0 || r.Entries != entries || fmt.Sprint(named) != fmt.Sprint(losses) || r.Unsigned > 0 {
		w.Errorf("%d entries, want %d; losses %v, want %v; findings %v", r.Entries, entries, named, losses, r.Findings)
	}
	// And by those who share no code with it.
	dir := filepath.Join(w.TempDir(), "tlog")
	_, err = tlog.Log{Store: d.record, Sealer: w.keys}.Export(ctx, ws, dir, func(uint64, uint64) {})
	must(w, err)
	log, err := verifier.Check(dir)
	if err != nil || uint64(len(log.Headers)) != entries {
		w.Errorf("others find %d entries, and %v", len(log.Headers), err)
	}
}

// lose has the database gone, as after a disk failed. What is sealed and what is remembered stay.
func (w *world) lose() {
	w.Helper()
	names, err := filepath.Glob(filepath.Join(w.dir, "steward.db*"))
	must(w, err)
	for _, name := range names {
		must(w, os.Remove(name))
	}
}

func refused(t *testing.T, err error, words string) {
	t.Helper()
	if err == nil || steward.KindOf(err) != steward.Conflict || !strings.Contains(steward.Message(err), words) {
		t.Errorf("error %v, want one that says %q", err, words)
	}
}

func TestABackupOfTheEndGoesOn(t *testing.T) {
	w := newWorld(t)
	w.use(func(d *data) { w.append(d, 20) })
	b := w.backup()
	joined, err := w.restore(b, nil)
	if err != nil || len(joined.Replayed)+len(joined.Lost) > 0 {
		t.Fatalf("%+v %v", joined, err)
	}
	w.use(func(d *data) {
		w.verify(d, 21)
		var last ledger.Header
		must(t, d.Read(context.Background(), ws, ledger.Query{Backward: true, Limit: 1}, func(h ledger.Header) error { last = h; return nil }))
		if last.Kind != ledger.BackupRestored || last.Caller != "operator" || strings.Join(last.Targets, " ") != "sha256:"+b.Sum()+" backup_1" {
			t.Errorf("the restore is on record as %+v", last)
		}
	})
}

// What was signed behind the backup, and is nowhere, has to be declared. The log that begins then has another name.
func TestALossIsDeclared(t *testing.T) {
	w := newWorld(t)
	w.use(func(d *data) { w.append(d, 20) })
	b := w.backup()
	w.use(func(d *data) { w.append(d, 30) })
	_, err := w.restore(b, nil)
	refused(t, err, "it lacks entries 20 to 29 of workspace ws_1, which were signed")
	w.use(func(d *data) { w.verify(d, 30) }) // nothing was changed
	joined, err := w.restore(b, declared)
	if err != nil || fmt.Sprint(joined.Lost) != "[{ws_1 20 30}]" {
		t.Fatalf("%+v %v", joined, err)
	}
	w.use(func(d *data) {
		w.verify(d, 22, "20-30@20")
		w.append(d, 400)
		w.seal(d)
		w.verify(d, 400, "20-30@20")
		if !strings.HasPrefix(w.known[len(w.known)-1], "steward.test/log_") {
			t.Errorf("the new log has the checkpoint\n%s", w.known[len(w.known)-1])
		}
		cp, err := d.Rotate(context.Background(), ws, ledger.Entry{Caller: "mem_1", Outcome: ledger.OK})
		must(t, err)
		// What is attested is signed as the log is that others know by now.
		signed, vkey, err := d.Attest(context.Background(), ws, "a certificate\n")
		must(t, err)
		if text, err := tlog.CheckAttested(signed, cp.Key); err != nil || text != "a certificate\n" || vkey != cp.Key {
			t.Errorf("attested with %s, and the log's key is %s: %v", vkey, cp.Key, err)
		}
		w.verify(d, 401, "20-30@20")
	})
	// What is remembered of the old log beyond what was declared is no part of that.
	w.use(func(d *data) {
		other := newWorld(t)
		other.keys = w.keys
		other.use(func(o *data) { other.append(o, 31) })
		r, err := verify.Ledger(context.Background(), verify.Source{Store: d.record, Sealer: w.keys, Known: append(w.known, other.known...)}, ws, nil)
		must(t, err)
		if len(r.Findings) != 1 || !strings.Contains(r.Findings[0].What, "first 31 entries aren't those of a remembered checkpoint") {
			t.Errorf("findings %v", r.Findings)
		}
	})
	// The same old backup again: now two logs are lost, and neither is forged by a third.
	must(t, os.RemoveAll(w.blobs().Dir))
	_, err = w.restore(b, nil)
	refused(t, err, "it lacks entries 20 to 29 of workspace ws_1")
	if joined, err = w.restore(b, declared); err != nil || len(joined.Lost) != 2 {
		t.Fatalf("%+v %v", joined, err)
	}
	newer := w.backup()
	w.use(func(d *data) { w.append(d, 40) })
	w.use(func(d *data) {
		r, err := verify.Ledger(context.Background(), verify.Source{Store: d.record, Sealer: w.keys, Known: w.known}, ws, nil)
		must(t, err)
		if len(r.Findings) > 0 || len(r.Losses) != 2 {
			t.Errorf("losses %v, findings %v", r.Losses, r.Findings)
		}
	})
	// A backup of the new log knows by itself what was declared before.
	if joined, err = w.restore(newer, declared); err != nil || len(joined.Lost) != 1 {
		t.Errorf("%+v %v", joined, err)
	}
}

// Two losses in one segment: of its checkpoints the last is kept alone, so what the logs before were called is in none
// any more. The entries still say it, to whoever verifies the record or what was exported of it.
func TestTwoLossesInOneSegment(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.use(func(d *data) { w.append(d, 20) })
	b := w.backup()
	w.use(func(d *data) { w.append(d, 30) })
	_, err := w.restore(b, declared)
	must(t, err)
	b = w.backup()
	w.use(func(d *data) { w.append(d, 40) })
	_, err = w.restore(b, declared)
	must(t, err)
	w.use(func(d *data) {
		w.append(d, 600)
		w.verify(d, 600, "20-30@20", "22-40@22")
		a := &segment.Archivist{Store: d.record, Catalog: store.Segments{DB: d.db}, Sealer: w.keys, Spool: t.TempDir(), Now: func() time.Time { return today.AddDate(0, 0, 2) }, Rand: rand.Reader, Entries: 256}
		must(t, a.Pass(ctx))
		if kept, err := d.record.Checkpoints(ctx, ws, 1, 9); err != nil || len(kept) != 2 || kept[0].Size < 24 {
			t.Fatalf("%d checkpoints are kept, %v", len(kept), err)
		}
		w.verify(d, 600, "20-30@20", "22-40@22")

		dir := t.TempDir()
		_, err := tlog.Log{Store: d.record, Sealer: w.keys}.Export(ctx, ws, dir, nil)
		must(t, err)
		folder, err := tlog.OpenFolder(dir)
		must(t, err)
		defer func() { must(t, folder.Close()) }()
		elsewhere := newWorld(t)
		elsewhere.use(func(o *data) { elsewhere.append(o, 10); elsewhere.append(o, 35) })
		anew, stranger := elsewhere.known, strings.ReplaceAll(elsewhere.known[0], "steward.test/", "elsewhere.test/")
		for what, c := range map[string]struct {
			known []string
			want  string
		}{
			"nothing": {}, "all of it": {known: w.known},
			"another beginning":  {append(w.known, anew[0]), "[the first 10 entries aren't those of a remembered checkpoint: the ledger was written anew]"},
			"more than was lost": {append(w.known, anew[len(anew)-1]), "[the first 35 entries aren't those of a remembered checkpoint: the ledger was written anew]"},
			"another log":        {append(w.known, stranger), "[checkpoints of the log elsewhere.test/ws_1 are remembered, and this one doesn't say that it goes on from that the first 10 entries aren't those of a remembered checkpoint: the ledger was written anew]"},
		} {
			r, err := verify.Ledger(ctx, verify.Source{Store: folder, Key: folder.Key, HeadersOnly: true, Checked: true, Known: c.known}, ws, nil)
			must(t, err)
			var found []string
			for _, f := range r.Findings {
				found = append(found, f.What)
			}
			if len(r.Losses) != 2 || c.want == "" && len(found) > 0 || c.want != "" && fmt.Sprint(found) != c.want {
				t.Errorf("exported, where %s is remembered: losses %v, findings %v", what, r.Losses, found)
			}
		}
	})
}

// Who has the key can sign a log anew under its old name. That some entry says that a new log begins explains nothing then.
func TestALogThatKeepsItsNameLostNothing(t *testing.T) {
	ctx := context.Background()
	const name = "steward.test/ws_1"
	for told, r := range map[string]ledger.Restart{
		"itself":               {From: name, To: name, Entry: 20, End: 30},
		"one that there isn't": {From: name, To: "steward.test/log_other/ws_1", Entry: 20, End: 30},
	} {
		w := newWorld(t)
		w.use(func(d *data) { w.append(d, 30) })
		anew := newWorld(t)
		anew.keys = w.keys
		anew.use(func(d *data) {
			anew.append(d, 20)
			_, err := d.AppendAll(ctx, ws, r.Event(ledger.Entry{Caller: "operator", Outcome: ledger.OK}))
			must(t, err)
			anew.append(d, 40)
			dir := t.TempDir()
			_, err = tlog.Log{Store: d.record, Sealer: w.keys}.Export(ctx, ws, dir, nil)
			must(t, err)
			folder, err := tlog.OpenFolder(dir)
			must(t, err)
			defer func() { must(t, folder.Close()) }()
			for what, src := range map[string]verify.Source{
				"the record": {Store: d.record, Sealer: w.keys, Known: w.known},
				"an export":  {Store: folder, Key: folder.Key, HeadersOnly: true, Checked: true, Known: w.known},
			} {
				found, err := verify.Ledger(ctx, src, ws, nil)
				must(t, err)
				if len(found.Losses) > 0 || !strings.Contains(fmt.Sprint(found.Findings), "the ledger was written anew") {
					t.Errorf("of %s, where a new log is %s: losses %v, findings %v", what, told, found.Losses, found.Findings)
				}
			}
		})
	}
}

// What was sealed since comes back from the objects, with intents that wait and those that ended.
func TestSealedEntriesAreReplayed(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	var waits, ends ledger.Intent
	w.use(func(d *data) {
		w.append(d, 299)
		w.seal(d)
		var err error
		ends, err = d.Begin(ctx, ws, ledger.Entry{Caller: "mem_1"})
		must(t, err)
		_, err = d.Checkpoint(ctx, ws)
		must(t, err)
	})
	b := w.backup()
	w.use(func(d *data) {
		_, err := d.End(ctx, ends, ledger.Entry{Outcome: ledger.OK})
		must(t, err)
		waits, err = d.Begin(ctx, ws, ledger.Entry{Caller: "mem_1"})
		must(t, err)
		w.append(d, 768)
		w.seal(d)
	})
	w.lose()
	joined, err := w.restore(b, nil)
	if err != nil || fmt.Sprint(joined.Replayed) != "[{ws_1 300 768}]" || len(joined.Lost) > 0 {
		t.Fatalf("%+v %v", joined, err)
	}
	w.use(func(d *data) {
		w.verify(d, 769)
		open, err := d.record.Intents(ctx, ws)
		if err != nil || len(open) != 1 || open[0].Seq != waits.Seq {
			t.Errorf("open intents %v %v", open, err)
		}
		closed, err := d.CloseAbandoned(ctx)
		if err != nil || len(closed) != 1 {
			t.Errorf("closed %v %v", closed, err)
		}
		w.append(d, 1100)
		w.seal(d)
		w.verify(d, 1100)
	})

	// Behind the last object there was more.
	w.lose()
	_, err = w.restore(b, nil)
	refused(t, err, "it lacks entries 1024 to 1099 of workspace ws_1")
	joined, err = w.restore(b, declared)
	if err != nil || fmt.Sprint(joined.Replayed, joined.Lost) != "[{ws_1 300 1024}] [{ws_1 1024 1100}]" {
		t.Fatalf("%+v %v", joined, err)
	}
	w.use(func(d *data) { w.verify(d, 1026, "1024-1100@1024") })
}

// Months are merged: what goes further may begin before the backup's end.
func TestMergedSegmentsAreReplayed(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.use(func(d *data) { w.append(d, 512); w.seal(d) })
	b := w.backup()
	w.use(func(d *data) {
		w.append(d, 1024)
		w.seal(d)
		a := &segment.Archivist{Store: d.record, Catalog: store.Segments{DB: d.db}, Sealer: w.keys, Spool: t.TempDir(), Now: func() time.Time { return today.AddDate(0, 2, 0) }, Rand: rand.Reader, Entries: 256}
		must(t, a.Pass(ctx))
		list, err := store.Segments{DB: d.db}.Segments(ctx, ws, segment.Span{End: 1 << 40, Until: 1 << 60, Limit: 9})
		if err != nil || len(list) != 1 {
			t.Fatalf("%d segments, %v", len(list), err)
		}
	})
	w.lose()
	joined, err := w.restore(b, nil)
	if err != nil || fmt.Sprint(joined.Replayed) != "[{ws_1 512 1024}]" {
		t.Fatalf("%+v %v", joined, err)
	}
	w.use(func(d *data) { w.verify(d, 1025) })
}

// copyOver copies a folder's content in the place of another's.
func copyOver(dir string, from fs.FS) error {
	return errors.Join(os.RemoveAll(dir), os.CopyFS(dir, from), os.MkdirAll(filepath.Join(dir, "objects"), 0o700))
}

// Whoever can write to the store of objects can't have entries signed that weren't.
func TestObjectsAreNotTrusted(t *testing.T) {
	w := newWorld(t)
	w.use(func(d *data) { w.append(d, 20) })
	b := w.backup()
	for name, from := range map[string]string{"from the first entry on": t.TempDir(), "behind the backup": w.dir} {
		forged := newWorld(t)
		forged.keys = w.keys
		must(t, copyOver(forged.dir, os.DirFS(from)))
		forged.use(func(d *data) { forged.append(d, 512); forged.seal(d) })
		real := newWorld(t)
		real.keys = w.keys
		must(t, copyOver(real.dir, os.DirFS(w.dir)))
		real.use(func(d *data) { real.append(d, 512) })
		real.lose()
		must(t, copyOver(real.blobs().Dir, os.DirFS(forged.blobs().Dir)))
		t.Log(name)
		_, err := real.restore(b, declared)
		refused(t, err, "aren't those that were signed")
		real.known = nil
		if _, err = real.restore(b, nil); steward.KindOf(err) != steward.Conflict || err == nil {
			t.Errorf("forged entries that nobody vouches for: %v", err)
		}
	}

	// The right ones, which nobody vouches for.
	honest := newWorld(t)
	honest.use(func(d *data) { honest.append(d, 20) })
	b = honest.backup()
	honest.use(func(d *data) { honest.append(d, 512); honest.seal(d) })
	honest.lose()
	honest.known = nil
	_, err := honest.restore(b, nil)
	refused(t, err, "no checkpoint that is given vouches for entries 20 to 511 of workspace ws_1, which sealed objects hold")
	joined, err := honest.restore(b, declared)
	if err != nil || len(joined.Lost) != 0 || len(joined.Replayed) != 1 {
		t.Fatalf("%+v %v", joined, err)
	}
	honest.use(func(d *data) { honest.verify(d, 514, "512-512@512") })
}

// What was forgotten after a backup goes from it again, its bytes too, and the record says so.
func TestWhatWasForgottenSinceGoesAgain(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	person := steward.PersonID("person_1")
	seal := func(row string, scopes ...steward.Scope) steward.Sealed {
		s, err := w.keys.Seal(ctx, steward.Place{Workspace: ws, Table: "tokens", Row: row}, scopes, []byte("Erika Mustermann"))
		must(t, err)
		return s
	}
	day := steward.TimeScope(steward.ClassVault, today)
	stays, goes := seal("k1", day), seal("k2", day, steward.PersonScope(person))
	var part []byte
	w.use(func(d *data) {
		p := store.Privacy{DB: d.db}
		for id, sealed := range map[string]steward.Sealed{"k1": stays, "k2": goes} {
			_, err := p.IssueTokens(ctx, ws, []privacy.Row{{ID: id, Conversation: "c1", Type: steward.TokenPerson, Issued: today, Sealed: sealed}})
			must(t, err)
		}
		_, err := p.AddPeople(ctx, ws, map[string]steward.PersonID{"digest": person})
		must(t, err)
		w.append(d, 300)
		w.seal(d)
		rows, err := d.record.Rows(ctx, ws, 280, 1, true)
		must(t, err)
		part = rows[0].Parts[len(rows[0].Parts)-16:]
	})
	b := w.backup()
	must(t, w.keys.Shred(ctx, ws, steward.PersonScope(person), steward.TimeScope(steward.ClassRun, today)))
	w.lose()
	must(t, os.RemoveAll(w.blobs().Dir))
	joined, err := w.restore(b, nil)
	if err != nil || joined.Removed < 3 {
		t.Fatalf("%+v %v", joined, err)
	}
	must(t, fs.WalkDir(os.DirFS(w.dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if strings.Contains(name, "/parts-") {
			t.Errorf("%s was put back", name)
		}
		content, err := os.ReadFile(filepath.Join(w.dir, name))
		if bytes.Contains(content, goes.Box) || bytes.Contains(content, part) {
			t.Errorf("%s holds the bytes of what was forgotten", name)
		}
		if name == store.DataFile && !bytes.Contains(content, stays.Box) {
			t.Error("what wasn't forgotten is gone too")
		}
		return err
	}))
	w.use(func(d *data) {
		people, err := store.Privacy{DB: d.db}.People(ctx, ws, []string{"digest"})
		if err != nil || len(people) > 0 {
			t.Errorf("people %v %v", people, err)
		}
		w.verify(d, 303) // restored, purge begun and done
	})
}

// A workspace that was closed has no key any more. What is remembered of it, from before the backup or behind it, keeps
// nobody from restoring the others.
func TestClosedWorkspacesKeepNobodyFromRestoring(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	sign := func(d *data, ws steward.WorkspaceID) {
		_, err := d.Append(ctx, ws, ledger.Entry{Kind: ledger.LedgerRead, Caller: "mem_1", Outcome: ledger.OK})
		must(t, err)
		_, err = d.Checkpoint(ctx, ws)
		must(t, err)
	}
	w.use(func(d *data) { w.append(d, 20); sign(d, "ws_2") })
	b := w.backup()
	w.use(func(d *data) { sign(d, "ws_2"); sign(d, "ws_3") })
	for _, closed := range []steward.WorkspaceID{"ws_2", "ws_3"} {
		must(t, w.keys.ShredWorkspace(ctx, closed))
	}
	joined, err := w.restore(b, nil)
	if err != nil || len(joined.Lost) > 0 {
		t.Fatalf("%+v %v", joined, err)
	}
	w.use(func(d *data) { w.verify(d, 21) })
}

// broken fails at one of its uses, as if the power went.
type broken struct {
	segment.Blobs
	rejoin.Rows
	steps int
}

var errPower = errors.New("the power went")

func (b *broken) step() error {
	if b.steps--; b.steps == 0 {
		return errPower
	}
	return nil
}

func (b *broken) Put(ctx context.Context, name string, content io.ReadSeeker, size int64, until time.Time) error {
	return errors.Join(b.step(), b.Blobs.Put(ctx, name, content, size, until), b.step())
}

func (b *broken) Delete(ctx context.Context, name string) error {
	return errors.Join(b.step(), b.Blobs.Delete(ctx, name), b.step())
}

func (b *broken) Adopt(ctx context.Context, ws steward.WorkspaceID, list []segment.Segment, last int64) error {
	return errors.Join(b.step(), b.Rows.Adopt(ctx, ws, list, last), b.step())
}

func (b *broken) Opened(ctx context.Context, ws steward.WorkspaceID, rows []ledger.Row) error {
	return errors.Join(b.step(), b.Rows.Opened(ctx, ws, rows), b.step())
}

func (b *broken) WalkSealed(ctx context.Context, ws steward.WorkspaceID, f func(steward.Place, steward.Sealed) error) error {
	return errors.Join(b.step(), b.Rows.WalkSealed(ctx, ws, f), b.step())
}

func (b *broken) People(ctx context.Context, ws steward.WorkspaceID) ([]steward.PersonID, error) {
	list, err := b.Rows.People(ctx, ws)
	return list, errors.Join(b.step(), err)
}

// Whatever step a restore ends at, the next one ends right, and once.
func TestInterruptedJoinsEndRight(t *testing.T) {
	w := newWorld(t)
	w.use(func(d *data) { w.append(d, 20) })
	b := w.backup()
	w.use(func(d *data) { w.append(d, 600); w.seal(d) })
	must(t, w.keys.Shred(context.Background(), ws, steward.TimeScope(steward.ClassRun, today)))
	w.lose()
	for at := 1; ; at++ {
		_, err := w.restore(b, func(j *rejoin.Join) {
			declared(j)
			f := &broken{Blobs: j.Staged, Rows: j.Rows, steps: at}
			j.Staged, j.Rows = f, f
		})
		if err == nil {
			if at < 12 {
				t.Errorf("only %d steps were tried", at)
			}
			break
		}
		if _, err := os.Stat(filepath.Join(w.dir, store.DataFile)); err == nil {
			t.Fatalf("step %d: half a restore is in its place", at)
		}
	}
	w.use(func(d *data) { w.verify(d, 516, "512-600@512") })
}
