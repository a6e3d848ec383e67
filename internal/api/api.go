// Package api answers: what can be asked over HTTP? It reads a request once, calls the house, and
// writes JSON; it decides nothing about who may do what.
package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/agent"
	"github.com/stewardhq/steward/internal/api/providers"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/tlog"
	"github.com/stewardhq/steward/internal/policy"
	"github.com/stewardhq/steward/internal/retention"
	"github.com/stewardhq/steward/internal/retention/custody"
	"github.com/stewardhq/steward/internal/signin"
)

// maxBody is the largest request body, in bytes.
const maxBody = 64 << 10

// Server is the HTTP edge.
type Server struct {
	Directory *identity.Directory
	Gateway   *gateway.Gateway
	Agent     *agent.Agent
	Ledger    *ledger.Ledger
	Tlog      tlog.Log
	Eraser    *retention.Eraser
	Schedule  *retention.Schedule
	Custody   *custody.Custody
	Closer    *retention.Closer
	SignIns   *signin.Flow
	Providers providers.Desk
	PublicURL string // how browsers reach this server: "https://steward.acme.example"; "" where only this machine's do
	Examples  []wire.Example
	Now       func() time.Time
	Rand      io.Reader
	Log       *slog.Logger

	verifying sessions
}

// Handler is all routes.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", s.ready)

	mux.HandleFunc("POST /api/v1/ask", s.signedIn(s.ask))
	mux.HandleFunc("GET /api/v1/examples", s.signedIn(s.examples))
	mux.HandleFunc("GET /api/v1/runs/{id}", s.signedIn(s.run))
	mux.HandleFunc("GET /api/v1/runs/{id}/dialogue", s.signedIn(s.dialogue))
	mux.HandleFunc("GET /api/v1/approvals", s.signedIn(s.approvals))
	mux.HandleFunc("POST /api/v1/approvals/{id}", s.signedIn(s.settle))
	mux.HandleFunc("GET /api/v1/log", s.evenClosed(s.log))
	mux.HandleFunc("GET /api/v1/log/{seq}/receipt", s.evenClosed(s.receipt))
	mux.HandleFunc("GET /api/v1/log/{seq}/inclusion", s.evenClosed(s.inclusion))
	mux.HandleFunc("GET /api/v1/log/consistency", s.evenClosed(s.consistency))
	mux.HandleFunc("POST /api/v1/log/key", s.signedIn(s.rotateKey))
	mux.HandleFunc("POST /api/v1/checkpoint", s.evenClosed(s.checkpoint))
	mux.HandleFunc("GET /api/v1/workspace", s.evenClosed(s.workspace))
	mux.HandleFunc("GET /api/v1/workspaces/{id}", s.evenClosed(s.workspace))
	mux.HandleFunc("POST /api/v1/workspace/close", s.evenClosed(s.closeWorkspace))
	mux.HandleFunc("POST /api/v1/workspace/reopen", s.evenClosed(s.reopenWorkspace))
	mux.HandleFunc("GET /api/v1/members", s.signedIn(s.members))
	mux.HandleFunc("POST /api/v1/members", s.signedIn(s.addMember))
	mux.HandleFunc("DELETE /api/v1/members/{id}", s.signedIn(s.removeMember))
	mux.HandleFunc("GET /api/v1/tokens", s.signedIn(s.tokens))
	mux.HandleFunc("POST /api/v1/tokens", s.signedIn(s.issueToken))
	mux.HandleFunc("DELETE /api/v1/tokens/{id}", s.signedIn(s.revokeToken))
	mux.HandleFunc("GET /api/v1/connections", s.signedIn(s.connections))
	mux.HandleFunc("POST /api/v1/connections", s.signedIn(s.connect))
	mux.HandleFunc("DELETE /api/v1/connections/{id}", s.signedIn(s.disconnect))
	mux.HandleFunc("POST /api/v1/signins", s.signedIn(s.beginSignIn))
	mux.HandleFunc("GET /api/v1/signins/{id}", s.signedIn(s.signInStatus))
	mux.HandleFunc("GET "+connectPath, s.browsed(s.invite))
	mux.HandleFunc("POST "+connectPath, s.browsed(s.depart))
	mux.HandleFunc("GET "+callbackPath, s.browsed(s.arrive))
	mux.HandleFunc("GET /api/v1/providers", s.signedIn(s.providers))
	mux.HandleFunc("POST /api/v1/providers", s.signedIn(s.registerProvider))
	mux.HandleFunc("POST /api/v1/providers/{name}/{version}/approve", s.signedIn(s.settleProvider(s.Providers.Approve)))
	mux.HandleFunc("DELETE /api/v1/providers/{name}/{version}", s.signedIn(s.settleProvider(s.Providers.Retire)))
	mux.HandleFunc("POST /api/v1/erasures", s.signedIn(s.erase))
	mux.HandleFunc("GET /api/v1/erasures", s.evenClosed(s.erasures))
	mux.HandleFunc("GET /api/v1/certificates", s.evenClosed(s.certificates))
	mux.HandleFunc("GET /api/v1/certificates/{id}", s.evenClosed(s.certificates))
	mux.HandleFunc("GET /api/v1/retention", s.evenClosed(s.retention))
	mux.HandleFunc("PUT /api/v1/retention", s.evenClosed(s.retain))
	mux.HandleFunc("POST /api/v1/holds", s.evenClosed(s.hold))
	mux.HandleFunc("GET /api/v1/holds/{id}", s.evenClosed(s.held))
	mux.HandleFunc("DELETE /api/v1/holds/{id}", s.evenClosed(s.release))
	mux.HandleFunc("GET /tlog/{workspace}/{path...}", s.evenClosed(s.tlog))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, steward.Errorf(steward.NotFound, "there is nothing at this address; the API lives under /api/v1"))
	})
	return mux
}

