package main

import (
	"context"
	"flag"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/api/wire"
)

// purposeFlag lets people say why they look. The API decides whether that will do.
func purposeFlag(f *flag.FlagSet) *string {
	return f.String("purpose", "", "why you look: the `purpose` is audit, compliance, security or troubleshooting")
}

func runLog(ctx context.Context, in *invocation) error {
	f := in.flags(in.asJSON, in.signIn.Flags)
	run := f.String("run", "", "only what the run with this `id` caused")
	purpose := purposeFlag(f)
	if err := in.parseNone(f); err != nil {
		return err
	}
	if *run != "" && !strings.HasPrefix(*run, "run_") {
		return in.misused("--run takes a run's id, run_…, which `steward ask` prints last")
	}
	if *purpose == "" {
		*purpose = "troubleshooting"
	}
	c, err := in.dial()
	if err != nil {
		return err
	}
	var entries []wire.Entry
	err = c.Log(ctx, steward.RunID(*run), *purpose, func(e wire.Entry, raw []byte) error {
		if in.json {
			return in.Raw(raw)
		}
		entries = append(entries, e)
		return nil
	})
	if err != nil || in.json {
		return err
	}
	in.Entries(entries)
	return nil
}
