package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward/cmd/steward/models"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/llm/anthropic"
	"github.com/stewardhq/steward/internal/llm/register"
	"github.com/stewardhq/steward/internal/llm/standin"
)

// TestAskAProvider: a question goes to a provider from outside only once the workspace registered it, under its
// arrangement, at the operator's address, and in tokens.
func TestAskAProvider(t *testing.T) {
	claude := &standin.Provider{Key: "sk-test"}
	server := httptest.NewServer(claude)
	t.Cleanup(server.Close)
	elsewhere := &standin.Provider{}
	evil := httptest.NewServer(elsewhere)
	t.Cleanup(evil.Close)
	w := newWorld(t, func(h *house) {
		shelf := h.server.Gateway.Models.(*register.Shelf)
		operator := models.Operator{Key: "sk-test", Endpoint: server.URL, Client: h.connect, Now: func() time.Time { return today }, Jitter: func() float64 { return 0 }}
		shelf.Region, shelf.Open = "eu", operator.Open
		h.agent.Provider, h.agent.Model = "anthropic", anthropic.DefaultModel
	})
	_, contact := w.dealWithContact() // whom the representative may see
	question := map[string]any{"question": "What do we know about " + contact.Text("Name") + "?"}
	ask := func(status int) (answer wire.Answer) {
		t.Helper()
		if got := w.call(w.rep, "POST", "/api/v1/ask", question, &answer); got != status {
			t.Fatalf("%d, want %d; %+v", got, status, answer)
		}
		return answer
	}
	version := 0
	propose := func(endpoint string, from, to time.Time) {
		t.Helper()
		version++
		w.must(w.admin, "POST", "/api/v1/providers", llm.Provider{
			Name: "anthropic", Kind: "anthropic", Models: []string{anthropic.DefaultModel}, Endpoint: endpoint, Regions: []string{"us", "eu"},
			Arrangement: &llm.Arrangement{ID: "ZDR-1", Scope: "keeps nothing", From: from, To: to, EvidenceSHA256: strings.Repeat("0a", 32), Regions: []string{"eu"}},
		}, nil)
	}
	second := w.join(w.box.Users()[0], "admin") // so that it takes another to agree
	approve := func() {
		t.Helper()
		w.must(second, "POST", "/api/v1/providers/anthropic/"+strconv.Itoa(version)+"/approve", nil, nil)
	}
	year := 365 * 24 * time.Hour

	ask(http.StatusForbidden) // nothing is registered
	propose(server.URL, today.Add(-year), today.Add(year))
	ask(http.StatusForbidden) // or agreed on
	if seen := claude.Seen(); len(seen) != 0 {
		t.Fatalf("the provider was sent %d requests before it was approved", len(seen))
	}

	approve()
	answer := ask(http.StatusOK)
	if answer.Status != wire.Done || !strings.Contains(answer.Answer, contact.Text("Name")) {
		t.Errorf("what the provider says of a token isn't shown as the name: %+v", answer)
	}
	seen := claude.Seen()
	everybody := personal(slices.Concat(w.org.Rows["Contact"], w.org.Rows["User"])...)
	for _, r := range seen {
		if found := hits(r.Body, everybody); len(found) > 0 {
			t.Errorf("the provider was sent %q", found)
		}
	}
	if len(seen) == 0 || !strings.Contains(string(seen[0].Body), `\u003cPERSON_`) {
		t.Errorf("%d requests, without a token in the first", len(seen))
	}

	// The record says where it went, under what, and of which bytes.
	book, ws := w.house.server.Ledger, w.workspace()
	var receipts []string
	if err := book.Read(context.Background(), ws, ledger.Query{}, func(h ledger.Header) error {
		if h.System != "model" || h.Tool != "anthropic/"+anthropic.DefaultModel || len(h.Parts) == 0 {
			return nil
		}
		part, err := book.Part(context.Background(), ws, h.Seq, 0)
		receipts = append(receipts, string(part))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(seen[0].Body)
	for i, want := range []string{hex.EncodeToString(digest[:]), `"request_id":"req_1"`} { // of the intent, and of the outcome
		if len(receipts) != 2*len(seen) || !strings.Contains(receipts[i], want) || !strings.Contains(receipts[i], `"endpoint":"`+server.URL+`","region":"eu","arrangement":"ZDR-1"`) {
			t.Errorf("receipt %d of %d lacks %s: %s", i, len(receipts), want, receipts)
		}
	}

	sent := len(seen)
	for _, c := range []struct {
		what     string
		endpoint string
		from, to time.Time
	}{
		{"ended", server.URL, today.Add(-year), today.Add(-time.Hour)},
		{"not begun", server.URL, today.Add(48 * time.Hour), today.Add(year)},
		{"at an address of the administrator's own", evil.URL, today.Add(-year), today.Add(year)},
	} {
		propose(c.endpoint, c.from, c.to)
		approve()
		ask(http.StatusForbidden)
		if n, stray := len(claude.Seen()), len(elsewhere.Seen()); n != sent || stray != 0 {
			t.Errorf("%s: the provider was sent %d requests more, and another %d", c.what, n-sent, stray)
		}
	}
}
