package forgetting_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/blob"
	"github.com/stewardhq/steward/internal/credential"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/retention"
	"github.com/stewardhq/steward/internal/retention/custody"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/database"
	"github.com/stewardhq/steward/internal/store/forgetting"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

const (
	acme  steward.WorkspaceID = "ws_acme"
	other steward.WorkspaceID = "ws_other"
	host                      = "https://planted-instance.example" // in a row, in plain
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// town is two workspaces with something of everything, which can be opened again and again.
type town struct {
	*retention.Closer
	t          *testing.T
	dir        string
	dataURL    string // "" on SQLite
	keysURL    string
	now        time.Time
	data, keys *store.DB
	ring       *keyring.Keyring
	book       *ledger.Ledger
	rows       forgetting.Rows
	blobs      blob.Folder
	sealed     map[steward.WorkspaceID][]kept
	held       []custody.Hold
	deadline   deadline
}

type kept struct {
	at     steward.Place
	sealed steward.Sealed
}

// deadline is when a process dies: before or after one of the steps that change something.
type deadline struct {
	steps int // left; negative for never
	after bool
}

var errDied = errors.New("the process died")

func (d *deadline) step(do func() error) error {
	if d.steps < 0 {
		return do()
	}
	if d.steps == 0 && !d.after {
		return errDied
	}
	err := do()
	if d.steps == 0 {
		return errDied
	}
	d.steps--
	return err
}

// dying is all that a Closer changes, until the process dies.
type dying struct {
	forgetting.Rows
	d *deadline
}

func (r dying) PutClosing(ctx context.Context, was retention.Standing, c retention.Closing) error {
	return r.d.step(func() error { return r.Rows.PutClosing(ctx, was, c) })
}

func (r dying) Remove(ctx context.Context, ws steward.WorkspaceID) error {
	return r.d.step(func() error { return r.Rows.Remove(ctx, ws) })
}

func onBoth(t *testing.T, test func(t *testing.T, w *town)) {
	t.Run("sqlite", func(t *testing.T) { test(t, settle(t, nil)) })
	t.Run("postgres", func(t *testing.T) { test(t, settle(t, postgres.Start(t))) })
}

func settle(t *testing.T, on *postgres.Server) *town {
	t.Helper()
	w := &town{t: t, dir: t.TempDir(), now: noon, sealed: map[steward.WorkspaceID][]kept{}, deadline: deadline{steps: -1}}
	w.blobs = blob.Folder{Dir: filepath.Join(w.dir, "objects"), Now: func() time.Time { return w.now }}
	if on != nil {
		w.dataURL, w.keysURL = on.Database(t), on.Database(t)
	}
	w.must(os.Mkdir(w.blobs.Dir, 0o700))
	w.must(w.keeper().Create(rand.Reader))
	w.open()
	t.Cleanup(func() { w.close() })
	for _, ws := range []steward.WorkspaceID{acme, other} {
		w.fill(ws)
	}
	return w
}

func (w *town) keeper() keyring.FileKeeper {
	return keyring.FileKeeper{Dir: filepath.Join(w.dir, "root")}
}

func (w *town) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// open is a process's start.
func (w *town) open() {
	w.t.Helper()
	ctx := context.Background()
	var err error
	if w.dataURL == "" {
		w.data, err = store.OpenData(ctx, w.dir)
		w.must(err)
		w.keys, err = store.OpenKeyring(ctx, w.dir)
	} else {
		w.data, err = store.Postgres{URL: w.dataURL}.OpenData(ctx)
		w.must(err)
		w.keys, err = store.Postgres{URL: w.keysURL}.OpenKeyring(ctx)
	}
	w.must(err)
	w.ring, err = keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: w.keys}, Keeper: w.keeper(), Rand: rand.Reader})
	w.must(err)
	clock := func() time.Time { return w.now }
	w.book, err = ledger.Open(ctx, ledger.Config{Store: store.Ledger{DB: w.data}, Sealer: w.ring, Now: clock, Rand: rand.Reader, Origin: "test.example"})
	w.must(err)
	_, err = w.book.CloseAbandoned(ctx)
	w.must(err)
	w.rows = forgetting.Rows{DB: w.data.Rows()}
	dropper := segment.Dropper{Store: &segment.Store{Store: store.Ledger{DB: w.data}, Manifest: store.Segments{DB: w.data}, Blobs: w.blobs}}
	w.Closer = &retention.Closer{
		Closings: dying{w.rows, &w.deadline}, Estate: dying{w.rows, &w.deadline}, Holds: holds{w: w},
		Schedule: &retention.Schedule{Periods: store.Keyring{DB: w.keys}, Settings: store.Retention{DB: w.data}, Now: clock},
		Ledger:   w.book, Keyring: w.ring, Issuer: &retention.Issuer{Ledger: w.book, Version: "test", Now: clock, Rand: rand.Reader},
		Walk: func(ctx context.Context, ws steward.WorkspaceID, f func(steward.Place, steward.Sealed) error) error {
			return w.deadline.step(func() error { return w.data.WalkSealed(ctx, ws, f) })
		},
		Objects: func(ctx context.Context, ws steward.WorkspaceID) (left int, err error) {
			err = w.deadline.step(func() error { left, err = dropper.Remove(ctx, ws); return err })
			return left, err
		},
		Workspaces: func(ctx context.Context) (ids []steward.WorkspaceID, err error) {
			all, err := store.Identity{DB: w.data}.AllWorkspaces(ctx)
			for _, ws := range all {
				ids = append(ids, ws.ID)
			}
			return ids, err
		},
		Log: slog.New(slog.DiscardHandler), Now: clock,
	}
}

