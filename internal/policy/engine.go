package policy

import (
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	schemaast "github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"github.com/stewardhq/steward"
)

//go:embed schema.cedarschema
var schemaText []byte

//go:embed default/*.cedar
var defaults embed.FS

// Engine decides by one set of policies. It is immutable and may be used by many goroutines.
type Engine struct {
	policies *cedar.PolicySet
	hash     string
	words    words
	applies  map[Action]map[cedar.EntityType]bool // what the schema lets each action be asked of
}

// words are the closed vocabularies of the schema: each enumerated type with its values.
type words map[cedar.EntityType][]cedar.EntityUID

// Default is the engine with the policies that Steward ships.
func Default() (*Engine, error) {
	sub, err := fs.Sub(defaults, "default")
	if err != nil {
		return nil, fmt.Errorf("default policies: %w", err)
	}
	return New(sub)
}

// policyID is the form of @id: a slug that reads like a sentence.
var policyID = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// New reads every file that ends in .cedar, checks each policy against the schema and takes the set as a
// whole or not at all. Its errors are of kind Invalid, name file and line, and may be shown.
func New(fsys fs.FS) (*Engine, error) {
	var declared schema.Schema
	declared.SetFilename("schema.cedarschema")
	if err := declared.UnmarshalCedar(schemaText); err != nil {
		return nil, fmt.Errorf("policy schema: %w", err)
	}
	resolved, err := declared.Resolve()
	if err != nil {
		return nil, fmt.Errorf("policy schema: %w", err)
	}
	e := &Engine{
		policies: cedar.NewPolicySet(),
		words:    make(words),
		applies:  make(map[Action]map[cedar.EntityType]bool),
	}
	for name, enum := range resolved.Enums {
		e.words[name] = enum.Values
	}
	for uid, action := range resolved.Actions {
		types := make(map[cedar.EntityType]bool)
		for _, t := range action.AppliesTo.Resources {
			types[t] = true
		}
		e.applies[Action(uid.ID)] = types
	}
	check := validate.New(resolved)

	// WalkDir goes in lexical order, so the hash doesn't depend on how the files are kept.
	digest := sha256.New()
	err = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("policy files: %w", err)
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".cedar") {
			return nil
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return fmt.Errorf("policy file: %w", err)
		}
		for _, part := range [][]byte{[]byte(name), text} {
			digest.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
			digest.Write(part)
		}
		return e.add(check, name, text)
	})
	if err != nil {
		return nil, err
	}
	e.hash = hex.EncodeToString(digest.Sum(nil)[:8])
	for range e.policies.All() {
		return e, nil
	}
	return nil, steward.Errorf(steward.Invalid, "there are no policies: no file ends in .cedar, or all are empty, so everything would be denied")
}

// add parses and checks one file.
func (e *Engine) add(check *validate.Validator, name string, text []byte) error {
	list, err := cedar.NewPolicyListFromBytes(name, text)
	if err != nil {
		return steward.Errorf(steward.Invalid, "policy file %s can't be read as Cedar: %v", name, err)
	}
	for _, p := range list {
		line := p.Position().Line
		id := string(p.Annotations()["id"])
		if !policyID.MatchString(id) {
			return steward.Errorf(steward.Invalid,
				`%s, line %d: give the policy an @id("…") of lower-case words joined by hyphens, not %q`, name, line, id)
		}
		err := check.Policy("", (*schemaast.Policy)(p.AST()))
		if err == nil {
			err = e.words.check(p)
		}
		if err != nil {
			// The same mistake comes once for each action it concerns; the first says enough.
			first, _, _ := strings.Cut(err.Error(), "\n")
			return steward.Errorf(steward.Invalid, "%s, line %d: policy %s doesn't fit the schema: %s", name, line, id, first)
		}
		if !e.policies.Add(cedar.PolicyID(id), p) {
			return steward.Errorf(steward.Invalid, "%s, line %d: there is already a policy with the id %s", name, line, id)
		}
	}
	return nil
}

