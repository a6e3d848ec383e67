package llm

import (
	"context"
	"io"
)

// Operations of the Messages API that may be relayed; there are no others.
const (
	Create      = "messages"
	CountTokens = "messages/count_tokens"
)

// Passage is a request of the Messages API that goes to a provider byte for byte, so that the digest on
// record is of what was sent.
type Passage struct {
	Operation string   // Create or CountTokens
	Model     string   // the exact id that the body names; some providers want it in the address
	Body      []byte   // the JSON, in tokens
	Stream    bool     // the body asks for server-sent events
	Beta      []string // values of the anthropic-beta header that the arrangement lists
}

// Arrival is a provider's answer as it comes. Whoever gets one closes its Body.
type Arrival struct {
	Body      io.ReadCloser // JSON, or server-sent events where Stream is set; unchecked and without bound
	Stream    bool
	RequestID string // the provider's own id for it, "" where it gives none
	Retries   int    // attempts before this one
}

// Relay passes requests on to a provider.
type Relay interface {
	// Relay sends a passage and returns once the provider began to answer with success. It tries again
	// only before that. It must not keep anything of the body. Errors are of kind Upstream, Limited,
	// Unavailable or Invalid, and don't quote the request.
	Relay(ctx context.Context, p Passage) (Arrival, error)
}
