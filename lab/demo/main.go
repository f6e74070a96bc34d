// Command demo shows Sluice at work on one machine and judges what it saw.
//
// It starts the local cloud with the three Lambda functions as they ship, all that the synthesized template of
// examples/shop/sluice.yaml deploys around them (-template; else what is built in, which is meant to be the same) and an embedded
// Redis (or the one that REDIS_URL names), starts the shop of examples/shop as its users would, and posts a seeded load: a burst that brings the workers from zero to their maximum, and a second wave just when the idle workers
// are about to be let go. Then it waits until all work is done and no worker is left.
//
// The judgement rests on facts of others: the ledger that the shop's tasks keep themselves, their results against those
// computed here, and what the local cloud did. The exit status is 1 if any promise broke, and says which.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/charmbracelet/x/term"
)

// deadline ends a run that hangs. A good one takes about a minute.
const deadline = 4 * time.Minute

// patience is longer than the longest report.
const patience = 25 * time.Second

// options are what a run is asked to do.
type options struct {
	root     string // Of the checkout.
	lambdas  string // The folder with the functions.
	template string // The CloudFormation template to run; empty for the deployment that is built in.
	lost     bool   // The cloud drops every event.
	seed     uint64
	redisURL string // Of a real Redis; empty for the embedded one.
	plain    bool
	jsonFile string
	patience time.Duration // How long nothing may move before what has not ended counts as lost.

	logs string // The folder of the logs.

	// For tests: a load of its own in place of the plan, what is called once when nothing but long tasks executes, and more time.
	first    *wave
	sabotage func()
	leeway   time.Duration // On a busy machine: how much longer everything may take.
}

func main() {
	var o options
	flag.BoolVar(&o.lost, "lost", false, "lose every event, to see the sweep make it good")
	flag.StringVar(&o.template, "template", "", "run what this CloudFormation `template` of examples/shop/sluice.yaml deploys")
	flag.BoolVar(&o.plain, "plain", false, "print lines only, also on a terminal")
	flag.StringVar(&o.jsonFile, "json", "", "write the summary to this `file` as well")
	flag.Uint64Var(&o.seed, "seed", 1, "of the load")
	flag.Parse()
	o.lambdas, o.logs = filepath.Join("build", "local"), filepath.Join("build", "demo")
	o.root, o.redisURL, o.patience = ".", os.Getenv("REDIS_URL"), patience

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		stop() // A second Ctrl-C ends this process at once; the kernel then ends the others.
	}()
	status := perform(ctx, o, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// perform runs the demo, shows its story and its summary on out, and returns the exit status: 0 if every promise held,
// 1 if not or if it could not run, 130 if it was interrupted.
func perform(ctx context.Context, o options, out *os.File, errs io.Writer) int {
	timed, cancel := context.WithTimeout(ctx, deadline+o.leeway)
	defer cancel()
	d, err := newDriver(timed, o, viewOn(out, o.plain))
	if err != nil {
		_, _ = fmt.Fprintf(errs, "demo: %v\n", err)
		if ctx.Err() != nil {
			return 130
		}
		return 1
	}
	f, err := d.run(timed)
	d.view.close()
	d.close()
	if ctx.Err() != nil {
		_, _ = fmt.Fprintln(errs, "demo: interrupted; everything that it started has ended")
		return 130
	}
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("it took more than %v", deadline+o.leeway)
		}
		f.interrupted = fmt.Sprintf("%v, while %s", err, d.waitingFor())
		tails(errs, o.logs)
	}
	s := judge(f)
	s.Template = o.template
	s.print(out)
	if o.jsonFile != "" {
		if err := s.write(o.jsonFile); err != nil {
			_, _ = fmt.Fprintf(errs, "demo: %v\n", err)
			return 1
		}
	}
	if len(s.Broken) > 0 {
		_, _ = fmt.Fprintf(out, "\n  The logs are in %s.\n", o.logs)
		return 1
	}
	return 0
}

// viewOn is the live view on a terminal, and the plain one elsewhere, in CI, or where it is asked for.
func viewOn(out *os.File, plain bool) view {
	if plain || os.Getenv("CI") != "" || os.Getenv("TERM") == "dumb" || !term.IsTerminal(out.Fd()) {
		return &plainView{w: out}
	}
	return newLiveView(out, func() int {
		width, _, err := term.GetSize(out.Fd())
		if err != nil {
			return 80
		}
		return width
	})
}
