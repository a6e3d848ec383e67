// Package receipt answers: does a receipt prove that an entry is on record? It needs neither the record nor its server.
package receipt

import (
	"encoding/hex"
	"fmt"
	"os"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/internal/ledger/tlog"
)

// Verify holds a receipt against an entry's header and the log's key. It needs nothing else.
func Verify(in *command.Invocation, receiptFile, headerFile, vkey string) error {
	if receiptFile == "" || headerFile == "" || vkey == "" {
		return in.Misused("a receipt is verified with --receipt FILE, --header FILE and --vkey KEY")
	}
	receipt, err := content(receiptFile)
	if err != nil {
		return err
	}
	header, err := content(headerFile)
	if err != nil {
		return err
	}
	seq, cp, err := tlog.CheckReceipt(receipt, header, vkey)
	if err != nil {
		return steward.Errorf(steward.Conflict, "%s", steward.Message(err)).Because(err)
	}
	if in.AsJSON {
		return in.JSON(map[string]any{"seq": seq, "checkpoint": cp})
	}
	fmt.Fprintf(in.Out, "%s: entry %d of %s is what %s holds.\n", in.Green("proven"), seq, in.Bold(cp.Origin), headerFile)
	fmt.Fprintf(in.Out, "  signed up to %d entries, root %s\n", cp.Size, hex.EncodeToString(cp.Root))
	return nil
}

// content reads a file that can't be large.
func content(name string) ([]byte, error) {
	const most = 1 << 20
	info, err := os.Stat(name)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > most) {
		return nil, steward.Errorf(steward.Invalid, "%s is no receipt and no header", name)
	}
	var raw []byte
	if err == nil {
		raw, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, steward.Errorf(steward.NotFound, "%s can't be read; check its name and owner", name).Because(err)
	}
	return raw, nil
}
