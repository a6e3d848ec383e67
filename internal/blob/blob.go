// Package blob answers: where do the sealed objects lie? It keeps immutable bytes under names, in a folder
// or in an S3-compatible bucket, and locks them against deletion; it doesn't know what is in them, nor whose
// they are.
//
// Folder and S3 do the same and pass the same tests. A name is one or more elements of [A-Za-z0-9._-] with
// slashes between, and no name may be the folder of another: where "a/b" is, nothing is called "a". Folder
// refuses such names as taken; S3 doesn't look.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/stewardhq/steward"
)

// Object is one that was opened: random access to bytes that never change. Its reads end when the context
// it was opened with does. Whoever opened it closes it.
type Object interface {
	io.ReaderAt
	io.Closer
	Size() int64 // bytes
}

// The longest names. S3 takes keys of 1,024 bytes, a prefix included; file systems take elements of 255,
// of which the ending of a lock needs some.
const (
	maxName    = 512
	maxElement = 200
)

// checkName refuses what is no name, and with it every way out of the folder.
func checkName(name string) error {
	for element := range strings.SplitSeq(name, "/") {
		if element == "" || element == "." || element == ".." || len(element) > maxElement {
			return badName(name)
		}
	}
	if len(name) > maxName || !inAlphabet(name) {
		return badName(name)
	}
	return nil
}

func badName(name string) error {
	return steward.Errorf(steward.Invalid,
		"%q is no name for an object; take elements of letters, digits, '.', '_' and '-', with slashes between", name)
}

// inAlphabet says whether a text has only what names are made of, slashes included.
func inAlphabet(text string) bool {
	for _, c := range []byte(text) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("._-/", c) >= 0:
		default:
			return false
		}
	}
	return true
}

func checkPrefix(prefix string) error {
	if !inAlphabet(prefix) {
		return steward.Errorf(steward.Invalid, "no object's name begins with %q; take letters, digits, '.', '_', '-' and '/'", prefix)
	}
	return nil
}

func taken(name string) *steward.Error {
	return steward.Errorf(steward.Conflict, "there is an object %s already; objects are never replaced, so choose another name", name)
}

func missing(name string) *steward.Error {
	return steward.Errorf(steward.NotFound, "there is no object %s", name)
}

func locked(name string, until time.Time) *steward.Error {
	return steward.Errorf(steward.Conflict, "the object %s is locked until %s; delete it after that",
		name, until.UTC().Format(time.RFC3339))
}

// copyAll copies exactly size bytes from the content's beginning, and refuses content that has fewer or more.
func copyAll(ctx context.Context, to io.Writer, content io.ReadSeeker, size int64) error {
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("object's content: %w", err)
	}
	// One byte more than announced, so that content that is too long shows.
	n, err := io.Copy(to, io.LimitReader(reader{ctx, content}, size+1))
	if err != nil {
		return err
	}
	if n != size {
		return steward.Errorf(steward.Invalid, "the object's content isn't of the %d bytes announced; hand in its true size", size)
	}
	return nil
}

// reader ends with a context.
type reader struct {
	ctx context.Context
	io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// keeper is what a round trip needs of Folder and S3.
type keeper interface {
	Put(ctx context.Context, name string, content io.ReadSeeker, size int64, until time.Time) error
	Open(ctx context.Context, name string) (Object, error)
	Delete(ctx context.Context, name string) error
}

// roundTrip puts an object, reads it back and deletes it. An object of that name from an earlier trip, or one
// that can't be deleted since all that is put there is locked by default, will do too.
func roundTrip(ctx context.Context, k keeper, name string) error {
	const text = "Steward looks whether objects can be kept here. It may be deleted.\n"
	if err := k.Put(ctx, name, strings.NewReader(text), int64(len(text)), time.Time{}); err != nil && steward.KindOf(err) != steward.Conflict {
		return err
	}
	object, err := k.Open(ctx, name)
	if err != nil {
		return err
	}
	read, err := io.ReadAll(io.NewSectionReader(object, 0, object.Size()))
	if err = errors.Join(err, object.Close()); err != nil {
		return fmt.Errorf("trial object: %w", err)
	}
	if string(read) != text {
		return steward.Errorf(steward.Upstream, "the trial object %s reads back as something else; use another place for objects", name)
	}
	if err := k.Delete(ctx, name); err != nil && steward.KindOf(err) != steward.Conflict {
		return err
	}
	return nil
}
