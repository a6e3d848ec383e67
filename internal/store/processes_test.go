package store_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/verify"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

var (
	nodeData    = flag.String("node-data", "", "makes the test binary a process that writes to this database")
	nodeKeys    = flag.String("node-keys", "", "its keyring")
	nodeRoot    = flag.String("node-root", "", "its root key's folder")
	nodeCalls   = flag.Int("node-calls", 0, "calls of each of its writers")
	nodePatient = flag.Bool("node-patient", false, "goes on where the database can't be reached for a while")
)

const nodeWriters, nodeWorkspaces = 3, 2

// node is a ledger over Postgres, as a process of the server has it.
type node struct {
	*ledger.Ledger
	name string
	data *store.DB
	keys *keyring.Keyring
}

func openNode(t testing.TB, data, keys, root string) *node {
	t.Helper()
	ctx := context.Background()
	n := &node{name: steward.NewID(rand.Reader, "run"), data: openPostgres(t, data)}
	ring, err := store.Postgres{URL: keys}.OpenKeyring(ctx)
	must(t, err)
	n.keys, err = keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: ring}, Keeper: keyring.FileKeeper{Dir: root}, Rand: rand.Reader})
	must(t, err)
	n.Ledger, err = ledger.Open(ctx, ledger.Config{Store: store.Ledger{DB: n.data}, Sealer: n.keys, Now: time.Now, Rand: rand.Reader, Origin: "steward.test"})
	must(t, err)
	t.Cleanup(func() {
		if err := n.Close(ctx); err != nil {
			t.Error(err)
		}
		closeDB(t, n.data)
		closeDB(t, ring)
	})
	return n
}

// house makes the databases and the root key that nodes share.
func house(t testing.TB, server *postgres.Server) (data, keys, root string) {
	root = filepath.Join(t.TempDir(), "root")
	must(t, keyring.FileKeeper{Dir: root}.Create(rand.Reader))
	return server.Database(t), server.Database(t), root
}

