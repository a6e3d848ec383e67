package rules

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// kind is how records of an object are shown. The first few columns tell one record from another.
type kind struct {
	one, many string
	few       int
	columns   []column
}

type column struct{ field, title string }

var kinds = map[string]kind{
	opportunity: {"deal", "deals", 6, []column{{"Name", "Deal"}, {"Account.Name", "Account"}, {"StageName", "Stage"},
		{"Amount", "Amount"}, {"CloseDate", "Close date"}, {"Owner.Name", "Owner"}}},
	account: {"account", "accounts", 4, []column{{"Name", "Account"}, {"BillingCity", "City"}, {"BillingCountry", "Country"},
		{"Owner.Name", "Owner"}, {"Industry", "Industry"}}},
	contact: {"contact", "contacts", 3, []column{{"Name", "Name"}, {"Title", "Title"}, {"Account.Name", "Account"},
		{"Email", "E-mail"}, {"Phone", "Phone"}, {"Owner.Name", "Owner"}}},
	"Task": {one: "task", many: "tasks"},
}

// fields are the columns' fields, all or the first few.
func (k kind) fields(full bool) []string {
	var names []string
	for i, c := range k.columns {
		if full || i < k.few {
			names = append(names, c.field)
		}
	}
	return names
}

// shown is how many rows a table has at most.
const shown = 50

// table writes rows in Markdown. Bars and line ends in a value would be taken for the table's own.
func table(titles []string, rows [][]string) string {
	var b strings.Builder
	line := func(cells []string) {
		for _, c := range cells {
			b.WriteString("| " + strings.ReplaceAll(strings.Join(strings.Fields(c), " "), "|", `\|`) + " ")
		}
		b.WriteString("|\n")
	}
	line(titles)
	b.WriteString(strings.Repeat("| --- ", len(titles)) + "|\n")
	for _, r := range rows[:min(len(rows), shown)] {
		line(r)
	}
	if more := len(rows) - shown; more > 0 {
		fmt.Fprintf(&b, "\n%d more are not shown.\n", more)
	}
	return strings.TrimRight(b.String(), "\n")
}

func (k kind) table(records []record) string {
	var titles []string
	rows := make([][]string, len(records))
	for _, c := range k.columns {
		if !slices.ContainsFunc(records, func(r record) bool { return r[c.field] != nil }) {
			continue // not asked for, or nobody has it
		}
		titles = append(titles, c.title)
		for i, r := range records {
			rows[i] = append(rows[i], plain(c.field, r[c.field]))
		}
	}
	return table(titles, rows)
}

// plain writes a field's value as people read it; what is called an amount is money.
func plain(field string, v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return map[bool]string{true: "yes", false: "no"}[v]
	case float64:
		if field != "without_amount" && strings.HasSuffix(strings.ToLower(field), "amount") {
			return dollars(v)
		}
		return grouped(v)
	}
	return ""
}

func dollars(v float64) string {
	if v < 0 {
		return "-$" + grouped(-v)
	}
	return "$" + grouped(v)
}

// grouped writes a number with a comma every three digits, and cents only where there are any.
func grouped(v float64) string {
	digits := strconv.FormatFloat(math.Abs(v), 'f', 2, 64)
	whole, cents, _ := strings.Cut(digits, ".")
	for at := len(whole) - 3; at > 0; at -= 3 {
		whole = whole[:at] + "," + whole[at:]
	}
	if cents != "00" {
		whole += "." + cents
	}
	if v < 0 {
		return "-" + whole
	}
	return whole
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(float64(n)) + " " + many
}

// tellNone says that nothing has a name.
func tellNone(objects []string, name string) string {
	var nouns []string
	for _, o := range objects {
		nouns = append(nouns, kinds[o].one)
	}
	return fmt.Sprintf("I found no %s “%s” among the records you may see.", strings.Join(nouns, " or "), name)
}

