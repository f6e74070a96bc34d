package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
)

// wall stands between the commands and a terminal. Names, tags, errors and logs come from elsewhere: through a wall no
// control character and none that turns the direction of text reaches the terminal, whichever way a command has
// printed it. Each Write holds whole characters.
type wall struct{ out io.Writer }

func (w wall) Write(p []byte) (int, error) {
	text := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return shownAs(r)
	}, string(p))
	if _, err := io.WriteString(w.out, text); err != nil {
		return 0, err
	}
	return len(p), nil
}

// behind is what the wall stands before, for what a textWriter has made: that has colours of ours, and places on the
// screen.
func behind(out io.Writer) io.Writer {
	if w, ok := out.(wall); ok {
		return w.out
	}
	return out
}

// fit says whether a character may be shown: not control characters, nor what turns the direction of text, nor what
// nobody sees.
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

// clean replaces what is not to be shown, and line breaks by spaces.
func clean(s string) string { return strings.Map(shownAs, s) }

// escaped writes what is not fit to be shown as JSON has it, and so without another meaning. It may be in strings
// alone.
func escaped(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return !fit(r) && r != '\n' }) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
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

// mostShown is how many characters of one text are shown in a view or in an error.
const mostShown = 1000

// cut leaves a text's beginning and its end, where it has more characters than most: a stranger's name may be as long
// as he likes, and what we say of it often stands behind it.
func cut(s string, most int) string {
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

// fitted is an argument of a format, whose text is made fit after it has been formatted: so it is of every type, and
// by every verb.
type fitted struct {
	value any
	fit   func(string) string
}

func (f fitted) Format(s fmt.State, verb rune) {
	_, _ = io.WriteString(s, f.fit(fmt.Sprintf(fmt.FormatString(s, verb), f.value)))
}
