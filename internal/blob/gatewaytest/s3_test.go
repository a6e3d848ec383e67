package gatewaytest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/blob"
	"github.com/stewardhq/steward/internal/blob/blobtest"
	"github.com/stewardhq/steward/internal/egress"
)

func TestS3(t *testing.T) {
	s := bucket(t, true)
	must(t, s.Check(t.Context()))
	blobtest.Hold(t, blobtest.Place{Store: s, Now: time.Now, Pass: time.Sleep})
}

// TestCheck says at the start what would fail later.
func TestCheck(t *testing.T) {
	s := bucket(t, true)
	must(t, s.Check(t.Context()))
	must(t, s.Check(t.Context()))
	must(t, s.List(t.Context(), "", func(name string, _ time.Time) error { t.Errorf("%s is left over", name); return nil }))
	open := bucket(t, false)
	for _, c := range []struct {
		name string
		s    *blob.S3
		kind steward.Kind
		says string
	}{
		{"no such bucket", like(s, func(s *blob.S3) { s.Bucket = "nowhere" }), steward.Unavailable, "no bucket nowhere"},
		{"no Object Lock", open, steward.Unavailable, "no Object Lock"},
		{"unknown key", like(s, func(s *blob.S3) { s.Credentials = known("nobody", rootSecret) }), steward.Denied, ""},
		{"wrong secret", like(s, func(s *blob.S3) { s.Credentials = known(rootKey, "guessed") }), steward.Denied, ""},
		{"no server", like(s, func(s *blob.S3) { s.Endpoint = "http://127.0.0.1:1" }), steward.Upstream, "is up"},
		{"no endpoint", like(s, func(s *blob.S3) { s.Endpoint = "s3.eu-central-1.amazonaws.com" }), steward.Invalid, "is no S3 endpoint"},
		{"a path behind it", like(s, func(s *blob.S3) { s.Endpoint += "/bucket" }), steward.Invalid, "is no S3 endpoint"},
		{"no region", like(s, func(s *blob.S3) { s.Region = "" }), steward.Invalid, "region"},
		{"no bucket", like(s, func(s *blob.S3) { s.Bucket = "" }), steward.Invalid, "bucket"},
		{"no credentials", like(s, func(s *blob.S3) {
			s.Credentials = func(context.Context) (blob.Credentials, error) {
				return blob.Credentials{}, steward.Errorf(steward.Unavailable, "the secret's file is gone; put it back")
			}
		}), steward.Unavailable, "put it back"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.s.Check(t.Context())
			wantKind(t, err, c.kind)
			if !strings.Contains(steward.Message(err), c.says) || strings.Contains(steward.Message(err), rootSecret) {
				t.Errorf("it says %q", steward.Message(err))
			}
		})
	}
	until := time.Now().Add(time.Hour)
	err := open.Put(t.Context(), "a", strings.NewReader("x"), 1, until)
	wantKind(t, err, steward.Unavailable)
	if !strings.Contains(steward.Message(err), "no Object Lock") {
		t.Error(err)
	}
}

