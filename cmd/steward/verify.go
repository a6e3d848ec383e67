package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/receipt"
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
	Losses     []verify.Loss       `json:"losses,omitempty"`
}

// verifyOptions is what is verified, and held against what.
type verifyOptions struct {
	config.Server
	only  string // this workspace, by name or id; "" for all
	known string // a file of checkpoints
}

func runVerify(ctx context.Context, in *command.Invocation) error {
	o := verifyOptions{Server: config.ForServer(in.Env)}
	f := in.Flags(in.JSONFlag, o.StoreFlags, o.WitnessFlags)
	f.StringVar(&o.only, "workspace", "", "verify this workspace only, by `name` or id")
	f.StringVar(&o.known, "known", "", "a `file` of checkpoints that `steward serve --checkpoints` wrote, to hold the ledgers against")
	export := f.String("tlog", "", "verify this `folder` that `steward export --tlog` wrote, and nothing else")
	vkey := f.String("vkey", "", "the verifier `key` of the log in the folder or of the receipt, as you were given it; by default the one in the folder")
	proof := f.String("receipt", "", "verify this `file` that `steward receipt` wrote, and nothing else")
	header := f.String("header", "", "the `file` with the header of the receipt's entry")
	if err := in.ParseNone(f); err != nil {
		return err
	}
	if *proof != "" || *header != "" {
		return receipt.Verify(in, *proof, *header, *vkey)
	}
	p := in.Begin("verifying")
	var report verified
	var err error
	if *export != "" {
		report, err = verifyExport(ctx, *export, *vkey, o.known, p)
	} else {
		report, err = verifyData(ctx, o, p)
	}
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

// ledgers are the ledgers that are kept, open for reading. A server may be running on them.
type ledgers struct {
	*stores
	workspaces []identity.Workspace
}

// openLedgers opens those of all workspaces, or of the one named; to write to them only where nobody else does.
func openLedgers(ctx context.Context, c config.Server, only string, write bool) (*ledgers, error) {
	s, err := openStores(ctx, storeOptions{Server: c, Write: write, Now: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	l, err := s.ledgers(ctx, only)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return l, nil
}

// ledgers gives those of all workspaces, or of the one named.
func (s *stores) ledgers(ctx context.Context, only string) (l *ledgers, err error) {
	l = &ledgers{stores: s}
	directory := identity.Directory{Workspaces: store.Identity{DB: l.data}}
	if only == "" {
		l.workspaces, err = directory.Workspaces.AllWorkspaces(ctx)
	} else {
		l.workspaces = make([]identity.Workspace, 1)
		l.workspaces[0], err = directory.FindWorkspace(ctx, only)
	}
	return l, err
}

// verifyData reads the ledgers that are kept and holds them against themselves, against the checkpoints
// known, and against what witnesses remember. It writes nothing.
func verifyData(ctx context.Context, o verifyOptions, p *terminal.Progress) (_ verified, err error) {
	var known []string
	if o.known != "" {
		if known, err = tlog.Kept(o.known); err != nil {
			return verified{}, err
		}
	}
	all, err := openLedgers(ctx, o.Server, o.only, false)
	if err != nil {
		return verified{}, err
	}
	defer func() { err = errors.Join(err, all.Close()) }()
	return all.verify(ctx, o, known, p)
}

func (all *ledgers) verify(ctx context.Context, o verifyOptions, known []string, p *terminal.Progress) (verified, error) {
	report := verified{Findings: []finding{}, Workspaces: []verifiedWorkspace{}}
	for i, ws := range all.workspaces {
		_, cosigned, err := store.Witness{DB: all.data}.Cosigned(ctx, ws.ID)
		if err != nil {
			return report, err
		}
		source := verify.Source{Store: all.record, Sealer: all.sealer, Known: append([]string{string(cosigned)}, known...), Checked: i > 0}
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
		seen, err := all.witnessed(ctx, o, ws.ID)
		if err != nil {
			return report, err
		}
		found.Findings = append(append(found.Findings, broken...), seen...)
		report.add(ws, found)
	}
	return report, nil
}

// verifyExport verifies a log that was exported. It needs nothing else: no data, no key that signs.
func verifyExport(ctx context.Context, dir, vkey, knownFile string, p *terminal.Progress) (verified, error) {
	report := verified{Findings: []finding{}, Workspaces: []verifiedWorkspace{}}
	var known []string
	var err error
	if knownFile != "" {
		if known, err = tlog.Kept(knownFile); err != nil {
			return report, err
		}
	}
	folder, err := tlog.OpenFolder(dir)
	if err != nil {
		return report, err
	}
	defer func() { _ = folder.Close() }()
	if vkey == "" {
		vkey = folder.Key
	}
	ws := folder.Workspace()
	found, err := verify.Ledger(ctx, verify.Source{Store: folder, Key: vkey, HeadersOnly: true, Known: known, Checked: true}, ws, func(done, total uint64) {
		p.Count("verifying the entries of "+string(ws), done, total)
	})
	if err != nil {
		return report, err
	}
	report.add(identity.Workspace{ID: ws, Name: string(ws)}, found)
	return report, nil
}

func (v *verified) add(ws identity.Workspace, found verify.Report) {
	v.Entries += found.Entries
	for _, f := range found.Findings {
		v.Findings = append(v.Findings, finding{Workspace: ws.Name, Seq: f.Seq, What: f.What})
	}
	v.Workspaces = append(v.Workspaces, verifiedWorkspace{
		Workspace: ws.ID, Name: ws.Name, Entries: found.Entries, Findings: len(found.Findings), Unsigned: found.Unsigned, Checkpoint: found.Checkpoint, Losses: found.Losses,
	})
}

// witnessed asks the witnesses whether the ledger goes on from what they remember of it.
func (l *ledgers) witnessed(ctx context.Context, o verifyOptions, ws steward.WorkspaceID) ([]verify.Finding, error) {
	if len(o.Witnesses) == 0 {
		return nil, nil
	}
	policy, err := l.witnesses(o.Witnesses, o.Quorum)
	if err != nil {
		return nil, err
	}
	_, answers, err := policy.Ask(ctx, l.log(), ws)
	if err != nil {
		return nil, err
	}
	var findings []verify.Finding
	for _, a := range answers {
		switch {
		case a.Err == nil:
		case steward.KindOf(a.Err) == steward.Conflict:
			findings = append(findings, verify.Finding{What: steward.Message(a.Err)})
		default:
			return nil, a.Err // it says nothing, and was to be asked
		}
	}
	return findings, nil
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
		for _, l := range ws.Losses {
			if l.End > l.Entry {
				fmt.Fprintf(in.Out, "  declared lost: entries %d to %d of the log %s; entry %d says so\n", l.Entry, l.End-1, terminal.Line(l.Log), l.Seq)
			} else {
				fmt.Fprintf(in.Out, "  goes on from entry %d of the log %s, of which later entries may be lost; entry %d says so\n", l.Entry, terminal.Line(l.Log), l.Seq)
			}
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
