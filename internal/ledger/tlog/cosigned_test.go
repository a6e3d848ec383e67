package tlog_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
)

// What enough witnesses have seen is what others are shown, as far as it goes.
func TestTheCosignedCheckpointIsShown(t *testing.T) {
	ctx := context.Background()
	h := open(t, nil)
	seen := h.grow(t, ws, 10)
	last := h.grow(t, ws, 5)
	cosigned := seen.Note + "— witness.test AAAAAAAAAAAAAAAA\n"
	h.log.Cosigned = func(_ context.Context, w steward.WorkspaceID) (uint64, []byte, error) {
		if w != ws {
			return 0, nil, nil
		}
		return 10, []byte(cosigned), nil
	}
	now := time.Now()
	h.log.Now = func() time.Time { return now }
	server := httptest.NewServer(h.log.Handler(func(w http.ResponseWriter, _ *http.Request, err error) { http.Error(w, err.Error(), 500) }))
	defer server.Close()
	if body, response := get(t, server, "/tlog/ws_1/checkpoint"); response.StatusCode != http.StatusOK || string(body) != cosigned {
		t.Errorf("the checkpoint shown is %s\n%s", response.Status, body)
	}
	for seq, want := range map[uint64]string{9: cosigned, 10: last.Note} {
		receipt, cp, err := h.log.Receipt(ctx, ws, seq)
		must(t, err)
		if cp.Note != want || !strings.HasSuffix(string(receipt), want) {
			t.Errorf("the receipt of entry %d is\n%s", seq, receipt)
		}
	}
	// Witnesses that went silent hold nothing up: what they haven't seen for an hour is shown all the same.
	shown := func() string {
		t.Helper()
		answer := httptest.NewRecorder()
		h.log.Handler(nil).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/tlog/ws_1/checkpoint", nil))
		return answer.Body.String()
	}
	for past, want := range map[time.Duration]string{59 * time.Minute: cosigned, 61 * time.Minute: last.Note} {
		now = time.Now().Add(past)
		if got := shown(); got != want {
			t.Errorf("after %v is shown\n%s", past, got)
		}
	}
	// An export holds everything, so it ends with the last checkpoint, cosigned if that one is.
	export := func() string {
		t.Helper()
		dir := t.TempDir()
		_, err := h.log.Export(ctx, ws, dir, nil)
		must(t, err)
		note, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
		must(t, err)
		return string(note)
	}
	if got := export(); got != last.Note {
		t.Errorf("exported is\n%s", got)
	}
	cosigned = last.Note + "— witness.test AAAAAAAAAAAAAAAA\n"
	h.log.Cosigned = func(context.Context, steward.WorkspaceID) (uint64, []byte, error) { return 15, []byte(cosigned), nil }
	if got := export(); got != cosigned {
		t.Errorf("exported is\n%s", got)
	}
	// That one is shown for as long as nothing is added.
	if got := shown(); got != cosigned {
		t.Errorf("while nothing is added is shown\n%s", got)
	}
	// One that the log's own key didn't sign is damage, not something to show.
	cosigned = strings.Replace(last.Note, "\n15\n", "\n14\n", 1)
	if _, _, err := h.log.Receipt(ctx, ws, 3); steward.KindOf(err) != steward.Internal {
		t.Errorf("a receipt with a forged checkpoint: %v", err)
	}
}