// TestOneWayOut: Origin is all that requests need to reach, and what the way out refuses is told as it was.
func TestOneWayOut(t *testing.T) {
	s := bucket(t, true)
	var out egress.Egress
	defer out.CloseIdle()
	origin, err := s.Origin()
	must(t, err)
	must(t, like(s, func(s *blob.S3) {
		s.Client = out.Client("ws_1", egress.Destination{URL: origin, Private: true})
	}).Check(t.Context()))
	err = like(s, func(s *blob.S3) { s.Client = out.Client("ws_1") }).Check(t.Context())
	wantKind(t, err, steward.Denied)
	if !strings.Contains(steward.Message(err), "sends nothing to "+origin) {
		t.Error(err)
	}
	for endpoint, want := range map[string]string{
		"https://s3.eu-central-1.amazonaws.com": "https://b.s3.eu-central-1.amazonaws.com", "http://127.0.0.1:9000/": "http://b.127.0.0.1:9000",
	} {
		if got, err := (&blob.S3{Endpoint: endpoint, Bucket: "b"}).Origin(); got != want || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// TestBucketThatLocksByDefault is used as it is, though nothing in it can be deleted for a while.
func TestBucketThatLocksByDefault(t *testing.T) {
	s := bucket(t, true)
	_, err := admin().PutObjectLockConfiguration(t.Context(), &s3.PutObjectLockConfigurationInput{
		Bucket: &s.Bucket,
		ObjectLockConfiguration: &types.ObjectLockConfiguration{ObjectLockEnabled: types.ObjectLockEnabledEnabled, Rule: &types.ObjectLockRule{
			DefaultRetention: &types.DefaultRetention{Mode: types.ObjectLockRetentionModeCompliance, Days: aws.Int32(1)},
		}},
	})
	must(t, err)
	must(t, s.Check(t.Context()))
	must(t, s.Check(t.Context()))
}

// TestLockIsTheBuckets: nobody gets round it, the bucket's owner included.
func TestLockIsTheBuckets(t *testing.T) {
	s := bucket(t, true)
	ctx, until := t.Context(), time.Now().Add(time.Hour)
	put(t, s, "put", "put", until)
	put(t, s, "later", "later", time.Time{})
	must(t, s.Lock(ctx, "later", until))
	for _, name := range []string{"put", "later"} {
		key := aws.String(s.Prefix + name)
		there, err := admin().HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.Bucket, Key: key})
		must(t, err)
		if there.ObjectLockMode != types.ObjectLockModeCompliance || there.ObjectLockRetainUntilDate == nil ||
			there.ObjectLockRetainUntilDate.Before(until) || there.ObjectLockRetainUntilDate.After(until.Add(2*time.Second)) {
			t.Errorf("%s: mode %v until %v, want until %v", name, there.ObjectLockMode, there.ObjectLockRetainUntilDate, until)
		}
		if _, err := admin().DeleteObject(ctx, &s3.DeleteObjectInput{
			Bucket: &s.Bucket, Key: key, VersionId: there.VersionId, BypassGovernanceRetention: aws.Bool(true),
		}); err == nil {
			t.Errorf("%s: the owner deletes it", name)
		}
		if _, err := admin().PutObjectRetention(ctx, &s3.PutObjectRetentionInput{
			Bucket: &s.Bucket, Key: key, VersionId: there.VersionId, BypassGovernanceRetention: aws.Bool(true),
			Retention: &types.ObjectLockRetention{Mode: types.ObjectLockRetentionModeCompliance, RetainUntilDate: aws.Time(until.Add(-30 * time.Minute))},
		}); err == nil {
			t.Errorf("%s: the owner shortens its lock", name)
		}
		err = s.Delete(ctx, name)
		wantKind(t, err, steward.Conflict)
		if !strings.Contains(steward.Message(err), "locked until") {
			t.Error(err)
		}
		// Hidden behind a marker, it is gone to the eye only.
		_, err = admin().DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.Bucket, Key: key})
		must(t, err)
		wantKind(t, s.Delete(ctx, name), steward.Conflict)
		versions, err := admin().ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &s.Bucket, Prefix: key})
		must(t, err)
		if len(versions.Versions) != 1 {
			t.Errorf("%s: %d versions", name, len(versions.Versions))
		}
	}
}

func TestLegalHold(t *testing.T) {
	s := bucket(t, true)
	ctx := t.Context()
	put(t, s, "held", "held", time.Time{})
	hold(t, s, "held", types.ObjectLockLegalHoldStatusOn)
	err := s.Delete(ctx, "held")
	wantKind(t, err, steward.Conflict)
	if !strings.Contains(steward.Message(err), "legal hold") {
		t.Error(err)
	}
	if got := read(t, s, "held"); got != "held" {
		t.Errorf("%q", got)
	}
	wantKind(t, s.Put(ctx, "held", strings.NewReader("x"), 1, time.Time{}), steward.Conflict)
	hold(t, s, "held", types.ObjectLockLegalHoldStatusOff)
	must(t, s.Delete(ctx, "held"))
}

