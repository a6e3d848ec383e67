package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/internal/config"
)

// runExport writes a ledger out for people who don't trust us: a folder that any verifier of transparency
// logs reads. It reads the data folder, and a server may be running on it.
func runExport(ctx context.Context, in *command.Invocation) (err error) {
	server := config.ForServer(in.Env)
	f := in.Flags(in.JSONFlag, server.StoreFlags)
	only := f.String("workspace", "", "whose ledger, by `name` or id; needed where there are several")
	dir := f.String("tlog", "", "the `folder` to write checkpoint, vkey and tiles to, as C2SP tlog-tiles")
	if err := in.ParseNone(f); err != nil {
		return err
	}
	if *dir == "" {
		return in.Misused("--tlog DIR is needed: the folder to write to")
	}
	all, err := openLedgers(ctx, server, *only)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, all.Close()) }()
	if len(all.workspaces) != 1 {
		return steward.Errorf(steward.Invalid, "there are %d workspaces in this folder; name one with --workspace", len(all.workspaces))
	}
	ws := all.workspaces[0]
	p := in.Begin("exporting")
	checkpoint, err := all.log().Export(ctx, ws.ID, *dir, func(done, total uint64) {
		p.Count("exporting the entries of "+ws.Name, done, total)
	})
	p.Stop()
	if err != nil {
		return err
	}
	if in.AsJSON {
		return in.JSON(map[string]any{"workspace": ws.ID, "name": ws.Name, "entries": checkpoint.Size, "checkpoint": checkpoint, "tlog": *dir})
	}
	fmt.Fprintf(in.Out, "%s: %d entries are in %s. Their verifier key: %s\n", in.Bold(ws.Name), checkpoint.Size, *dir, checkpoint.Key)
	return nil
}
