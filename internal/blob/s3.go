package blob

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/stewardhq/steward"
)

// S3 keeps objects in a bucket that has Object Lock, on Amazon's S3 or a server that speaks like it. Locks are
// of the mode COMPLIANCE: while one lasts, nobody deletes that version, the bucket's owner included. What
// fails for a moment is tried again, three times in all. An S3 must not be copied after first use.
type S3 struct {
	Client      *http.Client // reaches Origin, and follows no redirect
	Endpoint    string       // "https://s3.eu-central-1.amazonaws.com", "http://127.0.0.1:9000"
	Region      string       // "eu-central-1"
	Bucket      string
	Prefix      string // before every name, such as "steward/"; "" for none
	PathStyle   bool   // the bucket is in the URL's path, as most servers but Amazon's want it
	Credentials func(ctx context.Context) (Credentials, error)
	Now         func() time.Time // decides whether a lock is worth asking for; requests carry the system's time
	Rand        io.Reader        // names each Put

	once   sync.Once
	api    *s3.Client
	blocks blockCache
}

// Credentials are what requests are signed with. They are asked for again before they end.
type Credentials struct {
	AccessKey string
	SecretKey string
	Session   string    // for temporary ones
	Expires   time.Time // zero for never
}

// LogValue leaves the secrets out.
func (c Credentials) LogValue() slog.Value { return slog.StringValue("access key " + c.AccessKey) }

const (
	maxPut  = 5 << 30       // bytes that S3 takes in one request
	putMark = "steward-put" // the metadata by which a Put knows its own object
)

// Origin is where all requests go, such as "https://records.s3.eu-central-1.amazonaws.com".
func (s *S3) Origin() (string, error) {
	u, err := url.Parse(s.Endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return "", steward.Errorf(steward.Invalid, "%q is no S3 endpoint; take one like https://s3.eu-central-1.amazonaws.com", s.Endpoint)
	}
	if !s.PathStyle {
		u.Host = s.Bucket + "." + u.Host
	}
	return u.Scheme + "://" + u.Host, nil
}

// Check says what is wrong with the bucket, if anything is: it must be there, have Object Lock, and let an
// object be put, read and deleted.
func (s *S3) Check(ctx context.Context) error {
	if _, err := s.Origin(); err != nil {
		return err
	}
	if s.Bucket == "" || s.Region == "" {
		return steward.Errorf(steward.Invalid, "objects need a bucket and its region; set both")
	}
	if _, err := s.client().HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.Bucket}); err != nil {
		return s.explain(err, "")
	}
	lock, err := s.client().GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &s.Bucket})
	if err != nil {
		return s.explain(err, "")
	}
	if c := lock.ObjectLockConfiguration; c == nil || c.ObjectLockEnabled != types.ObjectLockEnabledEnabled {
		return s.noLock()
	}
	return roundTrip(ctx, s, trial)
}

// Put keeps size bytes, read from the content's beginning, under a name: durable when it returns, and locked
// against deletion until a time, in whole seconds, rounded up. The zero time, and times that have passed, lock
// nothing. Where there is an object of that name, the error is of kind Conflict and that object stays as it is.
// After an error of another kind the object may be there, whole. More than 5 GiB is of kind TooLarge.
func (s *S3) Put(ctx context.Context, name string, content io.ReadSeeker, size int64, until time.Time) error {
	if err := checkName(name); err != nil {
		return err
	}
	if size > maxPut {
		return steward.Errorf(steward.TooLarge, "the object %s has %d bytes, and S3 takes 5 GiB at once; split it", name, size)
	}
	sum := sha256.New()
	if err := copyAll(ctx, sum, content, size); err != nil {
		return err
	}
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return err
	}
	mark := steward.NewID(s.Rand, "put")
	input := &s3.PutObjectInput{
		Bucket: &s.Bucket, Key: s.key(name), Body: content, ContentLength: &size,
		IfNoneMatch:    aws.String("*"),
		ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(sum.Sum(nil))),
		Metadata:       map[string]string{putMark: mark},
	}
	if until.After(s.Now()) {
		input.ObjectLockMode, input.ObjectLockRetainUntilDate = types.ObjectLockModeCompliance, wholeSecond(until)
	}
	_, err := s.client().PutObject(ctx, input)
	if err = s.explain(err, name); steward.KindOf(err) != steward.Conflict {
		return err
	}
	// When an answer got lost, what stands in the way of the second try is the object of the first.
	if there, headErr := s.head(ctx, name); headErr == nil && there.Metadata[putMark] == mark {
		return nil
	}
	return err
}

// Delete removes an object with all its versions, and is nil where there is none; kind Conflict while it is
// locked.
func (s *S3) Delete(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	// Deleting by name alone would only hide the object behind a marker, lock or no lock.
	pages := s3.NewListObjectVersionsPaginator(s.client(), &s3.ListObjectVersionsInput{Bucket: &s.Bucket, Prefix: s.key(name)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return s.explain(err, name)
		}
		var versions []*string
		others := false // names that only begin alike come behind this one
		for _, v := range page.Versions {
			if aws.ToString(v.Key) == *s.key(name) {
				versions = append(versions, v.VersionId)
			} else {
				others = true
			}
		}
		for _, v := range page.DeleteMarkers {
			if aws.ToString(v.Key) == *s.key(name) {
				versions = append(versions, v.VersionId)
			}
		}
		for _, version := range versions {
			if err := s.deleteVersion(ctx, name, version); err != nil {
				return err
			}
		}
		if others {
			break
		}
	}
	s.blocks.drop(name)
	return nil
}