// holds are those that a test says there are; nothing else is asked of them.
type holds struct {
	keeper
	w *town
}

type keeper interface{ custody.Holds }

func (h holds) Holds(context.Context, steward.WorkspaceID) ([]custody.Hold, error) {
	return h.w.held, nil
}

func (w *town) close() {
	w.t.Helper()
	w.must(errors.Join(w.book.Close(context.Background()), w.data.Close(), w.keys.Close()))
}

// fill gives a workspace something of everything.
func (w *town) fill(ws steward.WorkspaceID) {
	w.t.Helper()
	ctx := context.Background()
	w.must(store.Identity{DB: w.data}.AddWorkspace(ctx, identity.Workspace{ID: ws, Name: "of-" + string(ws)[3:], Created: w.now}))
	seal := func(table, row string, scopes ...steward.Scope) steward.Sealed {
		at := steward.Place{Workspace: ws, Table: table, Row: row}
		sealed, err := w.ring.Seal(ctx, at, scopes, []byte("maria@example.com of "+string(ws)))
		w.must(err)
		w.sealed[ws] = append(w.sealed[ws], kept{at, sealed})
		return sealed
	}
	people := store.Identity{DB: w.data}
	for _, id := range []string{"mem_0", "mem_1", "mem_2"} {
		w.must(people.AddMember(ctx, ws, identity.MemberRow{
			ID: steward.MemberID(id), Role: steward.Admin, Email: []byte(id), Created: w.now, Sealed: seal("members", id, steward.PersonScope(steward.PersonID(id))),
		}))
	}
	w.must(w.data.Rows().Update(ctx, database.Within(ws), func(tx *sql.Tx) error {
		for i := range 1200 { // more than go at once
			if _, err := tx.ExecContext(ctx, `INSERT INTO usage_by_run (workspace, run, records, amount, untrusted) VALUES ($1, $2, 0, 0, 0)`, ws, fmt.Sprintf("run_%d", i)); err != nil {
				return err
			}
		}
		return nil
	}))
	w.must(people.AddToken(ctx, identity.TokenRow{Workspace: ws, Hash: sha256.Sum256([]byte(ws)), APIToken: identity.APIToken{ID: "tok", Member: "mem_0"}}))
	crm := store.Gateway{DB: w.data}
	w.must(crm.PutConnection(ctx, ws, credential.Connection{ID: "crm", InstanceURL: host + "/" + string(ws), Created: w.now}))
	_, err := crm.AddCredential(ctx, ws, "crm", "mem_0", seal("credentials", "crm/mem_0", steward.CredentialScope("crm", "mem_0")))
	w.must(err)
	for range 40 {
		part := ledger.Part{Scopes: []steward.Scope{steward.TimeScope(steward.ClassLedger, w.now)}, Body: []byte("{}")}
		_, err := w.book.Append(ctx, ws, ledger.Entry{Kind: ledger.RunRead, Caller: "mem_0"}, part)
		w.must(err)
	}
	if ws == acme {
		_, err := w.book.Begin(ctx, ws, ledger.Entry{Caller: "mem_0"}) // a call that never ended
		w.must(err)
	}
	_, err = w.book.Checkpoint(ctx, ws)
	w.must(err)
	for _, name := range []string{"a", "b"} {
		w.must(w.blobs.Put(ctx, "ledger/"+string(ws)+"/0-"+name+"/parts", strings.NewReader("sealed"), 6, time.Time{}))
	}
	w.must(w.Schedule.Confirm(ctx, ws))
}

