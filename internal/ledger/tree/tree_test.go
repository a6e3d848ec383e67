package tree_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/stewardhq/steward/internal/ledger/tree"
)

// TestEdgeHasTheTreesRoot grows trees in steps, each going on from the tiles that the one before gave out, and
// holds their roots against the Go checksum database's.
func TestEdgeHasTheTreesRoot(t *testing.T) {
	type at struct {
		level int
		n     uint64
	}
	rapid.Check(t, func(t *rapid.T) {
		tiles := map[at][]byte{}
		var stored []tlog.Hash
		reader := tlog.HashReaderFunc(func(indexes []int64) (list []tlog.Hash, err error) {
			for _, i := range indexes {
				list = append(list, stored[i])
			}
			return list, nil
		})
		size := uint64(0)
		for range rapid.IntRange(1, 4).Draw(t, "steps") {
			edge, err := tree.ReadEdge(size, func(level int, n uint64) ([]byte, error) { return tiles[at{level, n}], nil })
			if err != nil {
				t.Fatal(err)
			}
			for range rapid.SampledFrom([]int{0, 1, 3, 255, 256, 257, 700}).Draw(t, "more") {
				leaf := sha256.Sum256([]byte{byte(size), byte(size >> 8)})
				more, err := tlog.StoredHashesForRecordHash(int64(size), leaf, reader)
				if err != nil {
					t.Fatal(err)
				}
				stored = append(stored, more...)
				edge.Append(leaf[:])
				size++
			}
			for _, tile := range edge.Changed() {
				was := tiles[at{tile.Level, tile.N}]
				if !bytes.HasPrefix(tile.Hashes, was) || len(tile.Hashes) > tree.Width*tree.HashSize {
					t.Fatalf("tile %d of level %d doesn't go on from what it was", tile.N, tile.Level)
				}
				tiles[at{tile.Level, tile.N}] = tile.Hashes
			}
			want := tlog.Hash(sha256.Sum256(nil))
			if size > 0 {
				if want, err = tlog.TreeHash(int64(size), reader); err != nil {
					t.Fatal(err)
				}
			}
			if root, err := edge.Root(); err != nil || !bytes.Equal(root, want[:]) {
				t.Fatalf("at %d the root is %x, %v; want %x", size, root, err, want[:])
			}
		}
		for k, hashes := range tiles { // each is what its place in the tree says
			for i := range len(hashes) / tree.HashSize {
				index := tlog.StoredHashIndex(k.level*tree.Bits, int64(k.n)*tree.Width+int64(i))
				if !bytes.Equal(hashes[i*tree.HashSize:][:tree.HashSize], stored[index][:]) {
					t.Fatalf("hash %d of tile %d of level %d is another", i, k.n, k.level)
				}
			}
		}
	})
	if _, err := tree.ReadEdge(5, func(int, uint64) ([]byte, error) { return make([]byte, 4*tree.HashSize), nil }); !errors.Is(err, tree.ErrMissing) {
		t.Errorf("a tile too short: %v", err)
	}
}

func TestCheckpointsOpenWithTheirKeyOnly(t *testing.T) {
	edge := &tree.Edge{}
	for i := range 300 {
		leaf := sha256.Sum256([]byte{byte(i)})
		edge.Append(leaf[:])
	}
	cp, err := tree.Sign(edge, "steward.test/ws_1", tree.SeedKey([32]byte{1}))
	if err != nil {
		t.Fatal(err)
	}
	hashes := bytes.Join(edge.Hashes(), nil)
	if opened, _, whole, err := tree.Open([]byte(cp.Note), 300, hashes, "ws_1", ring(1)); err != nil || opened.Note != cp.Note || whole.End() != 300 {
		t.Errorf("%+v, %v", opened, err)
	}
	other := bytes.Clone(hashes)
	other[40] ^= 1
	for name, open := range map[string]func() error{
		"another key":       func() error { _, _, _, err := tree.Open([]byte(cp.Note), 300, hashes, "ws_1", ring(2)); return err },
		"another workspace": func() error { _, _, _, err := tree.Open([]byte(cp.Note), 300, hashes, "s_1", ring(1)); return err },
		"another size":      func() error { _, _, _, err := tree.Open([]byte(cp.Note), 299, hashes, "ws_1", ring(1)); return err },
		"other hashes":      func() error { _, _, _, err := tree.Open([]byte(cp.Note), 300, other, "ws_1", ring(1)); return err },
		"fewer hashes": func() error {
			_, _, _, err := tree.Open([]byte(cp.Note), 300, hashes[32:], "ws_1", ring(1))
			return err
		},
		"another text": func() error {
			_, _, _, err := tree.Open(bytes.Replace([]byte(cp.Note), []byte("\n300\n"), []byte("\n301\n"), 1), 301, hashes, "ws_1", ring(1))
			return err
		},
	} {
		if open() == nil {
			t.Errorf("%s: it opens", name)
		}
	}
}

// ring is the keys of a log that begins with a seed: the next ones follow it.
func ring(first int) tree.Ring {
	return func(number int) (tree.Key, error) {
		at := first + number - 1
		return tree.SeedKey([32]byte{byte(at), byte(at >> 8)}), nil
	}
}

func TestTheNewestOfSeveralKeysCounts(t *testing.T) {
	edge := &tree.Edge{}
	edge.Append(make([]byte, tree.HashSize))
	const origin = "steward.test/ws_1"
	key := func(n byte) tree.Key { return tree.SeedKey([32]byte{n}) }
	for name, c := range map[string]struct {
		keys   []tree.Key
		ring   tree.Ring
		number int
	}{
		"the first":              {[]tree.Key{key(1)}, ring(1), 1},
		"both, while replacing":  {[]tree.Key{key(1), key(2)}, ring(1), 2},
		"a later one":            {[]tree.Key{key(5)}, ring(1), 5},
		"two later ones":         {[]tree.Key{key(5), key(6)}, ring(1), 6},
		"one that is not theirs": {[]tree.Key{key(5)}, ring(6), 0},
	} {
		cp, err := tree.Sign(edge, origin, c.keys...)
		if err != nil {
			t.Fatal(err)
		}
		read, number, err := tree.Parse([]byte(cp.Note), "ws_1", c.ring)
		if number != c.number || (err == nil) != (number > 0) || err == nil && read.Key != cp.Key {
			t.Errorf("%s: key %d, %v", name, number, err)
		}
		// Whoever holds one of the verifier keys only can check it too.
		for _, k := range c.keys {
			vkey, err := k.Verifier(origin)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := tree.Parse([]byte(cp.Note), "ws_1", func(int) (tree.Key, error) { return tree.VerifierKey(vkey) }); err != nil {
				t.Errorf("%s: with a verifier key: %v", name, err)
			}
		}
	}
	for _, vkey := range []string{"", "no key"} { // none is a key that anybody could sign with
		if _, err := tree.VerifierKey(vkey); err == nil {
			t.Errorf("%q is taken for a key", vkey)
		}
	}
}
