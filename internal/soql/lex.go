package soql

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// The limits that Salesforce sets, in characters.
const (
	maxSource = 100_000
	maxString = 4_000
)

// SyntaxError says where a text stops being SOQL. It quotes the text, so it may hold personal values.
type SyntaxError struct {
	Pos         int    // byte offset
	Row, Column int    // from 1, the column in characters
	Near        string // the token found there, "" where the text as a whole is at fault
	Msg         string // in Salesforce's words where they are known: "unexpected token: 'x'"
}

// Error gives the position and the message in the two lines that end Salesforce's own.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("ERROR at Row:%d:Column:%d\n%s", e.Row, e.Column, e.Msg)
}

// Position turns a byte offset into row and column, both from 1; columns count characters. An offset
// outside of src is taken for its nearest end.
func Position(src string, pos int) (row, col int) {
	before := src[:min(max(pos, 0), len(src))]
	lineStart := strings.LastIndexByte(before, '\n') + 1
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[lineStart:]) + 1
}

func syntaxError(src string, pos int, near, format string, args ...any) *SyntaxError {
	row, col := Position(src, pos)
	return &SyntaxError{Pos: pos, Row: row, Column: col, Near: near, Msg: fmt.Sprintf(format, args...)}
}

type kind uint8

const (
	unknownToken kind = iota
	endToken
	nameToken // keywords too; with dots: Account.Owner.Name
	numberToken
	moneyToken // USD5000.50; USD5000 is a name until a value is wanted
	dateToken
	dateTimeToken
	stringToken
	symbolToken
)

type token struct {
	kind kind
	text string // as written
	pos  int
}

// shown is the token as messages quote it.
func (t token) shown() string {
	const most = 40
	if t.kind == endToken {
		return "<EOF>"
	}
	if runes := []rune(t.text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return t.text
}

// What begins with a letter or a digit is read up to the first character that none of these has, and
// must then be one of them as a whole.
var (
	nameForm     = regexp.MustCompile(`^[A-Za-z]\w*(\.[A-Za-z]\w*)*$`)
	moneyForm    = regexp.MustCompile(`^[A-Za-z]{3}[-+]?\d+(\.\d+)?$`)
	numberForm   = regexp.MustCompile(`^[-+]?(\d+(\.\d+)?|\.\d+)$`)
	dateForm     = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)
	dateTimeForm = regexp.MustCompile(`^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[-+]\d\d:?\d\d)$`)
)

// lex cuts the source into tokens; the last is always endToken.
func lex(src string) ([]token, *SyntaxError) {
	switch {
	case !utf8.ValidString(src):
		return nil, syntaxError(src, 0, "", "the query is not valid UTF-8")
	case utf8.RuneCountInString(src) > maxSource:
		return nil, syntaxError(src, 0, "", "the query is longer than %d characters", maxSource)
	}
	var tokens []token
	for pos := 0; pos < len(src); {
		rest := src[pos:]
		t := token{pos: pos}
		switch c := rest[0]; {
		case strings.IndexByte(" \t\r\n\f", c) >= 0:
			pos++
			continue
		case isLetter(c):
			t.text = rest[:wordLength(rest)]
			switch {
			case nameForm.MatchString(t.text):
				t.kind = nameToken
			case moneyForm.MatchString(t.text):
				t.kind = moneyToken
			}
		case isDigit(c) || strings.IndexByte("+-.", c) >= 0:
			t.text = rest[:runLength(rest, func(c byte) bool {
				return isLetter(c) || isDigit(c) || strings.IndexByte("_.:+-", c) >= 0
			})]
			switch {
			case numberForm.MatchString(t.text):
				t.kind = numberToken
			case dateForm.MatchString(t.text):
				t.kind = dateToken
			case dateTimeForm.MatchString(t.text):
				t.kind = dateTimeToken
			}
		case c == '\'':
			n := stringLength(rest)
			if n == 0 {
				t.text = rest
				return nil, syntaxError(src, pos, t.shown(), "the string has no closing quote")
			}
			t.kind, t.text = stringToken, rest[:n]
		default:
			for _, s := range []string{"<=", ">=", "<>", "!=", "=", "<", ">", "(", ")", ",", ":"} {
				if strings.HasPrefix(rest, s) {
					t.kind, t.text = symbolToken, s
					break
				}
			}
			if t.kind != symbolToken {
				_, n := utf8.DecodeRuneInString(rest)
				t.text = rest[:n]
			}
		}
		if t.kind == unknownToken {
			return nil, syntaxError(src, pos, t.shown(), "unexpected token: '%s'", t.shown())
		}
		tokens = append(tokens, t)
		pos += len(t.text)
	}
	return append(tokens, token{kind: endToken, pos: len(src)}), nil
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }

