package identity

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/mail"
	"strings"
	"time"

	"github.com/stewardhq/steward"
)

// TokenPrefix starts every API token, so that scanners recognise a leaked one.
const TokenPrefix = "stw_"

// DefaultTTL is how long a token lives unless said otherwise.
const DefaultTTL = 90 * 24 * time.Hour

// Workspace is one customer's tenant.
type Workspace struct {
	ID      steward.WorkspaceID
	Name    string
	Region  string
	Created time.Time
}

// Member is a person in a workspace. The address is sealed under the member's own scope.
type Member struct {
	ID      steward.MemberID
	Person  steward.PersonID
	Email   string
	Role    steward.Role
	Created time.Time
}

// LogValue leaves the address out of the log.
func (m Member) LogValue() slog.Value {
	return slog.GroupValue(slog.String("member", string(m.ID)), slog.String("role", string(m.Role)))
}

// APIToken describes a token without being it.
type APIToken struct {
	ID      steward.APITokenID
	Member  steward.MemberID
	Created time.Time
	Expires time.Time
	Revoked time.Time // zero while it is good
}

// MemberRow is a member as stored.
type MemberRow struct {
	ID      steward.MemberID
	Person  steward.PersonID
	Role    steward.Role
	Email   []byte // keyed digest, to find a member by address
	Sealed  steward.Sealed
	Created time.Time
}

// TokenRow is a token as stored: its hash finds it.
type TokenRow struct {
	APIToken
	Workspace steward.WorkspaceID
	Hash      [sha256.Size]byte
}

// WorkspaceStore keeps the list of tenants.
type WorkspaceStore interface {
	// AddWorkspace fails with Conflict where the name is taken.
	AddWorkspace(ctx context.Context, w Workspace) error
	// AllWorkspaces lists them by name.
	AllWorkspaces(ctx context.Context) ([]Workspace, error)
}

// MemberStore keeps a workspace's members.
type MemberStore interface {
	// AddMember fails with Conflict where the address is taken.
	AddMember(ctx context.Context, ws steward.WorkspaceID, m MemberRow) error
	// MemberByID and MemberByEmail are NotFound where there is none.
	MemberByID(ctx context.Context, ws steward.WorkspaceID, id steward.MemberID) (MemberRow, error)
	MemberByEmail(ctx context.Context, ws steward.WorkspaceID, digest []byte) (MemberRow, error)
	// AllMembers lists them in the order they were added.
	AllMembers(ctx context.Context, ws steward.WorkspaceID) ([]MemberRow, error)
	// RemoveMember deletes the member and revokes their tokens at once.
	RemoveMember(ctx context.Context, ws steward.WorkspaceID, id steward.MemberID, at time.Time) error
}

// TokenStore keeps API tokens, by hash only.
type TokenStore interface {
	AddToken(ctx context.Context, t TokenRow) error
	// TokenByHash is NotFound for a token nobody issued.
	TokenByHash(ctx context.Context, hash [sha256.Size]byte) (TokenRow, error)
	// Tokens lists a member's tokens, newest first.
	Tokens(ctx context.Context, ws steward.WorkspaceID, m steward.MemberID) ([]APIToken, error)
	// TokenOwner and RevokeToken are NotFound where the workspace has no such token; revoking twice is
	// no error.
	TokenOwner(ctx context.Context, ws steward.WorkspaceID, id steward.APITokenID) (steward.MemberID, error)
	RevokeToken(ctx context.Context, ws steward.WorkspaceID, id steward.APITokenID, at time.Time) error
}

// Directory is what is known of workspaces, members and tokens. Who may ask it to change something is
// decided above it.
type Directory struct {
	Workspaces WorkspaceStore
	Members    MemberStore
	Tokens     TokenStore
	Sealer     steward.Sealer
	Now        func() time.Time
	Rand       io.Reader
}

// Refused tells whose token it was that was not accepted, so that the refusal can be recorded.
type Refused struct {
	Workspace steward.WorkspaceID
	Member    steward.MemberID
	Token     steward.APITokenID
	Why       string
}

func (r *Refused) Error() string { return fmt.Sprintf("token %s: %s", r.Token, r.Why) }

