// Package config answers: what can be set, and what holds where nobody sets it? Every setting is
// documented once, on its field; it doesn't know what anything does with them.
package config

import (
	"flag"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stewardhq/steward"
)

// Server is what `steward init`, `serve` and `verify` can be told.
type Server struct {
	// Data is the folder with the databases and, where it isn't kept elsewhere, the root key. Flag
	// --data; by default steward in the user's data folder ($XDG_DATA_HOME, else ~/.local/share).
	Data string
	// Listen is the address to serve on, host and port; port 0 picks a free one. Flag --listen; by
	// default 127.0.0.1:7878. Only loopback addresses, since Steward itself speaks no TLS yet.
	Listen string
	// Today is the day that the server takes for today, for demonstrations and tests; the time of day
	// stays the real one. Flag --today, such as 2026-11-23; by default the real day.
	Today Day
	// KeyringCopies are folders, best on other disks, that are kept the same as the keyring: a key is used once
	// all of them have it. Losing the keyring loses everything, and it isn't part of data backups. Flag
	// --keyring-copy, as often as needed; by default none.
	KeyringCopies []string
	// Checkpoints is a file that each signed checkpoint of each ledger is added to, best on a disk that whoever
	// runs the server can't write otherwise: `steward verify --known` holds the ledgers against it. Flag
	// --checkpoints; by default none.
	Checkpoints string
	// Store is the Postgres database to keep the data in, postgres://…; by default a SQLite file in the data
	// folder. Flag --store or STEWARD_STORE; the variable is better where it holds a password.
	Store string
	// KeyringStore is the Postgres database to keep the keyring in, another one than the data's. Flag
	// --keyring-store or STEWARD_KEYRING_STORE; by default a SQLite file in the data folder.
	KeyringStore string
	// Objects is where the sealed segments of the ledgers go: a folder, or a bucket with Object Lock as
	// s3://bucket/prefix?region=eu-central-1, with &endpoint=https://… for other servers than Amazon's. Flag
	// --objects; by default the folder objects in the data folder. A bucket's credentials are in
	// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
	Objects string
	AWS     AWS
	// KeyServer is the address of an OpenBao or HashiCorp Vault server whose transit engine encrypts the file
	// of the root key. Where that isn't enabled as transit in the root namespace, or several Stewards share it,
	// ?namespace=…&mount=…&prefix=… say so. Flag --key-server; by default none.
	KeyServer string
	// KeyServerToken is a file with the token for it, readable by its owner only. Flag --key-server-token.
	KeyServerToken string
	// KeyServerBackups is how long backups of the key server are kept, within which what was forgotten might be
	// brought back from them. Flag --key-server-backups, such as 168h; by default 7 days.
	KeyServerBackups time.Duration
	// EraseWithin is how many days after somebody asked that a person be forgotten that is to be complete: what is
	// later is called overdue. Flag --erase-within; by default 30, at most 90.
	EraseWithin int
	// Witnesses cosign checkpoints: each a verifier key, a space and a URL (C2SP tlog-witness). Flag --witness,
	// as often as needed; by default none.
	Witnesses []string
	// Quorum is how many of them it takes. Flag --quorum; by default all.
	Quorum int
	// PublicURL is how browsers reach this server, https://steward.acme.example; Salesforce sends them back to
	// /connect/salesforce/callback there. Flag --public-url; by default the loopback address that it is asked at.
	PublicURL  string
	Salesforce Salesforce
	// Model is whom questions are put to: a provider's name, perhaps with a slash and a model's exact id. The rules that
	// are built in send nothing anywhere; any other provider has to be registered by each workspace. Flag --model, such
	// as anthropic; by default rules.
	Model string
	// Region is where this server's workspaces want a provider to process what it is sent, as their arrangements name it.
	// Flag --region, such as eu; by default none, and no provider from outside may be used.
	Region string
	// AnthropicKeyFile is a file with the key for Anthropic's API, readable by its owner only. Flag --anthropic-key; by
	// default none.
	AnthropicKeyFile string
	// AnthropicEndpoint is the only address that the key is ever sent to. Flag --anthropic-endpoint; by default
	// https://api.anthropic.com.
	AnthropicEndpoint string
	// Webhook is a URL that the newest checkpoint of each ledger is sent to (Standard Webhooks). Flag --webhook;
	// by default none. It is signed with STEWARD_WEBHOOK_SECRET, whsec_….
	Webhook       string
	WebhookSecret string
}

// Salesforce is the External Client App that members sign in to Salesforce with.
type Salesforce struct {
	// ClientID is the app's consumer key. Flag --salesforce-client-id; by default none, and nobody can sign in.
	ClientID string
	// SecretFile is a file with the app's consumer secret, readable by its owner only. Flag
	// --salesforce-client-secret; by default none, for apps that require none.
	SecretFile string
	// Logins are the only login servers that anybody is sent to and that tokens come from, such as an org's own
	// https://acme.my.salesforce.com; http for a sandbox on this machine only. Flag --salesforce-login, as often as
	// needed; by default https://login.salesforce.com.
	Logins []string
	// KeyFile is a file with the RSA key, in PEM and readable by its owner only, whose certificate the app has: for
	// service users, who don't sign in with a browser. Flag --salesforce-key; by default none.
	KeyFile string
}

