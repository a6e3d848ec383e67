package api

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/gateway"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/export"
	"github.com/stewardhq/steward/internal/policy"
)

// export streams what the last checkpoint covers and fits a query, for those who may read the whole log. The
// headers Steward-Log-Size and Steward-Log-Root name that checkpoint. As with the log, the reading is an entry
// itself, written before anything is sent.
func (s *Server) export(w http.ResponseWriter, r *http.Request, caller identity.Caller, why string, q ledger.Query) error {
	format := r.URL.Query().Get("format")
	if !export.Lines(format) {
		return steward.Errorf(steward.Invalid, "there is no format %q; choose ocsf or jsonl, or leave it out", format)
	}
	for _, name := range []string{"text", "target", "person", "order", "before", "limit"} {
		if r.URL.Query().Has(name) {
			return steward.Errorf(steward.Invalid, "an export in a format of its own can't be asked for by %s; leave out either", name)
		}
	}
	if err := s.view(r.Context(), caller, "ledger", ledger.LedgerRead, "", "", why); err != nil {
		return err
	}
	e, err := export.New(r.Context(), s.Tlog, caller.Workspace(), q)
	if err != nil {
		return err
	}
	to := &begun{ResponseWriter: w}
	w.Header().Set("Steward-Log-Size", strconv.FormatUint(e.Checkpoint.Size, 10))
	w.Header().Set("Steward-Log-Root", hex.EncodeToString(e.Checkpoint.Root))
	_, err = e.Write(r.Context(), to, format, "", nil)
	if err != nil && to.yes {
		// Only a broken connection tells the reader that what was sent isn't all, or isn't what was signed.
		s.Log.ErrorContext(r.Context(), "export broke off", slog.Any("error", err))
		panic(http.ErrAbortHandler)
	}
	if err == nil && !to.yes {
		head(w, lines)
	}
	return err
}

// lines is the type of an answer with one JSON value a line.
const lines = "application/x-ndjson"

// begun is an answer of which it is known whether any of it was sent.
type begun struct {
	http.ResponseWriter
	yes bool
}

func (b *begun) Write(p []byte) (int, error) {
	if !b.yes {
		b.yes = true
		head(b, lines)
	}
	n, err := b.ResponseWriter.Write(p)
	if err != nil {
		err = fmt.Errorf("api: answer: %w", err)
	}
	return n, err
}

// rotateKey replaces the key that signs the log.
func (s *Server) rotateKey(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	var done wire.Rotation
	err := s.Gateway.Govern(r.Context(), caller, gateway.Act{Action: policy.Manage, Stored: "settings"}, func(ctx context.Context) error {
		before, err := s.Ledger.Checkpoint(ctx, caller.Workspace())
		if err != nil {
			return err
		}
		after, err := s.Ledger.Rotate(ctx, caller.Workspace(), ledger.Entry{
			Caller: caller.Name(), OnBehalfOf: caller.Member(), Authentication: string(caller.Method()), System: "steward", Outcome: ledger.OK,
		})
		done = wire.Rotation{Old: before.Key, New: after.Key, Checkpoint: after}
		return err
	})
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, done)
	return nil
}
