package anthropic

import (
	"sync"
	"time"
)

const (
	tolerated = 5                // failures in a row
	rest      = 30 * time.Second // for a provider that had as many
)

// circuit leaves a provider alone that keeps failing. After a rest one request tries it out, and its success lets all
// in again. The zero circuit is closed: everybody may try.
type circuit struct {
	mu     sync.Mutex
	failed int
	until  time.Time // when the rest is over
	trying bool      // the one request is under way
}

// mayTry says whether a request may be sent. Whoever may has to tell how it went.
func (c *circuit) mayTry(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed < tolerated {
		return true
	}
	if c.trying || now.Before(c.until) {
		return false
	}
	c.trying = true
	return true
}

// tell says how a request went. One that its caller gave up says nothing about the provider.
func (c *circuit) tell(now time.Time, sick, abandoned bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trying = false
	switch {
	case abandoned:
	case !sick:
		c.failed = 0
	default:
		if c.failed++; c.failed >= tolerated {
			c.until = now.Add(rest)
		}
	}
}
