package witness_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	formats "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger/witness"
)

// ask is what a policy's only witness says.
func ask(t testing.TB, p witness.Policy, b *book) witness.Answer {
	t.Helper()
	_, answers, err := p.Ask(context.Background(), b, ws)
	must(t, err)
	if len(answers) != 1 {
		t.Fatalf("%d answers", len(answers))
	}
	return answers[0]
}

// TestAWitnessFindsWhatWasPutBackOrWrittenAnew is the reason for all of this.
func TestAWitnessFindsWhatWasPutBackOrWrittenAnew(t *testing.T) {
	for name, c := range map[string]struct {
		change func(b *book)
		want   string
	}{
		"nothing":                      {func(*book) {}, ""},
		"more entries":                 {func(b *book) { b.grow(ws, 5, "a") }, ""},
		"the end cut off":              {func(b *book) { b.cut(ws, 299) }, "put back to an older state"},
		"the end written anew":         {func(b *book) { b.cut(ws, 299); b.grow(ws, 1, "b") }, "another ledger with 300 entries"},
		"the end written anew, longer": {func(b *book) { b.cut(ws, 299); b.grow(ws, 50, "b") }, "another ledger with 300 entries"},
		"all written anew, longer":     {func(b *book) { b.cut(ws, 0); b.grow(ws, 400, "b") }, "another ledger with 300 entries"},
	} {
		t.Run(name, func(t *testing.T) {
			b, g := newBook(), newGuard(t, "w.test")
			b.open(t, ws)
			b.grow(ws, 300, "a")
			p := known(t, b, 1, g)
			if got := ask(t, p, b); got.Err != nil || got.Time.IsZero() || got.Witness != "w.test" {
				t.Fatalf("at first: %+v", got)
			}
			c.change(b)
			got := ask(t, p, b)
			if c.want == "" {
				if got.Err != nil {
					t.Error(got.Err)
				}
				return
			}
			if steward.KindOf(got.Err) != steward.Conflict || !strings.Contains(steward.Message(got.Err), c.want) || !got.Time.IsZero() {
				t.Errorf("%+v, want one that says %q", got, c.want)
			}
		})
	}
}

// TestAWitnessVouchesForPrefixesOnly: it agrees exactly where what it has seen is how the log begins.
func TestAWitnessVouchesForPrefixesOnly(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b, g := newBook(), newGuard(t, "w.test")
		b.open(t, ws)
		b.grow(ws, 1, "a")
		p := known(t, b, 1, g)
		var seen []string
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			switch rapid.IntRange(0, 2).Draw(r, "step") {
			case 0:
				b.cut(ws, rapid.IntRange(1, len(b.leaves[ws])).Draw(r, "to"))
			default:
				b.grow(ws, rapid.IntRange(1, 9).Draw(r, "more"), rapid.SampledFrom([]string{"a", "b"}).Draw(r, "story"))
			}
			is := slices.Clone(b.leaves[ws])
			begins := len(is) >= len(seen) && slices.Equal(is[:len(seen)], seen)
			got := ask(t, p, b)
			if begins && got.Err != nil || !begins && steward.KindOf(got.Err) != steward.Conflict {
				r.Fatalf("it has seen %d, the log has %d, which begin with them: %v; it says %v", len(seen), len(is), begins, got.Err)
			}
			if begins {
				seen = is
			}
		}
	})
}

func TestWhoDoesNotKnowTheLogSaysWhatToDo(t *testing.T) {
	b, g := newBook(), newGuard(t, "w.test")
	b.open(t, ws)
	b.grow(ws, 3, "a")
	one, err := witness.New(wire{"w.test": g}.client(), "https://w.test/", g.vkey)
	must(t, err)
	p, err := witness.NewPolicy(1, one)
	must(t, err)
	if got := ask(t, p, b).Err; steward.KindOf(got) != steward.NotFound || !strings.Contains(steward.Message(got), b.key(ws)) {
		t.Errorf("not taken in: %v", got)
	}
	g.trust(t, b.key(ws))
	b.open(t, ws) // another key
	if got := ask(t, p, b).Err; steward.KindOf(got) != steward.Denied || !strings.Contains(steward.Message(got), b.key(ws)) {
		t.Errorf("with another key: %v", got)
	}
}

// liar answers whatever it likes.
type liar func(r *http.Request, text string) (status int, kind string, body io.Reader)

func (l liar) RoundTrip(r *http.Request) (*http.Response, error) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	_, signed, _ := strings.Cut(string(sent), "\n\n")
	status, kind, body := l(r, signed[:strings.Index(signed, "\n\n")+1])
	if body == nil {
		return nil, errors.New("no answer")
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(body), Request: r}, nil
}

// endless never ends.
type endless struct{ read *int }

func (e endless) Read(b []byte) (int, error) {
	*e.read += len(b)
	for i := range b {
		b[i] = '1'
	}
	return len(b), nil
}

