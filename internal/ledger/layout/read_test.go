package layout

import (
	"encoding/json"
	"fmt"
	"testing"
)

// TestPlain puts each byte at each place, among such as the eight at a time could mistake for it.
func TestPlain(t *testing.T) {
	for _, around := range []byte{' ', '!', '#', '[', ']', '~'} {
		for at := range 20 {
			for c := range 256 {
				text := make([]byte, 20)
				for i := range text {
					text[i] = around
				}
				text[at] = byte(c)
				want := at
				var back string
				if quoted := fmt.Sprintf("%q", text); c < 0x7f && json.Unmarshal([]byte(quoted), &back) == nil && quoted == `"`+string(text)+`"` {
					want = 20
				}
				if got := plain(text); got != want {
					t.Fatalf("%q is plain for %d bytes instead of %d", text, got, want)
				}
			}
		}
	}
}
