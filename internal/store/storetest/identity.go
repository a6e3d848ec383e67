package storetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/identity"
)

// noon is the time in these suites, with microseconds, which is as fine as times are kept.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 123456000, time.UTC)

// wantKind holds err to a kind.
func wantKind(t *testing.T, err error, kind steward.Kind) {
	t.Helper()
	if err == nil || steward.KindOf(err) != kind {
		t.Errorf("got %v, want an error of kind %v", err, kind)
	}
}

// want fails where there is an error or got isn't what is wanted, to the last field.
func want[T any](t *testing.T, got T, err error, wanted T) {
	t.Helper()
	if err != nil || !reflect.DeepEqual(got, wanted) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, wanted)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// atOnce runs f eight times at once and counts what succeeded. Failures must be of the kind given.
func atOnce(t *testing.T, kind steward.Kind, f func(i int) error) int {
	t.Helper()
	var wg sync.WaitGroup
	var won atomic.Int64
	start := make(chan struct{})
	for i := range 8 {
		wg.Go(func() {
			<-start
			if err := f(i); err == nil {
				won.Add(1)
			} else {
				wantKind(t, err, kind)
			}
		})
	}
	close(start)
	wg.Wait()
	return int(won.Load())
}

// tenants adds workspaces for rows to belong to.
func tenants(t *testing.T, s identity.WorkspaceStore, ids ...steward.WorkspaceID) {
	t.Helper()
	for _, id := range ids {
		must(t, s.AddWorkspace(context.Background(), identity.Workspace{ID: id, Name: string(id), Created: noon}))
	}
}

