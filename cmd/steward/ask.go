package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/agent"
	"github.com/stewardhq/steward/internal/api"
	"github.com/stewardhq/steward/internal/llm"
)

// listedRecords is how many of an answer's records are printed.
const listedRecords = 20

func runAsk(ctx context.Context, in *invocation) error {
	f := in.flags(in.asJSON, in.client.Flags)
	examples := f.Bool("examples", false, "list what can be asked of the built-in model")
	conversation := f.String("conversation", "", "go on with the conversation of this `id`")
	words, err := in.parse(f)
	if err != nil {
		return err
	}
	if *examples {
		return in.printExamples()
	}
	question := strings.TrimSpace(strings.Join(words, " "))
	if question == "" {
		return in.misused("a question is missing, such as \"What is our win rate this quarter by owner?\"")
	}
	c, err := dial(in.client)
	if err != nil {
		return err
	}
	p := in.begin("looking for an answer")
	answer, raw, err := c.ask(ctx, question, steward.ConversationID(*conversation))
	p.stop()
	if err != nil {
		return err
	}
	if err := in.printAnswer(answer, raw); err != nil || in.json || answer.Approval == nil {
		return ended(answer, err)
	}
	if answer.Approval.Needs != "self" || !in.InTerminal || !in.ErrTerminal {
		return ended(answer, nil)
	}
	yes, err := in.confirm(ctx, "Change this now?")
	if err != nil || !yes {
		return ended(answer, err)
	}
	return in.decide(ctx, c, answer.Approval.ID, true)
}

func (in *invocation) printExamples() error {
	var rows [][]string
	if in.json {
		return in.printJSON(map[string][]api.Example{"examples": examples()})
	}
	for _, e := range examples() {
		rows = append(rows, []string{"  " + e.Question, in.dim(e.What)})
	}
	fmt.Fprintln(in.Out, "The built-in model understands questions like these; names in them are invented.")
	in.columns(in.Out, rows)
	return nil
}

func runApprove(ctx context.Context, in *invocation) error {
	f := in.flags(in.asJSON, in.client.Flags)
	deny := f.Bool("deny", false, "refuse instead: nothing is changed")
	ids, err := in.parse(f)
	if err != nil {
		return err
	}
	if len(ids) > 1 {
		return in.misused("one ID at a time")
	}
	if len(ids) == 0 && *deny {
		return in.misused("--deny needs the ID of what to refuse")
	}
	c, err := dial(in.client)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return in.printWaiting(ctx, c)
	}
	return in.decide(ctx, c, steward.ProposalID(ids[0]), !*deny)
}

// decide settles a proposal and prints what came of its run.
func (in *invocation) decide(ctx context.Context, c *client, id steward.ProposalID, yes bool) error {
	p := in.begin("carrying on")
	answer, raw, err := c.approve(ctx, id, yes)
	p.stop()
	if err != nil {
		return err
	}
	return ended(answer, in.printAnswer(answer, raw))
}

func (in *invocation) printWaiting(ctx context.Context, c *client) error {
	waiting, raw, err := c.approvals(ctx)
	if err != nil {
		return err
	}
	if in.json {
		return in.printRaw(raw)
	}
	if len(waiting.Approvals) == 0 {
		fmt.Fprintln(in.Out, "Nothing waits for approval.")
	}
	for _, a := range waiting.Approvals {
		in.printApproval(a)
	}
	return nil
}

func runShow(ctx context.Context, in *invocation) error {
	f := in.flags(in.asJSON, in.client.Flags)
	purpose := purposeFlag(f)
	told := f.Bool("model-view", false, "show exactly what the model was told, in tokens")
	id, err := in.parseOne(f, "the run's ID")
	if err != nil {
		return err
	}
	c, err := dial(in.client)
	if err != nil {
		return err
	}
	if *told {
		dialogue, raw, err := c.dialogue(ctx, steward.RunID(id), *purpose)
		if err != nil || in.json {
			return in.printRawOr(raw, err)
		}
		in.printDialogue(dialogue)
		return nil
	}
	answer, raw, err := c.run(ctx, steward.RunID(id), *purpose)
	if err != nil || in.json {
		return in.printRawOr(raw, err)
	}
	fmt.Fprintf(in.Out, "%s %s\n\n", in.bold("Asked "+stamp(answer.Created)+":"), plain(answer.Question))
	if err := in.printAnswer(answer, raw); err != nil {
		return err
	}
	if answer.Error != nil { // what is shown is how it ended then; showing it did not fail
		fmt.Fprintf(in.Out, "It ended with: %s\n", plain(answer.Error.Message))
	}
	return nil
}

