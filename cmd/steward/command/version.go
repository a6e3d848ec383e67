package command

import (
	"context"
	"fmt"
	"runtime/debug"
)

// Version prints which program this is.
func Version(_ context.Context, in *Invocation) error {
	if err := in.ParseNone(in.Flags(in.JSONFlag)); err != nil {
		return err
	}
	if in.AsJSON {
		return in.JSON(map[string]string{"version": Built()})
	}
	fmt.Fprintln(in.Out, "steward", Built())
	return nil
}

// Built is the version that the program was built at, "unknown" where it wasn't told.
func Built() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
