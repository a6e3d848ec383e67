package privacy

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/privacy/recognise"
)

// entry is a token of this conversation and, where it is at hand, the value behind it.
type entry struct {
	row   Row
	ref   steward.Ref // for references
	value string
	known bool // value is at hand
	gone  bool // its key was destroyed, or its row emptied
	named bool // the whole name has stood in a text here, so its parts count too
}

func (e *entry) reference() bool { return e.row.Kind == Reference || e.row.Kind == Linked }

func (e *entry) write(part string) string { return token{e.row.Type, e.row.ID, part}.String() }

// dictionary finds the values known in a conversation in a text: names and addresses by their words,
// whatever their case and whatever little stands between the words; e-mails and phones by what two
// spellings share. It is one pass and a map from first words.
//
// What was put in under a value that its entry no longer has doesn't count any more.
type dictionary struct {
	phrases map[string][]phrase // by first word, most words first
	mails   map[string][]*entry // by address in lower case
	numbers map[string][]*entry // by recognise.PhoneKey
}

// phrase is a value's words, or a part of it.
type phrase struct {
	words []string
	entry *entry
	value string // the entry's when this was added
	part  string // "", FIRST, LAST
	split int    // for first and last word of a longer name: where the last begins, else 0
}

func newDictionary() dictionary {
	return dictionary{phrases: map[string][]phrase{}, mails: map[string][]*entry{}, numbers: map[string][]*entry{}}
}

// add makes an entry's present value known. Dates and texts are not looked for: a date alone names
// nobody, and a whole text seldom occurs twice.
func (d *dictionary) add(e *entry) {
	switch e.row.Type {
	case steward.TokenEmail:
		key := strings.ToLower(e.value)
		d.mails[key] = insert(d.mails[key], e)
	case steward.TokenPhone:
		if key := recognise.PhoneKey(e.value); len(key) >= recognise.MinPhone {
			d.numbers[key] = insert(d.numbers[key], e)
		}
	case steward.TokenAddress:
		// A town or a postal code alone would be found everywhere.
		if w := words(e.value); len(w) > 1 && strings.ContainsFunc(e.value, recognise.IsNumeral) {
			d.phrase(phrase{words: w, entry: e, value: e.value})
		}
	case steward.TokenPerson:
		d.phrase(phrase{words: words(e.value), entry: e, value: e.value})
		if w := strings.Fields(e.value); len(w) > 2 {
			a, b := words(w[0]), words(w[len(w)-1])
			d.phrase(phrase{words: append(a, b...), entry: e, value: e.value, split: len(a)})
		}
		if e.named {
			d.parts(e)
		}
	}
}

// parts makes the first and the last word of a name known.
func (d *dictionary) parts(e *entry) {
	if w := strings.Fields(e.value); len(w) > 1 {
		d.phrase(phrase{words: words(w[0]), entry: e, value: e.value, part: first})
		d.phrase(phrase{words: words(w[len(w)-1]), entry: e, value: e.value, part: last})
	}
}

func (d *dictionary) phrase(p phrase) {
	if len(p.words) == 0 || len(p.words) == 1 && utf8.RuneCountInString(p.words[0]) < 2 {
		return
	}
	list := d.phrases[p.words[0]]
	at := slices.IndexFunc(list, func(q phrase) bool { return len(q.words) < len(p.words) })
	if at < 0 {
		at = len(list)
	}
	d.phrases[p.words[0]] = slices.Insert(list, at, p)
}

func insert(list []*entry, e *entry) []*entry {
	if slices.Contains(list, e) {
		return list
	}
	return append(list, e)
}

// find gives the token for a value as it is spelled: a token of the very spelling, or else one whose
// value is read from a system and differs in case and punctuation only; it then stands for the system's
// spelling. familiar says that the value is known, if only under a spelling whose token would restore something else
// than was written.
func (d *dictionary) find(typ steward.TokenType, spelled string) (e *entry, familiar bool) {
	switch typ {
	case steward.TokenEmail:
		same := d.mails[strings.ToLower(spelled)]
		return choose(same, spelled), slices.ContainsFunc(same, func(e *entry) bool { return strings.EqualFold(e.value, spelled) })
	case steward.TokenPhone:
		same := d.numbers[recognise.PhoneKey(spelled)]
		return choose(same, spelled), slices.ContainsFunc(same, func(e *entry) bool { return recognise.SamePhone(e.value, spelled) })
	}
	return nil, false
}

