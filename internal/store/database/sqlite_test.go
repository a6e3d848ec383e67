package database

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stewardhq/steward"
)

// things is a schema.
func things() Schema {
	return Schema{Files: fstest.MapFS{"1.sql": {Data: []byte("CREATE TABLE things (id text PRIMARY KEY, body blob)")}}}
}

func opened(t *testing.T) *DB {
	t.Helper()
	db, err := SQLite{Path: filepath.Join(t.TempDir(), "things.db")}.Open(context.Background(), things())
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
	ro, err := SQLite{Path: fileOf(t, db.read), ReadOnly: true}.Open(ctx, things())
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
	put := func(tx *sql.Tx, id string, size int) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO things (id, body) VALUES ($1, $2)", id, make([]byte, size))
		return err
	}
	held := func() (ids string) {
		t.Helper()
		if _, err := db.One(ctx, Reach{}, []any{&ids}, "SELECT coalesce(group_concat(id, ' ' ORDER BY id), '') FROM things"); err != nil {
			t.Fatal(err)
		}
		return ids
	}
	if err := db.Update(ctx, Reach{}, func(tx *sql.Tx) error { return put(tx, "before", 10) }); err != nil {
		t.Fatal(err)
	}
	empty := fill(t, db, 2)
	for range 3 { // a failure leaves nothing that stands in the way of the next
		reached := false
		err := db.Update(ctx, Reach{}, func(tx *sql.Tx) error {
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
	err := db.Update(ctx, Reach{}, func(tx *sql.Tx) error {
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
	if err := db.Update(ctx, Reach{}, func(tx *sql.Tx) error { return put(tx, "fits", 10) }); err != nil {
		t.Errorf("what fits is refused: %v", err)
	}
	empty()
	if err := db.Update(ctx, Reach{}, func(tx *sql.Tx) error { return errors.Join(put(tx, "small", 10), put(tx, "large", 1<<20)) }); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if got := held(); got != "before fits large small" {
		t.Errorf("it holds %q", got)
	}
}

func TestCancelledUpdateLeavesNothing(t *testing.T) {
	db := opened(t)
	for i := range 20 {
		ctx, cancel := context.WithCancel(context.Background())
		err := db.Update(ctx, Reach{}, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "INSERT INTO things (id) VALUES ($1)", fmt.Sprint(i))
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
		_ = db.Update(context.Background(), Reach{}, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(context.Background(), "INSERT INTO things (id) VALUES ('panic')"); err != nil {
				t.Error(err)
			}
			panic("on the way")
		})
	}()
	if n, err := db.Exec(context.Background(), Reach{}, "INSERT INTO things (id) VALUES ('after')"); err != nil || n != 1 {
		t.Errorf("afterwards: %d, %v", n, err)
	}
	var n int
	if _, err := db.One(context.Background(), Reach{}, []any{&n}, "SELECT count(*) FROM things"); err != nil || n != 1 {
		t.Errorf("%d rows were kept, %v", n, err)
	}
}

// TestDeletedBytesAreOverwritten looks at the file behind the write-ahead log: what a row held is not in
// the page it stood on any more.
func TestDeletedBytesAreOverwritten(t *testing.T) {
	ctx := context.Background()
	db := opened(t)
	const secret = "sealed-0123456789-of-somebody"
	if _, err := db.Exec(ctx, Reach{}, "INSERT INTO things VALUES ('a', $1), ('b', 'stays-"+secret[:10]+"')", secret); err != nil {
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
	if _, err := db.Exec(ctx, Reach{}, "DELETE FROM things WHERE id = 'a'"); err != nil {
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
