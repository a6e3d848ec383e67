package answers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward/internal/sandbox/answers"
	"github.com/stewardhq/steward/internal/sandbox/org"
)

var today = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// company is small enough to be reckoned by hand: Ann and Bob sell under Meg, Cyd elsewhere.
func company() *org.Org {
	o := org.Empty(1, today)
	add := func(object, id string, values org.Row) {
		values["Id"] = id
		o.Rows[object] = append(o.Rows[object], values)
	}
	seller := o.Profiles[slices.IndexFunc(o.Profiles, func(p org.Profile) bool { return !p.ViewAll })].ID
	add("UserRole", "top", org.Row{})
	add("UserRole", "lead", org.Row{"ParentRoleId": "top"})
	add("UserRole", "sell", org.Row{"ParentRoleId": "lead"})
	add("UserRole", "other", org.Row{"ParentRoleId": "top"})
	for name, role := range map[string]string{"Meg": "lead", "Ann": "sell", "Bob": "sell", "Cyd": "other"} {
		add("User", name, org.Row{"Name": name, "UserRoleId": role, "ProfileId": seller})
	}
	for _, line := range []string{ // name owner region industry type
		"Acorn Ann EMEA Energy Customer", "Birch Bob APAC Retail Customer", "Cedar Cyd EMEA Energy Prospect", "Dogwood Ann EMEA Retail Customer",
	} {
		w := strings.Fields(line)
		add("Account", w[0], org.Row{"Name": w[0], "OwnerId": w[1], "Region__c": w[2], "Industry": w[3], "Type": w[4]})
	}
	add("Contact", "c1", org.Row{"Name": "Pat Poe", "AccountId": "Acorn", "OwnerId": "Ann", "Email": "pat@acorn.example"})
	add("Contact", "c2", org.Row{"Name": "Kim Koh", "AccountId": "Acorn", "OwnerId": "Cyd"})
	for _, line := range []string{
		// name account owner stage amount close created staged
		"o1 Acorn Ann Prospecting 60000 2026-12-31 2026-07-01 2026-07-01",
		"o2 Acorn Ann Negotiation/Review 90000 2026-11-22 2026-10-25 2026-11-01",
		"o3 Birch Bob Negotiation/Review 0 2026-11-23 2026-10-24 2026-08-25",
		"o4 Cedar Cyd Prospecting 10000 2027-01-01 2026-11-20 2026-08-24",
		"w1 Acorn Ann Won 40000 2026-10-01 2026-09-01 2026-10-01",
		"w2 Birch Bob Won 20000 2026-09-30 2026-09-20 2026-09-30",
		"w3 Cedar Cyd Won 10000 2026-11-01 2026-10-01 2026-11-01",
		"l1 Birch Bob Lost 30000 2026-11-23 2026-09-20 2026-09-30",
		"l2 Birch Bob Lost 99000 2025-12-31 2025-09-20 2025-12-31",
	} {
		w := strings.Fields(line)
		amount, won, lost := 0.0, w[3] == "Won", w[3] == "Lost"
		fmt.Sscan(w[4], &amount)
		row := org.Row{
			"Name": w[0], "AccountId": w[1], "OwnerId": w[2], "StageName": w[3], "Amount": amount, "CloseDate": w[5], "CreatedDate": w[6] + "T08:00:00.000+0000",
			"LastStageChangeDate": w[7] + "T08:00:00.000+0000", "IsClosed": won || lost, "IsWon": won, "Probability": 50.0, "NextStep": "call",
			"ForecastCategoryName": map[string]string{"Prospecting": "Pipeline", "Negotiation/Review": "Commit", "Won": "Closed", "Lost": "Omitted"}[w[3]],
		}
		if amount == 0 {
			row["Amount"], row["NextStep"] = nil, nil
		}
		add("Opportunity", w[0], row)
	}
	for _, line := range []string{ // deal stage close when, not in the order of time
		"o1 Prospecting 2026-12-31 2026-08-01", "o1 Prospecting 2026-10-31 2026-07-01", "o2 Prospecting 2026-12-01 2026-10-25", "o2 Negotiation/Review 2026-11-22 2026-11-01",
		"o3 Negotiation/Review 2026-11-23 2026-10-24", "w1 Negotiation/Review 2026-10-01 2026-09-01",
	} {
		w := strings.Fields(line)
		add("OpportunityHistory", line, org.Row{"OpportunityId": w[0], "StageName": w[1], "CloseDate": w[2], "CreatedDate": w[3]})
	}
	add("Task", "t1", org.Row{"WhatId": "o1", "OwnerId": "Ann", "ActivityDate": "2026-10-24", "IsClosed": true, "Type": "Call"})
	add("Task", "t2", org.Row{"WhatId": "o1", "OwnerId": "Ann", "ActivityDate": "2026-11-20", "IsClosed": false, "Type": "Call"}) // still to be done
	add("Task", "t3", org.Row{"WhatId": "o2", "OwnerId": "Cyd", "ActivityDate": "2026-11-22", "IsClosed": true, "Type": "Call"})
	add("Task", "t4", org.Row{"OwnerId": "Bob", "ActivityDate": "2026-11-23", "IsClosed": false}) // due today is not overdue
	add("Event", "e1", org.Row{"WhatId": "o1", "OwnerId": "Ann", "ActivityDate": "2026-11-30"})   // still to come
	return o
}

