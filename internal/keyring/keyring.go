// Package keyring answers: can this still be opened? It keeps one key a scope in a tree of keys, seals
// under several of them at once, and forgets by destroying them together with every key above; it doesn't
// know what it seals, nor when a thing must go.
package keyring

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/stewardhq/steward"
)

// Config is what a Keyring is made of.
type Config struct {
	Store  Store
	Keeper Keeper
	Rand   io.Reader // cryptographic randomness, safe for concurrent use

	// Alone says that no other process changes the store, by which a read of it before every use of
	// keys in memory is saved. If another does nevertheless, changes still don't mix, but what it
	// destroys may open here until Open is called again.
	Alone bool

	// Copies are kept the same as the store: a key is used once all of them have it, and a root key
	// is destroyed once all of them have what replaced it. Losing the store and all copies loses
	// everything that was ever sealed.
	Copies []DeclaredCopy
}

// Keyring is the one steward.Sealer. It is safe for concurrent use, also of one store and keeper by
// several processes.
type Keyring struct {
	store  Store
	keeper Keeper
	rand   io.Reader
	copies []DeclaredCopy
	alone  bool

	checks checks // that what is in memory is of the generation in force
	memory memory // keys that were opened

	makes   makes       // scopes that wait for their keys
	writing sync.Mutex  // one change at a time
	behind  bool        // under writing: a copy may not be as the store is
	unended atomic.Bool // a root key that was replaced may still exist
}

var _ steward.Sealer = (*Keyring)(nil)

// attempts is how often an operation begins again because another process changed the keyring meanwhile.
const attempts = 200

// Open reads the root key, makes sure that it is this keyring's, and ends what a crash may have
// interrupted. The store may be open for reading only: then what exists can be opened, and sealing under
// a new scope is refused.
func Open(ctx context.Context, c Config) (*Keyring, error) {
	k := &Keyring{store: c.Store, keeper: c.Keeper, rand: c.Rand, copies: c.Copies, alone: c.Alone, behind: len(c.Copies) > 0}
	if err := k.load(ctx); err != nil {
		return nil, err
	}
	k.writing.Lock()
	defer k.writing.Unlock()
	if _, err := k.begin(ctx); err != nil && !errors.Is(err, ErrReadOnly) {
		return nil, err
	}
	return k, nil
}

// LogValue keeps keys out of the log.
func (k *Keyring) LogValue() slog.Value { return slog.StringValue("[keyring]") }

// Seal is steward.Sealer's. At least one scope is required.
func (k *Keyring) Seal(ctx context.Context, at steward.Place, scopes []steward.Scope, plain []byte) (steward.Sealed, error) {
	ikm, err := k.scopeKeys(ctx, at.Workspace, scopes, true)
	if err != nil {
		return steward.Sealed{}, err
	}
	var salt [saltSize]byte
	if _, err := io.ReadFull(k.rand, salt[:]); err != nil {
		return steward.Sealed{}, fmt.Errorf("keyring: randomness: %w", err)
	}
	box, err := seal(ikm, salt, at, scopes, plain)
	if err != nil {
		return steward.Sealed{}, fmt.Errorf("keyring: %w", err)
	}
	return steward.Sealed{Scopes: append([]steward.Scope(nil), scopes...), Box: box}, nil
}

// Open is steward.Sealer's.
func (k *Keyring) Open(ctx context.Context, at steward.Place, sealed steward.Sealed) ([]byte, error) {
	key, err := k.BoxKey(ctx, at, sealed)
	if err != nil {
		return nil, err
	}
	return k.OpenBox(key, sealed.Box)
}

// BoxKey gives the one key that opens a sealed value, and nothing else: whoever keeps it opens that value though
// its scopes' keys are destroyed. Whether it does, OpenBox tells. Gone as Open is.
func (k *Keyring) BoxKey(ctx context.Context, at steward.Place, sealed steward.Sealed) ([]byte, error) {
	ikm, err := k.scopeKeys(ctx, at.Workspace, sealed.Scopes, false)
	if err != nil {
		return nil, err
	}
	return whole(boxKey(ikm, at, sealed))
}

// OpenBox decrypts a box by its key; kind Internal for any other box or key.
func (k *Keyring) OpenBox(key, box []byte) ([]byte, error) { return whole(open(key, box)) }

func whole(b []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, steward.Errorf(steward.Internal, "a stored value can't be opened, since it is not what was sealed in its place; run `steward verify`").Because(err)
	}
	return b, nil
}

