package witness_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	formats "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger/tree"
	"github.com/stewardhq/steward/internal/ledger/witness"
)

// bubble runs a publisher in time of its own, and ends it.
type bubble struct {
	*witness.Publisher
	b      *book
	report *bytes.Buffer // read while the publisher waits
	end    func()
}

func start(t *testing.T, b *book, c witness.Config) *bubble {
	t.Helper()
	u := &bubble{b: b, report: &bytes.Buffer{}}
	if c.Log == nil {
		c.Log = b
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Jitter = func() float64 { return 1 }
	c.Report = slog.New(slog.NewTextHandler(u.report, nil))
	if c.Workspaces == nil {
		c.Workspaces = func(context.Context) (list []steward.WorkspaceID, err error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			for w := range b.leaves {
				list = append(list, w)
			}
			return list, nil
		}
	}
	u.Publisher = witness.NewPublisher(c)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(time.Nanosecond) // until the test waits: its first round finds what the test has done by then
		u.Run(ctx)
	}()
	u.end = func() { cancel(); <-done }
	return u
}

// grow adds entries and tells, as the ledger does, without waiting.
func (u *bubble) grow(t *testing.T, w steward.WorkspaceID, n int) {
	t.Helper()
	u.b.grow(w, n, "a")
	must(t, u.Signed(t.Context(), w, ""))
}

// holds fails unless the store has a checkpoint of a size, with the cosignatures of exactly these witnesses.
func holds(t *testing.T, s *shelf, size uint64, guards ...*guard) {
	t.Helper()
	synctest.Wait()
	kept, signed, err := s.Cosigned(t.Context(), ws)
	must(t, err)
	var names, want []string
	if kept > 0 {
		var verifiers []note.Verifier
		for _, g := range guards {
			v, err := formats.NewVerifierForCosignatureV1(g.vkey)
			must(t, err)
			verifiers = append(verifiers, v)
			want = append(want, g.name)
		}
		opened, err := note.Open(signed, note.VerifierList(verifiers...))
		must(t, err)
		for _, s := range opened.Sigs {
			names = append(names, s.Name)
		}
		if len(opened.UnverifiedSigs) != 1 || strings.Count(string(signed), "\n— ") != 1+len(guards) || !strings.HasPrefix(opened.Text, fmt.Sprintf("steward.test/ws_1\n%d\n", size)) {
			t.Errorf("the note is\n%s", signed)
		}
		slices.Sort(names)
		slices.Sort(want)
	}
	if kept != size || !slices.Equal(names, want) {
		t.Errorf("%d are cosigned, by %v; want %d, by %v", kept, names, size, want)
	}
}

func opened(t *testing.T) *book {
	b := newBook()
	b.open(t, ws)
	return b
}

func TestCheckpointsAreCosigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, kept := opened(t), newShelf()
		one, two := newGuard(t, "w1.test"), newGuard(t, "w2.test")
		p := known(t, b, 2, one, two)
		u := start(t, b, witness.Config{Policy: p, Store: kept})
		holds(t, kept, 0)
		u.grow(t, ws, 300)
		time.Sleep(time.Minute)
		holds(t, kept, 300, one, two)
		u.grow(t, ws, 7)
		time.Sleep(time.Minute)
		holds(t, kept, 307, one, two)
		for _, g := range []*guard{one, two} {
			if heard := g.heard(); !slices.Equal(heard, []string{"200 0→300", "200 300→307"}) {
				t.Errorf("%s heard %q", g.name, heard)
			}
		}
		_, signed, _ := kept.Cosigned(t.Context(), ws)
		if list := p.Cosignatures(signed); len(list) != 2 || list[0].Witness != "w1.test" || list[1].Witness != "w2.test" || time.Since(list[0].Time) > 2*time.Minute {
			t.Errorf("%+v", list)
		}
		u.end()

		u = start(t, b, witness.Config{Policy: p, Store: kept}) // again, with nothing new
		time.Sleep(time.Minute)
		u.grow(t, ws, 1)
		time.Sleep(time.Minute)
		holds(t, kept, 308, one, two)
		if heard := one.heard(); !slices.Equal(heard, []string{"200 307→308"}) {
			t.Errorf("after a restart it heard %q", heard)
		}
		if u.report.Len() > 0 {
			t.Error(u.report)
		}
		u.end()
	})
}