// tell gives each question's whole answer.
func tell(o *org.Org, user string) map[string]string {
	told := map[string]string{}
	for _, a := range answers.To(o, user) {
		told[a.Question] = a.String()
	}
	return told
}

func TestAnswersByHand(t *testing.T) {
	o := company()
	admin := o.Rows["User"][0].Text("Id")
	for user, want := range map[string]map[string]string{
		admin: {
			"What is our pipeline?":                                                      "$160,000",
			"What is our weighted pipeline?":                                             "$80,000",
			"What is our pipeline closing this quarter?":                                 "$150,000",
			"What is the average amount of our open deals?":                              "$53,333.33",
			"Pipeline by region":                                                         "$160,000 · APAC $0 · EMEA $160,000",
			"Pipeline by owner closing next quarter":                                     "$10,000 · Cyd $10,000",
			"How much of this quarter is in each forecast category?":                     "$230,000 · Closed $50,000 · Commit $90,000 · Omitted $30,000 · Pipeline $60,000",
			"What is our commit forecast for this quarter?":                              "$140,000",
			"What is our win rate?":                                                      "60.0%",
			"What was our win rate last quarter?":                                        "100.0%",
			"Win rate this year by amount":                                               "70.0%",
			"What is our win rate this quarter by owner?":                                "66.7% · Ann 100.0% · Bob 0.0% · Cyd 100.0%",
			"Win rate last year by region, weighted by amount":                           "0.0% · APAC 0.0%",
			"Who has the best win rate this year?":                                       "100.0% · Ann · Cyd",
			"How much have we won this month?":                                           "$10,000",
			"How much have we won this year?":                                            "$70,000",
			"How much did we win last quarter?":                                          "$20,000",
			"How much did we lose this quarter?":                                         "$30,000",
			"How many deals has each seller won this year?":                              "3 · Ann 1 · Bob 1 · Cyd 1",
			"Which deals did we win last quarter?":                                       "1 · w2",
			"Show me the 5 largest open deals":                                           "3 · o1 · o2 · o4",
			"What is the biggest deal we won this year?":                                 "1 · w1",
			"Open deals over $150k":                                                      "0",
			"Open deals closing next month":                                              "1 · o1",
			"List stalled deals":                                                         "2 · o1 · o3",
			"Which open deals over $50k have had no activity for 30 days?":               "1 · o1",
			"Which open deals were never worked on?":                                     "2 · o3 · o4",
			"Which open deals have no next step?":                                        "1 · o3",
			"Which open deals have no amount?":                                           "1 · o3",
			"Which open deals are past their close date?":                                "1 · o2",
			"How much money is in open deals past their close date?":                     "$90,000",
			"Which open deals have been in their stage for more than 90 days?":           "2 · o1 · o4",
			"Which open deals close later than first said?":                              "1 · o1",
			"What share of the deals that were ever in negotiation have been won?":       "33.3%",
			"What is the median sales cycle, in days, of the deals we won this year?":    "30",
			"What is our sales velocity, in dollars a day, by what we closed this year?": "$2,957.75",
			"How many accounts do we have in each industry?":                             "4 · Energy 2 · Retail 2",
			"Which customers have no open deal?":                                         "1 · Dogwood",
			"Which account has the most money in open deals?":                            "$150,000 · Acorn",
			"How many contacts have no e-mail address?":                                  "1",
			"How many overdue tasks does everybody have?":                                "1 · Ann 1",
			"How many tasks are due in the next 7 days?":                                 "0",
			"How many meetings are planned for the next 7 days?":                         "1",
			"How many calls did each seller make this month?":                            "1 · Cyd 1",
			"List the contacts at Acorn":                                                 "2 · Kim Koh · Pat Poe",
			"Who owns o2?":                                                               "1 · Ann",
		},
		"Meg": { // sees what Ann and Bob own, and Cyd's task on a deal of theirs
			"What is our pipeline?":                           "$150,000",
			"What is our win rate this quarter by owner?":     "50.0% · Ann 100.0% · Bob 0.0%",
			"How many calls did each seller make this month?": "1 · Cyd 1",
			"Which open deals do I own?":                      "0",
		},
		"Ann": { // not what Bob owns, who has the same role
			"What is our pipeline?":                      "$150,000",
			"What is our win rate?":                      "100.0%",
			"How many deals did we win this year?":       "1",
			"Which open deals do I own?":                 "2 · o1 · o2",
			"Which of my open deals close this quarter?": "2 · o1 · o2",
			"How many of my own tasks are overdue?":      "1",
			"List the contacts at Acorn":                 "2 · Kim Koh · Pat Poe",
		},
		"Bob": {
			"What is our win rate?":                              "33.3%",
			"What is our pipeline?":                              "$0",
			"How many of my own tasks are overdue?":              "0",
			"What is the average amount of our open deals?":      "not defined",
			"How many open deals do we have?":                    "1",
			"Open deals in stage Negotiation/Review":             "1 · o3",
			"How many customers do we have in each region?":      "1 · APAC 1",
			"How many contacts have no e-mail address?":          "0",
			"What is the biggest deal we won this year?":         "1 · w2",
			"Which account has the most money in open deals?":    "$0 · Birch",
			"Which open deals have had no activity for 60 days?": "0",
		},
	} {
		told := tell(o, user)
		for question, is := range want {
			if told[question] != is {
				t.Errorf("%s: %q is answered %q, want %q", user, question, told[question], is)
			}
		}
	}
}

