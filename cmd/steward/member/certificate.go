package member

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/client"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/show"
	"github.com/stewardhq/steward/internal/ledger/tlog"
	"github.com/stewardhq/steward/internal/retention"
)

// Certificates is the command that shows what certifies that something was forgotten, and checks it.
func Certificates(ctx context.Context, in *command.Invocation) error {
	f := in.Flags(in.JSONFlag, in.SignIn.Flags)
	note := f.Bool("note", false, "write the signed note, to hand it on")
	check := f.String("check", "", "a signed note's `file`, instead: is it signed with --vkey?")
	vkey := f.String("vkey", "", "the log's verifier `key`, for --check; from elsewhere than the note")
	ids, err := in.Parse(f)
	if err != nil {
		return err
	}
	id := strings.Join(ids, " ")
	switch {
	case len(ids) > 1:
		return in.Misused("%q has no meaning here", ids[1])
	case (*check == "") != (*vkey == ""), *check != "" && (*note || id != ""):
		return in.Misused("--check and --vkey go together, and with nothing else")
	case *note && id == "":
		return in.Misused("--note needs a certificate's id, which `steward certificates` lists")
	case *check != "":
		return checkCertificate(in, *check, *vkey)
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	if id == "" {
		list, raw, err := client.Call[struct {
			Certificates []retention.Signed `json:"certificates"`
		}](ctx, c, http.MethodGet, "/api/v1/certificates", nil)
		if err != nil || in.AsJSON {
			return printRawOr(in, raw, err)
		}
		show.Certificates(in.Terminal, list.Certificates)
		return nil
	}
	signed, raw, err := client.Call[retention.Signed](ctx, c, http.MethodGet, "/api/v1/certificates/"+url.PathEscape(id), nil)
	switch {
	case err != nil || in.AsJSON:
		return printRawOr(in, raw, err)
	case *note:
		_, err := fmt.Fprint(in.Out, signed.Note)
		return err
	}
	show.Certificate(in.Terminal, signed.Certificate)
	return nil
}

func checkCertificate(in *command.Invocation, path, vkey string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return steward.Errorf(steward.NotFound, "the file %s can't be read", path).Because(err)
	}
	text, err := tlog.CheckAttested(string(raw), vkey)
	if err != nil {
		return err
	}
	c, err := retention.ParseCertificate(text)
	if err != nil {
		return err
	}
	if in.AsJSON {
		return in.JSON(c)
	}
	show.Certificate(in.Terminal, c)
	fmt.Fprintln(in.Out, "It is signed with this key.")
	return nil
}
