package recognise

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// NextWord gives the next word in text[i:to]: letters, digits and marks together, but each by itself
// in scripts that write no spaces between words. start == end where there is none.
func NextWord(text string, i, to int) (start, end int) {
	for start = i; start < to; {
		r, size := rune(text[start]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(text[start:to])
		}
		if IsWord(r) {
			break
		}
		start += size
	}
	for end = start; end < to; {
		r, size := rune(text[end]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(text[end:to])
		}
		if !IsWord(r) || end > start && unspaced(r) {
			break
		}
		end += size
		if r >= utf8.RuneSelf && unspaced(r) {
			break
		}
	}
	return start, end
}

// unspaced says that a script writes names without spaces around them.
func unspaced(r rune) bool {
	return r >= 0x0e00 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai)
}

// SentenceStart says that a word at i begins a sentence, where everything is capitalised.
func SentenceStart(text string, i int) bool {
	before := strings.TrimRight(text[:i], " \t\u00a0\"'“”‘’«»([*-")
	switch r := lastRune(before); {
	case before == "" || strings.ContainsRune("!?\n\r•…", r):
		return true
	case r == '.':
		word := before[strings.LastIndexFunc(before[:len(before)-1], func(r rune) bool { return !IsWord(r) })+1 : len(before)-1]
		switch strings.ToLower(word) {
		case "mr", "mrs", "ms", "dr", "prof", "st", "hr", "fr":
			return false
		}
		return utf8.RuneCountInString(word) != 1 // "J. Smith"
	}
	return false
}

// IsNumeral says that r is one of 0 to 9.
func IsNumeral(r rune) bool { return r >= '0' && r <= '9' }

// IsWord says that words are made of r: a letter, a digit or a mark.
func IsWord(r rune) bool {
	if r < utf8.RuneSelf {
		return isASCIILetter(byte(r)) || IsNumeral(r)
	}
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r))
}

func lastRune(s string) rune { r, _ := utf8.DecodeLastRuneInString(s); return r }

func isDigit(b byte) bool       { return b >= '0' && b <= '9' }
func isASCIILetter(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }
