package rules

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// longest question, in bytes, that is read at all: none of ours needs more.
const longest = 2000

// understand finds the plan of a question: nil when no rule has one, and then, where a rule had all
// but some words, those words.
func understand(question string) (do plan, unplaced string) {
	if len(question) > longest {
		return nil, ""
	}
	question = tidy(question)
	if commands := joined(question); commands != nil {
		return carryOut(commands), ""
	}
	for _, r := range rules {
		m := r.pattern.FindStringSubmatch(question)
		if m == nil {
			continue
		}
		do, left := r.make(match{pattern: r.pattern, text: question, groups: m})
		if do != nil {
			return do, ""
		}
		if unplaced == "" {
			unplaced = left
		}
	}
	return nil, unplaced
}

// joined reads "do this and do that": every part must be a command, else the question is none.
func joined(question string) []command {
	var commands []command
	for _, part := range split(question) {
		c, ok := commandOf(tidy(part))
		if !ok {
			// The "and" may belong to a name, so the whole may still be one command.
			if c, ok = commandOf(question); !ok {
				return nil
			}
			return []command{c}
		}
		commands = append(commands, c)
	}
	return commands
}

func commandOf(text string) (command, bool) {
	for _, r := range commandRules {
		if m := r.pattern.FindStringSubmatch(text); m != nil {
			if c, ok := r.make(match{pattern: r.pattern, text: text, groups: m}); ok {
				return c, true
			}
		}
	}
	return command{}, false
}

// match is a question that fits a rule's pattern.
type match struct {
	pattern *regexp.Regexp
	text    string
	groups  []string
}

// raw is what a group of the pattern matched.
func (m match) raw(group string) string {
	if i := m.pattern.SubexpIndex(group); i >= 0 {
		return m.groups[i]
	}
	return ""
}

// name is what a group matched, as the name of a record: without quotes, or where there are none,
// without the words around it that say what it is.
func (m match) name(group string) string { return nameOf(m.raw(group)) }

var (
	around = regexp.MustCompile(`^(?:(?:the|our|my) )?(?:(?:deal|opportunity|opp|account|company|customer|contact)(?: (?:named|called))? )?`)
	behind = regexp.MustCompile(` (?:deal|opportunity|opp|account)$`)
)

func nameOf(raw string) string {
	raw = strings.Trim(raw, " ,")
	if inner := unquote(raw); inner != raw {
		return inner
	}
	return unquote(strings.TrimSpace(behind.ReplaceAllString(around.ReplaceAllString(raw, ""), "")))
}

// quotes are the pairs that people put around names, on whatever keyboard.
var quotes = [...][2]string{{`"`, `"`}, {`'`, `'`}, {"“", "”"}, {"„", "“"}, {"‘", "’"}, {"’", "’"}, {"”", "”"}}

func unquote(s string) string {
	for _, q := range quotes {
		inner, opened := strings.CutPrefix(s, q[0])
		if inner, closed := strings.CutSuffix(inner, q[1]); opened && closed {
			return strings.TrimSpace(inner)
		}
	}
	return s
}

// proper says whether unquoted words look like a name: a token, an e-mail address, or something with
// a capital or a digit in front.
func proper(raw string) bool {
	raw = strings.TrimSpace(raw)
	if raw == "" {
		return false
	}
	first := []rune(raw)[0]
	return unquote(raw) != raw || first == '<' || strings.Contains(raw, "@") || unicode.IsUpper(first) || unicode.IsDigit(first)
}

var (
	politeAhead = regexp.MustCompile(`(?i)^(?:please|kindly|hi|hello|hey|ok|okay|now|then|also|and|so|(?:can|could|would|will) you|can i|(?:i want|i would like|i['’]d like|i need)(?: you)? to|let['’]s|go ahead and)\b[\s,:!]*`)
	politeAfter = regexp.MustCompile(`(?i)(?:[\s,]+(?:please|thanks|thank you|for me)|[\s?!.,;]+)$`)
)

// tidy leaves the bare question: one line, no courtesies, no punctuation at its end.
func tidy(q string) string {
	q = strings.Join(strings.Fields(q), " ")
	for {
		shorter := politeAfter.ReplaceAllString(politeAhead.ReplaceAllString(q, ""), "")
		if shorter == q {
			return q
		}
		q = shorter
	}
}

var next = regexp.MustCompile(`(?i)((?:,? and(?: then| also)?|,? then|;) (?:please )?)(?:log|record|set|change|update|move|create|add|mark|close) `)

