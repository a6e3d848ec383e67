package main

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/api"
)

// purposeFlag lets people say why they look. The API decides whether that will do.
func purposeFlag(f *flag.FlagSet) *string {
	return f.String("purpose", "", "why you look: the `purpose` is audit, compliance, security or troubleshooting")
}

func runLog(ctx context.Context, in *invocation) error {
	f := in.flags(in.asJSON, in.client.Flags)
	run := f.String("run", "", "only what the run with this `id` caused")
	purpose := purposeFlag(f)
	if err := in.parseNone(f); err != nil {
		return err
	}
	if *purpose == "" {
		*purpose = "troubleshooting"
	}
	c, err := dial(in.client)
	if err != nil {
		return err
	}
	var entries []api.Entry
	err = c.log(ctx, steward.RunID(*run), *purpose, func(e api.Entry, raw []byte) error {
		if in.json {
			return in.printRaw(raw)
		}
		entries = append(entries, e)
		return nil
	})
	if err != nil || in.json {
		return err
	}
	if len(entries) == 0 {
		fmt.Fprintln(in.Out, "There are no entries of that kind that you may read.")
		return nil
	}
	in.printEntries(entries)
	return nil
}

// printEntries shows who did what, when, and why it was allowed.
func (s stdio) printEntries(entries []api.Entry) {
	var rows [][]string
	for _, e := range entries {
		who := e.Caller
		if e.OnBehalfOf != "" && string(e.OnBehalfOf) != e.Caller {
			who += " for " + string(e.OnBehalfOf)
		}
		what := e.Tool
		if !strings.HasPrefix(what, e.System+"_") {
			what = strings.TrimSpace(e.System + " " + e.Tool)
		}
		if e.Effect != "" {
			what += " (" + string(e.Effect) + ")"
		}
		why := e.Decision
		if len(e.Policies) > 0 {
			why += " by " + strings.Join(e.Policies, ", ")
		}
		outcome := e.Outcome
		if e.Error != "" {
			outcome += " " + e.Error
		}
		label := e.Kind.Label()
		if label == "" {
			label = string(e.Kind)
		}
		row := []string{fmt.Sprint(e.Seq), e.Time.UTC().Format("2006-01-02 15:04:05"), label, who, what, why, outcome, strings.Join(e.Targets, " ")}
		for i := range row {
			row[i] = line(row[i])
		}
		rows = append(rows, row)
	}
	titles := []string{"No.", "When (UTC)", "Event", "Who", "What", "Why", "Outcome", "Targets"}
	for i := len(titles) - 1; i > 0; i-- {
		if !slices.ContainsFunc(rows, func(row []string) bool { return row[i] != "" }) {
			titles = slices.Delete(titles, i, i+1)
			for j := range rows {
				rows[j] = slices.Delete(rows[j], i, i+1)
			}
		}
	}
	s.table(s.Out, titles, rows)
}
