package insight_test

import (
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/insight"
)

func date(t testing.TB, s string) time.Time {
	t.Helper()
	if s == "" {
		return time.Time{}
	}
	d, err := time.Parse(time.DateOnly, s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// deal is "id owner region stage amount|- close created|- activity|- open|won|lost probability".
func deal(t testing.TB, line string) insight.Deal {
	t.Helper()
	w := strings.Fields(line)
	if len(w) != 10 {
		t.Fatalf("%q has %d words, want 10", line, len(w))
	}
	dash := func(s string) string { return strings.TrimPrefix(s, "-") }
	number := func(s string) float64 {
		var f float64
		for _, r := range s {
			if r < '0' || r > '9' {
				t.Fatalf("%q is no number", s)
			}
			f = f*10 + float64(r-'0')
		}
		return f
	}
	d := insight.Deal{
		ID: w[0], Name: "Deal " + w[0], Owner: w[1], Region: w[2], Stage: w[3],
		Close: date(t, w[5]), Created: date(t, dash(w[6])), LastActivity: date(t, dash(w[7])),
		Closed: w[8] != "open", Won: w[8] == "won", Probability: number(w[9]),
	}
	if w[4] != "-" {
		d.Amount, d.HasAmount = number(w[4]), true
	}
	return d
}

// company is small enough to be reckoned by hand. Today is 2026-11-23, in the fourth quarter.
func company(t testing.TB) []insight.Deal {
	t.Helper()
	var deals []insight.Deal
	for _, line := range []string{
		// id owner region stage amount close created activity outcome probability
		"d01 ann EMEA Won      60000 2026-10-01 2026-01-05 2026-10-01 won  100",
		"d02 ann EMEA Won      20000 2026-12-31 2026-01-05 2026-10-02 won  100",
		"d03 ann EMEA Lost     20000 2026-11-02 2026-01-05 2026-10-03 lost 0",
		"d04 bob APAC Won      90000 2026-11-03 2026-01-05 2026-10-04 won  100",
		"d05 bob APAC Lost     10000 2026-11-04 2026-01-05 -          lost 0",
		"d06 bob APAC Lost     -     2026-11-05 2026-01-05 -          lost 0",
		"d07 bob APAC Lost     30000 2026-11-06 2026-01-05 -          lost 0",
		"d08 ann EMEA Won      70000 2026-09-30 2026-01-05 2026-09-30 won  100", // the quarter before
		"d09 ann EMEA Lost     70000 2027-01-01 2026-01-05 2026-09-30 lost 0",   // the quarter after
		"d10 ann EMEA Proposal 50000 2026-12-15 2026-01-05 2026-10-24 open 40",  // idle 30 days, not over 50,000
		"d11 ann EMEA Proposal 50001 2026-12-15 2026-01-05 2026-10-24 open 40",  // idle 30 days
		"d12 bob APAC Proposal 80000 2026-12-15 2026-01-05 2026-10-25 open 40",  // idle 29 days
		"d13 bob APAC Quoting  60000 2027-02-01 2026-10-01 -          open 10",  // no activity, created 53 days ago
		"d14 cyd AMER Quoting  60000 2027-02-01 2026-11-20 -          open 10",  // no activity, created 3 days ago
		"d15 cyd AMER Quoting  -     2026-11-30 2026-06-01 2026-06-01 open 10",  // idle 175 days, no amount
		"d16 cyd AMER Quoting  90000 2026-11-30 2026-06-01 2026-12-24 open 50",  // something is planned
		"d17 cyd AMER Quoting  90000 2026-10-01 -          -          open 50",  // nothing known
	} {
		deals = append(deals, deal(t, line))
	}
	return deals
}

func thisQuarter(t testing.TB) insight.Period {
	t.Helper()
	p, err := insight.ParsePeriod("this_quarter", date(t, "2026-11-23"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// line is what a table test checks of a figure.
type line struct {
	group   string
	value   float64
	defined bool
	inputs  map[string]float64
}

func checkFigure(t *testing.T, f insight.Figure, metric, variant, unit string, want line) {
	t.Helper()
	if f.Metric != metric || f.Variant != variant || f.Unit != unit || f.Formula == "" || !strings.HasPrefix(f.Source, "https://") {
		t.Errorf("%s is labelled %q %q %q, formula %q, source %q", want.group, f.Metric, f.Variant, f.Unit, f.Formula, f.Source)
	}
	if math.Abs(f.Value-want.value) > 1e-9 || f.Defined != want.defined || !maps.Equal(f.Inputs, want.inputs) {
		t.Errorf("%q: got %v (defined %v) from %v, want %v (defined %v) from %v",
			want.group, f.Value, f.Defined, f.Inputs, want.value, want.defined, want.inputs)
	}
}

func checkResult(t *testing.T, r insight.Result, dimension, metric, variant, unit string, total line, rows []line) {
	t.Helper()
	checkFigure(t, r.Total, metric, variant, unit, total)
	if r.Total.Group != nil {
		t.Errorf("the total has group %v", r.Total.Group)
	}
	if len(r.Rows) != len(rows) {
		t.Fatalf("%d rows, want %d: %+v", len(r.Rows), len(rows), r.Rows)
	}
	for i, want := range rows {
		checkFigure(t, r.Rows[i], metric, variant, unit, want)
		if !maps.Equal(r.Rows[i].Group, map[string]string{dimension: want.group}) {
			t.Errorf("row %d has group %v, want %s", i, r.Rows[i].Group, want.group)
		}
	}
}

type inputs = map[string]float64

func TestWinRate(t *testing.T) {
	deals := company(t)
	t.Run("by count", func(t *testing.T) {
		got := insight.WinRate(deals, thisQuarter(t), insight.ByCount, insight.ByOwner)
		checkResult(t, got, "owner", "win_rate", "count_by_close_date", "ratio",
			line{"total", 3.0 / 7, true, inputs{"won": 3, "lost": 4}},
			[]line{
				{"ann", 2.0 / 3, true, inputs{"won": 2, "lost": 1}},
				{"bob", 1.0 / 4, true, inputs{"won": 1, "lost": 3}},
			})
	})
	t.Run("by amount", func(t *testing.T) {
		got := insight.WinRate(deals, thisQuarter(t), insight.ByAmount, insight.ByRegion)
		checkResult(t, got, "region", "win_rate", "amount_by_close_date", "ratio",
			line{"total", 170.0 / 230, true, inputs{"won": 3, "lost": 4, "won_amount": 170000, "lost_amount": 60000, "without_amount": 1}},
			[]line{
				{"EMEA", 80.0 / 100, true, inputs{"won": 2, "lost": 1, "won_amount": 80000, "lost_amount": 20000, "without_amount": 0}},
				{"APAC", 90.0 / 130, true, inputs{"won": 1, "lost": 3, "won_amount": 90000, "lost_amount": 40000, "without_amount": 1}},
			})
	})
	t.Run("all time, in one figure", func(t *testing.T) {
		got := insight.WinRate(deals, insight.Period{}, insight.ByCount, insight.Whole)
		checkResult(t, got, "", "win_rate", "count_by_close_date", "ratio",
			line{"total", 4.0 / 9, true, inputs{"won": 4, "lost": 5}}, nil)
	})
	t.Run("nothing decided", func(t *testing.T) {
		got := insight.WinRate(nil, thisQuarter(t), insight.ByCount, insight.ByOwner)
		checkResult(t, got, "owner", "win_rate", "count_by_close_date", "ratio",
			line{"total", 0, false, inputs{"won": 0, "lost": 0}}, nil)
	})
	t.Run("only deals without amount in a group", func(t *testing.T) {
		got := insight.WinRate([]insight.Deal{
			deal(t, "x1 ann EMEA Lost -   2026-11-05 2026-01-05 - lost 0"),
			deal(t, "x2 bob EMEA Lost 100 2026-11-05 2026-01-05 - lost 0"),
		}, thisQuarter(t), insight.ByAmount, insight.ByOwner)
		checkResult(t, got, "owner", "win_rate", "amount_by_close_date", "ratio",
			line{"total", 0, true, inputs{"won": 0, "lost": 2, "won_amount": 0, "lost_amount": 100, "without_amount": 1}},
			[]line{
				{"bob", 0, true, inputs{"won": 0, "lost": 1, "won_amount": 0, "lost_amount": 100, "without_amount": 0}},
				{"ann", 0, false, inputs{"won": 0, "lost": 1, "won_amount": 0, "lost_amount": 0, "without_amount": 1}},
			})
	})
	t.Run("credits are no share", func(t *testing.T) {
		lost := deal(t, "x2 ann EMEA Lost 100 2026-11-05 2026-01-05 - lost 0")
		for _, amount := range []float64{-500, -50, -100} {
			credit := deal(t, "x1 ann EMEA Won 0 2026-11-05 2026-01-05 - won 100")
			credit.Amount = amount
			got := insight.WinRate([]insight.Deal{credit, lost}, thisQuarter(t), insight.ByAmount, insight.Whole)
			checkResult(t, got, "", "win_rate", "amount_by_close_date", "ratio",
				line{"total", 0, false, inputs{"won": 1, "lost": 1, "won_amount": amount, "lost_amount": 100, "without_amount": 0}}, nil)
		}
	})
}

func TestPipeline(t *testing.T) {
	deals := company(t)
	t.Run("by stage, all time", func(t *testing.T) {
		got := insight.Pipeline(deals, insight.Period{}, insight.ByStage)
		checkResult(t, got, "stage", "pipeline", "open_amount", "usd",
			line{"total", 480001, true, inputs{"deals": 8, "weighted_amount": 174000.4, "without_amount": 1}},
			[]line{
				{"Quoting", 300000, true, inputs{"deals": 5, "weighted_amount": 102000, "without_amount": 1}},
				{"Proposal", 180001, true, inputs{"deals": 3, "weighted_amount": 72000.4, "without_amount": 0}},
			})
	})
	t.Run("by owner, this quarter", func(t *testing.T) {
		got := insight.Pipeline(deals, thisQuarter(t), insight.ByOwner)
		checkResult(t, got, "owner", "pipeline", "open_amount", "usd",
			line{"total", 360001, true, inputs{"deals": 6, "weighted_amount": 162000.4, "without_amount": 1}},
			[]line{
				{"cyd", 180000, true, inputs{"deals": 3, "weighted_amount": 90000, "without_amount": 1}},
				{"ann", 100001, true, inputs{"deals": 2, "weighted_amount": 40000.4, "without_amount": 0}},
				{"bob", 80000, true, inputs{"deals": 1, "weighted_amount": 32000, "without_amount": 0}},
			})
	})
	t.Run("weighted, by owner, this quarter", func(t *testing.T) {
		got := insight.WeightedPipeline(deals, thisQuarter(t), insight.ByOwner)
		checkResult(t, got, "owner", "pipeline", "weighted_amount", "usd",
			line{"total", 162000.4, true, inputs{"deals": 6, "amount": 360001, "without_amount": 1}},
			[]line{
				{"cyd", 90000, true, inputs{"deals": 3, "amount": 180000, "without_amount": 1}},
				{"ann", 40000.4, true, inputs{"deals": 2, "amount": 100001, "without_amount": 0}},
				{"bob", 32000, true, inputs{"deals": 1, "amount": 80000, "without_amount": 0}},
			})
	})
	t.Run("empty", func(t *testing.T) {
		got := insight.Pipeline(nil, insight.Period{}, insight.Whole)
		checkResult(t, got, "", "pipeline", "open_amount", "usd",
			line{"total", 0, true, inputs{"deals": 0, "weighted_amount": 0, "without_amount": 0}}, nil)
	})
}

func TestStalled(t *testing.T) {
	type found struct {
		id   string
		days int
	}
	for _, c := range []struct {
		name      string
		days      int
		minAmount float64
		want      []found
		inputs    inputs
	}{
		{
			"30 days over $50,000", 30, 50000,
			[]found{{"d13", 53}, {"d11", 30}},
			inputs{"days": 30, "min_amount": 50000, "open": 8, "amount": 110001, "without_amount": 0, "without_dates": 1},
		},
		{
			"30 days, any amount", 30, 0,
			[]found{{"d15", 175}, {"d13", 53}, {"d11", 30}, {"d10", 30}},
			inputs{"days": 30, "min_amount": 0, "open": 8, "amount": 160001, "without_amount": 1, "without_dates": 1},
		},
		{
			"29 days over $50,000", 29, 50000,
			[]found{{"d13", 53}, {"d11", 30}, {"d12", 29}},
			inputs{"days": 29, "min_amount": 50000, "open": 8, "amount": 190001, "without_amount": 0, "without_dates": 1},
		},
		{
			"over $95,000", 1, 95000,
			nil,
			inputs{"days": 1, "min_amount": 95000, "open": 8, "amount": 0, "without_amount": 0, "without_dates": 0},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The hour of the day, and the zone it is told in, don't matter.
			today := time.Date(2026, 11, 23, 22, 30, 0, 0, time.FixedZone("", -8*3600))
			got := insight.Stalled(company(t), today, c.days, c.minAmount)
			var deals []found
			for _, d := range got.Deals {
				deals = append(deals, found{d.ID, d.DaysWithoutActivity})
			}
			if !slices.Equal(deals, c.want) {
				t.Errorf("got %v, want %v", deals, c.want)
			}
			checkFigure(t, got.Total, "stalled_deals", "no_activity_days", "count",
				line{"total", float64(len(c.want)), true, c.inputs})
		})
	}
}

func TestParsePeriod(t *testing.T) {
	for _, c := range []struct{ name, today, first, last string }{
		{"this_month", "2026-11-23", "2026-11-01", "2026-11-30"},
		{"last_month", "2026-11-23", "2026-10-01", "2026-10-31"},
		{"this_quarter", "2026-11-23", "2026-10-01", "2026-12-31"},
		{"last_quarter", "2026-11-23", "2026-07-01", "2026-09-30"},
		{"next_quarter", "2026-11-23", "2027-01-01", "2027-03-31"},
		{"this_year", "2026-11-23", "2026-01-01", "2026-12-31"},
		{"last_year", "2026-11-23", "2025-01-01", "2025-12-31"},
		{"all", "2026-11-23", "", ""},
		{"last_month", "2027-01-31", "2026-12-01", "2026-12-31"},
		{"last_month", "2028-03-31", "2028-02-01", "2028-02-29"},
		{"this_quarter", "2026-01-01", "2026-01-01", "2026-03-31"},
		{"this_quarter", "2026-03-31", "2026-01-01", "2026-03-31"},
		{"last_quarter", "2026-01-01", "2025-10-01", "2025-12-31"},
		{"next_quarter", "2026-08-31", "2026-10-01", "2026-12-31"},
		{"this_month", "2026-12-31", "2026-12-01", "2026-12-31"},
	} {
		p, err := insight.ParsePeriod(c.name, date(t, c.today))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		first, last := p.Days()
		if first != c.first || last != c.last || p.Name != c.name {
			t.Errorf("%s on %s: %s from %s to %s, want %s to %s", c.name, c.today, p.Name, first, last, c.first, c.last)
		}
		if c.first == "" {
			continue
		}
		for day, in := range map[time.Time]bool{
			date(t, c.first): true, date(t, c.first).AddDate(0, 0, -1): false,
			date(t, c.last): true, date(t, c.last).AddDate(0, 0, 1): false,
		} {
			if p.Contains(day) != in {
				t.Errorf("%s on %s: contains %s is %v", c.name, c.today, day.Format(time.DateOnly), !in)
			}
		}
	}
	for _, name := range insight.Periods() {
		if _, err := insight.ParsePeriod(name, date(t, "2026-11-23")); err != nil {
			t.Errorf("%s is listed but not read: %v", name, err)
		}
	}
	late := time.Date(2026, 12, 31, 23, 0, 0, 0, time.FixedZone("", -8*3600)) // already next year in UTC
	if p, err := insight.ParsePeriod("this_quarter", late); err != nil || p.From != date(t, "2026-10-01") {
		t.Errorf("late on the last day: from %v, %v", p.From, err)
	}
}

func TestUnknownChoicesSayWhatThereIs(t *testing.T) {
	_, period := insight.ParsePeriod("this_week", time.Time{})
	_, dimension := insight.ParseDimension("product")
	_, weight := insight.ParseWeight("mood")
	for want, err := range map[string]error{"last_quarter": period, "region": dimension, "amount": weight} {
		if steward.KindOf(err) != steward.Invalid || !strings.Contains(steward.Message(err), want) {
			t.Errorf("kind %s, message %q, which should offer %s", steward.KindOf(err), steward.Message(err), want)
		}
	}
	for s, want := range map[string]insight.Dimension{
		"": insight.Whole, "none": insight.Whole, "owner": insight.ByOwner, "region": insight.ByRegion, "stage": insight.ByStage,
	} {
		if d, err := insight.ParseDimension(s); err != nil || d != want {
			t.Errorf("dimension %q: %q, %v", s, d, err)
		}
	}
	for s, want := range map[string]insight.Weight{"": insight.ByCount, "count": insight.ByCount, "amount": insight.ByAmount} {
		if w, err := insight.ParseWeight(s); err != nil || w != want {
			t.Errorf("weight %q: %q, %v", s, w, err)
		}
	}
}

// anyDeals draws up to 40 deals of one year with amounts in whole cents.
func anyDeals(t *rapid.T) []insight.Deal {
	day := func(label string) time.Time {
		return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 364).Draw(t, label))
	}
	n := rapid.IntRange(0, 40).Draw(t, "deals")
	deals := make([]insight.Deal, n)
	for i := range deals {
		d := insight.Deal{
			ID:     string(rune('a'+i/26)) + string(rune('a'+i%26)),
			Owner:  rapid.SampledFrom([]string{"ann", "bob", "cyd", ""}).Draw(t, "owner"),
			Region: rapid.SampledFrom([]string{"EMEA", "APAC"}).Draw(t, "region"),
			Stage:  rapid.SampledFrom([]string{"Proposal", "Quoting", "Closed"}).Draw(t, "stage"),
			Close:  day("close"), Created: day("created"),
			Closed:      rapid.Bool().Draw(t, "closed"),
			Probability: float64(rapid.IntRange(0, 100).Draw(t, "probability")),
		}
		d.Won = d.Closed && rapid.Bool().Draw(t, "won")
		if d.HasAmount = rapid.Bool().Draw(t, "has amount"); d.HasAmount {
			d.Amount = float64(rapid.IntRange(0, 50_000_000).Draw(t, "cents")) / 100
		}
		if rapid.Bool().Draw(t, "active") {
			d.LastActivity = day("activity")
		}
		deals[i] = d
	}
	return deals
}

func anyPeriod(t *rapid.T) insight.Period {
	p, err := insight.ParsePeriod(rapid.SampledFrom(insight.Periods()).Draw(t, "period"), time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func anyDimension(t *rapid.T) insight.Dimension {
	return rapid.SampledFrom([]insight.Dimension{insight.ByOwner, insight.ByRegion, insight.ByStage}).Draw(t, "dimension")
}

// sumsUp checks that every input of the rows adds up to the total's.
func sumsUp(t *rapid.T, r insight.Result) {
	sums := make(map[string]float64)
	for _, row := range r.Rows {
		for name, value := range row.Inputs {
			sums[name] += value
		}
	}
	for name, value := range r.Total.Inputs {
		if math.Abs(sums[name]-value) > 1e-6*max(1, value) {
			t.Fatalf("%s adds up to %v, the total says %v", name, sums[name], value)
		}
	}
}

func TestWinRateProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		deals, p, d := anyDeals(t), anyPeriod(t), anyDimension(t)
		w := rapid.SampledFrom([]insight.Weight{insight.ByCount, insight.ByAmount}).Draw(t, "weight")
		got := insight.WinRate(deals, p, w, d)
		sumsUp(t, got)
		low, high := 1.0, 0.0
		for _, f := range append(got.Rows, got.Total) {
			if f.Value < 0 || f.Value > 1 || (!f.Defined && f.Value != 0) {
				t.Fatalf("win rate %v, defined %v", f.Value, f.Defined)
			}
			if f.Defined && f.Group != nil {
				low, high = min(low, f.Value), max(high, f.Value)
			}
		}
		if got.Total.Defined && (got.Total.Value < low-1e-9 || got.Total.Value > high+1e-9) {
			t.Fatalf("the total %v lies outside its groups, %v to %v", got.Total.Value, low, high)
		}
		open := slices.Clone(deals)
		open = append(open, insight.Deal{ID: "zz", Close: p.From, Amount: 1e6, HasAmount: true})
		if with := insight.WinRate(open, p, w, d); with.Total.Value != got.Total.Value {
			t.Fatalf("an open deal moves the win rate from %v to %v", got.Total.Value, with.Total.Value)
		}
	})
}

func TestPipelineProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		deals, d := anyDeals(t), anyDimension(t)
		got := insight.Pipeline(deals, anyPeriod(t), d)
		sumsUp(t, got)
		var sum float64
		for _, row := range got.Rows {
			sum += row.Value
			if row.Inputs["weighted_amount"] > row.Value*(1+1e-12) {
				t.Fatalf("weighted %v is more than the whole %v", row.Inputs["weighted_amount"], row.Value)
			}
		}
		if math.Abs(sum-got.Total.Value) > 1e-6*max(1, sum) {
			t.Fatalf("groups add up to %v, the total is %v", sum, got.Total.Value)
		}
		// The quarters of a year hold each of its deals once.
		whole := insight.Pipeline(deals, insight.Period{}, d).Total.Value
		var quarters float64
		for month := time.January; month <= time.December; month += 3 {
			q, err := insight.ParsePeriod("this_quarter", time.Date(2026, month, 15, 0, 0, 0, 0, time.UTC))
			if err != nil {
				t.Fatal(err)
			}
			quarters += insight.Pipeline(deals, q, d).Total.Value
		}
		if math.Abs(quarters-whole) > 1e-6*max(1, whole) {
			t.Fatalf("four quarters hold %v, the year %v", quarters, whole)
		}
	})
}

