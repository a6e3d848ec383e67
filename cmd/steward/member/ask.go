// Package member answers: how does a member have Steward do something from a terminal? Each command asks the
// server through its API, as that member, and shows what came; how the server comes to it, it doesn't know.
package member

import (
	"context"
	"fmt"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/client"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/show"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/api/wire"
)

// listedRecords is how many of an answer's records are printed.
const listedRecords = 20

// Ask is the command that asks a question; examples are what it says can be asked.
func Ask(examples []wire.Example) func(context.Context, *command.Invocation) error {
	return func(ctx context.Context, in *command.Invocation) error { return ask(ctx, in, examples) }
}

func ask(ctx context.Context, in *command.Invocation, listed []wire.Example) error {
	f := in.Flags(in.JSONFlag, in.SignIn.Flags)
	examples := f.Bool("examples", false, "list what can be asked of the built-in model")
	conversation := f.String("conversation", "", "go on with the conversation of this `id`")
	words, err := in.Parse(f)
	if err != nil {
		return err
	}
	if *examples {
		return printExamples(in, listed)
	}
	question := strings.TrimSpace(strings.Join(words, " "))
	if question == "" {
		return in.Misused("a question is missing, such as \"What is our win rate this quarter by owner?\"")
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	p := in.Begin("looking for an answer")
	answer, raw, err := c.Ask(ctx, question, steward.ConversationID(*conversation))
	p.Stop()
	if err != nil {
		return err
	}
	if err := printAnswer(in, answer, raw); err != nil || in.AsJSON || answer.Approval == nil {
		return ended(answer, err)
	}
	if answer.Approval.Needs != "self" || !in.InTerminal || !in.ErrTerminal {
		return ended(answer, nil)
	}
	yes, err := in.Confirm(ctx, "Change this now?")
	if err != nil || !yes {
		return ended(answer, err)
	}
	return decide(ctx, in, c, answer.Approval.ID, true)
}

func printExamples(in *command.Invocation, listed []wire.Example) error {
	var rows [][]string
	if in.AsJSON {
		return in.JSON(map[string][]wire.Example{"examples": listed})
	}
	for _, e := range listed {
		rows = append(rows, []string{"  " + e.Question, in.Dim(e.What)})
	}
	fmt.Fprintln(in.Out, "The built-in model understands questions like these; names in them are invented.")
	in.Columns(in.Out, rows)
	return nil
}

// Approve is the command that confirms or refuses what waits, or lists it.
func Approve(ctx context.Context, in *command.Invocation) error {
	f := in.Flags(in.JSONFlag, in.SignIn.Flags)
	deny := f.Bool("deny", false, "refuse instead: nothing is changed")
	ids, err := in.Parse(f)
	if err != nil {
		return err
	}
	if len(ids) > 1 {
		return in.Misused("one ID at a time")
	}
	if len(ids) == 0 && *deny {
		return in.Misused("--deny needs the ID of what to refuse")
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return printWaiting(ctx, in, c)
	}
	return decide(ctx, in, c, steward.ProposalID(ids[0]), !*deny)
}

// decide settles a proposal and prints what came of its run.
func decide(ctx context.Context, in *command.Invocation, c *client.Client, id steward.ProposalID, yes bool) error {
	p := in.Begin("carrying on")
	answer, raw, err := c.Approve(ctx, id, yes)
	p.Stop()
	if err != nil {
		return err
	}
	return ended(answer, printAnswer(in, answer, raw))
}

func printWaiting(ctx context.Context, in *command.Invocation, c *client.Client) error {
	waiting, raw, err := c.Approvals(ctx)
	if err != nil {
		return err
	}
	if in.AsJSON {
		return in.Raw(raw)
	}
	if len(waiting.Approvals) == 0 {
		fmt.Fprintln(in.Out, "Nothing waits for approval.")
	}
	for _, a := range waiting.Approvals {
		show.Approval(in.Terminal, a)
	}
	return nil
}

// ShowRun is the command that shows a run again.
func ShowRun(ctx context.Context, in *command.Invocation) error {
	f := in.Flags(in.JSONFlag, in.SignIn.Flags)
	purpose := purposeFlag(f)
	told := f.Bool("model-view", false, "show exactly what the model was told, in tokens")
	id, err := in.ParseOne(f, "the run's ID")
	if err != nil {
		return err
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	if *told {
		dialogue, raw, err := c.Dialogue(ctx, steward.RunID(id), *purpose)
		if err != nil || in.AsJSON {
			return printRawOr(in, raw, err)
		}
		show.Dialogue(in.Terminal, dialogue)
		return nil
	}
	answer, raw, err := c.Run(ctx, steward.RunID(id), *purpose)
	if err != nil || in.AsJSON {
		return printRawOr(in, raw, err)
	}
	fmt.Fprintf(in.Out, "%s %s\n\n", in.Bold("Asked "+terminal.Stamp(answer.Created)+":"), terminal.Plain(answer.Question))
	if err := printAnswer(in, answer, raw); err != nil {
		return err
	}
	if answer.Error != nil { // what is shown is how it ended then; showing it did not fail
		fmt.Fprintf(in.Out, "It ended with: %s\n", terminal.Plain(answer.Error.Message))
	}
	return nil
}

// ended is how a run's end becomes the command's.
func ended(a wire.Answer, err error) error {
	if err == nil {
		err = client.Failed(a)
	}
	if err == nil && a.Status == wire.Waiting {
		err = command.Quiet(steward.NeedsApproval)
	}
	return err
}

// printRawOr prints JSON as the server wrote it, unless asking for it failed.
func printRawOr(in *command.Invocation, raw []byte, err error) error {
	if err != nil {
		return err
	}
	return in.Raw(raw)
}

// printAnswer prints a run's end: the answer, what it rests on, and what it waits for.
func printAnswer(in *command.Invocation, a wire.Answer, raw []byte) error {
	if in.AsJSON {
		return in.Raw(raw)
	}
	if a.Answer != "" {
		in.Markdown(in.Out, a.Answer)
		fmt.Fprintln(in.Out)
	}
	show.Records(in.Terminal, a, listedRecords)
	if a.Approval != nil {
		show.Approval(in.Terminal, *a.Approval)
	}
	fmt.Fprintln(in.Out, in.Dim(terminal.Line(string(a.Run))))
	return nil
}