func TestLyingWitnessesAreNotBelieved(t *testing.T) {
	g, other := newGuard(t, "w.test"), newGuard(t, "w.test")
	b := newBook()
	b.open(t, ws)
	b.grow(ws, 7, "a")
	say := func(status int, kind, body string) liar {
		return func(*http.Request, string) (int, string, io.Reader) { return status, kind, strings.NewReader(body) }
	}
	cosigns := func(line func(text string) string) liar {
		return func(_ *http.Request, text string) (int, string, io.Reader) {
			return 200, "", strings.NewReader(line(text))
		}
	}
	const size = "text/x.tlog.size"
	asked, read := uint64(0), 0
	for name, c := range map[string]struct {
		lie  liar
		want steward.Kind
	}{
		"no cosignature":       {say(200, "", ""), steward.Upstream},
		"no note":              {say(200, "", "hello"), steward.Upstream},
		"no line's end":        {cosigns(func(text string) string { return strings.TrimSuffix(g.cosign(text), "\n") }), steward.Upstream},
		"another's":            {cosigns(func(text string) string { return other.cosign(text) }), steward.Upstream},
		"of another text":      {cosigns(func(text string) string { return g.cosign("x" + text) }), steward.Upstream},
		"of a longer text":     {longer(g), steward.Upstream},
		"without a time":       {cosigns(func(text string) string { return timeless(t, g, text) }), steward.Upstream},
		"a changed one":        {cosigns(func(text string) string { return later(t, g.cosign(text)) }), steward.Upstream},
		"a size as cosigned":   {say(200, size, "7\n"), steward.Upstream},
		"a conflict at once":   {say(409, size, "0\n"), steward.Upstream},
		"a size in other type": {say(409, "text/plain", "9\n"), steward.Upstream},
		"a size with zeros":    {say(409, size, "09\n"), steward.Upstream},
		"a size without end":   {say(409, size, "9"), steward.Upstream},
		"a negative size":      {say(409, size, "-3\n"), steward.Upstream},
		"a size beyond 63 bit": {say(409, size, "18446744073709551615\n"), steward.Upstream},
		"another size always": {func(*http.Request, string) (int, string, io.Reader) {
			asked = asked%6 + 1
			return 409, size, strings.NewReader(fmt.Sprintf("%d\n", asked))
		}, steward.Upstream},
		"no such status":               {say(299, "", ""), steward.Upstream},
		"a redirect":                   {say(308, "", ""), steward.Upstream},
		"malformed, it says":           {say(400, "", ""), steward.Upstream},
		"without end":                  {func(*http.Request, string) (int, string, io.Reader) { return 200, "", endless{&read} }, steward.Upstream},
		"a size without end of digits": {func(*http.Request, string) (int, string, io.Reader) { return 409, size, endless{&read} }, steward.Upstream},
		"a fault":                      {say(503, "", "try later"), steward.Unavailable},
		"too many":                     {say(429, "", ""), steward.Unavailable},
		"nothing":                      {func(*http.Request, string) (int, string, io.Reader) { return 0, "", nil }, steward.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			one, err := witness.New(&http.Client{Transport: c.lie, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, "https://w.test", g.vkey)
			must(t, err)
			p, err := witness.NewPolicy(1, one)
			must(t, err)
			read = 0
			if got := ask(t, p, b); steward.KindOf(got.Err) != c.want || got.Err == nil || !got.Time.IsZero() {
				t.Errorf("%v, of kind %v; want %v", got.Err, steward.KindOf(got.Err), c.want)
			}
			if read > 1<<18 {
				t.Errorf("%d bytes of an answer were read", read)
			}
		})
	}
}

// longer cosigns a text that begins with the checkpoint, and hides the rest of it in the answer.
func longer(g *guard) liar {
	return func(r *http.Request, text string) (int, string, io.Reader) {
		sent, _ := r.GetBody()
		whole, _ := io.ReadAll(sent)
		_, signed, _ := strings.Cut(string(whole), "\n\n")
		return 200, "", strings.NewReader("more\n\n" + g.cosign(signed+"more\n"))
	}
}

// timeless cosigns at the time 0, which says that nothing is said of newer ones.
func timeless(t testing.TB, g *guard, text string) string {
	v, err := formats.NewVerifierForCosignatureV1(g.vkey)
	must(t, err)
	sig := append(binary.BigEndian.AppendUint32(nil, v.KeyHash()), make([]byte, 8)...)
	sig = append(sig, ed25519.Sign(g.private, []byte("cosignature/v1\ntime 0\n"+text))...)
	return "— " + g.name + " " + base64.StdEncoding.EncodeToString(sig) + "\n"
}

// later moves the time of a cosignature.
func later(t testing.TB, line string) string {
	words := strings.Fields(line)
	sig, err := base64.StdEncoding.DecodeString(words[2])
	must(t, err)
	binary.BigEndian.PutUint64(sig[4:], binary.BigEndian.Uint64(sig[4:])+1)
	return words[0] + " " + words[1] + " " + base64.StdEncoding.EncodeToString(sig) + "\n"
}

