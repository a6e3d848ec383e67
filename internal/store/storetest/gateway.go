package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/credential"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
)

// Gateway holds s, which must be empty, to the contracts of the gateway's stores. The workspaces
// that its rows belong to are added to w.
func Gateway(t *testing.T, s interface {
	credential.ConnectionStore
	credential.Store
	gateway.ProposalStore
	gateway.UsageStore
}, w identity.WorkspaceStore) {
	ctx := context.Background()
	const ws, other steward.WorkspaceID = "ws_1", "ws_2"
	tenants(t, w, ws, other)

	crm := credential.Connection{ID: "salesforce", InstanceURL: "https://acme.example.com", OrgID: "00D1", Created: noon}
	mail := credential.Connection{ID: "mail", InstanceURL: "https://mail.example.com", OrgID: "", Created: noon.Add(time.Minute)}
	theirs := credential.Connection{ID: "salesforce", InstanceURL: "https://other.example.com", OrgID: "00D2", Created: noon}
	t.Run("connections are kept, replaced and found", func(t *testing.T) {
		_, err := s.Connection(ctx, ws, "salesforce")
		wantKind(t, err, steward.NotFound)
		all, err := s.Connections(ctx, ws)
		want(t, len(all), err, 0)
		must(t, s.PutConnection(ctx, ws, crm))
		must(t, s.PutConnection(ctx, ws, mail))
		must(t, s.PutConnection(ctx, other, theirs))
		got, err := s.Connection(ctx, ws, "salesforce")
		want(t, got, err, crm)
		moved := crm
		moved.InstanceURL, moved.OrgID, moved.Created = "https://acme2.example.com", "00D9", noon.Add(time.Hour)
		must(t, s.PutConnection(ctx, ws, moved))
		moved.Created = noon // it has been there since
		all, err = s.Connections(ctx, ws)
		want(t, all, err, []credential.Connection{mail, moved})
		got, err = s.Connection(ctx, other, "salesforce")
		want(t, got, err, theirs)
		_, err = s.Connection(ctx, other, "mail")
		wantKind(t, err, steward.NotFound)
		wantKind(t, s.PutConnection(ctx, "ws_none", crm), steward.NotFound)
	})

	sealed := func(text string) steward.Sealed {
		return steward.Sealed{Scopes: []steward.Scope{"credential/salesforce/mem_a", "workspace"}, Box: []byte(text + "\x00\xff")}
	}
	t.Run("a credential is one member's on one connection", func(t *testing.T) {
		none := func(w steward.WorkspaceID, c steward.ConnectionID, m steward.MemberID) {
			t.Helper()
			_, err := s.Credential(ctx, w, c, m)
			wantKind(t, err, steward.NotFound)
		}
		none(ws, "salesforce", "mem_a")
		add := func(w steward.WorkspaceID, box string, added bool) {
			t.Helper()
			got, err := s.AddCredential(ctx, w, "salesforce", "mem_a", sealed(box))
			want(t, got, err, added)
		}
		add(ws, "one", true)
		add(other, "other", true)
		none(ws, "salesforce", "mem_b")
		none(ws, "mail", "mem_a")
		add(ws, "two", false) // the first stays
		swapped, err := s.SwapCredential(ctx, ws, "salesforce", "mem_a", sealed("one"), sealed("two"))
		want(t, swapped, err, true)
		got, err := s.Credential(ctx, ws, "salesforce", "mem_a")
		want(t, got, err, sealed("two"))
		got, err = s.Credential(ctx, other, "salesforce", "mem_a")
		want(t, got, err, sealed("other"))
		_, err = s.AddCredential(ctx, other, "mail", "mem_a", sealed("three"))
		wantKind(t, err, steward.NotFound)
		none(other, "mail", "mem_a")

		swap := func(w steward.WorkspaceID, m steward.MemberID, was, now string, swapped bool) {
			t.Helper()
			got, err := s.SwapCredential(ctx, w, "salesforce", m, sealed(was), sealed(now))
			want(t, got, err, swapped)
		}
		swap(ws, "mem_a", "one", "three", false) // it isn't that one any more
		swap(other, "mem_a", "two", "three", false)
		swap(ws, "mem_b", "two", "three", false)
		swap(ws, "mem_a", "two", "three", true)
		swap(ws, "mem_a", "two", "four", false)
		got, err = s.Credential(ctx, ws, "salesforce", "mem_a")
		want(t, got, err, sealed("three"))
		must(t, s.DropCredential(ctx, ws, "salesforce", "mem_a"))
		must(t, s.DropCredential(ctx, ws, "salesforce", "mem_a"))
		none(ws, "salesforce", "mem_a")
		swap(ws, "mem_a", "three", "four", false)
		var won atomic.Int64
		add(ws, "first", true)
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				if ok, err := s.SwapCredential(ctx, ws, "salesforce", "mem_a", sealed("first"), sealed(fmt.Sprint("second ", i))); err != nil {
					t.Error(err)
				} else if ok {
					won.Add(1)
				}
			})
		}
		all.Wait()
		want(t, won.Load(), nil, 1)
	})

	proposal := func(id steward.ProposalID, age time.Duration) gateway.ProposalRow {
		return gateway.ProposalRow{
			ID: id, Run: "run_1", Member: "mem_a", Needs: "other", Status: gateway.Waiting, Created: noon.Add(age), Expires: noon.Add(age + 24*time.Hour),
			Sealed: steward.Sealed{Scopes: []steward.Scope{"run/2026-11-23"}, Box: []byte("box of " + id + "\x00")},
		}
	}
	old, young, foreign := proposal("apr_1", 0), proposal("apr_0", time.Minute), proposal("apr_1", 0)
	foreign.Member, foreign.Sealed.Box = "mem_z", []byte("another workspace's")
	waiting := func(t *testing.T, w steward.WorkspaceID, wanted ...gateway.ProposalRow) {
		t.Helper()
		got, err := s.WaitingProposals(ctx, w)
		want(t, got, err, wanted)
	}
	t.Run("proposals come back as they were, the waiting ones oldest first", func(t *testing.T) {
		must(t, s.AddProposal(ctx, ws, young))
		must(t, s.AddProposal(ctx, ws, old))
		must(t, s.AddProposal(ctx, other, foreign))
		got, err := s.Proposal(ctx, ws, "apr_1")
		want(t, got, err, old)
		got, err = s.Proposal(ctx, other, "apr_1")
		want(t, got, err, foreign)
		_, err = s.Proposal(ctx, other, "apr_0")
		wantKind(t, err, steward.NotFound)
		waiting(t, ws, old, young)
		waiting(t, other, foreign)
		again := proposal("apr_1", time.Hour)
		wantKind(t, s.AddProposal(ctx, ws, again), steward.Conflict)
		wantKind(t, s.AddProposal(ctx, "ws_none", again), steward.NotFound)
		waiting(t, ws, old, young)
		waiting(t, "ws_none")
	})
	t.Run("a proposal is settled once", func(t *testing.T) {
		must(t, s.Settle(ctx, ws, "apr_1", gateway.Approved, "mem_b"))
		for _, to := range []gateway.Status{gateway.Approved, gateway.Refused, gateway.Expired} {
			wantKind(t, s.Settle(ctx, ws, "apr_1", to, "mem_c"), steward.Conflict)
		}
		old.Status, old.DecidedBy = gateway.Approved, "mem_b"
		got, err := s.Proposal(ctx, ws, "apr_1")
		want(t, got, err, old)
		waiting(t, ws, young)
		waiting(t, other, foreign)
		wantKind(t, s.Settle(ctx, other, "apr_0", gateway.Approved, "mem_b"), steward.Conflict)
		wantKind(t, s.Settle(ctx, ws, "apr_none", gateway.Approved, "mem_b"), steward.Conflict)
		waiting(t, ws, young)
	})
	t.Run("of many who settle at once, one decides", func(t *testing.T) {
		must(t, s.AddProposal(ctx, ws, proposal("apr_race", time.Hour)))
		by := func(i int) (gateway.Status, steward.MemberID) {
			return []gateway.Status{gateway.Approved, gateway.Refused}[i%2], steward.MemberID(fmt.Sprint("mem_", i))
		}
		winners := make([]bool, 8)
		if n := atOnce(t, steward.Conflict, func(i int) error {
			to, m := by(i)
			err := s.Settle(ctx, ws, "apr_race", to, m)
			winners[i] = err == nil
			return err
		}); n != 1 {
			t.Errorf("%d settled it", n)
		}
		got, err := s.Proposal(ctx, ws, "apr_race")
		for i, won := range winners {
			if to, m := by(i); won && (err != nil || got.Status != to || got.DecidedBy != m) {
				t.Errorf("%d won, and it says %+v, %v", i, got, err)
			}
		}
	})
	t.Run("the approval of a call is spent once", func(t *testing.T) {
		must(t, s.Take(ctx, ws, "apr_1", 0))
		wantKind(t, s.Take(ctx, ws, "apr_1", 0), steward.Conflict)
		must(t, s.Take(ctx, ws, "apr_1", 1))
		must(t, s.Take(ctx, ws, "apr_0", 0))
		must(t, s.Take(ctx, other, "apr_1", 0))
		if n := atOnce(t, steward.Conflict, func(int) error { return s.Take(ctx, ws, "apr_1", 2) }); n != 1 {
			t.Errorf("spent %d times", n)
		}
	})

	const day, next = "2026-11-23", "2026-11-24"
	used := func(t *testing.T, w steward.WorkspaceID, run steward.RunID, m steward.MemberID, day string, wanted gateway.Usage) {
		t.Helper()
		got, err := s.Usage(ctx, w, run, m, day)
		want(t, got, err, wanted)
	}
	add := func(t *testing.T, w steward.WorkspaceID, run steward.RunID, m steward.MemberID, day string, u gateway.Usage) {
		t.Helper()
		must(t, s.AddUsage(ctx, w, run, m, day, u))
	}
	t.Run("use adds up over the run and over the member's day", func(t *testing.T) {
		used(t, ws, "run_1", "mem_a", day, gateway.Usage{})
		add(t, ws, "run_1", "mem_a", day, gateway.Usage{Records: 2, Amount: 100.5, Calls: 1})
		add(t, ws, "run_1", "mem_a", day, gateway.Usage{Records: 3, Amount: 0.25, Calls: 2, Untrusted: true})
		add(t, ws, "run_1", "mem_a", day, gateway.Usage{Calls: 1})
		used(t, ws, "run_1", "mem_a", day, gateway.Usage{Records: 5, Amount: 100.75, Untrusted: true, RecordsToday: 5, CallsToday: 4})
		// Another run of the day: the day's sums are the larger ones, and trust is the run's own.
		add(t, ws, "run_2", "mem_a", day, gateway.Usage{Records: 1, Amount: 1, Calls: 1})
		used(t, ws, "run_2", "mem_a", day, gateway.Usage{Records: 6, Amount: 101.75, RecordsToday: 6, CallsToday: 5})
		// The run goes on past midnight: now its own sums are the larger ones.
		add(t, ws, "run_1", "mem_a", next, gateway.Usage{Records: 1, Amount: 1, Calls: 1})
		used(t, ws, "run_1", "mem_a", next, gateway.Usage{Records: 6, Amount: 101.75, Untrusted: true, RecordsToday: 1, CallsToday: 1})
	})
	t.Run("use of other members, runs, days and workspaces doesn't count", func(t *testing.T) {
		used(t, ws, "run_9", "mem_b", day, gateway.Usage{})
		used(t, ws, "run_9", "mem_a", "2026-11-22", gateway.Usage{})
		used(t, other, "run_1", "mem_a", day, gateway.Usage{})
		add(t, other, "run_1", "mem_a", day, gateway.Usage{Records: 1, Amount: 7, Calls: 1})
		used(t, other, "run_1", "mem_a", day, gateway.Usage{Records: 1, Amount: 7, RecordsToday: 1, CallsToday: 1})
		used(t, ws, "run_2", "mem_a", day, gateway.Usage{Records: 6, Amount: 101.75, RecordsToday: 6, CallsToday: 5})
	})
	t.Run("nothing added at once is lost", func(t *testing.T) {
		if n := atOnce(t, steward.Internal, func(i int) error {
			return s.AddUsage(ctx, ws, "run_race", "mem_race", day, gateway.Usage{Records: 1, Amount: 0.5, Calls: 2, Untrusted: i == 3})
		}); n != 8 {
			t.Errorf("%d of 8 were added", n)
		}
		used(t, ws, "run_race", "mem_race", day, gateway.Usage{Records: 8, Amount: 4, Untrusted: true, RecordsToday: 8, CallsToday: 16})
	})
}