// split cuts a question before each further command, outside of quotes.
func split(q string) []string {
	quoted := between.FindAllStringSubmatchIndex(q, -1)
	var parts []string
	from := 0
	for _, at := range next.FindAllStringSubmatchIndex(q, -1) {
		if !inside(quoted, at[0]) {
			parts, from = append(parts, q[from:at[0]]), at[3]
		}
	}
	return append(parts, q[from:])
}

// between matches what stands between quotes: one that opens follows a space, one that closes
// precedes a space or punctuation, so that an apostrophe is neither.
var between = regexp.MustCompile(`(?:^|[ ,:])(".+?"|“.+?”|„.+?“|‘.+?’|'.+?')(?:$|[ ,.;:?!)])`)

func inside(quoted [][]int, at int) bool {
	return slices.ContainsFunc(quoted, func(span []int) bool { return span[2] <= at && at < span[3] })
}

// detail is what stands behind a keyword.
type detail struct{ keyword, text string }

// details cuts a text at keywords outside of quotes: what stands before the first, and behind each
// the text up to the next. A keyword goes by the name of its group.
func details(text string, keywords *regexp.Regexp) (head string, parts []detail) {
	quoted := between.FindAllStringSubmatchIndex(text, -1)
	end := len(text)
	all := keywords.FindAllStringSubmatchIndex(text, -1)
	for _, at := range slices.Backward(all) {
		if inside(quoted, at[0]) || at[0] == 0 {
			continue
		}
		group := slices.IndexFunc(keywords.SubexpNames(), func(n string) bool { return n != "" && at[2*keywords.SubexpIndex(n)] >= 0 })
		if said := strings.Trim(text[at[1]:end], " ,"); said != "" {
			parts = append(parts, detail{keywords.SubexpNames()[group], said})
		}
		end = at[0]
	}
	return strings.Trim(text[:end], " ,"), parts
}

var macro = regexp.MustCompile(`\{([a-z]+)\}`)

