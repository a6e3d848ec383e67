package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/policy"
)

func (s *Server) workspace(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	known, err := s.Directory.FindWorkspace(r.Context(), string(caller.Workspace()))
	if err != nil {
		return err
	}
	// Another workspace's name is no more known to this caller than one that doesn't exist.
	if asked := r.PathValue("id"); asked != "" && asked != string(known.ID) && asked != known.Name {
		return steward.Errorf(steward.NotFound, "there is no workspace %q for you; your token belongs to %q", asked, known.Name)
	}
	closing, err := s.Closer.Show(r.Context(), known.ID)
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, map[string]any{"workspace": known.ID, "name": known.Name, "created": known.Created, "closing": closing})
	return nil
}

func (s *Server) members(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	if err := s.view(r.Context(), caller, "members", ledger.StoredRead, "", "", ""); err != nil {
		return err
	}
	members, err := s.Directory.AllMembers(r.Context(), caller.Workspace())
	if err != nil {
		return err
	}
	list := make([]wire.Member, len(members))
	for i, m := range members {
		list[i] = wire.Member{Member: m.ID, Email: m.Email, Role: m.Role}
	}
	reply(w, http.StatusOK, map[string][]wire.Member{"members": list})
	return nil
}

func (s *Server) addMember(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	body, err := read[struct {
		Email string `json:"email"`
		Role  string `json:"role"`
	}](r)
	if err != nil {
		return err
	}
	role, err := steward.ParseRole(body.Role)
	if err != nil {
		return err
	}
	var added wire.Member
	err = s.Gateway.Govern(r.Context(), caller, gateway.Act{
		Kind: ledger.MemberAdded, Action: policy.Manage, Stored: "members", Part: map[string]string{"role": string(role)},
	}, func(ctx context.Context) error {
		m, err := s.Directory.AddMember(ctx, caller.Workspace(), body.Email, role)
		if err != nil {
			return err
		}
		secret, t, err := s.Directory.IssueToken(ctx, caller.Workspace(), m.ID, identity.DefaultTTL)
		added = wire.Member{Member: m.ID, Email: m.Email, Role: m.Role, Token: secret, Expires: &t.Expires}
		return err
	})
	if err != nil {
		return err
	}
	reply(w, http.StatusCreated, added)
	return nil
}

func (s *Server) removeMember(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	m, err := s.member(r.Context(), caller, r.PathValue("id"))
	if err != nil {
		return err
	}
	if m == caller.Member() {
		return steward.Errorf(steward.Invalid, "you can't remove yourself; another administrator can")
	}
	err = s.Gateway.Govern(r.Context(), caller, gateway.Act{
		Kind: ledger.MemberRemoved, Action: policy.Manage, Stored: "members", Targets: []string{string(m)},
	}, func(ctx context.Context) error {
		return s.Directory.Members.RemoveMember(ctx, caller.Workspace(), m, s.Now())
	})
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, wire.Member{Member: m})
	return nil
}

// member finds a member by id or address; empty means the caller.
func (s *Server) member(ctx context.Context, caller identity.Caller, idOrEmail string) (steward.MemberID, error) {
	if idOrEmail == "" {
		return caller.Member(), nil
	}
	if !strings.Contains(idOrEmail, "@") {
		row, err := s.Directory.Members.MemberByID(ctx, caller.Workspace(), steward.MemberID(idOrEmail))
		return row.ID, err
	}
	m, err := s.Directory.MemberByEmail(ctx, caller.Workspace(), idOrEmail)
	return m.ID, err
}

func (s *Server) tokens(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	m, err := s.member(r.Context(), caller, r.URL.Query().Get("member"))
	if err != nil {
		return err
	}
	if err := s.view(r.Context(), caller, "tokens", ledger.StoredRead, m, "", ""); err != nil {
		return err
	}
	tokens, err := s.Directory.Tokens.Tokens(r.Context(), caller.Workspace(), m)
	if err != nil {
		return err
	}
	list := make([]wire.Token, len(tokens))
	for i, t := range tokens {
		list[i] = wire.Token{ID: t.ID, Member: t.Member, Created: t.Created, Expires: t.Expires}
		if !t.Revoked.IsZero() {
			list[i].Revoked = &tokens[i].Revoked
		}
	}
	reply(w, http.StatusOK, map[string][]wire.Token{"tokens": list})
	return nil
}

