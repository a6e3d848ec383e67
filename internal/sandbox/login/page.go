package login

import (
	"html/template"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// page is where people sign in. It has no scripts.
var page = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Sandbox: sign in</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:3em auto;padding:0 1em}.note{background:#fff4c2;color:#333;padding:.5em 1em}
label{display:block;margin:1em 0 .2em}select,input{font:inherit;width:100%;box-sizing:border-box}button{font:inherit;margin:1.5em .5em 0 0}.wrong{color:#b00020}</style>
<p class="note">This is a sandbox. Its people are invented, and it isn't Salesforce.</p>
{{if .Problem}}<h1>Nobody can sign in here</h1><p>{{.Problem}}</p>{{else}}<h1>Let {{.Client}} in?</h1>
{{if .Wrong}}<p class="wrong" role="alert">That isn't the password. Everybody's here is “sandbox”.</p>{{end}}
<form method="post" action="/services/oauth2/authorize">
{{range $name, $value := .Hidden}}<input type="hidden" name="{{$name}}" value="{{$value}}">
{{end}}<label for="username">Sign in as</label><select id="username" name="username">{{range .Users}}<option value="{{.Username}}">{{.Name}} ({{.Role}}), {{.Username}}</option>{{end}}</select>
<label for="password">Password</label><input id="password" name="password" type="password" autocomplete="off">
<p>It will be able to do what this user can: read and change records, until its access is revoked.</p>
<button name="decision" value="allow">Allow</button><button name="decision" value="deny">Deny</button></form>{{end}}
`))

type shown struct {
	Problem, Client string
	Wrong           bool
	Hidden          map[string]string
	Users           []User
}

// carried are the parameters that go through the page.
var carried = []string{"response_type", "client_id", "redirect_uri", "state", "scope", "code_challenge", "code_challenge_method", "login_hint"}

// ask shows the page, unless the app that sent somebody here isn't known, or would have them sent elsewhere.
func (d *Desk) ask(w http.ResponseWriter, r *http.Request) {
	if app, ok := d.asked(w, r, r.URL.Query()); ok {
		d.show(w, app, r.URL.Query(), false)
	}
}

// asked checks a request to be let in. What is wrong with the app is said here; what is wrong besides, the app is told.
func (d *Desk) asked(w http.ResponseWriter, r *http.Request, q url.Values) (Client, bool) {
	app, ok := d.app(q.Get("client_id"))
	switch {
	case !ok:
		render(w, http.StatusBadRequest, shown{Problem: "No app with this client_id is known here (invalid_client_id)."})
		return app, false
	case !app.sendsTo(q.Get("redirect_uri")):
		render(w, http.StatusBadRequest, shown{Problem: "The app may not have people sent to this redirect_uri (redirect_uri_mismatch)."})
		return app, false
	case q.Get("response_type") != "code":
		back(w, r, q, url.Values{"error": {"unsupported_response_type"}, "error_description": {"response type not supported"}})
		return app, false
	case q.Get("code_challenge") != "" && q.Get("code_challenge_method") != "" && q.Get("code_challenge_method") != "S256":
		back(w, r, q, url.Values{"error": {"invalid_request"}, "error_description": {"only S256 is supported"}})
		return app, false
	}
	return app, true
}

// sendsTo tells whether people may be sent back to an address.
func (c Client) sendsTo(address string) bool {
	if len(c.Redirects) > 0 {
		return slices.Contains(c.Redirects, address)
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || u.User != nil || u.Fragment != "" {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

func (d *Desk) answer(w http.ResponseWriter, r *http.Request) {
	form, ok := read(w, r)
	if !ok {
		return
	}
	app, ok := d.asked(w, r, form)
	if !ok {
		return
	}
	if form.Get("decision") != "allow" {
		back(w, r, form, url.Values{"error": {"access_denied"}, "error_description": {"end-user denied authorization"}})
		return
	}
	u := d.known(form.Get("username"), form.Get("password"))
	if u == nil {
		d.show(w, app, form, true)
		return
	}
	if d.full() {
		back(w, r, form, url.Values{"error": {crowded.Code}, "error_description": {crowded.Description}})
		return
	}
	given := "aPrx" + d.random(60)
	d.mu.Lock()
	if d.codes == nil {
		d.codes = map[string]code{}
	}
	d.codes[given] = code{grant{u.ID, app.ID}, form.Get("redirect_uri"), form.Get("code_challenge"), d.Now().Add(codeLasts)}
	d.mu.Unlock()
	back(w, r, form, url.Values{"code": {given}})
}

func (d *Desk) show(w http.ResponseWriter, app Client, q url.Values, wrong bool) {
	hidden := map[string]string{}
	for _, name := range carried {
		if value := q.Get(name); value != "" {
			hidden[name] = value
		}
	}
	render(w, http.StatusOK, shown{Client: app.ID, Wrong: wrong, Hidden: hidden, Users: d.Users()})
}

func render(w http.ResponseWriter, status int, s shown) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = page.Execute(w, s)
}

// back sends the browser back to the app, at an address that was checked.
func back(w http.ResponseWriter, r *http.Request, q, with url.Values) {
	to := q.Get("redirect_uri")
	if state := q.Get("state"); state != "" {
		with.Set("state", state)
	}
	separator := "?"
	if strings.Contains(to, "?") {
		separator = "&"
	}
	http.Redirect(w, r, to+separator+with.Encode(), http.StatusFound)
}
