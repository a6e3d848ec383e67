package forget

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/layout"
	"github.com/stewardhq/steward/internal/privacy"
	"github.com/stewardhq/steward/internal/retention"
	"github.com/stewardhq/steward/internal/retention/custody"
)

// Sealed is what rows hold of conversations, runs and proposals, as holds are about it.
type Sealed struct {
	// Rows gives f every sealed value of a workspace's rows, with its place: tokens before what names them.
	Rows interface {
		WalkSealed(ctx context.Context, ws steward.WorkspaceID, f func(steward.Place, steward.Sealed) error) error
	}
}

// tables are those whose rows say something of people and runs: a token says which conversation it is of.
var tables = [...]string{tokens, "runs", "proposals"}

const tokens = "tokens"

// Under implements custody.Holder.
func (r Sealed) Under(ctx context.Context, ws steward.WorkspaceID, scopes []steward.Scope, f func(custody.Thing) error) error {
	return r.Rows.WalkSealed(ctx, ws, func(at steward.Place, sealed steward.Sealed) error {
		if !slices.Contains(tables[:], at.Table) || !under(sealed.Scopes, scopes) {
			return nil
		}
		thing := custody.Thing{Name: at.Table + "/" + at.Row, At: at, Sealed: sealed}
		if at.Table == tokens {
			thing.Mark = at.Row
		}
		return f(thing)
	})
}

// Says implements custody.Holder.
func (r Sealed) Says(at steward.Place, plain []byte) (text []byte, mine bool, err error) {
	return plain, slices.Contains(tables[:], at.Table), nil
}

func under(has, scopes []steward.Scope) bool {
	return len(scopes) == 0 || slices.ContainsFunc(has, func(scope steward.Scope) bool { return slices.Contains(scopes, scope) })
}

// Custody has holds reach what they are about: in rows, and in the record.
func Custody(holds custody.Holds, ring *keyring.Keyring, vault *privacy.Vault, rows Sealed, record ledger.Searcher) (*custody.Custody, error) {
	compressor, err := layout.NewCompressor()
	return &custody.Custody{Holds: holds, Keyring: ring, Holders: []custody.Holder{rows, Record{record, compressor}}, Marks: Vault{vault}.Marks, Mentions: privacy.Mentions}, err
}

// Held tells whether anything of a workspace is held.
func Held(holds custody.Holds) func(ctx context.Context, ws steward.WorkspaceID) (bool, error) {
	return func(ctx context.Context, ws steward.WorkspaceID) (bool, error) {
		all, err := holds.Holds(ctx, ws)
		return len(all) > 0, err
	}
}

// Record is the parts of a ledger's entries, wherever they lie, as holds are about them.
type Record struct {
	Store      ledger.Searcher
	Compressor *layout.Compressor
}

// Under implements custody.Holder. It reads no headers that are older than all of the periods.
func (r Record) Under(ctx context.Context, ws steward.WorkspaceID, scopes []steward.Scope, f func(custody.Thing) error) error {
	head, err := r.Store.Head(ctx, ws)
	if err != nil {
		return err
	}
	from, err := r.first(ctx, ws, head.Next, scopes)
	for from < head.Next && err == nil {
		to := min(from+ledger.PageRows, head.Next)
		err = r.page(ctx, ws, from, to, scopes, f)
		from = to
	}
	return err
}

// slack is how much longer than a month no month is, and how far a header's time may be from its parts' period.
const slack = 33 * 24 * time.Hour

// first is the number of the first entry that may have parts under any of some scopes: a part is sealed before its
// entry has its time, and times never go back.
func (r Record) first(ctx context.Context, ws steward.WorkspaceID, end uint64, scopes []steward.Scope) (uint64, error) {
	var q ledger.Query
	for i, scope := range scopes {
		_, ended, ok := scope.Period()
		if !ok {
			return 0, nil
		}
		if begun := ended.Add(-slack); i == 0 || begun.Before(q.Since) {
			q.Since = begun
		}
	}
	if q.Since.IsZero() {
		return 0, nil
	}
	err := r.Store.Search(ctx, ws, &q, 0, end, func(row ledger.Row) bool {
		end = row.Seq
		return false
	})
	return end, err
}

func (r Record) page(ctx context.Context, ws steward.WorkspaceID, from, to uint64, scopes []steward.Scope, f func(custody.Thing) error) error {
	wanted := func(h ledger.Header) bool {
		return slices.ContainsFunc(h.Parts, func(p ledger.PartHeader) bool { return under(p.Scopes, scopes) })
	}
	rows, err := ledger.ReadRange(ctx, r.Store, ws, from, to, false)
	if err != nil {
		return err
	}
	found := false
	for i := 0; i < len(rows) && !found; i++ {
		h, err := ledger.Decode(&rows[i])
		if err != nil {
			return err
		}
		found = wanted(h)
	}
	if !found {
		return nil // its parts needn't be read
	}
	if rows, err = ledger.ReadRange(ctx, r.Store, ws, from, to, true); err != nil {
		return err
	}
	for i := range rows {
		h, err := ledger.Decode(&rows[i])
		if err != nil {
			return err
		}
		boxes, err := layout.SplitParts(rows[i].Parts)
		if err != nil {
			return err
		}
		for n, p := range h.Parts {
			if n >= len(boxes) || len(boxes[n]) == 0 || !under(p.Scopes, scopes) {
				continue // it was removed before
			}
			err := f(custody.Thing{
				Name: fmt.Sprintf("%s/%d/%d", entries, h.Seq, n), At: steward.Place{Workspace: ws, Table: entries, Row: h.ID, Part: n},
				Sealed: steward.Sealed{Scopes: p.Scopes, Box: boxes[n]}, Clear: rows[i].Header,
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// entries is the table of a part's place, whose row is its entry's id.
const entries = "ledger"

// Says implements custody.Holder.
func (r Record) Says(at steward.Place, plain []byte) (text []byte, mine bool, err error) {
	if at.Table != entries {
		return nil, false, nil
	}
	text, err = r.Compressor.Expand(plain)
	return text, true, err
}

// Marks gives the words by which rows and entries name the matter of a hold: the ids of a run and its conversation; or
// those of a person, and of every token that is theirs or for a text that mentions them, and the digests that stand
// for their records.
func (f Vault) Marks(ctx context.Context, ws steward.WorkspaceID, m custody.Matter, aside []steward.Place) (marks []string, err error) {
	if m.Run != "" {
		return ends(string(m.Run), string(m.Conversation)), nil
	}
	found, err := f.Find(ctx, ws, retention.Subject{Records: m.Records, Values: m.Values})
	if err != nil {
		return nil, err
	}
	marks = found.Rows
	for _, scope := range found.Scopes {
		marks = append(marks, ends(string(scope))...)
	}
	for _, ref := range m.Records {
		blinded, _, err := f.Vault.Blinded(ctx, ws, ref)
		if err != nil {
			return nil, err
		}
		marks = append(marks, ends(blinded)...)
	}
	for _, at := range aside {
		if at.Table == tokens {
			marks = append(marks, at.Row)
		}
	}
	return marks, nil
}

// ends gives what stands last in ids, after what says of what kind they are.
func ends(ids ...string) (words []string) {
	for _, id := range ids {
		if word := id[strings.LastIndexAny(id, "_/~")+1:]; word != "" {
			words = append(words, word)
		}
	}
	return words
}
