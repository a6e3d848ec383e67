package keyring

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/stewardhq/steward"
)

// How much stays in memory: about 10 MB of scope keys and 5 MB of nodes' keys.
const (
	keptScopes = 1 << 16
	keptNodes  = 1 << 16
)

type slot struct {
	workspace steward.WorkspaceID
	scope     steward.Scope
}

// memory holds keys that were opened, all of one generation: they are good as long as the root key is.
type memory struct {
	mu         sync.Mutex
	generation uint64
	root       Root
	nodes      map[Path][32]byte // the root's is never dropped
	scopes     map[slot][32]byte
}

// scopeKeys gives what is in memory of the generation, and names what isn't.
func (m *memory) scopeKeys(generation uint64, ws steward.WorkspaceID, scopes []steward.Scope) (map[steward.Scope][32]byte, []steward.Scope) {
	keys := make(map[steward.Scope][32]byte, len(scopes))
	var missing []steward.Scope
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, scope := range scopes {
		key, ok := m.scopes[slot{ws, scope}]
		if ok && m.generation == generation {
			keys[scope] = key
		} else if !slices.Contains(missing, scope) {
			missing = append(missing, scope)
		}
	}
	return keys, missing
}

// keep puts a key into memory, unless the generation has changed since it was read.
func (m *memory) keep(generation uint64, at slot, key [32]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.generation == generation {
		m.put(at, key)
	}
}

// put is keep under the lock. Where there is no room, any other key goes; it is read again when needed.
func (m *memory) put(at slot, key [32]byte) {
	if len(m.scopes) >= keptScopes {
		for other := range m.scopes {
			delete(m.scopes, other)
			break
		}
	}
	m.scopes[at] = key
}

// node finds the deepest node on the way to a path whose key is in memory. ok is false where the
// generation has changed.
func (m *memory) node(generation uint64, path Path) (deepest Path, key [32]byte, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n := len(path); n >= 0; n-- {
		if key, ok := m.nodes[path[:n]]; ok {
			return path[:n], key, m.generation == generation
		}
	}
	return "", key, false
}

// keepNodes puts the keys of open nodes into memory.
func (m *memory) keepNodes(generation uint64, pages map[Path]*page) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.generation != generation {
		return
	}
	for path, p := range pages {
		m.putNode(path, p.key)
	}
}

func (m *memory) putNode(path Path, key [32]byte) {
	if len(m.nodes) >= keptNodes {
		for other := range m.nodes {
			if other != "" {
				delete(m.nodes, other)
				break
			}
		}
	}
	m.nodes[path] = key
}

// replace begins again with a root and nothing else.
func (m *memory) replace(root Root) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.generation, m.root = root.Generation, root
	m.nodes = map[Path][32]byte{"": root.Key}
	m.scopes = map[slot][32]byte{}
}

// advance goes from the generation before root's to root's, by a change that is now in force: what it
// destroyed goes, what it gave new keys gets them, the rest is as good as before.
func (m *memory) advance(root Root, pages map[Path]*page, c Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.generation+1 != root.Generation {
		return // another process was quicker, and what is in memory was read since
	}
	m.generation, m.root = root.Generation, root
	for _, path := range c.Drop {
		delete(m.nodes, path)
	}
	for path, p := range pages {
		if _, ok := m.nodes[path]; ok {
			m.nodes[path] = p.key
		}
	}
	for _, s := range c.Scopes {
		delete(m.scopes, slot{s.Workspace, s.Name})
	}
	for _, w := range c.Workspaces {
		below := workspacePath(w)
		for path := range m.nodes {
			if strings.HasPrefix(string(path), string(below)) {
				delete(m.nodes, path)
			}
		}
		for at := range m.scopes {
			if at.workspace == w.ID {
				delete(m.scopes, at)
			}
		}
	}
}

// inForce is the root key.
func (m *memory) inForce() Root {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.root
}

// checks makes sure, before keys in memory are used, that no other process has replaced the root key
// since. One look at the store serves all who asked before it began.
type checks struct {
	mu    sync.Mutex
	next  *look
	turn  sync.Mutex   // one look at a time, so that the others wait for the same next one
	still sync.RWMutex // held for writing while this process replaces the root key
}

