package member

import (
	"context"
	"flag"
	"strings"

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
	var pairs []string
	ask := map[string]*string{"purpose": purposeFlag(f)}
	for _, flag := range []struct{ name, usage string }{
		{"run", "only what the run with this `id` caused"},
		{"member", "only what this member (`id`) did, or had done"},
		{"agent", "only what this agent (`id`) did"},
		{"system", "only calls of this `system`, such as salesforce"},
		{"tool", "only calls of this `tool`, such as salesforce_query"},
		{"target", "only what changed this `record`, such as salesforce:Opportunity:006…"},
		{"person", "only what concerned this person, by `record or address`; reads included"},
		{"kind", "only entries of this `kind`, such as call.denied"},
		{"effect", "only calls with this `effect`: read, write, send or delete"},
		{"decision", "only what was decided so: allow, deny, needs_self or needs_other"},
		{"outcome", "only what ended so: ok, error, denied, unknown or waiting"},
		{"text", "only entries with this `text` in them, sealed parts included"},
		{"since", "only what was recorded at or after this `time` or day (UTC)"},
		{"until", "only what was recorded before this `time` or day (UTC)"},
		{"from", "begin at the entry with this `number`"},
		{"before", "end before the entry with this `number`"},
		{"limit", "this `many` entries at most"},
	} {
		ask[flag.name] = f.String(flag.name, "", flag.usage)
	}
	newest := f.Bool("newest", false, "the newest first")
	if err := in.ParseNone(f); err != nil {
		return err
	}
	if run := *ask["run"]; run != "" && !strings.HasPrefix(run, "run_") {
		return in.Misused("--run takes a run's id, run_…, which `steward ask` prints last")
	}
	if *ask["purpose"] == "" {
		*ask["purpose"] = "troubleshooting"
	}
	for name, value := range ask {
		pairs = append(pairs, name, *value)
	}
	if *newest {
		pairs = append(pairs, "order", "newest")
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	var entries []wire.Entry
	err = c.Log(ctx, client.Query(pairs...), func(e wire.Entry, raw []byte) error {
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
