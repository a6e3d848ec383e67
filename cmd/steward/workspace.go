package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/client"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/api/wire"
)

func runWorkspaceShow(ctx context.Context, in *invocation) error {
	if err := in.parseNone(in.flags(in.asJSON, in.signIn.Flags)); err != nil {
		return err
	}
	c, err := in.dial()
	if err != nil {
		return err
	}
	workspace, raw, err := client.Call[struct {
		Workspace steward.WorkspaceID `json:"workspace"`
		Name      string              `json:"name"`
		Created   time.Time           `json:"created"`
	}](ctx, c, http.MethodGet, "/api/v1/workspace", nil)
	if err != nil || in.json {
		return in.printRawOr(raw, err)
	}
	in.Columns(in.Out, [][]string{
		{"Workspace", terminal.Line(workspace.Name)}, {"Id", terminal.Line(string(workspace.Workspace))}, {"Made", terminal.Stamp(workspace.Created)}, {"Server", terminal.Line(in.signIn.URL)},
	})
	return nil
}

func runMemberAdd(ctx context.Context, in *invocation) error {
	f := in.flags(in.asJSON, in.signIn.Flags)
	email := f.String("email", "", "the member's e-mail `address`")
	roleName := f.String("role", "", "the member's `role`: admin, manager, member or auditor")
	if err := in.parseNone(f); err != nil {
		return err
	}
	if *email == "" || *roleName == "" {
		return in.misused("--email and --role are needed")
	}
	role, err := steward.ParseRole(*roleName)
	if err != nil {
		return err
	}
	c, err := in.dial()
	if err != nil {
		return err
	}
	member, raw, err := c.AddMember(ctx, *email, role)
	if err != nil || in.json {
		return in.printRawOr(raw, err)
	}
	fmt.Fprintf(in.Out, "%s is a member now, as %s (%s).\n", terminal.Line(member.Email), member.Role, member.Member)
	in.printToken(member.Token, member.Expires)
	return nil
}

// printToken shows a token, the only time that it can be.
func (in *invocation) printToken(secret string, expires *time.Time) {
	until := ""
	if expires != nil {
		until = " It is good until " + terminal.Stamp(*expires) + "."
	}
	fmt.Fprintf(in.Out, "The token is shown this once; hand it over safely.%s\n\n    %s\n", until, in.Bold("export STEWARD_TOKEN="+secret))
}

func runMemberList(ctx context.Context, in *invocation) error {
	if err := in.parseNone(in.flags(in.asJSON, in.signIn.Flags)); err != nil {
		return err
	}
	c, err := in.dial()
	if err != nil {
		return err
	}
	list, raw, err := client.Call[struct {
		Members []wire.Member `json:"members"`
	}](ctx, c, http.MethodGet, "/api/v1/members", nil)
	if err != nil || in.json {
		return in.printRawOr(raw, err)
	}
	var rows [][]string
	for _, m := range list.Members {
		rows = append(rows, []string{terminal.Line(m.Email), string(m.Role), terminal.Line(string(m.Member))})
	}
	in.Table(in.Out, []string{"E-mail", "Role", "Id"}, rows)
	return nil
}

func runMemberRemove(ctx context.Context, in *invocation) error {
	who, err := in.parseOne(in.flags(in.asJSON, in.signIn.Flags), "the member's e-mail address or id")
	if err != nil {
		return err
	}
	c, err := in.dial()
	if err != nil {
		return err
	}
	member, raw, err := client.Call[wire.Member](ctx, c, http.MethodDelete, "/api/v1/members/"+url.PathEscape(who), nil)
	if err != nil || in.json {
		return in.printRawOr(raw, err)
	}
	fmt.Fprintf(in.Out, "%s is no member any more; their tokens are revoked.\n", terminal.Line(string(member.Member)))
	return nil
}

