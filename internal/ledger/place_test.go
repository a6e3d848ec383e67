package ledger_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/tlog"
	"github.com/stewardhq/steward/internal/ledger/tlog/verifier"
	"github.com/stewardhq/steward/internal/ledger/verify"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

// place is where ledgers and their keys are kept: in a folder, or but for the root key in two databases of a
// server. They can be opened there again and again.
type place struct {
	dir        string
	server     *postgres.Server // nil on SQLite
	data, keys string           // the addresses on the server
}

// onBoth runs a test on SQLite and on Postgres, each with nothing written yet.
func onBoth(t *testing.T, test func(t *testing.T, at place)) {
	t.Run("sqlite", func(t *testing.T) { test(t, place{dir: t.TempDir()}) })
	t.Run("postgres", func(t *testing.T) { test(t, onPostgres(t)) })
}

// lasting makes databases last as long as the server: to empty them takes far less time than to make others.
type lasting struct{ testing.TB }

func (lasting) Cleanup(func()) {}

var databases struct {
	made       sync.Once
	data, keys string
}

// onPostgres empties the place that there is on Postgres: tests have it one after the other.
func onPostgres(t testing.TB) place {
	t.Helper()
	at := place{dir: t.TempDir(), server: postgres.Start(t)}
	databases.made.Do(func() {
		databases.data, databases.keys = at.server.Database(lasting{t}), at.server.Database(lasting{t})
	})
	at.data, at.keys = databases.data, databases.keys
	for _, open := range []func(context.Context) (*store.DB, error){store.Postgres{URL: at.data}.OpenData, store.Postgres{URL: at.keys}.OpenKeyring} {
		db, err := open(context.Background()) // which makes the tables
		must(t, err)
		must(t, db.Close())
	}
	at.each(t, `DELETE FROM public.%1$I`, "public")
	return at
}

// anew is another place of the same sort. On Postgres it takes the first one's.
func (at place) anew(t testing.TB) place {
	t.Helper()
	if at.server == nil {
		return place{dir: t.TempDir()}
	}
	return onPostgres(t)
}

// each runs a statement for each table of a schema, in both databases of the server.
func (at place) each(t testing.TB, statement, schema string) {
	t.Helper()
	for _, address := range []string{at.data, at.keys} {
		at.server.Exec(t, nameOf(t, address), `CREATE SCHEMA IF NOT EXISTS kept; DO $do$ DECLARE t text; BEGIN
			SET LOCAL session_replication_role = replica; -- references hold once all tables are done
			SET LOCAL synchronous_commit = off;
			FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = '`+schema+`' AND tablename <> 'steward_schema' LOOP
				EXECUTE format($format$`+statement+`$format$, t);
			END LOOP; END $do$`)
	}
}

func nameOf(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	return strings.TrimPrefix(u.Path, "/")
}

// keep remembers everything that is there, keys included, and gives what puts it back. Nothing may be open.
func (at place) keep(t testing.TB) (back func()) {
	t.Helper()
	kept := copyOf(t, at.dir)
	if at.server != nil {
		at.each(t, `DROP TABLE IF EXISTS kept.%1$I; CREATE TABLE kept.%1$I AS TABLE public.%1$I`, "public")
	}
	return func() {
		t.Helper()
		must(t, os.RemoveAll(at.dir))
		copyInto(t, at.dir, kept)
		if at.server != nil {
			at.each(t, `DELETE FROM public.%1$I; INSERT INTO public.%1$I TABLE kept.%1$I`, "kept")
		}
	}
}

func copyOf(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	copyInto(t, to, dir)
	return to
}

func copyInto(t testing.TB, to, dir string) {
	t.Helper()
	must(t, os.CopyFS(to, os.DirFS(dir)))
	must(t, os.Chmod(filepath.Join(to, "root"), 0o700))
	must(t, os.Chmod(filepath.Join(to, "root", keyring.KeyFile), 0o600))
}

// openData opens the data, and closes it with the test.
func (at place) openData(t testing.TB, readOnly bool) *store.DB {
	t.Helper()
	db, err := at.tryData(readOnly)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

func (at place) tryData(readOnly bool) (*store.DB, error) {
	switch ctx := context.Background(); {
	case at.server != nil:
		return store.Postgres{URL: at.data, ReadOnly: readOnly}.OpenData(ctx)
	case readOnly:
		return store.OpenReadOnly(ctx, at.dir, store.DataFile)
	default:
		return store.OpenData(ctx, at.dir)
	}
}

// openKeys opens the keyring, for whoever comes: the root key is made with it.
func (at place) openKeys(t testing.TB) *keyring.Keyring {
	t.Helper()
	ctx := context.Background()
	keeper := keyring.FileKeeper{Dir: filepath.Join(at.dir, "root")}
	if err := keeper.Create(rand.Reader); err != nil && steward.KindOf(err) != steward.Conflict {
		t.Fatal(err)
	}
	open := func() (*store.DB, error) { return store.OpenKeyring(ctx, at.dir) }
	if at.server != nil {
		open = func() (*store.DB, error) { return store.Postgres{URL: at.keys}.OpenKeyring(ctx) }
	}
	db, err := open()
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	k, err := keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: db}, Keeper: keeper, Rand: rand.Reader, Alone: at.server == nil})
	must(t, err)
	return k
}