func (s *S3) deleteVersion(ctx context.Context, name string, version *string) error {
	_, err := s.client().DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.Bucket, Key: s.key(name), VersionId: version})
	switch err = s.explain(err, name); {
	case err == nil, steward.KindOf(err) == steward.NotFound: // somebody else was faster
		return nil
	case steward.KindOf(err) != steward.Denied:
		return err
	}
	// S3 gives the same code for a lock as for a lack of rights.
	there, headErr := s.client().HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.Bucket, Key: s.key(name), VersionId: version})
	if headErr == nil && there.ObjectLockLegalHoldStatus == types.ObjectLockLegalHoldStatusOn {
		return steward.Errorf(steward.Conflict, "the object %s is under a legal hold; delete it once the hold is lifted in the bucket", name).Because(err)
	}
	if headErr == nil && there.ObjectLockRetainUntilDate != nil && there.ObjectLockRetainUntilDate.After(s.Now()) {
		return locked(name, *there.ObjectLockRetainUntilDate).Because(err)
	}
	if strings.Contains(err.Error(), "object lock") {
		return steward.Errorf(steward.Conflict, "the object %s is locked in the bucket %s; delete it once that has ended", name, s.Bucket).Because(err)
	}
	return err
}

// Lock keeps an object from deletion until a time, in whole seconds, rounded up; never shortens. Kind NotFound
// where there is none.
func (s *S3) Lock(ctx context.Context, name string, until time.Time) error {
	if err := checkName(name); err != nil {
		return err
	}
	there, err := s.head(ctx, name)
	if err != nil {
		return err
	}
	lasts := there.ObjectLockMode == types.ObjectLockModeCompliance && there.ObjectLockRetainUntilDate != nil &&
		!until.After(*there.ObjectLockRetainUntilDate)
	if lasts || !until.After(s.Now()) {
		return nil
	}
	// A lock of the weaker mode GOVERNANCE, by the bucket's default, becomes ours and keeps its end where that is later.
	end := wholeSecond(until)
	if now := there.ObjectLockRetainUntilDate; now != nil && now.After(*end) {
		end = now
	}
	_, err = s.client().PutObjectRetention(ctx, &s3.PutObjectRetentionInput{
		Bucket: &s.Bucket, Key: s.key(name), VersionId: there.VersionId,
		Retention: &types.ObjectLockRetention{Mode: types.ObjectLockRetentionModeCompliance, RetainUntilDate: end},
	})
	if err == nil {
		return nil
	}
	err = s.explain(err, name)
	// Somebody may have locked it for longer since we looked.
	if now, headErr := s.head(ctx, name); headErr == nil && now.ObjectLockMode == types.ObjectLockModeCompliance &&
		now.ObjectLockRetainUntilDate != nil && !until.After(*now.ObjectLockRetainUntilDate) {
		return nil
	}
	return err
}

// List calls fn with each name that begins with a prefix, in the order of the names' bytes, with the time
// the object was put. What fn returns ends it. Fn may delete what it is given.
func (s *S3) List(ctx context.Context, prefix string, fn func(name string, modified time.Time) error) error {
	if err := checkPrefix(prefix); err != nil {
		return err
	}
	pages := s3.NewListObjectsV2Paginator(s.client(), &s3.ListObjectsV2Input{Bucket: &s.Bucket, Prefix: s.key(prefix)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return s.explain(err, "")
		}
		for _, o := range page.Contents {
			name := strings.TrimPrefix(aws.ToString(o.Key), s.Prefix)
			if checkName(name) != nil {
				continue // not one of ours
			}
			if err := fn(name, aws.ToTime(o.LastModified)); err != nil {
				return err
			}
		}
	}
	return nil
}

// head asks what an object is, without its bytes.
func (s *S3) head(ctx context.Context, name string) (*s3.HeadObjectOutput, error) {
	there, err := s.client().HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.Bucket, Key: s.key(name)})
	if err != nil {
		return nil, s.explain(err, name)
	}
	return there, nil
}

func (s *S3) key(name string) *string { return aws.String(s.Prefix + name) }

// wholeSecond rounds up, since S3 keeps no fractions in some places, and a lock must not end early.
func wholeSecond(t time.Time) *time.Time {
	return aws.Time(t.Add(time.Second - 1).UTC().Truncate(time.Second))
}

// client makes the API's client on first use. Nothing of it comes from the environment.
func (s *S3) client() *s3.Client {
	s.once.Do(func() {
		credentials := aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			c, err := s.Credentials(ctx)
			return aws.Credentials{
				AccessKeyID: c.AccessKey, SecretAccessKey: c.SecretKey, SessionToken: c.Session,
				CanExpire: !c.Expires.IsZero(), Expires: c.Expires,
			}, err
		})
		s.api = s3.New(s3.Options{
			BaseEndpoint: &s.Endpoint, Region: s.Region, UsePathStyle: s.PathStyle,
			HTTPClient:  s.Client,
			Credentials: aws.NewCredentialsCache(credentials),
			// Two Puts of one name at once: one of them is told to come again, and then that it is too late.
			Retryer: retry.AddWithErrorCodes(retry.NewStandard(), "ConditionalRequestConflict", "OperationAborted"),
			// Put brings a SHA-256 along; checksums sent behind the body are beyond many servers.
			RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
			ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		})
	})
	return s.api
}
