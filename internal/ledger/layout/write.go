// Package layout answers: how do an entry's bytes lie? It writes and reads them without reflection, since
// every entry pays for it; it doesn't know what they mean.
package layout

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// numberSize is room for what Number writes.
const numberSize = 80

// Draft is a header without its number and time: room for those, then the encoded fields behind them.
type Draft []byte

// NewDraft makes a draft to append the fields to, with room for a number of bytes.
func NewDraft(size int) Draft { return make(Draft, numberSize, numberSize+size) }

// Number puts sequence number and time (microseconds) in front and gives the header's bytes. It can be
// called again, which changes what it gave before.
func (d Draft) Number(seq uint64, micros int64) []byte {
	var front [numberSize]byte
	b := append(front[:0], `{"seq":`...)
	b = strconv.AppendUint(b, seq, 10)
	b = append(b, `,"time":"`...)
	b = time.UnixMicro(micros).UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `",`...)
	at := numberSize - len(b)
	copy(d[at:], b)
	return d[at:]
}

// Text appends a key with its punctuation and a text that needs no escaping, unless it is empty.
func Text(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, key...)
	b = append(b, value...)
	return append(b, '"')
}

// Texts appends a list like Text.
func Texts(b []byte, key string, values []string) []byte {
	if len(values) == 0 {
		return b
	}
	b = append(b, key...)
	for i, value := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, value...)
		b = append(b, '"')
	}
	return append(b, ']')
}

// Integer appends a number, unless it is 0.
func Integer(b []byte, key string, value int64) []byte {
	if value == 0 {
		return b
	}
	return strconv.AppendInt(append(b, key...), value, 10)
}

// Quoted appends any text as encoding/json would, without escaping for HTML.
func Quoted(b []byte, s string) ([]byte, error) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			var escaped bytes.Buffer
			e := json.NewEncoder(&escaped)
			e.SetEscapeHTML(false)
			if err := e.Encode(s); err != nil {
				return nil, fmt.Errorf("layout: %w", err)
			}
			return append(b, bytes.TrimSuffix(escaped.Bytes(), []byte("\n"))...), nil
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"'), nil
}

// JoinParts writes sealed parts as one blob: their number, then each behind its length, as unsigned
// varints.
func JoinParts(parts [][]byte) []byte {
	if len(parts) == 0 {
		return nil
	}
	size := 0
	for _, part := range parts {
		size += len(part) + binary.MaxVarintLen32
	}
	b := binary.AppendUvarint(make([]byte, 0, size+binary.MaxVarintLen32), uint64(len(parts)))
	for _, part := range parts {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

// SplitParts reads what JoinParts wrote.
func SplitParts(blob []byte) ([][]byte, error) {
	if len(blob) == 0 {
		return nil, nil
	}
	count, n := binary.Uvarint(blob)
	if n <= 0 || count > uint64(len(blob)) {
		return nil, errParts
	}
	blob = blob[n:]
	parts := make([][]byte, 0, min(count, 16))
	for range count {
		size, n := binary.Uvarint(blob)
		if n <= 0 || size > uint64(len(blob)-n) {
			return nil, errParts
		}
		parts = append(parts, blob[n:n+int(size)])
		blob = blob[n+int(size):]
	}
	if len(blob) != 0 {
		return nil, errParts
	}
	return parts, nil
}

var errParts = errors.New("layout: the parts of an entry can't be read")

// MaxWord is how long a word may be.
const MaxWord = 256

// Word tells whether a text is an id, code or word that needs no escaping anywhere: printable ASCII without
// spaces, quotes, brackets and @.
func Word(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ', c >= 0x7f, c == '@', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return len(s) <= MaxWord
}
