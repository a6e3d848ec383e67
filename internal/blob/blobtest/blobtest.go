// Package blobtest answers: does a place for objects keep its word? It is one suite for all of them, and knows
// neither folders nor buckets.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/blob"
)

// Store is a place for objects; blob.Folder and *blob.S3 say what each method promises.
type Store interface {
	Put(ctx context.Context, name string, content io.ReadSeeker, size int64, until time.Time) error
	Open(ctx context.Context, name string) (blob.Object, error)
	Delete(ctx context.Context, name string) error
	Lock(ctx context.Context, name string, until time.Time) error
	List(ctx context.Context, prefix string, fn func(name string, modified time.Time) error) error
}

// Place is what is tested, and its clock.
type Place struct {
	Store
	Now  func() time.Time
	Pass func(d time.Duration) // comes back when Now is that much later
}

// Hold tells whether a place, which must be empty, keeps its word. It may leave objects there.
func Hold(t *testing.T, p Place) {
	t.Run("what is put is read back, from any place", p.reading)
	t.Run("what isn't there is not found", p.nothing)
	t.Run("what is no name is refused", p.names)
	t.Run("an object is never replaced", p.replacing)
	t.Run("of many who put one name, one does", p.racing)
	t.Run("content that isn't what was announced leaves nothing", p.content)
	t.Run("a lock holds until its end, and is never shortened", p.locks)
	t.Run("a context that ended ends the work", p.contexts)
	t.Run("names are listed in order, below a prefix", p.listing)
	t.Run("a name is free again after its deletion", p.again)
	t.Run("many objects", p.many)
}

// Text is n bytes that differ from seed to seed and from place to place.
func Text(seed string, n int) []byte {
	line := []byte{}
	for i := 0; len(line) < n; i++ {
		line = fmt.Appendf(line, "%s %d\n", seed, i)
	}
	return line[:n]
}

func (p Place) put(t *testing.T, name string, content []byte, until time.Time) {
	t.Helper()
	must(t, p.Put(t.Context(), name, bytes.NewReader(content), int64(len(content)), until))
}

func (p Place) wantContent(t *testing.T, name string, want []byte) {
	t.Helper()
	o, err := p.Open(t.Context(), name)
	must(t, err)
	got, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
	if err = errors.Join(err, o.Close()); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s: got %d bytes and %v, want %d; the same: %t", name, len(got), err, len(want), bytes.Equal(got, want))
	}
}

func (p Place) wantNothing(t *testing.T, name string) {
	t.Helper()
	_, err := p.Open(t.Context(), name)
	wantKind(t, err, steward.NotFound)
}

func (p Place) names(t *testing.T) {
	ctx := t.Context()
	for _, name := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", "a/./b", "./a", "a b", "a\x00b", "a\nb", `a\b`, "ä", "a%2fb", "a?b",
		"~new/0", "a~until", strings.Repeat("a", 201), strings.Repeat("a/", 256) + "a",
	} {
		_, err := p.Open(ctx, name)
		for what, err := range map[string]error{
			"Put": p.Put(ctx, name, strings.NewReader("x"), 1, time.Time{}), "Open": err, "Delete": p.Delete(ctx, name),
			"Lock": p.Lock(ctx, name, p.Now().Add(time.Hour)),
		} {
			if steward.KindOf(err) != steward.Invalid {
				t.Errorf("%s %q: %v", what, name, err)
			}
		}
	}
	for _, prefix := range []string{"~", "a b", "ä", "\x00"} {
		wantKind(t, p.List(ctx, prefix, func(string, time.Time) error { return nil }), steward.Invalid)
	}
	for _, name := range []string{
		"names/A.parquet", "names/.hidden", "names/...", "names/-", "names/_", "names/" + strings.Repeat("n", 200), "names/" + strings.Repeat("b/", 252) + "c",
	} {
		p.put(t, name, []byte(name), time.Time{})
		p.wantContent(t, name, []byte(name))
		must(t, p.Delete(ctx, name))
	}
}

