// Package salesforce answers: how does one act on Salesforce? It knows the REST API, the objects and
// which of their fields hold what about whom; it doesn't know who asks, whether they may, or what a
// token is. There is no tool that deletes.
//
// Arguments hold real values, while what an error says may reach a model. So no message repeats an
// argument: it names the place ("where[1]") and what the org's own schema calls things.
package salesforce

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/stewardhq/steward/internal/connector"
)

// System is the name of this kind of system, and what its tools' names begin with.
const System = "salesforce"

// Connector acts on Salesforce orgs. It keeps nothing of a member between calls: what a field is called
// and whether it may be written is asked anew, as the member, by every call. Don't copy it.
type Connector struct {
	// Now dates an activity that is logged without a date (UTC). Nil: the date must be given.
	Now func() time.Time
	// Wait pauses between two tries, and returns early with the context's error. Nil: a real pause.
	Wait func(ctx context.Context, d time.Duration) error
	// Jitter gives a number in [0,1) that spreads the tries of many callers. Nil: the longest pauses.
	Jitter func() float64

	mu    sync.Mutex
	usage map[string]Usage // by instance URL
}

var _ connector.Connector = (*Connector)(nil)

// Usage is how many of an org's daily API requests were spent when it last answered.
type Usage struct{ Used, Max int }

// Usage gives what the org's last answer said; false before its first.
func (c *Connector) Usage(instanceURL string) (Usage, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u, ok := c.usage[instanceURL]
	return u, ok
}

// Identify asks whose token the session holds, at OpenID Connect's userinfo endpoint.
func (c *Connector) Identify(ctx context.Context, s connector.Session) (connector.Identity, error) {
	var info struct {
		UserID   string `json:"user_id"`
		OrgID    string `json:"organization_id"`
		Username string `json:"preferred_username"`
		ZoneInfo string `json:"zoneinfo"`
	}
	v := c.visit(s)
	if err := v.get(ctx, "/services/oauth2/userinfo", &info); err != nil {
		return connector.Identity{}, identifyError(err)
	}
	if !isID(info.UserID) || !isID(info.OrgID) {
		return connector.Identity{}, v.garbage()
	}
	return connector.Identity{OrgID: info.OrgID, UserID: info.UserID, Username: info.Username, TimeZone: info.ZoneInfo}, nil
}

// Call performs a tool.
func (c *Connector) Call(ctx context.Context, s connector.Session, tool string, args json.RawMessage) (connector.Reply, error) {
	v := c.visit(s)
	reply, err := v.call(ctx, tool, args)
	reply.RequestID, reply.Requests = v.requestID, v.requests
	return reply, err
}

func (v *visit) call(ctx context.Context, tool string, args json.RawMessage) (connector.Reply, error) {
	switch tool {
	case queryTool:
		a, err := parseQuery(args)
		if err != nil {
			return connector.Reply{}, err
		}
		return v.query(ctx, a)
	case getTool:
		a, err := parseGet(args)
		if err != nil {
			return connector.Reply{}, err
		}
		return v.getRecord(ctx, a)
	case describeTool:
		name, err := parseDescribe(args)
		if err != nil {
			return connector.Reply{}, err
		}
		return v.describeFields(ctx, name)
	}
	w, err := v.parseWrite(tool, args)
	if err != nil {
		return connector.Reply{}, err
	}
	return v.write(ctx, w)
}

// Preview reads what a write would change.
func (c *Connector) Preview(ctx context.Context, s connector.Session, tool string, args json.RawMessage) (connector.Preview, error) {
	v := c.visit(s)
	w, err := v.parseWrite(tool, args)
	if err != nil {
		return connector.Preview{}, err
	}
	return v.preview(ctx, w)
}
