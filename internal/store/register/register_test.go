package register_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/llm/anthropic"
	"github.com/stewardhq/steward/internal/llm/register"
	"github.com/stewardhq/steward/internal/store"
	rows "github.com/stewardhq/steward/internal/store/register"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

const ws, other steward.WorkspaceID = "ws_1", "ws_2"

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func claude() llm.Provider {
	return llm.Provider{
		Name: "anthropic", Kind: "anthropic", Models: []string{anthropic.DefaultModel}, Endpoint: "https://api.anthropic.com", Regions: []string{"us", "eu"},
		Arrangement: &llm.Arrangement{ID: "ZDR-2026-17", Scope: "zero retention of the Messages API", From: noon.AddDate(0, -1, 0), To: noon.AddDate(1, 0, 0), EvidenceSHA256: strings.Repeat("0a", 32), Regions: []string{"eu"}, Covers: []string{"images", "beta:one-2026-01-01"}},
	}
}

// onBoth runs a test with a book on SQLite, and with one on Postgres. admins is how many administrators there are.
func onBoth(t *testing.T, test func(t *testing.T, b *register.Book, admins *int)) {
	ctx := context.Background()
	for name, open := range map[string]func(t *testing.T) (*store.DB, error){
		"sqlite": func(t *testing.T) (*store.DB, error) { return store.OpenData(ctx, t.TempDir()) },
		"postgres": func(t *testing.T) (*store.DB, error) {
			return store.Postgres{URL: postgres.Start(t).Database(t)}.OpenData(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			db, err := open(t)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			for _, id := range []steward.WorkspaceID{ws, other} {
				if err := (store.Identity{DB: db}).AddWorkspace(ctx, identity.Workspace{ID: id, Name: string(id), Created: noon}); err != nil {
					t.Fatal(err)
				}
			}
			admins := 2
			test(t, &register.Book{
				Store: rows.Rows{DB: db.Rows()}, Now: func() time.Time { return noon },
				Check:  func(_, model string) error { return anthropic.CheckModel(model) },
				Admins: func(context.Context, steward.WorkspaceID) (int, error) { return admins, nil },
			}, &admins)
		})
	}
}

