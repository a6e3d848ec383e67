package ledger

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger/layout"
)

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

// FuzzBrief: what is read without encoding/json is what encoding/json reads.
func FuzzBrief(f *testing.F) {
	intent := uint64(7)
	d, err := encode("00ff", &Entry{Kind: CallOutcome, Run: "run_1", Policies: []string{"a", "b"}, Records: -3, DurationMicros: 12, Targets: []string{"x:y:z"}, Intent: &intent}, "node_1",
		[]PartHeader{{Scopes: []steward.Scope{"a", "b"}, Len: 7, SHA256: make([]byte, 32)}, {Scopes: []steward.Scope{"c"}, Len: 0, SHA256: bytes.Repeat([]byte{255}, 32)}})
	if err != nil {
		f.Fatal(err)
	}
	header := bytes.Clone(d.Number(12, 1_800_000_000_123_456))
	if !new(layout.Brief).Read(header) {
		f.Errorf("%s is read the long way", header)
	}
	f.Add(header)
	f.Add([]byte(`{"seq":0,"time":"2026-02-30T10:00:00Z","id":"","kind":"run.read"}`))
	f.Add([]byte(`{"seq":0,"time":"2026-02-20T10:00:00Z","id":"","kind":"run.read","records":01}`))
	f.Add([]byte(`{"seq":0,"time":"2026-02-20T10:00:00Z","id":"","kind":"run.read","records":9223372036854775808}`))
	f.Add([]byte(`{"seq":0,"time":"2026-02-20T10:00:00Z","id":"","kind":"run.read","run":"a","run":"b","parts":[]}`))
	f.Fuzz(func(t *testing.T, header []byte) {
		var b layout.Brief
		if !b.Read(header) {
			return
		}
		h, err := decode(header)
		if err != nil {
			t.Fatalf("%s is read, and encoding/json says %v", header, err)
		}
		if b.Seq != h.Seq || b.Micros != h.Time.UnixMicro() || string(b.Kind) != string(h.Kind) || b.Intends != (h.Intent != nil) || b.Intends && b.Intent != *h.Intent || len(b.Parts) != len(h.Parts) {
			t.Fatalf("%s is read as %+v, and is %+v", header, b, h)
		}
		for i, p := range h.Parts {
			if b.Parts[i].Size != p.Len || !bytes.Equal(b.Parts[i].SHA256[:32], p.SHA256) {
				t.Fatalf("part %d of %s is read as %+v", i, header, b.Parts[i])
			}
		}
	})
}

// What the committer puts together from halves is what encoding the whole gives.
func TestNumberedHeaderIsTheHeader(t *testing.T) {
	text := rapid.StringMatching(`[!#-%'-;=?A-\[\]-~]{0,20}`)
	rapid.Check(t, func(t *rapid.T) {
		e := Entry{
			Kind: rapid.SampledFrom(Kinds()).Draw(t, "kind"), Run: steward.RunID(text.Draw(t, "run")), Caller: text.Draw(t, "caller"),
			OnBehalfOf: steward.MemberID(text.Draw(t, "behalf")), Authentication: text.Draw(t, "authentication"), System: text.Draw(t, "system"),
			Tool: text.Draw(t, "tool"), Effect: steward.Effect(text.Draw(t, "effect")), Decision: text.Draw(t, "decision"),
			Policies: rapid.SliceOf(text).Draw(t, "policies"), PolicySet: text.Draw(t, "set"), Outcome: rapid.SampledFrom([]string{"", OK, Waiting}).Draw(t, "outcome"),
			Error: text.Draw(t, "error"), Purpose: text.Draw(t, "purpose"), Records: rapid.Int().Draw(t, "records"), DurationMicros: rapid.Int64().Draw(t, "us"),
			Targets: rapid.SliceOfN(text, 0, MaxTargets).Draw(t, "targets"), Intent: rapid.Ptr(rapid.Uint64(), true).Draw(t, "intent"),
		}
		var parts []PartHeader
		for range rapid.IntRange(0, 3).Draw(t, "parts") {
			parts = append(parts, PartHeader{
				Scopes: []steward.Scope{"ledger/2026-11", steward.Scope(rapid.String().Draw(t, "scope"))}, Len: rapid.Int().Draw(t, "len"),
				SHA256: rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "sha256"),
			})
		}
		if err := e.check(); err != nil {
			t.Fatalf("refused: %v", err)
		}
		node := text.Draw(t, "node")
		d, err := encode("0f", &e, node, parts)
		if err != nil {
			t.Fatal(err)
		}
		seq := rapid.Uint64().Draw(t, "seq")
		micros := rapid.Int64Range(0, 4e15).Draw(t, "time")
		d.Number(seq+1, micros+1) // an attempt before
		header := bytes.Clone(d.Number(seq, micros))
		var whole bytes.Buffer
		encoder := json.NewEncoder(&whole)
		encoder.SetEscapeHTML(false)
		h := Header{Seq: seq, Time: time.UnixMicro(micros).UTC(), ID: "0f", Entry: e, Node: node, Parts: parts}
		if err := encoder.Encode(h); err != nil || !bytes.Equal(bytes.TrimSuffix(whole.Bytes(), []byte("\n")), header) {
			t.Fatalf("written  %s\nencodes %s, %v", header, whole.Bytes(), err)
		}
		if back, err := decode(header); err != nil || back.Seq != seq || back.Time.UnixMicro() != micros {
			t.Fatalf("%s comes back as %+v, %v", header, back, err)
		}
	})
}