// AWS is what requests to a bucket are signed with.
type AWS struct{ AccessKey, SecretKey, Session string }

// Client is what every command that talks to a server can be told.
type Client struct {
	// URL is where the server is. Flag --url or STEWARD_URL; by default http://127.0.0.1:7878.
	URL string
	// Token is the API token to sign in with. Flag --token or STEWARD_TOKEN; the variable is better,
	// since others can see flags in the list of processes.
	Token string
}

// DefaultListen is where a server listens, and so where clients look for it.
const DefaultListen = "127.0.0.1:7878"

// ForServer gives the defaults of a server. env reads an environment variable, "" where it isn't set.
func ForServer(env func(string) string) Server {
	data := env("XDG_DATA_HOME")
	if !filepath.IsAbs(data) { // the XDG specification says to ignore others
		data = filepath.Join(env("HOME"), ".local", "share")
	}
	return Server{
		Data: filepath.Join(data, "steward"), Listen: DefaultListen, Store: env("STEWARD_STORE"), KeyringStore: env("STEWARD_KEYRING_STORE"),
		AWS:              AWS{env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY"), env("AWS_SESSION_TOKEN")},
		KeyServerBackups: 7 * 24 * time.Hour, EraseWithin: 30, AnthropicEndpoint: "https://api.anthropic.com", WebhookSecret: env("STEWARD_WEBHOOK_SECRET"),
	}
}

// ForClient gives what the environment says to a client.
func ForClient(env func(string) string) Client {
	c := Client{URL: env("STEWARD_URL"), Token: env("STEWARD_TOKEN")}
	if c.URL == "" {
		c.URL = "http://" + DefaultListen
	}
	return c
}

// DataFlag lets a flag set the data folder.
func (s *Server) DataFlag(f *flag.FlagSet) {
	f.StringVar(&s.Data, "data", s.Data, "the `folder` that holds everything Steward keeps")
}

// StoreFlags lets flags say where everything is kept.
func (s *Server) StoreFlags(f *flag.FlagSet) {
	s.DataFlag(f)
	f.Func("store", "the Postgres database to keep the data in, as a `URL` (or set STEWARD_STORE)", func(url string) error { s.Store = url; return nil })
	f.Func("keyring-store", "the Postgres database to keep the keyring in, as a `URL` (or set STEWARD_KEYRING_STORE)", func(url string) error { s.KeyringStore = url; return nil })
	f.StringVar(&s.Objects, "objects", s.Objects, "the `place` for sealed segments of the ledgers: a folder, or s3://bucket/prefix?region=…")
	f.StringVar(&s.KeyServer, "key-server", s.KeyServer, "the `address` of an OpenBao or Vault server that encrypts the root key's file")
	f.StringVar(&s.KeyServerToken, "key-server-token", s.KeyServerToken, "a `file` with the token for the key server")
	f.Func("keyring-copy", "a `folder` on another disk to keep the same as the keyring (may be given several times)", func(dir string) error {
		s.KeyringCopies = append(s.KeyringCopies, dir)
		return nil
	})
	f.DurationVar(&s.KeyServerBackups, "key-server-backups", s.KeyServerBackups, "how `long` backups of the key server are kept")
}

// EraseFlag lets a flag say when an erasure is overdue.
func (s *Server) EraseFlag(f *flag.FlagSet) {
	f.IntVar(&s.EraseWithin, "erase-within", s.EraseWithin, "how many `days` an erasure may take before it is overdue")
}

// CheckErase refuses days that no erasure could keep, or that are too many for those who ask.
func (s *Server) CheckErase() error {
	least := 1
	if s.KeyServer != "" {
		least += int(s.KeyServerBackups / (24 * time.Hour))
	}
	if s.EraseWithin < least || s.EraseWithin > 90 {
		return steward.Errorf(steward.Invalid, "--erase-within takes %d to 90 days here: backups of the key server have to be gone by then, and whoever asks has to be answered", least)
	}
	return nil
}

// WitnessFlags lets flags name witnesses.
func (s *Server) WitnessFlags(f *flag.FlagSet) {
	f.Func("witness", "a `witness` that cosigns checkpoints, as \"KEY URL\" (may be given several times)", func(w string) error {
		s.Witnesses = append(s.Witnesses, w)
		return nil
	})
	f.IntVar(&s.Quorum, "quorum", s.Quorum, "how `many` witnesses it takes; all by default")
}

// WebhookFlag lets a flag name the webhook.
func (s *Server) WebhookFlag(f *flag.FlagSet) {
	f.StringVar(&s.Webhook, "webhook", s.Webhook, "the `URL` to send each ledger's newest checkpoint to, signed with STEWARD_WEBHOOK_SECRET")
}

// SalesforceFlags lets flags say how members sign in to Salesforce.
func (s *Server) SalesforceFlags(f *flag.FlagSet) {
	f.StringVar(&s.PublicURL, "public-url", s.PublicURL, "how browsers reach this server, as a `URL`")
	f.StringVar(&s.Salesforce.ClientID, "salesforce-client-id", s.Salesforce.ClientID, "the consumer `key` of the External Client App that members sign in with")
	f.StringVar(&s.Salesforce.SecretFile, "salesforce-client-secret", s.Salesforce.SecretFile, "a `file` with its consumer secret, where it has one")
	f.StringVar(&s.Salesforce.KeyFile, "salesforce-key", s.Salesforce.KeyFile, "a `file` with the RSA key to sign in service users with")
	f.Func("salesforce-login", "the `address` of a login server that members may sign in at (may be given several times; default "+defaultLogin+")", func(login string) error {
		s.Salesforce.Logins = append(s.Salesforce.Logins, login)
		return nil
	})
}

// ModelFlags lets flags choose the model.
func (s *Server) ModelFlags(f *flag.FlagSet) {
	f.StringVar(&s.Model, "model", s.Model, "the `provider` of models that questions are put to, as NAME or NAME/MODEL; the built-in rules by default")
	f.StringVar(&s.Region, "region", s.Region, "where providers may process what they are sent, as a `name` that arrangements have")
	f.StringVar(&s.AnthropicKeyFile, "anthropic-key", s.AnthropicKeyFile, "a `file` with the key for Anthropic's API")
	f.StringVar(&s.AnthropicEndpoint, "anthropic-endpoint", s.AnthropicEndpoint, "the only `address` that the key is sent to")
}

// LoginServers gives Logins, or the default where there are none.
func (s Salesforce) LoginServers() []string {
	if len(s.Logins) == 0 {
		return []string{defaultLogin}
	}
	return s.Logins
}

const defaultLogin = "https://login.salesforce.com"

// ListenFlag lets a flag set the address.
func (s *Server) ListenFlag(f *flag.FlagSet) {
	f.StringVar(&s.Listen, "listen", s.Listen, "the loopback `address` to serve on; port 0 picks a free one")
}

// TodayFlag lets a flag set the day.
func (s *Server) TodayFlag(f *flag.FlagSet) {
	f.Var(&s.Today, "today", "the `date` to take for today, such as 2026-11-23")
}

// CheckpointsFlag lets a flag name the file of checkpoints.
func (s *Server) CheckpointsFlag(f *flag.FlagSet) {
	f.StringVar(&s.Checkpoints, "checkpoints", s.Checkpoints, "the `file` to add each signed checkpoint to, for `steward verify --known`")
}

// Flags lets flags win over the environment.
func (c *Client) Flags(f *flag.FlagSet) {
	f.StringVar(&c.URL, "url", c.URL, "the server's `address` (or set STEWARD_URL)")
	f.Func("token", "the API `token` to sign in with (better: set STEWARD_TOKEN, flags show in process lists)",
		func(s string) error { c.Token = s; return nil })
}

// CheckListen refuses an address that isn't one, or that others than this machine could reach.
func CheckListen(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return steward.Errorf(steward.Invalid, "%q is no address to listen on; write it like 127.0.0.1:7878", address)
	}
	if isLoopback(host) {
		return nil
	}
	return steward.Errorf(steward.Invalid,
		"listening on %s would send everything unencrypted; bind to 127.0.0.1 and put a TLS proxy in front of it", address)
}

