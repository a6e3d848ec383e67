package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/stewardhq/steward"
)

// A box is
//
//	version     1 byte, 1
//	salt        16 random bytes
//	commitment  32 bytes, HMAC-SHA-256(key, "steward commitment v1")
//	ciphertext  AES-256-GCM(key, nonce 0, plain), 16 bytes longer than plain
//
// with key = HKDF-SHA-256 (RFC 5869) of the scopes' keys in the order of the scopes, the salt, and as
// info "steward seal v1" with the place and the scopes' names, each behind its length.
//
// The nonce is zero because no key seals twice: every box draws a salt of 128 random bits, so even
// among 2^48 boxes of one place two would share a key with a probability below 2^-32.
//
// The commitment is there because AES-GCM doesn't commit: who holds keys can make one ciphertext that
// opens to different plaintexts under different keys. A box opens under the one key it was made with.
const (
	version        = 1
	saltSize       = 16
	commitmentSize = sha256.Size
	nonceSize      = 12
	boxHead        = 1 + saltSize + commitmentSize
)

func seal(ikm []byte, salt [saltSize]byte, at steward.Place, scopes []steward.Scope, plain []byte) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, ikm, salt[:], sealInfo(at, scopes), 32)
	if err != nil {
		return nil, err
	}
	aead, err := gcm(key)
	if err != nil {
		return nil, err
	}
	box := make([]byte, 0, boxHead+len(plain)+aead.Overhead())
	box = append(box, version)
	box = append(box, salt[:]...)
	box = append(box, commitment(key)...)
	return aead.Seal(box, make([]byte, nonceSize), plain, nil), nil
}

// boxKey derives the key that a box was made with.
func boxKey(ikm []byte, at steward.Place, sealed steward.Sealed) ([]byte, error) {
	if len(sealed.Box) < boxHead {
		return nil, errors.New("keyring: not a box")
	}
	return hkdf.Key(sha256.New, ikm, sealed.Box[1:1+saltSize], sealInfo(at, sealed.Scopes), 32)
}

func open(key, box []byte) ([]byte, error) {
	if len(box) < boxHead || box[0] != version {
		return nil, errors.New("keyring: not a box")
	}
	if !hmac.Equal(box[1+saltSize:boxHead], commitment(key)) {
		return nil, errors.New("keyring: the commitment is to another key")
	}
	aead, err := gcm(key)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, make([]byte, nonceSize), box[boxHead:], nil)
	if err != nil {
		return nil, errors.New("keyring: the ciphertext was changed")
	}
	return plain, nil
}

func derive(ikm []byte, ws steward.WorkspaceID, scope steward.Scope, purpose string) ([32]byte, error) {
	secret, err := hkdf.Key(sha256.New, ikm, nil, fields("steward derive v1", string(ws), string(scope), purpose), 32)
	if err != nil {
		return [32]byte{}, err
	}
	return [32]byte(secret), nil
}

func sealInfo(at steward.Place, scopes []steward.Scope) string {
	info := []string{string(at.Workspace), at.Table, at.Row, string(binary.BigEndian.AppendUint64(nil, uint64(at.Part)))}
	for _, scope := range scopes {
		info = append(info, string(scope))
	}
	return fields("steward seal v1", info...)
}

func commitment(key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("steward commitment v1"))
	return mac.Sum(nil)
}

// fields writes a label and then each field behind its length (4 bytes, big-endian), so that no two
// lists of fields give the same bytes.
func fields(label string, list ...string) string {
	b := []byte(label)
	for _, field := range list {
		b = binary.BigEndian.AppendUint32(b, uint32(len(field)))
		b = append(b, field...)
	}
	return string(b)
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