// tellNotOne says that nothing has a name, or lists what does.
func tellNotOne(object, name string, rows []record) string {
	if len(rows) == 0 {
		return tellNone([]string{object}, name)
	}
	more := map[bool]string{true: " or more"}[len(rows) == candidates]
	return fmt.Sprintf("I found %d%s %s that “%s” may mean; say which by its full name.\n\n%s", len(rows), more, kinds[object].many, name, kinds[object].table(rows))
}

func tellRow(_ *dialogue, object string, r record) string {
	return fmt.Sprintf("I found one %s.\n\n%s", kinds[object].one, kinds[object].table([]record{r}))
}

func tellOwner(_ *dialogue, object string, r record) string {
	who := r.text("Owner.Name")
	if who == "" {
		return fmt.Sprintf("The %s %s shows no owner.", kinds[object].one, r.text("Name"))
	}
	return fmt.Sprintf("The %s %s is owned by %s.", kinds[object].one, r.text("Name"), who)
}

// tellRecord lists a record's fields, the usual ones first.
func tellRecord(object string, r record) string {
	k := kinds[object]
	text := fmt.Sprintf("This is the %s %s.\n", k.one, r.text("Name"))
	others := slices.DeleteFunc(slices.Sorted(maps.Keys(r)), func(field string) bool {
		return slices.Contains([]string{"Name", "object", "id", "url"}, field) || slices.Contains(k.fields(true), field)
	})
	columns := k.columns[1:]
	for _, field := range others {
		columns = append(columns[:len(columns):len(columns)], column{field, field})
	}
	for _, c := range columns {
		if v := plain(c.field, r[c.field]); v != "" {
			text += fmt.Sprintf("\n- %s: %s", c.title, v)
		}
	}
	return text
}

func tellAspect(deal record, field string, rows []record) string {
	if len(rows) == 0 {
		return fmt.Sprintf("The deal %s could not be read again.", deal.text("Name"))
	}
	v := plain(field, rows[0][field])
	if v == "" {
		return fmt.Sprintf("The deal %s has no %s.", deal.text("Name"), titleOf(field))
	}
	return fmt.Sprintf("The %s of the deal %s is %s.", titleOf(field), deal.text("Name"), v)
}

// tellList tells records of an object, in a state ("open"), and which ("of Harborline Freight").
func tellList(object, state, which string, r reply) string {
	k := kinds[object]
	total := max(r.Total, len(r.Records))
	which = strings.TrimSpace(which + " among the records you may see")
	if total == 0 {
		return fmt.Sprintf("I found no %s %s.", strings.TrimSpace(state+" "+k.many), which)
	}
	lead := fmt.Sprintf("I found %s %s", counted(total, strings.TrimSpace(state+" "+k.one), strings.TrimSpace(state+" "+k.many)), which)
	if total > len(r.Records) {
		lead += fmt.Sprintf("; these are the first %s", grouped(float64(len(r.Records))))
	} else if object == opportunity {
		var sum float64
		for _, row := range r.Records {
			v, _ := row["Amount"].(float64)
			sum += v
		}
		lead += ", together " + dollars(sum)
	}
	return lead + ".\n\n" + k.table(r.Records)
}

// which says in words what deals were asked for.
func (w wish) which(userKnown bool) string {
	var words []string
	if w.owner != "" {
		words = append(words, "of "+w.owner)
	}
	if w.mine && userKnown {
		words = append(words, "that you own")
	}
	for _, b := range w.bounds {
		words = append(words, map[string]string{">": "over ", ">=": "of at least ", "<": "under "}[b.op]+dollars(b.sum))
	}
	if w.stage != "" {
		words = append(words, "in stage "+w.stage)
	}
	if w.period != "" && w.period != "all" {
		words = append(words, "with a close date in "+spaced(w.period))
	}
	return strings.Join(words, " ")
}

