package ledger

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/stewardhq/steward"
)

// Query says which entries to read. Zero fields ask for nothing; those that are set have to fit all.
type Query struct {
	From     uint64 // the first sequence number
	End      uint64 // the number behind the last; 0 for as far as the ledger goes
	Backward bool   // the newest first
	Limit    int    // how many at most; 0 for all

	Since, Until time.Time // recorded at or after the one, and before the other
	Kind         Kind
	Run          steward.RunID
	Member       steward.MemberID // who called, or on whose behalf it was
	OnBehalfOf   steward.MemberID
	Caller       string
	System       string
	Tool         string
	Effect       steward.Effect
	Decision     string
	Outcome      string
	Target       string // a record that was written or sent to, as Entry.Targets names it
	Text         string // stands in the header or in a part that still opens, whatever the case
}

// Fits tells whether an entry may fit by its header alone: whether Text stands in it, or a target behind the
// first 32, only its parts can tell.
func (q *Query) Fits(h *Header) bool {
	return (q.Since.IsZero() || !h.Time.Before(q.Since)) && (q.Until.IsZero() || h.Time.Before(q.Until)) &&
		fits(q.Kind, h.Kind) && fits(q.Run, h.Run) && fits(q.OnBehalfOf, h.OnBehalfOf) && fits(q.Caller, h.Caller) &&
		(q.Member == "" || string(q.Member) == h.Caller || q.Member == h.OnBehalfOf) &&
		fits(q.System, h.System) && fits(q.Tool, h.Tool) && fits(q.Effect, h.Effect) && fits(q.Decision, h.Decision) && fits(q.Outcome, h.Outcome) &&
		(q.Target == "" || len(h.Targets) == MaxTargets || slices.Contains(h.Targets, q.Target))
}

func fits[T ~string](wanted, is T) bool { return wanted == "" || wanted == is }

// words are what stands in the bytes of every header that fits, each unescaped: most headers that don't fit
// need no decoding then.
func (q *Query) words() (words [][]byte) {
	for _, word := range [...]string{string(q.Kind), string(q.Run), string(q.Member), string(q.OnBehalfOf), q.Caller, q.System, q.Tool, string(q.Effect), q.Decision, q.Outcome} {
		if word != "" {
			words = append(words, []byte(word))
		}
	}
	return words
}

// Searcher is a Reader that knows of entries that don't fit without reading them.
type Searcher interface {
	Reader
	// Search calls fn with entries numbered from to end-1, in their order or, where q says so, backwards,
	// until fn is false. What it leaves out doesn't fit; what it gives may not either. Their parts are nil.
	Search(ctx context.Context, ws steward.WorkspaceID, q *Query, from, end uint64, fn func(Row) bool) error
}

// Scan is Search for a store that keeps no index: it reads all entries in the range, but for those that are
// too early or too late, since times never go back.
func Scan(ctx context.Context, store Reader, ws steward.WorkspaceID, q *Query, from, end uint64, fn func(Row) bool) error {
	var err error
	if !q.Since.IsZero() {
		if from, err = firstAt(ctx, store, ws, q.Since, from, end); err != nil {
			return err
		}
	}
	if !q.Until.IsZero() {
		if end, err = firstAt(ctx, store, ws, q.Until, from, end); err != nil {
			return err
		}
	}
	words := q.words()
	for from < end {
		at, to := from, min(from+PageRows, end)
		if q.Backward {
			at, to = max(end, from+PageRows)-PageRows, end
		}
		rows, err := ReadRange(ctx, store, ws, at, to, false)
		if err != nil {
			return err
		}
		if q.Backward {
			slices.Reverse(rows)
		}
		for _, row := range rows {
			if mentions(row.Header, words) && !fn(row) {
				return nil
			}
		}
		if q.Backward {
			end = at
		} else {
			from = to
		}
	}
	return nil
}

func mentions(header []byte, words [][]byte) bool {
	for _, word := range words {
		if !bytes.Contains(header, word) {
			return false
		}
	}
	return true
}

// firstAt finds the first entry from a number on that isn't earlier than a time, by halving; end where there
// is none.
func firstAt(ctx context.Context, store Reader, ws steward.WorkspaceID, t time.Time, from, end uint64) (uint64, error) {
	for from < end {
		middle := from + (end-from)/2
		rows, err := store.Rows(ctx, ws, middle, 1, false)
		if err != nil {
			return 0, err
		}
		if len(rows) == 0 || rows[0].Seq >= end {
			end = middle
			continue
		}
		h, err := Decode(&rows[0])
		if err != nil {
			return 0, err
		}
		if h.Time.Before(t) {
			from = rows[0].Seq + 1
		} else {
			end = middle
		}
	}
	return end, nil
}

// Read calls fn with each entry that fits until fn returns an error, which it passes on. It reads what was
// there when it began, and no transaction is open while fn runs. Paging is stable while entries are added:
// the next page begins behind the last number seen (From), or backwards ends before it (End). What was pruned is
// passed over: Head tells where the ledger begins.
func (l *Ledger) Read(ctx context.Context, ws steward.WorkspaceID, q Query, fn func(Header) error) error {
	head, err := l.store.Head(ctx, ws)
	if err != nil {
		return err
	}
	end := head.Next
	if q.End > 0 {
		end = min(end, q.End)
	}
	q.From = max(q.From, head.First)
	search := func(fn func(Row) bool) error { return Scan(ctx, l.store, ws, &q, q.From, end, fn) }
	if s, ok := l.store.(Searcher); ok {
		search = func(fn func(Row) bool) error { return s.Search(ctx, ws, &q, q.From, end, fn) }
	}
	found := 0
	var failed error
	err = search(func(row Row) bool {
		h, err := Decode(&row)
		if err == nil && q.Fits(&h) {
			var fits bool
			if fits, err = l.fitsInside(ctx, ws, &q, &h, row.Header); err == nil && fits {
				found++
				err = fn(h)
			}
		}
		failed = err
		return err == nil && (q.Limit == 0 || found < q.Limit)
	})
	if failed != nil {
		return failed
	}
	return err
}

// fitsInside opens what the header alone doesn't tell. The entry's parts are read once, and only if they are needed.
func (l *Ledger) fitsInside(ctx context.Context, ws steward.WorkspaceID, q *Query, h *Header, header []byte) (bool, error) {
	target := q.Target == "" || slices.Contains(h.Targets, q.Target)
	text := q.Text == "" || containsFold(header, q.Text)
	if target && text || len(h.Parts) == 0 {
		return target && text, nil
	}
	read, blob, err := l.entry(ctx, ws, h.Seq, true)
	if err != nil {
		return false, err
	}
	for i := 0; i < len(read.Parts) && !(target && text); i++ {
		body, err := l.open(ctx, ws, &read, blob, i)
		if steward.KindOf(err) == steward.Gone {
			continue
		}
		if err != nil {
			return false, err
		}
		target = target || bytes.Contains(body, []byte(`"`+q.Target+`"`))
		text = text || containsFold(body, q.Text)
	}
	return target && text, nil
}

func containsFold(body []byte, text string) bool {
	return bytes.Contains(bytes.ToLower(body), bytes.ToLower([]byte(text)))
}
