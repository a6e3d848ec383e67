package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/mail"
	"path/filepath"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/show"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/config"
)

// How long a server waits for others.
const (
	drainTimeout  = 10 * time.Second // for requests under way, when it is told to stop
	headerTimeout = 10 * time.Second // for a request's header
	bodyTimeout   = 20 * time.Second // for a request's body, which is small
	idleTimeout   = 2 * time.Minute  // for a client's next request
)

func runInit(ctx context.Context, in *command.Invocation) error {
	server := config.ForServer(in.Env)
	f := in.Flags(in.JSONFlag, server.StoreFlags, server.TodayFlag)
	workspace := f.String("workspace", "", "the workspace's `name`: lower-case letters, digits and dashes")
	admin := f.String("admin", "", "the e-mail `address` of its first administrator")
	if err := in.ParseNone(f); err != nil {
		return err
	}
	if *workspace == "" || *admin == "" {
		return in.Misused("--workspace and --admin are needed")
	}
	if a, err := mail.ParseAddress(*admin); err != nil || a.Address != *admin { // before anything is made
		return in.Misused("--admin is an e-mail address, such as ana@example.com")
	}
	h, err := openHouse(ctx, optionsOf(server, true, in.Logger()))
	if err != nil {
		return err
	}
	ws, token, err := h.Init(ctx, *workspace, *admin)
	if err = errors.Join(err, h.Close()); err != nil {
		return err
	}
	if in.AsJSON {
		return in.JSON(map[string]any{"workspace": ws.ID, "name": ws.Name, "token": token})
	}
	fmt.Fprintf(in.Out, "The workspace %s is in %s, with %s as its administrator.\n", ws.Name, server.Data, terminal.Line(*admin))
	show.Token(in.Terminal, token, nil)
	elsewhere := ""
	if server.Store != "" || server.KeyringStore != "" || server.Objects != "" || server.KeyServer != "" || len(server.KeyringCopies) > 0 {
		elsewhere = " (with the same settings for store, objects and keys as here)"
	}
	fmt.Fprintf(in.Out, "    %s%s\n\nNothing here can be read again without %s. Forgetting somebody replaces it.\n",
		in.Bold("steward serve --data "+server.Data), elsewhere, filepath.Join(server.Data, keeperDir))
	return nil
}

// optionsOf is what a house is opened with as the settings say.
func optionsOf(c config.Server, create bool, log *slog.Logger) storeOptions {
	return storeOptions{Server: c, Create: create, Now: c.Today.Clock(time.Now), Rand: rand.Reader, Log: log}
}

func runServe(ctx context.Context, in *command.Invocation) error {
	server := config.ForServer(in.Env)
	if err := in.ParseNone(in.Flags(in.JSONFlag, server.StoreFlags, server.ListenFlag, server.TodayFlag, server.CheckpointsFlag, server.WitnessFlags, server.WebhookFlag)); err != nil {
		return err
	}
	if err := config.CheckListen(server.Listen); err != nil {
		return err
	}
	log := in.Logger()
	h, err := openHouse(ctx, optionsOf(server, false, log))
	if err != nil {
		return err
	}
	running, err := listen(server.Listen, h.Handler(), log)
	if err != nil {
		return errors.Join(err, h.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resumed := make(chan struct{})
	go func() {
		defer close(resumed)
		if err := h.Resume(ctx); err != nil && ctx.Err() == nil {
			log.Error("an interrupted run could not be carried on", slog.Any("error", err))
		}
	}()
	if in.AsJSON {
		err = in.JSON(map[string]string{"url": running.url})
	} else {
		fmt.Fprintf(in.Out, "Steward serves %s at %s\n", server.Data, in.Bold(running.url))
	}
	if err == nil {
		err = running.wait(ctx, h.lost)
	}
	cancel()  // where the database was lost, nothing may go on either
	<-resumed // which ends with ctx, and uses the house
	log.Info("stopping")
	return errors.Join(err, h.Close())
}

// serving is an HTTP server on an address of its own.
type serving struct {
	url    string
	server *http.Server
	failed chan error
}

// listen starts to serve; port 0 picks a free one.
func listen(address string, handler http.Handler, log *slog.Logger) (*serving, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, steward.Errorf(steward.Unavailable, "%s can't be listened on; stop what uses it already, or choose another with --listen", address).Because(err)
	}
	s := &serving{
		url: "http://" + l.Addr().String(), failed: make(chan error, 1),
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

// wait serves until ctx ends or the database is lost, and then lets the requests under way come to their end.
func (s *serving) wait(ctx context.Context, lost <-chan struct{}) error {
	var gone error
	select {
	case err := <-s.failed:
		return fmt.Errorf("serve: %w", err)
	case <-lost:
		gone = steward.Errorf(steward.Unavailable, "the connection to the database broke, so another Steward may have it by now; start this one again")
	case <-ctx.Done():
	}
	return errors.Join(gone, s.stop(ctx))
}

// stop takes no more requests and waits for those under way.
func (s *serving) stop(ctx context.Context) error {
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := s.server.Shutdown(ending); err != nil {
		return errors.Join(s.server.Close(), steward.Errorf(steward.Unavailable,
			"requests were still under way after %s and were cut off; the record says which calls have no known outcome", drainTimeout).Because(err))
	}
	return nil
}

// seedFlag chooses among invented companies.
func seedFlag(f *flag.FlagSet) *uint64 {
	return f.Uint64("seed", 1, "the `number` that the invented company is made from; the same number and day make the same one")
}
