package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/stewardhq/steward/internal/sandbox/engine"
)

const maxParts = 25 // requests in a composite one

// composed is one request in a composite one. Its url, headers and body may refer to answers before it: @{reference.path}.
type composed struct {
	Method    string            `json:"method"`
	URL       string            `json:"url"`
	Reference string            `json:"referenceId"`
	Headers   map[string]string `json:"httpHeaders"`
	Body      json.RawMessage   `json:"body"`
}

// part is the answer to a composed request, and as a writer how the request's handler knows for whom and on what to act.
type part struct {
	Body      any               `json:"body"`
	Headers   map[string]string `json:"httpHeaders"`
	Status    int               `json:"httpStatusCode"`
	Reference string            `json:"referenceId"`

	of      *call // the composite request
	header  http.Header
	written bytes.Buffer
}

func (p *part) Header() http.Header         { return p.header }
func (p *part) Write(b []byte) (int, error) { return p.written.Write(b) }
func (p *part) WriteHeader(status int)      { p.Status = status }

var (
	referenceName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)
	reference     = regexp.MustCompile(`@\{([A-Za-z]\w*)((?:\.\w+|\[\d+\])*)\}`)
	member        = regexp.MustCompile(`\w+`)
)

// errRolledBack undoes a transaction whose answer says already what was wrong.
var errRolledBack = errors.New("rolled back")

// composite answers several requests as one call, each able to use what those before it answered.
// Source: "Composite" of the REST API Developer Guide.
func (s *Server) composite(w http.ResponseWriter, c *call) error {
	var ask struct {
		AllOrNone bool       `json:"allOrNone"`
		Requests  []composed `json:"compositeRequest"`
	}
	if err := read(c, &ask, false); err != nil {
		return err
	}
	if n := len(ask.Requests); n == 0 || n > maxParts {
		return refusal(http.StatusBadRequest, "INVALID_INPUT", fmt.Sprintf("compositeRequest must hold 1 to %d subrequests; it holds %d", maxParts, n))
	}
	known := map[string]bool{}
	for _, r := range ask.Requests {
		if !referenceName.MatchString(r.Reference) || known[r.Reference] {
			return refusal(http.StatusBadRequest, "INVALID_INPUT", "Every subrequest needs a referenceId of its own, of letters, digits and underscores: "+r.Reference)
		}
		known[r.Reference] = true
	}
	var parts []*part
	err := c.atomically(ask.AllOrNone, func(c *call) error {
		answers, failed := map[string]any{}, false
		for _, r := range ask.Requests {
			p := s.compose(c, r, answers)
			parts, failed = append(parts, p), failed || p.Status >= 400
			if ask.AllOrNone && failed {
				return errRolledBack
			}
			answers[r.Reference] = p.Body
		}
		return nil
	})
	if errors.Is(err, errRolledBack) {
		halted := refusal(http.StatusBadRequest, "PROCESSING_HALTED", "The transaction was rolled back since another operation in the same transaction failed.")
		for i, r := range ask.Requests {
			if i >= len(parts) {
				parts = append(parts, nil)
			}
			if i != len(parts)-1 || parts[i] == nil {
				parts[i] = refusedPart(r, halted)
			}
		}
		err = nil
	}
	if err != nil {
		return err
	}
	send(w, http.StatusOK, map[string]any{"compositeResponse": parts})
	return nil
}

func refusedPart(r composed, e *engine.Error) *part {
	return &part{Body: shown(e), Headers: map[string]string{}, Status: e.Status, Reference: r.Reference}
}

// compose has one subrequest answered.
func (s *Server) compose(c *call, r composed, answers map[string]any) *part {
	refused := func(message string) *part {
		return refusedPart(r, refusal(http.StatusBadRequest, "PROCESSING_HALTED", message))
	}
	var missing string
	filled := 0 // bytes, which one reference can make many of
	fill := func(text string, write func(any) string) string {
		return reference.ReplaceAllStringFunc(text, func(match string) string {
			at := reference.FindStringSubmatch(match)
			value, ok := follow(answers[at[1]], at[2])
			if !ok && missing == "" {
				missing = fmt.Sprintf("Invalid reference specified. No value for %s found in %s", at[1]+at[2], at[1])
			}
			if filled > maxBody {
				missing = "The subrequest is too large with its references resolved"
				return ""
			}
			text := write(value)
			filled += len(text)
			return text
		})
	}
	plain := func(v any) string { return strings.Trim(string(marshal(v)), `"`) }
	target := fill(r.URL, func(v any) string { return url.QueryEscape(plain(v)) })
	var body any
	if len(r.Body) > 0 {
		if err := json.Unmarshal(r.Body, &body); err != nil {
			return refused("The body can't be read")
		}
		body = replaced(body, func(text string) any {
			if at := reference.FindStringSubmatch(text); at != nil && at[0] == text {
				value, ok := follow(answers[at[1]], at[2])
				switch value.(type) {
				case string, float64, bool:
					if ok && filled <= maxBody {
						filled += len(plain(value))
						return value // of the type that it has
					}
				}
			}
			return fill(text, plain)
		})
	}
	if missing != "" {
		return refused(missing)
	}
	where, query, _ := strings.Cut(target, "?")
	where = path.Clean("/" + where)
	if resource, within := strings.CutPrefix(where, c.base+"/"); !within || !composable(resource) {
		return refused("A subrequest is for sobjects, query, queryAll or composite/sobjects of the same version, and not for " + where)
	}
	inner, err := http.NewRequestWithContext(c.Context(), strings.ToUpper(r.Method), where, bytes.NewReader(marshal(body)))
	if err != nil {
		return refused("The method or url can't be read")
	}
	inner.URL.RawQuery = query
	for name, value := range r.Headers {
		inner.Header.Set(name, value)
	}
	p := &part{Headers: map[string]string{}, Status: http.StatusOK, Reference: r.Reference, of: c, header: http.Header{}}
	s.mux.ServeHTTP(p, inner)
	if at := p.header.Get("Location"); at != "" {
		p.Headers["Location"] = at
	}
	if p.written.Len() > 0 {
		p.Body = json.RawMessage(p.written.Bytes())
		var answer any
		if json.Unmarshal(p.written.Bytes(), &answer) == nil {
			p.Body = answer
		}
	}
	return p
}

// composable says whether a resource below the version may be asked for in a composite request.
func composable(resource string) bool {
	first, rest, _ := strings.Cut(resource, "/")
	switch first {
	case "sobjects", "query", "queryAll":
		return true
	}
	return first == "composite" && (rest == "sobjects" || strings.HasPrefix(rest, "sobjects/"))
}

// follow finds what a path such as .records[0].Id leads to.
func follow(at any, steps string) (any, bool) {
	for _, step := range member.FindAllString(steps, -1) {
		switch in := at.(type) {
		case map[string]any:
			value, ok := in[step]
			if !ok {
				return nil, false
			}
			at = value
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(in) {
				return nil, false
			}
			at = in[i]
		default:
			return nil, false
		}
	}
	return at, at != nil
}

// replaced is a JSON value with its texts exchanged.
func replaced(v any, text func(string) any) any {
	switch v := v.(type) {
	case string:
		return text(v)
	case []any:
		for i := range v {
			v[i] = replaced(v[i], text)
		}
	case map[string]any:
		for name := range v {
			v[name] = replaced(v[name], text)
		}
	}
	return v
}

// marshal writes what came of JSON.
func marshal(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil
	}
	return bytes.TrimSpace(b.Bytes())
}
