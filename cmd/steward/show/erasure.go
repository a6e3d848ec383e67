package show

import (
	"fmt"
	"strings"
	"time"

	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/retention"
)

// Erasure tells what was, or would be, forgotten.
func Erasure(t terminal.Terminal, e retention.Erasure) {
	switch e.Status {
	case "dry_run":
		fmt.Fprintf(t.Out, "Kept of this person: %s. Nothing is destroyed yet.\n", mentions(e.Found, "mention"))
		for _, f := range e.Stores {
			fmt.Fprintf(t.Out, "  %s: %s\n", terminal.Line(f.Store), mentions(f, "mention"))
		}
		return
	case "waiting":
		fmt.Fprintln(t.Out, "Nothing is destroyed yet: there are several administrators, and a second one has to ask for the same within 30 days.")
	case "deferred":
		fmt.Fprintln(t.Out, "Nothing is destroyed yet: "+put(e.Deferred)+". It is carried out once that is released.")
	default:
		fmt.Fprintf(t.Out, "Forgotten: %s. %s destroyed; the record of it stays and can be verified.\n",
			mentions(e.Found, "mentioned"), terminal.Counted(e.Keys, "key was", "keys were"))
		if e.Complete != nil && e.Complete.After(time.Now()) {
			fmt.Fprintf(t.Out, "Unreadable from now on. Backups of the key server might bring the keys back until %s.\n", terminal.Stamp(*e.Complete))
		}
	}
	if e.Certificate != "" {
		fmt.Fprintf(t.Out, "It is certified: steward certificates %s\n", terminal.Line(e.Certificate))
	} else if e.Due != nil {
		fmt.Fprintf(t.Out, "It is to be complete by %s; steward erase --list says how far it is.\n", terminal.Stamp(*e.Due))
	}
	fmt.Fprintln(t.Out, t.Dim(terminal.Line(string(e.ID))))
}

func mentions(f retention.Found, mention string) string {
	return fmt.Sprintf("%s, %s, and %s that %s them", terminal.Counted(f.References, "reference", "references"), terminal.Counted(f.Values, "value", "values"),
		terminal.Counted(f.Texts, "text", "texts"), mention)
}

// put says what an erasure waits for.
func put(d *retention.Deferral) string {
	if d == nil || d.Hold == "" {
		return "it is put off"
	}
	return fmt.Sprintf("it is put off since %s by the hold %s, because of %s", d.Since.UTC().Format(time.DateOnly), terminal.Line(d.Hold), terminal.Line(d.Ground))
}

// Duties lists erasures and how far they are.
func Duties(t terminal.Terminal, list []retention.Duty) {
	var rows [][]string
	for _, d := range list {
		state := terminal.Line(string(d.State))
		if d.State == retention.Deferred {
			state = put(&d.Deferral)
		}
		if d.Overdue && d.State != retention.Complete {
			state = t.Red("OVERDUE") + " " + state
		}
		rows = append(rows, []string{terminal.Line(string(d.ID)), terminal.Stamp(d.Asked), terminal.Line(string(d.Requester)), terminal.Line(string(d.Approver)), terminal.Stamp(d.Due), state, terminal.Line(d.Certificate)})
	}
	t.Table(t.Out, []string{"Erasure", "Asked", "By", "Agreed", "Due", "State", "Certificate"}, rows)
}

// Certificates lists them.
func Certificates(t terminal.Terminal, list []retention.Signed) {
	var rows [][]string
	for _, s := range list {
		c := s.Certificate
		rows = append(rows, []string{terminal.Line(c.ID), terminal.Line(c.Kind), terminal.Line(c.Of), terminal.Stamp(c.Complete), fmt.Sprint(len(c.Scopes))})
	}
	t.Table(t.Out, []string{"Certificate", "Of", "Asked as", "Complete", "Keys"}, rows)
}

// Certificate tells what one certifies.
func Certificate(t terminal.Terminal, c retention.Certificate) {
	line := func(name, value string) { fmt.Fprintf(t.Out, "  %-12s %s\n", name, terminal.Line(value)) }
	fmt.Fprintln(t.Out, t.Bold(terminal.Line(c.ID))+" certifies that a "+terminal.Line(c.Kind)+" was forgotten")
	by := string(c.Requester)
	if c.Approver != "" {
		by += ", agreed to by " + string(c.Approver)
	}
	line("Asked", terminal.Stamp(c.Asked)+" by "+by+", as "+c.Of)
	if c.Hold != "" {
		line("Held", "because of "+c.Hold)
	}
	line("Unreadable", terminal.Stamp(c.Unreadable))
	line("Complete", terminal.Stamp(c.Complete))
	var found, keys, tell []string
	for _, f := range c.Found {
		found = append(found, fmt.Sprintf("%d %s", f.Number, f.What))
	}
	for _, scope := range c.Scopes {
		keys = append(keys, string(scope))
	}
	for _, system := range c.Elsewhere {
		tell = append(tell, string(system))
	}
	line("What", strings.Join(found, ", "))
	line("Keys", strings.Join(keys, " "))
	line("Method", c.Method)
	line("Verified", fmt.Sprintf("of %s and %s tried with the keys of then, %d opened", terminal.Counted(c.Verified.Boxes, "sealed value", "sealed values"), terminal.Counted(c.Verified.Scopes, "key", "keys"), c.Verified.Opened))
	line("By", c.Tool+" "+c.Version)
	if len(tell) > 0 {
		line("Tell", strings.Join(tell, ", ")+": what lies there isn't Steward's to forget")
	}
}