func runLength(s string, in func(byte) bool) int {
	for i := range len(s) {
		if !in(s[i]) {
			return i
		}
	}
	return len(s)
}

// wordLength is the length of the name at the start of s, or of the money: USD-5 has a sign inside.
func wordLength(s string) int {
	inName := func(c byte) bool { return isLetter(c) || isDigit(c) || c == '_' || c == '.' }
	n := runLength(s, inName)
	if n == 3 && len(s) > 4 && (s[3] == '-' || s[3] == '+') && isDigit(s[4]) {
		n = 4 + runLength(s[4:], inName)
	}
	return n
}

// stringLength is the length of the string literal at the start of s, both quotes included; 0 where it
// doesn't end.
func stringLength(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '\'':
			return i + 1
		}
	}
	return 0
}

// unquote reads a string literal with its quotes. For LIKE it leaves the escapes that a Pattern has.
// An error comes with its offset into literal.
func unquote(literal string, forLike bool) (s string, at int, err error) {
	var b strings.Builder
	for i := 1; i < len(literal)-1; i++ {
		c := literal[i]
		if c != '\\' {
			b.WriteByte(c)
			continue
		}
		i++
		switch escaped := literal[i]; escaped {
		case 'n', 'N':
			b.WriteByte('\n')
		case 'r', 'R':
			b.WriteByte('\r')
		case 't', 'T':
			b.WriteByte('\t')
		case 'b', 'B':
			b.WriteByte('\b')
		case 'f', 'F':
			b.WriteByte('\f')
		case '"', '\'':
			b.WriteByte(escaped)
		case '\\', '%', '_':
			if forLike {
				b.WriteByte('\\')
			}
			b.WriteByte(escaped)
		case 'u':
			r, n := unicodeEscape(literal[i-1:])
			if n == 0 {
				return "", i - 1, fmt.Errorf("illegal character sequence '\\u' in string literal: four hexadecimal digits of a character must follow")
			}
			if forLike && r == '\\' {
				b.WriteByte('\\')
			}
			b.WriteRune(r)
			i += n - 2
		default:
			r, _ := utf8.DecodeRuneInString(literal[i:])
			return "", i - 1, fmt.Errorf("illegal character sequence '\\%c' in string literal", r)
		}
	}
	s = b.String()
	if utf8.RuneCountInString(s) > maxString {
		return "", 0, fmt.Errorf("the string is longer than %d characters", maxString)
	}
	return s, 0, nil
}

// unicodeEscape reads the \uXXXX at the start of s, or the two that make one character, and tells how
// many bytes it took; 0 where there is no character.
func unicodeEscape(s string) (r rune, n int) {
	unit := func(s string) (rune, bool) {
		if len(s) < 6 || !strings.HasPrefix(s, `\u`) {
			return 0, false
		}
		v, err := strconv.ParseUint(s[2:6], 16, 16)
		return rune(v), err == nil
	}
	r, ok := unit(s)
	switch {
	case !ok:
		return 0, 0
	case !utf16.IsSurrogate(r):
		return r, 6
	}
	low, _ := unit(s[6:])
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return 0, 0
	}
	return r, 12
}

// parseTime reads a dateTime token, to the nanosecond.
func parseTime(s string) (t time.Time, ok bool) {
	m := dateTimeForm.FindStringSubmatch(s)
	if m == nil {
		return t, false
	}
	zone := m[3]
	if len(zone) == len("+0100") {
		zone = zone[:3] + ":" + zone[3:]
	}
	t, err := time.Parse(time.RFC3339Nano, m[1]+m[2]+zone)
	t = t.UTC()
	return t, err == nil && inYears(t)
}

// parseDate reads a date token.
func parseDate(s string) (d Date, ok bool) {
	t, err := time.Parse(time.DateOnly, s)
	return Date{t.Year(), t.Month(), t.Day()}, err == nil && inYears(t)
}

func inYears(t time.Time) bool { return minYear <= t.Year() && t.Year() <= maxYear }

// parseMoney reads a money token, or a name that is one where a value is wanted.
func parseMoney(s string) (m Money, ok bool) {
	if !moneyForm.MatchString(s) {
		return m, false
	}
	amount, err := strconv.ParseFloat(s[3:], 64)
	return Money{Currency: strings.ToUpper(s[:3]), Amount: amount}, err == nil
}
