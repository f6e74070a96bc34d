package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"sluice/internal/config"
	"sluice/lab/cloud"
	"sluice/lab/cloud/cfn"
)

// localFlags are the flags of `sluice local`.
type localFlags struct{ config, lambdas, addr, template string }

func localCommand() *cobra.Command {
	var f localFlags
	cmd := &cobra.Command{
		Use:   "local",
		Short: "Run the cloud on this machine: ECS, Lambda, Redis and the rest",
		Long: "Runs what `local:` in the configuration says, with the Lambda functions as they ship and the state machine as it is\n" +
			"deployed, and prints on standard output the environment that AWS clients need to use it. It runs until Ctrl-C and\n" +
			"leaves no process behind. REDIS_URL, if it is set, is used in place of an embedded Redis.\n\n" +
			"With --template it runs what that synthesized CloudFormation template deploys, and holds everybody to the permissions in it.",
		Example:     "  sluice local --config examples/shop/sluice.yaml",
		Args:        cobra.NoArgs,
		Annotations: map[string]string{oneForm: "the environment"},
		RunE:        func(cmd *cobra.Command, _ []string) error { f.config = configPath(cmd); return runLocal(cmd, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.lambdas, "lambdas", filepath.Join("build", "local"), "the `folder` with the built functions (make build)")
	flags.StringVar(&f.addr, "addr", "127.0.0.1:0", "the loopback `address` to listen on; port 0 takes a free one")
	flags.StringVar(&f.template, "template", "", "run what this synthesized CloudFormation `template` deploys (make synth)")
	return cmd
}

func runLocal(cmd *cobra.Command, f localFlags) (err error) {
	if _, _, err := net.SplitHostPort(f.addr); err != nil {
		return misused("--addr %q: write HOST:PORT, such as 127.0.0.1:4566", f.addr)
	}
	c, err := config.Load(f.config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	log := &story{w: cmd.ErrOrStderr()}
	deployment, err := fromTemplate(f, c, log)
	if err != nil {
		return err
	}
	cloud, err := cloud.Start(ctx, cloud.Options{
		Deployment: deployment, Config: c, ConfigPath: f.config, Lambdas: f.lambdas, Addr: f.addr, Region: os.Getenv("AWS_REGION"),
		RedisURL: os.Getenv("REDIS_URL"), FunctionLog: log.lines("function "), TaskLog: log.task, Watch: log.happening,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cloud.Close()) }()
	if err := export(cmd.OutOrStdout(), cloud.Env()); err != nil {
		return err
	}
	log.say("running, with the environment above for your clients; Ctrl-C ends it")
	<-ctx.Done()
	stop() // A second Ctrl-C ends the program at once; the kernel and the supervisors then end the rest.
	log.say("ending")
	return nil
}

// fromTemplate is the deployment of the template, if there is one, and says what is run of it.
func fromTemplate(f localFlags, c *config.Config, log *story) (*cloud.Deployment, error) {
	if f.template == "" {
		return nil, nil
	}
	t, err := cfn.Read(f.template, c, os.Getenv("AWS_REGION"))
	if err != nil {
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
