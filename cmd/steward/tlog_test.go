package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/witness"
	"github.com/stewardhq/steward/internal/store"
)

// TestWithoutWitnessesTheNewestIsShown: what witnesses cosigned while there were some holds up nothing once there are
// none.
func TestWithoutWitnessesTheNewestIsShown(t *testing.T) {
	ctx := context.Background()
	h := newWorld(t, nil).house
	ws, err := h.server.Directory.FindWorkspace(ctx, "acme")
	if err != nil {
		t.Fatal(err)
	}
	checkpoint := func() ledger.Checkpoint {
		t.Helper()
		if _, err := h.server.Ledger.Append(ctx, ws.ID, ledger.Entry{Kind: ledger.RunRead}); err != nil {
			t.Fatal(err)
		}
		cp, err := h.server.Ledger.Checkpoint(ctx, ws.ID)
		if err != nil {
			t.Fatal(err)
		}
		return cp
	}
	old := checkpoint()
	if err := (store.Witness{DB: h.data}).SaveCosigned(ctx, []witness.Cosigned{{Workspace: ws.ID, Size: old.Size, Note: []byte(old.Note)}}); err != nil {
		t.Fatal(err)
	}
	last := checkpoint()
	answer := httptest.NewRecorder()
	h.server.Tlog.Handler(nil).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/tlog/"+string(ws.ID)+"/checkpoint", nil))
	if answer.Body.String() != last.Note {
		t.Errorf("shown is\n%s", answer.Body)
	}
}
