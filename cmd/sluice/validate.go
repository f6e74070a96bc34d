package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"sluice/internal/config"
	"sluice/internal/terminal"
)

// open opens a configuration file. The problems of one that is not valid are printed, one a line.
func open(path string, problems io.Writer) (*config.File, error) {
	f, err := config.Open(path)
	var all config.Problems
	if errors.As(err, &all) {
		for _, p := range all {
			_, _ = fmt.Fprintln(problems, terminal.Clean(terminal.Cut(p.String(), terminal.MostShown)))
		}
		err = errReported
	}
	return f, err
}

// fileOrFlag is the configuration file that a command is to read that is about the file itself: its argument, or --config.
func fileOrFlag(cmd *cobra.Command, args []string) (string, error) {
	switch {
	case len(args) == 0:
		return configPath(cmd), nil
	case cmd.Flags().Changed("config"):
		return "", misused("FILE and --config are both given: leave one out")
	}
	return args[0], nil
}

func completeConfigs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

// validation is what `sluice validate` finds.
type validation struct {
	File     string          `json:"file"`
	Valid    bool            `json:"valid"`
	Brokers  int             `json:"brokers"`
	Targets  int             `json:"targets"`
	Problems []configProblem `json:"problems"`
	Hints    []configProblem `json:"hints"` // What works locally and not once it is deployed.
}

type configProblem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Field   string `json:"field"`
	Problem string `json:"problem"`
	Remedy  string `json:"remedy"`
}

func problemsOf(all config.Problems) []configProblem {
	list := make([]configProblem, len(all))
	for i, p := range all {
		list[i] = configProblem{p.File, p.Line, p.Column, p.Field, p.Message, p.Remedy}
	}
	return list
}

func validateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "validate [FILE]",
		Short: "Check a configuration file and print every problem in it",
		Long: "Checks FILE (" + defaultConfig + " if it is left out) and prints every problem in it, one a line, as\n\n" +
			"  file:line:column: field: what is wrong: what to do about it\n\n" +
			"The exit status is 1 if there is any. If the file has a section `deploy`, hints tell what works locally and not once it is " +
			"deployed. They are no problems.",
		Example:           "  sluice validate\n  sluice validate prod.yaml -o json",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeConfigs,
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := fileOrFlag(cmd, args)
			if err != nil {
				return err
			}
			f, err := config.Open(path)
			var all config.Problems
			if err != nil && !errors.As(err, &all) {
				return err
			}
			v := validation{File: path, Valid: err == nil, Problems: problemsOf(all), Hints: []configProblem{}}
			var hints config.Problems
			if err == nil {
				hints = f.Hints()
				v.Brokers, v.Targets, v.Hints = len(f.Config.Brokers), len(f.Config.Targets), problemsOf(hints)
			}
			printed := print(cmd, v, func(w *textWriter) {
				for _, p := range all {
					w.line("%s", p)
				}
				if v.Valid {
					w.line("%s is valid: %s, %s", path, count(v.Brokers, "broker"), count(v.Targets, "target"))
				}
				for _, hint := range hints {
					w.line("hint: %s", hint)
				}
			})
			if printed == nil && !v.Valid {
				return errReported
			}
			return printed
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
