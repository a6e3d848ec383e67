package privacy

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/privacy/recognise"
)

// Removed stands for the value of a secret field.
const Removed = "[removed]"

// Field is Fields for one.
func (c *Conversation) Field(ctx context.Context, f steward.Field) (any, error) {
	out, err := c.Fields(ctx, []steward.Field{f})
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// Fields gives the values of records' fields as the inside may see them, one for each and in their
// order; give it all of a reply at once, since what is new is stored in one transaction.
//
// Open numbers and truth values pass, open strings pass with known values and lookalike tokens masked.
// Personal fields and free texts become reference tokens, the same for a field throughout the
// conversation; their values are remembered for this run. Secrets become "[removed]"; nil stays nil, ""
// stays "". An open string in which an unknown e-mail address stands is treated as free text, and so is
// a sensitivity that nobody defined. A field without a record (Of is empty) can't be read again, so its
// value is kept in the vault.
//
// A value that was typed before and now proves to be a record's is linked: its token stays and becomes
// a reference, the kept value is destroyed.
func (c *Conversation) Fields(ctx context.Context, fields []steward.Field) (out []any, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() {
		if err != nil {
			out = nil
		}
	}()
	defer failClosed(&err)
	out = make([]any, len(fields))
	var hidden, open []int
	for i, f := range fields {
		switch f.Value.(type) {
		case nil:
			continue
		case string, bool, float64, int, int64, json.Number:
		default:
			return nil, steward.Errorf(steward.Internal, "the field %s holds a form of value that can't be made safe", f.Name).Because(fmt.Errorf("type %T", f.Value))
		}
		s, text := f.Value.(string)
		switch {
		case text && !utf8.ValidString(s):
			return nil, steward.Errorf(steward.Invalid, "the field %s is not valid UTF-8", f.Name)
		case f.Sensitivity == steward.Secret:
			out[i] = Removed
		case text && s == "":
			out[i] = ""
		case f.Sensitivity == steward.Open && text:
			open = append(open, i)
		case f.Sensitivity == steward.Open, f.Sensitivity != steward.Personal && !text:
			out[i] = f.Value
		default:
			hidden = append(hidden, i)
		}
	}
	if err := c.exchange(ctx, fields, hidden, out); err != nil {
		return nil, err
	}
	// Open strings come last: what this very reply made known is masked in them.
	var misjudged []int
	for _, i := range open {
		s := fields[i].Value.(string)
		if c.holdsUnknownAddress(s) {
			misjudged = append(misjudged, i)
			continue
		}
		if out[i], err = c.maskOpen(ctx, s); err != nil {
			return nil, err
		}
	}
	return out, c.exchange(ctx, fields, misjudged, out)
}

func (c *Conversation) holdsUnknownAddress(s string) bool {
	for _, m := range recognise.Emails(s) {
		if _, familiar := c.known.find(steward.TokenType(m.Type), s[m.Start:m.End]); !familiar {
			return true
		}
	}
	return false
}

// maskOpen masks what is known already; numbers in an open string are not taken for telephones.
func (c *Conversation) maskOpen(ctx context.Context, text string) (string, error) {
	pieces, err := c.claim(ctx, text, recognise.Secrets(text), false)
	if err != nil {
		return "", err
	}
	found := make([][]span, len(pieces))
	for i, p := range pieces {
		if p.out == "" {
			found[i] = scan(text, p)
			for j := range found[i] {
				found[i][j].sure = false
			}
		}
	}
	return c.finish(ctx, text, pieces, found)
}

// exchange puts tokens in out for the fields at the given positions.
func (c *Conversation) exchange(ctx context.Context, fields []steward.Field, at []int, out []any) error {
	var fresh []int
	var subjects []steward.Ref
	for _, i := range at {
		f := fields[i]
		if c.issued(f) != nil && len(c.typed(f)) == 0 {
			continue
		}
		fresh = append(fresh, i)
		if f.Subject.ID != "" {
			subjects = append(subjects, f.Subject.Record())
		}
	}
	people, err := c.vault.people(ctx, c.ws, subjects)
	if err != nil {
		return err
	}
	for _, i := range fresh {
		f := fields[i]
		if err := c.link(ctx, c.typed(f), f.Of, people[f.Subject.Record()]); err != nil {
			return err
		}
	}
	var drafts []draft
	waiting := map[string]bool{}
	for _, i := range fresh {
		f := fields[i]
		d := draft{kind: Reference, typ: shownAs(f), class: steward.ClassConversation, person: people[f.Subject.Record()], value: show(f.Value)}
		key := f.Of.String()
		if rereadable(f) {
			d.ref = &f.Of
		} else {
			d.kind, d.class = Value, steward.ClassVault
			key = exactKey(d.typ, d.value)
		}
		if c.issued(f) == nil && !waiting[key] {
			waiting[key] = true
			drafts = append(drafts, d)
		}
	}
	if _, err := c.issue(ctx, drafts); err != nil {
		return err
	}
	for _, i := range at {
		for _, e := range c.refs[fields[i].Of] {
			c.remember(e, show(fields[i].Value))
		}
		out[i] = c.issued(fields[i]).write("")
	}
	return nil
}

// issued is the entry whose token stands for a field already, nil where there is none.
func (c *Conversation) issued(f steward.Field) *entry {
	if !rereadable(f) {
		return c.exact[exactKey(shownAs(f), show(f.Value))]
	}
	if list := c.refs[f.Of]; len(list) > 0 {
		return list[0]
	}
	return nil
}

// rereadable says that a field's value can be asked for again.
func rereadable(f steward.Field) bool { return f.Of.ID != "" && f.Of.Field != "" }

// shownAs is the type of a field's token: its own for personal fields, TEXT for whatever else is hidden.
func shownAs(f steward.Field) steward.TokenType {
	if f.Sensitivity == steward.Personal && tokenType(string(f.Type)) {
		return f.Type
	}
	return steward.TokenText
}

// typed finds kept values that a record's field proves to be.
func (c *Conversation) typed(f steward.Field) []*entry {
	if !rereadable(f) {
		return nil
	}
	return c.known.typed(shownAs(f), show(f.Value))
}

// show writes a value as people read it. Fields has refused all forms but these.
func show(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(value)
}

// Subject is the person a record is about, if one is known.
func (c *Conversation) Subject(ctx context.Context, record steward.Ref) (steward.PersonID, bool, error) {
	return c.vault.Person(ctx, c.ws, record)
}
