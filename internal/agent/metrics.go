package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/insight"
	"github.com/stewardhq/steward/internal/llm"
)

// metric is a tool of our own: it fetches rows through the gateway and computes a figure from them.
type metric struct {
	description string
	schema      string
	compute     func(ctx context.Context, a *Agent, caller identity.Caller, run *Run, call gateway.Call) (string, error)
}

// metrics are the figures that a model may ask for.
var metrics = map[string]metric{
	"win_rate": {
		"Share of decided deals that were won, by close date in a period. Variants: by count or by amount.",
		`{"type":"object","properties":{"period":` + periods + `,"group_by":` + groups + `,"weight":{"type":"string","enum":["count","amount"]}},"required":["period"],"additionalProperties":false}`,
		winRate,
	},
	"pipeline": {
		"Amount of open deals, with their weighted amount, by expected close date in a period. Variant: weighted, each amount times its probability.",
		`{"type":"object","properties":{"period":` + periods + `,"group_by":` + groups + `,"weighted":{"type":"boolean"}},"additionalProperties":false}`,
		pipeline,
	},
	"stalled_deals": {
		"Open deals without any activity for a number of days; a deal that never had one counts from its creation.",
		`{"type":"object","properties":{"days":{"type":"integer","minimum":1,"maximum":3650},"min_amount":{"type":"number","description":"only deals strictly over this amount"}},"required":["days"],"additionalProperties":false}`,
		stalled,
	},
}

// Parts of the schemas.
var periods = fmt.Sprintf(`{"type":"string","enum":["%s"]}`, strings.Join(insight.Periods(), `","`))

const groups = `{"type":"string","enum":["owner","region","stage","none"]}`

// offered lists the metrics for a model.
func offered() []llm.Tool {
	var tools []llm.Tool
	for _, name := range []string{"pipeline", "stalled_deals", "win_rate"} {
		tools = append(tools, llm.Tool{Name: name, Description: metrics[name].description, InputSchema: json.RawMessage(metrics[name].schema)})
	}
	return tools
}

// choice is what the metrics take.
type choice struct {
	Period    string  `json:"period"`
	GroupBy   string  `json:"group_by"`
	Weight    string  `json:"weight"`
	Weighted  bool    `json:"weighted"`
	Days      int     `json:"days"`
	MinAmount float64 `json:"min_amount"`

	period insight.Period
	group  insight.Dimension
	weight insight.Weight
}

func (a *Agent) choose(args json.RawMessage) (c choice, err error) {
	decoder := json.NewDecoder(bytes.NewReader(args))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return c, steward.Errorf(steward.Invalid, "a metric takes period, group_by, weight, weighted, days and min_amount").Because(err)
	}
	if c.Period == "" {
		c.Period = "all"
	}
	if c.period, err = insight.ParsePeriod(c.Period, a.Now().UTC()); err != nil {
		return c, err
	}
	if c.group, err = insight.ParseDimension(c.GroupBy); err != nil {
		return c, err
	}
	c.weight, err = insight.ParseWeight(c.Weight)
	return c, err
}

func winRate(ctx context.Context, a *Agent, caller identity.Caller, run *Run, call gateway.Call) (string, error) {
	c, err := a.choose(call.Args)
	if err != nil {
		return "", err
	}
	deals, owners, err := a.deals(ctx, caller, run, call, c, true)
	if err != nil {
		return "", err
	}
	return run.figures(insight.WinRate(deals, c.period, c.weight, c.group), c, owners)
}

func pipeline(ctx context.Context, a *Agent, caller identity.Caller, run *Run, call gateway.Call) (string, error) {
	c, err := a.choose(call.Args)
	if err != nil {
		return "", err
	}
	deals, owners, err := a.deals(ctx, caller, run, call, c, false)
	if err != nil {
		return "", err
	}
	compute := insight.Pipeline
	if c.Weighted {
		compute = insight.WeightedPipeline
	}
	return run.figures(compute(deals, c.period, c.group), c, owners)
}

func stalled(ctx context.Context, a *Agent, caller identity.Caller, run *Run, call gateway.Call) (string, error) {
	c, err := a.choose(call.Args)
	if err != nil {
		return "", err
	}
	if c.Days < 1 || c.Days > 3650 {
		return "", steward.Errorf(steward.Invalid, "days is a number from 1 to 3650")
	}
	named := len(run.Records)
	deals, _, err := a.deals(ctx, caller, run, call, c, false)
	if err != nil {
		return "", err
	}
	found := insight.Stalled(deals, a.Now().UTC(), c.Days, c.MinAmount)
	run.Results = append(run.Results, result(found.Total, c, nil))
	// Of all open deals that were looked at, the answer rests on those that are stalled, in their order.
	looked := run.Records[named:]
	run.Records = run.Records[:named:named]
	run.RecordsTotal += len(found.Deals) - len(looked)
	rows := make([]map[string]any, 0, len(found.Deals))
	for _, d := range found.Deals {
		rows = append(rows, map[string]any{
			"id": d.ID, "name": d.Name, "owner": d.Owner, "stage": d.Stage, "amount": d.Amount, "days_without_activity": d.DaysWithoutActivity,
		})
		for _, record := range looked {
			if record.ID == d.ID {
				run.Records = append(run.Records, record)
			}
		}
	}
	return marshal(found.Total, c, rows)
}