func runTokenIssue(ctx context.Context, in *invocation) error {
	f := in.flags(in.asJSON, in.signIn.Flags)
	member := f.String("member", "", "the `member` it is for, by e-mail address or id (default yourself)")
	days := f.Int("days", 0, "how many `days` it is good for, at most 366 (default 90)")
	if err := in.parseNone(f); err != nil {
		return err
	}
	if *days < 0 || *days > 366 {
		return in.misused("--days is a number from 1 to 366")
	}
	c, err := in.dial()
	if err != nil {
		return err
	}
	token, raw, err := client.Call[wire.Token](ctx, c, http.MethodPost, "/api/v1/tokens", map[string]any{"member": *member, "days": *days})
	if err != nil || in.json {
		return in.printRawOr(raw, err)
	}
	fmt.Fprintf(in.Out, "A new token, %s, for %s.\n", terminal.Line(string(token.ID)), terminal.Line(string(token.Member)))
	in.printToken(token.Secret, &token.Expires)
	return nil
}

func runTokenList(ctx context.Context, in *invocation) error {
	f := in.flags(in.asJSON, in.signIn.Flags)
	member := f.String("member", "", "whose tokens, by e-mail address or id of the `member` (default your own)")
	if err := in.parseNone(f); err != nil {
		return err
	}
	c, err := in.dial()
	if err != nil {
		return err
	}
	list, raw, err := client.Call[struct {
		Tokens []wire.Token `json:"tokens"`
	}](ctx, c, http.MethodGet, "/api/v1/tokens"+client.Query("member", *member), nil)
	if err != nil || in.json {
		return in.printRawOr(raw, err)
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

func runTokenRevoke(ctx context.Context, in *invocation) error {
	id, err := in.parseOne(in.flags(in.asJSON, in.signIn.Flags), "the token's id, tok_…")
	if err != nil {
		return err
	}
	if strings.HasPrefix(id, "stw_") {
		return in.misused("name the token by its id, tok_…, which `steward token list` shows; never by itself")
	}
	c, err := in.dial()
	if err != nil {
		return err
	}
	_, raw, err := client.Call[struct{}](ctx, c, http.MethodDelete, "/api/v1/tokens/"+url.PathEscape(id), nil)
	if err != nil || in.json {
		return in.printRawOr(raw, err)
	}
	fmt.Fprintf(in.Out, "%s is revoked.\n", terminal.Line(id))
	return nil
}

func runConnect(ctx context.Context, in *invocation) error {
	f := in.flags(in.asJSON, in.signIn.Flags)
	to := client.Connection{System: "salesforce"}
	f.StringVar(&to.InstanceURL, "instance-url", "", "the org's `address`, such as https://acme.my.salesforce.com")
	f.StringVar(&to.AccessToken, "access-token", "", "the account's access `token`; - reads it from the first line of the standard input")
	f.StringVar(&to.Member, "member", "", "whose account it is, by e-mail address or id of the `member` (default yourself)")
	if err := in.parseNone(f); err != nil {
		return err
	}
	switch to.AccessToken {
	case "":
	case "-":
		text, err := bufio.NewReader(io.LimitReader(in.In, 1<<16)).ReadString('\n')
		if err != nil && err != io.EOF {
			return steward.Errorf(steward.Invalid, "the access token can't be read from the standard input").Because(err)
		}
		to.AccessToken = strings.TrimSpace(text)
	default:
		fmt.Fprintln(in.Err, "note: others on this machine can see flags in the list of processes; --access-token - reads the token from the standard input")
	}
	if to.InstanceURL == "" || to.AccessToken == "" {
		return in.misused("--instance-url and --access-token are needed")
	}
	c, err := in.dial()
	if err != nil {
		return err
	}
	p := in.Begin("asking Salesforce whose account this is")
	connected, raw, err := c.Connect(ctx, to)
	p.Stop()
	if err != nil || in.json {
		return in.printRawOr(raw, err)
	}
	fmt.Fprintf(in.Out, "%s is connected: %s acts there as %s.\n", terminal.Line(string(connected.Connection)), terminal.Line(string(connected.Member)), terminal.Line(connected.Username))
	return nil
}
