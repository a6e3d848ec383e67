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
	"github.com/stewardhq/steward/internal/store"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
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
}

// long is a ledger of which only the reading is counted.
type long struct {
	ledger.Reader
	first, next uint64
	reads       int
}

func (l *long) Head(context.Context, steward.WorkspaceID) (ledger.Head, error) {
	return ledger.Head{First: l.first, Next: l.next}, nil
}

func (l *long) Rows(_ context.Context, _ steward.WorkspaceID, from uint64, _ int, _ bool) ([]ledger.Row, error) {
	l.reads++
	if from < l.first {
		return []ledger.Row{{Seq: l.first}}, nil // as of a log whose beginning was pruned
	}
	return nil, nil
}

func (*long) WalkSealed(context.Context, steward.WorkspaceID, func(steward.Place, steward.Sealed) error) error {
	return nil
}

func TestOfALongLedgerSomeIsOpened(t *testing.T) {
	for _, entries := range []uint64{0, 1, 2000, 2001, 3999, 1_000_000} {
		const pruned = 512
		l, opened := &long{first: pruned, next: pruned + entries}, backup.Opened{}
		must(t, rejoin.Sealed{Rows: l, Record: l}.Open(context.Background(), &opened, "ws_1", func(string, uint64, uint64) {}))
		if l.reads > 2000 || uint64(l.reads)+opened.Skipped != entries || opened.Gone+opened.Broken > 0 {
			t.Errorf("of %d entries %d are opened and %d skipped", entries, l.reads, opened.Skipped)
		}
	}
}
