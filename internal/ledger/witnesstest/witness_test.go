// Package witnesstest lets a witness that is not ours watch Steward's logs: filippo.io/torchwood's
// litewitness, as a process of its own. The whole program uses it too, beside a bucket and a webhook. It is a
// module of its own, so that the program depends on none of it: run `go test ./...` here.
package witnesstest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/mod/sumdb/note"
	_ "modernc.org/sqlite"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/tlog"
	"github.com/stewardhq/steward/internal/ledger/witness"
	"github.com/stewardhq/steward/internal/store"
)

const (
	ws     steward.WorkspaceID = "ws_1"
	origin                     = "steward.test/ws_1"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// litewitness is a witness that runs beside the test.
type litewitness struct {
	t           *testing.T
	binary, dir string
	name, vkey  string
	agent, key  string // the socket of an SSH agent and the fingerprint of the key in it
	address     string
	process     *exec.Cmd
	output      bytes.Buffer
}

// buildWitness builds the witness at the version in go.mod.
func buildWitness(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir, "filippo.io/torchwood/cmd/litewitness").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "litewitness")
}

// install gives a witness a key, which it keeps in an SSH agent, and starts it.
func install(t *testing.T, binary, name string) *litewitness {
	t.Helper()
	dir, err := os.MkdirTemp("", "w") // a socket's path may not be long
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	_, private, err := ed25519.GenerateKey(nil)
	must(t, err)
	ring := agent.NewKeyring()
	must(t, ring.Add(agent.AddedKey{PrivateKey: private}))
	signers, err := ring.Signers()
	must(t, err)
	socket := filepath.Join(dir, "agent")
	listener, err := net.Listen("unix", socket)
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(ring, conn) }()
		}
	}()
	cosigner, err := torchwood.NewCosignatureSigner(name, private)
	must(t, err)
	port, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, port.Close())
	w := &litewitness{
		t: t, binary: binary, dir: dir, name: name, vkey: cosigner.Verifier().String(),
		agent: socket, key: ssh.FingerprintSHA256(signers[0].PublicKey()), address: port.Addr().String(),
	}
	w.start()
	t.Cleanup(func() {
		w.kill()
		if t.Failed() {
			t.Logf("%s says\n%s", name, &w.output)
		}
	})
	return w
}

