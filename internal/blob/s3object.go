package blob

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/stewardhq/steward"
)

// How objects are read. A Parquet reader asks for the end of a file first, then for small pieces here and
// there, or for one after the other. So reading goes by blocks, counted from the object's end: block 0 is its
// last bytes, which come with the answer to Open.
const (
	blockSize   = 256 << 10 // bytes
	maxBlocks   = 16        // in one request, once reads turn out to follow each other
	cacheBlocks = 128       // kept by an S3 for all its objects: 32 MiB
	readTries   = 3         // for an answer that ends early, each
	readTimeout = time.Minute
)

// bucketObject is an object in a bucket.
type bucketObject struct {
	store *S3
	name  string
	etag  string // finds out that somebody else put another version over it
	size  int64
	ctx   context.Context
	close context.CancelCauseFunc

	mu    sync.Mutex // guards what follows
	next  int64      // the block before the last one fetched: a read there goes on from it
	ahead int64      // how many blocks the last request fetched
}

// Open gives random access to an object; kind NotFound where there is none. Reads of an object that is deleted
// while open may be of that kind too.
func (s *S3) Open(ctx context.Context, name string) (Object, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	o := &bucketObject{store: s, name: name, ctx: ctx, close: cancel, next: -1}
	answer, err := o.get("bytes=-" + strconv.Itoa(blockSize))
	switch {
	case errorCode(err) == "InvalidRange": // so say some servers of an object without bytes
		there, err := s.head(ctx, name)
		if err == nil && aws.ToInt64(there.ContentLength) != 0 {
			err = s.garbled(name)
		}
		if err != nil {
			cancel(err)
			return nil, err
		}
	case err != nil:
		cancel(err)
		return nil, err
	default:
		o.etag, o.size = answer.etag, answer.total
		if answer.from != max(0, o.size-blockSize) {
			cancel(nil)
			return nil, s.garbled(name)
		}
		s.blocks.add(o.key(0), answer.body)
	}
	return o, nil
}

func (o *bucketObject) Size() int64 { return o.size }

func (o *bucketObject) Close() error {
	o.close(fs.ErrClosed)
	return nil
}

// ReadAt reads from blocks at hand, and fetches the others.
func (o *bucketObject) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("object %s: read at %d", o.name, off)
	}
	for n < len(p) {
		if o.ctx.Err() != nil {
			return n, context.Cause(o.ctx)
		}
		at := off + int64(n)
		if at >= o.size {
			return n, io.EOF
		}
		b := o.block(at)
		body, ok := o.store.blocks.get(o.key(b))
		if !ok {
			last := o.block(min(off+int64(len(p)), o.size) - 1)
			if body, err = o.fetch(b, b-last+1); err != nil {
				return n, err
			}
		}
		n += copy(p[n:], body[at-o.start(b):])
	}
	return n, nil
}

// block is the number of the block that has a byte, and start the first byte of a block.
func (o *bucketObject) block(at int64) int64 { return (o.size - 1 - at) / blockSize }
func (o *bucketObject) start(b int64) int64  { return max(0, o.size-(b+1)*blockSize) }

func (o *bucketObject) key(b int64) blockKey { return blockKey{o.name, o.etag, b} }

// fetch gets a block, and with it those that follow it in the object: as many as are wanted, and more where
// reads follow each other. It returns the first one's bytes.
func (o *bucketObject) fetch(first, wanted int64) ([]byte, error) {
	o.mu.Lock()
	if first == o.next {
		o.ahead = min(2*o.ahead, maxBlocks)
	} else {
		o.ahead = 1
	}
	o.ahead = min(max(o.ahead, wanted), maxBlocks, first+1)
	last := first - o.ahead + 1
	o.next = last - 1
	o.mu.Unlock()

	from, end := o.start(first), o.size-last*blockSize
	answer, err := o.get(fmt.Sprintf("bytes=%d-%d", from, end-1))
	if err != nil {
		return nil, err
	}
	if answer.from != from || int64(len(answer.body)) != end-from || answer.total != o.size {
		return nil, o.store.garbled(o.name)
	}
	var body []byte
	for b := first; b >= last; b-- {
		// A copy each, since a slice would keep all of the answer in memory for as long as one block is.
		one := append([]byte(nil), answer.body[o.start(b)-from:o.size-b*blockSize-from]...)
		o.store.blocks.add(o.key(b), one)
		if b == first {
			body = one
		}
	}
	return body, nil
}