// write makes calls, intent and outcome, and tells each entry that was acknowledged. What fails because the
// database can't be reached is handed to refused, and made again as another call.
func (n *node) write(t testing.TB, calls int, refused func(error), acknowledged func(ws steward.WorkspaceID, seq uint64, run steward.RunID)) {
	ctx := context.Background()
	var wg sync.WaitGroup
	for writer := range nodeWriters {
		wg.Go(func() {
			ws := steward.WorkspaceID(fmt.Sprint("ws_", writer%nodeWorkspaces))
			for done, tried := 0, 0; done < calls; tried++ {
				run := steward.RunID(fmt.Sprintf("%s_%d_%d", n.name, writer, tried))
				part := ledger.Part{Scopes: []steward.Scope{"ledger/2026-11"}, Body: []byte(run)}
				i, err := n.Begin(ctx, ws, ledger.Entry{Run: run}, part)
				if err == nil {
					acknowledged(ws, i.Seq, run)
					var seq uint64
					seq, err = n.End(ctx, i, ledger.Entry{Outcome: ledger.OK}, part)
					if err == nil {
						acknowledged(ws, seq, run)
						done++
						continue
					}
				}
				if steward.KindOf(err) != steward.Unavailable || tried > calls+1000 {
					t.Errorf("%s: %v", run, err)
					return
				}
				refused(err)
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	wg.Wait()
}

// TestNode is a process that TestProcessesShareWorkspaces and TestKilledOverPostgres start.
func TestNode(t *testing.T) {
	if *nodeData == "" {
		t.Skip("this is what other tests start as processes of their own")
	}
	n := openNode(t, *nodeData, *nodeKeys, *nodeRoot)
	var mu sync.Mutex
	n.write(t, *nodeCalls, func(err error) {
		if !*nodePatient {
			t.Error(err)
		}
	}, func(ws steward.WorkspaceID, seq uint64, run steward.RunID) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println("acknowledged", ws, seq, run)
	})
}

type spot struct {
	ws  steward.WorkspaceID
	seq uint64
}

// record is what was acknowledged to anybody.
type record struct {
	mu      sync.Mutex
	entries map[spot]steward.RunID
}

func (r *record) add(t testing.TB, at spot, run steward.RunID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if other, taken := r.entries[at]; taken {
		t.Errorf("entry %v was acknowledged to %s and to %s", at, other, run)
	}
	r.entries[at] = run
}

// check holds the ledgers against what was acknowledged, and against themselves.
func (r *record) check(t *testing.T, n *node) {
	t.Helper()
	ctx := context.Background()
	found := 0
	for w := range nodeWorkspaces {
		ws := steward.WorkspaceID(fmt.Sprint("ws_", w))
		for range 2 { // the first is over what this node wrote, the second over what others wrote since
			_, err := n.Checkpoint(ctx, ws)
			must(t, err)
		}
		report, err := verify.Ledger(ctx, verify.Source{Store: store.Ledger{DB: n.data}, Sealer: n.keys}, ws, nil)
		if err != nil || len(report.Findings) > 0 || report.Unsigned > 0 {
			t.Errorf("verify %s: %+v, %v", ws, report, err)
		}
		next, seen := uint64(0), map[string]bool{}
		must(t, n.Read(ctx, ws, ledger.Query{}, func(h ledger.Header) error {
			if h.Seq != next {
				t.Errorf("%s: entry %d follows %d", ws, h.Seq, next)
			}
			next = h.Seq + 1
			id := fmt.Sprint(h.Run, h.Kind)
			if seen[id] {
				t.Errorf("%s: %s is there twice", ws, id)
			}
			seen[id] = true
			if run, ok := r.entries[spot{ws, h.Seq}]; ok {
				found++
				if run != h.Run {
					t.Errorf("%s %d was acknowledged to %s and is of %s", ws, h.Seq, run, h.Run)
				}
			}
			return nil
		}))
	}
	if found != len(r.entries) {
		t.Errorf("%d entries were acknowledged, and %d of them are there", len(r.entries), found)
	}
	t.Logf("%d entries acknowledged", len(r.entries))
}

// TestProcessesShareWorkspaces lets several processes append to the same workspaces at once: none is
// refused, and the ledgers have neither gaps nor forks.
func TestProcessesShareWorkspaces(t *testing.T) {
	server := postgres.Start(t)
	data, keys, root := house(t, server)
	n := openNode(t, data, keys, root) // this process is one of them
	acknowledged := record{entries: map[spot]steward.RunID{}}
	const processes, calls = 3, 60
	var wg sync.WaitGroup
	for range processes {
		wg.Go(func() {
			child := exec.Command(os.Args[0], "-test.run=^TestNode$", "-node-data="+data, "-node-keys="+keys, "-node-root="+root, fmt.Sprint("-node-calls=", calls))
			out, err := child.StdoutPipe()
			if err == nil {
				err = child.Start()
			}
			if err != nil {
				t.Error(err)
				return
			}
			said := ""
			for lines := bufio.NewScanner(out); lines.Scan(); {
				var at spot
				var run steward.RunID
				if _, err := fmt.Sscanf(lines.Text(), "acknowledged %s %d %s", &at.ws, &at.seq, &run); err == nil {
					acknowledged.add(t, at, run)
				} else {
					said += lines.Text() + "\n"
				}
			}
			if err := child.Wait(); err != nil {
				t.Errorf("%v\n%s", err, said)
			}
		})
	}
	wg.Go(func() {
		n.write(t, calls, func(err error) { t.Error(err) }, func(ws steward.WorkspaceID, seq uint64, run steward.RunID) { acknowledged.add(t, spot{ws, seq}, run) })
	})
	wg.Wait()
	if want := (processes + 1) * nodeWriters * calls * 2; len(acknowledged.entries) != want {
		t.Errorf("%d entries were acknowledged, want %d", len(acknowledged.entries), want)
	}
	acknowledged.check(t, n)
}

// TestConnectionsAndServerDie kills connections at random, and crashes the server, while two nodes write:
// they go on by themselves, and what was acknowledged is there.
func TestConnectionsAndServerDie(t *testing.T) {
	server := postgres.Start(t)
	data, keys, root := house(t, server)
	nodes := []*node{openNode(t, data, keys, root), openNode(t, data, keys, root)}
	acknowledged := record{entries: map[spot]steward.RunID{}}
	var wg sync.WaitGroup
	var writing atomic.Int64
	for _, n := range nodes {
		writing.Add(1)
		wg.Go(func() {
			defer writing.Add(-1)
			n.write(t, 80, func(error) {}, func(ws steward.WorkspaceID, seq uint64, run steward.RunID) {
				acknowledged.add(t, spot{ws, seq}, run)
			})
		})
	}
	kills := 0
	for ; kills < 16 && writing.Load() > 0; kills++ {
		time.Sleep(time.Duration(mathrand.IntN(60)) * time.Millisecond)
		if kills%8 == 5 {
			server.Restart(t)
			continue
		}
		server.Exec(t, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '"+postgres.Owner+"' AND random() < 0.7")
	}
	wg.Wait()
	t.Logf("connections were killed %d times", kills)
	acknowledged.check(t, nodes[0])
}