type look struct {
	done       chan struct{}
	generation uint64
	err        error
}

// current is the generation in force, and so that of memory, unless it changes at this moment.
func (k *Keyring) current(ctx context.Context) (uint64, error) {
	if k.alone {
		return k.memory.inForce().Generation, nil
	}
	k.checks.mu.Lock()
	l := k.checks.next
	first := l == nil
	if first {
		l = &look{done: make(chan struct{})}
		k.checks.next = l
	}
	k.checks.mu.Unlock()
	if first {
		k.checks.turn.Lock()
		runtime.Gosched() // so that those whom the look before has just served can join this one
		k.checks.mu.Lock()
		k.checks.next = nil // who comes from here on may know of a change that this look misses
		k.checks.mu.Unlock()
		l.generation, l.err = k.look(context.WithoutCancel(ctx))
		k.checks.turn.Unlock()
		close(l.done)
	}
	select {
	case <-l.done:
		return l.generation, l.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// look compares the generation in memory with the store's, and begins again with the store's if it is
// another.
func (k *Keyring) look(ctx context.Context) (uint64, error) {
	k.checks.still.RLock()
	defer k.checks.still.RUnlock()
	st, err := k.store.State(ctx)
	if err != nil {
		return 0, err
	}
	if root := k.memory.inForce(); root.Generation == generationOf(st) {
		return root.Generation, nil
	}
	if err := k.load(ctx); err != nil {
		return 0, err
	}
	return k.memory.inForce().Generation, nil
}

// generationOf says which root key a state needs. An empty store's first will be the first.
func generationOf(st State) uint64 { return max(st.Generation, 1) }

// load finds the root key that opens the store as it is, and forgets everything else.
func (k *Keyring) load(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		st, err := k.store.State(ctx)
		if err != nil {
			return err
		}
		roots, err := k.keeper.Roots(ctx)
		var root Root
		if err == nil {
			root, err = k.fitting(ctx, st, roots)
		}
		if err != nil {
			// Another process may have replaced the root key between two of these reads. What nobody changed
			// doesn't get better by asking again, and a key server may take long to say no.
			now, failed := k.store.State(ctx)
			if failed == nil && now != st && attempt < attempts {
				continue
			}
			return err
		}
		k.memory.replace(root)
		k.unended.Store(slices.ContainsFunc(roots, func(r Root) bool { return r != root && r.Generation <= root.Generation }))
		return nil
	}
}

// fitting chooses the root key that opens the root node.
func (k *Keyring) fitting(ctx context.Context, st State, roots []Root) (Root, error) {
	generation := generationOf(st)
	nodes, err := k.store.Nodes(ctx, []Path{""})
	if err != nil {
		return Root{}, err
	}
	if len(nodes) == 0 && st.Version > 0 {
		return Root{}, damaged(errors.New("keyring: there is no root node"))
	}
	newest := uint64(0)
	for _, r := range roots {
		newest = max(newest, r.Generation)
		if r.Generation != generation {
			continue
		}
		if len(nodes) == 0 {
			return r, nil
		}
		if _, err := openNode(nodes[0], r.Key); err == nil {
			return r, nil
		}
	}
	switch {
	case newest < generation:
		return Root{}, steward.Errorf(steward.Unavailable, "the root key is an older one (number %d) than this keyring was last changed with (number %d), and nothing was changed; put back the newest key file", newest, generation)
	case slices.ContainsFunc(roots, func(r Root) bool { return r.Generation == generation }):
		return Root{}, steward.Errorf(steward.Internal, "the root key doesn't fit this keyring; put back the key file that was made with it")
	case st.Version == 0:
		return Root{}, steward.Errorf(steward.Unavailable, "the keyring is empty, but its root key (number %d) has been in use; put back the keyring database, or one of its declared copies", newest)
	default:
		return Root{}, steward.Errorf(steward.Unavailable, "this keyring is an older one (it needs root key number %d) than the root key (number %d), and nothing was changed; put back the newest keyring database, or one of its declared copies", generation, newest)
	}
}

func damaged(err error) error {
	return steward.Errorf(steward.Internal, "the keyring database is damaged; stop Steward and put back one of its declared copies").Because(err)
}
