package member

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/client"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/file"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/ledger/tlog"
)

// Receipt is the command that has it proven that an entry is on record: it writes the proof, and the entry's
// header beside it.
func Receipt(ctx context.Context, in *command.Invocation) error {
	f := in.Flags(in.JSONFlag, in.SignIn.Flags)
	purpose := purposeFlag(f)
	out := f.String("out", "", "the `file` to write the proof to; the header goes beside it, as .json (default entry-SEQ.tlog-proof)")
	text, err := in.ParseOne(f, "the entry's number")
	if err != nil {
		return err
	}
	seq, err := strconv.ParseUint(text, 10, 62)
	if err != nil {
		return in.Misused("an entry is named by its number, which `steward log` prints first")
	}
	if *purpose == "" {
		*purpose = "audit"
	}
	const ending = ".tlog-proof"
	if *out == "" {
		*out = fmt.Sprintf("entry-%d%s", seq, ending)
	}
	headerFile := strings.TrimSuffix(*out, ending) + ".json"
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	proof, err := file.Create(*out)
	if err != nil {
		return err
	}
	defer proof.Discard()
	header, err := file.Create(headerFile)
	if err != nil {
		return err
	}
	defer header.Discard()
	if _, _, err := c.Checkpoint(ctx); err != nil { // the newest entries have no proof before
		return err
	}
	receipt, _, err := client.Call[wire.Receipt](ctx, c, http.MethodGet,
		fmt.Sprintf("/api/v1/log/%d/receipt%s", seq, client.Query("format", "json", "purpose", *purpose)), nil)
	if err != nil {
		return err
	}
	proven, _, err := tlog.CheckReceipt([]byte(receipt.Receipt), []byte(receipt.Header), receipt.Key)
	if err != nil {
		return steward.Errorf(steward.Conflict, "what the server gave doesn't prove entry %d with the key that it names, and nothing was written: %s. Where the key was replaced a moment ago, ask again", seq, steward.Message(err)).Because(err)
	}
	if proven != seq {
		return steward.Errorf(steward.Conflict, "the server gave a proof of entry %d and was asked for entry %d; nothing was written", proven, seq)
	}
	if err := header.Keep([]byte(receipt.Header)); err != nil {
		return err
	}
	if err := proof.Keep([]byte(receipt.Receipt)); err != nil {
		return err
	}
	if in.AsJSON {
		return in.JSON(map[string]any{"seq": proven, "receipt": *out, "header": headerFile, "key": receipt.Key})
	}
	fmt.Fprintf(in.Out, "That entry %d is on record is proven by %s together with %s:\n", proven, *out, headerFile)
	fmt.Fprintf(in.Out, "    %s\n", in.Bold(fmt.Sprintf("steward verify --receipt %s --header %s --vkey %s", *out, headerFile, terminal.Line(receipt.Key))))
	return nil
}

// RotateKey is the command that replaces the key that signs the record.
func RotateKey(ctx context.Context, in *command.Invocation) error {
	if err := in.ParseNone(in.Flags(in.JSONFlag, in.SignIn.Flags)); err != nil {
		return err
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	done, raw, err := client.Call[wire.Rotation](ctx, c, http.MethodPost, "/api/v1/log/key", nil)
	if err != nil || in.AsJSON {
		return printRawOr(in, raw, err)
	}
	fmt.Fprintf(in.Out, "The record is signed with another key from now on. The checkpoint over %d entries has both signatures.\n", done.Checkpoint.Size)
	in.Columns(in.Out, [][]string{{"Old", terminal.Line(done.Old)}, {"New", terminal.Line(done.New)}})
	return nil
}
