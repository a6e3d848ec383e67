package answers

import (
	"cmp"
	"slices"
	"time"

	"github.com/stewardhq/steward/internal/sandbox/org"
)

func (c *company) open() rows { return c.deal.is("IsClosed", false) }
func (c *company) won() rows  { return c.deal.is("IsWon", true) }
func (c *company) lost() rows { return c.deal.is("IsClosed", true).is("IsWon", false) }

// pipeline is money in open deals. The forecast rolls up: commit is what is closed and what is committed, best
// case that and the best cases.
func (c *company) pipeline() []Answer {
	open, quarter := c.open(), c.open().in("CloseDate", c.quarter(0))
	due := c.deal.in("CloseDate", c.quarter(0))
	commit := append(due.is("ForecastCategoryName", "Closed"), due.is("ForecastCategoryName", "Commit")...)
	bestCase := append(slices.Clip(commit), due.is("ForecastCategoryName", "Best Case")...)
	return []Answer{
		{Question: "What is our pipeline?", Kind: Money, Value: open.amount()},
		{Question: "What is our pipeline closing this quarter?", Kind: Money, Value: quarter.amount()},
		{Question: "What is our weighted pipeline?", Kind: Money, Value: open.weighted()},
		{Question: "Weighted pipeline closing this quarter", Kind: Money, Value: quarter.weighted()},
		{Question: "How many open deals do we have?", Kind: Number, Value: open.count()},
		{Question: "What is the average amount of our open deals?", Kind: Money, Value: open.average()},
		by("Show the pipeline by stage", Money, open, rows.amount, has("StageName")),
		by("Pipeline by owner", Money, open, rows.amount, c.owner),
		by("Pipeline by region", Money, open, rows.amount, c.ofAccount("Region__c")),
		by("Pipeline by industry", Money, open, rows.amount, c.ofAccount("Industry")),
		by("Pipeline by owner closing next quarter", Money, open.in("CloseDate", c.quarter(1)), rows.amount, c.owner),
		by("Weighted pipeline by owner", Money, open, rows.weighted, c.owner),
		by("How much of this quarter is in each forecast category?", Money, due, rows.amount, has("ForecastCategoryName")),
		{Question: "What is our commit forecast for this quarter?", Kind: Money, Value: commit.amount()},
		{Question: "What is our best case forecast for this quarter?", Kind: Money, Value: bestCase.amount()},
	}
}

// winRates are won / (won + lost), by close date.
func (c *company) winRates() []Answer {
	closed := c.deal.is("IsClosed", true)
	quarter, year := closed.in("CloseDate", c.quarter(0)), closed.in("CloseDate", c.year(0))
	return []Answer{
		{Question: "What is our win rate?", Kind: Percentage, Value: closed.winRate()},
		{Question: "What is our win rate this month?", Kind: Percentage, Value: closed.in("CloseDate", c.month(0)).winRate()},
		{Question: "What was our win rate last quarter?", Kind: Percentage, Value: closed.in("CloseDate", c.quarter(-1)).winRate()},
		{Question: "Win rate this year by amount", Kind: Percentage, Value: year.winRateByAmount()},
		by("What is our win rate this quarter by owner?", Percentage, quarter, rows.winRate, c.owner),
		by("Win rate last year by region, weighted by amount", Percentage, closed.in("CloseDate", c.year(-1)), rows.winRateByAmount, c.ofAccount("Region__c")),
		by("Win rate this year by industry", Percentage, year, rows.winRate, c.ofAccount("Industry")),
		by("Win rate this year by lead source", Percentage, year, rows.winRate, has("LeadSource")),
		by("Win rate this year by deal type", Percentage, year, rows.winRate, has("Type")),
		best(by("Who has the best win rate this year?", Percentage, year, rows.winRate, c.owner)),
	}
}

