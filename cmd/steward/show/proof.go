package show

import (
	"fmt"
	"slices"
	"time"

	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/api/wire"
)

// Proof is what was proven of a log: either that an entry is in it, or that it begins as it was once. As JSON it
// has all that is needed to check it again, and is itself a line of a file of known checkpoints.
type Proof struct {
	Inclusion   *wire.Inclusion   `json:"inclusion,omitempty"` // one of the two
	Consistency *wire.Consistency `json:"consistency,omitempty"`

	Checkpoint string   `json:"checkpoint"` // C2SP tlog-checkpoint, over the log that all of it is a prefix of
	Signed     uint64   `json:"signed"`     // its size
	Root       string   `json:"root"`
	Key        string   `json:"key"`   // its verifier key
	Known      []uint64 `json:"known"` // sizes at which the log is the one that was known
}

// Print says what is proven, and what it rests on.
func (p Proof) Print(t terminal.Terminal) {
	from := p.Signed
	if i := p.Inclusion; i != nil {
		fmt.Fprintf(t.Out, "%s: entry %d is in the log of %d entries.\n  header %s\n", t.Green("proven"), i.Seq, i.Size, terminal.Line(i.Header))
	} else {
		from = p.Consistency.From
		fmt.Fprintf(t.Out, "%s: the log of %d entries is a prefix of the log of %d entries.\n", t.Green("proven"), from, p.Consistency.To)
	}
	fmt.Fprintf(t.Out, "  signed up to %d entries, root %s\n  with the key %s\n", p.Signed, p.Root, terminal.Line(p.Key))
	for _, size := range p.Known {
		fmt.Fprintf(t.Out, "  as the checkpoint over %d entries said that was known\n", size)
	}
	if from != p.Signed && !slices.Contains(p.Known, from) {
		fmt.Fprintf(t.Out, "  %s\n", t.Dim(fmt.Sprintf("No checkpoint over %d entries was at hand: what the log was then, only the server says.", from)))
	}
}

// Rotated says that the keyring has new keys, and what that means for who keeps copies of it.
func Rotated(t terminal.Terminal, workspaces int, horizon time.Duration) {
	fmt.Fprintf(t.Out, "The keyring has new keys, and the record of %s says so. Nothing had to be sealed anew.\n", terminal.Counted(workspaces, "workspace", "workspaces"))
	fmt.Fprintf(t.Out, "Copies of the keyring made before open nothing any more: make another with `%s`.\n", t.Bold("steward backup --keyring-to DIR"))
	if horizon > 0 {
		fmt.Fprintf(t.Out, "Backups of the key server might bring the old root key back for another %s.\n", horizon)
	}
}
