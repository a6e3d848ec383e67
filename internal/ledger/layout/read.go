package layout

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"math/bits"
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
	return (&briefReader{from: header, into: b}).header()
}

// The fields behind a header's id, in their order, by the sort of their values.
var briefFields = [...]struct {
	key  string
	sort byte // kind, text, signed number, intent, list of texts, parts
}{
	{`,"kind":`, 'k'}, {`,"run":`, 't'}, {`,"caller":`, 't'}, {`,"on_behalf_of":`, 't'}, {`,"authentication":`, 't'}, {`,"system":`, 't'},
	{`,"tool":`, 't'}, {`,"effect":`, 't'}, {`,"decision":`, 't'}, {`,"policies":`, 'l'}, {`,"policy_set":`, 't'}, {`,"outcome":`, 't'},
	{`,"error":`, 't'}, {`,"purpose":`, 't'}, {`,"records":`, 's'}, {`,"duration_us":`, 's'}, {`,"targets":`, 'l'}, {`,"intent":`, 'i'},
	{`,"node":`, 't'}, {`,"parts":`, 'p'},
}

// briefReader goes through a header; what it meets that Steward wouldn't write ends it with false. It counts
// where it is instead of cutting off what it has read, since storing a number is cheaper than a pointer that
// the garbage collector has to be told of.
type briefReader struct {
	from []byte
	at   int
	into *Brief
}

func (r *briefReader) header() bool {
	if !r.literal(`{"seq":`) || !r.number(&r.into.Seq) || !r.literal(`,"time":`) {
		return false
	}
	var when time.Time
	if at, ok := r.text(); !ok || when.UnmarshalText(at) != nil || !r.literal(`,"id":`) || !r.skip() {
		return false
	}
	r.into.Micros = when.UnixMicro()
	for _, field := range briefFields {
		if r.literal(field.key) && !r.value(field.sort) {
			return false
		}
	}
	return r.literal("}") && r.at == len(r.from)
}

func (r *briefReader) value(sort byte) (ok bool) {
	switch sort {
	case 'k':
		r.into.Kind, ok = r.text()
		return ok
	case 't':
		return r.skip()
	case 's':
		var n uint64
		signed := r.literal("-")
		return r.number(&n) && (n > 0 || !signed) && n <= 1<<63-1
	case 'i':
		r.into.Intends = true
		return r.number(&r.into.Intent)
	case 'l':
		return r.list()
	}
	if !r.literal("[") {
		return false
	}
	for {
		var size uint64
		if !r.literal(`{"scopes":`) || !r.list() || !r.literal(`,"len":`) || !r.number(&size) || size > 1<<62 || !r.literal(`,"sha256":`) {
			return false
		}
		p := BriefPart{Size: int(size)}
		sum, ok := r.text()
		if !ok || len(sum) != base64.StdEncoding.EncodedLen(sha256.Size) {
			return false
		}
		if n, err := strictBase64.Decode(p.SHA256[:], sum); err != nil || n != sha256.Size || !r.literal("}") {
			return false
		}
		r.into.Parts = append(r.into.Parts, p)
		if !r.literal(",") {
			return r.literal("]")
		}
	}
}

var strictBase64 = base64.StdEncoding.Strict()

// list is at least one text.
func (r *briefReader) list() bool {
	if !r.literal("[") {
		return false
	}
	for r.skip() {
		if !r.literal(",") {
			return r.literal("]")
		}
	}
	return false
}

func (r *briefReader) literal(s string) bool {
	if len(r.from)-r.at < len(s) || string(r.from[r.at:r.at+len(s)]) != s {
		return false
	}
	r.at += len(s)
	return true
}

func (r *briefReader) skip() bool {
	_, ok := r.text()
	return ok
}

// text is a string of ASCII without escapes.
func (r *briefReader) text() (text []byte, ok bool) {
	if !r.literal(`"`) {
		return nil, false
	}
	from := r.at
	r.at += plain(r.from[from:])
	return r.from[from:r.at], r.literal(`"`)
}

// plain is how many bytes there are before the first that a text can't hold as it is: a quote, a backslash,
// what is below a space, and all from 0x7f on.
func plain(b []byte) (n int) {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	// Eight at a time: each sets the top bit of such bytes, and of others only above one of them, where a
	// borrow or a carry went.
	for ; len(b)-n >= 8; n += 8 {
		x := binary.LittleEndian.Uint64(b[n:])
		quote, slash := x^ones*'"', x^ones*'\\'
		if found := ((quote-ones)&^quote | (slash-ones)&^slash | (x-ones*' ')&^x | x | (x + ones)) & tops; found != 0 {
			return n + bits.TrailingZeros64(found)/8
		}
	}
	for n < len(b) && b[n] >= ' ' && b[n] < 0x7f && b[n] != '"' && b[n] != '\\' {
		n++
	}
	return n
}

func (r *briefReader) number(value *uint64) bool {
	rest := r.from[r.at:]
	digits, n := 0, uint64(0)
	for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' && digits < 19 {
		n = n*10 + uint64(rest[digits]-'0')
		digits++
	}
	if digits == 0 || digits > 1 && rest[0] == '0' || digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
		return false // none, or one that this doesn't hold
	}
	*value = n
	r.at += digits
	return true
}