// statuses is the one table from error kind to HTTP status.
var statuses = map[steward.Kind]int{
	steward.Internal:        http.StatusInternalServerError,
	steward.Invalid:         http.StatusBadRequest,
	steward.Unauthenticated: http.StatusUnauthorized,
	steward.Denied:          http.StatusForbidden,
	steward.NotFound:        http.StatusNotFound,
	steward.Conflict:        http.StatusConflict,
	steward.TooLarge:        http.StatusRequestEntityTooLarge,
	steward.Limited:         http.StatusTooManyRequests,
	steward.Upstream:        http.StatusBadGateway,
	steward.Unavailable:     http.StatusServiceUnavailable,
	steward.NeedsApproval:   http.StatusAccepted,
	steward.Gone:            http.StatusGone,
	steward.NotUnderstood:   http.StatusUnprocessableEntity,
}

// handler answers a request of a signed-in caller, or fails.
type handler func(w http.ResponseWriter, r *http.Request, caller identity.Caller) error

// signedIn is the way every request of the API comes in: the token becomes a caller, the body is
// capped, an error becomes a status and a sentence.
func (s *Server) signedIn(h handler) http.HandlerFunc { return s.way(h, false) }

// evenClosed is signedIn for what administrators can do in a closed workspace too: take its record along, open it again.
func (s *Server) evenClosed(h handler) http.HandlerFunc { return s.way(h, true) }

func (s *Server) way(h handler, evenClosed bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		caller, err := s.authenticate(r.Context(), r.Header.Get("Authorization"))
		if err == nil {
			err = s.admit(r.Context(), caller, evenClosed)
		}
		if err == nil {
			err = h(w, r, caller)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	}
}

