// Package bulk answers: how do many records go in and out as CSV? It keeps the jobs of Salesforce's Bulk
// API 2.0; it doesn't know how records are kept, or who may do what with them.
package bulk

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stewardhq/steward/internal/sandbox/org"
)

// The limits of this sandbox. Salesforce's own are 150 MB of base64 a job, and a week of jobs.
const (
	MaxUpload = 16 << 20 // bytes of one request
	maxJobs   = 50       // of a user
)

// Company is what jobs read and write, each as the user who made it. Its errors are shown as they are.
type Company interface {
	// Query finds what a SOQL text asks for, among deleted records too where deleted is set.
	Query(user, text string, deleted bool) ([]Row, error)
	// Object gives an object by its name in any case, with the fields that the user may read.
	Object(user, name string) (*org.Object, error)
	// Create makes a record of what JSON values say, and gives its id.
	Create(user, object string, values map[string]any) (string, error)
	// Update changes the fields of a record that JSON values name.
	Update(user, object, id string, values map[string]any) error
	// Delete takes a record away.
	Delete(user, object, id string) error
}

// Row is a record that a query found.
type Row interface {
	// Value gives a field, through parents where path has more than one name: how the schema spells the path (as
	// it was asked for where a parent is missing), and nil, a string, bool or float64.
	Value(path []string) (name string, value any)
}

// Fault is a refusal in Salesforce's terms.
type Fault struct {
	Status  int // of the HTTP reply
	Code    string
	Message string
	Fields  []string
}

// Error is how results of jobs tell it: CODE:message:fields --.
func (f *Fault) Error() string {
	return f.Code + ":" + f.Message + ":" + strings.TrimPrefix(strings.Join(f.Fields, ", ")+" --", " ")
}

func refuse(code, format string, args ...any) *Fault {
	return &Fault{Status: http.StatusBadRequest, Code: code, Message: fmt.Sprintf(format, args...)}
}

// The states of a job. The request that asks for work is answered uploadComplete before the work begins, and served
// until it is done: whoever looks meanwhile finds the job inProgress, and nothing goes on behind the server's back.
const (
	open           = "Open"
	uploadComplete = "UploadComplete"
	inProgress     = "InProgress"
	jobComplete    = "JobComplete"
	failed         = "Failed"
	aborted        = "Aborted"
)

// Jobs are everybody's jobs. Their fields are set before the first request.
type Jobs struct {
	Company Company
	Now     func() time.Time // UTC

	mu   sync.Mutex
	made int
	all  []*job // oldest first
}

// job is one job. What changes of it changes under Jobs.mu, the work itself aside: while it is inProgress, only
// who does it reads the upload.
type job struct {
	info
	kind, user string
	upload     []byte
	columns    []string
	rows       [][]string // that a query found
	written    [][]string // records written: id, whether created, then what was uploaded
	refused    [][]string // records refused: id, why, then what was uploaded
}

// info is a job as its owner is shown it.
type info struct {
	ID          string      `json:"id"`
	Operation   string      `json:"operation"`
	Object      string      `json:"object"`
	ExternalID  string      `json:"externalIdFieldName,omitempty"`
	CreatedBy   string      `json:"createdById"`
	Created     string      `json:"createdDate"`
	Modified    string      `json:"systemModstamp"`
	State       string      `json:"state"`
	Concurrency string      `json:"concurrencyMode"`
	ContentType string      `json:"contentType"`
	APIVersion  json.Number `json:"apiVersion"`
	JobType     string      `json:"jobType"`
	ContentURL  string      `json:"contentUrl,omitempty"`
	LineEnding  string      `json:"lineEnding"`
	Delimiter   string      `json:"columnDelimiter"`
	Error       string      `json:"errorMessage,omitempty"`
	Processed   int         `json:"numberRecordsProcessed"`
	Failed      any         `json:"numberRecordsFailed,omitempty"` // an int of an ingest job, else nil
}

// delimiters are the characters between columns by their names.
var delimiters = map[string]rune{"BACKQUOTE": '`', "CARET": '^', "COMMA": ',', "PIPE": '|', "SEMICOLON": ';', "TAB": '\t'}

