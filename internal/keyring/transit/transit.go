// Package transit answers: what encrypts the root key's file? Keys that OpenBao or HashiCorp Vault keeps,
// one for each root key, in its transit engine; it doesn't know what the root key opens.
package transit

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/openbao/openbao/api/v2"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
)

// Config is what has to be known of a key server.
type Config struct {
	Address   string       // such as "https://bao.example.com:8200"; without TLS on this machine only
	Namespace string       // "" for the root namespace
	Mount     string       // where the transit engine is enabled, "transit" by default
	Prefix    string       // begins the names of our keys, so that a policy can name them; "steward" by default
	TokenFile string       // holds a token; nobody but its owner may read it. Read again for every request
	Client    *http.Client // which makes all requests

	// Backups is how long backups of the server are kept. A key that was destroyed can be brought back
	// from one by whoever can restore it and unseal what they restored.
	Backups time.Duration
}

// Engine is a keyring.Wrapping. It is safe for concurrent use, by several processes too.
type Engine struct {
	config Config
	api    *api.Client
}

var _ keyring.Wrapping = (*Engine)(nil)

// How long one request may take, and how soon it is made again while the server hands over to another.
const (
	timeout   = 10 * time.Second
	retries   = 2
	retryWait = 150 * time.Millisecond
)

// New checks the settings. It asks the server nothing, and nothing is taken from the environment.
func New(c Config) (*Engine, error) {
	if c.Mount == "" {
		c.Mount = "transit"
	}
	if c.Prefix == "" {
		c.Prefix = "steward"
	}
	at, err := url.Parse(c.Address)
	if err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http" || strings.Trim(at.Path, "/") != "" || at.User != nil {
		return nil, steward.Errorf(steward.Invalid, "the key server's address is not like https://bao.example.com:8200")
	}
	if ip := net.ParseIP(at.Hostname()); at.Scheme == "http" && !ip.IsLoopback() {
		return nil, steward.Errorf(steward.Invalid, "the root key would travel to %s unencrypted; give an address that begins with https://", at.Host)
	}
	if c.Backups < 0 {
		return nil, steward.Errorf(steward.Invalid, "backups of the key server are kept for some time, or for 0")
	}
	settings := api.NewConfig() // which, unlike its default, reads no environment
	settings.Address, settings.HttpClient, settings.DisableRedirects = c.Address, c.Client, true
	settings.Timeout, settings.MaxRetries = timeout, retries
	settings.MinRetryWait, settings.MaxRetryWait = retryWait, 2*retryWait
	settings.CheckRetry = again
	client, err := api.NewClient(settings)
	if err != nil {
		return nil, fmt.Errorf("transit: %w", err)
	}
	client.SetNamespace(c.Namespace)
	client.SetWrappingLookupFunc(api.BaseWrappingLookupFunc) // the default looks into the environment
	return &Engine{config: c, api: client}, nil
}

var errElsewhere = errors.New("transit: the answer is a redirection")

// again refuses redirections, which the client would take for success.
func again(ctx context.Context, answer *http.Response, err error) (bool, error) {
	if err == nil && answer.StatusCode >= 300 && answer.StatusCode < 400 {
		return false, errElsewhere
	}
	return api.DefaultRetryPolicy(ctx, answer, err)
}

// Horizon is keyring.Wrapping's.
func (e *Engine) Horizon() time.Duration { return e.config.Backups }

// Wrap is keyring.Wrapping's.
func (e *Engine) Wrap(ctx context.Context, name, text string) (string, error) {
	server, err := e.signedIn()
	if err != nil {
		return "", err
	}
	_, err = server.WriteWithContext(ctx, e.path("keys", name), map[string]any{
		"type": "aes256-gcm96", "exportable": false, "allow_plaintext_backup": false,
	})
	if err != nil {
		return "", e.explain(ctx, "make a key", err)
	}
	// A crash from here on leaves a key that wraps nothing.
	answer, err := server.WriteWithContext(ctx, e.path("encrypt", name), map[string]any{
		"plaintext": base64.StdEncoding.EncodeToString([]byte(text)),
	})
	if err != nil {
		return "", e.explain(ctx, "encrypt", err)
	}
	wrapped, err := field(answer, "ciphertext")
	if err == nil && strings.ContainsAny(wrapped, " \n") {
		err = errors.New("transit: the ciphertext has spaces")
	}
	return wrapped, err
}

// Unwrap is keyring.Wrapping's.
func (e *Engine) Unwrap(ctx context.Context, name, wrapped string) (string, error) {
	server, err := e.signedIn()
	if err != nil {
		return "", err
	}
	answer, err := server.WriteWithContext(ctx, e.path("decrypt", name), map[string]any{"ciphertext": wrapped})
	if status(err) == http.StatusBadRequest && e.missing(ctx, name) {
		return "", fmt.Errorf("%w: %w", keyring.ErrUnwrappable, err)
	}
	if err != nil {
		return "", e.explain(ctx, "decrypt", err)
	}
	plain, err := field(answer, "plaintext")
	if err != nil {
		return "", err
	}
	text, err := base64.StdEncoding.DecodeString(plain)
	if err != nil {
		return "", errors.New("transit: the plaintext is not in base64") // without the text that isn't
	}
	return string(text), nil
}

