package main

import (
	"context"
	"fmt"

	"github.com/stewardhq/steward"
)

func runErase(ctx context.Context, in *invocation) error {
	f := in.flags(in.asJSON, in.signIn.Flags)
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
	c, err := in.dial()
	if err != nil {
		return err
	}
	if !*dryRun && !*yes {
		found, _, err := c.Erase(ctx, *person, true)
		if err != nil {
			return err
		}
		in.Erasure(found)
		if sure, err := in.Confirm(ctx, "Forget them for ever?"); err != nil || !sure {
			fmt.Fprintln(in.Err, "Nothing was forgotten.")
			return err
		}
	}
	p := in.Begin("destroying keys")
	erasure, raw, err := c.Erase(ctx, *person, *dryRun)
	p.Stop()
	if err != nil {
		return err
	}
	if in.json {
		err = in.Raw(raw)
	} else {
		in.Erasure(erasure)
	}
	if err == nil && erasure.Status == "waiting" {
		err = quiet{steward.NeedsApproval}
	}
	return err
}