// Handler answers a request of a user who is signed in. Its error becomes the answer.
type Handler func(w http.ResponseWriter, r *http.Request, user string) error

// Routes are the resources below /services/data/{version}, and what answers each method.
func (j *Jobs) Routes() map[string]map[string]Handler {
	of := func(kind string, h func(*job, http.ResponseWriter, *http.Request) error, states ...string) Handler {
		return func(w http.ResponseWriter, r *http.Request, user string) error {
			one := j.find(kind, user, r.PathValue("id"))
			if one == nil {
				return &Fault{Status: http.StatusNotFound, Code: "NOT_FOUND", Message: "The requested resource does not exist"}
			}
			if states != nil && !slices.Contains(states, j.look(one).State) {
				return refuse("INVALIDJOBSTATE", "This job has no such results while it is %s", j.look(one).State)
			}
			return h(one, w, r)
		}
	}
	done := []string{jobComplete, failed, aborted} // in which nothing of a job changes any more
	return map[string]map[string]Handler{
		"/jobs/query":                          {"GET": j.list("query"), "POST": j.query},
		"/jobs/query/{id}":                     {"GET": of("query", j.show), "PATCH": of("query", j.change), "DELETE": of("query", j.remove)},
		"/jobs/query/{id}/results":             {"GET": of("query", j.page, jobComplete)},
		"/jobs/ingest":                         {"GET": j.list("ingest"), "POST": j.ingest},
		"/jobs/ingest/{id}":                    {"GET": of("ingest", j.show), "PATCH": of("ingest", j.change), "DELETE": of("ingest", j.remove)},
		"/jobs/ingest/{id}/batches":            {"PUT": of("ingest", j.put)},
		"/jobs/ingest/{id}/successfulResults":  {"GET": of("ingest", j.successful, done...)},
		"/jobs/ingest/{id}/failedResults":      {"GET": of("ingest", j.failed, done...)},
		"/jobs/ingest/{id}/unprocessedrecords": {"GET": of("ingest", j.unprocessed, done...)},
	}
}

// find gives a user's own job; nil for what is unknown, deleted or somebody else's.
func (j *Jobs) find(kind, user, id string) *job {
	j.mu.Lock()
	defer j.mu.Unlock()
	full, _ := org.CanonicalID(id)
	for _, one := range j.all {
		if one.kind == kind && one.user == user && one.ID == full {
			return one
		}
	}
	return nil
}

// request is what a client says of a job to be.
type request struct {
	Operation   string `json:"operation"`
	Object      string `json:"object"`
	Query       string `json:"query"`
	ExternalID  string `json:"externalIdFieldName"`
	ContentType string `json:"contentType"`
	LineEnding  string `json:"lineEnding"`
	Delimiter   string `json:"columnDelimiter"`
}

// start makes a job of what a client asks for. It isn't kept yet.
func (j *Jobs) start(kind, user string, r *http.Request, ask request) (*job, error) {
	stamp := j.Now().Format(org.DateTimeLayout)
	one := &job{kind: kind, user: user, info: info{
		Operation: ask.Operation, Object: ask.Object, ExternalID: ask.ExternalID, CreatedBy: user, Created: stamp, Modified: stamp,
		Concurrency: "Parallel", ContentType: "CSV", APIVersion: json.Number(strings.TrimPrefix(r.PathValue("version"), "v")),
		JobType:    map[string]string{"query": "V2Query", "ingest": "V2Ingest"}[kind],
		LineEnding: strings.ToUpper(cmp.Or(ask.LineEnding, "LF")), Delimiter: strings.ToUpper(cmp.Or(ask.Delimiter, "COMMA")),
	}}
	switch {
	case one.LineEnding != "LF" && one.LineEnding != "CRLF":
		return nil, refuse("INVALIDJOB", "lineEnding must be LF or CRLF")
	case delimiters[one.Delimiter] == 0:
		return nil, refuse("INVALIDJOB", "columnDelimiter must be BACKQUOTE, CARET, COMMA, PIPE, SEMICOLON or TAB")
	case ask.ContentType != "" && !strings.EqualFold(ask.ContentType, "CSV"):
		return nil, refuse("INVALIDJOB", "contentType must be CSV")
	}
	return one, nil
}

