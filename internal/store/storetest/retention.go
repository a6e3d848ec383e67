package storetest

import (
	"context"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/retention"
)

// Retention holds s, which must be empty, to the contract of retention.Store. The workspaces that its
// rows belong to are added to w.
func Retention(t *testing.T, s retention.Store, w identity.WorkspaceStore) {
	ctx := context.Background()
	const ws, other steward.WorkspaceID = "ws_1", "ws_2"
	tenants(t, w, ws, other)
	mine := retention.Asked{ID: "era_1", By: "mem_a", About: []byte("about\x00x"), At: noon}
	theirs := retention.Asked{ID: "era_2", By: "mem_b", About: mine.About, At: noon}

	got, err := s.Ask(ctx, ws, mine)
	want(t, got, err, mine)
	got, err = s.Ask(ctx, ws, theirs) // the first stays
	want(t, got, err, mine)
	got, err = s.Ask(ctx, other, theirs) // another workspace knows nothing of it
	want(t, got, err, theirs)
	elsewhere := retention.Asked{ID: "era_3", By: "mem_b", About: []byte("else"), At: noon}
	got, err = s.Ask(ctx, ws, elsewhere)
	want(t, got, err, elsewhere)

	must(t, s.Settle(ctx, ws, theirs.ID)) // not theirs to settle here
	got, err = s.Ask(ctx, ws, theirs)
	want(t, got, err, mine)
	must(t, s.Settle(ctx, ws, mine.ID))
	must(t, s.Settle(ctx, ws, mine.ID))
	got, err = s.Ask(ctx, ws, retention.Asked{ID: "era_4", By: "mem_b", About: mine.About, At: noon})
	want(t, got, err, retention.Asked{ID: "era_4", By: "mem_b", About: mine.About, At: noon})
}
