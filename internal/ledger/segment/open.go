package segment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/parquet-go/parquet-go"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/blob"
)

// opened is an object that is open, for as many as want it.
type opened struct {
	name   string
	object blob.Object
	file   *parquet.File  // nil for tiles
	leaves map[string]int // the numbers of the columns, by path
	users  int
	gone   bool // from the cache: whoever is last closes it
}

// keptOpen is how many objects a Store keeps open: each costs a handle and the file's index, some hundred
// kilobytes for a month's.
const keptOpen = 48

// cache keeps the objects open that were used last.
type cache struct {
	mu   sync.Mutex
	list []*opened // the last used at the end
}

// readBuffer is how much is read of a column at once.
const readBuffer = 64 << 10

// open gives an object to use until release.
func (c *cache) open(ctx context.Context, blobs Blobs, ws steward.WorkspaceID, s *Segment, o *Object) (*opened, error) {
	if found := c.take(o.Name); found != nil {
		return found, nil
	}
	object, err := blobs.Open(ctx, o.Name)
	if err != nil {
		return nil, err
	}
	made, err := check(object, ws, s, o)
	if err != nil {
		_ = object.Close()
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, made)
	for len(c.list) > keptOpen {
		c.drop(0)
	}
	return made, nil
}

func (c *cache) take(name string) *opened {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, o := range c.list {
		if o.name == name {
			c.list = append(append(c.list[:i], c.list[i+1:]...), o)
			o.users++
			return o
		}
	}
	return nil
}

func (c *cache) release(o *opened) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.users--; o.users == 0 && o.gone {
		_ = o.object.Close()
	}
}

// drop takes one out of the list.
func (c *cache) drop(i int) {
	o := c.list[i]
	c.list = append(c.list[:i], c.list[i+1:]...)
	if o.gone = true; o.users == 0 {
		_ = o.object.Close()
	}
}

// close drops all.
func (c *cache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.list) > 0 {
		c.drop(0)
	}
}

// check opens what is in an object, and refuses one that isn't the one named.
func check(object blob.Object, ws steward.WorkspaceID, s *Segment, o *Object) (*opened, error) {
	made := &opened{name: o.Name, object: object, users: 1}
	if object.Size() != o.Size {
		return nil, fmt.Errorf("segment: object %s has %d bytes and should have %d", o.Name, object.Size(), o.Size)
	}
	if o.Kind == Tiles {
		return made, nil
	}
	return made, guarded(func() (err error) {
		if made.file, err = parquet.OpenFile(object, object.Size(), parquet.ReadBufferSize(readBuffer)); err != nil {
			return fmt.Errorf("segment: object %s: %w", o.Name, err)
		}
		for key, want := range map[string]string{
			metaWorkspace: string(ws), metaFirst: strconv.FormatUint(s.First, 10), metaEntries: strconv.FormatUint(s.Entries, 10), metaScopes: o.Scopes,
		} {
			if is, _ := made.file.Lookup(key); is != want {
				return fmt.Errorf("segment: object %s says %s=%q, not %q: it is another one", o.Name, key, is, want)
			}
		}
		if o.Kind == Headers && made.file.NumRows() != int64(s.Entries) {
			return fmt.Errorf("segment: object %s has %d headers, not %d", o.Name, made.file.NumRows(), s.Entries)
		}
		made.leaves = map[string]int{}
		for i, path := range made.file.Schema().Columns() {
			made.leaves[strings.Join(path, ".")] = i
		}
		return nil
	})
}

// guarded makes errors of the panics that a damaged file can cause in its reader.
func guarded(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("segment: reading: %v", r)
		}
	}()
	return f()
}

var errFormat = errors.New("segment: the file isn't laid out as it should be")

// column is one column of a row group.
type column struct {
	chunk parquet.ColumnChunk
	rows  int64
}

func (o *opened) column(group parquet.RowGroup, path string) (column, error) {
	i, ok := o.leaves[path]
	chunks := group.ColumnChunks()
	if !ok || i >= len(chunks) {
		return column{}, fmt.Errorf("segment: there is no column %s: %w", path, errFormat)
	}
	return column{chunks[i], group.NumRows()}, nil
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
			return fmt.Errorf("segment: column: %w", err)
		}
	}
	for from < to {
		page, err := pages.ReadPage()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("segment: column: %w", err)
		}
		rows := page.NumRows()
		if rows <= 0 {
			parquet.Release(page)
			return errFormat
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
			return false, errFormat
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
				return false, fmt.Errorf("segment: column: %w", err)
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
		err = errFormat
	}
	return list, err
}

// bounds are the smallest and the largest number in a column that is sorted.
func (c column) bounds() (low, high int64, err error) {
	index, err := c.chunk.ColumnIndex()
	if err != nil || index.NumPages() == 0 {
		return 0, 0, errors.Join(errFormat, err)
	}
	return index.MinValue(0).Int64(), index.MaxValue(index.NumPages() - 1).Int64(), nil
}

// pageOf is the range of rows in the page that holds a row.
func (c column) pageOf(row int64) (from, to int64, err error) {
	index, err := c.chunk.OffsetIndex()
	if err != nil || index.NumPages() == 0 {
		return 0, 0, errors.Join(errFormat, err)
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
		return 0, 0, errFormat
	}
	return from, to, nil
}
