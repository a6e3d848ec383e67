// Package messages answers: what does a streamed answer of the Messages API say, with values in the
// place of tokens? It reads bytes and gives bytes, and doesn't know whose values they are.
package messages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stewardhq/steward"
)

// Bounds of what a provider may say in one answer.
const (
	maxEvent     = 1 << 20  // bytes of one event, as sent
	maxArguments = 4 << 20  // bytes of one tool call's arguments, which are kept until they are whole
	maxAnswer    = 64 << 20 // bytes of a whole answer, as sent
	maxRestored  = 64 << 20 // bytes that Fill may make of its texts and arguments
	maxInside    = 4        // levels of JSON kept in strings of JSON
)

// Fill gives a text with values in the place of its tokens. It gets whole tokens only, so that filling
// two texts gives the same as filling both joined.
type Fill func(text string) (string, error)

// hostile is what is said of an answer that breaks the API's rules. It quotes nothing of it.
func hostile(format string, args ...any) error {
	return steward.Errorf(steward.Upstream, "the model's provider sent an answer that is not valid; try again, and tell your administrator if it stays so").
		Because(fmt.Errorf("messages: "+format, args...))
}

// Strings gives a JSON text with f applied to each string value in it, and to those in JSON texts that
// strings hold, so that quotes in a value don't end the string it stands in. Keys, numbers, space and
// strings that f leaves alone keep their bytes.
func Strings(raw []byte, f Fill) ([]byte, error) {
	if !json.Valid(raw) {
		return nil, hostile("arguments are no JSON")
	}
	return eachString(raw, f, 0)
}

func eachString(raw []byte, f Fill, depth int) ([]byte, error) {
	var out []byte
	done := 0
	for i := 0; i < len(raw); i++ {
		if raw[i] != '"' {
			continue
		}
		end := i + 1
		for raw[end] != '"' {
			if raw[end] == '\\' {
				end++
			}
			end++
		}
		end++
		literal := raw[i:end]
		start := i
		i = end - 1
		if isKey(raw[end:]) {
			continue
		}
		var text string
		if err := json.Unmarshal(literal, &text); err != nil {
			return nil, hostile("string in JSON: %w", err)
		}
		changed, err := inString(text, f, depth)
		if err != nil {
			return nil, err
		}
		if changed == text {
			continue
		}
		out = append(append(out, raw[done:start]...), quote(changed)...)
		done = end
	}
	return append(out, raw[done:]...), nil
}

func inString(text string, f Fill, depth int) (string, error) {
	inner := strings.TrimLeft(text, " \t\r\n")
	if depth < maxInside && inner != "" && (inner[0] == '{' || inner[0] == '[') && json.Valid([]byte(text)) {
		out, err := eachString([]byte(text), f, depth+1)
		return string(out), err
	}
	return f(text)
}

// isKey says whether what follows a string makes it the key of an object's member.
func isKey(rest []byte) bool {
	rest = bytes.TrimLeft(rest, " \t\r\n")
	return len(rest) > 0 && rest[0] == ':'
}

// quote writes a string as JSON, with <, > and & as they are.
func quote(text string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		return []byte(`""`) // a string can always be encoded
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