// readKeys opens the keyring for reading only.
func (at place) readKeys(t testing.TB) (k *keyring.Keyring, done func()) {
	t.Helper()
	ctx := context.Background()
	open := func() (*store.DB, error) { return store.OpenReadOnly(ctx, at.dir, store.KeyringFile) }
	if at.server != nil {
		open = func() (*store.DB, error) { return store.Postgres{URL: at.keys, ReadOnly: true}.OpenKeyring(ctx) }
	}
	db, err := open()
	must(t, err)
	k, err = keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: db}, Keeper: keyring.FileKeeper{Dir: filepath.Join(at.dir, "root")}, Rand: rand.Reader})
	must(t, err)
	return k, func() { must(t, db.Close()) }
}

// agree lets others have a look at all logs, through a store that is open for reading.
func (at place) agree(t testing.TB) {
	t.Helper()
	data, err := at.tryData(true)
	must(t, err)
	defer func() { must(t, data.Close()) }()
	k, done := at.readKeys(t)
	defer done()
	agree(t, at.workspaces(t), store.Ledger{DB: data}, k)
}

// open opens a ledger and closes it with the test. Once it is closed others have a look at the logs.
func (at place) open(t testing.TB, change func(*ledger.Config)) *house {
	t.Helper()
	ctx := context.Background()
	h := &house{place: at, store: store.Ledger{DB: at.openData(t, false)}, keys: at.openKeys(t)}
	c := ledger.Config{Store: h.store, Sealer: h.keys, Now: time.Now, Rand: rand.Reader, Origin: "steward.test"}
	if change != nil {
		change(&c)
	}
	var err error
	h.Ledger, err = ledger.Open(ctx, c)
	must(t, err)
	t.Cleanup(func() {
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
		if _, measured := t.(*testing.B); !measured {
			agree(t, at.workspaces(t), h.store, h.keys)
		}
	})
	return h
}

// workspaces are those that have a ledger.
func (at place) workspaces(t testing.TB) (all []steward.WorkspaceID) {
	t.Helper()
	db := at.behind(t)
	defer func() { must(t, db.Close()) }()
	rows, err := db.Query(`SELECT workspace FROM ledger_heads ORDER BY workspace`)
	must(t, err)
	for rows.Next() {
		var w steward.WorkspaceID
		must(t, rows.Scan(&w))
		all = append(all, w)
	}
	must(t, rows.Err())
	return all
}

// agree has whoever else verifies logs look at them, as they are exported: what verify finds nothing wrong
// with is to all of them a log of the same entries. What is exported is whole, even where verify does. Of many
// logs they look at some.
func agree(t testing.TB, workspaces []steward.WorkspaceID, from ledger.Store, keys *keyring.Keyring) {
	t.Helper()
	ctx := context.Background()
	for i := 0; i < len(workspaces); i += max(1, len(workspaces)/16) {
		w := workspaces[i]
		r, err := verify.Ledger(ctx, verify.Source{Store: from, Sealer: keys, Checked: true}, w, nil)
		must(t, err)
		dir := inMemory(t)
		cp, err := tlog.Log{Store: from, Sealer: keys}.Export(ctx, w, dir, nil)
		switch {
		case len(r.Findings) > 0 && err != nil:
			continue
		case r.Checkpoint == nil && steward.KindOf(err) == steward.NotFound:
			continue // there is nothing signed, which both say
		case err != nil || r.Checkpoint == nil:
			t.Errorf("verify finds nothing wrong with %s, and exporting it: %v", w, err)
			continue
		case len(r.Findings) == 0 && (cp.Note != r.Checkpoint.Note || cp.Key != r.Checkpoint.Key):
			t.Errorf("%s: verify speaks of %+v, the export of %+v", w, r.Checkpoint, cp)
		}
		if l, err := verifier.Check(dir); err != nil || l.Origin != cp.Origin || uint64(len(l.Headers)) != cp.Size || !bytes.Equal(l.Root[:], cp.Root) {
			t.Errorf("of %s, exported, the independent verifier says %v, over %d entries of %d", w, err, len(l.Headers), cp.Size)
		}
		folder, err := tlog.OpenFolder(dir)
		must(t, err)
		exported, err := verify.Ledger(ctx, verify.Source{Store: folder, Key: cp.Key, HeadersOnly: true}, w, nil)
		must(t, err)
		must(t, folder.Close())
		if len(r.Findings) == 0 && (len(exported.Findings) > 0 || exported.Entries != cp.Size) {
			t.Errorf("of %s, exported, verify says %+v", w, exported)
		}
	}
}