// figures notes the results of the answer and writes them as the model is shown them.
func (r *Run) figures(found insight.Result, c choice, owners map[string]string) (string, error) {
	if len(found.Rows) == 0 {
		r.Results = append(r.Results, result(found.Total, c, owners))
	}
	rows := make([]map[string]any, len(found.Rows))
	for i, f := range found.Rows {
		r.Results = append(r.Results, result(f, c, owners))
		rows[i] = map[string]any{"group": f.Group, "value": value(f), "inputs": f.Inputs}
	}
	return marshal(found.Total, c, rows)
}

func marshal(total insight.Figure, c choice, rows []map[string]any) (string, error) {
	first, last := c.period.Days()
	raw, err := json.Marshal(map[string]any{
		"metric": total.Metric, "variant": total.Variant, "formula": total.Formula, "unit": total.Unit,
		"period": map[string]string{"name": c.Period, "from": first, "to": last},
		"rows":   rows, "total": map[string]any{"value": value(total), "inputs": total.Inputs},
	})
	return string(raw), err
}

func result(f insight.Figure, c choice, owners map[string]string) Result {
	r := Result{
		Metric: f.Metric, Variant: f.Variant, Value: value(f), Unit: f.Unit, Inputs: f.Inputs, Group: f.Group, Formula: f.Formula,
	}
	if r.Group == nil {
		r.Group = map[string]string{}
	}
	if first, last := c.period.Days(); first != "" {
		r.Period = first + " to " + last
	}
	if id, ok := owners[f.Group[string(insight.ByOwner)]]; ok {
		r.GroupIDs = map[string]string{string(insight.ByOwner): id}
	}
	return r
}

func value(f insight.Figure) *float64 {
	if !f.Defined {
		return nil
	}
	return &f.Value
}

// dealLimit is how many deals a figure may rest on; more is refused, since a figure over a part would be wrong.
const dealLimit = 10000

// deals fetches the opportunities that a metric looks at, as the asker sees them. Owners are grouped by
// their token, which is one a record; the map leads from it to the user's id.
func (a *Agent) deals(ctx context.Context, caller identity.Caller, run *Run, call gateway.Call, c choice, closed bool) ([]insight.Deal, map[string]string, error) {
	fields := []string{"Name", "StageName", "Amount", "Probability", "IsClosed", "IsWon", "CloseDate", "CreatedDate", "LastActivityDate", "Owner.Name"}
	if c.group == insight.ByRegion {
		fields = append(fields, "Account.Region__c")
	}
	where := []map[string]any{{"field": "IsClosed", "op": "=", "value": closed}}
	if first, last := c.period.Days(); first != "" {
		where = append(where, map[string]any{"field": "CloseDate", "op": ">=", "value": first}, map[string]any{"field": "CloseDate", "op": "<=", "value": last})
	}
	if c.MinAmount > 0 {
		where = append(where, map[string]any{"field": "Amount", "op": ">", "value": c.MinAmount})
	}
	args, err := json.Marshal(map[string]any{"object": "Opportunity", "fields": fields, "where": where, "limit": dealLimit})
	if err != nil {
		return nil, nil, fmt.Errorf("agent: %w", err)
	}
	found, err := a.Door.Do(ctx, caller, gateway.Call{Run: call.Run, In: call.In, Tool: "salesforce_query", Args: args})
	if err != nil {
		return nil, nil, err
	}
	if found.Total > len(found.Records) {
		return nil, nil, steward.Errorf(steward.TooLarge, "this rests on %d deals and at most %d can be counted at once; ask about a shorter period", found.Total, dealLimit)
	}
	run.rest(found.Records)
	owners := map[string]string{}
	deals := make([]insight.Deal, len(found.Records))
	for i, r := range found.Records {
		deals[i] = deal(r)
		for _, f := range r.Fields {
			if f.Name == "Owner.Name" {
				owners[deals[i].Owner] = f.Of.ID
			}
		}
	}
	return deals, owners, nil
}

func deal(r steward.Record) insight.Deal {
	d := insight.Deal{
		ID: r.ID, Name: r.Text("Name"), Owner: r.Text("Owner.Name"), Region: r.Text("Account.Region__c"), Stage: r.Text("StageName"),
		Created: date(r.Text("CreatedDate")), Close: date(r.Text("CloseDate")), LastActivity: date(r.Text("LastActivityDate")),
	}
	d.Amount, d.HasAmount = r.Get("Amount").(float64)
	d.Probability, _ = r.Get("Probability").(float64)
	d.Closed, _ = r.Get("IsClosed").(bool)
	d.Won, _ = r.Get("IsWon").(bool)
	return d
}

// date reads the day of a date or date-time in ISO form; zero where there is none.
func date(s string) time.Time {
	if len(s) < len(time.DateOnly) {
		return time.Time{}
	}
	t, err := time.Parse(time.DateOnly, s[:len(time.DateOnly)])
	if err != nil {
		return time.Time{}
	}
	return t
}