// TestDeleteLeavesNoVersion: what was deleted is gone, and what others put over it too.
func TestDeleteLeavesNoVersion(t *testing.T) {
	s := bucket(t, true)
	ctx, key := t.Context(), aws.String(s.Prefix+"a")
	put(t, s, "a", "ours", time.Time{})
	put(t, s, "a2", "a neighbour", time.Time{})
	o, err := s.Open(ctx, "a")
	must(t, err)
	big := bytes.Repeat([]byte("theirs"), 100_000)
	for range 3 {
		_, err := admin().PutObject(ctx, &s3.PutObjectInput{Bucket: &s.Bucket, Key: key, Body: bytes.NewReader(big)})
		must(t, err)
		_, err = admin().DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.Bucket, Key: key})
		must(t, err)
	}
	must(t, s.Delete(ctx, "a"))
	left, err := admin().ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &s.Bucket, Prefix: key})
	must(t, err)
	if len(left.Versions) != 1 || len(left.DeleteMarkers) != 0 {
		t.Errorf("left: %d versions, %d markers", len(left.Versions), len(left.DeleteMarkers))
	}
	if n, err := o.ReadAt(make([]byte, 1), 0); steward.KindOf(err) != steward.NotFound {
		t.Errorf("it still reads: %d %v", n, err)
	}
	if got := read(t, s, "a2"); got != "a neighbour" {
		t.Errorf("%q", got)
	}
}

// TestDeletedMeanwhile: for whoever deletes second it is gone, and that is what they wanted.
func TestDeletedMeanwhile(t *testing.T) {
	behind := bucket(t, true)
	put(t, behind, "a", "text", time.Time{})
	var seconds atomic.Int64
	s := through(t, behind, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method == http.MethodDelete {
			seconds.Add(1)
			if err := behind.Delete(r.Context(), "a"); err != nil {
				t.Error(err)
			}
		}
		return false
	})
	must(t, s.Delete(t.Context(), "a"))
	if seconds.Load() != 1 {
		t.Errorf("it was deleted %d times", seconds.Load())
	}
}

// TestReplacedWhileOpen: another version is never taken for the one that was opened.
func TestReplacedWhileOpen(t *testing.T) {
	s := bucket(t, true)
	size := 3 << 20
	put(t, s, "a", string(blobtest.Text("ours", size)), time.Time{})
	o, err := s.Open(t.Context(), "a")
	must(t, err)
	_, err = admin().PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &s.Bucket, Key: aws.String(s.Prefix + "a"), Body: bytes.NewReader(blobtest.Text("theirs", size)),
	})
	must(t, err)
	_, err = o.ReadAt(make([]byte, 10), 0)
	wantKind(t, err, steward.Internal)
}

