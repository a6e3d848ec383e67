package oauth

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/credential"
)

// assertionLife is how long an assertion is good for. Salesforce allows three minutes of it.
const assertionLife = 2 * time.Minute

// minKeyBits is the shortest key that Salesforce's own instructions make.
const minKeyBits = 2048

// ParseKey reads an RSA private key in PEM, as openssl writes them (PKCS #8 or PKCS #1). Its errors repeat nothing of it.
func ParseKey(file []byte) (*rsa.PrivateKey, error) {
	bad := steward.Errorf(steward.Invalid, "the key to sign in service users with must be an unencrypted RSA private key in PEM, of %d bits or more", minKeyBits)
	block, _ := pem.Decode(file)
	if block == nil {
		return nil, bad
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		other, failed := x509.ParsePKCS8PrivateKey(block.Bytes)
		if failed != nil {
			return nil, bad
		}
		var ok bool
		if key, ok = other.(*rsa.PrivateKey); !ok {
			return nil, bad
		}
	}
	if key.N.BitLen() < minKeyBits {
		return nil, bad
	}
	return key, nil
}

// assertion says, signed with RS256 (RFC 7515), that the app acts for a user at a login server.
func (a *App) assertion(g credential.Grant) (string, error) {
	claims, err := json.Marshal(struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		Expires  int64  `json:"exp"` // seconds since 1970
	}{g.ClientID, g.ServiceUser, audience(g.LoginURL), a.Now().Add(assertionLife).Unix()})
	if err != nil {
		return "", fmt.Errorf("oauth: assertion: %w", err)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	digest := sha256.Sum256([]byte(text))
	// PKCS #1 v1.5 signatures need no randomness.
	signature, err := rsa.SignPKCS1v15(nil, a.Key, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("oauth: assertion: %w", err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// audience is whom an assertion is for. Whatever an org's own address, Salesforce knows itself by two names.
func audience(login string) string {
	switch {
	case strings.HasSuffix(login, ".sandbox.my.salesforce.com"):
		return "https://test.salesforce.com"
	case strings.HasSuffix(login, ".my.salesforce.com"):
		return "https://login.salesforce.com"
	}
	return login
}
