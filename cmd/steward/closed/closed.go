// Package closed answers: what is left of workspaces that were deleted? It reads what certifies that they went; it
// doesn't know how they did, and needs no key.
package closed

import (
	"context"
	"fmt"

	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/config"
	"github.com/stewardhq/steward/internal/retention"
)

// List is the command that lists them, with certificate and last checkpoint, of those that all reads.
func List(all func(ctx context.Context, c config.Server) ([]retention.Closing, error)) func(ctx context.Context, in *command.Invocation) error {
	return func(ctx context.Context, in *command.Invocation) error {
		server := config.ForServer(in.Env)
		if err := in.ParseNone(in.Flags(in.JSONFlag, server.StoreFlags)); err != nil {
			return err
		}
		closings, err := all(ctx, server)
		if err != nil {
			return err
		}
		return list(in, closings)
	}
}

func list(in *command.Invocation, all []retention.Closing) error {
	deleted := []retention.Closing{}
	var rows [][]string
	for _, c := range all {
		if c.State != retention.Deleted {
			continue
		}
		deleted = append(deleted, c)
		left := "nothing"
		if !c.Look.IsZero() {
			left = "looked for"
		}
		rows = append(rows, []string{terminal.Line(string(c.Workspace)), terminal.Line(c.Name), terminal.Stamp(c.Closed), terminal.Stamp(c.Deleted), terminal.Line(c.Certificate.Certificate.ID), left})
	}
	switch {
	case in.AsJSON:
		return in.JSON(map[string][]retention.Closing{"closed": deleted})
	case len(rows) == 0:
		fmt.Fprintln(in.Out, "No workspace was deleted here.")
	default:
		in.Table(in.Out, []string{"Workspace", "Name", "Closed", "Deleted", "Certificate", "Locked objects"}, rows)
	}
	return nil
}
