package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"sluice/internal/config"
)

// defaultConfig is the file that commands read if none is named.
const defaultConfig = "sluice.yaml"

// open opens the file that is named, or sluice.yaml. The problems of one that is not valid are printed, one a line.
func open(args []string, problems io.Writer) (path string, f *config.File, err error) {
	path = defaultConfig
	if len(args) > 0 {
		path = args[0]
	}
	f, err = config.Open(path)
	var all config.Problems
	if errors.As(err, &all) {
		_, _ = fmt.Fprintln(problems, all)
		err = errReported
	}
	return path, f, err
}

func validateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "validate [FILE]",
		Short: "Check a configuration file and print every problem in it",
		Long: "Checks FILE (" + defaultConfig + " if it is left out) and prints every problem in it, one a line, as\n" +
			"file:line:column: field: what is wrong: what to do about it. The exit status is 1 if there is any.\n" +
			"If the file has a section `deploy`, hints tell what works locally and not once it is deployed. They are no problems.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, f, err := open(args, cmd.OutOrStdout())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is valid: %s, %s\n", path,
				count(len(f.Config.Brokers), "broker"), count(len(f.Config.Targets), "target"))
			for _, hint := range f.Hints() {
				_, _ = fmt.Fprintln(cmd.OutOrStdout(), "hint:", hint)
			}
			return err
		},
	}
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
