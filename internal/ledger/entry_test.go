package ledger

import (
	"bytes"
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"github.com/stewardhq/steward"
)

func FuzzSplitParts(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(joinParts([][]byte{{1, 2, 3}, {}, []byte("x")}))
	f.Add([]byte{3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1})
	f.Fuzz(func(t *testing.T, blob []byte) {
		parts, err := splitParts(blob)
		if err != nil {
			return
		}
		again, err := splitParts(joinParts(parts))
		if err != nil || len(again) != len(parts) {
			t.Fatalf("%x splits into %d parts, which come back as %d: %v", blob, len(parts), len(again), err)
		}
		for i := range parts {
			if !bytes.Equal(parts[i], again[i]) {
				t.Fatalf("part %d of %x comes back changed", i, blob)
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"seq":0,"time":"2026-11-23T10:00:00.000005Z","id":"00","kind":"run.read","parts":[{"scopes":["a"],"len":1,"sha256":"AA=="}]}`))
	f.Add([]byte(`{"seq":-1}`))
	f.Fuzz(func(t *testing.T, header []byte) {
		h, err := decode(header)
		if err != nil {
			return
		}
		if _, err := json.Marshal(h); err != nil && h.Time.Year() < 10_000 && h.Time.Year() >= 0 {
			t.Fatalf("%s decodes and doesn't encode: %v", header, err)
		}
	})
}

// What the committer puts together from halves is what encoding the whole gives.
func TestNumberedHeaderIsTheHeader(t *testing.T) {
	text := rapid.StringMatching(`[!#-%'-;=?A-\[\]-~]{0,20}`)
	rapid.Check(t, func(t *rapid.T) {
		intent := rapid.Uint64().Draw(t, "intent")
		u := unnumbered{
			ID: "0f", Node: text.Draw(t, "node"),
			Entry: Entry{
				Kind: rapid.SampledFrom(Kinds()).Draw(t, "kind"), Caller: text.Draw(t, "caller"), Run: steward.RunID(text.Draw(t, "run")),
				Policies: rapid.SliceOf(text).Draw(t, "policies"), Records: rapid.Int().Draw(t, "records"), Intent: &intent,
			},
			Parts: []PartHeader{{Scopes: []steward.Scope{"a", "b"}, Len: 7, SHA256: []byte{1, 2, 3}}},
		}
		if err := u.check(); err != nil {
			t.Fatalf("refused: %v", err)
		}
		rest, err := u.encode()
		if err != nil {
			t.Fatal(err)
		}
		seq := rapid.Uint64().Draw(t, "seq")
		header := number(rest, seq, rapid.Int64Range(0, 4e15).Draw(t, "time"))
		h, err := decode(header)
		if err != nil {
			t.Fatalf("%s: %v", header, err)
		}
		again, err := json.Marshal(h)
		if err != nil || !bytes.Equal(again, header) || h.Seq != seq {
			t.Fatalf("stored  %s\nencodes %s, %v", header, again, err)
		}
		if len(header)-len(rest) > numberSize {
			t.Fatalf("number added %d bytes, and %d are reserved", len(header)-len(rest), numberSize)
		}
	})
}
