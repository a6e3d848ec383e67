package rules_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/connector/salesforce"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/sandbox"
	"github.com/stewardhq/steward/internal/sandbox/org"
)

// TestAgainstTheSandbox carries out, as the administrator, what the rules ask of the connector: every
// object, field and argument they name exists, and the writes are taken.
func TestAgainstTheSandbox(t *testing.T) {
	today := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	company := org.Acme(1, today)
	server := httptest.NewServer(sandbox.New(company))
	defer server.Close()
	admin, _ := company.Rows["User"][0]["Id"].(string)
	session := connector.Session{
		Connection: "salesforce", InstanceURL: server.URL, HTTP: server.Client(),
		AccessToken: connector.Secret(company.AccessToken(admin)),
	}
	tools := &salesforce.Connector{Now: func() time.Time { return today }}

	var open org.Row
	for _, row := range company.Rows["Opportunity"] {
		if row["IsClosed"] == false {
			open = row
		}
	}
	deal, _ := open["Name"].(string)
	accountID, _ := open["AccountId"].(string)
	account, _ := company.Find("Account", accountID)["Name"].(string)
	someone, _ := company.Rows["Contact"][0]["Name"].(string)
	mail, _ := company.Rows["Contact"][0]["Email"].(string)

	for question, want := range map[string]string{
		"Find contact " + someone:                                mail,
		"Who is " + mail:                                         someone,
		"Tell me about deal " + deal:                             "Close date: ",
		"Tell me about deal " + strings.ToLower(deal[2:]):        deal,
		"Show account " + account:                                "This is the account " + account,
		"Tell me about " + account:                               "This is the account " + account,
		"List the contacts at " + account:                        "| Name |",
		"Which deals does " + account + " have?":                 deal,
		"Who owns " + deal + "?":                                 "is owned by ",
		"What is the amount of " + deal + "?":                    "is $",
		"What is the next step of " + deal:                       "next step",
		"Show the last 5 activities on " + deal:                  deal,
		"last activities with " + someone:                        "“" + someone + "”", // taken for a deal, since it is no token
		"What fields does Opportunity have?":                     "| NextStep |",
		"What stages are there?":                                 "- Negotiation/Review",
		"Which open deals do I own?":                             "that you own",
		"Open deals closing this quarter":                        "this quarter",
		"open deals in stage Negotiation over $20k":              "Negotiation/Review",
		"Show me the 5 largest open deals":                       "the 5 largest of ",
		"Which deals did we win last quarter?":                   "won deals",
		"Move " + deal + " to Nirvana":                           "Nothing was changed",
		"Move " + deal + " to negotiation":                       "is now: Negotiation/Review",
		"Change the close date of " + deal + " to 2027-01-15":    "is now: 2027-01-15",
		"Update the amount of " + deal + " to $75k":              "is now: $75,000",
		"Log a meeting on " + deal + " with " + someone:          "I logged the meeting with " + someone,
		"Log an email to " + someone:                             "I logged the e-mail",
		"Create a contact Maria Lopez at account " + account:     "I created the contact Maria Lopez",
		"Create a task 'Send it' on " + deal + " due 2026-12-01": "I created the task Send it",
		"Create a deal 'New one' for " + account + " closing 2026-12-31, stage prospecting, amount $50k": "I created the deal New one",
		"Set the next step of " + deal + " to 'Call " + someone + " about renewal' and log a call with " + someone: "Done: the next step of the deal " + deal +
			" is now: Call " + someone + " about renewal\nDone: I logged the call with " + someone + " on the deal " + deal,
	} {
		t.Run(question, func(t *testing.T) {
			r := asking(question, allTools)
			r.System = admin
			response := generate(t, r)
			for response.StopReason == llm.StopToolUse {
				back := llm.Message{Role: llm.User}
				for _, use := range response.Content {
					reply, err := tools.Call(context.Background(), session, use.Name, use.Input)
					if err != nil {
						t.Fatalf("%s %s: %v", use.Name, use.Input, err)
					}
					back.Content = append(back.Content, llm.Block{Type: llm.ToolResult, ToolUseID: use.ID, Content: resultOf(t, reply)})
				}
				r.Messages = append(r.Messages, llm.Message{Role: llm.Assistant, Content: response.Content}, back)
				response = generate(t, r)
			}
			if got := calls(t, response); !strings.Contains(got, want) {
				t.Fatalf("%s:\n%s\nwant %q", response.StopReason, got, want)
			}
		})
	}
}

// resultOf writes a reply as a model is told of it, with its values.
func resultOf(t *testing.T, reply connector.Reply) string {
	t.Helper()
	records := []map[string]any{}
	for _, r := range reply.Records {
		records = append(records, row(r))
	}
	content, err := json.Marshal(map[string]any{"total": reply.Total, "records": records})
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func row(r steward.Record) map[string]any {
	m := map[string]any{"object": r.Object, "id": r.ID}
	for _, f := range r.Fields {
		m[f.Name] = f.Value
	}
	return m
}
