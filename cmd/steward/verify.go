package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/config"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/store"
)

// verified is what came of verifying a data folder.
type verified struct {
	Entries    uint64              `json:"entries"`
	Findings   []finding           `json:"findings"`
	Workspaces []verifiedWorkspace `json:"workspaces"`
}

type finding struct {
	Workspace string  `json:"workspace"` // its name
	Seq       *uint64 `json:"seq"`       // the entry, or the first of several
	What      string  `json:"what"`
}

type verifiedWorkspace struct {
	Workspace  steward.WorkspaceID `json:"workspace"`
	Name       string              `json:"name"`
	Entries    uint64              `json:"entries"`
	Findings   int                 `json:"findings"`
	Unsigned   uint64              `json:"unsigned"`   // entries behind the last checkpoint
	Checkpoint *ledger.Checkpoint  `json:"checkpoint"` // the last one with a valid signature
}

func runVerify(ctx context.Context, in *invocation) error {
	server := config.ForServer(in.env)
	f := in.flags(in.asJSON, server.DataFlag)
	only := f.String("workspace", "", "verify this workspace only, by `name` or id")
	if err := in.parseNone(f); err != nil {
		return err
	}
	p := in.Begin("verifying")
	report, err := verifyData(ctx, server.Data, *only, p)
	p.Stop()
	if steward.KindOf(err) == steward.Internal && err != nil {
		// A database too damaged to find the ledgers in is what verify is for: a finding, not a failure.
		report.Findings = append(report.Findings, finding{What: steward.Message(err)})
	} else if err != nil {
		return err
	}
	if in.json {
		err = in.JSON(report)
	} else {
		in.printVerified(report)
	}
	if err == nil && len(report.Findings) > 0 {
		err = quiet{steward.Conflict} // the report has said what
	}
	return err
}

// verifyData reads the ledgers of a data folder and holds them against themselves. It writes nothing,
// and a server may be running on the folder.
func verifyData(ctx context.Context, dir, only string, p *terminal.Progress) (_ verified, err error) {
	report := verified{Findings: []finding{}, Workspaces: []verifiedWorkspace{}}
	data, err := store.OpenReadOnly(ctx, dir, store.DataFile)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	keys, err := store.OpenReadOnly(ctx, filepath.Join(dir, keyringDir), store.KeyringFile)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, keys.Close()) }()
	sealer, err := keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: keys}, Keeper: keeper(dir), Rand: rand.Reader})
	if err != nil {
		return report, err
	}
	directory := identity.Directory{Workspaces: store.Identity{DB: data}}
	all, err := directory.Workspaces.AllWorkspaces(ctx)
	if err == nil && only != "" {
		var one identity.Workspace
		one, err = directory.FindWorkspace(ctx, only)
		all = []identity.Workspace{one}
	}
	if err != nil {
		return report, err
	}
	for _, ws := range all {
		found, err := ledger.Verify(ctx, ledger.Source{Store: store.Ledger{DB: data}, Sealer: sealer}, ws.ID, func(done, total uint64) {
			p.Say("verifying %s: %d of %d entries", ws.Name, done, total)
		})
		if err != nil {
			return report, err
		}
		broken, err := brokenSeals(ctx, data, sealer, ws.ID)
		if err != nil {
			return report, err
		}
		found.Findings = append(found.Findings, broken...)
		report.Entries += found.Entries
		for _, f := range found.Findings {
			report.Findings = append(report.Findings, finding{Workspace: ws.Name, Seq: f.Seq, What: f.What})
		}
		report.Workspaces = append(report.Workspaces, verifiedWorkspace{
			Workspace: ws.ID, Name: ws.Name, Entries: found.Entries, Findings: len(found.Findings), Unsigned: found.Unsigned, Checkpoint: found.Checkpoint,
		})
	}
	return report, nil
}

// brokenSeals looks at what is kept besides the ledger: whatever was sealed must open at its place, or its
// key must be gone.
func brokenSeals(ctx context.Context, data *store.DB, sealer *keyring.Keyring, ws steward.WorkspaceID) ([]ledger.Finding, error) {
	var broken []ledger.Finding
	err := data.WalkSealed(ctx, ws, func(at steward.Place, sealed steward.Sealed) error {
		if _, err := sealer.Open(ctx, at, sealed); err != nil && steward.KindOf(err) != steward.Gone {
			broken = append(broken, ledger.Finding{What: fmt.Sprintf("%s %s isn't what was sealed there", at.Table, at.Row)})
		}
		return ctx.Err()
	})
	return broken, err
}

func (in *invocation) printVerified(r verified) {
	for _, ws := range r.Workspaces {
		verdict := in.Green("nothing was changed")
		if ws.Findings > 0 {
			verdict = in.Red(terminal.Counted(ws.Findings, "finding", "findings"))
		}
		fmt.Fprintf(in.Out, "%s: %s, %s\n", in.Bold(ws.Name), terminal.Counted(int(ws.Entries), "entry", "entries"), verdict)
		if ws.Checkpoint != nil {
			fmt.Fprintf(in.Out, "  signed up to %d entries, root %s\n", ws.Checkpoint.Size, hex.EncodeToString(ws.Checkpoint.Root))
		}
		if ws.Unsigned > 0 {
			fmt.Fprintf(in.Out, "  %s at the end without a signature yet\n", terminal.Counted(int(ws.Unsigned), "entry", "entries"))
		}
		for _, f := range r.Findings {
			if f.Workspace == ws.Name {
				fmt.Fprintln(in.Out, "  "+in.Red("✗ "+terminal.Line(f.What)))
			}
		}
	}
	for _, f := range r.Findings {
		if f.Workspace == "" {
			fmt.Fprintln(in.Out, in.Red("✗ "+terminal.Line(f.What)))
		}
	}
	if len(r.Workspaces) == 0 && len(r.Findings) == 0 {
		fmt.Fprintln(in.Out, "There is no workspace in this folder yet.")
	}
}
