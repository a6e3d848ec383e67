package value

import (
	"unicode"
	"unicode/utf8"

	"github.com/stewardhq/steward/internal/soql"
)

// pattern is what LIKE matches against: characters in lower case, and these two for wildcards.
type pattern []rune

// The wildcards are no characters, so none in a text is taken for one.
const (
	anyText rune = -1 - iota // % in SOQL
	anyOne                   // _
)

func readPattern(text soql.Pattern) pattern {
	var p pattern
	escaped := false
	for _, r := range string(text) {
		switch {
		case escaped:
			p, escaped = append(p, unicode.ToLower(r)), false
		case r == '\\':
			escaped = true
		case r == '%':
			p = append(p, anyText)
		case r == '_':
			p = append(p, anyOne)
		default:
			p = append(p, unicode.ToLower(r))
		}
	}
	return p
}

// matches goes through the text once. Where it fails behind a %, it lets the last % take one character more and tries
// again from there; an earlier % need never take more, since the last one can.
func (p pattern) matches(text string) bool {
	at, retry, taken := 0, -1, 0 // in the pattern; behind the last %; where in the text that % ends
	for i := 0; i < len(text); {
		if at < len(p) && p[at] == anyText {
			at++
			retry, taken = at, i
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case at < len(p) && (p[at] == anyOne || p[at] == unicode.ToLower(r)):
			at++
			i += size
		case retry >= 0:
			_, size := utf8.DecodeRuneInString(text[taken:])
			taken += size
			at, i = retry, taken
		default:
			return false
		}
	}
	for at < len(p) && p[at] == anyText {
		at++
	}
	return at == len(p)
}
