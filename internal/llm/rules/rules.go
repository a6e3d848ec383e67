// Package rules answers: what can be said and done without any language model? It turns a stated set
// of stock questions into tool calls and their results into sentences, over the same messages as any
// model; it doesn't know who asks, and sees tokens where there are people.
package rules

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/llm"
)

// maxTurns bounds the tool calls after one question. The longest plan takes four turns: look up by
// name, look up by part of it, act, and one to spare.
const maxTurns = 6

// Model answers stock questions. It is deterministic, keeps nothing and needs no network.
//
// It reads the last text block of the last user message, the tool calls and results behind it, and
// which tools are offered. Of the system prompt it takes one thing, the first Salesforce user id in it
// (005…), as the user who asks; without one it can't tell which deals are "mine", and says so.
type Model struct{}

var _ llm.Model = Model{}

// Generate gives the next message: tool calls, or text that ends the turn. Its error is of kind
// Invalid, for a request without a question or for another model. The ids of its tool calls say what
// each is for, and results are found again by them.
func (Model) Generate(_ context.Context, r llm.Request) (llm.Response, error) {
	if r.Model != llm.RulesModel {
		return llm.Response{}, steward.Errorf(steward.Invalid, "the rules have no model %q; ask for %q", r.Model, llm.RulesModel)
	}
	d, ok := read(r)
	if !ok {
		return llm.Response{}, steward.Errorf(steward.Invalid, "there is no question in this request; send one as a user's text")
	}
	response := llm.Response{
		ID: fmt.Sprintf("msg_%d", len(r.Messages)), Model: llm.RulesModel, Role: llm.Assistant, StopReason: llm.EndTurn,
	}
	do, unplaced := understand(d.question)
	if do == nil {
		response.StopReason = llm.NotUnderstood
		response.Content = []llm.Block{{Type: llm.Text, Text: tellNotUnderstood(d.question, unplaced)}}
		return response, nil
	}
	text := do(d)
	switch {
	case d.missing != "":
		text = fmt.Sprintf("I can't do that here: it needs the tool %s, which I was not offered.", d.missing)
	case d.failed != "":
		text = d.failed
	case len(d.pending) > 0 && d.turns >= maxTurns:
		text = "I gave up: the results I asked for did not come back to me."
	case len(d.pending) > 0:
		response.StopReason, response.Content = llm.StopToolUse, d.pending
		return response, nil
	}
	response.Content = []llm.Block{{Type: llm.Text, Text: text}}
	return response, nil
}

// Understood says whether a question has a meaning here. It may still lead to nothing: a name that
// nobody has, or a date that can't be read.
func Understood(question string) bool {
	do, _ := understand(question)
	return do != nil
}

// Example is a question that is understood, and what asking it does.
type Example struct {
	Question string
	What     string
}

// Examples are questions as people may ask them; names in them are invented.
func Examples() []Example {
	return []Example{
		{"What is our win rate this quarter by owner?", "won against lost deals by close date, for each owner"},
		{"Win rate last year by region, weighted by amount", "the same by money instead of by count"},
		{"Show the pipeline by stage", "open deals summed for each stage"},
		{"Pipeline by owner closing next quarter", "open deals summed for each owner, by close date"},
		{"Which open deals over $50k have had no activity for 30 days?", "stalled deals over an amount"},
		{"List stalled deals", "open deals without activity for 30 days"},
		{"Which open deals do I own?", "the open deals of the one who asks"},
		{"Open deals closing this quarter", "open deals by close date"},
		{"Show me the 5 largest open deals", "open deals, largest first"},
		{"Which deals did we win last quarter?", "won deals by close date"},
		{"Find contact Maria Lopez", "a contact by name, e-mail address or phone number"},
		{"Tell me about deal Harborline - Expansion", "a deal with its fields"},
		{"Show account Harborline Freight", "an account with its fields"},
		{"List the contacts at Harborline Freight", "the people at an account"},
		{"Which open deals does Harborline Freight have?", "the deals of an account"},
		{"Who owns Harborline - Expansion?", "the owner of a deal or an account"},
		{"What is the close date of Harborline - Expansion?", "one field of a deal"},
		{"Show the last 5 activities on Harborline - Expansion", "calls, e-mails and meetings on a deal or with a contact"},
		{"What fields does Opportunity have?", "the fields of an object"},
		{"What stages are there?", "the stages of a deal"},
		{"Set the next step of Harborline - Expansion to 'Send the contract'", "changes a deal, after approval"},
		{"Move Harborline - Expansion to Negotiation", "changes a deal's stage, after approval"},
		{"Change the close date of Harborline - Expansion to 2026-12-15", "changes a deal's close date, after approval"},
		{"Update the amount of Harborline - Expansion to $75,000", "changes a deal's amount, after approval"},
		{"Mark Harborline - Expansion as won", "closes a deal, after approval"},
		{"Create an opportunity Harborline - Renewal for account Harborline Freight, amount 50000, closing 2026-12-31, stage Prospecting", "makes a deal, after approval"},
		{"Create a contact Maria Lopez at account Harborline Freight, title 'VP Sales'", "makes a contact, after approval"},
		{"Create a task 'Send the contract' on Harborline - Expansion due 2026-12-01", "makes a task, after approval"},
		{"Log a call with Maria Lopez about Harborline - Expansion", "writes down a call, a meeting or an e-mail, after approval"},
		{"Set the next step of Harborline - Expansion to 'Call Maria Lopez about renewal' and log a call with Maria Lopez", "two changes at once"},
	}
}

var word = regexp.MustCompile(`[\pL\pN]+`)

// words are the distinct words of a text in lower case, without those that carry no meaning here.
func words(text string) map[string]bool {
	all := map[string]bool{}
	for _, w := range word.FindAllString(strings.ToLower(text), -1) {
		if !slices.Contains(filler, w) {
			all[strings.TrimSuffix(w, "s")] = true
		}
	}
	return all
}

// nearest picks the n examples that share most words with the question, measured by Jaccard's
// index; those listed first win ties.
func nearest(question string, n int) []string {
	asked := words(question)
	examples := Examples()
	score := func(e Example) float64 {
		theirs, common := words(e.Question), 0
		for w := range theirs {
			if asked[w] {
				common++
			}
		}
		return float64(common) / float64(len(theirs)+len(asked)-common)
	}
	slices.SortStableFunc(examples, func(a, b Example) int { return cmp.Compare(score(b), score(a)) })
	var best []string
	for _, e := range examples[:n] {
		best = append(best, e.Question)
	}
	return best
}

func tellNotUnderstood(question, unplaced string) string {
	var b strings.Builder
	b.WriteString("I did not understand that question.")
	if unplaced != "" {
		fmt.Fprintf(&b, " I can't place “%s” in it.", unplaced)
	}
	b.WriteString(" I answer a fixed set of questions without a language model; the nearest are:\n")
	for _, q := range nearest(question, 3) {
		b.WriteString("\n- " + q)
	}
	return b.String()
}
