package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/retention"
)

// Retention holds stores, which must be empty, to the contracts of retention's interfaces. The workspaces that
// their rows belong to are added to w.
func Retention(t *testing.T, s retention.Requests, duties retention.Duties, certificates retention.Certificates, w identity.WorkspaceStore) {
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
	waiting, err := s.Waiting(ctx, ws)
	want(t, waiting, err, []retention.Asked{elsewhere, {ID: "era_4", By: "mem_b", About: mine.About, At: noon}})

	first := retention.Duty{
		ID: "era_1", State: retention.Deferred, Requester: "mem_a", Approver: "mem_b", Asked: noon, Due: noon.Add(time.Hour), Overdue: true,
		Deferral: retention.Deferral{Hold: "hold_1", Ground: "case-1", Since: noon}, Unreadable: noon, Tried: 3,
		About: mine.About, Sealed: steward.Sealed{Scopes: []steward.Scope{"duty/era_1"}, Box: []byte("sealed\x00")},
	}
	same, later := first, first
	same.ID = "era_2"
	later.ID, later.About, later.Asked = "era_3", []byte("else"), noon.Add(time.Second)
	for _, d := range []retention.Duty{later, first} {
		kept, err := duties.Ask(ctx, ws, d)
		want(t, kept, err, d)
	}
	kept, err := duties.Ask(ctx, ws, same) // the first stays
	want(t, kept, err, first)
	elsewhereToo, err := duties.Ask(ctx, other, same)
	want(t, elsewhereToo, err, same)
	for _, d := range []*retention.Duty{&first, &later} {
		d.State, d.About, d.Sealed, d.Certificate = retention.Complete, nil, steward.Sealed{}, "crt_1"
		must(t, duties.Save(ctx, ws, *d))
	}
	all, err := duties.Duties(ctx, ws)
	want(t, all, err, []retention.Duty{first, later})
	kept, err = duties.Ask(ctx, ws, same) // what is complete is nobody's any more
	want(t, kept, err, same)
	if err := duties.Save(ctx, ws, retention.Duty{ID: "era_9"}); err == nil {
		t.Error("saved a duty that there isn't")
	}

	one := retention.Signed{Certificate: retention.Certificate{ID: "crt_1", Workspace: ws, Of: "era_1", Issued: noon, Scopes: []steward.Scope{"person/1"}}, Note: "text\n", Key: "key"}
	two, again := one, one
	two.Certificate.ID, two.Certificate.Of, two.Certificate.Issued = "crt_2", "era_3", noon.Add(time.Second)
	again.Certificate.ID, again.Note = "crt_3", "another\n"
	for _, c := range []struct{ keep, kept retention.Signed }{{two, two}, {one, one}, {again, one}} {
		kept, err := certificates.Keep(ctx, ws, c.keep)
		want(t, kept, err, c.kept)
	}
	issued, err := certificates.Certificates(ctx, ws)
	want(t, issued, err, []retention.Signed{one, two})
	issued, err = certificates.Certificates(ctx, other)
	want(t, issued, err, nil)
}
