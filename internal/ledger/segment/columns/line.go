package columns

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/layout"
)

// Liner makes lines of entries. Its zero value is ready.
type Liner struct {
	brief layout.Brief
	known map[string]string // words that were met, and the periods of lists of scopes
}

// keptWords is how many words are kept so that each need not be made again.
const keptWords = 1 << 12

// Line is an entry as columns, and the periods of each of its parts, as one text.
func (l *Liner) Line(row *ledger.Row) (line Header, parts []string, err error) {
	// Of a header that is written as Steward writes them, and in which nothing is escaped, it is known where
	// each text begins: what looks like a key is one, since no text has quotes in it.
	if l.brief.Read(row.Header) && bytes.IndexByte(row.Header, '\\') < 0 {
		line, parts = l.cut(row.Header)
	} else {
		h, err := ledger.Decode(row)
		if err != nil {
			return Header{}, nil, err
		}
		line = Of(&h, row.Header)
		for _, p := range h.Parts {
			parts = append(parts, periods(p.Scopes))
		}
	}
	line.MoreTargets, line.Parts, line.Header = len(line.Targets) >= ledger.MaxTargets, int32(len(parts)), row.Header
	return line, parts, nil
}

// cut cuts a header where its keys are.
func (l *Liner) cut(header []byte) (line Header, parts []string) {
	rest := header
	behind := func(key string) bool {
		_, after, found := bytes.Cut(rest, []byte(key))
		if found {
			rest = after
		}
		return found
	}
	// until gives what comes before any of these, and goes on there.
	until := func(ends string) []byte {
		n := bytes.IndexAny(rest, ends)
		value := rest[:n]
		rest = rest[n:]
		return value
	}
	text := func(key string) (word string) {
		if behind(key) {
			word = l.word(until(`"`))
		}
		return word
	}
	number := func(key string) (n int64) {
		if behind(key) {
			n, _ = strconv.ParseInt(string(until(",}")), 10, 64) // Brief has read it
		}
		return n
	}
	// texts calls fn with the texts of a list, and gives all that was between its brackets.
	texts := func(key string, fn func([]byte)) []byte {
		if !behind(key) {
			return nil
		}
		list := rest
		for rest[0] != ']' {
			behind(`"`)
			fn(until(`"`))
			rest = rest[1:]
		}
		return list[:len(list)-len(rest)]
	}
	line = Header{Seq: int64(l.brief.Seq), Time: l.brief.Micros, Kind: l.word(l.brief.Kind)}
	line.Run, line.Caller, line.OnBehalfOf = text(`,"run":"`), text(`,"caller":"`), text(`,"on_behalf_of":"`)
	line.Authentication, line.System, line.Tool = text(`,"authentication":"`), text(`,"system":"`), text(`,"tool":"`)
	line.Effect, line.Decision, line.PolicySet = text(`,"effect":"`), text(`,"decision":"`), text(`,"policy_set":"`)
	line.Outcome, line.Error, line.Purpose = text(`,"outcome":"`), text(`,"error":"`), text(`,"purpose":"`)
	line.Records, line.DurationUS = number(`,"records":`), number(`,"duration_us":`)
	texts(`,"targets":[`, func(word []byte) { line.Targets = append(line.Targets, l.word(word)) })
	if l.brief.Intends {
		line.Intent = new(int64(l.brief.Intent))
	}
	line.Node = text(`,"node":"`)
	for range l.brief.Parts {
		var scopes []steward.Scope
		list := texts(`{"scopes":[`, func(name []byte) { scopes = append(scopes, steward.Scope(l.word(name))) })
		found, ok := l.known[string(list)] // which begins with a quote, and so is no word
		if !ok {
			found = periods(scopes)
			l.keep(string(list), found)
		}
		parts = append(parts, found)
	}
	return line, parts
}

func (l *Liner) word(b []byte) string {
	if word, ok := l.known[string(b)]; ok {
		return word
	}
	word := string(b)
	l.keep(word, word)
	return word
}

func (l *Liner) keep(key, value string) {
	if l.known == nil || len(l.known) >= keptWords {
		l.known = map[string]string{}
	}
	l.known[key] = value
}

// periods are those of a part's scopes by which it is laid beside others: all but a person's and an item's.
func periods(scopes []steward.Scope) string {
	var kept []steward.Scope
	for _, scope := range scopes {
		if s := string(scope); !strings.HasPrefix(s, "person/") && !strings.HasPrefix(s, "item/") {
			kept = append(kept, scope)
		}
	}
	slices.Sort(kept)
	return steward.Sealed{Scopes: kept}.ScopeList()
}
