package export

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/ocsf"
	"github.com/stewardhq/steward/internal/ledger/segment/columns"
	"github.com/stewardhq/steward/internal/ledger/tlog"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// The formats.
const (
	OCSF    = "ocsf"    // an event of the Open Cybersecurity Schema Framework a line, as JSON
	JSONL   = "jsonl"   // an entry's own header a line, as JSON, with its hash as a leaf of the tree before it
	Parquet = "parquet" // a table with the columns that sealed segments have
)

// Lines tells whether a format is one that can be read as it comes.
func Lines(as string) bool { return as == OCSF || as == JSONL }

// Check refuses what is no format.
func Check(as string) error {
	if Lines(as) || as == Parquet {
		return nil
	}
	return steward.Errorf(steward.Invalid, "there is no format %q; choose ocsf, jsonl or parquet", as)
}

func (e *Export) format(out io.Writer, as, spool string) (format, error) {
	switch as {
	case OCSF:
		lines := json.NewEncoder(out)
		lines.SetEscapeHTML(false)
		return &events{lines, e.Checkpoint.Origin, e.workspace}, nil
	case JSONL:
		return &headers{out: out}, nil
	case Parquet:
		rows, err := columns.NewHeaders(spool)
		if err != nil {
			return nil, err
		}
		return &table{rows: rows, out: out, label: columns.Label{Workspace: e.workspace}}, nil
	}
	return nil, Check(as)
}

// events are lines of OCSF.
type events struct {
	lines     *json.Encoder
	log       string
	workspace steward.WorkspaceID
}

func (e *events) entry(h *ledger.Header, header []byte, leaf [tree.HashSize]byte) error {
	return e.lines.Encode(ocsf.FromEntry(e.log, e.workspace, h, header, leaf))
}

func (e *events) end() error { return nil }

// headers are lines that begin with the leaf and go on as the header does, so that whoever takes the leaf out
// has the bytes that were hashed into it.
type headers struct {
	out  io.Writer
	line []byte
}

func (l *headers) entry(h *ledger.Header, header []byte, leaf [tree.HashSize]byte) error {
	fields, ok := bytes.CutPrefix(header, []byte("{"))
	if !ok || bytes.ContainsAny(fields, "\r\n") {
		return tlog.Damaged(fmt.Errorf("export: the header of entry %d isn't written as Steward writes them", h.Seq))
	}
	l.line = append(hex.AppendEncode(append(l.line[:0], `{"leaf":"`...), leaf[:]), `",`...)
	l.line = append(append(l.line, fields...), '\n')
	_, err := l.out.Write(l.line)
	return err
}

func (l *headers) end() error { return nil }

// table is a Parquet file. It ends with its index, so it is spooled before it is written.
type table struct {
	rows  *columns.Writer[columns.Header]
	out   io.Writer
	label columns.Label
}

func (t *table) entry(h *ledger.Header, header []byte, _ [tree.HashSize]byte) error {
	if t.label.Entries == 0 {
		t.label.First = h.Seq
	}
	t.label.Entries++
	return t.rows.Add(columns.Of(h, header), len(header))
}

func (t *table) end() error {
	if err := t.rows.Close(t.label); err != nil {
		return err
	}
	content, size, _, err := t.rows.Content()
	if err != nil {
		return err
	}
	_, err = content.Seek(0, io.SeekStart)
	if err == nil {
		var n int64
		if n, err = io.Copy(t.out, content); err == nil && n != size {
			err = errors.New("export: the spooled table is cut off")
		}
	}
	return err
}
