package llm

import "time"

// Price is what a provider asks for tokens of one exact model, in millionths of a currency's unit for a million tokens:
// 3 USD for a million is 3,000,000.
type Price struct {
	Model    string    `json:"model"` // the exact id
	Input    int64     `json:"input"`
	Output   int64     `json:"output"`
	Currency string    `json:"currency"` // "USD"
	Source   string    `json:"source"`   // where it stands: a contract's number, an address
	On       time.Time `json:"on"`       // the day on which it stood there
}

// Cost is what a usage costs, in millionths of the price's currency, rounded up. Counts below zero cost nothing, so that no
// answer of a provider can give anything back to a budget.
func (p Price) Cost(u Usage) int64 {
	const million = 1_000_000
	in, out := int64(max(0, u.InputTokens)), int64(max(0, u.OutputTokens))
	cost := in/million*p.Input + out/million*p.Output
	return cost + (in%million*p.Input+out%million*p.Output+million-1)/million
}