func (p Place) nothing(t *testing.T) {
	ctx := t.Context()
	p.put(t, "nothing/there", []byte("x"), time.Time{})
	for _, name := range []string{"nothing", "nothing/ther", "nothing/there2", "nothing/there/below", "nowhere/at/all"} {
		p.wantNothing(t, name)
		must(t, p.Delete(ctx, name))
		wantKind(t, p.Lock(ctx, name, p.Now().Add(time.Hour)), steward.NotFound)
		wantKind(t, p.Lock(ctx, name, time.Time{}), steward.NotFound)
	}
	p.wantContent(t, "nothing/there", []byte("x"))
}

func (p Place) reading(t *testing.T) {
	ctx := t.Context()
	const block = 256 << 10
	for _, size := range []int{0, 1, 1000, block - 1, block, block + 1, 2 * block, 40*block + 4321} {
		name := fmt.Sprintf("reading/%d", size)
		want := Text(name, size)
		p.put(t, name, want, time.Time{})
		o, err := p.Open(ctx, name)
		must(t, err)
		if o.Size() != int64(size) {
			t.Errorf("%s: size %d", name, o.Size())
		}
		if size <= 1000 { // it reads byte by byte, too
			must(t, iotest.TestReader(io.NewSectionReader(o, 0, o.Size()), want))
		}
		for _, off := range []int{0, 1, size / 3, size - block - 1, size - block, size - 5, size - 1, size, size + 1, size + block} {
			for _, length := range []int{0, 1, 4, 700, block, 3*block + 5, size} {
				if off < 0 {
					continue
				}
				got := make([]byte, length)
				n, err := o.ReadAt(got, int64(off))
				there := want[min(off, size):min(off+length, size)]
				if !bytes.Equal(got[:n], there) {
					t.Fatalf("%s: ReadAt(%d bytes, %d) = %d bytes that aren't those there", name, length, off, n)
				}
				if (n == length) != (err == nil) && (n != length || !errors.Is(err, io.EOF)) || (n < length && !errors.Is(err, io.EOF)) {
					t.Fatalf("%s: ReadAt(%d bytes, %d) = %d, %v", name, length, off, n, err)
				}
			}
		}
		if _, err := o.ReadAt(make([]byte, 1), -1); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: read before the beginning: %v", name, err)
		}
		var wg sync.WaitGroup
		for reader := range 8 {
			wg.Go(func() {
				got := make([]byte, 1111)
				for off := reader * 977; off < size; off += 97 * 1111 {
					n, err := o.ReadAt(got, int64(off))
					if !bytes.Equal(got[:n], want[off:min(off+1111, size)]) || err != nil && !errors.Is(err, io.EOF) {
						t.Errorf("%s: reader %d at %d: %d bytes, %v", name, reader, off, n, err)
						return
					}
				}
			})
		}
		wg.Wait()
		got, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: read through: %d bytes, %v", name, len(got), err)
		}
		must(t, o.Close())
		if n, err := o.ReadAt(make([]byte, 1), 0); err == nil || n > 0 {
			t.Errorf("%s: reads after Close: %d, %v", name, n, err)
		}
	}
}

func (p Place) replacing(t *testing.T) {
	const name = "replacing/a"
	p.put(t, name, []byte("first"), time.Time{})
	for _, text := range []string{"second", "first", ""} {
		wantKind(t, p.Put(t.Context(), name, strings.NewReader(text), int64(len(text)), p.Now().Add(time.Hour)), steward.Conflict)
		p.wantContent(t, name, []byte("first"))
	}
	must(t, p.Delete(t.Context(), name)) // the lock of what wasn't put is no lock
	p.wantNothing(t, name)
}

func (p Place) racing(t *testing.T) {
	const name, writers = "racing/a", 12
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			text := Text(fmt.Sprint("writer ", w), 100_000)
			errs[w] = p.Put(t.Context(), name, bytes.NewReader(text), int64(len(text)), time.Time{})
		})
	}
	wg.Wait()
	winner := -1
	for w, err := range errs {
		switch {
		case err == nil && winner < 0:
			winner = w
		case err == nil:
			t.Fatalf("writers %d and %d both put it", winner, w)
		default:
			wantKind(t, err, steward.Conflict)
		}
	}
	if winner < 0 {
		t.Fatal("no writer put it")
	}
	p.wantContent(t, name, Text(fmt.Sprint("writer ", winner), 100_000))
}

