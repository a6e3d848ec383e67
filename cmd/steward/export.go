package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/file"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/config"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/export"
)

// exported is what came of an export.
type exported struct {
	Workspace  steward.WorkspaceID `json:"workspace"`
	Name       string              `json:"name"`
	Entries    uint64              `json:"entries"` // that were written
	Checkpoint ledger.Checkpoint   `json:"checkpoint"`
	Recorded   bool                `json:"recorded"` // the export is an entry itself
	Tlog       string              `json:"tlog,omitempty"`
	Format     string              `json:"format,omitempty"`
	Out        string              `json:"out,omitempty"`
}

// runExport writes a ledger out: for people who don't trust us, as a folder that any verifier of transparency
// logs reads; and for their other tools, as lines or a table. It reads the data folder. Where a server runs on
// it, the export can't be an entry itself.
func runExport(ctx context.Context, in *command.Invocation) (err error) {
	server := config.ForServer(in.Env)
	f := in.Flags(in.JSONFlag, server.StoreFlags)
	only := f.String("workspace", "", "whose ledger, by `name` or id; needed where there are several")
	dir := f.String("tlog", "", "the `folder` to write checkpoint, vkey and tiles to, as C2SP tlog-tiles")
	as := f.String("format", "", "write entries in this `format`: ocsf, jsonl or parquet")
	out := f.String("out", "-", "the `file` to write a format to; - is the standard output")
	since := f.String("since", "", "of a format, only what was recorded at or after this `time` or day (UTC)")
	until := f.String("until", "", "of a format, only what was recorded before this `time` or day (UTC)")
	readOnly := f.Bool("read-only", false, "don't put the export on record: for a copy of the data, which must stay the same")
	if err := in.ParseNone(f); err != nil {
		return err
	}
	q := ledger.Query{}
	if q.Since, err = export.Moment("--since", *since); err != nil {
		return err
	}
	if q.Until, err = export.Moment("--until", *until); err != nil {
		return err
	}
	switch {
	case (*dir == "") == (*as == ""):
		return in.Misused("either --tlog DIR or --format ocsf|jsonl|parquet is needed")
	case *dir != "" && (*out != "-" || *since != "" || *until != ""):
		return in.Misused("--out, --since and --until are for --format only")
	case *as == export.Parquet && *out == "-" && in.OutTerminal:
		return in.Misused("a terminal can't show a Parquet file; name one with --out")
	}
	if *as != "" {
		if err := export.Check(*as); err != nil {
			return err
		}
	}
	var to io.Writer = in.Out
	var made *file.New
	told := in.Terminal // who hears how it went
	if *as != "" && *out == "-" {
		told.Out, told.Color = in.Err, false
	} else if *as != "" {
		if made, err = file.Create(*out); err != nil {
			return err
		}
		defer made.Discard()
		to = made
	}
	all, recorded, err := openToExport(ctx, in, server, *only, !*readOnly)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, all.Close()) }()
	ws := all.workspaces[0]
	done := exported{Workspace: ws.ID, Name: ws.Name, Recorded: recorded, Tlog: *dir, Format: *as}
	p := in.Begin("exporting")
	count := func(n, total uint64) { p.Count("exporting the entries of "+ws.Name, n, total) }
	if *dir != "" {
		done.Checkpoint, err = all.log().Export(ctx, ws.ID, *dir, count)
		done.Entries = done.Checkpoint.Size
	} else {
		spool := ""
		if made != nil {
			done.Out, spool = *out, filepath.Dir(*out)
		}
		done.Entries, done.Checkpoint, err = writeFormat(ctx, all, ws.ID, q, to, *as, spool, count)
		if err == nil && made != nil {
			err = made.Keep(nil)
		}
	}
	p.Stop()
	if err != nil {
		return err
	}
	return printExported(in, told, done)
}

// writeFormat writes entries in a format, up to the last checkpoint.
func writeFormat(ctx context.Context, all *ledgers, ws steward.WorkspaceID, q ledger.Query, to io.Writer, as, spool string, count func(n, total uint64)) (uint64, ledger.Checkpoint, error) {
	e, err := export.New(ctx, all.log(), ws, q)
	if err != nil {
		return 0, ledger.Checkpoint{}, err
	}
	entries, err := e.Write(ctx, to, as, spool, count)
	if path := (*fs.PathError)(nil); err != nil && steward.KindOf(err) == steward.Internal && errors.As(err, &path) {
		err = steward.Errorf(steward.Unavailable, "%s can't be written; check where it leads, and the disk's space", path.Path).Because(err)
	}
	return entries, e.Checkpoint, err
}

// openToExport opens one workspace's ledger for reading, with the export on record where that can be written.
func openToExport(ctx context.Context, in *command.Invocation, c config.Server, only string, record bool) (_ *ledgers, recorded bool, err error) {
	if record {
		err := recordExport(ctx, c, only)
		if kind := steward.KindOf(err); err != nil && kind != steward.Conflict && kind != steward.Unavailable {
			return nil, false, err
		} else if err != nil {
			fmt.Fprintln(in.Err, "note: this export isn't on record, since the data can't be written now; one through the API is (GET /api/v1/log?format=…)")
			record = false
		}
	}
	all, err := openLedgers(ctx, c, only, false)
	if err == nil {
		if err = all.one(); err != nil {
			err = errors.Join(err, all.Close())
		}
	}
	return all, record, err
}

// one refuses several workspaces where one has to be named.
func (l *ledgers) one() error {
	if len(l.workspaces) != 1 {
		return steward.Errorf(steward.Invalid, "there are %d workspaces in this folder; name one with --workspace", len(l.workspaces))
	}
	return nil
}

// recordExport writes down that whoever can read the data folder exports a ledger, and has that signed. It lets
// go of the folder again, so that a server can start while a long export goes on. Where another process has the
// folder, the error is of kind Conflict.
func recordExport(ctx context.Context, c config.Server, only string) (err error) {
	all, err := openLedgers(ctx, c, only, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, all.Close()) }()
	if err := all.one(); err != nil {
		return err
	}
	book, err := all.book(ctx)
	if err != nil {
		return err
	}
	ws := all.workspaces[0].ID
	if _, err := book.Append(ctx, ws, ledger.Entry{
		Kind: ledger.LedgerRead, Caller: "operator", System: "steward", Tool: "export", Outcome: ledger.OK,
	}); err != nil {
		return err
	}
	_, err = book.Checkpoint(ctx, ws)
	return err
}

func printExported(in *command.Invocation, told terminal.Terminal, done exported) error {
	if in.AsJSON {
		return told.JSON(done)
	}
	where := done.Tlog
	switch {
	case done.Out != "":
		where = done.Out
	case where == "":
		where = "the standard output"
	}
	fmt.Fprintf(told.Out, "%s: %s in %s\n", told.Bold(done.Name), terminal.Counted(int(done.Entries), "entry is", "entries are"), where)
	fmt.Fprintf(told.Out, "  signed up to %d entries, root %s\n", done.Checkpoint.Size, hex.EncodeToString(done.Checkpoint.Root))
	fmt.Fprintf(told.Out, "  verifier key %s\n", done.Checkpoint.Key)
	return nil
}
