package main

import (
	"context"
	"fmt"

	"github.com/stewardhq/steward/internal/retention"
)

func runErase(ctx context.Context, in *invocation) error {
	f := in.flags(in.asJSON, in.client.Flags)
	person := f.String("person", "", "`who`: a record such as salesforce:Contact:003…, or an e-mail address")
	dryRun := f.Bool("dry-run", false, "only tell what would be destroyed")
	yes := f.Bool("yes", false, "don't ask; this can't be undone")
	if err := in.parseNone(f); err != nil {
		return err
	}
	if *person == "" {
		return in.misused("--person is needed, such as salesforce:Contact:003… or an e-mail address")
	}
	if !*dryRun && !*yes && (!in.InTerminal || !in.ErrTerminal) {
		return in.misused("forgetting somebody can't be undone; say --yes, or look first with --dry-run")
	}
	c, err := dial(in.client)
	if err != nil {
		return err
	}
	if !*dryRun && !*yes {
		found, _, err := c.erase(ctx, *person, true)
		if err != nil {
			return err
		}
		in.printErasure(found)
		if sure, err := in.confirm(ctx, "Forget them for ever?"); err != nil || !sure {
			fmt.Fprintln(in.Err, "Nothing was forgotten.")
			return err
		}
	}
	p := in.begin("destroying keys")
	erasure, raw, err := c.erase(ctx, *person, *dryRun)
	p.stop()
	if err != nil || in.json {
		return in.printRawOr(raw, err)
	}
	in.printErasure(erasure)
	return nil
}

// printErasure tells what was, or would be, forgotten.
func (s stdio) printErasure(e retention.Erasure) {
	if e.Status == "dry_run" {
		fmt.Fprintf(s.Out, "Kept of this person: %s, %s, and %s that mention them. Nothing is destroyed yet.\n",
			counted(e.Found.References, "reference", "references"), counted(e.Found.Values, "value", "values"), counted(e.Found.Texts, "text", "texts"))
		return
	}
	fmt.Fprintf(s.Out, "Forgotten: %s, %s, and %s that mentioned them. %s destroyed; the record of it stays and can be verified.\n",
		counted(e.Found.References, "reference", "references"), counted(e.Found.Values, "value", "values"), counted(e.Found.Texts, "text", "texts"),
		counted(e.Keys, "key was", "keys were"))
	fmt.Fprintln(s.Out, s.dim(string(e.ID)))
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
