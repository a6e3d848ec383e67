package privacy_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/privacy"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

const (
	ws   steward.WorkspaceID    = "ws_1"
	conv steward.ConversationID = "conv_1"
)

// house is a vault over the real store and the real keyring.
type house struct {
	*privacy.Vault
	keys *keyring.Keyring
	dir  string
}

// onBoth runs a test on SQLite, and on Postgres with a server for it.
func onBoth(t *testing.T, test func(t *testing.T, on *postgres.Server)) {
	t.Run("sqlite", func(t *testing.T) { test(t, nil) })
	t.Run("postgres", func(t *testing.T) { test(t, postgres.Start(t)) })
}

func open(t testing.TB) house {
	t.Helper()
	return openOn(t, nil)
}

// openOn opens a house on a server, or where there is none on SQLite.
func openOn(t testing.TB, on *postgres.Server) house {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	openData, openKeys := store.OpenData, store.OpenKeyring
	if on != nil {
		openData = func(ctx context.Context, _ string) (*store.DB, error) {
			return store.Postgres{URL: on.Database(t)}.OpenData(ctx)
		}
		openKeys = func(ctx context.Context, _ string) (*store.DB, error) {
			return store.Postgres{URL: on.Database(t)}.OpenKeyring(ctx)
		}
	}
	data, err := openData(ctx, dir)
	must(t, err)
	wrapped, err := openKeys(ctx, dir)
	must(t, err)
	t.Cleanup(func() { _, _ = data.Close(), wrapped.Close() })
	keeper := keyring.FileKeeper{Dir: filepath.Join(dir, "root")}
	must(t, keeper.Create(rand.Reader))
	keys, err := keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: wrapped}, Keeper: keeper, Rand: rand.Reader})
	must(t, err)
	rows := store.Privacy{DB: data}
	now := func() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }
	return house{&privacy.Vault{Store: rows, Persons: rows, Sealer: keys, Shredder: keys, Now: now, Rand: rand.Reader}, keys, dir}
}

