package clients

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/k-capehart/go-salesforce/v3"
)

type row = map[string]any

// TestGoSalesforce holds the sandbox against the Go client github.com/k-capehart/go-salesforce, at the version of the
// API that it pages at.
func TestGoSalesforce(t *testing.T) {
	t.Parallel()
	s := serve(t)
	sf, err := salesforce.Init(salesforce.Creds{Domain: s.InstanceURL, AccessToken: s.token(t, "admin")})
	if err != nil {
		t.Fatal(err)
	}
	step := func(name string, act func() error) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			if err := act(); err != nil {
				t.Error(err)
			}
		})
	}
	find := func(t *testing.T, where string) []row {
		t.Helper()
		var found []row
		if err := sf.Query("SELECT Id, LastName, Email FROM Contact WHERE "+where+" ORDER BY LastName", &found); err != nil {
			t.Fatal(err)
		}
		return found
	}
	whole := func(got salesforce.SalesforceResults, n int, err error) {
		t.Helper()
		if err != nil || got.HasSalesforceErrors || len(got.Results) != n {
			t.Errorf("%+v, %v", got, err)
		}
	}

	step("pages", func() error {
		var all, counted []struct {
			ID string `json:"Id"`
			N  int    `json:"n"`
		}
		if err := sf.Query("SELECT COUNT(Id) n FROM Task", &counted); err != nil {
			return err
		}
		err := sf.Query("SELECT Id FROM Task", &all)
		if len(all) != counted[0].N || len(all) <= 2000 {
			t.Errorf("%d of %d tasks", len(all), counted[0].N)
		}
		return err
	})
	one := row{"LastName": "Gopher One", "Email": "one@gopher.example"}
	step("insert one", func() error {
		got, err := sf.InsertOne("Contact", one)
		if one["Id"] = got.Id; !got.Success {
			t.Errorf("%+v", got)
		}
		return err
	})
	step("update one", func() error { return sf.UpdateOne("Contact", row{"Id": one["Id"], "LastName": "Gopher First"}) })
	step("upsert one that is there", func() error {
		got, err := sf.UpsertOne("Contact", "Email", row{"LastName": "Gopher Again", "Email": one["Email"]})
		if found := find(t, "Id = '"+one["Id"].(string)+"'"); got.Id != one["Id"] || found[0]["LastName"] != "Gopher Again" {
			t.Errorf("%+v, %+v", got, found)
		}
		return err
	})
	step("upsert one that is not", func() error {
		got, err := sf.UpsertOne("Contact", "Email", row{"LastName": "Gopher Two", "Email": "two@gopher.example"})
		if !got.Success || got.Id == one["Id"] {
			t.Errorf("%+v", got)
		}
		return err
	})
	step("insert what is wrong", func() error {
		if _, err := sf.InsertOne("Contact", row{"Email": "x@gopher.example"}); err == nil || !strings.Contains(err.Error(), "REQUIRED_FIELD_MISSING") {
			t.Error(err)
		}
		return nil
	})
	step("collections", func() error {
		got, err := sf.InsertCollection("Contact", []row{{"LastName": "Many A"}, {"LastName": "Many B"}, {"LastName": "Many C"}}, 2)
		whole(got, 3, err)
		many := find(t, "LastName LIKE 'Many %'")
		for i := range many {
			many[i]["Email"] = many[i]["LastName"].(string)[5:] + "@gopher.example"
		}
		got, err = sf.UpdateCollection("Contact", many, 200)
		whole(got, 3, err)
		got, err = sf.UpsertCollection("Contact", "Email", []row{{"LastName": "Many D", "Email": "D@gopher.example"}, {"LastName": "Many A+", "Email": "A@gopher.example"}}, 200)
		whole(got, 2, err)
		many = find(t, "LastName LIKE 'Many %'")
		if len(many) != 4 || many[0]["LastName"] != "Many A+" {
			t.Errorf("%+v", many)
		}
		got, err = sf.DeleteCollection("Contact", many, 200)
		whole(got, 4, err)
		return nil
	})
	step("composite", func() error {
		got, err := sf.InsertComposite("Contact", []row{{"LastName": "Part A"}, {"LastName": "Part B"}, {"LastName": "Part C"}}, 2, true)
		whole(got, 3, err)
		parts := find(t, "LastName LIKE 'Part %'")
		parts[0]["LastName"] = "Part A+"
		got, err = sf.UpdateComposite("Contact", parts, 2, true)
		whole(got, 3, err)
		got, err = sf.UpsertComposite("Contact", "Email", []row{{"LastName": "Part D", "Email": "d@gopher.example"}}, 200, true)
		whole(got, 1, err)
		parts = find(t, "LastName LIKE 'Part %'")
		if len(parts) != 4 || parts[0]["LastName"] != "Part A+" {
			t.Errorf("%+v", parts)
		}
		got, err = sf.DeleteComposite("Contact", parts, 2, true)
		whole(got, 4, err)
		return nil
	})
	step("composite, all or none", func() error {
		got, err := sf.InsertComposite("Contact", []row{{"LastName": "Never"}, {"Email": "never@gopher.example"}}, 200, true)
		if err == nil && !got.HasSalesforceErrors || len(find(t, "LastName = 'Never'")) != 0 {
			t.Errorf("%+v, %v", got, err)
		}
		return nil
	})
	step("bulk", func() error {
		jobs, err := sf.InsertBulk("Contact", []row{{"LastName": "Bulk A", "Email": ""}, {"LastName": "Bulk B", "Email": ""}, {"LastName": "", "Email": "nameless@gopher.example"}}, 1000, true)
		if err != nil {
			return err
		}
		got, err := sf.GetJobResults(jobs[0])
		if got.State != "JobComplete" || len(got.SuccessfulRecords) != 2 || len(got.FailedRecords) != 1 {
			t.Errorf("%+v", got)
		}
		return err
	})
	step("bulk query", func() error {
		file := filepath.Join(t.TempDir(), "out.csv")
		if err := sf.QueryBulkExport("SELECT Id, LastName FROM Contact WHERE LastName LIKE 'Bulk %'", file); err != nil {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
		if len(rows) != 3 {
			t.Errorf("%q", text)
		}
		return err
	})
	step("delete one", func() error { return sf.DeleteOne("Contact", row{"Id": one["Id"]}) })
}
