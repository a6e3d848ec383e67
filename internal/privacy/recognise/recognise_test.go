package recognise_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stewardhq/steward/internal/privacy/recognise"
)

func lines(t *testing.T, file string) []string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(raw)) {
		if line = strings.TrimSuffix(line, "\n"); line != "" && line[0] != '#' {
			all = append(all, line)
		}
	}
	return all
}

func TestScanners(t *testing.T) {
	cases := lines(t, "testdata/scan.txt")
	if len(cases) < 80 {
		t.Fatalf("the corpus has %d lines", len(cases))
	}
	for _, line := range cases {
		want, text, ok := strings.Cut(line, " | ")
		if !ok {
			t.Fatalf("malformed: %q", line)
		}
		text, want = strings.ReplaceAll(text, `\n`, "\n"), strings.ReplaceAll(want, `\n`, "\n")
		var got []string
		for _, s := range recognise.Secrets(text) {
			got = append(got, "secret="+text[s.Start:s.End])
		}
		if len(got) == 0 {
			for _, s := range recognise.Phones(text) {
				if s.Sure {
					got = append(got, "phone="+text[s.Start:s.End])
				}
			}
			for _, s := range recognise.Emails(text) {
				got = append(got, "email="+text[s.Start:s.End])
			}
		}
		if g := strings.Join(got, " & "); g != want && (want != "-" || g != "") {
			t.Errorf("%q:\n  got  %s\n  want %s", text, g, want)
		}
	}
}

func TestEachSecretRuleInEverySurrounding(t *testing.T) {
	body := strings.Repeat("aB3", 14)
	for _, prefix := range []string{
		"sk-ant-", "sk-proj-", "sk_live_", "rk_live_", "sk_test_", "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-",
		"xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xapp-", "AIza", "ya29.", "SG.", "hf_", "npm_", "shpat_", "dop_v1_", "stw_",
	} {
		for _, around := range []string{"%s", "x %s y", `{"key":"%s"}`, "key=%s;", "“%s”", "(%s)", "%s."} {
			text := fmt.Sprintf(around, prefix+body)
			found := recognise.Secrets(text)
			if len(found) != 1 || text[found[0].Start:found[0].End] != prefix+body {
				t.Errorf("%s: found %v", text, found)
			}
		}
		if found := recognise.Secrets("word" + prefix + body); len(found) != 0 {
			t.Errorf("%s in the middle of a word counts as a secret", prefix)
		}
	}
}

func TestCandidates(t *testing.T) {
	for _, line := range lines(t, "testdata/names.txt") {
		text, want, ok := strings.Cut(line, "=>")
		if !ok {
			t.Fatalf("malformed: %q", line)
		}
		var all []string
		if want = strings.TrimSpace(want); want != "" {
			all = strings.Split(want, " & ")
		}
		got := recognise.Candidates(strings.TrimSpace(text))
		slices.Sort(got)
		slices.Sort(all)
		if !slices.Equal(got, all) {
			t.Errorf("%q:\n  got  %q\n  want %q", text, got, all)
		}
	}
}

func TestCandidatesAreBoundedAndPreferTwoWords(t *testing.T) {
	got := recognise.Candidates("and " + strings.Repeat("Anna Berta Carla Doris Emma Frida ", 50) + "Zoe Zimmer")
	if len(got) > 60 {
		t.Errorf("%d candidates", len(got))
	}
	if !slices.Contains(got, "Anna Berta") || !slices.Contains(got, "Zoe Zimmer") {
		t.Errorf("two words should come first: %q", got)
	}
}

func TestPhoneSpellings(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"+44 7700 900123", "07700 900123", true},
		{"+1 (415) 555-0123", "415.555.0123", true},
		{"+1 415 555 0123", "001 415 555 0123", true},
		{"+44 7700 900123", "+1 7700 900123", false},
		{"+1 415 555 0123", "+1 415 555 0124", false},
	} {
		if same := recognise.SamePhone(c.a, c.b); same != c.same || same && recognise.PhoneKey(c.a) != recognise.PhoneKey(c.b) {
			t.Errorf("%s and %s: same is %v", c.a, c.b, same)
		}
	}
}

// FuzzScanners holds that spans are in order, inside the text, on borders of characters, and apart.
func FuzzScanners(f *testing.F) {
	for _, s := range []string{"a@b.example +1 415 555 0123", "(((415) 555-0123", "@.@@a.b", "++--..//", "-----BEGIN PRIVATE KEY", "ü@ö.ä 00D000000000001!x", "1111111111111111111 2222222"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		for name, spans := range map[string][]recognise.Span{"emails": recognise.Emails(text), "phones": recognise.Phones(text), "secrets": recognise.Secrets(text)} {
			pos := 0
			for _, s := range spans {
				if s.Start < pos || s.End <= s.Start || s.End > len(text) || !utf8.ValidString(text[s.Start:s.End]) {
					t.Fatalf("%s: bad span %v in %q", name, s, text)
				}
				pos = s.End
			}
		}
		for _, c := range recognise.Candidates(text) {
			if !strings.Contains(text, c) || c == "" {
				t.Fatalf("candidate %q isn't in %q", c, text)
			}
		}
	})
}

// TestTimeGrowsWithLengthOnly feeds what is worst for each scanner; work that grows with the square
// would take minutes.
func TestTimeGrowsWithLengthOnly(t *testing.T) {
	const size = 1 << 18
	for _, unit := range []string{"eyJ-", "_1.", "1.", "1", "1 ", "(", "+", "a@", "@a.", "a.", "00D!", "SG.", "-----BEGIN ", "A ", "A de ", "王", "'", "J. ", " "} {
		text := strings.Repeat(unit, size/len(unit))
		start := time.Now()
		recognise.Secrets(text)
		recognise.Emails(text)
		recognise.Phones(text)
		recognise.Candidates(text)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%d bytes of %q took %v", len(text), unit, took)
		}
	}
}

func BenchmarkScanners(b *testing.B) {
	text := strings.Repeat("Call Maria Lopez on +1 415 555 0123 or write to maria.lopez@acme.example before 2026-11-23 about the $1,250,000 renewal. ", 100)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		recognise.Secrets(text)
		recognise.Emails(text)
		recognise.Phones(text)
	}
}
