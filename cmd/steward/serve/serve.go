// Package serve answers: how does a handler get an address, and how does it end well? It knows how long a server waits
// for its clients, and not what it serves.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/stewardhq/steward"
)

// How long a server waits for others.
const (
	drainTimeout  = 10 * time.Second // for requests under way, when it is told to stop
	headerTimeout = 10 * time.Second // for a request's header
	bodyTimeout   = 20 * time.Second // for a request's body, which is small
	idleTimeout   = 2 * time.Minute  // for a client's next request
)

// Server is an HTTP server on an address of its own.
type Server struct {
	URL    string
	server *http.Server
	failed chan error
}

// On starts to serve on an address; port 0 picks a free one.
func On(address string, handler http.Handler, log *slog.Logger) (*Server, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, steward.Errorf(steward.Unavailable, "%s can't be listened on; stop what uses it already, or choose another with --listen", address).Because(err)
	}
	s := &Server{
		URL: "http://" + l.Addr().String(), failed: make(chan error, 1),
		server: &http.Server{
			Handler: inTime(bodyTimeout, handler), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		},
	}
	go func() { s.failed <- s.server.Serve(l) }()
	return s, nil
}

// inTime gives up on a client that sends its request's body too slowly, signed in or not. The answer may
// take as long as it takes: the limit ends with the body.
func inTime(limit time.Duration, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connection := http.NewResponseController(w)
		if r.ContentLength != 0 && connection.SetReadDeadline(time.Now().Add(limit)) == nil {
			r.Body = timed{r.Body, connection}
		}
		handler.ServeHTTP(w, r)
	})
}

// timed is a request's body that lifts its connection's deadline when it has come to its end.
type timed struct {
	io.ReadCloser
	connection *http.ResponseController
}

func (t timed) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = t.connection.SetReadDeadline(time.Time{}) // which it took before, so it takes it again
	}
	return n, err
}

// Wait serves until ctx ends or the database is lost, and then lets the requests under way come to their end.
func (s *Server) Wait(ctx context.Context, lost <-chan struct{}) error {
	var gone error
	select {
	case err := <-s.failed:
		return fmt.Errorf("serve: %w", err)
	case <-lost:
		gone = steward.Errorf(steward.Unavailable, "the connection to the database broke, so another Steward may have it by now; start this one again")
	case <-ctx.Done():
	}
	return errors.Join(gone, s.Stop(ctx))
}

// Stop takes no more requests and waits for those under way.
func (s *Server) Stop(ctx context.Context) error {
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := s.server.Shutdown(ending); err != nil {
		return errors.Join(s.server.Close(), steward.Errorf(steward.Unavailable,
			"requests were still under way after %s and were cut off; the record says which calls have no known outcome", drainTimeout).Because(err))
	}
	return nil
}
