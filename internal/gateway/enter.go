package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/privacy"
)

// maxQuestion is the longest text that may come in, in bytes.
const maxQuestion = 16 << 10

// Question is what somebody asks, with tokens for values. Only Enter makes one that holds text.
type Question struct {
	Run          steward.RunID
	Conversation steward.ConversationID
	In           *privacy.Conversation
	Accounts     []string // the asker's own users at the connected systems, for "my": "salesforce user 005…"
	text         string
}

// Text is the question in tokens.
func (q Question) Text() string { return q.text }

// Enter brings a text in: people whom it names are looked up as the asker, since no record may have been
// read yet, and then every personal value in it becomes a token.
func (g *Gateway) Enter(ctx context.Context, caller identity.Caller, conversation steward.ConversationID, text string) (Question, error) {
	q := Question{Run: steward.RunID(steward.NewID(g.Rand, "run")), Conversation: conversation}
	if text = strings.TrimSpace(text); text == "" {
		return q, steward.Errorf(steward.Invalid, "the question is empty; ask something like “What is our win rate this quarter by owner?”")
	}
	if len(text) > maxQuestion {
		return q, steward.Errorf(steward.TooLarge, "the question has %d bytes and may have %d; ask it in fewer words", len(text), maxQuestion)
	}
	q, err := g.Resume(ctx, caller, conversation, q.Run)
	if err != nil {
		return q, err
	}
	if err := g.meet(ctx, caller, q.Run, q.In, text); err != nil {
		return q, err
	}
	q.text, err = q.In.Mask(ctx, text)
	return q, err
}

// Resume opens a stored run's conversation again, to carry the run on. It holds no text.
func (g *Gateway) Resume(ctx context.Context, caller identity.Caller, conversation steward.ConversationID, run steward.RunID) (Question, error) {
	q := Question{Run: run, Conversation: conversation}
	var err error
	if q.In, err = g.Conversation(ctx, caller, conversation); err != nil {
		return q, err
	}
	q.Accounts, err = g.accounts(ctx, caller)
	return q, err
}

// Conversation opens the tokens of a conversation of the caller's workspace. Whether it is theirs to
// see is decided before.
func (g *Gateway) Conversation(ctx context.Context, caller identity.Caller, id steward.ConversationID) (*privacy.Conversation, error) {
	return g.Privacy.Open(ctx, caller.Workspace(), id)
}

// meet looks up the people a text may name, and makes those known to the conversation.
func (g *Gateway) meet(ctx context.Context, caller identity.Caller, run steward.RunID, in *privacy.Conversation, text string) error {
	spans := privacy.Candidates(text)
	folded := strings.ToLower(text)
	for system, c := range g.Connectors {
		if _, err := g.session(ctx, caller, steward.ConnectionID(system)); steward.KindOf(err) == steward.Unauthenticated {
			continue // not connected: there is nobody to look up, and the first tool call will say so
		} else if err != nil {
			return err
		}
		for _, lookup := range c.Finder().FindPeople(spans) {
			found, err := g.Do(ctx, caller, Call{Run: run, In: in, Tool: lookup.Tool, real: lookup.Args})
			if err != nil {
				return fmt.Errorf("gateway: look up names: %w", err)
			}
			var named []steward.Field
			for _, record := range found.Records {
				for _, f := range record.Fields {
					// Only what the text says is kept of them.
					if v, ok := f.Value.(string); ok && v != "" && f.Sensitivity == steward.Personal && mentions(folded, v) {
						named = append(named, f)
					}
				}
			}
			if _, err := in.Fields(ctx, named); err != nil {
				return err
			}
		}
	}
	return nil
}

// mentions says whether a folded text holds a value, as letters or, for phone numbers, as digits.
func mentions(folded, value string) bool {
	if strings.Contains(folded, strings.ToLower(value)) {
		return true
	}
	number := digits(value)
	return len(number) >= 7 && strings.Contains(digits(folded), number)
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// Reveal puts values in for the tokens of a JSON document, read as the one who looks, each record once.
// Whether they may look at all is decided before. What they may not see, what was forgotten, and what
// can't be read at the moment stays a token.
func (g *Gateway) Reveal(ctx context.Context, caller identity.Caller, run steward.RunID, in *privacy.Conversation, document json.RawMessage) (json.RawMessage, error) {
	return in.FillJSON(ctx, document, viewer{g: g, caller: caller, run: run, in: in})
}

// as sees as the member whose run it is: what this run has read already is not read again.
func (g *Gateway) as(caller identity.Caller, run steward.RunID, in *privacy.Conversation) privacy.Viewer {
	return in.Own(viewer{g: g, caller: caller, run: run, in: in}.Read)
}

// viewer reads references through the gateway as whoever looks.
type viewer struct {
	g      *Gateway
	caller identity.Caller
	run    steward.RunID
	in     *privacy.Conversation
}

// Vault shows kept values: whoever may see the run or proposal may see what was typed into it.
func (v viewer) Vault(steward.Class) bool { return true }

// Read implements privacy.Viewer. A system that refuses or fails shows nothing: the ledger has the error.
func (v viewer) Read(ctx context.Context, refs []steward.Ref) (map[steward.Ref]string, error) {
	values := map[steward.Ref]string{}
	for system, c := range v.g.Connectors {
		var theirs []steward.Ref
		wanted := map[steward.Ref]bool{}
		for _, ref := range refs {
			if string(ref.Connection) == system {
				theirs = append(theirs, ref)
				wanted[ref] = true
			}
		}
		for _, lookup := range c.Finder().ReadFields(theirs) {
			found, err := v.g.Do(ctx, v.caller, Call{Run: v.run, In: v.in, Tool: lookup.Tool, real: lookup.Args})
			if err != nil {
				if unseen(err) {
					continue
				}
				return nil, err
			}
			for _, record := range found.Records {
				for _, f := range record.Fields {
					if text, ok := f.Value.(string); ok && wanted[f.Of] {
						values[f.Of] = text
					}
				}
			}
		}
	}
	return values, nil
}

// unseen is true for errors that mean "you can't see this now" rather than "Steward is broken".
func unseen(err error) bool {
	switch steward.KindOf(err) {
	case steward.Denied, steward.NotFound, steward.Unauthenticated, steward.Upstream, steward.Limited, steward.Invalid:
		return true
	}
	return false
}
