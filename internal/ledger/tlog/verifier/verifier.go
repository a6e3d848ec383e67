// Package verifier answers: does somebody who never saw our code find the log whole? It shares none with the
// rest of Steward nor with any log library, and follows RFC 6962, C2SP signed-note, tlog-checkpoint and
// tlog-tiles, and docs/decisions, over an exported folder; it doesn't know how the folder was made. Tests hold
// every log against it.
package verifier

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Log is what a folder holds.
type Log struct {
	Origin  string   // its name, from the checkpoint
	First   int      // the number of the first entry that wasn't pruned
	Headers [][]byte // of all entries from that on that the checkpoint covers
	Root    [32]byte // of the tree over them, by RFC 6962
}

// Check reads a folder with checkpoint, vkey and tiles. Whatever isn't as the checkpoint signs it is an error.
func Check(dir string) (Log, error) {
	var l Log
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil
		}
		return b
	}
	// vkey: <name>+<key hash, 8 hex digits>+<base64 of 0x01 and the Ed25519 key>
	key := strings.SplitN(strings.TrimSpace(string(read("vkey"))), "+", 3)
	if len(key) != 3 {
		return l, fmt.Errorf("no verifier key")
	}
	public, err := base64.StdEncoding.DecodeString(key[2])
	if err != nil || len(public) != 33 || public[0] != 1 {
		return l, fmt.Errorf("the verifier key is not for Ed25519")
	}
	id := sha256.Sum256(append([]byte(key[0]+"\n"), public...))
	if hex.EncodeToString(id[:4]) != key[1] {
		return l, fmt.Errorf("the verifier key's hash is wrong")
	}
	// checkpoint: three lines, an empty one, and "— <name> <base64 of key hash and signature>"
	text, signatures, ok := strings.Cut(string(read("checkpoint")), "\n\n")
	if !ok {
		return l, fmt.Errorf("no checkpoint")
	}
	text += "\n"
	signed := false
	for _, line := range strings.Split(strings.TrimSuffix(signatures, "\n"), "\n") {
		words := strings.Fields(line)
		if len(words) == 3 && words[0] == "—" && words[1] == key[0] {
			sig, err := base64.StdEncoding.DecodeString(words[2])
			signed = signed || err == nil && len(sig) == 68 && string(sig[:4]) == string(id[:4]) && ed25519.Verify(public[1:], []byte(text), sig[4:])
		}
	}
	lines := strings.Split(text, "\n")
	if !signed || len(lines) < 4 || lines[0] != key[0] {
		return l, fmt.Errorf("the checkpoint is not signed with the key")
	}
	size, err := strconv.Atoi(lines[1])
	if err != nil {
		return l, fmt.Errorf("the checkpoint's size: %w", err)
	}
	want, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil {
		return l, fmt.Errorf("the checkpoint's root: %w", err)
	}
	l.Origin = lines[0]

	// minimum-index: where a log begins that was pruned.
	if text := strings.TrimSpace(string(read("minimum-index"))); text != "" {
		if l.First, err = strconv.Atoi(text); err != nil || l.First < 0 || l.First%256 != 0 || l.First > size {
			return l, fmt.Errorf("the minimum index is %q", text)
		}
	}
	explained := l.First == 0

	// Entries: bundles of 256, each entry behind its length.
	var level [][32]byte
	for n := l.First / 256; n*256 < size; n++ {
		bundle := read("tile/entries/" + number(n, min(256, size-n*256)))
		for len(bundle) >= 2 {
			length := int(binary.BigEndian.Uint16(bundle))
			if len(bundle) < 2+length {
				return l, fmt.Errorf("bundle %d is cut off", n)
			}
			header := bundle[2 : 2+length]
			bundle = bundle[2+length:]
			var h struct {
				Seq     *int     `json:"seq"`
				Kind    string   `json:"kind"`
				Targets []string `json:"targets"`
			}
			if json.Unmarshal(header, &h) != nil || h.Seq == nil || *h.Seq != l.First+len(l.Headers) {
				return l, fmt.Errorf("entry %d says it is another", l.First+len(l.Headers))
			}
			if h.Kind == "purge.begun" && len(h.Targets) == 2 && h.Targets[0] == fmt.Sprintf("entries/0-%d", l.First-1) {
				explained = true
			}
			l.Headers = append(l.Headers, header)
			level = append(level, sha256.Sum256(append([]byte{0}, header...)))
		}
	}
	if l.First+len(level) != size {
		return l, fmt.Errorf("entries %d to %d, and %d are signed", l.First, l.First+len(level)-1, size)
	}
	if !explained {
		return l, fmt.Errorf("no entry says that those before %d were pruned", l.First)
	}
	// Tiles: the hashes of every eighth level, 256 to a tile. What was pruned has its roots in the first tile of
	// each level that wasn't; the checkpoint's root tells whether they are right.
	var edge [][32]byte // the roots of the largest whole trees, from the right
	for depth, first := 0, l.First; first+len(level) > 0; depth, first = depth+1, first/256 {
		skipped := first % 256
		tile := read(fmt.Sprintf("tile/%d/%s", depth, number(first/256, min(256, skipped+len(level)))))
		if len(tile) < skipped*32 {
			return l, fmt.Errorf("the first tile of level %d that wasn't pruned is missing", depth)
		}
		before := make([][32]byte, skipped)
		for i := range before {
			copy(before[i][:], tile[i*32:])
		}
		level = append(before, level...)
		first -= skipped
		var above [][32]byte
		for n := 0; n*256 < len(level); n++ {
			hashes := level[n*256 : min((n+1)*256, len(level))]
			var tile []byte
			for _, h := range hashes {
				tile = append(tile, h[:]...)
			}
			if string(read(fmt.Sprintf("tile/%d/%s", depth, number(first/256+n, len(hashes))))) != string(tile) {
				return l, fmt.Errorf("tile %d of level %d is not what the entries hash to", first/256+n, depth)
			}
			if len(hashes) == 256 {
				above = append(above, root(hashes))
				continue
			}
			for bit := 1; bit < 256; bit *= 2 {
				if len(hashes)&bit != 0 {
					edge = append(edge, root(hashes[len(hashes)-bit:]))
					hashes = hashes[:len(hashes)-bit]
				}
			}
		}
		level = above
	}
	for i, whole := range edge {
		if i == 0 {
			l.Root = whole
		} else {
			l.Root = node(whole, l.Root)
		}
	}
	if size == 0 {
		l.Root = root(nil)
	}
	if string(l.Root[:]) != string(want) {
		return l, fmt.Errorf("the entries are not what was signed")
	}
	return l, nil
}

// root is MTH of RFC 6962, 2.1, over leaf hashes.
func root(hashes [][32]byte) [32]byte {
	switch len(hashes) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return hashes[0]
	}
	k := 1
	for k*2 < len(hashes) {
		k *= 2
	}
	return node(root(hashes[:k]), root(hashes[k:]))
}

func node(left, right [32]byte) [32]byte {
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

// number is a tile's name: x001/x234/067, with .p/<width> where it isn't full.
func number(n, width int) string {
	name := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		name = fmt.Sprintf("x%03d/", n%1000) + name
	}
	if width < 256 {
		name += fmt.Sprintf(".p/%d", width)
	}
	return name
}
