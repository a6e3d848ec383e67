package api_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sumdb "golang.org/x/mod/sumdb/tlog"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/tlog"
)

func (h *house) checkpoint(p person) (cp ledger.Checkpoint) {
	h.t.Helper()
	h.do(p, "POST", "/api/v1/checkpoint", nil, http.StatusOK, &cp)
	return cp
}

// hashes turns hexadecimal into another library's hashes.
func hashes(t *testing.T, list []string) (all []sumdb.Hash) {
	t.Helper()
	for _, text := range list {
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) != sumdb.HashSize {
			t.Fatalf("%q is no hash", text)
		}
		all = append(all, sumdb.Hash(raw))
	}
	return all
}

// TestProofsHold checks what the API proves with another library, and receipts with nothing but the key.
func TestProofsHold(t *testing.T) {
	h := open(t)
	admin := h.found("acme")
	for i := range 5 {
		h.join(admin, fmt.Sprintf("m%d@acme.example", i), "member")
	}
	first := h.checkpoint(admin)
	h.join(admin, "last@acme.example", "member")
	last := h.checkpoint(admin)
	for seq := range last.Size {
		var in wire.Inclusion
		h.do(admin, "GET", fmt.Sprintf("/api/v1/log/%d/inclusion?purpose=audit&size=%d", seq, last.Size), nil, http.StatusOK, &in)
		if in.Seq != seq || in.Size != last.Size {
			t.Errorf("entry %d: %+v", seq, in)
		}
		leaf := sumdb.RecordHash([]byte(in.Header))
		if hashes(t, []string{in.Leaf})[0] != leaf {
			t.Errorf("entry %d: the leaf isn't its header's", seq)
		}
		if err := sumdb.CheckRecord(hashes(t, in.Hashes), int64(last.Size), sumdb.Hash(last.Root), int64(seq), leaf); err != nil {
			t.Errorf("entry %d: %v", seq, err)
		}
		receipt := h.do(admin, "GET", fmt.Sprintf("/api/v1/log/%d/receipt?purpose=audit", seq), nil, http.StatusOK, nil)
		if got, cp, err := tlog.CheckReceipt(receipt, []byte(in.Header), last.Key); err != nil || got != seq || cp.Size < last.Size {
			t.Errorf("entry %d: the receipt is for %d in %+v, %v", seq, got, cp, err)
		}
	}
	var con wire.Consistency
	h.do(admin, "GET", fmt.Sprintf("/api/v1/log/consistency?purpose=audit&from=%d&to=%d", first.Size, last.Size), nil, http.StatusOK, &con)
	if err := sumdb.CheckTree(hashes(t, con.Hashes), int64(last.Size), sumdb.Hash(last.Root), int64(first.Size), sumdb.Hash(first.Root)); err != nil {
		t.Error(err)
	}
	if con.FromRoot != hex.EncodeToString(first.Root) || con.ToRoot != hex.EncodeToString(last.Root) {
		t.Errorf("the roots are %s and %s", con.FromRoot, con.ToRoot)
	}
	var in wire.Inclusion // without a size it is the last checkpoint's
	h.do(admin, "GET", "/api/v1/log/0/inclusion?purpose=audit", nil, http.StatusOK, &in)
	if in.Size < last.Size {
		t.Errorf("%+v", in)
	}
	for path, status := range map[string]int{
		"x/receipt": 400, "-1/inclusion": 400, "9223372036854775808/receipt": 400, "1000000/receipt": 404, "1000000/inclusion": 404,
		"0/inclusion?size=x": 400, "0/inclusion?size=1000000": 404, fmt.Sprintf("%d/inclusion?size=1", last.Size-1): 404,
		"consistency": 404, "consistency?from=0&to=3": 404, "consistency?from=3&to=2": 404, "consistency?from=1&to=1000000": 404, "consistency?from=1&to=": 404, "consistency?from=a": 400,
		"0/receipt?purpose=fun": 400, "consistency?purpose=fun": 400,
	} {
		if !strings.Contains(path, "purpose") {
			path += map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")] + "purpose=audit"
		}
		h.do(admin, "GET", "/api/v1/log/"+path, nil, status, nil)
	}
}

// TestAReceiptComesWithItsOwnKey: while witnesses haven't seen that the log's key was replaced, receipts are signed
// with the one before, and that is the one to check them with.
func TestAReceiptComesWithItsOwnKey(t *testing.T) {
	h := open(t)
	var cosigned atomic.Pointer[ledger.Checkpoint]
	h.server.Tlog.Now = h.server.Now
	h.server.Tlog.Cosigned = func(context.Context, steward.WorkspaceID) (uint64, []byte, error) {
		if cp := cosigned.Load(); cp != nil {
			return cp.Size, []byte(cp.Note), nil
		}
		return 0, nil, nil
	}
	admin := h.found("acme")
	h.join(admin, "m@acme.example", "member")
	before := h.checkpoint(admin)
	var rotated wire.Rotation
	h.do(admin, "POST", "/api/v1/log/key", nil, http.StatusOK, &rotated)
	for cp, want := range map[*ledger.Checkpoint]string{nil: rotated.New, &before: before.Key} {
		cosigned.Store(cp)
		var r wire.Receipt
		h.do(admin, "GET", "/api/v1/log/0/receipt?purpose=audit&format=json", nil, http.StatusOK, &r)
		if _, _, err := tlog.CheckReceipt([]byte(r.Receipt), []byte(r.Header), r.Key); err != nil || r.Key != want {
			t.Errorf("the key %s, %v; want %s", r.Key, err, want)
		}
	}
}

