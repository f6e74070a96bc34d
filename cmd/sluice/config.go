package main

import (
	"io"

	"github.com/spf13/cobra"
)

func configCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "config [FILE]",
		Short: "Print the configuration in effect, defaults included",
		Long: "Prints what FILE (" + defaultConfig + " if it is left out) comes to, with every value that it leaves to a default or that " +
			"follows from others. The output is itself a configuration file, and means the same, but for passwords: those in URLs, " +
			"and local environment variables whose name tells a secret, are not shown. An invalid file has its problems printed, as " +
			"`sluice validate` does, on standard error.\n\n" +
			"As text it is YAML whose comments say which values are defaults.",
		Example:           "  sluice config\n  sluice config prod.yaml -o json | jq .targets",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeConfigs,
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := fileOrFlag(cmd, args)
			if err != nil {
				return err
			}
			f, err := open(path, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			c := effective(f)
			if format(cmd) == formatJSON {
				return printJSON(cmd.OutOrStdout(), c, "  ")
			}
			_, err = io.WriteString(cmd.OutOrStdout(),
				"# What is in effect, by `sluice config`. Values without a comment are the file's own.\n"+c.yaml())
			return err
		},
	}
}
