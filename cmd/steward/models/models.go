// Package models answers: what does the operator decide about models? Which one questions are put to, with whose key,
// and where that key may be sent; it doesn't know what is asked, nor who may.
package models

import (
	"net/http"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/config"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/llm/anthropic"
	"github.com/stewardhq/steward/internal/llm/register"
)

// Operator connects to providers as whoever runs the server.
type Operator struct {
	Key      string // for Anthropic's API; "" where there is none
	Endpoint string // the only address that the key is sent to: a workspace's administrators can't have it elsewhere
	Client   func(ws steward.WorkspaceID, endpoint string) (*http.Client, error)
	Now      func() time.Time
	Jitter   func() float64
}

// Key reads the key from a file that its owner alone may read; "" where none is named.
func Key(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	key, err := config.Secret(file)
	return strings.TrimSpace(string(key)), err
}

// Check refuses models of providers that Steward doesn't speak to, and aliases of others, for register.Book.
func Check(kind, model string) error {
	if kind != "anthropic" {
		return steward.Errorf(steward.Invalid, "Steward speaks to no provider of kind %q; choose anthropic", kind)
	}
	return anthropic.CheckModel(model)
}

// Open connects to a provider that a workspace registered, for register.Shelf.
func (o *Operator) Open(ws steward.WorkspaceID, p llm.Provider) (register.Connection, error) {
	switch {
	case o.Key == "":
		return nil, steward.Errorf(steward.Unavailable, "this server has no key for %s; its operator gives it with `steward serve --anthropic-key`", p.Name)
	case strings.TrimSuffix(p.Endpoint, "/") != strings.TrimSuffix(o.Endpoint, "/"):
		return nil, steward.Errorf(steward.Denied, "this server's key is for %s only; administrators register %s with that endpoint", o.Endpoint, p.Name)
	}
	client, err := o.Client(ws, o.Endpoint)
	if err != nil {
		return nil, err
	}
	return anthropic.New(anthropic.Settings{Name: p.Name, Endpoint: o.Endpoint, Key: o.Key, Client: client, Now: o.Now, Jitter: o.Jitter})
}

// Choose reads which model questions are put to, as --model names it: a provider's name, or with a slash and an exact id.
// region is --region: where one from outside is to process them.
func (o *Operator) Choose(name, region string) (provider, model string, err error) {
	provider, model, exact := strings.Cut(name, "/")
	switch {
	case provider == llm.RulesProvider && !exact:
		return provider, llm.RulesModel, nil
	case provider == "" || exact && model == "":
		return "", "", steward.Errorf(steward.Invalid, "--model is a provider's name such as %s, or with a model's exact id such as anthropic/%s", llm.RulesProvider, anthropic.DefaultModel)
	case o.Key == "" || region == "":
		return "", "", steward.Errorf(steward.Invalid, "--model %s sends questions to a provider, so it takes --anthropic-key and --region", name)
	case !exact:
		model = anthropic.DefaultModel
	}
	return provider, model, anthropic.CheckModel(model)
}
