package member

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/client"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/api/wire"
)

// signInPoll is how often the server is asked how far a sign-in came.
const signInPoll = time.Second

// Connect is the command that links a Salesforce account: with a browser, or with a token or a service user.
func Connect(ctx context.Context, in *command.Invocation) error {
	f := in.Flags(in.JSONFlag, in.SignIn.Flags)
	to := client.Connection{System: "salesforce"}
	f.StringVar(&to.InstanceURL, "instance-url", "", "the org's `address`, such as https://acme.my.salesforce.com (default the one that is connected)")
	f.StringVar(&to.AccessToken, "access-token", "", "for trials, the account's access `token` instead of signing in; - reads it from the first line of the standard input")
	f.StringVar(&to.ServiceUser, "service-user", "", "as an administrator, a `username` that Salesforce pre-authorised for the app, instead of signing in")
	f.StringVar(&to.Member, "member", "", "with --access-token or --service-user, whose account it is, by e-mail address or id of the `member` (default yourself)")
	clientID := f.String("client-id", "", "the consumer `key` of another app than the server's, one that needs no secret")
	noWait := f.Bool("no-wait", false, "print where to sign in, and don't wait until that is done")
	if err := in.ParseNone(f); err != nil {
		return err
	}
	switch to.AccessToken {
	case "":
	case "-":
		text, err := bufio.NewReader(io.LimitReader(in.In, 1<<16)).ReadString('\n')
		if err != nil && err != io.EOF {
			return steward.Errorf(steward.Invalid, "the access token can't be read from the standard input").Because(err)
		}
		if to.AccessToken = strings.TrimSpace(text); to.AccessToken == "" {
			return in.Misused("there is no access token on the standard input")
		}
	default:
		fmt.Fprintln(in.Err, "note: others on this machine can see flags in the list of processes; --access-token - reads the token from the standard input")
	}
	byBrowser := to.AccessToken == "" && to.ServiceUser == ""
	switch {
	case to.AccessToken != "" && to.ServiceUser != "":
		return in.Misused("--access-token and --service-user exclude each other")
	case to.AccessToken != "" && to.InstanceURL == "":
		return in.Misused("--access-token needs --instance-url")
	case byBrowser && to.Member != "":
		return in.Misused("people sign in with a browser themselves; --member goes with --access-token or --service-user")
	case !byBrowser && (*clientID != "" || *noWait):
		return in.Misused("--client-id and --no-wait are for signing in with a browser")
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	if byBrowser {
		return signIn(ctx, in, c, map[string]string{"system": to.System, "instance_url": to.InstanceURL, "client_id": *clientID}, *noWait)
	}
	p := in.Begin("asking Salesforce whose account this is")
	connected, raw, err := c.Connect(ctx, to)
	p.Stop()
	if err != nil || in.AsJSON {
		return printRawOr(in, raw, err)
	}
	fmt.Fprintf(in.Out, "%s is connected: %s acts there as %s.\n", terminal.Line(string(connected.Connection)), terminal.Line(string(connected.Member)), terminal.Line(connected.Username))
	return nil
}

// signIn has the member sign in at Salesforce, with a browser of their own.
func signIn(ctx context.Context, in *command.Invocation, c *client.Client, ask map[string]string, noWait bool) error {
	begun, raw, err := client.Call[wire.SignIn](ctx, c, http.MethodPost, "/api/v1/signins", ask)
	if err != nil {
		return err
	}
	if in.AsJSON && noWait {
		return in.Raw(raw)
	}
	to := in.Out
	if in.AsJSON {
		to = in.Err // the output is what became of it
	}
	fmt.Fprintf(to, "Open this in a browser and sign in to Salesforce there:\n\n    %s\n\nIt is good for one sign-in, of your own, until %s. Give it to nobody.\n",
		in.Bold(terminal.Line(begun.URL)), terminal.Stamp(begun.Expires))
	if noWait {
		return nil
	}
	p := in.Begin("waiting for you to sign in at Salesforce")
	ended, raw, err := await(ctx, c, begun.ID)
	p.Stop()
	if err == nil {
		err = client.Failed(wire.Answer{Error: ended.Error})
	}
	if err != nil || in.AsJSON {
		return printRawOr(in, raw, err)
	}
	fmt.Fprintln(in.Out, "salesforce is connected: what you ask Steward, it does there as you.")
	return nil
}

// await asks how far a sign-in came until it has ended.
func await(ctx context.Context, c *client.Client, id string) (wire.SignIn, []byte, error) {
	for {
		now, raw, err := client.Call[wire.SignIn](ctx, c, http.MethodGet, "/api/v1/signins/"+id, nil)
		if err != nil || now.Status == "connected" || now.Status == "failed" {
			return now, raw, err
		}
		select {
		case <-ctx.Done():
			return now, nil, ctx.Err()
		case <-time.After(signInPoll):
		}
	}
}
