package ocsf_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/ocsf"
)

const (
	log = "steward.test/ws_1"
	ws  = steward.WorkspaceID("ws_1")
)

var update = flag.Bool("update", false, "write the golden file anew")

// line is v as a line of JSON.
func line(t interface{ Fatal(...any) }, v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// event is the event of a header as a line, and the header's bytes, which are those that encoding/json writes.
func event(t interface{ Fatal(...any) }, h *ledger.Header) (event, header []byte) {
	header = bytes.TrimSuffix(line(t, h), []byte("\n"))
	return line(t, ocsf.FromEntry(log, ws, h, header, leaf(header))), header
}

// leaf is a header's hash in the tree.
func leaf(header []byte) [sha256.Size]byte { return sha256.Sum256(append([]byte{0}, header...)) }

// typical is an entry of a kind as Steward writes them.
func typical(kind ledger.Kind, seq uint64) *ledger.Header {
	intent := uint64(9)
	e := ledger.Entry{
		Kind: kind, Run: "run_7h2k", Caller: string(steward.BuiltinAgent), OnBehalfOf: "mem_1", Authentication: "api_token",
		System: "steward", Decision: "allow", Policies: []string{"read.own"}, PolicySet: "5f0c", Outcome: ledger.OK,
	}
	switch kind {
	case ledger.CallIntent, ledger.CallOutcome, ledger.CallDenied, ledger.CallNeedsApproval:
		e.System, e.Tool, e.Effect, e.Targets = "salesforce", "update_record", steward.Write, []string{"salesforce:Opportunity:006A1"}
		switch kind {
		case ledger.CallIntent:
			e.Outcome = ""
		case ledger.CallOutcome:
			e.Intent, e.Records, e.DurationMicros = &intent, 1, 81_204
		case ledger.CallDenied:
			e.Decision, e.Outcome, e.Error = "deny", ledger.Denied, "denied"
		case ledger.CallNeedsApproval:
			e.Decision, e.Outcome = "needs_other", ledger.Waiting
		}
	case ledger.AuthRefused:
		e = ledger.Entry{Kind: kind, Caller: "mem_1", System: "steward", Outcome: ledger.Denied, Error: "unauthenticated", Targets: []string{"tok_1"}}
	case ledger.WorkspaceCreated, ledger.MemberAdded, ledger.MemberRemoved:
		e.Run, e.Caller, e.OnBehalfOf, e.Tool, e.Targets = "", "operator", "", "init", []string{"mem_2"}
		if kind == ledger.WorkspaceCreated {
			e.Targets = []string{string(ws)}
		}
	case ledger.TokenIssued, ledger.TokenRevoked:
		e.Run, e.Caller, e.Tool, e.Targets = "", "mem_1", "manage_tokens", []string{"tok_1"}
	case ledger.LedgerRead, ledger.RunRead, ledger.StoredRead:
		e.Caller, e.Tool, e.Purpose = "mem_1", "view_ledger", "audit"
	case ledger.StoredDenied:
		e.Caller, e.Tool, e.Decision, e.Outcome, e.Error = "mem_1", "view_members", "deny", ledger.Denied, "denied"
	case ledger.ServerStarted:
		e = ledger.Entry{Kind: kind}
	}
	return &ledger.Header{
		Seq: seq, Time: time.Date(2026, 11, 23, 9, 30, 0, 123_456_000, time.UTC).Add(time.Duration(seq) * time.Second),
		ID: "000102030405060708090a0b0c0d0e0f", Entry: e, Node: "node_1",
		Parts: []ledger.PartHeader{{Scopes: []steward.Scope{"ledger/2026-11", "person/per_1"}, Len: 321, SHA256: make([]byte, 32)}},
	}
}

// TestEveryKindHasItsEvent holds one event of each kind against the schema and against what was agreed.
func TestEveryKindHasItsEvent(t *testing.T) {
	const golden = "testdata/events.jsonl"
	s := readSchema(t)
	var all []byte
	for i, kind := range ledger.Kinds() {
		e, _ := event(t, typical(kind, uint64(i)))
		for _, wrong := range s.check(e) {
			t.Errorf("%s: %s", kind, wrong)
		}
		all = append(all, e...)
	}
	if *update {
		if err := os.WriteFile(golden, all, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	was, is := strings.Split(string(want), "\n"), strings.Split(string(all), "\n")
	if len(was) != len(is) {
		t.Fatalf("%d events, and there were %d", len(is)-1, len(was)-1)
	}
	for i, kind := range ledger.Kinds() {
		if was[i] != is[i] {
			t.Errorf("%s is\n%s\nand was\n%s", kind, is[i], was[i])
		}
	}
}

// TestClasses says which events aren't API activities, and that those whose entry doesn't say whom it is about are.
func TestClasses(t *testing.T) {
	classes := map[ledger.Kind]int{ledger.AuthRefused: 300201, ledger.MemberAdded: 300701, ledger.MemberRemoved: 300703}
	for _, kind := range ledger.Kinds() {
		h := typical(kind, 1)
		_, header := event(t, h)
		if e := ocsf.FromEntry(log, ws, h, header, leaf(header)); classes[kind] != 0 && e.TypeUID != classes[kind] || classes[kind] == 0 && e.ClassUID != 6003 {
			t.Errorf("%s is %s (%d)", kind, e.TypeName, e.TypeUID)
		}
		h.Caller, h.Targets = "", nil
		if e := ocsf.FromEntry(log, ws, h, header, leaf(header)); e.ClassUID != 6003 {
			t.Errorf("%s about nobody is %s", kind, e.TypeName)
		}
	}
	for effect, want := range map[steward.Effect]string{
		steward.Read: "Read", steward.Write: "Update", steward.Send: "Send", steward.Delete: "Delete", "": "about to call",
	} {
		h := typical(ledger.CallIntent, 1)
		h.Effect = effect
		if e := ocsf.FromEntry(log, ws, h, nil, leaf(nil)); e.ActivityName != want {
			t.Errorf("a call that does %q is %q", effect, e.ActivityName)
		}
	}
}

// TestHashIsTheLogs recomputes the leaf's hash as the event's own words say.
func TestHashIsTheLogs(t *testing.T) {
	raw, header := event(t, typical(ledger.CallOutcome, 12))
	var e struct {
		RawData string `json:"raw_data"`
		List    []struct {
			Chain       string `json:"chain_uid"`
			Fingerprint struct{ Value string }
		} `json:"attestation_list"`
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatal(err)
	}
	leaf := leaf(header)
	if e.RawData != string(header) || len(e.List) != 1 || e.List[0].Fingerprint.Value != hex.EncodeToString(leaf[:]) || e.List[0].Chain != log {
		t.Errorf("%+v, and the leaf's hash is %x", e, leaf)
	}
}

// TestSchemaBites plants one fault after another in a good event.
func TestSchemaBites(t *testing.T) {
	s := readSchema(t)
	good, _ := event(t, typical(ledger.CallNeedsApproval, 3))
	if wrong := s.check(good); len(wrong) > 0 {
		t.Fatal(wrong)
	}
	for _, c := range []struct{ old, new, want string }{
		{`"class_uid":6003`, `"class_uid":6004`, "no class"},
		{`"message":`, `"massage":`, "event.massage isn't in the schema"},
		{`"time":1`, `"tame":1`, "event.time is missing"},
		{`"time":1`, `"time":1.`, "no timestamp_t"},
		{`"operation":"update_record"`, `"operation":7`, "no string_t"},
		{`"operation":"update_record",`, ``, "api.operation is missing"},
		{`"severity_id":1`, `"severity_id":7`, "isn't one of its values"},
		{`"severity":"Informational"`, `"severity":"Low"`, "not \"Informational\""},
		{`"action":"needs_other"`, `"action":""`, "doesn't say which other"},
		{`"security_control"`, `"cloud"`, "event.cloud is missing"},
		{`"security_control"`, `"cloud"`, "event.action isn't in the schema"},
		{`"security_control"`, `"network_proxy"`, "no profile network_proxy"},
		{`"activity_id":3`, `"activity_id":4`, "type_uid isn't"},
		{`"name":"Steward","vendor_name"`, `"vendor_name"`, "none of [name uid]"},
		{`"version":"1.9.0"`, `"version":"1.8.0"`, "version is another"},
		{`"resources":[`, `"resources":[4,`, "no resource_details"},
		{`"user":{`, `"user":{"account":{},`, "no object account"},
	} {
		bad := strings.Replace(string(good), c.old, c.new, 1)
		if wrong := strings.Join(s.check([]byte(bad)), "\n"); bad == string(good) || !strings.Contains(wrong, c.want) {
			t.Errorf("%s: found %q, want %q", c.new, wrong, c.want)
		}
	}
}

// anyEntryIsAnEvent draws any entry that the ledger takes.
func anyEntryIsAnEvent(s schema) func(*rapid.T) {
	word := rapid.StringMatching(`[!#-%'-;=?A-\[\]-~]{0,12}`) // layout.Word
	target := rapid.OneOf(word, rapid.StringMatching(`[a-z]{1,8}:[A-Z][a-z]{1,8}:[0-9A-Za-z]{1,18}`))
	return func(t *rapid.T) {
		h := &ledger.Header{
			Seq:  rapid.Uint64().Draw(t, "seq"),
			Time: time.UnixMicro(rapid.Int64Range(0, 1<<52).Draw(t, "time")).UTC(),
			ID:   rapid.StringMatching(`[0-9a-f]{32}`).Draw(t, "id"),
			Node: word.Draw(t, "node"),
			Entry: ledger.Entry{
				Kind: rapid.SampledFrom(ledger.Kinds()).Draw(t, "kind"), Run: steward.RunID(word.Draw(t, "run")),
				Caller: word.Draw(t, "caller"), OnBehalfOf: steward.MemberID(word.Draw(t, "on behalf of")),
				Authentication: word.Draw(t, "authentication"), System: word.Draw(t, "system"), Tool: word.Draw(t, "tool"),
				Effect:   rapid.OneOf(rapid.SampledFrom([]steward.Effect{steward.Read, steward.Write, steward.Send, steward.Delete}), rapid.Custom(func(t *rapid.T) steward.Effect { return steward.Effect(word.Draw(t, "effect")) })).Draw(t, "effect"),
				Decision: rapid.OneOf(rapid.SampledFrom([]string{"allow", "deny", "needs_self"}), word).Draw(t, "decision"),
				Policies: rapid.SliceOfN(word, 0, 3).Draw(t, "policies"), PolicySet: word.Draw(t, "policy set"),
				Outcome: rapid.SampledFrom([]string{"", ledger.OK, ledger.Failed, ledger.Denied, ledger.Unknown, ledger.Waiting}).Draw(t, "outcome"),
				Error:   word.Draw(t, "error"), Purpose: word.Draw(t, "purpose"), Records: rapid.Int().Draw(t, "records"),
				DurationMicros: rapid.Int64().Draw(t, "duration"), Targets: rapid.SliceOfN(target, 0, 32).Draw(t, "targets"),
				Intent: rapid.Ptr(rapid.Uint64(), true).Draw(t, "intent"),
			},
		}
		for range rapid.IntRange(0, 2).Draw(t, "parts") {
			h.Parts = append(h.Parts, ledger.PartHeader{Scopes: []steward.Scope{steward.Scope(rapid.String().Draw(t, "scope"))}, Len: 1, SHA256: []byte{1}})
		}
		e, header := event(t, h)
		for _, wrong := range s.check(e) {
			t.Errorf("%s", wrong)
		}
		if again, _ := event(t, h); !bytes.Equal(e, again) {
			t.Error("the same entry is two events")
		}
		var back struct {
			RawData string `json:"raw_data"`
		}
		if err := json.Unmarshal(e, &back); err != nil || back.RawData != string(header) {
			t.Errorf("raw_data is %q, and the header %q, %v", back.RawData, header, err)
		}
	}
}

func TestAnyEntryIsAnEvent(t *testing.T) { rapid.Check(t, anyEntryIsAnEvent(readSchema(t))) }

func FuzzAnyEntryIsAnEvent(f *testing.F) { f.Fuzz(rapid.MakeFuzz(anyEntryIsAnEvent(readSchema(f)))) }
