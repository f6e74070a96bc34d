package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"sluice/internal/terminal"
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
	out = terminal.Behind(out)
	w := newTextWriter(out)
	text(w)
	_, err := io.WriteString(out, w.b.String())
	return err
}

// printJSON writes the value as one JSON document and a line break; without an indentation, on one line. People look
// at it, too: what a terminal is not to be shown is escaped, which does not change the value.
func printJSON(out io.Writer, value any, indent string) error {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(value); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	_, err := io.WriteString(out, terminal.Escape(b.String()))
	return err
}

// textWriter writes for people: in colour on a terminal, within its width, or 80 columns where there is none. All text
// that it is given may come from elsewhere (names, errors, tags): it is made fit, so that it can neither play with the
// terminal nor fill it.
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
	if width, ok := terminalWidth(out); ok {
		w.width = max(width, leastWidth)
		w.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	return w
}

// terminalWidth is the width of the terminal that is written to, if it is one.
func terminalWidth(out io.Writer) (width int, ok bool) {
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
	if s, ok := v.(styled); ok {
		return w.fit(s)(s.text)
	}
	return w.fit(v)(fmt.Sprint(v))
}

// fit returns what makes the text of a value fit to be written: short enough, clean, and in its colour.
func (w *textWriter) fit(v any) func(string) string {
	s, _ := v.(styled)
	return func(text string) string {
		text = terminal.Clean(terminal.Cut(text, terminal.MostShown))
		if !w.colour || s.sgr == "" || text == "" {
			return text
		}
		return "\x1b[" + s.sgr + "m" + text + "\x1b[0m"
	}
}

// text formats; the arguments are made fit.
func (w *textWriter) text(format string, args []any) string {
	made := make([]any, len(args))
	for i, a := range args {
		f := terminal.Fitted{Value: a, Fit: w.fit(a)}
		if s, ok := a.(styled); ok {
			f.Value = s.text
		}
		made[i] = f
	}
	return fmt.Sprintf(format, made...)
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
