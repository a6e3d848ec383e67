// Package sandbox answers: what would Salesforce say? It serves an invented company over Salesforce's
// REST API, to try Steward and to test against; it doesn't know Steward.
package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stewardhq/steward/internal/sandbox/engine"
	"github.com/stewardhq/steward/internal/sandbox/login"
	"github.com/stewardhq/steward/internal/sandbox/org"
)

const (
	oldestVersion = 50
	newestVersion = 67
	maxBody       = 1 << 20 // bytes
	dailyAPICalls = 15000
)

// User is somebody who can sign in, with the token to do it.
type User = engine.User

// Server is an org behind Salesforce's REST API, versions 50.0 to 67.0. It is safe for concurrent use;
// its fields are set before the first request. Requests over plain HTTP are served: the people are
// invented and the tokens guessable by who knows the seed.
type Server struct {
	// Now is the wall clock, of which only the time of day counts: the org lives in the day it was made
	// for. Without one it is always noon.
	Now func() time.Time
	// Limit is how many API calls the org answers before it refuses with REQUEST_LIMIT_EXCEEDED. They
	// are never given back.
	Limit int

	// Rand makes sessions and codes. Without it nobody can sign in other than with the tokens of Users.
	Rand io.Reader
	// Apps may sign people in, besides login.App.
	Apps []login.Client

	engine   *engine.Engine
	desk     login.Desk
	today    time.Time
	mux      *http.ServeMux
	cursors  cursors
	faults   faults
	calls    atomic.Int64 // that count against Limit
	requests atomic.Int64 // all
}

// New serves an org, whose rows are the server's from now on.
func New(o *org.Org) *Server {
	s := &Server{Limit: dailyAPICalls, today: o.Today, mux: http.NewServeMux()}
	s.engine = engine.New(o, s.now)
	for pattern, methods := range s.routes() {
		s.mux.Handle(pattern, s.route(methods))
	}
	for pattern, methods := range s.recordRoutes() {
		for method, h := range methods {
			methods[method] = s.signedIn(h)
		}
		s.mux.Handle("/services/data/{version}"+pattern, s.route(methods))
	}
	for pattern, methods := range s.jobRoutes() {
		s.mux.Handle("/services/data/{version}"+pattern, s.route(methods))
	}
	s.desk = login.Desk{Org: s.engine.OrgID(), Users: s.people, Clients: func() []login.Client { return s.Apps }, Lasting: func(token string) bool { return s.engine.SignedIn(token) != "" }, Now: s.now, Rand: chance{s}}
	for pattern, answer := range s.desk.Routes() {
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if s.Rand == nil {
				fail(w, refusal(http.StatusServiceUnavailable, "LOGIN_DISABLED", "This sandbox has no randomness to sign anybody in with"))
				return
			}
			answer(w, r)
		})
	}
	return s
}

// chance reads what Server.Rand is set to after New.
type chance struct{ *Server }

func (c chance) Read(b []byte) (int, error) { return c.Rand.Read(b) }

// people are who can sign in.
func (s *Server) people() []login.User {
	var all []login.User
	for _, u := range s.engine.Users() {
		all = append(all, login.User{ID: u.ID, Username: u.Username, Name: u.Name, Role: u.Role})
	}
	return all
}

// now is the org's day with the wall clock's time of day, in UTC.
func (s *Server) now() time.Time {
	y, m, d := s.today.Date()
	if s.Now == nil {
		return time.Date(y, m, d, 12, 0, 0, 0, time.UTC)
	}
	wall := s.Now().UTC()
	return time.Date(y, m, d, wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), time.UTC)
}

// Users lists who can sign in: administrators first, then managers, then representatives.
func (s *Server) Users() []User { return s.engine.Users() }

// handler answers one request. An error it returns becomes the answer.
type handler func(w http.ResponseWriter, c *call) error

// call is a request and who makes it.
type call struct {
	*http.Request
	engine *engine.Engine // what to act on: the org, or a transaction on it
	user   string         // "" where nobody need be signed in
	base   string         // "/services/data/v62.0", empty outside of it
}

func (s *Server) routes() map[string]map[string]handler {
	const data = "/services/data/{version}"
	return map[string]map[string]handler{
		"/":                           {},
		"/{$}":                        {"GET": s.welcome},
		"/services/data":              {"GET": s.versions},
		data + "/search":              {"GET": s.signedIn(s.search)},
		data + "/parameterizedSearch": {"GET": s.signedIn(s.parameterizedSearch), "POST": s.signedIn(s.parameterizedSearch)},
		"/services/oauth2/userinfo":   {"GET": s.signedIn(s.userInfo), "POST": s.signedIn(s.userInfo)},
		"/id/{org}/{user}":            {"GET": s.signedIn(s.identity)},
		"/sandbox/faults": {
			"GET": s.signedIn(s.listFaults), "POST": s.signedIn(s.addFault), "DELETE": s.signedIn(s.clearFaults),
		},
	}
}

