package sandbox

import (
	"bytes"
	"errors"
	"net/http"
	"strings"

	"github.com/stewardhq/steward/internal/sandbox/bulk"
	"github.com/stewardhq/steward/internal/sandbox/engine"
	"github.com/stewardhq/steward/internal/sandbox/org"
	"github.com/stewardhq/steward/internal/sandbox/search"
	"github.com/stewardhq/steward/internal/soql"
)

// company is the engine in the words of the packages that know no engine.
type company struct{ *engine.Engine }

func (c company) Query(user, text string, deleted bool) ([]bulk.Row, error) {
	find := c.Engine.Query
	if deleted {
		find = c.QueryAll
	}
	result, err := find(user, text)
	if err != nil {
		return nil, refusedJob(err)
	}
	rows := make([]bulk.Row, len(result.Records))
	for i, r := range result.Records {
		rows[i] = row{r}
	}
	return rows, nil
}

func (c company) Object(user, name string) (*org.Object, error) {
	d, err := c.Describe(user, name)
	if err != nil {
		return nil, refusedJob(err)
	}
	return seen(d), nil
}

// seen is an object with no more fields than the user may read.
func seen(d *engine.Description) *org.Object {
	ob := *d.Object
	ob.Fields = d.Fields
	return &ob
}

func (c company) Create(user, object string, values map[string]any) (string, error) {
	id, err := c.Engine.Create(user, object, values)
	return id, refusedJob(err)
}

func (c company) Update(user, object, id string, values map[string]any) error {
	return refusedJob(c.Engine.Update(user, object, id, values))
}

func (c company) Delete(user, object, id string) error {
	return refusedJob(c.Engine.Delete(user, object, id))
}

// refusedJob tells a refusal in a job's words.
func refusedJob(err error) error {
	var e *engine.Error
	if errors.As(err, &e) {
		return (*bulk.Fault)(e)
	}
	return err
}

// jobRoutes are the Bulk API's resources below a version.
func (s *Server) jobRoutes() map[string]map[string]handler {
	jobs := &bulk.Jobs{Company: company{s.engine}, Now: s.now}
	all := map[string]map[string]handler{}
	for pattern, methods := range jobs.Routes() {
		all[pattern] = map[string]handler{}
		for method, h := range methods {
			all[pattern][method] = s.signedIn(func(w http.ResponseWriter, c *call) error {
				err := h(w, c.Request, c.user)
				var f *bulk.Fault
				if errors.As(err, &f) {
					return (*engine.Error)(f)
				}
				return err
			})
		}
	}
	return all
}

// maxBodyOf is how much a request may carry.
func maxBodyOf(r *http.Request) int64 {
	if strings.Contains(r.URL.Path, "/jobs/ingest") {
		return bulk.MaxUpload
	}
	return maxBody
}

// row is a record by its paths.
type row struct{ *engine.Record }

func (r row) Value(path []string) (string, any) {
	for _, v := range r.Values {
		if !strings.EqualFold(v.Name, path[0]) {
			continue
		}
		if len(path) == 1 {
			return v.Name, v.Value
		}
		if parent, ok := v.Value.(*engine.Record); ok {
			name, value := row{parent}.Value(path[1:])
			return v.Name + "." + name, value
		}
	}
	return strings.Join(path, "."), nil
}

// searched is the engine as one user searches it.
type searched struct {
	*engine.Engine
	user string
}

func (c searched) Objects() []*org.Object {
	var all []*org.Object
	for _, d := range c.DescribeAll(c.user) {
		all = append(all, seen(d))
	}
	return all
}

func (c searched) Run(text string, q *soql.Query) ([]row, error) {
	result, err := c.Engine.Run(c.user, text, q, false)
	if err != nil {
		return nil, err
	}
	rows := make([]row, len(result.Records))
	for i, r := range result.Records {
		rows[i] = row{r}
	}
	return rows, nil
}

func (s *Server) search(w http.ResponseWriter, c *call) error {
	return s.find(w, c, c.URL.Query().Get("q"))
}

func (s *Server) parameterizedSearch(w http.ResponseWriter, c *call) error {
	asked, err := search.FromURL(c.URL.Query())
	if err != nil {
		return refusal(http.StatusBadRequest, "INVALID_SEARCH", err.Error())
	}
	if c.Method == http.MethodPost {
		if err := read(c, &asked, false); err != nil {
			return err
		}
	}
	return s.find(w, c, asked.String())
}

// find answers a search in SOSL.
func (s *Server) find(w http.ResponseWriter, c *call, text string) error {
	asked, err := search.Parse(text)
	if err != nil {
		err := engine.Misread(text, err)
		var e *engine.Error
		if errors.As(err, &e) {
			e.Code = "MALFORMED_SEARCH"
		}
		return err
	}
	found, err := search.Find(asked, searched{s.engine, c.user})
	if err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteString(`{"searchRecords":[`)
	for i, r := range found {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := writeRecord(&b, c.base, r.Record); err != nil {
			return err
		}
	}
	b.WriteString(`]}`)
	sendJSON(w, http.StatusOK, b.Bytes())
	return nil
}
