package privacy

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/privacy/recognise"
)

// SecretRemoved stands where a secret was. Nothing brings the secret back.
const SecretRemoved = "[secret removed]"

// Mask exchanges what is personal in a text from outside for tokens. Everything in it that looks like
// a token becomes a value itself, so no token can be forged; values known in this conversation are
// found; e-mails and telephone numbers are kept in the vault; secrets are removed. Text that is not
// UTF-8 is refused (Invalid). On any error nothing may pass.
//
// Fill of the result is the text again, but that a value of a record comes back as the record spells
// it, and a secret not at all. It is for text, not for JSON.
func (c *Conversation) Mask(ctx context.Context, text string) (string, error) {
	return c.locked(func() (string, error) { return c.mask(ctx, text, false) })
}

// MaskInside is Mask for text that was made inside, by a model: tokens of this conversation stay, all
// others are guarded.
func (c *Conversation) MaskInside(ctx context.Context, text string) (string, error) {
	return c.locked(func() (string, error) { return c.mask(ctx, text, true) })
}

// MaskInsideJSON is MaskInside for each string value of a JSON text, such as a tool's arguments.
func (c *Conversation) MaskInsideJSON(ctx context.Context, raw json.RawMessage) (json.RawMessage, error) {
	out, err := c.locked(func() (string, error) {
		return eachString(raw, func(s string) (string, error) { return c.mask(ctx, s, true) })
	})
	if err != nil {
		return nil, err
	}
	return json.RawMessage(out), nil
}

// Keep keeps a free text from outside, masked, as one value of a class with a key of its own, and
// gives its token, "<TEXT_…>". An empty text is kept as nothing: "".
func (c *Conversation) Keep(ctx context.Context, class steward.Class, text string) (string, error) {
	return c.locked(func() (string, error) { return c.keep(ctx, class, text, false) })
}

// KeepInside is Keep for text made inside, such as a prompt, an answer or a dialogue: it holds tokens
// where values were, so it is kept as it is, but that tokens of other conversations are guarded. JSON
// stays JSON.
func (c *Conversation) KeepInside(ctx context.Context, class steward.Class, text string) (string, error) {
	return c.locked(func() (string, error) { return c.keep(ctx, class, text, true) })
}

// Kept gives a kept text back as it was kept, in tokens, for use inside. Its error is of kind Gone for
// one that was forgotten.
func (c *Conversation) Kept(ctx context.Context, kept string) (string, error) {
	return c.locked(func() (string, error) {
		e, err := c.text(kept)
		if err != nil || e == nil {
			return "", err
		}
		if err := c.open(ctx, e); err != nil {
			return "", err
		}
		if e.gone {
			return "", steward.Errorf(steward.Gone, "these words were forgotten")
		}
		return e.value, nil
	})
}

// Discard destroys a kept text, the key first: a crash between leaves a row that nothing opens. What is
// already gone stays gone.
func (c *Conversation) Discard(ctx context.Context, kept string) error {
	_, err := c.locked(func() (string, error) {
		e, err := c.text(kept)
		if err != nil || e == nil {
			return "", err
		}
		if err := c.vault.Shredder.Shred(ctx, c.ws, steward.ItemScope(e.row.ID)); err != nil {
			return "", err
		}
		if err := c.vault.Store.EmptyTokens(ctx, c.ws, []string{e.row.ID}); err != nil {
			return "", err
		}
		e.value, e.known, e.gone = "", false, true
		return "", nil
	})
	return err
}

// text finds a kept text by its token; nil for "", as which nothing is kept.
func (c *Conversation) text(kept string) (*entry, error) {
	if kept == "" {
		return nil, nil
	}
	t, ok := parseToken(kept)
	if e := c.byID[t.ID]; ok && e != nil && e.row.Kind == Text {
		return e, nil
	}
	return nil, steward.Errorf(steward.NotFound, "no text is kept under this token in this conversation")
}

