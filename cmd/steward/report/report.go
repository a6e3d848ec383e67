// Package report answers: how do people see what was found in the record, and what came of a backup? It sets out
// what verifying, rehearsing and restoring answer; how that is done, it doesn't know.
package report

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/backup"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/verify"
)

// Verified is what came of verifying a data folder.
type Verified struct {
	Entries    uint64      `json:"entries"`
	Findings   []Finding   `json:"findings"`
	Workspaces []Workspace `json:"workspaces"`
}

// Finding is one thing that isn't as it was written.
type Finding struct {
	Workspace string  `json:"workspace"` // its name
	Seq       *uint64 `json:"seq"`       // the entry, or the first of several
	What      string  `json:"what"`
}

// Workspace is what came of one ledger.
type Workspace struct {
	Workspace  steward.WorkspaceID `json:"workspace"`
	Name       string              `json:"name"`
	Entries    uint64              `json:"entries"`
	Findings   int                 `json:"findings"`
	Unsigned   uint64              `json:"unsigned"`   // entries behind the last checkpoint
	Checkpoint *ledger.Checkpoint  `json:"checkpoint"` // the last one with a valid signature
	Pruned     *verify.Pruned      `json:"pruned,omitempty"`
	Losses     []verify.Loss       `json:"losses,omitempty"`
}

// Add takes in what was found of one ledger.
func (v *Verified) Add(id steward.WorkspaceID, name string, found verify.Report) {
	v.Entries += found.Entries
	for _, f := range found.Findings {
		v.Findings = append(v.Findings, Finding{Workspace: name, Seq: f.Seq, What: f.What})
	}
	v.Workspaces = append(v.Workspaces, Workspace{
		Workspace: id, Name: name, Entries: found.Entries, Findings: len(found.Findings), Unsigned: found.Unsigned, Checkpoint: found.Checkpoint, Pruned: found.Pruned, Losses: found.Losses,
	})
}

// Print sets it out.
func (v *Verified) Print(in *command.Invocation) {
	for _, ws := range v.Workspaces {
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
		if p := ws.Pruned; p != nil {
			fmt.Fprintf(in.Out, "  begins with entry %d: those before it went on %s, when the time of %s was over; entry %d says so\n", p.Entries, p.At.UTC().Format(time.DateOnly), terminal.Line(string(p.Last)), p.By)
		}
		for _, l := range ws.Losses {
			if l.End > l.Entry {
				fmt.Fprintf(in.Out, "  declared lost: entries %d to %d of the log %s; entry %d says so\n", l.Entry, l.End-1, terminal.Line(l.Log), l.Seq)
			} else {
				fmt.Fprintf(in.Out, "  goes on from entry %d of the log %s, of which later entries may be lost; entry %d says so\n", l.Entry, terminal.Line(l.Log), l.Seq)
			}
		}
		for _, f := range v.Findings {
			if f.Workspace == ws.Name {
				fmt.Fprintln(in.Out, "  "+in.Red("✗ "+terminal.Line(f.What)))
			}
		}
	}
	for _, f := range v.Findings {
		if f.Workspace == "" {
			fmt.Fprintln(in.Out, in.Red("✗ "+terminal.Line(f.What)))
		}
	}
	if len(v.Workspaces) == 0 && len(v.Findings) == 0 {
		fmt.Fprintln(in.Out, "There is no workspace in this folder yet.")
	}
}

// BackedUp is what is in a backup.
type BackedUp struct {
	Dir        string          `json:"dir"`
	Made       time.Time       `json:"made"`
	Bytes      uint64          `json:"bytes"`
	Copied     int             `json:"objects_copied"`
	Referenced int             `json:"objects_in_bucket"`
	Bucket     string          `json:"bucket,omitempty"`
	Workspaces []backup.Ledger `json:"workspaces"`
}

// Contents is that of a backup.
func Contents(b *backup.Backup) BackedUp {
	return BackedUp{b.Dir, b.Made, b.Size(), b.Objects.Copied, len(b.Objects.Referenced), b.Bucket, b.Ledgers}
}

// Rehearsed is what came of restoring a backup for a look.
type Rehearsed struct {
	Backup BackedUp `json:"backup"`
	backup.Opened
	Verify Verified `json:"verify"`
}

// Print sets it out. Its error says that the backup can't be restored.
func (r *Rehearsed) Print(in *command.Invocation) error {
	if in.AsJSON {
		if err := in.JSON(r); err != nil {
			return err
		}
	} else {
		r.Verify.Print(in)
		fmt.Fprintf(in.Out, "%s opened with today's keys, %d forgotten since and shut\n", terminal.Counted(r.Opened.Opened, "sealed value", "sealed values"), r.Opened.Gone)
		if r.Broken > 0 {
			fmt.Fprintln(in.Out, in.Red("✗ "+terminal.Counted(r.Broken, "sealed value isn't", "sealed values aren't")+" what was sealed"))
		}
	}
	if len(r.Verify.Findings) > 0 || r.Broken > 0 {
		return command.Quiet(steward.Conflict)
	}
	if !in.AsJSON {
		fmt.Fprintln(in.Out, in.Green("This backup can be restored."))
	}
	return nil
}

// Restored is what came of a restore.
type Restored struct {
	Backup BackedUp `json:"backup"`
	Aside  string   `json:"put_aside,omitempty"` // where the data is that was there
	backup.Joined
	Verify Verified `json:"verify"`
	Unheld bool     `json:"-"` // no checkpoint from outside was there to hold it against
}

// Print sets it out. Its error says that what is there now isn't what was written.
func (r Restored) Print(in *command.Invocation) (err error) {
	if in.AsJSON {
		err = in.JSON(r)
	} else {
		r.Verify.Print(in)
		fmt.Fprintf(in.Out, "The data of %s is back, with the keys of today: what was forgotten since stays forgotten.\n", terminal.Stamp(r.Backup.Made))
		for _, e := range r.Replayed {
			fmt.Fprintf(in.Out, "Entries %d to %d of workspace %s came from sealed objects.\n", e.First, e.End-1, e.Workspace)
		}
		if r.Removed > 0 {
			fmt.Fprintf(in.Out, "%s that was forgotten after the backup is removed from it again.\n", terminal.Counted(r.Removed, "row or part", "rows and parts"))
		}
		fmt.Fprintln(in.Out, "API tokens, members' roles, approvals, holds and days of keeping are as they were then: take back again what was taken back since, and place again the holds.")
		fmt.Fprintln(in.Out, "Nothing is purged until an administrator of each workspace says `steward retention --confirm`.")
		if r.Aside != "" {
			fmt.Fprintln(in.Out, "What was there is in "+r.Aside)
		}
		if r.Unheld {
			fmt.Fprintln(in.Out, "It was held against no checkpoint from outside, so entries after the backup may be missing: `steward verify --known FILE` tells.")
		}
	}
	if err == nil && len(r.Verify.Findings) > 0 {
		err = command.Quiet(steward.Conflict)
	}
	return err
}