// TestOnlyTheWitnesssOwnLinesAreTaken: others may stand beside them.
func TestOnlyTheWitnesssOwnLinesAreTaken(t *testing.T) {
	g, other := newGuard(t, "w.test"), newGuard(t, "other.test")
	b := newBook()
	b.open(t, ws)
	b.grow(ws, 7, "a")
	beside := liar(func(_ *http.Request, text string) (int, string, io.Reader) {
		return 200, "", strings.NewReader(other.cosign(text) + g.cosign(text) + later(t, other.cosign(text)))
	})
	one, err := witness.New(&http.Client{Transport: beside}, "https://w.test", g.vkey)
	must(t, err)
	p, err := witness.NewPolicy(1, one)
	must(t, err)
	got := ask(t, p, b)
	if got.Err != nil || time.Since(got.Time) > time.Minute {
		t.Errorf("%+v", got)
	}
}

// TestQuantumSafeWitness: a key of the type that is recommended for new ones.
func TestQuantumSafeWitness(t *testing.T) {
	g := newGuard(t, "w.test")
	skey, vkey, err := formats.GenerateMLDSAKey("w.test")
	must(t, err)
	g.vkey = vkey
	g.signer, err = formats.NewSignerForCosignatureV1(skey)
	must(t, err)
	b := newBook()
	b.open(t, ws)
	b.grow(ws, 7, "a")
	p := known(t, b, 1, g)
	if got := ask(t, p, b); got.Err != nil || got.Time.IsZero() {
		t.Errorf("%+v", got)
	}
	b.cut(ws, 3)
	if got := ask(t, p, b); steward.KindOf(got.Err) != steward.Conflict {
		t.Errorf("%+v", got)
	}
}

func TestWhatCanBeNoWitness(t *testing.T) {
	g := newGuard(t, "w.test")
	plain, err := note.NewEd25519VerifierKey("w.test", make([]byte, 32))
	must(t, err)
	for name, c := range map[string][2]string{
		"no address":      {"", g.vkey},
		"another scheme":  {"ftp://w.test", g.vkey},
		"no host":         {"https:///x", g.vkey},
		"a query":         {"https://w.test?x", g.vkey},
		"no key":          {"https://w.test", ""},
		"a key to sign":   {"https://w.test", "PRIVATE+KEY+" + g.vkey},
		"for other notes": {"https://w.test", plain},
		"another's hash":  {"https://w.test", strings.Replace(g.vkey, g.vkey[7:15], "00000000", 1)},
		"another's name":  {"https://w.test", "x" + g.vkey},
		"half a key":      {"https://w.test", g.vkey[:len(g.vkey)-8]},
	} {
		if _, err := witness.New(nil, c[0], c[1]); steward.KindOf(err) != steward.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	one, err := witness.New(nil, "https://w.test/prefix/", g.vkey)
	must(t, err)
	elsewhere, err := witness.New(nil, "https://w2.test", g.vkey)
	must(t, err)
	again, err := witness.New(nil, "https://w.test/prefix", newGuard(t, "w3.test").vkey)
	must(t, err)
	for name, c := range map[string]struct {
		quorum int
		list   []witness.Witness
	}{
		"none": {1, nil}, "more than there are": {2, []witness.Witness{one}}, "no quorum": {0, []witness.Witness{one}}, "less": {-1, []witness.Witness{one}},
		"one key twice": {1, []witness.Witness{one, elsewhere}}, "one address twice": {1, []witness.Witness{one, again}},
	} {
		if _, err := witness.NewPolicy(c.quorum, c.list...); steward.KindOf(err) != steward.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzAnswer: whatever is answered by somebody without the witness's key, it isn't believed.
func FuzzAnswer(f *testing.F) {
	g, other := newGuard(f, "w.test"), newGuard(f, "w.test")
	b := newBook()
	b.open(f, ws)
	b.grow(ws, 7, "a")
	cp, err := b.Checkpoint(context.Background(), ws)
	must(f, err)
	f.Add(200, "text/plain", other.cosign(cp.Note[:strings.Index(cp.Note, "\n\n")+1]))
	f.Add(409, "text/x.tlog.size", "5\n")
	f.Add(409, "text/x.tlog.size", "9\n")
	f.Add(422, "", "")
	f.Fuzz(func(t *testing.T, status int, kind, body string) {
		lie := liar(func(*http.Request, string) (int, string, io.Reader) { return status, kind, strings.NewReader(body) })
		one, err := witness.New(&http.Client{Transport: lie, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, "https://w.test", g.vkey)
		must(t, err)
		p, err := witness.NewPolicy(1, one)
		must(t, err)
		if got := ask(t, p, b); got.Err == nil {
			t.Errorf("%d %q is believed", status, body)
		}
		if list := p.Cosignatures([]byte(cp.Note + body)); len(list) > 0 {
			t.Errorf("%q is taken for %v", body, list)
		}
	})
}
