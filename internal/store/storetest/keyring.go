package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
)

// KeyringStore is what a store of keys has to be: the keyring's own, and a copy of another's.
type KeyringStore interface {
	keyring.Store
	Import(ctx context.Context, from func(ctx context.Context, piece func(keyring.Change) error) error) error
}

// Keyring holds an empty store, and another for a copy, against keyring.Store and keyring.Copy. raw gives
// everything that the store has on disk; it is nil for a database that can't erase.
func Keyring(t *testing.T, s, other KeyringStore, raw func() []byte) {
	ctx := context.Background()
	state := func(t *testing.T) keyring.State {
		t.Helper()
		st, err := s.State(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	after := func(st keyring.State) keyring.State {
		st.Version++
		st.Mark[0]++
		return st
	}
	apply := func(t *testing.T, c keyring.Change) {
		t.Helper()
		c.Was = state(t)
		c.Now = after(c.Was)
		if err := s.Apply(ctx, c); err != nil {
			t.Fatal(err)
		}
		if got := state(t); got != c.Now {
			t.Fatalf("state %+v after a change to %+v", got, c.Now)
		}
	}
	find := func(t *testing.T, ws steward.WorkspaceID, scopes ...steward.Scope) (keyring.Workspace, []keyring.Scope) {
		t.Helper()
		w, found, err := s.Find(ctx, ws, scopes)
		if err != nil || len(found) != len(scopes) {
			t.Fatalf("%v, %v", found, err)
		}
		return w, found
	}
	nodes := func(t *testing.T, paths ...keyring.Path) map[keyring.Path]string {
		t.Helper()
		list, err := s.Nodes(ctx, paths)
		if err != nil {
			t.Fatal(err)
		}
		got := map[keyring.Path]string{}
		for _, n := range list {
			got[n.Path] = fmt.Sprintf("%d %s", n.Generation, n.Sealed)
		}
		return got
	}
	made := func(ws steward.WorkspaceID, name steward.Scope, number uint32) keyring.Scope {
		return keyring.Scope{Workspace: ws, Name: name, Standing: keyring.Made, Number: number}
	}

	t.Run("an empty store", func(t *testing.T) {
		if st := state(t); st != (keyring.State{}) {
			t.Errorf("state %+v", st)
		}
		if w, found := find(t, "ws_1", "a"); w.Standing != keyring.Unmade || found[0].Standing != keyring.Unmade || found[0].Name != "a" {
			t.Errorf("%+v, %+v", w, found)
		}
		if got := nodes(t, "", "\x00"); len(got) != 0 {
			t.Errorf("nodes %v", got)
		}
	})
	t.Run("a change is there as a whole", func(t *testing.T) {
		c := keyring.Change{Now: keyring.State{Version: 1, Mark: [8]byte{7, 255}, Generation: 1 << 40, Workspaces: 1 << 24}}
		c.Workspaces = []keyring.Workspace{{ID: "ws_1", Standing: keyring.Made, Number: 1<<24 - 1, Next: 1 << 32}}
		c.Scopes = []keyring.Scope{made("ws_1", "a", 0), made("ws_1", "b", 1<<32-1)}
		c.Nodes = []keyring.Node{{Path: "", Generation: 1, Sealed: []byte("root")}, {Path: "\x00\xff", Generation: 2, Sealed: []byte("inner")}}
		if err := s.Apply(ctx, c); err != nil {
			t.Fatal(err)
		}
		if st := state(t); st != c.Now {
			t.Errorf("state %+v, want %+v", st, c.Now)
		}
		w, found := find(t, "ws_1", "b", "c", "a", "b")
		if w != c.Workspaces[0] || found[0] != c.Scopes[1] || found[1].Standing != keyring.Unmade || found[2] != c.Scopes[0] || found[3] != found[0] {
			t.Errorf("%+v, %+v", w, found)
		}
		if w, found := find(t, "ws_2", "a"); w.Standing != keyring.Unmade || found[0].Standing != keyring.Unmade {
			t.Errorf("another workspace: %+v, %+v", w, found)
		}
		if got := nodes(t, "\x00\xff", "", "\x00"); !reflect.DeepEqual(got, map[keyring.Path]string{"": "1 root", "\x00\xff": "2 inner"}) {
			t.Errorf("nodes %v", got)
		}
	})
	t.Run("a change from another state is refused, and does nothing", func(t *testing.T) {
		st := state(t)
		for name, was := range map[string]keyring.State{
			"empty": {}, "older": {Version: st.Version - 1, Mark: st.Mark, Generation: st.Generation, Workspaces: st.Workspaces},
			"other mark": {Version: st.Version, Mark: [8]byte{9}, Generation: st.Generation, Workspaces: st.Workspaces},
		} {
			c := keyring.Change{Was: was, Now: after(st), Nodes: []keyring.Node{{Path: "", Sealed: []byte("wrong")}}, Drop: []keyring.Path{"\x00"}, Scopes: []keyring.Scope{made("ws_1", "x", 9)}}
			if err := s.Apply(ctx, c); !errors.Is(err, keyring.ErrMoved) {
				t.Errorf("%s: %v", name, err)
			}
			c.Now = c.Was
			if err := s.Apply(ctx, c); !errors.Is(err, keyring.ErrMoved) {
				t.Errorf("%s, nothing to write: %v", name, err)
			}
		}
		if got := nodes(t, ""); state(t) != st || got[""] != "1 root" {
			t.Errorf("it did something: %v", got)
		}
		if err := s.Apply(ctx, keyring.Change{Was: st, Now: st, Erase: true}); err != nil || state(t) != st {
			t.Errorf("nothing to write: %v", err)
		}
	})
	t.Run("a change that fails half-way does nothing", func(t *testing.T) {
		st := state(t)
		c := keyring.Change{Was: st, Now: after(st), Nodes: []keyring.Node{{Path: "", Sealed: []byte("wrong")}}, Scopes: []keyring.Scope{made("ws_1", "new", 5), made("ws_1", "a", 6)}}
		if err := s.Apply(ctx, c); err == nil || errors.Is(err, keyring.ErrMoved) {
			t.Errorf("a scope got another place: %v", err)
		}
		if _, found := find(t, "ws_1", "new", "a"); state(t) != st || nodes(t, "")[""] != "1 root" || found[0].Standing != keyring.Unmade || found[1].Number != 0 {
			t.Errorf("it did something: %+v", found)
		}
	})
	t.Run("dropped nodes take those below along", func(t *testing.T) {
		var list []keyring.Node
		for _, path := range []keyring.Path{"\x01", "\x01\xff", "\x01\xff\xff\xff\xff\xff", "\x02", "\x02\x00", "\xff", "\xff\xff\xff\xff\xff\xff"} {
			list = append(list, keyring.Node{Path: path, Sealed: []byte("x")})
		}
		apply(t, keyring.Change{Nodes: list})
		apply(t, keyring.Change{Drop: []keyring.Path{"\x01", "\xff\xff"}, Nodes: []keyring.Node{{Path: "\x02", Generation: 3, Sealed: []byte("y")}}})
		var paths []keyring.Path
		for _, n := range list {
			paths = append(paths, n.Path)
		}
		if got := nodes(t, paths...); !reflect.DeepEqual(got, map[keyring.Path]string{"\x02": "3 y", "\x02\x00": "0 x", "\xff": "0 x"}) {
			t.Errorf("left are %v", got)
		}
	})
	t.Run("what is destroyed stays so", func(t *testing.T) {
		apply(t, keyring.Change{
			Workspaces: []keyring.Workspace{{ID: "ws_kept", Standing: keyring.Made, Number: 1, Next: 2}, {ID: "ws_gone", Standing: keyring.Made, Number: 2, Next: 1}},
			Scopes:     []keyring.Scope{made("ws_kept", "a", 0), made("ws_kept", "b", 1), made("ws_gone", "a", 0)},
		})
		apply(t, keyring.Change{
			Workspaces: []keyring.Workspace{{ID: "ws_gone", Standing: keyring.Destroyed}, {ID: "ws_never", Standing: keyring.Destroyed}},
			Scopes:     []keyring.Scope{{Workspace: "ws_kept", Name: "a", Standing: keyring.Destroyed}, {Workspace: "ws_kept", Name: "never", Standing: keyring.Destroyed}},
		})
		w, found := find(t, "ws_kept", "a", "b", "never")
		if w.Standing != keyring.Made || found[0].Standing != keyring.Destroyed || found[1] != made("ws_kept", "b", 1) || found[2].Standing != keyring.Destroyed {
			t.Errorf("%+v, %+v", w, found)
		}
		for _, ws := range []steward.WorkspaceID{"ws_gone", "ws_never"} {
			if w, found := find(t, ws, "a"); w.Standing != keyring.Destroyed || found[0].Standing != keyring.Unmade {
				t.Errorf("%+v, %+v", w, found)
			}
		}
		for name, c := range map[string]keyring.Change{
			"scope": {Scopes: []keyring.Scope{made("ws_kept", "a", 9)}}, "workspace": {Workspaces: []keyring.Workspace{{ID: "ws_gone", Standing: keyring.Made, Number: 9}}},
		} {
			c.Was = state(t)
			c.Now = after(c.Was)
			if err := s.Apply(ctx, c); err == nil || state(t) != c.Was {
				t.Errorf("a %s came back: %v", name, err)
			}
		}
	})
	t.Run("of changes at once, one happens", func(t *testing.T) {
		st := state(t)
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() {
				now := after(st)
				now.Mark[1] = byte(i)
				errs[i] = s.Apply(ctx, keyring.Change{Was: st, Now: now})
			})
		}
		wg.Wait()
		happened := 0
		for i, err := range errs {
			if err == nil {
				happened++
				if got := state(t); got.Mark[1] != byte(i) {
					t.Errorf("the state has mark %v", got.Mark)
				}
			} else if !errors.Is(err, keyring.ErrMoved) {
				t.Error(err)
			}
		}
		if happened != 1 {
			t.Errorf("%d happened", happened)
		}
	})
	t.Run("erased bytes are nowhere on disk", func(t *testing.T) {
		// Enough rows, in an order that makes pages split, and of sizes that need more than one page.
		const count = 400
		path := func(i int) keyring.Path {
			return keyring.Path(fmt.Sprintf("\x10%05x", uint32(i)*0x9e3779b1>>12))
		}
		bytesOf := func(i int) []byte { return bytes.Repeat([]byte(fmt.Sprintf("sealed-%08d-", i)), 1+i) }
		for i := range count {
			apply(t, keyring.Change{Nodes: []keyring.Node{{Path: path(i), Sealed: bytesOf(i)}}})
		}
		onDisk := func(disk []byte, i int) bool { return bytes.Contains(disk, bytesOf(i)[:16]) }
		if raw != nil {
			if disk := raw(); !onDisk(disk, 0) || !onDisk(disk, count-1) {
				t.Fatal("the search doesn't find what is there, so it proves nothing")
			}
		}
		c := keyring.Change{Erase: true}
		for i := 0; i < count; i += 4 {
			c.Drop = append(c.Drop, path(i))
			c.Nodes = append(c.Nodes, keyring.Node{Path: path(i + 1), Sealed: []byte("replaced")})
		}
		apply(t, c)
		if raw == nil {
			return
		}
		disk := raw()
		for i := range count {
			if found := onDisk(disk, i); found != (i%4 > 1) {
				t.Errorf("node %d: on disk %v", i, found)
			}
		}
	})
	t.Run("a copy is the same, and nothing else", func(t *testing.T) {
		c := keyring.Change{Now: keyring.State{Version: 3, Generation: 1}, Scopes: []keyring.Scope{made("ws_old", "old", 0)}, Nodes: []keyring.Node{{Path: "\x77", Sealed: []byte("old")}}}
		if err := other.Apply(ctx, c); err != nil {
			t.Fatal(err)
		}
		broken := errors.New("broken")
		err := other.Import(ctx, func(ctx context.Context, piece func(keyring.Change) error) error {
			return errors.Join(piece(keyring.Change{Now: keyring.State{Version: 9}}), broken)
		})
		if st, _ := other.State(ctx); !errors.Is(err, broken) || st != c.Now {
			t.Errorf("an import that broke off: %v, state %+v", err, st)
		}
		pieces := 0
		err = other.Import(ctx, func(ctx context.Context, piece func(keyring.Change) error) error {
			return s.Export(ctx, func(c keyring.Change) error {
				pieces++
				if n := len(c.Nodes) + len(c.Scopes) + len(c.Workspaces); n > 1000 {
					t.Errorf("a piece of %d rows", n)
				}
				return piece(c)
			})
		})
		if err != nil || pieces < 2 {
			t.Fatalf("%d pieces, %v", pieces, err)
		}
		if got, want := everything(t, other), everything(t, s); !reflect.DeepEqual(got, want) || len(want) < 300 {
			t.Errorf("the copy has %d rows, the store %d, or they differ", len(got), len(want))
		}
		if st, _ := other.State(ctx); st != state(t) {
			t.Errorf("the copy's state is %+v", st)
		}
	})
}

// everything is each row that a store exports.
func everything(t *testing.T, s keyring.Store) map[string]bool {
	t.Helper()
	rows := map[string]bool{}
	err := s.Export(context.Background(), func(c keyring.Change) error {
		for _, n := range c.Nodes {
			rows[fmt.Sprintf("%+v", n)] = true
		}
		for _, w := range c.Workspaces {
			rows[fmt.Sprintf("%+v", w)] = true
		}
		for _, s := range c.Scopes {
			rows[fmt.Sprintf("%+v", s)] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}
