package wire

import "time"

// SignIn is a sign-in with a browser, and how far it came.
type SignIn struct {
	ID      string    `json:"id"`
	Path    string    `json:"path,omitempty"` // of the link, behind the server's address; set once, when it is begun
	Status  string    `json:"status"`         // begun, opened, finishing, connected or failed
	Error   *Problem  `json:"error,omitempty"`
	Expires time.Time `json:"expires"`
}