// ended is how a run's end becomes the command's.
func ended(a api.Answer, err error) error {
	switch {
	case err != nil:
		return err
	case a.Error != nil:
		return steward.Errorf(kindNamed(a.Error.Kind), "%s", a.Error.Message)
	case a.Status == agent.Waiting:
		return quiet{steward.NeedsApproval}
	}
	return nil
}

// printRaw prints JSON as the server wrote it, on one line.
func (in *invocation) printRaw(raw []byte) error {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return err
	}
	_, err := fmt.Fprintln(in.Out, b.String())
	return err
}

func (in *invocation) printRawOr(raw []byte, err error) error {
	if err != nil {
		return err
	}
	return in.printRaw(raw)
}

// printAnswer prints a run's end: the answer, what it rests on, and what it waits for.
func (in *invocation) printAnswer(a api.Answer, raw []byte) error {
	if in.json {
		return in.printRaw(raw)
	}
	if a.Answer != "" {
		in.markdown(in.Out, a.Answer)
		fmt.Fprintln(in.Out)
	}
	in.printRecords(a, listedRecords)
	if a.Approval != nil {
		in.printApproval(*a.Approval)
	}
	fmt.Fprintln(in.Out, in.dim(string(a.Run)))
	return nil
}

// printRecords lists what an answer rests on, with the links that the connector built.
func (s stdio) printRecords(a api.Answer, most int) {
	if len(a.Records) == 0 {
		return
	}
	var rows [][]string
	for _, r := range a.Records[:min(most, len(a.Records))] {
		rows = append(rows, []string{line(r.Object), line(r.Name), s.dim(line(r.URL))})
	}
	s.table(s.Out, []string{"Rests on", "Name", "Link"}, rows)
	if more := a.RecordsTotal - len(rows); more > 0 {
		fmt.Fprintf(s.Out, "and %d more\n", more)
	}
	fmt.Fprintln(s.Out)
}

// printApproval shows exactly what would be changed, and who has to say so.
func (s stdio) printApproval(a api.Approval) {
	s.printChanges(a.Changes)
	who := "your approval"
	if a.Needs == "other" {
		who = "somebody else's approval"
	}
	fmt.Fprintf(s.Out, "\nNothing is changed yet: this waits for %s until %s.\n", who, stamp(a.Expires))
	fmt.Fprintf(s.Out, "    %s\n    %s\n\n", s.bold("steward approve "+string(a.ID)), s.dim("steward approve "+string(a.ID)+" --deny"))
}

// printChanges shows fields before and after, record by record.
func (s stdio) printChanges(changes []steward.Change) {
	last := ""
	for _, c := range changes {
		title := line(fmt.Sprintf("%s %s %s", c.Connection, c.Object, c.ID))
		if c.ID == "" {
			title = line(fmt.Sprintf("%s: a new %s", c.Connection, c.Object))
		}
		if title != last {
			fmt.Fprintln(s.Out, s.bold(title))
			last = title
		}
		fmt.Fprintln(s.Out, "  "+line(c.Field))
		if c.Before != nil {
			fmt.Fprintln(s.Out, "    "+s.red("- "+value(c.Before)))
		}
		if c.After != nil {
			fmt.Fprintln(s.Out, "    "+s.green("+ "+value(c.After)))
		}
	}
}

// value writes a field's value as people read it.
func value(v any) string {
	if f, ok := v.(float64); ok {
		return strings.TrimSuffix(fmt.Sprintf("%.2f", f), ".00")
	}
	return line(fmt.Sprint(v))
}

// printDialogue shows what the model was told and said.
func (s stdio) printDialogue(d api.Dialogue) {
	for _, m := range d.Messages {
		for _, b := range m.Content {
			switch b.Type {
			case llm.Text:
				fmt.Fprintf(s.Out, "%s %s\n", s.bold(m.Role+":"), plain(b.Text))
			case llm.ToolUse:
				fmt.Fprintf(s.Out, "%s %s %s\n", s.bold(m.Role+" calls"), line(b.Name), angled(string(b.Input)))
			case llm.ToolResult:
				fmt.Fprintf(s.Out, "%s %s\n", s.bold("result:"), angled(b.Content))
			}
		}
	}
}

// angled shows JSON with its angle brackets as such, so that tokens can be recognised.
func angled(text string) string {
	return plain(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(text))
}

// stamp writes a time for people.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
