package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/config"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/tlog"
	"github.com/stewardhq/steward/internal/ledger/verify"
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

func runVerify(ctx context.Context, in *command.Invocation) error {
	server := config.ForServer(in.Env)
	f := in.Flags(in.JSONFlag, server.DataFlag)
	only := f.String("workspace", "", "verify this workspace only, by `name` or id")
	file := f.String("known", "", "a `file` of checkpoints that `steward serve --checkpoints` wrote, to hold the ledgers against")
	if err := in.ParseNone(f); err != nil {
		return err
	}
	var known []string
	if *file != "" {
		var err error
		if known, err = tlog.Kept(*file); err != nil {
			return err
		}
	}
	p := in.Begin("verifying")
	report, err := verifyData(ctx, server.Data, *only, known, p)
	p.Stop()
	if steward.KindOf(err) == steward.Internal && err != nil {
		// A database too damaged to find the ledgers in is what verify is for: a finding, not a failure.
		report.Findings = append(report.Findings, finding{What: steward.Message(err)})
	} else if err != nil {
		return err
	}
	if in.AsJSON {
		err = in.JSON(report)
	} else {
		printVerified(in, report)
	}
	if err == nil && len(report.Findings) > 0 {
		err = command.Quiet(steward.Conflict) // the report has said what
	}
	return err
}

// ledgers are the ledgers of a data folder, open for reading. A server may be running on the folder.
type ledgers struct {
	data, keys *store.DB
	sealer     *keyring.Keyring
	workspaces []identity.Workspace
}

// openLedgers opens those of all workspaces, or of the one named.
func openLedgers(ctx context.Context, dir, only string) (_ *ledgers, err error) {
	l := &ledgers{}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	if l.data, err = store.OpenReadOnly(ctx, dir, store.DataFile); err != nil {
		return nil, err
	}
	if l.keys, err = store.OpenReadOnly(ctx, filepath.Join(dir, keyringDir), store.KeyringFile); err != nil {
		return nil, err
	}
	if l.sealer, err = keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: l.keys}, Keeper: keeper(dir), Rand: rand.Reader}); err != nil {
		return nil, err
	}
	directory := identity.Directory{Workspaces: store.Identity{DB: l.data}}
	if only == "" {
		l.workspaces, err = directory.Workspaces.AllWorkspaces(ctx)
		return l, err
	}
	one, err := directory.FindWorkspace(ctx, only)
	l.workspaces = []identity.Workspace{one}
	return l, err
}

// Close closes what was opened.
func (l *ledgers) Close() (err error) {
	for _, db := range []*store.DB{l.data, l.keys} {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}
	return err
}

// verifyData reads the ledgers of a data folder and holds them against themselves, and against the
// checkpoints known. It writes nothing.
func verifyData(ctx context.Context, dir, only string, known []string, p *terminal.Progress) (_ verified, err error) {
	report := verified{Findings: []finding{}, Workspaces: []verifiedWorkspace{}}
	all, err := openLedgers(ctx, dir, only)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, all.Close()) }()
	for i, ws := range all.workspaces {
		source := verify.Source{Store: store.Ledger{DB: all.data}, Sealer: all.sealer, Known: known, Checked: i > 0}
		found, err := verify.Ledger(ctx, source, ws.ID, func(done, total uint64) {
			p.Count("verifying the entries of "+ws.Name, done, total)
		})
		if err != nil {
			return report, err
		}
		broken, err := brokenSeals(ctx, all.data, all.sealer, ws.ID)
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
func brokenSeals(ctx context.Context, data *store.DB, sealer *keyring.Keyring, ws steward.WorkspaceID) ([]verify.Finding, error) {
	var broken []verify.Finding
	err := data.WalkSealed(ctx, ws, func(at steward.Place, sealed steward.Sealed) error {
		if _, err := sealer.Open(ctx, at, sealed); err != nil && steward.KindOf(err) != steward.Gone {
			broken = append(broken, verify.Finding{What: fmt.Sprintf("%s %s isn't what was sealed there", at.Table, at.Row)})
		}
		return ctx.Err()
	})
	return broken, err
}

func printVerified(in *command.Invocation, r verified) {
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
