package member

import (
	"context"
	"fmt"
	"net/http"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/client"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/show"
	"github.com/stewardhq/steward/internal/retention"
)

// Erase is the command that forgets a person.
func Erase(ctx context.Context, in *command.Invocation) error {
	f := in.Flags(in.JSONFlag, in.SignIn.Flags)
	person := f.String("person", "", "`who`: a record such as salesforce:Contact:003…, an e-mail address, a phone number or a full name")
	list := f.Bool("list", false, "list the erasures that were asked for and how far they are, instead")
	dryRun := f.Bool("dry-run", false, "only tell what would be destroyed")
	yes := f.Bool("yes", false, "don't ask; this can't be undone")
	if err := in.ParseNone(f); err != nil {
		return err
	}
	if *list {
		return listErasures(ctx, in)
	}
	if *person == "" {
		return in.Misused("--person is needed, such as salesforce:Contact:003… or an e-mail address")
	}
	if !*dryRun && !*yes && (!in.InTerminal || !in.ErrTerminal) {
		return in.Misused("forgetting somebody can't be undone; say --yes, or look first with --dry-run")
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	if !*dryRun && !*yes {
		p := in.Begin("searching what is kept")
		found, _, err := c.Erase(ctx, *person, true)
		p.Stop()
		if err != nil {
			return err
		}
		show.Erasure(in.Terminal, found)
		if sure, err := in.Confirm(ctx, "Forget them for ever?"); err != nil || !sure {
			fmt.Fprintln(in.Err, "Nothing was forgotten.")
			return err
		}
	}
	p := in.Begin("searching what is kept, and destroying keys")
	erasure, raw, err := c.Erase(ctx, *person, *dryRun)
	p.Stop()
	if err != nil {
		return err
	}
	if in.AsJSON {
		err = in.Raw(raw)
	} else {
		show.Erasure(in.Terminal, erasure)
	}
	if err == nil && erasure.Status == "waiting" {
		err = command.Quiet(steward.NeedsApproval)
	}
	return err
}

func listErasures(ctx context.Context, in *command.Invocation) error {
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	list, raw, err := client.Call[struct {
		Erasures []retention.Duty `json:"erasures"`
	}](ctx, c, http.MethodGet, "/api/v1/erasures", nil)
	if err != nil || in.AsJSON {
		return printRawOr(in, raw, err)
	}
	show.Duties(in.Terminal, list.Erasures)
	return nil
}
