package layout

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// Compressor makes parts smaller before they are sealed, since nothing does afterwards. It is safe for
// concurrent use.
type Compressor struct {
	to   *zstd.Encoder
	from *zstd.Decoder
}

// MaxPlain is how many bytes a compressed part may have.
const MaxPlain = 8 << 20

// A part begins with a byte that says how the rest is written.
const (
	asItIs   = 0
	asZstd   = 1
	tooShort = 64 // bytes that aren't worth it
	frame    = 24 // bytes around what zstd can't make smaller, and the one that says so
)

// NewCompressor starts one.
func NewCompressor() (*Compressor, error) {
	// One of each works at a time, so that their memory doesn't grow with the callers. What is sealed is
	// authentic, so a checksum would say nothing.
	to, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false), zstd.WithWindowSize(256<<10))
	if err != nil {
		return nil, fmt.Errorf("layout: %w", err)
	}
	from, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(MaxPlain))
	if err != nil {
		return nil, fmt.Errorf("layout: %w", err)
	}
	return &Compressor{to, from}, nil
}

// Compress writes a body of at most MaxPlain bytes.
func (c *Compressor) Compress(body []byte) []byte {
	packed := append(make([]byte, 0, len(body)+frame), asZstd)
	if len(body) >= tooShort {
		if packed = c.to.EncodeAll(body, packed); len(packed) <= len(body) {
			return packed
		}
	}
	return append(append(packed[:0], asItIs), body...)
}

// Expand reads what Compress wrote.
func (c *Compressor) Expand(packed []byte) ([]byte, error) {
	switch {
	case len(packed) > 0 && packed[0] == asItIs:
		return packed[1:], nil
	case len(packed) > 0 && packed[0] == asZstd:
		body, err := c.from.DecodeAll(packed[1:], nil)
		if err != nil {
			return nil, fmt.Errorf("layout: part: %w", err)
		}
		return body, nil
	}
	return nil, errors.New("layout: this is no part")
}
