package api_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/export"
	"github.com/stewardhq/steward/internal/ledger/tlog"
)

// TestADownloadIsTheExport: an auditor gets over HTTP what an export of the data folder writes, and the reading
// is on record.
func TestADownloadIsTheExport(t *testing.T) {
	h := open(t)
	admin := h.found("acme")
	ws := h.workspace()
	auditor := h.join(admin, "a@acme.example", "auditor")
	stranger := h.found("other")
	h.entries(stranger)
	h.checkpoint(stranger)
	cp := h.checkpoint(admin)
	for _, as := range []string{export.JSONL, export.OCSF} {
		r, got := h.send(auditor, "GET", "/api/v1/log?purpose=audit&format="+as, nil)
		if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "application/x-ndjson" || r.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%s: %s %v", as, r.Status, r.Header)
		}
		size := r.Header.Get("Steward-Log-Size")
		if fmt.Sprint(bytes.Count(got, []byte("\n"))) != size || len(r.Header.Get("Steward-Log-Root")) != 64 || bytes.Contains(got, []byte("@")) {
			t.Errorf("%s: %s lines of %s", as, size, got)
		}
		e, err := export.New(context.Background(), tlog.Log{Store: until{h.server.Tlog.Store, size}, Sealer: h.server.Tlog.Sealer}, ws, ledger.Query{})
		h.must(err)
		var want bytes.Buffer
		_, err = e.Write(context.Background(), &want, as, "", nil)
		if h.must(err); !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%s: downloaded is\n%s\nexported is\n%s", as, got, want.String())
		}
	}
	h.checkpoint(admin)
	record := h.do(admin, "GET", "/api/v1/log?purpose=audit&format=jsonl", nil, http.StatusOK, nil)
	if n := bytes.Count(record, []byte(`"kind":"ledger.read","caller":"`+string(auditor.id))); n != 2 {
		t.Errorf("%d readings of the auditor's are on record, want 2:\n%s", n, record)
	}
	some := h.do(auditor, "GET", fmt.Sprintf("/api/v1/log?purpose=audit&format=jsonl&from=%d&kind=ledger.read", cp.Size), nil, http.StatusOK, nil)
	if len(some) == 0 || bytes.Count(some, []byte("\n")) != bytes.Count(some, []byte(`"kind":"ledger.read"`)) {
		t.Errorf("readings only: %s", some)
	}
	if none := h.do(auditor, "GET", "/api/v1/log?purpose=audit&format=ocsf&since=2999-01-01", nil, http.StatusOK, nil); len(none) > 0 {
		t.Errorf("nothing: %s", none)
	}
	if theirs := h.do(stranger, "GET", "/api/v1/log?purpose=audit&format=jsonl", nil, http.StatusOK, nil); bytes.Contains(theirs, []byte(admin.id)) {
		t.Errorf("a stranger gets %s", theirs)
	}
}

// until is a store whose last checkpoint is of a size.
type until struct {
	ledger.Reader
	size string
}

func (u until) Head(ctx context.Context, ws steward.WorkspaceID) (h ledger.Head, err error) {
	h, err = u.Reader.Head(ctx, ws)
	if _, scanned := fmt.Sscan(u.size, &h.Signed); err == nil {
		err = scanned
	}
	return h, err
}

// TestADownloadIsForThoseWhoMayReadAll: anybody else is refused, on record, and what makes no sense is refused
// before it is a reading.
func TestADownloadIsForThoseWhoMayReadAll(t *testing.T) {
	h := open(t)
	admin := h.found("acme")
	member := h.join(admin, "m@acme.example", "member")
	manager := h.join(admin, "b@acme.example", "manager")
	h.checkpoint(admin)
	denied := func() (n int) {
		for _, e := range h.entries(admin) {
			if e.Kind == ledger.StoredDenied {
				n++
			}
		}
		return n
	}
	before := denied()
	for _, p := range []person{member, manager} {
		h.do(p, "GET", "/api/v1/log?purpose=audit&format=jsonl", nil, http.StatusForbidden, nil)
	}
	h.do(admin, "GET", "/api/v1/log?format=jsonl", nil, http.StatusForbidden, nil) // for no purpose
	if n := denied() - before; n != 3 {
		t.Errorf("%d denials are on record, want 3", n)
	}
	h.do(person{}, "GET", "/api/v1/log?purpose=audit&format=jsonl", nil, http.StatusUnauthorized, nil)
	reads := len(h.entries(admin))
	for _, wrong := range []string{"format=csv", "format=parquet", "format=", "format=jsonl&since=soon", "format=ocsf&kind=x", "format=jsonl&text=a", "format=jsonl&person=a", "format=jsonl&limit=1", "format=ocsf&order=newest", "format=ocsf&before=3", "format=ocsf&target=a"} {
		h.do(admin, "GET", "/api/v1/log?purpose=audit&"+wrong, nil, http.StatusBadRequest, nil)
	}
	h.do(admin, "GET", "/api/v1/log/0/receipt?purpose=audit&format=xml", nil, http.StatusBadRequest, nil)
	if n := len(h.entries(admin)) - reads; n != 1 { // the first count itself
		t.Errorf("%d entries came of requests that make no sense", n-1)
	}
}

