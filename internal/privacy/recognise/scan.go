// Package recognise answers: what in a text looks personal by itself? It finds e-mail addresses,
// telephone numbers, secrets and what could be names; it doesn't know tokens, nor any value.
package recognise

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind is what a span looks like. The words are those that tokens are named by.
type Kind string

// The kinds.
const (
	Email  Kind = "EMAIL"
	Phone  Kind = "PHONE"
	Secret Kind = "SECRET"
)

// Span is a piece of a text, in bytes, and what it looks like.
type Span struct {
	Start, End int
	Type       Kind
	Sure       bool // by its look alone; else it is one only if it is known to be
}

// Emails finds addresses. The '@' is looked for, then read outwards.
func Emails(text string) []Span {
	var found []Span
	for from := 0; ; {
		at := strings.IndexByte(text[from:], '@')
		if at < 0 {
			return found
		}
		at += from
		start, end := mailLocal(text, from, at), mailDomain(text, at+1)
		if start < at && end > 0 {
			found = append(found, Span{start, end, Email, true})
			from = end
			continue
		}
		from = at + 1
	}
}

func mailLocal(text string, from, at int) int {
	start := at
	for start > from {
		r, size := utf8.DecodeLastRuneInString(text[from:start])
		if !(IsWord(r) || strings.ContainsRune("._%+-'", r)) {
			break
		}
		start -= size
	}
	for start < at && strings.IndexByte(".-'%", text[start]) >= 0 {
		start++
	}
	return start
}

// mailDomain gives the end of a domain that begins at i: labels with dots between them, the last one
// of two letters or more; 0 where there is none.
func mailDomain(text string, i int) int {
	end, label, dots, letters := 0, 0, 0, true
	for j := i; ; {
		r, size := utf8.DecodeRuneInString(text[j:])
		word := size > 0 && (IsWord(r) && r != '_')
		switch {
		case word || r == '-' && label > 0:
			label++
			letters = letters && word && !unicode.IsDigit(r)
			if word && dots > 0 && label >= 2 && letters {
				end = j + size
			}
		case r == '.' && label > 0:
			dots, label, letters = dots+1, 0, true
		default:
			return end
		}
		j += size
	}
}

// Lengths of telephone numbers, in digits; 15 is E.164's.
const (
	MinPhone = 7
	maxPhone = 15
)

// Phones finds runs of digits that could be telephone numbers. Those that look like one by
// themselves are sure; the others count when they are known.
func Phones(text string) []Span {
	var found []Span
	for i := 0; i < len(text); i++ {
		if b := text[i]; !isDigit(b) && b != '+' && b != '(' {
			continue
		}
		if run := readRun(text, i); run.digits > 0 {
			found, i = judge(text, found, run)
		}
	}
	return found
}

// judge adds a run if it can be a number and gives the position to go on from.
func judge(text string, found []Span, run digitRun) ([]Span, int) {
	body := text[run.start:run.end]
	group := run.start + strings.IndexFunc(body, IsNumeral) + run.groups[0] // where its first group ends
	switch n := datePrefix(body); {
	case partOfWord(text, run.start, run.end), run.digits < MinPhone:
		return found, group - 1
	case n > 0:
		return found, run.start + n - 1
	case run.digits > maxPhone:
		return found, run.end - 1
	}
	return append(found, Span{run.start, run.end, Phone, run.dialled(text)}), run.end - 1
}

// digitRun is digits with, between them, what may stand in a telephone number.
type digitRun struct {
	start, end, digits int
	groups             []int  // how many digits stand together
	seps               string // all that stands between
}

// readRun reads a run at i. It ends with its last digit, and before a space where it would otherwise
// hold more digits than a number has. What is far too long is not read to its end, so that no text
// takes more than a multiple of its length.
func readRun(text string, i int) digitRun {
	run := digitRun{start: i}
	var fits digitRun // as it was before the last space
	gap := 0
	for j := i; j < len(text) && gap <= 3 && run.digits <= 2*maxPhone; j++ {
		b := text[j]
		switch {
		case isDigit(b):
			if gap > 0 || run.digits == 0 {
				run.groups = append(run.groups, 0)
			}
			run.groups[len(run.groups)-1]++
			run.digits, run.end, gap = run.digits+1, j+1, 0
			if run.digits > maxPhone && fits.digits >= MinPhone {
				return fits.separated(text)
			}
		case b == '+' && j == i:
		case strings.IndexByte(" -./()", b) >= 0:
			if b == ' ' && run.digits <= maxPhone {
				fits = run
				fits.groups = slices.Clone(run.groups)
			}
			gap++
		default:
			return run.separated(text)
		}
	}
	return run.separated(text)
}

func (p digitRun) separated(text string) digitRun {
	if p.digits > 0 {
		p.seps = strings.Map(func(r rune) rune {
			if IsNumeral(r) || r == '+' {
				return -1
			}
			return r
		}, text[p.start:p.end])
	}
	return p
}

// partOfWord says that a run is glued to something else: an id, an amount, a decimal, a percentage.
func partOfWord(text string, start, end int) bool {
	if start > 0 {
		r, _ := utf8.DecodeLastRuneInString(text[:start])
		if IsWord(r) || strings.ContainsRune("_-.$€£¥,", r) {
			return true
		}
		if r == ' ' && start > 1 && strings.ContainsRune("$€£¥", lastRune(text[:start-1])) {
			return true
		}
	}
	rest := text[end:]
	r, _ := utf8.DecodeRuneInString(rest)
	if rest != "" && (IsWord(r) || r == '_' || r == '%' || r == '€' || r == '$') {
		return true
	}
	// A thousands' comma or a decimal: "1234567,89", "4,155,550".
	if len(rest) > 1 && (rest[0] == ',' || rest[0] == ':') && isDigit(rest[1]) {
		return true
	}
	return amountBehind(rest)
}

