package keyring

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/stewardhq/steward"
)

// makes gathers scopes that wait for their keys, so that one durable change serves many callers.
type makes struct {
	mu    sync.Mutex
	queue []*request
}

// request is a caller's scopes of one workspace. done and err belong to whoever holds Keyring.writing.
type request struct {
	workspace steward.WorkspaceID
	scopes    []steward.Scope
	done      bool
	err       error
}

// Make makes the keys of those scopes that have none yet, all in one step, and with them those that
// other callers wait for. It answers Gone if a scope was destroyed; the others have their keys then.
// Seal and Derive make what they need; this is for whoever knows in advance that it will be much.
func (k *Keyring) Make(ctx context.Context, ws steward.WorkspaceID, scopes ...steward.Scope) error {
	if err := check(ws, scopes); err != nil {
		return err
	}
	r := &request{workspace: ws, scopes: scopes}
	k.makes.mu.Lock()
	k.makes.queue = append(k.makes.queue, r)
	k.makes.mu.Unlock()

	k.writing.Lock()
	defer k.writing.Unlock()
	if r.done {
		return r.err // with another caller's batch
	}
	k.makes.mu.Lock()
	batch := k.makes.queue
	k.makes.queue = nil
	k.makes.mu.Unlock()
	err := k.make(context.WithoutCancel(ctx), batch) // which is many callers', so that none can cancel it
	for _, r := range batch {
		r.done = true
		if err != nil {
			r.err = err
		}
	}
	return r.err
}

// make serves a batch, under writing.
func (k *Keyring) make(ctx context.Context, batch []*request) error {
	for range attempts {
		st, err := k.begin(ctx)
		if err != nil {
			return err
		}
		generation := generationOf(st)
		c := Change{Was: st, Now: st}
		made, leaves, err := k.number(ctx, &c, batch)
		if err != nil || len(c.Scopes) == 0 {
			return err
		}
		pages, err := k.pages(ctx, generation, leaves, false)
		if errors.Is(err, errAgain) {
			continue
		}
		if err != nil {
			return err
		}
		for i, s := range c.Scopes {
			leaf, err := k.grow(pages, generation, leaves[i])
			if err != nil {
				return err
			}
			_, place := address(made[i], s.Number)
			key, err := k.fresh()
			if err != nil {
				return err
			}
			leaf.set(place, key, nameOf(s.Workspace, s.Name))
		}
		if err := k.sealAll(&c, pages); err != nil {
			return err
		}
		// A crash from here on leaves the new keys in some of the copies and in the store, or in the copies
		// only. Nothing was sealed under them, and the next Open makes the copies as the store is.
		if err := k.commitCopies(ctx, c); err != nil {
			if errors.Is(err, ErrMoved) {
				continue
			}
			return err
		}
		err = k.store.Apply(ctx, c)
		if err == nil {
			k.memory.keepNodes(generation, pages)
			for i, s := range c.Scopes {
				if key, err := entryOf(pages, made[i], s); err == nil {
					k.memory.keep(generation, slot{s.Workspace, s.Name}, key)
				}
			}
			return nil
		}
		k.behind = len(k.copies) > 0
		if !errors.Is(err, ErrMoved) {
			return err
		}
	}
	return busy()
}

// number plans where the keys of a batch's scopes go: rows for the directory, and for each scope its
// workspace and the path of its node. Requests for what was destroyed get their answer.
func (k *Keyring) number(ctx context.Context, c *Change, batch []*request) (made []Workspace, leaves []Path, err error) {
	wanted := map[steward.WorkspaceID][]steward.Scope{}
	var order []steward.WorkspaceID
	for _, r := range batch {
		if wanted[r.workspace] == nil {
			order = append(order, r.workspace)
		}
		wanted[r.workspace] = append(wanted[r.workspace], r.scopes...)
	}
	for _, ws := range order {
		w, found, err := k.store.Find(ctx, ws, wanted[ws])
		if err != nil {
			return nil, nil, err
		}
		destroyed := map[steward.Scope]bool{}
		first := len(c.Scopes)
		if w.Standing == Unmade {
			w.Number = c.Now.Workspaces
		}
		seen := map[steward.Scope]bool{}
		for _, s := range found {
			switch {
			case w.Standing == Destroyed || s.Standing == Destroyed:
				destroyed[s.Name] = true
			case s.Standing == Unmade && !seen[s.Name]:
				seen[s.Name] = true
				s.Standing, s.Number = Made, uint32(w.Next)
				if w.Next++; w.Next > maxScopes || w.Number >= maxWorkspaces {
					return nil, nil, steward.Errorf(steward.TooLarge, "this keyring has made as many keys as it has places for; start a new installation for new workspaces")
				}
				c.Scopes = append(c.Scopes, s)
			}
		}
		if len(c.Scopes) > first {
			if w.Standing == Unmade {
				w.Standing = Made
				c.Now.Workspaces++
			}
			c.Workspaces = append(c.Workspaces, w)
			for _, s := range c.Scopes[first:] {
				leaf, _ := address(w, s.Number)
				made, leaves = append(made, w), append(leaves, leaf)
			}
		}
		for _, r := range batch {
			if r.workspace == ws && slices.ContainsFunc(r.scopes, func(s steward.Scope) bool { return destroyed[s] }) {
				r.err = gone()
			}
		}
	}
	return made, leaves, nil
}

