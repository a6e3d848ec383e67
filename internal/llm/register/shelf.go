package register

import (
	"context"
	"reflect"
	"sync"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/llm"
)

// Connection is a provider that can be asked.
type Connection interface {
	llm.Model
	llm.Relay
}

// Shelf finds models: those that are built in, and those of providers that a workspace's administrators approved. The
// register is read each time, so that a retired provider is out of use at once.
type Shelf struct {
	Book   *Book
	Built  llm.Shelf
	Region string // where workspaces of this server want to be processed: "eu"
	// Open connects to a provider, for one workspace.
	Open func(ws steward.WorkspaceID, p llm.Provider) (Connection, error)

	mu   sync.Mutex
	open map[place]opened
}

// place is where a connection belongs: a workspace's provider.
type place struct {
	workspace steward.WorkspaceID
	provider  string
}

// opened is a connection, kept since it remembers how the provider fared, as long as the provider stays as registered.
type opened struct {
	provider llm.Provider
	Connection
}

// Model gives a provider's model if a workspace may use it now. Kind Denied where it may not; then nothing was sent.
func (s *Shelf) Model(ctx context.Context, ws steward.WorkspaceID, provider, model string) (llm.Model, llm.Terms, error) {
	if _, built := s.Built[provider]; built {
		return s.Built.Model(ctx, ws, provider, model)
	}
	return s.Relay(ctx, ws, provider, model)
}

// Relay is Model for passing requests on. What is built in relays none.
func (s *Shelf) Relay(ctx context.Context, ws steward.WorkspaceID, provider, model string) (Connection, llm.Terms, error) {
	allowed, err := s.Book.Allowed(ctx, ws)
	if err != nil {
		return nil, llm.Terms{}, err
	}
	if err := allowed.Allow(provider, model, s.Region, s.Book.Now()); err != nil {
		return nil, llm.Terms{}, err
	}
	for _, p := range allowed.Providers {
		if p.Name == provider && !p.Local {
			c, err := s.connection(ws, p)
			return c, llm.Terms{Endpoint: p.Endpoint, Region: s.Region, Arrangement: p.Arrangement.ID}, err
		}
	}
	return nil, llm.Terms{}, steward.Errorf(steward.Denied, "%q runs inside Steward and relays no requests; choose a registered provider", provider)
}

func (s *Shelf) connection(ws steward.WorkspaceID, p llm.Provider) (Connection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := place{ws, p.Name}
	if known, ok := s.open[at]; ok && reflect.DeepEqual(known.provider, p) {
		return known.Connection, nil
	}
	c, err := s.Open(ws, p)
	if err != nil {
		return nil, err
	}
	if s.open == nil {
		s.open = map[place]opened{}
	}
	s.open[at] = opened{p, c}
	return c, nil
}