// open makes sure that a kept text is at hand, or known to be gone.
func (c *Conversation) open(ctx context.Context, e *entry) error {
	if e.known || e.gone {
		return nil
	}
	s, err := c.vault.unseal(ctx, c.ws, e.row)
	if steward.KindOf(err) == steward.Gone {
		e.gone = true
		return nil
	}
	if err != nil {
		return err
	}
	c.learn(e, s)
	return nil
}

// locked runs f alone, and fails closed where f panics.
func (c *Conversation) locked(f func() (string, error)) (out string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() {
		if err != nil {
			out = ""
		}
	}()
	defer failClosed(&err)
	return f()
}

func (c *Conversation) keep(ctx context.Context, class steward.Class, text string, inside bool) (string, error) {
	if text == "" {
		return "", nil
	}
	masked, err := c.masked(ctx, text, inside)
	if err != nil {
		return "", err
	}
	entries, err := c.issue(ctx, []draft{{kind: Text, typ: steward.TokenText, class: class, value: masked}})
	if err != nil {
		return "", err
	}
	return entries[0].write(""), nil
}

// masked is a text as it is kept.
func (c *Conversation) masked(ctx context.Context, text string, inside bool) (string, error) {
	if !inside {
		return c.mask(ctx, text, false)
	}
	if err := valid(text); err != nil {
		return "", err
	}
	pieces, err := c.claim(ctx, text, nil, true)
	if err != nil {
		return "", err
	}
	return c.write(text, pieces, nil), nil
}

func valid(text string) error {
	if utf8.ValidString(text) {
		return nil
	}
	return steward.Errorf(steward.Invalid, "this text is not valid UTF-8; send it as UTF-8")
}

// piece is a stretch of a text: what was claimed before any search for values, or what is searched.
type piece struct {
	start, end int
	out        string // what stands there afterwards, "" for what is searched
}

func (c *Conversation) mask(ctx context.Context, text string, inside bool) (string, error) {
	if err := valid(text); err != nil {
		return "", err
	}
	pieces, err := c.claim(ctx, text, recognise.Secrets(text), inside)
	if err != nil {
		return "", err
	}
	// What a scanner is sure of becomes known first, so that it is found in all of this text.
	var sure finds
	found := make([][]span, len(pieces))
	for i, p := range pieces {
		if p.out != "" {
			continue
		}
		found[i] = scan(text, p)
		for _, s := range found[i] {
			spelled := text[s.start:s.end]
			if e, _ := c.known.find(s.typ, spelled); e == nil && s.sure {
				sure.add(s.typ, spelled)
			}
		}
	}
	if _, err := c.issue(ctx, sure.drafts); err != nil {
		return "", err
	}
	return c.finish(ctx, text, pieces, found)
}

// finish puts tokens in for all that is known of what was found, and for what the dictionary finds.
func (c *Conversation) finish(ctx context.Context, text string, pieces []piece, found [][]span) (string, error) {
	var rest finds
	spans := c.resolve(text, pieces, found)
	for _, s := range spans {
		if spelled := text[s.start:s.end]; s.entry == nil && c.exact[exactKey(s.typ, spelled)] == nil {
			rest.add(s.typ, spelled)
		}
	}
	if _, err := c.issue(ctx, rest.drafts); err != nil {
		return "", err
	}
	return c.write(text, pieces, spans), nil
}

// claim splits a text at what is settled beforehand: secrets, and what looks like a token.
func (c *Conversation) claim(ctx context.Context, text string, removed []recognise.Span, inside bool) ([]piece, error) {
	var pieces []piece
	var forged finds
	var guarded []int // pieces
	plain := func(from, to int) {
		for i := from; i < to; i++ {
			at := strings.IndexByte(text[i:to], '<')
			if at < 0 {
				break
			}
			i += at
			end := lookalike(text[:to], i)
			if end == 0 {
				continue
			}
			if from < i {
				pieces = append(pieces, piece{start: from, end: i})
			}
			out := text[i:end]
			if t, ok := parseToken(out); !inside || !ok || c.byID[t.ID] == nil || c.byID[t.ID].row.Type != t.Type {
				guarded = append(guarded, len(pieces))
				if c.exact[exactKey(steward.TokenText, out)] == nil {
					forged.add(steward.TokenText, out)
				}
			}
			pieces = append(pieces, piece{i, end, out})
			from, i = end, end-1
		}
		if from < to {
			pieces = append(pieces, piece{start: from, end: to})
		}
	}
	from := 0
	for _, s := range removed {
		plain(from, s.Start)
		pieces = append(pieces, piece{s.Start, s.End, SecretRemoved})
		from = s.End
	}
	plain(from, len(text))
	if _, err := c.issue(ctx, forged.drafts); err != nil {
		return nil, err
	}
	for _, i := range guarded {
		pieces[i].out = c.exact[exactKey(steward.TokenText, pieces[i].out)].write("")
	}
	return pieces, nil
}

