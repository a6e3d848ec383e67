package llm_test

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/stewardhq/steward/internal/llm"
)

func TestCost(t *testing.T) {
	p := llm.Price{Input: 3_000_000, Output: 15_000_000}
	for u, want := range map[llm.Usage]int64{
		{}:                                       0,
		{InputTokens: 1_000_000}:                 3_000_000,
		{InputTokens: 1000, OutputTokens: 200}:   6000,
		{OutputTokens: 3_000_001}:                45_000_015,
		{InputTokens: -1_000_000}:                0,
		{InputTokens: -5000, OutputTokens: 1000}: 15_000,
	} {
		if got := p.Cost(u); got != want {
			t.Errorf("%+v costs %d, want %d", u, got, want)
		}
	}
	if got := (llm.Price{Input: 1}).Cost(llm.Usage{InputTokens: 1}); got != 1 {
		t.Errorf("less than a millionth is rounded to %d", got)
	}
}

// TestCostIsExact holds it against numbers without bound.
func TestCostIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := llm.Price{Input: rapid.Int64Range(0, 1e9).Draw(t, "input"), Output: rapid.Int64Range(0, 1e9).Draw(t, "output")}
		u := llm.Usage{InputTokens: rapid.IntRange(0, 4e9).Draw(t, "in"), OutputTokens: rapid.IntRange(0, 4e9).Draw(t, "out")}
		sum := new(big.Int).Mul(big.NewInt(p.Input), big.NewInt(int64(u.InputTokens)))
		sum.Add(sum, new(big.Int).Mul(big.NewInt(p.Output), big.NewInt(int64(u.OutputTokens))))
		sum.Add(sum, big.NewInt(999_999)).Div(sum, big.NewInt(1_000_000))
		if got := p.Cost(u); got != sum.Int64() {
			t.Fatalf("%+v at %+v costs %d, want %s", u, p, got, sum)
		}
	})
}
