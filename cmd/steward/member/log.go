package member

import (
	"context"
	"flag"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/client"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/show"
	"github.com/stewardhq/steward/internal/api/wire"
)

// purposeFlag lets people say why they look. The API decides whether that will do.
func purposeFlag(f *flag.FlagSet) *string {
	return f.String("purpose", "", "why you look: the `purpose` is audit, compliance, security or troubleshooting")
}

// Log is the command that reads the record.
func Log(ctx context.Context, in *command.Invocation) error {
	f := in.Flags(in.JSONFlag, in.SignIn.Flags)
	run := f.String("run", "", "only what the run with this `id` caused")
	purpose := purposeFlag(f)
	if err := in.ParseNone(f); err != nil {
		return err
	}
	if *run != "" && !strings.HasPrefix(*run, "run_") {
		return in.Misused("--run takes a run's id, run_…, which `steward ask` prints last")
	}
	if *purpose == "" {
		*purpose = "troubleshooting"
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	var entries []wire.Entry
	err = c.Log(ctx, steward.RunID(*run), *purpose, func(e wire.Entry, raw []byte) error {
		if in.AsJSON {
			return in.Raw(raw)
		}
		entries = append(entries, e)
		return nil
	})
	if err != nil || in.AsJSON {
		return err
	}
	show.Entries(in.Terminal, entries)
	return nil
}
