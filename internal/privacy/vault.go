package privacy

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"

	"github.com/stewardhq/steward"
)

// sealed is what a row holds, in JSON. It repeats what the row says in clear: a row that was changed
// or moved to another conversation doesn't open.
type sealed struct {
	Conversation steward.ConversationID `json:"conversation"`
	Kind         Kind                   `json:"kind"`
	Type         steward.TokenType      `json:"type"`
	Ref          *steward.Ref           `json:"ref,omitempty"`
	Value        string                 `json:"value,omitempty"`
}

func (v *Vault) place(ws steward.WorkspaceID, id string) steward.Place {
	return steward.Place{Workspace: ws, Table: "tokens", Row: id}
}

func (v *Vault) seal(ctx context.Context, ws steward.WorkspaceID, row Row, scopes []steward.Scope, ref *steward.Ref, value string) (Row, error) {
	plain, err := json.Marshal(sealed{row.Conversation, row.Kind, row.Type, ref, value})
	if err != nil {
		return row, fmt.Errorf("token: %w", err)
	}
	row.Sealed, err = v.Sealer.Seal(ctx, v.place(ws, row.ID), scopes, plain)
	return row, err
}

// unseal opens a row. Its error is of kind Gone for what was forgotten.
func (v *Vault) unseal(ctx context.Context, ws steward.WorkspaceID, row Row) (sealed, error) {
	var s sealed
	if len(row.Sealed.Box) == 0 {
		return s, steward.Errorf(steward.Gone, "this was forgotten")
	}
	plain, err := v.Sealer.Open(ctx, v.place(ws, row.ID), row.Sealed)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(plain, &s); err != nil {
		return s, steward.Errorf(steward.Internal, "a stored token can't be read; run `steward verify`").Because(fmt.Errorf("token %s: malformed", row.ID))
	}
	if s.Conversation != row.Conversation || s.Kind != row.Kind || s.Type != row.Type {
		return s, steward.Errorf(steward.Internal, "a stored token was altered; run `steward verify`").Because(fmt.Errorf("token %s: not as sealed", row.ID))
	}
	return s, nil
}

// Open loads a conversation's tokens; one without any is new. Tokens whose keys are gone are known as
// forgotten: they stay tokens for ever.
func (v *Vault) Open(ctx context.Context, ws steward.WorkspaceID, conv steward.ConversationID) (*Conversation, error) {
	rows, err := v.Store.Tokens(ctx, ws, conv)
	if err != nil {
		return nil, err
	}
	c := &Conversation{
		vault: v, ws: ws, id: conv,
		byID: map[string]*entry{}, refs: map[steward.Ref][]*entry{}, exact: map[string]*entry{}, known: newDictionary(),
	}
	for _, row := range rows {
		// A token from before counts as named: earlier turns, which the model sees again, hold it.
		e := &entry{row: row, named: true}
		c.byID[row.ID] = e
		if row.Kind == Text && len(row.Sealed.Box) > 0 {
			continue // opened when it is asked for
		}
		s, err := v.unseal(ctx, ws, row)
		if steward.KindOf(err) == steward.Gone {
			e.gone = true
			continue
		}
		if err != nil {
			return nil, err
		}
		c.learn(e, s)
	}
	return c, nil
}

// learn files what a row turned out to hold.
func (c *Conversation) learn(e *entry, s sealed) {
	switch {
	case s.Kind == Text:
		e.value, e.known = s.Value, true
	case s.Ref != nil:
		e.ref = *s.Ref
		list := c.refs[e.ref]
		if e.row.Kind == Reference {
			// The reference issued as one came before any that was linked to it later.
			c.refs[e.ref] = slices.Insert(list, 0, e)
		} else {
			c.refs[e.ref] = append(list, e)
		}
	default:
		c.remember(e, s.Value)
		c.exact[exactKey(e.row.Type, s.Value)] = e
	}
}

func exactKey(t steward.TokenType, value string) string { return string(t) + " " + value }

// remember notes the present value of an entry.
func (c *Conversation) remember(e *entry, value string) {
	if e.known && e.value == value {
		return
	}
	e.value, e.known = value, true
	if e.row.Kind != Text {
		c.known.add(e)
	}
}

// draft is a token to be issued.
type draft struct {
	kind   Kind
	typ    steward.TokenType
	class  steward.Class
	person steward.PersonID // "" for none
	ref    *steward.Ref
	value  string // kept for Value and Text; for references only remembered
}

