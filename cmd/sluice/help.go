package main

import (
	"errors"
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

// readable has help and usage wrapped, so that texts need not be written with their line breaks.
func readable(root *cobra.Command) {
	cobra.AddTemplateFunc("prose", func(s string) string { return prose(s, helpWidth) })
	cobra.AddTemplateFunc("flags", func(f *pflag.FlagSet) string { return strings.TrimRight(f.FlagUsagesWrapped(helpWidth), " \n") })
	root.SetHelpTemplate("{{with (or .Long .Short)}}{{prose .}}\n\n{{end}}{{if or .Runnable .HasSubCommands}}{{.UsageString}}{{end}}")
	usage := root.UsageTemplate()
	for _, which := range []string{"LocalFlags", "InheritedFlags"} {
		usage = strings.ReplaceAll(usage, "{{."+which+".FlagUsages | trimTrailingWhitespaces}}", "{{flags ."+which+"}}")
	}
	root.SetUsageTemplate(usage)
	root.SetVersionTemplate("sluice {{.Version}}\n")
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
