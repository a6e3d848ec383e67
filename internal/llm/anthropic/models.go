package anthropic

import (
	"slices"

	sdk "github.com/anthropics/anthropic-sdk-go"

	"github.com/stewardhq/steward"
)

// models are those that the SDK knows and doesn't call deprecated. A test holds them against its constants.
var models = [...]string{
	sdk.ModelClaudeHaiku5_5, sdk.ModelClaudeSonnet5_5, sdk.ModelClaudeFable5_1, sdk.ModelClaudeOpus5_5, sdk.ModelClaudeMythos5_1,
	sdk.ModelClaudeSonnet5, sdk.ModelClaudeFable5, sdk.ModelClaudeMythos5, sdk.ModelClaudeOpus5,
	sdk.ModelClaudeOpus4_8, sdk.ModelClaudeOpus4_7, sdk.ModelClaudeOpus4_6, sdk.ModelClaudeSonnet4_6,
	sdk.ModelClaudeHaiku4_5, sdk.ModelClaudeHaiku4_5_20251001, sdk.ModelClaudeOpus4_5, sdk.ModelClaudeOpus4_5_20251101,
}

// CheckModel refuses an id that isn't one of Claude's exact ones, and says what would be: "claude-opus-4-5" stands for a
// dated one, and may stand for another tomorrow.
func CheckModel(id string) error {
	for _, m := range models {
		if dated(m, id) {
			return steward.Errorf(steward.Invalid, "%q is an alias whose meaning can change; register %q", id, m)
		}
	}
	if !slices.Contains(models[:], id) {
		return steward.Errorf(steward.Invalid, "%q is no model of Claude's that this version of Steward knows; %q is the default", id, DefaultModel)
	}
	return nil
}

// dated says whether id is other with a date behind it: "claude-opus-4-5-20251101".
func dated(id, other string) bool {
	if len(id) != len(other)+9 || id[:len(other)] != other || id[len(other)] != '-' {
		return false
	}
	for _, c := range id[len(other)+1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