// closed is what was won and lost, by close date; a deal's cycle is from its creation to that date.
func (c *company) closed() []Answer {
	month, quarter, year := c.won().in("CloseDate", c.month(0)), c.won().in("CloseDate", c.quarter(0)), c.won().in("CloseDate", c.year(0))
	var cycles []float64 // in days
	total := 0.0
	for _, r := range year {
		began, _ := time.Parse(org.DateLayout, day(r, "CreatedDate"))
		ended, _ := time.Parse(org.DateLayout, r.Text("CloseDate"))
		cycles = append(cycles, ended.Sub(began).Hours()/24)
		total += cycles[len(cycles)-1]
	}
	var velocity *float64
	if rate := c.deal.is("IsClosed", true).in("CloseDate", c.year(0)).winRate(); rate != nil && total > 0 {
		velocity = figure(float64(len(c.open())) * *rate * *year.average() / (total / float64(len(cycles))))
	}
	return []Answer{
		{Question: "How much have we won this month?", Kind: Money, Value: month.amount()},
		{Question: "How much have we won this quarter?", Kind: Money, Value: quarter.amount()},
		{Question: "How much have we won this year?", Kind: Money, Value: year.amount()},
		{Question: "How much did we win last quarter?", Kind: Money, Value: c.won().in("CloseDate", c.quarter(-1)).amount()},
		{Question: "How much did we lose this quarter?", Kind: Money, Value: c.lost().in("CloseDate", c.quarter(0)).amount()},
		{Question: "How many deals did we win this year?", Kind: Number, Value: year.count()},
		{Question: "What is the average amount of the deals we won this year?", Kind: Money, Value: year.average()},
		by("How much has each seller won this quarter?", Money, quarter, rows.amount, c.owner),
		by("How many deals has each seller won this year?", Number, year, rows.count, c.owner),
		{Question: "What is the median sales cycle, in days, of the deals we won this year?", Kind: Number, Value: median(cycles)},
		{Question: "What is our sales velocity, in dollars a day, by what we closed this year?", Kind: Money, Value: velocity},
		list("Which deals did we win this month?", month),
		list("Which deals did we win last quarter?", c.won().in("CloseDate", c.quarter(-1))),
		list("Which deals did we lose this quarter?", c.lost().in("CloseDate", c.quarter(0))),
	}
}

func median(of []float64) *float64 {
	if len(of) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(of))
	return figure((sorted[(len(of)-1)/2] + sorted[len(of)/2]) / 2)
}

func (c *company) biggest() []Answer {
	open := c.open()
	over := func(limit float64) rows {
		return open.where(func(r org.Row) bool { return r.Number("Amount") > limit })
	}
	return []Answer{
		largest("Show me the 5 largest open deals", open, 5),
		largest("What is the biggest deal we won this year?", c.won().in("CloseDate", c.year(0)), 1),
		list("Open deals over $150k", over(150_000)),
		list("Open deals closing this quarter", open.in("CloseDate", c.quarter(0))),
		list("Open deals closing next month", open.in("CloseDate", c.month(1))),
		list("Open deals in stage Negotiation/Review", open.is("StageName", "Negotiation/Review")),
	}
}

// hygiene is what open deals lack. A deal without any activity is stalled since its creation.
func (c *company) hygiene() []Answer {
	open := c.open()
	stalled := func(days int, over float64) rows {
		return open.where(func(r org.Row) bool {
			since := cmp.Or(c.last[r.Text("Id")], day(r, "CreatedDate"))
			return since <= c.days(-days) && (over == 0 || r.Number("Amount") > over)
		})
	}
	overdue := open.where(func(r org.Row) bool { return r.Text("CloseDate") < c.days(0) })
	return []Answer{
		list("List stalled deals", stalled(30, 0)),
		list("Which open deals over $50k have had no activity for 30 days?", stalled(30, 50_000)),
		list("Which open deals have had no activity for 60 days?", stalled(60, 0)),
		list("Which open deals were never worked on?", open.where(func(r org.Row) bool { return c.last[r.Text("Id")] == "" })),
		list("Which open deals have no next step?", open.is("NextStep", nil)),
		list("Which open deals have no amount?", open.is("Amount", nil)),
		list("Which open deals are past their close date?", overdue),
		{Question: "How much money is in open deals past their close date?", Kind: Money, Value: overdue.amount()},
		list("Which open deals have been in their stage for more than 90 days?", open.where(func(r org.Row) bool {
			return day(r, "LastStageChangeDate") < c.days(-90)
		})),
	}
}

