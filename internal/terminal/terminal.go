// Package terminal stands between a program and the terminal of a person. Names, tags, errors and logs come from elsewhere: no
// control character, and none that turns the direction of text or that nobody sees, reaches the terminal; and what a stranger
// made long is shown short.
package terminal

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
)

// Writer cleans all that is written to Out, but for line breaks and tabs. Each Write holds whole characters.
type Writer struct{ Out io.Writer }

func (w Writer) Write(p []byte) (int, error) {
	text := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return shownAs(r)
	}, string(p))
	if _, err := io.WriteString(w.Out, text); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Behind returns what a Writer writes to, for text that is clean already and has colours of ours, or moves on the screen.
func Behind(out io.Writer) io.Writer {
	if w, ok := out.(Writer); ok {
		return w.Out
	}
	return out
}

// fit reports whether a character may be shown.
func fit(r rune) bool {
	return unicode.IsPrint(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// shownAs is what stands for a character where people read.
func shownAs(r rune) rune {
	switch {
	case fit(r), r == '\u200c', r == '\u200d': // The latter two join letters and emoji.
		return r
	case unicode.IsSpace(r):
		return ' '
	}
	return unicode.ReplacementChar
}

// Clean replaces what is not to be shown, and line breaks by spaces.
func Clean(s string) string { return strings.Map(shownAs, s) }

// Escape writes what may not be shown as JSON escapes it, and so without another meaning. Such characters may stand in
// JSON's strings alone.
func Escape(json string) string {
	if strings.IndexFunc(json, func(r rune) bool { return !fit(r) && r != '\n' }) < 0 {
		return json
	}
	var b strings.Builder
	for _, r := range json {
		if fit(r) || r == '\n' { // A line break between strings; in them it is escaped already.
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// MostShown is how many characters of one text are shown in a view or in an error.
const MostShown = 1000

// Cut keeps the beginning and the end of a text with more characters than most: what we say of a name often stands behind it.
func Cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	head, tail := most*2/3, most/3
	return fmt.Sprintf("%s… (%d characters more) …%s", string(r[:head]), len(r)-head-tail, string(r[len(r)-tail:]))
}

// Fitted is an argument of a format, whose text Fit changes after it has been formatted: so it holds for every type and
// every verb.
type Fitted struct {
	Value any
	Fit   func(string) string
}

// Format implements fmt.Formatter.
func (f Fitted) Format(s fmt.State, verb rune) {
	_, _ = io.WriteString(s, f.Fit(fmt.Sprintf(fmt.FormatString(s, verb), f.Value)))
}
