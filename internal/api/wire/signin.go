package wire

import "time"

// SignIn is a sign-in with a browser, and how far it came.
type SignIn struct {
	ID      string    `json:"id"`
	URL     string    `json:"url,omitempty"` // of the page to open in a browser; given once, when it is begun
	Status  string    `json:"status"`        // begun, opened, finishing, connected or failed
	Error   *Problem  `json:"error,omitempty"`
	Expires time.Time `json:"expires"`
}
