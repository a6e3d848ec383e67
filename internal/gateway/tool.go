package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/policy"
	"github.com/stewardhq/steward/internal/privacy"
)

// toolTarget is a system's tool, with the asker's own credential in hand.
type toolTarget struct {
	g         *Gateway
	caller    identity.Caller
	call      Call
	tool      connector.Tool
	connector connector.Connector
	session   connector.Session
	usage     Usage

	// Of a write, read fresh before anybody is asked whether it may happen.
	preview  connector.Preview
	changes  []steward.Change
	approved string // "self" or "other" once somebody confirmed exactly this
	index    int    // which call of the proposal it is
}

func (g *Gateway) toolTarget(ctx context.Context, caller identity.Caller, call Call) (*toolTarget, error) {
	t := &toolTarget{g: g, caller: caller, call: call}
	var err error
	if t.connector, t.tool, err = g.tool(call.Tool); err != nil {
		return nil, err
	}
	system := steward.ConnectionID(systemOf(call.Tool))
	if t.session, err = g.session(ctx, caller, system); err != nil {
		return nil, err
	}
	if t.usage, err = g.Usage.Usage(ctx, caller.Workspace(), call.Run, caller.Member(), g.today()); err != nil {
		return nil, err
	}
	if t.tool.Effect == steward.Read || call.previewing {
		return t, nil
	}
	if err := t.look(ctx); err != nil {
		return t, err
	}
	t.session, err = g.session(ctx, caller, system) // the look may have had it renewed
	return t, err
}

// look reads what a write would change, itself a call through the gateway, and, where the write was
// approved, holds it against what was approved.
func (t *toolTarget) look(ctx context.Context) error {
	before := t.call
	before.previewing, before.Approval = true, ""
	seen, err := t.g.Do(ctx, t.caller, before)
	if err != nil {
		return err
	}
	t.preview = *seen.preview
	if t.changes, err = t.inTokens(ctx, t.preview.Changes); err != nil {
		return err
	}
	if t.call.Approval != "" {
		return t.g.matchApproval(ctx, t)
	}
	return nil
}

