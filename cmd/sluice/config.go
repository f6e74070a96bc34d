package main

import (
	"bytes"
	"errors"

	"github.com/spf13/cobra"
)

// outputFormat is the value of the flag --output.
type outputFormat string

const (
	formatYAML outputFormat = "yaml"
	formatJSON outputFormat = "json"
)

func (f *outputFormat) String() string { return string(*f) }

func (f *outputFormat) Type() string { return "format" }

func (f *outputFormat) Set(s string) error {
	switch outputFormat(s) {
	case formatYAML, formatJSON:
		*f = outputFormat(s)
		return nil
	}
	return errors.New("use yaml or json")
}

func configCommand() *cobra.Command {
	format := formatYAML
	cmd := &cobra.Command{
		Use:   "config [FILE]",
		Short: "Print the configuration in effect, with every default and derived value",
		Long: "Prints what FILE (" + defaultConfig + " if it is left out) comes to, with every value that it leaves to a default or that\n" +
			"follows from others. The output is itself a configuration file, and means the same, but for passwords: those in URLs,\n" +
			"and local environment variables whose name tells a secret, are not shown. An invalid file has its problems printed, as\n" +
			"`sluice validate` does, on standard error.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, f, err := open(args, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			var b bytes.Buffer
			if c := effective(f); format == formatJSON {
				c.writeJSON(&b, "\n")
				b.WriteByte('\n')
			} else {
				b.WriteString("# What is in effect, by `sluice config`. Values without a comment are the file's own.\n")
				c.writeYAML(&b, "")
			}
			_, err = cmd.OutOrStdout().Write(b.Bytes())
			return err
		},
	}
	cmd.Flags().VarP(&format, "output", "o", "yaml or json")
	return cmd
}