// TestProofsAreForThoseWhoMayRead: a member gets proofs of their own entries and not a hint of others, nobody of
// another workspace any, and each look is on record: an auditor's once in a sitting.
func TestProofsAreForThoseWhoMayRead(t *testing.T) {
	h := open(t)
	admin := h.found("acme")
	member := h.join(admin, "m@acme.example", "member")
	auditor := h.join(admin, "a@acme.example", "auditor")
	stranger := h.found("other")
	h.entries(member)
	h.checkpoint(admin)

	var own uint64
	for _, e := range h.entries(member) {
		own = e.Seq
	}
	h.checkpoint(admin)
	for _, what := range []string{"receipt", "inclusion"} {
		h.do(member, "GET", fmt.Sprintf("/api/v1/log/%d/%s", own, what), nil, http.StatusForbidden, nil) // a purpose is needed
		for _, purpose := range []string{"troubleshooting", "audit"} {
			h.do(member, "GET", fmt.Sprintf("/api/v1/log/%d/%s?purpose=%s", own, what, purpose), nil, http.StatusOK, nil)
			theirs := h.do(member, "GET", "/api/v1/log/0/"+what+"?purpose="+purpose, nil, http.StatusNotFound, nil)
			none := h.do(member, "GET", "/api/v1/log/100000/"+what+"?purpose="+purpose, nil, http.StatusNotFound, nil)
			if strings.ReplaceAll(string(none), "100000", "0") != string(theirs) {
				t.Errorf("it tells an entry of somebody else from none: %s, %s", theirs, none)
			}
		}
		h.do(stranger, "GET", fmt.Sprintf("/api/v1/log/%d/%s?purpose=audit", own, what), nil, http.StatusNotFound, nil)
		h.do(person{}, "GET", fmt.Sprintf("/api/v1/log/%d/%s", own, what), nil, http.StatusUnauthorized, nil)
	}
	h.do(person{}, "GET", "/api/v1/log/consistency?from=1&to=2", nil, http.StatusUnauthorized, nil)

	reads := func(p person) (n int) {
		for _, e := range h.entries(admin) {
			if e.Kind == ledger.LedgerRead && e.OnBehalfOf == p.id {
				n++
			}
		}
		return n
	}
	before := reads(member)
	h.do(member, "GET", fmt.Sprintf("/api/v1/log/%d/receipt?purpose=audit", own), nil, http.StatusOK, nil)
	h.do(member, "GET", "/api/v1/log/0/receipt?purpose=audit", nil, http.StatusNotFound, nil)
	h.do(member, "GET", "/api/v1/log/consistency?from=1&to=2&purpose=audit", nil, http.StatusOK, nil)
	if got := reads(member) - before; got != 3 {
		t.Errorf("a member's three looks are %d entries", got)
	}
	for sitting := 1; sitting <= 2; sitting++ {
		for range 3 {
			h.do(auditor, "GET", "/api/v1/log/0/receipt?purpose=audit", nil, http.StatusOK, nil)
			h.do(auditor, "GET", "/api/v1/log/consistency?from=1&to=2&purpose=audit", nil, http.StatusOK, nil)
		}
		if got := reads(auditor); got != sitting {
			t.Errorf("after %d sittings of an auditor there are %d entries", sitting, got)
		}
		h.later.Add(int64(time.Hour / time.Second))
	}
}

// TestNoSittingWithoutItsEntry: while the ledger can't be written nothing is proved nor served, and the sitting
// that couldn't be written down hasn't begun.
func TestNoSittingWithoutItsEntry(t *testing.T) {
	h := open(t)
	admin := h.found("acme")
	h.join(admin, "m@acme.example", "member")
	auditor := h.join(admin, "a@acme.example", "auditor")
	h.checkpoint(admin)
	caller, err := h.server.Directory.Authenticate(t.Context(), auditor.token)
	h.must(err)
	paths := []string{"/api/v1/log/0/receipt?purpose=audit", "/api/v1/log/0/inclusion?purpose=audit", "/api/v1/log/consistency?from=1&to=2&purpose=audit", "/tlog/" + string(caller.Workspace()) + "/checkpoint"}
	h.full.Store(true)
	for range 2 {
		for _, path := range paths {
			if resp, body := h.send(auditor, "GET", path, nil); resp.StatusCode < 500 {
				t.Errorf("%s: %d, %s", path, resp.StatusCode, body)
			}
		}
	}
	h.full.Store(false)
	for _, path := range paths {
		if resp, body := h.send(auditor, "GET", path, nil); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d, %s", path, resp.StatusCode, body)
		}
	}
	n := 0
	for _, e := range h.entries(admin) {
		if e.Kind == ledger.LedgerRead && e.OnBehalfOf == auditor.id {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the sitting is %d entries", n)
	}
}

// TestReceiptsAreStandard reads one by the words of C2SP tlog-proof.
func TestReceiptsAreStandard(t *testing.T) {
	h := open(t)
	admin := h.found("acme")
	h.join(admin, "m@acme.example", "member")
	cp := h.checkpoint(admin)
	receipt := string(h.do(admin, "GET", "/api/v1/log/1/receipt?purpose=audit", nil, http.StatusOK, nil))
	proof, note, found := strings.Cut(receipt, "\n\n")
	lines := strings.Split(proof, "\n")
	if !found || lines[0] != "c2sp.org/tlog-proof@v1" || lines[1] != "index 1" || !strings.HasPrefix(note, cp.Origin+"\n") {
		t.Fatalf("the receipt is\n%s", receipt)
	}
	for _, line := range lines[2:] {
		if raw, err := base64.StdEncoding.DecodeString(line); err != nil || len(raw) != 32 {
			t.Errorf("%q is no hash", line)
		}
	}
}