func TestStalledProperties(t *testing.T) {
	today := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		deals := anyDeals(t)
		days := rapid.IntRange(0, 400).Draw(t, "days")
		minAmount := float64(rapid.IntRange(0, 500_000).Draw(t, "min"))
		got := insight.Stalled(deals, today, days, minAmount)
		for i, d := range got.Deals {
			if d.Closed || d.DaysWithoutActivity < days || (minAmount > 0 && d.Amount <= minAmount) {
				t.Fatalf("%+v isn't stalled", d)
			}
			if i > 0 && got.Deals[i-1].DaysWithoutActivity < d.DaysWithoutActivity {
				t.Fatal("not sorted, longest first")
			}
		}
		if got.Total.Value != float64(len(got.Deals)) {
			t.Fatalf("counted %v, listed %d", got.Total.Value, len(got.Deals))
		}
		if stricter := insight.Stalled(deals, today, days+1, minAmount+1); len(stricter.Deals) > len(got.Deals) {
			t.Fatalf("asking for more finds more: %d, then %d", len(got.Deals), len(stricter.Deals))
		}
	})
}

func TestOrderDoesNotMatter(t *testing.T) {
	today := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		deals, p, d := anyDeals(t), anyPeriod(t), anyDimension(t)
		given := slices.Clone(deals)
		shuffled := deals
		if len(deals) > 0 {
			shuffled = rapid.Permutation(deals).Draw(t, "shuffled")
		}
		if a, b := insight.WinRate(deals, p, insight.ByAmount, d), insight.WinRate(shuffled, p, insight.ByAmount, d); !reflect.DeepEqual(a, b) {
			t.Fatalf("win rate: %+v and %+v", a, b)
		}
		if a, b := insight.Pipeline(deals, p, d), insight.Pipeline(shuffled, p, d); !reflect.DeepEqual(a, b) {
			t.Fatalf("pipeline: %+v and %+v", a, b)
		}
		if a, b := insight.Stalled(deals, today, 10, 100), insight.Stalled(shuffled, today, 10, 100); !reflect.DeepEqual(a, b) {
			t.Fatalf("stalled: %+v and %+v", a, b)
		}
		if !slices.Equal(deals, given) {
			t.Fatal("the deals handed in were changed")
		}
	})
}
