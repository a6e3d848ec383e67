// Package login answers: how does one sign in at the sandbox org? It gives tokens over the ways that Salesforce has, and
// tells whose they are; it doesn't know what they may do.
//
// Sources: RFC 6749 (codes, refreshing, passwords, errors), RFC 7636 (PKCE), RFC 7523 (signed assertions), RFC 7009
// (revoking), RFC 7662 (introspection), and "OAuth Authorization Flows" in Salesforce's help.
package login

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// Password is every invented user's.
	Password = "sandbox"
	// App is the client id of an app that everybody may use: it has no secret, and sends people back to this machine only.
	App = "steward-sandbox"

	sessionLasts = 2 * time.Hour
	codeLasts    = 10 * time.Minute
	maxForm      = 64 << 10 // bytes of a request
	maxSessions  = 100_000  // that are kept, codes and refresh tokens included
)

// User is somebody who can sign in.
type User struct{ ID, Username, Name, Role string }

// Client is a connected app.
type Client struct {
	ID        string
	Secret    string   // "" where it has none
	Redirects []string // where people may be sent back to; none: any address of this machine
	Key       *rsa.PublicKey
	RunAs     string // whose username client credentials sign in; "" for nobody
	Rotate    bool   // a refresh token is good for one use
}

// Desk signs people in. It is safe for concurrent use; its fields are set before the first request.
type Desk struct {
	Org     string                  // its id
	Users   func() []User           // who are active
	Clients func() []Client         // besides App
	Lasting func(token string) bool // tells a token that was nobody\'s to give and can\'t be taken back
	Now     func() time.Time
	Rand    io.Reader

	mu       sync.Mutex
	sessions map[string]session // by access token
	grants   map[string]grant   // by refresh token
	codes    map[string]code
}

type grant struct{ user, client string }

type session struct {
	grant
	refresh string // that it came with, "" for none
	issued  time.Time
}

type code struct {
	grant
	redirect, challenge string
	ends                time.Time
}

// User tells whose a token is, "" where it is nobody's, or no more.
func (d *Desk) User(token string) string {
	if _, user := d.session(token); user != nil {
		return user.ID
	}
	return ""
}

// session finds the session of a token that is good, and its user; nil for none.
func (d *Desk) session(token string) (session, *User) {
	d.mu.Lock()
	s, ok := d.sessions[token]
	d.mu.Unlock()
	if !ok || !d.Now().Before(s.issued.Add(sessionLasts)) {
		return s, nil
	}
	return s, d.one(func(u User) bool { return u.ID == s.user })
}

// Routes are the paths and what answers them.
func (d *Desk) Routes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /services/oauth2/authorize":   d.ask,
		"POST /services/oauth2/authorize":  d.answer,
		"POST /services/oauth2/token":      d.token,
		"POST /services/oauth2/revoke":     d.revoke,
		"POST /services/oauth2/introspect": d.introspect,
		"POST /services/Soap/u/{version}":  d.soap,
		"POST /services/Soap/c/{version}":  d.soap,
	}
}

// fault is an OAuth error (RFC 6749 §5.2).
type fault struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (d *Desk) token(w http.ResponseWriter, r *http.Request) {
	form, ok := read(w, r)
	if !ok {
		return
	}
	if d.full() {
		send(w, http.StatusServiceUnavailable, crowded)
		return
	}
	given, refresh, wrong := d.sign(r, form)
	if wrong != nil {
		send(w, http.StatusBadRequest, wrong)
		return
	}
	token, issued := d.begin(given, refresh)
	base := at(r)
	id := base + "/id/" + d.Org + "/" + given.user
	reply := map[string]string{
		"access_token": token, "instance_url": base, "id": id, "token_type": "Bearer", "issued_at": millis(issued),
		"scope": "refresh_token openid api", "signature": sum(given.client + id + millis(issued)),
	}
	if refresh != "" {
		reply["refresh_token"] = refresh
	}
	w.Header().Set("Cache-Control", "no-store")
	send(w, http.StatusOK, reply)
}