// TestRights: a user without any is denied, and told so.
func TestRights(t *testing.T) {
	s := through(t, bucket(t, true), func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		return refuse(w, http.StatusForbidden, "AccessDenied")
	})
	put := s.Put(t.Context(), "a", strings.NewReader("x"), 1, time.Time{})
	_, open := s.Open(t.Context(), "a")
	for what, err := range map[string]error{
		"Check": s.Check(t.Context()), "Put": put, "Open": open, "Delete": s.Delete(t.Context(), "a"),
		"Lock": s.Lock(t.Context(), "a", time.Now().Add(time.Hour)),
		"List": s.List(t.Context(), "", func(string, time.Time) error { return nil }),
	} {
		if steward.KindOf(err) != steward.Denied || !strings.Contains(steward.Message(err), "rights") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestAnswers: each of these says what to do, and none is taken for another.
func TestAnswers(t *testing.T) {
	s := bucket(t, true)
	for _, c := range []struct {
		status int
		code   string
		kind   steward.Kind
		says   string
	}{
		{403, "RequestTimeTooSkewed", steward.Unavailable, "clock"},
		{403, "InvalidAccessKeyId", steward.Denied, "credentials"},
		{403, "SignatureDoesNotMatch", steward.Denied, "credentials"},
		{400, "ExpiredToken", steward.Denied, "credentials"},
		{404, "NoSuchBucket", steward.Unavailable, "there is no bucket"},
		{503, "SlowDown", steward.Unavailable, "later"},
		{500, "InternalError", steward.Upstream, "log"},
		{301, "PermanentRedirect", steward.Unavailable, "region"},
		{400, "AuthorizationHeaderMalformed", steward.Unavailable, "region"},
		{400, "InvalidRequest", steward.Upstream, "InvalidRequest"},
		{400, "EntityTooLarge", steward.TooLarge, "split"},
		{412, "PreconditionFailed", steward.Conflict, "already"},
		{400, "<b>", steward.Upstream, ""},
	} {
		t.Run(c.code, func(t *testing.T) {
			s := through(t, s, func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
				return refuse(w, c.status, c.code)
			})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			err := s.Put(ctx, "a", strings.NewReader("x"), 1, time.Time{})
			wantKind(t, err, c.kind)
			if !strings.Contains(steward.Message(err), c.says) {
				t.Errorf("it says %q", steward.Message(err))
			}
		})
	}
}

// TestLostAnswer: a Put whose answer got lost is done once, and said to be.
func TestLostAnswer(t *testing.T) {
	behind := bucket(t, true)
	var puts atomic.Int64
	s := through(t, behind, func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		if r.Method != http.MethodPut || puts.Add(1) > 1 {
			return false
		}
		next.ServeHTTP(httptest.NewRecorder(), r)
		return cut(w)
	})
	put(t, s, "a", "text", time.Time{})
	if puts.Load() < 2 || read(t, behind, "a") != "text" {
		t.Errorf("%d tries", puts.Load())
	}
	puts.Store(0)
	wantKind(t, s.Put(t.Context(), "a", strings.NewReader("text"), 4, time.Time{}), steward.Conflict)
}

// TestCutUpload: a body that ends early leaves nothing.
func TestCutUpload(t *testing.T) {
	behind := bucket(t, true)
	text := blobtest.Text("upload", 1<<20)
	s := through(t, behind, func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		if r.Method != http.MethodPut {
			return false
		}
		r.Body = io.NopCloser(io.LimitReader(r.Body, 300_000))
		rec := httptest.NewRecorder()
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		next.ServeHTTP(rec, r.WithContext(ctx))
		if rec.Code < 300 {
			t.Errorf("the server took a cut body: %d", rec.Code)
		}
		return cut(w)
	})
	wantKind(t, s.Put(t.Context(), "a", bytes.NewReader(text), int64(len(text)), time.Time{}), steward.Upstream)
	_, err := behind.Open(t.Context(), "a")
	wantKind(t, err, steward.NotFound)
	// Bytes that change on the way are noticed by their checksum.
	changing := through(t, behind, func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		if r.Method == http.MethodPut {
			body, err := io.ReadAll(r.Body)
			if err == nil && len(body) > 0 {
				body[len(body)/2] ^= 1
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		return false
	})
	if err := changing.Put(t.Context(), "b", bytes.NewReader(text), int64(len(text)), time.Time{}); err == nil {
		t.Error("changed bytes are kept")
	}
	_, err = behind.Open(t.Context(), "b")
	wantKind(t, err, steward.NotFound)
}

