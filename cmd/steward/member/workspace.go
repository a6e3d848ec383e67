package member

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/client"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/show"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/retention"
)

// shown is a workspace, as the API shows it.
type shown struct {
	Workspace steward.WorkspaceID `json:"workspace"`
	Name      string              `json:"name"`
	Created   time.Time           `json:"created"`
	Closing   retention.Closing   `json:"closing"`
}

// ShowWorkspace is the command that shows the token's workspace.
func ShowWorkspace(ctx context.Context, in *command.Invocation) error {
	if err := in.ParseNone(in.Flags(in.JSONFlag, in.SignIn.Flags)); err != nil {
		return err
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	workspace, raw, err := client.Call[shown](ctx, c, http.MethodGet, "/api/v1/workspace", nil)
	if err != nil || in.AsJSON {
		return printRawOr(in, raw, err)
	}
	in.Columns(in.Out, [][]string{
		{"Workspace", terminal.Line(workspace.Name)}, {"Id", terminal.Line(string(workspace.Workspace))}, {"Made", terminal.Stamp(workspace.Created)}, {"Server", terminal.Line(in.SignIn.URL)},
		{"Standing", standing(workspace.Closing)},
	})
	return nil
}

// AddMember is the command that adds a person to the workspace.
func AddMember(ctx context.Context, in *command.Invocation) error {
	f := in.Flags(in.JSONFlag, in.SignIn.Flags)
	email := f.String("email", "", "the member's e-mail `address`")
	roleName := f.String("role", "", "the member's `role`: admin, manager, member or auditor")
	if err := in.ParseNone(f); err != nil {
		return err
	}
	if *email == "" || *roleName == "" {
		return in.Misused("--email and --role are needed")
	}
	role, err := steward.ParseRole(*roleName)
	if err != nil {
		return err
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	member, raw, err := c.AddMember(ctx, *email, role)
	if err != nil || in.AsJSON {
		return printRawOr(in, raw, err)
	}
	fmt.Fprintf(in.Out, "%s is a member now, as %s (%s).\n", terminal.Line(member.Email), member.Role, member.Member)
	show.Token(in.Terminal, member.Token, member.Expires)
	return nil
}

// ListMembers is the command that lists the workspace's members.
func ListMembers(ctx context.Context, in *command.Invocation) error {
	if err := in.ParseNone(in.Flags(in.JSONFlag, in.SignIn.Flags)); err != nil {
		return err
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	list, raw, err := client.Call[struct {
		Members []wire.Member `json:"members"`
	}](ctx, c, http.MethodGet, "/api/v1/members", nil)
	if err != nil || in.AsJSON {
		return printRawOr(in, raw, err)
	}
	var rows [][]string
	for _, m := range list.Members {
		rows = append(rows, []string{terminal.Line(m.Email), string(m.Role), terminal.Line(string(m.Member))})
	}
	in.Table(in.Out, []string{"E-mail", "Role", "Id"}, rows)
	return nil
}

// RemoveMember is the command that removes a member and revokes their tokens.
func RemoveMember(ctx context.Context, in *command.Invocation) error {
	who, err := in.ParseOne(in.Flags(in.JSONFlag, in.SignIn.Flags), "the member's e-mail address or id")
	if err != nil {
		return err
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	member, raw, err := client.Call[wire.Member](ctx, c, http.MethodDelete, "/api/v1/members/"+url.PathEscape(who), nil)
	if err != nil || in.AsJSON {
		return printRawOr(in, raw, err)
	}
	fmt.Fprintf(in.Out, "%s is no member any more; their tokens are revoked.\n", terminal.Line(string(member.Member)))
	return nil
}

// IssueToken is the command that makes an API token.
func IssueToken(ctx context.Context, in *command.Invocation) error {
	f := in.Flags(in.JSONFlag, in.SignIn.Flags)
	member := f.String("member", "", "the `member` it is for, by e-mail address or id (default yourself)")
	days := f.Int("days", 0, "how many `days` it is good for, at most 366 (default 90)")
	if err := in.ParseNone(f); err != nil {
		return err
	}
	if *days < 0 || *days > 366 {
		return in.Misused("--days is a number from 1 to 366")
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	token, raw, err := client.Call[wire.Token](ctx, c, http.MethodPost, "/api/v1/tokens", map[string]any{"member": *member, "days": *days})
	if err != nil || in.AsJSON {
		return printRawOr(in, raw, err)
	}
	fmt.Fprintf(in.Out, "A new token, %s, for %s.\n", terminal.Line(string(token.ID)), terminal.Line(string(token.Member)))
	show.Token(in.Terminal, token.Secret, &token.Expires)
	return nil
}

// ListTokens is the command that lists API tokens.
func ListTokens(ctx context.Context, in *command.Invocation) error {
	f := in.Flags(in.JSONFlag, in.SignIn.Flags)
	member := f.String("member", "", "whose tokens, by e-mail address or id of the `member` (default your own)")
	if err := in.ParseNone(f); err != nil {
		return err
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	list, raw, err := client.Call[struct {
		Tokens []wire.Token `json:"tokens"`
	}](ctx, c, http.MethodGet, "/api/v1/tokens"+client.Query("member", *member), nil)
	if err != nil || in.AsJSON {
		return printRawOr(in, raw, err)
	}
	var rows [][]string
	for _, t := range list.Tokens {
		state := "good"
		if t.Revoked != nil {
			state = "revoked " + terminal.Stamp(*t.Revoked)
		}
		rows = append(rows, []string{terminal.Line(string(t.ID)), terminal.Stamp(t.Created), terminal.Stamp(t.Expires), state})
	}
	in.Table(in.Out, []string{"Token", "Made", "Good until", "State"}, rows)
	return nil
}

// RevokeToken is the command that ends an API token.
func RevokeToken(ctx context.Context, in *command.Invocation) error {
	id, err := in.ParseOne(in.Flags(in.JSONFlag, in.SignIn.Flags), "the token's id, tok_…")
	if err != nil {
		return err
	}
	if strings.HasPrefix(id, "stw_") {
		return in.Misused("name the token by its id, tok_…, which `steward token list` shows; never by itself")
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	_, raw, err := client.Call[struct{}](ctx, c, http.MethodDelete, "/api/v1/tokens/"+url.PathEscape(id), nil)
	if err != nil || in.AsJSON {
		return printRawOr(in, raw, err)
	}
	fmt.Fprintf(in.Out, "%s is revoked.\n", terminal.Line(id))
	return nil
}
