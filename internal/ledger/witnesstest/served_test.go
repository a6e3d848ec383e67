package witnesstest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"filippo.io/torchwood"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/mod/sumdb/note"
)

const region, accessKey, secretKey = "eu-central-1", "root", "root-secret"

// bucket is one with Object Lock on a server that runs beside the test: versitygw, as the module of blob's tests has it.
type bucket struct {
	*s3.Client
	endpoint string
}

func startBucket(t *testing.T, names ...string) bucket {
	t.Helper()
	find := exec.Command("go", "tool", "-n", "versitygw")
	find.Dir = filepath.Join("..", "..", "blob", "gatewaytest")
	binary, err := find.Output()
	must(t, err)
	dir := t.TempDir()
	data, versions, users := filepath.Join(dir, "data"), filepath.Join(dir, "versions"), filepath.Join(dir, "users")
	for _, d := range []string{data, versions, users} {
		must(t, os.Mkdir(d, 0o700))
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, free.Close())
	cmd := exec.Command(strings.TrimSpace(string(binary)), "--port", free.Addr().String(), "--access", accessKey, "--secret", secretKey, "--region", region,
		"--iam-dir", users, "--quiet", "posix", "--versioning-dir", versions, data)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the bucket's server says\n%s", &said)
		}
	})
	b := bucket{endpoint: "http://" + free.Addr().String()}
	b.Client = s3.New(s3.Options{
		BaseEndpoint: &b.endpoint, Region: region, UsePathStyle: true,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey}, nil
		}),
	})
	eventually(t, "the bucket's server listens", func() bool {
		conn, err := net.Dial("tcp", free.Addr().String())
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	for _, name := range names {
		_, err = b.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name, ObjectLockEnabledForBucket: aws.Bool(true)})
		must(t, err)
	}
	return b
}

// url is what `steward serve --objects` takes.
func (b bucket) url(name string) string {
	return "s3://" + name + "/acme?region=" + region + "&endpoint=" + b.endpoint
}

func (b bucket) objects(t *testing.T, name string) (keys []string) {
	t.Helper()
	list, err := b.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &name})
	must(t, err)
	for _, o := range list.Contents {
		keys = append(keys, *o.Key)
	}
	return keys
}

// receiver takes webhooks, and believes those that are signed (Standard Webhooks).
type receiver struct {
	secret []byte
	mu     sync.Mutex
	notes  []string
	wrong  []error
}

func (h *receiver) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	mac := hmac.New(sha256.New, h.secret)
	mac.Write([]byte(r.Header.Get("Webhook-Id") + "." + r.Header.Get("Webhook-Timestamp") + "." + string(body)))
	var sent struct{ Workspace, Checkpoint string }
	if "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) != r.Header.Get("Webhook-Signature") {
		err = errors.New("a webhook isn't signed")
	}
	err = errors.Join(err, json.Unmarshal(body, &sent))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = append(h.notes, sent.Checkpoint)
	if err != nil {
		h.wrong = append(h.wrong, err)
	}
}

func (h *receiver) got() (notes []string, wrong error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.notes), errors.Join(h.wrong...)
}

// program is Steward as people run it.
type program struct {
	t    *testing.T
	path string
	env  []string
}

func (p *program) set(name, value string) { p.env = append(p.env, name+"="+value) }

func (p *program) command(args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.Command(p.path, args...)
	said := new(bytes.Buffer)
	cmd.Env, cmd.Stderr = p.env, said
	return cmd, said
}

// run runs a command to its end, which has to be good, and decodes what it prints.
func (p *program) run(into any, args ...string) {
	p.t.Helper()
	cmd, said := p.command(append(args, "--json")...)
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("steward %s: %v\n%s%s", strings.Join(args, " "), err, out, said)
	}
	if into != nil {
		must(p.t, json.Unmarshal(out, into))
	}
}

// start starts a command that serves, decodes its first line, and gives what ends it well.
func (p *program) start(into any, args ...string) (end func()) {
	p.t.Helper()
	cmd, said := p.command(append(args, "--json", "--listen", "127.0.0.1:0")...)
	out, err := cmd.StdoutPipe()
	must(p.t, err)
	must(p.t, cmd.Start())
	lines := bufio.NewReader(out)
	first, err := lines.ReadBytes('\n')
	if err != nil {
		_ = cmd.Wait()
		p.t.Fatalf("steward %s: %v\n%s", strings.Join(args, " "), err, said)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	must(p.t, json.Unmarshal(first, into))
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	end = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				p.t.Errorf("steward %s ended with %v\n%s", strings.Join(args, " "), err, said)
			}
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			p.t.Errorf("steward %s doesn't end", strings.Join(args, " "))
		}
	})
	p.t.Cleanup(end)
	return end
}

func get(t *testing.T, url, token string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(r)
	must(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	must(t, err)
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s", url, answer.StatusCode, body)
	}
	return string(body)
}

