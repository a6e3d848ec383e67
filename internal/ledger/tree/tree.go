// Package tree answers: what hash stands for all of it, and who vouches for that? It knows leaves by their
// hashes only, and neither entries nor where anything is stored.
package tree

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
)

// Of the tree, every 256 neighbouring hashes of each eighth level are stored as a tile (C2SP tlog-tiles).
// Proofs are made from them without reading entries, and a changed entry is found by its leaf hash.
const (
	HashSize = 32
	Width    = 256 // hashes
	Bits     = 8   // levels of the tree in a tile
)

// Tile is up to 256 neighbouring hashes of one level of the tree, as in C2SP tlog-tiles: at level 0 leaf
// hashes, above it the roots of full tiles of the level below.
type Tile struct {
	Level  int
	N      uint64 // counted from 0 in its level
	Hashes []byte // 32 bytes each; fewer than 256 only at the tree's right edge
}

// StandsIn tells whether a full tile's root is where it belongs among tiles of the level above.
func (t Tile) StandsIn(above []Tile) bool {
	at := int(t.N%Width) * HashSize
	for _, a := range above {
		if a.Level == t.Level+1 && a.N == t.N/Width {
			return len(t.Hashes) == Width*HashSize && len(a.Hashes) >= at+HashSize && bytes.Equal(Subtree(t.Hashes), a.Hashes[at:at+HashSize])
		}
	}
	return false
}

// Edge is the tree's right edge: at each level of tiles the last, partial one, which may be empty.
type Edge struct {
	Size    uint64
	partial [][]byte
	full    []Tile // that were completed since Changed was called
}

// Append adds a leaf's hash.
func (e *Edge) Append(leaf []byte) {
	e.push(0, leaf)
	e.Size++
}

func (e *Edge) push(level int, hash []byte) {
	if level == len(e.partial) {
		e.partial = append(e.partial, nil)
	}
	e.partial[level] = append(e.partial[level], hash...)
	if len(e.partial[level]) == Width*HashSize {
		e.full = append(e.full, Tile{Level: level, N: e.Size >> (Bits * (level + 1)), Hashes: e.partial[level]})
		root := Subtree(e.partial[level])
		e.partial[level] = nil
		e.push(level+1, root)
	}
}

// Changed gives the tiles that were completed since it was called last, and the partial ones.
func (e *Edge) Changed() []Tile {
	tiles := e.full
	e.full = nil
	for level, hashes := range e.partial {
		if len(hashes) > 0 {
			tiles = append(tiles, Tile{Level: level, N: e.Size >> (Bits * (level + 1)), Hashes: hashes[:len(hashes):len(hashes)]})
		}
	}
	return tiles
}

// Hashes is the compact range [0, Size): the roots of the largest full subtrees, from left to right.
func (e *Edge) Hashes() (roots [][]byte) {
	for level := len(e.partial) - 1; level >= 0; level-- {
		rest := e.partial[level]
		for bit := Width / 2; bit > 0; bit /= 2 {
			if width := bit * HashSize; len(rest) >= width {
				roots = append(roots, Subtree(rest[:width]))
				rest = rest[width:]
			}
		}
	}
	return roots
}

// Root is the whole tree's.
func (e *Edge) Root() ([]byte, error) {
	if e.Size == 0 {
		return rfc6962.DefaultHasher.EmptyRoot(), nil
	}
	tree, err := Ranges.NewRange(0, e.Size, e.Hashes())
	if err != nil {
		return nil, fmt.Errorf("tree: tree: %w", err)
	}
	return Root(tree)
}

// HashLeaf is RFC 6962's hash of a leaf, without allocating: scratch is used again.
func HashLeaf(header []byte, scratch *[]byte) [HashSize]byte {
	*scratch = append(append((*scratch)[:0], rfc6962.RFC6962LeafHashPrefix), header...)
	return sha256.Sum256(*scratch)
}

// Subtree is the root over hashes whose number is a power of two.
func Subtree(hashes []byte) []byte {
	if len(hashes) == HashSize {
		return hashes
	}
	half := len(hashes) / 2
	return hashChildren(Subtree(hashes[:half]), Subtree(hashes[half:]))
}

// hashChildren is RFC 6962's hash of a node, without a hash.Hash for each.
func hashChildren(left, right []byte) []byte {
	var node [1 + 2*HashSize]byte
	node[0] = rfc6962.RFC6962NodeHashPrefix
	copy(node[1:], left)
	copy(node[1+HashSize:], right)
	sum := sha256.Sum256(node[:])
	return sum[:]
}

// ReadEdge puts the right edge that the tree had at a size together from stored tiles, of which tile gives
// one's hashes. That they are the right ones is for the caller to check.
func ReadEdge(size uint64, tile func(level int, n uint64) ([]byte, error)) (*Edge, error) {
	e := &Edge{Size: size}
	for level := 0; size>>(Bits*level) > 0; level++ {
		width := int(size >> (Bits * level) % Width * HashSize)
		e.partial = append(e.partial, nil)
		if width == 0 {
			continue
		}
		n := size >> (Bits * (level + 1))
		hashes, err := tile(level, n)
		if err != nil {
			return nil, err
		}
		if len(hashes) < width {
			return nil, fmt.Errorf("tree: tile %d of level %d: %w", n, level, ErrMissing)
		}
		e.partial[level] = append(make([]byte, 0, Width*HashSize), hashes[:width]...)
	}
	return e, nil
}

// ErrMissing is that a tile isn't stored, or not all of it.
var ErrMissing = errors.New("a tile is missing")

// Ranges makes compact Ranges of the RFC 6962 tree. There is one, since Ranges of two can't be compared.
var Ranges = compact.RangeFactory{Hash: hashChildren}

// Root is the root over a range from 0 on.
func Root(tree *compact.Range) ([]byte, error) {
	if tree.End() == 0 {
		return rfc6962.DefaultHasher.EmptyRoot(), nil
	}
	root, err := tree.GetRootHash(nil)
	if err != nil {
		return nil, fmt.Errorf("tree: tree: %w", err)
	}
	return root, nil
}
