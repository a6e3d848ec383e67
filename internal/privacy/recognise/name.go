package recognise

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of Candidates.
const (
	maxCandidates = 60
	maxNameWords  = 4
	maxNameRunes  = 4 // of a name in a script without spaces
)

// nameWord is a word that could belong to a name.
type nameWord struct {
	start, end int
	opening    bool // begins a sentence, where any word is capitalised
	particle   bool // de, van, bin: inside a name only
	unspaced   bool
}

// Candidates gives what is worth looking up as people before anything is known: e-mail addresses,
// telephone numbers, and spans of one to four capitalised words with their sub-spans, those of
// two words first; a single word that begins a sentence is left out. Scripts without capitals
// count as capitalised. At most 60, each once.
func Candidates(text string) []string {
	if !utf8.ValidString(text) {
		return nil
	}
	var all []string
	add := func(s string) {
		if len(all) < maxCandidates && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	for _, s := range append(Emails(text), Phones(text)...) {
		if s.Sure {
			add(text[s.Start:s.End])
		}
	}
	spans := nameSpans(blank(text, Emails(text)))
	for _, size := range []int{2, 3, maxNameWords, 1} {
		for _, span := range spans {
			for i := range span {
				if s := name(text, span[i:], size); s != "" {
					add(s)
				}
			}
		}
	}
	return all
}

// name writes the first size words of a span, particles not counted; "" where that is no name.
func name(text string, span []nameWord, size int) string {
	n := 0
	for i, w := range span {
		if w.particle {
			if i == 0 {
				return ""
			}
			continue
		}
		if n++; n < size {
			continue
		}
		if size == 1 && (span[0].opening || w.unspaced && utf8.RuneCountInString(text[w.start:w.end]) < 2) {
			return ""
		}
		return text[span[0].start:w.end]
	}
	return ""
}

// nameSpans finds stretches of words that could be names, with nothing between them but a space.
func nameSpans(text string) [][]nameWord {
	var spans [][]nameWord
	var span []nameWord
	end := func() {
		for len(span) > 0 && span[len(span)-1].particle {
			span = span[:len(span)-1]
		}
		if len(span) > 0 {
			spans = append(spans, span)
		}
		span = nil
	}
	for i := 0; ; {
		start, stop := nameWordAt(text, i)
		if start == stop {
			end()
			return spans
		}
		if len(span) > 0 && !apart(text[span[len(span)-1].start:start], text[span[len(span)-1].end:start]) {
			end()
		}
		r, _ := utf8.DecodeRuneInString(text[start:])
		word := nameWord{start: start, end: stop}
		switch {
		case strings.ContainsFunc(text[start:stop], IsNumeral):
			end()
		case unspaced(r):
			end()
			spans = append(spans, windows(text, start, stop)...)
		case unicode.IsUpper(r), unicode.IsTitle(r), unicode.IsLetter(r) && !unicode.IsLower(r):
			word.opening = (unicode.IsUpper(r) || unicode.IsTitle(r)) && SentenceStart(text, start)
			span = append(span, word)
		case len(span) > 0 && nameParticle(text[start:stop]):
			word.particle = true
			span = append(span, word)
		default:
			end()
		}
		i = stop
	}
}

// apart says what stands between two words of a name: spaces, after an initial with its full stop.
func apart(wordAndBetween, between string) bool {
	initial := utf8.RuneCountInString(wordAndBetween)-utf8.RuneCountInString(between) == 1
	if initial {
		between = strings.TrimPrefix(between, ".")
	}
	return between != "" && len(between) <= 3 && strings.Trim(between, " \u00a0") == ""
}

// windows are the stretches of a run without spaces that are as long as names are there.
func windows(text string, start, stop int) [][]nameWord {
	var bounds []int
	for i := range text[start:stop] {
		bounds = append(bounds, start+i)
	}
	bounds = append(bounds, stop)
	var all [][]nameWord
	for size := min(maxNameRunes, len(bounds)-1); size >= 2; size-- {
		for i := 0; i+size < len(bounds); i++ {
			all = append(all, []nameWord{{start: bounds[i], end: bounds[i+size], unspaced: true}})
		}
	}
	return all
}

// nameWordAt gives the next word of letters, with hyphens and apostrophes inside, but no possessive s.
func nameWordAt(text string, i int) (start, end int) {
	letter := func(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsMark(r)) }
	start = len(text)
	if n := strings.IndexFunc(text[i:], func(r rune) bool { return letter(r) || IsNumeral(r) }); n >= 0 {
		start = i + n
	}
	end = start
	whole := true
	var script bool
	for j, r := range text[start:] {
		at := start + j
		if j == 0 {
			script = unspaced(r)
		} else if unspaced(r) != script && !unicode.IsMark(r) {
			break
		}
		if letter(r) || IsNumeral(r) {
			whole = whole && letter(r)
			end = at + utf8.RuneLen(r)
			continue
		}
		if strings.ContainsRune("'’-", r) && at == end {
			continue
		}
		break
	}
	if !whole { // holds digits: no name, but a word
		return start, end
	}
	for _, s := range []string{"'s", "’s", "'S", "’S"} {
		if cut, ok := strings.CutSuffix(text[start:end], s); ok && cut != "" {
			return start, start + len(cut)
		}
	}
	return start, end
}

func nameParticle(word string) bool {
	switch word {
	case "de", "la", "del", "della", "di", "da", "dos", "das", "do", "du", "le", "van", "von", "der", "den", "ten", "ter", "zu", "el", "al", "bin", "ibn", "bint", "y", "af", "av":
		return true
	}
	return false
}

// blank puts what no name goes across in the place of spans.
func blank(text string, spans []Span) string {
	b := []byte(text)
	for _, s := range spans {
		for i := s.Start; i < s.End; i++ {
			b[i] = ';'
		}
	}
	return string(b)
}
