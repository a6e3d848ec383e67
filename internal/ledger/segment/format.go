package segment

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strconv"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
)

// headerRow is one entry in an object of headers. The columns are for searching and counting, by any engine;
// "" and 0 stand for what an entry doesn't say. The header's own bytes are what is signed.
type headerRow struct {
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

// partRow is one sealed part in an object of parts.
type partRow struct {
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

// What a file says of itself, so that one which was put in another's place is noticed.
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
	fullTargets  = 32       // more don't fit into a header, so a list that long may go on in a part
	writeAtOnce  = 64       // rows: pages are cut between writes
	partsAtOnce  = 16
	spoolPattern = "segment-*.tmp"
)

// columns fills a row from a header and its bytes.
func (r *headerRow) columns(h *ledger.Header, bytes []byte) {
	*r = headerRow{
		Seq: int64(h.Seq), Time: h.Time.UnixMicro(), Kind: string(h.Kind), Run: string(h.Run), Caller: h.Caller, OnBehalfOf: string(h.OnBehalfOf),
		Authentication: h.Authentication, System: h.System, Tool: h.Tool, Effect: string(h.Effect), Decision: h.Decision, PolicySet: h.PolicySet,
		Outcome: h.Outcome, Error: h.Error, Purpose: h.Purpose, Records: int64(h.Records), DurationUS: h.DurationMicros,
		Targets: h.Targets, MoreTargets: len(h.Targets) >= fullTargets, Node: h.Node, Parts: int32(len(h.Parts)), Header: bytes,
	}
	if h.Intent != nil {
		intent := int64(*h.Intent)
		r.Intent = &intent
	}
}

// spool is an object being written into a file of its own. What is written is what the object will hold:
// headers, hashes and ciphertext.
type spool struct {
	file *os.File
	out  *bufio.Writer
	hash hash.Hash
	size int64
}

func newSpool(dir string) (*spool, error) {
	file, err := os.CreateTemp(dir, spoolPattern)
	if err != nil {
		return nil, unwritable(err)
	}
	return &spool{file: file, out: bufio.NewWriterSize(file, 1<<18), hash: sha256.New()}, nil
}

// Write is io.Writer's.
func (s *spool) Write(b []byte) (int, error) {
	s.hash.Write(b)
	n, err := s.out.Write(b)
	s.size += int64(n)
	return n, err
}

// flush makes all of it readable from the file.
func (s *spool) flush() error {
	if err := s.out.Flush(); err != nil {
		return unwritable(err)
	}
	_, err := s.file.Seek(0, io.SeekStart)
	return err
}

func (s *spool) remove() {
	_ = s.file.Close()
	_ = os.Remove(s.file.Name())
}

func unwritable(err error) error {
	return steward.Errorf(steward.Unavailable, "the folder where segments are prepared can't be written; check that it exists, its owner, and the disk").Because(err)
}

// writer writes rows into a Parquet file, in row groups of bounded size.
type writer[T any] struct {
	spool  *spool
	file   *parquet.GenericWriter[T]
	rows   []T
	atOnce int
	group  struct{ rows, bytes, maxRows, maxBytes int }
}

func newWriter[T any](dir string, atOnce, maxRows, maxBytes int, options ...parquet.WriterOption) (*writer[T], error) {
	s, err := newSpool(dir)
	if err != nil {
		return nil, err
	}
	options = append(options,
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedDefault, Concurrency: 1}), parquet.PageBufferSize(pageBytes),
		parquet.CreatedBy("steward", "1", ""))
	w := &writer[T]{spool: s, file: parquet.NewGenericWriter[T](s, options...), atOnce: atOnce}
	w.group.maxRows, w.group.maxBytes = maxRows, maxBytes
	return w, nil
}

// add adds a row; bytes is about how large it is.
func (w *writer[T]) add(row T, bytes int) error {
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

func (w *writer[T]) write() error {
	_, err := w.file.Write(w.rows)
	w.rows = w.rows[:0]
	return w.failed(err)
}

func (w *writer[T]) failed(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return unwritable(err)
	}
	if err != nil {
		return fmt.Errorf("segment: writing: %w", err)
	}
	return nil
}

// close ends the file, with what it says of itself.
func (w *writer[T]) close(ws steward.WorkspaceID, first, entries uint64, scopes string) error {
	if err := w.write(); err != nil {
		return err
	}
	w.file.SetKeyValueMetadata(metaWorkspace, string(ws))
	w.file.SetKeyValueMetadata(metaFirst, strconv.FormatUint(first, 10))
	w.file.SetKeyValueMetadata(metaEntries, strconv.FormatUint(entries, 10))
	w.file.SetKeyValueMetadata(metaScopes, scopes)
	if err := w.failed(w.file.Close()); err != nil {
		return err
	}
	return w.spool.flush()
}

func newHeaderWriter(dir string) (*writer[headerRow], error) {
	return newWriter[headerRow](dir, writeAtOnce, groupRows, groupBytes,
		parquet.BloomFilters(
			parquet.SplitBlockFilter(bloomBits, "run"), parquet.SplitBlockFilter(bloomBits, "caller"),
			parquet.SplitBlockFilter(bloomBits, "on_behalf_of"), parquet.SplitBlockFilter(bloomBits, "targets", "list", "element")),
		parquet.SortingWriterConfig(parquet.SortingColumns(parquet.Ascending(columnSeq))),
		parquet.SkipPageBounds(columnHeader))
}

func newPartWriter(dir string) (*writer[partRow], error) {
	return newWriter[partRow](dir, partsAtOnce, groupRows, partsBytes,
		parquet.SortingWriterConfig(parquet.SortingColumns(parquet.Ascending(columnSeq), parquet.Ascending(columnPart))),
		parquet.SkipPageBounds(columnBox))
}