// sign finds whom a request for a token signs in, and the refresh token that they get with it, if any.
func (d *Desk) sign(r *http.Request, form url.Values) (grant, string, *fault) {
	if form.Get("grant_type") == jwtBearer {
		g, wrong := d.assertion(form.Get("assertion"))
		return g, "", wrong
	}
	app, wrong := d.client(r, form)
	if wrong != nil {
		return grant{}, "", wrong
	}
	switch form.Get("grant_type") {
	case "password":
		u := d.known(form.Get("username"), form.Get("password"))
		if u == nil {
			return grant{}, "", &fault{"invalid_grant", "authentication failure"}
		}
		g := grant{u.ID, app.ID}
		return g, d.refreshed(g), nil
	case "authorization_code":
		return d.redeem(app, form)
	case "refresh_token":
		return d.renew(app, form.Get("refresh_token"))
	case "client_credentials":
		u := d.named(app.RunAs)
		if app.Secret == "" || u == nil {
			return grant{}, "", &fault{"invalid_grant", "no client credentials user enabled"}
		}
		return grant{u.ID, app.ID}, "", nil
	}
	return grant{}, "", &fault{"unsupported_grant_type", "grant type not supported"}
}

// client finds the app that asks, by its secret where it has one.
func (d *Desk) client(r *http.Request, form url.Values) (Client, *fault) {
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	app, ok := d.app(id)
	if !ok {
		return app, &fault{"invalid_client_id", "client identifier invalid"}
	}
	if app.Secret != "" && subtle.ConstantTimeCompare([]byte(app.Secret), []byte(secret)) != 1 {
		return app, &fault{"invalid_client", "invalid client credentials"}
	}
	return app, nil
}

func (d *Desk) app(id string) (Client, bool) {
	if id == App {
		return Client{ID: App}, true
	}
	all := d.Clients()
	i := slices.IndexFunc(all, func(c Client) bool { return c.ID == id })
	if i < 0 {
		return Client{}, false
	}
	return all[i], true
}

// known finds a user by name and password.
func (d *Desk) known(username, password string) *User {
	if subtle.ConstantTimeCompare([]byte(password), []byte(Password)) != 1 {
		return nil
	}
	return d.named(username)
}

// named finds a user by name, in any case; nil for none.
func (d *Desk) named(username string) *User {
	return d.one(func(u User) bool { return strings.EqualFold(u.Username, username) })
}

// one finds a user; nil for none, or none who is active.
func (d *Desk) one(is func(User) bool) *User {
	all := d.Users()
	if i := slices.IndexFunc(all, is); i >= 0 {
		return &all[i]
	}
	return nil
}

// redeem takes a code, which is good for one try.
func (d *Desk) redeem(app Client, form url.Values) (grant, string, *fault) {
	d.mu.Lock()
	c, ok := d.codes[form.Get("code")]
	delete(d.codes, form.Get("code"))
	d.mu.Unlock()
	verified := c.challenge == ""
	if !verified {
		given := sha256.Sum256([]byte(form.Get("code_verifier")))
		verified = subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(given[:])), []byte(c.challenge)) == 1
	}
	switch {
	case !ok || !d.Now().Before(c.ends) || c.client != app.ID:
		return grant{}, "", &fault{"invalid_grant", "expired or invalid authorization code"}
	case c.redirect != form.Get("redirect_uri"):
		return grant{}, "", &fault{"redirect_uri_mismatch", "redirect_uri must match configuration"}
	case !verified:
		return grant{}, "", &fault{"invalid_grant", "invalid code verifier"}
	}
	return c.grant, d.refreshed(c.grant), nil
}