// check finds a word that its vocabulary doesn't have, such as Role::"boss". Cedar's validator lets those
// pass in this version; the policy's JSON form shows every entity it names as {"type": …, "id": …}.
func (w words) check(p *cedar.Policy) error {
	text, err := p.MarshalJSON()
	if err != nil {
		return fmt.Errorf("policy as JSON: %w", err)
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return fmt.Errorf("policy as JSON: %w", err)
	}
	return w.walk(tree)
}

func (w words) walk(node any) error {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			if err := w.walk(child); err != nil {
				return err
			}
		}
	case map[string]any:
		name, named := node["type"].(string)
		id, identified := node["id"].(string)
		if named && identified {
			uid := cedar.NewEntityUID(cedar.EntityType(name), cedar.String(id))
			if values, ok := w[uid.Type]; ok && !slices.Contains(values, uid) {
				return fmt.Errorf("there is no %s", uid)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(node)) {
			if err := w.walk(node[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Hash names the set of policies: the first 16 hex digits of a SHA-256 over the files' names and contents.
func (e *Engine) Hash() string { return e.hash }

// Decide says whether a request is allowed, and for a write, send or delete which approval would make it
// so: it is decided with no approval, then the asker's own, then somebody else's, and the first that the
// policies permit is what is needed. Everything else is decided once.
func (e *Engine) Decide(r Request) Decision {
	if r.Action != Write && r.Action != Send && r.Action != Delete {
		approval := NoApproval
		if r.Action == Approve && r.Approval != "" {
			approval = r.Approval
		}
		return e.Permits(r, approval)
	}
	none := e.Permits(r, NoApproval)
	if none.Verdict == Allow {
		return none
	}
	self := e.Permits(r, BySelf)
	if self.Verdict == Allow {
		self.Verdict = NeedsSelf
		self.Policies = sortedSet(slices.Concat(none.Policies, self.Policies))
		return self
	}
	other := e.Permits(r, ByOther)
	if other.Verdict == Allow {
		other.Verdict = NeedsOther
		other.Policies = sortedSet(slices.Concat(none.Policies, self.Policies, other.Policies))
	}
	return other
}

// Permits decides a request once, as with the approval given ("none", "self" or "other"): for carrying out
// a call that was approved. Its verdict is Allow or Deny.
func (e *Engine) Permits(r Request, approval string) Decision {
	denied := Decision{Verdict: Deny, PolicySet: e.hash}
	resource, ok := resourceOf(r)
	if !ok || !e.applies[r.Action][resource.UID.Type] {
		return denied
	}
	principal, ok := principalOf(r.Principal)
	if !ok {
		return denied
	}
	facts, ok := e.words.facts(r.Context, approval)
	if !ok {
		return denied
	}
	verdict, diagnostic := cedar.Authorize(e.policies,
		cedar.EntityMap{principal.UID: principal, resource.UID: resource},
		cedar.Request{
			Principal: principal.UID,
			Action:    cedar.NewEntityUID("Action", cedar.String(r.Action)),
			Resource:  resource.UID,
			Context:   facts,
		})
	// Cedar skips a policy that fails, such as by overflow. A forbid that was skipped would be an open
	// door, so any failure denies.
	if len(diagnostic.Errors) > 0 {
		for _, failed := range diagnostic.Errors {
			denied.Policies = append(denied.Policies, string(failed.PolicyID))
		}
		denied.Policies = sortedSet(denied.Policies)
		return denied
	}
	d := denied
	for _, reason := range diagnostic.Reasons {
		d.Policies = append(d.Policies, string(reason.PolicyID))
	}
	d.Policies = sortedSet(d.Policies)
	if verdict == cedar.Allow {
		d.Verdict = Allow
	}
	return d
}

// principalOf is the member as Cedar sees them; false where any of workspace, member and role is missing.
func principalOf(p Principal) (cedar.Entity, bool) {
	if p.Workspace == "" || p.Member == "" || !slices.Contains(steward.Roles(), p.Role) {
		return cedar.Entity{}, false
	}
	attributes := cedar.RecordMap{}
	if p.Agent != "" {
		attributes["agent"] = cedar.NewEntityUID("Agent", cedar.String(p.Agent))
	}
	return cedar.Entity{
		UID:        memberUID(p.Member),
		Parents:    cedar.NewEntityUIDSet(cedar.NewEntityUID("Role", cedar.String(p.Role))),
		Attributes: cedar.NewRecord(attributes),
	}, true
}

func memberUID(m steward.MemberID) cedar.EntityUID {
	return cedar.NewEntityUID("Member", cedar.String(m))
}

// resourceOf is the tool, model or stored thing as Cedar sees it; false where what must name it is missing.
func resourceOf(r Request) (cedar.Entity, bool) {
	if stored := r.Stored; stored != "" {
		if !slices.Contains(StoredThings(), stored) {
			return cedar.Entity{}, false
		}
		attributes := cedar.RecordMap{}
		if r.Owner != "" {
			attributes["owner"] = memberUID(r.Owner)
		}
		kind := cedar.EntityType(strings.ToUpper(stored[:1]) + stored[1:])
		return cedar.Entity{
			UID:        cedar.NewEntityUID(kind, cedar.String(r.Workspace)),
			Attributes: cedar.NewRecord(attributes),
		}, true
	}
	if r.System == "" || r.Tool == "" {
		return cedar.Entity{}, false
	}
	attributes := cedar.RecordMap{"system": cedar.String(r.System)}
	kind := cedar.EntityType("Model")
	if r.Action != Model {
		if r.Connection == "" {
			return cedar.Entity{}, false
		}
		kind = "Tool"
		attributes["connection"] = cedar.String(r.Connection)
		attributes["object"] = cedar.String(r.Object)
	}
	return cedar.Entity{
		UID:        cedar.NewEntityUID(kind, cedar.String(r.Tool)),
		Attributes: cedar.NewRecord(attributes),
	}, true
}

// facts are the context as Cedar sees it; false where it makes no sense, such as a count below zero.
func (w words) facts(c Context, approval string) (cedar.Record, bool) {
	given := cedar.NewEntityUID("Given", cedar.String(approval))
	if !slices.Contains(w[given.Type], given) {
		return cedar.Record{}, false
	}
	if c.Records < 0 || c.RecordsToday < 0 || c.CallsToday < 0 || !(c.Amount >= 0) {
		return cedar.Record{}, false
	}
	// A sum of cents in floating point may be off by a hair; rounding keeps 100,000.00 from being more.
	cents := math.Round(c.Amount * 100)
	if cents > 1<<62 { // what an int64 can't hold has no defined conversion
		return cedar.Record{}, false
	}
	amount, err := cedar.NewDecimal(int64(cents), -2)
	if err != nil {
		return cedar.Record{}, false
	}
	fields := make([]cedar.Value, len(c.Fields))
	for i, f := range c.Fields {
		fields[i] = cedar.String(f)
	}
	facts := cedar.RecordMap{
		"approval":       given,
		"records":        cedar.Long(c.Records),
		"amount":         amount,
		"fields":         cedar.NewSet(fields...),
		"untrusted":      cedar.Boolean(c.Untrusted),
		"authentication": cedar.String(c.Authentication),
		"now":            cedar.NewDatetime(c.Now),
		"recordsToday":   cedar.Long(c.RecordsToday),
		"callsToday":     cedar.Long(c.CallsToday),
	}
	purpose := cedar.NewEntityUID("Purpose", cedar.String(c.Purpose))
	if slices.Contains(w[purpose.Type], purpose) {
		facts["purpose"] = purpose
	}
	return cedar.NewRecord(facts), true
}

// sortedSet sorts and drops what stands twice; Cedar gives reasons in no order.
func sortedSet(ids []string) []string {
	slices.Sort(ids)
	return slices.Compact(ids)
}