func (s *Server) authenticate(ctx context.Context, header string) (identity.Caller, error) {
	secret, bearer := strings.CutPrefix(header, "Bearer ")
	if !bearer {
		return identity.Caller{}, steward.Errorf(steward.Unauthenticated, "nobody is signed in; send a token as “Authorization: Bearer stw_…”")
	}
	caller, err := s.Directory.Authenticate(ctx, strings.TrimSpace(secret))
	var refused *identity.Refused
	if errors.As(err, &refused) {
		// A token that was ours once and is tried again belongs on record.
		_, recorded := s.Ledger.Append(context.WithoutCancel(ctx), refused.Workspace, ledger.Entry{
			Kind: ledger.AuthRefused, Caller: string(refused.Member), System: "steward", Outcome: ledger.Denied,
			Error: steward.Unauthenticated.String(), Targets: []string{string(refused.Token)},
		})
		if recorded != nil {
			return caller, recorded
		}
	}
	return caller, err
}

// fail writes an error once: its kind decides the status, its message is shown, its cause is logged.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		err = steward.Errorf(steward.TooLarge, "the request is larger than %d bytes; send less", maxBody).Because(err)
	}
	kind := s.logged(r, err)
	if kind == steward.Unauthenticated {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	reply(w, statuses[kind], map[string]wire.Problem{"error": {Kind: kind.String(), Message: steward.Message(err)}})
}

// logged logs an error and gives its kind.
func (s *Server) logged(r *http.Request, err error) steward.Kind {
	kind := steward.KindOf(err)
	level := slog.LevelInfo
	if kind == steward.Internal || kind == steward.Unavailable {
		level = slog.LevelError
	}
	s.Log.LogAttrs(r.Context(), level, "request failed", slog.String("method", r.Method), slog.String("route", r.Pattern),
		slog.String("kind", kind.String()), slog.Any("error", err))
	return kind
}

// reply writes JSON. That the reader has gone is nobody's failure.
func reply(w http.ResponseWriter, status int, body any) {
	head(w, "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(body)
}

// head sets what every answer says of itself: none is kept on the way.
func head(w http.ResponseWriter, contentType string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}

// read parses a request's body once, strictly. Its errors repeat nothing of the body, not even for the log.
func read[T any](r *http.Request) (body T, err error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return body, err
		}
		return body, steward.Errorf(steward.Invalid, "the request broke off; send it again").Because(err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil {
		return body, steward.Errorf(steward.Invalid, "the body is not the JSON expected here: %s", jsonTrouble(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return body, steward.Errorf(steward.Invalid, "the body holds more than one JSON value; send one")
	}
	return body, nil
}

// jsonTrouble says what is wrong with JSON.
func jsonTrouble(err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return "it can't be parsed"
	case errors.As(err, &kind):
		return "a field has the wrong type"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it is empty or breaks off"
	}
	return "it has a field that isn't known"
}

// ready fails while the ledger can't be written: then nothing may be done here.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if err := s.Ledger.Ready(r.Context()); err != nil {
		s.fail(w, r, err)
		return
	}
	reply(w, http.StatusOK, map[string]string{"status": "ready"})
}

func (s *Server) examples(w http.ResponseWriter, _ *http.Request, _ identity.Caller) error {
	reply(w, http.StatusOK, map[string][]wire.Example{"examples": s.Examples})
	return nil
}

// purpose reads why somebody wants to look.
func purpose(r *http.Request) (string, error) {
	switch p := r.URL.Query().Get("purpose"); p {
	case "", "audit", "compliance", "security", "troubleshooting":
		return p, nil
	}
	return "", steward.Errorf(steward.Invalid, "a purpose is one of audit, compliance, security, troubleshooting")
}

// view permits a look at something and records it.
func (s *Server) view(ctx context.Context, caller identity.Caller, stored string, kind ledger.Kind, owner steward.MemberID, run steward.RunID, purpose string) error {
	return s.Gateway.Permit(ctx, caller, gateway.Act{
		Kind: kind, Action: policy.View, Stored: stored, Owner: owner, Run: run, Purpose: purpose,
	})
}
