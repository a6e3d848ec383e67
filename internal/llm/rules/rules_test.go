package rules_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/llm/rules"
)

const allTools = "salesforce_query salesforce_describe salesforce_get salesforce_create salesforce_update salesforce_log_activity win_rate pipeline stalled_deals"

// asking is a request with one question and some tools.
func asking(question, tools string) llm.Request {
	r := llm.Request{
		Model: llm.RulesModel, System: "The user is 005000000000001AAA.",
		Messages: []llm.Message{{Role: llm.User, Content: []llm.Block{{Type: llm.Text, Text: question}}}},
	}
	for _, name := range strings.Fields(tools) {
		r.Tools = append(r.Tools, llm.Tool{Name: name, InputSchema: json.RawMessage(`{}`)})
	}
	return r
}

func generate(t testing.TB, r llm.Request) llm.Response {
	t.Helper()
	response, err := rules.Model{}.Generate(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// calls writes a response's tool calls one a line, without the fields to read, and its text as it is.
func calls(t testing.TB, r llm.Response) string {
	t.Helper()
	var lines []string
	for _, b := range r.Content {
		if b.Type == llm.Text {
			lines = append(lines, b.Text)
			continue
		}
		var input map[string]any
		if err := json.Unmarshal(b.Input, &input); err != nil {
			t.Fatalf("input of %s: %v", b.Name, err)
		}
		delete(input, "fields")
		var out strings.Builder
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(input); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, b.Name+" "+strings.TrimSpace(out.String()))
	}
	return strings.Join(lines, "\n")
}

// corpus reads testdata/corpus.txt: questions and what they lead to first.
func corpus(t testing.TB) map[string]string {
	t.Helper()
	data, err := os.ReadFile("testdata/corpus.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, block := range strings.Split(strings.TrimSpace(string(data)), "\n\n") {
		if question, want, ok := strings.Cut(block, "\n"); ok && strings.HasPrefix(question, "? ") {
			all[question[2:]] = want
		}
	}
	if len(all) < 60 {
		t.Fatalf("the corpus has only %d questions", len(all))
	}
	return all
}

func TestCorpus(t *testing.T) {
	for question, want := range corpus(t) {
		t.Run(question, func(t *testing.T) {
			r := generate(t, asking(question, allTools))
			got := calls(t, r)
			switch {
			case want == "not understood":
				if r.StopReason != llm.NotUnderstood || rules.Understood(question) || strings.Count(got, "\n- ") != 3 {
					t.Fatalf("understood as %s:\n%s", r.StopReason, got)
				}
				return
			case strings.HasPrefix(want, "says "):
				want = want[5:]
				if r.StopReason != llm.EndTurn {
					t.Fatalf("stopped for %s", r.StopReason)
				}
			case r.StopReason != llm.StopToolUse:
				t.Fatalf("stopped for %s: %s", r.StopReason, got)
			}
			if got != want {
				t.Fatalf("got\n%s\nwant\n%s", got, want)
			}
			if !rules.Understood(question) {
				t.Fatal("Understood says otherwise")
			}
		})
	}
}

// Case, courtesies and punctuation change nothing.
func TestCourtesies(t *testing.T) {
	for question, want := range corpus(t) {
		if want == "not understood" || strings.HasPrefix(want, "says ") {
			continue
		}
		for _, polite := range []string{"Please " + question, "could you " + question + ", please?", "  " + strings.ReplaceAll(question, " ", "  ") + " !"} {
			if got := calls(t, generate(t, asking(polite, allTools))); got != want {
				t.Errorf("%q:\n%s\nwant\n%s", polite, got, want)
			}
		}
	}
}

func TestExamples(t *testing.T) {
	known := corpus(t)
	if n := len(rules.Examples()); n < 15 {
		t.Fatalf("only %d examples", n)
	}
	for _, e := range rules.Examples() {
		// What they lead to is in the corpus, where it is tested.
		if want := known[e.Question]; want == "" || want == "not understood" || strings.HasPrefix(want, "says ") {
			t.Errorf("the example %q leads to %q", e.Question, want)
		}
		if e.What == "" {
			t.Errorf("the example %q doesn't say what it does", e.Question)
		}
	}
}

// TestDialogues plays whole conversations: "calls 1" is what the question leads to, "results 1" what
// came back, one a line, faults behind an exclamation mark, and so on until the answer.
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/dialogues/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogues", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			script, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r := asking(string(script.Files[0].Data), allTools)
			for _, f := range script.Files[1:] {
				if results, ok := strings.CutPrefix(f.Name, "results "); ok && results != "" {
					r.Messages = append(r.Messages, answers(t, r.Messages[len(r.Messages)-1], string(f.Data)))
					continue
				}
				response := generate(t, r)
				stop := llm.StopToolUse
				if f.Name == "answer" {
					stop = llm.EndTurn
				}
				if got := calls(t, response); got != strings.TrimSpace(string(f.Data)) || response.StopReason != stop {
					t.Fatalf("%s: stopped for %s with\n%s\nwant\n%s", f.Name, response.StopReason, got, f.Data)
				}
				r.Messages = append(r.Messages, llm.Message{Role: llm.Assistant, Content: response.Content})
			}
			if last := script.Files[len(script.Files)-1].Name; last != "answer" {
				t.Fatalf("the script ends with %s", last)
			}
		})
	}
}