func (d draft) scopes(at steward.Scope, id string) []steward.Scope {
	switch {
	case d.person != "":
		return []steward.Scope{at, steward.PersonScope(d.person)}
	case d.kind == Reference:
		return []steward.Scope{at}
	}
	return []steward.Scope{at, steward.ItemScope(id)}
}

// attempts is how often ids that were taken are drawn again; after half of them longer ones are drawn.
const attempts = 8

// issue gives tokens to drafts and keeps them, in one transaction unless an id was taken.
func (c *Conversation) issue(ctx context.Context, drafts []draft) ([]*entry, error) {
	entries := make([]*entry, len(drafts))
	waiting := make([]int, len(drafts))
	for i := range waiting {
		waiting[i] = i
	}
	now := c.vault.Now().UTC()
	for attempt := 0; len(waiting) > 0; attempt++ {
		if attempt == attempts {
			return nil, steward.Errorf(steward.Unavailable, "no token could be issued; try again").Because(fmt.Errorf("%d ids were taken", len(waiting)))
		}
		size := shortID
		if attempt >= attempts/2 {
			size = longID
		}
		rows, owner := make([]Row, 0, len(waiting)), map[string]int{}
		for _, i := range waiting {
			id, err := newID(c.vault.Rand, size)
			if err != nil {
				return nil, err
			}
			if _, twice := owner[id]; twice || c.byID[id] != nil {
				continue // drawn again with those that are taken
			}
			d := drafts[i]
			row := Row{ID: id, Conversation: c.id, Type: d.typ, Kind: d.kind, Issued: now}
			kept := d.value
			if d.ref != nil {
				kept = ""
			}
			row, err = c.vault.seal(ctx, c.ws, row, d.scopes(steward.TimeScope(d.class, now), id), d.ref, kept)
			if err != nil {
				return nil, err
			}
			rows, owner[id] = append(rows, row), i
		}
		taken, err := c.vault.Store.IssueTokens(ctx, c.ws, rows)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if i := owner[row.ID]; !slices.Contains(taken, row.ID) {
				entries[i] = c.file(row, drafts[i])
			}
		}
		waiting = slices.DeleteFunc(waiting, func(i int) bool { return entries[i] != nil })
	}
	return entries, nil
}

func (c *Conversation) file(row Row, d draft) *entry {
	e := &entry{row: row}
	c.byID[row.ID] = e
	c.learn(e, sealed{Kind: d.kind, Ref: d.ref, Value: d.value})
	if d.ref != nil {
		c.remember(e, d.value)
	}
	return e
}

// link turns typed values that proved to be a record's field into references to it, and destroys the
// keys that they had as typed. A crash before the last step leaves only a key for a box that is no
// longer there; forgetting the person destroys it too.
func (c *Conversation) link(ctx context.Context, typed []*entry, ref steward.Ref, person steward.PersonID) error {
	var old []steward.Scope
	for _, e := range typed {
		row := e.row
		row.Kind = Linked
		scopes := []steward.Scope{steward.TimeScope(steward.ClassConversation, c.vault.Now())}
		if person != "" {
			scopes = append(scopes, steward.PersonScope(person))
		}
		row, err := c.vault.seal(ctx, c.ws, row, scopes, &ref, "")
		if err != nil {
			return err
		}
		if err := c.vault.Store.ResealToken(ctx, c.ws, row); err != nil {
			return err
		}
		delete(c.exact, exactKey(e.row.Type, e.value))
		old = append(old, steward.ItemScope(row.ID))
		e.row, e.ref = row, ref
		c.refs[ref] = append(c.refs[ref], e)
	}
	if len(old) == 0 {
		return nil
	}
	return c.vault.Shredder.Shred(ctx, c.ws, old...)
}

// failClosed turns a panic into an error, so that a fault of a recogniser lets nothing pass. A panic's
// own words may quote the text, so only the runtime's are kept for the log. It must itself be deferred.
func failClosed(err *error) {
	p := recover()
	if p == nil {
		return
	}
	cause := fmt.Errorf("privacy: panic of type %T", p)
	if fault, ok := p.(runtime.Error); ok {
		cause = fmt.Errorf("privacy: panic: %w", fault)
	}
	*err = steward.Errorf(steward.Internal, "Steward could not tell what is personal in this, so nothing was passed on").Because(cause)
}
