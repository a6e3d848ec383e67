// Package show answers: how do people see what the API answers? It sets out answers, changes, entries and
// erasures on a terminal; it doesn't know who asked for them, nor how they came.
package show

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/llm"
)

// Records lists what an answer rests on, with the links that the connector built.
func Records(t terminal.Terminal, a wire.Answer, most int) {
	if len(a.Records) == 0 {
		return
	}
	var rows [][]string
	for _, r := range a.Records[:min(most, len(a.Records))] {
		rows = append(rows, []string{terminal.Line(r.Object), terminal.Line(r.Name), t.Dim(terminal.Line(r.URL))})
	}
	t.Table(t.Out, []string{"Rests on", "Name", "Link"}, rows)
	if more := a.RecordsTotal - len(rows); more > 0 {
		fmt.Fprintf(t.Out, "and %d more\n", more)
	}
	fmt.Fprintln(t.Out)
}

// Approval shows exactly what would be changed, and who has to say so.
func Approval(t terminal.Terminal, a wire.Approval) {
	Changes(t, a.Changes)
	waits := "this waits to be confirmed until"
	if a.Needs == "other" {
		waits = "somebody other than whoever asked has to confirm this by"
	}
	fmt.Fprintf(t.Out, "\nNothing is changed yet: %s %s.\n", waits, terminal.Stamp(a.Expires))
	id := terminal.Line(string(a.ID))
	fmt.Fprintf(t.Out, "    %s\n    %s\n\n", t.Bold("steward approve "+id), t.Dim("steward approve "+id+" --deny"))
}

// Changes shows fields before and after, record by record.
func Changes(t terminal.Terminal, changes []steward.Change) {
	last := ""
	for _, c := range changes {
		title := terminal.Line(fmt.Sprintf("%s %s %s", c.Connection, c.Object, c.ID))
		if c.ID == "" {
			title = terminal.Line(fmt.Sprintf("%s: a new %s", c.Connection, c.Object))
		}
		if title != last {
			fmt.Fprintln(t.Out, t.Bold(title))
			last = title
		}
		fmt.Fprintln(t.Out, "  "+terminal.Line(c.Field))
		if c.Before != nil {
			fmt.Fprintln(t.Out, "    "+t.Red("- "+terminal.Value(c.Before)))
		}
		if c.After != nil {
			fmt.Fprintln(t.Out, "    "+t.Green("+ "+terminal.Value(c.After)))
		}
	}
}

// Dialogue shows what the model was told and said.
func Dialogue(t terminal.Terminal, d wire.Dialogue) {
	for _, m := range d.Messages {
		for _, b := range m.Content {
			switch b.Type {
			case llm.Text:
				fmt.Fprintf(t.Out, "%s %s\n", t.Bold(m.Role+":"), terminal.Plain(b.Text))
			case llm.ToolUse:
				fmt.Fprintf(t.Out, "%s %s %s\n", t.Bold(m.Role+" calls"), terminal.Line(b.Name), terminal.Angled(string(b.Input)))
			case llm.ToolResult:
				fmt.Fprintf(t.Out, "%s %s\n", t.Bold("result:"), terminal.Angled(b.Content))
			}
		}
	}
}

// Entries shows who did what, when, and why it was allowed.
func Entries(t terminal.Terminal, entries []wire.Entry) {
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
			row[i] = terminal.Line(row[i])
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

// Token shows a token, the only time that it can be. A nil expiry is not spoken of.
func Token(t terminal.Terminal, secret string, expires *time.Time) {
	until := ""
	if expires != nil {
		until = " It is good until " + terminal.Stamp(*expires) + "."
	}
	fmt.Fprintf(t.Out, "The token is shown this once; hand it over safely.%s\n\n    %s\n", until, t.Bold("export STEWARD_TOKEN="+terminal.Line(secret)))
}
