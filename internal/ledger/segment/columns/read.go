package columns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// File is one that is open for reading. It is safe for concurrent use.
type File struct {
	file   *parquet.File
	leaves map[string]int // the numbers of the columns, by path
}

// readBuffer is how much is read of a column at once.
const readBuffer = 64 << 10

// Open opens what was written, and refuses what isn't a file or not the one with this label.
func Open(content io.ReaderAt, size int64, label Label) (*File, error) {
	f, err := open(content, size)
	if err != nil {
		return nil, err
	}
	for key, want := range label.metadata() {
		if is, _ := f.file.Lookup(key); is != want {
			return nil, fmt.Errorf("columns: the file says %s=%q, not %q: it is another one", key, is, want)
		}
	}
	return f, nil
}

// open refuses what isn't a file.
func open(content io.ReaderAt, size int64) (*File, error) {
	f := &File{leaves: map[string]int{}}
	return f, guarded(func() (err error) {
		// The library makes room for a footer as long as the file says.
		var end [8]byte
		if n, err := content.ReadAt(end[:], max(0, size-int64(len(end)))); n < len(end) {
			return fmt.Errorf("columns: reading: %w", err)
		}
		if int64(binary.LittleEndian.Uint32(end[:])) > size-12 {
			return ErrFormat
		}
		if f.file, err = parquet.OpenFile(content, size, parquet.ReadBufferSize(readBuffer)); err != nil {
			return fmt.Errorf("columns: %w", err)
		}
		rows := f.file.NumRows() // as it says
		for _, group := range f.Groups() {
			rows -= group.Rows
			if group.Rows <= 0 {
				return ErrFormat
			}
		}
		if rows != 0 {
			return ErrFormat
		}
		for i, path := range f.file.Schema().Columns() {
			f.leaves[strings.Join(path, ".")] = i
		}
		return nil
	})
}

// Rows is how many there are.
func (f *File) Rows() int64 { return f.file.NumRows() }

// Group is some rows that are stored together, numbered from 0.
type Group struct {
	First int64 // how many rows come before it
	Rows  int64
	file  *File
	group parquet.RowGroup
}

// Groups lists all rows, in order.
func (f *File) Groups() []Group {
	var list []Group
	first := int64(0)
	for _, group := range f.file.RowGroups() {
		list = append(list, Group{first, group.NumRows(), f, group})
		first += group.NumRows()
	}
	return list
}

// Headers calls fn with the headers in rows from to to-1, in order, until it is false. A header is good until
// fn returns.
func (g Group) Headers(from, to int64, fn func(row int64, header []byte) bool) error {
	return guarded(func() error {
		c, err := g.column(columnHeader)
		if err != nil {
			return err
		}
		return c.bytes(from, to, func(row int64, header []byte) (bool, error) { return fn(row, header), nil })
	})
}

// Parts reads how many parts the entries in rows from to to-1 have.
func (g Group) Parts(from, to int64) (counts []int64, err error) {
	err = guarded(func() error {
		c, err := g.column(columnParts)
		if err == nil {
			counts, err = c.integers(from, to)
		}
		return err
	})
	return counts, err
}

// Page is the range of rows around one whose headers are read as cheaply as its alone.
func (g Group) Page(row int64) (from, to int64, err error) {
	err = guarded(func() error {
		c, err := g.column(columnHeader)
		if err == nil {
			from, to, err = c.pageOf(row)
		}
		return err
	})
	return from, to, err
}

// Boxes calls fn with the parts of entries from to to-1, in a file of parts. A box is good until fn returns.
func (f *File) Boxes(from, to uint64, fn func(seq uint64, part int64, box []byte) error) error {
	return guarded(func() error { return f.boxes(from, to, fn) })
}

func (f *File) boxes(from, to uint64, fn func(seq uint64, part int64, box []byte) error) error {
	for _, group := range f.Groups() {
		seqs, err := group.column(columnSeq)
		if err != nil {
			return err
		}
		low, high, err := seqs.bounds()
		if err != nil {
			return err
		}
		if uint64(high) < from {
			continue
		}
		if uint64(low) >= to {
			return nil
		}
		first, list, err := seqs.between(int64(from), int64(to))
		if err != nil {
			return err
		}
		end := first + int64(len(list))
		numbers, err := group.column(columnPart)
		if err != nil {
			return err
		}
		part, err := numbers.integers(first, end)
		if err != nil {
			return err
		}
		content, err := group.column(columnBox)
		if err != nil {
			return err
		}
		if err := content.bytes(first, end, func(row int64, box []byte) (bool, error) {
			return true, fn(uint64(list[row-first]), part[row-first], box)
		}); err != nil {
			return err
		}
	}
	return nil
}

