package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/receipt"
	"github.com/stewardhq/steward/cmd/steward/report"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/config"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger/tlog"
	"github.com/stewardhq/steward/internal/ledger/verify"
	"github.com/stewardhq/steward/internal/store"
)

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
	var found report.Verified
	var err error
	if *export != "" {
		found, err = verifyExport(ctx, *export, *vkey, o.known, p)
	} else {
		found, err = verifyData(ctx, o, p)
	}
	p.Stop()
	if steward.KindOf(err) == steward.Internal && err != nil {
		// A database too damaged to find the ledgers in is what verify is for: a finding, not a failure.
		found.Findings = append(found.Findings, report.Finding{What: steward.Message(err)})
	} else if err != nil {
		return err
	}
	if in.AsJSON {
		err = in.JSON(found)
	} else {
		found.Print(in)
	}
	if err == nil && len(found.Findings) > 0 {
		err = command.Quiet(steward.Conflict) // it was said what
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
func verifyData(ctx context.Context, o verifyOptions, p *terminal.Progress) (_ report.Verified, err error) {
	var known []string
	if o.known != "" {
		if known, err = tlog.Kept(o.known); err != nil {
			return report.Verified{}, err
		}
	}
	all, err := openLedgers(ctx, o.Server, o.only, false)
	if err != nil {
		return report.Verified{}, err
	}
	defer func() { err = errors.Join(err, all.Close()) }()
	return all.verify(ctx, o, known, p)
}

func (all *ledgers) verify(ctx context.Context, o verifyOptions, known []string, p *terminal.Progress) (report.Verified, error) {
	whole := report.Verified{Findings: []report.Finding{}, Workspaces: []report.Workspace{}}
	for i, ws := range all.workspaces {
		_, cosigned, err := store.Witness{DB: all.data}.Cosigned(ctx, ws.ID)
		if err != nil {
			return whole, err
		}
		source := verify.Source{Store: all.record, Sealer: all.sealer, Known: known, Cosigned: string(cosigned), Checked: i > 0}
		found, err := verify.Ledger(ctx, source, ws.ID, func(done, total uint64) {
			p.Count("verifying the entries of "+ws.Name, done, total)
		})
		if err != nil {
			return whole, err
		}
		broken, err := brokenSeals(ctx, all.data, all.sealer, ws.ID)
		if err != nil {
			return whole, err
		}
		seen, err := all.witnessed(ctx, o, ws.ID)
		if err != nil {
			return whole, err
		}
		found.Findings = append(append(found.Findings, broken...), seen...)
		whole.Add(ws.ID, ws.Name, found)
	}
	return whole, nil
}

// verifyExport verifies a log that was exported. It needs nothing else: no data, no key that signs.
func verifyExport(ctx context.Context, dir, vkey, knownFile string, p *terminal.Progress) (report.Verified, error) {
	whole := report.Verified{Findings: []report.Finding{}, Workspaces: []report.Workspace{}}
	var known []string
	var err error
	if knownFile != "" {
		if known, err = tlog.Kept(knownFile); err != nil {
			return whole, err
		}
	}
	folder, err := tlog.OpenFolder(dir)
	if err != nil {
		return whole, err
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
		return whole, err
	}
	whole.Add(ws, string(ws), found)
	return whole, nil
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
