package blob

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/stewardhq/steward"
)

// errorCode is the code of S3's answer; "" where there was none. An answer to a HEAD has no body, and its
// code is made of the status: "NotFound", "Forbidden", "PreconditionFailed".
func errorCode(err error) string {
	if answer := smithy.APIError(nil); errors.As(err, &answer) {
		return answer.ErrorCode()
	}
	return ""
}

// explain says what an answer of S3's means, and what to do about it. Name is that of the object it is about;
// "" for the bucket. Nil stays nil.
func (s *S3) explain(err error, name string) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return steward.Errorf(steward.Upstream, "the object store at %s took too long; check it, and try again", s.Endpoint).Because(err)
	}
	if known := (*steward.Error)(nil); errors.As(err, &known) {
		return known.Because(err) // of the client's or the credentials': it says what to do
	}
	code := errorCode(err)
	switch code {
	case "":
		return steward.Errorf(steward.Upstream, "the object store at %s gave no answer; check that it is up, and try again", s.Endpoint).Because(err)
	case "NoSuchBucket":
		return s.noBucket().Because(err)
	case "NotFound", "NoSuchKey", "NoSuchVersion":
		if name == "" {
			return s.noBucket().Because(err)
		}
		return missing(name).Because(err)
	case "PreconditionFailed", "ConditionalRequestConflict":
		return taken(name).Because(err)
	case "AccessDenied", "Forbidden", "AllAccessDisabled", "AccountProblem":
		return steward.Errorf(steward.Denied,
			"the object store doesn't let these credentials do this in the bucket %s; give them the rights listed in docs/decisions/0014", s.Bucket).Because(err)
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired":
		return steward.Errorf(steward.Denied, "the object store at %s doesn't know these credentials; check both keys, and the region", s.Endpoint).Because(err)
	case "RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture":
		return steward.Errorf(steward.Unavailable, "this machine's clock and that of the object store at %s differ too much; set both by NTP", s.Endpoint).Because(err)
	case "ObjectLockConfigurationNotFoundError":
		return s.noLock().Because(err)
	case "InvalidRequest":
		if text := err.Error(); strings.Contains(text, "ObjectLockConfiguration") || strings.Contains(text, "Object Lock Configuration") {
			return s.noLock().Because(err)
		}
	case "SlowDown", "ServiceUnavailable", "RequestLimitExceeded", "Throttling", "ThrottlingException":
		return steward.Errorf(steward.Unavailable, "the object store at %s is too busy; try again later", s.Endpoint).Because(err)
	case "PermanentRedirect", "MovedPermanently", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
		return steward.Errorf(steward.Unavailable, "the bucket %s is in another region than %s; set its region and endpoint", s.Bucket, s.Region).Because(err)
	case "EntityTooLarge":
		return steward.Errorf(steward.TooLarge, "the object %s is larger than the object store at %s takes; split it", name, s.Endpoint).Because(err)
	}
	return steward.Errorf(steward.Upstream, "the object store at %s answered %s; look into its log", s.Endpoint, code).Because(err)
}

func (s *S3) noBucket() *steward.Error {
	return steward.Errorf(steward.Unavailable, "there is no bucket %s at %s; make it, with Object Lock", s.Bucket, s.Endpoint)
}

func (s *S3) noLock() *steward.Error {
	return steward.Errorf(steward.Unavailable,
		"the bucket %s has no Object Lock, so nothing in it can be protected; turn it on, or make a bucket that has it", s.Bucket)
}
