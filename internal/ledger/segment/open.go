package segment

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/blob"
	"github.com/stewardhq/steward/internal/ledger/segment/columns"
)

// opened is an object that is open, for as many as want it.
type opened struct {
	name   string
	object blob.Object
	file   *columns.File // nil for tiles
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

// forget drops an object that is deleted, whose bytes an open handle would keep on the disk.
func (c *cache) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.list) - 1; i >= 0; i-- { // two may have opened it at the same time
		if c.list[i].name == name {
			c.drop(i)
		}
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
	file, err := columns.Open(object, o.Size, columns.Label{Workspace: ws, First: s.First, Entries: s.Entries, Scopes: o.Scopes})
	if err == nil && o.Kind == Headers && file.Rows() != int64(s.Entries) {
		err = fmt.Errorf("%d headers, not %d", file.Rows(), s.Entries)
	}
	if err != nil {
		return nil, fmt.Errorf("segment: object %s: %w", o.Name, err)
	}
	made.file = file
	return made, nil
}

// errObject is that an object isn't what the manifest says.
var errObject = errors.New("segment: an object isn't what was sealed")
