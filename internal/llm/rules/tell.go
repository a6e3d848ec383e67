package rules

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// kind is how records of an object are shown: the fields that tell them apart.
type kind struct {
	one, many string
	columns   []column
}

type column struct {
	field, title string
	money        bool
}

var kinds = map[string]kind{
	opportunity: {"deal", "deals", []column{{"Name", "Deal", false}, {"Account.Name", "Account", false}, {"StageName", "Stage", false},
		{"Amount", "Amount", true}, {"CloseDate", "Close date", false}, {"Owner.Name", "Owner", false}}},
	account: {"account", "accounts", []column{{"Name", "Account", false}, {"Industry", "Industry", false}, {"BillingCity", "City", false},
		{"BillingCountry", "Country", false}, {"Owner.Name", "Owner", false}}},
	contact: {"contact", "contacts", []column{{"Name", "Name", false}, {"Title", "Title", false}, {"Account.Name", "Account", false},
		{"Email", "E-mail", false}, {"Phone", "Phone", false}, {"Owner.Name", "Owner", false}}},
	"Task":  {"task", "tasks", nil},
	"Event": {"event", "events", nil},
}

// fields are the columns' fields.
func (k kind) fields() []string {
	var names []string
	for _, c := range k.columns {
		names = append(names, c.field)
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
	for _, c := range k.columns {
		titles = append(titles, c.title)
	}
	var rows [][]string
	for _, r := range records {
		var row []string
		for _, c := range k.columns {
			row = append(row, plain(r[c.field], c.money))
		}
		rows = append(rows, row)
	}
	return table(titles, rows)
}

// plain writes a field's value as people read it.
func plain(v any, money bool) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case float64:
		if money {
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
	return fmt.Sprintf("I found no %s called “%s” among the records you may see.", strings.Join(nouns, " or "), name)
}

// tellNotOne says that nothing has a name, or lists what does.
func tellNotOne(object, name string, rows []record) string {
	if len(rows) == 0 {
		return tellNone([]string{object}, name)
	}
	several := grouped(float64(len(rows)))
	if len(rows) == candidates {
		several += " or more"
	}
	return fmt.Sprintf("I found %s %s that “%s” may mean; say which by its full name.\n\n%s", several, kinds[object].many, name, kinds[object].table(rows))
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
	var b strings.Builder
	fmt.Fprintf(&b, "This is the %s %s.\n", k.one, r.text("Name"))
	said := map[string]bool{"Name": true, "object": true, "id": true, "Id": true, "url": true}
	line := func(title string, v any, money bool) {
		if s := plain(v, money); s != "" {
			fmt.Fprintf(&b, "\n- %s: %s", title, s)
		}
	}
	for _, c := range k.columns {
		if !said[c.field] {
			line(c.title, r[c.field], c.money)
		}
		said[c.field] = true
	}
	var others []string
	for field := range r {
		if !said[field] {
			others = append(others, field)
		}
	}
	slices.Sort(others)
	for _, field := range others {
		line(field, r[field], false)
	}
	return b.String()
}

// titleOf is what people call a field of a deal.
func titleOf(field string) string {
	if field == "NextStep" {
		return "next step"
	}
	for _, c := range kinds[opportunity].columns {
		if c.field == field {
			return strings.ToLower(c.title)
		}
	}
	return strings.ToLower(field)
}

func tellAspect(deal record, field string, rows []record) string {
	if len(rows) == 0 {
		return fmt.Sprintf("The deal %s could not be read again.", deal.text("Name"))
	}
	v := plain(rows[0][field], field == "Amount")
	if v == "" {
		return fmt.Sprintf("The deal %s has no %s.", deal.text("Name"), titleOf(field))
	}
	return fmt.Sprintf("The %s of the deal %s is %s.", titleOf(field), deal.text("Name"), v)
}

// tellList tells records of an object, and which: "at Harborline Freight".
func tellList(object, which string, r reply) string {
	k := kinds[object]
	total := max(r.Total, len(r.Records))
	if total == 0 {
		return fmt.Sprintf("I found no %s %s among the records you may see.", k.many, which)
	}
	return fmt.Sprintf("I found %s %s%s.\n\n%s", counted(total, k.one, k.many), which, part(r), k.table(r.Records))
}

// part says that a list is not all there is.
func part(r reply) string {
	if r.Total > len(r.Records) {
		return fmt.Sprintf("; these are the first %s", grouped(float64(len(r.Records))))
	}
	return ""
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
	for _, bound := range []struct {
		word string
		v    *float64
	}{{"over", w.over}, {"of at least", w.least}, {"under", w.under}} {
		if bound.v != nil {
			words = append(words, bound.word+" "+dollars(*bound.v))
		}
	}
	if w.stage != "" {
		words = append(words, "in stage "+w.stage)
	}
	if w.period != "" && w.period != "all" {
		words = append(words, "with a close date in "+periodName(w.period))
	}
	return strings.Join(words, " ")
}

func tellDeals(w wish, userKnown bool, r reply) string {
	total := max(r.Total, len(r.Records))
	one, many := strings.TrimSpace(w.status+" deal"), strings.TrimSpace(w.status+" deals")
	which := strings.TrimSpace(w.which(userKnown) + " among the records you may see")
	unknown := ""
	if w.mine && !userKnown {
		unknown = "I was not told which Salesforce user you are, so these are not only yours; the owner stands beside each.\n\n"
	}
	if total == 0 {
		return unknown + fmt.Sprintf("I found no %s %s.", many, which)
	}
	lead := fmt.Sprintf("I found %s %s", counted(total, one, many), which)
	var sum float64
	for _, row := range r.Records {
		if v, ok := row["Amount"].(float64); ok {
			sum += v
		}
	}
	switch {
	case w.top > 0:
		lead = fmt.Sprintf("These are the %s largest %s %s by amount", grouped(float64(len(r.Records))), many, which)
	case r.Total > len(r.Records):
		lead += part(r)
	default:
		lead += ", together " + dollars(sum)
	}
	return unknown + lead + ".\n\n" + kinds[opportunity].table(r.Records)
}

func tellActivities(name string, all []record) string {
	if len(all) == 0 {
		return fmt.Sprintf("I found no past activity with %s among the records you may see.", name)
	}
	var rows [][]string
	for _, a := range all {
		rows = append(rows, []string{
			a.text("ActivityDate"), cmp.Or(a.text("Type"), a.text("object")), a.text("Subject"), a.text("Who.Name"), a.text("Owner.Name"),
		})
	}
	return fmt.Sprintf("The last %s with %s, newest first.\n\n%s", counted(len(all), "activity", "activities"), name,
		table([]string{"Date", "Type", "Subject", "With", "Owner"}, rows))
}

func tellFields(object string, r reply) string {
	var rows [][]string
	for _, f := range r.Records {
		rows = append(rows, []string{f.text("name"), f.text("label"), f.text("type"), plain(f["required"], false), plain(f["updateable"], false)})
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

func periodName(period string) string { return strings.ReplaceAll(period, "_", " ") }

// value writes a figure in its unit.
func (r reply) value(f figure) string {
	switch {
	case f.Value == nil:
		return "not defined"
	case r.Unit == "ratio":
		return strconv.FormatFloat(*f.Value*100, 'f', 1, 64) + "%"
	}
	return plain(*f.Value, r.Unit == "usd")
}

// input writes one of the numbers behind a figure; amounts are told by their names.
func input(name string, v float64) string {
	return plain(v, name != "without_amount" && strings.HasSuffix(name, "amount"))
}

func inputTitle(name string) string { return strings.ReplaceAll(name, "_", " ") }

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
	rank := func(name string) int {
		if at := slices.Index(usual, name); at >= 0 {
			return at
		}
		return len(usual)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(rank(a)-rank(b), strings.Compare(a, b)) })
	return names
}

// tellFigures tells a metric: its total with what is behind it, its variant and formula, its groups.
func tellFigures(title string, asked metric, r reply) string {
	period := ", " + periodName(asked.Period)
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
		behind = append(behind, input(n, r.Sum.Inputs[n])+" "+inputTitle(n))
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
		titles = append(titles, strings.ToUpper(n[:1])+inputTitle(n)[1:])
	}
	rows := slices.Clone(r.Rows)
	slices.SortStableFunc(rows, func(a, b figure) int {
		if (a.Value == nil) != (b.Value == nil) {
			if a.Value == nil {
				return 1
			}
			return -1
		}
		if a.Value == nil {
			return 0
		}
		return cmp.Compare(*b.Value, *a.Value)
	})
	var cells [][]string
	for _, row := range rows {
		line := []string{cmp.Or(row.Group[asked.GroupBy], "(none)"), r.value(row)}
		for _, n := range names {
			line = append(line, input(n, row.Inputs[n]))
		}
		cells = append(cells, line)
	}
	return text + "\n\n" + table(titles, cells)
}

func tellStalled(days int, over *float64, r reply) string {
	limit := ""
	if over != nil {
		limit = " over " + dollars(*over)
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
		now = plain(r.Records[0][field], field == "Amount")
	}
	if now == "" {
		return fmt.Sprintf("Done: I changed the %s of the deal %s.", titleOf(field), deal.text("Name"))
	}
	return fmt.Sprintf("Done: the %s of the deal %s is now: %s", titleOf(field), deal.text("Name"), now)
}

func tellLogged(kind string, f found, _ reply) string {
	text := "Done: I logged the " + kind
	if kind == "email" {
		text = "Done: I logged the e-mail"
	}
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

// writing says what a tool would have written.
var writing = map[string]string{
	"salesforce_update":       "The change",
	"salesforce_create":       "The new record",
	"salesforce_log_activity": "The activity",
}

func tellNotDone(tool string, f *fault) string {
	switch f.Kind {
	case "denied":
		return fmt.Sprintf("%s was not made, since it was denied: %s.", writing[tool], f)
	case "needs_approval":
		return tellWaits(tool)
	}
	return fmt.Sprintf("%s was not made: %s.", writing[tool], f)
}

func tellWaits(tool string) string {
	return writing[tool] + " waits for approval; nothing was written yet."
}
