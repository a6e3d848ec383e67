package sandbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/stewardhq/steward/internal/sandbox/engine"
	"github.com/stewardhq/steward/internal/sandbox/metadata"
	"github.com/stewardhq/steward/internal/sandbox/org"
	"github.com/stewardhq/steward/internal/soql"
)

func (s *Server) describeGlobal(w http.ResponseWriter, c *call) error {
	objects := []metadata.Summary{}
	for _, d := range c.engine.DescribeAll(c.user) {
		objects = append(objects, metadata.Summarise(c.base, seen(d), d.Access))
	}
	return s.sendSchema(w, c, map[string]any{"encoding": "UTF-8", "maxBatchSize": minBatch, "sobjects": objects})
}

func (s *Server) basics(w http.ResponseWriter, c *call) error {
	d, err := c.engine.Describe(c.user, c.PathValue("object"))
	if err != nil {
		return err
	}
	items, err := c.touched(d, maxRecent)
	if err != nil {
		return err
	}
	send(w, http.StatusOK, map[string]any{"objectDescribe": metadata.Summarise(c.base, seen(d), d.Access), "recentItems": items})
	return nil
}

func (s *Server) describe(w http.ResponseWriter, c *call) error {
	d, err := c.engine.Describe(c.user, c.PathValue("object"))
	if err != nil {
		return err
	}
	return s.sendSchema(w, c, metadata.Describe(c.base, seen(d), d.Access, children(d)))
}

func children(d *engine.Description) (all []metadata.Child) {
	for _, ch := range d.Child {
		all = append(all, metadata.Child(ch))
	}
	return all
}

// columns tells what a query selects, where its rows were asked for before.
func columns(w http.ResponseWriter, c *call, text string) error {
	q, err := soql.Parse(text)
	if err != nil {
		return engine.Misread(text, err)
	}
	schema := metadata.Schema(func(name string) (*org.Object, []metadata.Child) {
		d, err := c.engine.Describe(c.user, name)
		if err != nil {
			return nil, nil
		}
		return seen(d), children(d)
	})
	send(w, http.StatusOK, schema.Columns(q))
	return nil
}

// sendSchema sends what changes only with the schema or the user's permissions: 304 to who has it already.
func (s *Server) sendSchema(w http.ResponseWriter, c *call, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	sum := sha256.Sum256(b)
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sum[:12]))
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	http.ServeContent(w, c.Request, "", s.today, bytes.NewReader(b))
	return nil
}
