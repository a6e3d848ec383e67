package rejoin_test

import (
	"context"
	"crypto/rand"
	"io"
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
	"github.com/stewardhq/steward/internal/ledger/tree"
	"github.com/stewardhq/steward/internal/store"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// signed is a checkpoint over so many entries, as the ledger of a workspace signs it.
func signed(t *testing.T, sealer steward.Sealer, ws steward.WorkspaceID, size uint64) string {
	t.Helper()
	key, err := ledger.Ring(context.Background(), sealer, ws)(1)
	must(t, err)
	edge := &tree.Edge{}
	for range size {
		edge.Append(make([]byte, tree.HashSize))
	}
	cp, err := tree.Sign(edge, "steward.test/"+string(ws), key)
	must(t, err)
	return cp.Note
}

func openKeys(t *testing.T) *keyring.Keyring {
	t.Helper()
	ctx := context.Background()
	dir := t.TempDir()
	db, err := store.OpenKeyring(ctx, dir)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	keeper := keyring.FileKeeper{Dir: filepath.Join(dir, "keeper")}
	must(t, keeper.Create(rand.Reader))
	keys, err := keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: db}, Keeper: keeper, Rand: rand.Reader, Alone: true})
	must(t, err)
	return keys
}

func TestBackupsThatEndTooEarly(t *testing.T) {
	ctx := context.Background()
	keys := openKeys(t)
	ledgers := []backup.Ledger{{Workspace: "ws_1", Entries: 5}, {Workspace: "ws_2", Entries: 3}}
	one3, one5, one9, two4, three := signed(t, keys, "ws_1", 3), signed(t, keys, "ws_1", 5), signed(t, keys, "ws_1", 9), signed(t, keys, "ws_2", 4), signed(t, keys, "ws_3", 2)
	for _, c := range []struct {
		name  string
		known []string
		says  string // "" for nothing
	}{
		{"nothing is known", nil, ""},
		{"it reaches as far", []string{one3, one5}, ""},
		{"one ledger ends before", []string{one9, one3}, "lacks entries 5 to 8 of workspace ws_1;"},
		{"two do", []string{one5, two4, one9}, "lacks entries 5 to 8 of workspace ws_1, entries 3 to 3 of workspace ws_2;"},
		{"a workspace is younger than the backup", []string{three}, "lacks entries 0 to 1 of workspace ws_3;"},
		{"a size was made up", []string{strings.Replace(one3, "\n3\n", "\n2\n", 1)}, "isn't signed with its key"},
		{"another Steward's", []string{signed(t, openKeys(t), "ws_1", 9)}, "isn't signed with its key"},
		{"another ledger's note under this name", []string{strings.ReplaceAll(two4, "ws_2", "ws_1")}, "isn't signed with its key"},
		{"no note at all", []string{"hello"}, "isn't signed with its key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := rejoin.NotBehind(ctx, ledgers, c.known, keys)
			if c.says == "" {
				must(t, err)
			} else if err == nil || steward.KindOf(err) != steward.Conflict || !strings.Contains(steward.Message(err), c.says) {
				t.Errorf("error %v, want one that says %q", err, c.says)
			}
		})
	}
}

func TestObjectsOfTwoPlaces(t *testing.T) {
	ctx := context.Background()
	now := func() time.Time { return time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC) }
	restored, bucket := blob.Folder{Dir: t.TempDir(), Now: now}, blob.Folder{Dir: t.TempDir(), Now: now}
	put := func(in blob.Folder, name, content string) {
		must(t, in.Put(ctx, name, strings.NewReader(content), int64(len(content)), time.Time{}))
	}
	put(restored, "ledger/ws_1/00000000000000000000-a/headers", "copied")
	put(bucket, "ledger/ws_1/00000000000000000000-a/headers", "of the bucket")
	put(bucket, "ledger/ws_1/00000000000000000256-b/headers", "locked")
	both := rejoin.Objects{Blobs: restored, Elsewhere: bucket}
	for name, want := range map[string]string{"ledger/ws_1/00000000000000000000-a/headers": "copied", "ledger/ws_1/00000000000000000256-b/headers": "locked", "ledger/none": ""} {
		o, err := both.Open(ctx, name)
		if want == "" {
			if steward.KindOf(err) != steward.NotFound {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		must(t, err)
		got, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
		if err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
		must(t, o.Close())
	}
	must(t, rejoin.NoneNewer(ctx, backup.Manifest{Ledgers: []backup.Ledger{{Workspace: "ws_1", Entries: 257, Sealed: 257}, {Workspace: "ws_2"}}}, bucket))
	for entries, first := range map[uint64]string{256: "256", 0: "0"} {
		err := rejoin.NoneNewer(ctx, backup.Manifest{Ledgers: []backup.Ledger{{Workspace: "ws_1", Entries: entries, Sealed: entries}}}, bucket)
		if steward.KindOf(err) != steward.Conflict || !strings.Contains(steward.Message(err), "lacks entries from "+first+" on of workspace ws_1") {
			t.Errorf("a backup of %d entries: %v", entries, err)
		}
	}
}

// What was sealed after a backup may begin with entries that the backup has too, in its rows.
func TestSealedSinceTheBackup(t *testing.T) {
	ctx := context.Background()
	bucket := blob.Folder{Dir: t.TempDir(), Now: time.Now}
	older, newer := "ledger/ws_1/00000000000000000000-a/headers", "ledger/ws_1/00000000000000000256-b/headers"
	for _, name := range []string{older, newer} {
		must(t, bucket.Put(ctx, name, strings.NewReader("x"), 1, time.Time{}))
	}
	b := backup.Manifest{Ledgers: []backup.Ledger{{Workspace: "ws_1", Entries: 300, Sealed: 256}}, Files: []backup.File{{Name: "objects/" + older}}}
	if err := rejoin.NoneNewer(ctx, b, bucket); steward.KindOf(err) != steward.Conflict || !strings.Contains(steward.Message(err), "from 256 on") {
		t.Errorf("sealed since: %v", err)
	}
	b.Ledgers[0].Sealed = 512
	b.Objects.Referenced = []backup.Object{{Name: newer}}
	must(t, rejoin.NoneNewer(ctx, b, bucket))
}

// long is a ledger of which only the reading is counted.
type long struct {
	ledger.Reader
	next  uint64
	reads int
}

func (l *long) Head(context.Context, steward.WorkspaceID) (ledger.Head, error) {
	return ledger.Head{Next: l.next}, nil
}

func (l *long) Rows(context.Context, steward.WorkspaceID, uint64, int, bool) ([]ledger.Row, error) {
	l.reads++
	return nil, nil
}

func (*long) WalkSealed(context.Context, steward.WorkspaceID, func(steward.Place, steward.Sealed) error) error {
	return nil
}

func TestOfALongLedgerSomeIsOpened(t *testing.T) {
	for _, entries := range []uint64{0, 1, 2000, 2001, 3999, 1_000_000} {
		l, opened := &long{next: entries}, rejoin.Opened{}
		must(t, opened.Open(context.Background(), rejoin.Sealed{Rows: l, Record: l}, "ws_1", func(string, uint64, uint64) {}))
		if l.reads > 2000 || uint64(l.reads)+opened.Skipped != entries {
			t.Errorf("of %d entries %d are opened and %d skipped", entries, l.reads, opened.Skipped)
		}
	}
}
