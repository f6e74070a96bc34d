package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"sluice/internal/terminal"
)

// The exit statuses.
const (
	exitOK      = 0
	exitProblem = 1
	exitUsage   = 2
)

// errReported says that the command has told its problems already.
var errReported = errors.New("problems were reported")

// usageError says that a command was not asked properly, where only the command itself can tell.
type usageError struct{ error }

// misused returns a usageError.
func misused(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// The groups of commands in the help.
const (
	groupLook  = "look"
	groupSteer = "steer"
	groupSetUp = "setup"
)

// command returns the root command with all others.
func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "sluice",
		Short: "Scale queue workers on ECS Fargate: see what Sluice sees, ask it why, steer it, check it",
		Long: "Sluice scales queue workers on ECS Fargate. This is its command line.\n\n" +
			"Commands read " + defaultConfig + " here, or the file of --config, and take the names of targets from it; without a name " +
			"those that look mean all of them. They use the AWS settings of your environment, as the AWS CLI does. Where a number is shown as `?` " +
			"(`null` in JSON) nobody knows it: that is never zero.\n\n" +
			"Exit status: 0 all is well, 1 a problem was found or the command failed, 2 wrong usage.",
		Example:       "  sluice status --watch\n  sluice why worker --since 6h\n  sluice pause worker --for 2h",
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddGroup(&cobra.Group{ID: groupLook, Title: "Look:"}, &cobra.Group{ID: groupSteer, Title: "Steer:"},
		&cobra.Group{ID: groupSetUp, Title: "Set up:"})
	root.SetCompletionCommandGroupID(groupSetUp)
	root.SetHelpCommandGroupID(groupSetUp)
	group(root, groupLook, statusCommand(), whyCommand(), planCommand(), doctorCommand())
	group(root, groupLook, scheduleCommand(), costCommand(), exporterCommand())
	group(root, groupSteer, triggerCommand(), pauseCommand(), resumeCommand(), setCommand(), drainCommand())
	group(root, groupSetUp, validateCommand(), configCommand(), schemaCommand(), versionCommand())
	addOutput(root)
	addConfig(root)
	readable(root)
	return root
}

// group adds commands to a group of the help.
func group(root *cobra.Command, id string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = id
	}
	root.AddCommand(commands...)
}

// refuseOtherShells has the command completion, which Cobra adds, refuse shells that it does not know instead of showing its help.
func refuseOtherShells(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		c.RunE = root.RunE
	}
}

// run executes the command line and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return runRoot(ctx, command(), args, stdout, stderr)
}

func runRoot(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	stdout, stderr = terminal.Writer{Out: stdout}, terminal.Writer{Out: stderr}
	began := false // Whether a command was reached: what goes wrong before is wrong usage.
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		err := errors.Join(cmd.ValidateRequiredFlags(), flagGroups(cmd), checkOutput(cmd))
		began = err == nil
		return err
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	refuseOtherShells(root)
	cmd, err := root.ExecuteContextC(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errReported):
		return exitProblem
	case !began || errors.As(err, &usage):
		_, _ = fmt.Fprintf(stderr, "sluice: %s\nRun '%s --help' for its usage.\n", terminal.Clean(terminal.Cut(err.Error(), terminal.MostShown)), cmd.CommandPath())
		return exitUsage
	case ctx.Err() != nil: // Whatever the error is, this is why.
		_, _ = fmt.Fprintln(stderr, "sluice: interrupted")
		return exitProblem
	}
	_, _ = fmt.Fprintf(stderr, "sluice: %s\n", plainly(err))
	if r := remedy(err); r != "" {
		_, _ = fmt.Fprintln(stderr, r)
	}
	return exitProblem
}
