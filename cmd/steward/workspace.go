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
	"github.com/stewardhq/steward/internal/api"
)

func runWorkspaceShow(ctx context.Context, in *invocation) error {
	if err := in.parseNone(in.flags(in.asJSON, in.client.Flags)); err != nil {
		return err
	}
	c, err := dial(in.client)
	if err != nil {
		return err
	}
	workspace, raw, err := call[struct {
		Workspace steward.WorkspaceID `json:"workspace"`
		Name      string              `json:"name"`
		Created   time.Time           `json:"created"`
	}](ctx, c, http.MethodGet, "/api/v1/workspace", nil)
	if err != nil || in.json {
		return in.printRawOr(raw, err)
	}
	in.columns(in.Out, [][]string{
		{"Workspace", line(workspace.Name)}, {"Id", line(string(workspace.Workspace))}, {"Made", stamp(workspace.Created)}, {"Server", line(c.url)},
	})
	return nil
}

func runMemberAdd(ctx context.Context, in *invocation) error {
	f := in.flags(in.asJSON, in.client.Flags)
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
	c, err := dial(in.client)
	if err != nil {
		return err
	}
	member, raw, err := c.addMember(ctx, *email, role)
	if err != nil || in.json {
		return in.printRawOr(raw, err)
	}
	fmt.Fprintf(in.Out, "%s is a member now, as %s (%s).\n", line(member.Email), member.Role, member.Member)
	in.printToken(member.Token, member.Expires)
	return nil
}

// printToken shows a token, the only time that it can be.
func (s stdio) printToken(secret string, expires *time.Time) {
	until := ""
	if expires != nil {
		until = " It is good until " + stamp(*expires) + "."
	}
	fmt.Fprintf(s.Out, "The token is shown this once; hand it over safely.%s\n\n    %s\n", until, s.bold("export STEWARD_TOKEN="+secret))
}

func runMemberList(ctx context.Context, in *invocation) error {
	if err := in.parseNone(in.flags(in.asJSON, in.client.Flags)); err != nil {
		return err
	}
	c, err := dial(in.client)
	if err != nil {
		return err
	}
	list, raw, err := call[struct {
		Members []api.Member `json:"members"`
	}](ctx, c, http.MethodGet, "/api/v1/members", nil)
	if err != nil || in.json {
		return in.printRawOr(raw, err)
	}
	var rows [][]string
	for _, m := range list.Members {
		rows = append(rows, []string{line(m.Email), string(m.Role), line(string(m.Member))})
	}
	in.table(in.Out, []string{"E-mail", "Role", "Id"}, rows)
	return nil
}

func runMemberRemove(ctx context.Context, in *invocation) error {
	who, err := in.parseOne(in.flags(in.asJSON, in.client.Flags), "the member's e-mail address or id")
	if err != nil {
		return err
	}
	c, err := dial(in.client)
	if err != nil {
		return err
	}
	member, raw, err := call[api.Member](ctx, c, http.MethodDelete, "/api/v1/members/"+url.PathEscape(who), nil)
	if err != nil || in.json {
		return in.printRawOr(raw, err)
	}
	fmt.Fprintf(in.Out, "%s is no member any more; their tokens are revoked.\n", line(string(member.Member)))
	return nil
}

func runTokenIssue(ctx context.Context, in *invocation) error {
	f := in.flags(in.asJSON, in.client.Flags)
	member := f.String("member", "", "the `member` it is for, by e-mail address or id (default yourself)")
	days := f.Int("days", 0, "how many `days` it is good for, at most 366 (default 90)")
	if err := in.parseNone(f); err != nil {
		return err
	}
	if *days < 0 || *days > 366 {
		return in.misused("--days is a number from 1 to 366")
	}
	c, err := dial(in.client)
	if err != nil {
		return err
	}
	token, raw, err := call[api.Token](ctx, c, http.MethodPost, "/api/v1/tokens", map[string]any{"member": *member, "days": *days})
	if err != nil || in.json {
		return in.printRawOr(raw, err)
	}
	fmt.Fprintf(in.Out, "A new token, %s, for %s.\n", line(string(token.ID)), line(string(token.Member)))
	in.printToken(token.Secret, &token.Expires)
	return nil
}

func runTokenList(ctx context.Context, in *invocation) error {
	f := in.flags(in.asJSON, in.client.Flags)
	member := f.String("member", "", "whose tokens, by e-mail address or id of the `member` (default your own)")
	if err := in.parseNone(f); err != nil {
		return err
	}
	c, err := dial(in.client)
	if err != nil {
		return err
	}
	list, raw, err := call[struct {
		Tokens []api.Token `json:"tokens"`
	}](ctx, c, http.MethodGet, "/api/v1/tokens"+query("member", *member), nil)
	if err != nil || in.json {
		return in.printRawOr(raw, err)
	}
	var rows [][]string
	for _, t := range list.Tokens {
		state := "good"
		if t.Revoked != nil {
			state = "revoked " + stamp(*t.Revoked)
		}
		rows = append(rows, []string{line(string(t.ID)), stamp(t.Created), stamp(t.Expires), state})
	}
	in.table(in.Out, []string{"Token", "Made", "Good until", "State"}, rows)
	return nil
}

func runTokenRevoke(ctx context.Context, in *invocation) error {
	id, err := in.parseOne(in.flags(in.asJSON, in.client.Flags), "the token's id, tok_…")
	if err != nil {
		return err
	}
	if strings.HasPrefix(id, "stw_") {
		return in.misused("name the token by its id, tok_…, which `steward token list` shows; never by itself")
	}
	c, err := dial(in.client)
	if err != nil {
		return err
	}
	_, raw, err := call[struct{}](ctx, c, http.MethodDelete, "/api/v1/tokens/"+url.PathEscape(id), nil)
	if err != nil || in.json {
		return in.printRawOr(raw, err)
	}
	fmt.Fprintf(in.Out, "%s is revoked.\n", line(id))
	return nil
}

func runConnect(ctx context.Context, in *invocation) error {
	f := in.flags(in.asJSON, in.client.Flags)
	to := connection{System: "salesforce"}
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
		fmt.Fprintln(in.Err, in.warning("others on this machine can see flags in the list of processes; --access-token - reads the token from the standard input"))
	}
	if to.InstanceURL == "" || to.AccessToken == "" {
		return in.misused("--instance-url and --access-token are needed")
	}
	c, err := dial(in.client)
	if err != nil {
		return err
	}
	p := in.begin("asking Salesforce whose account this is")
	connected, raw, err := c.connect(ctx, to)
	p.stop()
	if err != nil || in.json {
		return in.printRawOr(raw, err)
	}
	fmt.Fprintf(in.Out, "%s is connected: %s acts there as %s.\n", line(string(connected.Connection)), line(string(connected.Member)), line(connected.Username))
	return nil
}

func (s stdio) warning(text string) string { return "note: " + text }