func TestTwoAgree(t *testing.T) {
	ctx := context.Background()
	onBoth(t, func(t *testing.T, b *register.Book, admins *int) {
		allowed := func(in steward.WorkspaceID, region string) error {
			t.Helper()
			r, err := b.Allowed(ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			return r.Allow("anthropic", anthropic.DefaultModel, region, noon)
		}
		is := func(err error, kind steward.Kind) {
			t.Helper()
			if err == nil || steward.KindOf(err) != kind {
				t.Fatalf("got %v, want kind %s", err, kind)
			}
		}
		fine := func(e register.Entry, err error) register.Entry {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		is(allowed(ws, "eu"), steward.Denied)
		first := fine(b.Register(ctx, ws, "mem_a", claude()))
		is(allowed(ws, "eu"), steward.Denied)
		_, err := b.Approve(ctx, ws, "mem_a", "anthropic", 1)
		is(err, steward.Denied)
		_, err = b.Approve(ctx, other, "mem_b", "anthropic", 1)
		is(err, steward.NotFound)
		_, err = b.Approve(ctx, ws, "mem_b", "anthropic", 2)
		is(err, steward.NotFound)
		if e := fine(b.Approve(ctx, ws, "mem_b", "anthropic", 1)); e.Alone || e.By != "mem_a" || e.ApprovedBy != "mem_b" || first.Version != 1 {
			t.Errorf("approved: %+v", e)
		}
		if err := allowed(ws, "eu"); err != nil {
			t.Error(err)
		}
		is(allowed(ws, "us"), steward.Denied) // which the arrangement doesn't cover
		is(allowed(other, "eu"), steward.Denied)
		_, err = b.Approve(ctx, ws, "mem_b", "anthropic", 1)
		is(err, steward.Conflict)

		// The next version takes the first one's place once it is approved, and not before.
		renewed := claude()
		renewed.Arrangement.Regions = []string{"us"}
		fine(b.Register(ctx, ws, "mem_b", renewed))
		if err := allowed(ws, "eu"); err != nil {
			t.Error(err)
		}
		*admins = 1
		if e := fine(b.Approve(ctx, ws, "mem_b", "anthropic", 2)); !e.Alone {
			t.Errorf("the only administrator's approval doesn't say so: %+v", e)
		}
		is(allowed(ws, "eu"), steward.Denied)
		if err := allowed(ws, "us"); err != nil {
			t.Error(err)
		}
		_, err = b.Retire(ctx, ws, "anthropic", 1)
		is(err, steward.Conflict)
		fine(b.Retire(ctx, ws, "anthropic", 2))
		is(allowed(ws, "us"), steward.Denied)
		all, err := b.Store.Entries(ctx, ws)
		if err != nil || len(all) != 2 || all[0].Status != register.Retired || all[1].Status != register.Retired || !all[1].Alone || all[0].Registered != noon {
			t.Errorf("kept: %+v, %v", all, err)
		}
		is(b.Store.Add(ctx, ws, all[1]), steward.Conflict)
		is(b.Store.Add(ctx, "ws_none", all[1]), steward.NotFound)
		is(b.Store.Put(ctx, ws, register.Approved, all[1], ""), steward.Conflict)
	})
}

func TestValidate(t *testing.T) {
	b := register.Book{Check: func(_, model string) error { return anthropic.CheckModel(model) }}
	if err := b.Validate(claude()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(p *llm.Provider, a *llm.Arrangement){
		"no name":            func(p *llm.Provider, _ *llm.Arrangement) { p.Name = "" },
		"a sentence as name": func(p *llm.Provider, _ *llm.Arrangement) { p.Name = "Dana Miller" },
		"the built-in one":   func(p *llm.Provider, _ *llm.Arrangement) { p.Name = llm.RulesProvider },
		"local":              func(p *llm.Provider, _ *llm.Arrangement) { p.Local = true },
		"no endpoint":        func(p *llm.Provider, _ *llm.Arrangement) { p.Endpoint = "" },
		"a file":             func(p *llm.Provider, _ *llm.Arrangement) { p.Endpoint = "file:///etc/passwd" },
		"a password":         func(p *llm.Provider, _ *llm.Arrangement) { p.Endpoint = "https://a:b@api.anthropic.com" },
		"no model":           func(p *llm.Provider, _ *llm.Arrangement) { p.Models = nil },
		"an alias": func(p *llm.Provider, _ *llm.Arrangement) {
			p.Models = []string{anthropic.DefaultModel, "claude-haiku-4-5"}
		},
		"the latest":            func(p *llm.Provider, _ *llm.Arrangement) { p.Models = []string{"claude-3-5-sonnet-latest"} },
		"no arrangement":        func(p *llm.Provider, _ *llm.Arrangement) { p.Arrangement = nil },
		"no number":             func(_ *llm.Provider, a *llm.Arrangement) { a.ID = "" },
		"no scope":              func(_ *llm.Provider, a *llm.Arrangement) { a.Scope = "" },
		"no evidence":           func(_ *llm.Provider, a *llm.Arrangement) { a.EvidenceSHA256 = "trust me" },
		"no end":                func(_ *llm.Provider, a *llm.Arrangement) { a.To = time.Time{} },
		"ends before it begins": func(_ *llm.Provider, a *llm.Arrangement) { a.To = a.From },
		"no region":             func(p *llm.Provider, _ *llm.Arrangement) { p.Regions = nil },
		"covers no region":      func(_ *llm.Provider, a *llm.Arrangement) { a.Regions = []string{} },
		"covers anything":       func(_ *llm.Provider, a *llm.Arrangement) { a.Covers = []string{"images", "everything"} },
		"covers a beta of none": func(_ *llm.Provider, a *llm.Arrangement) { a.Covers = []string{"beta:"} },
		"an empty region":       func(_ *llm.Provider, a *llm.Arrangement) { a.Regions = []string{"eu", ""} },
	} {
		p := claude()
		change(&p, p.Arrangement)
		if err := b.Validate(p); steward.KindOf(err) != steward.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type connection struct{ register.Connection }

func TestShelf(t *testing.T) {
	ctx := context.Background()
	onBoth(t, func(t *testing.T, b *register.Book, _ *int) {
		opened := 0
		s := &register.Shelf{Book: b, Built: llm.Shelf{llm.RulesProvider: connection{}}, Region: "eu", Open: func(in steward.WorkspaceID, p llm.Provider) (register.Connection, error) {
			opened++
			if in != ws || p.Endpoint != "https://api.anthropic.com" {
				t.Errorf("opened for %s: %+v", in, p)
			}
			return &connection{}, nil
		}}
		ask := func(in steward.WorkspaceID, provider, model string, kind steward.Kind) {
			t.Helper()
			m, terms, err := s.Model(ctx, in, provider, model)
			if err == nil && (m == nil || kind != 0) || err != nil && steward.KindOf(err) != kind {
				t.Errorf("%s of %s in %s: %v, %v", model, provider, in, m, err)
			}
			var want llm.Terms
			if err == nil && provider == "anthropic" {
				want = llm.Terms{Endpoint: "https://api.anthropic.com", Region: "eu", Arrangement: "ZDR-2026-17"}
			}
			if err == nil && terms != want {
				t.Errorf("%s of %s is asked under %+v", model, provider, terms)
			}
		}
		ask(ws, llm.RulesProvider, llm.RulesModel, 0)
		ask(ws, "anthropic", anthropic.DefaultModel, steward.Denied)
		if _, err := b.Register(ctx, ws, "mem_a", claude()); err != nil {
			t.Fatal(err)
		}
		ask(ws, "anthropic", anthropic.DefaultModel, steward.Denied)
		if _, err := b.Approve(ctx, ws, "mem_b", "anthropic", 1); err != nil {
			t.Fatal(err)
		}
		ask(ws, "anthropic", anthropic.DefaultModel, 0)
		ask(ws, "anthropic", anthropic.DefaultModel, 0)
		ask(ws, "anthropic", "claude-opus-5-5", steward.Denied)
		ask(other, "anthropic", anthropic.DefaultModel, steward.Denied)
		if _, _, err := s.Relay(ctx, ws, llm.RulesProvider, llm.RulesModel); steward.KindOf(err) != steward.Denied {
			t.Errorf("the rules relay: %v", err)
		}
		if opened != 1 {
			t.Errorf("opened %d times", opened)
		}
		b.Now = func() time.Time { return noon.AddDate(1, 0, 0) }
		ask(ws, "anthropic", anthropic.DefaultModel, steward.Denied)
		b.Now = func() time.Time { return noon }
		if _, err := b.Retire(ctx, ws, "anthropic", 1); err != nil {
			t.Fatal(err)
		}
		ask(ws, "anthropic", anthropic.DefaultModel, steward.Denied)
	})
}
