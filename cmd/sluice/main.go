// Command sluice is for people: it checks a sluice.yaml, runs the cloud on a laptop, and asks for workers by hand.
//
// Its exit status is 0 if all is well, 1 if it found a problem or could not do what was asked, and 2 if it was not asked
// properly.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
