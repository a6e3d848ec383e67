package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// stdio is what a command reads from and writes to. Data goes to Out, all else to Err.
type stdio struct {
	In                                   io.Reader
	Out, Err                             io.Writer
	InTerminal, OutTerminal, ErrTerminal bool // a person sits there

	color bool
}

func (s stdio) paint(code, text string) string {
	if !s.color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s stdio) bold(text string) string  { return s.paint("1", text) }
func (s stdio) dim(text string) string   { return s.paint("2", text) }
func (s stdio) red(text string) string   { return s.paint("31", text) }
func (s stdio) green(text string) string { return s.paint("32", text) }

// complain tells of a failure, in one line.
func (s stdio) complain(message string) {
	fmt.Fprintln(s.Err, "steward:", strings.Join(strings.Fields(plain(message)), " "))
}

// plain takes out what a terminal would obey instead of show: what stands in a CRM may have been written
// by anybody. Line breaks and tabs stay.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			return -1
		}
		return r
	}, text)
}

// line is plain for a cell or a title.
func line(text string) string { return strings.Join(strings.Fields(plain(text)), " ") }

// columns prints rows with their cells one below the other.
func (s stdio) columns(out io.Writer, rows [][]string) {
	s.table(out, nil, rows)
}

var figure = regexp.MustCompile(`^[-+]?[$€£]?[\d.,]+ ?%?$`)

// table prints aligned columns. Columns of figures are set flush right. Cells may be painted already
// only in the last column.
func (s stdio) table(out io.Writer, titles []string, rows [][]string) {
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
		write(titles, s.bold)
	}
	for _, cells := range rows {
		write(cells, func(text string) string { return text })
	}
}

// markdown prints an answer: its tables as aligned columns, the rest as it is.
func (s stdio) markdown(out io.Writer, text string) {
	lines := strings.Split(plain(text), "\n")
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
		s.table(out, titles, rows)
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

// confirm asks a person, who has to say yes in so many words.
func (s stdio) confirm(ctx context.Context, question string) (bool, error) {
	fmt.Fprint(s.Err, question+" [y/N] ")
	answer := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(s.In).ReadString('\n') // whatever ends the input, no yes was said
		answer <- strings.ToLower(strings.TrimSpace(text))
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(s.Err)
		return false, ctx.Err()
	case said := <-answer:
		return said == "y" || said == "yes", nil
	}
}

// progress tells on Err what is under way, once it takes longer than a second.
type progress struct {
	std  stdio
	mu   sync.Mutex
	what string
	end  chan struct{}
	done chan struct{}
}

// begin starts to tell of something; stop ends it.
func (s stdio) begin(what string) *progress {
	p := &progress{std: s, what: what, end: make(chan struct{}), done: make(chan struct{})}
	go p.tell()
	return p
}

// say changes what is told.
func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what = fmt.Sprintf(format, args...)
}

func (p *progress) stop() {
	close(p.end)
	<-p.done
}

// tell turns a spinner on a terminal, and writes single lines elsewhere, ever more seldom.
func (p *progress) tell() {
	defer close(p.done)
	began := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	said, next := 0, time.Second
	for {
		select {
		case <-p.end:
			if said > 0 && p.std.ErrTerminal {
				fmt.Fprint(p.std.Err, "\r\x1b[K")
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
			if p.std.ErrTerminal {
				fmt.Fprintf(p.std.Err, "\r\x1b[K%c %s, %d s", []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")[said%10], what, int(taken.Seconds()))
			} else {
				fmt.Fprintf(p.std.Err, "%s…\n", what)
				next = 5 * taken
			}
			said++
		}
	}
}
