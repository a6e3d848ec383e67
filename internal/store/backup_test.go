package store_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/backup"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

// TestCopyIsOneState: while another goes on writing, a copy has all of some commits and nothing of the later ones,
// and nothing that was deleted; on both databases.
func TestCopyIsOneState(t *testing.T) {
	ctx := context.Background()
	for database, open := range map[string]opener{"sqlite": onSQLite, "postgres": onPostgres} {
		t.Run(database, func(t *testing.T) {
			db, _ := open(t)
			t.Cleanup(func() { closeDB(t, db) })
			must(t, addWorkspace(db, "acme"))
			must(t, addWorkspace(db, "a 'second'; one"))
			for i, box := range [][]byte{{}, {0}} {
				must(t, store.Identity{DB: db}.AddMember(ctx, "id_of_acme", identity.MemberRow{ID: steward.MemberID(fmt.Sprint("m", i)), Role: steward.Admin, Email: []byte{byte(i)}, Sealed: steward.Sealed{Box: box}, Created: at}))
			}
			tail := store.Ledger{DB: db}
			appender, err := tail.Appender(ctx)
			must(t, err)
			defer func() { must(t, appender.Close()) }()
			head := ledger.Head{}
			more := func() error {
				a := ledger.Advance{Workspace: "ws_1", Node: "n", Was: head, Now: ledger.Head{Next: head.Next + 10, Last: int64(head.Next) + 1}}
				for seq := head.Next; seq < a.Now.Next; seq++ {
					a.Rows = append(a.Rows, ledger.Row{Seq: seq, Header: fmt.Append(nil, "header ", seq), Parts: bytes.Repeat([]byte{0, 0xff, byte(seq)}, 300)})
				}
				head = a.Now
				return appender.Commit(ctx, []ledger.Advance{a})
			}
			for range 100 {
				must(t, more())
			}
			stop, failed := make(chan struct{}), make(chan error, 1)
			go func() {
				for {
					select {
					case <-stop:
						failed <- nil
						return
					default:
						if err := more(); err != nil {
							failed <- err
							return
						}
					}
				}
			}()
			dir := t.TempDir()
			err = store.Backup{DB: db}.Copy(ctx, dir)
			close(stop)
			must(t, <-failed)
			must(t, err)
			if info, err := os.Stat(filepath.Join(dir, store.DataFile)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("others may read the copy: %v %v", info.Mode(), err)
			}
			ledgers, err := store.Backup{DB: db}.Contents(ctx, dir, func(backup.Object) error { return nil })
			must(t, err)
			if len(ledgers) != 1 || ledgers[0].Entries < 1000 || ledgers[0].Entries%10 != 0 {
				t.Fatalf("%+v", ledgers)
			}
			copied, err := store.OpenReadOnly(ctx, dir, store.DataFile)
			must(t, err)
			same(t, store.Ledger{DB: copied}, tail, ledgers[0].Entries)
			if a, b := names(t, copied), names(t, db); a != b {
				t.Errorf("workspaces %s, not %s", a, b)
			}
			must(t, store.Ledger{DB: copied}.Check(ctx))
			closeDB(t, copied)

			// And on a server again, once.
			full := openPostgres(t, postgres.Start(t).Database(t))
			defer closeDB(t, full)
			must(t, store.Backup{DB: full}.Fill(ctx, dir, "mark", true))
			same(t, store.Ledger{DB: full}, tail, ledgers[0].Entries)
			for m, box := range map[steward.MemberID]string{"m0": "", "m1": "\x00"} {
				if member, err := (store.Identity{DB: full}).MemberByID(ctx, "id_of_acme", m); err != nil || string(member.Sealed.Box) != box {
					t.Errorf("%s has the box %q, %v", m, member.Sealed.Box, err)
				}
			}
			must(t, store.Backup{DB: full}.Fill(ctx, dir, "mark", true))
			refusal(t, store.Backup{DB: full}.Fill(ctx, dir, "another's mark", true), steward.Conflict, "there is data in this database already")
			refusal(t, store.Backup{DB: full}.Fill(ctx, dir, "mark", false), steward.Conflict, "there is data in this database already")
			same(t, store.Ledger{DB: full}, tail, ledgers[0].Entries)
			if rows, err := (store.Ledger{DB: full}).Rows(ctx, "ws_2", 0, 1, false); err != nil || len(rows) > 0 {
				t.Errorf("another workspace sees %d rows, %v", len(rows), err)
			}
			must(t, addWorkspace(full, "a third"))
		})
	}
}

// same holds a ledger's first entries against another's; no others are there.
func same(t *testing.T, got, want store.Ledger, entries uint64) {
	t.Helper()
	ctx := context.Background()
	for from := uint64(0); from < entries; {
		a, err := got.Rows(ctx, "ws_1", from, 500, true)
		must(t, err)
		b, err := want.Rows(ctx, "ws_1", from, 500, true)
		must(t, err)
		if len(a) == 0 {
			t.Fatalf("entry %d is missing", from)
		}
		for i := range a {
			if i >= len(b) || a[i].Seq != b[i].Seq || !bytes.Equal(a[i].Header, b[i].Header) || !bytes.Equal(a[i].Parts, b[i].Parts) {
				t.Fatalf("entry %d isn't as it was", a[i].Seq)
			}
			from = a[i].Seq + 1
		}
		if from > entries {
			t.Fatalf("there are entries behind %d", entries)
		}
	}
	if head, err := got.Head(ctx, "ws_1"); err != nil || head.Next != entries {
		t.Errorf("the head is at %d, not %d: %v", head.Next, entries, err)
	}
}

// TestCopyHasNothingDeleted: what was deleted before isn't in a copy, though its page may not have been used again.
func TestCopyHasNothingDeleted(t *testing.T) {
	ctx := context.Background()
	db, _ := onSQLite(t)
	defer closeDB(t, db)
	must(t, addWorkspace(db, "acme"))
	must(t, store.Retention{DB: db}.SetDays(ctx, "id_of_acme", "a word that was deleted", 3))
	must(t, store.Retention{DB: db}.Begin(ctx, "id_of_acme", []steward.Scope{"run/a-scope-that-was-deleted"}))
	must(t, store.Retention{DB: db}.End(ctx, "id_of_acme", []steward.Scope{"run/a-scope-that-was-deleted"}))
	dir := t.TempDir()
	must(t, store.Backup{DB: db}.Copy(ctx, dir))
	content, err := os.ReadFile(filepath.Join(dir, store.DataFile))
	must(t, err)
	if bytes.Contains(content, []byte("a-scope-that-was-deleted")) || !bytes.Contains(content, []byte("a word that was deleted")) {
		t.Error("the copy holds what was deleted, or lacks what wasn't")
	}
}
