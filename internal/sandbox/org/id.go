package org

import (
	"crypto/sha256"
	"encoding/binary"
	"math/big"
)

const (
	digits    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	checksums = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
)

// NewID makes the next id of an object: its key prefix, three characters that belong to the org, nine that
// count, and the three that make it case-safe. The object must exist.
func (o *Org) NewID(object string) string {
	ob := o.Object(object)
	o.counters[ob.Name]++
	return o.id(ob.KeyPrefix, o.counters[ob.Name])
}

func (o *Org) id(prefix string, n uint64) string {
	mark := o.seed*0x9e3779b97f4a7c15 + 1 // spreads neighbouring seeds apart
	b := []byte(prefix)
	for shift := 40; shift <= 56; shift += 8 {
		b = append(b, digits[(mark>>shift)%62])
	}
	b = b[:15]
	for i := 14; i >= 6; i-- {
		b[i] = digits[n%62]
		n /= 62
	}
	return string(b) + suffix(string(b))
}

// suffix is the checksum of a 15-character id: each character stands for five of the id's, one bit for
// each that is a capital letter.
func suffix(id string) string {
	var out [3]byte
	for i := range out {
		bits := 0
		for j := range 5 {
			if c := id[i*5+j]; c >= 'A' && c <= 'Z' {
				bits |= 1 << j
			}
		}
		out[i] = checksums[bits]
	}
	return string(out[:])
}

// CanonicalID reads an id of 15 or 18 characters and gives its 18-character form. It refuses what
// can't be an id, a wrong checksum included.
func CanonicalID(id string) (string, bool) {
	if len(id) != 15 && len(id) != 18 {
		return "", false
	}
	for i := range len(id) {
		c := id[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return "", false
		}
	}
	full := id[:15] + suffix(id[:15])
	return full, len(id) == 15 || full == id
}

// AccessToken is a user's session token, "00D<12 characters>!<base62 of 192 bits>". It follows from the
// org's seed and the user alone, so that scripts can be repeated: whoever knows the seed can compute it.
// That is right for a sandbox of invented people and for nothing else.
func (o *Org) AccessToken(userID string) string {
	seed := binary.BigEndian.AppendUint64([]byte("sandbox access token\x00"), o.seed)
	sum := sha256.Sum256(append(append(seed, o.ID...), userID...))
	n := new(big.Int).SetBytes(sum[:24])
	return o.ID[:15] + "!" + n.Text(62)
}
