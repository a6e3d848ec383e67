package oauth

import (
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/config"
)

// Settings are what an operator says of the app. Its zero value makes an App that can't sign anybody in.
type Settings struct {
	ClientID   string
	SecretFile string   // holds the consumer secret; "" for none
	Logins     []string // as Login reads them
	KeyFile    string   // holds the RSA key for service users, as ParseKey reads it; "" for none
}

// New makes the app. Its errors are for operators: kind Invalid, with what to change.
func New(s Settings, now func() time.Time) (*App, error) {
	a := &App{ClientID: s.ClientID, Now: now}
	if s.ClientID == "" && (s.SecretFile != "" || s.KeyFile != "") {
		return nil, steward.Errorf(steward.Invalid, "a Salesforce app's secret or key is of no use without --salesforce-client-id")
	}
	for _, raw := range s.Logins {
		login, err := Login(raw)
		if err != nil {
			return nil, err
		}
		a.Logins = append(a.Logins, login)
	}
	if s.SecretFile != "" {
		file, err := config.Secret(s.SecretFile)
		if err != nil {
			return nil, err
		}
		if a.Secret = strings.TrimSpace(string(file)); !isToken(a.Secret) {
			return nil, steward.Errorf(steward.Invalid, "%s holds no consumer secret: one line of printable characters", s.SecretFile)
		}
	}
	if s.KeyFile != "" {
		file, err := config.Secret(s.KeyFile)
		if err != nil {
			return nil, err
		}
		if a.Key, err = ParseKey(file); err != nil {
			return nil, err
		}
	}
	return a, nil
}
