package witness_test

// What stands outside, by the specifications and without Steward's own code: a log in memory, a witness as
// C2SP tlog-witness describes it, and a wire between them that reaches no network.

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/transparency-dev/formats/log"
	formats "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	sumdb "golang.org/x/mod/sumdb/tlog"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger/tree"
	"github.com/stewardhq/steward/internal/ledger/witness"
)

const ws steward.WorkspaceID = "ws_1"

// book is a log of each workspace, whose leaves can be taken back.
type book struct {
	mu     sync.Mutex
	signer map[steward.WorkspaceID]note.Signer
	vkey   map[steward.WorkspaceID]string
	leaves map[steward.WorkspaceID][]string
	err    error // of every call
}

func newBook() *book {
	return &book{signer: map[steward.WorkspaceID]note.Signer{}, vkey: map[steward.WorkspaceID]string{}, leaves: map[steward.WorkspaceID][]string{}}
}

// open makes a workspace's log, with a key of its own.
func (b *book) open(t testing.TB, w steward.WorkspaceID) {
	t.Helper()
	skey, vkey, err := note.GenerateKey(nil, "steward.test/"+string(w))
	must(t, err)
	s, err := note.NewSigner(skey)
	must(t, err)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.signer[w], b.vkey[w] = s, vkey
}

func (b *book) key(w steward.WorkspaceID) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.vkey[w]
}

// grow adds entries; those of another story than before have other bytes.
func (b *book) grow(w steward.WorkspaceID, n int, story string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range n {
		b.leaves[w] = append(b.leaves[w], story+strconv.Itoa(len(b.leaves[w])))
	}
}

// cut takes entries off the end.
func (b *book) cut(w steward.WorkspaceID, size int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leaves[w] = b.leaves[w][:size:size]
}

func (b *book) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func (b *book) hashes(w steward.WorkspaceID) sumdb.HashReader {
	var stored []sumdb.Hash
	read := sumdb.HashReaderFunc(func(list []int64) (found []sumdb.Hash, err error) {
		for _, i := range list {
			found = append(found, stored[i])
		}
		return found, nil
	})
	for i, leaf := range b.leaves[w] {
		more, err := sumdb.StoredHashes(int64(i), []byte(leaf), read)
		if err != nil {
			panic(err)
		}
		stored = append(stored, more...)
	}
	return read
}

func (b *book) Checkpoint(_ context.Context, w steward.WorkspaceID) (tree.Checkpoint, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	size := int64(len(b.leaves[w]))
	if b.err != nil || size == 0 {
		if b.err == nil {
			return tree.Checkpoint{}, steward.Errorf(steward.NotFound, "none yet")
		}
		return tree.Checkpoint{}, b.err
	}
	root, err := sumdb.TreeHash(size, b.hashes(w))
	if err != nil {
		return tree.Checkpoint{}, err
	}
	text := fmt.Sprintf("steward.test/%s\n%d\n%s\n", w, size, base64.StdEncoding.EncodeToString(root[:]))
	signed, err := note.Sign(&note.Note{Text: text}, b.signer[w])
	return tree.Checkpoint{Origin: "steward.test/" + string(w), Size: uint64(size), Root: root[:], Note: string(signed), Key: b.vkey[w]}, err
}

func (b *book) Consistency(_ context.Context, w steward.WorkspaceID, from, to uint64) (list [][sha256.Size]byte, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil, b.err
	}
	hashes, err := sumdb.ProveTree(int64(to), int64(from), b.hashes(w))
	for _, h := range hashes {
		list = append(list, h)
	}
	return list, err
}

// guard is a witness.
type guard struct {
	name, vkey string
	private    ed25519.PrivateKey
	signer     note.Signer
	down       func(w http.ResponseWriter, r *http.Request) bool // takes the request, where it tells so

	mu       sync.Mutex
	trusted  map[string]note.Verifier // by origin
	size     map[string]uint64
	root     map[string][]byte
	requests []string // "409 0→7", and what else was answered
}

func newGuard(t testing.TB, name string) *guard {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	must(t, err)
	hash := func(key []byte) uint32 {
		sum := sha256.Sum256(append([]byte(name+"\n"), key...))
		return binary.BigEndian.Uint32(sum[:])
	}
	pub, priv := append([]byte{4}, public...), append([]byte{4}, private.Seed()...)
	signer, err := formats.NewSignerForCosignatureV1(fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", name, hash(pub), base64.StdEncoding.EncodeToString(priv)))
	must(t, err)
	vkey := fmt.Sprintf("%s+%08x+%s", name, hash(pub), base64.StdEncoding.EncodeToString(pub))
	return &guard{name: name, vkey: vkey, private: private, signer: signer, trusted: map[string]note.Verifier{}, size: map[string]uint64{}, root: map[string][]byte{}}
}

// trust takes a log in.
func (g *guard) trust(t testing.TB, vkey string) {
	t.Helper()
	v, err := note.NewVerifier(vkey)
	must(t, err)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trusted[v.Name()] = v
}

// forget makes it one that lost its state.
func (g *guard) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.size)
	clear(g.root)
}

