package ledger_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// disk stands between SQLite and the operating system. It notes each write, cut, sync and removal of a
// database file in one folder, in the order in which they happen, and lets those fail that it is told to.
// From what it noted it makes the folder that a loss of power would have left.
type disk struct {
	base map[string][]byte // what the files held before, by their paths in the folder; all of it durable

	mu   sync.Mutex
	dir  string
	log  []operation
	fail func(operation) int32 // an SQLite error code, or 0 to let it pass; nil lets all pass
}

// operation is one thing that the disk was asked to do, or something that somebody was promised.
type operation struct {
	act     string // write, cut, sync, remove or promise; lost for a sync that failed
	file    string
	at      int64 // where a write begins, or what a file is cut to
	data    []byte
	promise any
}

// perform does an operation and notes it, one at a time, so that the log has the order in which they were
// done. One that is to fail is not done: of a write half gets there, as when a disk becomes full; and of a
// sync it is noted, as the kernel may have dropped what it was for and not try again.
func (d *disk) perform(o operation, do func(o operation) int32) int32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	failure := int32(sqlite3.SQLITE_OK)
	if d.fail != nil {
		failure = d.fail(o)
	}
	switch {
	case failure == sqlite3.SQLITE_OK:
	case o.act == "write":
		o.data = o.data[:len(o.data)/2]
	case o.act == "sync":
		o.act = "lost"
		d.log = append(d.log, o)
		return failure
	default:
		return failure
	}
	if code := do(o); code != sqlite3.SQLITE_OK {
		if o.act == "remove" {
			return code // of what isn't there
		}
		panic(fmt.Sprintf("the real disk fails to %s %s: %d", o.act, o.file, code))
	}
	d.log = append(d.log, o)
	return failure
}

// promise notes what somebody was told.
func (d *disk) promise(what any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.log = append(d.log, operation{act: "promise", promise: what})
}

// failing has the disk fail from now on; nil ends it.
func (d *disk) failing(fail func(operation) int32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = fail
}

// platter is what a loss of power leaves at some point of a disk's log. The model: a sync makes durable
// what was written to its file before; of the rest each write may be there, be missing, or be there in some
// of its sectors of 512 bytes only, whatever became of those before it. A write spoils nothing beside it,
// which SQLite takes for granted too (it calls that powersafe overwrite). Files that were there keep their
// names; the shared memory is always lost.
type platter struct {
	log     []operation
	durable map[string][]byte
	pending map[string][]operation
}

func (d *disk) platter() *platter {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := &platter{log: d.log, durable: map[string][]byte{}, pending: map[string][]operation{}}
	for name, content := range d.base {
		p.durable[name] = append([]byte(nil), content...)
	}
	return p
}

// spin goes on by one operation. lying are files whose syncs do nothing, as on hardware that lies.
func (p *platter) spin(lying string) (o operation) {
	o, p.log = p.log[0], p.log[1:]
	switch o.act {
	case "write", "cut", "remove":
		p.pending[o.file] = append(p.pending[o.file], o)
	case "sync":
		if o.file == lying {
			break
		}
		for _, before := range p.pending[o.file] {
			if before.act == "remove" {
				panic("a file was used after its removal, which the model doesn't know")
			}
			p.durable[o.file] = before.apply(p.durable[o.file])
		}
		p.pending[o.file] = nil
	case "lost":
		p.pending[o.file] = nil
	}
	return o
}

func (o operation) apply(content []byte) []byte {
	end := o.at + int64(len(o.data))
	if more := end - int64(len(content)); more > 0 {
		content = append(content, make([]byte, more)...)
	}
	if o.act == "cut" {
		return content[:o.at:o.at]
	}
	copy(content[o.at:end], o.data)
	return content
}

// sector is what a disk writes at once or not at all.
const sector = 512

// folder writes down what is left: what was synced, and of the rest what luck (nil for none) decides.
func (p *platter) folder(t *testing.T, luck *rand.Rand) string {
	t.Helper()
	dir := t.TempDir()
	left := map[string][]byte{}
	for name, content := range p.durable {
		left[name] = content
	}
	for name, pending := range p.pending {
		if luck == nil {
			break
		}
		content := append([]byte(nil), left[name]...)
		for _, o := range pending {
			chance := luck.IntN(4)
			switch {
			case chance == 0:
			case o.act == "remove":
				content = nil // as good as none
			case chance == 1 && o.act == "write":
				for from := int64(0); from < int64(len(o.data)); {
					to := min(int64(len(o.data)), ((o.at+from)/sector+1)*sector-o.at)
					if luck.IntN(2) == 0 {
						content = operation{act: "write", at: o.at + from, data: o.data[from:to]}.apply(content)
					}
					from = to
				}
			default:
				content = o.apply(content)
			}
		}
		left[name] = content
	}
	for name, content := range left {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	return dir
}

// interposed is how SQLite comes to know of a disk. Its file systems belong to the process, so there is one
// disk at a time.
var interposed struct {
	sync.Mutex
	to     *disk
	plain  *sqlite3.Tsqlite3_vfs
	ours   *sqlite3.Tsqlite3_vfs
	tables map[uintptr]*sqlite3.Tsqlite3_io_methods // ours, by the address of what they stand for
	open   map[uintptr]openFile                     // by the address of SQLite's file
}

type openFile struct {
	to    *disk
	name  string // as the disk calls it
	plain *sqlite3.Tsqlite3_io_methods
}

// listen begins to note what SQLite does to the files in a folder, until the test ends. Its databases are to
// be opened after that.
func listen(t *testing.T, dir string) *disk {
	t.Helper()
	d := &disk{dir: dir, base: map[string][]byte{}}
	must(t, filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(name, "-shm") {
			return err
		}
		relative, _ := filepath.Rel(dir, name)
		d.base[relative], err = os.ReadFile(name)
		return err
	}))
	tls := libc.NewTLS()
	defer tls.Close()
	i := &interposed
	i.Lock()
	defer i.Unlock()
	if i.ours == nil {
		i.plain = pointer[sqlite3.Tsqlite3_vfs](sqlite3.Xsqlite3_vfs_find(tls, 0))
		i.ours = theirs(tls, *i.plain)
		i.ours.FzName = uintptr(unsafe.Pointer(theirs(tls, [...]byte{'n', 'o', 't', 'e', 'd', 0})))
		i.ours.FxOpen, i.ours.FxDelete = address(vfsOpen), address(vfsDelete)
		i.tables, i.open = map[uintptr]*sqlite3.Tsqlite3_io_methods{}, map[uintptr]openFile{}
	}
	if i.to != nil {
		t.Fatal("there is one disk at a time")
	}
	i.to = d
	sqlite3.Xsqlite3_vfs_register(tls, uintptr(unsafe.Pointer(i.ours)), 1)
	t.Cleanup(func() {
		tls := libc.NewTLS()
		defer tls.Close()
		i.Lock()
		defer i.Unlock()
		i.to = nil
		sqlite3.Xsqlite3_vfs_register(tls, uintptr(unsafe.Pointer(i.plain)), 1)
	})
	return d
}

