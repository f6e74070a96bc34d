package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"
)

// outputFormat is the value of the flag --output.
type outputFormat string

// The formats. JSON and YAML hold the same; they are for programs, and their fields stay.
const (
	formatText outputFormat = "text"
	formatJSON outputFormat = "json"
	formatYAML outputFormat = "yaml"
)

func (f *outputFormat) String() string { return string(*f) }

func (f *outputFormat) Type() string { return "format" }

func (f *outputFormat) Set(s string) error {
	switch outputFormat(s) {
	case formatText, formatJSON, formatYAML:
		*f = outputFormat(s)
		return nil
	}
	return errors.New("use text, json or yaml")
}

// addOutput gives all commands the flag --output.
func addOutput(root *cobra.Command) {
	format := formatText
	root.PersistentFlags().VarP(&format, "output", "o", "text, json or yaml")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
}

// oneForm is the annotation of commands whose output has one form only.
const oneForm = "one form"

// checkOutput refuses a format for a command that has but one: to pass over it in silence would break a script.
func checkOutput(cmd *cobra.Command) error {
	if what, ok := cmd.Annotations[oneForm]; ok && cmd.Flags().Changed("output") {
		return fmt.Errorf("--output: %s prints %s only", cmd.CommandPath(), what)
	}
	return nil
}

// format is what the flag --output says.
func format(cmd *cobra.Command) outputFormat {
	if f := cmd.Flag("output"); f != nil {
		return outputFormat(f.Value.String())
	}
	return formatText
}

// print writes what a command has found: value as JSON or YAML, its documented form, or for people what text writes.
func print(cmd *cobra.Command, value any, text func(w *textWriter)) error {
	out := cmd.OutOrStdout()
	switch format(cmd) {
	case formatJSON:
		return printJSON(out, value, "  ")
	case formatYAML:
		return printYAML(out, value)
	}
	w := newTextWriter(out)
	text(w)
	_, err := io.WriteString(out, w.b.String())
	return err
}

// printJSON writes the value as one JSON document and a line break; without an indentation, on one line.
func printJSON(out io.Writer, value any, indent string) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(value); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	return nil
}

// textWriter writes for people: in colour on a terminal, within its width, or 80 columns where there is none. All text that it is
// given may come from elsewhere (names, errors, tags): control characters in it are replaced, so that it cannot play with the
// terminal.
type textWriter struct {
	b      strings.Builder
	width  int
	colour bool
}

// plainWidth is the width where there is no terminal, and the least that lines are fitted to.
const (
	plainWidth = 80
	leastWidth = 40
)

func newTextWriter(out io.Writer) *textWriter {
	w := &textWriter{width: plainWidth}
	if width, ok := terminal(out); ok {
		w.width = max(width, leastWidth)
		w.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	return w
}

// terminal is the width of the terminal that is written to, if it is one.
func terminal(out io.Writer) (width int, ok bool) {
	f, ok := out.(interface{ Fd() uintptr })
	if !ok || !term.IsTerminal(f.Fd()) {
		return 0, false
	}
	if width, _, err := term.GetSize(f.Fd()); err == nil && width > 0 {
		return width, true
	}
	return plainWidth, true
}

// styled is text in a colour.
type styled struct{ text, sgr string }

// The colours, by what they say. They stand beside words, never in place of them.
func good(s string) styled { return styled{s, "32"} }
func warn(s string) styled { return styled{s, "33"} }
func bad(s string) styled  { return styled{s, "31"} }
func dim(s string) styled  { return styled{s, "2"} }
func bold(s string) styled { return styled{s, "1"} }

// show returns text that is fit to be written: a styled one, or what fmt makes of it.
func (w *textWriter) show(v any) string {
	s, ok := v.(styled)
	switch {
	case !ok:
		return clean(fmt.Sprint(v))
	case !w.colour || s.text == "":
		return clean(s.text)
	}
	return "\x1b[" + s.sgr + "m" + clean(s.text) + "\x1b[0m"
}

// text formats; of the arguments texts, errors and styled ones are made fit.
func (w *textWriter) text(format string, args []any) string {
	for i, a := range args {
		switch a.(type) {
		case styled, string, error, fmt.Stringer:
			args[i] = w.show(a)
		}
	}
	return fmt.Sprintf(format, args...)
}

// line writes one line as it is.
func (w *textWriter) line(format string, args ...any) {
	w.b.WriteString(strings.TrimRight(w.text(format, args), " ") + "\n")
}

// wrapped writes a text within the width, indented; its further lines stand under its first.
func (w *textWriter) wrapped(indent int, format string, args ...any) {
	w.hanging(strings.Repeat(" ", indent), format, args...)
}

// hanging writes a text within the width behind a mark, under which its further lines are indented.
func (w *textWriter) hanging(mark, format string, args ...any) {
	room := max(min(w.width, 100)-len(mark), 20) // Longer lines of prose are hard to read.
	for _, line := range wrap(w.text(format, args), room) {
		w.b.WriteString(strings.TrimRight(mark+line, " ") + "\n")
		mark = strings.Repeat(" ", len(mark))
	}
}

// clean replaces what is not to be shown: control characters, and those that turn the direction of text.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r), r == '\u200c', r == '\u200d': // The latter two join letters and emoji.
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return unicode.ReplacementChar
	}, s)
}
