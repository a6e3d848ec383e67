package salesforce

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
)

// meaning is what a refusal is to us, and what to do about it.
type meaning struct {
	kind steward.Kind
	do   string
}

// codes says what Salesforce's error codes mean, whatever status they come with.
// Source: "Status Codes and Error Responses" of the REST API Developer Guide, and StatusCode in the
// SOAP API Developer Guide.
var codes = map[string]meaning{
	"INVALID_SESSION_ID":        {steward.Unauthenticated, expired},
	"REQUEST_LIMIT_EXCEEDED":    {steward.Limited, "the org has used up its Salesforce API requests; try again later or ask its administrator for more"},
	"CONCURRENT_REQUESTS_LIMIT": {steward.Limited, "the org is at its limit of Salesforce requests at once; try again in a minute"},
	"API_DISABLED_FOR_ORG":      {steward.Denied, "this Salesforce org or user has no API access; its administrator can grant \"API Enabled\""},
	"API_CURRENTLY_DISABLED":    {steward.Denied, "this Salesforce org has its API switched off; ask its administrator"},
	"INSUFFICIENT_ACCESS":       {steward.Denied, "your Salesforce permissions don't allow this"},
	"CANNOT_INSERT_UPDATE":      {steward.Denied, "a process of your Salesforce org stopped this; ask its administrator"},
	"NOT_FOUND":                 {steward.NotFound, "Salesforce has no such record, or you may not see it"},
	"ENTITY_IS_DELETED":         {steward.NotFound, "the record was deleted"},
	"UNABLE_TO_LOCK_ROW":        {steward.Conflict, "somebody else is changing the same record; try again"},
	"ENTITY_IS_LOCKED":          {steward.Denied, "the record is locked, perhaps by an approval in Salesforce"},
	"DUPLICATE_VALUE":           {steward.Conflict, "another record already has a value that must be unique"},
	"DUPLICATES_DETECTED":       {steward.Conflict, "this looks like a record that already exists; find and update that one"},
	"MALFORMED_QUERY":           {steward.Invalid, "Salesforce can't read the query; simplify its conditions"},
	"INVALID_FIELD":             {steward.Invalid, "a field can't be used like this; salesforce_describe lists what there is"},
	"INVALID_TYPE":              {steward.Invalid, "there is no such object, or you may not see it"},
	"MALFORMED_ID":              {steward.Invalid, "an id isn't one of Salesforce's; take it from a record that was read"},
	"INVALID_QUERY_LOCATOR":     {steward.Conflict, "the result went stale between two pages; ask again"},
	"INVALID_QUERY_FILTER_OPERATOR": {steward.Invalid,
		"a condition's operator doesn't fit its field; salesforce_describe lists the types"},
	"NUMBER_OUTSIDE_VALID_RANGE": {steward.Invalid, "a number is out of range"},
	"QUERY_TIMEOUT":              {steward.Invalid, "the query takes Salesforce too long; narrow it by date or owner"},
	"REQUIRED_FIELD_MISSING":     {steward.Invalid, "a required field has no value"},
	"STRING_TOO_LONG":            {steward.Invalid, "a text is longer than its field allows"},
	"INVALID_CROSS_REFERENCE_KEY": {steward.Invalid,
		"the record points at another that doesn't exist or that you may not see"},
	"FIELD_CUSTOM_VALIDATION_EXCEPTION": {steward.Invalid, "a validation rule of your Salesforce org refuses these values; its administrator can say which"},
	"FIELD_INTEGRITY_EXCEPTION":         {steward.Invalid, "the values don't fit together"},
	"FIELD_FILTER_VALIDATION_EXCEPTION": {steward.Invalid, "a lookup filter of your Salesforce org refuses the record pointed at"},
	"INVALID_FIELD_FOR_INSERT_UPDATE":   {steward.Invalid, "a field can't be written, or not by you"},
	"INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": {steward.Invalid,
		"a value isn't among those its picklist allows; salesforce_describe lists them"},
}

const expired = "the Salesforce session of this member has expired; connect again with `steward connect salesforce`"

