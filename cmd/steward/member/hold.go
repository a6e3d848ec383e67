package member

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/stewardhq/steward/cmd/steward/client"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/show"
	"github.com/stewardhq/steward/internal/retention/custody"
)

// PlaceHold is the command that keeps everything, or what a person or a run is in, from going.
func PlaceHold(ctx context.Context, in *command.Invocation) error {
	f := in.Flags(in.JSONFlag, in.SignIn.Flags)
	ground := f.String("ground", "", "why: a `code` that others can look up, such as case-2026-17")
	person := f.String("person", "", "only what is kept of a person: a `record` such as salesforce:Contact:003…, or an e-mail address")
	run := f.String("run", "", "only what the run with this `id` caused")
	if err := in.ParseNone(f); err != nil {
		return err
	}
	if *person != "" && *run != "" {
		return in.Misused("--person and --run don't go together; place two holds for both")
	}
	return askRetention(ctx, in, http.MethodPost, "/api/v1/holds", map[string]string{"ground": *ground, "person": *person, "run": *run})
}

// ShowHold is the command that shows what is under a hold on a person or a run, opened.
func ShowHold(ctx context.Context, in *command.Invocation) error {
	f := in.Flags(in.JSONFlag, in.SignIn.Flags)
	purpose := purposeFlag(f)
	id, err := in.ParseOne(f, holdID)
	if err != nil {
		return err
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	begun := false
	return c.Lines(ctx, holdPath(id)+client.Query("purpose", *purpose), func(raw []byte) error {
		if in.AsJSON {
			return in.Raw(raw)
		}
		if !begun {
			begun = true
			var of struct {
				custody.Hold
				custody.Matter
			}
			err := json.Unmarshal(raw, &of)
			show.Hold(in.Terminal, of.Hold, of.Matter)
			return err
		}
		var kept custody.Kept
		err := json.Unmarshal(raw, &kept)
		show.Kept(in.Terminal, kept)
		return err
	})
}

// ReleaseHold is the command that lets go again.
func ReleaseHold(ctx context.Context, in *command.Invocation) error {
	id, err := in.ParseOne(in.Flags(in.JSONFlag, in.SignIn.Flags), holdID)
	if err != nil {
		return err
	}
	return askRetention(ctx, in, http.MethodDelete, holdPath(id), nil)
}

const holdID = "the hold's id, hold_…, which `steward retention` shows"

func holdPath(id string) string { return "/api/v1/holds/" + url.PathEscape(id) }
