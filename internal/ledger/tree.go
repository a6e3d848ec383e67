package ledger

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/stewardhq/steward"
)

// Of the tree, every 256 neighbouring hashes of each eighth level are stored as a tile (C2SP tlog-tiles).
// Proofs are made from them without reading entries, and a changed entry is found by its leaf hash.
const (
	hashSize  = 32
	tileWidth = 256 // hashes
	tileBits  = 8   // levels of the tree in a tile
)

// edge is the tree's right edge: at each level of tiles the last, partial one, which may be empty.
type edge struct {
	size    uint64
	partial [][]byte
	full    []Tile // that were completed since changed was called
}

// append adds a leaf's hash.
func (e *edge) append(leaf []byte) {
	e.push(0, leaf)
	e.size++
}

func (e *edge) push(level int, hash []byte) {
	if level == len(e.partial) {
		e.partial = append(e.partial, nil)
	}
	e.partial[level] = append(e.partial[level], hash...)
	if len(e.partial[level]) == tileWidth*hashSize {
		e.full = append(e.full, Tile{Level: level, N: e.size >> (tileBits * (level + 1)), Hashes: e.partial[level]})
		root := subtree(e.partial[level])
		e.partial[level] = nil
		e.push(level+1, root)
	}
}

// changed gives the tiles that were completed since it was called last, and the partial ones.
func (e *edge) changed() []Tile {
	tiles := e.full
	e.full = nil
	for level, hashes := range e.partial {
		if len(hashes) > 0 {
			tiles = append(tiles, Tile{Level: level, N: e.size >> (tileBits * (level + 1)), Hashes: hashes[:len(hashes):len(hashes)]})
		}
	}
	return tiles
}

// hashes is the compact range [0, size): the roots of the largest full subtrees, from left to right.
func (e *edge) hashes() (roots [][]byte) {
	for level := len(e.partial) - 1; level >= 0; level-- {
		rest := e.partial[level]
		for bit := tileWidth / 2; bit > 0; bit /= 2 {
			if width := bit * hashSize; len(rest) >= width {
				roots = append(roots, subtree(rest[:width]))
				rest = rest[width:]
			}
		}
	}
	return roots
}

func (e *edge) root() ([]byte, error) {
	if e.size == 0 {
		return rfc6962.DefaultHasher.EmptyRoot(), nil
	}
	tree, err := ranges.NewRange(0, e.size, e.hashes())
	if err != nil {
		return nil, fmt.Errorf("ledger: tree: %w", err)
	}
	return rootOf(tree)
}

// hashLeaf is RFC 6962's hash of a leaf, without allocating: scratch is used again.
func hashLeaf(header []byte, scratch *[]byte) [hashSize]byte {
	*scratch = append(append((*scratch)[:0], rfc6962.RFC6962LeafHashPrefix), header...)
	return sha256.Sum256(*scratch)
}

// subtree is the root over hashes whose number is a power of two.
func subtree(hashes []byte) []byte {
	if len(hashes) == hashSize {
		return hashes
	}
	half := len(hashes) / 2
	return rfc6962.DefaultHasher.HashChildren(subtree(hashes[:half]), subtree(hashes[half:]))
}

// readEdge reads the right edge that the tree had at a size. Tiles that are missing are an error of kind
// Internal; that they are the right ones is for the caller to check.
func readEdge(ctx context.Context, store Reader, ws steward.WorkspaceID, size uint64) (*edge, error) {
	e := &edge{size: size}
	for level := 0; size>>(tileBits*level) > 0; level++ {
		width := int(size >> (tileBits * level) % tileWidth * hashSize)
		e.partial = append(e.partial, nil)
		if width == 0 {
			continue
		}
		n := size >> (tileBits * (level + 1))
		tiles, err := store.Tiles(ctx, ws, level, n, 1)
		if err != nil {
			return nil, err
		}
		if len(tiles) == 0 || tiles[0].N != n || len(tiles[0].Hashes) < width {
			return nil, unsignable(ws, fmt.Errorf("ledger: tile %d of level %d is missing", n, level))
		}
		e.partial[level] = append(make([]byte, 0, tileWidth*hashSize), tiles[0].Hashes[:width]...)
	}
	return e, nil
}

// ranges makes compact ranges of the RFC 6962 tree. There is one, since ranges of two can't be compared.
var ranges = compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
