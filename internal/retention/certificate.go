package retention

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
)

// Certificate states that something was forgotten, and how that was found to be so. Nothing in it is personal.
type Certificate struct {
	ID        string              `json:"certificate"` // crt_…
	Workspace steward.WorkspaceID `json:"workspace"`
	Of        string              `json:"of"`   // opaque: an erasure's id, or what else was asked for; one certificate each
	Kind      string              `json:"kind"` // "person", "credential" or "workspace"

	Requester steward.MemberID `json:"requester"`
	Approver  steward.MemberID `json:"approver,omitempty"` // who agreed, where there was another
	Hold      string           `json:"hold,omitempty"`     // what put it off: the ground

	Asked      time.Time `json:"asked"`
	Due        time.Time `json:"due"`
	Unreadable time.Time `json:"unreadable"` // from when on the keys in use opened it no more
	Complete   time.Time `json:"complete"`   // from when on nobody could bring the keys back

	Found    []Count         `json:"found"`
	Scopes   []steward.Scope `json:"scopes"` // whose keys were destroyed
	Method   string          `json:"method"` // see Method
	Verified Verified        `json:"verified"`
	// Elsewhere are the systems that hold what Steward only referred to, and can't forget for them.
	Elsewhere []steward.ConnectionID `json:"tell"`

	Tool    string    `json:"tool"`
	Version string    `json:"version"`
	Issued  time.Time `json:"issued"`
}

// Count is how much of what was kept.
type Count struct {
	What   string `json:"what"` // such as "references", "values", "texts"
	Number int    `json:"number"`
}

// Verified tells what was tried with the keys in use once the others were destroyed.
type Verified struct {
	Boxes  int `json:"sealed_values_tried"` // ciphertexts, before they were removed
	Scopes int `json:"scopes_tried"`        // once it was complete
	Opened int `json:"opened"`              // of both: a certificate is issued for 0 only
}

// Method is how things are forgotten here.
const Method = "destruction of the encryption keys (cryptographic erase, NIST SP 800-88), then removal of the ciphertext"

// Signed is a certificate as others can verify it.
type Signed struct {
	Certificate Certificate `json:"certificate"`
	Note        string      `json:"note"` // C2SP signed note: a line that says what it is, and Certificate as JSON
	Key         string      `json:"key"`  // the note's verifier key, as the log's
}

// Certificates keeps them.
type Certificates interface {
	// Keep keeps a certificate, unless there is one for the same (Certificate.Of) already, and gives the one that is kept.
	Keep(ctx context.Context, ws steward.WorkspaceID, s Signed) (Signed, error)
	// Certificates lists a workspace's, the oldest first.
	Certificates(ctx context.Context, ws steward.WorkspaceID) ([]Signed, error)
}

// Issuer issues certificates.
type Issuer struct {
	Certificates Certificates
	Ledger       *ledger.Ledger
	Version      string // of this program
	Now          func() time.Time
	Rand         io.Reader
}

// certificateTitle is the first line of a certificate's text: no checkpoint begins with it.
const certificateTitle = "Steward certificate of forgetting, v1\n"

// Sign gives a certificate its id, method, tool and time, and signs it with the key of the workspace's log. Kind Conflict
// where something still opened.
func (i *Issuer) Sign(ctx context.Context, c Certificate) (Signed, error) {
	if c.Verified.Opened > 0 {
		return Signed{}, steward.Errorf(steward.Conflict, "no certificate is issued: %d sealed values still open", c.Verified.Opened)
	}
	c.ID, c.Method, c.Tool, c.Version, c.Issued = steward.NewID(i.Rand, "crt"), Method, "steward", i.Version, i.Now().UTC().Truncate(time.Microsecond)
	body, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return Signed{}, fmt.Errorf("certificate: %w", err)
	}
	s := Signed{Certificate: c}
	s.Note, s.Key, err = i.Ledger.Attest(ctx, c.Workspace, certificateTitle+string(body)+"\n")
	return s, err
}

// ParseCertificate reads a certificate's text, whose signature was looked at.
func ParseCertificate(text string) (c Certificate, err error) {
	body, ok := strings.CutPrefix(text, certificateTitle)
	if ok {
		err = json.Unmarshal([]byte(body), &c)
	}
	if !ok || err != nil {
		return Certificate{}, steward.Errorf(steward.Invalid, "what is signed there is no certificate").Because(err)
	}
	return c, nil
}

// Issue signs a certificate, keeps it and records it, once for each thing that is certified: after a crash it goes on
// with what is kept.
func (i *Issuer) Issue(ctx context.Context, c Certificate) (Signed, error) {
	ws := c.Workspace
	s, err := i.Sign(ctx, c)
	if err != nil {
		return s, err
	}
	if s, err = i.Certificates.Keep(ctx, ws, s); err != nil {
		return s, err
	}
	known := false
	if err := i.Ledger.Read(ctx, ws, ledger.Query{Kind: ledger.CertificateIssued, Target: s.Certificate.ID, Since: s.Certificate.Issued, Limit: 1},
		func(ledger.Header) error { known = true; return nil }); err != nil || known {
		return s, err
	}
	_, err = i.Ledger.Append(ctx, ws, ledger.Entry{
		Kind: ledger.CertificateIssued, Caller: "steward", OnBehalfOf: c.Requester, System: "steward", Tool: "certify", Outcome: ledger.OK,
		Targets: []string{s.Certificate.ID, s.Certificate.Of, "sha256:" + s.Digest()},
	})
	return s, err
}

// Digest is the SHA-256 of the note, in hexadecimal: its entry on record has it.
func (s Signed) Digest() string {
	sum := sha256.Sum256([]byte(s.Note))
	return hex.EncodeToString(sum[:])
}