func (p Place) content(t *testing.T) {
	ctx := t.Context()
	const name = "content/a"
	wantKind(t, p.Put(ctx, name, strings.NewReader("short"), 6, time.Time{}), steward.Invalid)
	wantKind(t, p.Put(ctx, name, strings.NewReader("long"), 3, time.Time{}), steward.Invalid)
	wantKind(t, p.Put(ctx, name, strings.NewReader(""), -1, time.Time{}), steward.Invalid)
	broken := errors.New("the disk it comes from is broken")
	err := p.Put(ctx, name, struct {
		io.Reader
		io.Seeker
	}{io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)), strings.NewReader("")}, 8, time.Time{})
	if !errors.Is(err, broken) {
		t.Errorf("content that can't be read: %v", err)
	}
	p.wantNothing(t, name)
	half := strings.NewReader("from the beginning")
	_, err = half.Seek(8, io.SeekStart)
	must(t, err)
	must(t, p.Put(ctx, name, half, half.Size(), time.Time{}))
	p.wantContent(t, name, []byte("from the beginning"))
}

func (p Place) locks(t *testing.T) {
	ctx := t.Context()
	start := p.Now()
	const soon, later = 3 * time.Second, 6 * time.Second
	p.put(t, "locks/put", []byte("put"), start.Add(soon))
	p.put(t, "locks/past", []byte("past"), start.Add(-time.Hour))
	for _, name := range []string{"locks/late", "locks/shorter", "locks/longer"} {
		p.put(t, name, []byte(name), time.Time{})
	}
	must(t, p.Delete(ctx, "locks/past"))
	must(t, p.Lock(ctx, "locks/late", start.Add(-time.Hour)))
	must(t, p.Lock(ctx, "locks/late", start.Add(soon)))
	must(t, p.Lock(ctx, "locks/late", start.Add(soon))) // again is the same
	must(t, p.Lock(ctx, "locks/shorter", start.Add(later)))
	must(t, p.Lock(ctx, "locks/shorter", start.Add(soon)))
	must(t, p.Lock(ctx, "locks/shorter", time.Time{}))
	must(t, p.Lock(ctx, "locks/longer", start.Add(soon)))
	must(t, p.Lock(ctx, "locks/longer", start.Add(later)))
	short, long := []string{"locks/put", "locks/late"}, []string{"locks/shorter", "locks/longer"}
	stays := func(names []string) {
		t.Helper()
		for _, name := range names {
			wantKind(t, p.Delete(ctx, name), steward.Conflict)
			wantKind(t, p.Put(ctx, name, strings.NewReader("x"), 1, time.Time{}), steward.Conflict)
			p.wantContent(t, name, []byte(strings.Replace(name, "locks/put", "put", 1)))
		}
	}
	stays(slices.Concat(short, long))
	p.Pass(start.Add(soon).Sub(p.Now()) + 1100*time.Millisecond) // a lock ends with a whole second
	stays(long)
	for _, name := range short {
		must(t, p.Delete(ctx, name))
		p.wantNothing(t, name)
	}
	p.Pass(start.Add(later).Sub(p.Now()) + 1100*time.Millisecond)
	for _, name := range long {
		must(t, p.Delete(ctx, name))
		p.wantNothing(t, name)
	}
}

