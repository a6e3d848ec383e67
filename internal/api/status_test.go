package api

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stewardhq/steward"
)

func TestEveryKindHasAStatus(t *testing.T) {
	seen := map[int]steward.Kind{}
	for _, kind := range steward.Kinds() {
		status := statuses[kind]
		if other, twice := seen[status]; twice || status < 400 && kind != steward.NeedsApproval || status < 200 {
			t.Errorf("%s has status %d, as has %s", kind, status, other)
		}
		seen[status] = kind
	}
	if len(statuses) != len(steward.Kinds()) {
		t.Errorf("%d statuses for %d kinds", len(statuses), len(steward.Kinds()))
	}
}

func TestWhatAnErrorSays(t *testing.T) {
	for _, err := range []error{
		errors.New("sql: Maria Gonzalez"), fmt.Errorf("store: %w", errors.New("Maria Gonzalez")),
		steward.Errorf(steward.Upstream, "the system failed; try again").Because(errors.New("Maria Gonzalez")),
	} {
		var log bytes.Buffer
		s := &Server{Log: slog.New(slog.NewTextHandler(&log, nil))}
		w := httptest.NewRecorder()
		s.fail(w, httptest.NewRequest("GET", "/Maria", nil), err)
		if w.Code != statuses[steward.KindOf(err)] || strings.Contains(w.Body.String(), "Maria") || !strings.Contains(w.Body.String(), steward.Message(err)) {
			t.Errorf("%v is answered with %d %s", err, w.Code, w.Body)
		}
		if !strings.Contains(log.String(), "Maria Gonzalez") {
			t.Errorf("the operator isn't told: %s", log.String())
		}
	}
}
