package search

import (
	"path"
	"slices"
	"strings"
	"unicode"
)

// maxDepth bounds how deep parentheses nest in a term.
const maxDepth = 100

// term says whether the texts of a record are what is searched for.
type term interface{ holds(texts [][]string) bool }

// phrase holds where one text has these words in a row. Words are in lower case and may have * and ?.
type phrase []string

// all, some and but hold where all of them do, any, and the first but not the second.
type (
	all  []term
	some []term
	but  struct{ this, not term }
)

func (p phrase) holds(texts [][]string) bool {
	return len(p) > 0 && slices.ContainsFunc(texts, func(words []string) bool {
		for from := range words {
			if from+len(p) <= len(words) && p.startsAt(words[from:]) {
				return true
			}
		}
		return false
	})
}

func (p phrase) startsAt(words []string) bool {
	for i, pattern := range p {
		if ok, err := path.Match(pattern, words[i]); !ok || err != nil {
			return false
		}
	}
	return true
}

func (a all) holds(texts [][]string) bool {
	return !slices.ContainsFunc(a, func(t term) bool { return !t.holds(texts) })
}

func (s some) holds(texts [][]string) bool {
	return slices.ContainsFunc(s, func(t term) bool { return t.holds(texts) })
}

func (b but) holds(texts [][]string) bool { return b.this.holds(texts) && !b.not.holds(texts) }

// words cuts a text into words, in lower case. Whatever isn't a letter or a digit stands between them.
func words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !inWord(r) })
}

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }

// termParser reads the text between FIND's braces. It is at text[pos].
type termParser struct {
	text    string
	pos     int
	depth   int
	letters int    // and digits so far
	fault   string // the first thing wrong, at pos
}

func (p *termParser) fail(message string) term {
	if p.fault == "" {
		p.fault = message
	}
	return phrase{}
}

// peek gives what comes next: a parenthesis, a quote, an operator in upper case, "word", or "" at the end.
func (p *termParser) peek() string {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
	rest := p.text[p.pos:]
	if rest == "" || p.fault != "" {
		return ""
	}
	if strings.IndexByte(`()"`, rest[0]) >= 0 {
		return rest[:1]
	}
	word := rest
	if end := strings.IndexAny(rest, " \t\r\n()\""); end >= 0 {
		word = rest[:end]
	}
	if op := strings.ToUpper(word); op == "AND" || op == "OR" || op == "NOT" {
		return op
	}
	return "word"
}

// take passes an operator or a sign if it is next.
func (p *termParser) take(what string) bool {
	if p.peek() != what {
		return false
	}
	p.pos += len(what)
	return true
}

// or reads terms with OR between them, which binds less than AND.
func (p *termParser) or() term {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxDepth {
		return p.fail("the search nests too deep")
	}
	terms := some{p.and()}
	for p.take("OR") {
		terms = append(terms, p.and())
	}
	return terms
}

// and reads terms with AND, AND NOT or nothing between them. What has nothing but signs in it is passed over.
func (p *termParser) and() term {
	terms := all{}
	add := func(t term) {
		if words, ok := t.(phrase); !ok || len(words) > 0 {
			terms = append(terms, t)
		}
	}
	add(p.one())
	for {
		switch next := p.peek(); {
		case p.take("AND"):
			if p.take("NOT") {
				terms = all{but{terms, p.one()}}
				continue
			}
			add(p.one())
		case next == "word" || next == "(" || next == `"`:
			add(p.one())
		case len(terms) == 0:
			return p.fail("a word is missing here")
		default:
			return terms
		}
	}
}

// one reads a word, a phrase in quotes, or a term in parentheses.
func (p *termParser) one() term {
	switch {
	case p.take("("):
		inner := p.or()
		if !p.take(")") {
			return p.fail("a parenthesis isn't closed")
		}
		return inner
	case p.take(`"`):
		return p.phrase(`"`)
	case p.peek() == "word":
		return p.phrase(" \t\r\n()\"")
	}
	return p.fail("a word is missing here")
}

// phrase reads words up to one of these characters; a quote has to come, and is passed.
func (p *termParser) phrase(until string) term {
	start := p.pos
	var pattern strings.Builder
	for ; p.pos < len(p.text) && strings.IndexByte(until, p.text[p.pos]) < 0; p.pos++ {
		c := p.text[p.pos]
		if c == '\\' && p.pos+1 < len(p.text) { // takes what follows for itself
			p.pos++
			if c = p.text[p.pos]; c == '*' || c == '?' {
				c = ' ' // which stands between words, as those do
			}
		}
		pattern.WriteByte(c)
	}
	if until == `"` {
		if p.pos == len(p.text) {
			p.pos = start
			return p.fail("a quote isn't closed")
		}
		p.pos++
	}
	p.letters += len([]rune(strings.Map(func(r rune) rune {
		if inWord(r) {
			return r
		}
		return -1
	}, pattern.String())))
	return phrase(strings.FieldsFunc(strings.ToLower(pattern.String()), func(r rune) bool { return !inWord(r) && r != '*' && r != '?' }))
}
