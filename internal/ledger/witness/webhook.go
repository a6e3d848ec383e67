package witness

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stewardhq/steward"
)

// Webhook is an address of the customer's that is sent the newest checkpoint of each workspace, in the
// manner of Standard Webhooks.
type Webhook struct {
	client *http.Client
	url    string
	secret []byte
}

// NewWebhook takes the secret as Standard Webhooks writes it: "whsec_" and 24 to 64 bytes in base64.
func NewWebhook(client *http.Client, url, secret string) (*Webhook, error) {
	if _, ok := address(url); !ok {
		return nil, steward.Errorf(steward.Invalid, "the webhook's address is no https URL") // which may hold a secret
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) < 24 || len(key) > 64 {
		return nil, steward.Errorf(steward.Invalid, "the webhook's secret is whsec_ and 24 to 64 random bytes in base64")
	}
	return &Webhook{client: client, url: url, secret: key}, nil
}

// post sends a checkpoint. Its id is the checkpoint's own, so a receiver knows one that it got before. An
// error is of kind Unavailable where it may be otherwise in a while.
func (h *Webhook) post(ctx context.Context, now time.Time, ws steward.WorkspaceID, checkpoint string) error {
	body, err := json.Marshal(struct {
		Workspace  steward.WorkspaceID `json:"workspace"`
		Checkpoint string              `json:"checkpoint"`
	}{ws, checkpoint})
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	sum := sha256.Sum256(body)
	id, at := "checkpoint_"+hex.EncodeToString(sum[:16]), strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, h.secret)
	_, _ = fmt.Fprintf(mac, "%s.%s.%s", id, at, body)

	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", at)
	r.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	status, _, _, err := exchange(h.client, r)
	if err != nil {
		return steward.Errorf(steward.Unavailable, "the webhook for checkpoints can't be reached, or not now").Because(err)
	}
	if status < 200 || status > 299 {
		return steward.Errorf(steward.Upstream, "the webhook for checkpoints doesn't take one").Because(fmt.Errorf("webhook: status %d", status))
	}
	return nil
}