// amountBehind says that a currency's name follows.
func amountBehind(rest string) bool {
	rest = strings.TrimLeft(rest, " ")
	if strings.HasPrefix(rest, "€") || strings.HasPrefix(rest, "£") {
		return true
	}
	word := rest
	if end := strings.IndexFunc(rest, func(r rune) bool { return !unicode.IsLetter(r) }); end >= 0 {
		word = rest[:end]
	}
	switch strings.ToLower(word) {
	case "usd", "eur", "gbp", "chf", "jpy", "cad", "aud", "dollars", "dollar", "euros", "euro", "pounds", "million", "mio":
		return true
	}
	return false
}

// dialled says that a run is a telephone number by its own look or by the word before it. Every
// comparison is with how numbers are written, for which there is no standard but E.164's length.
func (p digitRun) dialled(text string) bool {
	body, zero, groups := text[p.start:p.end], text[p.start] == '0', len(p.groups)
	switch {
	case body[0] == '+':
		return true
	case strings.HasPrefix(p.seps, "."):
		// Versions, decimals and addresses of machines are dotted too.
		pairs := !slices.ContainsFunc(p.groups, func(n int) bool { return n != 2 })
		return slices.Equal(p.groups, []int{3, 3, 4}) || zero && groups == 5 && pairs || groups > 2 && dialWord(text[:p.start])
	case groups == 2 && len(body) == 9 && year(body) && year(body[5:]):
		return false // 2024-2026
	case dialWord(text[:p.start]), strings.Contains(p.seps, "("):
		return true
	case groups == 1:
		return p.digits >= 10
	case thousands(p), slices.Equal(p.groups, []int{5, 4}), groups > 6, slices.Max(p.groups) > 8:
		return false // 1 250 000; a US postal code; a list
	case slices.Equal(p.groups, []int{3, 4}):
		return p.seps == "-"
	case strings.Trim(p.seps, " ") == "" || strings.Contains(p.seps, " - "):
		return p.digits >= 10 || zero && p.digits >= 9
	}
	return p.digits >= 9 && (groups > 2 || zero || p.digits >= 10)
}

// dialWord says that one of the last two words speaks of telephoning.
func dialWord(before string) bool {
	words := strings.FieldsFunc(strings.ToLower(before[max(0, len(before)-32):]), func(r rune) bool { return !unicode.IsLetter(r) })
	for _, word := range words[max(0, len(words)-2):] {
		switch word {
		case "tel", "telephone", "phone", "phones", "mobile", "mob", "cell", "cellphone", "call", "called", "calling", "fax",
			"dial", "ring", "whatsapp", "sms", "handy", "telefon", "mobil", "tél", "téléphone", "teléfono", "móvil":
			return true
		}
	}
	return false
}

func year(s string) bool { return strings.HasPrefix(s, "19") || strings.HasPrefix(s, "20") }

// thousands is "1 250 000".
func thousands(p digitRun) bool {
	return strings.Trim(p.seps, " ") == "" && p.groups[0] <= 3 && !slices.ContainsFunc(p.groups[1:], func(n int) bool { return n != 3 })
}

// datePrefix gives the length of a date that body begins with: 2026-11-23, 23.11.2026, 11/23/2026; 0
// where there is none.
func datePrefix(body string) int {
	for _, shape := range []string{"0000-00-00", "0000/00/00", "0000.00.00", "00-00-0000", "00/00/0000", "00.00.0000", "0/00/0000", "00/0/0000", "0/0/0000", "0.00.0000", "00.0.0000", "0.0.0000"} {
		if len(body) < len(shape) || len(body) > len(shape) && isDigit(body[len(shape)]) {
			continue
		}
		ok, at := true, 0
		for i := range shape {
			if shape[i] == '0' {
				ok = ok && isDigit(body[i])
			} else {
				ok = ok && body[i] == shape[i]
				if at == 0 {
					at = i
				}
			}
		}
		if ok && (at == 4 && year(body) || at < 4 && year(body[len(shape)-4:])) {
			return len(shape)
		}
	}
	return 0
}

// Digits is the digits of a text.
func Digits(text string) string {
	return strings.Map(func(r rune) rune {
		if IsNumeral(r) {
			return r
		}
		return -1
	}, text)
}

// PhoneKey is what two spellings of one number share: the last ten digits, or all of a shorter one.
func PhoneKey(text string) string {
	d := Digits(text)
	return d[max(0, len(d)-10):]
}

// SamePhone compares two numbers: with a country on both, they must agree wholly.
func SamePhone(a, b string) bool {
	if abroad(a) && abroad(b) {
		return strings.TrimLeft(Digits(a), "0") == strings.TrimLeft(Digits(b), "0")
	}
	return PhoneKey(a) == PhoneKey(b)
}

// Dialled is a number without what is only written between its digits.
func Dialled(number string) string {
	return strings.Map(func(r rune) rune {
		if IsNumeral(r) || r == '+' {
			return r
		}
		return -1
	}, number)
}

func abroad(number string) bool {
	return strings.HasPrefix(number, "+") || strings.HasPrefix(number, "00")
}