// CheckPublicURL refuses an address that browsers couldn't be sent back to safely, and gives it without a slash at its end.
func CheckPublicURL(address string) (string, error) {
	u, err := url.Parse(strings.TrimRight(address, "/"))
	if err == nil && u.Host != "" && u.Path == "" && u.RawQuery == "" && u.Fragment == "" && u.User == nil &&
		(u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname())) {
		return u.String(), nil
	}
	return "", steward.Errorf(steward.Invalid, "%q is no address for browsers; write it like https://steward.acme.example, without a path", address)
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// Day is a date as a flag. Its zero value is no date.
type Day struct{ time.Time }

// String writes the date, "" for none.
func (d *Day) String() string {
	if d == nil || d.IsZero() {
		return ""
	}
	return d.Format(time.DateOnly)
}

// Set reads a date such as 2026-11-23, as midnight in UTC.
func (d *Day) Set(s string) error {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return steward.Errorf(steward.Invalid, "%q is no date; write it like 2026-11-23", s)
	}
	d.Time = t
	return nil
}

// Clock is the real clock, or, where a day is set, that day at the real time of day, in UTC.
func (d Day) Clock(real func() time.Time) func() time.Time {
	if d.IsZero() {
		return real
	}
	// The distance is fixed at the start, so that the clock never jumps back at midnight.
	now := real().UTC()
	shift := d.Sub(now.Truncate(24 * time.Hour))
	return func() time.Time { return real().UTC().Add(shift) }
}

// Secret reads a file that nobody but its owner may read.
func Secret(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, steward.Errorf(steward.Invalid, "%s can be read by others on this machine; chmod 600 it", name)
	}
	file, err := os.ReadFile(name)
	if err != nil {
		return nil, steward.Errorf(steward.Invalid, "%s can't be read; give its path and the right to read it", name).Because(err)
	}
	return file, nil
}
