// Package signin answers: how does a member connect their own Salesforce account with a browser? It knows the steps
// from a one-time link to what was granted; it doesn't know HTTP, nor how tokens are kept.
//
// A member who is signed in begins it and gets a link. The link's page says whose account will be connected; going on
// from there uses the link up, ties the rest to that browser by a cookie, and leads to Salesforce. What comes back is
// taken once, from that browser, and for that member.
package signin

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/connector/salesforce/oauth"
	"github.com/stewardhq/steward/internal/credential"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/policy"
)

const (
	// system is the only one that can be signed in at.
	system steward.ConnectionID = "salesforce"
	// Lifetime is how long all of it may take.
	Lifetime = 10 * time.Minute
	// Remembered is how long it can be seen what became of it.
	Remembered = 24 * time.Hour
	// finishing is how long the last step may take once the browser is back.
	finishing = time.Minute
)

// Status is how far a sign-in came.
type Status string

// The statuses, in their order; the last two end it.
const (
	Begun     Status = "begun"
	Opened    Status = "opened"    // the link is used up, and a browser is at Salesforce
	Finishing Status = "finishing" // it came back
	Connected Status = "connected"
	Failed    Status = "failed"
)

// Row is a sign-in as stored: of its secrets, hashes only.
type Row struct {
	ID          string // "sgn_…"
	Member      steward.MemberID
	Connection  steward.ConnectionID
	InstanceURL string // the only address that may come out of it; "" for any of Salesforce's own
	LoginURL    string
	ClientID    string
	Status      Status
	Secret      [32]byte // SHA-256 of the link's secret, and from Opened on of the state's
	Browser     [32]byte // SHA-256 of the cookie, from Opened on
	Kind        string   // of the error, where it failed
	Message     string
	Expires     time.Time
}

// Store keeps them.
type Store interface {
	// AddSignIn also forgets those of the workspace that ended longer than Remembered before this one will.
	AddSignIn(ctx context.Context, ws steward.WorkspaceID, r Row) error
	// SignIn is NotFound where the workspace has none of this id.
	SignIn(ctx context.Context, ws steward.WorkspaceID, id string) (Row, error)
	// MoveSignIn replaces status, secrets and error of one that has a status, once: Conflict where it has another.
	MoveSignIn(ctx context.Context, ws steward.WorkspaceID, was Status, r Row) error
}

// Flow is all that it takes.
type Flow struct {
	Store     Store
	Door      *gateway.Gateway
	Directory *identity.Directory
	App       *oauth.App // without a ClientID nobody can sign in
	Now       func() time.Time
	Rand      io.Reader
}

// Ticket is a secret that names the sign-in it belongs to: in the link, and as OAuth's state.
type Ticket struct {
	Workspace steward.WorkspaceID
	ID        string
	Secret    string
}

// String writes a ticket for a URL.
func (t Ticket) String() string { return string(t.Workspace) + "." + t.ID + "." + t.Secret }

// ParseTicket reads what String writes. Kind Invalid for anything else.
func ParseTicket(s string) (Ticket, error) {
	p := strings.Split(s, ".")
	if len(s) > 256 || len(p) != 3 || p[0] == "" || !strings.HasPrefix(p[1], "sgn_") || p[2] == "" {
		return Ticket{}, unknown()
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("_-.", c) {
			return Ticket{}, unknown()
		}
	}
	return Ticket{steward.WorkspaceID(p[0]), p[1], p[2]}, nil
}

// unknown is one answer for all that isn't there, is used up, or isn't theirs, so that nothing can be told from it.
func unknown() error {
	return steward.Errorf(steward.Invalid, "this sign-in isn't under way, or was used already; begin again with `steward connect salesforce`")
}