// finds collects typed values that need a token, each once.
type finds struct {
	drafts []draft
	seen   map[string]bool
}

func (f *finds) add(typ steward.TokenType, value string) {
	key := exactKey(typ, value)
	if f.seen[key] {
		return
	}
	if f.seen == nil {
		f.seen = map[string]bool{}
	}
	f.seen[key] = true
	f.drafts = append(f.drafts, draft{kind: Value, typ: typ, class: steward.ClassVault, value: value})
}

// span is a piece of a text, in bytes, that a token will stand for.
type span struct {
	start, end int
	typ        steward.TokenType
	sure       bool   // looks like its type by itself; else only if it is already known
	entry      *entry // nil for what has no token yet
	part       string
}

// scan runs the scanners over a piece; positions are those of the text.
func scan(text string, p piece) []span {
	body := text[p.start:p.end]
	var found []span
	for _, s := range append(recognise.Emails(body), recognise.Phones(body)...) {
		found = append(found, span{start: p.start + s.Start, end: p.start + s.End, typ: steward.TokenType(s.Type), sure: s.Sure})
	}
	return found
}

// resolve joins what the scanners found with what the dictionary knows: spans in order that don't
// overlap. Of two that do the one that begins first, or is longer, stands, and the other is cut, never
// dropped: what is left of it is masked as a value of its own.
func (c *Conversation) resolve(text string, pieces []piece, found [][]span) []span {
	var spans []span
	for {
		spans = spans[:0]
		named := false
		for i, p := range pieces {
			if p.out != "" {
				continue
			}
			for _, s := range found[i] {
				e, familiar := c.known.find(s.typ, text[s.start:s.end])
				if s.entry = e; e != nil || familiar || s.sure {
					spans = append(spans, s)
				}
			}
			c.known.match(text, p.start, p.end, func(s span) {
				if e := s.entry; e != nil && s.part == "" && !e.named && e.row.Type == steward.TokenPerson {
					e.named, named = true, true
					c.known.parts(e)
				}
				spans = append(spans, s)
			})
		}
		if !named {
			break // else once more, now that parts of a name count too
		}
	}
	slices.SortStableFunc(spans, func(a, b span) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return b.end - a.end
	})
	clear := spans[:0]
	pos := 0
	for _, s := range spans {
		if s.start < pos {
			if s.start, s.entry, s.part = pos, nil, ""; s.start >= s.end || !strings.ContainsFunc(text[s.start:s.end], recognise.IsWord) {
				continue
			}
		}
		clear = append(clear, s)
		pos = s.end
	}
	return clear
}

// write puts tokens in the places of spans.
func (c *Conversation) write(text string, pieces []piece, spans []span) string {
	var b strings.Builder
	b.Grow(len(text) + 8*len(spans))
	for _, p := range pieces {
		if p.out != "" {
			b.WriteString(p.out)
			continue
		}
		pos := p.start
		for ; len(spans) > 0 && spans[0].start < p.end; spans = spans[1:] {
			s := spans[0]
			if s.entry == nil {
				s.entry = c.exact[exactKey(s.typ, text[s.start:s.end])]
			}
			b.WriteString(text[pos:s.start])
			b.WriteString(s.entry.write(s.part))
			pos = s.end
		}
		b.WriteString(text[pos:p.end])
	}
	return b.String()
}
