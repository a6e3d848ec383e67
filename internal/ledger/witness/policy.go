package witness

import (
	"context"
	"errors"
	"sync"
	"time"

	formats "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// Policy is whose word counts, and how many of them it takes. The zero Policy knows nobody.
type Policy struct {
	witnesses []Witness
	quorum    int
}

// NewPolicy refuses a quorum that can't be, and one witness counted twice.
func NewPolicy(quorum int, witnesses ...Witness) (Policy, error) {
	if quorum < 1 || quorum > len(witnesses) || len(witnesses) > maxWitnesses {
		return Policy{}, steward.Errorf(steward.Invalid, "%d of %d witnesses can't be asked for; it is 1 to all of them, and %d at most", quorum, len(witnesses), maxWitnesses)
	}
	seen := map[string]bool{}
	for _, w := range witnesses {
		if seen[w.url] || seen[w.key] {
			return Policy{}, steward.Errorf(steward.Invalid, "the witness %s stands twice in the list, by its address or its key", w.Name())
		}
		seen[w.url], seen[w.key] = true, true
	}
	return Policy{witnesses: witnesses, quorum: quorum}, nil
}

const maxWitnesses = 32

// Cosignature is a witness's statement that a checkpoint was the newest that it had seen of the log.
type Cosignature struct {
	Witness string
	Time    time.Time // by the witness's clock

	line string
	of   int // in the policy
}

// Cosignatures lists those of the policy's witnesses on a note, one each. Where one doesn't hold, there are
// none: the note was changed.
func (p Policy) Cosignatures(signed []byte) (list []Cosignature) {
	verifiers := make([]note.Verifier, len(p.witnesses))
	for i, w := range p.witnesses {
		verifiers[i] = w.verifier
	}
	opened, err := note.Open(signed, note.VerifierList(verifiers...))
	if err != nil {
		return nil
	}
	for i, v := range verifiers {
		for _, s := range opened.Sigs {
			if at, err := formats.CoSigV1Timestamp(s); err == nil && s.Name == v.Name() && s.Hash == v.KeyHash() {
				list = append(list, Cosignature{Witness: s.Name, Time: at.UTC(), line: line(s), of: i})
				break
			}
		}
	}
	return list
}

// Answer is what a witness says of a log.
type Answer struct {
	Witness string
	// Time is when it said, by its own clock, that the log goes on from everything it has seen of it;
	// zero with an error.
	Time time.Time
	// Err is of kind Conflict where it has seen what the log doesn't hold: that is a finding, and the
	// message is its text. NotFound, Denied, Unavailable and Upstream mean that it says nothing.
	Err error
}

// Ask has every witness say whether a log goes on from what it remembers, and gives the log's checkpoint
// that they were asked about. Nothing is kept here; a witness that agrees remembers the checkpoint from now
// on, if it didn't.
func (p Policy) Ask(ctx context.Context, log Log, ws steward.WorkspaceID) (tree.Checkpoint, []Answer, error) {
	cp, err := log.Checkpoint(ctx, ws)
	if err != nil {
		return tree.Checkpoint{}, nil, err
	}
	answers := make([]Answer, len(p.witnesses))
	var all sync.WaitGroup
	for i, w := range p.witnesses {
		all.Go(func() {
			answers[i].Witness = w.Name()
			word, err := w.cosign(ctx, log, ws, cp, 0) // what it has seen, it says
			for range attempts {
				if !errors.Is(err, errBehind) {
					break
				}
				last, failed := log.Checkpoint(ctx, ws)
				if failed != nil {
					err = failed
					break
				}
				word, err = w.cosign(ctx, log, ws, last, 0)
			}
			answers[i].Time, answers[i].Err = word.time, err
		})
	}
	all.Wait()
	return cp, answers, nil
}