// pass lets days go by, and says that they did.
func (w *town) pass(days int) {
	w.t.Helper()
	w.now = w.now.AddDate(0, 0, days)
	for _, ws := range []steward.WorkspaceID{acme, other} {
		if known, err := w.data.Rows().One(context.Background(), database.Within(ws), []any{new(string)}, `SELECT id FROM workspaces WHERE id = $1`, ws); err == nil && known {
			w.must(w.Schedule.Confirm(context.Background(), ws))
		}
	}
}

func (w *town) standing() retention.Closing {
	w.t.Helper()
	c, known, err := w.rows.Closing(context.Background(), acme)
	w.must(err)
	if !known {
		return retention.Closing{State: retention.Open}
	}
	return c
}

func (w *town) entries(kind ledger.Kind, outcome string) (n int) {
	w.t.Helper()
	w.must(w.book.Read(context.Background(), acme, ledger.Query{Kind: kind, Outcome: outcome}, func(ledger.Header) error { n++; return nil }))
	return n
}

// tables lists those with rows of workspaces, and the column that says whose.
func (w *town) tables() map[string]string {
	w.t.Helper()
	found := map[string]string{}
	query := `SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND (c.name = 'workspace' OR m.name = 'workspaces' AND c.name = 'id')`
	if w.dataURL != "" {
		query = `SELECT c.relname::text, a.attname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
			AND NOT a.attisdropped AND (a.attname = 'workspace' OR c.relname = 'workspaces' AND a.attname = 'id')`
	}
	w.must(w.data.Rows().Query(context.Background(), database.Reach{}, func(scan func(...any) error) error {
		var table, column string
		err := scan(&table, &column)
		found[table] = column
		return err
	}, query))
	if len(found) < 20 {
		w.t.Fatalf("the tables are %v", found)
	}
	return found
}

func (w *town) count(ws steward.WorkspaceID) map[string]int {
	w.t.Helper()
	counts := map[string]int{}
	for table, column := range w.tables() {
		var n int
		_, err := w.data.Rows().One(context.Background(), database.Within(ws), []any{&n}, `SELECT count(*) FROM `+table+` WHERE `+column+` = $1`, ws)
		w.must(err)
		if n > 0 {
			counts[table] = n
		}
	}
	return counts
}

func (w *town) opens(ws steward.WorkspaceID) (n int) {
	w.t.Helper()
	for _, k := range w.sealed[ws] {
		if _, err := w.ring.Open(context.Background(), k.at, k.sealed); err == nil {
			n++
		} else if steward.KindOf(err) != steward.Gone {
			w.t.Errorf("%s %s: %v", k.at.Table, k.at.Row, err)
		}
	}
	return n
}

