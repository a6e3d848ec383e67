package show

import (
	"fmt"
	"time"

	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/retention/custody"
)

// Hold shows a hold, and what it is on.
func Hold(t terminal.Terminal, h custody.Hold, m custody.Matter) {
	on := "everything"
	switch {
	case m.Run != "":
		on = string(m.Run)
	case len(m.Records) > 0:
		on = m.Records[0].String()
		for _, ref := range m.Records[1:] {
			on += ", " + ref.String()
		}
	}
	fmt.Fprintf(t.Out, "%s %s, since %s, because of %s\n", t.Bold("Held:"), terminal.Line(on), h.Since.UTC().Format(time.DateOnly), terminal.Line(h.Ground))
}

// Kept shows one thing that is under a hold.
func Kept(t terminal.Terminal, k custody.Kept) {
	name := t.Bold(terminal.Line(k.Name))
	if k.Aside {
		name += " (copied aside; gone from where it was)"
	}
	fmt.Fprintf(t.Out, "\n%s\n  %s\n", name, terminal.Line(k.Text))
}

// held says in a line what a hold keeps.
func held(h custody.Hold) string {
	what := "nothing goes"
	switch h.On {
	case custody.OnPerson:
		what = "what is kept of a person doesn't go"
	case custody.OnRun:
		what = "what is kept of a run doesn't go"
	}
	return fmt.Sprintf("%s since %s, because of %s (%s)", what, h.Since.UTC().Format(time.DateOnly), terminal.Line(h.Ground), terminal.Line(h.ID))
}
