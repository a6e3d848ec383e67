package witness

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// Store remembers the newest checkpoint that enough witnesses have cosigned, one a workspace.
type Store interface {
	// Cosigned reads the workspace's, and its size; 0 where there is none.
	Cosigned(ctx context.Context, ws steward.WorkspaceID) (size uint64, note []byte, err error)
	// SaveCosigned replaces those of the workspaces named, durably and all in one commit. A larger
	// one stays.
	SaveCosigned(ctx context.Context, list []Cosigned) error
}

// Cosigned is a checkpoint with cosignatures.
type Cosigned struct {
	Workspace steward.WorkspaceID
	Size      uint64
	Note      []byte
}

// Config is what a Publisher is made of.
type Config struct {
	Log        Log
	Workspaces func(context.Context) ([]steward.WorkspaceID, error) // all of them: read once, at the start
	Policy     Policy
	Store      Store            // for a Policy with witnesses
	Webhook    *Webhook         // nil for none
	Interval   time.Duration    // one submission a workspace and receiver at most; 0 is DefaultInterval
	Now        func() time.Time // this and Jitter are safe for concurrent use
	Jitter     func() float64   // in [0,1), another at each call
	Report     *slog.Logger     // nil for none
}

// DefaultInterval keeps well under what public witnesses ask of a log.
const DefaultInterval = 10 * time.Second

// Publisher has checkpoints cosigned by witnesses and sends them to the webhook, for all workspaces. What
// waits is which workspaces have something new, never the checkpoints themselves: each time the newest
// goes out.
type Publisher struct {
	c         Config
	receivers []*receiver
	woken     chan struct{}

	mu  sync.Mutex
	due map[steward.WorkspaceID]*waiting
}

// waiting is a workspace with a checkpoint that somebody hasn't got.
type waiting struct {
	wants uint64 // one bit a receiver
	text  string // of the checkpoint that lines are for
	lines []Cosignature
}

// receiver is a witness or the webhook. Between rounds it belongs to Run.
type receiver struct {
	name    string
	bit     uint64
	pause   pause                          // while it can't be reached
	refused map[steward.WorkspaceID]*pause // and while it doesn't take one workspace's
	send    func(ctx context.Context, j *job) (cosigned, error)
}

// pause is how long something is left alone: twice as long after each failure.
type pause struct {
	failures int
	until    time.Time
}

const longestPause = time.Hour

// over tells whether it is time again; also where the clock was put back since.
func (s *pause) over(now time.Time) bool {
	return s == nil || !now.Before(s.until) || s.until.Sub(now) > longestPause
}

// NewPublisher makes one that does nothing until Run.
func NewPublisher(c Config) *Publisher {
	if c.Interval == 0 {
		c.Interval = DefaultInterval
	}
	if c.Report == nil {
		c.Report = slog.New(slog.DiscardHandler)
	}
	p := &Publisher{c: c, woken: make(chan struct{}, 1), due: map[steward.WorkspaceID]*waiting{}}
	for i, w := range c.Policy.witnesses {
		p.receive(w.Name(), func(ctx context.Context, j *job) (cosigned, error) {
			return w.cosign(ctx, c.Log, j.ws, j.cp, j.known[i])
		})
	}
	if c.Webhook != nil {
		p.receive("webhook", func(ctx context.Context, j *job) (cosigned, error) {
			return cosigned{}, c.Webhook.post(ctx, c.Now(), j.ws, j.cp.Note)
		})
	}
	return p
}

func (p *Publisher) receive(name string, send func(context.Context, *job) (cosigned, error)) {
	p.receivers = append(p.receivers, &receiver{name: name, bit: 1 << len(p.receivers), send: send, refused: map[steward.WorkspaceID]*pause{}})
}

// Signed is for ledger.Config.Checkpoints: it marks the workspace and returns at once.
func (p *Publisher) Signed(_ context.Context, ws steward.WorkspaceID, _ string) error {
	p.want(ws, 1<<len(p.receivers)-1)
	return nil
}

// want marks receivers that lack a workspace's newest checkpoint.
func (p *Publisher) want(ws steward.WorkspaceID, receivers uint64) {
	if receivers == 0 {
		return
	}
	p.mu.Lock()
	if p.due[ws] == nil {
		p.due[ws] = &waiting{}
	}
	p.due[ws].wants |= receivers
	p.mu.Unlock()
	select {
	case p.woken <- struct{}{}:
	default:
	}
}