// form compiles a rule's pattern: {x} is a named group of quoted or other text, @deal the words for
// a deal, and so on; case doesn't matter, and the whole question has to fit.
func form(pattern string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)^` + spell(pattern) + `$`)
}

func spell(pattern string) string {
	pattern = strings.NewReplacer(
		"@deals", `(?:deals?|opportunit(?:y|ies)|opps?)`,
		"@deal", `(?:deal|opportunity|opp)`,
		"@show", `(?:show|display|get|see|open|pull up|give me|fetch|list|describe|summari[sz]e|find)(?: me)?`,
		"@the", `(?:(?:the|a|an|our|my|all|all the|any) )?`,
	).Replace(pattern)
	return macro.ReplaceAllString(pattern, `(?P<$1>".+?"|“.+?”|„.+?“|‘.+?’|'.+?'|.+?)`)
}

// wish is what a question about figures or lists of deals asks for, slot by slot.
type wish struct {
	group   string // owner, region, stage; "" for none
	weight  string // amount; "" for count
	period  string // "this_quarter"; "" for none
	days    int
	bounds  []bound // of the amount
	top     int     // so many of the largest, or unsaid how many; 0 for all
	status  string  // open, won, lost, closed; "" for any
	mine    bool
	closing bool // the period is that of the close date
	stage   string
	owner   string
}

const unsaid = -1

type bound struct {
	op  string
	sum float64
}

// slot is one thing that can be said anywhere in such a question.
type slot struct {
	name    string
	pattern *regexp.Regexp
	set     func(w *wish, said []string) bool // false: said, but without a meaning
}

const (
	sums   = `(?:usd ?|us\$ ?|\$ ?)?(\d[\d,]*(?:\.\d+)? ?(?:k|m|mn|thousand|million)?)(?: ?(?:usd|us dollars|dollars))?\b`
	number = `(\d+|a|one|two|three|four|five|six|seven|eight|nine|ten)`
	people = `(owner|deal owner|rep|sales rep|representative|sales representative|seller|sales ?person|account executive|ae|region|stage|sales stage)(?:['’]s|s)?`
)

// slots are taken in this order, so that "over 45 days" is no amount and "by amount" no group.
var slots = []slot{
	{"days", phrase(`(?:(?:for|in|since|within|during|over the)(?: the)?(?: last| past)? ?)?(more than |over |longer than )?\b` + number + `[ -]?(days?|weeks?|months?)(?: or (?:more|longer))?`), func(w *wish, s []string) bool {
		return setDays(w, s[2], s[3], s[1] != "")
	}},
	{"days", phrase(`(?:(?:for|in|since) )?at least ` + number + `[ -](days?|weeks?|months?)`), func(w *wish, s []string) bool { return setDays(w, s[1], s[2], false) }},
	{"days", phrase(`(?:(?:for|in|since) )?(\d+) ?d`), func(w *wish, s []string) bool { return setDays(w, s[1], "d", false) }},
	{"top", phrase(`(?:top|largest|biggest|highest|most valuable) ` + number + `(?: (?:largest|biggest|most valuable))?`), func(w *wish, s []string) bool { w.top = count(s[1]); return 0 < w.top && w.top <= listed }},
	{"top", phrase(number + ` (?:largest|biggest|highest|most valuable)`), func(w *wish, s []string) bool { w.top = count(s[1]); return 0 < w.top && w.top <= listed }},
	{"top", phrase(`(?:largest|biggest|highest[- ]value|most valuable)`), func(w *wish, _ []string) bool { w.top = unsaid; return true }},
	{"over", regexp.MustCompile(`(?i)(?:\b(?:that are |which are )?(?:worth |valued )?(?:over|above|more than|greater than|larger than|bigger than|exceeding)|>) ?` + sums), func(w *wish, s []string) bool { return w.bound(">", s[1]) }},
	{"least", regexp.MustCompile(`(?i)(?:\b(?:worth |of )?at least|>=) ?` + sums), func(w *wish, s []string) bool { return w.bound(">=", s[1]) }},
	{"under", regexp.MustCompile(`(?i)(?:\b(?:that are |which are )?(?:worth )?(?:under|below|less than|smaller than)|<) ?` + sums), func(w *wish, s []string) bool { return w.bound("<", s[1]) }},
	{"weight", phrase(`(?:weighted )?by (?:amount|value|revenue|dollars)|(?:value|amount|dollar)[- ](?:weighted|based)|in dollars`), func(w *wish, _ []string) bool { w.weight = "amount"; return true }},
	{"weight", phrase(`by (?:count|number)|count[- ]based|by number of deals`), func(w *wish, _ []string) bool { w.weight = "count"; return true }},
	{"group", phrase(`(?:(?:split|broken down|grouped|group) )?(?:by|per|for each|for every|of each|across) (?:the )?` + people), setGroup},
	{"group", phrase(`(?:which|what) ` + people + ` (?:has|have|had|with) the (?:best|highest|lowest|worst|most|largest|biggest)`), setGroup},
	{"group", phrase(`who (?:has|had) the (?:best|highest|lowest|worst)`), func(w *wish, _ []string) bool { w.group = "owner"; return true }},
	{"period", phrase(`(?:quarter[- ]to[- ]date|qtd)`), func(w *wish, _ []string) bool { w.period = "this_quarter"; return true }},
	{"period", phrase(`(?:year[- ]to[- ]date|ytd)`), func(w *wish, _ []string) bool { w.period = "this_year"; return true }},
	{"period", phrase(`(?:month[- ]to[- ]date|mtd)`), func(w *wish, _ []string) bool { w.period = "this_month"; return true }},
	{"period", phrase(`(?:of )?all[- ]time|ever|all periods`), func(w *wish, _ []string) bool { w.period = "all"; return true }},
	{"period", phrase(`(?:(?:in|for|during|over|within|of) )?(?:the )?(this|current|last|previous|prior|next|coming) (week|month|quarter|year)(?:['’]s)?`), setPeriod},
	{"mine", phrase(`(?:that |which )?(?:do )?i (?:own|have)|(?:that |which )?are mine|(?:assigned to|owned by) me|my|mine`), func(w *wish, _ []string) bool { w.mine = true; return true }},
	{"status", phrase(`(?:that |which )?(?:(?:are|were|have been|did) )?(?:closed[- ]|we )?(won|lost|win|lose)`), setStatus},
	{"status", phrase(`(?:that |which )?(?:(?:are|were|have been) )?(?:still )?(open|closed)`), setStatus},
	{"closing", phrase(`(?:that |which )?(?:are |is |will )?(?:set to |due to |expected to )?(?:closing|close|closes|due|expected to close|with (?:a )?close date)`), func(w *wish, _ []string) bool { w.closing = true; return true }},
	{"stage", phrase(`(?:in|at|with) (?:the )?stage (".+?"|“.+?”|'.+?'|(?-i:\pL[\pL&./-]*(?: \p{Lu}[\pL&./-]*)*))`), func(w *wish, s []string) bool { w.stage = unquote(s[1]); return true }},
	{"owner", phrase(`(?:(?:that |which )?(?:are )?(?:owned by|belonging to|assigned to)|of) (<PERSON_\w+>|(?-i:\p{Lu}[\pL'’-]+(?: \p{Lu}[\pL'’-]+)+))`), func(w *wish, s []string) bool { w.owner = s[1]; return true }},
}

// phrase compiles a pattern of whole words, case aside. Quotes and brackets may end it too.
func phrase(pattern string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(?:` + pattern + `)(?:$|\b|[ ,])`)
}

// filler are the words that ask without saying what.
var filler = strings.Fields("what what's what’s whats is are was were our the a an show me us list give tell get see of for in on with do does did have has had " +
	"which that we and how much many there all currently now look like about at their compare find i it to display every out been")

// wishes reads a question slot by slot. Every word has to be placed: in the topic, in a slot that
// the topic takes, among its extra words, or as filler. What is not is handed back, since leaving it
// out would answer another question.
func wishes(text string, topic *regexp.Regexp, takes, extra string) (w wish, unplaced string) {
	rest, open := topic.ReplaceAllString(text, " | "), strings.Fields(takes)
	for _, s := range slots {
		at := slices.Index(open, s.name)
		m := s.pattern.FindStringSubmatch(rest)
		if at < 0 || m == nil || !s.set(&w, m) {
			continue
		}
		open = slices.Delete(open, at, at+1) // what is said of it again stays unplaced
		span := s.pattern.FindStringIndex(rest)
		rest = rest[:span[0]] + " | " + rest[span[1]:]
	}
	var left []string
	for _, word := range strings.FieldsFunc(rest, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("|,?!.:", r) }) {
		if lower := strings.ToLower(word); !slices.Contains(filler, lower) && !strings.Contains(" "+extra+" ", " "+lower+" ") {
			left = append(left, word)
		}
	}
	return w, strings.Join(left, " ")
}

func setDays(w *wish, number, unit string, more bool) bool {
	w.days = count(number) * map[byte]int{'d': 1, 'w': 7, 'm': 30}[strings.ToLower(unit)[0]]
	if more {
		w.days++ // "more than 30" begins at 31
	}
	return w.days > 0
}

func setGroup(w *wish, s []string) bool {
	w.group = "owner"
	for _, other := range []string{"region", "stage"} {
		if strings.HasSuffix(strings.ToLower(s[1]), other) {
			w.group = other
		}
	}
	return true
}

// meant gives the word that is understood for the one that was said, where they differ.
func meant(said string) string {
	said = strings.ToLower(said)
	return cmp.Or(map[string]string{
		"current": "this", "coming": "next", "previous": "last", "prior": "last", "win": "won", "lose": "lost",
	}[said], said)
}

func setPeriod(w *wish, s []string) bool {
	w.period = meant(s[1]) + "_" + strings.ToLower(s[2])
	return true
}

func setStatus(w *wish, s []string) bool { w.status = meant(s[1]); return true }

func (w *wish) bound(op, text string) bool {
	sum, ok := amount(text)
	if ok {
		w.bounds = append(w.bounds, bound{op, sum})
	}
	return ok
}

// count reads a small number; 0 for none.
func count(s string) int {
	if at := slices.Index(strings.Fields("a one two three four five six seven eight nine ten"), strings.ToLower(s)); at >= 0 {
		return max(at, 1)
	}
	n, err := strconv.Atoi(s)
	if err != nil || n > 9999 {
		return 0
	}
	return n
}

var amountForm = regexp.MustCompile(`(?i)^` + sums + `$`)

// amount reads "$75,000", "50k", "1.5 million USD".
func amount(text string) (float64, bool) {
	m := amountForm.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return 0, false
	}
	digits := strings.ToLower(strings.ReplaceAll(m[1], ",", ""))
	bare := strings.TrimRight(digits, " adhiklmnostu")
	v, err := strconv.ParseFloat(bare, 64)
	if err != nil || len(bare) > 15 {
		return 0, false
	}
	switch unit := strings.TrimSpace(digits[len(bare):]); {
	case unit == "k" || unit == "thousand":
		v *= 1e3
	case unit != "":
		v *= 1e6
	}
	return v, true
}

// date reads a day that can't be mistaken for another: 12/11/2026 can.
func date(text string) (string, bool) {
	for _, layout := range []string{time.DateOnly, "January 2, 2006", "Jan 2, 2006", "January 2 2006", "Jan 2 2006", "2 January 2006", "2 Jan 2006"} {
		if t, err := time.Parse(layout, strings.TrimSpace(text)); err == nil {
			return t.Format(time.DateOnly), true
		}
	}
	return "", false
}