// pointer and function are what an address of the library stands for, and address is the way back.
func pointer[T any](at uintptr) *T      { return *(**T)(unsafe.Pointer(&at)) }
func function[F any](at uintptr) F      { return *(*F)(unsafe.Pointer(&at)) }
func address[F any](function F) uintptr { return *(*uintptr)(unsafe.Pointer(&function)) }

// theirs copies something into memory of the library's own, where it stays for ever.
func theirs[T any](tls *libc.TLS, v T) *T {
	p := pointer[T](sqlite3.Xsqlite3_malloc(tls, int32(unsafe.Sizeof(v))))
	*p = v
	return p
}

type (
	opener  = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32
	deleter = func(tls *libc.TLS, vfs, name uintptr, syncDir int32) int32
	writer  = func(tls *libc.TLS, file, data uintptr, size int32, at int64) int32
	cutter  = func(tls *libc.TLS, file uintptr, size int64) int32
	syncer  = func(tls *libc.TLS, file uintptr, flags int32) int32
)

// within is a file's path below the disk's folder; ok is false for others.
func (d *disk) within(name uintptr) (relative string, ok bool) {
	if d == nil || name == 0 {
		return "", false
	}
	relative, err := filepath.Rel(d.dir, libc.GoString(name))
	return relative, err == nil && filepath.IsLocal(relative)
}

func vfsOpen(tls *libc.TLS, vfs, name, file uintptr, flags int32, outFlags uintptr) int32 {
	i := &interposed
	i.Lock()
	defer i.Unlock()
	code := function[opener](i.plain.FxOpen)(tls, vfs, name, file, flags, outFlags)
	relative, ok := i.to.within(name)
	opened := pointer[sqlite3.Tsqlite3_file](file)
	if code != sqlite3.SQLITE_OK || !ok || opened.FpMethods == 0 {
		return code
	}
	ours := i.tables[opened.FpMethods]
	if ours == nil {
		ours = theirs(tls, *pointer[sqlite3.Tsqlite3_io_methods](opened.FpMethods))
		ours.FxWrite, ours.FxTruncate, ours.FxSync = address(fileWrite), address(fileCut), address(fileSync)
		i.tables[opened.FpMethods] = ours
	}
	i.open[file] = openFile{i.to, relative, pointer[sqlite3.Tsqlite3_io_methods](opened.FpMethods)}
	opened.FpMethods = uintptr(unsafe.Pointer(ours))
	return code
}

func vfsDelete(tls *libc.TLS, vfs, name uintptr, syncDir int32) int32 {
	i := &interposed
	i.Lock()
	to := i.to
	i.Unlock()
	do := func(operation) int32 { return function[deleter](i.plain.FxDelete)(tls, vfs, name, syncDir) }
	relative, ok := to.within(name)
	if !ok || strings.HasSuffix(relative, "-shm") {
		return do(operation{})
	}
	return to.perform(operation{act: "remove", file: relative}, do)
}

func opened(file uintptr) openFile {
	interposed.Lock()
	defer interposed.Unlock()
	return interposed.open[file]
}

func fileWrite(tls *libc.TLS, file, data uintptr, size int32, at int64) int32 {
	f := opened(file)
	content := append([]byte(nil), unsafe.Slice(pointer[byte](data), size)...)
	return f.to.perform(operation{act: "write", file: f.name, at: at, data: content}, func(o operation) int32 {
		return function[writer](f.plain.FxWrite)(tls, file, data, int32(len(o.data)), at)
	})
}

func fileCut(tls *libc.TLS, file uintptr, size int64) int32 {
	f := opened(file)
	return f.to.perform(operation{act: "cut", file: f.name, at: size}, func(operation) int32 {
		return function[cutter](f.plain.FxTruncate)(tls, file, size)
	})
}

func fileSync(tls *libc.TLS, file uintptr, flags int32) int32 {
	f := opened(file)
	return f.to.perform(operation{act: "sync", file: f.name}, func(operation) int32 {
		return function[syncer](f.plain.FxSync)(tls, file, flags)
	})
}
