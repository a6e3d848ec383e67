package layout

import (
	"bytes"
	"testing"
)

func FuzzSplitParts(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(JoinParts([][]byte{{1, 2, 3}, {}, []byte("x")}))
	f.Add([]byte{3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1})
	f.Fuzz(func(t *testing.T, blob []byte) {
		parts, err := SplitParts(blob)
		if err != nil {
			return
		}
		again, err := SplitParts(JoinParts(parts))
		if err != nil || len(again) != len(parts) {
			t.Fatalf("%x splits into %d parts, which come back as %d: %v", blob, len(parts), len(again), err)
		}
		for i := range parts {
			if !bytes.Equal(parts[i], again[i]) {
				t.Fatalf("part %d of %x comes back changed", i, blob)
			}
		}
	})
}
