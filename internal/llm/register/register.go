// Package register answers: which providers of models may a workspace use, and who agreed to that? It keeps each
// version of what administrators registered; it doesn't know who may register, nor what is sent.
package register

import (
	"context"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/llm"
)

// Status is how far an entry came.
type Status string

// The statuses. Only what is approved may be used, and nothing comes back from retired.
const (
	Proposed Status = "proposed"
	Approved Status = "approved"
	Retired  Status = "retired"
)

// Entry is one version of a provider. What it says of the provider never changes; who registers something else makes the
// next version.
type Entry struct {
	Version    int              `json:"version"` // of this name, from 1
	Status     Status           `json:"status"`
	Provider   llm.Provider     `json:"provider"`
	By         steward.MemberID `json:"by"`
	Registered time.Time        `json:"registered"`
	ApprovedBy steward.MemberID `json:"approved_by,omitempty"`
	Alone      bool             `json:"alone,omitempty"` // by the one who registered it, the workspace's only administrator
}

// Store keeps entries, by workspace.
type Store interface {
	// Entries lists all versions of all names, by name and version.
	Entries(ctx context.Context, ws steward.WorkspaceID) ([]Entry, error)
	// Add keeps an entry. Kind Conflict where this version is there already.
	Add(ctx context.Context, ws steward.WorkspaceID, e Entry) error
	// Put replaces an entry that has the status was, and with it retires all others of its name that have
	// the status retire; "" for none. Kind Conflict where its status is another one.
	Put(ctx context.Context, ws steward.WorkspaceID, was Status, e Entry, retire Status) error
}

// Book is the register.
type Book struct {
	Store Store
	// Check refuses a model's id for a kind of provider: an alias, or one that it doesn't have.
	Check func(kind, model string) error
	// Admins counts a workspace's administrators.
	Admins func(ctx context.Context, ws steward.WorkspaceID) (int, error)
	Now    func() time.Time
}

var code = regexp.MustCompile(`^[A-Za-z0-9._/-]{1,64}$`)

// Validate says what is wrong with a provider, before anything of it goes on record.
func (b *Book) Validate(p llm.Provider) error {
	at, err := url.Parse(p.Endpoint)
	switch a := p.Arrangement; {
	case !llm.IsProviderName(p.Name) || p.Name == llm.RulesProvider:
		return steward.Errorf(steward.Invalid, "a provider's name has at most 32 small letters, digits and dashes, and isn't %q", llm.RulesProvider)
	case p.Local:
		return steward.Errorf(steward.Invalid, "a provider that is registered isn't local")
	case err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http" || at.User != nil || at.RawQuery != "" || at.Fragment != "":
		return steward.Errorf(steward.Invalid, "the endpoint is no address such as https://api.anthropic.com")
	case len(p.Models) == 0 || len(p.Models) > 32:
		return steward.Errorf(steward.Invalid, "a provider is registered with the exact ids of 1 to 32 models")
	case a == nil:
		return steward.Errorf(steward.Invalid, "a provider is registered with the arrangement under which it keeps nothing")
	case !code.MatchString(a.ID):
		return steward.Errorf(steward.Invalid, "the arrangement's number has 1 to 64 letters, digits, dots, dashes and slashes")
	case a.Scope == "" || len(a.Scope) > 500:
		return steward.Errorf(steward.Invalid, "the arrangement's scope is a sentence of at most 500 bytes")
	case !llm.IsEvidence(a.EvidenceSHA256):
		return steward.Errorf(steward.Invalid, "the evidence is the SHA-256 of the document on file, in 64 hexadecimal digits")
	case !a.To.After(a.From):
		return steward.Errorf(steward.Invalid, "the arrangement ends after it begins; give both days")
	case len(a.Covers) > 0 && !covers(a.Covers):
		return steward.Errorf(steward.Invalid, "an arrangement covers at most 32 features beyond text and tools: images, documents, or beta: and a value of the anthropic-beta header")
	case !codes(p.Regions) || !codes(a.Regions):
		return steward.Errorf(steward.Invalid, "the provider and its arrangement have 1 to 32 regions, each a word such as eu")
	}
	for _, m := range p.Models {
		if err := b.Check(p.Kind, m); err != nil {
			return err
		}
	}
	return nil
}

func codes(list []string) bool {
	return len(list) > 0 && len(list) <= 32 && !slices.ContainsFunc(list, func(s string) bool { return !code.MatchString(s) })
}

func covers(list []string) bool {
	return len(list) <= 32 && !slices.ContainsFunc(list, func(s string) bool {
		beta, is := strings.CutPrefix(s, "beta:")
		return s != "images" && s != "documents" && !(is && code.MatchString(beta))
	})
}

// Register proposes a provider, as the next version of its name.
func (b *Book) Register(ctx context.Context, ws steward.WorkspaceID, by steward.MemberID, p llm.Provider) (Entry, error) {
	if err := b.Validate(p); err != nil {
		return Entry{}, err
	}
	all, err := b.Store.Entries(ctx, ws)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Version: 1, Status: Proposed, Provider: p, By: by, Registered: b.Now().UTC()}
	for _, one := range all {
		if one.Provider.Name == p.Name {
			e.Version = one.Version + 1
		}
	}
	return e, b.Store.Add(ctx, ws, e)
}

// Find gives a version of a name. Kind NotFound where there is none.
func (b *Book) Find(ctx context.Context, ws steward.WorkspaceID, name string, version int) (Entry, error) {
	all, err := b.Store.Entries(ctx, ws)
	if err != nil {
		return Entry{}, err
	}
	for _, e := range all {
		if e.Provider.Name == name && e.Version == version {
			return e, nil
		}
	}
	return Entry{}, steward.Errorf(steward.NotFound, "no such version of a provider is registered; `steward provider list` shows them")
}

// Approve lets a proposed version be used, in the place of the one before. It takes another administrator than who
// registered it, where there is another: the entry says whether there was.
func (b *Book) Approve(ctx context.Context, ws steward.WorkspaceID, by steward.MemberID, name string, version int) (Entry, error) {
	e, err := b.Find(ctx, ws, name, version)
	if err != nil {
		return e, err
	}
	if e.Status != Proposed {
		return e, steward.Errorf(steward.Conflict, "this version is %s already; register the next one", e.Status)
	}
	if e.By == by {
		admins, err := b.Admins(ctx, ws)
		if err != nil {
			return e, err
		}
		if admins != 1 {
			return e, steward.Errorf(steward.Denied, "who registered a provider can't approve it; another administrator has to")
		}
		e.Alone = true
	}
	e.Status, e.ApprovedBy = Approved, by
	return e, b.Store.Put(ctx, ws, Proposed, e, Approved)
}

// Retire ends the use of a version, or its proposal, for good.
func (b *Book) Retire(ctx context.Context, ws steward.WorkspaceID, name string, version int) (Entry, error) {
	e, err := b.Find(ctx, ws, name, version)
	if err != nil {
		return e, err
	}
	if e.Status == Retired {
		return e, steward.Errorf(steward.Conflict, "this version is retired already")
	}
	was := e.Status
	e.Status = Retired
	return e, b.Store.Put(ctx, ws, was, e, "")
}

// Allowed is what a workspace may use: what is built in, and what was approved.
func (b *Book) Allowed(ctx context.Context, ws steward.WorkspaceID) (llm.Register, error) {
	r := llm.Local()
	all, err := b.Store.Entries(ctx, ws)
	if err != nil {
		return llm.Register{}, err
	}
	for _, e := range all {
		if e.Status == Approved {
			r.Providers = append(r.Providers, e.Provider)
		}
	}
	return r, nil
}
