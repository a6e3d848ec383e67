package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/verify"
	"github.com/stewardhq/steward/internal/store/database"
)

func openedData(t *testing.T) *DB {
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

// fill makes the disk look full but for some pages, and returns what gives the room back.
func fill(t *testing.T, db *DB, pagesLeft int) (empty func()) {
	t.Helper()
	pragma := func(text string) (n int) {
		err := db.db.Update(context.Background(), database.Reach{}, func(tx *sql.Tx) error {
			return tx.QueryRow("PRAGMA " + text).Scan(&n)
		})
		if err != nil {
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

func TestLedgerOverAFullDisk(t *testing.T) {
	ctx := context.Background()
	const ws steward.WorkspaceID = "ws_1"
	db := openedData(t)
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
	report, err := verify.Ledger(ctx, verify.Source{Store: Ledger{DB: db}, Sealer: sealer}, ws, nil)
	if err != nil || len(report.Findings) > 0 || report.Entries != uint64(written) || report.Unsigned != 0 {
		t.Errorf("%d entries were acknowledged; verify: %+v, %v", written, report, err)
	}
}