// gone fails unless nothing is left of acme but what is certified, and all of other.
func (w *town) gone(before map[string]int) {
	w.t.Helper()
	ctx := context.Background()
	if c := w.count(acme); len(c) != 1 || c["closings"] != 1 {
		w.t.Errorf("what is left: %v", c)
	}
	if n := w.opens(acme); n > 0 {
		w.t.Errorf("%d values open", n)
	}
	if n := w.opens(other); n != len(w.sealed[other]) {
		w.t.Errorf("of the other workspace's values %d open", n)
	}
	if after := w.count(other); fmt.Sprint(after) != fmt.Sprint(before) {
		w.t.Errorf("the other workspace had %v, has %v", before, after)
	}
	if head, err := w.book.Checkpoint(ctx, other); err != nil || head.Size == 0 {
		w.t.Errorf("the other's record: %+v, %v", head, err)
	}
	objects := map[string]int{}
	w.must(w.blobs.List(ctx, "ledger/", func(name string, _ time.Time) error { objects[strings.Split(name, "/")[1]]++; return nil }))
	if objects[string(acme)] != 0 || objects[string(other)] != 2 {
		w.t.Errorf("objects: %v", objects)
	}
	c := w.standing()
	signed := c.Certificate
	verifier, err := note.NewVerifier(signed.Key)
	w.must(err)
	for what, text := range map[string]string{"certificate": signed.Note, "checkpoint": c.Checkpoint} {
		if _, err := note.Open([]byte(text), note.VerifierList(verifier)); err != nil {
			w.t.Errorf("the %s: %v in %q", what, err, text)
		}
	}
	if !strings.Contains(signed.Note, string(acme)) || strings.Contains(signed.Note, "maria") || signed.Certificate.Verified.Boxes != len(w.sealed[acme]) {
		w.t.Errorf("the certificate says %s", signed.Note)
	}
	if c.State != retention.Deleted || c.Deleted.IsZero() {
		w.t.Errorf("it stands as %+v", c)
	}
	if w.dataURL != "" {
		return // Postgres keeps old rows in its files, and in them only what is sealed or no secret
	}
	if found := w.onDisk(); len(found) > 0 {
		w.t.Errorf("the disk holds %q", found)
	}
}

// onDisk lists what of acme's lies in any file: an address in plain, what was sealed, and what is in it.
func (w *town) onDisk() (found []string) {
	w.t.Helper()
	planted := []string{host + "/" + string(acme), "maria@example.com"}
	for _, k := range w.sealed[acme] {
		planted = append(planted, string(k.sealed.Box[len(k.sealed.Box)-24:]))
	}
	w.must(filepath.WalkDir(w.dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, p := range planted {
			if bytes.Contains(raw, []byte(p)) {
				found = append(found, e.Name()+": "+p)
			}
		}
		return err
	}))
	return found
}

func alone(days int) retention.CloseRequest {
	return retention.CloseRequest{Workspace: acme, Name: "acme", By: "mem_0", Alone: true, Days: days}
}