// Derive is steward.Sealer's. Different purposes give unrelated secrets.
func (k *Keyring) Derive(ctx context.Context, ws steward.WorkspaceID, scope steward.Scope, purpose string) ([32]byte, error) {
	ikm, err := k.scopeKeys(ctx, ws, []steward.Scope{scope}, true)
	if err != nil {
		return [32]byte{}, err
	}
	return derive(ikm, ws, scope, purpose)
}

// Alive tells whether a scope has a key: false where it was destroyed and where it was never made.
func (k *Keyring) Alive(ctx context.Context, ws steward.WorkspaceID, scope steward.Scope) (bool, error) {
	w, found, err := k.store.Find(ctx, ws, []steward.Scope{scope})
	return err == nil && w.Standing == Made && found[0].Standing == Made, err
}

// Horizon is how long after a shred what it destroyed might be brought back by whoever keeps old copies
// of the keyring and of the keeper's: 0 if it is destroyed wholly once Shred has returned.
func (k *Keyring) Horizon() time.Duration { return k.keeper.Horizon() }

// scopeKeys is the scopes' keys, one behind the other in the order given.
func (k *Keyring) scopeKeys(ctx context.Context, ws steward.WorkspaceID, scopes []steward.Scope, create bool) ([]byte, error) {
	if err := check(ws, scopes); err != nil {
		return nil, err
	}
	for range attempts {
		generation, err := k.current(ctx)
		if err != nil {
			return nil, err
		}
		keys, missing := k.memory.scopeKeys(generation, ws, scopes)
		if len(missing) > 0 {
			unmade, err := k.read(ctx, generation, ws, missing, keys)
			switch {
			case errors.Is(err, errAgain):
				continue
			case err != nil:
				return nil, err
			case len(unmade) > 0 && !create:
				return nil, steward.Errorf(steward.Internal, "a stored value names a key that was never made; run `steward verify`")
			case len(unmade) > 0:
				if err := k.Make(ctx, ws, unmade...); err != nil {
					return nil, err
				}
				continue
			}
		}
		ikm := make([]byte, 0, keySize*len(scopes))
		for _, scope := range scopes {
			key := keys[scope]
			ikm = append(ikm, key[:]...)
		}
		return ikm, nil
	}
	return nil, busy()
}

func busy() error {
	return steward.Errorf(steward.Unavailable, "the keyring is being changed by others all the time; try again")
}

func gone() error {
	return steward.Errorf(steward.Gone, "this was forgotten: its key no longer exists")
}

// read adds the keys of scopes to keys and to memory, and names those that have none yet.
func (k *Keyring) read(ctx context.Context, generation uint64, ws steward.WorkspaceID, scopes []steward.Scope, keys map[steward.Scope][32]byte) (unmade []steward.Scope, err error) {
	w, found, err := k.store.Find(ctx, ws, scopes)
	if err != nil {
		return nil, err
	}
	var leaves []Path
	for i, s := range found {
		switch {
		case w.Standing == Destroyed || s.Standing == Destroyed:
			return nil, gone()
		case s.Standing == Unmade:
			unmade = append(unmade, scopes[i])
		default:
			leaf, _ := address(w, s.Number)
			leaves = append(leaves, leaf)
		}
	}
	if len(unmade) > 0 || len(found) == 0 {
		return unmade, nil
	}
	pages, err := k.pages(ctx, generation, leaves, false)
	if err != nil {
		return nil, err
	}
	for _, s := range found {
		key, err := entryOf(pages, w, s)
		if err != nil {
			return nil, k.mismatch(ctx, generation, err)
		}
		keys[s.Name] = key
		k.memory.keep(generation, slot{ws, s.Name}, key)
	}
	return nil, nil
}

// entryOf finds a scope's key in an open page, and makes sure that it is that scope's.
func entryOf(pages map[Path]*page, w Workspace, s Scope) ([32]byte, error) {
	leaf, place := address(w, s.Number)
	if pages[leaf] == nil {
		return [32]byte{}, errors.New("keyring: a node is missing")
	}
	key, name, taken := pages[leaf].get(place)
	if !taken || string(name) != string(nameOf(s.Workspace, s.Name)) {
		return [32]byte{}, errors.New("keyring: the directory sends a scope to another's place")
	}
	return key, nil
}

// check refuses what could be mistaken for something else once it is written as a list.
func check(ws steward.WorkspaceID, scopes []steward.Scope) error {
	if ws == "" || len(scopes) == 0 {
		return fmt.Errorf("keyring: sealing needs a workspace and at least one scope")
	}
	for _, scope := range scopes {
		if scope == "" || strings.ContainsFunc(string(scope), func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
			return fmt.Errorf("keyring: %q is not a scope", scope)
		}
	}
	return nil
}