// TestABusyLogIsSubmittedOnceAnInterval: and writers aren't held up meanwhile.
func TestABusyLogIsSubmittedOnceAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g, kept := opened(t), newGuard(t, "w1.test"), newShelf()
		g.down = func(http.ResponseWriter, *http.Request) bool { time.Sleep(time.Second); return false }
		u := start(t, b, witness.Config{Policy: known(t, b, 1, g), Store: kept, Interval: 10 * time.Second})
		began := time.Now()
		for range 600 {
			told := time.Now()
			u.grow(t, ws, 1)
			if time.Since(told) != 0 {
				t.Fatal("a writer waits")
			}
			time.Sleep(100 * time.Millisecond)
		}
		if heard := g.heard(); len(heard) != 6 {
			t.Errorf("in %v it heard %q", time.Since(began), heard)
		}
		time.Sleep(time.Minute)
		holds(t, kept, 600, g)
		if heard := g.heard(); len(heard) > 2 {
			t.Errorf("then it heard %q", heard)
		}
		u.end()
	})
}

// TestOthersGoOnWithoutWhoIsDown: a dead witness, one that never answers, and both once they are back.
func TestOthersGoOnWithoutWhoIsDown(t *testing.T) {
	for name, down := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"faults":  func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return true },
		"silence": func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, kept := opened(t), newShelf()
				one, two, dead := newGuard(t, "w1.test"), newGuard(t, "w2.test"), newGuard(t, "w3.test")
				var asked atomic.Int64
				var back atomic.Bool
				dead.down = func(w http.ResponseWriter, r *http.Request) bool {
					asked.Add(1)
					return !back.Load() && down(w, r)
				}
				u := start(t, b, witness.Config{Policy: known(t, b, 2, one, two, dead), Store: kept})
				u.grow(t, ws, 5)
				time.Sleep(time.Millisecond)
				holds(t, kept, 5, one, two) // at once
				for range 6 * 60 {
					u.grow(t, ws, 1)
					time.Sleep(10 * time.Second)
				}
				time.Sleep(time.Minute)
				holds(t, kept, 365, one, two)
				if asked.Load() > 12 {
					t.Errorf("in an hour it was asked %d times", asked.Load())
				}
				back.Store(true)
				time.Sleep(time.Hour)
				holds(t, kept, 365, one, two, dead) // though nothing is new
				failed := asked.Load()
				back.Store(false)
				u.grow(t, ws, 1)
				time.Sleep(5 * time.Second)
				back.Store(true)
				time.Sleep(time.Minute) // one more failure is a first one
				holds(t, kept, 366, one, two, dead)
				u.end()
				if n := strings.Count(u.report.String(), "a receiver of checkpoints can't be reached"); n != int(failed) {
					t.Errorf("%d reports of %d failures", n, failed)
				}
			})
		})
	}
}

// TestAQuorumGathersOverTime: the log is idle, and the two that it takes are never up together.
func TestAQuorumGathersOverTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, kept := opened(t), newShelf()
		one, two := newGuard(t, "w1.test"), newGuard(t, "w2.test")
		var up atomic.Pointer[guard]
		up.Store(one)
		for _, g := range []*guard{one, two} {
			g.down = func(w http.ResponseWriter, _ *http.Request) bool {
				if up.Load() == g {
					return false
				}
				w.WriteHeader(503)
				return true
			}
		}
		u := start(t, b, witness.Config{Policy: known(t, b, 2, one, two), Store: kept})
		u.grow(t, ws, 5)
		time.Sleep(time.Minute)
		holds(t, kept, 0)
		u.grow(t, ws, 3) // what there is of the one before is worth nothing for this one
		up.Store(two)
		time.Sleep(time.Hour)
		holds(t, kept, 0)
		up.Store(one)
		time.Sleep(2 * time.Hour)
		holds(t, kept, 8, one, two)
		u.end()
	})
}