// TestGoneWhileReading: answers that end early are asked for again; a server that stays away is an error, and
// never a short object.
func TestGoneWhileReading(t *testing.T) {
	behind := bucket(t, true)
	text := blobtest.Text("reading", 5<<20)
	put(t, behind, "a", string(text), time.Time{})
	var gets, cuts atomic.Int64 // cuts: how many answers are still to be cut
	s := through(t, behind, func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		if r.Method != http.MethodGet || !strings.HasPrefix(r.Header.Get("Range"), "bytes=") {
			return false
		}
		gets.Add(1)
		if cuts.Add(-1) < 0 {
			return false
		}
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		for key, values := range rec.Header() {
			w.Header()[key] = values
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
		_ = http.NewResponseController(w).Flush()
		return cut(w)
	})
	cuts.Store(2)
	o, err := s.Open(t.Context(), "a")
	must(t, err)
	got := make([]byte, len(text))
	for off := 0; off < len(text); off += 500_000 {
		cuts.Store(1)
		_, err := o.ReadAt(got[off:min(off+500_000, len(text))], int64(off))
		must(t, err)
	}
	if !bytes.Equal(got, text) {
		t.Error("it reads otherwise")
	}
	fresh := like(s, func(*blob.S3) {}) // remembers nothing
	o, err = fresh.Open(t.Context(), "a")
	must(t, err)
	cuts.Store(1000)
	gets.Store(0)
	n, err := o.ReadAt(got, 0)
	wantKind(t, err, steward.Upstream)
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) || n != 0 || gets.Load() != 3 {
		t.Errorf("%d bytes, %v, %d tries", n, err, gets.Load())
	}
	cuts.Store(0)
	_, err = o.ReadAt(got, 0)
	if err != nil || !bytes.Equal(got, text) {
		t.Errorf("once it is back: %v", err)
	}
}

// TestSlowServer: nobody waits longer than their context.
func TestSlowServer(t *testing.T) {
	behind := bucket(t, true)
	put(t, behind, "a", "text", time.Time{})
	var slow atomic.Bool
	s := through(t, behind, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if slow.Load() {
			select {
			case <-r.Context().Done():
			case <-time.After(10 * time.Second):
			}
		}
		return false
	})
	put(t, s, "big", strings.Repeat("b", 1<<20), time.Time{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	o, err := s.Open(ctx, "big")
	must(t, err)
	slow.Store(true)
	begun := time.Now()
	_, reading := o.ReadAt(make([]byte, 10), 0)
	_, opening := s.Open(ctx, "a")
	for what, err := range map[string]error{
		"ReadAt": reading, "Open": opening, "Put": s.Put(ctx, "b", strings.NewReader("x"), 1, time.Time{}), "Delete": s.Delete(ctx, "a"),
		"Lock": s.Lock(ctx, "a", time.Now().Add(time.Hour)), "Check": s.Check(ctx),
		"List": s.List(ctx, "", func(string, time.Time) error { return nil }),
	} {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestRequests: a Parquet file's reader doesn't cost a request for every few bytes.
func TestRequests(t *testing.T) {
	behind := bucket(t, true)
	const size = 20 << 20
	put(t, behind, "a", string(blobtest.Text("requests", size)), time.Time{})
	s, requests := counting(t, behind)
	opened := func() blob.Object {
		o, err := s.Open(t.Context(), "a")
		must(t, err)
		return o
	}
	o := opened()
	small := func(from, step, count int64) {
		for i := range count {
			if _, err := o.ReadAt(make([]byte, 100), from+i*step); err != nil {
				t.Fatal(err)
			}
		}
	}
	is := func(what string, want int64) {
		t.Helper()
		if got := requests.Swap(0); got > want {
			t.Errorf("%s: %d requests, want at most %d", what, got, want)
		}
	}
	small(size-8000, 100, 80)
	is("opening it and reading its footer", 1)
	small(1<<20, 100, 2000)
	is("reading small pieces of one place", 2)
	_, err := io.Copy(io.Discard, bufioless{io.NewSectionReader(o, 0, size)})
	must(t, err)
	is("reading it through", 10)
	o = opened()
	small(size-8000, 100, 80)
	is("opening it again", 1)
	_, err = o.ReadAt(make([]byte, size), 0)
	must(t, err)
	is("reading it at once", 6)
}

// bufioless reads 32 KiB at once, as io.Copy does where nobody offers more.
type bufioless struct{ io.Reader }
