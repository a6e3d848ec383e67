package ledger

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/stewardhq/steward"
)

// A header is written by hand, field by field, since every entry pays for it, and is byte for byte what
// encoding/json makes of a Header, which the tests hold it to. The caller's goroutine writes all but number
// and time, which only the committer knows; room for those is left in front.

// draft is a header without its number and time.
type draft []byte // numberSize bytes of room, then the encoded fields behind the time

// encode writes everything of a header but sequence number and time. Node and entry have been checked to
// be words, so none of their texts needs escaping.
func encode(id string, e *Entry, node string, parts []PartHeader) (draft, error) {
	size := numberSize + 320
	for _, p := range parts {
		size += 96 + 24*len(p.Scopes)
	}
	b := make([]byte, numberSize, size)
	b = append(b, `"id":"`...)
	b = append(b, id...)
	b = append(b, `","kind":"`...)
	b = append(b, e.Kind...)
	b = append(b, '"')
	b = text(b, `,"run":"`, string(e.Run))
	b = text(b, `,"caller":"`, e.Caller)
	b = text(b, `,"on_behalf_of":"`, string(e.OnBehalfOf))
	b = text(b, `,"authentication":"`, e.Authentication)
	b = text(b, `,"system":"`, e.System)
	b = text(b, `,"tool":"`, e.Tool)
	b = text(b, `,"effect":"`, string(e.Effect))
	b = text(b, `,"decision":"`, e.Decision)
	b = texts(b, `,"policies":[`, e.Policies)
	b = text(b, `,"policy_set":"`, e.PolicySet)
	b = text(b, `,"outcome":"`, e.Outcome)
	b = text(b, `,"error":"`, e.Error)
	b = text(b, `,"purpose":"`, e.Purpose)
	b = integer(b, `,"records":`, int64(e.Records))
	b = integer(b, `,"duration_us":`, e.DurationMicros)
	b = texts(b, `,"targets":[`, e.Targets)
	if e.Intent != nil {
		b = strconv.AppendUint(append(b, `,"intent":`...), *e.Intent, 10)
	}
	b = text(b, `,"node":"`, node)
	for i, p := range parts {
		if i == 0 {
			b = append(b, `,"parts":[`...)
		} else {
			b = append(b, ',')
		}
		b = append(b, `{"scopes":[`...)
		for j, scope := range p.Scopes {
			if j > 0 {
				b = append(b, ',')
			}
			var err error
			if b, err = quoted(b, string(scope)); err != nil {
				return nil, err
			}
		}
		b = strconv.AppendInt(append(b, `],"len":`...), int64(p.Len), 10)
		b = append(b, `,"sha256":"`...)
		b = base64.StdEncoding.AppendEncode(b, p.SHA256)
		b = append(b, `"}`...)
	}
	if len(parts) > 0 {
		b = append(b, ']')
	}
	b = append(b, '}')
	if len(b) > maxHeader {
		return nil, steward.Errorf(steward.TooLarge, "this is too much for one entry of the ledger: its header may have %d bytes; put lists into a part", maxHeader)
	}
	return b, nil
}

func text(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, key...)
	b = append(b, value...)
	return append(b, '"')
}

func texts(b []byte, key string, values []string) []byte {
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

func integer(b []byte, key string, value int64) []byte {
	if value == 0 {
		return b
	}
	return strconv.AppendInt(append(b, key...), value, 10)
}

// quoted writes a scope's name, which others choose.
func quoted(b []byte, s string) ([]byte, error) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			var escaped bytes.Buffer
			e := json.NewEncoder(&escaped)
			e.SetEscapeHTML(false)
			if err := e.Encode(s); err != nil {
				return nil, fmt.Errorf("ledger: header: %w", err)
			}
			return append(b, bytes.TrimSuffix(escaped.Bytes(), []byte("\n"))...), nil
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"'), nil
}

// number puts sequence number and time (microseconds) in front and gives the header's bytes. It can be
// called again, which changes what it gave before.
func (d draft) number(seq uint64, micros int64) []byte {
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

// decode reads a header from its bytes.
func decode(header []byte) (h Header, err error) {
	if err := json.Unmarshal(header, &h); err != nil {
		return Header{}, fmt.Errorf("ledger: header: %w", err)
	}
	return h, nil
}
