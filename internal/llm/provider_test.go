package llm_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/llm"
)

var (
	start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	end   = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	mid   = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
)

func arranged(change func(*llm.Provider)) llm.Register {
	p := llm.Provider{
		Name: "remote", Kind: "anthropic", Models: []string{"big-4-20260101", "odd-latest"},
		Endpoint: "https://models.example", Regions: []string{"eu", "us"},
		Arrangement: &llm.Arrangement{
			ID: "C-17", Scope: "zero retention", From: start, To: end,
			EvidenceSHA256: strings.Repeat("0a", 32), Regions: []string{"eu"},
		},
	}
	change(&p)
	return llm.Register{Providers: append(llm.Local().Providers, p)}
}

func TestAllow(t *testing.T) {
	same := func(*llm.Provider) {}
	for _, c := range []struct {
		name, provider, model, region string
		change                        func(*llm.Provider)
		at                            time.Time
		refusal                       string // part of the message; "" for allowed
	}{
		{"local needs nothing", "rules", "rules-1", "", same, mid, ""},
		{"local has exact models too", "rules", "rules-2", "", same, mid, "rules-1"},
		{"local has no alias", "rules", "rules-latest", "", same, mid, "alias"},
		{"arranged", "remote", "big-4-20260101", "eu", same, mid, ""},
		{"first moment", "remote", "big-4-20260101", "eu", same, start, ""},
		{"before", "remote", "big-4-20260101", "eu", same, start.Add(-1), "begins on 2026-01-01"},
		{"end is outside", "remote", "big-4-20260101", "eu", same, end, "renewal"},
		{"no end is no validity", "remote", "big-4-20260101", "eu", func(p *llm.Provider) { p.Arrangement.To = time.Time{} }, mid, "renewal"},
		{"alias, though listed", "remote", "odd-latest", "eu", same, mid, "alias"},
		{"unknown model", "remote", "big-5", "eu", same, mid, "no registered model"},
		{"model of nobody", "remote", "", "eu", same, mid, "no registered model"},
		{"unknown provider", "elsewhere", "big-4-20260101", "eu", same, mid, "no model provider"},
		{"region not arranged", "remote", "big-4-20260101", "us", same, mid, "doesn't cover region"},
		{"region not offered", "remote", "big-4-20260101", "moon", same, mid, "doesn't process in"},
		{"no region", "remote", "big-4-20260101", "", same, mid, "doesn't process in"},
		{"no arrangement", "remote", "big-4-20260101", "eu", func(p *llm.Provider) { p.Arrangement = nil }, mid, "without an arrangement"},
		{"no evidence", "remote", "big-4-20260101", "eu", func(p *llm.Provider) { p.Arrangement.EvidenceSHA256 = "yes" }, mid, "incomplete"},
		{"no number", "remote", "big-4-20260101", "eu", func(p *llm.Provider) { p.Arrangement.ID = "" }, mid, "incomplete"},
		{"no scope", "remote", "big-4-20260101", "eu", func(p *llm.Provider) { p.Arrangement.Scope = "" }, mid, "incomplete"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := arranged(c.change).Allow(c.provider, c.model, c.region, c.at)
			if c.refusal == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			if steward.KindOf(err) != steward.Denied || !strings.Contains(steward.Message(err), c.refusal) {
				t.Fatalf("got %v, want a denial with %q", err, c.refusal)
			}
		})
	}
}

func TestZeroRegisterAllowsNothing(t *testing.T) {
	if err := (llm.Register{}).Allow("rules", "rules-1", "", mid); steward.KindOf(err) != steward.Denied {
		t.Fatalf("got %v, want a denial", err)
	}
	if err := llm.Local().Allow("anthropic", "big-4-20260101", "eu", mid); steward.KindOf(err) != steward.Denied {
		t.Fatalf("the local register allows a remote provider: %v", err)
	}
}
