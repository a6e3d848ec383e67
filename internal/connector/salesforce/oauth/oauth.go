// Package oauth answers: how does Salesforce give a member's tokens to Steward, renew them and take them back? It
// speaks the OAuth endpoints of a login server that an operator named; it doesn't know whose browser asks, where tokens
// are kept, or whether anybody may.
//
// Sources: RFC 6749 (codes, refreshing, errors), RFC 7636 (PKCE), RFC 7523 (signed assertions), RFC 7009 (revoking), and
// "OAuth Authorization Flows" in Salesforce's help.
package oauth

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/credential"
)

const (
	// scopes are what Steward asks for: the REST API as the user, renewing, and whose account it is.
	scopes        = "api refresh_token openid"
	authorizePath = "/services/oauth2/authorize"
	tokenPath     = "/services/oauth2/token"
	revokePath    = "/services/oauth2/revoke"

	maxReply = 64 << 10         // bytes of a login server's answer
	maxToken = 8 << 10          // bytes of one token in it
	patience = 20 * time.Second // for a whole answer
)

// App is Steward as Salesforce knows it: an External Client App. Its zero value can't sign anybody in.
type App struct {
	ClientID string          // the app's consumer key
	Secret   string          // its consumer secret, where the app requires one
	Logins   []string        // login servers, each as Login gives it; the first is the usual one
	Key      *rsa.PrivateKey // what assertions are signed with; nil where there are no service users
	Now      func() time.Time
}

// Login reads the address of a login server: https, or http on this machine for the sandbox; scheme, host and port only.
func Login(raw string) (string, error) {
	u, err := url.Parse(strings.TrimRight(raw, "/"))
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", steward.Errorf(steward.Invalid, "a Salesforce login address looks like https://acme.my.salesforce.com, without a path")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return "", steward.Errorf(steward.Invalid, "a Salesforce login address begins with https://; only a sandbox on this machine may do without")
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), nil
}

// At chooses the login server for an org: its own address where an operator named that, else the usual one, "" where there
// is none.
func (a *App) At(instanceURL string) string {
	switch {
	case a.allows(instanceURL):
		return instanceURL
	case len(a.Logins) == 0:
		return ""
	}
	return a.Logins[0]
}

// Ask is one person being asked to let Steward in.
type Ask struct {
	Login    string // one of App.Logins
	ClientID string // App.ClientID, or another app's that needs no secret
	Callback string // where the browser comes back to, exactly as the app has it
	State    string
	Verifier string // PKCE: 43 to 128 characters that nobody else knows
}

// URL is where the browser is sent (RFC 6749 §4.1.1 with RFC 7636 §4.3, method S256).
func (k Ask) URL() string {
	challenge := sha256.Sum256([]byte(k.Verifier))
	return k.Login + authorizePath + "?" + url.Values{
		"response_type": {"code"}, "client_id": {k.ClientID}, "redirect_uri": {k.Callback}, "scope": {scopes}, "state": {k.State},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}.Encode()
}

// Exchange trades the code that the browser brought back for tokens. It is tried once: a code is good for one try. Kind
// Unauthenticated means that the login server doesn't take the code.
func (a *App) Exchange(ctx context.Context, client *http.Client, k Ask, code string) (credential.Grant, error) {
	g := credential.Grant{LoginURL: k.Login, ClientID: k.ClientID}
	return a.token(ctx, client, g, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {k.Callback}, "code_verifier": {k.Verifier},
	})
}

// Renew gives the grant with another access token, and with another refresh token where the login server rotates them:
// then the one of before is spent. Kind Unauthenticated means that the login server refuses for good; after any other
// error nobody knows whether a refresh token was spent, and the next try tells.
func (a *App) Renew(ctx context.Context, client *http.Client, g credential.Grant) (credential.Grant, error) {
	if g.ServiceUser != "" {
		return a.assert(ctx, client, g)
	}
	return a.token(ctx, client, g, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g.RefreshToken}})
}

// Assert has tokens given for a user whom Salesforce's administrator pre-authorised for the app (RFC 7523).
func (a *App) Assert(ctx context.Context, client *http.Client, login, user string) (credential.Grant, error) {
	return a.assert(ctx, client, credential.Grant{LoginURL: login, ClientID: a.ClientID, ServiceUser: user})
}

func (a *App) assert(ctx context.Context, client *http.Client, g credential.Grant) (credential.Grant, error) {
	if a.Key == nil {
		return g, steward.Errorf(steward.Invalid, "this server has no key to sign in service users with; its operator names one with --salesforce-key")
	}
	assertion, err := a.assertion(g)
	if err != nil {
		return g, err
	}
	return a.token(ctx, client, g, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}})
}