// keep adds a job to its user's, with a state and an id, and gives it as it is then. The user's oldest finished job makes room.
func (j *Jobs) keep(one *job, state string) (info, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	oldest, mine := -1, 0
	for i, other := range slices.Backward(j.all) {
		if other.user == one.user {
			mine++
			if other.done() {
				oldest = i
			}
		}
	}
	if mine >= maxJobs {
		if oldest < 0 {
			return info{}, refuse("LIMIT_EXCEEDED", "This sandbox keeps %d jobs of a user: finish or abort some", maxJobs)
		}
		j.all = slices.Delete(j.all, oldest, oldest+1)
	}
	j.made++
	one.ID, _ = org.CanonicalID(fmt.Sprintf("750%012d", j.made))
	one.State = state
	if one.kind == "ingest" {
		one.Failed, one.ContentURL = 0, fmt.Sprintf("services/data/v%s/jobs/ingest/%s/batches", one.APIVersion, one.ID)
	}
	j.all = append(j.all, one)
	return one.info, nil
}

func (one *job) done() bool {
	return one.State == jobComplete || one.State == failed || one.State == aborted
}

// look gives a job as it is now. A query has been answered by the time that somebody looks.
func (j *Jobs) look(one *job) info {
	j.mu.Lock()
	defer j.mu.Unlock()
	return one.look()
}

func (one *job) look() info {
	if one.kind == "query" && one.State == uploadComplete {
		one.State, one.Processed = jobComplete, len(one.rows)
	}
	return one.info
}

func (j *Jobs) show(one *job, w http.ResponseWriter, _ *http.Request) error {
	return send(w, j.look(one))
}

func (j *Jobs) list(kind string) Handler {
	return func(w http.ResponseWriter, _ *http.Request, user string) error {
		page := struct {
			Done    bool    `json:"done"`
			Records []info  `json:"records"`
			Next    *string `json:"nextRecordsUrl"`
		}{Done: true, Records: []info{}}
		j.mu.Lock()
		for _, one := range j.all {
			if one.kind == kind && one.user == user {
				page.Records = append(page.Records, one.look())
			}
		}
		j.mu.Unlock()
		return send(w, page)
	}
}

// change takes the two states that a client may set.
func (j *Jobs) change(one *job, w http.ResponseWriter, r *http.Request) error {
	var to struct {
		State string `json:"state"`
	}
	if err := decode(r.Body, &to); err != nil {
		return err
	}
	j.mu.Lock()
	was := one.State
	switch {
	case to.State == aborted && (was == open || one.kind == "query" && was == uploadComplete):
		one.State, one.rows = aborted, nil
	case to.State == uploadComplete && one.kind == "ingest" && was == open:
		one.State = inProgress
	default:
		j.mu.Unlock()
		return refuse("INVALIDJOBSTATE", "A job of this kind that is %s can't be made %q", was, to.State)
	}
	one.Modified = j.Now().Format(org.DateTimeLayout)
	j.mu.Unlock()
	if to.State == aborted {
		return j.show(one, w, r)
	}
	return j.load(one, w)
}

