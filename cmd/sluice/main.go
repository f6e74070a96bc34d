// Command sluice is for people: it shows what Sluice sees and why it decides as it does, stops and steers it, and finds what
// is set up wrongly.
//
// Its exit status is 0 if all is well, 1 if it found a problem or could not do what was asked, and 2 if it was not asked
// properly.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // A second Ctrl-C ends the program at once.
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
