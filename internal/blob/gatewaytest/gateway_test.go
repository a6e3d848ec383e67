// Package gatewaytest holds blob.S3 against a server that isn't ours: versitygw, which enforces locks, legal holds and
// conditional puts. It is a module of its own, so that the program doesn't depend on it: run `go test ./...` here.
// The server syncs nothing to disk, so this shows the protocol and not durability.
package gatewaytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"crypto/rand"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/blob"
)

const region, rootKey, rootSecret = "eu-central-1", "root", "root-secret"

// endpoint is that of the running server.
var endpoint string

func TestMain(m *testing.M) {
	code, err := withGateway(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// withGateway builds the server where it isn't built yet, and runs it meanwhile.
func withGateway(run func() int) (code int, err error) {
	built, err := exec.Command("go", "tool", "-n", "versitygw").Output()
	if err != nil {
		return 0, fmt.Errorf("build versitygw: %w", err)
	}
	dir, err := os.MkdirTemp("", "gateway")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	data, versions, users := filepath.Join(dir, "data"), filepath.Join(dir, "versions"), filepath.Join(dir, "users")
	for _, d := range []string{data, versions, users} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return 0, err
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		return 0, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(strings.TrimSpace(string(built)), "--port", address, "--access", rootKey, "--secret", rootSecret, "--region", region,
		"--iam-dir", users, "--quiet", "posix", "--versioning-dir", versions, data)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill(); <-ended }()
	for range 200 {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			endpoint = "http://" + address
			return run(), nil
		}
		select {
		case err := <-ended:
			ended <- err
			text, _ := os.ReadFile(log.Name())
			return 0, fmt.Errorf("versitygw ended: %w\n%s", err, text)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return 0, errors.New("versitygw doesn't answer")
}

// admin is the bucket owner's own way in.
func admin() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: &endpoint, Region: region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(rootKey, rootSecret, ""),
	})
}

// bucket makes one, with Object Lock or without, and gives Steward's way in.
func bucket(t *testing.T, lock bool) *blob.S3 {
	t.Helper()
	name := strings.ToLower(strings.Map(func(r rune) rune {
		if r == '/' || r == '_' || r == ' ' {
			return '-'
		}
		return r
	}, t.Name()))
	name = fmt.Sprintf("%.40s-%s", name, strings.ToLower(rand.Text()[:8]))
	_, err := admin().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name, ObjectLockEnabledForBucket: &lock})
	must(t, err)
	return &blob.S3{
		Client: &http.Client{}, Endpoint: endpoint, Region: region, Bucket: name, Prefix: "records/", PathStyle: true,
		Credentials: known(rootKey, rootSecret), Now: time.Now, Rand: rand.Reader,
	}
}

func known(key, secret string) func(context.Context) (blob.Credentials, error) {
	return func(context.Context) (blob.Credentials, error) {
		return blob.Credentials{AccessKey: key, SecretKey: secret}, nil
	}
}

// like is another way into the same bucket.
func like(s *blob.S3, change func(*blob.S3)) *blob.S3 {
	c := &blob.S3{
		Client: s.Client, Endpoint: s.Endpoint, Region: s.Region, Bucket: s.Bucket, Prefix: s.Prefix, PathStyle: s.PathStyle,
		Credentials: s.Credentials, Now: s.Now, Rand: s.Rand,
	}
	change(c)
	return c
}

// through puts a proxy before the server: fault sees each request, and does it itself when it returns true.
func through(t *testing.T, s *blob.S3, fault func(w http.ResponseWriter, r *http.Request, next http.Handler) bool) *blob.S3 {
	t.Helper()
	target, err := url.Parse(endpoint)
	must(t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !fault(w, r, proxy) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return like(s, func(s *blob.S3) { s.Endpoint = server.URL })
}

// counting counts the requests.
func counting(t *testing.T, s *blob.S3) (*blob.S3, *atomic.Int64) {
	var n atomic.Int64
	return through(t, s, func(http.ResponseWriter, *http.Request, http.Handler) bool { n.Add(1); return false }), &n
}

// refuse answers with an error of S3's.
func refuse(w http.ResponseWriter, status int, code string) bool {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>it says no</Message></Error>", code)
	return true
}

// cut ends the connection in the middle of an answer.
func cut(w http.ResponseWriter) bool {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close()
	}
	return true
}

func hold(t *testing.T, s *blob.S3, name string, status types.ObjectLockLegalHoldStatus) {
	t.Helper()
	_, err := admin().PutObjectLegalHold(t.Context(), &s3.PutObjectLegalHoldInput{
		Bucket: &s.Bucket, Key: aws.String(s.Prefix + name), LegalHold: &types.ObjectLockLegalHold{Status: status},
	})
	must(t, err)
}

func put(t *testing.T, s *blob.S3, name, text string, until time.Time) {
	t.Helper()
	must(t, s.Put(t.Context(), name, strings.NewReader(text), int64(len(text)), until))
}

func read(t *testing.T, s *blob.S3, name string) string {
	t.Helper()
	o, err := s.Open(t.Context(), name)
	must(t, err)
	text, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
	must(t, errors.Join(err, o.Close()))
	return string(text)
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
