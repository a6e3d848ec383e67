package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/agent"
	"github.com/stewardhq/steward/internal/identity"
)

// Agent holds s, which must be empty, to the contract of agent.Store. The workspaces that its rows belong
// to are added to w.
func Agent(t *testing.T, s agent.Store, w identity.WorkspaceStore) {
	ctx := context.Background()
	const ws, other steward.WorkspaceID = "ws_1", "ws_2"
	tenants(t, w, ws, other)

	row := func(id steward.RunID, status agent.Status, age time.Duration) agent.Row {
		return agent.Row{
			ID: id, Conversation: "conv_1", Member: "mem_a", Status: status, Created: noon.Add(age), Updated: noon.Add(age), Version: 1,
			Sealed: steward.Sealed{Scopes: []steward.Scope{"run/2026-11-23", "item/i"}, Box: []byte("box of " + id + "\x00\xff")},
		}
	}
	// next is the run's next version.
	next := func(r agent.Row, status agent.Status, text string) agent.Row {
		r.Version++
		r.Status, r.Updated, r.Sealed = status, r.Updated.Add(time.Second), steward.Sealed{Scopes: []steward.Scope{"run/2026-11-24"}, Box: []byte(text)}
		return r
	}
	stored := func(t *testing.T, w steward.WorkspaceID, r agent.Row) {
		t.Helper()
		got, err := s.Run(ctx, w, r.ID)
		want(t, got, err, r)
	}
	mine, theirs := row("run_1", agent.Running, 0), row("run_1", agent.Waiting, time.Hour)
	theirs.Member, theirs.Conversation = "mem_z", "conv_z"

	t.Run("a run comes back as it was, and each version replaces the one before", func(t *testing.T) {
		_, err := s.Run(ctx, ws, "run_1")
		wantKind(t, err, steward.NotFound)
		must(t, s.SaveRun(ctx, ws, mine))
		must(t, s.SaveRun(ctx, other, theirs))
		stored(t, ws, mine)
		mine = next(mine, agent.Waiting, "second")
		must(t, s.SaveRun(ctx, ws, mine))
		mine = next(mine, agent.Running, "third")
		must(t, s.SaveRun(ctx, ws, mine))
		stored(t, ws, mine)
		stored(t, other, theirs)
	})
	t.Run("a version that doesn't follow what is stored changes nothing", func(t *testing.T) {
		for _, version := range []int{-1, 0, 1, 2, 3, 5, 1000} {
			late := next(mine, agent.Failed, "late")
			late.Version = version
			wantKind(t, s.SaveRun(ctx, ws, late), steward.Conflict)
		}
		stored(t, ws, mine)
		for _, version := range []int{-1, 0, 2, 7} {
			unknown := row("run_unknown", agent.Running, 0)
			unknown.Version = version
			wantKind(t, s.SaveRun(ctx, ws, unknown), steward.Conflict)
		}
		_, err := s.Run(ctx, ws, "run_unknown")
		wantKind(t, err, steward.NotFound)
		// One workspace's version says nothing of another's.
		wantKind(t, s.SaveRun(ctx, other, next(mine, agent.Done, "across")), steward.Conflict)
		stored(t, other, theirs)
		wantKind(t, s.SaveRun(ctx, "ws_none", row("run_1", agent.Running, 0)), steward.NotFound)
	})
	t.Run("of many who carry a run on, one does", func(t *testing.T) {
		before := row("run_race", agent.Running, 0)
		must(t, s.SaveRun(ctx, ws, before))
		won := make([]bool, 8)
		if n := atOnce(t, steward.Conflict, func(i int) error {
			err := s.SaveRun(ctx, ws, next(before, agent.Done, fmt.Sprint("by ", i)))
			won[i] = err == nil
			return err
		}); n != 1 {
			t.Errorf("%d carried it on", n)
		}
		for i, w := range won {
			if w {
				stored(t, ws, next(before, agent.Done, fmt.Sprint("by ", i)))
			}
		}
		if n := atOnce(t, steward.Conflict, func(int) error { return s.SaveRun(ctx, ws, row("run_begun", agent.Done, 0)) }); n != 1 {
			t.Errorf("%d began one run", n)
		}
	})
	t.Run("the unfinished runs of a workspace, oldest first", func(t *testing.T) {
		must(t, s.SaveRun(ctx, ws, row("run_a", agent.Waiting, 2*time.Minute)))
		must(t, s.SaveRun(ctx, ws, row("run_b", agent.Running, time.Minute)))
		for _, status := range []agent.Status{agent.Done, agent.Failed, agent.NotUnderstood} {
			must(t, s.SaveRun(ctx, ws, row(steward.RunID("run_"+status), status, -time.Minute)))
		}
		got, err := s.UnfinishedRuns(ctx, ws)
		want(t, got, err, []agent.Row{mine, row("run_b", agent.Running, time.Minute), row("run_a", agent.Waiting, 2*time.Minute)})
		got, err = s.UnfinishedRuns(ctx, other)
		want(t, got, err, []agent.Row{theirs})
		got, err = s.UnfinishedRuns(ctx, "ws_none")
		want(t, len(got), err, 0)
	})
	t.Run("a conversation is one member's", func(t *testing.T) {
		_, err := s.Conversation(ctx, ws, "conv_1")
		wantKind(t, err, steward.NotFound)
		must(t, s.AddConversation(ctx, ws, "conv_1", "mem_a", noon))
		must(t, s.AddConversation(ctx, other, "conv_1", "mem_z", noon))
		wantKind(t, s.AddConversation(ctx, ws, "conv_1", "mem_b", noon), steward.Conflict)
		wantKind(t, s.AddConversation(ctx, "ws_none", "conv_1", "mem_b", noon), steward.NotFound)
		got, err := s.Conversation(ctx, ws, "conv_1")
		want(t, got, err, "mem_a")
		got, err = s.Conversation(ctx, other, "conv_1")
		want(t, got, err, "mem_z")
		_, err = s.Conversation(ctx, "ws_none", "conv_1")
		wantKind(t, err, steward.NotFound)
	})
}