// between reads the numbers from low to high-1 of a sorted column, and tells the row of the first.
func (c column) between(low, high int64) (first int64, list []int64, err error) {
	index, err := c.chunk.ColumnIndex()
	if err != nil {
		return 0, nil, fmt.Errorf("columns: column: %w", err)
	}
	rows, err := c.chunk.OffsetIndex()
	if err != nil || rows.NumPages() != index.NumPages() {
		return 0, nil, errors.Join(ErrFormat, err)
	}
	at := 0
	for at < index.NumPages() && index.MaxValue(at).Int64() < low {
		at++
	}
	if at == index.NumPages() {
		return c.rows, nil, nil
	}
	first = c.rows
	start := rows.FirstRowIndex(at)
	err = c.pages(start, c.rows, func(page parquet.Page, row int64) (bool, error) {
		values := page.Data()
		for i, value := range values.Int64() {
			switch {
			case value >= high:
				return false, nil
			case value >= low:
				first = min(first, row+int64(i))
				list = append(list, value)
			case len(list) > 0:
				return false, fmt.Errorf("columns: entry %d stands behind a later one: %w", value, ErrFormat)
			}
		}
		return true, nil
	})
	return first, list, err
}

// guarded makes errors of the panics that a damaged file can cause in its reader.
func guarded(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("columns: reading: %v", r)
		}
	}()
	return f()
}

// ErrFormat is that a file isn't laid out as it should be.
var ErrFormat = errors.New("columns: the file isn't laid out as it should be")

// column is one column of a row group.
type column struct {
	chunk parquet.ColumnChunk
	rows  int64
}

func (g Group) column(path string) (column, error) {
	i, ok := g.file.leaves[path]
	chunks := g.group.ColumnChunks()
	if !ok || i >= len(chunks) {
		return column{}, fmt.Errorf("columns: there is no column %s: %w", path, ErrFormat)
	}
	return column{chunks[i], g.Rows}, nil
}

// pages calls fn with what the column's pages hold of rows from to to-1, in order, and the number of the
// first row in each, until it is false. A page is good until fn returns.
func (c column) pages(from, to int64, fn func(page parquet.Page, first int64) (bool, error)) error {
	if from >= to {
		return nil
	}
	pages := c.chunk.Pages()
	defer func() { _ = pages.Close() }()
	if from > 0 {
		if err := pages.SeekToRow(from); err != nil {
			return fmt.Errorf("columns: column: %w", err)
		}
	}
	for from < to {
		page, err := pages.ReadPage()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("columns: column: %w", err)
		}
		rows := page.NumRows()
		if rows <= 0 {
			parquet.Release(page)
			return ErrFormat
		}
		used := page
		if rows > to-from {
			used = page.Slice(0, to-from)
		}
		more, err := fn(used, from)
		parquet.Release(page)
		if err != nil || !more {
			return err
		}
		from += rows
	}
	return nil
}

// bytes calls fn with the values of a column that has one text a row and no dictionary.
func (c column) bytes(from, to int64, fn func(row int64, value []byte) (bool, error)) error {
	return c.pages(from, to, func(page parquet.Page, first int64) (bool, error) {
		data := page.Data()
		values, offsets := data.ByteArray()
		if int64(len(offsets)) < page.NumRows()+1 {
			return false, ErrFormat
		}
		for i := range page.NumRows() {
			more, err := fn(first+i, values[offsets[i]:offsets[i+1]])
			if err != nil || !more {
				return false, err
			}
		}
		return true, nil
	})
}

// each calls fn with the values of a column that may have several a row.
func (c column) each(from, to int64, fn func(row int64, value parquet.Value) error) error {
	var buffer [256]parquet.Value
	return c.pages(from, to, func(page parquet.Page, first int64) (bool, error) {
		row := first - 1
		for values := page.Values(); ; {
			n, err := values.ReadValues(buffer[:])
			for _, value := range buffer[:n] {
				if value.RepetitionLevel() == 0 {
					row++
				}
				if err := fn(row, value); err != nil {
					return false, err
				}
			}
			if errors.Is(err, io.EOF) {
				return true, nil
			}
			if err != nil {
				return false, fmt.Errorf("columns: column: %w", err)
			}
		}
	})
}

// integers reads a column that has one number a row.
func (c column) integers(from, to int64) ([]int64, error) {
	list := make([]int64, 0, to-from)
	err := c.each(from, to, func(_ int64, value parquet.Value) error {
		if value.Kind() == parquet.Int32 {
			list = append(list, int64(value.Int32()))
		} else {
			list = append(list, value.Int64())
		}
		return nil
	})
	if err == nil && int64(len(list)) != to-from {
		err = ErrFormat
	}
	return list, err
}

// bounds are the smallest and the largest number in a column that is sorted.
func (c column) bounds() (low, high int64, err error) {
	index, err := c.chunk.ColumnIndex()
	if err != nil || index.NumPages() == 0 {
		return 0, 0, errors.Join(ErrFormat, err)
	}
	return index.MinValue(0).Int64(), index.MaxValue(index.NumPages() - 1).Int64(), nil
}

// pageOf is the range of rows in the page that holds a row.
func (c column) pageOf(row int64) (from, to int64, err error) {
	index, err := c.chunk.OffsetIndex()
	if err != nil || index.NumPages() == 0 {
		return 0, 0, errors.Join(ErrFormat, err)
	}
	low, high := 0, index.NumPages()
	for high-low > 1 {
		if middle := (low + high) / 2; index.FirstRowIndex(middle) <= row {
			low = middle
		} else {
			high = middle
		}
	}
	from, to = index.FirstRowIndex(low), c.rows
	if low+1 < index.NumPages() {
		to = index.FirstRowIndex(low + 1)
	}
	if row < from || row >= to {
		return 0, 0, ErrFormat
	}
	return from, to, nil
}
