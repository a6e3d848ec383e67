package terminal

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestMarkdown(t *testing.T) {
	var out bytes.Buffer
	Terminal{Out: &out}.Markdown(&out, "Win rate by owner.\n\n| Owner | Win rate | Won |\n| --- | --- | --- |\n| Zoë Ångström | 36.4% | 8 |\n| Bo \\| Co | not defined | 1,200 |\n\n2 more are not shown.\n| no table")
	want := `Win rate by owner.

Owner            Win rate    Won
Zoë Ångström        36.4%      8
Bo | Co       not defined  1,200

2 more are not shown.
| no table
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}

// Nothing that stands in a CRM can make the terminal do anything.
func TestNothingIsObeyed(t *testing.T) {
	nasty := "Acme\x1b]0;title\x07\x1b[2J\r\u009b31m\u202eevil\u200b"
	var out bytes.Buffer
	to := Terminal{Out: &out, Err: &out}
	to.Markdown(&out, nasty+"\n| "+nasty+" |\n| --- |\n| "+nasty+" |")
	to.Complain(nasty)
	if i := strings.IndexAny(out.String(), "\x1b\x07\r\u009b\u202e\u200b"); i >= 0 {
		t.Errorf("%q", out.String()[max(0, i-20):i+1])
	}
	if n := strings.Count(out.String(), "evil"); n < 4 {
		t.Errorf("the text itself is shown %d times only:\n%s", n, out.String())
	}
}

func TestPlainKeepsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom([]rune("aZ9 ,.äß漢字\n\t|<>“”€"))).Draw(t, "text")
		if Plain(text) != text {
			t.Errorf("%q became %q", text, Plain(text))
		}
	})
}

// However wide its cells are, a column begins at the same place in every line.
func TestColumnsAlign(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.StringMatching(`[a-zäé漢]{1,12}`)
		rows := rapid.SliceOfN(rapid.SliceOfN(cell, 2, 2), 1, 6).Draw(t, "rows")
		var out bytes.Buffer
		Terminal{}.Table(&out, []string{"A", "B"}, rows)
		lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
		at := strings.IndexRune(lines[0], 'B')
		for i, row := range rows {
			runes := []rune(lines[i+1])
			if got := string(runes[at:]); got != row[1] {
				t.Errorf("line %q: the second column begins elsewhere", lines[i+1])
			}
		}
	})
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	quick := Terminal{Err: &out, ErrTerminal: true}.Begin("working")
	quick.Stop()
	if out.Len() > 0 {
		t.Errorf("what is quick said %q", out.String())
	}
	for _, person := range []bool{true, false} {
		out.Reset()
		p := Terminal{Err: &out, ErrTerminal: person}.Begin("working")
		p.Count("done", 1, 2)
		time.Sleep(1300 * time.Millisecond)
		p.Stop()
		got := out.String()
		if !strings.Contains(got, "done: 1 of 2") || strings.Contains(got, "\r") != person || strings.HasSuffix(got, "\r\x1b[K") != person {
			t.Errorf("on a terminal %v: %q", person, got)
		}
	}
}

func TestConfirm(t *testing.T) {
	for typed, want := range map[string]bool{"y\n": true, "Yes\n": true, " y ": true, "": false, "\n": false, "no\n": false, "yep\n": false} {
		var out bytes.Buffer
		yes, err := Terminal{In: strings.NewReader(typed), Err: &out}.Confirm(context.Background(), "Sure?")
		if err != nil || yes != want || out.String() != "Sure? [y/N] " {
			t.Errorf("%q: %v %v %q", typed, yes, err, out.String())
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	never, typing := io.Pipe()
	defer typing.Close()
	if yes, err := (Terminal{In: never, Err: &bytes.Buffer{}}).Confirm(ctx, "Sure?"); yes || err == nil {
		t.Errorf("when interrupted: %v %v", yes, err)
	}
}

func TestRestIsToldOnceItCanBe(t *testing.T) {
	for _, c := range []struct {
		taken      time.Duration
		done, left uint64
		want       string
	}{
		{500 * time.Millisecond, 10, 90, ""}, {2 * time.Second, 0, 90, ""}, {2 * time.Second, 100, 0, ""},
		{2 * time.Second, 100, 400, ", about 9s left"}, {10 * time.Second, 1, 60, ", about 10m1s left"},
	} {
		if got := rest(c.taken, c.done, c.left); got != c.want {
			t.Errorf("after %s, %d done and %d left: %q, want %q", c.taken, c.done, c.left, got, c.want)
		}
	}
	var out bytes.Buffer
	p := Terminal{Err: &out}.Begin("verifying")
	p.Count("entries", 5, 10)
	if p.what != "entries: 5 of 10" {
		t.Errorf("it says %q", p.what)
	}
	p.Stop()
}
