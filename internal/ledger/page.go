package ledger

import (
	"context"
	"errors"
	"iter"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// PageRows is how many entries are read at a time.
const PageRows = 1024

// Pages calls read for the numbers from to end-1, a page of them at a time, and gives what it makes of each in
// their order. ahead is how many pages are read besides the one given: each on a goroutine of its own, and a
// store has few connections for reading. Where ctx ends before all is read, the last that it gives is what read
// makes of an ended ctx.
func Pages[T any](ctx context.Context, from, end uint64, ahead int, read func(ctx context.Context, from, end uint64) T) iter.Seq[T] {
	return func(yield func(T) bool) {
		next := func() (at, to uint64) {
			at, from = from, min(from+PageRows-from%PageRows, end)
			return at, from
		}
		if ahead == 0 {
			for from < end {
				if at, to := next(); !yield(read(ctx, at, to)) {
					return
				}
			}
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		order := make(chan chan T, ahead)
		go func() {
			defer close(order)
			for from < end {
				done := make(chan T, 1)
				select {
				case order <- done: // as many at once as fit
				case <-ctx.Done():
					return
				}
				at, to := next()
				go func() { done <- read(ctx, at, to) }()
			}
		}()
		for done := range order {
			if !yield(<-done) {
				return
			}
		}
		if from < end {
			at, to := next()
			yield(read(ctx, at, to))
		}
	}
}

// ReadersAhead is how many pages are read ahead where nothing else is in a hurry.
const ReadersAhead = 2

// ReadRange reads the entries numbered from to end-1 that are there.
func ReadRange(ctx context.Context, store Reader, ws steward.WorkspaceID, from, end uint64, parts bool) (list []Row, err error) {
	for from < end {
		rows, err := store.Rows(ctx, ws, from, int(end-from), parts)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			if rows[i].Seq >= end {
				return append(list, rows[:i]...), nil
			}
		}
		if len(rows) == 0 {
			break
		}
		if from = rows[len(rows)-1].Seq + 1; list == nil {
			list = rows // most often it is all
		} else {
			list = append(list, rows...)
		}
	}
	return list, nil
}

// ReadEdge reads the right edge that the tree had at a size. Where it isn't stored, the error is of kind
// Internal.
func ReadEdge(ctx context.Context, store Reader, ws steward.WorkspaceID, size uint64) (*tree.Edge, error) {
	edge, err := tree.ReadEdge(size, func(level int, n uint64) ([]byte, error) {
		tiles, err := store.Tiles(ctx, ws, level, n, 1)
		if err != nil || len(tiles) == 0 || tiles[0].N != n {
			return nil, err
		}
		return tiles[0].Hashes, nil
	})
	if errors.Is(err, tree.ErrMissing) {
		return nil, unsignable(ws, err)
	}
	return edge, err
}

// Ring gives the keys that sign a workspace's checkpoints, by their numbers.
func Ring(ctx context.Context, sealer steward.Sealer, ws steward.WorkspaceID) tree.Ring {
	return func(number int) (tree.Key, error) {
		seed, err := sealer.Derive(ctx, ws, steward.WorkspaceScope, tree.SigningPurpose(number))
		return tree.SeedKey(seed), err
	}
}