// grow finds an open node, or makes it and what is missing of the nodes above it.
func (k *Keyring) grow(pages map[Path]*page, generation uint64, path Path) (*page, error) {
	if p := pages[path]; p != nil {
		return p, nil
	}
	p := &page{path: path, generation: generation, changed: true}
	if path == "" { // of an empty store
		p.key = k.memory.inForce().Key
		pages[path] = p
		return p, nil
	}
	parent, err := k.grow(pages, generation, path[:len(path)-1])
	if err != nil {
		return nil, err
	}
	if p.key, err = k.fresh(); err != nil {
		return nil, err
	}
	parent.set(path[len(path)-1], p.key, nil)
	pages[path] = p
	return p, nil
}

func (k *Keyring) fresh() (key [32]byte, err error) {
	if _, err := io.ReadFull(k.rand, key[:]); err != nil {
		return key, fmt.Errorf("keyring: randomness: %w", err)
	}
	return key, nil
}

// sealAll puts the pages that changed into a change, and names the state after it.
func (k *Keyring) sealAll(c *Change, pages map[Path]*page) error {
	for _, p := range pages {
		if !p.changed {
			continue
		}
		n, err := p.seal(k.rand)
		if err != nil {
			return fmt.Errorf("keyring: %w", err)
		}
		c.Nodes = append(c.Nodes, n)
	}
	c.Now.Version++
	c.Now.Generation = generationOf(c.Now)
	if _, err := io.ReadFull(k.rand, c.Now.Mark[:]); err != nil {
		return fmt.Errorf("keyring: randomness: %w", err)
	}
	return nil
}

// errAgain says that another process replaced the root key in the middle of an operation.
var errAgain = errors.New("keyring: the root key was replaced meanwhile")

// mismatch tells what it means that what was read doesn't fit together.
func (k *Keyring) mismatch(ctx context.Context, generation uint64, err error) error {
	now, failed := k.look(ctx)
	switch {
	case failed != nil:
		return failed
	case now != generation:
		return errAgain
	}
	return damaged(err)
}

// pages opens nodes, with those between them and a node whose key is in memory; with whole set, with
// all above them. Nodes that don't exist are left out.
func (k *Keyring) pages(ctx context.Context, generation uint64, paths []Path, whole bool) (map[Path]*page, error) {
	keys := map[Path][32]byte{} // where a way begins
	var ways []Path
	for _, path := range paths {
		from, key, ok := k.memory.node(generation, path)
		if whole {
			from, key, ok = k.memory.node(generation, "")
		}
		if !ok {
			return nil, errAgain
		}
		keys[from] = key
		for n := len(from); n <= len(path); n++ {
			ways = append(ways, path[:n])
		}
	}
	slices.Sort(ways)
	nodes, err := k.store.Nodes(ctx, slices.Compact(ways))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(nodes, func(a, b Node) int { return len(a.Path) - len(b.Path) })
	pages := make(map[Path]*page, len(nodes))
	for _, n := range nodes {
		key, known := keys[n.Path]
		if !known {
			if parent := pages[n.Path[:len(n.Path)-1]]; parent != nil {
				key, _, known = parent.get(n.Path[len(n.Path)-1])
			}
		}
		if !known {
			return nil, k.mismatch(ctx, generation, errors.New("keyring: a node has no key in its parent"))
		}
		p, err := openNode(n, key)
		if err != nil {
			return nil, k.mismatch(ctx, generation, err)
		}
		pages[n.Path] = p
	}
	k.memory.keepNodes(generation, pages)
	return pages, nil
}
