package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward/internal/sandbox/org"
)

// owners are the users whose records somebody sees, by ownership and role parents alone: their own and
// those of everybody in a role below theirs; an administrator sees all.
func owners(o *org.Org, userID string) []string {
	var me org.Row
	parent := map[string]string{}
	for _, role := range o.Rows["UserRole"] {
		parent[role.Text("Id")] = role.Text("ParentRoleId")
	}
	for _, u := range o.Rows["User"] {
		if u.Text("Id") == userID {
			me = u
		}
	}
	var seen []string
	for _, u := range o.Rows["User"] {
		below := false
		for role := parent[u.Text("UserRoleId")]; role != ""; role = parent[role] {
			below = below || role == me.Text("UserRoleId")
		}
		// The administrator is the one without a role here.
		if me.Text("UserRoleId") == "" || below || u.Text("Id") == userID {
			seen = append(seen, u.Text("Id"))
		}
	}
	return seen
}

func TestFiguresEqualTheOrgsOwnRows(t *testing.T) {
	w := newWorld(t, nil)
	activities := lastActivities(w.org)
	var seen []string
	for name, p := range map[string]person{"administrator": w.admin, "manager": w.boss, "representative": w.rep} {
		mine := owners(w.org, p.user.ID)

		type tally struct{ won, lost float64 }
		want := map[string]tally{}
		names := map[string]string{}
		for _, u := range w.org.Rows["User"] {
			names[u.Text("Id")] = u.Text("Name")
		}
		for _, d := range w.org.Rows["Opportunity"] {
			closed := d.Text("CloseDate")
			if !slices.Contains(mine, d.Text("OwnerId")) || !d.True("IsClosed") || closed < "2026-10-01" || closed > "2026-12-31" {
				continue
			}
			owner := names[d.Text("OwnerId")]
			c := want[owner]
			if d.True("IsWon") {
				c.won++
			} else {
				c.lost++
			}
			want[owner] = c
		}
		a := w.ask(p, "What is our win rate this quarter by owner?")
		if a.Status != "done" || len(want) == 0 || len(a.Results) != len(want) {
			t.Fatalf("%s: %d results, %d owners have closed deals; status %s, error %v", name, len(a.Results), len(want), a.Status, a.Error)
		}
		for _, r := range a.Results {
			c, ok := want[r.Group["owner"]]
			if !ok || r.Metric != "win_rate" || r.Variant != "count_by_close_date" || r.Unit != "ratio" {
				t.Errorf("%s: result %+v is for nobody expected", name, r)
				continue
			}
			if r.Inputs["won"] != c.won || r.Inputs["lost"] != c.lost || r.Value == nil || *r.Value != c.won/(c.won+c.lost) {
				t.Errorf("%s: %s has %+v, the rows say %+v", name, r.Group["owner"], r, c)
			}
			if !strings.Contains(a.Answer, r.Group["owner"]) {
				t.Errorf("%s: the answer doesn't name %s:\n%s", name, r.Group["owner"], a.Answer)
			}
		}
		seen = append(seen, fmt.Sprint(want))

		stalled := map[string]bool{}
		for _, d := range w.org.Rows["Opportunity"] {
			amount, _ := d["Amount"].(float64)
			if !slices.Contains(mine, d.Text("OwnerId")) || d.True("IsClosed") || amount <= 50000 {
				continue
			}
			last := d.Text("CreatedDate")[:10]
			if activity, ok := activities[d.Text("Id")]; ok {
				last = activity
			}
			if last <= today.AddDate(0, 0, -30).Format(time.DateOnly) {
				stalled[d.Text("Id")] = true
			}
		}
		b := w.ask(p, "Which open deals over $50k have had no activity for 30 days?")
		if b.Status != "done" || len(stalled) == 0 || len(b.Records) != len(stalled) || b.RecordsTotal != len(stalled) {
			t.Fatalf("%s: %d records, %d deals are stalled; status %s", name, len(b.Records), len(stalled), b.Status)
		}
		for _, r := range b.Records {
			if !stalled[r.ID] || r.Object != "Opportunity" || r.URL != w.boxURL+"/lightning/r/Opportunity/"+r.ID+"/view" {
				t.Errorf("%s: %+v isn't stalled, or its link is wrong", name, r)
			}
		}
		if got := b.Results[0]; got.Metric != "stalled_deals" || *got.Value != float64(len(stalled)) {
			t.Errorf("%s: %+v, want %d", name, got, len(stalled))
		}
		seen = append(seen, strconv.Itoa(len(stalled)))
	}
	if seen[0] == seen[2] || seen[2] == seen[4] || seen[0] == seen[4] {
		t.Errorf("different people see the same: %v", seen)
	}
}

// lastActivities is the newest closed task or past event of each deal.
func lastActivities(o *org.Org) map[string]string {
	newest := map[string]string{}
	note := func(deal, date string) {
		if date != "" && date <= today.Format(time.DateOnly) && newest[deal] < date {
			newest[deal] = date
		}
	}
	for _, task := range o.Rows["Task"] {
		if task.True("IsClosed") {
			note(task.Text("WhatId"), task.Text("ActivityDate"))
		}
	}
	for _, event := range o.Rows["Event"] {
		note(event.Text("WhatId"), event.Text("ActivityDate"))
	}
	return newest
}

func TestMyDealsAreTheAskers(t *testing.T) {
	w := newWorld(t, nil)
	mine := 0
	for _, d := range w.org.Rows["Opportunity"] {
		if d.Text("OwnerId") == w.boss.user.ID && !d.True("IsClosed") {
			mine++
		}
	}
	a := w.ask(w.boss, "Which open deals do I own?")
	if a.Status != "done" || len(a.Records) != mine {
		t.Errorf("the manager owns %d open deals and is told %d: %s", mine, len(a.Records), a.Answer)
	}
	b := w.ask(w.rep, "Which open deals do I own?")
	if b.Status != "done" || len(b.Records) == 0 {
		t.Errorf("the representative is told of none: %s %+v", b.Answer, b.Error)
	}
}