func tellDeals(w wish, userKnown bool, r reply) string {
	unknown := ""
	if w.mine && !userKnown {
		unknown = "I was not told which Salesforce user you are, so these are not only yours; the owner stands beside each.\n\n"
	}
	if w.top == 0 || len(r.Records) == 0 {
		return unknown + tellList(opportunity, w.status, w.which(userKnown), r)
	}
	these := "This is the"
	if n := len(r.Records); n > 1 {
		these = fmt.Sprintf("These are the %d", n)
	}
	return unknown + fmt.Sprintf("%s largest of %s by amount %s.\n\n%s", these,
		counted(max(r.Total, len(r.Records)), strings.TrimSpace(w.status+" deal"), strings.TrimSpace(w.status+" deals")),
		strings.TrimSpace(w.which(userKnown)+" among the records you may see"), kinds[opportunity].table(r.Records))
}

func tellActivities(name string, all []record) string {
	if len(all) == 0 {
		return fmt.Sprintf("I found no past activity of %s among the records you may see.", name)
	}
	var rows [][]string
	for _, a := range all {
		rows = append(rows, []string{
			a.text("ActivityDate"), cmp.Or(a.text("Type"), a.text("object")), a.text("Subject"), a.text("Who.Name"), a.text("Owner.Name"),
		})
	}
	return fmt.Sprintf("The last %s of %s, newest first.\n\n%s", counted(len(all), "activity", "activities"), name,
		table([]string{"Date", "Type", "Subject", "With", "Owner"}, rows))
}

func tellFields(object string, r reply) string {
	var rows [][]string
	for _, f := range r.Records {
		rows = append(rows, []string{f.text("name"), f.text("label"), f.text("type"), plain("", f["required"]), plain("", f["updateable"])})
	}
	return fmt.Sprintf("%s has %s that you may see.\n\n%s", object, counted(len(rows), "field", "fields"),
		table([]string{"Field", "Label", "Type", "Required", "Editable"}, rows))
}

// stageNames reads the stages from the fields of Opportunity.
func stageNames(r reply) []string {
	for _, f := range r.Records {
		if list := f.text("picklist"); f.text("name") == "StageName" && list != "" {
			return strings.Split(list, "; ")
		}
	}
	return nil
}

func tellStages(stages []string) string {
	if len(stages) == 0 {
		return "Salesforce lists no stages that you may see."
	}
	return fmt.Sprintf("A deal can be in one of %s:\n\n- %s", counted(len(stages), "stage", "stages"), strings.Join(stages, "\n- "))
}

// spaced makes words of a name: "this_quarter", "won_amount".
func spaced(name string) string { return strings.ReplaceAll(name, "_", " ") }

// value writes a figure in its unit.
func (r reply) value(f figure) string {
	switch {
	case f.Value == nil:
		return "not defined"
	case r.Unit == "ratio":
		return strconv.FormatFloat(*f.Value*100, 'f', 1, 64) + "%"
	case r.Unit == "usd":
		return dollars(*f.Value)
	}
	return grouped(*f.Value)
}

// inputs are the names of the numbers behind a metric, in the order in which people say them, those
// that are nothing everywhere left out.
func (r reply) inputs() []string {
	usual := []string{"won", "lost", "deals", "won_amount", "lost_amount", "amount", "weighted_amount"}
	var names []string
	for name := range r.Sum.Inputs {
		if slices.Contains(usual, name) || r.Sum.Inputs[name] != 0 {
			names = append(names, name)
		}
	}
	rank := func(name string) int { return (slices.Index(usual, name) + len(usual) + 1) % (len(usual) + 1) }
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(rank(a)-rank(b), strings.Compare(a, b)) })
	return names
}