// TestSlowWitnessHoldsUpNoWorkspace: with more workspaces than it can serve, those go on with the others.
func TestSlowWitnessHoldsUpNoWorkspace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, kept := opened(t), newShelf()
		for i := range 200 {
			b.open(t, steward.WorkspaceID("ws_"+strconv.Itoa(i)))
		}
		fast, slow := newGuard(t, "w1.test"), newGuard(t, "w2.test")
		slow.down = func(_ http.ResponseWriter, r *http.Request) bool {
			select {
			case <-time.After(9 * time.Second):
				return false
			case <-r.Context().Done():
				return true
			}
		}
		u := start(t, b, witness.Config{Policy: known(t, b, 1, fast, slow), Store: kept})
		for i := range 200 {
			u.grow(t, steward.WorkspaceID("ws_"+strconv.Itoa(i)), 1+i)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		kept.mu.Lock()
		if len(kept.kept) != 200 {
			t.Errorf("%d of 200 are cosigned\n%s", len(kept.kept), u.report)
		}
		kept.mu.Unlock()
		u.end()
	})
}

// TestDeadWitnessIsNotAskedForEachWorkspace: only what is on its way when the first request fails.
func TestDeadWitnessIsNotAskedForEachWorkspace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, dead := opened(t), newGuard(t, "w1.test")
		var asked atomic.Int64
		dead.down = func(w http.ResponseWriter, _ *http.Request) bool { asked.Add(1); w.WriteHeader(502); return true }
		for i := range 200 {
			b.open(t, steward.WorkspaceID("ws_"+strconv.Itoa(i)))
			b.grow(steward.WorkspaceID("ws_"+strconv.Itoa(i)), 1, "a")
		}
		u := start(t, b, witness.Config{Policy: known(t, b, 1, dead), Store: newShelf()})
		time.Sleep(time.Second)
		if n := asked.Load(); n < 1 || n > 4 {
			t.Errorf("it was asked %d times at once", n)
		}
		u.end()
	})
}

// older shows the checkpoint of an older size first, as to a process that another one is ahead of.
type older struct {
	*book
	shown int64
	calls atomic.Int64
}

func (o *older) Checkpoint(ctx context.Context, w steward.WorkspaceID) (tree.Checkpoint, error) {
	if o.calls.Add(1) > 1 {
		return o.book.Checkpoint(ctx, w)
	}
	past := newBook()
	past.signer[w], past.vkey[w], past.leaves[w] = o.signer[w], o.vkey[w], o.leaves[w][:o.shown]
	return past.Checkpoint(ctx, w)
}

// TestAnotherProcessMayBeAhead: that a witness has seen more than was submitted is no finding while the log
// has it too.
func TestAnotherProcessMayBeAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g, kept := opened(t), newGuard(t, "w1.test"), newShelf()
		p := known(t, b, 1, g)
		b.grow(ws, 9, "a")
		for range 2 { // the second time the witness has seen all
			_, answers, err := p.Ask(t.Context(), &older{book: b, shown: 4}, ws)
			if err != nil || answers[0].Err != nil {
				t.Errorf("%+v, %v", answers, err)
			}
			ask(t, p, b)
		}
		u := start(t, b, witness.Config{Log: &older{book: b, shown: 4}, Policy: p, Store: kept})
		time.Sleep(time.Minute)
		holds(t, kept, 9, g)
		if u.report.Len() > 0 {
			t.Error(u.report)
		}
		u.end()
	})
}

// TestClockThatStepsBack makes no pause longer.
func TestClockThatStepsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g, kept := opened(t), newGuard(t, "w1.test"), newShelf()
		var back atomic.Int64
		g.down = func(w http.ResponseWriter, _ *http.Request) bool {
			if back.Load() == 0 {
				w.WriteHeader(503)
			}
			return back.Load() == 0
		}
		u := start(t, b, witness.Config{Policy: known(t, b, 1, g), Store: kept, Now: func() time.Time { return time.Now().Add(-time.Duration(back.Load())) }})
		u.grow(t, ws, 5)
		time.Sleep(time.Second)
		back.Store(int64(24 * time.Hour))
		time.Sleep(time.Hour)
		holds(t, kept, 5, g)
		u.end()
	})
}

