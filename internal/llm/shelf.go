package llm

import (
	"context"
	"time"

	"github.com/stewardhq/steward"
)

// Shelf is the models that run inside this process, by the name of their provider: the same for every workspace.
type Shelf map[string]Model

// Model gives a model that is here. Kind Denied for any other.
func (s Shelf) Model(_ context.Context, _ steward.WorkspaceID, provider, model string) (Model, Terms, error) {
	if err := Local().Allow(provider, model, "", time.Time{}); err != nil {
		return nil, Terms{}, err
	}
	m, ok := s[provider]
	if !ok {
		return nil, Terms{}, steward.Errorf(steward.Denied, "no model provider %q is set up here", provider)
	}
	return m, Terms{}, nil
}
