package value

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stewardhq/steward/internal/sandbox/org"
)

// maxNumber bounds what a number field holds: 16 digits before the point.
const maxNumber = 1e16

var email = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s.]+$`)

// Read turns a JSON value into what a row holds for a field: of a reference the text, whatever it refers to. For what
// the field doesn't take it gives Salesforce's code and message.
func Read(f *org.Field, given any) (read any, code, message string) {
	bad := func(code, format string, args ...any) (any, string, string) {
		return nil, code, fmt.Sprintf(format, args...)
	}
	wrong := func() (any, string, string) {
		return bad("JSON_PARSER_ERROR", "Cannot deserialize instance of %s from the value given for %s", f.Type, f.Name)
	}
	text, isString := given.(string)
	switch {
	case given == nil:
		return nil, "", ""
	case f.Type.IsNumber():
		n, ok := given.(float64)
		if isString { // as command lines send them
			if strings.TrimSpace(text) == "" {
				return nil, "", ""
			}
			var number any
			_ = json.Unmarshal([]byte(text), &number) // what isn't a number in JSON is none here
			n, ok = number.(float64)
		}
		switch {
		case !ok || f.Type == org.Int && n != math.Trunc(n):
			return wrong()
		case math.Abs(n) >= maxNumber:
			return bad("NUMBER_OUTSIDE_VALID_RANGE", "%s: value outside of valid range on numeric field: %v", f.Label, n)
		case f.Type == org.Currency:
			n = math.Round(n*100) / 100
		}
		return n, "", ""
	case f.Type == org.Boolean:
		if _, ok := given.(bool); !ok {
			return wrong()
		}
		return given, "", ""
	case !isString:
		return wrong()
	}
	if text = strings.TrimSpace(text); text == "" {
		return nil, "", ""
	}
	switch f.Type {
	case org.Date:
		day, err := time.Parse(org.DateLayout, text)
		if err != nil || day.Year() < 1700 || day.Year() > 4000 {
			return wrong()
		}
		return text, "", ""
	case org.DateTime:
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999-0700", "2006-01-02T15:04:05.999999999"} {
			if at, err := time.Parse(layout, text); err == nil && at.Year() >= 1700 && at.Year() <= 4000 {
				return at.UTC().Format(org.DateTimeLayout), "", ""
			}
		}
		return wrong()
	case org.Reference: // whose form its finder judges
		return text, "", ""
	case org.Picklist:
		if f.Restricted && !slices.Contains(f.Picklist, text) {
			return bad("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "%s: bad value for restricted picklist field: %s", f.Label, text)
		}
	case org.Email:
		if !email.MatchString(text) {
			return bad("INVALID_EMAIL_ADDRESS", "%s: invalid email address: %s", f.Label, text)
		}
	}
	if f.Length > 0 && utf8.RuneCountInString(text) > f.Length {
		return bad("STRING_TOO_LONG", "%s: data value too large: %s (max length=%d)", f.Label, text, f.Length)
	}
	return text, "", ""
}