// Run publishes until ctx ends. At the start everything is due, since what was missed by a process that is
// gone isn't known.
func (p *Publisher) Run(ctx context.Context) {
	if len(p.receivers) == 0 {
		return
	}
	for started := false; ctx.Err() == nil; {
		if !started {
			all, err := p.c.Workspaces(ctx)
			if err != nil {
				p.c.Report.Error("the workspaces whose checkpoints are due can't be read", slog.Any("error", err))
			}
			for _, ws := range all {
				_ = p.Signed(ctx, ws, "") // whose error is always nil
			}
			started = err == nil
		}
		p.round(ctx)
		timer := time.NewTimer(p.c.Interval)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		p.mu.Lock()
		idle := len(p.due) == 0
		p.mu.Unlock()
		if started && idle {
			select {
			case <-p.woken:
			case <-ctx.Done():
			}
		}
	}
}

// job is one workspace in one round.
type job struct {
	ws    steward.WorkspaceID
	wants uint64
	lines []Cosignature // of this checkpoint, by whoever gave one
	cp    tree.Checkpoint
	known []uint64 // what each witness cosigned last, 0 where it isn't known
	text  string   // that lines came with, until cp is read
	saved bool     // nothing was added to lines since they were stored
}

// chunk is how many workspaces' checkpoints are read at a time.
const chunk = 64

// round gives each receiver that is ready what it lacks, once.
func (p *Publisher) round(ctx context.Context) {
	for jobs := range slices.Chunk(p.take(p.c.Now()), chunk) {
		ready := jobs[:0:0]
		for _, j := range jobs {
			if p.load(ctx, j) {
				ready = append(ready, j)
			}
		}
		p.deliver(ctx, ready)
		for _, j := range ready {
			p.leave(j)
		}
	}
}

// take takes what is due to receivers that aren't left alone just now, in no order: where a round ends
// early, it isn't always the same ones that go without.
func (p *Publisher) take(now time.Time) (jobs []*job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.due, func(ws steward.WorkspaceID, w *waiting) bool {
		j := &job{ws: ws, text: w.text, lines: w.lines, saved: true}
		for _, r := range p.receivers {
			if w.wants&r.bit != 0 && r.pause.over(now) && r.refused[ws].over(now) {
				j.wants |= r.bit
			}
		}
		if j.wants == 0 {
			return false
		}
		jobs = append(jobs, j)
		w.wants &^= j.wants
		return w.wants == 0
	})
	return jobs
}

// leave marks again what a job didn't get done, and keeps what it did get.
func (p *Publisher) leave(j *job) {
	p.want(j.ws, j.wants)
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.due[j.ws]; w != nil {
		w.text, w.lines = text(j.cp.Note), j.lines
	}
}

// load reads what a job is about. It tells whether there is something to send.
func (p *Publisher) load(ctx context.Context, j *job) bool {
	cp, err := p.c.Log.Checkpoint(ctx, j.ws)
	if kind := steward.KindOf(err); err != nil && (kind == steward.NotFound || kind == steward.Gone) {
		return false // none yet, and then it is told; or the workspace was forgotten
	}
	j.cp, j.known = cp, make([]uint64, len(p.c.Policy.witnesses))
	var size uint64
	var stored []byte
	if err == nil && len(j.known) > 0 {
		size, stored, err = p.c.Store.Cosigned(ctx, j.ws)
	}
	if err != nil {
		p.c.Report.Error("no checkpoint can be published", slog.String("workspace", string(j.ws)), slog.Any("error", err))
		p.want(j.ws, j.wants)
		return false
	}
	if j.text != text(cp.Note) {
		j.lines = nil
	}
	for _, c := range p.c.Policy.Cosignatures(stored) {
		switch {
		case text(string(stored)) == text(cp.Note):
			j.add(c)
			j.wants &^= p.receivers[c.of].bit
		case size < cp.Size && strings.HasPrefix(string(stored), cp.Origin+"\n"): // else it is of another log, before a restore
			j.known[c.of] = size
		}
	}
	return j.wants != 0
}

// add adds a cosignature, in place of an older one of the same witness.
func (j *job) add(c Cosignature) {
	j.lines = append(slices.DeleteFunc(slices.Clone(j.lines), func(o Cosignature) bool { return o.of == c.of }), c)
}

// result is what one receiver made of one job.
type result struct {
	job  *job
	to   *receiver
	word cosigned
	err  error
}

