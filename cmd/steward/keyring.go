package main

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/rekey"
	"github.com/stewardhq/steward/cmd/steward/show"
	"github.com/stewardhq/steward/internal/config"
	"github.com/stewardhq/steward/internal/ledger"
)

// runRotateKeyring gives the keyring new keys from its root down. Nobody else uses the data meanwhile.
func runRotateKeyring(ctx context.Context, in *command.Invocation) (err error) {
	server := config.ForServer(in.Env)
	if err := in.ParseNone(in.Flags(in.JSONFlag, server.StoreFlags)); err != nil {
		return err
	}
	all, err := openLedgers(ctx, server, "", true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, all.Close()) }()
	book, err := all.book(ctx)
	if err != nil {
		return err
	}
	r := rekey.Rotation{Ledger: book, Record: all.record, Keyring: all.sealer}
	for _, ws := range all.workspaces {
		r.Workspaces = append(r.Workspaces, ws.ID)
	}
	resumed, err := r.Run(ctx)
	if err != nil {
		return err
	}
	if in.AsJSON {
		return in.JSON(map[string]any{"workspaces": len(r.Workspaces), "resumed": resumed})
	}
	show.Rotated(in.Terminal, len(r.Workspaces), all.sealer.Horizon())
	return nil
}

// book opens the record for writing by a command. It is closed, and a last checkpoint signed, with the stores.
func (s *stores) book(ctx context.Context) (*ledger.Ledger, error) {
	book, err := ledger.Open(ctx, ledger.Config{Store: s.record, Sealer: s.sealer, Now: time.Now, Rand: rand.Reader, Origin: logOrigin})
	if err == nil {
		s.first(func() error { return book.Close(context.WithoutCancel(ctx)) })
	}
	return book, err
}