// tellFigures tells a metric: its total with what is behind it, its variant and formula, its groups.
func tellFigures(title string, asked metric, r reply) string {
	period := ", " + spaced(asked.Period)
	if asked.Period == "all" {
		period = ", all time"
	}
	if r.Period.From != "" {
		period += fmt.Sprintf(" (%s to %s)", r.Period.From, r.Period.To)
	}
	by := ""
	if asked.GroupBy != "none" {
		by = " by " + asked.GroupBy
	}
	names := r.inputs()
	var behind []string
	for _, n := range names {
		behind = append(behind, plain(n, r.Sum.Inputs[n])+" "+spaced(n))
	}
	text := fmt.Sprintf("%s%s%s, variant %s: %s in total", title, by, period, r.Variant, r.value(r.Sum))
	if len(behind) > 0 {
		text += " (" + strings.Join(behind, ", ") + ")"
	}
	text += fmt.Sprintf(".\nFormula: %s.", strings.TrimRight(r.Formula, "."))
	if asked.GroupBy == "none" {
		return text
	}
	if len(r.Rows) == 0 {
		return text + "\n\nThere is nothing to show by " + asked.GroupBy + "."
	}
	titles := []string{strings.ToUpper(asked.GroupBy[:1]) + asked.GroupBy[1:], title}
	for _, n := range names {
		titles = append(titles, strings.ToUpper(n[:1])+spaced(n)[1:])
	}
	worth := func(f figure) float64 {
		if f.Value == nil {
			return math.Inf(-1) // undefined ones last
		}
		return *f.Value
	}
	rows := slices.Clone(r.Rows)
	slices.SortStableFunc(rows, func(a, b figure) int { return cmp.Compare(worth(b), worth(a)) })
	var cells [][]string
	for _, row := range rows {
		line := []string{cmp.Or(row.Group[asked.GroupBy], "(none)"), r.value(row)}
		for _, n := range names {
			line = append(line, plain(n, row.Inputs[n]))
		}
		cells = append(cells, line)
	}
	return text + "\n\n" + table(titles, cells)
}

func tellStalled(days int, over float64, r reply) string {
	limit := ""
	if over > 0 {
		limit = " over " + dollars(over)
	}
	n := len(r.Rows)
	if r.Sum.Value != nil {
		n = int(*r.Sum.Value)
	}
	text := fmt.Sprintf("%s%s without activity for %d days or more, variant %s.", counted(n, "open deal", "open deals"), limit, days, r.Variant)
	if r.Formula != "" {
		text += fmt.Sprintf("\nFormula: %s.", strings.TrimRight(r.Formula, "."))
	}
	if len(r.Rows) == 0 {
		return text
	}
	rows := slices.Clone(r.Rows)
	slices.SortStableFunc(rows, func(a, b figure) int { return cmp.Compare(b.Days, a.Days) })
	var cells [][]string
	for _, d := range rows {
		money := ""
		if d.Amount != nil {
			money = dollars(*d.Amount)
		}
		cells = append(cells, []string{d.Name, money, d.Stage, d.Owner, grouped(d.Days)})
	}
	return text + "\n\n" + table([]string{"Deal", "Amount", "Stage", "Owner", "Days without activity"}, cells)
}

func tellUpdated(deal record, field string, r reply) string {
	var now string
	if len(r.Records) > 0 {
		now = plain(field, r.Records[0][field])
	}
	if now == "" {
		return fmt.Sprintf("Done: I changed the %s of the deal %s.", titleOf(field), deal.text("Name"))
	}
	return fmt.Sprintf("Done: the %s of the deal %s is now: %s", titleOf(field), deal.text("Name"), now)
}

func tellLogged(kind string, f found) string {
	text := "Done: I logged the " + strings.Replace(kind, "email", "e-mail", 1)
	if f.person != nil {
		text += " with " + f.person.text("Name")
	}
	if f.deal != nil {
		text += " on the deal " + f.deal.text("Name")
	}
	return text + "."
}

func tellCreated(object, name string, r reply) string {
	if len(r.Records) > 0 {
		name = cmp.Or(r.Records[0].text("Name"), r.Records[0].text("Subject"), name)
	}
	return fmt.Sprintf("Done: I created the %s %s.", kinds[object].one, name)
}

func tellNotDone(tool string, f *fault) string {
	switch f.Kind {
	case "denied":
		return fmt.Sprintf("%s was not made, since it was denied: %s.", doing[tool], f)
	case "needs_approval":
		return doing[tool] + " waits for approval; nothing was written yet."
	}
	return fmt.Sprintf("%s was not made: %s.", doing[tool], f)
}