// TestAReceiptComesWithItsHeader: all that is needed but the key, which has to come from elsewhere.
func TestAReceiptComesWithItsHeader(t *testing.T) {
	h := open(t)
	admin := h.found("acme")
	h.join(admin, "m@acme.example", "member")
	cp := h.checkpoint(admin)
	var receipt wire.Receipt
	h.do(admin, "GET", "/api/v1/log/1/receipt?purpose=audit&format=json", nil, http.StatusOK, &receipt)
	if seq, _, err := tlog.CheckReceipt([]byte(receipt.Receipt), []byte(receipt.Header), cp.Key); err != nil || seq != 1 || receipt.Seq != 1 || receipt.Key != cp.Key {
		t.Errorf("%+v proves %d, %v", receipt, seq, err)
	}
}

// TestAnAdministratorReplacesTheKey: the checkpoint that brings the new key in verifies with either, those
// after it with the new one, and the record says who did it.
func TestAnAdministratorReplacesTheKey(t *testing.T) {
	h := open(t)
	admin := h.found("acme")
	for _, role := range []string{"member", "manager", "auditor"} {
		p := h.join(admin, role+"@acme.example", role)
		h.do(p, "POST", "/api/v1/log/key", nil, http.StatusForbidden, nil)
	}
	h.do(person{}, "POST", "/api/v1/log/key", nil, http.StatusUnauthorized, nil)
	h.do(admin, "GET", "/api/v1/log/key", nil, http.StatusNotFound, nil)
	first := h.checkpoint(admin)

	signs := func(key, text string) bool {
		v, err := note.NewVerifier(key)
		h.must(err)
		_, err = note.Open([]byte(text), note.VerifierList(v))
		return err == nil
	}
	var done wire.Rotation
	h.do(admin, "POST", "/api/v1/log/key", nil, http.StatusOK, &done)
	if done.Old != first.Key || done.New == first.Key || done.Checkpoint.Key != done.New {
		t.Errorf("%+v after %+v", done, first)
	}
	if !signs(done.Old, done.Checkpoint.Note) || !signs(done.New, done.Checkpoint.Note) {
		t.Errorf("not both keys verify %s", done.Checkpoint.Note)
	}
	last := h.checkpoint(admin)
	if signs(done.Old, last.Note) || !signs(done.New, last.Note) || last.Size <= done.Checkpoint.Size {
		t.Errorf("the old key verifies %s", last.Note)
	}
	var rotated []wire.Entry
	for _, e := range h.entries(admin) {
		if e.Kind == ledger.KeyRotated {
			rotated = append(rotated, e)
		}
	}
	if len(rotated) != 1 || rotated[0].Caller != string(admin.id) || rotated[0].OnBehalfOf != admin.id || strings.Join(rotated[0].Targets, " ") != done.New+" "+done.Old {
		t.Errorf("on record is %+v", rotated)
	}

	// Two at once: whatever each is told, the log goes on with one key.
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if r, body := h.send(admin, "POST", "/api/v1/log/key", nil); r.StatusCode != http.StatusOK && r.StatusCode != http.StatusConflict {
				t.Errorf("%s %s", r.Status, body)
			}
		})
	}
	both.Wait()
	if now := h.checkpoint(admin); signs(done.New, now.Note) || !signs(now.Key, now.Note) {
		t.Errorf("it is still %s", now.Note)
	}
}

// TestAnExportThatBreaksOff: where the log isn't what was signed, the reader isn't left with what looks whole.
func TestAnExportThatBreaksOff(t *testing.T) {
	h := open(t)
	admin := h.found("acme")
	ws := h.workspace()
	grow := func(n int) {
		events := make([]ledger.Event, n)
		for i := range events {
			events[i].Entry = ledger.Entry{Kind: ledger.RunRead, Outcome: ledger.OK}
		}
		_, err := h.server.Ledger.AppendAll(context.Background(), ws, events...)
		h.must(err)
	}
	grow(10)
	cp := h.checkpoint(admin)
	h.server.Tlog.Store = altered{h.server.Tlog.Store, cp.Size - 1}
	if r, body := h.send(admin, "GET", "/api/v1/log?purpose=audit&format=jsonl", nil); r.StatusCode != http.StatusInternalServerError || bytes.Contains(body, []byte("leaf")) {
		t.Errorf("a short one: %s %s", r.Status, body)
	}
	for range 3 {
		grow(1000)
	}
	h.checkpoint(admin)
	r, err := http.NewRequest("GET", h.url+"/api/v1/log?purpose=audit&format=ocsf", nil)
	h.must(err)
	r.Header.Set("Authorization", "Bearer "+admin.token)
	answer, err := http.DefaultClient.Do(r)
	h.must(err)
	defer answer.Body.Close()
	if n, err := io.Copy(io.Discard, answer.Body); err == nil {
		t.Errorf("a long one ends well after %d bytes", n)
	}
	if !strings.Contains(h.log.String(), "export broke off") {
		t.Error("the server's log doesn't say so")
	}
}

// altered is a store of which one entry was changed.
type altered struct {
	ledger.Reader
	seq uint64
}

func (a altered) Rows(ctx context.Context, ws steward.WorkspaceID, from uint64, limit int, parts bool) ([]ledger.Row, error) {
	rows, err := a.Reader.Rows(ctx, ws, from, limit, parts)
	for i := range rows {
		if rows[i].Seq == a.seq {
			rows[i].Header = bytes.Replace(bytes.Clone(rows[i].Header), []byte(`"outcome":"ok"`), []byte(`"outcome":"no"`), 1)
		}
	}
	return rows, err
}
