package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// The exit statuses.
const (
	exitOK      = 0
	exitProblem = 1
	exitUsage   = 2
)

// errReported says that the command has told its problems already.
var errReported = errors.New("problems were reported")

// run executes the command line and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	began := false // Whether a command was reached: what goes wrong before is wrong usage.
	root := &cobra.Command{
		Use:           "sluice",
		Short:         "Scale queue workers on ECS Fargate: check the configuration, try it locally, ask for workers",
		Long:          "Exit status: 0 all is well, 1 a problem was found or the command failed, 2 wrong usage.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		PersistentPreRun: func(*cobra.Command, []string) { began = true },
	}
	root.AddCommand(validateCommand(), configCommand(), localCommand(), triggerCommand(), schemaCommand(), versionCommand())
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errReported):
		return exitProblem
	case !began:
		_, _ = fmt.Fprintf(stderr, "sluice: %v\nRun '%s --help' for its usage.\n", err, cmd.CommandPath())
		return exitUsage
	default:
		_, _ = fmt.Fprintf(stderr, "sluice: %v\n", err)
		return exitProblem
	}
}