// Revoke has a grant's tokens accepted no more. Revoking a refresh token ends the access tokens it gave too. One that
// the login server doesn't know, or no more, is no error (RFC 7009 §2.2).
func (a *App) Revoke(ctx context.Context, client *http.Client, g credential.Grant) error {
	token := g.RefreshToken
	if token == "" {
		token = g.AccessToken
	}
	status, body, err := a.post(ctx, client, g.LoginURL+revokePath, url.Values{"token": {token}})
	if err != nil || status/100 == 2 {
		return err
	}
	refused := a.refused(status, body)
	var theirs *connector.Error
	if errors.As(refused, &theirs) && (theirs.Code == "INVALID_TOKEN" || theirs.Code == "UNSUPPORTED_TOKEN_TYPE" || theirs.Code == "INVALID_GRANT") {
		return nil
	}
	return refused
}

// allows says whether an operator named a login server. What is stored may be older than today's settings.
func (a *App) allows(login string) bool {
	return slices.Contains(a.Logins, login)
}

// token asks the token endpoint and fills in the grant.
func (a *App) token(ctx context.Context, client *http.Client, g credential.Grant, form url.Values) (credential.Grant, error) {
	if !a.allows(g.LoginURL) {
		return g, steward.Errorf(steward.Denied, "this server doesn't sign in at that Salesforce login address; its operator names addresses with --salesforce-login")
	}
	if g.ServiceUser == "" {
		form.Set("client_id", g.ClientID)
		if a.Secret != "" && g.ClientID == a.ClientID {
			form.Set("client_secret", a.Secret)
		}
	}
	status, body, err := a.post(ctx, client, g.LoginURL+tokenPath, form)
	if err != nil {
		return g, err
	}
	if status/100 != 2 {
		return g, a.refused(status, body)
	}
	var reply struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
		InstanceURL  string `json:"instance_url"`
		ID           string `json:"id"` // https://login.salesforce.com/id/00D…/005…
		TokenType    string `json:"token_type"`
		IssuedAt     string `json:"issued_at"` // milliseconds since 1970, as text
	}
	if json.Unmarshal(body, &reply) != nil || !isToken(reply.AccessToken) || (reply.RefreshToken != "" && !isToken(reply.RefreshToken)) ||
		(reply.TokenType != "" && !strings.EqualFold(reply.TokenType, "Bearer")) {
		return g, strange(status)
	}
	g.AccessToken, g.Issued = reply.AccessToken, a.Now()
	if ms, err := strconv.ParseInt(reply.IssuedAt, 10, 64); err == nil && ms > 0 {
		g.Issued = time.UnixMilli(ms).UTC()
	}
	if reply.RefreshToken != "" {
		g.RefreshToken = reply.RefreshToken
	}
	instance, err := Login(reply.InstanceURL) // the same rules: nothing else is ever given a token
	if err != nil {
		return g, strange(status)
	}
	org, user, ok := ids(reply.ID)
	if !ok {
		return g, strange(status)
	}
	if g.InstanceURL != "" && g.InstanceURL != instance || g.OrgID != "" && g.OrgID != org || g.UserID != "" && g.UserID != user {
		return g, steward.Errorf(steward.Conflict, "Salesforce renewed this sign-in for another org, address or user; connect again with `steward connect salesforce`")
	}
	g.InstanceURL, g.OrgID, g.UserID = instance, org, user
	return g, nil
}

// post sends a form and gives the answer's status and body.
func (a *App) post(ctx context.Context, client *http.Client, address string, form url.Values) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, steward.Errorf(steward.Invalid, "the Salesforce login address is no URL")
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "steward")
	reply, err := client.Do(r)
	if err != nil {
		return 0, nil, silent(err)
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(io.LimitReader(reply.Body, maxReply+1))
	if err != nil {
		return 0, nil, silent(err)
	}
	if len(body) > maxReply {
		return 0, nil, strange(reply.StatusCode)
	}
	return reply.StatusCode, body, nil
}

