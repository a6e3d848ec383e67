package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stewardhq/steward/internal/sandbox/engine"
	"github.com/stewardhq/steward/internal/sandbox/org"
)

const maxRecent = 200 // records that recent gives at most

func (s *Server) resources(w http.ResponseWriter, c *call) error {
	all := map[string]string{"identity": s.identityURL(c)}
	for _, name := range []string{"composite", "jobs", "limits", "parameterizedSearch", "query", "queryAll", "recent", "search", "sobjects", "tooling"} {
		all[name] = c.base + "/" + name
	}
	send(w, http.StatusOK, all)
	return nil
}

// limits tells how much is left of what Salesforce meters. This sandbox meters API calls only.
func (s *Server) limits(w http.ResponseWriter, _ *call) error {
	type limit struct{ Max, Remaining int }
	all := map[string]limit{"DailyApiRequests": {s.Limit, max(s.Limit-int(s.calls.Load()), 0)}}
	for name, most := range map[string]int{
		"DailyBulkApiBatches": 15000, "DailyBulkV2QueryJobs": 10000, "DailyBulkV2QueryFileStorageMB": 976562,
		"DataStorageMB": 1024, "FileStorageMB": 1024, "HourlyDashboardRefreshes": 200, "SingleEmail": 5000,
	} {
		all[name] = limit{most, most}
	}
	send(w, http.StatusOK, all)
	return nil
}

// recordCount tells how many records there are of some objects, or of all.
func (s *Server) recordCount(w http.ResponseWriter, c *call) error {
	type count struct {
		Count int    `json:"count"`
		Name  string `json:"name"`
	}
	counts := []count{}
	asked := strings.Split(strings.ToLower(c.URL.Query().Get("sObjects")), ",")
	for _, d := range c.engine.DescribeAll(c.user) {
		if asked[0] != "" && !slices.Contains(asked, strings.ToLower(d.Object.Name)) {
			continue
		}
		found, err := c.engine.Query(c.user, "SELECT COUNT() FROM "+d.Object.Name)
		if err != nil {
			return err
		}
		counts = append(counts, count{found.Total, d.Object.Name})
	}
	send(w, http.StatusOK, map[string]any{"sObjects": counts})
	return nil
}

// touched are the records of an object that the user changed last, newest first: nobody looks at anything here.
func (c *call) touched(d *engine.Description, most int) ([]map[string]any, error) {
	name, changed := "", false
	for _, f := range d.Fields {
		if f.NameField {
			name = f.Name + ", "
		}
		changed = changed || f.Name == "LastModifiedById"
	}
	if !changed {
		return nil, nil
	}
	found, err := c.engine.Query(c.user, fmt.Sprintf("SELECT Id, %sLastModifiedDate FROM %s WHERE LastModifiedById = '%s' ORDER BY LastModifiedDate DESC LIMIT %d", name, d.Object.Name, c.user, most))
	if err != nil {
		return nil, err
	}
	items := []map[string]any{}
	for _, r := range found.Records {
		item := map[string]any{"attributes": map[string]string{"type": d.Object.Name, "url": c.base + "/sobjects/" + d.Object.Name + "/" + r.ID}}
		for _, v := range r.Values {
			item[v.Name] = v.Value
		}
		items = append(items, item)
	}
	return items, nil
}

// recent gives what the user changed last, of all objects.
func (s *Server) recent(w http.ResponseWriter, c *call) error {
	most, err := strconv.Atoi(c.URL.Query().Get("limit"))
	if err != nil || most < 1 {
		most = maxRecent
	}
	all := []map[string]any{}
	for _, d := range c.engine.DescribeAll(c.user) {
		items, err := c.touched(d, min(most, maxRecent))
		if err != nil {
			return err
		}
		all = append(all, items...)
	}
	when := func(item map[string]any) string { at, _ := item["LastModifiedDate"].(string); return at }
	slices.SortStableFunc(all, func(a, b map[string]any) int { return strings.Compare(when(b), when(a)) })
	send(w, http.StatusOK, all[:min(most, maxRecent, len(all))])
	return nil
}

// between finds the records of the object that changed in the time that is asked for.
func (c *call) between(find func(user, text string) (*engine.Result, error), where string) (*engine.Result, error) {
	var ends [2]string
	for i, name := range []string{"start", "end"} {
		text := strings.ReplaceAll(c.URL.Query().Get(name), " ", "+") // which a client forgot to escape
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			at, err = time.Parse("2006-01-02T15:04:05Z0700", text)
		}
		if err != nil {
			return nil, refusal(http.StatusBadRequest, "INVALID_FIELD", name+" must be a date and time such as 2026-11-23T08:00:00+00:00")
		}
		ends[i] = at.UTC().Format("2006-01-02T15:04:05Z")
	}
	d, err := c.engine.Describe(c.user, c.PathValue("object"))
	if err != nil {
		return nil, err
	}
	return find(c.user, fmt.Sprintf("SELECT Id, SystemModstamp FROM %s WHERE SystemModstamp >= %s AND SystemModstamp < %s%s", d.Object.Name, ends[0], ends[1], where))
}

func (s *Server) updated(w http.ResponseWriter, c *call) error {
	found, err := c.between(c.engine.Query, "")
	if err != nil {
		return err
	}
	ids := []string{}
	for _, r := range found.Records {
		ids = append(ids, r.ID)
	}
	send(w, http.StatusOK, map[string]any{"ids": ids, "latestDateCovered": s.now().Format(org.DateTimeLayout)})
	return nil
}

func (s *Server) deleted(w http.ResponseWriter, c *call) error {
	found, err := c.between(c.engine.QueryAll, " AND IsDeleted = true")
	if err != nil {
		return err
	}
	type gone struct {
		ID string `json:"id"`
		At any    `json:"deletedDate"`
	}
	records := []gone{}
	for _, r := range found.Records {
		records = append(records, gone{r.ID, r.Values[1].Value})
	}
	send(w, http.StatusOK, map[string]any{
		"deletedRecords": records, "earliestDateAvailable": s.today.Format(org.DateTimeLayout), "latestDateCovered": s.now().Format(org.DateTimeLayout),
	})
	return nil
}