// TestServedWithAll: the program with a bucket, a witness and a webhook at once. What is two months old goes
// into the bucket and is locked there, what is asked is cosigned within moments and sent to the webhook, and all of it verifies.
func TestServedWithAll(t *testing.T) {
	p := &program{t: t, path: filepath.Join(t.TempDir(), "steward")}
	build := exec.Command("go", "build", "-o", p.path, "./cmd/steward")
	build.Dir = filepath.Join("..", "..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b := startBucket(t, "records", "empty")
	w := install(t, buildWitness(t), "w1.test")
	hook := &receiver{secret: bytes.Repeat([]byte{7}, 32)}
	hooked := httptest.NewServer(hook)
	defer hooked.Close()
	data := filepath.Join(t.TempDir(), "data")
	p.set("HOME", data)
	p.set("AWS_ACCESS_KEY_ID", accessKey)
	p.set("AWS_SECRET_ACCESS_KEY", secretKey)
	p.set("STEWARD_WEBHOOK_SECRET", "whsec_"+base64.StdEncoding.EncodeToString(hook.secret))

	// Two months ago, without any of it.
	before := time.Now().AddDate(0, 0, -65).UTC().Format(time.DateOnly)
	var org struct {
		URL   string `json:"instance_url"`
		Users []struct {
			Token string `json:"access_token"`
		}
	}
	p.start(&org, "sandbox", "serve", "--today", before)
	var made struct{ Token, Workspace string }
	p.run(&made, "init", "--data", data, "--workspace", "acme", "--admin", "ops@acme.example", "--today", before)
	p.set("STEWARD_TOKEN", made.Token)
	serving := func(args ...string) (url string, end func()) {
		var at struct{ URL string }
		end = p.start(&at, append([]string{"serve", "--data", data}, args...)...)
		p.set("STEWARD_URL", at.URL)
		return at.URL, end
	}
	url, end := serving("--today", before)
	p.run(&made, "token", "issue", "--days", "366")
	p.set("STEWARD_TOKEN", made.Token)
	p.run(nil, "connect", "salesforce", "--instance-url", org.URL, "--access-token", org.Users[0].Token)
	p.run(nil, "ask", "What stages are there?")
	for range 300 { // each look is an entry, and what is sealed is a multiple of 256
		get(t, url+"/api/v1/log?limit=1&purpose=troubleshooting", made.Token)
	}
	var old struct{ Checkpoint, Key string }
	p.run(&old, "proof", "0")
	end()
	origin, _, _ := strings.Cut(old.Checkpoint, "\n")
	w.takeIn(origin, old.Key)

	// Today, with all of it.
	with := []string{"--objects", b.url("records"), "--witness", w.vkey + " http://" + w.address}
	url, end = serving(append(with, "--webhook", hooked.URL)...)
	p.run(nil, "ask", "What stages are there?")
	signer, err := note.NewVerifier(old.Key)
	must(t, err)
	cosigner, err := torchwood.NewCosignatureVerifier(w.vkey)
	must(t, err)
	var now struct {
		Checkpoint, Key string
		Signed          uint64
	}
	p.run(&now, "proof", "0") // which has it signed
	all := torchwood.ThresholdPolicy(3, torchwood.OriginPolicy(origin), torchwood.SingleVerifierPolicy(signer), torchwood.SingleVerifierPolicy(cosigner))
	eventually(t, "what was asked is cosigned", func() bool {
		shown := get(t, url+"/tlog/"+made.Workspace+"/checkpoint", made.Token)
		got, _, err := torchwood.VerifyCheckpoint([]byte(shown), all)
		return err == nil && uint64(got.N) >= now.Signed && w.remembers(origin) >= now.Signed
	})
	eventually(t, "the webhook is told", func() bool {
		notes, wrong := hook.got()
		must(t, wrong)
		return slices.ContainsFunc(notes, func(text string) bool {
			got, _, err := torchwood.VerifyCheckpoint([]byte(text), torchwood.ThresholdPolicy(2, torchwood.OriginPolicy(origin), torchwood.SingleVerifierPolicy(signer)))
			must(t, err)
			return uint64(got.N) >= now.Signed
		})
	})
	locked := func(key string) bool {
		lock, err := b.GetObjectRetention(t.Context(), &s3.GetObjectRetentionInput{Bucket: aws.String("records"), Key: &key})
		return err == nil && lock.Retention.RetainUntilDate.After(time.Now().AddDate(6, 0, 0))
	}
	eventually(t, "what is two months old is locked in the bucket", func() bool { return slices.ContainsFunc(b.objects(t, "records"), locked) })
	t.Logf("%q in the bucket, %d entries cosigned", b.objects(t, "records"), w.remembers(origin))
	p.run(nil, "receipt", "1", "--out", filepath.Join(t.TempDir(), "e.tlog-proof")) // of what is in the bucket by now
	end()

	p.run(nil, append([]string{"verify", "--data", data}, with...)...)
	cmd, said := p.command("verify", "--data", data, "--objects", b.url("empty"))
	if out, err := cmd.Output(); err == nil {
		t.Errorf("nothing is missed where the bucket is an empty one:\n%s%s", out, said)
	}
}
