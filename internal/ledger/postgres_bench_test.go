package ledger_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

// BenchmarkAppendOnPostgres is BenchmarkAppend with data and keyring on a server, as one of several processes
// has them: it asks the keyring's database before it uses a key from memory.
func BenchmarkAppendOnPostgres(b *testing.B) {
	ctx := context.Background()
	server := postgres.Start(b)
	for _, c := range []struct{ workspaces, entries int }{{1, 1}, {32, 1}, {1, 100}, {32, 100}} {
		b.Run(fmt.Sprintf("writers=%d/workspaces=%d/entries=%d", benchWriters, c.workspaces, c.entries), func(b *testing.B) {
			keeper := keyring.FileKeeper{Dir: filepath.Join(b.TempDir(), "root")}
			must(b, keeper.Create(rand.Reader))
			keys, err := store.Postgres{URL: server.Database(b)}.OpenKeyring(ctx)
			must(b, err)
			data, err := store.Postgres{URL: server.Database(b)}.OpenData(ctx)
			must(b, err)
			sealer, err := keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: keys}, Keeper: keeper, Rand: rand.Reader})
			must(b, err)
			l, err := ledger.Open(ctx, ledger.Config{Store: store.Ledger{DB: data}, Sealer: sealer, Now: time.Now, Rand: rand.Reader, Origin: "steward.test"})
			must(b, err)
			b.Cleanup(func() {
				must(b, l.Close(ctx))
				must(b, data.Close())
				must(b, keys.Close())
			})
			f := newFloor(b)
			events := slices.Repeat([]ledger.Event{{Entry: benchEntry, Parts: []ledger.Part{{Scopes: month, Body: make([]byte, benchBody)}}}}, c.entries)
			var ours, floor turns
			for b.Loop() {
				floor.take(b, func(int) (int, error) { return c.entries, f.append(c.entries) })
				ours.take(b, func(writer int) (int, error) {
					_, err := l.AppendAll(ctx, steward.WorkspaceID(fmt.Sprint("ws_", writer%c.workspaces)), events...)
					return c.entries, err
				})
			}
			report(b, "entries/s", ours.rate(), floor.rate())
		})
	}
}