// inTokens writes a preview's changes for the inside. Before- and after-values are kept as long as the
// ledger is, so that undo and audits work as long as the entry lives.
func (t *toolTarget) inTokens(ctx context.Context, changes []connector.Change) ([]steward.Change, error) {
	// A free text about to be kept may name people whom nobody has met yet in this conversation.
	var texts []string
	for _, c := range changes {
		for _, v := range []any{c.Value, c.After} {
			if text, ok := v.(string); ok && c.Sensitivity == steward.FreeText {
				texts = append(texts, text)
			}
		}
	}
	if err := t.g.meet(ctx, t.caller, t.call.Run, t.call.In, strings.Join(texts, "\n")); err != nil {
		return nil, err
	}
	out := make([]steward.Change, len(changes))
	for i, c := range changes {
		out[i] = steward.Change{Connection: c.Of.Connection, Object: c.Of.Object, ID: c.Of.ID, Field: c.Name}
		var err error
		if out[i].Before, err = t.keepValue(ctx, c.Field, c.Value); err != nil {
			return nil, err
		}
		if out[i].After, err = t.keepValue(ctx, c.Field, c.After); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (t *toolTarget) keepValue(ctx context.Context, f steward.Field, v any) (any, error) {
	text, isText := v.(string)
	if !isText || f.Sensitivity == steward.Open {
		return v, nil
	}
	if f.Sensitivity == steward.Secret {
		return "[removed]", nil
	}
	return t.call.In.Keep(ctx, steward.ClassLedger, text)
}

func (t *toolTarget) asks() (policy.Request, error) {
	r := policy.Request{
		Action:   policy.Action(t.tool.Effect),
		Resource: policy.Resource{System: systemOf(t.tool.Name), Connection: t.session.Connection, Tool: t.tool.Name, Owner: t.caller.Member()},
		Context: policy.Context{
			Records: t.usage.Records + len(t.preview.Targets), Amount: t.usage.Amount + t.preview.Amount,
			Untrusted: t.usage.Untrusted, RecordsToday: t.usage.RecordsToday, CallsToday: t.usage.CallsToday,
		},
	}
	if t.call.previewing {
		r.Action = policy.Read
	}
	for _, c := range t.changes {
		r.Resource.Object = c.Object
		r.Context.Fields = append(r.Context.Fields, c.Field)
	}
	return r, nil
}

func (t *toolTarget) intent(ctx context.Context) (ledger.Entry, []ledger.Part, error) {
	e := t.g.entry(t.caller, t.call.Run)
	e.Kind, e.System, e.Tool, e.Effect = ledger.CallIntent, systemOf(t.tool.Name), t.tool.Name, t.tool.Effect
	body := intentBody{Changes: t.changes, Approval: t.call.Approval}
	if t.call.previewing {
		e.Effect, body.Preview = steward.Read, true
	}
	var err error
	if e.Targets, body.More, err = t.g.targets(ctx, t.caller.Workspace(), t.preview.Targets, t.preview.People); err != nil {
		return e, nil, err
	}
	// Arguments may hold what a person or model wrote: one free text with a key of its own. Looked-up
	// names have no tokens yet, so of those only the tool is on record.
	if t.call.real == nil {
		if body.Args, err = t.call.In.KeepInside(ctx, steward.ClassLedger, string(t.call.Args)); err != nil {
			return e, nil, err
		}
	}
	part, err := t.g.part(body)
	return e, []ledger.Part{part}, err
}

// intentBody is the sealed part of an intent: structure and tokens.
type intentBody struct {
	Args     string             `json:"args,omitempty"` // a token for the arguments' JSON
	Preview  bool               `json:"preview,omitempty"`
	Changes  []steward.Change   `json:"changes,omitempty"`
	Approval steward.ProposalID `json:"approval,omitempty"`
	More     []string           `json:"more_targets,omitempty"`
}

// outcomeBody is the sealed part of an outcome.
type outcomeBody struct {
	RequestID string   `json:"request_id,omitempty"`
	HTTP      int      `json:"http,omitempty"`
	Fields    []string `json:"fields,omitempty"` // that the system complained about
	Requests  int      `json:"requests,omitempty"`
	Records   []string `json:"records,omitempty"` // that were read
	Differs   []string `json:"differs,omitempty"` // fields that read back otherwise than written
}

func (t *toolTarget) act(ctx context.Context) (Result, done, error) {
	args := t.call.real
	if args == nil {
		var err error
		if args, err = t.call.In.FillJSON(ctx, t.call.Args, t.g.as(t.caller, t.call.Run, t.call.In)); err != nil {
			return Result{}, t.g.done(outcomeBody{}, 0, err), err
		}
		if len(privacy.Tokens(string(args))) > 0 {
			// A token that stays one was forgotten, was never issued, or is not this member's to read; the
			// system must not be given it as if it were a value.
			err := steward.Errorf(steward.Gone, "this refers to somebody who was forgotten or whom you may not see")
			return Result{}, t.g.done(outcomeBody{}, 0, err), err
		}
	}
	if t.call.previewing {
		preview, err := renewed(ctx, t, func(s connector.Session) (connector.Preview, error) {
			return t.connector.Preview(ctx, s, t.tool.Name, args)
		})
		if err != nil {
			return Result{}, t.g.done(outcomeBody{}, 0, err), t.masked(ctx, err)
		}
		return Result{preview: &preview}, t.g.done(outcomeBody{}, len(preview.Targets), nil), nil
	}
	if t.approved != "" {
		// From here on the approval is spent: a crash before the outcome leaves the write unknown, and it is
		// never tried twice.
		if err := t.g.Proposals.Take(ctx, t.caller.Workspace(), t.call.Approval, t.index); err != nil {
			return Result{}, done{}, err
		}
	}
	reply, err := renewed(ctx, t, func(s connector.Session) (connector.Reply, error) {
		return t.connector.Call(ctx, s, t.tool.Name, args)
	})
	// What was done is done and counts, whether or not anybody still waits for it.
	ctx = context.WithoutCancel(ctx)
	if spent, counts := t.spent(reply, err); counts {
		if failed := t.g.Usage.AddUsage(ctx, t.caller.Workspace(), t.call.Run, t.caller.Member(), t.g.today(), spent); failed != nil {
			return t.hidden(outcomeBody{RequestID: reply.RequestID}, failed)
		}
	}
	if err != nil {
		return Result{}, t.g.done(outcomeBody{}, 0, err), t.masked(ctx, err)
	}
	return t.takeIn(ctx, reply)
}

// spent is what a call adds to what its run and member have used: nothing where it failed, but all where
// nobody knows whether it took effect.
func (t *toolTarget) spent(reply connector.Reply, failed error) (spent Usage, counts bool) {
	var theirs *connector.Error
	if failed != nil && (!errors.As(failed, &theirs) || !theirs.Unknown) {
		return Usage{}, false
	}
	spent.Calls = 1
	if t.tool.Effect != steward.Read {
		spent.Records, spent.Amount = len(t.preview.Targets), t.preview.Amount
	}
	for _, record := range reply.Records {
		for _, f := range record.Fields {
			spent.Untrusted = spent.Untrusted || (f.Untrusted && f.Value != nil)
		}
	}
	return spent, true
}

// hidden ends a call that the system carried out and whose reply can't be passed on. Of a write the
// record then says that somebody has to look.
func (t *toolTarget) hidden(body outcomeBody, err error) (Result, done, error) {
	d := t.g.done(body, 0, err)
	d.unknown = t.tool.Effect != steward.Read
	return Result{}, d, err
}

// masked takes values out of an error's message, since it may quote the arguments it was given.
func (t *toolTarget) masked(ctx context.Context, err error) error {
	if t.call.In == nil {
		return err
	}
	message, failed := t.call.In.MaskInside(ctx, steward.Message(err))
	if failed != nil {
		return failed
	}
	return &steward.Error{Kind: steward.KindOf(err), Msg: message, Err: err}
}

// takeIn exchanges a reply's values for tokens. An error here hides the reply: what can't be made safe is
// not passed on.
func (t *toolTarget) takeIn(ctx context.Context, reply connector.Reply) (Result, done, error) {
	body := outcomeBody{RequestID: reply.RequestID, Requests: reply.Requests}
	var written map[place]any
	if t.tool.Effect != steward.Read {
		written, body.Differs = t.compare(reply)
	}
	result := Result{Records: slices.Clone(reply.Records), Total: reply.Total}
	refs := make([]steward.Ref, len(reply.Records))
	var values []steward.Field
	var at []place
	for i, record := range reply.Records {
		refs[i] = steward.Ref{Connection: t.session.Connection, Object: record.Object, ID: record.ID}
		result.Records[i].Fields = slices.Clone(record.Fields)
		for j, f := range record.Fields {
			if token, ok := written[place{i, j}]; ok {
				result.Records[i].Fields[j].Value = token
				continue
			}
			values, at = append(values, f), append(at, place{i, j})
		}
	}
	// Looked-up values stay in this package, which exchanges those that matter itself.
	if t.call.real == nil {
		inside, err := t.call.In.Fields(ctx, values)
		if err != nil {
			return t.hidden(body, err)
		}
		for k, where := range at {
			result.Records[where.record].Fields[where.field].Value = inside[k]
		}
	}
	names, err := t.g.names(ctx, t.caller.Workspace(), refs)
	if err != nil {
		return t.hidden(body, err)
	}
	if t.tool.Effect == steward.Read {
		body.Records = names
		return result, t.g.done(body, len(reply.Records), nil), nil
	}
	d := t.g.done(body, len(reply.Records), nil)
	d.targets = names[:min(len(names), ledger.MaxTargets)]
	return result, d, nil
}

// place is where a field stands in a reply.
type place struct{ record, field int }

// compare holds what was written against what the system says now. Where they agree, the value is the
// one that was meant, and so is its token; fields that read back otherwise are named.
func (t *toolTarget) compare(reply connector.Reply) (written map[place]any, differs []string) {
	written = map[place]any{}
	for n, c := range t.preview.Changes {
		for i, r := range reply.Records {
			if r.Object != c.Of.Object || (c.Of.ID != "" && r.ID != c.Of.ID) {
				continue
			}
			for j, f := range r.Fields {
				if f.Name != c.Name {
					continue
				}
				if fmt.Sprint(f.Value) == fmt.Sprint(c.After) {
					written[place{i, j}] = t.changes[n].After
				} else {
					differs = append(differs, c.Name)
				}
			}
		}
	}
	return written, differs
}

// done is what an outcome entry says beyond its intent.
type done struct {
	code    string
	unknown bool
	records int
	targets []string
	parts   []ledger.Part
}

// done gathers an outcome's facts, with the system's own code and request id where it failed.
func (g *Gateway) done(body outcomeBody, records int, failed error) done {
	d := done{records: records}
	var theirs *connector.Error
	if errors.As(failed, &theirs) {
		d.code, d.unknown = vendorCode(theirs.Code), theirs.Unknown
		body.RequestID, body.HTTP, body.Fields = theirs.RequestID, theirs.HTTP, theirs.Fields
	}
	if part, err := g.part(body); err == nil { // a struct of strings and numbers always marshals
		d.parts = []ledger.Part{part}
	}
	return d
}

// vendorCode passes a system's error code into the record, unless it doesn't look like one: a header
// can't be forgotten, and whoever answers for the system chooses the text.
func vendorCode(code string) string {
	for _, c := range code {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return "UNRECOGNISED"
		}
	}
	if len(code) > 64 {
		return "UNRECOGNISED"
	}
	return code
}

// entry turns an intent's entry into its outcome's.
func (d done) entry(e ledger.Entry, failed error) (ledger.Entry, []ledger.Part) {
	e.Kind, e.Outcome, e.Records = ledger.CallOutcome, ledger.OK, d.records
	if d.targets != nil {
		e.Targets = d.targets
	}
	if failed != nil {
		e.Outcome, e.Error = ledger.Failed, d.code
		if e.Error == "" {
			e.Error = steward.KindOf(failed).String()
		}
		if d.unknown {
			e.Outcome = ledger.Unknown
		}
	}
	return e, d.parts
}

// targets names the records a write concerns: at most 32 in the header, the rest in the part.
func (g *Gateway) targets(ctx context.Context, ws steward.WorkspaceID, refs ...[]steward.Ref) (header, more []string, err error) {
	names, err := g.names(ctx, ws, slices.Concat(refs...))
	if err != nil || len(names) <= ledger.MaxTargets {
		return names, nil, err
	}
	return names[:ledger.MaxTargets], names[ledger.MaxTargets:], nil
}

// names writes record ids for the ledger; those of people are blinded under the person's own scope.
func (g *Gateway) names(ctx context.Context, ws steward.WorkspaceID, refs []steward.Ref) ([]string, error) {
	var names []string
	for _, ref := range refs {
		name := ref.Record().String()
		if g.isPerson(ref) && ref.ID != "" {
			var err error
			if name, err = g.Privacy.Blind(ctx, ws, ref.Record()); err != nil {
				return nil, err
			}
		}
		names = append(names, name)
	}
	return names, nil
}

func (g *Gateway) isPerson(ref steward.Ref) bool {
	c, ok := g.Connectors[string(ref.Connection)]
	return ok && slices.Contains(c.Finder().PersonObjects(), ref.Object)
}

// tool finds a connector's tool by its name, which starts with the name of its system.
func (g *Gateway) tool(name string) (connector.Connector, connector.Tool, error) {
	if c, ok := g.Connectors[systemOf(name)]; ok {
		for _, tool := range c.Tools() {
			if tool.Name == name {
				return c, tool, nil
			}
		}
	}
	// The name may be a model's own words, so it isn't repeated.
	return nil, connector.Tool{}, steward.Errorf(steward.Invalid, "there is no such tool here; use one of those that are offered")
}

// Tools lists the tools of every connected system, for a model to choose from.
func (g *Gateway) Tools() []connector.Tool {
	var tools []connector.Tool
	for _, c := range g.Connectors {
		tools = append(tools, c.Tools()...)
	}
	slices.SortFunc(tools, func(a, b connector.Tool) int { return strings.Compare(a.Name, b.Name) })
	return tools
}

// Offer lists the tools as a model is told of them.
func (g *Gateway) Offer() []llm.Tool {
	var offer []llm.Tool
	for _, t := range g.Tools() {
		offer = append(offer, llm.Tool{Name: t.Name, Description: t.Description, InputSchema: t.Schema})
	}
	return offer
}

func (c Call) names(g *Gateway) (system, tool string) {
	if c.Model != nil {
		if llm.IsProviderName(c.Tool) {
			return "model", c.Tool
		}
		return "model", ""
	}
	if _, _, err := g.tool(c.Tool); err != nil {
		return "", "" // a name that somebody made up is free text: not for the ledger
	}
	return systemOf(c.Tool), c.Tool
}

func systemOf(tool string) string {
	system, _, _ := strings.Cut(tool, "_")
	return system
}

func (g *Gateway) today() string { return g.Now().UTC().Format("2006-01-02") }
