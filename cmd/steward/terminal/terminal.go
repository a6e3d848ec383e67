// Package terminal answers: how does text get to people, and back? It writes values, times, tables and JSON,
// tells of progress, and asks back; what any of it is about, it doesn't know.
package terminal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Terminal is what a command reads from and writes to. Data goes to Out, all else to Err.
type Terminal struct {
	In                                   io.Reader
	Out, Err                             io.Writer
	InTerminal, OutTerminal, ErrTerminal bool // a person sits there
	Color                                bool // on Out
}

func (t Terminal) paint(code, text string) string {
	if !t.Color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Bold marks a text that stands out, where colours are wanted.
func (t Terminal) Bold(text string) string { return t.paint("1", text) }

// Dim marks what only some will want to read.
func (t Terminal) Dim(text string) string { return t.paint("2", text) }

// Red marks what goes, or is wrong.
func (t Terminal) Red(text string) string { return t.paint("31", text) }

// Green marks what comes, or is right.
func (t Terminal) Green(text string) string { return t.paint("32", text) }

// JSON prints one value on one line.
func (t Terminal) JSON(v any) error {
	e := json.NewEncoder(t.Out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// Raw prints JSON that a server wrote, on one line.
func (t Terminal) Raw(raw []byte) error {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	_, err := fmt.Fprintln(t.Out, b.String())
	return err
}

// Complain tells of a failure, in one line.
func (t Terminal) Complain(message string) {
	fmt.Fprintln(t.Err, "steward:", strings.Join(strings.Fields(Plain(message)), " "))
}

// Plain takes out what a terminal would obey instead of show: what stands in a CRM may have been written
// by anybody. Line breaks and tabs stay.
func Plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			return -1
		}
		return r
	}, text)
}

// Line is Plain for a cell or a title.
func Line(text string) string { return strings.Join(strings.Fields(Plain(text)), " ") }

// Value writes a field's value as people read it.
func Value(v any) string {
	if f, ok := v.(float64); ok {
		return strings.TrimSuffix(fmt.Sprintf("%.2f", f), ".00")
	}
	return Line(fmt.Sprint(v))
}

// Angled shows JSON with its angle brackets as such, so that tokens can be recognised.
func Angled(text string) string {
	return Plain(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(text))
}

// Stamp writes a time for people.
func Stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Counted writes a number with the word for what is counted.
func Counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Columns prints rows without titles, with their cells one below the other.
func (t Terminal) Columns(out io.Writer, rows [][]string) {
	t.Table(out, nil, rows)
}

var figure = regexp.MustCompile(`^[-+]?[$€£]?[\d.,]+ ?%?$`)

// Table prints titles (nil for none) and rows in aligned columns. Columns of figures are set flush right. Cells may be painted already
// only in the last column.
func (t Terminal) Table(out io.Writer, titles []string, rows [][]string) {
	var widths []int
	var figures []bool
	see := func(cells []string, title bool) {
		for i, c := range cells {
			if i == len(widths) {
				widths, figures = append(widths, 0), append(figures, titles != nil)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
			if !title && c != "" && c != "not defined" && !figure.MatchString(c) {
				figures[i] = false
			}
		}
	}
	see(titles, true)
	for _, cells := range rows {
		see(cells, false)
	}
	write := func(cells []string, style func(string) string) {
		var b strings.Builder
		for i, c := range cells {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c))
			if i > 0 {
				b.WriteString("  ")
			}
			if figures[i] {
				b.WriteString(space + c)
			} else {
				b.WriteString(c + space)
			}
		}
		fmt.Fprintln(out, style(strings.TrimRight(b.String(), " ")))
	}
	if titles != nil {
		write(titles, t.Bold)
	}
	for _, cells := range rows {
		write(cells, func(text string) string { return text })
	}
}

