package wire

import "github.com/stewardhq/steward"

// Disconnected is what came of disconnecting a member from a system: their credential is forgotten here in any case.
type Disconnected struct {
	Connection  steward.ConnectionID `json:"connection"`
	Member      steward.MemberID     `json:"member"`
	Revoked     bool                 `json:"revoked"`               // the system itself accepts the credential no more
	Why         string               `json:"why,omitempty"`         // it may still, in words for people
	Certificate string               `json:"certificate,omitempty"` // its id
}
