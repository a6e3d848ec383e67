package messages

import (
	"strings"

	"github.com/stewardhq/steward"
)

// maxToken bounds what is held back: no token that is issued is longer.
const maxToken = 32

// Restorer fills a text that comes in pieces. It holds back only what may be the beginning of a token,
// less than 32 bytes, and what it gives is, joined, what Fill makes of the joined pieces.
type Restorer struct {
	fill Fill
	held string
}

// NewRestorer restores one text.
func NewRestorer(fill Fill) *Restorer { return &Restorer{fill: fill} }

// Write takes the next piece and gives what is certain by now, "" where nothing is.
func (r *Restorer) Write(piece string) (string, error) {
	text := r.held + piece
	r.held = ""
	// A token has one '<', its first byte, so only the last one can begin what isn't whole.
	if at := strings.LastIndexByte(text, '<'); at >= 0 && beginsToken(text[at:]) {
		text, r.held = text[:at], strings.Clone(text[at:])
	}
	return r.filled(text)
}

// Flush gives what was held back, once the text has ended.
func (r *Restorer) Flush() (string, error) {
	text := r.held
	r.held = ""
	return r.filled(text)
}

func (r *Restorer) filled(text string) (string, error) {
	if strings.IndexByte(text, '<') < 0 {
		return text, nil
	}
	return r.fill(text)
}

// beginsToken says whether s, which starts with '<', may be a token once more of it has come.
func beginsToken(s string) bool {
	if len(s) >= maxToken {
		return false
	}
	word, tail, whole := strings.Cut(s[1:], "_")
	known := false
	for _, t := range steward.TokenTypes() {
		known = known || string(t) == word || !whole && strings.HasPrefix(string(t), word)
	}
	for i := 0; known && i < len(tail); i++ {
		b := tail[i]
		known = b == '_' || b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z'
	}
	return known
}
