package sandbox

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const maxDelay = 10 * time.Minute

// Fault is something that goes wrong on purpose, to see how a client takes it. Requests that match
// Method and Path are let pass Skip times, then struck Times times.
//
// A struck request is delayed, and then, in this order of precedence: the connection is closed without
// an answer (HangUp), or Status and Body are the answer, or it is served as if nothing were.
type Fault struct {
	Method  string            `json:"method,omitempty"` // "" for any
	Path    string            `json:"path"`             // prefix of the path, without doubled slashes
	Skip    int               `json:"skip,omitempty"`   // matching requests to let pass first
	Times   int               `json:"times,omitempty"`  // matching requests to strike; 0 for all
	Delay   int               `json:"delay_ms,omitempty"`
	Status  int               `json:"status,omitempty"`
	Headers map[string]string `json:"headers,omitempty"` // of the answer with Status
	Body    string            `json:"body,omitempty"`    // "" for what Salesforce sends with Status
	HangUp  string            `json:"hang_up,omitempty"` // "before" or "after" doing what was asked
}

type faults struct {
	mu   sync.Mutex
	list []Fault
}

// Fail makes requests go wrong from now on. It refuses a fault that makes no sense.
func (s *Server) Fail(f Fault) error {
	switch {
	case !strings.HasPrefix(f.Path, "/"):
		return refusal(http.StatusBadRequest, "INVALID_FAULT", "path must start with /")
	case f.Skip < 0 || f.Times < 0 || f.Delay < 0 || time.Duration(f.Delay)*time.Millisecond > maxDelay:
		return refusal(http.StatusBadRequest, "INVALID_FAULT", "skip, times and delay_ms must not be negative, and delay_ms not over 600000")
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return refusal(http.StatusBadRequest, "INVALID_FAULT", "status must be from 200 to 599")
	case f.HangUp != "" && f.HangUp != "before" && f.HangUp != "after":
		return refusal(http.StatusBadRequest, "INVALID_FAULT", "hang_up must be before or after")
	case f.Status == 0 && f.HangUp == "" && f.Delay == 0:
		return refusal(http.StatusBadRequest, "INVALID_FAULT", "give a status, a hang_up or a delay_ms")
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.list = append(s.faults.list, f)
	return nil
}

// take finds the fault that strikes a request, counting it down.
func (f *faults) take(r *http.Request) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.list {
		one := &f.list[i]
		if one.Method != "" && !strings.EqualFold(one.Method, r.Method) || !strings.HasPrefix(r.URL.Path, one.Path) {
			continue
		}
		if one.Skip > 0 {
			one.Skip--
			continue
		}
		struck := *one
		if one.Times == 1 {
			f.list = append(f.list[:i], f.list[i+1:]...)
		} else if one.Times > 1 {
			one.Times--
		}
		return struck, true
	}
	return Fault{}, false
}

// strike lets a fault act. It says whether the request has been answered; where not, the request is to be
// served to the writer it gives.
func (f *faults) strike(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, bool) {
	fault, ok := f.take(r)
	if !ok {
		return w, false
	}
	if fault.Delay > 0 {
		// A client that gives up is noticed only once its request has been read.
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		timer := time.NewTimer(time.Duration(fault.Delay) * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	switch {
	case fault.HangUp == "before":
		panic(http.ErrAbortHandler)
	case fault.HangUp == "after":
		return &lostReply{w.Header().Clone()}, false
	case fault.Status == 0:
		return w, false
	}
	for name, value := range fault.Headers {
		w.Header().Set(name, value)
	}
	if fault.Body != "" {
		if w.Header().Get("Content-Type") == "" {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
		}
		w.WriteHeader(fault.Status)
		_, _ = w.Write([]byte(fault.Body))
		return w, true
	}
	fail(w, refusal(fault.Status, faultCode(fault.Status), "A fault set by the sandbox's administrator"))
	return w, true
}

// faultCode is the code that Salesforce most often sends with a status.
func faultCode(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "INVALID_SESSION_ID"
	case http.StatusForbidden:
		return "INSUFFICIENT_ACCESS"
	case http.StatusNotFound:
		return "NOT_FOUND"
	case http.StatusTooManyRequests:
		return "REQUEST_LIMIT_EXCEEDED"
	case http.StatusServiceUnavailable:
		return "SERVER_UNAVAILABLE"
	}
	return "UNKNOWN_EXCEPTION"
}

// lostReply takes an answer that never arrives.
type lostReply struct{ header http.Header }

func (l *lostReply) Header() http.Header         { return l.header }
func (l *lostReply) Write(b []byte) (int, error) { return len(b), nil }
func (l *lostReply) WriteHeader(int)             {}

// hangUp closes the connection. net/http knows this panic and keeps quiet about it.
func (l *lostReply) hangUp() { panic(http.ErrAbortHandler) }

func (s *Server) administers(c *call) error {
	if s.engine.Administers(c.user) {
		return nil
	}
	return refusal(http.StatusForbidden, "INSUFFICIENT_ACCESS", "Only the sandbox's administrator sets faults")
}

func (s *Server) listFaults(w http.ResponseWriter, c *call) error {
	if err := s.administers(c); err != nil {
		return err
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	send(w, http.StatusOK, append([]Fault{}, s.faults.list...))
	return nil
}

func (s *Server) addFault(w http.ResponseWriter, c *call) error {
	var f Fault
	if err := s.administers(c); err != nil {
		return err
	}
	if err := read(c, &f, true); err != nil {
		return err
	}
	if err := s.Fail(f); err != nil {
		return err
	}
	send(w, http.StatusCreated, f)
	return nil
}

func (s *Server) clearFaults(w http.ResponseWriter, c *call) error {
	if err := s.administers(c); err != nil {
		return err
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.list = nil
	w.WriteHeader(http.StatusNoContent)
	return nil
}
