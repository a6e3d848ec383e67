package ledger

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger/layout"
)

// A header is written by hand, field by field, since every entry pays for it, and is byte for byte what
// encoding/json makes of a Header, which the tests hold it to. The caller's goroutine writes all but number
// and time, which only the committer knows.

// encode writes everything of a header but sequence number and time. Node and entry have been checked to
// be words, so none of their texts needs escaping.
func encode(id string, e *Entry, node string, parts []PartHeader) (layout.Draft, error) {
	size := 320
	for _, p := range parts {
		size += 96 + 24*len(p.Scopes)
	}
	b := layout.NewDraft(size)
	b = append(b, `"id":"`...)
	b = append(b, id...)
	b = append(b, `","kind":"`...)
	b = append(b, e.Kind...)
	b = append(b, '"')
	b = layout.Text(b, `,"run":"`, string(e.Run))
	b = layout.Text(b, `,"caller":"`, e.Caller)
	b = layout.Text(b, `,"on_behalf_of":"`, string(e.OnBehalfOf))
	b = layout.Text(b, `,"authentication":"`, e.Authentication)
	b = layout.Text(b, `,"system":"`, e.System)
	b = layout.Text(b, `,"tool":"`, e.Tool)
	b = layout.Text(b, `,"effect":"`, string(e.Effect))
	b = layout.Text(b, `,"decision":"`, e.Decision)
	b = layout.Texts(b, `,"policies":[`, e.Policies)
	b = layout.Text(b, `,"policy_set":"`, e.PolicySet)
	b = layout.Text(b, `,"outcome":"`, e.Outcome)
	b = layout.Text(b, `,"error":"`, e.Error)
	b = layout.Text(b, `,"purpose":"`, e.Purpose)
	b = layout.Integer(b, `,"records":`, int64(e.Records))
	b = layout.Integer(b, `,"duration_us":`, e.DurationMicros)
	b = layout.Texts(b, `,"targets":[`, e.Targets)
	if e.Intent != nil {
		b = strconv.AppendUint(append(b, `,"intent":`...), *e.Intent, 10)
	}
	b = layout.Text(b, `,"node":"`, node)
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
			if b, err = layout.Quoted(b, string(scope)); err != nil {
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

// Decode reads the header of an entry. Its error is of kind Internal.
func Decode(row *Row) (Header, error) {
	h, err := decode(row.Header)
	if err != nil {
		return Header{}, steward.Errorf(steward.Internal, "entry %d of the ledger can't be read; run `steward verify`", row.Seq).Because(err)
	}
	return h, nil
}

// decode reads a header from its bytes.
func decode(header []byte) (h Header, err error) {
	if err := json.Unmarshal(header, &h); err != nil {
		return Header{}, fmt.Errorf("ledger: header: %w", err)
	}
	return h, nil
}
