package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
)

func opened(t *testing.T) *DB {
	t.Helper()
	db, err := OpenData(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// TestPragmasAreInForce reads back from every connection what durability and forgetting rest on: SQLite
// says nothing about a pragma that it doesn't know.
func TestPragmasAreInForce(t *testing.T) {
	ctx := context.Background()
	db := opened(t)
	ro, err := OpenReadOnly(ctx, filepath.Dir(fileOf(t, db.read)), DataFile)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ro.Close() }()
	for name, handle := range map[string]*sql.DB{"writing": db.write, "reading": db.read, "read-only": ro.read} {
		open := handle.Stats().MaxOpenConnections
		if name == "writing" && open != 1 {
			t.Errorf("there are %d writing connections", open)
		}
		for i := range open {
			conn, err := handle.Conn(ctx) // held, so that the next is another one
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			for pragma, want := range map[string]string{
				"secure_delete": "1", "synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "temp_store": "2", "busy_timeout": "10000",
			} {
				var got string
				if err := conn.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
					t.Errorf("%s connection %d: %s is %s, %v; want %s", name, i, pragma, got, err, want)
				}
			}
			_, err = conn.ExecContext(ctx, "CREATE TABLE written (x)")
			if wrote := err == nil; wrote != (name == "writing") {
				t.Errorf("%s connection %d: writing gives %v", name, i, err)
			}
		}
	}
}