// refused reads an OAuth error (RFC 6749 §5.2). Its words stay in the half that isn't shown: whoever answers chooses them.
func (a *App) refused(status int, body []byte) error {
	var reply struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(body, &reply) // an answer without a code is told by its status
	theirs := &connector.Error{System: "salesforce", HTTP: status, Code: code(reply.Code), Message: reply.Description}
	if theirs.Code == "" || status >= http.StatusInternalServerError || status == http.StatusTooManyRequests {
		theirs.Code = "HTTP_" + strconv.Itoa(status) // a server in trouble may say otherwise later
	}
	kind, message := steward.Upstream, "Salesforce's login server failed at this; try again later"
	switch theirs.Code {
	case "INVALID_GRANT", "INACTIVE_USER", "INACTIVE_ORG":
		kind, message = steward.Unauthenticated, "Salesforce no longer accepts this sign-in; connect again with `steward connect salesforce`"
	case "INVALID_CLIENT", "INVALID_CLIENT_ID", "INVALID_CLIENT_CREDENTIALS", "UNAUTHORIZED_CLIENT", "INVALID_APP_ACCESS", "REDIRECT_URI_MISMATCH", "INVALID_SCOPE", "INVALID_REQUEST", "UNSUPPORTED_GRANT_TYPE", "INVALID_ASSERTION":
		kind, message = steward.Denied, "Salesforce doesn't take Steward's app as it is set up; its administrator compares it with docs/connect-salesforce.md"
	case "ACCESS_DENIED", "OAUTH_APP_ACCESS_DENIED":
		kind, message = steward.Denied, "Salesforce doesn't let this user use Steward's app; its administrator can"
	}
	return &steward.Error{Kind: kind, Msg: message + " (" + theirs.Code + ")", Err: theirs}
}

// code writes an OAuth error code as the record has codes; what doesn't look like one is none.
func code(s string) string {
	if len(s) > 40 {
		return ""
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '_' {
			return ""
		}
	}
	return strings.ToUpper(s)
}

// Refusal reads the error code with which a browser came back instead of a code (RFC 6749 §4.1.2.1).
func Refusal(errorCode string) error {
	theirs := &connector.Error{System: "salesforce", Code: code(errorCode)}
	switch theirs.Code {
	case "":
		theirs.Code = "UNRECOGNISED"
	case "ACCESS_DENIED":
		return &steward.Error{Kind: steward.Denied, Msg: "Salesforce was told not to let Steward in; nothing is connected", Err: theirs}
	}
	return &steward.Error{Kind: steward.Denied, Msg: "Salesforce refuses to sign in here; its administrator compares the app with docs/connect-salesforce.md (" + theirs.Code + ")", Err: theirs}
}

// strange is an answer that no login server gives.
func strange(status int) error {
	return &steward.Error{
		Kind: steward.Upstream, Msg: "this isn't how Salesforce's login server answers; check --salesforce-login", Err: &connector.Error{System: "salesforce", HTTP: status, Code: "UNREADABLE"},
	}
}

// silent is the failure to get a whole answer, without the URL that net/http repeats.
func silent(err error) error {
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if known := (*steward.Error)(nil); errors.As(err, &known) {
		return known // egress says what it refused
	}
	return steward.Errorf(steward.Upstream, "Salesforce's login server gave no answer in time, or none at all; try again later").Because(err)
}

// ids reads whose tokens they are out of the identity URL's path, /id/ORG/USER.
func ids(identity string) (org, user string, ok bool) {
	u, err := url.Parse(identity)
	if err != nil {
		return "", "", false
	}
	p := strings.Split(u.Path, "/")
	if len(p) != 4 || p[0] != "" || p[1] != "id" || !isID(p[2], "00D") || !isID(p[3], "005") {
		return "", "", false
	}
	return long(p[2]), long(p[3]), true
}

// isID accepts a record id of 15 or 18 letters and digits with an object's prefix.
func isID(s, prefix string) bool {
	if len(s) != 15 && len(s) != 18 || !strings.HasPrefix(s, prefix) {
		return false
	}
	return strings.IndexFunc(s, func(c rune) bool { return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') }) < 0
}

// long gives an id of 15 characters the three check letters that others are written with: one for each five
// characters, whose number in binary says which of them are capitals.
func long(id string) string {
	if len(id) != 15 {
		return id
	}
	for i := 0; i < 15; i += 5 {
		n := 0
		for j := range 5 {
			if c := id[i+j]; 'A' <= c && c <= 'Z' {
				n |= 1 << j
			}
		}
		id += "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[n : n+1]
	}
	return id
}

// isToken accepts what can stand in a header (RFC 6749 appendix A.12: VSCHAR), without spaces.
func isToken(s string) bool {
	return s != "" && len(s) <= maxToken && strings.IndexFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) < 0
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}
