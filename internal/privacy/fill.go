package privacy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/stewardhq/steward"
)

// Bounds of Fill: texts kept inside kept texts are opened so deep, and the result may be so long.
const (
	maxDepth  = 8
	maxFilled = 16 << 20 // bytes
)

// Fill puts values in for tokens, as whoever looks may see them: references by one Read for the whole
// text, kept values and texts where the vault is open to them. What was not issued to this
// conversation, was forgotten or may not be seen stays a token. Values from a system are not searched
// for tokens again; kept texts are, since theirs were guarded when they were kept.
func (c *Conversation) Fill(ctx context.Context, text string, see Viewer) (string, error) {
	if err := valid(text); err != nil {
		return "", err
	}
	r, err := c.filling(ctx, text, see)
	if err != nil {
		return "", err
	}
	return c.locked(func() (string, error) { return r.fill(ctx, text, 0) })
}

// FillJSON is Fill for each string value of a JSON text, with one Read for all; keys and all that is no
// string stay as they are.
func (c *Conversation) FillJSON(ctx context.Context, raw json.RawMessage, see Viewer) (json.RawMessage, error) {
	var all strings.Builder
	_, err := eachString(raw, func(s string) (string, error) {
		all.WriteString(s + "\n") // so that no token begins in one string and ends in the next
		return s, nil
	})
	if err != nil {
		return nil, err
	}
	r, err := c.filling(ctx, all.String(), see)
	if err != nil {
		return nil, err
	}
	out, err := c.locked(func() (string, error) {
		return eachString(raw, func(s string) (string, error) { return r.fill(ctx, s, 0) })
	})
	if err != nil {
		return nil, err
	}
	return json.RawMessage(out), nil
}

// filler fills tokens for one viewer.
type filler struct {
	c      *Conversation
	see    Viewer
	wanted []steward.Ref          // collected while values is nil, each once
	asked  map[steward.Ref]bool   // what is in wanted
	values map[steward.Ref]string // what the viewer read
	size   int
}

// filling finds which references a text needs, through the kept texts in it, and reads them as the
// viewer. The conversation is not locked meanwhile, since the viewer may use it.
func (c *Conversation) filling(ctx context.Context, text string, see Viewer) (*filler, error) {
	r := &filler{c: c, see: see, asked: map[steward.Ref]bool{}}
	if _, err := c.locked(func() (string, error) { return r.fill(ctx, text, 0) }); err != nil {
		return nil, err
	}
	r.values, r.size = map[steward.Ref]string{}, 0
	if len(r.wanted) == 0 {
		return r, nil
	}
	values, err := see.Read(ctx, r.wanted)
	if err != nil {
		return nil, err
	}
	if values != nil {
		r.values = values
	}
	return r, nil
}

func (r *filler) fill(ctx context.Context, text string, depth int) (string, error) {
	var b strings.Builder
	var err error
	pos := 0
	eachToken(text, func(start, end int, t token) {
		if err != nil {
			return
		}
		value, ok, failed := r.value(ctx, t, depth)
		if err = failed; err != nil || !ok {
			return
		}
		b.WriteString(text[pos:start])
		b.WriteString(value)
		pos = end
		if r.size += len(value); r.size > maxFilled {
			err = steward.Errorf(steward.TooLarge, "with its values put in, this text would be longer than %d MB", maxFilled>>20)
		}
	})
	if err != nil {
		return "", err
	}
	b.WriteString(text[pos:])
	return b.String(), nil
}

// value is what stands behind a token for this viewer.
func (r *filler) value(ctx context.Context, t token, depth int) (string, bool, error) {
	e := r.c.byID[t.ID]
	if e == nil || e.row.Type != t.Type || e.gone {
		return "", false, nil
	}
	if e.reference() {
		if r.values == nil {
			if !r.asked[e.ref] {
				r.asked[e.ref] = true
				r.wanted = append(r.wanted, e.ref)
			}
			return "", false, nil
		}
		value, ok := r.values[e.ref]
		return part(value, t, ok)
	}
	if !r.see.Vault(e.row.Class()) {
		return "", false, nil
	}
	if e.row.Kind == Value {
		return part(e.value, t, e.known)
	}
	if depth == maxDepth || t.Part != "" {
		return "", false, nil
	}
	if err := r.c.open(ctx, e); err != nil || e.gone {
		return "", false, err
	}
	value, err := r.fill(ctx, e.value, depth+1)
	return value, true, err
}

// part is the first or last word of a person's name, or the value.
func part(value string, t token, ok bool) (string, bool, error) {
	if t.Part == "" || !ok {
		return value, ok, nil
	}
	words := strings.Fields(value)
	if t.Type != steward.TokenPerson || len(words) == 0 {
		return "", false, nil
	}
	if t.Part == first {
		return words[0], true, nil
	}
	return words[len(words)-1], true, nil
}

// own is the member whose run this is.
type own struct {
	c    *Conversation
	read func(context.Context, []steward.Ref) (map[steward.Ref]string, error)
}

// Own sees as the member whose run this is: values that this run met come from memory; the others are
// read, if read is not nil, and remembered. The vault is open.
func (c *Conversation) Own(read func(context.Context, []steward.Ref) (map[steward.Ref]string, error)) Viewer {
	return own{c, read}
}

func (o own) Vault(steward.Class) bool { return true }

func (o own) Read(ctx context.Context, refs []steward.Ref) (map[steward.Ref]string, error) {
	values := map[steward.Ref]string{}
	var missing []steward.Ref
	o.c.mu.Lock()
	for _, ref := range refs {
		if list := o.c.refs[ref]; len(list) > 0 && list[0].known {
			values[ref] = list[0].value
		} else {
			missing = append(missing, ref)
		}
	}
	o.c.mu.Unlock()
	if len(missing) == 0 || o.read == nil {
		return values, nil
	}
	fresh, err := o.read(ctx, missing)
	if err != nil {
		return nil, err
	}
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	for ref, value := range fresh {
		values[ref] = value
		for _, e := range o.c.refs[ref] {
			o.c.remember(e, value)
		}
	}
	return values, nil
}

// eachString gives a JSON text with f applied to each string value. What f leaves alone keeps its
// bytes, but that < is never escaped, so that Tokens sees the tokens in the JSON text.
func eachString(raw []byte, f func(string) (string, error)) (string, error) {
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return "", steward.Errorf(steward.Invalid, "this is not valid JSON")
	}
	var b strings.Builder
	pos := 0
	for i := 0; i < len(raw); i++ {
		if raw[i] != '"' {
			continue
		}
		start := i
		for i++; raw[i] != '"'; i++ {
			if raw[i] == '\\' {
				i++
			}
		}
		if rest := bytes.TrimLeft(raw[i+1:], " \t\r\n"); len(rest) > 0 && rest[0] == ':' {
			continue // a key
		}
		var s string
		if err := json.Unmarshal(raw[start:i+1], &s); err != nil {
			return "", fmt.Errorf("json string: %w", err)
		}
		changed, err := f(s)
		if err != nil {
			return "", err
		}
		if changed == s && !strings.Contains(s, "<") {
			continue
		}
		b.Write(raw[pos:start])
		quote(&b, changed)
		pos = i + 1
	}
	b.Write(raw[pos:])
	return b.String(), nil
}

// quote writes a JSON string without escaping < and >, which tokens are made of.
func quote(b *strings.Builder, s string) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err) // a string always encodes
	}
	b.Write(bytes.TrimRight(buf.Bytes(), "\n"))
}