// renew takes a refresh token, and gives another in its stead where the app rotates them.
func (d *Desk) renew(app Client, token string) (grant, string, *fault) {
	d.mu.Lock()
	g, ok := d.grants[token]
	ok = ok && g.client == app.ID
	if ok && app.Rotate {
		delete(d.grants, token)
	}
	d.mu.Unlock()
	switch {
	case !ok:
		return grant{}, "", &fault{"invalid_grant", "expired access/refresh token"}
	case d.one(func(u User) bool { return u.ID == g.user }) == nil:
		return grant{}, "", &fault{"inactive_user", "user is inactive"}
	case app.Rotate:
		return g, d.refreshed(g), nil
	}
	return g, token, nil
}

// refreshed makes a refresh token.
func (d *Desk) refreshed(g grant) string {
	token := "5Aep861" + d.random(48)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.grants == nil {
		d.grants = map[string]grant{}
	}
	d.grants[token] = g
	return token
}

// begin makes an access token of the form that clients look for: the org's id of 15 characters, "!", and letters.
func (d *Desk) begin(g grant, refresh string) (string, time.Time) {
	token, now := d.Org[:15]+"!"+d.random(60), d.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sessions == nil {
		d.sessions = map[string]session{}
	}
	d.sessions[token] = session{g, refresh, now}
	return token, now
}

var crowded = fault{"server_error", "too many people are signed in; restart the sandbox"}

// full tells whether no more is kept. What has ended makes room.
func (d *Desk) full() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := func() int { return len(d.sessions) + len(d.grants) + len(d.codes) }
	if kept() < maxSessions {
		return false
	}
	maps.DeleteFunc(d.sessions, func(_ string, s session) bool { return !d.Now().Before(s.issued.Add(sessionLasts)) })
	maps.DeleteFunc(d.codes, func(_ string, c code) bool { return !d.Now().Before(c.ends) })
	return kept() >= maxSessions
}

// at is the address that a client reached the org at.
func at(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// revoke ends a token: a refresh token with every session that came of it.
func (d *Desk) revoke(w http.ResponseWriter, r *http.Request) {
	form, ok := read(w, r)
	if !ok {
		return
	}
	token := form.Get("token")
	switch {
	case d.Lasting(token):
		send(w, http.StatusForbidden, fault{"invalid_request", "the tokens that this sandbox begins with can't be revoked"})
	case !d.drop(token):
		send(w, http.StatusBadRequest, fault{"unsupported_token_type", "this token is not supported"})
	}
}

// drop forgets a token and all that came of it, and tells whether there was one.
func (d *Desk) drop(token string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, access := d.sessions[token]
	_, refresh := d.grants[token]
	delete(d.grants, token)
	maps.DeleteFunc(d.sessions, func(t string, s session) bool { return t == token || s.refresh == token })
	return access || refresh
}

// introspect tells an app what a token of its own is worth.
func (d *Desk) introspect(w http.ResponseWriter, r *http.Request) {
	form, ok := read(w, r)
	if !ok {
		return
	}
	app, wrong := d.client(r, form)
	if wrong != nil {
		send(w, http.StatusUnauthorized, wrong)
		return
	}
	s, user := d.session(form.Get("token"))
	if user == nil || s.client != app.ID {
		send(w, http.StatusOK, map[string]any{"active": false})
		return
	}
	send(w, http.StatusOK, map[string]any{
		"active": true, "scope": "api refresh_token openid", "client_id": app.ID, "username": user.Username, "sub": d.Org + "/" + user.ID,
		"token_type": "access_token", "iat": s.issued.Unix(), "exp": s.issued.Add(sessionLasts).Unix(),
	})
}

// read parses a form of the body; what stands in the address is no parameter.
func read(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		send(w, http.StatusBadRequest, fault{"invalid_request", "the form can't be read"})
		return nil, false
	}
	return r.PostForm, true
}

func send(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// random gives letters and digits.
func (d *Desk) random(n int) string {
	b := make([]byte, n)
	d.mu.Lock() // a reader needn't be safe for concurrent use
	_, err := io.ReadFull(d.Rand, b)
	d.mu.Unlock()
	if err != nil {
		panic("sandbox: no randomness: " + err.Error())
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._"
	for i := range b {
		b[i] = letters[b[i]%64]
	}
	return string(b)
}
