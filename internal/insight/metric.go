package insight

import (
	"cmp"
	"slices"
	"time"
)

// Where the formulas are from.
const (
	winRateSource  = "https://orm-tech.com/glossary/win-rate-formula/"
	pipelineSource = "https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_opportunity.htm (Amount, IsClosed, ExpectedRevenue)"
	stalledSource  = "https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_opportunity.htm (LastActivityDate, LastActivityInDays)"
)

// WinRate is the share of decided deals that were won, of those whose close date lies in the period. Open
// deals are left out.
//
// Variant "count_by_close_date" (ByCount): won / (won + lost), each deal counting once.
// Variant "amount_by_close_date" (ByAmount): won$ / (won$ + lost$); deals without an amount can't be
// weighed, so they are only counted, in the input "without_amount".
//
// Formula: https://orm-tech.com/glossary/win-rate-formula/ ("count-based" and "value-based"). The unit is a
// ratio from 0 to 1. Inputs: won, lost (deals); by amount also won_amount, lost_amount (money) and
// without_amount (deals). Not defined where nothing was decided, or where the amounts are credits, so that
// a share of them means nothing.
func WinRate(deals []Deal, p Period, w Weight, d Dimension) Result {
	decided := keep(deals, func(deal Deal) bool { return deal.Closed && p.Contains(deal.Close) })
	return byGroup(decided, d, func(deals []Deal) Figure {
		var won, lost, wonAmount, lostAmount, without float64
		for _, deal := range deals {
			count, amount := &lost, &lostAmount
			if deal.Won {
				count, amount = &won, &wonAmount
			}
			*count++
			if deal.HasAmount {
				*amount += deal.Amount
			} else {
				without++
			}
		}
		if w == ByAmount {
			f := Figure{
				Metric: "win_rate", Variant: "amount_by_close_date", Source: winRateSource, Unit: Ratio,
				Formula: "won amount / (won amount + lost amount) of deals with a close date in the period; open deals and deals without an amount are left out",
				Inputs: map[string]float64{
					"won": won, "lost": lost, "won_amount": wonAmount, "lost_amount": lostAmount, "without_amount": without,
				},
			}
			return f.share(wonAmount, lostAmount)
		}
		f := Figure{
			Metric: "win_rate", Variant: "count_by_close_date", Source: winRateSource, Unit: Ratio,
			Formula: "won / (won + lost), counting deals with a close date in the period; open deals are left out",
			Inputs:  map[string]float64{"won": won, "lost": lost},
		}
		return f.share(won, lost)
	})
}

// share sets the value to part / (part + rest), where that is a share of something.
func (f Figure) share(part, rest float64) Figure {
	if part >= 0 && rest >= 0 && part+rest > 0 {
		f.Value, f.Defined = part/(part+rest), true
	}
	return f
}

// Pipeline is the money in open deals whose close date lies in the period.
//
// Variant "open_amount": Σ Amount of open deals. The weighted pipeline stands in the inputs.
//
// Formula: Salesforce's object reference, Opportunity. The unit is money. Inputs: deals (how many, with or
// without an amount), weighted_amount (money), without_amount (how many deals add nothing for want of one).
// An empty pipeline is 0 and defined.
func Pipeline(deals []Deal, p Period, d Dimension) Result {
	return pipeline(deals, p, d, func(amount, weighted float64, inputs map[string]float64) Figure {
		inputs["weighted_amount"] = weighted
		return Figure{
			Variant: "open_amount", Value: amount, Inputs: inputs,
			Formula: "sum of the amounts of open deals with a close date in the period; weighted: each amount times its probability",
		}
	})
}

