package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sluice/internal/exporter"
)

// leastEvery keeps the looks of an exporter from being work for the workers, which each look asks.
const leastEvery = 5 * time.Second

// exporterFlags are the flags of `sluice exporter`.
type exporterFlags struct {
	listen         string
	every          time.Duration
	stack, workers bool
}

func exporterCommand() *cobra.Command {
	var f exporterFlags
	cmd := &cobra.Command{
		Use:   "exporter",
		Short: "Show what Sluice sees as metrics for Prometheus",
		Long: "Looks at all targets as a sweep does, reads the log of what the functions decide, and serves both as metrics for Prometheus " +
			"on /metrics, until Ctrl-C or SIGTERM. It does nothing else: it scales nothing, and may run more than once.\n\n" +
			"It looks by itself. A scrape is answered from what was last seen, so that however often it is scraped, brokers and AWS are " +
			"asked no more than once in each --every. What cannot be seen has no sample, and sluice_target_unknown is 1.\n\n" +
			"It has to reach the brokers, so it runs where the workers do, such as beside the API. docs/observability.md has the metrics, " +
			"the rights that it needs, rules for alerts, and a dashboard. /-/healthy says whether it still looks.",
		Example:     "  sluice exporter --listen 0.0.0.0:9808\n  sluice exporter --every 15s --workers\n  curl -s 127.0.0.1:9808/metrics | grep ^sluice_",
		Args:        cobra.NoArgs,
		Annotations: map[string]string{oneForm: "metrics"},
		RunE:        func(cmd *cobra.Command, _ []string) error { return runExporter(cmd, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:9808", "the `address` to listen on; 0.0.0.0:9808 for a Prometheus elsewhere")
	flags.DurationVar(&f.every, "every", 30*time.Second, fmt.Sprintf("the time between two looks, %v or more", leastEvery))
	flags.BoolVar(&f.stack, "stack", true, "read the log and the dead letters of the deployed stack, too")
	flags.BoolVar(&f.workers, "workers", false, "ask CloudWatch for the workers' CPU and memory each 5 minutes, at $0.17 a month for each target")
	return cmd
}

func runExporter(cmd *cobra.Command, f exporterFlags) error {
	if f.every < leastEvery {
		return misused("--every %v is too often: each look asks every worker: use %v or more", f.every, leastEvery)
	}
	if _, _, err := net.SplitHostPort(f.listen); err != nil {
		return misused("--listen %q: write HOST:PORT, such as 127.0.0.1:9808", f.listen)
	}
	c, err := load(cmd)
	if err != nil {
		return err
	}
	sdk, err := awsSettings(cmd, c)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	e, err := exporter.New(exporter.Options{
		Config: c, AWS: sdk, Every: f.every, Stack: f.stack, Workers: f.workers, Version: version(), Log: log,
	})
	if err != nil {
		return err
	}
	ln, err := new(net.ListenConfig).Listen(cmd.Context(), "tcp", f.listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // A second Ctrl-C ends the program at once.
	log.Info("metrics are served", "address", "http://"+ln.Addr().String()+"/metrics", "targets", len(c.Targets))
	return e.Run(ctx, ln)
}
