package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/agent"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/privacy"
	"github.com/stewardhq/steward/internal/sandbox/org"
	"github.com/stewardhq/steward/internal/store"
)

// onlooker keeps everything that was handed to somebody, to be searched afterwards.
type onlooker struct {
	mu   sync.Mutex
	seen map[string][]byte
}

func (w *onlooker) saw(who string, what any) {
	raw, err := json.Marshal(what)
	if err != nil {
		panic(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen == nil {
		w.seen = map[string][]byte{}
	}
	w.seen[who] = append(append(w.seen[who], raw...), '\n')
}

// watchedModel sees what a model is sent.
type watchedModel struct {
	llm.Model
	*onlooker
}

func (m watchedModel) Generate(ctx context.Context, r llm.Request) (llm.Response, error) {
	m.saw("model", r)
	answer, err := m.Model.Generate(ctx, r)
	m.saw("model", answer)
	return answer, err
}

// watchedModels watches each that is given out.
type watchedModels struct {
	gateway.Models
	*onlooker
}

func (m watchedModels) Model(ctx context.Context, ws steward.WorkspaceID, provider, model string) (llm.Model, llm.Terms, error) {
	found, terms, err := m.Models.Model(ctx, ws, provider, model)
	return watchedModel{found, m.onlooker}, terms, err
}

// watchedDoor sees what the agent is handed, and what it hands on.
type watchedDoor struct {
	agent.Door
	*onlooker
}

func (d watchedDoor) Do(ctx context.Context, caller identity.Caller, call gateway.Call) (gateway.Result, error) {
	d.saw("agent", call.Args)
	result, err := d.Door.Do(ctx, caller, call)
	d.saw("agent", []any{result.Records, result.Answer, fmt.Sprint(err)})
	return result, err
}

func (d watchedDoor) Propose(ctx context.Context, caller identity.Caller, q gateway.Question, calls []*gateway.Pending) (gateway.Proposal, error) {
	p, err := d.Door.Propose(ctx, caller, q, calls)
	d.saw("agent", []any{q.Text(), p.Calls, fmt.Sprint(err)})
	return p, err
}

// personal lists the personal values of some contacts or users, as strings to search for, once each: as they are
// written, and full names and addresses in lower case too. (Parts of names in lower case also occur by
// chance, in random ids.)
func personal(contacts ...org.Row) []string {
	values := map[string]bool{}
	for _, c := range contacts {
		for _, field := range []string{"Name", "FirstName", "LastName", "Email", "Phone", "MobilePhone"} {
			values[c.Text(field)] = true
		}
		values[strings.ToLower(c.Text("Name"))] = true
		values[strings.ToLower(c.Text("Email"))] = true
	}
	delete(values, "")
	return slices.Sorted(maps.Keys(values))
}

// hits are the values that stand in a text.
func hits(text []byte, values []string) []string {
	var found []string
	for _, v := range values {
		if bytes.Contains(text, []byte(v)) {
			found = append(found, v)
		}
	}
	return found
}

// filesHold searches the raw bytes of every file below a folder.
func filesHold(t *testing.T, dir string, values []string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, v := range hits(raw, values) {
			found = append(found, filepath.Base(path)+": "+v)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// story runs the demo's steps and returns the write's run and the contact it was about.
func (w *world) story() (wire.Answer, org.Row) {
	w.t.Helper()
	for _, p := range []person{w.rep, w.boss} {
		for _, question := range []string{
			"What is our win rate this quarter by owner?", "Which open deals over $50k have had no activity for 30 days?",
		} {
			if a := w.ask(p, question); a.Status != wire.Done {
				w.t.Fatalf("%s: %+v", question, a.Error)
			}
		}
	}
	deal, contact := w.dealWithContact()
	a := w.ask(w.rep, fmt.Sprintf("Set the next step of %s to 'Call %s about renewal' and log a call with %s",
		deal.Text("Name"), contact.Text("Name"), contact.Text("Name")))
	if a.Status != wire.Waiting || a.Approval == nil || a.Approval.Needs != "self" {
		w.t.Fatalf("the write is %s: %+v", a.Status, a.Error)
	}
	w.must(w.rep, "POST", "/api/v1/approvals/"+string(a.Approval.ID), map[string]string{"decision": "approve"}, &a)
	if a.Status != wire.Done {
		w.t.Fatalf("the approved write is %s: %+v", a.Status, a.Error)
	}
	return a, contact
}

// dealWithContact is an open deal of the representative whose next step names somebody, and a contact
// of its account.
func (w *world) dealWithContact() (deal, contact org.Row) {
	w.t.Helper()
	names := []string{}
	for _, c := range w.org.Rows["Contact"] {
		names = append(names, c.Text("Name"))
	}
	for _, d := range w.org.Rows["Opportunity"] {
		if d.Text("OwnerId") != w.rep.user.ID || d.True("IsClosed") || len(hits([]byte(d.Text("NextStep")), names)) == 0 {
			continue
		}
		for _, c := range w.org.Rows["Contact"] {
			if c.Text("AccountId") == d.Text("AccountId") && c.Text("Email") != "" && !strings.Contains(d.Text("NextStep"), c.Text("Name")) {
				return d, c
			}
		}
	}
	w.t.Fatal("the representative has no open deal whose next step names a contact")
	return nil, nil
}

func TestInsideOnlyTokens(t *testing.T) {
	var seen onlooker
	w := newWorld(t, func(h *house) {
		h.agent.Door = watchedDoor{h.agent.Door, &seen}
		h.server.Gateway.Models = watchedModels{h.server.Gateway.Models, &seen}
	})
	everybody := personal(slices.Concat(w.org.Rows["Contact"], w.org.Rows["User"])...)
	run, contact := w.story()
	his := personal(contact)

	for _, who := range []string{"model", "agent"} {
		if len(seen.seen[who]) < 1000 {
			t.Fatalf("the %s was watched and saw %d bytes", who, len(seen.seen[who]))
		}
		if found := hits(seen.seen[who], everybody); len(found) > 0 {
			t.Errorf("the %s was handed %q", who, found)
		}
	}
	if found := hits([]byte(run.Question), his); len(found) == 0 {
		t.Errorf("the member isn't shown the name in their own question: %s", run.Question)
	}

	// The ledger, opened.
	ctx := context.Background()
	book := w.house.server.Ledger
	ws := w.workspace()
	var entries, parts int
	err := book.Read(ctx, ws, ledger.Query{}, func(h ledger.Header) error {
		entries++
		raw, err := json.Marshal(h)
		if err != nil {
			return err
		}
		for i := range h.Parts {
			part, err := book.Part(ctx, ws, h.Seq, i)
			if err != nil {
				return err
			}
			parts++
			raw = append(raw, part...)
		}
		if found := hits(raw, everybody); len(found) > 0 {
			t.Errorf("entry %d holds %q", h.Seq, found)
		}
		return nil
	})
	if err != nil || entries < 50 || parts < 30 {
		t.Fatalf("%d entries with %d parts were read: %v", entries, parts, err)
	}

	// The files, as bytes: first that searching them finds what is there.
	planted := "Xyzzyva Planted-Value"
	if err := os.WriteFile(filepath.Join(w.data, "planted"), []byte("x"+planted+"y"), 0o600); err != nil {
		t.Fatal(err)
	}
	if found := filesHold(t, w.data, []string{planted}); len(found) != 1 {
		t.Fatalf("the search of the files found the planted value %d times", len(found))
	}
	if found := filesHold(t, w.data, []string{"workspaces", "api_tokens"}); len(found) < 2 {
		t.Fatalf("the search doesn't see the database: %q", found)
	}
	if found := filesHold(t, w.data, append(everybody, w.admin.email, w.rep.email, w.rep.user.AccessToken, w.rep.token)); len(found) > 0 {
		t.Errorf("on disk, in clear: %q", found)
	}

	// What today's keys open, before and after forgetting.
	if found := hits(w.openAll(), his); len(found) != 0 {
		t.Errorf("kept, where a reference would do: %q", found)
	}
	var shown wire.Answer
	w.must(w.admin, "POST", "/api/v1/erasures", map[string]any{"person": "salesforce:Contact:" + contact.Text("Id")}, nil)
	w.must(w.rep, "GET", "/api/v1/runs/"+string(run.Run), nil, &shown)
	raw, _ := json.Marshal(shown)
	if found := hits(raw, his); len(found) > 0 {
		t.Errorf("after forgetting, the run still shows %q", found)
	}
	if len(privacy.Tokens(shown.Question)) == 0 {
		t.Errorf("after forgetting, the question shows no token: %s", shown.Question)
	}
	if found := hits(w.openAll(), everybody); len(found) > 0 {
		t.Errorf("after forgetting, today's keys still open %q", found)
	}
	if found := filesHold(t, w.data, everybody); len(found) > 0 {
		t.Errorf("after forgetting, on disk in clear: %q", found)
	}
}

func (w *world) workspace() steward.WorkspaceID {
	w.t.Helper()
	all, err := w.house.server.Directory.Workspaces.AllWorkspaces(context.Background())
	if err != nil || len(all) != 1 {
		w.t.Fatalf("%d workspaces: %v", len(all), err)
	}
	return all[0].ID
}

// openAll opens everything sealed in the data database that the keyring still has keys for: each table
// that has the columns scopes and box, whatever it is.
func (w *world) openAll() []byte {
	w.t.Helper()
	ctx := context.Background()
	keys, err := store.OpenReadOnly(ctx, filepath.Join(w.data, keyringDir), store.KeyringFile)
	if err != nil {
		w.t.Fatal(err)
	}
	defer keys.Close()
	ring, err := keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: keys}, Keeper: keyring.FileKeeper{Dir: filepath.Join(w.data, keeperDir)}})
	if err != nil {
		w.t.Fatal(err)
	}
	data, err := store.OpenReadOnly(ctx, w.data, store.DataFile)
	if err != nil {
		w.t.Fatal(err)
	}
	defer data.Close()
	var out []byte
	opened := map[string]int{}
	err = data.WalkSealed(ctx, w.workspace(), func(at steward.Place, sealed steward.Sealed) error {
		plain, err := ring.Open(ctx, at, sealed)
		if steward.KindOf(err) == steward.Gone {
			return nil
		}
		opened[at.Table]++
		out = append(append(out, plain...), '\n')
		return err
	})
	if err != nil || opened["tokens"] == 0 || opened["runs"] == 0 || opened["proposals"] == 0 || opened["credentials"] == 0 {
		w.t.Fatalf("opened %v: %v", opened, err)
	}
	return out
}