// Destroy is keyring.Wrapping's.
func (e *Engine) Destroy(ctx context.Context, name string) error {
	server, err := e.signedIn()
	if err != nil {
		return err
	}
	key := e.path("keys", name)
	_, err = server.WriteWithContext(ctx, key+"/config", map[string]any{"deletion_allowed": true})
	if err == nil {
		// A crash here leaves the key, until Destroy is repeated.
		_, err = server.DeleteWithContext(ctx, key)
	}
	// That it is gone is what receipts rest on, so we look; another process may have been quicker, too.
	if (err == nil || status(err) == http.StatusBadRequest) && e.missing(ctx, name) {
		return nil
	}
	if err == nil {
		err = errors.New("transit: a key that was deleted is there still, or can't be looked for")
	}
	return e.explain(ctx, "destroy a key", err)
}

// Renew has the token's life prolonged, as far as the server allows it, and says after what time to do so
// again: half of what it has left; 0 for a token that doesn't end.
func (e *Engine) Renew(ctx context.Context) (time.Duration, error) {
	if _, err := e.signedIn(); err != nil {
		return 0, err
	}
	token, err := e.api.Auth().Token().LookupSelfWithContext(ctx)
	if err != nil {
		return 0, e.explain(ctx, "look at its token", err)
	}
	if renewable, err := token.TokenIsRenewable(); err != nil {
		return 0, fmt.Errorf("transit: %w", err)
	} else if renewable {
		if token, err = e.api.Auth().Token().RenewSelfWithContext(ctx, 0); err != nil {
			return 0, e.explain(ctx, "renew its token", err)
		}
	}
	left, err := token.TokenTTL()
	if err != nil {
		return 0, fmt.Errorf("transit: %w", err)
	}
	return left / 2, nil
}

func (e *Engine) path(operation, name string) string {
	return e.config.Mount + "/" + operation + "/" + e.config.Prefix + "-" + name
}

// signedIn is the client with the token that the file holds now.
func (e *Engine) signedIn() (*api.Logical, error) {
	file := e.config.TokenFile
	info, err := os.Stat(file)
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, steward.Errorf(steward.Unavailable, "others may read the key server's token; run: chmod 600 %s", file)
	}
	var token []byte
	if err == nil {
		token, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, steward.Errorf(steward.Unavailable, "the key server's token can't be read from %s; put one there that only Steward may read", file).Because(err)
	}
	e.api.SetToken(strings.TrimSpace(string(token)))
	return e.api.Logical(), nil
}

// missing tells whether the server says that it has no key of this name. It says the same where it has no
// transit engine, so ask only once that has answered.
func (e *Engine) missing(ctx context.Context, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, err := e.api.Logical().ReadRawWithContext(ctx, e.path("keys", name))
	if answer != nil {
		_ = answer.Body.Close()
	}
	return status(err) == http.StatusNotFound
}

// field is one text in an answer.
func field(answer *api.Secret, name string) (string, error) {
	if answer != nil {
		if text, ok := answer.Data[name].(string); ok && text != "" {
			return text, nil
		}
	}
	return "", fmt.Errorf("transit: the answer has no %s", name)
}

// status is the HTTP status of a refusal, 0 where there was no answer.
func status(err error) int {
	var refusal *api.ResponseError
	if errors.As(err, &refusal) {
		return refusal.StatusCode
	}
	return 0
}

// explain tells the operator what to do so that we can do what we wanted.
func (e *Engine) explain(ctx context.Context, wanted string, err error) error {
	unavailable := func(format string, args ...any) error {
		return steward.Errorf(steward.Unavailable, format, args...).Because(err)
	}
	c := e.config
	var certificate *tls.CertificateVerificationError
	switch s := status(err); {
	case errors.As(err, &certificate):
		return unavailable("the certificate of the key server at %s can't be trusted; name the authority that signed it, and the host as the certificate does", c.Address)
	case errors.Is(err, errElsewhere):
		return unavailable("the key server at %s sends requests elsewhere; give the address of one that answers them itself", c.Address)
	case s == 0:
		return unavailable("the key server at %s can't be reached; check that it runs, its address and the network", c.Address)
	case s == http.StatusServiceUnavailable:
		return unavailable("the key server at %s is sealed or just starting; unseal it", c.Address)
	case s == http.StatusForbidden:
		if _, err := e.api.Auth().Token().LookupSelfWithContext(ctx); status(err) == http.StatusForbidden {
			return unavailable("the key server at %s doesn't know the token in %s, or not any more; put a new one there", c.Address, c.TokenFile)
		}
		return unavailable("the key server at %s doesn't let Steward %s; the policy of the token in %s needs:\n%s", c.Address, wanted, c.TokenFile, e.policy())
	case s == http.StatusNotFound:
		return unavailable("the key server at %s has no transit engine at %s; enable it there, or say where it is with ?mount=… behind the address", c.Address, c.Mount)
	}
	return unavailable("the key server at %s can't %s; its log and Steward's say why", c.Address, wanted)
}

// policy is what the token must be allowed.
func (e *Engine) policy() string {
	return fmt.Sprintf(`path "%[1]s/keys/%[2]s-*" { capabilities = ["create", "read", "update", "delete"] }
path "%[1]s/encrypt/%[2]s-*" { capabilities = ["update"] }
path "%[1]s/decrypt/%[2]s-*" { capabilities = ["update"] }`, e.config.Mount, e.config.Prefix)
}