func (p Place) contexts(t *testing.T) {
	p.put(t, "contexts/a", Text("contexts", 1<<20), time.Time{})
	ctx, cancel := context.WithCancel(t.Context())
	o, err := p.Open(ctx, "contexts/a")
	must(t, err)
	cancel()
	if n, err := o.ReadAt(make([]byte, 1), 0); !errors.Is(err, context.Canceled) || n > 0 {
		t.Errorf("ReadAt: %d, %v", n, err)
	}
	must(t, o.Close())
	if err := p.Put(ctx, "contexts/b", strings.NewReader("x"), 1, time.Time{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v", err)
	}
	p.wantNothing(t, "contexts/b")
	if err := p.List(ctx, "contexts/", func(string, time.Time) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("List: %v", err)
	}
}

// listed are the names below a prefix.
func (p Place) listed(t *testing.T, prefix string) (names []string) {
	t.Helper()
	must(t, p.List(t.Context(), prefix, func(name string, _ time.Time) error { names = append(names, name); return nil }))
	return names
}

func (p Place) listing(t *testing.T) {
	names := []string{
		"list/a-b", "list/a.b", "list/a/0/z", "list/a/b", "list/a0", "list/aa", "list/b/a", "list/b0", "list/B", "list/_", "list0", "list/a/0.z", "list/a/0-",
	}
	for _, name := range names {
		p.put(t, name, []byte(name), p.Now().Add(-time.Hour))
	}
	slices.Sort(names)
	below := func(prefix string) (some []string) {
		for _, name := range names {
			if strings.HasPrefix(name, prefix) {
				some = append(some, name)
			}
		}
		return some
	}
	for _, prefix := range []string{
		"list", "list/", "list/a", "list/a/", "list/a/0", "list/a/0/", "list/a/0/z", "list/b", "list/b/", "list/b/a", "list/b/a/", "list//", "list/.", "list/c", "lis", "list0",
	} {
		if got, want := p.listed(t, prefix), below(prefix); !slices.Equal(got, want) {
			t.Errorf("%q:\n got %q\nwant %q", prefix, got, want)
		}
	}
	all := p.listed(t, "")
	if !slices.IsSorted(all) || len(all) < len(names) {
		t.Errorf("all: %q", all)
	}
	must(t, p.List(t.Context(), "list/", func(name string, modified time.Time) error {
		if age := p.Now().Sub(modified); age > time.Minute || age < -time.Minute {
			t.Errorf("%s was put %v ago", name, age)
		}
		return nil
	}))
	enough := errors.New("enough")
	seen := 0
	if err := p.List(t.Context(), "list/", func(string, time.Time) error { seen++; return enough }); !errors.Is(err, enough) || seen != 1 {
		t.Errorf("after %d names: %v", seen, err)
	}
	must(t, p.List(t.Context(), "list", func(name string, _ time.Time) error { return p.Delete(t.Context(), name) }))
	if left := p.listed(t, "list"); left != nil {
		t.Errorf("after deletion: %q", left)
	}
}

func (p Place) again(t *testing.T) {
	const name = "again/a"
	for _, text := range []string{"first", "other", "a third one"} { // two of a length, against what is remembered
		p.put(t, name, []byte(text), time.Time{})
		p.put(t, name+"2", []byte("neighbour"), time.Time{})
		p.wantContent(t, name, []byte(text))
		must(t, p.Delete(t.Context(), name))
		must(t, p.Delete(t.Context(), name))
		p.wantNothing(t, name)
		p.wantContent(t, name+"2", []byte("neighbour"))
		must(t, p.Delete(t.Context(), name+"2"))
	}
	for range 20 { // several delete it at once, and to each it is gone
		p.put(t, name, []byte("x"), time.Time{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := p.Delete(t.Context(), name); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		p.wantNothing(t, name)
	}
	// What was deleted below a name frees the name itself.
	p.put(t, "again/b/c", []byte("below"), time.Time{})
	must(t, p.Delete(t.Context(), "again/b/c"))
	p.put(t, "again/b", []byte("itself"), time.Time{})
	p.wantContent(t, "again/b", []byte("itself"))
}

func (p Place) many(t *testing.T) {
	const count = 1003 // S3 lists 1,000 at once
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < count; i += 8 {
				name := fmt.Sprintf("many/%04d", i)
				if err := p.Put(t.Context(), name, strings.NewReader(name), int64(len(name)), time.Time{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	names := p.listed(t, "many/")
	if len(names) != count || !slices.IsSorted(names) || len(slices.Compact(names)) != count {
		t.Errorf("%d names", len(names))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, kind steward.Kind) {
	t.Helper()
	if err == nil || steward.KindOf(err) != kind {
		t.Fatalf("got %v (%v), want one of kind %v", err, steward.KindOf(err), kind)
	}
}