// stages are read from deals' history, whose first row has the first close date. A deal that skipped a stage was never in it.
func (c *company) stages() []Answer {
	first, negotiated := map[string]org.Row{}, map[string]bool{}
	for _, h := range c.history {
		deal := h.Text("OpportunityId")
		if first[deal] == nil || h.Text("CreatedDate") < first[deal].Text("CreatedDate") {
			first[deal] = h
		}
		negotiated[deal] = negotiated[deal] || h["StageName"] == "Negotiation/Review"
	}
	tried := c.deal.where(func(r org.Row) bool { return negotiated[r.Text("Id")] })
	return []Answer{
		list("What stages are there?", c.process),
		by("How many open deals are there in each stage?", Number, c.open(), rows.count, has("StageName")),
		list("Which open deals close later than first said?", c.open().where(func(r org.Row) bool {
			return first[r.Text("Id")] != nil && r.Text("CloseDate") > first[r.Text("Id")].Text("CloseDate")
		})),
		{Question: "What share of the deals that were ever in negotiation have been won?", Kind: Percentage, Value: ratio(*tried.is("IsWon", true).count(), *tried.count())},
	}
}

func (c *company) accounts() []Answer {
	busy := map[string]bool{}
	for _, r := range c.open() {
		busy[r.Text("AccountId")] = true
	}
	return []Answer{
		by("How many accounts do we have in each industry?", Number, c.account, rows.count, has("Industry")),
		by("How many customers do we have in each region?", Number, c.account.is("Type", "Customer"), rows.count, has("Region__c")),
		list("Which customers have no open deal?", c.account.is("Type", "Customer").where(func(r org.Row) bool { return !busy[r.Text("Id")] })),
		best(by("Which account has the most money in open deals?", Money, c.open(), rows.amount, c.ofAccount("Name"))),
		{Question: "How many contacts have no e-mail address?", Kind: Number, Value: c.contact.is("Email", nil).count()},
	}
}

// work is what the user and their people have to do and have done.
func (c *company) work() []Answer {
	todo := c.task.is("IsClosed", false)
	late := todo.where(func(r org.Row) bool { return r["ActivityDate"] != nil && r.Text("ActivityDate") < c.days(0) })
	calls := c.task.is("IsClosed", true).is("Type", "Call").in("ActivityDate", c.month(0))
	return []Answer{
		list("Which open deals do I own?", c.open().is("OwnerId", c.me)),
		list("Which of my open deals close this quarter?", c.open().is("OwnerId", c.me).in("CloseDate", c.quarter(0))),
		{Question: "How many of my own tasks are overdue?", Kind: Number, Value: late.is("OwnerId", c.me).count()},
		by("How many overdue tasks does everybody have?", Number, late, rows.count, c.owner),
		{Question: "How many tasks are due in the next 7 days?", Kind: Number, Value: todo.in("ActivityDate", span{c.days(1), c.days(7)}).count()},
		by("How many calls did each seller make this month?", Number, calls, rows.count, c.owner),
		{Question: "How many meetings are planned for the next 7 days?", Kind: Number, Value: c.event.in("ActivityDate", span{c.days(1), c.days(7)}).count()},
	}
}

// lookUps are about the user's largest open deal and its account.
func (c *company) lookUps() []Answer {
	open := slices.SortedFunc(slices.Values(c.open()), larger)
	if len(open) == 0 {
		return nil
	}
	deal := open[0]
	account := c.byID[deal.Text("AccountId")]
	name, at := deal.Text("Name"), account.Text("Name")
	said := func(question, is string) Answer {
		return Answer{Question: question, Kind: Names, Value: figure(1), Names: []string{is}}
	}
	return []Answer{
		list("List the contacts at "+at, c.contact.is("AccountId", account["Id"])),
		list("Which open deals does "+at+" have?", c.open().is("AccountId", account["Id"])),
		list("Open deals owned by "+c.owner(deal), c.open().is("OwnerId", deal["OwnerId"])),
		said("Who owns "+name+"?", c.owner(deal)),
		said("Which stage is "+name+" in?", deal.Text("StageName")),
		said("What is the close date of "+name+"?", deal.Text("CloseDate")),
		{Question: "What is the amount of " + name + "?", Kind: Money, Value: figure(deal.Number("Amount"))},
		said("Which industry is "+at+" in?", account.Text("Industry")),
	}
}
