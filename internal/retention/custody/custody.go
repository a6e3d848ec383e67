package custody

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/stewardhq/steward"
)

// Thing is one sealed value that somebody keeps.
type Thing struct {
	Name   string // how people find it: "runs/run_9f3k…"; nothing personal
	At     steward.Place
	Sealed steward.Sealed
	Clear  []byte // what stands beside it in clear, such as an entry's header, which names its run; nil for nothing
	Mark   string // the word by which what comes later may name it; "" for none
}

// Holder keeps sealed values that a hold may be about.
type Holder interface {
	// Under gives f all that is sealed under any of some scopes, or where there are none all there is, and ends at
	// its first error.
	Under(ctx context.Context, ws steward.WorkspaceID, scopes []steward.Scope, f func(Thing) error) error
	// Says gives the text of a value of its own that was opened; mine is false for others.
	Says(at steward.Place, plain []byte) (text []byte, mine bool, err error)
}

// Keyring seals, and gives away the keys of single values.
type Keyring interface {
	// Seal and Open are steward.Sealer's.
	Seal(ctx context.Context, at steward.Place, scopes []steward.Scope, plain []byte) (steward.Sealed, error)
	Open(ctx context.Context, at steward.Place, sealed steward.Sealed) ([]byte, error)
	// BoxKey gives the one key that opens a sealed value, and nothing else.
	BoxKey(ctx context.Context, at steward.Place, sealed steward.Sealed) ([]byte, error)
	// OpenBox opens a value by that key.
	OpenBox(key, box []byte) ([]byte, error)
	// Shred destroys the keys of scopes for ever.
	Shred(ctx context.Context, ws steward.WorkspaceID, scopes ...steward.Scope) error
}

// Custody keeps what holds are about: for as long as one lasts, nothing of it goes.
type Custody struct {
	Holds   Holds
	Keyring Keyring
	Holders []Holder
	// Marks gives the words by which what is kept names a matter: ids, and digests that stand for records. A word
	// is lower-case letters and digits. Some of it may lie aside only.
	Marks func(ctx context.Context, ws steward.WorkspaceID, m Matter, aside []steward.Place) ([]string, error)
	// Mentions tells whether a text has a value in it, by which people mention somebody.
	Mentions func(text, value string) bool
}

// sought is a hold and the words that say that something is its.
type sought struct {
	Hold
	marks map[string]bool
}

// Keeps tells which holds keep an erasure of somebody from being carried out, the oldest first: those on the
// workspace, on them, on whoever or whatever else would lose something with the scopes that it destroys, and those for
// which something about them lies aside, which would still open. Asked again once they are released, it lists none.
func (c *Custody) Keeps(ctx context.Context, ws steward.WorkspaceID, somebody Matter, scopes []steward.Scope) ([]Hold, error) {
	all, err := c.Holds.Holds(ctx, ws)
	if err != nil {
		return nil, err
	}
	keeps := map[string]bool{}
	var others []Hold
	for _, h := range all {
		m, live, err := c.matter(ctx, ws, h)
		if err != nil {
			return nil, err
		}
		switch {
		case !h.Narrow() || slices.ContainsFunc(m.Records, func(ref steward.Ref) bool { return slices.Contains(somebody.Records, ref) }):
			keeps[h.ID] = true
		case live:
			others = append(others, h)
		}
	}
	if len(scopes) > 0 {
		if err := c.walk(ctx, ws, others, scopes, func(h Hold, _ Thing, _, _ []byte) error {
			keeps[h.ID] = true
			return nil
		}); err != nil {
			return nil, err
		}
	}
	if err := c.told(ctx, ws, others, somebody, scopes, keeps); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(h Hold) bool { return !keeps[h.ID] }), nil
}