func TestAWorkspaceIsClosedAndDeleted(t *testing.T) {
	onBoth(t, func(t *testing.T, w *town) {
		ctx := context.Background()
		before := w.count(other)
		kind := func(err error, want steward.Kind, words string) {
			t.Helper()
			if err == nil || steward.KindOf(err) != want || !strings.Contains(steward.Message(err), words) {
				t.Errorf("got %v, want %s with %q", err, want, words)
			}
		}
		for _, r := range []retention.CloseRequest{alone(-1), alone(91), {Workspace: acme, By: "mem_0", Alone: true, Days: 1, Delete: true}} {
			_, err := w.Close(ctx, r)
			kind(err, steward.Invalid, "")
		}
		kind(w.Reopen(ctx, acme, "mem_0"), steward.Conflict, "is open")

		if found := w.onDisk(); w.dataURL == "" && len(found) < len(w.sealed[acme])+1 {
			t.Errorf("only %q is found, where all is there", found)
		}

		// Two have to ask for the same.
		ask := func(by steward.MemberID, days int, want retention.Standing) retention.Closing {
			t.Helper()
			c, err := w.Close(ctx, retention.CloseRequest{Workspace: acme, Name: "acme", By: by, Days: days})
			if err != nil || c.State != want || w.standing().State != want {
				t.Fatalf("%s asks for %d days: %+v, %v", by, days, c, err)
			}
			return c
		}
		ask("mem_0", 10, retention.Requested)
		ask("mem_0", 10, retention.Requested)
		ask("mem_1", 30, retention.Requested)
		if c := ask("mem_0", 30, retention.Closed); c.AskedBy != "mem_1" || c.ClosedBy != "mem_0" || !c.Ends.Equal(noon.AddDate(0, 0, 30)) || !c.Due.Equal(noon.AddDate(0, 0, 60)) {
			t.Errorf("%+v", c)
		}
		kind(w.Closed(ctx, acme), steward.Denied, "steward workspace reopen")
		if err := w.Closed(ctx, other); err != nil {
			t.Error(err)
		}
		_, err := w.Close(ctx, alone(30))
		kind(err, steward.Conflict, "already")
		w.pass(29)
		w.must(w.CarryOut(ctx))
		w.must(w.Reopen(ctx, acme, "mem_2"))
		w.must(w.Closed(ctx, acme))
		if w.standing().State != retention.Open || w.opens(acme) != len(w.sealed[acme]) {
			t.Error("it wasn't opened again")
		}

		// What was only asked for lapses, or is taken back.
		ask("mem_0", 5, retention.Requested)
		w.must(w.Reopen(ctx, acme, "mem_1"))
		ask("mem_0", 5, retention.Requested)
		w.pass(30)
		w.must(w.CarryOut(ctx))
		if w.standing().State != retention.Open {
			t.Error("a request never lapses")
		}
		ask("mem_1", 5, retention.Requested)
		w.must(w.Reopen(ctx, acme, "mem_1"))

		// A hold puts the end off, and is on record once.
		_, err = w.Close(ctx, alone(2))
		w.must(err)
		w.held = []custody.Hold{{ID: "hold_1", Ground: "case-1", By: "mem_0", Since: w.now}}
		w.pass(3)
		for range 3 {
			w.must(w.CarryOut(ctx))
		}
		shown, err := w.Show(ctx, acme)
		if err != nil || shown.State != retention.Closed || shown.Hold != "hold_1" || shown.Ground != "case-1" {
			t.Errorf("%+v, %v", shown, err)
		}
		kind(w.Closed(ctx, acme), steward.Denied, "case-1")
		kind(w.Reopen(ctx, acme, "mem_0"), steward.Conflict, "over")
		if n := w.entries(ledger.ErasureDeferred, ledger.Waiting); n != 1 {
			t.Errorf("%d deferrals are on record", n)
		}
		if n, m := w.entries(ledger.WorkspaceClosed, ledger.OK), w.entries(ledger.WorkspaceReopened, ledger.OK); n != 2 || m != 3 {
			t.Errorf("closed %d times, opened %d times on record", n, m)
		}
		w.held = nil
		w.must(w.CarryOut(ctx))
		w.gone(before)
		kind(w.Closed(ctx, acme), steward.Gone, "deleted")
		kind(w.Reopen(ctx, acme, "mem_0"), steward.Conflict, "over")
		_, err = w.Close(ctx, alone(1))
		kind(err, steward.Conflict, "already")
		if c := w.standing(); c.Certificate.Certificate.Requester != "mem_0" || c.Certificate.Certificate.Approver != "" || len(c.Certificate.Certificate.Elsewhere) != 1 {
			t.Errorf("%+v", c.Certificate.Certificate)
		}
	})
}

