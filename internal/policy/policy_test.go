package policy_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"pgregory.net/rapid"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/policy"
)

func engine(t testing.TB) *policy.Engine {
	t.Helper()
	e, err := policy.Default()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// owners translates the corpus's word for whose a stored thing is.
func owners() map[string]steward.MemberID {
	return map[string]steward.MemberID{"own": "mem_asker", "other": "mem_else", "": ""}
}

// request is a well-formed request of a member called mem_asker.
func request(role steward.Role, action policy.Action, on string) policy.Request {
	r := policy.Request{
		Principal: policy.Principal{Workspace: "ws_1", Member: "mem_asker", Role: role},
		Action:    action,
		Context:   policy.Context{Authentication: "api_token", Now: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)},
	}
	if thing, ok := strings.CutPrefix(on, "stored:"); ok {
		r.Stored = thing
		return r
	}
	r.Resource = policy.Resource{System: "salesforce", Connection: "salesforce", Object: "Opportunity", Tool: on}
	if action == policy.Model {
		r.Resource = policy.Resource{System: "rules", Tool: on}
	}
	return r
}

// corpusCase is one line of testdata/corpus.txt.
type corpusCase struct {
	line     int
	text     string
	request  policy.Request
	approval string // "" for Decide
	verdict  string
	because  []string
}

func corpus(t testing.TB) []corpusCase {
	t.Helper()
	text, err := os.ReadFile("testdata/corpus.txt")
	if err != nil {
		t.Fatal(err)
	}
	var cases []corpusCase
	for i, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		cells := strings.Split(line, "|")
		if len(cells) != 6 {
			t.Fatalf("corpus.txt, line %d: %d cells, want 6", i+1, len(cells))
		}
		for j := range cells {
			cells[j] = strings.TrimSpace(cells[j])
		}
		c := corpusCase{
			line: i + 1, text: line, verdict: cells[4], because: strings.Fields(cells[5]),
			request: request(steward.Role(cells[0]), policy.Action(cells[1]), cells[2]),
		}
		for given := range strings.FieldsSeq(cells[3]) {
			if err := c.give(given); err != nil {
				t.Fatalf("corpus.txt, line %d: %v", i+1, err)
			}
		}
		cases = append(cases, c)
	}
	return cases
}

// give puts one circumstance into the request.
func (c *corpusCase) give(given string) (err error) {
	key, value, _ := strings.Cut(given, "=")
	r := &c.request
	switch key {
	case "records":
		r.Records, err = strconv.Atoi(value)
	case "amount":
		r.Amount, err = strconv.ParseFloat(value, 64)
	case "fields":
		r.Fields = strings.Split(value, ",")
	case "untrusted":
		r.Untrusted = true
	case "agent":
		r.Agent = steward.BuiltinAgent
	case "purpose":
		r.Purpose = value
	case "needs":
		r.Approval = value
	case "approval":
		c.approval = value
	case "owner":
		r.Owner = owners()[value]
	case "without":
		switch value {
		case "workspace":
			r.Workspace = ""
		case "member":
			r.Member = ""
		case "system":
			r.System = ""
		case "connection":
			r.Connection = ""
		case "tool":
			r.Tool = ""
		default:
			return fmt.Errorf("unknown part %q", value)
		}
	default:
		return fmt.Errorf("unknown circumstance %q", given)
	}
	return err
}

func (c corpusCase) decide(e *policy.Engine) policy.Decision {
	if c.approval != "" {
		return e.Permits(c.request, c.approval)
	}
	return e.Decide(c.request)
}

func TestCorpus(t *testing.T) {
	e := engine(t)
	cases := corpus(t)
	denials := 0
	decided := make(map[string]bool)
	for _, c := range cases {
		got := c.decide(e)
		if got.String() != c.verdict || !slices.Equal(got.Policies, c.because) {
			t.Errorf("line %d: %s\n got %s because of %v", c.line, c.text, got.Verdict, got.Policies)
		}
		if got.PolicySet != e.Hash() {
			t.Errorf("line %d: the decision names policy set %q, the engine %q", c.line, got.PolicySet, e.Hash())
		}
		if got.Verdict == policy.Deny {
			denials++
		}
		for _, id := range got.Policies {
			decided[id] = true
		}
	}
	if len(cases) < 60 || denials < 25 {
		t.Errorf("the corpus has %d cases and %d denials; it shall have at least 60 and 25", len(cases), denials)
	}
	for _, id := range defaultIDs(t) {
		if !decided[id] {
			t.Errorf("policy %s decides no case of the corpus", id)
		}
	}
}