func (j *Jobs) remove(one *job, w http.ResponseWriter, _ *http.Request) error {
	j.look(one)
	j.mu.Lock()
	defer j.mu.Unlock()
	if !one.done() {
		return refuse("INVALIDJOBSTATE", "Deleting not Closed or Aborted Job not allowed")
	}
	j.all = slices.DeleteFunc(j.all, func(other *job) bool { return other == one })
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// put takes the CSV of an ingest job, once.
func (j *Jobs) put(one *job, w http.ResponseWriter, r *http.Request) error {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "text/csv" {
		return &Fault{Status: http.StatusUnsupportedMediaType, Code: "UNSUPPORTED_MEDIA_TYPE", Message: "Content-Type header is not text/csv"}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return unread(err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case one.State != open:
		return refuse("INVALIDJOBSTATE", "A job takes data while it is Open; this one is %s", one.State)
	case one.upload != nil:
		return refuse("CLIENT_INPUT_ERROR", "Found multiple contents for job: <%s>, please 'Close' / 'Abort' / 'Delete' the current Job then create a new Job and make sure you only do 'PUT' once on a given Job.", one.ID)
	}
	one.upload = body
	w.WriteHeader(http.StatusCreated)
	return nil
}

// page sends records that a query found, from a locator on.
func (j *Jobs) page(one *job, w http.ResponseWriter, r *http.Request) error {
	number := func(text, code string, least, unset int) (int, error) {
		n, err := strconv.Atoi(text)
		switch {
		case text == "":
			return unset, nil
		case err != nil || n < least:
			return 0, refuse(code, "%q is no such number", text)
		}
		return n, nil
	}
	from, err := number(r.URL.Query().Get("locator"), "INVALID_QUERY_LOCATOR", 0, 0)
	if err != nil {
		return err
	}
	most, err := number(r.URL.Query().Get("maxRecords"), "INVALID_PARAMETER", 1, len(one.rows))
	if err != nil {
		return err
	}
	from = min(from, len(one.rows))
	to, next := from+min(most, len(one.rows)-from), "null"
	if to < len(one.rows) {
		next = strconv.Itoa(to)
	}
	w.Header().Set("Sforce-Locator", next)
	w.Header().Set("Sforce-NumberOfRecords", strconv.Itoa(to-from))
	return one.send(w, one.columns, one.rows[from:to])
}

func (j *Jobs) successful(one *job, w http.ResponseWriter, _ *http.Request) error {
	return one.send(w, append([]string{"sf__Id", "sf__Created"}, one.columns...), one.written)
}

func (j *Jobs) failed(one *job, w http.ResponseWriter, _ *http.Request) error {
	return one.send(w, append([]string{"sf__Id", "sf__Error"}, one.columns...), one.refused)
}

// unprocessed sends what of an upload was never tried: all of it or nothing.
func (j *Jobs) unprocessed(one *job, w http.ResponseWriter, _ *http.Request) error {
	if one.upload == nil {
		return one.send(w, one.columns, nil)
	}
	return write(w, "text/csv", one.upload)
}

// ingest makes a job of a JSON body; or of a multipart one with the job's parts "job" and "content", which is
// worked off at once.
func (j *Jobs) ingest(w http.ResponseWriter, r *http.Request, user string) error {
	var ask request
	var upload []byte
	media, parameters, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	whole := media == "multipart/form-data"
	if whole {
		parts := multipart.NewReader(r.Body, parameters["boundary"])
		for _, name := range []string{"job", "content"} {
			part, err := parts.NextPart()
			switch {
			case err != nil:
				return unread(err)
			case part.FormName() != name:
				return refuse("INVALID_MULTIPART_REQUEST", "The parts must be job and content, in this order")
			case name == "job":
				if err := decode(part, &ask); err != nil {
					return err
				}
			default:
				if upload, err = io.ReadAll(part); err != nil {
					return unread(err)
				}
			}
		}
	} else if err := decode(r.Body, &ask); err != nil {
		return err
	}
	one, err := j.start("ingest", user, r, ask)
	if err != nil {
		return err
	}
	if err := j.check(one); err != nil {
		return err
	}
	state := open
	if one.upload = upload; whole {
		state = inProgress
	}
	shown, err := j.keep(one, state)
	switch {
	case err != nil:
		return err
	case whole:
		return j.load(one, w)
	}
	return send(w, shown)
}

// decode reads a JSON value.
func decode(from io.Reader, into any) error {
	err := json.NewDecoder(from).Decode(into)
	var large *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &large):
		return unread(err)
	}
	return refuse("JSON_PARSER_ERROR", "The request body is not the JSON that is expected here: %v", err)
}

func unread(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return &Fault{Status: http.StatusRequestEntityTooLarge, Code: "REQUEST_ENTITY_TOO_LARGE", Message: fmt.Sprintf("This sandbox takes at most %d bytes at once", MaxUpload)}
	}
	return refuse("INVALID_MULTIPART_REQUEST", "The request can't be read to its end")
}

func send(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("job: %w", err)
	}
	return write(w, "application/json;charset=UTF-8", b)
}

// write answers, at once and wholly. A client that has gone can't be told.
func write(w http.ResponseWriter, media string, b []byte) error {
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b)
	_ = http.NewResponseController(w).Flush()
	return nil
}
