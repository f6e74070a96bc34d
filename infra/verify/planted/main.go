// Command planted shows that what verifies the deployment finds faults: part of `make test-infra`.
//
// First the app as it is, in many variants of sluice.yaml: 1 to 2,000 targets, every option of `deploy:`. Each is synthesized,
// strictly and under cdk-nag, and held to all checks (packages template and permissions, the validators of the state machine,
// cfn-lint): nothing may be found. Then each file of faults/: one small fault such as somebody might make, in the Go code of the
// app or the state machine (by `go build -overlay`, nothing in the checkout is touched), in sluice.yaml, or in the functions'
// programs. The check that the file names has to find it, in the words that it says; that others find it as well is fine and
// shown. A fault whose place is not found exactly once is a failure, since it tests nothing.
//
// The table says for each what was found by what, and how long it took. The exit status is 1 if anything is not as it has to be.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
)

//go:embed faults/*.diff
var files embed.FS

func main() {
	only := flag.String("only", "", "only the variants and faults whose names match `REGEXP`")
	jobs := flag.Int("jobs", 2, "so many at a time")
	verbose := flag.Bool("v", false, "say what each fault was found by, in the checks' words")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, *only, *jobs, *verbose)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "planted: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, only string, jobs int, verbose bool) error {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	dir, err := fs.Sub(files, "faults")
	if err != nil {
		return err
	}
	faults, err := load(dir)
	if err != nil {
		return err
	}
	faults = slices.DeleteFunc(faults, func(f fault) bool { return !pattern.MatchString(f.Name) })
	sound := slices.DeleteFunc(variants(), func(v variant) bool { return !pattern.MatchString(v.name) })
	scratch, err := os.MkdirTemp("", "sluice-planted-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	l, err := newLab(ctx, scratch)
	if err != nil {
		return err
	}
	if !l.survey(ctx, w, sound, faults, jobs, verbose) {
		return errors.New("not all is as it has to be")
	}
	return nil
}
