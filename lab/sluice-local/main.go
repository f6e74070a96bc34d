// Command sluice-local runs the cloud on this machine: ECS, Lambda, EventBridge, Step Functions and Redis, as sluice.yaml's section
// `local` says, with the Lambda functions as they ship and the state machine as it is deployed. It prints on standard output the
// environment that AWS clients need to use it, tells on standard error what happens, runs until Ctrl-C, and leaves no process behind.
//
// Its exit status is 0 if all is well, 1 if it could not run, and 2 if it was not asked properly.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"sluice/internal/config"
	"sluice/internal/terminal"
	"sluice/lab/cloud"
	"sluice/lab/cloud/cfn"
)

func main() {
	// A second Ctrl-C ends the program at once; the kernel and the supervisors then end the rest.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are the flags.
type options struct{ config, lambdas, addr, template string }

const usage = `Usage: sluice-local [flags]

Runs the cloud on this machine, as the section local of the configuration says, and
prints the environment that AWS clients need to use it. It runs until Ctrl-C and leaves
no process behind. REDIS_URL, if it is set, is used in place of an embedded Redis.

Example: sluice-local --config examples/shop/sluice.yaml

Flags:
`

// run runs the cloud until the context ends, and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	stderr = terminal.Writer{Out: stderr}
	var o options
	flags := flag.NewFlagSet("sluice-local", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { _, _ = io.WriteString(stderr, usage); flags.PrintDefaults() }
	flags.StringVar(&o.config, "config", "sluice.yaml", "the configuration `file`")
	flags.StringVar(&o.lambdas, "lambdas", "", "the `folder` with the built functions (default: local, beside this program; else built from the checkout)")
	flags.StringVar(&o.addr, "addr", "127.0.0.1:0", "the loopback `address` to listen on; port 0 takes a free one")
	flags.StringVar(&o.template, "template", "", "run what this synthesized CloudFormation `template` deploys (make synth), and hold everybody to its permissions")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	_, _, err := net.SplitHostPort(o.addr)
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("%q: it takes flags only", flags.Arg(0))
	case err != nil:
		err = fmt.Errorf("--addr %q: write HOST:PORT, such as 127.0.0.1:4566", o.addr)
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "sluice-local: %v\n", err)
		return 2
	}
	if err := serve(ctx, o, stdout, &story{w: stderr}); err != nil {
		_, _ = fmt.Fprintf(stderr, "sluice-local: %s\n", terminal.Cut(err.Error(), 100*terminal.MostShown))
		return 1
	}
	return 0
}

// serve runs the cloud until the context ends.
func serve(ctx context.Context, o options, stdout io.Writer, log *story) (err error) {
	c, err := config.Load(o.config)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: go to where it is, or name another with --config", err)
	} else if err != nil {
		return err
	}
	deployment, err := fromTemplate(o, c, log)
	if err != nil {
		return err
	}
	if o.lambdas == "" {
		if o.lambdas, err = functions(log); err != nil {
			return err
		}
	}
	running, err := cloud.Start(ctx, cloud.Options{
		Deployment: deployment, Config: c, ConfigPath: o.config, Lambdas: o.lambdas, Addr: o.addr, Region: os.Getenv("AWS_REGION"),
		RedisURL: os.Getenv("REDIS_URL"), FunctionLog: log.lines("function "), TaskLog: log.task, Watch: log.happening,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, running.Close()) }()
	if err := export(stdout, running.Env()); err != nil {
		return err
	}
	log.say("running, with the environment above for your clients; Ctrl-C ends it")
	<-ctx.Done()
	log.say("ending")
	return nil
}

// fromTemplate returns the deployment of the template, if there is one, and says what is run of it.
func fromTemplate(o options, c *config.Config, log *story) (*cloud.Deployment, error) {
	if o.template == "" {
		return nil, nil
	}
	t, err := cfn.Read(o.template, c, os.Getenv("AWS_REGION"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: `make synth` makes it, as build/infra/cdk.out/NAME.template.json", err)
	} else if err != nil {
		return nil, err
	}
	for _, line := range t.Describe() {
		log.say("%s", line)
	}
	return &t.Deployment, nil
}

// export prints the environment as a shell reads it.
func export(w io.Writer, env []string) error {
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		if _, err := fmt.Fprintf(w, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`)); err != nil {
			return fmt.Errorf("print the environment: %w", err)
		}
	}
	return nil
}