// Markdown prints an answer: its tables as aligned columns, the rest as it is.
func (t Terminal) Markdown(out io.Writer, text string) {
	lines := strings.Split(Plain(text), "\n")
	for i := 0; i < len(lines); i++ {
		if !isRow(lines[i]) || i+1 == len(lines) || !ruler.MatchString(lines[i+1]) {
			fmt.Fprintln(out, lines[i])
			continue
		}
		titles, end := cells(lines[i]), i+2
		var rows [][]string
		for ; end < len(lines) && isRow(lines[end]); end++ {
			rows = append(rows, cells(lines[end]))
		}
		t.Table(out, titles, rows)
		i = end - 1
	}
}

var ruler = regexp.MustCompile(`^\s*\|(?:\s*:?-+:?\s*\|)+\s*$`)

func isRow(text string) bool { return strings.HasPrefix(strings.TrimSpace(text), "|") }

// cells splits a row of a Markdown table; "\|" is a bar within a cell.
func cells(row string) []string {
	const bar = "\x00" // plain text has none
	row = strings.ReplaceAll(strings.TrimSpace(row), `\|`, bar)
	row = strings.TrimSuffix(strings.TrimPrefix(row, "|"), "|")
	var list []string
	for _, c := range strings.Split(row, "|") {
		list = append(list, strings.ReplaceAll(strings.TrimSpace(c), bar, "|"))
	}
	return list
}

// Confirm asks a person, who has to say yes in so many words.
func (t Terminal) Confirm(ctx context.Context, question string) (bool, error) {
	fmt.Fprint(t.Err, question+" [y/N] ")
	answer := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(t.In).ReadString('\n') // whatever ends the input, no yes was said
		answer <- strings.ToLower(strings.TrimSpace(text))
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(t.Err)
		return false, ctx.Err()
	case said := <-answer:
		return said == "y" || said == "yes", nil
	}
}

// Progress tells on Err what is under way, once it takes longer than a second.
type Progress struct {
	to   Terminal
	mu   sync.Mutex
	what string
	end  chan struct{}
	done chan struct{}

	counting string // what is counted
	since    time.Time
	first    uint64
}

// Begin starts to tell of something; Stop ends that.
func (t Terminal) Begin(what string) *Progress {
	p := &Progress{to: t, what: what, end: make(chan struct{}), done: make(chan struct{})}
	go p.tell()
	return p
}

// Count tells how much of something is done, and once that can be told how long the rest will take.
func (p *Progress) Count(what string, done, total uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.counting != what {
		p.counting, p.since, p.first = what, now, done
	}
	p.what = fmt.Sprintf("%s: %d of %d%s", what, done, total, rest(now.Sub(p.since), done-min(p.first, done), total-min(done, total)))
}

// rest says how long it takes to do what is left at the pace so far.
func rest(taken time.Duration, done, left uint64) string {
	if taken < time.Second || done == 0 || left == 0 {
		return ""
	}
	return ", about " + (time.Duration(float64(taken)*float64(left)/float64(done)).Round(time.Second) + time.Second).String() + " left"
}

// Stop ends it.
func (p *Progress) Stop() {
	close(p.end)
	<-p.done
}

// tell turns a spinner on a terminal, and writes single lines elsewhere, ever more seldom.
func (p *Progress) tell() {
	defer close(p.done)
	began := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	said, next := 0, time.Second
	for {
		select {
		case <-p.end:
			if said > 0 && p.to.ErrTerminal {
				fmt.Fprint(p.to.Err, "\r\x1b[K")
			}
			return
		case now := <-tick.C:
			taken := now.Sub(began)
			if taken < next {
				continue
			}
			p.mu.Lock()
			what := p.what
			p.mu.Unlock()
			if p.to.ErrTerminal {
				fmt.Fprintf(p.to.Err, "\r\x1b[K%c %s, %d s", []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")[said%10], what, int(taken.Seconds()))
			} else {
				fmt.Fprintf(p.to.Err, "%s…\n", what)
				next = 5 * taken
			}
			said++
		}
	}
}
