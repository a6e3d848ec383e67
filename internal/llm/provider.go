package llm

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stewardhq/steward"
)

// RulesProvider and RulesModel name the model that is built in and needs no network.
const (
	RulesProvider = "rules"
	RulesModel    = "rules-1"
)

// Provider is a party that runs models.
type Provider struct {
	Name        string       `json:"name"`            // "rules", "anthropic": what a workspace chooses by
	Kind        string       `json:"kind"`            // which implementation speaks to it: "rules", "anthropic"
	Models      []string     `json:"models"`          // exact ids; no aliases, since what they mean changes unseen
	Endpoint    string       `json:"endpoint"`        // "https://api.anthropic.com"; empty for a local one
	Regions     []string     `json:"regions"`         // where it can process, in its own words: "eu", "us"
	Local       bool         `json:"local,omitempty"` // runs inside this process: nothing leaves, so no arrangement is needed
	Arrangement *Arrangement `json:"arrangement"`     // nil: none is registered
}

// Arrangement is the contract under which a provider may be sent anything at all.
type Arrangement struct {
	ID             string    `json:"id"`               // the contract's own number
	Scope          string    `json:"scope"`            // what it covers, in a sentence: "zero retention, no training, messages API"
	From           time.Time `json:"from"`             // first moment it holds
	To             time.Time `json:"to"`               // first moment it no longer holds
	EvidenceSHA256 string    `json:"evidence_sha256"`  // SHA-256 of the document on file, 64 hexadecimal digits
	Regions        []string  `json:"regions"`          // regions it covers
	Covers         []string  `json:"covers,omitempty"` // features beyond text and tools: "images", "documents", "beta:" and a value of the anthropic-beta header
}

// Terms are where a model is asked and under what.
type Terms struct {
	Endpoint    string // "" for one inside this process
	Region      string
	Arrangement string // the contract's own number
}

// Register lists the providers of an installation. The zero Register allows none.
type Register struct {
	Providers []Provider
}

// Local is the register of an installation that has arranged nothing: the built-in rules alone.
func Local() Register {
	return Register{Providers: []Provider{{
		Name: RulesProvider, Kind: RulesProvider, Models: []string{RulesModel}, Local: true,
	}}}
}

// Allow says whether a model of a provider may be called now, in the region given. A refusal is of
// kind Denied and says what would have to be registered. A local provider has no region.
func (r Register) Allow(provider, model, region string, now time.Time) error {
	i := slices.IndexFunc(r.Providers, func(p Provider) bool { return p.Name == provider })
	if i < 0 {
		return steward.Errorf(steward.Denied, "no model provider %q is registered; register it with its arrangement, or choose %q", provider, RulesProvider)
	}
	p := r.Providers[i]
	if strings.HasSuffix(model, "latest") {
		return steward.Errorf(steward.Denied, "%q is an alias whose meaning changes; choose an exact model of %s: %s", model, p.Name, strings.Join(p.Models, ", "))
	}
	if !slices.Contains(p.Models, model) {
		return steward.Errorf(steward.Denied, "%s has no registered model %q; choose one of: %s", p.Name, model, strings.Join(p.Models, ", "))
	}
	if p.Local {
		return nil
	}
	a := p.Arrangement
	switch {
	case a == nil:
		return steward.Errorf(steward.Denied, "%s may not be used without an arrangement; register the contract that covers it", p.Name)
	case a.ID == "" || a.Scope == "" || !IsEvidence(a.EvidenceSHA256):
		return steward.Errorf(steward.Denied, "the arrangement with %s is incomplete; register its number, its scope and the SHA-256 of the document", p.Name)
	case !slices.Contains(p.Regions, region):
		return steward.Errorf(steward.Denied, "%s doesn't process in region %q; choose one of: %s", p.Name, region, strings.Join(p.Regions, ", "))
	case !slices.Contains(a.Regions, region):
		return steward.Errorf(steward.Denied, "arrangement %s with %s doesn't cover region %q; choose one of: %s", a.ID, p.Name, region, strings.Join(a.Regions, ", "))
	case now.Before(a.From):
		return steward.Errorf(steward.Denied, "arrangement %s with %s begins on %s; wait until then", a.ID, p.Name, a.From.UTC().Format(time.DateOnly))
	case !now.Before(a.To):
		return steward.Errorf(steward.Denied, "arrangement %s with %s ended on %s; register its renewal", a.ID, p.Name, a.To.UTC().Format(time.DateOnly))
	}
	return nil
}

// IsEvidence says whether a text has the form of an arrangement's EvidenceSHA256.
func IsEvidence(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// providerName is a code, since it stands in headers of the ledger: 1 to 32 small letters, digits and dashes.
var providerName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// IsProviderName says whether a text can be a provider's name.
func IsProviderName(s string) bool { return providerName.MatchString(s) }