func fileOf(t *testing.T, handle *sql.DB) (file string) {
	t.Helper()
	var seq, name string
	if err := handle.QueryRowContext(context.Background(), "PRAGMA database_list").Scan(&seq, &name, &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// fill makes the disk look full but for some pages, and returns what gives the room back.
func fill(t *testing.T, db *DB, pagesLeft int) (empty func()) {
	t.Helper()
	pragma := func(text string) (n int) {
		if err := db.write.QueryRowContext(context.Background(), "PRAGMA "+text).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := pragma("max_page_count")
	limit := pragma("page_count") + pagesLeft
	if got := pragma(fmt.Sprint("max_page_count = ", limit)); got != limit {
		t.Fatalf("the limit is %d", got)
	}
	return func() { pragma(fmt.Sprint("max_page_count = ", before)) }
}

const fullMessage = "the disk that holds Steward's data is full; free some space and try again, nothing was half-written"

func isFull(t *testing.T, err error) {
	t.Helper()
	if steward.KindOf(err) != steward.Unavailable || steward.Message(err) != fullMessage {
		t.Fatalf("a full disk gives %v", err)
	}
}

func TestFullDisk(t *testing.T) {
	ctx := context.Background()
	db := opened(t)
	if _, err := db.exec(ctx, "CREATE TABLE things (id text PRIMARY KEY, body blob)"); err != nil {
		t.Fatal(err)
	}
	put := func(tx *sql.Tx, id string, size int) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO things (id, body) VALUES ($1, $2)", id, make([]byte, size))
		return err
	}
	held := func() (ids string) {
		t.Helper()
		if _, err := db.one(ctx, []any{&ids}, "SELECT coalesce(group_concat(id, ' ' ORDER BY id), '') FROM things"); err != nil {
			t.Fatal(err)
		}
		return ids
	}
	if err := db.update(ctx, func(tx *sql.Tx) error { return put(tx, "before", 10) }); err != nil {
		t.Fatal(err)
	}
	empty := fill(t, db, 2)
	for range 3 { // a failure leaves nothing that stands in the way of the next
		reached := false
		err := db.update(ctx, func(tx *sql.Tx) error {
			if err := put(tx, "small", 10); err != nil {
				return err
			}
			reached = true
			return put(tx, "large", 1<<20)
		})
		isFull(t, err)
		if !reached {
			t.Fatal("the small row found no room, so nothing could be half-written")
		}
		if got := held(); got != "before" {
			t.Fatalf("after a failed update it holds %q", got)
		}
	}
	// What f makes of the error changes nothing: the transaction is not kept.
	err := db.update(ctx, func(tx *sql.Tx) error {
		if err := put(tx, "small", 10); err != nil {
			return err
		}
		if err := put(tx, "large", 1<<20); err == nil {
			t.Error("the large row found room")
		}
		return fmt.Errorf("noun: %w", errors.New("something else"))
	})
	if err == nil || held() != "before" {
		t.Errorf("%v, and it holds %q", err, held())
	}
	if err := db.update(ctx, func(tx *sql.Tx) error { return put(tx, "fits", 10) }); err != nil {
		t.Errorf("what fits is refused: %v", err)
	}
	empty()
	if err := db.update(ctx, func(tx *sql.Tx) error { return errors.Join(put(tx, "small", 10), put(tx, "large", 1<<20)) }); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if got := held(); got != "before fits large small" {
		t.Errorf("it holds %q", got)
	}
}

func TestLedgerOverAFullDisk(t *testing.T) {
	ctx := context.Background()
	const ws steward.WorkspaceID = "ws_1"
	db := opened(t)
	keys, err := OpenKeyring(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = keys.Close() }()
	keeper := keyring.FileKeeper{Dir: filepath.Join(t.TempDir(), "keeper")}
	if err := keeper.Create(rand.Reader); err != nil {
		t.Fatal(err)
	}
	sealer, err := keyring.Open(ctx, keyring.Config{Store: Keyring{DB: keys}, Keeper: keeper, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	book, err := ledger.Open(ctx, ledger.Config{Store: Ledger{DB: db}, Sealer: sealer, Now: time.Now, Rand: rand.Reader, Origin: "steward.test"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = book.Close(ctx) }()
	part := ledger.Part{Scopes: []steward.Scope{"ledger/2026-11"}, Body: []byte(strings.Repeat("x", 5000))}

	written := 0
	intend := func() (ledger.Intent, error) {
		i, err := book.Begin(ctx, ws, ledger.Entry{Tool: "t"}, part)
		if err == nil {
			written++
		}
		return i, err
	}
	open, err := intend()
	if err != nil {
		t.Fatal(err)
	}
	empty := fill(t, db, 20)
	for err == nil {
		if _, err = intend(); written > 1000 {
			t.Fatal("the disk never becomes full")
		}
	}
	isFull(t, err)
	if ready := book.Ready(ctx); steward.KindOf(ready) != steward.Unavailable {
		t.Errorf("with a full disk Ready says %v", ready)
	}
	// Neither an outcome nor anything else gets through, and an outcome can be tried again.
	_, err = book.End(ctx, open, ledger.Entry{Outcome: ledger.OK}, part)
	isFull(t, err)
	_, err = intend()
	isFull(t, err)

	empty()
	if _, err := book.End(ctx, open, ledger.Entry{Outcome: ledger.OK}, part); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	written++
	if _, err := intend(); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if err := book.Ready(ctx); err != nil {
		t.Errorf("with room again Ready says %v", err)
	}
	if _, err := book.Checkpoint(ctx, ws); err != nil {
		t.Errorf("with room again: %v", err)
	}
	report, err := ledger.Verify(ctx, ledger.Source{Store: Ledger{DB: db}, Sealer: sealer}, ws, nil)
	if err != nil || len(report.Findings) > 0 || report.Entries != uint64(written) || report.Unsigned != 0 {
		t.Errorf("%d entries were acknowledged; verify: %+v, %v", written, report, err)
	}
}

func TestCancelledUpdateLeavesNothing(t *testing.T) {
	db := opened(t)
	if _, err := db.exec(context.Background(), "CREATE TABLE things (id text PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		ctx, cancel := context.WithCancel(context.Background())
		err := db.update(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "INSERT INTO things VALUES ($1)", fmt.Sprint(i))
			cancel()
			return err
		})
		if err == nil {
			t.Fatal("an update that was cancelled before its commit succeeded")
		}
	}
	// A panic on the way is no commit either, and the one writing connection comes back.
	func() {
		defer func() { _ = recover() }()
		_ = db.update(context.Background(), func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(context.Background(), "INSERT INTO things VALUES ('panic')"); err != nil {
				t.Error(err)
			}
			panic("on the way")
		})
	}()
	if n, err := db.exec(context.Background(), "INSERT INTO things VALUES ('after')"); err != nil || n != 1 {
		t.Errorf("afterwards: %d, %v", n, err)
	}
	var n int
	if _, err := db.one(context.Background(), []any{&n}, "SELECT count(*) FROM things"); err != nil || n != 1 {
		t.Errorf("%d rows were kept, %v", n, err)
	}
}

// TestDeletedBytesAreOverwritten looks at the file behind the write-ahead log: what a row held is not in
// the page it stood on any more.
func TestDeletedBytesAreOverwritten(t *testing.T) {
	ctx := context.Background()
	db := opened(t)
	const secret = "sealed-0123456789-of-somebody"
	if _, err := db.exec(ctx, "CREATE TABLE things (id text PRIMARY KEY, body text)"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.exec(ctx, "INSERT INTO things VALUES ('a', $1), ('b', 'stays-"+secret[:10]+"')", secret); err != nil {
		t.Fatal(err)
	}
	checkpoint := func() {
		t.Helper()
		var busy, pages, moved int
		if err := db.write.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &moved); err != nil || busy != 0 {
			t.Fatal(busy, err)
		}
	}
	checkpoint()
	if !onDisk(t, db, secret) {
		t.Fatal("the search doesn't find what is there, so it proves nothing")
	}
	if _, err := db.exec(ctx, "DELETE FROM things WHERE id = 'a'"); err != nil {
		t.Fatal(err)
	}
	checkpoint()
	if onDisk(t, db, secret) {
		t.Error("what was deleted is still on disk")
	}
	if !onDisk(t, db, "stays-"+secret[:10]) {
		t.Error("what was not deleted is gone")
	}
}

// onDisk tells whether any file of the database holds the text.
func onDisk(t *testing.T, db *DB, text string) bool {
	t.Helper()
	files, err := filepath.Glob(fileOf(t, db.read) + "*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte(text)) {
			return true
		}
	}
	return false
}
