// Package columns answers: how do entries lie in a Parquet file? It writes and reads such files, and finds
// rows by their columns; it doesn't know where a file lies, nor what else belongs to it.
package columns

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/parquet-go/parquet-go"

	"github.com/stewardhq/steward"
)

// Header is one entry in a file of headers. The columns are for searching and counting, by any engine;
// "" and 0 stand for what an entry doesn't say. The header's own bytes are what is signed.
type Header struct {
	Seq            int64    `parquet:"seq,delta"`
	Time           int64    `parquet:"time,timestamp(microsecond),delta"`
	Kind           string   `parquet:"kind,dict"`
	Run            string   `parquet:"run,dict"`
	Caller         string   `parquet:"caller,dict"`
	OnBehalfOf     string   `parquet:"on_behalf_of,dict"`
	Authentication string   `parquet:"authentication,dict"`
	System         string   `parquet:"system,dict"`
	Tool           string   `parquet:"tool,dict"`
	Effect         string   `parquet:"effect,dict"`
	Decision       string   `parquet:"decision,dict"`
	PolicySet      string   `parquet:"policy_set,dict"`
	Outcome        string   `parquet:"outcome,dict"`
	Error          string   `parquet:"error,dict"`
	Purpose        string   `parquet:"purpose,dict"`
	Records        int64    `parquet:"records,dict"`
	DurationUS     int64    `parquet:"duration_us,delta"`
	Targets        []string `parquet:"targets,list" parquet-element:",dict"`
	MoreTargets    bool     `parquet:"more_targets"` // the list may go on in a part
	Intent         *int64   `parquet:"intent,optional"`
	Node           string   `parquet:"node,dict"`
	Parts          int32    `parquet:"parts,dict"`
	Header         []byte   `parquet:"header"`
}

// Part is one sealed part in a file of parts.
type Part struct {
	Seq  int64  `parquet:"seq,delta"`
	Part int32  `parquet:"part,dict"`
	Box  []byte `parquet:"box,uncompressed"`
}

// The columns that the rest of the package reads, by the path in the file's schema.
const (
	columnSeq         = "seq"
	columnTime        = "time"
	columnTargets     = "targets.list.element"
	columnMoreTargets = "more_targets"
	columnParts       = "parts"
	columnHeader      = "header"
	columnPart        = "part"
	columnBox         = "box"
)

// Label is what a file says of itself, so that one which was put in another's place is noticed.
type Label struct {
	Workspace      steward.WorkspaceID
	First, Entries uint64 // of the segment
	Scopes         string // of parts
}

func (l Label) metadata() map[string]string {
	return map[string]string{
		metaWorkspace: string(l.Workspace), metaFirst: strconv.FormatUint(l.First, 10), metaEntries: strconv.FormatUint(l.Entries, 10), metaScopes: l.Scopes,
	}
}

const (
	metaWorkspace = "steward.workspace"
	metaFirst     = "steward.first"
	metaEntries   = "steward.entries"
	metaScopes    = "steward.scopes"
)

// How the objects are cut. Some hundred headers share a page, so that few from the middle cost little; a row
// group is what a writer holds in memory.
const (
	pageBytes    = 128 << 10
	groupRows    = 1 << 16
	groupBytes   = 32 << 20 // of headers
	partsBytes   = 4 << 20  // of boxes
	bloomBits    = 10       // a value: one in a hundred that isn't there seems to be
	writeAtOnce  = 64       // rows: pages are cut between writes
	partsAtOnce  = 16
	spoolPattern = "segment-*.tmp"
)

// Spool is what will be an object, being written into a file of its own.
type Spool struct {
	file *os.File
	out  *bufio.Writer
	hash hash.Hash
	size int64
}

// NewSpool makes one in a folder.
func NewSpool(dir string) (*Spool, error) {
	file, err := os.CreateTemp(dir, spoolPattern)
	if err != nil {
		return nil, unwritable(err)
	}
	return &Spool{file: file, out: bufio.NewWriterSize(file, 1<<18), hash: sha256.New()}, nil
}

// Write is io.Writer's.
func (s *Spool) Write(b []byte) (int, error) {
	s.hash.Write(b)
	n, err := s.out.Write(b)
	s.size += int64(n)
	return n, err
}

