// Package keyring answers: can this still be opened? It keeps one key a scope, seals under several of
// them at once, and forgets by destroying them; it doesn't know what it seals, nor when a thing must go.
package keyring

import (
	"context"
	"crypto/cipher"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"unicode"

	"github.com/stewardhq/steward"
)

// Keeper holds the root key, outside every database.
type Keeper interface {
	// Root gives the root key. Its error says what the operator has to do.
	Root(ctx context.Context) ([32]byte, error)
}

// Store keeps the wrapped keys, in a database of their own. A row, once there, never goes: a destroyed
// key leaves a tombstone, so that its scope can't be made again.
type Store interface {
	// Key reads a scope's row. found is false where there never was one; wrapped is nil where the
	// key was destroyed.
	Key(ctx context.Context, ws steward.WorkspaceID, scope steward.Scope) (wrapped []byte, found bool, err error)
	// AddKey adds a row, durably, unless the scope has one already, tombstones included. Either is
	// a success: the caller reads which key it is.
	AddKey(ctx context.Context, ws steward.WorkspaceID, scope steward.Scope, wrapped []byte) error
	// Destroy leaves nothing but tombstones for the scopes, also for those that never had a row. When
	// it returns nil, no file of the store holds the wrapped bytes any more. It can be repeated.
	Destroy(ctx context.Context, ws steward.WorkspaceID, scopes []steward.Scope) error
}

// cached is how many unwrapped scope keys stay in memory: about 10 MB.
const cached = 1 << 16

// Config is what a Keyring is made of.
type Config struct {
	Store  Store
	Keeper Keeper
	Rand   io.Reader // cryptographic randomness
}

// Keyring is the one steward.Sealer. It is safe for concurrent use.
type Keyring struct {
	store Store
	rand  io.Reader
	wrap  cipher.AEAD

	mu    sync.Mutex
	keys  map[slot][32]byte
	shred uint64 // counts shreds, so that a reader that began before one doesn't put its key back
}

type slot struct {
	workspace steward.WorkspaceID
	scope     steward.Scope
}

var _ steward.Sealer = (*Keyring)(nil)

// Open reads the root key and makes the keyring. The store may be open for reading only: then what
// exists can be opened, and sealing under a new scope is refused by the store.
func Open(ctx context.Context, c Config) (*Keyring, error) {
	root, err := c.Keeper.Root(ctx)
	if err != nil {
		return nil, err
	}
	wrap, err := wrapping(root)
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	return &Keyring{store: c.Store, rand: c.Rand, wrap: wrap, keys: map[slot][32]byte{}}, nil
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
	ikm, err := k.scopeKeys(ctx, at.Workspace, sealed.Scopes, false)
	if err != nil {
		return nil, err
	}
	plain, err := open(ikm, at, sealed)
	if err != nil {
		return nil, steward.Errorf(steward.Internal, "a stored value can't be opened, since it is not what was sealed in its place; run `steward verify`").Because(err)
	}
	return plain, nil
}

// Derive is steward.Sealer's. Different purposes give unrelated secrets.
func (k *Keyring) Derive(ctx context.Context, ws steward.WorkspaceID, scope steward.Scope, purpose string) ([32]byte, error) {
	ikm, err := k.scopeKeys(ctx, ws, []steward.Scope{scope}, true)
	if err != nil {
		return [32]byte{}, err
	}
	return derive(ikm, ws, scope, purpose)
}

// Shred destroys the scopes' keys for ever: what was sealed under any of them is Gone, and the scopes
// can't be used again. When it returns nil, nothing on disk holds the keys; after an error it is to be
// repeated, since some may already be gone.
func (k *Keyring) Shred(ctx context.Context, ws steward.WorkspaceID, scopes ...steward.Scope) error {
	if err := check(ws, scopes); err != nil {
		return err
	}
	err := k.store.Destroy(ctx, ws, scopes)

	// The cache goes also after an error: the rows may be gone nevertheless, and forgetting too much
	// in memory costs one read. It goes after the store, so that whoever reads a key before then and
	// comes later to put it into the cache finds that the count has moved.
	k.mu.Lock()
	defer k.mu.Unlock()
	k.shred++
	for _, scope := range scopes {
		delete(k.keys, slot{ws, scope})
	}
	return err
}

// Alive tells whether a scope has a key: false where it was destroyed and where it was never made.
func (k *Keyring) Alive(ctx context.Context, ws steward.WorkspaceID, scope steward.Scope) (bool, error) {
	wrapped, found, err := k.store.Key(ctx, ws, scope)
	return found && wrapped != nil, err
}

// scopeKeys is the scopes' keys, one behind the other in the order given.
func (k *Keyring) scopeKeys(ctx context.Context, ws steward.WorkspaceID, scopes []steward.Scope, create bool) ([]byte, error) {
	if err := check(ws, scopes); err != nil {
		return nil, err
	}
	var ikm []byte
	for _, scope := range scopes {
		key, err := k.key(ctx, ws, scope, create)
		if err != nil {
			return nil, err
		}
		ikm = append(ikm, key[:]...)
	}
	return ikm, nil
}

func (k *Keyring) key(ctx context.Context, ws steward.WorkspaceID, scope steward.Scope, create bool) ([32]byte, error) {
	at := slot{ws, scope}
	k.mu.Lock()
	key, ok := k.keys[at]
	shreds := k.shred
	k.mu.Unlock()
	if ok {
		return key, nil
	}

	wrapped, found, err := k.store.Key(ctx, ws, scope)
	if err == nil && !found && create {
		if wrapped, err = k.fresh(at); err == nil {
			if err = k.store.AddKey(ctx, ws, scope, wrapped); err == nil {
				// Somebody else may have been first; theirs is the key then.
				wrapped, found, err = k.store.Key(ctx, ws, scope)
			}
		}
	}
	switch {
	case err != nil:
		return [32]byte{}, err
	case !found:
		return [32]byte{}, steward.Errorf(steward.Internal, "a stored value names a key that was never made; run `steward verify`")
	case wrapped == nil:
		return [32]byte{}, steward.Errorf(steward.Gone, "this was forgotten: its key no longer exists")
	}
	if key, err = unwrap(k.wrap, at, wrapped); err != nil {
		return [32]byte{}, steward.Errorf(steward.Internal, "the root key doesn't fit this keyring; put back the key file that was made with it").Because(err)
	}

	k.mu.Lock()
	defer k.mu.Unlock()
	if k.shred != shreds {
		return key, nil // read before a shred that may have been this scope's
	}
	if len(k.keys) >= cached {
		for other := range k.keys { // any will do; what is missed is read again
			delete(k.keys, other)
			break
		}
	}
	k.keys[at] = key
	return key, nil
}

// fresh makes a new scope key and wraps it.
func (k *Keyring) fresh(at slot) ([]byte, error) {
	var random [32 + nonceSize]byte
	if _, err := io.ReadFull(k.rand, random[:]); err != nil {
		return nil, fmt.Errorf("keyring: randomness: %w", err)
	}
	return wrapKey(k.wrap, at, random[:32], random[32:]), nil
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