// Begin starts a sign-in for the caller's own account and gives the ticket for its link.
func (f *Flow) Begin(ctx context.Context, caller identity.Caller, id steward.ConnectionID, instanceURL, clientID string) (Row, Ticket, error) {
	r := Row{ID: steward.NewID(f.Rand, "sgn"), Member: caller.Member(), Connection: id, Status: Begun, Expires: f.Now().Add(Lifetime)}
	link := Ticket{caller.Workspace(), r.ID, f.secret()}
	r.Secret = sha256.Sum256([]byte(link.Secret))
	if id != system {
		return r, link, steward.Errorf(steward.Invalid, "nobody can sign in there; Steward knows %s", system)
	}
	var err error
	if r.InstanceURL, err = f.instance(ctx, caller, instanceURL); err != nil {
		return r, link, err
	}
	if r.ClientID = clientID; clientID == "" {
		r.ClientID = f.App.ClientID
	}
	r.LoginURL = f.App.At(r.InstanceURL)
	if r.ClientID == "" || r.LoginURL == "" {
		return r, link, notSetUp()
	}
	return r, link, f.govern(ctx, caller, func(ctx context.Context) error { return f.Store.AddSignIn(ctx, caller.Workspace(), r) })
}

func notSetUp() error {
	return steward.Errorf(steward.Invalid,
		"this server isn't set up for signing in at Salesforce; its operator does that with `steward serve --salesforce-client-id`, or connect with --access-token")
}

// instance is the address that a sign-in must lead to: what an administrator asks for, else what is connected.
func (f *Flow) instance(ctx context.Context, caller identity.Caller, asked string) (string, error) {
	if asked != "" {
		var err error
		if asked, err = oauth.Login(asked); err != nil {
			return "", err
		}
	}
	known, err := f.Door.Connections.Connection(ctx, caller.Workspace(), system)
	switch {
	case steward.KindOf(err) == steward.NotFound && caller.Role() == steward.Admin:
		return asked, nil
	case steward.KindOf(err) == steward.NotFound:
		return "", steward.Errorf(steward.Denied, "%s isn't connected to this workspace yet; an administrator has to connect it first", system)
	case err != nil:
		return "", err
	case asked == "":
		return known.InstanceURL, nil
	case asked != known.InstanceURL && caller.Role() != steward.Admin:
		return "", steward.Errorf(steward.Denied, "this workspace is connected to another address; only an administrator can change it")
	}
	return asked, nil
}

// govern puts a step on record as what it is: managing one's own connection.
func (f *Flow) govern(ctx context.Context, caller identity.Caller, do func(context.Context) error) error {
	return f.Door.Govern(ctx, caller, gateway.Act{Action: policy.Manage, Stored: "connections", Owner: caller.Member(), System: string(system)}, do)
}

// Look says how far the caller's own sign-in came.
func (f *Flow) Look(ctx context.Context, caller identity.Caller, id string) (Row, error) {
	r, err := f.Store.SignIn(ctx, caller.Workspace(), id)
	if err == nil && r.Member != caller.Member() {
		err = steward.Errorf(steward.NotFound, "there is no such sign-in in this workspace")
	}
	if r.Status != Connected && r.Status != Failed && f.Now().After(r.Expires.Add(finishing)) {
		r.Status, r.Kind, r.Message = Failed, steward.Unauthenticated.String(), "nobody finished this sign-in within ten minutes; begin again"
	}
	return r, err
}

// Invitation is what somebody is told before they go on.
type Invitation struct {
	Workspace string // its name
	Email     string // whose Steward account it is
}

// Invite reads a link without using it up: whatever fetches links to preview them changes nothing.
func (f *Flow) Invite(ctx context.Context, link Ticket) (Invitation, error) {
	r, caller, err := f.at(ctx, link, Begun)
	if err != nil {
		return Invitation{}, err
	}
	return f.invitation(ctx, caller, r)
}

func (f *Flow) invitation(ctx context.Context, caller identity.Caller, r Row) (Invitation, error) {
	ws, err := f.Directory.FindWorkspace(ctx, string(caller.Workspace()))
	if err != nil {
		return Invitation{}, err
	}
	members, err := f.Directory.AllMembers(ctx, caller.Workspace())
	if err != nil {
		return Invitation{}, err
	}
	for _, m := range members {
		if m.ID == r.Member && m.Email != "" {
			return Invitation{Workspace: ws.Name, Email: m.Email}, nil
		}
	}
	return Invitation{}, unknown()
}