// CreateWorkspace makes a tenant. Its name can be a label of a host name (RFC 1123), since it stands in
// addresses.
func (d *Directory) CreateWorkspace(ctx context.Context, name string) (Workspace, error) {
	if !validName(name) {
		return Workspace{}, steward.Errorf(steward.Invalid, "a workspace's name has 1 to 63 lower-case letters, digits or dashes, without a dash at its ends, such as acme-emea")
	}
	w := Workspace{ID: steward.WorkspaceID(steward.NewID(d.Rand, "ws")), Name: name, Created: d.Now()}
	err := d.Workspaces.AddWorkspace(ctx, w)
	if steward.KindOf(err) == steward.Conflict {
		return Workspace{}, steward.Errorf(steward.Conflict, "a workspace named %q exists already; choose another name", name).Because(err)
	}
	if err != nil {
		return Workspace{}, err
	}
	return w, nil
}

// FindWorkspace finds a tenant by name or id.
func (d *Directory) FindWorkspace(ctx context.Context, nameOrID string) (Workspace, error) {
	all, err := d.Workspaces.AllWorkspaces(ctx)
	if err != nil {
		return Workspace{}, err
	}
	for _, w := range all {
		if w.Name == nameOrID || string(w.ID) == nameOrID {
			return w, nil
		}
	}
	return Workspace{}, steward.Errorf(steward.NotFound, "there is no workspace %q here", nameOrID)
}

// ParseAddress takes a bare e-mail address and refuses everything else.
func ParseAddress(email string) (string, error) {
	addr, err := mail.ParseAddress(email)
	if err != nil || addr.Address != strings.TrimSpace(email) || len(email) > 254 {
		return "", steward.Errorf(steward.Invalid, "a member needs an e-mail address, such as ana@example.com")
	}
	return addr.Address, nil
}

// AddMember adds a person to a workspace.
func (d *Directory) AddMember(ctx context.Context, ws steward.WorkspaceID, email string, role steward.Role) (Member, error) {
	address, err := ParseAddress(email)
	if err != nil {
		return Member{}, err
	}
	if _, err := steward.ParseRole(string(role)); err != nil {
		return Member{}, err
	}
	m := Member{
		ID: steward.MemberID(steward.NewID(d.Rand, "mem")), Person: steward.PersonID(steward.NewID(d.Rand, "per")),
		Email: address, Role: role, Created: d.Now(),
	}
	digest, err := d.digest(ctx, ws, m.Email)
	if err != nil {
		return Member{}, err
	}
	private, err := json.Marshal(privateMember{Email: m.Email})
	if err != nil {
		return Member{}, fmt.Errorf("identity: %w", err)
	}
	sealed, err := d.Sealer.Seal(ctx, place(ws, m.ID), []steward.Scope{steward.PersonScope(m.Person)}, private)
	if err != nil {
		return Member{}, err
	}
	err = d.Members.AddMember(ctx, ws, MemberRow{ID: m.ID, Person: m.Person, Role: role, Email: digest, Sealed: sealed, Created: m.Created})
	if steward.KindOf(err) == steward.Conflict {
		return Member{}, steward.Errorf(steward.Conflict, "somebody with this address is a member already").Because(err)
	}
	if err != nil {
		return Member{}, err
	}
	return m, nil
}

// MemberByEmail finds a member by address.
func (d *Directory) MemberByEmail(ctx context.Context, ws steward.WorkspaceID, email string) (Member, error) {
	digest, err := d.digest(ctx, ws, email)
	if err != nil {
		return Member{}, err
	}
	row, err := d.Members.MemberByEmail(ctx, ws, digest)
	if err != nil {
		return Member{}, err
	}
	return d.open(ctx, ws, row)
}