// TestWhatAWitnessRefusesIsReported, is tried again ever less often, and doesn't keep it from other logs.
func TestWhatAWitnessRefusesIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g, kept := opened(t), newGuard(t, "w1.test"), newShelf()
		b.open(t, "ws_2")
		p := known(t, b, 1, g)
		u := start(t, b, witness.Config{Policy: p, Store: kept})
		u.grow(t, ws, 9)
		time.Sleep(time.Minute)
		holds(t, kept, 9, g)
		g.heard()

		b.cut(ws, 4)
		b.grow(ws, 1, "b")
		for range 360 {
			must(t, u.Signed(t.Context(), ws, ""))
			u.grow(t, "ws_2", 1)
			time.Sleep(10 * time.Second)
		}
		synctest.Wait()
		about1, about2 := 0, 0
		for _, line := range g.heard() {
			if strings.Contains(line, "409") {
				about1++
			} else if strings.HasPrefix(line, "200 ") {
				about2++
			}
		}
		if about1 < 5 || about1 > 12 || about2 < 180 {
			t.Errorf("in an hour it heard of the one %d times, of the other %d", about1, about2)
		}
		holds(t, kept, 9, g) // what was cosigned isn't replaced by less
		report := u.report.String()
		if n := strings.Count(report, "kind=conflict"); n != about1 || !strings.Contains(report, "workspace=ws_1") || !strings.Contains(report, "put back to an older state") {
			t.Errorf("%d conflicts in\n%s", n, report)
		}

		b.cut(ws, 4) // the right one is put back, and the wrong one again: that is a first refusal
		b.grow(ws, 6, "a")
		time.Sleep(2 * time.Hour)
		holds(t, kept, 10, g)
		b.cut(ws, 4)
		must(t, u.Signed(t.Context(), ws, ""))
		g.heard()
		time.Sleep(time.Minute)
		synctest.Wait()
		if heard := g.heard(); len(heard) < 2 { // the pause before had grown to most of an hour
			t.Errorf("in a minute it heard of it only %q", heard)
		}
		u.end()
	})
}

func TestAWitnessThatForgotIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g, kept := opened(t), newGuard(t, "w1.test"), newShelf()
		u := start(t, b, witness.Config{Policy: known(t, b, 1, g), Store: kept})
		u.grow(t, ws, 9)
		time.Sleep(time.Minute)
		g.forget()
		u.grow(t, ws, 1)
		time.Sleep(time.Minute)
		holds(t, kept, 10, g)
		if report := u.report.String(); !strings.Contains(report, "forgotten") || !strings.Contains(report, "cosigned=9") {
			t.Error(report)
		}
		u.end()
	})
}

