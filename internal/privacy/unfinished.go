package privacy

import (
	"context"
	"encoding/json"

	"github.com/stewardhq/steward"
)

// SecretRemoved stands where a secret was. Nothing brings the secret back.
const SecretRemoved = "[secret removed]"

var errSoon = steward.Errorf(steward.Internal, "privacy is being written")

// Open loads a conversation's tokens; an unknown conversation is an empty one.
func (v *Vault) Open(ctx context.Context, ws steward.WorkspaceID, conv steward.ConversationID) (*Conversation, error) {
	return nil, errSoon
}

// Mask is for text from outside: everything that looks like a token is guarded.
func (c *Conversation) Mask(ctx context.Context, text string) (string, error) { return "", errSoon }

// MaskInside is Mask for text made inside (a model's): tokens of this conversation stay.
func (c *Conversation) MaskInside(ctx context.Context, text string) (string, error) {
	return "", errSoon
}

// MaskInsideJSON is MaskInside for every string value of a JSON text (a model's tool arguments).
func (c *Conversation) MaskInsideJSON(ctx context.Context, raw json.RawMessage) (json.RawMessage, error) {
	return nil, errSoon
}

// Field is Fields for one.
func (c *Conversation) Field(ctx context.Context, f steward.Field) (any, error) { return nil, errSoon }

// Fields gives values as the inside may see them, one for each field, in one transaction: give it all fields of a reply at once.
func (c *Conversation) Fields(ctx context.Context, fs []steward.Field) ([]any, error) {
	return nil, errSoon
}

// Keep keeps a free text from outside, masked, as one value: "<TEXT_…>".
func (c *Conversation) Keep(ctx context.Context, class steward.Class, text string) (string, error) {
	return "", errSoon
}

// KeepInside is Keep for text made inside, such as a prompt or an answer: tokens of this conversation stay tokens that Fill restores.
func (c *Conversation) KeepInside(ctx context.Context, class steward.Class, text string) (string, error) {
	return "", errSoon
}

// Fill puts values in for tokens.
func (c *Conversation) Fill(ctx context.Context, text string, see Viewer) (string, error) {
	return "", errSoon
}

// FillJSON is Fill for every string value of a JSON text; keys stay as they are.
func (c *Conversation) FillJSON(ctx context.Context, raw json.RawMessage, see Viewer) (json.RawMessage, error) {
	return nil, errSoon
}

// Own sees as the member whose run this is: values met in this run come from memory, others from read (which may be nil) and are then remembered; the vault is open.
func (c *Conversation) Own(read func(ctx context.Context, refs []steward.Ref) (map[steward.Ref]string, error)) Viewer {
	return nil
}

// Subject is the person a record is about, if one is known.
func (c *Conversation) Subject(ctx context.Context, record steward.Ref) (steward.PersonID, bool, error) {
	return "", false, errSoon
}

// Blind names a person's record without its id: "salesforce:Contact:~<24 hex>".
func (v *Vault) Blind(ctx context.Context, ws steward.WorkspaceID, record steward.Ref) (string, error) {
	return "", errSoon
}

// Person is the person a record is about, if one is known.
func (v *Vault) Person(ctx context.Context, ws steward.WorkspaceID, record steward.Ref) (steward.PersonID, bool, error) {
	return "", false, errSoon
}

// Mentions finds what forgetting would destroy.
func (v *Vault) Mentions(ctx context.Context, ws steward.WorkspaceID, person steward.PersonID, values []string) (Mention, error) {
	return Mention{}, errSoon
}

// Forget empties the rows and drops the person's links. Shred m.Scopes before it: after a crash between the two, Person still finds them and the same three steps finish it.
func (v *Vault) Forget(ctx context.Context, ws steward.WorkspaceID, person steward.PersonID, m Mention) error {
	return errSoon
}

// Tokens lists the tokens in a text, in order.
func Tokens(text string) []string { return nil }

// Candidates lists the spans of a text worth looking up as people.
func Candidates(text string) []string { return nil }