func (w *litewitness) start() {
	w.t.Helper()
	w.process = exec.Command(w.binary, "-name", w.name, "-db", w.database(), "-ssh-agent", w.agent, "-key", w.key, "-listen", w.address)
	w.process.Stderr = &w.output
	must(w.t, w.process.Start())
	eventually(w.t, w.name+" listens", func() bool {
		conn, err := net.Dial("tcp", w.address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// kill ends it as a power failure would.
func (w *litewitness) kill() {
	_ = w.process.Process.Kill()
	_ = w.process.Wait()
}

func (w *litewitness) database() string { return filepath.Join(w.dir, "witness.db") }

// takeIn registers a log, as an operator does: its origin, over an empty tree, and its key.
func (w *litewitness) takeIn(origin, vkey string) {
	w.t.Helper()
	db, err := sql.Open("sqlite", w.database())
	must(w.t, err)
	defer db.Close()
	_, err = db.Exec(`INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=')`, origin)
	must(w.t, err)
	_, err = db.Exec(`INSERT INTO key (origin, key) VALUES (?, ?)`, origin, vkey)
	must(w.t, err)
}

// remembers is how many entries of a log it has seen.
func (w *litewitness) remembers(origin string) (size uint64) {
	w.t.Helper()
	db, err := sql.Open("sqlite", w.database())
	must(w.t, err)
	defer db.Close()
	must(w.t, db.QueryRow(`SELECT tree_size FROM log WHERE origin = ?`, origin).Scan(&size))
	return size
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// house is a Steward that keeps a ledger and publishes its checkpoints.
type house struct {
	t      *testing.T
	book   *ledger.Ledger
	log    tlog.Log
	kept   store.Witness
	report *report
	close  func()
}

// report is what is logged.
type report struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *report) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

func (r *report) says(what string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Contains(r.text.String(), what)
}

func open(t *testing.T, dir string, policy witness.Policy) *house {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ring, err := store.OpenKeyring(ctx, dir)
	must(t, err)
	keys, err := keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: ring}, Keeper: keeper(dir), Rand: rand.Reader})
	must(t, err)
	must(t, os.MkdirAll(filepath.Join(dir, "data"), 0o700))
	data, err := store.OpenData(ctx, filepath.Join(dir, "data"))
	must(t, err)
	h := &house{t: t, log: tlog.Log{Store: store.Ledger{DB: data}, Sealer: keys}, kept: store.Witness{DB: data}, report: &report{}}
	publisher := witness.NewPublisher(witness.Config{
		Log: h.log, Policy: policy, Store: h.kept, Interval: 50 * time.Millisecond, Now: time.Now, Jitter: func() float64 { return 0 },
		Workspaces: func(context.Context) ([]steward.WorkspaceID, error) { return []steward.WorkspaceID{ws}, nil },
		Report:     slog.New(slog.NewTextHandler(h.report, nil)),
	})
	h.book, err = ledger.Open(ctx, ledger.Config{
		Store: store.Ledger{DB: data}, Sealer: keys, Now: time.Now, Rand: rand.Reader, Origin: "steward.test", Checkpoints: publisher.Signed,
	})
	must(t, err)
	done := make(chan struct{})
	go func() { publisher.Run(ctx); close(done) }()
	h.close = sync.OnceFunc(func() {
		must(t, h.book.Close(context.Background()))
		cancel()
		<-done
		must(t, errors.Join(data.Close(), ring.Close()))
	})
	t.Cleanup(h.close)
	return h
}

func keeper(dir string) keyring.FileKeeper {
	return keyring.FileKeeper{Dir: filepath.Join(dir, "root")}
}

func (h *house) append(n int) ledger.Checkpoint {
	h.t.Helper()
	events := make([]ledger.Event, n)
	for i := range events {
		events[i] = ledger.Event{Entry: ledger.Entry{Kind: ledger.RunRead, Records: i}}
	}
	_, err := h.book.AppendAll(context.Background(), ws, events...)
	must(h.t, err)
	cp, err := h.book.Checkpoint(context.Background(), ws)
	must(h.t, err)
	return cp
}

func (h *house) cosigned() (uint64, []byte) {
	h.t.Helper()
	size, signed, err := h.kept.Cosigned(context.Background(), ws)
	must(h.t, err)
	return size, signed
}

// ask fails unless both witnesses refuse with a kind and say something, or agree where that is "".
func (h *house) ask(policy witness.Policy, kind steward.Kind, says string) {
	h.t.Helper()
	_, answers, err := policy.Ask(context.Background(), h.log, ws)
	must(h.t, err)
	for _, a := range answers {
		if says == "" && (a.Err != nil || time.Since(a.Time).Abs() > time.Minute) ||
			says != "" && (a.Err == nil || steward.KindOf(a.Err) != kind || !strings.Contains(steward.Message(a.Err), says)) {
			h.t.Errorf("%s answers %v at %v; want one of kind %v that says %q", a.Witness, a.Err, a.Time, kind, says)
		}
	}
	if len(answers) != 2 {
		h.t.Errorf("%d answers", len(answers))
	}
}

// TestLitewitness: two of them cosign a growing log, one is killed and comes back, and both find that the log
// was put back to an older state, and then written on in another way.
func TestLitewitness(t *testing.T) {
	binary := buildWitness(t)
	one, two := install(t, binary, "w1.test"), install(t, binary, "w2.test")
	var list []witness.Witness
	for _, w := range []*litewitness{one, two} {
		known, err := witness.New(&http.Client{}, "http://"+w.address, w.vkey)
		must(t, err)
		list = append(list, known)
	}
	policy, err := witness.NewPolicy(2, list...)
	must(t, err)

	dir := t.TempDir()
	must(t, keeper(dir).Create(rand.Reader))
	h := open(t, dir, policy)
	cp := h.append(3)
	h.ask(policy, steward.NotFound, cp.Key)
	one.takeIn(origin, cp.Key)
	two.takeIn(origin, cp.Key)
	cp = h.append(297)
	eventually(t, "300 are cosigned", func() bool { size, _ := h.cosigned(); return size == 300 })
	accepted(t, h, cp.Key, one, two)
	h.close()
	old := t.TempDir()
	must(t, os.CopyFS(old, os.DirFS(filepath.Join(dir, "data"))))

	h = open(t, dir, policy)
	two.kill()
	h.append(50)
	eventually(t, "one goes on", func() bool { return one.remembers(origin) == 350 })
	if size, _ := h.cosigned(); size != 300 {
		t.Errorf("%d are cosigned by two, and one of them is dead", size)
	}
	two.start()
	h.append(150)
	eventually(t, "500 are cosigned", func() bool { size, _ := h.cosigned(); return size == 500 })
	accepted(t, h, cp.Key, one, two)
	h.ask(policy, 0, "")
	h.close()

	must(t, os.RemoveAll(filepath.Join(dir, "data"))) // an old backup of the data, beside today's keyring
	must(t, os.CopyFS(filepath.Join(dir, "data"), os.DirFS(old)))
	h = open(t, dir, policy)
	h.ask(policy, steward.Conflict, "has seen 500 entries and the ledger's last checkpoint is over 300: it was put back to an older state")
	h.append(300)
	h.ask(policy, steward.Conflict, "has seen another ledger with 500 entries, which this one doesn't go on from")
	eventually(t, "it is reported", func() bool { return h.report.says("kind=conflict") })
	if size, _ := h.cosigned(); size != 300 || one.remembers(origin) != 500 || two.remembers(origin) != 500 {
		t.Errorf("%d are cosigned, and the witnesses remember %d and %d", size, one.remembers(origin), two.remembers(origin))
	}
}

// accepted lets torchwood's own client judge the newest cosigned checkpoint.
func accepted(t *testing.T, h *house, vkey string, witnesses ...*litewitness) {
	t.Helper()
	size, signed := h.cosigned()
	signer, err := note.NewVerifier(vkey)
	must(t, err)
	policies := []torchwood.Policy{torchwood.OriginPolicy(origin), torchwood.SingleVerifierPolicy(signer)}
	for _, w := range witnesses {
		v, err := torchwood.NewCosignatureVerifier(w.vkey)
		must(t, err)
		policies = append(policies, torchwood.SingleVerifierPolicy(v))
	}
	cp, opened, err := torchwood.VerifyCheckpoint(signed, torchwood.ThresholdPolicy(len(policies), policies...))
	if err != nil || cp.N != int64(size) || len(opened.Sigs) != 1+len(witnesses) {
		t.Fatalf("%v, over %d\n%s", err, cp.N, signed)
	}
	for _, s := range opened.Sigs {
		if s.Name == origin {
			continue
		}
		at, err := torchwood.CosignatureTimestamp(s)
		if err != nil || time.Since(time.Unix(at, 0)).Abs() > time.Minute {
			t.Errorf("%s cosigned at %d: %v", s.Name, at, err)
		}
	}
}
