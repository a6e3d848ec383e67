package ledger

import (
	"bytes"
	"encoding/base64"
	"time"
)

// brief is what verifying needs of a header. It is read without reflection from headers that are written
// as encode writes them; any other goes through encoding/json, with the same result.
type brief struct {
	seq     uint64
	micros  int64
	kind    Kind // "" for an unknown one
	intent  uint64
	intends bool // an intent is named
	parts   []briefPart
}

type briefPart struct {
	size   int
	sha256 [33]byte // 32, and room for the decoder
}

// readBrief reads a header; the parts' space is used again.
func readBrief(header []byte, into *brief) error {
	parts := into.parts[:0]
	*into = brief{parts: parts}
	if (&briefReader{rest: header, into: into}).header() {
		return nil
	}
	*into = brief{parts: parts}
	h, err := decode(header)
	if err != nil {
		return err
	}
	into.seq, into.micros = h.Seq, h.Time.UnixMicro()
	if h.Kind.Label() != "" {
		into.kind = h.Kind
	}
	if h.Intent != nil {
		into.intent, into.intends = *h.Intent, true
	}
	for _, p := range h.Parts {
		b := briefPart{size: p.Len}
		if len(p.SHA256) != hashSize {
			b.size = -1 // fits no part
		}
		copy(b.sha256[:], p.SHA256)
		into.parts = append(into.parts, b)
	}
	return nil
}

// The fields behind a header's id, in their order, by the sort of their values.
var briefFields = [...]struct {
	key  string
	sort byte // text, number, list of texts, parts
}{
	{"kind", 't'}, {"run", 't'}, {"caller", 't'}, {"on_behalf_of", 't'}, {"authentication", 't'}, {"system", 't'}, {"tool", 't'},
	{"effect", 't'}, {"decision", 't'}, {"policies", 'l'}, {"policy_set", 't'}, {"outcome", 't'}, {"error", 't'}, {"purpose", 't'},
	{"records", 'n'}, {"duration_us", 'n'}, {"targets", 'l'}, {"intent", 'n'}, {"node", 't'}, {"parts", 'p'},
}

// briefReader goes through a header; what it meets that encode wouldn't write ends it with false.
type briefReader struct {
	rest []byte
	into *brief
}

func (r *briefReader) header() bool {
	var at []byte
	var when time.Time
	ok := r.literal(`{"seq":`) && r.number(&r.into.seq) && r.literal(`,"time":`) && r.text(&at) && when.UnmarshalText(at) == nil && r.literal(`,"id":`) && r.text(&at)
	if !ok {
		return false
	}
	r.into.micros = when.UnixMicro()
	for field := 0; !r.literal("}"); field++ {
		var key []byte
		if !r.literal(",") || !r.text(&key) || !r.literal(":") {
			return false
		}
		for field < len(briefFields) && string(key) != briefFields[field].key {
			field++
		}
		if field == len(briefFields) || !r.value(briefFields[field].sort, key) {
			return false
		}
	}
	return len(r.rest) == 0
}

func (r *briefReader) value(sort byte, key []byte) bool {
	var value []byte
	switch sort {
	case 't':
		if !r.text(&value) {
			return false
		}
		if string(key) == "kind" {
			for i := range kinds {
				if string(value) == string(kinds[i].kind) {
					r.into.kind = kinds[i].kind
				}
			}
		}
		return true
	case 'n':
		var n uint64
		signed := string(key) != "intent" && r.literal("-")
		if !r.number(&n) || signed && n == 0 || string(key) != "intent" && n > 1<<63-1 {
			return false
		}
		if string(key) == "intent" {
			r.into.intent, r.into.intends = n, true
		}
		return true
	case 'l':
		return r.list()
	}
	if !r.literal("[") {
		return false
	}
	for {
		var p briefPart
		var size uint64
		if !r.literal(`{"scopes":`) || !r.list() || !r.literal(`,"len":`) || !r.number(&size) || size > 1<<62 || !r.literal(`,"sha256":`) || !r.text(&value) || !r.literal("}") {
			return false
		}
		p.size = int(size)
		if len(value) != base64.StdEncoding.EncodedLen(hashSize) {
			return false
		}
		if n, err := base64.StdEncoding.Strict().Decode(p.sha256[:], value); err != nil || n != hashSize {
			return false
		}
		r.into.parts = append(r.into.parts, p)
		if !r.literal(",") {
			return r.literal("]")
		}
	}
}

// list is at least one text.
func (r *briefReader) list() bool {
	if !r.literal("[") {
		return false
	}
	for {
		var value []byte
		if !r.text(&value) {
			return false
		}
		if !r.literal(",") {
			return r.literal("]")
		}
	}
}

func (r *briefReader) literal(s string) bool {
	if len(r.rest) < len(s) || string(r.rest[:len(s)]) != s {
		return false
	}
	r.rest = r.rest[len(s):]
	return true
}

// text is a string of ASCII without escapes.
func (r *briefReader) text(value *[]byte) bool {
	if !r.literal(`"`) {
		return false
	}
	end := bytes.IndexByte(r.rest, '"')
	if end < 0 {
		return false
	}
	*value = r.rest[:end]
	r.rest = r.rest[end+1:]
	for _, c := range *value {
		if c < ' ' || c >= 0x7f || c == '\\' {
			return false
		}
	}
	return true
}

func (r *briefReader) number(value *uint64) bool {
	digits := 0
	for digits < len(r.rest) && r.rest[digits] >= '0' && r.rest[digits] <= '9' && digits < 19 {
		*value = *value*10 + uint64(r.rest[digits]-'0')
		digits++
	}
	if digits == 0 || digits > 1 && r.rest[0] == '0' || digits < len(r.rest) && r.rest[digits] >= '0' && r.rest[digits] <= '9' {
		return false // none, or one that this doesn't hold
	}
	r.rest = r.rest[digits:]
	return true
}
