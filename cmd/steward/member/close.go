package member

import (
	"context"
	"flag"
	"fmt"
	"net/http"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/client"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/retention"
)

// Disconnect is the command that ends what Connect began.
func Disconnect(ctx context.Context, in *command.Invocation) error {
	f := in.Flags(in.JSONFlag, in.SignIn.Flags)
	member := f.String("member", "", "whose account, by e-mail address or id of the `member` (default your own)")
	if err := in.ParseNone(f); err != nil {
		return err
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	p := in.Begin("telling Salesforce, and destroying the key")
	done, raw, err := client.Call[wire.Disconnected](ctx, c, http.MethodDelete, "/api/v1/connections/salesforce"+client.Query("member", *member), nil)
	p.Stop()
	if err != nil || in.AsJSON {
		return printRawOr(in, raw, err)
	}
	fmt.Fprintf(in.Out, "%s is disconnected from %s: the credential's key is destroyed.\n", terminal.Line(string(done.Member)), terminal.Line(string(done.Connection)))
	if !done.Revoked {
		fmt.Fprintf(in.Out, "Salesforce itself may still accept the credential (%s). End its session there.\n", terminal.Line(done.Why))
	}
	if done.Certificate != "" {
		fmt.Fprintf(in.Out, "Certificate: %s\n", terminal.Line(done.Certificate))
	}
	return nil
}

// CloseWorkspace is the command that closes the workspace.
func CloseWorkspace(ctx context.Context, in *command.Invocation) error {
	f := in.Flags(in.JSONFlag, in.SignIn.Flags)
	grace := f.Int("grace", retention.DefaultGrace, "for how many `days` it can be opened again, 0 to 90")
	all := f.Bool("delete", false, "have all of it deleted at once, without a grace")
	yes := f.Bool("yes", false, "don't ask")
	if err := in.ParseNone(f); err != nil {
		return err
	}
	ask := map[string]any{"delete": *all}
	f.Visit(func(given *flag.Flag) {
		if given.Name == "grace" {
			ask["grace_days"] = *grace
		}
	})
	if !*yes {
		if !in.InTerminal || !in.ErrTerminal {
			return in.Misused("a closed workspace is deleted in the end, which can't be undone; say --yes")
		}
		if sure, err := in.Confirm(ctx, "Close the workspace? Nobody can use it from then on, and in the end all of it is deleted."); err != nil || !sure {
			fmt.Fprintln(in.Err, "Nothing was closed.")
			return err
		}
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	closing, raw, err := client.Call[retention.Closing](ctx, c, http.MethodPost, "/api/v1/workspace/close", ask)
	if err != nil {
		return err
	}
	if in.AsJSON {
		err = in.Raw(raw)
	} else {
		fmt.Fprintln(in.Out, standing(closing))
	}
	if err == nil && closing.State == retention.Requested {
		err = command.Quiet(steward.NeedsApproval)
	}
	return err
}

// ReopenWorkspace is the command that opens it again.
func ReopenWorkspace(ctx context.Context, in *command.Invocation) error {
	if err := in.ParseNone(in.Flags(in.JSONFlag, in.SignIn.Flags)); err != nil {
		return err
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	workspace, raw, err := client.Call[shown](ctx, c, http.MethodPost, "/api/v1/workspace/reopen", nil)
	if err != nil || in.AsJSON {
		return printRawOr(in, raw, err)
	}
	fmt.Fprintf(in.Out, "The workspace %s is open.\n", terminal.Line(workspace.Name))
	return nil
}

// standing says where a workspace stands.
func standing(c retention.Closing) string {
	switch c.State {
	case retention.Requested:
		return fmt.Sprintf("Somebody asked to close it (grace: %d days, on %s). Another administrator has to ask for the same within 30 days.", c.Days, terminal.Stamp(c.Asked))
	case retention.Closed:
		text := fmt.Sprintf("Closed on %s. ", terminal.Stamp(c.Closed))
		if c.Hold != "" {
			return text + fmt.Sprintf("It would be deleted from %s on, and waits until the hold %s (%s) is released.", terminal.Stamp(c.Ends), terminal.Line(c.Hold), terminal.Line(c.Ground))
		}
		text += fmt.Sprintf("It can be opened again until %s; then all of it is deleted, by %s at the latest.", terminal.Stamp(c.Ends), terminal.Stamp(c.Due))
		if c.Late {
			text += " That is OVERDUE; the server's log says why."
		}
		return text
	}
	return "Open"
}
