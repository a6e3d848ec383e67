package engine_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stewardhq/steward/internal/sandbox/engine"
	"github.com/stewardhq/steward/internal/sandbox/org"
)

// BenchmarkQuery asks an org with 100,000 deals, as an administrator and as a representative. The floor of each question
// is a Go loop over the same rows that knows the answer's shape and asks nobody for permission.
func BenchmarkQuery(b *testing.B) {
	const deals = 100_000
	o := org.Acme(7, time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC))
	rows := o.Rows["Opportunity"]
	for i := 0; len(rows) < deals; i++ {
		row := maps.Clone(rows[i])
		row["Id"] = o.NewID("Opportunity")
		row["Name"] = fmt.Sprintf("%s %d", row.Text("Name"), i)
		rows = append(rows, row)
	}
	o.Rows["Opportunity"] = rows
	e := engine.New(o, oracleNow)
	byID := map[string]org.Row{}
	for _, row := range rows {
		byID[row.Text("Id")] = row
	}
	one := rows[deals/2]
	sums := func(want func(org.Row) bool) func() {
		return func() {
			totals := map[any]float64{}
			for _, row := range rows {
				if want(row) {
					totals[row["StageName"]] += row.Number("Amount")
				}
			}
		}
	}
	for _, question := range []struct {
		name, soql string
		floor      func()
	}{
		{"grouped", "SELECT StageName, COUNT(Id), SUM(Amount) FROM Opportunity GROUP BY StageName", sums(func(org.Row) bool { return true })},
		{"grouped-of-a-year", "SELECT Owner.Name, StageName, COUNT(Id), SUM(Amount), MAX(CloseDate) FROM Opportunity WHERE CloseDate = THIS_YEAR AND IsClosed = true GROUP BY Owner.Name, StageName ORDER BY SUM(Amount) DESC",
			sums(func(row org.Row) bool { return row.Text("CloseDate") >= "2026" && row.True("IsClosed") })},
		{"by-month", "SELECT CALENDAR_MONTH(CloseDate), SUM(Amount) FROM Opportunity GROUP BY CALENDAR_MONTH(CloseDate)", sums(func(row org.Row) bool { return row["CloseDate"] != nil })},
		{"by-id", "SELECT Id, Name, Amount FROM Opportunity WHERE Id = '" + one.Text("Id") + "'", func() { _ = maps.Clone(byID[one.Text("Id")]) }},
		{"by-account", "SELECT Id, Name, Amount FROM Opportunity WHERE AccountId = '" + one.Text("AccountId") + "'", nil},
		{"by-name", "SELECT Id, Name, Amount FROM Opportunity WHERE Name = '" + one.Text("Name") + "'", nil},
		{"like", "SELECT Id, Name FROM Opportunity WHERE Name LIKE '%" + one.Text("Name")[3:10] + "%' ORDER BY Amount DESC LIMIT 20", nil},
	} {
		users := map[string]string{}
		for _, u := range e.Users() {
			users[u.Role] = u.ID
		}
		for _, role := range []string{engine.Admin, engine.Representative} {
			b.Run(question.name+"/"+role, func(b *testing.B) {
				for b.Loop() {
					if _, err := e.Query(users[role], question.soql); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms")
				if question.floor != nil {
					start := time.Now()
					question.floor()
					b.ReportMetric(time.Since(start).Seconds()*1000, "floor-ms")
				}
			})
		}
	}
}