// AllMembers lists a workspace's members.
func (d *Directory) AllMembers(ctx context.Context, ws steward.WorkspaceID) ([]Member, error) {
	rows, err := d.Members.AllMembers(ctx, ws)
	if err != nil {
		return nil, err
	}
	members := make([]Member, 0, len(rows))
	for _, row := range rows {
		m, err := d.open(ctx, ws, row)
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return members, nil
}

// Administrators counts a workspace's administrators.
func (d *Directory) Administrators(ctx context.Context, ws steward.WorkspaceID) (int, error) {
	rows, err := d.Members.AllMembers(ctx, ws)
	n := 0
	for _, row := range rows {
		if row.Role == steward.Admin {
			n++
		}
	}
	return n, err
}

// IssueToken makes a token for a member. The secret is returned here and never again.
func (d *Directory) IssueToken(ctx context.Context, ws steward.WorkspaceID, m steward.MemberID, ttl time.Duration) (secret string, t APIToken, err error) {
	if ttl <= 0 || ttl > 366*24*time.Hour {
		return "", APIToken{}, steward.Errorf(steward.Invalid, "a token lives between a moment and 366 days")
	}
	if _, err := d.Members.MemberByID(ctx, ws, m); err != nil {
		return "", APIToken{}, err
	}
	var raw [32]byte
	if _, err := io.ReadFull(d.Rand, raw[:]); err != nil {
		return "", APIToken{}, fmt.Errorf("identity: no randomness: %w", err)
	}
	secret = TokenPrefix + base64.RawURLEncoding.EncodeToString(raw[:])
	now := d.Now()
	t = APIToken{ID: steward.APITokenID(steward.NewID(d.Rand, "tok")), Member: m, Created: now, Expires: now.Add(ttl)}
	if err := d.Tokens.AddToken(ctx, TokenRow{APIToken: t, Workspace: ws, Hash: sha256.Sum256([]byte(secret))}); err != nil {
		return "", APIToken{}, err
	}
	return secret, t, nil
}

// Authenticate turns a bearer token into a Caller. Every refusal reads the same from outside but for
// expiry, which the owner must be told; the cause is a *Refused where the token was ours once.
func (d *Directory) Authenticate(ctx context.Context, secret string) (Caller, error) {
	unknown := steward.Errorf(steward.Unauthenticated, "this token is not valid here; sign in with a token that `steward init` or `steward member add` printed")
	if !strings.HasPrefix(secret, TokenPrefix) || len(secret) > 100 {
		return Caller{}, unknown
	}
	// The hash of 256 random bits needs no salt, and finding it by index leaks nothing of the token.
	row, err := d.Tokens.TokenByHash(ctx, sha256.Sum256([]byte(secret)))
	if err != nil {
		if steward.KindOf(err) == steward.NotFound {
			return Caller{}, unknown
		}
		return Caller{}, err
	}
	refused := &Refused{Workspace: row.Workspace, Member: row.Member, Token: row.ID}
	if !row.Revoked.IsZero() {
		refused.Why = "revoked"
		return Caller{}, unknown.Because(refused)
	}
	if !d.Now().Before(row.Expires) {
		refused.Why = "expired"
		return Caller{}, steward.Errorf(steward.Unauthenticated, "this token expired on %s; ask an administrator for a new one (`steward token issue`)", row.Expires.UTC().Format(time.DateOnly)).Because(refused)
	}
	member, err := d.Members.MemberByID(ctx, row.Workspace, row.Member)
	if steward.KindOf(err) == steward.NotFound {
		refused.Why = "member removed"
		return Caller{}, unknown.Because(refused)
	}
	if err != nil {
		return Caller{}, err
	}
	return Caller{workspace: row.Workspace, member: member.ID, role: member.Role, method: ByAPIToken, token: row.ID}, nil
}

// Resume makes a Caller for a stored run that goes on without its member present: after an approval or
// a restart. The member must still be one, and their role is today's.
func (d *Directory) Resume(ctx context.Context, ws steward.WorkspaceID, m steward.MemberID, agent steward.AgentID) (Caller, error) {
	row, err := d.Members.MemberByID(ctx, ws, m)
	if err != nil {
		return Caller{}, err
	}
	return Caller{workspace: ws, member: row.ID, role: row.Role, agent: agent, method: ByResume}, nil
}

type privateMember struct {
	Email string `json:"email"`
}

func (d *Directory) open(ctx context.Context, ws steward.WorkspaceID, row MemberRow) (Member, error) {
	m := Member{ID: row.ID, Person: row.Person, Role: row.Role, Created: row.Created}
	plain, err := d.Sealer.Open(ctx, place(ws, row.ID), row.Sealed)
	if steward.KindOf(err) == steward.Gone {
		return m, nil // a member who was forgotten keeps an id, and no address
	}
	if err != nil {
		return Member{}, err
	}
	var private privateMember
	if err := json.Unmarshal(plain, &private); err != nil {
		return Member{}, fmt.Errorf("identity: member %s: %w", row.ID, err)
	}
	m.Email = private.Email
	return m, nil
}

// digest finds an address without storing it: addresses can be guessed, so a plain hash would not do.
func (d *Directory) digest(ctx context.Context, ws steward.WorkspaceID, email string) ([]byte, error) {
	key, err := d.Sealer.Derive(ctx, ws, steward.WorkspaceScope, "member-index")
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(strings.ToLower(strings.TrimSpace(email))))
	return mac.Sum(nil), nil
}

func place(ws steward.WorkspaceID, m steward.MemberID) steward.Place {
	return steward.Place{Workspace: ws, Table: "members", Row: string(m)}
}

func validName(s string) bool {
	if len(s) == 0 || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