// Departure is where a browser goes on to, and the cookie that it must bring back.
type Departure struct {
	ID      string
	URL     string
	Cookie  string
	Expires time.Time
}

// Open uses a link up. callback is where the browser is to come back to.
func (f *Flow) Open(ctx context.Context, link Ticket, callback string) (Departure, error) {
	r, caller, err := f.at(ctx, link, Begun)
	if err != nil {
		return Departure{}, err
	}
	state, cookie := Ticket{link.Workspace, link.ID, f.secret()}, f.secret()
	r.Status, r.Secret, r.Browser = Opened, sha256.Sum256([]byte(state.Secret)), sha256.Sum256([]byte(cookie))
	ask, err := f.ask(ctx, r, state, callback)
	if err != nil {
		return Departure{}, err
	}
	err = f.govern(ctx, caller, func(ctx context.Context) error { return f.Store.MoveSignIn(ctx, link.Workspace, Begun, r) })
	if steward.KindOf(err) == steward.Conflict {
		err = unknown()
	}
	return Departure{ID: r.ID, URL: ask.URL(), Cookie: cookie, Expires: r.Expires}, err
}

// ask is what the login server is asked. The verifier is computed, not kept: whoever reads the row or the state can't.
func (f *Flow) ask(ctx context.Context, r Row, state Ticket, callback string) (oauth.Ask, error) {
	key, err := f.Door.Sealer.Derive(ctx, state.Workspace, steward.WorkspaceScope, "sign-in verifier")
	if err != nil {
		return oauth.Ask{}, err
	}
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(state.String()))
	return oauth.Ask{
		Login: r.LoginURL, ClientID: r.ClientID, Callback: callback, State: state.String(), Verifier: base64.RawURLEncoding.EncodeToString(mac.Sum(nil)),
	}, nil
}

// Return is what a browser came back with.
type Return struct {
	State    Ticket
	Cookie   string
	Code     string
	Error    string // instead of a code
	Issuer   string // RFC 9207; "" where the login server doesn't say
	Callback string // where it came back to
}

// Finish takes what a browser came back with, once, and connects the member. Nothing of it is tried again: whatever
// fails, one begins anew.
func (f *Flow) Finish(ctx context.Context, back Return) (Invitation, connector.Identity, error) {
	r, caller, err := f.at(ctx, back.State, Opened)
	if err != nil {
		return Invitation{}, connector.Identity{}, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishing) // a closed tab must not lose what was granted
	defer cancel()
	said, err := f.invitation(ctx, caller, r)
	if err != nil {
		return said, connector.Identity{}, err
	}
	r.Status = Finishing
	if err := f.Store.MoveSignIn(ctx, back.State.Workspace, Opened, r); err != nil {
		if steward.KindOf(err) == steward.Conflict {
			err = unknown()
		}
		return said, connector.Identity{}, err
	}
	who, failed := f.Door.ConnectBy(ctx, caller, r.Member, r.Connection, func(ctx context.Context) (credential.Grant, error) { return f.exchange(ctx, r, back) })
	r.Status = Connected
	if failed != nil {
		r.Status, r.Kind, r.Message = Failed, steward.KindOf(failed).String(), steward.Message(failed)
	}
	if err := f.Store.MoveSignIn(context.WithoutCancel(ctx), back.State.Workspace, Finishing, r); err != nil && failed == nil {
		return said, who, fmt.Errorf("signin: %w", err)
	}
	return said, who, failed
}

func (f *Flow) exchange(ctx context.Context, r Row, back Return) (granted credential.Grant, err error) {
	hash := sha256.Sum256([]byte(back.Cookie))
	switch {
	case subtle.ConstantTimeCompare(hash[:], r.Browser[:]) != 1:
		return granted, steward.Errorf(steward.Denied, "this sign-in was begun in another browser; begin again, and stay in one")
	case back.Issuer != "" && strings.TrimRight(back.Issuer, "/") != r.LoginURL:
		return granted, steward.Errorf(steward.Denied, "the answer isn't from the login server that was asked; begin again")
	case back.Error != "":
		return granted, oauth.Refusal(back.Error)
	case back.Code == "":
		return granted, steward.Errorf(steward.Invalid, "Salesforce sent no code; begin again")
	}
	ask, err := f.ask(ctx, r, back.State, back.Callback)
	if err != nil {
		return granted, err
	}
	client, err := f.Door.Client(back.State.Workspace, r.LoginURL)
	if err != nil {
		return granted, err
	}
	if granted, err = f.App.Exchange(ctx, client, ask, back.Code); err != nil {
		return granted, err
	}
	return granted, fits(r.InstanceURL, granted.InstanceURL)
}

