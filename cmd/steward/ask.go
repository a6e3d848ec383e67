package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/client"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/api/wire"
)

// listedRecords is how many of an answer's records are printed.
const listedRecords = 20

func runAsk(ctx context.Context, in *invocation) error {
	f := in.flags(in.asJSON, in.signIn.Flags)
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
	c, err := in.dial()
	if err != nil {
		return err
	}
	p := in.Begin("looking for an answer")
	answer, raw, err := c.Ask(ctx, question, steward.ConversationID(*conversation))
	p.Stop()
	if err != nil {
		return err
	}
	if err := in.printAnswer(answer, raw); err != nil || in.json || answer.Approval == nil {
		return ended(answer, err)
	}
	if answer.Approval.Needs != "self" || !in.InTerminal || !in.ErrTerminal {
		return ended(answer, nil)
	}
	yes, err := in.Confirm(ctx, "Change this now?")
	if err != nil || !yes {
		return ended(answer, err)
	}
	return in.decide(ctx, c, answer.Approval.ID, true)
}

func (in *invocation) printExamples() error {
	var rows [][]string
	if in.json {
		return in.JSON(map[string][]wire.Example{"examples": examples()})
	}
	for _, e := range examples() {
		rows = append(rows, []string{"  " + e.Question, in.Dim(e.What)})
	}
	fmt.Fprintln(in.Out, "The built-in model understands questions like these; names in them are invented.")
	in.Columns(in.Out, rows)
	return nil
}

func runApprove(ctx context.Context, in *invocation) error {
	f := in.flags(in.asJSON, in.signIn.Flags)
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
	c, err := in.dial()
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return in.printWaiting(ctx, c)
	}
	return in.decide(ctx, c, steward.ProposalID(ids[0]), !*deny)
}

// decide settles a proposal and prints what came of its run.
func (in *invocation) decide(ctx context.Context, c *client.Client, id steward.ProposalID, yes bool) error {
	p := in.Begin("carrying on")
	answer, raw, err := c.Approve(ctx, id, yes)
	p.Stop()
	if err != nil {
		return err
	}
	return ended(answer, in.printAnswer(answer, raw))
}

func (in *invocation) printWaiting(ctx context.Context, c *client.Client) error {
	waiting, raw, err := c.Approvals(ctx)
	if err != nil {
		return err
	}
	if in.json {
		return in.Raw(raw)
	}
	if len(waiting.Approvals) == 0 {
		fmt.Fprintln(in.Out, "Nothing waits for approval.")
	}
	for _, a := range waiting.Approvals {
		in.Approval(a)
	}
	return nil
}

func runShow(ctx context.Context, in *invocation) error {
	f := in.flags(in.asJSON, in.signIn.Flags)
	purpose := purposeFlag(f)
	told := f.Bool("model-view", false, "show exactly what the model was told, in tokens")
	id, err := in.parseOne(f, "the run's ID")
	if err != nil {
		return err
	}
	c, err := in.dial()
	if err != nil {
		return err
	}
	if *told {
		dialogue, raw, err := c.Dialogue(ctx, steward.RunID(id), *purpose)
		if err != nil || in.json {
			return in.printRawOr(raw, err)
		}
		in.Dialogue(dialogue)
		return nil
	}
	answer, raw, err := c.Run(ctx, steward.RunID(id), *purpose)
	if err != nil || in.json {
		return in.printRawOr(raw, err)
	}
	fmt.Fprintf(in.Out, "%s %s\n\n", in.Bold("Asked "+terminal.Stamp(answer.Created)+":"), terminal.Plain(answer.Question))
	if err := in.printAnswer(answer, raw); err != nil {
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
		err = quiet{steward.NeedsApproval}
	}
	return err
}

// printRawOr prints JSON as the server wrote it, unless asking for it failed.
func (in *invocation) printRawOr(raw []byte, err error) error {
	if err != nil {
		return err
	}
	return in.Raw(raw)
}

// printAnswer prints a run's end: the answer, what it rests on, and what it waits for.
func (in *invocation) printAnswer(a wire.Answer, raw []byte) error {
	if in.json {
		return in.Raw(raw)
	}
	if a.Answer != "" {
		in.Markdown(in.Out, a.Answer)
		fmt.Fprintln(in.Out)
	}
	in.Records(a, listedRecords)
	if a.Approval != nil {
		in.Approval(*a.Approval)
	}
	fmt.Fprintln(in.Out, in.Dim(string(a.Run)))
	return nil
}
