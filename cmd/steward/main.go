// Command steward answers: how do people use Steward from a terminal? It wires the house, serves it, and
// talks to it over HTTP; what may be done, and how, it doesn't know.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/stewardhq/steward/cmd/steward/terminal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(commands().Run(ctx, os.Args[1:], os.Getenv, terminal.Terminal{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		InTerminal: isTerminal(os.Stdin), OutTerminal: isTerminal(os.Stdout), ErrTerminal: isTerminal(os.Stderr),
	}))
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
