// Package provider answers: how does an administrator register providers of models? It asks the server; it doesn't know
// whether anybody agrees.
package provider

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/client"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/llm/register"
)

const path = "/api/v1/providers"

// Register is the command that proposes a provider.
func Register(ctx context.Context, in *command.Invocation) error {
	f := in.Flags(in.JSONFlag, in.SignIn.Flags)
	var p llm.Provider
	f.StringVar(&p.Kind, "kind", "anthropic", "who runs the models: `anthropic`")
	f.StringVar(&p.Name, "name", "", "what the workspace calls it, a `word` (default the kind)")
	f.StringVar(&p.Endpoint, "endpoint", "https://api.anthropic.com", "the `address` that requests go to, and nowhere else")
	list := func(to *[]string) func(string) error {
		return func(s string) error { *to = append(*to, s); return nil }
	}
	f.Func("region", "where it processes, a `word` such as eu; as often as needed", list(&p.Regions))
	f.Func("model", "the exact `id` of a model that may be used; as often as needed", list(&p.Models))
	file := f.String("arrangement", "", "a JSON `file` that says under which arrangement it keeps nothing; its SHA-256 goes on record")
	if err := in.ParseNone(f); err != nil {
		return err
	}
	if *file == "" || len(p.Regions) == 0 || len(p.Models) == 0 {
		return in.Misused("--region, --model and --arrangement are needed")
	}
	if p.Name == "" {
		p.Name = p.Kind
	}
	var err error
	if p.Arrangement, err = arrangement(*file); err != nil {
		return err
	}
	return one(ctx, in, http.MethodPost, path, p)
}

// arrangement reads what a file says, with the digest of its bytes as the evidence.
func arrangement(file string) (*llm.Arrangement, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, steward.Errorf(steward.Invalid, "the arrangement's file can't be read; check --arrangement").Because(err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	a := new(llm.Arrangement)
	if err := d.Decode(a); err != nil || d.More() || a.EvidenceSHA256 != "" {
		return nil, steward.Errorf(steward.Invalid, "the arrangement's file isn't as it should be: one JSON object with id, scope, from, to and regions, and covers where it covers more than text and tools").Because(err)
	}
	sum := sha256.Sum256(raw)
	a.EvidenceSHA256 = hex.EncodeToString(sum[:])
	return a, nil
}

// Approve is the command that agrees to what another administrator registered.
func Approve(ctx context.Context, in *command.Invocation) error {
	at, err := version(in)
	if err != nil {
		return err
	}
	return one(ctx, in, http.MethodPost, at+"/approve", struct{}{})
}

// Retire is the command that ends the use of a version.
func Retire(ctx context.Context, in *command.Invocation) error {
	at, err := version(in)
	if err != nil {
		return err
	}
	return one(ctx, in, http.MethodDelete, at, nil)
}

// version is where the API has the version that was named.
func version(in *command.Invocation) (string, error) {
	id, err := in.ParseOne(in.Flags(in.JSONFlag, in.SignIn.Flags), "the provider's name and version, such as anthropic/1, which `steward provider list` shows")
	if err != nil {
		return "", err
	}
	name, version, ok := strings.Cut(id, "/")
	if !ok {
		return "", in.Misused("a provider is named with its version, such as anthropic/1")
	}
	return path + "/" + url.PathEscape(name) + "/" + url.PathEscape(version), nil
}

// one asks for something to be done to one version, and shows it.
func one(ctx context.Context, in *command.Invocation, method, path string, body any) error {
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	e, raw, err := client.Call[register.Entry](ctx, c, method, path, body)
	if err != nil {
		return err
	}
	if in.AsJSON {
		return in.Raw(raw)
	}
	in.Columns(in.Out, [][]string{row(e)})
	return nil
}

// List is the command that lists all versions.
func List(ctx context.Context, in *command.Invocation) error {
	if err := in.ParseNone(in.Flags(in.JSONFlag, in.SignIn.Flags)); err != nil {
		return err
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	all, raw, err := client.Call[struct {
		Providers []register.Entry `json:"providers"`
	}](ctx, c, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if in.AsJSON {
		return in.Raw(raw)
	}
	rows := make([][]string, len(all.Providers))
	for i, e := range all.Providers {
		rows[i] = row(e)
	}
	in.Table(in.Out, []string{"PROVIDER", "STATUS", "MODELS", "REGIONS", "ARRANGEMENT", "UNTIL"}, rows)
	return nil
}

func row(e register.Entry) []string {
	cells := []string{e.Provider.Name + "/" + strconv.Itoa(e.Version), string(e.Status), strings.Join(e.Provider.Models, " "), strings.Join(e.Provider.Regions, " "), "", ""}
	if a := e.Provider.Arrangement; a != nil {
		cells[4], cells[5] = a.ID, terminal.Stamp(a.To)
	}
	for i := range cells {
		cells[i] = terminal.Line(cells[i])
	}
	return cells
}
