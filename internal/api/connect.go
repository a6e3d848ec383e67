package api

import (
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/signin"
)

// connectPath is where browsers go; what they bring back goes to callbackPath, which Salesforce knows.
const (
	connectPath  = "/connect/salesforce"
	callbackPath = connectPath + "/callback"
)

// beginSignIn starts connecting the caller's own account with a browser.
func (s *Server) beginSignIn(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	body, err := read[struct {
		System      string `json:"system"`
		InstanceURL string `json:"instance_url"`
		ClientID    string `json:"client_id"`
	}](r)
	if err != nil {
		return err
	}
	base, err := s.base(r)
	if err != nil {
		return err
	}
	row, link, err := s.SignIns.Begin(r.Context(), caller, steward.ConnectionID(body.System), body.InstanceURL, body.ClientID)
	if err != nil {
		return err
	}
	reply(w, http.StatusCreated, wire.SignIn{ID: row.ID, URL: base + connectPath + "?link=" + link.String(), Status: string(row.Status), Expires: row.Expires})
	return nil
}

// signInStatus says how far it came. It is the caller's own and holds nothing of anybody, so looking isn't on record.
func (s *Server) signInStatus(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	row, err := s.SignIns.Look(r.Context(), caller, r.PathValue("id"))
	if err != nil {
		return err
	}
	answer := wire.SignIn{ID: row.ID, Status: string(row.Status), Expires: row.Expires}
	if row.Kind != "" {
		answer.Error = &wire.Problem{Kind: row.Kind, Message: row.Message}
	}
	reply(w, http.StatusOK, answer)
	return nil
}

// base is how browsers reach this server. Only an address that the operator set is believed, or this machine's.
func (s *Server) base(r *http.Request) (string, error) {
	if s.PublicURL != "" {
		return s.PublicURL, nil
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(r.Host); err == nil {
		host = name
	}
	if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); host != "localhost" && (err != nil || !addr.IsLoopback()) {
		return "", steward.Errorf(steward.Invalid, "this server doesn't know its own address for browsers; its operator names it with --public-url")
	}
	return "http://" + r.Host, nil
}

// page is what a browser is shown: no scripts, no styles, nothing from elsewhere.
var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{{.Title}} · Steward</title>{{if .To}}<meta http-equiv="refresh" content="0; url={{.To}}">{{end}}</head>
<body>
<main>
<h1>{{.Title}}</h1>
{{range .Text}}<p>{{.}}</p>
{{end}}{{if .Link}}<form method="post" action="` + connectPath + `"><input type="hidden" name="link" value="{{.Link}}"><button>Go on to Salesforce</button></form>
{{end}}{{if .To}}<p><a href="{{.To}}">Go on to Salesforce</a></p>
{{end}}</main>
</body>
</html>
`))

type shownPage struct {
	Title string
	Text  []string
	Link  string // to be sent by the page's form
	To    string // where the page leads to by itself
}

func (s *Server) showPage(w http.ResponseWriter, r *http.Request, status int, p shownPage) {
	head(w, "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'")
	w.Header().Set("Referrer-Policy", "same-origin") // the address holds a secret
	w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
	w.WriteHeader(status)
	if err := page.Execute(w, p); err != nil {
		s.Log.LogAttrs(r.Context(), slog.LevelInfo, "a page was not sent to its end", slog.Any("error", err))
	}
}

// browsed is the way every request of a browser comes in: an error becomes a status and a page that says what to do.
func (s *Server) browsed(h func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if err := h(w, r); err != nil {
			kind := s.logged(r, err)
			s.showPage(w, r, statuses[kind], shownPage{Title: "Not connected", Text: []string{sentence(steward.Message(err))}})
		}
	}
}

// invite shows whose account a link would connect, and asks whether to go on.
func (s *Server) invite(w http.ResponseWriter, r *http.Request) error {
	link, err := signin.ParseTicket(r.URL.Query().Get("link"))
	if err != nil {
		return err
	}
	to, err := s.SignIns.Invite(r.Context(), link)
	if err != nil {
		return err
	}
	s.showPage(w, r, http.StatusOK, shownPage{
		Title: "Connect Salesforce", Link: link.String(),
		Text: []string{
			"Steward will act in Salesforce as the user who signs in there next, whenever " + to.Email + " of the workspace " + to.Workspace + " asks it to.",
			"Go on only if you are " + to.Email + " and asked for this yourself just now. If somebody sent you this link, close the page.",
		},
	})
	return nil
}

// depart uses the link up and sends the browser to Salesforce.
func (s *Server) depart(w http.ResponseWriter, r *http.Request) error {
	if err := http.NewCrossOriginProtection().Check(r); err != nil { // another site's form mustn't skip the page before
		return steward.Errorf(steward.Denied, "this came from another site; open the link that Steward printed").Because(err)
	}
	link, err := signin.ParseTicket(r.PostFormValue("link"))
	if err != nil {
		return err
	}
	base, err := s.base(r)
	if err != nil {
		return err
	}
	to, err := s.SignIns.Open(r.Context(), link, base+callbackPath)
	if err != nil {
		return err
	}
	cookie := s.cookie(to.ID)
	cookie.Value, cookie.MaxAge = to.Cookie, int(signin.Lifetime.Seconds())
	http.SetCookie(w, cookie)
	// A page and no redirect: a form may lead here only, and browsers hold all redirects behind it to that, which may go
	// by way of whoever signs the org's users in.
	s.showPage(w, r, http.StatusOK, shownPage{Title: "On to Salesforce", To: to.URL})
	return nil
}

// cookie ties a sign-in to the browser that began it. Lax, since it is sent when Salesforce leads back here.
func (s *Server) cookie(id string) *http.Cookie {
	c := &http.Cookie{Name: "steward_" + id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if strings.HasPrefix(s.PublicURL, "https:") {
		c.Name, c.Secure = "__Host-"+c.Name, true
	}
	return c
}

// arrive takes what Salesforce sent the browser back with.
func (s *Server) arrive(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	state, err := signin.ParseTicket(q.Get("state"))
	if err != nil {
		return err
	}
	base, err := s.base(r)
	if err != nil {
		return err
	}
	back := signin.Return{State: state, Code: q.Get("code"), Error: q.Get("error"), Issuer: q.Get("iss"), Callback: base + callbackPath}
	cookie := s.cookie(state.ID)
	if sent, err := r.Cookie(cookie.Name); err == nil {
		back.Cookie = sent.Value
	}
	to, who, err := s.SignIns.Finish(r.Context(), back)
	if err != nil {
		return err
	}
	cookie.MaxAge = -1
	http.SetCookie(w, cookie)
	s.showPage(w, r, http.StatusOK, shownPage{
		Title: "Connected",
		Text:  []string{"Steward acts in Salesforce as " + who.Username + " when " + to.Email + " asks it to. You can close this page.", "To end this: steward disconnect salesforce"},
	})
	return nil
}

// sentence makes one of a message.
func sentence(message string) string {
	if message == "" {
		return message
	}
	return strings.ToUpper(message[:1]) + message[1:] + "."
}