// inFlight is how many requests a receiver gets at a time.
const inFlight = 4

// deliver sends jobs to all receivers at once, and stores cosignatures as they come in. A receiver that
// can't be reached gets no more of them, and one that is too slow for so many counts as such: the others
// don't wait for it.
func (p *Publisher) deliver(ctx context.Context, jobs []*job) {
	sending, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	results := make(chan result, len(jobs)*len(p.receivers))
	var all sync.WaitGroup
	for _, r := range p.receivers {
		var mine []*job
		for _, j := range jobs {
			if j.wants&r.bit != 0 && r.pause.over(p.c.Now()) { // it may have failed at those before
				mine = append(mine, j)
			}
		}
		var next atomic.Int64
		var stop atomic.Bool
		for range min(inFlight, len(mine)) {
			all.Go(func() {
				for !stop.Load() {
					i := int(next.Add(1)) - 1
					if i >= len(mine) {
						return
					}
					word, err := r.send(sending, mine[i])
					if steward.KindOf(err) == steward.Unavailable || sending.Err() != nil {
						stop.Store(true)
					}
					results <- result{mine[i], r, word, err}
				}
			})
		}
	}
	go func() { all.Wait(); close(results) }()
	for r := range results {
		p.settle(ctx, r)
		if len(results) == 0 { // what came meanwhile shares a commit
			p.save(ctx, jobs)
		}
	}
}

// settle takes in a result.
func (p *Publisher) settle(ctx context.Context, r result) {
	if ctx.Err() != nil || errors.Is(r.err, errBehind) {
		return // it is due again
	}
	about := []any{slog.String("receiver", r.to.name), slog.String("workspace", string(r.job.ws)), slog.Uint64("size", r.job.cp.Size)}
	if steward.KindOf(r.err) == steward.Unavailable && r.err != nil {
		// Requests that were on their way together are one failure.
		if r.to.pause.over(p.c.Now()) {
			p.postpone(&r.to.pause)
			p.c.Report.Warn("a receiver of checkpoints can't be reached", append(about, slog.Any("error", r.err))...)
		}
		return
	}
	if errors.Is(r.err, context.DeadlineExceeded) {
		return // the proof wasn't read in time; it is due again too
	}
	r.to.pause = pause{}
	if r.err != nil {
		if r.to.refused[r.job.ws] == nil {
			r.to.refused[r.job.ws] = &pause{}
		}
		p.postpone(r.to.refused[r.job.ws])
		p.c.Report.Error("a checkpoint isn't accepted outside", append(about, slog.String("kind", steward.KindOf(r.err).String()), slog.Any("error", r.err))...)
		return
	}
	delete(r.to.refused, r.job.ws)
	r.job.wants &^= r.to.bit
	if r.word.forgot > 0 {
		p.c.Report.Warn("a witness has forgotten what it cosigned", append(about, slog.Uint64("cosigned", r.word.forgot))...)
	}
	if r.word.line != "" {
		of := slices.Index(p.receivers, r.to)
		r.job.add(Cosignature{Witness: r.to.name, Time: r.word.time, line: r.word.line, of: of})
		r.job.saved = false
	}
}

// postpone leaves something alone for a while.
func (p *Publisher) postpone(s *pause) {
	wait := min(p.c.Interval<<min(s.failures, 12), longestPause)
	s.failures++
	s.until = p.c.Now().Add(wait/2 + time.Duration(p.c.Jitter()*float64(wait)/2))
}

// save stores the checkpoints that have enough cosignatures and new ones among them.
func (p *Publisher) save(ctx context.Context, jobs []*job) {
	var list []Cosigned
	var of []*job
	for _, j := range jobs {
		if !j.saved && len(j.lines) >= p.c.Policy.quorum {
			var note strings.Builder
			note.WriteString(j.cp.Note)
			for _, c := range j.lines {
				note.WriteString(c.line)
			}
			list, of = append(list, Cosigned{Workspace: j.ws, Size: j.cp.Size, Note: []byte(note.String())}), append(of, j)
			j.saved = true
		}
	}
	if len(list) == 0 {
		return
	}
	if err := p.c.Store.SaveCosigned(ctx, list); err != nil {
		p.c.Report.Error("cosignatures can't be stored", slog.Any("error", err))
		for _, j := range of {
			for _, c := range j.lines {
				j.wants |= p.receivers[c.of].bit // asked again
			}
		}
	}
}
