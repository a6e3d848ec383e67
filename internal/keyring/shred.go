package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stewardhq/steward"
)

// Shred destroys the scopes' keys for ever: what was sealed under any of them is Gone, and the scopes
// can't be used again. When it returns nil, the root key of before is destroyed, and with it every way
// to these keys: an older copy of the keyring, even with today's root key, opens none of them. After an
// error it is to be repeated, since they may be gone from the store but not from such copies.
func (k *Keyring) Shred(ctx context.Context, ws steward.WorkspaceID, scopes ...steward.Scope) error {
	if err := check(ws, scopes); err != nil {
		return err
	}
	scopes = slices.Compact(slices.Sorted(slices.Values(scopes)))
	return k.destroy(ctx, func(c *Change) (ways []Path, remove func(map[Path]*page) error, err error) {
		w, found, err := k.store.Find(ctx, ws, scopes)
		if err != nil || w.Standing == Destroyed {
			return nil, nil, err
		}
		var going []Scope
		for _, s := range found {
			if s.Standing == Made {
				going = append(going, s)
				leaf, _ := address(w, s.Number)
				ways = append(ways, leaf)
			}
			if s.Standing != Destroyed {
				s.Standing = Destroyed
				c.Scopes = append(c.Scopes, s)
			}
		}
		return ways, func(pages map[Path]*page) error {
			for _, s := range going {
				if _, err := entryOf(pages, w, s); err != nil {
					return err // rather than destroying another scope's key
				}
				leaf, place := address(w, s.Number)
				pages[leaf].remove(place)
			}
			return nil
		}, nil
	})
}

// ShredWorkspace destroys all keys of a workspace, in the time that Shred takes for one, and the
// directory's rows of them. The workspace can't be used again.
func (k *Keyring) ShredWorkspace(ctx context.Context, ws steward.WorkspaceID) error {
	if ws == "" {
		return fmt.Errorf("keyring: shredding needs a workspace")
	}
	return k.destroy(ctx, func(c *Change) (ways []Path, remove func(map[Path]*page) error, err error) {
		w, _, err := k.store.Find(ctx, ws, nil)
		if err != nil || w.Standing == Destroyed {
			return nil, nil, err
		}
		if w.Standing == Unmade {
			c.Workspaces = []Workspace{{ID: ws, Standing: Destroyed}}
			return nil, nil, nil
		}
		below := workspacePath(w)
		parent, place := below[:len(below)-1], below[len(below)-1]
		w.Standing = Destroyed
		c.Workspaces, c.Drop = []Workspace{w}, []Path{below}
		return []Path{parent}, func(pages map[Path]*page) error {
			if pages[parent] == nil {
				return errors.New("keyring: a node is missing")
			}
			pages[parent].remove(place)
			return nil
		}, nil
	})
}

// rotateAtOnce is how many nodes of scope keys Rotate gives new keys in one step.
const rotateAtOnce = 256