// part is what S3 answered to a request for a range.
type part struct {
	body  []byte
	from  int64 // of the object's bytes
	total int64 // the object's size
	etag  string
}

// get asks for a range, again where the answer ends before its time.
func (o *bucketObject) get(span string) (p part, err error) {
	for range readTries {
		if p, err = o.getOnce(span); !errors.Is(err, errCut) || o.ctx.Err() != nil {
			return p, err
		}
	}
	return p, err
}

// errCut says that an answer began well and ended early.
var errCut = errors.New("answer ends early")

func (o *bucketObject) getOnce(span string) (part, error) {
	s := o.store
	ctx, cancel := context.WithTimeout(o.ctx, readTimeout)
	defer cancel()
	input := &s3.GetObjectInput{Bucket: &s.Bucket, Key: s.key(o.name), Range: &span}
	if o.etag != "" {
		input.IfMatch = &o.etag
	}
	answer, err := s.client().GetObject(ctx, input)
	if errorCode(err) == "PreconditionFailed" {
		return part{}, steward.Errorf(steward.Internal, "somebody put another object over %s; remove that version from the bucket", o.name).Because(err)
	}
	if err != nil {
		return part{}, s.explain(err, o.name)
	}
	defer answer.Body.Close()
	p := part{etag: aws.ToString(answer.ETag), total: aws.ToInt64(answer.ContentLength)}
	if r := aws.ToString(answer.ContentRange); r != "" {
		if p.from, p.total, err = parseRange(r); err != nil {
			return part{}, s.garbled(o.name).Because(err)
		}
	}
	length := aws.ToInt64(answer.ContentLength)
	if length < 0 || length > maxBlocks*blockSize {
		return part{}, s.garbled(o.name) // it takes no notice of ranges
	}
	p.body = make([]byte, length)
	if _, err := io.ReadFull(answer.Body, p.body); err != nil {
		return part{}, s.explain(errors.Join(errCut, err), o.name)
	}
	return p, nil
}

// parseRange reads a Content-Range (RFC 9110, section 14.4), such as "bytes 256-511/1024".
func parseRange(text string) (from, total int64, err error) {
	var to int64
	if _, err := fmt.Sscanf(text, "bytes %d-%d/%d", &from, &to, &total); err != nil {
		return 0, 0, fmt.Errorf("content range %q: %w", text, err)
	}
	if from < 0 || to < from || total <= to {
		return 0, 0, fmt.Errorf("content range %q", text)
	}
	return from, total, nil
}

func (s *S3) garbled(name string) *steward.Error {
	return steward.Errorf(steward.Upstream, "the object store at %s gives other bytes of %s than it was asked for; use one that knows ranges", s.Endpoint, name)
}

// blockKey names a block.
type blockKey struct {
	name, etag string
	number     int64
}

// blockCache keeps the blocks that were used last. Its zero value is empty.
type blockCache struct {
	mu     sync.Mutex
	blocks map[blockKey]*list.Element // of *block
	used   list.List                  // the last one first
}

type block struct {
	key  blockKey
	body []byte
}

func (c *blockCache) get(key blockKey) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.blocks[key]
	if !ok {
		return nil, false
	}
	c.used.MoveToFront(e)
	return e.Value.(*block).body, true
}

func (c *blockCache) add(key blockKey, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.blocks[key]; ok {
		c.used.MoveToFront(e)
		return
	}
	if c.blocks == nil {
		c.blocks = map[blockKey]*list.Element{}
	}
	c.blocks[key] = c.used.PushFront(&block{key, body})
	if c.used.Len() > cacheBlocks {
		delete(c.blocks, c.used.Remove(c.used.Back()).(*block).key)
	}
}

// drop forgets an object.
func (c *blockCache) drop(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, e := range c.blocks {
		if key.name == name {
			c.used.Remove(e)
			delete(c.blocks, key)
		}
	}
}
