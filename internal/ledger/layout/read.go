package layout

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"time"
)

// Brief is what verifying needs of a header.
type Brief struct {
	Seq     uint64
	Micros  int64
	Kind    []byte // of the header's bytes
	Intent  uint64
	Intends bool // an intent is named
	Parts   []BriefPart
}

// BriefPart is what a header says of a part.
type BriefPart struct {
	Size   int
	SHA256 [sha256.Size + 1]byte // and room for the decoder
}

// Read reads a header that is written exactly as Steward writes them, and is false for any other, which is
// then for encoding/json to read. What it reads it reads with the same result. The parts' space is used again.
func (b *Brief) Read(header []byte) bool {
	*b = Brief{Parts: b.Parts[:0]}
	return (&briefReader{rest: header, into: b}).header()
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

// briefReader goes through a header; what it meets that Steward wouldn't write ends it with false.
type briefReader struct {
	rest []byte
	into *Brief
}

func (r *briefReader) header() bool {
	var at []byte
	var when time.Time
	ok := r.literal(`{"seq":`) && r.number(&r.into.Seq) && r.literal(`,"time":`) && r.text(&at) && when.UnmarshalText(at) == nil && r.literal(`,"id":`) && r.text(&at)
	if !ok {
		return false
	}
	r.into.Micros = when.UnixMicro()
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
			r.into.Kind = value
		}
		return true
	case 'n':
		var n uint64
		signed := string(key) != "intent" && r.literal("-")
		if !r.number(&n) || signed && n == 0 || string(key) != "intent" && n > 1<<63-1 {
			return false
		}
		if string(key) == "intent" {
			r.into.Intent, r.into.Intends = n, true
		}
		return true
	case 'l':
		return r.list()
	}
	if !r.literal("[") {
		return false
	}
	for {
		var p BriefPart
		var size uint64
		if !r.literal(`{"scopes":`) || !r.list() || !r.literal(`,"len":`) || !r.number(&size) || size > 1<<62 || !r.literal(`,"sha256":`) || !r.text(&value) || !r.literal("}") {
			return false
		}
		p.Size = int(size)
		if len(value) != base64.StdEncoding.EncodedLen(sha256.Size) {
			return false
		}
		if n, err := base64.StdEncoding.Strict().Decode(p.SHA256[:], value); err != nil || n != sha256.Size {
			return false
		}
		r.into.Parts = append(r.into.Parts, p)
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