// inMemory is a folder that needn't outlive the test, where to sync a file costs nothing if there is such a place.
func inMemory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "steward-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}

// behind is the data as somebody has it who goes around Steward: on Postgres as superuser, whom no policy on
// rows holds.
type behind struct {
	t testing.TB
	*sql.DB
}

func (at place) behind(t testing.TB) behind {
	t.Helper()
	driver, address := "sqlite", "file:"+filepath.Join(at.dir, store.DataFile)+"?_pragma=busy_timeout(10000)&_pragma=synchronous(off)"
	if at.server != nil {
		driver, address = "pgx", at.server.URL(postgres.Superuser, nameOf(t, at.data))+"&synchronous_commit=off"
	}
	db, err := sql.Open(driver, address)
	must(t, err)
	return behind{t, db}
}

// files are all that a disk holds of the place, but for the root key: of Postgres also what it writes ahead.
func (at place) files(t testing.TB) (all []string) {
	t.Helper()
	folders := []string{at.dir}
	if at.server != nil {
		db := at.behind(t)
		defer func() { must(t, db.Close()) }()
		_, err := db.Exec(`CHECKPOINT`)
		must(t, err)
		var root string
		must(t, db.QueryRow(`SHOW data_directory`).Scan(&root))
		folders = []string{filepath.Join(root, "pg_wal")}
		for _, address := range []string{at.data, at.keys} {
			var oid string
			must(t, db.QueryRow(`SELECT oid FROM pg_database WHERE datname = $1`, nameOf(t, address)).Scan(&oid))
			folders = append(folders, filepath.Join(root, "base", oid))
		}
	}
	for _, folder := range folders {
		entries, err := os.ReadDir(folder)
		must(t, err)
		for _, e := range entries {
			if e.Type().IsRegular() {
				all = append(all, filepath.Join(folder, e.Name()))
			}
		}
	}
	return all
}

// deed is something that is done behind Steward's back. It has to change something.
type deed func(db behind)

// tamper does deeds, one after the other.
func (at place) tamper(t testing.TB, deeds ...deed) {
	t.Helper()
	db := at.behind(t)
	defer func() { must(t, db.Close()) }()
	for _, d := range deeds {
		d(db)
	}
}

// do is a statement, of the same text on both databases.
func do(statement string, args ...any) deed {
	return func(db behind) {
		db.t.Helper()
		r, err := db.Exec(statement, args...)
		if err != nil {
			db.t.Fatalf("%s: %v", statement, err)
		}
		if n, _ := r.RowsAffected(); n == 0 {
			db.t.Fatalf("%s changed nothing", statement)
		}
	}
}

// rewrite changes the bytes of a column wherever a condition holds.
func rewrite(table, column, where string, change func([]byte) []byte) deed {
	return func(db behind) {
		db.t.Helper()
		rows, err := db.Query(fmt.Sprintf(`SELECT DISTINCT %s FROM %s WHERE %s`, column, table, where))
		must(db.t, err)
		var found [][]byte
		for rows.Next() {
			var b []byte
			must(db.t, rows.Scan(&b))
			found = append(found, b)
		}
		must(db.t, rows.Err())
		if len(found) == 0 {
			db.t.Fatalf("there is no %s where %s", table, where)
		}
		for _, was := range found {
			now := change(bytes.Clone(was))
			if bytes.Equal(now, was) {
				db.t.Fatalf("%q isn't changed", was)
			}
			do(fmt.Sprintf(`UPDATE %s SET %s = $1 WHERE %[2]s = $2 AND %s`, table, column, where), now, was)(db)
		}
	}
}

// header replaces text in the header of an entry of the workspace that tests tamper with.
func header(seq int, from, to string) deed {
	return rewrite("ledger_tail", "header", fmt.Sprintf(`workspace = 'ws_1' AND seq = %d`, seq), replaced(from, to))
}

func replaced(from, to string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(from), []byte(to)) }
}

func zeros(b []byte) []byte { return make([]byte, len(b)) }
