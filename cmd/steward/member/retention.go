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
)

// kept is what a server says of retention.
type kept struct {
	Retention []retention.Held `json:"retention"`
}

// Retention is the command that shows what is kept how long, and changes that.
func Retention(ctx context.Context, in *command.Invocation) error {
	f := in.Flags(in.JSONFlag, in.SignIn.Flags)
	set := f.String("set", "", "keep a class for other than so long, as `CLASS=DAYS`, such as run=60")
	if err := in.ParseNone(f); err != nil {
		return err
	}
	method, body := http.MethodGet, any(nil)
	if *set != "" {
		class, text, _ := strings.Cut(*set, "=")
		days, err := strconv.Atoi(text)
		if err != nil {
			return in.Misused("--set takes a class and days, such as run=60")
		}
		method, body = http.MethodPut, map[string]any{"class": class, "days": days}
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	all, raw, err := client.Call[kept](ctx, c, method, "/api/v1/retention", body)
	if err != nil {
		return err
	}
	if in.AsJSON {
		return in.Raw(raw)
	}
	show.Retention(in.Terminal, all.Retention)
	return nil
}
