package member

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/stewardhq/steward/cmd/steward/client"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/show"
	"github.com/stewardhq/steward/internal/retention"
	"github.com/stewardhq/steward/internal/retention/custody"
)

// Retention is the command that shows what is kept how long, and changes that.
func Retention(ctx context.Context, in *command.Invocation) error {
	f := in.Flags(in.JSONFlag, in.SignIn.Flags)
	set := f.String("set", "", "keep a class for other than so long, as `CLASS=DAYS`, such as run=60")
	confirm := f.Bool("confirm", false, "say that the clock, holds and days are right, where purging waits for that")
	if err := in.ParseNone(f); err != nil {
		return err
	}
	switch {
	case *confirm && *set != "":
		return in.Misused("--set and --confirm don't go together")
	case *confirm:
		return askRetention(ctx, in, http.MethodPut, "/api/v1/retention", map[string]bool{"confirm": true})
	case *set == "":
		return askRetention(ctx, in, http.MethodGet, "/api/v1/retention", nil)
	}
	class, text, _ := strings.Cut(*set, "=")
	days, err := strconv.Atoi(text)
	if err != nil {
		return in.Misused("--set takes a class and days, such as run=60")
	}
	return askRetention(ctx, in, http.MethodPut, "/api/v1/retention", map[string]any{"class": class, "days": days})
}

// schedule is what a server says of what is kept.
type schedule struct {
	Retention []retention.Held `json:"retention"`
	Holds     []custody.Hold   `json:"holds"`
	Stopped   string           `json:"stopped"` // why nothing is purged, "" where it is
}

// askRetention asks, and shows what is kept how long then.
func askRetention(ctx context.Context, in *command.Invocation, method, path string, body any) error {
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	kept, raw, err := client.Call[schedule](ctx, c, method, path, body)
	if err != nil {
		return err
	}
	if in.AsJSON {
		return in.Raw(raw)
	}
	show.Retention(in.Terminal, kept.Retention, kept.Holds, kept.Stopped)
	return nil
}
