// Package postgres answers: is there a Postgres to test on? It starts one server for each test binary,
// from the programs that the machine has, and makes databases in it; it doesn't know what they are for.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// require is the environment variable that makes tests fail where they would skip: where it contains
// "postgres" there has to be one.
const require = "STEWARD_REQUIRE"

// The roles of every server. Owner is held to row-level security, as in production.
const (
	Superuser = "root"
	Owner     = "steward"
)

// Server is a running Postgres. It listens on a socket in its folder only, and flushes to disk as in
// production. It ends, and its folder goes, when the test binary ends, however that comes about.
type Server struct {
	dir  string // holds the folder "data", and the socket
	bin  string
	as   *syscall.SysProcAttr
	life io.Closer // the end that the watcher waits for
	made atomic.Int64

	mu   sync.Mutex
	done []string // databases that nobody needs any more
}

var shared = sync.OnceValues(func() (*Server, error) { return begin(nil) })

// Start gives the test binary's server. It skips the test where no Postgres is installed, unless the
// environment requires one.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := shared()
	if errors.Is(err, exec.ErrNotFound) && !strings.Contains(os.Getenv(require), "postgres") {
		t.Skipf("no Postgres is installed; install Debian's postgresql, or set %s=postgres to have this fail", require)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Copy is another server, on a copy of this one's data folder as it lies there when it is cut off: tables,
// indexes and the write-ahead log.
func (s *Server) Copy(t testing.TB) *Server {
	t.Helper()
	s.sweep(t)
	if err := s.control("stop", "-m", "immediate"); err != nil {
		t.Fatal(err)
	}
	other, err := begin(s)
	if err = errors.Join(err, s.control("start")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.life.Close() })
	return other
}

// begin starts a server on a new data folder, or on a copy of another's.
func begin(from *Server) (*Server, error) {
	initdb, err := find("initdb")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: filepath.Dir(initdb), as: &syscall.SysProcAttr{}}
	if s.dir, err = os.MkdirTemp("", "steward-postgres-"); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 { // which Postgres refuses to run as
		uid, gid, err := nobody()
		if err != nil {
			return nil, err
		}
		s.as.Credential = &syscall.Credential{Uid: uid, Gid: gid}
		if err := os.Chown(s.dir, int(uid), int(gid)); err != nil {
			return nil, err
		}
	}
	// Whatever ends this process closes the pipe, and the shell goes on.
	watcher := s.command("sh", "-c", `read -r _; "$0/pg_ctl" -D "$1/data" -m immediate stop; rm -rf "$1"`, s.bin, s.dir)
	if s.life, err = watcher.StdinPipe(); err != nil {
		return nil, err
	}
	if err := watcher.Start(); err != nil {
		return nil, err
	}
	go func() { _ = watcher.Wait() }()
	if from != nil {
		err = run(s.command("cp", "-a", from.data(), s.data()))
	} else {
		err = run(s.command(initdb, "-D", s.data(), "-U", Superuser, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"))
	}
	if err == nil {
		err = s.control("start")
	}
	if err == nil && from == nil {
		err = s.exec("postgres", "CREATE ROLE "+Owner+" LOGIN NOSUPERUSER NOBYPASSRLS")
	}
	if err != nil {
		_ = s.life.Close()
		return nil, err
	}
	return s, nil
}

// find looks for a program on the PATH, and where Debian puts it.
func find(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err == nil {
		return filepath.EvalSymlinks(path)
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + program)
	if len(found) == 0 {
		return "", err
	}
	return slices.Max(found), nil
}

// nobody is a user who owns nothing else.
func nobody() (uid, gid uint32, err error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return 0, 0, err
		}
	}
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0, 0, err
	}
	group, err := strconv.ParseUint(u.Gid, 10, 32)
	return uint32(id), uint32(group), err
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(program string, args ...string) *exec.Cmd {
	c := exec.CommandContext(context.Background(), program, args...)
	c.Dir, c.SysProcAttr = s.dir, s.as
	return c
}

// run keeps what a program says in a file, since the server outlives the program and would hold a pipe open.
func run(c *exec.Cmd) error {
	said, err := os.CreateTemp("", "steward-postgres-said-")
	if err != nil {
		return err
	}
	defer func() { _ = errors.Join(said.Close(), os.Remove(said.Name())) }()
	c.Stdout, c.Stderr = said, said
	if err := c.Run(); err != nil {
		text, _ := os.ReadFile(said.Name())
		return fmt.Errorf("%v: %w\n%s", c.Args, err, text)
	}
	return nil
}

func (s *Server) control(verb string, args ...string) error {
	options := "-c listen_addresses='' -c unix_socket_directories=" + s.dir
	args = append([]string{verb, "-D", s.data(), "-w", "-l", filepath.Join(s.dir, "log"), "-o", options}, args...)
	if verb == "stop" {
		args = slices.DeleteFunc(args, func(a string) bool { return a == "-o" || a == options })
	}
	return run(s.command(filepath.Join(s.bin, "pg_ctl"), args...))
}

// sweep drops databases before a crash, since the server flushes every file there is when it starts after one.
// Dropping each at once would cost a checkpoint each.
func (s *Server) sweep(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range s.done {
		s.Exec(t, "postgres", "DROP DATABASE "+name+" WITH (FORCE)")
	}
	s.done = nil
}

// Restart ends the server as a crash does, and starts it again.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.sweep(t)
	if err := s.control("restart", "-m", "immediate"); err != nil {
		t.Fatal(err)
	}
}

// Database makes an empty database and gives its address, for Owner. Its language is English, so that what
// is ordered without saying by what comes out in another order than on SQLite.
func (s *Server) Database(t testing.TB) (url string) {
	t.Helper()
	name := fmt.Sprint("test_", s.made.Add(1))
	s.Exec(t, "postgres", "CREATE DATABASE "+name+" OWNER "+Owner+" TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'")
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.done = append(s.done, name)
	})
	return s.URL(Owner, name)
}

// URL is the address of a database for a role.
func (s *Server) URL(role, database string) string {
	return fmt.Sprintf("postgres:///%s?host=%s&user=%s", database, s.dir, role)
}

// Exec runs statements in a database as the superuser.
func (s *Server) Exec(t testing.TB, database, statements string) {
	t.Helper()
	if err := s.exec(database, statements); err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
}

func (s *Server) exec(database, statements string) error {
	db, err := sql.Open("pgx", s.URL(Superuser, database))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(context.Background(), statements, pgx.QueryExecModeSimpleProtocol)
	return errors.Join(err, db.Close())
}
