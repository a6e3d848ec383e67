package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/llm/rules"
	"github.com/stewardhq/steward/internal/sandbox/answers"
)

// TestAskTellsWhatIsTrue asks, over HTTP and as three people, every question that the built-in model claims to
// understand and holds what it is told against what the rows say. Others it must refuse.
func TestAskTellsWhatIsTrue(t *testing.T) {
	w := newWorld(t, nil)
	named := map[string]wire.Record{} // accounts, contacts and deals, by name: no two share one
	for _, object := range []string{"Account", "Contact", "Opportunity"} {
		for _, r := range w.org.Rows[object] {
			named[r.Text("Name")] = wire.Record{Object: object, ID: r.Text("Id")}
		}
	}
	for who, p := range map[string]person{"administrator": w.admin, "manager": w.boss, "representative": w.rep} {
		understood := 0
		for _, want := range answers.To(w.org, p.user.ID) {
			got := w.ask(p, want.Question)
			if !rules.Understood(want.Question) {
				if got.Status != "not_understood" {
					t.Errorf("%s: %q is not understood, and still its status is %s: %s", who, want.Question, got.Status, got.Answer)
				}
				continue
			}
			understood++
			if wrong := differs(want, got, named); wrong != "" {
				t.Errorf("%s: %q: %s\nthe rows say %s, the answer is\n%.600s", who, want.Question, wrong, want, got.Answer)
			}
		}
		t.Logf("%s: %d questions understood", who, understood)
		if understood < 15 {
			t.Errorf("%s: only %d questions are understood", who, understood)
		}
	}
}

// differs says in what an answer is not the true one; "" where it is.
func differs(want answers.Answer, got wire.Answer, named map[string]wire.Record) string {
	metric := ""
	if len(got.Results) > 0 {
		metric = got.Results[0].Metric
	}
	switch {
	case got.Status != "done":
		return "its status is " + string(got.Status)
	case metric == "" || metric == "stalled_deals":
		if metric != "" && !same(got.Results[0].Value, want.Value) {
			return "its figure is another"
		}
		return recordsDiffer(want, got, named)
	case len(want.Groups) > 0:
		return groupsDiffer(want, got)
	case len(want.Names) > 0: // of the groups with the highest figure
		for _, r := range got.Results {
			if best := slices.Contains(want.Names, groupOf(r)); best != same(r.Value, want.Value) || !best && r.Value != nil && *r.Value > *want.Value {
				return "another group is the best"
			}
		}
	case len(got.Results) != 1 || !same(got.Results[0].Value, want.Value) || !strings.Contains(got.Answer, ": "+want.String()+" in total"):
		return "its figure is another"
	}
	return ""
}

func same(a, b *float64) bool {
	return a == nil && b == nil || a != nil && b != nil && math.Abs(*a-*b) < 1e-6*max(1, math.Abs(*b))
}

func groupOf(r wire.Result) string { return r.Group["owner"] + r.Group["stage"] + r.Group["region"] }

// groupsDiffer holds every group and what is told of all of them together.
func groupsDiffer(want answers.Answer, got wire.Answer) string {
	if len(got.Results) != len(want.Groups) {
		return "it has other groups"
	}
	for _, r := range got.Results {
		at := slices.IndexFunc(want.Groups, func(g answers.Group) bool { return g.Name == groupOf(r) })
		if at < 0 || !same(r.Value, want.Groups[at].Value) {
			return "a group has another figure"
		}
	}
	want.Groups = nil
	if !strings.Contains(got.Answer, ": "+want.String()+" in total") {
		return "the total is another"
	}
	return ""
}

// mostListed is how many records a list shows of those that it counts.
const mostListed = 200

// recordsDiffer holds the records that an answer lists, or where it tells something else of one, its words.
func recordsDiffer(want answers.Answer, got wire.Answer, named map[string]wire.Record) string {
	object := "Opportunity"
	if len(want.Names) > 0 {
		object = named[want.Names[0]].Object
	}
	if want.Kind == answers.Money || object == "" { // a field of a record, which no record is called by
		told := want.Names
		if want.Kind == answers.Money {
			told = []string{want.String()}
		}
		for _, n := range told {
			if !strings.Contains(got.Answer, n) {
				return "it doesn't tell " + n
			}
		}
		return ""
	}
	listed := map[string]bool{}
	for _, r := range got.Records {
		listed[r.ID] = listed[r.ID] || r.Object == object
	}
	for _, n := range want.Names {
		delete(listed, named[n].ID)
	}
	others, count := 0, 0
	for _, r := range got.Records {
		if r.Object == object {
			count++
		}
		if listed[r.ID] {
			others++
		}
	}
	if want.Kind == answers.Names && others > 0 {
		return fmt.Sprintf("%d of the %d records that it lists are others", others, count)
	}
	if all := int(*want.Value); count != min(all, mostListed) || all > mostListed && !strings.HasPrefix(got.Answer, "I found "+answers.Answer{Value: want.Value}.String()+" ") {
		return fmt.Sprintf("it lists %d", count)
	}
	return ""
}
