package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/stewardhq/steward/internal/sandbox/engine"
)

const (
	minBatch   = 200
	maxBatch   = 2000
	maxCursors = 10 // a user's results that wait to be paged; the oldest goes first
)

// cursors are query results of which pages are left to fetch. A result is as of its query.
type cursors struct {
	mu   sync.Mutex
	next int
	open []cursor // oldest first
}

type cursor struct {
	id     string
	user   string
	result *engine.Result
}

// keep remembers a user's result.
func (c *cursors) keep(user string, result *engine.Result) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	id := fmt.Sprintf("0r8%012d", c.next)
	c.open = append(c.open, cursor{id, user, result})
	oldest, mine := 0, 0
	for i := len(c.open) - 1; i >= 0; i-- {
		if c.open[i].user == user {
			oldest, mine = i, mine+1
		}
	}
	if mine > maxCursors {
		c.open = append(c.open[:oldest], c.open[oldest+1:]...)
	}
	return id
}

// find gives a user's own result, nil for what is unknown, dropped or somebody else's.
func (c *cursors) find(user, id string) *engine.Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, open := range c.open {
		if open.id == id && open.user == user {
			return open.result
		}
	}
	return nil
}

func (s *Server) query(w http.ResponseWriter, c *call) error { return s.ask(w, c, c.engine.Query) }

func (s *Server) queryAll(w http.ResponseWriter, c *call) error {
	return s.ask(w, c, c.engine.QueryAll)
}

// ask sends the first page of what a query finds.
func (s *Server) ask(w http.ResponseWriter, c *call, find func(user, text string) (*engine.Result, error)) error {
	text := c.URL.Query().Get("q")
	if strings.TrimSpace(text) == "" {
		return refusal(http.StatusBadRequest, "MALFORMED_QUERY", "The parameter q must hold a SOQL query")
	}
	result, err := find(c.user, text)
	if err != nil {
		return err
	}
	if c.URL.Query().Get("columns") == "true" {
		return columns(w, c, text)
	}
	id := ""
	if len(result.Records) > batchSize(c) {
		id = s.cursors.keep(c.user, result)
	}
	return s.page(w, c, result, id, 0)
}

// queryMore answers a nextRecordsUrl: the cursor's id and how many rows have been sent.
func (s *Server) queryMore(w http.ResponseWriter, c *call) error {
	id, sent, _ := strings.Cut(c.PathValue("locator"), "-")
	from, err := strconv.Atoi(sent)
	result := s.cursors.find(c.user, id)
	if result == nil || err != nil || from < 0 || from > len(result.Records) {
		return refusal(http.StatusBadRequest, "INVALID_QUERY_LOCATOR", "invalid query locator")
	}
	return s.page(w, c, result, id, from)
}

// page sends a batch of a result.
func (s *Server) page(w http.ResponseWriter, c *call, result *engine.Result, id string, from int) error {
	to := min(from+batchSize(c), len(result.Records))
	next := ""
	if to < len(result.Records) {
		next = fmt.Sprintf("%s/query/%s-%d", c.base, id, to)
	}
	var b bytes.Buffer
	if err := writeResult(&b, c.base, result.Total, result.Records[from:to], next); err != nil {
		return err
	}
	sendJSON(w, http.StatusOK, b.Bytes())
	return nil
}

// batchSize is what the client asks for within Salesforce's bounds.
func batchSize(c *call) int {
	for _, option := range strings.Split(c.Header.Get("Sforce-Query-Options"), ",") {
		name, value, _ := strings.Cut(option, "=")
		if n, err := strconv.Atoi(strings.TrimSpace(value)); err == nil && strings.EqualFold(strings.TrimSpace(name), "batchSize") {
			return min(max(n, minBatch), maxBatch)
		}
	}
	return maxBatch
}

func writeResult(b *bytes.Buffer, base string, total int, records []*engine.Record, next string) error {
	fmt.Fprintf(b, `{"totalSize":%d,"done":%t`, total, next == "")
	if next != "" {
		fmt.Fprintf(b, `,"nextRecordsUrl":%q`, next)
	}
	b.WriteString(`,"records":[`)
	for i, r := range records {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := writeRecord(b, base, r); err != nil {
			return err
		}
	}
	b.WriteString(`]}`)
	return nil
}

// writeRecord writes the members in the order in which they were asked for.
func writeRecord(b *bytes.Buffer, base string, r *engine.Record) error {
	fmt.Fprintf(b, `{"attributes":{"type":%q`, r.Type)
	if r.ID != "" {
		fmt.Fprintf(b, `,"url":%q`, base+"/sobjects/"+r.Type+"/"+r.ID)
	}
	b.WriteByte('}')
	for _, v := range r.Values {
		fmt.Fprintf(b, `,%q:`, v.Name)
		var err error
		switch value := v.Value.(type) {
		case *engine.Record:
			err = writeRecord(b, base, value)
		case *engine.Result:
			err = writeResult(b, base, value.Total, value.Records, "")
		default:
			var plain []byte
			plain, err = json.Marshal(value)
			b.Write(plain)
		}
		if err != nil {
			return fmt.Errorf("field %s: %w", v.Name, err)
		}
	}
	b.WriteByte('}')
	return nil
}