// Service connects a member as a user whom Salesforce's administrator pre-authorised for the app. Whoever can do that can
// act as anybody so authorised, so only an administrator may.
func (f *Flow) Service(ctx context.Context, caller identity.Caller, member steward.MemberID, id steward.ConnectionID, instanceURL, user string) (connector.Identity, error) {
	return f.Door.ConnectBy(ctx, caller, member, id, func(ctx context.Context) (granted credential.Grant, err error) {
		if caller.Role() != steward.Admin || id != system {
			return granted, steward.Errorf(steward.Denied, "only an administrator can connect a service user, and only of %s", system)
		}
		expected, err := f.instance(ctx, caller, instanceURL)
		if err != nil {
			return granted, err
		}
		login := f.App.At(expected)
		if f.App.ClientID == "" || login == "" {
			return granted, notSetUp()
		}
		client, err := f.Door.Client(caller.Workspace(), login)
		if err != nil {
			return granted, err
		}
		if granted, err = f.App.Assert(ctx, client, login, user); err != nil {
			return granted, err
		}
		return granted, fits(expected, granted.InstanceURL)
	})
}

// fits refuses to hand a token to an address that nobody chose. Where an administrator named none, Salesforce's own may be.
func fits(expected, got string) error {
	u, err := url.Parse(got)
	if err == nil && (got == expected || expected == "" && u.Scheme == "https" && u.Port() == "" && strings.HasSuffix(u.Hostname(), ".my.salesforce.com")) {
		return nil
	}
	return steward.Errorf(steward.Conflict, "Salesforce signed in to an org at another address than the one connected; sign in to that org, or have an administrator name the address with --instance-url")
}

// at finds the sign-in that a ticket names, where it has a status, and its member as they are today. A secret that was
// good once and comes again is on record.
func (f *Flow) at(ctx context.Context, t Ticket, wanted Status) (Row, identity.Caller, error) {
	r, err := f.Store.SignIn(ctx, t.Workspace, t.ID)
	if steward.KindOf(err) == steward.NotFound {
		return r, identity.Caller{}, unknown()
	}
	if err != nil {
		return r, identity.Caller{}, err
	}
	hash := sha256.Sum256([]byte(t.Secret))
	if subtle.ConstantTimeCompare(hash[:], r.Secret[:]) != 1 {
		return r, identity.Caller{}, unknown()
	}
	caller, err := f.Directory.Resume(ctx, t.Workspace, r.Member, "")
	if err == nil && f.Door.Closed != nil {
		err = f.Door.Closed(ctx, t.Workspace)
	}
	if err != nil {
		return r, caller, err
	}
	if r.Status == wanted && f.Now().Before(r.Expires) {
		return r, caller, nil
	}
	_, err = f.Door.Ledger.Append(context.WithoutCancel(ctx), t.Workspace, ledger.Entry{
		Kind: ledger.AuthRefused, Caller: string(r.Member), System: string(r.Connection), Outcome: ledger.Denied, Error: steward.Invalid.String(), Targets: []string{r.ID},
	})
	if err != nil {
		return r, caller, err
	}
	return r, caller, unknown()
}

// secret is 256 random bits for a URL or a cookie.
func (f *Flow) secret() string {
	var b [32]byte
	if _, err := io.ReadFull(f.Rand, b[:]); err != nil {
		panic(fmt.Sprintf("signin: no randomness: %v", err)) // nothing safe can be done without
	}
	return base64.RawURLEncoding.EncodeToString(b[:])
}
