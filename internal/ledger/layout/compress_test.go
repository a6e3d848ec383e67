package layout

import (
	"bytes"
	"strings"
	"testing"
)

func FuzzCompressor(f *testing.F) {
	c, err := NewCompressor()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(nil))
	f.Add([]byte("x"))
	f.Add([]byte(strings.Repeat(`{"fields":["StageName","CloseDate"]}`, 40)))
	f.Add([]byte{asZstd, 0x28, 0xb5, 0x2f, 0xfd, 0xa4, 0xff, 0xff, 0xff, 0xff}) // says that it holds 4 GB
	f.Fuzz(func(t *testing.T, body []byte) {
		packed := c.Compress(body)
		if again, err := c.Expand(packed); err != nil || !bytes.Equal(again, body) || len(packed) > len(body)+1 {
			t.Fatalf("%d bytes become %d and come back as %d: %v", len(body), len(packed), len(again), err)
		}
		if again, err := c.Expand(body); err == nil && len(again) > MaxPlain {
			t.Fatalf("%d bytes become %d", len(body), len(again))
		}
	})
}
