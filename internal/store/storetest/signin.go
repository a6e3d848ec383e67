package storetest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/signin"
)

// SignIns holds s, which must be empty, to its contract.
func SignIns(t *testing.T, s signin.Store, w identity.WorkspaceStore) {
	ctx := context.Background()
	const ws, other steward.WorkspaceID = "ws_1", "ws_2"
	tenants(t, w, ws, other)
	row := signin.Row{
		ID: "sgn_1", Member: "mem_a", Connection: "salesforce", InstanceURL: "https://acme.example", LoginURL: "https://login.example", ClientID: "3MVG9", Status: signin.Begun,
		Secret: [32]byte{1, 0, 255}, Expires: noon,
	}
	find := func(w steward.WorkspaceID, is signin.Row) {
		t.Helper()
		got, err := s.SignIn(ctx, w, is.ID)
		want(t, got, err, is)
	}
	none := func(w steward.WorkspaceID, id string) {
		t.Helper()
		_, err := s.SignIn(ctx, w, id)
		wantKind(t, err, steward.NotFound)
	}
	none(ws, "sgn_1")
	must(t, s.AddSignIn(ctx, ws, row))
	find(ws, row)
	none(other, "sgn_1")
	wantKind(t, s.AddSignIn(ctx, ws, row), steward.Conflict)
	wantKind(t, s.AddSignIn(ctx, "ws_none", row), steward.NotFound)

	row.Status, row.Secret, row.Browser, row.Kind, row.Message = signin.Opened, [32]byte{2}, [32]byte{3}, "denied", "it says why"
	wantKind(t, s.MoveSignIn(ctx, other, signin.Begun, row), steward.Conflict)
	wantKind(t, s.MoveSignIn(ctx, ws, signin.Opened, row), steward.Conflict)
	var moved atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := s.MoveSignIn(ctx, ws, signin.Begun, row); err == nil {
				moved.Add(1)
			} else if steward.KindOf(err) != steward.Conflict {
				t.Error(err)
			}
		})
	}
	all.Wait()
	want(t, moved.Load(), nil, 1)
	find(ws, row)

	// What ended long ago goes with the next; what did not, and other workspaces', stays.
	theirs := row
	must(t, s.AddSignIn(ctx, other, theirs))
	theirs.Status, theirs.Kind, theirs.Message = signin.Opened, "", ""
	next := signin.Row{ID: "sgn_2", Member: "mem_b", Connection: "salesforce", Status: signin.Begun, Expires: noon.Add(signin.Remembered)}
	must(t, s.AddSignIn(ctx, ws, next))
	find(ws, row)
	next.ID, next.Expires = "sgn_3", next.Expires.Add(time.Second)
	must(t, s.AddSignIn(ctx, ws, next))
	none(ws, "sgn_1")
	find(other, theirs)
	find(ws, next)
}
