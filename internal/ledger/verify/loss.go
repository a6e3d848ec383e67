package verify

import (
	"slices"

	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// A ledger that was put back without entries that were signed goes on as a new log, under another name, and says
// which it lost (ledger.Restart). Remembered checkpoints over just those are explained by it; over any others they
// are findings as ever. The entry itself is under the checkpoints of the new log, so only who has the key declares.

// Loss is what a ledger says that it lost.
type Loss struct {
	Seq   uint64 `json:"seq"`   // of the entry that says so
	Log   string `json:"log"`   // the name of the log that the lost entries belong to
	Entry uint64 `json:"entry"` // the first entry that is lost
	End   uint64 `json:"end"`   // the number behind the last that is known of; Entry where none is
}

// renaming is that the checkpoints from one size on have another name than those before.
type renaming struct {
	from, to string
	after    uint64 // the size of the last with the old one
}

// named notes a checkpoint's name.
func (v *verification) named(before *ledger.Checkpoint, cp ledger.Checkpoint) {
	v.names[cp.Origin] = cp.Size
	if before != nil && before.Origin != cp.Origin {
		v.renamings = append(v.renamings, renaming{before.Origin, cp.Origin, before.Size})
	}
}

// losses holds what the ledger says that it lost against the names of its checkpoints and what is remembered.
func (v *verification) losses(head ledger.Head) {
	// A checkpoint behind it has the new name, or another such entry goes on from that: of several checkpoints over one
	// segment only the last is kept, and an export has no other, so a name may be in none any more.
	var declared []restart
	for _, r := range slices.Backward(v.restarts) {
		if r.From != r.To && (v.names[r.To] > r.seq || slices.ContainsFunc(declared, func(later restart) bool { return later.From == r.To })) {
			declared = append(declared, r)
		} else {
			v.findAt(r.seq, "entry %d says that a new log begins, and the checkpoints behind it are of none", r.seq)
		}
	}
	slices.Reverse(declared)
	for _, r := range declared {
		v.report.Losses = append(v.report.Losses, Loss{Seq: r.seq, Log: r.From, Entry: r.Entry, End: r.End})
	}
	for _, n := range v.renamings {
		name := n.from
		for _, r := range declared {
			if r.From == name && r.seq >= n.after && name != n.to {
				name = r.To
			}
		}
		if name != n.to && n.after >= v.first && v.unread == "" { // before that it was pruned
			v.findAt(n.after, "the log got another name behind its checkpoint over %d entries, and no entry says why", n.after)
		}
	}
	for _, name := range v.formers {
		if !slices.ContainsFunc(declared, func(r restart) bool { return r.From == name }) {
			v.find("checkpoints of the log %s are remembered, and this one doesn't say that it goes on from that", name)
		}
	}
	for _, cp := range v.disputed {
		explained := false
		for _, r := range declared {
			explained = explained || r.Explains(cp)
		}
		switch {
		case explained:
		case cp.Size > head.Next:
			v.findAt(head.Next, "a checkpoint over %d entries is remembered and the ledger has %d: it was put back to an older state", cp.Size, head.Next)
		default:
			v.find("the first %d entries aren't those of a remembered checkpoint: the ledger was written anew", cp.Size)
		}
	}
}

// restart is an entry that says that a new log begins.
type restart struct {
	ledger.Restart
	seq uint64
}

// restarted takes in such an entry.
func (v *verification) restarted(h *ledger.Header) {
	r, ok := h.Restarts()
	if !ok {
		v.findAt(h.Seq, "entry %d says that a new log begins, and not from which", h.Seq)
		return
	}
	if r.Checkpoint != "" && v.src.Sealer != nil {
		cp, _, err := tree.Parse([]byte(r.Checkpoint), string(v.ws), v.ring)
		if err != nil || cp.Origin != r.From {
			v.findAt(h.Seq, "entry %d names a checkpoint that isn't signed with this ledger's key", h.Seq)
		}
	}
	v.restarts = append(v.restarts, restart{r, h.Seq})
}
