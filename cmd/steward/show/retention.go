package show

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/retention"
	"github.com/stewardhq/steward/internal/retention/custody"
)

// Retention shows what is kept of each class and when it goes, in numbers and as a calendar, and why it doesn't, if
// it doesn't.
func Retention(t terminal.Terminal, kept []retention.Held, holds []custody.Hold, stopped string) {
	if stopped != "" {
		fmt.Fprintf(t.Out, "%s %s\n", t.Bold("Stopped:"), terminal.Line(stopped))
	}
	for _, h := range holds {
		fmt.Fprintf(t.Out, "%s %s\n", t.Bold("Held:"), held(h))
	}
	var rows [][]string
	going := map[string][]string{} // by day
	for _, h := range kept {
		class, oldest := terminal.Line(string(h.Class)), terminal.Line(h.Oldest)
		row := []string{class, fmt.Sprint(h.Days), fmt.Sprint(h.Periods), "", ""}
		if h.Periods > 0 && h.Next != nil {
			row[3], row[4] = oldest, h.Next.UTC().Format(time.DateOnly)
			going[row[4]] = append(going[row[4]], class+" of "+oldest)
		}
		if h.Due > 0 {
			row[4] = t.Red("due")
		}
		rows = append(rows, row)
	}
	t.Table(t.Out, []string{"Class", "Days", "Periods", "Oldest", "Goes"}, rows)
	days := make([]string, 0, len(going))
	for day := range going {
		days = append(days, day)
	}
	slices.Sort(days)
	if len(days) > 0 {
		fmt.Fprintln(t.Out, "\n"+t.Bold("What goes next"))
	}
	for _, day := range days {
		fmt.Fprintf(t.Out, "  %s  %s\n", day, strings.Join(going[day], ", "))
	}
}
