package clients

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger/prune"
)

// TestTesseraGoesOnAfterPruning follows a log with Tessera's client while its beginning goes: whoever saw it before
// finds it go on, and all that is left can be fetched and proved. Tessera's fsck hashes a log from entry 0 and knows
// nothing of a minimum index, so all that is asked of it is to refuse what it can't read.
func TestTesseraGoesOnAfterPruning(t *testing.T) {
	for name, open := range map[string]opener{"sqlite": onSQLite, "postgres": onPostgres} {
		t.Run(name, func(t *testing.T) { goesOn(t, open) })
	}
}

func goesOn(t *testing.T, open opener) {
	ctx := context.Background()
	now := time.Date(2019, 10, 20, 9, 0, 0, 0, time.UTC)
	h := newHouse(t, open, func() time.Time { return now })
	month := func(from, to uint64) {
		h.append(t, from, to)
		now = now.Add(25 * time.Hour)
		must(t, h.archivist.Pass(ctx))
		now = time.Date(now.Year(), now.Month()+1, 4, 9, 0, 0, 0, time.UTC)
		must(t, h.archivist.Pass(ctx))
	}
	month(0, 1100)
	month(1100, 2000)
	folder := t.TempDir()
	_, err := h.shown.Export(ctx, ws, folder, nil)
	must(t, err)
	verifier := verifierIn(t, folder)
	tracker, err := client.NewLogStateTracker(ctx, h.over.ReadTile, nil, verifier, origin, client.UnilateralConsensus(h.over.ReadCheckpoint))
	must(t, err)

	const first = 1024
	now = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	pruner := &prune.Pruner{Store: h.record, Catalog: h.catalog, Ledger: h.book, Sealer: h.keys, Held: func(context.Context, steward.WorkspaceID) (bool, error) { return false, nil }}
	if p, err := pruner.Prune(ctx, ws, now.AddDate(-7, 0, 0)); err != nil || p.First != first {
		t.Fatalf("%+v went, %v", p, err)
	}
	_, err = h.book.Checkpoint(ctx, ws)
	must(t, err)
	if _, consistent, _, err := tracker.Update(ctx); err != nil || len(consistent) == 0 {
		t.Errorf("the log doesn't go on from what the client saw before: %v", err)
	}
	fresh := t.TempDir()
	_, err = h.shown.Export(ctx, ws, fresh, nil)
	must(t, err)
	for name, fetcher := range map[string]fsck.Fetcher{"folder": client.FileFetcher{Root: fresh}, "HTTP": h.over} {
		cp, _, _, err := client.FetchCheckpoint(ctx, fetcher.ReadCheckpoint, verifier, origin)
		must(t, err)
		inclusion(t, fetcher, h.shown, cp, first, first+1, 1500, cp.Size-1)
		builder, err := client.NewProofBuilder(ctx, cp.Size, fetcher.ReadTile)
		must(t, err)
		for _, from := range []uint64{first, first + 1, 1999} {
			root, err := h.shown.Root(ctx, ws, from)
			must(t, err)
			consistent, err := builder.ConsistencyProof(ctx, from, cp.Size)
			must(t, err)
			if err := proof.VerifyConsistency(rfc6962.DefaultHasher, from, cp.Size, consistent, root[:], cp.Hash); err != nil {
				t.Errorf("%s: from %d: %v", name, from, err)
			}
		}
		// Every entry that is left is the leaf that it is in the tree.
		hashes, err := client.FetchLeafHashes(ctx, fetcher.ReadTile, first, cp.Size-first, cp.Size)
		must(t, err)
		for n := uint64(first / 256); n*256 < cp.Size; n++ {
			bundle, err := client.GetEntryBundle(ctx, fetcher.ReadEntryBundle, n, cp.Size)
			must(t, err)
			for i, entry := range bundle.Entries {
				if !bytes.Equal(rfc6962.DefaultHasher.HashLeaf(entry), hashes[n*256-first+uint64(i)]) {
					t.Fatalf("%s: entry %d of bundle %d isn't in the tree", name, i, n)
				}
			}
		}
		if _, err := builder.InclusionProof(ctx, 7); err == nil {
			t.Errorf("%s: an entry that went is proved", name)
		}
		if err := fsck.New(origin, verifier, fetcher, leaves, fsck.Opts{N: 2}).Check(ctx); err == nil {
			t.Errorf("%s: fsck accepts a log that it can't read from entry 0 on", name)
		}
	}
}