// Identity holds s, which must be empty, to the contracts of identity's three stores.
func Identity(t *testing.T, s interface {
	identity.WorkspaceStore
	identity.MemberStore
	identity.TokenStore
}) {
	ctx := context.Background()

	t.Run("workspaces are listed by name, and a name is taken once", func(t *testing.T) {
		all, err := s.AllWorkspaces(ctx)
		want(t, len(all), err, 0)
		b := identity.Workspace{ID: "a", Name: "beta", Region: "eu", Created: noon}
		a := identity.Workspace{ID: "b", Name: "alpha", Created: noon.Add(time.Hour)}
		must(t, s.AddWorkspace(ctx, b))
		must(t, s.AddWorkspace(ctx, a))
		wantKind(t, s.AddWorkspace(ctx, identity.Workspace{ID: "c", Name: "alpha", Created: noon}), steward.Conflict)
		wantKind(t, s.AddWorkspace(ctx, identity.Workspace{ID: "b", Name: "gamma", Created: noon}), steward.Conflict)
		all, err = s.AllWorkspaces(ctx)
		want(t, all, err, []identity.Workspace{a, b})
		if n := atOnce(t, steward.Conflict, func(i int) error {
			return s.AddWorkspace(ctx, identity.Workspace{ID: steward.WorkspaceID(fmt.Sprint("raced", i)), Name: "raced", Created: noon})
		}); n != 1 {
			t.Errorf("%d workspaces got one name", n)
		}
	})

	const ws, other steward.WorkspaceID = "ws_1", "ws_2"
	tenants(t, s, ws, other)
	member := func(id steward.MemberID, email string, age time.Duration) identity.MemberRow {
		return identity.MemberRow{
			ID: id, Person: steward.PersonID("per_of_" + id), Role: steward.Manager, Email: []byte(email + "\x00\xff"), Created: noon.Add(age),
			Sealed: steward.Sealed{Scopes: []steward.Scope{"person/per_of_" + steward.Scope(id), "workspace"}, Box: []byte("box of " + id + "\x00")},
		}
	}
	ana, bo := member("mem_a", "ana", time.Hour), member("mem_b", "bo", 0)
	// The same id and the same digest in another workspace are somebody else.
	otherAna := member("mem_a", "ana", 0)
	otherAna.Role, otherAna.Sealed.Box = steward.Auditor, []byte("other box")

	t.Run("members come back as they were, by id, by address and in order", func(t *testing.T) {
		must(t, s.AddMember(ctx, ws, ana))
		must(t, s.AddMember(ctx, ws, bo))
		must(t, s.AddMember(ctx, other, otherAna))
		got, err := s.MemberByID(ctx, ws, "mem_a")
		want(t, got, err, ana)
		got, err = s.MemberByEmail(ctx, ws, bo.Email)
		want(t, got, err, bo)
		all, err := s.AllMembers(ctx, ws)
		want(t, all, err, []identity.MemberRow{bo, ana})
	})
	t.Run("members of workspaces don't meet", func(t *testing.T) {
		got, err := s.MemberByID(ctx, other, "mem_a")
		want(t, got, err, otherAna)
		got, err = s.MemberByEmail(ctx, other, ana.Email)
		want(t, got, err, otherAna)
		all, err := s.AllMembers(ctx, other)
		want(t, all, err, []identity.MemberRow{otherAna})
		_, err = s.MemberByID(ctx, other, "mem_b")
		wantKind(t, err, steward.NotFound)
		_, err = s.MemberByEmail(ctx, other, bo.Email)
		wantKind(t, err, steward.NotFound)
		_, err = s.MemberByID(ctx, "ws_none", "mem_a")
		wantKind(t, err, steward.NotFound)
		all, err = s.AllMembers(ctx, "ws_none")
		want(t, len(all), err, 0)
	})
	t.Run("an address, an id and a workspace that isn't there are refused", func(t *testing.T) {
		wantKind(t, s.AddMember(ctx, ws, member("mem_c", "ana", 0)), steward.Conflict)
		wantKind(t, s.AddMember(ctx, ws, member("mem_a", "new", 0)), steward.Conflict)
		wantKind(t, s.AddMember(ctx, "ws_none", ana), steward.NotFound)
		all, err := s.AllMembers(ctx, ws)
		want(t, all, err, []identity.MemberRow{bo, ana})
	})
	t.Run("of many with one address, one wins", func(t *testing.T) {
		if n := atOnce(t, steward.Conflict, func(i int) error {
			return s.AddMember(ctx, other, member(steward.MemberID(fmt.Sprint("mem_race", i)), "raced", time.Minute))
		}); n != 1 {
			t.Errorf("%d members got one address", n)
		}
		all, err := s.AllMembers(ctx, other)
		want(t, len(all), err, 2)
	})

	token := func(w steward.WorkspaceID, id steward.APITokenID, m steward.MemberID, secret string, age time.Duration) identity.TokenRow {
		return identity.TokenRow{
			Workspace: w, Hash: sha256.Sum256([]byte(secret)),
			APIToken: identity.APIToken{ID: id, Member: m, Created: noon.Add(age), Expires: noon.Add(age + time.Hour)},
		}
	}
	first, second := token(ws, "tok_1", "mem_a", "one", 0), token(ws, "tok_2", "mem_a", "two", time.Minute)
	bos, others := token(ws, "tok_3", "mem_b", "three", 0), token(other, "tok_1", "mem_a", "four", 0)
	read := func(t *testing.T, is identity.TokenRow) {
		t.Helper()
		got, err := s.TokenByHash(ctx, is.Hash)
		want(t, got, err, is)
	}
	t.Run("tokens are found by hash, and listed newest first", func(t *testing.T) {
		for _, row := range []identity.TokenRow{first, second, bos, others} {
			must(t, s.AddToken(ctx, row))
		}
		for _, row := range []identity.TokenRow{first, second, bos, others} {
			read(t, row)
			owner, err := s.TokenOwner(ctx, row.Workspace, row.ID)
			want(t, owner, err, row.Member)
		}
		_, err := s.TokenByHash(ctx, sha256.Sum256([]byte("never issued")))
		wantKind(t, err, steward.NotFound)
		_, err = s.TokenByHash(ctx, [sha256.Size]byte{})
		wantKind(t, err, steward.NotFound)
		list, err := s.Tokens(ctx, ws, "mem_a")
		want(t, list, err, []identity.APIToken{second.APIToken, first.APIToken})
		list, err = s.Tokens(ctx, other, "mem_a")
		want(t, list, err, []identity.APIToken{others.APIToken})
		list, err = s.Tokens(ctx, other, "mem_b")
		want(t, len(list), err, 0)
	})
	t.Run("a hash is one token's everywhere, an id one token's in a workspace", func(t *testing.T) {
		wantKind(t, s.AddToken(ctx, token(other, "tok_9", "mem_a", "one", 0)), steward.Conflict)
		wantKind(t, s.AddToken(ctx, token(ws, "tok_1", "mem_b", "nine", 0)), steward.Conflict)
		wantKind(t, s.AddToken(ctx, token("ws_none", "tok_9", "mem_a", "nine", 0)), steward.NotFound)
		read(t, first)
		_, err := s.TokenByHash(ctx, sha256.Sum256([]byte("nine")))
		wantKind(t, err, steward.NotFound)
		_, err = s.TokenOwner(ctx, other, "tok_9")
		wantKind(t, err, steward.NotFound)
		_, err = s.TokenOwner(ctx, other, "tok_2")
		wantKind(t, err, steward.NotFound)
	})
	t.Run("a token is revoked once, and in its workspace only", func(t *testing.T) {
		wantKind(t, s.RevokeToken(ctx, other, "tok_2", noon), steward.NotFound)
		wantKind(t, s.RevokeToken(ctx, ws, "tok_none", noon), steward.NotFound)
		read(t, second)
		must(t, s.RevokeToken(ctx, ws, "tok_1", noon.Add(time.Second)))
		must(t, s.RevokeToken(ctx, ws, "tok_1", noon.Add(time.Hour)))
		first.Revoked = noon.Add(time.Second)
		for _, row := range []identity.TokenRow{first, second, bos, others} {
			read(t, row)
		}
		list, err := s.Tokens(ctx, ws, "mem_a")
		want(t, list, err, []identity.APIToken{second.APIToken, first.APIToken})
		if n := atOnce(t, steward.Internal, func(i int) error {
			return s.RevokeToken(ctx, ws, "tok_3", noon.Add(time.Duration(i)*time.Minute))
		}); n != 8 {
			t.Errorf("revoking at once worked %d times of 8", n)
		}
		got, err := s.TokenByHash(ctx, bos.Hash)
		if err != nil || got.Revoked.IsZero() {
			t.Fatalf("%+v, %v", got, err)
		}
		must(t, s.RevokeToken(ctx, ws, "tok_3", noon.Add(time.Hour)))
		read(t, got)
	})
	t.Run("who is removed has no good token, and their address is free again", func(t *testing.T) {
		wantKind(t, s.RemoveMember(ctx, other, "mem_b", noon), steward.NotFound)
		wantKind(t, s.RemoveMember(ctx, ws, "mem_none", noon), steward.NotFound)
		boBefore, err := s.TokenByHash(ctx, bos.Hash)
		must(t, err)
		gone := noon.Add(2 * time.Hour)
		must(t, s.RemoveMember(ctx, ws, "mem_a", gone))
		_, err = s.MemberByID(ctx, ws, "mem_a")
		wantKind(t, err, steward.NotFound)
		_, err = s.MemberByEmail(ctx, ws, ana.Email)
		wantKind(t, err, steward.NotFound)
		all, err := s.AllMembers(ctx, ws)
		want(t, all, err, []identity.MemberRow{bo})
		second.Revoked = gone
		read(t, second)
		read(t, first) // as it was revoked before
		// The other member's token, and that of the same id in the other workspace, are as they were.
		read(t, boBefore)
		read(t, others)
		kept, err := s.MemberByID(ctx, other, "mem_a")
		want(t, kept, err, otherAna)
		wantKind(t, s.RemoveMember(ctx, ws, "mem_a", gone), steward.NotFound)
		must(t, s.AddMember(ctx, ws, member("mem_again", "ana", 3*time.Hour)))
	})
	t.Run("of many who remove one member, one does", func(t *testing.T) {
		if n := atOnce(t, steward.NotFound, func(int) error { return s.RemoveMember(ctx, ws, "mem_again", noon) }); n != 1 {
			t.Errorf("removed %d times", n)
		}
		all, err := s.AllMembers(ctx, ws)
		if err != nil || slices.ContainsFunc(all, func(m identity.MemberRow) bool { return m.ID == "mem_again" }) {
			t.Errorf("%+v, %v", all, err)
		}
	})
}
