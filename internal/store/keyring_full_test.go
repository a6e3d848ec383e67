package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
)

// TestKeyringOnAFullDisk holds making and shredding, in the keyring's own database and in a declared copy, to
// changing nothing when there is no room, and to working again when there is.
func TestKeyringOnAFullDisk(t *testing.T) {
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	keys, err := OpenKeyring(ctx, dir)
	must(err)
	t.Cleanup(func() { _ = keys.Close() })
	spare, err := OpenKeyring(ctx, t.TempDir())
	must(err)
	t.Cleanup(func() { _ = spare.Close() })
	keeper := keyring.FileKeeper{Dir: filepath.Join(dir, "keeper")}
	must(keeper.Create(rand.Reader))
	config := keyring.Config{Store: Keyring{keys}, Keeper: keeper, Rand: rand.Reader, Copies: []keyring.DeclaredCopy{{Name: "the spare one", Copy: Keyring{spare}}}}
	k, err := keyring.Open(ctx, config)
	must(err)

	at := steward.Place{Workspace: "ws"}
	scope := func(i int) steward.Scope { return steward.Scope(fmt.Sprint("person/", i)) }
	boxes := map[steward.Scope]steward.Sealed{}
	for i := range 5 {
		boxes[scope(i)], err = k.Seal(ctx, at, []steward.Scope{scope(i)}, []byte("plain"))
		must(err)
	}
	opens := func(k *keyring.Keyring, from int) {
		t.Helper()
		for i := range 5 {
			_, err := k.Open(ctx, at, boxes[scope(i)])
			if i < from && steward.KindOf(err) != steward.Gone || i >= from && err != nil {
				t.Errorf("%s: %v", scope(i), err)
			}
		}
	}
	var many, never []steward.Scope
	for i := range 3000 {
		many = append(many, steward.Scope(fmt.Sprint("item/", i)))
		never = append(never, steward.Scope(fmt.Sprint("never/", i)))
	}
	for shredded, full := range []*DB{keys, spare} {
		empty := fill(t, full, 3)
		for what, err := range map[string]error{"making": k.Make(ctx, "ws", many...), "shredding": k.Shred(ctx, "ws", append(never, scope(shredded))...)} {
			if steward.KindOf(err) != steward.Unavailable {
				t.Errorf("%s with a full disk: %v", what, err)
			}
		}
		opens(k, shredded)
		again, err := keyring.Open(ctx, config)
		must(err)
		opens(again, shredded)
		empty()
		must(k.Shred(ctx, "ws", scope(shredded)))
		opens(k, shredded+1)
		opens(again, shredded+1)
		must(k.Make(ctx, "ws", many...))
		many = never
	}
	roots, err := keeper.Roots(ctx)
	if err != nil || len(roots) != 1 {
		t.Errorf("%d root keys are left, %v", len(roots), err)
	}
}