func (s *Server) issueToken(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	body, err := read[struct {
		Member string `json:"member"`
		Days   int    `json:"days"`
	}](r)
	if err != nil {
		return err
	}
	m, err := s.member(r.Context(), caller, body.Member)
	if err != nil {
		return err
	}
	ttl := identity.DefaultTTL
	if body.Days < 0 || body.Days > 366 {
		return steward.Errorf(steward.Invalid, "a token lives from 1 to 366 days")
	}
	if body.Days != 0 {
		ttl = time.Duration(body.Days) * 24 * time.Hour
	}
	var issued wire.Token
	err = s.Gateway.Govern(r.Context(), caller, gateway.Act{
		Kind: ledger.TokenIssued, Action: policy.Manage, Stored: "tokens", Owner: m, Targets: []string{string(m)},
	}, func(ctx context.Context) error {
		secret, t, err := s.Directory.IssueToken(ctx, caller.Workspace(), m, ttl)
		issued = wire.Token{ID: t.ID, Member: t.Member, Secret: secret, Created: t.Created, Expires: t.Expires}
		return err
	})
	if err != nil {
		return err
	}
	reply(w, http.StatusCreated, issued)
	return nil
}

func (s *Server) revokeToken(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	ctx, id := r.Context(), steward.APITokenID(r.PathValue("id"))
	owner, err := s.Directory.Tokens.TokenOwner(ctx, caller.Workspace(), id)
	if err != nil {
		return err
	}
	err = s.Gateway.Govern(ctx, caller, gateway.Act{
		Kind: ledger.TokenRevoked, Action: policy.Manage, Stored: "tokens", Owner: owner, Targets: []string{string(id)},
	}, func(ctx context.Context) error {
		return s.Directory.Tokens.RevokeToken(ctx, caller.Workspace(), id, s.Now())
	})
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, map[string]any{"id": id, "member": owner})
	return nil
}

func (s *Server) connections(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	if err := s.view(r.Context(), caller, "connections", ledger.StoredRead, caller.Member(), "", ""); err != nil {
		return err
	}
	found, err := s.Gateway.Connections.Connections(r.Context(), caller.Workspace())
	if err != nil {
		return err
	}
	list := make([]wire.Connection, len(found))
	for i, c := range found {
		list[i] = wire.Connection{Connection: c.ID, InstanceURL: c.InstanceURL, OrgID: c.OrgID}
	}
	reply(w, http.StatusOK, map[string][]wire.Connection{"connections": list})
	return nil
}

func (s *Server) connect(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	body, err := read[struct {
		System      string `json:"system"`
		InstanceURL string `json:"instance_url"`
		AccessToken string `json:"access_token"`
		ServiceUser string `json:"service_user"`
		Member      string `json:"member"`
	}](r)
	if err != nil {
		return err
	}
	m, err := s.member(r.Context(), caller, body.Member)
	if err != nil {
		return err
	}
	id := steward.ConnectionID(body.System)
	connect, with := s.Gateway.Connect, body.AccessToken
	if body.ServiceUser != "" {
		connect, with = s.SignIns.Service, body.ServiceUser
	}
	who, err := connect(r.Context(), caller, m, id, body.InstanceURL, with)
	if err != nil {
		return err
	}
	known, err := s.Gateway.Connections.Connection(r.Context(), caller.Workspace(), id)
	if err != nil {
		return err
	}
	reply(w, http.StatusCreated, wire.Connection{Connection: id, InstanceURL: known.InstanceURL, OrgID: who.OrgID, Member: m, Username: who.Username})
	return nil
}