// defaultIDs finds the ids in the policy files, without the engine's help.
func defaultIDs(t *testing.T) []string {
	t.Helper()
	var ids []string
	for _, name := range []string{"default/calls.cedar", "default/stored.cedar"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, `@id("`); ok {
				id, _, _ := strings.Cut(rest, `"`)
				ids = append(ids, id)
			}
		}
	}
	if len(ids) < 20 {
		t.Fatalf("found only %d policies", len(ids))
	}
	return ids
}

func TestNoDefaultPolicyIsDead(t *testing.T) {
	// Taking any one policy away must change some decision of the corpus or the policies it names.
	files := make(map[string]string)
	for _, name := range []string{"calls.cedar", "stored.cedar"} {
		text, err := os.ReadFile("default/" + name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	cases := corpus(t)
	for _, id := range defaultIDs(t) {
		less := make(fstest.MapFS)
		for name, text := range files {
			if start := strings.Index(text, `@id("`+id+`")`); start >= 0 {
				end := start + strings.Index(text[start:], ";") + 1
				text = text[:start] + text[end:]
			}
			less[name] = &fstest.MapFile{Data: []byte(text)}
		}
		e, err := policy.New(less)
		if err != nil {
			t.Fatalf("without %s: %v", id, err)
		}
		if !slices.ContainsFunc(cases, func(c corpusCase) bool { return c.decide(e).String() != c.verdict }) {
			// A forbid on top of deny-by-default changes no verdict by itself; it must show as the reason.
			if !slices.ContainsFunc(cases, func(c corpusCase) bool {
				return slices.Contains(c.because, id) && !slices.Contains(c.decide(e).Policies, id)
			}) {
				t.Errorf("without policy %s nothing in the corpus changes", id)
			}
		}
	}
}

func TestWhoMayDoWhatToStoredThings(t *testing.T) {
	e := engine(t)
	text, err := os.ReadFile("testdata/stored.txt")
	if err != nil {
		t.Fatal(err)
	}
	roles := []steward.Role{steward.Admin, steward.Manager, steward.Plain, steward.Auditor}
	cells := make(map[string]string) // by "thing action role"
	for i, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		words := strings.Fields(line)
		if len(words) != 2+len(roles) {
			t.Fatalf("stored.txt, line %d: %d columns, want %d", i+1, len(words), 2+len(roles))
		}
		for j, role := range roles {
			key := words[0] + " " + words[1] + " " + string(role)
			if _, twice := cells[key]; twice {
				t.Errorf("stored.txt, line %d: %s stands twice", i+1, key)
			}
			cells[key] = words[2+j]
		}
	}
	for _, thing := range policy.StoredThings() {
		for _, action := range []policy.Action{policy.View, policy.Manage, policy.Approve, policy.Erase} {
			for _, role := range append(roles, "", "owner") {
				key := thing + " " + string(action) + " " + string(role)
				cell, ok := cells[key]
				delete(cells, key)
				if !slices.Contains(roles, role) {
					cell, ok = "no", true
				}
				if !ok {
					t.Errorf("stored.txt says nothing of %s", key)
					continue
				}
				everyCircumstance(func(owner, purpose, needs string) {
					r := request(role, action, "stored:"+thing)
					r.Owner, r.Purpose, r.Approval = owners()[owner], purpose, needs
					want := policy.Deny
					if holds(t, cell, owner, purpose, needs) {
						want = policy.Allow
					}
					if got := e.Decide(r); got.Verdict != want {
						t.Errorf("%s, owner %q, purpose %q, needs %q: got %s because of %v, the table says %q",
							key, owner, purpose, needs, got.Verdict, got.Policies, cell)
					}
				})
			}
		}
	}
	for key := range cells {
		t.Errorf("stored.txt speaks of %s, which doesn't exist", key)
	}
}

func everyCircumstance(try func(owner, purpose, needs string)) {
	for _, owner := range []string{"own", "other", ""} {
		for _, purpose := range []string{"audit", "compliance", "security", "troubleshooting", "curiosity", "AUDIT", ""} {
			for _, needs := range []string{"self", "other", "none", ""} {
				try(owner, purpose, needs)
			}
		}
	}
}

// holds evaluates a cell of stored.txt.
func holds(t *testing.T, cell, owner, purpose, needs string) bool {
	t.Helper()
	for alternative := range strings.SplitSeq(cell, ",") {
		all := true
		for condition := range strings.SplitSeq(alternative, "+") {
			var is bool
			switch condition {
			case "yes":
				is = true
			case "no":
			case "purpose":
				is = slices.Contains([]string{"audit", "compliance", "security", "troubleshooting"}, purpose)
			case "own":
				is = owner == "own"
			case "others":
				is = owner == "other"
			case "self", "other":
				is = needs == condition
			case "needs":
				is = needs == "self" || needs == "other"
			default:
				t.Fatalf("stored.txt: unknown condition %q", condition)
			}
			all = all && is
		}
		if all {
			return true
		}
	}
	return false
}

func TestZeroDenies(t *testing.T) {
	var d policy.Decision
	if d.Verdict != policy.Deny || d.String() != "deny" {
		t.Errorf("the zero decision says %s", d)
	}
	if d := engine(t).Decide(policy.Request{}); d.Verdict != policy.Deny {
		t.Errorf("the zero request is answered %s", d)
	}
	if got := policy.Verdict(200).String(); got != "deny" {
		t.Errorf("an unknown verdict reads %q", got)
	}
}

func TestBadPoliciesAreRefused(t *testing.T) {
	const good = `@id("reads") permit (principal, action == Action::"read", resource);`
	for _, c := range []struct {
		name  string
		files map[string]string
		want  []string // what the message must say
	}{
		{"none", nil, []string{"no policies"}},
		{"other files only", map[string]string{"readme.txt": good}, []string{"no policies"}},
		{"empty file", map[string]string{"a.cedar": "// nothing\n"}, []string{"no policies"}},
		{"syntax", map[string]string{"a.cedar": good + "\npermit (principal"}, []string{"a.cedar", ":2:"}},
		{"no id", map[string]string{"a.cedar": "\n\npermit (principal, action, resource);"}, []string{"a.cedar, line 3", "@id"}},
		{"id that is no slug", map[string]string{"a.cedar": `@id("All may!") permit (principal, action, resource);`}, []string{"All may!", "hyphens"}},
		{"id twice", map[string]string{"a.cedar": good, "b.cedar": good}, []string{"b.cedar, line 1", "already", "reads"}},
		{"unknown attribute", map[string]string{"a.cedar": `@id("x") permit (principal, action == Action::"write", resource) when { context.record > 1 };`}, []string{"policy x", "record"}},
		{"unknown action", map[string]string{"a.cedar": `@id("x") permit (principal, action == Action::"fly", resource);`}, []string{"policy x", "fly"}},
		{"unknown type", map[string]string{"a.cedar": `@id("x") permit (principal, action, resource is Secrets);`}, []string{"policy x", "Secrets"}},
		{"unknown role", map[string]string{"a.cedar": `@id("x") permit (principal in Role::"boss", action, resource);`}, []string{"policy x", `Role::"boss"`}},
		{"unknown role inside", map[string]string{"a.cedar": `@id("x") permit (principal, action, resource) when { principal in [Role::"admin", Role::"boss"] };`}, []string{`Role::"boss"`}},
		{"unknown approval", map[string]string{"a.cedar": `@id("x") permit (principal, action == Action::"send", resource) when { context.approval == Given::"others" };`}, []string{`Given::"others"`}},
		{"wrong type", map[string]string{"a.cedar": `@id("x") permit (principal, action == Action::"write", resource) when { context.amount > 1 };`}, []string{"policy x", "decimal"}},
		{"action that can't be done to it", map[string]string{"a.cedar": `@id("x") permit (principal, action == Action::"erase", resource is Ledger);`}, []string{"policy x"}},
		{"purpose that may be absent", map[string]string{"a.cedar": `@id("x") permit (principal, action == Action::"view", resource) when { context.purpose == Purpose::"audit" };`}, []string{"policy x", "purpose"}},
		{"owner that may be absent", map[string]string{"a.cedar": `@id("x") permit (principal, action == Action::"view", resource is Run) when { resource.owner == principal };`}, []string{"policy x", "owner"}},
		{"one bad among good ones, in a folder", map[string]string{"a.cedar": good, "more/b.cedar": `permit (principal, action, resource);`}, []string{"more/b.cedar"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys := make(fstest.MapFS)
			for name, text := range c.files {
				fsys[name] = &fstest.MapFile{Data: []byte(text)}
			}
			e, err := policy.New(fsys)
			if err == nil || e != nil {
				t.Fatal("accepted")
			}
			if kind := steward.KindOf(err); kind != steward.Invalid {
				t.Errorf("kind %s, want invalid: %v", kind, err)
			}
			message := steward.Message(err)
			for _, want := range c.want {
				if !strings.Contains(message, want) {
					t.Errorf("the message doesn't say %q: %s", want, message)
				}
			}
			if strings.Contains(message, "\n") {
				t.Errorf("the message has several lines: %s", message)
			}
		})
	}
}

func TestFailingPolicyDenies(t *testing.T) {
	// Cedar skips what fails. Here that is a forbid, and the permit alone would open the door.
	e, err := policy.New(fstest.MapFS{"a.cedar": {Data: []byte(`
		@id("everything") permit (principal, action == Action::"read", resource);
		@id("not-too-many") forbid (principal, action == Action::"read", resource)
		when { context.records * 9223372036854775807 > 5 };
	`)}})
	if err != nil {
		t.Fatal(err)
	}
	r := request(steward.Plain, policy.Read, "salesforce_query")
	if d := e.Decide(r); d.Verdict != policy.Allow {
		t.Errorf("without records: %s because of %v, want allow", d, d.Policies)
	}
	r.Records = 2
	if d := e.Decide(r); d.Verdict != policy.Deny || !slices.Equal(d.Policies, []string{"not-too-many"}) {
		t.Errorf("when the forbid overflows: %s because of %v, want deny because of it", d, d.Policies)
	}
}

func TestWholeContextReachesPolicies(t *testing.T) {
	e, err := policy.New(fstest.MapFS{"a.cedar": {Data: []byte(`
		@id("exactly-this") permit (principal == Member::"mem_asker", action == Action::"write", resource == Tool::"salesforce_update")
		when {
			principal has agent && principal.agent == Agent::"agent/steward" &&
			resource.system == "salesforce" && resource.connection == "salesforce" && resource.object == "Opportunity" &&
			context.fields.containsAll(["Amount", "Name"]) && context.records == 3 && context.recordsToday == 40 &&
			context.callsToday == 7 && context.authentication == "resumed" && context.untrusted &&
			context.amount == decimal("12.5") && context.now > datetime("2026-11-23T08:59:59Z") &&
			context.now < datetime("2026-11-23T09:00:01Z") && context has purpose && context.purpose == Purpose::"security" &&
			context.approval == Given::"none"
		};
	`)}})
	if err != nil {
		t.Fatal(err)
	}
	exact := request(steward.Plain, policy.Write, "salesforce_update")
	exact.Agent = steward.BuiltinAgent
	exact.Fields, exact.Records, exact.RecordsToday, exact.CallsToday = []string{"Name", "Amount"}, 3, 40, 7
	exact.Authentication, exact.Untrusted, exact.Amount, exact.Purpose = "resumed", true, 12.5, "security"
	if d := e.Decide(exact); d.Verdict != policy.Allow {
		t.Fatalf("got %s", d)
	}
	for name, change := range map[string]func(*policy.Request){
		"member":         func(r *policy.Request) { r.Member = "mem_else" },
		"agent":          func(r *policy.Request) { r.Agent = "" },
		"system":         func(r *policy.Request) { r.System = "hubspot" },
		"connection":     func(r *policy.Request) { r.Connection = "emea" },
		"object":         func(r *policy.Request) { r.Object = "Account" },
		"tool":           func(r *policy.Request) { r.Tool = "salesforce_create" },
		"fields":         func(r *policy.Request) { r.Fields = []string{"Name"} },
		"records":        func(r *policy.Request) { r.Records++ },
		"records today":  func(r *policy.Request) { r.RecordsToday++ },
		"calls today":    func(r *policy.Request) { r.CallsToday++ },
		"authentication": func(r *policy.Request) { r.Authentication = "api_token" },
		"trust":          func(r *policy.Request) { r.Untrusted = false },
		"amount":         func(r *policy.Request) { r.Amount = 12.51 },
		"time":           func(r *policy.Request) { r.Now = r.Now.Add(time.Hour) },
		"purpose":        func(r *policy.Request) { r.Purpose = "audit" },
		"action":         func(r *policy.Request) { r.Action = policy.Read },
	} {
		r := exact
		change(&r)
		if d := e.Decide(r); d.Verdict != policy.Deny {
			t.Errorf("another %s: got %s", name, d)
		}
	}
}

func TestHash(t *testing.T) {
	hash := func(files map[string]string) string {
		fsys := make(fstest.MapFS)
		for name, text := range files {
			fsys[name] = &fstest.MapFile{Data: []byte(text)}
		}
		e, err := policy.New(fsys)
		if err != nil {
			t.Fatal(err)
		}
		return e.Hash()
	}
	const one, two = `@id("one") permit (principal, action == Action::"read", resource);`, `@id("two") forbid (principal, action == Action::"send", resource);`
	base := hash(map[string]string{"a.cedar": one, "b.cedar": two})
	for range 20 {
		if again := hash(map[string]string{"b.cedar": two, "a.cedar": one, "notes.txt": "not a policy"}); again != base {
			t.Fatalf("the same files hash to %s and %s", base, again)
		}
	}
	for name, files := range map[string]map[string]string{
		"another name":    {"a.cedar": one, "c.cedar": two},
		"another content": {"a.cedar": one, "b.cedar": two + " "},
		"one file less":   {"a.cedar": one},
		"swapped":         {"a.cedar": two, "b.cedar": one},
	} {
		if hash(files) == base {
			t.Errorf("%s: the hash stays the same", name)
		}
	}
	// Names and contents run together to the same text, but are cut elsewhere.
	cut := hash(map[string]string{"a.cedar": one + "\n//", "b.cedar": "\n" + two})
	if whole := hash(map[string]string{"a.cedar": one + "\n//b.cedar\n" + two}); whole == cut {
		t.Error("one file hashes like two")
	}
	if len(base) != 16 {
		t.Errorf("hash %q has %d characters, want 16", base, len(base))
	}
}

// anyRequest draws requests that make sense, for the properties.
func anyRequest(t *rapid.T) policy.Request {
	r := request(
		rapid.SampledFrom([]steward.Role{steward.Admin, steward.Manager, steward.Plain, steward.Auditor, "", "owner"}).Draw(t, "role"),
		rapid.SampledFrom([]policy.Action{policy.Read, policy.Write, policy.Send, policy.Delete}).Draw(t, "action"),
		"salesforce_update")
	r.Records = rapid.IntRange(0, 30).Draw(t, "records")
	r.Amount = rapid.Float64Range(0, 300_000).Draw(t, "amount")
	r.Untrusted = rapid.Bool().Draw(t, "untrusted")
	return r
}

func TestMoreCareIsNeverLess(t *testing.T) {
	e := engine(t)
	// From harmless to forbidden, as far as a person asking is concerned.
	strictness := map[policy.Verdict]int{policy.Allow: 0, policy.NeedsSelf: 1, policy.NeedsOther: 2, policy.Deny: 3}
	rapid.Check(t, func(t *rapid.T) {
		r := anyRequest(t)
		before := e.Decide(r)
		worse := r
		worse.Records += rapid.IntRange(0, 20).Draw(t, "more records")
		worse.Amount += rapid.Float64Range(0, 200_000).Draw(t, "more money")
		worse.Untrusted = r.Untrusted || rapid.Bool().Draw(t, "untrusted now")
		if after := e.Decide(worse); strictness[after.Verdict] < strictness[before.Verdict] {
			t.Fatalf("a graver request gets off more lightly: %s, then %s", before, after)
		}
	})
}

func TestDecideAgreesWithPermits(t *testing.T) {
	e := engine(t)
	rapid.Check(t, func(t *rapid.T) {
		r := anyRequest(t)
		verdict := e.Decide(r).Verdict
		for approval, enough := range map[string][]policy.Verdict{
			policy.NoApproval: {policy.Allow},
			policy.BySelf:     {policy.Allow, policy.NeedsSelf},
			policy.ByOther:    {policy.Allow, policy.NeedsSelf, policy.NeedsOther},
		} {
			want := slices.Contains(enough, verdict)
			if got := e.Permits(r, approval).Verdict == policy.Allow; got != want {
				t.Fatalf("Decide says %s, but with approval %q Permits says %v", verdict, approval, got)
			}
		}
	})
}

func FuzzNew(f *testing.F) {
	f.Add(`@id("a") forbid (principal, action == Action::"write", resource) when { context.amount.greaterThan(decimal("1.0")) };`)
	f.Add(`@id("b") permit (principal, action, resource is Run) when { resource has owner && resource.owner == principal };`)
	f.Add(`@id("x") permit (principal, action, resource) when { Role::"boss" in [Role::"admin"] };`)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := policy.New(fstest.MapFS{"a.cedar": {Data: []byte(text)}})
		if (e == nil) == (err == nil) {
			t.Fatalf("engine %v and error %v", e, err)
		}
		if err == nil {
			e.Decide(request(steward.Plain, policy.Write, "salesforce_update"))
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	e := engine(b)
	r := request(steward.Plain, policy.Write, "salesforce_update")
	r.Records, r.Fields = 11, []string{"NextStep", "Amount"}
	if d := e.Decide(r); d.Verdict != policy.NeedsOther {
		b.Fatalf("got %s", d)
	}
	for b.Loop() {
		e.Decide(r) // three decisions, the longest way
	}
}
