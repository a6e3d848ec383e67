package terminal

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/retention"
)

// Records lists what an answer rests on, with the links that the connector built.
func (t Terminal) Records(a wire.Answer, most int) {
	if len(a.Records) == 0 {
		return
	}
	var rows [][]string
	for _, r := range a.Records[:min(most, len(a.Records))] {
		rows = append(rows, []string{Line(r.Object), Line(r.Name), t.Dim(Line(r.URL))})
	}
	t.Table(t.Out, []string{"Rests on", "Name", "Link"}, rows)
	if more := a.RecordsTotal - len(rows); more > 0 {
		fmt.Fprintf(t.Out, "and %d more\n", more)
	}
	fmt.Fprintln(t.Out)
}

// Approval shows exactly what would be changed, and who has to say so.
func (t Terminal) Approval(a wire.Approval) {
	t.Changes(a.Changes)
	waits := "this waits to be confirmed until"
	if a.Needs == "other" {
		waits = "somebody other than whoever asked has to confirm this by"
	}
	fmt.Fprintf(t.Out, "\nNothing is changed yet: %s %s.\n", waits, Stamp(a.Expires))
	fmt.Fprintf(t.Out, "    %s\n    %s\n\n", t.Bold("steward approve "+string(a.ID)), t.Dim("steward approve "+string(a.ID)+" --deny"))
}

// Changes shows fields before and after, record by record.
func (t Terminal) Changes(changes []steward.Change) {
	last := ""
	for _, c := range changes {
		title := Line(fmt.Sprintf("%s %s %s", c.Connection, c.Object, c.ID))
		if c.ID == "" {
			title = Line(fmt.Sprintf("%s: a new %s", c.Connection, c.Object))
		}
		if title != last {
			fmt.Fprintln(t.Out, t.Bold(title))
			last = title
		}
		fmt.Fprintln(t.Out, "  "+Line(c.Field))
		if c.Before != nil {
			fmt.Fprintln(t.Out, "    "+t.Red("- "+Value(c.Before)))
		}
		if c.After != nil {
			fmt.Fprintln(t.Out, "    "+t.Green("+ "+Value(c.After)))
		}
	}
}

// Value writes a field's value as people read it.
func Value(v any) string {
	if f, ok := v.(float64); ok {
		return strings.TrimSuffix(fmt.Sprintf("%.2f", f), ".00")
	}
	return Line(fmt.Sprint(v))
}

// Dialogue shows what the model was told and said.
func (t Terminal) Dialogue(d wire.Dialogue) {
	for _, m := range d.Messages {
		for _, b := range m.Content {
			switch b.Type {
			case llm.Text:
				fmt.Fprintf(t.Out, "%s %s\n", t.Bold(m.Role+":"), Plain(b.Text))
			case llm.ToolUse:
				fmt.Fprintf(t.Out, "%s %s %s\n", t.Bold(m.Role+" calls"), Line(b.Name), Angled(string(b.Input)))
			case llm.ToolResult:
				fmt.Fprintf(t.Out, "%s %s\n", t.Bold("result:"), Angled(b.Content))
			}
		}
	}
}

// Angled shows JSON with its angle brackets as such, so that tokens can be recognised.
func Angled(text string) string {
	return Plain(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(text))
}

// Stamp writes a time for people.
func Stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Entries shows who did what, when, and why it was allowed.
func (t Terminal) Entries(entries []wire.Entry) {
	var rows [][]string
	for _, e := range entries {
		who := e.Caller
		if e.OnBehalfOf != "" && string(e.OnBehalfOf) != e.Caller {
			who += " for " + string(e.OnBehalfOf)
		}
		what := e.Tool
		if !strings.HasPrefix(what, e.System+"_") {
			what = strings.TrimSpace(e.System + " " + e.Tool)
		}
		if e.Effect != "" {
			what += " (" + string(e.Effect) + ")"
		}
		why := e.Decision
		if len(e.Policies) > 0 {
			why += " by " + strings.Join(e.Policies, ", ")
		}
		outcome := e.Outcome
		if e.Error != "" {
			outcome += " " + e.Error
		}
		label := e.Kind.Label()
		if label == "" {
			label = string(e.Kind)
		}
		row := []string{fmt.Sprint(e.Seq), e.Time.UTC().Format("2006-01-02 15:04:05"), label, who, what, why, outcome, strings.Join(e.Targets, " ")}
		for i := range row {
			row[i] = Line(row[i])
		}
		rows = append(rows, row)
	}
	titles := []string{"No.", "When (UTC)", "Event", "Who", "What", "Why", "Outcome", "Targets"}
	for i := len(titles) - 1; i > 0; i-- {
		if !slices.ContainsFunc(rows, func(row []string) bool { return row[i] != "" }) {
			titles = slices.Delete(titles, i, i+1)
			for j := range rows {
				rows[j] = slices.Delete(rows[j], i, i+1)
			}
		}
	}
	t.Table(t.Out, titles, rows)
}

// Erasure tells what was, or would be, forgotten.
func (t Terminal) Erasure(e retention.Erasure) {
	if e.Status == "dry_run" {
		fmt.Fprintf(t.Out, "Kept of this person: %s, %s, and %s that mention them. Nothing is destroyed yet.\n",
			Counted(e.Found.References, "reference", "references"), Counted(e.Found.Values, "value", "values"), Counted(e.Found.Texts, "text", "texts"))
		return
	}
	if e.Status == "waiting" {
		fmt.Fprintln(t.Out, "Nothing is destroyed yet: there are several administrators, and a second one has to ask for the same within 30 days.")
		fmt.Fprintln(t.Out, t.Dim(string(e.ID)))
		return
	}
	fmt.Fprintf(t.Out, "Forgotten: %s, %s, and %s that mentioned them. %s destroyed; the record of it stays and can be verified.\n",
		Counted(e.Found.References, "reference", "references"), Counted(e.Found.Values, "value", "values"), Counted(e.Found.Texts, "text", "texts"),
		Counted(e.Keys, "key was", "keys were"))
	fmt.Fprintln(t.Out, t.Dim(string(e.ID)))
}

// Counted writes a number with the word for what is counted.
func Counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