// TestOwnTroubleLosesNothing: a store that can't be written, a log that can't be read, a list that can't
// either; when they can, all is done.
func TestOwnTroubleLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, g, kept := opened(t), newGuard(t, "w1.test"), newShelf()
		b.grow(ws, 9, "a")
		var listed atomic.Bool
		u := start(t, b, witness.Config{Policy: known(t, b, 1, g), Store: kept, Workspaces: func(context.Context) ([]steward.WorkspaceID, error) {
			if !listed.Load() {
				return nil, errors.New("no list")
			}
			return []steward.WorkspaceID{ws, "ws_empty"}, nil
		}})
		time.Sleep(time.Minute)
		holds(t, kept, 0)
		b.fail(errors.New("no log"))
		listed.Store(true)
		time.Sleep(time.Minute)
		holds(t, kept, 0)
		kept.fail(errors.New("no store"))
		b.fail(nil)
		time.Sleep(time.Minute)
		holds(t, kept, 0)
		kept.fail(nil)
		time.Sleep(time.Minute)
		holds(t, kept, 9, g)
		u.end()
		for _, trouble := range []string{"no list", "no log", "no store"} {
			if !strings.Contains(u.report.String(), trouble) {
				t.Errorf("%s isn't reported", trouble)
			}
		}
	})
}

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// hook takes checkpoints as Standard Webhooks says.
type hook struct {
	mu     sync.Mutex
	status func(w string) int
	took   []string // "ws_1 7"
	ids    []string
	wrong  []string
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	id, at := r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp")
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	seconds, _ := strconv.ParseInt(at, 10, 64)
	var sent struct{ Workspace, Checkpoint string }
	if err != nil || r.Method != "POST" || r.Header.Get("content-type") != "application/json" || id == "" ||
		r.Header.Get("webhook-signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) ||
		time.Since(time.Unix(seconds, 0)).Abs() > time.Second || json.Unmarshal(body, &sent) != nil {
		h.wrong = append(h.wrong, string(body))
	}
	lines := strings.Split(sent.Checkpoint, "\n")
	if len(lines) < 3 || lines[0] != "steward.test/"+sent.Workspace {
		h.wrong = append(h.wrong, sent.Checkpoint)
		lines = make([]string, 3)
	}
	status := 204
	if h.status != nil {
		status = h.status(sent.Workspace)
	}
	h.took = append(h.took, fmt.Sprintf("%d %s %s", status, sent.Workspace, lines[1]))
	h.ids = append(h.ids, id)
	w.WriteHeader(status)
}

func (h *hook) heard() []string {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.took
	h.took = nil
	return list
}

func TestWebhookGetsTheNewestCheckpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, h := opened(t), &hook{}
		to, err := witness.NewWebhook(wire{"hook.test": h}.client(), "https://hook.test/x?y=z", secret)
		must(t, err)
		u := start(t, b, witness.Config{Webhook: to})
		synctest.Wait()
		time.Sleep(time.Minute)
		u.grow(t, ws, 1)
		synctest.Wait()
		for range 50 { // while it rests
			u.grow(t, ws, 1)
		}
		if heard := h.heard(); !slices.Equal(heard, []string{"204 ws_1 1"}) {
			t.Errorf("at once it heard %q", heard)
		}
		time.Sleep(time.Minute)
		if heard := h.heard(); !slices.Equal(heard, []string{"204 ws_1 51"}) {
			t.Errorf("then it heard %q", heard)
		}
		var down atomic.Bool
		down.Store(true)
		h.mu.Lock()
		h.status = func(string) int {
			if down.Load() {
				return 502
			}
			return 200
		}
		h.mu.Unlock()
		u.grow(t, ws, 1)
		time.Sleep(time.Minute)
		u.end() // the process ends before it got through

		h.heard()
		u = start(t, b, witness.Config{Webhook: to})
		time.Sleep(time.Minute)
		down.Store(false)
		time.Sleep(10 * time.Minute)
		heard := h.heard()
		if len(heard) < 2 || heard[0] != "502 ws_1 52" || heard[len(heard)-1] != "200 ws_1 52" || len(h.wrong) > 0 {
			t.Errorf("after a restart it heard %q, wrong were %q", heard, h.wrong)
		}
		if same := slices.Compact(slices.Clone(h.ids)); len(same) != 3 {
			t.Errorf("three checkpoints have the ids %q", same)
		}
		u.end()
	})
}

// TestWebhookThatRefusesOneGetsTheOthers, and a witness isn't held up by it.
func TestWebhookThatRefusesOneGetsTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, kept, g := opened(t), newShelf(), newGuard(t, "w1.test")
		b.open(t, "ws_2")
		h := &hook{status: func(w string) int {
			if w == "ws_1" {
				return 400
			}
			return 200
		}}
		to, err := witness.NewWebhook(wire{"hook.test": h}.client(), "https://hook.test", secret)
		must(t, err)
		u := start(t, b, witness.Config{Webhook: to, Policy: known(t, b, 1, g), Store: kept})
		u.grow(t, ws, 3)
		u.grow(t, "ws_2", 4)
		time.Sleep(time.Minute)
		heard := h.heard()
		if !slices.Contains(heard, "200 ws_2 4") || !slices.Contains(heard, "400 ws_1 3") || len(heard) > 5 {
			t.Errorf("it heard %q", heard)
		}
		holds(t, kept, 3, g)
		u.end()
		if report := u.report.String(); !strings.Contains(report, "receiver=webhook") || strings.Contains(report, "ws_2") {
			t.Error(report)
		}
	})
}

func TestWhatCanBeNoWebhook(t *testing.T) {
	for _, bad := range []string{"", "hook.test", "ftp://hook.test", "https://", "https://hook.test/#x", "https://hook.test/%zz"} {
		if _, err := witness.NewWebhook(nil, bad, secret); steward.KindOf(err) != steward.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, bad := range []string{"", "whsec_", "whsec_AAAA", "whsec_!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65))} {
		if _, err := witness.NewWebhook(nil, "https://hook.test", bad); steward.KindOf(err) != steward.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