// byStatus is for answers whose code says nothing to us.
func byStatus(status int, coded bool) meaning {
	switch {
	case status == http.StatusUnauthorized:
		return meaning{steward.Unauthenticated, expired}
	case status == http.StatusForbidden:
		return meaning{steward.Denied, "your Salesforce permissions don't allow this"}
	case status == http.StatusNotFound:
		return meaning{steward.NotFound, "Salesforce has no such record, or you may not see it"}
	case status == http.StatusPreconditionFailed:
		return meaning{steward.Conflict, "the record was changed meanwhile; read it again"}
	case status == http.StatusRequestURITooLong || status == http.StatusRequestHeaderFieldsTooLarge:
		return meaning{steward.Invalid, "the query is too long for Salesforce; ask with fewer fields, conditions or values"}
	case status == http.StatusTooManyRequests:
		return meaning{steward.Limited, "Salesforce asks for a pause; try again in a minute"}
	case status == http.StatusBadRequest && coded:
		return meaning{steward.Invalid, "Salesforce refuses this request"}
	case status >= 500:
		return meaning{steward.Upstream, "Salesforce failed at this; try again later"}
	}
	return meaning{steward.Upstream, "this isn't how Salesforce answers; check the connection's instance URL"}
}

// refused turns an answer that says no into an error. The org's own words go into the half that is not
// shown: they may repeat what somebody wrote.
func (v *visit) refused(body []byte, writing bool) error {
	var list []struct {
		Message   string   `json:"message"`
		ErrorCode string   `json:"errorCode"`
		Fields    []string `json:"fields"`
	}
	var theirs connector.Error
	if json.Unmarshal(body, &list) == nil && len(list) > 0 && isWord(list[0].ErrorCode) {
		theirs.Code, theirs.Message = list[0].ErrorCode, list[0].Message
		for _, name := range list[0].Fields {
			if v.isField(name) {
				theirs.Fields = append(theirs.Fields, name)
			}
		}
	}
	m, known := codes[theirs.Code]
	switch {
	case known:
	case strings.HasPrefix(theirs.Code, "INSUFFICIENT_ACCESS"):
		m = codes["INSUFFICIENT_ACCESS"]
	default:
		m = byStatus(v.status, theirs.Code != "")
	}
	// A server that failed without saying how may have written first.
	theirs.Unknown = writing && v.status >= 500 && theirs.Code == ""
	message := m.do
	if theirs.Unknown {
		message = unknownOutcome
	}
	if theirs.Fields != nil {
		message += ": " + strings.Join(theirs.Fields, ", ")
	}
	if theirs.Code != "" {
		message += " (" + theirs.Code + ")"
	}
	return v.fail(m.kind, message, theirs)
}

const unknownOutcome = "Salesforce gave no answer that says whether this was done; look at the record before trying again"

// noAnswer is the failure to get a whole answer. perhaps says that a write may have happened.
func (v *visit) noAnswer(err error, perhaps bool) error {
	err = withoutURL(err)
	failed := &connector.Error{System: System, Unknown: perhaps, RequestID: v.requestID}
	kind, message := steward.Upstream, "Salesforce gave no answer in time, or none at all; try again later"
	if known := (*steward.Error)(nil); errors.As(err, &known) {
		kind, message = known.Kind, known.Msg // egress says what it refused
	}
	if perhaps {
		kind, message = steward.Upstream, unknownOutcome
	}
	return &steward.Error{Kind: kind, Msg: message, Err: fmt.Errorf("%w: %w", failed, err)}
}

// garbage is an answer that says yes in words we can't read.
func (v *visit) garbage() error {
	return v.fail(steward.Upstream, "this isn't how Salesforce answers; check the connection's instance URL", connector.Error{})
}

// fail fills in what every error of the system's says.
func (v *visit) fail(kind steward.Kind, message string, theirs connector.Error) error {
	theirs.System, theirs.HTTP, theirs.RequestID = System, v.status, v.requestID
	return &steward.Error{Kind: kind, Msg: message, Err: &theirs}
}

// identifyError reads the answers of the userinfo endpoint, which aren't those of the data API: a bad
// token is a 403 with the bare text Bad_OAuth_Token.
func identifyError(err error) error {
	var theirs *connector.Error
	if !errors.As(err, &theirs) || theirs.Code != "" {
		return err
	}
	switch theirs.HTTP {
	case http.StatusForbidden:
		return &steward.Error{Kind: steward.Unauthenticated, Msg: expired, Err: err}
	case http.StatusNotFound:
		return &steward.Error{Kind: steward.Upstream, Msg: "there is no Salesforce at this address; check the instance URL", Err: err}
	}
	return err
}

// isField says whether a name is one that the org's schema gave us.
func (v *visit) isField(name string) bool {
	for _, o := range v.objects {
		if slices.ContainsFunc(o.Fields, func(f field) bool { return f.Name == name }) {
			return true
		}
	}
	return false
}