// answers gives each tool call of a message its result.
func answers(t testing.TB, asked llm.Message, results string) llm.Message {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(results), "\n")
	if len(lines) != len(asked.Content) {
		t.Fatalf("%d results for %d calls", len(lines), len(asked.Content))
	}
	m := llm.Message{Role: llm.User}
	for i, line := range lines {
		content, fault := strings.CutPrefix(line, "!")
		m.Content = append(m.Content, llm.Block{Type: llm.ToolResult, ToolUseID: asked.Content[i].ID, Content: content, IsError: fault})
	}
	return m
}

func TestOnlyTheLastQuestionCounts(t *testing.T) {
	r := asking("Show the pipeline by stage", allTools)
	for range 2 { // the answer to the first is not taken for one to the second
		response := generate(t, r)
		if got := calls(t, response); got != `pipeline {"group_by":"stage","period":"all"}` {
			t.Fatal(got)
		}
		r.Messages = append(r.Messages, llm.Message{Role: llm.Assistant, Content: response.Content})
		r.Messages = append(r.Messages, answers(t, r.Messages[len(r.Messages)-1], `{"variant":"v","unit":"usd","rows":[],"total":{"value":1}}`))
		response = generate(t, r)
		if response.StopReason != llm.EndTurn {
			t.Fatal(calls(t, response))
		}
		r.Messages = append(r.Messages, llm.Message{Role: llm.Assistant, Content: response.Content},
			llm.Message{Role: llm.User, Content: []llm.Block{{Type: llm.Text, Text: "show the pipeline by stage"}}})
	}
	ids := map[string]bool{}
	for _, m := range r.Messages {
		for _, b := range m.Content {
			if b.Type == llm.ToolUse && ids[b.ID] {
				t.Fatalf("two calls have the id %s", b.ID)
			}
			ids[b.ID] = b.ID != ""
		}
	}
}

func TestWithoutTools(t *testing.T) {
	for question, missing := range map[string]string{
		"win rate":                        "win_rate",
		"stalled deals":                   "stalled_deals",
		"Find contact <PERSON_k7q2mh>":    "salesforce_query",
		"What stages are there?":          "salesforce_describe",
		"Log a call with <PERSON_k7q2mh>": "salesforce_log_activity",
	} {
		r := generate(t, asking(question, ""))
		if got := calls(t, r); r.StopReason != llm.EndTurn || !strings.Contains(got, missing+",") {
			t.Errorf("%q: %s %s", question, r.StopReason, got)
		}
	}
	// A write that can't be made is not prepared either.
	r := generate(t, asking("Update the amount of X to $1", "salesforce_query"))
	if got := calls(t, r); r.StopReason != llm.EndTurn || !strings.Contains(got, "salesforce_update") {
		t.Errorf("%s %s", r.StopReason, got)
	}
}

func TestWithoutUser(t *testing.T) {
	r := asking("my open deals", allTools)
	r.System = ""
	response := generate(t, r)
	if got := calls(t, response); strings.Contains(got, "OwnerId") {
		t.Fatal(got)
	}
	asked := llm.Message{Role: llm.Assistant, Content: response.Content}
	r.Messages = append(r.Messages, asked, answers(t, asked, `{"total":0,"records":[]}`))
	if got := calls(t, generate(t, r)); !strings.Contains(got, "not told which Salesforce user you are") {
		t.Fatal(got)
	}
}

// A list of contacts shows addresses; a contact that is only written about needs none to be read.
func TestReadsNoMoreThanNeeded(t *testing.T) {
	for question, address := range map[string]bool{"Find contact <PERSON_k7q2mh>": true, "Log a call with <PERSON_k7q2mh>": false} {
		input := string(generate(t, asking(question, allTools)).Content[0].Input)
		if strings.Contains(input, `"Email"`) != address || !strings.Contains(input, `"Account.Name"`) {
			t.Errorf("%q reads %s", question, input)
		}
	}
}