// Rotate gives the root and every node a new key. Scope keys, and so all that was sealed, stay as they
// are. It may be repeated, after an error too: some nodes have new keys then and others don't.
func (k *Keyring) Rotate(ctx context.Context) error {
	leaves := []Path{""}
	for range depth - 1 {
		var err error
		if leaves, err = k.below(ctx, leaves); err != nil {
			return err
		}
	}
	if len(leaves) == 0 {
		leaves = []Path{""} // there are no keys yet but the root's
	}
	for part := range slices.Chunk(leaves, rotateAtOnce) {
		err := k.destroy(ctx, func(*Change) ([]Path, func(map[Path]*page) error, error) {
			return part, func(map[Path]*page) error { return nil }, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// below lists the nodes that stand directly under others.
func (k *Keyring) below(ctx context.Context, paths []Path) (all []Path, err error) {
	for range attempts {
		generation, err := k.current(ctx)
		if err != nil {
			return nil, err
		}
		pages, err := k.pages(ctx, generation, paths, false)
		if errors.Is(err, errAgain) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			if p := pages[path]; p != nil {
				all = append(all, p.children()...)
			}
		}
		return all, nil
	}
	return nil, busy()
}

// destroy makes a change after which what it removes can't be reached: plan says which rows of the
// directory change, which nodes lead to what goes, and how to remove it from their pages. Those nodes
// and all above them get new keys, the root too; then the root key of before is destroyed.
//
// Whatever fails or crashes in between, each copy of the database is in a state whose root key is kept.
func (k *Keyring) destroy(ctx context.Context, plan func(*Change) ([]Path, func(map[Path]*page) error, error)) error {
	ctx = context.WithoutCancel(ctx) // a few milliseconds, and half of it helps nobody
	k.writing.Lock()
	defer k.writing.Unlock()
	for range attempts {
		st, err := k.begin(ctx)
		if err != nil {
			return err
		}
		c := Change{Was: st, Now: st, Erase: true}
		ways, remove, err := plan(&c)
		if err != nil {
			return err
		}
		if len(ways) == 0 && len(c.Scopes)+len(c.Workspaces) == 0 {
			return k.store.Apply(ctx, c) // it was done before; what is left of it in the files goes
		}
		generation := generationOf(st)
		pages, err := k.pages(ctx, generation, append(ways, ""), true)
		if err == nil && len(ways) > 0 {
			if failed := remove(pages); failed != nil {
				err = k.mismatch(ctx, generation, failed)
			}
		}
		if err == nil {
			err = k.replaceRoot(ctx, c, pages, len(ways) > 0)
		}
		if !errors.Is(err, errAgain) && !errors.Is(err, ErrMoved) {
			return err
		}
	}
	return busy()
}

// replaceRoot is destroy's second half. Without rekey, there was no key to destroy, and the root key stays.
func (k *Keyring) replaceRoot(ctx context.Context, c Change, pages map[Path]*page, rekey bool) error {
	root := k.memory.inForce()
	if _, err := k.grow(pages, root.Generation, ""); err != nil {
		return err
	}
	if rekey {
		key, err := k.fresh()
		if err != nil {
			return err
		}
		root = Root{root.Generation + 1, key}
		if err := k.rekey(&c, pages, root); err != nil {
			return err
		}
		c.Now.Generation = root.Generation
	}
	if err := k.sealAll(&c, pages); err != nil {
		return err
	}
	if rekey {
		if err := k.keeper.Add(ctx, root); err != nil {
			return err
		}
		// A crash from here on leaves a root key that opens no node. The next change that replaces the
		// root destroys it.
	}
	if err := k.commitCopies(ctx, c); err != nil {
		return err
	}
	// A crash from here on leaves the copies ahead of the store, each with its root key in the keeper.
	// Nothing was destroyed yet: the next Open makes the copies as the store is.
	k.checks.still.Lock()
	err := k.store.Apply(ctx, c)
	happened := err == nil
	if err != nil && !errors.Is(err, ErrMoved) {
		st, failed := k.store.State(ctx)
		happened = failed == nil && st == c.Now
	}
	if !happened {
		k.checks.still.Unlock()
		k.behind = len(k.copies) > 0
		return err
	}
	if rekey {
		k.unended.Store(true)
		k.memory.advance(root, pages, c)
	}
	k.checks.still.Unlock()
	// A crash from here on leaves the change made, in the store and the copies, and the root key of before
	// beside the new one. The next Open destroys it.
	if !rekey {
		return err
	}
	return errors.Join(err, k.settle(ctx, root))
}

func (k *Keyring) settle(ctx context.Context, root Root) error {
	if err := k.keeper.Settle(ctx, root); err != nil {
		return err
	}
	k.unended.Store(false)
	return nil
}

// rekey gives every open page a new key, the root's for the root page, and drops the nodes that hold
// nothing any more.
func (k *Keyring) rekey(c *Change, pages map[Path]*page, root Root) error {
	byDepth := make([]*page, 0, len(pages))
	for _, p := range pages {
		byDepth = append(byDepth, p)
	}
	slices.SortFunc(byDepth, func(a, b *page) int { return len(b.path) - len(a.path) }) // the deepest first
	for _, p := range byDepth {
		p.generation, p.changed = root.Generation, true
		if p.path == "" {
			p.key = root.Key
			continue
		}
		parent, place := pages[p.path[:len(p.path)-1]], p.path[len(p.path)-1]
		if p.empty() {
			parent.remove(place)
			delete(pages, p.path)
			c.Drop = append(c.Drop, p.path)
			continue
		}
		var err error
		if p.key, err = k.fresh(); err != nil {
			return err
		}
		parent.set(place, p.key, nil)
	}
	return nil
}

// begin is how every change begins, under writing: it ends what an earlier one left undone, and tells
// the state to change, with memory of its generation.
func (k *Keyring) begin(ctx context.Context) (State, error) {
	for range attempts {
		st, err := k.store.State(ctx)
		if err != nil {
			return State{}, err
		}
		root := k.memory.inForce()
		if root.Generation != generationOf(st) {
			if _, err := k.look(ctx); err != nil {
				return State{}, err
			}
			continue
		}
		if !k.behind && !k.unended.Load() {
			return st, nil
		}
		// Whoever may only read must not destroy a root key that a writer still needs.
		err = k.store.Apply(ctx, Change{Was: st, Now: st, Erase: true})
		if err == nil {
			err = k.catchUp(ctx, st)
		}
		if err == nil {
			err = k.settle(ctx, root)
		}
		if err == nil {
			return st, nil
		}
		if !errors.Is(err, ErrMoved) {
			return State{}, err
		}
	}
	return State{}, busy()
}

// catchUp makes the copies as the store is.
func (k *Keyring) catchUp(ctx context.Context, st State) error {
	for _, c := range k.copies {
		theirs, err := c.Copy.State(ctx)
		if err == nil && theirs.Version > st.Version+1 { // a crash leaves it one change ahead at most
			return steward.Errorf(steward.Unavailable, "the declared copy of the keyring at %s is newer than the keyring itself, which must have been lost or replaced; nothing was changed; put the copy in the keyring's place", c.Name)
		}
		if err == nil && theirs != st {
			if err = c.Copy.Import(ctx, k.store.Export); err == nil {
				theirs, err = c.Copy.State(ctx)
			}
		}
		switch {
		case err != nil:
			return unwritten(c, err)
		case theirs != st:
			return ErrMoved
		}
	}
	k.behind = false
	return nil
}

// commitCopies makes a change in every copy. The store follows: so no key is ever used, and none is
// ever destroyed, that not all copies know of.
func (k *Keyring) commitCopies(ctx context.Context, c Change) error {
	for _, d := range k.copies {
		err := d.Copy.Apply(ctx, c)
		if err == nil {
			continue
		}
		k.behind = true
		if errors.Is(err, ErrMoved) {
			return ErrMoved
		}
		return unwritten(d, err)
	}
	return nil
}

func unwritten(d DeclaredCopy, err error) error {
	return steward.Errorf(steward.Unavailable, "the declared copy of the keyring at %s can't be written, so nothing was changed; make it writable, or take it out of the settings", d.Name).
		Because(errors.New(err.Error())) // without its chain: that a copy can only be read says nothing of the store
}
