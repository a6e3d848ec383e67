package keyring

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"sort"

	"github.com/stewardhq/steward"
)

// page is an opened node: what of its 256 places is taken, in ascending order of the places. An entry is
//
//	place   1 byte
//	key     32 bytes: the key of the node below, or a scope's key
//	name    16 bytes, in nodes of scope keys only: the beginning of SHA-256 over workspace and scope
//
// The name is there so that a directory that sends one scope to another's place is found out: whoever
// seals under the wrong key would later destroy the wrong one.
//
// A node is nonce ‖ AES-256-GCM(key of the node, random nonce of 12 bytes, entries), bound to its path
// and the generation in which its key was made. A key seals its node some hundred times, when keys are
// added to it, until the next shred below it replaces the key.
type page struct {
	path       Path
	generation uint64
	key        [32]byte
	entries    []byte
	changed    bool
}

const (
	keySize  = 32
	nameSize = 16
)

// nameOf is how an entry of a scope key says whose it is.
func nameOf(ws steward.WorkspaceID, scope steward.Scope) []byte {
	sum := sha256.Sum256([]byte(fields("steward scope v2", string(ws), string(scope))))
	return sum[:nameSize]
}

func (p *page) stride() int {
	if len(p.path) == depth-1 {
		return 1 + keySize + nameSize
	}
	return 1 + keySize
}

func (p *page) empty() bool { return len(p.entries) == 0 }

// find is the offset at which a place's entry is or would be.
func (p *page) find(place byte) (at int, taken bool) {
	stride := p.stride()
	at = stride * sort.Search(len(p.entries)/stride, func(i int) bool { return p.entries[i*stride] >= place })
	return at, at < len(p.entries) && p.entries[at] == place
}

// get reads an entry; name is nil in nodes that hold no scope keys.
func (p *page) get(place byte) (key [32]byte, name []byte, taken bool) {
	at, taken := p.find(place)
	if taken {
		entry := p.entries[at : at+p.stride()]
		key, name = [32]byte(entry[1:1+keySize]), entry[1+keySize:]
	}
	return key, name, taken
}

func (p *page) set(place byte, key [32]byte, name []byte) {
	at, taken := p.find(place)
	entry := append(append([]byte{place}, key[:]...), name...)
	if taken {
		copy(p.entries[at:], entry)
	} else {
		p.entries = append(p.entries[:at], append(entry, p.entries[at:]...)...)
	}
	p.changed = true
}

func (p *page) remove(place byte) {
	if at, taken := p.find(place); taken {
		p.entries = append(p.entries[:at], p.entries[at+p.stride():]...)
		p.changed = true
	}
}

// children are the paths of the nodes below.
func (p *page) children() (paths []Path) {
	for at := 0; at < len(p.entries); at += p.stride() {
		paths = append(paths, p.path+Path(p.entries[at:at+1]))
	}
	return paths
}

// seal makes the node of the page.
func (p *page) seal(random io.Reader) (Node, error) {
	aead, err := gcm(p.key[:])
	if err != nil {
		return Node{}, err
	}
	sealed := make([]byte, nonceSize, nonceSize+len(p.entries)+aead.Overhead())
	if _, err := io.ReadFull(random, sealed); err != nil {
		return Node{}, err
	}
	return Node{p.path, p.generation, aead.Seal(sealed, sealed, p.entries, nodeInfo(p.path, p.generation))}, nil
}

var errNotUnder = errors.New("keyring: a node doesn't open under the key that its parent holds")

// openNode reads what seal made.
func openNode(n Node, key [32]byte) (*page, error) {
	aead, err := gcm(key[:])
	if err != nil {
		return nil, err
	}
	if len(n.Sealed) < nonceSize {
		return nil, errNotUnder
	}
	entries, err := aead.Open(nil, n.Sealed[:nonceSize], n.Sealed[nonceSize:], nodeInfo(n.Path, n.Generation))
	if err != nil {
		return nil, errNotUnder
	}
	return &page{path: n.Path, generation: n.Generation, key: key, entries: entries}, nil
}

func nodeInfo(path Path, generation uint64) []byte {
	return []byte(fields("steward node v1", string(path), string(binary.BigEndian.AppendUint64(nil, generation))))
}

// address is the whole way to a scope's key: the path of its node and its place there.
func address(w Workspace, scope uint32) (Path, byte) {
	way := binary.BigEndian.AppendUint32(nil, w.Number)[4-workspaceDepth:]
	way = binary.BigEndian.AppendUint32(way, scope)
	return Path(way[:depth-1]), way[depth-1]
}

// workspacePath is the node below which all keys of a workspace stand.
func workspacePath(w Workspace) Path {
	return Path(binary.BigEndian.AppendUint32(nil, w.Number)[4-workspaceDepth:])
}
