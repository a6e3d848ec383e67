// Package export answers: what leaves as a file? It writes the signed part of a ledger as lines or as a table,
// for other people's tools; it doesn't know who may have it, nor where it goes.
package export

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/tlog"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// Export is what of a ledger is to be written.
type Export struct {
	Checkpoint ledger.Checkpoint // up to which; its signature is the ledger's
	Pruned     uint64            // how many entries aren't kept any more; the number of the first that is

	log       tlog.Log
	workspace steward.WorkspaceID
	query     ledger.Query
	first     uint64 // the first entry that may fit
}

// New prepares an export of what a workspace's last checkpoint covers and fits a query by its headers alone:
// the query's text, order and limit mean nothing here.
func New(ctx context.Context, log tlog.Log, ws steward.WorkspaceID, q ledger.Query) (*Export, error) {
	cp, err := log.Checkpoint(ctx, ws)
	if err != nil {
		return nil, err
	}
	kept, err := log.First(ctx, ws)
	if err != nil {
		return nil, err
	}
	q.From = max(q.From, kept)
	e := &Export{Checkpoint: cp, Pruned: kept, log: log, workspace: ws, query: q, first: min(q.From, cp.Size)}
	if !q.Since.IsZero() {
		from := e.first
		e.first = cp.Size
		err = ledger.Scan(ctx, log.Store, ws, &ledger.Query{Since: q.Since}, from, cp.Size, func(row ledger.Row) bool {
			e.first = row.Seq
			return false
		})
	}
	return e, err
}

// Moment reads a time as people ask for it, in RFC 3339 or as a day (UTC); the zero time for "". name is what it
// is called where it was asked for.
func Moment(name, text string) (t time.Time, err error) {
	if text == "" {
		return t, nil
	}
	if t, err = time.Parse(time.RFC3339, text); err != nil {
		t, err = time.Parse(time.DateOnly, text)
	}
	if err != nil {
		return t, steward.Errorf(steward.Invalid, "%s is a time such as 2026-11-23T09:30:00Z, or a day such as 2026-11-23", name).Because(err)
	}
	return t, nil
}

// format is how entries are written.
type format interface {
	// entry writes one. The header is the bytes that were decoded into h, and leaf their hash in the tree.
	entry(h *ledger.Header, header []byte, leaf [tree.HashSize]byte) error
	// end writes what comes behind the last one.
	end() error
}

// Write writes it in one of Formats, and tells how many entries there were. Everything is hashed anew on the
// way; if it isn't what the checkpoint signs, that is found at the end and an error of kind Internal. spool is a
// folder for temporary files, "" for the system's. progress (which may be nil) is told how many entries are done.
func (e *Export) Write(ctx context.Context, w io.Writer, as, spool string, progress func(done, total uint64)) (entries uint64, err error) {
	out := bufio.NewWriterSize(w, 1<<16)
	to, err := e.format(out, as, spool)
	if err != nil {
		return 0, err
	}
	if t, ok := to.(*table); ok {
		defer t.rows.Remove()
	}
	// Where entries are left out for their time, the last of them is hashed too: it shows that none is missed.
	before := e.first
	if before > e.query.From {
		before--
	}
	at, err := ledger.ReadEdge(ctx, e.log.Store, e.workspace, before&^(tree.Width-1))
	if err != nil {
		return 0, err
	}
	cp := e.Checkpoint
	var scratch []byte
	for at.Size < cp.Size {
		if progress != nil {
			progress(at.Size, cp.Size)
		}
		rows, err := e.log.Store.Rows(ctx, e.workspace, at.Size, int(min(4*tree.Width, cp.Size-at.Size)), false)
		if err != nil {
			return entries, err
		}
		if len(rows) == 0 {
			return entries, tlog.Damaged(fmt.Errorf("export: entry %d is missing", at.Size))
		}
		for i := range rows {
			if rows[i].Seq != at.Size {
				return entries, tlog.Damaged(fmt.Errorf("export: entry %d is missing", at.Size))
			}
			leaf := tree.HashLeaf(rows[i].Header, &scratch)
			at.Append(leaf[:])
			if rows[i].Seq < before {
				continue
			}
			h, err := ledger.Decode(&rows[i])
			if err != nil {
				return entries, err
			}
			fits := e.query.Fits(&h)
			if h.Seq != rows[i].Seq || h.Seq < e.first && !h.Time.Before(e.query.Since) {
				return entries, tlog.Damaged(fmt.Errorf("export: entry %d isn't in its place", rows[i].Seq))
			}
			if h.Seq < e.query.From || !fits {
				continue
			}
			if err := to.entry(&h, rows[i].Header, leaf); err != nil {
				return entries, err
			}
			entries++
		}
		at.Changed() // isn't wanted, and would grow
	}
	root, err := at.Root()
	if err == nil && !bytes.Equal(root, cp.Root) {
		err = tlog.Damaged(errors.New("export: the entries aren't what the checkpoint signs"))
	}
	if err == nil {
		err = to.end()
	}
	if err == nil {
		err = out.Flush()
	}
	if err == nil && progress != nil {
		progress(cp.Size, cp.Size)
	}
	return entries, err
}