// ClearSpools removes what processes that are gone have left in a folder.
func ClearSpools(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, spoolPattern))
	for _, name := range left {
		err = errors.Join(err, os.Remove(name))
	}
	if err != nil {
		return unwritable(err)
	}
	return nil
}

// Content ends the writing, and gives all that was written, its size and its SHA-256.
func (s *Spool) Content() (content io.ReadSeeker, size int64, sum []byte, err error) {
	if err := s.out.Flush(); err != nil {
		return nil, 0, nil, unwritable(err)
	}
	return s.file, s.size, s.hash.Sum(nil), nil
}

// Remove removes the file.
func (s *Spool) Remove() {
	_ = s.file.Close()
	_ = os.Remove(s.file.Name())
}

func unwritable(err error) error {
	return steward.Errorf(steward.Unavailable, "the folder where segments are prepared can't be written; check that it exists, its owner, and the disk").Because(err)
}

// Writer writes rows into a Parquet file, in row groups of bounded size.
type Writer[T any] struct {
	*Spool
	file   *parquet.GenericWriter[T]
	rows   []T
	atOnce int
	group  struct{ rows, bytes, maxRows, maxBytes int }
}

func newWriter[T any](dir string, atOnce, maxRows, maxBytes int, options ...parquet.WriterOption) (*Writer[T], error) {
	s, err := NewSpool(dir)
	if err != nil {
		return nil, err
	}
	options = append(options,
		parquet.Compression(&parquet.Zstd), parquet.PageBufferSize(pageBytes),
		parquet.CreatedBy("steward", "1", ""))
	w := &Writer[T]{Spool: s, file: parquet.NewGenericWriter[T](s, options...), atOnce: atOnce}
	w.group.maxRows, w.group.maxBytes = maxRows, maxBytes
	return w, nil
}

// Add adds a row; bytes is about how large it is.
func (w *Writer[T]) Add(row T, bytes int) error {
	w.rows = append(w.rows, row)
	w.group.rows++
	w.group.bytes += bytes
	full := w.group.rows >= w.group.maxRows || w.group.bytes >= w.group.maxBytes
	if len(w.rows) < w.atOnce && !full {
		return nil
	}
	if err := w.write(); err != nil {
		return err
	}
	if full {
		w.group.rows, w.group.bytes = 0, 0
		return w.failed(w.file.Flush())
	}
	return nil
}

func (w *Writer[T]) write() error {
	_, err := w.file.Write(w.rows)
	w.rows = w.rows[:0]
	return w.failed(err)
}

func (w *Writer[T]) failed(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return unwritable(err)
	}
	if err != nil {
		return fmt.Errorf("segment: writing: %w", err)
	}
	return nil
}

// Close ends the file.
func (w *Writer[T]) Close(label Label) error {
	if err := w.write(); err != nil {
		return err
	}
	for key, value := range label.metadata() {
		w.file.SetKeyValueMetadata(key, value)
	}
	return w.failed(w.file.Close())
}

// NewHeaders begins a file of headers in a folder.
func NewHeaders(dir string) (*Writer[Header], error) {
	return newWriter[Header](dir, writeAtOnce, groupRows, groupBytes,
		parquet.BloomFilters(
			parquet.SplitBlockFilter(bloomBits, "run"), parquet.SplitBlockFilter(bloomBits, "caller"),
			parquet.SplitBlockFilter(bloomBits, "on_behalf_of"), parquet.SplitBlockFilter(bloomBits, "targets", "list", "element")),
		parquet.SortingWriterConfig(parquet.SortingColumns(parquet.Ascending(columnSeq))),
		parquet.SkipPageBounds(columnHeader))
}

// NewParts begins a file of parts in a folder. They are added in the order of entries and parts.
func NewParts(dir string) (*Writer[Part], error) {
	return newWriter[Part](dir, partsAtOnce, groupRows, partsBytes,
		parquet.SortingWriterConfig(parquet.SortingColumns(parquet.Ascending(columnSeq), parquet.Ascending(columnPart))),
		parquet.SkipPageBounds(columnBox))
}