// WeightedPipeline is Pipeline with every amount weighed by how probable its deal is.
//
// Variant "weighted_amount": Σ Amount × Probability / 100, which is Salesforce's ExpectedRevenue summed. Inputs:
// as of Pipeline, but with amount (money, not weighed) for weighted_amount.
func WeightedPipeline(deals []Deal, p Period, d Dimension) Result {
	return pipeline(deals, p, d, func(amount, weighted float64, inputs map[string]float64) Figure {
		inputs["amount"] = amount
		return Figure{
			Variant: "weighted_amount", Value: weighted, Inputs: inputs,
			Formula: "sum of amount × probability of open deals with a close date in the period",
		}
	})
}

func pipeline(deals []Deal, p Period, d Dimension, variant func(amount, weighted float64, inputs map[string]float64) Figure) Result {
	open := keep(deals, func(deal Deal) bool { return !deal.Closed && p.Contains(deal.Close) })
	return byGroup(open, d, func(deals []Deal) Figure {
		var amount, weighted, without float64
		for _, deal := range deals {
			if !deal.HasAmount {
				without++
				continue
			}
			amount += deal.Amount
			weighted += deal.Amount * deal.Probability / 100
		}
		f := variant(amount, weighted, map[string]float64{"deals": float64(len(deals)), "without_amount": without})
		f.Metric, f.Source, f.Unit, f.Defined = "pipeline", pipelineSource, USD, true
		return f
	})
}

// StalledDeal is an open deal that nobody has worked on for a while.
type StalledDeal struct {
	Deal
	DaysWithoutActivity int
}

// StalledDeals are the deals, longest without activity first, then largest, then by id, and how many.
type StalledDeals struct {
	Deals []StalledDeal
	Total Figure
}

// Stalled finds open deals without activity for at least so many days before today, with an amount strictly
// over minAmount. A minAmount of 0 or less asks for no amount, and deals without one are then included. A
// deal without any activity counts from its creation; one whose creation isn't known either is left out and
// said in the input "without_dates". Activity planned for later is activity.
//
// Variant "no_activity_days": today − last activity ≥ days, in calendar days.
//
// Formula: Salesforce's LastActivityInDays (object reference, Opportunity), which is the current date minus
// LastActivityDate; it is null without any activity, where this counts from creation. The total's unit is a count of deals. Inputs:
// days, min_amount, open (open deals looked at, whatever their amount), amount (money in the stalled deals),
// without_amount (stalled deals that have none), without_dates.
func Stalled(deals []Deal, today time.Time, days int, minAmount float64) StalledDeals {
	day := midnight(today)
	open := keep(deals, func(deal Deal) bool { return !deal.Closed })
	var stalled []StalledDeal
	var unknown float64
	for _, deal := range open {
		if minAmount > 0 && (!deal.HasAmount || deal.Amount <= minAmount) {
			continue
		}
		since := deal.LastActivity
		if since.IsZero() {
			since = deal.Created
		}
		if since.IsZero() {
			unknown++
			continue
		}
		idle := int(day.Sub(midnight(since)) / (24 * time.Hour))
		if idle >= days {
			stalled = append(stalled, StalledDeal{deal, idle})
		}
	}
	slices.SortFunc(stalled, func(a, b StalledDeal) int {
		return cmp.Or(
			cmp.Compare(b.DaysWithoutActivity, a.DaysWithoutActivity),
			cmp.Compare(b.Amount, a.Amount),
			cmp.Compare(a.ID, b.ID),
		)
	})
	var amount, without float64
	for _, deal := range stalled {
		if deal.HasAmount {
			amount += deal.Amount
		} else {
			without++
		}
	}
	return StalledDeals{
		Deals: stalled,
		Total: Figure{
			Metric: "stalled_deals", Variant: "no_activity_days", Source: stalledSource, Unit: Count,
			Formula: "open deals whose last activity, or creation when there was none, is at least the given number of days before today",
			Value:   float64(len(stalled)), Defined: true,
			Inputs: map[string]float64{
				"days": float64(days), "min_amount": max(minAmount, 0), "open": float64(len(open)), "amount": amount,
				"without_amount": without, "without_dates": unknown,
			},
		},
	}
}

// midnight is the date of a time in its own zone, as a UTC midnight.
func midnight(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}
