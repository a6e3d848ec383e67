package privacy

import (
	"encoding/base32"
	"fmt"
	"io"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/privacy/recognise"
)

// Parts of a person's name that a token may stand for; "" is the whole value.
const (
	first = "FIRST"
	last  = "LAST"
)

// Ids have 30 random bits, and 40 where a workspace has issued so many that short ones are taken.
const (
	shortID = 6
	longID  = 8
)

// alphabet is Crockford's base32 in lower case, as in the ids of the root package.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// maxTail bounds what stands between "<TYPE_" and ">" in a token.
const maxTail = 24

// token is what is written between angle brackets: <PERSON_k7q2mh>, <PERSON_k7q2mh_FIRST>.
type token struct {
	Type steward.TokenType
	ID   string
	Part string
}

func (t token) String() string {
	if t.Part != "" {
		return "<" + string(t.Type) + "_" + t.ID + "_" + t.Part + ">"
	}
	return "<" + string(t.Type) + "_" + t.ID + ">"
}

// parseToken reads a whole token, closing bracket included, so that no id can be the beginning of another.
func parseToken(s string) (token, bool) {
	if len(s) < 4 || s[0] != '<' || s[len(s)-1] != '>' {
		return token{}, false
	}
	parts := strings.Split(s[1:len(s)-1], "_")
	if len(parts) < 2 || len(parts) > 3 {
		return token{}, false
	}
	t := token{Type: steward.TokenType(parts[0]), ID: parts[1]}
	if len(parts) == 3 {
		if t.Part = parts[2]; t.Part != first && t.Part != last {
			return token{}, false
		}
	}
	if !tokenType(parts[0]) || len(t.ID) < shortID || strings.Trim(t.ID, alphabet) != "" {
		return token{}, false
	}
	return t, true
}

func tokenType(word string) bool {
	for _, t := range steward.TokenTypes() {
		if string(t) == word {
			return true
		}
	}
	return false
}

// lookalike gives the end of what a model could take for a token at i, where text has a '<'; 0 if it
// is none. It is wider than the grammar: any case, any id.
func lookalike(text string, i int) int {
	j := i + 1
	for j < len(text) && (isASCIILetter(text[j])) {
		j++
	}
	if j == len(text) || text[j] != '_' || !tokenType(strings.ToUpper(text[i+1:j])) {
		return 0
	}
	for k := j + 1; k < len(text) && k-j <= maxTail; k++ {
		switch b := text[k]; {
		case b == '>':
			return k + 1
		case b != '_' && !isASCIILetter(b) && !isDigit(b):
			return 0
		}
	}
	return 0
}

// eachToken calls f for what is a token by the grammar, in order.
func eachToken(text string, f func(start, end int, t token)) {
	for i := strings.IndexByte(text, '<'); i >= 0 && i < len(text); {
		if end := lookalike(text, i); end > 0 {
			if t, ok := parseToken(text[i:end]); ok {
				f(i, end, t)
				i = end - 1
			}
		}
		next := strings.IndexByte(text[i+1:], '<')
		if next < 0 {
			return
		}
		i += 1 + next
	}
}

// Tokens lists the tokens in a text, in order, repeated where they are.
func Tokens(text string) []string {
	var all []string
	eachToken(text, func(start, end int, _ token) { all = append(all, text[start:end]) })
	return all
}

// Candidates gives what in a text is worth looking up as people before anything is known; tokens are
// not looked into. See recognise.Candidates.
func Candidates(text string) []string {
	b := []byte(text)
	for i := 0; i < len(b); i++ {
		if b[i] != '<' {
			continue
		}
		if end := lookalike(text, i); end > 0 {
			for ; i < end; i++ {
				b[i] = ';' // no name goes across it
			}
			i--
		}
	}
	return recognise.Candidates(string(b))
}

// newID makes a token's id of n characters, at most 8.
func newID(random io.Reader, n int) (string, error) {
	var b [5]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("token id: %w", err)
	}
	return base32.NewEncoding(alphabet).EncodeToString(b[:])[:n], nil
}

func isDigit(b byte) bool       { return b >= '0' && b <= '9' }
func isASCIILetter(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }
