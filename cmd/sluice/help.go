package main

import (
	"cmp"
	"errors"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpWidth is how wide help is printed, whatever the terminal: it is prose.
const helpWidth = 80

// flagGroups says which flags do not go together, or which of them one is needed of. Cobra's own words name groups of flags.
func flagGroups(cmd *cobra.Command) error {
	err := cmd.ValidateFlagGroups()
	if err == nil {
		return nil
	}
	if m := exclusiveFlags.FindStringSubmatch(err.Error()); m != nil {
		return errors.New(dashed(m[1]) + " exclude each other: give one of them")
	}
	if m := neededFlags.FindStringSubmatch(err.Error()); m != nil {
		return errors.New("give at least one of " + dashed(m[1]))
	}
	return err
}

var (
	exclusiveFlags = regexp.MustCompile(`none of the others can be; \[(.*)\] were all set`)
	neededFlags    = regexp.MustCompile(`at least one of the flags in the group \[(.*)\] is required`)
)

// dashed writes names of flags as they are given.
func dashed(names string) string { return "--" + strings.Join(strings.Fields(names), ", --") }

// readable has help and usage wrapped, so that texts need not be written with their line breaks. It needs no template of Cobra's:
// with one the linker would keep every method of every AWS client, and the program be twice as large.
func readable(root *cobra.Command) {
	usage := root.UsageFunc()
	root.SetUsageFunc(func(cmd *cobra.Command) error {
		out := cmd.OutOrStderr()
		var b strings.Builder
		cmd.SetOut(&b)
		err := usage(cmd)
		cmd.SetOut(out)
		text := b.String()
		for _, f := range []*pflag.FlagSet{cmd.LocalFlags(), cmd.InheritedFlags()} {
			text = strings.Replace(text, strings.TrimRight(f.FlagUsages(), " \n"), strings.TrimRight(f.FlagUsagesWrapped(helpWidth), " \n"), 1)
		}
		_, writeErr := io.WriteString(out, text)
		return errors.Join(err, writeErr)
	})
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		text := prose(cmp.Or(cmd.Long, cmd.Short), helpWidth) + "\n\n"
		if cmd.Runnable() || cmd.HasSubCommands() {
			text += cmd.UsageString()
		}
		_, _ = io.WriteString(cmd.OutOrStdout(), text)
	})
}

// prose wraps paragraphs, which empty lines part. Lines that begin with a space stay as they are.
func prose(s string, width int) string {
	var out []string
	for paragraph := range strings.SplitSeq(strings.TrimSpace(s), "\n\n") {
		if strings.HasPrefix(paragraph, " ") {
			out = append(out, paragraph)
			continue
		}
		out = append(out, strings.Join(wrap(strings.ReplaceAll(paragraph, "\n", " "), width), "\n"))
	}
	return strings.Join(out, "\n\n")
}