func TestRefusals(t *testing.T) {
	other := asking("win rate", allTools)
	other.Model = "rules-latest"
	silent := asking(" ", allTools)
	for name, r := range map[string]llm.Request{"other model": other, "no question": silent, "nothing": {Model: llm.RulesModel}} {
		if _, err := (rules.Model{}).Generate(context.Background(), r); steward.KindOf(err) != steward.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A caller that loses results is not asked for ever.
func TestGivesUp(t *testing.T) {
	r := asking("win rate", allTools)
	for range 20 {
		response := generate(t, r)
		if response.StopReason == llm.EndTurn {
			return
		}
		r.Messages = append(r.Messages, llm.Message{Role: llm.Assistant, Content: response.Content}, llm.Message{Role: llm.User})
	}
	t.Fatal("it goes on and on")
}

func TestNotUnderstoodNamesTheNearest(t *testing.T) {
	got := calls(t, generate(t, asking("win rate by moon phase", allTools)))
	if !strings.Contains(got, "moon phase") || !strings.Contains(got, "- What is our win rate this quarter by owner?") {
		t.Fatal(got)
	}
}

func TestEndlessQuestion(t *testing.T) {
	if r := generate(t, asking(strings.Repeat("please ", 1<<17)+"win rate", allTools)); r.StopReason != llm.NotUnderstood {
		t.Fatalf("stopped for %s", r.StopReason)
	}
}

// Money is read the same however it is written.
func TestAmounts(t *testing.T) {
	for _, text := range []string{"$50k", "50,000", "50K USD", "$50,000.00", "50000 dollars", "usd 50k", "0.05 million", "50 thousand"} {
		got := calls(t, generate(t, asking("stalled deals over "+text, allTools)))
		if got != `stalled_deals {"days":30,"min_amount":50000}` {
			t.Errorf("%s: %s", text, got)
		}
	}
}

// Names reach the tool exactly, whatever they are made of and however they are quoted.
func TestNamesAreCopied(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.StringMatching(`[A-Z][a-z]{2,6}|<PERSON_[0-9a-hjkmnp-tv-z]{6}>|[0-9]{2,4}`)
		name := strings.Join(rapid.SliceOfN(part, 2, 4).Draw(t, "parts"), rapid.SampledFrom([]string{" ", " - ", " & "}).Draw(t, "between"))
		quote := rapid.SampledFrom([][2]string{{`"`, `"`}, {"'", "'"}, {"“", "”"}, {"‘", "’"}}).Draw(t, "quotes")
		before := rapid.SampledFrom([]string{"Tell me about deal ", "Show opportunity ", "Find the deal "}).Draw(t, "before")
		r, err := rules.Model{}.Generate(context.Background(), asking(before+quote[0]+name+quote[1], allTools))
		if err != nil {
			t.Fatal(err)
		}
		var q struct{ Where []struct{ Value string } }
		if len(r.Content) != 1 || json.Unmarshal(r.Content[0].Input, &q) != nil || len(q.Where) != 1 || q.Where[0].Value != name {
			t.Fatalf("%q became %+v", name, r.Content)
		}
	})
}

var tokenForm = regexp.MustCompile(`<[A-Z]+_[0-9a-z]{6,}(?:_FIRST|_LAST)?>`)

// FuzzGenerate asks anything and answers anything: every message is valid, only offered tools are
// called with JSON objects, and no token appears that was in neither question nor results.
func FuzzGenerate(f *testing.F) {
	for question := range corpus(f) {
		f.Add(question, `{"total":1,"records":[{"object":"Contact","id":"003000000000001AAA","Name":"<PERSON_k7q2mh>"}]}`, false)
	}
	f.Add("win rate by owner", `{"rows":[{"group":null,"value":null}],"total":{"inputs":{"won":1e300}}}`, false)
	f.Add("stalled deals", `{"rows":[{}],"total":{"value":-1e300}}`, false)
	f.Add("Find contact X", `{"total":-5,"records":[null,{}]}`, false)
	f.Add("Move X to Y", `null`, true)
	f.Fuzz(func(t *testing.T, question, result string, fault bool) {
		if strings.TrimSpace(question) == "" {
			t.Skip()
		}
		r := asking(question, allTools)
		for range 10 {
			response := generate(t, r)
			if !reflect.DeepEqual(response, generate(t, r)) {
				t.Fatal("two answers to one request")
			}
			if len(response.Content) == 0 {
				t.Fatal("an empty message")
			}
			known := question + result
			back := llm.Message{Role: llm.User}
			for _, b := range response.Content {
				said := b.Text
				if b.Type == llm.ToolUse {
					var input map[string]any
					if json.Unmarshal(b.Input, &input) != nil || b.ID == "" || !slices.Contains(strings.Fields(allTools), b.Name) {
						t.Fatalf("an invalid call: %+v", b)
					}
					said = string(b.Input)
					back.Content = append(back.Content, llm.Block{Type: llm.ToolResult, ToolUseID: b.ID, Content: result, IsError: fault})
				} else if b.Text == "" {
					t.Fatal("an empty text")
				}
				for _, token := range tokenForm.FindAllString(said, -1) {
					whole := strings.NewReplacer("_FIRST>", ">", "_LAST>", ">").Replace(token)
					if !strings.Contains(known, token) && !strings.Contains(known, whole) && !strings.Contains(known, `\`) {
						t.Fatalf("%s came from nowhere", token)
					}
				}
			}
			if (response.StopReason == llm.StopToolUse) != (len(back.Content) > 0) {
				t.Fatalf("stopped for %s with %d calls", response.StopReason, len(back.Content))
			}
			if len(back.Content) == 0 {
				return
			}
			r.Messages = append(r.Messages, llm.Message{Role: llm.Assistant, Content: response.Content}, back)
		}
		t.Fatal("it never ends")
	})
}