// A process dies before and after each step, and the next one ends it, once.
func TestDeletingEndsAfterEveryCrash(t *testing.T) {
	ctx := context.Background()
	for _, after := range []bool{false, true} {
		died := 0
		for step := 0; ; step++ {
			w := settle(t, nil)
			before := w.count(other)
			_, err := w.Close(ctx, retention.CloseRequest{Workspace: acme, Name: "acme", By: "mem_0", Alone: true, Delete: true})
			w.must(err)
			w.pass(1)
			w.deadline = deadline{steps: step, after: after}
			err = w.CarryOut(ctx)
			if err != nil && !errors.Is(err, errDied) {
				t.Fatal(err)
			}
			if c := w.standing(); c.State == retention.Deleted && w.opens(acme) > 0 {
				t.Error("it is certified before it is true")
			}
			endings := 0
			if w.count(acme)["ledger_tail"] > 0 {
				endings = w.entries(ledger.WorkspaceEnding, "")
			}
			w.deadline = deadline{steps: -1}
			w.close()
			w.open()
			if err == nil {
				w.gone(before)
				break
			}
			died++
			if w.count(acme)["ledger_tail"] > 0 && endings > 1 {
				t.Errorf("%d entries say that it ends", endings)
			}
			w.must(w.CarryOut(ctx))
			w.must(w.CarryOut(ctx))
			w.gone(before)
		}
		if died < 6 {
			t.Errorf("it died at %d steps only", died)
		}
	}
}

// A hold that comes while the end is prepared is heeded, whether or not the process dies then.
func TestAHoldThatComesWhileTheEndIsPrepared(t *testing.T) {
	onBoth(t, func(t *testing.T, w *town) {
		ctx := context.Background()
		before := w.count(other)
		_, err := w.Close(ctx, alone(1))
		w.must(err)
		w.pass(2)
		walk := w.Walk
		w.Walk = func(ctx context.Context, ws steward.WorkspaceID, f func(steward.Place, steward.Sealed) error) error {
			w.held = []custody.Hold{{ID: "hold_1", Ground: "case-1", By: "mem_0", Since: w.now}}
			return walk(ctx, ws, f)
		}
		w.deadline = deadline{steps: 1, after: true}
		if err := w.CarryOut(ctx); !errors.Is(err, errDied) || w.standing().State != retention.Ending {
			t.Fatalf("it stands as %s, %v", w.standing().State, err)
		}
		w.deadline = deadline{steps: -1}
		w.close()
		w.open()
		for range 3 {
			w.must(w.CarryOut(ctx))
		}
		c := w.standing()
		if n := w.opens(acme); n != len(w.sealed[acme]) || c.State != retention.Closed || c.Hold != "hold_1" || c.Certificate.Note != "" || c.Checkpoint != "" {
			t.Fatalf("%d values open, and it stands as %+v", n, c)
		}
		if n := w.entries(ledger.ErasureDeferred, ledger.Waiting); n != 1 {
			t.Errorf("%d entries say that it is put off", n)
		}
		w.held = nil
		w.must(w.CarryOut(ctx))
		w.gone(before)
	})
}

// What is locked goes once it isn't any more.
func TestLockedObjectsGoLater(t *testing.T) {
	ctx := context.Background()
	w := settle(t, nil)
	name := "ledger/" + string(acme) + "/0-c/headers"
	w.must(w.blobs.Put(ctx, name, strings.NewReader("sealed"), 6, noon.AddDate(0, 0, 40)))
	_, err := w.Close(ctx, alone(0))
	w.must(err)
	w.must(w.CarryOut(ctx))
	if w.standing().State != retention.Closed {
		t.Fatal("what is under way isn't waited for")
	}
	there := func() bool {
		o, err := w.blobs.Open(ctx, name)
		if err == nil {
			_ = o.Close()
		}
		return err == nil
	}
	for _, c := range []struct {
		days  int
		there bool
		done  bool
	}{{1, true, false}, {2, true, false}, {38, false, true}} {
		w.pass(c.days)
		w.must(w.CarryOut(ctx))
		if s := w.standing(); s.State != retention.Deleted || there() != c.there || s.Look.IsZero() != c.done {
			t.Errorf("after %d days more: %+v, there: %v", c.days, s, there())
		}
	}
}