// TestSellersAddUpToTheirManager: what a manager sees is what the people below see, since they share nothing else.
func TestSellersAddUpToTheirManager(t *testing.T) {
	o := org.Acme(7, today)
	sums := map[string]float64{}
	for _, u := range o.Rows["User"] {
		for _, a := range answers.To(o, u.Text("Id")) {
			if a.Question == "What is our pipeline?" {
				sums[u.Text("Title")] += *a.Value
			}
		}
	}
	if all := sums["CRM Administrator"]; all == 0 || sums["Regional Sales Manager"] != all || sums["Account Executive"] != all {
		t.Errorf("the pipelines of everybody add up to %v", sums)
	}
}

func TestQuestionsAreAskedOnce(t *testing.T) {
	o := org.Acme(1, today)
	all := answers.To(o, o.Rows["User"][0].Text("Id"))
	seen := map[string]bool{}
	for _, a := range all {
		if seen[a.Question] {
			t.Errorf("%q is asked twice", a.Question)
		}
		seen[a.Question] = true
	}
	if len(all) < 60 {
		t.Errorf("there are %d questions", len(all))
	}
	if got := answers.To(o, "nobody"); len(got) == 0 || *got[0].Value != 0 {
		t.Errorf("who is nobody sees %v", got)
	}
	answers.To(org.Empty(1, today), "")
}