// equal says that a value and a spelling differ in case and punctuation only.
func (e *entry) equal(spelled string) bool {
	switch e.row.Type {
	case steward.TokenEmail:
		return strings.EqualFold(e.value, spelled)
	case steward.TokenPhone:
		// With its country or without, a number is spelled differently: what stands before it in the text matters.
		return recognise.Dialled(e.value) == recognise.Dialled(spelled)
	}
	return slices.Equal(words(e.value), words(spelled))
}

// typed gives the kept values that a record's value proves to be.
func (d *dictionary) typed(typ steward.TokenType, value string) []*entry {
	var all []*entry
	for _, e := range slices.Concat(d.mails[strings.ToLower(value)], d.numbers[recognise.PhoneKey(value)]) {
		if e.row.Type == typ && e.row.Kind == Value && e.equal(value) {
			all = append(all, e)
		}
	}
	return all
}

func choose(same []*entry, spelled string) *entry {
	for _, e := range same {
		if e.value == spelled {
			return e
		}
	}
	for _, e := range same {
		if e.reference() && e.equal(spelled) {
			return e
		}
	}
	return nil
}

// match finds the phrases in text[from:to], longest first at each word, and calls f for each: with no
// entry where the value is known under another spelling only.
func (d *dictionary) match(text string, from, to int, f func(span)) {
	if len(d.phrases) == 0 {
		return
	}
	var buf [64]byte
	for i := from; i < to; {
		start, end := recognise.NextWord(text, i, to)
		if start == end {
			return
		}
		i = end
		for _, p := range d.phrases[string(fold(buf[:0], text[start:end]))] {
			ends := p.ends(text, start, end, to)
			if ends == nil {
				continue
			}
			stop := ends[len(ends)-1]
			if p.split > 0 {
				second := d.wordStart(text, ends[p.split-1], to)
				f(span{start: start, end: ends[p.split-1], typ: p.entry.row.Type, entry: p.entry, part: first})
				f(span{start: second, end: stop, typ: p.entry.row.Type, entry: p.entry, part: last})
			} else {
				s := span{start: start, end: stop, typ: p.entry.row.Type, part: p.part, entry: p.entry}
				if p.part == "" {
					s.entry = choose(d.twins(p), text[start:stop])
				}
				f(s)
			}
			i = stop
			break
		}
	}
}

func (d *dictionary) wordStart(text string, i, to int) int {
	start, _ := recognise.NextWord(text, i, to)
	return start
}

// twins are the entries whose whole value has the same words.
func (d *dictionary) twins(p phrase) []*entry {
	var same []*entry
	for _, q := range d.phrases[p.words[0]] {
		if q.part == "" && q.split == 0 && q.live() && slices.Equal(q.words, p.words) {
			same = append(same, q.entry)
		}
	}
	return same
}

func (p phrase) live() bool { return p.entry.known && p.entry.value == p.value }

// ends gives where each of the phrase's words ends in the text, the first of which stands at
// start:end; nil where the phrase doesn't stand there.
func (p phrase) ends(text string, start, end, to int) []int {
	if !p.live() {
		return nil
	}
	if len(p.words) == 1 && p.entry.row.Type == steward.TokenPerson {
		// A single word may be a common one: Will, Mark, Grant.
		r, _ := utf8.DecodeRuneInString(text[start:])
		if unicode.IsLower(r) || p.part == "" && recognise.SentenceStart(text, start) {
			return nil
		}
	}
	ends := make([]int, 1, len(p.words))
	ends[0] = end
	var buf [64]byte
	for _, word := range p.words[1:] {
		next, stop := recognise.NextWord(text, end, to)
		if next == stop || !joins(text[end:next]) || string(fold(buf[:0], text[next:stop])) != word {
			return nil
		}
		end = stop
		ends = append(ends, end)
	}
	return ends
}

// joins says what may stand between two words of one name.
func joins(between string) bool {
	return len(between) <= 3 && strings.Trim(between, " \t\r\n\u00a0-.,'’_") == ""
}

// words splits a value as the dictionary compares it.
func words(value string) []string {
	var all []string
	for i := 0; ; {
		start, end := recognise.NextWord(value, i, len(value))
		if start == end {
			return all
		}
		all = append(all, string(fold(nil, value[start:end])))
		i = end
	}
}

// fold appends a word as it is compared: in lower case.
func fold(buf []byte, word string) []byte {
	for i := 0; i < len(word); {
		r, size := rune(word[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(word[i:])
		}
		i += size
		buf = utf8.AppendRune(buf, unicode.ToLower(r))
	}
	return buf
}