func (h house) conversation(t testing.TB, id steward.ConversationID) *privacy.Conversation {
	t.Helper()
	c, err := h.Open(context.Background(), ws, id)
	must(t, err)
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func kind(t testing.TB, err error, want steward.Kind) {
	t.Helper()
	if err == nil || steward.KindOf(err) != want {
		t.Fatalf("got %v, want kind %v", err, want)
	}
}

func mask(t testing.TB, c *privacy.Conversation, text string) string {
	t.Helper()
	out, err := c.Mask(context.Background(), text)
	must(t, err)
	return out
}

func fill(t testing.TB, c *privacy.Conversation, text string, see privacy.Viewer) string {
	t.Helper()
	out, err := c.Fill(context.Background(), text, see)
	must(t, err)
	return out
}

func field(t testing.TB, c *privacy.Conversation, f steward.Field) any {
	t.Helper()
	out, err := c.Field(context.Background(), f)
	must(t, err)
	return out
}

// contact is a record of a person; crm is what the system says of their fields.
type contact struct{ id, name, email, phone, notes string }

func maria() contact {
	return contact{"003000000000001AAA", "Maria Elena Lopez", "maria.lopez@harborline.example", "+1 415 555 0123", "Maria plays golf; her cell is 415-555-0199"}
}

func (p contact) ref(name string) steward.Ref {
	return steward.Ref{Connection: "salesforce", Object: "Contact", ID: p.id, Field: name}
}

func (p contact) fields() []steward.Field {
	of := func(name, value string, s steward.Sensitivity, typ steward.TokenType) steward.Field {
		return steward.Field{Name: name, Value: value, Sensitivity: s, Type: typ, Of: p.ref(name), Subject: p.ref(name).Record()}
	}
	return []steward.Field{
		of("Name", p.name, steward.Personal, steward.TokenPerson),
		of("Email", p.email, steward.Personal, steward.TokenEmail),
		of("Phone", p.phone, steward.Personal, steward.TokenPhone),
		of("Description", p.notes, steward.FreeText, ""),
	}
}

func (p contact) values() []string { return []string{p.name, p.email, p.phone} }

// id is what names a token's row.
func id(token string) string { return strings.Split(strings.Trim(token, "<>"), "_")[1] }

// crm is a viewer who may read what is in it.
type crm struct {
	values map[steward.Ref]string
	vault  bool
	reads  *int
}

func (v crm) Vault(steward.Class) bool { return v.vault }

func (v crm) Read(_ context.Context, refs []steward.Ref) (map[steward.Ref]string, error) {
	if v.reads != nil {
		*v.reads++
	}
	out := map[steward.Ref]string{}
	for _, ref := range refs {
		if value, ok := v.values[ref]; ok {
			out[ref] = value
		}
	}
	return out, nil
}

func (p contact) crm() crm {
	values := map[steward.Ref]string{}
	for _, f := range p.fields() {
		values[f.Of] = f.Value.(string)
	}
	return crm{values: values, vault: true, reads: new(int)}
}

func meet(t testing.TB, c *privacy.Conversation, p contact) []string {
	t.Helper()
	out, err := c.Fields(context.Background(), p.fields())
	must(t, err)
	var tokens []string
	for _, v := range out {
		tokens = append(tokens, v.(string))
	}
	return tokens
}

func TestTypedValuesBecomeTokensAndComeBack(t *testing.T) {
	h := open(t)
	c := h.conversation(t, conv)
	text := "Write to ann@foo.example or ANN@foo.example, call +44 7700 900123 (again: +44 7700 900123)"
	masked := mask(t, c, text)
	for _, leak := range []string{"ann", "ANN", "foo.example", "7700", "900123"} {
		if strings.Contains(masked, leak) {
			t.Errorf("%q stays in %q", leak, masked)
		}
	}
	tokens := privacy.Tokens(masked)
	if len(tokens) != 4 || tokens[2] != tokens[3] || tokens[0] == tokens[1] || !strings.HasPrefix(tokens[0], "<EMAIL_") || !strings.HasPrefix(tokens[2], "<PHONE_") {
		t.Errorf("tokens %q", tokens)
	}
	if back := fill(t, c, masked, c.Own(nil)); back != text {
		t.Errorf("came back as %q", back)
	}
	// A later run of the conversation knows the same tokens.
	again := h.conversation(t, conv)
	if second := mask(t, again, text); second != masked {
		t.Errorf("then %q, before %q", second, masked)
	}
	if back := fill(t, again, masked, again.Own(nil)); back != text {
		t.Errorf("came back later as %q", back)
	}
}

func TestFieldsAreExchangedBySensitivity(t *testing.T) {
	h := open(t)
	c := h.conversation(t, conv)
	p := maria()
	deal := steward.Ref{Connection: "salesforce", Object: "Opportunity", ID: "006000000000001AAA", Field: "Name"}
	fields := append(p.fields(),
		steward.Field{Name: "Amount", Value: 4155550123.0, Sensitivity: steward.Open},
		steward.Field{Name: "IsWon", Value: true, Sensitivity: steward.Open},
		steward.Field{Name: "NextStep", Value: nil},
		steward.Field{Name: "Other", Value: ""},
		steward.Field{Name: "Key", Value: "x", Sensitivity: steward.Secret},
		steward.Field{Name: "Name", Value: "Renewal for maria elena LOPEZ, " + p.phone, Sensitivity: steward.Open, Of: deal},
		steward.Field{Name: "Id", Value: "4155550124", Sensitivity: steward.Open, Of: deal},
		steward.Field{Name: "Birthdate", Value: 1980.0, Sensitivity: steward.Personal, Type: steward.TokenDate, Of: p.ref("Birthdate"), Subject: p.ref("").Record()},
		steward.Field{Name: "New", Value: "nobody said what this is", Sensitivity: 99, Of: p.ref("New")},
		steward.Field{Name: "Title", Value: "see bob@other.example", Sensitivity: steward.Open, Of: p.ref("Title")},
	)
	out, err := c.Fields(context.Background(), fields)
	must(t, err)
	name, phone := out[0].(string), out[2].(string)
	for i, want := range []string{"<PERSON_", "<EMAIL_", "<PHONE_", "<TEXT_"} {
		if got, _ := out[i].(string); !strings.HasPrefix(got, want) || len(privacy.Tokens(got)) != 1 {
			t.Errorf("%s is %v", fields[i].Name, out[i])
		}
	}
	for i, want := range map[int]any{4: 4155550123.0, 5: true, 6: nil, 7: "", 8: "[removed]", 9: "Renewal for " + name + ", " + phone, 10: "4155550124"} {
		if out[i] != want {
			t.Errorf("%s is %v, want %v", fields[i].Name, out[i], want)
		}
	}
	for i, want := range map[int]string{11: "<DATE_", 12: "<TEXT_", 13: "<TEXT_"} {
		if got, _ := out[i].(string); !strings.HasPrefix(got, want) {
			t.Errorf("%s is %v", fields[i].Name, out[i])
		}
	}
	again, err := c.Fields(context.Background(), fields)
	must(t, err)
	if fmt.Sprint(again) != fmt.Sprint(out) {
		t.Errorf("the second time %v, before %v", again, out)
	}
	if back := fill(t, c, fmt.Sprint(out[11], " ", out[13]), c.Own(nil)); back != "1980 see bob@other.example" {
		t.Errorf("came back as %q", back)
	}
	later := h.conversation(t, conv)
	if out2, err := later.Fields(context.Background(), fields); err != nil || fmt.Sprint(out2) != fmt.Sprint(out) {
		t.Errorf("in a later run %v %v, before %v", out2, err, out)
	}
	other := h.conversation(t, "conv_2")
	if out2, err := other.Fields(context.Background(), fields[:4]); err != nil || out2[0] == out[0] {
		t.Errorf("two conversations share a token: %v %v", out2, err)
	}
}

func TestNamesAreFoundWhateverTheirDress(t *testing.T) {
	h := open(t)
	c := h.conversation(t, conv)
	p := maria()
	name := meet(t, c, p)[0]
	part := func(s string) string { return strings.TrimSuffix(name, ">") + "_" + s + ">" }
	for text, want := range map[string]string{
		"Call Maria Elena Lopez":           "Call " + name,
		"call maria  elena\nlopez's boss":  "call " + name + "'s boss",
		"MARIA ELENA LOPEZ!":               name + "!",
		"Maria Lopez called":               part("FIRST") + " " + part("LAST") + " called",
		"Lopez-Ruiz, marian, Lopezville":   part("LAST") + "-Ruiz, marian, Lopezville",
		"ask Maria, not the maria of Mrs.": "ask " + part("FIRST") + ", not the maria of Mrs.",
		"maria.lopez@harborline.example":   meet(t, c, p)[1],
		"at +1 (415) 555-0123":             "at " + meet(t, c, p)[2],
	} {
		if strings.Contains(text, "Lopez-Ruiz") || strings.HasPrefix(text, "ask") {
			mask(t, c, "Maria Elena Lopez") // parts count once the whole has been named
		}
		if got := mask(t, c, text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	// Without its country a number is another spelling: what was written is what comes back.
	if got := mask(t, c, "at 555 0123 or 415.555.0123"); got == "at 555 0123 or "+meet(t, c, p)[2] || fill(t, c, got, c.Own(nil)) != "at 555 0123 or 415.555.0123" {
		t.Errorf("a number without its country: %q", got)
	}
	first := h.conversation(t, "conv_3")
	whole := meet(t, first, p)[0]
	if got := mask(t, first, "Then Maria met Maria Elena Lopez"); got != "Then "+strings.TrimSuffix(whole, ">")+"_FIRST> met "+whole {
		t.Errorf("parts in the text that names the whole: %q", got)
	}
	if back := fill(t, c, part("FIRST")+" "+part("LAST"), c.Own(nil)); back != "Maria Lopez" {
		t.Errorf("parts came back as %q", back)
	}
	later := h.conversation(t, conv)
	meet(t, later, p)
	if got := mask(t, later, "and Maria?"); got != "and "+part("FIRST")+"?" {
		t.Errorf("a part of a name that stands in earlier turns: %q", got)
	}
	// Overlaps are cut: what is left of the address is masked as well.
	if got := mask(t, c, "Maria Elena lopez@rest.example"); strings.Contains(got, "rest") || fill(t, c, got, c.Own(nil)) != "Maria Elena Lopez@rest.example" {
		t.Errorf("a name that runs into an address: %q", got)
	}
	fresh := h.conversation(t, "conv_2")
	meet(t, fresh, p)
	if got := mask(t, fresh, "Lopez and Maria were not named"); got != "Lopez and Maria were not named" {
		t.Errorf("parts of a name that was never named count: %q", got)
	}
	single := steward.Field{Name: "FirstName", Value: "Grant", Sensitivity: steward.Personal, Type: steward.TokenPerson, Of: p.ref("FirstName"), Subject: p.ref("").Record()}
	token := field(t, fresh, single).(string)
	if got := mask(t, fresh, "Grant it. We grant Grant a grant"); got != "Grant it. We grant "+token+" a grant" {
		t.Errorf("a name that is a word: %q", got)
	}
	han := steward.Field{Name: "Name", Value: "王小明", Sensitivity: steward.Personal, Type: steward.TokenPerson, Of: p.ref("Name2"), Subject: p.ref("").Record()}
	token = field(t, fresh, han).(string)
	if got := mask(t, fresh, "请联系王小明谢谢"); got != "请联系"+token+"谢谢" {
		t.Errorf("a name without spaces around it: %q", got)
	}
}

func TestTokensCannotBeForged(t *testing.T) {
	h := open(t)
	c := h.conversation(t, conv)
	p := maria()
	tokens := meet(t, c, p)
	foreign := meet(t, h.conversation(t, "conv_2"), p)
	for _, forged := range append(append(tokens, foreign...), strings.ToLower(tokens[0]), "<PERSON_zzzzzz>", "<PERSON_k7q2mh_FIRST>", "<TEXT_a>") {
		text := "Send it to " + forged + " now"
		masked := mask(t, c, text)
		if strings.Contains(masked, forged) {
			t.Errorf("%s passed: %q", forged, masked)
		}
		if back := fill(t, c, masked, c.Own(nil)); back != text {
			t.Errorf("%q came back as %q", text, back)
		}
		hidden := steward.Field{Name: "Description", Value: text, Of: p.ref("Forged" + forged)}
		if got := fill(t, c, field(t, c, hidden).(string), c.Own(nil)); got != text {
			t.Errorf("a record's text came back with values in it: %q", got)
		}
		open := steward.Field{Name: "Name", Value: text, Sensitivity: steward.Open}
		if got := field(t, c, open).(string); strings.Contains(got, forged) {
			t.Errorf("%s passed in an open field: %q", forged, got)
		}
	}
	inside, err := c.MaskInside(context.Background(), tokens[0]+" and "+foreign[0]+" and <PERSON_zzzzzz>"+strings.Replace(tokens[0], "PERSON", "EMAIL", 1))
	must(t, err)
	if len(privacy.Tokens(inside)) != 4 || strings.Count(inside, "<TEXT_") != 3 || !strings.HasPrefix(inside, tokens[0]+" and <TEXT_") || strings.Contains(inside, foreign[0]) || strings.Contains(inside, "zzzzzz") {
		t.Errorf("a model's text became %q", inside)
	}
	if got := fill(t, c, foreign[0]+strings.Replace(tokens[0], "PERSON", "EMAIL", 1)+tokens[0][:len(tokens[0])-1], c.Own(nil)); strings.Contains(got, "Maria") {
		t.Errorf("restored what wasn't issued: %q", got)
	}
	// An id that another begins with is another id.
	if got := fill(t, c, strings.TrimSuffix(tokens[0], ">")+"0>", c.Own(nil)); strings.Contains(got, "Maria") {
		t.Errorf("a longer id restored %q", got)
	}
}

func TestViewersSeeWhatTheyMayRead(t *testing.T) {
	h := open(t)
	c := h.conversation(t, conv)
	p := maria()
	tokens := meet(t, c, p)
	typed := mask(t, c, "ann@foo.example")
	kept, err := c.Keep(context.Background(), steward.ClassPrompt, "ask Maria Elena Lopez via ann@foo.example")
	must(t, err)
	text := tokens[0] + " " + tokens[1] + " " + typed + " " + kept
	later := h.conversation(t, conv)

	if got := fill(t, later, text, later.Own(nil)); got != tokens[0]+" "+tokens[1]+" ann@foo.example ask "+tokens[0]+" via ann@foo.example" {
		t.Errorf("a reference nobody read was restored, or a kept value was not: %q", got)
	}
	all := p.crm()
	if got := fill(t, later, text, all); got != p.name+" "+p.email+" ann@foo.example ask "+p.name+" via ann@foo.example" || *all.reads != 1 {
		t.Errorf("%d reads gave %q", *all.reads, got)
	}
	part := crm{values: map[steward.Ref]string{p.ref("Name"): "Maria Married-Name"}}
	if got := fill(t, later, text, part); got != "Maria Married-Name "+tokens[1]+" "+typed+" "+kept {
		t.Errorf("somebody who may read less sees %q", got)
	}
	reads := 0
	own := later.Own(func(ctx context.Context, refs []steward.Ref) (map[steward.Ref]string, error) {
		reads++
		return p.crm().Read(ctx, refs)
	})
	for range 2 {
		if got := fill(t, later, text, own); !strings.HasPrefix(got, p.name+" "+p.email) || reads != 1 {
			t.Errorf("%d reads gave %q", reads, got)
		}
	}
	if got := mask(t, later, "maria elena lopez"); got != tokens[0] {
		t.Errorf("what the member read is not known afterwards: %q", got)
	}
	fresh := h.conversation(t, conv)
	_, err = fresh.Fill(context.Background(), text, fresh.Own(func(context.Context, []steward.Ref) (map[steward.Ref]string, error) {
		return nil, steward.Errorf(steward.Upstream, "no answer")
	}))
	kind(t, err, steward.Upstream)
}

func TestKeptTextsAreKeptDiscardedAndBounded(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		ctx := context.Background()
		h := openOn(t, on)
		c := h.conversation(t, conv)
		tokens := meet(t, c, maria())
		if kept, err := c.Keep(ctx, steward.ClassRun, ""); err != nil || kept != "" {
			t.Errorf("nothing is kept as %q, %v", kept, err)
		}
		body := `{"amount":4155550123,"note":"` + tokens[0] + ` <PERSON_zzzzzz>"}`
		kept, err := c.KeepInside(ctx, steward.ClassRun, body)
		must(t, err)
		back, err := h.conversation(t, conv).Kept(ctx, kept)
		must(t, err)
		if !json.Valid([]byte(back)) || !strings.Contains(back, `4155550123,"note":"`+tokens[0]+" <TEXT_") || strings.Contains(back, "zzzzzz") {
			t.Errorf("kept as %q", back)
		}
		for _, wrong := range []string{tokens[0], "<TEXT_zzzzzz>", "words"} {
			_, err = c.Kept(ctx, wrong)
			kind(t, err, steward.NotFound)
		}
		must(t, c.Discard(ctx, kept))
		must(t, c.Discard(ctx, kept))
		if alive, err := h.keys.Alive(ctx, ws, steward.ItemScope(id(kept))); err != nil || alive {
			t.Errorf("the key of what was discarded: alive %v, %v", alive, err)
		}
		must(t, h.Store.WalkTokens(ctx, ws, privacy.Wanted{IDs: []string{id(kept)}}, func(privacy.Row) error {
			t.Error("the row of what was discarded still holds something")
			return nil
		}))
		for _, c := range []*privacy.Conversation{c, h.conversation(t, conv)} {
			_, err = c.Kept(ctx, kept)
			kind(t, err, steward.Gone)
			if got := fill(t, c, "see "+kept, c.Own(nil)); got != "see "+kept {
				t.Errorf("a discarded text says %q", got)
			}
		}
		// Texts within texts are opened eight deep, and what would be huge is refused.
		deep := "bottom"
		for range 12 {
			deep, err = c.KeepInside(ctx, steward.ClassRun, deep)
			must(t, err)
		}
		if got := fill(t, c, deep, c.Own(nil)); len(privacy.Tokens(got)) != 1 || strings.Contains(got, "bottom") {
			t.Errorf("a text within texts: %q", got)
		}
		wide := strings.Repeat("wide ", 100)
		for range 6 {
			wide, err = c.KeepInside(ctx, steward.ClassRun, strings.Repeat(wide, 20))
			must(t, err)
		}
		_, err = c.Fill(ctx, wide, c.Own(nil))
		kind(t, err, steward.TooLarge)
	})
}

func TestJSONStaysJSON(t *testing.T) {
	ctx := context.Background()
	h := open(t)
	c := h.conversation(t, conv)
	p := maria()
	p.name = `Maria "Mia" O'Lopez\`
	token := meet(t, c, p)[0]
	key := token
	raw := `{ "` + key + `": 1.50, "who": "\u003c` + strings.Trim(token, "<>") + `\u003e", "n": [1e3, 9007199254740993, null, "é <b>", "` + token + ` x"] }`
	filled, err := c.FillJSON(ctx, json.RawMessage(raw), c.Own(nil))
	must(t, err)
	quoted, _ := json.Marshal(p.name)
	want := `{ "` + key + `": 1.50, "who": ` + string(quoted) + `, "n": [1e3, 9007199254740993, null, "é <b>", ` + strings.TrimSuffix(string(quoted), `"`) + ` x"] }`
	if string(filled) != want {
		t.Errorf("got  %s\nwant %s", filled, want)
	}
	masked, err := c.MaskInsideJSON(ctx, json.RawMessage(`{"to":"ann@foo.example","id":4155550123,"who":"\u003cPERSON_zzzzzz\u003e","me":"\u003c`+strings.Trim(token, "<>")+`\u003e"}`))
	must(t, err)
	if !json.Valid(masked) || strings.Contains(string(masked), "ann@") || !strings.Contains(string(masked), `"id":4155550123`) || !strings.Contains(string(masked), `"me":"`+token+`"`) || len(privacy.Tokens(string(masked))) != 3 {
		t.Errorf("a model's arguments became %s", masked)
	}
	for _, bad := range []string{`{`, `{"a":"` + "\xff" + `"}`, ``} {
		_, err := c.FillJSON(ctx, json.RawMessage(bad), c.Own(nil))
		kind(t, err, steward.Invalid)
		_, err = c.MaskInsideJSON(ctx, json.RawMessage(bad))
		kind(t, err, steward.Invalid)
	}
}

func TestATypedValueIsLinkedToItsRecord(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		ctx := context.Background()
		h := openOn(t, on)
		c := h.conversation(t, conv)
		p := maria()
		typed := mask(t, c, "write to Maria.Lopez@harborline.example, call +1-415-555-0123")
		was := privacy.Tokens(typed)
		tokens := meet(t, c, p)
		if tokens[1] != was[0] || tokens[2] != was[1] {
			t.Errorf("typed %q, then the record's %q", was, tokens)
		}
		if got := fill(t, c, typed, crm{vault: true}); strings.Contains(got, "415") || strings.Contains(got, "harborline") {
			t.Errorf("the typed value is still in the vault: %q", got)
		}
		if got := fill(t, h.conversation(t, conv), typed, p.crm()); got != "write to "+p.email+", call "+p.phone {
			t.Errorf("read as the record's it is %q", got)
		}
		for _, token := range was {
			if alive, err := h.keys.Alive(ctx, ws, steward.ItemScope(id(token))); err != nil || alive {
				t.Errorf("the key it had as typed: alive %v, %v", alive, err)
			}
		}
		// A second record with the same address gets a token of its own.
		twin := maria()
		twin.id = "003000000000002AAA"
		if other := meet(t, c, twin); other[1] == tokens[1] {
			t.Errorf("two records share %q", other[1])
		}
		// Typed in a run that has not met the record again, then met: both tokens are the record's.
		later := h.conversation(t, conv)
		second := mask(t, later, p.email)
		if second == tokens[1] {
			t.Fatal("the value was known without being read")
		}
		if again := meet(t, later, p); again[1] != tokens[1] {
			t.Errorf("the field's token changed from %q to %q", tokens[1], again[1])
		}
		if got := fill(t, h.conversation(t, conv), second+tokens[1], p.crm()); got != p.email+p.email {
			t.Errorf("both are %q", got)
		}
		// A field's token stays the same, however many typed ones were linked to it since.
		stable := contact{"003000000000003AAA", "Dana Whitfield", "dana@other.example", "+1 415 555 0177", "x"}
		before := meet(t, h.conversation(t, conv), stable)[1]
		for range 6 {
			run := h.conversation(t, conv)
			mask(t, run, stable.email)
			if after := meet(t, run, stable)[1]; after != before {
				t.Fatalf("the field's token changed from %q to %q", before, after)
			}
		}
	})
}

func TestAChangedValueTakesItsOldOneOutOfTheDictionary(t *testing.T) {
	c := open(t).conversation(t, conv)
	p := maria()
	tokens := meet(t, c, p)
	old := p.email
	p.email, p.name = "maria.new@harborline.example", "Maria Newname"
	meet(t, c, p)
	for _, text := range []string{"was " + old + " once", "now maria newname", "Maria Elena Lopez"} {
		masked := mask(t, c, text)
		if back := fill(t, c, masked, c.Own(nil)); !strings.EqualFold(back, text) {
			t.Errorf("%q became %q and came back as %q", text, masked, back)
		}
	}
	if got := mask(t, c, "now "+p.email); got != "now "+tokens[1] {
		t.Errorf("the new value is %q", got)
	}
}

func TestForgetting(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		ctx := context.Background()
		h := openOn(t, on)
		c := h.conversation(t, conv)
		p, other := maria(), contact{"003000000000009AAA", "Dana Whitfield", "dana@other.example", "+1 415 555 0177", "none"}
		masked := mask(t, c, "mail "+p.email)
		tokens, others := meet(t, c, p), meet(t, c, other)
		loose := mask(t, h.conversation(t, "conv_2"), p.email+" and 415.555.0123 and dana@other.example")
		missed, err := h.conversation(t, "conv_3").Keep(ctx, steward.ClassPrompt, "nobody knew that maria elena\nlopez is a name")
		must(t, err)
		innocent, err := h.conversation(t, "conv_3").Keep(ctx, steward.ClassPrompt, "Mariana Elena Lopez is somebody else")
		must(t, err)
		blind, err := h.Blind(ctx, ws, p.ref("Name"))
		must(t, err)

		person, ok, err := c.Subject(ctx, p.ref("Email"))
		if err != nil || !ok {
			t.Fatalf("%v %v", ok, err)
		}
		m, err := h.Mentions(ctx, ws, person, p.values())
		must(t, err)
		for _, token := range tokens[1:2] { // typed, then linked
			if !slices.Contains(m.Scopes, steward.ItemScope(id(token))) {
				t.Errorf("the key that %s had as typed is not among %v", token, m.Scopes)
			}
		}
		if m.References != 4 || m.Values != 2 || m.Texts != 1 || len(m.Tokens) != 7 {
			t.Errorf("mentions %+v", m)
		}
		// Forgotten first without its keys, as a crash between the steps leaves it; then all of it again.
		must(t, h.keys.Shred(ctx, ws, m.Scopes[:2]...))
		again, found, err := h.Person(ctx, ws, p.ref(""))
		if err != nil || !found || again != person {
			t.Fatalf("after a crash the person is %v %v %v", again, found, err)
		}
		m2, err := h.Mentions(ctx, ws, person, p.values())
		must(t, err)
		must(t, h.keys.Shred(ctx, ws, slices.Concat(m.Scopes, m2.Scopes)...))
		must(t, h.Forget(ctx, ws, person, m2))
		must(t, h.Forget(ctx, ws, person, m2))

		see := p.crm()
		maps.Copy(see.values, other.crm().values)
		later := h.conversation(t, conv)
		if got := fill(t, later, masked+" "+strings.Join(tokens, " "), see); got != masked+" "+strings.Join(tokens, " ") {
			t.Errorf("forgotten, and it says %q", got)
		}
		if got := fill(t, later, others[0], see); got != other.name {
			t.Errorf("somebody else was forgotten too: %q", got)
		}
		loosely := h.conversation(t, "conv_2")
		if got := fill(t, loosely, loose, see); strings.Contains(got, "maria") || strings.Contains(got, "0123") || !strings.Contains(got, "dana@") {
			t.Errorf("typed elsewhere: %q", got)
		}
		third := h.conversation(t, "conv_3")
		if got := fill(t, third, missed+" "+innocent, see); got != missed+" Mariana Elena Lopez is somebody else" {
			t.Errorf("free texts: %q", got)
		}
		if _, known, err := h.Person(ctx, ws, p.ref("")); err != nil || known {
			t.Errorf("still known: %v %v", known, err)
		}
		// Met again it is a new person, with new tokens.
		fresh := meet(t, later, p)
		for i := range fresh {
			if fresh[i] == tokens[i] {
				t.Errorf("%s stands for somebody again", fresh[i])
			}
		}
		if now, ok, err := h.Person(ctx, ws, p.ref("")); err != nil || !ok || now == person {
			t.Errorf("met again: %v %v %v", now, ok, err)
		}
		if b, err := h.Blind(ctx, ws, p.ref("")); err != nil || b == blind {
			t.Errorf("the blinded id is the same again: %q %v", b, err)
		}
		kind(t, h.Forget(ctx, ws, "somebody", m2), steward.Internal)
		_, err = h.Mentions(ctx, ws, person, []string{" "})
		kind(t, err, steward.Invalid)
	})
}

func TestForgettingSomebodyUnknownLeavesOthers(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		ctx := context.Background()
		h := openOn(t, on)
		c := h.conversation(t, conv)
		p := maria()
		meet(t, c, p)
		kept, err := c.Keep(ctx, steward.ClassPrompt, "the weather in Lisbon")
		must(t, err)
		typed := mask(t, c, "mail dana@other.example")

		none, err := h.Mentions(ctx, ws, "", []string{"Nobody Whatsoever"})
		must(t, err)
		if len(none.Scopes)+len(none.Tokens)+none.References+none.Values+none.Texts != 0 {
			t.Fatalf("somebody unknown is mentioned in %+v", none)
		}
		one, err := h.Mentions(ctx, ws, "", []string{"dana@other.example"})
		must(t, err)
		if one.Values != 1 || len(one.Tokens) != 1 || len(one.Scopes) != 1 || one.Scopes[0] != steward.ItemScope(one.Tokens[0]) {
			t.Fatalf("one typed address is mentioned in %+v", one)
		}
		must(t, h.keys.Shred(ctx, ws, one.Scopes...))
		must(t, h.Forget(ctx, ws, "", one))

		later := h.conversation(t, conv)
		if got := fill(t, later, kept+"; "+typed, crm{vault: true}); got != "the weather in Lisbon; "+typed {
			t.Errorf("afterwards: %q", got)
		}
		if _, known, err := h.Person(ctx, ws, p.ref("")); err != nil || !known {
			t.Errorf("a known person is no longer known: %v", err)
		}
	})
}

func TestBlindedIdsAreStableAndTellNothing(t *testing.T) {
	ctx := context.Background()
	h := open(t)
	p := maria()
	a, err := h.Blind(ctx, ws, p.ref("Name"))
	must(t, err)
	b, err := h.Blind(ctx, ws, p.ref("").Record())
	must(t, err)
	other, err := h.Blind(ctx, "ws_2", p.ref("Name"))
	must(t, err)
	head, digest, _ := strings.Cut(a, "~")
	if a != b || a == other || head != "salesforce:Contact:" || len(digest) != 24 || strings.Trim(digest, "0123456789abcdef") != "" || strings.Contains(a, p.id) {
		t.Errorf("%q %q %q", a, b, other)
	}
}

func TestSecretsGoAndNeverComeBack(t *testing.T) {
	c := open(t).conversation(t, conv)
	secret := "glpat-" + strings.Repeat("aB3", 9)
	masked := mask(t, c, "use "+secret+", thanks")
	if masked != "use "+privacy.SecretRemoved+", thanks" || fill(t, c, masked, c.Own(nil)) != masked {
		t.Errorf("became %q", masked)
	}
	token, err := c.Keep(context.Background(), steward.ClassRun, secret)
	must(t, err)
	if got := fill(t, c, token, c.Own(nil)); got != privacy.SecretRemoved {
		t.Errorf("kept as %q", got)
	}
}

// broken is a sealer that panics or fails.
type broken struct {
	steward.Sealer
	panics bool
}

func (b broken) Seal(context.Context, steward.Place, []steward.Scope, []byte) (steward.Sealed, error) {
	if b.panics {
		panic("a fault that quotes ann@foo.example")
	}
	return steward.Sealed{}, steward.Errorf(steward.Unavailable, "no keyring")
}

func TestFaultsFailClosed(t *testing.T) {
	ctx := context.Background()
	h := open(t)
	whole := h.Sealer
	for _, panics := range []bool{true, false} {
		want := steward.Unavailable
		if panics {
			want = steward.Internal
		}
		h.Sealer = broken{whole, panics}
		c := h.conversation(t, conv)
		out, err := c.Mask(ctx, "write to ann@foo.example")
		kind(t, err, want)
		if out != "" || strings.Contains(err.Error(), "ann@") {
			t.Errorf("let through %q, %v", out, err)
		}
		values, err := c.Fields(ctx, maria().fields())
		kind(t, err, want)
		if values != nil {
			t.Errorf("let through %v", values)
		}
		if out, err := c.Mask(ctx, "still usable"); err != nil || out != "still usable" {
			t.Errorf("afterwards %q %v", out, err)
		}
	}
	h.Sealer = whole
	c := h.conversation(t, conv)
	for _, f := range []func() error{
		func() error { _, err := c.Mask(ctx, "a\xff"); return err },
		func() error { _, err := c.MaskInside(ctx, "a\xff"); return err },
		func() error { _, err := c.Keep(ctx, steward.ClassRun, "a\xff"); return err },
		func() error { _, err := c.KeepInside(ctx, steward.ClassRun, "a\xff"); return err },
		func() error { _, err := c.Fill(ctx, "a\xff", c.Own(nil)); return err },
		func() error { _, err := c.Field(ctx, steward.Field{Value: "a\xff"}); return err },
	} {
		kind(t, f(), steward.Invalid)
	}
	_, err := c.Field(ctx, steward.Field{Name: "Nested", Value: map[string]any{"Email": "x"}, Sensitivity: steward.Open})
	kind(t, err, steward.Internal)
}

// altered is a store whose rows were changed by hand.
type altered struct {
	privacy.Store
	change func(*privacy.Row)
}

func (a altered) Tokens(ctx context.Context, ws steward.WorkspaceID, conv steward.ConversationID) ([]privacy.Row, error) {
	rows, err := a.Store.Tokens(ctx, ws, "conv_1")
	for i := range rows {
		rows[i].Conversation = conv
		a.change(&rows[i])
	}
	return rows, err
}

func TestAlteredRowsDontOpen(t *testing.T) {
	h := open(t)
	mask(t, h.conversation(t, conv), "ann@foo.example")
	whole := h.Store
	for name, change := range map[string]func(*privacy.Row){
		"type": func(r *privacy.Row) { r.Type = steward.TokenPhone },
		"kind": func(r *privacy.Row) { r.Kind = privacy.Reference },
		"id":   func(r *privacy.Row) { r.ID = "zzzzzz" },
		"box":  func(r *privacy.Row) { r.Sealed.Box = bytes.Repeat([]byte("x"), len(r.Sealed.Box)) },
	} {
		h.Store = altered{whole, change}
		if _, err := h.Open(context.Background(), ws, conv); err == nil || steward.KindOf(err) != steward.Internal {
			t.Errorf("altered %s: %v", name, err)
		}
	}
	h.Store = altered{whole, func(*privacy.Row) {}}
	_, err := h.Open(context.Background(), ws, "conv_2")
	kind(t, err, steward.Internal)
	if _, err := h.Open(context.Background(), ws, conv); err != nil {
		t.Errorf("unaltered: %v", err)
	}
}

// crowded says that every short id is taken.
type crowded struct{ privacy.Store }

func (c crowded) IssueTokens(ctx context.Context, ws steward.WorkspaceID, rows []privacy.Row) ([]string, error) {
	var free []privacy.Row
	var taken []string
	for _, r := range rows {
		if len(r.ID) < 8 {
			taken = append(taken, r.ID)
		} else {
			free = append(free, r)
		}
	}
	more, err := c.Store.IssueTokens(ctx, ws, free)
	return append(taken, more...), err
}

// dull is randomness that repeats itself, so that ids collide.
type dull struct{ n int }

func (d *dull) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(d.n / 25 % 5)
		d.n++
	}
	return len(p), nil
}

func TestTakenIdsAreDrawnAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		h := openOn(t, on)
		h.Store = crowded{h.Store}
		c := h.conversation(t, conv)
		token := mask(t, c, "ann@foo.example")
		if len(token) != len("<EMAIL_12345678>") || fill(t, c, token, c.Own(nil)) != "ann@foo.example" {
			t.Errorf("got %q", token)
		}
		h = openOn(t, on)
		h.Rand = &dull{}
		c = h.conversation(t, conv)
		text := "a@foo.example b@foo.example c@foo.example"
		if got := fill(t, c, mask(t, c, text), c.Own(nil)); got != text {
			t.Errorf("with ids that collide it came back as %q", got)
		}
		h.Rand = io.LimitReader(rand.Reader, 0)
		_, err := h.conversation(t, conv).Mask(context.Background(), "z@foo.example")
		kind(t, err, steward.Internal)
	})
}

// TestNothingIsStoredInClear looks for every value in every byte of the folder, and first for one that is there.
func TestNothingIsStoredInClear(t *testing.T) {
	ctx := context.Background()
	h := open(t)
	c := h.conversation(t, conv)
	p := maria()
	mask(t, c, "mail "+p.email+" and planted@typed.example and <PERSON_zzzzzz>")
	meet(t, c, p)
	_, err := c.Keep(ctx, steward.ClassPrompt, "a kept sentence about Maria Elena Lopez")
	must(t, err)
	_, err = h.Blind(ctx, "planted-workspace", p.ref(""))
	must(t, err)
	var all []byte
	must(t, filepath.WalkDir(h.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all = append(all, b...)
		return err
	}))
	if !bytes.Contains(all, []byte("planted-workspace")) {
		t.Fatal("the search doesn't find what is there")
	}
	for _, value := range append(p.values(), "Lopez", "harborline", "555-01", p.id, p.notes, "planted@typed", "kept sentence", "zzzzzz") {
		if bytes.Contains(all, []byte(value)) {
			t.Errorf("%q lies in the data folder in clear", value)
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "conversation", c)
	if strings.Contains(log.String(), "Lopez") || !strings.Contains(log.String(), string(conv)) {
		t.Errorf("logged as %s", log.String())
	}
}

func TestTokensAndCandidates(t *testing.T) {
	got := privacy.Tokens("x <PERSON_k7q2mh> <PERSON_k7q2mh_FIRST><TEXT_00000000> <PERSON_short> <NOBODY_k7q2mh> <PERSON_K7Q2MH> <<EMAIL_k7q2mh>> <PERSON_k7q2mh_MIDDLE> <PERSON_illllo>")
	if want := []string{"<PERSON_k7q2mh>", "<PERSON_k7q2mh_FIRST>", "<TEXT_00000000>", "<PERSON_k7q2mh>", "<EMAIL_k7q2mh>"}; !slices.Equal(got, slices.Delete(want, 3, 4)) {
		t.Errorf("tokens %q", got)
	}
	if got := privacy.Candidates("ask <PERSON_k7q2mh> and Maria <TEXT_k7q2mh> Lopez <b> Ann Ames"); !slices.Equal(got, []string{"Ann Ames", "Maria", "Lopez", "Ann", "Ames"}) {
		t.Errorf("candidates %q", got)
	}
}

// texts draws text out of pieces that are likely to go wrong together.
func texts(known ...string) *rapid.Generator[string] {
	pieces := append([]string{
		"a@b.example", "A@B.example", "x@", "@", "<", ">", "<PERSON_", "k7q2mh", "k7q2mh>", "_FIRST>", "<TEXT_k7q2mh>", "<<", "+1 415 555 0123", "415-555-0123",
		"4155550123", "(", ")", " ", "  ", "\n", ".", ",", "-", "_", "'", "’", "é", "王", "小明", "\u0301", "Maria", "maria", "LOPEZ", "Lopez", "\u00a0", "\x00", "\ufeff", "İ", "ß", "\\", "\"", "{", "2026-11-23", "99",
	}, known...)
	return rapid.Custom(func(r *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(pieces), rapid.StringN(0, 4, 12)), 0, 16).Draw(r, "pieces"), "")
	})
}

// fold is how a text is compared where a record's spelling may take the place of the typed one.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n\u00a0-.,'’_()+/", r) {
			return -1
		}
		return r
	}, strings.ToLower(s))
}

func TestRoundTrip(t *testing.T) {
	ctx := context.Background()
	h := open(t)
	p := maria()
	plain, met := h.conversation(t, "plain"), h.conversation(t, "met")
	tokens := meet(t, met, p)
	own := append(append(p.values(), "Maria Lopez"), tokens...)
	rapid.Check(t, func(r *rapid.T) {
		text := texts().Draw(r, "text")
		masked, err := plain.Mask(ctx, text)
		if err != nil {
			r.Fatal(err)
		}
		if back, err := plain.Fill(ctx, masked, plain.Own(nil)); err != nil || back != text {
			r.Fatalf("%q became %q and came back as %q, %v", text, masked, back, err)
		}
		text = texts(own...).Draw(r, "text with known values")
		if masked, err = met.Mask(ctx, text); err != nil {
			r.Fatal(err)
		}
		if back, err := met.Fill(ctx, masked, met.Own(nil)); err != nil || fold(back) != fold(text) {
			r.Fatalf("%q became %q and came back as %q, %v", text, masked, back, err)
		}
		for _, value := range []string{p.name, p.email} {
			if strings.Contains(" "+masked+" ", " "+value+" ") {
				r.Fatalf("%q stays in %q", value, masked)
			}
		}
		if again, err := met.Mask(ctx, text); err != nil || again != masked {
			r.Fatalf("%q became %q, then %q, %v", text, masked, again, err)
		}
		kept, err := met.Keep(ctx, steward.ClassRun, text)
		if err != nil {
			r.Fatal(err)
		}
		if back, err := met.Fill(ctx, kept, met.Own(nil)); err != nil || fold(back) != fold(text) {
			r.Fatalf("%q was kept and came back as %q, %v", text, back, err)
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	for _, s := range []string{"write to a@b.example", "<PERSON_k7q2mh>", "<person_K7q2mh_x>", "+1 415 555 0123 415-555-0123", "a@b.example@c.example", "王小明@例え.example"} {
		f.Add(s)
	}
	ctx := context.Background()
	h := open(f)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := h.Open(ctx, ws, steward.ConversationID(fmt.Sprint(len(text)%7)))
		must(t, err)
		masked, err := c.Mask(ctx, text)
		if err != nil {
			kind(t, err, steward.Invalid)
			return
		}
		if strings.Contains(masked, privacy.SecretRemoved) {
			return
		}
		if back := fill(t, c, masked, c.Own(nil)); back != text {
			t.Fatalf("%q became %q and came back as %q", text, masked, back)
		}
	})
}

func BenchmarkMask(b *testing.B) {
	h := open(b)
	c := h.conversation(b, conv)
	var fields []steward.Field
	for i := range 1500 {
		p := contact{fmt.Sprintf("0030000000%05dAAA", i), fmt.Sprintf("Maria%d Lopez%d", i, i), fmt.Sprintf("m%d@x%d.example", i, i), fmt.Sprintf("+1 415 555 %04d", i), "x"}
		fields = append(fields, p.fields()[:3]...)
	}
	start := time.Now()
	_, err := c.Fields(context.Background(), fields)
	must(b, err)
	b.Logf("%d new fields in %v", len(fields), time.Since(start))
	text := strings.Repeat("Call Maria7 Lopez7 on +1 415 555 0123 or write to m9@x9.example before 2026-11-23 about the $1,250,000 renewal of the account. ", 100)
	mask(b, c, text)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := c.Mask(context.Background(), text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFill(b *testing.B) {
	c := open(b).conversation(b, conv)
	tokens := meet(b, c, maria())
	text := strings.Repeat("Call "+tokens[0]+" on "+tokens[2]+" or write to somebody else about the renewal of the account. ", 100)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := c.Fill(context.Background(), text, c.Own(nil)); err != nil {
			b.Fatal(err)
		}
	}
}

// A crash may come between destroying somebody's keys and dropping their rows, and a backup brings rows back: met
// again, they are somebody new.
func TestWhoWasForgottenIsMetAgainAsSomebodyNew(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		ctx := context.Background()
		h := openOn(t, on)
		p, record := maria(), maria().ref("Id").Record()
		meet(t, h.conversation(t, conv), p)
		before, err := h.Blind(ctx, ws, record)
		must(t, err)
		old, known, err := h.Person(ctx, ws, record)
		must(t, err)
		if !known {
			t.Fatal("nobody was met")
		}
		must(t, h.keys.Shred(ctx, ws, steward.PersonScope(old)))
		meet(t, h.conversation(t, "conv_2"), p)
		person, _, err := h.Person(ctx, ws, record)
		must(t, err)
		after, err := h.Blind(ctx, ws, record)
		must(t, err)
		if person == old || before == after {
			t.Errorf("the person %s is still %s, named %s", old, person, after)
		}
	})
}