// While the clock can't be trusted nothing goes, and what is overdue is on record once.
func TestAWorkspaceIsDeletedByATrustedClockOnly(t *testing.T) {
	ctx := context.Background()
	w := settle(t, nil)
	_, err := w.Close(ctx, alone(1))
	w.must(err)
	w.now = w.now.AddDate(0, 0, 60)
	for range 3 {
		if err := w.CarryOut(ctx); steward.KindOf(err) != steward.Unavailable {
			t.Errorf("%v", err)
		}
	}
	if w.opens(acme) != len(w.sealed[acme]) || w.entries(ledger.ErasureOverdue, ledger.Failed) != 1 || !w.standing().Late {
		t.Errorf("%d open, %d say that it is overdue", w.opens(acme), w.entries(ledger.ErasureOverdue, ledger.Failed))
	}
	w.pass(0)
	w.must(w.CarryOut(ctx))
	if w.opens(acme) != 0 {
		t.Error("it isn't deleted")
	}
}

// failsOnce removes nothing at first.
type failsOnce struct {
	retention.Estate
	failed bool
}

func (e *failsOnce) Remove(ctx context.Context, ws steward.WorkspaceID) error {
	if !e.failed {
		e.failed = true
		return errors.New("the disk is full")
	}
	return e.Estate.Remove(ctx, ws)
}

// A backup of the data from before the end puts rows back that nothing opens. They are removed again, whatever it says
// of how the workspace stood then.
func TestWhatABackupPutsBackIsRemoved(t *testing.T) {
	ctx := context.Background()
	for _, closed := range []bool{false, true} {
		w := settle(t, nil)
		if closed {
			_, err := w.Close(ctx, alone(1))
			w.must(err)
		}
		w.close()
		backup, err := os.ReadFile(filepath.Join(w.dir, store.DataFile))
		w.must(err)
		w.open()
		if !closed {
			_, err := w.Close(ctx, alone(1))
			w.must(err)
		}
		w.pass(2)
		w.must(w.CameBack(ctx))
		if w.opens(acme) != len(w.sealed[acme]) {
			t.Fatal("what wasn't deleted is gone")
		}
		w.must(w.CarryOut(ctx))
		before := w.count(other)
		w.close()
		w.must(os.WriteFile(filepath.Join(w.dir, store.DataFile), backup, 0o600))
		w.open()
		if n := w.count(acme); n["members"] != 3 {
			t.Fatalf("put back were %v", n)
		}
		all, estate := w.Workspaces, w.Estate
		w.Workspaces = func(ctx context.Context) ([]steward.WorkspaceID, error) {
			list, err := all(ctx)
			return append(list, list...), err
		}
		w.Estate = &failsOnce{Estate: estate}
		if err := w.CameBack(ctx); err == nil || !strings.Contains(err.Error(), string(acme)) {
			t.Errorf("what fails isn't said: %v", err)
		}
		w.Workspaces, w.Estate = all, estate
		w.must(w.CarryOut(ctx))
		if n := w.count(acme); len(n) != 0 {
			t.Errorf("%v came back", n)
		}
		if found := w.onDisk(); len(found) > 0 {
			t.Errorf("the disk holds %q", found)
		}
		if after := w.count(other); after["members"] != before["members"] || w.opens(other) != len(w.sealed[other]) {
			t.Errorf("the other workspace has %v", after)
		}
	}
}
