package login

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	jwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	// year10000 in seconds is beyond what an expiry in seconds says: clients write milliseconds too.
	year10000 = 253402300800
)

// assertion signs in whom an app vouches for (RFC 7523): signed with RS256 by the key that the app is registered with,
// and nothing else.
func (d *Desk) assertion(text string) (grant, *fault) {
	refused := &fault{"invalid_grant", "invalid assertion"}
	head, rest, _ := strings.Cut(text, ".")
	body, signature, ok := strings.Cut(rest, ".")
	var header struct {
		Alg string `json:"alg"`
	}
	var claims struct {
		Iss, Sub string
		Aud      any
		Exp      json.Number
	}
	sig, err := base64.RawURLEncoding.DecodeString(signature)
	if !ok || err != nil || !decode(head, &header) || !decode(body, &claims) || header.Alg != "RS256" {
		return grant{}, refused
	}
	app, ok := d.app(claims.Iss)
	if !ok || app.Key == nil {
		return grant{}, &fault{"invalid_client_id", "client identifier invalid"}
	}
	digest := sha256.Sum256([]byte(head + "." + body))
	if rsa.VerifyPKCS1v15(app.Key, crypto.SHA256, digest[:], sig) != nil {
		return grant{}, refused
	}
	seconds, err := strconv.ParseInt(claims.Exp.String(), 10, 64)
	if seconds >= year10000 {
		seconds /= 1000
	}
	if err != nil || claims.Aud == nil || !d.Now().Before(time.Unix(seconds, 0)) {
		return grant{}, &fault{"invalid_grant", "expired assertion, or no audience"}
	}
	u := d.named(claims.Sub)
	if u == nil {
		return grant{}, &fault{"invalid_grant", "user hasn't approved this consumer"}
	}
	return grant{u.ID, app.ID}, nil
}

func decode(part string, into any) bool {
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(part, "="))
	return err == nil && json.Unmarshal(raw, into) == nil
}

// soap is the login call of Salesforce's SOAP API, which older clients begin with, and the logout call that they end with.
func (d *Desk) soap(w http.ResponseWriter, r *http.Request) {
	var call struct {
		Username string `xml:"Body>login>username"`
		Password string `xml:"Body>login>password"`

		Logout  *struct{} `xml:"Body>logout"`
		Session string    `xml:"Header>SessionHeader>sessionId"`
	}
	// Entities that a document declares are never expanded, and an unknown one is an error.
	if err := xml.NewDecoder(http.MaxBytesReader(w, r.Body, maxForm)).Decode(&call); err != nil {
		envelope(w, http.StatusInternalServerError, soapFault("sf:INVALID_SOAP", "the request can't be read"))
		return
	}
	if call.Logout != nil {
		d.leave(w, call.Session)
		return
	}
	u := d.known(call.Username, call.Password)
	if u == nil {
		envelope(w, http.StatusInternalServerError, soapFault("sf:INVALID_LOGIN", "INVALID_LOGIN: Invalid username, password, security token; or user locked out."))
		return
	}
	if d.full() {
		envelope(w, http.StatusInternalServerError, soapFault("sf:SERVER_UNAVAILABLE", crowded.Description))
		return
	}
	token, _ := d.begin(grant{u.ID, ""}, "")
	address := at(r) + "/services/Soap/u/" + r.PathValue("version") + "/" + d.Org[:15]
	envelope(w, http.StatusOK, `<loginResponse xmlns="urn:partner.soap.sforce.com"><result><metadataServerUrl>`+escape(strings.Replace(address, "/u/", "/m/", 1))+
		`</metadataServerUrl><passwordExpired>false</passwordExpired><sandbox>true</sandbox><serverUrl>`+escape(address)+`</serverUrl><sessionId>`+escape(token)+
		`</sessionId><userId>`+escape(u.ID)+`</userId><userInfo><organizationId>`+escape(d.Org)+`</organizationId><userFullName>`+escape(u.Name)+
		`</userFullName><userId>`+escape(u.ID)+`</userId><userName>`+escape(u.Username)+`</userName></userInfo></result></loginResponse>`)
}

// leave ends a session. Those that the sandbox begins with go on all the same.
func (d *Desk) leave(w http.ResponseWriter, session string) {
	if d.User(session) == "" && !d.Lasting(session) {
		envelope(w, http.StatusInternalServerError, soapFault("sf:INVALID_SESSION_ID", "INVALID_SESSION_ID: Invalid Session ID found in SessionHeader: Illegal Session"))
		return
	}
	d.mu.Lock()
	delete(d.sessions, session)
	d.mu.Unlock()
	envelope(w, http.StatusOK, `<logoutResponse xmlns="urn:partner.soap.sforce.com"/>`)
}

func soapFault(code, text string) string {
	return `<soapenv:Fault><faultcode>` + code + `</faultcode><faultstring>` + escape(text) + `</faultstring></soapenv:Fault>`
}

func envelope(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sf="urn:fault.partner.soap.sforce.com"><soapenv:Body>` + body + `</soapenv:Body></soapenv:Envelope>`))
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

func sum(s string) string {
	digest := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(digest[:])
}