// told adds to keeps the holds for which something lies aside that is about somebody.
func (c *Custody) told(ctx context.Context, ws steward.WorkspaceID, holds []Hold, somebody Matter, scopes []steward.Scope, keeps map[string]bool) error {
	about := sought{Hold{On: OnPerson}, nil}
	for _, h := range holds {
		err := c.Holds.Aside(ctx, ws, h.ID, func(a Aside) (err error) {
			if keeps[h.ID] {
				return nil
			}
			if about.marks == nil {
				if about, err = c.seek(ctx, ws, about.Hold, somebody, nil); err != nil {
					return err
				}
			}
			text, err := c.copied(ctx, ws, a)
			if steward.KindOf(err) == steward.Gone {
				return nil // it was released meanwhile
			}
			keeps[h.ID] = slices.ContainsFunc(a.Sealed.Scopes, func(scope steward.Scope) bool { return slices.Contains(scopes, scope) }) ||
				about.its(Thing{At: a.At, Sealed: a.Sealed}, text) ||
				slices.ContainsFunc(somebody.Values, func(value string) bool { return c.Mentions(string(text), value) })
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// copied opens what lies aside.
func (c *Custody) copied(ctx context.Context, ws steward.WorkspaceID, a Aside) ([]byte, error) {
	key, err := c.Keyring.Open(ctx, asidePlace(ws, a), a.Key)
	if err != nil {
		return nil, err
	}
	return c.open(a.At, key, a.Sealed)
}

// seek gives the words that say that something is a hold's.
func (c *Custody) seek(ctx context.Context, ws steward.WorkspaceID, h Hold, m Matter, aside []steward.Place) (sought, error) {
	marks, err := c.Marks(ctx, ws, m, aside)
	s := sought{h, map[string]bool{}}
	for _, mark := range marks {
		s.marks[mark] = mark != ""
	}
	return s, err
}

// Place begins a hold: on what the matter says, or without one on the workspace.
func (c *Custody) Place(ctx context.Context, ws steward.WorkspaceID, h Hold, m Matter) error {
	if h.Narrow() {
		plain, err := json.Marshal(m)
		if err != nil {
			return fmt.Errorf("custody: %w", err)
		}
		if h.Matter, err = c.Keyring.Seal(ctx, matterPlace(ws, h.ID), []steward.Scope{steward.HoldScope(h.ID)}, plain); err != nil {
			return err
		}
	}
	return c.Holds.Place(ctx, ws, h)
}

// Release ends a hold: what lies aside for it opens no more, and is removed. A crash between leaves a hold that keeps
// nothing, which is released again, or with the next purge.
func (c *Custody) Release(ctx context.Context, ws steward.WorkspaceID, id string) error {
	h, err := c.find(ctx, ws, id)
	if err != nil {
		return err
	}
	if h.Narrow() {
		if err := c.Keyring.Shred(ctx, ws, steward.HoldScope(id)); err != nil {
			return err
		}
	}
	return c.Holds.Release(ctx, ws, id)
}

// Kept is something under a hold, opened.
type Kept struct {
	Name   string          `json:"name"`
	Scopes []steward.Scope `json:"scopes"`
	Aside  bool            `json:"aside"` // where it was, it is gone
	Text   string          `json:"text"`  // it may hold anything about anybody
}

// LogValue keeps the text out of the log.
func (k Kept) LogValue() slog.Value { return slog.StringValue(k.Name) }

// Show tells what a hold is on, and gives f what is under it: what is where it was, then what lies aside. A hold on the
// workspace has all there is under it, which isn't shown.
func (c *Custody) Show(ctx context.Context, ws steward.WorkspaceID, id string, begin func(Hold, Matter) error, f func(Kept) error) error {
	h, err := c.find(ctx, ws, id)
	if err != nil {
		return err
	}
	m, live, err := c.matter(ctx, ws, h)
	if err == nil {
		err = begin(h, m)
	}
	if err != nil || !live {
		return err
	}
	seen := map[steward.Place]bool{}
	if err := c.walk(ctx, ws, []Hold{h}, nil, func(_ Hold, t Thing, _, text []byte) error {
		seen[t.At] = true
		return f(Kept{t.Name, t.Sealed.Scopes, false, string(text)})
	}); err != nil {
		return err
	}
	return c.Holds.Aside(ctx, ws, id, func(a Aside) error {
		if seen[a.At] {
			return nil // it was copied, and isn't gone
		}
		text, err := c.copied(ctx, ws, a)
		if err != nil {
			return err
		}
		return f(Kept{a.Name, a.Sealed.Scopes, true, string(text)})
	})
}

func (c *Custody) find(ctx context.Context, ws steward.WorkspaceID, id string) (Hold, error) {
	all, err := c.Holds.Holds(ctx, ws)
	if err != nil {
		return Hold{}, err
	}
	i := slices.IndexFunc(all, func(h Hold) bool { return h.ID == id })
	if i < 0 {
		return Hold{}, steward.Errorf(steward.NotFound, "there is no such hold; `steward retention` shows them")
	}
	return all[i], nil
}

// asideAtOnce is how many copies one transaction lays aside.
const asideAtOnce = 64

// Aside copies what is under a hold and sealed under some scopes, before their keys go, unless that is done for all
// holds that there are, and names those. Done again it copies the same. all is true where a hold keeps all of the
// workspace: then nothing may go. One that is placed while it copies is heeded too.
func (c *Custody) Aside(ctx context.Context, ws steward.WorkspaceID, scopes []steward.Scope, done []string) (copied []string, all bool, err error) {
	for {
		holds, err := c.Holds.Holds(ctx, ws)
		if err != nil {
			return nil, false, err
		}
		var ids []string
		for _, h := range holds {
			if !h.Narrow() {
				return nil, true, nil
			}
			ids = append(ids, h.ID)
		}
		if slices.Equal(ids, done) {
			return done, false, nil
		}
		done = ids
		var copies []Aside
		put := func() error {
			defer func() { copies = nil }()
			return c.Holds.Put(ctx, ws, copies)
		}
		err = c.walk(ctx, ws, holds, scopes, func(h Hold, t Thing, key, _ []byte) (err error) {
			a := Aside{Hold: h.ID, Name: t.Name, At: t.At, Sealed: t.Sealed}
			a.Key, err = c.Keyring.Seal(ctx, asidePlace(ws, a), []steward.Scope{steward.HoldScope(h.ID)}, key)
			if steward.KindOf(err) == steward.Gone {
				return nil // it was released meanwhile
			}
			if copies = append(copies, a); err == nil && len(copies) == asideAtOnce {
				err = put()
			}
			return err
		})
		if err == nil {
			err = put()
		}
		if err != nil {
			return nil, false, err
		}
	}
}

// walk gives f what is under any of some holds and sealed under any of some scopes, with the key that opens it and what
// it says. What opens no more is passed over: it went before. What can't be read ends it.
func (c *Custody) walk(ctx context.Context, ws steward.WorkspaceID, holds []Hold, scopes []steward.Scope, f func(h Hold, t Thing, key, text []byte) error) error {
	var all []sought
	for _, h := range holds {
		m, live, err := c.matter(ctx, ws, h)
		if err != nil {
			return err
		}
		if !live {
			continue
		}
		var aside []steward.Place
		if err := c.Holds.Aside(ctx, ws, h.ID, func(a Aside) error { aside = append(aside, a.At); return nil }); err != nil {
			return err
		}
		s, err := c.seek(ctx, ws, h, m, aside)
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil
	}
	for _, holder := range c.Holders {
		err := holder.Under(ctx, ws, scopes, func(t Thing) error {
			if !slices.ContainsFunc(all, func(s sought) bool { return s.may(t) }) {
				return nil
			}
			key, err := c.Keyring.BoxKey(ctx, t.At, t.Sealed)
			if steward.KindOf(err) == steward.Gone {
				return nil
			}
			var text []byte
			if err == nil {
				text, err = c.open(t.At, key, t.Sealed)
			}
			for i := 0; i < len(all) && err == nil; i++ {
				if all[i].its(t, text) {
					all[i].marks[t.Mark] = t.Mark != ""
					err = f(all[i].Hold, t, key, text)
				}
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// matter opens what a narrow hold is on. It is not live where that is gone: the hold was released, by a process that
// came no further, or after the data was backed up that was put back.
func (c *Custody) matter(ctx context.Context, ws steward.WorkspaceID, h Hold) (m Matter, live bool, err error) {
	if !h.Narrow() {
		return m, false, nil
	}
	plain, err := c.Keyring.Open(ctx, matterPlace(ws, h.ID), h.Matter)
	if err != nil {
		if steward.KindOf(err) == steward.Gone {
			err = nil
		}
		return m, false, err
	}
	if err := json.Unmarshal(plain, &m); err != nil {
		return m, false, steward.Errorf(steward.Internal, "what the hold %s is on can't be read; run `steward verify`", h.ID)
	}
	return m, true, nil
}

// open gives the text of a value by its key.
func (c *Custody) open(at steward.Place, key []byte, sealed steward.Sealed) ([]byte, error) {
	plain, err := c.Keyring.OpenBox(key, sealed.Box)
	if err != nil {
		return nil, err
	}
	for _, holder := range c.Holders {
		if text, mine, err := holder.Says(at, plain); mine || err != nil {
			return text, err
		}
	}
	return nil, fmt.Errorf("custody: nobody knows what stands in %s", at.Table)
}

// may tells whether a thing can be its: what stands beside it in clear says which run it is of, and not always of whom
// it speaks.
func (s sought) may(t Thing) bool { return s.On == OnPerson || t.Clear == nil || s.in(t.Clear) }

// its tells whether a mark stands in a thing, or beside it.
func (s sought) its(t Thing, text []byte) bool {
	return s.may(t) && (s.in([]byte(t.At.Row)) || s.in([]byte(t.Sealed.ScopeList())) || s.in(t.Clear) || s.in(text))
}

func (s sought) in(text []byte) bool {
	begin := 0
	for i := 0; i <= len(text); i++ {
		if i < len(text) && (text[i] >= '0' && text[i] <= '9' || text[i] >= 'a' && text[i] <= 'z') {
			continue
		}
		if s.marks[string(text[begin:i])] {
			return true
		}
		begin = i + 1
	}
	return false
}

func matterPlace(ws steward.WorkspaceID, hold string) steward.Place {
	return steward.Place{Workspace: ws, Table: "holds_on", Row: hold}
}

func asidePlace(ws steward.WorkspaceID, a Aside) steward.Place {
	return steward.Place{Workspace: ws, Table: "aside", Row: strings.Join([]string{a.Hold, a.At.Table, a.At.Row, fmt.Sprint(a.At.Part)}, "/")}
}
