package api

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
)

// sitting is how long one reading of a log counts as one: a verifier fetches hundreds of tiles, and an
// entry for each would grow the log faster than it can be read.
const sitting = time.Hour

// sessions remembers who is reading a log. It forgets those that ended when another begins.
type sessions struct {
	mu    sync.Mutex
	until map[steward.APITokenID]time.Time
}

// lasts says whether a session that was begun goes on.
func (s *sessions) lasts(token steward.APITokenID, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Before(s.until[token])
}

// begin makes it a session, once it is on record.
func (s *sessions) begin(token steward.APITokenID, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.until == nil {
		s.until = map[steward.APITokenID]time.Time{}
	}
	for other, until := range s.until {
		if !now.Before(until) {
			delete(s.until, other)
		}
	}
	s.until[token] = now.Add(sitting)
}

// tlog serves a workspace's log as C2SP tlog-tiles, for other people's verifiers, to those who may read the
// whole ledger for an audit.
func (s *Server) tlog(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	if steward.WorkspaceID(r.PathValue("workspace")) != caller.Workspace() {
		return steward.Errorf(steward.NotFound, "there is no log of this workspace for you; your token belongs to %s", caller.Workspace())
	}
	if err := s.audit(r.Context(), caller); err != nil {
		return err
	}
	s.Tlog.Handler(s.fail).ServeHTTP(w, r)
	return nil
}

// audit permits a look at all of the log. A denial is recorded each time, and a session once.
func (s *Server) audit(ctx context.Context, caller identity.Caller) error {
	if s.Gateway.MayView(caller, "ledger", "", "audit") && s.verifying.lasts(caller.Token(), s.Now()) {
		return nil
	}
	err := s.view(ctx, caller, "ledger", ledger.LedgerRead, "", "", "audit")
	if err == nil {
		s.verifying.begin(caller.Token(), s.Now())
	}
	return err
}
