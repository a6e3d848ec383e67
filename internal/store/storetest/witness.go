package storetest

import (
	"context"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger/witness"
)

// Witness holds s, which must be empty, to the contract of witness.Store.
func Witness(t *testing.T, s witness.Store) {
	ctx := context.Background()
	cosigned := func(ws steward.WorkspaceID, size uint64, note string) witness.Cosigned {
		return witness.Cosigned{Workspace: ws, Size: size, Note: []byte(note)}
	}
	kept := func(t *testing.T, want witness.Cosigned) {
		t.Helper()
		size, note, err := s.Cosigned(ctx, want.Workspace)
		if err != nil || size != want.Size || string(note) != string(want.Note) {
			t.Errorf("%s has %d %q, %v; want %d %q", want.Workspace, size, note, err, want.Size, want.Note)
		}
	}
	kept(t, cosigned("ws_1", 0, ""))
	must(t, s.SaveCosigned(ctx, []witness.Cosigned{cosigned("ws_2", 9, "nine"), cosigned("ws_1", 7, "— seven\n\x00\xff")}))
	kept(t, cosigned("ws_1", 7, "— seven\n\x00\xff"))
	kept(t, cosigned("ws_2", 9, "nine"))

	// A larger one stays, one of the same size gives way, and the others of the call are saved.
	must(t, s.SaveCosigned(ctx, []witness.Cosigned{cosigned("ws_1", 8, "eight"), cosigned("ws_2", 8, "eight"), cosigned("ws_3", 1<<62, "large")}))
	kept(t, cosigned("ws_1", 8, "eight"))
	kept(t, cosigned("ws_2", 9, "nine"))
	kept(t, cosigned("ws_3", 1<<62, "large"))
	must(t, s.SaveCosigned(ctx, []witness.Cosigned{cosigned("ws_1", 8, "eight, by more")}))
	kept(t, cosigned("ws_1", 8, "eight, by more"))
	kept(t, cosigned("ws_4", 0, ""))

	// All or none: a note has to be there.
	if err := s.SaveCosigned(ctx, []witness.Cosigned{cosigned("ws_1", 100, "hundred"), {Workspace: "ws_5", Size: 1}}); err == nil {
		t.Error("a checkpoint without a note is saved")
	}
	kept(t, cosigned("ws_1", 8, "eight, by more"))
}