// ServeHTTP takes paths as clients write them, with slashes doubled and at the end.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = r.Clone(r.Context())
	r.URL.Path, r.URL.RawPath = path.Clean("/"+r.URL.Path), ""
	r.Body = http.MaxBytesReader(w, r.Body, maxBodyOf(r))
	w.Header().Set("X-SFDC-Request-Id", fmt.Sprintf("TID:%032x", s.requests.Add(1)))
	w.Header().Set("Cache-Control", "no-store")
	if r.URL.Path != "/sandbox/faults" {
		var served bool
		if w, served = s.faults.strike(w, r); served {
			return
		}
	}
	s.mux.ServeHTTP(w, r)
	if lost, ok := w.(*lostReply); ok {
		lost.hangUp()
	}
}

// route picks the handler of the request's method and turns its error into Salesforce's form.
func (s *Server) route(methods map[string]handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{Request: r, engine: s.engine}
		if p, within := w.(*part); within {
			c.user, c.engine = p.of.user, p.of.engine
		}
		if version := r.PathValue("version"); version != "" {
			if !knownVersion(version) {
				fail(w, refusal(http.StatusNotFound, "NOT_FOUND", "The requested resource does not exist"))
				return
			}
			c.base = "/services/data/" + version
		}
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		h, ok := methods[method]
		switch {
		case len(methods) == 0:
			fail(w, refusal(http.StatusNotFound, "NOT_FOUND", "The requested resource does not exist"))
		case !ok:
			fail(w, refusal(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "HTTP Method '"+r.Method+"' not allowed. Allowed are "+allowed(methods)))
		default:
			if err := h(w, c); err != nil {
				fail(w, err)
			}
		}
	})
}

func allowed(methods map[string]handler) string {
	var names []string
	for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		if methods[m] != nil {
			names = append(names, m)
		}
	}
	return strings.Join(names, ", ")
}

func knownVersion(v string) bool {
	digits, ok := strings.CutSuffix(strings.TrimPrefix(v, "v"), ".0")
	n, err := strconv.Atoi(digits)
	return ok && err == nil && v == fmt.Sprintf("v%d.0", n) && n >= oldestVersion && n <= newestVersion
}

// signedIn answers only who brings a user's token, and counts the call against the org's limit.
func (s *Server) signedIn(h handler) handler {
	return func(w http.ResponseWriter, c *call) error {
		if c.user != "" { // as part of a composite request
			return h(w, c)
		}
		kind, token, _ := strings.Cut(c.Header.Get("Authorization"), " ")
		if !strings.EqualFold(kind, "Bearer") && !strings.EqualFold(kind, "OAuth") {
			token = ""
		}
		if c.PathValue("org") != "" && token == "" { // the identity URL takes it as a parameter too
			token = c.URL.Query().Get("oauth_token")
		}
		token = strings.TrimSpace(token)
		if c.user = s.desk.User(token); c.user == "" {
			c.user = s.engine.SignedIn(token)
		}
		if c.user == "" {
			return refusal(http.StatusUnauthorized, "INVALID_SESSION_ID", "Session expired or invalid")
		}
		n := s.calls.Add(1)
		w.Header().Set("Sforce-Limit-Info", fmt.Sprintf("api-usage=%d/%d", min(n, int64(s.Limit)), s.Limit))
		if n > int64(s.Limit) {
			return refusal(http.StatusForbidden, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
		}
		return h(w, c)
	}
}

func refusal(status int, code, message string) *engine.Error {
	return &engine.Error{Status: status, Code: code, Message: message}
}

// complaint is a refusal as it is sent: the one member of an array.
type complaint struct {
	Message   string   `json:"message"`
	ErrorCode string   `json:"errorCode"`
	Fields    []string `json:"fields,omitempty"`
}

func shown(e *engine.Error) []complaint { return []complaint{{e.Message, e.Code, e.Fields}} }

// fail writes an error as the array that Salesforce sends. What isn't a refusal is told without its text.
func fail(w http.ResponseWriter, err error) {
	var e *engine.Error
	if !errors.As(err, &e) {
		e = refusal(http.StatusInternalServerError, "UNKNOWN_EXCEPTION", "An unexpected error occurred.")
	}
	send(w, e.Status, shown(e))
}

// send writes a reply. Once the status is out, nothing more can be said about a failure to write.
func send(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`[{"message":"An unexpected error occurred.","errorCode":"UNKNOWN_EXCEPTION"}]`)
	}
	sendJSON(w, status, b)
}

func sendJSON(w http.ResponseWriter, status int, b []byte) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// read decodes a request's JSON body, once and wholly.
func read(c *call, into any, strict bool) error {
	if t := c.Header.Get("Content-Type"); t != "" {
		if media, _, err := mime.ParseMediaType(t); err != nil || media != "application/json" {
			return refusal(http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", "Content-Type header is not application/json")
		}
	}
	dec := json.NewDecoder(c.Body)
	if strict {
		dec.DisallowUnknownFields()
	}
	err := dec.Decode(into)
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.New("something follows the JSON value")
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return refusal(http.StatusRequestEntityTooLarge, "REQUEST_ENTITY_TOO_LARGE", fmt.Sprintf("The request is larger than %d bytes", maxBody))
	}
	return refusal(http.StatusBadRequest, "JSON_PARSER_ERROR", "The request body is not the JSON that is expected here: "+err.Error())
}