// heard lists what was asked and answered since it was called last.
func (g *guard) heard() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := g.requests
	g.requests = nil
	return list
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.down != nil && g.down(w, r) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	status, answer, about := 400, "", ""
	if err == nil && r.Method == http.MethodPost && r.URL.Path == "/add-checkpoint" {
		status, answer, about = g.add(string(body))
	}
	g.requests = append(g.requests, strconv.Itoa(status)+" "+about)
	if status == 409 {
		w.Header().Set("Content-Type", "text/x.tlog.size")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

func (g *guard) add(body string) (status int, answer, about string) {
	head, signed, ok := strings.Cut(body, "\n\n")
	lines := strings.Split(head, "\n")
	digits, ok2 := strings.CutPrefix(lines[0], "old ")
	old, err := strconv.ParseUint(digits, 10, 63)
	if !ok || !ok2 || err != nil || strconv.FormatUint(old, 10) != digits || len(lines) > 64 {
		return 400, "", "malformed"
	}
	var hashes [][]byte
	for _, line := range lines[1:] {
		hash, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(hash) != 32 {
			return 400, "", "no hash"
		}
		hashes = append(hashes, hash)
	}
	origin, _, _ := strings.Cut(signed, "\n")
	verifier := g.trusted[origin]
	if verifier == nil {
		return 404, "", origin
	}
	cp, _, opened, err := log.ParseCheckpoint([]byte(signed), origin, verifier)
	if err != nil {
		return 403, "", origin
	}
	about = fmt.Sprintf("%d→%d", old, cp.Size)
	known := g.size[origin]
	switch {
	case old > cp.Size:
		return 400, "", about
	case old != known:
		return 409, fmt.Sprintf("%d\n", known), about
	case old == cp.Size && old > 0 && string(cp.Hash) != string(g.root[origin]):
		return 409, fmt.Sprintf("%d\n", known), about
	case old == 0 && len(hashes) > 0:
		return 422, "", about
	case old > 0 && proof.VerifyConsistency(rfc6962.DefaultHasher, old, cp.Size, hashes, g.root[origin], cp.Hash) != nil:
		return 422, "", about
	}
	g.size[origin], g.root[origin] = cp.Size, cp.Hash
	return 200, g.cosign(opened.Text), about
}

// cosign gives the signature lines for a text.
func (g *guard) cosign(text string) string {
	signed, err := note.Sign(&note.Note{Text: text}, g.signer)
	if err != nil {
		panic(err)
	}
	return string(signed[len(text)+1:])
}

// wire reaches handlers by host name, and nothing else.
type wire map[string]http.Handler

func (w wire) client() *http.Client { return &http.Client{Transport: w} }

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	h := w[r.URL.Host]
	if h == nil {
		return nil, fmt.Errorf("%s can't be reached", r.URL.Host)
	}
	done := make(chan *http.Response, 1)
	go func() {
		recorded := httptest.NewRecorder()
		h.ServeHTTP(recorded, r)
		done <- recorded.Result()
	}()
	select {
	case response := <-done:
		return response, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// known makes witnesses of guards, which all trust the log.
func known(t testing.TB, b *book, quorum int, guards ...*guard) witness.Policy {
	t.Helper()
	at := wire{}
	var list []witness.Witness
	for _, g := range guards {
		at[g.name] = g
		for w := range b.vkey {
			g.trust(t, b.key(w))
		}
		one, err := witness.New(at.client(), "https://"+g.name, g.vkey)
		must(t, err)
		list = append(list, one)
	}
	p, err := witness.NewPolicy(quorum, list...)
	must(t, err)
	return p
}

// shelf is a witness.Store in memory.
type shelf struct {
	mu   sync.Mutex
	kept map[steward.WorkspaceID]witness.Cosigned
	err  error // of saving
}

func newShelf() *shelf { return &shelf{kept: map[steward.WorkspaceID]witness.Cosigned{}} }

func (s *shelf) Cosigned(_ context.Context, w steward.WorkspaceID) (uint64, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept[w].Size, s.kept[w].Note, nil
}

func (s *shelf) SaveCosigned(_ context.Context, list []witness.Cosigned) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	for _, c := range list {
		if c.Size >= s.kept[c.Workspace].Size {
			s.kept[c.Workspace] = c
		}
	}
	return nil
}

func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
